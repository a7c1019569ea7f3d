//! Settling the inputs: all of them, validated, before any step runs.
//!
//! Precedence: `--input`, `--inputs FILE`, `--preset`, the input's own sources, the site
//! file; then a person, who is offered the default, or else the default.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::rc::Rc;

use super::{From, Input, Runbook, Value, dotenv};
use crate::journal::event::{ASKED, FORMER};
use crate::printable::argument;
use crate::redact;
use crate::scope::Scope;
use crate::template::Template;
use crate::terminal::{NoAnswer, Question, Terminal};
use crate::value::{Json, Labeled};
use crate::world::World;

/// What is given before anybody is asked.
#[derive(Debug, Default)]
pub struct Given {
    /// `--input k=v`.
    pub flags: Vec<(String, String)>,
    /// `--inputs FILE`: the file's name and its values.
    pub files: Vec<(String, serde_json::Map<String, Json>)>,
    /// `--preset`.
    pub preset: Option<String>,
    /// The site file's values for this runbook, and its name.
    pub site: Option<(String, serde_json::Map<String, Json>)>,
    /// In a rehearsal: the fake's values, in place of the person's own sources.
    pub fake: Option<serde_json::Map<String, Json>>,
    /// Learns the secrets, before anything is said about them.
    pub redactor: redact::Shared,
}

/// An input with its value and where it came from.
#[derive(Debug)]
pub struct Settled {
    /// The input's name.
    pub name: String,
    /// Its value.
    pub value: Labeled,
    /// Where it came from, in words: `--input`, `preset small`.
    pub origin: String,
    /// Whether it was given in place of what its own sources say.
    pub given: bool,
}

/// Why the inputs are not settled.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// What is wrong, one message each.
    Wrong(Vec<String>),
    /// What is missing: names, what each is, and what would supply it.
    Missing(Vec<Missing>),
    /// The person interrupted.
    Interrupted,
}

/// An input nobody gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// What it is.
    pub about: String,
    /// What would supply it.
    pub supply: String,
}

/// Settles every input, asking the person where nothing else gives a value.
pub fn settle(
    runbook: &Runbook,
    given: &Given,
    world: &World,
    terminal: &dyn Terminal,
) -> Result<Vec<Settled>, Refused> {
    let (settled, missing) = found(runbook, given, world, terminal)?;
    if missing.is_empty() { Ok(settled) } else { Err(Refused::Missing(missing)) }
}

/// What has a value, and what has none.
pub fn found(
    runbook: &Runbook,
    given: &Given,
    world: &World,
    terminal: &dyn Terminal,
) -> Result<(Vec<Settled>, Vec<Missing>), Refused> {
    let mut wrong = unknown(runbook, given);
    let (mut settled, mut missing) = (Vec::new(), Vec::new());
    let scope = Scope::default();
    for input in &runbook.inputs {
        match one(runbook, input, given, world, terminal, &scope) {
            Ok(Some(mut one)) => {
                one.value.secret = is_secret(input, &scope);
                if one.value.secret {
                    // one that cannot be replaced is warned of when the run begins
                    let _ = given.redactor.add_json(&one.value.json);
                }
                scope.set(&input.name, one.value.clone());
                settled.push(one);
            }
            Ok(None) | Err(Problem::Unasked) => missing.push(lacking(input)),
            Err(Problem::Wrong(message)) => wrong.push(message),
            Err(Problem::Interrupted) => return Err(Refused::Interrupted),
        }
    }
    if wrong.is_empty() { Ok((settled, missing)) } else { Err(Refused::Wrong(wrong)) }
}

