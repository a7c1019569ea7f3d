//! `command`: runs a program with its arguments, here or on another host.
//!
//! Here no shell is between. There is one there, the login shell: it is told the arguments so
//! that they arrive exactly, and the variables come on standard input, where nobody sees them.
//! In a rehearsal nothing runs: the fake is asked what would have come out.

use std::path::Path;
use std::process::Stdio;

use crate::diag::Diag;
use crate::journal::event::Effect;
use crate::jq::{self, Val};
use crate::printable::argument;
use crate::reader::{Field, REVEAL, Reader, Rules, Shape, Sink, Tree, list};
use crate::source::Span;
use crate::template::{Piece, Template};
use crate::transport::ssh::{Destination, remote};
use crate::value::text;

use super::child::{End, Listen, MARK, Take, listen, mark, marked};
use super::connection::{ssh_host, through};
use super::rehearsed;
use super::{
    Again, Answer, Cx, Failure, Hand, Kind, Local, Manual, Runs, Step, Touch, Trouble, failure,
    manual,
};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "command",
    about: "Runs a program with its arguments; `.` is its standard output without the last line end.",
    fields: FIELDS,
    rules: Rules::needs(&["run"]),
    without: &[],
    plain: Some("run"),
    example: r#"[[steps]]
id      = "restart"
command = { run = ["systemctl", "restart", "{{ unit }}"], env = { LANG = "C" } }
effect  = "repeatable"
"#,
    parse,
};

const FIELDS: &[Field] = &[
    Field {
        name: "run",
        shape: Shape::Templates,
        about: "The program and its arguments; no shell splits them.",
    },
    Field {
        name: "stdin",
        shape: Shape::Template,
        about: "What it reads on standard input; secrets go here.",
    },
    Field {
        name: "env",
        shape: Shape::Map,
        about: "Environment variables, besides the person's own.",
    },
    Field { name: "cwd", shape: Shape::Template, about: "The folder it runs in." },
    Field {
        name: "ssh",
        shape: Shape::Template,
        about: "The host it runs on, `user@host` or `user@host:port`; here if empty.",
    },
    Field {
        name: "accept",
        shape: Shape::Integers,
        about: "The exit statuses that are no failure; 0 if not said.",
    },
    REVEAL,
];

/// The exit status of `ssh` when it has none of the program's to give.
const SSH_FAILED: i32 = 255;

/// The largest output taken, in MiB; and of what it complains, the last.
const OUTPUT_LIMIT: usize = 10;

#[derive(Debug)]
struct Command {
    run: Vec<Template>,
    /// Where its first word stands.
    span: Span,
    stdin: Option<Template>,
    env: Vec<(String, Tree)>,
    cwd: Option<Template>,
    ssh: Option<Template>,
    accept: Vec<u64>,
}

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    reader.only(FIELDS);
    let texts = reader.texts("run");
    if texts.is_empty() {
        return reader.missing("run", "write the program and its arguments, as in `run = [\"systemctl\", \"restart\", \"app\"]`");
    }
    let (wanted, span) = (texts.len(), texts[0].span.clone());
    let sink = reader.open("a program's arguments, which everybody on the machine can see");
    let run: Vec<Template> =
        texts.iter().filter_map(|text| reader.gather.template(text, sink)).collect();
    let stdin = reader.template("stdin", Sink::Closed);
    let env = environment(reader);
    let cwd = reader.template("cwd", reader.open("a path"));
    let ssh = ssh_host(reader);
    let accept = reader.integers("accept");
    (run.len() == wanted)
        .then(|| Box::new(Command { run, span, stdin, env, cwd, ssh, accept }) as Box<dyn Step>)
}

