//! Many runs in one process, killed in the middle: each is taken up by itself, nothing is done twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use runbook::journal::event::{Entry, Event};
use runbook::journal::store::Store;

use crate::support::env::{Env, Running};
use crate::support::server::{Answer, Fault, Request, Server};
use crate::support::stand::{each, say};

/// A read, a change that can be found again, one that may be repeated, one that a file guards.
const BOOK: &str = r#"
format = 1
name   = "clients"
[inputs]
url.about  = "The server"
name.about = "The client"
[connections.api]
base = "{{ url }}/"
[[steps]]
id   = "look"
http = { on = "api", url = "things/" }
save.before = "length"
[[steps]]
id     = "make"
http   = { on = "api", method = "POST", url = "things/", json = { name = "{{ name }}" } }
save.n = ".n"
[steps.already]
http = { on = "api", url = "things/" }
find = ".[] | select(.name == $name)"
same = "true"
[[steps]]
id   = "put"
http = { on = "api", method = "PUT", url = "values/{{ name }}", json = { n = "{{ n }}" } }
[[steps]]
id     = "note"
append = { file = "made", text = "{{ name }}={{ n }}" }
"#;

/// What the runs change.
#[derive(Debug, Default)]
struct World {
    made: Vec<String>,
    put: BTreeMap<String, usize>,
}

fn answer(world: &mut World, request: &Request) -> Answer {
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let (status, body) = match request.method.as_str() {
        "POST" => {
            world.made.push(body["name"].as_str().unwrap().to_owned());
            (201, json!({ "n": world.made.len() }))
        }
        "PUT" => {
            *world.put.entry(request.target.clone()).or_default() += 1;
            (200, json!({}))
        }
        _ => {
            let thing = |(n, name): (usize, &String)| json!({ "name": name, "n": n + 1 });
            (200, world.made.iter().enumerate().map(thing).collect())
        }
    };
    let kind = ("content-type".to_owned(), "application/json".to_owned());
    Answer { status, headers: BTreeMap::from([kind]), body: body.to_string() }
}

/// A server, and so many lines.
struct Crowd {
    env: Env,
    server: Server,
    world: Arc<Mutex<World>>,
    count: usize,
}

impl Crowd {
    fn new(count: usize) -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let own = Arc::clone(&world);
        let server =
            Server::handling(Box::new(move |request| answer(&mut own.lock().unwrap(), request)));
        let env = Env::new();
        std::fs::write(env.path("clients.toml"), BOOK).unwrap();
        let lines: Vec<String> =
            (0..count).map(|number| json!({ "name": format!("c{number}") }).to_string()).collect();
        std::fs::write(env.path("clients.jsonl"), lines.join("\n")).unwrap();
        Self { env, server, world, count }
    }

    /// The process of all runs, to be killed at its n-th point; 0: never.
    fn start(&self, at_once: usize, crash_at: u64) -> Running {
        let (url, at_once) = (format!("url={}", self.server.url()), at_once.to_string());
        let args = ["run", "clients.toml", "--trust", "--each", "clients.jsonl"];
        let mut command = self.env.command(&args);
        command.args(["--at-once", &at_once, "--input", &url]);
        command.env(runbook::crash::VARIABLE, crash_at.to_string());
        Running::start(command, "")
    }

    /// How the runs stand, as `runs` tells programs.
    fn runs(&self) -> Vec<(String, String)> {
        let out = self.env.run(&["runs", "--limit", "1000", "--output", "jsonl"]);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        let rows = out.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        rows.map(|row| (text(&row, "run"), text(&row, "state"))).collect()
    }

    fn unfinished(&self) -> Vec<String> {
        let open = self.runs().into_iter().filter(|(_, state)| state != "done");
        open.map(|(run, _)| run).collect()
    }

    /// Takes up every run that is not done, each by itself.
    fn resume_all(&self, place: &str) {
        each(&self.unfinished(), |run| {
            let out = self.env.run(&["resume", run]);
            assert_eq!(out.code, Some(0), "{place}, {run}: {}", out.stderr);
        });
    }

    /// Demands that everything was done for every line, and nothing twice.
    fn check_whole(&self, place: &str) {
        assert_eq!(self.runs().len(), self.count, "{place}");
        assert_eq!(self.unfinished(), Vec::<String>::new(), "{place}");
        let world = self.world.lock().unwrap();
        let made = || world.made.iter().enumerate();
        let mut names: Vec<&String> = world.made.iter().collect();
        names.sort();
        names.dedup();
        assert_eq!((names.len(), world.made.len()), (self.count, self.count), "{place}");
        assert_eq!(world.put.len(), self.count, "{place}");
        let text = std::fs::read_to_string(self.env.path("made")).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        let mut wanted: Vec<String> = made().map(|(n, name)| format!("{name}={}", n + 1)).collect();
        wanted.sort();
        assert_eq!(lines, wanted, "{place}");
    }
}

