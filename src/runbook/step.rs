//! One `[[steps]]` table into a [`StepDef`].

use std::rc::Rc;
use std::time::Duration;

use super::fields::{ALREADY, COMPARE, EFFECTS, HINT, SAVE, STEP, UNDO, UNTIL};
use super::{Already, Compare, ForEach, Hint, Save, StepDef, Until, Uses, digest};
use crate::diag::Diag;
use crate::journal::event::Effect;
use crate::reader::{Field, REVEAL, Reader, Text, list, to_json};
use crate::step::plugin::{self, Lookup, Plugin, Refused, Sought};
use crate::step::retry::Retry;
use crate::step::{Answer, Cx, Gate, KINDS, Kind, Local, Step, Trouble};

pub(super) fn parse(index: usize, reader: &Reader<'_>, kinds: Lookup<'_>) -> StepDef {
    let gather = reader.gather;
    gather.take_uses();
    let (kind, action) = action(reader, STEP, "step", kinds).unwrap_or_default();
    let id = id(index, reader);
    let kind_uses = gather.take_uses();
    let title = reader.line("title");
    let title = title.and_then(|text| gather.template(&text, reader.open("a step's title")));
    let list = for_each(reader);
    let list_uses = gather.take_uses();
    let when = reader.expression("when");
    let already = reader.table("already").and_then(|table| parse_already(&table, kinds));
    let before = kind_uses.into_iter().chain(gather.take_uses()).collect();
    let locals = action.as_ref().map_or(&["response"][..], |action| action.locals());
    let (mut saves, save_uses) = saves(reader, &id, action.as_deref(), locals);
    let mut gates: Vec<Gate> = reader.tables("gates").iter().filter_map(Gate::parse).collect();
    // most steps have one of each, and room for four
    saves.shrink_to_fit();
    gates.shrink_to_fit();
    let until = reader.table("until").and_then(|table| parse_until(&table));
    let retry = Retry::parse(reader, "retry");
    let after = gather.take_uses();
    let (undo, undo_effect) =
        reader.table("undo").map_or((None, Effect::Repeatable), |table| parse_undo(&table, kinds));
    let undo_uses = gather.take_uses();
    let effect = effect(reader, action.as_deref());
    check_until(reader, until.as_ref(), effect);
    StepDef {
        id: id.value,
        span: id.span,
        title,
        about: reader.string("about").unwrap_or_default(),
        when,
        kind,
        effect,
        // A step with a mistake keeps its place, so that its id and its names are known.
        action: action.unwrap_or_else(|| Box::new(Broken)),
        saves,
        gates,
        reveal: reader.boolean(REVEAL.name).unwrap_or(false),
        for_each: list,
        always: reader.boolean("always").unwrap_or(false),
        optional: reader.boolean("optional").unwrap_or(false),
        hints: hints(reader),
        retry,
        until,
        timeout: reader.time("timeout"),
        already,
        undo,
        undo_effect,
        digest: digest_of(reader),
        reads: Vec::new(),
        uses: Uses { list: list_uses, before, saves: save_uses, after, undo: undo_uses },
    }
}

fn id(index: usize, reader: &Reader<'_>) -> Text {
    let nameless = || Text { value: format!("step {}", index + 1), span: reader.span() };
    if !reader.has("id") {
        reader.missing::<()>("id", "give every step an id, as in `id = \"create_user\"`");
        return nameless();
    }
    let Some(id) = reader.text("id") else { return nameless() };
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.value.is_empty() || !id.value.chars().all(good) {
        let diag = Diag::error(format!("`{}` cannot be an id", id.value), id.span.clone());
        reader.gather.report(diag.help("use letters, digits, `_` and `-`"));
    }
    id
}

/// A kind as it is found in a table.
enum Found {
    BuiltIn(&'static Kind),
    Plugin(Rc<Plugin>),
}

impl Found {
    fn name(&self) -> &str {
        match self {
            Self::BuiltIn(kind) => kind.name,
            Self::Plugin(plugin) => &plugin.name,
        }
    }

