//! Styled text: the only way from an event's words to a person's screen.
//!
//! What goes into a [`Line`] has its control characters made visible, so a text can neither move
//! the cursor nor start a line of its own. Colours are added when the line is drawn.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use crate::printable::line;

/// One line of styled text, without its line break.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Line(Vec<(Style, String)>);

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

    /// Adds another line's text.
    #[must_use]
    pub(super) fn join(mut self, other: Line) -> Self {
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
            _ => self.0.push((style, shown)),
        }
    }

    /// Spaces in front, but not for an empty line.
    #[must_use]
    pub(super) fn indent(self, columns: usize) -> Self {
        if self.is_empty() { self } else { Self::bare(&" ".repeat(columns)).join(self) }
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

/// A text of several lines, each its own.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line> {
    text.lines().map(Line::bare)
}

/// Rows below a head, each column as wide as its widest cell, two spaces between.
pub(super) fn columns(head: &[&str], style: Style, rows: &[Vec<String>]) -> Vec<Line> {
    let head: Vec<Line> = head.iter().map(|cell| Line::styled(style, cell)).collect();
    let body = rows.iter().map(|row| row.iter().map(|cell| Line::bare(cell)).collect());
    let table: Vec<Vec<Line>> = std::iter::once(head).chain(body).collect();
    let count = table.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| {
        table.iter().filter_map(|row| row.get(column)).map(Line::width).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(widest).collect();
    table.into_iter().map(|row| beside(row, &widths)).collect()
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
    fn columns_are_aligned_by_their_width_on_screen() {
        let rows = [vec!["日本".to_owned(), "b".into()], vec!["a".to_owned(), String::new()]];
        let table = columns(&["x", "y"], Style::new(), &rows);
        assert_eq!(draw(&table, false), "x     y\n日本  b\na\n");
    }
}
