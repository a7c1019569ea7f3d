//! Kinds of steps: what there is, and what each must be able to do.
//!
//! A kind is one file with all there is to know about it. [`KINDS`] is the only list:
//! the parser, the docs, the schema and "did you mean" read it; the engine never asks
//! which kind a step is of.

pub mod connection;
mod append;
mod block;
mod command;
mod dns;
mod generate;
pub mod gate;
mod http;
pub mod jq;
pub mod manual;
mod note;
pub mod plugin;
mod prompt;
mod rehearsed;
mod remove;
pub mod retry;
mod use_runbook;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub use crate::journal::event::{Effect, Failure};
use crate::jq::{Programs, Val};
use crate::reader::{Field, Reader, Rules};
use crate::redact;
use crate::scope::Scope;
use crate::template::{RenderError, Template};
use crate::terminal::{Nobody, Terminal};
use crate::transport::ssh::{Destination, Fault, Session, Sessions};
use crate::transport::{Client, Jar, Via};
use crate::value::Labeled;
use crate::world::World;
pub use connection::{Connection, Route};
pub use gate::{Gate, judge};
pub use http::{PART_RULES, RULES as PAGE_RULES};
pub use manual::{Hand, Manual};
pub use retry::{Cause, Refusal};

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

    /// What it is about to do, in one line: `POST https://…`.
    fn what(&self, cx: &Cx<'_>) -> Result<String, Trouble>;

    /// What it would send or write, for `plan` and `--step`.
    fn preview(&self, _cx: &Cx<'_>) -> Result<Vec<String>, Trouble> {
        Ok(Vec::new())
    }

    /// How things stand before it acts, where only that can tell after a crash what it changed.
    /// Kept with the intent, and given to `run` and `take_back` when the step is in doubt.
    fn before(&self, _cx: &Cx<'_>) -> Vec<(&'static str, Labeled)> {
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
    fn touches(&self) -> Vec<Touch> {
        Vec::new()
    }

    /// The call it makes of a service, as its author wrote it.
    fn calls(&self) -> Option<Call<'_>> {
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// Runs a program: its command line.
    Runs(String),
    /// Writes a file: its path.
    Writes(String),
    /// Sends a file to a service: its path.
    Sends(String),
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
    pub inputs: &'a [(String, crate::reader::Tree)],
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
    Failure { message: message.into(), details: Vec::new(), hints: Vec::new(), doubt: false }
}

impl From<RenderError> for Trouble {
    fn from(error: RenderError) -> Self {
        Self::failed(error.0)
    }
}

/// Takes what a step, by its id, gets to read.
pub type Seen = Box<dyn Fn(&str, Sight, &Val)>;

/// Tells whether a call, by its method and address, is refused.
pub type Refuses = Box<dyn Fn(&str, &url::Url) -> bool>;

/// What of a step's is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Its own answer.
    Answer,
    /// The answer to its `already`.
    LookUp,
    /// The object that `find` took out of that.
    Found,
}

/// What every step of a run shares.
pub struct Services {
    /// Clock, environment, folders.
    pub world: World,
    /// The person, if any.
    pub terminal: Box<dyn Terminal>,
    /// What must never be shown.
    pub redactor: redact::Shared,
    /// Confirmations are taken as given.
    pub yes: bool,
    /// Answers given beforehand: step, value.
    pub answers: HashMap<String, String>,
    /// Names that resolve to an address in a rehearsal.
    pub hosts: Option<String>,
    /// The address of the fake that answers commands in a rehearsal.
    pub fake: Option<String>,
    /// In a rehearsal: the folder below which all files are written.
    pub folder: Option<PathBuf>,
    /// In a test: calls for which nobody listens.
    pub refuses: Option<Refuses>,
    /// Told of every answer and every object found, before anything is read out of it.
    pub seen: Option<Seen>,
    clients: Rc<RefCell<HashMap<String, Client>>>,
    jars: RefCell<HashMap<*const Connection, Rc<RefCell<Jar>>>>,
    sessions: Rc<Sessions>,
}

impl Services {
    /// Services with no client built yet.
    pub fn new(world: World, terminal: Box<dyn Terminal>, redactor: redact::Shared) -> Self {
        let sessions = Rc::new(Sessions::new(world.var("PATH").unwrap_or_default()));
        Self {
            world,
            terminal,
            redactor,
            yes: false,
            answers: HashMap::new(),
            hosts: None,
            fake: None,
            folder: None,
            refuses: None,
            seen: None,
            clients: Rc::default(),
            jars: RefCell::default(),
            sessions,
        }
    }

    /// Where a call really goes: in a test one may go where nobody listens, and is refused.
    pub fn refused(&self, method: &str, url: url::Url) -> url::Url {
        const NOBODY: u16 = 1;
        let mut url = url;
        if self.refuses.as_ref().is_some_and(|refuses| refuses(method, &url)) {
            // fails for an address without a host, which is no service's
            let _ = url.set_port(Some(NOBODY));
        }
        url
    }

    /// The services of another run of this process, that has secrets of its own and nobody to
    /// ask: connections are shared.
    #[must_use]
    pub fn beside(&self, redactor: redact::Shared) -> Self {
        Self {
            world: self.world.clone(),
            terminal: Box::new(Nobody),
            redactor,
            yes: self.yes,
            answers: self.answers.clone(),
            hosts: self.hosts.clone(),
            fake: self.fake.clone(),
            folder: self.folder.clone(),
            clients: Rc::clone(&self.clients),
            sessions: Rc::clone(&self.sessions),
            refuses: None,
            seen: None,
            jars: RefCell::default(),
        }
    }

