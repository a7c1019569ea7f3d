//! Lines broken between words, for a screen.

use std::ops::Range;

use unicode_width::UnicodeWidthStr as _;

/// A line as lines no wider than so many columns, broken between words; those that go on are to
/// be indented by `hang`. What stands in backticks stays together, so that it can be copied: the
/// first line of a broken command would be one by itself. So does a number with its unit if it has
/// room on one line. A wider word is left whole, for the terminal to break.
pub fn wrapped(line: &str, width: usize, hang: usize) -> Vec<&str> {
    pieces(line, width, hang).into_iter().filter_map(|piece| line.get(piece)).collect()
}

/// The same as ranges of bytes.
pub fn pieces(line: &str, width: usize, hang: usize) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    let room = width.saturating_sub(hang);
    let broken = |unit: Range<usize>| match line[unit.clone()].width() {
        wide if wide > room => units(line, unit, &|_| false),
        _ => vec![unit],
    };
    for unit in units(line, 0..line.len(), &bound).into_iter().flat_map(broken) {
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

/// What stays on one line: words, most of them, and what is `bound` to the next.
fn units(line: &str, part: Range<usize>, bound: &dyn Fn(&str) -> bool) -> Vec<Range<usize>> {
    let text = &line[..part.end];
    let mut units = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (at, c) in text[part.start..].char_indices().map(|(at, c)| (part.start + at, c)) {
        match (c, start) {
            (' ', Some(begun)) if !quoted && !bound(&text[begun..at]) => {
                units.push(begun..at);
                start = None;
            }
            (c, None) if c != ' ' => start = Some(at),
            _ => {}
        }
        if c == '`' {
            // one alone binds nothing
            quoted = !quoted && text[at + 1..].contains('`');
        }
    }
    units.extend(start.map(|start| start..text.trim_end().len()));
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
        assert_eq!(wrapped("a `very long command` b c", 8, 2), ["a", "`very long command`", "b c"]);
        assert_eq!(wrapped("in 3 `long commands`.", 8, 2), ["in 3", "`long commands`."]);
        assert_eq!(wrapped("at https://example.org/", 10, 2), ["at", "https://example.org/"]);
    }
}
