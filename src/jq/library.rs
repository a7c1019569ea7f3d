//! What a program may call, and how programs become definitions of one whole.
//!
//! The world is left out: no environment, clock, log, exit or further input. Where jaq lacks
//! what people know from jq, it is defined here.

use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::native::Fun;
use jaq_core::{load, ops};

use super::bounds::{self, Jq};
use super::names::NAMES;

/// The main program: all else is a definition.
pub(super) const MAIN: &str = "__main";

/// What jaq has and a program must not: name, what to do instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("env", "take the value as an input of the runbook"),
    ("input", "a program has one input: `.`"),
    ("inputs", "a program has one input: `.`"),
    ("input_filename", "a program has one input: `.`"),
    ("input_line_number", "a program has one input: `.`"),
    ("now", "a program must give the same answer when it is run again"),
    ("localtime", "use `gmtime`: the answer must not depend on the machine"),
    ("strflocaltime", "use `strftime`: the answer must not depend on the machine"),
    ("halt", "use `error(\"…\")` or a gate"),
    ("halt_error", "use `error(\"…\")` or a gate"),
    ("debug", "look at values with `-v`"),
    ("stderr", "look at values with `-v`"),
    ("debug_empty", "look at values with `-v`"),
    ("stderr_empty", "look at values with `-v`"),
];

/// What jq has and jaq does not.
const MORE: &str = r#"
def toarray: if isarray then . else [.] end;
def IN(s): . as $x | any(s; . == $x);
def IN(source; s): any(source; IN(s));
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] = $row);
def INDEX(f): INDEX(.[]; f);
def trimstr($x): ltrimstr($x) | rtrimstr($x);
def leaf_paths: paths(scalars);
def ascii: [.] | implode;
def __cell(quoted): if isstring then quoted elif . == null then "" elif isarray or isobject
  then error("a list or an object cannot be a cell") else tostring end;
def @csv: [.[] | __cell("\"" + gsub("\""; "\"\"") + "\"")] | join(",");
def @tsv: [.[] | __cell(gsub("\\\\"; "\\\\") | gsub("\t"; "\\t") | gsub("\n"; "\\n") | gsub("\r"; "\\r"))]
  | join("\t");
"#;

/// Why a filter is left out on purpose, if it is.
pub(super) fn forbidden(name: &str) -> Option<&'static str> {
    FORBIDDEN.iter().find(|(forbidden, _)| *forbidden == name).map(|(_, help)| *help)
}

/// The definitions of the library, in an order in which each finds what it calls.
pub(super) fn defs() -> Vec<Def<&'static str>> {
    let more = load::parse(MORE, |parser| parser.defs()).unwrap_or_default();
    let jaq = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    jaq.filter(|def| forbidden(def.name).is_none()).chain(more).collect()
}

/// The native filters of the library.
pub(super) fn funs() -> impl Iterator<Item = Fun<Jq>> {
    let jaq = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let jaq = jaq
        .filter(|(name, args, _)| forbidden(name).is_none() && !bounds::replaces(name, args.len()));
    bounds::funs().chain(jaq)
}

/// Whether a filter is called by what jaq or the counting puts into a program.
pub(super) fn is_inside(name: &str) -> bool {
    name.starts_with('!') || name.starts_with("__")
}

/// The names of all that a program may call.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// How many arguments a filter of the library takes; several numbers if there are several
/// filters of this name, none if there is none.
pub(super) fn arities(name: &str) -> &'static [usize] {
    let place = NAMES.binary_search_by_key(&name, |(known, _)| *known);
    place.ok().and_then(|place| NAMES.get(place)).map_or(&[], |(_, arities)| *arities)
}

/// `def NAME: $__vars as [$a, $b] | BODY;`
pub(super) fn program<'s>(name: &'s str, vars: &'s [String], body: Term<&'s str>) -> Def<&'s str> {
    let body = if vars.is_empty() {
        body
    } else {
        let pattern = Pattern::Arr(vars.iter().map(|var| Pattern::Var(var.as_str())).collect());
        binary(Term::Var("$__vars"), BinaryOp::Pipe(Some(pattern)), body)
    };
    Def { name, args: Vec::new(), body }
}

/// `def __main: if $__program < N then … else … end;` over names that end in their number.
pub(super) fn dispatcher(names: &[String]) -> Def<&str> {
    Def { name: MAIN, args: Vec::new(), body: choose(names) }
}

fn choose(names: &[String]) -> Term<&str> {
    match names {
        [] => Term::Id,
        [name] => Term::Call(name, Vec::new()),
        many => {
            let (low, high) = many.split_at(many.len() / 2);
            let border = Term::Num(high[0].trim_start_matches("__p"));
            let below = binary(Term::Var("$__program"), BinaryOp::Cmp(ops::Cmp::Lt), border);
            Term::IfThenElse(vec![(below, choose(low))], Some(Box::new(choose(high))))
        }
    }
}

fn binary<'s>(left: Term<&'s str>, op: BinaryOp<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    Term::BinOp(Box::new(left), op, Box::new(right))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn the_table_of_names_is_what_there_is() {
        let mut names: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        let defs = defs().into_iter().map(|def| (def.name, def.args.len()));
        let funs = funs().map(|(name, args, _)| (name, args.len()));
        for (name, arity) in defs.chain(funs) {
            names.entry(name).or_default().insert(arity);
        }
        let wanted: Vec<String> =
            names.iter().map(|(name, arities)| format!("    ({name:?}, &{arities:?}),")).collect();
        let wanted = wanted.join("\n").replace('{', "[").replace('}', "]");
        let have: Vec<String> =
            NAMES.iter().map(|(name, arities)| format!("    ({name:?}, &{arities:?}),")).collect();
        assert_eq!(have.join("\n"), wanted, "put this into `names.rs`:\n{wanted}");
    }
}
