//! The journal: what happened in a run, one event after another.
//!
//! The engine appends; everything else only reads. An intent is on disk
//! before its effect begins, so a run can be cut anywhere and resumed.
//! This module knows values and times; it does not know steps.

pub mod event;
pub mod seal;
pub mod store;

use event::Entry;

/// Where events go: `SQLite` on this machine, memory in a rehearsal.
pub trait Journal {
    /// Appends the next entries of one run. When it returns they survive the death of the
    /// process, and with `sync` that of the machine.
    fn append(&mut self, entries: &[Entry], sync: bool) -> Result<(), JournalError>;
}

/// Why the journal could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalError {
    /// What is wrong, one line.
    pub message: String,
    /// What can be done about it.
    pub hint: String,
}

/// A journal for runs that leave no trace.
#[derive(Debug, Default)]
pub struct Memory;

impl Journal for Memory {
    fn append(&mut self, _: &[Entry], _: bool) -> Result<(), JournalError> {
        Ok(())
    }
}
