//! What was known before something else came in its place. What was done is taken back with what it
//! was done with, not with what is known today.

use std::ops::Range;

use super::{DoneStep, History, Status};
use crate::journal::event::{Stored, StoredMap};

/// What was known until then.
#[derive(Debug, Clone, PartialEq)]
pub struct Old {
    /// What that was.
    pub was: Was,
    /// Until when, by the count of events.
    pub until: u64,
}

/// Something that was known.
#[derive(Debug, Clone, PartialEq)]
pub enum Was {
    /// What a step had saved.
    Saved(String, Vec<(String, Stored)>),
    /// A step had been skipped: what it would save was not there.
    Skipped(String),
    /// The value of the run's own input.
    Input(String, Stored),
}

impl History {
    /// The spans of time in which nothing that was known became another thing, in their order; what
    /// was not known yet may have come to be.
    pub fn ages(&self) -> Vec<Range<u64>> {
        let mut ends: Vec<u64> = self.past.iter().map(|old| old.until).collect();
        ends.dedup();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let ends = ends.iter().copied().chain([u64::MAX]);
        starts.zip(ends).map(|(start, end)| start..end).collect()
    }

    /// What was known then and is another thing now, from the newest on: so the last of each name counts.
    pub fn known_at(&self, then: u64) -> impl Iterator<Item = &Old> {
        self.past.iter().rev().take_while(move |old| old.until > then)
    }

    /// When a step was done, or was about to be if that is in doubt.
    pub fn when(&self, step: &str) -> u64 {
        match self.status(step) {
            Status::Done(done) => done.at,
            Status::Forced { made: Some((_, at)), .. } => *at,
            _ => self.effects.get(step).map_or(self.now, |(_, since)| *since),
        }
    }

    /// When what is said to be done now was done: of what only is looked at again, as before.
    pub(super) fn done_at(&self, step: &str) -> u64 {
        match self.status(step) {
            Status::Done(done) => done.at,
            _ => self.now,
        }
    }

    /// Says that what a step did under another name is what it did.
    pub(super) fn done_as(&mut self, name: &str, step: &str) {
        let Status::Done(DoneStep { effect, at, .. }) = *self.status(step) else { return };
        if let Some(Status::Done(done)) = self.statuses.get_mut(name) {
            (done.effect, done.at) = (effect, at);
        }
    }

    /// A step stands elsewhere now. What an item saves is known to that item alone, and what was put
    /// down under a name of its own stays.
    pub(super) fn replaced(&mut self, step: &str, now: &Status) {
        let own = step.rsplit('/').next().unwrap_or(step);
        if own.contains(['[', '@']) {
            return;
        }
        let was = match (self.status(step), now) {
            (Status::Skipped(_), Status::Skipped(_)) => return,
            (Status::Done(done), Status::Done(now)) if done.saved == now.saved => return,
            (Status::Done(done), _) if done.saved.is_empty() => return,
            (Status::Done(done), _) => Was::Saved(step.to_owned(), done.saved.clone()),
            (Status::Skipped(_), _) => Was::Skipped(step.to_owned()),
            _ => return,
        };
        self.past.push(Old { was, until: self.now });
    }

    /// Inputs have other values from here on, or have come to be; what they had may be good all the
    /// same.
    pub(super) fn given_anew(&mut self, inputs: &StoredMap) {
        for (name, value) in inputs {
            if let Some(old) = self.inputs.insert(name.clone(), value.clone()) {
                self.former.entry(name.clone()).or_default().push(old.clone());
                self.past.push(Old { was: Was::Input(name.clone(), old), until: self.now });
            }
        }
    }
}
