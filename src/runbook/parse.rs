//! A file's tables into a draft: everything with its place, mistakes gathered.

use std::rc::Rc;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::fields::{FROM, INPUT, TOP};
use super::nested::Uses;
use super::{From, Input, Preset, Runbook, StepDef, Value, Var, step};
use crate::diag::Diag;
use crate::jq::Programs;
use crate::reader::{Gather, Reader, Sink, Text, Tree, to_json};
use crate::source::Source;
use crate::step::Connection;
use crate::step::plugin::Lookup;
use crate::typed::Typed;

/// A runbook before its names are checked.
pub(super) struct Draft {
    pub(super) name: Option<Text>,
    title: Option<String>,
    about: String,
    needs: Vec<String>,
    pub(super) inputs: Vec<Input>,
    pub(super) presets: Vec<Preset>,
    pub(super) vars: Vec<Var>,
    pub(super) connections: Vec<ConnectionDef>,
    pub(super) steps: Vec<StepDef>,
}

/// A connection with its place and the names it reads.
pub(super) struct ConnectionDef {
    pub(super) name: Text,
    pub(super) connection: Option<Connection>,
    pub(super) uses: Vec<crate::reader::Use>,
}

impl Draft {
    pub(super) fn finish(
        mut self,
        source: Source,
        programs: Programs,
        used: Uses,
    ) -> Option<Runbook> {
        for step in &mut self.steps {
            step.reads = reads(step, &self.connections);
        }
        let connections =
            self.connections.into_iter().filter_map(|def| def.connection.map(Rc::new)).collect();
        let name = self.name?.value;
        Some(Runbook {
            source,
            title: self.title.unwrap_or_else(|| name.clone()),
            name,
            about: self.about,
            needs: self.needs,
            inputs: self.inputs,
            presets: self.presets,
            vars: self.vars,
            connections,
            steps: self.steps,
            programs: Arc::new(programs),
            used: used.runbooks.into_inner(),
            plugins: used.plugins.into_inner(),
            digest: std::cell::OnceCell::new(),
        })
    }
}