    /// The key meant when its value is no table.
    fn plain(&self) -> Option<&str> {
        match self {
            Self::BuiltIn(kind) => kind.plain,
            Self::Plugin(plugin) => plugin.description.plain.as_deref(),
        }
    }

    /// Keys that mean nothing beside it, each with what to do instead.
    fn without(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::BuiltIn(kind) => kind.without,
            Self::Plugin(_) => &[],
        }
    }

    fn keys(&self) -> Vec<&str> {
        match self {
            Self::BuiltIn(kind) => kind.fields.iter().map(|field| field.name).collect(),
            Self::Plugin(plugin) => {
                plugin.description.fields.iter().map(|field| field.name.as_str()).collect()
            }
        }
    }

    fn parse(&self, reader: &Reader<'_>) -> Option<Box<dyn Step>> {
        match self {
            Self::BuiltIn(kind) => (kind.parse)(reader),
            Self::Plugin(plugin) => plugin.parse(reader),
        }
    }
}

/// The one kind in a table by its name, parsed; unknown keys are reported.
fn action(
    reader: &Reader<'_>,
    common: &[Field],
    what: &str,
    kinds: Lookup<'_>,
) -> Option<(String, Option<Box<dyn Step>>)> {
    let mut known: Vec<&str> = common.iter().map(|field| field.name).collect();
    known.extend(KINDS.iter().map(|kind| kind.name));
    let mut given = Vec::new();
    let (mut refused, mut near) = (false, Vec::new());
    for (key, span) in reader.keys() {
        match found(key, &known, kinds) {
            Ok(Some(kind)) => given.push((kind, span)),
            Ok(None) => continue,
            Err(Missing::Nearly(other)) => {
                near.push(other);
                continue;
            }
            Err(Missing::Refused(wrong)) => {
                refused = true;
                let diag = Diag::error(wrong.title, span);
                reader.gather.report_once(wrong.help.into_iter().fold(diag, Diag::help));
            }
        }
        if !known.contains(&key) {
            known.push(key);
        }
    }
    reader.only_names(&known);
    let [(kind, span), rest @ ..] = given.as_slice() else {
        if !refused {
            none(reader, &known, &near, what);
        }
        return None;
    };
    let takes = |key: &str| common.iter().any(|field| field.name == key);
    for (other, place) in rest {
        let names = (kind.name(), other.name());
        let judges = [names.0, names.1].contains(&"gate") && takes("gates");
        let help = if judges {
            "to judge what the other one gives write `gates = [{ that = \"…\" }]`, or make two steps of it"
        } else {
            "make two steps of it"
        };
        let title = format!("a {what} does one thing, not `{}` and `{}`", names.0, names.1);
        let diag = Diag::error(title, place.clone()).related(span.clone(), "the other one");
        reader.gather.report(diag.help(help));
    }
    for (key, instead) in kind.without().iter().filter(|(key, _)| takes(key) && reader.has(key)) {
        reader.gather.report_since(reader.beside(kind.name(), key).help(*instead));
    }
    Some((kind.name().to_owned(), kind_table(reader, kind)))
}

/// Why a key is no kind, where it may be meant for one.
enum Missing {
    /// There is a plug-in of nearly this name.
    Nearly(String),
    Refused(Refused),
}

/// The kind of a key: one of ours, or a plug-in if the key is nothing else.
fn found(key: &str, known: &[&str], kinds: Lookup<'_>) -> Result<Option<Found>, Missing> {
    if let Some(kind) = crate::step::kind(key) {
        return Ok(Some(Found::BuiltIn(kind)));
    }
    if known.contains(&key) || !plugin::is_name(key) {
        return Ok(None);
    }
    match kinds(key).map_err(Missing::Refused)? {
        Sought::There(plugin) => Ok(Some(Found::Plugin(plugin))),
        Sought::Nowhere(Some(near)) => Err(Missing::Nearly(near)),
        Sought::Nowhere(None) => Ok(None),
    }
}

