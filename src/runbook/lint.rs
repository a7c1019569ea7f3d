//! What looks wrong in a runbook that can be run: warnings, each with a code.
//!
//! A warning is no mistake: `run` never shows one. Each code has a page with an example that
//! triggers it and one that does not; both are tests.

mod literal;
mod pages;
mod unsplit;

use std::collections::{HashMap, HashSet};

use super::{Runbook, Save, StepDef};
use crate::diag::Diag;
use crate::journal::event::Effect;
use crate::jq::{ProgramId, assigned};
use crate::reader::Use;
use crate::source::place;
use crate::step::Gate;
pub use pages::{PAGES, Page, page};

/// Everything that looks wrong, in the order of the file. `exists` tells whether there is a program
/// that is called so.
pub fn lint(runbook: &Runbook, exists: &dyn Fn(&str) -> bool) -> Vec<Diag> {
    let mut found = unused(runbook);
    found.extend(literal::literal(&runbook.source));
    found.extend(runbook.programs.ids().flat_map(|id| set_in_condition(runbook, id)));
    let savers = savers(runbook);
    for (at, step) in runbook.steps.iter().enumerate() {
        found.extend(once_without_already(step));
        found.extend(unsplit::unsplit(step, exists));
        found.extend(gates(step).filter_map(|gate| cannot_fail(runbook, &savers, step, gate)));
        let earlier =
            |name: &str| savers.get(name).filter(|(place, _)| *place < at).map(|(_, one)| *one);
        found.extend(may_miss(runbook, step, &earlier, &step.uses.undo, "undo-may-miss"));
        let forwards =
            step.uses.list.iter().chain(&step.uses.before).chain(step.uses.saves.iter().flatten());
        let forwards: Vec<Use> = forwards.chain(&step.uses.after).cloned().collect();
        found.extend(may_miss(runbook, step, &earlier, &forwards, "may-be-skipped"));
    }
    found.sort_by_key(|diag| diag.span.as_ref().map_or(0, |span| span.start));
    found
}

/// The first step that saves each name, and which one it is.
type Savers<'a> = HashMap<&'a str, (usize, &'a StepDef)>;

fn savers(runbook: &Runbook) -> Savers<'_> {
    let mut savers = Savers::new();
    for (place, step) in runbook.steps.iter().enumerate() {
        for save in &step.saves {
            savers.entry(&save.name).or_insert((place, step));
        }
    }
    savers
}

/// Every name that something reads.
fn reads(runbook: &Runbook) -> HashSet<&str> {
    let inputs = runbook.inputs.iter().flat_map(|input| &input.uses);
    let vars = runbook.vars.iter().flat_map(|var| &var.uses);
    let steps = runbook.steps.iter().flat_map(|step| &step.reads).map(String::as_str);
    let connections = runbook.connections.iter().flat_map(|connection| connection.reads());
    inputs.chain(vars).map(|name| name.name.as_str()).chain(steps).chain(connections).collect()
}

fn unused(runbook: &Runbook) -> Vec<Diag> {
    let read = reads(runbook);
    let unread = |name: &str| !read.contains(name);
    let mut found = Vec::new();
    for input in runbook.inputs.iter().filter(|input| unread(&input.name)) {
        found.push(
            Diag::warning(
                "unused-input",
                format!("nothing reads the input `{}`", input.name),
                input.span.clone(),
            )
            .help("people are asked for it in vain: use it, or take it out"),
        );
    }
    for var in runbook.vars.iter().filter(|var| unread(&var.name)) {
        let title = format!("nothing reads the var `{}`", var.name);
        found.push(Diag::warning("unused-var", title, var.span.clone()).help("take it out"));
    }
    for step in &runbook.steps {
        let saves = step.saves.iter().filter(|save| unread(&save.name) && !is_record(step, save));
        found.extend(saves.map(|save| {
            let title = format!("nothing reads `{}`", save.name);
            Diag::warning("unused-save", title, save.span.clone())
                .help("a value that is not needed need not be kept: take it out")
        }));
    }
    found
}

/// Whether a value that nothing reads may be meant for the record alone, as a server's version, a
/// person's answer or what a used runbook made is. A computed value or a secret is not.
fn is_record(step: &StepDef, save: &Save) -> bool {
    (step.effect != Effect::Pure || step.action.nested().is_some()) && !save.secret
}

fn once_without_already(step: &StepDef) -> Option<Diag> {
    if step.effect != Effect::Once || step.already.is_some() {
        return None;
    }
    let title = format!("step `{}` cannot tell after a crash whether it was done", step.id);
    Some(
        Diag::warning("once-without-already", title, step.span.clone())
            .label("what it does must not be done twice, and it has no `already`")
            .help("add `already`, which looks whether the effect is there")
            .help("if doing it twice does no harm, write `effect = \"repeatable\"`"),
    )
}

