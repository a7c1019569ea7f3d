//! `resume`: the same walk over a longer journal.

mod decisions;
mod doubted;
mod questions;
mod renames;
mod stale;
mod taken;
mod updated;
mod values;
mod versions;
mod which;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::inputs::Said;
use super::many::again::{self, Wanted};
use super::run::{Kept, WalkFlags, done, holder, known, lock};
use super::runs::options;
use super::session::{Direction, Session, walk};
use super::{Global, inputs, load, out, state, trust};
use crate::engine::Engine;
use crate::exit::Exit;
use crate::journal::event::{Entry, Event, Outcome};
use crate::journal::seal::Key;
use crate::plan::{History, Status};
use crate::printable::{argument, flag};
use crate::report::{self, Format};
use crate::runbook::{Runbook, digest};
use crate::terminal::{Nobody, Person, Terminal};
use crate::value::Labeled;
use crate::world::World;
pub(super) use taken::{Taken, definition, take};
pub(super) use values::{inputs, refused, renewed_inputs, say_renewed, sealed_inputs};
use versions::Versions;

/// Go on with a run that stopped
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run; the newest unfinished one if not said and no other was begun since
    #[arg(add = super::completions::unfinished_run())]
    run: Option<String>,
    #[command(flatten)]
    walk: WalkFlags,
    #[command(flatten)]
    together: Together,
    /// Ask nobody: confirmations and defaults are taken as given, and the record says so
    #[arg(short, long)]
    yes: bool,
    /// Do a step again although it may have happened, or one that was skipped by hand
    #[arg(long, value_name = "STEP", add = super::completions::step())]
    redo: Vec<String>,
    /// Count a step as done: it happened, or you did it by hand
    #[arg(long, value_name = "STEP", add = super::completions::step())]
    done: Vec<String>,
    /// With `--done`: a value the step would have saved; it must satisfy the step's gates
    ///
    /// Without `=VALUE` a secret is asked for unseen, or read as a line of standard input.
    #[arg(long, value_name = "NAME=VALUE", value_parser = inputs::said, requires = "done")]
    save: Vec<Said>,
    /// Use the file as it is now; finished steps that changed need `--rerun` or `--keep`
    #[arg(long)]
    updated: bool,
    /// With `--updated`: trust the file as it is now
    #[arg(long, requires = "updated")]
    trust: bool,
    /// With `--updated`: perform this step again, or for the first time
    #[arg(long, value_name = "STEP", add = super::completions::step(), requires = "updated")]
    rerun: Vec<String>,
    /// With `--updated`: do nothing about this step: it stays as it was done, or is left out if it is new
    ///
    /// A step that was edited, or is gone, stays as it was done; one that was renamed counts as done by its
    /// new name; one that is new is left out.
    #[arg(long, value_name = "STEP", add = super::completions::step(), requires = "updated")]
    keep: Vec<String>,
}

/// Runs that began together.
#[derive(Debug, clap::Args)]
struct Together {
    /// Go on with all that `run --each` began together with the run and that is not done
    #[arg(long)]
    #[arg(conflicts_with_all = ["step", "redo", "done", "updated"])]
    each: bool,
    /// With `--each`: how many of the runs at once, at most 200
    #[arg(long, value_name = "N", default_value_t = 16, requires = "each")]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=200))]
    at_once: usize,
}

impl Args {
    /// The steps that they say something about.
    fn named(&self) -> impl Iterator<Item = &String> {
        [&self.redo, &self.done, &self.rerun, &self.keep].into_iter().flatten()
    }

    /// Whether they say something about single steps.
    fn decides(&self) -> bool {
        self.named().next().is_some()
    }

    /// The flags that have the file as it is now taken over, with what was answered about it.
    fn taking_over(&self) -> String {
        let with = |name: &str, steps: &[String]| -> String {
            steps.iter().map(|step| flag(name, Some(step))).collect()
        };
        let updated = if self.updated { " --updated" } else { "" };
        format!("{updated}{}{}", with("rerun", &self.rerun), with("keep", &self.keep))
    }

    /// The steps that are to be done again.
    fn again(&self) -> Vec<&String> {
        self.redo.iter().chain(&self.rerun).collect()
    }
}

pub(super) fn run(args: &Args, global: &Global, world: World) -> Exit {
    done(resume(args, global, world))
}

