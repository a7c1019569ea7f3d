//! A real HTTP/1.1 server on loopback with canned answers, a log, and faults on demand.
//!
//! Routes come from text (`routes.toml`). The first route that fits and is not used up answers;
//! none: 404. Every request is logged as it arrives, whatever then becomes of it. All control is
//! from outside and nothing sleeps: a test waits for a request, then releases what is held.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use serde::Deserialize;

use super::env::PATIENCE;

/// What goes wrong at one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is refused: the server is down from just before this request on.
    Refuse,
    /// The request is received and nothing done about it; the server is down from then on.
    Down,
    /// The request is received, then the connection closed without a byte of answer.
    Close,
    /// The request is received and nothing done about it, then the connection closed.
    Drop,
    /// The request is received and nothing done about it; no answer until [`Server::release`].
    Deaf,
    /// Nothing is answered until [`Server::release`].
    Hold,
    /// The head is answered, the body not until [`Server::release`].
    Stall,
    /// The head promises the whole body, half of it comes, then the connection closes.
    Cut,
    /// The request is answered, and from then on the server is down.
    ThenDown,
}

impl Fault {
    /// The fault of that name in a transcript.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "then-down" => Some(Self::ThenDown),
            "down" => Some(Self::Down),
            "close" => Some(Self::Close),
            "drop" => Some(Self::Drop),
            "deaf" => Some(Self::Deaf),
            "hold" => Some(Self::Hold),
            "stall" => Some(Self::Stall),
            "cut" => Some(Self::Cut),
            _ => None,
        }
    }
}

/// A request as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// One line of `routes.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    #[serde(default = "get")]
    method: String,
    /// With a `?`, the query must fit too; a `*` at the end fits any rest.
    path: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A string is sent as it is, anything else as JSON.
    body: Option<toml::Value>,
    /// How often it answers before the next fitting route does.
    times: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Routes {
    #[serde(default)]
    routes: Vec<Route>,
}

fn get() -> String {
    "GET".to_owned()
}

fn ok() -> u16 {
    200
}

impl Route {
    fn fits(&self, method: &str, target: &str) -> bool {
        let path = target.split('?').next().unwrap_or(target);
        let subject = if self.path.contains('?') { target } else { path };
        let fits = match self.path.strip_suffix('*') {
            Some(start) => target.starts_with(start),
            None => subject == self.path,
        };
        fits && self.method == method && self.times != Some(0)
    }

