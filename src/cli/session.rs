//! One walk from the command line: services, report, journal, engine, exit code.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{Global, Output, out, state};
use crate::engine::titles::titles;
use crate::engine::{Broken, Engine, Options, Recorder, SharedReport};
use crate::exit::Exit;
use crate::journal::event::{Event, Outcome};
use crate::journal::seal::Key;
use crate::journal::{Journal, JournalError};
use crate::plan::History;
use crate::redact;
use crate::report::{self, Report};
use crate::runbook::Runbook;
use crate::step::{Services, child};
use crate::terminal::{NoAnswer, Nobody, Person, Question, Terminal, Validator};
use crate::world::World;

/// What a walk needs besides its runbook.
pub(super) struct Session {
    /// Shared with every writer.
    pub(super) redactor: redact::Shared,
    /// Where events are shown.
    pub(super) report: SharedReport,
    /// Clock, environment, folders.
    pub(super) world: World,
}

impl Session {
    /// For a walk that is to stop before a step, if one is named.
    pub(super) fn new(global: &Global, world: World, until: Option<&str>) -> Self {
        let redactor = out::redactor();
        let report: Box<dyn Report> = report(global, &world, &redactor, until);
        Self { redactor, report: Rc::new(RefCell::new(report)), world }
    }

    /// The services of a run.
    pub(super) fn services(&self) -> Services {
        Services::new(self.world.clone(), self.terminal(), self.redactor.clone())
    }

    /// The person, if there is one; the report keeps still while they are asked.
    pub(super) fn terminal(&self) -> Box<dyn Terminal> {
        if self.world.person() {
            let (width, color) = (self.world.width(), self.world.color());
            Box::new(Quiet { report: self.report.clone(), width, color })
        } else {
            Box::new(Nobody)
        }
    }

    /// Who is asked before a run begins: nobody with `--yes`.
    pub(super) fn asked(&self, yes: bool) -> Box<dyn Terminal> {
        if yes { Box::new(Nobody) } else { self.terminal() }
    }

    /// A recorder for a run.
    pub(super) fn recorder(&self, run: &str, last: u64, journal: Box<dyn Journal>) -> Recorder {
        let (clock, report) = (self.world.clock.clone(), self.report.clone());
        Recorder::new(run.to_owned(), last, clock, journal, report, self.redactor.clone())
    }
}

/// The person, with the report keeping still while they are asked.
struct Quiet {
    report: SharedReport,
    width: usize,
    color: bool,
}

impl Terminal for Quiet {
    fn ask(&self, question: &Question, valid: Validator) -> Result<String, NoAnswer> {
        let mut answer = Err(NoAnswer::Interrupted);
        self.report.borrow_mut().suspend(&mut || {
            out::block(&report::markdown(&question.help, self.width, self.color));
            answer = Person.ask(question, valid.clone());
        });
        answer
    }

    fn present(&self) -> bool {
        true
    }

    fn still(&self, still: bool) {
        self.report.borrow_mut().still(still);
    }
}

fn report(
    global: &Global,
    world: &World,
    redactor: &redact::Shared,
    until: Option<&str>,
) -> Box<dyn Report> {
    let options = report_options(global, world, until);
    let stderr = || Box::new(redactor.writer(std::io::stderr()));
    match output(global, world) {
        Output::Human => report::terminal(stderr(), options),
        Output::Plain => report::plain(stderr(), options),
        Output::Jsonl | Output::Json => report::jsonl(Box::new(out::data()), &options),
    }
}

/// How a report looks here.
pub(super) fn report_options(
    global: &Global,
    world: &World,
    until: Option<&str>,
) -> report::Options {
    report::Options {
        until: until.map(str::to_owned),
        verbose: global.verbose,
        color: world.color(),
        width: world.width(),
        screen: world.screen().filter(|_| output(global, world) == Output::Human),
        ..report::Options::default()
    }
}

/// The format asked for, or the one that fits: plain without a terminal.
pub(super) fn output(global: &Global, world: &World) -> Output {
    global.output.unwrap_or(if world.stderr_tty { Output::Human } else { Output::Plain })
}

/// Whether to walk forwards or to take back.
#[derive(Debug, Clone)]
pub(super) enum Direction {
    Forwards(Options),
    Backwards,
    /// Nothing is changed: only shown.
    Nowhere,
}

