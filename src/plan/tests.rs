//! How events fold, where a rule is subtle.

use serde_json::json;

use super::*;

fn told(events: &[serde_json::Value]) -> History {
    let mut history = History::default();
    for event in events {
        history.take(&serde_json::from_value(event.clone()).unwrap());
    }
    history
}

fn steps(ids: &[(&str, &str)]) -> serde_json::Value {
    ids.iter().map(|(id, digest)| json!({"id": id, "title": "", "digest": digest})).collect()
}

fn started(ids: &[(&str, &str)]) -> serde_json::Value {
    json!({"event": "started", "runbook": "", "title": "", "path": "", "text": "", "inputs": {},
        "rehearsal": false, "steps": steps(ids)})
}

fn updated(ids: &[(&str, &str)]) -> serde_json::Value {
    json!({"event": "resumed", "text": "", "steps": steps(ids)})
}

fn intent(step: &str) -> serde_json::Value {
    json!({"event": "intent", "step": step, "effect": "once", "what": ""})
}

fn done(step: &str, how: &str, saved: &serde_json::Value) -> serde_json::Value {
    json!({"event": "done", "step": step, "how": how, "saved": saved, "summary": "", "took_ms": 0})
}

fn decided(step: &str, decision: &str) -> serde_json::Value {
    json!({"event": "decided", "step": step, "decision": decision})
}

fn step<'h>(history: &'h History, id: &str) -> &'h DoneStep {
    match history.status(id) {
        Status::Done(done) => done,
        other => panic!("`{id}` is {other:?}"),
    }
}

#[test]
fn what_is_done_by_hand_was_not_made_by_an_item_or_inner_step_before_it() {
    let (create, more) = (("create", "c"), ("more", "m"));
    let history = told(&[
        started(&[create]),
        intent("create[0]"),
        done("create[0]", "performed", &json!({})),
        updated(&[create, more]),
        done("create[1]", "by_hand", &json!({})),
    ]);
    assert_eq!(step(&history, "create[1]").effect, None);
    assert_eq!(step(&history, "create[0]").effect, Some(Effect::Once));
}

#[test]
fn a_renamed_step_did_what_it_did_when_it_did() {
    let renamed = |how: &str| {
        told(&[
            started(&[("make", "m"), ("after", "a")]),
            intent("make"),
            done("make", "performed", &json!({})),
            intent("after"),
            done("after", "performed", &json!({})),
            updated(&[("create", "m"), ("after", "a")]),
            done("create", how, &json!({})),
        ])
    };
    let kept = renamed("performed");
    assert_eq!(step(&kept, "create").effect, Some(Effect::Once));
    assert!(kept.when("create") < kept.when("after"));
    let by_hand = renamed("by_hand");
    assert_eq!(step(&by_hand, "create").effect, None);
    assert!(by_hand.when("create") > by_hand.when("after"));
}

#[test]
fn what_was_known_is_kept_until_something_else_came() {
    let box_id = |id: u64| json!({"box_id": {"plain": id}});
    let history = told(&[
        started(&[("make", "m"), ("label", "l")]),
        intent("make"),
        done("make", "performed", &box_id(7)),
        intent("label"),
        done("label", "performed", &json!({})),
        done("make@1", "performed", &box_id(7)),
        decided("make", "redo"),
        intent("make"),
        done("make", "performed", &box_id(8)),
        done("make", "adopted", &box_id(8)),
    ]);
    assert_eq!(history.ages().len(), 2);
    let then = |id: &str| history.known_at(history.when(id)).count();
    assert_eq!([then("make@1"), then("label"), then("make")], [1, 1, 0]);
    assert!(history.when("make@1") < history.when("label"));
    assert_eq!(history.order, ["make@1", "label", "make"]);
}

#[test]
fn what_was_done_after_a_failure_is_kept_under_a_number_of_its_own() {
    let history = told(&[
        started(&[("clean", "c")]),
        intent("clean@3"),
        done("clean@3", "performed", &json!({})),
        done("clean@1", "performed", &json!({})),
        decided("clean@3", "redo"),
    ]);
    assert_eq!(step(&history, "clean@1").effect, Some(Effect::Once));
    let forced = Status::Forced { before: StoredMap::new(), made: None };
    assert_eq!(history.status("clean@3"), &forced);
    assert_eq!(history.order, ["clean@1"]);
}
