//! What the process stands in: clock, environment, terminal, folders.
//!
//! Everything that differs from one start to the next is read here, once, and handed on as a
//! [`World`]. No other module asks the operating system for the time, a variable or a terminal, so
//! a test that builds its own `World` decides all of it.
#![expect(clippy::disallowed_methods, reason = "the one place that reads clock and environment")]

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Columns assumed where no terminal says how wide it is.
const DEFAULT_WIDTH: usize = 80;

/// Terminals that cannot edit a line, nor hide one.
const CRUDE: &[&str] = &["dumb", "cons25", "emacs"];

/// The folder of ours inside the person's configuration and state folders.
const FOLDER: &str = "runbook";

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01 UTC; negative before that.
    fn now_ms(&self) -> i64;

    /// Time since some fixed moment of this process: for durations, never goes back.
    fn monotonic(&self) -> Duration;

    /// Lets so much time pass at once and says so; one that cannot is waited for.
    fn skip(&self, _time: Duration) -> bool {
        false
    }
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => millis(after),
            Err(before) => -millis(before.duration()),
        }
    }

    fn monotonic(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}

/// A clock on which waiting takes no time: what was waited for is skipped. For a rehearsal that
/// nobody watches, before a fake that knows no time.
pub struct Skipping {
    clock: Arc<dyn Clock>,
    skipped: Mutex<Duration>,
}

impl Skipping {
    /// As another clock goes, from here on.
    pub fn over(clock: Arc<dyn Clock>) -> Self {
        Self { clock, skipped: Mutex::default() }
    }

    fn skipped(&self) -> MutexGuard<'_, Duration> {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for Skipping {
    fn now_ms(&self) -> i64 {
        self.clock.now_ms().saturating_add(millis(*self.skipped()))
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic().saturating_add(*self.skipped())
    }

    fn skip(&self, time: Duration) -> bool {
        let mut skipped = self.skipped();
        *skipped = skipped.saturating_add(time);
        true
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Leaves no core dump, whatever ends this process, and lets no other process of the same
/// person look into its memory: secrets are there in clear. What it starts is not affected.
///
/// Where the system has no such setting the limit on core dumps is set to nothing.
pub fn keep_to_itself() {
    use rustix::process;
    // a system that refuses it is no reason not to go on
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = process::set_dumpable_behavior(process::DumpableBehavior::NotDumpable);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = process::setrlimit(
        process::Resource::Core,
        process::Rlimit { current: Some(0), ..process::getrlimit(process::Resource::Core) },
    );
}

/// The surroundings of one process, as they were when it started.
#[derive(Clone)]
pub struct World {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The environment; variables that are not UTF-8 are left out.
    pub env: BTreeMap<String, String>,
    /// The person's home folder, if there is one.
    pub home: Option<PathBuf>,
    /// The folder relative paths start from.
    pub cwd: PathBuf,
    /// The folder the person stands in: another one where a run goes on that began elsewhere.
    pub here: PathBuf,
    /// Whether a person can type answers.
    pub stdin_tty: bool,
    /// Whether data goes to a terminal.
    pub stdout_tty: bool,
    /// Whether progress goes to a terminal.
    pub stderr_tty: bool,
}

impl World {
    /// The real surroundings of this process.
    pub fn real() -> Self {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        Self {
            clock: Arc::new(SystemClock),
            env: environment(),
            home: std::env::home_dir().filter(|home| home.is_absolute()),
            cwd: here.clone(),
            here,
            stdin_tty: std::io::stdin().is_terminal(),
            stdout_tty: std::io::stdout().is_terminal(),
            stderr_tty: std::io::stderr().is_terminal(),
        }
    }

    /// An environment variable's value; `None` when it is not set.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }

    /// Where the person's settings are: `$XDG_CONFIG_HOME/runbook`, else `~/.config/runbook`.
    pub fn config_dir(&self) -> PathBuf {
        self.base_dir("XDG_CONFIG_HOME", ".config").join(FOLDER)
    }

    /// Where runs are remembered: `$XDG_STATE_HOME/runbook`, else `~/.local/state/runbook`.
    pub fn state_dir(&self) -> PathBuf {
        self.base_dir("XDG_STATE_HOME", ".local/state").join(FOLDER)
    }

    /// Whether progress is coloured: in a terminal that can, unless `NO_COLOR` says no.
    pub fn color(&self) -> bool {
        let refused = self.var("NO_COLOR").is_some_and(|value| !value.is_empty());
        self.stderr_tty && !refused && self.var("TERM") != Some("dumb")
    }

    /// Whether a person is there to be asked: in a terminal that can draw what is typed.
    pub fn person(&self) -> bool {
        self.stdin_tty && self.stderr_tty && self.crude().is_none()
    }

    /// Why nobody is asked although there is a terminal, if there is one.
    pub fn crude(&self) -> Option<String> {
        let term = self.var("TERM").filter(|term| CRUDE.contains(term))?;
        (self.stdin_tty && self.stderr_tty).then(|| {
            format!("nobody is asked where `TERM` is `{term}`: no line can be edited there")
        })
    }

    /// Columns of the terminal progress goes to, as it is now; 80 where there is none.
    pub fn width(&self) -> usize {
        self.screen().unwrap_or(DEFAULT_WIDTH)
    }

    /// The same, but none where there is no terminal: there a line is as long as it is.
    pub fn screen(&self) -> Option<usize> {
        self.stderr_tty.then(|| columns(std::io::stderr()))
    }

    /// Columns of the terminal that data goes to, if it is one.
    pub fn data_screen(&self) -> Option<usize> {
        self.stdout_tty.then(|| columns(std::io::stdout()))
    }

    /// A path as a person writes it: `~` and `~/x` start at home, everything else is kept.
    /// `~name` is kept too: other people's homes are not looked up.
    pub fn expand_home(&self, path: &str) -> PathBuf {
        match (path.strip_prefix('~'), &self.home) {
            (Some(""), Some(home)) => home.clone(),
            (Some(rest), Some(home)) if rest.starts_with('/') => {
                home.join(rest.trim_start_matches('/'))
            }
            _ => PathBuf::from(path),
        }
    }

    // The XDG rules: a relative folder in the variable counts as unset.
    fn base_dir(&self, variable: &str, below_home: &str) -> PathBuf {
        match self.var(variable).map(Path::new) {
            Some(folder) if folder.is_absolute() => folder.to_owned(),
            _ => self.home.as_ref().unwrap_or(&self.cwd).join(below_home),
        }
    }
}

fn columns(terminal: impl AsFd) -> usize {
    terminal_size::terminal_size_of(terminal)
        .map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0))
}

