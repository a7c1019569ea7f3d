//! A block of lines in a file, as `append` and `remove` need it: added once and exactly, taken
//! out and nothing else, put back where it stood.
//!
//! A file is changed under its lock: by writing at its end, or by a new file in its place. What a
//! crash in the middle of a write left of a block is told from other people's lines and completed.

mod attributes;
mod lock;

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::crash;
use crate::printable::argument;
use crate::value::hex;
use crate::world::sync_folder;

use super::{Cx, Failure, Trouble, failure, way};
use lock::locked;

/// The largest file taken, in bytes.
const FILE_LIMIT: u64 = 64 * 1024 * 1024;

/// How long another process may keep a file locked, if the step does not say how long it may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// `1 line`, `4 lines`.
pub(super) fn lines(block: &str) -> String {
    match block.lines().count() {
        1 => "1 line".to_owned(),
        count => format!("{count} lines"),
    }
}

/// What an append found and did.
pub(super) struct Written {
    /// The file was not there.
    pub(super) created: bool,
    /// A line end was missing before the block.
    pub(super) newline: bool,
    /// The block was there already.
    pub(super) unchanged: bool,
}

/// How a file is changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// Whether links are followed.
    pub(super) follow: bool,
    /// Whether an earlier attempt may have done it already, or in part.
    pub(super) doubt: bool,
    /// How long another process is waited for.
    pub(super) patience: Duration,
}

impl How {
    /// As a step does it.
    pub(super) fn of(cx: &Cx<'_>, follow: bool) -> Self {
        Self { follow, doubt: cx.in_doubt, patience: cx.timeout.unwrap_or(PATIENCE) }
    }
}

/// What of a file is this run's own, besides the block.
pub(super) struct Ours {
    /// The file itself.
    pub(super) created: bool,
    /// The line end before the block.
    pub(super) newline: bool,
    /// Whether the block may have been written in part only, or not at all.
    pub(super) doubt: bool,
}

/// What [`add`] would do.
pub(super) fn look(path: &Path, block: &str, follow: bool) -> io::Result<Written> {
    refuse_link(path, follow)?;
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Written { created: true, newline: false, unchanged: false });
        }
        Err(error) => return Err(error),
    };
    let text = read(&mut file)?;
    let unchanged = places(&text, block).next().is_some();
    let newline = !unchanged && needs_newline(&text, block);
    Ok(Written { created: false, newline, unchanged })
}

fn needs_newline(text: &str, block: &str) -> bool {
    cut_off(text, block) == 0 && !text.is_empty() && !text.ends_with('\n')
}

/// Adds the block unless it is there.
pub(super) async fn add(path: &Path, block: &str, how: How, secret: bool) -> io::Result<Written> {
    refuse_link(path, how.follow)?;
    let (mut file, created) = locked(path, how, || open(path, how.follow)).await?;
    if secret {
        refuse_open(path, &file.metadata()?)?;
    }
    let text = read(&mut file)?;
    let there = places(&text, block).next();
    // what a crash left without its line end is completed; what an editor left so is there
    if there.is_some_and(|there| !how.doubt || there.len() == block.len()) {
        settle(path, how.doubt)?;
        return Ok(Written { created: false, newline: false, unchanged: true });
    }
    let cut = cut_off(&text, block);
    let newline = needs_newline(&text, block);
    let rest = format!("{}{}", if newline { "\n" } else { "" }, &block[cut..]);
    crash::point();
    if let Err(error) = write(&mut file, &rest) {
        // the failure is told, and a later attempt must find nothing of this one
        let taken = take_away(&mut file, text.len(), &rest);
        let taken = taken.and_then(|()| if created { unmake(path) } else { Ok(()) });
        return Err(match taken {
            Ok(()) => error,
            Err(left) => io::Error::other(Half(error, left)),
        });
    }
    if created {
        sync_name(path)?;
    }
    Ok(Written { created, newline, unchanged: false })
}

/// Writes at the end, durably.
fn write(file: &mut File, rest: &str) -> io::Result<()> {
    file.seek(SeekFrom::End(0))?;
    file.write_all(rest.as_bytes())?;
    crash::point();
    file.sync_all()
}

/// Takes away what came of such an attempt, unless somebody else has written there since.
fn take_away(file: &mut File, length: usize, rest: &str) -> io::Result<()> {
    let (mut tail, length) = (Vec::new(), u64::try_from(length).map_err(io::Error::other)?);
    file.seek(SeekFrom::Start(length))?;
    file.read_to_end(&mut tail)?;
    if !rest.as_bytes().starts_with(&tail) {
        return Err(io::Error::other("somebody else wrote there meanwhile"));
    }
    file.set_len(length)?;
    file.sync_all()
}

