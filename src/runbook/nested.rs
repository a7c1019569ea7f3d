//! A runbook that another one uses: found, checked, and never itself again inside.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Find, Runbook};
use crate::reader::Loaded;
use crate::source::Source;

/// Finds and checks it; what is wrong inside is said in one line, with its place.
pub(super) fn load(
    name: &str,
    from: &Source,
    find: Find<'_>,
    outer: &[Rc<str>],
    used: &RefCell<Vec<(String, Source)>>,
) -> Result<Loaded, String> {
    let source = find(name, from)?;
    let path: Rc<str> = Rc::from(&*source.path);
    let inside: Vec<Rc<str>> = outer.iter().cloned().chain([Rc::from(&*from.path)]).collect();
    if inside.contains(&path) {
        return Err(format!("`{name}` uses itself: {} -> {path}", inside.join(" -> ")));
    }
    let (runbook, _) = Runbook::parse_inside(&source, find, &inside).map_err(|diags| {
        let first = diags.first();
        let (line, column) = first
            .and_then(|diag| diag.span.as_ref())
            .map_or((1, 1), |span| source.line_column(span.start));
        let what = first.map_or("it is no runbook", |diag| diag.title.as_str());
        format!("`{name}` has mistakes: {path}:{line}:{column}: {what}")
    })?;
    let inputs =
        runbook.inputs.iter().map(|input| (input.name.clone(), input.default.is_none())).collect();
    let secret = runbook.inputs.iter().filter(|input| input.secret);
    let secrets = secret.map(|input| input.name.clone()).collect();
    let mut all = used.borrow_mut();
    all.push((name.to_owned(), source));
    all.extend(runbook.used.iter().cloned());
    Ok(Loaded { runbook: Rc::new(runbook), inputs, secrets })
}
