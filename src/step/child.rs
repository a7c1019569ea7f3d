//! A program that was started, listened to until its end: what it is told, what it says, and an
//! end in any case.
//!
//! Where it is the leader of a process group of its own, that is killed as a whole when it takes
//! too long, says too much, or when this process lets go of it; when the process itself is to end, it is
//! asked first ([`end`]). What a program leaves behind when
//! it ends by itself may hold its output open: it is not waited for.

pub mod end;

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;

use super::Cx;
use end::Left;

/// How long output is waited for after the program's end, if something else holds it open.
const LINGER: Duration = Duration::from_secs(1);

/// The environment variable by which what a step started is known again, if this process dies before
/// it: all that it starts has it too. Nothing need be written down for that.
pub(super) const MARK: &str = "RUNBOOK_STEP";

/// What the mark says: the journal, the run, when that began, and the step. The names alone come again:
/// in a journal that is begun anew the first run is `r1` once more.
pub(super) fn mark(cx: &Cx<'_>) -> String {
    let journal = cx.services.world.state_dir();
    format!("{} {} {} {}", journal.display(), cx.run, cx.started_ms, cx.step)
}

/// The processes that have a mark, as far as this user may look; none where the system does not tell.
/// Whoever asks is none of them: in a shell that a step left, this process and those it came from
/// have the step's mark too.
pub(super) fn marked(mark: &str) -> Vec<u32> {
    let wanted = format!("{MARK}={mark}");
    let own = own_line();
    let has = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes())
    };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found: Vec<u32> = pids.filter(|pid| !own.contains(pid) && has(pid)).collect();
    found.sort_unstable();
    found
}

/// This process and those it came from, as far as the system tells.
fn own_line() -> Vec<u32> {
    let mut line = vec![std::process::id()];
    while let Some(parent) = line.last().and_then(|pid| parent(*pid)) {
        if parent == 0 || line.contains(&parent) {
            break;
        }
        line.push(parent);
    }
    line
}

fn parent(pid: u32) -> Option<u32> {
    // the name of a program need not be UTF-8
    let status = std::fs::read(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// How a program is listened to.
pub(super) struct Listen {
    /// What it reads on standard input.
    pub(super) stdin: Option<String>,
    /// After how long it is killed.
    pub(super) time: Option<Duration>,
    /// What is taken of its output, and of its complaints.
    pub(super) output: Take,
    pub(super) errors: Take,
    /// Whether what it leaves behind when it ends by itself is ended too.
    pub(super) alone: bool,
}

/// What is taken of a stream, in bytes.
#[derive(Clone, Copy)]
pub(super) enum Take {
    /// All of it; the program is killed for more.
    Most(usize),
    /// The first of it.
    First(usize),
    /// The last of it, in whole lines: what a cut leaves of one may be a part of a secret, which
    /// nobody finds.
    Last(usize),
}

/// What was taken of a stream.
#[derive(Debug, Default)]
struct Taken {
    bytes: Vec<u8>,
    /// Whether there was more.
    cut: bool,
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
    /// Whether there was more output than that.
    pub(super) more: bool,
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

/// A child and its process group; killed when it is let go, unless it is given time to end.
struct Group {
    pid: Cell<Option<Pid>>,
    child: Option<Child>,
    /// Its output and its complaints, so that somebody listens as long as it runs.
    pipes: Vec<OwnedFd>,
}

impl Group {
    fn of(child: Child, pipes: Vec<OwnedFd>) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { pid: Cell::new(id.and_then(Pid::from_raw)), child: Some(child), pipes }
    }
}

/// Kills a group as a whole.
fn kill(group: &Cell<Option<Pid>>) {
    if let Some(group) = group.take() {
        // Nobody may be left in it, or it may be no group at all.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        match (self.child.take(), self.pid.get()) {
            (Some(child), Some(pid)) if end::is_near() => {
                let pipes = std::mem::take(&mut self.pipes);
                end::leave(Left { pid, child, pipes });
            }
            _ => kill(&self.pid),
        }
    }
}

/// Listens to it until its end.
pub(super) async fn listen(mut child: Child, listen: Listen) -> Said {
    let pipes = end::kept(&child);
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut group = Group::of(child, pipes);
    let (pid, child) = (&group.pid, &mut group.child);
    let (stdout, stderr) = (RefCell::<Taken>::default(), RefCell::<Taken>::default());
    let status: Cell<Option<ExitStatus>> = Cell::new(None);
    let over = tokio::sync::Notify::new();
    let whole = async {
        let end = async {
            let Some(child) = child else { return Ok(()) };
            let ended = child.wait().await.map_err(|error| End::Broken(error.to_string()))?;
            status.set(Some(ended));
            if listen.alone {
                kill(pid);
            } else {
                pid.take();
            }
            over.notify_one();
            Ok(())
        };
        let write = async {
            if let (Some(mut pipe), Some(text)) = (input, &listen.stdin) {
                // A program that does not read all of it is no failure of ours.
                let _ = pipe.write_all(text.as_bytes()).await;
            }
            Ok(())
        };
        let said = fill(output, &stdout, listen.output);
        let complained = fill(errors, &stderr, listen.errors);
        tokio::try_join!(end, said, complained, write).map(drop)
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
    let talked = match listen.time {
        None => talked.await,
        Some(limit) => match tokio::time::timeout(limit, talked).await {
            Ok(talked) => talked,
            Err(_) => Err(End::TooLong(limit)),
        },
    };
    kill(&group.pid);
    let end = talked.err().unwrap_or_else(|| how(status.get()));
    let (stdout, stderr) = (stdout.into_inner(), stderr.into_inner());
    let more = stdout.cut;
    Said { end, stdout: listen.output.end(stdout), stderr: listen.errors.end(stderr), more }
}

fn how(status: Option<ExitStatus>) -> End {
    match (status.and_then(|status| status.code()), status.and_then(|status| status.signal())) {
        (Some(status), _) => End::Status(status),
        (None, Some(signal)) => End::Signal(signal),
        (None, None) => End::Broken("it ended without a status".to_owned()),
    }
}

/// Reads all that comes, and keeps what is to be taken of it.
async fn fill(
    pipe: Option<impl AsyncRead + Unpin>,
    into: &RefCell<Taken>,
    take: Take,
) -> Result<(), End> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match pipe.read(&mut chunk).await {
            Ok(0) => return Ok(()),
            Ok(length) => take.add(&mut into.borrow_mut(), &chunk[..length])?,
            Err(error) => return Err(End::Broken(error.to_string())),
        }
    }
}

