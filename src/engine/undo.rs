//! Taking a run back: newest first, each step with its own intent and outcome.

use std::collections::HashMap;
use std::time::Duration;

use super::adopt::Found;
use super::attempt::shared;
use super::frame::{Frame, Unit};
use super::recall::Age;
use super::{Broken, Durable, Engine, Flow};
use crate::journal::event::{Effect, Event, How, Outcome, StoredMap};
use crate::journal::names::earlier;
use crate::plan::{DoneStep, Status, Undo};
use crate::printable::argument;
use crate::runbook::BELOW;
use crate::step::connection::named;
use crate::step::{Cx, Nested, Step, Trouble};

/// One step of a run, as `undo` sees it.
pub struct Back {
    /// What the journal calls the step.
    pub id: String,
    /// What will be done about it.
    pub way: Way,
    /// That in one line.
    pub what: String,
}

/// What `undo` does about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As its author says.
    Author,
    /// As its kind knows by itself.
    Kind,
    /// Nothing: it was there before this run.
    NotOurs,
    /// Nothing of its own: it was there from what the step did before it was done again, and that is
    /// taken back.
    Earlier,
    /// Nothing of its own: the step had done the same before it was done again, and the one undo of
    /// that takes both back.
    Again,
    /// A person said that it was done: what to take back is theirs to know.
    ByHand,
    /// Nothing: there is no way.
    None,
    /// Nothing: the values it was done with cannot be worked out any more.
    Lost,
    /// Nothing: its file has no such step any more.
    Gone,
    /// Nothing: its file has made another thing of the step.
    Reshaped,
    /// Nothing: another version of its file did it, and the one of now would take back another thing.
    Outdated,
    /// It is taken back already.
    Done,
}

/// What a run changed.
#[derive(Default)]
struct Touched<'a> {
    units: Vec<Unit<'a>>,
    /// What cannot be set up any more: ids.
    lost: Vec<String>,
}

/// Whether a step in doubt is to be taken back.
enum Resolved {
    /// It happened, or doing it back is harmless.
    Happened,
    /// Nothing is left to do for it, or the walk ends.
    Ended(Option<Outcome>),
}