/// What the sources of the tokens say now: one may have been renewed since. `refused` are values
/// that a service took no longer, by input; those that were `given` did not come from a source.
pub fn renewed(
    runbook: &Runbook,
    known: &Scope,
    refused: &BTreeMap<String, Vec<Json>>,
    given: &[String],
    world: &World,
) -> Vec<(String, Labeled)> {
    let tokens = runbook.renewable().filter(|input| !given.contains(&input.name));
    tokens
        .filter_map(|input| {
            let refused = refused.get(&input.name).map_or(&[][..], Vec::as_slice);
            let settled = from_sources(input, known, refused, world).ok()??;
            let old = known.get(&input.name)?;
            (old.json != settled.value.json).then_some((settled.name, settled.value))
        })
        .collect()
}

/// An input looked for again, since a service takes its value no longer.
#[derive(Debug)]
pub enum Anew {
    /// Another value.
    Found(Settled),
    /// There is no other.
    Nothing,
    /// What there is cannot be taken: why.
    Wrong(String),
    /// The person interrupted.
    Interrupted,
}

/// Where an input is looked for again.
#[derive(Debug, Default)]
pub struct Places<'a> {
    /// Whether its sources count.
    pub sources: bool,
    /// What the run had before the value that is refused now, the newest last.
    pub former: &'a [Json],
}

/// Looks for an input again: in the places, then the person is asked. `known` are its runbook's
/// names; none of the `refused` values is given back.
pub fn anew(
    input: &Input,
    known: &Scope,
    refused: &[Json],
    places: &Places<'_>,
    world: &World,
    terminal: &dyn Terminal,
) -> Anew {
    let found = if places.sources { from_sources(input, known, refused, world) } else { Ok(None) };
    let former = || places.former.iter().rfind(|value| !refused.contains(value));
    let found = found.and_then(|found| match (found, former()) {
        (None, Some(json)) => accept(input, json, FORMER.to_owned(), world).map(Some),
        (found, _) => Ok(found),
    });
    let got = found.and_then(|found| match found {
        None if terminal.present() => ask_anew(input, refused, terminal)
            .and_then(|json| accept(input, &json, ASKED.to_owned(), world))
            .map(Some),
        found => Ok(found),
    });
    match got {
        Ok(Some(settled)) => Anew::Found(settled),
        Ok(None) | Err(Problem::Unasked) => Anew::Nothing,
        Err(Problem::Wrong(message)) => Anew::Wrong(message),
        Err(Problem::Interrupted) => Anew::Interrupted,
    }
}

/// The first value in an input's sources that was not refused.
fn from_sources(
    input: &Input,
    known: &Scope,
    refused: &[Json],
    world: &World,
) -> Result<Option<Settled>, Problem> {
    for from in &input.from {
        let Some((json, origin)) = source(input, from, world, known)? else { continue };
        let settled = accept(input, &json, origin, world)?;
        if !refused.contains(&settled.value.json) {
            return Ok(Some(settled));
        }
    }
    Ok(None)
}

/// Values for the inputs that an edit added to a run, from their sources and defaults; nobody is
/// asked. Otherwise the names for which there is none, or what is wrong.
pub fn added(
    runbook: &Runbook,
    known: &Scope,
    world: &World,
) -> Result<Vec<(String, Labeled)>, Refused> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let scope = known.clone();
    for input in runbook.inputs.iter().filter(|input| known.get(&input.name).is_none()) {
        let value = sources(input, world, &scope).and_then(|given| match given {
            Some(given) => Ok(Some(given)),
            None => Ok(default(input, &scope)?.map(|json| (json, "the default".to_owned()))),
        });
        let settled = value.and_then(|given| {
            given.map(|(json, origin)| accept(input, &json, origin, world)).transpose()
        });
        match settled {
            Ok(Some(mut settled)) => {
                settled.value.secret = is_secret(input, &scope);
                scope.set(&input.name, settled.value.clone());
                found.push((settled.name, settled.value));
            }
            Ok(None) | Err(Problem::Unasked) => missing.push(lacking(input)),
            Err(Problem::Wrong(message)) => return Err(Refused::Wrong(vec![message])),
            Err(Problem::Interrupted) => return Err(Refused::Interrupted),
        }
    }
    if missing.is_empty() { Ok(found) } else { Err(Refused::Missing(missing)) }
}

