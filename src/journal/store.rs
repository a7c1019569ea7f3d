//! The store: the journal on disk, an `SQLite` file that many processes append to.
//!
//! What [`Store::append`] was given is durable when it returns, in one sync. What is
//! read back is what was written, or a [`StoreError`] that says what is wrong: every
//! run's events are a hash chain whose end stands in the run's own row, the log's
//! frames are checked before `SQLite` drops any (`wal`), and a mark says how far the
//! journal had surely come (`mark`). This module knows events only as far as it must
//! to list runs.

mod error;
mod forget;
mod head;
mod lock;
mod mark;
mod query;
mod schema;
mod wal;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use sha2::{Digest, Sha256};

use crate::journal::event::{Entry, Event};
use crate::value::hex;
use crate::world::sync_folder;

pub use error::StoreError;
pub use lock::{Holder, LockError, RunLock, busy, lock, lock_new};
pub use query::{RunFilter, RunState, RunSummary};

use head::Head;
use mark::Mark;
use schema::Format;

/// How long a writer waits for the others; each holds the file for one append.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pages in the log from which on it is folded into the database: in a long run by the
/// append that crosses it, …
///
/// Folding takes two syncs and beginning the log anew a third, so it must be rare: a run of
/// twenty appends writes about 55 pages and never comes here.
const LONG_LOG: u32 = 1000;

/// … and at the end of a process, from this many bytes, where nobody waits for it.
///
/// The first process to open the journal reads the log whole, twice: this bounds that time
/// (well under a millisecond). It happens to every third run or so.
const LOG_AT_CLOSE: u64 = 1 << 19;

/// From how many bytes on an event is long, as only the first one of a run with many steps is.
const LONG_EVENT: usize = 1 << 16;

const INSERT_EVENT: &str =
    "INSERT INTO events(run, seq, at_ms, kind, body, chain) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// The journal on disk.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    dir: PathBuf,
    file: PathBuf,
    mark: Mark,
    heads: HashMap<String, Head>,
}

