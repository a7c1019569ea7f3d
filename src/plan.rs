//! What is left to do: the definition and the journal so far.
//!
//! Running is replaying: the same question is asked on a first run, with an empty journal,
//! and on every resume. Nothing here does I/O.

mod left;
mod past;
mod renamed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::journal::event::{
    Decision, Effect, Entry, Event, How, Outcome, Skip, StepRef, Stored, StoredMap, UsedRef,
};
use crate::journal::names::{above, earlier, in_file, outermost};
use crate::source::in_command;
use crate::value::{ByName, Names};
pub use past::{Old, Was};

/// Where one step of a run stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// Nothing has been done.
    Pending,
    /// To be done whatever may have been done before: a person said so.
    Forced {
        /// How things stood before it was done first, if that counts for the next time too.
        before: StoredMap,
        /// What it is said to have done, and when, if what was made then is what is to be done again:
        /// until that is done it stands.
        made: Option<(Effect, u64)>,
    },
    /// An intent without an outcome.
    InDoubt {
        /// What was about to be done.
        what: String,
        /// How things stood before the first attempt.
        private: StoredMap,
    },
    /// Done.
    Done(DoneStep),
    /// Skipped.
    Skipped(Skip),
}

/// What the journal keeps of a step that is done.
#[derive(Debug, Clone, PartialEq)]
pub struct DoneStep {
    /// How it came to be done.
    pub how: How,
    /// What it saved: a list, as most steps save one value or two, and there may be many steps.
    pub saved: Vec<(String, Stored)>,
    /// What taking it back needs.
    pub private: StoredMap,
    /// The digest of the definition that was performed.
    pub digest: String,
    /// Whether its gates have not held since.
    pub gates_failed: bool,
    /// What it was said to do when it was done, if it was to change something.
    pub effect: Option<Effect>,
    /// When it was done, by the count of events.
    pub at: u64,
}

impl DoneStep {
    /// What it saved under this name.
    pub fn saved(&self, name: &str) -> Option<&Stored> {
        self.saved.iter().find(|(saved, _)| saved == name).map(|(_, value)| value)
    }
}

/// The name under which an intent or an outcome keeps the item it was for.
pub const ITEM: &str = "item";

/// Where taking one step back stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// An undo's intent without an outcome.
    InDoubt,
    /// Taken back.
    Undone,
}

/// A run as its journal tells it.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The runbook's name.
    pub runbook: String,
    /// Where its file was, as seen from the folder it began in.
    pub path: String,
    /// That folder; empty if it is not known.
    pub folder: String,
    /// The digest of the definition's text.
    pub text: String,
    /// What its plug-ins say of themselves, and in older runs the runbooks it uses: names, and
    /// digests of texts.
    pub uses: BTreeMap<String, String>,
    /// The runbooks that definition uses.
    pub runbooks: Vec<UsedRef>,
    /// The steps of that definition.
    pub steps: Arc<[StepRef]>,
    /// Where each of them stands.
    places: ByName<usize>,
    /// All inputs.
    pub inputs: StoredMap,
    /// Inputs of runbooks that a step uses, renewed on the way: `outer/token`.
    pub inner: StoredMap,
    /// Values of inputs, own and inner ones, that a service took no longer.
    pub refused: BTreeMap<String, Vec<Stored>>,
    /// Values that inputs had before a walk began with another.
    pub former: BTreeMap<String, Vec<Stored>>,
    /// Secret inputs that were given in place of what their sources say, with what was given.
    pub given: StoredMap,
    /// Whether it was a rehearsal.
    pub rehearsal: bool,
    /// Whether its last walk takes it back.
    pub backwards: bool,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_ms: i64,
    /// How its last walk ended; none: it is running, or it died.
    pub outcome: Option<Outcome>,
    /// The last number in the journal.
    pub last_seq: u64,
    /// Steps in the order in which they were done.
    pub order: Vec<String>,
    /// The same steps, to be found quickly.
    finished: Names,
    statuses: ByName<Status>,
    undos: ByName<Undo>,
    /// Steps whose only open intent is one of this walk: what becomes of that one becomes of the
    /// step. Of an intent before it, a later refusal says nothing.
    under_way: Names,
    /// Steps that are done of which an item, or a step inside, is to be done again.
    reopened: Names,
    /// What steps without an outcome are said to do, and since when.
    effects: ByName<(Effect, u64)>,
    /// What finished steps did that are gone from the definition, by its digest: one of them may have
    /// another name now.
    gone: Vec<(String, Effect, u64)>,
    /// The step of the last event, if that says that it is done.
    just_done: Option<String>,
    adopts: Vec<String>,
    /// What was done by a version of the file that took it back in another way than the one of now.
    outdated: Names,
    /// How many events there were: the time, as far as values go.
    now: u64,
    /// What was known until something else came in its place, in that order.
    past: Vec<Old>,
}

