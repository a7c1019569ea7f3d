//! The rehearsal server: a service that a `fake.toml` describes, on loopback.
//!
//! A route is a jq function from `{request, state}` to `{status, headers, body, state}`, so that
//! a rehearsal takes the real way over HTTP. Invariant: requests are answered one at a time and
//! only from the request and the state (no clock, no chance), so the same calls always get
//! the same answers. A command is asked for in the same way and answered with what it would have
//! printed. The engine does not know whether it speaks to a fake.

mod answer;
mod beside;
pub mod calls;
mod command;
pub mod parse;
mod serve;

use crate::jq::{ProgramId, Programs};
use crate::source::Span;
use crate::value::Json;

pub use serve::{Asked, Fault, Faults, Listener, Served, serve};

/// A service for rehearsal, parsed and checked.
#[derive(Debug)]
pub struct Fake {
    /// What the service is, in Markdown.
    pub about: String,
    inputs: Vec<(String, Json)>,
    state: Json,
    states: Vec<(String, Json)>,
    rehearse: Vec<(String, Vec<String>)>,
    programs: Programs,
    routes: Vec<Route>,
    commands: Vec<Command>,
    otherwise: Option<ProgramId>,
    /// The fakes of other services, by name.
    beside: Vec<(String, Fake)>,
}

/// Where a rehearsal's commands are sent instead of being run, below the server's address.
pub const COMMANDS: &str = "/.runbook/command";

/// One command: which command lines, and what answers them.
#[derive(Debug)]
struct Command {
    on: String,
    /// Where `on` stands in the file.
    span: Span,
    /// The words a command line begins with.
    words: Vec<Word>,
    program: ProgramId,
}

/// A word of a command line.
#[derive(Debug)]
enum Word {
    /// Whatever stands there.
    Any,
    /// Exactly this.
    Text(String),
}

/// One route: which requests, and what answers them.
#[derive(Debug)]
struct Route {
    on: String,
    /// Where `on` stands in the file.
    span: Span,
    /// None for any method.
    method: Option<String>,
    path: Vec<Segment>,
    program: ProgramId,
}

/// A part of a path between two slashes.
#[derive(Debug, PartialEq, Eq)]
enum Segment {
    /// Exactly this text.
    Text(String),
    /// Any text that is not empty, under this name.
    Param(String),
}

impl Fake {
    /// The names of the variants of the state that a rehearsal may start in; of another service's
    /// `other.variant`.
    pub fn states(&self) -> Vec<String> {
        let own = self.states.iter().map(|(name, _)| name.clone());
        let inner = |(name, fake): &(String, Self)| -> Vec<String> {
            fake.states().iter().map(|state| format!("{name}.{state}")).collect()
        };
        own.chain(self.beside.iter().flat_map(inner)).collect()
    }

    /// The variants in which a rehearsal of this runbook starts when it is not told another.
    pub fn usual(&self, runbook: &str) -> &[String] {
        let found = self.rehearse.iter().find(|(name, _)| name == runbook);
        found.map_or(&[], |(_, states)| states)
    }

    /// How many routes and commands it answers.
    pub fn answers(&self) -> usize {
        self.routes.len() + self.commands.len()
    }

    /// The state to start in: the plain one with these variants laid over it, one after the other;
    /// `other.variant` is one of another service's. Fails with the first name that is no variant.
    pub fn state(&self, variants: &[String]) -> Result<Json, String> {
        let mut state = self.state.clone();
        let mut others: Vec<Vec<String>> = vec![Vec::new(); self.beside.len()];
        for variant in variants {
            if let Some((_, changes)) = self.states.iter().find(|(name, _)| name == variant) {
                merge(&mut state, changes);
                continue;
            }
            let of = |name: &String| variant.strip_prefix(name.as_str())?.strip_prefix('.');
            let mut named = self.beside.iter().zip(&mut others);
            let found = named.find_map(|((name, _), all)| Some((all, of(name)?)));
            let (all, inner) = found.ok_or_else(|| variant.clone())?;
            all.push(inner.to_owned());
        }
        for ((name, fake), variants) in self.beside.iter().zip(&others) {
            let inner = fake.state(variants).map_err(|inner| format!("{name}.{inner}"))?;
            merge(&mut state, &Json::Object([(name.clone(), inner)].into_iter().collect()));
        }
        Ok(state)
    }

    /// What a rehearsal answers a runbook's inputs with. In texts `$URL` stands for the
    /// server's address (no slash at its end) and `$DIR` for a folder for the rehearsal's files.
    /// What the first fake does not say is taken from those beside it.
    pub fn inputs(&self, url: &str, dir: &str) -> Vec<(String, Json)> {
        let mut all: Vec<(String, Json)> = Vec::new();
        let beside = self.beside.iter().flat_map(|(_, fake)| &fake.inputs);
        for (name, value) in self.inputs.iter().chain(beside) {
            if !all.iter().any(|(known, _)| known == name) {
                all.push((name.clone(), filled(value, url, dir)));
            }
        }
        all
    }
}

/// A value for an input: a text with the server's address for `$URL`, the folder for `$DIR`.
pub fn filled(value: &Json, url: &str, dir: &str) -> Json {
    match value {
        Json::String(text) => Json::String(text.replace("$URL", url).replace("$DIR", dir)),
        other => other.clone(),
    }
}

/// Lays changes over a value: objects key by key, anything else as a whole.
fn merge(value: &mut Json, changes: &Json) {
    match (value, changes) {
        (Json::Object(value), Json::Object(changes)) => {
            for (key, change) in changes {
                merge(value.entry(key.clone()).or_insert(Json::Null), change);
            }
        }
        (value, changes) => *value = changes.clone(),
    }
}

#[cfg(test)]
mod tests;
