//! Golden transcripts: a session at a shell, compared word for word.
//!
//! A case is a folder `tests/cases/NAME/` with a `session.txt` and the files it needs. They are
//! copied to a fresh home, `[SERVER]` and `[DIR]` in them become the test server's `HOST:PORT` and
//! that home; `routes.toml` is what the server answers. Then every `$` line of the session runs:
//!
//! ```text
//! Prose before the first command is kept.
//!
//! $ runbook run book.toml           the program; also NAME=value before it, <<EOF for its input
//! all of stderr
//! stdout:
//! all of stdout, when there is any
//! ? 1                               the exit code, when it is not 0; `? signal` after a signal
//!
//! $ runbook run book.toml &         in the background, one at a time; then:
//! $ await N                         the test server has received N requests in all
//! $ await TEXT                      the text stands on its stderr
//! $ finish   $ interrupt   $ kill   its end, by itself or by SIGINT or SIGKILL, and its output
//!
//! $ cat FILE   $ mode FILE   $ ls FOLDER   $ rm FILE   $ write FILE <<EOF … EOF
//! $ sed -i s/OLD/NEW/ FILE          each OLD, taken as it stands
//! $ chmod OCTAL FILE   $ mkdir FOLDER   $ link TARGET FILE
//! $ server stop|start|release   $ requests
//! $ server fault [N] METHOD PATH close|hold|stall|cut|down|then-down   at the N-th such request
//! $ fake start FAKE.TOML [STATE…]   a fake of a service; `bundled/…` is in `runbooks/`
//! $ fake stop|back
//! $ fake requests [METHOD PATH]     all of them, reads that came at once sorted; that one reads too
//! $ fake changes                    those that are no reads
//! $ fake fault [N] METHOD PATH close|do-and-close|cut|STATUS
//! $ # a remark
//! ```
//!
//! A fault strikes at the N-th such request from there on, the first if not said; a fault whose
//! request never comes fails the case.
//! While `runbook fake` runs in the background, `[FAKE]` is its address.
//! A fake keeps port, state and log while it is down. `[SERVER]` and `[FAKE]` are `HOST:PORT`s.
//! What varies is replaced: those, `[DIR]`, `[TIME]`, `[WHEN]`, `[PID]`, `[REHEARSAL]`, `[HOST]`, `[DIGEST]`, `[KEY]`.
//! An output line that would read as a command or a code begins with a backslash. Blank lines at the
//! end of an output do not count. `UPDATE=1 cargo test` writes what came out into the file.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex_lite::Regex;
use similar::TextDiff;

use super::env::{Env, Output, Running};
use super::fake::Faked;
use super::server::{Awaited, Fault, Server};

/// Where the cases are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// Runs one case: panics with a line diff when anything differs.
pub(crate) fn check(name: &str) {
    let case = folder().join(name);
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    if let Err(problem) = check_folder(&case, update) {
        panic!("case `{name}`: {problem}");
    }
}

fn check_folder(case: &Path, update: bool) -> Result<(), String> {
    let file = case.join("session.txt");
    let wanted = fs::read_to_string(&file).map_err(|error| format!("session.txt: {error}"))?;
    let session = Session::parse(&wanted)?;
    let got = session.replay(&Stage::set(case)?)?;
    if got == session.shown() {
        return Ok(());
    }
    if update {
        return fs::write(&file, got).map_err(|error| format!("session.txt: {error}"));
    }
    let diff = TextDiff::from_lines(session.shown().as_str(), got.as_str())
        .unified_diff()
        .context_radius(3)
        .header("session.txt", "what came out")
        .to_string();
    Err(format!("output differs; `UPDATE=1 cargo test` accepts it\n{diff}"))
}

/// One command of a session.
struct Block {
    /// The line after `$ `, as written.
    line: String,
    words: Vec<String>,
    /// The lines between `<<EOF` and `EOF`.
    input: Option<String>,
    /// Everything up to the next command, without blank lines at its end.
    output: String,
    /// Whether a blank line sets it off from the next command.
    gap: bool,
}

struct Session {
    prose: String,
    blocks: Vec<Block>,
}

