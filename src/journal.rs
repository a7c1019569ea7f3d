//! The journal: what happened in a run, one event after another.
//!
//! The engine appends; everything else only reads. An intent is on disk
//! before its effect begins, so a run can be cut anywhere and resumed.
//! This module knows values and times; it does not know steps.

pub mod event;
pub mod names;
pub mod seal;
pub mod shared;
pub mod store;

use event::Entry;
use tokio::sync::oneshot;

/// Where events go: `SQLite` on this machine, memory in a rehearsal.
pub trait Journal {
    /// Appends the next entries of one run. Once they are there they survive the death of the
    /// process, and with `sync` that of the machine. Entries that were given earlier are never
    /// there later.
    fn append(&mut self, entries: Vec<Entry>, sync: bool) -> Appended;
}

/// Whether entries are there.
#[derive(Debug)]
pub enum Appended {
    /// It is known now.
    Now(Result<(), JournalError>),
    /// It will be known when a commit that several runs share is done.
    Later(oneshot::Receiver<Result<(), JournalError>>),
}

impl Appended {
    /// Waits until it is known.
    pub async fn known(self) -> Result<(), JournalError> {
        match self {
            Self::Now(result) => result,
            Self::Later(result) => result.await.unwrap_or_else(|_| Err(JournalError::lost())),
        }
    }
}

/// Why the journal could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalError {
    /// What is wrong, one line.
    pub message: String,
    /// What can be done about it.
    pub hint: String,
}

impl From<store::StoreError> for JournalError {
    fn from(error: store::StoreError) -> Self {
        Self { message: error.to_string(), hint: error.hint() }
    }
}

impl JournalError {
    /// Nobody writes the journal any more.
    pub(crate) fn lost() -> Self {
        Self {
            message: "what writes it has ended".to_owned(),
            hint: "see what was said before".to_owned(),
        }
    }
}

/// A journal for runs that leave no trace.
#[derive(Debug, Default)]
pub struct Memory;

impl Journal for Memory {
    fn append(&mut self, _: Vec<Entry>, _: bool) -> Appended {
        Appended::Now(Ok(()))
    }
}
