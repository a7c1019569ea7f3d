//! Sessions to other hosts through the system's OpenSSH client, each kept for the whole run.
//!
//! One `ssh` a host (a *master*) holds the connection; forwards and commands go through its
//! control socket. It is the person's own `ssh`: their configuration, agent, known hosts, jump
//! hosts and hardware keys count. Host keys are always checked. Invariant: a master never
//! outlives this process for long. It stands under a small shell that waits for the end of its
//! standard input, which comes with the end of this process, however that ends.

mod fault;
pub mod remote;
mod way;

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fmt;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

pub use fault::Fault;
pub(super) use way::Reached;
pub use way::Way;

/// How long a host may take to let us in when nobody is there to type or touch anything.
const ALONE: Duration = Duration::from_mins(1);

/// The same when somebody is.
const WITH_PERSON: Duration = Duration::from_mins(5);

/// How often it is looked whether a session is there.
const LOOK: Duration = Duration::from_millis(5);

/// How long one look at a port may take before it is taken to be open.
const PROBE: Duration = Duration::from_secs(2);

/// For how long a port found open is not looked at again.
const FRESH: Duration = Duration::from_secs(1);

/// What a master says when the host behind it cannot reach a port.
const OPEN_FAILED: &str = "open failed: ";

/// How many commands run at once on one host. An `sshd` takes ten sessions on a connection
/// unless it is told otherwise (`MaxSessions`), and what was broken off may hold one a little longer.
const AT_ONCE: usize = 8;

/// How many of ssh's lines are kept for an explanation.
const LINES: usize = 40;

/// The longest folder that leaves room for a socket's name: its path has about 100 bytes.
const FOLDER: usize = 60;

/// Runs a master below it: `$0` is the folder of its sockets. Interrupts are this process's
/// business. `read` ends when standard input does.
const GUARD: &str = r#"trap '' INT QUIT
"$@" </dev/null &
exec 2>/dev/null
read -r _
kill $!
wait
rm -rf -- "$0"
"#;

/// A host to go through: `user@host:port`, user and port optional.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    login: String,
    port: Option<u16>,
}

impl Destination {
    /// Reads `[user@]host[:port]`; an IPv6 address with a port stands in brackets.
    /// Fails with what is wrong, one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no ssh host: write `user@host` or `user@host:port`");
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            None => match rest.split_once(':') {
                // More than one colon: an address without a port.
                Some((_, port)) if port.contains(':') => (rest, None),
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = port.map(|port| port.parse().map_err(|_| wrong())).transpose()?;
        let plain = |text: &str| {
            let odd =
                |c: char| c.is_whitespace() || c.is_control() || "/\\'\"`$;&|<>()".contains(c);
            !text.is_empty() && !text.starts_with('-') && !text.contains(odd)
        };
        if !plain(host) || !user.is_none_or(plain) || port == Some(0) {
            return Err(wrong());
        }
        let login = user.map_or_else(|| host.to_owned(), |user| format!("{user}@{host}"));
        Ok(Self { login, port })
    }

    fn host(&self) -> &str {
        self.login.rsplit_once('@').map_or(&self.login, |(_, host)| host)
    }

    /// The command with which a person goes there.
    pub fn by_hand(&self) -> String {
        match self.port {
            Some(port) => format!("ssh -p {port} {}", self.login),
            None => format!("ssh {}", self.login),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.login),
            None => f.write_str(&self.login),
        }
    }
}

/// The sessions of a run; dropping it ends them.
#[derive(Debug, Default)]
pub struct Sessions {
    /// `PATH`, where `ssh` is looked for.
    path: String,
    open: Mutex<HashMap<Destination, Arc<Session>>>,
}

impl Sessions {
    /// None yet; `path` is where programs are looked for, as in `PATH`.
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), open: Mutex::default() }
    }

    /// The session to a host; not connected before [`Session::open`].
    pub fn to(&self, to: &Destination) -> Arc<Session> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Session::new(to.clone(), &self.path));
        open.entry(to.clone()).or_insert_with(new).clone()
    }
}

