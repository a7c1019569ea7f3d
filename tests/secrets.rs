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
    assert!(out.stderr.contains("chmod 600 'cred'"), "{}", out.stderr);
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