    fn answer(&self) -> Answer {
        let (kind, body) = match &self.body {
            None => (None, String::new()),
            Some(toml::Value::String(text)) => (Some("text/plain"), text.clone()),
            Some(other) => {
                let json = serde_json::to_string(other).expect("a TOML value is JSON");
                (Some("application/json"), json)
            }
        };
        let mut headers = self.headers.clone();
        if let Some(kind) = kind
            && !headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"))
        {
            headers.insert("content-type".to_owned(), kind.to_owned());
        }
        Answer { status: self.status, headers, body }
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// Answers requests, one at a time, instead of routes.
pub(crate) type Handler = Box<dyn FnMut(&Request) -> Answer + Send>;

impl Answer {
    fn head(&self, close: bool) -> String {
        let mut head = format!("HTTP/1.1 {} Canned\r\n", self.status);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if close {
            head += "connection: close\r\n";
        }
        // These never have a body, nor a length.
        if !matches!(self.status, 204 | 304) {
            let _ = write!(head, "content-length: {}\r\n", self.body.len());
        }
        head + "\r\n"
    }
}

#[derive(Default)]
struct State {
    routes: Vec<Route>,
    handler: Option<Handler>,
    log: Vec<Request>,
    faults: HashMap<usize, Fault>,
    awaited: Vec<Awaited<Fault>>,
    /// How often `release` was called; what is held waits for the next.
    released: usize,
    up: bool,
    /// The listening socket, to shut it down by.
    listening: Option<TcpStream>,
    /// Open connections by number, and whether a request is being answered on it.
    open: HashMap<u64, (TcpStream, bool)>,
    next: u64,
}

struct Shared {
    address: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test thread panicked in the server")
    }

    /// Closes the listener and every idle connection; `all` closes the busy ones too.
    fn go_down(&self, all: bool) {
        let mut state = self.state();
        state.up = false;
        // Closing is not enough: a child that another test is just starting holds a copy of the
        // socket until it executes. Shutting down reaches every copy.
        if let Some(listening) = state.listening.take() {
            let _ = listening.shutdown(Shutdown::Both);
        }
        for (stream, busy) in state.open.values() {
            if all || !*busy {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        drop(state);
        self.changed.notify_all();
        if let Some(acceptor) = self.acceptor.lock().expect("acceptor").take() {
            // Wakes the thread from its wait for a connection; it sees that it is to end.
            let _ = TcpStream::connect(self.address);
            acceptor.join().expect("acceptor ends");
        }
    }
}

/// `127.x.y.z` of this process and this call. Linux has all of 127/8 on loopback; elsewhere there
/// is only the usual one.
fn own_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [.., high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let address = format!("127.{}.{high}.{low}", 1 + std::process::id() % 250);
    let there = TcpListener::bind((address.as_str(), 0)).is_ok();
    if there { address } else { "127.0.0.1".to_owned() }
}

/// The server. Dropping it closes everything.
pub(crate) struct Server(Arc<Shared>);

impl Server {
    /// Starts on a free port with the routes of a `routes.toml`.
    pub(crate) fn start(routes: &str) -> Self {
        let server = Self::bind();
        server.routes(routes);
        server
    }

    /// Starts at an address of loopback that no other test uses, with a program in the place of
    /// routes: while it is down, its port is nobody else's.
    pub(crate) fn handling(handler: Handler) -> Self {
        let server = Self::bind_at(&own_address());
        server.0.state().handler = Some(handler);
        server
    }

    /// Starts on a free port without routes.
    pub(crate) fn bind() -> Self {
        Self::bind_at("127.0.0.1")
    }

    /// The same as [`Server::start`] at another address of loopback.
    pub(crate) fn start_at(address: &str, routes: &str) -> Self {
        let server = Self::bind_at(address);
        server.routes(routes);
        server
    }

    fn bind_at(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let shared = Shared {
            address,
            state: Mutex::default(),
            changed: Condvar::new(),
            acceptor: Mutex::default(),
        };
        let server = Self(Arc::new(shared));
        server.accept(listener);
        server
    }

    /// Replaces the routes.
    pub(crate) fn routes(&self, text: &str) {
        let routes: Routes = toml::from_str(text).expect("routes.toml is valid");
        self.0.state().routes = routes.routes;
    }

    /// `127.0.0.1:PORT`, the same over its whole life.
    pub(crate) fn address(&self) -> String {
        self.0.address.to_string()
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Every request received so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.0.state().log.clone()
    }

    /// Waits until `count` requests have been received in all.
    pub(crate) fn wait_for(&self, count: usize) {
        let state = self.0.state();
        let (state, _) = self
            .0
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.log.len() < count)
            .expect("server state");
        let came = state.log.len();
        drop(state);
        assert!(came >= count, "only {came} of {count} requests came");
    }

    /// Sets what goes wrong at the `n`-th request, counted from 1 over the server's whole life.
    pub(crate) fn fault_at(&self, n: usize, fault: Fault) {
        let mut state = self.0.state();
        state.faults.insert(n, fault);
        let now = fault == Fault::Refuse && state.log.len() + 1 == n;
        drop(state);
        if now {
            self.0.state().faults.remove(&n);
            self.0.go_down(false);
        }
    }

    /// Sets what goes wrong at a request yet to come.
    pub(crate) fn fault_on(&self, fault: Awaited<Fault>) {
        self.0.state().awaited.push(fault);
    }

    /// The requests that were to go wrong and never came.
    pub(crate) fn unmet(&self) -> Vec<String> {
        self.0.state().awaited.iter().map(|awaited| awaited.request.clone()).collect()
    }

    /// Nothing goes wrong any more, but for what is held already.
    pub(crate) fn heal(&self) {
        self.0.state().faults.clear();
    }

    /// Lets go of everything that is held or stalled.
    pub(crate) fn release(&self) {
        self.0.state().released += 1;
        self.0.changed.notify_all();
    }

    /// Goes down: connections are closed, new ones refused once this returns.
    pub(crate) fn stop(&self) {
        self.0.go_down(true);
    }

    /// Comes back at the same address.
    pub(crate) fn resume(&self) {
        if !self.0.state().up {
            self.accept(TcpListener::bind(self.0.address).expect("the port is still free"));
        }
    }

    fn accept(&self, listener: TcpListener) {
        let copy = listener.try_clone().expect("listener clones");
        let mut state = self.0.state();
        state.listening = Some(TcpStream::from(OwnedFd::from(copy)));
        state.up = true;
        drop(state);
        let shared = Arc::clone(&self.0);
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if !shared.state().up {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || Connection::serve(&shared, stream));
            }
        });
        *self.0.acceptor.lock().expect("acceptor") = Some(acceptor);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.release();
        self.stop();
    }
}

/// Something that goes wrong at a request yet to come.
#[derive(Debug)]
pub(crate) struct Awaited<F> {
    /// Method and path.
    pub(crate) request: String,
    /// At the how manieth such request, from 1.
    pub(crate) nth: usize,
    /// What.
    pub(crate) fault: F,
}

/// What goes wrong at a request, which is awaited no longer.
pub(crate) fn strike<F>(awaited: &mut Vec<Awaited<F>>, method: &str, target: &str) -> Option<F> {
    let path = target.split('?').next().unwrap_or(target);
    let request = format!("{method} {path}");
    for met in awaited.iter_mut().filter(|awaited| awaited.request == request) {
        met.nth -= 1;
    }
    let at = awaited.iter().position(|awaited| awaited.nth == 0)?;
    Some(awaited.remove(at).fault)
}

