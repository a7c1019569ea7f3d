//! `http`: one call to a service.
//!
//! Cookies that an answer sets are part of its step's outcome, sealed: a run that is taken up
//! again goes on with the session that it had.

mod answer;
mod body;
mod into;
mod link;
mod manual;
mod paginate;

use super::manual::words;
use std::rc::Rc;

use crate::diag::Diag;
use crate::journal::event::Effect;
use crate::reader::{Field, REVEAL, Reader, Rules, Shape, Tree};
use crate::template::Template;
use crate::transport::{Cookie, Cookies, Request, Response, Taker};
use crate::value::Labeled;
use crate::value::{Json, text};
use body::Body;
pub use body::RULES as PART_RULES;
use into::Into;
use paginate::Paginate;
pub use paginate::RULES;

use super::connection::{Connection, headers, join, named, refuse_odd, render_headers};
use super::{Answer, Call, Cx, Hand, Kind, Local, Manual, Step, Touch, Trouble, Writes};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "http",
    about: "Calls a service and reads its answer.",
    fields: FIELDS,
    rules: Rules { needs: &["on", "url"], apart: body::KEYS, with: WITH, ..Rules::NONE },
    without: &[],
    plain: None,
    example: r#"[[steps]]
id   = "find_user"
http = { on = "api", url = "users/", query = { name = "{{ user }}" } }
save.user_id = ".results[0].id"
"#,
    parse,
};

/// The keys that go with another one.
const WITH: &[(&str, &str)] = &[("mode", "into"), ("replace", "into")];

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
        name: "multipart",
        shape: Shape::Tables(body::PART),
        about: "A body of parts, as HTML forms with files send them.",
    },
    Field {
        name: "upload",
        shape: Shape::Template,
        about: "A body: a file of this machine, sent as it is and as it is read.",
    },
    Field {
        name: "into",
        shape: Shape::Template,
        about: "The file that the body of an accepted answer is kept in, whole or not at all; `.` is then `path`, `size` and `sha256`.",
    },
    Field {
        name: "mode",
        shape: Shape::Word(into::MODES),
        about: "That file's permissions; `0600` if not said.",
    },
    Field {
        name: "replace",
        shape: Shape::Boolean,
        about: "Whether another file in its place may be overwritten; it cannot be taken back then.",
    },
    Field {
        name: "raw",
        shape: Shape::Boolean,
        about: "Whether the body is taken as text although it says that it is JSON.",
    },
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
    into: Option<Into>,
    raw: bool,
}

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    reader.only(FIELDS);
    let on = reader.string("on");
    let method = reader.word("method", METHODS);
    let url = reader.template("url", reader.open("a URL"));
    let query = reader.map("query", reader.open("a URL's query"));
    let headers = headers(reader);
    let body = body::parse(reader);
    reader.obeys(&Rules { with: WITH, ..Rules::NONE });
    let into = into::parse(reader);
    let accept = reader.integers("accept");
    let redirects = reader.integer("redirects").unwrap_or(0);
    let paginate = paginate::parse(reader, method.unwrap_or("GET"));
    if paginate.is_some() && into.is_some() {
        let title = "a call goes through pages or into a file, not both";
        reader.gather.report(Diag::error(title, reader.span()));
    }
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
        into,
        raw: reader.boolean("raw").unwrap_or(false),
    }))
}

impl Step for Http {
    fn effect(&self) -> Effect {
        let kept = if self.into.is_some() { Effect::Repeatable } else { Effect::Read };
        self.asks_for().max(kept)
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
        let into = self.into.as_ref().map(|into| into.path(cx)).transpose()?;
        let into = into.map(|path| format!(" into {}", path.display())).unwrap_or_default();
        Ok(cx.mask(&format!("{} {url}{into}", self.method)))
    }

    fn preview(&self, cx: &Cx<'_>) -> Result<Vec<String>, Trouble> {
        self.body.as_ref().map(|body| body.lines(cx)).transpose().map(Option::unwrap_or_default)
    }

    fn manual(&self, hand: &Hand<'_>) -> Manual {
        self.by_hand(hand)
    }

    fn manual_back(&self) -> Option<Manual> {
        let into = self.into.as_ref().filter(|into| self.takes_back(into))?;
        let file = words(&into.file);
        Some(Manual::text(format!("Remove `{file}` if it is still as it was fetched.")))
    }

    fn touches(&self) -> Vec<Touch<'_>> {
        let writes = self.into.iter().map(|into| Writes { file: &into.file, lines: None });
        self.body.iter().flat_map(Body::touches).chain(writes.map(Touch::Writes)).collect()
    }

    fn before(&self, cx: &Cx<'_>) -> Vec<(&'static str, Labeled)> {
        self.into.as_ref().map(|into| into.before(cx)).unwrap_or_default()
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            match (&self.paginate, &self.into) {
                (Some(paginate), _) => self.all_pages(cx, paginate).await,
                (None, Some(into)) => self.fetch(cx, into).await,
                (None, None) => Ok(self.call(cx, self.request(cx)?, None).await?.0),
            }
        })
    }

    fn recall(&self, cx: &Cx<'_>) {
        let kept = cx.private.get(COOKIES).map(|kept| kept.json.clone());
        let kept = kept.and_then(|kept| serde_json::from_value::<Vec<Cookie>>(kept).ok());
        if let (Some(kept), Ok(connection)) = (kept, self.spec(cx)) {
            Self::learn(cx, &kept);
            let jar = cx.services.jar(connection);
            for cookie in kept {
                jar.borrow_mut().put(cookie);
            }
        }
    }

    fn take_back<'a>(&'a self, cx: &'a Cx<'a>) -> Option<Local<'a, Result<String, Trouble>>> {
        let into = self.into.as_ref().filter(|into| self.takes_back(into))?;
        Some(Box::pin(async move { into.take_back(cx) }))
    }
}

