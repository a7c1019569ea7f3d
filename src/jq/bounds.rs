//! Every program ends, and stays small: counted steps, bounded sizes and depths.
//!
//! jaq cannot be interrupted, so the syntax tree is changed before it is compiled: whatever can
//! give many outputs or grow a value passes a native filter that counts. When a bound is
//! reached the program is halted, which `try` and `?` cannot catch. Not covered: how much
//! one step of jaq allocates beyond twice the size bound, and trees that share their parts and
//! are only large when they are compared or sorted.

use std::cell::{Cell, RefCell};

use jaq_core::box_iter::box_once;
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::native::{self, Fun, v};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};
use jaq_core::{DataT, Error, Exn, Lut, Native, ValXs, data};
use jaq_json::Num;

use super::Val;

/// The most steps (outputs of generators, rounds of loops) of one run.
pub(super) const MAX_STEPS: u32 = 5_000_000;
/// The most bytes of a text, or items of an array, that a program may build.
pub(super) const MAX_SIZE: usize = 32 * 1024 * 1024;
/// The most arrays and objects inside each other that a loop may build.
const MAX_DEPTH: usize = 1_000;
/// The most values, shared parts counted each time, that are written out as a text.
const MAX_WRITTEN: usize = 2_000_000;
/// How many steps pass between two looks at the depth, and how many values a look sees.
const LOOK: (u32, usize) = (64, 1_024);

/// Why a run was halted, as its halt code says.
pub(super) fn reason(code: i32) -> String {
    match code {
        STEPS => "more steps than a program may take: is it endless?".to_owned(),
        SIZE => format!("a text or an array of more than {MAX_SIZE} bytes or items"),
        _ => format!("a value with more than {MAX_DEPTH} levels"),
    }
}

const STEPS: i32 = 1;
const SIZE: i32 = 2;
const DEPTH: i32 = 3;

/// The kind of values and of world that programs run with.
pub(super) struct Jq;

impl DataT for Jq {
    type V<'a> = Val;
    type Data<'a> = &'a World<'a>;
}

/// How much one run may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Steps in all.
    pub(super) steps: u32,
    /// Bytes of one text, items of one array.
    pub(super) size: usize,
}

/// What one run shares: the compiled program, what it may still spend, what it said.
pub(super) struct World<'a> {
    lut: &'a Lut<Jq>,
    steps: Cell<u32>,
    size: usize,
    said: RefCell<Option<Val>>,
}

impl<'a> data::HasLut<'a, Jq> for &'a World<'a> {
    fn lut(&self) -> &'a Lut<Jq> {
        self.lut
    }
}

impl<'a> World<'a> {
    pub(super) fn new(lut: &'a Lut<Jq>, limits: Limits) -> Self {
        let Limits { steps, size } = limits;
        Self { lut, steps: Cell::new(steps), size, said: RefCell::new(None) }
    }

    /// The author's text, if this error is the last that `error` raised and is a text.
    pub(super) fn authored(&self, error: Error<Val>) -> Result<String, Error<Val>> {
        let said = self.said.borrow();
        match &*said {
            Some(Val::TStr(said)) if error == Error::new(Val::TStr(said.clone())) => {
                Ok(String::from_utf8_lossy(said).into_owned())
            }
            _ => Err(error),
        }
    }

    fn step(&self, value: &Val) -> Result<(), i32> {
        let left = self.steps.get().checked_sub(1).ok_or(STEPS)?;
        self.steps.set(left);
        if left % LOOK.0 == 0 && deeper(value, MAX_DEPTH, LOOK.1) { Err(DEPTH) } else { Ok(()) }
    }
}

/// Whether a value has more levels than this, as far as a look at so many values shows.
fn deeper(value: &Val, levels: usize, looks: usize) -> bool {
    let mut open = vec![(value, 0)];
    for _ in 0..looks {
        let Some((value, depth)) = open.pop() else { return false };
        if depth > levels {
            return true;
        }
        match value {
            Val::Arr(items) => open.extend(items.iter().take(looks).map(|item| (item, depth + 1))),
            Val::Obj(items) => {
                open.extend(items.values().take(looks).map(|item| (item, depth + 1)));
            }
            _ => {}
        }
    }
    false
}

/// Whether a value holds more values than this, shared parts counted each time.
fn larger(value: &Val, most: usize) -> bool {
    let (mut open, mut left) = (vec![value], most);
    while let Some(value) = open.pop() {
        if left == 0 {
            return true;
        }
        left -= 1;
        match value {
            Val::Arr(items) => open.extend(items.iter().take(left + 1)),
            Val::Obj(items) => open.extend(items.values().take(left + 1)),
            _ => {}
        }
    }
    false
}

fn size(value: &Val) -> usize {
    match value {
        Val::TStr(text) | Val::BStr(text) => text.len(),
        Val::Arr(items) => items.len(),
        _ => 0,
    }
}

fn halted<'a, T: 'a>(code: i32) -> ValXs<'a, T, Val> {
    box_once(Err(Exn::halt(code)))
}

