//! One hand per run: a file lock that ends with its process.
//!
//! The lock is the system's, on an open file; the file's text only tells others who has
//! it. So a dead holder's lock does not stay, whatever the file says.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StoreError;

/// Who holds a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process; 0 when it is not known.
    pub pid: u32,
    /// The machine it runs on.
    pub host: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: i64,
}

impl Holder {
    /// This process, from this time on.
    pub fn here(since_ms: i64) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        let host = if host.is_empty() { "localhost" } else { host };
        Self { pid: std::process::id(), host: host.to_owned(), since_ms }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("another process");
        }
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

/// Why a run could not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockError {
    /// Another process is at work on it.
    Held {
        /// Which; 0 when it is not known.
        pid: u32,
        /// On which machine.
        host: String,
        /// Since when, in milliseconds since the Unix epoch.
        since_ms: i64,
    },
    /// The lock's file could not be made, or the run's name is none.
    Failed(StoreError),
}

impl std::error::Error for LockError {}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { pid, host, since_ms } => {
                let holder = Holder { pid: *pid, host: host.clone(), since_ms: *since_ms };
                write!(f, "the run is held by {holder}")
            }
            Self::Failed(error) => error.fmt(f),
        }
    }
}

/// A run in this process's hand, or many, until it is dropped.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    /// Open as long as the lock is held.
    file: File,
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // while it is still locked: who waits at the old file sees that it is gone
        let _ = fs::remove_file(&self.path);
    }
}

/// How often a file is looked at that another process is just making or removing.
const LOOKS: usize = 1000;

/// How many of these looks come at once. Who has not written its name by then waits for a
/// processor, and gets more time: a second and more in all.
const QUICK_LOOKS: usize = 100;

/// What the name of a file begins with that locks many runs: no run's name does.
const MANY: &str = ".from-";

/// Takes a run: locks `DIR/locks/RUN` and writes the holder into it.
pub fn lock(dir: &Path, run: &str, holder: &Holder) -> Result<RunLock, LockError> {
    if !is_name(run) {
        let what = format!("`{run}` is no name for a run");
        return Err(LockError::Failed(StoreError::misuse(what)));
    }
    let folder = dir.join("locks");
    let path = folder.join(run);
    let failed = |error| LockError::Failed(StoreError::io("lock", &path, &error));
    let lock = take(&folder, &path, holder)?;
    match among_many(&folder, run).map_err(failed)? {
        Some(Holder { pid, host, since_ms }) => Err(LockError::Held { pid, host, since_ms }),
        None => Ok(lock),
    }
}

/// Takes runs that no other process knows of yet, with one file for all of them: a file for each
/// costs more than the run. They are held until all of them are let go.
pub fn lock_new(dir: &Path, runs: &[String], holder: &Holder) -> Result<RunLock, LockError> {
    let folder = dir.join("locks");
    let path = folder.join(format!("{MANY}{}", runs.first().map_or("none", String::as_str)));
    let lock = take(&folder, &path, holder)?;
    let text = runs.iter().fold(String::new(), |text, run| text + "\n" + run);
    let written = (&lock.file).write_all(text.as_bytes());
    written.map_err(|error| LockError::Failed(StoreError::io("lock", &path, &error)))?;
    Ok(lock)
}

/// Who is at work on a run, on any.
pub fn busy(dir: &Path) -> Result<Option<Holder>, StoreError> {
    let folder = dir.join("locks");
    let failed = |error: io::Error| StoreError::io("look into", &folder, &error);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        // one that is gone by now has nobody at work on it
        let Ok(mut file) = File::open(entry.map_err(failed)?.path()) else { continue };
        if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
            let unknown = Holder { pid: 0, host: String::new(), since_ms: 0 };
            return Ok(Some(read_holder(&mut file).unwrap_or(unknown)));
        }
    }
    Ok(None)
}

