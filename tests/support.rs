//! What tests stand on: a clean environment, a real server, transcripts, a terminal.
#![expect(clippy::disallowed_methods, reason = "tests read UPDATE and PATH of the real world")]

pub(crate) mod env;
pub(crate) mod fake;
pub(crate) mod leak;
pub(crate) mod server;
pub(crate) mod stand;
pub(crate) mod sshd;
pub(crate) mod terminal;
pub(crate) mod transcript;

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port()
}
