//! A text beside a number in a comparison: the one order that is there for both puts every text above
//! every number, so that what nobody meant would hold.

use minijinja::value::{Value, ValueKind};

use super::scan::Words;
use super::{Expr, Lookup, RenderError};

impl Expr {
    /// Refuses to say which is greater of a text and a number, where both are plain to see: names or
    /// numbers as they are.
    pub(super) fn comparable(&self, values: &dyn Lookup) -> Result<(), RenderError> {
        let source = self.source();
        if !source.contains(['<', '>']) {
            return Ok(());
        }
        let whole = 0..source.len();
        let words = Words::of(source, std::slice::from_ref(&whole));
        for (left, right) in words.compared() {
            let (text, number) = match (kind(left, values), kind(right, values)) {
                (Some(ValueKind::String), Some(ValueKind::Number)) => (left, right),
                (Some(ValueKind::Number), Some(ValueKind::String)) => (right, left),
                _ => continue,
            };
            return Err(RenderError(format!(
                "`{text}` is a text and `{number}` a number: write `{text} | int`"
            )));
        }
        Ok(())
    }
}

fn kind(word: &str, values: &dyn Lookup) -> Option<ValueKind> {
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(ValueKind::Number);
    }
    values.value(word).as_ref().map(Value::kind)
}
