//! `http`: one call to a service.

use crate::journal::event::Effect;
use crate::jq::{self, Val};
use crate::reader::{Field, REVEAL, Reader, Rules, Shape, Sink, Tree};
use crate::template::Template;
use crate::transport::{Broken, Request, Response};
use crate::value::{Json, text};

use super::connection::{Connection, join, render_headers};
use super::{
    Again, Answer, Cx, Failure, Hand, Kind, Local, Manual, Step, Trouble, failure, manual,
};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "http",
    about: "Calls a service and reads its answer.",
    fields: FIELDS,
    rules: Rules { needs: &["on", "url"], apart: &["json", "form", "text"], ..Rules::NONE },
    plain: None,
    example: r#"[[steps]]
id   = "find_user"
http = { on = "api", url = "users/", query = { name = "{{ user }}" } }
save.user_id = ".results[0].id"
"#,
    parse,
};

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

const FIELDS: &[Field] = &[
    Field { name: "on", shape: Shape::Text, about: "The connection to use." },
    Field { name: "method", shape: Shape::Word(METHODS), about: "The method; `GET` if not said." },
    Field { name: "url", shape: Shape::Template, about: "The path below the connection's base." },
    Field {
        name: "query",
        shape: Shape::Map,
        about: "Query parameters; a list gives a parameter several times.",
    },
    Field {
        name: "headers",
        shape: Shape::Map,
        about: "Headers of this call, over the connection's.",
    },
    Field { name: "json", shape: Shape::Value, about: "A body, sent as JSON." },
    Field { name: "form", shape: Shape::Map, about: "A body, sent as an HTML form." },
    Field { name: "text", shape: Shape::Template, about: "A body, sent as it is." },
    Field {
        name: "accept",
        shape: Shape::Integers,
        about: "The statuses that are no failure; any 2xx if not said.",
    },
    Field {
        name: "redirects",
        shape: Shape::Integer,
        about: "How many redirects to follow on the same host; none if not said.",
    },
    REVEAL,
];

#[derive(Debug)]
struct Http {
    on: String,
    method: &'static str,
    url: Template,
    query: Vec<(String, Tree)>,
    headers: Vec<(String, Tree)>,
    body: Option<Body>,
    accept: Vec<u64>,
    redirects: usize,
    reveal: bool,
}

#[derive(Debug)]
enum Body {
    Json(Tree),
    Form(Vec<(String, Tree)>),
    Text(Template),
}

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    reader.only(FIELDS);
    let on = reader.string("on");
    let method = reader.word("method", METHODS);
    let url = reader.template("url", reader.open("a URL"));
    let query = reader.map("query", reader.open("a URL's query"));
    let headers = reader.map("headers", Sink::Closed);
    let body = body(reader);
    let accept = reader.integers("accept");
    let redirects = reader.integer("redirects").unwrap_or(0);
    if !reader.has("url") {
        return reader.missing(
            "url",
            "write the path below the connection's base, as in `url = \"users/\"`",
        );
    }
    if !reader.has("on") {
        return reader.missing(
            "on",
            "name the connection to use, as in `on = \"api\"` with a `[connections.api]`",
        );
    }
    Some(Box::new(Http {
        on: on?,
        method: method.unwrap_or("GET"),
        url: url?,
        query,
        headers,
        body,
        accept,
        redirects: usize::try_from(redirects).unwrap_or(usize::MAX).min(20),
        reveal: reader.boolean(REVEAL.name).unwrap_or(false),
    }))
}

fn body(reader: &Reader<'_>) -> Option<Body> {
    let given: Vec<&str> =
        ["json", "form", "text"].into_iter().filter(|key| reader.has(key)).collect();
    if let [first, second, ..] = given.as_slice() {
        let span = reader.get(second).map_or(reader.span(), toml::Spanned::span);
        let other = reader.get(first).map_or(reader.span(), toml::Spanned::span);
        reader.gather.report(
            crate::diag::Diag::error(
                format!("a call has one body, not `{first}` and `{second}`"),
                span,
            )
            .related(other, "the other one"),
        );
    }
    match given.first().copied()? {
        "json" => reader.tree("json", Sink::Closed).map(Body::Json),
        "form" => Some(Body::Form(reader.map("form", Sink::Closed))),
        _ => reader.template("text", Sink::Closed).map(Body::Text),
    }
}

