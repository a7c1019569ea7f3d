//! What a person may answer: a type, and what else must hold of the value.
//!
//! The same rules serve inputs and prompts.

use regex_lite::Regex;

use crate::diag::Diag;
use crate::reader::{Field, Gather, Reader, Shape, Text, list};
use crate::source::place;
use crate::value::{Json, text};
use crate::world::World;

/// The keys that say what a value may be.
pub const FIELDS: &[Field] = &[
    Field { name: "type", shape: Shape::Word(TYPES), about: "What it is; `string` if not said." },
    Field {
        name: "pattern",
        shape: Shape::Text,
        about: "A regular expression the whole value must match.",
    },
    Field { name: "one_of", shape: Shape::Texts, about: "The only values allowed." },
    Field { name: "reject", shape: Shape::Table(REJECT), about: "Values not allowed, and why." },
    Field {
        name: "multiline",
        shape: Shape::Boolean,
        about: "Whether line ends are allowed in a string.",
    },
];

/// The keys of `reject`.
pub const REJECT: &[Field] = &[
    Field { name: "values", shape: Shape::Texts, about: "The values." },
    Field {
        name: "because",
        shape: Shape::Text,
        about: "Why, as the person reads it after the value.",
    },
];

/// The names of the types.
pub const TYPES: &[&str] =
    &["string", "boolean", "integer", "number", "url", "path", "list", "object"];

/// What a value may be.
#[derive(Debug, Clone)]
pub struct Typed {
    /// One of [`TYPES`].
    pub name: &'static str,
    /// The only values allowed, if any are named.
    pub one_of: Vec<String>,
    pattern: Option<(String, Regex)>,
    reject: Vec<String>,
    because: String,
    multiline: bool,
}

impl Typed {
    /// Reads the keys from an input's or a prompt's table.
    pub fn parse(reader: &Reader<'_>) -> Self {
        let name = reader.word("type", TYPES).unwrap_or("string");
        let words = reader.texts("one_of");
        let one_of = words.iter().map(|text| text.value.clone()).collect();
        let pattern = reader.text("pattern").and_then(|text| pattern(reader.gather, &text));
        let (reject, because) = reject(reader);
        let multiline = reader.boolean("multiline").unwrap_or(false);
        let typed = Self { name, one_of, pattern, reject, because, multiline };
        typed.check_literals(reader, &words);
        typed
    }

    fn check_literals(&self, reader: &Reader<'_>, words: &[Text]) {
        if reader.gather.source.known.is_so() {
            return;
        }
        for word in words {
            if self.reject.contains(&word.value) {
                let wrong = format!("`{}` stands in both `one_of` and `reject`", word.value);
                reader.gather.report(Diag::error(wrong, word.span.clone()));
            } else if let Err(wrong) = self.accept(&Json::String(word.value.clone())) {
                reader.gather.report(Diag::error(
                    format!("`{}` is not allowed here: {wrong}", word.value),
                    word.span.clone(),
                ));
            }
        }
    }

    /// Takes what a person typed or a file says, or says what is wrong with it.
    pub fn accept(&self, given: &Json) -> Result<Json, String> {
        let value = self.convert(given)?;
        let shown = text(&value);
        if let Json::String(string) = &value {
            self.printable(string)?;
        }
        if !self.one_of.is_empty() && !self.one_of.contains(&shown) {
            let words: Vec<&str> = self.one_of.iter().map(String::as_str).collect();
            let near = crate::diag::closest(&shown, words.iter().copied());
            let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            return Err(format!("must be one of {}{near}", list(&words)));
        }
        if self.reject.contains(&shown) {
            return Err(if self.because.is_empty() {
                "is not allowed".to_owned()
            } else {
                format!("is not allowed: {}", self.because)
            });
        }
        match &self.pattern {
            Some((source, regex)) if !regex.is_match(&shown) => Err(format!("must match {source}")),
            _ => Ok(value),
        }
    }

    fn printable(&self, string: &str) -> Result<(), String> {
        let bad = |c: char| c.is_control() && !(self.multiline && matches!(c, '\n' | '\r' | '\t'));
        match string.chars().find(|c| bad(*c)) {
            Some('\n' | '\r') => Err("must be one line".to_owned()),
            Some(_) => Err("must not hold control characters".to_owned()),
            None => Ok(()),
        }
    }

    fn convert(&self, given: &Json) -> Result<Json, String> {
        match (self.name, given) {
            ("string" | "path", Json::String(_))
            | ("boolean", Json::Bool(_))
            | ("number", Json::Number(_))
            | ("list", Json::Array(_))
            | ("object", Json::Object(_)) => Ok(given.clone()),
            ("string", Json::Number(number)) => Ok(Json::String(number.to_string())),
            ("url", Json::String(string)) => url(string),
            ("boolean", Json::String(string)) => boolean(string),
            ("integer", Json::Number(number)) if number.is_i64() || number.is_u64() => {
                Ok(given.clone())
            }
            ("integer", Json::String(string)) => string
                .trim()
                .parse::<i64>()
                .map(Json::from)
                .map_err(|_| "must be a whole number".to_owned()),
            ("number", Json::String(string)) => number(string),
            ("list", Json::String(string)) => items(string),
            ("object", Json::String(string)) => object(string),
            (name, _) => Err(format!("must be {}", described(name))),
        }
    }

