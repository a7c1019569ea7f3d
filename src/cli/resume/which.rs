//! The run that is meant where none is named.

use std::collections::HashMap;
use std::rc::Rc;

use super::super::{out, runs, state};
use crate::exit::Exit;
use crate::journal::event::{Outcome, Stored, StoredMap};
use crate::journal::store::{RunFilter, RunSummary, Store, StoreError};
use crate::plan::History;
use crate::printable::flag;
use crate::terminal::{Question, Terminal};

/// How many runs are listed where a person must choose.
const LISTED: usize = 8;

/// How many are looked into, whether they are being taken back: more than are listed.
const LOOKED_INTO: usize = 4 * LISTED;

const HALF: &str = "and taken back in part";

/// What a command to copy must say again.
pub(super) struct Again<'a> {
    /// Where to stop.
    pub(super) until: Option<&'a str>,
    /// Whether all that began with the run are meant.
    pub(super) each: bool,
}

/// The newest run that stopped and is not done and not taken back; says so if there are others. If
/// another one was begun since it stopped, the person may have something else in mind: they are asked.
pub(super) fn run(
    store: &Store,
    said: &Again<'_>,
    terminal: &dyn Terminal,
) -> Result<String, Exit> {
    let all = store.runs(&RunFilter::default()).map_err(|error| state::refused(&error))?;
    let mut unfinished: Vec<&RunSummary> = all.iter().filter(|run| !state::over(run)).collect();
    // one that a process is at work on has not stopped
    if unfinished.iter().any(|run| run.outcome.is_some()) {
        unfinished.retain(|run| run.outcome.is_some());
    }
    let half = taken_back(store, &mut unfinished).map_err(|error| state::refused(&error))?;
    if said.each {
        let groups = groups(store, &unfinished).map_err(|error| state::refused(&error))?;
        // of a run that was begun by itself is said that it was
        unfinished = if groups.is_empty() { unfinished } else { groups };
    }
    let Some((newest, others)) = unfinished.split_first() else {
        return Err(nothing_left(&all, &half));
    };
    for run in &half {
        out::say(&format!(
            "note: `{run}` is newer, {HALF}: `runbook undo {run}` goes on with that"
        ));
    }
    let since = all.iter().filter(|run| run.started_ms > newest.last_ms);
    for begun in since {
        // one that was begun by itself says nothing of those that were begun together
        let counts = !said.each
            || store.begun_with(begun, &[]).map_err(|error| state::refused(&error))?.is_some();
        if counts {
            return choice(store, (&all, &unfinished), (begun, said), terminal);
        }
    }
    if let [next, ..] = others {
        let number = unfinished.len();
        out::say(&format!(
            "note: `{}` is the newest of {number} unfinished runs; the others:",
            newest.run
        ));
        list(&done_since(store, &all, others)?, others.len());
        let other = again(store, &next.run, said)?;
        out::hint(&format!("to go on with another, name it: `runbook resume {}{other}`", next.run));
        let with = store.begun_with(newest, others).map_err(|error| state::refused(&error))?;
        if with.is_some_and(|with| !with.is_empty()) {
            let (run, until) = (&newest.run, flag("until", said.until));
            out::hint(&format!(
                "to go on with all that `run --each` began with it: `runbook resume --each {run}{until}`"
            ));
        }
    }
    Ok(newest.run.clone())
}

/// Leaves out what is being taken back of the newest runs, as that does not go on; those that are newer
/// than all others are given.
fn taken_back(store: &Store, unfinished: &mut Vec<&RunSummary>) -> Result<Vec<String>, StoreError> {
    let (mut half, mut rest) = (Vec::new(), Vec::new());
    let looked = unfinished.len().min(LOOKED_INTO);
    for run in unfinished.drain(..looked) {
        if !History::fold(&store.entries(&run.run)?).undoing() {
            rest.push(run);
        } else if rest.is_empty() {
            half.push(run.run.clone());
        }
    }
    unfinished.splice(..0, rest);
    Ok(half)
}

/// Of all that one `run --each` began, the first; none of what was begun by itself.
fn groups<'a>(store: &Store, runs: &[&'a RunSummary]) -> Result<Vec<&'a RunSummary>, StoreError> {
    let mut groups: Vec<&RunSummary> = Vec::new();
    for &run in runs {
        if store.begun_with(run, &groups)?.is_some_and(|with| with.is_empty()) {
            groups.push(run);
        }
    }
    Ok(groups)
}

fn nothing_left(all: &[RunSummary], half: &[String]) -> Exit {
    if let [newest, ..] = half {
        out::error(&format!("there is no run to go on with: `{newest}` is the newest, {HALF}"));
        out::hint(&format!("`runbook undo {newest}` goes on with that"));
        return Exit::Usage;
    }
    if let [newest, ..] = all {
        // It may have been killed just after its last word: then this is the good news.
        out::say(&format!("nothing is left to do: no run is unfinished, `{}` is over", newest.run));
        return Exit::Done;
    }
    out::error("there is no run to go on with");
    out::hint("`runbook runs` shows those there are");
    Exit::Usage
}

