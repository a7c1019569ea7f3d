//! A journal that many runs of one process share: what they give meanwhile goes in one commit.
//!
//! One thread owns the store. While it waits for the disk the others' entries gather, and the
//! next commit takes all of them, and those of runs that are just about to give some: the more
//! runs wait, the more share a sync. A run that is alone waits for nobody. A run whose
//! entries do not fit its history (another process was at work on it) is refused by itself;
//! all others of that commit are written.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::event::Entry;
use super::store::{Store, StoreError};
use super::{Appended, Journal, JournalError};
use crate::crash;

/// How long a commit waits for one more run to join it, while there are some that may.
const LULL: Duration = Duration::from_micros(300);

/// What one run gave, and where it is told what became of it.
struct Job {
    entries: Vec<Entry>,
    sync: bool,
    told: oneshot::Sender<Result<(), JournalError>>,
}

/// The thread that writes; it ends when no run can give it anything any more.
#[derive(Debug)]
pub struct Shared {
    hand: Hand,
    writer: JoinHandle<()>,
}

impl Shared {
    /// Gives a store to a thread of its own.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn new(store: Store) -> std::io::Result<Self> {
        let (jobs, taken) = channel();
        let hand = Hand { jobs, hands: Arc::new(()) };
        let hands = Arc::downgrade(&hand.hands);
        let named = std::thread::Builder::new().name("journal".to_owned());
        let writer = named.spawn(move || serve(store, &taken, &hands))?;
        Ok(Self { hand, writer })
    }

    /// The journal as one run has it.
    pub fn hand(&self) -> Hand {
        self.hand.clone()
    }

    /// Waits until all that was given is written and the store is closed. Hands must be gone.
    pub fn close(self) {
        drop(self.hand);
        // one that panicked has said so
        let _ = self.writer.join();
    }
}

/// The journal as one run has it.
#[derive(Debug, Clone)]
pub struct Hand {
    jobs: Sender<Job>,
    /// Counts the hands.
    hands: Arc<()>,
}

impl Journal for Hand {
    fn append(&mut self, entries: Vec<Entry>, sync: bool) -> Appended {
        let (told, known) = oneshot::channel();
        match self.jobs.send(Job { entries, sync, told }) {
            Ok(()) => Appended::Later(known),
            Err(_) => Appended::Now(Err(JournalError::lost())),
        }
    }
}

fn serve(mut store: Store, jobs: &Receiver<Job>, hands: &Weak<()>) {
    while let Ok(first) = jobs.recv() {
        let mut together = vec![first];
        // the one that is never used to write is no run's
        while together.len() + 1 < hands.strong_count()
            && let Ok(next) = jobs.recv_timeout(LULL)
        {
            together.push(next);
        }
        together.extend(jobs.try_iter());
        commit(&mut store, together);
    }
}

/// One transaction, and one sync if any of them asks for it.
fn commit(store: &mut Store, jobs: Vec<Job>) {
    let mut waiting = Vec::with_capacity(jobs.len());
    let mut entries = Vec::new();
    for job in jobs {
        let Some(run) = job.entries.first().map(|entry| entry.run.clone()) else { continue };
        waiting.push((run, job.sync, job.told));
        entries.extend(job.entries);
    }
    crash::point();
    let result = loop {
        let sync = waiting.iter().any(|(_, sync, _)| *sync);
        let written =
            if sync { store.append(&entries) } else { store.append_unsynced(&entries, None) };
        match written {
            Err(StoreError::Conflict { run, expected, given }) => {
                let error: JournalError =
                    StoreError::Conflict { run: run.clone(), expected, given }.into();
                entries.retain(|entry| entry.run != run);
                let refused;
                (refused, waiting) = waiting.into_iter().partition(|(name, ..)| *name == run);
                tell(refused, &Err(error));
            }
            result => break result.map_err(JournalError::from),
        }
    };
    crash::point();
    tell(waiting, &result);
}

type Waiting = Vec<(String, bool, oneshot::Sender<Result<(), JournalError>>)>;

fn tell(waiting: Waiting, result: &Result<(), JournalError>) {
    for (_, _, told) in waiting {
        // a run that was interrupted does not listen any more
        let _ = told.send(result.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::journal::event::{Event, Outcome};

    fn started() -> Event {
        Event::Started {
            runbook: "many".into(),
            title: "Many".into(),
            path: "many.toml".into(),
            folder: String::new(),
            text: "0".repeat(64),
            uses: BTreeMap::new(),
            runbooks: Vec::new(),
            steps: Arc::default(),
            inputs: BTreeMap::new(),
            given: Vec::new(),
            rehearsal: false,
            batch: None,
        }
    }

    fn entry(run: &str, seq: u64) -> Entry {
        let event = match seq {
            1 => started(),
            _ => Event::Ended { outcome: Outcome::Done, took_ms: 1 },
        };
        Entry { run: run.into(), seq, at_ms: 0, event }
    }

    fn job(entries: Vec<Entry>) -> (Job, oneshot::Receiver<Result<(), JournalError>>) {
        let (told, known) = oneshot::channel();
        (Job { entries, sync: true, told }, known)
    }

    #[test]
    fn a_run_that_does_not_fit_is_refused_and_the_others_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        store.append(&[entry("r1", 1), entry("r2", 1)]).unwrap();
        let (good, mut known) = job(vec![entry("r1", 2)]);
        let (bad, mut refused) = job(vec![entry("r2", 7)]);
        let (new, mut begun) = job(vec![entry("r3", 1)]);
        commit(&mut store, vec![good, bad, new]);
        assert_eq!(known.try_recv().unwrap(), Ok(()));
        assert_eq!(begun.try_recv().unwrap(), Ok(()));
        assert!(refused.try_recv().unwrap().is_err());
        assert_eq!(store.entries("r1").unwrap().len(), 2);
        assert_eq!(store.entries("r2").unwrap().len(), 1);
        assert_eq!(store.entries("r3").unwrap().len(), 1);
    }

    #[test]
    fn what_is_given_is_there_when_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let shared = Shared::new(Store::open(folder.path()).unwrap()).unwrap();
        for number in 0..50 {
            let mut hand = shared.hand();
            let name = format!("r{number}");
            let _ = hand.append(vec![entry(&name, 1)], false);
            let _ = hand.append(vec![entry(&name, 2)], number % 2 == 0);
        }
        shared.close();
        let store = Store::open(folder.path()).unwrap();
        for number in 0..50 {
            assert_eq!(store.entries(&format!("r{number}")).unwrap().len(), 2);
        }
    }
}
