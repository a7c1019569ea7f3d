//! Notes: Markdown as lines a person can read in a terminal or a log, wrapped to a width.
//!
//! Code blocks keep every character, whatever the width, so that they can be copied; so do code
//! spans and addresses. Any text is rendered somehow: there is no invalid Markdown.

use std::iter::Peekable;
use std::vec::IntoIter;

use anstyle::{Effects, Style};
use pulldown_cmark::{Alignment, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::text::{Line, beside, draw, lines};
use super::words::{HINT, QUIET, STRONG};

/// Spaces in front of code.
const CODE_INDENT: usize = 4;
/// No column of a table is made narrower than this to fit the width.
const MIN_COLUMN: usize = 8;
/// Deeper nesting than anyone writes; such a text is shown as it stands.
const MAX_DEPTH: usize = 64;
/// Text is never wrapped to fewer columns than this.
const MIN_WIDTH: usize = 16;

/// Markdown as text for a screen `width` columns wide, coloured on request.
pub fn markdown(markdown: &str, width: usize, color: bool) -> String {
    draw(&render(markdown, width, color), color)
}

/// Markdown as lines.
pub(super) fn render(markdown: &str, width: usize, color: bool) -> Vec<Line> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events: Vec<Event> = Parser::new_ext(markdown, options).collect();
    if depth(&events) > MAX_DEPTH {
        return lines(markdown).collect();
    }
    Renderer { events: events.into_iter().peekable(), color }.blocks(width, false)
}

fn depth(events: &[Event]) -> usize {
    let levels = events.iter().scan(0_usize, |level, event| {
        match event {
            Event::Start(_) => *level += 1,
            Event::End(_) => *level = level.saturating_sub(1),
            _ => {}
        }
        Some(*level)
    });
    levels.max().unwrap_or(0)
}

/// Running text before it is wrapped.
#[derive(Clone)]
enum Piece {
    /// May be wrapped at its spaces.
    Text(Style, String),
    /// Stays together.
    Solid(Style, String),
    /// A line ends here.
    Break,
}

struct Renderer<'a> {
    events: Peekable<IntoIter<Event<'a>>>,
    color: bool,
}

