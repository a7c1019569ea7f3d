//! What comes of a call: the values of an answer, or what was wrong with it.
//!
//! Here it is decided whether a failure is a *definite refusal*, after which nothing can have
//! happened: a request that was never sent, any 4xx (RFC 9110, 15.5: the service says that it
//! did not do it), a 307 or 308 (it is to be asked elsewhere), and a 503 with `Retry-After`
//! (15.6.4: it could not, and says when it can). Any other 5xx may come from somebody between,
//! after the work was done; a 2xx or 303 that was not wanted says that something was done; and
//! what follows a redirect that turned a change into a GET says nothing of the change.

use super::super::retry::{Cause, Refusal};
use super::super::{Again, Answer, Cx, Failure, Trouble, failure};
use super::Http;
use crate::jq::{self, Val};
use crate::transport::{Broken, Response};
use crate::value::{Json, text};

impl Http {
    /// Tells which statuses are no failure.
    pub(super) fn accepting(&self) -> Box<dyn Fn(u16) -> bool + Send> {
        let accept = self.accept.clone();
        Box::new(move |status| match accept.as_slice() {
            [] => (200..300).contains(&status),
            all => all.contains(&u64::from(status)),
        })
    }

    pub(super) fn answer(
        &self,
        cx: &Cx<'_>,
        what: &str,
        response: &Response,
    ) -> Result<Answer, Trouble> {
        let status = response.status;
        // After a redirect that turned a change into a GET, the refusal is one of the GET: the
        // change may have been made.
        let spoken_of = !response.turned || !self.changes();
        let renew = self.spec(cx)?.renew.as_ref().filter(|_| spoken_of);
        if renew.is_some_and(|renew| renew.fits(status, &response.body)) {
            return Err(match self.refused(cx, what, response) {
                Trouble::Failed(failure, _) => Trouble::Failed(failure, Again::Renewed),
                other => other,
            });
        }
        if !self.accepting()(status) {
            return Err(self.refused(cx, what, response));
        }
        let json = is_json(response) && !self.raw;
        let evidence = if json { Vec::new() } else { came_back(cx, response) };
        let input = match json {
            true if response.body.is_empty() => Val::default(),
            true => jq::parse_body(&response.body)
                .map_err(|error| self.not_json(cx, what, response, &error))?,
            false => Val::from(String::from_utf8_lossy(&response.body).into_owned()),
        };
        Ok(Answer {
            input,
            locals: head_of(response),
            summary: status_line(status),
            evidence,
            ..Answer::default()
        })
    }

    fn refused(&self, cx: &Cx<'_>, what: &str, response: &Response) -> Trouble {
        let status = response.status;
        let message = format!("{what} answered {}", status_line(status));
        let details = if status < 300 { came_back(cx, response) } else { body_lines(cx, response) };
        let after = response.retry_after(cx.services.world.clock.now_ms());
        let refuses = matches!(status, 307 | 308 | 400..500) || status == 503 && after.is_some();
        let definite = refuses && !response.turned;
        let doubt = !definite && self.changes();
        let failure = Failure { details, doubt, ..failure(message) };
        if status < 400 {
            return Trouble::Failed(failure, Again::No);
        }
        let answer = Some((body(response), head_of(response)));
        let refusal = Refusal { definite, cause: Cause::Status(status), after, answer };
        Trouble::Failed(failure, Again::Call(Box::new(refusal)))
    }

    fn not_json(&self, cx: &Cx<'_>, what: &str, response: &Response, error: &str) -> Trouble {
        let message = format!(
            "{what} answered {} with a body that is not the JSON it says it is",
            status_line(response.status)
        );
        let mut details = vec![cx.mask(error)];
        details.extend(came_back(cx, response));
        let doubt = self.changes();
        Trouble::Failed(Failure { details, doubt, ..failure(message) }, Again::No)
    }