fn resume(args: &Args, global: &Global, world: World) -> Result<Exit, Exit> {
    let Some(store) = state::existing(&world)? else {
        out::error("there is no run to go on with: nothing was ever run here");
        return Err(Exit::Usage);
    };
    let again = which::Again { until: args.walk.until.as_deref(), each: args.together.each };
    let run = match &args.run {
        Some(run) => state::find(&store, run)?,
        None => {
            which::run(&store, &again, &*asked(args, &world)).map_err(|exit| unnamed(args, exit))?
        }
    };
    if args.together.each {
        let (walk, yes, at_once) = (&args.walk, args.yes, args.together.at_once);
        return again::resume(&Wanted { run: &run, walk, yes, at_once }, store, global, world);
    }
    let _lock = lock(&world, &run, &holder(&world))?;
    let taken = take(store, &run, world)?;
    let Taken { store, entries, history, key, world } = taken;
    contradiction(("redo", &args.redo), ("done", &args.done))?;
    contradiction(("rerun", &args.rerun), ("keep", &args.keep))?;
    // beside the file as it is now the text the run began with is only compared with, if it can be
    let kept = (!args.updated).then(|| definition(&store, &history, &run, &world)).transpose()?;
    if let Some(kept) = &kept {
        answered(args, &history, kept, &run);
    }
    if let Some(exit) = over(&run, &history, args.decides(), &world) {
        if exit == Exit::Done {
            how_it_ended(&entries, global, &world);
        }
        return Ok(exit);
    }
    let mut texts = Vec::new();
    let (mut first, mut idle, mut added) = (Vec::new(), Vec::new(), Vec::new());
    let given = inputs(&history, &run, &key)?;
    let runbook = if let Some(kept) = kept {
        edited(&history, &run, args.walk.until.as_deref(), &world);
        kept
    } else {
        let (new, more) = updated::runbook(&history, &given, &world, args.trust)?;
        answered(args, &history, &new, &run);
        added = more;
        let old = taken::before(&store, &history, &world);
        let versions = match &old {
            Some(old) => Versions::new(old, &new),
            None => Versions::unread(&history.steps, &new),
        };
        doubted::settled(&versions, &history, args, &run)?;
        (first, idle) = updated::decide(&history, &versions, &run, &key, args)?;
        texts = super::run::texts(&new);
        new
    };
    args.walk.check(&runbook, &world)?;
    args.redo.iter().chain(&args.done).try_for_each(|step| known(&runbook, step))?;
    let session = Session::new(global, world, args.walk.until.as_deref());
    if args.updated {
        let asked = session.asked(args.yes);
        trust::require(&runbook, trust::Use::Run, args.trust, None, &session.world, &*asked)?;
    }
    let services = super::run::services(&session, args.yes, &args.walk, history.rehearsal);
    session.report.borrow_mut().past(&entries);
    let recorder = session.recorder(&run, history.last_seq, Box::new(Kept { store, texts }));
    added.extend(renewed_inputs(&runbook, (&history, &run, &key), &given, &session.world)?);
    if args.updated || !added.is_empty() {
        for (name, value) in &added {
            given.set(name, value.clone());
        }
        load::vars(&runbook, &given, &session.world)?;
    }
    let resumed = resumed(args.updated, &runbook, &run, &key, added)?;
    let decided = {
        let options = args.walk.options();
        let engine = Engine::new(&runbook, &services, &recorder, &key, history.clone(), options);
        decisions::decisions(args, &engine, &run)?
    };
    for answer in &idle {
        out::warning(answer);
    }
    stale::tell(&runbook, &history, &args.again(), &run, args.walk.until.as_deref());
    let before = std::iter::once(resumed).chain(first).chain(decided).collect();
    Ok(walk(
        &runbook,
        &services,
        &recorder,
        &key,
        history,
        before,
        &Direction::Forwards(args.walk.options()),
    ))
}

/// Who is asked which run is meant.
fn asked(args: &Args, world: &World) -> Box<dyn Terminal> {
    if world.person() && !args.yes { Box::new(Person) } else { Box::new(Nobody) }
}

