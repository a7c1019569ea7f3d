//! Durations as people write them.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use toml::Spanned;
use toml::de::DeValue;

use super::{article, to_json};
use crate::value::Json;

/// The units, for whoever wrote another.
pub(super) const UNITS: &str = "a number with its unit, `ms`, `s`, `m`, `h`, `d` or `w`; a whole number without quotes is seconds";

/// A duration: `30s`, `1m 30s`, `500ms`, `2 days`; a day has 24 hours. Otherwise what is wrong.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let number = text.strip_prefix(['-', '+']).unwrap_or(text).trim();
    if !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err("it has no unit");
    }
    let days = SpanRelativeTo::days_are_24_hours();
    let span = || text.parse::<Span>().ok()?.to_duration(days).ok();
    let found = text.parse::<SignedDuration>().ok().or_else(span).ok_or("it is no duration")?;
    // nothing is neither more nor less: what is written says what was meant
    let less = text.trim_start().starts_with('-') || text.trim_end().ends_with("ago");
    Duration::try_from(found).ok().filter(|_| !less).ok_or("it is less than nothing")
}

/// The same of a value; a number is seconds.
pub(super) fn of(value: &Spanned<DeValue<'_>>) -> Result<Duration, String> {
    match to_json(value) {
        Json::Number(number) => match number.as_u64() {
            Some(seconds) => Ok(Duration::from_secs(seconds)),
            None if number.is_i64() => Err("it is less than nothing".to_owned()),
            None => Err("this is no whole number".to_owned()),
        },
        Json::String(text) => parse_duration(&text).map_err(str::to_owned),
        _ => {
            let found = value.get_ref().type_str();
            Err(format!("this is {} {found}", article(found)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let day = 24 * 3600;
        for (text, seconds) in [
            ("30s", 30),
            ("1m 30s", 90),
            ("5 minutes", 300),
            ("2h", 7200),
            ("1d 2h", day + 7200),
            ("7 days", 7 * day),
            ("1w", 7 * day),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
    }

    #[test]
    fn what_is_wrong_with_one_is_said() {
        for text in ["5", "-5", "1.5", " 5 "] {
            assert_eq!(parse_duration(text), Err("it has no unit"), "{text}");
        }
        for text in ["-5s", "-1 day", "-0s", "-0h 0m", "0s ago", "5s ago"] {
            assert_eq!(parse_duration(text), Err("it is less than nothing"), "{text}");
        }
        for text in ["", "soon", "5 quarks", "1 month", "1:30", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), Err("it is no duration"), "{text}");
        }
    }
}
