//! The file as a run had it beside the file as it is now: what an edit changes about a step.

use crate::journal::event::StepRef;
use crate::journal::names::inward;
use crate::reader::{Use, to_json};
use crate::runbook::{Runbook, StepDef, Value};
use crate::source::Source;
use crate::template::Expr;
use crate::value::Json;

/// What of a step may change without another thing being done: what is asked, judged and said around
/// it, and how it is taken back.
const AROUND: &[&str] = &[
    "id", "title", "about", "hints", "already", "undo", "save", "gates", "retry", "timeout",
    "effect", "reveal",
];

/// What of a step is only said to people.
const SAID: &[&str] = &["title", "about", "hints"];

/// What of a connection says where a call goes, and as whom.
const THERE: &[&str] = &["base", "ssh", "socket", "headers", "basic", "client_cert", "client_key"];

/// What an edit changes about a step.
pub(super) enum Change {
    /// Its own keys.
    Edited,
    /// Only what stands elsewhere in the file and is read by it: `vars.host`, `connections.api`.
    Reads(Vec<String>),
    /// It is done in another way, so: for each item of a list, say.
    Reshaped(&'static str),
    /// Its name, or that of a step around it: what it is called now.
    Renamed(String),
    /// It is not there any more.
    Gone,
}

/// What of the names that a step reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// All that it reads when it is performed.
    All,
    /// The same without the list that gives its items: what it reads for each.
    Each,
    /// What it reads before it is performed, for each: what its gates and saves read is not among it.
    Deed,
    /// What says whether it is performed.
    When,
}

impl Reads {
    /// Whether a name is one of these; `shared` are those that a connection of the step reads.
    fn has(self, step: &StepDef, shared: &[&str], name: &str) -> bool {
        let among = |uses: &[Use]| uses.iter().any(|read| read.name == name);
        let (own, list) = (&step.uses, step.for_each.is_some() && self == Self::All);
        if self == Self::When {
            return step.when.iter().flat_map(Expr::reads).any(|read| read.name == name);
        }
        let before = shared.contains(&name) || among(&own.before);
        if self == Self::Deed {
            return before;
        }
        before
            || among(&own.after)
            || own.saves.iter().any(|uses| among(uses))
            || list && among(&own.list)
    }
}

/// A runbook in both versions: the run's own, or one that a step of it uses.
pub(super) struct Versions<'a> {
    /// As the run had it.
    pub(super) old: &'a Runbook,
    /// As it is now.
    pub(super) new: &'a Runbook,
    was: Json,
    is: Json,
    /// What the journal says of the steps it had, where its text cannot be read; then `old` is `new`.
    pub(super) unread: Option<&'a [StepRef]>,
    /// What stands before the ids of its steps in the journal.
    pub(super) prefix: String,
    /// What stands before them in the file as it is now: another text if the step that uses it is renamed.
    now: String,
    /// The step that uses it, in both versions.
    around: Option<(&'a Versions<'a>, Pair<'a>)>,
}

/// A step in both versions.
pub(super) type Pair<'a> = (&'a StepDef, &'a StepDef);

impl<'a> Versions<'a> {
    /// Both versions of a run's own runbook.
    pub(super) fn new(old: &'a Runbook, new: &'a Runbook) -> Self {
        let (was, is) = (written(&old.source), written(&new.source));
        let (prefix, now) = (String::new(), String::new());
        Self { old, new, was, is, unread: None, prefix, now, around: None }
    }

    /// A runbook whose old text this version of the program refuses: only whether a step's own keys are
    /// the same is known, of the steps it had.
    pub(super) fn unread(had: &'a [StepRef], new: &'a Runbook) -> Self {
        Self { unread: Some(had), ..Self::new(new, new) }
    }

    /// The runbook that a step uses, if it uses one in both versions.
    pub(super) fn inside<'s>(&'s self, pair: Pair<'s>) -> Option<Versions<'s>> {
        let (old, new): (&Runbook, &Runbook) = (nested(pair.0)?, nested(pair.1)?);
        let (was, is) = (written(&old.source), written(&new.source));
        let (prefix, now) = (self.then(&pair.0.id) + "/", self.now(&pair.1.id) + "/");
        Some(Versions { old, new, was, is, unread: None, prefix, now, around: Some((self, pair)) })
    }

