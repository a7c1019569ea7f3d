//! What a run changed and has not taken back, whatever the file says of it by now.

use super::{DoneStep, History, Status, Undo};
use crate::journal::event::How;
use crate::journal::names::{earlier, outermost};

impl History {
    /// The steps that changed something, or may have, and are not taken back.
    pub fn left(&self) -> Vec<&str> {
        let made = |status: &Status| match status {
            Status::Done(done) => done.effect.is_some() && done.how.is_ours(),
            Status::InDoubt { .. } | Status::Forced { made: Some(_), .. } => true,
            _ => false,
        };
        let doubtful = self.statuses.keys().filter(|id| !self.finished.contains(*id));
        let mut doubtful: Vec<&String> = doubtful.collect();
        doubtful.sort_unstable();
        let all = self.order.iter().chain(doubtful);
        all.filter(|id| made(self.status(id)) && self.undo(id) != Some(Undo::Undone))
            .map(String::as_str)
            .collect()
    }

    /// Whether a step did something, or may have: also if it is to be done again and was not.
    pub fn did(&self, step: &str) -> bool {
        self.touched(step) || matches!(self.status(step), Status::Forced { made: Some(_), .. })
    }

    /// Whether a step was done by another version of the file, and the one of now would take that back
    /// wrongly.
    pub fn outdated(&self, step: &str) -> bool {
        self.outdated.contains(step)
    }

    /// The last time that a step was done before it is done again, if the run made something then and
    /// that is not taken back.
    pub fn made_before(&self, step: &str) -> Option<&str> {
        let before = |id: &&str| earlier(id).is_some_and(|of| of == step);
        self.left().into_iter().rev().find(before)
    }

    /// Whether `undo` surely has no way for a step: its file has no such step any more, or would take
    /// something else back.
    pub fn beyond_undo(&self, step: &str) -> bool {
        self.outdated(step) || !self.places.contains_key(outermost(step))
    }

    /// The steps in doubt of which a person said that they happened, and that are not taken back.
    pub fn by_hand(&self) -> impl Iterator<Item = &str> {
        let said = |id: &&String| match self.status(id) {
            Status::Done(done) => done.effect.is_some() && done.how == How::ByHand,
            _ => false,
        };
        let left = |id: &&String| self.undo(id) != Some(Undo::Undone);
        self.order.iter().filter(said).filter(left).map(String::as_str)
    }

    /// Whether a step is done and has changed nothing of its own: it only read, or it only held what
    /// its items or inner steps did.
    pub fn only_held(&self, step: &str) -> bool {
        let done = |done: &DoneStep| done.how == How::Performed && done.effect.is_none();
        matches!(self.status(step), Status::Done(step) if done(step))
    }

    /// Whether what a step did is what another step is said to have done by now: an edit gave it another
    /// name, and the version that took that over left it under the old one, too.
    pub fn same_deed(&self, step: &str, other: &str) -> bool {
        let (Status::Done(was), Status::Done(is)) = (self.status(step), self.status(other)) else {
            return false;
        };
        // a person's word has no time of its own
        let same = was.at == is.at || was.how == How::ByHand;
        step == outermost(step) && was.digest == is.digest && was.how == is.how && same
    }

    /// Where a step stands in the order in which they were done; one in doubt may have happened after
    /// all that is done.
    pub fn place(&self, step: &str) -> usize {
        self.order.iter().position(|done| done == step).unwrap_or(usize::MAX)
    }
}