#[test]
fn many_runs_in_one_process_are_all_done_once() {
    let crowd = Crowd::new(60);
    let out = crowd.start(16, 0).finish();
    assert_eq!((out.code, out.stdout.as_str()), (Some(0), ""), "{}", out.stderr);
    assert!(out.stderr.ends_with("done  60 of 60 runs done\n"), "{}", out.stderr);
    crowd.check_whole("undisturbed");
    // one at a time each would have tried so often
    assert!(crowd.world.lock().unwrap().put.values().all(|times| *times == 1));
}

#[test]
fn two_hundred_runs_killed_in_the_middle_are_finished_one_by_one() {
    let crowd = Crowd::new(200);
    let out = crowd.start(32, 1200).finish();
    assert_eq!(out.code, None, "{}", out.stderr);
    let left = crowd.unfinished().len();
    assert!((20..200).contains(&left), "{left} runs were left: it was not the middle");
    crowd.resume_all("200 runs");
    crowd.check_whole("200 runs");
    say(&format!("200 runs killed in the middle: {left} taken up"));
}

#[test]
fn many_runs_killed_anywhere_are_finished_one_by_one() {
    let points = [2, 3, 4, 9, 17, 30, 46, 63, 81, 104, 131, 160, 199, 240];
    for point in points {
        let crowd = Crowd::new(16);
        let killed = crowd.start(8, point).finish().code.is_none();
        let begun = crowd.runs().len();
        assert!(begun == 16 || begun == 0 && crowd.world.lock().unwrap().made.is_empty());
        if begun == 16 {
            crowd.resume_all(&format!("point {point}"));
            crowd.check_whole(&format!("point {point}"));
        }
        say(&format!("16 runs, point {point}: {}", if killed { "killed" } else { "too late" }));
    }
}

/// One command in place of one for each run: what is done is left, what is not is gone on with.
#[test]
fn many_runs_killed_anywhere_are_finished_by_one_command() {
    for point in [9, 63, 131, 199] {
        let crowd = Crowd::new(16);
        let _ = crowd.start(8, point).finish();
        let place = format!("point {point}");
        let again = || {
            let out = crowd.env.run(&["resume", "--each", "r9", "--at-once", "5"]);
            assert_eq!(out.code, Some(0), "{place}: {}", out.stderr);
            out.stderr
        };
        let left = crowd.unfinished().len();
        let told = again();
        assert!(left == 0 || told.contains(&format!("{left} of {left} run")), "{place}: {told}");
        crowd.check_whole(&place);
        assert!(again().contains("all that began with `r9` is over"), "{place}");
        crowd.check_whole(&place);
    }
}

#[test]
fn runs_that_another_process_holds_are_left_to_it() {
    let crowd = Crowd::new(3);
    crowd.server.fault_at(3, Fault::Hold);
    let first = crowd.start(1, 0);
    crowd.server.wait_for(3);
    let out = crowd.env.run(&["resume", "--each", "r1"]);
    assert_eq!(out.code, Some(1), "{}", out.stderr);
    assert!(out.stderr.contains("held by process"), "{}", out.stderr);
    let out = first.interrupt();
    let hint = "all that is not done goes on with `runbook resume --each r1`";
    assert!(out.stderr.contains(hint), "{}", out.stderr);
    crowd.server.release();
    let out = crowd.env.run(&["resume", "--each", "r1"]);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    crowd.check_whole("held");
}

