//! Lists of runs, and forgetting them.

use super::*;

fn resumed() -> Event {
    Event::resumed(false, std::collections::BTreeMap::new())
}

#[test]
fn runs_are_listed_newest_first_and_filtered() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.append(&[started("r1", 100, "a", TEXT), intent("r1", 2)]).unwrap();
    store.append(&[started("r2", 200, "b", TEXT), ended("r2", 2, Outcome::InDoubt)]).unwrap();
    store.append(&[started("r3", 300, "a", TEXT), ended("r3", 2, Outcome::Done)]).unwrap();
    let _lock = lock(dir.path(), "r1", &Holder::here(0)).unwrap();
    let names = |filter: RunFilter| -> Vec<String> {
        store.runs(&filter).unwrap().into_iter().map(|row| row.run).collect()
    };
    let all = RunFilter::default;
    assert_eq!(names(all()), ["r3", "r2", "r1"]);
    assert_eq!(names(RunFilter { limit: Some(1), ..all() }), ["r3"]);
    assert_eq!(names(RunFilter { runbook: Some("a".into()), ..all() }), ["r3", "r1"]);
    assert_eq!(names(RunFilter { since_ms: Some(200), ..all() }), ["r3", "r2"]);
    assert_eq!(names(RunFilter { state: Some(RunState::Running), ..all() }), ["r1"]);
    let doubt = Some(RunState::Ended(Outcome::InDoubt));
    assert_eq!(names(RunFilter { state: doubt, ..all() }), ["r2"]);
    let first = store.runs(&all()).unwrap().pop().unwrap();
    let wanted = RunSummary {
        run: "r1".into(),
        runbook: "a".into(),
        title: "Title of a".into(),
        rehearsal: false,
        started_ms: 100,
        ended_ms: None,
        outcome: None,
        last_step: Some("one".into()),
        last_ms: 1002,
    };
    assert_eq!(first, wanted);
}

#[test]
fn a_resumed_run_is_open_until_its_walk_ends() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.append(&[started("r1", 100, "a", TEXT), ended("r1", 2, Outcome::Failed)]).unwrap();
    let outcome = |store: &Store| store.runs(&RunFilter::default()).unwrap()[0].outcome;
    assert_eq!(outcome(&store), Some(Outcome::Failed));
    store.append(&[next("r1", 3, resumed())]).unwrap();
    let held = lock(dir.path(), "r1", &Holder::here(0)).unwrap();
    assert_eq!(outcome(&store), None);
    drop(held);
    assert_eq!(outcome(&store), Some(Outcome::Interrupted), "nobody is at work on it");
}

#[test]
fn a_run_that_nobody_holds_was_interrupted_and_the_limit_counts_what_fits() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    for run in ["r1", "r2", "r3", "r4"] {
        store.append(&[started(run, 100, "a", TEXT)]).unwrap();
    }
    store.append(&[ended("r4", 2, Outcome::Interrupted)]).unwrap();
    let runs = ["r2".to_owned(), "r9".to_owned()];
    let _many = lock_new(dir.path(), &runs, &Holder::here(0)).unwrap();
    let names = |state: RunState, limit: usize| -> Vec<String> {
        let filter = RunFilter { state: Some(state), limit: Some(limit), ..RunFilter::default() };
        store.runs(&filter).unwrap().into_iter().map(|row| row.run).collect()
    };
    assert_eq!(names(RunState::Running, 9), ["r2"]);
    assert_eq!(names(RunState::Running, 1), ["r2"], "r3 does not use the limit up");
    assert_eq!(names(RunState::Ended(Outcome::Interrupted), 9), ["r4", "r3", "r1"]);
    assert_eq!(names(RunState::Ended(Outcome::Interrupted), 2), ["r4", "r3"]);
}

#[test]
fn between_two_walks_nobody_is_at_work() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let at = |at_ms, entry: Entry| Entry { at_ms, ..entry };
    store
        .append(&[
            started("r1", 100, "a", TEXT),
            at(150, ended("r1", 2, Outcome::Waiting)),
            at(5150, next("r1", 3, resumed())),
            at(5200, intent("r1", 4)), // killed here
            at(6200, next("r1", 5, resumed())),
            at(6100, ended("r1", 6, Outcome::Failed)),
            at(6000, next("r1", 7, resumed())), // the clock was set back
            at(6300, ended("r1", 8, Outcome::Done)),
        ])
        .unwrap();
    store.append(&[started("r2", 7000, "a", TEXT)]).unwrap();
    assert_eq!(store.idle_ms("r1").unwrap(), 5000 + 1000);
    assert_eq!(store.idle_ms("r2").unwrap(), 0);
}

#[test]
fn a_run_is_found_by_its_whole_name_alone() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    for run in ["r1", "r10", "nightly-"] {
        store.append(&whole(run, 3)).unwrap();
    }
    for run in ["r1", "r10", "nightly-"] {
        store.known(run).unwrap();
    }
    store.forget(&["r1".to_owned()]).unwrap();
    for none in ["r1", "night", "r", "R10", "x", "", "%", "r1'"] {
        assert_eq!(store.known(none).unwrap_err(), StoreError::UnknownRun { run: none.into() });
    }
}

