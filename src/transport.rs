//! One HTTP client a connection, and what can go wrong on the wire.
//!
//! The distinction that matters to the journal is made here: was the request never sent
//! (nothing happened), or sent and not answered (it may have happened)?

mod cookies;
mod redirect;
pub mod ssh;
mod tls;
mod upload;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;

use crate::crash;
pub use cookies::{Cookie, Jar};
pub use tls::Tls;
pub use upload::{Payload, Piece};

/// The largest body taken, in bytes.
pub const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// The most headers an answer may have.
const HEADERS: usize = 128;

/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method, upper case.
    pub method: String,
    /// The whole URL.
    pub url: url::Url,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Payload>,
    /// How long the whole exchange may take.
    pub timeout: Duration,
    /// How many redirects are followed, to the same origin only; with none they are answers.
    pub redirects: usize,
    /// The cookies it sends, and where those go that its answers set.
    pub cookies: Option<Cookies>,
}

/// A jar for one request.
#[derive(Debug, Clone)]
pub struct Cookies {
    /// The connection's jar.
    pub jar: Rc<RefCell<Jar>>,
    /// The time, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names (lower case) and values, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body, unpacked.
    pub body: Vec<u8>,
    /// The cookies that it and the redirects before it set.
    pub cookies: Vec<Cookie>,
    /// Whether a redirect before it turned the request into a GET: then it tells nothing of
    /// what was asked for first.
    pub turned: bool,
}

impl Response {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// How long `Retry-After` asks to wait (RFC 9110, 10.2.3): seconds, or until a time, which
    /// is measured by the server's own clock if it says it, else by `now_ms`, Unix time.
    pub fn retry_after(&self, now_ms: i64) -> Option<Duration> {
        let asked = self.header("retry-after")?.trim();
        if let Ok(seconds) = asked.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let date = |text: &str| httpdate::parse_http_date(text).ok();
        let ours = || UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or(0));
        let now = self.header("date").and_then(date).unwrap_or_else(ours);
        // a time that has passed asks for no wait
        Some(date(asked)?.duration_since(now).unwrap_or_default())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The request cannot even be made, and never will.
    Unmade(String),
    /// The request was never sent: nothing can have happened.
    NotSent(String),
    /// The same: the way through another host does not lead there.
    NoWay(ssh::Fault),
    /// The request was sent; the server may have acted on it.
    NoAnswer(String),
    /// The same: nothing came in time.
    TooLate(String),
    /// The server answered, but the answer cannot be taken.
    BadAnswer(String),
}

impl Broken {
    /// The same, after a request that was answered with a redirect: that was sent.
    fn late(self) -> Self {
        match self {
            Self::Unmade(_) | Self::NotSent(_) | Self::NoWay(_) => {
                Self::NoAnswer(format!("after a redirect: {}", self.message()))
            }
            other => other,
        }
    }

    /// What went wrong, one line.
    pub fn message(&self) -> &str {
        match self {
            Self::Unmade(text)
            | Self::NotSent(text)
            | Self::NoAnswer(text)
            | Self::TooLate(text)
            | Self::BadAnswer(text) => text,
            Self::NoWay(fault) => &fault.message,
        }
    }
}

/// Takes the body of an answer as it comes, instead of memory.
pub trait Taker {
    /// Whether it takes the body of an answer with this status.
    fn wants(&self, status: u16) -> bool;

    /// Takes what has come; fails with what is wrong, one line.
    fn take(&mut self, chunk: &[u8]) -> Result<(), String>;
}

/// A client with its kept connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
}

/// How a service is reached.
#[derive(Debug, Clone)]
pub enum Via {
    /// Directly, or through the proxies that the environment names.
    Proxies,
    /// Directly, whatever the environment says.
    Direct,
    /// Through a unix socket of this machine.
    Socket(PathBuf),
    /// Through another host; the way must lead to the base.
    Host(ssh::Way),
}

impl Client {
    /// A client for a base URL; TLS roots are loaded only if it may need them.
    pub fn new(base: &url::Url, tls: &Tls, via: Via) -> Result<Self, String> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("runbook/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http1_max_headers(HEADERS)
            .redirect(Policy::none());
        install_provider();
        let builder = if base.scheme() == "https" {
            tls.apply(builder)?
        } else {
            // a redirect never leaves the scheme, so that nothing needs the authorities
            builder.tls_certs_only([])
        };
        let builder = match via {
            Via::Proxies => builder,
            Via::Direct => builder.no_proxy(),
            Via::Socket(path) => builder.no_proxy().unix_socket(path),
            Via::Host(way) => {
                builder.no_proxy().unix_socket(way.socket()).connector_layer(ssh::Reached(way))
            }
        };
        let inner = builder.build().map_err(|error| root_cause(&error))?;
        Ok(Self { inner })
    }

    /// Sends a request and takes the whole answer.
    pub async fn send(&self, request: Request) -> Result<Response, Broken> {
        self.send_for(request, None).await
    }

    /// The same; a body that the `taker` wants goes there.
    pub async fn send_for(
        &self,
        request: Request,
        taker: Option<&mut dyn Taker>,
    ) -> Result<Response, Broken> {
        let timeout = request.timeout;
        let built = self.build(request.clone()).map_err(Broken::Unmade)?;
        crash::point();
        let answer = tokio::time::timeout(timeout, self.follow(request, built, taker)).await;
        crash::point();
        answer.unwrap_or_else(|_| Err(Broken::TooLate(format!("no answer within {timeout:?}"))))
    }