    /// Tells whoever wants to know.
    pub fn see(&self, step: &str, sight: Sight, value: &Val) {
        if let Some(seen) = &self.seen {
            seen(step, sight, value);
        }
    }

    /// Where a file is: as the path says, or in a rehearsal below its folder, so that nothing
    /// real is written.
    pub fn place(&self, path: &str) -> PathBuf {
        match &self.folder {
            Some(folder) => rehearsed(folder, path, &self.world),
            None => self.world.cwd.join(self.world.expand_home(path)),
        }
    }

    /// The client of a connection; built when first needed, then kept. In a rehearsal the
    /// service is here, so nothing goes through another host.
    pub async fn client(
        &self,
        name: &str,
        base: &url::Url,
        route: &Route,
    ) -> Result<Client, Trouble> {
        self.only_the_fake(base)?;
        let via = match (&route.through, &route.socket) {
            _ if self.hosts.is_some() => Via::Direct,
            (None, None) if self.no_proxies() => Via::Direct,
            (Some(to), _) => {
                let session = self.session(to).await?;
                let port = base.port_or_known_default().unwrap_or_default();
                Via::Host(session.way(base.host_str().unwrap_or_default(), port).await?)
            }
            (None, Some(socket)) => Via::Socket(socket.clone()),
            (None, None) => Via::Proxies,
        };
        let socket = match &via {
            Via::Host(way) => Some(way.socket()),
            Via::Socket(path) => Some(&**path),
            Via::Proxies | Via::Direct => None,
        };
        let tls = &route.tls;
        // Runbooks used by a runbook may have connections of the same name and other certificates.
        let key = format!("{name} {} {socket:?} {tls:?}", base.scheme());
        if let Some(client) = self.clients.borrow().get(&key) {
            return Ok(client.clone());
        }
        if matches!(via, Via::Proxies) {
            self.learn_proxies();
        }
        let client = Client::new(base, tls, via).map_err(Trouble::failed)?;
        self.clients.borrow_mut().insert(key, client.clone());
        Ok(client)
    }

    /// Whether `NO_PROXY` names everything. The client takes that for names only, no addresses.
    fn no_proxies(&self) -> bool {
        let named = self.world.var("NO_PROXY").or_else(|| self.world.var("no_proxy"));
        named.is_some_and(|named| named.split(',').any(|one| one.trim() == "*"))
    }

    /// What must not be shown of the proxies that the environment names: their passwords.
    fn learn_proxies(&self) {
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            let (lower, upper) = (name.to_lowercase(), name);
            for value in [self.world.var(&lower), self.world.var(upper)].into_iter().flatten() {
                let Some(password) = value.rsplit_once('@').and_then(|(user, _)| {
                    user.rsplit_once("//").map_or(user, |(_, user)| user).split_once(':')
                }) else {
                    continue;
                };
                // one too short to be found is found by nobody else either
                let _ = self.redactor.add_json(&password.1.into());
            }
        }
    }

    /// The cookies of a connection, as long as this walk lasts.
    pub fn jar(&self, connection: &Rc<Connection>) -> Rc<RefCell<Jar>> {
        // one of the same name in a used runbook is another one
        Rc::clone(self.jars.borrow_mut().entry(Rc::as_ptr(connection)).or_default())
    }

    /// In a rehearsal nothing but the fake is called: a runbook may have a real address written
    /// into it.
    fn only_the_fake(&self, url: &url::Url) -> Result<(), Trouble> {
        let Some(fake) = self.fake.as_ref().and_then(|fake| url::Url::parse(fake).ok()) else {
            return Ok(());
        };
        if url.origin() == fake.origin() {
            return Ok(());
        }
        let origin = url.origin().ascii_serialization();
        Err(Trouble::failed(format!("a rehearsal calls the fake alone, not {origin}")).hint(
            "let the address be an input, which the fake answers with `$URL`, its own address",
        ))
    }

    /// The session to a host, connected; kept for the whole run. If a person is there, ssh may
    /// ask them for a passphrase.
    pub async fn session(&self, to: &Destination) -> Result<Arc<Session>, Trouble> {
        let session = self.sessions.to(to);
        if !session.is_open().await {
            let _still = Still::new(&*self.terminal);
            session.open(self.terminal.present()).await?;
        }
        Ok(session)
    }
}

/// Where a rehearsal has a file: its folder stands for the root, and for the place where the
/// program was started; `home` in it for the person's own, wherever that is. No path leads out of it.
pub fn rehearsed(folder: &Path, path: &str, world: &World) -> PathBuf {
    let path = world.expand_home(path);
    let at_home = || {
        let home = world.home.as_deref().filter(|home| home.parent().is_some())?;
        Some(Path::new("home").join(path.strip_prefix(home).ok()?))
    };
    let below = path.strip_prefix(folder).ok().map(Path::to_path_buf);
    let path = below.or_else(at_home).unwrap_or_else(|| path.clone());
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    parts.iter().fold(folder.to_path_buf(), |placed, name| placed.join(name))
}

/// Nothing moves on the screen while it lives.
struct Still<'a>(&'a dyn Terminal);

impl<'a> Still<'a> {
    fn new(terminal: &'a dyn Terminal) -> Self {
        terminal.still(true);
        Self(terminal)
    }
}

impl Drop for Still<'_> {
    fn drop(&mut self) {
        self.0.still(false);
    }
}

/// A way through another host that does not lead there: nothing was done.
impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        let again = if fault.passing { Again::Safe } else { Again::No };
        let hints = fault.hint.into_iter().collect();
        let (message, details) = (fault.message, fault.details);
        Self::Failed(Failure { message, details, hints, doubt: false }, again)
    }
}

/// What a step sees while it runs.
pub struct Cx<'a> {
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