/// Every name a step reads, whenever it reads it.
fn reads(step: &StepDef, connections: &[ConnectionDef]) -> Vec<String> {
    let probe = step.already.as_ref().and_then(|already| already.probe.connection());
    let used: Vec<&str> = step.action.connection().into_iter().chain(probe).collect();
    let shared =
        connections.iter().filter(|def| used.contains(&&*def.name.value)).flat_map(|def| &def.uses);
    let own = step
        .uses
        .list
        .iter()
        .chain(&step.uses.before)
        .chain(step.uses.saves.iter().flatten())
        .chain(&step.uses.after)
        .chain(&step.uses.undo);
    let mut names: Vec<String> = own.chain(shared).map(|name| name.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    // The item's own name is nobody else's business.
    names.retain(|name| step.for_each.as_ref().is_none_or(|each| each.name != *name));
    names
}

pub(super) fn draft(gather: &Gather<'_>, table: &Spanned<DeTable<'_>>, kinds: Lookup<'_>) -> Draft {
    let reader = Reader::new(gather, table.get_ref(), &(0..0));
    reader.only(TOP);
    reader.format();
    let name = name(&reader);
    let needs = reader.texts("needs").into_iter().map(|text| text.value).collect();
    let inputs = reader
        .named_tables("inputs")
        .into_iter()
        .map(|(name, table)| input(&name, &table))
        .collect();
    let draft = Draft {
        name,
        title: reader.line("title").map(|title| title.value),
        about: reader.string("about").unwrap_or_default(),
        needs,
        inputs,
        presets: reader
            .named_tables("presets")
            .into_iter()
            .map(|(name, table)| preset(&name, &table))
            .collect(),
        vars: vars(&reader),
        connections: reader
            .named_tables("connections")
            .into_iter()
            .map(|(name, table)| connection(name, &table))
            .collect(),
        steps: reader
            .tables("steps")
            .iter()
            .enumerate()
            .map(|(index, table)| step::parse(index, table, kinds))
            .collect(),
    };
    if !reader.has("steps") {
        gather
            .report(Diag::error("this runbook has no steps", 0..0).help("add a `[[steps]]` table"));
    }
    draft
}

fn name(reader: &Reader<'_>) -> Option<Text> {
    if !reader.has("name") {
        return reader.missing("name", "write the name it is run by, as in `name = \"add-user\"`");
    }
    let name = reader.text("name")?;
    if !is_slug(&name.value) {
        let diag =
            Diag::error(format!("`{}` cannot be a runbook's name", name.value), name.span.clone());
        reader.gather.report(diag.help("use lower-case letters, digits and dashes"));
    }
    Some(name)
}

fn is_slug(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

fn input(name: &Text, reader: &Reader<'_>) -> Input {
    reader.gather.take_uses();
    reader.only(INPUT);
    let typed = Typed::parse(reader);
    let default = default(reader, &typed);
    let from = reader.tables("from").iter().filter_map(source_of).collect();
    let input = Input {
        name: name.value.clone(),
        span: name.span.clone(),
        about: reader.string("about").unwrap_or_default(),
        example: reader.json("example").map(|json| typed.typed(&json)),
        default,
        secret: reader.boolean("secret").unwrap_or(false),
        from,
        typed,
        uses: Vec::new(),
    };
    Input { uses: reader.gather.take_uses(), ..input }
}

fn default(reader: &Reader<'_>, typed: &Typed) -> Option<Value> {
    let value = reader.get("default")?;
    if let Some(text) = crate::reader::as_text(value) {
        let template = reader.gather.template(&text, Sink::Closed)?;
        if !template.is_literal() {
            return Some(Value::Template(template));
        }
    }
    let json = to_json(value);
    if !reader.gather.source.known.is_so()
        && let Err(wrong) = typed.accept(&json)
    {
        reader.gather.report(Diag::error(format!("`default` {wrong}"), value.span()));
    }
    Some(Value::Literal(json))
}

fn source_of(reader: &Reader<'_>) -> Option<From> {
    reader.only(FROM);
    if let Some(key) = reader.get("key").filter(|_| !reader.has("dotenv")) {
        let diag = Diag::error("`key` goes with `dotenv`", key.span());
        let help = "another source is one value as a whole: take `key` out";
        reader.gather.report_since(diag.help(help));
    }
    match (reader.has("env"), reader.has("dotenv"), reader.has("file")) {
        (true, false, false) => reader.string("env").map(From::Env),
        (false, true, false) => {
            let file = reader.template("dotenv", Sink::Open("a path"));
            if !reader.has("key") {
                return reader.missing("key", "name the key to take from the file");
            }
            Some(From::Dotenv { file: file?, key: reader.string("key")? })
        }
        (false, false, true) => reader.template("file", Sink::Open("a path")).map(From::File),
        _ => {
            let diag = Diag::error("a source is one of `env`, `dotenv`, `file`", reader.span());
            reader.gather.report(diag);
            None
        }
    }
}

fn preset(name: &Text, reader: &Reader<'_>) -> Preset {
    let values = reader.keys().filter_map(|(key, span)| {
        let value = reader.get(key)?;
        Some(((Text { value: key.to_owned(), span }, to_json(value)), value.span()))
    });
    let (values, places) = values.unzip();
    Preset { name: name.value.clone(), values, places }
}

fn vars(reader: &Reader<'_>) -> Vec<Var> {
    let Some(table) = reader.table("vars") else { return Vec::new() };
    let mut vars = Vec::new();
    for (key, span) in table.keys() {
        reader.gather.take_uses();
        let value =
            table.get(key).and_then(|value| Tree::parse(reader.gather, value, Sink::Closed));
        // A var with a mistake still has its name, so that reading it is not a second one.
        let value = value.unwrap_or(Tree::Literal(serde_json::Value::Null));
        let uses = reader.gather.take_uses();
        vars.push(Var { name: key.to_owned(), span, value, uses });
    }
    vars
}

fn connection(name: Text, reader: &Reader<'_>) -> ConnectionDef {
    reader.gather.take_uses();
    let connection = Connection::parse(&name.value, reader);
    ConnectionDef { name, connection, uses: reader.gather.take_uses() }
}

/// What TOML itself says is wrong; one error, since those after it are mostly its echo.
pub(super) fn syntax(source: &Source, error: &toml::de::Error) -> Vec<Diag> {
    let span = error.span().unwrap_or(0..source.text.len());
    let mut lines = error.message().lines();
    let title = lines.next().unwrap_or("this is not TOML").to_owned();
    let before = source.text.get(..span.start).unwrap_or_default();
    let twice = title == "duplicate key" && source.text.get(span.clone()) == Some("steps");
    let diag = Diag::error(title, span);
    let diag = lines.fold(diag, |diag, line| diag.help(line.to_owned()));
    let help = if before.ends_with("= {") {
        Some("what has `{{ }}` in it stands in quotes")
    } else {
        twice.then_some("each step is a table of its own: write `[[steps]]`")
    };
    vec![help.into_iter().fold(diag, Diag::help)]
}
