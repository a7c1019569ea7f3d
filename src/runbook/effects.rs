//! What a runbook touches, told from its text alone: hosts, commands, files, secrets.
//!
//! Places are as their author wrote them, templates and all, as it can be shown before anything
//! is asked; behind what is known by then.

use std::fmt::Write as _;

use super::{From, Runbook, StepDef};
use crate::journal::event::Effect;
use crate::printable::argument;
use crate::reader::Tree;
use crate::scope::Scope;
use crate::step::connection::named;
use crate::step::{Runs, Step, Touch};
use crate::template::{Piece, Template};
use crate::value::{Json, Labeled, text};

/// What a runbook touches. Each thing stands once, in the order of the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Base addresses of the services it calls.
    pub hosts: Vec<String>,
    /// Programs with their arguments.
    pub commands: Vec<Program>,
    /// Files it writes.
    pub files: Vec<Written>,
    /// Files of this machine that it sends to a service.
    pub sent: Vec<String>,
    /// Where it reads secrets and other inputs from.
    pub reads: Vec<String>,
    /// Whether it calls what listens on sockets of this machine, which may be mighty there.
    pub sockets: bool,
    /// Whether a command runs, or a file is sent or written, even when a run is only planned.
    pub acts_when_planned: bool,
    /// Whether an input's value may come out of a file of this machine.
    pub from_files: bool,
}

/// A program that runs, and all that is decided about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// It and its arguments, and where it runs if that is not here.
    pub line: String,
    /// Its folder and its variables, each after the word that says what it is.
    pub details: Vec<(&'static str, String)>,
    /// What it reads on standard input.
    pub stdin: Option<String>,
}

/// A file that is written, and what of it stands in the runbook.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Its path.
    pub file: String,
    /// The lines that are added or taken out, after the word that says which.
    pub lines: Option<(&'static str, String)>,
}

/// How much of a text is shown when it is shortened.
const BRIEF_LINES: usize = 20;
/// The same in characters.
const BRIEF_CHARS: usize = 2000;

impl Program {
    fn tell(&self, out: &mut String, brief: bool) {
        place(out, "runs", &self.line);
        for (word, said) in &self.details {
            let _ = writeln!(out, "{:8}{word:5}  {}", "", line(said));
        }
        if let Some(stdin) = &self.stdin {
            lines(out, "stdin", stdin, brief);
        }
    }

    fn is_long(&self) -> bool {
        self.stdin.as_deref().is_some_and(is_long)
    }
}

impl Written {
    fn tell(&self, out: &mut String, brief: bool) {
        place(out, "writes", &self.file);
        if let Some((word, text)) = &self.lines {
            lines(out, word, text, brief);
        }
    }

    fn is_long(&self) -> bool {
        self.lines.as_ref().is_some_and(|(_, text)| is_long(text))
    }
}

/// A text of several lines below what it belongs to, after a word that says what it is.
fn lines(out: &mut String, word: &str, text: &str, brief: bool) {
    let shown = if brief { shortened(text) } else { text };
    for (at, one) in shown.lines().enumerate() {
        let word = if at == 0 { word } else { "" };
        let one = format!("{:8}{word:5}  {one}", "");
        let _ = writeln!(out, "{}", one.trim_end());
    }
    let rest = &text[shown.len()..];
    if !rest.is_empty() {
        let (lines, chars) = (rest.trim_matches('\n').lines().count(), rest.chars().count());
        let _ = writeln!(out, "{:15}… left out: {chars} characters on {lines} lines", "");
    }
}

fn is_long(text: &str) -> bool {
    shortened(text).len() < text.len()
}

/// The beginning of a text, all of it if that is not much longer.
fn shortened(text: &str) -> &str {
    let lines = text.match_indices('\n').nth(BRIEF_LINES - 1).map(|(at, _)| at + 1);
    let chars = text.char_indices().nth(BRIEF_CHARS).map(|(at, _)| at);
    let end = lines.into_iter().chain(chars).min().unwrap_or(text.len());
    &text[..end]
}

fn place(out: &mut String, word: &str, one: &str) {
    let _ = writeln!(out, "{word:6}  {}", line(one));
}

fn line(text: &str) -> String {
    text.replace('\n', "\\n")
}

impl Effects {
    /// Whether it can do more to this machine than call services.
    pub fn needs_trust(&self) -> bool {
        let files = !self.files.is_empty() || !self.sent.is_empty();
        self.sockets || self.may_tell() || files || !self.commands.is_empty()
    }

