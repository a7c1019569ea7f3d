//! `new`: a runbook for another service, with a fake and tests, that works at once.

mod text;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::Parser as _;

use super::{Cli, Command, Global, load, out, rehearse};
use crate::exit::Exit;
use crate::library;
use crate::runbook::lint::lint;
use crate::source::Source;
use crate::step::plugin::Sought;
use crate::terminal::{NoAnswer, Nobody, Person, Question, Terminal};
use crate::world::World;
use text::{Auth, Service};

/// Write a new runbook with a fake and tests, and rehearse it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its name: lower-case letters, digits, dashes
    name: String,
    /// The service's base address
    #[arg(long, value_name = "URL")]
    base: Option<String>,
    /// How a call proves who makes it: `none`, `bearer`, `basic`, or `header:NAME`
    #[arg(long, value_name = "HOW")]
    auth: Option<String>,
    /// The first call: a path below the base, or `POST` and a path
    #[arg(long, value_name = "CALL")]
    first: Option<String>,
    /// The folder to write to; `runbooks/NAME` if not said
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];

pub(super) fn run(args: &Args, global: &Global, world: World) -> Exit {
    match new(args, global, world) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn new(args: &Args, global: &Global, world: World) -> Result<Exit, Exit> {
    let name = valid(&args.name, "NAME", name_of)?;
    let folder = args.folder.clone().unwrap_or_else(|| Path::new("runbooks").join(&name));
    let names = [format!("{name}.toml"), "fake.toml".to_owned(), format!("{name}.test.toml")];
    let [path, fake, tests] = names.map(|name| folder.join(name));
    refuse_written(&[&path, &fake, &tests], &world)?;
    let service = service(name, args, &world)?;
    let files =
        [(path.clone(), service.runbook()), (fake, service.fake()), (tests, service.tests())];
    write(&files, &world)?;
    for (path, _) in &files {
        out::say(&format!("written  {}", path.display()));
    }
    let source = Source::new(path.display().to_string(), files[0].1.as_str());
    let used = |name: &str, from: &Source| library::used(name, from, &world);
    let runbook = load::parse(&source, &used, &|_, _| Ok(Sought::Nowhere(None)), &world)?;
    load::show(&source, &lint(&runbook, &|_| false), &world);
    let exit = rehearsed(&path, global, world)?;
    if exit == Exit::Done {
        // In the usual place it is found by its name.
        let found = args.folder.as_ref().map_or(args.name.clone(), |_| path.display().to_string());
        out::say("");
        out::say(&format!("next: say in {} what it is to do, then", path.display()));
        for command in ["check", "rehearse", "test", "test --crash", "run"] {
            out::say(&format!("      runbook {command} {found}"));
        }
    }
    Ok(exit)
}

/// A rehearsal of what was written, as if it had been typed.
fn rehearsed(path: &Path, global: &Global, world: World) -> Result<Exit, Exit> {
    let words = ["runbook".into(), "rehearse".into(), path.as_os_str().to_owned()];
    match Cli::try_parse_from::<_, std::ffi::OsString>(words).map(|cli| cli.command) {
        Ok(Command::Rehearse(args)) => Ok(rehearse::run(&args, global, world)),
        _ => Err(Exit::Bug),
    }
}

/// Refuses to write where there is something, before anybody is asked what to write.
fn refuse_written(paths: &[&PathBuf], world: &World) -> Result<(), Exit> {
    let Some(path) = paths.iter().find(|path| world.cwd.join(path).exists()) else {
        return Ok(());
    };
    out::error(&format!("{} is there already, nothing was written", path.display()));
    out::hint("choose another name, or another folder with `--folder`");
    Err(Exit::Usage)
}

fn write(files: &[(PathBuf, String)], world: &World) -> Result<(), Exit> {
    for (path, text) in files {
        let full = world.cwd.join(path);
        let made = full.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| {
            let mut file = std::fs::File::create_new(&full)?;
            std::io::Write::write_all(&mut file, text.as_bytes())
        })
        .map_err(|error| {
            out::error(&format!("cannot write {}: {error}", path.display()));
            Exit::Failed
        })?;
    }
    Ok(())
}

