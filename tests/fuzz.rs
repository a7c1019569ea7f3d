//! Random and mutated input never panics: the parser, template spans, jq, answers, the
//! redactor, the journal, fakes and test files.
//!
//! Each runs for a second or two, or for `RUNBOOK_FUZZ_SECONDS`. What was found stands in
//! `FOUND` and is tried first.
#![expect(clippy::disallowed_methods, reason = "how long to go on is said in the environment")]
#![expect(clippy::print_stdout, reason = "the counts are what a long run is for")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use runbook::fake::Fake;
use runbook::journal::event::{Entry, Event, Outcome};
use runbook::journal::store::Store;
use runbook::jq::{self, Program, Programs};
use runbook::redact::{Redactor, Shared};
use runbook::runbook::Runbook;
use runbook::scope::Scope;
use runbook::source::Source;
use runbook::template::{Expr, Template};
use runbook::transport::{Client, Cookies, Request, Tls, Via};
use runbook::value::Labeled;

/// Inputs on which something once went wrong, or nearly.
const FOUND: &[&str] = &[
    "{% set a = [a] %}{{ a }}",
    "{{ ([0]*999)*999 | length }}",
    "{{ \"\u{1F600}\" | nope }}",
    "steps = [{ id = \"é\", jq = \"\u{1F600}$x\" }]",
    "[[steps]]\nid = 'a'\njq = \"\\u00e9 | nope\"",
    // found by this test: places in the middle of a character
    "format = 1\n[[steps]]\nid = 'a'\ngates = [{ that = \"a | \u{3247b}n\" }]",
    "a | \u{3247b}n",
    "{{ x }}{# {{ #}{% raw %}{{{% endraw %}",
    "\u{feff}format = 1",
    "reduce range(9) as $i ([1]; [., .]) | tojson",
    "\"\\(\"\\(1)\")\"",
];

/// How often it was tried in the time there is.
fn fuzz<S: Strategy>(name: &str, strategy: S, mut one: impl FnMut(S::Value)) {
    let seconds = std::env::var("RUNBOOK_FUZZ_SECONDS").ok().and_then(|n| n.parse().ok());
    let limit = Duration::from_secs(seconds.unwrap_or(1));
    let began = Instant::now();
    let seed: [u8; 32] = if seconds.is_some() { rand_seed() } else { [7; 32] };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut count = 0_u64;
    while began.elapsed() < limit {
        one(strategy.new_tree(&mut runner).unwrap().current());
        count += 1;
    }
    println!("{name}: {count} inputs in {:?}", began.elapsed());
}

fn rand_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    seed
}

const BOOK: &str = include_str!("../runbooks/authentik/add-oidc.toml");
const FAKE: &str = include_str!("../runbooks/authentik/fake.toml");
const TESTS: &str = include_str!("../runbooks/authentik/add-oidc.test.toml");

/// Pieces of what authors write, so that random text gets past the first character.
const WORDS: &[&str] = &[
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    " x ",
    "|",
    ".",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "'",
    "\\",
    "\n",
    "for",
    "endfor",
    "if",
    "endif",
    "set",
    "in",
    "==",
    "not",
    "$x",
    "select",
    "map",
    "reduce",
    "as",
    "def",
    ":",
    ";",
    ",",
    "..",
    "?",
    "//",
    "@base64",
    "1",
    "-",
    "é",
    "\u{1F600}",
    "\u{0}",
    "[[steps]]",
    "id = ",
    "http = ",
    "jq = ",
    "note = ",
    "save.",
    "secret = true",
    "format = 1",
    "name = \"x\"",
    "{ ",
    " }",
    "=",
    "\"\"\"",
    "'''",
    "#",
    "tojson",
    "length",
    "*",
    "~",
    "if . then",
];

fn soup() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(WORDS), 0..40).prop_map(|words| words.concat()),
        ".{0,60}",
    ]
}

/// A real file with a few places changed.
fn mutated(whole: &'static str) -> impl Strategy<Value = String> {
    let cuts = prop::collection::vec((any::<prop::sample::Index>(), 0..60_usize, soup()), 1..5);
    cuts.prop_map(move |cuts| {
        let mut text = whole.to_owned();
        for (at, length, with) in cuts {
            let mut start = at.index(text.len());
            while !text.is_char_boundary(start) {
                start -= 1;
            }
            let mut end = (start + length).min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.replace_range(start..end.max(start), &with);
        }
        text
    })
}

