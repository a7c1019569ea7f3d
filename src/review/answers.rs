//! Keys that jq programs look for and that no answer of the fake has.

use std::time::Duration;

use super::Pack;
use crate::diag::Diag;
use crate::jq::{Lacking, ProgramId, Val, lacking, seeks};
use crate::runbook::{Runbook, StepDef};
use crate::source::place;
use crate::step::Sight;
use crate::testing::{Bench, Case, answers as rehearsed};

/// How long all rehearsals may take. One that takes longer proves nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Keys that a step's programs look for and that are in none of the answers it gets, in a
/// rehearsal as it begins and in any case.
pub fn answers(pack: &Pack<'_>) -> Vec<Diag> {
    let bench = Bench { runbook: pack.runbook, fake: pack.fake, world: pack.world };
    let clock = &pack.world.clock;
    let (began, plain) = (clock.monotonic(), Case::plain());
    let mut all = Answers(Vec::new());
    for case in std::iter::once(&plain).chain(telling(pack.cases)) {
        let left = PATIENCE.saturating_sub(clock.monotonic().saturating_sub(began));
        let Some(more) = rehearsed(&bench, case, left) else { return Vec::new() };
        all.0.extend(more);
        if all.complete(pack.runbook) && suspects(pack.runbook, &all).is_empty() {
            return Vec::new();
        }
    }
    suspects(pack.runbook, &all)
}

/// The cases that may tell of an answer, those that come to their end first: they have the most.
fn telling(cases: &[Case]) -> Vec<&Case> {
    let ends = |case: &&Case| case.end() == "done";
    let begins = |case: &&Case| case.end() != "invalid" && case.faults.is_empty();
    let (mut telling, others): (Vec<_>, Vec<_>) = cases.iter().filter(begins).partition(ends);
    telling.extend(others);
    telling
}

/// What the steps get to read, by their ids.
struct Answers(Vec<(String, Sight, Val)>);

impl Answers {
    fn of(&self, step: &StepDef, sight: Sight) -> Vec<Val> {
        // an item's is `create[3]`
        let own = |id: &str| id.split('[').next() == Some(&*step.id);
        let fits = self.0.iter().filter(|(id, seen, _)| own(id) && *seen == sight);
        fits.map(|(_, _, value)| value.clone()).collect()
    }

    /// Whether each step that looks for keys has had an answer: more of them can only show more.
    fn complete(&self, runbook: &Runbook) -> bool {
        let looks = |program: Option<ProgramId>| {
            program.is_some_and(|program| seeks(runbook.programs.code(program)))
        };
        let mut calling = runbook.steps.iter().filter(|step| {
            step.action.calls().is_some() && step.saves.iter().any(|save| looks(save.program))
        });
        calling.all(|step| !self.of(step, Sight::Answer).is_empty())
    }
}

fn suspects(runbook: &Runbook, answers: &Answers) -> Vec<Diag> {
    let mut found = Vec::new();
    for step in &runbook.steps {
        let mut look = |program: ProgramId, sight: Sight| {
            found.extend(in_program(runbook, step, program, answers.of(step, sight)));
        };
        for program in step.saves.iter().filter_map(|save| save.program) {
            look(program, Sight::Answer);
        }
        let Some(already) = &step.already else { continue };
        look(already.find, Sight::LookUp);
        for field in &already.fields {
            look(field.found, Sight::Found);
        }
    }
    found
}

fn in_program(
    runbook: &Runbook,
    step: &StepDef,
    program: ProgramId,
    values: Vec<Val>,
) -> Vec<Diag> {
    let found = lacking(runbook.programs.code(program), values);
    let literal = runbook.programs.literal(program);
    let warning = |one: Lacking| {
        let title = format!("no answer of the fake to step `{}` has `{}`", step.id, one.key);
        let span = place(&runbook.source, &literal, one.range);
        let there: Vec<&str> = one.there.iter().map(String::as_str).collect();
        let diag = Diag::warning("not-in-answer", title, span).suggest(&one.key, there.clone());
        let diag = if diag.help.is_empty() {
            diag.help(format!("there are: {}", crate::reader::list(&there)))
        } else {
            diag
        };
        diag.help(format!("if the service may leave it out, say so: `.{}?` or `// null`", one.key))
    };
    found.into_iter().map(warning).collect()
}
