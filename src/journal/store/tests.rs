//! What the store promises: what was appended is read back or an error says why not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::schema::Migration;
use super::*;
use crate::journal::event::{Batch, Effect, How, Outcome, StepRef, Stored};
use crate::value::Json;

/// Numbers without a pattern, the same at each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

const TEXT: &str = "format = 1\nname = \"book\"\n";

mod locks;
mod runs;

fn started(run: &str, at_ms: i64, runbook: &str, text: &str) -> Entry {
    let steps = vec![StepRef { id: "one".into(), title: "One".into(), digest: "d".repeat(64) }];
    let event = Event::Started {
        uses: std::collections::BTreeMap::new(),
        runbooks: Vec::new(),
        runbook: runbook.into(),
        title: format!("Title of {runbook}"),
        path: "book.toml".into(),
        folder: String::new(),
        text: digest_of(text),
        steps: steps.into(),
        inputs: [("host".to_owned(), Stored::Plain(Json::from("db1")))].into(),
        given: Vec::new(),
        rehearsal: false,
        batch: None,
    };
    Entry { run: run.into(), seq: 1, at_ms, event }
}

fn next(run: &str, seq: u64, event: Event) -> Entry {
    Entry { run: run.into(), seq, at_ms: 1000 + seq.cast_signed(), event }
}

fn intent(run: &str, seq: u64) -> Entry {
    let what = format!("POST https://host/{seq}");
    next(
        run,
        seq,
        Event::Intent { step: "one".into(), effect: Effect::Once, what, private: BTreeMap::new() },
    )
}

fn done(run: &str, seq: u64) -> Entry {
    let event = Event::Done {
        step: "one".into(),
        how: How::Performed,
        saved: [("pk".to_owned(), Stored::Plain(Json::from(seq)))].into(),
        summary: "201 Created".into(),
        took_ms: 12,
        private: [].into(),
        was: None,
    };
    next(run, seq, event)
}

fn ended(run: &str, seq: u64, outcome: Outcome) -> Entry {
    next(run, seq, Event::Ended { outcome, took_ms: 5 })
}

/// A whole run of `count` events, over pairs of intent and outcome.
fn whole(run: &str, count: u64) -> Vec<Entry> {
    let mut all = vec![started(run, 1000, "book", TEXT)];
    all.extend((2..count).map(|seq| if seq % 2 == 0 { intent(run, seq) } else { done(run, seq) }));
    all.push(ended(run, count, Outcome::Done));
    all
}

fn append_each(store: &mut Store, entries: &[Entry]) {
    for entry in entries {
        store.append_with_text(std::slice::from_ref(entry), [(&*digest_of(TEXT), TEXT)]).unwrap();
    }
}

/// A folder with some runs: in the log, or folded into the database.
fn history(folded: bool) -> (TempDir, Vec<Vec<Entry>>) {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let runs: Vec<Vec<Entry>> =
        (1..=if folded { 40 } else { 6 }).map(|n| whole(&format!("r{n}"), 4 + n % 9)).collect();
    for entries in &runs {
        append_each(&mut store, entries);
    }
    if folded {
        assert!(fold_log(&store.db).unwrap());
    }
    drop(store);
    (dir, runs)
}

/// A copy as a killed process or a restored disk leaves it, with one file changed.
fn copy_with(from: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    let to = TempDir::new().unwrap();
    for file in ["journal.db", "journal.db-wal", "journal.mark"] {
        if from.join(file).exists() {
            fs::copy(from.join(file), to.path().join(file)).unwrap();
        }
    }
    let mut bytes = fs::read(from.join(name)).unwrap();
    change(&mut bytes);
    fs::write(to.path().join(name), bytes).unwrap();
    to
}

/// Reads everything; whether all was there. Nothing different may come out.
fn read_all(dir: &Path, runs: &[Vec<Entry>], what: &str) -> bool {
    let store = match Store::open_existing(dir) {
        Ok(store) => store.unwrap_or_else(|| panic!("{what}: an empty history")),
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.hint().is_empty());
            assert!(!matches!(error, StoreError::Misuse { .. }), "{what}: {error}");
            return false;
        }
    };
    let mut sound = true;
    for entries in runs {
        match store.entries(&entries[0].run) {
            Ok(found) => assert_eq!(&found, entries, "{what}"),
            Err(_) => sound = false,
        }
    }
    match store.runs(&RunFilter::default()) {
        Ok(list) => {
            assert!(!list.is_empty(), "{what}: an empty list");
            for row in list {
                assert!(runs.iter().any(|entries| entries[0].run == row.run), "{what}");
                assert_eq!(row.outcome, Some(Outcome::Done), "{what}");
            }
        }
        Err(_) => sound = false,
    }
    if let Ok(Some(text)) = store.text(&digest_of(TEXT)) {
        assert_eq!(text, TEXT, "{what}");
    }
    sound
}

