//! Tests of runbooks: cases beside a runbook, each a rehearsal with what must come out.
//!
//! A case is run against the fake in this process; with `--crash` it is run again, as a
//! process of its own, once for every point at which the process can die.

mod crash;
mod judge;
mod run;

use crate::diag::Diag;
use crate::fake::Fault;
use crate::reader::{Field, Gather, Loaded, Reader, RuleSet, Rules, Shape, list};
use crate::source::Source;
use crate::value::Json;
pub use crash::{Crashes, crashes};
pub use judge::Difference;
pub use run::{Bench, answers, run};

/// The keys of a test file.
pub const TOP: &[Field] = &[
    Field { name: "format", shape: Shape::Integer, about: "The version of this format: 1." },
    Field { name: "cases", shape: Shape::Tables(CASE), about: "The cases." },
];

/// Which keys go together, table by table.
pub const RULES: RuleSet = &[
    ("", Rules::needs(&["format"])),
    ("cases", Rules::needs(&["name"])),
    ("faults", Rules { apart: &["fault", "status"], any: &["fault", "status"], ..Rules::NONE }),
];

/// The keys of a case.
pub const CASE: &[Field] = &[
    Field { name: "name", shape: Shape::Text, about: "What the case shows." },
    Field { name: "preset", shape: Shape::Text, about: "A preset of the runbook." },
    Field { name: "inputs", shape: Shape::Map, about: "Inputs, over the preset's and the fake's." },
    Field {
        name: "answers",
        shape: Shape::Map,
        about: "Answers to prompts, by step; a confirmation not named here is given.",
    },
    Field { name: "state", shape: Shape::Texts, about: "States of the fake to start in." },
    Field {
        name: "adopt",
        shape: Shape::Boolean,
        about: "Whether what is there already may be used.",
    },
    Field {
        name: "runs",
        shape: Shape::Integer,
        about: "How many runs, one after the other, on the same fake; the last is judged. 1 if not said.",
    },
    Field {
        name: "crash",
        shape: Shape::Boolean,
        about: "Whether `--crash` kills in this case; false where the service itself lies about what it made.",
    },
    Field {
        name: "resumes",
        shape: Shape::Integer,
        about: "How often a run that stopped is resumed; 0 if not said.",
    },
    Field { name: "faults", shape: Shape::Tables(FAULT), about: "What goes wrong on the way." },
    Field { name: "expect", shape: Shape::Table(EXPECT), about: "What must come out." },
];

/// The keys of a fault.
pub const FAULT: &[Field] = &[
    Field {
        name: "on",
        shape: Shape::Text,
        about: "The requests it meets: `POST /users/`, the beginning of method and path; all if not said.",
    },
    Field {
        name: "nth",
        shape: Shape::Integer,
        about: "The first of these that it meets, from 1.",
    },
    Field { name: "times", shape: Shape::Integer, about: "How many it meets; 1 if not said." },
    Field {
        name: "fault",
        shape: Shape::Word(FAULTS),
        about: "`refused`: nobody listens, nothing was sent; `close`: sent, but not answered, nothing done; `lost`: done, but not answered; `silence`: no answer ever; `cut`: half an answer.",
    },
    Field {
        name: "status",
        shape: Shape::Integer,
        about: "Instead of `fault`: this status, nothing done.",
    },
];

/// The words for a fault.
pub const FAULTS: &[&str] = &["refused", "close", "lost", "silence", "cut"];

/// The keys of what must come out.
pub const EXPECT: &[Field] = &[
    Field {
        name: "outcome",
        shape: Shape::Word(OUTCOMES),
        about: "How the run ends; `done` if not said.",
    },
    Field { name: "step", shape: Shape::Text, about: "The step at which it stops." },
    Field {
        name: "says",
        shape: Shape::Texts,
        about: "What the failure and its hints say, each somewhere.",
    },
    Field { name: "saved", shape: Shape::Map, about: "Saved values; secrets are `***`." },
    Field {
        name: "requests",
        shape: Shape::Texts,
        about: "All requests, in order: `GET /users/` without the query.",
    },
    Field {
        name: "changes",
        shape: Shape::Texts,
        about: "All requests but GET, HEAD and OPTIONS, in order, that were carried out (2xx, also if the answer was lost).",
    },
    Field {
        name: "files",
        shape: Shape::Map,
        about: "Files below the rehearsal's folder (`$DIR`) and their texts; `{{ name }}` stands for a saved value.",
    },
    Field {
        name: "state",
        shape: Shape::Jq,
        about: "Over the fake's state at the end: must be true.",
    },
];

/// The words for an outcome.
pub const OUTCOMES: &[&str] = &["done", "failed", "waiting", "doubt", "invalid"];

/// One case.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// A preset.
    pub preset: Option<String>,
    /// Inputs.
    pub inputs: serde_json::Map<String, Json>,
    /// Answers, by step.
    pub answers: Vec<(String, String)>,
    /// States of the fake.
    pub state: Vec<String>,
    /// Whether what is there may be used.
    pub adopt: bool,
    /// How many runs.
    pub runs: u64,
    /// How many resumes.
    pub resumes: u64,
    /// Whether `--crash` kills in this case.
    pub crash: bool,
    /// What goes wrong.
    pub faults: Vec<Injected>,
    /// What must come out.
    pub expect: Expect,
}

impl Case {
    /// How it is to end, in the word of its file: `done`, say.
    pub fn end(&self) -> &str {
        &self.expect.outcome
    }

