//! A real `sshd` on a port of its own, and an `ssh` that knows it and nothing of this machine's person.
//!
//! `ssh` finds a person's files through the system's list of users, not through `HOME`. So a
//! script of that name stands first in `PATH` and hands a configuration of the test's on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::env::{Env, Running};

/// The server. Dropping it stops it.
pub(crate) struct Sshd {
    running: Option<Running>,
    folder: PathBuf,
    program: PathBuf,
    port: u16,
    user: String,
}

impl Sshd {
    /// Starts it, and makes the `ssh` of this environment know it and be let in. None, and a line
    /// that says so, where there is no `sshd`.
    pub(crate) fn start(env: &mut Env) -> Option<Self> {
        Self::with(env, "")
    }

    /// The same, with more lines of `sshd_config`.
    pub(crate) fn with(env: &mut Env, more: &str) -> Option<Self> {
        let Some(program) = super::program("sshd") else {
            say("skipped: no sshd");
            return None;
        };
        let folder = env.path("sshd");
        fs::create_dir(&folder).expect("a folder for sshd");
        let port = super::free_port();
        let user = said(Command::new("id").arg("-un"));
        if user == "root" {
            fs::create_dir_all("/run/sshd").expect("sshd's own folder");
        }
        let sshd = Self { running: None, folder, program, port, user };
        sshd.key("host");
        sshd.key("id");
        fs::copy(sshd.path("id.pub"), sshd.path("authorized")).expect("a key that is let in");
        sshd.write("sshd_config", &sshd.server_config(more));
        sshd.know(&sshd.path("host.pub"));
        sshd.client(env);
        let mut sshd = sshd;
        sshd.resume(env);
        Some(sshd)
    }

    /// `user@127.0.0.1:port`.
    pub(crate) fn destination(&self) -> String {
        format!("{}@127.0.0.1:{}", self.user, self.port)
    }

    /// A file of the server's and the client's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes a key pair.
    pub(crate) fn key(&self, name: &str) {
        let mut keygen = Command::new("ssh-keygen");
        said(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(self.path(name)));
    }

    /// Makes this the only host key that is known.
    pub(crate) fn know(&self, public: &Path) {
        let key = fs::read_to_string(public).expect("a public key");
        self.write("known", &format!("[127.0.0.1]:{} {key}", self.port));
    }

    /// Writes one of its files.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file of sshd's");
    }

    /// How many sessions were opened.
    pub(crate) fn sessions(&self) -> usize {
        let running = self.running.as_ref().expect("sshd runs");
        running.said().matches("Accepted publickey").count()
    }

    /// Every argument list with which `ssh` was started, one a line.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    /// Waits for its `n`-th session to end.
    pub(crate) fn wait_for_end(&self) {
        self.running.as_ref().expect("sshd runs").wait_for("Disconnected from user");
    }

    /// Breaks every session off, as a network would.
    pub(crate) fn cut(&self) {
        let parent = self.running.as_ref().expect("sshd runs").pid().to_string();
        for child in said(Command::new("ps").args(["-o", "pid=", "--ppid", &parent])).lines() {
            said(Command::new("sh").args(["-c", &format!("kill -9 {}", child.trim())]));
        }
    }

    /// Stops listening; sessions stay.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    fn resume(&mut self, env: &Env) {
        let mut command = env.any(self.program.to_str().expect("a plain path"));
        command.args(["-D", "-e", "-f"]).arg(self.path("sshd_config"));
        let running = Running::start(command, "");
        running.wait_for("Server listening on");
        self.running = Some(running);
    }

    fn server_config(&self, more: &str) -> String {
        let folder = self.folder.display();
        format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\n{more}\n",
            self.port
        )
    }

    fn client(&self, env: &mut Env) {
        let folder = self.folder.display();
        let config = format!(
            "Host *\n IdentityFile {folder}/id\n IdentitiesOnly yes\n IdentityAgent none\n\
             UserKnownHostsFile {folder}/known\n GlobalKnownHostsFile /dev/null\n"
        );
        self.write("config", &config);
        let path = std::env::var("PATH").unwrap_or_default();
        let ssh = said(Command::new("sh").args(["-c", "command -v ssh"]));
        let script = format!(
            "#!/bin/sh\necho \"$*\" | tr '\\n' ' ' >> {folder}/calls\necho >> {folder}/calls\nexec {ssh} -F {folder}/config \"$@\"\n"
        );
        fs::create_dir(self.path("bin")).expect("a folder for ssh");
        self.write("bin/ssh", &script);
        fs::set_permissions(self.path("bin/ssh"), fs::Permissions::from_mode(0o755)).expect("ssh");
        env.set("PATH", &format!("{folder}/bin:{path}"));
    }
}

/// Runs a program that must succeed, and gives what it printed.
fn said(command: &mut Command) -> String {
    let output = command.output().expect("program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A line for whoever watches the tests.
#[expect(clippy::print_stderr, reason = "what was measured or left out is told")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}
