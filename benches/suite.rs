//! The figures behind the claims of speed: one command, a Markdown table of ratios.
//!
//! `cargo bench --bench suite` (or with `-- --short` for the form that CI runs, which fails
//! only when a ratio is grossly off; `-- --latency MS` sets the time of a request, 20 if not
//! said; `-- --order FILE` measures nothing and writes what the linker is given). Everything is
//! measured as whole processes, interleaved, medians; the journal is fully durable on the disk of
//! the temporary folder (`TMPDIR`), which the table names. Only ratios say something: times on a
//! shared machine do not.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock, prints its table, and stops at the first surprise"
)]

#[path = "suite/baseline.rs"]
mod baseline;
#[path = "suite/calls.rs"]
mod calls;
#[path = "suite/growth.rs"]
mod growth;
#[path = "suite/many.rs"]
mod many;
#[path = "suite/order.rs"]
mod order;
#[path = "suite/server.rs"]
mod server;
#[path = "suite/whole.rs"]
mod whole;

use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use wait4::Wait4 as _;

/// One process measured.
#[derive(Clone, Copy)]
struct Figures {
    wall: Duration,
    cpu: Duration,
    peak_kib: u64,
}

/// A line of the table.
struct Row {
    what: String,
    measured: String,
    target: String,
    /// How far the target is missed: 1 is just met.
    off: Option<f64>,
}

/// What is known to miss its target by far, and how far; docs/speed.md says why.
const KNOWN: &[(&str, f64)] = &[
    ("`add-oidc` against the least with reqwest", 1.7),
    ("`add-oidc` against the seed's bash", 2.6),
    ("its processor time against hurl", 1.9),
];

/// How far a ratio may miss its target before the short form fails: twice, or twice what is known.
fn allowed(what: &str) -> f64 {
    let known = KNOWN.iter().find(|(begins, _)| what.starts_with(begins));
    2.0 * known.map_or(1.0, |(_, known)| *known)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(mode) = arguments.first().and_then(|word| word.strip_prefix("baseline:")) {
        return match mode {
            "many" => many::least(&arguments[1..]),
            mode => baseline::run(mode, &arguments[1..]),
        };
    }
    if arguments.first().is_some_and(|word| word == "serve") {
        return server::serve_for_ever(Duration::from_millis(latency(&arguments)));
    }
    if let Some(file) = arguments.iter().skip_while(|word| *word != "--order").nth(1) {
        return order::write(Path::new(file));
    }
    let short = arguments.iter().any(|word| word == "--short");
    let rounds = if short { 7 } else { 25 };
    let mut rows = Vec::new();
    startup(rounds, &mut rows);
    whole::whole(rounds, &mut rows);
    whole::slow(if short { 3 } else { 9 }, latency(&arguments), &mut rows);
    many::runs(short, &mut rows);
    growth::steps(short, &mut rows);
    growth::files(short, &mut rows);
    growth::history(short, &mut rows);
    growth::redactor(&mut rows);
    sizes(&mut rows);
    println!("State on {}.\n", disk());
    println!("| what | measured | target | |\n| --- | --- | --- | --- |");
    for row in &rows {
        let verdict = match row.off {
            None => "",
            Some(off) if off <= 1.0 => "ok",
            Some(off) if off <= allowed(&row.what) => "short",
            Some(_) => "FAR OFF",
        };
        println!("| {} | {} | {} | {verdict} |", row.what, row.measured, row.target);
    }
    let far = rows.iter().filter(|row| row.off.is_some_and(|off| off > allowed(&row.what))).count();
    if short && far > 0 {
        println!("{far} ratios are more than twice what they should be");
        std::process::exit(1);
    }
}

/// The binary: the one built with this, another one to compare (`RUNBOOK`), or for the whole table
/// the one that people get. What tests need changes features of crates that it is made of too, and
/// by that the names that the linker is given.
fn program() -> String {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    let short = || std::env::args().any(|word| word == "--short" || word == "--order");
    let found = PROGRAM.get_or_init(|| match std::env::var("RUNBOOK") {
        Ok(given) => given,
        Err(_) if short() => env!("CARGO_BIN_EXE_runbook").to_owned(),
        Err(_) => given_out(),
    });
    found.clone()
}

/// Builds the program as `cargo install` does.
fn given_out() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target/given-out");
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.args(["build", "--locked", "--release", "--target-dir"]).arg(&folder).current_dir(root);
    assert!(cargo.status().unwrap().success(), "{cargo:?} failed");
    folder.join("release/runbook").display().to_string()
}

fn own() -> String {
    std::env::current_exe().unwrap().display().to_string()
}

/// Runs a command to its end, quietly; one that fails is shown.
fn measure(command: &mut Command) -> Figures {
    let mut said = tempfile::tempfile().unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone().unwrap());
    let began = Instant::now();
    let used = command.spawn().unwrap().wait4().unwrap();
    let wall = began.elapsed();
    if !used.status.success() {
        let mut text = String::new();
        said.rewind().unwrap();
        said.read_to_string(&mut text).unwrap();
        panic!("{command:?} failed:\n{text}");
    }
    let cpu = used.rusage.utime + used.rusage.stime;
    Figures { wall, cpu, peak_kib: used.rusage.maxrss / 1024 }
}

