//! `resume --updated`: what the edited file changes about steps that are finished.

mod outdated;

use super::super::run::known;
use super::super::{load, out};
use super::Args;
use super::decisions::kept_for_undo;
use super::questions::{Keep, Question, Stands, finished, parts, questions, stands};
use super::values::{open, seal};
use super::versions::Versions;
use crate::exit::Exit;
use crate::journal::event::{Decision, Event, Skip};
use crate::journal::names::{above, part};
use crate::journal::seal::Key;
use crate::plan::{DoneStep, History, Status};
use crate::printable::{argument, flag};
use crate::reader::list;
use crate::runbook::Runbook;
use crate::runbook::settle::{self, Refused};
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

/// Turns the person's answers into events, and says which of them change nothing; whatever is not
/// answered is named.
pub(super) fn decide(
    history: &History,
    versions: &Versions<'_>,
    run: &str,
    key: &Key,
    args: &Args,
) -> Result<(Vec<Event>, Vec<String>), Exit> {
    let (rerun, keep) = (&args.rerun, &args.keep);
    let new = versions.new;
    let questions = questions(history, versions);
    let asked = |step: &String| questions.iter().any(|question| question.step == *step);
    rerun.iter().chain(keep).filter(|step| !asked(step)).try_for_each(|step| known(new, step))?;
    let mut open_questions = Vec::new();
    let mut so_far = SoFar { history: history.clone(), events: Vec::new() };
    let redo = |history: &History, step: &str, only_list: bool| -> Result<Vec<Event>, Exit> {
        let parts = if only_list { vec![step.to_owned()] } else { parts(history, new, step) };
        let events = parts.iter().map(|part| again(history, versions, part, run, key));
        Ok(events.collect::<Result<Vec<_>, Exit>>()?.concat())
    };
    for question in in_turn(&questions) {
        let step = &question.step;
        let by_name = |list: &[String]| list.contains(step);
        // who answers for a step answers for what is inside of it
        let around =
            |list: &[String]| above(step).find(|around| list.iter().any(|one| one == around));
        if above(step).any(|around| anew(around, &questions, rerun)) {
            continue;
        }
        let with_all = around(rerun).filter(|around| finished(history, around) && !by_name(keep));
        if question.can_rerun && by_name(rerun) {
            if leaves_its_name(question, &questions) {
                so_far.add(kept(&so_far.history, (versions, question), run, key)?);
            }
            so_far.add(redo(&so_far.history, step, question.only_list)?);
        } else if question.can_rerun && with_all.is_some() {
            // what was done of it is among all that is done again
            let new = stands(history, step).is_none();
            so_far.add(if new { redo(&so_far.history, step, false)? } else { Vec::new() });
        } else if by_name(keep) || around(keep).is_some() {
            so_far.add(kept(&so_far.history, (versions, question), run, key)?);
        } else {
            open_questions.push(question);
        }
    }
    if !open_questions.is_empty() {
        open_questions.sort_by_key(|open| questions.iter().position(|one| one.step == open.step));
        return Err(unanswered(&open_questions, args, run));
    }
    let mut idle = Vec::new();
    // What is done may be wanted again although the edit did not touch it.
    for step in rerun.iter().filter(|step| !asked(step)) {
        let wanted = |history| matches!(stands(history, step), Some(Stands::Over | Stands::Half));
        if wanted(&so_far.history) {
            so_far.add(redo(&so_far.history, step, false)?);
        } else if !wanted(history) {
            idle.push(format!("step `{step}` is not done: `--rerun` changes nothing"));
        }
    }
    let inside =
        |step: &String| questions.iter().any(|one| above(&one.step).any(|one| one == step));
    for step in keep.iter().filter(|step| !asked(step) && !inside(step)) {
        idle.push(format!("nothing is asked about `{step}`: `--keep` changes nothing"));
    }
    Ok((so_far.events, idle))
}

/// Says what is asked and was not answered.
fn unanswered(questions: &[&Question], args: &Args, run: &str) -> Exit {
    out::error("the file was edited where this run is finished already:");
    for question in questions {
        let step = argument(&question.step);
        let answers = if question.can_rerun {
            format!("`--rerun {step}` or `--keep {step}`")
        } else {
            format!("`--keep {step}`")
        };
        out::say(&format!("  {}  {}; answer {answers}", question.step, question.what));
    }
    out::hint(&format!(
        "`runbook resume {run} --updated{}` with these answers goes on; nothing was done",
        flag("until", args.walk.until.as_deref())
    ));
    Exit::Usage
}

/// What is decided so far, and how the run stands with it.
struct SoFar {
    history: History,
    events: Vec<Event>,
}

impl SoFar {
    fn add(&mut self, events: Vec<Event>) {
        for event in &events {
            self.history.take(event);
        }
        self.events.extend(events);
    }
}

