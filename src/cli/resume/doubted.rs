//! Steps in doubt that an edit takes away or makes other steps of. Walked with the edited file they
//! would be done as if they never had been.

use super::super::out;
use super::Args;
use super::versions::{Change, Versions};
use crate::exit::Exit;
use crate::journal::names::outermost;
use crate::plan::{History, Status};
use crate::printable::flag;
use crate::reader::list;
use crate::runbook::StepDef;

/// Refuses the edited file while a step is in doubt that does something else in it, unless this
/// command decides it.
pub(super) fn settled(
    versions: &Versions<'_>,
    history: &History,
    args: &Args,
    run: &str,
) -> Result<(), Exit> {
    let doubtful = |id: &String| matches!(history.status(id), Status::InDoubt { .. });
    let mut open = history.touched_below("");
    open.retain(doubtful);
    let mut changed: Vec<(String, Change)> = Vec::new();
    for id in open {
        let Some(change) = versions.deed(&id) else { continue };
        let there = matches!(change, Change::Edited | Change::Reads(_));
        if !(there && (args.redo.contains(&id) || args.done.contains(&id))) {
            changed.push((id, change));
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    out::error("the file was edited where this run is in doubt:");
    for (id, change) in &changed {
        out::say(&format!("  {id}  may or may not have happened, and {}", what(change)));
    }
    hints(&changed, (versions, history), args, run);
    Err(Exit::Usage)
}

/// An edit in words, behind a step.
fn what(change: &Change) -> String {
    match change {
        Change::Edited => "was edited since".to_owned(),
        Change::Reads(names) => super::questions::reads_edited(names),
        Change::Reshaped(way) => format!("is to be done {way} now"),
        Change::Renamed(now) => format!("has another name in the file: `{now}` reads like it"),
        Change::Gone => "is gone from the file".to_owned(),
    }
}

/// The commands that decide them. What is in the edited file can be decided with it; the rest only
/// with the file that the run has, which goes no farther by that.
fn hints(
    changed: &[(String, Change)],
    (versions, history): (&Versions<'_>, &History),
    args: &Args,
    run: &str,
) {
    let there =
        changed.iter().all(|(_, change)| matches!(change, Change::Edited | Change::Reads(_)));
    let all: Vec<&str> = changed.iter().map(|(id, _)| id.as_str()).collect();
    if there {
        decided(&all, &format!("{run} --updated"), &flag("until", args.walk.until.as_deref()));
        out::hint("or put the step back as it was; nothing was done");
        return;
    }
    if versions.unread.is_some() {
        out::hint("put the step back as it was, with its name; nothing was done");
        decided(&all, &format!("{run} --updated"), "");
        return;
    }
    let first = versions.old.steps.iter().find(|step| !history.settled(&step.id));
    let until = flag("until", first.map(|step| step.id.as_str()));
    let looks =
        |id: &&str| versions.old.performed(id).is_some_and(|(_, def)| def.already.is_some());
    let (looked, guessed): (Vec<&str>, Vec<&str>) = all.into_iter().partition(looks);
    if !looked.is_empty() {
        let behind = flag("until", behind(versions, &looked));
        out::hint(&format!(
            "`runbook resume {run}{behind}` looks whether {} happened, and does what did not",
            list(&looked)
        ));
    }
    if !guessed.is_empty() {
        decided(&guessed, run, &until);
    }
    out::hint(&format!(
        "that decides it with the file as it was, and does no more; then `runbook resume {run} --updated`, or put the step back; nothing was done"
    ));
}

/// The step of the old file behind all that some are or are parts of, if there is one.
fn behind<'v>(versions: &'v Versions<'_>, parts: &[&str]) -> Option<&'v str> {
    let old = &versions.old.steps;
    let there = |step: &StepDef| parts.iter().any(|part| outermost(part) == step.id);
    let last = old.iter().rposition(there)?;
    old.get(last + 1).map(|step| step.id.as_str())
}

/// The two commands with which a person decides.
fn decided(steps: &[&str], run: &str, until: &str) {
    let flags = |name: &str| steps.iter().map(|id| flag(name, Some(id))).collect::<String>();
    let it = if steps.len() == 1 { "it" } else { "they" };
    out::hint(&format!("if {it} happened, `runbook resume {run}{}{until}`", flags("done")));
    out::hint(&format!("if {it} did not, `runbook resume {run}{}{until}`", flags("redo")));
}
