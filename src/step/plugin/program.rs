//! A plug-in's program, run: one text on its standard input, what it says, and an end in any case.
//!
//! It is the leader of a process group of its own, which is killed as a whole: when it takes too
//! long, says too much, or when this process lets go of it. What it leaves behind when it ends by
//! itself is ended too, so that nothing holds its output open.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::printable::printable;

/// How long output is waited for after the program's end, if something else holds it open.
const LINGER: Duration = Duration::from_secs(1);

/// How much of its standard error is kept, in bytes: the last.
const TAIL: usize = 64 * 1024;

/// The program, and what it was when it was trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// The SHA-256 of the file, where only this content is trusted.
    pub pinned: Option<String>,
}

/// What it was told, and what it may take.
pub(super) struct Task<'a> {
    pub(super) args: &'a [&'a str],
    pub(super) stdin: Option<String>,
    pub(super) folder: &'a Path,
    pub(super) time: Option<Duration>,
    pub(super) output: usize,
}

/// How it came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    Status(i32),
    /// By a signal.
    Signal(i32),
    /// It was killed after this long.
    TooLong(Duration),
    /// It was killed after that many bytes.
    TooMuch(usize),
    /// What it said could not be read.
    Broken(String),
}

/// What it said until its end.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) end: End,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl End {
    /// In words: `ended with exit status 1`.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Status(status) => format!("ended with exit status {status}"),
            Self::Signal(signal) => format!("was ended by signal {signal}"),
            Self::TooLong(limit) => {
                format!("did not end within {limit:?} and was killed with all it started")
            }
            Self::TooMuch(limit) => {
                format!("printed more than {} KiB and was killed", limit / 1024)
            }
            Self::Broken(why) => format!("could not be listened to: {why}"),
        }
    }
}

impl Said {
    /// The last lines of what it said, harmless to show; its output only if that may be shown.
    pub(super) fn lines(&self, output: bool) -> Vec<String> {
        let mut all = if output { tail(&self.stdout, "it printed") } else { Vec::new() };
        if !output && !self.stdout.is_empty() {
            all.push("what it printed is not shown: it may hold a secret".to_owned());
        }
        all.extend(self.complaints());
        all
    }

    /// The last lines of its standard error.
    pub(super) fn complaints(&self) -> Vec<String> {
        tail(&self.stderr, "it complained")
    }
}

/// The last lines of a text, harmless to show.
fn tail(bytes: &[u8], word: &str) -> Vec<String> {
    const LINES: usize = 10;
    const WIDTH: usize = 400;
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(LINES);
    let clip = |line: &&str| {
        let short: String = line.chars().take(WIDTH).collect();
        let more = if short.len() < line.len() { "…" } else { "" };
        format!("{word}: {}{more}", printable(&short))
    };
    lines[from..].iter().map(clip).collect()
}

impl Program {
    /// The SHA-256 of a file, in hexadecimal.
    pub fn digest(path: &Path) -> std::io::Result<String> {
        use sha2::{Digest as _, Sha256};
        Ok(crate::value::hex(&Sha256::digest(std::fs::read(path)?)))
    }

    /// Refuses a file that is not what was trusted any more.
    fn unchanged(&self) -> Result<(), String> {
        let Some(pinned) = &self.pinned else { return Ok(()) };
        match Self::digest(&self.path) {
            Ok(now) if now == *pinned => Ok(()),
            Ok(_) => Err(format!("{} has changed since it was trusted", self.path.display())),
            Err(error) => Err(format!("cannot read {}: {error}", self.path.display())),
        }
    }

    /// Runs it to its end; an error if it never began.
    pub(super) async fn talk(&self, task: Task<'_>) -> Result<Said, String> {
        self.unchanged()?;
        let mut command = Command::new(&self.path);
        command.args(task.args).current_dir(task.folder).kill_on_drop(true).process_group(0);
        command.stdin(if task.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.path.display()))?;
        Ok(listen(child, task).await)
    }
}

/// The process group of a child; killed when it is let go.
struct Group(Cell<Option<Pid>>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(Cell::new(id.and_then(Pid::from_raw)))
    }

    fn kill(&self) {
        if let Some(group) = self.0.take() {
            // Nobody may be left in it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn listen(mut child: Child, task: Task<'_>) -> Said {
    let group = Group::of(&child);
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = (RefCell::new(Vec::new()), RefCell::new(VecDeque::new()));
    let status: Cell<Option<ExitStatus>> = Cell::new(None);
    let over = tokio::sync::Notify::new();
    let whole = async {
        let end = async {
            let ended = child.wait().await.map_err(|error| End::Broken(error.to_string()))?;
            status.set(Some(ended));
            group.kill();
            over.notify_one();
            Ok(())
        };
        let write = async {
            if let (Some(mut pipe), Some(text)) = (input, &task.stdin) {
                // A program that does not read all of it is no failure of ours.
                let _ = pipe.write_all(text.as_bytes()).await;
            }
            Ok(())
        };
        tokio::try_join!(end, fill(output, &stdout, task.output), keep(errors, &stderr), write)
            .map(drop)
    };
    let held_open = async {
        over.notified().await;
        tokio::time::sleep(LINGER).await;
        Ok(())
    };
    let talked = async {
        // In this order: all that is there to be read is read.
        tokio::select! { biased; talked = whole => talked, held = held_open => held }
    };
    let talked = match task.time {
        None => talked.await,
        Some(limit) => match tokio::time::timeout(limit, talked).await {
            Ok(talked) => talked,
            Err(_) => Err(End::TooLong(limit)),
        },
    };
    group.kill();
    let end = talked.err().unwrap_or_else(|| how(status.get()));
    Said { end, stdout: stdout.into_inner(), stderr: stderr.into_inner().into() }
}

fn how(status: Option<ExitStatus>) -> End {
    match (status.and_then(|status| status.code()), status.and_then(|status| status.signal())) {
        (Some(status), _) => End::Status(status),
        (None, Some(signal)) => End::Signal(signal),
        (None, None) => End::Broken("it ended without a status".to_owned()),
    }
}

/// Takes all that comes, up to a limit.
async fn fill(
    pipe: Option<impl AsyncRead + Unpin>,
    into: &RefCell<Vec<u8>>,
    limit: usize,
) -> Result<(), End> {
    each_chunk(pipe, |chunk| {
        let mut into = into.borrow_mut();
        if into.len() + chunk.len() > limit {
            return Err(End::TooMuch(limit));
        }
        into.extend_from_slice(chunk);
        Ok(())
    })
    .await
}

/// Keeps the last of all that comes.
async fn keep(
    pipe: Option<impl AsyncRead + Unpin>,
    into: &RefCell<VecDeque<u8>>,
) -> Result<(), End> {
    each_chunk(pipe, |chunk| {
        let mut into = into.borrow_mut();
        into.extend(chunk);
        let surplus = into.len().saturating_sub(TAIL);
        into.drain(..surplus);
        Ok(())
    })
    .await
}

async fn each_chunk(
    pipe: Option<impl AsyncRead + Unpin>,
    mut take: impl FnMut(&[u8]) -> Result<(), End>,
) -> Result<(), End> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match pipe.read(&mut chunk).await {
            Ok(0) => return Ok(()),
            Ok(length) => take(&chunk[..length])?,
            Err(error) => return Err(End::Broken(error.to_string())),
        }
    }
}
