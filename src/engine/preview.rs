//! `plan`: reads are really done and gates judged; what would change something is only shown.
//!
//! Once a change has been shown instead of made, the world is no longer the one the steps
//! after it would see: they are shown, not performed.

use std::cell::{Cell, RefCell};

use super::adopt::Found;
use super::frame::{Frame, Unit};
use super::{Broken, Engine, Flow, Read};
use crate::journal::event::{Effect, Event, How, Outcome};
use crate::printable::quoted;
use crate::runbook::{ForEach, Runbook, StepDef};
use crate::step::{Local, Nested};
use crate::template::Expr;
use crate::value::Labeled;

/// What is not known yet, and why.
#[derive(Default)]
struct Unknown {
    /// A name and the step that will save it.
    names: RefCell<Vec<(String, String)>>,
    /// The first change shown instead of made.
    change: RefCell<Option<String>>,
    /// Whether any step was shown instead of performed.
    shown: Cell<bool>,
}

impl<'a> Engine<'a> {
    /// Walks without changing anything.
    pub async fn preview(&self) -> Result<Outcome, Broken> {
        self.warn();
        let unknown = Unknown::default();
        let frame = self.own_frame()?;
        let outcome = self.preview_frame(&frame, &unknown).await?.unwrap_or(Outcome::Planned);
        self.end(outcome).await?;
        Ok(outcome)
    }

    fn preview_frame<'s>(&'s self, frame: &'s Frame<'a>, unknown: &'s Unknown) -> Local<'s, Flow> {
        Box::pin(async move {
            for step in &frame.runbook.steps {
                let stop = self.preview_step(&frame.unit(step), unknown).await?;
                if stop.is_some() {
                    return Ok(stop);
                }
            }
            Ok(None)
        })
    }

    async fn preview_step(&self, unit: &Unit<'a>, unknown: &Unknown) -> Flow {
        let mut remarks = unknown.missing(unit);
        // what is sure to be left out is, whatever else it would read
        if !unknown.leaves_open(unit) {
            match Self::wanted(unit) {
                Ok(true) => {}
                Ok(false) => {
                    self.skip(unit);
                    return Ok(None);
                }
                Err(trouble) => return self.fail(unit, self.now(), trouble),
            }
        }
        if !remarks.is_empty() {
            unknown.changed_by(unit);
            self.planned(unit, unknown, remarks);
            return Ok(None);
        }
        if let Some(each) = &unit.step.for_each {
            return self.preview_each(unit, each, unknown).await;
        }
        if let Some(nested) = unit.step.action.nested() {
            return self.preview_nested(unit, &nested, unknown).await;
        }
        if unit.step.effect > Effect::Read {
            return self.preview_change(unit, unknown).await;
        }
        let action = &unit.step.action;
        if let Some(change) = &*unknown.change.borrow()
            && unit.step.effect == Effect::Read
            && action.looks()
        {
            remarks.push(to_be_read(change));
        }
        if action.alone() || !remarks.is_empty() {
            self.planned(unit, unknown, remarks);
            return Ok(None);
        }
        self.conclude(self.wanted_read(unit.clone()).await?).await
    }

    /// Another runbook: if all of it was performed, what it came to is known.
    async fn preview_nested(
        &self,
        unit: &Unit<'a>,
        nested: &Nested<'a>,
        unknown: &Unknown,
    ) -> Flow {
        let began = self.now();
        let inner = match self.inner_frame(unit, nested, "")? {
            Ok(frame) => frame,
            Err(trouble) => return self.fail(unit, began, trouble),
        };
        let change = unknown.change.borrow().clone();
        let within = Unknown { change: RefCell::new(change), ..Unknown::default() };
        if let Some(stop) = self.preview_frame(&inner, &within).await? {
            return Ok(Some(stop));
        }
        unknown.change.replace(within.change.into_inner());
        if within.shown.get() {
            self.planned(unit, unknown, Vec::new());
            return Ok(None);
        }
        let got = self.came_to(unit, &inner).map(Some);
        self.conclude(Read { unit: unit.clone(), began, got }).await
    }

    /// Items that are only read are read; of an empty list there is nothing to do in any case, and
    /// so what it saves is known.
    async fn preview_each(&self, unit: &Unit<'a>, each: &ForEach, unknown: &Unknown) -> Flow {
        let count = match self.items(unit, each)? {
            Ok(items) => items.units.len(),
            Err(trouble) => return self.fail(unit, self.now(), trouble),
        };
        let action = &unit.step.action;
        let reads =
            unit.step.effect <= Effect::Read && !action.alone() && action.nested().is_none();
        let changed = unknown.change.borrow().clone();
        if count == 0 || reads && (changed.is_none() || unit.step.effect == Effect::Pure) {
            return self.each(unit, each).await;
        }
        let mut remarks = vec![format!("once for each of {count} items")];
        unknown.changed_by(unit);
        if let Some(change) = changed.filter(|_| !changes(unit.step) && action.looks()) {
            remarks.push(to_be_read(&change));
        }
        self.planned(unit, unknown, remarks);
        Ok(None)
    }

