//! Points at which a test ends the process, as a power cut would.
//!
//! `RUNBOOK_CRASH_AT=7` in the environment kills the process, with SIGKILL, at the seventh
//! point it passes. Nothing is cleaned up, nothing is written. Without it a point costs one
//! load.

use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that says at which point.
pub const VARIABLE: &str = "RUNBOOK_CRASH_AT";

static LEFT: AtomicU64 = AtomicU64::new(0);

/// Makes the process end at the n-th point from here on; 0: never.
pub fn arm(at: u64) {
    LEFT.store(at, Ordering::Relaxed);
}

/// Passes a point.
pub fn point() {
    if LEFT.load(Ordering::Relaxed) != 0 && LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
