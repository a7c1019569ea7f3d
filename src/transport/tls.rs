//! What a connection says about certificates.
//!
//! Without a word of the author's, the platform's own authorities are trusted and every
//! certificate is checked. Files are read here, when a client is first built.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// What a connection says about certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file: the only authorities trusted, in place of the platform's.
    pub ca: Option<PathBuf>,
    /// PEM files of the client's certificate and its key; they may be one file.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Certificates are not checked at all.
    pub insecure: bool,
}

impl Tls {
    /// Applies it; the error says which file is wrong.
    pub(super) fn apply(
        &self,
        mut builder: reqwest::ClientBuilder,
    ) -> Result<reqwest::ClientBuilder, String> {
        if let Some(path) = &self.ca {
            let authorities = reqwest::Certificate::from_pem_bundle(&read(path)?)
                .ok()
                .filter(|found| !found.is_empty())
                .ok_or_else(|| format!("`{}` holds no PEM certificate", path.display()))?;
            builder = builder.tls_certs_only(authorities);
        }
        if let Some((certificate, key)) = &self.client {
            let mut pem = read(certificate)?;
            if key != certificate {
                pem.push(b'\n');
                pem.extend_from_slice(&read(key)?);
            }
            // the error's own text may quote the key
            let identity = reqwest::Identity::from_pem(&pem).map_err(|_| {
                let (certificate, key) = (certificate.display(), key.display());
                format!("`{certificate}` and `{key}` are no PEM certificate with its key")
            })?;
            builder = builder.identity(identity);
        }
        Ok(if self.insecure { builder.tls_danger_accept_invalid_certs(true) } else { builder })
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    std::fs::read(path)
        .map(Zeroizing::new)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}
