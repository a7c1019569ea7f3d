//! Secrets in what the program leaves behind: every output and file, every form a secret can take.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::env::Output;

/// Secrets, and how often they were looked for.
pub(crate) struct Leaks {
    /// What must not be found, and what it is.
    forms: Vec<(String, String)>,
    outputs: usize,
}

impl Leaks {
    /// Looks for these secrets: each in clear and in the forms that programs write it.
    pub(crate) fn new(secrets: &[&str]) -> Self {
        let forms = secrets.iter().flat_map(|secret| forms(secret)).collect();
        Self { forms, outputs: 0 }
    }

    /// How many places were searched for how many forms.
    pub(crate) fn tried(&self) -> String {
        format!(
            "secrets: {} outputs and files searched for {} forms",
            self.outputs,
            self.forms.len()
        )
    }

    /// Both streams of a program.
    pub(crate) fn output(&mut self, what: &str, out: &Output) {
        self.bytes(&format!("stdout of {what}"), out.stdout.as_bytes());
        self.bytes(&format!("stderr of {what}"), out.stderr.as_bytes());
    }

    /// Every file below a folder.
    pub(crate) fn folder(&mut self, what: &str, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.folder(what, &path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                self.bytes(&format!("{} after {what}", path.display()), &bytes);
            }
        }
    }

    fn bytes(&mut self, what: &str, bytes: &[u8]) {
        self.outputs += 1;
        for (form, text) in &self.forms {
            let found = bytes.windows(text.len()).position(|window| window == text.as_bytes());
            assert_eq!(found, None, "{form} stands in {what}: {}", String::from_utf8_lossy(bytes));
        }
    }
}

fn forms(secret: &str) -> Vec<(String, String)> {
    let json = serde_json::to_string(secret).unwrap();
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let bearer = format!("Bearer {secret}");
    let mut forms = vec![
        ("in clear", secret.to_owned()),
        ("as JSON", json[1..json.len() - 1].to_owned()),
        ("as JSON in JSON", serde_json::to_string(&json).unwrap().replace('"', "")),
        ("as a form", percent.clone()),
        ("as a URL", percent.replace('+', "%20")),
        ("as Debug", format!("{secret:?}").trim_matches('"').to_owned()),
        ("as Base64", STANDARD.encode(secret)),
        ("as Base64 without padding", STANDARD_NO_PAD.encode(secret)),
        ("as Base64 for URLs", URL_SAFE.encode(secret)),
        ("as Base64 for URLs without padding", URL_SAFE_NO_PAD.encode(secret)),
        ("as Base64 of its header", STANDARD_NO_PAD.encode(bearer)),
    ];
    forms.dedup_by(|one, other| one.1 == other.1);
    forms.into_iter().map(|(form, text)| (format!("{secret} {form}"), text)).collect()
}