impl Session {
    fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().peekable();
        let mut session = Self { prose: String::new(), blocks: Vec::new() };
        while let Some(line) = lines.next() {
            let Some(command) = line.strip_prefix("$ ") else {
                session.add_line(line);
                continue;
            };
            let (bare, heredoc) = match command.strip_suffix("<<EOF") {
                Some(bare) => (bare, true),
                None => (command, false),
            };
            let input = if heredoc { Some(heredoc_lines(&mut lines)?) } else { None };
            let remark = bare.starts_with("# ");
            let words = if remark { vec!["#".to_owned()] } else { words(bare)? };
            session.finish_block();
            let line = command.to_owned();
            session.blocks.push(Block { line, words, input, output: String::new(), gap: false });
        }
        session.finish_block();
        if session.blocks.is_empty() {
            return Err("session.txt has no `$` line".to_owned());
        }
        Ok(session)
    }

    fn add_line(&mut self, line: &str) {
        let text = match self.blocks.last_mut() {
            Some(block) => &mut block.output,
            None => &mut self.prose,
        };
        *text += line;
        text.push('\n');
    }

    fn finish_block(&mut self) {
        if let Some(block) = self.blocks.last_mut() {
            block.gap = block.output == "\n" || block.output.ends_with("\n\n");
            block.output = trim_end(&block.output);
        }
    }

    /// The session as it would be written: with one spelling for what does not count.
    fn shown(&self) -> String {
        let outputs: Vec<String> = self.blocks.iter().map(|block| block.output.clone()).collect();
        self.with(&outputs)
    }

    fn with(&self, outputs: &[String]) -> String {
        let mut text = self.prose.clone();
        for (number, (block, output)) in self.blocks.iter().zip(outputs).enumerate() {
            let _ = writeln!(text, "$ {}", block.line);
            if let Some(input) = &block.input {
                let _ = writeln!(text, "{input}EOF");
            }
            text += output;
            if block.gap && number + 1 < outputs.len() {
                text.push('\n');
            }
        }
        text
    }

    fn replay(&self, stage: &Stage) -> Result<String, String> {
        let mut outputs = Vec::new();
        for block in &self.blocks {
            let raw = stage.perform(block).map_err(|why| format!("`$ {}`: {why}", block.line))?;
            outputs.push(raw);
        }
        met(&stage.server.unmet())?;
        met(&stage.fake.borrow().as_ref().map(Faked::unmet).unwrap_or_default())?;
        Ok(self.with(&outputs))
    }
}

/// The request of a fault, and at the how manieth such one.
fn request(words: &[&str]) -> Result<(String, usize), String> {
    let (nth, request) = match words {
        [method, path] => (1, format!("{method} {path}")),
        [nth, method, path] => {
            let nth = nth.parse().map_err(|_| format!("no number: `{nth}`"))?;
            (nth, format!("{method} {path}"))
        }
        _ => return Err("a fault is told as `[N] METHOD PATH NAME`".to_owned()),
    };
    if nth == 0 { Err("requests are counted from 1".to_owned()) } else { Ok((request, nth)) }
}

/// A fault whose request never came shows nothing: the case is wrong.
fn met(unmet: &[String]) -> Result<(), String> {
    if unmet.is_empty() { Ok(()) } else { Err(format!("never came: {}", unmet.join(", "))) }
}

fn heredoc_lines<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<String, String> {
    let mut input = String::new();
    for line in lines {
        if line == "EOF" {
            return Ok(input);
        }
        input += line;
        input.push('\n');
    }
    Err("`<<EOF` without `EOF`".to_owned())
}

/// Words as a shell splits them: quotes, backslashes, nothing else.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    if quote.is_some() { Err(format!("open quote in `{line}`")) } else { Ok(words) }
}

/// A fresh home with the case's files, and its server.
struct Stage {
    env: Env,
    server: Server,
    fake: RefCell<Option<Faked>>,
    background: RefCell<Option<Running>>,
}

impl Stage {
    fn new() -> Self {
        let (fake, background) = (RefCell::default(), RefCell::default());
        Self { env: Env::new(), server: Server::bind(), fake, background }
    }

    fn set(case: &Path) -> Result<Self, String> {
        let stage = Self::new();
        stage.copy(case, stage.env.root()).map_err(|error| error.to_string())?;
        if let Ok(routes) = fs::read_to_string(stage.env.path("routes.toml")) {
            stage.server.routes(&routes);
        }
        Ok(stage)
    }

