//! The redactor: no known secret passes a writer, however it is encoded.
//!
//! It is the second net: values carry labels that keep secrets out of what is shown, and
//! this catches what came another way, in an answer's error text for example. It knows
//! texts only. What overlaps a secret's form is replaced as a whole, so of two secrets
//! that share their ends neither shows a part.

mod forms;
mod starts;
mod writer;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::value::{Json, MASK};

use starts::Starts;
pub use writer::{Lifted, RedactingWriter, Shared};

/// Characters a secret needs: a shorter one would be found in innocent text.
const SHORTEST: usize = 6;

/// Digits from which on a number is a secret of its own and not a count or a time.
const LONG_NUMBER: usize = 16;

/// Bytes searched from which on an automaton is worth building.
const MUCH: usize = 256 * 1024;

/// Words that are found everywhere, in lower case.
const COMMON: &[&str] = &[
    "admin",
    "changeme",
    "default",
    "disabled",
    "enabled",
    "example",
    "false",
    "localhost",
    "null",
    "password",
    "secret",
    "string",
    "true",
    "undefined",
    "unknown",
];

/// Comparisons for each byte of a text, counted in bytes, after which an automaton is quicker.
const EFFORT: usize = 4;

/// What became of a secret, for the caller to warn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a secret that is not replaced is worth a warning"]
pub enum Added {
    /// It is replaced wherever it appears.
    Replaced,
    /// It is empty: there is nothing to replace.
    Empty,
    /// It has under 6 characters: it is not replaced.
    TooShort,
    /// It is a common word, a number or one character repeated: it is not replaced.
    Common,
}

impl Added {
    /// Whether it is shown where its label is not known.
    pub fn passes(self) -> bool {
        matches!(self, Self::TooShort | Self::Common)
    }
}

impl std::fmt::Display for Added {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Replaced => "replaced everywhere",
            Self::Empty => "empty",
            Self::TooShort => "very short",
            Self::Common => "a common word or a number",
        })
    }
}

/// Replaces secrets by `***`.
#[derive(Default)]
pub struct Redactor {
    /// What was taken in, each once: its forms are found out once.
    secrets: BTreeSet<String>,
    /// All forms of all secrets, sorted.
    patterns: BTreeSet<Vec<u8>>,
    /// The longest of them, in bytes.
    longest: usize,
    /// The bytes that are in any of them.
    bytes: ByteSet,
    /// Where one of them may begin.
    starts: Starts,
    /// For all that know the same.
    much: Arc<Much>,
}

/// A set of bytes.
#[derive(Debug, Clone, Copy, Default)]
struct ByteSet([u64; 4]);

impl ByteSet {
    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
    }

    fn has(self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] & (1 << (byte % 64)) != 0
    }
}

/// What searches once there is much to search.
#[derive(Default)]
struct Much {
    /// Bytes that were searched so far.
    seen: AtomicUsize,
    /// `None` when it could not be built: nothing can be let through.
    automaton: OnceLock<Option<AhoCorasick>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} forms)", self.patterns.len())
    }
}

impl Redactor {
    /// One that knows no secret yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a secret in, with its lines and without the space around it.
    pub fn add(&mut self, secret: &str) -> Added {
        let judged = judge(secret);
        let lines = secret.lines().flat_map(|line| [line, line.trim()]);
        // a URL's parser drops these; so does who joins the lines of a key
        let joined = secret.replace(['\t', '\n', '\r'], "");
        for part in lines.chain([secret, secret.trim(), &joined]) {
            if judge(part) == Added::Replaced {
                self.insert(part);
            }
        }
        judged
    }

    /// Takes a secret in that may be a list or an object: its JSON and every text in it.
    ///
    /// The answer is the worst of its parts, as one of them may pass.
    pub fn add_json(&mut self, secret: &Json) -> Added {
        match secret {
            Json::String(text) => self.add(text),
            Json::Array(items) => self.add_parts(secret, items.iter()),
            Json::Object(fields) => self.add_parts(secret, fields.values()),
            other => self.add(&other.to_string()),
        }
    }

