//! `undo`: takes back what a run did, newest first.

use super::resume::{Taken, contradiction, inputs, renewed_inputs, sealed_inputs, take};
use super::run::{Kept, done, holder, lock};
use super::session::{Direction, Session, broken_exit, walk};
use super::{Global, out, state};
use crate::engine::undo::{Back, Way};
use crate::engine::{Engine, Options};
use crate::exit::Exit;
use crate::journal::Memory;
use crate::journal::event::{Decision, Event, StoredMap};
use crate::plan::Status;
use crate::runbook::BELOW;
use crate::terminal::Question;
use crate::world::World;

/// Take back what a run did, newest first
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run
    #[arg(add = super::completions::any_run())]
    run: String,
    /// Only show what would be taken back
    #[arg(long)]
    plan: bool,
    /// Do not ask before beginning; needed where nobody can answer
    #[arg(short, long)]
    yes: bool,
    /// Take a step back again although that may have happened
    #[arg(long, value_name = "STEP", add = super::completions::step())]
    redo: Vec<String>,
    /// Count a step as taken back: it happened, or you did it by hand
    #[arg(long, value_name = "STEP", add = super::completions::step())]
    done: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global, world: World) -> Exit {
    done(undo(args, global, world))
}

fn undo(args: &Args, global: &Global, world: World) -> Result<Exit, Exit> {
    let Some(store) = state::existing(&world)? else {
        out::error("there is no run to take back: nothing was ever run here");
        return Err(Exit::Usage);
    };
    let run = state::find(&store, &args.run)?;
    contradiction(("redo", &args.redo), ("done", &args.done))?;
    let _lock = lock(&world, &run, &holder(&world))?;
    let Taken { store, entries, history, runbook, key, world } = take(store, &run, world)?;
    let session = Session::new(global, world, None);
    let mut services = session.services();
    services.yes = args.yes;
    let quiet = session.recorder(&run, history.last_seq, Box::new(Memory));
    let engine =
        Engine::new(&runbook, &services, &quiet, &key, history.clone(), Options::default());
    let backs = engine.backwards().map_err(|broken| broken_exit(&broken))?;
    args.redo.iter().chain(&args.done).try_for_each(|step| touched(&backs, &run, step))?;
    let left = left(&backs, &gone(&engine));
    drop(engine);
    drop(quiet);
    if !left {
        return Ok(nothing(&run));
    }
    // of an undo that was cut off something is taken back already
    let nothing = if history.undoing() { "nothing more" } else { "nothing" };
    if args.plan {
        out::hint(&format!(
            "{nothing} was taken back; `runbook undo {run}` does it, in this order"
        ));
        return Ok(Exit::Done);
    }
    confirm(args, &run, &session, nothing)?;
    let given = inputs(&history, &run, &key)?;
    let renewed = renewed_inputs(&runbook, (&history, &run, &key), &given, &session.world)?;
    let renewed = sealed_inputs(&run, &key, renewed)?;
    session.report.borrow_mut().past(&entries);
    let recorder =
        session.recorder(&run, history.last_seq, Box::new(Kept { store, texts: Vec::new() }));
    Ok(walk(
        &runbook,
        &services,
        &recorder,
        &key,
        history,
        before(args, renewed),
        &Direction::Backwards,
    ))
}

/// What is said before anything is taken back: the inputs, and what was decided.
fn before(args: &Args, inputs: StoredMap) -> Vec<Event> {
    let resumed = Event::resumed(true, inputs);
    let redo = args
        .redo
        .iter()
        .map(|step| Event::Decided { step: step.clone(), decision: Decision::Redo });
    let by_hand = args.done.iter().map(|step| Event::Undone {
        step: step.clone(),
        summary: "taken back by hand".to_owned(),
        took_ms: 0,
    });
    std::iter::once(resumed).chain(redo).chain(by_hand).collect()
}

