//! The tables, their version, and the way from older ones.
//!
//! A migration is never edited once released: a new version is a new line.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::StoreError;
use crate::world::sync_folder;

/// The database's name in its folder.
pub(super) const FILE: &str = "journal.db";

/// Marks a database as ours: `rbkj`.
const APPLICATION: i64 = 0x7262_6b6a;

/// A version of the tables and the ways to it.
pub(super) struct Format {
    /// Written into the database.
    pub(super) version: i64,
    /// Makes them from nothing.
    pub(super) create: &'static str,
    /// In order, each from the version it names to the next.
    pub(super) migrations: &'static [Migration],
}

/// One step between versions.
pub(super) struct Migration {
    /// The version it starts from.
    pub(super) from: i64,
    /// What it does.
    pub(super) sql: &'static str,
}

/// What this program reads and writes.
pub(super) const CURRENT: Format = Format { version: 1, create: VERSION_1, migrations: &[] };

/// `events` is the journal; the other tables can be told from it. Its key is a number
/// instead of the run's name, so that new events are neighbours on disk.
pub(super) const VERSION_1: &str = "
CREATE TABLE events(
  run INTEGER NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
  body TEXT NOT NULL, chain BLOB NOT NULL, PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs(
  no INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE, runbook TEXT NOT NULL, title TEXT NOT NULL,
  rehearsal INTEGER NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER, outcome TEXT,
  last_step TEXT, last_ms INTEGER NOT NULL, seq INTEGER NOT NULL, chain BLOB NOT NULL,
  guard BLOB NOT NULL
) STRICT;
CREATE TABLE texts(digest TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE uses(
  run INTEGER NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (run, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE counters(name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL)
  STRICT, WITHOUT ROWID;
";

impl Format {
    /// Makes a database with these tables, whole and in one move: no other process ever
    /// sees it half made. The folder is locked by the caller.
    pub(super) fn create(&self, dir: &Path) -> Result<(), StoreError> {
        let (file, draft) = (dir.join(FILE), dir.join(format!("{FILE}.new")));
        for rest in ["", "-wal", "-shm", "-journal"] {
            // of one that was killed here; that there is none is the usual case
            let _ = fs::remove_file(dir.join(format!("{FILE}.new{rest}")));
        }
        new_file(&draft).map_err(|error| StoreError::io("create", &draft, &error))?;
        self.fill(&draft).map_err(|error| error.at(&file))?;
        fs::rename(&draft, &file)
            .and_then(|()| sync_folder(dir))
            .map_err(|error| StoreError::io("create", &file, &error))
    }

    fn fill(&self, draft: &Path) -> Result<(), StoreError> {
        let mut db = Connection::open_with_flags(draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let tx = db.transaction()?;
        tx.execute_batch(self.create)?;
        tx.pragma_update(None, "application_id", APPLICATION)?;
        stamp(tx, self.version)?;
        log_ahead(&db)?;
        // closing it takes the log away again
        db.close().map_err(|(_, error)| error.into())
    }

    /// Brings older tables up to date, refuses newer and foreign ones.
    pub(super) fn settle(&self, db: &mut Connection, dir: &Path) -> Result<(), StoreError> {
        if self.look(db)? == self.version && logs_ahead(db)? {
            return Ok(());
        }
        let _locked = lock_folder(dir)?;
        // another process may have done it meanwhile
        let version = self.look(db)?;
        if version != self.version {
            self.migrate(db, dir, version)?;
        }
        log_ahead(db)
    }

    /// The version of a database: this one or one that can be migrated.
    fn look(&self, db: &Connection) -> Result<i64, StoreError> {
        // both of one state of the file
        let tx = db.unchecked_transaction()?;
        let ours: i64 = tx.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let (file, known) = (PathBuf::new(), self.version);
        if ours != APPLICATION {
            return Err(StoreError::Foreign { file });
        }
        if version > known {
            return Err(StoreError::Newer { file, version, known });
        }
        if version < known && !self.migrations.iter().any(|step| step.from == version) {
            let what = format!("there never was a version {version} of it");
            return Err(StoreError::damaged(what));
        }
        Ok(version)
    }

    /// All steps in one transaction, after a copy of what was there.
    fn migrate(&self, db: &mut Connection, dir: &Path, version: i64) -> Result<(), StoreError> {
        back_up(db, dir, version)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for step in self.migrations.iter().filter(|step| step.from >= version) {
            tx.execute_batch(step.sql)?;
        }
        stamp(tx, self.version)
    }
}

/// Keeps other processes from making or migrating the database, until it is dropped.
pub(super) fn lock_folder(dir: &Path) -> Result<File, StoreError> {
    let folder = File::open(dir).map_err(|error| StoreError::io("open", dir, &error))?;
    folder.lock().map_err(|error| StoreError::io("lock", dir, &error))?;
    Ok(folder)
}

fn logs_ahead(db: &Connection) -> Result<bool, StoreError> {
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    Ok(mode == "wal")
}

/// Writes ahead into a log from now on; the database remembers it.
fn log_ahead(db: &Connection) -> Result<(), StoreError> {
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    let what = format!("its file system cannot share a log, journal mode is `{mode}`");
    Err(StoreError::Io { doing: "use".to_owned(), file: PathBuf::new(), what })
}

/// An empty file for its owner alone; `SQLite` gives the files beside it the same mode.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn stamp(tx: Transaction<'_>, version: i64) -> Result<(), StoreError> {
    tx.pragma_update(None, "user_version", version)?;
    Ok(tx.commit()?)
}

/// Copies the database, log included, to `journal.db.vN.bak`; whole or not at all.
fn back_up(db: &Connection, dir: &Path, version: i64) -> Result<(), StoreError> {
    let copy = dir.join(format!("{FILE}.v{version}.bak"));
    let draft = dir.join(format!("{FILE}.v{version}.bak.new"));
    let told = |error| StoreError::io("back up to", &copy, &error);
    let file = new_file(&draft).map_err(told)?;
    let name = draft.to_str().ok_or_else(|| told(io::ErrorKind::InvalidFilename.into()))?;
    db.execute("VACUUM INTO ?1", [name])?;
    file.sync_all().map_err(told)?;
    fs::rename(&draft, &copy).map_err(told)?;
    sync_folder(dir).map_err(told)
}
