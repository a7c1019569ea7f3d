//! Which routes a set of calls can reach, and which commands a set of command lines, told from
//! their texts alone.

use super::{Command, Fake, Route, Segment, Word};
use crate::source::Span;

/// A call as its author wrote it: what is only known in a run is [`Part::Any`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The method, upper case.
    pub method: String,
    /// The path from the server's root on, without the query.
    pub path: Vec<Part>,
}

/// A part of a call's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// This text.
    Text(String),
    /// Any text, slashes too, or none.
    Any,
}

/// One character of a path, or what may stand for some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Char {
    /// This one.
    One(char),
    /// One that is no slash.
    Inside,
    /// Any number of those.
    Insides,
    /// Any number of any.
    Any,
}

impl Fake {
    /// The routes that none of these calls can reach: what they answer, and the place of that.
    pub fn uncalled<'f>(&'f self, calls: &'f [Call]) -> impl Iterator<Item = (&'f str, &'f Span)> {
        let reached = |route: &&Route| !calls.iter().any(|call| route.fits(call));
        self.routes.iter().filter(reached).map(|route| (route.on.as_str(), &route.span))
    }

    /// The commands that none of these command lines, each a list of words, can be: what they
    /// answer, and the place of that.
    pub fn unrun<'f>(
        &'f self,
        lines: &'f [Vec<Vec<Part>>],
    ) -> impl Iterator<Item = (&'f str, &'f Span)> {
        let run = |command: &&Command| !lines.iter().any(|line| command.meets(line));
        self.commands.iter().filter(run).map(|command| (command.on.as_str(), &command.span))
    }
}

impl Command {
    fn meets(&self, line: &[Vec<Part>]) -> bool {
        let fits = |(word, given): (&Word, &Vec<Part>)| match word {
            Word::Any => true,
            Word::Text(text) => meet(&exactly(text), &written(given)),
        };
        line.len() >= self.words.len() && self.words.iter().zip(line).all(fits)
    }
}

fn exactly(text: &str) -> Vec<Char> {
    text.chars().map(Char::One).collect()
}

/// A word of a command line: it is passed on as it is written.
fn written(word: &[Part]) -> Vec<Char> {
    let chars = word.iter().flat_map(|part| match part {
        Part::Text(text) => exactly(text),
        Part::Any => vec![Char::Any],
    });
    chars.collect()
}

impl Route {
    fn fits(&self, call: &Call) -> bool {
        self.method.as_ref().is_none_or(|method| *method == call.method)
            && meet(&self.pattern(), &pattern(&call.path))
    }

    fn pattern(&self) -> Vec<Char> {
        let mut all = Vec::new();
        for segment in &self.path {
            all.push(Char::One('/'));
            match segment {
                Segment::Text(text) => all.extend(text.chars().map(Char::One)),
                Segment::Param(_) => all.extend([Char::Inside, Char::Insides]),
            }
        }
        all
    }
}

/// What is sent otherwise than it is written stands for anything.
fn pattern(path: &[Part]) -> Vec<Char> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~@:+,".contains(c);
    let chars = path.iter().flat_map(|part| match part {
        Part::Text(text) => {
            text.chars().map(|c| if plain(c) { Char::One(c) } else { Char::Any }).collect()
        }
        Part::Any => vec![Char::Any],
    });
    chars.collect()
}

/// Whether there is a text that both patterns stand for.
fn meet(one: &[Char], other: &[Char]) -> bool {
    // row by row: whether the rests from here on meet
    let width = other.len();
    let mut below = vec![false; width + 1];
    for i in (0..=one.len()).rev() {
        let mut row = vec![false; width + 1];
        for j in (0..=width).rev() {
            row[j] = match (one.get(i), other.get(j)) {
                (None, None) => true,
                (Some(Char::Any | Char::Insides), _) if below[j] => true,
                (_, Some(Char::Any | Char::Insides)) if row[j + 1] => true,
                (Some(a), Some(b)) if both(*a, *b) => match (many(*a), many(*b)) {
                    (false, false) => below[j + 1],
                    (true, false) => row[j + 1],
                    (false, true) => below[j],
                    (true, true) => false,
                },
                _ => false,
            };
        }
        below = row;
    }
    below[0]
}

fn many(char: Char) -> bool {
    matches!(char, Char::Any | Char::Insides)
}

/// Whether one character can be both.
fn both(a: Char, b: Char) -> bool {
    match (a, b) {
        (Char::One(a), Char::One(b)) => a == b,
        (Char::One(c), Char::Inside | Char::Insides)
        | (Char::Inside | Char::Insides, Char::One(c)) => c != '/',
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn uncalled(route: &str, method: &str, path: &[&str]) -> bool {
        let text = format!("format = 1\n[[routes]]\non = \"{route}\"\njq = \"{{}}\"\n");
        let fake = Fake::parse(&Source::new("fake.toml", text)).unwrap();
        let part = |text: &&str| match *text {
            "*" => Part::Any,
            text => Part::Text(text.to_owned()),
        };
        let call = Call { method: method.to_owned(), path: path.iter().map(part).collect() };
        fake.uncalled(&[call]).count() > 0
    }

    #[test]
    fn a_call_that_could_reach_it_does() {
        for path in [
            &["/users/7/"][..],
            &["/users/", "*", "/"],
            &["*", "/users/", "*", "/"],
            &["*"],
            &["/us", "*"],
            &["*", "/7/"],
            &["/users/a b/"],
        ] {
            assert!(!uncalled("GET /users/{id}/", "GET", path), "{path:?}");
            assert!(!uncalled("* /users/{id}/", "GET", path), "{path:?}");
        }
    }

    #[test]
    fn one_that_cannot_does_not() {
        for path in [
            &["/users/7"][..],
            &["/users/", "*"][..1],
            &["/users//"],
            &["/users/7/8/"],
            &["*", "/groups/", "*", "/"],
            &["/users/", "*", "/all"],
            &[],
        ] {
            assert!(uncalled("GET /users/{id}/", "GET", path), "{path:?}");
        }
        assert!(uncalled("GET /users/", "POST", &["*"]));
    }

    #[test]
    fn a_command_is_run_by_a_line_that_could_begin_with_its_words() {
        let text = "format = 1\n[[commands]]\non = \"docker exec * id\"\njq = \"{}\"\n";
        let fake = Fake::parse(&Source::new("fake.toml", text)).unwrap();
        let unrun = |line: &[&str]| {
            let word = |word: &&str| match *word {
                "*" => vec![Part::Any],
                text => vec![Part::Text(text.to_owned())],
            };
            fake.unrun(&[line.iter().map(word).collect()]).count() > 0
        };
        assert!(!unrun(&["docker", "exec", "web", "id"]));
        assert!(!unrun(&["docker", "exec", "*", "*", "-u"]));
        assert!(unrun(&["docker", "exec", "web"]), "too short");
        assert!(unrun(&["docker", "exec", "web", "idle"]));
    }
}