impl Renderer<'_> {
    /// Blocks up to and with the end of what contains them, empty lines between unless tight.
    fn blocks(&mut self, width: usize, tight: bool) -> Vec<Line> {
        let width = width.max(MIN_WIDTH);
        let mut all: Vec<Line> = Vec::new();
        while let Some(event) = self.events.peek() {
            if let Event::End(end) = event
                && !is_inline_end(*end)
            {
                self.events.next();
                break;
            }
            let block = self.block(width);
            if !all.is_empty() && !block.is_empty() && !tight {
                all.push(Line::default());
            }
            all.extend(block);
        }
        all
    }

    fn block(&mut self, width: usize) -> Vec<Line> {
        let tag = match self.events.next_if(is_block) {
            Some(Event::Start(tag)) => tag,
            Some(Event::Rule) => return vec![Line::styled(QUIET, &"-".repeat(width.min(40)))],
            Some(Event::Html(html)) => return lines(&html).collect(),
            // the text of a tight list item has no paragraph around it
            _ => return wrap(self.inline(Style::new()), width),
        };
        match tag {
            Tag::Paragraph => {
                let pieces = self.inline(Style::new());
                self.events.next();
                wrap(pieces, width)
            }
            Tag::Heading { level, .. } => self.heading(level, width),
            Tag::BlockQuote(_) => {
                let inner = self.blocks(width.saturating_sub(2), false);
                inner.into_iter().map(|line| Line::styled(QUIET, "| ").join(line)).collect()
            }
            Tag::CodeBlock(_) => {
                let code = self.verbatim();
                lines(&code).map(|line| line.indent(CODE_INDENT)).collect()
            }
            Tag::HtmlBlock => lines(&self.verbatim()).collect(),
            Tag::List(first) => self.list(first, width),
            Tag::Table(alignments) => self.table(&alignments, width),
            _ => self.blocks(width, false),
        }
    }

    fn heading(&mut self, level: HeadingLevel, width: usize) -> Vec<Line> {
        let top = level == HeadingLevel::H1;
        let pieces = self.inline(if top { STRONG.underline() } else { STRONG });
        self.events.next();
        let mut told = wrap(pieces, width);
        if !self.color {
            let widest = told.iter().map(Line::width).max().unwrap_or(0);
            told.push(Line::bare(&if top { "=" } else { "-" }.repeat(widest)));
        }
        told
    }

    /// All text up to the block's end, as it stands.
    fn verbatim(&mut self) -> String {
        let mut all = String::new();
        for event in self.events.by_ref() {
            match event {
                Event::Text(text) | Event::Html(text) => all += &text,
                Event::End(_) => break,
                _ => {}
            }
        }
        all
    }

    fn list(&mut self, first: Option<u64>, width: usize) -> Vec<Line> {
        let mut all: Vec<Line> = Vec::new();
        let mut number = first;
        while let Some(Event::Start(Tag::Item)) = self.events.next() {
            let loose = matches!(self.events.peek(), Some(Event::Start(Tag::Paragraph)));
            if loose && !all.is_empty() {
                all.push(Line::default());
            }
            let marker = number.map_or_else(|| "- ".to_owned(), |number| format!("{number}. "));
            number = number.map(|number| number.saturating_add(1));
            all.extend(self.item(&marker, width, !loose));
        }
        all
    }

    fn item(&mut self, marker: &str, width: usize, tight: bool) -> Vec<Line> {
        let indent = marker.len();
        let inner = self.blocks(width.saturating_sub(indent), tight);
        if inner.is_empty() {
            return vec![Line::bare(marker)];
        }
        let placed = |(at, line): (usize, Line)| match at {
            0 => Line::bare(marker).join(line),
            _ => line.indent(indent),
        };
        inner.into_iter().enumerate().map(placed).collect()
    }

    fn table(&mut self, alignments: &[Alignment], width: usize) -> Vec<Line> {
        let mut rows: Vec<Vec<Vec<Piece>>> = Vec::new();
        while let Some(Event::Start(tag)) = self.events.next() {
            rows.push(self.row(if tag == Tag::TableHead { STRONG } else { Style::new() }));
        }
        let widths = column_widths(&rows, width);
        if !fits(&rows, &widths, width) {
            return stacked(rows, width);
        }
        let mut rows = rows.into_iter().map(|row| wrapped_row(row, alignments, &widths));
        let head = rows.next().unwrap_or_default();
        let dashes = widths.iter().map(|width| Line::styled(QUIET, &"-".repeat(*width))).collect();
        let rule = beside(dashes, &widths);
        head.into_iter().chain([rule]).chain(rows.flatten()).collect()
    }

    /// One row's cells, up to and with its end.
    fn row(&mut self, style: Style) -> Vec<Vec<Piece>> {
        let mut cells = Vec::new();
        while let Some(Event::Start(Tag::TableCell)) = self.events.next() {
            cells.push(self.inline(style));
            self.events.next();
        }
        cells
    }

    /// Running text up to the next block's start or end, which is left.
    fn inline(&mut self, base: Style) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut open = vec![base];
        let mut links: Vec<(String, usize)> = Vec::new();
        while let Some(event) = self.events.next_if(|event| !ends_inline(event)) {
            let style = open.last().copied().unwrap_or(base);
            match event {
                Event::Start(tag) => {
                    if let Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } = &tag {
                        links.push((dest_url.to_string(), pieces.len()));
                    }
                    open.push(style | effects(&tag));
                }
                Event::End(TagEnd::Link | TagEnd::Image) => {
                    open.pop();
                    pieces.extend(links.pop().and_then(|link| address(&pieces, &link)));
                }
                Event::End(_) => drop(open.pop()),
                other => pieces.extend(piece(other, style)),
            }
        }
        pieces
    }
}

/// What an inline event says.
fn piece(event: Event, style: Style) -> Option<Piece> {
    let text = |text: CowStr| Piece::Text(style, text.into_string());
    Some(match event {
        Event::Text(said) | Event::InlineHtml(said) => text(said),
        Event::Code(code) => Piece::Solid(code_style(style), format!("`{code}`")),
        Event::SoftBreak => Piece::Text(style, " ".to_owned()),
        Event::HardBreak => Piece::Break,
        Event::TaskListMarker(done) => {
            Piece::Text(style, if done { "[x] " } else { "[ ] " }.to_owned())
        }
        _ => return None,
    })
}

/// Code keeps the effects around it and has a colour of its own.
fn code_style(style: Style) -> Style {
    HINT | style.get_effects()
}

/// A link's address behind its text, unless the text is the address.
fn address(pieces: &[Piece], (url, from): &(String, usize)) -> Option<Piece> {
    let said: String = pieces.iter().skip(*from).map(said).collect();
    let same = said == *url || url.strip_prefix("mailto:") == Some(said.as_str());
    (!same && !url.is_empty()).then(|| Piece::Text(Style::new(), format!(" ({url})")))
}

