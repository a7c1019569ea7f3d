//! Reading: the events of one run, and the list of all runs.

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::Value;

use super::head::{self, Head};
use super::lock::Hands;
use super::{Store, StoreError, kind};
use crate::journal::event::{Batch, Entry, Event, Outcome};

/// A run as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Its name.
    pub run: String,
    /// The runbook's name.
    pub runbook: String,
    /// The runbook's title.
    pub title: String,
    /// Whether it talked to a fake.
    pub rehearsal: bool,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_ms: i64,
    /// When its last walk ended; `None` while one is under way, or when its process died.
    pub ended_ms: Option<i64>,
    /// How its last walk ended: interrupted, too, if its process died; `None` while one is under way.
    pub outcome: Option<Outcome>,
    /// The step of its last event that has one.
    pub last_step: Option<String>,
    /// When its last event was.
    pub last_ms: i64,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// A walk is under way.
    Running,
    /// Its last walk ended so, or by the death of its process: that counts as interrupted.
    Ended(Outcome),
}

/// Which runs to list. The default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this runbook.
    pub runbook: Option<String>,
    /// In this state.
    pub state: Option<RunState>,
    /// Begun at this time or later, in milliseconds since the Unix epoch.
    pub since_ms: Option<i64>,
    /// No more than so many, the newest.
    pub limit: Option<usize>,
}

impl Store {
    /// The runs that fit, newest first: in the order in which they were begun, whatever
    /// the clock said.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        let mut found = self.read(|db| {
            let found = list(db, filter)?;
            if found.is_empty() {
                check_empty(db)?;
            }
            Ok(found)
        })?;
        self.tell_dead(&mut found)?;
        if let Some(state) = filter.state {
            found.retain(|row| row.summary.outcome == state.outcome());
        }
        found.truncate(filter.limit.unwrap_or(usize::MAX));
        Ok(found.into_iter().map(|row| row.summary).collect())
    }

    /// One run, by exactly this name, or [`StoreError::UnknownRun`].
    pub fn run(&self, run: &str) -> Result<RunSummary, StoreError> {
        let unknown = || StoreError::UnknownRun { run: run.to_owned() };
        let mut found = [self.read(|db| Head::load_certain(db, run)?.ok_or_else(unknown))?];
        self.tell_dead(&mut found)?;
        let [row] = found;
        Ok(row.summary)
    }

    /// Tells runs whose process died from those under way: nobody holds them. One may have ended
    /// since its row was read, so that is read again.
    fn tell_dead(&self, found: &mut [Head]) -> Result<(), StoreError> {
        let hands = Hands::of(&self.dir);
        for row in found.iter_mut().filter(|row| row.summary.outcome.is_none()) {
            // where that cannot be seen, nothing is said of a death
            let held = |run: &str| hands.hold(run).unwrap_or(true);
            if held(&row.summary.run) {
                continue;
            }
            if let Some(now) = self.read(|db| Head::load_no(db, row.no))? {
                *row = now;
            }
            // … or have been taken up again
            if row.summary.outcome.is_none() && !held(&row.summary.run) {
                row.summary.outcome = Some(Outcome::Interrupted);
            }
        }
        Ok(())
    }

    /// Those of these runs that one `run --each` began together with this one, which may be among
    /// them; `None` if it was begun by itself.
    pub fn begun_with<'a>(
        &self,
        one: &RunSummary,
        among: &[&'a RunSummary],
    ) -> Result<Option<Vec<&'a RunSummary>>, StoreError> {
        let Some(batch) = self.batch(&one.run)? else { return Ok(None) };
        // all of a batch begin in one moment: of most others the first event need not be read
        let moment = |run: &RunSummary| (run.started_ms, run.runbook == one.runbook);
        let mut with = Vec::new();
        for other in among.iter().filter(|other| moment(other) == (one.started_ms, true)) {
            if self.batch(&other.run)?.as_ref() == Some(&batch) {
                with.push(*other);
            }
        }
        Ok(Some(with))
    }

    /// What a run began together with, as its first event says.
    fn batch(&self, run: &str) -> Result<Option<Batch>, StoreError> {
        match self.read(|db| first(db, run))?.event {
            Event::Started { batch, .. } => Ok(batch),
            _ => Err(changed(run, 1)),
        }
    }

    /// Milliseconds in which nobody was at work on a run, between one walk and the next.
    pub fn idle_ms(&self, run: &str) -> Result<i64, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT coalesce(sum(max(next.at_ms - last.at_ms, 0)), 0)
                 FROM runs JOIN events next ON next.run = runs.no AND next.kind = 'resumed'
                 JOIN events last ON last.run = next.run AND last.seq = next.seq - 1
                 WHERE runs.run = ?1",
            )?;
            Ok(query.query_row([run], |row| row.get(0))?)
        })
    }

    /// Whether there is a run of exactly this name, or [`StoreError::UnknownRun`]. The beginning
    /// of a name is none: with `r1` gone, `r1` must never mean `r10`.
    pub fn known(&self, run: &str) -> Result<(), StoreError> {
        self.read(|db| known(db, run))
    }
}

impl RunState {
    fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Running => None,
            Self::Ended(outcome) => Some(outcome),
        }
    }
}

