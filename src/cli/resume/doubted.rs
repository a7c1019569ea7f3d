//! Steps in doubt that an edit takes away or makes other steps of. Walked with the edited file they
//! would be done as if they never had been.

use super::super::out;
use super::Args;
use super::versions::{Change, Versions};
use crate::exit::Exit;
use crate::plan::{History, Status};
use crate::printable::{argument, flag};

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
    let (updated, until) = if there {
        (" --updated", args.walk.until.as_deref())
    } else {
        let first = versions.old.steps.iter().find(|step| !history.settled(&step.id));
        ("", first.map(|step| step.id.as_str()))
    };
    let until = flag("until", until);
    let flags = |flag: &str| {
        let one = |(id, _): &(String, Change)| format!(" --{flag} {}", argument(id));
        changed.iter().map(one).collect::<String>()
    };
    let it = if changed.len() == 1 { "it" } else { "they" };
    out::hint(&format!(
        "if {it} happened, `runbook resume {run}{updated}{}{until}`",
        flags("done")
    ));
    out::hint(&format!("if {it} did not, `runbook resume {run}{updated}{}{until}`", flags("redo")));
    out::hint(&if there {
        "or put the step back as it was; nothing was done".to_owned()
    } else {
        format!(
            "that decides it with the file as it was, and does no more; then `runbook resume {run} --updated`, or put the step back; nothing was done"
        )
    });
}
