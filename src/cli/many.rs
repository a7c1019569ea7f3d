//! `run --each FILE`: one run for each line of inputs, many at once in one process.
//!
//! Each is a run of its own, with its own name and history, to be resumed and taken back by
//! itself. All of them are in the journal before the first one does anything, so that after a
//! kill none is forgotten; what they write while others wait for the disk goes in one commit.

pub(super) mod again;
mod alike;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;

use self::alike::Alike;
use super::run::{Args, WalkFlags, held, holder, scope, started, texts};
use super::session::{Session, block_on, broken_exit, interrupted};
use super::{Global, Output, load, out, session, state, trust};
use crate::engine::foresee::foresee;
use crate::engine::titles::titles;
use crate::engine::{Broken, Engine, Options, Recorder, SharedReport};
use crate::exit::Exit;
use crate::journal::event::{Batch, Entry, Event, Outcome};
use crate::journal::seal::Key;
use crate::journal::shared::Shared;
use crate::journal::store::{RunLock, Store, lock_new};
use crate::plan::History;
use crate::redact;
use crate::report::{self, Report};
use crate::runbook::Runbook;
use crate::runbook::settle::{Given, Refused, Settled, settle};
use crate::step::Services;
use crate::terminal::Nobody;
use crate::value::Json;
use crate::world::World;

/// A line of inputs, accepted.
struct Line {
    /// Where it stands: `clients.jsonl:3`.
    place: String,
    number: usize,
    settled: Vec<Settled>,
    /// Knows this run's secrets and no others: a redactor that knew those of a thousand runs
    /// would be built anew for each.
    redactor: redact::Shared,
}

/// A run that is in the journal and has not begun to walk.
struct Begun {
    run: String,
    /// The number of its last event.
    seq: u64,
    history: History,
    /// What the report must know of it; of a new run it is shown.
    past: Vec<Entry>,
    /// What leads to this walk; nothing for a new run.
    before: Vec<Event>,
    redactor: redact::Shared,
}

/// What all runs share.
struct Crowd<'a> {
    runbook: &'a Runbook,
    world: &'a World,
    services: &'a Services,
    key: &'a Key,
    options: Options,
    journal: &'a Shared,
    report: SharedReport,
}

pub(super) fn run(args: &Args, file: &Path, global: &Global, world: World) -> Result<Exit, Exit> {
    let runbook = load::load_trusting(&args.name, &world, args.flags.trust)?;
    args.walk.check(&runbook, &world)?;
    let session = Session::new(global, world, args.walk.until.as_deref());
    let world = &session.world;
    let given = args.flags.given(&runbook, world)?;
    let asked = session.asked(args.flags.yes);
    // what is given to all, a line may say otherwise
    trust::require(&runbook, trust::Use::Run, args.flags.trust, None, world, &*asked)?;
    let lines = lines(&runbook, &given, file, world)?;
    let services = services(&session, args.flags.yes, &args.walk);
    refuse_foreseen(&runbook, &lines, args.walk.until.as_deref(), &services)?;
    let Start { store, begun, places, lock, key } = begin(&runbook, lines, world)?;
    let until = args.walk.until.as_deref();
    let report = report(global, world, (places, false), &session.redactor, until);
    let journal = shared(store)?;
    let options = args.walk.options();
    let (runbook, services, key) = (&runbook, &services, &key);
    let crowd = Crowd { runbook, world, services, key, options, journal: &journal, report };
    let ended = crowd.all(begun, args.at_once, &Tally::default());
    journal.close();
    drop(lock);
    ended
}

/// The services of runs of which none can ask a person.
fn services(session: &Session, yes: bool, walk: &WalkFlags) -> Services {
    let (world, redactor) = (session.world.clone(), session.redactor.clone());
    let mut services = Services::new(world, Box::new(Nobody), redactor);
    services.yes = yes;
    services.answers = walk.answers();
    services
}

/// The journal in a thread of its own.
fn shared(store: Store) -> Result<Shared, Exit> {
    Shared::new(store).map_err(|error| {
        out::error(&format!("cannot start: {error}"));
        Exit::Failed
    })
}

/// All lines, each settled; or everything that is wrong with any of them, and nothing is run.
fn lines(runbook: &Runbook, given: &Given, file: &Path, world: &World) -> Result<Vec<Line>, Exit> {
    let text = std::fs::read_to_string(world.cwd.join(file)).map_err(|error| {
        out::error(&format!("cannot read {}: {error}", file.display()));
        Exit::Usage
    })?;
    let (mut lines, mut told) = (Vec::<Line>::new(), BTreeMap::new());
    let mut wrong = Alike::default();
    for (number, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let place = format!("{}:{number}", file.display());
        match line(runbook, given, (&place, number), text, world) {
            Ok(line) => {
                // most have the same secrets, a token from the environment, say
                if let Some(last) = lines.last() {
                    line.redactor.search_as(&last.redactor);
                }
                if let Some(same) = told.insert(text.trim(), number) {
                    let file = file.display();
                    out::warning(&format!("{place} is the same as {file}:{same}: both are run"));
                }
                lines.push(line);
            }
            Err(NotTaken { place, messages }) => {
                for message in messages {
                    wrong.add((&place, number), message, Vec::new);
                }
            }
        }
    }
    wrong.tell();
    if wrong.is_empty() && !lines.is_empty() {
        return Ok(lines);
    }
    if wrong.is_empty() {
        out::error(&format!("{} holds no line: there is nothing to run", file.display()));
    }
    out::hint("each line is one JSON object of inputs; nothing was run");
    Err(Exit::Usage)
}

