//! From page to page: all ways, their ends, and what a service may do wrong.

use std::collections::BTreeMap;

use super::{book, mistakes, run, says};
use crate::support::env::{Env, Output};
use crate::support::server::{Answer, Fault, Server};

fn step(paginate: &str) -> String {
    format!(
        "[[steps]]\nid = \"list\"\n\
         http = {{ on = \"api\", url = \"x\", query = {{ q = \"a b\" }}, paginate = {{ {paginate} }} }}\n\
         save.all = \"map(tostring) | join(\\\",\\\")\"\nsave.status = \"$response.status\"\n"
    )
}

/// A server that answers each target with a body and, where given, a `Link` header.
fn server(pages: Vec<(&'static str, String, Option<&'static str>)>) -> Server {
    Server::handling(Box::new(move |request| {
        let found = pages.iter().find(|(target, ..)| *target == request.target);
        let Some((_, body, link)) = found else {
            let body = format!("no {}", request.target);
            return Answer { status: 404, headers: BTreeMap::new(), body };
        };
        let mut headers = BTreeMap::from([("content-type".into(), "application/json".into())]);
        headers.extend(link.map(|link| ("link".to_owned(), link.to_owned())));
        Answer { status: 200, headers, body: body.clone() }
    }))
}

/// Runs one list over these pages; what was asked for.
fn list(
    pages: Vec<(&'static str, String, Option<&'static str>)>,
    paginate: &str,
) -> (Output, Vec<String>) {
    let server = server(pages);
    let out = run(&Env::new(), &book(&server.url(), "", &step(paginate)));
    (out, server.requests().into_iter().map(|request| request.target).collect())
}

fn page(target: &'static str, body: &str) -> (&'static str, String, Option<&'static str>) {
    (target, body.to_owned(), None)
}

const DONE: &str = "all    = 1,2,3";

