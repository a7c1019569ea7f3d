//! `use`: another runbook as one step: inputs in, saved values out.

use crate::diag::Diag;
use crate::journal::event::Effect;
use crate::reader::{Field, Loaded, Reader, Rules, Shape, Sink, Tree, list};

use super::{Answer, Cx, Hand, Kind, Local, Manual, Nested, Step, Trouble, manual};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "use",
    about: "Walks another runbook as one step; `save` programs read its saved values by name.",
    fields: FIELDS,
    rules: Rules::needs(&["runbook"]),
    without: WITHOUT,
    plain: Some("runbook"),
    example: r#"[[steps]]
id = "sso"
use = { runbook = "other-runbook", inputs = { host = "{{ host }}" } }
save.other_id = ".inner_id"
"#,
    parse,
};

const FIELDS: &[Field] = &[
    Field {
        name: "runbook",
        shape: Shape::Text,
        about: "Its name, or the path of its file from this one.",
    },
    Field {
        name: "inputs",
        shape: Shape::Map,
        about: "Its inputs; those left out take their defaults.",
    },
];

/// What is said of one action, where this is many: their steps say it themselves.
const WITHOUT: &[(&str, &str)] = &[
    (
        "for_each",
        "put it on the steps inside, or use that runbook alone, once for each: `runbook run NAME --each FILE`",
    ),
    ("optional", "put it on the steps inside that may fail"),
    ("retry", "put it on the steps inside: each is tried again by itself"),
    ("until", "put it on a step inside that only reads"),
    ("timeout", "put it on the steps inside: each has its own time"),
    ("already", "put it on the steps inside: each looks for what it makes itself"),
    ("undo", "put it on the steps inside: each is taken back by itself"),
    ("effect", "put it on the steps inside: each says what doing it twice means"),
];

#[derive(Debug)]
struct Use {
    name: String,
    loaded: Loaded,
    inputs: Vec<(String, Tree)>,
}

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    reader.only(FIELDS);
    if !reader.has("runbook") {
        return reader.missing(
            "runbook",
            "name the runbook to use, as in `use = { runbook = \"add-user\" }`",
        );
    }
    let name = reader.text("runbook")?;
    let loaded = reader.gather.load(&name)?;
    let inputs = inputs(reader, &loaded);
    check_inputs(reader, &name.value, &loaded);
    Some(Box::new(Use { name: name.value, loaded, inputs }))
}

/// The inputs given; a secret only to one that is secret there, as it could show otherwise.
fn inputs(reader: &Reader<'_>, loaded: &Loaded) -> Vec<(String, Tree)> {
    let Some(table) = reader.table("inputs") else { return Vec::new() };
    let sink = |key: &str| {
        let secret = loaded.secrets.iter().any(|name| name == key);
        if secret { Sink::Closed } else { Sink::Open("an input that is not secret there") }
    };
    table
        .keys()
        .filter_map(|(key, _)| Some((key.to_owned(), table.tree(key, sink(key))?)))
        .collect()
}

/// Inputs it does not have, and inputs it cannot do without.
fn check_inputs(reader: &Reader<'_>, name: &str, loaded: &Loaded) {
    let known: Vec<&str> = loaded.inputs.iter().map(|(input, _)| input.as_str()).collect();
    let given: Vec<&str> = reader
        .table("inputs")
        .map(|table| {
            for (key, span) in table.keys().filter(|(key, _)| !known.contains(key)) {
                let diag = Diag::error(format!("`{name}` has no input `{key}`"), span);
                reader.gather.report(diag.suggest(key, known.iter().copied()));
            }
            table.keys().map(|(key, _)| key).collect()
        })
        .unwrap_or_default();
    let missing: Vec<&str> = loaded
        .inputs
        .iter()
        .filter(|(input, needed)| *needed && !given.contains(&input.as_str()))
        .map(|(input, _)| input.as_str())
        .collect();
    if !missing.is_empty() {
        let diag = Diag::error(format!("`{name}` needs {}", list(&missing)), reader.span());
        reader.gather.report(diag.help("give them in `inputs`"));
    }
}

impl Step for Use {
    fn effect(&self) -> Effect {
        // What it changes is intended and recorded by the inner steps themselves.
        Effect::Pure
    }

    fn alone(&self) -> bool {
        true
    }

    fn nested(&self) -> Option<Nested<'_>> {
        Some(Nested { runbook: &*self.loaded.runbook, inputs: &self.inputs })
    }

    fn what(&self, _cx: &Cx<'_>) -> Result<String, Trouble> {
        Ok(format!("use the runbook {}", self.name))
    }

    fn manual(&self, _hand: &Hand<'_>) -> Manual {
        let inputs = self.inputs.iter().map(|(name, tree)| {
            format!("\n- `{}`: `{}`", manual::called(name), manual::tree_words(tree))
        });
        let with = if self.inputs.is_empty() { "" } else { ", with\n" };
        let inputs: String = inputs.collect();
        Manual::text(format!(
            "Follow the runbook `{}` (`runbook show {}`){with}{inputs}",
            self.name, self.loaded.command
        ))
    }

    fn run<'a>(&'a self, _cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async { Err(Trouble::failed("a runbook is walked, not run")) })
    }
}