fn lacking(input: &Input) -> Missing {
    Missing {
        name: input.name.clone(),
        about: first_paragraph(&input.about),
        supply: supply(input),
    }
}

/// Whether an input is secret: its author says so, or its default is made from a secret.
pub fn is_secret(input: &Input, scope: &Scope) -> bool {
    let read = |template: &Template| {
        scope.any_secret(template.reads().iter().map(|read| read.name.as_str()))
    };
    input.secret || matches!(&input.default, Some(Value::Template(default)) if read(default))
}

enum Problem {
    Wrong(String),
    /// Nobody answered.
    Unasked,
    Interrupted,
}

/// Says that a runbook has no input of a name that stands there, and which was meant.
pub fn no_input(runbook: &Runbook, name: &str, origin: &str) -> String {
    let names: Vec<&str> = runbook.inputs.iter().map(|input| input.name.as_str()).collect();
    let near = crate::diag::closest(name, names.iter().copied()).map_or_else(
        || format!("; its inputs: {}", crate::reader::list(&names)),
        |near| format!("; did you mean `{near}`?"),
    );
    format!("`{}` has no input `{name}` ({origin}){near}", runbook.name)
}

/// What of the given is wrong by itself: names that are not there, values that are not taken.
pub fn misgiven(runbook: &Runbook, given: &Given, world: &World) -> Vec<String> {
    let mut wrong = unknown(runbook, given);
    let scope = Scope::default();
    for input in &runbook.inputs {
        let secret = is_secret(input, &scope);
        if secret {
            scope.set(&input.name, Labeled { json: Json::Null, secret });
        }
        let Some((json, origin)) = supplied(runbook, input, given) else { continue };
        if secret {
            // even one that is refused must not be shown
            let _ = given.redactor.add_json(&json);
        }
        if let Err(Problem::Wrong(message)) = accept(input, &json, origin, world) {
            wrong.push(message);
        }
    }
    wrong
}

fn unknown(runbook: &Runbook, given: &Given) -> Vec<String> {
    let names: Vec<&str> = runbook.inputs.iter().map(|input| input.name.as_str()).collect();
    let flags = given.flags.iter().map(|(name, _)| (name.as_str(), "--input".to_owned()));
    let files = given
        .files
        .iter()
        .flat_map(|(file, map)| map.keys().map(move |name| (name.as_str(), file.clone())));
    let mut wrong: Vec<String> = flags
        .chain(files)
        .filter(|(name, _)| !names.contains(name))
        .map(|(name, origin)| no_input(runbook, name, &origin))
        .collect();
    let presets: Vec<&str> = runbook.presets.iter().map(|preset| preset.name.as_str()).collect();
    if let Some(preset) = given.preset.as_deref().filter(|preset| !presets.contains(preset)) {
        let known = if presets.is_empty() {
            "it has none".to_owned()
        } else {
            format!("it has {}", crate::reader::list(&presets))
        };
        wrong.push(format!("`{}` has no preset `{preset}`; {known}", runbook.name));
    }
    wrong
}

fn one(
    runbook: &Runbook,
    input: &Input,
    given: &Given,
    world: &World,
    terminal: &dyn Terminal,
    scope: &Scope,
) -> Result<Option<Settled>, Problem> {
    let supplied = supplied(runbook, input, given);
    let instead = supplied.is_some();
    let found = match supplied {
        Some(found) => Some(found),
        None if given.fake.is_some() => None,
        None => sources(input, world, scope)?.or_else(|| site(input, given)),
    };
    if let Some((json, origin)) = found {
        if is_secret(input, scope) {
            // even one that is refused must not be shown
            let _ = given.redactor.add_json(&json);
        }
        let settled = accept(input, &json, origin, world)?;
        return Ok(Some(Settled { given: instead, ..settled }));
    }
    let default = default(input, scope)?;
    if let (Some(json), true) = (&default, given.fake.is_some() || !terminal.present()) {
        return accept(input, json, "the default".to_owned(), world).map(Some);
    }
    if given.fake.is_some() {
        let example = input.example.clone().map(Json::from);
        return example
            .map(|json| accept(input, &json, "the example".to_owned(), world))
            .transpose();
    }
    if !terminal.present() {
        return Ok(None);
    }
    ask(input, default, is_secret(input, scope), terminal)
        .and_then(|json| accept(input, &json, ASKED.to_owned(), world))
        .map(Some)
}

