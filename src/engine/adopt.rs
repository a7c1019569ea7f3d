//! Telling whether a step's effect is there, and taking it over.

use std::collections::HashMap;
use std::time::Duration;

use super::attempt::{Got, shared};
use super::frame::Unit;
use super::{Durable, Engine, Flow};
use crate::journal::event::{Effect, How};
use crate::jq::{self, Val};
use crate::runbook::Already;
use crate::step::jq::{all, one, reads_secret};
use crate::step::{Answer, Cx, Sight, Trouble};
use crate::value::{Json, MASK, text};

/// What `already` found.
#[derive(Debug)]
pub(super) enum Found {
    /// It is not there.
    Nothing,
    /// It is there, and is what this run would have made.
    Same(Val),
    /// It is there, but differs: name, found, wanted.
    Different(Vec<(String, String, String)>),
}

impl Engine<'_> {
    /// Asks `already`; none if the step has none.
    pub(super) async fn look(&self, unit: &Unit<'_>) -> Result<Option<Found>, Trouble> {
        let Some(already) = &unit.step.already else { return Ok(None) };
        let none = HashMap::new();
        let trace = self.trace(unit);
        let cx = self.cx(unit, false, &none, &trace);
        let answer = loop {
            match self.probe(already, unit, &cx).await {
                Ok(answer) => break answer,
                Err(trouble) => {
                    let probe = &*already.probe;
                    self.renew(unit, probe, trouble, false).await.map_err(looking)?;
                }
            }
        };
        if !answer.private.is_empty() {
            self.probed.borrow_mut().insert(unit.id.clone(), answer.private);
        }
        self.services.see(&unit.id, Sight::LookUp, &answer.input);
        let mut objects = all(&cx, already.find, &answer.locals, answer.input).map_err(looking)?;
        objects.retain(|object| *object != Val::default());
        match objects.len() {
            0 => Ok(Some(Found::Nothing)),
            1 => {
                self.services.see(&unit.id, Sight::Found, &objects[0]);
                self.learn(unit, &cx, &objects[0]);
                compare(&cx, already, objects.remove(0)).map(Some).map_err(looking)
            }
            n => {
                Err(Trouble::failed(format!("`already` found {n} objects where there can be one")))
            }
        }
    }

    /// The secrets this step would read out of what was found, before any of it is shown.
    fn learn(&self, unit: &Unit<'_>, cx: &Cx<'_>, object: &Val) {
        let programs =
            unit.step.saves.iter().filter(|save| save.secret).filter_map(|save| save.program);
        for program in programs {
            let locals = [("response", jq::from_json(&Json::Null))];
            if let Ok(value) = one(cx, program, &locals, object.clone())
                && let Ok(json) = jq::to_json(&value)
            {
                // one too short to be replaced is warned of when it is saved
                let _ = self.services.redactor.add_json(&json);
            }
        }
    }

    /// The look-up is a read: it is tried again as its connection says.
    async fn probe(
        &self,
        already: &Already,
        unit: &Unit<'_>,
        cx: &Cx<'_>,
    ) -> Result<Answer, Trouble> {
        let (probe, retry) = (&*already.probe, shared(cx, &*already.probe));
        self.retried(cx, unit, retry, Effect::Read, async || self.act(unit, probe, cx).await).await
    }

    /// Takes over what was found, as if the step had made it.
    pub(super) async fn adopt(
        &self,
        unit: &Unit<'_>,
        began: Duration,
        object: Val,
        how: How,
    ) -> Flow {
        let summary = if how == How::Unchanged { "was there already" } else { "" };
        self.adopt_saying(unit, began, object, (how, summary)).await
    }

    /// The same with a few words about it.
    pub(super) async fn adopt_saying(
        &self,
        unit: &Unit<'_>,
        began: Duration,
        object: Val,
        (how, summary): (How, &str),
    ) -> Flow {
        let none = HashMap::new();
        let cx = self.cx(unit, false, &none, &|_| ());
        let answer = Answer {
            input: object,
            locals: vec![("response", jq::from_json(&Json::Null))],
            summary: summary.to_owned(),
            ..Answer::default()
        };
        match self.save(&cx, unit, &answer) {
            Ok(saved) => {
                let got = Got { answer, saved };
                self.finish_change(unit, began, got, Some(how), Durable::Soon).await
            }
            Err(trouble) => self.fail(unit, began, trouble),
        }
    }
}

fn compare(cx: &Cx<'_>, already: &Already, object: Val) -> Result<Found, Trouble> {
    let mut differs = Vec::new();
    for field in &already.fields {
        let found = jq::to_json(&one(cx, field.found, &[], object.clone())?);
        let wanted = jq::to_json(&one(cx, field.wanted, &[], object.clone())?);
        let (Ok(found), Ok(wanted)) = (found, wanted) else { continue };
        if found != wanted {
            let secret = reads_secret(cx, field.wanted) || reads_secret(cx, field.found);
            let shown = |json: &Json| if secret { MASK.to_owned() } else { cx.mask(&text(json)) };
            differs.push((field.name.clone(), shown(&found), shown(&wanted)));
        }
    }
    if let Some(same) = already.same
        && one(cx, same, &[], object.clone())? != Val::from(true)
    {
        differs.push(("same".to_owned(), "false".to_owned(), "true".to_owned()));
    }
    Ok(if differs.is_empty() { Found::Same(object) } else { Found::Different(differs) })
}

fn looking(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Failed(mut failure, again) => {
            failure.message =
                format!("cannot tell whether it is there already: {}", failure.message);
            failure.doubt = false;
            Trouble::Failed(failure, again)
        }
        other => other,
    }
}
