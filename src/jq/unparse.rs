//! Definitions as text: `build.rs` takes the library of jaq apart with it, so that of hundreds of
//! definitions only those that a program calls are ever read again.
//!
//! What is inside of something else stands in brackets, unless it holds together by itself;
//! `build.rs` reads every text back and compares.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::{Opt, Part, Path};

/// `def name(a; $b): BODY;`
pub(super) fn definition(def: &Def<&str>) -> String {
    let args =
        if def.args.is_empty() { String::new() } else { format!("({})", def.args.join("; ")) };
    format!("def {}{args}: {};", def.name, term(&def.body))
}

fn term(written: &Term<&str>) -> String {
    match written {
        Term::Id => ".".to_owned(),
        Term::Recurse => "..".to_owned(),
        Term::Num(text) | Term::Var(text) => (*text).to_owned(),
        Term::Str(format, parts) => {
            let format = format.map_or_else(String::new, |format| format!("{format} "));
            format!("{format}\"{}\"", parts.iter().map(part).collect::<String>())
        }
        Term::Arr(None) => "[]".to_owned(),
        Term::Arr(Some(inside)) => format!("[{}]", term(inside)),
        Term::Obj(entries) => format!("{{{}}}", joined(entries, ", ", entry)),
        Term::Neg(inside) => format!("-{}", whole(inside)),
        Term::BinOp(left, op, right) => format!("{} {} {}", whole(left), sign(op), whole(right)),
        Term::Label(name, inside) => format!("label {name} | {}", term(inside)),
        Term::Break(name) => format!("break {name}"),
        Term::Fold(name, source, bound, args) => {
            let args = joined(args, "; ", term);
            format!("{name} {} as {} ({args})", whole(source), pattern(bound))
        }
        Term::TryCatch(inside, None) => format!("try {}", whole(inside)),
        Term::TryCatch(inside, Some(catch)) => {
            format!("try {} catch {}", whole(inside), whole(catch))
        }
        Term::IfThenElse(branches, otherwise) => {
            let branch = |(test, then): &(_, _)| format!("if {} then {}", term(test), term(then));
            let otherwise = otherwise.as_deref().map(|then| format!(" else {}", term(then)));
            format!("{}{} end", joined(branches, " el", branch), otherwise.unwrap_or_default())
        }
        Term::Def(defs, inside) => format!("{} {}", joined(defs, " ", definition), term(inside)),
        Term::Call(name, args) if args.is_empty() => (*name).to_owned(),
        Term::Call(name, args) => format!("{name}({})", joined(args, "; ", term)),
        Term::Path(inside, parts) => match &**inside {
            Term::Id => format!(".{}", path(parts)),
            inside => format!("{}{}", whole(inside), path(parts)),
        },
    }
}

/// The same where it must hold together.
fn whole(written: &Term<&str>) -> String {
    let text = term(written);
    match written {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Var(_) | Term::Str(..) | Term::Arr(_) => {
            text
        }
        Term::Obj(_) | Term::Call(..) | Term::Path(..) => text,
        _ => format!("({text})"),
    }
}

fn joined<T>(parts: &[T], between: &str, write: impl Fn(&T) -> String) -> String {
    parts.iter().map(write).collect::<Vec<_>>().join(between)
}

fn part(part: &StrPart<&str, Term<&str>>) -> String {
    match part {
        StrPart::Str(text) => (*text).to_owned(),
        StrPart::Term(inside) => format!("\\({})", term(inside)),
        StrPart::Char(c @ ('"' | '\\')) => format!("\\{c}"),
        StrPart::Char(c) => {
            let mut room = [0; 2];
            joined(c.encode_utf16(&mut room), "", |unit| format!("\\u{unit:04x}"))
        }
    }
}

fn entry((key, value): &(Term<&str>, Option<Term<&str>>)) -> String {
    match value {
        None => term(key),
        Some(value) => format!("({}): {}", term(key), whole(value)),
    }
}

fn pattern(bound: &Pattern<&str>) -> String {
    match bound {
        Pattern::Var(name) => (*name).to_owned(),
        Pattern::Arr(parts) => format!("[{}]", joined(parts, ", ", pattern)),
        Pattern::Obj(entries) => {
            let entry = |(key, part): &(_, _)| format!("({}): {}", term(key), pattern(part));
            format!("{{{}}}", joined(entries, ", ", entry))
        }
    }
}

fn sign(op: &BinaryOp<&str>) -> String {
    match op {
        BinaryOp::Pipe(None) => "|".to_owned(),
        BinaryOp::Pipe(Some(bound)) => format!("as {} |", pattern(bound)),
        BinaryOp::Comma => ",".to_owned(),
        BinaryOp::Alt => "//".to_owned(),
        BinaryOp::Or => "or".to_owned(),
        BinaryOp::And => "and".to_owned(),
        BinaryOp::Math(op) => op.as_str().to_owned(),
        BinaryOp::Cmp(op) => op.as_str().to_owned(),
        BinaryOp::Assign => "=".to_owned(),
        BinaryOp::Update => "|=".to_owned(),
        BinaryOp::UpdateMath(op) => format!("{}=", op.as_str()),
        BinaryOp::UpdateAlt => "//=".to_owned(),
    }
}

fn path(path: &Path<Term<&str>>) -> String {
    joined(&path.0, "", |(part, opt)| {
        let place = match part {
            Part::Index(index) => term(index),
            Part::Range(None, None) => String::new(),
            Part::Range(from, to) => {
                let end = |end: &Option<_>| end.as_ref().map_or_else(String::new, |end| whole(end));
                format!("{}:{}", end(from), end(to))
            }
        };
        let opt = if matches!(opt, Opt::Optional) { "?" } else { "" };
        format!("[{place}]{opt}")
    })
}
