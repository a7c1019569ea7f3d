//! A runbook: parsed and checked. Holding one is the proof that its author's mistakes are found.
//!
//! Text goes in, a [`Runbook`] or every mistake comes out. Nothing here does I/O.

mod check;
mod dotenv;
pub mod effects;
pub mod fields;
pub mod lint;
mod needs;
mod nested;
mod parse;
pub mod settle;
mod shapes;
mod step;
mod tokens;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::diag::Diag;
use crate::journal::event::{Effect, Failure, StepRef};
use crate::journal::store;
use crate::jq::{ProgramId, Programs};
use crate::printable::argument;
use crate::reader::{Gather, Text, Use};
use crate::redact;
use crate::scope::Scope;
use crate::source::{Source, Span, in_command};
use crate::step::plugin::{Plugin, Refused, Sought};
use crate::step::retry::Retry;
use crate::step::{Connection, Gate, Step};
use crate::template::{Expr, RenderError, Template};
use crate::typed::Typed;
use crate::value::{Json, Labeled};

/// A procedure, checked.
#[derive(Debug)]
pub struct Runbook {
    /// The file.
    pub source: Source,
    /// Its name, as in `runbook run NAME`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Markdown: what it does and when to use it.
    pub about: String,
    /// What must be there before.
    pub needs: Vec<String>,
    /// What it asks for, in the order of asking.
    pub inputs: Vec<Input>,
    /// Named sets of inputs.
    pub presets: Vec<Preset>,
    /// Values computed from inputs.
    pub vars: Vec<Var>,
    /// What calls share.
    pub connections: Vec<Rc<Connection>>,
    /// The steps, in order.
    pub steps: Vec<StepDef>,
    /// All jq programs.
    pub programs: Arc<Programs>,
    /// The files it uses, and those they use.
    pub used: Vec<Used>,
    /// The plug-ins it and those it uses need.
    pub plugins: Vec<Rc<Plugin>>,
    pub(crate) digest: OnceCell<String>,
}

/// One thing a runbook asks for.
#[derive(Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// What it is.
    pub about: String,
    /// An example, shown when asking.
    pub example: Option<String>,
    /// What a value may be.
    pub typed: Typed,
    /// The value when nothing else gives one; shown as the prompt's default.
    pub default: Option<Value>,
    /// Whether it must never be shown.
    pub secret: bool,
    /// Where to look before asking, in order.
    pub from: Vec<From>,
    pub(crate) uses: Vec<Use>,
}

/// A default: a literal, or a template over earlier inputs.
#[derive(Debug)]
pub enum Value {
    /// As written.
    Literal(Json),
    /// To be rendered.
    Template(Template),
}

/// Where an input's value may be found.
#[derive(Debug)]
pub enum From {
    /// An environment variable.
    Env(String),
    /// A `KEY=value` line in a file.
    Dotenv {
        /// The file.
        file: Template,
        /// The key.
        key: String,
    },
    /// A whole file, without its last line end.
    File(Template),
}

impl From {
    /// Where that is, in words.
    pub fn words(&self, scope: &crate::scope::Scope) -> String {
        let path =
            |file: &Template| file.render_text(scope).unwrap_or_else(|_| file.source().to_owned());
        match self {
            Self::Env(name) => format!("environment variable {name}"),
            Self::Dotenv { file, key } => format!("{key} in {}", path(file)),
            Self::File(file) => path(file),
        }
    }
}

/// A named set of inputs.
#[derive(Debug)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// Input names and values.
    pub values: Vec<(Text, Json)>,
    /// Where each of the values stands.
    pub places: Vec<Span>,
}

/// A runbook's file that another one uses.
#[derive(Debug, Clone)]
pub struct Used {
    /// The path of the file that names it.
    pub from: Arc<str>,
    /// The name, as written there.
    pub name: String,
    /// The file.
    pub source: Source,
}

/// A value computed from inputs and earlier vars.
#[derive(Debug)]
pub struct Var {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// How.
    pub value: crate::reader::Tree,
    pub(crate) uses: Vec<Use>,
}

impl Runbook {
    /// Works out its vars over the values of a scope, which `bind` adds them to; or gives the one
    /// that cannot be, and why.
    pub fn bind_vars(
        &self,
        scope: &Scope,
        bind: impl Fn(&str, Labeled),
    ) -> Result<(), (&Var, RenderError)> {
        for var in &self.vars {
            let json = var.value.render(scope).map_err(|error| (var, error))?;
            bind(&var.name, Labeled { json, secret: scope.any_secret(var.value.reads()) });
        }
        Ok(())
    }
}

