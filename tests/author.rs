//! What an author of runbooks meets: `new`, `check`, `explain`, `show`, `kinds`, `schema`.

use super::support::env::{Env, Output};
use super::support::terminal::Terminal;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ends(output: &Output, code: i32) {
    assert_eq!(output.code, Some(code), "{output:?}");
}

/// A runbook with one warning: nobody reads the input.
const WARNED: &str = "format = 1\nname = \"x\"\n[inputs.left_over]\ndefault = \"v\"\n\
                      [[steps]]\nid = \"a\"\nnote = \"hello\"\n";

#[test]
fn a_new_runbook_checks_clean_rehearses_and_passes_its_tests_even_when_killed() {
    for (name, auth, first) in [
        ("look", "bearer", "users/me"),
        ("make", "header:X-Key", "POST users"),
        ("set", "basic", "PUT users/7"),
        ("patch", "none", "PATCH users/7"),
        ("drop", "none", "DELETE users/7"),
    ] {
        let env = Env::new();
        let base = "https://api.example.com/v1";
        let args = ["new", name, "--base", base, "--auth", auth, "--first", first];
        ends(&env.run(&args), 0);
        ends(&env.run(&["check", name, "--deny", "warnings"]), 0);
        ends(&env.run(&["test", name, "--crash"]), 0);
        let runbook = std::fs::read(env.path(&format!("runbooks/{name}/{name}.toml"))).unwrap();
        let again = env.run(&args);
        ends(&again, 2);
        let now = std::fs::read(env.path(&format!("runbooks/{name}/{name}.toml"))).unwrap();
        assert_eq!(runbook, now);
    }
}

#[test]
fn new_in_a_terminal_asks_until_the_answers_are_right() {
    let env = Env::new();
    let mut terminal = Terminal::start(&env, &["new", "add-user"]);
    terminal.expect("as in https://api.example.com/v1:");
    terminal.line("wiki.example.com");
    // what was wrong is said while the line can still be mended
    terminal.expect("write an address such as");
    terminal.keys(&"\x7f".repeat("wiki.example.com".len()));
    terminal.line("https://wiki.example.com/api");
    terminal.expect("How does a call prove who makes it?");
    terminal.expect("a token in a header of another name");
    terminal.line("3");
    terminal.expect("as in x-api-key:");
    terminal.line("X Wiki");
    terminal.expect("write the name alone, as in `x-api-key`");
    terminal.keys(&"\x7f".repeat("X Wiki".len()));
    terminal.line("header:X-Wiki-Key");
    terminal.expect("The first call");
    terminal.line("POST users/");
    let (rest, code) = terminal.finish();
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("runbook test --crash add-user"), "{rest}");
    let written = std::fs::read_to_string(env.path("runbooks/add-user/add-user.toml")).unwrap();
    assert!(written.contains("x-wiki-key = \"{{ token }}\""), "{written}");
    assert!(written.contains("users/{{ item_id }}/\""), "{written}");
    ends(&env.run(&["check", "add-user", "--deny", "warnings"]), 0);
    ends(&env.run(&["test", "add-user", "--crash"]), 0);
}

#[test]
fn new_takes_a_header_as_its_flag_has_it() {
    let env = Env::new();
    let mut terminal = Terminal::start(&env, &["new", "add-user", "--base", "https://a.example"]);
    terminal.expect("1-4 [1]:");
    terminal.line("header:");
    terminal.expect("is none of them");
    terminal.line("header:X-Key");
    terminal.expect("The first call");
    terminal.line("GET me");
    let (rest, code) = terminal.finish();
    assert_eq!(code, Some(0), "{rest}");
    let written = std::fs::read_to_string(env.path("runbooks/add-user/add-user.toml")).unwrap();
    assert!(written.contains("x-key = \"{{ token }}\""), "{written}");
}

#[test]
fn new_asks_nothing_where_it_may_not_write() {
    let env = Env::new();
    std::fs::create_dir_all(env.path("runbooks/add-user")).unwrap();
    std::fs::write(env.path("runbooks/add-user/fake.toml"), "").unwrap();
    let (screen, code) = Terminal::start(&env, &["new", "add-user"]).finish();
    let said = "error: runbooks/add-user/fake.toml is there already, nothing was written";
    assert_eq!((screen.lines().next(), code), (Some(said), Some(2)), "{screen}");
    let (screen, code) = Terminal::start(&env, &["new", "Add"]).finish();
    assert!(screen.starts_with("error: NAME `Add`: use lower-case"), "{screen}");
    assert_eq!(code, Some(2));
}

