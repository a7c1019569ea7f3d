//! A whole command line where the name of a program should stand.

use super::super::StepDef;
use crate::diag::Diag;
use crate::step::{Runs, Step, Touch};
use crate::template::{Piece, Template};

/// What only a shell would take apart, or take for something else than a letter.
const FOR_A_SHELL: &[char] =
    &['\'', '"', '`', '|', '&', ';', '<', '>', '$', '*', '?', '(', ')', '~', '\\'];

/// The programs of a step, of its look-up and its undo, whose names hold spaces. `exists` tells
/// whether there is a program that is called so.
pub(super) fn unsplit(step: &StepDef, exists: &dyn Fn(&str) -> bool) -> Vec<Diag> {
    let probe = step.already.as_ref().map(|already| &*already.probe);
    let actions = [Some(&*step.action), probe, step.undo.as_deref()].into_iter().flatten();
    let runs = actions.flat_map(Step::touches).filter_map(|touch| match touch {
        Touch::Runs(runs) if is_line(&runs, exists) => Some(runs),
        _ => None,
    });
    runs.map(|runs| warned(step, &runs)).collect()
}

fn is_line(runs: &Runs<'_>, exists: &dyn Fn(&str) -> bool) -> bool {
    let Some(program) = runs.argv.first() else { return false };
    let source = program.source();
    let first = match program.pieces().first() {
        Some(Piece::Text(text)) => text.split_once(char::is_whitespace).map(|(first, _)| first),
        _ => None,
    };
    let Some(first) = first.filter(|first| !first.is_empty()) else { return false };
    if program.is_literal() {
        // on another host nobody looks, and a path may hold spaces
        let missing = if runs.on.is_some() { !source.contains('/') } else { !exists(source) };
        return missing && source.split_whitespace().nth(1).is_some();
    }
    exists(first)
}

fn warned(step: &StepDef, runs: &Runs<'_>) -> Diag {
    let title = format!("step `{}` has a whole command line for a program's name", step.id);
    let diag = Diag::warning("unsplit-command", title, runs.span.clone())
        .label("no shell takes this apart: a program of this name is looked for");
    let Some((program, rest)) = runs.argv.split_first() else { return diag };
    let source = program.source();
    let rest = rest.iter().map(|word| word.source().to_owned());
    let diag =
        match words(program).filter(|_| !source.contains(FOR_A_SHELL) || !program.is_literal()) {
            Some(words) => {
                let all: Vec<String> =
                    words.into_iter().chain(rest).map(|word| format!("{word:?}")).collect();
                diag.help(format!("write its words as a list: `[{}]`", all.join(", ")))
            }
            None => diag.help("write its words as a list, one for each argument"),
        };
    if program.is_literal() {
        diag.help(format!("or have a shell read it: `[\"sh\", \"-c\", {source:?}]`"))
    } else {
        diag
    }
}

/// The words of a template, what it fills in left whole; nothing if more than that is in it.
fn words(template: &Template) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), String::new());
    for piece in template.pieces() {
        match piece {
            Piece::Text(text) => {
                for c in text.chars() {
                    if !c.is_whitespace() {
                        word.push(c);
                    } else if !word.is_empty() {
                        words.push(std::mem::take(&mut word));
                    }
                }
            }
            Piece::Expression(code) => word.extend(["{{", code, "}}"]),
            Piece::Statement(_) => return None,
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    Some(words)
}