/// Makes it certain that what was named or renamed in a folder is found there after a power cut.
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(env: &[(&str, &str)]) -> World {
        World {
            clock: Arc::new(SystemClock),
            env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            home: Some(PathBuf::from("/home/me")),
            cwd: PathBuf::from("/work"),
            here: PathBuf::from("/work"),
            stdin_tty: false,
            stdout_tty: false,
            stderr_tty: true,
        }
    }

    #[test]
    fn folders_follow_the_variables_and_fall_back_to_home() {
        let set = world(&[("XDG_CONFIG_HOME", "/c"), ("XDG_STATE_HOME", "/s")]);
        assert_eq!(set.config_dir(), Path::new("/c/runbook"));
        assert_eq!(set.state_dir(), Path::new("/s/runbook"));
        let unset = world(&[]);
        assert_eq!(unset.config_dir(), Path::new("/home/me/.config/runbook"));
        assert_eq!(unset.state_dir(), Path::new("/home/me/.local/state/runbook"));
    }

    #[test]
    fn a_relative_or_empty_folder_variable_counts_as_unset() {
        for value in ["", "here"] {
            let world = world(&[("XDG_STATE_HOME", value)]);
            assert_eq!(world.state_dir(), Path::new("/home/me/.local/state/runbook"));
        }
    }

    #[test]
    fn without_a_home_folders_start_where_we_are() {
        let world = World { home: None, ..world(&[]) };
        assert_eq!(world.config_dir(), Path::new("/work/.config/runbook"));
        assert_eq!(world.expand_home("~/x"), Path::new("~/x"));
    }

    #[test]
    fn only_our_own_tilde_is_expanded() {
        let world = world(&[]);
        for (written, meant) in [
            ("~", "/home/me"),
            ("~/x", "/home/me/x"),
            ("~//x", "/home/me/x"),
            ("~you/x", "~you/x"),
            ("a/~/x", "a/~/x"),
            ("/x", "/x"),
        ] {
            assert_eq!(world.expand_home(written), Path::new(meant), "{written}");
        }
    }

    #[test]
    fn colour_needs_a_terminal_that_wants_it() {
        assert!(world(&[("TERM", "xterm"), ("NO_COLOR", "")]).color());
        assert!(!world(&[("NO_COLOR", "1")]).color());
        assert!(!world(&[("TERM", "dumb")]).color());
        assert!(!World { stderr_tty: false, ..world(&[]) }.color());
    }

    #[test]
    fn the_width_without_a_terminal_is_fixed() {
        assert_eq!(World { stderr_tty: false, ..world(&[]) }.width(), 80);
    }

    #[test]
    fn the_system_clock_is_past_2020_and_its_stopwatch_never_goes_back() {
        assert!(SystemClock.now_ms() > 1_577_836_800_000);
        let first = SystemClock.monotonic();
        assert!(SystemClock.monotonic() >= first);
    }

    #[test]
    fn what_is_waited_for_on_a_skipping_clock_has_passed_at_once() {
        let day = Duration::from_hours(24);
        let clock = Skipping::over(Arc::new(SystemClock));
        let (began, at) = (clock.monotonic(), clock.now_ms());
        assert!(clock.skip(day));
        assert!(clock.monotonic() >= began + day && clock.now_ms() >= at + 86_400_000);
        assert!(!SystemClock.skip(day));
    }
}
