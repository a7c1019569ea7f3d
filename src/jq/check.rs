//! Syntax and names of a program, before anything is compiled.
//!
//! Everything here works on one text by itself, so that a program cannot reach out of the
//! definition it will become. Depth is bounded before jaq's recursive parser sees the text.

use std::ops::Range;

use jaq_core::load::lex::{self, StrPart, Tok, Token};
use jaq_core::load::parse::{BinaryOp, Def, Expect, Parser, Pattern, Term};
use jaq_core::load::{self, Lexer};
use jaq_core::path::Part;

use super::library;
use crate::diag::closest;

/// The most bytes a program may have.
const MAX_LENGTH: usize = 128 * 1024;
/// The most brackets inside each other.
const MAX_BRACKETS: usize = 100;
/// The most operators and keywords that can hold each other.
const MAX_WEIGHT: usize = 400;

/// A mistake in a program, at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Bytes of the program's text.
    pub range: Range<usize>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

type Mistakes = Vec<Mistake>;

/// Checks a program that may call the library and these definitions; gives what it reads.
pub(super) fn program(
    code: &str,
    shared: &[(String, usize)],
) -> Result<Vec<(String, Range<usize>)>, Mistakes> {
    let term = syntax(code, |parser| parser.term())?;
    let mut walk = Walk::new(code, shared);
    walk.term(&term);
    if walk.mistakes.is_empty() { Ok(walk.reads) } else { Err(walk.mistakes) }
}

/// What can give a variable a meaning inside a program.
const BINDS: &[&str] = &["as", "def", "label", "__loc__"];

/// The same for a program without mistakes, told by its characters alone; nothing where only its
/// tree tells which variables come from outside.
pub(super) fn plain_reads(code: &str) -> Option<Vec<(String, Range<usize>)>> {
    if !code.contains('$') {
        return Some(Vec::new());
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let binds = code.split(|c: char| !is_word(c)).any(|word| BINDS.contains(&word));
    if binds || code.contains(['#', '\\']) {
        return None;
    }
    let mut reads = Vec::new();
    let mut quoted = false;
    for (at, c) in code.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '$' if !quoted => {
                let name: &str = &code[at + 1..];
                let end = name.find(|c: char| !is_word(c)).unwrap_or(name.len());
                reads.push((name[..end].to_owned(), at..at + 1 + end));
            }
            _ => {}
        }
    }
    Some(reads)
}

/// Checks definitions; gives their names and how many arguments they take.
pub(super) fn defs(code: &str) -> Result<Vec<(String, usize)>, Mistakes> {
    let defs = syntax(code, |parser| parser.defs())?;
    let mut walk = Walk::new(code, &[]);
    walk.defs(&defs);
    for (name, range) in std::mem::take(&mut walk.reads) {
        let message = format!("`${name}` is not known here");
        let help = "shared definitions take what they need as arguments".to_owned();
        walk.mistakes.push(Mistake { range, message, help: Some(help) });
    }
    if walk.mistakes.is_empty() {
        Ok(defs.iter().map(|def| (def.name.to_owned(), def.args.len())).collect())
    } else {
        Err(walk.mistakes)
    }
}

/// A program's syntax tree; none where [`program`] would find a mistake in the syntax.
pub(super) fn parse(code: &str) -> Option<Term<&str>> {
    syntax(code, |parser| parser.term()).ok()
}

/// The trees of definitions; none where [`defs`] would find a mistake in the syntax.
pub(super) fn parse_defs(code: &str) -> Option<Vec<Def<&str>>> {
    syntax(code, |parser| parser.defs()).ok()
}

fn syntax<'s, T: Default>(
    code: &'s str,
    parse: impl for<'t> FnOnce(&mut Parser<'s, 't>) -> load::parse::Result<'s, 't, T>,
) -> Result<T, Mistakes> {
    bounded(code)?;
    let tokens = Lexer::new(code).lex().map_err(|errors| {
        errors.into_iter().map(|error| lexical(code, &error)).collect::<Vec<_>>()
    })?;
    if let Some(Token(word @ ("import" | "include" | "module"), _)) = tokens.first() {
        let message = format!("`{word}` is not available: a program is one text");
        return Err(vec![Mistake { range: range(code, word), message, help: None }]);
    }
    if weight(&tokens, false) > MAX_WEIGHT {
        return Err(vec![whole(code, "the program nests too deeply")]);
    }
    Parser::new(&tokens).parse(parse).map_err(|errors| {
        errors.into_iter().map(|(expected, found)| grammatical(code, &expected, found)).collect()
    })
}