/// The ways for a call to prove who makes it, as a person chooses among them.
const WAYS: &[&str] = &[
    "bearer   a token in the header `authorization`",
    "basic    a name and a password",
    "header   a token in a header of another name",
    "none     anybody may call",
];

fn service(name: String, args: &Args, world: &World) -> Result<Service, Exit> {
    let terminal: &dyn Terminal = if world.person() { &Person } else { &Nobody };
    let base = "Base address of the service, as in https://api.example.com/v1:";
    let base = given(terminal, args.base.as_ref(), "--base", base, base_of)?;
    let auth = match &args.auth {
        Some(auth) => valid(auth, "--auth", auth_of)?,
        None => auth(terminal)?,
    };
    let first = "The first call, as in `GET users/me` or `POST users`:";
    let (method, path) = given(terminal, args.first.as_ref(), "--first", first, call_of)?;
    Ok(Service { name, base, auth, method, path })
}

fn auth(terminal: &dyn Terminal) -> Result<Auth, Exit> {
    let question = Question {
        ask: "How does a call prove who makes it?".to_owned(),
        choices: WAYS.iter().map(|way| (*way).to_owned()).collect(),
        default: WAYS.first().map(|way| (*way).to_owned()),
        // as the flag has it
        unlisted: Some(|answer| answer.starts_with("header:") && auth_of(answer).is_ok()),
        ..Question::default()
    };
    let way = asked(terminal, "--auth", &question, |_| Ok(()))?;
    match way.split_whitespace().next() {
        _ if way.contains(':') => valid(&way, "--auth", auth_of),
        Some("header") => {
            let ask = "The header's name, as in x-api-key:";
            given(terminal, None, "--auth", ask, header_of)
        }
        word => valid(word.unwrap_or_default(), "--auth", auth_of),
    }
}

/// What a flag says, or a person who is asked until it is right.
fn given<T: 'static>(
    terminal: &dyn Terminal,
    flag_says: Option<&String>,
    flag: &str,
    ask: &str,
    take: fn(&str) -> Result<T, String>,
) -> Result<T, Exit> {
    let question = Question { ask: ask.to_owned(), ..Question::default() };
    match flag_says {
        Some(said) => valid(said, flag, take),
        None => valid(&asked(terminal, flag, &question, take)?, flag, take),
    }
}

fn asked<T: 'static>(
    terminal: &dyn Terminal,
    flag: &str,
    question: &Question,
    take: fn(&str) -> Result<T, String>,
) -> Result<String, Exit> {
    let right = move |answer: &str| take(answer.trim()).map(drop);
    terminal.ask(question, Rc::new(right)).map_err(|none| match none {
        NoAnswer::Interrupted => {
            out::say("interrupted: nothing was written");
            Exit::Interrupted
        }
        NoAnswer::NoTerminal => {
            out::error(&format!("{flag} is needed: nobody is there to be asked"));
            Exit::Usage
        }
        NoAnswer::Broken(why) => {
            out::error(&format!("the terminal failed: {why}"));
            Exit::Failed
        }
    })
}

fn valid<T>(text: &str, flag: &str, take: impl Fn(&str) -> Result<T, String>) -> Result<T, Exit> {
    take(text.trim()).map_err(|wrong| {
        out::error(&format!("{flag} `{text}`: {wrong}"));
        Exit::Usage
    })
}

fn name_of(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.chars().all(good) {
        return Err("use lower-case letters, digits and dashes, as in `add-user`".to_owned());
    }
    Ok(text.to_owned())
}