#[test]
fn what_was_appended_is_read_back() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path().join("state").join("runbook");
    let entries = whole("r1", 9);
    append_each(&mut Store::open(&dir).unwrap(), &entries);
    let store = Store::open(&dir).unwrap();
    assert_eq!(store.entries("r1").unwrap(), entries);
    assert_eq!(store.text(&digest_of(TEXT)).unwrap().as_deref(), Some(TEXT));
    assert_eq!(store.text(&digest_of("other")).unwrap(), None);
    let unknown = StoreError::UnknownRun { run: "r2".into() };
    assert_eq!(store.entries("r2").unwrap_err(), unknown);
}

#[test]
fn looking_at_a_fresh_machine_creates_nothing() {
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("state");
    assert!(Store::open_existing(&state).unwrap().is_none());
    assert!(!state.exists());
}

#[test]
fn only_the_owner_can_read_any_of_it() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path().join("state");
    let mut store = Store::open(&dir).unwrap();
    store.append(&whole("r1", 5)).unwrap();
    let held = lock(&dir, "r1", &Holder::here(5)).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in ["journal.db", "journal.db-wal", "journal.db-shm", "journal.mark", "locks/r1"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    assert_eq!(store.warnings(), Vec::<String>::new());
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(store.warnings()[0].contains("chmod 700"));
    drop(held);
}

#[test]
fn events_that_do_not_continue_a_run_are_refused_whole() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let entries = whole("r1", 5);
    store.append(&entries[..3]).unwrap();
    let conflict = |expected, given| StoreError::Conflict { run: "r1".into(), expected, given };
    assert_eq!(store.append(&entries[2..4]).unwrap_err(), conflict(4, 3));
    assert_eq!(store.append(&[intent("r1", 4), intent("r1", 6)]).unwrap_err(), conflict(5, 6));
    let lost = StoreError::Conflict { run: "r9".into(), expected: 1, given: 2 };
    assert_eq!(store.append(&[entries[3].clone(), intent("r9", 2)]).unwrap_err(), lost);
    assert_eq!(store.entries("r1").unwrap(), entries[..3]);
    let trace = next("r1", 4, Event::Trace { step: "one".into(), line: String::new() });
    assert!(matches!(store.append(&[trace]), Err(StoreError::Misuse { .. })));
    let lie = store.append_with_text(&[], Some(("00", TEXT)));
    assert!(matches!(lie, Err(StoreError::Misuse { .. })));
}

#[test]
fn what_another_process_appended_meanwhile_is_never_overlooked() {
    let folder = TempDir::new().unwrap();
    let mut one = Store::open(folder.path()).unwrap();
    let mut two = Store::open(folder.path()).unwrap();
    let run = whole("r1", 6);
    append_each(&mut one, &run[..2]);
    append_each(&mut two, &run[2..4]);
    // what the first one knows of the run is old: nothing may be written over the others'
    let refused = one.append(&run[2..3]).unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { expected: 5, given: 3, .. }), "{refused}");
    append_each(&mut one, &run[4..5]);
    append_each(&mut two, &run[5..]);
    assert_eq!(one.entries("r1").unwrap(), run);
    two.forget(&["r1".to_owned()]).unwrap();
    assert!(matches!(one.append(&[intent("r1", 7)]), Err(StoreError::Conflict { .. })));
}

#[test]
fn many_runs_share_one_append() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let (one, two) = (whole("r1", 6), whole("r2", 7));
    let mixed: Vec<Entry> =
        one.iter().zip(&two).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    store.append(&mixed).unwrap();
    store.append(&two[6..]).unwrap();
    assert_eq!((store.entries("r1").unwrap(), store.entries("r2").unwrap()), (one, two));
}