/// What is wrong with a line, and where.
struct NotTaken {
    place: String,
    messages: Vec<String>,
}

fn line(
    runbook: &Runbook,
    shared: &Given,
    (place, number): (&str, usize),
    text: &str,
    world: &World,
) -> Result<Line, NotTaken> {
    let wrong = |place: String, messages| NotTaken { place, messages };
    let json: Json = serde_json::from_str(text).map_err(|error| {
        let (what, at) = (error.to_string(), error.column());
        let what = what.rsplit_once(" at line").map_or(what.as_str(), |(what, _)| what);
        wrong(format!("{place}:{at}"), vec![format!("not a JSON object: {what}")])
    })?;
    let Json::Object(map) = json else {
        return Err(wrong(place.to_owned(), vec!["not a JSON object".to_owned()]));
    };
    let redactor = redact::Shared::default();
    let mut files = shared.files.clone();
    files.insert(0, ("this line".to_owned(), map));
    let given = Given {
        flags: shared.flags.clone(),
        files,
        preset: shared.preset.clone(),
        site: shared.site.clone(),
        fake: None,
        redactor: redactor.clone(),
    };
    match settle(runbook, &given, world, &Nobody) {
        Ok(settled) => Ok(Line { place: place.to_owned(), number, settled, redactor }),
        Err(refused) => {
            let said = said(refused).into_iter();
            Err(wrong(place.to_owned(), said.map(|what| redactor.mask(&what)).collect()))
        }
    }
}

