//! `key`: the key that seals secrets: which it is, a new one, and old ones that may go.

use super::{out, state};
use crate::exit::Exit;
use crate::journal::seal::{Key, KeyError, sealed_by};
use crate::journal::store::{Holder, RunFilter, Store, StoreError, busy};
use crate::world::World;

/// Change the key that seals secrets in the history
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show where the key is and what it is called
    Show,
    /// Use a new key from here on; what older ones sealed still opens
    Rotate,
    /// Take out old keys that no run in the history needs
    Prune,
}

pub(super) fn run(args: &Args, world: &World) -> Exit {
    let done = match args.what {
        What::Show => show(world),
        What::Rotate => rotate(world),
        What::Prune => prune(world),
    };
    done.map_or_else(|exit| exit, |()| Exit::Done)
}

fn show(world: &World) -> Result<(), Exit> {
    let (path, _) = state::key_file(world);
    let key = Key::load(&path).map_err(|error| state::no_key(&error))?;
    out::print(&format!("{}  {}\n", key.name(), path.display()));
    for name in key.retired() {
        out::print(&format!("{name}  retired, opens what it sealed\n"));
    }
    Ok(())
}

fn rotate(world: &World) -> Result<(), Exit> {
    let (path, _) = state::key_file(world);
    let key = Key::rotate(&path).map_err(|error| state::no_key(&error))?;
    out::say(&format!("`{}` seals from here on; what was sealed before still opens", key.name()));
    out::hint(
        "if the old key may be known to others, `runbook forget` the runs it sealed, then `runbook key prune`",
    );
    Ok(())
}

fn prune(world: &World) -> Result<(), Exit> {
    let store = state::existing(world)?;
    let (path, _) = state::key_file(world);
    let needed = || -> Result<Vec<String>, Refused> {
        let Some(store) = &store else { return Ok(Vec::new()) };
        // a run that began with an old key seals with it to its end
        if let Some(holder) = busy(&world.state_dir())? {
            return Err(Refused::Busy(holder));
        }
        Ok(needed(store)?)
    };
    let gone = Key::prune(&path, needed).map_err(|refused| match refused {
        Refused::Key(error) => state::no_key(&error),
        Refused::Store(error) => state::refused(&error),
        Refused::Busy(holder) => {
            out::error(&format!(
                "a run is under way, by {holder}: it may seal with an old key yet"
            ));
            out::hint("when it has ended, `runbook key prune` again; nothing was taken out");
            Exit::Failed
        }
    })?;
    out::say(&format!("{gone} old {} taken out", if gone == 1 { "key" } else { "keys" }));
    Ok(())
}

/// Why no key is taken out.
enum Refused {
    Key(KeyError),
    Store(StoreError),
    Busy(Holder),
}

impl From<KeyError> for Refused {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The names of all keys that sealed something in the history.
fn needed(store: &Store) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for run in store.runs(&RunFilter::default())? {
        for entry in store.entries(&run.run)? {
            names.extend(entry.event.sealed().iter().filter_map(|one| sealed_by(one.text)));
        }
        names.sort_unstable();
        names.dedup();
    }
    Ok(names)
}