/// Whether a native filter of jaq's is replaced by one of [`funs`].
pub(super) fn replaces(name: &str, arity: usize) -> bool {
    matches!((name, arity), ("range", 3) | ("error_empty" | "fromjson", 0))
}

/// The native filters that count.
pub(super) fn funs() -> impl Iterator<Item = Fun<Jq>> {
    [
        ("__step", v(0), step()),
        ("__sized", v(0), Native::<Jq>::new(|cv| sized(cv.1, cv.0.data().size))),
        ("__written", v(0), Native::<Jq>::new(|cv| written(cv.1))),
        (
            "__add",
            v(2),
            Native::<Jq>::new(|mut cv| {
                let (right, left) = (cv.0.pop_var(), cv.0.pop_var());
                if size(&left).saturating_add(size(&right)) > cv.0.data().size {
                    return halted(SIZE);
                }
                native::bome(left + right)
            }),
        ),
        (
            "__mul",
            v(2),
            Native::<Jq>::new(|mut cv| {
                let (right, left) = (cv.0.pop_var(), cv.0.pop_var());
                if times(&left, &right).max(times(&right, &left)) > cv.0.data().size {
                    return halted(SIZE);
                }
                native::bome(left * right)
            }),
        ),
        (
            "error_empty",
            v(0),
            Native::<Jq>::new(|cv| {
                cv.0.data().said.replace(Some(cv.1.clone()));
                native::bome(Err(Error::new(cv.1)))
            }),
        ),
        ("fromjson", v(0), Native::<Jq>::new(|cv| native::bome(from_json(&cv.1)))),
        (
            "range",
            v(3),
            Native::<Jq>::new(|mut cv| {
                let (by, to, from) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
                let world = *cv.0.data();
                range(world, from, to, by)
            }),
        ),
    ]
    .into_iter()
}

/// A filter that changes nothing and counts one step, in paths and updates too.
fn step() -> Native<Jq> {
    Native::<Jq>::new(|cv| match cv.0.data().step(&cv.1) {
        Ok(()) => box_once(Ok(cv.1)),
        Err(code) => halted(code),
    })
    .with_paths(|cv| match cv.0.data().step(&cv.1.0) {
        Ok(()) => box_once(Ok(cv.1)),
        Err(code) => halted(code),
    })
    .with_update(|cv, update| match cv.0.data().step(&cv.1) {
        Ok(()) => update(cv.1),
        Err(code) => halted(code),
    })
}

/// One strict JSON value of a text: jaq's own reader recurses without a bound.
fn from_json(text: &Val) -> Result<Val, Error<Val>> {
    let Val::TStr(text) = text else { return Err(Error::typ(text.clone(), "string")) };
    super::parse_body(text).map_err(|error| Error::str(format_args!("this is not JSON: {error}")))
}

fn written<'a>(value: Val) -> ValXs<'a, Val> {
    if larger(&value, MAX_WRITTEN) { halted(SIZE) } else { box_once(Ok(finite(value))) }
}

/// A value as jq writes it: JSON has no number that is not finite, and jaq writes `Infinity`.
fn finite(value: Val) -> Val {
    match value {
        Val::Num(Num::Float(number)) if number.is_nan() => Val::Null,
        Val::Num(Num::Float(number)) if number.is_infinite() => {
            Val::Num(Num::Float(f64::MAX.copysign(number)))
        }
        Val::Arr(ref items) if !items.iter().all(is_finite) => {
            items.iter().cloned().map(finite).collect()
        }
        Val::Obj(ref items) if !items.values().all(is_finite) => {
            let finite = |(key, value): (&Val, &Val)| (key.clone(), finite(value.clone()));
            Val::obj(items.iter().map(finite).collect())
        }
        value => value,
    }
}

fn is_finite(value: &Val) -> bool {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Val::Num(Num::Float(number)) if !number.is_finite() => return false,
            Val::Arr(items) => open.extend(items.iter()),
            Val::Obj(items) => open.extend(items.values()),
            _ => {}
        }
    }
    true
}

fn sized<'a>(value: Val, most: usize) -> ValXs<'a, Val> {
    if size(&value) > most { halted(SIZE) } else { box_once(Ok(value)) }
}

/// How long a text repeated a number of times would be; 0 for anything else.
fn times(text: &Val, number: &Val) -> usize {
    match (text, number) {
        (Val::TStr(text) | Val::BStr(text), Val::Num(number)) => {
            // what is no machine integer is either huge or an error of jaq's
            let times =
                number.as_isize().map_or(usize::MAX, |times| usize::try_from(times).unwrap_or(0));
            text.len().saturating_mul(times)
        }
        _ => 0,
    }
}

/// As jq's `range($from; $to; $by)`, counting each output.
fn range<'a>(world: &'a World<'a>, from: Val, to: Val, by: Val) -> ValXs<'a, Val> {
    let zero = Val::from(0usize);
    let (up, down) = (by > zero, by < zero);
    let mut next = Some(Ok(from));
    Box::new(std::iter::from_fn(move || {
        let value = match next.take()? {
            Ok(value) => value,
            Err(error) => return Some(Err(Exn::from(error))),
        };
        let inside = if up {
            value < to
        } else if down {
            value > to
        } else {
            value != to
        };
        if !inside {
            return None;
        }
        if let Err(code) = world.step(&value) {
            return Some(Err(Exn::halt(code)));
        }
        next = Some(value.clone() + by.clone());
        Some(Ok(value))
    }))
}

