//! What stands on the screen while steps run, and after.

use crate::support::env::Env;
use crate::support::server::{Fault, Server};
use crate::support::terminal::Terminal;

/// Runs a book in a terminal that shows what is typed, as ordinary ones do, and says at the end
/// whether it still does.
const SHELL: &str = "trap : INT; stty echo; \"$0\" run ./book.toml; code=$?; \
                     case \"$(stty -a)\" in *' echo '*) echo as before;; esac; exit $code";

#[test]
fn keys_pressed_while_a_step_runs_leave_no_spinner_behind() {
    let (env, server) = (Env::new(), Server::bind());
    server.fault_at(1, Fault::Hold);
    let book = format!(
        "format = 1\nname = \"book\"\n[connections.api]\nbase = \"{}\"\n\
         [[steps]]\nid = \"slow\"\ntitle = \"Look for it\"\nhttp = {{ on = \"api\", url = \"slow\" }}\n",
        server.url()
    );
    std::fs::write(env.path("book.toml"), book).unwrap();
    let mut terminal = Terminal::spawn(&env, "sh", &["-c", SHELL, env!("CARGO_BIN_EXE_runbook")]);
    terminal.expect("Look for it");
    terminal.keys("\r\rx");
    terminal.control('c');
    let (screen, code) = terminal.finish();
    let lines: Vec<&str> = screen.lines().collect();
    let [run, stop, hint, after] = lines[..] else { panic!("{screen}") };
    assert_eq!(run, "run   r1  book");
    assert!(stop.starts_with("stop  interrupted, 0 of 1 step done, "), "{screen}");
    assert_eq!([hint, after], ["hint: to go on, `runbook resume r1`", "as before"]);
    assert_eq!(code, Some(130));
}
