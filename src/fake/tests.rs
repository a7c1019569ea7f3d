use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use super::*;
use crate::source::Source;

const COUNTER: &str = r#"
format = 1
defs = 'def ok(body): {status: 200, body: body};'
otherwise = '{status: 404, headers: {"content-type": "text/html"}, body: "<p>no</p>"}'
[inputs]
base = "$URL/x"
file = "$DIR/f"
flag = true
[state]
count = 0
deep = { a = 1, b = 2 }
[states.late]
count = 40
deep = { b = 3 }
[[routes]]
on = "POST /count/{by}/"
jq = '.state.count += (.request.params.by | tonumber) | ok({n: .state.count, q: .request.query}) + {state}'
[[routes]]
on = "* /echo/"
jq = 'ok(.request | {method, body, text, host: .headers.host})'
[[commands]]
on = "box * run"
jq = '.state.count += 1 | {state, status: 3, stdout: "\(.command.argv[1]) \(.command.stdin)", stderr: "e"}'
[[commands]]
on = "box"
jq = '{out: 1}'
[[routes]]
on = "GET /broken/"
jq = '{stat: 1}'
"#;

fn fake(text: &str) -> Result<Fake, Vec<String>> {
    let source = Source::new("fake.toml", text);
    let shown = |diag: &crate::diag::Diag| {
        format!("{} | {} | {}", &text[diag.span.clone().unwrap()], diag.title, diag.help.join(", "))
    };
    Fake::parse(&source).map_err(|diags| diags.iter().map(shown).collect())
}

fn served(variants: &[&str]) -> Served {
    let fake = fake(COUNTER).unwrap();
    let variants: Vec<String> = variants.iter().map(ToString::to_string).collect();
    let state = fake.state(&variants).unwrap();
    serve(fake, &state, 0).unwrap()
}

