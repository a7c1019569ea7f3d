//! `runs`: the history, newest first.

use super::session::output;
use super::{Global, Output, out, state};
use crate::exit::Exit;
use crate::journal::event::Outcome;
use crate::journal::names::in_file;
use crate::journal::store::{RunFilter, RunState, RunSummary, Store, StoreError};
use crate::reader::parse_duration;
use crate::report::{self, Format, RunRow};
use crate::world::World;

/// List the runs there were, newest first
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only runs of this runbook
    #[arg(long, value_name = "NAME", add = super::completions::runbook())]
    runbook: Option<String>,
    /// Only runs in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only runs begun within this time: `2h`, `7 days`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    within: Option<std::time::Duration>,
    /// At most this many
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum State {
    /// Every step done
    Done,
    /// A step or gate failed
    Failed,
    /// Needs a person's answer
    Waiting,
    /// A step may or may not have happened
    Doubt,
    /// Interrupted by the person, or its process died
    Interrupted,
    /// Stopped where it should
    Stopped,
    /// Taken back
    Undone,
    /// Under way
    Running,
}

impl State {
    fn state(self) -> RunState {
        self.outcome().map_or(RunState::Running, RunState::Ended)
    }

    /// How such a run ended; none if it did not.
    fn outcome(self) -> Option<Outcome> {
        Some(match self {
            Self::Done => Outcome::Done,
            Self::Failed => Outcome::Failed,
            Self::Waiting => Outcome::Waiting,
            Self::Doubt => Outcome::InDoubt,
            Self::Interrupted => Outcome::Interrupted,
            Self::Stopped => Outcome::Stopped,
            Self::Undone => Outcome::Undone,
            Self::Running => return None,
        })
    }
}

/// A duration as people write it.
pub(super) fn duration(text: &str) -> Result<std::time::Duration, String> {
    parse_duration(text).map_err(|wrong| format!("{wrong}; write a time such as `2h` or `7 days`"))
}

pub(super) fn run(args: &Args, global: &Global, world: &World) -> Exit {
    match list(args, global, world) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn list(args: &Args, global: &Global, world: &World) -> Result<Exit, Exit> {
    let Some(store) = state::existing(world)? else {
        out::say("nothing was ever run here");
        return Ok(Exit::Done);
    };
    let since = args.within.map(|time| ago(world, time));
    let filter = RunFilter {
        runbook: args.runbook.clone(),
        state: args.state.map(State::state),
        since_ms: since,
        limit: Some(args.limit),
    };
    let found = store.runs(&filter).map_err(|error| state::refused(&error))?;
    let rows: Result<Vec<RunRow>, StoreError> =
        found.into_iter().map(|run| row(&store, run)).collect();
    let rows = rows.map_err(|error| state::refused(&error))?;
    let (format, options) = options(global, world);
    if rows.is_empty() && format != Format::Jsonl {
        out::say(&none(args));
        return Ok(Exit::Done);
    }
    report::runs(&rows, format, &options, &mut out::data());
    Ok(Exit::Done)
}

/// That there is no such run, with what was asked for.
fn none(args: &Args) -> String {
    let name = args.runbook.as_ref().map(|name| format!(" of `{name}`"));
    let state = args.state.map(|state| format!(" in the state `{}`", word(state.outcome())));
    let within = args.within.map(|_| " begun within this time".to_owned());
    format!("there is no run{}", [name, state, within].into_iter().flatten().collect::<String>())
}

fn row(store: &Store, run: RunSummary) -> Result<RunRow, StoreError> {
    let took_ms = match run.ended_ms {
        Some(ended) => u64::try_from(ended - run.started_ms - store.idle_ms(&run.run)?).ok(),
        None => None,
    };
    Ok(RunRow {
        state: word(run.outcome).to_owned(),
        took_ms,
        run: run.run,
        runbook: run.runbook,
        started_ms: run.started_ms,
        last_step: run.last_step.as_deref().map(in_file).unwrap_or_default(),
    })
}

/// The moment a time ago, in milliseconds since the Unix epoch.
pub(super) fn ago(world: &World, time: std::time::Duration) -> i64 {
    world.clock.now_ms() - i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A run's state in a word.
pub(super) fn word(outcome: Option<Outcome>) -> &'static str {
    outcome.map_or("running", Outcome::state)
}

/// How history is shown: on stdout, so colours only if that is a terminal.
pub(super) fn options(global: &Global, world: &World) -> (Format, report::Options) {
    let format = match output(global, world) {
        Output::Human => Format::Human,
        Output::Plain => Format::Plain,
        Output::Jsonl | Output::Json => Format::Jsonl,
    };
    let options = report::Options {
        verbose: global.verbose,
        color: world.stdout_tty && world.color(),
        width: world.width(),
        screen: world.data_screen().filter(|_| format == Format::Human),
        zone: jiff::tz::TimeZone::system(),
        ..report::Options::default()
    };
    (format, options)
}
