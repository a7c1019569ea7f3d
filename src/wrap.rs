//! Lines broken between words, for a screen.

use std::ops::Range;

use unicode_width::UnicodeWidthStr as _;

/// A line as lines no wider than so many columns, broken between words; those that go on are to
/// be indented by `hang`. What stands in backticks stays together if it has room on one line, so
/// that it can be copied, and so does a number with its unit. A wider word is left whole.
pub fn wrapped(line: &str, width: usize, hang: usize) -> Vec<&str> {
    pieces(line, width, hang).into_iter().filter_map(|piece| line.get(piece)).collect()
}

/// The same as ranges of bytes.
pub fn pieces(line: &str, width: usize, hang: usize) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    let room = width.saturating_sub(hang);
    let broken = |unit: Range<usize>| match line[unit.clone()].width() {
        wide if wide > room => words(line, unit),
        _ => vec![unit],
    };
    for unit in units(line).into_iter().flat_map(broken) {
        let room = if pieces.len() > 1 { room } else { width };
        let fits = |piece: &Range<usize>| line[piece.start..unit.end].width() <= room;
        match pieces.last_mut() {
            Some(piece) if fits(piece) => piece.end = unit.end,
            // what stands in front belongs to the first line
            None => pieces.push(0..unit.end),
            _ => pieces.push(unit),
        }
    }
    pieces
}

fn words(line: &str, unit: Range<usize>) -> Vec<Range<usize>> {
    let mut at = unit.start;
    let mut words = Vec::new();
    for word in line[unit].split(' ') {
        words.extend((!word.is_empty()).then(|| at..at + word.len()));
        at += word.len() + 1;
    }
    words
}

/// What is broken only where it has no room: words, most of them.
fn units(line: &str) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match (c, start) {
            (' ', Some(begun)) if !quoted && !bound(&line[begun..at]) => {
                units.push(begun..at);
                start = None;
            }
            (c, None) if c != ' ' => start = Some(at),
            _ => {}
        }
        if c == '`' {
            // one alone binds nothing
            quoted = !quoted && line[at + 1..].contains('`');
        }
    }
    units.extend(start.map(|start| start..line.trim_end().len()));
    units
}

/// Whether what follows belongs to this: a number and its unit, what separates and what it leads to.
fn bound(unit: &str) -> bool {
    let last = unit.rsplit(' ').next().unwrap_or(unit);
    let number = |c: char| c.is_ascii_digit() || c == '.';
    last == "·" || (last.starts_with(|c: char| c.is_ascii_digit()) && last.chars().all(number))
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 20, 2), ["one two three"]);
        assert_eq!(wrapped("one two three", 7, 2), ["one two", "three"]);
        assert_eq!(wrapped("one two three four", 9, 2), ["one two", "three", "four"]);
        assert_eq!(wrapped("  ok   a  b", 8, 2), ["  ok   a", "b"]);
        assert_eq!(wrapped("", 8, 2), [""; 0]);
    }

    #[test]
    fn what_belongs_together_stays_together() {
        assert_eq!(wrapped("then `runbook resume r1`", 20, 1), ["then", "`runbook resume r1`"]);
        assert_eq!(wrapped("yes · 15.5 ms", 11, 2), ["yes", "· 15.5 ms"]);
        assert_eq!(wrapped("it`s a", 5, 0), ["it`s", "a"]);
        assert_eq!(wrapped("a `very long command`", 8, 2), ["a `very", "long", "command`"]);
        assert_eq!(wrapped("at https://example.org/", 10, 2), ["at", "https://example.org/"]);
    }
}
