//! docs/cli.md is the commands' own help.
//!
//! `UPDATE=1 cargo test` writes it anew. The other generated pages are compared beside what makes
//! them: docs/steps.md in `src/show/tests.rs`, the schemas in `src/schema/tests.rs`.

use std::path::Path;
use std::process::Command;

use runbook::world::World;

const HEAD: &str = "# The command line

What each command says of itself with `--help`; a test compares this page with the program.
";

/// What a command prints with `--help`, wrapped as for a pipe.
fn help(command: &[String]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_runbook"));
    let output = program.args(command).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success(), "{command:?} --help: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The commands a help text lists, in its order.
fn commands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed.take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// A section for a command and those below it.
fn sections(command: &[String], page: &mut Vec<String>) {
    let text = help(command);
    let name = [&["runbook".to_owned()], command].concat().join(" ");
    page.push(format!("\n## {name}\n\n```text\n{}\n```\n", text.trim_end()));
    for below in commands(&text) {
        sections(&[command, &[below]].concat(), page);
    }
}

#[test]
fn the_page_of_the_command_line_is_what_the_commands_say() {
    let mut page = vec![HEAD.to_owned()];
    sections(&[], &mut page);
    assert!(page.len() > 15, "every command has a section");
    let (page, path) = (page.concat(), Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md"));
    if World::real().var("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/cli.md is old: run with UPDATE=1");
}