/// The rows that fit, and perhaps some more: whether one with no end is under way is not known yet.
fn list(db: &Connection, filter: &RunFilter) -> Result<Vec<Head>, StoreError> {
    // `no` is the key, so the newest are read first and a limit ends the search; without
    // one, a walk over every row is still faster than an index more at each append
    let sql = format!(
        "SELECT {} FROM runs WHERE (?1 IS NULL OR runbook = ?1)
         AND (?2 IS NULL OR outcome = ?2 OR (?5 AND outcome IS NULL))
         AND (?3 IS NULL OR started_ms >= ?3)
         ORDER BY no DESC LIMIT ?4",
        head::COLUMNS
    );
    let state = filter.state.map(|state| state.outcome().map_or("running", Outcome::word));
    let open =
        matches!(filter.state.map(RunState::outcome), Some(None | Some(Outcome::Interrupted)));
    // what is not certain yet must not use up the limit
    let limit =
        filter.limit.filter(|_| !open).and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1);
    let mut query = db.prepare_cached(&sql)?;
    let given = (&filter.runbook, state, filter.since_ms, limit, open);
    query.query_map(given, Head::from_row)?.map(|row| row?).collect()
}

/// No run may be listed only because there is none.
fn check_empty(db: &Connection) -> Result<(), StoreError> {
    let lost: bool = db.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM runs) AND EXISTS (SELECT 1 FROM events)",
        [],
        |row| row.get(0),
    )?;
    if lost { Err(StoreError::damaged("its list of runs is gone")) } else { Ok(()) }
}

fn known(db: &Connection, run: &str) -> Result<(), StoreError> {
    let head = Head::load_certain(db, run)?;
    head.map(drop).ok_or_else(|| StoreError::UnknownRun { run: run.to_owned() })
}

/// The first event of a run, checked as the first link of its chain.
fn first(db: &Connection, run: &str) -> Result<Entry, StoreError> {
    let Some(head) = Head::load_certain(db, run)? else {
        return Err(StoreError::UnknownRun { run: run.to_owned() });
    };
    let mut query = db.prepare_cached(
        "SELECT seq, at_ms, kind, body, chain FROM events WHERE run = ?1 AND seq = 1",
    )?;
    let mut rows = query.query([head.no])?;
    let row = rows.next()?.ok_or_else(|| changed(run, 1))?;
    entry(row, run, 1, &mut head::origin(run))
}

/// The event of a row, if that is the next link of its run's chain.
fn entry(row: &Row<'_>, run: &str, seq: u64, chain: &mut head::Chain) -> Result<Entry, StoreError> {
    let at_ms = row.get(1)?;
    let body = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
    *chain = head::link(chain, seq, at_ms, body);
    let sound = row.get::<_, i64>(0)? == seq.cast_signed()
        && row.get::<_, head::Chain>(4)? == *chain
        && row.get_ref(2)?.as_str() == Ok(kind(body));
    let event = serde_json::from_str(body).ok().filter(|_| sound);
    let event = event.ok_or_else(|| changed(run, seq))?;
    Ok(Entry { run: run.to_owned(), seq, at_ms, event })
}

/// The events of a run, checked from the first link of its chain to the last.
pub(super) fn entries(db: &Connection, run: &str) -> Result<Vec<Entry>, StoreError> {
    let Some(head) = Head::load_certain(db, run)? else {
        return Err(StoreError::UnknownRun { run: run.to_owned() });
    };
    let mut query = db.prepare_cached(
        "SELECT seq, at_ms, kind, body, chain FROM events WHERE run = ?1 ORDER BY seq",
    )?;
    let mut rows = query.query([head.no])?;
    let mut chain = head::origin(run);
    let mut entries: Vec<Entry> = Vec::new();
    while let Some(row) = rows.next()? {
        let seq = entries.len() as u64 + 1;
        entries.push(entry(row, run, seq, &mut chain)?);
    }
    if entries.len() as u64 != head.seq || chain != head.chain {
        let what = format!("the run `{run}` has {} events, not {}", entries.len(), head.seq);
        return Err(StoreError::damaged(what));
    }
    Ok(entries)
}

fn changed(run: &str, seq: u64) -> StoreError {
    StoreError::damaged(format!("event {seq} of the run `{run}` was changed"))
}

/// The outcome with this word.
pub(super) fn outcome(word: &str) -> Option<Outcome> {
    serde_json::from_value(Value::from(word)).ok()
}

/// The runs whose last event is older than this, in the order in which they were begun; and
/// whether each is over, so that nothing of it is left to do or to decide.
pub(super) fn older_than(
    db: &Connection,
    before_ms: i64,
) -> Result<Vec<(String, bool)>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT run, coalesce(outcome IN ('done', 'undone'), 0) FROM runs WHERE last_ms < ?1
         ORDER BY no",
    )?;
    let rows = query.query_map([before_ms], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The number of a run.
pub(super) fn number(db: &Connection, run: &str) -> Result<Option<i64>, StoreError> {
    let mut query = db.prepare_cached("SELECT no FROM runs WHERE run = ?1")?;
    Ok(query.query_row([run], |row| row.get(0)).optional()?)
}
