//! Plug-ins: kinds that are programs of their own, `runbook-step-NAME`.
//!
//! A plug-in describes itself as JSON (`--describe`); by that its table is checked like any other
//! kind's. Performed, it reads one JSON object and writes one. All it is told goes over its
//! standard input, so secrets may be among it. Who may be asked to describe itself is decided
//! above: here a [`Plugin`] is already found and described.

pub mod describe;
pub mod program;

use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, json};

use crate::diag::Diag;
use crate::journal::event::Effect;
use crate::jq;
use crate::printable::printable;
use crate::reader::{Reader, Sink, Tree, to_json};
use crate::value::{Json, Labeled, MASK, text};

use super::child::{mark, marked};
use super::{
    Again, Answer, Cx, Failure, Hand, Local, Manual, Step, Touch, Trouble, failure, manual,
    rehearsed,
};
use describe::{Asked, Description, PROTOCOL};
use program::{End, Program, Said, Task};

/// What the name of every plug-in's program begins with.
pub const PREFIX: &str = "runbook-step-";

/// How long a plug-in may take to describe itself.
const DESCRIBING: Duration = Duration::from_secs(10);

/// The longest description taken, in bytes.
const DESCRIPTION: usize = 256 * 1024;

/// The largest answer taken, in bytes.
const ANSWER: usize = 10 * 1024 * 1024;

/// The key under which what a plug-in wants to be told again is kept.
const KEEP: &str = "keep";

/// A kind that is a program.
#[derive(Debug)]
pub struct Plugin {
    /// The key in a step's table.
    pub name: String,
    /// The program.
    pub program: Program,
    /// What it says of itself, checked.
    pub description: Description,
    printed: Json,
}

/// Why a plug-in cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong, one line.
    pub title: String,
    /// What to do about it, and what the program said.
    pub help: Vec<String>,
}

/// What there is of a name.
#[derive(Debug, Clone)]
pub enum Sought {
    /// The plug-in.
    There(Rc<Plugin>),
    /// No such program; the name of one that is spelt nearly so.
    Nowhere(Option<String>),
}

impl Sought {
    /// The plug-in, if there is one.
    pub fn plugin(self) -> Option<Rc<Plugin>> {
        match self {
            Self::There(plugin) => Some(plugin),
            Self::Nowhere(_) => None,
        }
    }
}

/// Gives the plug-in of a name.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Result<Sought, Refused>;

/// Whether a key can be a plug-in's name: what goes into a file's name, and nothing else.
pub fn is_name(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
}

impl Plugin {
    /// Runs the program so that it describes itself.
    pub async fn ask(
        name: &str,
        program: Program,
        folder: &std::path::Path,
    ) -> Result<Self, Refused> {
        let shown = format!("`{} --describe`", program.path.display());
        let refused = |title: String, help| Refused { title, help };
        let task = Task {
            args: &["--describe"],
            stdin: None,
            mark: None,
            folder,
            time: Some(DESCRIBING),
            output: DESCRIPTION,
        };
        let said = program.talk(task).await.map_err(|error| refused(error, Vec::new()))?;
        if said.end != End::Status(0) {
            let title = format!("the kind `{name}` cannot be known: {shown} {}", said.end.words());
            return Err(refused(title, said.lines(true, &told_nothing)));
        }
        let printed: Json = serde_json::from_slice(&said.stdout).map_err(|error| {
            let title = format!(
                "the kind `{name}` cannot be known: what {shown} prints is not JSON: {error}"
            );
            refused(title, said.lines(true, &told_nothing))
        })?;
        let description = Description::parse(&printed).map_err(|wrong| {
            let wrong = printable(&wrong).into_owned();
            let title =
                format!("the kind `{name}` cannot be known: in what {shown} prints, {wrong}");
            refused(title, vec!["docs/plugins.md says what a description must hold".to_owned()])
        })?;
        Ok(Self { name: name.to_owned(), program, description, printed })
    }

    /// All of it as a text, for the journal: the definition of a run travels with it.
    pub fn kept(&self) -> String {
        let program = json!({ "path": self.program.path.display().to_string(), "pinned": self.program.pinned });
        json!({ "program": program, "description": self.printed }).to_string()
    }

    /// What [`kept`](Self::kept) gave.
    pub fn from_kept(name: &str, kept: &str) -> Option<Self> {
        let kept: Json = serde_json::from_str(kept).ok()?;
        let program = Program {
            path: kept["program"]["path"].as_str()?.into(),
            pinned: kept["program"]["pinned"].as_str().map(str::to_owned),
        };
        let printed = kept["description"].clone();
        let description = Description::parse(&printed).ok()?;
        Some(Self { name: name.to_owned(), program, description, printed })
    }

