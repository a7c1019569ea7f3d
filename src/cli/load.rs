//! From a name to a checked runbook, or to messages and an exit code.

use super::out;
use super::plugins::Plugins;
use crate::diag::{self, Diag};
use crate::exit::Exit;
use crate::library::{self, NotFound};
use crate::runbook::{Find, FindKind, Runbook};
use crate::scope::Scope;
use crate::source::Source;
use crate::step::plugin::Refused;
use crate::world::World;

/// Finds and checks a runbook.
pub(super) fn load(name: &str, world: &World) -> Result<Runbook, Exit> {
    load_trusting(name, world, false)
}

/// The same, where the person may have said that they trust what lies beside it.
pub(super) fn load_trusting(name: &str, world: &World, trust: bool) -> Result<Runbook, Exit> {
    let source = find(name, world)?;
    let plugins = Plugins::new(world, trust);
    let used = |name: &str, from: &Source| library::used(name, from, world);
    parse(&source, &used, &|name, from| plugins.find(name, from), world)
}

/// Finds a runbook's file.
pub(super) fn find(name: &str, world: &World) -> Result<Source, Exit> {
    library::find(name, world).map_err(|missing| {
        match missing {
            NotFound::Nowhere(names) => {
                out::error(&format!("there is no runbook `{name}`"));
                match diag::closest(name, names.iter().map(String::as_str)) {
                    Some(near) => out::hint(&format!("did you mean `{near}`?")),
                    None => out::hint("`runbook list` shows those there are"),
                }
            }
            NotFound::Unreadable(path, error) => {
                out::error(&format!("cannot read {}: {error}", path.display()));
            }
        }
        Exit::Usage
    })
}

/// Checks a runbook's text; mistakes are shown at their places.
pub(super) fn parse(
    source: &Source,
    find: Find<'_>,
    kinds: FindKind<'_>,
    world: &World,
) -> Result<Runbook, Exit> {
    match Runbook::parse_with(source, find, kinds) {
        // What only looks wrong is for `check` to show.
        Ok((runbook, _)) => Ok(runbook),
        Err(mistakes) => {
            show(source, &mistakes, world);
            let count = mistakes.len();
            let noun = if count == 1 { "mistake" } else { "mistakes" };
            out::say(&format!("{}: {count} {noun}, nothing was run", source.path));
            Err(Exit::Invalid)
        }
    }
}

/// Checks the text that a run began with: what only this version takes for a mistake is shown and does not
/// keep it from going on. `again` says what to do if the text is refused.
pub(super) fn parse_begun(
    source: &Source,
    find: Find<'_>,
    kinds: FindKind<'_>,
    world: &World,
    again: &dyn Fn(),
) -> Result<Runbook, Exit> {
    match Runbook::parse_with(source, find, kinds) {
        Ok((runbook, odd)) => {
            // what has a code looked wrong when the run began, too
            let odd: Vec<Diag> = odd.into_iter().filter(|diag| diag.code.is_none()).collect();
            show(source, &odd, world);
            Ok(runbook)
        }
        Err(mistakes) => {
            show(source, &mistakes, world);
            again();
            Err(Exit::Invalid)
        }
    }
}

/// Refuses values with which a var cannot be worked out: no run is begun that cannot go on.
pub(super) fn vars(runbook: &Runbook, values: &Scope, world: &World) -> Result<(), Exit> {
    let bound = runbook.bind_vars(values, |name, value| values.set(name, value));
    bound.map_err(|(var, error)| {
        for (_, secret) in values.secrets() {
            // one that cannot be replaced is not found in a message either
            let _ = out::redactor().add_json(&secret);
        }
        let title = format!("var `{}` cannot be worked out: {}", var.name, error.0);
        let help = "it fails with these inputs: give others, or let the file say what then";
        show(&runbook.source, &[Diag::error(title, var.span.clone()).help(help)], world);
        Exit::Usage
    })
}

/// Shows diagnostics on stderr.
pub(super) fn show(source: &Source, diags: &[Diag], world: &World) {
    if !diags.is_empty() {
        out::block(&diag::render(source, diags, world.color(), world.screen()));
        out::say("");
    }
}

/// Says why a plug-in cannot be used, where there is no place in a file to point at.
pub(super) fn refuse(refused: &Refused) -> Exit {
    out::error(&refused.title);
    refused.help.iter().for_each(|help| out::hint(help));
    Exit::Usage
}