/// The variables of `env`; their names must be ones that a program can be given.
fn environment(reader: &Reader<'_>) -> Vec<(String, Tree)> {
    let table = reader.get("env").and_then(|value| reader.as_table(value));
    let far = reader.has("ssh");
    for (name, span) in table.iter().flat_map(Reader::keys) {
        if name.is_empty() || name.contains(['=', '\0']) || far && !remote::is_variable(name) {
            let diag = Diag::error(format!("`{name}` cannot be the name of a variable"), span);
            reader.gather.report_since(diag.help("use letters, digits and underscores"));
        }
    }
    reader.map("env", Sink::Beside)
}

struct Output {
    status: Option<i32>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Whether it printed more than is taken.
    more: bool,
}

impl Output {
    /// How it ended, in words.
    fn end(&self) -> String {
        self.status
            .map_or("was killed by a signal".to_owned(), |status| format!("exit status {status}"))
    }
}

impl From<rehearsed::Said> for Output {
    fn from(said: rehearsed::Said) -> Self {
        let (stdout, stderr) = (said.stdout.into_bytes(), said.stderr.into_bytes());
        Self { status: Some(said.status), stdout, stderr, more: false }
    }
}

impl Step for Command {
    fn effect(&self) -> Effect {
        Effect::Once
    }

    fn locals(&self) -> &'static [&'static str] {
        &["response"]
    }

    fn touches(&self) -> Vec<Touch<'_>> {
        vec![Touch::Runs(Runs {
            argv: &self.run,
            span: &self.span,
            on: self.ssh.as_ref(),
            stdin: self.stdin.as_ref(),
            env: &self.env,
            cwd: self.cwd.as_ref(),
        })]
    }

    fn left_running(&self, cx: &Cx<'_>) -> Vec<u32> {
        marked(&mark(cx))
    }

    fn argv(&self) -> Option<&[Template]> {
        Some(&self.run)
    }

    fn what(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        let words = self.words(cx)?;
        let quoted: Vec<_> = words.iter().map(|word| argument(word)).collect();
        let place = match through(self.ssh.as_ref(), cx.scope)? {
            Some(to) => format!(" on {to}"),
            None => String::new(),
        };
        Ok(cx.mask(&format!("run {}{place}", quoted.join(" "))))
    }

    fn manual(&self, hand: &Hand<'_>) -> Manual {
        let argv: Vec<String> =
            self.run.iter().map(|word| manual::quoted(&hand.shell(word))).collect();
        // on another host everybody could see it among the arguments
        let secret =
            |tree: &Tree| tree.reads().iter().any(|name| hand.names.secret.contains(*name));
        // and what the shell there takes apart, as the quotes of JSON, would not arrive
        let made =
            |tree: &Tree| matches!(tree, Tree::List(_) | Tree::Map(_)) && hand.fills_text(tree);
        let hidden =
            |(_, tree): &&(String, Tree)| self.ssh.is_some() && (secret(tree) || made(tree));
        let (sent, shown): (Vec<_>, Vec<_>) = self.env.iter().partition(hidden);
        // alone it is all there is to read, lines and all
        let alone = sent.len() == 1 && self.stdin.is_none();
        let taken = sent.iter().map(|(name, _)| {
            let name = manual::quoted(&manual::literal(name));
            let read = if alone { format!("{name}=`cat`") } else { format!("IFS= read -r {name}") };
            format!("{read}; export {name}; ")
        });
        let env = shown.into_iter().map(|(name, tree)| {
            let (name, value) = (manual::literal(name), hand.tree_shell(tree));
            format!("{}={} ", manual::quoted(&name), manual::quoted(&value))
        });
        let folder = |cwd| match &self.ssh {
            Some(_) => hand.folder_there(cwd),
            None => manual::quoted(&hand.path(cwd)),
        };
        let cwd = self.cwd.as_ref().map(|cwd| format!("cd {} && ", folder(cwd)));
        let cwd = cwd.unwrap_or_default();
        let taken = taken.collect::<String>();
        let line = format!("{taken}{cwd}{}{}", env.collect::<String>(), argv.join(" "));
        let shell = match self.ssh.as_ref().and_then(|host| by_ssh(host, hand)) {
            Some(ssh) => format!("{ssh} {}", manual::quoted_line(&line)),
            None => line,
        };
        let first = sent.iter().map(|(_, tree)| hand.tree_shell(tree) + "\n");
        let stdin = self.stdin.as_ref().map(|text| hand.shell(text));
        let stdin = match sent.as_slice() {
            [] => stdin,
            _ => Some(first.collect::<String>() + &stdin.unwrap_or_default()),
        };
        let host = self.ssh.as_ref().and_then(|host| elsewhere(host, hand));
        let lines = (!sent.is_empty() && !alone).then(|| {
            let names: Vec<&str> = sent.iter().map(|(name, _)| name.as_str()).collect();
            format!("one line each: {}; more would be read as what comes next", list(&names))
        });
        let remarks = host.into_iter().chain(lines).collect();
        Manual { shell: Some(shell), stdin, raw: true, remarks, ..Manual::default() }
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            let what = self.what(cx)?;
            (cx.trace)(format!("> {what}"));
            let _room = match through(self.ssh.as_ref(), cx.scope)? {
                Some(to) => cx.services.room(&to).await,
                None => None,
            };
            let output = match cx.timeout {
                None => self.output(cx).await?,
                Some(limit) => {
                    tokio::time::timeout(limit, self.output(cx)).await.map_err(|_| {
                        let message = format!("{what} did not end within {limit:?}{}", self.left());
                        Trouble::Failed(
                            Failure { doubt: true, ..failure(message) },
                            Again::MaybeDone,
                        )
                    })??
                }
            };
            (cx.trace)(format!("< {}", output.end()));
            self.answer(cx, &what, &output)
        })
    }
}