/// Removes a file, durably.
fn unmake(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)?;
    sync_name(path)
}

/// How much of the block the file ends with: what a crash in the middle of a write left.
fn cut_off(text: &str, block: &str) -> usize {
    let starts = |len: &usize| {
        let head = &block[..*len];
        text.ends_with(head) && (text.len() == *len || text[..text.len() - len].ends_with('\n'))
    };
    // Less than a whole first line could be anybody's; of a block of one its end alone may be missing.
    let first_line = block.find('\n').map_or(block.len(), |at| at + 1);
    (first_line.min(block.len().saturating_sub(1))..block.len())
        .rev()
        .filter(|len| block.is_char_boundary(*len))
        .find(starts)
        .unwrap_or(0)
}

/// Where the block stands, each time from the start of a line; at the end of the text also
/// without its last line end, which many an editor takes away.
fn places<'t>(text: &'t str, block: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
    let starts =
        move |there: &Range<usize>| there.start == 0 || text[..there.start].ends_with('\n');
    let whole = text.match_indices(block).map(|(at, block)| at..at + block.len());
    whole.chain(unended(text, block)).filter(starts)
}

/// The end of a text that is the block but for its last line end.
fn unended(text: &str, block: &str) -> Option<Range<usize>> {
    let bare = block.strip_suffix('\n').filter(|bare| !bare.is_empty())?;
    let there = !text.ends_with('\n') && text.ends_with(bare);
    there.then(|| text.len() - bare.len()..text.len())
}

/// How a file stood before a block was taken out of it: what putting it back must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Bytes before the block.
    pub(super) offset: usize,
    /// The SHA-256 of those bytes, in hex.
    pub(super) before: String,
    /// How often the block was there.
    pub(super) times: usize,
    /// Whether it ended the file without its last line end.
    pub(super) unended: bool,
}

/// The place of the block that [`remove`] would take out, if it is there.
pub(super) fn place(path: &Path, block: &str, follow: bool) -> io::Result<Option<Place>> {
    refuse_link(path, follow)?;
    let text = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => read(&mut other?)?,
    };
    let times = places(&text, block).count();
    Ok(places(&text, block).last().map(|there| Place {
        offset: there.start,
        before: digest(&text[..there.start]),
        times,
        unended: there.len() < block.len(),
    }))
}

/// Puts a block back where it stood, or at the end if what stood before it has changed.
pub(super) async fn put_back(
    path: &Path,
    block: &str,
    was: &Place,
    how: How,
) -> io::Result<String> {
    refuse_link(path, how.follow)?;
    let (mut file, _) = locked(path, how, || open(path, how.follow)).await?;
    let text = read(&mut file)?;
    if places(&text, block).count() >= was.times {
        settle(path, how.doubt)?;
        return Ok("the block is there again".to_owned());
    }
    let as_before = text.get(..was.offset).is_some_and(|head| digest(head) == was.before);
    let at = if as_before { was.offset } else { text.len() };
    let newline = if at > 0 && !text[..at].ends_with('\n') { "\n" } else { "" };
    let last = as_before && was.unended && at == text.len();
    let back = block.strip_suffix('\n').filter(|_| last).unwrap_or(block);
    replace(path, &file, &format!("{}{newline}{back}{}", &text[..at], &text[at..]))?;
    Ok(format!("{} put back into {}", lines(block), path.display()))
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// Takes the last such block out, by a new file in the old one's place.
pub(super) async fn remove(path: &Path, block: &str, ours: &Ours, how: How) -> io::Result<String> {
    refuse_link(path, how.follow)?;
    let existing = || Ok((OpenOptions::new().read(true).write(true).open(path)?, false));
    let mut file = match locked(path, how, existing).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            settle(path, how.doubt)?;
            return Ok("the file is gone".to_owned());
        }
        other => other?.0,
    };
    let text = read(&mut file)?;
    let Range { start: at, end } = match places(&text, block).last() {
        Some(there) => there,
        None if ours.doubt => text.len() - cut_off(&text, block)..text.len(),
        None => {
            refuse_other_ends(&text, block)?;
            settle(path, how.doubt)?;
            return Ok("the block is not there any more".to_owned());
        }
    };
    // The line end added before the block goes with it, if nothing was added after.
    let start =
        if ours.newline && at < end && end == text.len() { at.saturating_sub(1) } else { at };
    let rest = format!("{}{}", &text[..start], &text[end..]);
    if rest.is_empty() && ours.created {
        unmake(path)?;
        return Ok(format!("{} removed: only the block was in it", path.display()));
    }
    if rest == text {
        settle(path, how.doubt)?;
        return Ok("the block is not there".to_owned());
    }
    replace(path, &file, &rest)?;
    Ok(format!("{} removed from {}", lines(block), path.display()))
}

