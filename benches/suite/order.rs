//! Which functions a run goes through, for the linker to put side by side.
//!
//! Most of the program is not met in a run, and what is met lies all over it: the system maps
//! sixteen pages for each that is touched, and nearly all of the program came to be in memory.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::whole::Stage;
use super::{at_home, program, watched};

/// What is gone through: the commands whose figures are held to a target.
const COMMANDS: [&[&str]; 3] = [&["--version"], &["list"], &["check", "add-oidc"]];

/// Writes the names of all functions that these commands go through to a file. The program must
/// have its names (`RUNBOOK`), and `valgrind` be there.
pub(crate) fn write(file: &Path) {
    let stage = Stage::new(0);
    let mut all: Vec<Command> = COMMANDS.map(|words| at_home(stage.home(), words)).into();
    all.push(stage.command());
    stage.fresh();
    let functions: BTreeSet<String> =
        all.iter().flat_map(|command| met(command, &stage.home().join("callgrind"))).collect();
    assert!(functions.len() > 100, "{} has no names in it", program());
    let names: Vec<&str> = functions.iter().map(String::as_str).collect();
    std::fs::write(file, names.join("\n") + "\n").unwrap();
    println!("{} functions in {}", functions.len(), file.display());
}

/// The functions of the program itself that a command goes through, as the linker knows them.
fn met(plain: &Command, log: &Path) -> Vec<String> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--demangle=no", "--compress-strings=no"]);
    valgrind.arg(format!("--callgrind-out-file={}", log.display()));
    assert!(watched(valgrind, plain).expect("valgrind runs").success(), "{plain:?}");
    let own = std::fs::canonicalize(program()).unwrap().display().to_string();
    let (mut object, mut found) = (String::new(), Vec::new());
    for line in std::fs::read_to_string(log).unwrap().lines() {
        if let Some(name) = line.strip_prefix("ob=") {
            name.clone_into(&mut object);
        }
        if let Some(name) = line.strip_prefix("fn=").filter(|_| object == own) {
            // a function that calls itself has a mark behind its name
            let name = name.split('\'').next().unwrap_or(name);
            // what has no name is given by its address, or as `(below main)`
            if !name.starts_with(['(', '0']) {
                found.push(name.to_owned());
            }
        }
    }
    found
}