#[test]
fn pages_are_counted_until_one_is_empty() {
    let pages = vec![
        page("/x?q=a+b&p=0", r#"{"r":[1,2]}"#),
        page("/x?q=a+b&p=1", r#"{"r":[3]}"#),
        page("/x?q=a+b&p=2", r#"{"r":[]}"#),
    ];
    let (out, asked) = list(pages, "page = \"p\", first = 0, items = \".r[]\"");
    says(&out, 0, &[DONE, "200 OK, 3 items on 3 pages"]);
    assert_eq!(asked.len(), 3);
}

#[test]
fn links_are_followed_relative_ones_too() {
    let pages = vec![
        ("/x?q=a+b", "[1,2]".to_owned(), Some("</x?c=2>; rel=\"next\", </x?c=9>; rel=\"last\"")),
        ("/x?c=2", "[3]".to_owned(), Some("<?c=3>; rel=next")),
        ("/x?c=3", "[]".to_owned(), Some("</x>; rel=first")),
    ];
    let (out, _) = list(pages, "link = \"next\", items = \".[]\"");
    says(&out, 0, &[DONE, "3 items on 3 pages"]);
}

#[test]
fn a_program_gives_the_next_address_or_a_cursor() {
    let pages = || {
        vec![
            page("/x?q=a+b", r#"{"r":[1,2],"next":"/x?q=a+b&c=m%2B1","c":"m+1"}"#),
            page("/x?q=a+b&c=m%2B1", r#"{"r":[3],"next":null,"c":0}"#),
        ]
    };
    let (out, _) = list(pages(), "next = \".next\", items = \".r[]\"");
    says(&out, 0, &[DONE, "3 items on 2 pages"]);
    let (out, _) = list(pages(), "next = \".c\", param = \"c\", items = \".r[]\"");
    says(&out, 0, &[DONE, "3 items on 2 pages"]);
}

#[test]
fn too_many_pages_and_circles_and_other_hosts_are_failures() {
    let chain = || {
        vec![
            page("/x?q=a+b", r#"{"r":[1],"next":"/x?c=1"}"#),
            page("/x?c=1", r#"{"r":[2],"next":"/x?c=2"}"#),
            page("/x?c=2", r#"{"r":[3],"next":"/x?c=1"}"#),
        ]
    };
    let (out, asked) = list(chain(), "next = \".next\", items = \".r[]\", pages = 2");
    says(&out, 1, &["there are more than 2 pages", "hint: narrow the query, or allow more"]);
    assert_eq!(asked.len(), 2);
    let (out, asked) = list(chain(), "next = \".next\", items = \".r[]\"");
    says(&out, 1, &["page 3 leads back to one that was read: http://127.", "/x?c=1"]);
    assert_eq!(asked.len(), 3);
    for next in
        ["http://127.0.0.2:1/x", "https://127.0.0.1/x", "//example.com/x", "file:///etc/passwd"]
    {
        let body = format!(r#"{{"r":[1],"next":"{next}"}}"#);
        let (out, asked) =
            list(vec![page("/x?q=a+b", &body)], "next = \".next\", items = \".r[]\"");
        says(&out, 1, &["the next page is on another host or scheme"]);
        assert_eq!(asked.len(), 1);
    }
    let full = || vec![page("/x?q=a+b&p=1", "[1]"), page("/x?q=a+b&p=2", "[2]")];
    let (out, _) = list(full(), "page = \"p\", items = \".[]\", pages = 1");
    says(&out, 1, &["there are more than 1 pages"]);
    let ended = [full(), vec![page("/x?q=a+b&p=3", "[]")]].concat();
    let (out, _) = list(ended, "page = \"p\", items = \".[]\", pages = 2");
    says(&out, 0, &["2 items on 3 pages"]);
}

#[test]
fn after_a_failure_it_goes_on_with_the_page_that_failed() {
    let server = server(vec![
        page("/x?q=a+b&p=1", "[1,2]"),
        page("/x?q=a+b&p=2", "[3]"),
        page("/x?q=a+b&p=3", "[]"),
    ]);
    server.fault_at(2, Fault::Close);
    server.fault_at(4, Fault::Cut);
    let step = step("page = \"p\", items = \".[]\"");
    let out = run(&Env::new(), &book(&server.url(), "retry = { backoff = \"1ms\" }", &step));
    says(&out, 0, &[DONE, "attempt 2 failed"]);
    let asked: Vec<String> = server.requests().into_iter().map(|request| request.target).collect();
    let numbers: Vec<&str> = asked.iter().filter_map(|target| target.split("p=").nth(1)).collect();
    assert_eq!(numbers, ["1", "2", "2", "3", "3"]);
}

#[test]
fn mistakes_are_found_by_check() {
    let post =
        step("link = \"next\", items = \".[]\"").replace("url =", "method = \"POST\", url =");
    for (step, wrong) in [
        (step("link = \"next\""), "`items` is missing"),
        (step("items = \".[]\""), "one of `page`, `link`, `next` is missing"),
        (
            step("items = \".[]\", page = \"p\", link = \"next\""),
            "`link` cannot stand beside `page`",
        ),
        (step("items = \".[]\", link = \"next\", first = 1"), "`first` goes with `page`"),
        (step("items = \".[]\", page = \"p\", param = \"c\""), "`param` goes with `next`"),
        (step("items = \".[\", link = \"next\""), "jq: "),
        (step("items = \".[]\", link = \"next\", limit = 1"), "unknown key `limit`"),
        (post, "only a GET goes from page to page, and this is a POST"),
    ] {
        let said = mistakes(&step);
        assert!(said.contains(wrong), "`{wrong}` is not in\n{said}");
    }
}

#[test]
fn a_person_is_told_how_to_go_from_page_to_page() {
    let env = Env::new();
    std::fs::write(
        env.path("calls.toml"),
        book("http://h", "", &step("link = \"next\", items = \".r[]\"")),
    )
    .unwrap();
    let out = env.run(&["show", "calls.toml"]);
    assert!(
        out.stdout
            .contains("read each next one at the address that its `Link` header gives for `next`"),
        "{}",
        out.stdout
    );
}