fn said(piece: &Piece) -> &str {
    match piece {
        Piece::Text(_, text) | Piece::Solid(_, text) => text,
        Piece::Break => " ",
    }
}

fn effects(tag: &Tag) -> Effects {
    match tag {
        Tag::Emphasis => Effects::ITALIC,
        Tag::Strong => Effects::BOLD,
        Tag::Strikethrough => Effects::STRIKETHROUGH,
        Tag::Link { .. } | Tag::Image { .. } => Effects::UNDERLINE,
        _ => Effects::new(),
    }
}

/// Lines of at most `width` columns, broken at spaces; a longer word stands alone.
fn wrap(pieces: Vec<Piece>, width: usize) -> Vec<Line> {
    let mut wrapped = Wrapped { lines: Vec::new(), line: Line::default(), word: Line::default() };
    for piece in pieces {
        match piece {
            Piece::Text(style, text) => wrapped.text(style, &text, width),
            Piece::Solid(style, text) => {
                wrapped.word = std::mem::take(&mut wrapped.word).and(style, &text);
            }
            Piece::Break => wrapped.end_line(width),
        }
    }
    wrapped.end_line(width);
    wrapped.lines
}

struct Wrapped {
    lines: Vec<Line>,
    line: Line,
    word: Line,
}

impl Wrapped {
    fn text(&mut self, style: Style, text: &str, width: usize) {
        for (at, word) in text.split([' ', '\t', '\n']).enumerate() {
            if at > 0 {
                self.end_word(width);
            }
            self.word = std::mem::take(&mut self.word).and(style, word);
        }
    }

    fn end_word(&mut self, width: usize) {
        let word = std::mem::take(&mut self.word);
        if word.is_empty() {
            return;
        }
        let line = std::mem::take(&mut self.line);
        self.line = if line.is_empty() {
            word
        } else if line.width() + 1 + word.width() <= width {
            line.add(" ").join(word)
        } else {
            self.lines.push(line);
            word
        };
    }

    fn end_line(&mut self, width: usize) {
        self.end_word(width);
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.lines.push(line);
        }
    }
}

/// Each column as wide as its widest cell; the widest give way until all fit.
fn column_widths(rows: &[Vec<Vec<Piece>>], width: usize) -> Vec<usize> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let natural =
        |cell: &Vec<Piece>| cell.iter().map(|piece| Line::bare(said(piece)).width()).sum();
    let mut widths: Vec<usize> = (0..count)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(natural).max().unwrap_or(0))
        .collect();
    let room = width.saturating_sub(count.saturating_sub(1) * 2);
    while widths.iter().sum::<usize>() > room {
        match widths.iter_mut().max() {
            Some(widest) if *widest > MIN_COLUMN => *widest -= 1,
            _ => break,
        }
    }
    widths
}

/// Whether every word fits its column, and the columns the width.
fn fits(rows: &[Vec<Vec<Piece>>], widths: &[usize], width: usize) -> bool {
    let room = width.saturating_sub(widths.len().saturating_sub(1) * 2);
    let fits = |(cell, width): (&Vec<Piece>, &usize)| {
        wrap(cell.clone(), *width).iter().all(|line| line.width() <= *width)
    };
    widths.iter().sum::<usize>() <= room && rows.iter().all(|row| row.iter().zip(widths).all(fits))
}

/// A table for a narrow screen: each cell on lines of its own, behind its column's head.
fn stacked(rows: Vec<Vec<Vec<Piece>>>, width: usize) -> Vec<Line> {
    let mut rows = rows.into_iter();
    let head = rows.next().unwrap_or_default();
    let mut told = Vec::new();
    for row in rows {
        if !told.is_empty() {
            told.push(Line::default());
        }
        for (at, cell) in row.into_iter().enumerate() {
            let label = head.get(at).filter(|label| !label.is_empty());
            let colon = label.map(|_| Piece::Text(STRONG, ": ".to_owned()));
            let pieces = label.cloned().unwrap_or_default().into_iter().chain(colon).chain(cell);
            told.extend(wrap(pieces.collect(), width));
        }
    }
    told
}

