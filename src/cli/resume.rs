//! `resume`: the same walk over a longer journal.

mod doubted;
mod questions;
mod renames;
mod stale;
mod taken;
mod updated;
mod versions;
mod which;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::inputs::Said;
use super::many::again::{self, Wanted};
use super::run::{Kept, WalkFlags, done, holder, known, lock};
use super::runs::options;
use super::session::{Direction, Session, broken_exit, walk};
use super::{Global, inputs, load, out, state, trust};
use crate::engine::Engine;
use crate::exit::Exit;
use crate::journal::event::{
    Decision, Entry, Event, Failure, How, Outcome, Skip, Stored, StoredMap,
};
use crate::journal::seal::Key;
use crate::plan::{History, ITEM, Status};
use crate::printable::{argument, flag};
use crate::report::{self, Format};
use crate::runbook::settle::renewed;
use crate::runbook::{Runbook, Save, StepDef, digest};
use crate::scope::Scope;
use crate::terminal::{Nobody, Person, Terminal};
use crate::value::{Json, Labeled};
use crate::world::World;
pub(super) use taken::{Taken, definition, take};
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
        decisions(args, &engine, &run)?
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

/// The inputs a run was given, opened.
pub(super) fn inputs(history: &History, run: &str, key: &Key) -> Result<Scope, Exit> {
    let known = Scope::default();
    for (name, stored) in &history.inputs {
        known.set(name, open(key, &format!("{run}/input/{name}"), stored)?);
    }
    Ok(known)
}

/// Values that a service took no longer, by input.
pub(super) fn refused(
    history: &History,
    run: &str,
    key: &Key,
) -> Result<BTreeMap<String, Vec<Json>>, Exit> {
    let mut refused = BTreeMap::new();
    for (name, values) in &history.refused {
        let label = format!("{run}/input/{name}");
        let values = values.iter().map(|stored| Ok(open(key, &label, stored)?.json));
        refused.insert(name.clone(), values.collect::<Result<Vec<_>, Exit>>()?);
    }
    Ok(refused)
}

/// Tokens whose sources give another value by now. A rehearsal takes none from the person.
pub(super) fn renewed_inputs(
    runbook: &Runbook,
    (history, run, key): (&History, &str, &Key),
    given: &Scope,
    world: &World,
) -> Result<Vec<(String, Labeled)>, Exit> {
    if history.rehearsal {
        return Ok(Vec::new());
    }
    let instead: Vec<String> = history.given.keys().cloned().collect();
    let renewed = renewed(runbook, given, &refused(history, run, key)?, &instead, world);
    for (name, _) in &renewed {
        say_renewed(name);
    }
    Ok(renewed)
}

/// Says that an input has another value than the run was given.
pub(super) fn say_renewed(name: &str) {
    out::say(&format!("note: input `{name}` has a new value by now: it is used from here on"));
}