/// Walks until something stops it, and says how the process should end. Before it begins, it says
/// what led to it.
pub(super) fn walk(
    runbook: &Runbook,
    services: &Services,
    recorder: &Recorder,
    key: &Key,
    mut history: History,
    before: Vec<Event>,
    direction: &Direction,
) -> Exit {
    for event in &before {
        history.take(event);
    }
    recorder.recall(titles(runbook, &history));
    for event in before {
        let begins = matches!(event, Event::Started { .. });
        let at_ms = recorder.keep(event);
        if begins {
            history.started_ms = at_ms;
        }
    }
    let options = match direction {
        Direction::Forwards(options) => options.clone(),
        Direction::Backwards | Direction::Nowhere => Options::default(),
    };
    let engine = Engine::new(runbook, services, recorder, key, history, options);
    let work = async {
        match direction {
            Direction::Forwards(_) => engine.walk().await,
            Direction::Backwards => engine.take_back().await,
            Direction::Nowhere => engine.preview().await,
        }
    };
    let ended = block_on(async {
        let work = Box::pin(unless_interrupted(work));
        match beside(work, || runbook.programs.warm()).await {
            Some(outcome) => outcome,
            None => engine.end(Outcome::Interrupted).await.map(|()| Outcome::Interrupted),
        }
    });
    recorder.finish();
    match ended {
        Some(Ok(outcome)) => exit_of(outcome),
        Some(Err(Broken::Journal(error))) if !recorder.stored() => unstored(&error),
        Some(Err(broken)) => broken_exit(&broken),
        None => Exit::Failed,
    }
}

/// The journal did not even take that the run began: there is nothing to resume.
fn unstored(error: &JournalError) -> Exit {
    unwritten(error);
    out::hint("nothing was done, and nothing is kept of this run: run it again");
    Exit::Failed
}

fn unwritten(error: &JournalError) {
    out::error(&format!("the journal cannot be written: {}", error.message));
    out::hint(&error.hint);
}

/// The exit code of a walk's outcome.
fn exit_of(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Done | Outcome::Stopped | Outcome::Undone | Outcome::Planned => Exit::Done,
        Outcome::Failed => Exit::Failed,
        Outcome::Waiting => Exit::Waiting,
        Outcome::InDoubt => Exit::InDoubt,
        Outcome::Interrupted => Exit::Interrupted,
    }
}

pub(super) fn broken_exit(broken: &Broken) -> Exit {
    match broken {
        Broken::Journal(error) => {
            unwritten(error);
            out::hint(
                "nothing more was done; what is in the journal is safe, `runbook resume` goes on from there",
            );
        }
        Broken::History(message) => {
            out::error(message);
            out::hint("nothing more was done; `runbook log` shows what happened so far");
        }
        Broken::Sealed(message) => return state::unreadable(message),
    }
    Exit::Failed
}

/// Runs a future on this thread; none if it cannot be begun, which is said.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Option<T> {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(7)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            out::error(&format!("cannot start: {error}"));
            return None;
        }
    };
    let done = runtime.block_on(work);
    // a look-up of a name that nobody waits for any more would be waited for
    runtime.shutdown_background();
    Some(done)
}

/// So long something is waited for before the time is used.
const IDLE: Duration = Duration::from_millis(2);

/// What comes of some work. If it waits for a while first, something else is done meanwhile that
/// it needs sooner or later; a quick answer is not kept waiting.
async fn beside<T>(work: impl Future<Output = T>, other: impl FnOnce()) -> T {
    let meanwhile = async {
        tokio::time::sleep(IDLE).await;
        other();
        std::future::pending().await
    };
    tokio::select! {
        biased;
        done = work => done,
        never = meanwhile => never,
    }
}

/// What comes of some work; none if the person interrupted it.
pub(super) async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    let how = tokio::select! {
        // In this order: signals are caught before any work begins.
        biased;
        how = interrupted() => how,
        result = work => return Some(result),
    };
    how.programs().await;
    None
}

/// How a person interrupted this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    /// By Ctrl-C, of which all that runs in the foreground of the terminal knows.
    Keys,
    /// By a signal to this process.
    Signal,
}

impl Interruption {
    /// Gives the programs that run time to end, or until the person interrupts that too.
    pub(super) async fn programs(self) {
        let again = async {
            interrupted().await;
        };
        child::end::all(self == Self::Keys, again).await;
    }
}

/// Ctrl-C, a request to end, or a terminal that is gone. What is let go of from then on may end by itself.
pub(super) async fn interrupted() -> Interruption {
    let how = tokio::select! {
        _ = tokio::signal::ctrl_c() => Interruption::Keys,
        () = signalled(SignalKind::terminate()) => Interruption::Signal,
        () = hung_up() => Interruption::Signal,
    };
    child::end::comes();
    how
}

/// Comes with a signal; never, if that cannot be caught.
async fn signalled(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// The terminal is gone. Whoever had that ignored, as `nohup` does, wants the run to go on.
async fn hung_up() {
    let hangup = SignalKind::hangup();
    if ignored(hangup) == Some(false) {
        signalled(hangup).await;
    } else {
        std::future::pending::<()>().await;
    }
}

/// Whether a signal was to be ignored when the process began, where the system tells.
fn ignored(kind: SignalKind) -> Option<bool> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let signals = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let signals = u64::from_str_radix(signals.trim(), 16).ok()?;
    Some(signals >> (kind.as_raw_value() - 1) & 1 == 1)
}

/// A file that may not grow any more (`ulimit -f`) is an error of whoever writes it, and not the
/// death of the process: with a handler, even one that nobody asks, the system says so. What is
/// started has none.
pub(super) fn large_files() {
    let limit = rustix::process::Signal::XFSZ.as_raw();
    // without it the process ends there, as it would have
    let _ = signal_hook::flag::register(limit, std::sync::Arc::default());
}
