//! Styled text: the only way from an event's words to a person's screen.
//!
//! What goes into a [`Line`] has its control characters made visible, so a text can neither move
//! the cursor nor start a line of its own. Colours are added when the line is drawn.

use std::fmt::Write as _;
use std::ops::Range;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use crate::printable::line;
use crate::wrap::pieces;

/// Columns in front of everything that belongs to a step: the status word and its space.
pub(super) const MARGIN: usize = 6;

/// One line of styled text, without its line break.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Line(Vec<(Style, String)>, Fold);

/// How a line goes on that is wider than the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Fold {
    /// Below its own beginning, or below what its first word says.
    #[default]
    Below,
    /// Below this column.
    Hang(usize),
    /// As the terminal does it: a row of a table, a line to copy.
    Whole,
}

impl Line {
    /// A line in one style.
    pub(super) fn styled(style: Style, text: &str) -> Self {
        Self::default().and(style, text)
    }

    /// A line without style.
    pub(super) fn bare(text: &str) -> Self {
        Self::styled(Style::new(), text)
    }

    /// Adds text in a style; a line break in it becomes visible.
    #[must_use]
    pub(super) fn and(mut self, style: Style, text: &str) -> Self {
        self.push(style, line(text));
        self
    }

    /// Adds text without style.
    #[must_use]
    pub(super) fn add(self, text: &str) -> Self {
        self.and(Style::new(), text)
    }

    /// Adds another line's text, which goes on as that did.
    #[must_use]
    pub(super) fn join(mut self, other: Line) -> Self {
        self.1 = match other.1 {
            Fold::Hang(columns) => Fold::Hang(self.width() + columns),
            other => other,
        };
        for (style, shown) in other.0 {
            self.push(style, shown);
        }
        self
    }

    /// Adds what is fit to be shown; one text for what has one style.
    fn push(&mut self, style: Style, shown: String) {
        match self.0.last_mut() {
            _ if shown.is_empty() => {}
            Some((last, text)) if *last == style => text.push_str(&shown),
            _ => {
                // most lines have one style
                self.0.reserve_exact(1);
                self.0.push((style, shown));
            }
        }
    }

    /// Goes on below this column.
    #[must_use]
    pub(super) fn hang(self, columns: usize) -> Self {
        Self(self.0, Fold::Hang(columns))
    }

    /// Is never broken.
    #[must_use]
    pub(super) fn whole(self) -> Self {
        Self(self.0, Fold::Whole)
    }

    /// As lines no wider than the screen.
    pub(super) fn folded(self, width: usize) -> Vec<Line> {
        if self.1 == Fold::Whole || self.width() <= width {
            return vec![self];
        }
        let text: String = self.0.iter().map(|(_, text)| text.as_str()).collect();
        let hang = match self.1 {
            Fold::Hang(columns) => columns,
            _ => {
                Some(text.len() - text.trim_start().len()).filter(|own| *own > 0).unwrap_or(MARGIN)
            }
        };
        let pieces = pieces(&text, width, hang);
        let line = |(at, piece)| self.part(piece).indent(if at == 0 { 0 } else { hang });
        pieces.into_iter().enumerate().map(line).collect()
    }

    /// What stands in a range of the text.
    fn part(&self, range: Range<usize>) -> Self {
        let mut parts = Vec::new();
        let mut start = 0;
        for (style, text) in &self.0 {
            let within = range.start.max(start)..range.end.min(start + text.len());
            if within.start < within.end {
                parts.push((*style, text[within.start - start..within.end - start].to_owned()));
            }
            start += text.len();
        }
        Self(parts, Fold::Whole)
    }

    /// Spaces in front, but not for an empty line.
    #[must_use]
    pub(super) fn indent(mut self, columns: usize) -> Self {
        match self.0.first_mut() {
            None => self,
            // a line of code, as most are that are indented
            Some((style, text)) if *style == Style::new() && self.1 == Fold::Below => {
                text.insert_str(0, &" ".repeat(columns));
                self
            }
            Some(_) => Self::bare(&" ".repeat(columns)).join(self),
        }
    }

    /// Spaces behind, up to a width.
    #[must_use]
    pub(super) fn pad(self, width: usize) -> Self {
        let missing = width.saturating_sub(self.width());
        self.add(&" ".repeat(missing))
    }

    /// Columns it takes.
    pub(super) fn width(&self) -> usize {
        // there are no control characters in it
        let width = |text: &str| if text.is_ascii() { text.len() } else { text.width() };
        self.0.iter().map(|(_, text)| width(text)).sum()
    }

    /// Whether there is nothing on it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, coloured on request, without spaces at its end.
    pub(super) fn draw(&self, color: bool) -> String {
        let mut drawn = String::new();
        for (style, text) in &self.0 {
            if color && *style != Style::new() {
                // writing to a string cannot fail
                let _infallible = write!(drawn, "{style}{text}{style:#}");
            } else {
                drawn += text;
            }
        }
        drawn.truncate(drawn.trim_end().len());
        drawn
    }
}

/// Lines as one text, each with its line break.
pub(super) fn draw(lines: &[Line], color: bool) -> String {
    lines.iter().map(|line| line.draw(color) + "\n").collect()
}

/// Lines as they fit on a screen, if it is one.
pub(super) fn folded(lines: Vec<Line>, screen: Option<usize>) -> Vec<Line> {
    match screen {
        Some(width) => lines.into_iter().flat_map(|line| line.folded(width)).collect(),
        None => lines,
    }
}

/// A text of several lines, each its own.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line> {
    text.lines().map(Line::bare)
}

/// Cells side by side, each padded to its column.
pub(super) fn beside(cells: Vec<Line>, widths: &[usize]) -> Line {
    cells.into_iter().zip(widths).enumerate().fold(Line::default(), |line, (at, (cell, width))| {
        let gap = if at == 0 { "" } else { "  " };
        line.add(gap).join(cell.pad(*width))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anstyle::AnsiColor;

    #[test]
    fn a_text_cannot_forge_a_line_or_a_colour() {
        let line = Line::bare("a\nok    b\u{1b}[2K");
        assert_eq!(line.draw(true), "a\\nok    b\\x1b[2K");
    }

    #[test]
    fn colour_is_added_only_on_request() {
        let line = Line::styled(AnsiColor::Green.on_default(), "ok").pad(6).add("x");
        assert_eq!(line.draw(false), "ok    x");
        assert_eq!(line.draw(true), "\u{1b}[32mok\u{1b}[0m    x");
    }

    #[test]
    fn a_line_without_room_goes_on_below_itself_in_its_style() {
        let red = AnsiColor::Red.on_default();
        let line = Line::bare("hint: ").and(red, "wait a moment").add(" or two");
        let folded = folded(vec![line.clone()], Some(17));
        let lines =
            "hint: \u{1b}[31mwait a\u{1b}[0m\n      \u{1b}[31mmoment\u{1b}[0m or\n      two\n";
        assert_eq!(draw(&folded, true), lines);
        let shifted = draw(&line.clone().hang(8).indent(2).folded(19), false);
        assert_eq!(shifted, "  hint: wait a\n          moment or\n          two\n");
        assert_eq!(line.clone().whole().folded(9), [line.whole()]);
    }
}
