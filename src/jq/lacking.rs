//! What a program looks for in values that have no such key.
//!
//! Only what is sure is told: keys on a path from the input on, through `[]`, `select`, `map`,
//! `first` and `last`, and on the sides of a comparison. What may be absent on purpose (`?`,
//! `//`, `if`, a comparison with null) is left alone, and so is all that is computed.

use std::ops::Range;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::path::{Opt, Part};

use super::{Val, check};

/// A key that none of the values has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// The key.
    pub key: String,
    /// Its place in the program.
    pub range: Range<usize>,
    /// Keys that are there instead.
    pub there: Vec<String>,
}

/// The keys that a program looks for and that are in none of these inputs.
pub fn lacking(code: &str, inputs: Vec<Val>) -> Vec<Lacking> {
    let Some(term) = check::parse(code) else { return Vec::new() };
    let mut look = Look { code, found: Vec::new() };
    look.term(&term, inputs);
    look.found
}

/// Whether there is an input in which a program would be found to look for a key that is not
/// there.
pub fn seeks(code: &str) -> bool {
    // tables within tables, each with one key that nobody looks for
    const DEPTH: usize = 16;
    let around = |inner: Val| Val::obj([(Val::from(String::new()), inner)].into_iter().collect());
    let deep = (0..DEPTH).fold(Val::default(), |inner, _| around(inner));
    !lacking(code, vec![deep]).is_empty()
}

struct Look<'s> {
    code: &'s str,
    found: Vec<Lacking>,
}

impl<'s> Look<'s> {
    /// The parts of the input that a term gives, or more; none where that is not known.
    fn term(&mut self, term: &Term<&'s str>, values: Vec<Val>) -> Option<Vec<Val>> {
        match term {
            Term::Id => Some(values),
            Term::Path(head, path) => {
                let mut values = self.term(head, values)?;
                for (part, optional) in &path.0 {
                    if matches!(optional, Opt::Optional) {
                        return None;
                    }
                    values = self.part(part, &values)?;
                }
                Some(values)
            }
            Term::BinOp(left, BinaryOp::Pipe(None), right) => {
                let values = self.term(left, values)?;
                self.term(right, values)
            }
            Term::BinOp(_, BinaryOp::Cmp(_), _) => {
                self.condition(term, &values);
                None
            }
            Term::Arr(Some(inner)) => {
                self.term(inner, values);
                None
            }
            Term::Call(name, args) => self.call(name, args, values),
            _ => None,
        }
    }

    fn call(&mut self, name: &str, args: &[Term<&'s str>], values: Vec<Val>) -> Option<Vec<Val>> {
        match (name, args) {
            ("select", [condition]) => {
                self.condition(condition, &values);
                Some(values)
            }
            ("map", [each]) => {
                let items = values.iter().flat_map(items).collect();
                self.term(each, items);
                None
            }
            ("first" | "last", [inner]) => self.term(inner, values),
            _ => None,
        }
    }

    /// The sides of comparisons; anything else may only ask whether something is there.
    fn condition(&mut self, term: &Term<&'s str>, values: &[Val]) {
        match term {
            Term::BinOp(left, BinaryOp::Cmp(_), right) if !absent(left) && !absent(right) => {
                self.term(left, values.to_vec());
                self.term(right, values.to_vec());
            }
            Term::BinOp(left, BinaryOp::And | BinaryOp::Or, right) => {
                self.condition(left, values);
                self.condition(right, values);
            }
            _ => {}
        }
    }

    fn part(&mut self, part: &Part<Term<&'s str>>, values: &[Val]) -> Option<Vec<Val>> {
        let next: Vec<Val> = match part {
            Part::Range(None, None) => values.iter().flat_map(items).collect(),
            Part::Index(Term::Num(number)) => {
                let at: usize = number.parse().ok()?;
                values.iter().filter_map(|value| items(value).into_iter().nth(at)).collect()
            }
            Part::Index(Term::Str(None, parts)) => match parts.as_slice() {
                [StrPart::Str(key)] => self.key(key, values),
                _ => return None,
            },
            _ => return None,
        };
        if next.is_empty() { None } else { Some(next) }
    }

    fn key(&mut self, key: &'s str, values: &[Val]) -> Vec<Val> {
        let tables: Vec<_> = values.iter().map(entries).filter(|table| !table.is_empty()).collect();
        let next: Vec<Val> = tables
            .iter()
            .filter_map(|table| table.iter().find(|(name, _)| name == key))
            .map(|(_, value)| value.clone())
            .collect();
        if next.is_empty() && !tables.is_empty() {
            let names = tables.into_iter().flatten().map(|(name, _)| name);
            let mut there: Vec<String> = names.collect();
            there.sort_unstable();
            there.dedup();
            let range = check::range(self.code, key);
            self.found.push(Lacking { key: key.to_owned(), range, there });
        }
        next
    }
}

/// What a comparison with it may only ask: whether something is there.
fn absent(term: &Term<&str>) -> bool {
    matches!(term, Term::Call("null" | "false" | "true", args) if args.is_empty())
}

fn items(value: &Val) -> Vec<Val> {
    match value {
        Val::Arr(items) => items.iter().cloned().collect(),
        Val::Obj(table) => table.iter().map(|(_, value)| value.clone()).collect(),
        _ => Vec::new(),
    }
}

/// An object's keys and values. One without keys is no proof of what could be in it.
fn entries(value: &Val) -> Vec<(String, Val)> {
    let Val::Obj(table) = value else { return Vec::new() };
    let entry = |(key, value): (&Val, &Val)| match key {
        Val::TStr(key) => Some((String::from_utf8_lossy(key).into_owned(), value.clone())),
        _ => None,
    };
    table.iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(code: &str) -> Vec<String> {
        let answers = [
            json!({ "results": [{ "pk": 1, "name": "a", "on": null }], "next": null }),
            json!({ "results": [] }),
        ];
        let inputs = answers.iter().map(crate::jq::from_json).collect();
        let found = lacking(code, inputs);
        found.iter().map(|one| format!("{}@{}", one.key, &code[one.range.clone()])).collect()
    }

    #[test]
    fn what_no_answer_has_is_told_with_its_place() {
        for code in [
            ".id",
            ".results[].id",
            ".results[0].id",
            ".results[] | .id",
            ".results[] | select(.id == 1)",
            ".results[] | select(.pk == 1 and .id == 1)",
            "[.results[] | select(.id == $x) | .pk]",
            "first(.results[] | select(.name == $x)) | .id",
            ".results | map(.id)",
            r#".results[0]["id"]"#,
        ] {
            assert_eq!(found(code), ["id@id"], "{code}");
            assert!(seeks(code), "{code}");
        }
    }

    #[test]
    fn what_could_lack_nothing_seeks_nothing() {
        for code in ["$response.status", ".", ".id?", ".id // null", "length", "has(\"id\")"] {
            assert!(!seeks(code), "{code}");
        }
        assert!(seeks(".results[0].on[].there | .id"));
    }

    #[test]
    fn what_is_there_or_may_be_absent_on_purpose_is_not() {
        for code in [
            ".results[0].pk",
            ".results[0].on.id",
            ".next.id",
            ".id?",
            ".id // null",
            "if .id then 1 else 2 end",
            "select(.id == null)",
            ".results[] | select(.id | not)",
            "(.id, .pk) | length",
            "$response.headers.location",
            "{id}",
            "has(\"id\")",
            ".results[5].id",
            "to_entries[] | .id",
            ".. | .id?",
        ] {
            assert_eq!(found(code), [""; 0], "{code}");
        }
    }
}
