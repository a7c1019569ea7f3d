//! The bundled `expose-service` against a real Caddy, started here by hand on loopback.
//!
//! Its configuration, its authority and all it writes are in the test's own folder. Where there
//! is no `caddy` each test says so and passes; `.ci/run` sees to it that there is one.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::env::{Env, Output, Running};
use crate::support::server::Server;
use crate::support::sshd::{Sshd, say};
use crate::support::{free_port, program};

/// A Caddy of the test's own. Dropping it stops it.
struct Caddy {
    _running: Running,
    admin: String,
    https: u16,
    /// The service behind it.
    service: Server,
}

const SERVICE: &str = "[[routes]]\npath = '/alive'\nbody = 'alive'\n";

impl Caddy {
    /// Starts one with two routes: another name's, and one that takes all. None, and a line that
    /// says so, where there is no `caddy`.
    fn start(env: &Env) -> Option<Self> {
        let Some(caddy) = program("caddy") else {
            say("skipped: no caddy");
            return None;
        };
        let (admin, https) = (free_port(), free_port());
        let config = json!({
            "admin": { "listen": format!("127.0.0.1:{admin}"), "config": { "persist": false } },
            "apps": {
                "http": { "http_port": free_port(), "https_port": https, "servers": { "srv0": {
                    "listen": [format!("127.0.0.1:{https}")],
                    "automatic_https": { "disable_redirects": true },
                    "routes": [
                        { "match": [{ "host": ["other.localhost"] }],
                          "handle": [{ "handler": "static_response", "body": "other" }] },
                        { "handle": [{ "handler": "static_response", "status_code": 404 }] },
                    ],
                } } },
                "pki": { "certificate_authorities": { "local": { "install_trust": false } } },
            },
        });
        fs::write(env.path("caddy.json"), config.to_string()).unwrap();
        let mut command = env.any(caddy.to_str().expect("a plain path"));
        command.env("XDG_DATA_HOME", env.path("data")).args(["run", "--config", "caddy.json"]);
        let running = Running::start(command, "");
        running.wait_for("serving initial configuration");
        let admin = format!("127.0.0.1:{admin}");
        Some(Self { _running: running, admin, https, service: Server::start(SERVICE) })
    }

    /// The whole configuration, byte for byte as Caddy shows it.
    fn config(&self) -> String {
        self.ask("GET", "/config/", "")
    }

    /// What its admin API answers.
    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        let (admin, long) = (&self.admin, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {admin}\r\nContent-Type: application/json\r\n\
             Content-Length: {long}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{answer}");
        body.to_owned()
    }

    /// The `@id`s of its routes, in their order; null for one without.
    fn routes(&self) -> Value {
        let config: Value = serde_json::from_str(&self.config()).unwrap();
        let routes = config["apps"]["http"]["servers"]["srv0"]["routes"].as_array().unwrap();
        routes.iter().map(|route| route["@id"].clone()).collect()
    }

    /// Writes the inputs that expose the service as `localhost`.
    fn inputs(&self, env: &Env, more: &[(&str, &str)]) {
        let mut inputs = json!({
            "service_url": format!("https://localhost:{}", self.https),
            "upstream": self.service.url().trim_start_matches("http://"),
            "caddy_admin": format!("http://{}", self.admin),
            "health_path": "/alive",
            "ca_file": env.path("data/caddy/pki/authorities/local/root.crt"),
        });
        for (name, value) in more {
            inputs[*name] = json!(value);
        }
        fs::write(env.path("inputs.json"), inputs.to_string()).unwrap();
    }
}

const RUN: [&str; 6] = ["run", "expose-service", "--inputs", "inputs.json", "--output", "jsonl"];

fn run(env: &Env, more: &[&str]) -> Output {
    env.run(&[&RUN[..], more].concat())
}

