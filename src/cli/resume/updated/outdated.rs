//! What an earlier version of the file did that the file, as it is now, would take back wrongly: its
//! undo, or what that reads, says another thing by now.

use super::super::versions::{Change, Pair, Reads, Versions};
use crate::journal::names::{earlier, inward, part};
use crate::plan::{History, Status};
use crate::runbook::StepDef;
use crate::step::connection::named;

/// All of that which a step did, with its items, the steps inside and what it did before it was done
/// again, by its name in the journal; `to` is the name it has from now on.
pub(super) fn outdated(
    history: &History,
    versions: &Versions<'_>,
    (from, to): (&str, &str),
) -> Vec<String> {
    let mine = |id: &str| part(id, from).is_some() || earlier(id).is_some_and(|of| of == from);
    let made = |id: &str| match history.status(id) {
        Status::Done(done) => done.effect.is_some() && done.how.is_ours(),
        _ => false,
    };
    let named = |id: &str| match id.strip_prefix(from) {
        Some(rest) => format!("{to}{rest}"),
        None => id.to_owned(),
    };
    let all = history.touched_below("").into_iter();
    let all = all.filter(|id| mine(id) && made(id)).map(|id| (named(&id), id));
    all.filter(|(now, id)| differs(versions, id, now)).map(|(now, _)| now).collect()
}

/// Whether a step does another thing in the new file, and what takes it back is another thing, too.
fn differs(versions: &Versions<'_>, from: &str, to: &str) -> bool {
    let edited = matches!(versions.deed(from), Some(Change::Edited | Change::Reads(_)));
    if versions.unread.is_some() {
        return edited;
    }
    let ((own, inner), (own_now, inner_now)) = (inward(from), inward(to));
    let steps = (versions.old.step(own), versions.new.step(own_now));
    let (Some(old), Some(new)) = steps else { return false };
    let pair = (old, new);
    if let (Some(inner), Some(now)) = (inner, inner_now) {
        return versions.inside(pair).is_some_and(|inside| {
            differs(&inside, inner, now) || edited && !undone_alike(&inside, inner, now)
        });
    }
    let renamed = from != to && !versions.reads(pair, Reads::Each).is_empty();
    (edited || renamed) && !versions.only_list(pair) && !same_undo(versions, pair)
}

/// Whether a step inside is taken back by the same call in both versions.
fn undone_alike(versions: &Versions<'_>, from: &str, to: &str) -> bool {
    let ((own, inner), (own_now, inner_now)) = (inward(from), inward(to));
    let steps = (versions.old.step(own), versions.new.step(own_now));
    let (Some(old), Some(new)) = steps else { return true };
    if let (Some(inner), Some(now)) = (inner, inner_now) {
        let inside = versions.inside((old, new));
        return inside.is_some_and(|inside| undone_alike(&inside, inner, now));
    }
    same_undo(versions, (old, new))
}

/// Whether the undo is the same, and all that it reads; what the run saved and what it was given it
/// knows by itself. What a kind takes back by itself it does by what is said of it.
fn same_undo(versions: &Versions<'_>, pair: Pair<'_>) -> bool {
    let (was, is) = match (&pair.0.undo, &pair.1.undo) {
        (Some(was), Some(is)) => (was, is),
        (None, None) => {
            return pair.0.kind == pair.1.kind
                && !versions.key(pair, &pair.1.kind)
                && versions.reads(pair, Reads::Each).is_empty();
        }
        _ => return false,
    };
    if versions.key(pair, "undo") || was.nested().is_some() || is.nested().is_some() {
        return false;
    }
    let shared = [versions.old, versions.new].into_iter().flat_map(|runbook| {
        let used = is.connection().and_then(|name| named(&runbook.connections, name));
        used.iter().flat_map(|there| there.reads()).collect::<Vec<_>>()
    });
    let reads = pair.1.uses.undo.iter().map(|read| &*read.name);
    was.connection() == is.connection()
        && is.connection().is_none_or(|name| !versions.leads_elsewhere(name))
        && reads.chain(shared).all(|name| same(versions, pair, name))
}

/// Whether a name that an undo reads means the same in both versions.
fn same(versions: &Versions<'_>, pair: Pair<'_>, name: &str) -> bool {
    if versions.var(name) {
        return false;
    }
    if let Some(var) = versions.new.vars.iter().find(|var| var.name == name) {
        return var.value.reads().iter().all(|read| same(versions, pair, read));
    }
    // what is given to a runbook that is used may be edited where it is given
    let given =
        !versions.prefix.is_empty() && versions.new.inputs.iter().any(|own| own.name == name);
    !given || reads(pair.1, name) && versions.reads(pair, Reads::Each).is_empty()
}

/// Whether a step reads a name when it is performed.
fn reads(step: &StepDef, name: &str) -> bool {
    step.uses.before.iter().chain(&step.uses.after).any(|read| read.name == name)
}
