//! The values of a runbook: what is asked for, the presets, and what is computed from them.

use std::collections::HashSet;
use std::fmt::Write as _;

use regex_lite::Regex;

use super::{cell, fenced, first_paragraph, hand, paragraph};
use crate::reader::Tree;
use crate::runbook::{From, Input, Runbook, Save, StepDef, Value};
use crate::step::Manual;
use crate::step::manual::{Names, called, is_json, quoted, tree_words, words};
use crate::value::{Json, MASK};

/// What the file tells of the names in it.
pub(super) fn names(runbook: &Runbook) -> Names {
    Names { json: json(runbook), lists: lists(runbook), secret: secret(runbook) }
}

/// The names whose values are lists, as far as the file tells.
fn lists(runbook: &Runbook) -> HashSet<String> {
    let mut names = HashSet::new();
    let typed = runbook.inputs.iter().filter(|input| input.typed.name == "list");
    names.extend(typed.map(|input| input.name.clone()));
    let vars = runbook.vars.iter().filter(|var| matches!(var.value, Tree::List(_)));
    names.extend(vars.map(|var| var.name.clone()));
    for step in &runbook.steps {
        let gates: Vec<&str> = step.gates.iter().map(|gate| gate.that().source()).collect();
        let list = |save: &&Save| {
            let program = save.program.map_or("", |program| runbook.programs.code(program)).trim();
            step.for_each.is_some()
                || program.ends_with(']') && is_list(program)
                || gates.iter().any(|gate| says(gate, &save.name, "is (iterable|sequence)"))
                || taken_for_list(runbook, &save.name)
        };
        names.extend(step.saves.iter().filter(list).map(|save| save.name.clone()));
    }
    names
}

/// The names whose values are nobody else's business.
fn secret(runbook: &Runbook) -> HashSet<String> {
    let inputs = runbook.inputs.iter().filter(|input| input.secret).map(|input| &input.name);
    let saves = runbook.steps.iter().flat_map(|step| &step.saves);
    let saves = saves.filter(|save| save.secret).map(|save| &save.name);
    let mut names: HashSet<String> = inputs.chain(saves).cloned().collect();
    for var in &runbook.vars {
        if var.value.reads().iter().any(|name| names.contains(*name)) {
            names.insert(var.name.clone());
        }
    }
    names
}

/// The names whose values are no texts, as far as the file tells.
fn json(runbook: &Runbook) -> HashSet<String> {
    let mut names = HashSet::new();
    let typed = |input: &&Input| !matches!(input.typed.name, "string" | "url" | "path");
    names.extend(runbook.inputs.iter().filter(typed).map(|input| input.name.clone()));
    for var in &runbook.vars {
        let known = match &var.value {
            Tree::Literal(json) => !json.is_string(),
            Tree::Template(template) => match template.sole_name() {
                Some(name) => names.contains(name),
                None => is_json(template.source().trim_start_matches('{')),
            },
            Tree::List(_) | Tree::Map(_) => true,
        };
        names.extend(known.then(|| var.name.clone()));
    }
    for step in &runbook.steps {
        for save in &step.saves {
            let program = save.program.or_else(|| unnamed(runbook, step).computed);
            let program = program.map_or("", |program| runbook.programs.code(program));
            let mut gates = step.gates.iter().map(|gate| gate.that().source());
            if step.for_each.is_some()
                || is_list(program)
                || gates.any(|gate| compares_as_json(gate, &save.name))
                || taken_for_list(runbook, &save.name)
                || taken_apart(runbook, &save.name)
                || kept_for_jq(runbook, step, save)
            {
                names.insert(save.name.clone());
            }
        }
    }
    names
}