/// A session to one host.
#[derive(Debug)]
pub struct Session {
    to: Destination,
    path: String,
    master: tokio::sync::Mutex<Option<Master>>,
    room: Arc<Semaphore>,
}

impl Session {
    fn new(to: Destination, path: &str) -> Self {
        let (master, room) = (tokio::sync::Mutex::default(), Arc::new(Semaphore::new(AT_ONCE)));
        Self { to, path: path.to_owned(), master, room }
    }

    /// Whether it is connected.
    pub async fn is_open(&self) -> bool {
        self.master.lock().await.as_ref().is_some_and(Master::lives)
    }

    /// Connects, if it is not; again, if it was. With a `person` ssh itself may ask for a
    /// passphrase at the terminal.
    pub async fn open(&self, person: bool) -> Result<(), Fault> {
        let mut master = self.master.lock().await;
        if master.as_ref().is_some_and(Master::lives) {
            return Ok(());
        }
        *master = None;
        let program = find("ssh", &self.path).ok_or_else(|| Fault::missing(&self.to))?;
        *master = Some(Master::start(&program, &self.to, person).await?);
        Ok(())
    }

    /// A way to a port as it is reached from there, `host` as in a URL.
    pub async fn way(self: &Arc<Self>, host: &str, port: u16) -> Result<Way, Fault> {
        let mut master = self.master.lock().await;
        let open = master.as_mut().ok_or_else(|| Fault::lost(&self.to))?;
        let target = format!("{host}:{port}");
        let socket = open.forward(&self.to, &target).await?;
        Ok(Way::new(self.clone(), socket, target))
    }

    /// Waits until one more command may run there; it may while what is given is kept.
    pub async fn room(&self) -> Option<OwnedSemaphorePermit> {
        // only a closed one gives none, and nobody closes it
        self.room.clone().acquire_owned().await.ok()
    }

    /// Why a command that ended with ssh's own failure certainly never began, if that is so.
    pub async fn unbegun(&self, stderr: &str) -> Option<Fault> {
        let mark = self.master.lock().await.as_ref()?.mark();
        fault::refused(stderr, &mark).then(|| Fault::full(&self.to, stderr))
    }

    /// The start of a command there; `line` is for the login shell, see [`remote::line`].
    pub async fn command(&self, line: &str) -> Result<Command, Fault> {
        let master = self.master.lock().await;
        let open = master.as_ref().ok_or_else(|| Fault::lost(&self.to))?;
        let mut command = open.client(&self.to, &["-T"]);
        command.arg(line);
        Ok(command)
    }

    /// Whether somebody listens on a port, as seen from there.
    async fn reach(&self, target: &str) -> Result<(), Fault> {
        let (mut probe, said, seen) = {
            let master = self.master.lock().await;
            let open = master.as_ref().ok_or_else(|| Fault::lost(&self.to))?;
            if open.found_open(target) {
                return Ok(());
            }
            let seen = open.said.count();
            (open.client(&self.to, &["-W", target]), open.said.clone(), seen)
        };
        probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Whoever listens sees the end of the stream at once, and closes. Who does not close is
        // there all the same.
        match timeout(PROBE, probe.status()).await {
            Ok(Ok(status)) if !status.success() => {
                let lines = said.reason(seen).await;
                return Err(if said.ended() {
                    Fault::lost(&self.to)
                } else {
                    Fault::unreachable(&self.to, target, &lines)
                });
            }
            Ok(Err(error)) => return Err(Fault::not_started(&self.to, &error)),
            Ok(Ok(_)) | Err(_) => {}
        }
        if let Some(open) = self.master.lock().await.as_mut() {
            open.mark_open(target);
        }
        Ok(())
    }
}

/// The `ssh` that holds a connection. Dropping it ends it: its guard's input closes.
#[derive(Debug)]
struct Master {
    program: PathBuf,
    said: Said,
    /// Targets and the sockets that lead to them.
    forwards: Vec<(String, PathBuf)>,
    /// Targets found open, and when.
    found: HashMap<String, Instant>,
    _guard: Child,
    folder: TempDir,
}