/// Refuses a block that stands there with line ends that it was not given with: what is not to be
/// in the file is not gone.
fn refuse_other_ends(text: &str, block: &str) -> io::Result<()> {
    if !text.contains("\r\n") || places(&text.replace("\r\n", "\n"), block).next().is_none() {
        return Ok(());
    }
    let why = "the block is there, but its lines end with CRLF; take it out by hand, or `text` needs these line ends";
    Err(io::Error::other(Refused(why.to_owned())))
}

/// How many lines of a block are still in a file that does not have it as a whole any more, nor, if
/// `doubt`, as a crash may have left it: somebody has changed it since. Lines of signs alone could be
/// anybody's.
pub(super) fn left(path: &Path, block: &str, doubt: bool, follow: bool) -> io::Result<usize> {
    refuse_link(path, follow)?;
    let text = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => read(&mut other?)?,
    };
    if places(&text, block).next().is_some() || doubt && cut_off(&text, block) > 0 {
        return Ok(0);
    }
    let says = |line: &&str| line.contains(char::is_alphanumeric);
    let there = |line: &&str| text.lines().any(|found| found == *line);
    Ok(block.lines().filter(says).filter(there).count())
}

/// A new file for what is to stand in a file's place, `.NAME.runbook` beside it, for its owner's
/// eyes until it is there. Its name is always the same, so that a crash leaves one file at most;
/// the lock on it says that somebody is at work, and then it is refused.
pub(super) fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.runbook"));
    // locked until there is a new one in its place
    let _left = left_over(&temporary)?;
    // What a crash left here: removing a link removes the link, never what it points to.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
    match new {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(busy()),
        Ok(file) if is_locked(&file) => Err(busy()),
        other => Ok((temporary, other?)),
    }
}

/// What a crash left where a new file is to be begun, locked; nothing if it is no file.
fn left_over(temporary: &Path) -> io::Result<Option<File>> {
    match std::fs::symlink_metadata(temporary) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    match OpenOptions::new().write(true).custom_flags(no_link).open(temporary) {
        // one that was put away meanwhile is not what stands there now
        Ok(file) if !is_locked(&file) && stands_at(&file, temporary)? => Ok(Some(file)),
        Ok(_) => Err(busy()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(busy()),
        Err(error) => Err(error),
    }
}

fn busy() -> io::Error {
    io::Error::other(Refused("another step or process is writing it now".to_owned()))
}

/// Whether somebody else has locked a file; if not, it is locked now. Where the system knows no
/// locks, nobody has.
fn is_locked(file: &File) -> bool {
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Whether a path leads to this very file.
fn stands_at(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn replace(path: &Path, old: &File, text: &str) -> io::Result<()> {
    let real = std::fs::canonicalize(path)?;
    let was = old.metadata()?;
    if was.nlink() > 1 {
        let names = was.nlink();
        let why = format!(
            "it has {names} names (hard links), and the others would keep what it says now; change it by hand"
        );
        return Err(io::Error::other(Refused(why)));
    }
    let (temporary, mut new) = beside(&real)?;
    let filled = new.write_all(text.as_bytes()).and_then(|()| like(&new, &was));
    // after the mode, which would change an access list
    let filled = filled.and_then(|()| attributes::copy(old, &new));
    if let Err(error) = filled.and_then(|()| new.sync_all()) {
        // of no use; and its lock is held, so it is this one
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    crash::point();
    std::fs::rename(&temporary, &real)?;
    sync_name(&real)
}

/// Gives a new file the owner, group and mode of the one it stands for; refused if that may not
/// be, as whoever reads it would be shut out.
fn like(new: &File, was: &std::fs::Metadata) -> io::Result<()> {
    let now = new.metadata()?;
    if (now.uid(), now.gid()) != (was.uid(), was.gid()) {
        std::os::unix::fs::fchown(new, Some(was.uid()), Some(was.gid())).map_err(|error| {
            let (user, group) = (was.uid(), was.gid());
            let why =
                format!("the new file cannot be given to its owner ({user}:{group}): {error}");
            io::Error::other(Refused(why))
        })?;
    }
    // after the owner: changing that takes some of the mode away
    new.set_permissions(std::fs::Permissions::from_mode(was.mode() & 0o7777))
}

fn open(path: &Path, follow: bool) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    if !follow {
        // one that was put there since it was looked at is refused too
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    match options.clone().create_new(true).mode(0o600).open(path) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok((options.open(path)?, false))
        }
        Err(error) => Err(error),
    }
}

fn read(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    io::Read::by_ref(file).take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_LIMIT) {
        // what was not read would be lost
        return Err(io::Error::other(Refused("it is larger than 64 MiB".to_owned())));
    }
    String::from_utf8(bytes)
        .map_err(|_| io::Error::other(Refused("the file is not UTF-8 text".to_owned())))
}

/// Refuses what is not an ordinary file, and unless the author allows it a link: the file itself,
/// or one on the way there that others may bend.
fn refuse_link(path: &Path, follow: bool) -> io::Result<()> {
    refuse(path, follow, ", or allow it with `follow_links = true`")
}

/// The same where no link is ever allowed.
pub(super) fn refuse_any_link(path: &Path) -> io::Result<()> {
    refuse(path, false, "")
}

/// `or` is what else can be done about a link.
fn refuse(path: &Path, follow: bool, or: &str) -> io::Result<()> {
    let refused = |why: &str| Err(io::Error::other(Refused(why.to_owned())));
    if !follow && let Some(wrong) = way::wrong(path)? {
        return refused(&format!("{wrong}{or}"));
    }
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() && !follow => {
            return refused(&format!("it is a symbolic link; name the file itself{or}"));
        }
        Ok(found) if found.is_symlink() => std::fs::metadata(path),
        other => other,
    };
    match found {
        Ok(found) if found.is_dir() => refused("it is a folder"),
        // a pipe would wait for ever
        Ok(found) if !found.is_file() => refused("it is no ordinary file"),
        _ => Ok(()),
    }
}

