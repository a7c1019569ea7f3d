//! `plan`: what a run would do, without doing it.

use super::inputs::{self, Flags};
use super::run::{done, scope, started};
use super::session::{Direction, Session, walk};
use super::{Global, load, out, state, trust};
use crate::engine::foresee::foresee;
use crate::exit::Exit;
use crate::journal::Memory;
use crate::journal::event::PLAN;
use crate::plan::History;
use crate::world::World;

/// Show what a run would do: reads are done, changes only shown
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The runbook's name, or the path of its file
    #[arg(add = super::completions::runbook())]
    name: String,
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(args: &Args, global: &Global, world: World) -> Exit {
    done(plan(args, global, world))
}

fn plan(args: &Args, global: &Global, world: World) -> Result<Exit, Exit> {
    let runbook = load::load_trusting(&args.name, &world, args.flags.trust)?;
    let session = Session::new(global, world, None);
    let given = args.flags.given(&runbook, &session.world)?;
    let asked = session.asked(args.flags.yes);
    trust::require(
        &runbook,
        trust::Use::Plan,
        args.flags.trust,
        Some(&given),
        &session.world,
        &*asked,
    )?;
    let settled = inputs::settled(&runbook, &given, &session.world, &*asked)?;
    let known = scope(&settled);
    load::vars(&runbook, &known, &session.world)?;
    let services = session.services();
    for (step, failure) in foresee(&runbook, &known, None, &services) {
        out::warning(&format!("step `{step}` would fail: {}", failure.message));
        failure.hints.iter().for_each(|hint| out::hint(hint));
    }
    let key = state::passing_key()?;
    let recorder = session.recorder(PLAN, 0, Box::new(Memory));
    let started = started(&runbook, &settled, PLAN, &key, false, &session.world)?;
    let new = History::default();
    Ok(walk(&runbook, &services, &recorder, &key, new, vec![started], &Direction::Nowhere))
}
