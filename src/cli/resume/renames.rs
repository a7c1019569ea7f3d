//! Which steps of an edited file are steps that a run did under other names.

use super::questions::stands;
use crate::journal::names::part;
use crate::plan::{History, Status};

/// A step as either file has it: its id, and the digest of its keys.
pub(super) type Known<'a> = (&'a str, &'a str);

/// The renamed steps of one runbook, by what they are called now and what they were called.
pub(super) struct Renames<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Renames<'a> {
    /// Finds the steps that read like what stands in the journal under another name. That name is gone
    /// from the file, or is another step's by now. `prefix` stands before all of them in the journal.
    pub(super) fn find(
        history: &History,
        prefix: &str,
        old: &[Known<'a>],
        new: &[Known<'a>],
    ) -> Self {
        let skipped =
            |id: &str| matches!(history.status(&format!("{prefix}{id}")), Status::Skipped(_));
        let same = |id: &str| digest(old, id).is_some() && digest(old, id) == digest(new, id);
        let gone = |id: &str| digest(new, id).is_none();
        let stood = |(id, _): &&Known<'_>| {
            let stands = stands(history, &format!("{prefix}{id}")).is_some();
            // what was skipped did nothing, so that nothing of it is in the way of its name
            stands && !same(id) && (gone(id) || !skipped(id))
        };
        let mut sources: Vec<&Known<'_>> = old.iter().filter(stood).collect();
        sources.sort_by_key(|(id, _)| !gone(id));
        let mut found = Vec::new();
        for (now, digest) in new.iter().filter(|(id, _)| !same(id)) {
            if let Some(at) = sources.iter().position(|(_, of)| of == digest) {
                found.push((*now, sources.remove(at).0));
            }
        }
        let free = |id: &str| skipped(id) || !begun(history, &format!("{prefix}{id}"));
        Self(possible(found, free))
    }

    /// What a step of the new file was called, if it is renamed.
    pub(super) fn was(&self, now: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| *name == now).map(|(_, was)| *was)
    }

    /// What a step of the old file is called now, if it is renamed.
    pub(super) fn now(&self, was: &str) -> Option<&'a str> {
        self.0.iter().find(|(_, name)| *name == was).map(|(now, _)| *now)
    }
}

/// Those of some pairs whose new name is free, or is left by a step that is renamed too. Names that
/// went round in a circle are not told apart from edited steps.
fn possible<'a>(
    mut found: Vec<(&'a str, &'a str)>,
    free: impl Fn(&str) -> bool,
) -> Vec<(&'a str, &'a str)> {
    loop {
        let left: Vec<&str> = found.iter().map(|(_, was)| *was).collect();
        let before = found.len();
        found.retain(|(now, _)| free(now) || left.contains(now));
        if found.len() == before {
            break;
        }
    }
    let next = |name: &str| found.iter().find(|(_, was)| *was == name).map(|(now, _)| *now);
    let round = |start: &str| {
        let mut at = next(start);
        for _ in 0..found.len() {
            match at {
                Some(name) if name == start => return true,
                Some(name) => at = next(name),
                None => return false,
            }
        }
        false
    };
    found.iter().filter(|(now, _)| !round(now)).copied().collect()
}

fn digest<'a>(steps: &[Known<'a>], id: &str) -> Option<&'a str> {
    steps.iter().find(|(own, _)| *own == id).map(|(_, digest)| *digest)
}

/// Whether a step, or a part of it, is done or in doubt.
fn begun(history: &History, id: &str) -> bool {
    history.touched_below(id).iter().any(|one| part(one, id).is_some())
}
