//! What a report has learnt of a run from the events so far.
//!
//! Knows no layout and writes nothing; the same events always give the same story.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::words::count;
use crate::journal::event::{
    Decision, Effect, Entry, Event, Failure, How, Outcome, StepRef, Stored, StoredMap,
};
use crate::journal::names::{above, outermost};

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// Done, and how.
    Done(How),
    /// Not needed, or not wanted.
    Skipped,
    /// Done once and taken back.
    Undone,
    /// Done once and to be done again.
    Again,
    /// Skipped once and to be done now.
    Wanted,
}

impl Settled {
    /// Whether nothing is left to do.
    fn over(self) -> bool {
        !matches!(self, Self::Again | Self::Wanted)
    }
}

/// A failure that the walk ends with.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) step: String,
    pub(super) failure: Failure,
    /// Whether taking the step back failed, not the step.
    pub(super) undoing: bool,
}

/// A step that may or may not have happened.
#[derive(Debug, Clone)]
pub(super) struct Doubtful {
    pub(super) step: String,
    pub(super) what: String,
    pub(super) differs: Vec<(String, String, String)>,
    /// The values that whoever says that it happened must give.
    pub(super) saves: Vec<String>,
    /// Those of them that must not stand in a command.
    pub(super) secret: Vec<String>,
}

/// A question for a person.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) step: String,
    pub(super) ask: String,
    /// Whether the answer must not stand in a command.
    pub(super) secret: bool,
}

/// A run so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Story {
    pub(super) run: String,
    pub(super) runbook: String,
    pub(super) rehearsal: bool,
    /// Steps in the order of the file.
    pub(super) steps: Arc<[StepRef]>,
    pub(super) settled: BTreeMap<String, Settled>,
    /// Saved values in the order in which their names first appeared.
    pub(super) saved: Vec<(String, Stored)>,
    /// Where each name stands among them.
    saved_at: HashMap<String, usize>,
    /// What was about to be done, by step.
    pub(super) intents: BTreeMap<String, String>,
    /// Steps whose taking back has begun and not ended.
    half_undone: BTreeSet<String>,
    // of this walk alone
    /// Steps that were settled before this walk and still are.
    pub(super) earlier: Vec<String>,
    pub(super) noted: BTreeSet<String>,
    /// What the notes of all walks said.
    pub(super) notes: BTreeMap<String, String>,
    /// How the last walk ended.
    pub(super) ended: Option<Outcome>,
    /// Whether the walk before this one ended with more to read than its last note: a question that
    /// is open, or a walk that was cut off, needs the note again, any other end does not.
    pub(super) told: bool,
    pub(super) troubles: Vec<Trouble>,
    /// The questions without an answer.
    pub(super) asked: Vec<Question>,
    pub(super) doubts: Vec<Doubtful>,
    /// *Once* steps that were about to be done and have not come to an end, with what they do.
    pub(super) under_way: BTreeMap<String, String>,
    /// Whether this walk takes the run back.
    pub(super) undoing: bool,
}

/// Whether this is a step of the run's own runbook, not an item or an inner step.
fn is_whole(step: &str) -> bool {
    !step.contains(['[', '/', '@'])
}

impl Story {
    /// Takes in one event.
    pub(super) fn learn(&mut self, entry: &Entry) {
        self.run.clone_from(&entry.run);
        match &entry.event {
            Event::Started { runbook, steps, rehearsal, .. } => {
                self.runbook.clone_from(runbook);
                self.steps.clone_from(steps);
                self.rehearsal = *rehearsal;
            }
            Event::Resumed { undo, steps, .. } => self.new_walk(*undo, steps),
            Event::Intent { step, what, effect, .. } => self.intend(step, what, *effect),
            Event::UndoIntent { step, what, effect } => {
                self.undoing = true;
                self.half_undone.insert(step.clone());
                self.intend(step, what, *effect);
            }
            Event::Note { step, markdown } => {
                self.noted.insert(step.clone());
                self.notes.insert(step.clone(), markdown.clone());
            }
            other => self.learn_end(other),
        }
    }

