//! `fake`: serves the fake of a service by itself, for other programs to talk to.

use super::{load, out};
use crate::exit::Exit;
use crate::fake::{Fake, Served};
use crate::library;
use crate::runbook::Runbook;
use crate::source::Source;
use crate::value::Json;
use crate::world::World;

/// Serve the fake of a runbook's service on loopback
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The runbook's name or path, or the path of a `fake.toml`
    #[arg(add = super::completions::runbook())]
    name: String,
    /// The port; any free one if not said
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Start in one of its other states
    #[arg(long, value_name = "STATE", add = super::completions::state())]
    state: Vec<String>,
}

pub(super) fn run(args: &Args, verbose: bool, world: &World) -> Exit {
    match start(args, verbose, world) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn start(args: &Args, verbose: bool, world: &World) -> Result<Exit, Exit> {
    let (named, sources) = sources(&args.name, world)?;
    let here = world.cwd.display().to_string();
    let fake = parsed(&sources, &named, world)?;
    let (served, values) = serve(fake, (&args.name, &args.state), args.port, &here)?;
    if verbose {
        served.listen(Box::new(|asked| {
            // the query may hold what is nobody's business
            let path = asked.target.split('?').next().unwrap_or_default();
            let status = asked.status.map_or_else(|| "no answer".to_owned(), |it| it.to_string());
            out::say(&format!("{} {path} {status}", asked.method));
        }));
    }
    super::session::block_on(super::session::unless_interrupted(async {
        // The address is what other programs wait for: the one line on stdout.
        out::print(&format!("{}\n", served.url()));
        out::say(&format!("serving {} until interrupted; its inputs:", paths(&sources)));
        for (name, value) in &values {
            out::say(&format!("  {name} = {value}"));
        }
        std::future::pending::<()>().await;
    }));
    served.stop();
    Ok(Exit::Done)
}

/// The fakes for the runbook of this name, or the one of this path; with the file that named them.
fn sources(name: &str, world: &World) -> Result<(Source, Vec<Source>), Exit> {
    if name.ends_with("fake.toml") {
        let source = load::find(name, world)?;
        return Ok((source.clone(), vec![source]));
    }
    let runbook = load::load(name, world)?;
    let fakes = library::fakes(&runbook, world);
    Ok((runbook.source, fakes))
}

/// The fakes for a runbook, parsed.
pub(super) fn of(runbook: &Runbook, world: &World) -> Result<Fake, Exit> {
    parsed(&library::fakes(runbook, world), &runbook.source, world)
}

fn paths(sources: &[Source]) -> String {
    let paths: Vec<&str> = sources.iter().map(|source| &*source.path).collect();
    paths.join(", ")
}

/// Parses fakes, the first with the others beside it; mistakes are shown at their places.
fn parsed(sources: &[Source], named: &Source, world: &World) -> Result<Fake, Exit> {
    let fake = Fake::parse_all(sources).map_err(|(place, mistakes)| {
        load::show(&sources[place], &mistakes, world);
        Exit::Invalid
    })?;
    fake.ok_or_else(|| {
        out::error(&format!("there is no fake beside {}", named.path));
        out::hint("write a `fake.toml` there; see docs/fake.md");
        Exit::Usage
    })
}

/// Serves a fake, in these states or in those that the runbook needs; also gives its
/// values for the runbook's inputs.
pub(super) fn serve(
    fake: Fake,
    (runbook, states): (&str, &[String]),
    port: u16,
    folder: &str,
) -> Result<(Served, Vec<(String, Json)>), Exit> {
    let usual = fake.usual(runbook);
    if states.is_empty() && !usual.is_empty() {
        out::say(&format!(
            "the fake starts as `{runbook}` needs it: --state {}",
            usual.join(" --state ")
        ));
    }
    let states = if states.is_empty() { usual } else { states };
    let state = fake.state(states).map_err(|unknown| {
        out::error(&format!("the fake has no state `{unknown}`"));
        let known = fake.states();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        out::hint(&format!("it has {}", crate::reader::list(&known)));
        Exit::Usage
    })?;
    // The inputs hold the address, so they are asked for before the fake is given away.
    let template = fake.inputs("$URL", folder);
    let served = crate::fake::serve(fake, &state, port).map_err(|error| {
        out::error(&format!("cannot serve on port {port}: {error}"));
        Exit::Failed
    })?;
    let url = served.url();
    let fill = |(name, value)| (name, crate::fake::filled(&value, &url, folder));
    let values = template.into_iter().map(fill).collect();
    Ok((served, values))
}
