//! The names of a whole file: each defined once, before it is read, and no secret where it would show.

use std::cell::RefCell;

use super::parse::{ConnectionDef, Draft};
use super::{Save, StepDef, Value, Var};
use crate::diag::{Diag, closest};
use crate::reader::{Gather, Sink, Use};
use crate::source::Span;
use crate::step::{Call, Trouble};
use crate::template;
use crate::value::{self, ByName, Json};

/// A name at the place where it is defined.
#[derive(Clone)]
struct Known {
    span: Span,
    secret: bool,
}

/// A name of the file, what defines it, and where.
struct Defined {
    name: String,
    what: String,
    span: Span,
}

struct Names<'a> {
    gather: &'a Gather<'a>,
    known: ByName<Known>,
    /// Every name of the file, for "defined later".
    all: Vec<Defined>,
    /// What `for_each` steps call their items.
    items: value::Names,
    /// Names that are not known where they are read, each with all these places: one is one mistake.
    strange: RefCell<Vec<Strange>>,
    /// Where what is read stands.
    within: Within,
}

/// A name that is not known where it is read.
struct Strange {
    name: String,
    places: Vec<Span>,
    /// Where the first of them stands.
    within: Within,
}

/// What reads a name, where that tells why it is not known.
#[derive(Clone, Default)]
enum Within {
    /// A var.
    Var(String),
    /// A step that saves these.
    Step(Vec<String>),
    /// Anything else.
    #[default]
    Elsewhere,
}

pub(super) fn names(gather: &Gather<'_>, draft: &Draft) {
    let items = draft.steps.iter().filter_map(|step| Some(step.for_each.as_ref()?.name.clone()));
    let items = items.collect();
    let strange = RefCell::default();
    let (known, within) = (ByName::default(), Within::default());
    let mut names = Names { gather, known, all: all(draft), items, strange, within };
    for input in &draft.inputs {
        names.read(&input.uses);
        let secret = input.secret
            || names.secret(&input.uses) && matches!(input.default, Some(Value::Template(_)));
        names.define(&input.name, &input.span, secret);
    }
    presets(gather, draft);
    for var in &draft.vars {
        names.within = Within::Var(var.name.clone());
        names.read(&var.uses);
        let secret = names.secret(&var.uses);
        names.define(&var.name, &var.span, secret);
    }
    names.within = Within::Elsewhere;
    connection_names(&names, draft);
    renewals(gather, draft);
    let mut ids: ByName<Span, &str> = ByName::default();
    for step in &draft.steps {
        unique(gather, &mut ids, step);
        connections(&names, step, &draft.connections);
        self::step(&mut names, step);
    }
    for strange in names.strange.take() {
        names.unknown(strange, &draft.vars);
    }
}

fn all(draft: &Draft) -> Vec<Defined> {
    let defined = |name: &str, what: String, span: &Span| Defined {
        name: name.to_owned(),
        what,
        span: span.clone(),
    };
    let inputs = draft.inputs.iter();
    let inputs = inputs.map(|input| defined(&input.name, "an input".to_owned(), &input.span));
    let vars = draft.vars.iter().map(|var| defined(&var.name, "a var".to_owned(), &var.span));
    let saves = draft.steps.iter().flat_map(|step| {
        let what = format!("saved by step `{}`", step.id);
        step.saves.iter().map(move |save| defined(&save.name, what.clone(), &save.span))
    });
    inputs.chain(vars).chain(saves).collect()
}