    pub(super) fn broken(&self, cx: &Cx<'_>, what: &str, broken: &Broken) -> Trouble {
        let message = cx.mask(&format!("{what} failed: {}", broken.message()));
        let (cause, definite) = match broken {
            Broken::NotSent(_) | Broken::NoWay(_) => (Some(Cause::Connection), true),
            Broken::NoAnswer(_) => (Some(Cause::Connection), false),
            Broken::TooLate(_) => (Some(Cause::Timeout), false),
            Broken::BadAnswer(_) => (None, false),
            Broken::Unmade(_) => (None, true),
        };
        let again = cause.map_or(Again::No, |cause| {
            Again::Call(Box::new(Refusal { definite, cause, after: None, answer: None }))
        });
        let doubt = !definite && self.changes();
        let trouble = Trouble::Failed(Failure { doubt, ..failure(message) }, again);
        match broken {
            Broken::NoWay(fault) => fault.hint.iter().fold(trouble, Trouble::hint),
            _ => trouble,
        }
    }
}

/// The body of an answer that was to be read, unless a secret was to be read out of it.
fn came_back(cx: &Cx<'_>, response: &Response) -> Vec<String> {
    if cx.guarded {
        return vec!["the body is not shown: a secret is read from it".to_owned()];
    }
    body_lines(cx, response)
}

/// The body of an answer that was not wanted, as programs read it.
fn body(response: &Response) -> Val {
    let json = is_json(response).then(|| jq::parse_body(&response.body).ok()).flatten();
    json.unwrap_or_else(|| Val::from(String::from_utf8_lossy(&response.body).into_owned()))
}

/// What programs read besides the body: status and headers.
fn head_of(response: &Response) -> Vec<(&'static str, Val)> {
    let headers = header_map(response);
    let head = serde_json::json!({ "status": response.status, "headers": headers });
    vec![("response", jq::from_json(&head))]
}

fn is_json(response: &Response) -> bool {
    let kind = response.header("content-type").unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim().to_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

fn header_map(response: &Response) -> Json {
    let mut map = serde_json::Map::new();
    for (name, value) in &response.headers {
        match map.get_mut(name) {
            Some(Json::String(first)) => *first = format!("{first}, {value}"),
            _ => drop(map.insert(name.clone(), Json::String(value.clone()))),
        }
    }
    Json::Object(map)
}

/// `201 Created`.
fn status_line(status: u16) -> String {
    let name = hyper::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    name.map_or_else(|| status.to_string(), |name| format!("{status} {name}"))
}

pub(super) fn head(response: &Response) -> String {
    let kind = response.header("content-type").unwrap_or("no content type");
    format!("{}, {kind}, {} bytes", status_line(response.status), response.body.len())
}

/// What the body itself says: a JSON object's messages, or the first 200 characters of anything else.
///
/// Masked before it is cut or put together anew: a part of a secret is not found.
fn body_lines(cx: &Cx<'_>, response: &Response) -> Vec<String> {
    const SHOWN: usize = 200;
    let cut = |text: &str| cx.mask(text).chars().take(SHOWN).collect::<String>();
    let parsed =
        is_json(response).then(|| serde_json::from_slice::<Json>(&response.body).ok()).flatten();
    match parsed {
        Some(Json::Object(map)) => map
            .iter()
            .take(10)
            .map(|(key, value)| cut(&format!("{key}: {}", cx.mask(&messages(value)))))
            .collect(),
        Some(other) => vec![cut(&other.to_string())],
        None if response.body.is_empty() => vec!["the body is empty".to_owned()],
        None => {
            let kind = response.header("content-type").unwrap_or("no content type");
            let body = cx.mask(&String::from_utf8_lossy(&response.body));
            let words: Vec<&str> = body.split_whitespace().collect();
            vec![format!("{kind}: {}", cut(&words.join(" ")))]
        }
    }
}

fn messages(value: &Json) -> String {
    match value {
        Json::Array(items) if items.iter().all(Json::is_string) => {
            items.iter().map(text).collect::<Vec<_>>().join(" ")
        }
        other => text(other),
    }
}
