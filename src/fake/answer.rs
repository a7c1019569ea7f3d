//! A request and a state → an answer and the next state. No I/O.

use serde_json::json;
use url::form_urlencoded;

use super::beside::inside;
use super::{Fake, Route, Segment};
use crate::jq::{self, RunError, Val};
use crate::value::Json;

/// A request as it came in.
pub(super) struct Request {
    pub(super) method: String,
    /// The path as it was sent, without the query.
    pub(super) path: String,
    /// What came after the `?`.
    pub(super) query: String,
    /// Lower-case names.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// What to send back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(status: u16, text: &str) -> Self {
        let headers = vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
        Self { status, headers, body: text.as_bytes().to_vec() }
    }
}

impl Fake {
    /// Answers one request. A mistake in a route is answered with 500 and says which route it is.
    pub(super) fn answer(&self, request: &Request, state: &mut Val) -> Answer {
        if request.path == super::COMMANDS {
            return self.command(&request.body, state);
        }
        let route = self.routes.iter().find_map(|route| Some((route, route.params(request)?)));
        let fits = |fake: &Self| fake.routes.iter().any(|route| route.params(request).is_some());
        if route.is_none()
            && let Some((name, other)) = self.beside.iter().find(|(_, other)| fits(other))
        {
            return inside(state, name, |state| other.answer(request, state));
        }
        let (name, program, params) = match (route, self.otherwise) {
            (Some((route, params)), _) => (route.on.as_str(), route.program, params),
            (None, Some(otherwise)) => ("otherwise", otherwise, Vec::new()),
            (None, None) => {
                return match self.beside.iter().find(|(_, other)| other.otherwise.is_some()) {
                    Some((name, other)) => {
                        inside(state, name, |state| other.answer(request, state))
                    }
                    None => Answer::text(404, "the fake has no such route\n"),
                };
            }
        };
        let input = [("request", jq::from_json(&request.json(params))), ("state", state.clone())];
        let input = input.map(|(key, value)| (Val::from(key.to_owned()), value));
        let outputs = self.programs.run(program, &|_| None, Val::obj(input.into_iter().collect()));
        match outputs.map_err(|error| error.to_string()).and_then(|outputs| taken(&outputs, state))
        {
            Ok(answer) => answer,
            Err(error) => {
                Answer::text(500, &format!("the fake's route `{name}` failed: {error}\n"))
            }
        }
    }
}

impl Route {
    fn params(&self, request: &Request) -> Option<Vec<(String, Json)>> {
        if self.method.as_ref().is_some_and(|method| *method != request.method) {
            return None;
        }
        let parts: Vec<&str> = request.path.strip_prefix('/')?.split('/').collect();
        if parts.len() != self.path.len() {
            return None;
        }
        let mut params = Vec::new();
        for (segment, part) in self.path.iter().zip(parts) {
            match segment {
                Segment::Text(text) if text == part => {}
                Segment::Param(name) if !part.is_empty() => {
                    params.push((name.clone(), decoded(part).into()));
                }
                _ => return None,
            }
        }
        Some(params)
    }
}

impl Request {
    fn json(&self, params: Vec<(String, Json)>) -> Json {
        let headers = self.headers.iter().map(|(name, value)| (name.clone(), value.clone().into()));
        json!({
            "method": self.method,
            "path": self.path,
            "params": params.into_iter().collect::<serde_json::Map<_, _>>(),
            "query": pairs(self.query.as_bytes()),
            "query_text": self.query,
            "headers": headers.collect::<serde_json::Map<_, _>>(),
            "body": self.parsed(),
            "text": String::from_utf8_lossy(&self.body),
        })
    }

    fn parsed(&self) -> Json {
        let form = self.headers.iter().any(|(name, value)| {
            name == "content-type" && value.starts_with("application/x-www-form-urlencoded")
        });
        if form {
            pairs(&self.body)
        } else {
            serde_json::from_slice(&self.body).unwrap_or(Json::Null)
        }
    }
}

/// Name and value pairs as an object; a name that is repeated has an array.
fn pairs(text: &[u8]) -> Json {
    let mut pairs = serde_json::Map::new();
    for (name, value) in form_urlencoded::parse(text) {
        let value = Json::String(value.into_owned());
        match pairs.get_mut(name.as_ref()) {
            None => drop(pairs.insert(name.into_owned(), value)),
            Some(Json::Array(values)) => values.push(value),
            Some(first) => *first = Json::Array(vec![first.take(), value]),
        }
    }
    Json::Object(pairs)
}

/// A part of a path without its percent signs. A form's decoder does it, once what it would
/// take for its own is escaped.
fn decoded(part: &str) -> String {
    let part = part.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(part.as_bytes())
        .next()
        .map_or_else(String::new, |(text, _)| text.into_owned())
}

/// Takes a route's one output apart.
fn taken(outputs: &[Val], state: &mut Val) -> Result<Answer, String> {
    let mut answer = Answer { status: 200, headers: Vec::new(), body: Vec::new() };
    one_object(outputs, |key, value| {
        match key {
            "state" => *state = value.clone(),
            "status" => answer.status = status(&json(value)?)?,
            "headers" => headers(&json(value)?, &mut answer)?,
            "body" => body(&json(value)?, &mut answer),
            key => return Err(format!("unknown key `{key}` in the output")),
        }
        Ok(())
    })?;
    Ok(answer)
}

/// Takes each key of a program's one output, which must be an object.
pub(super) fn one_object(
    outputs: &[Val],
    mut take: impl FnMut(&str, &Val) -> Result<(), String>,
) -> Result<(), String> {
    let [output] = outputs else { return Err(format!("{} outputs instead of one", outputs.len())) };
    let Val::Obj(output) = output else { return Err("the output is no object".to_owned()) };
    output.iter().try_for_each(|(key, value)| {
        let Val::TStr(key) = key else {
            return Err("the output has a key that is no text".to_owned());
        };
        take(&String::from_utf8_lossy(key), value)
    })
}

fn status(value: &Json) -> Result<u16, String> {
    let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
    let status = status.filter(|status| (200..600).contains(status));
    status.ok_or_else(|| "`status` is no HTTP status".to_owned())
}

fn json(value: &Val) -> Result<Json, String> {
    jq::to_json(value).map_err(|error: RunError| error.to_string())
}

/// The route's own headers stand first, so that they win over those that a body brings.
fn headers(value: &Json, answer: &mut Answer) -> Result<(), String> {
    let Json::Object(headers) = value else { return Err("`headers` is no object".to_owned()) };
    let own = headers.iter().map(|(name, value)| (name.to_lowercase(), crate::value::text(value)));
    answer.headers.splice(0..0, own);
    Ok(())
}

fn body(value: &Json, answer: &mut Answer) {
    let (kind, bytes) = match value {
        Json::Null => return,
        Json::String(text) => ("text/plain; charset=utf-8", text.clone().into_bytes()),
        other => ("application/json", other.to_string().into_bytes()),
    };
    answer.headers.push(("content-type".to_owned(), kind.to_owned()));
    answer.body = bytes;
}