/// Says that a table has no kind; `plugins` are those that one of its keys is nearly called.
fn none(reader: &Reader<'_>, known: &[&str], plugins: &[String], what: &str) {
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let unknown: Vec<&str> =
        reader.keys().map(|(key, _)| key).filter(|key| !known.contains(key)).collect();
    // A misspelt kind has been reported as an unknown key already.
    let near = |key: &&str| crate::diag::closest(key, kinds.iter().copied()).is_some();
    if unknown.iter().any(near) {
        return;
    }
    let diag = Diag::error(format!("this {what} does nothing"), reader.span());
    let meant = plugins.iter().map(|near| format!("did you mean the plug-in `{near}`?"));
    let diag = meant.fold(diag, Diag::help).help(format!("give it one of {}", list(&kinds)));
    let programs = unknown.iter().filter(|key| plugin::is_name(key)).map(|key| {
        let program = format!("{}{key}", plugin::PREFIX);
        format!("or a plug-in: there is no program `{program}` beside this file or on `PATH`")
    });
    reader.gather.report(programs.fold(diag, Diag::help));
}

/// Reads a kind's value: its table, or the plain form of its one obvious key.
fn kind_table(reader: &Reader<'_>, kind: &Found) -> Option<Box<dyn Step>> {
    let value = reader.get(kind.name())?;
    if let Some(table) = reader.as_table(value) {
        return kind.parse(&table);
    }
    let Some(plain) = kind.plain() else {
        let diag = Diag::error(format!("`{}` must be a table", kind.name()), value.span());
        reader.gather.report(diag.help(format!("its keys: {}", list(&kind.keys()))));
        return None;
    };
    let mut table = toml::de::DeTable::new();
    table.insert(toml::Spanned::new(value.span(), plain.into()), value.clone());
    kind.parse(&Reader::new(reader.gather, &table, &value.span()))
}

fn for_each(reader: &Reader<'_>) -> Option<ForEach> {
    for key in ["as", "at_once"] {
        if let (Some(value), false) = (reader.get(key), reader.has("for_each")) {
            let diag = Diag::error(format!("`{key}` goes with `for_each`"), value.span());
            reader.gather.report(diag);
        }
    }
    let name = reader.text("as");
    if let Some(name) = name.as_ref().filter(|name| !is_name(&name.value)) {
        let diag = Diag::error(format!("`{}` cannot be a name", name.value), name.span.clone());
        reader.gather.report(diag.help("use letters, digits and `_`, not a digit first"));
    }
    let at_once = usize::try_from(reader.integer("at_once").unwrap_or(1)).unwrap_or(1).clamp(1, 64);
    // `for_each = "{{ hosts }}"` says the same as `for_each = "hosts"`.
    let value = reader.get("for_each")?;
    let mut text = listed(reader, value);
    if let Some(inner) = text.value.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
        text.value = format!("  {inner}  ");
    }
    // a list with a mistake still has items, so that reading one is not a second one
    let none = || reader.gather.expression(&Text { value: NO_ITEMS.to_owned(), ..text.clone() });
    let list = reader.gather.expression(&text).or_else(none)?;
    let item = || Text { value: "item".to_owned(), span: text.span.clone() };
    let Text { value: name, span } = name.unwrap_or_else(item);
    Some(ForEach { list, name, span, at_once })
}

/// The expression of no items.
const NO_ITEMS: &str = "[]";

/// The expression that gives the items; the value must be one.
fn listed(reader: &Reader<'_>, value: &toml::Spanned<toml::de::DeValue<'_>>) -> Text {
    if let Some(text) = crate::reader::as_text(value) {
        return text;
    }
    let diag = Diag::error("`for_each` must be a string with an expression in it", value.span());
    let diag = diag.label(format!("this is {}", crate::value::kind(&to_json(value))));
    let written = to_json(value).to_string().replace('"', "'");
    reader.gather.report(match value.get_ref().as_array() {
        Some(_) => diag.help(format!("write the list in a string: `for_each = \"{written}\"`")),
        None => diag.help("write what gives the list: `for_each = \"hosts\"`"),
    });
    Text { value: NO_ITEMS.to_owned(), span: value.span() }
}