fn set_in_condition(runbook: &Runbook, program: ProgramId) -> Vec<Diag> {
    let (code, literal) = (runbook.programs.code(program), runbook.programs.literal(program));
    let warned = |range| {
        let span = place(&runbook.source, &literal, range);
        Diag::warning("set-in-condition", "a jq condition is always true", span)
            .label("`=` sets, `==` compares")
            .help("write `==`")
    };
    assigned(code).into_iter().map(warned).collect()
}

fn gates(step: &StepDef) -> impl Iterator<Item = &Gate> {
    step.gates.iter().chain(step.action.gate())
}

/// A gate that reads nothing judges nothing, and neither does one that asks only whether a name
/// is there that always is: an undefined one would be an error.
fn cannot_fail(
    runbook: &Runbook,
    savers: &Savers<'_>,
    step: &StepDef,
    gate: &Gate,
) -> Option<Diag> {
    let that = gate.that().source().trim();
    let label = match that.strip_suffix("is defined").map(str::trim_end) {
        _ if gate.that().reads().is_empty() => "reads no value",
        Some(name) if always_there(runbook, savers, name) => "this name is always there",
        _ => return None,
    };
    let title = format!("the gate `{that}` always says the same");
    let diag = Diag::warning("constant-gate", title, gate.span().clone()).label(label);
    Some(diag.help(format!("judge something that step `{}` saves", step.id)))
}

fn always_there(runbook: &Runbook, savers: &Savers<'_>, name: &str) -> bool {
    let input = runbook.inputs.iter().any(|input| input.name == name);
    input
        || runbook.vars.iter().any(|var| var.name == name)
        || savers.get(name).is_some_and(|(_, step)| step.when.is_none())
}

/// Names read that a step before, left out or failed, would not have saved.
fn may_miss<'a>(
    runbook: &Runbook,
    step: &StepDef,
    earlier: &dyn Fn(&str) -> Option<&'a StepDef>,
    uses: &[Use],
    code: &'static str,
) -> Vec<Diag> {
    let mut seen: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for name in uses {
        let owner = earlier(&name.name);
        let Some(saver) = owner.filter(|saver| saver.when.is_some() || saver.optional) else {
            continue;
        };
        if seen.contains(&name.name.as_str()) || guarded(runbook, step, saver, name) {
            continue;
        }
        seen.push(&name.name);
        let when = saver.when.as_ref().map(|when| when.source().trim());
        let what = if code == "undo-may-miss" { "the `undo` of step" } else { "step" };
        let title = format!("{what} `{}` reads `{}`, which may not be there", step.id, name.name);
        let diag = Diag::warning(code, title, name.span(&runbook.source));
        found.push(match when {
            Some(when) => diag
                .related(saver.span.clone(), format!("saved only if `{when}`"))
                .help(format!("give step `{}` the same `when`", step.id))
                .help(format!("or say what holds without it: `{} | default(…)`", name.name)),
            None => diag
                .related(saver.span.clone(), "null if this step fails, which it may")
                .help(format!(
                    "leave step `{}` out then: `when = \"{} is not none\"`",
                    step.id, name.name
                ))
                .help(format!("or say what holds without it: `{} or …`", name.name)),
        });
    }
    found
}

