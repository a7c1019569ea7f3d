//! How a service is reached: unix sockets, proxies of the environment, redirects.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;

use super::{book, run, says};
use crate::support::env::{Env, Output};
use crate::support::server::{Answer, Fault, Request, Server};

const STEP: &str =
    "[[steps]]\nid = \"x\"\nhttp = { on = \"api\", url = \"x\" }\nsave.all = \".\"\n";

fn text(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Answer { status, headers: headers.collect::<BTreeMap<_, _>>(), body: body.to_owned() }
}

#[test]
fn a_unix_socket_is_called_and_its_absence_was_never_sent() {
    let env = Env::new();
    let path = env.path("s");
    let steps = STEP.replace("url", "method = \"POST\", url");
    let book = book("http://localhost/v1", "socket = \"s\"", &steps);
    says(&run(&env, &book), 1, &["POST http://localhost/v1/x failed: no such file or directory"]);
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let head: Vec<String> =
            lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        head
    });
    says(&env.run(&["resume"]), 0, &["all = hello"]);
    let head = server.join().unwrap();
    assert_eq!(head[0], "POST /v1/x HTTP/1.1");
    assert!(head.iter().any(|line| line.eq_ignore_ascii_case("host: localhost")), "{head:?}");
}

#[test]
fn a_socket_must_be_trusted_and_is_the_fake_in_a_rehearsal() {
    let env = Env::new();
    fs::write(env.path("calls.toml"), book("http://localhost/v1", "socket = \"/no/socket\"", STEP))
        .unwrap();
    let listed = "calls   http://localhost/v1/ through /no/socket";
    says(&env.run(&["run", "calls.toml"]), 2, &[listed, "must be trusted first"]);
    says(&env.run(&["plan", "calls.toml"]), 2, &["must be trusted first"]);
    fs::write(
        env.path("fake.toml"),
        "format = 1\n[[routes]]\non = \"GET /v1/x\"\njq = '{body: \"faked\"}'\n",
    )
    .unwrap();
    says(&env.run(&["rehearse", "calls.toml"]), 0, &["all = faked"]);
    let shown = env.run(&["show", "calls.toml"]).stdout;
    assert!(shown.contains("--unix-socket /no/socket"), "{shown}");
}

/// A proxy that answers everything itself, with what it was asked.
fn proxy() -> Server {
    Server::handling(Box::new(|request: &Request| match request.method.as_str() {
        "CONNECT" => text(403, &[], ""),
        _ => text(200, &[], "through the proxy"),
    }))
}

fn through(vars: &[(&str, &str)], base: &str) -> (Output, Vec<Request>) {
    let proxy = proxy();
    let mut env = Env::new();
    for (name, value) in vars {
        env.set(name, &value.replace("PROXY_ADDRESS", &proxy.address()));
    }
    let out = run(&env, &book(base, "timeout = \"5s\"", STEP));
    (out, proxy.requests())
}

#[test]
fn proxies_of_the_environment_are_used() {
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let (out, asked) = through(&[(name, "http://PROXY_ADDRESS")], "http://nowhere.invalid");
        says(&out, 0, &["all = through the proxy"]);
        assert_eq!(asked[0].target, "http://nowhere.invalid/x", "{name}");
    }
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let (out, asked) = through(&[(name, "http://PROXY_ADDRESS")], "https://nowhere.invalid");
        says(&out, 1, &["error: step `x` failed: GET https://nowhere.invalid/x failed: "]);
        assert_eq!((&*asked[0].method, &*asked[0].target), ("CONNECT", "nowhere.invalid:443"));
    }
}

#[test]
fn what_no_proxy_names_is_called_directly() {
    let server = Server::start("[[routes]]\npath = \"/x\"\nbody = \"direct\"\n");
    let host = server.address().split_once(':').unwrap().0.to_owned();
    for (no_proxy, said) in
        [("", "through the proxy"), (&*host, "direct"), ("*", "direct"), ("127.0.0.0/8", "direct")]
    {
        let vars = [("HTTP_PROXY", "http://PROXY_ADDRESS"), ("NO_PROXY", no_proxy)];
        let (out, asked) = through(&vars, &server.url());
        says(&out, 0, &[&format!("all = {said}")]);
        assert_eq!(asked.is_empty(), said == "direct", "{no_proxy}");
    }
}

#[test]
fn the_password_of_a_proxy_goes_to_it_and_is_not_shown() {
    let vars = [("HTTP_PROXY", "http://ada:pr0xy-passw0rd@PROXY_ADDRESS")];
    let (out, asked) = through(&vars, "http://nowhere.invalid");
    says(&out, 0, &[]);
    // `printf %s ada:pr0xy-passw0rd | base64`
    assert_eq!(asked[0].headers["proxy-authorization"], "Basic YWRhOnByMHh5LXBhc3N3MHJk");
    let mut env = Env::new();
    env.set("HTTP_PROXY", "http://ada:pr0xy-passw0rd@127.0.0.1:1");
    let echo = "[[steps]]\nid = \"x\"\nhttp = { on = \"api\", url = \"pr0xy-passw0rd\" }\n";
    let out = run(&env, &book("http://nowhere.invalid", "", echo));
    says(&out, 1, &["nowhere.invalid/*** failed"]);
    assert!(!out.stderr.contains("pr0xy-passw0rd"), "{}", out.stderr);
}