/// The file of inputs is not needed any more: what differs says which run is which.
#[test]
fn what_is_taken_up_again_says_which_run_is_which() {
    let env = Env::new();
    let book = "format = 1\nname = \"b\"\n[inputs.name]\n[inputs.kind]\n[[steps]]\nid = \"there\"\n\
                command = [\"test\", \"-e\", \"{{ name }}\"]\n";
    std::fs::write(env.path("b.toml"), book).unwrap();
    let lines = ["a", "b", "c"].map(|name| json!({ "name": name, "kind": "k" }).to_string());
    std::fs::write(env.path("l.jsonl"), lines.join("\n")).unwrap();
    let there = |name: &str| std::fs::write(env.path(name), "").unwrap();
    there("a");
    let out = env.run(&["run", "b.toml", "--trust", "--each", "l.jsonl"]);
    assert_eq!(out.code, Some(1), "{}", out.stderr);
    for (next, told) in [("b", &["r2  name=b\n", "r3  name=c\n"][..]), ("c", &["r3  name=c\n"])] {
        there(next);
        let out = env.run(&["resume", "--each"]);
        assert_eq!(out.code, Some(i32::from(next == "b")), "{}", out.stderr);
        assert!(told.iter().all(|told| out.stderr.contains(told)), "{}", out.stderr);
        assert!(!out.stderr.contains("note: "), "{}", out.stderr);
    }
}

/// Between the first event of all runs and the first step of the last one, too.
#[test]
fn no_other_process_takes_one_of_the_runs() {
    let crowd = Crowd::new(2);
    crowd.server.fault_at(1, Fault::Hold);
    let running = crowd.start(1, 0);
    crowd.server.wait_for(1);
    for args in [&["resume", "r2"][..], &["undo", "r2", "--yes"], &["forget", "r2"]] {
        let out = crowd.env.run(args);
        assert_eq!(out.code, Some(1), "{args:?}: {}", out.stderr);
        let holder = format!("held by process {}", running.pid());
        assert!(out.stderr.contains(&holder), "{args:?}: {}", out.stderr);
    }
    crowd.server.release();
    assert_eq!(running.finish().code, Some(0));
    crowd.check_whole("two hands");
    let locks = std::fs::read_dir(crowd.env.path(".state/runbook/locks")).unwrap();
    assert_eq!(locks.count(), 0, "what locks is taken away");
}

#[test]
fn interrupted_runs_are_ended_and_the_others_can_be_begun() {
    let crowd = Crowd::new(5);
    crowd.server.fault_at(3, Fault::Hold);
    let running = crowd.start(2, 0);
    crowd.server.wait_for(3);
    let out = running.interrupt();
    assert_eq!(out.code, Some(130), "{}", out.stderr);
    assert!(out.stderr.contains("were not begun"), "{}", out.stderr);
    crowd.server.release();
    crowd.resume_all("interrupted");
    crowd.check_whole("interrupted");
}

