//! How programs become definitions of one whole.

use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops;

/// The main program: all else is a definition.
pub(super) const MAIN: &str = "__main";

/// What it is told: which program to run, and what that reads, in order.
pub(super) const VARS: [&str; 2] = ["$__program", "$__vars"];

/// `def NAME: $__vars as [$a, $b] | BODY;`
pub(super) fn program<'s>(name: &'s str, vars: &'s [String], body: Term<&'s str>) -> Def<&'s str> {
    let body = if vars.is_empty() {
        body
    } else {
        let pattern = Pattern::Arr(vars.iter().map(|var| Pattern::Var(var.as_str())).collect());
        binary(Term::Var(VARS[1]), BinaryOp::Pipe(Some(pattern)), body)
    };
    Def { name, args: Vec::new(), body }
}

/// `def __main: if $__program < N then … else … end;` over names that end in their number.
pub(super) fn dispatcher(names: &[String]) -> Def<&str> {
    Def { name: MAIN, args: Vec::new(), body: choose(names) }
}

fn choose(names: &[String]) -> Term<&str> {
    match names {
        [] => Term::Id,
        [name] => Term::Call(name, Vec::new()),
        many => {
            let (low, high) = many.split_at(many.len() / 2);
            let border = Term::Num(high[0].trim_start_matches("__p"));
            let below = binary(Term::Var(VARS[0]), BinaryOp::Cmp(ops::Cmp::Lt), border);
            Term::IfThenElse(vec![(below, choose(low))], Some(Box::new(choose(high))))
        }
    }
}

fn binary<'s>(left: Term<&'s str>, op: BinaryOp<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    Term::BinOp(Box::new(left), op, Box::new(right))
}
