//! What the schemas accept in structure the parsers accept, and the other way round.
//!
//! Files are made from the tables of fields, then broken at one place; schema and parser must
//! agree on both. What only names, templates and programs make wrong is not structure.

use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::diag::Diag;
use crate::fake::Fake;
use crate::runbook::Runbook;
use crate::source::Source;
use crate::step::plugin::Sought;

/// Whether a schema accepts a value: as much of draft 7 as ours use.
fn accepts(root: &Json, schema: &Json, value: &Json) -> bool {
    let all = |key: &str| schema[key].as_array().cloned().unwrap_or_default();
    let fits = |one: &Json| accepts(root, one, value);
    if let Some(to) = schema["$ref"].as_str() {
        return accepts(root, root.pointer(&to[1..]).unwrap(), value);
    }
    let kind = match &schema["type"] {
        Json::String(kind) => match kind.as_str() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            other => panic!("type {other}"),
        },
        _ => true,
    };
    kind && (schema["const"].is_null() || schema["const"] == *value)
        && (schema["enum"].is_null() || all("enum").contains(value))
        && schema["minimum"].as_i64().is_none_or(|least| value.as_i64().is_none_or(|n| n >= least))
        && schema["pattern"].as_str().is_none_or(|pattern| {
            value
                .as_str()
                .is_none_or(|text| regex_lite::Regex::new(pattern).unwrap().is_match(text))
        })
        && all("allOf").iter().all(fits)
        && (schema["anyOf"].is_null() || all("anyOf").iter().any(fits))
        && (schema["oneOf"].is_null() || all("oneOf").iter().filter(|one| fits(one)).count() == 1)
        && (schema["not"].is_null() || !fits(&schema["not"]))
        && schema["minItems"]
            .as_u64()
            .is_none_or(|least| value.as_array().is_none_or(|items| items.len() as u64 >= least))
        && value.as_array().is_none_or(|items| {
            schema["items"].is_null()
                || items.iter().all(|item| accepts(root, &schema["items"], item))
        })
        && value.as_object().is_none_or(|table| object(root, schema, table))
}

fn object(root: &Json, schema: &Json, table: &Map<String, Json>) -> bool {
    let texts = |list: &Json| -> Vec<String> {
        list.as_array()
            .into_iter()
            .flatten()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    };
    let more = &schema["additionalProperties"];
    let entry = |(key, value): (&String, &Json)| match schema["properties"].get(key) {
        Some(property) => accepts(root, property, value),
        None if more.is_object() => accepts(root, more, value),
        None => *more != Json::Bool(false),
    };
    let with = schema["dependencies"].as_object().cloned().unwrap_or_default();
    texts(&schema["required"]).iter().all(|key| table.contains_key(key))
        && with.iter().all(|(key, needs)| {
            !table.contains_key(key) || texts(needs).iter().all(|needed| table.contains_key(needed))
        })
        && table.iter().all(entry)
}

/// Makes files. Names are numbered, so that none is taken twice.
struct Maker {
    state: u64,
    names: u64,
    rules: RuleSet,
    acts: &'static [&'static str],
}

