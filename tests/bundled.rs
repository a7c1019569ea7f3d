//! The bundled runbooks: their cases, all of them, and the review that `check` spares a person, as
//! it is done here.

use std::path::{Path, PathBuf};

use super::support::env::Env;
use super::support::stand::say;

/// The names that `list` shows; in a fresh home there are none but the bundled ones.
fn names(env: &Env) -> Vec<String> {
    let listed = env.run(&["list"]).stdout;
    let first = |line: &str| line.split(' ').next().map(str::to_owned);
    listed.lines().filter_map(first).collect()
}

#[test]
fn the_cases_of_every_bundled_runbook_pass() {
    let env = Env::new();
    let names = names(&env);
    assert!(names.len() > 8, "{names:?}");
    let words = std::iter::once("test").chain(names.iter().map(String::as_str));
    let out = env.run(&words.collect::<Vec<_>>());
    assert_eq!(out.code, Some(0), "{}{}", out.stdout, out.stderr);
    for name in &names {
        assert!(out.stdout.contains(&format!("  {name}: ")), "`{name}` has no case");
    }
    say(out.stdout.lines().last().unwrap_or_default());
}

/// The first thing that a person does with one.
#[test]
fn every_bundled_runbook_is_rehearsed_to_its_end_without_a_word_more() {
    let env = Env::new();
    for name in names(&env) {
        let out = env.run(&["rehearse", &name, "--yes"]);
        assert_eq!(out.code, Some(0), "{name}: {}", out.stderr);
    }
}

/// All files below a folder, in the order of their names.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect();
    paths.sort();
    paths
}

#[test]
fn the_review_of_every_bundled_runbook_finds_nothing() {
    let env = Env::new();
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks");
    let mut words = vec!["check".to_owned(), "--output".to_owned(), "json".to_owned()];
    for path in below(&bundled) {
        // a person's own copy: it is not known to be sound
        let name = path.strip_prefix(&bundled).unwrap().display().to_string();
        std::fs::create_dir_all(env.path(&name).parent().unwrap()).unwrap();
        std::fs::copy(&path, env.path(&name)).unwrap();
        if !name.ends_with(".test.toml") && !name.ends_with("fake.toml") {
            words.push(name);
        }
    }
    assert_eq!(words.len() - 3, names(&env).len());
    let out = env.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    let found: Vec<serde_json::Value> = serde_json::from_str(&out.stdout).unwrap();
    let told: Vec<&str> = found.iter().filter_map(|one| one["message"].as_str()).collect();
    assert_eq!(told, [""; 0]);
}

#[test]
fn a_bundled_runbook_is_not_reviewed_again() {
    let out = Env::new().run(&["check", "add-oidc"]);
    assert_eq!(out.code, Some(0));
    assert!(!out.stderr.contains("warning"), "{}", out.stderr);
}

/// What it says is shown by a case for most of them.
#[test]
fn hints_on_a_wait_that_is_over_are_found_by_what_it_says() {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks");
    let mut hints = 0;
    for path in below(&bundled) {
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| line.contains("says = \"gave up")) {
            assert!(line.contains("says = \"gave up waiting\""), "{}: {line}", path.display());
            hints += 1;
        }
    }
    assert!(hints > 0, "no bundled runbook has such a hint");
}
