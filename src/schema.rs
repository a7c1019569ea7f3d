//! JSON Schemas of the files people write, for editors that complete and explain.
//!
//! Derived from the tables of fields that the parsers go by, so that a key exists in both or in
//! neither. They say what a file is made of; what its templates, programs and names mean only
//! `check` can say. Draft 7, which the TOML editors know.

use std::rc::Rc;

use serde_json::{Map, json};

use crate::fake::parse as fake_file;
use crate::reader::{Field, RuleSet, Rules, Shape};
use crate::runbook::fields;
use crate::step::plugin::Plugin;
use crate::step::plugin::describe::{Asked, Description, Form};
use crate::step::{KINDS, Kind};
use crate::testing;
use crate::value::Json;

/// The schema of a runbook.
pub fn runbook() -> Json {
    runbook_with(&[])
}

/// The schema of a runbook that may use these plug-ins besides.
pub fn runbook_with(plugins: &[Rc<Plugin>]) -> Json {
    let schema = Schema { rules: fields::RULES, acts: fields::ACTS, plugins };
    let mut whole = schema.whole("A runbook", fields::TOP);
    let kinds = KINDS.iter().map(|kind| (kind.name.to_owned(), schema.kind(kind)));
    let own = plugins.iter().map(|plugin| (plugin.command(), plugin_table(&plugin.description)));
    let action = [("action".to_owned(), schema.table("undo", fields::UNDO))];
    let definitions: Map<String, Json> = kinds.chain(own).chain(action).collect();
    set(&mut whole, "definitions", Json::Object(definitions));
    whole
}

/// The schema of a fake.
pub fn fake() -> Json {
    Schema { rules: fake_file::RULES, acts: &[], plugins: &[] }
        .whole("The fake of a service", fake_file::TOP)
}

/// The schema of the tests of a runbook.
pub fn test() -> Json {
    Schema { rules: testing::RULES, acts: &[], plugins: &[] }
        .whole("Tests of a runbook", testing::TOP)
}

struct Schema<'a> {
    rules: RuleSet,
    /// The keys whose tables hold a kind.
    acts: &'static [&'static str],
    plugins: &'a [Rc<Plugin>],
}

impl Schema<'_> {
    fn whole(&self, title: &str, fields: &[Field]) -> Json {
        let mut whole = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": title,
        });
        if let (Some(all), Json::Object(table)) = (whole.as_object_mut(), self.table("", fields)) {
            all.extend(table);
        }
        if let Some(format) = whole.pointer_mut("/properties/format") {
            set(format, "const", json!(1));
        }
        whole
    }

    /// A table that stands under a key.
    fn table(&self, under: &str, fields: &[Field]) -> Json {
        let rules = self.rules.iter().find(|(key, _)| *key == under);
        let table = self.ruled(fields, rules.map_or(&Rules::NONE, |(_, rules)| rules));
        if self.acts.contains(&under) { one_kind(table, self.plugins) } else { table }
    }

    fn ruled(&self, fields: &[Field], rules: &Rules) -> Json {
        let properties: Map<String, Json> =
            fields.iter().map(|field| (field.name.to_owned(), self.field(field))).collect();
        let mut table =
            json!({ "type": "object", "additionalProperties": false, "properties": properties });
        if !rules.needs.is_empty() {
            set(&mut table, "required", json!(rules.needs));
        }
        if !rules.any.is_empty() {
            set(
                &mut table,
                "anyOf",
                rules.any.iter().map(|key| json!({ "required": [key] })).collect(),
            );
        }
        if !rules.with.is_empty() {
            let with: Map<String, Json> =
                rules.with.iter().map(|(key, needs)| ((*key).to_owned(), json!([needs]))).collect();
            set(&mut table, "dependencies", Json::Object(with));
        }
        let pairs = pairs(rules.apart);
        if !pairs.is_empty() {
            set(&mut table, "allOf", pairs.into_iter().collect());
        }
        table
    }

    fn kind(&self, kind: &Kind) -> Json {
        let table = self.ruled(kind.fields, &kind.rules);
        let plain = kind.fields.iter().find(|field| Some(field.name) == kind.plain);
        let mut schema = match plain {
            None => table,
            Some(field) => json!({ "anyOf": [table, self.field(field)] }),
        };
        set(&mut schema, "description", json!(kind.about));
        if let Some(example) = example(kind) {
            set(&mut schema, "examples", json!([example]));
        }
        schema
    }

    fn field(&self, field: &Field) -> Json {
        let mut schema = self.shape(field);
        set(&mut schema, "description", json!(field.about));
        schema
    }

    fn shape(&self, field: &Field) -> Json {
        let whole = || json!({ "type": "integer", "minimum": 0 });
        let text = || json!({ "type": "string" });
        match field.shape {
            Shape::Text | Shape::Definitions => text(),
            Shape::Template => json!({ "type": "string", "examples": ["{{ name }}"] }),
            Shape::Expression => json!({ "type": "string", "examples": ["name is string"] }),
            Shape::Jq => json!({ "type": "string", "examples": [".items[0].id"] }),
            Shape::Boolean => json!({ "type": "boolean" }),
            Shape::Integer => whole(),
            Shape::Duration => {
                let text = json!({ "type": "string", "pattern": "[0-9]" });
                json!({ "anyOf": [text, whole()], "examples": ["30s", "1m 30s", "500ms"] })
            }
            Shape::Value => json!({}),
            Shape::Map => json!({ "type": "object" }),
            Shape::Maps => {
                json!({ "type": "object", "additionalProperties": { "type": "object" } })
            }
            Shape::Lists => {
                json!({ "type": "object", "additionalProperties": one_or_more(&text()) })
            }
            Shape::Texts => one_or_more(&text()),
            // an empty list is as none at all
            Shape::Templates => {
                let mut schema = one_or_more(&text());
                set(&mut schema["anyOf"][1], "minItems", json!(1));
                schema
            }
            Shape::Integers => one_or_more(&whole()),
            Shape::Word(words) => json!({ "enum": words }),
            Shape::Words(words) => one_or_more(&json!({ "enum": words })),
            Shape::Table(fields) => self.table(field.name, fields),
            Shape::Tables(fields) => {
                json!({ "type": "array", "items": self.table(field.name, fields) })
            }
            Shape::TextsOrTables(fields) => {
                let either = [text(), self.table(field.name, fields)];
                json!({ "type": "array", "items": { "anyOf": either } })
            }
            Shape::Named(fields) => {
                json!({ "type": "object", "additionalProperties": self.table(field.name, fields) })
            }
            Shape::NamedOrJq(fields) => {
                let either = [text(), self.table(field.name, fields)];
                json!({ "type": "object", "additionalProperties": { "anyOf": either } })
            }
            Shape::Step => reference("action"),
        }
    }
}

