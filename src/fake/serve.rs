//! The fake on a port: hyper on a thread and runtime of its own, so that the engine's is undisturbed.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::{fmt, io};

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Fake;
use super::answer::{Answer, Request};
use crate::jq::{self, Val};
use crate::value::Json;

/// The longest request body, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// A request that came in, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method, upper case.
    pub method: String,
    /// The path and, after a `?`, the query, as sent.
    pub target: String,
    /// The answer's status; none where a fault kept the answer back.
    pub status: Option<u16>,
    /// The status that its route gave, also where the answer was lost; none where a fault kept
    /// the route from being asked.
    pub route: Option<u16>,
}

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status instead of asking the route: the state does not change.
    Status(u16),
    /// The connection is closed before the route is asked.
    Close,
    /// The route is asked and the state changes, but the connection is closed without an answer.
    DoAndClose,
    /// The route is not asked and no answer ever comes.
    Silence,
    /// The route is asked, and the connection is closed after half of the answer's body.
    Cut,
}

/// Decides for each request, by its number (from 1), its method and its target, what goes wrong
/// with it. It is asked before the route is.
pub type Faults = Box<dyn Fn(usize, &str, &str) -> Option<Fault> + Send>;

/// Learns of a request when it is answered.
pub type Listener = Box<dyn Fn(&Asked) + Send>;

/// A fake that is being served. Dropping it stops the server.
pub struct Served {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    fake: Arc<Fake>,
    state: Val,
    asked: Vec<Asked>,
    /// Learns of each request when it is answered.
    listener: Option<Listener>,
    faults: Option<Faults>,
}

/// Serves a fake on loopback, starting in this state. Port 0 takes a free one. Returns when the
/// port is open; fails when it cannot be opened. Several servers may share a fake, each with a state of
/// its own: what it compiles is compiled once.
pub fn serve(fake: impl Into<Arc<Fake>>, state: &Json, port: u16) -> io::Result<Served> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let state = jq::from_json(state);
    let shared = Arc::new(Mutex::new(Shared {
        fake: fake.into(),
        state,
        asked: Vec::new(),
        listener: None,
        faults: None,
    }));
    let (stop, stopped) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let serving = Arc::clone(&shared);
    let thread = std::thread::Builder::new().name("fake".to_owned()).spawn(move || {
        // an error here is that of a listener whose port is already open: there is none
        let _ = runtime.block_on(accept(listener, serving, stopped));
    })?;
    Ok(Served { address, shared, stop, thread: Some(thread) })
}

impl Served {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base address, `http://…` without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in the order in which they came.
    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.shared).asked.clone()
    }

    /// The state as it is now; null if a route made one that JSON cannot say.
    pub fn state(&self) -> Json {
        jq::to_json(&locked(&self.shared).state).unwrap_or_default()
    }

    /// Tells of each request from now on, when it is answered.
    pub fn listen(&self, listener: Listener) {
        locked(&self.shared).listener = Some(listener);
    }

    /// Lets these faults happen from now on. Requests are numbered from the server's start.
    pub fn set_faults(&self, faults: Faults) {
        locked(&self.shared).faults = Some(faults);
    }

    /// Stops the server and closes its connections: the port is free when this returns.
    pub fn stop(self) {
        drop(self);
    }

    /// Waits for the server's end, for a command that does nothing but serve.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a fake on {}", self.address)
    }
}

/// A panic in another thread must not make a rehearsal hang: its data are whole.
fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until told to stop. Ending drops the runtime and with it every connection.
async fn accept(
    listener: std::net::TcpListener,
    shared: Arc<Mutex<Shared>>,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        tokio::select! {
            _ = stopped.changed() => return Ok(()),
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(connection(stream, Arc::clone(&shared)));
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Mutex<Shared>>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| handle(request, &shared));
    // a client that goes away is its own business
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn handle(
    request: hyper::Request<Incoming>,
    shared: &Mutex<Shared>,
) -> Result<Response<Parts>, Dropped> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|_| Dropped)?.to_bytes();
    let headers = head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: body.to_vec(),
    };
    let target = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let reply = reply(&mut locked(shared), &request, &target);
    match reply {
        Reply::Whole(answer) => Ok(response(answer, Stage::Whole)),
        Reply::Cut(answer) => Ok(response(answer, Stage::Half)),
        Reply::Close => Err(Dropped),
        Reply::Never => {
            std::future::pending::<Infallible>().await;
            Err(Dropped)
        }
    }
}

enum Reply {
    Whole(Answer),
    Cut(Answer),
    Close,
    Never,
}

/// All of a request happens under the lock: one at a time.
fn reply(shared: &mut Shared, request: &Request, target: &str) -> Reply {
    let number = shared.asked.len() + 1;
    let fault = shared.faults.as_ref().and_then(|faults| faults(number, &request.method, target));
    let mut given = None;
    let mut route = || {
        let answer = shared.fake.answer(request, &mut shared.state);
        given = Some(answer.status);
        answer
    };
    let reply = match fault {
        None => Reply::Whole(route()),
        Some(Fault::Cut) => Reply::Cut(route()),
        Some(Fault::Status(status)) => {
            Reply::Whole(Answer::text(status, "a fault of the rehearsal\n"))
        }
        Some(Fault::Close) => Reply::Close,
        Some(Fault::Silence) => Reply::Never,
        Some(Fault::DoAndClose) => {
            route();
            Reply::Close
        }
    };
    let status = match &reply {
        Reply::Whole(answer) | Reply::Cut(answer) => Some(answer.status),
        Reply::Close | Reply::Never => None,
    };
    let (method, target) = (request.method.clone(), target.to_owned());
    let asked = Asked { method, target, status, route: given };
    if let Some(listener) = &shared.listener {
        listener(&asked);
    }
    shared.asked.push(asked);
    reply
}

fn response(answer: Answer, stage: Stage) -> Response<Parts> {
    let mut response = Response::new(Parts { left: Bytes::from(answer.body), stage });
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        let header = (HeaderName::try_from(name), HeaderValue::try_from(value));
        if let (Ok(name), Ok(value)) = header
            && !response.headers().contains_key(&name)
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A body that may break off: its whole length is announced, then half of it comes.
struct Parts {
    left: Bytes,
    stage: Stage,
}

/// What a [`Parts`] does when it is asked next.
enum Stage {
    Whole,
    Half,
    /// Nothing for a moment, so that the half is sent and not only buffered.
    Pause,
    Break,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        match self.stage {
            Stage::Whole if self.left.is_empty() => Poll::Ready(None),
            Stage::Whole => Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.left))))),
            Stage::Half => {
                self.stage = Stage::Pause;
                let half = self.left.len() / 2;
                Poll::Ready(Some(Ok(Frame::data(self.left.split_to(half)))))
            }
            Stage::Pause => {
                self.stage = Stage::Break;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Stage::Break => Poll::Ready(Some(Err(Dropped))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

/// The connection is given up on purpose.
#[derive(Debug)]
struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was given up")
    }
}

impl std::error::Error for Dropped {}
