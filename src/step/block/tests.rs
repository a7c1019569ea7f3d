use super::*;

const BLOCK: &str = "# app\nA=1\nB=2\n";

/// Nothing is waited for in vain here.
fn how(follow: bool, doubt: bool) -> How {
    How { follow, doubt, patience: Duration::from_mins(5) }
}

fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn add(path: &Path, block: &str, follow: bool, secret: bool, doubt: bool) -> io::Result<Written> {
    now(super::add(path, block, how(follow, doubt), secret))
}

fn remove(path: &Path, block: &str, ours: &Ours, follow: bool) -> io::Result<String> {
    now(super::remove(path, block, ours, how(follow, false)))
}

fn put_back(path: &Path, block: &str, was: &Place, follow: bool) -> io::Result<String> {
    now(super::put_back(path, block, was, how(follow, false)))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_new_file_is_private_and_holds_the_block() {
    let folder = folder();
    let path = folder.path().join("credentials");
    let written = add(&path, BLOCK, false, true, false).unwrap();
    assert!(written.created);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), BLOCK);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_file_keeps_its_owner_when_another_takes_its_place() {
    let folder = folder();
    let path = folder.path().join("f");
    std::fs::write(&path, "x=1\n# app\nA=1\nB=2\n").unwrap();
    // root may give a file to anybody, others to a group of theirs
    let ours = std::fs::metadata(&path).unwrap();
    let groups = rustix::process::getgroups().unwrap();
    let other = groups.iter().map(|group| group.as_raw()).find(|group| *group != ours.gid());
    let (user, group) =
        if ours.uid() == 0 { (12_345, 23_456) } else { (ours.uid(), other.unwrap_or(ours.gid())) };
    std::os::unix::fs::chown(&path, Some(user), Some(group)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    remove(&path, BLOCK, &Ours { created: false, newline: false, doubt: false }, false).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "x=1\n");
    let now = std::fs::metadata(&path).unwrap();
    assert_eq!((now.uid(), now.gid(), now.mode() & 0o777), (user, group, 0o640));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn who_is_second_at_a_new_file_is_refused_and_what_a_crash_left_is_not_in_the_way() {
    let folder = folder();
    let path = folder.path().join("f");
    let (temporary, first) = beside(&path).unwrap();
    assert!(beside(&path).unwrap_err().to_string().contains("another step or process"));
    assert_eq!(std::fs::metadata(&temporary).unwrap().ino(), first.metadata().unwrap().ino());
    drop(first);
    let (_, second) = beside(&path).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    drop(second);
}

#[test]
fn adding_and_removing_leaves_every_file_as_it_was() {
    for before in ["x=1", "x=1\n", "", "# app\nA=1\n", "x=1\n# other\nC=3"] {
        let folder = folder();
        let path = folder.path().join("f");
        std::fs::write(&path, before).unwrap();
        let written = add(&path, "# other\nC=3\n", false, false, false).unwrap();
        let Written { created, newline, unchanged } = written;
        assert_eq!(unchanged, before.ends_with("C=3"));
        if unchanged {
            assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
            continue;
        }
        remove(&path, "# other\nC=3\n", &Ours { created, newline, doubt: false }, false).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    }
}

#[test]
fn a_block_that_is_there_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("f");
    std::fs::write(&path, format!("x\n{BLOCK}y\n")).unwrap();
    assert!(add(&path, BLOCK, false, false, false).unwrap().unchanged);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("x\n{BLOCK}y\n"));
}

#[test]
fn a_block_inside_a_longer_line_is_not_the_block() {
    assert_eq!(places("x# app\nA=1\nB=2\n", BLOCK).next(), None);
}

#[test]
fn a_block_cut_off_by_a_crash_is_completed() {
    for cut in BLOCK.find('\n').unwrap() + 1..BLOCK.len() {
        let folder = folder();
        let path = folder.path().join("f");
        std::fs::write(&path, format!("x\n{}", &BLOCK[..cut])).unwrap();
        add(&path, BLOCK, false, false, true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("x\n{BLOCK}"), "cut at {cut}");
    }
}

