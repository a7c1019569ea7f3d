//! Whether a template surely comes back by itself: to have a clock run beside it takes longer than
//! rendering most of them.

use std::ops::Range;

use minijinja::Value;
use minijinja::value::ValueKind;

use super::scan;

/// The most parts and bytes of text in values that cannot become much, however often a little
/// code names them …
const LITTLE: usize = 16 * 1024;

/// … and the most bytes of such code.
const BRIEF: usize = 1024;

/// How far code can be trusted to come back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// What it gives is no more than what it is given.
    Plain,
    /// It builds lists of what it is given: of a little no more than a little.
    Little,
    /// Anything else.
    None,
}

impl Trust {
    /// How far the code in these areas of a text can be trusted.
    pub(super) fn of(source: &str, areas: &[Range<usize>]) -> Self {
        let code = || areas.iter().map(|area| &source[area.clone()]);
        let loops = |area: &Range<usize>| {
            scan::is_statement(source, area) && !scan::decides(&source[area.clone()])
        };
        match () {
            () if areas.iter().any(loops) || code().any(|code| code.contains('*')) => Self::None,
            () if !code().any(builds) => Self::Plain,
            () if code().map(str::len).sum::<usize>() <= BRIEF => Self::Little,
            () => Self::None,
        }
    }

    /// Whether it comes back with these values.
    pub(super) fn holds(self, values: &Value) -> bool {
        match self {
            Self::Plain => true,
            Self::Little => fits(values, &mut { LITTLE }),
            Self::None => false,
        }
    }
}

/// Whether there is a list in it, and no index, that holds more than texts and numbers.
fn builds(code: &str) -> bool {
    let indexes = |before: &str| {
        let last = before.chars().next_back();
        last.is_some_and(|c| c.is_alphanumeric() || "_])}\"'".contains(c))
    };
    let mut lists = code.match_indices('[').filter(|(at, _)| !indexes(&code[..*at]));
    lists.any(|(at, _)| !is_constant(&code[at + 1..]))
}

/// Whether a list, of which this is what follows its bracket, is made of texts and numbers.
fn is_constant(rest: &str) -> bool {
    let mut quote = None;
    for c in rest.chars() {
        match quote {
            Some(_) if c == '\\' => return false,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c == ']' => return true,
            None if c.is_ascii_digit() || c.is_ascii_whitespace() || ",.-".contains(c) => {}
            None => return false,
        }
    }
    false
}

/// Whether a value has no more than so many parts and bytes of text; takes them from what is left.
fn fits(value: &Value, left: &mut usize) -> bool {
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
    fn only_what_can_grow_or_go_round_is_watched() {
        for (source, trust) in [
            ("{% if a %}*{{ b[0] }}*{% elif c -%} x {%- else %}{% endif %}", Trust::Plain),
            ("{{ a.b['c'][0] | length }} [ {{ d }} ]", Trust::Plain),
            ("{{ a in ['x', \"it's\", -1.5] }} ", Trust::Plain),
            ("{{ [a, a] }} ", Trust::Little),
            ("{{ ['x', [a]] }} ", Trust::Little),
            (&format!("{{{{ [{}] }}}}", "a, ".repeat(BRIEF / 3)), Trust::None),
            ("{{ 'x' * 9 }} ", Trust::None),
            ("{% for x in y %}{{ x }}{% endfor %}", Trust::None),
            ("{% set x = y %}", Trust::None),
        ] {
            assert_eq!(Trust::of(source, &scan::code_areas(source)), trust, "{source}");
        }
    }

    #[test]
    fn a_list_of_much_is_watched() {
        let values = |text: usize, items: usize| {
            let text = serde_json::json!({ "a": vec!["x".repeat(text); items] });
            super::super::from_json(&text)
        };
        assert!(Trust::Little.holds(&values(100, 100)));
        assert!(!Trust::Little.holds(&values(LITTLE, 1)));
        assert!(!Trust::Little.holds(&values(0, LITTLE)));
        assert!(Trust::Plain.holds(&values(LITTLE, 1)));
        assert!(!Trust::None.holds(&values(0, 0)));
    }
}
