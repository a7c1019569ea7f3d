//! Templates that only put values into a text, as most do: nothing need be compiled for them.

use std::ops::Range;

use super::{Lookup, Read, harmless, json_text, scan};

/// The insides of a text's `{{ name }}`; none if there is anything else between braces.
pub(super) fn holes(source: &str, areas: &[Range<usize>], reads: &[Read]) -> Box<[Range<usize>]> {
    let names = |area: &Range<usize>| {
        let name = source[area.clone()].trim();
        !scan::is_statement(source, area) && reads.iter().any(|read| read.name == name)
    };
    let plain = !source.contains("{#") && areas.iter().all(names);
    if plain { areas.into() } else { Box::default() }
}

/// The text with its holes filled; `None` when that is not as simple as it looks: a value is
/// missing or large.
pub(super) fn filled(source: &str, holes: &[Range<usize>], values: &dyn Lookup) -> Option<String> {
    let (mut out, mut at, mut left) = (String::new(), 0, harmless::LITTLE);
    for hole in holes {
        out.push_str(source.get(at..hole.start.checked_sub(2)?)?);
        let value = values.value(source[hole.clone()].trim())?;
        if value.is_undefined() || !harmless::fits(&value, &mut left) {
            return None;
        }
        match value.as_str() {
            Some(text) => out.push_str(text),
            None => out.push_str(&json_text(&value).ok()?),
        }
        at = hole.end + 2;
    }
    out.push_str(source.get(at..)?);
    Some(out)
}