impl Command {
    fn words(&self, cx: &Cx<'_>) -> Result<Vec<String>, Trouble> {
        self.run.iter().map(|word| Ok(word.render_text(cx.scope)?)).collect()
    }

    /// What became of it when it took too long.
    fn left(&self) -> &'static str {
        match self.ssh {
            Some(_) => "; what runs on another host may go on",
            None => " and was killed",
        }
    }

    async fn output(&self, cx: &Cx<'_>) -> Result<Output, Trouble> {
        let to = through(self.ssh.as_ref(), cx.scope)?;
        match (rehearsed::fake(cx)?, to) {
            (Some(fake), to) => self.rehearsed(cx, fake, to.as_ref()).await,
            (None, Some(to)) => self.there(cx, &to).await,
            (None, None) => self.here(cx).await,
        }
    }

    /// What the fake says would have come out.
    async fn rehearsed(
        &self,
        cx: &Cx<'_>,
        fake: &str,
        to: Option<&Destination>,
    ) -> Result<Output, Trouble> {
        let text = |template: &Option<Template>| {
            template.as_ref().map(|template| template.render_text(cx.scope)).transpose()
        };
        let env: serde_json::Map<_, _> =
            self.variables(cx)?.into_iter().map(|(name, value)| (name, value.into())).collect();
        let told = serde_json::json!({
            "argv": self.words(cx)?, "stdin": text(&self.stdin)?, "env": env, "cwd": text(&self.cwd)?,
            "ssh": to.map(ToString::to_string),
        });
        rehearsed::ask(cx, fake, &told).await.map(Output::from)
    }

    fn variables(&self, cx: &Cx<'_>) -> Result<Vec<(String, String)>, Trouble> {
        self.env
            .iter()
            .map(|(name, tree)| Ok((name.clone(), text(&tree.render(cx.scope)?))))
            .collect()
    }

    async fn there(&self, cx: &Cx<'_>, to: &Destination) -> Result<Output, Trouble> {
        let variables = self.variables(cx)?;
        let mut stdin = self.stdin.as_ref().map(|stdin| stdin.render_text(cx.scope)).transpose()?;
        if !variables.is_empty() {
            let first = remote::prelude(&variables).map_err(|name| {
                Trouble::failed(format!("`{name}` cannot be the name of a variable on `{to}`"))
            })?;
            stdin = Some(first + &stdin.unwrap_or_default());
        }
        let cwd = self.cwd.as_ref().map(|cwd| cwd.render_text(cx.scope)).transpose()?;
        let line = remote::line(&self.words(cx)?, cwd.as_deref(), !variables.is_empty());
        let session = cx.services.session(to).await?;
        let mut command = session.command(&line).await?;
        command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| {
            Trouble::Failed(failure(format!("cannot start `ssh`: {error}")), Again::Safe)
        })?;
        let output = talk(child, stdin, "ssh").await?;
        // ssh's own failures have this status, and a program that a signal ended has it too.
        if output.status == Some(SSH_FAILED) {
            let open = session.is_open().await;
            if let Some(fault) = session.unbegun(&String::from_utf8_lossy(&output.stderr)).await {
                return Err(fault.into());
            }
            if !open || !self.accept.contains(&255) {
                return Err(broken_off(cx, to, &output, open));
            }
        }
        Ok(output)
    }

    async fn here(&self, cx: &Cx<'_>) -> Result<Output, Trouble> {
        let argv = self.words(cx)?;
        let mut command = tokio::process::Command::new(&argv[0]);
        command.args(&argv[1..]).kill_on_drop(true);
        if !cx.services.terminal.present() {
            // All it starts is killed with it. At a terminal it stays in the foreground, where it
            // may ask for a password, and where Ctrl-C reaches all of it.
            command.process_group(0);
        }
        command.env(MARK, mark(cx)).envs(self.variables(cx)?);
        let world = &cx.services.world;
        let folder = match &self.cwd {
            Some(cwd) => world.cwd.join(world.expand_home(&cwd.render_text(cx.scope)?)),
            None => world.cwd.clone(),
        };
        command.current_dir(&folder);
        let stdin = self.stdin.as_ref().map(|stdin| stdin.render_text(cx.scope)).transpose()?;
        command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| unstarted(&argv, &folder, &error))?;
        talk(child, stdin, &argv[0]).await
    }

    fn answer(&self, cx: &Cx<'_>, what: &str, output: &Output) -> Result<Answer, Trouble> {
        let accepted = match output.status.and_then(|status| u64::try_from(status).ok()) {
            Some(status) if self.accept.is_empty() => status == 0,
            Some(status) => self.accept.contains(&status),
            None => false,
        };
        if !accepted {
            let ended = match output.status {
                Some(_) => format!("ended with {}", output.end()),
                None => output.end(),
            };
            // It ran: only its author can know what it did before it failed.
            let failure =
                Failure { details: tail(cx, output), ..failure(format!("{what} {ended}")) };
            return Err(Trouble::Failed(
                Failure { doubt: output.status.is_none(), ..failure },
                Again::MaybeDone,
            ));
        }
        if output.more {
            return Err(too_much(what));
        }
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let out = stdout.strip_suffix('\n').unwrap_or(&stdout).to_owned();
        let head =
            serde_json::json!({ "status": output.status, "stdout": stdout, "stderr": stderr });
        let summary = format!("exit status {}", output.status.unwrap_or_default());
        Ok(Answer {
            input: Val::from(out),
            locals: vec![("response", jq::from_json(&head))],
            summary,
            ..Answer::default()
        })
    }
}

