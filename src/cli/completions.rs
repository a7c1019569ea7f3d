//! `completions`: what a shell asks this program for at a Tab. The script that is printed only
//! asks; names of runbooks, of runs and of what they have are looked up as they are by then.

mod bash;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::sync::Arc;

use clap::{ArgMatches, CommandFactory as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter};
use clap_complete::env::{Elvish, EnvCompleter, Fish, Shells, Zsh};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Cli, out, state};
use crate::exit::Exit;
use crate::journal::event::{Entry, Event};
use crate::journal::names::earlier;
use crate::journal::store::{RunFilter, RunSummary, Store};
use crate::library;
use crate::printable::argument;
use crate::runbook::lint::PAGES;
use crate::source::Source;
use crate::step::KINDS;
use crate::step::plugin::PREFIX;
use crate::world::World;
use bash::Bash;

/// Print a shell's completion script
///
/// It completes commands, flags, the names of runbooks and runs, and what these have: inputs, presets, steps. For bash:
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

/// The shells that are answered.
pub(super) const SHELLS: Shells<'_> = Shells(&[&Bash, &Elvish, &Fish, &Zsh]);

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

/// Completes the id of a step: of the runbook that is named before, or of the run.
pub(super) fn step() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let ids = match about() {
            Some(About::Runbook(text)) => steps(&text).into_iter().map(|(id, _)| id).collect(),
            Some(About::Run(entries)) => {
                let mut ids = performed(&entries);
                let before = done_before(&entries);
                ids.retain(|id| !before.contains(id.as_str()));
                ids
            }
            None => Vec::new(),
        };
        beginning(ids, current)
    })
}

/// Completes the id of a step that can be taken back: also `create@1`, what a step did before it was
/// done again.
pub(super) fn step_back() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| match about() {
        Some(About::Run(entries)) => beginning(performed(&entries), current),
        _ => Vec::new(),
    })
}

/// Completes the step of an answer.
pub(super) fn answer() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let ids: Vec<String> = match about() {
            Some(About::Runbook(text)) => {
                let asks = steps(&text).into_iter().filter(|(_, asks)| *asks);
                asks.map(|(id, _)| id).collect()
            }
            Some(About::Run(entries)) => {
                let asked =
                    entries.iter().filter(|entry| matches!(entry.event, Event::Asked { .. }));
                let ids = asked.filter_map(|entry| entry.event.step());
                ids.map(str::to_owned).collect()
            }
            None => Vec::new(),
        };
        beginning(ids.into_iter().map(|id| id + "=").collect(), current)
    })
}

/// Completes the name of an input, then a value where only some are right.
pub(super) fn input() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let Some(About::Runbook(text)) = about() else { return Vec::new() };
        let (file, _) = DeTable::parse_recoverable(&text);
        let Some(inputs) = table(file.get_ref(), "inputs") else { return Vec::new() };
        let given = current.to_str().and_then(|current| current.split_once('='));
        let words = match given.and_then(|(name, _)| Some((name, table(inputs, name)?))) {
            Some((name, input)) => {
                let choices = input.get("one_of").and_then(|choices| choices.get_ref().as_array());
                let choices = choices.into_iter().flatten();
                let choices = choices.filter_map(|choice| choice.get_ref().as_str());
                choices.map(|choice| format!("{name}={choice}")).collect()
            }
            None => keys(inputs).map(|name| name + "=").collect(),
        };
        beginning(words, current)
    })
}

/// Completes the name of a preset.
pub(super) fn preset() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let Some(About::Runbook(text)) = about() else { return Vec::new() };
        beginning(keys_of(&text, "presets"), current)
    })
}

/// Completes the name of a state of the fake.
pub(super) fn state() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let world = World::real();
        let fake = named().and_then(|source| {
            if source.path.ends_with("fake.toml") {
                Some(source)
            } else {
                library::fake(&source, &world)
            }
        });
        beginning(fake.map_or(Vec::new(), |fake| keys_of(&fake.text, "states")), current)
    })
}

/// Completes the name of a kind of step.
pub(super) fn kind() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let installed = library::installed(PREFIX, &World::real());
        let others = installed.iter().map(|name| name[PREFIX.len()..].to_owned());
        let ours = KINDS.iter().map(|kind| kind.name.to_owned());
        beginning(ours.chain(others).collect(), current)
    })
}