fn ask(served: &Served, request: &str) -> String {
    let mut stream = TcpStream::connect(served.address()).unwrap();
    let (line, body) = request.split_once('\n').unwrap_or((request, ""));
    let head = format!(
        "{line} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn a_route_answers_and_changes_the_state() {
    let served = served(&["late"]);
    let answer = ask(&served, "POST /count/2/?a=1&b=2&b=3");
    assert_eq!(body(&answer), r#"{"n":42,"q":{"a":"1","b":["2","3"]}}"#);
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"),
        "{answer}"
    );
    assert_eq!(served.state(), json!({ "count": 42, "deep": { "a": 1, "b": 3 } }));
    let answer = ask(&served, "PUT /echo/\n{\"x\":[1]}");
    assert_eq!(
        body(&answer),
        r#"{"method":"PUT","body":{"x":[1]},"text":"{\"x\":[1]}","host":"h"}"#
    );
    assert_eq!(body(&ask(&served, "GET /count/2/")), "<p>no</p>");
    assert!(
        body(&ask(&served, "GET /broken/"))
            .contains("route `GET /broken/` failed: unknown key `stat`")
    );
    let asked = served.asked();
    assert_eq!(
        asked.iter().map(|asked| asked.status).collect::<Vec<_>>(),
        [Some(200), Some(200), Some(404), Some(500)]
    );
    assert_eq!(asked[0].target, "/count/2/?a=1&b=2&b=3");
}

#[test]
fn a_command_answers_and_changes_the_state() {
    let served = served(&[]);
    let run = |argv: serde_json::Value| {
        let told = json!({ "argv": argv, "stdin": "in" });
        ask(&served, &format!("POST {COMMANDS}\n{told}"))
    };
    let said = body(&run(json!(["box", "b1", "run", "more"]))).to_owned();
    assert_eq!(said, r#"{"status":3,"stdout":"b1 in","stderr":"e"}"#);
    assert_eq!(served.state()["count"], json!(1));
    let unknown = "the fake's command `box` failed: unknown key `out` in the output\n";
    assert_eq!(body(&run(json!(["box", "b1"]))), unknown);
    assert_eq!(body(&run(json!(["bo"]))), "the fake has no such command\n");
    assert_eq!(served.state()["count"], json!(1));
}

#[test]
fn faults_happen_at_their_call() {
    let served = served(&[]);
    served.set_faults(Box::new(|number, _, _| match number {
        1 => Some(Fault::Status(503)),
        2 => Some(Fault::Close),
        3 => Some(Fault::DoAndClose),
        4 => Some(Fault::Cut),
        _ => None,
    }));
    let answers: Vec<String> = (0..5).map(|_| ask(&served, "POST /count/1/")).collect();
    assert!(answers[0].starts_with("HTTP/1.1 503 "));
    assert_eq!((answers[1].as_str(), answers[2].as_str()), ("", ""));
    assert!(
        answers[3].contains("content-length: 14") && body(&answers[3]).len() == 7,
        "{}",
        answers[3]
    );
    assert_eq!(body(&answers[4]), r#"{"n":3,"q":{}}"#);
    let address = served.address();
    served.stop();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn inputs_are_filled_in_and_states_are_named() {
    let fake = fake(COUNTER).unwrap();
    let inputs = fake.inputs("http://h:1", "/tmp/d");
    assert_eq!(inputs[0], ("base".to_owned(), json!("http://h:1/x")));
    assert_eq!(inputs[1].1, json!("/tmp/d/f"));
    assert_eq!(fake.states(), ["late"]);
    assert_eq!(fake.state(&["early".to_owned()]), Err("early".to_owned()));
}

#[test]
fn fakes_beside_one_another_answer_at_one_address_each_with_its_own_state() {
    let own = Source::new(
        "bundled:shop/fake.toml",
        r#"
format = 1
inputs = { base = "$URL/shop" }
state  = { count = 7, counter = "taken by a service of that name" }
[[routes]]
on = "GET /shop"
jq = '{body: {n: .state.count}}'
[[commands]]
on = "shop"
jq = '{stdout: "shop"}'
"#,
    );
    let sources = [own, Source::new("bundled:counter/fake.toml", COUNTER)];
    let all = Fake::parse_all(&sources).unwrap().unwrap();
    let inputs: Vec<_> = all.inputs("u", "d").into_iter().map(|(name, _)| name).collect();
    assert_eq!(inputs, ["base", "file", "flag"]);
    assert_eq!(all.inputs("u", "d")[0].1, json!("u/shop"));
    assert_eq!(all.states(), ["counter.late"]);
    assert_eq!(all.state(&["late".to_owned()]), Err("late".to_owned()));
    assert_eq!(all.state(&["counter.x".to_owned()]), Err("counter.x".to_owned()));
    let state = all.state(&["counter.late".to_owned()]).unwrap();
    let served = serve(all, &state, 0).unwrap();
    assert_eq!(body(&ask(&served, "GET /shop")), r#"{"n":7}"#);
    assert_eq!(body(&ask(&served, "POST /count/2/")), r#"{"n":42,"q":{}}"#);
    assert_eq!(body(&ask(&served, "GET /nothing")), "<p>no</p>", "the other's `otherwise`");
    let said =
        ask(&served, &format!("POST {COMMANDS}\n{}", json!({ "argv": ["box", "b", "run"] })));
    assert!(body(&said).contains(r#""status":3"#), "{said}");
    let said = ask(&served, &format!("POST {COMMANDS}\n{}", json!({ "argv": ["shop"] })));
    assert!(body(&said).contains(r#""stdout":"shop""#), "{said}");
    assert_eq!(served.state()["count"], json!(7));
    assert_eq!(served.state()["counter"]["count"], json!(43));
    assert!(Fake::parse_all(&[]).unwrap().is_none());
    let broken = [sources[0].clone(), Source::new("b/fake.toml", "format = 2")];
    assert_eq!(Fake::parse_all(&broken).unwrap_err().0, 1);
}

#[test]
fn every_mistake_is_told_at_its_place() {
    let text = r#"
format = 1
stat = 1
defs = 'def f: f;'
[[routes]]
on = "GET nothing"
jq = '''
.request | selct(.a) | $x'''
[[routes]]
jqq = "."
[[routes]]
on = "GET /{a}/{a}"
jq = ". | |"
[[routes]]
on = "GET /escaped"
jq = "[\"a\u00e9\"] | slct(.a)"
[state]
deep = [{ n = 99999999999999999999 }]
"#;
    let diags = fake(text).unwrap_err();
    let expected = [
        "stat | unknown key `stat` | did you mean `state`?",
        "f | `f` calls itself | use `recurse`, `while`, `until` or `reduce`",
        "selct | unknown filter `selct` | did you mean `select`?",
        "\"GET nothing\" | expected a method and a path, as `GET /items/{id}/` | ",
        "jqq | unknown key `jqq` | did you mean `jq`?",
        "[[routes]] | `on` is missing | ",
        "slct | unknown filter `slct` | did you mean `select`?",
        "99999999999999999999 | this number does not fit | ",
        "\"GET /{a}/{a}\" | `{a}` stands twice in this path | ",
        "| | expected a value or a filter, found `|` | ",
    ];
    for expected in expected {
        assert!(diags.iter().any(|diag| diag == expected), "{expected}\n{diags:#?}");
    }
}