#[test]
fn what_is_forgotten_is_not_on_disk_any_more() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let other = "format = 1\nname = \"unlike-any-other\"\n";
    let text = digest_of(other);
    store.append_with_text(&whole("r1", 5), [(&*digest_of(TEXT), TEXT)]).unwrap();
    let mut last = vec![started("r2", 100, "needle-in-hay", other)];
    last.push(ended("r2", 2, Outcome::Done));
    store.append_with_text(&last, Some((&*text, other))).unwrap();
    assert_eq!(store.forget(&["r2".into(), "r77".into()]).unwrap(), 1);
    assert_eq!(store.entries("r2").unwrap_err(), StoreError::UnknownRun { run: "r2".into() });
    assert_eq!(store.text(&text).unwrap(), None);
    assert_eq!(store.text(&digest_of(TEXT)).unwrap().as_deref(), Some(TEXT));
    for file in
        fs::read_dir(dir.path()).unwrap().filter(|file| file.as_ref().unwrap().path().is_file())
    {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        for gone in ["needle-in-hay", "unlike-any-other"] {
            assert!(!bytes.windows(gone.len()).any(|window| window == gone.as_bytes()));
        }
    }
    assert_eq!(Store::open(dir.path()).unwrap().entries("r1").unwrap(), whole("r1", 5));
}

#[test]
fn old_runs_are_forgotten_except_those_at_work() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    for n in 1..=450 {
        let run = format!("r{n}");
        // all but one of them over; and each event as old as its run
        let end = Event::Ended { outcome: Outcome::Done, took_ms: 1 };
        let end = Entry { run: run.clone(), seq: 2, at_ms: n, event: end };
        let begun = started(&run, n, "a", TEXT);
        store.append(&if n == 7 { vec![begun] } else { vec![begun, end] }).unwrap();
    }
    let held = lock(dir.path(), "r3", &Holder::here(77)).unwrap();
    let Err(StoreError::InUse { run, holder }) = store.forget(&["r3".into()]) else {
        panic!("it is held");
    };
    assert_eq!((run.as_str(), holder.since_ms), ("r3", 77));
    let left = vec!["r7".to_owned()];
    assert_eq!(store.forget_older_than(431).unwrap(), (428, left.clone()));
    drop(held);
    assert_eq!(store.runs(&RunFilter::default()).unwrap().len(), 22);
    assert_eq!(store.forget_older_than(431).unwrap(), (1, left));
}

#[test]
fn what_an_older_run_uses_is_known_by_its_events_alone() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let inner = digest_of("inner");
    let mut entry = started("r1", 100, "a", TEXT);
    let Event::Started { uses, .. } = &mut entry.event else { panic!("it begins with its start") };
    uses.insert("x".to_owned(), inner.clone());
    let texts = [(&*digest_of(TEXT), TEXT), (&*inner, "inner")];
    store.append_with_text(&[entry], texts).unwrap();
    store.append_with_text(&whole("r2", 3), [(&*digest_of("none's"), "none's")]).unwrap();
    // as it was written before
    store.db.execute("DELETE FROM uses WHERE digest = ?1", [&inner]).unwrap();
    store.forget(&["r2".to_owned()]).unwrap();
    assert_eq!(store.text(&inner).unwrap().as_deref(), Some("inner"));
    assert_eq!(store.text(&digest_of("none's")).unwrap(), None);
}

#[test]
fn what_began_together_is_what_was_written_down_as_that() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let of = |run: &str, first: Option<&str>| {
        let mut entry = started(run, 100, "a", TEXT);
        if let Some(first) = first {
            entry.event = entry.event.with(&Batch { first: first.to_owned(), runs: 2 });
        }
        entry
    };
    let alone = [of("r1", None), of("r2", None)];
    let one = [of("r3", Some("r3")), of("r4", Some("r3"))];
    let other = [of("r5", Some("r5")), of("r6", Some("r5"))];
    store.append(&[&alone[..], &one[..], &other[..]].concat()).unwrap();
    let all = store.runs(&RunFilter::default()).unwrap();
    let all: Vec<&RunSummary> = all.iter().rev().collect();
    let with = |run: usize| -> Option<Vec<&str>> {
        let with = store.begun_with(all[run - 1], &all).unwrap();
        with.map(|with| with.iter().map(|one| one.run.as_str()).collect())
    };
    assert_eq!((with(1), with(2)), (None, None), "in the same moment, each by itself");
    assert_eq!((with(3), with(6)), (Some(vec!["r3", "r4"]), Some(vec!["r5", "r6"])));
    let body = serde_json::to_string(&alone[0].event).unwrap();
    assert!(!body.contains("batch"), "as those that are older have it: {body}");
}