#[test]
fn new_left_in_a_terminal_writes_nothing() {
    let env = Env::new();
    let mut terminal = Terminal::start(&env, &["new", "add-user"]);
    terminal.expect("Base address");
    terminal.control('c');
    assert_eq!(terminal.finish().1, Some(130));
    assert!(!env.path("runbooks").exists());
}

#[test]
fn new_without_a_terminal_names_the_flag_that_is_missing() {
    let env = Env::new();
    let output = env.run(&["new", "x", "--base", "https://a.example"]);
    ends(&output, 2);
    assert!(format!("{output:?}").contains("--auth"), "{output:?}");
}

#[test]
fn only_check_shows_warnings_and_they_count_when_denied() {
    let env = Env::new();
    std::fs::write(env.path("x.toml"), WARNED).unwrap();
    let checked = env.run(&["check", "x.toml"]);
    ends(&checked, 0);
    assert!(format!("{checked:?}").contains("unused-input"), "{checked:?}");
    ends(&env.run(&["check", "x.toml", "--deny", "warnings"]), 3);
    let run = env.run(&["run", "x.toml"]);
    ends(&run, 0);
    assert!(!format!("{run:?}").contains("unused-input"), "{run:?}");
}

#[test]
fn what_came_with_the_program_has_nothing_to_be_warned_of() {
    let env = Env::new();
    let list = text(env.run(&["list"]).stdout.as_ref());
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 3, "{list}");
    let checked = env.run(&[&["check", "--output", "json"], &names[..]].concat());
    ends(&checked, 0);
    let found: serde_json::Value = serde_json::from_str(&text(checked.stdout.as_ref())).unwrap();
    assert_eq!(found, serde_json::json!([]));
}

#[test]
fn diagnostics_come_as_json_with_their_places() {
    let env = Env::new();
    std::fs::write(env.path("x.toml"), WARNED).unwrap();
    let output = env.run(&["check", "x.toml", "--output", "json"]);
    ends(&output, 0);
    let found: serde_json::Value = serde_json::from_str(&text(output.stdout.as_ref())).unwrap();
    let one = &found[0];
    assert_eq!(one["code"], "unused-input");
    assert_eq!(
        (&one["file"], &one["line"], &one["column"]),
        (&"x.toml".into(), &3.into(), &9.into())
    );
    assert_eq!(one["end"], serde_json::json!({ "line": 3, "column": 18 }));
    assert_eq!(one["severity"], "warning");
}

#[test]
fn every_warning_is_explained() {
    let env = Env::new();
    let list = env.run(&["explain"]);
    ends(&list, 0);
    for line in text(list.stdout.as_ref()).lines().skip(2) {
        let code = line.split('`').nth(1).unwrap();
        ends(&env.run(&["explain", code]), 0);
    }
    ends(&env.run(&["explain", "unused-inptu"]), 2);
}

#[test]
fn show_is_what_a_person_could_type() {
    let env = Env::new();
    let shown = env.run(&["show", "add-oidc"]);
    ends(&shown, 0);
    let shown = text(shown.stdout.as_ref());
    for part in [
        "# Add ",
        "## Inputs",
        "### Presets",
        "| `SERVICE_NAME` |",
        "curl -sS -X POST",
        "-H \"Authorization: Bearer ${AUTHENTIK_TOKEN:-$MADE_TOKEN}\"",
        "| jq -r '.client_secret'",
        "**Gate:** `provider_pk is integer`",
        "\"property_mappings\": ($ENV.SCOPE_PKS | fromjson)",
        "(umask 077; cat >> \"$CREDENTIALS_FILE\") << EOF",
        "## Taking it back",
        "curl -sS -X DELETE",
    ] {
        assert!(shown.contains(part), "no {part} in\n{shown}");
    }
    let one = env.run(&["show", "add-oidc", "--curl", "check_jwks"]);
    ends(&one, 0);
    assert!(text(one.stdout.as_ref()).contains("curl -sS \"$"), "{one:?}");
    let missing = env.run(&["show", "list-oidc", "--curl", "nowhere"]);
    ends(&missing, 2);
    let steps = "hint: its steps: `need_token`, `make_token`, ";
    assert!(text(missing.stderr.as_ref()).contains(steps), "{missing:?}");
    let graph = env.run(&["show", "add-oidc", "--graph"]);
    assert!(text(graph.stdout.as_ref()).starts_with("flowchart TD\n"), "{graph:?}");
}