/// Whether a program gives a list, an object or a number, by the look of it.
fn is_list(program: &str) -> bool {
    let program = program.trim();
    let open = match program.chars().last() {
        Some(']') => '[',
        Some('}') => '{',
        _ => return !program.starts_with(['[', '{']) && is_json(program),
    };
    // `[…][0]` and `.a[0]` give one thing out of a list.
    let close = program.chars().last().unwrap_or_default();
    let mut depth = 0_usize;
    for (at, c) in program.char_indices().rev() {
        depth = if c == close { depth + 1 } else { depth - usize::from(c == open) };
        if depth == 0 {
            let before = program[..at].trim_end();
            return before.is_empty() || before.ends_with('|');
        }
    }
    false
}

/// Whether a program takes a name apart as a list.
fn taken_for_list(runbook: &Runbook, name: &str) -> bool {
    let apart = format!(r"\${name}(\[\]| *\| *(sort|map|join|unique)\b)");
    runbook.programs.codes().any(|code| matches(&apart, code))
}

/// Whether something reads a part of a name's value, or takes it for a number or a truth.
fn taken_apart(runbook: &Runbook, name: &str) -> bool {
    let part = r#"\.["\[a-zA-Z_]"#;
    let function =
        "(add|all|any|flatten|from_entries|has|keys|max|min|to_entries|values|with_entries)";
    let number = "([-+*/%]|[<>]=?|[!=]=)";
    let piped = format!(r"\| *({part}|{function}(_by|_unsorted)?\b)");
    let compared = format!(r"{number} *[0-9]|[!=]= *(true|false)\b");
    let after = format!(r"\${name} *({part}|\[[^\]:]*\]|{piped}|{compared})");
    let program = format!(r"{after}|[0-9] *{number} *\${name}\b");
    let template = format!(r"\{{[{{%][^}}]*[^.\w]{name}(\.[a-zA-Z_]|\[[^\]:]*\])");
    runbook.programs.codes().any(|code| matches(&program, code))
        || matches(&template, &runbook.source.text)
}

/// What is done by hand, whatever is known of the names in it.
fn unnamed(runbook: &Runbook, step: &StepDef) -> Manual {
    step.action.manual(&hand(runbook, &Names::default(), false))
}

/// Whether only jq reads a value. Then it is kept as the JSON it is, which is right whatever that is.
/// A value that commands read as well must be without quotes there, if it is a text; so it is taken
/// for a text unless the file shows that it is none, which no shell can find out.
fn kept_for_jq(runbook: &Runbook, step: &StepDef, save: &Save) -> bool {
    let itself = save.program.is_none_or(|program| runbook.programs.code(program).trim() == ".");
    let manual = unnamed(runbook, step);
    if manual.shell.is_none() || manual.raw && itself {
        return false;
    }
    let name = &save.name;
    let (program, template) = (format!(r"\${name}\b"), format!(r"\{{[{{%][^}}]*\b{name}\b"));
    runbook.programs.codes().any(|code| matches(&program, code))
        && !matches(&template, &runbook.source.text)
}

/// Whether a gate says that a value is no text.
fn compares_as_json(gate: &str, name: &str) -> bool {
    says(gate, name, "(is (integer|number|boolean|iterable|sequence|mapping)|[<>]|[!=]= *[0-9])")
}

/// Whether a gate says this of a name, a pattern.
fn says(gate: &str, name: &str, what: &str) -> bool {
    matches(&format!(r"\b{name} *{what}"), gate)
}

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
}

pub(super) fn markdown(runbook: &Runbook, names: &Names) -> String {
    let mut out = String::new();
    if !runbook.inputs.is_empty() {
        inputs(&mut out, runbook);
        presets(&mut out, runbook);
        for input in runbook.inputs.iter().filter(|input| input.about.trim().contains("\n\n")) {
            let _ = writeln!(out, "### {}\n", called(&input.name));
            paragraph(&mut out, &input.about);
        }
    }
    if !runbook.vars.is_empty() {
        out.push_str("## Derived values\n\n");
        fenced(&mut out, &vars(runbook, names));
    }
    out
}

