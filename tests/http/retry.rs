//! Tried again on stated conditions, as patiently as the service asks, and never when it may
//! have been done.

use super::{book, mistakes, run, says};
use crate::support::env::{Env, Output};
use crate::support::server::{Fault, Server};

/// `[[routes]]` that answer one after the other.
fn answers(method: &str, heads: &[&str]) -> String {
    let route = |head: &&str| {
        let body = if head.contains("body = ") { "" } else { "body = {}\n" };
        format!("[[routes]]\nmethod = \"{method}\"\npath = \"/x\"\ntimes = 1\n{body}{head}\n")
    };
    heads.iter().map(route).collect()
}

/// One call with this method and `retry`, to a server with these answers; how often it was made.
fn call(method: &str, retry: &str, heads: &[&str]) -> (Output, usize) {
    let server = Server::start(&answers(method, heads));
    let out = run(&Env::new(), &one(&server, method, retry));
    (out, server.requests().len())
}

fn one(server: &Server, method: &str, retry: &str) -> String {
    let step = format!(
        "[[steps]]\nid = \"x\"\nhttp = {{ on = \"api\", method = \"{method}\", url = \"x\" }}\n\
         timeout = \"500ms\"\nretry = {{ {retry} }}\n"
    );
    book(&server.url(), "", &step)
}

const QUICK: &str = "times = 2, backoff = \"1ms\"";
const GOOD: &str = "status = 201";

#[test]
fn the_time_that_a_service_asks_for_is_given_and_shown() {
    for asked in [
        "\"1\"",
        "\"Sun, 06 Nov 1994 08:49:38 GMT\"\nheaders.date = \"Sun, 06 Nov 1994 08:49:37 GMT\"",
    ] {
        for status in [429, 503] {
            let head = format!("status = {status}\nheaders.retry-after = {asked}");
            let (out, calls) = call("POST", QUICK, &[&head, GOOD]);
            says(&out, 0, &["which asks to wait 1s, again in 1.0 s", "201 Created"]);
            assert_eq!(calls, 2);
        }
    }
}

#[test]
fn a_time_beyond_the_bound_ends_the_run_and_is_named() {
    let head = "status = 429\nheaders.retry-after = \"3600\"";
    let (out, calls) = call("GET", &format!("{QUICK}, longest = \"2s\""), &[head, GOOD]);
    says(&out, 1, &["hint: the service asks to wait 3600s; `retry.longest` allows 2s"]);
    assert_eq!(calls, 1);
    let (out, calls) = call("GET", "times = 0", &[head, GOOD]);
    says(&out, 1, &["hint: the service asks to wait 3600s\n"]);
    assert_eq!(calls, 1);
}

#[test]
fn only_what_is_stated_is_tried_again() {
    let jq = "jq = '$response.status == 409 and .code == \"locked\"'";
    let locked = "status = 409\nbody = { code = \"locked\" }";
    for (method, retry, first, calls) in [
        ("GET", "", "status = 500", 2),
        ("GET", "", "status = 404", 1),
        ("GET", "on = \"404\"", "status = 404", 2),
        ("GET", "on = [\"404\", \"429\"]", "status = 500", 1),
        ("GET", "on = \"4xx\"", "status = 418", 2),
        ("POST", "on = \"409\"", "status = 409", 2),
        ("POST", jq, locked, 2),
        ("POST", jq, "status = 409\nbody = { code = \"taken\" }", 1),
        ("POST", jq, "status = 409\nbody = \"text\"", 1),
        ("GET", jq, "status = 500", 1),
    ] {
        let retry = if retry.is_empty() { QUICK } else { &format!("{QUICK}, {retry}") };
        let (out, made) = call(method, retry, &[first, GOOD]);
        assert_eq!(made, calls, "{method} {retry} {first}\n{}", out.stderr);
        assert_eq!(out.code, Some(2 - i32::try_from(calls).unwrap()), "{}", out.stderr);
    }
}

#[test]
fn what_may_have_been_done_is_never_done_again() {
    let wants = format!("{QUICK}, on = [\"5xx\", \"timeout\", \"connection\"]");
    for head in ["status = 500", "status = 502\nheaders.retry-after = \"0\"", "status = 503"] {
        let (out, calls) = call("POST", &wants, &[head, GOOD]);
        says(&out, 5, &["may or may not have happened"]);
        assert_eq!(calls, 1, "{head}");
    }
    for fault in [Fault::Hold, Fault::Close, Fault::Cut] {
        for (method, code, calls) in [("POST", 5, 1), ("PUT", 0, 2), ("GET", 0, 2)] {
            let server = Server::start(&answers(method, &[GOOD, GOOD]));
            server.fault_at(1, fault);
            let out = run(&Env::new(), &one(&server, method, &wants));
            assert_eq!(out.code, Some(code), "{}", out.stderr);
            assert_eq!(server.requests().len(), calls, "{method} {fault:?}\n{}", out.stderr);
        }
    }
}

#[test]
fn a_call_that_was_never_sent_is_made_again() {
    let server = Server::start(&answers("POST", &[GOOD]));
    server.stop();
    let env = Env::new();
    std::fs::write(env.path("calls.toml"), one(&server, "POST", "times = 1, backoff = \"0s\""))
        .unwrap();
    let out = env.run(&["run", "calls.toml"]);
    says(&out, 1, &["attempt 1 failed", "connection refused"]);
    let (out, _) = call("POST", "times = 1, on = \"timeout\"", &[]);
    assert!(!out.stderr.contains("attempt 1 failed"), "{}", out.stderr);
}

#[test]
fn look_ups_wait_and_say_so_too() {
    let server = Server::start(
        "[[routes]]\npath = \"/x\"\nstatus = 429\ntimes = 1\nheaders.retry-after = \"0\"\n\
         [[routes]]\npath = \"/x\"\nbody = []\n[[routes]]\nmethod = \"POST\"\npath = \"/x\"\nbody = {}\n",
    );
    let step = "[[steps]]\nid = \"x\"\nhttp = { on = \"api\", method = \"POST\", url = \"x\" }\n\
                [steps.already]\nhttp = { on = \"api\", url = \"x\" }\nfind = \".[]\"\nsame = \"true\"\n";
    let out = run(&Env::new(), &book(&server.url(), "retry = { backoff = \"1ms\" }", step));
    says(
        &out,
        0,
        &["retry x  attempt 1 failed: GET http://", "answered 429 Too Many Requests, again in"],
    );
}

#[test]
fn a_condition_that_does_not_exist_is_found_by_check() {
    let step = "[[steps]]\nid = \"x\"\nhttp = { on = \"api\", url = \"x\" }\nretry = { on = [\"5xx\", \"time-out\"] }\n";
    let said = mistakes(step);
    assert!(said.contains("`on` cannot be `time-out`"), "{said}");
    assert!(said.contains("did you mean `timeout`?"), "{said}");
}
