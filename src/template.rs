//! Templates and expressions: minijinja, strict, with typed results.
//!
//! A template that is exactly one `{{ expression }}` keeps the value's type; anything
//! else renders to text. Templates see the values handed to them and nothing else: no
//! files, no environment, no clock. Which names one reads is known before it runs.

mod filters;
mod harmless;
mod meant;
mod odd;
mod plain;
mod scan;
mod unlike;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::patience::within;
use crate::value::{Json, text};
use harmless::{harmless, little};

/// How many instructions one rendering may take, and with 64 bytes for each how much it may
/// build: about 64 MB.
const FUEL: u64 = 1_000_000;

/// The most bytes of a template's text.
const LONGEST: usize = 64 * 1024;

/// The most operators and filters of one expression: each is a level of the tree that is compiled.
const OPERATORS: usize = 500;

/// The most bytes of JSON that a value may give.
const WRITTEN: usize = 32 * 1024 * 1024;

static ENV: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// A mistake in a template's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// Where, in bytes of the template's text.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Why a rendering failed. May quote values: redact before showing.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderError(pub String);

/// Gives the values a template reads.
pub trait Lookup {
    /// The value of a name, or none.
    fn value(&self, name: &str) -> Option<Value>;
}

/// A name read at a place in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The name.
    pub name: String,
    /// Where, in bytes of the text.
    pub range: Range<usize>,
}

/// A part of a template's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Stands as it is.
    Text(&'a str),
    /// The inside of a `{{ }}`.
    Expression(&'a str),
    /// The inside of a `{% %}`.
    Statement(&'a str),
}

impl Piece<'_> {
    /// Whether it takes away the space beside it.
    pub fn trims(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Expression(code) | Self::Statement(code) => {
                code.starts_with(['-', '+']) || code.ends_with(['-', '+'])
            }
        }
    }

    /// Whether it may give a name a meaning of its own, as a loop does.
    pub fn binds(&self) -> bool {
        matches!(self, Self::Statement(code) if !scan::decides(code))
    }
}

/// A checked template.
#[derive(Debug)]
pub struct Template {
    source: String,
    form: Form,
    reads: Vec<Read>,
}

#[derive(Debug)]
enum Form {
    Literal,
    Expression(Expr),
    /// With its holes, if it has nothing else.
    Text {
        often: Often,
        harmless: OnceLock<bool>,
        holes: Box<[Range<usize>]>,
    },
}

/// Whether something was wanted often. minijinja sets aside 13 KB for the least expression, and
/// most are evaluated once in a run, or twice if what can be known before it begins is looked at:
/// compiling those again costs less than keeping all of them. From the third time on what was
/// compiled is kept.
#[derive(Debug, Default)]
struct Often(AtomicU8);

impl Often {
    fn again(&self) -> bool {
        let before = self.0.load(Ordering::Relaxed);
        // two that come at once may count as one: it is only compiled once more
        self.0.store(before.saturating_add(1), Ordering::Relaxed);
        before >= 2
    }
}

impl Template {
    /// Checks a template's text.
    pub fn parse(source: &str) -> Result<Self, Mistake> {
        Self::parse_as(source, false)
    }

    /// The same for a text that was checked before: it is compiled when it is rendered.
    pub fn known(source: &str) -> Result<Self, Mistake> {
        Self::parse_as(source, true)
    }

    fn parse_as(source: &str, known: bool) -> Result<Self, Mistake> {
        if scan::is_plain(source) {
            return Ok(Self { source: source.to_owned(), form: Form::Literal, reads: Vec::new() });
        }
        if source.len() > LONGEST {
            let message = format!("a text with `{{{{ }}}}` in it has at most {LONGEST} bytes");
            return Err(Mistake { range: 0..source.len(), message, help: None });
        }
        let areas = scan::code_areas(source);
        if let Some(range) = scan::sole_expression(source, &areas) {
            let expr = Expr::parse_as(&source[range.clone()], known);
            let expr = expr.map_err(|mistake| {
                meant::unclosed(&source[range.clone()], mistake).shifted(range.start)
            })?;
            let reads = expr.reads.iter().map(|read| read.shifted(range.start)).collect();
            return Ok(Self { source: source.to_owned(), form: Form::Expression(expr), reads });
        }
        let reads = reads(source, &areas, known, || {
            let env: &Environment<'_> = &ENV;
            Ok(env.template_from_str(source)?.undeclared_variables(false))
        })?;
        let holes = plain::holes(source, &areas, &reads);
        let form = Form::Text { often: Often::default(), harmless: OnceLock::new(), holes };
        Ok(Self { source: source.to_owned(), form, reads })
    }

