//! The way out of the engine: events, in order, to the journal and to the report.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::crash;
use crate::journal::event::{Entry, Event};
use crate::journal::{Journal, JournalError};
use crate::redact;
use crate::report::Report;
use crate::world::Clock;

/// When an event must be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// Before anything else happens.
    Now,
    /// Handed to the system: the death of the process does not lose it, a power cut may.
    Written,
    /// With the next event that must be, or at the end: losing it loses nothing but time.
    Soon,
    /// Not at all: it is only shown.
    Never,
}

/// A report that prompts can suspend while the engine feeds it.
pub type SharedReport = Rc<RefCell<Box<dyn Report>>>;

/// Numbers events, writes them down and shows them.
pub struct Recorder {
    run: String,
    clock: Arc<dyn Clock>,
    redactor: redact::Shared,
    began: Duration,
    inner: RefCell<Inner>,
}

struct Inner {
    journal: Box<dyn Journal>,
    report: SharedReport,
    seq: u64,
    pending: Vec<Entry>,
}

impl Recorder {
    /// A recorder for a run whose journal ends with number `last`.
    pub fn new(
        run: String,
        last: u64,
        clock: Arc<dyn Clock>,
        journal: Box<dyn Journal>,
        report: SharedReport,
        redactor: redact::Shared,
    ) -> Self {
        let began = clock.monotonic();
        let inner = RefCell::new(Inner { journal, report, seq: last, pending: Vec::new() });
        Self { run, clock, redactor, began, inner }
    }

    /// The run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The number of the last event.
    pub fn last(&self) -> u64 {
        self.inner.borrow().seq
    }

    /// What a sealed value is bound to, so that none can stand in another's place.
    pub fn label(&self, place: &str, name: &str) -> String {
        format!("{}/{place}/{name}", self.run)
    }

    /// Milliseconds on a clock that never goes back.
    pub fn now_ms(&self) -> u64 {
        millis(self.clock.monotonic())
    }

    /// Milliseconds since this walk began.
    pub fn walk_ms(&self) -> u64 {
        millis(self.clock.monotonic().saturating_sub(self.began))
    }

    /// Says an event, masked. It is shown only after it is as durable as it must be.
    pub fn say(&self, event: Event, durable: Durable) -> Result<(), JournalError> {
        let event = event.masked(&|text| self.redactor.mask(text));
        let inner = &mut *self.inner.borrow_mut();
        let kept = durable != Durable::Never;
        let seq = inner.seq + u64::from(kept);
        let entry = Entry { run: self.run.clone(), seq, at_ms: self.clock.now_ms(), event };
        if kept {
            inner.seq = seq;
            inner.pending.push(entry.clone());
        }
        match durable {
            Durable::Now => inner.write(true)?,
            Durable::Written => inner.write(false)?,
            Durable::Soon | Durable::Never => {}
        }
        inner.report.borrow_mut().event(&entry);
        Ok(())
    }

    /// Hands the system whatever it does not have yet: before a wait that may be long.
    pub fn hand_over(&self) -> Result<(), JournalError> {
        self.inner.borrow_mut().write(false)
    }

    /// Shows what is left to say.
    pub fn finish(&self) {
        self.inner.borrow().report.borrow_mut().finish();
    }
}

impl Inner {
    fn write(&mut self, sync: bool) -> Result<(), JournalError> {
        if !self.pending.is_empty() {
            crash::point();
            self.journal.append(&self.pending, sync)?;
            crash::point();
            self.pending.clear();
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
