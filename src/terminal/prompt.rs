//! A question at the process's own terminal, with the keys of a shell.
//!
//! What is long stands above, written once; what is typed in is one short line, so that an
//! interrupt or a narrow screen garbles nothing. A wrong answer is told and stands there again to
//! be mended; a hidden one, a choice and a yes or no are typed anew. Nothing typed is kept: there is no history.

use std::borrow::Cow;
use std::io::Write as _;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator as Whole;
use rustyline::{Behavior, ColorMode, CompletionType, Config, Context, Editor, Helper};
use unicode_width::UnicodeWidthStr as _;

use super::{NoAnswer, Question, Validator};
use crate::printable::{line, printable};
use crate::wrap::wrapped;

/// Columns that are left for an answer beside its question.
const ROOM: usize = 24;

/// Columns that choices may take beside their question.
const BESIDE: usize = 40;

/// How long an Esc waits for the rest of a key, in milliseconds: as long as a shell does.
const KEY: u16 = 500;

/// Asks until the answer is valid.
pub(super) fn ask(question: &Question, valid: &Validator) -> Result<String, NoAnswer> {
    let mut editor = editor(question).map_err(|error| none(&error))?;
    let Some((columns, _)) = editor.dimensions() else { return Err(NoAnswer::NoTerminal) };
    let columns = usize::from(columns);
    let shown = Shown::new(question, columns);
    tell(&shown.above);
    let mut typed = String::new();
    loop {
        let hidden = question.secret.then(|| editor.set_cursor_visibility(false));
        let line = editor.readline_with_initial(&shown.line, (&typed, ""));
        drop(hidden);
        let line = line.map_err(|error| none(&error))?;
        // a line that was copied comes with its end
        let line = line.trim_end_matches(['\r', '\n']);
        let answer = meant(question, line);
        match answer.and_then(|answer| valid(&answer).map(|()| answer)) {
            Ok(answer) => return Ok(answer),
            Err(wrong) => tell(&block(&format!("error: {}", printable(&wrong)), columns)),
        }
        // a long answer is mended; of a choice, or a word, it is quicker to write another
        let mends = !question.secret && question.choices.is_empty() && !question.brief;
        typed = if mends { line.to_owned() } else { String::new() };
    }
}

/// A line above what is typed; a screen that is gone is found out by reading from it.
fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn none(error: &ReadlineError) -> NoAnswer {
    match error {
        ReadlineError::Interrupted | ReadlineError::Eof => NoAnswer::Interrupted,
        other => NoAnswer::Broken(other.to_string()),
    }
}

fn editor(question: &Question) -> rustyline::Result<Editor<Keys, MemHistory>> {
    let config = Config::builder()
        .behavior(Behavior::PreferTerm)
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .keyseq_timeout(Some(KEY))
        // what hides an answer is drawn as a colour would be
        .color_mode(if question.secret { ColorMode::Forced } else { ColorMode::Disabled })
        .build();
    let mut editor = Editor::with_history(config, MemHistory::new())?;
    let choices = printed(&question.choices);
    editor.set_helper(Some(Keys { hidden: question.secret, choices }));
    Ok(editor)
}

fn printed(choices: &[String]) -> Vec<String> {
    choices.iter().map(|choice| printable(choice).into_owned()).collect()
}

/// What was meant by a line: the default, a choice, or what it says.
fn meant(question: &Question, line: &str) -> Result<String, String> {
    match &question.default {
        Some(default) if line.is_empty() => Ok(default.clone()),
        _ if question.choices.is_empty() => Ok(line.to_owned()),
        _ if question.unlisted.is_some_and(|takes| takes(line.trim())) => {
            Ok(line.trim().to_owned())
        }
        _ => chosen(&question.choices, line.trim()),
    }
}

/// The choice that is written so, has that number if they are numbered, or alone begins so.
fn chosen(choices: &[String], word: &str) -> Result<String, String> {
    if let Some(choice) = choices.iter().find(|choice| printable(choice).trim() == word) {
        return Ok(choice.clone());
    }
    let number = word.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    if let Some(choice) = number.and_then(|at| choices.get(at)).filter(|_| !beside(choices)) {
        return Ok(choice.clone());
    }
    match begun(choices, word).as_slice() {
        _ if word.is_empty() => Err("choose one".to_owned()),
        [choice] => Ok((*choice).clone()),
        [] => Err(unknown(choices, word)),
        several => Err(format!("`{word}` is the beginning of {} of them", several.len())),
    }
}

fn unknown(choices: &[String], word: &str) -> String {
    match crate::diag::closest(word, choices.iter().map(String::as_str)) {
        Some(near) => format!("`{word}` is none of them; did you mean `{near}`?"),
        None if beside(choices) => format!("`{word}` is none of {}", choices.join("/")),
        None => format!("`{word}` is none of them; Tab shows them"),
    }
}

fn begun<'c>(choices: &'c [String], word: &str) -> Vec<&'c String> {
    let lower = word.to_lowercase();
    choices.iter().filter(|choice| choice.to_lowercase().starts_with(&lower)).collect()
}

/// A question as it is drawn.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    /// Whole lines.
    above: String,
    /// Before the cursor.
    line: String,
}

impl Shown {
    fn new(question: &Question, columns: usize) -> Self {
        let ask = format!("? {}", printable(question.ask.trim()));
        let choices = printed(&question.choices);
        if !choices.is_empty() && !beside(&choices) {
            return Self::list(question, &ask, &choices, columns);
        }
        let mut line = ask;
        if !choices.is_empty() {
            line = format!("{line} ({})", choices.join("/"));
        }
        if let Some(default) = default(question) {
            line = format!("{line} [{default}]");
        }
        line.push_str(if line.ends_with([':', '?']) { " " } else { ": " });
        if line.contains('\n') || line.width() + ROOM > columns {
            return Self { above: block(&line, columns), line: "> ".to_owned() };
        }
        Self { above: String::new(), line }
    }