    /// The same of what is done when a run is only planned.
    pub fn needs_trust_to_plan(&self) -> bool {
        self.acts_when_planned || self.may_tell()
    }

    /// Whether a service may be told what is in a file of this machine: any call can hold an input.
    fn may_tell(&self) -> bool {
        self.from_files && !self.hosts.is_empty()
    }

    /// The list, for a person.
    pub fn listing(&self) -> String {
        self.listed(false)
    }

    /// The same with long texts shortened; and whether any is.
    pub fn brief(&self) -> (String, bool) {
        let long =
            self.commands.iter().any(Program::is_long) || self.files.iter().any(Written::is_long);
        (self.listed(true), long)
    }

    fn listed(&self, brief: bool) -> String {
        let mut out = String::new();
        for one in &self.hosts {
            place(&mut out, "calls", one);
        }
        for one in &self.commands {
            one.tell(&mut out, brief);
        }
        for one in &self.files {
            one.tell(&mut out, brief);
        }
        for (word, all) in [("sends", &self.sent), ("reads", &self.reads)] {
            for one in all {
                place(&mut out, word, one);
            }
        }
        out
    }

    fn all(&mut self, runbook: &Runbook, known: Option<&Scope>) {
        let own = known.is_none().then(|| constants(runbook));
        let known = known.or(own.as_ref());
        for step in &runbook.steps {
            self.step(runbook, step, known);
            let actions = [Some(&step.action), step.undo.as_ref()].into_iter().flatten();
            for nested in actions.filter_map(|action| action.nested()) {
                if let Some(used) = nested.runbook.downcast_ref::<Runbook>() {
                    // its names are its own
                    self.all(used, None);
                }
            }
        }
        for input in &runbook.inputs {
            let what = if input.secret { "the secret" } else { "the input" };
            for from in &input.from {
                self.from_files |= !matches!(from, From::Env(_));
                let place = match from {
                    From::Env(name) => format!("environment variable {name}"),
                    From::Dotenv { file, key } => format!("{key} in {}", file.source()),
                    From::File(file) => file.source().to_owned(),
                };
                once(&mut self.reads, format!("{what} `{}` from {place}", input.name));
            }
        }
    }

    fn step(&mut self, runbook: &Runbook, step: &StepDef, known: Option<&Scope>) {
        let probe = step.already.as_ref().map(|already| &*already.probe);
        let undo = step.undo.as_deref();
        for action in [Some(&*step.action), probe, undo].into_iter().flatten() {
            self.action(runbook, action, known);
        }
        let socket = |action: &dyn Step| {
            let used = action.connection().and_then(|name| named(&runbook.connections, name));
            used.is_some_and(|used| used.socket_template().is_some())
        };
        let acts = |action: &dyn Step| !action.touches().is_empty() || socket(action);
        let reads = step.effect <= Effect::Read && acts(&*step.action);
        self.acts_when_planned |= reads || probe.is_some_and(acts);
    }

    fn action(&mut self, runbook: &Runbook, action: &dyn Step, known: Option<&Scope>) {
        if let Some(name) = action.connection()
            && let Some(found) = named(&runbook.connections, name)
        {
            let way = found.ssh_template().or_else(|| found.socket_template());
            let parts = [Some(found.base_template()), way];
            let address = |parts: &[&str]| parts.join(" through ");
            once(&mut self.hosts, told(parts.into_iter().flatten(), &address, known));
            self.sockets |= found.socket_template().is_some();
        }
        for touch in action.touches() {
            let path = |file| told([file], &|parts: &[&str]| parts.concat(), known);
            match touch {
                Touch::Runs(runs) => once(&mut self.commands, program(runs, known)),
                Touch::Plugin(program) => {
                    let line = program.display().to_string();
                    once(&mut self.commands, Program { line, ..Program::default() });
                }
                Touch::Writes(writes) => {
                    let lines = writes.lines.map(|(word, text)| (word, read(text, known)));
                    once(&mut self.files, Written { file: path(writes.file), lines });
                }
                Touch::Sends(file) => once(&mut self.sent, path(file)),
            }
        }
    }
}

/// What a runbook touches, said with the values that are known.
pub fn effects(runbook: &Runbook, known: Option<&Scope>) -> Effects {
    let mut found = Effects::default();
    found.all(runbook, known);
    found
}

/// The vars that say the same whatever the inputs.
fn constants(runbook: &Runbook) -> Scope {
    let scope = Scope::default();
    for var in &runbook.vars {
        let known = var.value.reads().iter().all(|name| scope.has(name));
        // one that cannot be worked out is told when it is needed
        if let Some(json) = known.then(|| var.value.render(&scope).ok()).flatten() {
            scope.set(&var.name, Labeled::plain(json));
        }
    }
    scope
}

