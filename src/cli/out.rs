//! Writing to the person: data to stdout, everything else to stderr. A closed pipe is no error;
//! data that could not be written is one, said at the end of the process.
//!
//! The one redactor of the process is under all of it, under reports too.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{LazyLock, OnceLock};

use crate::exit::Exit;
use crate::printable::printable;
use crate::redact::Shared;
use crate::wrap::wrapped;

/// Columns of the screen that the person sees, if it is one.
static SCREEN: OnceLock<usize> = OnceLock::new();

static REDACTOR: LazyLock<Shared> = LazyLock::new(Shared::default);

/// Why data could not be written, the first time it could not.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// What must never be shown, by whatever writer of this process.
pub(super) fn redactor() -> Shared {
    REDACTOR.clone()
}

/// From now on lines for the person are broken at so many columns.
pub(super) fn screen(columns: usize) {
    // It is said once, at the start.
    let _ = SCREEN.set(columns);
}

/// Where data goes that is made bit by bit.
pub(super) fn data() -> impl Write + Send {
    REDACTOR.writer(Data)
}

/// Data, as it is.
pub(super) fn print(text: &str) {
    let _noted = Data.write_all(REDACTOR.mask(text).as_bytes()).and_then(|()| Data.flush());
}

/// Stdout, which remembers that it could not be written.
struct Data;

impl Write for Data {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes).inspect_err(unwritten)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush().inspect_err(unwritten)
    }
}

/// Remembers that data could not be written. A reader that went away has what it wanted.
pub(super) fn unwritten(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted) {
        // the first cause is the one to tell
        let _ = UNWRITTEN.set(error.to_string());
    }
}

/// How the process ends if all its data was to be written: what came to nothing is no success.
pub(super) fn ended(exit: Exit, journalled: bool) -> Exit {
    let Some(why) = UNWRITTEN.get() else { return exit };
    error(&format!("what was to be shown could not be written: {why}"));
    if journalled {
        hint(
            "the run is in the journal all the same: `runbook log --output jsonl` shows its events",
        );
    }
    if exit == Exit::Done { Exit::Failed } else { exit }
}

/// Data that is one line, whatever is in it.
pub(super) fn line(text: &str) {
    print(&(crate::printable::line(&REDACTOR.mask(text)) + "\n"));
}

/// A line for the person, whatever is in it.
pub(super) fn say(text: &str) {
    let margin = text.len() - text.trim_start().len();
    write(&text.replace('\n', "\\n"), margin + 2);
}

/// On a screen lines that have no room are broken between words and go on further in.
fn write(text: &str, hang: usize) {
    let text = REDACTOR.mask(text);
    let text = printable(&text);
    let shown = match SCREEN.get() {
        Some(width) => {
            let break_ = format!("\n{:hang$}", "");
            let lines = text.split('\n').map(|line| wrapped(line, *width, hang).join(&break_));
            Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
        }
        None => text,
    };
    let _ = writeln!(std::io::stderr().lock(), "{shown}");
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
    write(&format!("error: {}", hung(text)), 2);
}

/// What looks wrong.
pub(super) fn warning(text: &str) {
    write(&format!("warning: {}", hung(text)), 2);
}

/// What to do about it.
pub(super) fn hint(text: &str) {
    write(&format!("hint: {}", hung(text)), 6);
}

/// A text whose further lines cannot be taken for lines of ours.
fn hung(text: &str) -> String {
    text.replace('\n', "\n  ")
}