#[test]
fn the_commands_shown_are_shell() {
    let env = Env::new();
    let shown = text(env.run(&["show", "add-oidc"]).stdout.as_ref());
    let mut blocks = shown.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    // what a note shows is not for a shell
    let typed = blocks.by_ref().filter(|block| block.contains("curl ") || block.contains("cat >>"));
    let mut count = 0;
    for block in typed {
        std::fs::write(env.path("block.sh"), block).unwrap();
        let checked = std::process::Command::new("bash")
            .args(["-n", "block.sh"])
            .current_dir(env.path("."))
            .output()
            .unwrap();
        assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}\n{block}");
        count += 1;
    }
    assert!(count > 10, "{count}");
}

#[test]
fn kinds_and_schemas_are_printed() {
    let env = Env::new();
    assert!(text(env.run(&["kinds"]).stdout.as_ref()).contains("| `http` |"));
    assert!(text(env.run(&["kinds", "http"]).stdout.as_ref()).contains("| `method` |"));
    ends(&env.run(&["kinds", "htpt"]), 2);
    for of in ["runbook", "fake", "test"] {
        let schema = env.run(&["schema", of]);
        let schema: serde_json::Value =
            serde_json::from_str(&text(schema.stdout.as_ref())).unwrap();
        assert_eq!(schema["type"], "object");
    }
}

#[test]
fn a_case_that_makes_a_secret_and_writes_below_home_ends_the_same_when_killed() {
    let env = Env::new();
    let book = "format = 1\nname = \"keep\"\n[[steps]]\nid = \"pw\"\ngenerate = \"password\"\n\
                [[steps]]\nid = \"keep\"\nappend = { file = \"~/keep.env\", text = \"PW={{ pw }}\" }\n";
    std::fs::write(env.path("keep.toml"), book).unwrap();
    std::fs::write(env.path("fake.toml"), "format = 1\n").unwrap();
    let case = "format = 1\n[[cases]]\nname = \"kept\"\n[cases.expect.files]\n\"~/keep.env\" = \"PW={{ pw }}\\n\"\n";
    std::fs::write(env.path("keep.test.toml"), case).unwrap();
    ends(&env.run(&["test", "keep.toml"]), 0);
    ends(&env.run(&["test", "keep.toml", "--crash"]), 0);
}

/// A runbook that uses others, each by the path given.
fn using(name: &str, used: &[&str]) -> String {
    let step = |(n, path): (usize, &&str)| format!("[[steps]]\nid = \"s{n}\"\nuse = \"{path}\"\n");
    let steps: String = used.iter().enumerate().map(step).collect();
    format!("format = 1\nname = \"{name}\"\n{steps}")
}

#[test]
fn a_file_that_uses_itself_by_another_path_is_refused() {
    let env = Env::new();
    std::fs::create_dir(env.path("a")).unwrap();
    std::os::unix::fs::symlink("a", env.path("link")).unwrap();
    std::os::unix::fs::symlink(".", env.path("a/down")).unwrap();
    for (path, said) in [
        ("../a/c", "`../a/c` uses itself: a/c.toml -> a/c.toml"),
        ("./c", "`./c` uses itself: a/c.toml -> a/c.toml"),
        ("../link/c", "uses itself: a/c.toml -> link/c.toml -> link/c.toml"),
        // a link makes each path another one, though it is the same file: its depth is the end
        ("down/c", "is used too deep: 16 files in a row use each other"),
    ] {
        std::fs::write(env.path("a/c.toml"), using("c", &[path])).unwrap();
        let out = env.run(&["check", "a/c.toml"]);
        ends(&out, 3);
        assert!(out.stderr.contains(said), "{path}: {out:?}");
    }
}

#[test]
fn a_file_that_is_used_often_is_checked_once() {
    let env = Env::new();
    // 2 to the 15th: for ever, if each use were checked anew
    for n in 0..15 {
        let next = format!("n{}", n + 1);
        std::fs::write(env.path(&format!("n{n}.toml")), using("n", &[&next, &next])).unwrap();
    }
    std::fs::write(env.path("n15.toml"), WARNED).unwrap();
    let out = env.run(&["check", "n0.toml"]);
    ends(&out, 0);
    std::fs::write(env.path("n15.toml"), "format = 1\nname = \"n15\"\nnaem = 1\n").unwrap();
    let out = env.run(&["check", "n0.toml"]);
    ends(&out, 3);
    assert!(out.stderr.contains("n15.toml:3:1: "), "{out:?}");
}

