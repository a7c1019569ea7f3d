//! What is seen on narrow screens: lines are broken between words, tables leave out what can be
//! spared, and a caret stands below its mistake.

use crate::support::env::Env;
use crate::support::terminal::Terminal;

const BOOK: &str = r#"format = 1
name = "add-user-to-the-wiki"
title = "Add a user to the wiki"

[[steps]]
id = "look"
title = "Look up the person in the directory"
note = "They are there, and this line of the note is longer than the screen is wide."

[[steps]]
id = "create"
title = "Create the user"
command = ["sh", "-c", "echo the longer words that say what went wrong with all of this >&2; exit 3"]

[[steps.hints]]
says = "went wrong"
hint = "The name may be taken already, which the directory of the wiki tells: `wiki find --name NAME`"
"#;

/// What stands on a screen of sixty columns when a command has ended.
fn screen(env: &Env, args: &[&str]) -> String {
    Terminal::narrow(env, 60, args).finish().0
}

#[test]
fn a_failure_is_told_between_words() {
    let env = Env::new();
    std::fs::write(env.path("book.toml"), BOOK).unwrap();
    let screen = screen(&env, &["run", "./book.toml", "--trust"]);
    let end = screen.find("error: ").unwrap();
    insta::assert_snapshot!(&screen[end..], @r"
    error: step `create` failed: run sh -c 'echo the longer
          words that say what went wrong with all of this >&2;
          exit 3' ended with exit status 3
      the longer words that say what went wrong with all of this
    hint: The name may be taken already, which the directory of
          the wiki tells: `wiki find --name NAME`
    hint: fix the cause, then `runbook resume r1`
    ");
}

/// Copied by its first line alone, a command would do something else.
#[test]
fn a_command_to_copy_is_never_broken() {
    let env = Env::new();
    let book = BOOK.replace("\"create\"", "\"make-the-new-user\"");
    std::fs::write(
        env.path("book.toml"),
        book + "\n[[steps]]\nid = \"afterwards\"\nnote = \"x\"\n",
    )
    .unwrap();
    let args = ["run", "./book.toml", "--trust", "--until", "afterwards"];
    let screen = Terminal::narrow(&env, 30, &args).finish().0;
    // the screen breaks it where its columns end, and puts it together again for who copies it
    assert!(screen.contains("\n      `runbook resume r1 --unt\nil afterwards`"), "{screen}");
}

#[test]
fn runs_leaves_out_what_can_be_spared() {
    let env = Env::new();
    std::fs::write(env.path("book.toml"), BOOK).unwrap();
    let _ = env.run(&["run", "./book.toml", "--trust"]);
    let runs = screen(&env, &["runs"]);
    assert!(runs.starts_with("run  runbook               state   started\n"), "{runs}");
    assert_eq!(runs.lines().count(), 2, "{runs}");
    // in a pipe nothing is left out
    assert!(env.run(&["runs"]).stdout.contains("last step"));
}

#[test]
fn list_leaves_out_the_paths() {
    let list = screen(&Env::new(), &["list"]);
    let line = "add-oidc            Add Authentik OIDC to an application\n";
    assert!(list.contains(line) && !list.contains("bundled:"), "{list}");
}

#[test]
fn errors_and_mistakes_are_told_between_words() {
    let env = Env::new();
    let wrong = BOOK.replace("and this line", "{{ sad }}, and this line");
    std::fs::write(env.path("wrong.toml"), wrong).unwrap();
    insta::assert_snapshot!(screen(&env, &["check", "wrong.toml"]), @r#"
    error: unknown name `sad`
     --> wrong.toml:8:28
      |
    8 | note = "They are there, {{ sad }}, and this line of t...
      |                            ^^^
      |
      = note: no input, variable or earlier saved value has
              this name

    wrong.toml: 1 mistake, nothing was run
    "#);
    std::fs::write(env.path("book.toml"), BOOK).unwrap();
    let run = screen(&env, &["run", "./book.toml", "--until", "nothing-that-there-is", "--trust"]);
    insta::assert_snapshot!(run, @r"
    error: `add-user-to-the-wiki` has no step
      `nothing-that-there-is`
    hint: its steps: `look`, `create`
    ");
}

/// A place is for a person or a terminal to go to: it stays whole, however long the path is.
#[test]
fn a_place_is_never_broken_and_an_about_of_several_lines_is() {
    const INPUT: &str = r#"
[inputs.user]
about = """
The login name of the person, lower case,
as the directory has it.

The wiki's page about names says more."""
example = "ada"
"#;
    let env = Env::new();
    let path = "a-folder-of-a-longer-name/book-of-a-long-name.toml";
    std::fs::create_dir(env.path("a-folder-of-a-longer-name")).unwrap();
    std::fs::write(env.path(path), format!("{}{INPUT}", BOOK.replace("note = ", "nte = ")))
        .unwrap();
    let screen = |args: &[&str]| Terminal::narrow(&env, 40, args).finish().0;
    // the screen breaks a long path where its columns end, and puts it together again for who copies it
    insta::assert_snapshot!(screen(&["check", path]), @r#"
    error: unknown key `nte`
     --> a-folder-of-a-longer-name/book-of-a
    -long-name.toml:8:1
      |
    8 | nte = "They are there, and this l...
      | ^^^
      |
      = help: did you mean `note`?

    a-folder-of-a-longer-name/book-of-a-long
    -name.toml:
      1 mistake, nothing was run
    "#);
    std::fs::write(env.path("book.toml"), format!("{BOOK}{INPUT}")).unwrap();
    insta::assert_snapshot!(screen(&["run", "./book.toml", "--explain"]), @r"
    user  missing
    error: `add-user-to-the-wiki` needs one
      input more:
      user  The login name of the person,
        lower case, as the directory has it.
    hint: give `--input user=ada`
    ");
    std::fs::write(env.path("in.toml"), "user = \"ada\"\nother = \"x\n").unwrap();
    insta::assert_snapshot!(screen(&["run", "./book.toml", "--inputs", "in.toml"]), @r#"
    error: cannot take inputs from
      in.toml:2:11: invalid basic string,
      expected `"`
    "#);
}