#[test]
fn processes_append_to_their_own_runs_at_once() {
    let dir = TempDir::new().unwrap();
    let names: Vec<String> = std::thread::scope(|scope| {
        let write = || {
            let mut store = Store::open(dir.path()).unwrap();
            // the log begins anew all the time, which is when a look at it could go wrong
            store.db.pragma_update(None, "wal_autocheckpoint", 8).unwrap();
            let run = store.new_run_id().unwrap();
            append_each(&mut store, &whole(&run, 60));
            run
        };
        let read = || (0..80).for_each(|_| drop(Store::open(dir.path()).unwrap()));
        let writers: Vec<_> = (0..4).map(|_| scope.spawn(write)).collect();
        let reader = scope.spawn(read);
        reader.join().unwrap();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let store = Store::open(dir.path()).unwrap();
    for run in names {
        assert_eq!(store.entries(&run).unwrap(), whole(&run, 60));
    }
}

#[test]
fn the_first_processes_may_all_begin_at_once() {
    for _ in 0..6 {
        let dir = TempDir::new().unwrap();
        let names: Vec<String> = std::thread::scope(|scope| {
            let begin = || {
                let mut store = Store::open(dir.path()).unwrap();
                let run = store.new_run_id().unwrap();
                store.append(&whole(&run, 3)).unwrap();
                run
            };
            let all: Vec<_> = (0..6).map(|_| scope.spawn(begin)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let store = Store::open(dir.path()).unwrap();
        assert!(names.iter().all(|run| store.entries(run).unwrap() == whole(run, 3)));
    }
}

#[test]
fn a_making_that_was_killed_is_made_again() {
    let dir = TempDir::new().unwrap();
    for rest in ["journal.db", "journal.db.new", "journal.db.new-journal", "journal.db.new-wal"] {
        fs::write(dir.path().join(rest), if rest == "journal.db" { "" } else { "half" }).unwrap();
    }
    let mut store = Store::open(dir.path()).unwrap();
    store.append(&whole("r1", 3)).unwrap();
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["journal.db", "journal.db-shm", "journal.db-wal", "journal.mark"]);
}

#[test]
fn names_of_runs_are_short_and_taken_once() {
    let dir = TempDir::new().unwrap();
    let (mut one, mut two) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
    assert_eq!(one.new_run_id().unwrap(), "r1");
    assert_eq!(two.new_run_id().unwrap(), "r2");
    one.append(&whole("r3", 4)).unwrap();
    assert_eq!(two.new_run_id().unwrap(), "r4");
    let sync: i64 = two.db.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
    assert_eq!(sync, 2, "appends are synced all the same");
}

#[test]
fn a_flipped_byte_of_the_database_is_an_error_or_harmless() {
    let (dir, runs) = history(true);
    let size = usize::try_from(dir.path().join("journal.db").metadata().unwrap().len()).unwrap();
    let mut chance = Chance(7);
    let mut errors = 0;
    // the first page has the header and the tables' own tree: there each byte counts
    let places: Vec<usize> = (0..110).chain((0..250).map(|_| chance.below(size))).collect();
    for place in places {
        let bit = 1 << chance.below(8);
        let copy = copy_with(dir.path(), "journal.db", |bytes| bytes[place] ^= bit);
        errors += i32::from(!read_all(copy.path(), &runs, &format!("byte {place} ^ {bit}")));
    }
    assert!(errors > 100, "only {errors} were noticed");
}

#[test]
fn appending_to_a_damaged_database_never_changes_what_was_there() {
    let (dir, runs) = history(true);
    let size = usize::try_from(dir.path().join("journal.db").metadata().unwrap().len()).unwrap();
    let mut chance = Chance(11);
    for _ in 0..150 {
        let place = chance.below(size);
        let copy = copy_with(dir.path(), "journal.db", |bytes| bytes[place] ^= 0x55);
        let Ok(mut store) = Store::open(copy.path()) else { continue };
        let mut longer = runs[3].clone();
        longer.push(intent("r4", longer.len() as u64 + 1));
        let grew = store.append(&longer[longer.len() - 1..]).is_ok();
        let wanted = if grew { &longer } else { &runs[3] };
        if let Ok(found) = store.entries("r4") {
            assert_eq!(&found, wanted, "byte {place}");
        }
    }
}

#[test]
fn a_database_cut_short_is_an_error() {
    let (dir, runs) = history(true);
    let size = usize::try_from(dir.path().join("journal.db").metadata().unwrap().len()).unwrap();
    let mut chance = Chance(13);
    for length in
        [0, 1, 99, 100, 4095, 4096, size - 1].into_iter().chain((0..60).map(|_| chance.below(size)))
    {
        let copy = copy_with(dir.path(), "journal.db", |bytes| bytes.truncate(length));
        assert!(!read_all(copy.path(), &runs, &format!("{length} bytes of {size}")));
    }
}

#[test]
fn a_changed_byte_of_the_log_never_loses_an_event_silently() {
    let (dir, runs) = history(false);
    let size =
        usize::try_from(dir.path().join("journal.db-wal").metadata().unwrap().len()).unwrap();
    assert!(size > 100_000, "the log is where the events are");
    let mut chance = Chance(17);
    let last = size - 4120;
    let places = (0..160).chain(last..last + 30).chain((0..250).map(|_| chance.below(size)));
    for place in places.collect::<Vec<_>>() {
        let bit = 1 << chance.below(8);
        let copy = copy_with(dir.path(), "journal.db-wal", |bytes| bytes[place] ^= bit);
        assert!(!read_all(copy.path(), &runs, &format!("log byte {place} ^ {bit}")));
    }
}

#[test]
fn damage_inside_the_log_names_the_frame() {
    let (dir, _) = history(false);
    let copy = copy_with(dir.path(), "journal.db-wal", |bytes| bytes[32 + 4120 * 5 + 600] ^= 4);
    let error = Store::open(copy.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("frame 6 of its log was changed"), "{error}");
}

#[test]
fn what_was_never_synced_may_be_lost_in_any_order_by_a_power_cut() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let entries = whole("r1", 40);
    let frames = || dir.path().join("journal.db-wal").metadata().map_or(0, |log| log.len() / 4120);
    let unsynced = |store: &mut Store, entries: &[Entry]| {
        for entry in entries {
            let texts = [(&*digest_of(TEXT), TEXT)];
            store.append_unsynced(std::slice::from_ref(entry), texts).unwrap();
        }
    };
    let zeroed = |frame: u64| {
        copy_with(dir.path(), "journal.db-wal", |bytes| {
            let from = usize::try_from(32 + 4120 * frame).unwrap();
            bytes[from..from + 4120].fill(0);
        })
    };
    // no mark at all: nothing was ever synced
    unsynced(&mut store, &entries[..5]);
    let copy = zeroed(3);
    assert!(Store::open(copy.path()).unwrap().entries("r1").unwrap_or_default().len() < 5);
    append_each(&mut store, &entries[5..10]);
    let synced = frames();
    unsynced(&mut store, &entries[10..]);
    for frame in synced..frames() {
        let copy = zeroed(frame);
        let mut after = Store::open(copy.path()).unwrap();
        let found = after.entries("r1").unwrap();
        assert!(found.len() >= 10 && entries.starts_with(&found), "frame {frame}");
        // it goes on over what is left behind the cut
        append_each(&mut after, &entries[found.len()..]);
        drop(after);
        assert_eq!(Store::open(copy.path()).unwrap().entries("r1").unwrap(), entries);
    }
    for frame in 0..synced {
        let error = Store::open(zeroed(frame).path()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "frame {frame}: {error}");
    }
}

#[test]
fn a_long_log_that_is_damaged_is_not_folded_by_looking_at_it() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    append_each(&mut store, &whole("r1", 150));
    let copy = copy_with(dir.path(), "journal.db-wal", |bytes| bytes[32 + 4120 * 9 + 600] ^= 4);
    let log = copy.path().join("journal.db-wal");
    let before = fs::read(&log).unwrap();
    assert!(before.len() as u64 > LOG_AT_CLOSE, "{}", before.len());
    assert!(Store::open(copy.path()).is_err());
    assert!(fs::read(&log).unwrap() == before, "nothing was changed");
}

#[test]
fn a_log_that_is_cut_or_gone_is_an_error() {
    let (dir, runs) = history(false);
    let size =
        usize::try_from(dir.path().join("journal.db-wal").metadata().unwrap().len()).unwrap();
    let mut chance = Chance(19);
    for length in [0, 10, 32, size - 1].into_iter().chain((0..60).map(|_| chance.below(size))) {
        let copy = copy_with(dir.path(), "journal.db-wal", |bytes| bytes.truncate(length));
        assert!(!read_all(copy.path(), &runs, &format!("{length} bytes of {size}")));
    }
    fs::remove_file(dir.path().join("journal.db-wal")).unwrap();
    assert!(!read_all(dir.path(), &runs, "no log"));
}

#[test]
fn a_write_cut_short_by_a_power_cut_is_no_damage() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let entries = whole("r1", 8);
    append_each(&mut store, &entries[..7]);
    let log = fs::read(dir.path().join("journal.db-wal")).unwrap().len();
    let mark = fs::read(dir.path().join("journal.mark")).unwrap();
    append_each(&mut store, &entries[7..]);
    for cut in [1, 24, 2000] {
        let copy = copy_with(dir.path(), "journal.db-wal", |bytes| bytes.truncate(log + cut));
        // the mark is written after the sync that the power cut prevented
        fs::write(copy.path().join("journal.mark"), &mark).unwrap();
        let mut after = Store::open(copy.path()).unwrap();
        assert_eq!(after.entries("r1").unwrap(), entries[..7]);
        append_each(&mut after, &entries[7..]);
    }
}

#[test]
fn a_log_begun_anew_over_an_older_one_is_sound() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    append_each(&mut store, &whole("r1", 40));
    store.db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
    append_each(&mut store, &whole("r2", 5));
    let copy = copy_with(dir.path(), "journal.db-wal", |_| ());
    assert!(copy.path().join("journal.db-wal").metadata().unwrap().len() > 40 * 4120);
    assert_eq!(Store::open(copy.path()).unwrap().entries("r2").unwrap(), whole("r2", 5));
}

