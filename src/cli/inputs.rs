//! The flags that give inputs, shared by `run`, `plan` and `rehearse`.

use std::io::{BufRead as _, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{completions, out};
use crate::exit::Exit;
use crate::journal::event::Failure;
use crate::printable::argument;
use crate::reader::{list, to_json};
use crate::runbook::settle::{Given, Refused, Settled, found, misgiven, no_input, settle};
use crate::runbook::{From, Input, Preset, Runbook};
use crate::scope::Scope;
use crate::source::Source;
use crate::terminal::{NoAnswer, Nobody, Person, Question, Terminal};
use crate::value::Json;
use crate::world::World;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Flags {
    /// Give an input; a secret is better given in the environment or in a file
    #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = pair, add = completions::input())]
    pub(super) input: Vec<(String, String)>,
    /// Take inputs from a TOML or JSON file
    #[arg(long, value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// Take a named set of inputs from the runbook
    #[arg(short, long, value_name = "NAME", add = completions::preset())]
    preset: Option<String>,
    /// Ask nobody: defaults and confirmations are taken as given, and the record says so
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Trust a runbook from elsewhere that runs commands or writes files
    #[arg(long)]
    pub(super) trust: bool,
}

/// `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.trim().to_owned(), value.to_owned()))
        .ok_or_else(|| "write it as NAME=VALUE".to_owned())
}

/// What a flag names, and its value if that stands there too.
pub(super) type Said = (String, Option<String>);

/// `NAME=VALUE`, or `NAME` for a value that no command line shows.
pub(super) fn said(text: &str) -> Result<Said, String> {
    match pair(text) {
        Ok((name, value)) => Ok((name, Some(value))),
        Err(_) if text.trim().is_empty() => Err("write it as NAME=VALUE".to_owned()),
        Err(_) => Ok((text.trim().to_owned(), None)),
    }
}

/// The largest value that is read from standard input, in bytes.
const LINE_LIMIT: u64 = 1024 * 1024;

/// What was said, with the values that were not: asked for unseen, or else a line of standard input.
pub(super) fn whole(
    flag: &str,
    said: &[Said],
    world: &World,
) -> Result<Vec<(String, String)>, Exit> {
    let value = |(name, value): &Said| {
        let value = value.clone().map_or_else(|| unseen(flag, name, world), Ok)?;
        Ok((name.clone(), value))
    };
    said.iter().map(value).collect()
}

fn unseen(flag: &str, name: &str, world: &World) -> Result<String, Exit> {
    if world.person() {
        let ask = format!("{name} (it is not shown)");
        let question = Question { ask, secret: true, ..Question::default() };
        let needed = |answer: &str| match answer {
            "" => Err("a value is needed".to_owned()),
            _ => Ok(()),
        };
        return Person.ask(&question, Rc::new(needed)).map_err(|none| match none {
            NoAnswer::Broken(why) => {
                out::error(&format!("the terminal failed: {why}"));
                Exit::Failed
            }
            _ => Exit::Interrupted,
        });
    }
    let mut line = String::new();
    if !world.stdin_tty {
        let read = std::io::stdin().lock().take(LINE_LIMIT).read_line(&mut line);
        read.map_err(|error| {
            out::error(&format!("cannot read standard input: {error}"));
            Exit::Failed
        })?;
    }
    let value = line.trim_end_matches(['\n', '\r']);
    if value.is_empty() {
        let name = argument(name);
        out::error(&format!("`--{flag} {name}` has no value"));
        out::hint(&format!(
            "give it as a line on standard input, or in a terminal, where it is asked for unseen; `--{flag} {name}=VALUE` if it is no secret"
        ));
        return Err(Exit::Usage);
    }
    Ok(value.to_owned())
}

impl Flags {
    /// Everything given before anybody is asked anything; what is wrong with it by itself is told.
    pub(super) fn given(&self, runbook: &Runbook, world: &World) -> Result<Given, Exit> {
        self.warn(runbook);
        let mut files = Vec::new();
        for path in &self.inputs {
            files.push((path.display().to_string(), map(path, &world.cwd.join(path))?));
        }
        let given = Given {
            flags: self.input.clone(),
            files,
            preset: self.preset.clone(),
            site: site(runbook, world)?,
            fake: None,
            redactor: out::redactor(),
        };
        let wrong = misgiven(runbook, &given, world);
        if wrong.is_empty() {
            Ok(given)
        } else {
            Err(refused(runbook, &given, world, Refused::Wrong(wrong)))
        }
    }

