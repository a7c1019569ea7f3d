//! The leak test: awkward secrets through success, every failure path, a kill and a panic at every
//! point, and then none of their forms in any output, in any format, nor in any file left behind.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::support::env::{Env, Output, Running};
use crate::support::server::Server;
use crate::support::stand::{each, say};

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

/// How much was looked for, and where.
#[derive(Default)]
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

    fn add(&mut self, other: &Self) {
        self.outputs += other.outputs;
        self.forms += other.forms;
        self.masks += other.masks;
    }

    fn told(&self, what: &str) {
        let Self { outputs, forms, masks } = self;
        say(&format!(
            "{what}: {outputs} outputs and files, {forms} searches for a form, {masks} masks seen"
        ));
    }

    /// Every file of a folder.
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
multiline = true
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
    ("append foreseen", r#"append = { file = "open.env", text = "K={{ token }}" }"#),
    ("waiting", r#"prompt = "what now?""#),
    (
        "connection",
        r#"http = { on = "api", url = "html", headers = { authorization = "{{ derived }}" } }
until = { that = "false", every = "1ms", limit = "3ms" }
save.x = "1""#,
    ),
];

/// One step of [`PATHS`] in a folder of its own, with a file that others may read.
fn stage(secret: &str, url: &str, step: &str) -> Env {
    let mut env = Env::new();
    env.set("TOKEN", secret);
    std::fs::write(env.path("open.env"), "").unwrap();
    std::fs::set_permissions(env.path("open.env"), Permissions::from_mode(0o644)).unwrap();
    let head = HEAD.replace("URL", url);
    std::fs::write(env.path("b.toml"), format!("{head}[[steps]]\nid = \"it\"\n{step}\n")).unwrap();
    env
}

/// What a person may ask about a run, in every format.
const ASKED: &[&[&str]] = &[
    &["run", "./b.toml", "--trust", "-v", "--output", "plain"],
    &["run", "./b.toml", "--trust", "-v", "--output", "human"],
    &["run", "./b.toml", "--trust", "-v", "--output", "jsonl"],
    &["run", "./b.toml", "--explain"],
    &["plan", "./b.toml", "-v"],
    &["log", "r1", "-v"],
    &["log", "r1", "--output", "jsonl"],
    &["runs"],
    &["resume", "r1", "-v"],
    &["undo", "r1", "--plan"],
    &["undo", "r1", "--yes"],
    &["show", "./b.toml", "--effects"],
];

#[test]
#[expect(clippy::disallowed_methods, reason = "the person who fuzzes says so there")]
fn no_form_of_a_secret_is_in_any_output_of_any_path() {
    // all pairs take minutes: a third of them each time, all when fuzzing
    let all = std::env::var_os("RUNBOOK_FUZZ_SECONDS").is_some();
    let secrets: Vec<_> = secrets()
        .into_iter()
        .map(|secret| (Server::start(&routes(&secret)), forms(&secret), secret))
        .collect();
    let numbered = secrets.iter().enumerate();
    let pairs: Vec<_> = numbered
        .flat_map(|(which, secret)| {
            let paths = PATHS.iter().enumerate();
            paths
                .filter(move |(path, _)| all || path % 3 == which % 3)
                .map(move |(_, path)| (secret, path))
        })
        .collect();
    let tried = Mutex::new(Tried::default());
    each(&pairs, |((server, forms, secret), (name, step))| {
        let env = stage(secret, &server.url(), step);
        let mut own = Tried::default();
        for args in ASKED {
            let out = env.run(args);
            // what will surely fail is told before the run
            let ran = !matches!(out.code, Some(2 | 3))
                || ["resume", "undo"].contains(&args[0])
                || *name == "append foreseen";
            assert!(ran, "{name}: {}", out.stderr);
            own.output(&format!("{name}: {}", args.join(" ")), &out, forms);
        }
        own.folder(&env.path(".state"), forms);
        tried.lock().unwrap().add(&own);
    });
    let tried = tried.into_inner().unwrap();
    tried.told("secrets in outputs");
    assert!(tried.masks > tried.outputs / 10, "the secrets did not come near the outputs");
}

/// Steps with a place to die before and after each kind of write.
const LIFE: &str = r#"http = { on = "api", method = "POST", url = "good", json = { t = "{{ token }}" } }
save.made = { jq = ".secret", secret = true }
[[steps]]
id = "new"
generate = "password"
[[steps]]
id = "cmd"
command = { run = ["sh", "-c", "cat /proc/$PPID/cmdline /proc/self/cmdline > seen; cat; cat >&2 </dev/null; exit 3"], stdin = "{{ token }}", env = { T = "{{ derived }}" } }
[[steps]]
id = "add"
append = { file = "kept.env", text = "K={{ token | b64encode }}" }
always = true
"#;

/// How a process is made to end at a point.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Kill,
    Panic,
}

