//! What came out of a case against what must come out.

use std::path::PathBuf;

use super::Expect;
use super::run::request;
use crate::fake::Asked;
use crate::journal::event::{Entry, Event, Outcome, Stored};
use crate::jq::{self, Program, Programs};
use crate::value::{Json, MASK, text};

/// The methods that change nothing, as the kind `http` has it.
const READS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// One thing that came out otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What: `outcome`, `saved.user_id`, `requests`.
    pub what: String,
    /// What the case wants.
    pub wanted: String,
    /// What came out.
    pub got: String,
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Seen {
    outcome: String,
    step: Option<String>,
    said: String,
    saved: Vec<(String, Json)>,
    pub(super) requests: Vec<Asked>,
    pub(super) state: Json,
    /// How often it was resumed.
    pub(super) resumed: u64,
}

impl Seen {
    /// Inputs that were refused: nothing was run.
    pub(super) fn refused(messages: &[String]) -> Self {
        Self { outcome: "invalid".to_owned(), said: messages.join("\n"), ..Self::default() }
    }

    /// What the events of the last walk tell.
    pub(super) fn from_events(outcome: Option<Outcome>, entries: &[Entry]) -> Self {
        let mut seen = Self { outcome: word(outcome).to_owned(), ..Self::default() };
        for entry in entries {
            match &entry.event {
                Event::Done { step, saved, .. } => {
                    if seen.step.as_ref() == Some(step) {
                        seen.step = None;
                        seen.said.clear();
                    }
                    seen.saved
                        .extend(saved.iter().map(|(name, value)| (name.clone(), shown(value))));
                }
                Event::Failed { step, failure, .. } => {
                    seen.step = Some(step.clone());
                    let lines = std::iter::once(&failure.message)
                        .chain(&failure.details)
                        .chain(&failure.hints);
                    seen.said = lines.map(String::as_str).collect::<Vec<_>>().join("\n");
                }
                Event::Asked { step, ask, .. } => {
                    seen.step = Some(step.clone());
                    seen.said.clone_from(ask);
                }
                Event::Doubt { step, what, differs, .. } => {
                    seen.step = Some(step.clone());
                    let told = differs
                        .iter()
                        .map(|(field, found, wanted)| format!("{field} {found} {wanted}"));
                    let told: Vec<String> = std::iter::once(what.clone()).chain(told).collect();
                    seen.said = told.join("\n");
                }
                _ => {}
            }
        }
        seen
    }
}

fn shown(value: &Stored) -> Json {
    match value {
        Stored::Plain(json) => json.clone(),
        Stored::Sealed(_) => Json::from(MASK),
    }
}

fn word(outcome: Option<Outcome>) -> &'static str {
    // a case tells these apart; any other end is a failure of it
    let told = [Outcome::Done, Outcome::Waiting, Outcome::InDoubt];
    outcome.filter(|outcome| told.contains(outcome)).unwrap_or(Outcome::Failed).state()
}

/// What differs; `place` tells where the rehearsal has a file.
pub(super) fn judge(
    expect: &Expect,
    seen: &Seen,
    place: &dyn Fn(&str) -> PathBuf,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut same = |what: &str, wanted: &str, got: &str| {
        if wanted != got {
            found.push(Difference {
                what: what.to_owned(),
                wanted: wanted.to_owned(),
                got: got.to_owned(),
            });
        }
    };
    let wanted = if expect.outcome.is_empty() { "done" } else { &expect.outcome };
    let told = |outcome: &str| match &seen.step {
        Some(step) if outcome != "done" => format!("{outcome} at `{step}`: {}", seen.said),
        _ if seen.said.is_empty() => outcome.to_owned(),
        _ => format!("{outcome}: {}", seen.said),
    };
    if wanted != seen.outcome {
        same("outcome", wanted, &told(&seen.outcome));
    }
    if let Some(step) = &expect.step {
        same("step", step, seen.step.as_deref().unwrap_or("none"));
    }
    for says in &expect.says {
        if !seen.said.to_lowercase().contains(&says.to_lowercase()) {
            same("says", says, &seen.said);
        }
    }
    for (name, wanted) in &expect.saved {
        let got = seen
            .saved
            .iter()
            .rev()
            .find(|(saved, _)| saved == name)
            .map(|(_, value)| value.to_string());
        same(&format!("saved.{name}"), &wanted.to_string(), got.as_deref().unwrap_or("nothing"));
    }
    if let Some(requests) = &expect.requests {
        let got: Vec<String> = seen.requests.iter().map(request).collect();
        same("requests", &requests.join("\n"), &got.join("\n"));
    }
    if let Some(changes) = &expect.changes {
        same("changes", &changes.join("\n"), &changed(&seen.requests).join("\n"));
    }
    for (path, wanted) in &expect.files {
        let got = std::fs::read_to_string(place(path)).unwrap_or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "(no such file)".to_owned(),
            _ => format!("({error})"),
        });
        same(&format!("files.{path}"), &filled(wanted, seen, &got), &got);
    }
    if let Some(program) = &expect.state {
        same(&format!("state: {program}"), "true", &judged(program, &seen.state));
    }
    found
}

/// The requests that may have changed something: all but reads, carried out with a 2xx.
pub(super) fn changed(requests: &[Asked]) -> Vec<String> {
    let changing = |asked: &&Asked| {
        !READS.contains(&asked.method.as_str())
            && asked.route.is_some_and(|status| (200..300).contains(&status))
    };
    requests.iter().filter(changing).map(request).collect()
}

/// A text with `{{ name }}` replaced by saved values. A secret's place takes whatever stands
/// there: a test file is no place for secrets.
fn filled(wanted: &str, seen: &Seen, got: &str) -> String {
    let mut lines = Vec::new();
    let mut real = got.lines();
    for line in wanted.lines() {
        let real = real.next().unwrap_or("");
        let mut line = line.to_owned();
        for (name, value) in &seen.saved {
            let mark = format!("{{{{ {name} }}}}");
            let stands = match line.split_once(&mark) {
                Some((before, after)) if value.as_str() == Some(MASK) => real
                    .strip_prefix(before)
                    .and_then(|rest| rest.strip_suffix(after))
                    .filter(|middle| !middle.is_empty())
                    .unwrap_or("a secret")
                    .to_owned(),
                _ => text(value),
            };
            line = line.replace(&mark, &stands);
        }
        lines.push(line);
    }
    lines.join("\n") + if wanted.ends_with('\n') { "\n" } else { "" }
}

fn judged(program: &str, state: &Json) -> String {
    let Ok(program) = Program::parse(program) else { return "no jq program".to_owned() };
    let mut programs = Programs::default();
    let id = programs.add(program);
    match programs.run(id, &|_| None, jq::from_json(state)) {
        Ok(values) => match values.first().map(jq::to_json) {
            Some(Ok(json)) => json.to_string(),
            _ => "nothing".to_owned(),
        },
        Err(error) => error.message,
    }
}
