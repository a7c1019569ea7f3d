//! What is being walked: a runbook with its names, and one performance of one of its steps.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::{Broken, Engine};
use crate::journal::event::{Effect, Event, Stored, StoredMap};
use crate::plan::Status;
use crate::reader::{Sink, Use};
use crate::runbook::{Runbook, Save, StepDef};
use crate::scope::Scope;
use crate::step::jq::reads_secret;
use crate::step::{Cx, Failure, Gate, Trouble, judge};
use crate::value::{Json, Labeled};

/// A runbook being walked: the run's own, or one that a step uses.
#[derive(Clone)]
pub struct Frame<'a> {
    /// The definition.
    pub runbook: &'a Runbook,
    /// The names known so far.
    pub scope: Rc<Scope>,
    /// What stands in front of its steps' ids in the journal: nothing, or `outer/`.
    pub prefix: String,
}

/// One performance of a step: the step itself, or one item of its `for_each`.
#[derive(Clone)]
pub(super) struct Unit<'a> {
    pub(super) step: &'a StepDef,
    pub(super) runbook: &'a Runbook,
    /// What the journal calls it: `create`, `create[3]`, `outer/create`.
    pub(super) id: String,
    pub(super) scope: Rc<Scope>,
    /// The item it is for.
    pub(super) item: Option<Labeled>,
}

impl<'a> Frame<'a> {
    /// A step of it.
    pub(super) fn unit(&self, step: &'a StepDef) -> Unit<'a> {
        let id = format!("{}{}", self.prefix, step.id);
        Unit { step, runbook: self.runbook, id, scope: Rc::clone(&self.scope), item: None }
    }
}

impl Unit<'_> {
    /// One item of it: a scope of its own, a number in its name.
    pub(super) fn item(&self, number: usize, name: &str, value: Labeled) -> Self {
        let scope = Scope::below(&self.scope);
        scope.set(name, value.clone());
        let (id, scope) = (format!("{}[{number}]", self.id), Rc::new(scope));
        Self { id, scope, item: Some(value), ..self.clone() }
    }

    /// The same step again, at the end of a walk that failed: `clean@17`.
    pub(super) fn again(&self, number: u64) -> Self {
        let scope = Rc::new(Scope::below(&self.scope));
        Self { id: format!("{}@{number}", self.id), scope, ..self.clone() }
    }

    /// Refuses a secret that is only known to be one now, where it would show: a value that came
    /// into a used runbook, for example. `check` has refused the others.
    pub(super) fn refuse_shown(&self, uses: &[Use]) -> Result<(), Trouble> {
        let secret = |name: &Use| self.scope.any_secret([name.name.as_str()]);
        let place = |name: &Use| match name.sink {
            Sink::Open(place) if secret(name) => Some((name.name.clone(), place)),
            Sink::Open(_) | Sink::Closed | Sink::Beside => None,
        };
        match uses.iter().find_map(place) {
            None => Ok(()),
            Some((name, place)) => {
                Err(Trouble::failed(format!("the secret `{name}` would show in {place}"))
                    .hint("where it is meant to show, write `reveal = true` in the same table"))
            }
        }
    }

    /// It, with its secrets veiled: only for showing what it would do. What is made from a
    /// secret is one, and only its label knows that.
    pub(super) fn veiled(&self) -> Self {
        Self { scope: Rc::new(Scope::veiled(&self.scope)), ..self.clone() }
    }
}

