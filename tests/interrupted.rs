//! A command that runs when the person wants an end: it is asked to end, and has time for what it must
//! put in order.

use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use super::support::env::{Env, Running};
use super::support::terminal::Terminal;

/// A command that says through a pipe when it runs, and does this when it is asked to end.
fn stand(trap: &str) -> Env {
    let env = Env::new();
    let script = format!("trap '{trap}' INT TERM; echo > begun$N; while :; do sleep 0.02; done");
    let book = format!(
        "format = 1\nname = \"book\"\n[[steps]]\nid = \"long\"\ncommand = [\"sh\", \"-c\", {}]\n",
        serde_json::to_string(&script).unwrap()
    );
    std::fs::write(env.path("book.toml"), book).unwrap();
    for pipe in ["begun", "begun1", "begun2", "asked"] {
        let made = env.any("mkfifo").arg(env.path(pipe)).status().unwrap();
        assert!(made.success());
    }
    env
}

/// Waits until the command has said so.
fn wait(pipe: PathBuf) {
    std::fs::read(pipe).unwrap();
}

fn signal(running: &Running, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(running.pid()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

const FREES: &str = "echo puts in order; echo free > lock; exit 1";

#[test]
fn it_puts_in_order_what_it_must() {
    let env = stand(FREES);
    for signal in [Signal::TERM, Signal::INT] {
        let running = env.start(&["run", "book.toml", "--trust"]);
        wait(env.path("begun"));
        assert_eq!(running.signal(signal).code, Some(130));
        assert_eq!(std::fs::read_to_string(env.path("lock")).unwrap(), "free\n");
        std::fs::remove_file(env.path("lock")).unwrap();
    }
}

#[test]
fn ctrl_c_reaches_it_once() {
    let env = stand("echo free >> lock");
    let mut terminal = Terminal::start(&env, &["run", "book.toml", "--trust"]);
    wait(env.path("begun"));
    terminal.control('c');
    while std::fs::read_to_string(env.path("lock")).is_err() {
        std::thread::yield_now();
    }
    // it goes on all the same: the second one is for both
    terminal.control('c');
    let (text, code) = terminal.finish();
    assert_eq!(code, Some(130), "{text}");
}

#[test]
fn the_second_time_it_is_killed() {
    let env = stand("echo > asked");
    let running = env.start(&["run", "book.toml", "--trust"]);
    wait(env.path("begun"));
    signal(&running, Signal::TERM);
    wait(env.path("asked"));
    let ended = running.signal(Signal::TERM);
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert_eq!(env.run(&["resume"]).code, Some(5), "it may have happened");
}

#[test]
fn of_many_runs_each_command_is_asked() {
    let env = stand("echo free > lock-$N; exit 0");
    let book = std::fs::read_to_string(env.path("book.toml")).unwrap();
    let book = book.replace("[[steps]]", "[inputs.n]\n[[steps]]");
    let book = book.replace("command = [", "command = { env = { N = \"{{ n }}\" }, run = [");
    std::fs::write(env.path("book.toml"), book.trim_end().to_owned() + " }\n").unwrap();
    std::fs::write(env.path("n.jsonl"), "{\"n\": \"1\"}\n{\"n\": \"2\"}\n").unwrap();
    let running = env.start(&["run", "book.toml", "--trust", "--each", "n.jsonl"]);
    wait(env.path("begun1"));
    wait(env.path("begun2"));
    assert_eq!(running.signal(Signal::TERM).code, Some(130));
    assert!(env.path("lock-1").exists() && env.path("lock-2").exists());
}
