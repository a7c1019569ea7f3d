//! Finds places inside a template's text: minijinja tells which names are read, not where.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// What is called by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callable {
    /// After a `|`.
    Filter,
    /// After `is` or `is not`.
    Test,
}

/// The expression's range if the text is exactly one `{{ expression }}`.
pub(super) fn sole_expression(source: &str, areas: &[Range<usize>]) -> Option<Range<usize>> {
    if !source.starts_with("{{") || !source.ends_with("}}") || source.len() < 4 {
        return None;
    }
    match areas {
        [area] if area.end + 2 == source.len() => {
            let inner = area.clone();
            // `{{-` and `-}}` only trim what is not there.
            let start = inner.start + usize::from(source[inner.clone()].starts_with(['-', '+']));
            let end = inner.end - usize::from(source[start..inner.end].ends_with(['-', '+']));
            Some(start..end)
        }
        _ => None,
    }
}

/// The insides of all `{{ … }}` and `{% … %}`.
pub(super) fn code_areas(source: &str) -> Vec<Range<usize>> {
    let mut areas = Vec::new();
    let mut at = 0;
    while let Some(open) = next_open(source, at) {
        let close = match &source[open..open + 2] {
            "{{" => "}}",
            "{%" => "%}",
            _ => "#}",
        };
        let end = find_close(source, open + 2, close);
        if close != "#}" {
            areas.push(open + 2..end);
        }
        at = (end + 2).min(source.len());
    }
    areas
}

/// Whether a text is to be taken as it stands.
pub(super) fn is_plain(source: &str) -> bool {
    next_open(source, 0).is_none()
}

fn next_open(source: &str, from: usize) -> Option<usize> {
    let bytes = source.as_bytes();
    let opens = |at: &usize| matches!(bytes.get(at + 1), Some(b'{' | b'%' | b'#'));
    (from..bytes.len()).filter(|at| bytes[*at] == b'{').find(opens)
}

fn find_close(source: &str, from: usize, close: &str) -> usize {
    let bytes = source.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        if source.as_bytes()[at..].starts_with(close.as_bytes()) {
            return at;
        }
        at = if matches!(bytes[at], b'"' | b'\'') && close != "#}" {
            skip_string(bytes, at)
        } else {
            at + 1
        };
    }
    source.len()
}

fn skip_string(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < bytes.len() && bytes[at] != bytes[open] {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The words of code outside strings, in order: identifiers, and single other characters.
pub(super) struct Words<'s> {
    source: &'s str,
    ranges: Vec<Range<usize>>,
}

impl<'s> Words<'s> {
    /// The words between some braces of a text.
    pub(super) fn of(source: &'s str, areas: &[Range<usize>]) -> Self {
        let bytes = source.as_bytes();
        let mut ranges = Vec::new();
        for area in areas {
            let mut at = area.start;
            while at < area.end {
                let start = at;
                match bytes[at] {
                    b'"' | b'\'' => at = skip_string(bytes, at),
                    byte if is_word(byte) => {
                        while at < area.end && is_word(bytes[at]) {
                            at += 1;
                        }
                        ranges.push(start..at);
                    }
                    byte if byte.is_ascii_whitespace() => at += 1,
                    _ => {
                        at += 1;
                        ranges.push(start..at);
                    }
                }
            }
        }
        Self { source, ranges }
    }

    /// One of them, or nothing where there is none.
    fn at(&self, index: usize) -> &'s str {
        self.ranges.get(index).map_or("", |range| self.text(range))
    }

    fn text(&self, range: &Range<usize>) -> &'s str {
        self.source.get(range.clone()).unwrap_or_default()
    }

    /// Whether a function is called: a name before a bracket that is no filter and no test.
    pub(super) fn call_functions(&self) -> bool {
        (1..self.ranges.len()).filter(|index| self.at(*index) == "(").any(|index| {
            let name = self.at(index - 1);
            let before = index.checked_sub(2).map_or("", |index| self.at(index));
            begins_name(name) && !KEYWORDS.contains(&name) && !matches!(before, "|" | "is" | "not")
        })
    }

    /// What stands on both sides of `<`, `>`, `<=` and `>=`, where that is one word by itself.
    pub(super) fn compared(&self) -> Vec<(&'s str, &'s str)> {
        const BOUNDS: [&str; 8] = ["", "and", "or", "not", "(", ")", ",", "if"];
        let bound = |word: &str| BOUNDS.contains(&word);
        let order = |at: &usize| matches!(self.at(*at), "<" | ">");
        let sides = |at: usize| {
            let right = if self.at(at + 1) == "=" { at + 2 } else { at + 1 };
            let alone = |from: usize, to: usize| {
                // a string is no word, and would be passed over
                let between = self.ranges.get(from)?.end..self.ranges.get(to)?.start;
                self.source.get(between)?.trim().is_empty().then_some(())
            };
            let left = at.checked_sub(1)?;
            let before = left.checked_sub(1).map_or("", |before| self.at(before));
            alone(left, at).and_then(|()| alone(right - 1, right))?;
            let ends = bound(before) && bound(self.at(right + 1));
            ends.then(|| (self.at(left), self.at(right)))
        };
        (0..self.ranges.len()).filter(order).filter_map(sides).collect()
    }

    /// The filters and tests named, with their places.
    pub(super) fn callables(&self) -> Vec<(Callable, Range<usize>)> {
        let mut found = Vec::new();
        for index in 0..self.ranges.len() {
            let next = match self.at(index) {
                "|" => Some((Callable::Filter, index + 1)),
                "is" if self.at(index + 1) == "not" => Some((Callable::Test, index + 2)),
                "is" => Some((Callable::Test, index + 1)),
                _ => None,
            };
            if let Some((kind, at)) = next
                && begins_name(self.at(at))
            {
                found.push((kind, self.ranges[at].clone()));
            }
        }
        found
    }
}

