//! The redactor under a writer: secrets are found across the borders of writes.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::{Added, Redactor};
use crate::value::{Json, MASK};

/// A redactor that all writers of a process share, as secrets become known while it runs.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    redactor: RwLock<Redactor>,
    /// How many want it lifted.
    lifted: AtomicUsize,
}

/// The redactor is lifted from under its writers while this lives.
#[derive(Debug)]
#[must_use = "it is lifted only while this lives"]
pub struct Lifted(Shared);

impl Drop for Lifted {
    fn drop(&mut self) {
        self.0.0.lifted.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    /// Shares a redactor.
    pub fn new(redactor: Redactor) -> Self {
        Self(Arc::new(Inner { redactor: RwLock::new(redactor), lifted: AtomicUsize::new(0) }))
    }

    /// Takes in a secret: every text in it. The answer is the worst of its parts.
    pub fn add_json(&self, secret: &Json) -> Added {
        self.0.redactor.write().unwrap_or_else(PoisonError::into_inner).add_json(secret)
    }

    /// Searches with what another one has built if both know the same secrets, until this one
    /// learns of more: building that costs more than a run of few steps does otherwise.
    pub fn search_as(&self, other: &Self) {
        if !Arc::ptr_eq(&self.0, &other.0) {
            let mut redactor = self.0.redactor.write().unwrap_or_else(PoisonError::into_inner);
            redactor.search_as(&other.read());
        }
    }

    /// A text with every secret in it replaced.
    pub fn mask(&self, text: &str) -> String {
        self.read().mask(text).into_owned()
    }

    /// As [`mask`](Self::mask), for a text that was cut: a secret that only begins at its end
    /// is replaced too.
    pub fn mask_cut(&self, text: &str) -> String {
        self.read().mask_cut(text)
    }

    /// Whether a known secret is in a value, in whatever form.
    pub fn knows(&self, json: &Json) -> bool {
        let redactor = self.read();
        !redactor.is_empty() && redactor.mask_json(json) != *json
    }

    /// Lets everything pass until the guard is dropped: for one text that was masked already
    /// but for what its author reveals.
    pub fn lift(&self) -> Lifted {
        self.0.lifted.fetch_add(1, Ordering::SeqCst);
        Lifted(self.clone())
    }

    fn is_lifted(&self) -> bool {
        self.0.lifted.load(Ordering::SeqCst) > 0
    }

    /// Puts the redactor under a writer.
    pub fn writer<W: Write>(&self, inner: W) -> RedactingWriter<W> {
        RedactingWriter::new(inner, self.clone())
    }

    fn read(&self) -> RwLockReadGuard<'_, Redactor> {
        self.0.redactor.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes through a redactor.
///
/// Only an end that could be the beginning of a secret is held back, until more comes or the
/// writer is dropped or [finished](RedactingWriter::finish); flushing does not let it out,
/// as the rest of the secret may come after.
#[derive(Debug)]
pub struct RedactingWriter<W: Write> {
    /// `None` only once it is finished.
    inner: Option<W>,
    redactor: Shared,
    /// What may be the beginning of a secret.
    held: Held,
}

/// Bytes that are not shown: neither by `Debug`.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// So many of them belong to a secret whose mask was written already.
    masked: usize,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} bytes)", self.bytes.len())
    }
}

impl<W: Write> RedactingWriter<W> {
    /// Puts a redactor under a writer.
    pub fn new(inner: W, redactor: Shared) -> Self {
        Self { inner: Some(inner), redactor, held: Held::default() }
    }

    /// Writes what was held back and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.let_out()?;
        self.inner.take().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    fn let_out(&mut self) -> io::Result<()> {
        let Some(inner) = self.inner.as_mut() else { return Ok(()) };
        let redactor = self.redactor.read();
        let out = self.held.take(&redactor, Held::all);
        drop(redactor);
        inner.write_all(&out)?;
        inner.flush()
    }
}

impl Held {
    fn all(bytes: &[u8], _: &Redactor) -> usize {
        bytes.len()
    }

    fn safe(bytes: &[u8], redactor: &Redactor) -> usize {
        redactor.open_end(bytes)
    }

    /// Takes out what can be written, masked.
    fn take(&mut self, redactor: &Redactor, upto: fn(&[u8], &Redactor) -> usize) -> Vec<u8> {
        let Some(found) = redactor.find(&self.bytes) else {
            *self = Self::default();
            return MASK.into();
        };
        let cut = upto(&self.bytes, redactor);
        let mut out = Vec::with_capacity(cut);
        let mut done = self.masked;
        for range in found.into_iter().take_while(|range| range.start < cut) {
            // one that overlaps what is masked already goes on under the same mask
            if range.start >= done {
                out.extend(self.bytes.get(done..range.start).unwrap_or_default());
                out.extend(MASK.as_bytes());
            }
            done = done.max(range.end);
        }
        out.extend(self.bytes.get(done..cut).unwrap_or_default());
        self.bytes.drain(..cut);
        self.masked = done.saturating_sub(cut);
        out
    }
}

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let inner = self.inner.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let redactor = self.redactor.read();
        let out = if self.redactor.is_lifted() {
            let mut out = self.held.take(&redactor, Held::all);
            out.extend(bytes);
            out
        } else {
            self.held.bytes.extend(bytes);
            self.held.take(&redactor, Held::safe)
        };
        drop(redactor);
        inner.write_all(&out)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl<W: Write> Drop for RedactingWriter<W> {
    fn drop(&mut self) {
        // nobody to tell: who wants to know calls `finish`
        let _ = self.let_out();
    }
}
