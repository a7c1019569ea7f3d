//! Each case again with the process killed at every point, resumed, and the same end demanded.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::Case;
use super::judge::{Difference, changed};
use super::run::{Bench, Stage, given, stage};
use crate::exit::Exit;
use crate::value::Json;

/// No case has so many points; more means that it does not come to an end.
const LIMIT: u64 = 10_000;

/// How many points a case has, and what differed after a kill at which.
#[derive(Debug, Default)]
pub struct Crashes {
    /// The points at which the process was killed.
    pub points: u64,
    /// What differed from the run that was not killed, by point.
    pub differences: Vec<(u64, Difference)>,
}

/// How a case ended, whatever happened on the way.
struct End {
    code: Option<i32>,
    /// What the process said went wrong, if it did.
    said: String,
    state: Json,
    changes: Vec<String>,
    files: Vec<(PathBuf, String)>,
}

/// Runs a case with a kill at each point in turn. `program` is this program, `name` the
/// runbook as a person names it.
pub fn crashes(
    bench: &Bench<'_>,
    case: &Case,
    program: &Path,
    name: &str,
) -> Result<Crashes, String> {
    let whole = Trial::new(bench, case, program, name)?;
    whole.start(0)?;
    let whole = whole.end()?;
    let refused = [Exit::Usage, Exit::Invalid].map(|exit| Some(i32::from(exit.code())));
    if refused.contains(&whole.code) && case.expect.outcome != "invalid" {
        return Err(format!("it does not even begin: exit code {}", whole.code.unwrap_or(-1)));
    }
    let mut crashes = Crashes::default();
    for at in 1..LIMIT {
        let trial = Trial::new(bench, case, program, name)?;
        let killed = trial.start(at)?;
        if killed {
            trial.go_on()?;
            crashes.points += 1;
        }
        let end = trial.end()?;
        crashes.differences.extend(differences(&whole, &end).into_iter().map(|one| (at, one)));
        // The points are passed: it came to its end, and that must be the same too.
        if !killed {
            return Ok(crashes);
        }
    }
    Err(format!("not at its end after {LIMIT} kills"))
}

/// One run of a case as a process, with a fake, a folder and a state folder of its own.
struct Trial<'a> {
    stage: Stage,
    state: tempfile::TempDir,
    case: &'a Case,
    program: &'a Path,
    name: &'a str,
    code: std::cell::Cell<Option<i32>>,
    said: std::cell::RefCell<String>,
}

impl<'a> Trial<'a> {
    fn new(
        bench: &Bench<'_>,
        case: &'a Case,
        program: &'a Path,
        name: &'a str,
    ) -> Result<Self, String> {
        let stage = stage(bench, case)?;
        let home = tempfile::tempdir().map_err(|error| error.to_string())?;
        let inputs = given(case, &stage);
        let mut all = inputs.fake.unwrap_or_default();
        for preset in
            bench.runbook.presets.iter().filter(|preset| Some(&preset.name) == case.preset.as_ref())
        {
            all.extend(
                preset.values.iter().map(|(name, value)| (name.value.clone(), value.clone())),
            );
        }
        all.extend(inputs.files.into_iter().flat_map(|(_, map)| map));
        let file = home.path().join("inputs.json");
        std::fs::write(&file, Json::Object(all).to_string()).map_err(|error| error.to_string())?;
        let code = std::cell::Cell::new(None);
        let said = std::cell::RefCell::default();
        Ok(Self { stage, state: home, case, program, name, code, said })
    }

    /// Runs until the end or the kill; whether it was killed.
    fn start(&self, at: u64) -> Result<bool, String> {
        let inputs = self.state.path().join("inputs.json").display().to_string();
        let output =
            self.child(&["run", self.name, "--inputs", &inputs, "--rehearsal", "--trust"], at)?;
        self.ended(&output);
        Ok(output.status.code().is_none())
    }

    /// What a person does after a crash: resume, or run again if there is nothing to resume.
    fn go_on(&self) -> Result<(), String> {
        let output = self.child(&["resume", "r1"], 0)?;
        self.ended(&output);
        if output.status.code() == Some(i32::from(Exit::Usage.code())) {
            self.start(0)?;
        }
        Ok(())
    }

