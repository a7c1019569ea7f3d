//! What stands in a text and is no text, number or truth value: nothing, a list, an object.

use minijinja::value::ValueKind;

use super::{Expr, Lookup, Piece, Template};
use crate::value::Json;

impl Template {
    /// The first `{{ }}` that surely stands in the text and gives null, a list or an object, and which
    /// of these. What is inside of a `{% %}` may be left out, and is not judged.
    pub fn odd(&self, values: &dyn Lookup) -> Option<(&str, &'static str)> {
        let suspect = |name: &str| values.value(name).is_some_and(|value| is_odd(value.kind()));
        if !self.reads().iter().any(|read| suspect(&read.name)) {
            return None;
        }
        let mut depth = 0_usize;
        for piece in self.pieces() {
            match piece {
                Piece::Statement(code) if word(code).starts_with("end") => {
                    depth = depth.saturating_sub(1);
                }
                Piece::Statement(code) if !matches!(word(code), "else" | "elif" | "set") => {
                    depth += 1;
                }
                Piece::Expression(code) if depth == 0 => {
                    let code = code.trim_matches(['-', '+']).trim();
                    if let Some(found) = odd_here(code, values) {
                        return Some(found);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// The word a statement begins with.
fn word(code: &str) -> &str {
    code.trim_start_matches(['-', '+']).split_whitespace().next().unwrap_or_default()
}

fn is_odd(kind: ValueKind) -> bool {
    matches!(kind, ValueKind::None | ValueKind::Seq | ValueKind::Iterable | ValueKind::Map)
}

/// What an expression gives; of a null that filters make a text of it is said too, unless one of
/// them is there for that.
fn odd_here<'c>(code: &'c str, values: &dyn Lookup) -> Option<(&'c str, &'static str)> {
    let (name, filters) = code.split_once('|').unwrap_or((code, ""));
    let name = name.trim();
    let null = values.value(name).is_some_and(|value| value.is_none());
    if null && !filters.contains("default") {
        return Some((name, "null"));
    }
    match Expr::parse(code).ok()?.eval(values).ok()? {
        Json::Null => Some((code, "null")),
        Json::Array(_) => Some((code, "a list")),
        Json::Object(_) => Some((code, "an object")),
        _ => None,
    }
}
