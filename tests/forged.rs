//! Text from elsewhere cannot steer a terminal, nor pass for lines of ours: titles, names of
//! files, tests, flags, and what is said of them.

use crate::support::env::{Env, Output};

/// What would clear a line, return, and begin a new one in our words.
const EVIL: &str = "x\u{1b}[2K\r\nok  forged";

/// The same inside a basic string of TOML.
const WRITTEN: &str = r"x\u001b[2K\r\nok  forged";

/// Nothing moves the cursor, and no line begins as if it were ours.
fn harmless(what: &str, out: &Output) {
    for text in [&out.stdout, &out.stderr] {
        assert!(!text.contains(['\u{1b}', '\r']), "{what}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("ok  forged")), "{what}: {text}");
    }
}

fn book(env: &Env, path: &str, text: &str) {
    let path = env.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_list_has_a_line_for_each_file_whatever_its_name_and_title() {
    let env = Env::new();
    let text = format!("format = 1\nname = \"a\"\ntitle = \"{WRITTEN}\"\n");
    book(&env, "runbooks/a.toml", &text);
    book(&env, &format!("runbooks/{EVIL}.toml"), &text);
    let out = env.run(&["list"]);
    harmless("list", &out);
    assert_eq!(out.stdout.matches("ok  forged").count(), 4, "{}", out.stdout);
    harmless("list as events", &env.run(&["list", "--output", "jsonl"]));
}

#[test]
fn a_title_is_one_line() {
    let env = Env::new();
    for (path, text) in [
        (
            "a.toml",
            format!(
                "format = 1\nname = \"a\"\ntitle = \"{WRITTEN}\"\n[[steps]]\nid = \"s\"\nnote = \"n\"\n"
            ),
        ),
        (
            "b.toml",
            format!(
                "format = 1\nname = \"b\"\n[[steps]]\nid = \"s\"\ntitle = \"{WRITTEN}\"\nnote = \"n\"\n"
            ),
        ),
    ] {
        book(&env, path, &text);
        let out = env.run(&["check", path]);
        assert_eq!(out.code, Some(3), "{}", out.stdout);
        assert!(out.stderr.contains("a title is one line"), "{}", out.stderr);
        harmless("check", &out);
        for args in
            [&["show", path][..], &["show", path, "--graph"], &["run", path], &["plan", path]]
        {
            harmless(path, &env.run(args));
        }
    }
}

#[test]
fn what_is_typed_is_said_again_harmlessly() {
    let env = Env::new();
    book(
        &env,
        "a.toml",
        "format = 1\nname = \"a\"\n[inputs.a]\n[[steps]]\nid = \"s\"\nnote = \"{{ a }}\"\n",
    );
    book(
        &env,
        &format!("{EVIL}.toml"),
        "format = 1\nname = \"a\"\n[[steps]]\nid = \"s\"\ncommand = [\"true\"]\n",
    );
    let (file, input, other) =
        (format!("./{EVIL}.toml"), format!("a={EVIL}"), format!("a{EVIL}=1"));
    let flag = format!("--{EVIL}");
    for args in [
        &["run", "a.toml", "--input", &input][..],
        &["run", "a.toml", "--input", &other],
        &["run", "a.toml", "--inputs", &file],
        &["run", "a.toml", "--preset", EVIL],
        &["run", "a.toml", "--until", EVIL, "--input", "a=1"],
        &["run", "a.toml", &flag],
        &["run", EVIL],
        &["run", &file],
        &["check", &file],
        &["show", &file, "--effects"],
        &["log", EVIL],
        &["resume", EVIL],
        &["undo", EVIL],
        &["kinds", EVIL],
        &["explain", EVIL],
        &["runs", "--runbook", EVIL],
        &["fake", EVIL],
    ] {
        harmless(&args.join(" "), &env.run(args));
    }
    assert_eq!(env.run(&["run", &file, "--trust"]).code, Some(0));
    harmless("log", &env.run(&["log", "r1"]));
    let trusted = std::fs::read_to_string(env.path(".state/runbook/trusted")).unwrap();
    assert_eq!(trusted.lines().count(), 1, "{trusted}");
}

#[test]
fn what_a_test_finds_is_shown_harmlessly() {
    let env = Env::new();
    book(
        &env,
        "t/x.toml",
        "format = 1\nname = \"x\"\n[inputs.url]\n[inputs.f]\n[connections.api]\nbase = \"{{ url }}\"\n[[steps]]\nid = \"g\"\nhttp = { on = \"api\", url = \"a\" }\nsave.it = \".x\"\n[[steps]]\nid = \"w\"\nappend = { file = \"{{ f }}\", text = \"T=1\" }\n[[steps]]\nid = \"e\"\njq = \"$it | error\"\n",
    );
    book(
        &env,
        "t/fake.toml",
        &format!(
            "format = 1\n[inputs]\nurl = \"$URL/\"\nf = \"$DIR/out\"\n[[routes]]\non = \"GET /a\"\njq = '{{status: 200, body: {{x: \"{WRITTEN}\"}}, state: {{x: \"{WRITTEN}\"}}}}'\n"
        ),
    );
    book(
        &env,
        "t/x.test.toml",
        &format!(
            "format = 1\n[[cases]]\nname = \"{WRITTEN}\"\n[cases.expect]\nsaved = {{ it = \"y\" }}\nsays = [\"zz\"]\nfiles = {{ out = \"T=2\" }}\nstate = \".x\"\nrequests = [\"GET /b\"]\n"
        ),
    );
    let out = env.run(&["test", "t/x.toml", "--junit", "junit.xml"]);
    assert_eq!(out.code, Some(1), "{}", out.stderr);
    for told in ["saved.it", "says", "files.out", "state", "requests"] {
        assert!(out.stdout.contains(told), "no {told} in {}", out.stdout);
    }
    harmless("test", &out);
    let junit = std::fs::read_to_string(env.path("junit.xml")).unwrap();
    assert!(!junit.contains(['\u{1b}', '\r']), "{junit:?}");
}
