//! Writing to the person: data to stdout, everything else to stderr. A closed pipe is no error.
//!
//! The one redactor of the process is under all of it, under reports too.

use std::io::Write as _;
use std::sync::LazyLock;

use crate::printable::printable;
use crate::redact::Shared;

static REDACTOR: LazyLock<Shared> = LazyLock::new(Shared::default);

/// What must never be shown, by whatever writer of this process.
pub(super) fn redactor() -> Shared {
    REDACTOR.clone()
}

/// Data, as it is.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(REDACTOR.mask(text).as_bytes()).and_then(|()| out.flush());
}

/// A line for the person.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(&REDACTOR.mask(text)));
}

/// A block for the person that ends its own lines and may hold colours of ours.
pub(super) fn block(text: &str) {
    let _ = write!(std::io::stderr().lock(), "{}", REDACTOR.mask(text));
}

/// What went wrong.
pub(super) fn error(text: &str) {
    say(&format!("error: {text}"));
}

/// What looks wrong.
pub(super) fn warning(text: &str) {
    say(&format!("warning: {text}"));
}

/// What to do about it.
pub(super) fn hint(text: &str) {
    say(&format!("hint: {text}"));
}