fn hints(reader: &Reader<'_>) -> Vec<Hint> {
    let items = reader.items("hints").iter();
    items
        .filter_map(|item| match (crate::reader::as_text(item), reader.as_table(item)) {
            (Some(text), _) => Some(Hint { says: None, text: text.value }),
            (None, Some(table)) => {
                table.only(HINT);
                let says = table.string("says");
                if !table.has("hint") {
                    return table.missing("hint", "write what to look at");
                }
                Some(Hint { says, text: table.string("hint")? })
            }
            (None, None) => {
                reader.gather.report(Diag::error(
                    "a hint is a text, or a table with `says` and `hint`",
                    item.span(),
                ));
                None
            }
        })
        .collect()
}

fn effect(reader: &Reader<'_>, action: Option<&dyn Step>) -> Effect {
    let own = action.map_or(Effect::Pure, Step::effect);
    match reader.word("effect", EFFECTS) {
        Some("read") => Effect::Read,
        Some("repeatable") => Effect::Repeatable,
        Some(_) => Effect::Once,
        None => own,
    }
}

type Saves = (Vec<Save>, Vec<Vec<crate::reader::Use>>);

fn saves(reader: &Reader<'_>, id: &Text, action: Option<&dyn Step>, locals: &[&str]) -> Saves {
    let gather = reader.gather;
    let (mut saves, mut uses) = (Vec::new(), Vec::new());
    let secret = action.is_some_and(Step::secret);
    match reader.table("save") {
        Some(table) => {
            for (name, span) in table.keys() {
                let one = save(&table, &Text { value: name.to_owned(), span }, locals);
                saves.push(Save { secret: one.secret || secret && !one.reveal, ..one });
                uses.push(gather.take_uses());
            }
        }
        None if action.is_some_and(Step::saves_itself) => {
            if !is_name(&id.value) {
                let diag = Diag::error(
                    format!("the answer cannot be saved as `{}`", id.value),
                    id.span.clone(),
                );
                gather
                    .report(diag.help("use `_` instead of `-` in the id, or name it with `save`"));
            }
            saves.push(Save {
                name: id.value.clone(),
                span: id.span.clone(),
                program: None,
                secret,
                reveal: false,
            });
            uses.push(Vec::new());
        }
        None => {}
    }
    (saves, uses)
}

fn save(table: &Reader<'_>, name: &Text, locals: &[&str]) -> Save {
    if !is_name(&name.value) {
        let diag = Diag::error(format!("`{}` cannot be a name", name.value), name.span.clone());
        table.gather.report(diag.help("use letters, digits and `_`, not a digit first"));
    }
    let inner = table.get(&name.value).and_then(|value| table.as_table(value));
    let (program, secret, reveal) = match inner {
        Some(inner) => {
            inner.only(SAVE);
            if !inner.has("jq") {
                let help = "write the jq program that reads the value out of the answer";
                inner.missing::<()>("jq", help);
            }
            let secret = inner.boolean("secret").unwrap_or(false);
            let reveal = inner.boolean(REVEAL.name).unwrap_or(false);
            if secret && reveal {
                let diag = Diag::error("a value is secret or revealed, not both", inner.span());
                table.gather.report(diag.help("leave one of `secret` and `reveal` out"));
            }
            (inner.jq("jq", locals), secret, reveal)
        }
        None => (table.jq(&name.value, locals), false, false),
    };
    Save { name: name.value.clone(), span: name.span.clone(), program, secret, reveal }
}

/// In the place of an action with a mistake; the mistake keeps it from ever being run.
#[derive(Debug)]
struct Broken;

