//! What an author is told about a mistake: what, where, and what to do.
//!
//! A [`Diag`] points into a [`Source`]; [`render`] shows it in rustc's style.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use unicode_width::UnicodeWidthStr as _;

use crate::source::{Source, Span};
use crate::wrap::wrapped;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be run.
    Error,
    /// The file can be run, but something looks wrong.
    Warning,
}

/// One mistake, at its place.
#[derive(Debug, Clone)]
pub struct Diag {
    /// Error or warning.
    pub severity: Severity,
    /// The stable name of a warning, for `explain`; errors have none.
    pub code: Option<&'static str>,
    /// What is wrong: lower case, no full stop.
    pub title: String,
    /// Where; `None` when it is the file as a whole.
    pub span: Option<Span>,
    /// A few words under the caret.
    pub label: String,
    /// Other places that matter, with a few words each.
    pub related: Vec<(Span, String)>,
    /// What to do about it, one line each.
    pub help: Vec<String>,
}

impl Diag {
    /// An error at a place.
    pub fn error(title: impl Into<String>, span: Span) -> Self {
        Self {
            severity: Severity::Error,
            code: None,
            title: title.into(),
            span: Some(span),
            label: String::new(),
            related: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A warning at a place, with its code.
    pub fn warning(code: &'static str, title: impl Into<String>, span: Span) -> Self {
        Self { severity: Severity::Warning, code: Some(code), ..Self::error(title, span) }
    }

    /// Adds words under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Adds a line of help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds "did you mean" when something close exists.
    #[must_use]
    pub fn suggest<'a>(self, wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(wrong, known) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }
}

/// The known word closest to a wrong one, if any is close enough to be meant.
pub fn closest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(wrong, word), word))
        .filter(|(distance, word)| *distance <= (word.len().max(wrong.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// All diagnostics as text, in the order of the file, colours on request, for a screen of so many columns.
pub fn render(source: &Source, diags: &[Diag], color: bool, width: Option<usize>) -> String {
    let mut sorted: Vec<&Diag> = diags.iter().collect();
    sorted.sort_by_key(|diag| diag.span.as_ref().map_or(0, |span| span.start));
    let shown: Vec<String> = match width {
        None => sorted.into_iter().map(|diag| drawn(source, diag, "", color, None)).collect(),
        Some(width) => sorted.into_iter().map(|diag| narrow(source, diag, color, width)).collect(),
    };
    shown.join("\n\n") + "\n"
}

/// One mistake, with a note below it.
fn drawn(source: &Source, diag: &Diag, note: &str, color: bool, width: Option<usize>) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    // a line of the file that is wider is cut around the mistake
    let renderer = width.map_or(renderer.clone(), |width| renderer.term_width(width));
    renderer.decor_style(DecorStyle::Ascii).render(&[group(source, diag, note)])
}

/// With titles and help broken between words; words under the caret that have no room there
/// stand below.
fn narrow(source: &Source, diag: &Diag, color: bool, width: usize) -> String {
    let broken = |text: &str, before: usize| {
        let room = width.saturating_sub(before);
        let lines = text.split('\n').flat_map(|line| wrapped(line, room, 0));
        lines.collect::<Vec<_>>().join("\n")
    };
    let head = "warning[]: ".len() + diag.code.map_or(0, str::len);
    let mut diag = diag.clone();
    diag.title = broken(&diag.title, head);
    let has_room = |diag: &Diag| {
        let shown = drawn(source, diag, "", false, Some(width));
        shown.lines().all(|line| line.width() <= width || !line.contains('^'))
    };
    let cramped = !diag.label.is_empty() && !has_room(&diag);
    let note = if cramped { std::mem::take(&mut diag.label) } else { String::new() };
    let digits = source.text.lines().count().max(1).to_string().len();
    let before = digits + " = help: ".len();
    diag.help = diag.help.iter().map(|help| broken(help, before)).collect();
    drawn(source, &diag, &broken(&note, before), color, Some(width))
}

fn group<'a>(source: &'a Source, diag: &'a Diag, note: &'a str) -> Group<'a> {
    let level = match diag.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diag.title.as_str());
    let title = match diag.code {
        Some(code) => title.id(code),
        None => title,
    };
    let mut group = Group::with_title(title);
    if let Some(span) = &diag.span {
        group = group.element(snippet(source, diag, span));
    }
    if !note.is_empty() {
        group = group.element(Level::NOTE.message(note));
    }
    diag.help.iter().fold(group, |group, help| group.element(Level::HELP.message(help.as_str())))
}

fn snippet<'a>(
    source: &'a Source,
    diag: &'a Diag,
    span: &Span,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let primary = AnnotationKind::Primary.span(clamp(source, span));
    let primary = if diag.label.is_empty() { primary } else { primary.label(diag.label.as_str()) };
    let related = diag.related.iter().map(|(span, label)| {
        AnnotationKind::Context.span(clamp(source, span)).label(label.as_str())
    });
    Snippet::source(&*source.text)
        .path(crate::printable::line(&source.path))
        .annotation(primary)
        .annotations(related.collect::<Vec<_>>())
}

fn clamp(source: &Source, span: &Span) -> Span {
    let text = &source.text;
    let end = text.ceil_char_boundary(span.end.min(text.len()));
    text.floor_char_boundary(span.start.min(end))..end
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"http = { on = "wiki", json = { name = "{{ user }}", word = "{{ pasword }}" }, query = { page = 1 } }"#;

    fn shown(width: usize) -> String {
        let source = Source::new("a.toml", format!("[[steps]]\nid = \"a\"\n{LINE}\n"));
        let at = source.text.find("pasword").unwrap();
        let diag = Diag::error("unknown name `pasword`", at..at + "pasword".len())
            .label("no input, variable or earlier saved value has this name")
            .help("did you mean `password`?");
        render(&source, &[diag], false, Some(width))
    }

    #[test]
    fn the_caret_stands_below_the_mistake_however_narrow_the_screen() {
        for width in 24..160 {
            let text = shown(width);
            let lines: Vec<&str> = text.lines().collect();
            let below = lines.iter().position(|line| line.contains("^^^^^^^")).unwrap();
            let column = lines[below].find('^').unwrap();
            assert_eq!(
                lines[below - 1].get(column..column + 7),
                Some("pasword"),
                "{width}\n{text}"
            );
            // the name of a key is never broken
            let widest = lines.iter().map(|line| line.width()).max();
            assert!(widest.is_some_and(|widest| widest <= width.max(30)), "{width}\n{text}");
        }
    }

    #[test]
    fn what_has_no_room_beside_the_caret_stands_below() {
        insta::assert_snapshot!(shown(60), @r#"
        error: unknown name `pasword`
         --> a.toml:3:64
          |
        3 | ...user }}", word = "{{ pasword }}" }, query = { page...
          |                         ^^^^^^^
          |
          = note: no input, variable or earlier saved value has this
                  name
          = help: did you mean `password`?
        "#);
    }
}
