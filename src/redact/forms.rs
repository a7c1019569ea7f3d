//! The forms a text can take on its way into an output: one function an encoding.
//!
//! Where an encoding leaves a choice (upper or lower case, which characters it spares),
//! every choice that common libraries make is here.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::printable::printable;

/// All forms of a text, itself among them, some of them twice.
pub(super) fn all(text: &str) -> Vec<String> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        // What nothing escapes: most tokens are such, and the other forms cost a millisecond.
        let mut forms = vec![text.to_owned()];
        forms.extend(base64(text));
        forms.extend(hex(text));
        return forms;
    }
    let json = json(text);
    let mut forms = vec![text.to_owned(), text.escape_debug().collect()];
    forms.push(printable(text).into_owned());
    // base64 of the text itself, and inside of a JSON document
    forms.extend(base64(text));
    if let Some(escaped) = json.first().filter(|escaped| *escaped != text) {
        forms.extend(base64(escaped));
        // JSON inside of JSON
        forms.extend(self::json(escaped));
    }
    forms.extend(json);
    forms.extend(percent(text));
    forms.extend(html(text));
    forms.extend(shell(text));
    forms.extend(hex(text));
    forms.retain(|form| !form.is_empty());
    forms
}

/// What a writer of JSON escapes beyond what it must.
#[derive(Clone, Copy)]
struct Escapes {
    solidus: bool,
    markup: bool,
    /// Everything that is not ASCII.
    foreign: bool,
    /// Of the digits.
    case: Case,
}

#[derive(Clone, Copy)]
enum Case {
    Lower,
    Upper,
}

/// Inside a JSON string: `serde_json`'s way first, then what others escape as well.
fn json(text: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for solidus in [false, true] {
        for markup in [false, true] {
            for foreign in [false, true] {
                for case in [Case::Lower, Case::Upper] {
                    let escapes = Escapes { solidus, markup, foreign, case };
                    forms.push(text.chars().map(|c| escapes.escape(c)).collect());
                }
            }
        }
    }
    forms
}

impl Escapes {
    fn escape(self, c: char) -> String {
        match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            '\u{8}' => "\\b".to_owned(),
            '\u{c}' => "\\f".to_owned(),
            '/' if self.solidus => "\\/".to_owned(),
            '<' | '>' | '&' | '\'' if self.markup => self.units(c),
            c if c < ' ' || (self.foreign && (!c.is_ascii() || c == '\u{7f}')) => self.units(c),
            c => c.to_string(),
        }
    }

    /// `\u` escapes: one, or two of a surrogate pair.
    fn units(self, c: char) -> String {
        let escape = |unit: &u16| match self.case {
            Case::Lower => format!("\\u{unit:04x}"),
            Case::Upper => format!("\\u{unit:04X}"),
        };
        c.encode_utf16(&mut [0; 2]).iter().map(escape).collect()
    }
}

/// In URLs and forms, with both cases of the digits.
fn percent(text: &str) -> Vec<String> {
    let spared: [fn(u8) -> bool; 10] = [
        |byte| plain(byte, b"-._~"),
        |byte| plain(byte, b"-._~/"),
        |byte| plain(byte, b"-._~!'()*"),
        |byte| plain(byte, b"*-._"),
        // what the `url` crate escapes where, from fragment to user name
        |byte| url(byte, b" \"<>`"),
        |byte| url(byte, b" \"<>`#?{}"),
        |byte| url(byte, b" \"<>`#?{}/%"),
        |byte| url(byte, b" \"<>`#?{}/%\\"),
        |byte| url(byte, b" \"#<>"),
        |byte| url(byte, b" \"#<>'"),
    ];
    let user = |byte| url(byte, b" \"<>`#?{}/:;=@[\\]^|");
    let caret = |byte| url(byte, b" \"<>`#?{}^");
    let mut forms = Vec::new();
    for upper in [true, false] {
        for spared in spared {
            forms.push(escaped(text, spared, upper));
        }
        forms.push(escaped(text, user, upper));
        forms.push(escaped(text, caret, upper));
        // a form: a space is a plus
        let form = |byte| plain(byte, b"*-._ ");
        forms.push(escaped(text, form, upper).replace(' ', "+"));
        let form = |byte| plain(byte, b"-._~ ");
        forms.push(escaped(text, form, upper).replace(' ', "+"));
    }
    forms
}

fn plain(byte: u8, more: &[u8]) -> bool {
    byte.is_ascii_alphanumeric() || more.contains(&byte)
}

fn url(byte: u8, escaped: &[u8]) -> bool {
    (b' '..0x7f).contains(&byte) && !escaped.contains(&byte)
}

fn escaped(text: &str, spared: impl Fn(u8) -> bool, upper: bool) -> String {
    let escape = |byte: u8| match (spared(byte), upper) {
        (true, _) => char::from(byte).to_string(),
        (false, true) => format!("%{byte:02X}"),
        (false, false) => format!("%{byte:02x}"),
    };
    text.bytes().map(escape).collect()
}

/// Anywhere inside of a longer text that is base64: at each of the three places a byte can
/// have in a group, the characters that its neighbours have no part in; and with those of
/// the last group when it is the end.
fn base64(text: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        // how many bytes stand before it, and how many characters those reach into
        for (before, shared) in [(0, 0), (1, 2), (2, 3)] {
            let bytes = [&[0; 2][..before], text.as_bytes()].concat();
            let whole = engine.encode(&bytes);
            let Some(end) = whole.get(shared..) else { continue };
            let own = (bytes.len() * 8 / 6).saturating_sub(shared);
            forms.extend(end.get(..own).map(str::to_owned));
            let padding = "=".repeat((3 - bytes.len() % 3) % 3);
            forms.push(format!("{end}{padding}"));
            forms.push(end.to_owned());
        }
    }
    forms
}

fn hex(text: &str) -> [String; 2] {
    let lower = crate::value::hex(text.as_bytes());
    let upper = lower.to_uppercase();
    [lower, upper]
}

/// In HTML and XML: whether quotes are escaped, and how, differs.
fn html(text: &str) -> Vec<String> {
    let markup = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let double = markup.replace('"', "&quot;");
    vec![
        double.replace('\'', "&#39;"),
        double.replace('\'', "&#x27;"),
        double.replace('\'', "&#x27;").replace('/', "&#x2f;"),
        double.replace('\'', "&#x27;").replace('/', "&#x2F;"),
        double.replace('\'', "&apos;"),
        markup.replace('"', "&#34;").replace('\'', "&#39;"),
        double,
        markup,
    ]
}

/// In a shell command, between single quotes.
fn shell(text: &str) -> [String; 2] {
    [text.replace('\'', "'\\''"), text.replace('\'', "'\"'\"'")]
}