/// The words that go to a host; none if that is this one. A port is an option of `ssh`, and a name may hold one.
fn by_ssh(host: &Template, hand: &Hand<'_>) -> Option<String> {
    let said = hand.shell(host);
    if !host.is_literal() {
        return Some(format!("ssh {}", manual::quoted(&format!("ssh://{said}"))));
    }
    let known = Destination::parse(host.source()).map(|to| to.by_hand());
    (!said.is_empty()).then(|| known.unwrap_or_else(|_| format!("ssh {}", manual::quoted(&said))))
}

/// What `ssh` is told otherwise, by what the host's name is.
fn elsewhere(host: &Template, hand: &Hand<'_>) -> Option<String> {
    if host.is_literal() {
        return None;
    }
    let said = hand.shell(host).replace('\n', " ");
    let address = "`ssh -p PORT USER@ADDRESS`";
    let empty = host.pieces().iter().all(|piece| !matches!(piece, Piece::Text(_)));
    Some(if empty {
        format!("where `{said}` is empty: `sh -c` in place of `ssh …`; an IPv6 address: {address}")
    } else {
        format!("where `{said}` is an IPv6 address: {address}")
    })
}

/// Why a program could not be started: the system's error is the same for a folder that is not there.
fn unstarted(argv: &[String], folder: &Path, error: &std::io::Error) -> Trouble {
    let program = &argv[0];
    if !folder.is_dir() {
        let message = format!("cannot start `{program}`: there is no folder {}", folder.display());
        return Trouble::Failed(failure(message), Again::Safe);
    }
    let message = format!("cannot start `{program}`: {error}");
    let trouble = Trouble::Failed(failure(message), Again::Safe);
    if argv.len() > 1 || !program.contains(char::is_whitespace) {
        return trouble;
    }
    let words: Vec<String> = program.split_whitespace().map(|word| format!("{word:?}")).collect();
    trouble.hint(format!(
        "no shell splits it: the program and its arguments are a list, as in `command = [{}]`",
        words.join(", ")
    ))
}