    /// Choices that are long, or many, are numbered.
    fn list(question: &Question, ask: &str, choices: &[String], columns: usize) -> Self {
        use std::fmt::Write as _;
        let mut above = block(ask, columns);
        let width = choices.len().to_string().len();
        for (at, choice) in choices.iter().enumerate() {
            let line = format!("  {:width$}  {choice}", at + 1);
            let hang = width + 4;
            let lines = wrapped(&line, columns.max(1), hang);
            // writing to a string does not fail
            let _ = writeln!(above, "{}", lines.join(&format!("\n{:hang$}", "")));
        }
        let at =
            question.choices.iter().position(|choice| Some(choice) == question.default.as_ref());
        let enter = at.map(|at| format!(" [{}]", at + 1)).unwrap_or_default();
        Self { above, line: format!("1-{}{enter}: ", choices.len()) }
    }
}

/// Whether choices can stand beside their question.
fn beside(choices: &[String]) -> bool {
    let plain = |choice: &String| !choice.contains(|c: char| c == '/' || c.is_whitespace());
    choices.iter().all(plain) && choices.join("/").width() <= BESIDE
}

/// What Enter takes, in one line.
fn default(question: &Question) -> Option<Cow<'_, str>> {
    let default = question.default.as_deref()?;
    Some(match default {
        _ if question.secret => "the default".into(),
        "" => "none".into(),
        default => line(default).into(),
    })
}

/// Lines broken between words, those that go on under the first letter.
fn block(text: &str, columns: usize) -> String {
    let width = columns.saturating_sub(2).max(1);
    let lines: Vec<&str> = text.lines().flat_map(|line| wrapped(line, width, 0)).collect();
    lines.join("\n  ") + "\n"
}

/// What the keys do besides editing.
struct Keys {
    hidden: bool,
    choices: Vec<String>,
}

impl Completer for Keys {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let begun = begun(&self.choices, line.get(..at).unwrap_or_default());
        Ok((0, begun.into_iter().cloned().collect()))
    }
}

impl Highlighter for Keys {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if !self.hidden {
            return line.into();
        }
        // as wide as what it hides: the cursor is placed by that
        let blank: Vec<_> = line.split('\n').map(|part| " ".repeat(part.width())).collect();
        blank.join("\n").into()
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.hidden && kind != CmdKind::MoveCursor
    }
}

impl Hinter for Keys {
    type Hint = String;
}

impl Whole for Keys {}

impl Helper for Keys {}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(ask: &str, default: Option<&str>, choices: &[&str]) -> Question {
        Question {
            ask: ask.to_owned(),
            default: default.map(str::to_owned),
            choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
            ..Question::default()
        }
    }

    fn drawn(question: &Question) -> String {
        let shown = Shown::new(question, 60);
        shown.above + &shown.line
    }

    #[test]
    fn a_question_says_what_enter_takes() {
        let asked = |ask, default| drawn(&question(ask, default, &[]));
        assert_eq!(asked("name", None), "? name: ");
        assert_eq!(asked("name (e.g. app)", Some("wiki")), "? name (e.g. app) [wiki]: ");
        assert_eq!(asked("host", Some("")), "? host [none]: ");
        assert_eq!(asked("text", Some("a\nb")), "? text [a\\nb]: ");
        assert_eq!(asked("Does it work?", None), "? Does it work? ");
        let secret = Question { secret: true, ..question("token", Some("s3cret"), &[]) };
        assert_eq!(drawn(&secret), "? token [the default]: ");
    }

    #[test]
    fn what_is_long_stands_above() {
        let long = "The base address of the service, as in https://api.example.com";
        let above = "? The base address of the service, as in\n  https://api.example.com [x]:\n> ";
        assert_eq!(drawn(&question(long, Some("x"), &[])), above);
        assert_eq!(drawn(&question("one\ntwo", None, &[])), "? one\n  two:\n> ");
    }

    #[test]
    fn choices_stand_beside_the_question_or_below_it() {
        let few = question("Take it?", Some("no"), &["yes", "no"]);
        assert_eq!(drawn(&few), "? Take it? (yes/no) [no]: ");
        let long = question("What now?", Some("use it"), &["stop, and look", "use it"]);
        assert_eq!(drawn(&long), "? What now?\n  1  stop, and look\n  2  use it\n1-2 [2]: ");
        assert_eq!(drawn(&question("x", None, &["a b", "c"])), "? x\n  1  a b\n  2  c\n1-2: ");
    }

    #[test]
    fn a_choice_is_written_numbered_or_begun() {
        let choices = ["yes", "no", "never", "2"].map(str::to_owned);
        let chosen = |word| chosen(&choices, word);
        for (word, meant) in [("no", "no"), ("Y", "yes"), ("nev", "never"), ("2", "2")] {
            assert_eq!(chosen(word).as_deref(), Ok(meant), "{word}");
        }
        assert!(chosen("1").is_err(), "what stands beside its question is not numbered");
        let numbered = ["stop, and look", "use it"].map(str::to_owned);
        assert_eq!(super::chosen(&numbered, "2").as_deref(), Ok("use it"));
        assert_eq!(chosen("n").unwrap_err(), "`n` is the beginning of 2 of them");
        assert_eq!(chosen("nevr").unwrap_err(), "`nevr` is none of them; did you mean `never`?");
        assert_eq!(chosen("").unwrap_err(), "choose one");
    }
}