    /// The program's name.
    pub fn command(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Reads a table of this kind, by what the plug-in says of its fields.
    pub fn parse(self: &Rc<Self>, reader: &Reader<'_>) -> Option<Box<dyn Step>> {
        let names: Vec<&str> =
            self.description.fields.iter().map(|field| field.name.as_str()).collect();
        reader.only_names(&names);
        let read = self.description.fields.iter().map(|field| read(field, reader));
        // all of them first, so that every mistake is found
        let read: Vec<_> = read.collect();
        let fields = read.into_iter().collect::<Option<Vec<_>>>()?;
        let fields = fields.into_iter().flatten().collect();
        Some(Box::new(Call { plugin: Rc::clone(self), fields }))
    }
}

/// Who only describes itself was told no secret.
fn told_nothing(text: &str, _cut: bool) -> String {
    text.to_owned()
}

/// Hides what is secret in what a plug-in says.
fn masked(cx: &Cx<'_>, text: &str, cut: bool) -> String {
    if cut { cx.services.redactor.mask_cut(text) } else { cx.mask(text) }
}

/// One field's value: nothing inside if it is left out, nothing at all if it has a mistake.
#[expect(clippy::option_option, reason = "left out is not a mistake")]
fn read(field: &Asked, reader: &Reader<'_>) -> Option<Option<(String, Tree)>> {
    let name = &field.name;
    let Some(value) = reader.get(name) else {
        if field.required {
            let about = if field.about.is_empty() { "it is required" } else { &field.about };
            return reader.missing(name, &format!("{}: {about}", field.form.wanted()));
        }
        return Some(None);
    };
    let tree = Tree::parse(reader.gather, value, Sink::Beside)?;
    // What a template gives is only known when it is rendered.
    if !matches!(tree, Tree::Template(_)) {
        written(field, reader)?;
    }
    Some(Some((name.clone(), tree)))
}

/// A value that is known already must be right already.
fn written(field: &Asked, reader: &Reader<'_>) -> Option<()> {
    let value = reader.get(&field.name)?;
    let json = to_json(value);
    if !field.form.fits(&json) {
        reader.wrong(&field.name, value, field.form.wanted());
        return None;
    }
    if field.one_of.is_empty() || field.one_of.contains(&json) {
        return Some(());
    }
    let words: Vec<String> = field.one_of.iter().map(text).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = text(&json);
    let diag = Diag::error(format!("`{}` cannot be `{said}`", field.name), value.span());
    let diag = diag.suggest(&said, words.iter().copied());
    reader.gather.report(diag.help(format!("one of: {}", crate::reader::list(&words))));
    None
}

/// A step of a plug-in's kind.
#[derive(Debug)]
struct Call {
    plugin: Rc<Plugin>,
    /// What is given; the plug-in has defaults for the rest.
    fields: Vec<(String, Tree)>,
}

impl Step for Call {
    fn effect(&self) -> Effect {
        self.plugin.description.effect
    }

    fn left_running(&self, cx: &Cx<'_>) -> Vec<u32> {
        marked(&mark(cx))
    }

    fn secret(&self) -> bool {
        self.plugin.description.secret
    }

    fn touches(&self) -> Vec<Touch<'_>> {
        vec![Touch::Plugin(&self.plugin.program.path)]
    }

    fn what(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        const WIDTH: usize = 60;
        let mut what = self.plugin.name.clone();
        for (name, value) in &self.shown(cx)? {
            // before it is cut: a part of a secret is not found
            let value = cx.mask(&text(value));
            let short: String = value.chars().take(WIDTH).collect();
            let more = if short.len() < value.len() { "…" } else { "" };
            let _ = write!(what, " {name}={}{more}", short.replace('\n', "\\n"));
        }
        Ok(cx.mask(&what))
    }

    fn preview(&self, cx: &Cx<'_>) -> Result<Vec<String>, Trouble> {
        let told = format!("{:#}", Json::Object(self.shown(cx)?));
        Ok(cx.mask(&told).lines().map(str::to_owned).collect())
    }

