//! One hand per run.

use super::*;

#[test]
fn a_run_has_one_holder_and_the_second_is_told_who() {
    let dir = TempDir::new().unwrap();
    let held =
        lock(dir.path(), "r1", &Holder { pid: 4711, host: "box".into(), since_ms: 9 }).unwrap();
    let second = lock(dir.path(), "r1", &Holder::here(10)).unwrap_err();
    assert_eq!(second, LockError::Held { pid: 4711, host: "box".into(), since_ms: 9 });
    assert!(lock(dir.path(), "r2", &Holder::here(10)).is_ok());
    drop(held);
    assert!(!dir.path().join("locks/r1").exists());
    assert!(lock(dir.path(), "r1", &Holder::here(10)).is_ok());
    for name in ["", "..", "a/b", ".hidden", "a b"] {
        assert!(matches!(lock(dir.path(), name, &Holder::here(1)), Err(LockError::Failed(_))));
    }
}

#[test]
fn a_dead_holders_file_does_not_hold() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("locks")).unwrap();
    fs::write(dir.path().join("locks/r1"), r#"{"pid":1,"host":"box","since_ms":1} and more"#)
        .unwrap();
    let held = lock(dir.path(), "r1", &Holder::here(10)).unwrap();
    let Err(LockError::Held { since_ms: 10, .. }) = lock(dir.path(), "r1", &Holder::here(11))
    else {
        panic!("the new holder is named");
    };
    drop(held);
}

#[test]
fn a_lock_is_never_in_two_hands() {
    let dir = TempDir::new().unwrap();
    let inside = std::sync::atomic::AtomicU32::new(0);
    let taken = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..300 {
                    let Ok(lock) = lock(dir.path(), "r1", &Holder::here(1)) else { continue };
                    let relaxed = std::sync::atomic::Ordering::SeqCst;
                    assert_eq!(inside.fetch_add(1, relaxed), 0);
                    taken.fetch_add(1, relaxed);
                    assert_eq!(inside.fetch_sub(1, relaxed), 1);
                    drop(lock);
                }
            });
        }
    });
    assert!(taken.into_inner() > 0);
}