impl Maker {
    fn new(seed: u64, rules: RuleSet, acts: &'static [&'static str]) -> Self {
        Self { state: seed, names: 0, rules, acts }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % limit
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    fn table(&mut self, under: &str, fields: &[Field]) -> Json {
        let rules = self.rules.iter().find(|(key, _)| *key == under);
        let mut table = self.ruled(fields, &rules.map_or(Rules::NONE, |(_, rules)| *rules));
        if self.acts.contains(&under) {
            let kind = &KINDS[self.below(KINDS.len())];
            let plain = kind.fields.iter().find(|field| Some(field.name) == kind.plain);
            let value = match plain {
                Some(field) if self.below(2) == 0 => self.value(field),
                _ => self.ruled(kind.fields, &kind.rules),
            };
            set(&mut table, kind.name, value);
            let unfit: Vec<&str> = kind.without.iter().map(|(key, _)| *key).collect();
            let goes = |key: &str| {
                let with = rules.iter().flat_map(|(_, rules)| rules.with);
                unfit.contains(&key)
                    || with.clone().any(|(one, needed)| *one == key && unfit.contains(needed))
            };
            table.as_object_mut().unwrap().retain(|key, _| !goes(key));
        }
        table
    }

    fn ruled(&mut self, fields: &[Field], rules: &Rules) -> Json {
        let mut keys: Vec<&str> = rules.needs.to_vec();
        keys.extend(fields.iter().map(|field| field.name).filter(|_| self.below(4) == 0));
        if !rules.any.is_empty() && !rules.any.iter().any(|key| keys.contains(key)) {
            keys.push(rules.any[self.below(rules.any.len())]);
        }
        for (key, needed) in rules.with {
            if keys.contains(key) {
                keys.push(needed);
            }
        }
        let mut apart = rules.apart.iter().filter(|key| keys.contains(key));
        apart.next();
        let drop: Vec<&str> = apart.copied().collect();
        keys.retain(|key| !drop.contains(key));
        // what goes with a key that was dropped goes too
        let lacking = rules.with.iter().filter(|(_, needed)| drop.contains(needed));
        let lacking: Vec<&str> = lacking.map(|(key, _)| *key).collect();
        keys.retain(|key| !lacking.contains(key));
        let fields = fields.iter().filter(|field| keys.contains(&field.name));
        Json::Object(fields.map(|field| (field.name.to_owned(), self.value(field))).collect())
    }

    fn value(&mut self, field: &Field) -> Json {
        match field.name {
            "format" => return json!(1),
            "type" => return json!("string"),
            "default" => return json!("v"),
            "name" | "id" | "as" => return json!(self.name()),
            "on" if self.acts.is_empty() => return json!("GET /v/{id}/"),
            _ => {}
        }
        match field.shape {
            Shape::Text => json!("v"),
            Shape::Template => json!(["v", "v {{ 1 + 1 }}"][self.below(2)]),
            Shape::Expression => json!("1 == 1"),
            Shape::Jq => json!("."),
            Shape::Definitions => json!("def f: 1;"),
            Shape::Boolean => json!(self.below(2) == 0),
            Shape::Integer => json!(self.below(9)),
            Shape::Duration => [json!("30s"), json!("1m 30s"), json!(5)][self.below(3)].clone(),
            Shape::Value => self.anything(),
            Shape::Map => {
                let entries = (0..self.below(3)).map(|_| (self.name(), self.anything()));
                Json::Object(entries.collect::<Vec<_>>().into_iter().collect())
            }
            Shape::Maps => self.named(|maker| json!({ maker.name(): maker.anything() })),
            Shape::Lists => {
                self.named(|maker| [json!("v"), json!(["v", "v"])][maker.below(2)].clone())
            }
            Shape::Texts | Shape::Templates => {
                [json!("v"), json!(["v", "v"])][self.below(2)].clone()
            }
            Shape::Integers => [json!(7), json!([7, 8])][self.below(2)].clone(),
            Shape::Word(words) => json!(words[self.below(words.len())]),
            Shape::Words(words) => {
                let word = words[self.below(words.len())];
                [json!(word), json!([word, word])][self.below(2)].clone()
            }
            Shape::Table(fields) => self.table(field.name, fields),
            Shape::Tables(fields) => {
                (0..self.below(3)).map(|_| self.table(field.name, fields)).collect()
            }
            Shape::TextsOrTables(fields) => json!(["v", self.table(field.name, fields)]),
            Shape::Named(fields) => self.named(|maker| maker.table(field.name, fields)),
            Shape::NamedOrJq(fields) => self.named(|maker| match maker.below(2) {
                0 => json!("."),
                _ => maker.table(field.name, fields),
            }),
            Shape::Step => self.table(field.name, fields::UNDO),
        }
    }

    fn named(&mut self, one: impl Fn(&mut Self) -> Json) -> Json {
        let entries: Vec<_> = (0..self.below(3)).map(|_| (self.name(), one(self))).collect();
        Json::Object(entries.into_iter().collect())
    }

    fn anything(&mut self) -> Json {
        let all = [
            json!(true),
            json!(-1),
            json!(1.5),
            json!("v"),
            json!([]),
            json!([true]),
            json!({}),
            json!({ "zzz": 1 }),
        ];
        all[self.below(all.len())].clone()
    }

    /// Adds, removes or replaces something somewhere.
    fn break_one(&mut self, value: &mut Json) {
        let inside = self.below(4) != 0;
        match value {
            Json::Object(table) if !table.is_empty() => {
                let key = table.keys().nth(self.below(table.len())).unwrap().clone();
                match self.below(6) {
                    0 => drop(table.insert("zzz".to_owned(), self.anything())),
                    1 => drop(table.remove(&key)),
                    _ => self.break_or_replace(inside, table.get_mut(&key).unwrap()),
                }
            }
            Json::Array(items) if !items.is_empty() => {
                let at = self.below(items.len());
                self.break_or_replace(inside, &mut items[at]);
            }
            other => *other = self.anything(),
        }
    }

    fn break_or_replace(&mut self, inside: bool, value: &mut Json) {
        if inside { self.break_one(value) } else { *value = self.anything() }
    }
}

