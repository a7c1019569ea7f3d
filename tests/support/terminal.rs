//! The program in a real pseudo-terminal of 100 by 40, as a person sits before it.
//!
//! Escape codes are stripped from what is read, and bytes are read one by one: expect ASCII text.
//! The terminal does not echo; what a prompt shows, the program drew.

use std::process::Command;

use rexpect::process::WaitStatus;
use rexpect::reader::Options;
use rexpect::session::PtySession;

use super::env::{Env, PATIENCE};

/// Arrow down, as a terminal sends it.
pub(crate) const DOWN: &str = "\x1b[B";

/// One program in its terminal. Dropping it ends the program. The [`Env`] must outlive it: the
/// program starts in the folder that vanishes with that.
pub(crate) struct Terminal(PtySession);

impl Terminal {
    /// Starts the program with arguments in that environment.
    pub(crate) fn start(env: &Env, args: &[&str]) -> Self {
        Self::spawn(env, env!("CARGO_BIN_EXE_runbook"), args)
    }

    /// Starts any program in that environment.
    pub(crate) fn spawn(env: &Env, program: &str, args: &[&str]) -> Self {
        // A new pseudo-terminal has no size, and only a program inside can say it safely.
        let mut command: Command = env.any("sh");
        command
            .env("TERM", "xterm-256color")
            .args(["-c", r#"stty rows 40 cols 100 && exec "$0" "$@""#, program])
            .args(args);
        let timeout = u64::try_from(PATIENCE.as_millis()).ok();
        let options = Options::new().timeout_ms(timeout).strip_ansi_escape_codes(true);
        Self(rexpect::spawn_with_options(command, options).expect("terminal starts"))
    }

    /// Waits for a text and gives what came before it.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        match self.0.exp_string(text) {
            Ok(before) => before,
            Err(error) => panic!("`{text}` never came: {error}"),
        }
    }

    /// Types a line and Enter.
    pub(crate) fn line(&mut self, text: &str) {
        self.keys(&format!("{text}\r"));
    }

    /// Types exactly these bytes.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.0.send(keys).expect("terminal takes keys");
        self.0.flush().expect("terminal takes keys");
    }

    /// Types a letter with Ctrl held.
    pub(crate) fn control(&mut self, letter: char) {
        self.0.send_control(letter).expect("terminal takes keys");
    }

    /// Ends the program as `kill -9` does.
    pub(crate) fn kill(mut self) {
        let ended = self.0.process_mut().kill(rexpect::process::Signal::SIGKILL);
        assert!(matches!(ended, Ok(WaitStatus::Signaled(..))), "{ended:?}");
    }

    /// Waits for the end: the rest of the output and the exit code; `None` after a signal.
    pub(crate) fn finish(mut self) -> (String, Option<i32>) {
        let rest = self.0.exp_eof().expect("program ends");
        match self.0.process().wait().expect("program ends") {
            WaitStatus::Exited(_, code) => (rest, Some(code)),
            _ => (rest, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(env: &Env, script: &str) -> Terminal {
        Terminal::spawn(env, "sh", &["-c", script])
    }

    #[test]
    fn a_program_sees_a_terminal_with_a_size_and_its_answers() {
        let env = Env::new();
        let mut terminal =
            sh(&env, "test -t 0 && test -t 2 && stty size; read x; echo \"got $x\"; exit 3");
        terminal.expect("40 100");
        terminal.line("blue");
        terminal.expect("got blue");
        assert_eq!(terminal.finish().1, Some(3));
    }

    #[test]
    fn control_c_and_bare_keys_arrive() {
        let env = Env::new();
        let mut terminal =
            sh(&env, "trap 'echo stopped; exit 130' INT; echo ready; cat -v; exit 1");
        terminal.expect("ready");
        terminal.keys(DOWN);
        terminal.line("");
        terminal.expect("^[[B");
        terminal.control('c');
        terminal.expect("stopped");
        assert_eq!(terminal.finish().1, Some(130));
    }

    #[test]
    fn the_program_itself_ends_in_a_terminal() {
        let (_, code) = Terminal::start(&Env::new(), &["--version"]).finish();
        assert_eq!(code, Some(0));
    }
}