    fn manual(&self, hand: &Hand<'_>) -> Manual {
        let left_out = self.defaults().map(|(name, value)| (name, value.to_string()));
        let left_out: Vec<(&str, String)> = left_out.collect();
        let told = |given: Vec<(&str, String)>| {
            let field = |(name, value): &(&str, String)| format!("{}: {value}", Json::from(*name));
            let fields: Vec<String> = given.iter().chain(&left_out).map(field).collect();
            format!(
                "{{\"protocol\": {PROTOCOL}, \"action\": \"run\", \"fields\": {{{}}}}}",
                fields.join(", ")
            )
        };
        let printed = |options: &str| {
            let program = manual::quoted(&self.plugin.command());
            format!("{{ {program} | jq {options}.output; }}")
        };
        let fields = || self.fields.iter().map(|(name, tree)| (name.as_str(), tree));
        if !fields().any(|(_, tree)| hand.fills_text(tree)) {
            let given = fields().map(|(name, tree)| (name, hand.body(tree))).collect();
            return Manual {
                stdin: Some(told(given)),
                unquoted: Some(printed("-r ")),
                ..Manual::shell(printed(""))
            };
        }
        let mut filled = manual::Filled::new(hand);
        let given = fields().map(|(name, tree)| (name, filled.value(tree, 0))).collect();
        let given = filled.command("-n", &told(given));
        let all = |options| format!("{given} \\\n  | {}", printed(options));
        Manual { unquoted: Some(all("-r ")), ..Manual::shell(all("")) }
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(self.act(cx, "run", Json::Null))
    }

    fn take_back<'a>(&'a self, cx: &'a Cx<'a>) -> Option<Local<'a, Result<String, Trouble>>> {
        if !self.plugin.description.undo {
            return None;
        }
        Some(Box::pin(async move {
            let kept = cx.private.get(KEEP).map_or(Json::Null, |kept| kept.json.clone());
            self.act(cx, "undo", kept).await.map(|answer| answer.summary)
        }))
    }
}

impl Call {
    /// The fields that are left out and have a default.
    fn defaults(&self) -> impl Iterator<Item = (&str, &Json)> {
        let given = |name: &str| self.fields.iter().any(|(given, _)| given == name);
        let left_out = self.plugin.description.fields.iter().filter(move |one| !given(&one.name));
        left_out.filter_map(|field| Some((field.name.as_str(), field.default.as_ref()?)))
    }

    /// The values given, in the forms the plug-in asks for.
    fn values(&self, cx: &Cx<'_>) -> Result<Map<String, Json>, Trouble> {
        let mut values = Map::new();
        for (name, tree) in &self.fields {
            let value = tree.render(cx.scope)?;
            let taken = match self.plugin.description.field(name) {
                Some(field) => field.take(value).map_err(Trouble::failed)?,
                None => value,
            };
            values.insert(name.clone(), taken);
        }
        Ok(values)
    }

    /// The same as anybody may see them.
    fn shown(&self, cx: &Cx<'_>) -> Result<Map<String, Json>, Trouble> {
        let mut values = self.values(cx)?;
        for (name, tree) in &self.fields {
            if cx.scope.any_secret(tree.reads()) {
                values.insert(name.clone(), Json::from(MASK));
            }
        }
        Ok(values)
    }

    async fn act(&self, cx: &Cx<'_>, action: &str, kept: Json) -> Result<Answer, Trouble> {
        let what = self.what(cx)?;
        (cx.trace)(format!("> {action} {what}"));
        let mut fields = self.values(cx)?;
        fields.extend(self.defaults().map(|(name, value)| (name.to_owned(), value.clone())));
        let mut told = json!({
            "protocol": PROTOCOL,
            "action": action,
            "step": cx.step,
            "fields": fields,
            "in_doubt": cx.in_doubt,
        });
        if action == "undo" {
            told[KEEP] = kept;
        }
        let said = self.said(cx, told.to_string() + "\n").await?;
        let mask = |text: &str, cut: bool| masked(cx, text, cut);
        said.complaints(&mask).into_iter().for_each(|line| (cx.trace)(line));
        (cx.trace)(format!("< {}", said.end.words()));
        self.answer(cx, &said)
    }

    /// What the program says, or in a rehearsal the fake for it.
    async fn said(&self, cx: &Cx<'_>, stdin: String) -> Result<Said, Trouble> {
        if let Some(fake) = rehearsed::fake(cx)? {
            let told = json!({
                "argv": [self.plugin.command()], "stdin": stdin, "env": {}, "cwd": null, "ssh": null,
            });
            let said = rehearsed::ask(cx, fake, &told).await?;
            let (stdout, stderr) = (said.stdout.into_bytes(), said.stderr.into_bytes());
            return Ok(Said { end: End::Status(said.status), stdout, stderr, more: false });
        }
        let task = Task {
            args: &[],
            stdin: Some(stdin),
            mark: Some(mark(cx)),
            folder: &cx.services.world.cwd,
            time: cx.timeout,
            output: ANSWER,
        };
        let never_began = |why: String| {
            let hint = "look at the program, then `runbook check --trust FILE`: this content is trusted then";
            let hints = if self.plugin.program.pinned.is_some() {
                vec![hint.to_owned()]
            } else {
                Vec::new()
            };
            Trouble::Failed(Failure { hints, ..failure(why) }, Again::Safe)
        };
        self.plugin.program.talk(task).await.map_err(never_began)
    }