    fn warn(&self, runbook: &Runbook) {
        let secret =
            |name: &&str| runbook.inputs.iter().any(|input| input.secret && input.name == **name);
        let names = self.input.iter().map(|(name, _)| name.as_str());
        let other = "give it in the environment, or in a file with `--inputs FILE`";
        warn_shown("input", names.filter(secret), other);
    }
}

/// Warns of secrets among what was said, and says the other way.
pub(super) fn warn_said(flag: &str, said: &[Said], secret: impl Fn(&str) -> bool) {
    for (name, _) in said.iter().filter(|(name, value)| value.is_some() && secret(name)) {
        let other = format!(
            "`--{flag} {}` without a value asks for it unseen, or reads a line of standard input",
            argument(name)
        );
        warn_shown(flag, std::iter::once(name.as_str()), &other);
    }
}

/// Warns of secrets on the command line, and says the other way.
pub(super) fn warn_shown<'n>(flag: &str, names: impl Iterator<Item = &'n str>, other: &str) {
    for name in names {
        out::warning(&format!(
            "`--{flag} {name}=…` shows a secret to everybody on this machine who looks at its processes"
        ));
        out::hint(other);
    }
}

/// Settles the inputs, or says what is wrong or missing.
pub(super) fn settled(
    runbook: &Runbook,
    given: &Given,
    world: &World,
    terminal: &dyn Terminal,
) -> Result<Vec<Settled>, Exit> {
    let settled = settle(runbook, given, world, terminal);
    if let Ok(settled) = &settled {
        open_files(runbook, settled, world);
    }
    settled.map_err(|why| refused(runbook, given, world, why))
}

/// Refuses inputs with which steps will surely fail.
pub(super) fn refuse_foreseen(found: &[(String, Failure)]) -> Result<(), Exit> {
    for (step, failure) in found {
        out::error(&format!("step `{step}` would fail: {}", failure.message));
        failure.hints.iter().for_each(|hint| out::hint(hint));
    }
    if found.is_empty() {
        return Ok(());
    }
    out::hint("nothing was run");
    Err(Exit::Usage)
}

fn refused(runbook: &Runbook, given: &Given, world: &World, why: Refused) -> Exit {
    match why {
        Refused::Wrong(messages) => {
            for message in &messages {
                out::error(message);
            }
            out::hint("nothing was run");
            Exit::Usage
        }
        Refused::Missing(missing) => {
            out::error(&format!("`{}` needs {} more:", runbook.name, count(missing.len())));
            let width = missing.iter().map(|one| one.name.len()).max().unwrap_or(0);
            for one in &missing {
                out::say(&format!("  {:width$}  {}", one.name, one.about));
            }
            let supplies: Vec<&str> = missing.iter().map(|one| one.supply.as_str()).collect();
            out::hint(&format!("give {}", supplies.join(", ")));
            if given.preset.is_none() {
                let names: Vec<&str> = missing.iter().map(|one| one.name.as_str()).collect();
                for hint in presets(runbook, &names) {
                    out::hint(&hint);
                }
            }
            world.crude().iter().for_each(|why| out::hint(why));
            Exit::Usage
        }
        Refused::Interrupted => {
            out::say("interrupted: nothing was run");
            Exit::Interrupted
        }
    }
}

/// How many presets are named where one would do.
const PRESETS: usize = 5;

/// What the runbook's presets would give of these inputs, the most first.
fn presets(runbook: &Runbook, missing: &[&str]) -> Vec<String> {
    let gives = |preset: &Preset| -> Vec<&str> {
        let set = |name: &&str| preset.values.iter().any(|(key, _)| key.value == **name);
        missing.iter().copied().filter(set).collect()
    };
    let mut fitting: Vec<(&str, Vec<&str>)> =
        runbook.presets.iter().map(|preset| (preset.name.as_str(), gives(preset))).collect();
    fitting.retain(|(_, gives)| !gives.is_empty());
    fitting.sort_by_key(|(_, gives)| std::cmp::Reverse(gives.len()));
    let hint = |(name, gives): &(&str, Vec<&str>)| {
        let what = if gives.len() == missing.len() { "all".to_owned() } else { list(gives) };
        format!("`--preset {}` gives {what} of that", argument(name))
    };
    let more = fitting.len() > PRESETS;
    let rest = format!("`runbook show {}` lists all its presets", runbook.command_name());
    fitting.iter().take(PRESETS).map(hint).chain(more.then_some(rest)).collect()
}