/// Questions so that a step leaves its name before another takes it.
fn in_turn(questions: &[Question]) -> Vec<&Question> {
    let leaves = |step: &str| {
        let from = |one: &&Question| matches!(&one.keep, Keep::Renamed(from) if from == step);
        questions.iter().find(from).map(|one| one.step.as_str())
    };
    let hops = |step: &str| {
        let mut at = step;
        let next = std::iter::from_fn(|| {
            at = leaves(at)?;
            Some(())
        });
        next.take(questions.len()).count()
    };
    // what is inside of a step goes with it
    let after = |question: &&Question| {
        let around = above(&question.step).map(hops).max().unwrap_or_default();
        around.max(hops(&question.step))
    };
    let mut questions: Vec<&Question> = questions.iter().collect();
    questions.sort_by_key(after);
    questions
}

/// Whether all of a step is performed anew, while what it did stays under the name it had.
fn anew(step: &str, questions: &[Question], rerun: &[String]) -> bool {
    let renamed = |one: &Question| one.step == step && matches!(one.keep, Keep::Renamed(_));
    questions.iter().any(renamed) && rerun.iter().any(|one| one == step)
}

/// Whether what a step did must not stay under its old name, which another step takes.
fn leaves_its_name(question: &Question, questions: &[Question]) -> bool {
    let Keep::Renamed(from) = &question.keep else { return false };
    questions.iter().any(|one| one.step == *from && matches!(one.keep, Keep::Renamed(_)))
}

/// A step is performed again. What it did is kept to be taken back: doing it again may fail, or make
/// another thing.
fn again(
    history: &History,
    versions: &Versions<'_>,
    step: &str,
    run: &str,
    key: &Key,
) -> Result<Vec<Event>, Exit> {
    let made = matches!(history.status(step), Status::Done(done) if done.effect.is_some());
    let kept = match versions.new.performed(step).filter(|_| made) {
        Some(_) => kept_for_undo(history, step, run, key)?,
        None => None,
    };
    let mut outdated = outdated::outdated(history, versions, (step, step));
    if let Some(own) = outdated.iter_mut().find(|id| *id == step)
        && let Some(Event::Done { step: name, .. }) = &kept
    {
        own.clone_from(name);
    }
    let decided = Event::Decided { step: step.to_owned(), decision: Decision::Rerun, outdated };
    Ok(kept.into_iter().chain([decided]).collect())
}

/// Leaves a step as it is: done as it was, under its new name, or left out.
fn kept(
    history: &History,
    (versions, question): (&Versions<'_>, &Question),
    run: &str,
    key: &Key,
) -> Result<Vec<Event>, Exit> {
    let step = &question.step;
    match &question.keep {
        // what it did has left with its name: the step of this name is a new one
        Keep::AsItIs if stands(history, step).is_none() => Ok(vec![left_out(step)]),
        Keep::AsItIs => {
            let outdated = outdated::outdated(history, versions, (step, step));
            Ok(vec![Event::Decided { step: step.clone(), decision: Decision::Keep, outdated }])
        }
        Keep::Renamed(from) if stands(history, from).is_some() => {
            let mut events = renamed(history, versions.old, (from, step), run, key)?;
            let outdated = outdated::outdated(history, versions, (from, step));
            if !outdated.is_empty() {
                let (step, decision) = (step.clone(), Decision::Keep);
                events.push(Event::Decided { step, decision, outdated });
            }
            Ok(events)
        }
        Keep::Renamed(_) | Keep::LeftOut => Ok(vec![left_out(step)]),
    }
}

fn left_out(step: &str) -> Event {
    let why = Skip::Person("inserted where the run was finished already".to_owned());
    Event::Skipped { step: step.to_owned(), why }
}

/// What a step did, with what its items and the steps inside it did, under its new name.
fn renamed(
    history: &History,
    old: &Runbook,
    (from, to): (&str, &str),
    run: &str,
    key: &Key,
) -> Result<Vec<Event>, Exit> {
    let mut events = Vec::new();
    for id in &history.order {
        if let (Some(rest), Status::Done(done)) = (part(id, from), history.status(id)) {
            let summary = format!("done as `{id}`");
            let mut event = carried(id, done, &format!("{to}{rest}"), summary, run, key)?;
            if let Event::Done { was, .. } = &mut event {
                *was = Some(id.clone());
            }
            events.push(event);
        }
    }
    for id in parts(history, old, from) {
        if let (Some(rest), Status::Skipped(why)) = (part(&id, from), history.status(&id)) {
            events.push(Event::Skipped { step: format!("{to}{rest}"), why: why.clone() });
        }
    }
    Ok(events)
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
        was: None,
    })
}