impl Master {
    async fn start(program: &Path, to: &Destination, person: bool) -> Result<Self, Fault> {
        let failed = |error: std::io::Error| Fault::not_started(to, &error);
        let folder = folder().map_err(failed)?;
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD]).arg(folder.path()).arg(program);
        guard.arg("-S").arg(folder.path().join(CONTROL)).args(options(person)).args(MASTER);
        guard.args(to.port.map(|port| format!("-p{port}"))).arg("--").arg(&to.login);
        if !person {
            // Also for the `ssh` of a jump host, which does not get our options.
            guard.env("SSH_ASKPASS", "false").env("SSH_ASKPASS_REQUIRE", "force");
        }
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut guard = guard.spawn().map_err(failed)?;
        let said = Said::default();
        if let Some(stderr) = guard.stderr.take() {
            tokio::spawn(said.clone().listen(stderr));
        }
        let (program, forwards) = (program.to_owned(), Vec::new());
        let found = HashMap::new();
        let master = Self { program, said, forwards, found, _guard: guard, folder };
        let limit = if person { WITH_PERSON } else { ALONE };
        match timeout(limit, master.connected()).await {
            Ok(true) => Ok(master),
            Ok(false) => Err(Fault::connecting(to, &master.said.since(0))),
            Err(_) => Err(Fault::slow(to, limit, &master.said.since(0))),
        }
    }

    /// Waits for the control socket, which is there once the host has let us in.
    async fn connected(&self) -> bool {
        let socket = self.folder.path().join(CONTROL);
        while self.lives() {
            if socket.exists() {
                return true;
            }
            tokio::time::sleep(LOOK).await;
        }
        false
    }

    fn lives(&self) -> bool {
        !self.said.ended()
    }

    /// What a client says that did not get through the master. Nobody on the host knows the name
    /// of the folder.
    fn mark(&self) -> String {
        format!("nothing else leads there, says {}", self.folder.path().display())
    }

    /// An `ssh` that goes through the master, and nowhere if that is gone. No configuration is
    /// read: a forward of the person's own would be asked for again.
    fn client(&self, to: &Destination, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-F", "none", "-S"]).arg(self.folder.path().join(CONTROL));
        // What ssh itself says after that depends on which end closes first.
        let nowhere = format!("ProxyCommand=sh -c 'echo {} >&2'", self.mark());
        command.args(["-o", "BatchMode=yes", "-o", &nowhere, "-o", "LogLevel=ERROR"]);
        command.args(arguments).args(["--", &to.login]).kill_on_drop(true);
        command
    }

    async fn forward(&mut self, to: &Destination, target: &str) -> Result<PathBuf, Fault> {
        if let Some((_, socket)) = self.forwards.iter().find(|(known, _)| known == target) {
            return Ok(socket.clone());
        }
        let socket = self.folder.path().join(format!("f{}", self.forwards.len()));
        let forward = format!("{}:{target}", socket.display());
        let mut client = self.client(to, &["-O", "forward", "-L", &forward]);
        client.stdin(Stdio::null());
        let done = client.output().await.map_err(|error| Fault::not_started(to, &error))?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            let lines: Vec<String> = said.lines().map(str::to_owned).collect();
            return Err(Fault::unreachable(to, target, &lines));
        }
        self.forwards.push((target.to_owned(), socket.clone()));
        Ok(socket)
    }

    fn found_open(&self, target: &str) -> bool {
        self.lives() && self.found.get(target).is_some_and(|at| at.elapsed() < FRESH)
    }

    fn mark_open(&mut self, target: &str) {
        self.found.insert(target.to_owned(), Instant::now());
    }
}

/// The control socket's name in its folder.
const CONTROL: &str = "c";

/// What a master is told besides the person's configuration, and over it.
const MASTER: &[&str] = &[
    "-M",
    "-N",
    "-T",
    "-oControlPersist=no",
    "-oStrictHostKeyChecking=yes",
    "-oClearAllForwardings=yes",
    "-oPermitLocalCommand=no",
    "-oRemoteCommand=none",
    "-oStreamLocalBindMask=0177",
    "-oServerAliveInterval=15",
    "-oServerAliveCountMax=3",
    "-oConnectTimeout=15",
    "-oLogLevel=INFO",
];

