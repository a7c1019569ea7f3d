//! Bodies that are sent piece by piece: bytes, and files that are read as they go.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Error, Read as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// How much of a file is read at once, in bytes.
const CHUNK: u64 = 64 * 1024;

/// What a request sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// All of it, in memory.
    Bytes(Vec<u8>),
    /// One piece after the other.
    Pieces(Vec<Piece>),
}

/// A part of what is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes.
    Bytes(Vec<u8>),
    /// A whole file.
    File(PathBuf),
}

impl Payload {
    /// As a request's body; fails if a file cannot be opened, when nothing was sent.
    pub(super) fn open(self) -> Result<reqwest::Body, String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.into()),
            Self::Pieces(pieces) => {
                let left = pieces.into_iter().map(Piece::open).collect::<Result<_, _>>()?;
                Ok(reqwest::Body::wrap(Upload { left }))
            }
        }
    }
}

impl Piece {
    fn open(self) -> Result<Open, String> {
        let path = match self {
            Self::Bytes(bytes) => return Ok(Open::Bytes(bytes.into())),
            Self::File(path) => path,
        };
        let failed =
            |why: &dyn std::fmt::Display| format!("cannot read `{}`: {why}", path.display());
        // a pipe without a writer would block for ever
        let about = std::fs::metadata(&path).map_err(|error| failed(&error))?;
        if !about.is_file() {
            return Err(failed(&"it is no file"));
        }
        let file = File::open(&path).map_err(|error| failed(&error))?;
        let size = file.metadata().map_err(|error| failed(&error))?.len();
        Ok(Open::File(file, size))
    }
}

enum Open {
    Bytes(Bytes),
    /// A file, and how much of it is left.
    File(File, u64),
}

/// What is left of a body.
struct Upload {
    left: VecDeque<Open>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        while let Some(first) = self.left.front_mut() {
            match first {
                Open::Bytes(bytes) if !bytes.is_empty() => {
                    return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))));
                }
                Open::File(file, left) if *left > 0 => {
                    let chunk = next(file, left);
                    return Poll::Ready(Some(chunk.map(Frame::data)));
                }
                _ => drop(self.left.pop_front()),
            }
        }
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        let size = |open: &Open| match open {
            Open::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Open::File(_, left) => *left,
        };
        SizeHint::with_exact(self.left.iter().map(size).sum())
    }
}

/// The next chunk of a file: its size was promised, so that a shorter one is an error and what
/// was added since is not sent.
fn next(file: &mut File, left: &mut u64) -> Result<Bytes, Error> {
    let mut chunk = Vec::new();
    file.by_ref().take(CHUNK.min(*left)).read_to_end(&mut chunk)?;
    if chunk.is_empty() {
        return Err(Error::other("a file became shorter while it was sent"));
    }
    *left -= u64::try_from(chunk.len()).unwrap_or(*left);
    Ok(chunk.into())
}
