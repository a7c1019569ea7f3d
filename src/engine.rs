//! The walk: performs what is left of a plan, one step after another, and says what happens.
//!
//! The only writer of the journal. A step whose outcome is in the journal is not performed
//! but read; resume is the same walk with a longer journal. Consecutive reads that need
//! nothing of each other run at once; their events keep the order of the file.

mod adopt;
mod attempt;
mod blame;
mod each;
mod effect;
pub mod foresee;
mod frame;
mod nested;
mod parts;
pub mod preview;
mod recall;
mod recorder;
mod renew;
mod reshaped;
pub mod titles;
pub mod undo;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt as _};

use crate::journal::JournalError;
use crate::journal::event::{Effect, Event, Failure, How, Outcome, Skip};
use crate::journal::names::above;
use crate::journal::seal::Key;
use crate::plan::{History, Status};
use crate::printable::argument;
use crate::runbook::{Runbook, Save, StepDef};
use crate::step::{Answer, Services, Trouble, judge};
use crate::value::Labeled;
pub use frame::Frame;
use frame::Unit;
pub use recorder::{Durable, Recorder, SharedReport};

/// How many reads run at once.
const AT_ONCE: usize = 8;

/// What the person wants of this walk.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What is found to be there, exactly as wanted, is taken over without asking.
    pub adopt: bool,
    /// Stop before this step.
    pub until: Option<String>,
    /// Ask before every effect.
    pub step: bool,
}

/// One walk over one run.
pub struct Engine<'a> {
    /// The definition.
    pub runbook: &'a Runbook,
    /// What the steps share.
    pub services: &'a Services,
    /// What happened so far.
    pub history: RefCell<History>,
    /// The way out.
    pub recorder: &'a Recorder,
    /// Opens and seals secrets.
    pub key: &'a Key,
    /// What the person wants.
    pub options: Options,
    renewals: renew::Renewals,
    /// What look-ups left to keep with the outcomes of their steps: cookies.
    probed: RefCell<HashMap<String, Private>>,
}

