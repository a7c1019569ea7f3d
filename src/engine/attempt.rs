//! Performing an action: attempts, retries, polling, and what is saved of the answer.

use std::collections::HashMap;
use std::time::Duration;

use super::frame::Unit;
use super::renew::unwritten;
use super::{Broken, Durable, Engine, Private};
use crate::journal::event::{Effect, Event, How, StoredMap};
use crate::jq;
use crate::plan::ITEM;
use crate::step::connection::named;
use crate::step::gate::values;
use crate::step::jq::{one, reads_secret};
use crate::step::retry::Retry;
use crate::step::{Again, Answer, Cx, Sight, Step, Trouble};
use crate::value::Labeled;

/// An answer, and what was saved of it.
pub(super) struct Got {
    pub(super) answer: Answer,
    pub(super) saved: Vec<(String, Labeled)>,
}

/// How things stood before a step that is in doubt, opened.
pub(super) type Before = HashMap<String, Labeled>;

impl Engine<'_> {
    /// A read: tried again as its retry says, polled as its `until` says.
    pub(super) async fn read(&self, unit: &Unit<'_>) -> Result<Got, Trouble> {
        let Some(until) = &unit.step.until else { return self.look_up(unit).await };
        let began = self.now();
        for attempt in 1.. {
            let got = self.look_up(unit).await;
            let so_far = match &got {
                Ok(_) if until.that.holds(&*unit.scope)? => return got,
                Ok(_) => until.what.as_ref().map_or_else(
                    || format!("waiting until {}", until.that.source().trim()),
                    |what| format!("waiting for {what}"),
                ),
                // A failure has had its retries; polling is for answers that are not there yet.
                Err(_) => return got,
            };
            let spent = self.now().saturating_sub(began);
            if spent + until.every > until.limit {
                let message = format!(
                    "gave up {so_far}: another look would come after the limit of {:?}",
                    until.limit
                );
                let compared = values(&until.that, &unit.scope, &self.services.redactor);
                return Err(Trouble::detailed(message, compared));
            }
            self.pause(unit, attempt, so_far, until.every, true).await?;
        }
        Err(Trouble::failed("polled too often"))
    }

    /// A read with its retries; once more if what it sends could be renewed.
    async fn look_up(&self, unit: &Unit<'_>) -> Result<Got, Trouble> {
        loop {
            match self.tried(unit, None).await {
                Ok(got) => return Ok(got),
                Err(trouble) => self.renew(unit, &*unit.step.action, trouble, false).await?,
            }
        }
    }

    /// One action with its retries: a *once* step is repeated only if nothing was done.
    pub(super) async fn tried(
        &self,
        unit: &Unit<'_>,
        doubt: Option<&Before>,
    ) -> Result<Got, Trouble> {
        let none = HashMap::new();
        let trace = self.trace(unit);
        let cx = self.cx(unit, doubt.is_some(), doubt.unwrap_or(&none), &trace);
        let retry = unit.step.retry.as_ref().or_else(|| shared(&cx, &*unit.step.action));
        self.retried(&cx, unit, retry, unit.step.effect, async || self.once(&cx, unit).await).await
    }

    /// Does something until it succeeds or its retry gives up. Once an attempt may have done it, a
    /// failure of a later one leaves that open.
    pub(super) async fn retried<T>(
        &self,
        cx: &Cx<'_>,
        unit: &Unit<'_>,
        retry: Option<&Retry>,
        effect: Effect,
        act: impl AsyncFn() -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let (mut attempt, mut doubt) = (1, false);
        loop {
            let trouble = match act().await {
                Ok(got) => return Ok(got),
                Err(trouble) => trouble.doubtful(doubt),
            };
            doubt = trouble.leaves_doubt();
            let next = retry.unwrap_or(&Retry::NEVER).next(cx, effect, attempt, trouble);
            let (wait, message) = next?;
            let paused = self.pause(unit, attempt, message, wait, false).await;
            paused.map_err(|trouble| trouble.doubtful(doubt))?;
            attempt += 1;
        }
    }

    async fn pause(
        &self,
        unit: &Unit<'_>,
        attempt: u32,
        message: String,
        wait: Duration,
        polling: bool,
    ) -> Result<(), Trouble> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let step = unit.id.clone();
        let event = Event::Retrying { step, attempt, message, wait_ms, polling };
        let said = self.recorder.say(event, Durable::Written).await;
        said.map_err(|error| unwritten(error.into()))?;
        if !self.services.world.clock.skip(wait) {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    async fn once(&self, cx: &Cx<'_>, unit: &Unit<'_>) -> Result<Got, Trouble> {
        let answer = self.act(unit, &*unit.step.action, cx).await?;
        self.services.see(&unit.id, Sight::Answer, &answer.input);
        let saved =
            self.save(cx, unit, &answer).map_err(|trouble| unreadable(unit, &answer, trouble))?;
        Ok(Got { answer, saved })
    }

    /// Runs the `save` programs over an answer and binds what they give.
    pub(super) fn save(
        &self,
        cx: &Cx<'_>,
        unit: &Unit<'_>,
        answer: &Answer,
    ) -> Result<Vec<(String, Labeled)>, Trouble> {
        let mut kept = Vec::with_capacity(unit.step.saves.len());
        for save in &unit.step.saves {
            let value = match save.program {
                None => answer.input.clone(),
                Some(program) => one(cx, program, &answer.locals, answer.input.clone())
                    .map_err(|trouble| at(trouble, &save.name))?,
            };
            let joined = save.program.is_some_and(|program| reads_secret(cx, program));
            let json =
                jq::to_json(&value).map_err(|error| Trouble::failed(cx.mask(&error.message)))?;
            let secret = save.is_secret(answer.secret || joined, &json, &self.services.redactor);
            let value = Labeled { json, secret };
            self.know(&unit.scope, &save.name, value.clone());
            kept.push((save.name.clone(), value));
        }
        Ok(kept)
    }

    /// Says that a step is done.
    pub(super) async fn done(
        &self,
        unit: &Unit<'_>,
        began: Duration,
        got: Got,
        how: Option<How>,
        durable: Durable,
    ) -> Result<(), Broken> {
        if got.answer.revealed {
            self.recorder.sync().await?;
        }
        let done = self.done_event(unit, began, got, how)?;
        self.tell_as(done, durable).await
    }

    /// The event that says so; its note is said before it.
    pub(super) fn done_event(
        &self,
        unit: &Unit<'_>,
        began: Duration,
        got: Got,
        how: Option<How>,
    ) -> Result<Event, Broken> {
        let id = unit.id.clone();
        if let Some(markdown) = got.answer.note {
            let _lifted = got.answer.revealed.then(|| self.services.redactor.lift());
            self.recorder.keep(Event::Note { step: id.clone(), markdown });
        }
        let saved =
            self.stored_map(&id, got.saved.iter().map(|(name, value)| (name.as_str(), value)))?;
        let place = format!("{id}.private");
        let item = unit.item.iter().map(|item| (ITEM, item));
        let probed = self.probed.borrow_mut().remove(&id).unwrap_or_default();
        let private = together(probed, got.answer.private);
        let private = private.iter().map(|(name, value)| (*name, value));
        let private = self.stored_map(&place, private.chain(item))?;
        let own = if got.answer.unchanged { How::Unchanged } else { How::Performed };
        Ok(Event::Done {
            step: id,
            how: how.unwrap_or(own),
            saved,
            summary: self.services.redactor.mask(&got.answer.summary),
            took_ms: self.took(began),
            private,
            was: None,
        })
    }

    pub(super) fn stored_map<'v>(
        &self,
        place: &str,
        values: impl Iterator<Item = (&'v str, &'v Labeled)>,
    ) -> Result<StoredMap, Broken> {
        values
            .map(|(name, value)| Ok((name.to_owned(), self.stored(place, name, value)?)))
            .collect()
    }
}