impl Take {
    fn add(self, all: &mut Taken, chunk: &[u8]) -> Result<(), End> {
        let bytes = &mut all.bytes;
        match self {
            Self::Most(limit) if bytes.len() + chunk.len() > limit => {
                all.cut = true;
                return Err(End::TooMuch(limit));
            }
            Self::First(limit) => {
                let room = chunk.len().min(limit.saturating_sub(bytes.len()));
                bytes.extend_from_slice(&chunk[..room]);
                all.cut |= room < chunk.len();
            }
            Self::Most(_) => bytes.extend_from_slice(chunk),
            Self::Last(limit) => {
                bytes.extend_from_slice(chunk);
                // not at every chunk: all that is kept is moved
                if bytes.len() > limit.saturating_mul(2) {
                    let surplus = bytes.len() - limit;
                    bytes.drain(..surplus);
                    all.cut = true;
                }
            }
        }
        Ok(())
    }

    /// What is left of it once no more comes.
    fn end(self, all: Taken) -> Vec<u8> {
        let Taken { mut bytes, cut } = all;
        if let Self::Last(limit) = self {
            let surplus = bytes.len().saturating_sub(limit);
            if cut || surplus > 0 {
                let line = bytes[surplus..].iter().position(|byte| *byte == b'\n');
                let from = line.map_or(bytes.len(), |end| surplus + end + 1);
                bytes.drain(..from);
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept of some chunks, and whether there was more.
    fn kept(take: Take, chunks: &[&str]) -> (String, bool) {
        let mut all = Taken::default();
        for chunk in chunks {
            take.add(&mut all, chunk.as_bytes()).unwrap();
        }
        let cut = all.cut;
        (String::from_utf8(take.end(all)).unwrap(), cut)
    }

    #[test]
    fn the_last_of_a_stream_is_whole_lines() {
        assert_eq!(kept(Take::Last(8), &["a\nb", "c\n"]).0, "a\nbc\n");
        assert_eq!(kept(Take::Last(8), &["secret\n", "one\ntwo"]).0, "one\ntwo");
        assert_eq!(kept(Take::Last(4), &["a", "secret\n", "one\n", "t", "w", "o"]).0, "two");
        assert_eq!(kept(Take::Last(4), &["all in one ", "line"]).0, "");
    }

    #[test]
    fn the_first_of_a_stream_tells_that_there_was_more() {
        assert_eq!(kept(Take::First(4), &["ab", "cd"]), ("abcd".to_owned(), false));
        assert_eq!(kept(Take::First(4), &["ab", "cde", "f"]), ("abcd".to_owned(), true));
    }
}
