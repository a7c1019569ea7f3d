//! What will surely go wrong, told before anything is done from what is known by then.
//!
//! Looks at the steps in the order of the file, and into the runbooks they use, up to the first that
//! might change what the others will find on this machine: one that runs a program which does not only
//! read, or waits for a person. Nothing is said unless it is sure.

use super::nested::given;
use crate::journal::event::{Effect, Failure};
use crate::runbook::{Input, Runbook, StepDef, Value};
use crate::scope::Scope;
use crate::step::{Nested, Services, Touch};
use crate::value::Labeled;

/// The steps before `until`, or all, that will fail, and of what; `known` are inputs and vars. One
/// inside of a used runbook is called `outer/inner`.
pub fn foresee(
    runbook: &Runbook,
    known: &Scope,
    until: Option<&str>,
    services: &Services,
) -> Vec<(String, Failure)> {
    let mut found = Vec::new();
    look_ahead(runbook, known, until, services, &mut found);
    found
}

/// The same, added to what was found; whether what comes after can be foreseen too.
fn look_ahead(
    runbook: &Runbook,
    known: &Scope,
    until: Option<&str>,
    services: &Services,
    found: &mut Vec<(String, Failure)>,
) -> bool {
    for step in &runbook.steps {
        if until == Some(&step.id) {
            return false;
        }
        // one whose `when` reads what is not known yet may be left out
        let wanted = step.when.as_ref().map_or(Some(true), |when| when.holds(known).ok());
        if wanted == Some(false) {
            continue;
        }
        if prepares(step) {
            return false;
        }
        let sure = wanted == Some(true) && step.for_each.is_none() && !step.optional;
        if let Some(nested) = step.action.nested() {
            let Some(inner) = nested.runbook.downcast_ref::<Runbook>() else { return false };
            let (known, mut inside) = (within(inner, &nested, known, services), Vec::new());
            let until = until.and_then(|until| until.strip_prefix(&step.id)?.strip_prefix('/'));
            let goes_on = look_ahead(inner, &known, until, services, &mut inside);
            let inside = inside.into_iter().filter(|_| sure);
            found.extend(inside.map(|(id, failure)| (format!("{}/{id}", step.id), failure)));
            if !goes_on {
                return false;
            }
        } else if sure {
            let secret = |name: &str| known.any_secret([name]) || saves_secret(runbook, name);
            let failure = step.action.foresee(known, &secret, services);
            found.extend(failure.map(|failure| (step.id.clone(), failure)));
        }
    }
    true
}

/// What a used runbook knows of its inputs and vars as soon as that; what it is not sure of is not in it.
fn within(inner: &Runbook, nested: &Nested<'_>, known: &Scope, services: &Services) -> Scope {
    let scope = Scope::default();
    for input in &inner.inputs {
        let sure = match nested.inputs.iter().find(|(name, _)| *name == input.name) {
            Some((_, tree)) => tree.reads().iter().all(|name| known.has(name)),
            None => defaults(input, &scope),
        };
        let value = sure.then(|| given(input, nested, known, &scope).ok().flatten());
        let accepted = value.flatten().and_then(|value| {
            let json = input.typed.accept(&value.json).ok()?;
            let json = input.typed.settle(json, &services.world);
            Some(Labeled { json, ..value })
        });
        if let Some(value) = accepted {
            scope.set(&input.name, value);
        }
    }
    for var in &inner.vars {
        let reads = var.value.reads();
        if reads.iter().all(|name| scope.has(name))
            && let Ok(json) = var.value.render(&scope)
        {
            let secret = scope.any_secret(reads);
            scope.set(&var.name, Labeled { json, secret });
        }
    }
    scope
}

/// Whether all is known that an input's default reads.
fn defaults(input: &Input, scope: &Scope) -> bool {
    match &input.default {
        Some(Value::Template(default)) => default.reads().iter().all(|read| scope.has(&read.name)),
        _ => true,
    }
}

/// Whether a step saves a secret under this name.
fn saves_secret(runbook: &Runbook, name: &str) -> bool {
    runbook.steps.iter().flat_map(|step| &step.saves).any(|save| save.secret && save.name == name)
}

/// Whether a step may do on this machine what a later one needs.
fn prepares(step: &StepDef) -> bool {
    let touches = step.action.touches();
    let runs = touches.iter().any(|touch| matches!(touch, Touch::Runs(..) | Touch::Plugin(_)));
    runs && step.effect > Effect::Read || step.action.asks()
}
