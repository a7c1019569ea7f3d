//! `kinds`: what steps can do.

use super::{out, show as shown};
use crate::exit::Exit;
use crate::show;
use crate::step;
use crate::world::World;

/// List the kinds of steps, or explain one: fields, meaning, an example
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The kind to explain
    kind: Option<String>,
}

pub(super) fn run(args: &Args, world: &World) -> Exit {
    let Some(name) = args.kind.as_deref() else {
        out::print(&shown::readable(&show::kinds(), world));
        return Exit::Done;
    };
    if let Some(kind) = step::kind(name) {
        out::print(&shown::readable(&show::kind(kind), world));
        return Exit::Done;
    }
    out::error(&format!("there is no kind `{name}`"));
    match crate::diag::closest(name, step::KINDS.iter().map(|kind| kind.name)) {
        Some(near) => out::hint(&format!("did you mean `{near}`?")),
        None => out::hint("`runbook kinds` lists them"),
    }
    Exit::Usage
}
