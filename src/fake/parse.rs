//! `fake.toml` → [`Fake`], with every mistake at its place.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Command, Fake, Route, Segment, Word};
use crate::diag::Diag;
use crate::jq::{Defs, Mistake, Program, ProgramId, Programs};
use crate::reader::{Field, RuleSet, Rules, Shape};
use crate::source::{Source, Span};
use crate::value::Json;

/// The keys of a fake.
pub const TOP: &[Field] = &[
    Field { name: "format", shape: Shape::Integer, about: "The version of this format: 1." },
    Field { name: "about", shape: Shape::Text, about: "Markdown: what service it is." },
    Field {
        name: "inputs",
        shape: Shape::Map,
        about: "Answers to the runbooks' inputs; `$URL` is the fake's address, `$DIR` a folder for files.",
    },
    Field { name: "state", shape: Shape::Map, about: "Where every rehearsal starts." },
    Field {
        name: "states",
        shape: Shape::Map,
        about: "Variants, laid over the state table by table: `[states.NAME]`.",
    },
    Field {
        name: "rehearse",
        shape: Shape::Lists,
        about: "In which of these a rehearsal starts that names none: a runbook's name, and a list.",
    },
    Field { name: "defs", shape: Shape::Definitions, about: "jq definitions for all routes." },
    Field {
        name: "routes",
        shape: Shape::Tables(ROUTE),
        about: "What is answered; the first route that fits answers.",
    },
    Field {
        name: "commands",
        shape: Shape::Tables(COMMAND),
        about: "What commands would print; the first that fits answers.",
    },
    Field {
        name: "otherwise",
        shape: Shape::Jq,
        about: "Answers every other request; a plain 404 if not said.",
    },
];

/// The keys of a route.
pub const ROUTE: &[Field] = &[
    Field {
        name: "on",
        shape: Shape::Text,
        about: "Which requests: `GET /items/{id}/`; `*` is any method, `{name}` one part of the path.",
    },
    Field { name: "about", shape: Shape::Text, about: "What it is, for those who read the fake." },
    Field {
        name: "jq",
        shape: Shape::Jq,
        about: "From `{request, state}` to `{status, headers, body, state}`, exactly one.",
    },
];

/// The keys of a command.
pub const COMMAND: &[Field] = &[
    Field {
        name: "on",
        shape: Shape::Text,
        about: "The words its command line begins with: `docker exec`; `*` is any word.",
    },
    Field { name: "about", shape: Shape::Text, about: "What it is, for those who read the fake." },
    Field {
        name: "jq",
        shape: Shape::Jq,
        about: "From `{command, state}` to `{status, stdout, stderr, state}`, exactly one.",
    },
];

/// Which keys go together, table by table.
pub const RULES: RuleSet = &[
    ("", Rules::needs(&["format"])),
    ("routes", Rules::needs(&["on", "jq"])),
    ("commands", Rules::needs(&["on", "jq"])),
];

type Value<'i> = Spanned<DeValue<'i>>;

impl Fake {
    /// Parses and checks a fake, or tells all that is wrong with it.
    pub fn parse(source: &Source) -> Result<Self, Vec<Diag>> {
        let table = DeTable::parse(&source.text)
            .map_err(|error| vec![Diag::error(error.message(), error.span().unwrap_or(0..0))])?;
        let mut reader = Reader { source, diags: Vec::new() };
        let fake = reader.fake(table.get_ref());
        if reader.diags.is_empty() { Ok(fake) } else { Err(reader.diags) }
    }
}

struct Reader<'s> {
    source: &'s Source,
    diags: Vec<Diag>,
}