/// Inputs as the journal keeps them.
pub(super) fn sealed_inputs(
    run: &str,
    key: &Key,
    values: Vec<(String, Labeled)>,
) -> Result<StoredMap, Exit> {
    let sealed = |(name, value): (String, Labeled)| {
        let stored = seal(key, &format!("{run}/input/{name}"), &value)?;
        Ok((name, stored))
    };
    values.into_iter().map(sealed).collect()
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

fn open(key: &Key, label: &str, stored: &Stored) -> Result<Labeled, Exit> {
    match stored {
        Stored::Plain(json) => Ok(Labeled::plain(json.clone())),
        Stored::Sealed(text) => {
            key.open(label, text).map(Labeled::secret).map_err(|error| state::unreadable(&error))
        }
    }
}

fn seal(key: &Key, label: &str, value: &Labeled) -> Result<Stored, Exit> {
    if !value.secret {
        return Ok(Stored::Plain(value.json.clone()));
    }
    key.seal(label, &value.json).map(Stored::Sealed).map_err(|error| {
        out::error(&error.to_string());
        Exit::Failed
    })
}

/// What a step did, under a name of its own: it is to be done anew, and what it made first is there
/// to be taken back all the same.
fn kept_for_undo(
    history: &History,
    step: &str,
    run: &str,
    key: &Key,
) -> Result<Option<Event>, Exit> {
    let Status::Done(done) = history.status(step) else { return Ok(None) };
    if !done.how.is_ours() {
        return Ok(None);
    }
    let (name, summary) = (history.name_for_earlier(step), format!("what `{step}` did so far"));
    updated::carried(step, done, &name, summary, run, key).map(Some)
}

/// How a step is done part by part, if it is, and what such a part is called.
fn parts(step: &str, def: &StepDef) -> Option<(&'static str, String)> {
    let is_item = step.ends_with(']');
    if def.for_each.is_some() && !is_item {
        Some(("for each item of a list", format!("{step}[0]")))
    } else if def.action.nested().is_some() {
        Some(("by the steps of another runbook", format!("{step}/STEP")))
    } else {
        None
    }
}

/// Refuses to do anew what is only done part by part: the parts would stay done.
fn refuse_whole(step: &str, def: &StepDef) -> Result<(), Exit> {
    let Some((parts, example)) = parts(step, def) else { return Ok(()) };
    out::error(&format!("`{step}` is done {parts}: there is nothing of its own to do again"));
    out::hint(&format!("name what is, as in `--redo {}`", argument(&example)));
    Err(Exit::Usage)
}

/// Refuses the number of an item, or of another performance of a step, that there is not.
fn there(engine: &Engine<'_>, step: &str, run: &str) -> Result<(), Exit> {
    let instead = engine.instead_of(step).map_err(|broken| broken_exit(&broken))?;
    let Some(instead) = instead else { return Ok(()) };
    out::error(&format!("run `{run}` has no `{step}`"));
    let own = step.rfind(['[', '@']).map_or(step, |at| &step[..at]);
    out::hint(&match instead.as_slice() {
        [] => format!("there is no more of it than `{own}`; nothing was done"),
        [first, .., last] if instead.len() > MANY => {
            format!("there are {}, `{first}` to `{last}`; nothing was done", instead.len())
        }
        _ => {
            let names: Vec<&str> = instead.iter().map(String::as_str).collect();
            format!("there is {}; nothing was done", crate::reader::list(&names))
        }
    });
    Err(Exit::Usage)
}

/// Names from which on only the first and the last of them are told.
const MANY: usize = 8;

/// What the flags say about single steps.
fn decisions(args: &Args, engine: &Engine<'_>, run: &str) -> Result<Vec<Event>, Exit> {
    args.named().try_for_each(|step| there(engine, step, run))?;
    let (whole, history) = (engine.runbook, &*engine.history.borrow());
    let mut events = Vec::new();
    for step in &args.redo {
        if matches!(history.status(step), Status::Skipped(Skip::Person(_))) {
            // nothing was done: it is asked as ever whether it is there already
            events.push(Event::decided(step, Decision::Rerun));
            continue;
        }
        if !matches!(history.status(step), Status::InDoubt { .. } | Status::Done(_)) {
            // Forced, it would not even be asked whether it is there already.
            let pending = matches!(history.status(step), Status::Pending);
            let is = if pending { "not done yet" } else { "not in doubt" };
            out::warning(&format!("step `{step}` is {is}: `--redo` changes nothing"));
            continue;
        }
        let Some((_, def)) = whole.performed(step) else { continue };
        if stale::earlier(whole, step) {
            out::warning(&format!(
                "`{step}` is what a step did before it was done again: `--redo` changes nothing"
            ));
            continue;
        }
        refuse_whole(step, def)?;
        if stale::makes_another(whole, history, (step, def), &args.again()) {
            events.extend(kept_for_undo(history, step, run, engine.key)?);
        }
        events.push(Event::decided(step, Decision::Redo));
    }
    unsaved(args, whole)?;
    let given = args.done.iter().filter_map(|id| whole.performed(id));
    let secrets: Vec<&str> = given
        .flat_map(|(_, step)| &step.saves)
        .filter_map(|save| save.secret.then_some(save.name.as_str()))
        .collect();
    inputs::warn_said("save", &args.save, |name| secrets.contains(&name));
    let given = inputs::whole("save", &args.save, &engine.services.world)?;
    for id in &args.done {
        let Some((_, step)) = whole.performed(id) else { continue };
        if matches!(history.status(id), Status::Done(done) if !done.gates_failed) {
            out::warning(&format!("step `{id}` is done already: `--done` changes nothing"));
            continue;
        }
        let saved = by_hand((id, step), (args, &given), engine, run)?;
        let (how, private, summary) = match history.status(id) {
            // The run did it; only its gates did not hold. It can still be taken back.
            Status::Done(done) => (done.how, done.private.clone(), "left as it is, as decided"),
            Status::InDoubt { private, .. } => {
                let item = private.get(ITEM).map(|item| (ITEM.to_owned(), item.clone()));
                (How::ByHand, item.into_iter().collect(), "done by hand")
            }
            _ => (How::ByHand, BTreeMap::new(), "done by hand"),
        };
        let (step, summary) = (id.clone(), summary.to_owned());
        let (took_ms, was) = (0, None);
        events.push(Event::Done { step, how, saved, summary, took_ms, private, was });
    }
    Ok(events)
}

/// Refuses a value that none of the steps done by hand would have saved.
fn unsaved(args: &Args, runbook: &Runbook) -> Result<(), Exit> {
    let steps = args.done.iter().filter_map(|id| runbook.performed(id));
    let names: Vec<&str> =
        steps.flat_map(|(_, step)| step.saves.iter().map(|save| save.name.as_str())).collect();
    for (name, _) in &args.save {
        if !names.contains(&name.as_str()) {
            out::error(&format!("no step named with `--done` saves `{name}`"));
            match crate::diag::closest(name, names.iter().copied()) {
                Some(near) => out::hint(&format!("did you mean `{near}`?")),
                None if names.is_empty() => out::hint("leave out `--save`: they save nothing"),
                None => out::hint(&format!("they save {}", crate::reader::list(&names))),
            }
            return Err(Exit::Usage);
        }
    }
    Ok(())
}

/// The values a step done by hand would have saved; those that later steps read must be given.
fn by_hand(
    (id, step): (&str, &StepDef),
    (args, given): (&Args, &[(String, String)]),
    engine: &Engine<'_>,
    run: &str,
) -> Result<StoredMap, Exit> {
    let needed = engine.runbook.needs(id);
    // A step that is done but for its gates has saved its values already.
    let mut saved = match engine.history.borrow().status(id) {
        Status::Done(done) => done.saved.iter().cloned().collect(),
        _ => StoredMap::new(),
    };
    let (mut missing, mut by_person) = (Vec::new(), Vec::new());
    for save in &step.saves {
        match given.iter().find(|(name, _)| *name == save.name) {
            Some((_, text)) => {
                let json = serde_json::from_str(text).unwrap_or_else(|_| Json::from(text.as_str()));
                let secret = engine.given_secret(id, save, &json);
                let secret = secret.map_err(|broken| broken_exit(&broken))?;
                let label = format!("{run}/{id}/{}", save.name);
                let value = Labeled { json, secret };
                saved.insert(save.name.clone(), seal(engine.key, &label, &value)?);
                by_person.push((save.name.as_str(), value));
            }
            None if saved.contains_key(&save.name) => {}
            None if needed.contains(&save.name.as_str()) => missing.push(save),
            None => {}
        }
    }
    if missing.is_empty() {
        let judged = engine.judge_given(id, &by_person).map_err(|broken| broken_exit(&broken))?;
        return judged.map(|()| saved).map_err(|failure| wrong_value(id, step, &failure));
    }
    out::error(&format!(
        "step `{id}` would have saved what later steps need: {}",
        crate::reader::list(&missing.iter().map(|save| save.name.as_str()).collect::<Vec<_>>())
    ));
    let value = |save: &Save| if save.secret { "" } else { "=VALUE" };
    let flags: Vec<String> =
        missing.iter().map(|save| format!("--save {}{}", save.name, value(save))).collect();
    let (id, until) = (argument(id), flag("until", engine.options.until.as_deref()));
    let file = args.taking_over();
    out::hint(&format!("`runbook resume {run}{file} --done {id} {}{until}`", flags.join(" ")));
    Err(Exit::Usage)
}

/// Says that what a person gave for a step does not satisfy its gates.
fn wrong_value(id: &str, def: &StepDef, failure: &Failure) -> Exit {
    out::error(&format!("what is given for step `{id}` cannot be: {}", failure.message));
    for detail in &failure.details {
        out::say(&format!("  {detail}"));
    }
    for hint in &failure.hints {
        out::hint(hint);
    }
    let (what, again) = match parts(id, def) {
        Some((_, part)) => ("a part of it", part),
        None => ("the step", id.to_owned()),
    };
    out::hint(&format!(
        "give what is really there, or have {what} done again with `--redo {}`; nothing was done",
        argument(&again)
    ));
    Exit::Usage
}
