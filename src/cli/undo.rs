//! `undo`: takes back what a run did, newest first.

use super::resume::{
    Taken, contradiction, definition, inputs, renewed_inputs, sealed_inputs, take,
};
use super::run::{Kept, done, holder, lock};
use super::session::{Direction, Session, broken_exit, output, walk};
use super::{Global, Output, out, state};
use crate::engine::undo::{Back, Way};
use crate::engine::{Engine, Options, Recorder};
use crate::exit::Exit;
use crate::journal::Memory;
use crate::journal::event::{Decision, Event, Outcome, StoredMap};
use crate::plan::{History, Status, Undo};
use crate::printable::argument;
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
    #[arg(long, value_name = "STEP", add = super::completions::step_back())]
    redo: Vec<String>,
    /// Count a step as taken back: it happened, or you did it by hand
    #[arg(long, value_name = "STEP", add = super::completions::step_back())]
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
    let Taken { store, entries, history, key, world } = take(store, &run, world)?;
    let runbook = definition(&store, &history, &run, &world)?;
    let session = Session::new(global, world, None);
    let mut services = session.services();
    services.yes = args.yes;
    let quiet = session.recorder(&run, history.last_seq, Box::new(Memory));
    let engine =
        Engine::new(&runbook, &services, &quiet, &key, history.clone(), Options::default());
    let backs = engine.backwards().map_err(|broken| broken_exit(&broken))?;
    args.redo.iter().chain(&args.done).try_for_each(|step| touched(&backs, &run, step))?;
    let redo = again(&args.redo, &history, &run)?;
    let rows = rows(&backs);
    drop(engine);
    if args.plan && output(global, &session.world) == Output::Jsonl {
        events(&rows, &quiet);
        return Ok(Exit::Done);
    }
    drop(quiet);
    tell(&rows);
    let any = rows.iter().any(|row| row.word == BACK);
    let stays = |step: &String| backs.iter().any(|back| back.id == *step && back.way != Way::Done);
    if !any && (args.plan || !args.done.iter().any(stays)) {
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
    if any {
        confirm(args, &run, &session, nothing)?;
    }
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
        before(args, &redo, renewed),
        &Direction::Backwards,
    ))
}

/// What is said before anything is taken back: the inputs, and what was decided.
fn before(args: &Args, redo: &[&String], inputs: StoredMap) -> Vec<Event> {
    let resumed = Event::resumed(true, inputs);
    let redo = redo.iter().map(|&step| Event::decided(step, Decision::Redo));
    let by_hand = args.done.iter().map(|step| Event::Undone {
        step: step.clone(),
        summary: "taken back by hand".to_owned(),
        took_ms: 0,
    });
    std::iter::once(resumed).chain(redo).chain(by_hand).collect()
}

/// The steps of which taking back is in doubt, or a part of that: they are taken back again. Where the
/// step itself is in doubt, and nothing tells whether it happened, there is no more to go by.
fn again<'a>(redo: &'a [String], history: &History, run: &str) -> Result<Vec<&'a String>, Exit> {
    let mut again = Vec::new();
    for step in redo {
        let below = step.contains(&format!("/{BELOW}"));
        if below || history.undo(step) == Some(Undo::InDoubt) {
            again.push(step);
        } else if matches!(history.status(step), Status::InDoubt { .. }) {
            out::error(&format!(
                "step `{step}` itself may or may not have happened: what it made is not known, so `--redo` cannot take it back"
            ));
            let step = argument(step);
            out::hint(&format!(
                "once nothing of it is there any more, `runbook undo {run} --done {step}`; nothing was done"
            ));
            return Err(Exit::Usage);
        } else {
            out::warning(&format!(
                "taking back step `{step}` is not in doubt: `--redo` changes nothing"
            ));
        }
    }
    Ok(again)
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

/// What will become of a step.
struct Row<'a> {
    /// That in a word.
    word: &'static str,
    id: &'a str,
    /// What will be done, or why nothing is.
    said: String,
}

/// The word for what is taken back.
const BACK: &str = "back";

/// What will be taken back, and first of all what cannot be, or is already.
fn rows(backs: &[Back]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = backs.iter().filter_map(stays).collect();
    let taken = backs.iter().filter(|back| matches!(back.way, Way::Author | Way::Kind));
    rows.extend(taken.map(|back| {
        let how = if back.way == Way::Kind { "undoes: " } else { "" };
        Row { word: BACK, id: &back.id, said: format!("{how}{}", back.what) }
    }));
    rows
}

/// Why nothing is done about a step.
fn stays(back: &Back) -> Option<Row<'_>> {
    if back.way == Way::Lost && !back.what.is_empty() {
        let said = format!("cannot be taken back: {}; what it did stays", back.what);
        return Some(Row { word: "stays", id: &back.id, said });
    }
    let (word, said) = match back.way {
        Way::None => ("stays", "has no undo: what it did stays"),
        Way::NotOurs => ("stays", "was not done by this run: it stays"),
        Way::Earlier => {
            ("with", "found what the run itself had made before: it is taken back with that")
        }
        Way::Again => ("with", "did what it had done before: it is taken back with that"),
        Way::ByHand => ("stays", "was said to be done (`--done`): it stays, take it back by hand"),
        Way::Lost => {
            ("stays", "was done with values that are not known any more: what it did stays")
        }
        Way::Gone => ("stays", "is gone from the file: "),
        Way::Outdated => ("stays", "was done by another version of the file: what it did stays"),
        Way::Reshaped => ("stays", "is another step in the file by now: "),
        Way::Done => ("done", "is taken back already"),
        Way::Author | Way::Kind => return None,
    };
    let said = match back.way {
        Way::Gone | Way::Reshaped => format!("{said}{} stays", back.what),
        _ => said.to_owned(),
    };
    Some(Row { word, id: &back.id, said })
}

fn tell(rows: &[Row<'_>]) {
    let width = rows.iter().map(|row| row.id.len()).max().unwrap_or(0);
    for Row { word, id, said } in rows {
        out::say(&format!("{word:5} {id:width$}  {said}"));
    }
}

/// The same as events of a plan.
fn events(rows: &[Row<'_>], recorder: &Recorder) {
    for Row { word, id, said } in rows {
        let (what, remarks) = match *word {
            BACK => (said.clone(), Vec::new()),
            _ => (String::new(), vec![said.clone()]),
        };
        let step = (*id).to_owned();
        recorder.show(Event::Planned { step, what, lines: Vec::new(), remarks });
    }
    let took_ms = recorder.walk_ms();
    recorder.show(Event::Ended { outcome: Outcome::Planned, took_ms });
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