    /// Takes in how a step came out.
    fn learn_end(&mut self, event: &Event) {
        match event {
            Event::Done { step, how, saved, .. } => {
                self.settle(step, Settled::Done(*how));
                if is_whole(step) {
                    self.save(saved);
                }
            }
            Event::Skipped { step, .. } => self.settle(step, Settled::Skipped),
            Event::Undone { step, .. } => {
                self.undoing = true;
                self.half_undone.remove(step);
                self.settle(step, Settled::Undone);
            }
            Event::Decided { step, decision: Decision::Redo | Decision::Rerun, .. } => {
                self.again(step);
            }
            Event::Ended { outcome, .. } => self.ended = Some(*outcome),
            Event::Failed { step, failure, .. } => self.trouble(step, failure, false),
            Event::UndoFailed { step, failure } => {
                self.undoing = true;
                if !failure.doubt {
                    self.half_undone.remove(step);
                }
                self.trouble(step, failure, true);
            }
            Event::Asked { step, ask, secret } => {
                self.asked.retain(|asked| asked.step != *step);
                let (step, ask, secret) = (step.clone(), ask.clone(), *secret);
                self.asked.push(Question { step, ask, secret });
            }
            Event::Doubt { step, what, differs, saves, secret } => {
                self.undoing |= self.half_undone.contains(step);
                let (step, what) = (step.clone(), what.clone());
                let (differs, saves, secret) = (differs.clone(), saves.clone(), secret.clone());
                self.doubts.retain(|doubt| doubt.step != step);
                self.doubts.push(Doubtful { step, what, differs, saves, secret });
            }
            _ => {}
        }
    }

    /// Whether it is the step itself that is in doubt while the run is taken back, not the taking back
    /// or a part of that.
    pub(super) fn in_doubt_itself(&self, step: &str) -> bool {
        self.undoing && !above(step).chain([step]).any(|id| self.half_undone.contains(id))
    }

    /// Whether a step did nothing but tell the person something, or nothing at all.
    pub(super) fn tells(&self, step: &str) -> bool {
        self.notes.contains_key(step) || self.settled.get(step) == Some(&Settled::Skipped)
    }

    /// How many steps the definition has; more if it is not known whole.
    pub(super) fn total(&self) -> usize {
        self.steps.len().max(self.settled.keys().filter(|step| is_whole(step)).count())
    }

    /// How many steps stand so.
    pub(super) fn number(&self, wanted: impl Fn(Settled) -> bool) -> usize {
        let counts = |step: &str, settled: Settled| settled == Settled::Undone || is_whole(step);
        let fits =
            |(step, settled): &(&String, &Settled)| wanted(**settled) && counts(step, **settled);
        self.settled.iter().filter(fits).count()
    }

    /// What is done of steps that are not: items, and steps inside.
    pub(super) fn partly(&self) -> Vec<String> {
        let mut parts: Vec<(&str, char, usize)> = Vec::new();
        for (id, settled) in &self.settled {
            let Some(at) = id.find(['[', '/', '@']) else { continue };
            let (own, rest) = id.split_at(at);
            let whole = self.settled.get(own).is_some_and(|own| own.over());
            let open = !whole && matches!(settled, Settled::Done(_));
            let kind = rest.chars().next().filter(|kind| match kind {
                '[' => !rest.contains('/'),
                other => *other == '/' && !rest.contains(['[', '@']),
            });
            let (true, Some(kind)) = (open, kind) else { continue };
            match parts.iter_mut().find(|part| (part.0, part.1) == (own, kind)) {
                Some(part) => part.2 += 1,
                None => parts.push((own, kind, 1)),
            }
        }
        let said = |(own, kind, number): (&str, char, usize)| match kind {
            '[' => format!("{} of `{own}`", count(number, "item")),
            _ => format!("{} inside `{own}`", count(number, "step")),
        };
        parts.into_iter().map(said).collect()
    }

