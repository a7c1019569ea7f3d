//! What an author meant who wrote it as another language has it.

use std::ops::Range;

use super::{Mistake, filters, scan};

/// Operators of other languages, as they begin where minijinja stumbles, and what they are here.
const OPERATORS: &[(&str, &str)] = &[
    ("===", "equality is written `==`"),
    ("=", "equality is written `==`"),
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("!", "write `not`"),
    ("<>", "write `!=`"),
];

/// Comparisons in words, and their operators.
const WORDS: &[(&str, &str)] =
    &[("is equal to", "=="), ("is greater than", ">"), ("is less than", "<")];

/// Tests by other names, and what is written here.
const TESTS: &[(&str, &str)] = &[
    ("null", "none"),
    ("nil", "none"),
    ("list", "sequence"),
    ("array", "sequence"),
    ("object", "mapping"),
    ("dict", "mapping"),
    ("text", "string"),
    ("bool", "boolean"),
];

/// A mistake in an expression, with what was meant if it is written as in a text.
pub(super) fn bare(source: &str, mistake: Mistake) -> Mistake {
    let braces = || "an expression stands here by itself, without `{{ }}`".to_owned();
    let help = if source.contains("{{") { Some(braces()) } else { mistake.help };
    Mistake { help, ..mistake }
}

/// A mistake in what a text has between braces: another pair that begins in it says that the first never
/// ended.
pub(super) fn unclosed(source: &str, mistake: Mistake) -> Mistake {
    let missing = || "`}}` is missing before the next `{{`".to_owned();
    let help = if source.contains("{{") { Some(missing()) } else { mistake.help };
    Mistake { help, ..mistake }
}

/// What was meant at a place at which the text is no expression.
pub(super) fn syntax(source: &str, at: usize) -> Option<String> {
    let from = source[..at].trim_end_matches(['=', '&', '|', '<']).len();
    let here = &source[from..];
    if let Some((_, help)) = OPERATORS.iter().find(|(operator, _)| here.starts_with(operator)) {
        return Some((*help).to_owned());
    }
    let rest = &source[at..];
    let name = |text: &str| -> String {
        text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    if let Some(dollar) = rest.strip_prefix('$').map(name).filter(|name| !name.is_empty()) {
        return Some(format!("a name stands by itself here: `{dollar}`; `${dollar}` is jq"));
    }
    if let Some(field) = rest.strip_prefix('.').map(name).filter(|name| !name.is_empty()) {
        let save = format!("`.{field}` is jq");
        return Some(format!(
            "{save}: take it out of the answer with `save`, and write its name here"
        ));
    }
    let before = source[..at].trim_end();
    let said = |(words, _): &&(&str, &str)| before.ends_with(words);
    WORDS.iter().find(said).map(|(_, operator)| format!("write `{operator}`"))
}

/// The test that was meant, by what is written in its place.
pub(super) fn test(source: &str, range: &Range<usize>) -> Option<String> {
    let name = &source[range.clone()];
    if let "a" | "an" = name {
        let rest = source[range.end..].trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let word = &rest[..end];
        let test = other(word).unwrap_or(word);
        let known = filters::names(scan::Callable::Test).contains(&test);
        return known.then(|| format!("leave `{name}` out, as in `is {test}`"));
    }
    if name == "empty" {
        return Some("write `x | length == 0`".to_owned());
    }
    other(name).map(|test| format!("it is called `{test}` here"))
}

fn other(name: &str) -> Option<&'static str> {
    TESTS.iter().find(|(other, _)| *other == name).map(|(_, test)| *test)
}
