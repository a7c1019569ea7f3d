//! The cases beside the bundled runbooks, all of them.

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