/// Adds the kinds' keys to a table, exactly one of which must be there.
fn one_kind(mut table: Json, plugins: &[Rc<Plugin>]) -> Json {
    let kinds = KINDS.iter().map(|kind| (kind.name, kind.name.to_owned(), kind.about));
    let own = plugins
        .iter()
        .map(|plugin| (plugin.name.as_str(), plugin.command(), plugin.description.about.as_str()));
    let mut each = Vec::new();
    for (name, definition, about) in kinds.chain(own) {
        // Beside a `$ref` draft 7 reads nothing.
        let value = json!({ "description": about, "allOf": [reference(&definition)] });
        if let Some(properties) = table.pointer_mut("/properties") {
            set(properties, name, value);
        }
        each.push(json!({ "required": [name] }));
    }
    set(&mut table, "oneOf", Json::Array(each));
    let alone: Vec<Json> = KINDS.iter().flat_map(|kind| without(kind, &table)).collect();
    match table.get_mut("allOf").and_then(Json::as_array_mut) {
        Some(all) => all.extend(alone),
        None if alone.is_empty() => {}
        None => set(&mut table, "allOf", Json::Array(alone)),
    }
    table
}

/// That a kind does not stand beside keys of this table that mean nothing for it.
fn without(kind: &Kind, table: &Json) -> Vec<Json> {
    let takes = |key: &str| table["properties"].get(key).is_some();
    let keys = kind.without.iter().map(|(key, _)| *key).filter(|key| takes(key));
    keys.flat_map(|key| pairs(&[kind.name, key])).collect()
}

/// What a plug-in's key may hold. A template may stand for a value of any type.
fn plugin_table(description: &Description) -> Json {
    let fields = description.fields.iter();
    let properties: Map<String, Json> =
        fields.clone().map(|field| (field.name.clone(), asked(field))).collect();
    let required: Vec<&str> =
        fields.filter(|field| field.required).map(|field| field.name.as_str()).collect();
    let mut table =
        json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !required.is_empty() {
        set(&mut table, "required", json!(required));
    }
    match description.plain.as_deref().and_then(|plain| description.field(plain)) {
        None => table,
        // A table is always the kind's own.
        Some(plain) => {
            let alone = json!({ "not": { "type": "object" }, "allOf": [asked(plain)] });
            json!({ "anyOf": [table, alone] })
        }
    }
}

fn asked(field: &Asked) -> Json {
    let own = match field.form {
        _ if !field.one_of.is_empty() => json!({ "enum": field.one_of }),
        Form::Any => json!({}),
        Form::List => json!({ "type": "array" }),
        other => json!({ "type": other.name() }),
    };
    let template = json!({ "type": "string", "pattern": "\\{\\{|\\{%" });
    let mut schema = json!({ "description": field.about, "anyOf": [own, template] });
    if let Some(default) = &field.default {
        set(&mut schema, "default", default.clone());
    }
    schema
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/definitions/{name}") })
}

fn one_or_more(one: &Json) -> Json {
    json!({ "anyOf": [one, { "type": "array", "items": one }] })
}

/// That no two of these keys stand together.
fn pairs(apart: &[&str]) -> Vec<Json> {
    let pairs = apart.iter().enumerate().flat_map(|(at, one)| {
        apart[at + 1..].iter().map(move |other| json!({ "not": { "required": [one, other] } }))
    });
    pairs.collect()
}

/// The value of the kind's key in its example.
fn example(kind: &Kind) -> Option<Json> {
    let file: Json = toml::from_str(kind.example).ok()?;
    file.get("steps")?.get(0)?.get(kind.name).cloned()
}

fn set(schema: &mut Json, key: &str, value: Json) {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests;
