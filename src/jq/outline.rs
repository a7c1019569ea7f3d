//! What a program failed of in words that are no part of any value.
//!
//! The language's own messages quote the values, which may be secret. Told here is only of which
//! kinds they were: every word comes from a list in this file, so whatever the values are, none of
//! them can get into it.

use std::fmt::{self, Display, Write as _};

/// How much of a message is written to see its end: a value in it may be endless.
const MOST: usize = 64 * 1024;

/// What a value can be taken for, as the language says it.
const USES: &[&str] = &[
    "integer",
    "number",
    "string",
    "array",
    "iterable (array or object)",
    "rangeable (array or string)",
];

/// The outline of a message as the language shows it; none if it is of another form, as an error that
/// is a value is.
pub(super) fn outline(shown: impl Display) -> Option<String> {
    let mut text = Text(String::new());
    let whole = write!(text, "{shown}").is_ok();
    let text = text.0;
    let end = |text: &str| if whole { last(text) } else { "a value" };
    if let Some(rest) = text.strip_prefix("cannot use ") {
        let meant = USES.iter().find(|meant| whole && rest.ends_with(&format!(" as {meant}")));
        return Some(format!(
            "cannot use {} as {}",
            first(rest),
            meant.unwrap_or(&"what it is not")
        ));
    }
    if let Some(rest) = text.strip_prefix("cannot index ") {
        return Some(format!("cannot index {} with {}", first(rest), end(rest)));
    }
    if let Some(rest) = text.strip_prefix("cannot calculate ") {
        return Some(format!("cannot calculate with {} and {}", first(rest), end(rest)));
    }
    let rest = text.strip_prefix("invalid path expression with input ")?;
    Some(format!("invalid path expression with input {}", first(rest)))
}

/// The kind of the value that a text begins with.
fn first(text: &str) -> &'static str {
    match text.chars().next() {
        Some('n') => "null",
        Some('t' | 'f') => "a boolean",
        Some('"') => "a string",
        Some('[') => "an array",
        Some('{') => "an object",
        Some('0'..='9' | '-') => "a number",
        _ => "a value",
    }
}

/// The kind of the value that a text ends with.
fn last(text: &str) -> &'static str {
    match text.chars().next_back() {
        Some('l') => "null",
        Some('e') => "a boolean",
        Some('"') => "a string",
        Some(']') => "an array",
        Some('}') => "an object",
        Some('0'..='9') => "a number",
        _ => "a value",
    }
}

/// A text that takes no more than [`MOST`] bytes.
struct Text(String);

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MOST {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::{Program, Programs, from_json};
    use super::*;

    fn told(code: &str, input: &Value) -> Option<String> {
        let mut programs = Programs::default();
        let id = programs.add(Program::parse(code).unwrap());
        programs.run(id, &|_| None, from_json(input)).err().and_then(|error| error.outline)
    }

    #[test]
    fn the_kinds_are_told_and_not_the_values() {
        for (code, input, wanted) in [
            (".a[]", json!({}), "cannot use null as iterable (array or object)"),
            (".[] | .b[]", json!([{"b": 7}]), "cannot use a number as iterable (array or object)"),
            (".a", json!(["x"]), "cannot index an array with a string"),
            (".a.b", json!({"a": "x"}), "cannot index a string with a string"),
            (".a - .b", json!({"a": "s", "b": null}), "cannot calculate with a string and null"),
            ("ascii_downcase", json!(true), "cannot use a boolean as string"),
        ] {
            assert_eq!(told(code, &input).as_deref(), Some(wanted), "{code} of {input}");
        }
        // what is the author's, or a value itself, has none
        for code in [
            "error(\"cannot use 1 as number\")",
            "error({a: 1})",
            "error(.)",
            "tonumber",
            "fromjson",
        ] {
            assert_eq!(told(code, &json!("cannot use 1 as number")), None, "{code}");
        }
        let long = json!({ "a": "x".repeat(MOST) });
        assert_eq!(told(".a[]", &long).unwrap(), "cannot use a string as what it is not");
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z ]{0,12}",
            "(cannot (use|index|calculate) )?[\"\\\\a-z0-9{} ]{0,8}( as | with )(number|S3cret)\"?",
            ".{0,8}",
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((prop_oneof![Just("a".to_owned()), text()], inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    const CODES: &[&str] = &[
        ".a",
        ".a.b",
        ".a[]",
        ".[]",
        ".[0]",
        ".a[1:]",
        ".[.a]",
        ".a - .a",
        ".a + 1",
        ". * .",
        ". / 2",
        "ascii_downcase",
        "ltrimstr(\"x\") | length",
        "tonumber",
        "fromjson",
        "error",
        "error(.)",
        "(.a | error)",
        "try error catch error",
        "split(\"x\")",
        "test(.a)",
        "join(\",\")",
        "keys",
        "(1, .) |= 2",
        "implode",
        "@base64d",
        "sort_by(.a)",
        "strptime(\"%Y\")",
        "range(.)",
        "has(\"a\")",
    ];

    proptest! {
        /// Whatever the value, every word is one of these.
        #[test]
        fn no_value_gets_into_it(input in value(), code in prop::sample::select(CODES)) {
            let Some(told) = told(code, &input) else { return Ok(()) };
            let words = "cannot use index calculate invalid path expression with input as and what it is not \
                null a an boolean string array object number value integer iterable (array or object) \
                rangeable string)".split_whitespace();
            for word in told.split(' ') {
                prop_assert!(words.clone().any(|one| one == word), "{told}");
            }
        }

        /// Nor does it tell one value from another of its kinds.
        #[test]
        fn two_texts_are_told_alike(one in text(), other in text(), code in prop::sample::select(CODES)) {
            let tell = |text: &str| told(code, &json!({"a": text, "b": text}));
            if let (Some(one), Some(other)) = (tell(&one), tell(&other)) {
                prop_assert_eq!(one, other);
            }
        }
    }
}
