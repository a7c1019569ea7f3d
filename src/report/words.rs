//! The words of a report: status words, durations, values as they may be shown.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use crate::journal::event::Stored;
use crate::value::{MASK, text};

/// What is shown with little weight: times, traces.
pub(super) const QUIET: Style = Style::new().dimmed();
/// What is shown with much weight: heads of tables.
pub(super) const STRONG: Style = Style::new().bold();
/// What is wrong.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What to do about it.
pub(super) const HINT: Style = AnsiColor::Cyan.on_default();

/// A status word and its style: at most five letters, so that lines are aligned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word(pub(super) &'static str, pub(super) Style);

const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();

pub(super) const RUN: Word = Word("run", STRONG);
pub(super) const OK: Word = Word("ok", GREEN);
pub(super) const DONE: Word = Word("done", GREEN.bold());
pub(super) const SAME: Word = Word("same", GREEN);
pub(super) const ADOPT: Word = Word("adopt", GREEN);
pub(super) const MISS: Word = Word("miss", YELLOW);
pub(super) const SKIP: Word = Word("skip", QUIET);
pub(super) const WOULD: Word = Word("would", HINT);
pub(super) const ACT: Word = Word("act", QUIET);
pub(super) const BEGAN: Word = Word("began", QUIET);
pub(super) const NOTE: Word = Word("note", HINT);
pub(super) const RETRY: Word = Word("retry", YELLOW);
pub(super) const RENEW: Word = Word("renew", YELLOW);
pub(super) const WAIT: Word = Word("wait", YELLOW);
pub(super) const DOUBT: Word = Word("doubt", YELLOW);
pub(super) const STOP: Word = Word("stop", YELLOW);
pub(super) const FAIL: Word = Word("fail", BAD);
pub(super) const UNDO: Word = Word("undo", GREEN);
pub(super) const REDO: Word = Word("redo", HINT);
pub(super) const RERUN: Word = Word("rerun", HINT);
pub(super) const KEEP: Word = Word("keep", HINT);

/// Milliseconds as a person says them: `210 ms`, `3.2 s`, `2 min 5 s`, `1 h 2 min`.
pub(super) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds}.{} s", ms % 1000 / 100),
        60..3600 => two((seconds / 60, "min"), (seconds % 60, "s")),
        _ => two((seconds / 3600, "h"), (seconds % 3600 / 60, "min")),
    }
}

fn two(large: (u64, &str), small: (u64, &str)) -> String {
    match small.0 {
        0 => format!("{} {}", large.0, large.1),
        _ => format!("{} {} {} {}", large.0, large.1, small.0, small.1),
    }
}

/// A number of things: `1 step`, `7 steps`.
pub(super) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A moment for a person, to the second.
pub(super) fn moment(at_ms: i64, zone: &TimeZone) -> String {
    timestamp(at_ms).to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A moment for a program: RFC 3339 in UTC, to the millisecond.
pub(super) fn rfc3339(at_ms: i64) -> String {
    format!("{:.3}", timestamp(at_ms))
}

fn timestamp(at_ms: i64) -> Timestamp {
    // a clock thousands of years off is shown as the nearest moment there is
    let bound = if at_ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(at_ms).unwrap_or(bound)
}

/// A value as anyone may see it, on one line. A short text stays whole, so that it can be copied.
pub(super) fn shown(value: &Stored, width: usize) -> String {
    match value {
        Stored::Sealed(_) => MASK.to_owned(),
        Stored::Plain(json) if json.is_string() && !text(json).contains('\n') => text(json),
        Stored::Plain(json) => clip(&text(json), width),
    }
}

/// A text cut to a width, with `…` for what is missing.
pub(super) fn clip(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.chars() {
        if cut.width() + 2 > width {
            break;
        }
        cut.push(c);
    }
    cut + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Json;

    #[test]
    fn durations_read_as_a_person_says_them() {
        let told = [0, 999, 1000, 3249, 59_999, 60_000, 125_900, 3_600_000, 3_725_000];
        let told = told.map(duration);
        let want = [
            "0 ms",
            "999 ms",
            "1.0 s",
            "3.2 s",
            "59.9 s",
            "1 min",
            "2 min 5 s",
            "1 h",
            "1 h 2 min",
        ];
        assert_eq!(told, want);
    }

    #[test]
    fn moments_are_total() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(i64::MIN), rfc3339(i64::MIN + 1));
        assert_eq!(moment(1_795_000_001_500, &TimeZone::UTC), "2026-11-18 11:06:41");
    }

    #[test]
    fn values_are_masked_whole_or_cut() {
        assert_eq!(shown(&Stored::Sealed("x".into()), 10), "***");
        let url = Json::from("https://example.org/a/long/one");
        assert_eq!(shown(&Stored::Plain(url), 10), "https://example.org/a/long/one");
        let list = Json::from(vec![1000, 2000, 3000]);
        assert_eq!(shown(&Stored::Plain(list), 10), "[1000,200…");
    }
}