/// A definition whose every generator and growth is counted.
pub(super) fn definition(def: Def<&str>) -> Def<&str> {
    Def { body: counted(def.body), ..def }
}

fn counted(term: Term<&str>) -> Term<&str> {
    let inside = |term: Box<_>| Box::new(counted(*term));
    match term {
        Term::Recurse => pipe(Term::Recurse, call("__step")),
        Term::Id | Term::Num(_) | Term::Arr(None) | Term::Break(_) | Term::Var(_) => term,
        Term::Str(format, parts) => text(format, parts),
        Term::Arr(Some(term)) => Term::Arr(Some(inside(term))),
        Term::Neg(term) => Term::Neg(inside(term)),
        Term::Obj(entries) => Term::Obj(
            entries.into_iter().map(|(key, value)| (counted(key), value.map(counted))).collect(),
        ),
        Term::BinOp(left, op, right) => binary(inside(left), op, inside(right)),
        Term::Label(name, term) => Term::Label(name, inside(term)),
        Term::Fold(name, source, pattern, args) => {
            let args = args
                .into_iter()
                .map(counted)
                .enumerate()
                .map(|(place, arg)| if place == 1 { pipe(call("__step"), arg) } else { arg });
            Term::Fold(name, inside(source), pattern, args.collect())
        }
        Term::TryCatch(term, catch) => Term::TryCatch(inside(term), catch.map(inside)),
        Term::IfThenElse(branches, otherwise) => Term::IfThenElse(
            branches.into_iter().map(|(test, then)| (counted(test), counted(then))).collect(),
            otherwise.map(inside),
        ),
        Term::Def(defs, term) => {
            Term::Def(defs.into_iter().map(definition).collect(), inside(term))
        }
        // the loops of jaq's own library are definitions of this name
        Term::Call("rec", args) => pipe(call("__step"), Term::Call("rec", args)),
        Term::Call("tojson", args) => pipe(call("__written"), Term::Call("tojson", args)),
        Term::Call(name, args) => Term::Call(name, args.into_iter().map(counted).collect()),
        Term::Path(term, path) => iterated(counted(*term), path),
    }
}

fn binary<'s>(
    left: Box<Term<&'s str>>,
    op: BinaryOp<&'s str>,
    right: Box<Term<&'s str>>,
) -> Term<&'s str> {
    match op {
        BinaryOp::Comma => Term::BinOp(left, op, Box::new(pipe(call("__step"), *right))),
        BinaryOp::Math(Math::Add) => Term::Call("__add", vec![*left, *right]),
        BinaryOp::Math(Math::Mul) => Term::Call("__mul", vec![*left, *right]),
        BinaryOp::UpdateMath(Math::Add) => update("__add", left, right),
        BinaryOp::UpdateMath(Math::Mul) => update("__mul", left, right),
        _ => Term::BinOp(left, op, right),
    }
}

/// `PATH += F` is `F as $__x | PATH |= __add(.; $__x)`.
fn update<'s>(name: &'s str, path: Box<Term<&'s str>>, by: Box<Term<&'s str>>) -> Term<&'s str> {
    let grown = Term::Call(name, vec![Term::Id, Term::Var("$__x")]);
    let update = Term::BinOp(path, BinaryOp::Update, Box::new(grown));
    Term::BinOp(by, BinaryOp::Pipe(Some(Pattern::Var("$__x"))), Box::new(update))
}

fn text<'s>(format: Option<&'s str>, parts: Vec<StrPart<&'s str, Term<&'s str>>>) -> Term<&'s str> {
    let plain = parts.iter().all(|part| !matches!(part, StrPart::Term(_)));
    let parts = parts.into_iter().map(|part| match part {
        StrPart::Term(term) => StrPart::Term(pipe(counted(term), call("__written"))),
        other => other,
    });
    let text = Term::Str(format, parts.collect());
    if plain { text } else { pipe(text, call("__sized")) }
}

fn iterated<'s>(term: Term<&'s str>, path: Path<Term<&'s str>>) -> Term<&'s str> {
    let many = path.0.iter().any(|(part, _)| matches!(part, Part::Range(None, None)));
    let parts = path.0.into_iter().map(|(part, opt)| {
        let part = match part {
            Part::Index(term) => Part::Index(counted(term)),
            Part::Range(from, to) => Part::Range(from.map(counted), to.map(counted)),
        };
        (part, opt)
    });
    let path = Term::Path(Box::new(term), Path(parts.collect()));
    if many { pipe(path, call("__step")) } else { path }
}

fn pipe<'s>(left: Term<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    Term::BinOp(Box::new(left), BinaryOp::Pipe(None), Box::new(right))
}

fn call(name: &str) -> Term<&str> {
    Term::Call(name, Vec::new())
}
