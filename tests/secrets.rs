//! Where a secret may go and where not; whom a runbook is trusted by.

use std::os::unix::fs::PermissionsExt;

use crate::support::env::{Env, Output, Running};

const HEAD: &str = "format = 1\nname = \"x\"\n[inputs.token]\nsecret = true\nfrom = [{ env = \"TOKEN\" }]\n[connections.api]\nbase = \"http://127.0.0.1:1/\"\n";

fn env() -> Env {
    let mut env = Env::new();
    env.set("TOKEN", "tok-0123456789");
    env
}

fn check(rest: &str) -> Output {
    let env = env();
    std::fs::write(env.path("b.toml"), format!("{HEAD}{rest}\n")).unwrap();
    env.run(&["check", "./b.toml"])
}

fn run(env: &Env, rest: &str, args: &[&str]) -> Output {
    std::fs::write(env.path("b.toml"), format!("{HEAD}{rest}\n")).unwrap();
    let all = [&["run", "./b.toml"], args].concat();
    Running::start(env.command(&all), "").finish()
}

#[test]
fn check_refuses_a_secret_in_every_open_place_unless_it_is_revealed() {
    let step = "[[steps]]\nid = \"it\"\n";
    let places = [
        (
            "a step's title",
            format!("{step}title = \"{{{{ token }}}}\"\njq = \"1\""),
            "\nreveal = true",
        ),
        ("a URL", format!("{step}http = {{ on = \"api\", url = \"a/{{{{ token }}}}\"!"), " }"),
        (
            "a URL's query",
            format!(
                "{step}http = {{ on = \"api\", url = \"a\", query = {{ t = \"{{{{ token }}}}\" }}!"
            ),
            " }",
        ),
        ("a note", format!("{step}note = {{ markdown = \"{{{{ token }}}}\"!"), " }"),
        ("arguments", format!("{step}command = {{ run = [\"echo\", \"{{{{ token }}}}\"]!"), " }"),
        ("a question", format!("{step}prompt = {{ ask = \"{{{{ token }}}}\"!"), " }"),
        ("a name that is looked up", format!("{step}dns = {{ name = \"{{{{ token }}}}\"!"), " }"),
        ("a path", format!("{step}append = {{ text = \"x\", file = \"{{{{ token }}}}\"!"), " }"),
        ("not secret itself", format!("{step}jq = \"1\"\nsave.x = {{ jq = \"$token\"!"), " }"),
        (
            "a URL",
            format!("[connections.other]\nbase = \"http://{{{{ token }}}}/\"\n!{step}jq = \"1\""),
            "",
        ),
    ];
    for (place, book, end) in places {
        let (plain, revealed) = match (book.contains('!'), end) {
            (false, reveal) => (book.clone(), format!("{book}{reveal}")),
            (true, "") => (book.replace('!', ""), book.replace('!', "reveal = true\n")),
            (true, end) => (book.replace('!', end), book.replace('!', ", reveal = true }")),
        };
        let refused = check(&plain);
        assert_eq!(refused.code, Some(3), "{plain}");
        assert!(refused.stderr.contains(place), "{place}: {}", refused.stderr);
        assert!(refused.stderr.contains("reveal = true"), "{}", refused.stderr);
        let allowed = check(&revealed);
        assert_eq!(allowed.code, Some(0), "{revealed}\n{}", allowed.stderr);
    }
    let fine = check(
        "[vars]\nd = \"x{{ token }}\"\n[[steps]]\nid = \"a\"\nwhen = \"token != ''\"\njq = \"1\"\ngates = [{ that = \"d\" }]",
    );
    assert_eq!(fine.code, Some(0), "{}", fine.stderr);
    let var = check("[vars]\nd = \"x{{ token }}\"\n[[steps]]\nid = \"a\"\nnote = \"{{ d }}\"");
    assert_eq!(var.code, Some(3), "the label joins");
}

#[test]
fn a_revealed_note_shows_its_own_secret_and_no_other() {
    let mut env = env();
    env.set("OTHER", "other-98765");
    let rest = "[inputs.other]\nsecret = true\nfrom = [{ env = \"OTHER\" }]\n[vars]\nboth = \"plain\"\n[[steps]]\nid = \"n\"\nnote = { markdown = \"code {{ token }} other-98765\", reveal = true }\n[[steps]]\nid = \"m\"\nnote = \"tok-0123456789\"";
    let out = run(&env, rest, &["--output", "plain"]);
    assert!(out.stderr.contains("code tok-0123456789 ***"), "{}", out.stderr);
    assert_eq!(out.stderr.matches("tok-0123456789").count(), 1, "{}", out.stderr);
}

