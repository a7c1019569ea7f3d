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

/// Data that is one line, whatever is in it.
pub(super) fn line(text: &str) {
    print(&(crate::printable::line(&REDACTOR.mask(text)) + "\n"));
}

/// A line for the person, whatever is in it.
pub(super) fn say(text: &str) {
    write(&text.replace('\n', "\\n"));
}

fn write(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(&REDACTOR.mask(text)));
}

/// A line for the person that holds no value of anybody's: it waits for no lock but stderr's, as
/// whoever panics may hold the redactor's.
pub(super) fn bare(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A block for the person that ends its own lines and may hold colours of ours.
pub(super) fn block(text: &str) {
    let _ = write!(std::io::stderr().lock(), "{}", REDACTOR.mask(text));
}

/// What went wrong.
pub(super) fn error(text: &str) {
    write(&format!("error: {}", hung(text)));
}

/// What looks wrong.
pub(super) fn warning(text: &str) {
    write(&format!("warning: {}", hung(text)));
}

/// What to do about it.
pub(super) fn hint(text: &str) {
    write(&format!("hint: {}", hung(text)));
}

/// A text whose further lines cannot be taken for lines of ours.
fn hung(text: &str) -> String {
    text.replace('\n', "\n  ")
}
