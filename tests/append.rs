//! `append` and `remove` on files as they are found: without a last line end, full, or in use.

use crate::support::env::{Env, Output};

/// A file and a runbook that puts a block of one line there or takes it out.
fn with(kind: &str, text: &str) -> Env {
    let env = Env::new();
    let book = format!(
        "format = 1\nname = \"b\"\n[[steps]]\nid = \"s\"\n{kind} = {{ file = \"f\", text = \"K=1\" }}\n"
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
    let env = with("append", "");
    let book = std::fs::read_to_string(env.path("b.toml")).unwrap();
    std::fs::write(env.path("b.toml"), book.replace("K=1", "K=1\\nL=2")).unwrap();
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