#[test]
fn events_of_many_runs_are_lines_with_their_run() {
    let crowd = Crowd::new(3);
    let url = format!("url={}", crowd.server.url());
    let args = ["run", "clients.toml", "--trust", "--each", "clients.jsonl", "--output", "jsonl"];
    let out = crowd.env.run(&[&args[..], &["--input", &url]].concat());
    assert_eq!((out.code, out.stderr.as_str()), (Some(0), ""));
    let events: Vec<Value> =
        out.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for run in ["r1", "r2", "r3"] {
        let own: Vec<&Value> = events.iter().filter(|event| event["run"] == run).collect();
        assert_eq!(own.first().unwrap()["event"], "started");
        assert_eq!(own.last().unwrap()["event"], "ended");
        let kept = own.iter().filter(|event| event["event"] != "began");
        let numbers: Vec<u64> = kept.map(|event| event["seq"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
}

/// Items that are done at once wait for the disk, and whose turn comes first is a matter of chance.
#[test]
fn events_of_items_at_once_come_in_their_order() {
    let crowd = Crowd::new(6);
    let step = "for_each = \"range(40)\"\nas = \"item\"";
    let book = BOOK.replace("\"{{ name }}\" } }", "\"{{ name }}{{ item }}\" } }");
    let book = book.replace("id     = \"make\"", &format!("id = \"make\"\n{step}\nat_once = 16"));
    let find = r#"find = '.[] | select(.name == "\($name)\($item)")'"#;
    let book = book.replace("find = \".[] | select(.name == $name)\"", find);
    let book = book.split("[[steps]]\nid   = \"put\"").next().unwrap();
    std::fs::write(crowd.env.path("clients.toml"), book).unwrap();
    let url = format!("url={}", crowd.server.url());
    let args = ["run", "clients.toml", "--trust", "--each", "clients.jsonl", "--output", "jsonl"];
    let out = crowd.env.run(&[&args[..], &["--input", &url]].concat());
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for line in out.stdout.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let (run, seq) = (event["run"].as_str().unwrap(), event["seq"].as_u64().unwrap());
        let before = last.insert(run.to_owned(), seq).unwrap_or(0);
        assert!(before <= seq, "{line} comes after {before}");
    }
    assert_eq!(last.len(), 6);
}

#[test]
fn two_lines_that_say_the_same_are_both_run_and_told() {
    let env = Env::new();
    let book = "format = 1\nname = \"b\"\n[inputs]\nn.about = \"A number\"\n[[steps]]\nid = \"s\"\njq = \"1\"\n";
    std::fs::write(env.path("b.toml"), book).unwrap();
    std::fs::write(env.path("l.jsonl"), "{\"n\":\"1\"}\n{\"n\":\"2\"}\n{\"n\":\"1\"}\n").unwrap();
    let out = env.run(&["run", "b.toml", "--each", "l.jsonl"]);
    assert_eq!(out.code, Some(0), "{out:?}");
    assert!(out.stderr.contains("l.jsonl:3 is the same as l.jsonl:1: both are run"), "{out:?}");
}

/// Runs by themselves, of the same runbook, in the same millisecond, each in a folder of its own.
#[test]
fn what_began_at_the_same_time_did_not_begin_together() {
    let env = Env::new();
    let book = "format = 1\nname = \"b\"\n[[steps]]\nid = \"s\"\ncommand = [\"cat\", \"there\"]\n";
    for folder in ["one", "two"] {
        std::fs::create_dir(env.path(folder)).unwrap();
        std::fs::write(env.path(folder).join("b.toml"), book).unwrap();
    }
    let mut command = env.command(&["run", "b.toml", "--trust"]);
    command.current_dir(env.path("one"));
    assert_eq!(Running::start(command, "").finish().code, Some(1));
    let mut store = Store::open(&env.path(".state/runbook")).unwrap();
    let elsewhere = |entry: Entry| {
        let mut event = entry.event;
        if let Event::Started { folder, .. } = &mut event {
            *folder = env.path("two").display().to_string();
        }
        Entry { run: "r2".to_owned(), event, ..entry }
    };
    let second: Vec<Entry> = store.entries("r1").unwrap().into_iter().map(elsewhere).collect();
    store.append(&second).unwrap();
    drop(store);
    let out = env.run(&["resume"]);
    assert!(!out.stderr.contains("--each"), "{}", out.stderr);
    let out = env.run(&["resume", "--each", "r1"]);
    assert_eq!(out.code, Some(2), "{}", out.stderr);
    let told = "error: run `r1` was not begun by `run --each`, or before that was written down\n\
                hint: `runbook resume r1` goes on with it\n";
    assert_eq!(out.stderr, told);
}
