//! A token whose time is over on the way: asked for in a real terminal, and renewed by runs that
//! are killed wherever they can be. What a renewal looks like is in the cases `renewed-*`.

use serde_json::{Value, json};

use crate::support::env::{Env, Output, Running};
use crate::support::server::{Answer, Request, Server};
use crate::support::stand::sweep;
use crate::support::terminal::Terminal;

const OLD: &str = "first-token-1";
const NEW: &str = "second-token-2";

/// A book over a service that takes only the new token, and creates once.
fn stand(already: bool) -> (Env, Server) {
    let mut things = 0;
    let server = Server::handling(Box::new(move |request: &Request| {
        let good = request.headers.get("authorization") == Some(&format!("Bearer {NEW}"));
        let created = good && request.method == "POST";
        things += usize::from(created);
        let (status, body) = match (good, created) {
            (false, _) => (401, json!({ "detail": "token expired" })),
            (_, true) => (201, json!({ "id": things })),
            (_, false) => {
                (200, json!((1..=things).map(|id| json!({ "id": id })).collect::<Value>()))
            }
        };
        let headers = [("content-type".to_owned(), "application/json".to_owned())];
        Answer { status, headers: headers.into(), body: body.to_string() }
    }));
    let env = Env::new();
    let already = "[steps.already]\nhttp = { on = \"api\", url = \"things\" }\nfind = \".[]\"\nsame = \"true\"\n"
        .repeat(usize::from(already));
    let book = format!(
        r#"
format = 1
name   = "book"

[inputs.token]
secret = true
about  = "Made at the service, under *Tokens*."
from   = [{{ env = "TOKEN" }}, {{ file = "token.txt" }}]

[connections.api]
base    = "{url}/"
headers = {{ authorization = "Bearer {{{{ token }}}}" }}
renew   = {{ input = "token" }}

[[steps]]
id     = "make"
http   = {{ on = "api", method = "POST", url = "things", json = {{}} }}
save.id = ".id"
{already}
[[steps]]
id   = "look"
http = {{ on = "api", url = "things" }}
save.count = "length"

[[steps]]
id   = "look_too"
http = {{ on = "api", url = "things" }}
"#,
        url = server.url()
    );
    std::fs::write(env.path("book.toml"), book).unwrap();
    (env, server)
}

/// The program with the old token in the environment, to be killed at its n-th point; 0: never.
fn go(env: &Env, args: &[&str], crash_at: u64) -> Output {
    let mut command = env.command(args);
    command.env("TOKEN", OLD).env(runbook::crash::VARIABLE, crash_at.to_string());
    Running::start(command, "").finish()
}

