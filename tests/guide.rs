//! The documents say what holds: their runbooks check clean, and every key is in the reference.

use runbook::reader::{Field, Shape};
use runbook::runbook::{Runbook, fields};
use runbook::source::Source;
use runbook::step::KINDS;

const GUIDE: &str = include_str!("../docs/format.md");
const README: &str = include_str!("../README.md");

/// The fenced blocks that are whole runbooks.
fn runbooks(text: &str) -> Vec<String> {
    let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.starts_with("format = 1")).map(str::to_owned).collect()
}

#[test]
fn every_runbook_in_the_documents_checks_clean() {
    let all: Vec<String> = [GUIDE, README].iter().flat_map(|text| runbooks(text)).collect();
    assert!(all.len() >= 2, "the documents show runbooks");
    for text in all {
        let source = Source::new("the document", text);
        let none = |name: &str, _: &Source| Err(format!("no `{name}` here"));
        if let Err(mistakes) = Runbook::parse(&source, &none) {
            panic!("{}", runbook::diag::render(&source, &mistakes, false));
        }
    }
}

/// The other fenced blocks: pieces of a runbook.
fn pieces(text: &str) -> Vec<String> {
    let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| !block.starts_with("format = 1")).map(around).collect()
}

#[test]
fn every_piece_in_the_guide_checks_clean() {
    let all = pieces(GUIDE);
    assert!(!all.is_empty(), "the guide shows pieces");
    for text in all {
        let source = Source::new("the guide", text);
        let none = |name: &str, _: &Source| Err(format!("no `{name}` here"));
        match Runbook::parse(&source, &none) {
            Ok(_) => {}
            Err(mistakes) => panic!("{}", runbook::diag::render(&source, &mistakes, false)),
        }
    }
}

#[test]
fn every_example_of_a_kind_parses() {
    for kind in KINDS.iter().filter(|kind| kind.name != "use") {
        let source = Source::new(kind.name, around(kind.example));
        let none = |name: &str, _: &Source| Err(format!("no `{name}` here"));
        if let Err(mistakes) = Runbook::parse(&source, &none) {
            panic!("{}", runbook::diag::render(&source, &mistakes, false));
        }
    }
}

/// An example inside the least that defines what it reads.
fn around(example: &str) -> String {
    let names = [
        "user",
        "scope_pks",
        "credentials_file",
        "app",
        "key",
        "unit",
        "issuer",
        "service_url",
        "host",
    ];
    let inputs: Vec<String> = names.iter().map(|name| format!("[inputs.{name}]\n")).collect();
    let connection = "[connections.api]\nbase = \"https://api.example.com/\"\n";
    let connection = if example.contains("[connections.api]") { "" } else { connection };
    format!("format = 1\nname = \"example\"\n{}{connection}{example}", inputs.concat())
}

fn keys(fields: &[Field], all: &mut Vec<&'static str>) {
    for field in fields {
        all.push(field.name);
        match field.shape {
            Shape::Table(inner) | Shape::Tables(inner) | Shape::TextsOrTables(inner) => {
                keys(inner, all);
            }
            _ => {}
        }
    }
}

#[test]
fn every_key_of_the_format_is_in_the_reference() {
    let mut all = Vec::new();
    keys(fields::TOP, &mut all);
    keys(runbook::testing::TOP, &mut all);
    for kind in KINDS {
        all.push(kind.name);
        keys(kind.fields, &mut all);
    }
    all.retain(|key| !GUIDE.contains(key));
    assert!(all.is_empty(), "docs/format.md does not say a word about {all:?}");
}
