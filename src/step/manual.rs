//! Steps as a person would do them by hand: shell commands and Markdown, with `$NAME` for values.
//!
//! Kinds say what they would type; how that is numbered and laid out is for who shows it.
//! What a template computes stands in braces, for the person to fill in. What is typed into a shell
//! is a *shell text*, as a here document has it: `$NAME` is read, and what the author wrote is
//! escaped, so that it arrives as it is and a file cannot slip a command in.

mod called;
mod filled;
mod flat;

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::rc::Rc;

use super::Connection;
use crate::jq::{ProgramId, Programs};
use crate::reader::Tree;
use crate::template::{Piece, Template};
use crate::value::Json;
pub use called::{called, variable};
pub use filled::Filled;
pub use flat::Pairs;

/// How a person would do it without this program.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Manual {
    /// What to do, in Markdown.
    pub text: String,
    /// A command whose output is the answer.
    pub shell: Option<String>,
    /// What the command reads on standard input, a shell text.
    pub stdin: Option<String>,
    /// Whether the output is text, not JSON.
    pub raw: bool,
    /// The command that prints a text without its quotes, where the answer may be one in JSON.
    pub unquoted: Option<String>,
    /// The program that gives the answer, where one does.
    pub computed: Option<ProgramId>,
    /// What the person must know of the command, each in a line.
    pub remarks: Vec<String>,
}

impl Manual {
    /// Only words.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Only a command.
    pub fn shell(shell: impl Into<String>) -> Self {
        Self { shell: Some(shell.into()), ..Self::default() }
    }

    /// The command, its output going through another one, if any is given.
    pub fn piped(&self, into: Option<&str>) -> Option<String> {
        let shell = self.shell.as_ref()?;
        let broken = shell.contains('\n') && self.stdin.is_none();
        let pipe = into.map(|into| format!("{}| {into}", if broken { " \\\n  " } else { " " }));
        let pipe = pipe.unwrap_or_default();
        let mut out = String::new();
        for remark in &self.remarks {
            let _ = writeln!(out, "# {remark}");
        }
        Some(
            out + &match &self.stdin {
                None => format!("{shell}{pipe}"),
                Some(text) => {
                    let mut end = "EOF".to_owned();
                    while text.lines().any(|line| line == end) {
                        end.push('_');
                    }
                    format!("{shell} << {end}{pipe}\n{}\n{end}", text.trim_end_matches('\n'))
                }
            },
        )
    }
}

/// What a file tells of the names in it.
#[derive(Debug, Default)]
pub struct Names {
    /// Those whose values are no texts: they stand in JSON as they are.
    pub json: HashSet<String>,
    /// Those of them whose values are lists.
    pub lists: HashSet<String>,
    /// Those whose values are nobody else's business.
    pub secret: HashSet<String>,
}

/// What a kind needs to say how it is done by hand.
#[derive(Debug)]
pub struct Hand<'a> {
    /// The runbook's connections.
    pub connections: &'a [Rc<Connection>],
    /// Its jq programs.
    pub programs: &'a Programs,
    /// What is known of the names in them.
    pub names: &'a Names,
    /// Whether what came with the answer (`$response`) is wanted instead: the answer itself
    /// then goes to the file `answer`.
    pub head: bool,
    /// What no shell can work out: it stands in the commands as its author wrote it.
    pub unsaid: RefCell<Vec<String>>,
    /// Commands that come first: each makes a value that the command reads.
    pub first: RefCell<Vec<String>>,
}