    fn copy(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.copy(&entry.path(), &target)?;
            } else if entry.file_name() != "session.txt" {
                fs::write(&target, self.filled(&fs::read_to_string(entry.path())?))?;
                fs::set_permissions(&target, entry.metadata()?.permissions())?;
            }
        }
        Ok(())
    }

    fn filled(&self, text: &str) -> String {
        let root = self.env.root().display().to_string();
        let text = text.replace("[SERVER]", &self.server.address()).replace("[DIR]", &root);
        match (&*self.fake.borrow(), &*self.background.borrow()) {
            (Some(fake), _) => text.replace("[FAKE]", fake.address()),
            (None, Some(job)) if text.contains("[FAKE]") => {
                let line = job.first_line();
                text.replace("[FAKE]", line.trim().trim_start_matches("http://"))
            }
            _ => text,
        }
    }

    /// What the command shows, ready to be compared.
    fn perform(&self, block: &Block) -> Result<String, String> {
        let filled: Vec<String> = block.words.iter().map(|word| self.filled(word)).collect();
        let words: Vec<&str> = filled.iter().map(String::as_str).collect();
        let input = self.filled(block.input.as_deref().unwrap_or_default());
        match self.own(&words, &input)? {
            Some(text) => Ok(escaped(&self.cleaned(&text))),
            None => self.program(&words, &input),
        }
    }

    /// The commands that are ours; `None` when it is the program.
    fn own(&self, words: &[&str], input: &str) -> Result<Option<String>, String> {
        let text = match words {
            ["#"] => String::new(),
            ["cat", file] => self.file(file, |path| fs::read_to_string(path)),
            ["mode", file] => self.file(file, mode),
            ["ls", folder] => self.file(folder, ls),
            ["rm", file] => self.file(file, |path| fs::remove_file(path).map(|()| String::new())),
            ["write", file] => {
                self.file(file, |path| fs::write(path, input).map(|()| String::new()))
            }
            ["chmod", bits, file] => self.file(file, |path| chmod(path, bits)),
            ["sed", "-i", change, file] => {
                let parts: Vec<&str> = change.split('/').collect();
                let ["s", old, new, ""] = parts[..] else {
                    return Err("write `s/OLD/NEW/`".to_owned());
                };
                self.file(file, |path| changed(path, old, new))
            }
            ["mkdir", folder] => {
                self.file(folder, |path| fs::create_dir(path).map(|()| String::new()))
            }
            ["link", to, file] => self.file(file, |path| {
                std::os::unix::fs::symlink(self.env.path(to), path).map(|()| String::new())
            }),
            ["requests"] => self.requests(),
            ["server", control @ ..] => self.control(control)?,
            ["fake", control @ ..] => self.fake(control)?,
            _ => return Ok(None),
        };
        Ok(Some(text))
    }

    /// Failing is a result too: it shows that a file is not there.
    fn file(&self, name: &str, act: impl Fn(&Path) -> std::io::Result<String>) -> String {
        act(&self.env.path(name)).unwrap_or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("{name}: not there\n"),
            kind => format!("{name}: {kind}\n"),
        })
    }

    fn requests(&self) -> String {
        let lines = self.server.requests().into_iter();
        lines
            .map(|request| format!("{} {}\n", request.method, request.target))
            .collect::<Vec<_>>()
            .concat()
    }

    fn control(&self, words: &[&str]) -> Result<String, String> {
        match words {
            ["stop"] => self.server.stop(),
            ["start"] => self.server.resume(),
            ["release"] => self.server.release(),
            ["fault", at @ .., name] => {
                let fault = Fault::named(name).ok_or_else(|| format!("no fault `{name}`"))?;
                let (request, nth) = request(at)?;
                self.server.fault_on(Awaited { request, nth, fault });
            }
            _ => return Err("unknown server control".to_owned()),
        }
        Ok(String::new())
    }

    fn fake(&self, words: &[&str]) -> Result<String, String> {
        let mut fake = self.fake.borrow_mut();
        if let ["start", file, states @ ..] = words {
            let path = match file.strip_prefix("bundled/") {
                Some(file) => folder().join("../../runbooks").join(file),
                None => self.env.path(file),
            };
            let text = fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
            if let Some(before) = fake.replace(Faked::start(&text, states)?) {
                met(&before.unmet())?;
            }
            return Ok(String::new());
        }
        let fake = fake.as_mut().ok_or("there is no fake")?;
        match words {
            ["stop"] => fake.stop(),
            ["back"] => fake.resume()?,
            ["requests"] => return Ok(fake.requests(None)),
            ["requests", method, path] => {
                return Ok(fake.requests(Some(&format!("{method} {path}"))));
            }
            ["changes"] => return Ok(fake.changes()),
            ["fault", at @ .., name] => {
                let (request, nth) = request(at)?;
                fake.fault_on(&request, nth, name)?;
            }
            _ => return Err("unknown fake control".to_owned()),
        }
        Ok(String::new())
    }

    /// The program that runs in the background: waiting for it, and its end.
    fn job(&self, words: &[&str]) -> Result<Option<String>, String> {
        let mut job = self.background.borrow_mut();
        let none = "nothing runs in the background";
        let end = match words {
            ["await", text] => {
                match text.parse() {
                    Ok(requests) => self.server.wait_for(requests),
                    Err(_) => job.as_ref().ok_or(none)?.wait_for(text),
                }
                return Ok(Some(String::new()));
            }
            ["finish"] => Running::finish,
            ["interrupt"] => Running::interrupt,
            ["kill"] => Running::kill,
            _ => return Ok(None),
        };
        Ok(Some(self.told(&end(job.take().ok_or(none)?))))
    }

    fn program(&self, words: &[&str], input: &str) -> Result<String, String> {
        if let Some(text) = self.job(words)? {
            return Ok(text);
        }
        let (words, behind) = match words {
            [words @ .., "&"] => (words, true),
            words => (words, false),
        };
        let start = words.iter().take_while(|word| assignment(word).is_some()).count();
        let ["runbook", args @ ..] = &words[start..] else {
            return Err("unknown command".to_owned());
        };
        let mut command = self.env.command(args);
        command.envs(words[..start].iter().filter_map(|word| assignment(word)));
        let running = Running::start(command, input);
        if behind {
            *self.background.borrow_mut() = Some(running);
            return Ok(String::new());
        }
        Ok(self.told(&running.finish()))
    }

    fn told(&self, output: &Output) -> String {
        let mut text = escaped(&self.cleaned(&output.stderr));
        if !output.stdout.is_empty() {
            let _ = write!(text, "stdout:\n{}", escaped(&self.cleaned(&output.stdout)));
        }
        match output.code {
            Some(0) => {}
            Some(code) => drop(writeln!(text, "? {code}")),
            None => text += "? signal\n",
        }
        text
    }

    /// What varies from run to run, replaced.
    fn cleaned(&self, text: &str) -> String {
        let text = text
            .replace(&self.server.address(), "[SERVER]")
            .replace(&self.env.root().display().to_string(), "[DIR]");
        REPLACED
            .iter()
            .fold(text, |text, (pattern, by)| pattern.replace_all(&text, *by).into_owned())
    }
}