/// What flags, files, presets and the fake say.
fn supplied(runbook: &Runbook, input: &Input, given: &Given) -> Option<(Json, String)> {
    let flag = given.flags.iter().rev().find(|(name, _)| *name == input.name);
    if let Some((_, value)) = flag {
        return Some((Json::from(value.as_str()), "--input".to_owned()));
    }
    for (file, map) in given.files.iter().rev() {
        if let Some(value) = map.get(&input.name) {
            return Some((value.clone(), file.clone()));
        }
    }
    if let Some(preset) = &given.preset
        && let Some(found) = runbook.presets.iter().find(|known| known.name == *preset)
        && let Some((_, value)) = found.values.iter().find(|(name, _)| name.value == input.name)
    {
        return Some((value.clone(), format!("preset {preset}")));
    }
    let fake = given.fake.as_ref()?.get(&input.name)?;
    Some((fake.clone(), "the fake".to_owned()))
}

fn site(input: &Input, given: &Given) -> Option<(Json, String)> {
    let (file, map) = given.site.as_ref()?;
    map.get(&input.name).map(|value| (value.clone(), file.clone()))
}

/// What the input's own sources say, in their order.
fn sources(input: &Input, world: &World, scope: &Scope) -> Result<Option<(Json, String)>, Problem> {
    for from in &input.from {
        if let Some(found) = source(input, from, world, scope)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What one of them says, and its name in words.
fn source(
    input: &Input,
    from: &From,
    world: &World,
    scope: &Scope,
) -> Result<Option<(Json, String)>, Problem> {
    let found = match from {
        From::Env(name) => world
            .var(name)
            .filter(|value| !value.is_empty())
            .map(|value| (value.to_owned(), format!("environment variable {name}"))),
        From::Dotenv { file, key } => read(input, file, world, scope)?.and_then(|(path, text)| {
            Some((dotenv::value(&text, key)?, format!("{key} in {path}")))
        }),
        From::File(file) => read(input, file, world, scope)?
            .map(|(path, text)| (text.trim_end_matches(['\n', '\r']).to_owned(), path)),
    };
    Ok(found.map(|(value, origin)| (Json::from(value), origin)))
}

/// A file's path and text; none if it is not there, or its path is not known yet.
fn read(
    input: &Input,
    file: &Template,
    world: &World,
    scope: &Scope,
) -> Result<Option<(String, String)>, Problem> {
    if file.reads().iter().any(|read| !scope.has(&read.name)) {
        return Ok(None);
    }
    let wrong = |message: String| Problem::Wrong(format!("input `{}`: {message}", input.name));
    let path = file.render_text(scope).map_err(|error| wrong(error.0))?;
    let full = world.cwd.join(world.expand_home(&path));
    match bounded(&full) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(format!("cannot read {path}: {error}"))),
    }
}

/// The largest file an input is taken from, in bytes: as large as an answer may be.
const FILE_LIMIT: u64 = 10 * 1024 * 1024;

/// The text of a file that is one: a pipe would wait for ever, a device may never end.
fn bounded(path: &std::path::Path) -> std::io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no ordinary file"));
    }
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(std::io::Error::other("it is larger than 10 MiB"));
    }
    Ok(text)
}

