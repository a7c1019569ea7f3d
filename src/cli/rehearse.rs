//! `rehearse`: a run against the fake of its service: no server, no risk.

use super::inputs::{self, Flags};
use super::run::{WalkFlags, done, scope, started};
use super::session::{Direction, Session, walk};
use super::{Global, fake, load, out, state};
use crate::exit::Exit;
use crate::journal::Memory;
use crate::journal::event::REHEARSAL;
use crate::plan::History;
use crate::world::World;

/// Run a runbook against a fake of its service; nothing real is changed
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The runbook's name, or the path of its file
    #[arg(add = super::completions::runbook())]
    name: String,
    /// Start the fake in one of its other states
    #[arg(long, value_name = "STATE", add = super::completions::state())]
    state: Vec<String>,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    walk: WalkFlags,
}

pub(super) fn run(args: &Args, global: &Global, world: World) -> Exit {
    done(rehearse(args, global, world))
}

fn rehearse(args: &Args, global: &Global, world: World) -> Result<Exit, Exit> {
    let runbook = load::load_trusting(&args.name, &world, args.flags.trust)?;
    args.walk.check(&runbook, &world)?;
    let served = fake::of(&runbook, &world)?;
    let folder =
        tempfile::Builder::new().prefix("runbook-rehearsal-").tempdir().map_err(|error| {
            out::error(&format!("cannot make a temporary folder: {error}"));
            Exit::Failed
        })?;
    let (served, values) =
        fake::serve(served, (&runbook.name, &args.state), 0, &folder.path().display().to_string())?;
    let session = Session::new(global, world, None);
    let mut given = args.flags.given(&runbook, &session.world)?;
    given.site = None;
    given.fake = Some(values.into_iter().collect());
    let settled = inputs::settled(&runbook, &given, &session.world, &crate::terminal::Nobody)?;
    load::vars(&runbook, &scope(&settled), &session.world)?;
    let mut services = session.services();
    services.yes = args.flags.yes;
    services.answers = args.walk.answers();
    services.rehearse(Some(folder.path().to_path_buf()), Some(served.url()));
    let key = state::passing_key()?;
    let recorder = session.recorder(REHEARSAL, 0, Box::new(Memory));
    let started = started(&runbook, &settled, REHEARSAL, &key, true, &session.world)?;
    let exit = walk(
        &runbook,
        &services,
        &recorder,
        &key,
        History::default(),
        vec![started],
        &Direction::Forwards(args.walk.options()),
    );
    served.stop();
    Ok(exit)
}