/// One step.
#[derive(Debug)]
pub struct StepDef {
    /// Its id, unique in the file.
    pub id: String,
    /// Where the id stands.
    pub span: Span,
    /// One line for people; may hold templates.
    pub title: Option<Template>,
    /// Markdown.
    pub about: String,
    /// Performed only if this holds.
    pub when: Option<Expr>,
    /// The kind's name, for people.
    pub kind: String,
    /// What it does.
    pub action: Box<dyn Step>,
    /// What it may do to the world: the author's word, or the kind's.
    pub effect: Effect,
    /// What it saves.
    pub saves: Vec<Save>,
    /// What must hold afterwards.
    pub gates: Vec<Gate>,
    /// Whether its title may show a secret.
    pub reveal: bool,
    /// Whether the run goes on when it fails; what it saves is null then.
    pub optional: bool,
    /// Performed once for each item of a list.
    pub for_each: Option<ForEach>,
    /// Whether it is also done at the end of a walk that failed.
    pub always: bool,
    /// What to look at when it fails.
    pub hints: Vec<Hint>,
    /// The author's word on repeating.
    pub retry: Option<Retry>,
    /// Repeated until this holds.
    pub until: Option<Until>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How to tell that the effect is there.
    pub already: Option<Already>,
    /// How to take it back.
    pub undo: Option<Box<dyn Step>>,
    /// What taking it back twice means; what a kind takes back by itself may be done again.
    pub undo_effect: Effect,
    /// A digest of its definition.
    pub digest: String,
    /// Every name it reads, its connections' included.
    pub reads: Vec<String>,
    pub(crate) uses: Uses,
}

/// The names a step reads, by the moment it reads them.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// By its `for_each`.
    pub(crate) list: Vec<Use>,
    /// Before it is performed: `when`, the kind, `already`.
    pub(crate) before: Vec<Use>,
    /// By each save, in the saves' order.
    pub(crate) saves: Vec<Vec<Use>>,
    /// With its own saves in hand: gates, `until`.
    pub(crate) after: Vec<Use>,
    /// When it is taken back.
    pub(crate) undo: Vec<Use>,
}

impl Uses {
    /// All of them.
    fn all(&self) -> impl Iterator<Item = &Use> {
        let single = [&self.list, &self.before, &self.after, &self.undo];
        single.into_iter().chain(&self.saves).flatten()
    }
}

/// What to look at when a step fails.
#[derive(Debug, Clone)]
pub struct Hint {
    /// Shown only if the failure says this, upper and lower case alike.
    pub says: Option<String>,
    /// The hint.
    pub text: String,
}

impl Hint {
    /// Whether it fits a failure.
    pub fn fits(&self, failure: &Failure) -> bool {
        let Some(says) = self.says.as_ref().map(|says| says.to_lowercase()) else { return true };
        let details = failure.details.iter().filter(|_| !failure.compared);
        let said = std::iter::once(&failure.message).chain(details);
        said.into_iter().any(|line| line.to_lowercase().contains(&says))
    }
}

/// A value a step keeps.
#[derive(Debug)]
pub struct Save {
    /// The name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// The program over the step's answer; none: the answer itself.
    pub program: Option<ProgramId>,
    /// Whether it must never be shown.
    pub secret: bool,
    /// Whether it is not secret although it is made from a secret.
    pub reveal: bool,
}

impl Save {
    /// Whether a value that was saved so is a secret: as its author says, or as it is made of one,
    /// or as a known one is in it. On disk a secret is only ever sealed.
    pub fn is_secret(&self, of_secret: bool, json: &Json, redactor: &redact::Shared) -> bool {
        self.secret || !self.reveal && (of_secret || redactor.knows(json))
    }
}

/// A step that is performed once for each item of a list.
#[derive(Debug)]
pub struct ForEach {
    /// Gives the list.
    pub list: Expr,
    /// The name each item has.
    pub name: String,
    /// Where that stands; the list, if it is not said.
    pub span: Span,
    /// How many are performed at once.
    pub at_once: usize,
}

/// Polling: the step is repeated until something holds.
#[derive(Debug)]
pub struct Until {
    /// What must hold.
    pub that: Expr,
    /// The wait between two attempts.
    pub every: Duration,
    /// How long in all.
    pub limit: Duration,
    /// What is waited for, in the author's words.
    pub what: Option<String>,
}

/// How to tell that a step's effect is there.
#[derive(Debug)]
pub struct Already {
    /// A read.
    pub probe: Box<dyn Step>,
    /// Gives the object found, or nothing.
    pub find: ProgramId,
    /// Whether it is what this run would have made.
    pub same: Option<ProgramId>,
    /// Named comparisons, shown when they differ.
    pub fields: Vec<Compare>,
}

/// One comparison of what was found with what is wanted.
#[derive(Debug)]
pub struct Compare {
    /// Its name.
    pub name: String,
    /// Over the object found.
    pub found: ProgramId,
    /// Over the values held.
    pub wanted: ProgramId,
}

/// Finds the text of a runbook that another one names: the name, and the file that names it.
pub type Find<'a> = &'a dyn Fn(&str, &Source) -> Result<Source, String>;

