//! What steps are called before they begin, or without beginning: those done earlier, those that are
//! skipped, only shown, or taken back.

use crate::journal::event::{Event, Stored};
use crate::plan::{History, Status};
use crate::runbook::{Runbook, StepDef};
use crate::scope::Scope;
use crate::template::Template;
use crate::value::{Json, Labeled, MASK};

/// The titles that what the journal knows can tell, as the event that says them. No secret is opened
/// for it.
pub fn titles(runbook: &Runbook, history: &History) -> Vec<Event> {
    let told = |title: &&Template| !title.is_literal();
    let has_title = |step: &StepDef| step.title.as_ref().is_some_and(|title| told(&title));
    if !runbook.steps.iter().any(has_title) {
        return Vec::new();
    }
    let scope = veiled(runbook, history);
    let said = runbook.steps.iter().filter_map(|step| {
        let title = step.title.as_ref().filter(told)?.render_text(&scope).ok()?;
        Some(Event::Began { step: step.id.clone(), title })
    });
    said.collect()
}

/// What the journal knows, every secret veiled.
fn veiled(runbook: &Runbook, history: &History) -> Scope {
    let scope = Scope::default();
    let know = |name: &str, stored: &Stored| {
        let value = match stored {
            Stored::Plain(json) => Labeled::plain(json.clone()),
            Stored::Sealed(_) => Labeled::secret(Json::from(MASK)),
        };
        scope.set(name, value);
    };
    for (name, stored) in &history.inputs {
        know(name, stored);
    }
    // What a var is that cannot be worked out from a veiled secret, no title tells.
    let _ = runbook.bind_vars(&scope, |name, value| {
        let shown = if value.secret { Labeled::secret(Json::from(MASK)) } else { value };
        scope.set(name, shown);
    });
    for step in &runbook.steps {
        if let Status::Done(done) = history.status(&step.id) {
            for (name, stored) in &done.saved {
                know(name, stored);
            }
        }
    }
    scope
}
