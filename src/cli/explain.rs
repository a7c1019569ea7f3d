//! `explain`: what a warning means.

use super::{out, show};
use crate::exit::Exit;
use crate::runbook::lint::{PAGES, page};
use crate::world::World;

/// Explain a warning of `check`: why it matters, a bad and a good example
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The warning's code; all codes are listed if none is given
    #[arg(add = super::completions::code())]
    code: Option<String>,
}

pub(super) fn run(args: &Args, world: &World) -> Exit {
    let Some(code) = &args.code else {
        let rows = PAGES.iter().map(|page| format!("| `{}` | {} |\n", page.code, page.title));
        let head = "| Code | Meaning |\n|---|---|\n".to_owned();
        let table: Vec<String> = std::iter::once(head).chain(rows).collect();
        out::print(&show::readable(&table.concat(), world));
        return Exit::Done;
    };
    if let Some(page) = page(code) {
        out::print(&show::readable(&page.markdown(), world));
        return Exit::Done;
    }
    out::error(&format!("there is no warning `{code}`"));
    match crate::diag::closest(code, PAGES.iter().map(|page| page.code)) {
        Some(near) => out::hint(&format!("did you mean `{near}`?")),
        None => out::hint("`runbook explain` lists them"),
    }
    Exit::Usage
}
