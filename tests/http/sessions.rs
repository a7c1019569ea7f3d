//! Who one is to a service: basic authentication, and cookies for the length of a run.

use std::collections::BTreeMap;
use std::fs;

use super::{book, run, says};
use crate::support::env::{Env, Output};
use crate::support::leak::Leaks;
use crate::support::server::{Answer, Fault, Request, Server};

const PASSWORD: &str = "p@ss:w0rd/é";
const SESSION: &str = "s3ss10n-0123456789abcdef";

fn with_password(url: &str, connection: &str, steps: &str) -> String {
    let inputs = "[inputs.password]\nsecret = true\nfrom = [{ env = \"PASSWORD\" }]\n[connections";
    book(url, connection, steps).replace("[connections", inputs)
}

#[test]
fn basic_authentication_is_sent_and_never_shown() {
    let server = Server::start("[[routes]]\npath = \"/x\"\nstatus = 401\nbody = \"no\"\n");
    let mut env = Env::new();
    env.set("PASSWORD", PASSWORD);
    let step = "[[steps]]\nid = \"x\"\nhttp = { on = \"api\", url = \"x\" }\n";
    let connection = "basic = { user = \"ada\", password = \"{{ password }}\" }";
    fs::write(env.path("calls.toml"), with_password(&server.url(), connection, step)).unwrap();
    let out = env.run(&["run", "calls.toml", "-v"]);
    says(&out, 1, &["answered 401"]);
    // `printf %s 'ada:p@ss:w0rd/é' | base64`
    let sent = "Basic YWRhOnBAc3M6dzByZC/DqQ==";
    assert_eq!(server.requests()[0].headers["authorization"], sent);
    Leaks::new(&[PASSWORD]).output("the run", &out);
    let shown = env.run(&["show", "calls.toml"]).stdout;
    assert!(shown.contains("-u \"ada:$PASSWORD\""), "{shown}");
}

#[test]
fn a_password_that_is_no_secret_is_not_shown_either_and_a_colon_is_refused() {
    let server = Server::start("[[routes]]\npath = \"/x\"\nbody = \"hunter2-hunter2\"\n");
    let step = "[[steps]]\nid = \"x\"\nhttp = { on = \"api\", url = \"x\" }\nsave.all = \".\"\n";
    let connection = "basic = { user = \"ada\", password = \"hunter2-hunter2\" }";
    let out = run(&Env::new(), &book(&server.url(), connection, step));
    says(&out, 0, &["all = ***"]);
    let connection = "basic = { user = \"a:b\", password = \"hunter2-hunter2\" }";
    let out = run(&Env::new(), &book(&server.url(), connection, step));
    says(&out, 1, &["the user of connection `api` holds a colon"]);
}

#[test]
fn two_authorizations_and_half_a_one_are_mistakes() {
    let step = "[[steps]]\nid = \"x\"\nhttp = { on = \"api\", url = \"x\" }\n";
    for (connection, wrong) in [
        ("basic = { user = \"a\" }", "`password` is missing"),
        (
            "basic = { user = \"a\", password = \"b\" }\nheaders = { Authorization = \"c\" }",
            "`basic` is an authorization, and `headers` have one already",
        ),
        ("socket = \"/s\"\nssh = \"h\"", "`socket` cannot stand beside `ssh`"),
    ] {
        let env = Env::new();
        fs::write(env.path("calls.toml"), book("http://h", connection, step)).unwrap();
        says(&env.run(&["check", "calls.toml"]), 3, &[wrong]);
    }
}

/// A service that lets in who logged in, and sets its cookie on a redirect.
fn service() -> Server {
    let answer = |status, headers: &[(&str, &str)], body: &str| {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let headers: BTreeMap<String, String> = headers.collect();
        Answer { status, headers, body: body.to_owned() }
    };
    Server::handling(Box::new(move |request: &Request| {
        let cookie = request.headers.get("cookie").map_or("", String::as_str);
        let inside = cookie.contains(&format!("sid={SESSION}"));
        match (request.target.as_str(), inside) {
            ("/login", _) => {
                let set = format!("sid={SESSION}; Path=/; HttpOnly");
                answer(302, &[("set-cookie", &set), ("location", "/home")], "")
            }
            ("/home", true) => answer(200, &[], "welcome"),
            ("/data", true) => answer(200, &[], cookie),
            _ => answer(401, &[], "log in first"),
        }
    }))
}

