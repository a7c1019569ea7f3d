//! `for_each`: one performance of a step for each item of a list, with a bound on how many
//! run at once. Each item has its own events, so that a resume goes on with the items left.

use std::collections::BTreeMap;

use futures_util::stream::{FuturesOrdered, StreamExt as _};

use super::attempt::Got;
use super::frame::Unit;
use super::{Broken, Durable, Engine, Flow};
use crate::journal::event::{Effect, Event, Outcome, Skip, Stored};
use crate::plan::{ITEM, Status};
use crate::runbook::ForEach;
use crate::step::{Answer, Trouble};
use crate::value::{Json, Labeled, kind};

impl Engine<'_> {
    /// Performs the step for every item that is left, then keeps what they saved as lists.
    pub(super) async fn each(&self, unit: &Unit<'_>, each: &ForEach) -> Flow {
        let began = self.now();
        self.begin(unit).await?;
        let items = match self.items(unit, each)? {
            Ok(items) => items,
            Err(trouble) => return self.fail(unit, began, trouble),
        };
        if items.moved {
            let message = format!(
                "`{}`: its list has changed since the run began with it; what was done for an item stays done, wherever that stands now",
                unit.id
            );
            self.recorder.keep(Event::Warned { message });
        }
        self.warn_of_gone(&items.gone);
        if let Some(open) = self.doubts_of(&items.gone) {
            return Ok(Some(open));
        }
        let items = items.units;
        // the order in which a fake is asked decides what it answers: it must not be a matter of chance
        let at_once = if self.history.borrow().rehearsal { 1 } else { each.at_once };
        if let Some(stopped) = self.all_items(&items, at_once).await? {
            return Ok(Some(stopped));
        }
        let saved = self.lists(unit, &items)?;
        let summary = format!("{} items", items.len());
        let answer = Answer { summary, ..Answer::default() };
        self.done(unit, began, Got { answer, saved }, None, Durable::Soon).await?;
        Ok(None)
    }

    /// Names the items that were to be done again and are not in the list any more.
    fn warn_of_gone(&self, gone: &[Unit<'_>]) {
        let history = self.history.borrow();
        let forced = |item: &&Unit<'_>| matches!(history.status(&item.id), Status::Forced { .. });
        let named: Vec<String> =
            gone.iter().filter(forced).map(|item| format!("`{}`", item.id)).collect();
        let (are, they_were) = match named.len() {
            0 => return,
            1 => ("is", "it was"),
            _ => ("are", "they were"),
        };
        let message = format!(
            "{} {are} not done again: what {they_were} for is not in the list any more",
            named.join(", ")
        );
        self.recorder.keep(Event::Warned { message });
    }

    /// Items that are not in the list any more and may have happened all the same: nothing would
    /// ever settle them.
    fn doubts_of(&self, gone: &[Unit<'_>]) -> Option<Outcome> {
        let mut open = None;
        for item in gone {
            let status = self.history.borrow().status(&item.id).clone();
            if let Status::InDoubt { what, .. } = status {
                open = Some(self.doubt(item, what, Vec::new()));
            }
        }
        open
    }

    /// The step once for each item of its list. An item is known by what it is: one that was begun
    /// keeps the number it had, wherever it stands in the list by now.
    pub(super) fn items<'u>(
        &self,
        unit: &Unit<'u>,
        each: &ForEach,
    ) -> Result<Result<Items<'u>, Trouble>, Broken> {
        let list = match each.list.eval(&*unit.scope) {
            Ok(Json::Array(list)) => list,
            Ok(other) => {
                let (list, is) = (each.list.source().trim(), kind(&other));
                let message = format!("`for_each` needs a list, and `{list}` is {is}");
                return Ok(Err(Trouble::failed(message)));
            }
            Err(error) => return Ok(Err(error.into())),
        };
        let secret = unit.scope.any_secret(each.list.reads().iter().map(|read| &*read.name));
        let mut begun = self.begun(unit)?;
        let numbers = numbered(&list, &begun);
        begun.retain(|number, _| !numbers.contains(number));
        let moved = !begun.is_empty() || numbers.iter().enumerate().any(|(at, to)| at != *to);
        let item = |(json, number): (Json, &usize)| {
            unit.item(*number, &each.name, Labeled { json, secret })
        };
        let units = list.into_iter().zip(&numbers).map(item).collect();
        let gone = begun.into_iter().map(|(number, item)| unit.item(number, &each.name, item));
        Ok(Ok(Items { units, gone: gone.collect(), moved }))
    }

    /// The items that were begun, by number.
    fn begun(&self, unit: &Unit<'_>) -> Result<BTreeMap<usize, Labeled>, Broken> {
        let history = self.history.borrow();
        let open = |(number, stored): (usize, &Stored)| {
            let place = format!("{}[{number}].private", unit.id);
            Ok((number, self.open(&place, ITEM, stored)?))
        };
        history.items(&unit.id).into_iter().map(open).collect()
    }

    /// The same as performances of the step.
    pub(super) fn begun_units<'u>(
        &self,
        unit: &Unit<'u>,
        each: &ForEach,
    ) -> Result<Vec<Unit<'u>>, Broken> {
        let begun = self.begun(unit)?.into_iter();
        Ok(begun.map(|(number, item)| unit.item(number, &each.name, item)).collect())
    }

    /// Items one after the other, so many at once. The first that stops ends the run, after
    /// those under way have come to their end.
    async fn all_items(&self, items: &[Unit<'_>], at_once: usize) -> Flow {
        // Whether an item is wanted is asked anew: it may be another one in its place.
        let unwanted = |item: &Unit<'_>| {
            *self.history.borrow().status(&item.id) == Status::Skipped(Skip::When)
        };
        let left = |item: &&Unit<'_>| !self.settled(item) || unwanted(item);
        let mut waiting = items.iter().filter(left);
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
        let began = self.now();
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

/// The items of a step.
pub(super) struct Items<'u> {
    /// Those of its list.
    pub(super) units: Vec<Unit<'u>>,
    /// Those that were begun and are not in the list any more.
    gone: Vec<Unit<'u>>,
    /// Whether the list is not the one that was begun with.
    moved: bool,
}

impl<'u> Items<'u> {
    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Unit<'u>> {
        self.units.iter().chain(&self.gone)
    }
}

/// A number for each item: the one it was begun with, else its place, else one that was never
/// another item's.
fn numbered(list: &[Json], begun: &BTreeMap<usize, Labeled>) -> Vec<usize> {
    let mut left: BTreeMap<usize, &Json> =
        begun.iter().map(|(number, item)| (*number, &item.json)).collect();
    let mut numbers: Vec<Option<usize>> = list
        .iter()
        .enumerate()
        .map(|(at, item)| (left.get(&at) == Some(&item)).then(|| left.remove(&at)).map(|_| at))
        .collect();
    let mut free = list.len().max(begun.last_key_value().map_or(0, |(last, _)| last + 1));
    for (at, item) in list.iter().enumerate().filter(|_| !begun.is_empty()) {
        if numbers[at].is_none() {
            numbers[at] = left.iter().find(|(_, known)| **known == item).map(|(number, _)| *number);
            numbers[at].map(|number| left.remove(&number));
        }
    }
    let mut given = |(at, number): (usize, Option<usize>)| {
        number.unwrap_or_else(|| {
            let new = if begun.contains_key(&at) { free } else { at };
            free += usize::from(new == free);
            new
        })
    };
    numbers.into_iter().enumerate().map(&mut given).collect()
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
