//! A runbook as the Markdown that a person could follow by hand.
//!
//! Kinds say what their steps are by hand ([`Step::manual`]); here that is
//! put in order, numbered, and joined with what every step has: conditions, values to keep, gates.
//! Nothing is rendered: a value is a shell variable, `$NAME`.

mod graph;
mod kinds;
mod values;

use std::cell::RefCell;
use std::fmt::Write as _;

use crate::runbook::{From, Input, Runbook, Save, StepDef};
use crate::step::manual::{Names, called, variable, words};
use crate::step::retry::Retry;
use crate::step::{Hand, Manual, Step};
pub use graph::graph;
pub use kinds::{kind, kinds, plugin, plugins};

/// The whole runbook.
pub fn markdown(runbook: &Runbook) -> String {
    let names = values::names(runbook);
    let mut out = format!("# {}\n\n", runbook.title);
    paragraph(&mut out, &runbook.about);
    if !runbook.needs.is_empty() {
        out.push_str("## Before you begin\n\n");
        for need in &runbook.needs {
            let _ = writeln!(out, "- {need}");
        }
        out.push('\n');
    }
    out.push_str(&values::markdown(runbook, &names));
    for (at, step) in runbook.steps.iter().enumerate() {
        let _ = writeln!(out, "## {}. {}\n", at + 1, title(step));
        out.push_str(&body(runbook, step, &names));
    }
    out.push_str(&taking_back(runbook, &names));
    out.trim_end().to_owned() + "\n"
}

/// The commands of one step; none if it is nothing one types.
pub fn commands(runbook: &Runbook, step: &StepDef) -> Option<String> {
    let names = values::names(runbook);
    let hand = hand(runbook, &names, wants_head(runbook, step));
    let shell = shell(step, &by_hand(runbook, step, &names), &hand)?;
    let read = || runbook.inputs.iter().filter(|input| reads(&shell, &called(&input.name)));
    let typed = read().filter_map(as_json);
    let given = read().filter_map(from_environment);
    let each = for_each_remark(step);
    Some(typed.chain(given).chain(each).collect::<String>() + &shell)
}

/// How an input's variable is written that is no text, as a remark.
fn as_json(input: &Input) -> Option<String> {
    let how = input.typed.written_in_commands()?;
    Some(format!("# {}: {how}\n", called(&input.name)))
}