impl Names<'_> {
    fn define(&mut self, name: &str, span: &Span, secret: bool) {
        if let Some(first) = self.known.get(name) {
            let diag = Diag::error(format!("the name `{name}` is taken"), span.clone());
            self.gather.report(
                diag.related(first.span.clone(), "first defined here")
                    .help("inputs, vars and saved values share one set of names: choose another"),
            );
            return;
        }
        if !super::step::is_name(name) {
            let diag = Diag::error(format!("`{name}` cannot be a name"), span.clone());
            self.gather.report(diag.help("use letters, digits and `_`, not a digit first"));
        }
        if !self.gather.source.known.is_so() && template::is_taken(name) {
            let diag = Diag::error(format!("`{name}` cannot be a name"), span.clone());
            let why =
                "in a template this word is never the value, as it means something else there";
            self.gather.report_since(diag.label(why).help("choose another name"));
        }
        self.known.insert(name.to_owned(), Known { span: span.clone(), secret });
    }

    fn read(&self, uses: &[Use]) {
        for name in uses {
            match self.known.get(&name.name) {
                None => self.strange(name),
                Some(known) if known.secret => self.secret_shows(name, known),
                Some(_) => {}
            }
        }
    }

    fn strange(&self, name: &Use) {
        let mut strange = self.strange.borrow_mut();
        let span = name.span(self.gather.source);
        if let Some(known) = strange.iter_mut().find(|known| known.name == name.name) {
            known.places.push(span);
        } else {
            let (name, within) = (name.name.clone(), self.within.clone());
            strange.push(Strange { name, places: vec![span], within });
        }
    }

    fn unknown(&self, strange: Strange, vars: &[Var]) {
        let Strange { name, mut places, within } = strange;
        let name = name.as_str();
        places.sort_by_key(|span| span.start);
        let (span, others) = (places.remove(0), places);
        let diag = match self.all.iter().find(|known| known.name == name) {
            Some(later) => {
                let (label, help) = within.why(name, &later.what, vars);
                Diag::error(format!("`{name}` is not known yet"), span).label(label).help(help)
            }
            None if self.items.contains(name) => {
                Diag::error(format!("`{name}` is not known here"), span)
                    .label("the name of an item, known only where each item is meant")
                    .help("a step's title and `when` are about all items: say it of them all")
            }
            None => self.misspelt(name, span, !others.is_empty()),
        };
        self.gather.report(match self.lines(&others) {
            Some(lines) => diag.help(format!("it stands on {lines} too")),
            None => diag,
        });
    }

    /// A name that is read more than once is more likely right than the one that defines it.
    fn misspelt(&self, name: &str, span: Span, often: bool) -> Diag {
        let names = || self.all.iter().map(|known| known.name.as_str());
        let diag = Diag::error(format!("unknown name `{name}`"), span)
            .label("no input, variable or earlier saved value has this name")
            .suggest(name, names());
        let diag = match name {
            "null" | "nil" => {
                diag.help("where there is nothing, that is `none`, as in `x is none`")
            }
            _ => diag,
        };
        let near = often.then(|| closest(name, names())).flatten();
        match near.and_then(|near| self.all.iter().find(|known| known.name == near)) {
            Some(near) => diag.related(near.span.clone(), "or is it this that is misspelt?"),
            None => diag,
        }
    }

    /// The lines of places, each once: `lines 3, 7`.
    fn lines(&self, places: &[Span]) -> Option<String> {
        let line = |span: &Span| self.gather.source.line_column(span.start).0.to_string();
        let mut lines: Vec<String> = places.iter().map(line).collect();
        lines.dedup();
        let word = if lines.len() == 1 { "line" } else { "lines" };
        (!lines.is_empty()).then(|| format!("{word} {}", lines.join(", ")))
    }

    fn secret_shows(&self, name: &Use, known: &Known) {
        let Sink::Open(place) = name.sink else { return };
        let diag = Diag::error(
            format!("the secret `{}` would show in {place}", name.name),
            name.span(self.gather.source),
        );
        self.gather.report(
            diag.related(known.span.clone(), "secret")
                .help("send it in a header, a body, on standard input or in the environment")
                .help("where it is meant to show, write `reveal = true` in the same table"),
        );
    }

    fn secret(&self, uses: &[Use]) -> bool {
        uses.iter().any(|name| self.known.get(&name.name).is_some_and(|known| known.secret))
    }
}

impl Within {
    /// Why a name that is defined somewhere is not known in here, and what to do.
    fn why(&self, name: &str, what: &str, vars: &[Var]) -> (String, &'static str) {
        match self {
            Self::Var(own) if own == name => {
                ("the var itself".to_owned(), "make it from something else")
            }
            Self::Var(own) if made_from(vars, name, own) => (
                format!("a var, further on, that is made from `{own}`"),
                "they go round in a circle: make one of them from something else",
            ),
            Self::Step(saves) if saves.iter().any(|save| save == name) => (
                "saved by this step".to_owned(),
                "what a step saves is known once it is done: only what comes behind can read it",
            ),
            _ => (format!("{what}, further on"), "move this behind the place that defines it"),
        }
    }
}