impl Reader<'_> {
    fn fake(&mut self, table: &DeTable<'_>) -> Fake {
        self.known(table, TOP, "a fake");
        match table.get("format").map(|value| (value.span(), value.get_ref().as_integer())) {
            Some((_, Some(number))) if number.as_str() == "1" => {}
            Some((span, _)) => self.error("unknown format, this version reads `1`", span),
            None => self.error("missing `format = 1`", 0..0),
        }
        let defs = self.defs(table.get("defs"));
        let mut programs = Programs::with_defs(defs.clone());
        let routes = self.routes(table.get("routes"), &defs, &mut programs);
        let commands = self.commands(table.get("commands"), &defs, &mut programs);
        let otherwise = table.get("otherwise");
        let otherwise = otherwise.and_then(|value| self.program(value, &defs, &mut programs));
        let about = table.get("about").and_then(|value| self.text(value)).unwrap_or_default();
        let state = table
            .get("state")
            .map_or_else(|| Json::Object(serde_json::Map::new()), |value| self.object(value));
        let inputs = self.entries(table.get("inputs"));
        let states = self.entries(table.get("states"));
        let rehearse = self.rehearse(table.get("rehearse"), &states);
        let beside = Vec::new();
        Fake {
            about,
            inputs,
            state,
            states,
            rehearse,
            programs,
            routes,
            commands,
            otherwise,
            beside,
        }
    }

    /// For each runbook a list of states that there are.
    fn rehearse(
        &mut self,
        value: Option<&Value<'_>>,
        states: &[(String, Json)],
    ) -> Vec<(String, Vec<String>)> {
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            self.error("expected a table of runbooks, each with a list of states", value.span());
        }
        let known = || states.iter().map(|(name, _)| name.as_str());
        let mut all = Vec::new();
        for (runbook, list) in table.into_iter().flatten() {
            let items: Vec<&Value<'_>> = match list.get_ref().as_array() {
                Some(items) => items.iter().collect(),
                None => vec![list],
            };
            let mut names = Vec::new();
            for item in items {
                let Some(name) = self.text(item) else { continue };
                if !known().any(|state| state == name) {
                    let diag = Diag::error(format!("there is no state `{name}`"), item.span());
                    self.diags.push(diag.suggest(&name, known()));
                }
                names.push(name);
            }
            all.push((runbook.get_ref().clone().into_owned(), names));
        }
        all
    }

    fn error(&mut self, title: impl Into<String>, span: Span) {
        self.diags.push(Diag::error(title, span));
    }

    fn known(&mut self, table: &DeTable<'_>, fields: &[Field], of: &str) {
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            if !fields.iter().any(|field| field.name == name) {
                let diag = Diag::error(format!("unknown key `{name}` in {of}"), key.span());
                self.diags.push(diag.suggest(name, fields.iter().map(|field| field.name)));
            }
        }
    }

    fn text(&mut self, value: &Value<'_>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.error(
                format!("expected a text, found {}", value.get_ref().type_str()),
                value.span(),
            );
        }
        text
    }

    fn object(&mut self, value: &Value<'_>) -> Json {
        if !value.get_ref().is_table() {
            self.error(
                format!("expected a table, found {}", value.get_ref().type_str()),
                value.span(),
            );
        }
        self.json(value)
    }

    fn entries(&mut self, value: Option<&Value<'_>>) -> Vec<(String, Json)> {
        match value.map(|value| self.object(value)) {
            Some(Json::Object(entries)) => entries.into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn json(&mut self, value: &Value<'_>) -> Json {
        match value.get_ref() {
            DeValue::String(text) => Json::String(text.clone().into_owned()),
            DeValue::Boolean(truth) => Json::Bool(*truth),
            DeValue::Integer(number) => {
                self.number(i64::from_str_radix(number.as_str(), number.radix()).ok(), value)
            }
            DeValue::Float(number) => self.number(
                number.as_str().parse::<f64>().ok().filter(|number| number.is_finite()),
                value,
            ),
            DeValue::Datetime(time) => Json::String(time.to_string()),
            DeValue::Array(items) => {
                Json::Array(items.iter().map(|item| self.json(item)).collect())
            }
            DeValue::Table(table) => {
                let entry = |(key, value): (&Spanned<_>, &_)| -> (String, Json) {
                    let key: &std::borrow::Cow<'_, str> = key.get_ref();
                    (key.clone().into_owned(), self.json(value))
                };
                Json::Object(table.iter().map(entry).collect())
            }
        }
    }

    fn number(&mut self, number: Option<impl Into<Json>>, value: &Value<'_>) -> Json {
        if number.is_none() {
            self.error("this number does not fit", value.span());
        }
        number.map_or(Json::Null, Into::into)
    }

    fn defs(&mut self, value: Option<&Value<'_>>) -> Defs {
        let Some((value, code)) = value.and_then(|value| Some((value, self.text(value)?))) else {
            return Defs::default();
        };
        Defs::parse(&code).unwrap_or_else(|mistakes| {
            self.mistakes(value, &code, mistakes);
            Defs::default()
        })
    }

    fn routes(
        &mut self,
        value: Option<&Value<'_>>,
        defs: &Defs,
        programs: &mut Programs,
    ) -> Vec<Route> {
        let Some(value) = value else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.error("routes are written as `[[routes]]`", value.span());
            return Vec::new();
        };
        items.iter().filter_map(|item| self.route(item, defs, programs)).collect()
    }

    fn commands(
        &mut self,
        value: Option<&Value<'_>>,
        defs: &Defs,
        programs: &mut Programs,
    ) -> Vec<Command> {
        let Some(value) = value else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.error("commands are written as `[[commands]]`", value.span());
            return Vec::new();
        };
        items.iter().filter_map(|item| self.command(item, defs, programs)).collect()
    }

    fn command(
        &mut self,
        item: &Value<'_>,
        defs: &Defs,
        programs: &mut Programs,
    ) -> Option<Command> {
        let Some(table) = item.get_ref().as_table() else {
            self.error("a command is a table with `on` and `jq`", item.span());
            return None;
        };
        self.known(table, COMMAND, "a command");
        table.get("about").and_then(|value| self.text(value));
        let on = self.needed(table, "on", "a command", item);
        let jq = self.needed(table, "jq", "a command", item);
        let program = jq.and_then(|jq| self.program(jq, defs, programs));
        let (on, span) = (self.text(on?)?, on?.span());
        let words: Vec<Word> = on
            .split_whitespace()
            .map(|word| if word == "*" { Word::Any } else { Word::Text(word.to_owned()) })
            .collect();
        if words.is_empty() {
            self.error(
                "expected the words a command line begins with, as `docker exec`",
                span.clone(),
            );
        }
        Some(Command { on, span, words, program: program? })
    }

    fn needed<'v>(
        &mut self,
        table: &'v DeTable<'v>,
        key: &str,
        of: &str,
        item: &Value<'_>,
    ) -> Option<&'v Value<'v>> {
        let value = table.get(key);
        if value.is_none() {
            self.error(format!("{of} without `{key}`"), item.span());
        }
        value
    }

    fn route(&mut self, item: &Value<'_>, defs: &Defs, programs: &mut Programs) -> Option<Route> {
        let Some(table) = item.get_ref().as_table() else {
            self.error("a route is a table with `on` and `jq`", item.span());
            return None;
        };
        self.known(table, ROUTE, "a route");
        let on = self.needed(table, "on", "a route", item);
        let jq = self.needed(table, "jq", "a route", item);
        table.get("about").and_then(|value| self.text(value));
        let program = jq.and_then(|jq| self.program(jq, defs, programs));
        let (on, span) = (self.text(on?)?, on?.span());
        let Some((method, path)) = self.pattern(&on, &span) else {
            let title = "expected a method and a path, as `GET /items/{id}/`";
            self.error(title, span);
            return None;
        };
        Some(Route { on, span, method, path, program: program? })
    }

    fn pattern(&mut self, on: &str, span: &Span) -> Option<(Option<String>, Vec<Segment>)> {
        let (method, path) = on.split_once(' ')?;
        let path = path.trim().strip_prefix('/')?;
        let letters = method.chars().all(|c| c.is_ascii_uppercase());
        let method = match method {
            "*" => None,
            _ if letters && !method.is_empty() => Some(method.to_owned()),
            _ => return None,
        };
        let mut names = Vec::new();
        let segments = path.split('/').map(|part| {
            let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
                return Segment::Text(part.to_owned());
            };
            if names.contains(&name) {
                self.error(format!("`{{{name}}}` stands twice in this path"), span.clone());
            }
            names.push(name);
            Segment::Param(name.to_owned())
        });
        Some((method, segments.collect()))
    }

    fn program(
        &mut self,
        value: &Value<'_>,
        defs: &Defs,
        programs: &mut Programs,
    ) -> Option<ProgramId> {
        let code = self.text(value)?;
        match Program::parse_with(&code, defs) {
            Ok(program) => {
                for (name, range) in program.reads() {
                    let diag = Diag::error(
                        format!("`${name}` is not known here"),
                        self.place(value, &code, range.clone()),
                    );
                    self.diags.push(diag.help(
                        "a route has `.request` and `.state`, a command `.command` and `.state`",
                    ));
                }
                Some(programs.add(program))
            }
            Err(mistakes) => {
                self.mistakes(value, &code, mistakes);
                None
            }
        }
    }

    fn mistakes(&mut self, value: &Value<'_>, code: &str, mistakes: Vec<Mistake>) {
        for mistake in mistakes {
            let diag = Diag::error(mistake.message, self.place(value, code, mistake.range));
            self.diags.push(mistake.help.into_iter().fold(diag, Diag::help));
        }
    }

    /// The place of a part of a text in the file; the whole text where it has escapes.
    fn place(&self, value: &Value<'_>, code: &str, part: Span) -> Span {
        let whole = value.span();
        let written = self.source.text.get(whole.clone()).unwrap_or_default();
        match written.find(code) {
            Some(at) => whole.start + at + part.start..whole.start + at + part.end,
            None => whole,
        }
    }
}