/// Which runs are in some process's hand. What one file holds for many is read once, when first
/// asked for.
pub(super) struct Hands {
    folder: PathBuf,
    many: OnceCell<HashSet<String>>,
}

impl Hands {
    /// The hands of the journal in this folder.
    pub(super) fn of(dir: &Path) -> Self {
        Self { folder: dir.join("locks"), many: OnceCell::new() }
    }

    /// Whether a process is at work on this run.
    pub(super) fn hold(&self, run: &str) -> Result<bool, StoreError> {
        let failed = |error| StoreError::io("look into", &self.folder, &error);
        if is_name(run) && locked(&self.folder.join(run)).map_err(failed)?.is_some() {
            return Ok(true);
        }
        if self.many.get().is_none() {
            let _ = self.many.set(self.read().map_err(failed)?);
        }
        Ok(self.many.get().is_some_and(|many| many.contains(run)))
    }

    fn read(&self) -> io::Result<HashSet<String>> {
        let files = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
            files => files?,
        };
        let mut many = HashSet::new();
        for file in files {
            let path = file?.path();
            if for_many(&path)
                && let Some(mut file) = locked(&path)?
            {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                many.extend(text.lines().skip(1).map(str::to_owned));
            }
        }
        Ok(many)
    }
}

/// The file, if somebody holds it. One that is gone by now has nobody at work on it.
fn locked(path: &Path) -> io::Result<Option<File>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(file)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Locks a file, whatever it stands for, and writes the holder into it.
fn take(folder: &Path, path: &Path, holder: &Holder) -> Result<RunLock, LockError> {
    let failed = |error| LockError::Failed(StoreError::io("lock", path, &error));
    let mut seen = None;
    for look in 0..LOOKS {
        let mut file = open_in(folder, path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path).map_err(failed)? => {
                write_holder(&mut file, holder).map_err(failed)?;
                return Ok(RunLock { path: path.to_owned(), file });
            }
            // its holder removed it just now: what was locked is a file nobody finds
            Ok(()) => {}
            // who only looks holds it shared, for a moment: what the file says is of a dead one
            Err(TryLockError::WouldBlock) if file.try_lock_shared().is_ok() => pause(look),
            Err(TryLockError::WouldBlock) => {
                seen = read_holder(&mut file);
                if seen.is_some() {
                    break;
                }
                pause(look); // it has not written its name yet
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    let Holder { pid, host, since_ms } =
        seen.unwrap_or(Holder { pid: 0, host: String::new(), since_ms: 0 });
    Err(LockError::Held { pid, host, since_ms })
}

#[expect(clippy::disallowed_methods, reason = "no step is walked before the run is in hand")]
fn pause(look: usize) {
    if look < QUICK_LOOKS {
        std::thread::yield_now();
    } else {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Who holds this run among many. Files whose holder has died are taken away.
fn among_many(folder: &Path, run: &str) -> io::Result<Option<Holder>> {
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if !for_many(&path) {
            continue;
        }
        let Ok(mut file) = File::open(&path) else { continue };
        // shared: another process that looks too is no holder
        match file.try_lock_shared() {
            Ok(()) if is_at(&file, &path)? => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                let mut lines = text.lines();
                let holder = lines.next().and_then(|line| serde_json::from_str(line).ok());
                if lines.any(|held| held == run) {
                    return Ok(holder);
                }
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

fn for_many(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(MANY.as_bytes()))
}

/// Whether this can be a run's name, and so a file's: `r7`.
pub(super) fn is_name(run: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=100).contains(&run.len()) && !run.starts_with('.') && run.chars().all(plain)
}

/// Opens a file in a folder that is there after the first time.
fn open_in(folder: &Path, path: &Path) -> io::Result<File> {
    match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            open(path)
        }
        opened => opened,
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match path.metadata() {
        Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    if file.metadata()?.len() > 0 {
        file.set_len(0)?;
    }
    file.write_all(serde_json::to_string(holder)?.as_bytes())
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(text.lines().next()?).ok()
}
