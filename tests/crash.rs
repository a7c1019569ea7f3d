//! Nothing twice, nothing lost: `add-oidc` killed wherever it can be, and taken up again.
//!
//! Points: before and after each journal write, each request, and inside `append`. The counts
//! of what was tried are printed (`cargo test crash -- --nocapture`).

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;

use crate::support::server::Fault;
use crate::support::stand::{Stand, each, say, sweep, undisturbed};

/// What stood in the credentials file before: nothing, a line without its end.
const BEFORE: [Option<&str>; 2] = [None, Some("OTHER=1")];

#[test]
fn a_run_killed_at_any_point_is_finished_by_resume_and_can_be_taken_back() {
    for before in BEFORE {
        let (wanted, _) = undisturbed(before);
        sweep("run killed, resumed, undone", |n| {
            let stand = Stand::new(before);
            let killed = stand.run(n).code.is_none();
            if killed {
                let out = stand.go_on(0);
                assert_eq!(out.code, Some(0), "point {n}: {}", out.stderr);
            }
            stand.check_whole(&wanted, &format!("point {n}"));
            let out = stand.undo(0);
            assert_eq!(out.code, Some(0), "point {n}: {}", out.stderr);
            stand.check_as_before(&format!("point {n}"));
            killed
        });
    }
}

#[test]
fn a_resume_killed_at_any_point_is_finished_by_the_next() {
    let (wanted, _) = undisturbed(BEFORE[1]);
    for (step, first) in done_unknown_to_the_run() {
        sweep(&format!("run killed in {step} ({first}), resume killed, resumed"), |n| {
            let stand = Stand::new(BEFORE[1]);
            assert_eq!(stand.run(first).code, None, "the run has a point {first}");
            let killed = stand.resume(n).code.is_none();
            if killed {
                let out = stand.go_on(0);
                assert_eq!(out.code, Some(0), "point {first}, then {n}: {}", out.stderr);
            }
            stand.check_whole(&wanted, &format!("point {first}, then {n}"));
            killed
        });
    }
}

/// For each step that changes something, the first point at which it is done and the run does not
/// know it yet: after the request was taken, or inside `append`.
fn done_unknown_to_the_run() -> BTreeMap<&'static str, u64> {
    let points = Mutex::new(BTreeMap::new());
    sweep("run killed, looked at", |n| {
        let stand = Stand::new(BEFORE[1]);
        let killed = stand.run(n).code.is_none();
        let state = stand.fake.state();
        let made = |what: &str| !state[what].as_array().unwrap().is_empty();
        let appended = stand.credentials().as_deref() != BEFORE[1];
        for (step, there) in [
            ("create_provider", made("providers")),
            ("create_application", made("applications")),
            ("store_credentials", appended),
        ] {
            let known = |event: &Value| event["event"] == "done" && event["step"] == step;
            if there && !stand.events().iter().any(known) {
                let mut points = points.lock().unwrap();
                let first = points.entry(step).or_insert(n);
                *first = n.min(*first);
            }
        }
        killed
    });
    let points = points.into_inner().unwrap();
    assert_eq!(points.len(), 3, "{points:?}");
    points
}

#[test]
fn an_undo_killed_at_any_point_is_finished_by_the_next() {
    for before in BEFORE {
        sweep("undo killed, undone", |n| {
            let stand = Stand::new(before);
            assert_eq!(stand.run(0).code, Some(0));
            let killed = stand.undo(n).code.is_none();
            if killed {
                let out = stand.undo(0);
                assert_eq!(out.code, Some(0), "point {n}: {}", out.stderr);
            }
            stand.check_as_before(&format!("point {n}"));
            killed
        });
    }
}

#[test]
fn a_run_killed_at_any_point_can_be_taken_back() {
    for before in BEFORE {
        sweep("run killed, undone", |n| {
            let stand = Stand::new(before);
            let killed = stand.run(n).code.is_none();
            if !killed || !stand.fake.asked().is_empty() {
                let out = stand.undo(0);
                assert_eq!(out.code, Some(0), "point {n}: {}", out.stderr);
            }
            stand.check_as_before(&format!("point {n}"));
            killed
        });
    }
}

#[test]
fn a_run_killed_while_a_request_is_unanswered_is_finished_by_resume() {
    let (wanted, requests) = undisturbed(None);
    let faults = [Fault::Deaf, Fault::Hold, Fault::Stall];
    let points: Vec<_> = (1..=requests).flat_map(|n| faults.map(|fault| (n, fault))).collect();
    each(&points, |(n, fault)| {
        let stand = Stand::new(None);
        stand.front.fault_at(*n, *fault);
        let running = crate::support::env::Running::start(stand.command(&stand.run_args(), 0), "");
        stand.front.wait_for(*n);
        assert_eq!(running.kill().code, None);
        let out = stand.go_on(0);
        assert_eq!(out.code, Some(0), "{fault:?} at {n}: {}", out.stderr);
        stand.check_whole(&wanted, &format!("{fault:?} at {n}"));
    });
    say(&format!("killed with a request unanswered: {} points tried", points.len()));
}

#[test]
fn a_lost_connection_or_answer_does_nothing_twice() {
    let (wanted, requests) = undisturbed(None);
    let faults = [Fault::Drop, Fault::Close, Fault::Cut];
    let points: Vec<_> = (1..=requests).flat_map(|n| faults.map(|fault| (n, fault))).collect();
    each(&points, |(n, fault)| {
        let stand = Stand::new(None);
        stand.front.fault_at(*n, *fault);
        let out = stand.run(0);
        if out.code != Some(0) {
            assert!(matches!(out.code, Some(1 | 5)), "{fault:?} at {n}: {}", out.stderr);
            let out = stand.resume(0);
            assert_eq!(out.code, Some(0), "{fault:?} at {n}: {}", out.stderr);
        }
        stand.check_whole(&wanted, &format!("{fault:?} at {n}"));
    });
    say(&format!("connection lost in a request: {} points tried", points.len()));
}

/// Down: connections are refused, or taken and closed without an answer.
#[test]
fn a_server_that_is_down_at_any_call_is_named_and_the_run_goes_on_later() {
    let (wanted, requests) = undisturbed(None);
    let faults = [Fault::Down, Fault::Drop];
    let points: Vec<_> = (1..=requests).flat_map(|n| faults.map(|fault| (n, fault))).collect();
    each(&points, |&(n, fault)| {
        let stand = Stand::new(None);
        // Longer than all attempts of all reads at once; one that went down refuses what comes.
        let last = if fault == Fault::Drop { n + 80 } else { n };
        (n..=last).for_each(|n| stand.front.fault_at(n, fault));
        let out = stand.run(0);
        let place = format!("{fault:?} at {n}: {}", out.stderr);
        assert_eq!(out.code, Some(1), "{place}");
        let error = out.stderr.lines().find(|line| line.starts_with("error: step `"));
        let error = error.unwrap_or_else(|| panic!("{place}"));
        let call =
            ["GET", "POST", "OPTIONS"].map(|method| format!("{method} {}/", stand.front.url()));
        assert!(call.iter().any(|call| error.contains(call)), "{place}");
        assert!(out.stderr.contains("`runbook resume r1`"), "{place}");
        stand.front.heal();
        stand.front.resume();
        let out = stand.resume(0);
        assert_eq!(out.code, Some(0), "{fault:?} at {n}: {}", out.stderr);
        stand.check_whole(&wanted, &format!("{fault:?} at {n}"));
    });
    say(&format!("server down: {} points tried", points.len()));
}
