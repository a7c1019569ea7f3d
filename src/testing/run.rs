//! One case in this process: the fake served, the inputs settled, the engine walked.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::judge::{Difference, Seen, judge};
use super::{Case, Harm, Injected};
use crate::engine::{Broken, Engine, Options, Recorder};
use crate::fake::{Asked, Fake, Served, filled, serve};
use crate::journal::Memory;
use crate::journal::event::{Entry, Event, REHEARSAL, Stored};
use crate::journal::seal::Key;
use crate::jq::Val;
use crate::plan::History;
use crate::redact;
use crate::report::Report;
use crate::runbook::Runbook;
use crate::runbook::settle::{Given, Refused, Settled, settle};
use crate::step::{Services, Sight, rehearsed};
use crate::terminal::Nobody;
use crate::value::Json;
use crate::world::{Skipping, World};

/// What all cases of one runbook share.
pub struct Bench<'a> {
    /// The runbook.
    pub runbook: &'a Runbook,
    /// The fake of its service, with those of the services it uses beside it.
    pub fake: &'a Arc<Fake>,
    /// Clock and environment.
    pub world: &'a World,
}

impl Bench<'_> {
    /// Clock and environment of a case: the fake knows no time, so nothing is waited for.
    fn world(&self) -> World {
        let clock = Arc::new(Skipping::over(self.world.clock.clone()));
        World { clock, ..self.world.clone() }
    }
}

/// A fake being served for one case, with its folder.
pub(super) struct Stage {
    pub(super) served: Served,
    pub(super) folder: tempfile::TempDir,
    pub(super) inputs: serde_json::Map<String, Json>,
    /// The calls for which nobody listens.
    pub(super) refused: Rc<Met>,
    /// Those that the fake does something else to.
    faulty: Arc<Met>,
}

/// Runs a case; what came out otherwise than it must, or why it could not be run at all.
pub fn run(bench: &Bench<'_>, case: &Case) -> Result<Vec<Difference>, String> {
    let stage = stage(bench, case)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let (mut seen, mut resumed) = (Seen::default(), 0);
    for _ in 0..case.runs {
        seen = runtime.block_on(one(bench, case, &stage, None))?;
        resumed = resumed.max(seen.resumed);
    }
    seen.requests = stage.served.asked();
    seen.state = stage.served.state();
    // as in `inputs`
    let folder = stage.folder.path().display().to_string();
    let place =
        |path: &str| rehearsed(stage.folder.path(), &path.replace("$DIR", &folder), bench.world);
    let idle = [&*stage.faulty, &*stage.refused].into_iter().flat_map(Met::idle);
    let idle = idle.chain(not_resumed(case.resumes, resumed));
    Ok(judge(&case.expect, &seen, &place).into_iter().chain(idle).collect())
}

/// What a case says of resuming and did not come to: it shows less than it says.
fn not_resumed(wanted: u64, resumed: u64) -> Option<Difference> {
    let got = format!("{resumed}, then the run was done");
    let what = "resumes".to_owned();
    (resumed < wanted).then(|| Difference { what, wanted: wanted.to_string(), got })
}

/// Serves the fake in the case's state, with its faults.
pub(super) fn stage(bench: &Bench<'_>, case: &Case) -> Result<Stage, String> {
    let folder = tempfile::Builder::new().prefix("runbook-test-").tempdir();
    let folder = folder.map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let fake = bench.fake;
    let state =
        fake.state(&case.state).map_err(|name| format!("the fake has no state `{name}`"))?;
    let path = folder.path().display().to_string();
    let template = fake.inputs("$URL", &path);
    let served = serve(Arc::clone(fake), &state, 0).map_err(|error| error.to_string())?;
    let url = served.url();
    let known = |name: &String| bench.runbook.inputs.iter().any(|input| input.name == *name);
    let inputs = template
        .into_iter()
        .filter(|(name, _)| known(name))
        .map(|(name, value)| (name, filled(&value, &url, &path)));
    let inputs = inputs.collect();
    let faulty = Arc::new(Met::new(case, |harm| matches!(harm, Harm::Server(_))));
    let met = Arc::clone(&faulty);
    served.set_faults(Box::new(move |_, method, target| match met.meets(method, target) {
        Some(Harm::Server(fault)) => Some(fault),
        _ => None,
    }));
    let refused = Rc::new(Met::new(case, |harm| *harm == Harm::Refused));
    Ok(Stage { served, folder, inputs, refused, faulty })
}

