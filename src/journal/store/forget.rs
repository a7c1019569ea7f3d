//! Forgetting: the only deletion there is. It leaves nothing of a run on disk.

use rusqlite::Transaction;

use super::{Holder, LockError, RunLock, Store, StoreError, fold_log, lock, query};

/// How many runs are forgotten in one transaction: each keeps a file open meanwhile.
const BATCH: usize = 200;

impl Store {
    /// Deletes runs and the texts that no other run needs; how many runs there were.
    ///
    /// If a process is at work on one of them, the error is [`StoreError::InUse`]; with more
    /// runs than a few hundred, some may be deleted already then.
    pub fn forget(&mut self, runs: &[String]) -> Result<usize, StoreError> {
        let mut count = 0;
        for batch in runs.chunks(BATCH) {
            let locks: Vec<RunLock> =
                batch.iter().map(|run| self.hold(run)).collect::<Result<_, _>>()?;
            count += self.delete(batch)?;
            drop(locks);
        }
        self.tidy()?;
        Ok(count)
    }

    /// As [`Store::forget`] for runs that are over, done or taken back, and whose last event is
    /// before this time, in milliseconds since the Unix epoch; and the names of those that are as
    /// old and not over: they are left. One that a process is at work on is left out.
    pub fn forget_older_than(
        &mut self,
        before_ms: i64,
    ) -> Result<(usize, Vec<String>), StoreError> {
        let mut count = 0;
        let old = self.read(|db| query::older_than(db, before_ms))?;
        let (over, left): (Vec<_>, Vec<_>) = old.into_iter().partition(|(_, over)| *over);
        let names = |runs: Vec<(String, bool)>| runs.into_iter().map(|(run, _)| run).collect();
        let (over, left): (Vec<String>, Vec<String>) = (names(over), names(left));
        for batch in over.chunks(BATCH) {
            let (mut runs, mut locks) = (Vec::new(), Vec::new());
            for run in batch {
                match self.hold(run) {
                    Ok(lock) => locks.push(lock),
                    Err(StoreError::InUse { .. }) => continue,
                    Err(error) => return Err(error),
                }
                runs.push(run.clone());
            }
            count += self.delete(&runs)?;
            drop(locks);
        }
        self.tidy()?;
        Ok((count, left))
    }

    fn hold(&self, run: &str) -> Result<RunLock, StoreError> {
        match lock::lock(&self.dir, run, &Holder::here(0)) {
            Ok(lock) => Ok(lock),
            Err(LockError::Held { pid, host, since_ms }) => {
                let holder = Holder { pid, host, since_ms };
                Err(StoreError::InUse { run: run.to_owned(), holder })
            }
            Err(LockError::Failed(error)) => Err(error),
        }
    }

    fn delete(&mut self, runs: &[String]) -> Result<usize, StoreError> {
        // what was deleted is overwritten; before the transaction, as a pragma must be
        self.db
            .pragma_update(None, "secure_delete", "ON")
            .map_err(|error| StoreError::from(error).at(&self.file))?;
        // first the mark, lest it ask for a run that is gone
        self.mark.clear()?;
        self.write(|tx| delete_all(tx, runs))
    }

    fn tidy(&mut self) -> Result<(), StoreError> {
        self.write(|tx| {
            // older runs have what their definitions use only in their events: looked at if any is unused
            let unused = "DELETE FROM texts WHERE digest NOT IN (SELECT digest FROM uses)
                AND digest NOT IN (SELECT used.value FROM events, json_each(body, '$.uses') used
                                   WHERE kind IN ('started', 'resumed'))";
            Ok(tx.execute(unused, [])?)
        })?;
        // the log still has what was deleted, and the database under it; if others are at
        // work, one of them folds it in later
        fold_log(&self.db).map(|_| ()).map_err(|error| error.at(&self.file))
    }
}

fn delete_all(tx: &Transaction<'_>, runs: &[String]) -> Result<usize, StoreError> {
    let mut count = 0;
    for run in runs {
        let Some(no) = query::number(tx, run)? else { continue };
        for table in ["events", "uses"] {
            tx.prepare_cached(&format!("DELETE FROM {table} WHERE run = ?1"))?.execute([no])?;
        }
        count += tx.prepare_cached("DELETE FROM runs WHERE no = ?1")?.execute([no])?;
    }
    Ok(count)
}