/// Shows where each input's value comes from, and which are missing; nobody is asked.
pub(super) fn explain(runbook: &Runbook, given: &Given, world: &World) -> Result<(), Exit> {
    let (settled, missing) =
        found(runbook, given, world, &Nobody).map_err(|why| refused(runbook, given, world, why))?;
    open_files(runbook, &settled, world);
    for row in rows(runbook, &settled) {
        out::line(row.trim_end());
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(refused(runbook, given, world, Refused::Missing(missing)))
    }
}

/// Name, origin and value of each input, in columns.
fn rows(runbook: &Runbook, settled: &[Settled]) -> Vec<String> {
    let name = runbook.inputs.iter().map(|input| input.name.len()).max().unwrap_or(0);
    let origins = settled.iter().map(|one| one.origin.len());
    let origin = origins.max().unwrap_or(0).max(MISSING.len());
    let row = |input: &Input| {
        let one = settled.iter().find(|one| one.name == input.name);
        let (from, value) =
            one.map_or((MISSING, String::new()), |one| (one.origin.as_str(), one.value.shown()));
        format!("{:name$}  {from:origin$}  {value}", input.name)
    };
    runbook.inputs.iter().map(row).collect()
}

/// What stands in place of an origin.
const MISSING: &str = "missing";

/// Warns of files with secrets that others may read.
fn open_files(runbook: &Runbook, settled: &[Settled], world: &World) {
    let scope = Scope::default();
    for one in settled {
        scope.set(&one.name, one.value.clone());
    }
    let mut seen = Vec::new();
    for from in runbook.inputs.iter().filter(|input| input.secret).flat_map(|input| &input.from) {
        let (From::Dotenv { file, .. } | From::File(file)) = from else { continue };
        let Ok(path) = file.render_text(&scope) else { continue };
        let full = world.cwd.join(world.expand_home(&path));
        let mode = std::fs::metadata(full).map(|meta| meta.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) && !seen.contains(&path) {
            out::warning(&format!("others may read `{path}`, and secrets are in it"));
            let file = world.expand_home(&path).display().to_string();
            out::hint(&format!("`chmod 600 {}` mends it", argument(&file)));
            seen.push(path);
        }
    }
}

fn count(inputs: usize) -> String {
    if inputs == 1 { "one input".to_owned() } else { format!("{inputs} inputs") }
}

/// A table of values from a TOML or JSON file.
fn map(shown: &Path, path: &Path) -> Result<serde_json::Map<String, Json>, Exit> {
    let wrong_at = |place: &str, why: &str| {
        out::error(&format!("cannot take inputs from {}{place}: {why}", shown.display()));
        Exit::Usage
    };
    let wrong = |why: String| wrong_at("", &why);
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let json = if path.extension().is_some_and(|ending| ending == "json") {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?
    } else {
        // the line itself may hold a secret: its place must do
        toml_json(&text).map_err(|(place, why)| wrong_at(&place, &why))?
    };
    match json {
        Json::Object(map) => Ok(map),
        _ => Err(wrong("it holds no table".to_owned())),
    }
}

/// A table as JSON; what is wrong with it, after its place: `:3:1`.
fn toml_json(text: &str) -> Result<Json, (String, String)> {
    let table = toml::de::DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let (line, column) = Source::new("", text).line_column(start);
        (format!(":{line}:{column}"), error.message().to_owned())
    })?;
    let span = table.span();
    Ok(to_json(&toml::Spanned::new(span, toml::de::DeValue::Table(table.into_inner()))))
}

type Site = Option<(String, serde_json::Map<String, Json>)>;

/// The person's site file: its top is for all runbooks, a table named like one is for that one.
fn site(runbook: &Runbook, world: &World) -> Result<Site, Exit> {
    let path = world.config_dir().join("inputs.toml");
    if !path.exists() {
        return Ok(None);
    }
    let mut all = map(&path, &path)?;
    let own = all.remove(&runbook.name);
    if let Some(Json::Object(own)) = own {
        let known = |name: &String| runbook.inputs.iter().any(|input| input.name == *name);
        let place = format!("[{}] in {}", runbook.name, path.display());
        for name in own.keys().filter(|name| !known(name)) {
            out::warning(&no_input(runbook, name, &place));
        }
        all.extend(own);
    }
    Ok(Some((path.display().to_string(), all)))
}
