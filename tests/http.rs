//! HTTP as people meet it: limits, pages, files, sessions, sockets, proxies, certificates.
//!
//! The built program against real servers on loopback.

mod files;
mod paginate;
mod retry;
mod sessions;
mod tls;
mod ways;

use crate::support::env::{Env, Output};

/// A runbook of these steps, with a connection `api` to a server that has these keys besides.
fn book(url: &str, connection: &str, steps: &str) -> String {
    format!(
        "format = 1\nname = \"calls\"\n[connections.api]\nbase = \"{url}/\"\n{connection}\n{steps}"
    )
}

/// Writes the runbook and runs it.
fn run(env: &Env, book: &str) -> Output {
    std::fs::write(env.path("calls.toml"), book).unwrap();
    env.run(&["run", "calls.toml", "--trust"])
}

/// What `check` says of a runbook that has mistakes.
fn mistakes(steps: &str) -> String {
    let env = Env::new();
    std::fs::write(env.path("calls.toml"), book("http://127.0.0.1:1", "", steps)).unwrap();
    let out = env.run(&["check", "calls.toml"]);
    assert_eq!(out.code, Some(3), "{}", out.stderr);
    out.stderr
}

#[track_caller]
fn says(out: &Output, code: i32, parts: &[&str]) {
    assert_eq!(out.code, Some(code), "{}", out.stderr);
    for part in parts {
        assert!(out.stderr.contains(part), "`{part}` is not in\n{}", out.stderr);
    }
}
