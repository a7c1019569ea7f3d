//! What the program is measured against: the least that does the same calls.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use futures_util::future::join_all;
use runbook::journal::event::{Entry, Event, Failure, How, Outcome, StepRef};
use runbook::journal::store::Store;

use super::calls::{self, Call};
use super::server::TOKEN;

/// The seed's way: bash, curl and jq.
pub(crate) const SCRIPT: &str = r#"set -euo pipefail
AK_API="$1/api/v3"; AK_TOKEN="$2"; FILE="$3"
get() { curl -s -H "Authorization: Bearer $AK_TOKEN" "$1"; }
get "$AK_API/core/users/me/" | jq -r '.user.username' > /dev/null
AUTH=$(get "$AK_API/flows/instances/?slug=default-provider-authorization-implicit-consent" | jq -r '.results[0].pk')
INVAL=$(get "$AK_API/flows/instances/?slug=default-provider-invalidation-flow" | jq -r '.results[0].pk')
SCOPES=$(get "$AK_API/propertymappings/provider/scope/?ordering=scope_name" | jq -c '[.results[].pk]')
KEY=$(get "$AK_API/crypto/certificatekeypairs/?has_key=true" | jq -r '.results[0].pk')
test "$AUTH" != null && test "$INVAL" != null && test "$KEY" != null
R=$(curl -s -X POST -H "Authorization: Bearer $AK_TOKEN" -H 'Content-Type: application/json' "$AK_API/providers/oauth2/" \
  -d "{\"name\":\"Vaultwarden\",\"authorization_flow\":\"$AUTH\",\"invalidation_flow\":\"$INVAL\",\"signing_key\":\"$KEY\",\"property_mappings\":$SCOPES}")
PK=$(echo "$R" | jq -r '.pk'); ID=$(echo "$R" | jq -r '.client_id'); SECRET=$(echo "$R" | jq -r '.client_secret')
curl -s -X POST -H "Authorization: Bearer $AK_TOKEN" -H 'Content-Type: application/json' "$AK_API/core/applications/" \
  -d "{\"name\":\"Vaultwarden\",\"slug\":\"vaultwarden\",\"provider\":$PK}" | jq '{name, slug, provider}' > /dev/null
curl -s "$1/application/o/vaultwarden/.well-known/openid-configuration" | jq '{issuer, token_endpoint}' > /dev/null
curl -s "$1/application/o/vaultwarden/jwks/" | jq '.keys | length' > /dev/null
curl -s -o /dev/null "$1/application/o/authorize/?client_id=$ID"
cat >> "$FILE" << EOF
# Vaultwarden OIDC
VAULTWARDEN_OIDC_CLIENT_ID=$ID
VAULTWARDEN_OIDC_CLIENT_SECRET=$SECRET
EOF
"#;

/// One of the minimal programs: does nothing, or the calls that a run was seen to make.
pub(crate) fn run(mode: &str, arguments: &[String]) {
    let [calls, url, file, syncs] = arguments else { return };
    let calls = calls::read(calls);
    let disk = Disk { file: std::fs::File::create(file).unwrap(), left: syncs.parse().unwrap() };
    if mode.contains("sockets") {
        return sockets(&calls, url, disk);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client(&calls, url, disk, mode.contains("parallel")));
}

/// So many syncs of a file: one before each change, the others at the end.
struct Disk {
    file: std::fs::File,
    left: usize,
}

impl Disk {
    fn sync(&mut self) {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            self.file.write_all(&[b'x'; 2048]).unwrap();
            self.file.sync_data().unwrap();
        }
    }

    fn end(mut self) {
        while self.left > 0 {
            self.sync();
        }
    }
}

/// With `reqwest`, on one kept connection, or with what was at once at once.
async fn client(calls: &[Call], url: &str, mut disk: Disk, parallel: bool) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let one = |call: &Call| {
        let method = reqwest::Method::from_bytes(call.method.as_bytes()).unwrap();
        let mut request = client.request(method, format!("{url}{}", call.target));
        if call.authorized() {
            request = request.bearer_auth(TOKEN);
        }
        if !call.body.is_empty() {
            request = request.header("content-type", "application/json").body(call.body.clone());
        }
        async move {
            let body = request.send().await.unwrap().bytes().await.unwrap();
            serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default()
        }
    };
    let together = |a: &Call, b: &Call| parallel && a.group == b.group;
    for group in calls.chunk_by(together) {
        if group.iter().any(|call| !call.reads()) {
            disk.sync();
        }
        join_all(group.iter().map(one)).await;
    }
    disk.end();
}

/// On one blocking socket: as little as can be.
fn sockets(calls: &[Call], url: &str, mut disk: Disk) {
    let host = url.trim_start_matches("http://");
    let stream = TcpStream::connect(host).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(&stream);
    for call in calls {
        if !call.reads() {
            disk.sync();
        }
        let Call { method, target, body, .. } = call;
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        (&stream).write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let _: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    }
    disk.end();
}

/// Fills a history with so many runs of three events.
pub(crate) fn fill(folder: &Path, count: usize) {
    std::fs::create_dir_all(folder).unwrap();
    let mut store = Store::open(folder).unwrap();
    let mut entries = Vec::new();
    for number in 1..=count {
        let run = store_name(number);
        let failed = number % 10 == 0;
        let outcome = if failed { Outcome::Failed } else { Outcome::Done };
        let events = [started(), step(failed), Event::Ended { outcome, took_ms: 40 }];
        entries.extend((1..).zip(events).map(|(seq, event)| {
            let at_ms = 1_760_000_000_000 + i64::try_from(number).unwrap() * 1000;
            Entry { run: run.clone(), seq, at_ms, event }
        }));
        if entries.len() >= 30_000 || number == count {
            store.append(&entries).unwrap();
            entries.clear();
        }
    }
}

fn store_name(number: usize) -> String {
    format!("r{number}")
}

fn started() -> Event {
    Event::Started {
        runbook: "bench".into(),
        title: "Bench".into(),
        path: "bench.toml".into(),
        folder: String::new(),
        text: "0".repeat(64),
        uses: std::collections::BTreeMap::new(),
        runbooks: Vec::new(),
        steps: [StepRef { id: "one".into(), title: "One".into(), digest: "d".into() }].into(),
        inputs: std::collections::BTreeMap::new(),
        given: Vec::new(),
        rehearsal: false,
        batch: None,
    }
}

fn step(failed: bool) -> Event {
    if failed {
        let failure = Failure {
            message: "no".into(),
            details: vec![],
            hints: vec![],
            doubt: false,
            compared: false,
        };
        return Event::Failed { step: "one".into(), failure, took_ms: 1 };
    }
    Event::Done {
        step: "one".into(),
        how: How::Performed,
        saved: std::collections::BTreeMap::new(),
        summary: "200 OK".into(),
        took_ms: 1,
        private: std::collections::BTreeMap::new(),
        was: None,
    }
}
