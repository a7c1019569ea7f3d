//! What a plug-in says of itself: JSON in, a checked description or what is wrong with it out.
//!
//! Nothing here runs a program.

use serde::Deserialize;
use serde_json::Map;

use crate::journal::event::Effect;
use crate::printable::printable;
use crate::value::{Json, text};

/// The protocol that is spoken; a plug-in that says nothing about it speaks this one.
pub const PROTOCOL: u64 = 1;

/// What a plug-in does and takes.
#[derive(Debug, Clone)]
pub struct Description {
    /// What it does, one sentence.
    pub about: String,
    /// What it may do to the world.
    pub effect: Effect,
    /// Its keys, in its own order.
    pub fields: Vec<Asked>,
    /// The key meant when the kind is given no table.
    pub plain: Option<String>,
    /// Whether all it puts out is secret.
    pub secret: bool,
    /// Whether it takes back by itself what it did.
    pub undo: bool,
}

/// One key of a plug-in's table.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The key.
    pub name: String,
    /// What its value must be.
    pub form: Form,
    /// Whether it must be given.
    pub required: bool,
    /// What it means.
    pub about: String,
    /// The only values allowed; empty: any.
    pub one_of: Vec<Json>,
    /// The value when none is given.
    pub default: Option<Json>,
}

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// A list of anything.
    List,
    /// A table of anything.
    Object,
    /// Anything.
    Any,
}

impl Form {
    /// The name in a description.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::List => "list",
            Self::Object => "object",
            Self::Any => "any",
        }
    }

    /// What it must be, as it is told to an author.
    pub fn wanted(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Boolean => "`true` or `false`",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::List => "a list",
            Self::Object => "a table",
            Self::Any => "a value",
        }
    }

    /// Whether a value is of this form as it stands.
    pub fn fits(self, value: &Json) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Boolean => value.is_boolean(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
            Self::Any => true,
        }
    }

    /// A rendered value in this form: a template of more than one expression gives text only.
    pub fn take(self, value: Json) -> Option<Json> {
        if self.fits(&value) {
            return Some(value);
        }
        match (self, &value) {
            (Self::String, Json::Number(_) | Json::Bool(_)) => Some(Json::String(text(&value))),
            (_, Json::String(said)) => {
                serde_json::from_str(said.trim()).ok().filter(|value| self.fits(value))
            }
            _ => None,
        }
    }
}

impl Asked {
    /// A rendered value as the plug-in takes it, or what is wrong with it.
    pub fn take(&self, value: Json) -> Result<Json, String> {
        let wanted = || format!("`{}` must be {}", self.name, self.form.wanted());
        let value = self.form.take(value).ok_or_else(wanted)?;
        if self.one_of.is_empty() || self.one_of.contains(&value) {
            return Ok(value);
        }
        let all: Vec<String> = self.one_of.iter().map(|one| format!("`{}`", text(one))).collect();
        Err(format!("`{}` must be one of {}", self.name, all.join(", ")))
    }
}

