//! Programs that only follow a path, as most do: nothing need be compiled for them.
//!
//! Each step is taken by jaq itself.

use jaq_core::{ValR, ValT};

use super::Val;

/// A path and where it begins.
pub(super) struct Path<'p> {
    /// The variable, without `$`; none for the input.
    pub(super) from: Option<&'p str>,
    keys: Vec<Val>,
}

/// The path that a program is: `.a.b[0]`, `$x.a`, `.`; none if it is anything else.
pub(super) fn path(program: &str) -> Option<Path<'_>> {
    let (from, mut rest) = match program.strip_prefix('$') {
        Some(rest) => name(rest).map(|(name, rest)| (Some(name), rest))?,
        None if program == "." => (None, ""),
        None => (None, program),
    };
    let whole = from.is_some() || program == "." || program.starts_with('.');
    let mut keys = Vec::new();
    while !rest.is_empty() {
        let key;
        (key, rest) = match rest.strip_prefix('[') {
            // `[0]` at the beginning builds a list
            Some(index) if from.is_some() || !keys.is_empty() => place(index)?,
            _ => name(rest.strip_prefix('.')?).map(|(name, rest)| (text(name), rest))?,
        };
        keys.push(key);
    }
    // what a name means that begins so is not known here
    (whole && !from.is_some_and(|from| from.starts_with("__"))).then_some(Path { from, keys })
}

impl Path<'_> {
    /// What it leads to.
    pub(super) fn follow(&self, value: Val) -> ValR<Val> {
        self.keys.iter().try_fold(value, ValT::index)
    }
}

fn name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    is_name.then(|| text.split_at(end))
}

/// A place in a list, up to the bracket behind it.
fn place(text: &str) -> Option<(Val, &str)> {
    let (digits, rest) = text.split_once(']')?;
    let few = digits.len() < 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let place = digits.parse::<usize>().ok().filter(|_| few)?;
    Some((Val::from(place), rest))
}

fn text(name: &str) -> Val {
    Val::from(name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Program, Programs, RunError, from_json};
    use super::*;

    #[test]
    fn a_path_leads_where_jaq_finds_it() {
        let values = [
            json!({"a": {"b": [1, {"c": null}], "": 2}, "b": [[7]], "and": 1, "_x1": "y"}),
            json!([{"a": 1}, 2]),
            json!("text"),
            json!(null),
            json!(7),
        ];
        let paths = [
            ".",
            ".a",
            ".a.b",
            ".a.b[1].c",
            ".a.b[0]",
            ".b[0][0]",
            ".a.b[99]",
            ".and",
            "._x1",
            "$x",
            "$x.a",
            "$x[0]",
            "$x[1]",
            "$x[0].a.b.c",
        ];
        for (program, value) in paths.iter().flat_map(|path| values.iter().map(move |v| (path, v)))
        {
            let value = from_json(value);
            let vars = |name: &str| (name == "x").then(|| value.clone());
            // in brackets it is compiled
            let ask = |program: &str| -> Result<Vec<Val>, RunError> {
                let mut programs = Programs::default();
                let id = programs.add(Program::parse(program).unwrap());
                programs.run(id, &vars, value.clone())
            };
            assert!(path(program).is_some() && path(&format!("({program})")).is_none());
            assert_eq!(ask(program), ask(&format!("({program})")), "{program} of {value}");
        }
        for other in [
            "[0]", ".[0]", "a", ".a?", ".a[]", ".a[-1]", ".a.[0]", "..", ".a | .b", ".1",
            "$__loc__", "$", "", ".a[0", ".\"a\"", ". ", "1", ".a,.b", "$x::y",
        ] {
            assert!(path(other).is_none(), "{other}");
        }
    }
}
