//! What was known when a step was done: it is taken back with that.

use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use super::frame::Frame;
use super::{Broken, Engine};
use crate::journal::event::Stored;
use crate::plan::Was;
use crate::runbook::Runbook;
use crate::scope::Scope;
use crate::template::RenderError;
use crate::value::Labeled;

/// A span of time in which nothing that was known became another thing.
pub(super) type Age = Range<u64>;

impl<'a> Engine<'a> {
    /// Whether a step was done in an age, or is in doubt since; one that is to be done again was done.
    pub(super) fn touched_in(&self, id: &str, age: &Age) -> bool {
        let history = self.history.borrow();
        history.did(id) && age.contains(&history.when(id))
    }

    /// A frame that knows what was known in an age. Of tokens the newest counts: the one of then may
    /// be taken no longer.
    pub(super) fn recalled(&self, frame: &Frame<'a>, age: &Age) -> Result<Frame<'a>, Broken> {
        let scope = Rc::new(Scope::below(&frame.scope));
        let frame = Frame { scope, ..frame.clone() };
        if frame.prefix.is_empty() {
            self.recall_inputs(&frame, age)?;
        }
        let tokens = frame.runbook.tokens();
        for old in self.history.borrow().known_at(age.start) {
            match &old.was {
                Was::Saved(id, saved) if frame.holds(id) => {
                    let token = |(name, value): &&(String, Stored)| {
                        matches!(value, Stored::Sealed(_)) && tokens.contains(&**name)
                    };
                    for (name, value) in saved.iter().filter(|one| !token(one)) {
                        self.know(&frame.scope, name, self.open(id, name, value)?);
                    }
                }
                Was::Skipped(id) if frame.holds(id) => {
                    let step = frame.runbook.step(&id[frame.prefix.len()..]);
                    let names = step.iter().flat_map(|step| &step.saves);
                    names.for_each(|save| frame.scope.hide(&save.name));
                }
                _ => {}
            }
        }
        Ok(frame)
    }

    /// The run's own inputs as they were, and the vars that are made from them.
    fn recall_inputs(&self, frame: &Frame<'a>, age: &Age) -> Result<(), Broken> {
        let tokens = frame.runbook.token_inputs();
        let mut changed = BTreeSet::new();
        for old in self.history.borrow().known_at(age.start) {
            if let Was::Input(name, value) = &old.was
                && !tokens.contains(&**name)
            {
                self.know(&frame.scope, name, self.open("input", name, value)?);
                changed.insert(name.clone());
            }
        }
        let bound = self.vars_anew(frame.runbook, &frame.scope, changed);
        bound.map_err(|error| Broken::History(error.0))
    }

    /// Binds the vars that are made from names that have other values now.
    pub(super) fn vars_anew(
        &self,
        runbook: &Runbook,
        scope: &Scope,
        mut changed: BTreeSet<String>,
    ) -> Result<(), RenderError> {
        for var in &runbook.vars {
            if var.value.reads().iter().any(|name| changed.contains(*name)) {
                let json = var.value.render(scope)?;
                let secret = scope.any_secret(var.value.reads());
                self.know(scope, &var.name, Labeled { json, secret });
                changed.insert(var.name.clone());
            }
        }
        Ok(())
    }
}

impl Frame<'_> {
    /// Whether the journal calls a step of this frame so.
    fn holds(&self, id: &str) -> bool {
        id.strip_prefix(&self.prefix).is_some_and(|own| !own.contains('/'))
    }
}