#[test]
fn what_lies_where_the_new_file_is_written_is_not_followed() {
    let folder = folder();
    let (path, victim) = (folder.path().join("f"), folder.path().join("victim"));
    std::fs::write(&path, format!("x\n{BLOCK}")).unwrap();
    std::fs::write(&victim, "mine").unwrap();
    std::os::unix::fs::symlink(&victim, folder.path().join(".f.runbook")).unwrap();
    remove(&path, BLOCK, &Ours { created: false, newline: false, doubt: false }, false).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "x\n");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
}

#[test]
fn a_block_taken_out_goes_back_where_it_stood() {
    let unended = format!("x\n{}", BLOCK.trim_end());
    for (text, changed, after) in [
        (format!("x\n{BLOCK}y\n"), None, format!("x\n{BLOCK}y\n")),
        (BLOCK.to_owned(), None, BLOCK.to_owned()),
        (format!("{BLOCK}x\n{BLOCK}"), None, format!("{BLOCK}x\n{BLOCK}")),
        (unended.clone(), None, unended.clone()),
        (unended.clone(), Some("x\ny\n"), format!("x\n{BLOCK}y\n")),
        (unended.clone(), Some("z\n"), format!("z\n{BLOCK}")),
        (format!("x\n{BLOCK}y\n"), Some("z\ny"), format!("z\ny\n{BLOCK}")),
        (format!("x\n{BLOCK}"), Some(BLOCK), BLOCK.to_owned()),
    ] {
        let folder = folder();
        let path = folder.path().join("f");
        std::fs::write(&path, &text).unwrap();
        let was = place(&path, BLOCK, false).unwrap().unwrap();
        let ours = Ours { created: false, newline: false, doubt: false };
        remove(&path, BLOCK, &ours, false).unwrap();
        if let Some(changed) = changed {
            std::fs::write(&path, changed).unwrap();
        }
        for _ in 0..2 {
            put_back(&path, BLOCK, &was, false).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
    }
}

#[test]
fn what_one_adds_while_another_takes_out_is_not_lost() {
    let folder = folder();
    let path = folder.path().join("f");
    let ours = Ours { created: false, newline: false, doubt: false };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                add(&path, BLOCK, false, false, false).unwrap();
                remove(&path, BLOCK, &ours, false).unwrap();
            }
        });
        for number in 0..100 {
            add(&path, &format!("N{number}=1\n"), false, false, false).unwrap();
        }
    });
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with('N')).count(), 100);
}

#[test]
fn what_is_too_large_to_be_read_whole_is_not_cut() {
    let folder = folder();
    let path = folder.path().join("f");
    std::fs::write(&path, BLOCK).unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(FILE_LIMIT + 1).unwrap();
    let ours = Ours { created: false, newline: false, doubt: false };
    for refused in [
        add(&path, "# other\n", false, false, false).err(),
        remove(&path, BLOCK, &ours, false).err(),
    ] {
        assert!(refused.unwrap().to_string().contains("larger than 64 MiB"));
    }
    assert_eq!(std::fs::metadata(&path).unwrap().len(), FILE_LIMIT + 1);
}

#[test]
fn a_pipe_is_not_waited_for() {
    let folder = folder();
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    for follow in [false, true] {
        let refused = look(&path, BLOCK, follow).err().unwrap();
        assert!(refused.to_string().contains("no ordinary file"), "{refused}");
    }
}

#[test]
fn links_and_readable_files_are_refused() {
    let folder = folder();
    let (path, link) = (folder.path().join("f"), folder.path().join("l"));
    std::fs::write(&path, "").unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(add(&link, BLOCK, false, false, false).is_err());
    assert!(add(&link, BLOCK, true, false, false).is_ok());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(add(&path, "S=1\n", false, true, false).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), BLOCK);
}