    fn answer(&self, cx: &Cx<'_>, said: &Said) -> Result<Answer, Trouble> {
        let name = &self.plugin.name;
        let reply = match (&said.end, reply(&said.stdout)) {
            (End::Status(_), Ok(Reply { error: Some(error), .. })) => return Err(error),
            (End::Status(0), Ok(reply)) => reply,
            (End::Status(0), Err(wrong)) => {
                return Err(self.unclear(cx, said, &format!("`{name}` {wrong}")));
            }
            (end, _) => return Err(self.unclear(cx, said, &format!("`{name}` {}", end.words()))),
        };
        let secret = self.plugin.description.secret;
        if secret {
            // what is too short to be replaced is warned of when it is saved
            let _ = cx.services.redactor.add_json(&reply.output);
        }
        let keep = reply.keep.map(|kept| (KEEP, Labeled::secret(kept)));
        Ok(Answer {
            input: jq::from_json(&reply.output),
            secret,
            summary: if secret { "done".to_owned() } else { reply.summary },
            private: keep.into_iter().collect(),
            unchanged: reply.unchanged,
            ..Answer::default()
        })
    }

    /// It did not say what became of it: it may have done its work.
    fn unclear(&self, cx: &Cx<'_>, said: &Said, what: &str) -> Trouble {
        let open = !cx.guarded && !self.plugin.description.secret;
        let details = said.lines(open, &|text, cut| masked(cx, text, cut));
        let failure = Failure { details, doubt: self.effect() > Effect::Read, ..failure(what) };
        Trouble::Failed(failure, Again::MaybeDone)
    }
}

/// What a plug-in answers.
struct Reply {
    output: Json,
    summary: String,
    unchanged: bool,
    keep: Option<Json>,
    error: Option<Trouble>,
}

/// Reads an answer, or tells how it is not one.
fn reply(stdout: &[u8]) -> Result<Reply, String> {
    const DONE: &[&str] = &["output", "summary", "unchanged", "keep"];
    const FAILED: &[&str] = &["error", "details", "hints", "doubt"];
    if stdout.iter().all(u8::is_ascii_whitespace) {
        return Err("answered nothing".to_owned());
    }
    let said: Json = serde_json::from_slice(stdout)
        .map_err(|error| format!("answered what is not one JSON object: {error}"))?;
    let Json::Object(said) = said else { return Err("answered no JSON object".to_owned()) };
    let known = if said.contains_key("error") { FAILED } else { DONE };
    if let Some(key) = said.keys().find(|key| !known.contains(&key.as_str())) {
        let known = crate::reader::list(known);
        return Err(format!("answered with the unknown key `{}`; known: {known}", printable(key)));
    }
    let error = said.get("error").map(|error| failed(error, &said)).transpose()?;
    if error.is_none() && !said.contains_key("output") {
        return Err("answered with neither `output` nor `error`".to_owned());
    }
    Ok(Reply {
        output: said.get("output").cloned().unwrap_or_default(),
        summary: one_text(&said, "summary")?.unwrap_or_else(|| "done".to_owned()),
        unchanged: flag(&said, "unchanged")?,
        keep: said.get("keep").cloned(),
        error,
    })
}

/// A failure in the plug-in's own words. It says whether its work may be done all the same; if
/// it is not, trying again is safe.
fn failed(error: &Json, said: &Map<String, Json>) -> Result<Trouble, String> {
    let Json::String(message) = error else {
        return Err("answered an `error` that is no text".to_owned());
    };
    let texts = |key: &str| -> Result<Vec<String>, String> {
        let wrong = || format!("answered `{key}` that is no list of texts");
        match said.get(key) {
            None => Ok(Vec::new()),
            Some(Json::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
                .collect(),
            Some(_) => Err(wrong()),
        }
    };
    let doubt = flag(said, "doubt")?;
    let failure = Failure {
        message: message.clone(),
        details: texts("details")?,
        hints: texts("hints")?,
        doubt,
        compared: false,
    };
    Ok(Trouble::Failed(failure, if doubt { Again::MaybeDone } else { Again::Safe }))
}

fn one_text(said: &Map<String, Json>, key: &str) -> Result<Option<String>, String> {
    match said.get(key) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("answered `{key}` that is no text")),
    }
}

fn flag(said: &Map<String, Json>, key: &str) -> Result<bool, String> {
    match said.get(key) {
        None => Ok(false),
        Some(Json::Bool(yes)) => Ok(*yes),
        Some(_) => Err(format!("answered `{key}` that is neither `true` nor `false`")),
    }
}