    /// What the journal calls a step of the old file.
    pub(super) fn then(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    /// What a step is called by the new file; also one that is only in the old, if all around it were
    /// renamed and it was not.
    pub(super) fn now(&self, id: &str) -> String {
        format!("{}{id}", self.now)
    }

    /// What the edit changes about what a step does, by the step's name in the journal; nothing if it
    /// does what it did.
    pub(super) fn deed(&self, id: &str) -> Option<Change> {
        let (name, inner) = inward(id);
        if let Some(had_all) = self.unread {
            let had = had_all.iter().find(|had| had.id == name)?;
            return match self.new.step(name) {
                None => {
                    Some(self.gone((id, name), &had.digest, |id| {
                        !had_all.iter().any(|had| had.id == id)
                    }))
                }
                Some(_) if self.new.performed(id).is_none() => Some(Change::Gone),
                Some(new) => (new.digest != had.digest).then_some(Change::Edited),
            };
        }
        // what was not there before is not lost by this edit
        let old = self.old.step(name)?;
        let Some(new) = self.new.step(name) else {
            return Some(self.gone((id, name), &old.digest, |id| self.old.step(id).is_none()));
        };
        if shape(old) != shape(new) {
            return Some(Change::Reshaped(match shape(new) {
                (true, _) => "for each item of a list",
                (_, true) => "by the steps of another runbook",
                _ => "as one step",
            }));
        }
        let inside = inner.and_then(|inner| self.inside((old, new))?.deed(inner));
        inside.or_else(|| self.own_deed((old, new)))
    }

    /// What became of a step, or of a part of it, that the new file has not by this name: one that is
    /// new there may read like it.
    fn gone(&self, (part, name): (&str, &str), digest: &str, new: impl Fn(&str) -> bool) -> Change {
        let like = |step: &&StepDef| step.digest == digest && new(&step.id);
        let renamed = self.new.steps.iter().find(like);
        let now = renamed.map(|step| format!("{}{}", step.id, &part[name.len()..]));
        let now = now.filter(|now| self.new.performed(now).is_some());
        now.map_or(Change::Gone, |now| Change::Renamed(self.now(&now)))
    }

    fn own_deed(&self, pair: Pair<'_>) -> Option<Change> {
        let deed = |written: &Json| {
            let mut deed = written.as_object().cloned().unwrap_or_default();
            deed.retain(|key, _| !AROUND.contains(&key.as_str()));
            // what is given to a runbook counts for the steps that read it
            if let Some(used) = deed.get_mut("use").and_then(Json::as_object_mut) {
                used.remove("inputs");
            }
            deed
        };
        if deed(step(&self.was, &pair.0.id)) != deed(step(&self.is, &pair.1.id)) {
            return Some(Change::Edited);
        }
        let reads = self.reads(pair, Reads::Deed);
        (!reads.is_empty()).then_some(Change::Reads(reads))
    }

    /// What a step reads that was edited elsewhere in the file, as the file calls it. What earlier steps
    /// save is not among it: those are steps of their own.
    pub(super) fn reads(&self, pair: Pair<'_>, which: Reads) -> Vec<String> {
        let mut found = Vec::new();
        for (runbook, step) in [(self.old, pair.0), (self.new, pair.1)] {
            let there: Vec<&str> = connections(step).collect();
            let shared = runbook.connections.iter().filter(|one| there.contains(&&*one.name));
            let shared: Vec<&str> = shared.flat_map(|one| one.reads()).collect();
            let names = step.reads.iter().map(String::as_str);
            self.edited(names.filter(|name| which.has(step, &shared, name)), &mut found);
        }
        for name in connections(pair.0).filter(|_| which != Reads::When) {
            if self.leads_elsewhere(name) {
                self.note("connections", name, &mut found);
            }
        }
        found
    }

    /// Whether a connection leads elsewhere, or is somebody else's.
    pub(super) fn leads_elsewhere(&self, connection: &str) -> bool {
        let there = |written: &Json| {
            let table = &written["connections"][connection];
            THERE.iter().map(|key| table[*key].clone()).collect::<Vec<Json>>()
        };
        there(&self.was) != there(&self.is)
    }

    /// Whether the text of a var is another one.
    pub(super) fn var(&self, name: &str) -> bool {
        self.was["vars"][name] != self.is["vars"][name]
    }

    /// Whether a key of a step says something else.
    pub(super) fn key(&self, pair: Pair<'_>, key: &str) -> bool {
        step(&self.was, &pair.0.id)[key] != step(&self.is, &pair.1.id)[key]
    }

    /// Whether a step says the same but for what it gives to the runbook that it uses.
    pub(super) fn only_inputs(&self, pair: Pair<'_>) -> bool {
        let own = |written: &Json| {
            let mut own = written.clone();
            own.as_object_mut()?.retain(|key, _| !SAID.contains(&&**key));
            own.get_mut("use")?.as_object_mut()?.remove("inputs");
            Some(own)
        };
        own(step(&self.was, &pair.0.id)) == own(step(&self.is, &pair.1.id))
    }

    /// Whether nothing of a step is edited but which items it is for.
    pub(super) fn only_list(&self, pair: Pair<'_>) -> bool {
        let each = |written: &Json| {
            let mut each = written.as_object().cloned().unwrap_or_default();
            each.retain(|key, _| !["for_each", "at_once"].contains(&&**key));
            each.retain(|key, _| !SAID.contains(&&**key));
            each
        };
        shape(pair.0) == (true, false)
            && shape(pair.1) == (true, false)
            && each(step(&self.was, &pair.0.id)) == each(step(&self.is, &pair.1.id))
            && self.reads(pair, Reads::Each).is_empty()
    }

    fn edited<'n>(&self, names: impl IntoIterator<Item = &'n str>, found: &mut Vec<String>) {
        for name in names {
            let var = self.old.vars.iter().find(|var| var.name == name);
            if self.var(name) {
                self.note("vars", name, found);
            } else if let Some(var) = var {
                self.edited(var.value.reads(), found);
            } else if let Some((outer, pair)) = self.around {
                self.edited_input(name, outer, pair, found);
            }
        }
    }

