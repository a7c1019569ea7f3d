//! jq: the language that reads answers, bounded and shut off from the world.
//!
//! A [`Program`] is one text an author wrote, parsed and checked; [`Programs`] are all of a
//! runbook, compiled together on first use and run on values. Invariant: running a program
//! reads its input and its variables and nothing else (no environment, clock, files or
//! further input), and it ends: steps, outputs and sizes are counted, never timed, so that
//! the same input gives the same answer on every machine.

mod assigned;
mod bounds;
mod calls;
mod check;
mod convert;
mod lacking;
mod library;
mod names;
mod outline;
mod straight;
mod trust;
mod whole;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Ctx, Exn, Filter, Vars};

pub use assigned::assigned;
pub use check::Mistake;
pub use convert::{from_json, parse_body, to_json};
pub use lacking::{Lacking, lacking, seeks};

use crate::patience::within;
use crate::source::Span;
use bounds::{Jq, Limits, World};
use trust::{FEW_STEPS, SMALL, Trust, little};

/// A value as jq knows it. Objects keep the order of their keys.
pub type Val = jaq_json::Val;

/// The most outputs one run may give.
const MAX_OUTPUTS: usize = 1_000_000;

/// How many characters an error's text has at most.
const MAX_MESSAGE: usize = 200;

/// Definitions that several programs share (`def name(args): …;`, one after another).
#[derive(Debug, Clone, Default)]
pub struct Defs {
    code: String,
    names: Vec<(String, usize)>,
}

impl Defs {
    /// Parses and checks definitions. They cannot read variables from outside.
    pub fn parse(code: &str) -> Result<Self, Vec<Mistake>> {
        let names = check::defs(code)?;
        Ok(Self { code: code.to_owned(), names })
    }
}

/// One author's program, parsed and checked but not yet compiled.
#[derive(Debug, Clone)]
pub struct Program {
    code: String,
    literal: Span,
    reads: Vec<(String, Range<usize>)>,
    trust: OnceLock<Trust>,
    seldom: bool,
}

impl Program {
    /// Parses a program and checks every name in it but the variables it [`reads`](Self::reads).
    pub fn parse(code: &str) -> Result<Self, Vec<Mistake>> {
        Self::parse_with(code, &Defs::default())
    }

    /// The same for a program that was checked before, and is parsed only if it is run.
    pub fn known(code: &str) -> Result<Self, Vec<Mistake>> {
        match check::plain_reads(code) {
            Some(reads) => Ok(Self::new(code, reads)),
            None => Self::parse(code),
        }
    }

    /// As [`Program::parse`], for a program that may call shared definitions. It must then be
    /// added to [`Programs`] made from the same definitions.
    pub fn parse_with(code: &str, defs: &Defs) -> Result<Self, Vec<Mistake>> {
        Ok(Self::new(code, check::program(code, &defs.names)?))
    }

    fn new(code: &str, reads: Vec<(String, Range<usize>)>) -> Self {
        let (code, trust) = (code.to_owned(), OnceLock::new());
        Self { code, literal: 0..0, reads, trust, seldom: false }
    }

    /// The same, with the place of its text's literal in the author's file.
    #[must_use]
    pub fn at(self, literal: &Span) -> Self {
        Self { literal: literal.clone(), ..self }
    }

    /// The same, said to be run in few of all runs, or not.
    #[must_use]
    pub fn seldom(self, seldom: bool) -> Self {
        Self { seldom, ..self }
    }

    /// The variables the program takes from outside: the name without its `$`, and each place
    /// (bytes of [`code`](Self::code), the `$` included) where it stands.
    pub fn reads(&self) -> &[(String, Range<usize>)] {
        &self.reads
    }

    /// The program's text.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The names it reads, each once, in the order of their first place.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in &self.reads {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }
}

/// Which of the [`Programs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramId(usize);

/// Programs that are compiled together on first use, with what they need of the library; those
/// that are run seldom apart from the others.
pub struct Programs {
    defs: Defs,
    all: Vec<Program>,
    usual: Compiled,
    seldom: Compiled,
    steps: u32,
}

type Compiled = OnceLock<Arc<Result<Filter<Jq>, String>>>;

impl Default for Programs {
    fn default() -> Self {
        Self::with_defs(Defs::default())
    }
}

