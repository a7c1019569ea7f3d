//! What can go wrong on the way through another host, told apart by what ssh says.
//!
//! OpenSSH's messages are always English. Whatever is not known here is shown as ssh said it.

use std::fmt;
use std::time::Duration;

use super::Destination;

/// Why a host, or a port behind it, cannot be reached. Nothing was sent to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What happened, one line.
    pub message: String,
    /// What ssh said.
    pub details: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether it may be gone when it is tried again.
    pub passing: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// How many of ssh's lines are shown.
const SHOWN: usize = 5;

impl Fault {
    fn new(message: String, lines: &[String]) -> Self {
        let lines: Vec<&String> = lines.iter().filter(|line| telling(line)).collect();
        let details = lines[lines.len().saturating_sub(SHOWN)..]
            .iter()
            .map(|line| format!("ssh: {}", line.strip_prefix("ssh: ").unwrap_or(line)));
        Self { message, details: details.collect(), hint: None, passing: false }
    }

    fn hint(self, hint: String) -> Self {
        Self { hint: Some(hint), ..self }
    }

    fn passing(self) -> Self {
        Self { passing: true, ..self }
    }

    /// There is no `ssh`.
    pub(super) fn missing(to: &Destination) -> Self {
        Self::new(format!("cannot go through `{to}`: there is no `ssh` on this machine"), &[])
            .hint("install OpenSSH's client; it is looked for along `PATH`".to_owned())
    }

    /// `ssh` or its surroundings cannot be started.
    pub(super) fn not_started(to: &Destination, error: &std::io::Error) -> Self {
        Self::new(format!("cannot start `ssh` to go through `{to}`: {error}"), &[])
    }

    /// The session has ended since.
    pub(super) fn lost(to: &Destination) -> Self {
        Self::new(format!("the ssh session to `{to}` has ended"), &[]).passing()
    }

    /// The host takes no more commands at once on this connection.
    pub(super) fn full(to: &Destination, stderr: &str) -> Self {
        let lines: Vec<String> = stderr.lines().take(1).map(str::to_owned).collect();
        Self::new(format!("`{to}` takes no more commands at once: nothing was run there"), &lines)
            .hint(
                "run fewer at once, or allow more there (`MaxSessions` of its ssh server)"
                    .to_owned(),
            )
            .passing()
    }

    /// It takes too long.
    pub(super) fn slow(to: &Destination, limit: Duration, lines: &[String]) -> Self {
        Self::new(format!("`{to}` did not let us in within {} s", limit.as_secs()), lines)
            .hint(format!("see what it waits for: `{}`", to.by_hand()))
            .passing()
    }

    /// The session did not come about.
    pub(super) fn connecting(to: &Destination, lines: &[String]) -> Self {
        let text = lines.join("\n");
        let says = |known: &[&str]| known.iter().any(|known| text.contains(known));
        let (host, by_hand) = (to.host(), to.by_hand());
        let fault = |message: String| Self::new(message, lines);
        if says(&["IDENTIFICATION HAS CHANGED", "REVOKED HOST KEY"]) {
            fault(format!("the host key of `{to}` is not the one that is known: it has changed")).hint(format!(
                "find out why first, somebody may be in between; if the host was set up anew, forget its old key (`ssh-keygen -R {}`), then `{by_hand}` and compare the new one",
                known_as(to)
            ))
        } else if says(&["host key is known for", "Host key verification failed"]) {
            fault(format!("the host key of `{to}` is not known, so it may be any host")).hint(
                format!(
                    "`{by_hand}` once: compare the fingerprint with the host's own and accept it"
                ),
            )
        } else if says(&["Could not resolve hostname"]) {
            fault(format!("there is no ssh host of the name `{host}`"))
                .hint(
                    "check the name, and its `Host` entry in ~/.ssh/config if it has one"
                        .to_owned(),
                )
                .passing()
        } else if says(&["Permission denied", "Too many authentication failures"]) {
            fault(format!("`{to}` does not let us in")).hint(format!(
                "make `{by_hand}` work without a question (`ssh-add` keeps a key's passphrase), or start this in a terminal, where ssh can ask"
            ))
        } else if says(&UNREACHED) {
            fault(format!("the ssh server of `{to}` cannot be reached"))
                .hint(format!(
                    "see whether the host is up and its ssh server listens there: `{by_hand}`"
                ))
                .passing()
        } else {
            fault(format!("ssh to `{to}` failed")).hint(format!("try it by hand: `{by_hand}`"))
        }
    }

