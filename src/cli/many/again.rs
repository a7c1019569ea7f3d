//! `resume --each RUN`: all that one `run --each` began and that is not done, many at once.
//!
//! What belongs together was written down when it began. Each is resumed as it would be by itself.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::super::resume::{
    Taken, definition, edited, inputs, over, refused, resumed, say_renewed, take,
};
use super::super::run::{WalkFlags, held, holder};
use super::super::session::Session;
use super::super::{Global, load, out, state};
use super::{Begun, Crowd, Tally, report, services, shared};
use crate::exit::Exit;
use crate::journal::event::{Entry, Outcome, Stored, StoredMap};
use crate::journal::seal::Key;
use crate::journal::store::{self, RunFilter, RunLock, RunSummary, Store, StoreError};
use crate::plan::History;
use crate::printable::{self, flag};
use crate::redact;
use crate::runbook::Runbook;
use crate::runbook::settle::renewed;
use crate::value::text;
use crate::world::World;

/// What is said on the command line.
pub(in super::super) struct Wanted<'a> {
    /// One of the runs.
    pub(in super::super) run: &'a str,
    pub(in super::super) walk: &'a WalkFlags,
    pub(in super::super) yes: bool,
    pub(in super::super) at_once: usize,
}

pub(in super::super) fn resume(
    wanted: &Wanted<'_>,
    store: Store,
    global: &Global,
    world: World,
) -> Result<Exit, Exit> {
    let until = wanted.walk.until.as_deref();
    let tally = Tally::default();
    let (runs, locks) = in_hand(together(&store, wanted.run, until)?, &world, &tally)?;
    let Some(first) = runs.first() else {
        if tally.exit() == Exit::Done {
            let run = wanted.run;
            out::say(&format!("nothing is left to do: all that began with `{run}` is over"));
        }
        return Ok(tally.exit());
    };
    let Taken { store, history, key, world, .. } = take(store, first, world)?;
    let runbook = definition(&store, &history, first, &world)?;
    edited(&history, first, until, &world);
    wanted.walk.check(&runbook, &world)?;
    let session = Session::new(global, world, until);
    let world = &session.world;
    let again = Again { runbook: &runbook, first: &history, key: &key, world };
    let begun = again.all(&store, &runs, until, &tally)?;
    let services = services(&session, wanted.yes, wanted.walk);
    let places = apart(&store, &begun)?;
    let report = report(global, world, (places, true), &session.redactor, until);
    let (options, journal) = (wanted.walk.options(), shared(store)?);
    let (services, key, runbook) = (&services, &key, &runbook);
    let crowd = Crowd { runbook, world, services, key, options, journal: &journal, report };
    let ended = crowd.all(begun, wanted.at_once, &tally);
    journal.close();
    drop(locks);
    ended
}

/// The runs that began with this one and are not over, oldest first.
fn together(store: &Store, run: &str, until: Option<&str>) -> Result<Vec<String>, Exit> {
    let unread = |error| state::refused(&error);
    let all = store.runs(&RunFilter::default()).map_err(unread)?;
    let Some(one) = all.iter().find(|known| known.run == run) else { return Ok(Vec::new()) };
    let open: Vec<&RunSummary> = all.iter().rev().filter(|other| !state::over(other)).collect();
    let Some(with) = store.begun_with(one, &open).map_err(unread)? else {
        out::error(&format!(
            "run `{run}` was not begun by `run --each`, or before that was written down"
        ));
        out::hint(&format!("`runbook resume {run}{}` goes on with it", flag("until", until)));
        return Err(Exit::Usage);
    };
    Ok(with.into_iter().map(|other| other.run.clone()).collect())
}

/// Columns for a value that tells a run from the others.
const VALUE: usize = 40;

/// What tells each run from the others: of its inputs the one that has the most values in all of
/// them. One that is left alone is told from another that began with it.
fn apart(store: &Store, begun: &[Begun]) -> Result<BTreeMap<String, String>, Exit> {
    let mut all: Vec<StoredMap> = begun.iter().map(|one| one.history.inputs.clone()).collect();
    if let [one] = begun
        && let Some(other) = another(store, &one.run).map_err(|error| state::refused(&error))?
    {
        all.push(History::fold(&other).inputs);
    }
    let plain = |value: Option<&Stored>| match value {
        Some(Stored::Plain(json)) => Some(text(json)),
        _ => None,
    };
    let names = all.iter().flat_map(StoredMap::keys).collect::<BTreeSet<_>>();
    let differs = |name: &&String| {
        let values = || all.iter().map(|inputs| plain(inputs.get(*name)));
        let first = values().next().flatten();
        values().all(|value| value.is_some()) && values().any(|value| value != first)
    };
    let number = |name: &&String| {
        let values = all.iter().map(|inputs| plain(inputs.get(*name)));
        (values.collect::<BTreeSet<_>>().len(), Reverse((*name).clone()))
    };
    let name = names.into_iter().filter(differs).max_by_key(number);
    let place = |one: &Begun| {
        let value = plain(one.history.inputs.get(name?))?;
        let mut short: String = value.chars().take(VALUE).collect();
        if short.len() < value.len() {
            short.push('…');
        }
        Some(format!("{}={}", name?, printable::line(&short)))
    };
    Ok(begun.iter().map(|one| (one.run.clone(), place(one).unwrap_or_default())).collect())
}

