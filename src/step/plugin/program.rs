//! A plug-in's program, run: one text on its standard input, what it says, and an end in any case.
//!
//! It is the leader of a process group of its own, which is killed as a whole, and what it leaves
//! behind when it ends by itself is ended too.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::super::child::{Listen, MARK, Take, listen};
use crate::printable::printable;

pub(super) use super::super::child::{End, Said};

/// How much of its standard error is kept, in bytes: the last lines.
const TAIL: usize = 64 * 1024;

/// The program, and what it was when it was trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// The SHA-256 of the file, where only this content is trusted.
    pub pinned: Option<String>,
}

/// What it was told, and what it may take.
pub(super) struct Task<'a> {
    pub(super) args: &'a [&'a str],
    pub(super) stdin: Option<String>,
    /// By what it is known again, if it outlives this process.
    pub(super) mark: Option<String>,
    pub(super) folder: &'a Path,
    pub(super) time: Option<Duration>,
    pub(super) output: usize,
}

/// Hides the secrets in a text; told whether the text may break off in the middle of one.
pub(super) type Mask<'a> = &'a dyn Fn(&str, bool) -> String;

impl Said {
    /// The last lines of what it said, harmless to show; its output only if that may be shown.
    pub(super) fn lines(&self, output: bool, mask: Mask<'_>) -> Vec<String> {
        let mut all = if output {
            tail(&mask(&String::from_utf8_lossy(&self.stdout), self.broken_off()), "it printed")
        } else {
            Vec::new()
        };
        if !output && !self.stdout.is_empty() {
            all.push("what it printed is not shown: it may hold a secret".to_owned());
        }
        all.extend(self.complaints(mask));
        all
    }

    /// The last lines of its standard error.
    pub(super) fn complaints(&self, mask: Mask<'_>) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.stderr);
        tail(&mask(&text, self.broken_off()), "it complained")
    }

    /// Whether it was ended while it spoke.
    fn broken_off(&self) -> bool {
        !matches!(self.end, End::Status(_))
    }
}

/// The last lines of a text, harmless to show. Its secrets are hidden already: a line that is cut
/// may end in a part of one, which nobody finds.
fn tail(text: &str, word: &str) -> Vec<String> {
    const LINES: usize = 10;
    const WIDTH: usize = 400;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(LINES);
    let clip = |line: &&str| {
        let short: String = line.chars().take(WIDTH).collect();
        let more = if short.len() < line.len() { "…" } else { "" };
        format!("{word}: {}{more}", printable(&short))
    };
    lines[from..].iter().map(clip).collect()
}

impl Program {
    /// The SHA-256 of a file, in hexadecimal.
    pub fn digest(path: &Path) -> std::io::Result<String> {
        use sha2::{Digest as _, Sha256};
        Ok(crate::value::hex(&Sha256::digest(std::fs::read(path)?)))
    }

    /// Refuses a file that is not what was trusted any more.
    fn unchanged(&self) -> Result<(), String> {
        let Some(pinned) = &self.pinned else { return Ok(()) };
        match Self::digest(&self.path) {
            Ok(now) if now == *pinned => Ok(()),
            Ok(_) => Err(format!("{} has changed since it was trusted", self.path.display())),
            Err(error) => Err(format!("cannot read {}: {error}", self.path.display())),
        }
    }

    /// Runs it to its end; an error if it never began.
    pub(super) async fn talk(&self, task: Task<'_>) -> Result<Said, String> {
        self.unchanged()?;
        let mut command = Command::new(&self.path);
        command.args(task.args).current_dir(task.folder).kill_on_drop(true).process_group(0);
        command.envs(task.mark.map(|mark| (MARK, mark)));
        command.stdin(if task.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.path.display()))?;
        let (output, errors) = (Take::Most(task.output), Take::Last(TAIL));
        let (stdin, time) = (task.stdin, task.time);
        Ok(listen(child, Listen { stdin, time, output, errors, alone: true }).await)
    }
}