static REPLACED: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let when = r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?";
    // Blanks around a duration come from columns as wide as the duration: they vary with it.
    let time = r"( {2,})?\b\d+(\.\d+)? (ms|s|min)\b( {2,})?";
    [
        (r"/[^ ]*runbook-rehearsal-[A-Za-z0-9]{6}", "[REHEARSAL]"),
        (r"http://127\.0\.0\.1:\d+", "http://[FAKE]"),
        (when, "[WHEN]"),
        (r#"("at_ms": ?)\d+"#, "${1}[WHEN]"),
        (r#"("[a-z_]*took_ms": ?)\d+"#, "${1}[TIME]"),
        (r#"\b(pid"?:? ?)\d+\b"#, "${1}[PID]"),
        (r"\bprocess \d+", "process [PID]"),
        (r"(?m)process \[PID\] on \S+?(:|,| |$)", "process [PID] on [HOST]${1}"),
        // The text names the server, whose port differs, and so does its digest.
        (r#"("text":")[0-9a-f]{64}"#, "${1}[DIGEST]"),
        (r"`[0-9a-f]{8}`", "`[KEY]`"),
        // A heading above durations is as wide as they are.
        (r"started +took +last step", "started  took  last step"),
        // Which of its addresses a machine gives to `localhost` is its own business.
        (r"127\.0\.0\.1, ::1|::1, 127\.0\.0\.1|::1", "127.0.0.1"),
    ]
    .into_iter()
    .chain([(time, "\u{0}${1}\u{1}${4}\u{2}")])
    .chain([("\u{0} +\u{1}", "  [TIME]"), ("\u{0}\u{1}", "[TIME]")])
    .chain([(" +\u{2}", "  "), ("\u{2}", "")])
    .map(|(pattern, by)| (Regex::new(pattern).expect("pattern"), by))
    .collect()
});

fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    (!name.is_empty() && name.chars().all(upper)).then_some((name, value))
}

fn changed(path: &Path, old: &str, new: &str) -> std::io::Result<String> {
    let text = fs::read_to_string(path)?;
    if !text.contains(old) {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    fs::write(path, text.replace(old, new)).map(|()| String::new())
}

fn mode(path: &Path) -> std::io::Result<String> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o7777;
    Ok(format!("{mode:04o}\n"))
}

fn chmod(path: &Path, bits: &str) -> std::io::Result<String> {
    let bits = u32::from_str_radix(bits, 8).map_err(std::io::Error::other)?;
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).map(|()| String::new())
}

fn ls(path: &Path) -> std::io::Result<String> {
    let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name()));
    let mut names = entries.collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names.iter().map(|name| format!("{}\n", name.display())).collect::<Vec<_>>().concat())
}

/// Output lines that would read as part of the session's own notation get a backslash.
fn escaped(text: &str) -> String {
    let mark = |line: &str| line.starts_with("$ ") || line.starts_with("? ") || line == "stdout:";
    let lines = text.trim_end_matches('\n').lines();
    lines
        .map(|line| format!("{}{line}\n", if mark(line) { "\\" } else { "" }))
        .collect::<Vec<_>>()
        .concat()
}

fn trim_end(text: &str) -> String {
    match text.trim_end_matches('\n') {
        "" => String::new(),
        text => format!("{text}\n"),
    }
}

#[cfg(test)]
mod tests;
