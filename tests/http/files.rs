//! Files up and down, forms with files, and texts that are no JSON.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::{book, mistakes, run, says};
use crate::support::env::{Env, Output};
use crate::support::server::{Answer, Fault, Server};

/// A server that answers everything with this body.
fn serving(kind: &'static str, body: &str) -> Server {
    let body = body.to_owned();
    Server::handling(Box::new(move |_| {
        let headers = BTreeMap::from([("content-type".to_owned(), kind.to_owned())]);
        Answer { status: 200, headers, body: body.clone() }
    }))
}

fn call(keys: &str) -> String {
    format!("[[steps]]\nid = \"call\"\nhttp = {{ on = \"api\", url = \"x\", {keys} }}\n")
}

/// What stands in the folder besides the runbook and the state.
fn files(env: &Env) -> Vec<String> {
    let names = fs::read_dir(env.root()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter(|name| !["calls.toml", ".state"].contains(&name.as_str())).collect();
    names.sort();
    names
}

#[test]
fn a_form_with_files_is_sent_as_rfc_7578_has_it() {
    let server = serving("text/plain", "ok");
    let env = Env::new();
    fs::write(env.path("photo.png"), "PNG\r\n--x\0").unwrap();
    let step = call(
        "method = \"POST\", multipart = [{ name = \"title\", text = \"a {{ 1 + 1 }}\" }, \
         { name = \"meta\", text = \"{}\", type = \"application/json\" }, \
         { name = \"photo\", file = \"photo.png\", type = \"image/png\" }, \
         { name = \"other\", file = \"photo.png\", filename = 'b \"c\".bin' }]",
    );
    let out = run(&env, &book(&server.url(), "", &step));
    says(&out, 0, &["200 OK"]);
    let request = server.requests().remove(0);
    let kind = &request.headers["content-type"];
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect(kind);
    let part = |head: &str, content: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    let wanted = [
        part("name=\"title\"", "a 2"),
        part("name=\"meta\"\r\nContent-Type: application/json", "{}"),
        part("name=\"photo\"; filename=\"photo.png\"\r\nContent-Type: image/png", "PNG\r\n--x\0"),
        part(
            "name=\"other\"; filename=\"b %22c%22.bin\"\r\nContent-Type: application/octet-stream",
            "PNG\r\n--x\0",
        ),
        format!("--{boundary}--\r\n"),
    ];
    assert_eq!(request.body, wanted.concat());
    assert_eq!(request.headers["content-length"], wanted.concat().len().to_string());
}

#[test]
fn a_file_is_sent_as_it_is_larger_ones_than_memory_is_given_for_too() {
    let server = serving("text/plain", "ok");
    let env = Env::new();
    let content = "0123456789abcdef".repeat(1 << 20);
    fs::write(env.path("dump"), &content).unwrap();
    let out = run(&env, &book(&server.url(), "", &call("method = \"PUT\", upload = \"dump\"")));
    says(&out, 0, &["200 OK"]);
    let request = server.requests().remove(0);
    assert_eq!(request.headers["content-type"], "application/octet-stream");
    assert_eq!(request.headers["content-length"], content.len().to_string());
    assert!(request.body == content, "the whole file arrives");
}

#[test]
fn a_file_that_cannot_be_read_fails_before_anything_is_sent() {
    let server = serving("text/plain", "ok");
    let env = Env::new();
    fs::create_dir(env.path("folder")).unwrap();
    for (name, why) in [("none", "No such file"), ("folder", "it is no file")] {
        let step = call(&format!("method = \"POST\", upload = \"{name}\""));
        let out = run(&env, &book(&server.url(), "retry = { times = 2 }", &step));
        says(&out, 1, &["cannot read `", why]);
        assert!(!out.stderr.contains("attempt"), "{}", out.stderr);
    }
    assert!(server.requests().is_empty());
}

const FETCH: &str = "into = \"out/page\", mode = \"0644\"";

fn fetch(server: &Server, env: &Env, keys: &str) -> Output {
    let _ = fs::create_dir(env.path("out"));
    let saves = "save.size = \".size\"\nsave.sum = \".sha256\"\n";
    run(env, &book(&server.url(), "", &(call(keys) + saves)))
}

#[test]
fn a_body_is_kept_as_a_file_and_taken_back() {
    let large = "x".repeat(12 << 20);
    let server = serving("application/json", &large);
    let env = Env::new();
    let out = fetch(&server, &env, FETCH);
    says(&out, 0, &["12582912 bytes into", "size = 12582912"]);
    let path = env.path("out/page");
    assert!(fs::read_to_string(&path).unwrap() == large);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(fs::read_dir(env.path("out")).unwrap().count(), 1);
    let out = env.run(&["undo", "r1", "--yes"]);
    says(&out, 0, &["out/page removed"]);
    assert!(!path.exists());
}

#[test]
fn the_sum_of_a_file_is_its_sha_256() {
    let out = fetch(&serving("text/plain", "abc"), &Env::new(), "into = \"out/page\"");
    let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    says(&out, 0, &[sum]);
}

#[test]
fn what_was_changed_since_is_not_removed() {
    let env = Env::new();
    says(&fetch(&serving("text/plain", "abc"), &env, "into = \"out/page\""), 0, &[]);
    fs::write(env.path("out/page"), "mine").unwrap();
    let out = env.run(&["undo", "r1", "--yes"]);
    says(&out, 0, &["is not what this run wrote; left alone"]);
    assert_eq!(fs::read_to_string(env.path("out/page")).unwrap(), "mine");
}

#[test]
fn what_is_there_already_is_left_alone() {
    let server = serving("text/plain", "abc");
    for (there, keys, code, said) in [
        ("abc", "into = \"out/page\"", 0, "already in"),
        ("other", "into = \"out/page\"", 1, "is there already, and is another file"),
        ("other", "into = \"out/page\", replace = true", 0, "3 bytes into"),
    ] {
        let env = Env::new();
        fs::create_dir(env.path("out")).unwrap();
        fs::write(env.path("out/page"), there).unwrap();
        says(&fetch(&server, &env, keys), code, &[said]);
        let wanted = if code == 0 { "abc" } else { there };
        assert_eq!(fs::read_to_string(env.path("out/page")).unwrap(), wanted);
        assert_eq!(fs::read_dir(env.path("out")).unwrap().count(), 1);
    }
    let before = server.requests().len();
    let env = Env::new();
    fs::create_dir(env.path("out")).unwrap();
    fs::write(env.path("out/page"), "other").unwrap();
    says(&fetch(&server, &env, "method = \"POST\", into = \"out/page\""), 1, &["another file"]);
    assert_eq!(server.requests().len(), before, "nothing is asked for that cannot be kept");
}

#[test]
fn links_folders_and_missing_folders_are_refused() {
    let server = serving("text/plain", "abc");
    let env = Env::new();
    fs::create_dir(env.path("out")).unwrap();
    fs::write(env.path("victim"), "mine").unwrap();
    symlink(env.path("victim"), env.path("out/page")).unwrap();
    symlink(env.path("victim"), env.path("out/.other.runbook")).unwrap();
    let out = fetch(&server, &env, "into = \"out/page\", replace = true");
    says(&out, 1, &["symbolic link; name the file itself\n"]);
    assert!(!out.stderr.contains("follow_links"), "it has no such key: {}", out.stderr);
    says(&fetch(&server, &env, "into = \"out/other\""), 0, &[]);
    says(&fetch(&server, &env, "into = \"out\""), 1, &["it is a folder"]);
    says(&fetch(&server, &env, "into = \"no/page\""), 1, &["its folder does not exist"]);
    assert_eq!(fs::read_to_string(env.path("victim")).unwrap(), "mine");
}

#[test]
fn half_an_answer_or_a_refusal_leaves_no_file() {
    for (fault, body) in [(Some(Fault::Cut), "abcdef"), (None, "abc")] {
        let server = match fault {
            Some(_) => serving("text/plain", body),
            None => Server::start("[[routes]]\npath = \"/x\"\nstatus = 404\nbody = \"gone\"\n"),
        };
        if let Some(fault) = fault {
            server.fault_at(1, fault);
        }
        let env = Env::new();
        let said = if fault.is_some() { "broke off" } else { "text/plain: gone" };
        says(&fetch(&server, &env, "into = \"out/page\""), 1, &[said]);
        assert_eq!(fs::read_dir(env.path("out")).unwrap().count(), 0);
    }
}

#[test]
fn two_writers_of_one_file_never_mix() {
    let server = Server::handling(Box::new(|request| {
        let body = request.target[1..].repeat(1 << 20);
        Answer { status: 200, headers: BTreeMap::new(), body }
    }));
    let env = Env::new();
    fs::create_dir(env.path("out")).unwrap();
    let step = "[[steps]]\nid = \"call\"\nfor_each = \"['a', 'b']\"\nat_once = 2\n\
                http = { on = \"api\", url = \"{{ item }}\", into = \"out/page\", replace = true }\n";
    let out = run(&env, &book(&server.url(), "", step));
    says(&out, 1, &["out/page", "another step or process is writing it now"]);
    assert_eq!(fs::read_to_string(env.path("out/page")).unwrap(), "a".repeat(1 << 20));
    assert_eq!(fs::read_dir(env.path("out")).unwrap().count(), 1);
}

#[test]
fn a_run_killed_at_any_point_is_finished_with_the_whole_file() {
    let server = serving("text/plain", "abc");
    let mut killed = 0;
    for point in 1.. {
        let mut env = Env::new();
        env.set("RUNBOOK_CRASH_AT", &point.to_string());
        let died = fetch(&server, &env, "into = \"out/page\"").code.is_none();
        env.set("RUNBOOK_CRASH_AT", "0");
        if died {
            killed += 1;
            let out = match env.run(&["resume"]) {
                // nothing was on disk yet
                out if out.code == Some(2) => env.run(&["run", "calls.toml", "--trust"]),
                out => out,
            };
            says(&out, 0, &[]);
        }
        assert_eq!(fs::read_to_string(env.path("out/page")).unwrap(), "abc", "point {point}");
        assert_eq!(fs::read_dir(env.path("out")).unwrap().count(), 1, "point {point}");
        if !died {
            break;
        }
    }
    assert!(killed > 8, "{killed} points");
}

#[test]
fn a_rehearsal_writes_below_its_own_folder_and_sends_what_it_wrote() {
    let env = Env::new();
    fs::write(
        env.path("fake.toml"),
        "format = 1\n[inputs]\nurl = \"$URL\"\n\
         [[routes]]\non = \"GET /x\"\njq = '{status: 200, body: {a: 1}}'\n\
         [[routes]]\non = \"PUT /x\"\njq = '{status: 200, body: .request.body}'\n",
    )
    .unwrap();
    let up = "[[steps]]\nid = \"up\"\nhttp = { on = \"api\", method = \"PUT\", url = \"x\", upload = \"page\" }\n";
    let text = book("{{ url }}", "", &(call("into = \"page\"") + up))
        .replace("[connections", "[inputs.url]\n[connections");
    fs::write(env.path("calls.toml"), text).unwrap();
    let out = env.run(&["rehearse", "calls.toml", "--trust"]);
    says(&out, 0, &["bytes into /", "done  2 steps"]);
    assert_eq!(files(&env), ["fake.toml"]);
}

#[test]
fn whoever_writes_or_sends_files_must_be_trusted() {
    for (keys, said) in [
        ("into = \"page\"", "writes  page"),
        ("method = \"PUT\", upload = \"~/.key\"", "sends   ~/.key"),
        ("method = \"POST\", multipart = [{ name = \"f\", file = \"~/.key\" }]", "sends   ~/.key"),
    ] {
        let env = Env::new();
        fs::write(env.path("calls.toml"), book("http://127.0.0.1:1", "", &call(keys))).unwrap();
        let out = env.run(&["run", "calls.toml"]);
        says(&out, 2, &[said, "must be trusted first"]);
    }
}

#[test]
fn texts_and_xml_are_texts_and_json_is_if_it_is_to_be() {
    for (kind, keys, body) in [
        ("application/xml", "accept = 200", "<a b=\"c\"/>"),
        ("text/html", "accept = 200", "<p>"),
        ("application/json", "raw = true", "{\"a\":  1}"),
    ] {
        let env = Env::new();
        let step = call(keys) + "save.all = \".\"\n";
        let out = run(&env, &book(&serving(kind, body).url(), "", &step));
        says(&out, 0, &[&format!("all = {body}")]);
    }
}

#[test]
fn a_plan_and_the_effects_say_what_is_sent_and_written() {
    let server = serving("text/plain", "abc");
    let env = Env::new();
    fs::write(env.path("dump"), "12345").unwrap();
    let steps = [
        call(
            "method = \"POST\", multipart = [{ name = \"a\", text = \"b\" }, { name = \"f\", file = \"dump\" }]",
        ),
        call("into = \"page\"").replace("\"call\"", "\"down\""),
    ];
    fs::write(env.path("calls.toml"), book(&server.url(), "", &steps.concat())).unwrap();
    let out = env.run(&["plan", "calls.toml", "--trust"]);
    let said = format!("{}{}", out.stdout, out.stderr);
    for part in ["multipart/form-data", "a: b", "f: the file", "dump, 5 bytes", "/x into /"] {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
    assert!(server.requests().is_empty());
    let shown = env.run(&["show", "calls.toml"]).stdout;
    for part in ["--form-string a=b", "-F f=@dump", "-o page", "Remove `page`"] {
        assert!(shown.contains(part), "`{part}` is not in\n{shown}");
    }
}

#[test]
fn mistakes_are_found_by_check() {
    for (keys, wrong) in [
        ("text = \"a\", upload = \"b\"", "a call has one body, not `text` and `upload`"),
        ("mode = \"0644\"", "`mode` goes with `into`"),
        ("replace = true", "`replace` goes with `into`"),
        ("into = \"a\", mode = \"0777\"", "`mode` cannot be `0777`"),
        ("multipart = [{ text = \"a\" }]", "`name` is missing"),
        ("multipart = [{ name = \"a\" }]", "one of `text`, `file` is missing"),
        (
            "multipart = [{ name = \"a\", text = \"b\", file = \"c\" }]",
            "`file` cannot stand beside `text`",
        ),
        (
            "multipart = [{ name = \"a\", text = \"b\", filename = \"c\" }]",
            "`filename` goes with `file`",
        ),
        (
            "into = \"a\", paginate = { link = \"next\", items = \".[]\" }",
            "through pages or into a file",
        ),
    ] {
        let said = mistakes(&call(keys));
        assert!(said.contains(wrong), "`{wrong}` is not in\n{said}");
    }
}
