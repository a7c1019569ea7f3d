//! Looking back: the events of one run, and the table of runs.

use std::io::Write;

use serde_json::json;

use crate::journal::event::Entry;

use super::jsonl;
use super::table::Table;
use super::teller::{Teller, View};
use super::text::{Line, draw, folded};
use super::words::{self, QUIET};
use super::{Format, Options, put};

/// One run in the table of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run's name.
    pub run: String,
    /// The runbook's name.
    pub runbook: String,
    /// How it stands, in a word: `done`, `failed`, `waiting`, …
    pub state: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_ms: i64,
    /// Milliseconds all its walks took together; `None` while it is not known.
    pub took_ms: Option<u64>,
    /// The last step that something happened to; empty if there is none.
    pub last_step: String,
}

/// Shows the events of one run: time stamps and lines, or JSON lines.
pub fn log(entries: &[Entry], format: Format, options: &Options, out: &mut dyn Write) {
    match format {
        Format::Jsonl => {
            for entry in entries {
                put(out, &jsonl::line(&jsonl::object(entry)));
            }
        }
        Format::Human => put(out, &lines(entries, options.clone())),
        Format::Plain => put(out, &lines(entries, Options { color: false, ..options.clone() })),
    }
}

/// Shows runs as a table, one a line, in the order given, or as JSON lines.
pub fn runs(rows: &[RunRow], format: Format, options: &Options, out: &mut dyn Write) {
    match format {
        Format::Jsonl => rows.iter().for_each(|row| put(out, &jsonl::line(&object(row)))),
        Format::Human => put(out, &table(rows, options, options.color)),
        Format::Plain => put(out, &table(rows, options, false)),
    }
}

fn lines(entries: &[Entry], options: Options) -> String {
    let mut teller = Teller::new(options, View::History);
    let stamps = Stamps::fitting(&teller.options);
    let (mut told, mut today) = (Vec::new(), String::new());
    for entry in entries {
        let (day, stamp) = stamps.of(entry, &teller.options);
        if day != today {
            told.push(Line::styled(QUIET, &day));
            today = day;
        }
        let width = stamp.width();
        let screen = teller.options.screen.map(|columns| columns.saturating_sub(width));
        let lines = folded(teller.tell(entry), screen).into_iter().enumerate();
        told.extend(lines.map(|(at, line)| match at {
            0 => stamp.clone().join(line),
            _ => line.indent(width),
        }));
    }
    draw(&told, teller.options.color)
}

/// How much of a moment stands before what happened then.
#[derive(Clone, Copy)]
enum Stamps {
    None,
    /// The time of the day; a day has a line of its own above what happened on it.
    Time,
    Whole,
}

/// Columns that are wanted for what happened.
const WANTED: usize = 40;
/// Columns without which it could not be read.
const NEEDED: usize = 24;

impl Stamps {
    fn fitting(options: &Options) -> Self {
        let room = |stamp: &str| match options.screen {
            Some(columns) => columns.saturating_sub(stamp.len() + 2),
            None => usize::MAX,
        };
        match options.times {
            true if room("2026-11-18 11:06:41") >= WANTED => Self::Whole,
            true if room("11:06:41") >= NEEDED => Self::Time,
            _ => Self::None,
        }
    }

    /// The day, if it stands above, and the stamp.
    fn of(self, entry: &Entry, options: &Options) -> (String, Line) {
        let moment = words::moment(entry.at_ms, &options.zone);
        let (day, time) = moment.split_once(' ').unwrap_or_default();
        let stamp = |text: &str| Line::styled(QUIET, text).add("  ");
        match self {
            Self::None => (String::new(), Line::default()),
            Self::Time => (day.to_owned(), stamp(time)),
            Self::Whole => (String::new(), stamp(&moment)),
        }
    }
}

fn table(rows: &[RunRow], options: &Options, color: bool) -> String {
    let cells = |of: fn(&RunRow) -> &String| rows.iter().map(of).cloned();
    let started = rows.iter().map(|row| words::moment(row.started_ms, &options.zone));
    let took = rows.iter().map(|row| row.took_ms.map_or_else(String::new, words::duration));
    let mut table = Table::default()
        .column("run", cells(|row| &row.run))
        .column("runbook", cells(|row| &row.runbook))
        .column("state", cells(|row| &row.state));
    if options.times {
        table = table.column("started", started).column("took", took);
    }
    let table = table.column("last step", cells(|row| &row.last_step));
    let table = table.spare(&["took", "last step", "started"], options.screen);
    draw(&folded(table.lines(true), options.screen), color)
}

