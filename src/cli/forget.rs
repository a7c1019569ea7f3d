//! `forget`: takes runs out of the history for good.

use super::{out, runs, state};
use crate::exit::Exit;
use crate::world::World;

/// Take runs out of the history for good
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The runs
    #[arg(required_unless_present = "older_than", add = super::completions::any_run())]
    runs: Vec<String>,
    /// All runs that came to their end longer ago than this, done or taken back: `90 days`
    #[arg(long, value_name = "TIME", value_parser = runs::duration, conflicts_with = "runs")]
    older_than: Option<std::time::Duration>,
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
        store.forget(&found).map(|gone| (gone, Vec::new()))
    };
    let (gone, left) = gone.map_err(|error| state::refused(&error))?;
    out::say(&format!("{gone} {} forgotten", if gone == 1 { "run" } else { "runs" }));
    if !left.is_empty() {
        let noun = if left.len() == 1 { "run is" } else { "runs are" };
        out::say(&format!("{} unfinished {noun} as old, and left", left.len()));
        out::hint(&format!("`runbook forget {}` takes them out too", left.join(" ")));
    }
    Ok(Exit::Done)
}
