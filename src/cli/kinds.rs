//! `kinds`: what steps can do.

use super::{out, plugins, show as shown};
use crate::exit::Exit;
use crate::library;
use crate::show;
use crate::step;
use crate::step::plugin::{PREFIX, Sought};
use crate::world::World;

/// List the kinds of steps, or explain one: fields, meaning, an example
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The kind to explain
    #[arg(add = super::completions::kind())]
    kind: Option<String>,
}

pub(super) fn run(args: &Args, world: &World) -> Exit {
    let Some(name) = args.kind.as_deref() else {
        let installed = library::installed(PREFIX, world);
        let names: Vec<&str> = installed.iter().map(|name| &name[PREFIX.len()..]).collect();
        out::print(&shown::readable(&(show::kinds() + &show::plugins(&names)), world));
        return Exit::Done;
    };
    if let Some(kind) = step::kind(name) {
        out::print(&shown::readable(&show::kind(kind), world));
        return Exit::Done;
    }
    let other = match plugins::named(name, world) {
        Ok(Sought::There(plugin)) => {
            out::print(&shown::readable(&show::plugin(&plugin), world));
            return Exit::Done;
        }
        Ok(Sought::Nowhere(near)) => near,
        Err(exit) => return exit,
    };
    out::error(&format!("there is no kind `{name}`"));
    let ours = step::KINDS.iter().map(|kind| kind.name);
    match crate::diag::closest(name, ours.chain(other.as_deref())) {
        Some(near) => out::hint(&format!("did you mean `{near}`?")),
        None => out::hint("`runbook kinds` lists them"),
    }
    Exit::Usage
}