fn bounded(code: &str) -> Result<(), Mistakes> {
    if code.len() > MAX_LENGTH {
        return Err(vec![whole(code, "the program is longer than 128 KiB")]);
    }
    match too_deep(code) {
        Some(at) => Err(vec![Mistake {
            range: at..at + 1,
            message: format!("more than {MAX_BRACKETS} brackets inside each other"),
            help: None,
        }]),
        None => Ok(()),
    }
}

/// Where brackets nest too deeply. A small lexer of its own: jaq's recurses with the brackets.
fn too_deep(code: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut chars = code.char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, open.last() == Some(&'"')) {
            ('\\', true) => {
                if let Some((_, '(')) = chars.next() {
                    open.push('(');
                }
            }
            ('"', true) | (')' | ']' | '}', false) => drop(open.pop()),
            ('"' | '(' | '[' | '{', false) => open.push(c),
            ('#', false) => drop(chars.by_ref().find(|(_, c)| *c == '\n')),
            _ => {}
        }
        if open.len() > MAX_BRACKETS {
            return Some(at);
        }
    }
    None
}

/// How deeply the parser would recurse: operators and keywords that can hold what follows.
fn weight(tokens: &[Token<&str>], object: bool) -> usize {
    let (mut most, mut here, mut inner) = (0, 0, 0);
    // a definition's end takes its weight away again
    let mut definitions = Vec::new();
    for Token(text, kind) in tokens {
        match kind {
            Tok::Block(tokens) => inner = inner.max(weight(tokens, text.starts_with('{'))),
            Tok::Str(parts) => {
                for part in parts {
                    if let StrPart::Term(token) = part {
                        inner = inner.max(weight(std::slice::from_ref(token), false));
                    }
                }
            }
            Tok::Sym if *text == ";" || (*text == "," && object) => {
                most = most.max(here + inner);
                (here, inner) = (definitions.pop().unwrap_or(0), 0);
            }
            Tok::Word if *text == "def" => {
                definitions.push(here);
                here += 1;
            }
            Tok::Word if holds(text) => here += 1,
            Tok::Sym if !text.starts_with(['.', ':', '?']) => here += 1,
            _ => {}
        }
    }
    most.max(here + inner)
}

fn holds(word: &str) -> bool {
    matches!(
        word,
        "if" | "elif"
            | "else"
            | "try"
            | "catch"
            | "as"
            | "and"
            | "or"
            | "label"
            | "reduce"
            | "foreach"
    )
}

fn lexical(code: &str, (expected, rest): &lex::Error<&str>) -> Mistake {
    let place = first_char(range(code, rest), code);
    let message = match expected {
        lex::Expect::Token => "this character means nothing in jq".to_owned(),
        lex::Expect::Delim(_) => format!("missing {}", expected.as_str()),
        _ => format!("expected {}", expected.as_str()),
    };
    Mistake { range: place, message, help: None }
}

fn grammatical(code: &str, expected: &Expect<&str>, found: Option<&Token<&str>>) -> Mistake {
    let Some(Token(text, kind)) = found else {
        let message = match expected {
            Expect::Term if code.trim().is_empty() => "the program is empty".to_owned(),
            _ => format!("the program ends here, but {} was expected", named(expected)),
        };
        return Mistake { range: code.len()..code.len(), message, help: None };
    };
    let place = range(code, text);
    let message = match expected {
        Expect::Nothing => format!("`{}` does not belong here", super::cut(text)),
        _ => format!("expected {}, found `{}`", named(expected), super::cut(text)),
    };
    let template = code[..place.start].trim_end().ends_with('{') && text.starts_with('{');
    let help =
        template.then(|| "in jq a value of the runbook is `$name`, without `{{ }}`".to_owned());
    // a block is long: its first character is the place
    let place = if matches!(kind, Tok::Block(_)) { first_char(place, code) } else { place };
    Mistake { range: place, message, help }
}

fn named(expected: &Expect<&str>) -> String {
    match expected {
        Expect::Just(text) => format!("`{text}`"),
        Expect::Term => "a value or a filter".to_owned(),
        other => other.as_str().to_owned(),
    }
}

fn whole(code: &str, message: &str) -> Mistake {
    Mistake { range: 0..code.len(), message: message.to_owned(), help: None }
}

fn first_char(place: Range<usize>, code: &str) -> Range<usize> {
    let width =
        code.get(place.start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    place.start..place.start + width
}

/// The place of a part in a text; the whole text for what did not come from it.
pub(super) fn range(code: &str, part: &str) -> Range<usize> {
    let (start, end) = (code.as_ptr() as usize, code.as_ptr() as usize + code.len());
    let at = part.as_ptr() as usize;
    if at < start || at + part.len() > end { 0..code.len() } else { load::span(code, part) }
}

/// A filter in scope: its name, how many arguments, and whether this is inside its own body.
struct Local<'s>(&'s str, usize, bool);

