//! Whether a program surely comes back by itself: a thread that is waited for takes longer than most
//! programs do.
//!
//! What is looked at is how much can come of a little: steps are counted, and not what one of them
//! does, nor what it takes to compare or write what shares its parts.

use super::Val;

/// So many parts and bytes of text in all values cannot take a program long that is brief and does
/// not go round, …
const LITTLE: usize = 16 * 1024;

/// … within so many steps.
pub(super) const FEW_STEPS: u32 = 2_000;

/// So many bytes of text, or items, may become of it meanwhile.
pub(super) const SMALL: usize = 64 * 1024;

/// So many times may a text or a pattern be repeated, all together.
const MANY: u64 = 1_000;

/// The most bytes of a brief program.
const BRIEF: usize = 4 * 1024;

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

/// What a word does that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// It makes a program go round.
    Loop,
    /// It builds, or looks at much at once.
    Build,
    /// It can give twice of what it is given, or thrice.
    Double,
}

impl Does {
    fn of(word: &str) -> Option<Self> {
        match word {
            "combinations" | "def" | "foreach" | "limit" | "paths" | "range" | "recurse"
            | "reduce" | "repeat" | "until" | "walk" | "while" => Some(Self::Loop),
            "add" | "as" | "capture" | "explode" | "flatten" | "group_by" | "implode" | "match"
            | "scan" | "sort" | "sort_by" | "split" | "splits" | "test" | "unique"
            | "unique_by" => Some(Self::Build),
            "gsub" | "join" | "sub" | "tojson" => Some(Self::Double),
            _ => None,
        }
    }
}

impl Trust {
    /// What can give twice of what it is given, too. A comma gives two values, which then share
    /// what is in them.
    const SIGNS: &[char] = &[',', '+', '@'];
    /// So often a little may become twice or thrice of itself.
    const OFTEN: usize = 8;

    /// How far a program that calls nothing but the library can be trusted.
    pub(super) fn of(program: &str) -> Self {
        if program.len() > BRIEF {
            return Self::None;
        }
        let code = without_texts(program);
        let words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let does: Vec<Does> = words.filter_map(Does::of).collect();
        let doubles = does.iter().filter(|does| **does == Does::Double).count();
        let doubles = doubles + code.matches(Self::SIGNS).count();
        let goes_round = code.contains("..") || multiplies(&code) || does.contains(&Does::Loop);
        if goes_round || doubles > Self::OFTEN || repeats(program) {
            return Self::None;
        }
        let builds =
            !does.is_empty() || doubles > 0 || code.contains(['*', '{']) || collects(&code);
        if builds { Self::Short } else { Self::Plain }
    }
}

/// A program without what stands in its texts; all of it where programs stand in them, or where
/// comments make it hard to say what is one.
fn without_texts(code: &str) -> String {
    // a quote in a comment is none
    if code.contains("\\(") || code.contains('#') {
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

/// Whether it multiplies by more than small numbers that stand there: a text, say, by a value.
fn multiplies(code: &str) -> bool {
    let times = code.split('*').skip(1).map(|right| {
        let right = right.trim_start();
        let digits = right.bytes().take_while(u8::is_ascii_digit).count();
        let more = right[digits..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
        right[..digits].parse::<u64>().ok().filter(|_| !more).unwrap_or(u64::MAX)
    });
    times.fold(1, u64::saturating_mul) > MANY
}

/// Whether a bracket in it gathers values, and is no index.
fn collects(code: &str) -> bool {
    let mut before = ' ';
    code.chars().any(|c| {
        let indexed = before.is_ascii_alphanumeric() || "_.])?\"".contains(before);
        before = c;
        c == '[' && !indexed
    })
}

/// Whether a pattern in it may have to be looked at many times over: `x{1000}`.
fn repeats(program: &str) -> bool {
    let times = program.split('{').skip(1).map(|rest| {
        let number = rest.trim_start_matches([',', ' ']);
        let digits = number.len() - number.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        number[..digits].parse::<u64>().unwrap_or(if digits == 0 { 1 } else { u64::MAX })
    });
    times.fold(1, u64::saturating_mul) > MANY
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
            (".say == \"a * b .. \\\" c, d\"", Trust::Plain),
            ("$response.headers[\"x-a\"]? // .a[\"b\"][1]", Trust::Plain),
            ("[.[] as $a | .[] as $b | [$a, $b]]", Trust::Short),
            (".scopes | sort | join(\" \")", Trust::Short),
            ("{name: .a}", Trust::Short),
            ("[.a]", Trust::Short),
            (".a + .b", Trust::Short),
            ("test(\"^[^ ]{4}*$\")", Trust::Short),
            (".[0] * 100 + .[1]", Trust::Short),
            ("reduce .[] as $x (0; . + $x)", Trust::None),
            ("[..]", Trust::None),
            ("\"a\" * 1000000", Trust::None),
            ("\"a\" * 999 * 999", Trust::None),
            ("1 # \"\n| \"x\" * 31000000 | explode # \"", Trust::None),
            ("1 # \"\n| [range(9)] # \"", Trust::None),
            ("\"a\" * 10e9", Trust::None),
            (".a *= 2", Trust::None),
            (". * $n", Trust::None),
            ("\"\\(. * $n)\"", Trust::None),
            ("[limit(3; repeat(1))]", Trust::None),
            (&format!("1{}", " | [., .]".repeat(9)), Trust::None),
            (&format!("1{}", " | . + .".repeat(9)), Trust::None),
            (&format!("\"é\"{}", " | @uri".repeat(9)), Trust::None),
            (&format!(".a{}", " | gsub(\"\"; \"xx\")".repeat(9)), Trust::None),
            ("test(\"(.?){99},{99}\")", Trust::None),
            (&format!(".a{}", " | length".repeat(BRIEF / 9)), Trust::None),
        ] {
            assert_eq!(Trust::of(code), trust, "{code}");
        }
    }
}
