//! The calls a run makes, as the server saw them: what the programs beside it do as well.

use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::server::TOKEN;

/// One call. Calls that were under way at the same time have the same group.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) group: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) body: String,
}

impl Call {
    pub(crate) fn reads(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }

    /// Whether it takes the token: the service's API, not what the application asks.
    pub(crate) fn authorized(&self) -> bool {
        self.target.starts_with("/api/")
    }
}

/// Leaves calls for another process.
pub(crate) fn write(calls: &[Call], file: &Path) {
    std::fs::write(file, serde_json::to_vec(calls).unwrap()).unwrap();
}

/// Reads what [`write`] left.
pub(crate) fn read(file: &str) -> Vec<Call> {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The same calls for hurl.
pub(crate) fn hurl(calls: &[Call], url: &str, file: &Path) {
    let mut out = std::fs::File::create(file).unwrap();
    for call in calls {
        writeln!(out, "{} {url}{}", call.method, call.target).unwrap();
        if call.authorized() {
            writeln!(out, "Authorization: Bearer {TOKEN}").unwrap();
        }
        if !call.body.is_empty() {
            let kind = if call.body.starts_with('{') { "json" } else { "x-www-form-urlencoded" };
            writeln!(out, "Content-Type: application/{kind}\n```\n{}\n```", call.body).unwrap();
        }
        writeln!(out, "HTTP *\n").unwrap();
    }
}
