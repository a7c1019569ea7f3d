//! `log`: what happened in one run.

use super::{Global, out, runs, state};
use crate::exit::Exit;
use crate::journal::event::{Entry, Event, Outcome, Sealed};
use crate::journal::seal::Key;
use crate::journal::store::{RunFilter, Store};
use crate::plan::History;
use crate::report;
use crate::world::World;

/// Show what happened in a run
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run; the newest if not said
    #[arg(add = super::completions::any_run())]
    run: Option<String>,
}

pub(super) fn run(args: &Args, global: &Global, world: &World) -> Exit {
    match show(args, global, world) {
        Ok(exit) | Err(exit) => exit,
    }
}

/// Teaches the redactor the run's secrets, if the key is there: an old note may hold one.
fn learn(entries: &[Entry], run: &str, world: &World) {
    let Ok(key) = Key::load(&state::key_file(world).0) else { return };
    // What is kept for taking a step back is no secret in all its parts: a cookie has a path.
    let values = entries.iter().flat_map(|entry| entry.event.sealed());
    for Sealed { place, name, text } in values.filter(|one| !one.place.ends_with(".private")) {
        if let Ok(json) = key.open(&format!("{run}/{place}/{name}"), text) {
            // one that cannot be replaced was warned of in its run
            let _ = out::redactor().add_json(&json);
        }
    }
}

fn show(args: &Args, global: &Global, world: &World) -> Result<Exit, Exit> {
    let Some(store) = state::existing(world)? else {
        out::error("nothing was ever run here");
        return Err(Exit::Usage);
    };
    let run = match &args.run {
        Some(run) => state::find(&store, run)?,
        None => newest(&store)?,
    };
    let entries = store.entries(&run).map_err(|error| state::refused(&error))?;
    learn(&entries, &run, world);
    let (format, options) = runs::options(global, world);
    report::log(&entries, format, &options, &mut out::data());
    if !matches!(entries.last(), Some(Entry { event: Event::Ended { .. }, .. })) {
        let stands = store.run(&run).map_err(|error| state::refused(&error))?;
        without_end(&entries, &run, stands.outcome);
    }
    Ok(Exit::Done)
}

/// The run that began last.
fn newest(store: &Store) -> Result<String, Exit> {
    let filter = RunFilter { limit: Some(1), ..RunFilter::default() };
    let runs = store.runs(&filter).map_err(|error| state::refused(&error))?;
    runs.into_iter().next().map(|newest| newest.run).ok_or_else(|| {
        out::error("there is no run, all were forgotten");
        Exit::Usage
    })
}

/// Says why the log has no end.
fn without_end(entries: &[Entry], run: &str, outcome: Option<Outcome>) {
    match outcome {
        None => out::say("note: a process is at work on it"),
        Some(Outcome::Interrupted) => {
            out::say("note: it has no end: its process died, or had not begun with it");
            let verb = if History::fold(entries).undoing() { "undo" } else { "resume" };
            out::hint(&format!("`runbook {verb} {run}` goes on"));
        }
        // it came to its end while the log was read
        Some(_) => {}
    }
}