/// Makes the name of a file durable.
pub(super) fn sync_name(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))
}

/// Makes what is found durable if an attempt that was killed may have made it so: such a one may
/// not have come to that, and what is told as done must be there after a power cut.
pub(super) fn settle(path: &Path, doubt: bool) -> io::Result<()> {
    if !doubt {
        return Ok(());
    }
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let settled = match std::fs::canonicalize(path) {
        Ok(real) => File::open(&real)?.sync_all().and_then(|()| sync_name(&real)),
        Err(error) if gone(&error) => sync_name(path),
        Err(error) => Err(error),
    };
    // its folder may be gone, too
    settled.or_else(|error| if gone(&error) { Ok(()) } else { Err(error) })
}

/// A reason of ours, not the system's.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// A write that failed, and why what it left could not be taken away.
#[derive(Debug)]
struct Half(io::Error, io::Error);

impl std::fmt::Display for Half {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; what was written of the block could not be taken away: {}", self.0, self.1)
    }
}

impl std::error::Error for Half {}

/// What writing this file will fail of: its folder is not there, or it is no file to write this to.
pub(super) fn foresee(path: &Path, follow: bool, secret: bool) -> Option<Failure> {
    let folder = path.parent().filter(|folder| {
        std::fs::metadata(folder).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    });
    if let Some(folder) = folder {
        let hint = format!("`{}` makes it", make(folder));
        let message = format!("cannot write {}: its folder does not exist", path.display());
        return Some(Failure { hints: vec![hint], ..failure(message) });
    }
    let open = || match std::fs::metadata(path) {
        Ok(found) if secret => refuse_open(path, &found),
        _ => Ok(()),
    };
    let error = refuse_link(path, follow).and_then(|()| open()).err()?;
    // what the system says now it may not say then
    error.get_ref()?.downcast_ref::<Refused>()?;
    Some(failure(format!("cannot write {}: {error}", path.display())))
}

/// Refuses to put a secret where others can read it.
fn refuse_open(path: &Path, found: &Metadata) -> io::Result<()> {
    if found.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other(Refused(format!(
            "others can read it, and the block holds a secret; `chmod 600 {}` first",
            argument(&path.display().to_string())
        ))));
    }
    Ok(())
}

/// The command that makes a folder.
fn make(folder: &Path) -> String {
    format!("mkdir -p {}", argument(&folder.display().to_string()))
}

/// A failure of the system, with what to do about it.
pub(super) fn explain(path: &Path, error: &io::Error) -> Trouble {
    let half = error.get_ref().and_then(|error| error.downcast_ref::<Half>());
    let trouble = Trouble::failed(format!("cannot write {}: {error}", path.display()));
    let trouble = trouble.doubtful(half.is_some());
    match half.map_or(error, |half| &half.0).kind() {
        io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            trouble.hint(format!("its folder does not exist: `{}`, then resume", make(folder)))
        }
        io::ErrorKind::PermissionDenied => {
            trouble.hint(format!("you may not write it: see `ls -l {}`", path.display()))
        }
        io::ErrorKind::WouldBlock => trouble.hint(format!(
            "wait until it ends, or stop it: `fuser -v {}` names it",
            argument(&path.display().to_string())
        )),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            trouble.hint(
                "make room on its disk, or lift the limit on files (`ulimit -f`), then resume",
            )
        }
        _ => trouble,
    }
}

#[cfg(test)]
mod tests;