/// What an outcome keeps for later, and nobody else sees.
type Private = Vec<(&'static str, Labeled)>;

/// Why a walk could not even say how it ended.
#[derive(Debug)]
pub enum Broken {
    /// The journal cannot be written: nothing more may be done.
    Journal(JournalError),
    /// The journal does not fit the definition.
    History(String),
    /// A secret in the journal cannot be read, or none be written.
    Sealed(String),
}

impl From<JournalError> for Broken {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// Whether the walk goes on.
type Flow = Result<Option<Outcome>, Broken>;

impl<'a> Engine<'a> {
    /// A walk over a run that has this history.
    pub fn new(
        runbook: &'a Runbook,
        services: &'a Services,
        recorder: &'a Recorder,
        key: &'a Key,
        history: History,
        options: Options,
    ) -> Self {
        let (history, renewals) = (RefCell::new(history), renew::Renewals::default());
        let probed = RefCell::default();
        Self { runbook, services, history, recorder, key, options, renewals, probed }
    }

    /// Walks to the end, or to whatever stops it.
    pub async fn walk(&self) -> Result<Outcome, Broken> {
        // A run is there to be resumed from its first moment, and seen to be under way; a power cut
        // before anything was changed may lose that, and nothing with it.
        self.recorder.hand_over().await?;
        self.warn();
        let frame = match self.own_frame() {
            Err(broken @ Broken::History(_)) => {
                self.end(Outcome::Failed).await?;
                return Err(broken);
            }
            other => other?,
        };
        let outcome = self.walk_frame(&frame).await?.unwrap_or(Outcome::Done);
        self.end(outcome).await?;
        Ok(outcome)
    }

    /// Says at each walk where its author has certificates not checked.
    fn warn(&self) {
        for connection in self.runbook.connections.iter().filter(|known| known.insecure) {
            let name = &connection.name;
            let message = format!(
                "connection `{name}` is `insecure`: certificates are not checked, anybody between may read and change what is sent"
            );
            self.recorder.keep(Event::Warned { message });
        }
    }

    /// Says how the walk ended.
    pub async fn end(&self, outcome: Outcome) -> Result<(), Broken> {
        // a rehearsal is not taken up again
        if outcome != Outcome::Done && self.services.hosts.is_none() {
            self.unanswered();
        }
        let took_ms = self.recorder.walk_ms();
        Ok(self.recorder.say(Event::Ended { outcome, took_ms }, Durable::Now).await?)
    }

    /// Says which answers are for questions that were not come to: they are not kept.
    fn unanswered(&self) {
        let services = self.services;
        let (history, answered) = (self.history.borrow(), services.answered.borrow());
        let open = |step: &&String| {
            let over = matches!(history.status(step), Status::Done(_) | Status::Skipped(_));
            !over && !answered.contains(*step)
        };
        let mut left: Vec<&String> = services.answers.keys().filter(open).collect();
        left.sort();
        for step in left {
            let secret = self.runbook.performed(step).is_some_and(|(_, step)| step.action.secret());
            let given = match services.answers.get(step).filter(|_| !secret) {
                Some(answer) => format!("{step}={answer}"),
                None => step.clone(),
            };
            let given = argument(&given);
            let message = format!(
                "the answer for `{step}` was not needed yet and is not kept: give `resume` `--answer {given}` again"
            );
            self.recorder.keep(Event::Warned { message });
        }
    }

    /// Walks a frame, and does what is to be done in any case; nothing if its end was reached.
    async fn walk_frame(&self, frame: &Frame<'a>) -> Flow {
        match self.frame_steps(frame).await? {
            failed @ Some(Outcome::Failed) => self.always(frame, failed).await,
            other => Ok(other),
        }
    }

    async fn frame_steps(&self, frame: &Frame<'a>) -> Flow {
        let mut at = 0;
        while let Some(step) = frame.runbook.steps.get(at) {
            self.recorder.relieve().await?;
            let unit = frame.unit(step);
            if self.options.until.as_ref() == Some(&unit.id) {
                return Ok(Some(Outcome::Stopped));
            }
            if self.settled(&unit) {
                at += 1;
                continue;
            }
            let batch = self.batch(frame, at);
            let flow = if batch > 1 {
                self.reads(frame, &frame.runbook.steps[at..at + batch]).await?
            } else {
                self.one_anew(&unit).await?
            };
            if flow.is_some() {
                return Ok(flow);
            }
            at += batch;
        }
        Ok(None)
    }

    /// After a failure: the steps that are to be done in any case. They have names of their
    /// own in the journal, as the run that is resumed will do them again. What they leave open
    /// counts more than the failure.
    async fn always(&self, frame: &Frame<'a>, failed: Option<Outcome>) -> Flow {
        let (number, mut stopped) = (self.recorder.last(), failed);
        for step in frame.runbook.steps.iter().filter(|step| step.always) {
            let unit = frame.unit(step);
            let unbound = step.reads.iter().any(|name| {
                !frame.scope.has(name) && !step.saves.iter().any(|save| save.name == *name)
            });
            if self.settled(&unit) || unbound {
                continue;
            }
            // a person asked for it: done once more now, it is done
            let asked = self.asked_again(&unit);
            let flow = match self.left_open(&unit).await? {
                None if asked => None,
                None => self.one(&unit.again(number)).await?,
                open => open,
            };
            if flow == Some(Outcome::Interrupted) {
                return Ok(flow);
            }
            stopped = each::worse(stopped, flow);
        }
        Ok(stopped)
    }

    /// A step; before it, whatever of it was left open at the end of a walk that failed.
    async fn one_anew(&self, unit: &Unit<'a>) -> Flow {
        match self.left_open(unit).await? {
            None => self.one(unit).await,
            open => Ok(open),
        }
    }

    /// Whether an `always` step, as it was done at the end of a walk that failed, is to be done again as
    /// a person decided.
    fn asked_again(&self, unit: &Unit<'_>) -> bool {
        let history = self.history.borrow();
        let forced = |status: &Status| matches!(status, Status::Forced { .. });
        let numbers = history.again(&unit.id, forced).into_iter();
        let mut units = numbers.map(|number| unit.again(number));
        units.any(|unit| forced(history.status(&unit.id)))
    }

    /// Settles the performances of an `always` step that may or may not have happened.
    async fn left_open(&self, unit: &Unit<'a>) -> Flow {
        if !unit.step.always {
            return Ok(None);
        }
        let open =
            |status: &Status| matches!(status, Status::InDoubt { .. } | Status::Forced { .. });
        let numbers = self.history.borrow().again(&unit.id, open);
        for number in numbers {
            if let Some(outcome) = self.one(&unit.again(number)).await? {
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }

    /// Whether nothing is left to do for a step.
    fn settled(&self, unit: &Unit<'_>) -> bool {
        self.history.borrow().settled(&unit.id)
    }

    /// How many steps from here on may run at once.
    fn batch(&self, frame: &Frame<'a>, at: usize) -> usize {
        let mut saved: HashSet<&str> = HashSet::new();
        let mut count = 0;
        for step in &frame.runbook.steps[at..] {
            let unit = frame.unit(step);
            let alone = step.effect > Effect::Read
                || step.action.alone()
                || step.action.nested().is_some()
                || step.for_each.is_some()
                || self.options.until.as_ref() == Some(&unit.id)
                || *self.history.borrow().status(&unit.id) != Status::Pending
                || step.reads.iter().any(|name| saved.contains(name.as_str()));
            if alone {
                break;
            }
            saved.extend(step.saves.iter().map(|save| save.name.as_str()));
            count += 1;
        }
        count.max(1)
    }

    /// Reads that need nothing of each other, at once; outcomes in the order of the file.
    async fn reads(&self, frame: &Frame<'a>, steps: &'a [StepDef]) -> Flow {
        let mut waiting = steps.iter().map(|step| frame.unit(step));
        let mut running = FuturesOrdered::new();
        running.extend(waiting.by_ref().take(AT_ONCE).map(|unit| self.wanted_read(unit)));
        while let Some(read) = running.next().await {
            running.extend(waiting.next().map(|unit| self.wanted_read(unit)));
            if let Some(outcome) = self.conclude(read?).await? {
                return Ok(Some(outcome));
            }
            self.recorder.relieve().await?;
        }
        Ok(None)
    }

    /// One step, whatever it is.
    async fn one(&self, unit: &Unit<'a>) -> Flow {
        if let Some(nested) = unit.step.action.nested() {
            return self.nested(unit, nested).await;
        }
        match &unit.step.for_each {
            Some(each) => self.each(unit, each).await,
            None => self.single(unit).await,
        }
    }

    /// A read with its `when`, and the time at which it began.
    async fn wanted_read<'u>(&self, unit: Unit<'u>) -> Result<Read<'u>, Broken> {
        let began = self.now();
        let got = match Self::wanted(&unit) {
            Ok(true) => {
                self.begin(&unit).await?;
                self.read(&unit).await.map(Some)
            }
            Ok(false) => Ok(None),
            Err(trouble) => Err(trouble),
        };
        Ok(Read { unit, began, got })
    }

    /// Whether a step's `when` holds. What it would show by itself must not be secret.
    fn wanted(unit: &Unit<'_>) -> Result<bool, Trouble> {
        let held = unit.step.when.as_ref().map(|when| when.holds(&*unit.scope)).transpose();
        let held =
            held.map_err(|error| Trouble::failed(format!("`when` cannot be judged: {}", error.0)))?;
        let wanted = held.unwrap_or(true);
        if wanted && unit.step.action.nested().is_none() {
            // into a used runbook the label goes with the value
            unit.refuse_shown(&unit.step.uses.list)?;
            unit.refuse_shown(&unit.step.uses.before)?;
        }
        Ok(wanted)
    }

    fn skip(&self, unit: &Unit<'_>) {
        self.tell(Event::Skipped { step: unit.id.clone(), why: Skip::When });
    }

    /// A step's title, if it has one and all in it is known.
    fn title(&self, unit: &Unit<'_>, reveal: bool) -> Option<String> {
        let none = HashMap::new();
        let cx = self.cx(unit, false, &none, &|_| ());
        cx.shown(unit.step.title.as_ref()?, reveal).ok()
    }

    /// The line that says a step has begun.
    async fn begin(&self, unit: &Unit<'_>) -> Result<(), Broken> {
        let reveal = unit.step.reveal;
        let title = self.title(unit, reveal).unwrap_or_else(|| unit.id.clone());
        if reveal || unit.step.action.asks() && self.services.terminal.present() {
            // The person may think for hours, and what was shown may be used: nothing must be lost.
            self.recorder.sync().await?;
        }
        let _lifted = reveal.then(|| self.services.redactor.lift());
        self.recorder.show(Event::Began { step: unit.id.clone(), title });
        Ok(())
    }

    /// The outcome of a read: its gates are judged before it counts as done.
    async fn conclude(&self, read: Read<'_>) -> Flow {
        let Read { unit, began, got } = read;
        let got = match got {
            Ok(Some(got)) => got,
            Ok(None) => {
                self.skip(&unit);
                return Ok(None);
            }
            Err(trouble) => return self.fail(&unit, began, trouble),
        };
        if let Err(failure) = judge(&unit.step.gates, &unit.scope, &self.services.redactor) {
            return self.fail(&unit, began, self.gate_failed(&unit, failure));
        }
        // What a person said is not asked twice, so it must not be lost.
        let asked = unit.step.action.asks() && !self.services.yes;
        let durable = if asked { Durable::Now } else { Durable::Soon };
        self.done(&unit, began, got, None, durable).await?;
        Ok(None)
    }

    /// The time on a clock that never goes back, and stands still while a person thinks.
    fn now(&self) -> Duration {
        self.recorder.now().saturating_sub(self.services.thought.get())
    }

    /// Milliseconds since then.
    fn took(&self, began: Duration) -> u64 {
        recorder::millis(self.now().saturating_sub(began))
    }

    /// Says an event, and takes it into the history; on disk with the next that must be.
    fn tell(&self, event: Event) {
        self.history.borrow_mut().take(&event);
        self.recorder.keep(event);
    }

    /// The same, for one that may have to be on disk first.
    async fn tell_as(&self, event: Event, durable: Durable) -> Result<(), Broken> {
        self.history.borrow_mut().take(&event);
        Ok(self.recorder.say(event, durable).await?)
    }

    fn fail(&self, unit: &Unit<'_>, began: Duration, mut trouble: Trouble) -> Flow {
        let took_ms = self.took(began);
        let open = self.history.borrow().open(&unit.id);
        if let Trouble::Failed(failure, _) = &mut trouble {
            // where nothing is changed nothing can have happened
            failure.doubt &= unit.step.effect > Effect::Read;
        }
        match trouble.doubtful(open) {
            Trouble::Interrupted => Ok(Some(Outcome::Interrupted)),
            Trouble::Waiting(ask) => {
                let secret = unit.step.action.secret();
                self.tell(Event::Asked { step: unit.id.clone(), ask, secret });
                Ok(Some(Outcome::Waiting))
            }
            Trouble::Failed(failure, _) if unit.step.optional && !failure.doubt => {
                self.tolerate(unit, began, &failure)
            }
            Trouble::Failed(mut failure, again) => {
                let texts = self.hints(unit, &failure);
                failure.hints.extend(texts);
                failure.hints.extend(self.blamed(unit, &failure, &again));
                failure.hints.extend(self.skipped_before(unit, &failure));
                Ok(Some(self.failed(unit, failure, took_ms)))
            }
        }
    }

    /// What the author says to a failure: at the step, then at those around that use its runbook.
    fn hints(&self, unit: &Unit<'_>, failure: &Failure) -> Vec<String> {
        let around = above(&unit.id).filter_map(|id| self.runbook.performed(id));
        let uses = around.map(|(_, step)| step).filter(|step| step.action.nested().is_some());
        let uses: Vec<&StepDef> = uses.collect();
        let steps = std::iter::once(unit.step).chain(uses.into_iter().rev());
        let fitting = steps.flat_map(|step| &step.hints).filter(|hint| hint.fits(failure));
        fitting.map(|hint| hint.text.clone()).collect()
    }

    fn failed(&self, unit: &Unit<'_>, mut failure: Failure, took_ms: u64) -> Outcome {
        failure.hints.iter_mut().for_each(|hint| self.name_run(hint));
        let step = unit.step;
        let asks = failure.doubt && step.already.is_none() && step.effect == Effect::Once;
        self.tell(Event::Failed { step: unit.id.clone(), failure, took_ms });
        if !asks {
            return Outcome::Failed;
        }
        self.doubt(unit, self.what(unit), Vec::new())
    }

    /// A failure that the author allows: the run goes on, with nulls. What a step has done already
    /// stays done, as it was: only what should follow from it does not hold.
    fn tolerate(&self, unit: &Unit<'_>, began: Duration, failure: &Failure) -> Flow {
        if matches!(self.history.borrow().status(&unit.id), Status::Done(_)) {
            let message = format!("`{}` is done, but: {}", unit.id, failure.message);
            self.recorder.keep(Event::Warned { message });
            return Ok(None);
        }
        let null = |save: &Save| (save.name.clone(), Labeled::plain(serde_json::Value::Null));
        let saved: Vec<_> = unit.step.saves.iter().map(null).collect();
        for (name, value) in &saved {
            self.know(&unit.scope, name, value.clone());
        }
        let answer = Answer { summary: failure.message.clone(), ..Answer::default() };
        let got = attempt::Got { answer, saved };
        let done = self.done_event(unit, began, got, Some(How::Tolerated))?;
        self.tell(done);
        Ok(None)
    }
}

/// A read that has come back; nothing if its `when` does not hold.
struct Read<'u> {
    unit: Unit<'u>,
    began: Duration,
    got: Result<Option<attempt::Got>, Trouble>,
}
