//! The way out of the engine: events, in order, to the journal and to the report.

use std::cell::RefCell;
use std::collections::VecDeque;
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
    /// What was said and is not shown yet, in the order it was said in.
    unshown: VecDeque<Unshown>,
    /// The number of the last event that is known to be written, and all before it with it.
    written: u64,
    /// Whether what is said now is said together with what follows.
    holding: bool,
    /// Why an append failed: what it held is lost, so nothing after it may be written.
    broken: Option<JournalError>,
}

/// An event on its way to the report: it is shown when all before it are.
struct Unshown {
    entry: Entry,
    after: After,
}

/// What must have come before an event is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// Only what was said before it.
    Nothing,
    /// It is written. Whoever says it gives it to the journal, with a sync if it needs one, and
    /// what a run gave later is never there earlier: once written it is as durable as it must be.
    Written,
    /// The end of what is said together.
    Held,
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
        let inner = Inner {
            journal,
            report,
            seq: last,
            pending: Vec::new(),
            unshown: VecDeque::new(),
            written: last,
            holding: false,
            broken: None,
        };
        Self { run, clock, redactor, began, inner: RefCell::new(inner) }
    }

    /// The run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The number of the last event.
    pub fn last(&self) -> u64 {
        self.inner.borrow().seq
    }

    /// Whether anything of the run is in the journal.
    pub fn stored(&self) -> bool {
        self.inner.borrow().written > 0
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
        self.line_up(entry, After::Written);
        self.settle(durable).await
    }

    /// Says an event that is on disk with the next one that must be; when it was, in milliseconds
    /// since the Unix epoch.
    pub fn keep(&self, event: Event) -> i64 {
        let entry = self.numbered(event);
        let at_ms = entry.at_ms;
        self.line_up(entry, After::Nothing);
        at_ms
    }

    /// Says an event that is only shown.
    pub fn show(&self, event: Event) {
        self.line_up(self.entry(event, self.last()), After::Nothing);
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

    /// Has on disk what is not yet there: before a person sees what only this run knows.
    pub async fn sync(&self) -> Result<(), JournalError> {
        self.write(true).await
    }

    /// From here on nothing is shown until [`together`](Self::together). Nothing is waited for
    /// between the two: another step of the run might say something meanwhile.
    pub fn hold(&self) {
        self.inner.borrow_mut().holding = true;
    }

    /// Makes what was said since [`hold`](Self::hold) as durable as it must be, in one write, and
    /// shows it.
    pub async fn together(&self, durable: Durable) -> Result<(), JournalError> {
        let after = if durable == Durable::Soon { After::Nothing } else { After::Written };
        self.inner.borrow_mut().release(after);
        self.tell();
        self.settle(durable).await
    }

    /// Makes what was said as durable as it must be.
    async fn settle(&self, durable: Durable) -> Result<(), JournalError> {
        match durable {
            Durable::Now => self.sync().await,
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

    /// Shows an event when its turn comes.
    fn line_up(&self, entry: Entry, after: After) {
        self.inner.borrow_mut().line_up(entry, after);
        self.tell();
    }

    /// Shows all whose turn has come.
    fn tell(&self) {
        let report = self.inner.borrow().report.clone();
        loop {
            let next = self.inner.borrow_mut().next_shown();
            let Some(entry) = next else { return };
            report.borrow_mut().event(&entry);
        }
    }

    /// Writes down all that was said, and shows what waited for that.
    async fn write(&self, sync: bool) -> Result<(), JournalError> {
        let written = self.written(sync).await;
        if let Err(error) = &written {
            self.inner.borrow_mut().lose(error);
        }
        self.tell();
        written
    }

    /// Nothing is borrowed while this waits: other steps of the run may go on meanwhile.
    async fn written(&self, sync: bool) -> Result<(), JournalError> {
        let broken = self.inner.borrow().broken.clone();
        broken.map_or(Ok(()), Err)?;
        let last = self.last();
        let Some(appended) = self.inner.borrow_mut().append(sync) else { return Ok(()) };
        appended.known().await?;
        crash::point();
        let inner = &mut *self.inner.borrow_mut();
        inner.written = inner.written.max(last);
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

    fn line_up(&mut self, entry: Entry, after: After) {
        let after = if self.holding { After::Held } else { after };
        self.unshown.push_back(Unshown { entry, after });
    }

    /// What was held waits for no more than this.
    fn release(&mut self, after: After) {
        self.holding = false;
        for held in self.unshown.iter_mut().filter(|unshown| unshown.after == After::Held) {
            held.after = after;
        }
    }

    /// Takes the next event that may be shown.
    fn next_shown(&mut self) -> Option<Entry> {
        let next = self.unshown.front()?;
        let may = match next.after {
            After::Nothing => true,
            After::Written => next.entry.seq <= self.written,
            After::Held => false,
        };
        if may { self.unshown.pop_front().map(|unshown| unshown.entry) } else { None }
    }

    /// Nothing can be written any more: what waited for that is not shown.
    fn lose(&mut self, error: &JournalError) {
        self.broken.get_or_insert_with(|| error.clone());
        self.unshown.retain(|unshown| unshown.after != After::Written);
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;
    use crate::world::World;

    type Told = oneshot::Sender<Result<(), JournalError>>;

    /// A journal that says later, when the test wants it, what became of what it was given.
    #[derive(Clone, Default)]
    struct Slow(Rc<RefCell<VecDeque<Told>>>);

    impl Slow {
        fn tell(&self, result: Result<(), JournalError>) {
            let told = self.0.borrow_mut().pop_front().unwrap();
            told.send(result).unwrap();
        }
    }

    impl Journal for Slow {
        fn append(&mut self, _: Vec<Entry>, _: bool) -> Appended {
            let (told, known) = oneshot::channel();
            self.0.borrow_mut().push_back(told);
            Appended::Later(known)
        }
    }

    /// The numbers of what was shown.
    #[derive(Clone, Default)]
    struct Shown(Rc<RefCell<Vec<u64>>>);

    impl Report for Shown {
        fn event(&mut self, entry: &Entry) {
            self.0.borrow_mut().push(entry.seq);
        }
    }

    fn bench() -> (Recorder, Slow, Rc<RefCell<Vec<u64>>>) {
        let (slow, shown) = (Slow::default(), Shown::default());
        let numbers = Rc::clone(&shown.0);
        let report: SharedReport = Rc::new(RefCell::new(Box::new(shown)));
        let (clock, journal) = (World::real().clock, Box::new(slow.clone()));
        let recorder =
            Recorder::new("r1".into(), 0, clock, journal, report, redact::Shared::default());
        (recorder, slow, numbers)
    }

    fn event() -> Event {
        Event::Warned { message: String::new() }
    }

    #[test]
    fn what_one_item_holds_is_not_shown_when_another_goes_on() {
        let (recorder, slow, shown) = bench();
        let mut other = Box::pin(recorder.say(event(), Durable::Written));
        assert!((&mut other).now_or_never().is_none());
        recorder.hold();
        recorder.keep(event());
        recorder.keep(event());
        let mut held = Box::pin(recorder.together(Durable::Now));
        assert!((&mut held).now_or_never().is_none());
        recorder.keep(event());
        assert_eq!(*shown.borrow(), [0; 0]);
        slow.tell(Ok(()));
        assert_eq!(other.now_or_never(), Some(Ok(())));
        assert_eq!(*shown.borrow(), [1]);
        slow.tell(Ok(()));
        assert_eq!(held.now_or_never(), Some(Ok(())));
        assert_eq!(*shown.borrow(), [1, 2, 3, 4]);
    }

    #[test]
    fn whoever_goes_on_first_shows_all_that_is_written_in_order() {
        let (recorder, slow, shown) = bench();
        let mut first = Box::pin(recorder.say(event(), Durable::Written));
        assert!((&mut first).now_or_never().is_none());
        recorder.show(event());
        let mut second = Box::pin(recorder.say(event(), Durable::Now));
        assert!((&mut second).now_or_never().is_none());
        slow.tell(Ok(()));
        slow.tell(Ok(()));
        assert_eq!(second.now_or_never(), Some(Ok(())));
        assert_eq!(*shown.borrow(), [1, 1, 2]);
        assert_eq!(first.now_or_never(), Some(Ok(())));
        assert_eq!(*shown.borrow(), [1, 1, 2]);
    }

    #[test]
    fn what_cannot_be_written_is_not_shown_and_the_rest_is() {
        let (recorder, slow, shown) = bench();
        let mut lost = Box::pin(recorder.say(event(), Durable::Now));
        assert!((&mut lost).now_or_never().is_none());
        recorder.show(event());
        slow.tell(Err(JournalError::lost()));
        assert!(lost.now_or_never().unwrap().is_err());
        let refused = recorder.say(event(), Durable::Now).now_or_never().unwrap();
        assert!(refused.is_err());
        assert_eq!(*shown.borrow(), [1], "what was only shown");
    }
}
