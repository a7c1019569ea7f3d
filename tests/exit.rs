//! The documented exit codes: one test each. 70 needs a bug of ours and has none.

use std::fs::File;
use std::process::Stdio;

use super::support::env::{Env, Output, Running};
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

/// What a command says whose stdout is this.
fn onto(stdout: impl Into<Stdio>, env: &Env, args: &[&str]) -> Output {
    let said = env.command(args).stdout(stdout).output().unwrap();
    let stderr = String::from_utf8(said.stderr).unwrap();
    Output { stdout: String::new(), stderr, code: said.status.code() }
}

/// A disk without room.
fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

const FULL: &str =
    "error: what was to be shown could not be written: No space left on device (os error 28)\n";

#[test]
fn one_is_data_that_could_not_be_written() {
    let env = with(NOTE);
    ends(&env.run(&["run", "book.toml"]), 0);
    let commands = [
        "--version",
        "--help",
        "schema",
        "show book.toml",
        "list",
        "list --output jsonl",
        "kinds",
        "explain",
        "completions bash",
        "check book.toml --output json",
        "runs",
        "log",
        "rehearse list-oidc --yes --output jsonl",
    ];
    for command in commands {
        let args: Vec<&str> = command.split(' ').collect();
        let said = onto(full(), &env, &args);
        assert!(said.stderr.ends_with(FULL), "{command}: {said:?}");
        ends(&said, 1);
    }
}

#[test]
fn a_run_whose_events_could_not_be_written_is_in_the_journal() {
    let env = with(NOTE);
    let said = onto(full(), &env, &["run", "book.toml", "--output", "jsonl"]);
    let hint = "hint: the run is in the journal all the same: `runbook log --output jsonl` shows its events\n";
    assert_eq!(said.stderr, format!("{FULL}{hint}"));
    ends(&said, 1);
    let log = env.run(&["log", "--output", "jsonl"]);
    assert!(log.stdout.ends_with('\n') && log.stdout.contains("\"outcome\":\"done\""), "{log:?}");
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let env = with(NOTE);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let said = onto(writer, &env, &["schema"]);
    assert_eq!(said.stderr, "");
    ends(&said, 0);
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

/// What a command says where no file may grow beyond so many blocks of 512 bytes.
fn limited(env: &Env, blocks: u32, args: &[&str]) -> Output {
    let mut shell = env.any("sh");
    let line = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
    shell.args(["-c", &line]).arg(env!("CARGO_BIN_EXE_runbook")).args(args);
    Running::start(shell, "").finish()
}

#[test]
fn one_is_a_file_that_may_not_grow_before_anything_is_done_too() {
    let env = with(NOTE);
    let out = limited(&env, 1, &["run", "book.toml"]);
    ends(&out, 1);
    assert!(out.stderr.contains("journal.db`: disk I/O error\nhint: mend"), "{}", out.stderr);
    // nothing is left that keeps the next from its work
    ends(&env.run(&["run", "book.toml"]), 0);
    let new = ["new", "b", "--base", "http://127.0.0.1", "--auth", "none", "--first", "x"];
    for args in [&["run", "book.toml"][..], &["forget", "r1"], &["key", "rotate"], &new] {
        let out = limited(&env, 0, args);
        ends(&out, 1);
        assert!(out.stderr.starts_with("error: "), "{args:?}: {}", out.stderr);
    }
    ends(&env.run(&["run", "book.toml"]), 0);
    assert!(env.run(&["runs"]).stdout.contains("r1 "), "what was stored is still there");
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

#[test]
fn one_hundred_and_thirty_is_a_terminal_that_is_gone_too() {
    let server = Server::start(MADE);
    server.fault_at(1, Fault::Hold);
    let env = posts(&server);
    let running = env.start(&["run", "book.toml"]);
    server.wait_for(1);
    let out = running.signal(rustix::process::Signal::HUP);
    assert!(out.stderr.contains("runbook resume r1"), "{}", out.stderr);
    ends(&out, 130);
}