impl Store {
    /// Opens `DIR/journal.db`, creating folder and file for their owner alone.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        make_dir(dir)?;
        Self::open_as(dir, &schema::CURRENT)
    }

    /// As [`Store::open`], but `None` when nothing has been stored yet; creates nothing then.
    pub fn open_existing(dir: &Path) -> Result<Option<Self>, StoreError> {
        let file = dir.join(schema::FILE);
        if exists(&file)? || mark::exists(dir)? || exists(&wal::path(&file))? {
            Self::open_as(dir, &schema::CURRENT).map(Some)
        } else {
            Ok(None)
        }
    }

    fn open_as(dir: &Path, format: &Format) -> Result<Self, StoreError> {
        let file = dir.join(schema::FILE);
        if size(&file)? == 0 {
            begin(dir, &file, format)?;
        }
        let dropped = wal::dropped(&file)?;
        // once there is a mark, a process has come past this
        let unwritten = size(&wal::path(&file))? == 0 && !mark::exists(dir)?;
        let mut db = connect(&file).map_err(|error| error.at(&file))?;
        let mark = Mark::new(dir);
        // before there is a store: dropping one may fold its log, and take what is left with it
        format.settle(&mut db, dir).map_err(|error| error.at(&file))?;
        if unwritten {
            // the log may be new: what is written to it must not lack its name after a power cut
            sync(dir)?;
        }
        check_mark(&db, &mark, dropped).map_err(|error| error.at(&file))?;
        Ok(Self { db, dir: dir.to_owned(), mark, file, heads: HashMap::new() })
    }

    /// Appends events in one transaction and one sync. Those of a run continue its numbers
    /// without a gap, or the error is [`StoreError::Conflict`] and nothing is stored.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        self.append_with_text(entries, None)
    }

    /// As [`Store::append`], with texts of definitions: pairs of the SHA-256 in lower-case
    /// hexadecimal and the text. A text that is there already is not stored again.
    pub fn append_with_text<'t>(
        &mut self,
        entries: &[Entry],
        texts: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<(), StoreError> {
        let reached = self.write_all(entries, texts)?;
        if let Some(head) = reached {
            self.mark.set(head.no, head.seq);
        }
        Ok(())
    }

    /// The text with this digest; `None` when it is not there.
    pub fn text(&self, digest: &str) -> Result<Option<String>, StoreError> {
        let text = self.read(|db| {
            let mut query = db.prepare_cached("SELECT text FROM texts WHERE digest = ?1")?;
            Ok(query.query_row([digest], |row| row.get::<_, String>(0)).optional()?)
        })?;
        match text {
            Some(text) if digest_of(&text) != digest => {
                Err(StoreError::damaged(format!("the definition `{digest}` was changed"))
                    .at(&self.file))
            }
            text => Ok(text),
        }
    }

    /// All events of a run in order, each proven to be what was appended.
    ///
    /// A run that is not there is [`StoreError::UnknownRun`], never an empty history.
    pub fn entries(&self, run: &str) -> Result<Vec<Entry>, StoreError> {
        self.read(|db| query::entries(db, run))
    }

    /// Takes the next free name for a run: `r1`, `r2`, … No other process gets the same.
    ///
    /// Costs no sync: the name is durable with the first event of its run.
    pub fn new_run_id(&mut self) -> Result<String, StoreError> {
        self.unsynced(|store| store.write(next_name))
    }

    /// As [`Store::new_run_id`], so many at once, one after the other.
    pub fn new_run_ids(&mut self, count: usize) -> Result<Vec<String>, StoreError> {
        self.unsynced(|store| store.write(|tx| next_names(tx, count)))
    }

    /// As [`Store::append_with_text`], without the sync: a killed process loses nothing, a
    /// power cut may lose it. The next append that syncs makes it durable too.
    pub fn append_unsynced<'t>(
        &mut self,
        entries: &[Entry],
        texts: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<(), StoreError> {
        // no mark: it must never be ahead of what is durable
        self.unsynced(|store| store.write_all(entries, texts)).map(drop)
    }

    fn unsynced<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let relaxed = self.db.pragma_update(None, "synchronous", "NORMAL");
        let done = relaxed.map_err(StoreError::from).and_then(|()| work(self));
        self.db
            .pragma_update(None, "synchronous", "FULL")
            .map_err(|error| StoreError::from(error).at(&self.file))?;
        done.map_err(|error| error.at(&self.file))
    }

    fn write_all<'t>(
        &mut self,
        entries: &[Entry],
        texts: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<Option<Head>, StoreError> {
        let texts: Vec<_> = texts.into_iter().collect();
        let known = entries.iter().any(|entry| self.heads.contains_key(&entry.run));
        match self.try_write(entries, &texts) {
            // what was known may be old: another process may have been at work on a run
            Err(_) if known => self.try_write(entries, &texts),
            result => result,
        }
    }

    /// One attempt. The heads it reached are kept for the next one, so that a run's row need not
    /// be read each time; after an error nothing is known any more.
    fn try_write(
        &mut self,
        entries: &[Entry],
        texts: &[(&str, &str)],
    ) -> Result<Option<Head>, StoreError> {
        let mut heads = std::mem::take(&mut self.heads);
        let reached = self.write(|tx| {
            for (digest, text) in texts {
                put_text(tx, digest, text)?;
            }
            append_all(tx, &mut heads, entries)
        })?;
        heads.retain(|_, head| !head.is_over());
        self.heads = heads;
        Ok(reached)
    }

    /// What is too open about the folder and its files: one line each, with the command that
    /// mends it.
    pub fn warnings(&self) -> Vec<String> {
        let files = [schema::FILE, "journal.db-wal", "journal.db-shm", mark::FILE];
        let mut found = too_open(&self.dir, 0o700).into_iter().collect::<Vec<_>>();
        found.extend(files.iter().filter_map(|file| too_open(&self.dir.join(file), 0o600)));
        found
    }

    /// One write transaction: all of it or nothing.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // immediate: the right to write is taken before anything is read, so that what
        // was read still holds when it is written
        let done = (|| {
            let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let out = work(&tx)?;
            tx.commit()?;
            Ok(out)
        })();
        done.map_err(|error: StoreError| error.at(&self.file))
    }

    /// Several queries over one state of the file.
    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = (|| {
            let tx = self.db.unchecked_transaction()?;
            work(&tx)
        })();
        done.map_err(|error: StoreError| error.at(&self.file))
    }

    /// Whether folding the log into the database is worth its syncs now.
    fn log_is_long(&self) -> bool {
        wal::path(&self.file).metadata().is_ok_and(|meta| meta.len() > LOG_AT_CLOSE)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // A short run leaves its events in the log: they are durable there, and closing
        // costs no sync. When the log has grown long, it is emptied here; only emptying
        // lets the next process begin at its start again. If others are at work it is
        // left to them: no waiting, and no error, as nothing is lost either way.
        if self.log_is_long() && self.db.busy_timeout(Duration::ZERO).is_ok() {
            let _ = fold_log(&self.db);
        }
    }
}

