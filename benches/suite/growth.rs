//! How cost grows: steps, items, files, history, text.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use runbook::redact::Redactor;

use super::server::Server;
use super::{Figures, Row, at_home, baseline, interleaved, measure, mib, ms, ratio, row};

/// A runbook of so many steps.
fn many(count: usize, step: impl Fn(usize) -> String) -> String {
    let mut text = String::from("format = 1\nname = \"many\"\n");
    for number in 0..count {
        let _ = write!(text, "\n[[steps]]\nid = \"s{number}\"\n{}\n", step(number));
    }
    text
}

fn computed(number: usize) -> String {
    format!("jq = \"{number} + 1\"\ngates = [{{ that = \"s{number} > 0\" }}]")
}

fn run(home: &Path, name: &str) -> Figures {
    measure(&mut at_home(home, &["run", name]))
}

/// Runs of 10 to 20,000 steps: time, memory, and taking one up at its last step.
pub(crate) fn steps(short: bool, rows: &mut Vec<Row>) {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let sizes: &[usize] =
        if short { &[100, 1_000, 2_000] } else { &[10, 100, 1_000, 10_000, 20_000] };
    let name = |count: usize| format!("many{count}.toml");
    for &count in [1].iter().chain(sizes) {
        std::fs::write(home.join(name(count)), many(count, computed)).unwrap();
    }
    let smallest = run(home, &name(1)).peak_kib;
    let first = |count| measure(&mut at_home(home, &["run", &name(count), "--until", "s0"]));
    // of every size all, and only its first step, in turn
    let mut all: Vec<Box<dyn FnMut() -> Figures + '_>> = Vec::new();
    for &count in sizes {
        all.push(Box::new(move || run(home, &name(count))));
        all.push(Box::new(move || first(count)));
    }
    let mut all: Vec<_> =
        all.iter_mut().map(|one| &mut **one as &mut dyn FnMut() -> Figures).collect();
    let found = interleaved(if short { 3 } else { 9 }, &mut all);
    let mut last: Option<(usize, Duration)> = None;
    let mut beyond = Vec::new();
    for (&count, found) in sizes.iter().zip(found.chunks(2)) {
        let (wall, peak) = (found[0].wall, found[0].peak_kib);
        // what a run takes more when of this only one step is done is the definition: steps read,
        // programs compiled, and the list of steps in the journal
        let definition = found[1].peak_kib.saturating_sub(smallest);
        beyond.push((count, peak.saturating_sub(definition)));
        let doubled = last.filter(|(before, _)| before * 2 == count);
        let times = doubled.map(|(_, before)| ratio(wall, before));
        let said = times.map_or_else(String::new, |times| format!(" = {times:.2}× half of them"));
        let measured = format!("{}{said}, {:.1} MiB", ms(wall), mib(peak));
        let target = if doubled.is_some() { "≤ 2×" } else { "" };
        row(rows, &format!("a run of {count} steps"), measured, target, times.map(|t| t / 2.0));
        last = Some((count, wall));
    }
    memory(&beyond, rows);
    titles(home, if short { 200 } else { 2_000 }, rows);
    let count = if short { 1_000 } else { 10_000 };
    let (name, stop) = (format!("many{count}.toml"), format!("s{}", count - 1));
    measure(&mut at_home(home, &["run", &name, "--until", &stop]));
    let resume = measure(&mut at_home(home, &["resume"]));
    row(rows, &format!("resume of a run of {count} steps at its last"), ms(resume.wall), "", None);
    each(home, if short { 500 } else { 10_000 }, rows);
    kinds(home, if short { 200 } else { 1_000 }, rows);
}

/// What a run of many steps takes without its definition.
#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn memory(beyond: &[(usize, u64)], rows: &mut Vec<Row>) {
    let of = |wanted| beyond.iter().find(|(count, _)| *count == wanted).map(|(_, kib)| *kib);
    let most = beyond.iter().filter(|(count, _)| *count <= 10_000).max();
    if let (Some(few), Some(&(count, kib))) = (of(100), most) {
        let times = kib as f64 / few.max(1) as f64;
        let measured = format!("{:.1} MiB = {times:.2}× {:.1} MiB", mib(kib), mib(few));
        let what = format!("memory of a run of {count} steps without its definition, against 100");
        row(rows, &what, measured, "≤ 2×", Some(times / 2.0));
    }
}

/// The same on a terminal, with titles to be rendered: twice as many, and how much longer.
fn titles(home: &Path, count: usize, rows: &mut Vec<Row>) {
    let step = |number: usize| format!("title = \"Step {{{{ {number} }}}}\"\n{}", computed(number));
    for (name, count) in [("once.toml", count), ("again.toml", count * 2)] {
        std::fs::write(home.join(name), many(count, step)).unwrap();
    }
    let run = |name| measure(&mut at_home(home, &["run", name, "--output", "human"]));
    let (mut some, mut twice) = (|| run("once.toml"), || run("again.toml"));
    let found = interleaved(3, &mut [&mut some, &mut twice]);
    let times = ratio(found[1].wall, found[0].wall);
    let what = format!("a run of {} steps with titles, as on a terminal", count * 2);
    let measured = format!("{} = {times:.2}× half of them", ms(found[1].wall));
    row(rows, &what, measured, "≤ 2×", Some(times / 2.0));
}

