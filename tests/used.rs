//! What a step that uses another runbook may say: every key has an effect, or is refused at its place.

use regex_lite::Regex;
use runbook::runbook::fields;

use crate::support::env::{Env, Output, Running};

const USE: &str = "[[steps]]\nid = \"i\"\nuse = \"inner\"\n";

/// A folder with a runbook of these steps, and one that is used.
fn folder(steps: &str) -> Env {
    let env = Env::new();
    let head = "format = 1\nname = \"outer\"\n[inputs.key]\nsecret = true\ndefault = \"k-0123456789\"\n[vars]\ndoor = 1\n";
    std::fs::write(env.path("outer.toml"), format!("{head}{steps}")).unwrap();
    let inner = "format = 1\nname = \"inner\"\n[[steps]]\nid = \"one\"\njq = \"7\"\n";
    std::fs::write(env.path("inner.toml"), inner).unwrap();
    env
}

fn check(steps: &str) -> Output {
    folder(steps).run(&["check", "./outer.toml"])
}

/// What a person is told of a run of these steps; of what is only for reading, by `show`.
fn told(steps: &str, key: &str) -> String {
    let command = if ["title", "about"].contains(&key) { "show" } else { "run" };
    let out = folder(steps).run(&[command, "./outer.toml"]);
    let told = format!("{}{}{:?}", out.stdout, out.stderr, out.code);
    Regex::new(r"\d+ (ms|s)\b").unwrap().replace_all(&told, "[TIME]").into_owned()
}

/// What stands before the step, a step with the key, and the same without it.
fn example(key: &str) -> (&'static str, &'static str, &'static str) {
    match key {
        "id" => ("", "", "id = \"j\"\n"),
        "title" => ("", "", "title = \"The inner one\"\n"),
        "about" => ("", "", "about = \"Why it is there.\"\n"),
        "when" => ("", "", "when = \"door == 2\"\n"),
        "effect" => ("", "", "effect = \"once\"\n"),
        "save" => ("", "", "save.seven = \".one\"\n"),
        "gates" => ("", "save.seven = \".one\"\n", "gates = [{ that = \"seven == 8\" }]\n"),
        "for_each" => ("", "", "for_each = \"['a', 'b', 'c']\"\n"),
        "as" => ("", "", "as = \"side\"\n"),
        "at_once" => ("", "", "at_once = 2\n"),
        "always" => ("[[steps]]\nid = \"no\"\ngate = \"door == 2\"\n", "", "always = true\n"),
        "optional" => ("", "", "optional = true\n"),
        "hints" => ("", "save.seven = \".one | error\"\n", "hints = [\"Look there\"]\n"),
        "retry" => ("", "", "retry = { max_attempts = 3 }\n"),
        "until" => ("", "save.seven = \".one\"\n", "until = { that = \"seven == 7\" }\n"),
        "timeout" => ("", "", "timeout = \"500ms\"\n"),
        "already" => ("", "", "already = { jq = \"1\", find = \".\", same = \"true\" }\n"),
        "undo" => ("", "", "undo = { note = \"back\" }\n"),
        "reveal" => ("", "title = \"With {{ key }}\"\n", "reveal = true\n"),
        other => panic!("`{other}` is new: what does it mean of a step that uses a runbook?"),
    }
}

#[test]
fn every_key_of_a_step_that_uses_a_runbook_has_an_effect_or_is_refused() {
    let mut refused = Vec::new();
    for field in fields::STEP {
        let key = field.name;
        let (before, without, with) = example(key);
        let used = if key == "id" { USE.replace("id = \"i\"\n", "") } else { USE.to_owned() };
        let steps = format!("{before}{used}{without}{with}");
        let stderr = check(&steps).stderr;
        if stderr.contains(&format!("`{key}` cannot stand beside `use`")) {
            let place = format!(":{}:", 7 + steps.lines().count());
            assert!(stderr.contains(&place), "{key}, not at {place}: {stderr}");
            assert!(stderr.contains("= help: "), "{key}, without help: {stderr}");
            refused.push(key);
        } else if !stderr.contains(&format!("`{key}` goes with `for_each`")) {
            let plain = format!("{before}{USE}{without}");
            assert_ne!(told(&steps, key), told(&plain, key), "{key}");
        }
    }
    let all = ["effect", "for_each", "optional"];
    let all = [&all[..], &["retry", "until", "timeout", "already", "undo"]].concat();
    assert_eq!(refused, all);
}

#[test]
fn a_used_runbook_is_no_look_up_and_what_it_takes_back_has_its_own_effects() {
    let look = "[[steps]]\nid = \"i\"\njq = \"1\"\nalready = { use = \"inner\", find = \".\", same = \"true\" }\n";
    let stderr = check(look).stderr;
    assert!(stderr.contains("`already` must only look"), "{stderr}");
    let back = "[[steps]]\nid = \"i\"\njq = \"1\"\nundo = { use = \"inner\", effect = \"once\" }\n";
    let stderr = check(back).stderr;
    assert!(stderr.contains("`effect` cannot stand beside `use`"), "{stderr}");
}

/// Killed anywhere, the gate is judged all the same, and nothing is done twice.
#[test]
fn a_gate_over_a_used_runbook_is_judged_wherever_the_run_is_killed() {
    let outer = "format = 1\nname = \"outer\"\n[[steps]]\nid = \"i\"\nuse = \"inner\"\nsave.n = \".n\"\n\
                 gates = [{ that = \"n == 2\" }]\n[[steps]]\nid = \"after\"\nappend = { file = \"after\", text = \"{{ n }}\" }\n";
    let inner = "format = 1\nname = \"inner\"\n[[steps]]\nid = \"a\"\nappend = { file = \"made\", text = \"A\" }\n\
                 [[steps]]\nid = \"n\"\njq = \"1\"\n[[steps]]\nid = \"b\"\nappend = { file = \"made\", text = \"B\" }\n";
    let mut kills = 0;
    for point in 1.. {
        let env = Env::new();
        std::fs::write(env.path("outer.toml"), outer).unwrap();
        std::fs::write(env.path("inner.toml"), inner).unwrap();
        let mut command = env.command(&["run", "--trust", "./outer.toml"]);
        command.env(runbook::crash::VARIABLE, point.to_string());
        let killed = Running::start(command, "").finish().code.is_none();
        let begun = env.run(&["runs"]).stdout.contains("r1");
        for _ in 0..2 * i32::from(begun) {
            let resumed = env.run(&["resume", "r1"]);
            assert_eq!(resumed.code, Some(1), "at point {point}: {}", resumed.stderr);
            assert!(resumed.stderr.contains("gate does not hold: n == 2"), "{}", resumed.stderr);
            assert_eq!(std::fs::read_to_string(env.path("made")).unwrap(), "A\nB\n");
            assert!(!env.path("after").exists(), "at point {point}");
        }
        if !killed {
            break;
        }
        kills += 1;
    }
    assert!(kills > 9, "{kills}");
}