/// Refuses the name of a step that there is nothing to take back of.
fn touched(backs: &[Back], run: &str, step: &str) -> Result<(), Exit> {
    let inside = |back: &Back| step.starts_with(&format!("{}/{BELOW}", back.id));
    if backs.iter().any(|back| back.id == step || inside(back)) {
        return Ok(());
    }
    out::error(&format!("run `{run}` has changed nothing by a step `{step}`"));
    let ids: Vec<&str> = backs.iter().map(|back| back.id.as_str()).collect();
    match crate::diag::closest(step, ids.iter().copied()) {
        Some(near) => out::hint(&format!("did you mean `{near}`?")),
        None => out::hint(&format!("`runbook undo {run} --plan` lists those that did")),
    }
    Err(Exit::Usage)
}

/// Shows what will be taken back, and first of all what cannot be, or is already; whether anything
/// can.
fn left(backs: &[Back], gone: &[String]) -> bool {
    let width = backs.iter().map(|back| back.id.len()).max().unwrap_or(0);
    for back in backs {
        let why = match back.way {
            Way::None => "has no undo: what it did stays",
            Way::NotOurs => "was not done by this run: it stays",
            Way::Earlier => {
                out::say(&format!(
                    "with  {:width$}  found what the run itself had made before: it is taken back with that",
                    back.id
                ));
                continue;
            }
            Way::ByHand => "was said to be done (`--done`): it stays, take it back by hand",
            Way::Lost => "was done with values that are not known any more: what it did stays",
            Way::Done => {
                out::say(&format!("done  {:width$}  is taken back already", back.id));
                continue;
            }
            Way::Author | Way::Kind => continue,
        };
        out::say(&format!("stays {:width$}  {why}", back.id));
    }
    for id in gone {
        out::say(&format!("stays {id:width$}  is gone from the file: what it did stays"));
    }
    let mut any = false;
    for back in backs.iter().filter(|back| matches!(back.way, Way::Author | Way::Kind)) {
        any = true;
        let how = if back.way == Way::Kind { "undoes: " } else { "" };
        out::say(&format!("back  {:width$}  {how}{}", back.id, back.what));
    }
    any
}

/// Finished steps that an edit removed; one that was renamed has its digest under another id.
fn gone(engine: &Engine<'_>) -> Vec<String> {
    let history = engine.history.borrow();
    let digest = |id: &str| match history.status(id) {
        Status::Done(done) => Some(done.digest.clone()),
        _ => None,
    };
    // Of `create[3]`, `outer/create` and `clean@17` it is the step in this file that counts.
    let own = |id: &str| id.split(['[', '/', '@']).next().unwrap_or(id).to_owned();
    let here = |id: &&String| engine.runbook.step(&own(id)).is_some();
    let kept: Vec<_> = history.order.iter().filter(here).map(|id| digest(id)).collect();
    let gone = history.order.iter().filter(|id| !here(id) && !kept.contains(&digest(id)));
    gone.cloned().collect()
}

fn nothing(run: &str) -> Exit {
    out::say(&format!("nothing of run `{run}` is left that can be taken back"));
    Exit::Done
}

/// Asks before anything is taken back; where nobody can answer, only `--yes` does.
fn confirm(args: &Args, run: &str, session: &Session, nothing: &str) -> Result<(), Exit> {
    if args.yes {
        return Ok(());
    }
    let terminal = session.terminal();
    if !terminal.present() {
        out::error(&format!("nobody is there to confirm this: {nothing} was taken back"));
        out::hint(&format!("`runbook undo {run} --yes` takes these back without asking"));
        return Err(Exit::Waiting);
    }
    let question = Question {
        ask: "Take these back?".to_owned(),
        choices: vec!["yes".to_owned(), "no".to_owned()],
        default: Some("no".to_owned()),
        ..Question::default()
    };
    if let Ok("yes") = terminal.ask(&question, std::rc::Rc::new(|_| Ok(()))).as_deref() {
        Ok(())
    } else {
        out::say(&format!("{nothing} was taken back"));
        Err(Exit::Interrupted)
    }
}
