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
    /// That for two items.
    Each(bool),
    /// Another runbook, which puts a value and makes a thing.
    Use,
}

/// What `Use` uses.
const INNER: &str = r#"
format = 1
name   = "inner"
[inputs]
url.about  = "The server"
name.about = "The thing"
[connections.api]
base = "{{ url }}/"
[[steps]]
id   = "put"
http = { on = "api", method = "PUT", url = "values/{{ name }}", json = { v = 1 } }
[[steps]]
id     = "post"
http   = { on = "api", method = "POST", url = "things/", json = { name = "{{ name }}" } }
save.n = ".n"
[steps.already]
http = { on = "api", url = "things/" }
find = ".[] | select(.name == $name)"
same = "true"
"#;

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
        any::<bool>().prop_map(Kind::Each),
        Just(Kind::Use),
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
            Kind::Each(_) => {
                let name = format!(", json = {{ name = \"s{n}x{{{{ i }}}}\" }}");
                let http = http("POST", "things/".to_owned(), &name);
                format!("for_each = \"{{{{ [0, 1] }}}}\"\nas = \"i\"\n{http}")
            }
            Kind::Use => format!(
                "use = {{ runbook = \"inner.toml\", inputs = {{ url = \"{url}\", name = \"s{n}\" }} }}\n"
            ),
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
        let made = match kind {
            Kind::Post(true) => format!("'s{n}'"),
            Kind::Each(true) => format!("'s{n}x' + ($i | tostring)"),
            _ => continue,
        };
        let made = made.replace('\'', "\\\"");
        parts.push(format!(
            "[steps.already]\nhttp = {{ on = \"api\", url = \"things/\" }}\nfind = \".[] | select(.name == {made})\"\nsame = \".n == {n}\"\n"
        ));
    }
    parts.concat()
}

/// Nothing here is idempotent but what HTTP says is.
fn answer(world: &Mutex<World>, request: &Request) -> Answer {
    let mut world = world.lock().unwrap();
    let thing = |name: &str| json!({ "name": name, "n": number(name) });
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

/// The world when the journal ended with these events, and the step in doubt then, whose effect is
/// there only if it happened.
fn world_at<'e>(
    events: &'e [Entry],
    steps: &[Def],
    whole: &World,
    happened: bool,
) -> (World, Option<&'e str>) {
    let (mut doubt, mut there) = (None, Vec::new());
    for entry in events {
        match &entry.event {
            Event::Intent { step, .. } => doubt = Some(step.as_str()),
            Event::Done { step, .. } => {
                there.push(step.as_str());
                doubt = None;
            }
            _ => {}
        }
    }
    there.extend(doubt.filter(|_| happened));
    let mut world = World::default();
    for id in there {
        let n = number(id);
        take(&mut world, whole, steps[n].0, n, &id[1 + n.to_string().len()..]);
    }
    (world, doubt)
}

/// The effect of a step, or of the part of it that stands behind its number: `[1]`, `/put`.
fn take(world: &mut World, whole: &World, kind: Kind, n: usize, part: &str) {
    let name = format!("s{n}");
    match (kind, part) {
        (Kind::Post(_), _) | (Kind::Use, "/post") => world.made.push(name),
        (Kind::Each(_), "[0]") => world.made.push(format!("{name}x0")),
        (Kind::Each(_), "[1]") => world.made.push(format!("{name}x1")),
        (Kind::Put, _) | (Kind::Use, "/put") => {
            drop(world.put.insert(name.clone(), whole.put[&name].clone()));
        }
        (Kind::Append, _) => {
            let at = whole.file.find(&format!("{name}\n")).unwrap();
            world.file += &whole.file[at..].split_inclusive('\n').take(2).collect::<String>();
        }
        _ => {}
    }
}

/// The number of `s12`, `s12[0]`, `s12/put`, `s12x1`.
fn number(name: &str) -> usize {
    let digits = name[1..].split(|c: char| !c.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap()
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
        std::fs::write(env.path("inner.toml"), INNER).unwrap();
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
        // the run is moved to this folder, and goes on in it
        let mut part = part.to_vec();
        let Event::Started { text: digest, runbooks, folder, .. } = &mut part[0].event else {
            panic!("no start")
        };
        env.root().to_str().unwrap().clone_into(folder);
        let (digest, inner) = (digest.clone(), runbooks.clone());
        let inner = inner.iter().map(|used| (used.text.as_str(), INNER));
        let texts = inner.chain([(digest.as_str(), text.as_str())]);
        let mut store = Store::open(&env.path(".state/runbook")).unwrap();
        store.append_with_text(&part, texts).unwrap();
        drop(store);
        let mut out = env.run(&["resume", "r1"]);
        let blind =
            |id: &&str| matches!(self.steps[number(id)].0, Kind::Post(false) | Kind::Each(false));
        let asks = doubt.filter(blind);
        if let Some(id) = asks {
            assert_eq!(out.code, Some(5), "{id} may have happened: {}", out.stderr);
            assert_eq!(self.world.lock().unwrap().made, before, "nothing more was made");
            let save = format!("v{0}={0}", number(id));
            let post = matches!(self.steps[number(id)].0, Kind::Post(_));
            let mut words = vec!["resume", "r1", if happened { "--done" } else { "--redo" }, id];
            if happened && post {
                words.extend(["--save", &save]);
            }
            out = env.run(&words);
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
