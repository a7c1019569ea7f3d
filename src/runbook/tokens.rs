//! Which inputs a service may take no longer: a run keeps all others as it was begun with.

use std::collections::HashSet;

use super::{Input, Runbook};

impl Runbook {
    /// The secret inputs that connections send, or a `renew` names: a token whose time can be over.
    /// Any other may be what the run itself changes, and undoing that needs it as it was.
    pub fn tokens(&self) -> impl Iterator<Item = &Input> {
        let sent = self.sent();
        self.inputs.iter().filter(move |input| input.secret && sent.contains(input.name.as_str()))
    }

    /// The names that connections read, here and in the runbooks that steps use.
    fn sent(&self) -> HashSet<&str> {
        let mut names = HashSet::new();
        for connection in &self.connections {
            names.extend(connection.reads());
            names.extend(connection.renew.iter().map(|renew| renew.input.value.as_str()));
        }
        for step in &self.steps {
            let undo = step.undo.as_ref().and_then(|undo| undo.nested());
            for nested in step.action.nested().into_iter().chain(undo) {
                let Some(inner) = nested.runbook.downcast_ref::<Self>() else { continue };
                let inner = inner.sent();
                let given = nested.inputs.iter().filter(|(name, _)| inner.contains(name.as_str()));
                names.extend(given.flat_map(|(_, tree)| tree.reads()));
            }
        }
        // a var reads inputs and the vars before it
        for var in self.vars.iter().rev() {
            if names.contains(var.name.as_str()) {
                names.extend(var.value.reads());
            }
        }
        names
    }
}
