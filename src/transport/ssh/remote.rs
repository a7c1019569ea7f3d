//! A command as the login shell of another host must be told it, so that the program gets its
//! arguments exactly.
//!
//! Arguments are seen by everybody on that host, so variables do not go there: they come first
//! on standard input, in a [`prelude`] that a small script of `sh` takes off.

/// Reads names and values, line by line in turn, up to an empty line, then becomes the program.
/// Without that line the connection broke, and nothing is run.
const SCRIPT: &str = r#"while IFS= read -r runbook_n; do if [ -z "$runbook_n" ]; then unset runbook_n runbook_v; exec "$@"; fi; IFS= read -r runbook_v || exit 255; runbook_v=$(printf '%b.' "$runbook_v"); export "$runbook_n=${runbook_v%.}"; done; exit 255"#;

/// The line for the login shell: POSIX shells, zsh and fish read it alike. `variables` says
/// whether a [`prelude`] comes on standard input.
pub fn line(argv: &[String], folder: Option<&str>, variables: bool) -> String {
    let mut line = folder.map(change).unwrap_or_default();
    // `exec`: a program is meant, never a builtin or a word of the shell's own.
    line.push_str("exec");
    if variables {
        line.push_str(" sh -c ");
        line.push_str(&quote(SCRIPT));
        line.push_str(" sh");
    }
    for word in argv {
        line.push(' ');
        line.push_str(&quote(word));
    }
    line
}

/// What tells the script of `line` the variables; comes before the program's own input.
/// Fails with the first name that no shell takes.
pub fn prelude(variables: &[(String, String)]) -> Result<String, String> {
    let mut text = String::new();
    for (name, value) in variables {
        if !is_variable(name) {
            return Err(name.clone());
        }
        let value = value.replace('\\', r"\\").replace('\n', r"\n");
        text.extend([name, "\n", &value, "\n"]);
    }
    text.push('\n');
    Ok(text)
}

/// Whether a variable of this name can be given to a program on another host.
pub fn is_variable(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(plain) && name.starts_with(|c: char| !c.is_ascii_digit())
}

/// A word that every shell reads as itself. Backslashes and quotes stand outside of quotes: fish
/// takes them for its own inside.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("'");
    for char in word.chars() {
        match char {
            '\'' => quoted.push_str(r"'\''"),
            '\\' => quoted.push_str(r"'\\'"),
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

/// Going to a folder first; `~/` is the home of whoever runs it there.
fn change(folder: &str) -> String {
    let place = match folder.strip_prefix('~') {
        Some("") => "~".to_owned(),
        Some(rest) if rest.starts_with('/') => format!("~/{}", quote(rest.trim_start_matches('/'))),
        _ if folder.starts_with('/') => quote(folder),
        // Not an option, and not looked for along `CDPATH`.
        _ => quote(&format!("./{folder}")),
    };
    format!("cd {place} && ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    const AWKWARD: &[&str] = &[
        "", " ", "a b", "it's", "\"", "$HOME", "$(id)", "`id`", "\\", "\\n", "a\\'b", "\n",
        "a\nb\n", "*", "~", "!x", "#", "-n", "--", "A=b", "=ls", "ünï", ";", "&&", "|", "<x",
        "{a,b}", "\t", "%s", "'\\''",
    ];

    fn shell(line: &str, stdin: &str) -> String {
        let mut child = Command::new("sh")
            .args(["-c", line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_argument_arrives_as_it_is() {
        let mut argv = words(&["printf", "%s\\0", "--"]);
        argv.extend(words(AWKWARD));
        let wanted: String = argv[2..].join("\0") + "\0";
        assert_eq!(shell(&line(&argv, None, false), ""), wanted);
        let variables = [("A".to_owned(), "b".to_owned())];
        assert_eq!(shell(&line(&argv, None, true), &prelude(&variables).unwrap()), wanted);
    }

    #[test]
    fn variables_arrive_as_they_are_and_the_rest_of_the_input_is_the_programs() {
        for value in AWKWARD {
            let variables =
                [("ONE".to_owned(), (*value).to_owned()), ("n".to_owned(), "2".to_owned())];
            let argv = words(&["sh", "-c", "printf '%s,%s,' \"$ONE\" \"$n\"; cat"]);
            let stdin = prelude(&variables).unwrap() + "the\nrest";
            assert_eq!(shell(&line(&argv, None, true), &stdin), format!("{value},2,the\nrest"));
        }
    }

    #[test]
    fn nothing_runs_when_the_variables_break_off() {
        let argv = words(&["echo", "ran"]);
        for stdin in ["", "A\n", "A\nb\n"] {
            assert_eq!(shell(&line(&argv, None, true), stdin), "", "{stdin:?}");
        }
    }

    #[test]
    fn a_name_no_shell_takes_is_refused() {
        for name in ["", "1A", "A-B", "A=B", "A\n"] {
            let variables = [(name.to_owned(), String::new())];
            assert_eq!(prelude(&variables), Err(name.to_owned()));
        }
    }

    #[test]
    fn a_folder_is_gone_to_first() {
        let pwd = words(&["pwd"]);
        assert_eq!(shell(&line(&pwd, Some("/"), false), ""), "/\n");
        assert_eq!(line(&pwd, Some("~"), false), "cd ~ && exec pwd");
        assert_eq!(line(&pwd, Some("~/a b"), false), "cd ~/'a b' && exec pwd");
        assert_eq!(line(&pwd, Some("-x"), false), "cd ./-x && exec pwd");
        assert_eq!(line(&pwd, Some("~me"), false), "cd './~me' && exec pwd");
    }
}
