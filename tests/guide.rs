//! The documents say what holds. The guide's first part is the session of a transcript case; the
//! pieces behind it are one runbook with its fake and its tests, and all of it is run.

use std::collections::BTreeSet;
use std::path::Path;

use regex_lite::Regex;
use runbook::fake::Fake;
use runbook::reader::{Field, Shape};
use runbook::runbook::{Runbook, fields};
use runbook::source::Source;
use runbook::step::KINDS;
use runbook::value::Json;

use super::support::env::Env;
use super::support::transcript;

const GUIDE: &str = include_str!("../docs/format.md");
const FAKES: &str = include_str!("../docs/fake.md");
const README: &str = include_str!("../README.md");

/// The fenced blocks of a page: what stands behind the fence, and the text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("\n```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).collect()
}

/// The guide's first part, and what stands behind it.
fn parts() -> (&'static str, &'static str) {
    GUIDE.split_once("\n## Reference\n").unwrap()
}

/// The guide's files of the first part: the runbook, the fake, the tests.
fn files() -> [String; 3] {
    let files = blocks(parts().0).into_iter().filter(|(info, _)| *info == "toml");
    let files: Vec<String> = files.map(|(_, text)| format!("{text}\n")).collect();
    files.try_into().unwrap()
}

/// A transcript as the guide shows it: without streams and codes.
fn told(session: &str) -> String {
    let mark = |line: &&str| *line != "stdout:" && !line.starts_with("? ");
    session.lines().filter(mark).flat_map(|line| [line, "\n"]).collect()
}

/// What the guide has in the place of what varies.
fn varied(block: &str) -> String {
    let folder = Regex::new(r"/tmp/runbook-rehearsal-\w+").unwrap();
    let block = block.replace("127.0.0.1:8123", "[FAKE]").replace("/home/ada", "[DIR]");
    // a test takes any port that is free
    let block = block.replace("--port 8123", "--port 0");
    let block = folder.replace_all(&block, "[REHEARSAL]");
    Regex::new(r"\b\d+ ms\b").unwrap().replace_all(&block, "[TIME]").into_owned()
}

#[test]
fn the_first_part_is_the_session_of_its_case() {
    let case = transcript::folder().join("guide-add-user/session.txt");
    let session = std::fs::read_to_string(case).unwrap();
    let session = told(&session);
    let mut at = 0;
    for (info, text) in blocks(parts().0) {
        let wanted = match info {
            "toml" => format!("<<EOF\n{text}\nEOF\n"),
            "console" => varied(&format!("{text}\n")),
            "sh" => continue,
            other => panic!("a block of `{other}`"),
        };
        let found = session[at..].find(&wanted);
        at += found.unwrap_or_else(|| panic!("not in the session from there on:\n{wanted}"));
        at += wanted.len();
    }
    let shown = varied(parts().0);
    for line in session.lines().filter(|line| line.contains("runbook ") && line.starts_with("$ ")) {
        let written = line.starts_with("$ write ");
        assert!(written || shown.contains(&format!("\n{line}\n")), "not in the guide: {line}");
    }
}

/// The pieces behind the first part, of one language, one after the other.
fn pieces(info: &str) -> String {
    let found = blocks(parts().1).into_iter().filter(|(name, _)| *name == info);
    found.flat_map(|(_, text)| [text, "\n\n"]).collect()
}

/// The three files that the pieces make, behind the first part's inputs, connection and fake.
fn assembled() -> [String; 3] {
    let [book, fake, _] = files();
    let shared = &book[book.find("[inputs").unwrap()..book.find("[[steps]]").unwrap()];
    let book = format!("format = 1\nname = \"reference\"\n{shared}{}", pieces("toml"));
    let more = pieces("toml fake");
    let (top, tables) = more.split_at(more.find("\n[").unwrap());
    let rest = include_str!("data/guide-fake.toml");
    let tests = format!("format = 1\n\n{}", pieces("toml test"));
    [book, format!("{top}\n{fake}{tables}{rest}"), tests]
}

#[test]
fn the_pieces_are_a_runbook_that_is_rehearsed_and_tested() {
    for (info, _) in blocks(parts().1) {
        assert!(["toml", "toml fake", "toml test"].contains(&info), "a block of `{info}`");
    }
    let env = Env::new();
    let [book, fake, tests] = assembled();
    for (name, text) in [
        ("reference.toml", book),
        ("fake.toml", fake),
        ("reference.test.toml", tests),
        ("add-user.toml", files()[0].clone()),
    ] {
        std::fs::write(env.path(name), text).unwrap();
    }
    for args in [
        &["check", "--deny", "warnings", "reference.toml"][..],
        &["test", "reference.toml"],
        &["rehearse", "reference.toml", "--yes", "--answer", "admin=grace"],
    ] {
        let output = env.run(args);
        assert_eq!(output.code, Some(0), "{args:?}:\n{}{}", output.stderr, output.stdout);
    }
}

/// The mistakes of a runbook that may use any other.
fn parsed(name: &str, text: &str) {
    let source = Source::new(name, text);
    let other = "format = 1\nname = \"other\"\n[inputs.host]\n[[steps]]\nid = \"inner_id\"\njq = \"$host\"\n";
    let find = |_: &str, _: &Source| Ok(Source::new("other.toml", other));
    if let Err(mistakes) = Runbook::parse(&source, &find) {
        panic!("{}", runbook::diag::render(&source, &mistakes, false, None));
    }
}