/// What was durable once must still be there; what is dropped from the log without it was not.
fn check_mark(db: &Connection, mark: &Mark, dropped: Option<String>) -> Result<(), StoreError> {
    let Some(reached) = mark.get() else { return Ok(()) };
    let found = Head::load_no(db, reached.no)?.map_or(0, |head| head.seq);
    // a mark that moved meanwhile: another process appended, or forgot that run
    if found >= reached.seq || mark.get() != Some(reached) {
        return Ok(());
    }
    let missing = || "events that had been stored are missing at its end".to_owned();
    Err(StoreError::damaged(dropped.unwrap_or_else(missing)))
}

/// Moves what is in the log into the database and empties it; whether that was possible.
fn fold_log(db: &Connection) -> Result<bool, StoreError> {
    let busy: i64 = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

/// A connection with the settings all of this rests on. The file exists.
fn connect(file: &Path) -> Result<Connection, StoreError> {
    // never CREATE: the file was made beforehand, with its permissions
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    db.busy_timeout(PATIENCE)?;
    db.set_prepared_statement_cache_capacity(32);
    // one sync an append: a plain close would fold the log in, with two syncs more. What
    // remains is `SQLite`'s: the first after the log was emptied syncs its header by itself
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // half a megabyte of pages: nearly every row is looked at once
    db.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;
         PRAGMA wal_autocheckpoint = {LONG_LOG}; PRAGMA journal_size_limit = {LOG_AT_CLOSE};
         PRAGMA cache_size = -512;"
    ))?;
    Ok(db)
}

/// Makes a database where there is none or an empty file, unless something says that there
/// was one: `SQLite` would delete a log that has no database.
fn begin(dir: &Path, file: &Path, format: &Format) -> Result<(), StoreError> {
    let _locked = schema::lock_folder(dir)?;
    if size(file)? > 0 {
        return Ok(()); // another process made it meanwhile
    }
    if size(&wal::path(file))? > 0 || mark::exists(dir)? {
        let what = "the database is missing or empty, but there was one";
        return Err(StoreError::damaged(what).at(file));
    }
    format.create(dir)
}

fn sync(dir: &Path) -> Result<(), StoreError> {
    sync_folder(dir).map_err(|error| StoreError::io("sync", dir, &error))
}

/// The size of a file in bytes; 0 when there is none.
fn size(file: &Path) -> Result<u64, StoreError> {
    match file.metadata() {
        Ok(meta) if meta.is_file() => Ok(meta.len()),
        Ok(_) => Err(StoreError::Foreign { file: file.to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(StoreError::io("look at", file, &error)),
    }
}

fn make_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| StoreError::io("create", dir, &error))
}

fn exists(file: &Path) -> Result<bool, StoreError> {
    file.try_exists().map_err(|error| StoreError::io("look at", file, &error))
}

fn too_open(path: &Path, wanted: u32) -> Option<String> {
    let mode = path.metadata().ok()?.permissions().mode() & 0o777;
    let path = path.display();
    (mode & !wanted != 0)
        .then(|| format!("others may look into `{path}`: `chmod {wanted:o} '{path}'` mends it"))
}