fn each(home: &Path, items: usize, rows: &mut Vec<Row>) {
    let text = format!(
        "format = 1\nname = \"each\"\n[[steps]]\nid = \"e\"\nfor_each = \"range({items}) | list\"\njq = \"$item + 1\"\n"
    );
    std::fs::write(home.join("each.toml"), text).unwrap();
    let mut all = || run(home, "each.toml");
    let found = interleaved(3, &mut [&mut all])[0];
    row(rows, &format!("`for_each` over {items} items"), ms(found.wall), "", None);
}

/// What one more step costs, by kind: a run of some beside one of twice as many.
fn kinds(home: &Path, count: usize, rows: &mut Vec<Row>) {
    let server = Server::start(Duration::ZERO);
    let connection = format!("\n[connections.here]\nbase = \"{}/api/v3/\"\n", server.url());
    let http = |number: usize| {
        format!(
            "http = {{ on = \"here\", url = \"core/users/me/?n={number}\" }}\nsave.v{number} = \".user.pk\""
        )
    };
    let jq = |number: usize| format!("jq = \"{{a: {number}, b: [1, 2]}} | .b | length\"");
    let gate = |number: usize| format!("gate = \"{number} + 1 > 0 and 'a{number}' is string\"");
    let note = |number: usize| format!("note = \"step {{{{ {number} + 1 }}}} of many\"");
    let kinds: [(&str, &dyn Fn(usize) -> String); 4] =
        [("jq", &jq), ("gate", &gate), ("note", &note), ("http", &http)];
    let mut said = Vec::new();
    for (kind, step) in kinds {
        std::fs::write(home.join("some.toml"), many(count, step) + &connection).unwrap();
        std::fs::write(home.join("twice.toml"), many(count * 2, step) + &connection).unwrap();
        let (mut some, mut twice) = (|| run(home, "some.toml"), || run(home, "twice.toml"));
        let found = interleaved(3, &mut [&mut some, &mut twice]);
        let more = found[1].wall.saturating_sub(found[0].wall);
        let micros = more.as_secs_f64() * 1e6;
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        said.push(format!("{kind} {:.0} µs", micros / count as f64));
    }
    row(rows, "one more step", said.join(", "), "", None);
}

/// Checking many files at once.
pub(crate) fn files(short: bool, rows: &mut Vec<Row>) {
    let home = tempfile::tempdir().unwrap();
    let books = if short { 100 } else { 1_000 };
    let names: Vec<String> = (0..books).map(|number| format!("./b{number}.toml")).collect();
    for name in &names {
        std::fs::write(home.path().join(name), many(10, computed)).unwrap();
    }
    let words: Vec<&str> =
        std::iter::once("check").chain(names.iter().map(String::as_str)).collect();
    let mut check = || measure(&mut at_home(home.path(), &words));
    let found = interleaved(3, &mut [&mut check])[0];
    row(rows, &format!("`check` of {books} runbooks of 10 steps"), ms(found.wall), "", None);
}

/// `runs` and `log` with a long history, filled through the library.
pub(crate) fn history(short: bool, rows: &mut Vec<Row>) {
    let home = tempfile::tempdir().unwrap();
    let count = if short { 2_000 } else { 100_000 };
    baseline::fill(&home.path().join("state/runbook"), count);
    let mut runs = || measure(&mut at_home(home.path(), &["runs"]));
    let mut filtered = || measure(&mut at_home(home.path(), &["runs", "--state", "failed"]));
    let mut log = || measure(&mut at_home(home.path(), &["log", "r77"]));
    let found = interleaved(5, &mut [&mut runs, &mut filtered, &mut log]);
    for (figures, what) in found.iter().zip(["`runs`", "`runs --state failed`", "`log`"]) {
        row(rows, &format!("{what} with {count} runs in the history"), ms(figures.wall), "", None);
    }
}

/// How fast text goes through the redactor when nothing in it is secret.
pub(crate) fn redactor(rows: &mut Vec<Row>) {
    let mut redactor = Redactor::new();
    for secret in ["tok-4f9a8b7c6d5e4f3a2b1c", "p@ss \"w0rd\" with/everything?", "0f1e2d3c4b5a6978"]
    {
        let _ = redactor.add(secret);
    }
    let line =
        "ok    provider  201 Created, provider_pk = 42, client_id = AFHEutQTh1OU8IjTmIAmmtTt\n";
    let text = line.repeat((8 << 20) / line.len());
    let began = Instant::now();
    assert_eq!(redactor.mask(&text).len(), text.len());
    let speed = 8.0 / began.elapsed().as_secs_f64();
    row(rows, "text through the redactor, three secrets", format!("{speed:.0} MiB/s"), "", None);
}
