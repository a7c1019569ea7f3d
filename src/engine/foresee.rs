//! What will surely go wrong, told before anything is done from what is known by then.
//!
//! Looks at the steps in the order of the file, up to the first that might change what the others
//! will find on this machine: one that runs a program, uses another runbook, or waits for a person.
//! Nothing is said unless it is sure.

use crate::journal::event::Failure;
use crate::runbook::{Runbook, StepDef};
use crate::scope::Scope;
use crate::step::{Services, Touch};

/// The steps before `until`, or all, that will fail, and of what; `known` are inputs and vars.
pub fn foresee<'a>(
    runbook: &'a Runbook,
    known: &Scope,
    until: Option<&str>,
    services: &Services,
) -> Vec<(&'a str, Failure)> {
    let mut found = Vec::new();
    for step in runbook.steps.iter().take_while(|step| Some(step.id.as_str()) != until) {
        // one whose `when` reads what is not known yet may be left out
        let wanted = step.when.as_ref().map_or(Some(true), |when| when.holds(known).ok());
        if wanted == Some(false) {
            continue;
        }
        if prepares(step) {
            break;
        }
        if wanted == Some(true) && step.for_each.is_none() && !step.optional {
            let secret = |name: &str| known.any_secret([name]) || saves_secret(runbook, name);
            let failure = step.action.foresee(known, &secret, services);
            found.extend(failure.map(|failure| (step.id.as_str(), failure)));
        }
    }
    found
}

/// Whether a step saves a secret under this name.
fn saves_secret(runbook: &Runbook, name: &str) -> bool {
    runbook.steps.iter().flat_map(|step| &step.saves).any(|save| save.secret && save.name == name)
}

/// Whether a step may do on this machine what a later one needs.
fn prepares(step: &StepDef) -> bool {
    let runs = step
        .action
        .touches()
        .iter()
        .any(|touch| matches!(touch, Touch::Runs(..) | Touch::Plugin(_)));
    runs || step.action.nested().is_some() || step.action.asks()
}
