//! The head of a run: its row in `runs`, where its chain of events ends.
//!
//! The row is guarded by a digest of its own, so a damaged one is never believed.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use sha2::{Digest, Sha256};

use super::{RunSummary, StoreError, lock, query};
use crate::journal::event::{Entry, Event, Outcome};

/// The end of a chain: half a SHA-256, plenty against chance; it is no signature.
pub(super) type Chain = [u8; 16];

/// The columns of `runs`, in the order [`Head::from_row`] wants.
pub(super) const COLUMNS: &str = "no, run, runbook, title, rehearsal, started_ms, ended_ms, \
                                  outcome, last_step, last_ms, seq, chain, guard";

/// One row of `runs`.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) no: i64,
    pub(super) seq: u64,
    pub(super) chain: Chain,
    pub(super) summary: RunSummary,
}

impl Head {
    /// The head under this name; `None` when there is no such run.
    pub(super) fn load(db: &Connection, run: &str) -> Result<Option<Self>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE run = ?1");
        let head = db.prepare_cached(&sql)?.query_row([run], Self::from_row).optional()?;
        head.transpose()?.map(|head| head.named(run)).transpose()
    }

    /// The head with this number.
    pub(super) fn load_no(db: &Connection, no: i64) -> Result<Option<Self>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE no = ?1");
        db.prepare_cached(&sql)?.query_row([no], Self::from_row).optional()?.transpose()
    }

    /// As [`Head::load`], but certain of a `None`: the rows themselves are searched too.
    pub(super) fn load_certain(db: &Connection, run: &str) -> Result<Option<Self>, StoreError> {
        if let Some(head) = Self::load(db, run)? {
            return Ok(Some(head));
        }
        let sql = "SELECT count(*) FROM runs NOT INDEXED WHERE run = ?1";
        let hidden: i64 = db.query_row(sql, [run], |row| row.get(0))?;
        if hidden == 0 {
            return Ok(None);
        }
        Err(StoreError::damaged(format!("its index does not lead to the run `{run}`")))
    }

    /// The head an entry is to be appended to; made if the entry begins a run.
    pub(super) fn for_append(tx: &Transaction<'_>, entry: &Entry) -> Result<Self, StoreError> {
        if let Some(head) = Self::load(tx, &entry.run)? {
            return Ok(head);
        }
        let Event::Started { runbook, title, rehearsal, .. } = &entry.event else {
            let (run, given) = (entry.run.clone(), entry.seq);
            return Err(if given == 1 {
                StoreError::misuse(format!("the run `{run}` does not begin with its start"))
            } else {
                StoreError::Conflict { run, expected: 1, given }
            });
        };
        if !lock::is_name(&entry.run) {
            return Err(StoreError::misuse(format!("`{}` is no name for a run", entry.run)));
        }
        let next = "SELECT coalesce(max(no), 0) + 1 FROM runs";
        let no = tx.prepare_cached(next)?.query_row([], |row| row.get(0))?;
        let summary = RunSummary {
            run: entry.run.clone(),
            runbook: runbook.clone(),
            title: title.clone(),
            rehearsal: *rehearsal,
            started_ms: entry.at_ms,
            ended_ms: None,
            outcome: None,
            last_step: None,
            last_ms: entry.at_ms,
        };
        let head = Self { no, seq: 0, chain: origin(&entry.run), summary };
        head.insert(tx)?;
        Ok(head)
    }

    /// Takes one event into account.
    pub(super) fn advance(&mut self, entry: &Entry, body: &str) {
        self.chain = link(&self.chain, entry.seq, entry.at_ms, body);
        self.seq = entry.seq;
        let summary = &mut self.summary;
        summary.last_ms = entry.at_ms;
        match &entry.event {
            Event::Started { .. } | Event::Resumed { .. } => {
                (summary.ended_ms, summary.outcome) = (None, None);
            }
            Event::Ended { outcome, .. } => {
                (summary.ended_ms, summary.outcome) = (Some(entry.at_ms), Some(*outcome));
            }
            other => {
                if let Some(step) = other.step().filter(|step| leads(other, step)) {
                    summary.last_step = Some(step.to_owned());
                }
            }
        }
    }

    fn insert(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        let row = &self.summary;
        tx.prepare_cached(
            "INSERT INTO runs(no, run, runbook, title, rehearsal, started_ms, last_ms, seq, chain, guard)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0, ?7, ?8)",
        )?
        .execute((
            self.no, &row.run, &row.runbook, &row.title, row.rehearsal, row.started_ms, self.chain,
            self.guard(),
        ))?;
        Ok(())
    }

    /// Whether its last walk has ended: usually nothing more comes.
    pub(super) fn is_over(&self) -> bool {
        self.summary.ended_ms.is_some()
    }

    /// Writes what may have changed, over the row that stood at this number: another one is not
    /// what this head was made from.
    pub(super) fn save(&self, tx: &Transaction<'_>, before: u64) -> Result<(), StoreError> {
        let row = &self.summary;
        let changed = tx.prepare_cached(
            "UPDATE runs SET ended_ms = ?2, outcome = ?3, last_step = ?4, last_ms = ?5, seq = ?6,
             chain = ?7, guard = ?8 WHERE no = ?1 AND run = ?9 AND seq = ?10",
        )?
        .execute((
            self.no,
            row.ended_ms,
            row.outcome.map(Outcome::word),
            &row.last_step,
            row.last_ms,
            self.seq.cast_signed(),
            self.chain,
            self.guard(),
            &row.run,
            before.cast_signed(),
        ))?;
        if changed == 1 {
            return Ok(());
        }
        let (run, expected, given) = (row.run.clone(), before, self.seq);
        Err(StoreError::Conflict { run, expected, given })
    }

    /// The outer error is `SQLite`'s, the inner one ours.
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Result<Self, StoreError>> {
        let outcome: Option<String> = row.get(7)?;
        let summary = RunSummary {
            run: row.get(1)?,
            runbook: row.get(2)?,
            title: row.get(3)?,
            rehearsal: row.get(4)?,
            started_ms: row.get(5)?,
            ended_ms: row.get(6)?,
            outcome: outcome.as_deref().and_then(query::outcome),
            last_step: row.get(8)?,
            last_ms: row.get(9)?,
        };
        let seq: i64 = row.get(10)?;
        let head = Self { no: row.get(0)?, seq: seq.cast_unsigned(), chain: row.get(11)?, summary };
        let kept: Chain = row.get(12)?;
        let sound = head.guard() == kept && outcome.is_some() == head.summary.outcome.is_some();
        let run = &head.summary.run;
        let what = || StoreError::damaged(format!("the row of the run `{run}` was changed"));
        Ok(if sound { Ok(head) } else { Err(what()) })
    }

    fn named(self, run: &str) -> Result<Self, StoreError> {
        if self.summary.run == run {
            return Ok(self);
        }
        Err(StoreError::damaged(format!("its index leads from the run `{run}` to another")))
    }

    fn guard(&self) -> Chain {
        let row = &self.summary;
        let mut hash = Sha256::new();
        for number in [
            self.no,
            self.seq.cast_signed(),
            row.started_ms,
            row.last_ms,
            row.ended_ms.unwrap_or(i64::MIN),
            i64::from(row.rehearsal),
        ] {
            hash.update(number.to_le_bytes());
        }
        let outcome = row.outcome.map(|outcome: Outcome| outcome.word().to_owned());
        for text in [
            Some(&row.run),
            Some(&row.runbook),
            Some(&row.title),
            outcome.as_ref(),
            row.last_step.as_ref(),
        ] {
            // a length before each text: no two rows give the same bytes
            hash.update(text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
            hash.update(text.map_or("", String::as_str));
        }
        hash.update(self.chain);
        half(hash)
    }
}

/// Whether a run stands at the step of this event. What is done beside the steps of the file, `clean@17`
/// after a failure say, is not what stopped it, unless it is in doubt or taken back.
fn leads(event: &Event, step: &str) -> bool {
    let taken_back =
        matches!(event, Event::UndoIntent { .. } | Event::Undone { .. } | Event::UndoFailed { .. });
    !step.contains('@') || taken_back || matches!(event, Event::Doubt { .. })
}

/// What the chain of a run begins with.
pub(super) fn origin(run: &str) -> Chain {
    half(Sha256::new().chain_update("runbook journal\0").chain_update(run))
}

/// The chain with one event more.
pub(super) fn link(previous: &Chain, seq: u64, at_ms: i64, body: &str) -> Chain {
    half(
        Sha256::new()
            .chain_update(previous)
            .chain_update(seq.to_le_bytes())
            .chain_update(at_ms.to_le_bytes())
            .chain_update(body),
    )
}

fn half(hash: Sha256) -> Chain {
    let whole: [u8; 32] = hash.finalize().into();
    let (half, _) = whole.split_at(16);
    let mut out = [0; 16];
    out.copy_from_slice(half);
    out
}
