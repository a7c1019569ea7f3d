//! What the program promises, where it is hardest to keep: nothing is done twice, nothing that was
//! done is lost, no secret is written in clear. Kills, refusals, then `resume` and `undo`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use runbook::engine::{Durable, Recorder};
use runbook::journal::event::{
    Decision, Effect, Entry, Event, Failure, How, Outcome, Stored, StoredMap,
};
use runbook::journal::{Appended, Journal, JournalError};
use runbook::plan::{History, Status, Undo};
use runbook::world::SystemClock;

use crate::support::env::{Env, Output, Running};

/// The program, to be killed at its n-th point; 0: never.
fn go(env: &Env, args: &[&str], crash_at: u64) -> Output {
    let mut command = env.command(args);
    command.env(runbook::crash::VARIABLE, crash_at.to_string());
    Running::start(command, "").finish()
}

/// Killed after its block was written, then refused, then done: the file is still this run's own.
#[test]
fn what_a_cut_off_append_has_made_is_known_after_a_refused_resume() {
    let book = "format = 1\nname = \"b\"\n[[steps]]\nid = \"store\"\nappend = { file = \"creds\", text = \"A=1\" }\n";
    let mut written = 0;
    for point in 1.. {
        let env = Env::new();
        std::fs::write(env.path("b.toml"), book).unwrap();
        if go(&env, &["run", "--trust", "./b.toml"], point).code.is_some() {
            break;
        }
        if !env.path("creds").exists() || env.run(&["runs"]).stdout.contains("done") {
            continue;
        }
        written += 1;
        std::fs::rename(env.path("creds"), env.path("aside")).unwrap();
        std::fs::create_dir(env.path("creds")).unwrap();
        let refused = env.run(&["resume"]);
        assert_eq!(refused.code, Some(1), "{}", refused.stderr);
        std::fs::remove_dir(env.path("creds")).unwrap();
        std::fs::rename(env.path("aside"), env.path("creds")).unwrap();
        let done = env.run(&["resume"]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let back = env.run(&["undo", "r1", "--yes"]);
        assert_eq!(back.code, Some(0), "{}", back.stderr);
        assert!(!env.path("creds").exists(), "at point {point}: {}", back.stderr);
    }
    assert!(written > 1, "no kill came after the file was there");
}

/// Killed between what a step did and what its gate says of that: the gate stops the run all the same.
#[test]
fn a_gate_that_does_not_hold_is_not_forgotten_by_a_kill() {
    for effect in ["once", "repeatable"] {
        let book = format!(
            "format = 1\nname = \"b\"\n[[steps]]\nid = \"make\"\ncommand = [\"sh\", \"-c\", \"echo bad >> made; echo bad\"]\n\
             save.x = \".\"\ngates = [{{ that = \"x == 'good'\" }}]\neffect = \"{effect}\"\n\
             [[steps]]\nid = \"after\"\nappend = {{ file = \"after\", text = \"{{{{ x }}}}\" }}\n"
        );
        let mut judged = 0;
        for point in 1.. {
            let env = Env::new();
            std::fs::write(env.path("b.toml"), &book).unwrap();
            let run = go(&env, &["run", "--trust", "./b.toml"], point);
            let ended = run.code.is_some();
            let shown = effect == "once" && run.stderr.contains("ok    make");
            let written = || env.run(&["log", "r1"]).stdout.contains("ok    make");
            assert!(!shown || written(), "shown before it is there: {}", run.stderr);
            if env.run(&["runs"]).stdout.contains("r1") {
                let resumed = env.run(&["resume", "r1"]);
                judged += i32::from(resumed.code == Some(1));
                let open = resumed.code == Some(5) && effect == "once";
                assert!(resumed.code == Some(1) || open, "at point {point}: {}", resumed.stderr);
                assert!(!env.path("after").exists(), "at point {point}: {}", resumed.stderr);
            }
            if ended {
                break;
            }
        }
        assert!(judged > 2, "{judged}");
    }
}

/// The history of a run with these events in it.
fn history(events: &[Event]) -> History {
    let mut history = History::default();
    for event in events {
        history.take(event);
    }
    history
}

fn failure(doubt: bool) -> Failure {
    Failure { message: "refused".into(), details: vec![], hints: vec![], doubt, compared: false }
}

fn resumed() -> Event {
    Event::resumed(false, StoredMap::new())
}

#[test]
fn a_refusal_settles_its_own_attempt_and_no_other() {
    let private = StoredMap::from([("created".to_owned(), Stored::Plain(true.into()))]);
    let intent = || Event::Intent {
        step: "s".into(),
        effect: Effect::Repeatable,
        what: "PUT".into(),
        private: private.clone(),
    };
    let failed = |doubt| Event::Failed { step: "s".into(), failure: failure(doubt), took_ms: 0 };
    let refused = || Event::Refused { step: "s".into(), input: "token".into() };
    let doubt = Status::InDoubt { what: "PUT".into(), private: private.clone() };
    for (events, left) in [
        (vec![intent(), failed(false)], &Status::Pending),
        (vec![intent(), refused()], &Status::Pending),
        (vec![intent(), refused(), intent(), failed(false)], &Status::Pending),
        (vec![intent(), failed(true)], &doubt),
        (vec![intent(), resumed(), failed(false)], &doubt),
        (vec![intent(), resumed(), intent(), failed(false)], &doubt),
        (vec![intent(), resumed(), intent(), refused(), intent(), failed(false)], &doubt),
        (vec![intent(), failed(true), resumed(), intent(), failed(false)], &doubt),
    ] {
        assert_eq!(history(&events).status("s"), left, "{events:?}");
    }
}

#[test]
fn and_so_it_does_of_taking_a_step_back() {
    let intent = || Event::UndoIntent {
        step: "s".into(),
        effect: Effect::Repeatable,
        what: "DELETE".into(),
    };
    let failed = |doubt| Event::UndoFailed { step: "s".into(), failure: failure(doubt) };
    let refused = || Event::Refused { step: "s".into(), input: "token".into() };
    for (events, left) in [
        (vec![intent(), failed(false)], None),
        (vec![intent(), refused(), intent(), failed(false)], None),
        (vec![intent(), failed(true)], Some(Undo::InDoubt)),
        (vec![intent(), resumed(), intent(), failed(false)], Some(Undo::InDoubt)),
        (vec![intent(), failed(true), resumed(), failed(false)], Some(Undo::InDoubt)),
    ] {
        assert_eq!(history(&events).undo("s"), left, "{events:?}");
    }
}

/// A journal that cannot be written once, and would take what comes after.
struct Full(u32);

impl Journal for Full {
    fn append(&mut self, _: Vec<Entry>, _: bool) -> Appended {
        self.0 += 1;
        let error = JournalError { message: "no space left".into(), hint: "make room".into() };
        Appended::Now(if self.0 == 1 { Err(error) } else { Ok(()) })
    }
}

#[tokio::test]
async fn after_a_write_that_failed_nothing_is_written_and_the_reason_stays() {
    let report: Box<dyn runbook::report::Report> =
        runbook::report::jsonl(Box::new(std::io::sink()), &runbook::report::Options::default());
    let (clock, redactor) = (Arc::new(SystemClock), runbook::redact::Shared::default());
    let report = Rc::new(RefCell::new(report));
    let recorder = Recorder::new("r1".into(), 0, clock, Box::new(Full(0)), report, redactor);
    let warned = || Event::Warned { message: "x".into() };
    for durable in [Durable::Written, Durable::Now, Durable::Written] {
        let said = recorder.say(warned(), durable).await;
        assert_eq!(said.map_err(|error| error.message), Err("no space left".to_owned()));
    }
}

#[test]
fn an_older_journal_knows_what_is_used_by_its_name_alone() {
    let older = serde_json::json!({
        "event": "started", "runbook": "b", "title": "B", "path": "b.toml", "text": "d0",
        "uses": { "x": "d1" }, "steps": [], "inputs": {}, "rehearsal": false,
    });
    let mut newer = older.clone();
    newer["runbooks"] = serde_json::json!([
        { "from": "b.toml", "name": "x", "path": "x.toml", "text": "d2" },
        { "from": "a/c.toml", "name": "x", "path": "a/x.toml", "text": "d3" },
    ]);
    for (journal, from, found) in [
        (&older, "b.toml", Some(("x", "d1"))),
        (&older, "a/c.toml", Some(("x", "d1"))),
        (&newer, "b.toml", Some(("x.toml", "d2"))),
        (&newer, "a/c.toml", Some(("a/x.toml", "d3"))),
    ] {
        let event: Event = serde_json::from_value(journal.clone()).unwrap();
        assert_eq!(history(&[event]).used(from, "x"), found, "{journal}");
    }
}

#[test]
fn what_was_done_before_stands_where_it_was_done_under_a_name_of_its_own() {
    let done = |step: &str| Event::Done {
        step: step.into(),
        how: How::Performed,
        saved: StoredMap::new(),
        summary: String::new(),
        took_ms: 0,
        private: StoredMap::from([("created".to_owned(), Stored::Plain(true.into()))]),
        was: None,
    };
    let ended = || Event::Ended { outcome: Outcome::Failed, took_ms: 0 };
    let redo = |step: &str| Event::decided(step, Decision::Redo);
    for (step, first, second) in [
        ("create", "create@1", "create@2"),
        ("create[0]", "create@1[0]", "create@2[0]"),
        ("outer/create[12]", "outer/create@1[12]", "outer/create@2[12]"),
        ("clean@17/in", "clean@17/in@1", "clean@17/in@2"),
    ] {
        let mut events = vec![done(step), done("after")];
        assert_eq!(history(&events).name_for_earlier(step), first);
        events.extend([done(first), redo(step)]);
        let redone = history(&events);
        assert_eq!(redone.order, [first, "after"], "{step}");
        let forced = Status::Forced { before: StoredMap::new(), made: None };
        assert_eq!(redone.status(step), &forced, "nothing of the first counts for another one");
        assert_eq!(redone.name_for_earlier(step), second);
        // an `always` step that was done after a failure is no earlier time of it
        let walks = [done(step), done(first), ended(), redo(step)];
        assert_eq!(history(&walks).order, [step, first]);
        let intent = Event::Intent {
            step: step.into(),
            effect: Effect::Repeatable,
            what: String::new(),
            private: StoredMap::new(),
        };
        let kept = history(&[intent, done(step), redo(step)]);
        assert!(
            matches!(kept.status(step), Status::Forced { made: Some(_), before } if before.len() == 1)
        );
    }
}