/// Says so if the file is not what the run began with: the run goes on with that.
pub(super) fn edited(history: &History, run: &str, until: Option<&str>, world: &World) {
    let now = crate::library::find(&history.path, world);
    if now.is_err() {
        let path = &history.path;
        out::say(&format!("note: {path} is not there any more: the run goes on as it began"));
    }
    if now.is_ok_and(|now| digest(&now.text) != history.text) {
        out::say(&format!("note: {} has changed since this run began with it", history.path));
        let until = flag("until", until);
        out::hint(&format!("`runbook resume {run} --updated{until}` takes the file as it is now"));
    }
}

/// What is decided about a step of a run that is over is not dropped: the run must be named.
fn unnamed(args: &Args, exit: Exit) -> Exit {
    if exit != Exit::Done || !args.decides() {
        return exit;
    }
    let until = flag("until", args.walk.until.as_deref());
    out::hint(&format!(
        "to have a step of it done again, name the run: `runbook resume RUN --redo STEP{until}`"
    ));
    Exit::Usage
}

/// Says which answers come too late: what was answered is not asked again by itself.
fn answered(args: &Args, history: &History, runbook: &Runbook, run: &str) {
    let until = flag("until", args.walk.until.as_deref());
    for (step, answer) in &args.walk.said {
        let again = args.redo.contains(step) || args.rerun.contains(step);
        if again || history.undoing() || !matches!(history.status(step), Status::Done(_)) {
            continue;
        }
        let Some((_, def)) = runbook.performed(step) else { continue };
        // what is secret is not repeated, not even to be copied
        let answer = answer.as_ref().filter(|_| !def.action.secret());
        let answer = answer.map(|answer| format!("={answer}")).unwrap_or_default();
        out::warning(&format!("`{step}` was answered before: `--answer` changes nothing"));
        let (name, given) = (argument(step), format!("{step}{answer}"));
        let given = argument(&given);
        out::hint(&format!(
            "`runbook resume {run} --redo {name} --answer {given}{until}` asks it again"
        ));
    }
}

/// Runs that cannot go on. One that is done can if something is decided about a step of it.
pub(super) fn over(run: &str, history: &History, decided: bool, world: &World) -> Option<Exit> {
    if history.undoing() {
        let name = history.command_name(&world.here);
        let anew = format!("`runbook run {}` begins anew", argument(&name));
        if history.outcome == Some(Outcome::Undone) {
            out::error(&format!("run `{run}` was taken back"));
            out::hint(&anew);
        } else {
            out::error(&format!("run `{run}` was taken back, wholly or in part"));
            out::hint(&format!("`runbook undo {run}` goes on with that; {anew}"));
        }
        return Some(Exit::Usage);
    }
    if history.outcome == Some(Outcome::Done) && !decided {
        out::say(&format!("run `{run}` is done already: nothing is left to do"));
        return Some(Exit::Done);
    }
    None
}

/// Events are for programs, which are told the end of a run that is over as of one that comes to it.
fn how_it_ended(entries: &[Entry], global: &Global, world: &World) {
    let ended = entries.iter().rfind(|entry| matches!(entry.event, Event::Ended { .. }));
    if let (Some(ended), (Format::Jsonl, options)) = (ended, options(global, world)) {
        report::log(std::slice::from_ref(ended), Format::Jsonl, &options, &mut out::data());
    }
}

/// Refuses two flags that say the opposite of one step.
pub(super) fn contradiction(one: (&str, &[String]), other: (&str, &[String])) -> Result<(), Exit> {
    let Some(step) = one.1.iter().find(|step| other.1.contains(step)) else { return Ok(()) };
    let step = argument(step);
    out::error(&format!("`--{} {step}` and `--{} {step}` contradict each other", one.0, other.0));
    out::hint("leave one of them out; nothing was done");
    Err(Exit::Usage)
}

pub(super) fn resumed(
    updated: bool,
    runbook: &Runbook,
    run: &str,
    key: &Key,
    values: Vec<(String, Labeled)>,
) -> Result<Event, Exit> {
    let inputs = sealed_inputs(run, key, values)?;
    let text = updated.then(|| runbook.digest().to_owned());
    let steps = if updated { runbook.step_refs() } else { Arc::default() };
    let uses = if updated { super::run::uses(runbook) } else { BTreeMap::new() };
    let runbooks = if updated { super::run::used(runbook) } else { Vec::new() };
    Ok(Event::Resumed { undo: false, text, uses, runbooks, steps, inputs })
}
