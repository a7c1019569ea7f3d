//! What is written out in the file and cannot mean what it says, judged by the file alone: values
//! without effect, braces where nothing is filled in, secrets in clear.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diag::Diag;
use crate::reader::{Gather, Reader, as_text};
use crate::source::{Source, Span};

/// Everything of that sort in a file.
pub(super) fn literal(source: &Source) -> Vec<Diag> {
    let Ok(table) = DeTable::parse(&source.text) else { return Vec::new() };
    // mistakes were told when it was parsed; those found again here go with this
    let unloaded = |_: &str| Err(String::new());
    let gather = Gather::new(source, &unloaded);
    let file = Reader::new(&gather, table.get_ref(), &(0..0));
    let mut found = secrets(&file);
    found.extend(file.named_tables("connections").iter().filter_map(|(_, table)| base(table)));
    found.extend(["title", "about"].into_iter().filter_map(|key| braced(file.get(key)?)));
    for step in file.tables("steps") {
        let below = ["already", "undo"].into_iter().filter_map(|key| inner(&step, key));
        for table in std::iter::once(step).chain(below) {
            found.extend(statuses(&table));
        }
        found.extend(idle(&step));
        found.extend(braces(&step));
    }
    found
}

/// A table under a key, if there is one.
fn inner<'a>(reader: &Reader<'a>, key: &str) -> Option<Reader<'a>> {
    reader.get(key).and_then(|value| reader.as_table(value))
}

fn span(reader: &Reader<'_>, key: &str) -> Span {
    reader.get(key).map_or(reader.span(), Spanned::span)
}

/// Secrets that stand in the file: whoever has it has them.
fn secrets(file: &Reader<'_>) -> Vec<Diag> {
    let clear = |value: &Spanned<DeValue<'_>>| {
        let text = as_text(value).map(|text| text.value);
        text.is_none_or(|text| !text.is_empty() && !text.contains("{{"))
    };
    let mut names = Vec::new();
    let mut found = Vec::new();
    let warned = |name: &str, span: Span| {
        let title = format!("the secret `{name}` stands in the file");
        Diag::warning("secret-in-clear", title, span)
            .label("everybody who may read the file knows it")
            .help("leave it out: it is asked for, or say where to find it, with `from`")
    };
    for (name, table) in file.named_tables("inputs") {
        if table.boolean("secret") != Some(true) {
            continue;
        }
        if table.get("default").is_some_and(clear) {
            found.push(warned(&name.value, span(&table, "default")));
        }
        names.push(name.value);
    }
    for (_, preset) in file.named_tables("presets") {
        let set = names.iter().filter(|name| preset.get(name).is_some_and(clear));
        found.extend(set.map(|name| warned(name, span(&preset, name))));
    }
    found
}

fn without_effect(title: impl Into<String>, span: Span) -> Diag {
    Diag::warning("without-effect", title, span)
}

/// A base with a query or a fragment, which no call has.
fn base(table: &Reader<'_>) -> Option<Diag> {
    let text = as_text(table.get("base")?)?;
    let url = url::Url::parse(&text.value).ok().filter(|_| !text.value.contains("{{"))?;
    let part = match (url.query(), url.fragment()) {
        (Some(_), _) => "query",
        (None, Some(_)) => "fragment",
        (None, None) => return None,
    };
    let diag = without_effect(format!("the {part} of a `base` is sent with no call"), text.span);
    Some(diag.help("give each call its own, with `query`"))
}

/// Statuses that nothing ends with.
fn statuses(table: &Reader<'_>) -> Vec<Diag> {
    let kinds = [("http", 100..=999, "an answer"), ("command", 0..=255, "a program")];
    let mut found = Vec::new();
    for (kind, range, what) in kinds {
        let Some(table) = inner(table, kind) else { continue };
        let beyond = table.integers("accept").into_iter().find(|status| !range.contains(status));
        found.extend(beyond.map(|status| {
            let title = format!("no status of {what} is {status}");
            without_effect(title, span(&table, "accept"))
        }));
    }
    found
}

/// What a step says in vain.
fn idle(step: &Reader<'_>) -> Vec<Diag> {
    let mut found = Vec::new();
    if step.has("at_once") && step.integer("at_once") == Some(0) {
        let diag = without_effect("`at_once` of 0 is taken for 1", span(step, "at_once"));
        found.push(diag.help("leave it out: it is 1 if not said"));
    }
    if let Some(until) = inner(step, "until") {
        let every = until.duration("every").unwrap_or(Duration::from_secs(2));
        let limit = until.duration("limit").unwrap_or(Duration::from_mins(1));
        if every > limit {
            let key = if until.has("every") { "every" } else { "limit" };
            let diag = without_effect("`until` looks once only", span(&until, key));
            found.push(diag.help("`every` must be shorter than `limit`"));
        }
    }
    if let Some(table) = inner(step, "generate") {
        let what = table.string("what").unwrap_or_default();
        let idle: &[&str] = match what.as_str() {
            "uuid" => &["length", "alphabet"],
            "token" => &["alphabet"],
            _ => &[],
        };
        found.extend(idle.iter().filter(|key| table.has(key)).map(|key| {
            without_effect(format!("a {what} has no `{key}`"), span(&table, key))
                .help("take it out, or make a `password`")
        }));
    }
    found
}

/// Braces in texts that are shown as they are.
fn braces(step: &Reader<'_>) -> Vec<Diag> {
    let mut texts: Vec<&Spanned<DeValue<'_>>> = Vec::new();
    texts.extend(inner(step, "until").and_then(|until| until.get("for")));
    texts.extend(inner(step, "gate").and_then(|gate| gate.get("hint")));
    let listed = |key: &str| step.get(key).and_then(|value| value.get_ref().as_array());
    let listed = ["gates", "hints"].into_iter().filter_map(listed).flatten();
    texts.extend(listed.filter_map(|item| match step.as_table(item) {
        Some(table) => table.get("hint"),
        None => Some(item),
    }));
    let help = "say it without the value: those that a gate reads are shown beside it";
    texts.into_iter().filter_map(braced).map(|diag| diag.help(help)).collect()
}

/// A text with braces in it that are shown.
fn braced(value: &Spanned<DeValue<'_>>) -> Option<Diag> {
    let text =
        as_text(value).filter(|text| text.value.contains("{{") && text.value.contains("}}"))?;
    let diag = Diag::warning("literal-braces", "nothing is filled in here", text.span);
    Some(diag.label("`{{ }}` is shown as it stands"))
}