fn put_text(tx: &Transaction<'_>, digest: &str, text: &str) -> Result<(), StoreError> {
    // usually it is there: then neither its bytes nor its digest are gone through again
    if tx.prepare_cached("SELECT 1 FROM texts WHERE digest = ?1")?.exists([digest])? {
        return Ok(());
    }
    if digest_of(text) != digest {
        return Err(StoreError::misuse(format!("`{digest}` is not the digest of its text")));
    }
    tx.execute("INSERT INTO texts(digest, text) VALUES (?1, ?2)", [digest, text])?;
    Ok(())
}

/// The SHA-256 of a text in lower-case hexadecimal.
pub fn digest_of(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// Appends to each run; the last run that grew.
fn append_all(
    tx: &Transaction<'_>,
    heads: &mut HashMap<String, Head>,
    entries: &[Entry],
) -> Result<Option<Head>, StoreError> {
    let mut before: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in entries {
        if !heads.contains_key(&entry.run) {
            heads.insert(entry.run.clone(), Head::for_append(tx, entry)?);
        }
        if let Some(head) = heads.get_mut(&entry.run) {
            before.entry(&entry.run).or_insert(head.seq);
            append_one(tx, head, entry)?;
        }
    }
    for (run, before) in before {
        heads.get(run).map_or(Ok(()), |head| head.save(tx, before))?;
    }
    Ok(entries.last().and_then(|entry| heads.get(&entry.run)).cloned())
}

fn append_one(tx: &Transaction<'_>, head: &mut Head, entry: &Entry) -> Result<(), StoreError> {
    if entry.seq != head.seq + 1 {
        let (run, expected, given) = (entry.run.clone(), head.seq + 1, entry.seq);
        return Err(StoreError::Conflict { run, expected, given });
    }
    if matches!(entry.event, Event::Trace { .. }) {
        return Err(StoreError::misuse("a trace event is never in the journal"));
    }
    let body = serde_json::to_string(&entry.event)
        .map_err(|error| StoreError::misuse(format!("an event cannot be written: {error}")))?;
    head.advance(entry, &body);
    let row = (head.no, head.seq.cast_signed(), entry.at_ms, kind(&body), &body, head.chain);
    // a statement that is kept keeps room for the longest text it was given
    if body.len() > LONG_EVENT {
        tx.prepare(INSERT_EVENT)?.execute(row)?;
    } else {
        tx.prepare_cached(INSERT_EVENT)?.execute(row)?;
    }
    for digest in texts_of(&entry.event) {
        tx.prepare_cached("INSERT OR IGNORE INTO uses(run, digest) VALUES (?1, ?2)")?
            .execute((head.no, digest))?;
    }
    Ok(())
}

/// The kind of a serialized event: its tag is the first key.
fn kind(body: &str) -> &str {
    body.strip_prefix(r#"{"event":""#).and_then(|rest| rest.split('"').next()).unwrap_or("")
}

/// The definition an event refers to, and what that uses.
fn texts_of(event: &Event) -> Vec<&str> {
    match event {
        Event::Started { text, uses, runbooks, .. }
        | Event::Resumed { text: Some(text), uses, runbooks, .. } => {
            let files = runbooks.iter().map(|used| used.text.as_str());
            std::iter::once(text.as_str())
                .chain(uses.values().map(String::as_str))
                .chain(files)
                .collect()
        }
        _ => Vec::new(),
    }
}

fn next_name(tx: &Transaction<'_>) -> Result<String, StoreError> {
    let names = next_names(tx, 1)?;
    names.into_iter().next().ok_or_else(|| StoreError::misuse("no name was asked for"))
}

/// So many free names, without going through the counter for each.
fn next_names(tx: &Transaction<'_>, count: usize) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::with_capacity(count);
    while names.len() < count {
        let more = i64::try_from(count - names.len()).unwrap_or(i64::MAX);
        let last: i64 = tx
            .prepare_cached(
                "INSERT INTO counters(name, value) VALUES ('run', ?1)
                 ON CONFLICT(name) DO UPDATE SET value = value + ?1 RETURNING value",
            )?
            .query_row([more], |row| row.get(0))?;
        for number in last - more + 1..=last {
            let name = format!("r{number}");
            if !tx.prepare_cached("SELECT 1 FROM runs WHERE run = ?1")?.exists([&name])? {
                names.push(name);
            }
        }
    }
    Ok(names)
}