fn inputs(out: &mut String, runbook: &Runbook) {
    out.push_str("## Inputs\n\nSet each as a shell variable before you begin: `NAME=value`.\n\n");
    out.push_str("| Input | What it is | Example | Default |\n|---|---|---|---|\n");
    for input in &runbook.inputs {
        let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            called(&input.name),
            cell(&what(input)),
            cell(&code(input.example.as_deref().unwrap_or_default())),
            cell(&code(&default(input))),
        );
    }
    out.push('\n');
}

fn what(input: &Input) -> String {
    let about = first_paragraph(input);
    let mut parts = input.typed.told();
    parts.extend(input.typed.written_in_commands().map(|how| format!("in commands {how}")));
    if input.secret {
        parts.push("secret".to_owned());
    }
    let from: Vec<String> = input.from.iter().map(place).collect();
    if !from.is_empty() {
        parts.push(format!("looked for in {}", from.join(", then ")));
    }
    let parts = parts.join("; ");
    match (about.is_empty(), parts.is_empty()) {
        (_, true) => about,
        (true, _) => parts,
        _ => format!("{about} ({parts})"),
    }
}

fn place(from: &From) -> String {
    match from {
        From::Env(name) => format!("the environment variable `{name}`"),
        From::Dotenv { file, key } => format!("`{key}` in `{}`", words(file)),
        From::File(file) => format!("the file `{}`", words(file)),
    }
}

fn default(input: &Input) -> String {
    match &input.default {
        None => String::new(),
        Some(Value::Literal(json)) => shown(input, json),
        Some(Value::Template(template)) => words(template),
    }
}

/// A value of an input as the file has it; a secret one is not for a page that is passed on.
fn shown(input: &Input, json: &Json) -> String {
    let text = crate::value::text(json);
    if input.secret && !text.is_empty() { MASK.to_owned() } else { text }
}

/// Inputs down, presets across: there are more inputs.
fn presets(out: &mut String, runbook: &Runbook) {
    if runbook.presets.is_empty() {
        return;
    }
    let names = runbook.presets.iter().map(|preset| format!(" `{}` |", preset.name));
    let _ = writeln!(out, "### Presets\n\n| Input |{}", names.collect::<String>());
    let _ = writeln!(out, "|---|{}", "---|".repeat(runbook.presets.len()));
    let value = |input: &Input, values: &[(crate::reader::Text, Json)]| {
        let found = values.iter().find(|(name, _)| name.value == input.name);
        found.map(|(_, value)| format!("`{}`", shown(input, value))).unwrap_or_default()
    };
    for input in &runbook.inputs {
        let row: Vec<String> =
            runbook.presets.iter().map(|preset| value(input, &preset.values)).collect();
        if row.iter().any(|value| !value.is_empty()) {
            let row: Vec<String> = row.iter().map(|value| cell(value)).collect();
            let _ = writeln!(out, "| `{}` | {} |", called(&input.name), row.join(" | "));
        }
    }
    out.push('\n');
}

fn vars(runbook: &Runbook, names: &Names) -> String {
    let line = |name: &str, tree: &Tree| {
        let (name, value) = (called(name), tree_words(tree));
        match tree {
            // Something to work out: in a comment, as a shell would take it for a value.
            Tree::Template(_) if value.starts_with('{') && value.ends_with('}') => {
                let quotes = if value.contains('"') { '\'' } else { '"' };
                let code = value[1..value.len() - 1].replace('\'', &quotes.to_string());
                format!("{name}=  # {}\n", code.replace('\n', " "))
            }
            tree => {
                let hand = hand(runbook, names, false);
                let value = match tree {
                    Tree::List(_) | Tree::Map(_) if hand.fills_text(tree) => {
                        format!("$({})", hand.compact(tree))
                    }
                    tree => quoted(&hand.tree_shell(tree)),
                };
                let left = !hand.remarks().is_empty();
                let remark = if left { "  # to be filled in" } else { "" };
                format!("{name}={value}{remark}\n")
            }
        }
    };
    runbook.vars.iter().map(|var| line(&var.name, &var.value)).collect()
}
