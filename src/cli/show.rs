//! `show`: what a runbook is, without running it.

use super::run::known;
use super::{load, out};
use crate::exit::Exit;
use crate::printable::printable;
use crate::runbook::Runbook;
use crate::runbook::effects::effects;
use crate::show;
use crate::world::World;

/// Show a runbook as the Markdown a person could follow by hand
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The runbook's name, or the path of its file
    #[arg(add = super::completions::runbook())]
    name: String,
    /// Show what it touches: hosts, commands, files, secrets
    #[arg(long, conflicts_with_all = ["curl", "graph"])]
    effects: bool,
    /// Show the commands of one step only
    #[arg(long, value_name = "STEP", add = super::completions::step(), conflicts_with = "graph")]
    curl: Option<String>,
    /// Show the steps as a Mermaid flowchart
    #[arg(long)]
    graph: bool,
}

pub(super) fn run(args: &Args, world: &World) -> Exit {
    match load::load(&args.name, world).and_then(|runbook| text(args, &runbook, world)) {
        Ok(text) => {
            out::print(&text);
            Exit::Done
        }
        Err(exit) => exit,
    }
}

fn text(args: &Args, runbook: &Runbook, world: &World) -> Result<String, Exit> {
    let plain = |text: String| printable(&text).into_owned();
    if args.effects {
        return Ok(plain(effects(runbook, None).listing()));
    }
    if args.graph {
        return Ok(plain(show::graph(runbook)));
    }
    if let Some(id) = &args.curl {
        return commands(id, runbook).map(plain);
    }
    Ok(readable(&show::markdown(runbook), world))
}

fn commands(id: &str, runbook: &Runbook) -> Result<String, Exit> {
    known(runbook, id)?;
    let Some((runbook, step)) = runbook.performed(id) else { return Err(Exit::Usage) };
    show::commands(runbook, step).map(|shell| shell.trim_end().to_owned() + "\n").ok_or_else(|| {
        out::error(&format!("step `{id}` is nothing one types"));
        out::hint(&format!("`runbook show {}` shows what it is", runbook.command_name()));
        Exit::Usage
    })
}

/// Markdown: rendered for a person at a terminal, else as it is.
pub(super) fn readable(markdown: &str, world: &World) -> String {
    if world.stdout_tty {
        crate::report::markdown(markdown, world.width(), world.color())
    } else {
        printable(markdown).into_owned()
    }
}
