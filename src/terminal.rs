//! Asking a person: a seam, so that what is asked can be tested without one.

pub mod echo;
mod prompt;

/// A question for a person.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// What is asked.
    pub ask: String,
    /// More about it, Markdown, shown above by whoever knows the screen.
    pub help: String,
    /// The answer if the person just presses Enter: one of the choices, if there are any.
    pub default: Option<String>,
    /// Not echoed.
    pub secret: bool,
    /// A choice among these; empty: free text.
    pub choices: Vec<String>,
    /// Says of an answer that is none of the choices whether it is one all the same.
    pub unlisted: Option<fn(&str) -> bool>,
    /// A wrong answer is typed anew and not mended: it is but a word.
    pub brief: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no person.
    NoTerminal,
    /// The person pressed Ctrl-C or Ctrl-D.
    Interrupted,
    /// The terminal failed.
    Broken(String),
}

/// Says what is wrong with an answer, before it is taken.
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

/// Somebody is there and is asked later: whatever is asked now has no answer yet.
#[derive(Debug, Clone, Copy)]
pub struct Later;

impl Terminal for Later {
    fn ask(&self, _: &Question, _: Validator) -> Result<String, NoAnswer> {
        Err(NoAnswer::NoTerminal)
    }

    fn present(&self) -> bool {
        true
    }
}

/// A person at the process's own terminal, whatever stdout is.
#[derive(Debug, Clone, Copy)]
pub struct Person;

impl Terminal for Person {
    fn ask(&self, question: &Question, valid: Validator) -> Result<String, NoAnswer> {
        prompt::ask(question, &valid)
    }

    fn present(&self) -> bool {
        true
    }
}
