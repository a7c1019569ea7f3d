//! Which names may hold a token: a secret that a call only shows at the door. Of a token the newest
//! counts, whenever the thing was made that the call is about.

use std::collections::BTreeSet;

use super::{Input, Runbook, StepDef, Value};
use crate::reader::Sink;

impl Runbook {
    /// The secret inputs that may be renewed: a service may take one no longer. Any other may be what
    /// the run itself changes, and undoing that needs it as it was.
    pub fn renewable(&self) -> impl Iterator<Item = &Input> {
        let tokens = self.token_inputs();
        self.inputs.iter().filter(move |input| input.secret && tokens.contains(&*input.name))
    }

    /// What connections read, also those of runbooks that its steps use, and what that is made from.
    pub fn tokens(&self) -> BTreeSet<&str> {
        self.shown_at_doors(false)
    }

    /// The same, and what stands beside a single call: in its headers, in a program's environment.
    pub fn token_inputs(&self) -> BTreeSet<&str> {
        self.shown_at_doors(true)
    }

    fn shown_at_doors(&self, beside: bool) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for connection in &self.connections {
            names.extend(connection.reads());
            names.extend(connection.renew.as_ref().map(|renew| renew.input.value.as_str()));
        }
        for step in &self.steps {
            names.extend(inside(step, beside));
            if beside {
                let beside = step.uses.all().filter(|read| read.sink == Sink::Beside);
                names.extend(beside.map(|read| read.name.as_str()));
            }
        }
        for var in self.vars.iter().rev() {
            if names.contains(&*var.name) {
                names.extend(var.value.reads());
            }
        }
        for input in self.inputs.iter().rev() {
            if let (true, Some(Value::Template(made))) =
                (names.contains(&*input.name), &input.default)
            {
                names.extend(made.reads().iter().map(|read| read.name.as_str()));
            }
        }
        names
    }
}

/// What a step gives for such inputs of the runbooks it uses.
fn inside(step: &StepDef, beside: bool) -> impl Iterator<Item = &str> {
    let actions = std::iter::once(&step.action).chain(&step.undo);
    let nested = actions.filter_map(|action| action.nested());
    nested.flat_map(move |nested| {
        let runbook = nested.runbook.downcast_ref::<Runbook>();
        let names = runbook.map(|inner| inner.shown_at_doors(beside)).unwrap_or_default();
        let given = nested.inputs.iter().filter(move |(name, _)| names.contains(&**name));
        given.flat_map(|(_, tree)| tree.reads())
    })
}