    /// The names it reads, each at its first place.
    pub fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// The text as the author wrote it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text in parts, for showing it otherwise than by rendering it.
    pub fn pieces(&self) -> Vec<Piece<'_>> {
        let source = self.source.as_str();
        if self.is_literal() {
            return vec![Piece::Text(source)];
        }
        let (mut pieces, mut at) = (Vec::new(), 0);
        for area in scan::code_areas(source) {
            pieces.push(Piece::Text(&source[at..area.start - 2]));
            at = (area.end + 2).min(source.len());
            let is_expression = source[..area.start].ends_with("{{");
            let code = &source[area];
            pieces.push(if is_expression {
                Piece::Expression(code)
            } else {
                Piece::Statement(code)
            });
        }
        pieces.push(Piece::Text(&source[at..]));
        pieces.retain(|piece| *piece != Piece::Text(""));
        pieces
    }

    /// The name it is, if it is one `{{ name }}` and nothing else.
    pub fn sole_name(&self) -> Option<&str> {
        let [Piece::Expression(code)] = self.pieces()[..] else { return None };
        let code = code.trim();
        self.reads.iter().any(|read| read.name == code).then_some(code)
    }

    /// Whether it says the same whatever the values.
    pub fn is_literal(&self) -> bool {
        matches!(self.form, Form::Literal)
    }

    /// Its value: typed if it is one expression, else text.
    pub fn render(&self, values: &dyn Lookup) -> Result<Json, RenderError> {
        match &self.form {
            Form::Literal => Ok(Json::String(self.source.clone())),
            Form::Expression(expr) => expr.eval(values),
            Form::Text { often, harmless, holes } => {
                let filled = || plain::filled(&self.source, holes, values);
                if let Some(filled) = (!holes.is_empty()).then(filled).flatten() {
                    return Ok(Json::String(filled));
                }
                let (source, context) = (self.source.clone(), context(&self.reads, values));
                let again = often.again();
                let judged = || self::harmless(&self.source, &scan::code_areas(&self.source));
                let trusted = *harmless.get_or_init(judged) && little(&context);
                let work = move || {
                    let rendered = if again {
                        ENV.get_template(&source).and_then(|template| template.render(context))
                    } else {
                        ENV.render_str(&source, context)
                    };
                    rendered.map(Json::String).map_err(|error| render_error(&error))
                };
                guarded(trusted, work)
            }
        }
    }

    /// Its value as text.
    pub fn render_text(&self, values: &dyn Lookup) -> Result<String, RenderError> {
        self.render(values).map(|json| text(&json))
    }
}

/// A checked bare expression, as in `when`, `gates` and `until`.
#[derive(Debug)]
pub struct Expr {
    source: String,
    often: Often,
    kept: OnceLock<Compiled>,
    harmless: OnceLock<bool>,
    reads: Vec<Read>,
}

type Compiled = Arc<minijinja::Expression<'static, 'static>>;

impl Expr {
    /// Checks an expression's text.
    pub fn parse(source: &str) -> Result<Self, Mistake> {
        Self::parse_as(source, false)
    }

    /// The same for a text that was checked before: it is compiled when it is evaluated.
    pub fn known(source: &str) -> Result<Self, Mistake> {
        Self::parse_as(source, true)
    }

    fn parse_as(source: &str, known: bool) -> Result<Self, Mistake> {
        let area = 0..source.len();
        let whole = std::slice::from_ref(&area);
        let reads = reads(source, whole, known, || {
            let env: &Environment<'_> = &ENV;
            Ok(env.compile_expression(source)?.undeclared_variables(false))
        });
        let reads = reads.map_err(|mistake| meant::bare(source, mistake))?;
        let (often, kept, harmless) = (Often::default(), OnceLock::new(), OnceLock::new());
        Ok(Self { source: source.to_owned(), often, kept, harmless, reads })
    }

