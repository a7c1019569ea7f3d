//! `append` and `remove` on files as they are found: without a last line end, full, or in use.

use crate::support::env::{Env, Output, Running};

/// A file and a runbook that puts a block of one line there or takes it out.
fn with(kind: &str, text: &str) -> Env {
    of(kind, "K=1", text)
}

/// The same with any block.
fn of(kind: &str, block: &str, text: &str) -> Env {
    let env = Env::new();
    let book = format!(
        "format = 1\nname = \"b\"\n[[steps]]\nid = \"s\"\n{kind} = {{ file = \"f\", text = {block:?} }}\n"
    );
    std::fs::write(env.path("b.toml"), book).unwrap();
    std::fs::write(env.path("f"), text).unwrap();
    env
}

fn file(env: &Env) -> String {
    std::fs::read_to_string(env.path("f")).unwrap()
}

fn run(env: &Env) -> Output {
    env.run(&["run", "b.toml", "--trust"])
}

fn undo(env: &Env) -> Output {
    env.run(&["undo", "r1", "--yes"])
}

/// An editor takes the last line end away; the block is there all the same.
#[test]
fn a_block_at_the_end_is_there_without_its_last_line_end() {
    let env = with("append", "a=1\nK=1");
    let out = run(&env);
    assert!(out.stderr.contains("unchanged, already in"), "{}", out.stderr);
    assert_eq!(file(&env), "a=1\nK=1");

    let env = with("append", "a=1\n");
    assert_eq!(run(&env).code, Some(0));
    std::fs::write(env.path("f"), "a=1\nK=1").unwrap();
    let out = undo(&env);
    assert!(out.stderr.contains("1 line removed from"), "{}", out.stderr);
    assert_eq!(file(&env), "a=1\n");

    let env = with("remove", "a=1\nK=1");
    let out = run(&env);
    assert!(out.stderr.contains("1 line removed from"), "{}", out.stderr);
    assert_eq!(file(&env), "a=1\n");
    assert_eq!(undo(&env).code, Some(0));
    assert_eq!(file(&env), "a=1\nK=1");
}

/// A block that the run wrote whole and that is there in part was cut by somebody.
#[test]
fn what_is_left_of_a_block_is_never_said_to_be_gone() {
    let env = of("append", "K=1\nL=2", "");
    assert_eq!(run(&env).code, Some(0));
    std::fs::write(env.path("f"), "K=1\n").unwrap();
    let out = undo(&env);
    assert_eq!(out.code, Some(1), "{}", out.stderr);
    assert!(out.stderr.contains("was changed since: 1 line of it stay"), "{}", out.stderr);
    assert_eq!(file(&env), "K=1\n");
}

#[test]
fn a_block_with_other_line_ends_is_never_said_to_be_gone() {
    let env = with("remove", "a=1\r\nK=1\r\n");
    let out = run(&env);
    assert_eq!(out.code, Some(1), "{}", out.stderr);
    assert!(out.stderr.contains("its lines end with CRLF"), "{}", out.stderr);
    assert_eq!(file(&env), "a=1\r\nK=1\r\n");
}

/// How large a file may grow in [`limited`], in bytes: more than the journal needs.
const LIMIT: usize = 4096 * 512;

fn limited(env: &Env, args: &[&str]) -> Output {
    let mut shell = env.any("sh");
    shell.args(["-c", "ulimit -f 4096; exec \"$0\" \"$@\""]);
    shell.arg(env!("CARGO_BIN_EXE_runbook")).args(args);
    Running::start(shell, "").finish()
}

/// There is room for the first line and not for the second.
#[test]
fn an_append_that_fails_leaves_nothing_of_the_block() {
    let before = "a=1\n".repeat(LIMIT / 4 - 1);
    let env = of("append", "K=1\nL=2", &before);
    let out = limited(&env, &["run", "b.toml", "--trust"]);
    assert_eq!(out.code, Some(1), "{}", out.stderr);
    assert!(out.stderr.contains("/f: File too large"), "{}", out.stderr);
    assert!(out.stderr.contains("(`ulimit -f`), then resume"), "{}", out.stderr);
    assert!(file(&env) == before, "nothing of the block stays");
    let out = env.run(&["resume", "r1"]);
    assert!(out.stderr.contains("2 lines added"), "{}", out.stderr);
    assert!(file(&env) == format!("{before}K=1\nL=2\n"), "the whole block is there");
    assert_eq!(undo(&env).code, Some(0));
    assert!(file(&env) == before, "it is as it was");
}

/// The file, locked by another process than the program: this one.
fn held(env: &Env) -> std::fs::File {
    let file = std::fs::File::open(env.path("f")).unwrap();
    file.lock().unwrap();
    file
}

#[test]
fn another_process_is_not_waited_for_for_ever() {
    for kind in ["append", "remove"] {
        let env = with(kind, "a=1\n");
        let book = std::fs::read_to_string(env.path("b.toml")).unwrap();
        std::fs::write(env.path("b.toml"), book + "timeout = \"50ms\"\n").unwrap();
        let lock = held(&env);
        let out = run(&env);
        assert_eq!(out.code, Some(1), "{}", out.stderr);
        let told =
            "another process is writing it and did not end within 50ms\nhint: wait until it ends";
        assert!(out.stderr.contains(told), "{}", out.stderr);
        drop(lock);
        assert_eq!(env.run(&["resume", "r1"]).code, Some(0));
    }
}

/// Whether a process has a file open.
fn has_open(pid: u32, path: &std::path::Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    open.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to == path))
}

#[test]
fn waiting_for_another_process_can_be_interrupted() {
    let env = with("append", "a=1\n");
    let lock = held(&env);
    let running = env.start(&["run", "b.toml", "--trust"]);
    while !has_open(running.pid(), &env.path("f")) {
        std::thread::yield_now();
    }
    let out = running.interrupt();
    assert_eq!(out.code, Some(130), "{}", out.stderr);
    drop(lock);
    assert_eq!(env.run(&["resume", "r1"]).code, Some(0));
    assert_eq!(file(&env), "a=1\nK=1\n");
}