impl Programs {
    /// No programs yet, with definitions that all of them may call.
    pub fn with_defs(defs: Defs) -> Self {
        let (usual, seldom) = (OnceLock::new(), OnceLock::new());
        Self { defs, all: Vec::new(), usual, seldom, steps: bounds::MAX_STEPS }
    }

    /// Adds a program. Programs added after the first run cost one more compilation.
    pub fn add(&mut self, program: Program) -> ProgramId {
        (self.usual, self.seldom) = (OnceLock::new(), OnceLock::new());
        self.all.push(program);
        ProgramId(self.all.len() - 1)
    }

    /// A program's text.
    pub fn code(&self, id: ProgramId) -> &str {
        self.all.get(id.0).map_or("", Program::code)
    }

    /// Where a program's text stands in the author's file, with its quotes.
    pub fn literal(&self, id: ProgramId) -> Span {
        self.all.get(id.0).map_or(0..0, |program| program.literal.clone())
    }

    /// All programs.
    pub fn ids(&self) -> impl Iterator<Item = ProgramId> {
        (0..self.all.len()).map(ProgramId)
    }

    /// The texts of all programs.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(Program::code)
    }

    /// The names a program reads, without `$`.
    pub fn reads(&self, id: ProgramId) -> Vec<&str> {
        self.all.get(id.0).map(Program::names).unwrap_or_default()
    }

    /// Compiles what most runs need, if there is time for it now.
    pub fn warm(&self) {
        let usual = |program: &Program| !program.seldom && straight::path(&program.code).is_none();
        if self.all.iter().any(usual) {
            drop(self.compiled(false));
        }
    }

    fn compiled(&self, seldom: bool) -> Arc<Result<Filter<Jq>, String>> {
        let compiled = if seldom { &self.seldom } else { &self.usual };
        Arc::clone(compiled.get_or_init(|| Arc::new(self.compile(seldom))))
    }

    /// Runs a program on an input. Only the variables it reads are looked up, by their names
    /// without `$`; one that is not found is null.
    pub fn run(
        &self,
        id: ProgramId,
        vars: &dyn Fn(&str) -> Option<Val>,
        input: Val,
    ) -> Result<Vec<Val>, RunError> {
        let program = self.all.get(id.0).ok_or_else(|| RunError::bug("no such program"))?;
        if let Some(path) = straight::path(&program.code) {
            let start = path.from.map_or(Some(input), vars).unwrap_or_default();
            return path.follow(start).map(|value| vec![value]).map_err(RunError::language);
        }
        let compiled = self.compiled(program.seldom);
        let values = program.names().into_iter().map(|name| vars(name).unwrap_or_default());
        let vars = [Val::from(id.0), values.collect::<Val>()];
        let run = move |vars, input, limits| {
            let filter = (*compiled).as_ref().map_err(RunError::bug)?;
            let world = World::new(&filter.lut, limits);
            let outputs = filter.id.run((Ctx::<Jq>::new(&world, Vars::new(vars)), input));
            collect(outputs, &world)
        };
        let limits = Limits { steps: self.steps, size: bounds::MAX_SIZE };
        // what shared definitions do is not looked at
        let alone = self.defs.code.is_empty();
        let of = || if alone { Trust::of(&program.code) } else { Trust::None };
        let trust = *program.trust.get_or_init(of);
        // a thread is waited for; that takes longer than most programs do
        if trust == Trust::Plain {
            return run(vars, input, limits);
        }
        if trust == Trust::Short && little(vars.iter().chain([&input])) {
            let few = Limits { steps: FEW_STEPS.min(limits.steps), size: SMALL };
            match run(vars.clone(), input.clone(), few) {
                Err(error) if error.cause == RunCause::Bound => {}
                result => return result,
            }
        }
        within(move || run(vars, input, limits)).unwrap_or_else(|lost| Err(RunError::bound(lost)))
    }

    /// One program out of many: what they call of the library, the shared definitions, a definition
    /// for each program, and a dispatcher as a balanced tree over their numbers.
    fn compile(&self, seldom: bool) -> Result<Filter<Jq>, String> {
        let all = self.all.iter().enumerate().filter(|(_, program)| {
            program.seldom == seldom && straight::path(&program.code).is_none()
        });
        let (names, all): (Vec<String>, Vec<&Program>) =
            all.map(|(number, program)| (format!("__p{number}"), program)).unzip();
        let vars: Vec<Vec<String>> = all.iter().map(|program| dollars(&program.names())).collect();
        let mut own = Vec::new();
        own.extend(check::parse_defs(&self.defs.code).ok_or("the definitions do not parse")?);
        for ((program, name), vars) in all.iter().zip(&names).zip(&vars) {
            let body = check::parse(&program.code).ok_or("a program does not parse")?;
            own.push(whole::program(name, vars, body));
        }
        let called = library::called(&own);
        own.push(whole::dispatcher(&names));
        let defs = library::defs(&called).into_iter().chain(own).map(bounds::definition);
        let arena = Arena::default();
        let modules = Loader::new(defs)
            .load(&arena, File { code: whole::MAIN, path: () })
            .map_err(|_| "the main program does not load")?;
        jaq_core::Compiler::default()
            .with_funs(library::funs(|name| called.binary_search(&name).is_ok()))
            .with_global_vars(whole::VARS)
            .compile(modules)
            .map_err(|errors| format!("undefined: {:?}", errors.first().map(|(_, e)| e)))
    }
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.all).finish()
    }
}

