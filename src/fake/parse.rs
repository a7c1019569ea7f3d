//! `fake.toml` → [`Fake`], with every mistake at its place.

use super::{Command, Fake, Route, Segment, Word};
use crate::diag::Diag;
use crate::jq::{Defs, Mistake, Program, ProgramId, Programs};
use crate::reader::{Field, Gather, Loaded, Reader, RuleSet, Rules, Shape, Text};
use crate::source::Source;
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
pub const RULES: RuleSet =
    &[("", Rules::needs(&["format"])), ("routes", ANSWER), ("commands", ANSWER)];

const ANSWER: Rules = Rules::needs(&["on", "jq"]);

impl Fake {
    /// Parses and checks a fake, or tells all that is wrong with it.
    pub fn parse(source: &Source) -> Result<Self, Vec<Diag>> {
        let table = source
            .tables()
            .map_err(|error| vec![Diag::error(error.message(), error.span().unwrap_or(0..0))])?;
        let none = |_: &str| Err::<Loaded, _>("a fake uses no runbook".to_owned());
        let gather = Gather::new(source, &none);
        let fake = fake(&Reader::new(&gather, table.get_ref(), &(0..0)));
        let (diags, _) = gather.finish();
        if diags.is_empty() { Ok(fake) } else { Err(diags) }
    }
}

fn fake(reader: &Reader<'_>) -> Fake {
    reader.only(TOP);
    reader.format();
    let mut code = Code::new(reader);
    let routes =
        reader.tables("routes").iter().filter_map(|table| route(table, &mut code)).collect();
    let commands =
        reader.tables("commands").iter().filter_map(|table| command(table, &mut code)).collect();
    let otherwise = code.program(reader, "otherwise");
    let states = entries(reader, "states");
    let rehearse = rehearse(reader, &states);
    Fake {
        about: reader.string("about").unwrap_or_default(),
        inputs: entries(reader, "inputs"),
        state: Json::Object(entries(reader, "state").into_iter().collect()),
        states,
        rehearse,
        programs: code.programs,
        routes,
        commands,
        otherwise,
        beside: Vec::new(),
    }
}

/// The jq of a fake: its programs, and the definitions they share.
struct Code {
    defs: Defs,
    programs: Programs,
}

impl Code {
    fn new(reader: &Reader<'_>) -> Self {
        let defs = reader.text("defs").and_then(|text| {
            Defs::parse(&text.value).map_err(|wrong| mistakes(reader, &text, wrong)).ok()
        });
        let defs = defs.unwrap_or_default();
        Self { programs: Programs::with_defs(defs.clone()), defs }
    }

    fn program(&mut self, reader: &Reader<'_>, key: &str) -> Option<ProgramId> {
        let text = reader.text(key)?;
        let program = Program::parse_with(&text.value, &self.defs)
            .map_err(|wrong| mistakes(reader, &text, wrong))
            .ok()?;
        for (name, range) in program.reads() {
            let what = format!("`${name}` is not known here");
            let help = "a route has `.request` and `.state`, a command `.command` and `.state`";
            reader.gather.mistake(&text, range.clone(), what, Some(help.to_owned()));
        }
        Some(self.programs.add(program.at(&text.span)))
    }
}

fn mistakes(reader: &Reader<'_>, text: &Text, mistakes: Vec<Mistake>) {
    for Mistake { range, message, help } in mistakes {
        reader.gather.mistake(text, range, message, help);
    }
}

/// For each runbook a list of states that there are.
fn rehearse(reader: &Reader<'_>, states: &[(String, Json)]) -> Vec<(String, Vec<String>)> {
    let Some(table) = reader.table("rehearse") else { return Vec::new() };
    let known = || states.iter().map(|(name, _)| name.as_str());
    let mut all = Vec::new();
    for (runbook, _) in table.keys() {
        let named = table.texts(runbook);
        for Text { value, span } in &named {
            if !known().any(|state| state == value) {
                let diag = Diag::error(format!("there is no state `{value}`"), span.clone());
                reader.gather.report(diag.suggest(value, known()));
            }
        }
        all.push((runbook.to_owned(), named.into_iter().map(|text| text.value).collect()));
    }
    all
}

fn entries(reader: &Reader<'_>, key: &str) -> Vec<(String, Json)> {
    match reader.table(key).and_then(|_| reader.json(key)) {
        Some(Json::Object(entries)) => entries.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// What stands behind `on` and `jq`, if both are there and right.
fn answer(
    reader: &Reader<'_>,
    fields: &[Field],
    code: &mut Code,
) -> (Option<Text>, Option<ProgramId>) {
    reader.only(fields);
    reader.obeys(&ANSWER);
    reader.text("about");
    (reader.text("on"), code.program(reader, "jq"))
}

fn command(reader: &Reader<'_>, code: &mut Code) -> Option<Command> {
    let (on, program) = answer(reader, COMMAND, code);
    let Text { value: on, span } = on?;
    let word = |word: &str| if word == "*" { Word::Any } else { Word::Text(word.to_owned()) };
    let words: Vec<Word> = on.split_whitespace().map(word).collect();
    if words.is_empty() {
        let title = "expected the words a command line begins with, as `docker exec`";
        reader.gather.report(Diag::error(title, span.clone()));
    }
    Some(Command { on, span, words, program: program? })
}

fn route(reader: &Reader<'_>, code: &mut Code) -> Option<Route> {
    let (on, program) = answer(reader, ROUTE, code);
    let on = on?;
    let Some((method, path)) = pattern(reader, &on) else {
        let title = "expected a method and a path, as `GET /items/{id}/`";
        reader.gather.report(Diag::error(title, on.span));
        return None;
    };
    Some(Route { on: on.value, span: on.span, method, path, program: program? })
}

fn pattern(reader: &Reader<'_>, on: &Text) -> Option<(Option<String>, Vec<Segment>)> {
    let (method, path) = on.value.split_once(' ')?;
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
            let title = format!("`{{{name}}}` stands twice in this path");
            reader.gather.report(Diag::error(title, on.span.clone()));
        }
        names.push(name);
        Segment::Param(name.to_owned())
    });
    Some((method, segments.collect()))
}
