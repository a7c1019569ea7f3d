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

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::StoreError;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Magic numbers: checksums over little-endian and big-endian words.
const LITTLE: u32 = 0x377f_0682;
const BIG: u32 = 0x377f_0683;
const VERSION: u32 = 3_007_000;

/// Bytes read at a time: a log may have megabytes.
const AT_ONCE: usize = 64 * 1024;

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
        let judged =
            File::open(&path).and_then(|log| judge(&mut BufReader::with_capacity(AT_ONCE, log)));
        let seen = match judged {
            Ok(Some(seen)) => seen,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path, &error)),
        };
        if before.as_ref() == Some(&seen) {
            return match seen.finding {
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

/// What is wrong with a log, and with which one.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    header: [u8; HEADER],
    finding: Finding,
}

#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// Its header.
    Header,
    /// The frame of this number, from 1: nothing from it on is read.
    Frame(usize),
}

/// What is wrong with a log; `None` when it is sound, empty, or cut short at its end.
fn judge(log: &mut impl Read) -> io::Result<Option<Seen>> {
    let mut header = [0; HEADER];
    // all zero: its first write never reached the disk
    if !fill(log, &mut header)? || header == [0; HEADER] {
        return Ok(None);
    }
    let Some((big, page)) = read_header(&header) else {
        return Ok(Some(Seen { header, finding: Finding::Header }));
    };
    let mut frame = vec![0; FRAME_HEADER + page];
    let mut sum = (word(&header, 24), word(&header, 28));
    let (mut number, mut bad, mut committed) = (0, None, false);
    while fill(log, &mut frame)? {
        number += 1;
        match bad {
            None if follows(&header, &frame, big, &mut sum) => continue,
            None => bad = Some(number),
            // of an earlier log in the same file
            Some(_) if !salted(&header, &frame) => continue,
            // a whole transaction and more is behind the first bad frame
            Some(bad) if committed => {
                return Ok(Some(Seen { header, finding: Finding::Frame(bad) }));
            }
            Some(_) => {}
        }
        committed |= word(&frame, 4) != 0;
    }
    Ok(None)
}

/// Reads as many bytes as there is room for; false if there are not so many any more.
fn fill(log: &mut impl Read, room: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(room) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        other => other.map(|()| true),
    }
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

/// Whether a frame belongs to this log and not to an earlier one in the same file.
fn salted(header: &[u8], frame: &[u8]) -> bool {
    header.get(16..24) == frame.get(8..16)
}

fn checksum(big: bool, sum: (u32, u32), bytes: &[u8]) -> (u32, u32) {
    // decided once: a log has tens of thousands of words
    if big { sums(sum, bytes, u32::from_be_bytes) } else { sums(sum, bytes, u32::from_le_bytes) }
}

fn sums(sum: (u32, u32), bytes: &[u8], word: impl Fn([u8; 4]) -> u32) -> (u32, u32) {
    let (words, _) = bytes.as_chunks::<4>();
    let (pairs, _) = words.as_chunks::<2>();
    pairs.iter().fold(sum, |(a, b), [x, y]| {
        let a = a.wrapping_add(word(*x)).wrapping_add(b);
        (a, b.wrapping_add(word(*y)).wrapping_add(a))
    })
}

/// A big-endian word; zero behind the end.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u32::from_be_bytes)
}
