//! The bundled runbooks for containers one after the other, against their fake: what no single
//! case can show. Taking back takes several steps here, and is killed between any two.

use std::fs;

use runbook::fake::{Fake, Served, serve};
use runbook::source::Source;
use serde_json::{Value, json};

use crate::support::env::{Env, Output, Running};

fn server(states: &[&str]) -> Served {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/proxmox/fake.toml");
    let fake = Fake::parse(&Source::new("fake.toml", fs::read_to_string(path).unwrap())).unwrap();
    let states: Vec<String> = states.iter().map(ToString::to_string).collect();
    let state = fake.state(&states).unwrap();
    serve(fake, &state, 0).unwrap()
}

/// An environment with the inputs for both runbooks.
fn env(served: &Served) -> Env {
    let mut env = Env::new();
    env.set("PROXMOX_TOKEN", "root@pam!runbook=6b9b5699-2e65-47ad-a3aa-3f37c06f4d5e");
    let inputs = json!({
        "proxmox_url": served.url(),
        "hostname": "vault",
        "node": "pve",
        "template": "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst",
    });
    fs::write(env.path("inputs.json"), inputs.to_string()).unwrap();
    env
}

const CREATE: [&str; 4] = ["run", "create-container", "--inputs", "inputs.json"];

fn done(output: &Output) {
    assert_eq!(output.code, Some(0), "{output:#?}");
}

fn containers(served: &Served) -> Value {
    served.state()["containers"].clone()
}

/// The changes that were carried out.
fn changes(served: &Served) -> Vec<String> {
    let changed = served.asked().into_iter().filter(|asked| asked.method != "GET");
    let changed = changed.filter(|asked| asked.status == Some(200));
    changed.map(|asked| format!("{} {}", asked.method, asked.target)).collect()
}

#[test]
fn what_was_created_is_stopped_and_destroyed_and_the_others_stay() {
    for states in [&[][..], &["slow"], &["old"]] {
        let served = server(states);
        let env = env(&served);
        let before = containers(&served);
        done(&env.run(&CREATE));
        assert_eq!(containers(&served)["101"]["status"], "running");
        done(&env.run(&["undo", "r1", "--yes"]));
        assert_eq!(containers(&served), before, "{states:?}");
        let wanted = [
            "POST /api2/json/nodes/pve/lxc",
            "POST /api2/json/nodes/pve/lxc/101/status/start",
            "POST /api2/json/nodes/pve/lxc/101/status/stop",
            "DELETE /api2/json/nodes/pve/lxc/101?purge=1",
        ];
        let mut changes = changes(&served);
        // While it is being stopped, it may be told so once more.
        changes.dedup();
        assert_eq!(changes, wanted, "{states:?}");
    }
}

#[test]
fn taking_back_that_is_killed_anywhere_goes_on_to_its_end() {
    let mut at = 0;
    loop {
        at += 1;
        let served = server(&[]);
        let env = env(&served);
        let before = containers(&served);
        done(&env.run(&CREATE));
        let mut undo = env.command(&["undo", "r1", "--yes"]);
        undo.env("RUNBOOK_CRASH_AT", at.to_string());
        let killed = Running::start(undo, "").finish();
        if killed.code.is_some() {
            done(&killed);
            break;
        }
        done(&env.run(&["undo", "r1", "--yes"]));
        assert_eq!(containers(&served), before, "killed at {at}");
    }
    assert!(at > 20, "{at}");
}

#[test]
fn a_container_that_took_the_place_is_not_destroyed() {
    let served = server(&["stolen"]);
    let env = env(&served);
    let output = env.run(&CREATE);
    assert_eq!(output.code, Some(1), "{output:#?}");
    let undone = env.run(&["undo", "r1", "--yes"]);
    assert_eq!(undone.code, Some(1), "{undone:#?}");
    assert!(undone.stderr.contains("another hostname"), "{undone:#?}");
    assert_eq!(containers(&served)["101"]["config"]["hostname"], "quicker");
}

#[test]
fn a_container_that_was_there_before_stays_when_the_run_is_taken_back() {
    let served = server(&["existing"]);
    let env = env(&served);
    let before = containers(&served);
    done(&env.run(&[&CREATE[..], &["--adopt"]].concat()));
    done(&env.run(&["undo", "r1", "--yes"]));
    assert_eq!(containers(&served), before);
    assert_eq!(changes(&served), Vec::<String>::new());
}
