//! `check`: every mistake of a runbook and of what lies beside it, at its place, and what looks
//! wrong besides.

use std::sync::Arc;

use serde_json::json;

use super::plugins::Plugins;
use super::{Global, Output, load, out};
use crate::diag::{Diag, Severity};
use crate::exit::Exit;
use crate::fake::Fake;
use crate::library;
use crate::review::{self, Pack};
use crate::runbook::Runbook;
use crate::runbook::lint::lint;
use crate::source::Source;
use crate::testing::{self, Case};
use crate::value::Json;
use crate::world::World;

/// Check runbooks, with the fakes and tests beside them, without running them
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names or paths of runbooks
    #[arg(required = true, value_name = "FILE", add = super::completions::runbook())]
    files: Vec<String>,
    /// Take warnings for mistakes: exit code 3
    #[arg(long, value_enum, value_name = "WHAT")]
    deny: Option<Deny>,
    /// Trust the plug-ins beside the files, as they are now
    #[arg(long)]
    trust: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Deny {
    /// Everything that is warned of
    Warnings,
}

/// What is found in one file.
struct Checked {
    source: Source,
    /// What there is in it, when nothing is wrong: `3 steps`.
    holds: String,
    diags: Vec<Diag>,
}

pub(super) fn run(args: &Args, global: &Global, world: &World) -> Exit {
    let mut exit = Exit::Done;
    let mut all: Vec<Checked> = Vec::new();
    for file in &args.files {
        match check(file, world, args.trust) {
            Ok(checked) => {
                for one in checked {
                    // runbooks of one folder share their fake
                    if !all.iter().any(|known| known.source.path == one.source.path) {
                        all.push(one);
                    }
                }
            }
            Err(worse) => exit = worse,
        }
    }
    if !all.iter().all(|checked| checked.passes(args.deny.is_some())) {
        exit = Exit::Invalid;
    }
    if global.output == Some(Output::Json) {
        let found = all.iter().flat_map(Checked::json).collect();
        out::print(&format!("{:#}\n", Json::Array(found)));
    } else {
        for checked in &all {
            checked.tell(world);
        }
        if all.iter().any(|checked| checked.count(Severity::Warning) > 0) {
            out::hint("`runbook explain CODE` tells what a warning means");
        }
    }
    exit
}

/// A runbook, its fake and its tests.
fn check(file: &str, world: &World, trust: bool) -> Result<Vec<Checked>, Exit> {
    let source = load::find(&runbook_of(file), world)?;
    if file.ends_with("fake.toml") {
        return Ok(vec![fake(&source).1]);
    }
    let used = |name: &str, from: &Source| library::used(name, from, world);
    let plugins = Plugins::new(world, trust);
    let kinds = |name: &str, from: &Source| plugins.find(name, from);
    let (runbook, mut first) = match Runbook::parse_with(&source, &used, &kinds) {
        Ok((runbook, mut warnings)) => {
            warnings.extend(lint(&runbook, &|name| library::is_program(name, world)));
            let holds = counted(runbook.steps.len(), "step");
            (Some(runbook), Checked { source: source.clone(), holds, diags: warnings })
        }
        Err(diags) => {
            let holds = String::new();
            (None, Checked { source: source.clone(), holds, diags })
        }
    };
    // what lies beside a runbook that came with the program was checked when that was built
    let beside = |find: fn(&Source, &World) -> Option<Source>| {
        if source.known.is_so() { None } else { find(&source, world) }
    };
    let fake = beside(library::fake).as_ref().map(fake);
    let tests = beside(library::tests).as_ref().map(tests);
    let (service, fake) = fake.map_or((None, None), |(service, checked)| (service, Some(checked)));
    let (cases, tests) = tests.map_or((None, None), |(cases, checked)| (cases, Some(checked)));
    let (mut fake, mut tests) = (fake, tests);
    // … and so was what they say of each other
    if let (Some(runbook), false) = (&runbook, source.known.is_so()) {
        let fakes = library::fakes(runbook, world);
        let service = service.map(Arc::new);
        let all = match &service {
            Some(service) if fakes.len() == 1 => Some(Arc::clone(service)),
            _ => Fake::parse_all(&fakes).ok().flatten().map(Arc::new),
        };
        if let (Some(tests), Some(_)) = (&mut tests, &cases) {
            tests.diags.extend(review::names(&tests.source, runbook, all.as_deref()));
        }
        if let (Some(all), Some(service), Some(fake)) = (&all, &service, &mut fake) {
            let cases = cases.as_deref().unwrap_or_default();
            let pack = Pack { runbook, fake: all, cases, world };
            first.diags.extend(review::answers(&pack));
            first.diags.sort_by_key(|diag| diag.span.as_ref().map_or(0, |span| span.start));
            fake.diags.extend(unmet(&source, service, &fake.source, world));
        }
    }
    Ok(std::iter::once(first).chain(fake).chain(tests).collect())
}

