//! What must stand in a table and which of its keys go together: the demand and its messages.

use super::{Reader, Rules, list};
use crate::diag::Diag;

impl Reader<'_> {
    /// Reports a file that does not say that it is written in the one format there is.
    pub fn format(&self) {
        match self.integer("format") {
            Some(1) => {}
            Some(other) => {
                let span = self.get("format").map_or(0..0, toml::Spanned::span);
                let diag = Diag::error(format!("format {other} is not known"), span);
                self.gather.report(diag.help("this version of `runbook` reads format 1"));
            }
            None if self.has("format") => {}
            None => {
                self.missing::<()>("format", "begin the file with `format = 1`");
            }
        }
    }

    /// A key that cannot stand beside another one of this table.
    pub fn beside(&self, first: &str, second: &str) -> Diag {
        let place = |key: &str| self.get(key).map_or(self.span(), toml::Spanned::span);
        let diag = Diag::error(format!("`{second}` cannot stand beside `{first}`"), place(second));
        diag.related(place(first), "the other one")
    }

    /// Reports every breach of the rules; whether there is none.
    pub fn obeys(&self, rules: &Rules) -> bool {
        let place = |key: &str| self.get(key).map_or(self.span(), toml::Spanned::span);
        let mut wrong: Vec<Diag> = Vec::new();
        for key in rules.needs.iter().filter(|key| !self.has(key)) {
            wrong.push(Diag::error(format!("`{key}` is missing"), self.span()));
        }
        if !rules.any.is_empty() && !rules.any.iter().any(|key| self.has(key)) {
            wrong.push(Diag::error(format!("one of {} is missing", list(rules.any)), self.span()));
        }
        let apart: Vec<&str> = rules.apart.iter().copied().filter(|key| self.has(key)).collect();
        if let [first, second, ..] = apart.as_slice() {
            wrong.push(self.beside(first, second));
        }
        for (key, needed) in rules.with.iter().filter(|(key, _)| self.has(key)) {
            if !self.has(needed) {
                wrong.push(Diag::error(format!("`{key}` goes with `{needed}`"), place(key)));
            }
        }
        let none = wrong.is_empty();
        for diag in wrong {
            self.gather.report(diag);
        }
        none
    }
}