    /// The steps that may have happened: those said to be in doubt, and failures that say so.
    pub(super) fn doubtful(&self) -> Vec<Doubtful> {
        let told = |step: &str| self.doubts.iter().any(|doubt| doubt.step == step);
        let failed = self.troubles.iter().filter(|t| t.failure.doubt && !told(&t.step));
        let failed = failed.map(|trouble| Doubtful {
            step: trouble.step.clone(),
            what: self.intents.get(&trouble.step).cloned().unwrap_or_default(),
            differs: Vec::new(),
            saves: Vec::new(),
            secret: Vec::new(),
        });
        self.doubts.iter().cloned().chain(failed).collect()
    }

    fn new_walk(&mut self, undo: bool, updated: &Arc<[StepRef]>) {
        let digests: BTreeMap<&str, &str> =
            self.steps.iter().map(|step| (step.id.as_str(), step.digest.as_str())).collect();
        let current = Arc::clone(if updated.is_empty() { &self.steps } else { updated });
        // a step whose definition changed is for the engine to speak about
        let unchanged = current.iter().filter(|step| {
            self.settled.get(&step.id).is_some_and(|settled| settled.over())
                && digests.get(step.id.as_str()) == Some(&step.digest.as_str())
        });
        self.earlier = unchanged.map(|step| step.id.clone()).collect();
        if !updated.is_empty() {
            // what a step that is gone has done stays, but it is no step of this run any more
            let ids: BTreeSet<&str> = updated.iter().map(|step| step.id.as_str()).collect();
            self.settled.retain(|step, _| ids.contains(outermost(step)));
        }
        self.steps = current;
        let over = [Outcome::Done, Outcome::Failed, Outcome::InDoubt, Outcome::Stopped];
        self.told = self.ended.take().is_some_and(|outcome| over.contains(&outcome));
        self.noted.clear();
        self.troubles.clear();
        self.asked.clear();
        self.doubts.clear();
        self.under_way.clear();
        self.undoing = undo;
    }

    fn intend(&mut self, step: &str, what: &str, effect: Effect) {
        self.intents.insert(step.to_owned(), what.to_owned());
        if effect == Effect::Once {
            self.under_way.insert(step.to_owned(), what.to_owned());
        }
    }

    fn settle(&mut self, step: &str, settled: Settled) {
        self.settled.insert(step.to_owned(), settled);
        self.under_way.remove(step);
        self.asked.retain(|asked| asked.step != step);
        self.doubts.retain(|doubt| doubt.step != step);
        self.troubles.retain(|trouble| trouble.step != step);
    }

    /// A step that is done is to be done again; while a run is taken back, that is done again.
    fn again(&mut self, step: &str) {
        if self.half_undone.contains(step) {
            return;
        }
        for one in above(step).chain([step]) {
            if let Some(settled) = self.settled.get_mut(one) {
                let skipped = matches!(settled, Settled::Skipped | Settled::Wanted);
                *settled = if skipped { Settled::Wanted } else { Settled::Again };
            }
        }
    }

    fn save(&mut self, saved: &StoredMap) {
        for (name, value) in saved {
            if let Some(known) = self.saved_at.get(name).and_then(|at| self.saved.get_mut(*at)) {
                known.1 = value.clone();
            } else {
                self.saved_at.insert(name.clone(), self.saved.len());
                self.saved.push((name.clone(), value.clone()));
            }
        }
    }

    fn trouble(&mut self, step: &str, failure: &Failure, undoing: bool) {
        self.under_way.remove(step);
        self.troubles.retain(|trouble| trouble.step != step);
        self.troubles.push(Trouble { step: step.to_owned(), failure: failure.clone(), undoing });
    }
}