/// Whether a var is made from another one, also through others.
fn made_from(vars: &[Var], var: &str, other: &str) -> bool {
    let (mut open, mut seen) = (vec![var], Vec::new());
    while let Some(name) = open.pop() {
        let Some(var) = vars.iter().find(|var| var.name == name) else { continue };
        for used in var.uses.iter().map(|used| used.name.as_str()) {
            if used == other {
                return true;
            }
            if !seen.contains(&used) {
                seen.push(used);
                open.push(used);
            }
        }
    }
    false
}

fn presets(gather: &Gather<'_>, draft: &Draft) {
    if gather.source.known.is_so() {
        return;
    }
    for preset in &draft.presets {
        for ((key, value), place) in preset.values.iter().zip(&preset.places) {
            match draft.inputs.iter().find(|input| input.name == key.value) {
                None => gather.report(
                    Diag::error(
                        format!("preset `{}` sets `{}`, which is no input", preset.name, key.value),
                        key.span.clone(),
                    )
                    .suggest(&key.value, draft.inputs.iter().map(|input| input.name.as_str())),
                ),
                Some(input) => {
                    if let Err(wrong) = input.typed.accept(value) {
                        let diag = Diag::error(format!("`{}` {wrong}", key.value), place.clone());
                        gather.report(match value {
                            Json::String(_) => diag,
                            other => diag.label(format!("this is {}", value::kind(other))),
                        });
                    }
                }
            }
        }
    }
}

fn unique<'a>(gather: &Gather<'_>, ids: &mut ByName<Span, &'a str>, step: &'a StepDef) {
    if let Some(first) = ids.get(step.id.as_str()) {
        let diag = Diag::error(format!("two steps have the id `{}`", step.id), step.span.clone());
        gather.report(diag.related(first.clone(), "the first one"));
    } else {
        ids.insert(&step.id, step.span.clone());
    }
}

fn step(names: &mut Names<'_>, step: &StepDef) {
    names.within = Within::Step(step.saves.iter().map(|save| save.name.clone()).collect());
    names.read(&step.uses.list);
    if let Some(each) = &step.for_each {
        let secret = names.secret(&step.uses.list);
        names.define(&each.name, &each.span, secret);
    }
    names.read(&step.uses.before);
    for (save, uses) in step.saves.iter().zip(&step.uses.saves) {
        names.read(uses);
        let secret = save.secret || !save.reveal && names.secret(uses);
        if secret && !save.secret && save.program.is_some() {
            plain_save(names, save, uses);
        }
        names.define(&save.name, &save.span, secret);
    }
    names.read(&step.uses.after);
    names.read(&step.uses.undo);
    if let Some(each) = &step.for_each {
        // Known to this step alone; the next one may call its items the same.
        names.known.remove(&each.name);
    }
}

fn plain_save(names: &Names<'_>, save: &Save, uses: &[Use]) {
    let Some(secret) = uses.iter().find(|name| names.secret(std::slice::from_ref(name))) else {
        return;
    };
    let diag = Diag::error(
        format!("`{}` is made from the secret `{}` but not secret itself", save.name, secret.name),
        save.span.clone(),
    );
    names.gather.report(
        diag.related(secret.span(names.gather.source), "the secret")
            .help(format!("write `save.{} = {{ jq = …, secret = true }}`", save.name))
            .help("where it is not secret any more, write `reveal = true` instead"),
    );
}

/// A step's connections must exist, and what they read must be known by then.
fn connections(names: &Names<'_>, step: &StepDef, connections: &[ConnectionDef]) {
    let probe = step.already.as_ref().and_then(|already| already.probe.connection());
    let undo = step.undo.as_ref().and_then(|undo| undo.connection());
    let mut seen: Vec<&str> = Vec::new();
    for name in step.action.connection().into_iter().chain(probe).chain(undo) {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        match connections.iter().find(|def| def.name.value == name) {
            Some(def) => known_by_then(names, step, def),
            None => missing(names.gather, step, name, connections),
        }
    }
    let probe = step.already.as_ref().map(|already| &already.probe);
    for action in std::iter::once(&step.action).chain(probe).chain(&step.undo) {
        if let Some(call) = action.calls() {
            stays(names.gather, step, &call, connections);
        }
    }
}

