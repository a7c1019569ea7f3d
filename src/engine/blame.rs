//! Failures of which a wrong input may be the cause. A run keeps its inputs, so to mend that and to
//! resume would fail the same way.

use super::Engine;
use super::frame::Unit;
use crate::journal::event::{Failure, PLAN, Skip};
use crate::plan::Status;
use crate::printable::{argument, flag};
use crate::reader::list;
use crate::runbook::{Runbook, StepDef};
use crate::step::retry::Cause;
use crate::step::{Again, Gate, Touch, Trouble, judge};
use crate::template::Template;

impl Engine<'_> {
    /// What to do about a failure if the service refuses what is asked with an input, or if the step
    /// is a gate on one.
    pub(super) fn blamed(
        &self,
        unit: &Unit<'_>,
        failure: &Failure,
        again: &Again,
    ) -> Option<String> {
        if unreached(again) {
            return self.misled(unit);
        }
        if matches!(again, Again::Call(refusal) if refusal.cause.blames_caller()) {
            return self.unknown(unit);
        }
        let uses = [&unit.step.uses.list, &unit.step.uses.before].into_iter().flatten();
        let blamed = match again {
            Again::Call(refusal) if !failure.doubt && refusal.cause.blames_request() => {
                any_input(unit.runbook, uses.map(|read| read.name.as_str()))
            }
            Again::No => unit.step.action.gate().is_some_and(|gate| on_input(unit, gate)),
            _ => false,
        };
        let answered = || {
            let gate = unit.step.action.gate().filter(|_| matches!(again, Again::No))?;
            self.answered_before(unit, gate)
        };
        if blamed { self.anew() } else { answered() }
    }

    /// Where nobody was reached at an address that is made from inputs: how to go on with others. Those of a
    /// used runbook are not for a person to give.
    fn misled(&self, unit: &Unit<'_>) -> Option<String> {
        if !std::ptr::eq(unit.runbook, self.runbook) {
            return None;
        }
        let addresses = addresses(unit);
        let reads = addresses.iter().flat_map(|address| address.reads());
        let names = made_from(unit.runbook, reads.map(|read| read.name.as_str()).collect());
        let inputs: Vec<&str> = unit
            .runbook
            .inputs
            .iter()
            .filter(|input| !input.secret)
            .map(|input| &*input.name)
            .filter(|name| names.contains(name))
            .collect();
        match inputs.as_slice() {
            [] => None,
            [one] => self.begin_anew(&format!("`{one}`")),
            all => self.begin_anew(&format!("one of {}", list(all))),
        }
    }

    /// Where a service does not know who calls: how to go on with another token. The sources of tokens are
    /// read again when a run is resumed.
    fn unknown(&self, unit: &Unit<'_>) -> Option<String> {
        let history = self.history.borrow();
        if !std::ptr::eq(unit.runbook, self.runbook) || history.rehearsal {
            return None;
        }
        let used = unit.step.action.connection()?;
        let used = unit.runbook.connections.iter().find(|one| one.name == used)?;
        let names = made_from(unit.runbook, used.reads());
        let token = unit.runbook.renewable().find(|input| names.contains(&&*input.name))?;
        let name = &token.name;
        if token.from.is_empty() || history.given.contains_key(name) {
            return self.begin_anew(&format!("`{name}`"));
        }
        let places: Vec<String> = token.from.iter().map(|from| from.words(&unit.scope)).collect();
        Some(format!(
            "if `{name}` is wrong, put another where it is looked for again: {}",
            places.join(", or ")
        ))
    }

    /// The failure of a step's gates, with the same.
    pub(super) fn gate_failed(&self, unit: &Unit<'_>, mut failure: Failure) -> Trouble {
        let fails = |gate: &&Gate| judge([*gate], &unit.scope, &self.services.redactor).is_err();
        let failed = unit.step.gates.iter().find(fails);
        match failed {
            Some(gate) if on_input(unit, gate) => failure.hints.extend(self.anew()),
            Some(gate) => failure.hints.extend(self.answered_before(unit, gate)),
            None => {}
        }
        Trouble::Failed(failure, Again::No)
    }

    /// Where a gate is on what a person answered: how to have that asked again.
    fn answered_before(&self, unit: &Unit<'_>, gate: &Gate) -> Option<String> {
        let history = self.history.borrow();
        if history.rehearsal {
            return None;
        }
        let start = unit.id.rfind('/').map_or("", |slash| &unit.id[..=slash]);
        let asks = |name: &str, step: &&StepDef| {
            step.action.asks() && step.saves.iter().any(|save| save.name == name)
        };
        let asked = gate.that().reads().iter().find_map(|read| {
            let step = unit.runbook.steps.iter().find(|step| asks(&read.name, step))?;
            let id = format!("{start}{}", step.id);
            matches!(history.status(&id), Status::Done(_)).then_some(id)
        })?;
        let command = self.resumed(&format!("--redo {}", argument(&asked)));
        Some(format!("`{asked}` stays as it was answered: `{command}` asks it again"))
    }

    /// Where a failure comes from a step that a person skipped: how to have that done.
    pub(super) fn skipped_before(&self, unit: &Unit<'_>, failure: &Failure) -> Option<String> {
        let history = self.history.borrow();
        if history.rehearsal {
            return None;
        }
        let start = unit.id.rfind('/').map_or("", |slash| &unit.id[..=slash]);
        let saves = |step: &StepDef, name: &str| step.saves.iter().any(|save| save.name == name);
        let given = |name: &String| {
            let step = unit.runbook.steps.iter().find(|step| saves(step, name))?;
            let id = format!("{start}{}", step.id);
            let skipped = matches!(history.status(&id), Status::Skipped(Skip::Person(_)));
            skipped.then(|| (name.clone(), id))
        };
        let missing = |name: &&String| !unit.scope.has(name) && failure.message.contains(&***name);
        let (name, id) = unit.step.reads.iter().filter(missing).find_map(given)?;
        let command = self.resumed(&format!("--redo {}", argument(&id)));
        Some(format!("`{name}` comes from `{id}`, which was skipped: `{command}` does it"))
    }

    /// How to go on with other inputs; nothing where nothing is kept.
    pub(super) fn anew(&self) -> Option<String> {
        self.begin_anew("one of them")
    }

    fn begin_anew(&self, wrong: &str) -> Option<String> {
        let (history, run) = (self.history.borrow(), self.recorder.run());
        if history.rehearsal || run == PLAN {
            return None;
        }
        let undo =
            if history.changed() { format!("`runbook undo {run}`, then ") } else { String::new() };
        let (name, until) = (history.command_name(&self.services.world.here), self.up_to());
        let name = argument(&name);
        Some(format!(
            "a run keeps its inputs: if {wrong} is wrong, {undo}begin anew with `runbook run {name}{until}`"
        ))
    }

    /// An author cannot know what the run is called that is to be taken back, and there may be several.
    pub(super) fn name_run(&self, hint: &mut String) {
        const NAMELESS: &str = "`runbook undo`";
        if !self.history.borrow().rehearsal && self.recorder.run() != PLAN {
            let named = format!("`runbook undo {}`", self.recorder.run());
            *hint = hint.replace(NAMELESS, &named);
        }
    }

    /// The flag that keeps a command from doing more than was wanted of this walk.
    pub(super) fn up_to(&self) -> String {
        flag("until", self.options.until.as_deref())
    }
}

