//! `test`: the cases beside runbooks.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::{Global, Output, fake, load, out};
use crate::exit::Exit;
use crate::library;
use crate::report::json_line;
use crate::review;
use crate::source::Source;
use crate::testing::{self, Bench, Case, Difference};
use crate::value::Json;
use crate::world::World;

/// Run the tests beside runbooks: rehearsals with what must come out
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names or paths of runbooks; all that have tests if none is named
    #[arg(add = super::completions::runbook())]
    names: Vec<String>,
    /// Only cases whose name holds this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Each case again with the process killed at every point, resumed: the same end
    #[arg(long)]
    crash: bool,
    /// Write the results as `JUnit` XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// One case's result.
struct Verdict {
    runbook: String,
    case: String,
    wrong: Vec<String>,
    points: u64,
}

impl Verdict {
    fn json(&self) -> Json {
        json!({
            "runbook": self.runbook,
            "case": self.case,
            "passed": self.wrong.is_empty(),
            "wrong": self.wrong,
            "kills": self.points,
        })
    }
}

pub(super) fn run(args: &Args, global: &Global, world: &World) -> Exit {
    match test(args, global, world) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn test(args: &Args, global: &Global, world: &World) -> Result<Exit, Exit> {
    let lines = global.output == Some(Output::Jsonl);
    let mut verdicts = Vec::new();
    for (name, source) in books(args, world)? {
        let cases = testing::parse(&source).map_err(|mistakes| {
            load::show(&source, &mistakes, world);
            Exit::Invalid
        })?;
        let runbook = load::load(&name, world)?;
        let service = Arc::new(fake::of(&runbook, world)?);
        let wrong = review::names(&source, &runbook, Some(&service));
        if !wrong.is_empty() {
            load::show(&source, &wrong, world);
            return Err(Exit::Invalid);
        }
        let bench = Bench { runbook: &runbook, fake: &service, world };
        let wanted =
            |case: &&Case| args.filter.as_ref().is_none_or(|part| case.name.contains(part));
        for case in cases.iter().filter(wanted) {
            let verdict = verdict(args, &bench, case, &name);
            if lines {
                out::print(&json_line(&verdict.json()));
            } else {
                tell(&verdict, args.crash);
            }
            verdicts.push(verdict);
        }
    }
    if let (Some(part), true) = (&args.filter, verdicts.is_empty()) {
        out::error(&format!("no case's name holds `{part}`"));
        return Err(Exit::Usage);
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit(&verdicts)).map_err(|error| {
            out::error(&format!("cannot write {}: {error}", path.display()));
            Exit::Failed
        })?;
    }
    let (told, exit) = summary(&verdicts, args.crash);
    if lines {
        out::say(&told);
    } else {
        out::line(&told);
    }
    Ok(exit)
}

/// The runbooks to test, by their paths, with their tests.
fn books(args: &Args, world: &World) -> Result<Vec<(String, Source)>, Exit> {
    let tests =
        |runbook: &Source| Some((runbook.path.to_string(), library::tests(runbook, world)?));
    if args.names.is_empty() {
        return Ok(library::all(world).iter().filter_map(tests).collect());
    }
    let mut books = Vec::new();
    for name in &args.names {
        let runbook = load::find(name, world)?;
        let Some(book) = tests(&runbook) else {
            out::error(&format!("there are no tests beside {}", runbook.path));
            out::hint("write them into a file of the same name that ends in `.test.toml`");
            return Err(Exit::Usage);
        };
        books.push(book);
    }
    Ok(books)
}

fn verdict(args: &Args, bench: &Bench<'_>, case: &Case, name: &str) -> Verdict {
    let mut verdict = Verdict {
        runbook: bench.runbook.name.clone(),
        case: case.name.clone(),
        wrong: Vec::new(),
        points: 0,
    };
    match testing::run(bench, case) {
        Ok(differences) => verdict.wrong.extend(differences.iter().map(told)),
        Err(wrong) => verdict.wrong.push(wrong),
    }
    if args.crash
        && verdict.wrong.is_empty()
        && case.crash
        && case.faults.is_empty()
        && case.runs == 1
    {
        crash(bench, case, name, &mut verdict);
    }
    verdict
}

