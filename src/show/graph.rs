//! The steps as a Mermaid flowchart.

use std::fmt::Write as _;

use super::title;
use crate::journal::event::Effect;
use crate::runbook::{Runbook, StepDef};

/// The flowchart: boxes by what doing a step means, and the way from one to the next.
pub fn graph(runbook: &Runbook) -> String {
    let mut out = String::from("flowchart TD\n");
    for (at, step) in runbook.steps.iter().enumerate() {
        let _ = writeln!(out, "  s{at}{}", shape(step));
    }
    let _ = writeln!(out, "  done(((done)))");
    for (at, step) in runbook.steps.iter().enumerate() {
        let next = name(runbook, at + 1);
        let label = step.for_each.as_ref().map(|each| format!("each {}", each.name));
        if let Some(label) = label {
            let _ = writeln!(out, "  s{at} -->|\"{}\"| s{at}", text(&label));
        }
        let _ = writeln!(out, "  s{at} --> {next}");
        if !step.gates.is_empty() {
            let gates: Vec<&str> =
                step.gates.iter().map(|gate| gate.that().source().trim()).collect();
            let _ = writeln!(out, "  s{at} -.->|\"not: {}\"| stop", text(&gates.join(" and ")));
        }
    }
    if runbook.steps.iter().any(|step| !step.gates.is_empty()) {
        out.push_str("  stop([stop])\n");
    }
    out
}

fn name(runbook: &Runbook, at: usize) -> String {
    if at < runbook.steps.len() { format!("s{at}") } else { "done".to_owned() }
}

/// Questions are hexagons, what changes things has double sides, the rest is plain.
fn shape(step: &StepDef) -> String {
    let when =
        step.when.as_ref().map(|when| format!("<br/>only if {}", text(when.source().trim())));
    let label = format!("{}{}", text(&title(step)), when.unwrap_or_default());
    match step.effect {
        _ if step.action.asks() => format!("{{{{\"{label}\"}}}}"),
        Effect::Once | Effect::Repeatable => format!("[[\"{label}\"]]"),
        Effect::Read | Effect::Pure => format!("[\"{label}\"]"),
    }
}

fn text(text: &str) -> String {
    text.replace('&', "#amp;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}
