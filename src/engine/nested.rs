//! `use`: another runbook as one step. Its steps have their own events, so it is resumed and
//! taken back inside; what the step keeps is what its `save` reads of the inner values.

use std::rc::Rc;

use super::attempt::Got;
use super::frame::{Frame, Unit};
use super::{Broken, Durable, Engine, Flow};
use crate::jq;
use crate::runbook::settle::is_secret;
use crate::runbook::{Input, Runbook};
use crate::scope::Scope;
use crate::step::jq::{one, reads_secret};
use crate::step::{Answer, Local, Nested, Trouble};
use crate::template::RenderError;
use crate::value::{Json, Labeled};

impl<'a> Engine<'a> {
    /// Walks the inner runbook, then keeps what `save` reads of its values, and judges that. What of
    /// it is done already is not done again, so a resume comes to the gates at once.
    pub(super) fn nested<'s>(&'s self, unit: &'s Unit<'a>, nested: Nested<'a>) -> Local<'s, Flow> {
        Box::pin(async move {
            let began = self.now();
            match Self::wanted(unit) {
                Ok(true) => {}
                Ok(false) => {
                    self.skip(unit);
                    return Ok(None);
                }
                Err(trouble) => return self.fail(unit, began, trouble),
            }
            self.begin(unit).await?;
            let frame = match self.inner_frame(unit, &nested, "")? {
                Ok(frame) => frame,
                Err(trouble) => return self.fail(unit, began, trouble),
            };
            let stopped = self.walk_frame(&frame).await?;
            if stopped.is_some() {
                return Ok(stopped);
            }
            match self.came_to(unit, &frame) {
                Ok(got) => self.finish_change(unit, began, got, None, Durable::Soon).await,
                Err(trouble) => self.fail(unit, began, trouble),
            }
        })
    }

    /// What a runbook that was walked to its end has come to.
    pub(super) fn came_to(&self, unit: &Unit<'_>, frame: &Frame<'_>) -> Result<Got, Trouble> {
        let saved = self.kept(unit, frame)?;
        let summary = format!("{} done", frame.runbook.name);
        Ok(Got { answer: Answer { summary, ..Answer::default() }, saved })
    }

    /// The inner runbook with its inputs bound: those given, and its own defaults. Its steps are
    /// called `outer/…` in the journal, with `below` in between.
    pub(super) fn inner_frame(
        &self,
        unit: &Unit<'a>,
        nested: &Nested<'a>,
        below: &str,
    ) -> Result<Result<Frame<'a>, Trouble>, Broken> {
        let scope = Rc::new(Scope::default());
        let Some(runbook) = nested.runbook.downcast_ref::<Runbook>() else {
            return Err(Broken::History("a step uses what is no runbook".to_owned()));
        };
        for input in &runbook.inputs {
            match given(input, nested, &unit.scope, &scope) {
                Ok(Some(value)) => match input.typed.accept(&value.json) {
                    Ok(json) => {
                        let json = input.typed.settle(json, &self.services.world);
                        self.know(&scope, &input.name, Labeled { json, ..value });
                    }
                    Err(wrong) => {
                        let message =
                            format!("input `{}` of `{}` {wrong}", input.name, runbook.name);
                        return Ok(Err(Trouble::failed(message)));
                    }
                },
                Ok(None) => {
                    let message = format!("`{}` needs the input `{}`", runbook.name, input.name);
                    return Ok(Err(Trouble::failed(message)));
                }
                Err(error) => return Ok(Err(error.into())),
            }
        }
        let prefix = format!("{}/{below}", unit.id);
        let inner = self.history.borrow().inner.clone();
        for (place, stored) in &inner {
            if let Some(name) = place.strip_prefix(&prefix).filter(|name| !name.contains('/')) {
                self.know(&scope, name, self.open("input", place, stored)?);
            }
        }
        if let Err(message) = self.vars(runbook, &scope) {
            return Ok(Err(Trouble::failed(message)));
        }
        self.frame(runbook, scope, prefix).map(Ok)
    }

    /// Runs the step's `save` programs over all the inner values, as one object.
    fn kept(&self, unit: &Unit<'_>, frame: &Frame<'_>) -> Result<Vec<(String, Labeled)>, Trouble> {
        let values: Vec<(&str, Labeled)> = frame
            .runbook
            .steps
            .iter()
            .flat_map(|step| &step.saves)
            .filter_map(|save| Some((save.name.as_str(), frame.scope.get(&save.name)?)))
            .collect();
        let object: Json =
            values.iter().map(|(name, value)| ((*name).to_owned(), value.json.clone())).collect();
        let input = jq::from_json(&object);
        let none = std::collections::HashMap::new();
        let cx = self.cx(unit, false, &none, &|_| ());
        let mut kept = Vec::new();
        for save in &unit.step.saves {
            let Some(program) = save.program else { continue };
            let json = jq::to_json(&one(&cx, program, &[], input.clone())?)
                .map_err(|error| Trouble::failed(cx.mask(&error.message)))?;
            let joined = inner_secret(unit.runbook.programs.code(program), &values)
                || reads_secret(&cx, program);
            let secret = save.is_secret(joined, &json, &self.services.redactor);
            let value = Labeled { json, secret };
            self.know(&unit.scope, &save.name, value.clone());
            kept.push((save.name.clone(), value));
        }
        Ok(kept)
    }
}

/// Whether a program over the inner values may give a secret: `.name` has that name's label,
/// anything else is secret as soon as any value is.
fn inner_secret(code: &str, values: &[(&str, Labeled)]) -> bool {
    let path = code.trim().strip_prefix('.').unwrap_or("");
    match values.iter().find(|(name, _)| *name == path) {
        Some((_, value)) => value.secret,
        None => values.iter().any(|(_, value)| value.secret),
    }
}

/// What an input of a used runbook is given by the step that uses it, else its default. `outer` is what
/// that step knows, `inner` what the inputs before it are.
pub(super) fn given(
    input: &Input,
    nested: &Nested<'_>,
    outer: &Scope,
    inner: &Scope,
) -> Result<Option<Labeled>, RenderError> {
    match nested.inputs.iter().find(|(name, _)| *name == input.name) {
        Some((_, tree)) => tree.render(outer).map(|json| {
            Some(Labeled { json, secret: input.secret || outer.any_secret(tree.reads()) })
        }),
        None => input
            .default_value(inner)
            .map(|json| json.map(|json| Labeled { json, secret: is_secret(input, inner) })),
    }
}
