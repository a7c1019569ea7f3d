//! Trust: a runbook from elsewhere that runs commands, writes files or may send what is in one is
//! shown once first.
//!
//! What came with the program is trusted. Anything else is trusted by its content: a digest
//! of its text, remembered in the state folder, so that an edit is asked about again. A plug-in's
//! program that lies beside a runbook is trusted the same way, by its own content.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::out;
use super::run::scope;
use crate::exit::Exit;
use crate::library;
use crate::runbook::effects::effects;
use crate::runbook::settle::{Given, found};
use crate::runbook::{Runbook, digest};
use crate::scope::Scope;
use crate::source::Source;
use crate::terminal::{Later, NoAnswer, Nobody, Question, Terminal};
use crate::world::World;

/// The file's name in the state folder: a digest and a path a line.
const FILE: &str = "trusted";

/// What is about to be done with a runbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Its steps are performed.
    Run,
    /// Only its reads are.
    Plan,
}

/// Goes on only with a runbook that is trusted. What is given for its inputs is shown where it is
/// named.
pub(super) fn require(
    runbook: &Runbook,
    usage: Use,
    trusted: bool,
    given: Option<&Given>,
    world: &World,
    terminal: &dyn Terminal,
) -> Result<(), Exit> {
    // those it uses count as parts of it
    let used = runbook.used.iter().map(|used| &used.source);
    let mut files: Vec<&Source> = vec![&runbook.source];
    for file in used {
        if !files.iter().any(|known| known.path == file.path) {
            files.push(file);
        }
    }
    let texts: Vec<&str> = files.iter().map(|file| &*file.text).collect();
    if texts.iter().all(|text| library::came_with(text)) || !touches(runbook, usage) {
        return Ok(());
    }
    let (file, mark) = (world.state_dir().join(FILE), digest(&texts.join("\0")));
    if known(&file, &mark) {
        return Ok(());
    }
    if !trusted {
        let (name, path) = (&runbook.name, &runbook.source.path);
        out::say(&format!("`{name}` ({path}) did not come with this program:"));
        let asks = terminal.present();
        let known = given.map(|given| known_values(runbook, given, world, asks));
        let (listing, shortened) = effects(runbook, known.as_ref()).brief();
        listing.lines().for_each(out::say);
        if shortened {
            let name = runbook.command_name();
            out::hint(&format!("`runbook show {name} --effects` shows what is left out"));
        }
        if !terminal.present() {
            out::error(
                "a runbook from elsewhere that runs commands, writes files or calls a service with \
                 what is in a file must be trusted first",
            );
            out::hint("read it, then add `--trust`; it is remembered until the file changes");
            return Err(Exit::Usage);
        }
        asked(terminal).inspect_err(|_| out::say("nothing was run"))?;
    }
    remember(&file, &mark, &runbook.source.path).map_err(|error| {
        out::error(&format!("cannot write {}: {error}", file.display()));
        out::hint("mend the cause, then run it again: nothing was done");
        Exit::Failed
    })
}

/// Whether that is anything to be asked about.
fn touches(runbook: &Runbook, usage: Use) -> bool {
    let found = effects(runbook, None);
    match usage {
        Use::Run => found.needs_trust(),
        Use::Plan => found.needs_trust_to_plan(),
    }
}

/// Whether a program is trusted with this content; remembered if `given` says so now.
pub(super) fn program(
    path: &Path,
    digest: &str,
    given: bool,
    world: &World,
) -> std::io::Result<bool> {
    // Marked apart: a text that is trusted as a runbook is not trusted as a program.
    let (file, mark) = (world.state_dir().join(FILE), format!("program:{digest}"));
    if !known(&file, &mark) {
        if !given {
            return Ok(false);
        }
        remember(&file, &mark, &path.display().to_string())?;
    }
    Ok(true)
}

/// The names that have a value without anybody being asked; a default that a person is offered next
/// has none yet.
fn known_values(runbook: &Runbook, given: &Given, world: &World, asks: bool) -> Scope {
    let terminal: &dyn Terminal = if asks { &Later } else { &Nobody };
    // what is wrong or missing is told when the inputs are settled
    let found = found(runbook, given, world, terminal);
    let scope = scope(&found.map_or_else(|_| Vec::new(), |(settled, _)| settled));
    let _ = runbook.bind_vars(&scope, |name, value| scope.set(name, value));
    scope
}

/// Whether a person trusts it; else how the program ends: a "no" is an answer, not an interruption.
fn asked(terminal: &dyn Terminal) -> Result<(), Exit> {
    let question = Question {
        ask: "Trust this file, as it is now?".to_owned(),
        choices: vec!["yes".to_owned(), "no".to_owned()],
        default: Some("no".to_owned()),
        ..Question::default()
    };
    match terminal.ask(&question, std::rc::Rc::new(|_| Ok(()))).as_deref() {
        Ok("yes") => Ok(()),
        Err(NoAnswer::Interrupted) => Err(Exit::Interrupted),
        _ => Err(Exit::Usage),
    }
}

fn known(file: &Path, mark: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| line.split_whitespace().next() == Some(mark))
}

fn remember(file: &PathBuf, mark: &str, path: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    // one write, so that two processes do not mix their lines
    file.write_all(format!("{mark}  {}\n", path.replace(char::is_control, " ")).as_bytes())?;
    file.sync_all()
}
