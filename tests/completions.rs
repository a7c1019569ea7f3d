//! What a shell completes, as its own bash is told to by `runbook completions bash`.

use std::fs;
use std::path::Path;

use crate::support::env::{Env, Running};

/// Presses Tab at the end of each line, as bash would ask: a word, and the answers.
const ASK: &str = r#"
PATH="$1:$PATH"
source <(runbook completions bash)
asked=$(complete -p runbook); asked=${asked% runbook}; asked=${asked##* }
while read -ra COMP_WORDS; do
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9 COMPREPLY=()
    $asked runbook "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
    echo "${COMPREPLY[*]}"
done
"#;

const BOOK: &str = "format = 1\nname = \"own\"\n[[steps]]\nid = \"why\"\nprompt = \"Why?\"\n";

#[test]
fn bash_completes_names_of_runbooks_and_runs() {
    let env = Env::new();
    fs::create_dir(env.path("runbooks")).unwrap();
    fs::write(env.path("runbooks/own-book.toml"), BOOK).unwrap();
    fs::write(env.path("owned.toml"), BOOK).unwrap();
    fs::write(env.path("owned.txt"), "").unwrap();
    assert_eq!(env.run(&["run", "own-book"]).code, Some(4));
    assert_eq!(env.run(&["run", "own-book", "--answer", "why=so"]).code, Some(0));
    let folder = Path::new(env!("CARGO_BIN_EXE_runbook")).parent().unwrap();
    let mut bash = env.any("bash");
    bash.args(["--norc", "-c", ASK, "bash"]).arg(folder);
    let lines = [
        ("runbook run add-o", "add-oidc"),
        ("runbook check own", "own-book owned.toml"),
        ("runbook resume r", "r1"),
        ("runbook log r", "r2 r1"),
        ("runbook forget r1 r", "r2 r1"),
        ("runbook resu", "resume"),
        ("runbook run own-book --no", ""),
    ];
    let typed = lines.map(|(line, _)| line).join("\n") + "\n";
    let output = Running::start(bash, &typed).finish();
    let answers: Vec<&str> = output.stdout.lines().collect();
    let wanted: Vec<&str> = lines.iter().map(|(_, answer)| *answer).collect();
    assert_eq!(answers, wanted, "{}", output.stderr);
}