/// Finds and describes the plug-in of a name for the file that names it.
pub type FindKind<'a> = &'a dyn Fn(&str, &Source) -> Result<Sought, Refused>;

/// What is around a file: found from above, as nothing here does I/O.
#[derive(Clone, Copy)]
struct Around<'a> {
    runbooks: Find<'a>,
    kinds: FindKind<'a>,
    known: &'a nested::Known,
}

impl Runbook {
    /// Parses and checks a file's text, where there are no plug-ins: the runbook with its
    /// warnings, or every mistake.
    pub fn parse(source: &Source, find: Find<'_>) -> Result<(Self, Vec<Diag>), Vec<Diag>> {
        Self::parse_with(source, find, &|_, _| Ok(Sought::Nowhere(None)))
    }

    /// Parses and checks a file's text.
    pub fn parse_with(
        source: &Source,
        runbooks: Find<'_>,
        kinds: FindKind<'_>,
    ) -> Result<(Self, Vec<Diag>), Vec<Diag>> {
        let known = nested::Known::default();
        Self::parse_inside(source, Around { runbooks, kinds, known: &known }, &[])
    }

    /// `outer` are the paths of the files that use this one, to refuse cycles.
    fn parse_inside(
        source: &Source,
        around: Around<'_>,
        outer: &[Rc<str>],
    ) -> Result<(Self, Vec<Diag>), Vec<Diag>> {
        let table = match source.tables() {
            Ok(table) => table,
            Err(error) => return Err(parse::syntax(source, &error)),
        };
        let used = nested::Uses::default();
        let load = |name: &str| nested::load(name, source, around, outer, &used);
        let kinds = |name: &str| {
            let sought = (around.kinds)(name, source)?;
            if let Sought::There(plugin) = &sought {
                used.kind(plugin)?;
            }
            Ok(sought)
        };
        let gather = Gather::new(source, &load);
        let draft = parse::draft(&gather, &table, &kinds);
        check::names(&gather, &draft);
        shapes::check(&gather, &draft);
        let (diags, programs) = gather.finish();
        if diags.iter().any(|diag| diag.severity == crate::diag::Severity::Error) {
            return Err(diags);
        }
        match draft.finish(source.clone(), programs, used) {
            Some(runbook) => Ok((runbook, diags)),
            None => Err(vec![Diag::error("this is not a runbook", 0..0)]),
        }
    }

    /// What it is called in a command.
    pub fn command_name(&self) -> Cow<'_, str> {
        argument(in_command(&self.source.path, &self.name))
    }

    /// The digest of its text, found out once.
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| digest(&self.source.text))
    }

    /// The steps as the journal names them.
    pub fn step_refs(&self) -> Arc<[StepRef]> {
        self.steps
            .iter()
            .map(|step| StepRef {
                id: step.id.clone(),
                title: step
                    .title
                    .as_ref()
                    .map_or_else(|| step.id.clone(), |title| title.source().to_owned()),
                digest: step.digest.clone(),
            })
            .collect()
    }

    /// A step by its id.
    pub fn step(&self, id: &str) -> Option<&StepDef> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// The step that a run's journal calls so, and the runbook it stands in: `login`, an item
    /// `create[3]`, `clean@17` after a failure, `create@1` that was done anew since, `outer/login`
    /// inside a runbook that is used, `create/undo/stop` inside one that takes a step back.
    pub fn performed(&self, id: &str) -> Option<(&Self, &StepDef)> {
        let (own, inner) = id.split_once('/').map_or((id, None), |(own, rest)| (own, Some(rest)));
        let (own, item) = own.split_once('[').map_or((own, false), |(own, _)| (own, true));
        let own = own.split_once('@').map_or(own, |(own, _)| own);
        let fits = |step: &&StepDef| !item || step.for_each.is_some();
        let step = self.step(own).filter(fits)?;
        let Some(inner) = inner else { return Some((self, step)) };
        let (action, inner) = match inner.strip_prefix(BELOW) {
            Some(rest) if step.undo.is_some() => (step.undo.as_ref()?, rest),
            _ => (&step.action, inner),
        };
        action.nested()?.runbook.downcast_ref::<Self>()?.performed(inner)
    }
}

/// What stands between a step's id and those of the runbook that takes it back.
pub const BELOW: &str = "undo/";

/// A digest as text: SHA-256 in hexadecimal.
pub fn digest(text: &str) -> String {
    store::digest_of(text)
}

impl Input {
    /// Its default, rendered over the inputs before it.
    pub fn default_value(
        &self,
        scope: &crate::scope::Scope,
    ) -> Result<Option<Json>, crate::template::RenderError> {
        match &self.default {
            None => Ok(None),
            Some(Value::Literal(json)) => Ok(Some(json.clone())),
            Some(Value::Template(template)) => template.render(scope).map(Some),
        }
    }
}
