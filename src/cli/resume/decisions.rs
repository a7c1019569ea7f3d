//! What the flags of `resume` say about single steps, as events: to be done again, or done by hand.

use std::collections::BTreeMap;

use super::super::session::broken_exit;
use super::super::{inputs, out};
use super::updated;
use super::values::seal;
use super::{Args, stale};
use crate::engine::Engine;
use crate::exit::Exit;
use crate::journal::event::{Decision, Event, Failure, How, Skip, StoredMap};
use crate::journal::seal::Key;
use crate::plan::{History, ITEM, Status};
use crate::printable::{argument, flag};
use crate::runbook::{Runbook, Save, StepDef};
use crate::value::{Json, Labeled};

/// What the flags say about single steps.
pub(super) fn decisions(args: &Args, engine: &Engine<'_>, run: &str) -> Result<Vec<Event>, Exit> {
    args.named().try_for_each(|step| there(engine, step, run))?;
    let mut events = Vec::new();
    for step in &args.redo {
        events.extend(again(step, args, engine, run)?);
    }
    unsaved(args, engine.runbook)?;
    let given = given(args, engine)?;
    for id in &args.done {
        events.extend(done(id, (args, &given), engine, run)?);
    }
    Ok(events)
}

/// What `--redo` says of a step.
fn again(step: &str, args: &Args, engine: &Engine<'_>, run: &str) -> Result<Vec<Event>, Exit> {
    let (whole, history) = (engine.runbook, &*engine.history.borrow());
    match history.status(step) {
        // nothing was done: it is asked as ever whether it is there already
        Status::Skipped(Skip::Person(_)) => return Ok(vec![Event::decided(step, Decision::Rerun)]),
        Status::InDoubt { .. } | Status::Done(_) => {}
        // Forced, it would not even be asked whether it is there already.
        other => {
            let pending = matches!(other, Status::Pending);
            let is = if pending { "not done yet" } else { "not in doubt" };
            out::warning(&format!("step `{step}` is {is}: `--redo` changes nothing"));
            return Ok(Vec::new());
        }
    }
    let Some((_, def)) = whole.performed(step) else { return Ok(Vec::new()) };
    if stale::earlier(whole, step) {
        out::warning(&format!(
            "`{step}` is what a step did before it was done again: `--redo` changes nothing"
        ));
        return Ok(Vec::new());
    }
    refuse_whole(step, def)?;
    let mut events = Vec::new();
    if stale::makes_another(whole, history, (step, def), &args.again()) {
        events.extend(kept_for_undo(history, step, run, engine.key)?);
    }
    events.push(Event::decided(step, Decision::Redo));
    Ok(events)
}

/// What `--save` gives, by name; a secret that stands in it for others to see is warned of.
fn given(args: &Args, engine: &Engine<'_>) -> Result<Vec<(String, String)>, Exit> {
    let steps = args.done.iter().filter_map(|id| engine.runbook.performed(id));
    let secrets: Vec<&str> = steps
        .flat_map(|(_, step)| &step.saves)
        .filter_map(|save| save.secret.then_some(save.name.as_str()))
        .collect();
    inputs::warn_said("save", &args.save, |name| secrets.contains(&name));
    inputs::whole("save", &args.save, &engine.services.world)
}

/// What `--done` says of a step.
fn done(
    id: &str,
    said: (&Args, &[(String, String)]),
    engine: &Engine<'_>,
    run: &str,
) -> Result<Option<Event>, Exit> {
    let history = &*engine.history.borrow();
    let Some((_, step)) = engine.runbook.performed(id) else { return Ok(None) };
    if matches!(history.status(id), Status::Done(done) if !done.gates_failed) {
        out::warning(&format!("step `{id}` is done already: `--done` changes nothing"));
        return Ok(None);
    }
    let saved = by_hand((id, step), said, engine, run)?;
    let (how, private, summary) = match history.status(id) {
        // The run did it; only its gates did not hold. It can still be taken back.
        Status::Done(done) => (done.how, done.private.clone(), "left as it is, as decided"),
        Status::InDoubt { private, .. } => {
            let item = private.get(ITEM).map(|item| (ITEM.to_owned(), item.clone()));
            (How::ByHand, item.into_iter().collect(), "done by hand")
        }
        _ => (How::ByHand, BTreeMap::new(), "done by hand"),
    };
    let (step, summary) = (id.to_owned(), summary.to_owned());
    Ok(Some(Event::Done { step, how, saved, summary, took_ms: 0, private, was: None }))
}

/// What a step did, under a name of its own: it is to be done anew, and what it made first is there
/// to be taken back all the same.
pub(super) fn kept_for_undo(
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
