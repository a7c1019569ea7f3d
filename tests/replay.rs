//! The journal of generated runbooks, cut at any event: resuming ends as if it had not been cut.
//!
//! An intent is on disk before its effect, so when the journal ends at an event, the effects of
//! all finished steps are there, that of a last intent perhaps, and no other. The server and the
//! file are put into that state; then the program resumes from the shortened journal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use runbook::journal::event::{Effect, Entry, Event, StoredMap};
use runbook::journal::store::Store;
use serde_json::json;

use crate::support::env::Env;
use crate::support::server::{Answer, Request, Server};
use crate::support::stand::say;

/// Runbooks, and cuts of each.
const RUNBOOKS: u32 = 32;
const CUTS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Jq,
    Get,
    Gate,
    Append,
    Put,
    /// A POST, and whether `already` can find what it makes.
    Post(bool),
}

/// A step: what it does, and what its `when` says.
type Def = (Kind, Option<bool>);

/// What steps change.
#[derive(Debug, Clone, Default, PartialEq)]
struct World {
    made: Vec<String>,
    put: BTreeMap<String, String>,
    file: String,
}

fn steps() -> impl Strategy<Value = Vec<Def>> {
    let kind = prop_oneof![
        Just(Kind::Jq),
        Just(Kind::Get),
        Just(Kind::Gate),
        Just(Kind::Append),
        Just(Kind::Put),
        any::<bool>().prop_map(Kind::Post),
        any::<bool>().prop_map(Kind::Post),
    ];
    let when = prop_oneof![4 => Just(None), 1 => any::<bool>().prop_map(Some)];
    prop::collection::vec((kind, when), 2..9)
}

fn book(url: &str, steps: &[Def]) -> String {
    let mut parts = vec![format!(
        "format = 1\nname = \"book\"\ntitle = \"A book\"\n[connections.api]\nbase = \"{url}/\"\n[vars]\nv = 1\n"
    )];
    let mut last = "v".to_owned();
    for (n, (kind, when)) in steps.iter().enumerate() {
        parts.push(format!("[[steps]]\nid = \"s{n}\"\n"));
        if let Some(when) = when {
            parts.push(format!("when = \"{when}\"\n"));
        }
        let http = |method: &str, url: String, body: &str| {
            format!("http = {{ on = \"api\", method = \"{method}\", url = \"{url}\"{body} }}\n")
        };
        parts.push(match kind {
            Kind::Jq => format!("jq = \"${last} + {n}\"\n"),
            Kind::Get => http("GET", format!("numbers/{n}"), ""),
            Kind::Gate => format!("gate = \"{last} is integer\"\n"),
            Kind::Append => {
                format!("append = {{ file = \"file\", text = \"s{n}\\n{{{{ {last} }}}}\\n\" }}\n")
            }
            Kind::Put => http(
                "PUT",
                format!("values/s{n}"),
                &format!(", json = {{ v = \"{{{{ {last} }}}}\" }}"),
            ),
            Kind::Post(_) => {
                http("POST", "things/".to_owned(), &format!(", json = {{ name = \"s{n}\" }}"))
            }
        });
        let saved = match kind {
            Kind::Jq => ".",
            Kind::Get | Kind::Post(_) => ".n",
            _ => "",
        };
        if !saved.is_empty() {
            parts.push(format!("save.v{n} = \"{saved}\"\n"));
            if *when != Some(false) {
                last = format!("v{n}");
            }
        }
        if *kind == Kind::Post(true) {
            parts.push(format!(
                "[steps.already]\nhttp = {{ on = \"api\", url = \"things/\" }}\nfind = \".[] | select(.name == \\\"s{n}\\\")\"\nsame = \".n == {n}\"\n"
            ));
        }
    }
    parts.concat()
}

/// Nothing here is idempotent but what HTTP says is.
fn answer(world: &Mutex<World>, request: &Request) -> Answer {
    let mut world = world.lock().unwrap();
    let thing = |name: &str| json!({ "name": name, "n": name[1..].parse::<u64>().unwrap() });
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
    let last = request.target.rsplit('/').next().unwrap().to_owned();
    let body = match request.method.as_str() {
        "POST" => {
            let name = body["name"].as_str().unwrap().to_owned();
            world.made.push(name.clone());
            thing(&name)
        }
        "PUT" => {
            world.put.insert(last, body["v"].to_string());
            json!({})
        }
        _ if request.target.starts_with("/numbers/") => {
            json!({ "n": last.parse::<u64>().unwrap() })
        }
        _ => world.made.iter().map(|name| thing(name)).collect(),
    };
    let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    Answer { status: 200, headers, body: body.to_string() }
}

