//! Whether a template surely comes back by itself: to have a clock run beside it takes longer than
//! rendering most of them.
//!
//! What is looked at is how much can come of a little: fuel counts instructions, and not what a
//! single filter does.

use std::ops::Range;

use minijinja::Value;
use minijinja::value::ValueKind;

use super::scan::{self, Callable, Words};

/// The most parts and bytes of text in all values together.
pub(super) const LITTLE: usize = 4 * 1024;

/// The most bytes of code, which can name them so often.
const BRIEF: usize = 4 * 1024;

/// Filters that give no more than they are given, whatever their arguments.
const HARMLESS: &[&str] = &[
    "abs",
    "attr",
    "basename",
    "bool",
    "capitalize",
    "count",
    "default",
    "first",
    "float",
    "from_json",
    "host",
    "int",
    "items",
    "last",
    "length",
    "list",
    "lower",
    "max",
    "min",
    "origin",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
    "slugify",
    "sort",
    "split",
    "string",
    "title",
    "trim",
    "unique",
    "upper",
];

/// Filters that give some times as much, or as much as what they are given times an argument.
const GROWING: &[&str] = &["b64encode", "join", "replace", "sh_quote", "tojson", "urlencode"];

/// How many of these there may be; not one behind another, in one piece of code.
const FEW: usize = 16;

/// Whether code comes back whenever its values are [`little`].
pub(super) fn harmless(source: &str, areas: &[Range<usize>]) -> bool {
    let brief = areas.iter().map(Range::len).sum::<usize>() <= BRIEF;
    let growing: Option<usize> = areas.iter().map(|area| growing(source, area)).sum();
    brief && growing.is_some_and(|growing| growing <= FEW)
}

/// How many filters in a piece of code grow what they are given; nothing if that is not all it does.
fn growing(source: &str, area: &Range<usize>) -> Option<usize> {
    let code = &source[area.clone()];
    let loops = scan::is_statement(source, area) && !scan::decides(code);
    let words = Words::of(source, std::slice::from_ref(area));
    if loops || code.contains('*') || words.call_functions() {
        return None;
    }
    let callables = words.callables();
    let filters = callables.iter().filter(|(kind, _)| *kind == Callable::Filter);
    let names: Vec<&str> = filters.map(|(_, range)| &source[range.clone()]).collect();
    let growing = names.iter().filter(|name| GROWING.contains(name)).count();
    let known = names.iter().all(|name| GROWING.contains(name) || HARMLESS.contains(name));
    (known && growing <= 1).then_some(growing)
}

/// Whether values are few and small.
pub(super) fn little(values: &Value) -> bool {
    fits(values, &mut { LITTLE })
}

/// Takes a value's parts and bytes of text from what is left, if there is so much left.
pub(super) fn fits(value: &Value, left: &mut usize) -> bool {
    let size = 1 + value.as_str().map_or(0, str::len);
    let Some(rest) = left.checked_sub(size) else { return false };
    *left = rest;
    let inside = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => inside().all(|item| fits(&item, left)),
        ValueKind::Map => inside().all(|key| {
            fits(&key, left) && value.get_item(&key).is_ok_and(|item| fits(&item, left))
        }),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_become_much_of_a_little_is_not_harmless() {
        for (source, wanted) in [
            ("{% if a %}*{{ b[0] }}*{% elif c -%} x {%- else %}{% endif %}", true),
            ("{{ a.b['c'][0] | length }} [ {{ d }} ]", true),
            ("{{ [a, a] if (a and not (b or c)) else ['x', 'y'] }}", true),
            ("{{ a | trim('/') | upper | replace('-', '_') }}", true),
            (&"{{ a | join(b) }}".repeat(FEW), true),
            (&"{{ a | join(b) }}".repeat(FEW + 1), false),
            ("{{ a | replace('', b) | replace('', b) }}", false),
            ("{{ a | sh_quote | sh_quote }}", false),
            ("{{ a | indent(1000000000) }}", false),
            ("{{ a | batch(1000000000, 'x') }}", false),
            ("{{ range(100000) | list }}", false),
            ("{{ '%1000000000d' | format(a) }}", false),
            ("{{ a | map('replace', '', b) | list }}", false),
            (&format!("{{{{ [{}] }}}}", "a, ".repeat(BRIEF / 3)), false),
            ("{{ 'x' * 9 }}", false),
            ("{% for x in y %}{{ x }}{% endfor %}", false),
            ("{% set x = y %}", false),
        ] {
            assert_eq!(harmless(source, &scan::code_areas(source)), wanted, "{source}");
        }
    }

    #[test]
    fn much_is_not_little() {
        let values = |text: usize, items: usize| {
            let json = serde_json::json!({ "a": vec!["x".repeat(text); items] });
            super::super::from_json(&json)
        };
        assert!(little(&values(100, 10)));
        assert!(!little(&values(LITTLE, 1)));
        assert!(!little(&values(0, LITTLE)));
    }
}
