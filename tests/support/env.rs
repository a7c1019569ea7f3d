//! A clean environment: nothing of the developer's machine reaches the program but `PATH`.
//!
//! Home, configuration and state are inside one temporary folder, which is also the working
//! folder and vanishes with the [`Env`]. No wait is timed; a program that hangs is killed after
//! [`PATIENCE`] and the test fails.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a test waits for what must come: far more than is ever needed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// One temporary folder and the variables that point into it.
pub(crate) struct Env {
    root: PathBuf,
    vars: Vec<(String, String)>,
    _folder: TempDir,
}

impl Env {
    /// A fresh, empty folder.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("runbook-test-").tempdir().expect("temp dir");
        let root = folder.path().canonicalize().expect("temp dir has a real path");
        Self { root, vars: Vec::new(), _folder: folder }
    }

    /// Sets one more variable for every program started from here on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.vars.push((name.to_owned(), value.to_owned()));
    }

    /// The folder: home and working folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The program with arguments in this environment, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.any(env!("CARGO_BIN_EXE_runbook"));
        command.args(args);
        command
    }

    /// Any program in this environment.
    pub(crate) fn any(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.root)
            .env("XDG_CONFIG_HOME", self.path(".config"))
            .env("XDG_STATE_HOME", self.path(".state"))
            .env("TZ", "UTC")
            .env("NO_COLOR", "1")
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.root);
        command
    }

    /// Runs the program to its end, without input.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        Running::start(self.command(args), "").finish()
    }

    /// Starts the program and leaves it running.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args), "")
    }
}

/// What a program left behind.
#[must_use = "compare all of it: an unread error is a missed failure"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The exit status; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
}

/// A stream that is read as it comes.
#[derive(Default)]
struct Stream {
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Stream {
    fn read(mut from: impl Read + Send + 'static) -> (Arc<Self>, JoinHandle<()>) {
        let stream = Arc::new(Self::default());
        let reader = Arc::clone(&stream);
        let thread = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut chunk) {
                reader.state.lock().expect("stream").0.extend_from_slice(&chunk[..length]);
                reader.changed.notify_all();
            }
            reader.state.lock().expect("stream").1 = true;
            reader.changed.notify_all();
        });
        (stream, thread)
    }

    /// Waits until the text, or the end of the stream, satisfies `enough`; false in vain.
    fn wait(&self, enough: impl Fn(&str, bool) -> bool) -> bool {
        let state = self.state.lock().expect("stream");
        let (state, _) = self
            .changed
            .wait_timeout_while(state, PATIENCE, |(bytes, ended)| {
                !enough(&String::from_utf8_lossy(bytes), *ended) && !*ended
            })
            .expect("stream");
        enough(&String::from_utf8_lossy(&state.0), state.1)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.state.lock().expect("stream").0).into_owned()
    }
}

/// A program under way. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    stdout: Arc<Stream>,
    stderr: Arc<Stream>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts a command, gives it all of its input and closes that.
    pub(crate) fn start(mut command: Command, stdin: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("program starts");
        let mut input = child.stdin.take().expect("stdin is piped");
        // A program that never reads its input closes the pipe: that is its right.
        let _ = input.write_all(stdin.as_bytes());
        drop(input);
        let (stdout, out) = Stream::read(child.stdout.take().expect("stdout is piped"));
        let (stderr, err) = Stream::read(child.stderr.take().expect("stderr is piped"));
        Self { child, stdout, stderr, readers: vec![out, err] }
    }

    /// Waits until the text stands on stderr.
    pub(crate) fn wait_for(&self, text: &str) {
        let seen = self.stderr.wait(|so_far, _| so_far.contains(text));
        assert!(seen, "`{text}` never came; stderr was:\n{}", self.stderr.text());
    }

    /// Waits for the first line on stdout.
    pub(crate) fn first_line(&self) -> String {
        let seen = self.stdout.wait(|so_far, _| so_far.contains('\n'));
        assert!(seen, "no line on stdout; stderr was:\n{}", self.stderr.text());
        self.stdout.text().lines().next().unwrap_or_default().to_owned()
    }

    /// What it has said on stderr so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.text()
    }

    /// The process's number, for signals.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as `kill -9` does, and gives what it had said.
    pub(crate) fn kill(mut self) -> Output {
        self.child.kill().expect("program can be killed");
        self.finish()
    }

    /// Ends it as Ctrl-C does, and gives what it had said.
    pub(crate) fn interrupt(self) -> Output {
        self.signal(Signal::INT)
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn signal(self, signal: Signal) -> Output {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("program takes signals");
        self.finish()
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Output {
        let ended = self.stdout.wait(|_, ended| ended) && self.stderr.wait(|_, ended| ended);
        assert!(ended, "the program hangs; stderr was:\n{}", self.stderr.text());
        for reader in self.readers.drain(..) {
            reader.join().expect("reader ends");
        }
        let status = self.child.wait().expect("program ends");
        Output { stdout: self.stdout.text(), stderr: self.stderr.text(), code: status.code() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(env: &Env, script: &str) -> Running {
        let mut command = env.any("sh");
        command.args(["-c", script]);
        Running::start(command, "typed")
    }

    #[test]
    fn nothing_of_the_machine_reaches_the_program() {
        let mut env = Env::new();
        env.set("MINE", "1");
        let out = sh(&env, "env; pwd").finish();
        let names: Vec<&str> =
            out.stdout.lines().filter_map(|l| Some(l.split_once('=')?.0)).collect();
        let own = ["HOME", "MINE", "NO_COLOR", "PATH", "TZ", "XDG_CONFIG_HOME", "XDG_STATE_HOME"];
        let shell = ["PWD", "OLDPWD", "SHLVL", "_"];
        for name in names {
            assert!(own.contains(&name) || shell.contains(&name), "{name} leaks");
        }
        assert!(out.stdout.contains(&format!("HOME={}\n", env.root().display())));
    }

    #[test]
    fn both_streams_the_input_and_the_code_come_through() {
        let out = sh(&Env::new(), "cat; echo oops >&2; exit 3").finish();
        let wanted = Output { stdout: "typed".into(), stderr: "oops\n".into(), code: Some(3) };
        assert_eq!(out, wanted);
    }

    #[test]
    fn a_running_program_can_be_awaited_and_killed() {
        let running = sh(&Env::new(), "echo ready >&2; exec tail -f /dev/null");
        running.wait_for("ready");
        assert!(running.pid() > 0);
        assert_eq!(running.kill().code, None);
    }

    #[test]
    fn the_program_itself_starts() {
        let env = Env::new();
        let out = env.run(&["--version"]);
        assert_eq!(env.start(&["--version"]).finish(), out);
    }
}
