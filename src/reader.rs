//! Reads tables an author wrote, collecting every mistake instead of stopping at the first.
//!
//! A [`Reader`] looks at one TOML table. What it hands out is checked (types, template and
//! jq syntax); the names that are read are noted as [`Use`]s for the check of the whole file.

mod duration;
mod gather;
mod rules;
mod tree;

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diag::Diag;
use crate::jq::ProgramId;
use crate::source::{Source, Span, place};
use crate::template::{Expr, Template};
use crate::value::Json;
pub use duration::parse_duration;
pub use gather::Gather;
pub use tree::{Tree, to_json};

/// One key of a table: what the parser knows, the docs print and the schema says.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What its value must be.
    pub shape: Shape,
    /// What it means, one sentence.
    pub about: &'static str,
}

/// The key by which an author lets a secret show at one place.
pub const REVEAL: Field = Field {
    name: "reveal",
    shape: Shape::Boolean,
    about: "Whether a secret may show in this table's open places; without it one is refused.",
};

/// Which keys of a table go together. The parser demands it; the schema says it, and a test
/// compares the two.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Those that must be there.
    pub needs: &'static [&'static str],
    /// Of these at most one.
    pub apart: &'static [&'static str],
    /// Of these at least one.
    pub any: &'static [&'static str],
    /// The first only with the second.
    pub with: &'static [(&'static str, &'static str)],
}

impl Rules {
    /// Every key may be left out.
    pub const NONE: Self = Self { needs: &[], apart: &[], any: &[], with: &[] };

    /// These must be there.
    pub const fn needs(needs: &'static [&'static str]) -> Self {
        Self { needs, ..Self::NONE }
    }
}

/// The rules of tables by the key they stand under; the whole file's under no name.
pub type RuleSet = &'static [(&'static str, Rules)];