fn program(runs: Runs<'_>, known: Option<&Scope>) -> Program {
    let line = |parts: &[&str]| command_line(runs.argv.len(), parts);
    let line = told(runs.argv.iter().chain(runs.on), &line, known);
    let text = |template| told([template], &|parts: &[&str]| parts.concat(), known);
    let folder = runs.cwd.map(|cwd| ("cwd", text(cwd)));
    let variables = runs.env.iter().map(|(name, tree)| ("env", variable(name, tree, known)));
    let details = folder.into_iter().chain(variables).collect();
    Program { line, details, stdin: runs.stdin.map(|stdin| read(stdin, known)) }
}

/// What a program reads, or what a file gets. Of a template of several lines the value stands alone, if it is known.
fn read(text: &Template, known: Option<&Scope>) -> String {
    let source = text.source();
    match filled(text, known) {
        Some(value) if source.contains('\n') => value,
        Some(value) => format!("{value}  from `{source}`"),
        None => source.to_owned(),
    }
}

/// A variable and its value as a shell would be told.
fn variable(name: &str, tree: &Tree, known: Option<&Scope>) -> String {
    let pair = |json: &Json| format!("{}={}", argument(name), argument(&text(json)));
    let written = pair(&written(tree));
    let value = value(tree.reads(), known, |scope| tree.render(scope).ok()).map(|json| pair(&json));
    match value.filter(|value| *value != written) {
        Some(value) => format!("{value}  from `{written}`"),
        None => written,
    }
}

/// A value as its author wrote it.
fn written(tree: &Tree) -> Json {
    match tree {
        Tree::Literal(json) => json.clone(),
        Tree::Template(template) => template.source().into(),
        Tree::List(items) => items.iter().map(written).collect(),
        Tree::Map(entries) => {
            entries.iter().map(|(key, tree)| (key.clone(), written(tree))).collect()
        }
    }
}

/// What is made of names, if all of them are known and none is secret.
fn value<T>(
    names: Vec<&str>,
    known: Option<&Scope>,
    made: impl FnOnce(&Scope) -> Option<T>,
) -> Option<T> {
    let scope = known?;
    let open = names.iter().all(|name| scope.has(name)) && !scope.any_secret(names);
    open.then(|| made(scope)).flatten()
}

/// A program with so many words, itself among them, and the host it runs on, if any is named.
fn command_line(words: usize, parts: &[&str]) -> String {
    let (words, on) = parts.split_at(words);
    let words: Vec<_> = words.iter().map(|word| argument(word)).collect();
    let on = on.iter().filter(|host| !host.is_empty()).map(|host| format!(" on {host}"));
    words.join(" ") + &on.collect::<String>()
}

/// A place with its values, as far as they are known and none is secret. Each part is rendered by
/// itself, as it is when it is used, and put together after that.
fn told<'t>(
    parts: impl IntoIterator<Item = &'t Template>,
    together: &dyn Fn(&[&str]) -> String,
    known: Option<&Scope>,
) -> String {
    let parts: Vec<&Template> = parts.into_iter().collect();
    let sources: Vec<&str> = parts.iter().map(|part| part.source()).collect();
    let place = together(&sources);
    let values: Vec<Option<String>> = parts.iter().map(|part| filled(part, known)).collect();
    if values.iter().all(Option::is_none) {
        return place;
    }
    let values =
        values.iter().zip(&sources).map(|(value, source)| value.as_deref().unwrap_or(source));
    format!("{}  from `{place}`", together(&values.collect::<Vec<_>>()))
}

/// A template with the values that are known; nothing if none is. What is not known, or secret, stands
/// as its author wrote it.
fn filled(template: &Template, known: Option<&Scope>) -> Option<String> {
    let names = template.reads().iter().map(|read| &*read.name).collect();
    let known = known.filter(|_| !template.is_literal());
    if let Some(whole) = value(names, known, |scope| template.render_text(scope).ok()) {
        return Some(whole);
    }
    let pieces = template.pieces();
    // what stands beside it would be another text, or a name another one
    if pieces.iter().any(|piece| piece.trims() || piece.binds()) {
        return None;
    }
    let (mut out, mut some) = (String::new(), false);
    for piece in pieces {
        match piece {
            Piece::Text(text) => out += text,
            Piece::Statement(code) => out.extend(["{%", code, "%}"]),
            Piece::Expression(code) => {
                let value = expression(code, known);
                some |= value.is_some();
                match value {
                    Some(value) => out += &value,
                    None => out.extend(["{{", code, "}}"]),
                }
            }
        }
    }
    some.then_some(out)
}

