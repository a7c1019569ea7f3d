//! Whether the terminal shows what is typed. What a person types while something moves on the
//! screen would be written into that, and stay there.

use std::io::stderr;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetpgrp, tcsetattr};

/// Whether we turned it off: then it is ours to turn on.
static OFF: AtomicBool = AtomicBool::new(false);

/// From now on the terminal behind stderr does not show what is typed, until [`on`]. Keys keep
/// their meaning, Ctrl-C too.
pub fn off() {
    if !OFF.load(Ordering::SeqCst) && change(LocalModes::ECHO, LocalModes::empty()) {
        OFF.store(true, Ordering::SeqCst);
    }
}

/// It shows again what is typed, if it did before [`off`].
pub fn on() {
    // from behind it cannot be done: it is still ours to do then
    if OFF.load(Ordering::SeqCst) && change(LocalModes::empty(), LocalModes::ECHO) {
        OFF.store(false, Ordering::SeqCst);
    }
}

/// Takes one mode and gives another; whether it was so until now. The modes of a terminal are those
/// of whoever is in its foreground: who changes them from behind is stopped.
fn change(from: LocalModes, to: LocalModes) -> bool {
    let terminal = stderr();
    if tcgetpgrp(&terminal) != Ok(getpgrp()) {
        return false;
    }
    let Ok(mut modes) = tcgetattr(&terminal) else { return false };
    let fits = modes.local_modes.contains(from);
    modes.local_modes.remove(from);
    modes.local_modes.insert(to);
    fits && tcsetattr(&terminal, OptionalActions::Now, &modes).is_ok()
}
