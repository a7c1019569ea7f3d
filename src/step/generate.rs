//! `generate`: a password, token or UUID, made once and kept sealed.
//!
//! After a resume it is the same: what was generated is in the journal, on disk before
//! anything that uses it is done, and before it is shown.

use crate::journal::event::Effect;
use crate::jq::Val;
use crate::reader::{Field, Reader, Rules, Shape};

use super::{Answer, Cx, Hand, Kind, Local, Manual, Step, Trouble, manual};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "generate",
    about: "Makes a secret once: a password, a token or a UUID, the same after a resume; saved under the step's id unless `save` says more.",
    fields: FIELDS,
    rules: Rules::needs(&["what"]),
    without: &[],
    plain: Some("what"),
    example: r#"[[steps]]
id       = "db_password"
generate = { what = "password", length = 40 }
"#,
    parse,
};

const WHAT: &[&str] = &["password", "token", "uuid"];

const FIELDS: &[Field] = &[
    Field {
        name: "what",
        shape: Shape::Word(WHAT),
        about: "`password`: characters of `alphabet`; `token`: hexadecimal digits; `uuid`: a random UUID (RFC 9562, version 4).",
    },
    Field {
        name: "length",
        shape: Shape::Integer,
        about: "How many characters; 32 for a password, 64 for a token.",
    },
    Field {
        name: "alphabet",
        shape: Shape::Text,
        about: "A password's characters; letters and digits if not said.",
    },
];

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The longest that is made, in characters.
const LIMIT: u64 = 4096;

#[derive(Debug)]
struct Generate {
    what: &'static str,
    length: usize,
    alphabet: Vec<char>,
}

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    reader.only(FIELDS);
    if !reader.has("what") {
        return reader.missing("what", "say what to make, as in `generate = \"password\"`");
    }
    let what = reader.word("what", WHAT)?;
    let length = reader.integer("length").unwrap_or(if what == "token" { 64 } else { 32 });
    let alphabet: Vec<char> =
        reader.string("alphabet").unwrap_or_else(|| ALPHABET.to_owned()).chars().collect();
    if length == 0 || length > LIMIT {
        let span = reader.get("length").map_or(reader.span(), toml::Spanned::span);
        reader
            .gather
            .report(crate::diag::Diag::error(format!("`length` must be 1 to {LIMIT}"), span));
    }
    if alphabet.len() < 2 {
        let span = reader.get("alphabet").map_or(reader.span(), toml::Spanned::span);
        reader
            .gather
            .report(crate::diag::Diag::error("`alphabet` needs at least two characters", span));
    }
    Some(Box::new(Generate { what, length: usize::try_from(length).unwrap_or(32), alphabet }))
}

impl Step for Generate {
    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn saves_itself(&self) -> bool {
        true
    }

    fn secret(&self) -> bool {
        true
    }

    fn looks(&self) -> bool {
        false
    }

    fn what(&self, _cx: &Cx<'_>) -> Result<String, Trouble> {
        Ok(format!("make a {}", self.what))
    }

    fn manual(&self, _hand: &Hand<'_>) -> Manual {
        let length = self.length;
        let shell = match self.what {
            "uuid" => "uuidgen --random".to_owned(),
            "token" => format!("openssl rand -hex {} | cut -c 1-{length}", length.div_ceil(2)),
            _ => {
                let letters: String = self.alphabet.iter().collect();
                format!("tr -dc {} < /dev/urandom | head -c {length}", manual::single(&letters))
            }
        };
        Manual { raw: true, ..Manual::shell(shell) }
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            let mut numbers = match cx.services.hosts {
                // A rehearsal has no chance, so that two of them can be compared.
                Some(_) => Numbers::told(cx.step),
                None => Numbers::Random,
            };
            let made = self
                .make(&mut numbers)
                .ok_or_else(|| Trouble::failed("the system gives no random numbers"))?;
            let summary = format!("{} made", self.what);
            Ok(Answer { input: Val::from(made), secret: true, summary, ..Answer::default() })
        })
    }
}

impl Generate {
    fn make(&self, numbers: &mut Numbers) -> Option<String> {
        match self.what {
            "password" => (0..self.length).map(|_| numbers.pick(&self.alphabet)).collect(),
            "token" => {
                let digits: Vec<char> = "0123456789abcdef".chars().collect();
                (0..self.length).map(|_| numbers.pick(&digits)).collect()
            }
            _ => numbers.uuid(),
        }
    }
}

/// Where the numbers come from.
enum Numbers {
    /// The system.
    Random,
    /// A text: the same numbers each time, and no secret.
    Told(String, u32),
}

impl Numbers {
    fn told(text: &str) -> Self {
        Self::Told(text.to_owned(), 0)
    }

    fn next(&mut self) -> Option<u32> {
        match self {
            Self::Random => getrandom::u32().ok(),
            Self::Told(text, count) => {
                use sha2::{Digest as _, Sha256};
                *count += 1;
                let hash = Sha256::digest(format!("{text} {count}"));
                hash.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
            }
        }
    }

    /// One of the characters, each as likely as the others.
    fn pick(&mut self, alphabet: &[char]) -> Option<char> {
        let size = u32::try_from(alphabet.len()).ok()?;
        let fair = u32::MAX - u32::MAX % size;
        loop {
            let number = self.next()?;
            if number < fair {
                return alphabet.get((number % size) as usize).copied();
            }
        }
    }

    fn uuid(&mut self) -> Option<String> {
        let mut number = 0;
        for _ in 0..4 {
            number = number << 32 | u128::from(self.next()?);
        }
        let mut bytes = number.to_be_bytes();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let number = u128::from_be_bytes(bytes);
        let hex = format!("{number:032x}");
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        Some(parts.join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_has_its_form_and_is_never_the_same() {
        let kind = |what| Generate { what, length: 20, alphabet: "ab".chars().collect() };
        let mut random = Numbers::Random;
        let password = kind("password").make(&mut random).unwrap();
        assert!(password.len() == 20 && password.chars().all(|c| "ab".contains(c)), "{password}");
        let token = kind("token").make(&mut random).unwrap();
        assert!(token.len() == 20 && token.chars().all(|c| c.is_ascii_hexdigit()), "{token}");
        let uuid = kind("uuid").make(&mut random).unwrap();
        assert!(uuid.len() == 36 && &uuid[14..15] == "4", "{uuid}");
        assert_ne!(uuid, kind("uuid").make(&mut random).unwrap());
    }

    #[test]
    fn what_a_rehearsal_makes_depends_on_the_step_alone() {
        let kind = Generate { what: "uuid", length: 0, alphabet: Vec::new() };
        let made = |step| kind.make(&mut Numbers::told(step)).unwrap();
        assert_eq!(made("marker"), made("marker"));
        assert_ne!(made("marker"), made("marker[1]"));
    }
}