/// An input that the environment has, under the name that the commands call it by.
fn from_environment(input: &Input) -> Option<String> {
    let name = input.from.iter().find_map(|from| match from {
        // anything else would be more than a name to a shell
        From::Env(name) if name.chars().all(in_name) => Some(name),
        _ => None,
    })?;
    let own = called(&input.name);
    (own != *name).then(|| format!("{own}=${{{name}:-${own}}}\n"))
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether commands read a variable.
fn reads(shell: &str, name: &str) -> bool {
    ["$", "${"].into_iter().any(|start| {
        let start = format!("{start}{name}");
        let mut found = shell.match_indices(&start);
        found.any(|(at, _)| !shell[at + start.len()..].starts_with(in_name))
    })
}

fn hand<'a>(runbook: &'a Runbook, names: &'a Names, head: bool) -> Hand<'a> {
    let (connections, programs) = (&runbook.connections, &runbook.programs);
    Hand {
        connections,
        programs,
        names,
        head,
        unsaid: RefCell::default(),
        first: RefCell::default(),
    }
}

fn by_hand(runbook: &Runbook, step: &StepDef, names: &Names) -> Manual {
    remarked(&*step.action, &hand(runbook, names, wants_head(runbook, step)))
}

/// What is done by hand, with what is left to the person in remarks.
fn remarked(action: &dyn Step, hand: &Hand<'_>) -> Manual {
    let manual = action.manual(hand);
    let remarks = manual.remarks.into_iter().chain(hand.remarks()).collect();
    let shell = manual.shell.map(|shell| hand.first.borrow().concat() + &shell);
    Manual { shell, remarks, ..manual }
}

/// Whether what is saved is read from the head of the answer.
fn wants_head(runbook: &Runbook, step: &StepDef) -> bool {
    let mut programs = step.saves.iter().filter_map(|save| save.program);
    programs.any(|program| runbook.programs.reads(program).contains(&"response"))
}

fn title(step: &StepDef) -> String {
    step.title.as_ref().map_or_else(|| step.id.clone(), |title| words(title).trim().to_owned())
}

fn paragraph(out: &mut String, text: &str) {
    let text = text.trim();
    if !text.is_empty() {
        out.push_str(&lowered(text));
        out.push_str("\n\n");
    }
}

/// Markdown inside a section: its headings go below the section's own.
fn lowered(markdown: &str) -> String {
    let mut code = false;
    let lines = markdown.lines().map(|line| {
        code ^= line.trim_start().starts_with("```");
        if line.starts_with('#') && !code { format!("##{line}\n") } else { format!("{line}\n") }
    });
    lines.collect::<String>().trim_end().to_owned()
}

fn fenced(out: &mut String, shell: &str) {
    let _ = writeln!(out, "```sh\n{}\n```\n", shell.trim_end());
}

fn body(runbook: &Runbook, step: &StepDef, names: &Names) -> String {
    let mut out = String::new();
    conditions(&mut out, step);
    paragraph(&mut out, &step.about);
    look_first(&mut out, runbook, step, names);
    let manual = by_hand(runbook, step, names);
    paragraph(&mut out, &manual.text);
    let hand = hand(runbook, names, wants_head(runbook, step));
    match shell(step, &manual, &hand) {
        Some(shell) => {
            let each = for_each_remark(step).filter(|_| !step.saves.is_empty());
            fenced(&mut out, &(each.unwrap_or_default() + &shell));
        }
        None => kept(&mut out, step),
    }
    if let Some(until) = &step.until {
        let (every, limit) = (until.every, until.limit);
        let that = until.that.source().trim();
        let what = until.what.as_ref().map(|what| format!("Wait for {what}. ")).unwrap_or_default();
        let _ = writeln!(
            out,
            "{what}Repeat it every {every:?} until `{that}`, for at most {limit:?}.\n"
        );
    }
    if let Some(told) = step.retry.as_ref().and_then(Retry::told) {
        let _ = writeln!(out, "{told}\n");
    }
    for gate in &step.gates {
        let _ = writeln!(out, "{}\n", gate.told());
    }
    hints(&mut out, step);
    out
}

fn conditions(out: &mut String, step: &StepDef) {
    if let Some(when) = &step.when {
        let _ = writeln!(out, "*Only if* `{}`.\n", when.source().trim());
    }
    if let Some(each) = &step.for_each {
        let (name, list) = (variable(&each.name), each.list.source().trim());
        let _ = writeln!(out, "*Once for each* `{name}` *of* `{list}`.\n");
    }
    if step.optional {
        out.push_str("*If it fails, go on without it.*\n\n");
    }
    if step.always {
        out.push_str("*Do it also at the end when something else failed.*\n\n");
    }
}

/// How to tell that the effect is there.
fn look_first(out: &mut String, runbook: &Runbook, step: &StepDef, names: &Names) {
    let Some(already) = &step.already else { return };
    let head = runbook.programs.reads(already.find).contains(&"response");
    let hand = hand(runbook, names, head);
    let (probe, find) = (remarked(&*already.probe, &hand), hand.jq(already.find, ""));
    let look = if head {
        probe.piped(None).map(|probe| {
            let mut look = String::new();
            assign(&mut look, "RESPONSE", &probe);
            look + &find + " answer"
        })
    } else {
        probe.piped(Some(&find))
    };
    let Some(look) = look else { return };
    out.push_str("It may be there already. Look first:\n\n");
    fenced(out, &look);
    out.push_str("If nothing is found, go on.");
    let names: Vec<&str> = already.fields.iter().map(|field| field.name.as_str()).collect();
    let same = match (already.same, names.is_empty()) {
        (_, false) => {
            let are = if names.len() == 1 { "is" } else { "are" };
            format!("{} {are} as wanted here", crate::reader::list(&names))
        }
        (Some(same), _) => format!("`{}` holds", runbook.programs.code(same)),
        _ => "it is as wanted here".to_owned(),
    };
    let _ = writeln!(out, " If something is, use it, provided that {same}.\n");
}

/// What is kept of a step that is nothing one types.
fn kept(out: &mut String, step: &StepDef) {
    let names: Vec<String> =
        step.saves.iter().map(|save| format!("`{}`", variable(&save.name))).collect();
    if !names.is_empty() {
        let list = if step.for_each.is_some() { ", a JSON list with one for each" } else { "" };
        let _ = writeln!(out, "Keep it as {}{list}.\n", names.join(", "));
    }
}

fn hints(out: &mut String, step: &StepDef) {
    if step.hints.is_empty() {
        return;
    }
    out.push_str("If it fails:\n\n");
    for hint in &step.hints {
        let _ = match &hint.says {
            Some(says) => writeln!(out, "- it says \"{}\": {}", says.trim(), hint.text.trim()),
            None => writeln!(out, "- {}", hint.text.trim()),
        };
    }
    out.push('\n');
}

/// The commands of a step: what it does, and how the values to keep are taken from the answer.
fn shell(step: &StepDef, manual: &Manual, hand: &Hand<'_>) -> Option<String> {
    // an item's is put into a list, and a text keeps its quotes for that
    let text = |save: &Save| step.for_each.is_none() && !hand.names.json.contains(&save.name);
    let take = |save: &Save| {
        let program = save.program?;
        let plain = if text(save) { "-r" } else { "-c" };
        let raw = if manual.raw { "Rs" } else { "" };
        let itself = hand.programs.code(program).trim() == ".";
        (!itself).then(|| hand.jq(program, &format!("{plain}{raw}")))
    };
    let name = |save: &Save| match step.for_each {
        Some(_) => of_item(save),
        None => called(&save.name),
    };
    let mut out = String::new();
    match step.saves.as_slice() {
        [] => return manual.piped(None),
        [one] if !hand.head => {
            let taken = take(one);
            let unquoted = manual.unquoted.clone().filter(|_| text(one) && taken.is_none());
            let manual =
                Manual { shell: unquoted.or_else(|| manual.shell.clone()), ..manual.clone() };
            assign(&mut out, &name(one), &manual.piped(taken.as_deref())?);
        }
        many => {
            assign(&mut out, "RESPONSE", &manual.piped(None)?);
            for save in many {
                let quoted = manual.unquoted.is_some() && text(save);
                let itself = if quoted { "jq -r ." } else { "cat" };
                let jq = take(save).unwrap_or_else(|| itself.to_owned());
                let on_head = |program| hand.programs.reads(program).contains(&"response");
                let _ = if hand.head && save.program.is_some_and(on_head) {
                    // What came with the answer needs no answer in JSON.
                    writeln!(out, "{}=$({})", name(save), jq.replacen("jq -", "jq -n", 1))
                } else if hand.head {
                    writeln!(out, "{}=$({jq} answer)", name(save))
                } else {
                    writeln!(out, "{}=$({} | {jq})", name(save), printed("$RESPONSE"))
                };
            }
        }
    }
    for save in step.saves.iter().filter(|save| judged(step, save)) {
        let _ = writeln!(out, "{}", printed(&format!("{0}: ${0}", name(save))));
    }
    for save in step.saves.iter().filter(|_| step.for_each.is_some()) {
        let _ = writeln!(out, "{}", gathered(save, manual.raw && take(save).is_none()));
    }
    Some(out)
}

/// What prints a shell text as it is: some shells' `echo` reads backslashes.
fn printed(text: &str) -> String {
    format!("printf '%s\\n' \"{text}\"")
}

/// Of each item one value is saved; what is read afterwards is the list of them.
fn gathered(save: &Save, raw: bool) -> String {
    let (all, one) = (called(&save.name), of_item(save));
    let option = if raw { "--arg" } else { "--argjson" };
    format!("{all}=$({} | jq -c {option} one \"${one}\" '. + [$one]')", printed(&format!("${all}")))
}

/// What the value of one item is called.
fn of_item(save: &Save) -> String {
    format!("ITEM_{}", called(&save.name))
}

/// How the commands of one item become those of all.
fn for_each_remark(step: &StepDef) -> Option<String> {
    let each = step.for_each.as_ref()?;
    let list = each.list.source().trim().replace('\n', " ");
    let mut remark = format!("# once for each {} of `{list}`", called(&each.name));
    if !step.saves.is_empty() {
        let empty = |save: &Save| format!("{}='[]'", called(&save.name));
        let empty: Vec<String> = step.saves.iter().map(empty).collect();
        let _ = write!(remark, "; before the first: {}", empty.join(" "));
    }
    Some(remark + "\n")
}

/// What a command prints as a variable. A remark on it stands before.
fn assign(out: &mut String, name: &str, shell: &str) {
    let mut shell = shell;
    while let Some((remark, rest)) =
        shell.split_once('\n').filter(|(line, _)| line.starts_with("# "))
    {
        let _ = writeln!(out, "{remark}");
        shell = rest;
    }
    // `$((` begins a sum
    let apart = if shell.starts_with('(') { " " } else { "" };
    let _ = writeln!(out, "{name}=$({apart}{})", ended(shell));
}

/// A command inside `$( )`: a text on standard input ends on a line of its own.
fn ended(shell: &str) -> String {
    if shell.ends_with("\nEOF") { format!("{shell}\n") } else { shell.to_owned() }
}

/// Whether a gate judges a value that may be seen.
fn judged(step: &StepDef, save: &Save) -> bool {
    let reads =
        |gate: &crate::step::Gate| gate.that().reads().iter().any(|read| read.name == save.name);
    !save.secret && step.gates.iter().any(reads)
}

fn taking_back(runbook: &Runbook, names: &Names) -> String {
    let back = |step: &StepDef| {
        let manual = match &step.undo {
            Some(undo) => remarked(&**undo, &self::hand(runbook, names, false)),
            None => step.action.manual_back()?,
        };
        let mut part = format!("### {}\n\n", title(step));
        paragraph(&mut part, &manual.text);
        if let Some(shell) = manual.piped(None) {
            fenced(&mut part, &shell);
        }
        Some(part)
    };
    let parts: Vec<String> = runbook.steps.iter().rev().filter_map(back).collect();
    if parts.is_empty() {
        return String::new();
    }
    format!(
        "## Taking it back\n\nIn this order; leave out what was not done.\n\n{}",
        parts.concat()
    )
}

/// What an input is, for one cell of a table: its first paragraph.
fn first_paragraph(input: &Input) -> String {
    let mut parts = input.about.trim().split("\n\n");
    let first = parts.next().unwrap_or_default();
    let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
    // What leads over to a list stands with it, further on.
    match first.rfind(['.', '?', '!']) {
        Some(end) if parts.next().is_some() => first[..=end].to_owned(),
        _ => first,
    }
}

/// A text inside a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests;