fn expression(code: &str, known: Option<&Scope>) -> Option<String> {
    let alone = Template::parse(&["{{", code, "}}"].concat()).ok()?;
    let names = alone.reads().iter().map(|read| &*read.name).collect();
    value(names, known, |scope| alone.render_text(scope).ok())
}

fn once<T: PartialEq>(all: &mut Vec<T>, one: T) {
    if !all.contains(&one) {
        all.push(one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    #[test]
    fn everything_a_file_touches_is_listed_undo_and_look_ups_too() {
        let text = r#"
            format = 1
            name = "x"
            [inputs.token]
            secret = true
            from = [{ env = "TOKEN" }, { dotenv = "~/c", key = "T" }]
            [inputs.host]
            [connections.api]
            base = "https://{{ host }}/"
            headers = { authorization = "{{ token }}" }
            [[steps]]
            id = "make"
            http = { on = "api", method = "POST", url = "x" }
            undo.command = ["rm", "-r", "{{ host }} x"]
            [[steps]]
            id = "look"
            command = ["ls"]
            effect = "read"
            [[steps]]
            id = "keep"
            append = { file = "~/{{ host }}", text = "A" }
            [[steps]]
            id = "send"
            http = { on = "api", method = "PUT", url = "x", upload = "~/key" }
            [[steps]]
            id = "part"
            http = { on = "api", method = "POST", url = "x", multipart = [{ name = "f", file = "{{ host }}" }] }
            [[steps]]
            id = "fetch"
            http = { on = "api", url = "x", into = "~/file" }
        "#;
        let (runbook, _) =
            Runbook::parse(&Source::new("x.toml", text), &|_, _| Err(String::new())).unwrap();
        let found = effects(&runbook, None);
        assert_eq!(
            found.listing(),
            "calls   https://{{ host }}/\nruns    rm -r '{{ host }} x'\nruns    ls\n\
             writes  ~/{{ host }}\n        adds   A\nwrites  ~/file\nsends   ~/key\nsends   {{ host }}\nreads   the secret `token` from environment variable TOKEN\n\
             reads   the secret `token` from T in ~/c\n"
        );
        assert!(found.needs_trust() && found.acts_when_planned);
    }

    #[test]
    fn what_could_send_a_file_by_way_of_an_input_needs_trust() {
        let book = |from: &str, step: &str| {
            let text = format!(
                "format = 1\nname = \"x\"\n[inputs.key]\nsecret = true\nfrom = [{{ {from} }}]\n\
                 [connections.api]\nbase = \"https://elsewhere/\"\nheaders = {{ a = \"{{{{ key }}}}\" }}\n\
                 [[steps]]\nid = \"one\"\n{step}\n"
            );
            let source = Source::new("x.toml", text);
            effects(&Runbook::parse(&source, &|_, _| Err(String::new())).unwrap().0, None)
        };
        let call = "http = { on = \"api\", url = \"x\" }";
        for (from, step, needs) in [
            ("file = \"~/.ssh/id_ed25519\"", call, true),
            ("dotenv = \"~/.config/service\", key = \"KEY\"", call, true),
            ("env = \"KEY\"", call, false),
            ("file = \"~/.ssh/id_ed25519\"", "gate = \"key != ''\"", false),
        ] {
            let found = book(from, step);
            assert_eq!(found.needs_trust(), needs, "{from} {step}");
            assert_eq!(found.needs_trust_to_plan(), needs, "{from} {step}");
        }
    }

    #[test]
    fn a_text_that_loses_its_space_is_shown_as_written_until_all_of_it_is_known() {
        let known = Scope::default();
        known.set("sub", Labeled::plain("/etc"));
        let shown = |text: &str| filled(&Template::parse(text).unwrap(), Some(&known));
        assert_eq!(shown("/srv/{{ dir }} {{ sub }}").as_deref(), Some("/srv/{{ dir }} /etc"));
        for text in [
            "/srv/{{ dir }} {{- sub }}",
            "{{ sub -}} {{ dir }}",
            "{% for sub in dir %}{{ sub }}{% endfor %}",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
        known.set("dir", Labeled::plain("x"));
        assert_eq!(shown("/srv/{{ dir }} {{- sub }}").as_deref(), Some("/srv/x/etc"));
    }
}