impl Hand<'_> {
    /// A `jq` command that runs a program; `input` are its words after the program's.
    pub fn jq(&self, program: ProgramId, options: &str) -> String {
        let mut command = format!("jq {options}").trim_end().to_owned();
        for name in self.programs.reads(program) {
            let head = self.head && name == "response";
            let json = head || self.names.json.contains(name);
            let option = if json { "--argjson" } else { "--arg" };
            let value = if head { "$RESPONSE".to_owned() } else { variable(name) };
            let _ = write!(command, " {option} {name} \"{value}\"");
        }
        format!("{command} {}", single(self.programs.code(program).trim()))
    }

    /// The same, for all it gives as one list.
    pub fn list(&self, program: ProgramId) -> String {
        let whole = self.jq(program, "");
        let code = single(self.programs.code(program).trim());
        let list = single(&format!("[{}]", self.programs.code(program).trim()));
        whole.strip_suffix(&code).map_or(whole.clone(), |head| format!("{head}{list}"))
    }

    /// A program's text.
    pub fn code(&self, program: ProgramId) -> &str {
        self.programs.code(program).trim()
    }

    /// A value that a command prints, as a shell text: the command comes first.
    pub fn made(&self, command: &str) -> String {
        let mut first = self.first.borrow_mut();
        // in small letters: no name of the runbook is called so
        let name = format!("made_{}", first.len() + 1);
        first.push(format!("{name}=$({command})\n"));
        format!("${{{name}}}")
    }

    /// A template as a shell text.
    pub fn shell(&self, template: &Template) -> String {
        self.told(template, &literal)
    }

    /// The path of a file as a shell text: a shell reads no `~` between quotes.
    pub fn path(&self, template: &Template) -> String {
        let text = self.shell(template);
        match text.strip_prefix('~').filter(|below| below.is_empty() || below.starts_with('/')) {
            Some(below) => format!("$HOME{below}"),
            None => text,
        }
    }

    /// A folder on another host as a word for its shell, which knows whose home `~` is.
    pub fn folder_there(&self, template: &Template) -> String {
        let text = self.shell(template);
        match text.strip_prefix('~') {
            Some("") => text,
            Some(below) if below.starts_with('/') => {
                format!("~/{}", quoted(below.trim_start_matches('/')))
            }
            _ => quoted(&text),
        }
    }

    /// An option with a file, as words of a command; none if the file is a name without a value.
    pub fn option(&self, option: &str, file: &Template) -> String {
        match file.sole_name().map(called) {
            // two words, as not every shell splits what stands in one
            Some(name) => format!("${{{name}:+{option}}} ${{{name}:+\"${name}\"}}"),
            None => format!("{option} {}", quoted(&self.path(file))),
        }
    }

    /// What is left for the person to work out, as remarks.
    pub fn remarks(&self) -> Vec<String> {
        let told = |code: &String| format!("to be filled in: {}", code.replace('\n', " "));
        self.unsaid.borrow().iter().map(told).collect()
    }

    fn left(&self, said: String) -> String {
        let mut unsaid = self.unsaid.borrow_mut();
        if !unsaid.contains(&said) {
            unsaid.push(said.clone());
        }
        said
    }

    fn told(&self, template: &Template, write: &dyn Fn(&str) -> String) -> String {
        let pieces = template.pieces();
        let code = |piece: &Piece<'_>| matches!(piece, Piece::Statement(_));
        if !pieces.iter().any(code) {
            return joined(&pieces, write, &|code, joins| self.placeholder(code, joins, write));
        }
        self.optional(&pieces, write).unwrap_or_else(|| {
            self.left(words(template));
            told(template, write)
        })
    }

    /// Parts that stand only if a name has a text, in a shell's words.
    fn optional(&self, pieces: &[Piece<'_>], write: &dyn Fn(&str) -> String) -> Option<String> {
        let say = |pieces: &[Piece<'_>]| {
            joined(pieces, write, &|code, joins| self.placeholder(code, joins, write))
        };
        let (mut out, mut rest) = (String::new(), pieces);
        while let Some(at) = rest.iter().position(|piece| matches!(piece, Piece::Statement(_))) {
            let Piece::Statement(code) = rest[at] else { return None };
            let name = code.trim().strip_prefix("if ")?.trim();
            let inside = rest[at + 1..].iter();
            let end = inside.clone().position(|piece| matches!(piece, Piece::Statement(_)))?;
            let inside = &rest[at + 1..at + 1 + end];
            let ends =
                matches!(rest[at + 1 + end], Piece::Statement(code) if code.trim() == "endif");
            let plain = |piece: &Piece<'_>| match piece {
                Piece::Text(text) => !text.contains(['}', '{', '"', '\'', '\\', '`', '$', '\n']),
                Piece::Expression(code) => is_name(code.trim()),
                Piece::Statement(_) => false,
            };
            if !ends
                || !is_name(name)
                || self.names.json.contains(name)
                || !inside.iter().all(plain)
            {
                return None;
            }
            out += &say(&rest[..at]);
            let _ = write!(out, "${{{}:+{}}}", called(name), say(inside));
            rest = &rest[at + 2 + end..];
        }
        Some(out + &say(rest))
    }

    fn placeholder(&self, code: &str, joins: bool, write: &dyn Fn(&str) -> String) -> String {
        placeholder(code, joins, write, &|said| self.left(said))
    }

    /// A value as JSON with the names in it, a shell text: names of texts stand in it as they are,
    /// which is JSON only as long as nothing in them means anything there.
    pub fn body(&self, tree: &Tree) -> String {
        self.json_at(tree, 0)
    }

    fn json_at(&self, tree: &Tree, depth: usize) -> String {
        let pad = "  ".repeat(depth + 1);
        let close = "  ".repeat(depth);
        match tree {
            Tree::Literal(json) => literal(&json.to_string()),
            Tree::Template(template) => {
                if self.is_whole(template) {
                    self.shell(template)
                } else {
                    format!("\"{}\"", self.told(template, &|text| literal(&in_json(text))))
                }
            }
            Tree::List(items) if items.is_empty() => "[]".to_owned(),
            Tree::List(items) => {
                let items: Vec<String> =
                    items.iter().map(|item| self.json_at(item, depth)).collect();
                format!("[{}]", items.join(", "))
            }
            Tree::Map(entries) if entries.is_empty() => "{}".to_owned(),
            Tree::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, tree)| {
                        let key = literal(&Json::from(key.as_str()).to_string());
                        format!("{pad}{key}: {}", self.json_at(tree, depth + 1))
                    })
                    .collect();
                format!("{{\n{}\n{close}}}", entries.join(",\n"))
            }
        }
    }
}

