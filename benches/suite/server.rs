//! A small, fast server with the state that `add-oidc` needs, by hand on blocking sockets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::calls::Call;

/// The token it takes.
pub(crate) const TOKEN: &str = "bench-token-0123456789";

#[derive(Default)]
struct State {
    provider: Option<String>,
    application: Option<String>,
    seen: Vec<Call>,
    under_way: usize,
    group: usize,
}

impl State {
    fn begin(&mut self, method: &str, target: &str, body: &str) {
        if self.under_way == 0 {
            self.group += 1;
        }
        self.under_way += 1;
        let (group, body) = (self.group, body.to_owned());
        let (method, target) = (method.to_owned(), target.to_owned());
        self.seen.push(Call { group, method, target, body });
    }
}

/// The server; it ends with the process.
pub(crate) struct Server {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Serves on a free port, each answer after this time.
    pub(crate) fn start(latency: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state: Arc<Mutex<State>> = Arc::default();
        let (shared, host) = (Arc::clone(&state), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, host) = (Arc::clone(&shared), host.clone());
                std::thread::spawn(move || serve(&stream, &state, &host, latency));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forgets what was made.
    pub(crate) fn reset(&self) {
        *self.state.lock().unwrap() = State::default();
    }

    /// The calls since then.
    pub(crate) fn seen(&self) -> Vec<Call> {
        self.state.lock().unwrap().seen.clone()
    }
}

/// Serves until the process is ended, for a profiler or a look by hand: says its address, and
/// forgets what was made at `GET /reset`.
pub(crate) fn serve_for_ever(latency: Duration) {
    let server = Server::start(latency);
    println!("{} (token {TOKEN})", server.url());
    loop {
        std::thread::park();
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>, host: &str, latency: Duration) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 {
                return;
            }
            if header.trim().is_empty() {
                break;
            }
            let lower = header.to_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let mut words = line.split_whitespace();
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let body = String::from_utf8_lossy(&body);
        state.lock().unwrap().begin(method, target, &body);
        if !latency.is_zero() {
            std::thread::sleep(latency);
        }
        let answer = answer(method, target, &body, state, host);
        {
            let mut state = state.lock().unwrap();
            state.under_way = state.under_way.saturating_sub(1);
        }
        if (&*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn json(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn list(objects: &str, count: usize) -> String {
    json(
        "200 OK",
        &format!(
            r#"{{"pagination":{{"next":0,"previous":0,"count":{count},"current":1,"total_pages":1,"start_index":1,"end_index":{count}}},"results":[{objects}],"autocomplete":{{}}}}"#
        ),
    )
}

fn answer(method: &str, target: &str, body: &str, state: &Mutex<State>, host: &str) -> String {
    let path = target.split('?').next().unwrap_or("");
    let mut state = state.lock().unwrap();
    match (method, path) {
        ("GET", "/api/v3/core/users/me/") => json("200 OK", r#"{"user":{"pk":3,"username":"akadmin","is_superuser":true}}"#),
        ("OPTIONS", _) => json("200 OK", r#"{"name":"O Auth2 Provider List","renders":["application/json"],"parses":["application/json"],"actions":{"POST":{}}}"#),
        ("GET", "/api/v3/admin/version/") => json("200 OK", r#"{"version_current":"2026.8.0"}"#),
        ("GET", "/api/v3/flows/instances/") => {
            let (slug, kind) = if target.contains("invalidation") {
                ("default-provider-invalidation-flow", "invalidation")
            } else {
                ("default-provider-authorization-implicit-consent", "authorization")
            };
            list(&format!(r#"{{"pk":"7542a7d1-432b-4160-8406-70f4c10785a4","slug":"{slug}","designation":"{kind}"}}"#), 1)
        }
        ("GET", "/api/v3/propertymappings/provider/scope/") => {
            let scopes = ["openid", "email", "profile", "offline_access"];
            let one = |scope: &&str| format!(r#"{{"pk":"pk-{scope}","managed":"goauthentik.io/providers/oauth2/scope-{scope}","scope_name":"{scope}"}}"#);
            list(&scopes.iter().map(one).collect::<Vec<_>>().join(","), 4)
        }
        ("GET", "/api/v3/crypto/certificatekeypairs/") => {
            list(r#"{"pk":"5152b00c-68c9-4246-903f-ea2d6c868eb9","name":"authentik Self-signed Certificate","private_key_available":true}"#, 1)
        }
        ("GET", "/api/v3/providers/oauth2/") => match &state.provider {
            Some(provider) => list(provider, 1),
            None => list("", 0),
        },
        ("POST", "/api/v3/providers/oauth2/") => {
            let made = body.trim_start_matches('{');
            let provider = format!(r#"{{"pk":1,"client_id":"AFHEutQTh1OU8IjTmIAmmtTtHBdnssug1aa8N7sI","client_secret":"63A12c3yx4v3zTNiPeGThrcVWB9187kMorZpTbIJPtuGafj7gFQSeFvfgpbVpJxgkfcMAeXxgeJBhWT3gQnaFBujmXYLQbKBYYa7L0UWrotz9u5E0ELopK5uC2G7fGlr",{made}"#);
            state.provider = Some(provider.clone());
            json("201 Created", &provider)
        }
        ("GET", path) if path.starts_with("/api/v3/core/applications/") => match &state.application {
            Some(application) => json("200 OK", application),
            None => json("404 Not Found", r#"{"detail":"No Application matches the given query."}"#),
        },
        ("POST", "/api/v3/core/applications/") => {
            state.application = Some(body.to_owned());
            json("201 Created", body)
        }
        ("GET", path) if path.ends_with("/openid-configuration") => {
            let issuer = format!("http://{host}/application/o/vaultwarden/");
            let base = format!("http://{host}/application/o");
            json("200 OK", &format!(r#"{{"issuer":"{issuer}","authorization_endpoint":"{base}/authorize/","token_endpoint":"{base}/token/","jwks_uri":"{issuer}jwks/","id_token_signing_alg_values_supported":["RS256"]}}"#))
        }
        ("GET", path) if path.ends_with("/jwks/") => json("200 OK", r#"{"keys":[{"alg":"RS256","kty":"RSA","use":"sig","kid":"a","n":"x","e":"AQAB"}]}"#),
        ("GET", "/application/o/authorize/") => {
            "HTTP/1.1 302 Found\r\nlocation: /if/flow/default-authentication-flow/?x=1\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n".to_owned()
        }
        ("POST", "/application/o/token/") => json("400 Bad Request", r#"{"error":"invalid_grant"}"#),
        ("GET", "/reset") => {
            *state = State { under_way: 1, ..State::default() };
            json("200 OK", "{}")
        }
        _ => json("404 Not Found", "{}"),
    }
}