fn options(person: bool) -> &'static [&'static str] {
    if person { &[] } else { &["-oBatchMode=yes"] }
}

/// A folder that only this person may enter, with a path short and plain enough for ssh, which
/// takes `%` and `:` for its own.
fn folder() -> std::io::Result<TempDir> {
    let usual = std::env::temp_dir();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.+".contains(c);
    let fits = usual.to_str().is_some_and(|path| path.len() <= FOLDER && path.chars().all(plain));
    let mut builder = tempfile::Builder::new();
    builder.prefix("runbook-ssh-").permissions(Permissions::from_mode(0o700));
    if fits && usual.is_absolute() { builder.tempdir_in(usual) } else { builder.tempdir_in("/tmp") }
}

/// A program of this name in the folders of a `PATH`.
fn find(name: &str, path: &str) -> Option<PathBuf> {
    let folders = std::env::split_paths(OsStr::new(path));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// What a master wrote to its standard error, as it comes.
#[derive(Debug, Clone, Default)]
struct Said(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    lines: VecDeque<String>,
    count: usize,
    ended: bool,
}

impl Said {
    async fn listen(self, from: impl AsyncRead + Unpin) {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while let Ok(1..) = reader.read_until(b'\n', &mut line).await {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            self.with(|heard| {
                heard.count += 1;
                heard.lines.push_back(text);
                if heard.lines.len() > LINES {
                    heard.lines.pop_front();
                }
            });
            line.clear();
        }
        self.with(|heard| heard.ended = true);
    }

    fn with<T>(&self, f: impl FnOnce(&mut Heard) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The lines after the first `count`, as soon as one says why a port cannot be reached.
    async fn reason(&self, count: usize) -> Vec<String> {
        let come = async {
            while !self.ended() && !self.since(count).iter().any(|line| line.contains(OPEN_FAILED))
            {
                tokio::time::sleep(LOOK).await;
            }
        };
        // The reason is only told: without it, it is still so.
        let _ = timeout(FRESH, come).await;
        self.since(count)
    }

    fn ended(&self) -> bool {
        self.with(|heard| heard.ended)
    }

    fn count(&self) -> usize {
        self.with(|heard| heard.count)
    }

    /// The lines after the first `count`, as far as they are kept.
    fn since(&self, count: usize) -> Vec<String> {
        self.with(|heard| {
            let dropped = heard.count - heard.lines.len();
            heard.lines.iter().skip(count.saturating_sub(dropped)).cloned().collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_read_as_people_write_it() {
        for (text, login, port) in [
            ("host", "host", None),
            ("me@host.example", "me@host.example", None),
            ("me@host:2222", "me@host", Some(2222)),
            ("me@10.0.0.1:22", "me@10.0.0.1", Some(22)),
            ("me@fe80::1", "me@fe80::1", None),
            ("me@[fe80::1]:22", "me@fe80::1", Some(22)),
            ("[::1]", "::1", None),
            ("me@realm@host", "me@realm@host", None),
        ] {
            let wanted = Destination { login: login.to_owned(), port };
            assert_eq!(Destination::parse(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_ssh_would_take_for_something_else_is_refused() {
        for text in [
            "",
            "@host",
            "me@",
            "-oProxyCommand=x",
            "me@-x",
            "a b",
            "host:x",
            "host:0",
            "host:99999",
            "[::1]22",
            "h;x",
            "a\nb",
        ] {
            assert!(Destination::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_last_lines_are_kept_and_they_keep_their_numbers() {
        let text: Vec<String> = (0..50).map(|n| format!("line {n}\n")).collect();
        let said = Said::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(said.clone().listen(text.concat().as_bytes()));
        assert!(said.ended());
        assert_eq!(said.since(0).len(), LINES);
        assert_eq!(said.since(48), ["line 48", "line 49"]);
        assert!(said.since(50).is_empty());
    }

    #[test]
    fn a_program_is_looked_for_along_the_path() {
        assert!(find("sh", "/nowhere:/bin:/usr/bin").is_some());
        assert_eq!(find("sh", "/nowhere"), None);
        assert_eq!(find("sh", ""), None);
    }
}
