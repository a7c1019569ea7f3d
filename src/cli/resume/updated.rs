//! `resume --updated`: what the edited file changes about steps that are finished.

use super::super::run::known;
use super::super::{load, out};
use super::{Args, kept_for_undo, open, seal, stale};
use crate::exit::Exit;
use crate::journal::event::{Decision, Event, Skip};
use crate::journal::seal::Key;
use crate::plan::{DoneStep, History, Status};
use crate::printable::flag;
use crate::reader::list;
use crate::runbook::settle::{self, Refused};
use crate::runbook::{Runbook, StepDef};
use crate::scope::Scope;
use crate::value::Labeled;
use crate::world::World;

/// The file as it is now, and values for the inputs it has and the run did not.
pub(super) fn runbook(
    history: &History,
    known: &Scope,
    world: &World,
    trust: bool,
) -> Result<(Runbook, Vec<(String, Labeled)>), Exit> {
    let new = load::load_trusting(&history.path, world, trust)?;
    let wrong = |what: &str| {
        out::error(&format!(
            "{} asks for inputs that this run does not have: {what}",
            history.path
        ));
        out::hint("give them a default or a source in the file, or begin a new run");
        Exit::Usage
    };
    match settle::added(&new, known, world) {
        Ok(added) => Ok((new, added)),
        Err(Refused::Wrong(messages)) => Err(wrong(&messages.join("; "))),
        Err(Refused::Missing(missing)) => {
            let names: Vec<&str> = missing.iter().map(|one| one.name.as_str()).collect();
            Err(wrong(&list(&names)))
        }
        Err(Refused::Interrupted) => Err(Exit::Interrupted),
    }
}

/// One thing about a finished part of the run that the edit changes.
struct Question<'a> {
    step: &'a str,
    what: String,
    can_rerun: bool,
}

/// Turns the person's answers into events; whatever is not answered is named.
pub(super) fn decide(
    history: &History,
    new: &Runbook,
    run: &str,
    key: &Key,
    args: &Args,
) -> Result<Vec<Event>, Exit> {
    let (rerun, keep) = (&args.rerun, &args.keep);
    let questions = questions(history, new);
    let asked = |step: &String| questions.iter().any(|question| question.step == step);
    rerun.iter().chain(keep).filter(|step| !asked(step)).try_for_each(|step| known(new, step))?;
    let mut open_questions = Vec::new();
    // A finished step may be wanted again although the edit did not touch it.
    let untouched = rerun.iter().filter(|step| !asked(step) && finished(history, step));
    let mut events = Vec::new();
    for step in untouched {
        events.extend(again(history, new, (step, args), run, key)?);
    }
    for question in &questions {
        let named = |list: &[String]| list.iter().any(|step| step == question.step);
        if named(rerun) && question.can_rerun {
            events.extend(again(history, new, (question.step, args), run, key)?);
        } else if named(keep) {
            events.push(kept(history, new, question.step, run, key)?);
        } else {
            open_questions.push(question);
        }
    }
    if open_questions.is_empty() {
        return Ok(events);
    }
    out::error("the file was edited where this run is finished already:");
    for question in &open_questions {
        let answers = if question.can_rerun {
            format!("`--rerun {0}` or `--keep {0}`", question.step)
        } else {
            format!("`--keep {}`", question.step)
        };
        out::say(&format!("  {}  {}; answer {answers}", question.step, question.what));
    }
    out::hint(&format!(
        "`runbook resume {run} --updated{}` with these answers goes on; nothing was done",
        flag("until", args.walk.until.as_deref())
    ));
    Err(Exit::Usage)
}

/// A step is performed again. What it did stays to be taken back, unless doing it again makes the
/// same thing, and its one undo takes that back.
fn again(
    history: &History,
    new: &Runbook,
    (step, args): (&str, &Args),
    run: &str,
    key: &Key,
) -> Result<Vec<Event>, Exit> {
    let made = match history.status(step) {
        Status::Done(done) => done.effect,
        _ => None,
    };
    let another = |def: &&StepDef| {
        def.undo.is_none() || stale::makes_another(new, history, (step, def), &args.again())
    };
    let kept = match new.step(step).filter(|def| made.is_some() && another(def)) {
        Some(_) => kept_for_undo(history, step, run, key)?,
        None => None,
    };
    let decided = Event::Decided { step: step.to_owned(), decision: Decision::Rerun };
    Ok(kept.into_iter().chain([decided]).collect())
}

