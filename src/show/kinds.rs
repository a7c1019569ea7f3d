//! Kinds of steps as documentation: fields, meaning, an example.

use std::fmt::Write as _;

use super::cell;
use crate::reader::{Field, Shape, list};
use crate::step::{KINDS, Kind};

/// All kinds, a line each.
pub fn kinds() -> String {
    let mut out = String::from("| Kind | What it does |\n|---|---|\n");
    for kind in KINDS {
        let _ = writeln!(out, "| `{}` | {} |", kind.name, cell(kind.about));
    }
    out
}

/// One kind.
pub fn kind(kind: &Kind) -> String {
    let mut out = format!("# {}\n\n{}\n\n", kind.name, kind.about);
    if let Some(plain) = kind.plain {
        let _ = writeln!(out, "`{} = …` alone stands for `{plain}`.\n", kind.name);
    }
    out.push_str("| Key | Value | Meaning |\n|---|---|---|\n");
    for field in kind.fields {
        rows(&mut out, field, "", kind.rules.needs.contains(&field.name));
    }
    if !kind.rules.apart.is_empty() {
        let _ = writeln!(out, "\nOf {} only one.", list(kind.rules.apart));
    }
    let _ = write!(out, "\n```toml\n{}```\n", kind.example);
    out
}

fn rows(out: &mut String, field: &Field, under: &str, needed: bool) {
    let name = format!("{under}{}", field.name);
    let needed = if needed { ", needed" } else { "" };
    let value = format!("{}{needed}", value(field.shape));
    let _ = writeln!(out, "| `{name}` | {} | {} |", cell(&value), cell(field.about));
    if let Shape::Table(fields) | Shape::Tables(fields) = field.shape {
        for inner in fields {
            rows(out, inner, &format!("{name}."), false);
        }
    }
}

/// What a value looks like, in a few words.
fn value(shape: Shape) -> String {
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Template => "text with `{{ }}`".to_owned(),
        Shape::Expression => "expression".to_owned(),
        Shape::Jq => "jq program".to_owned(),
        Shape::Definitions => "jq definitions".to_owned(),
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::Integer => "whole number".to_owned(),
        Shape::Duration => "duration: `\"30s\"`".to_owned(),
        Shape::Value => "any value, with `{{ }}` in its texts".to_owned(),
        Shape::Map => "table of values, with `{{ }}` in their texts".to_owned(),
        Shape::Maps => "table of tables of values".to_owned(),
        Shape::Texts => "text, or list of texts".to_owned(),
        Shape::Templates => "text with `{{ }}`, or list of them".to_owned(),
        Shape::Integers => "whole number, or list of them".to_owned(),
        Shape::Word(words) => list(words),
        Shape::Words(words) => format!("list of {}", list(words)),
        Shape::Table(_) => "table".to_owned(),
        Shape::Tables(_) => "list of tables".to_owned(),
        Shape::TextsOrTables(_) => "list of texts or tables".to_owned(),
        Shape::Named(_) => "named tables".to_owned(),
        Shape::NamedOrJq(_) => "named jq programs or tables".to_owned(),
        Shape::Step => "one kind, as in a step".to_owned(),
    }
}
