//! The way out of the engine: events, in order, to the journal and to the report.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::crash;
use crate::journal::event::{Entry, Event};
use crate::journal::{Appended, Journal, JournalError};
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
}

/// How many events may gather in memory.
const MANY: usize = 256;

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
    /// What is said together, and shown when it is as durable as it must be.
    held: Option<Vec<Entry>>,
    /// Why an append failed: what it held is lost, so nothing after it may be written.
    broken: Option<JournalError>,
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
        let (pending, held, broken) = (Vec::new(), None, None);
        let inner = RefCell::new(Inner { journal, report, seq: last, pending, held, broken });
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

    /// The time on a clock that never goes back.
    pub fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Milliseconds since this walk began.
    pub fn walk_ms(&self) -> u64 {
        millis(self.clock.monotonic().saturating_sub(self.began))
    }

    /// Says an event, masked. It is shown only after it is as durable as it must be.
    pub async fn say(&self, event: Event, durable: Durable) -> Result<(), JournalError> {
        if durable == Durable::Soon {
            self.keep(event);
            return Ok(());
        }
        let entry = self.numbered(event);
        // what was held and interrupted on its way is as durable by then
        self.together(durable).await?;
        self.tell(&entry);
        Ok(())
    }

    /// Says an event that is on disk with the next one that must be; when it was, in milliseconds
    /// since the Unix epoch.
    pub fn keep(&self, event: Event) -> i64 {
        let entry = self.numbered(event);
        self.tell(&entry);
        entry.at_ms
    }

    /// Says an event that is only shown.
    pub fn show(&self, event: Event) {
        let entry = self.entry(event, self.last());
        self.tell(&entry);
    }

    /// Tells the report what it should know and not show.
    pub fn recall(&self, events: Vec<Event>) {
        let entry = |event| self.entry(event, self.last());
        let entries: Vec<Entry> = events.into_iter().map(entry).collect();
        let report = self.inner.borrow().report.clone();
        report.borrow_mut().past(&entries);
    }

    /// Hands the system what has gathered, if that is much: a long run of reads is neither kept
    /// in memory whole nor lost whole when the process is killed.
    pub async fn relieve(&self) -> Result<(), JournalError> {
        if self.inner.borrow().pending.len() < MANY { Ok(()) } else { self.hand_over().await }
    }

    /// Hands the system whatever it does not have yet: before a wait that may be long.
    pub async fn hand_over(&self) -> Result<(), JournalError> {
        self.write(false).await
    }

    /// From here on nothing is shown until [`together`](Self::together).
    pub fn hold(&self) {
        self.inner.borrow_mut().held.get_or_insert_default();
    }

    /// Makes what was said since [`hold`](Self::hold) as durable as it must be, in one write, and
    /// shows it.
    pub async fn together(&self, durable: Durable) -> Result<(), JournalError> {
        let settled = self.settle(durable).await;
        let held = self.inner.borrow_mut().held.take().unwrap_or_default();
        settled?;
        for entry in &held {
            self.tell(entry);
        }
        Ok(())
    }

    /// Makes what was said as durable as it must be.
    async fn settle(&self, durable: Durable) -> Result<(), JournalError> {
        match durable {
            Durable::Now => self.write(true).await,
            Durable::Written => self.hand_over().await,
            Durable::Soon => Ok(()),
        }
    }

    /// The next event of the run, kept until it is written.
    fn numbered(&self, event: Event) -> Entry {
        let entry = self.entry(event, self.last() + 1);
        let inner = &mut *self.inner.borrow_mut();
        inner.seq = entry.seq;
        inner.pending.push(entry.clone());
        entry
    }

    fn entry(&self, event: Event, seq: u64) -> Entry {
        let event = event.masked(&|text| self.redactor.mask(text));
        Entry { run: self.run.clone(), seq, at_ms: self.clock.now_ms(), event }
    }

    fn tell(&self, entry: &Entry) {
        if let Some(held) = &mut self.inner.borrow_mut().held {
            return held.push(entry.clone());
        }
        let report = self.inner.borrow().report.clone();
        report.borrow_mut().event(entry);
    }

    /// Writes down all that was said. Nothing is borrowed while this waits: other steps of
    /// the run may go on meanwhile.
    async fn write(&self, sync: bool) -> Result<(), JournalError> {
        let broken = self.inner.borrow().broken.clone();
        broken.map_or(Ok(()), Err)?;
        let Some(appended) = self.inner.borrow_mut().append(sync) else { return Ok(()) };
        if let Err(error) = appended.known().await {
            self.inner.borrow_mut().broken = Some(error.clone());
            return Err(error);
        }
        crash::point();
        Ok(())
    }

    /// Shows what is left to say.
    pub fn finish(&self) {
        self.inner.borrow().report.borrow_mut().finish();
    }
}

impl Inner {
    /// Gives the journal what is not there yet; none if there is nothing.
    fn append(&mut self, sync: bool) -> Option<Appended> {
        if self.pending.is_empty() {
            return None;
        }
        crash::point();
        Some(self.journal.append(std::mem::take(&mut self.pending), sync))
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
