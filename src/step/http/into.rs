//! `into`: a body kept as a file, whole or not at all.
//!
//! It is written beside its place under another name, synced, and only then put there; what
//! is there already is left alone unless it is the same or may be replaced. Nothing is
//! followed: a link in its place is refused, and so is a second one on its way to the same place.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::super::block::{beside, explain, refuse_any_link, settle, sync_name};
use super::super::{Answer, Cx, Trouble};
use super::Http;
use crate::crash;
use crate::jq;
use crate::reader::Reader;
use crate::template::Template;
use crate::transport::Taker;
use crate::value::{Labeled, hex};

/// The words for `mode`.
pub(super) const MODES: &[&str] = &["0600", "0640", "0644", "0700", "0750", "0755"];

#[derive(Debug)]
pub(super) struct Into {
    pub(super) file: Template,
    pub(super) mode: Option<&'static str>,
    pub(super) replace: bool,
}

pub(super) fn parse(reader: &Reader<'_>) -> Option<Into> {
    let file = reader.template("into", reader.open("a path"))?;
    let mode = reader.word("mode", MODES);
    Some(Into { file, mode, replace: reader.boolean("replace").unwrap_or(false) })
}

/// A file on its way to its place.
pub(super) struct Incoming {
    path: PathBuf,
    /// Where it is until it is in its place.
    temporary: Option<PathBuf>,
    file: File,
    mode: u32,
    /// The digest of what is there already.
    there: Option<String>,
    replace: bool,
    /// Whether what is there may be what this run wrote before a crash.
    ours: bool,
    /// Whether an attempt before this one may have put it there.
    doubt: bool,
    accept: Box<dyn Fn(u16) -> bool + Send>,
    size: u64,
    digest: Sha256,
}

/// What became of it.
pub(super) struct Kept {
    path: PathBuf,
    size: u64,
    sha256: String,
    unchanged: bool,
}

impl Into {
    pub(super) fn path(&self, cx: &Cx<'_>) -> Result<PathBuf, Trouble> {
        Ok(cx.services.place_to_write(&self.file.render_text(cx.scope)?))
    }

    /// Opens the file before anything is sent. What may be done only once is not done if its
    /// answer could not be kept.
    pub(super) fn open(&self, http: &Http, cx: &Cx<'_>) -> Result<Incoming, Trouble> {
        let path = self.path(cx)?;
        // After a crash what is there may be this run's own.
        let ours = cx.in_doubt && cx.kept_flag("created");
        let incoming = Incoming::open(path.clone(), self.mode(), http.accepting());
        let mut incoming = incoming.map_err(|error| explain(&path, &error))?;
        (incoming.ours, incoming.replace) = (ours, self.replace || ours);
        incoming.doubt = cx.in_doubt;
        if incoming.there.is_some() && !incoming.replace && http.changes() {
            return Err(differs(&path));
        }
        Ok(incoming)
    }

    fn mode(&self) -> u32 {
        self.mode.and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o600)
    }

    /// How things stand before: what only that can tell after a crash.
    pub(super) fn before(&self, cx: &Cx<'_>) -> Vec<(&'static str, Labeled)> {
        let Ok(path) = self.path(cx) else { return Vec::new() };
        vec![("created", Labeled::plain(std::fs::symlink_metadata(path).is_err()))]
    }

    /// Removes the file if it is still what this run wrote.
    pub(super) fn take_back(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        if cx.kept_flag("unchanged") {
            return Ok("was there before this run; left alone".to_owned());
        }
        let path =
            cx.kept_text("path").map_or_else(|| self.path(cx), |path| Ok(PathBuf::from(path)))?;
        let failed = |error: io::Error| explain(&path, &error);
        let shown = path.display();
        let Some(found) = digest_of(&path).map_err(failed)? else {
            settle(&path, cx.in_doubt).map_err(failed)?;
            return Ok(format!("{shown} is gone"));
        };
        if cx.kept_text("sha256") != Some(&found) {
            return Ok(format!("{shown} is not what this run wrote; left alone"));
        }
        std::fs::remove_file(&path).and_then(|()| sync_name(&path)).map_err(failed)?;
        Ok(format!("{shown} removed"))
    }
}

impl Incoming {
    fn open(path: PathBuf, mode: u32, accept: Box<dyn Fn(u16) -> bool + Send>) -> io::Result<Self> {
        refuse_any_link(&path)?;
        let (temporary, file) = beside(&path)?;
        let (size, digest) = (0, Sha256::new());
        let (there, replace, ours, doubt) = (None, false, false, false);
        let temporary = Some(temporary);
        let mut incoming =
            Self { path, temporary, file, mode, there, replace, ours, doubt, accept, size, digest };
        // from here on nobody else puts one there
        incoming.there = digest_of(&incoming.path)?;
        Ok(incoming)
    }

    /// Puts it in its place.
    pub(super) fn keep(mut self) -> Result<Kept, Trouble> {
        let sha256 = hex(&self.digest.clone().finalize());
        let (path, size) = (self.path.clone(), self.size);
        let same = self.there.as_ref() == Some(&sha256);
        if self.there.is_some() && !same && !self.replace {
            return Err(differs(&path));
        }
        let kept = if same { settle(&path, self.doubt) } else { self.put() };
        kept.map_err(|error| explain(&path, &error))?;
        Ok(Kept { path, size, sha256, unchanged: same && !self.ours })
    }

    fn put(&mut self) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(self.mode))?;
        self.file.sync_all()?;
        // one that was put there since it was looked at is refused too
        refuse_any_link(&self.path)?;
        crash::point();
        if let Some(temporary) = &self.temporary {
            std::fs::rename(temporary, &self.path)?;
        }
        // what has its name from here on is another's
        self.temporary = None;
        sync_name(&self.path)?;
        crash::point();
        Ok(())
    }
}

impl Taker for Incoming {
    fn wants(&self, status: u16) -> bool {
        (self.accept)(status)
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), String> {
        self.size += u64::try_from(chunk.len()).unwrap_or(0);
        self.digest.update(chunk);
        self.file.write_all(chunk).map_err(|error| {
            format!("the answer cannot be kept as {}: {error}", self.path.display())
        })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = std::fs::remove_file(temporary);
        }
    }
}

impl Kept {
    /// The answer of a step that kept a file.
    pub(super) fn answer(self, answer: Answer) -> Answer {
        let (path, size, sha256) = (self.path.display().to_string(), self.size, self.sha256);
        let json = serde_json::json!({ "path": path, "size": size, "sha256": sha256 });
        let summary = if self.unchanged {
            format!("{}, already in {path}", answer.summary)
        } else {
            format!("{}, {size} bytes into {path}", answer.summary)
        };
        let mut private = answer.private;
        private.extend([
            ("path", Labeled::plain(path)),
            ("sha256", Labeled::plain(sha256)),
            ("unchanged", Labeled::plain(self.unchanged)),
        ]);
        Answer {
            input: jq::from_json(&json),
            locals: answer.locals,
            summary,
            private,
            ..Answer::default()
        }
    }

    pub(super) fn is_unchanged(&self) -> bool {
        self.unchanged
    }
}

fn differs(path: &Path) -> Trouble {
    Trouble::failed(format!("{} is there already, and is another file", path.display()))
        .hint("it is never overwritten: move it away, or allow it with `replace = true`")
}

/// The digest of a file; none if there is none.
fn digest_of(path: &Path) -> io::Result<Option<String>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let (mut digest, mut chunk) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Some(hex(&digest.finalize()))),
            length => digest.update(&chunk[..length]),
        }
    }
}
