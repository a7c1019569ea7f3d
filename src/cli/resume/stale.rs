//! Steps that used what a step gave before it is done again.
//!
//! They are done, so the walk leaves them as they are. That may be what is wanted: it is said,
//! with the command that has them done again too.

use super::super::out;
use crate::journal::event::{Effect, Skip};
use crate::journal::names::outermost;
use crate::plan::{History, Status, Was};
use crate::printable::{argument, flag};
use crate::reader::{Use, list};
use crate::runbook::{BELOW, Runbook, StepDef};

/// So many are named in a command to copy.
const NAMED: usize = 20;

/// Names the steps that keep what they did with values of the steps that are done again.
pub(super) fn tell(
    runbook: &Runbook,
    history: &History,
    again: &[&String],
    run: &str,
    until: Option<&str>,
) {
    let mut found = Vec::new();
    // where it was skipped by hand, what stands behind it was done with nothing
    let done = |step: &&&String| {
        matches!(history.status(step), Status::Done(_) | Status::Skipped(Skip::Person(_)))
    };
    for step in again.iter().filter(done) {
        later(runbook, history, step, &mut found);
    }
    found.retain(|step| !again.contains(&step));
    if found.is_empty() {
        return;
    }
    let those: Vec<&str> = again.iter().map(|step| step.as_str()).collect();
    let names: Vec<&str> = found.iter().take(NAMED).map(String::as_str).collect();
    let (names, more) = (list(&names), found.len().saturating_sub(NAMED));
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (stay, them) = if found.len() == 1 { ("stays", "it") } else { ("stay", "them") };
    out::say(&format!("note: {names}{more} {stay} as done with what {} gave before", list(&those)));
    let before =
        |until: &&str| found.iter().all(|step| place(runbook, step) < place(runbook, until));
    let until = flag("until", until.filter(before));
    out::hint(&if found.len() > NAMED {
        format!("`runbook resume {run} --redo STEP{until}` afterwards does one of them again too")
    } else {
        let flags = found.iter().map(|step| format!(" --redo {}", argument(step)));
        let flags = flags.collect::<String>();
        format!("`runbook resume {run}{flags}{until}` afterwards does {them} again too")
    });
}

/// Whether a name is that of what a step did before it was done again, or of a part of that. A number
/// behind an `always` step is that of a walk which failed.
pub(super) fn earlier(runbook: &Runbook, step: &str) -> bool {
    let ends = step.match_indices('/').map(|(at, _)| at).chain([step.len()]);
    let numbered = |part: &&str| part.rsplit('/').next().is_some_and(|own| own.contains('@'));
    let always = |part: &str| runbook.performed(part).is_some_and(|(_, def)| def.always);
    ends.map(|end| &step[..end]).filter(numbered).any(|part| !always(part))
}

/// Whether a finished step makes another thing when it is done again: as such steps do, as it was edited,
/// or as what it reads is another thing by now, or is done again too.
pub(super) fn makes_another(
    runbook: &Runbook,
    history: &History,
    (id, def): (&str, &StepDef),
    again: &[&String],
) -> bool {
    let made = match history.status(id) {
        Status::Done(done) => done.effect,
        _ => None,
    };
    match made.max(Some(def.effect)) {
        Some(_) if history.outdated(id) => true,
        Some(Effect::Once) => true,
        Some(Effect::Repeatable) => {
            let mut found = Vec::new();
            for step in again {
                later(runbook, history, step, &mut found);
            }
            for old in history.known_at(history.when(id)) {
                readers(runbook, history, &old.was, &mut found);
            }
            found.iter().any(|step| step == id)
        }
        _ => false,
    }
}

/// The finished steps that read what is another thing by now. A token is none: what it opens stays.
fn readers(runbook: &Runbook, history: &History, was: &Was, found: &mut Vec<String>) {
    match was {
        Was::Saved(step, _) | Was::Skipped(step) => later(runbook, history, step, found),
        Was::Input(name, _) if runbook.token_inputs().contains(&**name) => {}
        Was::Input(name, _) => {
            let mut names = vec![name.as_str()];
            for var in &runbook.vars {
                if var.value.reads().iter().any(|read| names.contains(read)) {
                    names.push(&var.name);
                }
            }
            reading(&runbook.steps, names, (history, ""), found);
        }
    }
}

/// Where a step, or the one it is a part of, stands in the file.
fn place(runbook: &Runbook, id: &str) -> Option<usize> {
    runbook.steps.iter().position(|step| step.id == outermost(id))
}

/// The finished steps behind one that read what it saves, and what is made of that: in its own
/// runbook, and behind each step that uses that.
fn later(runbook: &Runbook, history: &History, id: &str, found: &mut Vec<String>) {
    // what takes a step back is no step of the walk
    if id.contains(&format!("/{BELOW}")) {
        return;
    }
    let parts: Vec<&str> = id.split('/').collect();
    for depth in (0..parts.len()).rev() {
        let above = parts[..depth].join("/");
        let Some(frame) = inside(runbook, &above) else { return };
        let start = if depth == 0 { String::new() } else { above + "/" };
        let own = outermost(parts[depth]);
        let mut steps = frame.steps.iter().skip_while(|step| step.id != own);
        let Some(first) = steps.next() else { return };
        let names: Vec<&str> = saves(first).collect();
        if names.is_empty() {
            return;
        }
        reading(steps, names, (history, &start), found);
    }
}

/// Those of some steps that read names, and what is made of that.
fn reading<'a>(
    steps: impl IntoIterator<Item = &'a StepDef>,
    mut names: Vec<&'a str>,
    (history, start): (&History, &str),
    found: &mut Vec<String>,
) {
    for step in steps {
        if names.iter().any(|name| uses(step, name)) {
            names.extend(saves(step));
            performed(history, &format!("{start}{}", step.id), step, found);
        }
    }
}

/// The runbook in which the steps below an id stand.
fn inside<'a>(runbook: &'a Runbook, above: &str) -> Option<&'a Runbook> {
    if above.is_empty() {
        return Some(runbook);
    }
    let (_, step) = runbook.performed(above)?;
    step.action.nested()?.runbook.downcast_ref()
}

fn saves(step: &StepDef) -> impl Iterator<Item = &str> {
    step.saves.iter().map(|save| save.name.as_str())
}

/// Whether a step reads a name when it is performed, not only when it is taken back.
fn uses(step: &StepDef, name: &str) -> bool {
    let own = &step.uses;
    let forwards = own.list.iter().chain(&own.before).chain(own.saves.iter().flatten());
    let reads = |uses: &Use| uses.name == name;
    let only_back = own.undo.iter().any(reads) && !forwards.chain(&own.after).any(reads);
    step.reads.iter().any(|read| read == name) && !only_back
}

/// What of a step can be done again by its name: the step, or else its items and the steps inside.
fn performed(history: &History, id: &str, step: &StepDef, found: &mut Vec<String>) {
    let done = |id: &str| matches!(history.status(id), Status::Done(_));
    let all = if step.for_each.is_none() && step.action.nested().is_none() {
        vec![id.to_owned()]
    } else {
        let parts = ["[", "/"].map(|mark| history.touched_below(&format!("{id}{mark}")));
        let mut parts = parts.concat();
        let whole = step.action.nested().is_some();
        parts.retain(|part| !(part.contains('@') || whole && part.ends_with(']')));
        parts
    };
    for one in all {
        if done(&one) && !found.contains(&one) {
            found.push(one);
        }
    }
}