    fn add_parts<'v>(&mut self, whole: &Json, parts: impl Iterator<Item = &'v Json>) -> Added {
        let texts: Vec<Added> = parts
            .filter(|part| !matches!(part, Json::Null | Json::Bool(_)))
            .map(|part| self.add_json(part))
            .collect();
        let whole = self.add(&whole.to_string());
        let passing = [Added::TooShort, Added::Common];
        passing.into_iter().find(|added| texts.contains(added)).unwrap_or(whole)
    }

    /// Whether it knows no secret: everything passes unchanged.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Searches with what another one has built, or will build, if both know the same secrets.
    pub fn search_as(&mut self, other: &Self) {
        if self.secrets == other.secrets {
            self.much = Arc::clone(&other.much);
        }
    }

    /// A text with every secret in it replaced.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(found) = self.find(text.as_bytes()) else { return Cow::Borrowed(MASK) };
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for range in found {
            // forms are whole characters, so these are borders of characters
            out.push_str(text.get(done..range.start).unwrap_or_default());
            out.push_str(MASK);
            done = range.end;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(out)
    }

    /// As [`mask`](Self::mask), for a text that was cut: what only begins at its end, before an
    /// ellipsis or not, is replaced too.
    pub fn mask_cut(&self, text: &str) -> String {
        let masked = self.mask(text);
        let body = masked.strip_suffix('…').unwrap_or(&masked);
        let open = self.open_end(body.as_bytes());
        match masked.get(..open) {
            Some(head) if open < body.len() => format!("{head}{MASK}"),
            _ => masked.into_owned(),
        }
    }

    /// A value with every secret in its texts and keys replaced.
    pub fn mask_json(&self, json: &Json) -> Json {
        match json {
            Json::String(text) => Json::String(self.mask(text).into_owned()),
            Json::Array(items) => items.iter().map(|item| self.mask_json(item)).collect(),
            Json::Object(fields) => fields
                .iter()
                .map(|(name, value)| (self.mask(name).into_owned(), self.mask_json(value)))
                .collect(),
            Json::Number(number) => {
                let text = number.to_string();
                let masked = self.mask(&text);
                if *masked == text { json.clone() } else { Json::String(masked.into_owned()) }
            }
            Json::Null | Json::Bool(_) => json.clone(),
        }
    }

    /// Where forms of secrets are, in order; those that overlap as one. `None` when that
    /// cannot be said.
    fn find(&self, text: &[u8]) -> Option<Vec<Range<usize>>> {
        if self.patterns.is_empty() {
            return Some(Vec::new());
        }
        let seen = self.much.seen.fetch_add(text.len(), Ordering::Relaxed);
        let little = seen.saturating_add(text.len()) <= MUCH;
        match little.then(|| self.looked_through(text)).flatten() {
            Some(found) => Some(found),
            None => self.searched(text),
        }
    }

    /// Compares what is at each place at which a form may begin; `None` when that cannot be said,
    /// or takes too long: a text may begin like a long secret everywhere.
    fn looked_through(&self, text: &[u8]) -> Option<Vec<Range<usize>>> {
        let (mut found, mut left) = (Vec::new(), text.len().saturating_mul(EFFORT));
        for at in self.starts.places(text)? {
            let (length, compared) = self.form_at(text, at);
            found.extend(length.map(|length| at..at + length));
            left = left.checked_sub(compared).or_else(|| {
                self.much.seen.store(MUCH, Ordering::Relaxed);
                None
            })?;
        }
        Some(joined(found))
    }

    /// How long the longest form is that begins at this place, and how many bytes were compared.
    ///
    /// The form that is next below a text is the longest it begins with, or has more of its
    /// beginning than any other.
    fn form_at(&self, text: &[u8], at: usize) -> (Option<usize>, usize) {
        let end = text.len().min(at.saturating_add(self.longest));
        let (mut tail, mut compared) = (text.get(at..end).unwrap_or_default(), 0);
        while !tail.is_empty() {
            let below = (Bound::Unbounded, Bound::Included(tail));
            let Some(form) = self.patterns.range::<[u8], _>(below).next_back() else { break };
            let common = form.iter().zip(tail).take_while(|(a, b)| a == b).count();
            compared += common;
            if common == form.len() {
                return (Some(common), compared);
            }
            tail = &tail[..common];
        }
        (None, compared)
    }

    fn searched(&self, text: &[u8]) -> Option<Vec<Range<usize>>> {
        let automaton = self.much.automaton.get_or_init(|| built(&self.patterns)).as_ref()?;
        // most texts hold none, and that is found out faster
        if !automaton.is_match(text) {
            return Some(Vec::new());
        }
        let all = automaton.try_find_overlapping_iter(text).ok()?;
        let mut ranges: Vec<Range<usize>> = all.map(|found| found.range()).collect();
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        Some(joined(ranges))
    }

    /// From where on a text's end may be the beginning of a form.
    fn open_end(&self, text: &[u8]) -> usize {
        // a line's end is in no form, most often
        let tail = text.iter().rev().take(self.longest.saturating_sub(1));
        let first = text.len() - tail.take_while(|byte| self.bytes.has(**byte)).count();
        let open = |at: &usize| text.get(*at..).is_some_and(|tail| self.begins(tail));
        (first..text.len()).find(open).unwrap_or(text.len())
    }

    /// Whether a form begins so: the first one that is not less than the tail would.
    fn begins(&self, tail: &[u8]) -> bool {
        let behind = (Bound::Included(tail), Bound::Unbounded);
        self.patterns.range::<[u8], _>(behind).next().is_some_and(|form| form.starts_with(tail))
    }

    fn insert(&mut self, secret: &str) {
        if !self.secrets.insert(secret.to_owned()) {
            return;
        }
        for form in forms::all(secret) {
            self.longest = self.longest.max(form.len());
            form.bytes().for_each(|byte| self.bytes.add(byte));
            self.starts.add(form.as_bytes());
            self.patterns.insert(form.into_bytes());
        }
        self.much = Arc::default();
    }
}

/// Ranges in the order of their starts, those that overlap as one.
fn joined(ranges: impl IntoIterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match all.last_mut().filter(|last| range.start < last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => all.push(range),
        }
    }
    all
}

/// Every match is wanted, those inside others too; and no table of all states times all bytes,
/// which a secret of some kilobytes would blow up to a hundred megabytes.
fn built(patterns: &BTreeSet<Vec<u8>>) -> Option<AhoCorasick> {
    let kind = Some(AhoCorasickKind::ContiguousNFA);
    AhoCorasick::builder().match_kind(MatchKind::Standard).kind(kind).build(patterns).ok()
}

fn judge(secret: &str) -> Added {
    let length = secret.trim().chars().count();
    let lower = secret.trim().to_lowercase();
    let mut chars = lower.chars();
    let first = chars.next();
    if length == 0 {
        Added::Empty
    } else if COMMON.contains(&&*lower)
        || chars.all(|c| Some(c) == first)
        || (length < LONG_NUMBER && is_number(&lower))
    {
        Added::Common
    } else if length < SHORTEST {
        Added::TooShort
    } else {
        Added::Replaced
    }
}

fn is_number(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests;