/// Whether the author has thought of the name's absence.
fn guarded(runbook: &Runbook, step: &StepDef, saver: &StepDef, name: &Use) -> bool {
    let when = saver.when.as_ref().map(|when| when.source().trim());
    let own = step.when.as_ref();
    let asks = own.is_some_and(|own| {
        when.is_some_and(|when| own.source().contains(when))
            || own.reads().iter().any(|read| read.name == name.name)
    });
    let text = runbook.source.text.get(name.literal.clone()).unwrap_or_default();
    // jq takes a name that is not there for null.
    let absent = ["default(", "is defined", "is undefined", "//", "{% if "];
    // what a step that failed would have saved is null
    let null = ["none", "null", " or "];
    let said = |words: &[&str]| words.iter().any(|word| text.contains(word));
    asks || said(&absent) || saver.optional && when.is_none() && said(&null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn codes(text: &str) -> Vec<&'static str> {
        let source = Source::new("x.toml", text);
        let parsed = Runbook::parse(&source, &|_, _| Err(String::new()));
        let (runbook, _) = parsed.map_err(|diags| diags[0].title.clone()).unwrap();
        lint(&runbook, &|name| name == "ls" || name == "my tool")
            .iter()
            .filter_map(|diag| diag.code)
            .collect()
    }

    #[test]
    fn the_bad_example_of_each_page_triggers_it_and_the_good_one_nothing() {
        for page in PAGES.iter().filter(|page| page.beside.is_none()) {
            assert_eq!(codes(page.bad), [page.code], "{}", page.code);
            assert_eq!(codes(page.good), [""; 0], "{}", page.code);
        }
    }

    #[test]
    fn a_gate_that_asks_only_whether_a_name_is_there_cannot_fail_unless_it_may_not_be() {
        let book = |when: &str| {
            format!(
                "format = 1\nname = \"x\"\n[inputs.a]\n[[steps]]\nid = \"n\"\n{when}jq = \"$a\"\n\
                 [[steps]]\nid = \"s\"\ngate = \"n is defined\"\n"
            )
        };
        assert_eq!(codes(&book("")), ["constant-gate"]);
        assert_eq!(codes(&book("when = \"a\"\n")), [""; 0]);
    }

    #[test]
    fn what_an_optional_step_saves_may_be_null() {
        let book = |reads: &str| {
            format!(
                "format = 1\nname = \"x\"\n[connections.c]\nbase = \"https://a.example/\"\n\
                 [[steps]]\nid = \"o\"\noptional = true\nhttp = {{ on = \"c\", url = \"x\" }}\n\
                 save.oid = \".id\"\n[[steps]]\nid = \"s\"\n{reads}\n"
            )
        };
        assert_eq!(codes(&book("note = \"{{ oid }}\"")), ["may-be-skipped"]);
        assert_eq!(codes(&book("when = \"oid is not none\"\nnote = \"{{ oid }}\"")), [""; 0]);
        assert_eq!(codes(&book("note = \"{{ oid or 'no' }}\"")), [""; 0]);
        assert_eq!(codes(&book("gate = \"oid is none or oid > 1\"")), [""; 0]);
    }

    #[test]
    fn what_is_said_in_vain_is_warned_of() {
        let book = |base: &str, step: &str| {
            format!(
                "format = 1\nname = \"x\"\n[connections.c]\nbase = \"{base}\"\n\
                 [[steps]]\nid = \"s\"\n{step}\n"
            )
        };
        let call = "http = { on = \"c\", url = \"x\" }";
        let good = "https://a.example/v1";
        for (base, step) in [
            ("https://a.example/v1?x=1", call.to_owned()),
            ("https://a.example/v1#x", call.to_owned()),
            (good, "http = { on = \"c\", url = \"x\", accept = [2000] }".to_owned()),
            (good, format!("{call}\nfor_each = \"[1]\"\nat_once = 0")),
            (good, format!("{call}\nuntil = {{ that = \"s\", every = \"2m\" }}\nsave.s = \".\"")),
        ] {
            assert_eq!(codes(&book(base, &step)), ["without-effect"], "{base} {step}");
        }
        let generated = "generate = { what = \"uuid\", length = 7 }\n\
                         [[steps]]\nid = \"t\"\ngate = \"s != ''\"\n[[steps]]\nid = \"u\"";
        assert_eq!(codes(&book(good, &format!("{generated}\n{call}"))), ["without-effect"]);
        assert_eq!(codes(&book(good, call)), [""; 0]);
    }

    #[test]
    fn a_command_line_is_no_program_unless_there_is_one_called_so() {
        let codes = |command: &str| {
            codes(&format!(
                "format = 1\nname = \"x\"\n[[steps]]\nid = \"w\"\njq = \"1\"\n\
                 [[steps]]\nid = \"s\"\neffect = \"read\"\ncommand = {command}\n"
            ))
        };
        for line in [
            "\"ls -l\"",
            "[\"ls -l\"]",
            "[\"ls -l\", \"x\"]",
            "[\"ls {{ w }}\"]",
            "{ run = \"my tool\", ssh = \"box\" }",
        ] {
            assert!(codes(line).contains(&"unsplit-command"), "{line}");
        }
        for word in [
            "\"ls\"",
            "[\"ls\", \"-l x\"]",
            "\"my tool\"",
            "\"{{ w }} -l\"",
            "\"dir/my {{ w }}\"",
            "{ run = [\"/opt/My App/bin/x\"], ssh = \"box\" }",
        ] {
            assert!(!codes(word).contains(&"unsplit-command"), "{word}");
        }
    }

    #[test]
    fn what_a_preset_sets_is_not_used_by_that() {
        let text = "format = 1\nname = \"x\"\n[inputs.a]\n[presets.p]\na = \"v\"\n\
                    [[steps]]\nid = \"s\"\nnote = \"hello\"\n";
        assert_eq!(codes(text), ["unused-input"]);
    }

    #[test]
    fn an_input_that_only_a_connection_or_another_input_reads_is_used() {
        let text = "format = 1\nname = \"x\"\n[inputs.a]\n[inputs.b]\ndefault = \"{{ a }}\"\n\
                    [connections.c]\nbase = \"https://{{ b }}/\"\n\
                    [[steps]]\nid = \"s\"\nhttp = { on = \"c\", url = \"x\" }\n";
        assert_eq!(codes(text), [""; 0]);
    }

    #[test]
    fn bundled_runbooks_have_no_warnings() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks");
        for folder in std::fs::read_dir(root).unwrap() {
            for entry in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                if name == "fake.toml" || name.ends_with(".test.toml") {
                    continue;
                }
                let source = Source::new(name, std::fs::read_to_string(&path).unwrap());
                let beside = |other: &str, _: &Source| {
                    let path = path.with_file_name(format!("{other}.toml"));
                    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
                    Ok(Source::new(other, text))
                };
                let Ok((runbook, _)) = Runbook::parse(&source, &beside) else { continue };
                let found = lint(&runbook, &|_| false);
                assert!(found.is_empty(), "{}", crate::diag::render(&source, &found, false, None));
            }
        }
    }
}
