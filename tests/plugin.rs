//! Kinds that are programs: the page on writing one, the examples, secrets, limits, and kills
//! between a plug-in's effect and its outcome.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use runbook::library;
use runbook::source::Source;
use runbook::world::World;

use crate::support::env::{Env, Output, Running};
use crate::support::stand::{say, sweep};

const PAGE: &str = include_str!("../docs/plugins.md");

/// Writes a program that can be run.
fn program(env: &Env, path: &str, text: &str) {
    let path = env.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// A plug-in in `sh` that describes itself as told, and then does the rest with `$told`.
fn plugin(env: &Env, name: &str, description: &str, rest: &str) {
    let describe = format!("if [ \"$1\" = --describe ]; then echo '{description}'; exit; fi");
    let text = format!("#!/bin/sh\n{describe}\ntold=$(cat)\n{rest}\n");
    program(env, &format!("runbook-step-{name}"), &text);
}

fn book(env: &Env, steps: &str) {
    fs::write(env.path("b.toml"), format!("format = 1\nname = \"b\"\n{steps}")).unwrap();
}

fn ok(out: &Output) {
    assert_eq!(out.code, Some(0), "{out:?}");
}

/// The fenced block of that language.
fn block(language: &str) -> &'static str {
    let start = format!("```{language}\n");
    PAGE.split(&start).nth(1).and_then(|rest| rest.split("```").next()).expect("the block")
}

#[test]
fn the_page_s_example_does_what_the_page_says() {
    let env = Env::new();
    program(&env, "runbook-step-greet", block("python"));
    assert!(block("python").lines().count() <= 10);
    fs::write(env.path("hello.toml"), block("toml")).unwrap();
    let mut lines = block("console").lines().peekable();
    while let Some(line) = lines.next() {
        let words: Vec<&str> = line.strip_prefix("$ runbook ").unwrap().split(' ').collect();
        let out = env.run(&words);
        ok(&out);
        let mut said = out.stderr.lines();
        while let Some(wanted) = lines.next_if(|line| !line.starts_with("$ ")) {
            let said = said.next().unwrap_or_else(|| panic!("{wanted}\n{}", out.stderr));
            let stem = wanted.split("[TIME]").next().unwrap();
            assert!(said.starts_with(stem), "{said}\n{wanted}");
        }
        assert_eq!(said.next(), None);
    }
    let fake = PAGE.split("[[commands]]\n").nth(1).unwrap().split("```").next().unwrap();
    let fake = format!("format = 1\n[inputs]\nwho = \"Ada\"\n[[commands]]\n{fake}");
    fs::write(env.path("fake.toml"), fake).unwrap();
    let out = env.run(&["rehearse", "hello.toml"]);
    ok(&out);
    assert!(out.stderr.contains("greeting = Hello, Ada!"), "{}", out.stderr);
    let kind = env.run(&["kinds", "greet"]);
    assert!(kind.stdout.contains("Greets a person.") && kind.stdout.contains("Whom to greet"));
    let schema = env.run(&["schema", "--kind", "greet"]);
    assert!(schema.stdout.contains("#/definitions/runbook-step-greet"), "{}", schema.stderr);
    assert_eq!(env.run(&["schema", "--kind", "grete"]).code, Some(2));
    assert_eq!(env.run(&["schema", "fake", "--kind", "greet"]).code, Some(2));
}

/// The examples in a folder of their own, with a database.
fn examples() -> Env {
    let env = Env::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/plugins");
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, env.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    let mut python = env.any("python3");
    python.arg("-c").arg(
        "import sqlite3; d = sqlite3.connect('projects.db'); \
         d.execute('create table projects(name, done)'); \
         d.executemany('insert into projects values(?, ?)', [('Kite', 1), ('Low tide', 1), ('Mast', 0)]); \
         d.commit()",
    );
    ok(&Running::start(python, "").finish());
    env
}

#[test]
fn the_examples_pass_their_tests_also_when_killed() {
    let env = examples();
    ok(&env.run(&["check", "--trust", "--deny", "warnings", "archive.toml"]));
    let out = env.run(&["test", "--crash", "archive.toml"]);
    ok(&out);
    assert!(out.stdout.contains("2 passed, 0 failed"), "{}", out.stdout);
}

