//! Values: JSON with a label that says whether it is secret.

use std::collections::{HashMap, HashSet};

/// A value without its label.
pub type Json = serde_json::Value;

/// A map by names: looked into for each step and each value. Its keys are an author's words, so
/// nobody sends thousands that fall together.
pub type ByName<V, K = String> = HashMap<K, V, foldhash::fast::RandomState>;

/// A set of names, likewise.
pub type Names = HashSet<String, foldhash::fast::RandomState>;

/// A value and its label. The label joins: whatever is made from a secret is secret.
#[derive(Clone, PartialEq)]
pub struct Labeled {
    /// The value itself.
    pub json: Json,
    /// Whether it must never be shown or stored in clear.
    pub secret: bool,
}

impl Labeled {
    /// A value anyone may see.
    pub fn plain(json: impl Into<Json>) -> Self {
        Self { json: json.into(), secret: false }
    }

    /// A value nobody may see.
    pub fn secret(json: impl Into<Json>) -> Self {
        Self { json: json.into(), secret: true }
    }

    /// The value as a person may see it: `***` for a secret. One that is empty is nobody's, and who gave it
    /// must see that nothing came.
    pub fn shown(&self) -> String {
        match &self.json {
            Json::String(text) if self.secret && text.is_empty() => "\"\"".to_owned(),
            _ if self.secret => MASK.to_owned(),
            json => text(json),
        }
    }
}

impl std::fmt::Debug for Labeled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// A value as text: strings bare, everything else as compact JSON.
pub fn text(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What a value is, in words.
pub fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}