/// Refuses lines with which a var cannot be worked out or a step will surely fail: nothing is run. What fails alike is said once.
fn refuse_foreseen(
    runbook: &Runbook,
    lines: &[Line],
    until: Option<&str>,
    services: &Services,
) -> Result<(), Exit> {
    let mut wrong = Alike::default();
    for line in lines {
        let known = scope(&line.settled);
        load::vars(runbook, &known, &services.world).inspect_err(|_| {
            out::say(&format!("the inputs are those of {}; nothing was run", line.place));
        })?;
        for (step, failure) in foresee(runbook, &known, until, services) {
            let what = format!("step `{step}` would fail: {}", failure.message);
            wrong.add((&line.place, line.number), line.redactor.mask(&what), || {
                failure.hints.iter().map(|hint| line.redactor.mask(hint)).collect()
            });
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.tell();
    out::hint("nothing was run");
    Err(Exit::Usage)
}

/// What is wrong with the inputs of one line.
fn said(refused: Refused) -> Vec<String> {
    match refused {
        Refused::Wrong(messages) => messages,
        Refused::Missing(missing) => missing
            .into_iter()
            .map(|one| format!("input `{}` is missing: {}", one.name, one.about))
            .collect(),
        Refused::Interrupted => Vec::new(),
    }
}

/// All runs, in the journal and in this process's hand.
struct Start {
    store: Store,
    begun: Vec<Begun>,
    /// Where the line of each stands, by its name.
    places: BTreeMap<String, String>,
    lock: RunLock,
    key: Key,
}

/// Puts all runs into the journal, in one transaction. Whoever finds them there finds them held.
fn begin(runbook: &Runbook, lines: Vec<Line>, world: &World) -> Result<Start, Exit> {
    let refused = |error| state::refused(&error);
    let mut store = state::store(world)?;
    let runs = store.new_run_ids(lines.len()).map_err(refused)?;
    let first = runs.first().cloned().unwrap_or_default();
    let lock = lock_new(&world.state_dir(), &runs, &holder(world))
        .map_err(|error| held(&first, &error))?;
    // after the lock: while that is held no key that they may seal with is taken out
    let key = state::key(world)?;
    let batch = Batch { first, runs: runs.len() };
    let (mut entries, mut redactors) = (Vec::with_capacity(runs.len()), Vec::new());
    let mut places = BTreeMap::new();
    // none of them began after another
    let at_ms = world.clock.now_ms();
    for (line, run) in lines.into_iter().zip(runs) {
        let event = started(runbook, &line.settled, &run, &key, false, world)?.with(&batch);
        places.insert(run.clone(), line.place);
        entries.push(Entry { run, seq: 1, at_ms, event });
        redactors.push(line.redactor);
    }
    let texts = texts(runbook);
    let texts = texts.iter().map(|(digest, text)| (digest.as_str(), &**text));
    store.append_unsynced(&entries, texts).map_err(refused)?;
    let begun = entries.into_iter().zip(redactors);
    let begun = begun.map(|(started, redactor)| new(started, redactor)).collect();
    Ok(Start { store, begun, places, lock, key })
}

fn new(started: Entry, redactor: redact::Shared) -> Begun {
    let history = History::fold(std::slice::from_ref(&started));
    let (run, past) = (started.run.clone(), vec![started]);
    Begun { run, seq: 1, history, past, before: Vec::new(), redactor }
}

fn report(
    global: &Global,
    world: &World,
    (places, taken_up): (BTreeMap<String, String>, bool),
    redactor: &redact::Shared,
    until: Option<&str>,
) -> SharedReport {
    let options = session::report_options(global, world, until);
    let report: Box<dyn Report> = match session::output(global, world) {
        Output::Human | Output::Plain => {
            report::many(Box::new(redactor.writer(std::io::stderr())), options, places, taken_up)
        }
        Output::Jsonl | Output::Json => report::jsonl(Box::new(out::data()), &options),
    };
    Rc::new(std::cell::RefCell::new(report))
}

/// How the runs came out.
#[derive(Default)]
struct Tally {
    failed: Cell<bool>,
    doubt: Cell<bool>,
    waiting: Cell<bool>,
    interrupted: Cell<bool>,
}

impl Tally {
    fn count(&self, outcome: Outcome) {
        match outcome {
            Outcome::Failed => self.failed.set(true),
            Outcome::InDoubt => self.doubt.set(true),
            Outcome::Waiting => self.waiting.set(true),
            Outcome::Interrupted => self.interrupted.set(true),
            Outcome::Done | Outcome::Stopped | Outcome::Undone | Outcome::Planned => {}
        }
    }

    /// One code for all: a failure outweighs a doubt, and that a question.
    fn exit(&self) -> Exit {
        if self.interrupted.get() {
            Exit::Interrupted
        } else if self.failed.get() {
            Exit::Failed
        } else if self.doubt.get() {
            Exit::InDoubt
        } else if self.waiting.get() {
            Exit::Waiting
        } else {
            Exit::Done
        }
    }
}

impl Crowd<'_> {
    /// Walks all of them, and says how the process should end.
    fn all(&self, begun: Vec<Begun>, at_once: usize, tally: &Tally) -> Result<Exit, Exit> {
        let walked = block_on(self.walk(begun, at_once, tally));
        self.report.borrow_mut().finish();
        walked.map_or(Err(Exit::Failed), |()| Ok(tally.exit()))
    }

    /// Walks all of them, so many at once. After an interruption those under way are ended, and
    /// no other is begun.
    async fn walk(&self, begun: Vec<Begun>, at_once: usize, tally: &Tally) {
        let (stop, stopped) = watch::channel(false);
        let all = async {
            stream::iter(begun)
                .map(|begun| self.one(begun, stopped.clone(), tally))
                .buffer_unordered(at_once)
                .for_each(|()| std::future::ready(()))
                .await;
        };
        let mut all = std::pin::pin!(all);
        tokio::select! {
            biased;
            how = interrupted() => {
                // nobody need be listening any more
                let _ = stop.send(true);
                tally.interrupted.set(true);
                all.await;
                how.programs().await;
            }
            () = &mut all => {}
        }
    }

    /// One run, to its end.
    async fn one(&self, begun: Begun, mut stopped: watch::Receiver<bool>, tally: &Tally) {
        if *stopped.borrow() {
            return;
        }
        let Begun { run, seq, mut history, past, before, redactor } = begun;
        match &past[..] {
            [started] if before.is_empty() => self.report.borrow_mut().event(started),
            past => self.report.borrow_mut().past(past),
        }
        let services = self.services.beside(redactor.clone());
        let (clock, journal) = (self.world.clock.clone(), Box::new(self.journal.hand()));
        let recorder =
            Recorder::new(run.clone(), seq, clock, journal, self.report.clone(), redactor);
        for event in before {
            history.take(&event);
            recorder.recall(titles(self.runbook, &history));
            recorder.keep(event);
        }
        let options = self.options.clone();
        let engine = Engine::new(self.runbook, &services, &recorder, self.key, history, options);
        let ended = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => {
                engine.end(Outcome::Interrupted).await.map(|()| Outcome::Interrupted)
            }
            ended = engine.walk() => ended,
        };
        match ended {
            Ok(outcome) => tally.count(outcome),
            Err(broken) => {
                say_broken(&run, &broken);
                tally.count(Outcome::Failed);
            }
        }
    }
}

fn say_broken(run: &str, broken: &Broken) {
    out::say(&format!("run `{run}`:"));
    let _ = broken_exit(broken);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_outcome_gives_the_exit_code() {
        let exit = |outcomes: &[Outcome]| {
            let tally = Tally::default();
            for outcome in outcomes {
                tally.count(*outcome);
            }
            tally.exit()
        };
        assert_eq!(exit(&[Outcome::Done, Outcome::Stopped]), Exit::Done);
        assert_eq!(exit(&[Outcome::Waiting, Outcome::Done]), Exit::Waiting);
        assert_eq!(exit(&[Outcome::Waiting, Outcome::InDoubt]), Exit::InDoubt);
        assert_eq!(exit(&[Outcome::Failed, Outcome::InDoubt]), Exit::Failed);
        assert_eq!(exit(&[Outcome::Interrupted, Outcome::Failed]), Exit::Interrupted);
    }
}
