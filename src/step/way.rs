//! The way to a file: whether somebody else could lead what is written elsewhere.
//!
//! Who may write to a folder may put a link in the place of anything below it. A folder on the
//! way may be a link of the person's own or of the system's (`/tmp` is one on some systems, a home
//! may be one), and everybody may write to it only if it is sticky, as `/tmp` is: then nobody
//! moves what is another's. That is what Linux asks in sticky folders (`fs.protected_symlinks`,
//! `fs.protected_regular`), here for every folder.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// How many links a way may have, as for the system.
const LINKS: usize = 40;

/// Everybody may write.
const OPEN: u32 = 0o002;

/// Only who owns a thing may move it.
const STICKY: u32 = 0o1000;

/// Says what is wrong with the way to a file, as the person of this process goes it; none if
/// nothing is. Fails as looking at it does; what is not there is not wrong.
pub(super) fn wrong(path: &Path) -> io::Result<Option<String>> {
    wrong_for(path, rustix::process::geteuid().as_raw())
}

fn wrong_for(path: &Path, me: u32) -> io::Result<Option<String>> {
    let path = std::path::absolute(path)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    let mut left: VecDeque<OsString> = parts(folder).collect();
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    let mut about = std::fs::metadata(&at)?;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(part);
        let Some(found) = look(&next)? else { return Ok(None) };
        if found.is_symlink() {
            links += 1;
            if links > LINKS || !trusted(&found, me) {
                return Ok(Some(link(&next)));
            }
            let target = std::fs::read_link(&next)?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            parts(&target).rev().for_each(|part| left.push_front(part));
            continue;
        }
        if found.mode() & (OPEN | STICKY) == OPEN {
            return Ok(Some(open(&next)));
        }
        (at, about) = (next, found);
    }
    let planted = |found: &Metadata| {
        about.mode() & OPEN != 0 && found.uid() != about.uid() && !trusted(found, me)
    };
    let found = look(&at.join(name))?;
    Ok(found.filter(planted).map(|_| planted_by(&path)))
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The person's own, or the system's.
fn trusted(found: &Metadata, me: u32) -> bool {
    found.uid() == me || found.uid() == 0
}

fn link(path: &Path) -> String {
    format!(
        "{} on the way is another user's symbolic link; name the place it leads to",
        path.display()
    )
}

fn open(path: &Path) -> String {
    let path = path.display();
    format!(
        "everybody may write to {path}, and lead what is written there elsewhere; `chmod o-w {path}` first"
    )
}

fn planted_by(path: &Path) -> String {
    let path = path.display();
    format!("{path} is another user's, in a folder that everybody may write to; name another place")
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};

    use super::*;

    /// Nobody's number here.
    const OTHER: u32 = 65_534;

    /// A path that belongs to somebody else than the one whose number is given back.
    fn strangers(path: &Path) -> u32 {
        let me = rustix::process::geteuid().as_raw();
        if me != 0 {
            // it cannot be given away: somebody else goes the way instead
            return OTHER;
        }
        lchown(path, Some(OTHER), None).unwrap();
        me
    }

    fn said(path: &Path, me: u32) -> String {
        wrong_for(path, me).unwrap().unwrap_or_default()
    }

    #[test]
    fn ordinary_ways_are_fine() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        create_dir(&real).unwrap();
        symlink("real", &link).unwrap();
        symlink(&real, folder.path().join("far")).unwrap();
        symlink("../real/./../link", real.join("round")).unwrap();
        write(real.join("f"), "").unwrap();
        for way in
            ["real/f", "link/f", "far/f", "link/round/f", "real/../link/f", "link/new", "none/f"]
        {
            assert_eq!(wrong(&folder.path().join(way)).unwrap(), None, "{way}");
        }
        for way in ["/tmp/runbook-is-not-there", "/etc/hosts", "/"] {
            assert_eq!(wrong(Path::new(way)).unwrap(), None, "{way}");
        }
    }

    #[test]
    fn another_users_link_on_the_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        let me = strangers(&link);
        assert!(said(&link.join("f"), me).contains("another user's symbolic link"));
        assert!(said(&link.join("below/f"), me).contains("another user's symbolic link"));
        symlink(&link, folder.path().join("own")).unwrap();
        assert!(said(&folder.path().join("own/f"), me).contains("another user's symbolic link"));
    }

    #[test]
    fn a_circle_of_links_is_no_way() {
        let folder = tempfile::tempdir().unwrap();
        symlink("b", folder.path().join("a")).unwrap();
        symlink("a", folder.path().join("b")).unwrap();
        assert!(wrong(&folder.path().join("a/f")).unwrap().is_some());
    }

    #[test]
    fn a_folder_that_everybody_may_write_to_must_be_sticky() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        create_dir(&open).unwrap();
        write(open.join("f"), "").unwrap();
        create_dir(open.join("below")).unwrap();
        for (mode, fine) in [(0o777, false), (0o707, false), (0o1777, true), (0o775, true)] {
            set_permissions(&open, Permissions::from_mode(mode)).unwrap();
            for way in [open.join("f"), open.join("below/f"), open.join("new")] {
                assert_eq!(wrong(&way).unwrap().is_none(), fine, "{mode:o}: {}", way.display());
            }
        }
    }

    #[test]
    fn a_file_that_another_user_put_into_a_sticky_folder_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        create_dir(&open).unwrap();
        set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
        write(open.join("f"), "").unwrap();
        let me = strangers(&open.join("f"));
        // without the right to give a file away, file and folder have one owner: that is fine
        let planted = me == 0;
        assert_eq!(said(&open.join("f"), me).contains("is another user's"), planted);
        set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(said(&open.join("f"), me), "");
    }
}
