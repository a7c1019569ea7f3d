//! A file's lock: others who write it are waited for, without keeping the one thread there is.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::{How, Refused, stands_at};

/// How often it is looked whether somebody still has it.
const LOOK: Duration = Duration::from_millis(10);

/// Opens and locks; once more if another process put a new file in its place meanwhile, as what
/// is written to the old one would be lost. Whoever has it locked is waited for, but not for ever.
pub(super) async fn locked(
    path: &Path,
    how: How,
    open: impl Fn() -> io::Result<(File, bool)>,
) -> io::Result<(File, bool)> {
    let found = async {
        loop {
            let (file, created) = open()?;
            lock(&file).await?;
            if stands_at(&file, path)? {
                return Ok((file, created));
            }
        }
    };
    tokio::time::timeout(how.patience, found).await.unwrap_or_else(|_| {
        let why =
            format!("another process is writing it and did not end within {:?}", how.patience);
        Err(io::Error::new(io::ErrorKind::WouldBlock, Refused(why)))
    })
}

/// Locks a file without keeping this thread: an interruption and a limit must come through.
async fn lock(file: &File) -> io::Result<()> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}