/// Says that what a step reads was edited.
pub(super) fn reads_edited(names: &[String]) -> String {
    let were = if names.len() == 1 { "was" } else { "were" };
    format!("{}, which it reads, {were} edited since", names.join(", "))
}

fn questions<'a>(history: &'a History, new: &'a Runbook) -> Vec<Question<'a>> {
    let cursor = new.steps.iter().rposition(|step| finished(history, &step.id));
    let mut questions = Vec::new();
    for (index, step) in new.steps.iter().enumerate() {
        let old = history.steps.iter().find(|known| known.id == step.id);
        let what = match (old, renamed_from(history, new, &step.digest)) {
            (Some(_), _)
                if done_digest(history, &step.id).is_some_and(|digest| digest != step.digest) =>
            {
                "is done, and was edited since".to_owned()
            }
            (None, Some(from)) => {
                format!("is new, and reads like the finished step `{from}`: renamed?")
            }
            (None, None) if cursor.is_some_and(|cursor| index < cursor) => {
                "is new, before steps that are finished".to_owned()
            }
            _ => continue,
        };
        questions.push(Question { step: &step.id, what, can_rerun: true });
    }
    let removed = history
        .steps
        .iter()
        .filter(|old| new.step(&old.id).is_none() && finished(history, &old.id));
    let removed = removed.filter(|old| {
        !new.steps.iter().any(|step| is_new(history, &step.id) && step.digest == old.digest)
    });
    questions.extend(removed.map(|old| Question {
        step: &old.id,
        what: "is done, and is gone from the file: what it did stays".to_owned(),
        can_rerun: false,
    }));
    questions
}

fn finished(history: &History, step: &str) -> bool {
    matches!(history.status(step), Status::Done(_) | Status::Skipped(_))
}

fn is_new(history: &History, step: &str) -> bool {
    history.steps.iter().all(|known| known.id != step)
}

fn done_digest<'a>(history: &'a History, step: &str) -> Option<&'a str> {
    match history.status(step) {
        Status::Done(done) => Some(&done.digest),
        _ => None,
    }
}

/// A finished step that is gone from the file but reads exactly like this one.
fn renamed_from<'a>(history: &'a History, new: &Runbook, digest: &str) -> Option<&'a str> {
    let gone = history
        .steps
        .iter()
        .filter(|old| new.step(&old.id).is_none() && finished(history, &old.id));
    gone.map(|old| (old.id.as_str(), old.digest.as_str()))
        .find(|(_, known)| *known == digest)
        .map(|(id, _)| id)
}

/// Leaves a step as it is: done as it was, under its new name, or left out.
fn kept(history: &History, new: &Runbook, step: &str, run: &str, key: &Key) -> Result<Event, Exit> {
    if !is_new(history, step) {
        return Ok(Event::Decided { step: step.to_owned(), decision: Decision::Keep });
    }
    let renamed = new.step(step).and_then(|def| renamed_from(history, new, &def.digest));
    match renamed.map(|from| (from, history.status(from))) {
        Some((from, Status::Done(done))) => {
            carried(from, done, step, format!("done as `{from}`"), run, key)
        }
        _ => Ok(Event::Skipped {
            step: step.to_owned(),
            why: Skip::Person("inserted where the run was finished already".to_owned()),
        }),
    }
}

/// What a step did, under another name.
pub(super) fn carried(
    from: &str,
    done: &DoneStep,
    to: &str,
    summary: String,
    run: &str,
    key: &Key,
) -> Result<Event, Exit> {
    let reseal = |place: &str, values: &crate::journal::event::StoredMap| {
        values
            .iter()
            .map(|(name, stored)| {
                let value = open(key, &format!("{run}/{from}{place}/{name}"), stored)?;
                Ok((name.clone(), seal(key, &format!("{run}/{to}{place}/{name}"), &value)?))
            })
            .collect::<Result<_, Exit>>()
    };
    Ok(Event::Done {
        step: to.to_owned(),
        how: done.how,
        saved: reseal("", &done.saved.iter().cloned().collect())?,
        summary,
        took_ms: 0,
        private: reseal(".private", &done.private)?,
    })
}