#[test]
fn what_is_no_journal_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("journal.db");
    fs::write(&file, "not a database, but long enough to have a header ".repeat(40)).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert_eq!(error, StoreError::Foreign { file: file.clone() });
    assert!(error.hint().contains("away"));
    fs::remove_file(&file).unwrap();
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE cookies(a)").unwrap();
    assert_eq!(Store::open(dir.path()).unwrap_err(), StoreError::Foreign { file: file.clone() });
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(Store::open(dir.path()).unwrap_err(), StoreError::Foreign { file });
}

#[test]
fn a_folder_that_is_none_is_named() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file.join("state")).unwrap_err();
    assert!(error.to_string().contains("cannot create"), "{error}");
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let entries = whole("r1", 400);
    append_each(&mut store, &entries[..3]);
    let pages: i64 = store.db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    store.db.pragma_update(None, "max_page_count", pages).unwrap();
    let error = store.append(&entries[3..]).unwrap_err();
    assert_eq!(error, StoreError::Full { file: dir.path().join("journal.db") });
    assert!(error.hint().contains("make room"));
    store.db.pragma_update(None, "max_page_count", 100_000).unwrap();
    assert_eq!(store.entries("r1").unwrap(), entries[..3]);
    store.append(&entries[3..]).unwrap();
    assert_eq!(store.entries("r1").unwrap(), entries);
}

