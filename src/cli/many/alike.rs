//! What is wrong with lines of inputs: what is wrong with many of them alike is said once.

use std::collections::HashMap;

use super::out;

/// How many lines are named that something is wrong with alike.
const NAMED: usize = 8;

/// One thing that is wrong.
struct Wrong {
    what: String,
    /// Where it was found first: `clients.jsonl:3`.
    place: String,
    /// The numbers of the other lines it was found in.
    others: Vec<usize>,
    hints: Vec<String>,
}

/// All that is wrong, in the order in which it was found.
#[derive(Default)]
pub(super) struct Alike {
    all: Vec<Wrong>,
    known: HashMap<String, usize>,
}

impl Alike {
    /// Adds what is wrong with a line.
    pub(super) fn add(
        &mut self,
        (place, number): (&str, usize),
        what: String,
        hints: impl FnOnce() -> Vec<String>,
    ) {
        if let Some(wrong) = self.known.get(&what).and_then(|at| self.all.get_mut(*at)) {
            wrong.others.push(number);
            return;
        }
        self.known.insert(what.clone(), self.all.len());
        self.all.push(Wrong { what, place: place.to_owned(), others: Vec::new(), hints: hints() });
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Says all of it.
    pub(super) fn tell(&self) {
        for Wrong { what, place, others, hints } in &self.all {
            let same = match others.as_slice() {
                [] => String::new(),
                [one] => format!(" (the same for line {one})"),
                few if few.len() <= NAMED => {
                    let numbers: Vec<String> = few.iter().map(ToString::to_string).collect();
                    format!(" (the same for lines {})", numbers.join(", "))
                }
                many => format!(" (the same for {} more lines)", many.len()),
            };
            out::error(&format!("{place}: {what}{same}"));
            for hint in hints {
                out::hint(hint);
            }
        }
    }
}
