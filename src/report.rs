//! Reports: everything a person or a program sees of a run.
//!
//! A report reads events and nothing else; it never asks the engine or the journal. Text from an
//! event reaches an output only through `text::Line` or JSON, both of which make control
//! characters visible. A write that fails is dropped: a closed pipe must not end a run.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::tz::TimeZone;

use crate::journal::event::Entry;

mod story;
// what is told
mod closing;
mod teller;
// to whom
mod history;
mod jsonl;
mod many;
mod plain;
mod terminal;
// what they stand on
mod labels;
mod markdown;
mod table;
mod text;
mod words;

pub use history::{RunRow, log, runs};
pub use jsonl::line as json_line;
pub use markdown::markdown;
pub use table::Table;

/// Receives every event of a walk, in order.
pub trait Report {
    /// Takes in the run's events from before this walk, so that names and values are known.
    /// Shows nothing.
    fn past(&mut self, _entries: &[Entry]) {}

    /// Shows one event.
    fn event(&mut self, entry: &Entry);

    /// Shows what is left to say when no more events come, even if the walk did not end.
    fn finish(&mut self) {}

    /// Calls `f` while nothing of the report moves on the screen: for a prompt.
    fn suspend(&mut self, f: &mut dyn FnMut()) {
        f();
    }

    /// From now on nothing moves on the screen, or may again; lines still come.
    fn still(&mut self, _still: bool) {}
}

/// The shape of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a person at a terminal: titles, colours, a spinner.
    Human,
    /// For a log or a pipe: one line a step.
    Plain,
    /// For a program: one event a line.
    Jsonl,
}

/// How a report looks.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether each request and command is shown.
    pub verbose: bool,
    /// Whether colours are used; the caller has looked at `NO_COLOR`. Plain lines never use them.
    pub color: bool,
    /// Whether times and durations are shown; tests that compare whole texts leave them out.
    pub times: bool,
    /// Columns that notes are wrapped to.
    pub width: usize,
    /// Columns of the screen, if it is one: longer lines are broken between words. In a log a line
    /// stays a line.
    pub screen: Option<usize>,
    /// The program as the person would type it, in front of `resume r7` in hints.
    pub command: String,
    /// The step before which the walk is to stop: until it got there, what goes on stops there too.
    pub until: Option<String>,
    /// The time zone of time stamps for people. Programs get UTC.
    pub zone: TimeZone,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            verbose: false,
            color: false,
            times: true,
            width: 80,
            screen: None,
            command: "runbook".to_owned(),
            until: None,
            zone: TimeZone::UTC,
        }
    }
}

/// Plain lines, one a step.
pub fn plain(out: Box<dyn Write + Send>, options: Options) -> Box<dyn Report + Send> {
    Box::new(plain::Plain::new(out, options))
}

/// The terminal's report. Lines go to `out`, the spinner to the process's stderr: both should be
/// the same terminal. Without one there is no spinner, and no line is lost.
pub fn terminal(out: Box<dyn Write + Send>, options: Options) -> Box<dyn Report + Send> {
    Box::new(terminal::Terminal::new(out, options))
}

/// Events as JSON lines, in the shape of `docs/events.md`. Traces only with `verbose`.
pub fn jsonl(out: Box<dyn Write + Send>, options: &Options) -> Box<dyn Report + Send> {
    Box::new(jsonl::Jsonl::new(out, options.verbose))
}

/// Many runs at once: a line for each that ends, and at the end what went wrong with which.
/// `places` says of each run where its inputs stand, or, of one that is `taken_up` again, which it is.
pub fn many(
    out: Box<dyn Write + Send>,
    options: Options,
    places: BTreeMap<String, String>,
    taken_up: bool,
) -> Box<dyn Report + Send> {
    Box::new(many::Many::new(out, options, places, taken_up))
}

/// Writes at once, so that a reader sees each line when it is said.
fn put(out: &mut dyn Write, text: &str) {
    // a reader that went away must not stop the run: the journal has it all
    let _dropped = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
pub(crate) mod testing {
    //! A script of events and a writer that can be read back.

    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::{Options, Report};
    use crate::journal::event::{Effect, Entry, Event, Failure, How, Stored, StoredMap};
    use crate::journal::event::{Outcome, StepRef};
    use crate::value::Json;

    /// A writer whose text can be read while a report holds it.
    #[derive(Clone, Default)]
    pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A writer that nobody reads.
    pub(crate) struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    pub(crate) fn entries(events: Vec<Event>) -> Vec<Entry> {
        let entry = |(seq, event)| Entry {
            run: "r7".into(),
            seq,
            at_ms: 1_795_000_000_000 + i64::try_from(seq).unwrap() * 1500,
            event,
        };
        (1..).zip(events).map(entry).collect()
    }

    /// What a report says of these events, with `past` taken in first.
    pub(crate) fn told(
        make: impl FnOnce(Box<dyn Write + Send>, Options) -> Box<dyn Report + Send>,
        options: Options,
        past: Vec<Event>,
        events: Vec<Event>,
    ) -> String {
        let paper = Paper::default();
        let mut report = make(Box::new(paper.clone()), options);
        report.past(&entries(past));
        for entry in entries(events) {
            report.event(&entry);
        }
        report.finish();
        paper.text()
    }

    pub(crate) fn started(steps: &[(&str, &str)], rehearsal: bool) -> Event {
        Event::Started {
            uses: std::collections::BTreeMap::new(),
            runbooks: Vec::new(),
            runbook: "rotate".into(),
            title: "Rotate the key".into(),
            path: "rotate.toml".into(),
            folder: String::new(),
            text: "d0".into(),
            steps: steps.iter().map(|(id, title)| step_ref(id, title, "d1")).collect(),
            inputs: StoredMap::from([
                ("host".to_owned(), Stored::Plain(Json::from("db1"))),
                ("password".to_owned(), Stored::Sealed("c2VhbGVk".into())),
            ]),
            given: Vec::new(),
            rehearsal,
            batch: None,
        }
    }

    pub(crate) fn step_ref(id: &str, title: &str, digest: &str) -> StepRef {
        StepRef { id: id.into(), title: title.into(), digest: digest.into() }
    }

    pub(crate) fn began(step: &str, title: &str) -> Event {
        Event::Began { step: step.into(), title: title.into() }
    }

    pub(crate) fn done(step: &str, how: How, summary: &str, saved: &[(&str, Stored)]) -> Event {
        Event::Done {
            step: step.into(),
            how,
            saved: saved.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            summary: summary.into(),
            took_ms: 210,
            private: StoredMap::new(),
            was: None,
        }
    }

    pub(crate) fn failed(step: &str, message: &str, details: &[&str], hints: &[&str]) -> Event {
        Event::Failed { step: step.into(), failure: failure(message, details, hints), took_ms: 12 }
    }

    pub(crate) fn failure(message: &str, details: &[&str], hints: &[&str]) -> Failure {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Failure {
            message: message.into(),
            details: owned(details),
            hints: owned(hints),
            doubt: false,
            compared: false,
        }
    }

    pub(crate) fn intent(step: &str, what: &str) -> Event {
        Event::Intent {
            step: step.into(),
            effect: Effect::Once,
            what: what.into(),
            private: StoredMap::new(),
        }
    }

    pub(crate) fn ended(outcome: Outcome) -> Event {
        Event::Ended { outcome, took_ms: 3240 }
    }

    pub(crate) fn plain_value(json: impl Into<Json>) -> Stored {
        Stored::Plain(json.into())
    }

    pub(crate) fn sealed() -> Stored {
        Stored::Sealed("c2VhbGVk".into())
    }
}
