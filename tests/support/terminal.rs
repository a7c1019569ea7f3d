//! The program in a real pseudo-terminal, as a person sits before it, and what they see of it.
//!
//! Bytes are read one by one: expect ASCII text. The terminal does not echo; what a prompt
//! shows, the program drew.

use std::process::Command;

use rexpect::process::WaitStatus;
use rexpect::reader::Options;
use rexpect::session::PtySession;

use super::env::{Env, PATIENCE};

/// Columns of an ordinary screen.
const COLUMNS: u16 = 100;

/// Its lines.
const ROWS: u16 = 40;

/// One program in its terminal. Dropping it ends the program. The [`Env`] must outlive it: the
/// program starts in the folder that vanishes with that.
pub(crate) struct Terminal {
    session: PtySession,
    written: String,
    screen: vt100::Parser,
}

impl Terminal {
    /// Starts the program with arguments in that environment.
    pub(crate) fn start(env: &Env, args: &[&str]) -> Self {
        Self::narrow(env, COLUMNS, args)
    }

    /// The same on a screen of so many columns.
    pub(crate) fn narrow(env: &Env, columns: u16, args: &[&str]) -> Self {
        Self::sized(env, columns, env!("CARGO_BIN_EXE_runbook"), args)
    }

    /// Starts any program in that environment.
    pub(crate) fn spawn(env: &Env, program: &str, args: &[&str]) -> Self {
        Self::sized(env, COLUMNS, program, args)
    }

    fn sized(env: &Env, columns: u16, program: &str, args: &[&str]) -> Self {
        // A new pseudo-terminal has no size, and only a program inside can say it safely.
        let mut command: Command = env.any("sh");
        let size = format!(r#"stty rows {ROWS} cols {columns} && exec "$0" "$@""#);
        command.env("TERM", "xterm-256color").args(["-c", &size, program]).args(args);
        let timeout = u64::try_from(PATIENCE.as_millis()).ok();
        let options = Options::new().timeout_ms(timeout);
        let session = rexpect::spawn_with_options(command, options).expect("terminal starts");
        let [rows, columns] = [ROWS, columns].map(|n| n.try_into().expect("a screen has a size"));
        Self { session, written: String::new(), screen: vt100::Parser::new(rows, columns, 0) }
    }

    /// Waits for a text that is written in one go.
    pub(crate) fn expect(&mut self, text: &str) {
        match self.session.exp_string(text) {
            Ok(before) => self.draw(&(before + text)),
            Err(error) => panic!("`{text}` never came: {error}"),
        }
    }

    fn draw(&mut self, text: &str) {
        // the session takes each byte for a character
        let bytes: Vec<u8> = text.chars().filter_map(|c| u8::try_from(c).ok()).collect();
        self.screen.process(&bytes);
        self.written.push_str(text);
    }

    /// All that was ever written, with what moves the cursor, as far as it was waited for.
    pub(crate) fn written(&self) -> &str {
        &self.written
    }

    /// What stands on the screen, as far as it was waited for.
    pub(crate) fn screen(&self) -> String {
        let screen = self.screen.screen();
        let lines = screen.rows(0, screen.size().1.get()).map(|line| line.trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// Types a line and Enter.
    pub(crate) fn line(&mut self, text: &str) {
        self.keys(&format!("{text}\r"));
    }

    /// Types exactly these bytes.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.session.send(keys).expect("terminal takes keys");
        self.session.flush().expect("terminal takes keys");
    }

    /// Types a letter with Ctrl held.
    pub(crate) fn control(&mut self, letter: char) {
        self.session.send_control(letter).expect("terminal takes keys");
    }

    /// Ends the program as `kill -9` does.
    pub(crate) fn kill(mut self) {
        let ended = self.session.process_mut().kill(rexpect::process::Signal::SIGKILL);
        assert!(matches!(ended, Ok(WaitStatus::Signaled(..))), "{ended:?}");
    }

    /// Waits for the end: what stands on the screen then and the exit code; `None` after a signal.
    pub(crate) fn finish(mut self) -> (String, Option<i32>) {
        let rest = self.session.exp_eof().expect("program ends");
        self.draw(&rest);
        match self.session.process().wait().expect("program ends") {
            WaitStatus::Exited(_, code) => (self.screen(), Some(code)),
            _ => (self.screen(), None),
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
    fn the_program_itself_ends_in_a_terminal() {
        let (_, code) = Terminal::start(&Env::new(), &["--version"]).finish();
        assert_eq!(code, Some(0));
    }
}