fn begins_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where each of these variables is read first.
pub(super) fn find_names(
    source: &str,
    areas: &[Range<usize>],
    names: &HashSet<String>,
) -> HashMap<String, Range<usize>> {
    let bytes = source.as_bytes();
    let mut found = HashMap::with_capacity(names.len());
    let mut before: u8 = b' ';
    let words = Words::of(source, areas);
    for word in &words.ranges {
        let (first, name) = (bytes[word.start], words.text(word));
        if !matches!(before, b'.' | b'|') && names.contains(name) && !found.contains_key(name) {
            found.insert(name.to_owned(), word.clone());
        }
        before = first;
    }
    found
}

/// What is no name although it looks like one.
const KEYWORDS: &[&str] = &[
    "if", "elif", "else", "endif", "and", "or", "not", "in", "is", "true", "false", "none", "True",
    "False", "None",
];

/// The variables that correct code reads, each at its first place; nothing where a statement can
/// give a name a meaning of its own.
pub(super) fn plain_names(source: &str, areas: &[Range<usize>]) -> Option<Vec<Range<usize>>> {
    if areas.iter().any(|area| is_statement(source, area) && !decides(&source[area.clone()])) {
        return None;
    }
    let words = Words::of(source, areas);
    let mut found: Vec<Range<usize>> = Vec::new();
    for (index, word) in words.ranges.iter().enumerate() {
        let name = words.text(word);
        let before = |back: usize| index.checked_sub(back).map_or("", |index| words.at(index));
        let called =
            matches!(before(1), "." | "|" | "is") || before(1) == "not" && before(2) == "is";
        // `name=` gives an argument by its name, `name ==` compares
        let argument = words.at(index + 1) == "=" && words.at(index + 2) != "=";
        let seen = || found.iter().any(|range| words.text(range) == name);
        if begins_name(name) && !called && !argument && !KEYWORDS.contains(&name) && !seen() {
            found.push(word.clone());
        }
    }
    Some(found)
}

/// How many operators and filters a piece of code has, at least as many as its tree is deep.
pub(super) fn operators(source: &str, area: &Range<usize>) -> usize {
    let words = Words::of(source, std::slice::from_ref(area));
    let texts = words.ranges.iter().map(|range| words.text(range));
    let binds = |text: &str| {
        matches!(text, "and" | "or" | "not" | "is" | "in" | "if" | "else")
            || text.starts_with(|c: char| c.is_ascii_punctuation() && !"_,:)]}".contains(c))
    };
    texts.filter(|text| binds(text)).count()
}

/// Whether code stands between `{%` and `%}`.
pub(super) fn is_statement(source: &str, area: &Range<usize>) -> bool {
    source[..area.start].ends_with("{%")
}

/// Whether a statement only decides what is shown.
pub(super) fn decides(code: &str) -> bool {
    let word = code.trim_start_matches(['-', '+']).split_whitespace().next();
    word.is_some_and(|word| ["if", "elif", "else", "endif"].contains(&word.trim_end_matches('-')))
}