/// A case's faults of one sort, each with how many requests it has been asked about.
pub(super) struct Met(Mutex<Vec<(Injected, u64)>>);

impl Met {
    fn new(case: &Case, sort: impl Fn(&Harm) -> bool) -> Self {
        let faults = case.faults.iter().filter(|fault| sort(&fault.harm));
        Self(Mutex::new(faults.map(|fault| (fault.clone(), 0)).collect()))
    }

    /// What is done to a request. Every fault that it fits counts it.
    fn meets(&self, method: &str, target: &str) -> Option<Harm> {
        let request = format!("{method} {target}");
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = None;
        for (fault, met) in faults.iter_mut().filter(|(fault, _)| request.starts_with(&fault.on)) {
            *met += 1;
            let last = fault.nth.saturating_add(fault.times);
            if (fault.nth..last).contains(met) {
                done = done.or(Some(fault.harm));
            }
        }
        done
    }

    /// The faults that never happened: what they were to show is not shown.
    fn idle(&self) -> Vec<Difference> {
        let faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = faults.iter().filter(|(fault, met)| *met < fault.nth && fault.times > 0);
        let told = |(fault, met): &(Injected, u64)| {
            let on = if fault.on.is_empty() { "" } else { &format!(" of `{}`", fault.on) };
            let wanted = format!("a fault at request {}{on}", fault.nth);
            let got = format!("none, such requests: {met}");
            Difference { what: "faults".to_owned(), wanted, got }
        };
        idle.map(told).collect()
    }
}

/// The case's inputs in the order of precedence.
pub(super) fn given(case: &Case, stage: &Stage) -> Given {
    let url = stage.served.url();
    let folder = stage.folder.path().display().to_string();
    let fill = |(name, value): (&String, &Json)| (name.clone(), filled(value, &url, &folder));
    Given {
        files: vec![("the case".to_owned(), case.inputs.iter().map(fill).collect())],
        preset: case.preset.clone(),
        fake: Some(stage.inputs.clone()),
        ..Given::default()
    }
}

#[derive(Default)]
struct Collect(Rc<RefCell<Vec<Entry>>>);

impl Report for Collect {
    fn event(&mut self, entry: &Entry) {
        self.0.borrow_mut().push(entry.clone());
    }
}

