//! Values that cannot be what a step takes them for, told by their types and names alone.

use super::parse::Draft;
use super::{Input, Runbook, StepDef};
use crate::diag::Diag;
use crate::reader::{Gather, list};

/// Reports them.
pub(super) fn check(gather: &Gather<'_>, draft: &Draft) {
    for step in &draft.steps {
        items(gather, &draft.inputs, step);
        inside(gather, step);
    }
}

/// Items come from a list: an input of another type is none.
fn items(gather: &Gather<'_>, inputs: &[Input], step: &StepDef) {
    let Some(each) = &step.for_each else { return };
    let whole = each.list.source().trim();
    let Some(input) = inputs.iter().find(|input| input.name == whole) else { return };
    let read = step.uses.list.iter().find(|read| read.name == whole);
    if let (Some(read), false) = (read, input.typed.name == "list") {
        let is = crate::typed::described(input.typed.name);
        let title = format!("`for_each` needs a list, and `{whole}` is {is}");
        let diag = Diag::error(title, read.span(gather.source));
        let diag = diag.related(input.span.clone(), "the input");
        gather.report_since(diag.help("give the input the type: `type = \"list\"`"));
    }
}

/// What is saved from a used runbook is what its steps save.
fn inside(gather: &Gather<'_>, step: &StepDef) {
    let nested = step.action.nested();
    let Some(used) = nested.and_then(|nested| nested.runbook.downcast_ref::<Runbook>()) else {
        return;
    };
    let saves = || used.steps.iter().flat_map(|step| &step.saves).map(|save| save.name.as_str());
    for save in &step.saves {
        let code = save.program.map(|program| gather.code(program)).unwrap_or_default();
        let Some(name) = code.trim().strip_prefix('.').filter(|name| super::step::is_name(name))
        else {
            continue;
        };
        if saves().any(|known| known == name) {
            continue;
        }
        let title = format!("`{}` saves no `{name}`", used.name);
        let diag = Diag::error(title, save.span.clone()).suggest(name, saves());
        let names: Vec<&str> = saves().collect();
        gather.report_since(match names.as_slice() {
            [] => diag.help("it saves nothing"),
            names => diag.help(format!("it saves {}", list(names))),
        });
    }
}