/// One walk over the tree, with what is in scope.
struct Walk<'s, 'n> {
    code: &'s str,
    shared: &'n [(String, usize)],
    vars: Vec<&'s str>,
    labels: Vec<&'s str>,
    filters: Vec<Local<'s>>,
    reads: Vec<(String, Range<usize>)>,
    mistakes: Mistakes,
}

impl<'s, 'n> Walk<'s, 'n> {
    fn new(code: &'s str, shared: &'n [(String, usize)]) -> Self {
        let (vars, labels, filters) = (Vec::new(), Vec::new(), Vec::new());
        Self { code, shared, vars, labels, filters, reads: Vec::new(), mistakes: Vec::new() }
    }

    fn mistake(&mut self, part: &str, message: String, help: Option<String>) {
        self.mistakes.push(Mistake { range: range(self.code, part), message, help });
    }

    fn terms<'t>(&mut self, terms: impl IntoIterator<Item = &'t Term<&'s str>>)
    where
        's: 't,
    {
        for term in terms {
            self.term(term);
        }
    }

    fn term(&mut self, term: &Term<&'s str>) {
        match term {
            Term::Id | Term::Recurse | Term::Num(_) | Term::Arr(None) => {}
            Term::Str(format, parts) => self.text(*format, parts),
            Term::Arr(Some(term)) | Term::Neg(term) => self.term(term),
            Term::Obj(entries) => {
                for (key, value) in entries {
                    self.term(key);
                    self.terms(value);
                }
            }
            Term::BinOp(left, op, right) => self.binary(left, op, right),
            Term::Label(name, term) => {
                self.labels.push(name);
                self.term(term);
                self.labels.pop();
            }
            Term::Break(name) => {
                if !self.labels.contains(name) {
                    self.mistake(name, format!("no `label {name}` around this"), None);
                }
            }
            Term::Fold(name, source, pattern, args) => self.fold(name, source, pattern, args),
            Term::TryCatch(term, catch) => {
                self.term(term);
                self.terms(catch.as_deref());
            }
            Term::IfThenElse(branches, otherwise) => {
                for (condition, then) in branches {
                    self.term(condition);
                    self.term(then);
                }
                self.terms(otherwise.as_deref());
            }
            Term::Def(defs, term) => {
                let before = self.filters.len();
                self.defs(defs);
                self.term(term);
                self.filters.truncate(before);
            }
            Term::Call(name, args) => self.call(name, args),
            Term::Var(name) => self.variable(name),
            Term::Path(term, path) => {
                self.term(term);
                path.0.iter().for_each(|(part, _)| self.part(part));
            }
        }
    }

    fn part(&mut self, part: &Part<Term<&'s str>>) {
        match part {
            Part::Index(term) => self.term(term),
            Part::Range(from, to) => self.terms(from.iter().chain(to)),
        }
    }

    fn text(&mut self, format: Option<&'s str>, parts: &[StrPart<&'s str, Term<&'s str>>]) {
        if let Some(format) = format {
            self.call(format, &[]);
        }
        for part in parts {
            if let StrPart::Term(term) = part {
                self.term(term);
            }
        }
    }

    fn binary(&mut self, left: &Term<&'s str>, op: &BinaryOp<&'s str>, right: &Term<&'s str>) {
        self.term(left);
        match op {
            BinaryOp::Pipe(Some(pattern)) => self.binding(pattern, |walk| walk.term(right)),
            _ => self.term(right),
        }
    }

