//! What an edit changes about what a run has done: asked before the edited file is taken over.

use super::renames::{Known, Renames};
use super::versions::{Pair, Reads, Versions, nested, shape};
use crate::journal::event::{Skip, StepRef};
use crate::journal::names::outermost;
use crate::plan::{History, Status};
use crate::runbook::{Runbook, StepDef};

/// One thing about a finished part of the run that the edit changes.
pub(super) struct Question {
    /// The step, as the journal calls it; of items the one step that they are of.
    pub(super) step: String,
    pub(super) what: String,
    pub(super) can_rerun: bool,
    /// What to leave it as it is means.
    pub(super) keep: Keep,
    /// Whether doing it again is only about items that it was not done for.
    pub(super) only_list: bool,
}

/// What is to become of a step that is kept.
pub(super) enum Keep {
    /// It stays as it stands.
    AsItIs,
    /// It is done under its new name: what the step of this name did.
    Renamed(String),
    /// It is left out.
    LeftOut,
}

/// All of them, in the order of the new file, and then what is gone from it.
pub(super) fn questions(history: &History, versions: &Versions<'_>) -> Vec<Question> {
    let mut asked = Asked { history, questions: Vec::new() };
    match versions.unread {
        Some(had) => asked.by_digest(had, versions.new),
        None => asked.frame(versions, false),
    }
    asked.questions
}

struct Asked<'h> {
    history: &'h History,
    questions: Vec<Question>,
}

