//! A file's text, and places in it.
//!
//! Everything an author wrote is pointed at by a [`Span`] into a [`Source`].

pub mod packed;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

/// A range of bytes in a [`Source`]'s text.
pub type Span = Range<usize>;

/// What the path of an embedded file begins with.
pub const EMBEDDED: &str = "bundled:";

/// What a runbook of this path and name is called in a command: one that came with the program is
/// found by its name, any other surely by its path alone.
pub fn in_command<'a>(path: &'a str, name: &'a str) -> &'a str {
    if path.starts_with(EMBEDDED) { name } else { path }
}

/// One file an author wrote: where it came from and what it says.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path as the person would write it; `bundled:…` for an embedded file.
    pub path: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
    /// Whether it came with the program: then it was checked when that was built.
    pub known: Known,
    /// Whether a run has begun with it: then what only a later version takes for a mistake is a warning.
    pub begun: bool,
}

/// Whether a file came with the program, and what its tables were packed into when that was built.
#[derive(Clone, Copy, Default)]
pub struct Known(Option<&'static [u8]>);

impl Known {
    /// A file that came with the program.
    pub const fn by(tables: &'static [u8]) -> Self {
        Self(Some(tables))
    }

    /// Whether it came with the program.
    pub fn is_so(self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.is_so().fmt(f)
    }
}

impl Source {
    /// A source from its shown path and its text.
    pub fn new(path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { path: path.into(), text: text.into(), known: Known::default(), begun: false }
    }

    /// The same, of a text that a run has begun with.
    pub fn begun(path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { begun: true, ..Self::new(path, text) }
    }

    /// Its tables, with the place of every key and value.
    pub fn tables(&self) -> Result<Spanned<DeTable<'_>>, toml::de::Error> {
        match self.known.0.and_then(|tables| packed::unpack(tables, &self.text)) {
            Some(tables) => Ok(tables),
            None => DeTable::parse(&self.text),
        }
    }

    /// The line and the column (both from 1, the column in characters) of a byte offset.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.floor(offset)];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[start..].chars().count() + 1)
    }

    fn floor(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// Where a range of a TOML string's *value* stands in the file.
///
/// `literal` is the span of the string with its quotes. Escapes, multi-line strings and
/// line continuations are followed (TOML 1.1, section "String").
pub fn place(source: &Source, literal: &Span, range: Range<usize>) -> Span {
    let Some(raw) = source.text.get(literal.clone()) else { return literal.clone() };
    let map = value_offsets(raw);
    let at = |offset: usize| map.get(offset).or(map.last()).map(|raw| raw + literal.start);
    match (at(range.start), at(range.end)) {
        (Some(start), Some(end)) if start < end => start..end,
        (Some(start), Some(_)) => start..(start + 1).min(literal.end.max(start)),
        _ => literal.clone(),
    }
}

/// For each byte of the value (and its end) the offset in the raw literal.
fn value_offsets(raw: &str) -> Vec<usize> {
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    if !raw.starts_with(['"', '\'']) || raw.len() < 2 * quotes {
        return (0..=raw.len()).collect();
    }
    let escapes = raw.starts_with('"');
    let (mut at, end) = (quotes, raw.len() - quotes);
    if quotes == 3 {
        at += newline_len(&raw[at..]);
    }
    let mut map = Vec::with_capacity(end - at + 1);
    while let Some(c) = raw[at..end].chars().next() {
        let (width, bytes) =
            if c == '\\' && escapes { escape(&raw[at..end]) } else { (c.len_utf8(), c.len_utf8()) };
        map.extend((0..bytes).map(|byte| if bytes == width { at + byte } else { at }));
        at += width;
    }
    map.push(end);
    map
}

fn newline_len(text: &str) -> usize {
    if text.starts_with("\r\n") { 2 } else { usize::from(text.starts_with('\n')) }
}

/// The width of an escape in the file, and the bytes it stands for.
fn escape(text: &str) -> (usize, usize) {
    let digits = |from: usize, count: usize| {
        let code = text.get(from..from + count).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        (from + count, code.and_then(char::from_u32).map_or(1, char::len_utf8))
    };
    let (width, bytes) = match text.as_bytes().get(1) {
        Some(b'u') => digits(2, 4),
        Some(b'U') => digits(2, 8),
        Some(b'x') => digits(2, 2),
        Some(b' ' | b'\t' | b'\n' | b'\r') => {
            (1 + text[1..].len() - text[1..].trim_start().len(), 0)
        }
        _ => (2, 1),
    };
    (width.min(text.len()), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(literal: &str, part: &str) -> String {
        let text = format!("key = {literal}\n");
        let source = Source::new("a.toml", text.clone());
        let table = toml::de::DeTable::parse(&text).unwrap();
        let value = table.get_ref().get("key").unwrap();
        let string = value.get_ref().as_str().unwrap();
        let start = string.find(part).unwrap();
        text[place(&source, &value.span(), start..start + part.len())].to_owned()
    }

    #[test]
    fn places_are_found_in_every_kind_of_string() {
        assert_eq!(placed("'a {{ hst }}'", "hst"), "hst");
        assert_eq!(placed("\"a\\tb {{ hst }}\"", "hst"), "hst");
        assert_eq!(placed("\"\\u00e9\\U0001F600 {{ hst }}\"", "hst"), "hst");
        assert_eq!(placed("\"\"\"\nline\n{{ hst }}\"\"\"", "hst"), "hst");
        assert_eq!(placed("'''\r\nline {{ hst }}'''", "hst"), "hst");
        assert_eq!(placed("\"\"\"a \\\n   {{ hst }} é\"\"\"", "hst"), "hst");
    }

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let source = Source::new("a", "ab\nçd\n");
        assert_eq!(source.line_column(0), (1, 1));
        assert_eq!(source.line_column(5), (2, 2));
    }
}
