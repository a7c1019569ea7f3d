//! The filters the engine adds to minijinja's own.

use minijinja::{Environment, Error, ErrorKind};

use super::scan::Callable;

pub(super) fn add_to(env: &mut Environment<'static>) {
    // minijinja's own write what shares its parts without a bound
    env.add_filter("tojson", |value: minijinja::Value| super::json_text(&value));
    env.add_filter("string", |value: minijinja::Value| match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => super::json_text(&value),
    });
    env.add_filter("slugify", slugify);
    env.add_filter("host", host);
    env.add_filter("origin", origin);
    env.add_filter("basename", |path: &str| {
        path.trim_end_matches('/').rsplit('/').next().unwrap_or("").to_owned()
    });
    env.add_filter("from_json", |text: &str| {
        serde_json::from_str::<crate::value::Json>(text)
            .map(|json| super::from_json(&json))
            .map_err(|_| Error::new(ErrorKind::InvalidOperation, "not JSON"))
    });
    env.add_filter("b64encode", |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    });
    env.add_filter("sh_quote", |text: &str| format!("'{}'", text.replace('\'', r"'\''")));
}

/// Lower-case letters and digits, those of Latin without their accents, everything else as single
/// dashes.
fn slugify(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase).filter(|c| !accent(*c)) {
        let plain = without_accent(c);
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !plain.is_empty() {
            slug.push_str(plain);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// An accent that stands behind its letter, as in text that is taken apart.
fn accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// A small letter of Latin-1 or Latin Extended-A in plain ones; nothing for any other.
fn without_accent(c: char) -> &'static str {
    match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ĵ' => "j",
        'ķ' | 'ĸ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' | 'ŉ' | 'ŋ' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => "o",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' | 'ſ' => "s",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'æ' => "ae",
        'ĳ' => "ij",
        'œ' => "oe",
        'ß' => "ss",
        'þ' => "th",
        _ => "",
    }
}

fn parsed(text: &str) -> Result<url::Url, Error> {
    url::Url::parse(text)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("not a URL: {error}")))
}

/// The host of a URL, without its port.
fn host(text: &str) -> Result<String, Error> {
    let url = parsed(text)?;
    let host = url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned());
    host.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "the URL has no host"))
}

/// Scheme, host and port of a URL.
fn origin(text: &str) -> Result<String, Error> {
    Ok(parsed(text)?.origin().ascii_serialization())
}

/// The names worth suggesting.
pub(super) fn names(kind: Callable) -> &'static [&'static str] {
    match kind {
        Callable::Filter => &[
            "slugify",
            "host",
            "origin",
            "basename",
            "from_json",
            "b64encode",
            "sh_quote",
            "lower",
            "upper",
            "title",
            "capitalize",
            "replace",
            "length",
            "count",
            "items",
            "reverse",
            "trim",
            "join",
            "split",
            "lines",
            "default",
            "round",
            "abs",
            "int",
            "float",
            "attr",
            "first",
            "last",
            "min",
            "max",
            "sort",
            "list",
            "string",
            "bool",
            "batch",
            "slice",
            "sum",
            "indent",
            "select",
            "reject",
            "selectattr",
            "rejectattr",
            "map",
            "groupby",
            "unique",
            "chain",
            "zip",
            "format",
            "tojson",
            "urlencode",
            "dictsort",
        ],
        Callable::Test => &[
            "defined",
            "undefined",
            "none",
            "boolean",
            "odd",
            "even",
            "divisibleby",
            "number",
            "integer",
            "float",
            "string",
            "sequence",
            "iterable",
            "mapping",
            "startingwith",
            "endingwith",
            "lower",
            "upper",
            "eq",
            "ne",
            "lt",
            "le",
            "gt",
            "ge",
            "in",
            "true",
            "false",
        ],
    }
}