fn wrapped_row(row: Vec<Vec<Piece>>, alignments: &[Alignment], widths: &[usize]) -> Vec<Line> {
    let cells: Vec<Vec<Line>> =
        row.into_iter().zip(widths).map(|(cell, width)| wrap(cell, *width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let line = |at: usize| {
        let cells = cells.iter().enumerate().map(|(column, cell)| {
            let line = cell.get(at).cloned().unwrap_or_default();
            align(line, alignments.get(column), widths.get(column).copied().unwrap_or(0))
        });
        beside(cells.collect(), widths)
    };
    (0..height).map(line).collect()
}

fn align(line: Line, alignment: Option<&Alignment>, width: usize) -> Line {
    let missing = width.saturating_sub(line.width());
    match alignment {
        Some(Alignment::Right) => line.indent(missing),
        Some(Alignment::Center) => line.indent(missing / 2),
        _ => line,
    }
}

/// Whether a block begins here, or is here as a whole.
fn is_block(event: &Event) -> bool {
    match event {
        Event::Start(tag) => !is_inline_end(tag.to_end()),
        Event::Rule | Event::Html(_) => true,
        _ => false,
    }
}

/// Whether running text ends before this.
fn ends_inline(event: &Event) -> bool {
    match event {
        Event::End(end) => !is_inline_end(*end),
        other => is_block(other),
    }
}

fn is_inline_end(end: TagEnd) -> bool {
    matches!(
        end,
        TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Link
            | TagEnd::Image
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned() {
        let text = "| Name | Count | Note |\n|:--|--:|:-:|\n| **a** | 1 | x |\n| `long name` | 100 | [y](https://h/) |\n";
        let want = "\
Name         Count       Note
-----------  -----  --------------
a                1        x
`long name`    100  y (https://h/)
";
        assert_eq!(markdown(text, 80, false), want);
    }

    #[test]
    fn a_wide_table_is_wrapped_within_its_columns() {
        let text = "| Setting | Meaning |\n|-|-|\n| a | many words that do not fit on one line |\n| b | few |\n";
        let want = "\
Setting  Meaning
-------  -----------------
a        many words that
         do not fit on one
         line
b        few
";
        assert_eq!(markdown(text, 26, false), want);
    }

    #[test]
    fn a_table_that_cannot_fit_is_told_cell_by_cell() {
        let text = "| Endpoint | URL |\n|-|-|\n| Issuer | `https://auth.example/application/o/app/` |\n| Token | `https://h/t` |\n";
        let want = "\
Endpoint: Issuer
URL:
`https://auth.example/application/o/app/`

Endpoint: Token
URL: `https://h/t`
";
        assert_eq!(markdown(text, 40, false), want);
        assert!(markdown(text, 60, false).starts_with("Endpoint  URL\n"));
    }

    #[test]
    fn lists_nest() {
        let text = "Do:\n\n1. first\n   - one\n   - two\n     1. deep\n2. second\n\n   more of it\n\n- [x] yes\n- [ ] no\n";
        let want = "\
Do:

1. first

   - one
   - two
     1. deep

2. second

   more of it

- [x] yes
- [ ] no
";
        assert_eq!(markdown(text, 80, false), want);
    }

    #[test]
    fn code_is_never_touched() {
        let long = format!("echo {} | sed 's/\\*/_/g'", "x ".repeat(60));
        let text = format!("Run\n\n```sh\n{long}\n\n\tmake  all\n```\n");
        let want = format!("Run\n\n    {long}\n\n    \tmake  all\n");
        assert_eq!(markdown(&text, 40, false), want);
    }

    #[test]
    fn long_lines_are_wrapped_but_not_code_and_addresses() {
        let text = "Some words *and* more, then `a code span that stays whole` and <https://example.org/a/very/long/address> at\nthe end.";
        let want = "\
Some words and more,
then
`a code span that stays whole`
and
https://example.org/a/very/long/address
at the end.
";
        assert_eq!(markdown(text, 24, false), want);
    }

    #[test]
    fn headings_quotes_and_rules() {
        let text = "# Top\n\n## Below `x`\n\n> quoted\n> - item\n\n---\n\na\\\nb <b>c</b>\n";
        let want = format!(
            "Top\n===\n\nBelow `x`\n---------\n\n| quoted\n|\n| - item\n\n{}\n\na\nb <b>c</b>\n",
            "-".repeat(30)
        );
        assert_eq!(markdown(text, 30, false), want);
    }

    #[test]
    fn colours_say_what_underlines_said() {
        assert_eq!(markdown("## A **b**", 80, true), "\u{1b}[1mA\u{1b}[0m \u{1b}[1mb\u{1b}[0m\n");
    }

    #[test]
    fn any_text_is_shown() {
        assert_eq!(markdown("", 80, false), "");
        assert_eq!(markdown("a\u{1b}[2Jb", 0, false), "a\\x1b[2Jb\n");
        let deep = ">".repeat(5000) + " x";
        assert_eq!(markdown(&deep, 80, false), deep.clone() + "\n");
        assert!(!markdown("| a |\n|-|\n||\n\n-\n\n1.\n\n[x]: y", 1, false).is_empty());
    }
}
