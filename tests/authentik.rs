//! The bundled runbooks one after the other, against their fake: what no single case can show.

use std::fs;

use runbook::fake::{Fake, Served, serve};
use runbook::source::Source;
use serde_json::{Value, json};

use crate::support::env::{Env, Output};

const TOKEN: &str = "rehearsal-1Jc8VbSeyR0Q4tGm";
/// The versions whose behaviour the fake has; none is the newest.
const VERSIONS: [&[&str]; 5] = [&["v2024_2"], &["v2024_10"], &["v2024_12"], &["v2026_2"], &[]];

/// A server in these states, further changed.
fn server(states: &[&str], change: impl FnOnce(&mut Value)) -> Served {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/authentik/fake.toml");
    let fake = Fake::parse(&Source::new("fake.toml", fs::read_to_string(path).unwrap())).unwrap();
    let states: Vec<String> = states.iter().map(ToString::to_string).collect();
    let mut state = fake.state(&states).unwrap();
    change(&mut state);
    serve(fake, &state, 0).unwrap()
}

/// One run of a bundled runbook that must end well; its events.
fn run(env: &Env, served: &Served, name: &str, more: &[&str]) -> Vec<Value> {
    let inputs = json!({
        "authentik_url": served.url(),
        "authentik_token": TOKEN,
        "credentials_file": env.path("credentials"),
    });
    fs::write(env.path("inputs.json"), inputs.to_string()).unwrap();
    let mut args = vec!["run", name, "--inputs", "inputs.json", "--yes", "--output", "jsonl"];
    args.extend(more);
    let output: Output = env.run(&args);
    assert_eq!(output.code, Some(0), "{name}: {output:?}");
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn add(env: &Env, served: &Served) -> Vec<Value> {
    let more = ["--preset", "vaultwarden", "--input", "check_dns=no", "--answer", "test_login=yes"];
    run(env, served, "add-oidc", &more)
}

fn remove(env: &Env, served: &Served) -> Vec<Value> {
    run(env, served, "remove-oidc", &["--input", "service_name=Vaultwarden"])
}

/// A value that some step saved.
fn saved(events: &[Value], name: &str) -> Value {
    let found = events.iter().rev().find_map(|event| event["saved"].get(name));
    found.unwrap_or_else(|| panic!("nothing saved `{name}`: {events:#?}")).clone()
}

/// The state without the counters from which the fake makes identifiers.
fn things(served: &Served) -> Value {
    let mut state = served.state();
    let fields = state.as_object_mut().unwrap();
    fields.retain(|name, _| name != "counter" && name != "next_provider");
    state
}

#[test]
fn what_was_added_and_removed_leaves_no_trace() {
    for before in ["", "OTHER=1\n", "# one\nOTHER=1\n\n# two\nTHIRD=3\n"] {
        for states in VERSIONS {
            let env = Env::new();
            let served = server(states, |_| ());
            let file = env.path("credentials");
            fs::write(&file, before).unwrap();
            owner_only(&file);
            let there = things(&served);
            add(&env, &served);
            assert_ne!(things(&served), there, "{states:?}");
            assert_ne!(fs::read_to_string(&file).unwrap(), before, "{states:?}");
            remove(&env, &served);
            assert_eq!(things(&served), there, "{states:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), before, "{states:?}");
        }
    }
}

#[test]
fn other_applications_stay_as_they_are() {
    let env = Env::new();
    let served = server(&["vaultwarden", "one_group"], |state| {
        for kind in ["providers", "applications"] {
            state[kind][0]["name"] = json!("Another");
        }
        state["applications"][0]["slug"] = json!("another");
    });
    let there = things(&served);
    add(&env, &served);
    remove(&env, &served);
    assert_eq!(things(&served), there);
}

#[test]
fn what_was_added_is_found_in_order_on_every_version() {
    for states in VERSIONS {
        let env = Env::new();
        let served = server(states, |_| ());
        let events = add(&env, &served);
        assert_eq!(saved(&events, "authorize_error"), json!(""), "{states:?}");
        assert_eq!(saved(&events, "authorize_status"), json!(302), "{states:?}");
        assert_eq!(saved(&events, "token_error"), json!("invalid_grant"), "{states:?}");
        let inputs = [
            "--input",
            "service_name=Vaultwarden",
            "--input",
            "needs_offline_access=yes",
            "--input",
            "redirect_uri=https://vault.echo6.co/identity/connect/oidc-signin",
        ];
        let there = served.state();
        assert_eq!(saved(&run(&env, &served, "diagnose-oidc", &inputs), "causes"), json!([]));
        let listed = saved(&run(&env, &served, "list-oidc", &[]), "providers");
        assert_eq!(listed[0]["problems"], json!([]), "{states:?}");
        assert_eq!(served.state(), there, "looking changed something: {states:?}");
    }
}

#[test]
fn a_rotated_secret_is_removed_too() {
    let env = Env::new();
    let served = server(&[], |_| ());
    let there = things(&served);
    add(&env, &served);
    let first = fs::read_to_string(env.path("credentials")).unwrap();
    run(&env, &served, "rotate-oidc-secret", &["--input", "service_name=Vaultwarden"]);
    let second = fs::read_to_string(env.path("credentials")).unwrap();
    let (differ, same): (Vec<_>, Vec<_>) =
        first.lines().zip(second.lines()).partition(|(old, new)| old != new);
    assert_eq!((differ.len(), same.len(), second.lines().count()), (1, 3, 4));
    assert!(differ[0].0.starts_with("VAULTWARDEN_OIDC_CLIENT_SECRET="));
    remove(&env, &served);
    assert_eq!(things(&served), there);
    assert_eq!(fs::read_to_string(env.path("credentials")).unwrap(), "");
}

#[test]
fn a_rotation_that_is_undone_brings_the_old_secret_back() {
    let env = Env::new();
    let served = server(&[], |_| ());
    add(&env, &served);
    let (there, file) = (things(&served), fs::read_to_string(env.path("credentials")).unwrap());
    run(&env, &served, "rotate-oidc-secret", &["--input", "service_name=Vaultwarden"]);
    assert_ne!(things(&served), there);
    let output = env.run(&["undo", "r2", "--yes"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(things(&served), there);
    assert_eq!(fs::read_to_string(env.path("credentials")).unwrap(), file);
}

#[test]
fn more_providers_than_the_server_gives_at_once_are_all_listed() {
    let env = Env::new();
    let served = server(&["vaultwarden"], |state| {
        let first = state["providers"][0].clone();
        let many = (1..=250).map(|number| {
            let mut provider = first.clone();
            provider["pk"] = json!(number);
            provider["name"] = json!(format!("Provider {number:03}"));
            provider
        });
        state["providers"] = many.collect();
    });
    let listed = saved(&run(&env, &served, "list-oidc", &[]), "providers");
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!((names.len(), names[0], names[249]), (250, "Provider 001", "Provider 250"));
    // Only the first has an application.
    assert_eq!(listed[0]["problems"], json!([]));
    assert_eq!(listed[249]["problems"], json!(["no application"]));
}

#[test]
fn a_name_that_does_not_exist_is_told_before_anything_is_made() {
    let env = Env::new();
    let served = server(&[], |_| ());
    let inputs = json!({
        "service_url": "https://no-such-name.invalid",
        "authentik_url": served.url(),
        "authentik_token": TOKEN,
        "credentials_file": env.path("credentials"),
    });
    fs::write(env.path("inputs.json"), inputs.to_string()).unwrap();
    let given = ["--preset", "vaultwarden", "--inputs", "inputs.json"];
    let mut args = vec!["run", "add-oidc", "--input", "service_url=https://no-such-name.invalid"];
    args.extend(given);
    args.push("--yes");
    let output = env.run(&args);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("error: step `resolve_service` failed"), "{}", output.stderr);
    assert!(output.stderr.contains("expose the service first"), "{}", output.stderr);
    assert!(served.asked().iter().all(|asked| asked.method != "POST"), "{:?}", served.asked());
}

/// Whatever the page calls by a name of the runbooks is there under that name.
#[test]
fn what_the_page_names_is_in_the_runbooks() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/authentik.md")).unwrap();
    let mut texts = String::new();
    for entry in fs::read_dir(root.join("runbooks/authentik")).unwrap() {
        texts += &fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    let words: std::collections::HashSet<&str> =
        texts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let named = page.split('`').skip(1).step_by(2);
    let named = named.filter(|name| {
        name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    });
    let (there, missing): (Vec<&str>, Vec<&str>) = named.partition(|name| words.contains(name));
    assert!(missing.iter().all(|name| *name == "apply_…" || *name == "fix_…"), "{missing:?}");
    assert!(there.len() > 50, "only {} names were found", there.len());
}

#[cfg(unix)]
fn owner_only(file: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}