impl Asked<'_> {
    /// The steps of one runbook; all of it is behind the run if the step that uses it is done.
    fn frame(&mut self, versions: &Versions<'_>, behind: bool) {
        let (old, new) = (&versions.old.steps, &versions.new.steps);
        let both = [old, new].map(|steps| steps.iter().map(known).collect::<Vec<Known<'_>>>());
        let renames = Renames::find(self.history, &versions.prefix, &both[0], &both[1]);
        let name = |id: &str| versions.now(id);
        let last = self.last(new, &renames, &versions.prefix);
        for (index, step) in new.iter().enumerate() {
            if let Some(old) = renames.was(&step.id).and_then(|was| versions.old.step(was)) {
                self.renamed(versions, (old, step));
            } else if let Some(now) = renames.now(&step.id) {
                self.taken(name(&step.id), &name(now));
            } else if let Some(old) = versions.old.step(&step.id) {
                self.known(versions, (old, step));
            } else if behind {
                let what = "is new, in what is finished".to_owned();
                self.ask(name(&step.id), what, true, Keep::LeftOut);
            } else if last.is_some_and(|last| index < last) {
                self.inserted(name(&step.id));
            }
        }
        for step in old {
            if versions.new.step(&step.id).is_none() && renames.now(&step.id).is_none() {
                self.gone(&versions.then(&step.id), name(&step.id));
            }
        }
    }

    /// The same by what the journal alone knows of the steps of the old file.
    fn by_digest(&mut self, had: &[StepRef], new: &Runbook) {
        let old: Vec<Known<'_>> = had.iter().map(|old| (&*old.id, &*old.digest)).collect();
        let known: Vec<Known<'_>> = new.steps.iter().map(known).collect();
        let renames = Renames::find(self.history, "", &old, &known);
        let last = self.last(&new.steps, &renames, "");
        for (index, step) in new.steps.iter().enumerate() {
            let own = had.iter().find(|old| old.id == step.id);
            if let Some(from) = renames.was(&step.id) {
                if let Some(stands) = stands(self.history, from) {
                    let what = stands.renamed(from, &[]);
                    self.ask(step.id.clone(), what, true, Keep::Renamed(from.to_owned()));
                }
            } else if let Some(now) = renames.now(&step.id) {
                self.taken(step.id.clone(), now);
            } else if let Some(old) = own {
                let edited = old.digest != step.digest;
                if let Some(stands) = stands(self.history, &step.id).filter(|_| edited) {
                    let what = format!("{}, and was edited since", stands.said());
                    self.ask(step.id.clone(), what, true, Keep::AsItIs);
                }
            } else if last.is_some_and(|last| index < last) {
                self.inserted(step.id.clone());
            }
        }
        for old in had {
            if new.step(&old.id).is_none() && renames.now(&old.id).is_none() {
                self.gone(&old.id, old.id.clone());
            }
        }
        for step in &new.steps {
            let then = renames.was(&step.id).unwrap_or(&step.id);
            if let Some(inner) = nested(step).filter(|_| renames.now(&step.id).is_none()) {
                self.inside(inner, &format!("{then}/"), &format!("{}/", step.id));
            }
        }
    }

    /// The steps inside a step, of which the journal only has what they did: `then` stands before their
    /// names there, `now` in the new file. What is not there any more may have another name.
    fn inside(&mut self, inner: &Runbook, then: &str, now: &str) {
        let mut gone: Vec<String> = Vec::new();
        for part in self.history.touched_below(then) {
            let name = outermost(&part[then.len()..]);
            if inner.step(name).is_none() && !gone.iter().any(|known| known == name) {
                gone.push(name.to_owned());
            }
        }
        for step in &inner.steps {
            let (then, now) = (format!("{then}{}", step.id), format!("{now}{}", step.id));
            match stands(self.history, &then) {
                Some(_) => {
                    if let Some(inner) = nested(step) {
                        self.inside(inner, &format!("{then}/"), &format!("{now}/"));
                    }
                }
                None if !gone.is_empty() && !self.history.touched(&then) => {
                    let what = "is not done, unless it is one that is gone: renamed?".to_owned();
                    self.ask(now, what, true, Keep::LeftOut);
                }
                None => {}
            }
        }
        for name in gone {
            self.gone(&format!("{then}{name}"), format!("{now}{name}"));
        }
    }

    /// Where the last finished step stands in the new file, whatever it is called there.
    fn last(&self, new: &[StepDef], renames: &Renames<'_>, prefix: &str) -> Option<usize> {
        new.iter().rposition(|step| {
            let own = renames.now(&step.id).is_none().then_some(step.id.as_str());
            let was = renames.was(&step.id).or(own);
            was.is_some_and(|was| finished(self.history, &format!("{prefix}{was}")))
        })
    }

    /// A step of another name. What else is edited about it, or inside of it, is asked under the new one.
    fn renamed(&mut self, versions: &Versions<'_>, pair: Pair<'_>) {
        let then = versions.then(&pair.0.id);
        let Some(stands) = stands(self.history, &then) else { return };
        let skipped = matches!(self.history.status(&then), Status::Skipped(_));
        let inner = versions.inside(pair).filter(|_| !skipped);
        let which = match stands {
            _ if skipped => Some(Reads::When),
            Stands::Over => inner.is_none().then_some(Reads::All),
            Stands::Half => Some(if inner.is_none() { Reads::Each } else { Reads::When }),
            Stands::Before => None,
        };
        let reads = which.map(|which| versions.reads(pair, which)).unwrap_or_default();
        // inside a step of another name this one is called otherwise by then
        let keep = Keep::Renamed(versions.now(&pair.0.id));
        self.ask(versions.now(&pair.1.id), stands.renamed(&then, &reads), true, keep);
        if let Some(inner) = inner {
            self.frame(&inner, stands == Stands::Over);
        }
    }

    /// A step whose name was that of a step which is called otherwise now.
    fn taken(&mut self, step: String, now: &str) {
        let what = format!("is another step now, and what it was reads like `{now}`");
        self.ask(step, what, true, Keep::AsItIs);
    }

    fn inserted(&mut self, step: String) {
        let what = "is new, before steps that are finished".to_owned();
        self.ask(step, what, true, Keep::LeftOut);
    }

    /// A step that the new file has not, by the names it had and has. What was skipped did nothing.
    fn gone(&mut self, then: &str, step: String) {
        let skipped = matches!(self.history.status(then), Status::Skipped(_));
        if let Some(stands) = stands(self.history, then).filter(|_| !skipped) {
            self.ask(step, stands.gone(), false, Keep::AsItIs);
        }
    }

    fn ask(&mut self, step: String, what: String, can_rerun: bool, keep: Keep) {
        self.questions.push(Question { step, what, can_rerun, keep, only_list: false });
    }

    /// A step that is in both files.
    fn known(&mut self, versions: &Versions<'_>, pair: Pair<'_>) {
        let (then, id) = (versions.then(&pair.0.id), versions.now(&pair.1.id));
        match self.history.status(&then) {
            Status::Done(_) => self.done(versions, pair),
            Status::Skipped(Skip::Person(_)) if pair.0.digest != pair.1.digest => {
                let what = "was skipped by hand, and was edited since".to_owned();
                self.ask(id, what, true, Keep::AsItIs);
            }
            Status::Skipped(Skip::When) => {
                let edited = when_edited(versions, pair);
                if let Some(edited) = edited {
                    let what = format!("was skipped, and {edited}");
                    self.ask(id, what, true, Keep::AsItIs);
                }
            }
            // what was done before stays as it is, whatever it is that will be done
            _ if stands(self.history, &then) == Some(Stands::Half) => self.partly(versions, pair),
            _ => {}
        }
    }

    fn done(&mut self, versions: &Versions<'_>, pair: Pair<'_>) {
        let inner = versions.inside(pair);
        let edited = pair.0.digest != pair.1.digest;
        let what = if let Some(inner) = inner.filter(|_| !edited || versions.only_inputs(pair)) {
            // what is given to it counts for the steps inside that read it
            return self.frame(&inner, true);
        } else if edited {
            "is done, and was edited since".to_owned()
        } else {
            let reads = versions.reads(pair, Reads::All);
            if reads.is_empty() {
                return;
            }
            format!("is done, and {}", reads_edited(&reads))
        };
        self.ask(versions.now(&pair.1.id), what, true, Keep::AsItIs);
        if let Some(question) = self.questions.last_mut() {
            question.only_list = versions.only_list(pair);
        }
    }

    /// A step of which some items are done, or some steps inside.
    fn partly(&mut self, versions: &Versions<'_>, pair: Pair<'_>) {
        let ask = |asked: &mut Self, edited: &str, can_rerun| {
            let what = format!("is half done, and {edited}");
            asked.ask(versions.now(&pair.1.id), what, can_rerun, Keep::AsItIs);
        };
        if shape(pair.0) != shape(pair.1) {
            ask(self, "is to be done in another way now: what it did stays", false);
        } else if let Some(inner) = versions.inside(pair) {
            if let Some(edited) = when_edited(versions, pair) {
                ask(self, &edited, false);
            }
            self.frame(&inner, false);
        } else if !versions.only_list(pair) {
            let reads = versions.reads(pair, Reads::Each);
            if pair.0.digest != pair.1.digest {
                ask(self, "was edited since", true);
            } else if !reads.is_empty() {
                ask(self, &reads_edited(&reads), true);
            }
        }
    }
}