struct Connection<'a> {
    shared: &'a Shared,
    number: u64,
    stream: TcpStream,
}

impl Connection<'_> {
    fn serve(shared: &Shared, stream: TcpStream) {
        let number = {
            let mut state = shared.state();
            if !state.up {
                return;
            }
            state.next += 1;
            let number = state.next;
            let clone = stream.try_clone().expect("stream clones");
            state.open.insert(number, (clone, false));
            number
        };
        let mut reader = BufReader::new(stream.try_clone().expect("stream clones"));
        let mut connection = Connection { shared, number, stream };
        while let Some(request) = read_request(&mut reader) {
            if connection.answer(request).is_none() {
                break;
            }
        }
        let _ = connection.stream.shutdown(Shutdown::Both);
        shared.state().open.remove(&number);
    }

    /// Logs and answers one request; `None` when the connection is to be closed.
    fn answer(&mut self, request: Request) -> Option<()> {
        let (answer, fault, last, released) = self.receive(request);
        if last {
            self.shared.go_down(false);
        }
        match fault {
            Some(Fault::Down) => {
                self.shared.go_down(true);
                return None;
            }
            Some(Fault::Close | Fault::Drop) => return None,
            Some(Fault::Hold | Fault::Deaf) => self.hold(released)?,
            _ => {}
        }
        self.send(answer.head(last).as_bytes())?;
        match fault {
            Some(Fault::Stall) => self.hold(released)?,
            Some(Fault::Cut) => {
                self.send(&answer.body.as_bytes()[..answer.body.len() / 2]);
                return None;
            }
            _ => {}
        }
        if let Some((_, busy)) = self.shared.state().open.get_mut(&self.number) {
            *busy = false;
        }
        self.send(answer.body.as_bytes())?;
        (!last).then_some(())
    }

    /// The answer, what goes wrong with it, whether it is the last before the server goes down,
    /// and the count of releases when the request came.
    fn receive(&self, request: Request) -> (Answer, Option<Fault>, bool, usize) {
        let mut state = self.shared.state();
        let number = state.log.len() + 1;
        let down = (!state.up).then_some(Fault::Drop);
        let fault = down.or_else(|| state.faults.get(&number).copied());
        let fault = fault.or_else(|| strike(&mut state.awaited, &request.method, &request.target));
        let answer = match &mut state.handler {
            _ if matches!(fault, Some(Fault::Drop | Fault::Down | Fault::Deaf)) => nothing(),
            Some(handler) => handler(&request),
            None => find(&mut state.routes, &request),
        };
        state.log.push(request);
        let refused = state.faults.get(&(number + 1)) == Some(&Fault::Refuse);
        let last = refused || fault == Some(Fault::ThenDown);
        if refused {
            // It strikes once: the request that comes after the return is served.
            state.faults.remove(&(number + 1));
        }
        if let Some((_, busy)) = state.open.get_mut(&self.number) {
            *busy = true;
        }
        self.shared.changed.notify_all();
        (answer, fault, last, state.released)
    }

    /// Waits for a release later than the given one; `None` when the server went down meanwhile.
    fn hold(&self, released: usize) -> Option<()> {
        let state = self.shared.state();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.up && state.released == released)
            .expect("server state");
        (state.released > released).then_some(())
    }

    fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).ok()
    }
}

/// What a request that nothing is done about is answered with, should it be let go.
fn nothing() -> Answer {
    Answer { status: 503, headers: BTreeMap::new(), body: String::new() }
}

fn find(routes: &mut [Route], request: &Request) -> Answer {
    let route = routes.iter_mut().find(|route| route.fits(&request.method, &request.target));
    let Some(route) = route else {
        let body = format!("no route for {} {}", request.method, request.target);
        return Answer { status: 404, headers: BTreeMap::new(), body };
    };
    route.times = route.times.map(|left| left - 1);
    route.answer()
}

/// One request; `None` at the end of the connection or when it is not HTTP.
fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let line = read_line(reader)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let body = read_body(reader, &headers)?;
    Some(Request { method, target, headers, body })
}

fn read_body(reader: &mut impl BufRead, headers: &BTreeMap<String, String>) -> Option<String> {
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        loop {
            let length = usize::from_str_radix(&read_line(reader)?, 16).ok()?;
            read_exactly(reader, length, &mut body)?;
            read_line(reader)?;
            if length == 0 {
                break;
            }
        }
    } else if let Some(length) = headers.get("content-length") {
        read_exactly(reader, length.parse().ok()?, &mut body)?;
    }
    Some(String::from_utf8_lossy(&body).into_owned())
}

fn read_exactly(reader: &mut impl BufRead, length: usize, into: &mut Vec<u8>) -> Option<()> {
    let start = into.len();
    into.resize(start + length, 0);
    reader.read_exact(&mut into[start..]).ok()
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    match reader.read_line(&mut line) {
        Ok(1..) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