#[test]
fn a_newer_journal_is_refused() {
    let (dir, _) = history(true);
    let file = dir.path().join("journal.db");
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert_eq!(error, StoreError::Newer { file, version: 2, known: 1 });
    assert!(error.to_string().contains("written by a newer `runbook`"));
}

/// Version 1 before it had `uses`.
fn older() -> String {
    let (before, rest) = schema::VERSION_1.split_once("CREATE TABLE uses(").unwrap();
    let (_, after) = rest.split_once(';').unwrap();
    format!("{before}{after}")
}

const FROM_0: Format = Format {
    version: 1,
    create: schema::VERSION_1,
    migrations: &[Migration {
        from: 0,
        sql: "CREATE TABLE uses(run INTEGER NOT NULL, digest TEXT NOT NULL,
              PRIMARY KEY (run, digest)) STRICT, WITHOUT ROWID;",
    }],
};

#[test]
fn an_older_journal_is_migrated_after_a_copy() {
    let dir = TempDir::new().unwrap();
    let create = Box::leak(older().into_boxed_str());
    let old = Format { version: 0, create, migrations: &[] };
    drop(Store::open_as(dir.path(), &old).unwrap());
    let mut store = Store::open_as(dir.path(), &FROM_0).unwrap();
    store.append(&whole("r1", 5)).unwrap();
    let copy = dir.path().join("journal.db.v0.bak");
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let copy = Connection::open(copy).unwrap();
    let tables: i64 = copy
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'uses'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 0, "the copy is what was there");
    assert!(Store::open(dir.path()).is_ok(), "it is a version 1 now");
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let create = Box::leak(older().into_boxed_str());
    let old = Format { version: 0, create, migrations: &[] };
    drop(Store::open_as(dir.path(), &old).unwrap());
    let bad = Format {
        migrations: &[Migration { from: 0, sql: "CREATE TABLE half(a); CREATE TABLE runs(a);" }],
        ..FROM_0
    };
    assert!(Store::open_as(dir.path(), &bad).is_err());
    drop(Store::open_as(dir.path(), &FROM_0).unwrap());
    assert!(Store::open(dir.path()).is_ok());
}
