//! The bundled `add-oidc` before its fake, in this process: what is killed, and what must come out.
//!
//! Every request passes a [`Server`] that can hold, drop or refuse it; what reaches the fake is
//! in the fake's own log. Waits between attempts are cut to nothing in a copy of the runbook.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use runbook::fake::{Fake, Served, serve};
use runbook::source::Source;
use serde_json::{Value, json};

use super::env::{Env, Output};
use super::server::{Answer, Request, Server};

/// The fake's own token.
pub(crate) const TOKEN: &str = "rehearsal-1Jc8VbSeyR0Q4tGm";

/// Where the run's credentials go, in the environment's folder.
pub(crate) const CREDENTIALS: &str = "credentials";

/// How many tests of one sweep run beside each other.
const AT_ONCE: usize = 4;

/// One environment, one fake, one runbook.
pub(crate) struct Stand {
    pub(crate) env: Env,
    pub(crate) front: Server,
    pub(crate) fake: Served,
    /// What stood in the credentials file beforehand; none: there was no file.
    before: Option<String>,
}

/// What a run leaves behind, with its server's address taken out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct World {
    /// The fake's whole state.
    pub(crate) state: Value,
    /// The credentials file; none if there is none.
    pub(crate) credentials: Option<String>,
    /// What each step saved, from `log --output jsonl`.
    pub(crate) saved: BTreeMap<String, Value>,
}

impl Stand {
    /// A fresh one, with these credentials there beforehand.
    pub(crate) fn new(before: Option<&str>) -> Self {
        let fake = fake();
        let upstream = fake.address();
        let front = Server::handling(Box::new(move |request| forward(upstream, request)));
        let mut env = Env::new();
        env.set("AUTHENTIK_TOKEN", TOKEN);
        let book = include_str!("../../runbooks/authentik/add-oidc.toml");
        std::fs::write(
            env.path("oidc.toml"),
            book.replace("backoff = \"1s\"", "backoff = \"1ms\""),
        )
        .unwrap();
        let stand = Self { env, front, fake, before: before.map(str::to_owned) };
        if let Some(before) = before {
            std::fs::write(stand.env.path(CREDENTIALS), before).unwrap();
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(stand.env.path(CREDENTIALS), private).unwrap();
        }
        stand
    }

    /// The arguments of a fresh run.
    pub(crate) fn run_args(&self) -> Vec<String> {
        let words =
            ["run", "--trust", "./oidc.toml", "--preset", "vaultwarden", "--yes", "--input"];
        let mut args: Vec<String> = words.map(str::to_owned).to_vec();
        args.push(format!("authentik_url={}", self.front.url()));
        args.push("--input".to_owned());
        args.push("check_dns=no".to_owned());
        args.push("--input".to_owned());
        args.push(format!("credentials_file={}", self.env.path(CREDENTIALS).display()));
        args
    }

    /// The program with arguments, to be killed at its n-th point; 0: never.
    pub(crate) fn command(&self, args: &[String], crash_at: u64) -> std::process::Command {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = self.env.command(&args);
        command.env(runbook::crash::VARIABLE, crash_at.to_string());
        command
    }

    /// Runs the program to its end or to its n-th point.
    pub(crate) fn go(&self, args: &[String], crash_at: u64) -> Output {
        super::env::Running::start(self.command(args, crash_at), "").finish()
    }

    /// A fresh run.
    pub(crate) fn run(&self, crash_at: u64) -> Output {
        self.go(&self.run_args(), crash_at)
    }

    /// `resume --yes`, as a person does who knows only that it stopped.
    pub(crate) fn resume(&self, crash_at: u64) -> Output {
        self.go(&words(&["resume", "--yes"]), crash_at)
    }

    /// `undo RUN --yes` of the newest run.
    pub(crate) fn undo(&self, crash_at: u64) -> Output {
        self.go(&words(&["undo", &self.newest(), "--yes"]), crash_at)
    }

    /// What a person does after a kill: resume, or run again if nothing had begun.
    pub(crate) fn go_on(&self, crash_at: u64) -> Output {
        let out = self.resume(crash_at);
        let nothing = out.code == Some(2) && self.fake.asked().is_empty();
        if nothing { self.run(crash_at) } else { out }
    }

    /// The newest run's name.
    pub(crate) fn newest(&self) -> String {
        let out = self.env.run(&["runs", "--output", "jsonl"]);
        let newest = out.stdout.lines().next().expect("there is a run");
        let newest: Value = serde_json::from_str(newest).unwrap();
        newest["run"].as_str().unwrap().to_owned()
    }

