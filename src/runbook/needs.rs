//! What others need of a step that a person did in its place.

use super::{Runbook, StepDef};

impl Runbook {
    /// The values that the step a journal calls so would have saved and something else reads: where
    /// it was done by hand, a person must give them.
    pub fn needs(&self, id: &str) -> Vec<&str> {
        let Some((runbook, step)) = self.performed(id) else { return Vec::new() };
        let outside = id.rsplit_once('/').and_then(|(outer, _)| self.performed(outer));
        // What is done after a failure gives nothing to other steps.
        let again = id.split('/').next().is_some_and(|own| own.contains('@'));
        let needed = |name: &&str| {
            !again && read_later(name, step, runbook)
                || outside.is_some_and(|(runbook, using)| read_by(name, using, runbook))
        };
        step.saves.iter().map(|save| save.name.as_str()).filter(needed).collect()
    }
}

/// Whether the step that uses this runbook reads the value out of it, by the look of its programs.
fn read_by(name: &str, using: &StepDef, runbook: &Runbook) -> bool {
    let programs = using.saves.iter().filter_map(|save| save.program);
    let mut words = programs.flat_map(|program| {
        let code = runbook.programs.code(program);
        code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
    });
    words.any(|word| word == name)
}

fn read_later(name: &str, step: &StepDef, runbook: &Runbook) -> bool {
    let later = runbook.steps.iter().skip_while(|known| known.id != step.id).skip(1);
    step.gates.iter().any(|gate| gate.that().reads().iter().any(|read| read.name == name))
        || later.into_iter().any(|step| step.reads.iter().any(|read| read == name))
}
