//! `completions`: what a shell asks this program for at a Tab. The script that is printed only
//! asks; names of runbooks and of runs are looked up as they are by then.

use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Zsh};

use super::{out, state};
use crate::exit::Exit;
use crate::journal::store::{RunFilter, RunSummary, Store};
use crate::library;
use crate::world::World;

/// Print a shell's completion script
///
/// It completes commands, flags, and the names of runbooks and runs. For bash:
/// `source <(runbook completions bash)` in `~/.bashrc`; zsh alike in `~/.zshrc`; for fish:
/// `runbook completions fish | source` in `~/.config/fish/config.fish`; for elvish:
/// `eval (runbook completions elvish | slurp)` in `~/.config/elvish/rc.elv`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Zsh,
}

/// Asks for a completion: the shell's name is in this variable.
pub(super) const VARIABLE: &str = "COMPLETE";

/// This program, as the shell finds it.
const PROGRAM: &str = "runbook";

pub(super) fn run(args: &Args) -> Exit {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::Zsh => &Zsh,
    };
    let mut script = Vec::new();
    if let Err(error) = shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script) {
        out::error(&format!("cannot write the script: {error}"));
        return Exit::Failed;
    }
    out::print(&String::from_utf8_lossy(&script));
    Exit::Done
}

/// Completes a runbook's name, or the path of its file.
pub(super) fn runbook() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let names = library::names(&World::real());
        let files = PathCompleter::file()
            .filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
        let mut found = beginning(names, current);
        found.extend(ArgValueCompleter::new(files).complete(current));
        found
    })
}

/// Completes the name of a run, the newest first.
pub(super) fn any_run() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| beginning(runs(Some(RUNS), |_| true), current))
}

/// Completes the name of a run that is not at its end.
pub(super) fn unfinished_run() -> ArgValueCompleter {
    let left = |run: &RunSummary| !state::over(run);
    ArgValueCompleter::new(move |current: &OsStr| beginning(runs(None, left), current))
}

/// How many runs are offered: more than a person reads.
const RUNS: usize = 50;

/// Names of runs, out of so many of the newest. Where the journal cannot be read there are none to offer: the command will say why.
fn runs(limit: Option<usize>, fits: impl Fn(&RunSummary) -> bool) -> Vec<String> {
    let filter = RunFilter { limit, ..RunFilter::default() };
    let store = Store::open_existing(&World::real().state_dir()).ok().flatten();
    let all = store.and_then(|store| store.runs(&filter).ok()).unwrap_or_default();
    all.into_iter().filter(fits).take(RUNS).map(|run| run.run).collect()
}

fn beginning(names: Vec<String>, current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let fitting = names.into_iter().filter(|name| name.starts_with(current));
    fitting.map(CompletionCandidate::new).collect()
}
