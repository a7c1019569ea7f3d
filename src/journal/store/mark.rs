//! The mark: a small file that says how far the journal had surely come.
//!
//! It is written after each durable append and never synced, so it is never ahead of
//! the journal: after a power cut it may be older, which is harmless. It shows what no
//! look at the journal alone can: a log that was deleted or cut short, or whose last
//! frames were damaged and dropped, would otherwise read as a run that got less far.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Its name, beside the journal.
pub(super) const FILE: &str = "journal.mark";

/// A run and the number of an event that it has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) no: i64,
    pub(super) seq: u64,
}

/// The mark of one folder; its file is opened at the first append.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    file: Option<File>,
}

/// Whether a folder has one.
pub(super) fn exists(dir: &Path) -> Result<bool, StoreError> {
    super::exists(&dir.join(FILE))
}

impl Mark {
    pub(super) fn new(dir: &Path) -> Self {
        Self { path: dir.join(FILE), file: None }
    }

    /// What it says; `None` without one, or with one that was cut while being written.
    pub(super) fn get(&self) -> Option<Reached> {
        parse(&fs::read_to_string(&self.path).ok()?)
    }

    /// Moves it. A failure weakens the check and nothing else, so it is not told.
    pub(super) fn set(&mut self, no: i64, seq: u64) {
        if self.file.is_none() {
            self.file = open(&self.path).ok();
        }
        if let Some(file) = &self.file {
            // one write of one length: a reader never sees half of an old one
            let _ = file.write_all_at(line(no, seq).as_bytes(), 0);
        }
    }

    /// Empties it: before its run is forgotten.
    pub(super) fn clear(&mut self) -> Result<(), StoreError> {
        let emptied = match open(&self.path) {
            Ok(file) => file.set_len(0),
            Err(error) => Err(error),
        };
        emptied.map_err(|error| StoreError::io("write", &self.path, &error))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn line(no: i64, seq: u64) -> String {
    let said = format!("{no:020} {seq:020}");
    let sum = sum(&said);
    format!("{said} {sum}\n")
}

fn sum(said: &str) -> String {
    super::digest_of(said).chars().take(16).collect()
}

fn parse(line: &str) -> Option<Reached> {
    let (said, kept) = line.strip_suffix('\n')?.rsplit_once(' ')?;
    let (no, seq) = said.split_once(' ')?;
    (sum(said) == kept).then_some(Reached { no: no.parse().ok()?, seq: seq.parse().ok()? })
}
