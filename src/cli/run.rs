//! `run`: settles the inputs, then walks a new run.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::inputs::{self, Flags, Said};
use super::session::{Direction, Session, walk};
use super::{Global, load, many, out, state, trust};
use crate::engine::Options;
use crate::engine::foresee::foresee;
use crate::exit::Exit;
use crate::journal::event::{Entry, Event, Stored, UsedRef};
use crate::journal::seal::Key;
use crate::journal::store::{self, Holder, LockError, Store, StoreError};
use crate::journal::{Appended, Journal, JournalError};
use crate::plan::History;
use crate::runbook::settle::Settled;
use crate::runbook::{Runbook, Used, digest};
use crate::scope::Scope;
use crate::step::Services;
use crate::step::plugin::PREFIX;
use crate::world::World;

/// Names the folder below which a rehearsal that is a run of its own, as in `test --crash`, writes
/// its files.
pub(super) const FOLDER: &str = "RUNBOOK_REHEARSAL_DIR";

/// Names the address of the fake of such a rehearsal.
const FAKE: &str = "RUNBOOK_REHEARSAL_FAKE";

/// The services of a run that writes state, or of a rehearsal that does.
pub(super) fn services(
    session: &Session,
    yes: bool,
    walk: &WalkFlags,
    rehearsal: bool,
) -> Services {
    let mut services = session.services();
    services.yes = yes;
    services.answers = walk.answers();
    if rehearsal {
        let named = |name| session.world.var(name);
        services.rehearse(named(FOLDER).map(PathBuf::from), named(FAKE).map(str::to_owned));
    }
    services
}

/// Run a runbook
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The runbook's name, or the path of its file
    #[arg(add = super::completions::runbook())]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) flags: Flags,
    #[command(flatten)]
    pub(super) walk: WalkFlags,
    /// Show where each input's value comes from, and stop
    #[arg(long)]
    explain: bool,
    /// Run once for each line of a file: a JSON object of inputs, before those of `--inputs`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["explain", "step"])]
    each: Option<PathBuf>,
    /// With `--each`: how many of the runs at once, at most 200
    #[arg(long, value_name = "N", default_value_t = 16, requires = "each")]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=200))]
    pub(super) at_once: usize,
    /// The service is a fake: what `test --crash` runs
    #[arg(long, hide = true)]
    rehearsal: bool,
}

/// What `run` and `resume` both understand.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct WalkFlags {
    /// Use what is there already, exactly as wanted, without asking
    #[arg(long)]
    pub(super) adopt: bool,
    /// Ask before every step that changes something; there must be a terminal
    #[arg(long, conflicts_with = "yes")]
    pub(super) step: bool,
    /// Stop before this step; `resume` goes on, and to the end unless it says where to stop too
    ///
    /// It may be inside a used runbook: `OUTER/STEP`. Where the run fails before it, what is `always`
    /// done then is done all the same, wherever it stands.
    #[arg(long, value_name = "STEP", add = super::completions::step())]
    pub(super) until: Option<String>,
    /// Answer a prompt beforehand
    ///
    /// Without `=VALUE` a secret is asked for unseen, or read as a line of standard input.
    #[arg(long = "answer", value_name = "STEP=VALUE", value_parser = inputs::said)]
    #[arg(add = super::completions::answer())]
    pub(super) said: Vec<Said>,
    /// The same with all values, once they are known.
    #[arg(skip)]
    answers: OnceCell<Vec<(String, String)>>,
}

impl WalkFlags {
    pub(super) fn options(&self) -> Options {
        Options { adopt: self.adopt, until: self.until.clone(), step: self.step }
    }

    /// The answers by step; none before they were checked.
    pub(super) fn answers(&self) -> HashMap<String, String> {
        self.answers.get().into_iter().flatten().cloned().collect()
    }

    /// Refuses the name of a step that is not there, an answer that its step would not take, and to
    /// ask where nobody is.
    pub(super) fn check(&self, runbook: &Runbook, world: &World) -> Result<(), Exit> {
        if self.step && !world.person() {
            out::error(
                "`--step` asks before every step that changes something, and nobody is there",
            );
            out::hint(world.crude().as_deref().unwrap_or("use it in a terminal; nothing was run"));
            return Err(Exit::Usage);
        }
        self.until.iter().try_for_each(|step| known(runbook, step).and_then(|()| whole(step)))?;
        self.said.iter().try_for_each(|(step, _)| known(runbook, step))?;
        let answers = inputs::whole("answer", &self.said, world)?;
        answers.iter().try_for_each(|(step, answer)| {
            let takes = runbook.performed(step).and_then(|(_, step)| step.action.takes(answer));
            let wrong = match takes {
                Some(Ok(())) => return Ok(()),
                Some(Err(wrong)) => format!("the answer given for `{step}` {wrong}"),
                None => format!("the step `{step}` asks nothing: it takes no answer"),
            };
            out::error(&wrong);
            Err(Exit::Usage)
        })?;
        // a second look, of a run that is taken up by another command, finds the same
        let _ = self.answers.set(answers);
        inputs::warn_said("answer", &self.said, |step| {
            runbook.performed(step).is_some_and(|(_, step)| step.action.secret())
        });
        Ok(())
    }
}

