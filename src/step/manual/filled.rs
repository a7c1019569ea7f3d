//! JSON that `jq` fills in: whatever is in a value, quotes or line ends, it stays JSON.
//!
//! The values come as variables of `jq` alone, not as its arguments, which everybody on the machine
//! could see.

use std::fmt::Write as _;

use super::{Hand, called, field, in_json, is_json, is_name, quoted, single, variable};
use crate::reader::Tree;
use crate::template::{Piece, Template};
use crate::value::Json;

/// A `jq` program in the making, and the variables that it reads.
#[derive(Debug)]
pub struct Filled<'h> {
    hand: &'h Hand<'h>,
    /// Names and shell texts.
    given: Vec<(String, String)>,
}

impl Hand<'_> {
    /// A value as JSON that a shell command prints, if a text is to be filled in.
    pub fn filled(&self, tree: &Tree) -> Option<String> {
        self.fills_text(tree).then(|| {
            let mut filled = Filled::new(self);
            let program = filled.value(tree, 0);
            filled.command("-n", &program)
        })
    }

    /// Whether a value has a text with a name in it, which may hold anything.
    pub fn fills_text(&self, tree: &Tree) -> bool {
        match tree {
            Tree::Literal(_) => false,
            Tree::Template(template) => !self.is_whole(template),
            Tree::List(items) => items.iter().any(|item| self.fills_text(item)),
            Tree::Map(entries) => entries.iter().any(|(_, tree)| self.fills_text(tree)),
        }
    }

    /// Whether a template gives something that is no text, by the look of it: only one that is an
    /// expression and nothing else does.
    pub(super) fn is_whole(&self, template: &Template) -> bool {
        let sole = |code: &str| self.names.json.contains(code) || is_json(code);
        matches!(template.pieces()[..], [Piece::Expression(code)] if sole(code.trim()))
    }
}

impl<'h> Filled<'h> {
    /// Nothing yet.
    pub fn new(hand: &'h Hand<'h>) -> Self {
        Self { hand, given: Vec::new() }
    }

    /// The command that prints what a program gives; `options` are those of `jq`.
    pub fn command(self, options: &str, program: &str) -> String {
        let between = if self.given.len() > 3 { " \\\n" } else { " " };
        let mut command = String::new();
        for (name, value) in &self.given {
            let _ = write!(command, "{name}={}{between}", quoted(value));
        }
        command + "jq " + options + " " + &single(program)
    }

    /// A value in a program, so deep inside others.
    pub fn value(&mut self, tree: &Tree, depth: usize) -> String {
        let (pad, close) = ("  ".repeat(depth + 1), "  ".repeat(depth));
        match tree {
            Tree::Literal(json) => json.to_string(),
            Tree::Template(template) => self.template(template),
            Tree::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.value(item, depth)).collect();
                format!("[{}]", items.join(", "))
            }
            Tree::Map(entries) if entries.is_empty() => "{}".to_owned(),
            Tree::Map(entries) => {
                let mut lines = Vec::new();
                for (key, tree) in entries {
                    let key = Json::from(key.as_str());
                    lines.push(format!("{pad}{key}: {}", self.value(tree, depth + 1)));
                }
                format!("{{\n{}\n{close}}}", lines.join(",\n"))
            }
        }
    }

    fn template(&mut self, template: &Template) -> String {
        if self.hand.is_whole(template) {
            let name = match template.sole_name() {
                Some(name) => self.give(called(name), variable(name)),
                None => self.give_unnamed(self.hand.shell(template)),
            };
            return format!("({name} | fromjson)");
        }
        let pieces = template.pieces();
        if let [Piece::Expression(code)] = pieces[..] {
            return self.expression(code.trim());
        }
        let mut rest = pieces.as_slice();
        match self.text(&mut rest).filter(|_| rest.is_empty()) {
            Some(text) => format!("\"{text}\""),
            None => self.give_unnamed(self.hand.shell(template)),
        }
    }

    /// What stands between the quotes of a text, up to the end of a condition or of the template;
    /// nothing if it cannot be said here.
    fn text(&mut self, rest: &mut &[Piece<'_>]) -> Option<String> {
        let mut out = String::new();
        while let Some((first, after)) = rest.split_first() {
            match first {
                Piece::Text(text) => out += &in_json(text),
                Piece::Expression(code) => {
                    let _ = write!(out, "\\({})", self.expression(code.trim()));
                }
                Piece::Statement(code) => {
                    let Some(condition) = code.trim().strip_prefix("if ") else { break };
                    let condition = self.condition(condition.trim())?;
                    *rest = after;
                    let _ = write!(out, "\\({})", self.choice(&condition, rest)?);
                    continue;
                }
            }
            *rest = after;
        }
        Some(out)
    }

    /// The branches of a condition, its end taken with them.
    fn choice(&mut self, condition: &str, rest: &mut &[Piece<'_>]) -> Option<String> {
        let then = self.text(rest)?;
        let mut other = String::new();
        if statement(rest) == Some("else") {
            *rest = &rest[1..];
            other = self.text(rest)?;
        }
        (statement(rest) == Some("endif")).then(|| *rest = &rest[1..])?;
        Some(format!("if {condition} then \"{then}\" else \"{other}\" end"))
    }

    /// Whether a name has something: what counts as nothing in a template is more than in jq.
    fn condition(&mut self, code: &str) -> Option<String> {
        let (not, name) = match code.strip_prefix("not ") {
            Some(name) => (true, name.trim()),
            None => (false, code),
        };
        if !is_name(name) {
            return None;
        }
        let value = self.expression(name);
        Some(match (self.hand.names.json.contains(name), not) {
            (true, true) => format!("{value} | IN(false, null, 0, \"\", [], {{}})"),
            (true, false) => format!("{value} | IN(false, null, 0, \"\", [], {{}}) | not"),
            (false, true) => format!("{value} == \"\""),
            (false, false) => format!("{value} != \"\""),
        })
    }

    fn expression(&mut self, code: &str) -> String {
        if let Some((name, fields)) = field(code) {
            let name = self.give(called(name), variable(name));
            return format!("({name} | fromjson | .{fields})");
        }
        if !is_name(code) {
            return self.give_unnamed(self.hand.placeholder(code, false, &super::literal));
        }
        let name = self.give(called(code), variable(code));
        if self.hand.names.json.contains(code) { format!("({name} | fromjson)") } else { name }
    }

    fn give_unnamed(&mut self, value: String) -> String {
        let known = self.given.iter().find(|(_, known)| *known == value);
        let name = known.map(|(name, _)| name.clone());
        // in small letters: no name of the runbook is called so
        let unnamed = self.given.iter().filter(|(name, _)| name.starts_with("value_"));
        let number = unnamed.count() + 1;
        self.give(name.unwrap_or_else(|| format!("value_{number}")), value)
    }

    fn give(&mut self, name: String, value: String) -> String {
        let read = format!("$ENV.{name}");
        if !self.given.iter().any(|(known, _)| *known == name) {
            self.given.push((name, value));
        }
        read
    }
}

fn statement<'t>(rest: &[Piece<'t>]) -> Option<&'t str> {
    match rest.first()? {
        Piece::Statement(code) => Some(code.trim()),
        _ => None,
    }
}
