//! The names in a test file: presets, inputs, states, steps and saved values that must be there.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::DeTable;

use crate::diag::Diag;
use crate::fake::Fake;
use crate::reader::{Gather, Loaded, Reader, Text};
use crate::runbook::Runbook;
use crate::source::{Source, Span};

/// What a test file names that neither the runbook nor its fake has.
pub fn names(tests: &Source, runbook: &Runbook, fake: Option<&Fake>) -> Vec<Diag> {
    let Ok(table) = tests.tables() else { return Vec::new() };
    let none = |_: &str| Err::<Loaded, _>(String::new());
    let gather = Gather::new(tests, &none);
    let reader = Reader::new(&gather, table.get_ref(), &(0..0));
    let known = Known::of(runbook, fake);
    for case in reader.tables("cases") {
        known.case(&case);
    }
    // what is wrong with the file itself, as `gather` has it now, the parser has said already
    known.missing.into_inner()
}

/// Inputs that a fake answers and none of the runbooks beside it has.
pub fn inputs(fake: &Source, runbooks: &[Runbook]) -> Vec<Diag> {
    let Ok(table) = fake.tables() else { return Vec::new() };
    let none = |_: &str| Err::<Loaded, _>(String::new());
    let gather = Gather::new(fake, &none);
    let reader = Reader::new(&gather, table.get_ref(), &(0..0));
    let known: Vec<&str> =
        runbooks.iter().flat_map(|book| &book.inputs).map(|input| input.name.as_str()).collect();
    let unknown = keys(&reader, "inputs").into_iter();
    let unknown = unknown.filter(|(name, _)| !known.contains(&name.as_str()));
    let told = |(name, span): (String, Span)| {
        Diag::error(format!("no runbook beside this has an input `{name}`"), span)
            .suggest(&name, known.iter().copied())
    };
    unknown.map(told).collect()
}

struct Known<'a> {
    runbook: &'a Runbook,
    inputs: Vec<&'a str>,
    presets: Vec<&'a str>,
    steps: Vec<&'a str>,
    saves: Vec<&'a str>,
    states: Option<Vec<String>>,
    /// What none of them has.
    missing: RefCell<Vec<Diag>>,
}

impl<'a> Known<'a> {
    fn of(runbook: &'a Runbook, fake: Option<&Fake>) -> Self {
        let mut saves = Vec::new();
        saved(runbook, &mut saves);
        Self {
            runbook,
            inputs: runbook.inputs.iter().map(|input| input.name.as_str()).collect(),
            presets: runbook.presets.iter().map(|preset| preset.name.as_str()).collect(),
            steps: runbook.steps.iter().map(|step| step.id.as_str()).collect(),
            saves,
            states: fake.map(Fake::states),
            missing: RefCell::default(),
        }
    }

    fn case(&self, case: &Reader<'_>) {
        for preset in case.texts("preset") {
            self.look("preset", &preset.value, &preset.span, &self.presets);
        }
        for (name, span) in keys(case, "inputs") {
            self.look("input", &name, &span, &self.inputs);
        }
        for (step, span) in keys(case, "answers") {
            self.step(&step, &span);
        }
        if let Some(states) = &self.states {
            let states: Vec<&str> = states.iter().map(String::as_str).collect();
            for Text { value, span } in case.texts("state") {
                self.look("state of the fake", &value, &span, &states);
            }
        }
        let Some(expect) = case.table("expect") else { return };
        if let Some(step) = expect.text("step") {
            self.step(&step.value, &step.span);
        }
        for (name, span) in keys(&expect, "saved") {
            self.look("saved value", &name, &span, &self.saves);
        }
    }

    /// Notes a name that is not among those known.
    fn look(&self, what: &str, name: &str, span: &Span, known: &[&str]) {
        if !known.contains(&name) {
            let diag = Diag::error(format!("there is no {what} `{name}`"), span.clone());
            self.missing.borrow_mut().push(diag.suggest(name, known.iter().copied()));
        }
    }

    fn step(&self, id: &str, span: &Span) {
        // `create[3]`, `outer/create`
        if self.runbook.performed(id).is_none() {
            self.look("step", id, span, &self.steps);
        }
    }
}

fn keys(reader: &Reader<'_>, key: &str) -> Vec<(String, Span)> {
    let table = reader.get(key).map(Spanned::get_ref).and_then(|value| value.as_table());
    let keys = table.into_iter().flat_map(DeTable::keys);
    keys.map(|key| (key.get_ref().to_string(), key.span())).collect()
}

fn saved<'a>(runbook: &'a Runbook, names: &mut Vec<&'a str>) {
    for step in &runbook.steps {
        names.extend(step.saves.iter().map(|save| save.name.as_str()));
        let nested = step.action.nested();
        if let Some(used) = nested.and_then(|nested| nested.runbook.downcast_ref::<Runbook>()) {
            saved(used, names);
        }
    }
}