    /// The names it reads, each at its first place.
    pub fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// The text as the author wrote it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its value; an undefined one is an error.
    pub fn eval(&self, values: &dyn Lookup) -> Result<Json, RenderError> {
        self.take(values, |value| {
            small(&value).map_err(|error| render_error(&error))?;
            serde_json::to_value(value).map_err(|error| RenderError(error.to_string()))
        })
    }

    /// Whether it holds; that a text is greater than a number does not, nor that it is not: an error.
    pub fn holds(&self, values: &dyn Lookup) -> Result<bool, RenderError> {
        self.comparable(values)?;
        self.take(values, |value| Ok(value.is_true()))
    }

    fn compiled(&self) -> Result<Compiled, RenderError> {
        if let Some(kept) = self.kept.get() {
            return Ok(Arc::clone(kept));
        }
        let compiled = ENV.compile_expression_owned(self.source.clone());
        let compiled = Arc::new(compiled.map_err(|error| render_error(&error))?);
        if self.often.again() {
            return Ok(Arc::clone(self.kept.get_or_init(|| compiled)));
        }
        Ok(compiled)
    }

    /// The value, where it is a name and nothing else; none if that is not known.
    fn sole_value(&self, values: &dyn Lookup) -> Option<Value> {
        let [read] = self.reads.as_slice() else { return None };
        let value = (read.name == self.source.trim()).then(|| values.value(&read.name)).flatten();
        value.filter(|value| !value.is_undefined())
    }

    /// Takes what is wanted of its value; both where a clock runs if that may take long.
    fn take<T: Send + 'static>(
        &self,
        values: &dyn Lookup,
        wanted: impl FnOnce(Value) -> Result<T, RenderError> + Send + 'static,
    ) -> Result<T, RenderError> {
        if let Some(value) = self.sole_value(values) {
            return guarded(little(&value), || wanted(value));
        }
        let (compiled, context) = (self.compiled()?, context(&self.reads, values));
        let undefined = format!("`{}` is undefined", self.source.trim());
        let whole = 0..self.source.len();
        let judged = || harmless(&self.source, std::slice::from_ref(&whole));
        let trusted = *self.harmless.get_or_init(judged) && little(&context);
        guarded(trusted, move || {
            let value = compiled.eval(context).map_err(|e| render_error(&e))?;
            if value.is_undefined() { Err(RenderError(undefined)) } else { wanted(value) }
        })
    }
}

impl Mistake {
    fn shifted(mut self, by: usize) -> Self {
        self.range = self.range.start + by..self.range.end + by;
        self
    }
}

impl Read {
    fn shifted(&self, by: usize) -> Self {
        Self { name: self.name.clone(), range: self.range.start + by..self.range.end + by }
    }
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_formatter(|out, _state, value| {
        if value.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        match value.as_str() {
            Some(text) => out.write_str(text).map_err(Error::from),
            None => out.write_str(&json_text(value)?).map_err(Error::from),
        }
    });
    // A template's name is its text, so that each is compiled once and kept by the environment.
    env.set_loader(|source| Ok(Some(source.to_owned())));
    // `debug()` would dump every value, labels or not.
    env.remove_global("debug");
    // It is what lets a loop build values without an end, and nothing else needs it.
    env.remove_global("namespace");
    env.remove_filter("pprint");
    env.set_debug(true);
    env.set_fuel(Some(FUEL));
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        env.set_syntax(syntax);
    }
    filters::add_to(&mut env);
    env
}

/// A JSON value as templates see it.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(yes) => Value::from(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => Value::from(signed),
            (None, Some(unsigned)) => Value::from(unsigned),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(from_json).collect::<Vec<_>>().into(),
        Json::Object(map) => {
            Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), from_json(value))))
        }
    }
}

fn guarded<T: Send + 'static>(
    trusted: bool,
    work: impl FnOnce() -> Result<T, RenderError> + Send + 'static,
) -> Result<T, RenderError> {
    if trusted {
        return work();
    }
    within(work).unwrap_or_else(|lost| Err(RenderError(format!("the template: {lost}"))))
}

/// Refuses what is small in memory but endless when written out: parts that are shared count
/// each time. Fuel does not see this.
fn small(value: &Value) -> Result<(), Error> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
        return Ok(());
    }
    serde_json::to_writer(Counted(WRITTEN), value)
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, "the value is too large or too deep"))
}