/// What a value must look like.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A string, taken as it is.
    Text,
    /// A string that may hold `{{ }}`.
    Template,
    /// A bare expression.
    Expression,
    /// A jq program.
    Jq,
    /// jq definitions, one after another.
    Definitions,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// `"30s"`, `"1m 30s"`, `"500ms"`, or seconds.
    Duration,
    /// Any value, with `{{ }}` in its strings.
    Value,
    /// A table of values, with `{{ }}` in its strings.
    Map,
    /// A list of strings.
    Texts,
    /// A list of strings that may hold `{{ }}`.
    Templates,
    /// A list of whole numbers.
    Integers,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A list of such words, or one.
    Words(&'static [&'static str]),
    /// A table with keys of its own.
    Table(&'static [Field]),
    /// A list of such tables.
    Tables(&'static [Field]),
    /// A list of strings and such tables.
    TextsOrTables(&'static [Field]),
    /// A table of such tables, each under a name of the author's.
    Named(&'static [Field]),
    /// The same, where a jq program alone may stand for a table.
    NamedOrJq(&'static [Field]),
    /// A table of tables of values, each under a name of the author's.
    Maps,
    /// A table of lists of strings, each under a name of the author's.
    Lists,
    /// A kind's table, as in a step.
    Step,
}

/// Where a value an author templates will end up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// Kept or sent where secrets may go.
    Closed,
    /// The same, beside what is said: a header, a program's environment. A token goes there.
    Beside,
    /// Shown, logged or listed: named for the message, `a note`.
    Open(&'static str),
}

/// A name read somewhere in the file.
#[derive(Debug, Clone)]
pub struct Use {
    /// The name.
    pub name: String,
    /// The string it stands in.
    pub literal: Span,
    /// Its place in that string's value.
    pub range: Range<usize>,
    /// Where the value ends up.
    pub sink: Sink,
}

impl Use {
    /// Where the name stands in the file.
    pub fn span(&self, source: &Source) -> Span {
        place(source, &self.literal, self.range.clone())
    }
}

/// A string with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// The value.
    pub value: String,
    /// The literal's span, with its quotes.
    pub span: Span,
}

/// A runbook that another one uses.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The runbook, checked.
    pub runbook: Rc<dyn std::any::Any>,
    /// What it is called in a command.
    pub command: String,
    /// Its inputs, and whether each must be given.
    pub inputs: Vec<(String, bool)>,
    /// Those of them that are secret.
    pub secrets: Vec<String>,
}

/// Finds and checks a runbook that another one uses, or says what is wrong.
pub type Load<'a> = &'a dyn Fn(&str) -> Result<Loaded, String>;

/// One table of the file.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// What the whole parse gathers.
    pub gather: &'a Gather<'a>,
    table: &'a DeTable<'a>,
    start: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// Looks at a table.
    pub fn new(gather: &'a Gather<'a>, table: &'a DeTable<'a>, span: &Span) -> Self {
        Self { gather, table, start: span.start, end: span.end }
    }

    /// The table's place: its header, or its braces.
    pub fn span(&self) -> Span {
        self.start..self.end
    }

    /// All keys with their places, in the order of the file.
    pub fn keys(&self) -> impl Iterator<Item = (&'a str, Span)> + use<'a> {
        self.table.keys().map(|key| (&**key.get_ref(), key.span()))
    }

    /// The raw value of a key.
    pub fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// Whether the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Reports every key that is not among the fields.
    pub fn only(&self, fields: &[Field]) {
        self.only_names(&fields.iter().map(|field| field.name).collect::<Vec<_>>());
    }

    /// Reports every key that is not among the names.
    pub fn only_names(&self, known: &[&str]) {
        for (key, span) in self.keys().filter(|(key, _)| !known.contains(key)) {
            let diag = Diag::error(format!("unknown key `{key}`"), span)
                .suggest(key, known.iter().copied());
            let diag = if diag.help.is_empty() {
                diag.help(format!("known here: {}", list(known)))
            } else {
                diag
            };
            self.gather.report(diag);
        }
    }

    /// Reports a missing key and gives nothing.
    pub fn missing<T>(&self, key: &str, help: &str) -> Option<T> {
        self.gather.report(Diag::error(format!("`{key}` is missing"), self.span()).help(help));
        None
    }

    /// A string.
    pub fn text(&self, key: &str) -> Option<Text> {
        let value = self.get(key)?;
        self.expect(key, value, "a string", as_text)
    }

    /// A string's value, or none.
    pub fn string(&self, key: &str) -> Option<String> {
        self.text(key).map(|text| text.value)
    }

    /// A text of one line that is shown in lists and heads: nothing in it may look like more.
    pub fn line(&self, key: &str) -> Option<Text> {
        let text = self.text(key)?;
        if text.value.chars().any(char::is_control) {
            let wrong = format!("a {key} is one line, without control characters");
            self.gather.report(Diag::error(wrong, text.span));
            return None;
        }
        Some(text)
    }

    /// A template.
    pub fn template(&self, key: &str, sink: Sink) -> Option<Template> {
        self.gather.template(&self.text(key)?, sink)
    }

    /// A bare expression.
    pub fn expression(&self, key: &str) -> Option<Expr> {
        self.gather.expression(&self.text(key)?)
    }

    /// A jq program.
    pub fn jq(&self, key: &str, locals: &[&str]) -> Option<ProgramId> {
        self.gather.jq(&self.text(key)?, locals)
    }

    /// A boolean.
    pub fn boolean(&self, key: &str) -> Option<bool> {
        self.expect(key, self.get(key)?, "`true` or `false`", |value| value.get_ref().as_bool())
    }

    /// A whole number not below zero.
    pub fn integer(&self, key: &str) -> Option<u64> {
        self.expect(key, self.get(key)?, "a whole number", as_integer)
    }

    /// A duration.
    pub fn duration(&self, key: &str) -> Option<Duration> {
        let value = self.get(key)?;
        let wrong = |wrong| {
            let title =
                format!("`{key}` must be a duration such as \"30s\", \"1m 30s\" or \"500ms\"");
            self.gather.report(Diag::error(title, value.span()).label(wrong).help(duration::UNITS));
        };
        duration::of(value).map_err(wrong).ok()
    }

    /// A duration in which something can be done: more than nothing.
    pub fn time(&self, key: &str) -> Option<Duration> {
        let time = self.duration(key)?;
        if time.is_zero() {
            let span = self.get(key).map_or(self.span(), toml::Spanned::span);
            let diag = Diag::error(format!("`{key}` leaves no time at all"), span);
            self.gather.report_since(diag.help("leave it out for the time that is usual"));
        }
        Some(time)
    }

    /// One of a few words.
    pub fn word(&self, key: &str, words: &[&'static str]) -> Option<&'static str> {
        self.known_word(key, &self.text(key)?, words)
    }

    /// A list of a few words; a single one counts as a list of one.
    pub fn words(&self, key: &str, words: &[&'static str]) -> Vec<&'static str> {
        let texts = self.texts(key);
        texts.iter().filter_map(|text| self.known_word(key, text, words)).collect()
    }

    fn known_word(&self, key: &str, text: &Text, words: &[&'static str]) -> Option<&'static str> {
        let found = words.iter().find(|word| **word == text.value).copied();
        if found.is_none() {
            let diag =
                Diag::error(format!("`{key}` cannot be `{}`", text.value), text.span.clone())
                    .suggest(&text.value, words.iter().copied());
            self.gather.report(diag.help(format!("one of: {}", list(words))));
        }
        found
    }

    /// An open place of this table: closed to `check` if its author says `reveal = true`.
    pub fn open(&self, place: &'static str) -> Sink {
        if self.boolean(REVEAL.name) == Some(true) { Sink::Closed } else { Sink::Open(place) }
    }

    /// A list of strings, each with its place; a single string counts as a list of one.
    pub fn texts(&self, key: &str) -> Vec<Text> {
        let Some(value) = self.get(key) else { return Vec::new() };
        if let Some(text) = as_text(value) {
            return vec![text];
        }
        self.items(key)
            .iter()
            .filter_map(|item| self.expect(key, item, "a list of strings", as_text))
            .collect()
    }

    /// A list of whole numbers; a single number counts as a list of one.
    pub fn integers(&self, key: &str) -> Vec<u64> {
        let Some(value) = self.get(key) else { return Vec::new() };
        if let Some(number) = as_integer(value) {
            return vec![number];
        }
        self.listed(key, "a whole number or a list of them")
            .iter()
            .filter_map(|item| self.expect(key, item, "a list of whole numbers", as_integer))
            .collect()
    }

    /// The items of a list.
    pub fn items(&self, key: &str) -> &'a [Spanned<DeValue<'a>>] {
        self.listed(key, "a list")
    }

    fn listed(&self, key: &str, wanted: &str) -> &'a [Spanned<DeValue<'a>>] {
        let Some(value) = self.get(key) else { return &[] };
        if let Some(array) = value.get_ref().as_array() {
            array
        } else {
            self.wrong(key, value, wanted);
            &[]
        }
    }

    /// A table.
    pub fn table(&self, key: &str) -> Option<Reader<'a>> {
        let value = self.get(key)?;
        if let Some(reader) = self.as_table(value) {
            Some(reader)
        } else {
            self.wrong(key, value, "a table");
            None
        }
    }

    /// A list of tables.
    pub fn tables(&self, key: &str) -> Vec<Reader<'a>> {
        self.items(key)
            .iter()
            .filter_map(|item| {
                let table = self.as_table(item);
                if table.is_none() {
                    self.wrong(key, item, "a list of tables");
                }
                table
            })
            .collect()
    }

    /// The tables named in a table: `[inputs.NAME]`.
    pub fn named_tables(&self, key: &str) -> Vec<(Text, Reader<'a>)> {
        let Some(outer) = self.table(key) else { return Vec::new() };
        outer
            .table
            .iter()
            .filter_map(|(name, value)| {
                let table = outer.as_table(value);
                if table.is_none() {
                    outer.wrong(name.get_ref(), value, "a table");
                }
                Some((Text { value: name.get_ref().to_string(), span: name.span() }, table?))
            })
            .collect()
    }

    /// A reader for a value that is a table.
    pub fn as_table(&self, value: &'a Spanned<DeValue<'a>>) -> Option<Reader<'a>> {
        let table = value.get_ref().as_table()?;
        Some(Reader::new(self.gather, table, &value.span()))
    }

    /// Any value, with templates in its strings.
    pub fn tree(&self, key: &str, sink: Sink) -> Option<Tree> {
        Tree::parse(self.gather, self.get(key)?, sink)
    }

    /// A table of values, with templates in its strings.
    pub fn map(&self, key: &str, sink: Sink) -> Vec<(String, Tree)> {
        let Some(table) = self.table(key) else { return Vec::new() };
        table
            .table
            .iter()
            .filter_map(|(name, value)| {
                Some((name.get_ref().to_string(), Tree::parse(self.gather, value, sink)?))
            })
            .collect()
    }

    /// A value taken as it is, without templates.
    pub fn json(&self, key: &str) -> Option<Json> {
        let value = self.get(key)?;
        self.gather.fits(value);
        Some(to_json(value))
    }

    fn expect<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        wanted: &str,
        take: impl Fn(&Spanned<DeValue<'_>>) -> Option<T>,
    ) -> Option<T> {
        let taken = take(value);
        if taken.is_none() {
            self.wrong(key, value, wanted);
        }
        taken
    }

    /// Reports a value that is not what it must be.
    pub fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let found = match value.get_ref() {
            DeValue::Integer(number) if wanted.contains("whole number") => {
                let less = number.as_str().starts_with('-');
                if less { "less than 0" } else { "too large" }.to_owned()
            }
            other => format!("{} {}", article(other.type_str()), other.type_str()),
        };
        let diag = Diag::error(format!("`{key}` must be {wanted}"), value.span());
        self.gather.report(diag.label(format!("this is {found}")));
    }
}

/// Names in backticks, with commas.
pub fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// A string value with its place.
pub fn as_text(value: &Spanned<DeValue<'_>>) -> Option<Text> {
    let text = value.get_ref().as_str()?;
    Some(Text { value: text.to_owned(), span: value.span() })
}

fn as_integer(value: &Spanned<DeValue<'_>>) -> Option<u64> {
    match to_json(value) {
        Json::Number(number) => number.as_u64(),
        _ => None,
    }
}