impl<'a> Engine<'a> {
    /// What the run changed, newest first, and how each is taken back.
    pub fn backwards(&self) -> Result<Vec<Back>, Broken> {
        let Touched { units, lost } = self.units()?;
        let before = redone(&units);
        let back = |unit: &Unit<'_>| Back {
            id: unit.id.clone(),
            way: self.way_among(unit, &before),
            what: self.back_what(unit),
        };
        let beyond = self.beyond(&units, &lost);
        let lost = lost.into_iter().map(|id| Back { id, way: Way::Lost, what: String::new() });
        let mut backs: Vec<Back> = units.iter().map(back).chain(lost).chain(beyond).collect();
        let history = self.history.borrow();
        backs.sort_by_key(|back| std::cmp::Reverse(history.place(&back.id)));
        let made = earlier_ways(&backs);
        for back in backs.iter_mut().filter(|back| back.way == Way::NotOurs) {
            let same = made.iter().find(|(step, what, _)| *step == back.id && *what == back.what);
            back.way = same.map_or(Way::NotOurs, |(.., way)| *way);
        }
        Ok(backs)
    }

    /// Takes back all that can be, newest first.
    pub async fn take_back(&self) -> Result<Outcome, Broken> {
        self.warn();
        let outcome = self.backs().await?;
        self.end(outcome).await?;
        Ok(outcome)
    }

    async fn backs(&self) -> Result<Outcome, Broken> {
        let units = self.units()?.units;
        let before = redone(&units);
        for unit in &units {
            if matches!(self.way_among(unit, &before), Way::Author | Way::Kind)
                && let Some(outcome) = self.back(unit).await?
            {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Undone)
    }

    /// Every performance of a step that changed something, newest first.
    fn units(&self) -> Result<Touched<'a>, Broken> {
        let frame = self.own_frame()?;
        let (mut all, ages) = (Touched::default(), self.history.borrow().ages());
        for age in ages {
            self.collect(&self.recalled(&frame, &age)?, &age, &mut all)?;
        }
        let history = self.history.borrow();
        all.units.sort_by_key(|unit| history.place(&unit.id));
        all.units.reverse();
        Ok(all)
    }

    /// The units of a frame that were done in an age, or are in doubt since, with those inside and each
    /// item. The frame knows what was known then.
    fn collect(&self, frame: &Frame<'a>, age: &Age, all: &mut Touched<'a>) -> Result<(), Broken> {
        for step in &frame.runbook.steps {
            let unit = frame.unit(step);
            let again = self.history.borrow().again(&unit.id, |_| true);
            let again = again.into_iter().map(|number| unit.again(number));
            for unit in std::iter::once(unit.clone()).chain(again) {
                self.collect_unit(unit, age, all)?;
            }
        }
        Ok(())
    }

    /// One performance of a step, as [`Engine::collect`].
    fn collect_unit(&self, unit: Unit<'a>, age: &Age, all: &mut Touched<'a>) -> Result<(), Broken> {
        let step = unit.step;
        if let Some(nested) = step.action.nested() {
            match self.inner_frame(&unit, &nested, "")? {
                Ok(inner) => self.collect(&self.recalled(&inner, age)?, age, all)?,
                Err(_) => self.lose(&format!("{}/", unit.id), age, all),
            }
            return Ok(());
        }
        if step.effect <= Effect::Read {
            return Ok(());
        }
        let units = match &step.for_each {
            None => vec![unit],
            Some(each) => match self.items(&unit, each)? {
                Ok(items) => items.all().cloned().collect(),
                // what is begun knows its item
                Err(_) => self.begun_units(&unit, each)?,
            },
        };
        let changed = |unit: &Unit<'_>| {
            self.touched_in(&unit.id, age) && !self.history.borrow().only_held(&unit.id)
        };
        for unit in units.into_iter().filter(changed) {
            self.remember(&unit)?;
            all.units.push(unit);
        }
        Ok(())
    }

    /// Notes what was changed below a step that cannot be set up any more.
    fn lose(&self, below: &str, age: &Age, all: &mut Touched<'a>) {
        let changes = |id: &String| {
            let step = self.runbook.performed(id);
            step.is_some_and(|(_, step)| step.effect > Effect::Read) && self.touched_in(id, age)
        };
        let lost = self.history.borrow().touched_below(below);
        all.lost.extend(lost.into_iter().filter(changes));
    }

    /// What is done about a step of which there may be a performance before it was done again.
    fn way_among(&self, unit: &Unit<'a>, before: &[(String, &Unit<'a>)]) -> Way {
        let way = self.way(unit);
        if before.is_empty() || !matches!(way, Way::Author | Way::Kind) {
            return way;
        }
        let own = earlier(&unit.id).unwrap_or_else(|| unit.id.clone());
        let older = |other: &Unit<'_>| {
            let history = self.history.borrow();
            history.when(&other.id) < history.when(&unit.id) && !history.outdated(&other.id)
        };
        let mut before = before.iter().filter(|(id, other)| *id == own && older(other));
        match before.find(|(_, other)| self.same_back(unit, other)) {
            Some((_, other)) if self.way(other) == Way::Done => Way::Done,
            Some(_) => Way::Again,
            None => way,
        }
    }

    /// Whether a step that may be done at will was done twice, and taking back the one is taking back
    /// the other.
    fn same_back(&self, unit: &Unit<'_>, other: &Unit<'_>) -> bool {
        let at_will = |unit: &Unit<'_>| match self.history.borrow().status(&unit.id) {
            Status::Done(done) => done.effect == Some(Effect::Repeatable),
            Status::Forced { made: Some((effect, _)), .. } => *effect == Effect::Repeatable,
            // if it happened, it did the same
            _ => unit.step.effect == Effect::Repeatable,
        };
        let same = |name: &str| {
            let value = |unit: &Unit<'_>| unit.scope.get(name).map(|value| value.json);
            value(unit) == value(other)
        };
        let undo = unit.step.undo.as_deref();
        let reads = unit.step.uses.undo.iter().map(|read| &*read.name);
        let there = undo.and_then(|undo| named(&unit.runbook.connections, undo.connection()?));
        !unit.step.always
            && at_will(unit)
            && at_will(other)
            && match undo {
                Some(_) => reads.chain(there.iter().flat_map(|there| there.reads())).all(same),
                None => unit.step.reads.iter().all(|name| same(name)),
            }
    }

    fn way(&self, unit: &Unit<'_>) -> Way {
        let history = self.history.borrow();
        if history.undo(&unit.id) == Some(Undo::Undone) {
            return Way::Done;
        }
        match history.status(&unit.id) {
            Status::Done(DoneStep { how: How::ByHand, .. }) => return Way::ByHand,
            Status::Done(DoneStep { how: How::Unchanged | How::Tolerated, .. }) => {
                return Way::NotOurs;
            }
            _ => {}
        }
        let outdated = history.outdated(&unit.id);
        if !outdated && self.unmakable(unit).is_some() {
            return Way::Lost;
        }
        let none = HashMap::new();
        let by_kind =
            || unit.step.action.take_back(&self.cx(unit, false, &none, &|_| ())).is_some();
        match unit.step.undo {
            Some(_) if outdated => Way::Outdated,
            Some(_) => Way::Author,
            None if !by_kind() => Way::None,
            None if outdated => Way::Outdated,
            None => Way::Kind,
        }
    }

    /// Why the undo of a step that is done cannot be made from what it was done with, as where a value in
    /// its URL is null.
    fn unmakable(&self, unit: &Unit<'_>) -> Option<String> {
        let undo = unit.step.undo.as_ref()?;
        let done = matches!(self.history.borrow().status(&unit.id), Status::Done(_));
        let none = HashMap::new();
        match undo.what(&self.cx(unit, false, &none, &|_| ())) {
            Err(Trouble::Failed(failure, _)) if done => Some(failure.message),
            _ => None,
        }
    }

    /// Why a step that may have happened cannot be taken back: its undo is made of what it would have
    /// saved. A person has to look.
    fn not_known(&self, unit: &Unit<'_>) -> Option<Trouble> {
        let doubtful = matches!(self.history.borrow().status(&unit.id), Status::InDoubt { .. });
        let undo = unit.step.undo.as_ref().filter(|_| doubtful)?;
        let none = HashMap::new();
        let trouble = undo.what(&self.cx(unit, false, &none, &|_| ())).err()?;
        let (run, step) = (self.recorder.run(), argument(&unit.id));
        Some(trouble.hint(format!(
            "it may or may not have happened: once nothing of it is there any more, `runbook undo {run} --done {step}`"
        )))
    }

    /// What will be done to take a step back, in one line, or why it cannot be.
    fn back_what(&self, unit: &Unit<'_>) -> String {
        if let Some(why) = self.unmakable(unit) {
            return why;
        }
        let (none, veiled) = (HashMap::new(), unit.veiled());
        let cx = self.cx(&veiled, false, &none, &|_| ());
        let what = match &unit.step.undo {
            Some(undo) => undo.what(&cx),
            None => unit.step.action.what(&cx),
        };
        what.unwrap_or_else(|_| match self.history.borrow().status(&unit.id) {
            Status::InDoubt { what, .. } => format!("what {what} made, if it happened"),
            _ => unit.id.clone(),
        })
    }

    async fn back(&self, unit: &Unit<'a>) -> Result<Option<Outcome>, Broken> {
        let began = self.now();
        let doubtful = matches!(self.history.borrow().status(&unit.id), Status::InDoubt { .. });
        let in_doubt = self.history.borrow().undo(&unit.id) == Some(Undo::InDoubt);
        if doubtful || in_doubt {
            self.warn_of_running(unit);
        }
        if doubtful && let Resolved::Ended(outcome) = self.resolve(unit, began).await? {
            return Ok(outcome);
        }
        if let Some(trouble) = self.not_known(unit) {
            return Ok(Some(self.back_failed(unit, trouble)));
        }
        let kept = match self.history.borrow().status(&unit.id) {
            Status::Done(DoneStep { private, .. })
            | Status::InDoubt { private, .. }
            | Status::Forced { before: private, .. } => private.clone(),
            _ => StoredMap::new(),
        };
        let private = self.private(&unit.id, &kept)?;
        let trace = self.trace(unit);
        let cx = self.cx(unit, in_doubt, &private, &trace);
        let effect = unit.step.undo_effect;
        let what = self.back_what(unit);
        if in_doubt && effect == Effect::Once {
            return Ok(Some(self.back_in_doubt(unit, &what)));
        }
        if let Err(trouble) = unit.refuse_shown(&unit.step.uses.undo) {
            return Ok(Some(self.back_failed(unit, trouble)));
        }
        self.begin_back(unit, effect, &what).await?;
        self.begin(unit).await?;
        if let Some(nested) = unit.step.undo.as_ref().and_then(|undo| undo.nested()) {
            return self.back_walked(unit, began, &nested).await;
        }
        loop {
            let trouble = match self.act_back(unit, &cx).await {
                Ok(summary) => return self.undone(unit, began, summary, effect).await,
                Err(trouble) => trouble,
            };
            let action = unit.step.undo.as_deref().unwrap_or(&*unit.step.action);
            match self.renew(unit, action, trouble, true).await {
                Ok(()) => self.begin_back(unit, effect, &what).await?,
                Err(trouble) => return Ok(Some(self.back_failed(unit, trouble))),
            }
        }
    }

    async fn begin_back(&self, unit: &Unit<'_>, effect: Effect, what: &str) -> Result<(), Broken> {
        let (step, what) = (unit.id.clone(), what.to_owned());
        self.tell_as(Event::UndoIntent { step, effect, what }, Durable::Now).await
    }

    /// A step that another runbook takes back: what of it is done already is not done again.
    async fn back_walked(&self, unit: &Unit<'a>, began: Duration, nested: &Nested<'a>) -> Flow {
        let frame = match self.inner_frame(unit, nested, BELOW)? {
            Ok(frame) => frame,
            Err(trouble) => return Ok(Some(self.back_failed(unit, trouble))),
        };
        match self.walk_frame(&frame).await? {
            None => {
                let summary = format!("{} done", frame.runbook.name);
                self.undone(unit, began, summary, Effect::Pure).await
            }
            stopped => Ok(stopped),
        }
    }

    /// Whether a step in doubt happened; if it did not, there is nothing to take back.
    async fn resolve(&self, unit: &Unit<'_>, began: Duration) -> Result<Resolved, Broken> {
        match self.look(unit).await {
            Ok(Some(Found::Nothing)) => self
                .undone(unit, began, "had not happened".to_owned(), Effect::Read)
                .await
                .map(Resolved::Ended),
            Ok(Some(Found::Same(object))) => Ok(self
                .adopt(unit, began, object, How::Adopted)
                .await?
                .map_or(Resolved::Happened, |outcome| Resolved::Ended(Some(outcome)))),
            Ok(Some(Found::Different(differs))) => Ok(self.doubtful_back(unit, differs)),
            Ok(None) if unit.step.effect == Effect::Repeatable => Ok(Resolved::Happened),
            Ok(None) => Ok(self.doubtful_back(unit, Vec::new())),
            Err(trouble) => Ok(Resolved::Ended(Some(self.back_failed(unit, trouble)))),
        }
    }

    fn doubtful_back(&self, unit: &Unit<'_>, differs: Vec<(String, String, String)>) -> Resolved {
        let what = self.what(unit);
        let (step, saves, secret) = (unit.id.clone(), Vec::new(), Vec::new());
        self.tell(Event::Doubt { step, what, differs, saves, secret });
        Resolved::Ended(Some(Outcome::InDoubt))
    }

    fn back_in_doubt(&self, unit: &Unit<'_>, what: &str) -> Outcome {
        let (step, what) = (unit.id.clone(), format!("taking it back: {what}"));
        let (differs, saves, secret) = (Vec::new(), Vec::new(), Vec::new());
        self.recorder.keep(Event::Doubt { step, what, differs, saves, secret });
        Outcome::InDoubt
    }

    async fn undone(
        &self,
        unit: &Unit<'_>,
        began: Duration,
        summary: String,
        effect: Effect,
    ) -> Result<Option<Outcome>, Broken> {
        let took_ms = self.took(began);
        let durable = if effect == Effect::Once { Durable::Now } else { Durable::Soon };
        let undone = Event::Undone { step: unit.id.clone(), summary, took_ms };
        self.tell_as(undone, durable).await?;
        Ok(None)
    }

    fn back_failed(&self, unit: &Unit<'_>, trouble: Trouble) -> Outcome {
        let step = unit.id.clone();
        let open = self.history.borrow().undo_open(&step);
        match trouble.doubtful(open) {
            Trouble::Failed(failure, _) => {
                let asks = failure.doubt && unit.step.undo_effect == Effect::Once;
                self.tell(Event::UndoFailed { step, failure });
                if asks {
                    return self.back_in_doubt(unit, &self.back_what(unit));
                }
                Outcome::Failed
            }
            Trouble::Waiting(ask) => {
                self.tell(Event::Asked { step, ask, secret: false });
                Outcome::Waiting
            }
            Trouble::Interrupted => Outcome::Interrupted,
        }
    }

    async fn act_back(&self, unit: &Unit<'_>, cx: &Cx<'_>) -> Result<String, Trouble> {
        match (&unit.step.undo, unit.step.action.take_back(cx)) {
            (Some(undo), _) => self.repeat(unit, undo.as_ref(), cx).await,
            (None, Some(back)) => back.await,
            (None, None) => Err(Trouble::failed("there is no way to take this back")),
        }
    }

    /// An undo is tried again as its connection says, if that is safe.
    async fn repeat(
        &self,
        unit: &Unit<'_>,
        undo: &dyn Step,
        cx: &Cx<'_>,
    ) -> Result<String, Trouble> {
        let (retry, effect) = (shared(cx, undo), unit.step.undo_effect);
        let act = async || self.act(unit, undo, cx).await;
        Ok(self.retried(cx, unit, retry, effect, act).await?.summary)
    }
}

/// What steps did before they were done again, by the names of the steps.
fn redone<'u, 'a>(units: &'u [Unit<'a>]) -> Vec<(String, &'u Unit<'a>)> {
    units.iter().filter_map(|unit| Some((earlier(&unit.id)?, unit))).collect()
}

/// How what a step found to be there already goes, if it was the same step that had made it, before it
/// was done again: the step, what takes it back, and the way.
fn earlier_ways(backs: &[Back]) -> Vec<(String, String, Way)> {
    let made = |back: &Back| {
        let way = match back.way {
            Way::Author | Way::Kind => Way::Earlier,
            Way::Done => Way::Done,
            _ => return None,
        };
        Some((earlier(&back.id)?, back.what.clone(), way))
    };
    backs.iter().filter_map(made).collect()
}