fn crash(bench: &Bench<'_>, case: &Case, name: &str, verdict: &mut Verdict) {
    let program = std::env::current_exe().map_err(|error| error.to_string());
    match program.and_then(|program| testing::crashes(bench, case, &program, name)) {
        Ok(crashes) => {
            verdict.points = crashes.points;
            let wrong = crashes
                .differences
                .iter()
                .map(|(at, one)| format!("killed at point {at}: {}", told(one)));
            verdict.wrong.extend(wrong);
        }
        Err(wrong) => verdict.wrong.push(wrong),
    }
}

fn told(difference: &Difference) -> String {
    let Difference { what, wanted, got } = difference;
    if wanted.contains('\n') || got.contains('\n') {
        return format!("{what} differs (- wanted, + got){}", lines(wanted, got));
    }
    let same = wanted.chars().zip(got.chars()).take_while(|(wanted, got)| wanted == got).count();
    format!("{what}: wanted {}, got {}", near(wanted, same), near(got, same))
}

/// Two texts line by line: what they begin and end with alike, and what lies between.
fn lines(wanted: &str, got: &str) -> String {
    const AROUND: usize = 3;
    let (old, new): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), got.lines().collect());
    let head = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (rest, other) = (&old[head..], &new[head..]);
    let alike = rest.iter().rev().zip(other.iter().rev());
    let tail = alike.take_while(|(old, new)| old == new).count();
    let mut told = String::new();
    let mut side = |mark: char, lines: &[&str]| {
        for line in lines {
            let _ = write!(told, "\n    {mark} {line}");
        }
    };
    side(' ', &old[head.saturating_sub(AROUND)..head]);
    side('-', &rest[..rest.len() - tail]);
    side('+', &other[..other.len() - tail]);
    side(' ', &rest[rest.len() - tail..][..tail.min(AROUND)]);
    if old == new {
        told.push_str("\n    only the line end at the end");
    }
    told
}

/// A text, or of a long one what stands around its first difference.
fn near(text: &str, same: usize) -> String {
    const SHOWN: usize = 160;
    if text.is_empty() {
        return "nothing".to_owned();
    }
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let shown: String = text.chars().skip(same.saturating_sub(SHOWN / 2)).take(SHOWN).collect();
    format!("…{shown}…")
}

fn tell(verdict: &Verdict, crash: bool) {
    let word = if verdict.wrong.is_empty() { "ok  " } else { "fail" };
    let points = if crash { format!(" ({} kills)", verdict.points) } else { String::new() };
    out::line(&format!("{word}  {}: {}{points}", verdict.runbook, verdict.case));
    for line in verdict.wrong.iter().flat_map(|wrong| wrong.lines()) {
        out::line(&format!("      {line}"));
    }
}

fn summary(verdicts: &[Verdict], crash: bool) -> (String, Exit) {
    let failed = verdicts.iter().filter(|verdict| !verdict.wrong.is_empty()).count();
    let passed = verdicts.len() - failed;
    let points: u64 = verdicts.iter().map(|verdict| verdict.points).sum();
    let kills = if crash { format!(", {points} kills") } else { String::new() };
    let exit = if failed == 0 { Exit::Done } else { Exit::Failed };
    (format!("{passed} passed, {failed} failed{kills}"), exit)
}

/// The results in the shape that CI servers read.
fn junit(verdicts: &[Verdict]) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.wrong.is_empty()).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites tests=\"{}\" failures=\"{failed}\">", verdicts.len());
    let _ = writeln!(
        xml,
        "  <testsuite name=\"runbook\" tests=\"{}\" failures=\"{failed}\">",
        verdicts.len()
    );
    for verdict in verdicts {
        let (class, name) = (escaped(&verdict.runbook), escaped(&verdict.case));
        let _ = write!(xml, "    <testcase classname=\"{class}\" name=\"{name}\"");
        if verdict.wrong.is_empty() {
            xml.push_str("/>\n");
        } else {
            let wrong = escaped(&verdict.wrong.join("\n"));
            let _ = writeln!(xml, ">\n      <failure>{wrong}</failure>\n    </testcase>");
        }
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn escaped(text: &str) -> String {
    let text = crate::printable::printable(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
