//! What a killed run left running is told by whoever goes on, and nothing else is taken for it.

use std::path::Path;

use crate::support::env::{Env, Output};

/// A step that goes on until it is killed, unless it was begun before.
fn book(env: &Env, effect: &str) {
    let text = format!(
        "format = 1\nname = \"b\"\n[inputs]\nat.default = \"pid\"\n[[steps]]\nid = \"work\"\neffect = \"{effect}\"\n\
         command = [\"sh\", \"-c\", \"test -e $1 && exit; echo $$ > $1.new; mv $1.new $1; exec sleep 60\", \"-\", \"{{{{ at }}}}\"]\n"
    );
    std::fs::write(env.path("b.toml"), text).unwrap();
}

/// The number that a process has written, once it is there.
fn pid(path: &Path) -> String {
    loop {
        match std::fs::read_to_string(path) {
            Ok(pid) => break pid.trim().to_owned(),
            Err(_) => std::thread::yield_now(),
        }
    }
}

fn environment(pid: &str) -> Vec<u8> {
    std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

fn end(env: &Env, pid: &str) {
    assert!(env.any("kill").arg(pid).status().unwrap().success());
    while !environment(pid).is_empty() {
        std::thread::yield_now();
    }
}

/// The mark by which what a process belongs to is known.
fn mark(pid: &str) -> String {
    let all = environment(pid);
    let mut all = all.split(|byte| *byte == 0);
    let mark = all.find_map(|one| one.strip_prefix(b"RUNBOOK_STEP=")).unwrap();
    String::from_utf8(mark.to_vec()).unwrap()
}

/// A killed process leaves what it started: whoever goes on is told, as it is begun again beside that.
#[test]
fn it_is_told_by_the_one_that_goes_on() {
    for effect in ["repeatable", "once"] {
        let env = Env::new();
        book(&env, effect);
        let running = env.start(&["run", "b.toml", "--trust"]);
        let pid = pid(&env.path("pid"));
        let _ = running.kill();
        let told = format!("step `work` is still running: process {pid}\n");
        let out = env.run(&["resume"]);
        assert!(out.stderr.contains(&told), "{effect}: {}", out.stderr);
        end(&env, &pid);
        let out = env.run(&["resume", "r1", "--redo", "work"]);
        assert!(!out.stderr.contains("still running"), "{effect}: {}", out.stderr);
    }
}

/// So is who goes on with taking back, of what that had started.
#[test]
fn it_is_told_by_the_one_that_takes_back() {
    let env = Env::new();
    let book = "format = 1\nname = \"b\"\n[[steps]]\nid = \"work\"\ncommand = [\"true\"]\n\
         [steps.undo]\ncommand = [\"sh\", \"-c\", \"test -e pid && exit; echo $$ > pid.new; mv pid.new pid; exec sleep 60\"]\n";
    std::fs::write(env.path("b.toml"), book).unwrap();
    let out = env.run(&["run", "b.toml", "--trust"]);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    let running = env.start(&["undo", "r1", "--yes"]);
    let pid = pid(&env.path("pid"));
    let _ = running.kill();
    let out = env.run(&["undo", "r1", "--yes"]);
    end(&env, &pid);
    let told = format!("step `work` is still running: process {pid}\n");
    assert!(out.stderr.contains(&told), "{}", out.stderr);
}

/// A plug-in that is killed with nobody to kill it goes on as a command does.
#[test]
fn it_is_told_of_a_plug_in_too() {
    let env = Env::new();
    let program = env.path("runbook-step-work");
    let text = "#!/bin/sh\nif [ \"$1\" = --describe ]; then\n\
         echo '{\"protocol\": 1, \"about\": \"Works.\", \"effect\": \"once\", \"fields\": {}}'; exit; fi\n\
         echo $$ > pid.new; mv pid.new pid; exec sleep 60\n";
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let book = "format = 1\nname = \"b\"\n[[steps]]\nid = \"work\"\nwork = {}\n";
    std::fs::write(env.path("b.toml"), book).unwrap();
    let running = env.start(&["run", "b.toml", "--trust"]);
    let pid = pid(&env.path("pid"));
    let _ = running.kill();
    let out = env.run(&["resume"]);
    let told = format!("step `work` is still running: process {pid}\n");
    assert!(out.stderr.contains(&told), "{}", out.stderr);
    end(&env, &pid);
}

/// Many at once, too: it is what decides between `--done` and `--redo`.
#[test]
fn it_is_told_of_each_of_many() {
    let env = Env::new();
    book(&env, "once");
    std::fs::write(env.path("l.jsonl"), "{\"at\":\"one\"}\n{\"at\":\"two\"}\n").unwrap();
    let running = env.start(&["run", "b.toml", "--trust", "--each", "l.jsonl"]);
    let pids = [pid(&env.path("one")), pid(&env.path("two"))];
    let _ = running.kill();
    let out = env.run(&["resume", "--each", "r1"]);
    assert_eq!(out.code, Some(5), "{}", out.stderr);
    for pid in &pids {
        let told = format!("step `work` is still running: process {pid}\n");
        assert!(out.stderr.contains(&told), "{}", out.stderr);
        end(&env, pid);
    }
    assert!(!out.stderr.contains("all that is not done"), "{}", out.stderr);
}

/// Whoever goes on from a shell that the step left has its mark, and so has that shell. Neither is work
/// left undone; nor is what only knows the names of journal, run and step.
#[test]
fn who_asks_and_who_only_knows_the_names_are_not_taken_for_it() {
    let env = Env::new();
    book(&env, "repeatable");
    let running = env.start(&["run", "b.toml", "--trust"]);
    let left = pid(&env.path("pid"));
    let _ = running.kill();
    let (own, program) = (mark(&left), env!("CARGO_BIN_EXE_runbook"));
    let state = env.path(".state/runbook").display().to_string();
    let mut others: Vec<_> = [format!("{state} r1 work"), format!("{state} r1 0 work")]
        .iter()
        .map(|mark| env.any("sleep").arg("60").env("RUNBOOK_STEP", mark).spawn().unwrap())
        .collect();
    let shell = env
        .any("sh")
        .args(["-c", "\"$0\" resume; exit $?", program])
        .env("RUNBOOK_STEP", &own)
        .output()
        .unwrap();
    let out = Output {
        stdout: String::from_utf8(shell.stdout).unwrap(),
        stderr: String::from_utf8(shell.stderr).unwrap(),
        code: shell.status.code(),
    };
    for other in &mut others {
        other.kill().unwrap();
        other.wait().unwrap();
    }
    end(&env, &left);
    let told = format!("step `work` is still running: process {left}\n");
    assert!(out.stderr.contains(&told), "{}", out.stderr);
}