impl Step for Http {
    fn effect(&self) -> Effect {
        match self.method {
            "GET" | "HEAD" | "OPTIONS" => Effect::Read,
            "PUT" | "DELETE" => Effect::Repeatable,
            _ => Effect::Once,
        }
    }

    fn locals(&self) -> &'static [&'static str] {
        &["response"]
    }

    fn connection(&self) -> Option<&str> {
        Some(&self.on)
    }

    fn what(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        let (_, url) = self.target(cx)?;
        Ok(cx.mask(&format!("{} {url}", self.method)))
    }

    fn preview(&self, cx: &Cx<'_>) -> Result<Vec<String>, Trouble> {
        Ok(match self.body(cx)? {
            Some((kind, Sent::Json(json))) => {
                let pretty = serde_json::to_string_pretty(&json).unwrap_or_default();
                std::iter::once(kind.to_owned())
                    .chain(pretty.lines().map(|line| cx.mask(line)))
                    .collect()
            }
            Some((kind, Sent::Bytes(bytes))) => {
                vec![kind.to_owned(), cx.mask(&String::from_utf8_lossy(&bytes))]
            }
            None => Vec::new(),
        })
    }

    fn manual(&self, hand: &Hand<'_>) -> Manual {
        let connection = hand.connections.iter().find(|connection| connection.name == self.on);
        let mut parts = vec![self.curl(connection.map(|connection| &**connection))];
        let headers = connection.map(|connection| connection.manual_headers()).unwrap_or_default();
        let own = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let shared = headers.iter().filter(|(name, _)| !own(name));
        parts.extend(shared.chain(&self.headers).map(|(name, tree)| {
            format!(
                "-H {}",
                manual::quoted(&format!("{}: {}", manual::header(name), manual::tree_words(tree)))
            )
        }));
        let stdin = self.manual_body(hand, &mut parts);
        if hand.head {
            let form = r#"-o answer -w '{"status": %{http_code}, "headers": %{header_json}}'"#;
            parts.push(form.to_owned());
            parts.push(r#"| jq '.headers |= map_values(join(", "))'"#.to_owned());
        }
        let way = connection.and_then(|connection| connection.manual_way());
        let way = way.map(|host| format!("# on {host}, where it is set\n")).unwrap_or_default();
        let text = match self.accept.as_slice() {
            [] | [200] => String::new(),
            all => {
                let all: Vec<String> = all.iter().map(|status| format!("`{status}`")).collect();
                format!("Right answers: status {}.", all.join(" or "))
            }
        };
        Manual { text, shell: Some(way + &parts.join(" \\\n  ")), stdin, raw: false }
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            let request = self.request(cx)?;
            let what = cx.mask(&format!("{} {}", self.method, request.url));
            (cx.trace)(format!("> {what}"));
            let (spec, on) = (self.spec(cx)?, &self.on);
            let (tls, through) = (spec.tls(cx)?, spec.through(cx.scope)?);
            let (url, through) = (&request.url, through.as_ref());
            let client = cx.services.client(on, url, self.redirects, &tls, through).await?;
            match client.send(request).await {
                Ok(response) => {
                    (cx.trace)(format!("< {}", cx.mask(&head(&response))));
                    self.answer(cx, &what, &response)
                }
                Err(broken) => Err(self.broken(cx, &what, &broken)),
            }
        })
    }
}

