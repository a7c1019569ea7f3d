//! The documented exit codes: one test each. 70 needs a bug of ours and has none.

use super::support::env::{Env, Output};
use super::support::server::{Fault, Server};

const NOTE: &str = "format = 1\nname = \"say\"\n[[steps]]\nid = \"say\"\nnote = \"hello\"\n";

fn with(book: &str) -> Env {
    let env = Env::new();
    std::fs::write(env.path("book.toml"), book).unwrap();
    env
}

fn ends(output: &Output, code: i32) {
    assert_eq!(output.code, Some(code), "{output:?}");
}

/// A runbook that makes one thing on a server.
fn posts(server: &Server) -> Env {
    let url = server.url();
    with(&format!(
        "format = 1\nname = \"make\"\n[connections.api]\nbase = \"{url}/\"\n\
         [[steps]]\nid = \"make\"\nhttp = {{ on = \"api\", method = \"POST\", url = \"things\" }}\n"
    ))
}

const MADE: &str = "[[routes]]\nmethod = \"POST\"\npath = \"/things\"\nstatus = 201\n";

#[test]
fn zero_is_done() {
    let env = with(NOTE);
    ends(&env.run(&["run", "book.toml"]), 0);
    ends(&env.run(&["resume", "r1"]), 0);
    ends(&env.run(&["--help"]), 0);
}

#[test]
fn the_version_is_one_however_it_is_asked_for() {
    let env = Env::new();
    let version = env.run(&["--version"]);
    ends(&version, 0);
    assert_eq!(version.stdout, concat!("runbook ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(env.run(&["-V"]), version);
    assert_eq!(env.run(&["--version", "run"]), version);
}

#[test]
fn one_is_a_step_that_failed() {
    let env = with("format = 1\nname = \"no\"\n[[steps]]\nid = \"no\"\ngate = \"1 > 2\"\n");
    ends(&env.run(&["run", "book.toml"]), 1);
    ends(&env.run(&["resume"]), 1);
}

#[test]
fn two_is_a_command_line_or_an_input_that_is_wrong() {
    let env = with(NOTE);
    ends(&env.run(&["run", "book.toml", "--frob"]), 2);
    ends(&env.run(&["run", "nowhere.toml"]), 2);
    ends(&env.run(&["run", "book.toml", "--input", "name=x"]), 2);
    ends(&env.run(&["resume"]), 2);
    ends(&env.run(&["log", "r1"]), 2);
}

#[test]
fn three_is_a_runbook_with_mistakes() {
    let env = with("format = 1\nname = \"bad\"\n[[steps]]\nid = \"a\"\ngate = \"nowhere > 1\"\n");
    ends(&env.run(&["check", "book.toml"]), 3);
    ends(&env.run(&["run", "book.toml"]), 3);
    ends(&env.run(&["plan", "book.toml"]), 3);
}

#[test]
fn four_is_waiting_for_a_person() {
    let env = with("format = 1\nname = \"ask\"\n[[steps]]\nid = \"ask\"\nprompt = \"Which?\"\n");
    ends(&env.run(&["run", "book.toml"]), 4);
    ends(&env.run(&["resume"]), 4);
    ends(&env.run(&["resume", "--answer", "ask=this"]), 0);
}

#[test]
fn five_is_in_doubt() {
    let server = Server::start(MADE);
    server.fault_at(1, Fault::Close);
    let env = posts(&server);
    ends(&env.run(&["run", "book.toml"]), 5);
    ends(&env.run(&["resume"]), 5);
    assert_eq!(server.requests().len(), 1, "never repeated silently");
    ends(&env.run(&["resume", "--done", "make"]), 0);
}

#[test]
fn one_hundred_and_thirty_is_interrupted() {
    let server = Server::start(MADE);
    server.fault_at(1, Fault::Hold);
    let env = posts(&server);
    let running = env.start(&["run", "book.toml"]);
    server.wait_for(1);
    ends(&running.interrupt(), 130);
}

#[test]
fn one_hundred_and_thirty_is_a_request_to_end_too() {
    let server = Server::start(MADE);
    server.fault_at(1, Fault::Hold);
    let env = posts(&server);
    let running = env.start(&["run", "book.toml"]);
    server.wait_for(1);
    ends(&running.signal(rustix::process::Signal::TERM), 130);
}
