//! Points at which a test ends the process, as a power cut would.
//!
//! `RUNBOOK_CRASH_AT=7` in the environment kills the process, with SIGKILL, at the seventh
//! point it passes. Nothing is cleaned up, nothing is written. Without it a point costs one
//! load.
//!
//! In a debug build `RUNBOOK_CRASH_PANIC=text` makes it a panic with that text instead, and
//! `RUNBOOK_CRASH_ABORT=1` an abort, which would leave a core dump.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that says at which point.
pub const VARIABLE: &str = "RUNBOOK_CRASH_AT";

/// The variable that makes it a panic, and says with which text.
pub const PANIC: &str = "RUNBOOK_CRASH_PANIC";

/// The variable that makes it an abort.
pub const ABORT: &str = "RUNBOOK_CRASH_ABORT";

static LEFT: AtomicU64 = AtomicU64::new(0);
static HOW: OnceLock<How> = OnceLock::new();

/// How the process ends at its point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// By SIGKILL.
    Kill,
    /// By a panic with this text, in a debug build.
    Panic(String),
    /// By SIGABRT, in a debug build.
    Abort,
}

/// Says how the process ends, once.
pub fn by(how: How) {
    let _ = HOW.set(how);
}

/// Makes the process end at the n-th point from here on; 0: never.
pub fn arm(at: u64) {
    LEFT.store(at, Ordering::Relaxed);
}

/// Passes a point.
pub fn point() {
    if LEFT.load(Ordering::Relaxed) != 0 && LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
        end();
    }
}

fn end() {
    use rustix::process::{Signal, getpid, kill_process};
    let signal = match HOW.get() {
        #[cfg(debug_assertions)]
        Some(How::Panic(text)) => panic!("{text}"),
        #[cfg(debug_assertions)]
        Some(How::Abort) => Signal::ABORT,
        _ => Signal::KILL,
    };
    let _ = kill_process(getpid(), signal);
}