fn events(env: &Env) -> Vec<Value> {
    let out = env.run(&["log", "r1", "--output", "jsonl"]);
    out.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn posts(server: &Server, token: &str) -> usize {
    let sent = |request: &Request| {
        request.method == "POST" && request.headers["authorization"] == format!("Bearer {token}")
    };
    server.requests().iter().filter(|request| sent(request)).count()
}

#[test]
fn a_person_is_asked_once_and_what_they_typed_is_kept() {
    let (env, server) = stand(false);
    let mut env = env;
    env.set("TOKEN", OLD);
    let mut terminal = Terminal::start(&env, &["run", "--trust", "./book.toml"]);
    terminal.expect("Made at the service");
    terminal.expect("token, as the one so far is not taken any more");
    // The refused one is not taken for new.
    terminal.line(OLD);
    terminal.expect("that one was refused");
    terminal.keys(&"\x7f".repeat(OLD.len()));
    terminal.line(NEW);
    let (rest, code) = terminal.finish();
    assert_eq!(code, Some(0), "{rest}");
    assert_eq!(rest.matches("Made at the service").count(), 1, "asked again: {rest}");
    assert!(!rest.contains(NEW), "{rest}");
    assert_eq!((posts(&server, OLD), posts(&server, NEW)), (1, 1));
    let all = events(&env);
    let renewed: Vec<&Value> = all.iter().filter(|event| event["event"] == "renewed").collect();
    assert_eq!(renewed.len(), 1, "{all:?}");
    assert_eq!((&renewed[0]["step"], &renewed[0]["origin"]), (&json!("make"), &json!("asked")));
}

#[test]
fn reads_at_once_ask_once() {
    let (env, server) = stand(false);
    let book = std::fs::read_to_string(env.path("book.toml")).unwrap();
    let (head, steps) = book.split_at(book.find("[[steps]]").unwrap());
    let reads = steps.split_once("[[steps]]\nid   = \"look\"").unwrap().1;
    let reads = format!("{head}[[steps]]\nid   = \"look\"{reads}");
    std::fs::write(env.path("book.toml"), reads).unwrap();
    let mut env = env;
    env.set("TOKEN", OLD);
    let mut terminal = Terminal::start(&env, &["run", "--trust", "./book.toml"]);
    terminal.expect("Made at the service");
    terminal.expect("token, as the one so far is not taken any more");
    terminal.line(NEW);
    let (rest, code) = terminal.finish();
    assert_eq!(code, Some(0), "{rest}");
    assert_eq!(rest.matches("Made at the service").count(), 1, "asked twice: {rest}");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_wrong_one_is_asked_for_once_in_a_step_and_the_run_can_be_resumed() {
    let (env, server) = stand(false);
    let mut env = env;
    env.set("TOKEN", OLD);
    let mut terminal = Terminal::start(&env, &["run", "--trust", "./book.toml"]);
    terminal.expect("token, as the one so far is not taken any more");
    terminal.line("neither-of-both");
    let (rest, code) = terminal.finish();
    assert_eq!(code, Some(1), "{rest}");
    assert!(rest.contains("answered 401 Unauthorized"), "{rest}");
    assert!(!rest.contains("neither-of-both"), "{rest}");
    let mut terminal = Terminal::start(&env, &["resume"]);
    terminal.expect("token, as the one so far is not taken any more");
    terminal.control('c');
    let (rest, code) = terminal.finish();
    assert_eq!(code, Some(130), "{rest}");
    std::fs::write(env.path("token.txt"), NEW).unwrap();
    let out = env.run(&["resume"]);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert_eq!(posts(&server, NEW), 1);
}

#[test]
fn a_renewal_killed_at_any_point_is_finished_by_resume_and_nothing_is_done_twice() {
    for already in [true, false] {
        let doubts = std::sync::atomic::AtomicUsize::new(0);
        let after_renewal = std::sync::atomic::AtomicUsize::new(0);
        sweep(&format!("renewal killed, already: {already}"), |n| {
            let (env, server) = stand(already);
            std::fs::write(env.path("token.txt"), NEW).unwrap();
            let killed = go(&env, &["run", "--trust", "./book.toml"], n).code.is_none();
            if killed {
                let last = events(&env).pop().map(|event| event["event"].clone());
                let mut out = go(&env, &["resume"], 0);
                if out.code == Some(2) {
                    out = go(&env, &["run", "--trust", "./book.toml"], 0);
                }
                if last == Some(json!("refused")) || last == Some(json!("renewed")) {
                    // Refused, so not done: there is no doubt about it.
                    assert_eq!(out.code, Some(0), "point {n}: {}", out.stderr);
                    after_renewal.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                if out.code == Some(5) && !already {
                    doubts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let how = if posts(&server, NEW) == 0 { "--redo" } else { "--done" };
                    let more = ["--save", "id=1"];
                    let more = if how == "--done" { &more[..] } else { &[] };
                    let args = [&["resume", how, "make"], more].concat();
                    out = go(&env, &args, 0);
                }
                assert_eq!(out.code, Some(0), "point {n}: {}", out.stderr);
            }
            assert_eq!(posts(&server, NEW), 1, "point {n}");
            killed
        });
        assert!(after_renewal.into_inner() > 0, "no point lies behind the renewal");
        assert_eq!(doubts.into_inner() > 0, !already);
    }
}
