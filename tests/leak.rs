//! The leak test: awkward secrets through success and every failure path, and then none of
//! their forms in any output, in any format, nor in any file of the state folder.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::support::env::{Env, Output, Running};
use crate::support::server::Server;

/// Secrets that others forget a form of.
fn secrets() -> Vec<String> {
    vec![
        "p@ss%rd+1".to_owned(),
        "a\"quoted'one\\here".to_owned(),
        "two lines\nof-a-secret".to_owned(),
        "pässwörd-日本-🔑".to_owned(),
        "s".repeat(20) + &"0123456789abcdef/+=".repeat(270),
        "<tag>&amp;secret".to_owned(),
    ]
}

/// Every form a secret may take, made here and not by the code under test.
fn forms(secret: &str) -> Vec<String> {
    let hex = secret.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let percent = |spare: &str, lower: bool| {
        secret.bytes().fold(String::new(), |mut out, byte| {
            let c = char::from(byte);
            if c.is_ascii_alphanumeric() || spare.contains(c) {
                out.push(c);
            } else if lower {
                let _ = write!(out, "%{byte:02x}");
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
    };
    let json = serde_json::to_string(secret).unwrap();
    let mut url = url::Url::parse("http://h/").unwrap();
    url.query_pairs_mut().append_pair("q", secret);
    let mut forms = vec![
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        percent("-._~", false),
        percent("-._~", true),
        url.query().unwrap()[2..].to_owned(),
        hex.to_uppercase(),
        hex,
        STANDARD.encode(secret).trim_end_matches('=').to_owned(),
        URL_SAFE_NO_PAD.encode(secret),
    ];
    // the other two alignments, without the characters that depend on the neighbours
    for before in ["x", "xy"] {
        let text = STANDARD.encode(format!("{before}{secret}"));
        let inner = text.get(4..text.len() - 4).unwrap_or("");
        forms.push(inner.to_owned());
    }
    forms.extend(secret.lines().map(str::to_owned));
    forms.retain(|form| form.len() >= 6);
    forms
}

struct Tried {
    outputs: usize,
    forms: usize,
    masks: usize,
}

impl Tried {
    fn bytes(&mut self, what: &str, bytes: &[u8], forms: &[String]) {
        self.outputs += 1;
        let text = String::from_utf8_lossy(bytes);
        self.masks += text.matches("***").count();
        for form in forms {
            self.forms += 1;
            let shown: String = form.chars().take(12).collect();
            assert!(!text.contains(form.as_str()), "{what} shows `{shown}…`:\n{text}");
        }
    }

    fn output(&mut self, what: &str, out: &Output, forms: &[String]) {
        self.bytes(&format!("{what}, stdout"), out.stdout.as_bytes(), forms);
        self.bytes(&format!("{what}, stderr"), out.stderr.as_bytes(), forms);
    }

    /// Every file of the state folder.
    fn folder(&mut self, folder: &Path, forms: &[String]) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.folder(&path, forms);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                self.bytes(&path.display().to_string(), &bytes, forms);
            }
        }
    }
}

/// A server that says the secret back in many ways.
fn routes(secret: &str) -> String {
    let mut url = url::Url::parse("http://h/").unwrap();
    url.query_pairs_mut().append_pair("q", secret);
    let form = url.query().unwrap().to_owned();
    let both = format!("{secret} {form} {}", STANDARD.encode(secret));
    let text = |text: &str| serde_json::to_string(text).unwrap();
    let mut routes = String::new();
    for (path, status, body) in [
        ("/good", 200, json!({ "id": 7, "secret": secret, "list": [secret] }).to_string()),
        ("/refused", 400, json!({ "detail": [both], "raw": secret }).to_string()),
        ("/broken", 500, both.clone()),
        ("/html", 200, format!("<p>{both}</p>")),
        ("/notjson", 200, format!("{{\"secret\": {} oops", text(secret))),
        ("/there", 200, json!({ "results": [{ "name": "n", "secret": secret }] }).to_string()),
    ] {
        let kind = if path == "/html" { "text/html" } else { "application/json" };
        let _ = write!(
            routes,
            "[[routes]]\npath = \"{path}\"\nstatus = {status}\nheaders = {{ \"content-type\" = \"{kind}\" }}\nbody = {}\n\
             [[routes]]\nmethod = \"POST\"\npath = \"{path}\"\nstatus = {status}\nheaders = {{ \"content-type\" = \"{kind}\" }}\nbody = {}\n",
            text(&body),
            text(&body)
        );
    }
    routes
}

const HEAD: &str = r#"
format = 1
name = "leak"
[inputs.token]
secret = true
from = [{ env = "TOKEN" }]
[vars]
derived = "Bearer {{ token }}"
[connections.api]
base = "URL"
headers = { x-token = "{{ token | urlencode }}" }
"#;