/// In how many shares the points of a run are tried, each with other secrets.
const SHARES: usize = 3;

/// Ends a run at its points in this way, a share of them for each secret, and looks at all it
/// said and left.
fn ended_everywhere(end: End, which: usize, secret: &str) -> Tried {
    let (forms, server) = (forms(secret), Server::start(&routes(secret)));
    let mut tried = Tried::default();
    let mut env = stage(secret, &server.url(), LIFE);
    env.set("TMPDIR", env.root().join("tmp").to_str().unwrap().to_owned().as_str());
    for point in (1 + which % SHARES..).step_by(SHARES) {
        for folder in [".state", "tmp"] {
            let _ = std::fs::remove_dir_all(env.path(folder));
        }
        let _ = std::fs::remove_file(env.path("kept.env"));
        std::fs::create_dir(env.path("tmp")).unwrap();
        let mut command = env.command(&["run", "./b.toml", "--trust", "-v", "--output", "jsonl"]);
        command.env("RUNBOOK_CRASH_AT", point.to_string()).env("RUST_BACKTRACE", "full");
        if end == End::Panic {
            let said = format!("{secret} is in the message: {}", forms.join(" "));
            command.env("RUNBOOK_CRASH_PANIC", said);
        }
        let out = Running::start(command, "").finish();
        tried.output(&format!("ended at point {point}"), &out, &forms);
        tried.folder(&env.path(".state"), &forms);
        tried.folder(&env.path("tmp"), &forms);
        if env.path("seen").exists() {
            tried.bytes("arguments", &std::fs::read(env.path("seen")).unwrap(), &forms);
        }
        // what it is for holds the secret, and so may its like beside it: for their owner only
        for entry in std::fs::read_dir(env.root()).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().contains("kept.env") {
                assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0);
            }
        }
        match (end, out.code) {
            (End::Kill, None) => {}
            (End::Panic, Some(70)) => {
                assert!(out.stderr.contains("internal error at src/crash.rs"), "{}", out.stderr);
            }
            (_, Some(1)) if point > 8 => break,
            other => panic!("at point {point}: {:?}: {}", other.1, out.stderr),
        }
        tried.output("log", &env.run(&["log", "r1", "-v"]), &forms);
        tried.output("resume", &env.run(&["resume", "r1", "--redo", "it", "-v"]), &forms);
        tried.folder(&env.path(".state"), &forms);
    }
    tried
}

fn ended_for_all(end: End) -> Tried {
    let tried = Mutex::new(Tried::default());
    let secrets: Vec<(usize, String)> = secrets().into_iter().enumerate().collect();
    each(&secrets, |(which, secret)| {
        let own = ended_everywhere(end, *which, secret);
        tried.lock().unwrap().add(&own);
    });
    tried.into_inner().unwrap()
}

#[test]
fn what_a_killed_run_leaves_behind_holds_no_secret() {
    ended_for_all(End::Kill).told("secrets after a kill at every point");
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "only a debug build panics on demand")]
fn a_panic_shows_no_secret_even_if_its_message_is_one() {
    ended_for_all(End::Panic).told("secrets after a panic at every point");
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "only a debug build aborts on demand")]
fn an_abort_leaves_no_core_dump() {
    let dumped = |mut command: std::process::Command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().core_dumped()
    };
    let env = stage("p@ss%rd+1", "http://127.0.0.1:1/", "jq = \"1\"");
    let unlimited = |line: &str| {
        let mut command = env.any("sh");
        command.args(["-c", &format!("ulimit -c unlimited; {line}")]);
        command
    };
    if !dumped(unlimited("kill -ABRT $$")) {
        say("no core dumps on this machine: nothing to compare with");
    }
    let program = env!("CARGO_BIN_EXE_runbook");
    let line = format!("exec '{program}' run ./b.toml");
    let mut command = unlimited(&line);
    command.env("RUNBOOK_CRASH_AT", "1").env("RUNBOOK_CRASH_ABORT", "1");
    let ended = command.output().unwrap().status;
    assert_eq!(ended.signal(), Some(6), "it was to abort");
    assert!(!ended.core_dumped());
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
        let mut tried = Tried::default();
        tried.output("refused", &out, &forms(&secret));
    }
}