fn structural(diag: &Diag) -> bool {
    let title = diag.title.as_str();
    let starts = [
        "unknown key",
        "format ",
        "unknown format",
        "missing `format",
        "routes are written",
        "expected a text",
        "expected a table",
        "a route is a table",
        "a route without",
        "a command without",
        "a command is a table",
        "commands are written as",
        "a hint is a text",
        "a source is one of",
    ];
    let holds = [
        "` is missing",
        "` must be a",
        "` must be `true`",
        "does nothing",
        "does one thing",
        "` cannot be `",
        "has one body",
        "` goes with `",
        "cannot stand beside",
        "cannot tell whether",
        "has no steps",
    ];
    // what an input's type makes of its default is no structure; that a question's is a text is
    (!title.starts_with("`default`") || title.ends_with("must be a string"))
        && (starts.iter().any(|part| title.starts_with(part))
            || holds.iter().any(|part| title.contains(part)))
}

fn source(file: &Json) -> Source {
    Source::new("x.toml", toml::to_string(file).unwrap())
}

fn mistakes<T>(parsed: Result<T, Vec<Diag>>) -> Vec<String> {
    let diags = parsed.err().unwrap_or_default();
    diags.iter().filter(|diag| structural(diag)).map(|diag| diag.title.clone()).collect()
}

fn runbook_mistakes(file: &Json) -> Vec<String> {
    let used = "format = 1\nname = \"v\"\n[[steps]]\nid = \"a\"\nnote = \"v\"\n";
    let find = |_: &str, _: &Source| Ok(Source::new("v.toml", used));
    mistakes(Runbook::parse(&source(file), &find))
}

/// The schema and the parser agree on a file, and on it with one thing changed.
fn agree(
    schema: &Json,
    maker: &mut Maker,
    top: &[Field],
    parse: impl Fn(&Json) -> Vec<String>,
) -> Result<(), TestCaseError> {
    let mut file = maker.table("", top);
    let wrong = parse(&file);
    prop_assert!(wrong.is_empty(), "refused {wrong:?}: {file:#}");
    prop_assert!(accepts(schema, schema, &file), "the schema refuses {file:#}");
    let table = |file: &Json| file.is_object();
    maker.break_one(&mut file);
    if table(&file) {
        let wrong = parse(&file);
        let accepted = accepts(schema, schema, &file);
        prop_assert_eq!(accepted, wrong.is_empty(), "{:?}: {:#}", wrong, file);
    }
    Ok(())
}

/// The property below comes upon it once in some hundred runs.
#[test]
fn a_command_without_words_is_none_for_both() {
    for command in [json!([]), json!({ "run": [] }), json!(["a"]), json!({ "run": "a" })] {
        let step = json!({ "id": "a", "effect": "read", "command": command });
        let file = json!({ "format": 1, "name": "n", "steps": [step] });
        let wrong = runbook_mistakes(&file);
        let schema = runbook();
        assert_eq!(accepts(&schema, &schema, &file), wrong.is_empty(), "{command}: {wrong:?}");
    }
}

/// So are these.
#[test]
fn a_question_s_default_is_a_text_for_both() {
    for (default, fits) in [(json!("v"), true), (json!([]), false), (json!(1), false)] {
        let step = json!({ "id": "a", "prompt": { "ask": "v", "default": default } });
        let file = json!({ "format": 1, "name": "n", "steps": [step] });
        let wrong = runbook_mistakes(&file);
        let schema = runbook();
        assert_eq!(wrong.is_empty(), fits, "{default}: {wrong:?}");
        assert_eq!(accepts(&schema, &schema, &file), fits, "{default}");
    }
}

