//! What an edit gave another name.

use super::History;

impl History {
    /// What a step did is what it does under another name from now on: it stands where it was done,
    /// and the old name is free.
    pub(super) fn renamed(&mut self, was: Option<&str>, step: &str) {
        let Some(was) = was.filter(|was| *was != step) else { return };
        self.done_as(step, was);
        self.statuses.remove(was);
        self.finished.remove(was);
        self.effects.remove(was);
        if self.outdated.remove(was) {
            self.outdated.insert(step.to_owned());
        }
        let place = self.order.iter().position(|done| done == was);
        let name = self.order.pop_if(|last| last == step);
        match (place, name) {
            (Some(place), Some(name)) => self.order[place] = name,
            (_, name) => self.order.extend(name),
        }
    }
}