/// The world when the journal ended with these events; a last intent's effect only if it happened.
fn world_at(
    events: &[Entry],
    steps: &[Def],
    whole: &World,
    happened: bool,
) -> (World, Option<usize>) {
    let mut world = World::default();
    let (mut doubt, mut there) = (None, Vec::new());
    for entry in events {
        match &entry.event {
            Event::Intent { step, .. } => doubt = Some(number(step)),
            Event::Done { step, .. } => {
                there.push(number(step));
                doubt = None;
            }
            _ => {}
        }
    }
    there.extend(doubt.filter(|_| happened));
    for n in there {
        let name = format!("s{n}");
        match steps[n].0 {
            Kind::Post(_) => world.made.push(name),
            Kind::Put => drop(world.put.insert(name.clone(), whole.put[&name].clone())),
            Kind::Append => {
                let at = whole.file.find(&format!("{name}\n")).unwrap();
                world.file += &whole.file[at..].split_inclusive('\n').take(2).collect::<String>();
            }
            _ => {}
        }
    }
    (world, doubt)
}

fn number(step: &str) -> usize {
    step[1..].parse().unwrap()
}

struct Case<'a> {
    steps: &'a [Def],
    server: &'a Server,
    world: &'a Mutex<World>,
}

#[derive(Debug, PartialEq)]
struct End {
    world: World,
    saved: BTreeMap<String, StoredMap>,
}

impl Case<'_> {
    fn end(&self, env: &Env) -> End {
        let store = Store::open(&env.path(".state/runbook")).unwrap();
        let saved =
            store.entries("r1").unwrap().into_iter().filter_map(|entry| match entry.event {
                Event::Done { step, saved, .. } => Some((step, saved)),
                _ => None,
            });
        let mut world = self.world.lock().unwrap().clone();
        world.file = std::fs::read_to_string(env.path("file")).unwrap_or_default();
        End { world, saved: saved.collect() }
    }

    /// The run that is not cut: how it ends, and its events.
    fn uncut(&self) -> (End, Vec<Entry>) {
        *self.world.lock().unwrap() = World::default();
        let env = Env::new();
        std::fs::write(env.path("book.toml"), book(&self.server.url(), self.steps)).unwrap();
        let out = env.run(&["run", "--trust", "./book.toml"]);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        let entries = Store::open(&env.path(".state/runbook")).unwrap().entries("r1").unwrap();
        (self.end(&env), entries)
    }

    /// Resumes from this part of the journal; whether it had to ask.
    fn resumed(&self, part: &[Entry], whole: &End, happened: bool) -> bool {
        let (mut world, doubt) = world_at(part, self.steps, &whole.world, happened);
        let env = Env::new();
        if !world.file.is_empty() {
            std::fs::write(env.path("file"), &world.file).unwrap();
        }
        world.file.clear();
        let before = world.made.clone();
        *self.world.lock().unwrap() = world;
        let text = book(&self.server.url(), self.steps);
        let Event::Started { text: digest, .. } = &part[0].event else { panic!("no start") };
        let mut store = Store::open(&env.path(".state/runbook")).unwrap();
        store.append_with_text(part, [(digest.as_str(), text.as_str())]).unwrap();
        drop(store);
        let mut out = env.run(&["resume", "r1"]);
        let asks = doubt.filter(|n| self.steps[*n].0 == Kind::Post(false));
        if let Some(n) = asks {
            assert_eq!(out.code, Some(5), "s{n} may have happened: {}", out.stderr);
            assert_eq!(self.world.lock().unwrap().made, before, "nothing more was made");
            let (step, save) = (format!("s{n}"), format!("v{n}={n}"));
            out = if happened {
                env.run(&["resume", "r1", "--done", &step, "--save", &save])
            } else {
                env.run(&["resume", "r1", "--redo", &step])
            };
        }
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        assert_eq!(&self.end(&env), whole, "after {} events, happened: {happened}", part.len());
        asks.is_some()
    }
}

#[test]
fn a_journal_cut_at_any_event_leads_to_the_same_end() {
    let world = Arc::new(Mutex::new(World::default()));
    let shared = Arc::clone(&world);
    let server = Server::handling(Box::new(move |request| answer(&shared, request)));
    let (mut cuts, mut asked, mut doubts) = (0, 0, 0);
    let config = Config { cases: RUNBOOKS, failure_persistence: None, ..Config::default() };
    let counts = std::cell::RefCell::new((&mut cuts, &mut asked, &mut doubts));
    let wanted =
        (steps(), prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), CUTS));
    TestRunner::new(config)
        .run(&wanted, |(steps, places)| {
            let case = Case { steps: &steps, server: &server, world: &world };
            let (whole, entries) = case.uncut();
            for (place, happened) in places {
                // Intents are few and what this is about: every other cut is at one.
                let intents: Vec<usize> = (0..entries.len())
                    .filter(|at| matches!(entries[*at].event, Event::Intent { effect, .. } if effect > Effect::Read))
                    .collect();
                let at = match place.index(entries.len() * 2) {
                    even if even % 2 == 0 || intents.is_empty() => even / 2,
                    odd => intents[odd % intents.len()],
                };
                let asks = case.resumed(&entries[..=at], &whole, happened);
                let mut counts = counts.borrow_mut();
                *counts.0 += 1;
                *counts.1 += usize::from(asks);
                *counts.2 += usize::from(intents.contains(&at));
            }
            Ok(())
        })
        .unwrap();
    say(&format!(
        "journal cut: {RUNBOOKS} runbooks, {cuts} cuts, {doubts} in doubt, {asked} asked"
    ));
}