#[test]
fn what_an_author_wrote_arrives_as_it_is_and_is_never_read_by_a_shell() {
    use runbook::step::manual::{Manual, literal, quoted, quoted_line};
    let env = Env::new();
    let sh = |line: &str| {
        let mut command = env.any("sh");
        command.args(["-c", line]).env("V", "a value");
        let out = command.output().unwrap();
        assert!(out.status.success(), "{line}: {out:?}");
        text(&out.stdout)
    };
    for word in [
        "plain",
        "",
        "two words",
        "$V",
        "${V}",
        "$(touch bad)",
        "`touch bad`",
        "it's $V",
        "\"$V\"",
        r"\$V",
        r"\\$V",
        r"a\d",
        r"\",
        r#"\"$V"#,
        r#""; touch bad; ""#,
        "'; touch bad; '",
        "a\nEOF\ntouch bad",
        "\\\nx",
        "'$(touch bad)'",
        r"\`touch bad`",
        "a' \"b\" `c` $d",
    ] {
        let safe = literal(word);
        let print = format!("printf %s {}", quoted(&safe));
        assert_eq!(sh(&print), word, "{print}");
        let there = format!("sh -c {}", quoted_line(&print));
        assert_eq!(sh(&there), word, "{there}");
        let manual =
            Manual { shell: Some("cat".into()), stdin: Some(safe.clone()), ..Manual::default() };
        assert_eq!(sh(&manual.piped(None).unwrap()), word.to_owned() + "\n", "{safe}");
        // a variable beside it is read
        let print = format!("printf %s {}", quoted(&(safe + "$V")));
        assert_eq!(sh(&print), word.to_owned() + "a value", "{print}");
        let there = format!("sh -c {}", quoted_line(&print));
        assert_eq!(sh(&there), word.to_owned() + "a value", "{there}");
    }
    assert!(!env.path("bad").exists());
}

#[test]
fn the_commands_of_show_run_nothing_that_a_text_has_in_it() {
    let env = Env::new();
    let line = "$(touch bad)`touch bad`";
    let evil = format!("{line}\\nEOF\\ntouch bad");
    let book = format!(
        "format = 1\nname = \"x\"\n[vars]\nv = \"{evil}\"\n[connections.api]\nbase = \"http://127.0.0.1:1/$(touch bad)\"\n\
         headers = {{ \"a\" = \"{line}\" }}\n[[steps]]\nid = \"make\"\n\
         http = {{ on = \"api\", method = \"POST\", url = \"`touch bad`\", json = {{ \"{evil}\" = [\"{evil}\", \"{{{{ '{evil}' }}}} x\"] }} }}\n\
         [[steps]]\nid = \"form\"\nhttp = {{ on = \"api\", method = \"POST\", url = \"x\", form = {{ \"$(touch bad)\" = \"{evil}\" }} }}\n\
         [[steps]]\nid = \"run\"\ncommand = {{ run = [\"true\", \"{evil}\"], env = {{ A = \"{evil}\" }} }}\n\
         [[steps]]\nid = \"put\"\nappend = {{ file = \"out\", text = \"{evil}\" }}\n"
    );
    std::fs::write(env.path("x.toml"), book).unwrap();
    let shown = env.run(&["show", "x.toml"]);
    ends(&shown, 0);
    let mut blocks = shown.stdout.split("```").skip(1).step_by(2);
    let script: String = blocks.by_ref().filter_map(|block| block.strip_prefix("sh\n")).collect();
    assert!(script.contains("curl") && script.contains("cat >> out"), "{script}");
    let out = env.any("sh").args(["-c", &script]).output().unwrap();
    assert!(!env.path("bad").exists(), "{script}\n{out:?}");
    assert_eq!(std::fs::read_to_string(env.path("out")).unwrap(), evil.replace("\\n", "\n") + "\n");
}

#[test]
fn the_commands_of_show_take_an_answer_as_it_came_in_any_shell() {
    let env = Env::new();
    let book = "format = 1\nname = \"x\"\n[connections.api]\nbase = \"http://127.0.0.1:1/\"\n\
                [[steps]]\nid = \"get\"\nhttp = { on = \"api\", url = \"x\" }\n\
                save.one = '.one'\nsave.two = '.two'\n";
    std::fs::write(env.path("x.toml"), book).unwrap();
    let shown = env.run(&["show", "x.toml", "--curl", "get"]);
    ends(&shown, 0);
    // backslashes are what some shells' `echo` reads; `jq` is given what was answered
    let answer = r#"{"one":"a\nb\\c\t"}"#;
    let stubs = format!("curl() {{ printf '%s' '{answer}'; }}\njq() {{ cat; }}\n");
    let script = format!("{stubs}{}\nprintf '%s' \"$ONE\"", shown.stdout);
    let said = env.any("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), answer, "{script}");
}