/// Takes so many bytes and no more.
struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn json_text(value: &Value) -> Result<String, Error> {
    small(value)?;
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

fn context(reads: &[Read], values: &dyn Lookup) -> Value {
    let known =
        reads.iter().filter_map(|read| Some((read.name.as_str(), values.value(&read.name)?)));
    Value::from_pairs(known)
}

/// The names that code reads. Compiling it gives them and finds its mistakes; one that has none,
/// as is known, need not be compiled if its words alone tell the names.
fn reads(
    source: &str,
    areas: &[Range<usize>],
    known: bool,
    compile: impl FnOnce() -> Result<HashSet<String>, Error>,
) -> Result<Vec<Read>, Mistake> {
    if let Some(plain) = known.then(|| scan::plain_names(source, areas)).flatten() {
        let plain =
            plain.into_iter().map(|range| Read { name: source[range.clone()].to_owned(), range });
        return Ok(plain.filter(|read| !is_global(&read.name)).collect());
    }
    if let Some(area) = areas.iter().find(|area| scan::operators(source, area) > OPERATORS) {
        let message = format!("an expression has at most {OPERATORS} operators and filters");
        let help = Some("make vars of its parts".to_owned());
        return Err(Mistake { range: area.clone(), message, help });
    }
    let names = compile().map_err(|error| mistake(source, &error))?;
    unknown_callables(source, areas)?;
    Ok(locate(source, areas, names))
}

fn is_global(name: &str) -> bool {
    ENV.globals().any(|(global, _)| global == name)
}

/// Whether a word means something of its own in expressions, so that no value can be read by it:
/// a function, a constant, or a part of the language.
pub fn is_taken(word: &str) -> bool {
    const WORDS: &[&str] = &["true", "True", "false", "False", "none", "None", "not", "self"];
    WORDS.contains(&word) || is_global(word)
}

fn locate(source: &str, areas: &[Range<usize>], names: HashSet<String>) -> Vec<Read> {
    let mut places = scan::find_names(source, areas, &names);
    let mut reads: Vec<Read> = names
        .into_iter()
        .filter(|name| !is_global(name))
        .map(|name| {
            let range = places.remove(&name).unwrap_or(0..source.len());
            Read { name, range }
        })
        .collect();
    reads.sort_by_key(|read| read.range.start);
    reads
}

/// Filters, tests and functions are looked up by name only when they run: find them now.
fn unknown_callables(source: &str, areas: &[Range<usize>]) -> Result<(), Mistake> {
    for (kind, range) in scan::Words::of(source, areas).callables() {
        let name = &source[range.clone()];
        let mut state = ENV.empty_state();
        let known = match kind {
            scan::Callable::Filter => !matches!(
                state.apply_filter(name, &[]),
                Err(error) if error.kind() == ErrorKind::UnknownFilter
            ),
            scan::Callable::Test => !matches!(
                state.perform_test(name, &[]),
                Err(error) if error.kind() == ErrorKind::UnknownTest
            ),
        };
        if !known {
            let word = if matches!(kind, scan::Callable::Filter) { "filter" } else { "test" };
            let meant = match kind {
                scan::Callable::Filter => None,
                scan::Callable::Test => meant::test(source, &range),
            };
            let near = || crate::diag::closest(name, filters::names(kind).iter().copied());
            let help = meant.or_else(|| near().map(|near| format!("did you mean `{near}`?")));
            return Err(Mistake { range, message: format!("unknown {word} `{name}`"), help });
        }
    }
    Ok(())
}

fn mistake(source: &str, error: &Error) -> Mistake {
    let range = error.range().filter(|range| range.end <= source.len() && !range.is_empty());
    let range = range.unwrap_or(0..source.len());
    // an unexpected character is one byte long to minijinja
    let range = source.floor_char_boundary(range.start)..source.ceil_char_boundary(range.end);
    let help = meant::syntax(source, range.start);
    Mistake {
        range,
        message: match error.detail() {
            Some(detail) => detail.to_owned(),
            None => error.kind().to_string(),
        },
        help,
    }
}

fn render_error(error: &Error) -> RenderError {
    let what = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    let place = error
        .range()
        .and_then(|range| error.template_source()?.get(range).map(str::to_owned))
        .filter(|place| !place.is_empty());
    RenderError(match place {
        Some(place) => format!("{what}, in `{place}`"),
        None => what,
    })
}

#[cfg(test)]
mod tests;