fn default(input: &Input, scope: &Scope) -> Result<Option<Json>, Problem> {
    match &input.default {
        None => Ok(None),
        Some(Value::Literal(json)) => Ok(Some(json.clone())),
        // An input it needs is missing: that one is reported.
        Some(Value::Template(template))
            if template.reads().iter().any(|read| !scope.has(&read.name)) =>
        {
            Ok(None)
        }
        Some(Value::Template(template)) => template.render(scope).map(Some).map_err(|error| {
            Problem::Wrong(format!("the default of input `{}`: {}", input.name, error.0))
        }),
    }
}

fn accept(input: &Input, json: &Json, origin: String, world: &World) -> Result<Settled, Problem> {
    match input.typed.accept(json) {
        Ok(json) => Ok(Settled {
            name: input.name.clone(),
            value: Labeled { json: input.typed.settle(json, world), secret: input.secret },
            origin,
            given: false,
        }),
        Err(wrong) => {
            let shown = if input.secret {
                String::new()
            } else {
                format!(" `{}`", input.typed.typed(json))
            };
            Err(Problem::Wrong(format!("input `{}`{shown} ({origin}): {wrong}", input.name)))
        }
    }
}

fn ask(
    input: &Input,
    default: Option<Json>,
    secret: bool,
    terminal: &dyn Terminal,
) -> Result<Json, Problem> {
    let written = input.typed.written().map(str::to_owned);
    let example = input.example.as_ref().filter(|_| input.typed.name != "boolean");
    let example = example.map(|example| format!("e.g. {example}"));
    let how: Vec<String> = written.into_iter().chain(example).collect();
    let question = Question {
        ask: if how.is_empty() {
            input.name.clone()
        } else {
            format!("{} ({})", input.name, how.join("; "))
        },
        help: input.about.clone(),
        default: default.map(|json| match json {
            Json::Array(items) if items.is_empty() => String::new(),
            json => input.typed.typed(&json),
        }),
        secret,
        choices: input.typed.one_of.clone(),
        unlisted: None,
        brief: input.typed.is_word(),
    };
    asked(input, &question, &[], terminal)
}

/// Asks again for an input whose value a service takes no longer.
fn ask_anew(input: &Input, refused: &[Json], terminal: &dyn Terminal) -> Result<Json, Problem> {
    let question = Question {
        ask: format!("{}, as the one so far is not taken any more", input.name),
        help: input.about.clone(),
        secret: input.secret,
        ..Question::default()
    };
    asked(input, &question, refused, terminal)
}

fn asked(
    input: &Input,
    question: &Question,
    refused: &[Json],
    terminal: &dyn Terminal,
) -> Result<Json, Problem> {
    let (typed, refused) = (input.typed.clone(), refused.to_vec());
    let optional = question.default.as_deref() == Some("");
    let valid = Rc::new(move |answer: &str| match answer {
        "" if !optional => Err("a value is needed".to_owned()),
        answer => match typed.accept(&Json::from(answer))? {
            json if refused.contains(&json) => Err("that one was refused".to_owned()),
            _ => Ok(()),
        },
    });
    terminal.ask(question, valid).map(Json::from).map_err(|none| match none {
        NoAnswer::Interrupted => Problem::Interrupted,
        NoAnswer::NoTerminal => Problem::Unasked,
        NoAnswer::Broken(why) => {
            Problem::Wrong(format!("input `{}`: the terminal failed: {why}", input.name))
        }
    })
}

fn supply(input: &Input) -> String {
    let env = input.from.iter().find_map(|from| match from {
        From::Env(name) => Some(format!("environment variable {name}")),
        _ => None,
    });
    let example = input.example.as_ref();
    let given = || match example.map(|example| format!("{}={example}", input.name)) {
        Some(pair) => argument(&pair).into_owned(),
        None => format!("{}=…", input.name),
    };
    match (env, input.secret) {
        (Some(env), _) => env,
        (None, true) => "a line in a file given with `--inputs FILE`".to_owned(),
        (None, false) => format!("`--input {}`", given()),
    }
}

/// The first paragraph in one line: a sentence may go over several.
fn first_paragraph(about: &str) -> String {
    let lines = about.trim().lines().take_while(|line| !line.trim().is_empty());
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}
