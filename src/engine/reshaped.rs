//! What a run did by steps that its file, edited since, has no more, or has in another shape.

use super::Engine;
use super::frame::Unit;
use super::undo::{Back, Way};
use crate::journal::names::inward;
use crate::plan::Status;
use crate::runbook::{BELOW, Runbook};

impl Engine<'_> {
    /// What was changed by no step that can be set up, nor by one that is known to be lost.
    pub(super) fn beyond(&self, units: &[Unit<'_>], lost: &[String]) -> Vec<Back> {
        let history = self.history.borrow();
        let known = |id: &str| {
            let same = |unit: &Unit<'_>| unit.id == id || history.same_deed(id, &unit.id);
            units.iter().any(same) || lost.iter().any(|lost| lost == id)
        };
        let back = |id: &str, way: Way| {
            let what = match history.status(id) {
                Status::InDoubt { what, .. } => format!("what {what} made, if it happened,"),
                _ => "what it did".to_owned(),
            };
            Back { id: id.to_owned(), way, what }
        };
        let left = history.left().into_iter().map(|id| (id, missing(self.runbook, id)));
        let by_hand = history.by_hand().map(|id| (id, Some(Way::ByHand)));
        let all = left.chain(by_hand).filter(|(id, _)| !known(id));
        all.filter_map(|(id, way)| Some(back(id, way?))).collect()
    }
}

/// How it comes that no performance of a step can be set up; none if the step is one that takes
/// another back.
fn missing(runbook: &Runbook, id: &str) -> Option<Way> {
    let (own, inner) = inward(id);
    let Some(step) = runbook.step(own) else { return Some(Way::Gone) };
    match (inner, step.action.nested()) {
        (Some(inner), _) if step.undo.is_some() && inner.starts_with(BELOW) => None,
        (Some(inner), Some(nested)) => missing(nested.runbook.downcast_ref()?, inner),
        _ => Some(Way::Reshaped),
    }
}