const STEPS: &str = "[[steps]]\nid = \"login\"\n\
    http = { on = \"api\", method = \"POST\", url = \"login\", form = { p = \"x\" }, redirects = 1 }\n\
    [[steps]]\nid = \"data\"\nhttp = { on = \"api\", url = \"data\" }\nsave.all = \".\"\n";

fn log_in(server: &Server, env: &Env, connection: &str) -> Output {
    run(env, &book(&server.url(), connection, STEPS))
}

#[test]
fn cookies_last_for_the_run_if_the_connection_keeps_them() {
    let server = service();
    let env = Env::new();
    let out = log_in(&server, &env, "cookies = true");
    // what came back holds the session: it is a secret by then
    says(&out, 0, &["ok    login  200 OK", "all = ***"]);
    Leaks::new(&[SESSION]).output("the run", &out);
    says(&log_in(&server, &Env::new(), ""), 5, &["answered 401"]);
}

#[test]
fn a_run_that_is_taken_up_goes_on_with_its_session_which_is_only_sealed_on_disk() {
    let server = service();
    server.fault_at(3, Fault::Close);
    let env = Env::new();
    let out = log_in(&server, &env, "cookies = true");
    says(&out, 1, &["ok    login", "error: step `data` failed"]);
    Leaks::new(&[SESSION]).folder("the run", &env.path(".state"));
    let out = env.run(&["resume"]);
    says(&out, 0, &["all = ***"]);
    let asked: Vec<String> = server.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(asked, ["/login", "/home", "/data", "/data"], "nobody logs in twice");
    Leaks::new(&[SESSION]).folder("the resume", &env.path(".state"));
}

/// A cookie that an earlier page sets, or the look-up of a change, counts after a resume too.
#[test]
fn what_pages_and_look_ups_set_is_kept_with_the_outcome() {
    let server = Server::handling(Box::new(|request: &Request| {
        let cookie = request.headers.get("cookie").map_or("", String::as_str);
        let json = ("content-type".to_owned(), "application/json".to_owned());
        let set = |name: &str| ("set-cookie".to_owned(), format!("{name}=v0123456789; Path=/"));
        let (status, headers, body) = match (request.method.as_str(), request.target.as_str()) {
            ("GET", "/list?p=1") => (200, vec![json, set("page")], "[1]"),
            ("GET", "/things") => (200, vec![json, set("probe")], "[]"),
            ("GET", "/end") if cookie.contains("page=") && cookie.contains("probe=") => {
                (200, vec![], "")
            }
            ("GET", "/end") => (401, vec![], ""),
            _ => (200, vec![json], "[]"),
        };
        Answer { status, headers: headers.into_iter().collect(), body: body.to_owned() }
    }));
    server.fault_at(5, Fault::Close);
    let steps = "[[steps]]\nid = \"list\"\nhttp = { on = \"api\", url = \"list\", paginate = { page = \"p\", items = \".[]\" } }\n\
        [[steps]]\nid = \"make\"\nhttp = { on = \"api\", method = \"POST\", url = \"things\" }\n\
        already = { http = { on = \"api\", url = \"things\" }, find = \".[]\", same = \"true\" }\n\
        [[steps]]\nid = \"end\"\nhttp = { on = \"api\", url = \"end\" }\n";
    let env = Env::new();
    says(&run(&env, &book(&server.url(), "cookies = true", steps)), 1, &["step `end` failed"]);
    says(&env.run(&["resume"]), 0, &["ok    end"]);
    Leaks::new(&["v0123456789"]).folder("the resume", &env.path(".state"));
}