/// Refuses one item, or one performance of a step that was done again: what is not begun has no such
/// name yet, and nothing stops in the middle of a step.
fn whole(step: &str) -> Result<(), Exit> {
    let Some(at) = step.find(['[', '@']) else { return Ok(()) };
    out::error(&format!("`--until` stops before a step, and `{step}` is only a part of one"));
    out::hint(&format!("`--until {}` stops before all of it; nothing was run", &step[..at]));
    Err(Exit::Usage)
}

/// Refuses the name of a step that is not there.
pub(super) fn known(runbook: &Runbook, step: &str) -> Result<(), Exit> {
    if runbook.performed(step).is_some() {
        return Ok(());
    }
    out::error(&format!("`{}` has no step `{step}`", runbook.name));
    let ids: Vec<&str> = runbook.steps.iter().map(|step| step.id.as_str()).collect();
    match crate::diag::closest(step, ids.iter().copied()) {
        Some(near) => out::hint(&format!("did you mean `{near}`?")),
        None => out::hint(&format!("its steps: {}", crate::reader::list(&ids))),
    }
    Err(Exit::Usage)
}

pub(super) fn run(args: &Args, global: &Global, world: World) -> Exit {
    done(match &args.each {
        Some(file) => many::run(args, file, global, world),
        None => start(args, global, world),
    })
}

/// The one exit code, however it was reached.
pub(super) fn done(result: Result<Exit, Exit>) -> Exit {
    result.unwrap_or_else(|exit| exit)
}

fn start(args: &Args, global: &Global, world: World) -> Result<Exit, Exit> {
    let runbook = load::load_trusting(&args.name, &world, args.flags.trust)?;
    args.walk.check(&runbook, &world)?;
    let session = Session::new(global, world, args.walk.until.as_deref());
    let mut given = args.flags.given(&runbook, &session.world)?;
    if !args.explain {
        trust::require(
            &runbook,
            trust::Use::Run,
            args.flags.trust,
            Some(&given),
            &session.world,
            &*session.asked(args.flags.yes),
        )?;
    }
    // a rehearsal takes nothing from the person's own environment and files
    given.fake = args.rehearsal.then(serde_json::Map::new);
    if args.explain {
        inputs::explain(&runbook, &given, &session.world)?;
        return Ok(Exit::Done);
    }
    let settled =
        inputs::settled(&runbook, &given, &session.world, &*session.asked(args.flags.yes))?;
    let known = scope(&settled);
    load::vars(&runbook, &known, &session.world)?;
    let services = services(&session, args.flags.yes, &args.walk, args.rehearsal);
    let until = args.walk.until.as_deref();
    inputs::refuse_foreseen(&foresee(&runbook, &known, until, &services))?;
    let mut store = state::store(&session.world)?;
    let run = store.new_run_id().map_err(|error| state::refused(&error))?;
    let _lock = lock(&session.world, &run, &holder(&session.world))?;
    // after the lock: while that is held no key that it may seal with is taken out
    let key = state::key(&session.world)?;
    let journal = Box::new(Kept { store, texts: texts(&runbook) });
    let recorder = session.recorder(&run, 0, journal);
    let started = started(&runbook, &settled, &run, &key, args.rehearsal, &session.world)?;
    let exit = walk(
        &runbook,
        &services,
        &recorder,
        &key,
        History::default(),
        vec![started],
        &Direction::Forwards(args.walk.options()),
    );
    // the process ends: to take a whole definition apart first is time for nothing
    std::mem::forget(runbook);
    Ok(exit)
}

/// Settled inputs as names.
pub(super) fn scope(settled: &[Settled]) -> Scope {
    let scope = Scope::default();
    for one in settled {
        scope.set(&one.name, one.value.clone());
    }
    scope
}