fn known(step: &StepDef) -> Known<'_> {
    (&step.id, &step.digest)
}

/// What was edited about whether a step is performed.
fn when_edited(versions: &Versions<'_>, pair: Pair<'_>) -> Option<String> {
    if versions.key(pair, "when") {
        return Some("its `when` was edited since".to_owned());
    }
    let reads = versions.reads(pair, Reads::When);
    (!reads.is_empty()).then(|| edited("its `when`", &reads))
}

/// Says that what a step reads was edited.
pub(super) fn reads_edited(names: &[String]) -> String {
    edited("it", names)
}

fn edited(reader: &str, names: &[String]) -> String {
    let were = if names.len() == 1 { "was" } else { "were" };
    format!("{}, which {reader} reads, {were} edited since", names.join(", "))
}

pub(super) fn finished(history: &History, step: &str) -> bool {
    matches!(history.status(step), Status::Done(_) | Status::Skipped(_))
}

/// How much of a step is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// All of it, or it was skipped.
    Over,
    /// Some items, or steps inside.
    Half,
    /// Nothing, but it was done before it was to be done again, or after a failure.
    Before,
}

impl Stands {
    fn said(self) -> &'static str {
        match self {
            Self::Over => "is done",
            Self::Half => "is half done",
            Self::Before => "was done before",
        }
    }

    /// What is asked about a new step that reads like this one, with what of that was edited elsewhere.
    fn renamed(self, from: &str, reads: &[String]) -> String {
        let like = match self {
            Self::Over => format!("the finished step `{from}`"),
            Self::Half => format!("the half-done step `{from}`"),
            Self::Before => format!("the step `{from}` that was done before"),
        };
        if reads.is_empty() {
            return format!("is new, and reads like {like}: renamed?");
        }
        format!("is new, and reads like {like}, but {}: renamed?", reads_edited(reads))
    }

    fn gone(self) -> String {
        format!("{}, and is gone from the file: what it did stays", self.said())
    }
}

/// How much of a step is done, if anything is.
pub(super) fn stands(history: &History, step: &str) -> Option<Stands> {
    let part = |mark: &str| {
        let below = history.touched_below(&format!("{step}{mark}"));
        below.iter().any(|part| finished(history, part))
    };
    if finished(history, step) {
        Some(Stands::Over)
    } else if part("[") || part("/") {
        Some(Stands::Half)
    } else {
        part("@").then_some(Stands::Before)
    }
}

/// What of a step can be done again by a name of its own: the step, or else its items, or the steps
/// inside; of what has no such part yet, the step.
pub(super) fn parts(history: &History, new: &Runbook, id: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Some((_, def)) = new.performed(id) {
        below(history, def, id, &mut found);
    }
    if found.is_empty() {
        found.push(id.to_owned());
    }
    found
}

fn below(history: &History, def: &StepDef, id: &str, found: &mut Vec<String>) {
    if let Some(inner) = nested(def) {
        for step in &inner.steps {
            below(history, step, &format!("{id}/{}", step.id), found);
        }
    } else if def.for_each.is_some() && !id.ends_with(']') {
        let items = history.touched_below(&format!("{id}["));
        found.extend(items.into_iter().filter(|item| item.ends_with(']')));
    } else if finished(history, id) {
        found.push(id.to_owned());
    }
}