/// Listens to a program to its end. It has begun, so what cannot be known of it is doubt. What it
/// leaves running when it ends is left, as a service that it started is meant to be.
async fn talk(
    child: tokio::process::Child,
    stdin: Option<String>,
    name: &str,
) -> Result<Output, Trouble> {
    let limit = OUTPUT_LIMIT * 1024 * 1024;
    // it is not killed for too much, which may be in the middle of its work
    let (output, errors) = (Take::First(limit), Take::Last(limit));
    let said = listen(child, Listen { stdin, time: None, output, errors, alone: false }).await;
    let status = match said.end {
        End::Status(status) => Some(status),
        End::Signal(_) => None,
        end => {
            let message = format!("`{name}` {}", end.words());
            return Err(Trouble::Failed(failure(message), Again::MaybeDone).doubtful(true));
        }
    };
    Ok(Output { status, stdout: said.stdout, stderr: said.stderr, more: said.more })
}

/// It printed more than is taken, and half of it is no answer. It ran: that is doubt.
fn too_much(what: &str) -> Trouble {
    let message = format!("{what} printed more than {OUTPUT_LIMIT} MiB, which is not taken");
    Trouble::Failed(Failure { doubt: true, ..failure(message) }, Again::No)
        .hint("let it write into a file, or print only what the steps after it need")
}

/// The last lines of what it complained. Secrets are hidden before it is taken apart, and if a
/// signal ended it, it may have been in the middle of one.
fn tail(cx: &Cx<'_>, output: &Output) -> Vec<String> {
    const LINES: usize = 10;
    let text = String::from_utf8_lossy(&output.stderr);
    let text = match output.status {
        Some(_) => cx.mask(&text),
        None => cx.services.redactor.mask_cut(&text),
    };
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

/// No status came back over ssh, or one that says nothing.
fn broken_off(cx: &Cx<'_>, to: &Destination, output: &Output, open: bool) -> Trouble {
    let message = if open {
        format!("the command on `{to}` ended with status 255, or a signal ended it")
    } else {
        format!("the ssh session to `{to}` broke off while the command ran")
    };
    let details = tail(cx, output);
    Trouble::Failed(Failure { details, doubt: true, ..failure(message) }, Again::MaybeDone)
}
