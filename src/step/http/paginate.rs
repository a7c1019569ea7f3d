//! `paginate`: a read that goes from page to page and puts the items of all together.
//!
//! Every page is a call of its own, with its own time-out; after a failure the next attempt
//! goes on with the page that failed. Bounded by a number of pages and by bytes, and a page
//! that leads back is an error: no service can keep it going.

use url::Url;

use super::super::jq::all;
use super::super::{Answer, Cx, Hand, Trouble};
use super::{Http, kept_cookies, link};
use crate::diag::Diag;
use crate::jq::{self, ProgramId, Val};
use crate::reader::{Field, Reader, Rules, Shape};
use crate::transport::{Cookie, Response};
use crate::value::{Json, text};

/// How many pages are taken when nobody says.
const PAGES: u64 = 100;

/// The most bytes of all pages together.
const BYTES: usize = 64 * 1024 * 1024;

/// The keys of `paginate`.
pub(super) const FIELDS: &[Field] = &[
    Field {
        name: "items",
        shape: Shape::Jq,
        about: "Over each page (`$response` too): gives its items, as in `.results[]`. `.` of the answer is the list of all.",
    },
    Field {
        name: "page",
        shape: Shape::Text,
        about: "The query parameter that counts pages; a page without items is the last.",
    },
    Field {
        name: "first",
        shape: Shape::Integer,
        about: "The number of the first page; 1 if not said.",
    },
    Field {
        name: "link",
        shape: Shape::Text,
        about: "The relation of the `Link` header to follow: `next`.",
    },
    Field {
        name: "next",
        shape: Shape::Jq,
        about: "Over each page (`$response` too): the URL of the next, or with `param` what it takes; nothing, null, false, 0 or \"\" at the end.",
    },
    Field {
        name: "param",
        shape: Shape::Text,
        about: "The query parameter that takes what `next` gives: a cursor, an offset, a page's number.",
    },
    Field {
        name: "pages",
        shape: Shape::Integer,
        about: "The most pages, 100 if not said; if there are more, the step fails.",
    },
];

/// Which of them go together.
pub const RULES: Rules = Rules {
    needs: &["items"],
    apart: &["page", "link", "next"],
    any: &["page", "link", "next"],
    with: &[("first", "page"), ("param", "next")],
};

#[derive(Debug)]
pub(super) struct Paginate {
    pub(super) items: ProgramId,
    pub(super) way: Way,
    pages: u64,
}

/// How one page leads to the next.
#[derive(Debug)]
pub(super) enum Way {
    /// By counting, from a number, in a query parameter.
    Count(String, u64),
    /// By a relation of the `Link` header.
    Link(String),
    /// By what a program reads out of it: a URL, or the value of a query parameter.
    Next(ProgramId, Option<String>),
}

/// What has been gathered so far.
struct Gathered {
    items: Vec<Val>,
    bytes: usize,
    /// The pages that have been read.
    seen: Vec<Url>,
    next: Url,
    /// What they set.
    cookies: Vec<Cookie>,
}

pub(super) fn parse(reader: &Reader<'_>, method: &str) -> Option<Paginate> {
    let table = reader.table("paginate")?;
    table.only(FIELDS);
    let obeys = table.obeys(&RULES);
    if method != "GET" {
        let title = format!("only a GET goes from page to page, and this is a {method}");
        reader.gather.report(Diag::error(title, table.span()));
    }
    let items = table.jq("items", LOCALS);
    let next = table.jq("next", LOCALS);
    let (page, link, param) = (table.string("page"), table.string("link"), table.string("param"));
    let first = table.integer("first").unwrap_or(1);
    let pages = table.integer("pages").unwrap_or(PAGES).max(1);
    let way = match (page, link, next) {
        (Some(page), ..) => Way::Count(page, first),
        (_, Some(relation), _) => Way::Link(relation),
        (.., next) => Way::Next(next?, param),
    };
    obeys.then_some(Paginate { items: items?, way, pages })
}

const LOCALS: &[&str] = &["response"];

impl Http {
    /// All pages as one answer.
    pub(super) async fn all_pages(
        &self,
        cx: &Cx<'_>,
        paginate: &Paginate,
    ) -> Result<Answer, Trouble> {
        let kept = cx.kept.take().and_then(|kept| kept.downcast::<Gathered>().ok());
        let mut so_far = match kept {
            Some(kept) => *kept,
            None => Gathered::new(paginate.way.first(self.target(cx)?.1)),
        };
        loop {
            let mut request = self.request(cx)?;
            request.url = so_far.next.clone();
            let (answer, response) = match self.call(cx, request, None).await {
                Ok(got) => got,
                Err(trouble) => {
                    cx.kept.replace(Some(Box::new(so_far)));
                    return Err(trouble);
                }
            };
            match so_far.take(cx, paginate, &answer, &response)? {
                Some(next) => so_far.next = next,
                None => return Ok(so_far.finish(answer)),
            }
        }
    }
}