    /// The events of the newest run, as programs read them.
    pub(crate) fn events(&self) -> Vec<Value> {
        let out = self.env.run(&["log", &self.newest(), "--output", "jsonl"]);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        out.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the last run left.
    pub(crate) fn world(&self) -> World {
        let here = |value: &Value| -> Value {
            serde_json::from_str(&value.to_string().replace(&self.front.url(), "$URL")).unwrap()
        };
        let done = |event: &Value| event["event"] == json!("done");
        let events = self.events();
        let saved = events
            .iter()
            .filter(|event| done(event))
            .map(|event| (event["step"].as_str().unwrap().to_owned(), here(&event["saved"])));
        World {
            saved: saved.collect(),
            state: here(&self.fake.state()),
            credentials: self.credentials().map(|text| text.replace(&self.front.url(), "$URL")),
        }
    }

    /// The credentials file; none if there is none.
    pub(crate) fn credentials(&self) -> Option<String> {
        std::fs::read_to_string(self.env.path(CREDENTIALS)).ok()
    }

    /// Demands what the promise says: all of it is there once, as after an undisturbed run.
    pub(crate) fn check_whole(&self, wanted: &World, what: &str) {
        assert_eq!(&self.world(), wanted, "{what}");
        let state = self.fake.state();
        let count = |what: &str| state[what].as_array().unwrap().len();
        assert_eq!((count("providers"), count("applications")), (1, 1), "{what}");
        let text = self.credentials().unwrap();
        assert_eq!(text.matches("# Vaultwarden OIDC\n").count(), 1, "{what}: {text}");
        assert!(text.starts_with(self.before.as_deref().unwrap_or_default()), "{what}: {text}");
        self.check_posts(what);
    }

    /// No POST was taken twice.
    pub(crate) fn check_posts(&self, what: &str) {
        let mut made: BTreeMap<String, usize> = BTreeMap::new();
        for asked in self.fake.asked() {
            if asked.method == "POST" && asked.status == Some(201) {
                *made.entry(asked.target).or_default() += 1;
            }
        }
        assert!(made.values().all(|times| *times == 1), "{what}: {made:?}");
    }

    /// Demands that nothing of the run is left.
    pub(crate) fn check_as_before(&self, what: &str) {
        let state = self.fake.state();
        assert_eq!(
            (&state["providers"], &state["applications"]),
            (&json!([]), &json!([])),
            "{what}"
        );
        assert_eq!(self.credentials(), self.before, "{what}");
        self.check_posts(what);
    }
}

/// Owned arguments.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What a fresh run that nothing disturbs leaves, and how many requests it makes.
pub(crate) fn undisturbed(before: Option<&str>) -> (World, usize) {
    let stand = Stand::new(before);
    let out = stand.run(0);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    let world = stand.world();
    stand.check_whole(&world, "undisturbed");
    (world, stand.front.requests().len())
}

/// One such test at a time: each has several programs at work, and a machine that is too busy
/// makes their time-outs part of the test.
fn turn() -> std::sync::MutexGuard<'static, ()> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Tries points 1, 2, 3, … several at once, until one says that it lies beyond the end; how
/// many there were.
pub(crate) fn sweep(what: &str, attempt: impl Fn(u64) -> bool + Sync) -> u64 {
    let _turn = turn();
    let (next, last, tried) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while last.load(Ordering::SeqCst) == 0 {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if attempt(n) {
                        tried.fetch_add(1, Ordering::SeqCst);
                    } else {
                        last.fetch_max(n, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let points = tried.into_inner();
    say(&format!("{what}: {points} points tried"));
    points
}

/// Does each of these, several at once.
pub(crate) fn each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let _turn = turn();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::SeqCst)) {
                    work(item);
                }
            });
        }
    });
}

/// A line in the test's own output: how much was tried.
#[expect(clippy::print_stderr, reason = "the count belongs into the test's output")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

fn fake() -> Served {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/authentik/fake.toml");
    let source = Source::new("fake.toml", std::fs::read_to_string(path).unwrap());
    let fake = Fake::parse(&source).expect("the bundled fake is sound");
    let state = fake.state(&[]).unwrap();
    serve(fake, &state, 0).unwrap()
}

/// Hands a request on, and its answer back.
fn forward(to: SocketAddr, request: &Request) -> Answer {
    let mut stream = TcpStream::connect(to).expect("the fake is there");
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        if !["connection", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            text.extend([name, ": ", value, "\r\n"]);
        }
    }
    let rest = format!("connection: close\r\ncontent-length: {}\r\n\r\n", request.body.len());
    text += &rest;
    stream.write_all((text + &request.body).as_bytes()).expect("the fake takes requests");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the fake answers text");
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers
        .filter(|(name, _)| !["connection", "content-length"].contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Answer { status, headers: headers.collect(), body: body.to_owned() }
}
