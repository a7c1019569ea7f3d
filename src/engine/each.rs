//! `for_each`: one performance of a step for each item of a list, with a bound on how many
//! run at once. Each item has its own events, so that a resume goes on with the items left.

use futures_util::stream::{FuturesOrdered, StreamExt as _};

use super::attempt::Got;
use super::frame::Unit;
use super::{Broken, Durable, Engine, Flow};
use crate::journal::event::{Effect, Outcome};
use crate::plan::Status;
use crate::runbook::ForEach;
use crate::step::{Answer, Trouble};
use crate::value::{Json, Labeled};

impl Engine<'_> {
    /// Performs the step for every item that is left, then keeps what they saved as lists.
    pub(super) async fn each(&self, unit: &Unit<'_>, each: &ForEach) -> Flow {
        let began = self.recorder.now_ms();
        self.begin(unit).await?;
        let items = match Self::items(unit, each) {
            Ok(items) => items,
            Err(trouble) => return self.fail(unit, began, trouble),
        };
        if let Some(stopped) = self.all_items(&items, each.at_once).await? {
            return Ok(Some(stopped));
        }
        let saved = self.lists(unit, &items)?;
        let summary = format!("{} items", items.len());
        let answer = Answer { summary, ..Answer::default() };
        self.done(unit, began, Got { answer, saved }, None, Durable::Soon).await?;
        Ok(None)
    }

    /// The step once for each item of its list.
    pub(super) fn items<'u>(unit: &Unit<'u>, each: &ForEach) -> Result<Vec<Unit<'u>>, Trouble> {
        let list = each.list.eval(&*unit.scope)?;
        let Json::Array(list) = list else {
            return Err(Trouble::failed(format!(
                "`for_each` needs a list: {} is none",
                each.list.source().trim()
            )));
        };
        let secret = unit.scope.any_secret(each.list.reads().iter().map(|read| &*read.name));
        let item = |(number, json)| unit.item(number, &each.name, Labeled { json, secret });
        Ok(list.into_iter().enumerate().map(item).collect())
    }

    /// Items one after the other, so many at once. The first that stops ends the run, after
    /// those under way have come to their end.
    async fn all_items(&self, items: &[Unit<'_>], at_once: usize) -> Flow {
        let mut waiting = items.iter().filter(|item| !self.settled(item));
        let mut running = FuturesOrdered::new();
        running.extend(waiting.by_ref().take(at_once).map(|item| self.single(item)));
        let mut stopped: Option<Outcome> = None;
        while let Some(flow) = running.next().await {
            stopped = worse(stopped, flow?);
            self.recorder.relieve().await?;
            if stopped.is_none() {
                running.extend(waiting.next().map(|item| self.single(item)));
            }
        }
        Ok(stopped)
    }

    /// What all items saved, as lists in the order of the items; null for a skipped one.
    fn lists(&self, unit: &Unit<'_>, items: &[Unit<'_>]) -> Result<Vec<(String, Labeled)>, Broken> {
        let mut lists = Vec::new();
        for save in &unit.step.saves {
            let mut values = Vec::with_capacity(items.len());
            let mut secret = false;
            for item in items {
                let value = match self.history.borrow().status(&item.id) {
                    Status::Done(done) => done.saved(&save.name).cloned(),
                    _ => None,
                };
                let value =
                    value.map(|stored| self.open(&item.id, &save.name, &stored)).transpose()?;
                secret |= value.as_ref().is_some_and(|value| value.secret);
                values.push(value.map_or(Json::Null, |value| value.json));
            }
            let list = Labeled { json: Json::Array(values), secret };
            self.know(&unit.scope, &save.name, list.clone());
            lists.push((save.name.clone(), list));
        }
        Ok(lists)
    }

    /// One item, or one step that has none.
    pub(super) async fn single(&self, unit: &Unit<'_>) -> Flow {
        if unit.step.effect <= Effect::Read {
            return self.conclude(self.wanted_read(unit.clone()).await?).await;
        }
        let began = self.recorder.now_ms();
        match Self::wanted(unit) {
            Ok(true) => self.change(unit).await,
            Ok(false) => Ok(self.unwanted(unit)),
            Err(trouble) => self.fail(unit, began, trouble),
        }
    }

    /// A change whose `when` does not hold. What may have happened is not skipped over: `undo`
    /// would not see it.
    fn unwanted(&self, unit: &Unit<'_>) -> Option<Outcome> {
        let status = self.history.borrow().status(&unit.id).clone();
        if let Status::InDoubt { what, .. } = status {
            return Some(self.doubt(unit, what, Vec::new()));
        }
        self.skip(unit);
        None
    }
}

/// The outcome to end with: the first, unless a later one leaves more open.
pub(super) fn worse(first: Option<Outcome>, next: Option<Outcome>) -> Option<Outcome> {
    match (first, next) {
        (Some(first), Some(Outcome::InDoubt)) if first != Outcome::InDoubt => {
            Some(Outcome::InDoubt)
        }
        (None, next) => next,
        (first, _) => first,
    }
}