impl Step for Broken {
    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn what(&self, _cx: &Cx<'_>) -> Result<String, Trouble> {
        Err(Trouble::failed("this step has a mistake"))
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move { self.what(cx).map(|_| Answer::default()) })
    }
}

/// Whether a word can be a name in templates and in jq.
pub(super) fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn parse_until(reader: &Reader<'_>) -> Option<Until> {
    reader.only(UNTIL);
    if !reader.has("that") {
        return reader.missing("that", "write what must hold, as in `that = \"state == 'ready'\"`");
    }
    let every = reader.duration("every").unwrap_or(Duration::from_secs(2));
    let limit = reader.duration("limit").unwrap_or(Duration::from_mins(1));
    let what = reader.string("for");
    Some(Until { that: reader.expression("that")?, every, limit, what })
}

fn check_until(reader: &Reader<'_>, until: Option<&Until>, effect: Effect) {
    if until.is_some() && effect > Effect::Read {
        let span = reader.get("until").map_or(reader.span(), toml::Spanned::span);
        let diag = Diag::error("`until` repeats a step, and this one changes things", span);
        reader.gather.report(diag.help("poll in a step of its own that only reads"));
    }
}

fn parse_already(reader: &Reader<'_>, kinds: Lookup<'_>) -> Option<Already> {
    let (_, probe) = action(reader, ALREADY, "look-up", kinds)?;
    let probe = probe?;
    if probe.effect() > Effect::Read || probe.nested().is_some() {
        let diag = Diag::error("`already` must only look", reader.span());
        reader.gather.report(diag.help("use a kind that reads, such as `http` with method GET"));
    }
    let locals = probe.locals();
    let find = match reader.text("find") {
        Some(text) => reader.gather.jq(&text, locals),
        None => {
            reader.missing("find", "write a jq program that gives the object found, or nothing")
        }
    };
    // most runs find nothing to compare
    let (same, fields) = reader.gather.seldom(|| {
        let same = reader.jq("same", &[]);
        let fields = reader.named_tables("fields");
        let fields = fields.iter().filter_map(|(name, table)| compare(name, table));
        (same, fields.collect::<Vec<Compare>>())
    });
    if !reader.has("same") && !reader.has("fields") {
        let diag =
            Diag::error("`already` cannot tell whether what it finds is the same", reader.span());
        reader.gather.report(
            diag.help("add `fields.NAME = { found = \".name\", wanted = \"$name\" }`, or `same`"),
        );
    }
    Some(Already { probe, find: find?, same, fields })
}

fn parse_undo(reader: &Reader<'_>, kinds: Lookup<'_>) -> (Option<Box<dyn Step>>, Effect) {
    let action = reader.gather.seldom(|| action(reader, UNDO, "undo", kinds));
    let action = action.and_then(|(_, action)| action);
    let effect = effect(reader, action.as_deref());
    (action, effect)
}

fn compare(name: &Text, reader: &Reader<'_>) -> Option<Compare> {
    reader.only(COMPARE);
    for key in ["found", "wanted"] {
        if !reader.has(key) {
            return reader.missing(key, "a comparison needs `found` and `wanted`");
        }
    }
    let found = reader.jq("found", &[]);
    let wanted = reader.jq("wanted", &[]);
    Some(Compare { name: name.value.clone(), found: found?, wanted: wanted? })
}

/// A digest of what the step says: its values, not its layout or comments.
fn digest_of(reader: &Reader<'_>) -> String {
    let mut told = String::new();
    for (key, _) in reader.keys() {
        if matches!(key, "id" | "title" | "about" | "hints") {
            continue;
        }
        let Some(value) = reader.get(key) else { continue };
        let value = serde_json::to_string(&to_json(value)).unwrap_or_default();
        let between = if told.is_empty() { "" } else { "\n" };
        told.extend([between, key, "=", &value]);
    }
    digest(&told)[..16].to_owned()
}