/// Runs a command under another program, which watches it; quietly, to its end.
fn watched(mut by: Command, plain: &Command) -> std::io::Result<ExitStatus> {
    by.arg(plain.get_program()).args(plain.get_args());
    by.current_dir(plain.get_current_dir().unwrap());
    by.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    by.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
}

/// Measures commands in turn, A B C A B C …; the medians.
fn interleaved(rounds: usize, commands: &mut [&mut dyn FnMut() -> Figures]) -> Vec<Figures> {
    let mut all: Vec<Vec<Figures>> = commands.iter().map(|_| Vec::new()).collect();
    for round in 0..=rounds {
        for (one, figures) in commands.iter_mut().zip(&mut all) {
            let measured = one();
            // the first round only warms up
            if round > 0 {
                figures.push(measured);
            }
        }
    }
    all.iter().map(|figures| median(figures)).collect()
}

fn median(figures: &[Figures]) -> Figures {
    let middle = |mut values: Vec<u128>| {
        values.sort_unstable();
        values[values.len() / 2]
    };
    let nanos = |pick: fn(&Figures) -> Duration| {
        let value = middle(figures.iter().map(|one| pick(one).as_nanos()).collect());
        Duration::from_nanos(u64::try_from(value).unwrap())
    };
    let peak = middle(figures.iter().map(|one| u128::from(one.peak_kib)).collect());
    Figures {
        wall: nanos(|one| one.wall),
        cpu: nanos(|one| one.cpu),
        peak_kib: u64::try_from(peak).unwrap(),
    }
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

fn row(rows: &mut Vec<Row>, what: &str, measured: String, target: &str, off: Option<f64>) {
    rows.push(Row { what: what.to_owned(), measured, target: target.to_owned(), off });
}

/// A command with a home of its own.
fn at_home(home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(words).current_dir(home).env("HOME", home);
    command.env("XDG_STATE_HOME", home.join("state")).env("XDG_CONFIG_HOME", home.join("config"));
    command.env("AUTHENTIK_TOKEN", server::TOKEN);
    command
}

/// The least a dynamic program costs, built here; the bench itself where there is no compiler.
fn empty_program(folder: &Path) -> String {
    let (source, program) = (folder.join("empty.rs"), folder.join("empty"));
    std::fs::write(&source, "fn main() {}").unwrap();
    let built = Command::new("rustc").args(["-O", "-o"]).arg(&program).arg(&source).status();
    let built = built.is_ok_and(|status| status.success());
    if built { program.display().to_string() } else { own() }
}

fn startup(rounds: usize, rows: &mut Vec<Row>) {
    let home = tempfile::tempdir().unwrap();
    let nothing = empty_program(home.path());
    let mut empty = || measure(&mut Command::new(&nothing));
    let mut version = || measure(&mut at_home(home.path(), &["--version"]));
    let mut list = || measure(&mut at_home(home.path(), &["list"]));
    let mut check = || measure(&mut at_home(home.path(), &["check", "add-oidc"]));
    let found = interleaved(rounds * 2, &mut [&mut empty, &mut version, &mut list, &mut check]);
    let base = found[0].wall;
    for (figures, what, target) in [
        (found[1], "`--version`", 1.3),
        (found[2], "`list`", 4.0),
        (found[3], "`check add-oidc`", 4.0),
    ] {
        let times = ratio(figures.wall, base);
        let measured =
            format!("{} = {times:.2}× an empty program ({})", ms(figures.wall), ms(base));
        row(rows, what, measured, &format!("≤ {target}×"), Some(times / target));
    }
}

fn has(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// The time of a request, in milliseconds.
fn latency(arguments: &[String]) -> u64 {
    let at = arguments.iter().position(|word| word == "--latency");
    at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(20)
}

/// The file system under the temporary folder: syncs cost nothing on some.
fn disk() -> String {
    let folder = std::env::temp_dir();
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, kind) = (words.next()?, words.next()?);
        folder.starts_with(place).then_some((place.len(), kind.to_owned()))
    });
    match mounts.max() {
        Some((_, kind)) if kind == "tmpfs" => "tmpfs: set `TMPDIR` to a real disk".to_owned(),
        Some((_, kind)) => kind,
        None => "an unknown file system".to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Whether the program is built as it is given out: one with symbols in it tells nothing of
/// memory and size.
fn is_released() -> bool {
    std::fs::metadata(program()).unwrap().len() < 20 << 20
}

fn sizes(rows: &mut Vec<Row>) {
    let bytes = std::fs::metadata(program()).unwrap().len();
    #[expect(clippy::cast_precision_loss, reason = "a few million")]
    let mib = bytes as f64 / 1024.0 / 1024.0;
    let off = is_released().then_some(mib / 12.0);
    row(rows, "the binary", format!("{mib:.1} MiB"), "≤ 12 MiB", off);
}
