//! Certificates: own authorities, this side's own, none at all, and what is never followed.
//!
//! A real TLS server; its certificates are made by `openssl` for each test.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::{book, run, says};
use crate::support::env::Env;
use crate::support::server::Server;

const STEP: &str = "[[steps]]\nid = \"x\"\nhttp = { on = \"api\", method = \"POST\", url = \"x\", redirects = 5 }\n";

fn openssl(env: &Env, line: &str) {
    let mut command = env.any("openssl");
    let out = command.args(line.split(' ')).output().expect("these tests need `openssl`");
    assert!(out.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&out.stderr));
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

/// `NAME.pem`, an authority of its own, and `NAME.key`.
fn authority(env: &Env, name: &str) {
    openssl(
        env,
        &format!("req -x509 {KEY} -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name}"),
    );
}

/// `NAME.pem`, signed by `ca`, for the host or address, and `NAME.key`.
fn certificate(env: &Env, name: &str, alternative: &str) {
    fs::write(env.path("ext"), format!("subjectAltName={alternative}\n")).unwrap();
    openssl(env, &format!("req {KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
    let ca = "-CA ca.pem -CAkey ca.key -CAcreateserial";
    openssl(env, &format!("x509 -req -in {name}.csr {ca} -days 2 -extfile ext -out {name}.pem"));
}

/// A server with the certificate `server`, and the requests that reached it.
struct Secure {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Secure {
    /// It demands a client's certificate signed by `ca` if it is `strict`.
    fn start(env: &Env, strict: bool, answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (config, log, answer) = (config(env, strict), Arc::clone(&asked), answer.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                // a client that turns away is right to do so
                let _ = serve(StreamOwned::new(tls, stream.unwrap()), &log, &answer);
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn config(env: &Env, strict: bool) -> Arc<ServerConfig> {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if strict {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(env.path("ca.pem")).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from_pem_file(env.path("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(env.path("server.key")).unwrap();
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

fn serve(stream: impl Read + Write, log: &Mutex<Vec<String>>, answer: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    log.lock().unwrap().push(line.clone());
    while line != "\r\n" && !line.is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    reader.get_mut().write_all(answer.as_bytes())?;
    reader.get_mut().flush()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn prepared() -> Env {
    let env = Env::new();
    authority(&env, "ca");
    certificate(&env, "server", "IP:127.0.0.1");
    env
}

#[test]
fn only_who_an_own_authority_vouches_for_is_talked_to() {
    let env = prepared();
    authority(&env, "other");
    let server = Secure::start(&env, false, OK);
    says(&run(&env, &book(&server.url, "ca = \"ca.pem\"", STEP)), 0, &["200 OK"]);
    assert_eq!(server.asked(), 1);
    for connection in ["ca = \"other.pem\"", ""] {
        // nothing was sent: even what may be done only once is no doubt
        let out = run(&env, &book(&server.url, connection, STEP));
        says(&out, 1, &["failed: ", "certificate"]);
    }
    assert_eq!(server.asked(), 1);
    for (connection, said) in
        [("ca = \"none.pem\"", "cannot read `"), ("ca = \"ca.key\"", "holds no PEM certificate")]
    {
        says(&run(&env, &book(&server.url, connection, STEP)), 1, &[said]);
    }
}

#[test]
fn a_certificate_for_somebody_else_is_refused() {
    let env = prepared();
    certificate(&env, "server", "DNS:other.example");
    let server = Secure::start(&env, false, OK);
    let out = run(&env, &book(&server.url, "ca = \"ca.pem\"", STEP));
    says(&out, 1, &["certificate not valid for name"]);
    assert_eq!(server.asked(), 0);
}

#[test]
fn insecure_takes_any_certificate_and_says_so_at_each_run() {
    let env = prepared();
    let server = Secure::start(&env, false, OK);
    let warning = "connection `api` is `insecure`: certificates are not checked";
    for _ in 0..2 {
        says(&run(&env, &book(&server.url, "insecure = true", STEP)), 0, &[warning]);
    }
    let out = run(&env, &book(&server.url, "ca = \"ca.pem\"", STEP));
    assert!(!out.stderr.contains("insecure"), "{}", out.stderr);
}

#[test]
fn a_client_shows_its_certificate_where_one_is_demanded() {
    let env = prepared();
    certificate(&env, "client", "DNS:client");
    let [pem, key] =
        ["client.pem", "client.key"].map(|name| fs::read_to_string(env.path(name)).unwrap());
    fs::write(env.path("both.pem"), format!("{pem}{key}")).unwrap();
    let server = Secure::start(&env, true, OK);
    let book = |rest: &str| book(&server.url, &format!("ca = \"ca.pem\"\n{rest}"), STEP);
    says(&run(&env, &book("client_cert = \"client.pem\"\nclient_key = \"client.key\"")), 0, &[]);
    says(&run(&env, &book("client_cert = \"both.pem\"")), 0, &[]);
    assert_eq!(server.asked(), 2);
    let out = run(&env, &book(""));
    assert_ne!(out.code, Some(0), "{}", out.stderr);
    let out = run(&env, &book("client_cert = \"client.pem\""));
    says(&out, 1, &["are no PEM certificate with its key"]);
    assert_eq!(server.asked(), 2);
    let secret = key.lines().nth(1).unwrap();
    assert!(!out.stderr.contains(secret), "the key is not shown");
}

#[test]
fn https_never_becomes_http() {
    let env = prepared();
    let plain = Server::start("[[routes]]\nmethod = \"POST\"\npath = \"/x\"\nbody = \"\"\n");
    for status in ["302 Found", "307 Temporary Redirect"] {
        let to = format!("Location: {}/x\r\nContent-Length: 0\r\nConnection: close", plain.url());
        let server = Secure::start(&env, false, &format!("HTTP/1.1 {status}\r\n{to}\r\n\r\n"));
        let out = run(&env, &book(&server.url, "ca = \"ca.pem\"\ntimeout = \"5s\"", STEP));
        says(&out, 5, &["a redirect to another host or scheme is not followed"]);
    }
    assert!(plain.requests().is_empty(), "nothing was sent in clear");
}