impl History {
    /// Reads a run's events.
    pub fn fold(entries: &[Entry]) -> Self {
        let started_ms = entries.first().map_or(0, |first| first.at_ms);
        let mut history = Self { started_ms, ..Self::default() };
        for entry in entries {
            history.last_seq = entry.seq;
            history.take(&entry.event);
        }
        history
    }

    /// The runbook that a file means by a name: its path, and the digest of its text. An older run
    /// knows it by the name alone.
    pub fn used<'s>(&'s self, from: &str, name: &'s str) -> Option<(&'s str, &'s str)> {
        let used = self.runbooks.iter().find(|used| used.from == from && used.name == name);
        match used {
            Some(used) => Some((&used.path, &used.text)),
            None => self.uses.get(name).map(|text| (name, text.as_str())),
        }
    }

    /// Where a step stands.
    pub fn status(&self, step: &str) -> &Status {
        self.statuses.get(step).unwrap_or(&Status::Pending)
    }

    /// Whether nothing is left to do for a step, nor for a part of it.
    pub fn settled(&self, step: &str) -> bool {
        match self.status(step) {
            Status::Skipped(_) => true,
            Status::Done(done) => !done.gates_failed && !self.reopened.contains(step),
            _ => false,
        }
    }

    /// Where taking a step back stands.
    pub fn undo(&self, step: &str) -> Option<Undo> {
        self.undos.get(step).copied()
    }

    /// The performances of an `always` step at the end of walks that failed, `clean@17` by its 17,
    /// of which something stands so: the step itself, an item of it or a step inside.
    pub fn again(&self, step: &str, stands: impl Fn(&Status) -> bool) -> Vec<u64> {
        let number = |id: &str| -> Option<u64> {
            let rest = id.strip_prefix(step)?.strip_prefix('@')?;
            rest.split(['[', '/']).next()?.parse().ok()
        };
        let fits = self.statuses.iter().filter(|(_, status)| stands(status));
        let mut numbers: Vec<u64> = fits.filter_map(|(id, _)| number(id)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Whether a step is done or in doubt.
    pub fn touched(&self, step: &str) -> bool {
        matches!(self.status(step), Status::Done(_) | Status::InDoubt { .. })
    }

    /// All such steps whose names begin so.
    pub fn touched_below(&self, start: &str) -> Vec<String> {
        let below = self.statuses.keys().filter(|id| id.starts_with(start) && self.touched(id));
        let mut below: Vec<String> = below.cloned().collect();
        below.sort_unstable();
        below
    }

    /// The items of a step that were begun, by number, as their events keep them.
    pub fn items(&self, step: &str) -> Vec<(usize, &Stored)> {
        let number = |id: &str| -> Option<usize> {
            id.strip_prefix(step)?.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
        };
        let items = self.statuses.iter().filter_map(|(id, status)| match status {
            Status::Done(DoneStep { private, .. })
            | Status::InDoubt { private, .. }
            | Status::Forced { before: private, .. } => Some((number(id)?, private.get(ITEM)?)),
            _ => None,
        });
        items.collect()
    }

    /// Whether a person allowed this step to take over what it finds.
    pub fn adopts(&self, step: &str) -> bool {
        self.adopts.iter().any(|adopted| adopted == step)
    }

    /// Whether it has changed anything that is not taken back.
    pub fn changed(&self) -> bool {
        let made =
            |id: &String| matches!(self.status(id), Status::Done(done) if done.effect.is_some());
        self.order.iter().any(|id| made(id) && self.undo(id) != Some(Undo::Undone))
    }

    /// Whether a step, whichever performance of it is meant, was performed by the run: this very step,
    /// not one inside of it.
    pub fn made(&self, step: &str) -> bool {
        let own = in_file(step);
        let made =
            |id: &String| matches!(self.status(id), Status::Done(done) if done.how.is_ours());
        self.order.iter().any(|id| in_file(id) == own && made(id))
    }

    /// What its runbook is called in a command that runs it again, as seen from a folder.
    pub fn command_name(&self, here: &Path) -> String {
        let name = in_command(&self.path, &self.runbook);
        let folder = Path::new(&self.folder);
        if name == self.path && folder.is_absolute() && folder != here {
            return folder.join(name).display().to_string();
        }
        name.to_owned()
    }

    /// Whether taking back has begun.
    pub fn undoing(&self) -> bool {
        !self.undos.is_empty() || self.outcome == Some(Outcome::Undone)
    }

    /// Takes in one more event.
    pub fn take(&mut self, event: &Event) {
        let just_done = self.just_done.take();
        self.now += 1;
        match event {
            Event::Started {
                runbook,
                path,
                folder,
                text,
                uses,
                runbooks,
                steps,
                inputs,
                given,
                rehearsal,
                ..
            } => {
                let given = inputs.iter().filter(|(name, _)| given.contains(name));
                self.given = given.map(|(name, value)| (name.clone(), value.clone())).collect();
                self.uses.clone_from(uses);
                self.runbooks.clone_from(runbooks);
                self.runbook.clone_from(runbook);
                self.path.clone_from(path);
                self.folder.clone_from(folder);
                self.text.clone_from(text);
                self.define(steps);
                self.inputs.clone_from(inputs);
                self.rehearsal = *rehearsal;
            }
            Event::Resumed { undo, text, uses, runbooks, steps, inputs } => {
                self.outcome = None;
                self.backwards = *undo;
                self.under_way.clear();
                self.given_anew(inputs);
                if let Some(text) = text {
                    self.text.clone_from(text);
                    self.uses.clone_from(uses);
                    self.runbooks.clone_from(runbooks);
                    self.define(steps);
                }
            }
            Event::Intent { step, effect, what, private } => {
                self.intent(step, *effect, what, private);
            }
            Event::Renewed { input, value, .. } => self.renewed(input, value),
            Event::Refused { step, .. } => self.not_done(step),
            Event::Done { step, how, saved, private, was, .. } => {
                let digest = self.digest(step);
                let saved =
                    saved.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                let (how, private) = (*how, self.kept_so_far(step, private));
                if !self.finished.insert(step.clone()) {
                    self.order.retain(|done| done != step);
                }
                self.order.push(step.clone());
                self.reopened.remove(step);
                let intended = self.effects.remove(step).map(|(effect, _)| effect);
                if intended.is_some() {
                    self.outdated.remove(step);
                }
                let so_far = intended.is_none().then(|| self.made_so_far(step, &digest, how));
                let (effect, at) = match so_far.flatten() {
                    Some((effect, at)) => (Some(effect), at),
                    None => (intended, self.done_at(step)),
                };
                let gates_failed = false;
                let done = DoneStep { how, saved, private, digest, gates_failed, effect, at };
                self.set(step, Status::Done(done));
                self.renamed(was.as_deref(), step);
                self.just_done = Some(step.clone());
            }
            Event::Skipped { step, why } => self.set(step, Status::Skipped(why.clone())),
            Event::Failed { step, failure, .. } => self.failed(step, failure.doubt),
            // Doubt about taking a step back is none about the step: that is done.
            Event::Doubt { step, .. } if self.undo(step).is_some() => {}
            Event::Doubt { step, what, .. } => {
                let private = self.before(step);
                self.set(step, Status::InDoubt { what: what.clone(), private });
            }
            Event::Decided { step, decision, outdated } => {
                self.decided(step, *decision, just_done);
                self.outdated.extend(outdated.iter().cloned());
            }
            Event::UndoIntent { step, .. } => {
                let open = self.undos.insert(step.clone(), Undo::InDoubt) == Some(Undo::InDoubt);
                self.intended(step, open);
            }
            Event::Undone { step, .. } => drop(self.undos.insert(step.clone(), Undo::Undone)),
            Event::UndoFailed { step, failure } => self.undo_failed(step, failure.doubt),
            Event::Ended { outcome, .. } => self.outcome = Some(*outcome),
            _ => {}
        }
    }

    fn set(&mut self, step: &str, status: Status) {
        self.replaced(step, &status);
        self.statuses.insert(step.to_owned(), status);
    }

    /// What a step was said to do, and when it did, whose outcome comes without an intent: it is looked
    /// at again, or put down under another name.
    fn made_so_far(&self, step: &str, digest: &str, how: How) -> Option<(Effect, u64)> {
        let made = |id: &str| match self.status(id) {
            Status::Done(done) => Some((done.effect?, done.at)),
            _ => None,
        };
        let own = how.is_ours();
        let renamed = || self.gone.iter().find(|(gone, ..)| own && gone == digest);
        let renamed = || renamed().map(|(_, effect, at)| (*effect, *at));
        made(step).or_else(|| made(&earlier(step)?)).or_else(renamed)
    }

    /// What taking a step back needs: whoever only looks at it again does not know all of it.
    fn kept_so_far(&self, step: &str, private: &StoredMap) -> StoredMap {
        let mut kept = match self.status(step) {
            Status::Done(done) => done.private.clone(),
            _ => StoredMap::new(),
        };
        kept.extend(private.clone());
        kept
    }

    /// The digest of a step's definition; items and inner steps have their outer step's.
    fn digest(&self, step: &str) -> String {
        let known = self.places.get(outermost(step)).and_then(|place| self.steps.get(*place));
        known.map(|known| known.digest.clone()).unwrap_or_default()
    }

    fn define(&mut self, steps: &Arc<[StepRef]>) {
        self.steps = Arc::clone(steps);
        self.places =
            steps.iter().enumerate().map(|(place, step)| (step.id.clone(), place)).collect();
        let gone = self.statuses.iter().filter_map(|(id, status)| match status {
            Status::Done(DoneStep { effect: Some(effect), digest, at, .. })
                if id == outermost(id) && !self.places.contains_key(id) =>
            {
                Some((digest.clone(), *effect, *at))
            }
            _ => None,
        });
        self.gone = gone.collect();
    }

    fn intent(&mut self, step: &str, effect: Effect, what: &str, private: &StoredMap) {
        // What may be done again at will needs no doubt.
        if effect > Effect::Read {
            let open = matches!(
                self.status(step),
                Status::InDoubt { .. } | Status::Forced { made: Some(_), .. }
            );
            self.intended(step, open);
            self.effects.insert(step.to_owned(), (effect, self.now));
            let (what, private) = (what.to_owned(), private.clone());
            self.set(step, Status::InDoubt { what, private });
        }
    }

    /// Something is intended, beside what is open of it already.
    fn intended(&mut self, step: &str, open: bool) {
        if open {
            self.under_way.remove(step);
        } else {
            self.under_way.insert(step.to_owned());
        }
    }

    /// Whether an attempt at a step may have happened before the one under way: whatever becomes
    /// of this one leaves that open.
    pub fn open(&self, step: &str) -> bool {
        matches!(self.status(step), Status::InDoubt { .. }) && !self.under_way.contains(step)
    }

    /// The same of taking it back.
    pub fn undo_open(&self, step: &str) -> bool {
        self.undo(step) == Some(Undo::InDoubt) && !self.under_way.contains(step)
    }

    /// An input has another value from here on; the one it had was refused.
    fn renewed(&mut self, input: &str, value: &Stored) {
        let own = !input.contains('/');
        let inputs = if own { &mut self.inputs } else { &mut self.inner };
        if let Some(old) = inputs.insert(input.to_owned(), value.clone()) {
            self.refused.entry(input.to_owned()).or_default().push(old);
        }
    }

    /// What was about to be done, or taken back, was refused.
    fn not_done(&mut self, step: &str) {
        let settled = self.under_way.remove(step);
        if settled && self.undo(step) == Some(Undo::InDoubt) {
            self.undos.remove(step);
        } else if settled && matches!(self.status(step), Status::InDoubt { .. }) {
            self.set(step, Status::Pending);
        }
    }

    /// How things stood before a step that is in doubt.
    fn before(&self, step: &str) -> StoredMap {
        match self.status(step) {
            Status::InDoubt { private, .. } => private.clone(),
            _ => StoredMap::new(),
        }
    }

    fn failed(&mut self, step: &str, doubt: bool) {
        let settled = self.under_way.remove(step) && !doubt;
        match self.statuses.get_mut(step) {
            // The effect is there; what does not hold is what should follow from it.
            Some(Status::Done(done)) => done.gates_failed = true,
            Some(Status::InDoubt { .. }) if !settled => {}
            _ => self.set(step, Status::Pending),
        }
    }

    fn undo_failed(&mut self, step: &str, doubt: bool) {
        if self.under_way.remove(step) && !doubt {
            self.undos.remove(step);
        }
    }

    /// Whether what a step did was just put down under a name of its own, `create@1`, as the step is
    /// to be done anew: it stands where the step stood.
    fn kept(&mut self, step: &str, just_done: Option<String>) -> bool {
        // what was done after a failure, `clean@17`, goes under a number of its own, too
        let own = earlier(step).unwrap_or_else(|| step.to_owned());
        let name = just_done.filter(|name| earlier(name).is_some_and(|of| of == own));
        let Some(last) = name.and_then(|name| self.order.pop_if(|last| *last == name)) else {
            return false;
        };
        self.done_as(&last, step);
        if self.outdated.remove(step) {
            self.outdated.insert(last.clone());
        }
        match self.order.iter().position(|done| done == step) {
            Some(at) => self.order[at] = last,
            None => self.order.push(last),
        }
        self.finished.remove(step);
        true
    }

    /// A step that is to be done again. If that makes another thing, what was made first has a name
    /// of its own, and nothing of it counts for the second.
    fn forced(&self, step: &str, kept: bool) -> Status {
        match self.status(step) {
            Status::Done(done) if !kept => {
                let made = done.how.is_ours();
                let made = done.effect.filter(|_| made).map(|effect| (effect, done.at));
                Status::Forced { before: done.private.clone(), made }
            }
            Status::InDoubt { private, .. } => {
                Status::Forced { before: private.clone(), made: None }
            }
            // what it is for stays what it is known by
            Status::Done(done) => {
                let item = done.private.get(ITEM).map(|item| (ITEM.to_owned(), item.clone()));
                Status::Forced { before: item.into_iter().collect(), made: None }
            }
            _ => Status::Forced { before: StoredMap::new(), made: None },
        }
    }

    /// A name for what a step did, before it is done anew: `create@1`, `outer/create@2[0]`.
    pub fn name_for_earlier(&self, step: &str) -> String {
        let start = step.rfind('/').map_or(0, |slash| slash + 1);
        let end = step[start..].find(['@', '[']).map_or(step.len(), |at| start + at);
        let item = step[start..].find('[').map_or("", |at| &step[start + at..]);
        let name = |number: usize| format!("{}@{number}{item}", &step[..end]);
        let free = |name: &String| !self.statuses.contains_key(name);
        (1..=self.statuses.len() + 1).map(name).find(free).unwrap_or_default()
    }

    fn decided(&mut self, step: &str, decision: Decision, just_done: Option<String>) {
        match decision {
            // While the run is taken back, it is the taking back that is done again.
            Decision::Redo if self.undo(step) == Some(Undo::InDoubt) => {
                self.undos.remove(step);
            }
            Decision::Redo => {
                let kept = self.kept(step, just_done);
                let forced = self.forced(step, kept);
                self.set(step, forced);
                self.reopened.extend(above(step).map(str::to_owned));
            }
            Decision::Rerun => {
                self.kept(step, just_done);
                self.set(step, Status::Pending);
                self.reopened.extend(above(step).map(str::to_owned));
            }
            Decision::Adopt => self.adopts.push(step.to_owned()),
            Decision::Keep => {
                let digest = self.digest(step);
                if let Some(Status::Done(done)) = self.statuses.get_mut(step) {
                    done.digest = digest;
                }
            }
        }
    }
}