    /// The rehearsal as it is without a case.
    pub fn plain() -> Self {
        Self {
            name: String::new(),
            preset: None,
            inputs: serde_json::Map::new(),
            answers: Vec::new(),
            state: Vec::new(),
            adopt: false,
            runs: 1,
            resumes: 0,
            crash: false,
            faults: Vec::new(),
            expect: Expect::default(),
        }
    }
}

/// A fault and the requests it meets.
#[derive(Debug, Clone)]
pub struct Injected {
    on: String,
    nth: u64,
    times: u64,
    harm: Harm,
}

/// Who does the harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// The server.
    Server(Fault),
    /// Nobody listens.
    Refused,
}

/// What must come out of a case.
#[derive(Debug, Default)]
pub struct Expect {
    outcome: String,
    step: Option<String>,
    says: Vec<String>,
    saved: serde_json::Map<String, Json>,
    requests: Option<Vec<String>>,
    changes: Option<Vec<String>>,
    files: Vec<(String, String)>,
    state: Option<String>,
}

/// Parses a test file, or tells all that is wrong with it.
pub fn parse(source: &Source) -> Result<Vec<Case>, Vec<Diag>> {
    let table = source
        .tables()
        .map_err(|error| vec![Diag::error(error.message(), error.span().unwrap_or(0..0))])?;
    let none = |name: &str| Err::<Loaded, _>(format!("a test uses no runbook: `{name}`"));
    let gather = Gather::new(source, &none);
    let reader = Reader::new(&gather, table.get_ref(), &(0..0));
    reader.only(TOP);
    reader.format();
    let cases = reader.tables("cases").iter().filter_map(case).collect();
    let (diags, _) = gather.finish();
    if diags.is_empty() { Ok(cases) } else { Err(diags) }
}

fn case(reader: &Reader<'_>) -> Option<Case> {
    reader.only(CASE);
    if !reader.has("name") {
        return reader.missing("name", "say what the case shows");
    }
    let answers = object(reader, "answers");
    Some(Case {
        name: reader.string("name")?,
        preset: reader.string("preset"),
        inputs: object(reader, "inputs"),
        answers: answers.into_iter().map(|(step, value)| (step, spoken(&value))).collect(),
        state: texts(reader, "state"),
        adopt: reader.boolean("adopt").unwrap_or(false),
        runs: reader.integer("runs").unwrap_or(1).max(1),
        resumes: reader.integer("resumes").unwrap_or(0),
        crash: reader.boolean("crash").unwrap_or(true),
        faults: reader.tables("faults").iter().filter_map(injected).collect(),
        expect: reader.table("expect").map_or_else(Expect::default, |table| expect(&table)),
    })
}

/// An answer as a person would type it.
fn spoken(value: &Json) -> String {
    match value {
        Json::Bool(true) => "yes".to_owned(),
        Json::Bool(false) => "no".to_owned(),
        other => crate::value::text(other),
    }
}

fn texts(reader: &Reader<'_>, key: &str) -> Vec<String> {
    reader.texts(key).into_iter().map(|text| text.value).collect()
}

fn object(reader: &Reader<'_>, key: &str) -> serde_json::Map<String, Json> {
    match reader.table(key).and_then(|_| reader.json(key)) {
        Some(Json::Object(map)) => map,
        _ => serde_json::Map::new(),
    }
}

fn injected(reader: &Reader<'_>) -> Option<Injected> {
    reader.only(FAULT);
    let harm = match (reader.has("fault"), reader.has("status")) {
        (true, true) => {
            reader.gather.report(reader.beside("fault", "status"));
            return None;
        }
        (true, false) => match reader.word("fault", FAULTS)? {
            "refused" => Harm::Refused,
            "close" => Harm::Server(Fault::Close),
            "lost" => Harm::Server(Fault::DoAndClose),
            "silence" => Harm::Server(Fault::Silence),
            _ => Harm::Server(Fault::Cut),
        },
        (false, true) => Harm::Server(Fault::Status(status(reader)?)),
        (false, false) => {
            return reader
                .missing("fault", &format!("say `status`, or `fault` as one of {}", list(FAULTS)));
        }
    };
    Some(Injected {
        on: reader.string("on").unwrap_or_default(),
        nth: reader.integer("nth").unwrap_or(1),
        times: reader.integer("times").unwrap_or(1),
        harm,
    })
}

fn status(reader: &Reader<'_>) -> Option<u16> {
    let given = reader.integer("status")?;
    let status = u16::try_from(given).ok();
    if status.is_none() {
        let span = reader.get("status").map_or(reader.span(), toml::Spanned::span);
        reader.gather.report(Diag::error(format!("{given} is no status"), span));
    }
    status
}

fn expect(reader: &Reader<'_>) -> Expect {
    reader.only(EXPECT);
    let files = object(reader, "files");
    Expect {
        outcome: reader.word("outcome", OUTCOMES).unwrap_or("done").to_owned(),
        step: reader.string("step"),
        says: texts(reader, "says"),
        saved: object(reader, "saved"),
        requests: reader.has("requests").then(|| texts(reader, "requests")),
        changes: reader.has("changes").then(|| texts(reader, "changes")),
        files: files.into_iter().map(|(path, text)| (path, crate::value::text(&text))).collect(),
        state: reader.text("state").map(|text| {
            reader.gather.jq(&text, &[]);
            text.value
        }),
    }
}
