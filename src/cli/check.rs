//! `check`: every mistake of every file, at its place, and what looks wrong besides.

use serde_json::json;

use super::plugins::Plugins;
use super::{Global, Output, load, out};
use crate::diag::{Diag, Severity};
use crate::exit::Exit;
use crate::library;
use crate::runbook::Runbook;
use crate::runbook::lint::lint;
use crate::source::Source;
use crate::value::Json;
use crate::world::World;

/// Check runbooks without running them
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names or paths of runbooks
    #[arg(required = true, value_name = "FILE")]
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
    steps: usize,
    diags: Vec<Diag>,
}

pub(super) fn run(args: &Args, global: &Global, world: &World) -> Exit {
    let mut exit = Exit::Done;
    let mut found: Vec<Json> = Vec::new();
    for file in &args.files {
        match check(file, world, args.trust) {
            Ok(checked) => {
                if !checked.passes(args.deny.is_some()) {
                    exit = Exit::Invalid;
                }
                match global.output {
                    Some(Output::Json) => found.extend(checked.json()),
                    _ => checked.tell(world),
                }
            }
            Err(worse) => exit = worse,
        }
    }
    if global.output == Some(Output::Json) {
        out::print(&format!("{:#}\n", Json::Array(found)));
    }
    exit
}

fn check(file: &str, world: &World, trust: bool) -> Result<Checked, Exit> {
    let found = load::find(file, world)?;
    let used = |name: &str, from: &Source| library::used(name, from, world);
    let plugins = Plugins::new(world, trust);
    let kinds = |name: &str, from: &Source| plugins.find(name, from);
    let (steps, diags) = match Runbook::parse_with(&found.source, &used, &kinds) {
        Ok((runbook, mut warnings)) => {
            warnings.extend(lint(&runbook));
            (runbook.steps.len(), warnings)
        }
        Err(mistakes) => (0, mistakes),
    };
    Ok(Checked { source: found.source, steps, diags })
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
        let (mistakes, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let path = &self.source.path;
        if mistakes > 0 {
            out::say(&format!("{path}: {}, nothing was run", counted(mistakes, "mistake")));
        } else if warnings > 0 {
            let warnings = counted(warnings, "warning");
            out::say(&format!("{path}: {warnings}, {}", counted(self.steps, "step")));
            out::hint("`runbook explain CODE` tells what a warning means");
        } else {
            out::say(&format!("{path}: fine, {}", counted(self.steps, "step")));
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
