//! Kinds of steps: what there is, and what each must be able to do.
//!
//! A kind is one file with all there is to know about it. [`KINDS`] is the only list:
//! the parser, the docs, the schema and "did you mean" read it; the engine never asks
//! which kind a step is of.

pub mod connection;
mod append;
mod block;
pub mod child;
mod command;
mod dns;
mod generate;
pub mod gate;
mod http;
pub mod jq;
mod lines;
pub mod manual;
mod note;
pub mod plugin;
mod prompt;
mod rehearsed;
mod remove;
pub mod retry;
mod services;
mod use_runbook;
mod way;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

pub use crate::journal::event::{Effect, Failure};
use crate::jq::{Programs, Val};
use crate::reader::{Field, Reader, Rules, Tree};
use crate::redact;
use crate::scope::Scope;
use crate::source::Span;
use crate::template::{RenderError, Template};
use crate::transport::ssh::Fault;
use crate::value::Labeled;
pub use connection::{Connection, Route};
pub use gate::{Gate, judge};
pub use http::{PART_RULES, RULES as PAGE_RULES};
pub use manual::{Hand, Manual};
pub use retry::{Cause, Refusal};
pub use services::{Refuses, Seen, Services, Sight, rehearsed};

/// All kinds.
pub static KINDS: &[Kind] = &[
    http::KIND,
    jq::KIND,
    gate::KIND,
    append::KIND,
    remove::KIND,
    prompt::KIND,
    command::KIND,
    note::KIND,
    dns::KIND,
    generate::KIND,
    use_runbook::KIND,
];

/// One kind of step.
#[derive(Debug)]
pub struct Kind {
    /// The key in a step's table.
    pub name: &'static str,
    /// What it does, one sentence.
    pub about: &'static str,
    /// Its keys.
    pub fields: &'static [Field],
    /// Which of them go together.
    pub rules: Rules,
    /// Keys of the table around it that mean nothing for this kind, each with what to do instead.
    pub without: &'static [(&'static str, &'static str)],
    /// The key meant when the kind is given a bare string or list.
    pub plain: Option<&'static str>,
    /// A step of this kind, as TOML; parsed by a test, printed in the docs.
    pub example: &'static str,
    /// Reads its table.
    pub parse: fn(&Reader<'_>) -> Option<Box<dyn Step>>,
}

/// A future on the engine's one thread.
pub type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// One step's action, parsed and checked.
pub trait Step: Debug {
    /// What it may do to the world.
    fn effect(&self) -> Effect;

    /// Whether its answer is saved under the step's id when nothing else is saved.
    fn saves_itself(&self) -> bool {
        false
    }

    /// Whether what it saves of itself is secret, known before it runs.
    fn secret(&self) -> bool {
        false
    }

    /// Names its answer adds for the `save` programs, besides the file's own.
    fn locals(&self) -> &'static [&'static str] {
        &[]
    }

    /// The connection it uses.
    fn connection(&self) -> Option<&str> {
        None
    }

    /// Whether a person may be asked.
    fn asks(&self) -> bool {
        false
    }

    /// Whether it would take this answer of a person's, and if not, why. `None` if it asks nothing.
    fn takes(&self, _answer: &str) -> Option<Result<(), String>> {
        None
    }

    /// Whether it keeps its place among the steps, never run beside another.
    fn alone(&self) -> bool {
        self.asks()
    }

    /// Whether what it gives may depend on what was changed before it.
    fn looks(&self) -> bool {
        !self.alone()
    }

    /// What it is about to do, in one line: `POST https://…`.
    fn what(&self, cx: &Cx<'_>) -> Result<String, Trouble>;

    /// What it would send or write, for `plan` and `--step`.
    fn preview(&self, _cx: &Cx<'_>) -> Result<Vec<String>, Trouble> {
        Ok(Vec::new())
    }

    /// What it will surely fail of, told before the run from its inputs and vars alone; `secret` tells
    /// of any name whether what it stands for is one.
    fn foresee(
        &self,
        _known: &Scope,
        _secret: &dyn Fn(&str) -> bool,
        _services: &Services,
    ) -> Option<Failure> {
        None
    }

    /// How things stand before it acts, where only that can tell after a crash what it changed.
    /// Kept with the intent, and given to `run` and `take_back` when the step is in doubt.
    fn before(&self, _cx: &Cx<'_>) -> Vec<(&'static str, Labeled)> {
        Vec::new()
    }

    /// The processes of this machine that it started in an earlier walk and that are still there.
    fn left_running(&self, _cx: &Cx<'_>) -> Vec<u32> {
        Vec::new()
    }

    /// Does it.
    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>>;

    /// Takes back into memory what it left there when it was done, in an earlier walk of the
    /// run. Only asked of what uses a connection; its outcome is in `private`.
    fn recall(&self, _cx: &Cx<'_>) {}

    /// How a person would do it by hand.
    fn manual(&self, _hand: &Hand<'_>) -> Manual {
        Manual::default()
    }

    /// How a person would take it back by hand, where this kind takes it back itself.
    fn manual_back(&self) -> Option<Manual> {
        None
    }

    /// What it judges, if it is a check and nothing else.
    fn gate(&self) -> Option<&Gate> {
        None
    }

    /// What of this machine it touches, as its author wrote it.
    fn touches(&self) -> Vec<Touch<'_>> {
        Vec::new()
    }

    /// The call it makes of a service, as its author wrote it.
    fn calls(&self) -> Option<Call<'_>> {
        None
    }

