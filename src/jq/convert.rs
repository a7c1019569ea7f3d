//! JSON to jq's values and back, with bounds.

use jaq_json::{Map, Num};
use serde_json::{Number, Value};

use super::{RunCause, RunError, Val};

/// The most values one JSON document may hold when it comes out of a program. Values share
/// their parts, so a small one can be endless when written out.
const MAX_VALUES: usize = 1_000_000;
/// The most levels of a JSON document that comes out of a program.
const MAX_DEPTH: usize = 2_000;

/// A JSON value as jq's. Integers stay integers, objects keep their order.
pub fn from_json(json: &Value) -> Val {
    match json {
        Value::Null => Val::Null,
        Value::Bool(truth) => Val::Bool(*truth),
        Value::Number(number) => from_number(number),
        Value::String(text) => Val::from(text.clone()),
        Value::Array(items) => items.iter().map(from_json).collect(),
        Value::Object(entries) => Val::obj(
            entries
                .iter()
                .map(|(key, value)| (Val::from(key.clone()), from_json(value)))
                .collect::<Map>(),
        ),
    }
}

fn from_number(number: &Number) -> Val {
    let integer = number.as_i64().map(Num::from_integral);
    let integer = integer.or_else(|| number.as_u64().map(Num::from_integral));
    Val::Num(integer.unwrap_or_else(|| Num::Float(number.as_f64().unwrap_or(f64::NAN))))
}

/// jq's value as JSON. A number without a fraction becomes an integer (`10 / 2` is 5).
/// Fails on what JSON cannot say: NaN and infinity, integers of more than 64 bits, keys that
/// are no text, bytes that are no UTF-8, and a value that is too large or too deep.
pub fn to_json(value: &Val) -> Result<Value, RunError> {
    json(value, MAX_DEPTH, &mut MAX_VALUES.clone())
}

fn json(value: &Val, depth: usize, left: &mut usize) -> Result<Value, RunError> {
    *left = left.checked_sub(1).ok_or_else(|| RunError::bound("the value is too large"))?;
    let depth =
        depth.checked_sub(1).ok_or_else(|| RunError::bound("the value has too many levels"))?;
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(truth) => Value::Bool(*truth),
        Val::Num(number) => Value::Number(to_number(number)?),
        Val::TStr(text) | Val::BStr(text) => Value::String(to_text(text)?),
        Val::Arr(items) => Value::Array(
            items.iter().map(|item| json(item, depth, left)).collect::<Result<_, _>>()?,
        ),
        Val::Obj(entries) => {
            let entries =
                entries.iter().map(|(key, value)| Ok((to_key(key)?, json(value, depth, left)?)));
            Value::Object(entries.collect::<Result<_, RunError>>()?)
        }
    })
}

fn to_number(number: &Num) -> Result<Number, RunError> {
    match number {
        Num::Int(number) => Ok(Number::from(*number)),
        Num::Float(number) => {
            finite(whole(*number).map_or_else(|| Number::from_f64(*number), Some))
        }
        Num::BigInt(number) => number
            .to_string()
            .parse::<u64>()
            .map(Number::from)
            .map_err(|_| unspeakable("an integer of more than 64 bits")),
        Num::Dec(text) => finite(text.parse().ok().and_then(Number::from_f64)),
    }
}

fn finite(number: Option<Number>) -> Result<Number, RunError> {
    number.ok_or_else(|| unspeakable("a number that is not finite"))
}

/// The integer a float stands for, where it stands for exactly one.
fn whole(number: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || number.abs() > EXACT {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and fits 53 bits")]
    Some(Number::from(number as i64))
}

fn to_text(text: &[u8]) -> Result<String, RunError> {
    std::str::from_utf8(text)
        .map(str::to_owned)
        .map_err(|_| unspeakable("a text that is not UTF-8"))
}

fn to_key(key: &Val) -> Result<String, RunError> {
    match key {
        Val::TStr(text) => to_text(text),
        _ => Err(unspeakable("an object with a key that is no text")),
    }
}

fn unspeakable(what: &str) -> RunError {
    RunError::new(format_args!("{what} cannot be saved as JSON"), RunCause::Language)
}

/// The one JSON value of a body, parsed once and strictly. At most 127 levels; keys keep their
/// order, of a repeated one the last value counts; a byte order mark is skipped.
pub fn parse_body(bytes: &[u8]) -> Result<Val, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}
