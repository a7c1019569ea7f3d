//! What of the library some programs call, directly or through others.
//!
//! Compiling the whole library costs more than all programs of a runbook do, and each call looks
//! for its filter among all there are; what nobody calls is left out. By name alone: one too many
//! does no harm.

use std::collections::{HashMap, HashSet};

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::Part;

/// The names of all that is called by these, and by what they call of the library's definitions.
pub(super) fn names<'s>(library: &[Def<&'s str>], callers: &[Def<&'s str>]) -> HashSet<&'s str> {
    let mut bodies: HashMap<&str, Vec<&Term<&str>>> = HashMap::new();
    for def in library {
        bodies.entry(def.name).or_default().push(&def.body);
    }
    let mut open: Vec<&Term<&str>> = callers.iter().map(|def| &def.body).collect();
    let mut names = HashSet::new();
    while let Some(term) = open.pop() {
        calls(term, &mut |name| {
            if names.insert(name) {
                open.extend(bodies.get(name).into_iter().flatten());
            }
        });
    }
    names
}

/// Names every filter that a term calls.
fn calls<'s>(term: &Term<&'s str>, found: &mut dyn FnMut(&'s str)) {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Var(_) | Term::Break(_) => {}
        Term::Str(format, parts) => {
            format.iter().copied().for_each(&mut *found);
            let terms = parts.iter().filter_map(|part| match part {
                StrPart::Term(term) => Some(term),
                _ => None,
            });
            all(terms, found);
        }
        Term::Arr(term) => all(term.as_deref(), found),
        Term::Neg(term) | Term::Label(_, term) => calls(term, found),
        Term::Obj(entries) => {
            all(entries.iter().flat_map(|(key, value)| std::iter::once(key).chain(value)), found);
        }
        Term::BinOp(left, op, right) => {
            calls(left, found);
            if let BinaryOp::Pipe(Some(bound)) = op {
                keys(bound, found);
            }
            calls(right, found);
        }
        Term::Fold(_, source, bound, args) => {
            calls(source, found);
            keys(bound, found);
            all(args, found);
        }
        Term::TryCatch(term, catch) => {
            calls(term, found);
            all(catch.as_deref(), found);
        }
        Term::IfThenElse(branches, otherwise) => {
            all(branches.iter().flat_map(|(condition, then)| [condition, then]), found);
            all(otherwise.as_deref(), found);
        }
        Term::Def(defs, term) => {
            all(defs.iter().map(|def| &def.body), found);
            calls(term, found);
        }
        Term::Call(name, args) => {
            found(name);
            all(args, found);
        }
        Term::Path(term, path) => {
            calls(term, found);
            for (part, _) in &path.0 {
                match part {
                    Part::Index(term) => calls(term, found),
                    Part::Range(from, to) => all(from.iter().chain(to), found),
                }
            }
        }
    }
}

fn all<'s: 't, 't>(
    terms: impl IntoIterator<Item = &'t Term<&'s str>>,
    found: &mut dyn FnMut(&'s str),
) {
    for term in terms {
        calls(term, found);
    }
}

/// The same for the keys that a pattern takes apart by.
fn keys<'s>(pattern: &Pattern<&'s str>, found: &mut dyn FnMut(&'s str)) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(parts) => parts.iter().for_each(|part| keys(part, found)),
        Pattern::Obj(entries) => entries.iter().for_each(|(key, part)| {
            calls(key, found);
            keys(part, found);
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defs(code: &str) -> Vec<Def<&str>> {
        jaq_core::load::parse(code, |parser| parser.defs()).unwrap()
    }

    #[test]
    fn what_is_called_is_kept_wherever_the_call_stands() {
        let library = "def a: b; def b: 1; def c: 2; def @f: 3; def unused: a;";
        let kept = |code| {
            let (library, callers) = (defs(library), defs(code));
            let names = super::names(&library, &callers);
            let kept = library.iter().map(|def| def.name).filter(|name| names.contains(name));
            kept.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(kept("def m: .x;"), "");
        assert_eq!(kept("def m: a;"), "a b");
        assert_eq!(kept("def m: [.[c:b]?] | {(c): -b};"), "b c");
        assert_eq!(kept("def m: @f \"\\(b)\";"), "b @f");
        assert_eq!(kept("def m: . as {(\"x\" | c): $y} | if b then . else $y end;"), "b c");
        assert_eq!(kept("def m: reduce c as [$x] (0; . + $x) | try error catch b;"), "b c");
        assert_eq!(kept("def m: def n: c; label $l | n, break $l;"), "c");
    }
}