    /// The words of the program it runs, as its author wrote them.
    fn argv(&self) -> Option<&[Template]> {
        None
    }

    /// The runbook it uses as one step, if it is of that kind.
    fn nested(&self) -> Option<Nested<'_>> {
        None
    }

    /// Takes it back without the author's help, if this kind can.
    fn take_back<'a>(&'a self, _cx: &'a Cx<'a>) -> Option<Local<'a, Result<String, Trouble>>> {
        None
    }
}

/// Something of this machine that a step touches.
#[derive(Debug, Clone, Copy)]
pub enum Touch<'a> {
    /// Runs a program.
    Runs(Runs<'a>),
    /// Runs the program of a plug-in: its path.
    Plugin(&'a Path),
    /// Writes a file.
    Writes(Writes<'a>),
    /// Sends a file to a service: its path.
    Sends(&'a Template),
}

/// A file that a step writes, told from its text alone.
#[derive(Debug, Clone, Copy)]
pub struct Writes<'a> {
    /// Its path.
    pub file: &'a Template,
    /// The lines that are added to it or taken out of it, after the word that says which; nothing if
    /// what is written is not in the runbook.
    pub lines: Option<(&'static str, &'a Template)>,
}

/// A program that a step runs, told from its text alone.
#[derive(Debug, Clone, Copy)]
pub struct Runs<'a> {
    /// It and its arguments.
    pub argv: &'a [Template],
    /// Where its name stands in the file.
    pub span: &'a Span,
    /// The host it runs on; here if there is none.
    pub on: Option<&'a Template>,
    /// What it reads on standard input.
    pub stdin: Option<&'a Template>,
    /// Its environment variables, besides the person's own.
    pub env: &'a [(String, Tree)],
    /// The folder it runs in.
    pub cwd: Option<&'a Template>,
}

/// A call of a service, told from its text alone.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The connection.
    pub on: &'a str,
    /// The method, upper case.
    pub method: &'a str,
    /// The path below the connection's base, or a whole address.
    pub url: &'a Template,
    /// Whether the answers may lead it to other addresses.
    pub wanders: bool,
}

/// Another runbook as one step.
pub struct Nested<'a> {
    /// The runbook; the engine knows its type, which stands above kinds.
    pub runbook: &'a dyn std::any::Any,
    /// Its inputs, as the step gives them.
    pub inputs: &'a [(String, Tree)],
}

/// What a step came back with.
#[derive(Debug, Default)]
pub struct Answer {
    /// What `save` programs read as `.`.
    pub input: Val,
    /// What they read as `$name`, besides the file's own names.
    pub locals: Vec<(&'static str, Val)>,
    /// Whether all of it is secret.
    pub secret: bool,
    /// A few words for the person: `201 Created`.
    pub summary: String,
    /// Markdown for the person.
    pub note: Option<String>,
    /// Whether the note shows secrets, as its author said it may.
    pub revealed: bool,
    /// What taking it back will need to know.
    pub private: Vec<(&'static str, Labeled)>,
    /// Whether everything was there already, so that nothing was changed.
    pub unchanged: bool,
    /// What came back, in a few lines, for when `save` cannot read it.
    pub evidence: Vec<String>,
}

/// Why a step could not do its work.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// It failed.
    Failed(Failure, Again),
    /// A person's answer is needed and nobody is there.
    Waiting(String),
    /// The person interrupted it.
    Interrupted,
}

/// Whether trying again may help, and may harm.
#[derive(Debug, Clone)]
pub enum Again {
    /// It would fail the same way.
    No,
    /// Nothing was done, trying again is safe even for a *once* step.
    Safe,
    /// It may have been done; only what is safe to repeat is repeated.
    MaybeDone,
    /// Nothing was done, as the host it goes through was not reached; whether trying again may help.
    NoWay {
        /// Whether it may.
        passing: bool,
    },
    /// A call to a service failed: what it came to says the rest.
    Call(Box<Refusal>),
    /// Nothing was done, as the service takes a value no longer that the connection can renew.
    Renewed,
}

impl Again {
    /// Whether a step of this effect may be tried again: a *once* one only if nothing was done.
    pub fn is_safe(&self, effect: Effect) -> bool {
        match self {
            Self::No | Self::Renewed => false,
            Self::Safe => true,
            Self::NoWay { passing } => *passing,
            Self::MaybeDone => effect < Effect::Once,
            Self::Call(refusal) => refusal.definite || effect < Effect::Once,
        }
    }