#[test]
fn short_secrets_are_warned_of_without_being_shown() {
    let mut env = env();
    env.set("TOKEN", "q7!");
    let out = run(&env, "[[steps]]\nid = \"n\"\njq = \"1\"", &["--output", "plain"]);
    assert!(out.stderr.contains("the secret `token` is very short"), "{}", out.stderr);
    assert!(!out.stderr.contains("q7!"), "{}", out.stderr);
}

#[test]
fn arguments_arrive_exactly() {
    let env = env();
    let words = ["a b", "it's", "\"q\"", "two\nlines", "$(id)", "`id`", "*", "", "\\", "é;|&"];
    let list = serde_json::to_string(&words).unwrap();
    let rest = format!(
        "[vars]\nws = {list}\n[[steps]]\nid = \"c\"\ncommand = [\"printf\", \"<%s>\", {}]\nsave.got = \".\"\n[[steps]]\nid = \"g\"\ngate = \"got == wanted\"",
        (0..words.len()).map(|n| format!("\"{{{{ ws[{n}] }}}}\"")).collect::<Vec<_>>().join(", ")
    );
    let wanted: String = format!("<{}>", words.join("><"));
    let wanted = serde_json::to_string(&wanted).unwrap();
    let rest = rest.replacen("[vars]\n", &format!("[vars]\nwanted = {wanted}\n"), 1);
    let out = run(&env, &rest, &["--trust"]);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
}

/// How a command ends that reads the token, and what is seen of it here and in the journal.
fn told(script: &str) -> (Option<i32>, String) {
    let env = env();
    let words = format!("[\"sh\", \"-c\", '''{script}''']");
    let step = format!("command = {{ run = {words}, stdin = \"{{{{ token }}}}\" }}");
    let out =
        run(&env, &format!("[[steps]]\nid = \"it\"\n{step}\nsave.x = \"length\""), &["--trust"]);
    let log = env.run(&["log", "r1", "--output", "jsonl"]);
    (out.code, out.stdout + &out.stderr + &log.stdout)
}

/// What prints so many letters.
fn letters(count: u32) -> String {
    format!("head -c {count} /dev/zero | tr '\\0' E")
}

#[test]
fn more_output_than_is_taken_is_no_answer_and_leaves_doubt() {
    let (code, seen) = told(&format!("token=$(cat); {}; printf %s $token", letters(10_485_753)));
    assert_eq!(code, Some(5), "{seen}");
    assert!(seen.contains("printed more than 10 MiB"), "{seen}");
    assert!(seen.contains("let it write into a file"), "{seen}");
    assert!(!seen.contains("tok-012"), "a part of the secret shows");
    let (code, seen) = told(&letters(10_485_760));
    assert_eq!(code, Some(0), "as much as that is taken: {seen}");
}

#[test]
fn of_long_complaints_the_last_lines_are_kept_and_no_part_of_a_secret() {
    let long = letters(10_485_760 - 20);
    let script =
        format!("exec >&2; token=$(cat); printf %s $token; {long}; echo; echo last $((40+2))");
    for (end, seen_too) in
        [("exit 3", "exit status 3"), ("printf x%.9s $token; kill -9 $$", "x***")]
    {
        let (_, seen) = told(&format!("{script}; {end}"));
        assert!(seen.contains("last 42") && seen.contains(seen_too), "{end}: the end is missing");
        assert!(!seen.contains("EEEE") && !seen.contains("456789"), "{end}: the front shows");
        assert!(!seen.contains("tok-01"), "{end}: a part of the secret shows");
    }
}

