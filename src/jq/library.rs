//! What a program may call.
//!
//! The world is left out: no environment, clock, log, exit or further input. Where jaq lacks
//! what people know from jq, it is defined here.

use jaq_core::load::{self, parse};
use jaq_core::native::Fun;
use parse::Def;

use super::bounds::{self, Jq};
use super::calls::calls;
use super::names::NAMES;

/// Written by `build.rs`.
mod parts {
    use super::Part;

    include!(concat!(env!("OUT_DIR"), "/library.rs"));
}

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

/// A definition of the library.
struct Part {
    name: &'static str,
    /// `def NAME: …;`
    text: &'static str,
    /// What it calls.
    calls: &'static [&'static str],
}

/// The definitions of jaq's library, and of `more.jq` what jq has and jaq does not, in an order in
/// which each finds what it calls.
const PARTS: &[Part] = parts::PARTS;

/// Where those of a name stand in [`PARTS`]; the names are sorted.
const BY_NAME: &[(&str, &[usize])] = parts::BY_NAME;

/// Why a filter is left out on purpose, if it is.
pub(super) fn forbidden(name: &str) -> Option<&'static str> {
    FORBIDDEN.iter().find(|(forbidden, _)| *forbidden == name).map(|(_, help)| *help)
}

/// The names of all that is called by definitions, and by what they call of the library's; sorted.
pub(super) fn called<'s>(own: &[Def<&'s str>]) -> Vec<&'s str> {
    let (mut names, mut open) = (Vec::new(), Vec::new());
    for def in own {
        calls(&def.body, &mut |name| open.push(name));
    }
    while let Some(name) = open.pop() {
        let Err(place) = names.binary_search(&name) else { continue };
        names.insert(place, name);
        open.extend(named(name).iter().filter_map(|at| PARTS.get(*at)).flat_map(|part| part.calls));
    }
    names
}

/// The definitions of the library that have these names.
pub(super) fn defs<'s>(names: &[&str]) -> Vec<Def<&'s str>> {
    let mut places: Vec<usize> = names.iter().copied().flat_map(named).copied().collect();
    places.sort_unstable();
    let parts = places.into_iter().filter_map(|at| PARTS.get(at));
    let parts = parts.filter(|part| forbidden(part.name).is_none());
    parts
        .flat_map(|part| load::parse(part.text, |parser| parser.defs()).unwrap_or_default())
        .collect()
}

fn named(name: &str) -> &'static [usize] {
    let place = BY_NAME.binary_search_by_key(&name, |(known, _)| *known);
    place.ok().and_then(|place| BY_NAME.get(place)).map_or(&[], |(_, places)| *places)
}

/// The native filters of the library that are called, and those that the counting puts in.
pub(super) fn funs(is_called: impl Fn(&str) -> bool) -> impl Iterator<Item = Fun<Jq>> {
    let jaq = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let jaq = jaq.filter(move |(name, args, _)| {
        is_called(name) && forbidden(name).is_none() && !bounds::replaces(name, args.len())
    });
    bounds::funs().chain(jaq)
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn what_is_called_through_others_is_kept_and_nothing_else() {
        let parsed = |code| load::parse(code, |parser| parser.defs()).unwrap();
        let called = |defs| super::called(&parsed(defs));
        assert_eq!(called("def m: .x;"), [""; 0]);
        assert_eq!(called("def m: [.[] | select(.a)];"), ["empty", "f", "select"]);
        assert_eq!(called("def c: add; def m: c;"), ["add", "c", "f", "null"]);
        let names = |program| defs(&called(program)).iter().map(|def| def.name).collect::<Vec<_>>();
        assert_eq!(names("def m: map(not);"), ["true", "false", "not", "map"]);
    }

    #[test]
    fn the_table_of_names_is_what_there_is() {
        let mut names: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        let all: Vec<&str> = BY_NAME.iter().map(|(name, _)| *name).collect();
        let defs = defs(&all).into_iter().map(|def| (def.name, def.args.len()));
        let funs = funs(|_| true).map(|(name, args, _)| (name, args.len()));
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