/// The description as it is printed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Printed {
    #[serde(default, rename = "protocol")]
    _protocol: Option<u64>,
    about: String,
    effect: Class,
    #[serde(default)]
    fields: Map<String, Json>,
    #[serde(default)]
    plain: Option<String>,
    #[serde(default)]
    secret: bool,
    #[serde(default)]
    undo: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Class {
    Read,
    Repeatable,
    Once,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrintedField {
    #[serde(rename = "type")]
    form: Form,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    about: String,
    #[serde(default, rename = "enum")]
    one_of: Vec<Json>,
    #[serde(default)]
    default: Option<Json>,
}

impl Description {
    /// Checks what a plug-in printed.
    pub fn parse(printed: &Json) -> Result<Self, String> {
        if !printed.is_object() {
            return Err("it is no JSON object".to_owned());
        }
        if let Some(other) = printed.get("protocol").filter(|said| said.as_u64() != Some(PROTOCOL))
        {
            return Err(format!("it speaks protocol {other}; this version of `runbook` speaks 1"));
        }
        let said = Printed::deserialize(printed).map_err(|error| error.to_string())?;
        let fields = said.fields.iter().map(|(name, said)| field(name, said));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        let described = Self {
            about: printable(&said.about).into_owned(),
            effect: match said.effect {
                Class::Read => Effect::Read,
                Class::Repeatable => Effect::Repeatable,
                Class::Once => Effect::Once,
            },
            plain: said.plain,
            secret: said.secret,
            undo: said.undo,
            fields,
        };
        described.consistent()
    }

    fn consistent(self) -> Result<Self, String> {
        if let Some(plain) = self.plain.as_ref().filter(|plain| self.field(plain).is_none()) {
            return Err(format!("`plain` names the field `{plain}`, which is not there"));
        }
        if self.undo && self.effect == Effect::Read {
            return Err("it only reads, so there is nothing to `undo`".to_owned());
        }
        Ok(self)
    }

    /// One of its fields.
    pub fn field(&self, name: &str) -> Option<&Asked> {
        self.fields.iter().find(|field| field.name == name)
    }
}

fn field(name: &str, said: &Json) -> Result<Asked, String> {
    let wrong = |what: &str| format!("field `{name}`: {what}");
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
        return Err(wrong("a name has letters, digits, `_` and `-`"));
    }
    let said = PrintedField::deserialize(said).map_err(|error| wrong(&error.to_string()))?;
    if said.one_of.iter().any(|one| !said.form.fits(one)) {
        return Err(wrong("its `enum` does not fit its `type`"));
    }
    if said.required && said.default.is_some() {
        return Err(wrong("what is `required` has no `default`"));
    }
    let PrintedField { form, required, about, one_of, default } = said;
    let about = printable(&about).into_owned();
    let asked = Asked { name: name.to_owned(), form, required, about, one_of, default };
    match &asked.default {
        Some(default) if !form.fits(default) || asked.take(default.clone()).is_err() => {
            Err(wrong("its `default` does not fit its `type` and `enum`"))
        }
        _ => Ok(asked),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_description_is_said() {
        let field =
            |field: Json| json!({ "about": "a", "effect": "read", "fields": { "f": field } });
        for (printed, part) in [
            (json!(["about"]), "no JSON object"),
            (json!({ "about": "a" }), "missing field `effect`"),
            (json!({ "about": "a", "effect": "pure" }), "unknown variant `pure`"),
            (json!({ "about": "a", "effect": "read", "protocol": 2 }), "protocol 2"),
            (json!({ "about": "a", "effect": "read", "fieldz": {} }), "unknown field `fieldz`"),
            (
                json!({ "about": "a", "effect": "read", "plain": "x" }),
                "`plain` names the field `x`",
            ),
            (json!({ "about": "a", "effect": "read", "undo": true }), "nothing to `undo`"),
            (field(json!({ "type": "text" })), "field `f`: unknown variant `text`"),
            (field(json!({ "type": "string", "enum": [1] })), "field `f`: its `enum`"),
            (field(json!({ "type": "integer", "default": "1" })), "field `f`: its `default`"),
            (field(json!({ "type": "string", "enum": ["a"], "default": "b" })), "its `default`"),
            (field(json!({ "type": "any", "required": true, "default": 1 })), "no `default`"),
        ] {
            let wrong = Description::parse(&printed).unwrap_err();
            assert!(wrong.contains(part), "{wrong}: {part}");
        }
    }

    #[test]
    fn rendered_text_is_taken_in_the_form_asked_for() {
        assert_eq!(Form::Integer.take(json!("10")), Some(json!(10)));
        assert_eq!(Form::Integer.take(json!("ten")), None);
        assert_eq!(Form::Boolean.take(json!("true")), Some(json!(true)));
        assert_eq!(Form::String.take(json!(10)), Some(json!("10")));
        assert_eq!(Form::String.take(json!([])), None);
        assert_eq!(Form::List.take(json!("[1]")), Some(json!([1])));
    }
}