/// Has the person say which run they mean; where nobody can, says how to name it.
fn choice(
    store: &Store,
    (all, unfinished): (&[RunSummary], &[&RunSummary]),
    (begun, said): (&RunSummary, &Again<'_>),
    terminal: &dyn Terminal,
) -> Result<String, Exit> {
    let listed = done_since(store, all, unfinished)?;
    // one that was done with another run may be given up
    let likely = listed.iter().find(|(_, done)| done.is_none()).map(|(run, _)| run.run.clone());
    let state = runs::word(begun.outcome);
    let why =
        format!("`{}` was begun since `{}` stopped, and is {state}", begun.run, unfinished[0].run);
    if !terminal.present() {
        out::error(&format!("which run? {why}"));
        list(&listed, unfinished.len());
        let run = likely.unwrap_or_else(|| unfinished[0].run.clone());
        let until = again(store, &run, said)?;
        let entries = store.entries(&run).map_err(|error| state::refused(&error))?;
        let forget = if said.each || !History::fold(&entries).left().is_empty() {
            String::new()
        } else {
            format!("; `runbook forget {run}` takes it out of the history")
        };
        out::hint(&format!("`runbook resume {run}{until}` goes on with that one{forget}"));
        return Err(Exit::Usage);
    }
    out::say(&format!("note: {why}; unfinished:"));
    list(&listed, unfinished.len());
    let question = Question {
        ask: "Go on with which run?".to_owned(),
        choices: unfinished.iter().map(|run| run.run.clone()).collect(),
        default: likely,
        ..Question::default()
    };
    terminal.ask(&question, Rc::new(|_| Ok(()))).map_err(|_| Exit::Interrupted)
}

/// The flags in a command that goes on with a run; where to stop only if it has such a step.
fn again(store: &Store, run: &str, said: &Again<'_>) -> Result<String, Exit> {
    let (until, each) = (said.until, if said.each { " --each" } else { "" });
    let Some(step) = until else { return Ok(each.to_owned()) };
    let entries = store.entries(run).map_err(|error| state::refused(&error))?;
    let history = History::fold(&entries);
    let own = step.split(['/', '[']).next().unwrap_or_default();
    let has = history.steps.iter().any(|known| known.id == own);
    Ok(each.to_owned() + &flag("until", until.filter(|_| has)))
}

/// The first of these runs, each with one of the same runbook and with the same inputs that was begun
/// since and is done: what was left to do may be done with that.
type Listed<'a> = Vec<(&'a RunSummary, Option<&'a RunSummary>)>;

fn done_since<'a>(
    store: &Store,
    all: &'a [RunSummary],
    unfinished: &[&'a RunSummary],
) -> Result<Listed<'a>, Exit> {
    let mut known: HashMap<&str, StoredMap> = HashMap::new();
    let mut listed = Vec::new();
    for run in unfinished.iter().take(LISTED) {
        let mut found = None;
        let done = all.iter().filter(|other| {
            // one that was under way beside it, of a `run --each` say, tells nothing of it
            other.outcome == Some(Outcome::Done)
                && other.runbook == run.runbook
                && other.started_ms > run.last_ms
        });
        for other in done {
            for one in [*run, other] {
                if !known.contains_key(one.run.as_str()) {
                    let entries = store.entries(&one.run);
                    let entries = entries.map_err(|error| state::refused(&error))?;
                    known.insert(&one.run, History::fold(&entries).inputs);
                }
            }
            if same(&known[run.run.as_str()], &known[other.run.as_str()]) {
                found = Some(other);
                break;
            }
        }
        listed.push((*run, found));
    }
    Ok(listed)
}

/// Whether two runs have the same inputs. Secrets do not count: they are ways in, and may change.
fn same(one: &StoredMap, other: &StoredMap) -> bool {
    let alike = |(mine, theirs): ((&String, &Stored), (&String, &Stored))| match (mine, theirs) {
        ((name, Stored::Plain(value)), (other, Stored::Plain(theirs))) => {
            name == other && value == theirs
        }
        ((name, Stored::Sealed(_)), (other, Stored::Sealed(_))) => name == other,
        _ => false,
    };
    one.len() == other.len() && one.iter().zip(other).all(alike)
}

fn list(listed: &Listed<'_>, all: usize) {
    for (run, done) in listed {
        let state = runs::word(run.outcome);
        let step = run.last_step.as_ref().map(|step| format!(" at `{step}`")).unwrap_or_default();
        let since = done.map(|done| format!(", `{}` is done since", done.run)).unwrap_or_default();
        out::say(&format!("  {}  {}  {state}{step}{since}", run.run, run.runbook));
    }
    if all > listed.len() {
        out::say(&format!("  and {} more, in `runbook runs`", all - listed.len()));
    }
}