#[test]
fn the_examples_do_find_and_take_back_what_they_say() {
    let env = examples();
    let run = || env.run(&["run", "archive.toml", "--trust", "--input", "database=projects.db"]);
    ok(&run());
    for (folder, mode) in [("archive", 0o700), ("archive/kite", 0o750), ("archive/low-tide", 0o750)]
    {
        let found = fs::metadata(env.path(folder)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{folder}");
    }
    let again = run();
    assert!(again.stderr.contains("unchanged, was there"), "{}", again.stderr);
    let back = env.run(&["undo", "r2", "--yes"]);
    assert!(back.stderr.contains("was not done by this run"), "{}", back.stderr);
    assert!(env.path("archive/kite").exists());
    ok(&env.run(&["undo", "r1", "--yes"]));
    assert!(!env.path("archive").exists(), "what `keep` said came back");
    let none = env.run(&["run", "archive.toml", "--input", "database=none.db"]);
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("none.db: unable to open"), "{}", none.stderr);
}

/// `jot` puts a line at the end of a file, once; `jotted` reads the file.
fn notes(env: &Env) {
    let fields = r#""plain": "word", "fields": { "word": { "type": "string" } }"#;
    plugin(
        env,
        "jot",
        &format!(r#"{{ "about": "Jots.", "effect": "once", {fields} }}"#),
        "echo done >> jotted\necho '{\"output\": {\"word\": \"done\"}}'",
    );
    plugin(
        env,
        "jotted",
        r#"{ "about": "Reads.", "effect": "read" }"#,
        "if [ -e jotted ]; then echo '{\"output\": {\"word\": \"done\"}}'; else echo '{\"output\": null}'; fi",
    );
}

const JOT: &str = "[[steps]]\nid = \"jot\"\njot = \"done\"\nsave.word = \".word\"\n";

const ALREADY: &str = "[steps.already]\njotted = {}\nfind = \".\"\nsame = '.word == \"done\"'\n";

const AFTER: &str = "[[steps]]\nid = \"after\"\ngate = \"word == 'done'\"\n";

fn killed_at(env: &Env, args: &[&str], point: u64) -> Output {
    let mut command = env.command(args);
    command.env("RUNBOOK_CRASH_AT", point.to_string());
    Running::start(command, "").finish()
}

#[test]
fn a_plug_in_is_found_again_after_a_kill_at_any_point() {
    let points = sweep("plug-in with `already` killed, resumed", |n| {
        let env = Env::new();
        notes(&env);
        book(&env, &format!("{JOT}{ALREADY}{AFTER}"));
        let killed = killed_at(&env, &["run", "--trust", "b.toml"], n).code.is_none();
        if killed && env.run(&["resume"]).code != Some(0) {
            ok(&env.run(&["run", "--trust", "b.toml"]));
        }
        assert_eq!(fs::read_to_string(env.path("jotted")).unwrap(), "done\n", "point {n}");
        killed
    });
    assert!(points >= 6, "{points}");
}

#[test]
fn without_already_a_plug_in_that_is_done_once_is_never_repeated_silently() {
    let doubts = std::sync::atomic::AtomicU64::new(0);
    sweep("plug-in without `already` killed, decided", |n| {
        let env = Env::new();
        notes(&env);
        book(&env, &format!("{JOT}{AFTER}"));
        let killed = killed_at(&env, &["run", "--trust", "b.toml"], n).code.is_none();
        let there = env.path("jotted").exists();
        let out = if killed { env.run(&["resume"]) } else { env.run(&["runs"]) };
        if killed && out.code == Some(5) {
            doubts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(env.path("jotted").exists(), there, "point {n}: nothing was repeated");
            let decide: &[&str] = if there {
                &["resume", "r1", "--done", "jot", "--save", "word=done"]
            } else {
                &["resume", "r1", "--redo", "jot"]
            };
            ok(&env.run(decide));
        } else if killed && out.code == Some(2) {
            ok(&env.run(&["run", "--trust", "b.toml"]));
        } else {
            ok(&out);
        }
        assert_eq!(fs::read_to_string(env.path("jotted")).unwrap(), "done\n", "point {n}");
        killed
    });
    let doubts = doubts.into_inner();
    say(&format!("in doubt at {doubts} points"));
    assert!(doubts >= 2, "before and after the effect");
}

/// A FIFO, and `cat` reading it until nobody holds its other end.
fn listener(env: &Env, name: &str) -> Running {
    let mut make = env.any("mkfifo");
    make.arg(name);
    ok(&Running::start(make, "").finish());
    let mut cat = env.any("cat");
    cat.arg(name);
    Running::start(cat, "")
}

#[test]
fn a_run_killed_while_its_plug_in_works_takes_over_what_came_of_it() {
    let env = Env::new();
    notes(&env);
    let jot = fs::read_to_string(env.path("runbook-step-jot")).unwrap();
    // it says that it has done its work, and answers when it is let
    let held = jot.replace("jotted\n", "jotted\nexec 3> told; echo working >&3; cat let\n");
    program(&env, "runbook-step-jot", &held);
    book(&env, &format!("{JOT}{ALREADY}{AFTER}"));
    let told = listener(&env, "told");
    let mut make = env.any("mkfifo");
    make.arg("let");
    ok(&Running::start(make, "").finish());
    let run = env.start(&["run", "--trust", "b.toml"]);
    assert_eq!(told.first_line(), "working");
    assert_eq!(run.kill().code, None);
    fs::write(env.path("let"), "").unwrap();
    let _ = told.finish();
    let out = env.run(&["resume"]);
    ok(&out);
    assert!(out.stderr.lines().any(|line| line.contains("found and taken over")), "{}", out.stderr);
    assert_eq!(fs::read_to_string(env.path("jotted")).unwrap(), "done\n");
}

#[test]
fn a_plug_in_ends_with_all_it_started() {
    let rest = "exec 3> held; echo up >&3; (sleep 600) & ";
    for (end, code, interrupt) in [
        ("wait", Some(1), false),
        // it ends by itself and leaves its child behind, which holds its output open
        ("echo '{\"output\": 1}'", Some(0), false),
        ("wait", Some(130), true),
    ] {
        let env = Env::new();
        let read = r#"{ "about": "Holds.", "effect": "read" }"#;
        plugin(&env, "hold", read, &format!("{rest}{end}"));
        let timeout = if interrupt || code == Some(0) { "" } else { "timeout = \"500ms\"\n" };
        book(&env, &format!("[[steps]]\nid = \"h\"\nhold = {{}}\n{timeout}"));
        let held = listener(&env, "held");
        let run = env.start(&["run", "--trust", "b.toml"]);
        assert_eq!(held.first_line(), "up");
        let out = if interrupt { run.interrupt() } else { run.finish() };
        assert_eq!(out.code, code, "{}", out.stderr);
        // the end of its output: nobody holds it any more
        assert_eq!(held.finish().stdout, "up\n");
    }
}

#[test]
fn a_secret_is_on_standard_input_and_nowhere_else() {
    let mut env = Env::new();
    env.set("TOKEN_FROM", "file");
    fs::write(env.path("t"), "tok-0123456789").unwrap();
    fs::set_permissions(env.path("t"), PermissionsExt::from_mode(0o600)).unwrap();
    plugin(
        &env,
        "peek",
        r#"{ "about": "Peeks.", "effect": "once", "secret": true, "fields": { "token": { "type": "string" }, "in": { "type": "object" } } }"#,
        "echo \"$told\" > told; tr '\\0' '\\n' < /proc/$$/cmdline > seen; tr '\\0' '\\n' < /proc/$$/environ >> seen\n\
         echo '{\"output\": {\"got\": \"sec-987654321\"}, \"summary\": \"got sec-987654321\"}'",
    );
    book(
        &env,
        "[inputs.token]\nsecret = true\nfrom = [{ file = \"t\" }]\n[[steps]]\nid = \"p\"\n\
         peek = { token = \"{{ token }}\", in = { deep = [\"x {{ token }}\"] } }\nsave.got = \".got\"\n",
    );
    let run = env.run(&["run", "--trust", "b.toml", "-v"]);
    ok(&run);
    let told = fs::read_to_string(env.path("told")).unwrap();
    assert!(told.contains(r#""token":"tok-0123456789""#) && told.contains("x tok-0123456789"));
    let mut shown = fs::read_to_string(env.path("seen")).unwrap();
    assert!(shown.contains("TOKEN_FROM=file"), "{shown}");
    shown += &run.stderr;
    for format in ["plain", "jsonl"] {
        let log = env.run(&["log", "r1", "--output", format]);
        ok(&log);
        shown += &(log.stdout + &log.stderr);
    }
    assert!(shown.contains("got = ***"), "{shown}");
    for entry in fs::read_dir(env.path(".state/runbook")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            shown += &String::from_utf8_lossy(&fs::read(path).unwrap());
        }
    }
    for secret in ["tok-0123456789", "sec-987654321"] {
        assert!(!shown.contains(secret), "{secret} shows");
    }
}

#[test]
fn no_part_of_a_secret_shows_where_what_a_plug_in_says_is_cut() {
    const TOKEN: &str = "Kd83nQz71LmWx05RtYv92BcA";
    let letters = |count: u32| format!("head -c {count} /dev/zero | tr '\\0' E >&2");
    let first = letters(368) + "; echo \" auth failed: $token\" >&2; exit 3";
    let long = letters(65_512);
    let long = format!("printf %s $token >&2; {long}; printf '\\nlast words\\n' >&2; exit 3");
    for (end, seen) in [
        // where its line is clipped
        (&*first, "auth failed: ***"),
        // where the front of it all is left out
        (&long, "it complained: last words"),
        // where it was ended while it spoke
        ("printf 'auth failed: %.12s' $token >&2; kill -9 $$", "it complained: auth failed: ***"),
        ("printf 'auth failed: %.12s' $token; kill -9 $$", "it printed: auth failed: ***"),
    ] {
        let env = Env::new();
        fs::write(env.path("t"), TOKEN).unwrap();
        fs::set_permissions(env.path("t"), PermissionsExt::from_mode(0o600)).unwrap();
        let fields = r#""fields": { "token": { "type": "string" } }"#;
        let about = format!(r#"{{ "about": "Tells.", "effect": "read", {fields} }}"#);
        let token = r#"token=$(echo "$told" | sed 's/.*"token":"\([^"]*\)".*/\1/')"#;
        plugin(&env, "tell", &about, &format!("{token}\n{end}"));
        book(
            &env,
            "[inputs.token]\nsecret = true\nfrom = [{ file = \"t\" }]\n[[steps]]\nid = \"p\"\n\
             tell = { token = \"{{ token }}\" }\n",
        );
        let run = env.run(&["run", "--trust", "b.toml", "-v"]);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert!(run.stderr.contains(seen), "{end}: {}", run.stderr);
        let told = env.run(&["log", "r1", "--output", "jsonl"]);
        ok(&told);
        let shown = run.stdout + &run.stderr + &told.stdout;
        for at in 0..TOKEN.len() - 5 {
            assert!(!shown.contains(&TOKEN[at..at + 6]), "{end}: a part shows: {shown}");
        }
    }
}

#[test]
fn what_cannot_describe_itself_is_told_with_what_it_printed() {
    for (script, parts) in [
        ("echo no JSON", ["is not JSON", "it printed: no JSON"]),
        ("echo '{}'", ["missing field `about`", "docs/plugins.md"]),
        ("echo gone wrong >&2; exit 7", ["exit status 7", "it complained: gone wrong"]),
        ("printf 'a\\033[2Jb\\n'; kill -TERM $$", ["by signal 15", "a\\x1b[2Jb"]),
        ("yes", ["more than 256 KiB", "it printed: y"]),
        ("echo thinking; exec sleep 600", ["within 10s", "it printed: thinking"]),
    ] {
        let env = Env::new();
        program(&env, "runbook-step-odd", &format!("#!/bin/sh\n{script}\n"));
        book(&env, "[[steps]]\nid = \"o\"\nodd = {}\n");
        let out = env.run(&["check", "--trust", "b.toml"]);
        assert_eq!(out.code, Some(3), "{}", out.stderr);
        assert!(out.stderr.contains("b.toml:5:1"), "{}", out.stderr);
        for part in parts {
            assert!(out.stderr.contains(part), "{part}: {}", out.stderr);
        }
    }
}

#[test]
fn an_installed_one_is_asked_without_more_trust_but_not_from_where_one_stands() {
    let mut env = Env::new();
    let path = World::real().var("PATH").unwrap().to_owned();
    plugin(&env, "hi", r#"{ "about": "Says hi.", "effect": "read" }"#, "echo '{\"output\": 1}'");
    fs::create_dir(env.path("books")).unwrap();
    let text = "format = 1\nname = \"b\"\n[[steps]]\nid = \"h\"\nhi = {}\n";
    fs::write(env.path("books/b.toml"), text).unwrap();
    env.set("PATH", &format!(":.:{path}"));
    let out = env.run(&["check", "books/b.toml"]);
    assert_eq!(out.code, Some(3), "{}", out.stderr);
    assert!(out.stderr.contains("no program `runbook-step-hi`"), "{}", out.stderr);
    env.set("PATH", &format!("{}:{path}", env.root().display()));
    ok(&env.run(&["check", "books/b.toml"]));
    let list = env.run(&["kinds"]);
    assert!(list.stdout.contains("- `hi`: `runbook kinds hi`"), "{}", list.stdout);
    let refused = env.run(&["run", "books/b.toml"]);
    assert_eq!(refused.code, Some(2), "it runs a command: {}", refused.stderr);
    let effects = env.run(&["show", "books/b.toml", "--effects"]);
    let wanted = format!("runs    {}/runbook-step-hi\n", env.root().display());
    assert_eq!(effects.stdout, wanted);
    let shown = env.run(&["show", "books/b.toml"]).stdout;
    assert!(shown.contains("{ runbook-step-hi | jq .output; } << EOF"), "{shown}");
}

#[test]
fn what_came_with_the_program_uses_none() {
    let env = Env::new();
    program(&env, "runbook-step-x", "#!/bin/sh\n");
    let path = format!("{}/b.toml", env.root().display());
    let world = World::real();
    let found = |path: &str, text: &str| {
        library::program("runbook-step-x", &Source::new(path, text), &world)
    };
    assert!(found(&path, "anything").is_some());
    let bundled = library::find("add-oidc", &world).unwrap();
    assert!(found(&path, &bundled.text).is_none());
    assert!(found("bundled:x/b.toml", "anything").is_none());
}

#[test]
fn a_run_keeps_what_its_plug_in_said_of_itself() {
    let env = Env::new();
    plugin(
        &env,
        "hi",
        r#"{ "about": "Says hi.", "effect": "once", "undo": true, "fields": { "to": { "type": "string" } } }"#,
        "echo '{\"output\": \"hi\", \"keep\": 7}'; echo \"$told\" >> told",
    );
    book(
        &env,
        "[[steps]]\nid = \"h\"\nhi = { to = \"Ada\" }\nsave.it = \".\"\n[[steps]]\nid = \"p\"\nprompt = \"Go on?\"\n",
    );
    assert_eq!(env.run(&["run", "--trust", "b.toml"]).code, Some(4));
    fs::rename(env.path("runbook-step-hi"), env.path("away")).unwrap();
    ok(&env.run(&["resume", "--answer", "p=yes"]));
    let gone = env.run(&["undo", "r1", "--yes"]);
    assert_eq!(gone.code, Some(1), "{}", gone.stderr);
    assert!(gone.stderr.contains("runbook-step-hi: No such file"), "{}", gone.stderr);
    fs::rename(env.path("away"), env.path("runbook-step-hi")).unwrap();
    ok(&env.run(&["undo", "r1", "--yes"]));
    let told = fs::read_to_string(env.path("told")).unwrap();
    let back = told.lines().last().unwrap();
    assert!(back.contains(r#""action":"undo""#) && back.contains(r#""keep":7"#), "{back}");
    assert!(back.contains(r#""fields":{"to":"Ada"}"#), "{back}");
}

#[test]
fn an_edited_plug_in_is_run_by_a_run_under_way_once_it_is_trusted_again() {
    let env = Env::new();
    let says = |word: &str| {
        let undo = r#"{ "about": "Says it.", "effect": "repeatable", "undo": true }"#;
        plugin(&env, "say", undo, &format!("echo {word} >> said\necho '{{\"output\": null}}'"));
    };
    says("one");
    book(
        &env,
        "[[steps]]\nid = \"a\"\nsay = {}\n[[steps]]\nid = \"p\"\nprompt = \"Go on?\"\n[[steps]]\nid = \"b\"\nsay = {}\n",
    );
    assert_eq!(env.run(&["run", "--trust", "b.toml"]).code, Some(4));
    says("two");
    let refused = env.run(&["resume", "--answer", "p=yes"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("has changed since it was trusted"), "{}", refused.stderr);
    ok(&env.run(&["check", "--trust", "b.toml"]));
    ok(&env.run(&["resume"]));
    says("three");
    assert_eq!(env.run(&["undo", "r1", "--yes"]).code, Some(1));
    ok(&env.run(&["check", "--trust", "b.toml"]));
    ok(&env.run(&["undo", "r1", "--yes"]));
    assert_eq!(fs::read_to_string(env.path("said")).unwrap(), "one\ntwo\nthree\nthree\n");
}

#[test]
fn one_name_is_one_program_in_a_run() {
    let env = Env::new();
    for folder in ["", "inner/"] {
        let text = "#!/bin/sh\necho '{ \"about\": \"Says hi.\", \"effect\": \"read\" }'\n";
        program(&env, &format!("{folder}runbook-step-hi"), text);
    }
    let inner = "format = 1\nname = \"c\"\n[[steps]]\nid = \"h\"\nhi = {}\n";
    fs::write(env.path("inner/c.toml"), inner).unwrap();
    book(&env, "[[steps]]\nid = \"h\"\nhi = {}\n[[steps]]\nid = \"u\"\nuse = \"inner/c\"\n");
    let out = env.run(&["check", "--trust", "b.toml"]);
    assert_eq!(out.code, Some(3), "{}", out.stderr);
    assert!(out.stderr.contains("the kind `hi` is two programs"), "{}", out.stderr);
}
