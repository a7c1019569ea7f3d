//! The state folder: the journal and the key, opened when first needed.

use std::path::PathBuf;

use super::out;
use crate::exit::Exit;
use crate::journal::event::Outcome;
use crate::journal::seal::{Key, KeyError};
use crate::journal::store::{RunSummary, Store, StoreError};
use crate::world::World;

/// The journal, made if it is not there.
pub(super) fn store(world: &World) -> Result<Store, Exit> {
    let store = Store::open(&world.state_dir()).map_err(|error| refused(&error))?;
    warn(&store);
    Ok(store)
}

/// The journal, if there is one.
pub(super) fn existing(world: &World) -> Result<Option<Store>, Exit> {
    let store = Store::open_existing(&world.state_dir()).map_err(|error| refused(&error))?;
    store.iter().for_each(warn);
    Ok(store)
}

/// Says what is wrong with the journal.
pub(super) fn refused(error: &StoreError) -> Exit {
    out::error(&error.to_string());
    out::hint(&error.hint());
    Exit::Failed
}

/// Says what is too open about the state folder, with the command that mends it.
fn warn(store: &Store) {
    store.warnings().iter().for_each(|warning| out::warning(warning));
}

/// Names the key's file, in place of the one in the state folder.
const KEY_FILE: &str = "RUNBOOK_KEY_FILE";

/// Where the key is, and whether the person said so.
pub(super) fn key_file(world: &World) -> (PathBuf, bool) {
    match world.var(KEY_FILE).filter(|path| !path.is_empty()) {
        Some(path) => (world.cwd.join(world.expand_home(path)), true),
        None => (world.state_dir().join("key"), false),
    }
}

/// The key that seals secrets, made at first use. One that the person names must be there.
pub(super) fn key(world: &World) -> Result<Key, Exit> {
    let (path, named) = key_file(world);
    let key = if named { Key::load(&path) } else { Key::load_or_create(&path) };
    key.map_err(|error| no_key(&error))
}

/// A key for what is kept nowhere.
pub(super) fn passing_key() -> Result<Key, Exit> {
    Key::random().map_err(|error| {
        out::error(&error.to_string());
        Exit::Failed
    })
}

/// Says why there is no key.
pub(super) fn no_key(error: &KeyError) -> Exit {
    out::error(&error.to_string());
    out::hint(&error.hint());
    Exit::Failed
}

const KEY_HINT: &str = "name the right key in `RUNBOOK_KEY_FILE`, or put it back from a copy of the state \
                        folder; without it a run's secrets cannot be read, and it must be \
                        finished by hand";

/// Says that a secret in the journal cannot be read.
pub(super) fn unreadable(error: &impl std::fmt::Display) -> Exit {
    out::error(&error.to_string());
    out::hint(KEY_HINT);
    Exit::Failed
}

/// A run by its whole name.
pub(super) fn find(store: &Store, run: &str) -> Result<String, Exit> {
    store.known(run).map(|()| run.to_owned()).map_err(|error| match error {
        StoreError::UnknownRun { .. } => {
            refused(&error);
            Exit::Usage
        }
        other => refused(&other),
    })
}

/// Whether a run is done, or taken back.
pub(super) fn over(run: &RunSummary) -> bool {
    matches!(run.outcome, Some(Outcome::Done | Outcome::Undone))
}