    /// Sends it, and what its redirects lead to: so many, and to the same origin only.
    async fn follow(
        &self,
        mut request: Request,
        mut built: reqwest::Request,
        mut taker: Option<&mut dyn Taker>,
    ) -> Result<Response, Broken> {
        let (mut set, mut turned) = (Vec::new(), false);
        for followed in 0.. {
            // the type's own way to lend it again is no method of an option
            let lent = taker.as_mut().map(|taker| &mut **taker as &mut dyn Taker);
            let answer = self.exchange(built, lent).await;
            let mut response =
                answer.map_err(|broken| if turned { broken.late() } else { broken })?;
            if let Some(cookies) = &request.cookies {
                let headers = response.headers.iter().filter(|(name, _)| name == "set-cookie");
                let headers = headers.map(|(_, value)| value.as_str());
                let mut jar = cookies.jar.borrow_mut();
                set.extend(jar.take(&request.url, headers, cookies.now_ms));
            }
            match redirect::next(&request, &response).map_err(Broken::BadAnswer)? {
                Some(_) if followed >= request.redirects => {
                    return Err(Broken::BadAnswer("too many redirects".to_owned()));
                }
                Some(next) => {
                    turned |= next.method != request.method;
                    request = next;
                }
                None => {
                    (response.cookies, response.turned) = (set, turned);
                    return Ok(response);
                }
            }
            built = self.build(request.clone()).map_err(Broken::BadAnswer)?;
        }
        Err(Broken::BadAnswer("too many redirects".to_owned()))
    }

    fn build(&self, request: Request) -> Result<reqwest::Request, String> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| format!("`{}` is not an HTTP method", request.method))?;
        let mut headers = HeaderMap::with_capacity(request.headers.len());
        for (name, value) in request.headers {
            let key = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("`{name}` is not a header name"))?;
            let value = HeaderValue::from_str(&value).map_err(|_| {
                format!("the value of header `{name}` holds a line end or a control character")
            })?;
            headers.append(key, value);
        }
        if let Some(cookies) = &request.cookies
            && let Some(all) = cookies.jar.borrow().header(&request.url, cookies.now_ms)
        {
            let value = match headers.get(COOKIE).and_then(|own| own.to_str().ok()) {
                Some(own) => format!("{own}; {all}"),
                None => all,
            };
            let value = HeaderValue::from_str(&value).map_err(|_| "a cookie is no header")?;
            headers.insert(COOKIE, value);
        }
        let mut builder = self.inner.request(method, request.url).headers(headers);
        if let Some(body) = request.body {
            builder = builder.body(body.open()?);
        }
        builder.build().map_err(|error| root_cause(&error))
    }

    async fn exchange(
        &self,
        request: reqwest::Request,
        taker: Option<&mut dyn Taker>,
    ) -> Result<Response, Broken> {
        let mut answer = self.inner.execute(request).await.map_err(|error| broken(&error))?;
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(key, value)| {
                (key.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut taker = taker.filter(|taker| taker.wants(status));
        let mut body = Vec::new();
        loop {
            match (answer.chunk().await, &mut taker) {
                (Ok(Some(chunk)), Some(taker)) => {
                    taker.take(&chunk).map_err(Broken::BadAnswer)?;
                }
                (Ok(Some(chunk)), None) if body.len() + chunk.len() > BODY_LIMIT => {
                    let limit = BODY_LIMIT / (1024 * 1024);
                    return Err(Broken::BadAnswer(format!(
                        "the answer is larger than {limit} MiB"
                    )));
                }
                (Ok(Some(chunk)), None) => body.extend_from_slice(&chunk),
                (Ok(None), _) => {
                    return Ok(Response {
                        status,
                        headers,
                        body,
                        cookies: Vec::new(),
                        turned: false,
                    });
                }
                (Err(error), _) => {
                    let cause = root_cause(&error);
                    return Err(Broken::NoAnswer(format!("the answer broke off: {cause}")));
                }
            }
        }
    }
}

fn install_provider() {
    // A second call finds the first one's provider in place: that is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn broken(error: &reqwest::Error) -> Broken {
    if let Some(fault) = no_way(error) {
        return Broken::NoWay(fault.clone());
    }
    let cause = root_cause(error);
    if error.is_connect() || error.is_builder() {
        Broken::NotSent(cause)
    } else if error.is_redirect() || error.is_decode() {
        Broken::BadAnswer(cause)
    } else {
        Broken::NoAnswer(cause)
    }
}

/// What the look before a connection found, if it was never made.
fn no_way(error: &reqwest::Error) -> Option<&ssh::Fault> {
    let first = std::error::Error::source(error).filter(|_| error.is_connect());
    std::iter::successors(first, |error| error.source()).find_map(|error| error.downcast_ref())
}

/// The innermost cause: the outer ones only say that something failed.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06 08:49:37 UTC, in milliseconds.
    const NOW: i64 = 784_111_777_000;

    fn asks(headers: &[(&str, &str)]) -> Option<Duration> {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Response { status: 503, headers, body: Vec::new(), cookies: Vec::new(), turned: false }
            .retry_after(NOW)
    }

    #[test]
    fn retry_after_is_read_in_every_form_that_rfc_9110_has() {
        for (value, wait) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
            ("Sun Nov  6 08:50:07 1994", Some(30)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(asks(&[("retry-after", value)]), wait.map(Duration::from_secs), "{value}");
        }
        assert_eq!(asks(&[]), None);
    }

    #[test]
    fn a_time_is_measured_by_the_clock_of_who_says_it() {
        let until = ("retry-after", "Sun, 06 Nov 1994 10:00:10 GMT");
        let date = ("date", "Sun, 06 Nov 1994 10:00:00 GMT");
        assert_eq!(asks(&[until, date]), Some(Duration::from_secs(10)));
        assert_eq!(asks(&[until, ("date", "now")]), Some(Duration::from_secs(4233)));
    }
}