impl<'a> Engine<'a> {
    /// The frame of the run's own runbook: inputs, vars and saved values bound.
    pub(super) fn own_frame(&self) -> Result<Frame<'a>, Broken> {
        let scope = Rc::new(Scope::default());
        let inputs = self.history.borrow().inputs.clone();
        for (name, stored) in &inputs {
            self.know(&scope, name, self.open("input", name, stored)?);
        }
        self.vars(self.runbook, &scope).map_err(Broken::History)?;
        self.frame(self.runbook, scope, String::new())
    }

    /// Binds a runbook's vars; or says why one cannot be worked out.
    pub(super) fn vars(&self, runbook: &Runbook, scope: &Scope) -> Result<(), String> {
        let bound = runbook.bind_vars(scope, |name, value| self.know(scope, name, value));
        bound.map_err(|(var, error)| {
            format!("var `{}` of `{}`: {}", var.name, runbook.name, error.0)
        })
    }

    /// A frame whose inputs and vars are bound: adds whatever the journal has saved.
    pub(super) fn frame(
        &self,
        runbook: &'a Runbook,
        scope: Rc<Scope>,
        prefix: String,
    ) -> Result<Frame<'a>, Broken> {
        let frame = Frame { runbook, scope, prefix };
        for step in &runbook.steps {
            let unit = frame.unit(step);
            self.remember(&unit)?;
            if let Some(each) = &step.for_each
                && let Ok(items) = self.items(&unit, each)?
            {
                items.all().try_for_each(|item| self.remember(item))?;
            }
        }
        Ok(frame)
    }

    /// What the journal calls so: a step, an item of one, or one inside a step that uses another
    /// runbook. None where its names are not known yet.
    fn performance(&self, id: &str) -> Result<Option<Unit<'a>>, Broken> {
        let mut frame = self.own_frame()?;
        let mut rest = id;
        loop {
            let (part, inner) = rest.split_once('/').map_or((rest, None), |(a, b)| (a, Some(b)));
            let (own, item) = part.split_once('[').map_or((part, None), |(a, b)| (a, Some(b)));
            let (own, number) = own.split_once('@').map_or((own, None), |(a, b)| (a, Some(b)));
            let Some(step) = frame.runbook.step(own) else { return Ok(None) };
            let mut unit = frame.unit(step);
            if let Some(number) = number.and_then(|number| number.parse().ok()) {
                unit = unit.again(number);
            }
            if let (Some(each), Some(_)) = (&step.for_each, item) {
                let name = format!("{}{part}", frame.prefix);
                let Ok(items) = self.items(&unit, each)? else { return Ok(None) };
                let Some(item) = items.all().find(|item| item.id == name) else {
                    return Ok(None);
                };
                unit = item.clone();
            }
            let Some(inner) = inner else { return Ok(Some(unit)) };
            let Some(nested) = step.action.nested() else { return Ok(None) };
            let Ok(below) = self.inner_frame(&unit, &nested, "")? else { return Ok(None) };
            (frame, rest) = (below, inner);
        }
    }

    /// Whether a value is a secret that a person gives in the place of what a step would have
    /// saved: by the same rule as if it had.
    pub fn given_secret(&self, id: &str, save: &Save, json: &Json) -> Result<bool, Broken> {
        let of_secret = match self.performance(id)? {
            None => true,
            Some(unit) => {
                let (none, action) = (HashMap::new(), &unit.step.action);
                let cx = self.cx(&unit, false, &none, &|_| ());
                // what such a step comes to is made of what it reads
                let made = action.effect() == Effect::Pure || action.nested().is_some();
                let reads = || unit.step.reads.iter().map(String::as_str);
                made && unit.scope.any_secret(reads())
                    || action.secret()
                    || save.program.is_some_and(|program| reads_secret(&cx, program))
            }
        };
        Ok(save.is_secret(of_secret, json, &self.services.redactor))
    }

    /// Judges the gates of a step that read what a person gives in the place of what it would have
    /// saved: that must satisfy them as an answer would.
    pub fn judge_given(
        &self,
        id: &str,
        given: &[(&str, Labeled)],
    ) -> Result<Result<(), Failure>, Broken> {
        let Some(unit) = self.performance(id)? else { return Ok(Ok(())) };
        let scope = Scope::below(&unit.scope);
        for (name, value) in given {
            scope.set(name, value.clone());
        }
        let named = |name: &str| given.iter().any(|(given, _)| *given == name);
        let reads = |gate: &&Gate| gate.that().reads().iter().any(|read| named(&read.name));
        Ok(judge(unit.step.gates.iter().filter(reads), &scope, &self.services.redactor))
    }

    /// Binds what a finished step saved.
    pub(super) fn remember(&self, unit: &Unit<'_>) -> Result<(), Broken> {
        if let Status::Done(done) = self.history.borrow().status(&unit.id) {
            for (name, stored) in &done.saved {
                self.know(&unit.scope, name, self.open(&unit.id, name, stored)?);
            }
            if !done.private.is_empty() && unit.step.action.connection().is_some() {
                let private = self.private(&unit.id, &done.private)?;
                unit.step.action.recall(&self.cx(unit, false, &private, &|_| ()));
            }
        }
        Ok(())
    }

    /// Binds a name, and teaches the redactor its value if it is secret.
    pub(super) fn know(&self, scope: &Scope, name: &str, value: Labeled) {
        if value.secret {
            let added = self.services.redactor.add_json(&value.json);
            let nothing = value.json.is_null() || value.json == "";
            if added.passes() && !nothing && !scope.has(name) {
                let message = format!(
                    "the secret `{name}` is {added}: it is masked where it is known to be one, \
                     but not wherever else it may appear"
                );
                self.recorder.show(Event::Warned { message });
            }
        }
        scope.set(name, value);
    }

    /// A value from the journal, opened.
    pub(super) fn open(&self, place: &str, name: &str, stored: &Stored) -> Result<Labeled, Broken> {
        match stored {
            Stored::Plain(json) => Ok(Labeled::plain(json.clone())),
            Stored::Sealed(text) => {
                self.key.open(&self.recorder.label(place, name), text).map(Labeled::secret).map_err(
                    |error| {
                        let hint = error.hint();
                        Broken::Sealed(format!("`{name}` of `{place}`: {error}; {hint}"))
                    },
                )
            }
        }
    }

    /// A value as the journal keeps it.
    pub(super) fn stored(
        &self,
        place: &str,
        name: &str,
        value: &Labeled,
    ) -> Result<Stored, Broken> {
        if !value.secret {
            return Ok(Stored::Plain(value.json.clone()));
        }
        let sealed = self.key.seal(&self.recorder.label(place, name), &value.json);
        sealed.map(Stored::Sealed).map_err(|error| Broken::Sealed(error.to_string()))
    }

    /// What a step keeps for taking it back, opened.
    pub(super) fn private(
        &self,
        id: &str,
        kept: &StoredMap,
    ) -> Result<HashMap<String, Labeled>, Broken> {
        let place = format!("{id}.private");
        kept.iter()
            .map(|(name, stored)| Ok((name.clone(), self.open(&place, name, stored)?)))
            .collect()
    }

    /// What a step sees.
    pub(super) fn cx<'s>(
        &'s self,
        unit: &'s Unit<'_>,
        in_doubt: bool,
        private: &'s HashMap<String, Labeled>,
        trace: &'s dyn Fn(String),
    ) -> Cx<'s> {
        Cx {
            run: self.recorder.run(),
            started_ms: self.history.borrow().started_ms,
            step: &unit.id,
            about: &unit.step.about,
            effect: unit.step.effect,
            scope: &unit.scope,
            services: self.services,
            connections: &unit.runbook.connections,
            programs: &unit.runbook.programs,
            timeout: unit.step.timeout,
            guarded: unit.step.saves.iter().any(|save| save.secret),
            in_doubt,
            private,
            kept: RefCell::default(),
            trace,
        }
    }

    /// Shows what a step says of each call.
    pub(super) fn trace<'s>(&'s self, unit: &'s Unit<'_>) -> impl Fn(String) + 's {
        |line| self.recorder.show(Event::Trace { step: unit.id.clone(), line })
    }

    /// What a step is about to do, in one line; its id if that cannot be said.
    pub(super) fn what(&self, unit: &Unit<'_>) -> String {
        self.said(unit).unwrap_or_else(|| unit.id.clone())
    }

    /// What a step is about to do, in one line, if that can be said yet.
    pub(super) fn said(&self, unit: &Unit<'_>) -> Option<String> {
        let none = HashMap::new();
        let unit = unit.veiled();
        unit.step.action.what(&self.cx(&unit, false, &none, &|_| ())).ok()
    }

    /// More of it, line by line.
    pub(super) fn details(&self, unit: &Unit<'_>) -> Vec<String> {
        let none = HashMap::new();
        let unit = unit.veiled();
        let lines = unit.step.action.preview(&self.cx(&unit, false, &none, &|_| ()));
        let made_of_secrets = || unit.scope.any_secret(unit.step.reads.iter().map(String::as_str));
        match lines {
            Ok(lines) => lines,
            Err(_) if made_of_secrets() => vec!["(not shown: it is made from a secret)".to_owned()],
            Err(_) => Vec::new(),
        }
    }
}