/// What a look-up left and what the step itself did: lists of one name are one list.
fn together(probed: Private, mut own: Private) -> Private {
    for (name, mut before) in probed {
        match own.iter_mut().find(|(known, _)| *known == name) {
            None => own.push((name, before)),
            Some((_, value)) => {
                if let (Some(first), Some(then)) =
                    (before.json.as_array_mut(), value.json.as_array_mut())
                {
                    first.append(then);
                    *value = before;
                }
            }
        }
    }
    own
}

/// What the connection of an action says on trying again.
pub(super) fn shared<'a>(cx: &Cx<'a>, action: &dyn Step) -> Option<&'a Retry> {
    named(cx.connections, action.connection()?)?.retry.as_ref()
}

fn at(trouble: Trouble, name: &str) -> Trouble {
    match trouble {
        Trouble::Failed(failure, again) => {
            let message = format!("cannot save `{name}`: {}", failure.message);
            Trouble::Failed(crate::step::Failure { message, ..failure }, again)
        }
        other => other,
    }
}

/// The answer came but cannot be read: after a change, that is doubt.
fn unreadable(unit: &Unit<'_>, answer: &Answer, trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Failed(mut failure, _) => {
            if !answer.evidence.is_empty() {
                // The program's own words would only repeat the text, clipped.
                if let Some((what, _)) = failure.message.split_once(": ") {
                    failure.message = format!("{what}: the answer is not JSON");
                }
            }
            failure.details.push(format!("the answer was {}", answer.summary));
            failure.details.extend(answer.evidence.iter().cloned());
            failure.doubt = unit.step.effect > Effect::Read;
            Trouble::Failed(failure, Again::No)
        }
        other => other,
    }
}