    /// The value as a person would type it.
    pub fn typed(&self, value: &Json) -> String {
        match value {
            Json::Bool(true) => "yes".to_owned(),
            Json::Bool(false) => "no".to_owned(),
            other => text(other),
        }
    }

    /// How an answer is written, where that must be said.
    pub fn written(&self) -> Option<&'static str> {
        match self.name {
            "boolean" => Some("yes/no"),
            "list" => Some("as a, b or as JSON"),
            "object" => Some("as JSON"),
            _ => None,
        }
    }

    /// Whether an answer is no more than a word.
    pub fn is_word(&self) -> bool {
        self.name == "boolean"
    }

    /// How its value is written in commands to follow by hand, where a person would type another
    /// thing.
    pub fn written_in_commands(&self) -> Option<&'static str> {
        match self.name {
            "boolean" => Some("`true` or `false`"),
            "list" | "object" => Some("JSON"),
            _ => None,
        }
    }

    /// What must hold of a value, each in a few words of Markdown.
    pub fn told(&self) -> Vec<String> {
        let words = |words: &[String]| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            list(&words)
        };
        let mut told = Vec::new();
        if self.name != "string" {
            told.push(described(self.name).to_owned());
        }
        if !self.one_of.is_empty() {
            told.push(format!("one of {}", words(&self.one_of)));
        }
        if let Some((pattern, _)) = &self.pattern {
            told.push(format!("must match `{pattern}`"));
        }
        if !self.reject.is_empty() {
            let because =
                if self.because.is_empty() { String::new() } else { format!(": {}", self.because) };
            told.push(format!("not {}{because}", words(&self.reject)));
        }
        told
    }

    /// The value with `~` at the start of a path resolved.
    pub fn settle(&self, value: Json, world: &World) -> Json {
        match (&value, self.name) {
            (Json::String(path), "path") => {
                let path = world.expand_home(path);
                let path = if path.is_absolute() { path } else { world.cwd.join(path) };
                Json::String(path.display().to_string())
            }
            _ => value,
        }
    }
}

/// What a type's values are, in words.
pub fn described(name: &str) -> &'static str {
    match name {
        "boolean" => "yes or no",
        "integer" => "a whole number",
        "number" => "a number",
        "url" => "a URL such as https://app.example.com",
        "path" => "a path",
        "list" => "a list",
        "object" => "a JSON object",
        _ => "text",
    }
}

fn pattern(gather: &Gather<'_>, text: &Text) -> Option<(String, Regex)> {
    // The whole value must match, without the author writing anchors.
    match Regex::new(&format!("^(?:{})$", text.value)) {
        Ok(regex) => Some((text.value.clone(), regex)),
        Err(error) => {
            let span = place(gather.source, &text.span, 0..text.value.len());
            gather.report(Diag::error(format!("this pattern does not compile: {error}"), span));
            None
        }
    }
}

fn reject(reader: &Reader<'_>) -> (Vec<String>, String) {
    let Some(table) = reader.table("reject") else { return (Vec::new(), String::new()) };
    table.only(REJECT);
    let values = table.texts("values").into_iter().map(|text| text.value).collect();
    (values, table.string("because").unwrap_or_default())
}

fn boolean(string: &str) -> Result<Json, String> {
    match string.trim().to_lowercase().as_str() {
        "yes" | "y" | "true" | "on" | "1" => Ok(Json::Bool(true)),
        "no" | "n" | "false" | "off" | "0" => Ok(Json::Bool(false)),
        _ => Err("must be yes or no".to_owned()),
    }
}

fn number(string: &str) -> Result<Json, String> {
    let parsed = string.trim().parse::<serde_json::Number>();
    parsed.map(Json::Number).map_err(|_| "must be a number".to_owned())
}

fn url(string: &str) -> Result<Json, String> {
    let wrong = |why: &str| Err(format!("must be a URL such as https://app.example.com: {why}"));
    match url::Url::parse(string.trim()) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            wrong("it must begin with http:// or https://")
        }
        Ok(url) if url.host_str().is_none() => wrong("it has no host"),
        Ok(_) => Ok(Json::String(string.trim().to_owned())),
        Err(error) => wrong(&error.to_string()),
    }
}

/// A JSON list, or words with commas between. What begins as JSON is no word: a bracket may have
/// been forgotten.
fn items(string: &str) -> Result<Json, String> {
    match serde_json::from_str(string) {
        Ok(list @ Json::Array(_)) => Ok(list),
        _ if string.trim_start().starts_with(['[', '{']) => {
            Err(r#"must be a list: write `a, b`, or as JSON `["a", "b"]`"#.to_owned())
        }
        _ => {
            let items = string.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(items.map(Json::from).collect())
        }
    }
}

fn object(string: &str) -> Result<Json, String> {
    match serde_json::from_str(string) {
        Ok(object @ Json::Object(_)) => Ok(object),
        _ => Err("must be a JSON object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_as_json_is_no_word_of_a_list() {
        assert_eq!(items("a, b,"), Ok(serde_json::json!(["a", "b"])));
        assert_eq!(items(""), Ok(serde_json::json!([])));
        assert_eq!(items(r#"["a, b", 1]"#), Ok(serde_json::json!(["a, b", 1])));
        for slip in [r#"["a""#, r#" ["a", b]"#, r#"{"a": 1}"#, "{a"] {
            let wrong = items(slip).unwrap_err();
            assert!(wrong.starts_with("must be a list: write `a, b`"), "{wrong}");
        }
    }
}
