//! `forget`: takes runs out of the history for good.

use std::rc::Rc;

use super::{out, runs, state};
use crate::exit::Exit;
use crate::journal::store::{RunFilter, Store};
use crate::plan::History;
use crate::printable::argument;
use crate::reader::list;
use crate::terminal::{Person, Question, Terminal as _};
use crate::world::World;

/// So many steps of a run are named.
const NAMED: usize = 8;

/// Take runs out of the history for good
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").args(["runs", "older_than"]).required(true)))]
pub(super) struct Args {
    /// The runs
    #[arg(add = super::completions::any_run())]
    runs: Vec<String>,
    /// All runs that came to their end longer ago than this, done or taken back: `90 days`
    #[arg(long, value_name = "TIME", value_parser = runs::duration)]
    older_than: Option<std::time::Duration>,
    /// Forget runs that are not done too, although what they changed stays
    #[arg(short, long, conflicts_with = "older_than")]
    yes: bool,
}

pub(super) fn run(args: &Args, world: &World) -> Exit {
    match forget(args, world) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn forget(args: &Args, world: &World) -> Result<Exit, Exit> {
    let Some(mut store) = state::existing(world)? else {
        out::say("nothing was ever run here");
        return Ok(Exit::Done);
    };
    let gone = if let Some(time) = args.older_than {
        store.forget_older_than(runs::ago(world, time))
    } else {
        let found = args.runs.iter().map(|run| state::find(&store, run));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        if !args.yes {
            kept_for_undo(&store, &found, world)?;
        }
        store.forget(&found).map(|gone| (gone, Vec::new()))
    };
    let (gone, left) = gone.map_err(|error| state::refused(&error))?;
    out::say(&format!("{gone} {} forgotten", if gone == 1 { "run" } else { "runs" }));
    if !left.is_empty() {
        let noun = if left.len() == 1 { "run is" } else { "runs are" };
        out::say(&format!("{} unfinished {noun} as old, and left", left.len()));
        let changed = changed(&store, &left)?;
        for one in &changed {
            out::say(&format!("  {}", one.said));
        }
        let yes = if changed.is_empty() { "" } else { " --yes" };
        let them = if left.len() == 1 { "it" } else { "them" };
        out::hint(&format!("`runbook forget {}{yes}` takes {them} out too", left.join(" ")));
    }
    Ok(Exit::Done)
}

/// A run that stopped after it changed something.
struct Changed {
    run: String,
    /// What of that stays, in one line.
    said: String,
    /// The flags that say that it is taken back, if `undo` has no way for any of it.
    by_hand: Option<String>,
}

/// Those of some runs that stopped after they changed something.
fn changed(store: &Store, runs: &[String]) -> Result<Vec<Changed>, Exit> {
    let all = store.runs(&RunFilter::default()).map_err(|error| state::refused(&error))?;
    let stopped = all.iter().filter(|run| runs.contains(&run.run));
    // one that a process is at work on is not forgotten anyway
    let stopped = stopped.filter(|run| run.outcome.is_some() && !state::over(run));
    let mut found = Vec::new();
    for run in stopped {
        // what cannot be read cannot be taken back either
        let Ok(entries) = store.entries(&run.run) else { continue };
        let history = History::fold(&entries);
        let left = history.left();
        if left.is_empty() || history.rehearsal {
            continue;
        }
        let more = left.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = list(&left[..left.len().min(NAMED)]);
        let said =
            format!("run `{}` is not done, and what it changed stays: {names}{more}", run.run);
        let beyond = left.iter().all(|step| history.beyond_undo(step));
        let flags: Vec<String> =
            left.iter().map(|step| format!(" --done {}", argument(step))).collect();
        let by_hand = beyond.then(|| flags.concat());
        found.push(Changed { run: run.run.clone(), said, by_hand });
    }
    Ok(found)
}

/// Has a person confirm that runs are forgotten which stopped after they changed something: only the
/// journal knows what to take back, and the secrets they made.
fn kept_for_undo(store: &Store, runs: &[String], world: &World) -> Result<(), Exit> {
    let told = changed(store, runs)?;
    if told.is_empty() {
        return Ok(());
    }
    if world.person() {
        for one in &told {
            out::warning(&one.said);
        }
        let question = Question {
            ask: "Forget them all the same? It cannot be taken back then.".to_owned(),
            choices: vec!["yes".to_owned(), "no".to_owned()],
            default: Some("no".to_owned()),
            ..Question::default()
        };
        if let Ok("yes") = Person.ask(&question, Rc::new(|_| Ok(()))).as_deref() {
            return Ok(());
        }
        out::say("nothing was forgotten");
        return Err(Exit::Interrupted);
    }
    for Changed { run, said, by_hand } in &told {
        out::error(said);
        out::hint(&match by_hand {
            None => format!("`runbook undo {run}` takes it back"),
            Some(flags) => format!(
                "its file has no way to take it back: once that is done by hand, `runbook undo {run}{flags}`"
            ),
        });
    }
    let runs = runs.join(" ");
    out::hint(&format!(
        "nothing was forgotten; `runbook forget {runs} --yes` does it all the same"
    ));
    Err(Exit::Usage)
}