/// Steps that end in every way there is.
const PATHS: &[(&str, &str)] = &[
    (
        "success",
        r#"http = { on = "api", url = "good" }
save.made = { jq = ".secret", secret = true }
save.plain = ".list"
gates = [{ that = "made == token" }]"#,
    ),
    (
        "refused",
        r#"http = { on = "api", method = "POST", url = "refused", json = { t = "{{ token }}" } }"#,
    ),
    (
        "server error",
        r#"http = { on = "api", method = "POST", url = "broken", form = { t = "{{ token }}" } }"#,
    ),
    ("not json", r#"http = { on = "api", method = "POST", url = "notjson" }"#),
    (
        "no json",
        r#"http = { on = "api", url = "html" }
save.x = ".a.b""#,
    ),
    (
        "missing",
        r#"http = { on = "api", url = "good" }
save.x = ".secret | tonumber""#,
    ),
    ("jq error", r#"jq = "$token | error""#),
    ("jq type", r#"jq = "$token | keys""#),
    ("jq made", r#"jq = "[$token, ($token | @base64)]""#),
    (
        "template",
        r#"prompt = { ask = "x", default = "y" }
when = "token | int > 3""#,
    ),
    ("gate", r#"gate = "token == 'other' and derived | length == 0""#),
    (
        "differs",
        r#"http = { on = "api", method = "POST", url = "good", json = { t = "{{ token }}" } }
[steps.already]
http = { on = "api", url = "there" }
find = ".results[0]"
fields.secret = { found = ".secret", wanted = "$token + \"x\"" }
fields.name = { found = ".secret", wanted = "\"n\"" }"#,
    ),
    (
        "command",
        r#"command = { run = ["sh", "-c", "cat; printf '%s' \"$T\" >&2; exit 3"], stdin = "{{ token }}", env = { T = "{{ token }}" } }"#,
    ),
    (
        "command's output",
        r#"command = { run = ["sh", "-c", "cat"], stdin = "{{ token }}" }
save.said = ".""#,
    ),
    ("append", r#"append = { file = "out.env", text = "K={{ token | b64encode }}" }"#),
    ("append refused", r#"append = { file = "open.env", text = "K={{ token }}" }"#),
    ("waiting", r#"prompt = "what now?""#),
    (
        "connection",
        r#"http = { on = "api", url = "html", headers = { authorization = "{{ derived }}" } }
until = { that = "false", every = "1ms", limit = "3ms" }
save.x = "1""#,
    ),
];

#[test]
#[expect(clippy::print_stdout, reason = "the counts are what is asked for")]
#[expect(clippy::disallowed_methods, reason = "the person who fuzzes says so there")]
fn no_form_of_a_secret_is_in_any_output_of_any_path() {
    let mut tried = Tried { outputs: 0, forms: 0, masks: 0 };
    // all pairs take minutes: a third of them each time, all when fuzzing
    let all = std::env::var_os("RUNBOOK_FUZZ_SECONDS").is_some();
    for (which, secret) in secrets().into_iter().enumerate() {
        let forms = forms(&secret);
        let server = Server::start(&routes(&secret));
        let pairs = PATHS.iter().enumerate().filter(|(path, _)| all || path % 3 == which % 3);
        for (_, (name, step)) in pairs {
            let mut env = Env::new();
            env.set("TOKEN", &secret);
            std::fs::write(env.path("open.env"), "").unwrap();
            let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            std::fs::set_permissions(env.path("open.env"), readable).unwrap();
            let head = HEAD.replace("URL", &server.url());
            std::fs::write(env.path("b.toml"), format!("{head}[[steps]]\nid = \"it\"\n{step}\n"))
                .unwrap();
            let mut run = |args: &[&str]| {
                let out = Running::start(env.command(args), "").finish();
                assert_ne!(out.code, Some(3), "{name}: {}", out.stderr);
                tried.output(&format!("{name}: {}", args.join(" ")), &out, &forms);
            };
            for format in ["plain", "human", "jsonl"] {
                run(&["run", "./b.toml", "--trust", "-v", "--output", format]);
            }
            run(&["run", "./b.toml", "--explain"]);
            run(&["plan", "./b.toml", "-v"]);
            run(&["log", "r1", "-v"]);
            run(&["log", "r1", "--output", "jsonl"]);
            run(&["runs"]);
            run(&["resume", "r1", "-v"]);
            run(&["undo", "r1", "--plan"]);
            run(&["undo", "r1", "--yes"]);
            run(&["show", "./b.toml", "--effects"]);
            tried.folder(&env.path(".state"), &forms);
        }
    }
    let Tried { outputs, forms, masks } = tried;
    println!("{outputs} outputs and files, {forms} searches for a form, {masks} masks seen");
    assert!(masks > outputs / 10, "the secrets did not come near the outputs");
}

#[test]
fn a_refused_input_is_not_shown() {
    for secret in secrets() {
        let mut env = Env::new();
        env.set("TOKEN", &secret);
        let book = "format = 1\nname = \"x\"\n[inputs.token]\nsecret = true\npattern = \"[0-9]\"\nfrom = [{ env = \"TOKEN\" }]\n[[steps]]\nid = \"a\"\njq = \"1\"\n";
        std::fs::write(env.path("b.toml"), book).unwrap();
        let out = env.run(&["run", "./b.toml"]);
        assert_eq!(out.code, Some(2));
        let mut tried = Tried { outputs: 0, forms: 0, masks: 0 };
        tried.output("refused", &out, &forms(&secret));
    }
}