impl Paginate {
    /// How a person goes from page to page.
    pub(super) fn by_hand(&self, hand: &Hand<'_>) -> String {
        let next = match &self.way {
            Way::Count(param, first) => {
                format!("with the parameter `{param}` counted up from {first}, until one is empty")
            }
            Way::Link(relation) => {
                format!(
                    "at the address that its `Link` header gives for `{relation}`, while there is one"
                )
            }
            Way::Next(program, None) => {
                format!(
                    "at the address that its `{}` gives, while there is one",
                    hand.code(*program)
                )
            }
            Way::Next(program, Some(param)) => {
                let next = hand.code(*program);
                format!("with the parameter `{param}` as its `{next}` gives it, while there is one")
            }
        };
        format!("This is one page: read each next one {next}, and put all lists together.")
    }
}

impl Way {
    fn first(&self, mut url: Url) -> Url {
        if let Self::Count(param, first) = self {
            set(&mut url, param, &first.to_string());
        }
        url
    }
}

impl Gathered {
    fn new(first: Url) -> Self {
        Self { items: Vec::new(), bytes: 0, seen: Vec::new(), next: first, cookies: Vec::new() }
    }

    /// Takes a page's items; the URL of the next page, if there is one.
    fn take(
        &mut self,
        cx: &Cx<'_>,
        paginate: &Paginate,
        answer: &Answer,
        response: &Response,
    ) -> Result<Option<Url>, Trouble> {
        let items = all(cx, paginate.items, &answer.locals, answer.input.clone())?;
        let counts = matches!(paginate.way, Way::Count(..));
        let last = counts && items.is_empty();
        self.bytes += response.body.len();
        self.cookies.extend(response.cookies.iter().cloned());
        self.items.extend(items);
        self.seen.push(self.next.clone());
        let next = if last { None } else { self.following(cx, paginate, answer, response)? };
        let read = u64::try_from(self.seen.len()).unwrap_or(u64::MAX);
        // only an empty page tells that counting is at its end, so that one more is read
        let more = if counts {
            !last && read > paginate.pages
        } else {
            next.is_some() && read >= paginate.pages
        };
        if more {
            let message = format!("there are more than {} pages", paginate.pages);
            return Err(
                Trouble::failed(message).hint("narrow the query, or allow more with `pages`")
            );
        }
        if self.bytes > BYTES {
            let limit = BYTES / (1024 * 1024);
            return Err(Trouble::failed(format!("the pages are together larger than {limit} MiB")));
        }
        if let Some(back) = next.as_ref().filter(|next| self.seen.contains(next)) {
            let message = format!("page {read} leads back to one that was read: {back}");
            return Err(Trouble::failed(cx.mask(&message)));
        }
        Ok(next)
    }

    fn following(
        &self,
        cx: &Cx<'_>,
        paginate: &Paginate,
        answer: &Answer,
        response: &Response,
    ) -> Result<Option<Url>, Trouble> {
        let mut url = self.next.clone();
        match &paginate.way {
            Way::Count(param, first) => {
                let read = u64::try_from(self.seen.len()).unwrap_or(u64::MAX);
                set(&mut url, param, &first.saturating_add(read).to_string());
            }
            Way::Link(relation) => {
                let links = response.headers.iter().filter(|(name, _)| name == "link");
                let links = links.map(|(_, value)| value.as_str());
                let Some(target) = link::target(links, relation) else { return Ok(None) };
                url = self.below(cx, &target)?;
            }
            Way::Next(program, param) => {
                let given = all(cx, *program, &answer.locals, answer.input.clone())?;
                let given = given.first().map(jq::to_json).transpose();
                let given = given.map_err(|error| Trouble::failed(cx.mask(&error.message)))?;
                match (given.filter(leads_on), param) {
                    (None, _) => return Ok(None),
                    (Some(value), Some(param)) => set(&mut url, param, &text(&value)),
                    (Some(value), None) => url = self.below(cx, &text(&value))?,
                }
            }
        }
        Ok(Some(url))
    }

    /// A page's address as the page before it says; it never leaves the service.
    fn below(&self, cx: &Cx<'_>, target: &str) -> Result<Url, Trouble> {
        let url = self.next.join(target).map_err(|error| {
            Trouble::failed(cx.mask(&format!("the next page's URL is none: {error}: `{target}`")))
        })?;
        if url.origin() != self.next.origin() {
            let message = format!("the next page is on another host or scheme: {url}");
            return Err(Trouble::failed(cx.mask(&message)));
        }
        Ok(url)
    }

    fn finish(self, last: Answer) -> Answer {
        let (pages, items) = (self.seen.len(), self.items.len());
        let pages = if pages == 1 { "1 page".to_owned() } else { format!("{pages} pages") };
        let summary = format!("{}, {items} items on {pages}", last.summary);
        let (input, private) = (self.items.into_iter().collect(), kept_cookies(&self.cookies));
        Answer { input, summary, private, ..last }
    }
}

/// Whether what `next` gives leads to another page.
fn leads_on(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => false,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        _ => true,
    }
}

/// Sets a query parameter in the place of any of its name.
fn set(url: &mut Url, param: &str, value: &str) {
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != param)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(param, value);
}
