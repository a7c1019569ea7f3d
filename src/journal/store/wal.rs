//! The log before `SQLite` reads it: would opening it drop events?
//!
//! `SQLite` reads its log up to the first frame whose checksum fails and takes the rest
//! for a write cut short by a crash. So one damaged byte would silently undo every
//! later append, and a step could be performed again. But not each append is synced, and a
//! power cut may lose any frame since the last sync while later ones are there. So what is
//! seen here is damage only if the mark names an event that is dropped with it: that is
//! judged by who opens the journal. A header is synced before any frame is, so one that was
//! changed is damage by itself. The layout is that of
//! <https://sqlite.org/fileformat2.html#walformat>.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::StoreError;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Magic numbers: checksums over little-endian and big-endian words.
const LITTLE: u32 = 0x377f_0682;
const BIG: u32 = 0x377f_0683;
const VERSION: u32 = 3_007_000;

/// How often the log is read again when it looks damaged.
const LOOKS: usize = 10;

/// The log of a database.
pub(super) fn path(db: &Path) -> PathBuf {
    let mut name = db.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Where whole transactions would be dropped, in words; `None` if none would be. A log that
/// cannot be one is refused.
///
/// Other processes may be writing: beginning the log anew while it is being read here
/// looks like damage. So a finding stands only when two reads in a row agree.
pub(super) fn dropped(db: &Path) -> Result<Option<String>, StoreError> {
    let path = path(db);
    let mut before = None;
    for _ in 0..LOOKS {
        let log = match fs::read(&path) {
            Ok(log) => log,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path, &error)),
        };
        let Some(finding) = judge(&log) else { return Ok(None) };
        let seen = (log.get(..HEADER).map(<[u8]>::to_vec), finding);
        if before.as_ref() == Some(&seen) {
            return match seen.1 {
                Finding::Header => {
                    Err(StoreError::damaged("the header of its log was changed").at(db))
                }
                Finding::Frame(number) => {
                    Ok(Some(format!("frame {number} of its log was changed")))
                }
            };
        }
        before = Some(seen);
    }
    // it changed at every look: it is alive, and its writers have read it themselves
    Ok(None)
}

/// What is wrong with a log.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// Its header.
    Header,
    /// The frame of this number, from 1: nothing from it on is read.
    Frame(usize),
}

/// What is wrong with a log; `None` when it is sound, empty, or cut short at its end.
fn judge(log: &[u8]) -> Option<Finding> {
    let (header, rest) = log.split_at_checked(HEADER)?;
    if header.iter().all(|byte| *byte == 0) {
        return None; // its first write never reached the disk
    }
    let Some((big, page)) = read_header(header) else {
        return Some(Finding::Header);
    };
    let mut sum = (word(header, 24), word(header, 28));
    let frames: Vec<&[u8]> = rest.chunks_exact(FRAME_HEADER + page).collect();
    let bad = frames.iter().position(|frame| !follows(header, frame, big, &mut sum))?;
    let behind = frames.get(bad..)?;
    is_more(header, behind).then_some(Finding::Frame(bad + 1))
}

/// Endianness of the checksums and size of a page, if the header is sound.
fn read_header(header: &[u8]) -> Option<(bool, usize)> {
    let big = match word(header, 0) {
        LITTLE => false,
        BIG => true,
        _ => return None,
    };
    let page = usize::try_from(word(header, 8)).ok()?;
    let sized = page.is_power_of_two() && (512..=65_536).contains(&page);
    let sum = checksum(big, (0, 0), header.get(..24)?);
    let sound = word(header, 4) == VERSION && sum == (word(header, 24), word(header, 28));
    (sized && sound).then_some((big, page))
}

/// Whether a frame continues the chain of checksums, as `SQLite` judges it.
fn follows(header: &[u8], frame: &[u8], big: bool, sum: &mut (u32, u32)) -> bool {
    let (head, page) = frame.split_at(FRAME_HEADER);
    let (start, _) = head.split_at(8);
    *sum = checksum(big, checksum(big, *sum, start), page);
    salted(header, frame) && word(head, 0) != 0 && *sum == (word(head, 16), word(head, 20))
}

/// Whether the frames from the first bad one on hold a whole transaction and more.
fn is_more(header: &[u8], behind: &[&[u8]]) -> bool {
    let commits = |frame: &[u8]| word(frame, 4) != 0;
    let mut ours =
        behind.iter().enumerate().filter(|(at, frame)| *at == 0 || salted(header, frame));
    ours.any(|(_, frame)| commits(frame)) && ours.next().is_some()
}

/// Whether a frame belongs to this log and not to an earlier one in the same file.
fn salted(header: &[u8], frame: &[u8]) -> bool {
    header.get(16..24) == frame.get(8..16)
}

fn checksum(big: bool, (mut a, mut b): (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let (pairs, _) = bytes.as_chunks::<8>();
    for [p, q, r, s, t, u, v, w] in pairs {
        let (x, y) = ([*p, *q, *r, *s], [*t, *u, *v, *w]);
        let (x, y) = if big {
            (u32::from_be_bytes(x), u32::from_be_bytes(y))
        } else {
            (u32::from_le_bytes(x), u32::from_le_bytes(y))
        };
        a = a.wrapping_add(x).wrapping_add(b);
        b = b.wrapping_add(y).wrapping_add(a);
    }
    (a, b)
}

/// A big-endian word; zero behind the end.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u32::from_be_bytes)
}
