//! Text from elsewhere, made harmless for a terminal.
//!
//! What would move the cursor, colour, reorder or hide text is written out as an escape
//! instead; line breaks and tabs stay. Nothing else is changed.

use std::borrow::Cow;
use std::fmt::Write;

/// A text whose control characters can be seen and do nothing: `\x1b[31m`.
///
/// Carriage returns, C1 controls, bidirectional overrides and marks, invisible tags, and
/// the line and paragraph separators are among them.
pub fn printable(text: &str) -> Cow<'_, str> {
    // nearly all text is this
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t'));
    if plain || !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // writing to a string does not fail
        let _ = match c {
            '\r' => out.write_str("\\r"),
            c if !is_harmful(c) => out.write_char(c),
            c if c.is_ascii() => write!(out, "\\x{:02x}", u32::from(c)),
            c => write!(out, "\\u{{{:x}}}", u32::from(c)),
        };
    }
    Cow::Owned(out)
}

/// The same on one line, whatever is in it: a line end is written out too.
pub fn line(text: &str) -> String {
    let shown = printable(text);
    if shown.contains('\n') { shown.replace('\n', "\\n") } else { shown.into_owned() }
}

/// A value in the middle of a line: quoted if its end could not be seen, or if it could look like
/// lines of ours.
pub fn quoted(text: &str) -> Cow<'_, str> {
    let seen = !text.is_empty() && text.trim() == text && !text.contains(char::is_control);
    if seen { Cow::Borrowed(text) } else { Cow::Owned(serde_json::Value::from(text).to_string()) }
}

/// A word as a person could paste it into a shell.
pub fn argument(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

/// A flag with its value in a command to copy, a space before it; nothing if there is none.
pub fn flag(name: &str, value: Option<&str>) -> String {
    value.map(|value| format!(" --{name} {}", argument(value))).unwrap_or_default()
}

fn is_harmful(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // both sets of controls, and `DEL`
        c if c.is_control() => true,
        c => reorders(c) || hides(c),
    }
}

/// Bidirectional marks, embeddings, overrides and isolates.
fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}

/// Separators that some terminals break lines at, and what cannot be seen at all. The
/// joiners, which scripts and emoji need, are not among them.
fn hides(c: char) -> bool {
    let separators = matches!(c, '\u{2028}' | '\u{2029}');
    separators
        || matches!(c, '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_not_touched() {
        for text in ["", "two\nlines\tand a tab", "naïve 日本語 🏳️‍🌈 עברית", "\\x1b"]
        {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn a_value_is_quoted_where_its_end_could_not_be_seen() {
        for (text, shown) in [
            ("it's nice", "it's nice"),
            ("", r#""""#),
            ("nice ", r#""nice ""#),
            ("it's \"nice\"\n  hint: x", r#""it's \"nice\"\n  hint: x""#),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }

    #[test]
    fn what_moves_or_hides_is_written_out() {
        assert_eq!(printable("a\x1b[31mred\x07"), "a\\x1b[31mred\\x07");
        assert_eq!(printable("safe\rforged\r\n"), "safe\\rforged\\r\n");
        assert_eq!(printable("\u{9b}2J\u{7f}\0"), "\\u{9b}2J\\x7f\\x00");
        assert_eq!(printable("a\u{202e}b\u{2066}c"), "a\\u{202e}b\\u{2066}c");
        assert_eq!(printable("x\u{2028}y\u{e0041}"), "x\\u{2028}y\\u{e0041}");
    }
}