#[test]
fn a_proxy_that_is_not_there_was_sent_nothing() {
    let mut env = Env::new();
    env.set("ALL_PROXY", "http://127.0.0.1:1");
    let post = STEP.replace("url", "method = \"POST\", url");
    let out = run(&env, &book("http://nowhere.invalid", "", &post));
    says(&out, 1, &["connection refused"]);
    assert!(!out.stderr.contains("may or may not"), "{}", out.stderr);
}

#[test]
fn a_rehearsal_asks_no_proxy() {
    let mut env = Env::new();
    env.set("ALL_PROXY", "http://127.0.0.1:1");
    fs::write(
        env.path("calls.toml"),
        book("{{ url }}", "", STEP).replace("[conn", "[inputs.url]\n[conn"),
    )
    .unwrap();
    fs::write(
        env.path("fake.toml"),
        "format = 1\n[inputs]\nurl = \"$URL\"\n[[routes]]\non = \"GET /x\"\njq = '{body: \"faked\"}'\n",
    )
    .unwrap();
    says(&env.run(&["rehearse", "calls.toml"]), 0, &["all = faked"]);
}

#[test]
fn redirects_are_followed_so_far_and_no_farther() {
    let server = Server::handling(Box::new(|request: &Request| {
        let number = request.target.trim_start_matches("/x").parse().unwrap_or(0);
        match number {
            3 => text(200, &[], &format!("{} {}", request.method, request.body)),
            number => text(302, &[("location", &format!("x{}", number + 1))], ""),
        }
    }));
    let call = |method: &str, redirects: usize| {
        let keys = format!("method = \"{method}\", redirects = {redirects}, text = \"body\", url");
        run(&Env::new(), &book(&server.url(), "", &STEP.replace("url", &keys)))
    };
    says(&call("GET", 3), 0, &["all = GET body"]);
    says(&call("PUT", 3), 0, &["all = PUT body"]);
    says(&call("POST", 3), 0, &["all = GET\n"]);
    says(&call("GET", 2), 1, &["too many redirects"]);
    says(&call("GET", 0), 1, &["answered 302 Found"]);
}

#[test]
fn a_redirect_keeps_or_drops_what_it_must() {
    for (status, method, arrives) in [
        (301, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (307, "POST", "POST body"),
        (308, "PATCH", "PATCH body"),
    ] {
        let server = Server::handling(Box::new(move |request: &Request| {
            if request.target == "/x" {
                return text(status, &[("location", "/y")], "");
            }
            let kind = request.headers.contains_key("content-type");
            assert_eq!(kind, !request.body.is_empty(), "a type without a body");
            text(200, &[], "")
        }));
        let body = if method == "HEAD" { "" } else { "text = \"body\", " };
        let keys = format!("method = \"{method}\", redirects = 1, {body}url");
        let steps = STEP.replace("url", &keys).replace("save.all = \".\"\n", "");
        says(&run(&Env::new(), &book(&server.url(), "", &steps)), 0, &[]);
        let last = server.requests().pop().unwrap();
        assert_eq!(format!("{} {}", last.method, last.body).trim(), arrives, "{status} {method}");
    }
}

#[test]
fn what_follows_a_redirect_says_nothing_of_the_change_before_it() {
    for (status, first, code) in [(404, 303, 5), (404, 302, 5), (404, 307, 1), (200, 303, 0)] {
        let server = Server::handling(Box::new(move |request: &Request| match &*request.target {
            "/x" => text(first, &[("location", "/y")], ""),
            _ => text(status, &[], "answer"),
        }));
        let step = STEP.replace("url", "method = \"POST\", redirects = 1, url");
        let out = run(&Env::new(), &book(&server.url(), "", &step));
        assert_eq!(out.code, Some(code), "{first}, then {status}: {}", out.stderr);
    }
    let route = "[[routes]]\nmethod = \"POST\"\npath = \"/x\"\nstatus = 303\n";
    let server = Server::start(&format!("{route}headers.location = \"/y\"\n"));
    server.fault_at(2, Fault::Refuse);
    let step = STEP.replace("url", "method = \"POST\", redirects = 1, url");
    says(&run(&Env::new(), &book(&server.url(), "", &step)), 5, &["failed: after a redirect: "]);
}

#[test]
fn an_answer_that_was_not_wanted_is_no_refusal() {
    for (status, code) in [(200, 5), (202, 5), (303, 5), (307, 1), (400, 1), (500, 5)] {
        let route = "[[routes]]\nmethod = \"POST\"\npath = \"/x\"\nbody = \"\"\n";
        let server = Server::start(&format!("{route}status = {status}\n"));
        let step = STEP.replace("url", "method = \"POST\", accept = 201, url");
        let out = run(&Env::new(), &book(&server.url(), "", &step));
        assert_eq!(out.code, Some(code), "{status}: {}", out.stderr);
    }
}
