//! One HTTP client a connection, and what can go wrong on the wire.
//!
//! The distinction that matters to the journal is made here: was the request never sent
//! (nothing happened), or sent and not answered (it may have happened)?

pub mod ssh;
mod tls;

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;

use crate::crash;
pub use tls::Tls;

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
    pub body: Option<Vec<u8>>,
    /// How long the whole exchange may take.
    pub timeout: Duration,
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
    /// What went wrong, one line.
    pub fn message(&self) -> &str {
        match self {
            Self::NotSent(text)
            | Self::NoAnswer(text)
            | Self::TooLate(text)
            | Self::BadAnswer(text) => text,
            Self::NoWay(fault) => &fault.message,
        }
    }
}

/// A client with its kept connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
}

impl Client {
    /// A client for a base URL; TLS roots are loaded only if it may need them.
    /// `redirects` is how many are followed, to the same host only. With a `way` every
    /// connection goes through another host, whatever the URL says: it must lead to the base.
    pub fn new(
        base: &url::Url,
        redirects: usize,
        tls: &Tls,
        way: Option<ssh::Way>,
    ) -> Result<Self, String> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("runbook/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http1_max_headers(HEADERS)
            .redirect(policy(redirects));
        install_provider();
        let builder = if base.scheme() == "https" {
            tls.apply(builder)?
        } else {
            // a redirect never leaves the scheme, so that nothing needs the authorities
            builder.tls_certs_only([])
        };
        let builder = match way {
            Some(way) => builder.unix_socket(way.socket()).connector_layer(ssh::Reached(way)),
            None => builder,
        };
        let inner = builder.build().map_err(|error| root_cause(&error))?;
        Ok(Self { inner })
    }

    /// Sends a request and takes the whole answer.
    pub async fn send(&self, request: Request) -> Result<Response, Broken> {
        let timeout = request.timeout;
        let built = self.build(request).map_err(Broken::NotSent)?;
        crash::point();
        let answer = tokio::time::timeout(timeout, self.exchange(built)).await;
        crash::point();
        answer.unwrap_or_else(|_| Err(Broken::TooLate(format!("no answer within {timeout:?}"))))
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
        let mut builder = self.inner.request(method, request.url).headers(headers);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        builder.build().map_err(|error| root_cause(&error))
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Response, Broken> {
        let mut answer = self.inner.execute(request).await.map_err(|error| broken(&error))?;
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(key, value)| {
                (key.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut body = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > BODY_LIMIT => {
                    let limit = BODY_LIMIT / (1024 * 1024);
                    return Err(Broken::BadAnswer(format!(
                        "the answer is larger than {limit} MiB"
                    )));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(Response { status, headers, body }),
                Err(error) => {
                    let cause = root_cause(&error);
                    return Err(Broken::NoAnswer(format!("the answer broke off: {cause}")));
                }
            }
        }
    }
}

fn policy(redirects: usize) -> Policy {
    if redirects == 0 {
        return Policy::none();
    }
    Policy::custom(move |attempt| {
        let from = attempt.previous().last().cloned();
        if attempt.previous().len() > redirects {
            return attempt.error("too many redirects");
        }
        match from {
            Some(from) if from.origin() != attempt.url().origin() => {
                attempt.error("a redirect to another host or scheme is not followed")
            }
            _ => attempt.follow(),
        }
    })
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
        Response { status: 503, headers, body: Vec::new() }.retry_after(NOW)
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