/// The event a run begins with.
pub(super) fn started(
    runbook: &Runbook,
    settled: &[Settled],
    run: &str,
    key: &Key,
    rehearsal: bool,
    world: &World,
) -> Result<Event, Exit> {
    let mut stored = BTreeMap::new();
    for one in settled {
        let value = if one.value.secret {
            let label = format!("{run}/input/{}", one.name);
            Stored::Sealed(key.seal(&label, &one.value.json).map_err(|error| {
                out::error(&error.to_string());
                Exit::Failed
            })?)
        } else {
            Stored::Plain(one.value.json.clone())
        };
        stored.insert(one.name.clone(), value);
    }
    Ok(Event::Started {
        runbook: runbook.name.clone(),
        title: runbook.title.clone(),
        path: runbook.source.path.to_string(),
        folder: world.cwd.to_str().unwrap_or_default().to_owned(),
        text: runbook.digest().to_owned(),
        uses: uses(runbook),
        runbooks: used(runbook),
        steps: runbook.step_refs(),
        inputs: stored,
        given: instead_of_sources(runbook, settled),
        rehearsal,
        batch: None,
    })
}

/// The secret inputs that were given although they have sources of their own.
fn instead_of_sources(runbook: &Runbook, settled: &[Settled]) -> Vec<String> {
    let has_sources = |name: &str| {
        runbook.inputs.iter().any(|input| input.name == name && !input.from.is_empty())
    };
    let given = settled.iter().filter(|one| one.given && one.value.secret);
    given.map(|one| one.name.clone()).filter(|name| has_sources(name)).collect()
}

/// What the plug-ins of a definition say of themselves, by name, as digests.
pub(super) fn uses(runbook: &Runbook) -> BTreeMap<String, String> {
    let kinds = runbook.plugins.iter().map(|plugin| (kind(&plugin.name), digest(&plugin.kept())));
    kinds.collect()
}

/// The runbooks a definition uses.
pub(super) fn used(runbook: &Runbook) -> Vec<UsedRef> {
    let used = |used: &Used| UsedRef {
        from: used.from.to_string(),
        name: used.name.clone(),
        path: used.source.path.to_string(),
        text: digest(&used.source.text),
    };
    runbook.used.iter().map(used).collect()
}

/// What a plug-in's description is called among what a definition uses; no runbook is called so.
pub(super) fn kind(name: &str) -> String {
    format!("{PREFIX}{name} --describe")
}

/// The texts a definition is made of, each with its digest.
pub(super) fn texts(runbook: &Runbook) -> Vec<(String, Arc<str>)> {
    let own = (runbook.digest().to_owned(), Arc::clone(&runbook.source.text));
    let used = runbook.used.iter().map(|used| Arc::clone(&used.source.text));
    let kinds = runbook.plugins.iter().map(|plugin| Arc::from(plugin.kept()));
    let others = used.chain(kinds).map(|text: Arc<str>| (digest(&text), text));
    std::iter::once(own).chain(others).collect()
}

/// This process, from now on.
pub(super) fn holder(world: &World) -> Holder {
    Holder::here(world.clock.now_ms())
}

/// Takes the one hand a run may be in.
pub(super) fn lock(world: &World, run: &str, holder: &Holder) -> Result<store::RunLock, Exit> {
    store::lock(&world.state_dir(), run, holder).map_err(|error| held(run, &error))
}

/// Says who holds a run.
pub(super) fn held(run: &str, error: &LockError) -> Exit {
    match error {
        LockError::Held { since_ms, .. } => {
            out::error(&format!("run `{run}`: {error}, since {}", since(*since_ms)));
            out::hint("wait until it ends; what it does is not done twice");
            Exit::Failed
        }
        LockError::Failed(error) => state::refused(error),
    }
}

fn since(ms: i64) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(ms) else { return "an unknown time".to_owned() };
    at.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%F %T").to_string()
}

/// The journal on disk; the definition's texts go with the first entries.
pub(super) struct Kept {
    pub(super) store: Store,
    pub(super) texts: Vec<(String, Arc<str>)>,
}

impl Journal for Kept {
    fn append(&mut self, entries: Vec<Entry>, sync: bool) -> Appended {
        Appended::Now(self.write(&entries, sync).map_err(JournalError::from))
    }
}

impl Kept {
    fn write(&mut self, entries: &[Entry], sync: bool) -> Result<(), StoreError> {
        let text = self.texts.iter().map(|(digest, text)| (digest.as_str(), &**text));
        if sync {
            self.store.append_with_text(entries, text)?;
        } else {
            self.store.append_unsynced(entries, text)?;
        }
        self.texts.clear();
        Ok(())
    }
}
