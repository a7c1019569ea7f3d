//! A step that changes something: asked whether it is there, intended, performed, recorded.
//!
//! The intent is on disk before the effect begins, the outcome of a *once* step before
//! anything else happens. An intent without an outcome is in doubt: it is never repeated
//! silently.

use std::time::Duration;

use super::adopt::Found;
use super::attempt::Got;
use super::frame::Unit;
use super::{Durable, Engine, Flow};
use crate::journal::event::{Decision, Effect, Event, How, Outcome, Skip, StoredMap};
use crate::plan::{ITEM, Status};
use crate::printable::{argument, quoted};
use crate::runbook::Save;
use crate::step::{Again, Failure, Trouble, failure, judge};
use crate::terminal::{NoAnswer, Question, Terminal as _};
use crate::value::Json;

impl Engine<'_> {
    pub(super) async fn change(&self, unit: &Unit<'_>) -> Flow {
        self.begin(unit).await?;
        let began = self.now();
        let status = self.history.borrow().status(&unit.id).clone();
        if matches!(status, Status::Forced { .. } | Status::InDoubt { .. }) {
            self.warn_of_running(unit);
        }
        match status {
            Status::Forced { before, .. } => {
                let before = before.keys().any(|name| name != ITEM).then_some(before);
                self.perform(unit, began, before).await
            }
            Status::InDoubt { what, private } => self.doubtful(unit, began, what, private).await,
            Status::Done(done) => self.recheck(unit, began, done.how).await,
            Status::Pending | Status::Skipped(_) => self.fresh(unit, began).await,
        }
    }

    /// Says what an earlier walk started for a step, or to take it back, and did not see the end of, if
    /// that goes on.
    pub(super) fn warn_of_running(&self, unit: &Unit<'_>) {
        let none = std::collections::HashMap::new();
        let cx = self.cx(unit, true, &none, &|_| ());
        let mut left = unit.step.action.left_running(&cx);
        left.extend(unit.step.undo.iter().flat_map(|undo| undo.left_running(&cx)));
        left.sort_unstable();
        left.dedup();
        let pids: Vec<String> = left.iter().map(u32::to_string).collect();
        let processes = match pids.len() {
            0 => return,
            1 => "process",
            _ => "processes",
        };
        let message = format!(
            "what an earlier walk started for step `{}` is still running: {processes} {}",
            unit.id,
            pids.join(", ")
        );
        self.recorder.keep(Event::Warned { message });
    }

    /// Nothing has been done by this run; somebody else may have.
    async fn fresh(&self, unit: &Unit<'_>, began: Duration) -> Flow {
        match self.look(unit).await {
            Err(trouble) => self.fail(unit, began, trouble),
            Ok(None | Some(Found::Nothing)) => self.perform(unit, began, None).await,
            Ok(Some(Found::Same(object))) => {
                let decided = self.options.adopt || self.adopts(unit);
                match if decided { Asked::Go } else { self.use_it(unit, began)? } {
                    Asked::Stop(outcome) => Ok(Some(outcome)),
                    Asked::Go | Asked::Skip => {
                        self.adopt(unit, began, object, How::Unchanged).await
                    }
                }
            }
            Ok(Some(Found::Different(differs))) => {
                let details = differs
                    .iter()
                    .map(|(name, found, wanted)| {
                        let (found, wanted) = (quoted(found), quoted(wanted));
                        format!("{name}: there it is {found}, this run wants {wanted}")
                    })
                    .collect();
                let failure = failure("what it makes is there already, but different");
                let failure = Failure { details, compared: true, ..failure };
                let trouble = Trouble::Failed(failure, Again::No)
                    .hint("it is never taken over: change it there, or choose another name");
                let trouble = self.anew().into_iter().fold(trouble, Trouble::hint);
                self.fail(unit, began, trouble)
            }
        }
    }

    /// Whether what is there may be used: a person allowed it, or it was made by this step, as it is
    /// done after a failure in any case.
    fn adopts(&self, unit: &Unit<'_>) -> bool {
        let history = self.history.borrow();
        history.adopts(&unit.id) || unit.step.always && history.made(&unit.id)
    }

    /// An intent without an outcome: the world is asked, then the person.
    async fn doubtful(
        &self,
        unit: &Unit<'_>,
        began: Duration,
        what: String,
        before: StoredMap,
    ) -> Flow {
        match self.look(unit).await {
            Err(trouble) => self.fail(unit, began, trouble),
            Ok(Some(Found::Nothing)) => self.perform(unit, began, Some(before)).await,
            Ok(Some(Found::Same(object))) => self.adopt(unit, began, object, How::Adopted).await,
            Ok(Some(Found::Different(differs))) => Ok(Some(self.doubt(unit, what, differs))),
            Ok(None) if unit.step.effect == Effect::Repeatable => {
                self.perform(unit, began, Some(before)).await
            }
            Ok(None) => Ok(Some(self.doubt(unit, what, Vec::new()))),
        }
    }

    pub(super) fn doubt(
        &self,
        unit: &Unit<'_>,
        what: String,
        differs: Vec<(String, String, String)>,
    ) -> Outcome {
        let saves: Vec<String> =
            self.runbook.needs(&unit.id).into_iter().map(str::to_owned).collect();
        // what cannot be told is better not shown
        let is_secret =
            |save: &&Save| self.given_secret(&unit.id, save, &Json::Null).unwrap_or(true);
        let needed = unit.step.saves.iter().filter(|save| saves.contains(&save.name));
        let secret = needed.filter(is_secret).map(|save| save.name.clone()).collect();
        self.tell(Event::Doubt { step: unit.id.clone(), what, differs, saves, secret });
        Outcome::InDoubt
    }

    /// Done, but its gates did not hold: the world may have been mended since.
    /// Whose it is stays as it was: what was there before the run is not the run's by that.
    async fn recheck(&self, unit: &Unit<'_>, began: Duration, how: How) -> Flow {
        let how = if how == How::Unchanged { how } else { How::Adopted };
        match self.look(unit).await {
            Err(trouble) => self.fail(unit, began, trouble),
            Ok(Some(Found::Same(object))) => self.adopt(unit, began, object, how).await,
            Ok(_) => match judge(&unit.step.gates, &unit.scope, &self.services.redactor) {
                Err(failure) => self.fail(unit, began, self.done_but(unit, failure)),
                Ok(()) => Ok(None),
            },
        }
    }

    /// Intent, effect, outcome. After a doubt: with how things stood before the first attempt.
    async fn perform(&self, unit: &Unit<'_>, began: Duration, doubt: Option<StoredMap>) -> Flow {
        match self.confirmed(unit, began).await? {
            Asked::Go => {}
            Asked::Skip => return Ok(None),
            Asked::Stop(outcome) => return Ok(Some(outcome)),
        }
        let what = self.what(unit);
        let in_doubt = doubt.as_ref().map(|kept| self.private(&unit.id, kept)).transpose()?;
        let private = doubt.map_or_else(|| self.before(unit), Ok)?;
        let effect = unit.step.effect;
        loop {
            let (step, what, private) = (unit.id.clone(), what.clone(), private.clone());
            self.tell_as(Event::Intent { step, effect, what, private }, Durable::Now).await?;
            let trouble = match self.tried(unit, in_doubt.as_ref()).await {
                Ok(got) => {
                    let durable = outcome_durable(unit);
                    return self.finish_change(unit, began, got, None, durable).await;
                }
                Err(trouble) => trouble,
            };
            if let Err(trouble) = self.renew(unit, &*unit.step.action, trouble, true).await {
                return self.fail(unit, began, trouble);
            }
        }
    }

    /// How things stand before a step acts, as its intent keeps it.
    fn before(&self, unit: &Unit<'_>) -> Result<StoredMap, super::Broken> {
        let none = std::collections::HashMap::new();
        let before = unit.step.action.before(&self.cx(unit, false, &none, &|_| ()));
        let place = format!("{}.private", unit.id);
        let item = unit.item.iter().map(|item| (ITEM, item));
        self.stored_map(&place, before.iter().map(|(name, value)| (*name, value)).chain(item))
    }

    /// Says that a step is done, and what its gates say of that.
    pub(super) async fn finish_change(
        &self,
        unit: &Unit<'_>,
        began: Duration,
        got: Got,
        how: Option<How>,
        durable: Durable,
    ) -> Flow {
        let Err(failure) = judge(&unit.step.gates, &unit.scope, &self.services.redactor) else {
            self.done(unit, began, got, how, durable).await?;
            return Ok(None);
        };
        let done = self.done_event(unit, began, got, how)?;
        // Written down together: killed between the two, a resume would go on over the gate.
        self.recorder.hold();
        self.tell(done);
        let flow = self.fail(unit, began, self.done_but(unit, failure));
        self.recorder.together(durable).await?;
        flow
    }

    /// The effect is there, but a gate does not hold. Without `already` nothing would ever change
    /// that by itself.
    fn done_but(&self, unit: &Unit<'_>, failure: Failure) -> Trouble {
        let trouble = self.gate_failed(unit, failure);
        if unit.step.already.is_some() || self.history.borrow().rehearsal {
            return trouble;
        }
        let done = self.resumed(&format!("--done {}", argument(&unit.id)));
        let (part, it) = match unit.step.action.nested() {
            Some(_) => (format!("{}/STEP", unit.id), "one of its steps"),
            None => (unit.id.clone(), "it"),
        };
        let redo = self.resumed(&format!("--redo {}", argument(&part)));
        trouble.hint(format!(
            "it is done, and what it gave is kept: `{done}` leaves it so, `{redo}` does {it} again"
        ))
    }

    /// The command that goes on so, and no farther than this one.
    pub(super) fn resumed(&self, how: &str) -> String {
        format!("runbook resume {} {how}{}", self.recorder.run(), self.up_to())
    }

    fn there_already(&self, unit: &Unit<'_>) -> Trouble {
        let go_on = if self.history.borrow().rehearsal {
            "rehearse again with `--adopt`".to_owned()
        } else {
            format!("`{}`", self.resumed("--adopt"))
        };
        let mut there = failure("what it makes is there already, exactly as wanted");
        if let Some(before) = self.history.borrow().made_before(&unit.id) {
            there.details.push(format!(
                "this run did the step before, as `{before}`: that made it, if nobody else did"
            ));
            there.hints.push(format!(
                "to use it as it is, {go_on}; to have it made anew, first take it away there, or change the name"
            ));
        } else {
            there.hints.push(format!("to use it, {go_on}; else change the name"));
        }
        there.hints.extend(self.anew());
        Trouble::Failed(there, Again::No)
    }

    /// In a terminal: whether to use what is there.
    fn use_it(&self, unit: &Unit<'_>, began: Duration) -> Result<Asked, super::Broken> {
        let question = Question {
            ask: format!(
                "What step `{}` makes is there already, exactly as wanted. What now?",
                unit.id
            ),
            choices: vec![USE.to_owned(), STOP.to_owned()],
            default: Some(USE.to_owned()),
            ..Question::default()
        };
        match self.asked(&question) {
            Ok(answer) if answer == USE => {
                let event = Event::decided(&unit.id, Decision::Adopt);
                self.tell(event);
                Ok(Asked::Go)
            }
            Err(NoAnswer::Interrupted) => Ok(Asked::Stop(Outcome::Interrupted)),
            _ => {
                let outcome = self.fail(unit, began, self.there_already(unit))?;
                Ok(Asked::Stop(outcome.unwrap_or(Outcome::Failed)))
            }
        }
    }

    fn asked(&self, question: &Question) -> Result<String, NoAnswer> {
        let valid = std::rc::Rc::new(|answer: &str| {
            if answer.trim().is_empty() { Err("a word or two, please".to_owned()) } else { Ok(()) }
        });
        self.services.person().ask(question, valid)
    }

    /// With `--step`: asks before the effect.
    async fn confirmed(&self, unit: &Unit<'_>, began: Duration) -> Result<Asked, super::Broken> {
        if !self.options.step {
            return Ok(Asked::Go);
        }
        // What may have been done before cannot be skipped: `undo` would not see it.
        let status = self.history.borrow().status(&unit.id).clone();
        let new = matches!(status, Status::Pending | Status::Skipped(_));
        let choices = ["do it", "show it", "skip it", "stop"].into_iter();
        let choices: Vec<String> =
            choices.filter(|choice| new || *choice != "skip it").map(str::to_owned).collect();
        let unshown = || {
            let title = self.title(unit, false).map(|title| title + ", ").unwrap_or_default();
            format!("{title}{} (cannot be shown)", unit.step.kind)
        };
        let what = self.said(unit).unwrap_or_else(unshown);
        loop {
            let question = Question {
                ask: format!("{}: {what}", unit.id),
                choices: choices.clone(),
                default: Some("do it".to_owned()),
                ..Question::default()
            };
            match self.asked(&question).as_deref() {
                Ok("do it") => return Ok(Asked::Go),
                Ok("show it") => self.show(unit),
                Ok("skip it") => return self.skipped_by_person(unit).await,
                Ok(_) => return Ok(Asked::Stop(Outcome::Stopped)),
                Err(NoAnswer::NoTerminal) => {
                    let trouble =
                        Trouble::failed("`--step` asks before every effect, and nobody is there");
                    let outcome = self.fail(unit, began, trouble)?.unwrap_or(Outcome::Failed);
                    return Ok(Asked::Stop(outcome));
                }
                Err(_) => return Ok(Asked::Stop(Outcome::Interrupted)),
            }
        }
    }

    fn show(&self, unit: &Unit<'_>) {
        let lines = self.details(unit);
        let markdown = format!("```\n{}\n{}\n```", self.what(unit), lines.join("\n"));
        self.recorder.show(Event::Note { step: unit.id.clone(), markdown });
    }

    async fn skipped_by_person(&self, unit: &Unit<'_>) -> Result<Asked, super::Broken> {
        let question = Question { ask: "Why is it skipped?".to_owned(), ..Question::default() };
        match self.asked(&question) {
            Ok(reason) => {
                let why = Skip::Person(reason);
                self.tell_as(Event::Skipped { step: unit.id.clone(), why }, Durable::Now).await?;
                Ok(Asked::Skip)
            }
            Err(_) => Ok(Asked::Stop(Outcome::Interrupted)),
        }
    }
}

/// When an outcome must be on disk. A repeatable one may be lost: doing it again changes
/// nothing. A *once* outcome that `already` can find again shares the sync of the next intent,
/// or of the end; one that nothing can find again gets a sync of its own.
fn outcome_durable(unit: &Unit<'_>) -> Durable {
    match (unit.step.effect, &unit.step.already) {
        (Effect::Once, None) => Durable::Now,
        (Effect::Once, Some(_)) => Durable::Written,
        _ => Durable::Soon,
    }
}

const USE: &str = "use it";
const STOP: &str = "stop, to change the name or look first";

enum Asked {
    Go,
    Skip,
    Stop(Outcome),
}