fn parse(text: &str) {
    let source = Source::new("x.toml", text);
    let find = |_: &str, _: &Source| Err("none".to_owned());
    let diags = match Runbook::parse(&source, &find) {
        Ok((_, diags)) | Err(diags) => diags,
    };
    let _ = runbook::diag::render(&source, &diags, false, Some(30));
}

#[test]
fn the_parser_takes_any_text() {
    for text in FOUND {
        parse(text);
    }
    fuzz("parser", prop_oneof![soup(), mutated(BOOK), mutated(BOOK)], |text| parse(&text));
}

#[test]
fn fakes_and_test_files_may_hold_any_text() {
    let read = |text: &str| {
        let source = Source::new("x.toml", text);
        for mistakes in [Fake::parse(&source).err(), runbook::testing::parse(&source).err()] {
            let _ = runbook::diag::render(&source, &mistakes.unwrap_or_default(), false, Some(30));
        }
    };
    for text in FOUND {
        read(text);
    }
    let texts = prop_oneof![soup(), mutated(FAKE), mutated(TESTS), mutated(TESTS)];
    fuzz("fakes and tests", texts, |text| read(&text));
}

/// A panic on a helper's thread comes back as this.
fn unbroken(message: &str, text: &str) {
    let lost = runbook::patience::Lost::Broken.to_string();
    assert!(!message.contains(&lost), "{text:?}: {message}");
}

fn template(text: &str) {
    let scope = Scope::default();
    scope.set("x", Labeled::plain(serde_json::json!({ "a": [1, "é"], "b": null })));
    if let Ok(template) = Template::parse(text) {
        for read in template.reads() {
            assert!(text.get(read.range.clone()).is_some(), "a place that is none in {text:?}");
        }
        if let Err(error) = template.render(&scope) {
            unbroken(&error.0, text);
        }
    }
    if let Err(mistake) = Expr::parse(text) {
        assert!(text.get(mistake.range).is_some(), "a place that is none in {text:?}");
    }
}

#[test]
fn templates_and_their_places_hold() {
    for text in FOUND {
        template(text);
    }
    fuzz("templates", soup(), |text| template(&text));
}

fn program(code: &str, input: &serde_json::Value) {
    if let Ok(program) = Program::parse(code) {
        let mut programs = Programs::default();
        let id = programs.add(program);
        let run = programs.run(id, &|_| Some(jq::from_json(input)), jq::from_json(input));
        if let Err(error) = run {
            unbroken(&error.message, code);
        }
    }
}

#[test]
fn jq_takes_any_program() {
    let input = serde_json::json!({ "x": [1, "é", null, { "y": true }] });
    for code in FOUND {
        program(code, &input);
    }
    fuzz("jq", soup(), |code| program(&code, &input));
}

#[test]
fn answers_of_any_bytes_are_taken_or_refused() {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(
            prop::sample::select(b"[]{}\":,0123456789eE+-.\\u\xff\xc0 tfn".to_vec()),
            0..200
        ),
    ];
    fuzz("answers", bytes, |bytes| {
        if let Ok(value) = jq::parse_body(&bytes) {
            let _ = jq::to_json(&value);
        }
        let _ = runbook::printable::printable(&String::from_utf8_lossy(&bytes));
    });
}

/// Parts of what a server may send, so that random bytes get past the status line.
const SENT: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 302 Found\r\n",
    "HTTP/1.0 500 \u{e9}\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: -1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Content-Encoding: gzip\r\n",
    "Content-Type: application/json\r\n",
    "Location: ",
    "/x\r\n",
    "//\r\n",
    "http://[::1\r\n",
    "Set-Cookie: a=b; Path=/; Max-Age=9\r\n",
    "Set-Cookie: \u{e9}=\"; Expires=x\r\n",
    "Retry-After: 99999999999999999999\r\n",
    "Link: <",
    ">; rel=\"next\"\r\n",
    "x: ",
    "\r\n",
    "\n",
    "\r\n\r\n",
    "5\r\n",
    "0\r\n\r\n",
    "fffffffff\r\n",
    "{\"a\":",
    "Set-Cookie: a=b; Path=/; Max-Age=9\r\n",
    "Set-Cookie: ",
    "[1,2]",
    "\u{1f}\u{8b}\u{8}",
    "\0",
];

