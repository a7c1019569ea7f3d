//! Files of `KEY=value` lines, as shells, Compose and systemd read them.

/// The last value of a key that is not empty, without quotes around it, `export` before the key, or a
/// comment behind it.
pub(super) fn value(text: &str, key: &str) -> Option<String> {
    let mut values = text.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let value = line.strip_prefix(key)?.trim_start().strip_prefix('=')?;
        let quoted = ['"', '\''].into_iter().find_map(|quote| quoted(value.trim(), quote));
        Some(quoted.unwrap_or_else(|| bare(value)))
    });
    values.rfind(|value| !value.is_empty()).map(str::to_owned)
}

/// A value between quotes: what is behind the last of them is nothing, or a comment.
fn quoted(value: &str, quote: char) -> Option<&str> {
    let inside = value.strip_prefix(quote)?;
    let ends = |(at, _): &(usize, &str)| {
        let behind = &inside[at + quote.len_utf8()..];
        behind.is_empty() || without_comment(behind).trim().is_empty()
    };
    inside.match_indices(quote).find(ends).map(|(at, _)| &inside[..at])
}

fn bare(value: &str) -> &str {
    without_comment(value).trim()
}

/// A comment has a blank before it: `#` alone may be a part of a value.
fn without_comment(text: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| text[..*at].ends_with(char::is_whitespace);
    text.match_indices('#').find(begins).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn quotes_exports_and_comments_are_no_part_of_a_value() {
        for (line, wanted) in [
            ("A=tok", Some("tok")),
            (" export  A = tok ", Some("tok")),
            ("A=\"tok en\"", Some("tok en")),
            ("A='tok'", Some("tok")),
            ("A=\"tok en\" # of ada", Some("tok en")),
            ("A=tok # of ada", Some("tok")),
            ("A=tok\t#of ada", Some("tok")),
            ("A=tok#1", Some("tok#1")),
            ("A=#tok", Some("#tok")),
            ("A=\"tok # en\"", Some("tok # en")),
            ("A=\"a\"b\"", Some("a\"b")),
            ("A=\"tok", Some("\"tok")),
            ("A= # nothing", None),
            ("A=", None),
            ("# A=tok", None),
            ("AB=tok", None),
            ("A=first\nA=last\nA=", Some("last")),
        ] {
            assert_eq!(value(line, "A").as_deref(), wanted, "{line}");
        }
    }
}