    /// An input of a runbook that a step uses: what is given for it, else its default. A run keeps the
    /// values of its own.
    fn edited_input(&self, name: &str, outer: &Self, pair: Pair<'_>, found: &mut Vec<String>) {
        let Some(input) = self.old.inputs.iter().find(|input| input.name == name) else { return };
        let given = |written, id| &step(written, id)["use"]["inputs"][name];
        let default = |written: &Json| written["inputs"][name]["default"].clone();
        let (was, is) = (given(&outer.was, &pair.0.id), given(&outer.is, &pair.1.id));
        let nested = pair.0.action.nested();
        let tree = nested.and_then(|nested| nested.inputs.iter().find(|(own, _)| own == name));
        if was != is {
            let place = format!("`inputs.{name}` of `{}`", outer.now(&pair.1.id));
            push(place, found);
        } else if let Some((_, tree)) = tree {
            outer.edited(tree.reads(), found);
        } else if default(&self.was) != default(&self.is) {
            self.note("inputs", name, found);
        } else if let Some(Value::Template(made)) = &input.default {
            self.edited(made.reads().iter().map(|read| read.name.as_str()), found);
        }
    }

    /// Notes a name by the table it stands in; in a runbook that is used, with its file.
    fn note(&self, table: &str, name: &str, found: &mut Vec<String>) {
        let file = self.around.map(|_| format!(" in {}", self.new.source.path));
        push(format!("`{table}.{name}`{}", file.unwrap_or_default()), found);
    }
}

/// The connections of a step, and of what looks whether it is done.
fn connections(step: &StepDef) -> impl Iterator<Item = &str> {
    let probe = step.already.as_ref().and_then(|already| already.probe.connection());
    step.action.connection().into_iter().chain(probe)
}

fn push(place: String, found: &mut Vec<String>) {
    if !found.contains(&place) {
        found.push(place);
    }
}

/// How a step is done: at once, for each item of a list, by another runbook.
pub(super) fn shape(step: &StepDef) -> (bool, bool) {
    (step.for_each.is_some(), step.action.nested().is_some())
}

/// The runbook that a step uses.
pub(super) fn nested(step: &StepDef) -> Option<&Runbook> {
    step.action.nested()?.runbook.downcast_ref()
}

/// A file as it is written: that of a runbook has been read before.
fn written(source: &Source) -> Json {
    let table = source.tables().ok();
    let values = table.iter().flat_map(toml::Spanned::get_ref);
    values.map(|(key, value)| (key.get_ref().to_string(), to_json(value))).collect()
}

/// A step as it is written.
fn step<'w>(written: &'w Json, id: &str) -> &'w Json {
    let steps = written["steps"].as_array().into_iter().flatten();
    let mut own = steps.filter(|step| step["id"] == id);
    own.next().unwrap_or(&Json::Null)
}
