//! The state folder: the journal and the key, opened when first needed.

use std::collections::HashMap;
use std::path::PathBuf;

use super::out;
use crate::exit::Exit;
use crate::journal::event::Outcome;
use crate::journal::seal::{Key, KeyError};
use crate::journal::store::{RunFilter, RunSummary, Store, StoreError};
use crate::world::World;

/// The journal, made if it is not there.
pub(super) fn store(world: &World) -> Result<Store, Exit> {
    let store = Store::open(&world.state_dir()).map_err(|error| refused(&error))?;
    warn(&store);
    Ok(store)
}

/// The journal, if there is one.
pub(super) fn existing(world: &World) -> Result<Option<Store>, Exit> {
    let store = Store::open_existing(&world.state_dir()).map_err(|error| refused(&error))?;
    store.iter().for_each(warn);
    Ok(store)
}

/// Says what is wrong with the journal.
pub(super) fn refused(error: &StoreError) -> Exit {
    out::error(&error.to_string());
    out::hint(&error.hint());
    Exit::Failed
}

/// Says what is too open about the state folder, with the command that mends it.
fn warn(store: &Store) {
    store.warnings().iter().for_each(|warning| out::warning(warning));
}

/// Names the key's file, in place of the one in the state folder.
const KEY_FILE: &str = "RUNBOOK_KEY_FILE";

/// Where the key is, and whether the person said so.
pub(super) fn key_file(world: &World) -> (PathBuf, bool) {
    match world.var(KEY_FILE).filter(|path| !path.is_empty()) {
        Some(path) => (world.cwd.join(world.expand_home(path)), true),
        None => (world.state_dir().join("key"), false),
    }
}

/// The key that seals secrets, made at first use. One that the person names must be there.
pub(super) fn key(world: &World) -> Result<Key, Exit> {
    let (path, named) = key_file(world);
    let key = if named { Key::load(&path) } else { Key::load_or_create(&path) };
    key.map_err(|error| no_key(&error))
}

/// A key for what is kept nowhere.
pub(super) fn passing_key() -> Result<Key, Exit> {
    Key::random().map_err(|error| {
        out::error(&error.to_string());
        Exit::Failed
    })
}

/// Says why there is no key.
pub(super) fn no_key(error: &KeyError) -> Exit {
    out::error(&error.to_string());
    out::hint(&error.hint());
    Exit::Failed
}

const KEY_HINT: &str = "name the right key in `RUNBOOK_KEY_FILE`, or put it back from a copy of the state \
                        folder; without it a run's secrets cannot be read, and it must be \
                        finished by hand";

/// Says that a secret in the journal cannot be read.
pub(super) fn unreadable(error: &impl std::fmt::Display) -> Exit {
    out::error(&error.to_string());
    out::hint(KEY_HINT);
    Exit::Failed
}

/// A run by its whole name.
pub(super) fn find(store: &Store, run: &str) -> Result<String, Exit> {
    store.known(run).map(|()| run.to_owned()).map_err(|error| match error {
        StoreError::UnknownRun { .. } => {
            refused(&error);
            Exit::Usage
        }
        other => refused(&other),
    })
}

/// Whether a run is done, or taken back.
pub(super) fn over(run: &RunSummary) -> bool {
    matches!(run.outcome, Some(Outcome::Done | Outcome::Undone))
}

/// How many runs are listed where a person must choose.
const LISTED: usize = 8;

/// The newest run that stopped and is not done and not taken back; says so if there are others. One
/// whose runbook was run to its end since then is not taken: it may be given up.
pub(super) fn newest_unfinished(store: &Store) -> Result<String, Exit> {
    let all = store.runs(&RunFilter::default()).map_err(|error| refused(&error))?;
    let (mut done, mut unfinished) = (HashMap::new(), Vec::new());
    for run in &all {
        if !over(run) {
            // one that was under way beside it, of a `run --each` say, tells nothing of it
            let since = |done: &&RunSummary| done.started_ms > run.last_ms;
            unfinished.push((run, done.get(run.runbook.as_str()).copied().filter(since)));
        } else if run.outcome == Some(Outcome::Done) {
            done.entry(run.runbook.as_str()).or_insert(run);
        }
    }
    // one that a process is at work on has not stopped
    if unfinished.iter().any(|(run, _)| run.outcome.is_some()) {
        unfinished.retain(|(run, _)| run.outcome.is_some());
    }
    if unfinished.is_empty() {
        return Err(nothing_left(&all));
    }
    let Some(at) = unfinished.iter().position(|(_, done)| done.is_none()) else {
        return Err(given_up(&unfinished));
    };
    let (newest, _) = unfinished.remove(at);
    if !unfinished.is_empty() {
        out::say(&format!(
            "note: `{}` is the newest of {} unfinished runs; the others:",
            newest.run,
            unfinished.len() + 1
        ));
        list(&unfinished);
        out::hint(&format!(
            "to go on with another, name it: `runbook resume {}`",
            unfinished[0].0.run
        ));
    }
    Ok(newest.run.clone())
}

fn nothing_left(all: &[RunSummary]) -> Exit {
    if let [newest, ..] = all {
        // It may have been killed just after its last word: then this is the good news.
        out::say(&format!("nothing is left to do: no run is unfinished, `{}` is over", newest.run));
        return Exit::Done;
    }
    out::error("there is no run to go on with");
    out::hint("`runbook runs` shows those there are");
    Exit::Usage
}

/// Every unfinished run has a newer one of the same runbook that is done: the person must say so
/// if they mean it.
fn given_up(unfinished: &[(&RunSummary, Option<&RunSummary>)]) -> Exit {
    out::error("which run? each unfinished one has a newer run of its runbook that is done");
    list(unfinished);
    let run = &unfinished[0].0.run;
    out::hint(&format!(
        "`runbook resume {run}` goes on with it all the same; `runbook forget {run}` takes it out of the history"
    ));
    Exit::Usage
}

fn list(unfinished: &[(&RunSummary, Option<&RunSummary>)]) {
    for (run, done) in unfinished.iter().take(LISTED) {
        let state = super::runs::word(run.outcome);
        let step = run.last_step.as_ref().map(|step| format!(" at `{step}`")).unwrap_or_default();
        let since = done.map(|done| format!(", `{}` is done since", done.run)).unwrap_or_default();
        out::say(&format!("  {}  {}  {state}{step}{since}", run.run, run.runbook));
    }
    if unfinished.len() > LISTED {
        let more = unfinished.len() - LISTED;
        out::say(&format!("  and {more} more, in `runbook runs`"));
    }
}