/// Whether nobody was there at all: the host, or the service.
fn unreached(again: &Again) -> bool {
    match again {
        Again::NoWay { .. } => true,
        Again::Call(refusal) => refusal.definite && refusal.cause == Cause::Connection,
        _ => false,
    }
}

/// Where a step goes: the base of its connection, and hosts.
fn addresses<'s>(unit: &Unit<'s>) -> Vec<&'s Template> {
    let name = unit.step.action.connection();
    let used = name.and_then(|name| unit.runbook.connections.iter().find(|one| one.name == name));
    let shared = used.into_iter().flat_map(|one| [Some(one.base_template()), one.ssh_template()]);
    let touched = unit.step.action.touches().into_iter().map(|touch| match touch {
        Touch::Runs(runs) => runs.on,
        _ => None,
    });
    shared.chain(touched).flatten().collect()
}

/// These names, and all that vars among them are made from.
fn made_from<'r>(runbook: &'r Runbook, mut names: Vec<&'r str>) -> Vec<&'r str> {
    let mut at = 0;
    while let Some(name) = names.get(at) {
        let var = runbook.vars.iter().find(|var| var.name == *name);
        let uses = var.iter().flat_map(|var| &var.uses).map(|read| read.name.as_str());
        let new: Vec<&str> = uses.filter(|read| !names.contains(read)).collect();
        names.extend(new);
        at += 1;
    }
    names
}

fn on_input(unit: &Unit<'_>, gate: &Gate) -> bool {
    any_input(unit.runbook, gate.that().reads().iter().map(|read| read.name.as_str()))
}

/// Whether any of these names is an input that is no secret, or a var that is made of one.
fn any_input<'n>(runbook: &Runbook, mut names: impl Iterator<Item = &'n str>) -> bool {
    let inputs = runbook.inputs.iter().filter(|input| !input.secret);
    let mut made: Vec<&str> = inputs.map(|input| input.name.as_str()).collect();
    for var in &runbook.vars {
        if var.uses.iter().any(|read| made.contains(&read.name.as_str())) {
            made.push(&var.name);
        }
    }
    names.any(|name| made.contains(&name))
}