impl Http {
    /// `curl` with its method and address.
    fn curl(&self, connection: Option<&Connection>) -> String {
        let base = connection.map(Connection::manual_base).unwrap_or_default();
        let path = manual::words(&self.url);
        let mut url = if path.starts_with("http://") || path.starts_with("https://") {
            path
        } else {
            format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'))
        };
        let mut query = Vec::new();
        if self.query.iter().all(|(_, tree)| tree.reads().is_empty()) {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(
                self.query.iter().map(|(name, tree)| (name, manual::tree_words(tree))),
            );
            let encoded = form.finish();
            if !encoded.is_empty() {
                url.push('?');
                url.push_str(&encoded);
            }
        } else {
            query.extend(self.query.iter().map(|(name, tree)| {
                let pair = format!("{name}={}", manual::tree_words(tree));
                format!("--data-urlencode {}", manual::quoted(&pair))
            }));
        }
        let mut words = vec!["curl -sS".to_owned()];
        match self.method {
            "GET" => {}
            "HEAD" => words.push("-I".to_owned()),
            method => words.push(format!("-X {method}")),
        }
        if self.redirects > 0 {
            words.push(format!("-L --max-redirs {}", self.redirects));
        }
        words.extend(connection.map(Connection::manual_tls).unwrap_or_default());
        if !query.is_empty() {
            words.push("-G".to_owned());
        }
        words.push(manual::quoted(&url));
        std::iter::once(words.join(" ")).chain(query).collect::<Vec<_>>().join(" \\\n  ")
    }

    /// Adds the options of the body; what goes to standard input is given back.
    fn manual_body(&self, hand: &Hand<'_>, parts: &mut Vec<String>) -> Option<String> {
        let (kind, text) = match self.body.as_ref()? {
            Body::Form(fields) => {
                parts.extend(fields.iter().map(|(name, tree)| {
                    let pair = format!("{name}={}", manual::tree_words(tree));
                    format!("--data-urlencode {}", manual::quoted(&pair))
                }));
                return None;
            }
            Body::Json(tree) => ("application/json", hand.body(tree)),
            Body::Text(template) => ("text/plain; charset=utf-8", manual::words(template)),
        };
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            parts.push(format!("-H 'Content-Type: {kind}'"));
        }
        if hand.head {
            parts.push(format!("--data-binary {}", manual::quoted(&text)));
            return None;
        }
        parts.push("--data-binary @-".to_owned());
        Some(text)
    }
}

enum Sent {
    Json(Json),
    Bytes(Vec<u8>),
}

impl Http {
    fn spec<'a>(&self, cx: &'a Cx<'_>) -> Result<&'a Connection, Trouble> {
        let found = cx.connections.iter().find(|connection| connection.name == self.on);
        found
            .map(|connection| &**connection)
            .ok_or_else(|| Trouble::failed(format!("no connection `{}`", self.on)))
    }

