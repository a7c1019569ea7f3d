//! Asking a person: a seam, so that what is asked can be tested without one.

use inquire::validator::Validation;

use crate::printable::printable;

/// A question for a person.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// What is asked.
    pub ask: String,
    /// More about it, Markdown, shown above by whoever knows the screen.
    pub help: String,
    /// The answer if the person just presses Enter.
    pub default: Option<String>,
    /// Not echoed.
    pub secret: bool,
    /// A choice among these; empty: free text.
    pub choices: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no person.
    NoTerminal,
    /// The person pressed Ctrl-C or Esc.
    Interrupted,
    /// The terminal failed.
    Broken(String),
}

/// Says what is wrong with an answer, while it is typed.
pub type Validator = std::rc::Rc<dyn Fn(&str) -> Result<(), String>>;

/// A person, or none.
pub trait Terminal {
    /// Asks until the answer is valid.
    fn ask(&self, question: &Question, valid: Validator) -> Result<String, NoAnswer>;

    /// Whether anybody is there.
    fn present(&self) -> bool;

    /// From now on nothing moves on the screen, or may again: another program may be asking.
    fn still(&self, _still: bool) {}
}

/// Nobody is there.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Terminal for Nobody {
    fn ask(&self, _: &Question, _: Validator) -> Result<String, NoAnswer> {
        Err(NoAnswer::NoTerminal)
    }

    fn present(&self) -> bool {
        false
    }
}

/// A person at the process's own terminal; prompts are written to stderr.
#[derive(Debug, Clone, Copy)]
pub struct Person;

impl Terminal for Person {
    fn ask(&self, question: &Question, valid: Validator) -> Result<String, NoAnswer> {
        once(question, &valid)
    }

    fn present(&self) -> bool {
        true
    }
}

fn once(question: &Question, valid: &Validator) -> Result<String, NoAnswer> {
    let shown = |text: &String| printable(text).into_owned();
    let ask = shown(&question.ask);
    let answer = if question.secret {
        inquire::Password::new(&ask)
            .without_confirmation()
            .with_display_mode(inquire::PasswordDisplayMode::Hidden)
            .with_validator(checker(valid))
            .prompt()
    } else if !question.choices.is_empty() {
        let start = question
            .default
            .as_ref()
            .and_then(|default| question.choices.iter().position(|choice| choice == default));
        inquire::Select::new(&ask, question.choices.iter().map(shown).collect())
            .with_starting_cursor(start.unwrap_or(0))
            .raw_prompt()
            .map(|taken| question.choices.get(taken.index).cloned().unwrap_or(taken.value))
    } else {
        let prompt = inquire::Text::new(&ask).with_validator(checker(valid));
        // one that holds what cannot be shown is no answer that would be taken
        match question.default.as_ref().map(shown) {
            Some(default) => prompt.with_default(&default).prompt(),
            None => prompt.prompt(),
        }
    };
    answer.map_err(|error| match error {
        inquire::InquireError::OperationCanceled | inquire::InquireError::OperationInterrupted => {
            NoAnswer::Interrupted
        }
        inquire::InquireError::NotTTY => NoAnswer::NoTerminal,
        other => NoAnswer::Broken(other.to_string()),
    })
}

fn checker(
    valid: &Validator,
) -> impl Fn(&str) -> Result<Validation, inquire::CustomUserError> + Clone + 'static {
    let valid = valid.clone();
    move |answer| {
        Ok(match valid(answer) {
            Ok(()) => Validation::Valid,
            Err(wrong) => Validation::Invalid(wrong.into()),
        })
    }
}