/// The events of another run that one `run --each` began together with this one.
fn another(store: &Store, run: &str) -> Result<Option<Vec<Entry>>, StoreError> {
    let runs = store.runs(&RunFilter::default())?;
    let Some(own) = runs.iter().find(|known| known.run == run) else { return Ok(None) };
    let others: Vec<&RunSummary> = runs.iter().filter(|other| other.run != run).collect();
    let with = store.begun_with(own, &others)?.unwrap_or_default();
    with.first().map(|other| store.entries(&other.run)).transpose()
}

/// Takes each of the runs that no other process is at work on.
fn in_hand(
    runs: Vec<String>,
    world: &World,
    tally: &Tally,
) -> Result<(Vec<String>, Vec<RunLock>), Exit> {
    let (mut mine, mut locks) = (Vec::new(), Vec::new());
    let me = holder(world);
    for run in runs {
        match store::lock(&world.state_dir(), &run, &me) {
            Ok(lock) => {
                mine.push(run);
                locks.push(lock);
            }
            Err(error @ store::LockError::Held { .. }) => {
                held(&run, &error);
                tally.count(Outcome::Failed);
            }
            Err(error) => return Err(held(&run, &error)),
        }
    }
    Ok((mine, locks))
}

/// What all of them share.
struct Again<'a> {
    runbook: &'a Runbook,
    /// The first of them: whose definition is another one goes on by itself.
    first: &'a History,
    key: &'a Key,
    world: &'a World,
}

impl Again<'_> {
    /// Each as it stands now that no other process changes it.
    fn all(
        &self,
        store: &Store,
        runs: &[String],
        until: Option<&str>,
        tally: &Tally,
    ) -> Result<Vec<Begun>, Exit> {
        let (mut all, mut told) = (Vec::new(), BTreeSet::new());
        for run in runs {
            let entries = store.entries(run).map_err(|error| state::refused(&error))?;
            let history = History::fold(&entries);
            if history.outcome == Some(Outcome::Done) {
                continue;
            }
            if over(run, &history, false, self.world).is_some() {
                tally.count(Outcome::Failed);
            } else if self.fits(&history) {
                all.push(self.one(run, entries, history, &mut told)?);
            } else {
                let until = flag("until", until);
                out::error(&format!("run `{run}` goes on with another text than the others"));
                out::hint(&format!("`runbook resume {run}{until}` goes on with it by itself"));
                tally.count(Outcome::Failed);
            }
        }
        Ok(all)
    }

    /// Whether it goes on as the first one does: by the same definition, in the same folder.
    fn fits(&self, other: &History) -> bool {
        let first = self.first;
        (&first.text, &first.uses, &first.runbooks) == (&other.text, &other.uses, &other.runbooks)
            && (&first.folder, first.rehearsal) == (&other.folder, other.rehearsal)
    }

    /// As `resume` takes up one. What is renewed is said once for all.
    fn one(
        &self,
        run: &str,
        past: Vec<Entry>,
        history: History,
        told: &mut BTreeSet<String>,
    ) -> Result<Begun, Exit> {
        let given = inputs(&history, run, self.key)?;
        let refused = refused(&history, run, self.key)?;
        let instead: Vec<String> = history.given.keys().cloned().collect();
        let added = renewed(self.runbook, &given, &refused, &instead, self.world);
        for (name, value) in &added {
            if told.insert(name.clone()) {
                say_renewed(name);
            }
            given.set(name, value.clone());
        }
        if !added.is_empty() {
            load::vars(self.runbook, &given, self.world)?;
        }
        let before = vec![resumed(false, self.runbook, run, self.key, added)?];
        let redactor = redact::Shared::default();
        let (run, seq) = (run.to_owned(), history.last_seq);
        Ok(Begun { run, seq, history, past, before, redactor })
    }
}
