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

/// A program of this machine; servers stand outside an ordinary person's `PATH`.
pub(crate) fn program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/usr/local/sbin", "/sbin"]);
    folders.map(|folder| std::path::Path::new(folder).join(name)).find(|file| file.is_file())
}
