//! The tree polices itself: these tests read the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

/// The most lines a source file may have.
const LINES: usize = 600;

/// Services the engine must not know: what is about them belongs into `runbooks/`.
const SERVICES: [&str; 6] =
    ["authentik", "vaultwarden", "headscale", "headplane", "caddy", "proxmox"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder: its path from the root, and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((relative(&path), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    let relative: PathBuf = path.strip_prefix(root()).unwrap().components().collect();
    relative.to_str().unwrap().to_owned()
}

fn both() -> impl Iterator<Item = (String, String)> {
    sources("src").into_iter().chain(sources("tests"))
}

fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// The modules named by the `mod` lines of a text, in their order.
fn modules(text: &str) -> Vec<String> {
    let line = Regex::new(r"(?m)^(?:pub(?:\([a-z]+\))? )?mod ([a-z_0-9]+);").unwrap();
    line.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// Top-level modules a text reaches through `crate::…` or as many `super::` as lead there from a
/// file `depth` modules deep, with the number of the line.
fn reached(text: &str, depth: usize) -> Vec<(usize, String)> {
    let path = Regex::new(r"\b(crate::|(?:super::)+)(?:([a-z_0-9]+)|\{([^;]*)\})").unwrap();
    // what stands in a module of the file's own, its tests, is one deeper
    let inner = Regex::new(r"(?m)^mod [a-z_]+ \{").unwrap();
    let inner = inner.find(text).map_or(text.len(), |found| found.start());
    let mut found = Vec::new();
    for captures in path.captures_iter(text) {
        let start = captures.get(0).unwrap().start();
        let top = depth + usize::from(start > inner);
        if &captures[1] != "crate::" && captures[1].matches("super::").count() != top {
            continue;
        }
        let line = text[..start].matches('\n').count() + 1;
        if let Some(name) = captures.get(2) {
            found.push((line, name.as_str().to_owned()));
        } else {
            found.extend(heads(&captures[3]).into_iter().map(|head| (line, head)));
        }
    }
    found.retain(|(line, _)| !is_comment(text.lines().nth(line - 1).unwrap_or_default()));
    found
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// The first names of a list `a::{b, c}, d`: `a`, `d`.
fn heads(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = vec![String::new()];
    for char in list.chars() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            _ if depth == 0 => names.last_mut().unwrap().push(char),
            _ => {}
        }
    }
    let first = |name: &String| name.split("::").next().unwrap_or_default().trim().to_owned();
    names.iter().map(first).filter(|name| !name.is_empty()).collect()
}

/// Upward uses in a file of the module `module`, `depth` modules deep.
fn upward(order: &[String], module: &str, depth: usize, text: &str) -> Vec<String> {
    let place = |name: &str| order.iter().position(|known| known == name);
    let Some(own) = place(module) else { return Vec::new() };
    reached(text, depth)
        .into_iter()
        .filter(|(_, used)| place(used).is_some_and(|used| used < own))
        .map(|(line, used)| format!("{line}: `{module}` uses `{used}`, which stands above it"))
        .collect()
}

#[test]
fn modules_use_only_what_stands_below_them() {
    let order = modules(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    assert!(!order.is_empty());
    let mut problems = Vec::new();
    for (path, text) in sources("src") {
        let first = path["src/".len()..].split('/').next().unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first);
        if module != "cli" {
            let found = upward(&order, module, path.matches('/').count(), &text);
            problems.extend(found.into_iter().map(|problem| format!("{path}:{problem}")));
        }
    }
    none(&problems);
}

#[test]
fn an_upward_use_is_seen_in_every_spelling() {
    let order = ["top", "middle", "low"].map(str::to_owned);
    for text in [
        "use crate::top::X;",
        "use crate::{low, top::{X, Y}};",
        "use crate::{\n    low::{A, B},\n    top,\n};",
        "fn f() { crate::top::g() }",
        "use super::super::top::X;",
        "use super::super::{low, top::X};",
        "mod tests {\n    use super::super::super::top::X;\n}",
    ] {
        assert_eq!(upward(&order, "middle", 2, text).len(), 1, "{text}");
    }
    for text in [
        "use crate::low::top;",
        "// crate::top",
        "/// [`crate::top`]",
        "use crate::{low::{top}};",
        "use super::top::X;",
        "mod tests {\n    use super::super::top::X;\n}",
    ] {
        assert_eq!(upward(&order, "middle", 2, text), [""; 0], "{text}");
    }
}

#[test]
fn nothing_unfinished_is_left_behind() {
    // Written apart, so that this file does not accuse itself.
    let marks =
        [["to", "do!("], ["db", "g!("], ["FIX", "ME"], ["XX", "X"]].map(|mark| mark.concat());
    let mut problems = Vec::new();
    for (path, text) in both() {
        for (number, line) in text.lines().enumerate() {
            for mark in marks.iter().filter(|mark| line.contains(mark.as_str())) {
                problems.push(format!("{path}:{}: `{mark}`", number + 1));
            }
        }
    }
    none(&problems);
}

#[test]
fn modules_are_named_files() {
    let found = both().map(|(path, _)| path).filter(|path| path.ends_with("/mod.rs"));
    none(&found.map(|path| format!("{path}: name the file after the module")).collect::<Vec<_>>());
}

#[test]
fn source_files_stay_readable() {
    let long = both().map(|(path, text)| (path, text.lines().count()));
    let long = long.filter(|(_, lines)| *lines > LINES);
    none(&long.map(|(path, lines)| format!("{path}: {lines} lines, split it")).collect::<Vec<_>>());
}

#[test]
fn every_test_file_is_in_the_binary() {
    let listed: BTreeSet<String> =
        modules(&fs::read_to_string(root().join("tests/main.rs")).unwrap()).into_iter().collect();
    let mut problems = Vec::new();
    for (path, _) in sources("tests") {
        let name = path.strip_prefix("tests/").and_then(|name| name.strip_suffix(".rs")).unwrap();
        if !name.contains('/') && name != "main" && !listed.contains(name) {
            problems.push(format!("{path}: not listed in tests/main.rs, so it never runs"));
        }
    }
    none(&problems);
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut problems = Vec::new();
    let (mut inside, mut before) = (false, "");
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside
            && line.contains('=')
            && !line.starts_with(['#', ' ', ']', '}'])
            && !before.starts_with("# ")
        {
            problems.push(format!("Cargo.toml: no comment above `{line}`"));
        }
        before = line;
    }
    none(&problems);
}

#[test]
fn the_engine_names_no_service() {
    let mut problems = Vec::new();
    for (path, text) in sources("src") {
        for (number, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            for name in SERVICES.iter().filter(|name| lower.contains(**name)) {
                problems.push(format!("{path}:{}: names `{name}`", number + 1));
            }
        }
    }
    none(&problems);
}

#[test]
fn every_promise_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let quoted = Regex::new("`([^`]+)`").unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let rows: Vec<_> = rows.filter(|(promise, _)| *promise != "promise").collect();
    let mut problems = Vec::new();
    for (promise, held) in &rows {
        let (mut text, mut tests) = (String::new(), 0);
        for word in quoted.captures_iter(held).map(|found| found[1].to_owned()) {
            if Path::new(&word).extension().is_some_and(|ending| ending == "rs") {
                text = fs::read_to_string(root().join(&word)).unwrap_or_default();
            } else if text.contains(&format!("fn {word}(")) {
                tests += 1;
            } else {
                problems.push(format!("docs/security.md: {promise}: there is no `{word}`"));
            }
        }
        if tests == 0 {
            problems.push(format!("docs/security.md: {promise}: names no test"));
        }
    }
    assert!(rows.len() > 10, "the table was not found");
    none(&problems);
}