fn events(output: &Output) -> Vec<Value> {
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How a step came to be done.
fn how(output: &Output, step: &str) -> Value {
    let done = events(output);
    let done = done.iter().find(|event| event["event"] == "done" && event["step"] == step);
    done.unwrap_or_else(|| panic!("`{step}` was not done: {output:#?}"))["how"].clone()
}

fn done(output: &Output) {
    assert_eq!(output.code, Some(0), "{output:#?}");
}

#[test]
fn a_service_is_exposed_found_again_and_hidden_without_a_trace() {
    let env = Env::new();
    let Some(caddy) = Caddy::start(&env) else { return };
    caddy.inputs(&env, &[]);
    let before = caddy.config();
    let first = run(&env, &[]);
    done(&first);
    assert_eq!(how(&first, "create_route"), "performed");
    assert_eq!(caddy.routes(), json!(["expose-localhost", null, null]));
    let asked = caddy.service.requests();
    assert!(
        asked.iter().any(|one| one.target == "/alive"),
        "the service itself answers: {asked:?}"
    );

    let there = caddy.config();
    assert_eq!(run(&env, &[]).code, Some(1), "what is there is not taken over silently");
    let second = run(&env, &["--adopt"]);
    done(&second);
    assert_eq!(how(&second, "create_route"), "unchanged");
    assert_eq!(caddy.config(), there);

    done(&env.run(&["undo", "r3", "--yes"]));
    assert_eq!(caddy.config(), there, "the run that found it there leaves it there");
    done(&env.run(&["undo", "r1", "--yes"]));
    assert_eq!(caddy.config(), before);
}

#[test]
fn killed_anywhere_it_goes_on_and_makes_one_route() {
    let env = Env::new();
    let Some(caddy) = Caddy::start(&env) else { return };
    caddy.inputs(&env, &[]);
    let before = caddy.config();
    let mut kills = 0;
    loop {
        let mut command = env.command(&RUN);
        command.env("RUNBOOK_CRASH_AT", (kills + 1).to_string());
        let output = Running::start(command, "").finish();
        if output.code.is_some() {
            done(&output);
            break;
        }
        kills += 1;
        let resumed = env.run(&["resume"]);
        // Killed before it was on disk, there is no run: nothing can have happened.
        if resumed.code == Some(2) {
            assert_eq!(caddy.config(), before, "{resumed:#?}");
            continue;
        }
        assert_eq!(resumed.code, Some(0), "killed at {kills}: {resumed:#?}");
        assert_eq!(caddy.routes(), json!(["expose-localhost", null, null]), "killed at {kills}");
        let newest = env.run(&["runs", "--output", "jsonl"]);
        let newest = events(&newest)[0]["run"].as_str().unwrap().to_owned();
        done(&env.run(&["undo", &newest, "--yes"]));
        assert_eq!(caddy.config(), before, "killed at {kills}");
    }
    assert!(kills > 10, "{kills}");
}

#[test]
fn what_cannot_be_exposed_is_said_before_anything_is_changed() {
    let env = Env::new();
    let Some(caddy) = Caddy::start(&env) else { return };
    let before = caddy.config();
    for (name, value, says) in [
        ("caddy_server", "srv7", "no server of this name"),
        ("service_url", "https://localhost", "does not listen on the port"),
        ("service_url", &format!("https://other.localhost:{}", caddy.https), "answers to the name"),
    ] {
        caddy.inputs(&env, &[(name, value)]);
        let output = run(&env, &["--input", "check_dns=no"]);
        assert_eq!(output.code, Some(1), "{output:#?}");
        assert!(output.stdout.contains(says), "{says}: {output:#?}");
        assert_eq!(caddy.config(), before);
    }
}

#[test]
fn a_service_that_nobody_is_at_is_told_and_can_be_taken_back() {
    let env = Env::new();
    let Some(caddy) = Caddy::start(&env) else { return };
    let before = caddy.config();
    caddy.inputs(&env, &[("upstream", &format!("127.0.0.1:{}", free_port()))]);
    let output = run(&env, &["--input", "wait_for_service=no"]);
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(output.stdout.contains("502: Caddy cannot reach `upstream`"), "{output:#?}");
    done(&env.run(&["undo", "r1", "--yes"]));
    assert_eq!(caddy.config(), before);
}

#[test]
fn a_route_that_somebody_changed_since_is_left_alone() {
    let env = Env::new();
    let Some(caddy) = Caddy::start(&env) else { return };
    let before = caddy.config();
    caddy.inputs(&env, &[]);
    done(&run(&env, &[]));
    caddy.ask("POST", "/id/expose-localhost/handle/0/flush_interval", "-1");
    let theirs = caddy.config();
    let undo = env.run(&["undo", "r1", "--yes"]);
    assert_eq!(undo.code, Some(1), "{undo:#?}");
    assert!(undo.stderr.contains("it is left alone"), "{undo:#?}");
    assert_eq!(caddy.config(), theirs);
    caddy.ask("DELETE", "/id/expose-localhost/handle/0/flush_interval", "");
    done(&env.run(&["undo", "r1", "--yes"]));
    assert_eq!(caddy.config(), before);
}

#[test]
fn the_admin_interface_is_reached_through_ssh() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let Some(caddy) = Caddy::start(&env) else { return };
    caddy.inputs(&env, &[("caddy_ssh", &sshd.destination())]);
    done(&run(&env, &[]));
    assert_eq!(caddy.routes(), json!(["expose-localhost", null, null]));
    assert_eq!(sshd.sessions(), 1);
}
