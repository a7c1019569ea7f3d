//! Kinds of steps as documentation: fields, meaning, an example.

use std::fmt::Write as _;

use super::cell;
use crate::reader::{Field, Shape, list};
use crate::step::plugin::Plugin;
use crate::step::{Effect, KINDS, Kind};
use crate::value::text;

/// All kinds, a line each.
pub fn kinds() -> String {
    let mut out = String::from("| Kind | What it does |\n|---|---|\n");
    for kind in KINDS {
        let _ = writeln!(out, "| `{}` | {} |", kind.name, cell(kind.about));
    }
    out
}

/// The plug-ins that are installed, a line each; nothing if there are none.
pub fn plugins(names: &[&str]) -> String {
    let line = |name: &&str| format!("- `{name}`: `runbook kinds {name}` asks it what it does\n");
    let lines: String = names.iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("\nPlug-ins that are installed:\n\n{lines}") }
}

/// One plug-in, by what it says of itself.
pub fn plugin(plugin: &Plugin) -> String {
    let Plugin { name, program, description, .. } = plugin;
    let mut out = format!("# {name}\n\n{}\n\n", description.about.trim());
    let effect = match description.effect {
        Effect::Once => "changes something, once: doing it twice is not the same",
        Effect::Repeatable => "changes something; doing it twice is the same as doing it once",
        Effect::Pure | Effect::Read => "only reads",
    };
    let _ = writeln!(out, "A plug-in, `{}`. It {effect}.\n", program.path.display());
    if description.secret {
        out.push_str("What it puts out is secret.\n\n");
    }
    if description.undo {
        out.push_str("`runbook undo` takes back what it did.\n\n");
    }
    if let Some(plain) = &description.plain {
        let _ = writeln!(out, "`{name} = …` alone stands for `{plain}`.\n");
    }
    if !description.fields.is_empty() {
        out.push_str("| Key | Value | Meaning |\n|---|---|---|\n");
    }
    for field in &description.fields {
        let needed = if field.required { ", needed" } else { "" };
        let default = field.default.as_ref().map(|default| format!("; {default} if not said"));
        let default = default.unwrap_or_default();
        let one_of: Vec<String> = field.one_of.iter().map(text).collect();
        let words: Vec<&str> = one_of.iter().map(String::as_str).collect();
        let form = if words.is_empty() { field.form.name().to_owned() } else { list(&words) };
        let value = cell(&format!("{form}{needed}{default}"));
        let _ = writeln!(out, "| `{}` | {value} | {} |", field.name, cell(&field.about));
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
    if !kind.without.is_empty() {
        let keys: Vec<&str> = kind.without.iter().map(|(key, _)| *key).collect();
        let _ = writeln!(out, "\nBeside it a step takes no {}:\n", list(&keys));
        for (key, instead) in kind.without {
            let _ = writeln!(out, "- `{key}`: {instead}");
        }
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
        Shape::Lists => "table of lists of texts".to_owned(),
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
