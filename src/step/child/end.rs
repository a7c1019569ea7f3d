//! The end of this process, as a person wants it: the programs that run then are asked to end, and
//! have time for it. What they have locked they can set free.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};
use tokio::process::Child;

/// How long they have.
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    static NEAR: Cell<bool> = const { Cell::new(false) };
    static LEFT: RefCell<Vec<Left>> = const { RefCell::new(Vec::new()) };
}

/// A program that was let go at the end.
pub(super) struct Left {
    pub(super) pid: Pid,
    pub(super) child: Child,
    /// As long as somebody holds them, what it still says does not end it.
    pub(super) pipes: Vec<OwnedFd>,
}

/// From here on programs that are let go of are not killed, but wait for [`all`].
pub fn comes() {
    NEAR.set(true);
}

pub(super) fn is_near() -> bool {
    NEAR.get()
}

pub(super) fn leave(left: Left) {
    LEFT.with_borrow_mut(|all| all.push(left));
}

/// What must be held for a program to speak on.
pub(super) fn kept(child: &Child) -> Vec<OwnedFd> {
    let output = child.stdout.as_ref().map(|pipe| pipe.as_fd());
    let pipes = output.into_iter().chain(child.stderr.as_ref().map(|pipe| pipe.as_fd()));
    pipes.filter_map(|pipe| pipe.try_clone_to_owned().ok()).collect()
}

/// Asks all that were let go of to end, and waits for it; they are killed after some seconds, or if
/// that is wanted `sooner`. `told` is whether a program in the foreground of the terminal knows of it
/// already: many take to be asked twice for leave to drop everything.
pub async fn all(told: bool, sooner: impl Future<Output = ()>) {
    let mut all = LEFT.take();
    for left in &all {
        if getpgid(Some(left.pid)) == Ok(left.pid) {
            // nobody may be left in it
            let _ = kill_process_group(left.pid, Signal::TERM);
        } else if !told {
            let _ = kill_process(left.pid, Signal::TERM);
        }
    }
    let ended = join_all(all.iter_mut().map(|left| left.child.wait()));
    tokio::select! {
        biased;
        _ = tokio::time::timeout(PATIENCE, ended) => {}
        () = sooner => {}
    }
    for left in all {
        let _ = kill_process_group(left.pid, Signal::KILL);
        drop(left.pipes);
    }
}