/// The runbook that a test file is for; any other file is itself.
fn runbook_of(file: &str) -> String {
    match file.strip_suffix(".test.toml") {
        Some(stem) => format!("{stem}.toml"),
        None => file.to_owned(),
    }
}

fn fake(source: &Source) -> (Option<Fake>, Checked) {
    let parsed = Fake::parse(source);
    let holds = parsed.as_ref().map_or(0, Fake::answers);
    let (fake, diags) = match parsed {
        Ok(fake) => (Some(fake), Vec::new()),
        Err(diags) => (None, diags),
    };
    (fake, Checked { source: source.clone(), holds: counted(holds, "route"), diags })
}

fn tests(source: &Source) -> (Option<Vec<Case>>, Checked) {
    let parsed = testing::parse(source);
    let holds = parsed.as_ref().map_or(0, Vec::len);
    let (cases, diags) = match parsed {
        Ok(cases) => (Some(cases), Vec::new()),
        Err(diags) => (None, diags),
    };
    (cases, Checked { source: source.clone(), holds: counted(holds, "case"), diags })
}

/// Routes that no runbook of the folder calls, and inputs that none has; nothing is said where one of
/// them has mistakes.
fn unmet(runbook: &Source, service: &Fake, fake: &Source, world: &World) -> Vec<Diag> {
    let used = |name: &str, from: &Source| library::used(name, from, world);
    let all = library::beside(runbook, world);
    let all = all.iter().map(|source| Runbook::parse(source, &used).map(|(runbook, _)| runbook));
    match all.collect::<Result<Vec<_>, _>>() {
        Ok(runbooks) => {
            let mut found = review::inputs(fake, &runbooks);
            found.extend(review::routes(service, &runbooks));
            found
        }
        Err(_) => Vec::new(),
    }
}

impl Checked {
    fn count(&self, severity: Severity) -> usize {
        self.diags.iter().filter(|diag| diag.severity == severity).count()
    }

    fn passes(&self, deny: bool) -> bool {
        self.count(Severity::Error) == 0 && !(deny && self.count(Severity::Warning) > 0)
    }

    fn tell(&self, world: &World) {
        load::show(&self.source, &self.diags, world);
        if let Some((called, itself)) = library::called_otherwise(&self.source, world) {
            let path = &self.source.path;
            out::say(&if library::found_by(&self.source, &itself, world) == itself {
                format!(
                    "note: {path} calls itself `{itself}`: it is found by that and by `{called}`"
                )
            } else {
                format!(
                    "note: {path} calls itself `{itself}`, as another does: it is found by `{called}` alone"
                )
            });
        }
        let (mistakes, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let path = &self.source.path;
        if mistakes > 0 {
            out::say(&format!("{path}: {}, nothing was run", counted(mistakes, "mistake")));
        } else if warnings > 0 {
            let warnings = counted(warnings, "warning");
            out::say(&format!("{path}: {warnings}, {}", self.holds));
        } else {
            out::say(&format!("{path}: fine, {}", self.holds));
        }
    }

    fn json(&self) -> Vec<Json> {
        self.diags.iter().map(|diag| self.one(diag)).collect()
    }

    fn one(&self, diag: &Diag) -> Json {
        let place = |offset: usize| {
            let (line, column) = self.source.line_column(offset);
            json!({ "line": line, "column": column })
        };
        let span = diag.span.clone().unwrap_or(0..0);
        let (start, end) = (place(span.start), place(span.end));
        json!({
            "file": &*self.source.path,
            "line": start["line"],
            "column": start["column"],
            "end": end,
            "severity": match diag.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            "code": diag.code,
            "message": diag.title,
            "help": diag.help,
        })
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
