//! Runs that an older version began, whose text today's `check` refuses: what does no more harm now than it
//! did then is told, and the run goes on and can be taken back; of all else it is said what to do.

use runbook::journal::event::{Entry, Event};
use runbook::journal::store::{Store, digest_of};

use crate::support::env::Env;

/// What today's version takes.
const TODAY: &str = r#"format = 1
name = "book"
[[steps]]
id = "where"
jq = "\"north\""
save.region = "."
[[steps]]
id = "inside"
use = "inner.toml"
[[steps]]
id = "sure"
prompt = { ask = "Go on?", type = "boolean" }
[[steps]]
id = "there"
jq = "$region + \"-1\""
[[steps]]
id = "said"
append = { file = "notes", text = "{{ there }}\n" }
"#;

const INNER: &str = r#"format = 1
name = "inner"
[[steps]]
id = "noted"
append = { file = "notes", text = "begun\n" }
"#;

/// A run that waits for its answer, as a version left it that took this text for `TODAY`.
fn begun_with(text: &str) -> Env {
    killed_after(text, |_| false)
}

/// The same, killed after one of its events.
fn killed_after(text: &str, last: impl Fn(&Event) -> bool) -> Env {
    let env = Env::new();
    std::fs::write(env.path("book.toml"), TODAY).unwrap();
    std::fs::write(env.path("inner.toml"), INNER).unwrap();
    let out = env.run(&["run", "--trust", "./book.toml"]);
    assert_eq!(out.code, Some(4), "{}", out.stderr);
    let state = env.path(".state/runbook");
    let mut entries = Store::open(&state).unwrap().entries("r1").unwrap();
    let place = entries.iter().position(|entry| last(&entry.event));
    entries.truncate(place.map_or(entries.len(), |place| place + 1));
    for entry in &mut entries {
        if let Event::Done { saved, .. } = &mut entry.event
            && let Some(value) = saved.remove("region")
        {
            let name = if text.contains("save.range") { "range" } else { "region" };
            saved.insert(name.to_owned(), value);
        }
    }
    let Event::Started { text: digest, runbooks, .. } = &mut entries[0].event else {
        panic!("no start")
    };
    *digest = digest_of(text);
    let digests = (digest.clone(), runbooks[0].text.clone());
    let texts = [(digests.0.as_str(), text), (digests.1.as_str(), INNER)];
    stored(&env, &entries, texts);
    std::fs::write(env.path("book.toml"), text).unwrap();
    env
}

/// Puts another journal in the place of the run's own.
fn stored<const N: usize>(env: &Env, entries: &[Entry], texts: [(&str, &str); N]) {
    let (state, before) = (env.path(".state/runbook"), env.path(".state/before"));
    std::fs::rename(&state, &before).unwrap();
    let mut store = Store::open(&state).unwrap();
    std::fs::copy(before.join("key"), state.join("key")).unwrap();
    std::fs::remove_dir_all(before).unwrap();
    store.append_with_text(entries, texts).unwrap();
}

fn notes(env: &Env) -> String {
    std::fs::read_to_string(env.path("notes")).unwrap_or_default()
}

/// A name that is a word of the templates, and keys that mean nothing where they stand.
fn harmless() -> String {
    let named = TODAY.replace("save.region", "save.range").replace("$region", "$range");
    let named =
        format!("{named}[inputs.word]\ndefault = \"\"\nfrom = [{{ env = \"W\", key = \"W\" }}]\n");
    named.replace("use = \"inner.toml\"", "use = \"inner.toml\"\ntimeout = \"1 min\"")
}

#[test]
fn a_mistake_that_did_no_harm_then_is_told_and_the_run_goes_on() {
    let env = begun_with(&harmless());
    assert_eq!(env.run(&["check", "./book.toml"]).code, Some(3), "a mistake now");
    let out = env.run(&["resume", "r1", "--answer", "sure=true"]);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    for told in [
        "warning: `range` cannot be a name\n --> ./book.toml:6:6",
        "warning: `timeout` cannot stand beside `use`\n  --> ./book.toml:10:11",
        "warning: `key` goes with `dotenv`\n  --> ./book.toml:",
    ] {
        assert!(out.stderr.contains(told), "{told}: {}", out.stderr);
    }
    assert!(notes(&env).contains("north-1"), "{}", notes(&env));
}

#[test]
fn a_run_with_such_a_mistake_is_taken_back() {
    let env = begun_with(&harmless());
    assert!(notes(&env).contains("begun"), "{}", notes(&env));
    let out = env.run(&["undo", "r1", "--yes"]);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert_eq!(notes(&env), "");
}

