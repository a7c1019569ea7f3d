//! What the program is built from: the licences and sources that `deny.toml` allows, and no
//! other. `cargo deny` says more; this is what a machine without it can tell.

use std::process::Command;

use serde_json::Value;

const DENY: &str = include_str!("../deny.toml");
const LOCK: &str = include_str!("../Cargo.lock");
const MANIFEST: &str = include_str!("../Cargo.toml");

/// The texts of a list in `deny.toml`.
fn allowed(table: &str, key: &str) -> Vec<String> {
    let deny: toml::Table = DENY.parse().unwrap();
    let list = deny[table][key].as_array().unwrap();
    list.iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// Whether an SPDX expression can be met with these licences.
fn met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let met = either(&mut words, allowed);
    met && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = both(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= both(words, allowed);
    }
    met
}

fn both(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let word = words.next().unwrap_or_default();
    if word == "(" {
        let met = either(words, allowed);
        return met && words.next() == Some(")");
    }
    // an exception makes it a licence of its own
    let exception = words.next_if_eq(&"WITH").and_then(|_| words.next());
    let name = exception.map_or(word.to_owned(), |exception| format!("{word} WITH {exception}"));
    allowed.contains(&name)
}

#[test]
fn licences_are_judged_as_they_are_written() {
    let allowed = ["MIT", "ISC", "Apache-2.0"].map(str::to_owned);
    for (expression, wanted) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND GPL-3.0 OR ISC", true),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("(MIT OR GPL-3.0) AND Zlib", false),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("MIT MIT", false),
        ("", false),
    ] {
        assert_eq!(met(expression, &allowed), wanted, "{expression}");
    }
}

/// What is built on this machine, as Cargo knows it.
fn packages() -> Vec<Value> {
    let said = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        let out = command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let about = said("rustc", &["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let args = ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform"];
    let metadata = said(env!("CARGO"), &[&args[..], &[host]].concat());
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[test]
fn every_package_has_a_licence_that_is_allowed() {
    let (allowed, packages) = (allowed("licenses", "allow"), packages());
    let wrong: Vec<String> = packages
        .iter()
        .map(|package| (&package["name"], package["license"].as_str().unwrap_or("none")))
        .filter(|(_, license)| !met(license, &allowed))
        .map(|(name, license)| format!("{name}: {license}"))
        .collect();
    assert!(packages.len() > 100, "the tree was not read");
    assert!(wrong.is_empty(), "not in `deny.toml`: {wrong:?}");
}

#[test]
fn every_package_comes_from_a_registry_that_is_allowed() {
    let registries = allowed("sources", "allow-registry");
    let lock: toml::Table = LOCK.parse().unwrap();
    let mut strange = Vec::new();
    for package in lock["package"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let source = package.get("source").and_then(|source| source.as_str()).unwrap_or_default();
        let known = registries.iter().any(|known| source == format!("registry+{known}"));
        // its checksum is what Cargo compares a download with
        if name != env!("CARGO_PKG_NAME") && !(known && package.get("checksum").is_some()) {
            strange.push(format!("{name} from `{source}`"));
        }
    }
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn no_dependency_takes_any_version_there_is() {
    let manifest: toml::Table = MANIFEST.parse().unwrap();
    for table in ["dependencies", "dev-dependencies"] {
        for (name, wanted) in manifest[table].as_table().unwrap() {
            let version = wanted.as_str().or_else(|| wanted.get("version")?.as_str());
            let version = version.unwrap_or_else(|| panic!("{name} has no version"));
            assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{name}: {version}");
        }
    }
    assert!(manifest["lints"]["rust"]["unsafe_code"].as_str() == Some("forbid"));
}
