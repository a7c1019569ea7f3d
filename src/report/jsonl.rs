//! JSON lines: one event a line, for programs. `docs/events.md` is the contract.
//!
//! The journal's own form of an event may change; this one only grows. Sealed values are `***`,
//! other values stand bare, and what only `undo` needs is left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;

use serde_json::{Map, json};

use crate::journal::event::{Entry, Event, Skip, Stored, StoredMap, UsedRef};
use crate::value::{Json, MASK};

use super::words::rfc3339;
use super::{Report, put};

/// Writes each event as a line.
pub(super) struct Jsonl {
    out: Box<dyn Write + Send>,
    verbose: bool,
}

impl Jsonl {
    pub(super) fn new(out: Box<dyn Write + Send>, verbose: bool) -> Self {
        Self { out, verbose }
    }
}

impl Report for Jsonl {
    fn event(&mut self, entry: &Entry) {
        if self.verbose || !matches!(entry.event, Event::Trace { .. }) {
            put(&mut self.out, &line(&object(entry)));
        }
    }
}

/// A JSON value as one line. Characters that a terminal may obey stand as escapes.
pub fn line(json: &Json) -> String {
    let mut shown = String::new();
    for c in json.to_string().chars() {
        // beyond ASCII these only occur inside strings, where an escape means the same
        if c.is_control() {
            // writing to a string cannot fail
            let _infallible = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown + "\n"
}

/// An event in its public shape.
pub(super) fn object(entry: &Entry) -> Json {
    let mut object = Map::new();
    object.insert("run".into(), json!(entry.run));
    object.insert("seq".into(), json!(entry.seq));
    object.insert("at".into(), json!(rfc3339(entry.at_ms)));
    // an event is a struct of texts and numbers: it always has a JSON form
    if let Ok(Json::Object(fields)) = serde_json::to_value(&entry.event) {
        object.extend(fields);
    }
    public(&entry.event, &mut object);
    Json::Object(object)
}

/// Replaces what has another shape in the journal.
fn public(event: &Event, object: &mut Map<String, Json>) {
    match event {
        Event::Started { inputs, uses, runbooks, .. }
        | Event::Resumed { inputs, uses, runbooks, .. } => {
            object.shift_remove("folder");
            if object.shift_remove("runbooks").is_some() {
                set(object, "uses", names(uses, runbooks));
            }
            if object.contains_key("inputs") {
                set(object, "inputs", values(inputs));
            }
        }
        Event::Intent { .. } => {
            object.remove("private");
        }
        Event::Renewed { .. } => {
            object.remove("value");
        }
        Event::Done { saved, .. } => {
            set(object, "saved", values(saved));
            object.remove("private");
        }
        Event::Skipped { why: Skip::When, .. } => set(object, "why", json!("when")),
        Event::Skipped { why: Skip::Person(reason), .. } => {
            set(object, "why", json!("person"));
            set(object, "reason", json!(reason));
        }
        Event::Doubt { differs, .. } => {
            let one = |(field, found, wanted): &(String, String, String)| json!({ "field": field, "found": found, "wanted": wanted });
            set(object, "differs", differs.iter().map(one).collect());
        }
        Event::Failed { failure, .. } | Event::UndoFailed { failure, .. } => {
            let whole = json!({
                "message": failure.message,
                "details": failure.details,
                "hints": failure.hints,
                "doubt": failure.doubt,
            });
            set(object, "failure", whole);
        }
        _ => {}
    }
}

fn set(object: &mut Map<String, Json>, key: &str, value: Json) {
    object.insert(key.to_owned(), value);
}

/// What a definition uses, by name alone.
fn names(uses: &BTreeMap<String, String>, runbooks: &[UsedRef]) -> Json {
    let named = runbooks.iter().map(|used| (used.name.clone(), used.text.clone()));
    named.chain(uses.clone()).map(|(name, text)| (name, Json::from(text))).collect()
}

fn values(values: &StoredMap) -> Json {
    let shown = |value: &Stored| match value {
        Stored::Plain(json) => json.clone(),
        Stored::Sealed(_) => Json::from(MASK),
    };
    values.iter().map(|(name, value)| (name.clone(), shown(value))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::journal::event::{Batch, Decision, Effect, How, Outcome};
    use crate::report::{Options, jsonl};

    fn say(verbose: bool, events: Vec<Event>) -> String {
        let options = Options { verbose, ..Options::default() };
        told(|out, options| jsonl(out, &options), options, vec![], events)
    }

    /// The contract of `docs/events.md`: change both or neither.
    #[test]
    fn the_public_shape() {
        let step = || "s".to_owned();
        let private = StoredMap::from([("block".to_owned(), plain_value("text"))]);
        let done = Event::Done {
            step: step(),
            how: How::Performed,
            saved: StoredMap::from([("n".into(), plain_value(3)), ("t".into(), sealed())]),
            summary: "201 Created".into(),
            took_ms: 210,
            private,
            was: None,
        };
        let failure = failure("503", &["a"], &["b"]);
        let events = vec![
            started(&[("s", "Step")], true),
            Event::resumed(false, std::collections::BTreeMap::new()),
            began("s", "Step"),
            intent("s", "POST https://h/"),
            Event::Retrying {
                step: step(),
                attempt: 1,
                message: "503".into(),
                wait_ms: 1000,
                polling: false,
            },
            Event::Renewed {
                step: step(),
                input: "token".into(),
                value: sealed(),
                origin: "asked".into(),
            },
            Event::Refused { step: step(), input: "token".into() },
            done,
            Event::Skipped { step: step(), why: Skip::When },
            Event::Skipped { step: step(), why: Skip::Person("later".into()) },
            Event::Note { step: step(), markdown: "*hi*".into() },
            Event::Failed { step: step(), failure: failure.clone(), took_ms: 12 },
            Event::Asked { step: step(), ask: "ready?".into(), secret: false },
            Event::Doubt {
                step: step(),
                what: "POST".into(),
                differs: vec![("a".into(), "1".into(), "2".into())],
                saves: vec!["id".into()],
                secret: Vec::new(),
            },
            Event::decided(&step(), Decision::Redo),
            Event::UndoIntent { step: step(), effect: Effect::Repeatable, what: "DELETE".into() },
            Event::Undone { step: step(), summary: "204".into(), took_ms: 8 },
            Event::UndoFailed { step: step(), failure },
            Event::Trace { step: step(), line: "POST".into() },
            ended(Outcome::InDoubt),
        ];
        let bare: Vec<String> = say(true, events).lines().map(without_place).collect();
        let want = r#"
"event":"started","runbook":"rotate","title":"Rotate the key","path":"rotate.toml","text":"d0","steps":[{"id":"s","title":"Step","digest":"d1"}],"inputs":{"host":"db1","password":"***"},"rehearsal":true}
"event":"resumed","text":null,"steps":[]}
"event":"began","step":"s","title":"Step"}
"event":"intent","step":"s","effect":"once","what":"POST https://h/"}
"event":"retrying","step":"s","attempt":1,"message":"503","wait_ms":1000}
"event":"renewed","step":"s","input":"token","origin":"asked"}
"event":"refused","step":"s","input":"token"}
"event":"done","step":"s","how":"performed","saved":{"n":3,"t":"***"},"summary":"201 Created","took_ms":210}
"event":"skipped","step":"s","why":"when"}
"event":"skipped","step":"s","why":"person","reason":"later"}
"event":"note","step":"s","markdown":"*hi*"}
"event":"failed","step":"s","failure":{"message":"503","details":["a"],"hints":["b"],"doubt":false},"took_ms":12}
"event":"asked","step":"s","ask":"ready?"}
"event":"doubt","step":"s","what":"POST","differs":[{"field":"a","found":"1","wanted":"2"}],"saves":["id"]}
"event":"decided","step":"s","decision":"redo"}
"event":"undo_intent","step":"s","effect":"repeatable","what":"DELETE"}
"event":"undone","step":"s","summary":"204","took_ms":8}
"event":"undo_failed","step":"s","failure":{"message":"503","details":["a"],"hints":["b"],"doubt":false}}
"event":"trace","step":"s","line":"POST"}
"event":"ended","outcome":"in_doubt","took_ms":3240}
"#;
        assert_eq!(bare.join("\n"), want.trim());
    }

    #[test]
    fn what_a_run_began_together_with_is_told() {
        let batch = Batch { first: "r3".into(), runs: 12 };
        let text = say(false, vec![started(&[], false).with(&batch)]);
        let end = r#""rehearsal":false,"batch":{"first":"r3","runs":12}}"#;
        assert!(text.trim_end().ends_with(end), "{text}");
    }

    fn without_place(line: &str) -> String {
        line.find("\"event\"").map_or_else(|| line.to_owned(), |at| line[at..].to_owned())
    }

    #[test]
    fn each_event_has_its_place_and_traces_are_for_the_curious() {
        let trace = Event::Trace { step: "s".into(), line: "GET".into() };
        let text = say(false, vec![trace, began("s", "S")]);
        let want = r#"{"run":"r7","seq":2,"at":"2026-11-18T11:06:43.000Z","event":"began","step":"s","title":"S"}"#;
        assert_eq!(text, format!("{want}\n"));
    }

    #[test]
    fn control_characters_are_escaped_and_survive() {
        let evil = "a\u{1b}b\u{9b}c\u{7f}\n";
        let text = say(false, vec![began("s", evil)]);
        assert!(text.trim_end().chars().all(|c| !c.is_control()), "{text:?}");
        let back: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(back["title"], evil);
    }
}
