//! What a run was given and what its steps save, opened and sealed with the run's key.

use std::collections::BTreeMap;

use super::super::{out, state};
use crate::exit::Exit;
use crate::journal::event::{Stored, StoredMap};
use crate::journal::seal::Key;
use crate::plan::History;
use crate::runbook::Runbook;
use crate::runbook::settle::renewed;
use crate::scope::Scope;
use crate::value::{Json, Labeled};
use crate::world::World;

/// The inputs a run was given, opened.
pub(in super::super) fn inputs(history: &History, run: &str, key: &Key) -> Result<Scope, Exit> {
    let known = Scope::default();
    for (name, stored) in &history.inputs {
        known.set(name, open(key, &format!("{run}/input/{name}"), stored)?);
    }
    Ok(known)
}

/// Values that a service took no longer, by input.
pub(in super::super) fn refused(
    history: &History,
    run: &str,
    key: &Key,
) -> Result<BTreeMap<String, Vec<Json>>, Exit> {
    let mut refused = BTreeMap::new();
    for (name, values) in &history.refused {
        let label = format!("{run}/input/{name}");
        let values = values.iter().map(|stored| Ok(open(key, &label, stored)?.json));
        refused.insert(name.clone(), values.collect::<Result<Vec<_>, Exit>>()?);
    }
    Ok(refused)
}

/// Tokens whose sources give another value by now. A rehearsal takes none from the person.
pub(in super::super) fn renewed_inputs(
    runbook: &Runbook,
    (history, run, key): (&History, &str, &Key),
    given: &Scope,
    world: &World,
) -> Result<Vec<(String, Labeled)>, Exit> {
    if history.rehearsal {
        return Ok(Vec::new());
    }
    let instead: Vec<String> = history.given.keys().cloned().collect();
    let renewed = renewed(runbook, given, &refused(history, run, key)?, &instead, world);
    for (name, _) in &renewed {
        say_renewed(name);
    }
    Ok(renewed)
}

/// Says that an input has another value than the run was given.
pub(in super::super) fn say_renewed(name: &str) {
    out::say(&format!("note: input `{name}` has a new value by now: it is used from here on"));
}

/// Inputs as the journal keeps them.
pub(in super::super) fn sealed_inputs(
    run: &str,
    key: &Key,
    values: Vec<(String, Labeled)>,
) -> Result<StoredMap, Exit> {
    let sealed = |(name, value): (String, Labeled)| {
        let stored = seal(key, &format!("{run}/input/{name}"), &value)?;
        Ok((name, stored))
    };
    values.into_iter().map(sealed).collect()
}

pub(super) fn open(key: &Key, label: &str, stored: &Stored) -> Result<Labeled, Exit> {
    match stored {
        Stored::Plain(json) => Ok(Labeled::plain(json.clone())),
        Stored::Sealed(text) => {
            key.open(label, text).map(Labeled::secret).map_err(|error| state::unreadable(&error))
        }
    }
}

pub(super) fn seal(key: &Key, label: &str, value: &Labeled) -> Result<Stored, Exit> {
    if !value.secret {
        return Ok(Stored::Plain(value.json.clone()));
    }
    key.seal(label, &value.json).map(Stored::Sealed).map_err(|error| {
        out::error(&error.to_string());
        Exit::Failed
    })
}