    async fn preview_change(&self, unit: &Unit<'_>, unknown: &Unknown) -> Flow {
        let began = self.now();
        match self.look(unit).await {
            Err(trouble) => self.fail(unit, began, trouble),
            Ok(Some(Found::Same(object))) => {
                let said = "was there already: a run asks, or needs `--adopt`, to use it";
                self.adopt_saying(unit, began, object, (How::Unchanged, said)).await
            }
            Ok(Some(Found::Different(differs))) => {
                let told = differs
                    .iter()
                    .map(|(name, found, wanted)| {
                        let (found, wanted) = (quoted(found), quoted(wanted));
                        format!("is there already, but {name} is {found}, not {wanted}: a run would stop here")
                    })
                    .collect();
                self.planned(unit, unknown, told);
                Ok(None)
            }
            Ok(_) => {
                unknown.changed_by(unit);
                self.planned(unit, unknown, Vec::new());
                Ok(None)
            }
        }
    }

    /// Shows what a step would do; its saves are names without values from here on.
    fn planned(&self, unit: &Unit<'_>, unknown: &Unknown, remarks: Vec<String>) {
        unknown.shown.set(true);
        for save in &unit.step.saves {
            unknown.names.borrow_mut().push((save.name.clone(), unit.id.clone()));
            unit.scope.set(&save.name, Labeled::plain(format!("<{}>", save.name)));
        }
        let shown_unit = match &unit.step.for_each {
            Some(each) => unit.item(0, &each.name, Labeled::plain(format!("<{}>", each.name))),
            None => unit.clone(),
        };
        let title = self.title(&shown_unit, false);
        let titled = title.map(|title| Event::Began { step: unit.id.clone(), title });
        self.recorder.recall(titled.into_iter().collect());
        let unshown = || format!("{} (cannot be shown yet)", unit.step.kind);
        let what = unknown.unescaped(unit, self.said(&shown_unit).unwrap_or_else(unshown));
        let lines = self.details(&shown_unit);
        let event = Event::Planned { step: unit.id.clone(), what, lines, remarks };
        self.recorder.show(event);
    }
}

fn to_be_read(change: &str) -> String {
    format!("to be read after `{change}` has changed things")
}

impl Unknown {
    /// Names without a value as they are written elsewhere: an address has them escaped.
    fn unescaped(&self, unit: &Unit<'_>, what: String) -> String {
        let names = self.names.borrow();
        let names = names.iter().map(|(name, _)| name);
        names
            .chain(unit.step.for_each.iter().map(|each| &each.name))
            .fold(what, |what, name| what.replace(&format!("%3C{name}%3E"), &format!("<{name}>")))
    }

    /// Notes a step that is shown instead of performed, if it changes something.
    fn changed_by(&self, unit: &Unit<'_>) {
        if changes(unit.step) {
            self.change.borrow_mut().get_or_insert_with(|| unit.id.clone());
        }
    }

    /// Whether it is open whether a step is done at all.
    fn leaves_open(&self, unit: &Unit<'_>) -> bool {
        let names = self.names.borrow();
        let reads = |when: &Expr| {
            when.reads().iter().any(|read| names.iter().any(|(name, _)| *name == read.name))
        };
        unit.step.when.as_ref().is_some_and(reads)
    }

    /// What of that a step reads; first of all, if that leaves open whether it is done at all.
    fn missing(&self, unit: &Unit<'_>) -> Vec<String> {
        let own: Vec<&str> = unit.step.saves.iter().map(|save| save.name.as_str()).collect();
        let names = self.names.borrow();
        let missing: Vec<&(String, String)> = names
            .iter()
            .filter(|(name, _)| unit.step.reads.contains(name) && !own.contains(&name.as_str()))
            .collect();
        let open = unit.step.when.as_ref().filter(|_| self.leaves_open(unit));
        let open = open.map(|when| format!("only if its `when` holds: {}", when.source().trim()));
        let unknown = |(name, from): &&(String, String)| {
            format!("`{name}` is not known yet: step `{from}` gives it")
        };
        open.into_iter().chain(missing.iter().map(unknown)).collect()
    }
}

/// Whether a step changes something, or one does of the runbook it uses.
fn changes(step: &StepDef) -> bool {
    let nested = step.action.nested();
    let inner = nested.and_then(|nested| nested.runbook.downcast_ref::<Runbook>());
    step.effect > Effect::Read || inner.is_some_and(|inner| inner.steps.iter().any(changes))
}
