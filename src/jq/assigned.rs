//! Conditions that set where they should compare: `select(.name = $x)` lets everything through.

use std::ops::Range;

use jaq_core::load::parse::{BinaryOp, Term};

use super::calls::terms;
use super::check;

/// The places of such a `=`, or the whole program for each if which one it is cannot be told. What an
/// assignment gives is never false or null.
pub fn assigned(code: &str) -> Vec<Range<usize>> {
    if !code.contains('=') {
        return Vec::new();
    }
    let Some(term) = check::parse(code) else { return Vec::new() };
    let mut wrong = 0;
    terms(&term, &mut |term| match term {
        // the last argument of the form with a generator is the condition
        Term::Call("select" | "any" | "all", args) => {
            wrong += args.last().map_or(0, sets);
        }
        Term::IfThenElse(branches, _) => {
            wrong += branches.iter().map(|(condition, _)| sets(condition)).sum::<usize>();
        }
        _ => {}
    });
    let lone = lone(code);
    if lone.len() == wrong {
        return lone.into_iter().map(|at| at..at + 1).collect();
    }
    vec![0..code.len(); wrong.min(1)]
}

/// How many assignments decide a condition.
fn sets(condition: &Term<&str>) -> usize {
    match condition {
        Term::BinOp(_, BinaryOp::Assign, _) => 1,
        Term::BinOp(left, BinaryOp::And | BinaryOp::Or, right) => sets(left) + sets(right),
        Term::BinOp(_, BinaryOp::Pipe(_), right) => sets(right),
        _ => 0,
    }
}

/// Where a `=` stands alone, outside of texts and comments.
fn lone(code: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let (mut found, mut text, mut comment, mut at) = (Vec::new(), false, false, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\n' if comment => comment = false,
            _ if comment => {}
            b'\\' if text => at += 1,
            b'"' => text = !text,
            _ if text => {}
            b'#' => comment = true,
            b'=' => {
                let before = at.checked_sub(1).and_then(|before| bytes.get(before));
                let operator = before.is_some_and(|before| b"=!<>|+-*/%".contains(before));
                if !operator && bytes.get(at + 1) != Some(&b'=') {
                    found.push(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_condition_that_sets_is_found() {
        let found = |code: &str| {
            let all = assigned(code).into_iter();
            all.map(|range| code[..range.start].to_owned()).collect::<Vec<_>>()
        };
        for (code, before) in [
            ("select(.name = $x)", "select(.name "),
            (".[] | select(.a == 1 and (.b = 2)) | .c", ".[] | select(.a == 1 and (.b "),
            ("any(.[]; .a=\"b=c\")", "any(.[]; .a"),
            ("if .a = 1 then 2 else 3 end # =", "if .a "),
            ("select(.a | .b = 1)", "select(.a | .b "),
            // which one cannot be told
            ("(.x = 1) | select(.name = 2)", ""),
        ] {
            assert_eq!(found(code), [before], "{code}");
        }
        for code in [
            "select(.name == $x)",
            ".a = 1",
            "map(.a = 1)",
            "select(.a != \"=\" and .b <= 2)",
            "select((.a = 1) | .b > 1)",
            "(.a | select(. > 1)) = 2",
            "first(.[] | select(.a == 1)) |= 2",
            "if . then .a = 1 else . end",
        ] {
            assert!(found(code).is_empty(), "{code}");
        }
    }
}