    /// The session is there, but not the port behind it.
    pub(super) fn unreachable(to: &Destination, target: &str, lines: &[String]) -> Self {
        let reason = lines.iter().rev().find_map(|line| {
            let reason = line.split_once(super::OPEN_FAILED)?.1;
            Some(reason.strip_prefix("connect failed: ").unwrap_or(reason).to_lowercase())
        });
        let reason = reason.unwrap_or_else(|| "no reason was given".to_owned());
        let hint = if reason.contains("prohibited") {
            format!(
                "the ssh server of `{to}` must allow forwarding (`AllowTcpForwarding`, `PermitOpen`)"
            )
        } else {
            format!(
                "see whether the service listens on `{target}` as seen from `{to}`: that is where the address is looked up"
            )
        };
        let message = format!("`{target}` cannot be reached from `{to}`: {reason}");
        Self::new(message, &[]).hint(hint).passing()
    }
}

/// Whether the session for a command was refused, by all that came on standard error. After that
/// the client looks for another way, and finds only the one that says `mark`. A program there does
/// not know the mark, whatever it says.
pub(super) fn refused(stderr: &str, mark: &str) -> bool {
    let refusal = "mux_client_request_session: session request failed";
    stderr.starts_with(refusal) && stderr.lines().any(|line| line == mark)
}

/// What ssh says when the other side is not there, or hangs up before it is known who asks.
const UNREACHED: [&str; 8] = [
    "Connection refused",
    "timed out",
    "No route to host",
    "unreachable",
    "Connection closed by",
    "Connection reset by",
    "kex_exchange_identification",
    "banner",
];

/// The frames around ssh's warnings say nothing.
fn telling(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with("@@@")
}

/// How `known_hosts` names a host.
fn known_as(to: &Destination) -> String {
    match to.port {
        Some(port) if port != 22 => format!("'[{}]:{port}'", to.host()),
        _ => to.host().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Fault {
        let to = Destination::parse("me@db1:2222").unwrap();
        Fault::connecting(&to, &text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_ssh_says_is_told_apart() {
        let changed = "@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.";
        for (text, message, passing) in [
            (
                changed,
                "the host key of `me@db1:2222` is not the one that is known: it has changed",
                false,
            ),
            (
                "No ED25519 host key is known for [db1]:2222 and you have requested strict checking.\nHost key verification failed.",
                "the host key of `me@db1:2222` is not known, so it may be any host",
                false,
            ),
            (
                "ssh: Could not resolve hostname db1: Name or service not known",
                "there is no ssh host of the name `db1`",
                true,
            ),
            ("me@db1: Permission denied (publickey).", "`me@db1:2222` does not let us in", false),
            (
                "ssh: connect to host db1 port 2222: Connection refused",
                "the ssh server of `me@db1:2222` cannot be reached",
                true,
            ),
            (
                "Connection timed out during banner exchange\nConnection to db1 port 2222 timed out",
                "the ssh server of `me@db1:2222` cannot be reached",
                true,
            ),
            ("something new", "ssh to `me@db1:2222` failed", false),
        ] {
            let fault = told(text);
            assert_eq!((fault.message.as_str(), fault.passing), (message, passing), "{text}");
            assert!(fault.hint.is_some(), "{text}");
        }
    }

    #[test]
    fn a_changed_key_is_forgotten_under_the_name_it_is_known_by() {
        let hint = told("REMOTE HOST IDENTIFICATION HAS CHANGED").hint.unwrap();
        assert!(hint.contains("ssh-keygen -R '[db1]:2222'"), "{hint}");
    }

    #[test]
    fn ssh_is_quoted_without_its_frames() {
        assert_eq!(told("@@@@@\n\nwhy").details, ["ssh: why"]);
        assert_eq!(told("ssh: Could not").details, ["ssh: Could not"]);
    }

    #[test]
    fn a_refused_session_is_known_by_the_way_that_is_none() {
        let refusal =
            "mux_client_request_session: session request failed: Session open refused by peer\n";
        for (rest, known) in [
            ("mark\r\nConnection closed by UNKNOWN port 65535\n", true),
            ("kex_exchange_identification: write: Broken pipe\nmark\n", true),
            // a program there that is an `ssh` of its own
            ("Connection closed by UNKNOWN port 65535\n", false),
            ("", false),
        ] {
            assert_eq!(refused(&format!("{refusal}{rest}"), "mark"), known, "{rest}");
        }
        // the session had begun: the master went away
        assert!(!refused("mux_client_request_session: read from master failed\nmark\n", "mark"));
    }

    #[test]
    fn a_port_behind_the_host_says_why() {
        let to = Destination::parse("db1").unwrap();
        let lines = ["channel 3: open failed: connect failed: Connection refused".to_owned()];
        let fault = Fault::unreachable(&to, "127.0.0.1:9000", &lines);
        assert_eq!(
            fault.message,
            "`127.0.0.1:9000` cannot be reached from `db1`: connection refused"
        );
        let lines = ["channel 3: open failed: administratively prohibited: open failed".to_owned()];
        let fault = Fault::unreachable(&to, "x:1", &lines);
        assert!(fault.message.ends_with("administratively prohibited: open failed"));
        assert!(fault.hint.unwrap().contains("AllowTcpForwarding"));
    }
}
