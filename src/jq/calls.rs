//! What is in a term: all terms, and what it calls, by name alone.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::Part;

/// Names every filter that a term calls.
pub(super) fn calls<'s>(term: &Term<&'s str>, found: &mut dyn FnMut(&'s str)) {
    terms(term, &mut |term| match term {
        Term::Call(name, _) | Term::Str(Some(name), _) => found(name),
        _ => {}
    });
}

/// Shows a term and all terms in it, in the order of the text.
pub(super) fn terms<'s>(term: &Term<&'s str>, see: &mut dyn FnMut(&Term<&'s str>)) {
    see(term);
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Var(_) | Term::Break(_) => {}
        Term::Str(_, parts) => {
            let terms = parts.iter().filter_map(|part| match part {
                StrPart::Term(term) => Some(term),
                _ => None,
            });
            all(terms, see);
        }
        Term::Arr(term) => all(term.as_deref(), see),
        Term::Neg(term) | Term::Label(_, term) => terms(term, see),
        Term::Obj(entries) => {
            all(entries.iter().flat_map(|(key, value)| std::iter::once(key).chain(value)), see);
        }
        Term::BinOp(left, op, right) => {
            terms(left, see);
            if let BinaryOp::Pipe(Some(bound)) = op {
                keys(bound, see);
            }
            terms(right, see);
        }
        Term::Fold(_, source, bound, args) => {
            terms(source, see);
            keys(bound, see);
            all(args, see);
        }
        Term::TryCatch(term, catch) => {
            terms(term, see);
            all(catch.as_deref(), see);
        }
        Term::IfThenElse(branches, otherwise) => {
            all(branches.iter().flat_map(|(condition, then)| [condition, then]), see);
            all(otherwise.as_deref(), see);
        }
        Term::Def(defs, term) => {
            all(defs.iter().map(|def| &def.body), see);
            terms(term, see);
        }
        Term::Call(_, args) => all(args, see),
        Term::Path(term, path) => {
            terms(term, see);
            for (part, _) in &path.0 {
                match part {
                    Part::Index(term) => terms(term, see),
                    Part::Range(from, to) => all(from.iter().chain(to), see),
                }
            }
        }
    }
}

fn all<'s: 't, 't>(
    several: impl IntoIterator<Item = &'t Term<&'s str>>,
    see: &mut dyn FnMut(&Term<&'s str>),
) {
    for term in several {
        terms(term, see);
    }
}

/// The same for the keys that a pattern takes apart by.
fn keys<'s>(pattern: &Pattern<&'s str>, see: &mut dyn FnMut(&Term<&'s str>)) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(parts) => parts.iter().for_each(|part| keys(part, see)),
        Pattern::Obj(entries) => entries.iter().for_each(|(key, part)| {
            terms(key, see);
            keys(part, see);
        }),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_call_is_found_wherever_it_stands() {
        let found = |code| {
            let defs = jaq_core::load::parse(code, |parser| parser.defs()).unwrap();
            let mut names = Vec::new();
            super::calls(&defs[0].body, &mut |name| names.push(name));
            names.join(" ")
        };
        assert_eq!(found("def m: .x;"), "");
        assert_eq!(found("def m: a;"), "a");
        assert_eq!(found("def m: [.[c:b]?] | {(c): -b};"), "c b c b");
        assert_eq!(found("def m: @f \"\\(b)\";"), "@f b");
        assert_eq!(found("def m: . as {(\"x\" | c): $y} | if b then . else $y end;"), "c b");
        assert_eq!(found("def m: reduce c as [$x] (0; . + $x) | try error catch b;"), "c error b");
        assert_eq!(found("def m: def n: c; label $l | n, break $l;"), "c n");
    }
}
