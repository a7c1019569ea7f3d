//! The transcripts themselves: what they compare, replace and refuse.

use super::*;

fn case(session: &str) -> Env {
    let case = Env::new();
    fs::write(case.path("session.txt"), session).unwrap();
    case
}

#[test]
fn a_difference_is_a_readable_diff() {
    let case = case("$ write a <<EOF\none\nEOF\n$ cat a\ntwo\n");
    let problem = check_folder(case.root(), false).unwrap_err();
    assert!(problem.contains("\n-two\n+one\n"), "{problem}");
}

#[test]
fn a_fault_that_never_struck_fails_the_case() {
    for (session, request) in [
        ("$ server fault GET /x close\n", "GET /x"),
        ("$ fake start f.toml\n$ fake fault POST /y 503\n", "POST /y"),
        ("$ fake start f.toml\n$ fake fault POST /y 503\n$ fake start f.toml\n", "POST /y"),
    ] {
        let case = case(session);
        fs::write(case.path("f.toml"), "format = 1\nabout = \"x\"\n[inputs]\n[state]\n[[routes]]\non = \"GET /\"\njq = \"{}\"\n").unwrap();
        let problem = check_folder(case.root(), true).unwrap_err();
        assert!(problem.ends_with(&format!("never came: {request}")), "{problem}");
    }
}

#[test]
fn output_nobody_expected_is_a_difference() {
    let case = case("$ cat a\n");
    assert!(check_folder(case.root(), false).unwrap_err().contains("+a: not there"));
}

#[test]
fn an_update_writes_the_output_and_keeps_prose_and_gaps() {
    let case = case("Why.\n\n$ write a <<EOF\n$ x\nEOF\n\n$ cat a\nold\n\n\n$ mode a\n");
    fs::set_permissions(case.root(), fs::Permissions::from_mode(0o700)).unwrap();
    check_folder(case.root(), true).unwrap();
    let now = fs::read_to_string(case.path("session.txt")).unwrap();
    let start = "Why.\n\n$ write a <<EOF\n$ x\nEOF\n\n$ cat a\n\\$ x\n\n$ mode a\n0";
    assert!(now.starts_with(start), "{now}");
    check_folder(case.root(), false).unwrap();
}

#[test]
fn words_are_split_as_a_shell_does() {
    let line = r#"a 'b c' "d \"e\"" f\ g k='v w' '' "#;
    assert_eq!(words(line).unwrap(), ["a", "b c", "d \"e\"", "f g", "k=v w", ""]);
    assert!(words("'a").is_err());
}

#[test]
fn what_varies_is_replaced_and_its_column_with_it() {
    let stage = Stage::new();
    for (raw, clean) in [
        ("ok  login   210 ms  done", "ok  login  [TIME]  done"),
        ("took 3.2 s", "took [TIME]"),
        ("at 2026-11-24 08:00:00Z.", "at [WHEN]."),
        ("pid 42, \"pid\":7", "pid [PID], \"pid\":[PID]"),
        ("{\"at_ms\":1,\"took_ms\":2}", "{\"at_ms\":[WHEN],\"took_ms\":[TIME]}"),
        ("http://127.0.0.1:1/x", "http://[FAKE]/x"),
    ] {
        assert_eq!(stage.cleaned(raw), clean);
    }
    let own = format!("{} {}/a", stage.server.url(), stage.env.root().display());
    assert_eq!(stage.cleaned(&own), "http://[SERVER] [DIR]/a");
}

#[test]
fn the_program_may_have_variables_and_must_be_ours() {
    check_folder(case("$ A_1=x runbook --version\n").root(), true).unwrap();
    assert!(check_folder(case("$ curl x\n").root(), false).unwrap_err().contains("unknown"));
}

#[test]
fn streams_and_code_are_told_in_order() {
    let stage = Stage::new();
    let output = Output { stdout: "data\n".into(), stderr: "? x\n".into(), code: Some(4) };
    assert_eq!(stage.told(&output), "\\? x\nstdout:\ndata\n? 4\n");
}
