//! `http`: one call to a service.

mod answer;
mod link;
mod manual;
mod paginate;

use crate::journal::event::Effect;
use crate::reader::{Field, REVEAL, Reader, Rules, Shape, Sink, Tree};
use crate::template::Template;
use crate::transport::{Request, Response};
use crate::value::{Json, text};
use paginate::Paginate;
pub use paginate::RULES;

use super::connection::{Connection, join, render_headers};
use super::{Answer, Call, Cx, Hand, Kind, Local, Manual, Step, Trouble};

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
        name: "paginate",
        shape: Shape::Table(paginate::FIELDS),
        about: "Goes from page to page and puts their items together.",
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
    paginate: Option<Paginate>,
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
    let paginate = paginate::parse(reader, method.unwrap_or("GET"));
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
        paginate,
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

    fn calls(&self) -> Option<Call<'_>> {
        let wanders = self.redirects > 0 || self.paginate.is_some();
        let (on, method, url) = (&self.on, self.method, &self.url);
        Some(Call { on, method, url, wanders })
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
        self.by_hand(hand)
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            match &self.paginate {
                Some(paginate) => self.all_pages(cx, paginate).await,
                None => Ok(self.call(cx, self.request(cx)?).await?.0),
            }
        })
    }
}

enum Sent {
    Json(Json),
    Bytes(Vec<u8>),
}

impl Http {
    /// One request and what its answer gives.
    async fn call(&self, cx: &Cx<'_>, request: Request) -> Result<(Answer, Response), Trouble> {
        let what = cx.mask(&format!("{} {}", self.method, request.url));
        (cx.trace)(format!("> {what}"));
        let (spec, on) = (self.spec(cx)?, &self.on);
        let (tls, through) = (spec.tls(cx)?, spec.through(cx.scope)?);
        let (url, through) = (&request.url, through.as_ref());
        let client = cx.services.client(on, url, self.redirects, &tls, through).await?;
        let url = cx.services.refused(self.method, request.url);
        let request = Request { url, ..request };
        let response =
            client.send(request).await.map_err(|broken| self.broken(cx, &what, &broken))?;
        (cx.trace)(format!("< {}", cx.mask(&answer::head(&response))));
        Ok((self.answer(cx, &what, &response)?, response))
    }

    fn spec<'a>(&self, cx: &'a Cx<'_>) -> Result<&'a Connection, Trouble> {
        let found = cx.connections.iter().find(|connection| connection.name == self.on);
        found
            .map(|connection| &**connection)
            .ok_or_else(|| Trouble::failed(format!("no connection `{}`", self.on)))
    }

    fn target<'a>(&self, cx: &'a Cx<'_>) -> Result<(&'a Connection, url::Url), Trouble> {
        let connection = self.spec(cx)?;
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