/// Whether an expression or a program gives, by the look of it, something that is no text.
pub fn is_json(code: &str) -> bool {
    let code = code.trim();
    code.starts_with(['[', '{'])
        || code.ends_with("length")
        || code.ends_with("| sort")
        || code.parse::<f64>().is_ok()
        || is_literal(code)
}

/// A template's text with `$NAME` where it reads a name, for reading.
pub fn words(template: &Template) -> String {
    told(template, &str::to_owned)
}

/// What an author wrote as a shell text: nothing in it is read.
pub fn literal(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        // a backslash before anything else is one
        let read = match c {
            '$' | '`' => true,
            '\\' => rest.peek().is_none_or(|next| ['\\', '$', '`', '\n'].contains(next)),
            _ => false,
        };
        if read {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A shell text with a slash at its end, which the value of the variable it ends with may have.
pub fn folder(text: &str) -> String {
    if text.ends_with('/') {
        return text.to_owned();
    }
    let open = text.strip_suffix('}').unwrap_or(text);
    let before = open.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let name = &open[before.len()..];
    let begin = before.strip_suffix(if open == text { "$" } else { "${" });
    match begin.filter(|begin| is_name(name) && !begin.ends_with('\\')) {
        Some(begin) => format!("{begin}${{{name}%/}}/"),
        None => format!("{text}/"),
    }
}

/// A text as it stands between the quotes of JSON.
fn in_json(text: &str) -> String {
    let quoted = Json::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// A template's text; what its author wrote goes through `write`.
fn told(template: &Template, write: &dyn Fn(&str) -> String) -> String {
    let place = |code: &str, joins| match field(code) {
        Some((name, fields)) => format!("{}.{fields}", variable(name)),
        None => placeholder(code, joins, write, &|said| said),
    };
    joined(&template.pieces(), write, &place)
}

/// The same, its expressions told by `place`: each with whether what follows would be taken for a
/// part of a name.
fn joined(
    pieces: &[Piece<'_>],
    write: &dyn Fn(&str) -> String,
    place: &dyn Fn(&str, bool) -> String,
) -> String {
    let mut out = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(text) => out.push_str(&write(text)),
            Piece::Expression(code) => {
                let joins = matches!(pieces.get(at + 1), Some(Piece::Text(next))
                    if next.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'));
                out.push_str(&place(code.trim(), joins));
            }
            Piece::Statement(code) => out.push_str(&write(&statement(code.trim()))),
        }
    }
    out
}

fn is_name(code: &str) -> bool {
    let begins = code.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && !is_literal(code) && code.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A name and the field of its value that an expression reads, be it one of a field: `a.b.c`.
fn field(code: &str) -> Option<(&str, &str)> {
    let (name, fields) = code.split_once('.')?;
    (is_name(name) && fields.split('.').all(is_name)).then_some((name, fields))
}

/// Whether an expression is a value that is written as it is in JSON.
fn is_literal(code: &str) -> bool {
    matches!(code, "true" | "false") || code.parse::<i64>().is_ok()
}

/// An expression in a shell's words; `left` notes what none can say.
fn placeholder(
    code: &str,
    joins: bool,
    write: &dyn Fn(&str) -> String,
    left: &dyn Fn(String) -> String,
) -> String {
    match (is_name(code), joins) {
        (true, false) => variable(code),
        (true, true) => format!("${{{}}}", called(code)),
        (false, _) if is_literal(code) => code.to_owned(),
        (false, _) => expansion(code).unwrap_or_else(|| write(&left(format!("{{{code}}}")))),
    }
}

/// What a shell can say too: a few filters, and one value or else another.
fn expansion(code: &str) -> Option<String> {
    if let Some((first, other)) = code.split_once(" or ") {
        let (first, other) = (called(first.trim()), called(other.trim()));
        return (is_name(&first) && is_name(&other)).then(|| format!("${{{first}:-${other}}}"));
    }
    let (name, filter) = code.split_once('|')?;
    let (name, filter) = (called(name.trim()), filter.trim());
    let plain = is_name(&name);
    let end = match filter {
        "tojson" => "",
        "upper" => "^^",
        "lower" => ",,",
        "trim('/')" | "trim(\"/\")" => "%/",
        _ => return None,
    };
    plain.then(|| format!("${{{name}{end}}}"))
}

fn statement(code: &str) -> String {
    let code = code.trim_matches(['-', '+']).trim();
    match code.split_once(' ').unwrap_or((code, "")) {
        ("if", condition) => format!("[if {condition}: "),
        ("elif", condition) => format!("; else if {condition}: "),
        ("else", _) => "; else: ".to_owned(),
        ("for", each) => format!("[for each {each}: "),
        (end, _) if end.starts_with("end") => "]".to_owned(),
        _ => String::new(),
    }
}

/// A value as a text with names, for reading: of a list or table, its JSON.
pub fn tree_words(tree: &Tree) -> String {
    tree_told(tree, &str::to_owned, &words)
}

fn tree_told(
    tree: &Tree,
    write: &dyn Fn(&str) -> String,
    template: &dyn Fn(&Template) -> String,
) -> String {
    match tree {
        Tree::Literal(json) => write(&crate::value::text(json)),
        Tree::Template(found) => template(found),
        Tree::List(items) => {
            let items: Vec<String> =
                items.iter().map(|item| tree_told(item, write, template)).collect();
            format!("[{}]", items.join(", "))
        }
        Tree::Map(entries) => {
            let entry = |(key, tree): &(String, Tree)| {
                format!("{}: {}", write(key), tree_told(tree, write, template))
            };
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A header's name as people write it.
pub fn header(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let (first, rest) = part.split_at(part.ceil_char_boundary(part.len().min(1)));
        first.to_uppercase() + rest
    });
    parts.collect::<Vec<_>>().join("-")
}

/// A shell text as a word of a command: quoted as little as it needs, variables in it still read.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let (mut double, mut bare, mut variable) = (String::new(), String::new(), false);
    let mut rest = word.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\\', Some(next @ ('\\' | '$' | '`'))) => {
                double.extend(['\\', *next]);
                bare.push(*next);
                rest.next();
            }
            (c, _) => {
                variable |= c == '$';
                if ['\\', '"', '`'].contains(&c) {
                    double.push('\\');
                }
                double.push(c);
                bare.push(c);
            }
        }
    }
    if variable || bare.contains('\'') { format!("\"{double}\"") } else { single(&bare) }
}

/// A command line as one word of another command, for the shell of another host: variables are
/// read here, whatever else a shell reads is for the other one.
pub fn quoted_line(line: &str) -> String {
    if !line.contains(['$', '\'']) {
        return quoted(line);
    }
    let (mut out, mut inside) = ("\"".to_owned(), None);
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (c, inside) {
            ('\\', None | Some('"')) => {
                // what is escaped there is escaped here too
                let next = rest.next();
                out.push_str(r"\\");
                out.extend(next.filter(|next| ['\\', '$', '`', '"'].contains(next)).map(|_| '\\'));
                out.extend(next);
                continue;
            }
            ('\'' | '"', None) => inside = Some(c),
            ('\'' | '"', Some(open)) if open == c => inside = None,
            _ => {}
        }
        if ['\\', '"', '`'].contains(&c) || (c == '$' && inside == Some('\'')) {
            out.push('\\');
        }
        out.push(c);
    }
    out + "\""
}

/// A word of a command in which nothing is read.
pub fn single(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