#[test]
fn a_server_may_send_any_bytes() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url::Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let answer = Arc::new(Mutex::new(Vec::new()));
    let sent = Arc::clone(&answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            // who has heard enough hangs up
            let _ = stream.write_all(&sent.lock().unwrap());
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = Client::new(&url, &Tls::default(), Via::Direct).unwrap();
    let part = prop_oneof![
        3 => prop::sample::select(SENT).prop_map(|part| part.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    let parts = prop::collection::vec(part, 0..20);
    fuzz("answers over HTTP", parts, |parts| {
        let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
        bytes.extend(parts.concat());
        *answer.lock().unwrap() = bytes;
        let request = Request {
            method: "GET".to_owned(),
            url: url.clone(),
            headers: Vec::new(),
            body: None,
            timeout: Duration::from_secs(5),
            redirects: 3,
            cookies: Some(Cookies { jar: Rc::default(), now_ms: 0 }),
        };
        match runtime.block_on(client.send(request)) {
            Ok(answer) => {
                let _ = answer.retry_after(0);
                drop(jq::parse_body(&answer.body).map(|value| jq::to_json(&value)));
            }
            Err(broken) => assert!(!broken.message().is_empty()),
        }
    });
}

#[test]
fn the_redactor_lets_no_secret_through_any_text() {
    let parts = (prop::collection::vec(".{6,30}", 1..4), prop::collection::vec(".{0,20}", 1..5));
    fuzz("redactor", parts, |(secrets, texts)| {
        let mut redactor = Redactor::new();
        let known: Vec<&String> = secrets
            .iter()
            .filter(|one| redactor.add(one) == runbook::redact::Added::Replaced)
            .collect();
        let mut text = texts.concat();
        for (secret, between) in secrets.iter().zip(texts.iter().cycle()) {
            text = format!("{text}{secret}{between}");
        }
        // a mask may by chance make a secret of what is around it
        let hidden = |out: &str| {
            known.iter().all(|secret| !out.contains(secret.as_str()) || secret.contains("***"))
        };
        assert!(hidden(&redactor.mask(&text)), "{secrets:?} in {text:?}");
        let _ = redactor.mask_cut(&text);
        let mut writer = Shared::new(redactor).writer(Vec::new());
        for piece in text.as_bytes().chunks(3) {
            writer.write_all(piece).unwrap();
        }
        let out = writer.finish().unwrap();
        assert!(hidden(&String::from_utf8_lossy(&out)), "{secrets:?} in {text:?}, in pieces");
    });
}

#[test]
fn a_journal_of_any_bytes_is_read_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    {
        let mut store = Store::open(dir.path()).unwrap();
        let event = |seq, event| Entry { run: "r1".into(), seq, at_ms: 1, event };
        let ended = Event::Ended { outcome: Outcome::Done, took_ms: 1 };
        let began = Event::resumed(false, BTreeMap::default());
        let _ = store.append(&[event(1, began), event(2, ended)]);
    }
    let files: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let whole: Vec<_> =
        files.iter().map(|file| (file.clone(), std::fs::read(file).unwrap_or_default())).collect();
    let changes = prop::collection::vec(
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()),
        1..8,
    );
    fuzz("journal", changes, |changes| {
        let dir = tempfile::tempdir().unwrap();
        for (file, bytes) in &whole {
            std::fs::write(dir.path().join(file.file_name().unwrap()), bytes).unwrap();
        }
        for (file, at, byte) in changes {
            let (file, bytes) = &whole[file.index(whole.len())];
            if !bytes.is_empty() {
                let path = dir.path().join(file.file_name().unwrap());
                let mut bytes = std::fs::read(&path).unwrap();
                let at = at.index(bytes.len());
                bytes[at] = byte;
                std::fs::write(path, bytes).unwrap();
            }
        }
        if let Ok(Some(store)) = Store::open_existing(dir.path()) {
            let _ = store.entries("r1");
            let _ = store.runs(&runbook::journal::store::RunFilter::default());
        }
    });
}
