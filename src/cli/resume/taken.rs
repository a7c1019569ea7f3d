//! What the journal has of a run that is taken up again, and the definition it goes on with.

use std::path::PathBuf;

use super::super::{load, out, plugins, state};
use crate::exit::Exit;
use crate::journal::event::{Entry, Outcome};
use crate::journal::seal::Key;
use crate::journal::store::Store;
use crate::plan::History;
use crate::runbook::{Find, FindKind, Runbook};
use crate::source::Source;
use crate::step::plugin::{Refused, Sought};
use crate::world::World;

/// A run taken up again: what the journal says.
pub(in super::super) struct Taken {
    pub(in super::super) store: Store,
    pub(in super::super) entries: Vec<Entry>,
    pub(in super::super) history: History,
    pub(in super::super) key: Key,
    /// The surroundings, but in the folder in which it began.
    pub(in super::super) world: World,
}

/// Reads a run from the journal.
pub(in super::super) fn take(store: Store, run: &str, world: World) -> Result<Taken, Exit> {
    let entries = store.entries(run).map_err(|error| state::refused(&error))?;
    let history = History::fold(&entries);
    let key = state::key(&world)?;
    let world = began_in(&history, run, world);
    Ok(Taken { store, entries, history, key, world })
}

/// The definition a run goes on with, from the text that the journal keeps.
pub(in super::super) fn definition(
    store: &Store,
    history: &History,
    run: &str,
    world: &World,
) -> Result<Runbook, Exit> {
    let text = store.text(&history.text).map_err(|error| state::refused(&error))?;
    let Some(text) = text else {
        out::error(&format!("the journal has lost the definition of run `{run}`"));
        if !ended(history) {
            let path = &history.path;
            out::hint(&format!(
                "`runbook resume {run} --updated` goes on with {path} as it is now"
            ));
        }
        out::hint(&format!("`runbook log {run}` still shows what happened"));
        return Err(Exit::Failed);
    };
    read(text, (store, history, world), |source, find, kinds| {
        load::parse_begun(source, find, kinds, world, &|| refused_text(history, run))
    })
}

/// The same where it is only wanted to compare with; none if this version cannot read it.
pub(super) fn before(store: &Store, history: &History, world: &World) -> Option<Runbook> {
    let text = store.text(&history.text).ok().flatten()?;
    read(text, (store, history, world), |source, find, kinds| {
        Runbook::parse_with(source, find, kinds).ok().map(|(runbook, _)| runbook)
    })
}

/// Has a text parsed with what the journal keeps of all that it uses.
fn read<T>(
    text: String,
    (store, history, world): (&Store, &History, &World),
    parse: impl FnOnce(&Source, Find<'_>, FindKind<'_>) -> T,
) -> T {
    let source = Source::begun(history.path.clone(), text);
    let find = |name: &str, from: &Source| {
        let used = history.used(&from.path, name);
        let found = used.and_then(|(path, digest)| {
            store.text(digest).ok().flatten().map(|text| Source::begun(path, text))
        });
        found.ok_or_else(|| format!("the journal has lost the runbook `{name}`"))
    };
    let kinds = |name: &str, _: &Source| {
        let Some(kept) = history.uses.get(&super::super::run::kind(name)) else {
            return Ok(Sought::Nowhere(None));
        };
        let text = store.text(kept).ok().flatten();
        let plugin = text.and_then(|text| plugins::kept(name, &text, world));
        let title = format!("the journal has lost what the kind `{name}` is");
        plugin.map(Sought::There).ok_or(Refused { title, help: Vec::new() })
    };
    parse(&source, &find, &kinds)
}

/// Whether there is nothing that the run could go on with, whatever the file.
fn ended(history: &History) -> bool {
    history.undoing() || history.outcome == Some(Outcome::Done)
}

/// Says that the text a run began with is one that this version of the program refuses.
fn refused_text(history: &History, run: &str) {
    out::error(&format!(
        "this version of `runbook` refuses the text that run `{run}` began with; nothing was done"
    ));
    let path = &history.path;
    if !ended(history) {
        out::hint(&format!(
            "mend that in {path} as it is now, then `runbook resume {run} --updated` goes on with it"
        ));
    }
    out::hint(&format!(
        "`runbook undo {run}` of the version it began with takes it back; `runbook log {run}` shows what it did"
    ));
}

/// The surroundings in which a run goes on: what is relative in its file starts where it began,
/// wherever the person stands now.
fn began_in(history: &History, run: &str, mut world: World) -> World {
    let folder = PathBuf::from(&history.folder);
    if folder.is_absolute() && folder != world.cwd {
        out::say(&format!("note: run `{run}` goes on in {}, where it began", folder.display()));
        world.cwd = folder;
    }
    world
}