    fn fold(
        &mut self,
        name: &'s str,
        source: &Term<&'s str>,
        pattern: &Pattern<&'s str>,
        args: &[Term<&'s str>],
    ) {
        self.term(source);
        let right = if name == "reduce" { 2..=2 } else { 2..=3 };
        if !right.contains(&args.len()) {
            self.mistake(name, format!("`{name}` takes (start; update) after its `as`"), None);
        }
        self.terms(args.iter().take(1));
        self.binding(pattern, |walk| walk.terms(args.iter().skip(1)));
    }

    fn binding(&mut self, pattern: &Pattern<&'s str>, inside: impl FnOnce(&mut Self)) {
        let before = self.vars.len();
        let mut bound = Vec::new();
        self.pattern(pattern, &mut bound);
        self.vars.extend(bound);
        inside(self);
        self.vars.truncate(before);
    }

    fn pattern(&mut self, pattern: &Pattern<&'s str>, bound: &mut Vec<&'s str>) {
        match pattern {
            Pattern::Var(name) => bound.push(name),
            Pattern::Arr(parts) => parts.iter().for_each(|part| self.pattern(part, bound)),
            Pattern::Obj(entries) => entries.iter().for_each(|(key, part)| {
                self.term(key);
                self.pattern(part, bound);
            }),
        }
    }

    /// Leaves the definitions in scope for what follows.
    fn defs(&mut self, defs: &[Def<&'s str>]) {
        for def in defs {
            let (filters, vars) = (self.filters.len(), self.vars.len());
            self.filters.push(Local(def.name, def.args.len(), true));
            for arg in &def.args {
                if arg.starts_with('$') {
                    self.vars.push(arg);
                } else {
                    self.filters.push(Local(arg, 0, false));
                }
            }
            self.term(&def.body);
            self.filters.truncate(filters);
            self.vars.truncate(vars);
            self.filters.push(Local(def.name, def.args.len(), false));
        }
    }

    fn call(&mut self, name: &'s str, args: &[Term<&'s str>]) {
        let local =
            self.filters.iter().rev().find(|local| local.0 == name && local.1 == args.len());
        match local.map(|local| local.2) {
            Some(false) => {}
            Some(true) => {
                let help = "use `recurse`, `while`, `until` or `reduce`".to_owned();
                self.mistake(name, format!("`{name}` calls itself"), Some(help));
            }
            None => self.global(name, args.len()),
        }
        self.terms(args);
    }

    fn global(&mut self, name: &'s str, arity: usize) {
        let shared = self.shared.iter().any(|(known, args)| known == name && *args == arity);
        let known = library::arities(name).contains(&arity) && !name.starts_with("__");
        if shared || known {
            return;
        }
        if let Some(why) = library::forbidden(name) {
            self.mistake(name, format!("`{name}` is not available"), Some(why.to_owned()));
        } else if name.contains("::") {
            self.mistake(name, format!("`{name}`: there are no modules here"), None);
        } else if let Some(known) = self.arities(name) {
            self.mistake(name, wrong_count(name, arity), Some(known));
        } else {
            let help = self.meant(name, arity);
            self.mistake(name, format!("unknown filter `{name}`"), help);
        }
    }

    /// What a filter of this name takes, if there is one.
    fn arities(&self, name: &str) -> Option<String> {
        let local = self.filters.iter().filter(|local| local.0 == name).map(|local| local.1);
        let shared = self.shared.iter().filter(|(known, _)| known == name).map(|(_, args)| *args);
        let library = library::arities(name).iter().copied();
        let mut arities: Vec<usize> = local.chain(shared).chain(library).collect();
        arities.sort_unstable();
        arities.dedup();
        let words: Vec<String> = arities.into_iter().map(arguments).collect();
        (!words.is_empty() && !name.starts_with("__"))
            .then(|| format!("it takes {}", words.join(" or ")))
    }

    /// What was meant by the name of a filter that is not there: without arguments perhaps a field
    /// or a value, whose first character is forgotten easily.
    fn meant(&self, name: &str, arity: usize) -> Option<String> {
        let near = self.nearest(name, arity);
        let word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match (near, arity == 0 && word) {
            (Some(near), true) => Some(format!("did you mean `{near}`, or the field `.{name}`?")),
            (Some(near), false) => Some(format!("did you mean `{near}`?")),
            (None, true) => {
                Some(format!("a field is written `.{name}`, a value of the runbook `${name}`"))
            }
            (None, false) => None,
        }
    }

    /// The filter whose name is nearly this and that takes as many arguments.
    fn nearest(&self, name: &str, arity: usize) -> Option<&str> {
        let local = self.filters.iter().map(|local| (local.0, local.1));
        let shared = self.shared.iter().map(|(name, args)| (name.as_str(), *args));
        let library = library::names().filter(|name| !name.starts_with("__"));
        let library =
            library.flat_map(|name| library::arities(name).iter().map(move |args| (name, *args)));
        let fits = |(_, args): &(&str, usize)| *args == arity;
        let all = local.chain(shared).chain(library).filter(fits);
        closest(name, all.map(|(name, _)| name))
    }

    fn variable(&mut self, name: &'s str) {
        let bare = name.trim_start_matches('$');
        if self.vars.contains(&name) {
        } else if bare == "ENV" {
            let help = library::forbidden("env").map(str::to_owned);
            self.mistake(name, "`$ENV` is not available".to_owned(), help);
        } else if bare.starts_with("__") || bare.contains("::") {
            self.mistake(name, format!("`{name}` is not available"), None);
        } else {
            self.reads.push((bare.to_owned(), range(self.code, name)));
        }
    }
}

fn wrong_count(name: &str, arity: usize) -> String {
    match arity {
        0 => format!("`{name}` needs arguments"),
        _ => format!("`{name}` does not take {}", arguments(arity)),
    }
}

fn arguments(count: usize) -> String {
    match count {
        0 => "no argument".to_owned(),
        1 => "1 argument".to_owned(),
        many => format!("{many} arguments"),
    }
}
