//! What a shell completes, as its own bash is told to by `runbook completions bash`.

use std::fs;
use std::path::Path;

use crate::support::env::{Env, Running};

/// Presses Tab at the end of each line, as bash would ask: it breaks words at `=`, and what it gets
/// stands in place of what is behind that.
const ASK: &str = r#"
PATH="$1:$PATH"
source <(runbook completions bash)
asked=$(complete -p runbook); asked=${asked% runbook}; asked=${asked##* }
while IFS= read -r line; do
    read -ra COMP_WORDS <<< "${line//=/ = }"
    [[ $line == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9 COMPREPLY=()
    COMP_LINE=$line COMP_POINT=${#line} word=${COMP_WORDS[-1]}
    $asked runbook "${word#=}" "${COMP_WORDS[-2]}"
    echo "${COMPREPLY[*]}"
done
"#;

const BOOK: &str = "format = 1\nname = \"own\"\n[[steps]]\nid = \"why\"\nprompt = \"Why?\"\n";

/// What bash offers at the end of each line.
#[track_caller]
fn completes(env: &Env, lines: &[(&str, &str)]) {
    let folder = Path::new(env!("CARGO_BIN_EXE_runbook")).parent().unwrap();
    let mut bash = env.any("bash");
    bash.args(["--norc", "-c", ASK, "bash"]).arg(folder);
    let typed: Vec<&str> = lines.iter().map(|(line, _)| *line).collect();
    let output = Running::start(bash, &(typed.join("\n") + "\n")).finish();
    let answers: Vec<&str> = output.stdout.lines().collect();
    let answered: Vec<(&str, &str)> =
        lines.iter().map(|(line, _)| *line).zip(answers.iter().copied()).collect();
    assert_eq!(answered, lines, "{}", output.stderr);
}

#[test]
fn bash_completes_names_of_runbooks_and_runs() {
    let env = Env::new();
    fs::create_dir(env.path("runbooks")).unwrap();
    fs::write(env.path("runbooks/own-book.toml"), BOOK).unwrap();
    fs::write(env.path("owned.toml"), BOOK).unwrap();
    fs::write(env.path("owned.txt"), "").unwrap();
    assert_eq!(env.run(&["run", "own-book"]).code, Some(4));
    assert_eq!(env.run(&["run", "own-book", "--answer", "why=so"]).code, Some(0));
    let lines = [
        ("runbook run add-o", "add-oidc"),
        ("runbook check own", "own-book owned.toml"),
        ("runbook resume r", "r1"),
        ("runbook log r", "r2 r1"),
        ("runbook forget r1 r", "r2 r1"),
        ("runbook resu", "resume"),
        ("runbook run own-book --no", ""),
    ];
    completes(&env, &lines);
}

const WIKI: &str = r#"format = 1
name = "wiki"
[inputs.user]
[inputs.kind]
one_of = ["guest", "member"]
[presets.home]
user = "me"
[presets.work]
user = "you"
[[steps]]
id = "look"
jq = "1"
[[steps]]
id = "sure"
prompt = "Sure?"
[[steps]]
id = "last"
gate = "user == 'me'"
"#;

#[test]
fn bash_completes_what_a_runbook_and_a_run_have() {
    let env = Env::new();
    fs::create_dir(env.path("runbooks")).unwrap();
    fs::write(env.path("runbooks/wiki.toml"), WIKI).unwrap();
    fs::write(env.path("runbooks/fake.toml"), "[states.empty]\n[states.full]\n").unwrap();
    let given = ["--preset", "home", "--input", "kind=guest"];
    assert_eq!(env.run(&[&["run", "wiki"][..], &given].concat()).code, Some(4));
    // what the run was begun with counts, not what the file says by now
    fs::write(env.path("runbooks/wiki.toml"), WIKI.replace("\"look\"", "\"seek\"")).unwrap();
    completes(
        &env,
        &[
            ("runbook run wiki --preset ", "home work"),
            ("runbook plan wiki --preset w", "work"),
            ("runbook run wiki --input ", "user= kind="),
            ("runbook plan wiki --input kind=m", "member"),
            ("runbook plan wiki -i kind=", "guest member"),
            ("runbook plan wiki --input=kind=g", "guest"),
            ("runbook plan wiki -i user=you -i kind=m", "member"),
            ("runbook plan wiki -i user=", ""),
            ("runbook plan wiki --preset=w", "work"),
            ("runbook run wiki --until s", "seek sure"),
            ("runbook run wiki --answer ", "sure="),
            ("runbook show wiki --curl l", "last"),
            ("runbook rehearse wiki --state ", "empty full"),
            ("runbook resume --until ", "look sure last"),
            ("runbook resume r1 --redo l", "look last"),
            ("runbook resume r1 --answer ", "sure="),
            ("runbook undo r1 --done l", "look last"),
            ("runbook runs --state wa", "waiting"),
            ("runbook kinds app", "append"),
            ("runbook explain once", "once-without-already"),
            ("runbook run nothing-there --until ", ""),
        ],
    );
}

/// What a step did before it was done again can be taken back, and nothing else.
#[test]
fn what_was_done_before_is_offered_to_undo_alone() {
    let env = Env::new();
    let book = "format = 1\nname = \"b\"\n[[steps]]\nid = \"make\"\ncommand = [\"true\"]\n\
                [[steps]]\nid = \"never\"\ngate = \"1 > 2\"\n\
                [[steps]]\nid = \"mop\"\nalways = true\ncommand = [\"true\"]\n";
    fs::write(env.path("b.toml"), book).unwrap();
    assert_eq!(env.run(&["run", "b.toml", "--trust"]).code, Some(1));
    assert_eq!(env.run(&["resume", "--redo", "make"]).code, Some(1));
    completes(
        &env,
        &[
            ("runbook resume r1 --redo ma", "make"),
            ("runbook undo r1 --done ma", "make make@1"),
            ("runbook resume r1 --redo mop@", "mop@4 mop@13"),
        ],
    );
}

/// What is offered is put on the line as it is, and Enter would run it.
#[test]
fn what_means_anything_to_a_shell_is_not_offered() {
    let env = Env::new();
    let book = r#"
[inputs."a;touch pwned"]
[inputs.kind]
one_of = ["$(touch pwned)", "guest", "a b", "`id`", "x\ny"]
[presets."x;touch pwned"]
[presets."x&"]
[presets.home]
[[steps]]
id = "s;touch pwned"
[[steps]]
id = "fine"
prompt = "Fine?"
[[steps]]
id = "$(touch pwned)"
prompt = "Fine?"
"#;
    fs::write(env.path("far.toml"), book).unwrap();
    fs::write(env.path("fake.toml"), "[states.'a;touch pwned']\n[states.full]\n").unwrap();
    fs::write(env.path("$(touch pwned).toml"), BOOK).unwrap();
    fs::write(env.path("a;touch pwned.json"), "{}").unwrap();
    fs::write(env.path("all.json"), "{}").unwrap();
    completes(
        &env,
        &[
            ("runbook run ./far.toml -i ", "kind="),
            ("runbook run ./far.toml -i kind=", "guest"),
            ("runbook run ./far.toml --preset ", "home"),
            ("runbook run ./far.toml --until ", "fine"),
            ("runbook run ./far.toml --answer ", "fine="),
            ("runbook rehearse ./far.toml --state ", "full"),
            ("runbook run ./", "./fake.toml ./far.toml"),
            ("runbook run ./far.toml --inputs a", "all.json"),
        ],
    );
}

/// A Tab waits for nobody.
#[test]
fn what_is_no_file_is_not_read_for_a_tab() {
    let env = Env::new();
    fs::create_dir(env.path("runbooks")).unwrap();
    let mut make = env.any("mkfifo");
    make.args(["pipe.toml", "fake.toml", "runbooks/named.toml"]);
    assert_eq!(Running::start(make, "").finish().code, Some(0));
    fs::write(env.path("book.toml"), BOOK).unwrap();
    completes(
        &env,
        &[
            ("runbook run ./pipe.toml --until ", ""),
            ("runbook run named --until ", ""),
            ("runbook rehearse ./book.toml --state ", ""),
        ],
    );
    // nor do those that look through a folder
    assert_eq!(env.run(&["list"]).code, Some(0));
    assert_eq!(env.run(&["run", "nothing-there"]).code, Some(2));
}