impl Http {
    /// One request and what its answer gives.
    async fn call(
        &self,
        cx: &Cx<'_>,
        request: Request,
        taker: Option<&mut dyn Taker>,
    ) -> Result<(Answer, Response), Trouble> {
        let what = cx.mask(&format!("{} {}", self.method, request.url));
        (cx.trace)(format!("> {what}"));
        let route = self.spec(cx)?.route(cx)?;
        let client = cx.services.client(&request.url, &route).await?;
        let url = cx.services.refused(self.method, request.url);
        let request = Request { url, ..request };
        let response = client
            .send_for(request, taker)
            .await
            .map_err(|broken| self.broken(cx, &what, &broken))?;
        (cx.trace)(format!("< {}", cx.mask(&answer::head(&response))));
        Self::learn(cx, &response.cookies);
        let answer = self.answer(cx, &what, &response)?;
        let private = kept_cookies(&response.cookies);
        Ok((Answer { private, ..answer }, response))
    }

    /// What cookies hold is secret.
    fn learn(cx: &Cx<'_>, cookies: &[Cookie]) {
        for cookie in cookies {
            // one too short to be found is no key to anything
            let _ = cx.services.redactor.add_json(&cookie.value().into());
        }
    }

    /// The connection's cookies, if it keeps any.
    fn cookies(&self, cx: &Cx<'_>) -> Result<Option<Cookies>, Trouble> {
        let connection = self.spec(cx)?;
        let now_ms = cx.services.world.clock.now_ms();
        Ok(connection.cookies.then(|| Cookies { jar: cx.services.jar(connection), now_ms }))
    }

    /// The same, the body kept as a file.
    async fn fetch(&self, cx: &Cx<'_>, into: &Into) -> Result<Answer, Trouble> {
        let mut incoming = into.open(self, cx)?;
        let (answer, _) = self.call(cx, self.request(cx)?, Some(&mut incoming)).await?;
        let kept = incoming.keep().map_err(|trouble| trouble.doubtful(self.changes()))?;
        // the service was asked to change something: that has happened
        let unchanged = kept.is_unchanged() && !self.changes();
        Ok(Answer { unchanged, ..kept.answer(answer) })
    }

    /// What the service is asked for.
    fn asks_for(&self) -> Effect {
        match self.method {
            "GET" | "HEAD" | "OPTIONS" => Effect::Read,
            "PUT" | "DELETE" => Effect::Repeatable,
            _ => Effect::Once,
        }
    }

    /// Whether the service is asked to change something.
    fn changes(&self) -> bool {
        self.asks_for() > Effect::Read
    }

    /// Whether removing the file takes all of it back.
    fn takes_back(&self, into: &Into) -> bool {
        !into.replace && !self.changes()
    }

    fn spec<'a>(&self, cx: &'a Cx<'_>) -> Result<&'a Rc<Connection>, Trouble> {
        let found = named(cx.connections, &self.on);
        found.ok_or_else(|| Trouble::failed(format!("no connection `{}`", self.on)))
    }

    fn target<'a>(&self, cx: &'a Cx<'_>) -> Result<(&'a Connection, url::Url), Trouble> {
        let connection = self.spec(cx)?;
        let base = connection.placed(connection.base(cx.scope)?, cx);
        refuse_odd(&self.url, cx.scope)?;
        let mut url = join(&base, &self.url.render_text(cx.scope)?)?;
        if !self.query.is_empty() {
            let pairs = pairs(&self.query, cx)?;
            url.query_pairs_mut().extend_pairs(pairs);
        }
        Ok((connection, url))
    }

    fn request(&self, cx: &Cx<'_>) -> Result<Request, Trouble> {
        let (connection, url) = self.target(cx)?;
        let mut headers = connection.headers(cx)?;
        let own = render_headers(&self.headers, cx.scope)?;
        headers.retain(|(name, _)| !own.iter().any(|(key, _)| key == name));
        headers.extend(own);
        let body = self.body.as_ref().map(|body| body.sent(cx)).transpose()?.map(|sent| {
            if matches!(self.body, Some(Body::Multipart(_))) {
                // nobody else knows what stands between the parts
                headers.retain(|(name, _)| name != "content-type");
            }
            if !headers.iter().any(|(name, _)| name == "content-type") {
                headers.push(("content-type".to_owned(), sent.kind.clone()));
            }
            sent.payload()
        });
        let timeout = cx.timeout.unwrap_or(connection.timeout);
        let (method, redirects) = (self.method.to_owned(), self.redirects);
        let cookies = self.cookies(cx)?;
        Ok(Request { method, url, headers, body, timeout, redirects, cookies })
    }
}

/// The name under which an outcome keeps the cookies that came with it, sealed.
const COOKIES: &str = "cookies";

fn kept_cookies(cookies: &[Cookie]) -> Vec<(&'static str, Labeled)> {
    let cookies = Some(cookies).filter(|cookies| !cookies.is_empty());
    let json = cookies.and_then(|cookies| serde_json::to_value(cookies).ok());
    json.map(|json| (COOKIES, Labeled::secret(json))).into_iter().collect()
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
