//! Whether a program surely comes back by itself: a thread that is waited for takes longer than most
//! programs do.

use super::Val;

/// So many parts and bytes of text cannot take a program long that does not go round, …
const LITTLE: usize = 16 * 1024;

/// … within so many steps.
pub(super) const FEW_STEPS: u32 = 2_000;

/// How far a program can be trusted to come back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It only looks into its input.
    Plain,
    /// It builds, but nothing in it goes round: on a little input it cannot take long.
    Short,
    /// Anything else.
    None,
}

impl Trust {
    /// What makes a program go round.
    const LOOPS: &[&str] = &[
        "reduce",
        "foreach",
        "def",
        "repeat",
        "range",
        "while",
        "until",
        "recurse",
        "limit",
        "combinations",
        "walk",
        "paths",
    ];
    /// What makes it build, or look at much at once.
    const BUILDS: &[&str] = &[
        "test",
        "match",
        "capture",
        "scan",
        "split",
        "splits",
        "sub",
        "gsub",
        "flatten",
        "explode",
        "implode",
        "sort",
        "sort_by",
        "group_by",
        "unique",
        "unique_by",
        "as",
        "add",
        "join",
        "tojson",
    ];
    /// Each comma can double what is compared or written later; so many are harmless.
    const COMMAS: usize = 16;

    /// How far a program that calls nothing but the library can be trusted.
    pub(super) fn of(code: &str) -> Self {
        let code = without_texts(code);
        let words = || code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let any = |names: &[&str]| words().any(|word| names.contains(&word));
        let goes_round = code.contains("..") || grows(&code) || any(Self::LOOPS);
        match () {
            () if goes_round => Self::None,
            () if !any(Self::BUILDS) && !code.contains(['@', '*']) => Self::Plain,
            () if code.matches(',').count() <= Self::COMMAS => Self::Short,
            () => Self::None,
        }
    }
}

/// A program without what stands in its texts; all of it where programs stand in them.
fn without_texts(code: &str) -> String {
    if code.contains("\\(") {
        return code.to_owned();
    }
    let (mut bare, mut text, mut escaped) = (String::with_capacity(code.len()), false, false);
    for c in code.chars() {
        if !text {
            bare.push(c);
        }
        text ^= c == '"' && !escaped;
        escaped = text && c == '\\' && !escaped;
    }
    bare
}

/// Whether it multiplies by more than a small number that stands there: a text, say, by a value.
fn grows(code: &str) -> bool {
    code.split('*').skip(1).any(|right| {
        let right = right.trim_start();
        let digits = right.bytes().take_while(u8::is_ascii_digit).count();
        let more = right[digits..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
        !(1..=3).contains(&digits) || more
    })
}

/// Whether values have together no more than a little.
pub(super) fn little<'v>(values: impl IntoIterator<Item = &'v Val>) -> bool {
    let mut left = LITTLE;
    values.into_iter().all(|value| fits(value, &mut left))
}

fn fits(value: &Val, left: &mut usize) -> bool {
    let size = match value {
        Val::TStr(text) | Val::BStr(text) => 1 + text.len(),
        _ => 1,
    };
    let Some(rest) = left.checked_sub(size) else { return false };
    *left = rest;
    match value {
        Val::Arr(items) => items.iter().all(|item| fits(item, left)),
        Val::Obj(map) => map.iter().all(|(key, value)| fits(key, left) && fits(value, left)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_round_or_doubles_is_not_trusted_to_come_back() {
        for (code, trust) in [
            (".results[0].pk", Trust::Plain),
            (".asset.address | length", Trust::Plain),
            (".say == \"a * b .. \\\" c\"", Trust::Plain),
            ("[.[] as $a | .[] as $b | [$a, $b]]", Trust::Short),
            (".scopes | sort | join(\" \")", Trust::Short),
            ("test(\"^[^ ]*$\")", Trust::Short),
            (".[0] * 100 + .[1]", Trust::Short),
            ("reduce .[] as $x (0; . + $x)", Trust::None),
            ("[..]", Trust::None),
            ("\"a\" * 1000000", Trust::None),
            ("\"a\" * 10e9", Trust::None),
            (".a *= 2", Trust::None),
            (". * $n", Trust::None),
            ("\"\\(. * $n)\"", Trust::None),
            ("[limit(3; repeat(1))]", Trust::None),
            (&format!(". as $x{}", " | [., .]".repeat(17)), Trust::None),
        ] {
            assert_eq!(Trust::of(code), trust, "{code}");
        }
    }
}