#[test]
fn lines_that_stay_of_a_block_that_was_changed_are_counted() {
    let folder = folder();
    let path = folder.path().join("f");
    assert_eq!(left(&path, BLOCK, false, false).unwrap(), 0);
    for (text, lines) in [
        (format!("x\n{BLOCK}y\n"), 0),
        ("# app\nA=1\n# edited\nB=2\n".to_owned(), 3),
        ("# app\nA=9\nB=2\nx\n".to_owned(), 2),
        ("xA=1\nB=22\n\n".to_owned(), 0),
        ("x\n# app\nA=1\nB=2".to_owned(), 0),
        ("x\r\n# app\r\nA=1\r\nB=2\r\n".to_owned(), 3),
        // nobody's crash
        ("x\n# app\nA=1\n".to_owned(), 2),
    ] {
        std::fs::write(&path, &text).unwrap();
        assert_eq!(left(&path, BLOCK, false, false).unwrap(), lines, "{text:?}");
    }
    std::fs::write(&path, "x\n# app\nA=1\n").unwrap();
    assert_eq!(left(&path, BLOCK, true, false).unwrap(), 0);
    std::fs::write(&path, "{\n}\n").unwrap();
    assert_eq!(left(&path, "{\nA\n}\n", false, false).unwrap(), 0);
}

#[test]
fn a_block_whose_lines_end_otherwise_is_not_said_to_be_gone() {
    let folder = folder();
    let path = folder.path().join("f");
    let ours = Ours { created: false, newline: false, doubt: false };
    for (text, gone) in [
        ("x\r\n# app\r\nA=1\r\nB=2\r\n", false),
        ("# app\r\nA=1\r\nB=2", false),
        ("x\r\nA=1\r\nB=2\r\n", true),
    ] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(remove(&path, BLOCK, &ours, false).is_ok(), gone, "{text:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn what_a_killed_attempt_did_is_found_and_settled() {
    let folder = folder();
    let path = folder.path().join("f");
    std::fs::write(&path, BLOCK).unwrap();
    assert!(add(&path, BLOCK, false, false, true).unwrap().unchanged);
    let ours = Ours { created: true, newline: false, doubt: true };
    let work = || now(super::remove(&path, BLOCK, &ours, how(false, true)));
    assert!(work().unwrap().contains("removed: only the block"));
    assert_eq!(work().unwrap(), "the file is gone");
    std::fs::write(&path, "x\n").unwrap();
    assert_eq!(work().unwrap(), "the block is not there");
    std::fs::remove_dir_all(folder.path()).unwrap();
    assert_eq!(work().unwrap(), "the file is gone");
}

#[test]
fn a_file_with_other_names_is_not_replaced() {
    let folder = folder();
    let (path, other) = (folder.path().join("f"), folder.path().join("g"));
    std::fs::write(&path, BLOCK).unwrap();
    std::fs::hard_link(&path, &other).unwrap();
    let ours = Ours { created: false, newline: false, doubt: false };
    let refused = remove(&path, BLOCK, &ours, false).unwrap_err();
    assert!(refused.to_string().contains("2 names (hard links)"), "{refused}");
    assert_eq!(std::fs::read_to_string(&other).unwrap(), BLOCK);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_file_keeps_its_attributes_when_another_takes_its_place() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    let folder = folder();
    let path = folder.path().join("f");
    std::fs::write(&path, BLOCK).unwrap();
    match setxattr(&path, "user.note", b"mine", XattrFlags::empty()) {
        // there are none where the test runs
        Err(rustix::io::Errno::NOTSUP) => return,
        other => other.unwrap(),
    }
    let ours = Ours { created: false, newline: false, doubt: false };
    remove(&path, BLOCK, &ours, false).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    let mut value = [0; 16];
    let length = getxattr(&path, "user.note", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"mine");
}