    fn target<'a>(&self, cx: &'a Cx<'_>) -> Result<(&'a Connection, url::Url), Trouble> {
        let connection = self.spec(cx)?;
        if !self.reveal {
            let path = self.url.reads().iter().map(|read| read.name.as_str());
            let query = self.query.iter().flat_map(|(_, tree)| tree.reads());
            cx.refuse_secret(path.chain(query), "a URL")?;
        }
        let mut url = join(&connection.base(cx.scope)?, &self.url.render_text(cx.scope)?)?;
        if !self.query.is_empty() {
            let pairs = pairs(&self.query, cx)?;
            url.query_pairs_mut().extend_pairs(pairs);
        }
        Ok((connection, url))
    }

    fn body(&self, cx: &Cx<'_>) -> Result<Option<(&'static str, Sent)>, Trouble> {
        Ok(Some(match &self.body {
            None => return Ok(None),
            Some(Body::Json(tree)) => ("application/json", Sent::Json(tree.render(cx.scope)?)),
            Some(Body::Form(fields)) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(pairs(fields, cx)?);
                ("application/x-www-form-urlencoded", Sent::Bytes(form.finish().into_bytes()))
            }
            Some(Body::Text(template)) => (
                "text/plain; charset=utf-8",
                Sent::Bytes(template.render_text(cx.scope)?.into_bytes()),
            ),
        }))
    }

    fn request(&self, cx: &Cx<'_>) -> Result<Request, Trouble> {
        let (connection, url) = self.target(cx)?;
        let mut headers = connection.headers(cx.scope)?;
        let own = render_headers(&self.headers, cx.scope)?;
        headers.retain(|(name, _)| !own.iter().any(|(key, _)| key == name));
        headers.extend(own);
        let body = self.body(cx)?.map(|(kind, sent)| {
            if !headers.iter().any(|(name, _)| name == "content-type") {
                headers.push(("content-type".to_owned(), kind.to_owned()));
            }
            match sent {
                Sent::Json(json) => json.to_string().into_bytes(),
                Sent::Bytes(bytes) => bytes,
            }
        });
        let timeout = cx.timeout.unwrap_or(connection.timeout);
        Ok(Request { method: self.method.to_owned(), url, headers, body, timeout })
    }

    fn answer(&self, cx: &Cx<'_>, what: &str, response: &Response) -> Result<Answer, Trouble> {
        let status = response.status;
        let renew = self.spec(cx)?.renew.as_ref();
        if renew.is_some_and(|renew| renew.fits(status, &response.body)) {
            return Err(match self.refused(cx, what, response) {
                Trouble::Failed(failure, _) => Trouble::Failed(failure, Again::Renewed),
                other => other,
            });
        }
        let accepted = if self.accept.is_empty() {
            (200..300).contains(&status)
        } else {
            self.accept.contains(&u64::from(status))
        };
        if !accepted {
            return Err(self.refused(cx, what, response));
        }
        let evidence = if is_json(response) { Vec::new() } else { came_back(cx, response) };
        let input = match is_json(response) {
            true if response.body.is_empty() => Val::default(),
            true => jq::parse_body(&response.body)
                .map_err(|error| self.not_json(cx, what, response, &error))?,
            false => Val::from(String::from_utf8_lossy(&response.body).into_owned()),
        };
        let head = serde_json::json!({ "status": status, "headers": header_map(response) });
        Ok(Answer {
            input,
            locals: vec![("response", jq::from_json(&head))],
            summary: status_line(status),
            evidence,
            ..Answer::default()
        })
    }

    fn refused(&self, cx: &Cx<'_>, what: &str, response: &Response) -> Trouble {
        let status = response.status;
        let message = format!("{what} answered {}", status_line(status));
        let details = if status < 300 { came_back(cx, response) } else { body_lines(cx, response) };
        // A 4xx is a definite refusal; a 5xx may come after the work was done.
        let doubt = status >= 500 && self.effect() > Effect::Read;
        let again = match status {
            429 => Again::Safe,
            500.. => Again::MaybeDone,
            _ => Again::No,
        };
        Trouble::Failed(Failure { details, doubt, ..failure(message) }, again)
    }

    fn not_json(&self, cx: &Cx<'_>, what: &str, response: &Response, error: &str) -> Trouble {
        let message = format!(
            "{what} answered {} with a body that is not the JSON it says it is",
            status_line(response.status)
        );
        let mut details = vec![cx.mask(error)];
        details.extend(came_back(cx, response));
        let doubt = self.effect() > Effect::Read;
        Trouble::Failed(Failure { details, doubt, ..failure(message) }, Again::No)
    }

    fn broken(&self, cx: &Cx<'_>, what: &str, broken: &Broken) -> Trouble {
        let message = cx.mask(&format!("{what} failed: {}", broken.message()));
        let (again, sent) = match broken {
            Broken::NotSent(_) | Broken::NoWay(_) => (Again::Safe, false),
            Broken::NoAnswer(_) => (Again::MaybeDone, true),
            Broken::BadAnswer(_) => (Again::No, true),
        };
        let doubt = sent && self.effect() > Effect::Read;
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

fn pairs(fields: &[(String, Tree)], cx: &Cx<'_>) -> Result<Vec<(String, String)>, Trouble> {
    let mut pairs = Vec::with_capacity(fields.len());
    for (name, tree) in fields {
        match tree.render(cx.scope)? {
            Json::Array(items) => pairs.extend(items.iter().map(|item| (name.clone(), text(item)))),
            one => pairs.push((name.clone(), text(&one))),
        }
    }
    Ok(pairs)
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

fn head(response: &Response) -> String {
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
