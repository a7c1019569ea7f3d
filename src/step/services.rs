//! What every step of a run shares: clients, sessions, the person, and in a rehearsal the fake.
//!
//! In a rehearsal nothing real is called or written: that is decided here and nowhere else.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{Connection, Route, Trouble};
use crate::jq::Val;
use crate::redact;
use crate::terminal::{NoAnswer, Nobody, Question, Terminal, Validator};
use crate::transport::ssh::{Destination, Session, Sessions};
use crate::transport::{Client, Jar, Via};
use crate::world::World;

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
    pub world: Rc<World>,
    /// The person, if any.
    pub terminal: Box<dyn Terminal>,
    /// What must never be shown.
    pub redactor: redact::Shared,
    /// Confirmations are taken as given, and nobody is asked.
    pub yes: bool,
    /// Answers given beforehand: step, value.
    pub answers: HashMap<String, String>,
    /// Steps that took theirs.
    pub answered: RefCell<HashSet<String>>,
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
    /// How long a person thought, at all questions together.
    pub thought: Cell<Duration>,
    /// By the way there.
    clients: Rc<RefCell<HashMap<String, Client>>>,
    jars: RefCell<HashMap<*const Connection, Rc<RefCell<Jar>>>>,
    sessions: Rc<Sessions>,
}

/// The person of some services; how long they think is counted.
pub struct Person<'a>(&'a Services);

impl Terminal for Person<'_> {
    fn ask(&self, question: &Question, valid: Validator) -> Result<String, NoAnswer> {
        let Services { world, thought, .. } = self.0;
        if !self.present() {
            return Err(NoAnswer::NoTerminal);
        }
        let began = world.clock.monotonic();
        let answer = self.0.terminal.ask(question, valid);
        thought.set(thought.get() + world.clock.monotonic().saturating_sub(began));
        answer
    }

    fn present(&self) -> bool {
        !self.0.yes && self.0.terminal.present()
    }
}

/// What every name resolves to in a rehearsal.
const LOOPBACK: &str = "127.0.0.1";

impl Services {
    /// Services with no client built yet.
    pub fn new(
        world: impl Into<Rc<World>>,
        terminal: Box<dyn Terminal>,
        redactor: redact::Shared,
    ) -> Self {
        let world = world.into();
        let sessions = Rc::new(Sessions::new(world.var("PATH").unwrap_or_default()));
        Self {
            world,
            terminal,
            redactor,
            yes: false,
            answers: HashMap::new(),
            answered: RefCell::default(),
            hosts: None,
            fake: None,
            folder: None,
            refuses: None,
            seen: None,
            thought: Cell::default(),
            clients: Rc::default(),
            jars: RefCell::default(),
            sessions,
        }
    }

    /// From here on it is a rehearsal: every name is here, files are below a folder, and the fake
    /// answers commands too.
    pub fn rehearse(&mut self, folder: Option<PathBuf>, fake: Option<String>) {
        (self.hosts, self.folder, self.fake) = (Some(LOOPBACK.to_owned()), folder, fake);
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

    /// Who is asked for an answer, if anybody may be.
    pub fn person(&self) -> Person<'_> {
        Person(self)
    }

    /// The services of another run of this process, that has secrets of its own and nobody to
    /// ask: connections are shared.
    #[must_use]
    pub fn beside(&self, redactor: redact::Shared) -> Self {
        Self {
            world: Rc::clone(&self.world),
            terminal: Box::new(Nobody),
            redactor,
            yes: self.yes,
            answers: self.answers.clone(),
            answered: RefCell::default(),
            hosts: self.hosts.clone(),
            fake: self.fake.clone(),
            folder: self.folder.clone(),
            clients: Rc::clone(&self.clients),
            sessions: Rc::clone(&self.sessions),
            refuses: None,
            seen: None,
            thought: Cell::default(),
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

    /// The same for a file that is written: in a rehearsal its folder is made, as the folders of
    /// the real place are no part of the test.
    pub fn place_to_write(&self, path: &str) -> PathBuf {
        let path = self.place(path);
        if self.folder.is_some()
            && let Some(folder) = path.parent()
        {
            // what could not be made is told by writing
            let _ = std::fs::create_dir_all(folder);
        }
        path
    }

    /// The client for a base; built when first needed, then kept for all connections that reach
    /// their services in the same way. In a rehearsal the service is here, so nothing goes
    /// through another host.
    pub async fn client(&self, base: &url::Url, route: &Route) -> Result<Client, Trouble> {
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
        let by = match &via {
            Via::Host(way) => format!("host {}", way.socket().display()),
            Via::Socket(path) => format!("socket {}", path.display()),
            Via::Proxies => "proxies".to_owned(),
            Via::Direct => "direct".to_owned(),
        };
        let tls = &route.tls;
        let key = format!("{} {by} {tls:?}", base.scheme());
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

    /// The leave to run one more command on a host, given back when it is dropped. It is waited for
    /// before the command's own time runs; in a rehearsal nothing runs there.
    pub async fn room(&self, to: &Destination) -> Option<OwnedSemaphorePermit> {
        if self.fake.is_some() { None } else { self.sessions.to(to).room().await }
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