/// Runs a case for what its steps get to read, each by the step's id: nothing if it cannot be
/// run. None if it is not at its end in time.
pub fn answers(
    bench: &Bench<'_>,
    case: &Case,
    limit: Duration,
) -> Option<Vec<(String, Sight, Val)>> {
    let Ok(stage) = stage(bench, case) else { return Some(Vec::new()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let answers: Rc<RefCell<Vec<(String, Sight, Val)>>> = Rc::default();
    let kept = Rc::clone(&answers);
    let seen = move |step: &str, sight: Sight, value: &Val| {
        kept.borrow_mut().push((step.to_owned(), sight, value.clone()));
    };
    let walk = one(bench, case, &stage, Some(Box::new(seen)));
    runtime.block_on(async { tokio::time::timeout(limit, walk).await.ok() })?.ok();
    Some(answers.take())
}

async fn one(
    bench: &Bench<'_>,
    case: &Case,
    stage: &Stage,
    answers: Option<crate::step::Seen>,
) -> Result<Seen, String> {
    let world = bench.world();
    let clock = world.clock.clone();
    let settled = match settle(bench.runbook, &given(case, stage), &world, &Nobody) {
        Ok(settled) => settled,
        Err(refused) => return Ok(Seen::refused(&words(&refused))),
    };
    let redactor = redact::Shared::default();
    let mut services = Services::new(world, Box::new(Nobody), redactor.clone());
    services.yes = true;
    services.answers = case.answers.iter().cloned().collect();
    services.rehearse(Some(stage.folder.path().to_path_buf()), Some(stage.served.url()));
    services.seen = answers;
    let refused = Rc::clone(&stage.refused);
    services.refuses = Some(Box::new(move |method, url| {
        refused.meets(method, &url[url::Position::BeforePath..]).is_some()
    }));
    let key = Key::random().map_err(|error| error.to_string())?;
    let entries = Rc::new(RefCell::new(Vec::new()));
    let (mut outcome, mut resumed) = (None, 0);
    for walk in 0..=case.resumes {
        let done = entries
            .borrow()
            .iter()
            .filter(|entry: &&Entry| entry.seq > 0)
            .cloned()
            .collect::<Vec<_>>();
        let history = History::fold(&done);
        let report: Box<dyn Report> = Box::new(Collect(Rc::clone(&entries)));
        let recorder = Recorder::new(
            REHEARSAL.to_owned(),
            history.last_seq,
            clock.clone(),
            Box::new(Memory),
            Rc::new(RefCell::new(report)),
            redactor.clone(),
        );
        let history =
            if walk == 0 { begin(bench.runbook, &settled, &key, &recorder)? } else { history };
        let options = Options { adopt: case.adopt, ..Options::default() };
        let engine = Engine::new(bench.runbook, &services, &recorder, &key, history, options);
        let ended = engine.walk().await.map_err(|broken| match broken {
            Broken::Journal(error) => error.message,
            Broken::History(message) | Broken::Sealed(message) => message,
        })?;
        (outcome, resumed) = (Some(ended), walk);
        if ended == crate::journal::event::Outcome::Done {
            break;
        }
    }
    let entries = entries.take();
    let mut seen = Seen::from_events(outcome, &entries);
    seen.resumed = resumed;
    Ok(seen)
}

fn words(refused: &Refused) -> Vec<String> {
    match refused {
        Refused::Wrong(messages) => messages.clone(),
        Refused::Missing(missing) => {
            missing.iter().map(|one| format!("missing {}", one.name)).collect()
        }
        Refused::Interrupted => vec!["interrupted".to_owned()],
    }
}

fn begin(
    runbook: &Runbook,
    settled: &[Settled],
    key: &Key,
    recorder: &Recorder,
) -> Result<History, String> {
    let stored = |one: &Settled| {
        let value = if one.value.secret {
            let label = recorder.label("input", &one.name);
            Stored::Sealed(key.seal(&label, &one.value.json).map_err(|error| error.to_string())?)
        } else {
            Stored::Plain(one.value.json.clone())
        };
        Ok((one.name.clone(), value))
    };
    let event = Event::Started {
        runbook: runbook.name.clone(),
        title: runbook.title.clone(),
        path: runbook.source.path.to_string(),
        folder: String::new(),
        text: runbook.digest().to_owned(),
        uses: std::collections::BTreeMap::new(),
        runbooks: Vec::new(),
        steps: runbook.step_refs(),
        inputs: settled.iter().map(stored).collect::<Result<_, String>>()?,
        given: Vec::new(),
        rehearsal: true,
        batch: None,
    };
    let mut history = History::default();
    history.take(&event);
    recorder.keep(event);
    Ok(history)
}

/// A request as a case writes it: method and path without the query.
pub(super) fn request(asked: &Asked) -> String {
    let path = asked.target.split('?').next().unwrap_or("");
    format!("{} {path}", asked.method)
}