/// Completes the code of a warning.
pub(super) fn code() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        beginning(PAGES.iter().map(|page| page.code.to_owned()).collect(), current)
    })
}

/// What the rest of a line is about.
enum About {
    /// A runbook's text.
    Runbook(Arc<str>),
    /// What is known of a run.
    Run(Vec<Entry>),
}

/// What is named on the line so far; without a name of a run the one that `resume` would take.
fn about() -> Option<About> {
    if let Some(source) = named() {
        return Some(About::Runbook(source.text));
    }
    let run = match typed()?.try_get_one::<String>("run").ok()? {
        Some(run) => run.clone(),
        None => runs(None, |run| !state::over(run)).into_iter().next()?,
    };
    let store = Store::open_existing(&World::real().state_dir()).ok().flatten()?;
    store.entries(&run).ok().map(About::Run)
}

/// The runbook that is named on the line so far.
fn named() -> Option<Source> {
    let typed = typed()?;
    let name = typed.try_get_one::<String>("name").ok()??;
    library::glance(name, &World::real())
}

/// What the line says so far.
fn typed() -> Option<ArgMatches> {
    // the shell hands the line on behind this
    let line = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(line).ok()?;
    matches.subcommand().map(|(_, matches)| matches.clone())
}

/// The steps of a file, even of one with mistakes, and whether they ask.
fn steps(text: &str) -> Vec<(String, bool)> {
    let (file, _) = DeTable::parse_recoverable(text);
    let steps = file.get_ref().get("steps").and_then(|steps| steps.get_ref().as_array());
    let step = |step: &Spanned<DeValue<'_>>| {
        let step = step.get_ref().as_table()?;
        let id = step.get("id")?.get_ref().as_str()?.to_owned();
        Some((id, step.contains_key("prompt")))
    };
    steps.into_iter().flatten().filter_map(step).collect()
}

/// The steps of a run, then those inside them that something happened to.
fn performed(entries: &[Entry]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for entry in entries {
        if let Event::Started { steps, .. } | Event::Resumed { steps, .. } = &entry.event
            && !steps.is_empty()
        {
            ids = steps.iter().map(|step| step.id.clone()).collect();
        }
    }
    let mut known: HashSet<String> = ids.iter().cloned().collect();
    for step in entries.iter().filter_map(|entry| entry.event.step()) {
        if known.insert(step.to_owned()) {
            ids.push(step.to_owned());
        }
    }
    ids
}

/// What was put down under a name of its own, `create@1`, as its step was to be done again: that can
/// only be taken back.
fn done_before(entries: &[Entry]) -> HashSet<&str> {
    let put_down = |(done, next): (&'_ Entry, &Entry)| match (&done.event, &next.event) {
        (Event::Done { step, .. }, Event::Decided { step: own, .. }) => {
            earlier(step).is_some_and(|of| of == *own)
        }
        _ => false,
    };
    let pairs = entries.iter().zip(entries.iter().skip(1)).filter(|pair| put_down(*pair));
    pairs.filter_map(|(done, _)| done.event.step()).collect()
}

fn keys_of(text: &str, name: &str) -> Vec<String> {
    let (file, _) = DeTable::parse_recoverable(text);
    table(file.get_ref(), name).map_or(Vec::new(), |table| keys(table).collect())
}

fn table<'t>(table: &'t DeTable<'_>, name: &str) -> Option<&'t DeTable<'t>> {
    table.get(name)?.get_ref().as_table()
}

fn keys(table: &DeTable<'_>) -> impl Iterator<Item = String> {
    table.keys().map(|name| name.get_ref().to_string())
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

/// The words that begin so. They come out of files that nobody has read or checked yet, and a word
/// that a Tab put on the line is soon run: what means anything to a shell is left out.
fn beginning(names: Vec<String>, current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let fitting = names.into_iter().filter(|name| name.starts_with(current) && plain(name));
    fitting.map(CompletionCandidate::new).collect()
}

/// Whether a word is the same to a shell as to a person.
fn plain(word: &str) -> bool {
    matches!(argument(word), Cow::Borrowed(_))
}