#[test]
fn a_text_that_is_refused_says_what_to_do_and_the_mended_file_goes_on() {
    let env = begun_with(&format!("{TODAY}colour = \"red\"\n"));
    for (args, hint) in [
        (&["resume", "r1", "--answer", "sure=true"][..], "`runbook resume r1 --updated` goes on"),
        (&["undo", "r1", "--yes"], "`runbook undo r1` of the version it began with"),
    ] {
        let out = env.run(args);
        assert_eq!(out.code, Some(3), "{}", out.stderr);
        assert!(out.stderr.contains("./book.toml:19:1"), "the place: {}", out.stderr);
        assert!(out.stderr.contains("refuses the text that run `r1` began with"), "{}", out.stderr);
        assert!(out.stderr.contains(hint), "{}", out.stderr);
    }
    for (args, shown) in [(&["log", "r1"][..], "inside/noted"), (&["runs"], "waiting")] {
        let out = env.run(args);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        assert!(format!("{}{}", out.stdout, out.stderr).contains(shown), "{out:?}");
    }
    std::fs::write(env.path("book.toml"), TODAY).unwrap();
    let updated = ["resume", "r1", "--updated", "--trust", "--answer", "sure=true"];
    let out = env.run(&updated);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert!(notes(&env).contains("north-1"), "{}", notes(&env));
    let out = env.run(&["undo", "r1", "--yes"]);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert_eq!(notes(&env), "");
}

#[test]
fn what_the_mended_file_edits_besides_is_asked_about_without_the_old_text() {
    let env = begun_with(&format!("{TODAY}colour = \"red\"\n"));
    let edited = TODAY.replace("north", "south").replace("\"inside\"", "\"within\"");
    std::fs::write(env.path("book.toml"), edited).unwrap();
    let out = env.run(&["resume", "r1", "--updated", "--trust", "--answer", "sure=true"]);
    assert_eq!(out.code, Some(2), "{}", out.stderr);
    for asked in [
        "  where  is done, and was edited since; answer `--rerun where` or `--keep where`",
        "  within  is new, and reads like the finished step `inside`: renamed?; answer `--rerun within` or `--keep within`",
    ] {
        assert!(out.stderr.contains(asked), "{asked}: {}", out.stderr);
    }
    let (code, said) = taken_over(&env, &["--rerun", "where", "--keep", "within"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(notes(&env).matches("begun").count(), 1, "not done twice: {}", notes(&env));
    assert!(notes(&env).contains("south-1"), "{}", notes(&env));
}

/// The arguments of a command that takes the mended file, and what it says and ends with.
fn taken_over(env: &Env, more: &[&str]) -> (Option<i32>, String) {
    let mut words = vec!["resume", "r1", "--updated", "--trust", "--answer", "sure=true"];
    words.extend(more);
    let out = env.run(&words);
    (out.code, out.stderr)
}

#[test]
fn what_is_gone_inside_is_asked_about_without_the_old_text() {
    let refused = format!("{TODAY}colour = \"red\"\n");
    let noted = |event: &Event| matches!(event, Event::Done { step, .. } if step == "inside/noted");
    for last in [&noted as &dyn Fn(&Event) -> bool, &|_| false] {
        let env = killed_after(&refused, last);
        std::fs::write(env.path("book.toml"), TODAY.replace("\"inside\"", "\"within\"")).unwrap();
        std::fs::write(env.path("inner.toml"), INNER.replace("noted", "written")).unwrap();
        let (code, said) = taken_over(&env, &[]);
        assert_eq!(code, Some(2), "{said}");
        for asked in [
            "  within/written  is not done, unless it is one that is gone: renamed?; answer `--rerun within/written` or `--keep within/written`",
            "  within/noted  is done, and is gone from the file: what it did stays; answer `--keep within/noted`",
        ] {
            assert!(said.contains(asked), "{asked}: {said}");
        }
        let (code, said) = taken_over(&env, &["--keep", "within"]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(notes(&env).matches("begun").count(), 1, "not done twice: {}", notes(&env));
    }
}

#[test]
fn what_is_in_doubt_inside_and_gone_is_refused_without_the_old_text() {
    let intent =
        |event: &Event| matches!(event, Event::Intent { step, .. } if step == "inside/noted");
    let env = killed_after(&format!("{TODAY}colour = \"red\"\n"), intent);
    std::fs::write(env.path("book.toml"), TODAY).unwrap();
    std::fs::write(env.path("inner.toml"), INNER.replace("noted", "written")).unwrap();
    let (code, said) = taken_over(&env, &[]);
    assert_eq!(code, Some(2), "{said}");
    let doubt = "  inside/noted  may or may not have happened, and is gone from the file";
    assert!(said.contains(doubt), "{said}");
    let hint = "put the step back as it was, with its name; nothing was done";
    assert!(said.contains(hint), "the old file is of no use: {said}");
    assert!(said.contains("`runbook resume r1 --updated --redo inside/noted`"), "{said}");
}

#[test]
fn a_run_whose_text_is_lost_goes_on_with_the_file() {
    let env = begun_with(TODAY);
    let entries = Store::open(&env.path(".state/runbook")).unwrap().entries("r1").unwrap();
    stored(&env, &entries, []);
    let out = env.run(&["resume", "r1", "--answer", "sure=true"]);
    assert_eq!(out.code, Some(1), "{}", out.stderr);
    let hint = "`runbook resume r1 --updated` goes on with ./book.toml as it is now";
    assert!(out.stderr.contains(hint), "{}", out.stderr);
    let (code, said) = taken_over(&env, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(notes(&env).contains("north-1"), "{}", notes(&env));
}