fn dollars(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("${name}")).collect()
}

fn collect<'a>(
    outputs: impl Iterator<Item = Result<Val, Exn<'a, Val>>>,
    world: &World<'_>,
) -> Result<Vec<Val>, RunError> {
    let mut values = Vec::new();
    for output in outputs {
        values.push(output.map_err(|exn| RunError::from_exn(exn, world))?);
        if values.len() > MAX_OUTPUTS {
            return Err(RunError::bound(format!("more than {MAX_OUTPUTS} outputs")));
        }
    }
    Ok(values)
}

/// Why a program gave no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// What went wrong, at most about 200 characters. Unless the cause is
    /// [`RunCause::Author`] it may quote the input: show it only through the redactor.
    pub message: String,
    /// Whose word the message is.
    pub cause: RunCause,
    /// What went wrong in words that quote no value, if the language says that.
    pub outline: Option<String>,
}

/// Who stopped a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunCause {
    /// `error("…")` with a text: the message is the author's own.
    Author,
    /// The language: a wrong type, a bad number, an `error` that is no text.
    Language,
    /// Too many steps or outputs, too large or too deep a value.
    Bound,
    /// Not the author's fault: report it.
    Bug,
}

impl RunError {
    fn new(message: impl fmt::Display, cause: RunCause) -> Self {
        Self { message: cut(message), cause, outline: None }
    }

    fn bound(message: impl fmt::Display) -> Self {
        Self::new(message, RunCause::Bound)
    }

    fn bug(message: impl fmt::Display) -> Self {
        Self::new(message, RunCause::Bug)
    }

    /// jaq shows an error that is a text as JSON.
    fn language(error: impl fmt::Display) -> Self {
        let (message, outline) = (cut(&error), outline::outline(&error));
        let message = serde_json::from_str(&message).unwrap_or(message);
        Self { outline, ..Self::new(message, RunCause::Language) }
    }

    fn from_exn(exn: Exn<'_, Val>, world: &World<'_>) -> Self {
        match exn.get_err() {
            Ok(error) => match world.authored(error) {
                Ok(text) => Self::new(text, RunCause::Author),
                Err(error) => Self::language(error),
            },
            Err(exn) => match exn.get_halt() {
                Ok(code) => Self::bound(bounds::reason(code)),
                Err(_) => Self::bug("a jump that nothing caught"),
            },
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RunError {}

/// A text cut to [`MAX_MESSAGE`] characters, without writing the rest: it may be endless.
fn cut(shown: impl fmt::Display) -> String {
    struct Cut(String, usize);
    impl fmt::Write for Cut {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for c in text.chars() {
                if self.1 == 0 {
                    self.0.push('…');
                    return Err(fmt::Error);
                }
                self.0.push(c);
                self.1 -= 1;
            }
            Ok(())
        }
    }
    let mut cut = Cut(String::new(), MAX_MESSAGE);
    // the only failure is the cut itself
    let _ = fmt::Write::write_fmt(&mut cut, format_args!("{shown}"));
    cut.0
}

#[cfg(test)]
mod tests;
