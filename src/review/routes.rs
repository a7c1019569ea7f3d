//! Routes and commands of a fake that no runbook beside it calls.

use crate::diag::Diag;
use crate::fake::Fake;
use crate::fake::calls::{Call, Part};
use crate::runbook::Runbook;
use crate::step::{self, Step};
use crate::template::{Piece, Template};

/// Routes that none of these runbooks calls, and commands that none runs. They must be all that
/// use the fake.
pub fn routes(fake: &Fake, runbooks: &[Runbook]) -> Vec<Diag> {
    let mut calls = Calls::default();
    for runbook in runbooks {
        calls.of(runbook);
    }
    if calls.unknown {
        return Vec::new();
    }
    let reads = |on: &str| ["GET ", "HEAD ", "* "].iter().any(|method| on.starts_with(method));
    let uncalled = fake.uncalled(&calls.all).filter(|(on, _)| !(calls.wander && reads(on)));
    let warning = |(on, span): (&str, &crate::source::Span)| {
        let title = format!("nothing calls the route `{on}`");
        let diag = Diag::warning("uncalled-route", title, span.clone());
        diag.help("compare method, path and final slash with the steps' calls, or take it out")
    };
    let unrun = fake.unrun(&calls.lines).map(|(on, span)| {
        let title = format!("nothing runs the command `{on}`");
        let diag = Diag::warning("unrun-command", title, span.clone());
        diag.help("compare its words with those of the steps' commands, or take it out")
    });
    uncalled.map(warning).chain(unrun).collect()
}

#[derive(Default)]
struct Calls {
    all: Vec<Call>,
    /// Command lines, word by word.
    lines: Vec<Vec<Vec<Part>>>,
    /// Redirects and the like may lead anywhere.
    wander: bool,
    /// There are steps of which nobody knows what they call.
    unknown: bool,
}

impl Calls {
    fn of(&mut self, runbook: &Runbook) {
        self.unknown |= !runbook.plugins.is_empty();
        for step in &runbook.steps {
            let probe = step.already.as_ref().map(|already| &*already.probe);
            for action in [Some(&*step.action), probe, step.undo.as_deref()].into_iter().flatten() {
                self.action(runbook, action);
            }
        }
    }

    fn action(&mut self, runbook: &Runbook, action: &dyn Step) {
        if let Some(call) = action.calls() {
            let named = |connection: &&std::rc::Rc<step::Connection>| connection.name == call.on;
            let base = runbook.connections.iter().find(named).map(|found| found.base_template());
            self.wander |= call.wanders;
            self.all.push(Call { method: call.method.to_owned(), path: path(base, call.url) });
        }
        self.lines.extend(action.argv().map(|words| words.iter().map(text).collect()));
        let nested = action.nested();
        if let Some(used) = nested.and_then(|nested| nested.runbook.downcast_ref::<Runbook>()) {
            self.of(used);
        }
    }
}

/// The path behind any host and anything that stands before the base's own path.
fn path(base: Option<&Template>, url: &Template) -> Vec<Part> {
    let url = parts(url);
    let whole = match url.first() {
        // may be an address of its own
        None | Some(Part::Any) => return vec![Part::Any],
        Some(Part::Text(text)) => text.starts_with("http://") || text.starts_with("https://"),
    };
    if whole {
        return without_host(url);
    }
    let mut parts = without_host(base.map(parts).unwrap_or_default());
    if let Some(Part::Text(last)) = parts.last_mut() {
        last.truncate(last.trim_end_matches('/').len());
    }
    // a template at the base's end may bring the slash with it
    let slash =
        if parts.last() == Some(&Part::Any) { Part::Any } else { Part::Text("/".to_owned()) };
    parts.push(slash);
    let mut url = url.into_iter();
    if let Some(Part::Text(first)) = url.next() {
        parts.push(Part::Text(first.trim_start_matches('/').to_owned()));
    }
    parts.extend(url);
    parts
}

fn without_host(mut parts: Vec<Part>) -> Vec<Part> {
    if let Some(Part::Text(first)) = parts.first_mut()
        && let Some((_, rest)) = first.split_once("://")
    {
        let path = rest.find('/').map_or("", |at| &rest[at..]);
        *first = path.to_owned();
    }
    // A fake's input may put a path before it.
    parts.insert(0, Part::Any);
    parts
}

/// A template up to its query.
fn parts(template: &Template) -> Vec<Part> {
    let mut parts = text(template);
    let query = |part: &Part| matches!(part, Part::Text(text) if text.contains(['?', '#']));
    if let Some(at) = parts.iter().position(query) {
        parts.truncate(at + 1);
        if let Some(Part::Text(last)) = parts.last_mut() {
            last.truncate(last.find(['?', '#']).unwrap_or(last.len()));
        }
    }
    parts
}

/// A whole template. One with statements may be anything.
fn text(template: &Template) -> Vec<Part> {
    let mut parts = Vec::new();
    for piece in template.pieces() {
        match piece {
            Piece::Text(text) => parts.push(Part::Text(text.to_owned())),
            Piece::Expression(_) => parts.push(Part::Any),
            Piece::Statement(_) => return vec![Part::Any],
        }
    }
    parts
}