/// A whole address that is written out must be on the host of its connection.
fn stays(gather: &Gather<'_>, step: &StepDef, call: &Call<'_>, connections: &[ConnectionDef]) {
    let def = connections.iter().find(|def| def.name.value == call.on);
    let connection = def.and_then(|def| def.connection.as_ref());
    let Some(wrong) = connection.and_then(|one| one.cannot_reach(call.url)) else { return };
    let Trouble::Failed(failure, _) = wrong else { return };
    let diag = Diag::error(failure.message, on_span(gather, step, call.on));
    gather.report_since(failure.hints.into_iter().fold(diag, Diag::help));
}

fn missing(gather: &Gather<'_>, step: &StepDef, name: &str, connections: &[ConnectionDef]) {
    let diag = Diag::error(
        format!("step `{}` uses the connection `{name}`, which is not there", step.id),
        on_span(gather, step, name),
    );
    let diag = diag.suggest(name, connections.iter().map(|def| def.name.value.as_str()));
    gather.report(if diag.help.is_empty() {
        diag.help(format!("add a table `[connections.{name}]` with its `base`"))
    } else {
        diag
    });
}

/// The place of the connection's name in the step's own text: spans of plain strings are not kept.
fn on_span(gather: &Gather<'_>, step: &StepDef, name: &str) -> Span {
    let text = &*gather.source.text;
    let begin = text[..step.span.start].rfind("\n[[").unwrap_or(0);
    let end = text[step.span.end..].find("\n[[").map_or(text.len(), |at| step.span.end + at);
    let own = &text[begin..end];
    let is_on = |at: &usize| {
        let key = own[..*at].trim_end_matches(['"', '\'']).trim_end().strip_suffix('=');
        let key = key.map(|before| before.trim_end().trim_end_matches(['"', '\'']));
        let before = key.and_then(|before| before.strip_suffix("on"));
        before
            .is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric() || "_-".contains(c)))
    };
    let quoted = |at: &usize| own[at + name.len()..].starts_with(['"', '\'']);
    let found = own.match_indices(name).map(|(at, _)| at).find(|at| quoted(at) && is_on(at));
    found.map_or(step.span.clone(), |at| begin + at..begin + at + name.len())
}

fn known_by_then(names: &Names<'_>, step: &StepDef, def: &ConnectionDef) {
    for name in &def.uses {
        let Some(later) = names.all.iter().find(|known| known.name == name.name) else {
            continue;
        };
        if !names.known.contains_key(&name.name) {
            let diag = Diag::error(
                format!(
                    "step `{}` uses the connection `{}` before `{}` is known",
                    step.id, def.name.value, name.name
                ),
                step.span.clone(),
            );
            names.gather.report(
                diag.related(name.span(names.gather.source), format!("{}, further on", later.what)),
            );
        }
    }
}

/// Names that exist nowhere are reported once, at the connection.
fn connection_names(names: &Names<'_>, draft: &Draft) {
    for def in &draft.connections {
        for name in &def.uses {
            if !names.all.iter().any(|known| known.name == name.name) {
                names.strange(name);
            } else if let Some(known) = names.known.get(&name.name).filter(|known| known.secret) {
                names.secret_shows(name, known);
            }
        }
    }
}

/// What a connection renews must be an input, and one that its calls send.
fn renewals(gather: &Gather<'_>, draft: &Draft) {
    for def in &draft.connections {
        let Some(renew) = def.connection.as_ref().and_then(|known| known.renew.as_ref()) else {
            continue;
        };
        let (name, span) = (&renew.input.value, renew.input.span.clone());
        if !draft.inputs.iter().any(|input| input.name == *name) {
            let diag = Diag::error(format!("`{name}` is no input"), span);
            let inputs = draft.inputs.iter().map(|input| input.name.as_str());
            gather.report(diag.suggest(name, inputs));
        } else if !sent(&draft.vars, &def.uses, name) {
            let connection = &def.name.value;
            let diag = Diag::error(format!("`{connection}` does not send `{name}`"), span);
            gather.report(diag.help("name the input that its `headers` are made from"));
        }
    }
}

/// Whether an input is among these names, or one of the vars among them is made from it.
fn sent(vars: &[Var], uses: &[Use], input: &str) -> bool {
    uses.iter().any(|name| {
        let var = vars.iter().position(|var| var.name == name.name);
        name.name == input || var.is_some_and(|at| sent(&vars[..at], &vars[at].uses, input))
    })
}
