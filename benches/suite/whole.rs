//! The whole of `add-oidc`, beside programs that make the same calls.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;

use super::server::{self, Server};
use super::{
    Figures, Row, at_home, baseline, calls, has, interleaved, is_released, measure, mib, ms, own,
    ratio, row, watched,
};

/// A server, and a folder for all that is measured against it.
pub(crate) struct Stage {
    server: Server,
    url: String,
    home: TempDir,
    syncs: usize,
}

impl Stage {
    pub(crate) fn new(latency: u64) -> Self {
        let server = Server::start(Duration::from_millis(latency));
        let home = tempfile::tempdir().unwrap();
        let mut stage = Self { url: server.url(), server, home, syncs: 4 };
        stage.runbook();
        let seen = stage.server.seen();
        calls::write(&seen, &stage.file("calls.json"));
        calls::hurl(&seen, &stage.url, &stage.file("calls.hurl"));
        std::fs::write(stage.file("seed.sh"), baseline::SCRIPT).unwrap();
        stage.syncs = stage.count_syncs().unwrap_or(stage.syncs);
        stage
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn fresh(&self) {
        self.server.reset();
        // as people have it: a file that is there, for their own eyes
        let file = self.file("credentials");
        std::fs::write(&file, "# kept by hand\n").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }

    fn words(&self) -> Vec<String> {
        let given = [
            format!("authentik_url={}", self.url),
            format!("credentials_file={}", self.file("credentials").display()),
            "check_dns=no".to_owned(),
        ];
        let fixed = ["run", "add-oidc", "--preset", "vaultwarden", "--yes"].map(str::to_owned);
        let given = given.into_iter().flat_map(|given| ["--input".to_owned(), given]);
        fixed.into_iter().chain(given).collect()
    }

    pub(crate) fn command(&self) -> Command {
        let words = self.words();
        at_home(self.home.path(), &words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn runbook(&self) -> Figures {
        self.fresh();
        measure(&mut self.command())
    }

    fn minimal(&self, mode: &str, syncs: usize) -> Figures {
        self.fresh();
        let file = |name| self.file(name).display().to_string();
        let mut command = Command::new(own());
        command.args([mode, &file("calls.json"), &self.url, &file("synced"), &syncs.to_string()]);
        measure(&mut command)
    }

    fn hurl(&self) -> Figures {
        self.fresh();
        measure(Command::new("hurl").arg("--no-output").arg(self.file("calls.hurl")))
    }

    fn bash(&self) -> Figures {
        self.fresh();
        let (script, file) = (self.file("seed.sh"), self.file("credentials"));
        measure(Command::new("bash").arg(script).args([&self.url, server::TOKEN]).arg(file))
    }

    /// How many syncs a run makes; none where nobody can count them.
    fn count_syncs(&self) -> Option<usize> {
        if !has("strace") {
            return None;
        }
        self.fresh();
        let log = self.file("strace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", "trace=fsync,fdatasync", "-o"]).arg(&log);
        watched(strace, &self.command()).ok().filter(ExitStatus::success)?;
        Some(calls_of_sync(&log))
    }
}

fn calls_of_sync(log: &Path) -> usize {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().filter(|line| line.contains("sync(") && !line.contains("resumed")).count()
}

/// Without latency: time, processor, memory, syncs.
pub(crate) fn whole(rounds: usize, rows: &mut Vec<Row>) {
    let stage = Stage::new(0);
    let syncs = stage.syncs;
    let mut runbook = || stage.runbook();
    let mut synced = || stage.minimal("baseline:reqwest", syncs);
    let mut bare = || stage.minimal("baseline:reqwest", 0);
    let mut sockets = || stage.minimal("baseline:sockets", syncs);
    let mut fast = || stage.minimal("baseline:sockets", 0);
    let found =
        interleaved(rounds, &mut [&mut runbook, &mut synced, &mut bare, &mut sockets, &mut fast]);
    let own = found[0];
    for (at, what, target) in [
        (1, format!("`add-oidc` against the least with reqwest and {syncs} syncs"), Some(1.5)),
        (2, "… without syncs".to_owned(), None),
        (3, format!("… against blocking sockets and {syncs} syncs"), None),
        (4, "… without syncs".to_owned(), None),
    ] {
        let times = ratio(own.wall, found[at].wall);
        let measured = format!("{} = {times:.2}× {}", ms(own.wall), ms(found[at].wall));
        let wanted = target.map_or_else(String::new, |target| format!("≤ {target}×"));
        row(rows, &what, measured, &wanted, target.map(|target| times / target));
    }
    let calls = stage.server.seen().len();
    let cpu = format!("{} (reqwest: {}), {calls} calls", ms(own.cpu), ms(found[1].cpu));
    row(rows, "processor time of that run", cpu, "", None);
    let peak = mib(own.peak_kib);
    let measured = format!("{peak:.1} MiB (reqwest: {:.1} MiB)", mib(found[1].peak_kib));
    let off = is_released().then_some(peak / 8.0);
    row(rows, "peak memory of that run", measured, "≤ 8 MiB", off);
    changes(&stage, rows);
    others(&stage, rounds, rows);
}

/// Syncs, for the three steps that change something.
#[expect(clippy::cast_precision_loss, reason = "a few")]
fn changes(stage: &Stage, rows: &mut Vec<Row>) {
    let counted = stage.count_syncs();
    let measured = counted.map_or("`strace` is not there".to_owned(), |syncs| syncs.to_string());
    let off = counted.map(|syncs| syncs as f64 / 6.0);
    row(rows, "syncs of that run, which changes three things", measured, "≤ 6", off);
}

/// Programs that may be there.
fn others(stage: &Stage, rounds: usize, rows: &mut Vec<Row>) {
    let mut runbook = || stage.runbook();
    if has("curl") && has("jq") {
        let mut bash = || stage.bash();
        let found = interleaved(rounds.min(5), &mut [&mut runbook, &mut bash]);
        let times = ratio(found[0].wall, found[1].wall);
        let version = version_of_jq();
        let measured = format!("1/{:.0} of {} with {version}", 1.0 / times, ms(found[1].wall));
        let what = "`add-oidc` against the seed's bash, curl and jq";
        // older ones take three times as long, or more
        let known = !version.starts_with("jq-1.5") && !version.starts_with("jq-1.6");
        row(rows, what, measured, "≤ 1/25 with jq 1.8", known.then_some(times * 25.0));
    }
    if has("hurl") {
        let mut hurl = || stage.hurl();
        let found = interleaved(rounds, &mut [&mut runbook, &mut hurl]);
        let times = ratio(found[0].cpu, found[1].cpu);
        let measured = format!("{} = {times:.2}× {}", ms(found[0].cpu), ms(found[1].cpu));
        row(rows, "its processor time against hurl", measured, "≤ 0.4×", Some(times / 0.4));
        let measured = format!("{} against {}", ms(found[0].wall), ms(found[1].wall));
        row(rows, "its time against hurl", measured, "", None);
    } else {
        row(rows, "against hurl", "`hurl` is not there".to_owned(), "", None);
    }
}

fn version_of_jq() -> String {
    let said = Command::new("jq").arg("--version").output().unwrap().stdout;
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// With so many milliseconds a request.
pub(crate) fn slow(rounds: usize, latency: u64, rows: &mut Vec<Row>) {
    let stage = Stage::new(latency);
    let mut runbook = || stage.runbook();
    let mut parallel = || stage.minimal("baseline:reqwest-parallel", stage.syncs);
    let mut single = || stage.minimal("baseline:reqwest", stage.syncs);
    let found = interleaved(rounds, &mut [&mut runbook, &mut parallel, &mut single]);
    let times = ratio(found[0].wall, found[1].wall);
    let measured = format!(
        "{} = {times:.3}× {} (one call after another: {})",
        ms(found[0].wall),
        ms(found[1].wall),
        ms(found[2].wall)
    );
    let what = format!("with {latency} ms a request, against the least with its reads at once");
    row(rows, &what, measured, "≤ 1.05×", Some(times / 1.05));
}
