//! A runbook that another one uses: found, checked once, and never itself again inside.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Around, Runbook, Used};
use crate::reader::Loaded;
use crate::source::Source;
use crate::step::plugin::{Plugin, Refused};

/// What a file uses, with what is used inside.
#[derive(Default)]
pub(super) struct Uses {
    /// Runbooks, each once for each name it has in a file.
    pub(super) runbooks: RefCell<Vec<Used>>,
    /// Plug-ins, each once.
    pub(super) plugins: RefCell<Vec<Rc<Plugin>>>,
}

impl Uses {
    /// Notes a runbook, once.
    fn note(&self, used: Used) {
        let mut all = self.runbooks.borrow_mut();
        if !all.iter().any(|known| known.name == used.name && known.from == used.from) {
            all.push(used);
        }
    }

    /// Notes a plug-in; a name means one program in all of a run, which is resumed by the name.
    pub(super) fn kind(&self, plugin: &Rc<Plugin>) -> Result<(), Refused> {
        let mut all = self.plugins.borrow_mut();
        match all.iter().find(|known| known.name == plugin.name) {
            None => all.push(Rc::clone(plugin)),
            Some(known) if known.program == plugin.program => {}
            Some(known) => {
                let (name, here) = (&plugin.name, plugin.program.path.display());
                let there = known.program.path.display();
                let title = format!("the kind `{name}` is two programs: {here}, and {there}");
                let help = vec!["one run has one of a name: rename one of the two".to_owned()];
                return Err(Refused { title, help });
            }
        }
        Ok(())
    }
}

/// How many files may use each other in a row: a person follows three, and a path that only looks
/// new each time ends somewhere.
const DEEPEST: usize = 16;

/// What was checked already, by path: a file that is used in many places is checked in one.
pub(super) type Known = RefCell<BTreeMap<Rc<str>, Result<Rc<Runbook>, String>>>;

/// Finds and checks it; what is wrong inside is said in one line, with its place.
pub(super) fn load(
    name: &str,
    from: &Source,
    around: Around<'_>,
    outer: &[Rc<str>],
    used: &Uses,
) -> Result<Loaded, String> {
    let source = (around.runbooks)(name, from)?;
    let path: Rc<str> = Rc::from(&*source.path);
    let inside: Vec<Rc<str>> = outer.iter().cloned().chain([Rc::from(&*from.path)]).collect();
    if inside.contains(&path) {
        return Err(format!("`{name}` uses itself: {} -> {path}", inside.join(" -> ")));
    }
    if inside.len() > DEEPEST {
        return Err(format!("`{name}` is used too deep: {DEEPEST} files in a row use each other"));
    }
    let known = around.known.borrow().get(&path).cloned();
    let runbook = known.unwrap_or_else(|| {
        let checked = check(&source, around, &inside);
        around.known.borrow_mut().insert(path, checked.clone());
        checked
    });
    let runbook = runbook.map_err(|what| format!("`{name}` has mistakes: {what}"))?;
    let inputs =
        runbook.inputs.iter().map(|input| (input.name.clone(), input.default.is_none())).collect();
    let secret = runbook.inputs.iter().filter(|input| input.secret);
    let secrets = secret.map(|input| input.name.clone()).collect();
    for plugin in &runbook.plugins {
        used.kind(plugin).map_err(|refused| refused.title)?;
    }
    used.note(Used { from: from.path.clone(), name: name.to_owned(), source });
    runbook.used.iter().for_each(|inner| used.note(inner.clone()));
    let command = runbook.command_name().into_owned();
    Ok(Loaded { runbook, command, inputs, secrets })
}

fn check(source: &Source, around: Around<'_>, inside: &[Rc<str>]) -> Result<Rc<Runbook>, String> {
    let checked = Runbook::parse_inside(source, around, inside);
    checked.map(|(runbook, _)| Rc::new(runbook)).map_err(|diags| {
        let first = diags.first();
        let (line, column) = first
            .and_then(|diag| diag.span.as_ref())
            .map_or((1, 1), |span| source.line_column(span.start));
        let what = first.map_or("it is no runbook", |diag| diag.title.as_str());
        format!("{}:{line}:{column}: {what}", source.path)
    })
}