fn base_of(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text).ok().filter(|url| {
        let plain = url.query().is_none() && url.fragment().is_none();
        plain && matches!(url.scheme(), "http" | "https")
    });
    let url = url.ok_or("write an address such as https://api.example.com/v1")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("leave the account out, and say `--auth basic`".to_owned());
    }
    Ok(url)
}

fn auth_of(text: &str) -> Result<Auth, String> {
    let header = |name: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(good) {
            return Err("name the header, as in `header:x-api-key`".to_owned());
        }
        Ok(Auth::Header(name.to_lowercase()))
    };
    match text.split_once(':') {
        None if text == "none" => Ok(Auth::None),
        None if text == "bearer" => Ok(Auth::Bearer),
        None if text == "basic" => Ok(Auth::Basic),
        None if text == "header" => header("x-api-key"),
        Some(("header", name)) => header(name.trim()),
        _ => Err("one of `none`, `bearer`, `basic`, `header:NAME`".to_owned()),
    }
}

/// The name alone, or as `--auth` has it.
fn header_of(text: &str) -> Result<Auth, String> {
    let name = text.strip_prefix("header:").unwrap_or(text);
    auth_of(&format!("header:{name}"))
        .map_err(|_| "write the name alone, as in `x-api-key`".to_owned())
}

fn call_of(text: &str) -> Result<(&'static str, String), String> {
    let (method, path) = match text.split_once(' ') {
        Some((method, path)) => (method.to_uppercase(), path.trim()),
        None => ("GET".to_owned(), text),
    };
    let method = METHODS.iter().find(|known| **known == method);
    let method = method.ok_or_else(|| format!("the method is one of {}", METHODS.join(", ")))?;
    let good = |c: char| c.is_ascii_graphic() && !"\"'\\{}#".contains(c);
    if path.contains("://") || !path.chars().all(good) {
        return Err("write a path below the base, as in `users/me`".to_owned());
    }
    Ok((method, path.trim_start_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use crate::runbook::Runbook;
    use crate::testing;

    #[test]
    fn whatever_is_answered_the_files_check_clean() {
        for auth in ["none", "bearer", "basic", "header:X-Key"] {
            for method in METHODS {
                for path in ["users", "/users/?page=1", ""] {
                    let service = Service {
                        name: "add-user".to_owned(),
                        base: base_of("https://api.example.com/v1/").unwrap(),
                        auth: auth_of(auth).unwrap(),
                        method,
                        path: call_of(&format!("{method} {path}")).unwrap().1,
                    };
                    let source = |text: String| Source::new("x.toml", text);
                    let told = |diags: Vec<crate::diag::Diag>, text: &str| {
                        panic!("{method} {auth}: {}\n{text}", diags[0].title)
                    };
                    let text = service.runbook();
                    match Runbook::parse(&source(text.clone()), &|_, _| Err(String::new())) {
                        Ok((runbook, _)) => {
                            let found = lint(&runbook, &|_| false);
                            if !found.is_empty() {
                                told(found, &text);
                            }
                        }
                        Err(diags) => told(diags, &text),
                    }
                    if let Err(diags) = Fake::parse(&source(service.fake())) {
                        told(diags, &service.fake());
                    }
                    if let Err(diags) = testing::parse(&source(service.tests())) {
                        told(diags, &service.tests());
                    }
                }
            }
        }
    }

    #[test]
    fn what_would_break_the_file_is_refused() {
        for call in ["users/\"x", "GET users me", "FETCH users", "https://a.b/c", "a{b}"] {
            assert!(call_of(call).is_err(), "{call}");
        }
        for base in ["api.example.com", "ftp://a.b", "https://u:p@a.b", "https://a.b/?c"] {
            assert!(base_of(base).is_err(), "{base}");
        }
        for name in ["", "Add", "a b", "../a", "-a"] {
            assert!(name_of(name).is_err(), "{name}");
        }
        assert!(auth_of("header:").is_err() && auth_of("magic").is_err());
    }
}