#[test]
fn what_other_pages_show_parses() {
    let books: Vec<_> =
        blocks(README).into_iter().filter(|(_, text)| text.starts_with("format = 1")).collect();
    assert!(!books.is_empty());
    for (_, text) in books {
        parsed("README.md", text);
    }
    let fake: Vec<String> = blocks(FAKES).iter().map(|(_, text)| format!("{text}\n")).collect();
    let source = Source::new("docs/fake.md", fake.concat());
    if let Err(mistakes) = Fake::parse(&source) {
        panic!("{}", runbook::diag::render(&source, &mistakes, false, None));
    }
}

#[test]
fn every_example_of_a_kind_parses() {
    for kind in KINDS {
        parsed(kind.name, &around(kind.example));
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
    format!("format = 1\nname = \"example\"\n{}{connection}{example}", inputs.concat())
}

/// A key with the tables it stands in: `steps.already.http.url`.
type Keys = BTreeSet<String>;

/// Every key that a format has below a table. A kind's are told once, under its own name.
fn all(under: &str, fields: &[Field], keys: &mut Keys) {
    for field in fields {
        keys.insert(format!("{under}{}", field.name));
        match field.shape {
            Shape::Table(inner)
            | Shape::Tables(inner)
            | Shape::TextsOrTables(inner)
            | Shape::Named(inner)
            | Shape::NamedOrJq(inner) => all(&format!("{under}{}.", field.name), inner, keys),
            _ => {}
        }
    }
}

/// Every key that a file has, named in the same way.
fn used(under: &str, fields: &[Field], file: &Json, keys: &mut Keys) {
    let Some(table) = file.as_object() else { return };
    for (key, value) in table {
        let Some(field) = fields.iter().find(|field| field.name == key) else {
            if let Some(kind) = KINDS.iter().find(|kind| kind.name == key) {
                keys.insert(kind.name.to_owned());
                keys.extend(kind.plain.map(|plain| format!("{key}.{plain}")));
                used(&format!("{key}."), kind.fields, value, keys);
            }
            continue;
        };
        keys.insert(format!("{under}{key}"));
        let inside = format!("{under}{key}.");
        let items: Vec<&Json> = match (field.shape, value) {
            (Shape::Named(_) | Shape::NamedOrJq(_), Json::Object(named)) => {
                named.values().collect()
            }
            (_, Json::Array(items)) => items.iter().collect(),
            _ => vec![value],
        };
        let inner = match field.shape {
            Shape::Table(inner)
            | Shape::Tables(inner)
            | Shape::TextsOrTables(inner)
            | Shape::Named(inner)
            | Shape::NamedOrJq(inner) => inner,
            Shape::Step => &[],
            _ => continue,
        };
        for item in items {
            used(&inside, inner, item, keys);
        }
    }
}

/// What kind of file it is, by its name.
fn format_of(name: &str) -> (&'static str, &'static [Field]) {
    match name {
        "fake.toml" => ("fake", runbook::fake::parse::TOP),
        _ if name.ends_with(".test.toml") => ("test", runbook::testing::TOP),
        _ => ("runbook", fields::TOP),
    }
}

fn formats() -> [(&'static str, Keys); 3] {
    ["x.toml", "fake.toml", "x.test.toml"].map(|name| {
        let (format, top) = format_of(name);
        let mut keys = Keys::new();
        all("", top, &mut keys);
        for kind in KINDS.iter().filter(|_| format == "runbook") {
            keys.insert(kind.name.to_owned());
            all(&format!("{}.", kind.name), kind.fields, &mut keys);
        }
        (format, keys)
    })
}

#[test]
fn every_key_of_the_format_is_in_the_reference() {
    let words: BTreeSet<&str> = parts().1.split('`').skip(1).step_by(2).collect();
    for (format, keys) in formats() {
        let word = |key: &String| key.rsplit('.').next().is_some_and(|key| words.contains(key));
        let missing: Vec<_> = keys.iter().filter(|key| !word(key)).collect();
        assert!(
            missing.is_empty(),
            "the reference does not say a word about {format}: {missing:?}"
        );
    }
}

#[test]
fn every_key_of_the_format_is_in_its_schema() {
    let schemas = [
        include_str!("../docs/runbook.schema.json"),
        include_str!("../docs/fake.schema.json"),
        include_str!("../docs/test.schema.json"),
    ];
    for ((format, keys), schema) in formats().into_iter().zip(schemas) {
        let property = |key: &str| schema.contains(&format!("\"{key}\": {{"));
        let missing: Vec<_> =
            keys.iter().filter(|key| !property(key.rsplit('.').next().unwrap())).collect();
        assert!(missing.is_empty(), "the schema of a {format} has no {missing:?}");
    }
}

/// The files that tests run: those of transcripts, the bundled ones, and the guide's.
fn tested(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            tested(&path, found);
        } else if path.extension().is_some_and(|end| end == "toml") {
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_key_of_the_format_is_in_a_file_that_a_test_runs() {
    let mut files = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for below in ["tests/cases", "runbooks"] {
        tested(&root.join(below), &mut files);
    }
    let names = ["reference.toml", "fake.toml", "reference.test.toml"].map(str::to_owned);
    files.extend(names.into_iter().zip(assembled()));
    let mut seen: [Keys; 3] = Default::default();
    for (name, text) in files {
        // those that show what is no TOML
        let Ok(file) = toml::from_str::<Json>(&text) else { continue };
        let (format, top) = format_of(&name);
        let at = ["runbook", "fake", "test"].iter().position(|known| *known == format).unwrap();
        used("", top, &file, &mut seen[at]);
    }
    for ((format, keys), seen) in formats().into_iter().zip(seen) {
        let missing: Vec<_> = keys.difference(&seen).collect();
        assert!(missing.is_empty(), "no test runs a {format} with {missing:?}");
    }
}