#[test]
fn a_file_from_elsewhere_that_runs_commands_needs_trust_once_for_its_content() {
    let env = env();
    let book = "[[steps]]\nid = \"c\"\ncommand = [\"true\"]";
    let refused = run(&env, book, &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("runs    true") && refused.stderr.contains("--trust"));
    assert!(refused.stderr.contains("the secret `token` from environment variable TOKEN"));
    assert_eq!(run(&env, book, &["--trust"]).code, Some(0));
    assert_eq!(run(&env, book, &[]).code, Some(0), "remembered");
    assert_eq!(run(&env, &book.replace("true", "false"), &[]).code, Some(2), "an edit");
    let file = std::fs::metadata(env.path(".state/runbook/trusted")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(run(&env, "[[steps]]\nid = \"c\"\njq = \"1\"", &[]).code, Some(0), "harmless");
}

#[test]
fn keys_are_rotated_named_and_missed() {
    let mut env = env();
    let stop = "[[steps]]\nid = \"p\"\nprompt = \"?\"";
    assert_eq!(run(&env, stop, &[]).code, Some(4));
    assert_eq!(env.run(&["key", "rotate"]).code, Some(0));
    assert_eq!(env.run(&["resume", "r1", "--answer", "p=y"]).code, Some(0));
    assert_eq!(run(&env, stop, &[]).code, Some(4));
    let here = runbook::journal::store::Holder { pid: 4711, host: "box".into(), since_ms: 0 };
    let held = runbook::journal::store::lock(&env.path(".state/runbook"), "r9", &here).unwrap();
    let busy = env.run(&["key", "prune"]);
    assert_eq!(busy.code, Some(1), "{}", busy.stderr);
    assert!(busy.stderr.contains("a run is under way, by process 4711 on box"), "{}", busy.stderr);
    drop(held);
    assert!(env.run(&["key", "prune"]).stderr.contains("0 old keys"));
    std::fs::write(env.path("k"), [7; 32]).unwrap();
    std::fs::set_permissions(env.path("k"), PermissionsExt::from_mode(0o600)).unwrap();
    env.set("RUNBOOK_KEY_FILE", "k");
    let wrong = env.run(&["resume", "r2", "--answer", "p=y"]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("sealed with another key: `"), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("RUNBOOK_KEY_FILE"), "{}", wrong.stderr);
    env.set("RUNBOOK_KEY_FILE", "none");
    let missing = run(&env, stop, &[]);
    assert!(missing.stderr.contains("there is no key"), "{}", missing.stderr);
    assert!(!env.path("none").exists());
}

#[test]
fn what_is_too_open_is_warned_of_with_the_command() {
    let env = env();
    std::fs::write(env.path("cred"), "T=tok-abcdefgh\n").unwrap();
    std::fs::set_permissions(env.path("cred"), PermissionsExt::from_mode(0o644)).unwrap();
    let rest = "[inputs.t]\nsecret = true\nfrom = [{ dotenv = \"cred\", key = \"T\" }]\n[[steps]]\nid = \"c\"\njq = \"1\"";
    let out = run(&env, rest, &[]);
    assert!(out.stderr.contains("chmod 600 cred"), "{}", out.stderr);
    let state = env.path(".state/runbook");
    std::fs::set_permissions(&state, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(run(&env, rest, &[]).stderr.contains("chmod 700"));
}

#[test]
fn an_insecure_connection_is_said_at_each_run() {
    let rest = "[connections.i]\nbase = \"https://127.0.0.1:1/\"\ninsecure = true\n[[steps]]\nid = \"c\"\njq = \"1\"";
    let out = run(&env(), rest, &["--output", "plain"]);
    assert!(out.stderr.contains("`i` is `insecure`"), "{}", out.stderr);
}

/// A secret that no redactor finds in a text: only its label protects it.
const SHORT: &str = "zq7!w";

/// All that a run of this file says and leaves, with the short secret in `TOKEN`.
fn everything(rest: &str, files: &[(&str, &str)]) -> String {
    let mut env = Env::new();
    env.set("TOKEN", SHORT);
    for (name, text) in files {
        std::fs::write(env.path(name), text).unwrap();
    }
    let mut said = String::new();
    for args in [&["-v"][..], &["--output", "jsonl"]] {
        let out = run(&env, rest, &[&["--trust"], args].concat());
        assert_ne!(out.code, Some(3), "{}", out.stderr);
        said = said + &out.stdout + &out.stderr;
    }
    for args in [
        &["plan", "./b.toml", "--trust", "-v"][..],
        &["plan", "./b.toml", "--output", "jsonl"],
        &["log", "r1", "-v"],
        &["runs"],
        &["undo", "r1", "--plan"],
    ] {
        let out = env.run(args);
        said = said + &out.stdout + &out.stderr;
    }
    let journal = std::fs::read(env.path(".state/runbook/journal.db-wal")).unwrap_or_default();
    said + &String::from_utf8_lossy(&journal)
}

#[test]
fn labels_alone_keep_what_no_redactor_finds() {
    let http = "http = { on = \"api\", method = \"POST\", url = \"x\", ";
    for (what, step) in [
        ("an author's error", "jq = \"$token | error\"".to_owned()),
        ("an error made of it", "jq = \"error(\\\"not \\\\($token)\\\")\"".to_owned()),
        (
            "the lines of an append",
            "append = { file = \"x\", text = \"K={{ token }}\" }".to_owned(),
        ),
        ("the lines of a remove", "remove = { file = \"x\", text = \"K={{ token }}\" }".to_owned()),
        (
            "a body",
            format!(
                "{http}json = {{ a = [\"{{{{ token }}}}\"], b = \"{{{{ token | upper }}}}\" }} }}"
            ),
        ),
        ("a form", format!("{http}form = {{ a = \"{{{{ token }}}}\" }} }}")),
        ("a part of it", format!("{http}json = {{ a = \"{{{{ token[0:4] }}}}\" }} }}")),
    ] {
        let said = everything(&format!("[[steps]]\nid = \"it\"\n{step}\n"), &[]);
        let found: Vec<&str> =
            [SHORT, "ZQ7!W", &SHORT[..4]].into_iter().filter(|text| said.contains(text)).collect();
        assert!(found.is_empty(), "{what}: {found:?} in {said}");
    }
}

#[test]
fn an_authors_own_error_is_shown_even_where_a_secret_is_read() {
    let said = everything(
        "[[steps]]\nid = \"it\"\njq = \"if $token == \\\"x\\\" then 1 else error(\\\"the key is old\\\") end\"\n",
        &[],
    );
    assert!(said.contains("jq: the key is old"), "{said}");
}

#[test]
fn a_label_known_only_in_a_run_crosses_the_border_of_a_used_runbook() {
    // `said` is secret because a known secret is in it; inside, only labels can know
    let mut env = env();
    env.set("TOKEN", "tok-0123456789");
    let outer = "[[steps]]\nid = \"c\"\ncommand = { run = [\"cat\"], stdin = \"{{ token }}\" }\nsave.said = \".\"\n[[steps]]\nid = \"u\"\nuse = { runbook = \"inner.toml\", inputs = { p = \"{{ said }}\" } }\nsave.out = \".made\"\n[[steps]]\nid = \"z\"\njq = \"$out\"\n";
    let head = "format = 1\nname = \"inner\"\n[inputs.p]\n[inputs.q]\ndefault = \"{{ p | upper }}\"\n[vars]\nv = \"{{ q }}\"\n[connections.o]\nbase = \"http://127.0.0.1:1/\"\n[connections.s]\nbase = \"http://127.0.0.1:1/{{ q }}\"\n";
    for (place, step) in [
        ("a note", "note = \"it is {{ q }}\""),
        ("a note", "note = \"it is {{ v }}\""),
        ("a program's arguments", "command = [\"echo\", \"{{ q }}\"]"),
        ("a URL", "http = { on = \"o\", url = \"{{ q }}\" }"),
        ("the base of connection `s`", "http = { on = \"s\", url = \"x\" }"),
        ("a step's title", "title = \"{{ q }}\"\njq = \"1\""),
        ("a question", "prompt = \"{{ q }}?\""),
        ("a path", "append = { file = \"{{ q }}\", text = \"x\" }"),
        ("a name that is looked up", "dns = \"{{ q }}\""),
        ("", "jq = \"$q\"\nsave.made = \".\""),
        ("", "jq = \"$q | error\"\nsave.made = \".\""),
        ("", "jq = \"[$v, $q]\"\nsave.made = \".[0]\""),
    ] {
        let step = step.to_owned()
            + if step.contains("made") {
                ""
            } else {
                "\n[[steps]]\nid = \"m\"\njq = \"1\"\nsave.made = \".\""
            };
        let inner = format!("{head}[[steps]]\nid = \"i\"\n{step}\n");
        std::fs::write(env.path("inner.toml"), inner).unwrap();
        let _ = std::fs::remove_dir_all(env.path(".state"));
        let mut said = String::new();
        for format in ["plain", "jsonl"] {
            let out = run(&env, outer, &["--trust", "-v", "--output", format]);
            said = said + &out.stdout + &out.stderr;
        }
        for args in
            [&["log", "r1", "-v"][..], &["plan", "./b.toml", "-v"], &["undo", "r1", "--plan"]]
        {
            let out = env.run(args);
            said = said + &out.stdout + &out.stderr;
        }
        let journal = std::fs::read(env.path(".state/runbook/journal.db-wal")).unwrap_or_default();
        said += &String::from_utf8_lossy(&journal);
        assert!(!said.contains("TOK-0123456789"), "{step}: {said}");
        assert!(
            place.is_empty() || said.contains(&format!("would show in {place}")),
            "{step}: {said}"
        );
    }
}

#[test]
fn a_rehearsal_takes_nothing_of_the_person() {
    // what `test --crash` starts, as it starts it; nothing but the environment has the token
    let mut env = env();
    env.set("RUNBOOK_REHEARSAL_DIR", env.root().to_str().unwrap().to_owned().as_str());
    let book = HEAD.replace("from =", "default = \"none\"\nfrom =")
        + "[[steps]]\nid = \"p\"\nprompt = \"?\"\n[[steps]]\nid = \"w\"\nappend = { file = \"out\", text = \"T={{ token }}\" }\n";
    std::fs::write(env.path("b.toml"), book).unwrap();
    let out = env.run(&["run", "./b.toml", "--rehearsal", "--trust"]);
    assert_eq!(out.code, Some(4), "{}", out.stderr);
    let out = env.run(&["resume", "r1", "--answer", "p=x"]);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert_eq!(std::fs::read_to_string(env.path("out")).unwrap(), "T=none\n");
}

#[test]
fn a_secret_on_the_command_line_is_warned_of_wherever_it_is_given() {
    let env = env();
    let book = "[[steps]]\nid = \"p\"\nprompt = { ask = \"?\", secret = true }\n[[steps]]\nid = \"c\"\ncommand = [\"false\"]\nsave.made = { jq = \".\", secret = true }\n[[steps]]\nid = \"u\"\njq = \"$made | length\"";
    let out = run(
        &env,
        book,
        &["--trust", "--input", "token=tok-0123456789", "--answer", "p=other-98765"],
    );
    for flag in ["`--input token=…` shows", "`--answer p=…` shows"] {
        assert!(out.stderr.contains(flag), "{}", out.stderr);
    }
    let out = env.run(&["resume", "r1", "--done", "c", "--save", "made=third-13579"]);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert!(out.stderr.contains("`--save made=…` shows"), "{}", out.stderr);
    assert!(!out.stderr.contains("third-13579"), "{}", out.stderr);
}

#[test]
fn a_mistake_in_a_file_of_inputs_has_its_place_and_shows_nothing_of_it() {
    let env = env();
    let wrong = "other = 1\ntoken = \"tok-0123456789\nx = 1\n";
    std::fs::write(env.path("in.toml"), wrong).unwrap();
    let out = run(&env, "[[steps]]\nid = \"c\"\njq = \"1\"", &["--inputs", "in.toml"]);
    assert_eq!(out.code, Some(2), "{}", out.stderr);
    assert!(out.stderr.contains("cannot take inputs from in.toml:2:"), "{}", out.stderr);
    assert!(!out.stderr.contains("tok-0123456789"), "{}", out.stderr);
    std::fs::remove_file(env.path("in.toml")).unwrap();
    std::fs::create_dir_all(env.path(".config/runbook")).unwrap();
    std::fs::write(env.path(".config/runbook/inputs.toml"), wrong).unwrap();
    let out = run(&env, "[[steps]]\nid = \"c\"\njq = \"1\"", &[]);
    assert!(out.stderr.contains("runbook/inputs.toml:2:"), "{}", out.stderr);
}

#[test]
fn an_input_comes_out_of_an_ordinary_file_of_a_bounded_size() {
    let env = env();
    std::fs::File::create(env.path("large")).unwrap().set_len(11 << 20).unwrap();
    for (file, why) in [
        ("/dev/zero", "it is no ordinary file"),
        (".", "it is no ordinary file"),
        ("large", "it is larger than 10 MiB"),
    ] {
        let rest = format!(
            "[inputs.f]\nfrom = [{{ file = \"{file}\" }}]\n[[steps]]\nid = \"c\"\njq = \"1\""
        );
        let out = run(&env, &rest, &[]);
        assert_eq!(out.code, Some(2), "{}", out.stderr);
        assert!(out.stderr.contains(why), "{}", out.stderr);
    }
}

#[test]
fn a_file_from_elsewhere_that_could_send_what_is_in_a_file_needs_trust() {
    let env = env();
    std::fs::write(env.path("key"), "-----BEGIN").unwrap();
    let rest = "[inputs.key]\nsecret = true\nfrom = [{ file = \"key\" }]\n[[steps]]\nid = \"c\"\n\
                http = { on = \"api\", url = \"\", headers = { x = \"{{ key }}\" } }";
    let out = run(&env, rest, &[]);
    assert_eq!(out.code, Some(2), "{}", out.stderr);
    assert!(out.stderr.contains("the secret `key` from key"), "{}", out.stderr);
    assert!(out.stderr.contains("must be trusted first"), "{}", out.stderr);
    let planned = env.run(&["plan", "./b.toml"]);
    assert_eq!(planned.code, Some(2), "{}", planned.stderr);
    assert_eq!(run(&env, rest, &["--trust"]).code, Some(1), "it is trusted, and nobody listens");
}
