//! `Link` headers (RFC 8288).

/// The target of the first link with this relation, as it stands there: it may be relative.
///
/// A link about something else than the answer (`anchor`) is none of ours.
pub(super) fn target<'a>(headers: impl Iterator<Item = &'a str>, relation: &str) -> Option<String> {
    headers.flat_map(links).find_map(|link| {
        let param = |name: &str| link.params.iter().find(|(key, _)| key == name);
        let (_, relations) = param("rel")?;
        let mut relations = relations.split_whitespace();
        let related = relations.any(|one| one.eq_ignore_ascii_case(relation));
        (related && param("anchor").is_none()).then_some(link.target)
    })
}

struct Link {
    target: String,
    /// Names in lower case.
    params: Vec<(String, String)>,
}

/// The links of one header, as far as it can be read.
fn links(value: &str) -> Vec<Link> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((target, after)) =
        rest.trim_start_matches([' ', '\t', ',']).strip_prefix('<').and_then(|s| s.split_once('>'))
    {
        let (params, after) = params(after);
        found.push(Link { target: target.trim().to_owned(), params });
        rest = after;
    }
    found
}

/// The parameters up to the next link, and what comes then.
fn params(text: &str) -> (Vec<(String, String)>, &str) {
    let mut params = Vec::new();
    let mut rest = text;
    while let Some(after) = rest.trim_start().strip_prefix(';') {
        let after = after.trim_start();
        let end = after.find(['=', ';', ',']).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        let (value, after) = match after.strip_prefix('=') {
            Some(value) => value_of(value.trim_start()),
            None => (String::new(), after),
        };
        params.push((name.trim().to_lowercase(), value));
        rest = after;
    }
    (params, rest)
}

/// A token or a quoted text, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, char)| char)),
            char => value.push(char),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(headers: &[&str]) -> Option<String> {
        target(headers.iter().copied(), "next")
    }

    #[test]
    fn the_link_of_a_relation_is_found_however_it_is_written() {
        for header in [
            "<https://h/x?page=2>; rel=\"next\", <https://h/x?page=9>; rel=\"last\"",
            "<https://h/x?page=1>; rel=prev , <https://h/x?page=2>;rel=next",
            "<https://h/x?page=2>; title=\"a, \\\"b\\\"; rel=x\"; rel=\"start NEXT\"",
            "<https://h/x?page=2> ; REL = next",
            ", ,<https://h/x?page=2>; crossorigin; rel=next",
        ] {
            assert_eq!(next(&[header]).as_deref(), Some("https://h/x?page=2"), "{header}");
        }
        assert_eq!(next(&["</a>; rel=prev", "</b>; rel=next"]).as_deref(), Some("/b"));
    }

    #[test]
    fn what_is_no_such_link_gives_none() {
        for header in [
            "",
            "<a>",
            "<a>; rel=last",
            "<a>; rel=last; rel=next",
            "<a>; rel=next; anchor=\"#x\"",
            "a; rel=next",
            "<a; rel=next",
            "<a>; title=\"rel=next",
            "<a>; rel=\"nextpage\"",
        ] {
            assert_eq!(next(&[header]), None, "{header}");
        }
    }
}