#[test]
fn a_key_is_one_of_a_dotenv_for_both() {
    for (source, fits) in [
        (json!({ "dotenv": "f", "key": "K" }), true),
        (json!({ "file": "f", "key": "K" }), false),
        (json!({ "env": "E", "key": true }), false),
        (json!({ "dotenv": "f" }), false),
    ] {
        let mut file = json!({ "format": 1, "name": "n", "steps": [{ "id": "a", "note": "v" }] });
        file["inputs"] = json!({ "i": { "from": [source] } });
        let schema = runbook();
        let wrong = runbook_mistakes(&file);
        assert_eq!(wrong.is_empty(), fits, "{source}: {wrong:?}");
        assert_eq!(accepts(&schema, &schema, &file), fits, "{source}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn runbooks(seed: u64) {
        let mut maker = Maker::new(seed, fields::RULES, fields::ACTS);
        agree(&runbook(), &mut maker, fields::TOP, runbook_mistakes)?;
    }

    #[test]
    fn fakes(seed: u64) {
        let mut maker = Maker::new(seed, fake_file::RULES, &[]);
        agree(&fake(), &mut maker, fake_file::TOP, |file| mistakes(Fake::parse(&source(file))))?;
    }

    #[test]
    fn tests_of_runbooks(seed: u64) {
        let mut maker = Maker::new(seed, testing::RULES, &["-"]);
        agree(&test(), &mut maker, testing::TOP, |file| mistakes(testing::parse(&source(file))))?;
    }
}

#[test]
fn bundled_files_fit() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks");
    for folder in std::fs::read_dir(root).unwrap() {
        for entry in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let schema = match name {
                "fake.toml" => fake(),
                _ if name.ends_with(".test.toml") => test(),
                _ => runbook(),
            };
            let file: Json = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert!(accepts(&schema, &schema, &file), "{}", path.display());
        }
    }
}

#[test]
fn every_kind_has_an_example_that_fits() {
    let schema = runbook();
    for kind in KINDS {
        let example = &schema["definitions"][kind.name]["examples"][0];
        assert!(accepts(&schema, &schema["definitions"][kind.name], example), "{}", kind.name);
    }
}

/// What the schema says of a plug-in, and what the parser says of the same file.
#[test]
fn a_plug_in_s_table_is_what_it_says() {
    let kept = json!({ "program": { "path": "/x" }, "description": {
        "about": "Makes.", "effect": "once", "plain": "name",
        "fields": {
            "name": { "type": "string", "required": true },
            "size": { "type": "integer", "default": 1 },
            "mode": { "type": "string", "enum": ["a", "b"] },
            "tags": { "type": "list" },
            "more": { "type": "object" },
        },
    } });
    let plugin = Rc::new(Plugin::from_kept("make", &kept.to_string()).unwrap());
    let schema = runbook_with(&[Rc::clone(&plugin)]);
    let kinds = |name: &str, _: &Source| {
        let there = name == "make";
        Ok(if there { Sought::There(Rc::clone(&plugin)) } else { Sought::Nowhere(None) })
    };
    for (value, fits) in [
        (json!("n"), true),
        (json!(7), false),
        (json!({ "name": "n" }), true),
        (
            json!({ "name": "{{ 1 }}", "size": "{{ 1 }}", "mode": "{{ 'a' }}", "tags": "{{ [] }}" }),
            true,
        ),
        (json!({ "name": "n", "size": 2, "mode": "b", "tags": [1], "more": { "x": 1 } }), true),
        (json!({ "size": 2 }), false),
        (json!({ "name": "n", "size": "2" }), false),
        (json!({ "name": "n", "mode": "c" }), false),
        (json!({ "name": "n", "tags": {} }), false),
        (json!({ "name": "n", "more": [] }), false),
        (json!({ "name": "n", "nmae": 1 }), false),
        (json!({}), false),
    ] {
        for act in ["step", "undo"] {
            let step = if act == "step" {
                json!({ "id": "a", "make": value })
            } else {
                json!({ "id": "a", "jq": "1", "undo": { "make": value } })
            };
            let file = json!({ "format": 1, "name": "x", "steps": [step] });
            let none = |_: &str, _: &Source| Err(String::new());
            let parsed = Runbook::parse_with(&source(&file), &none, &kinds);
            assert_eq!(parsed.is_ok(), fits, "{value}: {:?}", parsed.err());
            assert_eq!(accepts(&schema, &schema, &file), fits, "{value}");
            assert!(!accepts(&runbook(), &runbook(), &file), "only the other knows it");
        }
    }
}

/// `UPDATE=1 cargo test` writes them anew.
#[test]
fn the_files_in_docs_are_these() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (name, schema) in [("runbook", runbook()), ("fake", fake()), ("test", test())] {
        let path = docs.join(format!("{name}.schema.json"));
        let text = format!("{schema:#}\n");
        if crate::world::World::real().var("UPDATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{} is old: run with UPDATE=1", path.display());
    }
}