    /// What a call came to, if one failed.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Call(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl Trouble {
    /// A failure that trying again would not mend.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(failure(message), Again::No)
    }

    /// The same, with lines of details.
    pub fn detailed(message: impl Into<String>, details: Vec<String>) -> Self {
        Self::Failed(Failure { details, ..failure(message) }, Again::No)
    }

    /// The same, if `doubt` then the effect may have happened all the same.
    #[must_use]
    pub fn doubtful(mut self, doubt: bool) -> Self {
        if let Self::Failed(failure, _) = &mut self {
            failure.doubt |= doubt;
        }
        self
    }

    /// Whether the effect may have happened all the same.
    pub fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Failed(failure, _) if failure.doubt)
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Failed(failure, _) = &mut self {
            failure.hints.push(hint.into());
        }
        self
    }
}

/// A failure with nothing but its message.
pub fn failure(message: impl Into<String>) -> Failure {
    let (details, hints) = (Vec::new(), Vec::new());
    Failure { message: message.into(), details, hints, doubt: false, compared: false }
}

impl From<RenderError> for Trouble {
    fn from(error: RenderError) -> Self {
        Self::failed(error.0)
    }
}

/// A way through another host that does not lead there: nothing was done.
impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        let again = Again::NoWay { passing: fault.passing };
        let hints = fault.hint.into_iter().collect();
        Self::Failed(Failure { details: fault.details, hints, ..failure(fault.message) }, again)
    }
}

/// What a step sees while it runs.
pub struct Cx<'a> {
    /// The run's name.
    pub run: &'a str,
    /// When it began, in milliseconds since the Unix epoch; 0 where no journal will tell that again.
    pub started_ms: i64,
    /// The step's id.
    pub step: &'a str,
    /// What its author says about it, Markdown.
    pub about: &'a str,
    /// What the step may do to the world.
    pub effect: Effect,
    /// The names it may read.
    pub scope: &'a Scope,
    /// What all steps share.
    pub services: &'a Services,
    /// The runbook's connections.
    pub connections: &'a [Rc<Connection>],
    /// The runbook's jq programs.
    pub programs: &'a Programs,
    /// How long one attempt may take, if the step says so.
    pub timeout: Option<Duration>,
    /// Whether a secret is read out of its answer: then none of that is shown.
    pub guarded: bool,
    /// Whether an earlier attempt may have done it already.
    pub in_doubt: bool,
    /// What the step's own outcome kept for taking it back; when the step is in doubt, how
    /// things stood before.
    pub private: &'a HashMap<String, Labeled>,
    /// What an attempt leaves for the next one, if the step is tried again.
    pub kept: RefCell<Option<Box<dyn std::any::Any>>>,
    /// Says one line for `-v`.
    pub trace: &'a dyn Fn(String),
}

impl Cx<'_> {
    /// A text of what was kept, [`Cx::private`].
    pub fn kept_text(&self, name: &str) -> Option<&str> {
        self.private.get(name)?.json.as_str()
    }

    /// Whether something that was kept there is true.
    pub fn kept_flag(&self, name: &str) -> bool {
        self.private.get(name).and_then(|value| value.json.as_bool()).unwrap_or(false)
    }

    /// A text as anybody may see it.
    pub fn mask(&self, text: &str) -> String {
        self.services.redactor.mask(text)
    }

    /// A template's text as a person may see it. What it reads itself stays readable if its
    /// author reveals it; all else that is secret is masked.
    pub fn shown(&self, template: &Template, reveal: bool) -> Result<String, Trouble> {
        let text = template.render_text(self.scope)?;
        if !reveal {
            return Ok(self.mask(&text));
        }
        let mut others = redact::Redactor::new();
        let read = |name: &str| template.reads().iter().any(|read| read.name == name);
        for (_, value) in self.scope.secrets().into_iter().filter(|(name, _)| !read(name)) {
            // what is too short to be found is not found here either
            let _ = others.add_json(&value);
        }
        Ok(others.mask(&text).into_owned())
    }
}

/// The kind of this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