fn object(row: &RunRow) -> crate::value::Json {
    json!({
        "run": row.run,
        "runbook": row.runbook,
        "state": row.state,
        "started": words::rfc3339(row.started_ms),
        "took_ms": row.took_ms,
        "last_step": row.last_step,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::journal::event::{Event, How, Outcome};

    fn logged(format: Format, options: &Options, events: Vec<Event>) -> String {
        let mut out = Vec::new();
        log(&entries(events), format, options, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn script() -> Vec<Event> {
        vec![
            started(&[("login", "Log in"), ("notify", "Tell")], false),
            intent("login", "POST https://h/login"),
            done("login", How::Performed, "201 Created", &[]),
            failed("notify", "503 from http://h/notify", &[], &[]),
            ended(Outcome::Failed),
            Event::resumed(false, std::collections::BTreeMap::new()),
            Event::Note { step: "notify".into(), markdown: "one\n\ntwo".into() },
            ended(Outcome::Done),
        ]
    }

    #[test]
    fn the_log_has_stamps_and_all_walks() {
        let want = "\
2026-11-18 11:06:41  run   r7  rotate
2026-11-18 11:06:43  act   login   POST https://h/login
2026-11-18 11:06:44  ok    login   201 Created, 210 ms
2026-11-18 11:06:46  fail  notify  503 from http://h/notify, 12 ms
2026-11-18 11:06:47  fail  1 of 2 steps done, 3.2 s
2026-11-18 11:06:49  run   r7  rotate  (resumed)
2026-11-18 11:06:50  note  notify

                       one

                       two

2026-11-18 11:06:52  done  1 step, 3.2 s
";
        assert_eq!(logged(Format::Plain, &Options::default(), script()), want);
    }

    #[test]
    fn on_a_narrow_screen_the_day_stands_above_and_then_not_at_all() {
        let narrow = |columns| {
            let options = Options { screen: Some(columns), ..Options::default() };
            logged(Format::Plain, &options, script()[..4].to_vec())
        };
        let want = "\
2026-11-18
11:06:41  run   r7  rotate
11:06:43  act   login   POST
                  https://h/login
11:06:44  ok    login   201 Created,
                  210 ms
11:06:46  fail  notify  503 from
                  http://h/notify, 12 ms
";
        assert_eq!(narrow(40), want);
        assert!(narrow(61).starts_with("2026-11-18 11:06:41  run"), "{}", narrow(61));
        assert!(narrow(30).starts_with("run   r7  rotate\n"), "{}", narrow(30));
    }

    #[test]
    fn the_log_can_leave_times_out_and_be_json() {
        let options = Options { times: false, ..Options::default() };
        let text = logged(Format::Human, &options, script());
        assert!(text.starts_with("run   r7  rotate\nact   login   POST"), "{text}");
        assert_eq!(logged(Format::Jsonl, &options, script()).lines().count(), 8);
    }

    #[test]
    fn runs_are_a_table() {
        let row = |run: &str, state: &str, took_ms| RunRow {
            run: run.into(),
            runbook: "rotate".into(),
            state: state.into(),
            started_ms: 1_795_000_000_000,
            took_ms,
            last_step: "notify\u{1b}".into(),
        };
        let rows = [row("r7", "done", Some(3240)), row("r10", "waiting", None)];
        let said = |format| {
            let mut out = Vec::new();
            runs(&rows, format, &Options::default(), &mut out);
            String::from_utf8(out).unwrap()
        };
        let want = "\
run  runbook  state    started              took   last step
r7   rotate   done     2026-11-18 11:06:40  3.2 s  notify\\x1b
r10  rotate   waiting  2026-11-18 11:06:40         notify\\x1b
";
        assert_eq!(said(Format::Human).replace("\u{1b}[1m", "").replace("\u{1b}[0m", ""), want);
        let json = said(Format::Jsonl);
        let first = r#"{"run":"r7","runbook":"rotate","state":"done","started":"2026-11-18T11:06:40.000Z","took_ms":3240,"last_step":"notify\u001b"}"#;
        assert_eq!(json.lines().next(), Some(first));
    }
}