    fn ended(&self, output: &Output) {
        self.code.set(output.status.code());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let stops = |line: &str| line.starts_with("error: ") || line.starts_with("doubt: ");
        let wrong = told.lines().skip_while(|line| !stops(line));
        let lines = std::iter::once("").chain(wrong);
        *self.said.borrow_mut() = lines.collect::<Vec<_>>().join("\n  ");
    }

    fn child(&self, words: &[&str], at: u64) -> Result<Output, String> {
        let mut command = Command::new(self.program);
        command.args(words).args(["--yes", "--output", "plain"]);
        if self.case.adopt {
            command.arg("--adopt");
        }
        for (step, answer) in &self.case.answers {
            command.args(["--answer", &format!("{step}={answer}")]);
        }
        let folder = self.state.path();
        command.env("XDG_STATE_HOME", folder).env("XDG_CONFIG_HOME", folder).env("HOME", folder);
        command.env(crate::crash::VARIABLE, at.to_string());
        command.env("RUNBOOK_REHEARSAL_DIR", self.stage.folder.path());
        command.env("RUNBOOK_REHEARSAL_FAKE", self.stage.served.url());
        command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot start {}: {error}", self.program.display()))
    }

    fn end(&self) -> Result<End, String> {
        let mut files = Vec::new();
        collect(self.stage.folder.path(), self.stage.folder.path(), &mut files)
            .map_err(|error| error.to_string())?;
        files.sort();
        let url = self.stage.served.url();
        let files =
            files.into_iter().map(|(path, text)| (path, text.replace(&url, "$URL"))).collect();
        let changes = changed(&self.stage.served.asked());
        let (code, said) = (self.code.get(), self.said.borrow().clone());
        // As in the files: the fake's address is another each time.
        let state = self.stage.served.state().to_string().replace(&url, "$URL");
        let state = serde_json::from_str(&state).map_err(|error| error.to_string())?;
        Ok(End { code, said, state, changes, files })
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(PathBuf, String)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            files.push((path.strip_prefix(root).unwrap_or(&path).to_path_buf(), text));
        }
    }
    Ok(())
}

/// The changes as they count: what may be done again without harm, and is after a kill, counts once.
fn settled(changes: &[String]) -> String {
    let mut changes = changes.to_vec();
    let again = |change: &str| change.starts_with("PUT ") || change.starts_with("DELETE ");
    changes.dedup_by(|later, earlier| later == earlier && again(later));
    changes.join("\n")
}

fn differences(whole: &End, end: &End) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut same = |what: &str, wanted: String, got: String| {
        if wanted != got {
            found.push(Difference { what: what.to_owned(), wanted, got });
        }
    };
    let code =
        |code: Option<i32>| code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
    if whole.code != end.code {
        same("exit code", code(whole.code), code(end.code) + &end.said);
    }
    same("changes", settled(&whole.changes), settled(&end.changes));
    same("the fake's state", whole.state.to_string(), end.state.to_string());
    let told = |end: &End| {
        let told = end.files.iter().map(|(path, text)| format!("{}:\n{text}", path.display()));
        told.collect::<Vec<_>>().join("\n")
    };
    same("files", told(whole), told(end));
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::*;
    use crate::fake::Fake;
    use crate::runbook::Runbook;
    use crate::source::Source;
    use crate::world::World;

    /// A program that refuses what it is asked to run passes no point: that proves nothing.
    #[test]
    fn a_run_that_does_not_even_begin_is_no_pass() {
        let book = "format = 1\nname = \"book\"\n[[steps]]\nid = \"one\"\njq = \"1\"\n";
        let find = |_: &str, _: &Source| Err("none".to_owned());
        let (runbook, _) = Runbook::parse(&Source::new("book.toml", book), &find).unwrap();
        let fake = Source::new("fake.toml", "format = 1\nabout = \"none\"\n");
        let fake = Arc::new(Fake::parse(&fake).unwrap());
        let bench = Bench { runbook: &runbook, fake: &fake, world: &World::real() };
        let case = "format = 1\n[[cases]]\nname = \"it\"\n";
        let cases = crate::testing::parse(&Source::new("book.test.toml", case)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let told = crashes(&bench, &cases[0], &program, "book").unwrap_err();
        assert_eq!(told, "it does not even begin: exit code 3");
    }
}
