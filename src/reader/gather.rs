//! What one parse of a file gathers: mistakes, the names that are read, jq programs.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use super::{Load, Loaded, Sink, Text, Use};
use crate::diag::{Diag, Severity};
use crate::jq::{self, Program, ProgramId, Programs};
use crate::source::{Source, place};
use crate::template::{self, Expr, Template};

/// What one parse of a file gathers.
pub struct Gather<'a> {
    /// The file.
    pub source: &'a Source,
    diags: RefCell<Vec<Diag>>,
    uses: RefCell<Vec<Use>>,
    programs: RefCell<Programs>,
    seldom: Cell<bool>,
    load: Load<'a>,
}

impl<'a> Gather<'a> {
    /// Nothing gathered yet.
    pub fn new(source: &'a Source, load: Load<'a>) -> Self {
        Self {
            source,
            load,
            diags: RefCell::default(),
            uses: RefCell::default(),
            programs: RefCell::default(),
            seldom: Cell::new(false),
        }
    }

    /// Adds a mistake.
    pub fn report(&self, diag: Diag) {
        self.diags.borrow_mut().push(diag);
    }

    /// Adds a mistake that earlier versions did not take for one, and that does no more harm now than it did
    /// then: a run that has begun with it is not kept from going on, nor from being taken back.
    pub fn report_since(&self, diag: Diag) {
        let severity = if self.source.begun { Severity::Warning } else { diag.severity };
        self.report(Diag { severity, ..diag });
    }

    /// Adds a mistake, unless one that says the same was found before it.
    pub fn report_once(&self, diag: Diag) {
        if !self.diags.borrow().iter().any(|known| known.title == diag.title) {
            self.report(diag);
        }
    }

    /// Finds and checks a runbook that this one uses.
    pub fn load(&self, name: &Text) -> Option<Loaded> {
        let loaded = (self.load)(&name.value);
        loaded.map_err(|wrong| self.report(Diag::error(wrong, name.span.clone()))).ok()
    }

    /// Reads what is wanted in few of all runs.
    pub fn seldom<T>(&self, read: impl FnOnce() -> T) -> T {
        let before = self.seldom.replace(true);
        let got = read();
        self.seldom.set(before);
        got
    }

    /// The text of a jq program of the file.
    pub fn code(&self, program: ProgramId) -> String {
        self.programs.borrow().code(program).to_owned()
    }

    /// The names read since the last call.
    pub fn take_uses(&self) -> Vec<Use> {
        let mut uses = self.uses.take();
        // in a file of many steps these are what there is most of
        uses.shrink_to_fit();
        uses
    }

    /// Everything: the mistakes, and the jq programs of the file.
    pub fn finish(self) -> (Vec<Diag>, Programs) {
        (self.diags.into_inner(), self.programs.into_inner())
    }

    /// Checks a template.
    pub fn template(&self, text: &Text, sink: Sink) -> Option<Template> {
        let parse = if self.source.known.is_so() { Template::known } else { Template::parse };
        let template = self.accept(text, parse(&text.value))?;
        self.note(text, template.reads(), sink);
        Some(template)
    }

    /// Checks a bare expression.
    pub fn expression(&self, text: &Text) -> Option<Expr> {
        let parse = if self.source.known.is_so() { Expr::known } else { Expr::parse };
        let expr = self.accept(text, parse(&text.value))?;
        self.note(text, expr.reads(), Sink::Closed);
        Some(expr)
    }

    /// Checks a jq program; `locals` are names given to it besides the file's own.
    pub fn jq(&self, text: &Text, locals: &[&str]) -> Option<ProgramId> {
        let parse = if self.source.known.is_so() { Program::known } else { Program::parse };
        match parse(&text.value) {
            Ok(program) => {
                for (name, range) in program.reads() {
                    if !locals.contains(&name.as_str()) {
                        self.note_use(text, name, range.clone(), Sink::Closed);
                    }
                }
                Some(
                    self.programs
                        .borrow_mut()
                        .add(program.at(&text.span).seldom(self.seldom.get())),
                )
            }
            Err(mistakes) => {
                for jq::Mistake { range, message, help } in mistakes {
                    self.mistake(text, range, format!("jq: {message}"), help);
                }
                None
            }
        }
    }

    fn accept<T>(&self, text: &Text, result: Result<T, template::Mistake>) -> Option<T> {
        let mistake = match result {
            Ok(value) => return Some(value),
            Err(mistake) => mistake,
        };
        self.mistake(text, mistake.range, mistake.message, mistake.help);
        None
    }

    /// Adds a mistake in a part of a text, at its place in the file.
    pub fn mistake(&self, text: &Text, part: Range<usize>, what: String, help: Option<String>) {
        let diag = Diag::error(what, place(self.source, &text.span, part));
        self.report(help.into_iter().fold(diag, Diag::help));
    }

    fn note(&self, text: &Text, reads: &[template::Read], sink: Sink) {
        for read in reads {
            self.note_use(text, &read.name, read.range.clone(), sink);
        }
    }

    fn note_use(&self, text: &Text, name: &str, range: Range<usize>, sink: Sink) {
        let literal = text.span.clone();
        self.uses.borrow_mut().push(Use { name: name.to_owned(), literal, range, sink });
    }
}
