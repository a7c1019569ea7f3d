//! What can be wrong with the journal, said so that a person can act on it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::Holder;

/// Why the journal could not be read or written. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// What is on disk is not what was written.
    Damaged {
        /// The database.
        file: PathBuf,
        /// What was seen.
        what: String,
    },
    /// A later version of this program wrote it.
    Newer {
        /// The database.
        file: PathBuf,
        /// Its version.
        version: i64,
        /// The newest version known here.
        known: i64,
    },
    /// It is not a journal: no database at all, or another program's.
    Foreign {
        /// What stands in the journal's place.
        file: PathBuf,
    },
    /// The events do not continue the run: someone else wrote to it.
    Conflict {
        /// The run.
        run: String,
        /// The number its next event has.
        expected: u64,
        /// The number that was given.
        given: u64,
    },
    /// No run has this name.
    UnknownRun {
        /// The name.
        run: String,
    },
    /// A process is at work on the run.
    InUse {
        /// The run.
        run: String,
        /// Who.
        holder: Holder,
    },
    /// Other processes kept the file for longer than is waited.
    Busy {
        /// The database.
        file: PathBuf,
    },
    /// The disk is full.
    Full {
        /// The database.
        file: PathBuf,
    },
    /// The file or folder may not be written, or not even read.
    Denied {
        /// Which.
        file: PathBuf,
        /// What the system said.
        what: String,
    },
    /// The system refused something else.
    Io {
        /// What was tried, one word: `create`.
        doing: String,
        /// On which file or folder.
        file: PathBuf,
        /// What the system said.
        what: String,
    },
    /// The caller's mistake: a bug of ours.
    Misuse {
        /// What.
        what: String,
    },
}

impl StoreError {
    /// What can be done about it: one line.
    pub fn hint(&self) -> String {
        match self {
            Self::Damaged { file, .. } => format!(
                "nothing was changed; look at the disk, then put back a copy of the whole folder \
                 `{0}`, or move it away to begin an empty history: a run that was under way must \
                 then be finished by hand",
                file.parent().unwrap_or(file).display()
            ),
            Self::Newer { .. } => "use the newer `runbook`, or another state folder".to_owned(),
            Self::Foreign { file } => {
                format!("move `{}` away, or use another state folder", file.display())
            }
            Self::Conflict { run, .. } => format!("see `runbook log {run}`, then resume it"),
            Self::UnknownRun { .. } => "`runbook runs` lists them".to_owned(),
            Self::InUse { holder, .. } if holder.pid == 0 => "wait until it ends".to_owned(),
            Self::InUse { holder, .. } => {
                format!("wait for process {} or stop it", holder.pid)
            }
            Self::Busy { .. } => "try again; if it stays so, look which process hangs".to_owned(),
            Self::Full { file } => format!(
                "make room on the disk of `{}`, or lift the limit on files (`ulimit -f`); what was stored is still there",
                file.display()
            ),
            Self::Denied { file, .. } => format!(
                "make it yours and writable: `chmod u+rwX '{}'`, or use another state folder",
                file.display()
            ),
            Self::Io { .. } => {
                "mend the cause (the disk, a limit on files: `ulimit -f`), then try again"
                    .to_owned()
            }
            Self::Misuse { .. } => "this is a bug in `runbook`: please report it".to_owned(),
        }
    }

    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { file: PathBuf::new(), what: what.into() }
    }

    pub(super) fn misuse(what: impl Into<String>) -> Self {
        Self::Misuse { what: what.into() }
    }

    pub(super) fn io(doing: &str, file: &Path, error: &io::Error) -> Self {
        let (file, what) = (file.to_owned(), error.to_string());
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                // what could not be made is not there to be made writable: its folder is
                let there = file.ancestors().find(|place| place.exists());
                Self::Denied { file: there.unwrap_or(&file).to_owned(), what }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { file },
            _ => Self::Io { doing: doing.to_owned(), file, what },
        }
    }

    /// Names the file where the place of the error did not know it.
    pub(super) fn at(mut self, path: &Path) -> Self {
        match &mut self {
            Self::Damaged { file, .. }
            | Self::Newer { file, .. }
            | Self::Foreign { file }
            | Self::Busy { file }
            | Self::Full { file }
            | Self::Denied { file, .. }
            | Self::Io { file, .. }
                if file.as_os_str().is_empty() =>
            {
                path.clone_into(file);
            }
            _ => {}
        }
        self
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let file = PathBuf::new();
        let what = error.to_string();
        let rusqlite::Error::SqliteFailure(cause, _) = &error else {
            // a column of another type, text that is no UTF-8, a row too few: not our writing
            return Self::damaged(what);
        };
        match cause.code {
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed => Self::Busy { file },
            ErrorCode::DiskFull => Self::Full { file },
            // the log's index could not grow: only a lack of room does that
            ErrorCode::SystemIoFailure
                if cause.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE =>
            {
                Self::Full { file }
            }
            ErrorCode::NotADatabase => Self::Foreign { file },
            ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::CannotOpen
            | ErrorCode::AuthorizationForStatementDenied => Self::Denied { file, what },
            ErrorCode::SystemIoFailure
                if cause.extended_code != rusqlite::ffi::SQLITE_IOERR_SHORT_READ
                    && cause.extended_code != rusqlite::ffi::SQLITE_IOERR_CORRUPTFS =>
            {
                Self::Io { doing: "use".to_owned(), file, what }
            }
            ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::NoLargeFileSupport => Self::Io { doing: "use".to_owned(), file, what },
            // our statements are right for our tables: anything else is the file's fault
            _ => Self::damaged(what),
        }
    }
}

impl std::error::Error for StoreError {}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { file, what } => {
                write!(f, "the journal `{}` is damaged: {what}", file.display())
            }
            Self::Newer { file, version, known } => write!(
                f,
                "the journal `{}` was written by a newer `runbook`: its format is {version}, \
                 this one knows {known}",
                file.display()
            ),
            Self::Foreign { file } => {
                write!(f, "`{}` is not a journal of `runbook`, or it is damaged", file.display())
            }
            Self::Conflict { run, expected, given } => write!(
                f,
                "someone else wrote to the run `{run}`: its next event is number {expected}, not {given}"
            ),
            Self::UnknownRun { run } => write!(f, "there is no run `{run}`"),
            Self::InUse { run, holder } => write!(f, "the run `{run}` is held by {holder}"),
            Self::Busy { file } => {
                write!(f, "other processes keep the journal `{}` busy", file.display())
            }
            Self::Full { file } => {
                write!(f, "no room left on the disk for the journal `{}`", file.display())
            }
            Self::Denied { file, what } => {
                write!(f, "the journal `{}` cannot be opened or written: {what}", file.display())
            }
            Self::Io { doing, file, what } => {
                write!(f, "cannot {doing} `{}`: {what}", file.display())
            }
            Self::Misuse { what } => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_made_is_not_named_to_be_made_writable() {
        let folder = tempfile::tempdir().unwrap();
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = StoreError::io("lock", &folder.path().join("r60"), &denied);
        let named = format!("`chmod u+rwX '{}'`", folder.path().display());
        assert!(error.hint().contains(&named), "{}", error.hint());
    }
}
