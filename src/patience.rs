//! The last net under author programs: a thread with a deep stack, a clock and a scale.
//!
//! What an author writes is bounded by counting; what counting cannot see (a comparison of
//! values that share their parts, a deep recursion, many large texts at once) ends here. A
//! thread that does not come back is left behind: the run fails and the process ends with it,
//! at once if that thread goes on growing.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use crate::exit::Exit;

/// How long one template or program may take: far more than counting lets through.
const LIMIT: Duration = Duration::from_secs(10);

/// The variable that makes it shorter, in milliseconds: for tests of what never comes back.
pub const VARIABLE: &str = "RUNBOOK_PATIENCE_MS";

static SHORTER: AtomicU64 = AtomicU64::new(u64::MAX);

/// Waits no longer than this from here on. It cannot be made longer.
pub fn shorten(ms: u64) {
    SHORTER.store(ms, Ordering::Relaxed);
}

fn limit() -> Duration {
    LIMIT.min(Duration::from_millis(SHORTER.load(Ordering::Relaxed)))
}

/// How often it is looked after.
const LOOK: Duration = Duration::from_millis(10);

/// By how many bytes the process may grow meanwhile, and how many when it is left behind.
const GROWTH: (u64, u64) = (512 << 20, 1 << 30);

/// Bytes of stack; only what is touched is ever taken.
const STACK: usize = 256 * 1024 * 1024;

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It took too long.
    TooLong,
    /// It took too much memory.
    TooLarge,
    /// It panicked, or no thread could be had.
    Broken,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong => write!(f, "it took longer than {:?}: is it endless?", limit()),
            Self::TooLarge => write!(f, "it took more than {} MiB of memory", GROWTH.0 >> 20),
            Self::Broken => f.write_str("it could not be run"),
        }
    }
}

/// What a helper is given to do.
type Job = Box<dyn FnOnce() + Send>;

/// Helpers with nothing to do: beginning a thread costs more than most of what it does.
static IDLE: Mutex<Vec<SyncSender<Job>>> = Mutex::new(Vec::new());

/// How many helpers are kept.
const KEPT: usize = 2;

/// Does the work on a thread of its own and waits for it, but not for ever.
pub fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
    let (give, take) = sync_channel(1);
    let helper = helper()?;
    helper.send(Box::new(move || drop(give.send(work())))).map_err(|_| Lost::Broken)?;
    let result = wait(&take);
    match result {
        Ok(_) => keep(helper),
        // one that was left behind is never given anything again
        Err(Lost::TooLong | Lost::TooLarge) => watch(resident()),
        Err(Lost::Broken) => {}
    }
    result
}

fn helper() -> Result<SyncSender<Job>, Lost> {
    if let Some(idle) = IDLE.lock().ok().and_then(|mut idle| idle.pop()) {
        return Ok(idle);
    }
    let (give, take) = sync_channel::<Job>(1);
    let work = move || take.iter().for_each(|job| job());
    Builder::new().stack_size(STACK).spawn(work).map_err(|_| Lost::Broken)?;
    Ok(give)
}

fn keep(helper: SyncSender<Job>) {
    if let Ok(mut idle) = IDLE.lock()
        && idle.len() < KEPT
    {
        idle.push(helper);
    }
}

fn wait<T>(take: &Receiver<T>) -> Result<T, Lost> {
    let looks = limit().as_millis() / LOOK.as_millis();
    // most come back before the first look, and little grows until then
    let mut before = None;
    for _ in 0..looks {
        match take.recv_timeout(LOOK) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => return Err(Lost::Broken),
            Err(RecvTimeoutError::Timeout) => {
                let now = resident();
                if now > *before.get_or_insert(now) + GROWTH.0 {
                    return Err(Lost::TooLarge);
                }
            }
        }
    }
    Err(Lost::TooLong)
}

/// Ends the process if what was left behind grows further. The journal is on disk by then as
/// after any crash.
fn watch(before: u64) {
    let (stay, never) = sync_channel::<()>(0);
    let look = move || {
        let _open = stay;
        while never.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if resident() > before + GROWTH.1 - GROWTH.0 {
                crate::terminal::echo::on();
                #[expect(clippy::exit, reason = "nothing else stops a thread")]
                std::process::exit(i32::from(Exit::Failed.code()));
            }
        }
    };
    // without a thread nobody looks: the run is about to end all the same
    let _ = Builder::new().spawn(look);
}

/// The memory the process has, in bytes; 0 where the system does not say.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_given_and_what_panics_is_said() {
        assert_eq!(within(|| 7), Ok(7));
        let panics: fn() -> u8 = || std::panic::panic_any("quiet");
        assert_eq!(within(panics), Err(Lost::Broken));
    }

    #[test]
    fn what_grows_is_given_up() {
        let grow = || {
            let mut all = Vec::new();
            for _ in 0..700 {
                all.push(vec![1_u8; 1 << 20]);
            }
            // until the one that waits has seen it
            std::thread::park_timeout(Duration::from_secs(1));
            all.len()
        };
        assert_eq!(within(grow), Err(Lost::TooLarge));
    }
}
