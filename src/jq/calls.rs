//! What a term calls, by name alone.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::Part;

/// Names every filter that a term calls.
pub(super) fn calls<'s>(term: &Term<&'s str>, found: &mut dyn FnMut(&'s str)) {
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
