//! The state folder under attack: killed while waiting, damaged, full, read-only, shared.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;

use runbook::journal::event::{Entry, Event};
use runbook::journal::store::Store;

use crate::support::env::{Env, Output, Running};
use crate::support::leak::Leaks;
use crate::support::server::{Fault, Server};
use crate::support::stand::{each, say};
use crate::support::terminal::Terminal;

/// A secret that is hard to hide: quotes, a backslash, what URLs escape, what they do not.
const TOKEN: &str = r#"t0ken"q\b%41+/=&<>'~Zz"#;
const CLIENT_SECRET: &str = "s3cret \"q\\b%41+/=&<>'é\ttab";

/// One thing made, one thing read, one file; then whatever the test adds.
fn book(url: &str, rest: &str) -> String {
    format!(
        r#"
format = 1
name = "book"
title = "A book"
[inputs.token]
secret = true
from = [{{ env = "TOKEN" }}]
[connections.api]
base = "{url}/"
headers = {{ authorization = "Bearer {{{{ token }}}}" }}
retry = {{ times = 3, backoff = "1h" }}
[[steps]]
id = "make"
http = {{ on = "api", method = "POST", url = "things/", json = {{ token = "{{{{ token }}}}" }} }}
save.thing = ".id"
save.client_secret = {{ jq = ".secret", secret = true }}
[[steps]]
id = "look"
http = {{ on = "api", url = "things/1" }}
retry = {{ times = 0 }}
save.seen = ".id"
{rest}"#
    )
}

const APPEND: &str = r#"
[[steps]]
id = "store"
append = { file = "credentials", text = "ID={{ thing }}\nSECRET={{ client_secret | tojson }}\n" }
"#;

/// The routes of a server that makes one thing and shows it.
fn routes(rest: &str) -> String {
    let secret = serde_json::to_string(CLIENT_SECRET).unwrap();
    format!(
        r#"{rest}
[[routes]]
method = "POST"
path = "/things/"
status = 201
body = {{ id = 1, secret = {secret} }}
[[routes]]
path = "/things/1"
body = {{ id = 1 }}
"#
    )
}

/// An environment with the book, and its server.
fn stand(rest: &str, first: &str) -> (Env, Server) {
    let server = Server::start(&routes(first));
    let mut env = Env::new();
    env.set("TOKEN", TOKEN);
    std::fs::write(env.path("book.toml"), book(&server.url(), rest)).unwrap();
    (env, server)
}

const DOWN: &str = "[[routes]]\npath = \"/things/1\"\nstatus = 503\ntimes = 1\n";

fn posts(server: &Server) -> usize {
    server.requests().iter().filter(|request| request.method == "POST").count()
}

fn goes_on(env: &Env, server: &Server) {
    let out = env.run(&["resume", "--yes"]);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert_eq!(posts(server), 1, "made once");
}

#[test]
fn a_run_killed_between_attempts_goes_on() {
    let rest = "[[steps]]\nid = \"again\"\nhttp = { on = \"api\", url = \"again\" }\n";
    let busy = "[[routes]]\npath = \"/again\"\nstatus = 503\ntimes = 1\n\
                [[routes]]\npath = \"/again\"\nbody = {}\n";
    let (env, server) = stand(rest, busy);
    let running = env.start(&["run", "--trust", "./book.toml"]);
    running.wait_for("again in");
    assert_eq!(running.kill().code, None);
    goes_on(&env, &server);
}

#[test]
fn a_run_killed_while_it_polls_goes_on() {
    let rest = "[[steps]]\nid = \"poll\"\nhttp = { on = \"api\", url = \"state\" }\nsave.ready = \".ready\"\n\
                until = { that = \"ready\", every = \"1h\", limit = \"3h\" }\n";
    let early = "[[routes]]\npath = \"/state\"\nbody = { ready = false }\ntimes = 1\n\
                 [[routes]]\npath = \"/state\"\nbody = { ready = true }\n";
    let (env, server) = stand(rest, early);
    let running = env.start(&["run", "--trust", "./book.toml"]);
    running.wait_for("waiting until");
    assert_eq!(running.kill().code, None);
    goes_on(&env, &server);
}

#[test]
fn a_run_killed_while_the_server_holds_an_answer_goes_on() {
    let (env, server) = stand("", "");
    server.fault_at(2, Fault::Hold);
    let running = env.start(&["run", "--trust", "./book.toml"]);
    server.wait_for(2);
    assert_eq!(running.kill().code, None);
    goes_on(&env, &server);
}

/// What was made and shown once is what a resumed run goes on with: a person may have used it.
#[test]
fn a_generated_secret_that_was_shown_is_the_same_after_a_kill() {
    let server = Server::start("[[routes]]\npath = \"/wait\"\nbody = {}\n");
    let env = Env::new();
    let book = format!(
        r#"format = 1
name = "book"
[connections.api]
base = "{}/"
[[steps]]
id = "pw"
generate = "password"
[[steps]]
id = "paste"
note = {{ markdown = "first {{{{ pw }}}} shown", reveal = true }}
[[steps]]
id = "wait"
http = {{ on = "api", url = "wait" }}
[[steps]]
id = "again"
note = {{ markdown = "then {{{{ pw }}}} shown", reveal = true }}
"#,
        server.url()
    );
    std::fs::write(env.path("book.toml"), book).unwrap();
    server.fault_at(1, Fault::Hold);
    let running = env.start(&["run", "./book.toml"]);
    running.wait_for(" shown");
    server.wait_for(1);
    let killed = running.kill();
    assert_eq!(killed.code, None);
    let resumed = env.run(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    let shown = |text: &str, before: &str| {
        let rest = text.split_once(before).map(|(_, rest)| rest.to_owned());
        rest.and_then(|rest| rest.split(' ').next().map(str::to_owned)).unwrap()
    };
    assert_eq!(shown(&killed.stderr, "first "), shown(&resumed.stderr, "then "));
}

#[test]
fn a_run_killed_at_a_prompt_goes_on() {
    let rest =
        "[[steps]]\nid = \"sure\"\nprompt = { ask = \"Does it work\", type = \"boolean\" }\n";
    let (env, server) = stand(rest, "");
    let mut terminal = Terminal::start(&env, &["run", "--trust", "./book.toml"]);
    terminal.expect("Does it work");
    terminal.kill();
    // The person sits down again, and is asked the same.
    let mut terminal = Terminal::start(&env, &["resume"]);
    terminal.expect("Does it work");
    terminal.line("yes");
    let (rest, code) = terminal.finish();
    assert_eq!(code, Some(0), "{rest}");
    assert_eq!(posts(&server), 1);
}

#[test]
fn secrets_stand_nowhere_in_clear() {
    let mut leaks = Leaks::new(&[TOKEN, CLIENT_SECRET]);
    let echo = toml::Value::String(format!(
        "{{\"detail\": {}}}",
        serde_json::to_string(&format!("bad token {TOKEN}")).unwrap()
    ));
    let refused = |method: &str, path: &str| {
        format!(
            "[[routes]]\nmethod = \"{method}\"\npath = \"{path}\"\nstatus = 403\nheaders = {{ content-type = \"application/json\" }}\nbody = {echo}\n"
        )
    };
    let wrong = "\n[[steps]]\nid = \"wrong\"\ngate = { that = \"client_secret == token\", hint = \"no {{ thing }}\" }\n";
    let missing = APPEND.replace("\"credentials\"", "\"no/{{ thing }}/folder\"");
    let error = "\n[[steps]]\nid = \"odd\"\njq = \"$client_secret | tonumber\"\n";
    let cases = [
        ("success", APPEND.to_owned(), String::new()),
        ("a refused POST", APPEND.to_owned(), refused("POST", "/things/")),
        ("a refused GET", APPEND.to_owned(), refused("GET", "/things/1")),
        ("a gate", wrong.to_owned(), String::new()),
        ("a missing folder", missing, String::new()),
        ("a jq error", error.to_owned(), String::new()),
    ];
    for (what, rest, first) in &cases {
        for flags in [&[][..], &["-v"], &["--output", "jsonl", "-v"], &["--output", "human"]] {
            let (env, _server) = stand(rest, first);
            let say = |words: &[&str]| env.run(&[words, flags].concat());
            let mut all = vec![say(&["run", "--trust", "./book.toml"])];
            let ended = i32::from(*what != "success");
            assert_eq!(all[0].code, Some(ended), "{what}: {}", all[0].stderr);
            all.push(say(&["resume"]));
            all.push(say(&["log", "r1"]));
            all.push(say(&["runs"]));
            all.push(say(&["plan", "./book.toml"]));
            all.push(say(&["undo", "r1", "--plan"]));
            leaks.folder(what, &env.path(".state"));
            all.push(say(&["undo", "r1", "--yes"]));
            leaks.folder(what, &env.path(".state"));
            for out in &all {
                leaks.output(&format!("{what}, {flags:?}"), out);
            }
        }
    }
    say(&leaks.tried());
}

/// A run that stopped after it had made its thing.
fn stopped() -> (Env, Server) {
    let (env, server) = stand(APPEND, DOWN);
    let out = env.run(&["run", "--trust", "./book.toml"]);
    assert_eq!(out.code, Some(1), "{}", out.stderr);
    (env, server)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &name);
        } else {
            std::fs::copy(&path, &name).unwrap();
        }
    }
}

/// A change of one file.
#[derive(Debug)]
enum Harm {
    Cut(usize),
    Flip(usize),
    Gone,
}

impl Harm {
    fn apply(&self, path: &Path) {
        let mut bytes = std::fs::read(path).unwrap();
        match self {
            Self::Cut(length) => bytes.truncate(*length),
            Self::Flip(at) => bytes[*at] ^= 0x41,
            Self::Gone => return std::fs::remove_file(path).unwrap(),
        }
        std::fs::write(path, bytes).unwrap();
    }
}

fn harms(state: &Path) -> Vec<(String, Harm)> {
    let mut all = Vec::new();
    for (file, cuts, flips) in
        [("journal.db", 8, 24), ("journal.db-wal", 20, 40), ("key", 3, 4), ("journal.mark", 3, 4)]
    {
        let size = usize::try_from(state.join(file).metadata().unwrap().len()).unwrap();
        // Steps that share no factor with the size of a page.
        all.extend((0..cuts).map(|n| (file.to_owned(), Harm::Cut(n * size / cuts))));
        all.extend(
            (0..flips).map(|n| (file.to_owned(), Harm::Flip((n * size / flips + n * 37) % size))),
        );
        all.push((file.to_owned(), Harm::Gone));
    }
    all
}

/// Neither a panic nor a signal; an error says what is wrong and what can be done.
fn sober(what: &str, out: &Output) -> bool {
    let place = format!("{what}: {out:?}");
    assert!(matches!(out.code, Some(0 | 1)), "{place}");
    if out.code == Some(1) {
        assert!(out.stderr.contains("error: ") && out.stderr.contains("hint: "), "{place}");
    }
    out.code == Some(1)
}

#[test]
fn a_damaged_state_folder_is_told_and_nothing_is_done_again() {
    let (env, server) = stopped();
    let state = env.path(".state/runbook");
    let harms = harms(&state);
    let (told, next) = (std::sync::Mutex::new(0), std::sync::atomic::AtomicUsize::new(0));
    each(&harms, |(file, harm)| {
        let number = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let folder = env.path(&format!("harm{number}"));
        copy(&state, &folder.join("runbook"));
        harm.apply(&folder.join("runbook").join(file));
        // The credentials of each go into a folder of its own.
        let mut refused = 0;
        for args in [&["runs"][..], &["log", "r1"], &["resume", "r1"], &["resume"]] {
            let mut command = env.command(args);
            command.env("XDG_STATE_HOME", &folder);
            let out = Running::start(command, "").finish();
            refused += usize::from(sober(&format!("{harm:?} of {file}, {args:?}"), &out));
        }
        *told.lock().unwrap() += usize::from(refused > 0);
        std::fs::remove_dir_all(&folder).unwrap();
    });
    assert_eq!(posts(&server), 1, "the thing was made again");
    let text = std::fs::read_to_string(env.path("credentials")).unwrap_or_default();
    assert!(text.matches("ID=1\n").count() <= 1, "{text}");
    say(&format!("state damaged: {} ways tried, {} told", harms.len(), told.lock().unwrap()));
}

/// A small file system of its own; none where this may not be mounted.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = Self(at);
        if mounted.mount(&["-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs"]) {
            return Some(mounted);
        }
        say("skipped: this user may not mount a file system");
        std::mem::forget(mounted);
        None
    }

    fn mount(&self, options: &[&str]) -> bool {
        let done = Command::new("mount").args(options).arg(&self.0).output();
        done.is_ok_and(|out| out.status.success())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_and_nothing_is_lost() {
    let (env, server) = stand(APPEND, "");
    let Some(disk) = Mounted::new(env.path(".state")) else { return };
    let (mut said, mut doubts) = (0, 0);
    // Room for nothing, for a part of the first write, for some of the run, …
    for room in (0..28).map(|n| n * 12 * 1024) {
        let before = posts(&server);
        let full = disk.0.join("full");
        let filler = (512 * 1024_usize).saturating_sub(room);
        let _ = std::fs::write(&full, vec![0; filler]);
        let _ = std::fs::remove_file(env.path("credentials"));
        let out = env.run(&["run", "--trust", "./book.toml"]);
        let made = posts(&server) - before;
        std::fs::remove_file(&full).unwrap();
        if out.code != Some(0) {
            said += 1;
            let place = format!("{room} bytes of room: {}", out.stderr);
            assert_eq!(out.code, Some(1), "{place}");
            assert!(
                out.stderr.to_lowercase().contains("no room left")
                    || out.stderr.contains("No space left"),
                "{place}"
            );
            assert!(out.stderr.contains("hint: "), "{place}");
            let mut out = env.run(&["resume"]);
            if out.code == Some(5) {
                // The room ended between the request and its outcome: only a person can tell.
                assert_eq!((made, posts(&server) - before), (1, 1), "{place}");
                doubts += 1;
                let saved = ["--save", "thing=1", "--save", "client_secret=x"];
                out = env.run(&[&["resume", "--done", "make"][..], &saved].concat());
            }
            let never_began = out.code == Some(2) && made == 0;
            assert!(out.code == Some(0) || never_began, "{place}\nthen {}", out.stderr);
            let all = usize::from(!never_began);
            assert_eq!(posts(&server) - before, all, "{place}");
        }
        std::fs::remove_dir_all(env.path(".state/runbook")).unwrap();
    }
    assert!(said > 0);
    say(&format!("disk full: 28 sizes tried, {said} failed and went on, {doubts} in doubt"));
}

#[test]
fn a_read_only_state_folder_is_said_before_anything_is_done() {
    let (env, server) = stand(APPEND, DOWN);
    let Some(disk) = Mounted::new(env.path(".state")) else { return };
    assert!(disk.mount(&["-o", "remount,ro"]));
    let out = env.run(&["run", "--trust", "./book.toml"]);
    assert!(out.code == Some(1) && out.stderr.contains("ead-only"), "{out:?}");
    assert_eq!(server.requests().len(), 0, "nothing was done");
    assert!(disk.mount(&["-o", "remount,rw"]));
    assert_eq!(env.run(&["run", "--trust", "./book.toml"]).code, Some(1));
    assert!(disk.mount(&["-o", "remount,ro"]));
    for args in [&["resume"][..], &["log", "r1"], &["runs"]] {
        let out = env.run(args);
        let told = out.code == Some(1) && out.stderr.contains("hint: ");
        assert!(told || out.code == Some(0) && args[0] != "resume", "{args:?}: {out:?}");
    }
    assert!(disk.mount(&["-o", "remount,rw"]));
    goes_on(&env, &server);
}

#[test]
fn a_clock_set_back_loses_nothing() {
    let (env, server) = stopped();
    let state = env.path(".state/runbook");
    // The same events, as a clock ten years ahead would have written them.
    let text = std::fs::read_to_string(env.path("book.toml")).unwrap();
    let entries = Store::open(&state).unwrap().entries("r1").unwrap();
    for name in ["journal.db", "journal.db-wal", "journal.db-shm", "journal.mark"] {
        let _ = std::fs::remove_file(state.join(name));
    }
    put(&state, &entries, &text, 10 * 365 * 24 * 3600 * 1000);
    let out = env.run(&["log", "r1"]);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    goes_on(&env, &server);
    let store = Store::open(&state).unwrap();
    let seqs: Vec<u64> = store.entries("r1").unwrap().iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    for args in [&["runs"][..], &["log", "r1"], &["runs", "--within", "1h"]] {
        let out = env.run(args);
        assert_eq!(out.code, Some(0), "{args:?}: {}", out.stderr);
    }
}

fn put(state: &Path, entries: &[Entry], text: &str, later: i64) {
    let moved: Vec<Entry> =
        entries.iter().map(|entry| Entry { at_ms: entry.at_ms + later, ..entry.clone() }).collect();
    let Some(Event::Started { text: digest, .. }) = moved.first().map(|entry| &entry.event) else {
        panic!("a run begins with its start");
    };
    Store::open(state).unwrap().append_with_text(&moved, [(digest.as_str(), text)]).unwrap();
}

#[test]
fn two_processes_resume_fifty_runs_and_each_step_happens_once() {
    const RUNS: usize = 50;
    let server =
        Server::start("[[routes]]\nmethod = \"POST\"\npath = \"/*\"\nstatus = 201\nbody = {}\n");
    let env = Env::new();
    let book = format!(
        "format = 1\nname = \"book\"\ntitle = \"A book\"\n[inputs.n]\n[connections.api]\nbase = \"{}/\"\n\
         [[steps]]\nid = \"go\"\nprompt = {{ ask = \"Go?\", type = \"boolean\" }}\n\
         [[steps]]\nid = \"make\"\nhttp = {{ on = \"api\", method = \"POST\", url = \"{{{{ n }}}}\" }}\n",
        server.url()
    );
    std::fs::write(env.path("book.toml"), book).unwrap();
    for n in 1..=RUNS {
        let out = env.run(&["run", "--trust", "./book.toml", "--input", &format!("n={n}")]);
        assert_eq!(out.code, Some(4), "{}", out.stderr);
        server.fault_at(n, Fault::Hold);
    }
    let ends: Vec<_> = (1..=RUNS)
        .map(|n| {
            let (send, ends) = mpsc::channel();
            for _ in 0..2 {
                let running = env.start(&["resume", &format!("r{n}"), "--answer", "go=yes"]);
                let send = send.clone();
                std::thread::spawn(move || send.send(running.finish()));
            }
            ends
        })
        .collect();
    // Whoever has a run hangs at the server: the first to end is the one that was refused.
    for ends in &ends {
        let loser = ends.recv().unwrap();
        assert_eq!(loser.code, Some(1), "{}", loser.stderr);
        assert!(loser.stderr.contains("is held by process "), "{}", loser.stderr);
        assert!(loser.stderr.contains("hint: "), "{}", loser.stderr);
    }
    server.wait_for(RUNS);
    server.release();
    for ends in &ends {
        let winner = ends.recv().unwrap();
        assert_eq!(winner.code, Some(0), "{}", winner.stderr);
    }
    let mut made: Vec<String> = server.requests().into_iter().map(|asked| asked.target).collect();
    made.sort();
    made.dedup();
    assert_eq!((made.len(), server.requests().len()), (RUNS, RUNS), "each once");
    say(&format!("two at once: {RUNS} runs, {RUNS} refused"));
}

#[test]
fn a_secret_that_may_be_empty_is_left_out_with_enter() {
    let env = Env::new();
    let book = "format = 1\nname = \"book\"\n[inputs.token]\nsecret = true\ndefault = \"\"\n\
         [[steps]]\nid = \"none\"\ngate = \"token == ''\"\n";
    std::fs::write(env.path("book.toml"), book).unwrap();
    let mut terminal = Terminal::start(&env, &["run", "--trust", "./book.toml"]);
    terminal.expect("token");
    terminal.line("");
    let (rest, code) = terminal.finish();
    assert_eq!(code, Some(0), "{rest}");
}

#[test]
fn the_beginning_of_a_runs_name_is_no_name() {
    let env = Env::new();
    std::fs::write(
        env.path("b.toml"),
        "format = 1\nname = \"b\"\n[[steps]]\nid = \"a\"\nnote = \"x\"\n",
    )
    .unwrap();
    for _ in 0..10 {
        assert_eq!(env.run(&["run", "b.toml"]).code, Some(0));
    }
    assert_eq!(env.run(&["forget", "r1"]).code, Some(0));
    for command in [["forget", "r1"], ["log", "r1"], ["undo", "r1"], ["resume", "r1"]] {
        let out = env.run(&command);
        assert_eq!(out.code, Some(2), "{out:?}");
        assert!(out.stderr.contains("there is no run `r1`"), "{out:?}");
    }
    assert_eq!(env.run(&["log", "r10"]).code, Some(0));
}

#[test]
fn a_run_goes_on_where_it_began_wherever_it_is_resumed() {
    let env = Env::new();
    let book = |more: &str| {
        format!(
            "format = 1\nname = \"b\"\n[inputs.word]\nfrom = [{{ file = \"word\" }}]\n\
             [[steps]]\nid = \"ready\"\ncommand = [\"test\", \"-e\", \"go\"]\neffect = \"read\"\n\
             [[steps]]\nid = \"inside\"\ncommand = {{ run = [\"test\", \"-e\", \"in\"], cwd = \"sub\" }}\n\
             [[steps]]\nid = \"keep\"\nappend = {{ file = \"creds\", text = \"W={{{{ word }}}}\\n\" }}\n{more}"
        )
    };
    let from = |folder: &str, args: &[&str]| {
        let mut command = env.command(args);
        command.current_dir(env.path(folder));
        Running::start(command, "").finish()
    };
    for (folder, word) in [("one", "1"), ("two", "2")] {
        std::fs::create_dir_all(env.path(&format!("{folder}/sub"))).unwrap();
        std::fs::write(env.path(&format!("{folder}/word")), word).unwrap();
    }
    std::fs::write(env.path("one/b.toml"), book("")).unwrap();
    std::fs::write(env.path("two/b.toml"), "format = 1\nname = \"other\"\n").unwrap();
    std::fs::write(env.path("one/sub/in"), "").unwrap();
    assert_eq!(from("one", &["run", "b.toml", "--trust"]).code, Some(1));
    std::fs::write(env.path("one/go"), "").unwrap();
    std::fs::write(env.path("one/b.toml"), book("[[steps]]\nid = \"more\"\nnote = \"more\"\n"))
        .unwrap();
    let out = from("two", &["resume", "r1", "--updated", "--trust"]);
    assert_eq!(out.code, Some(0), "{out:?}");
    let said = format!("note: run `r1` goes on in {}, where it began", env.path("one").display());
    assert!(out.stderr.contains(&said) && out.stderr.contains("more"), "{out:?}");
    assert_eq!(std::fs::read_to_string(env.path("one/creds")).unwrap(), "W=1\n");
    assert!(!env.path("two/creds").exists());
    let out = from("two", &["undo", "r1", "--yes"]);
    assert_eq!(out.code, Some(0), "{out:?}");
    assert!(!env.path("one/creds").exists());
}

/// What leads to a file from one folder leads to another one from elsewhere, or to none.
#[test]
fn a_command_to_copy_leads_to_the_same_file_wherever_one_stands() {
    let env = Env::new();
    std::fs::create_dir_all(env.path("one/two")).unwrap();
    let book = "format = 1\nname = \"b\"\n[inputs.word]\n[[steps]]\nid = \"right\"\ngate = \"word == 'b'\"\n";
    std::fs::write(env.path("one/my book.toml"), book).unwrap();
    let from = |folder: &str, args: &[&str]| {
        let mut command = env.command(args);
        command.current_dir(env.path(folder));
        Running::start(command, "").finish().stderr
    };
    let begun = from("one", &["run", "my book.toml", "--input", "word=a"]);
    assert!(begun.contains("begin anew with `runbook run 'my book.toml'`"), "{begun}");
    let there = env.path("one/my book.toml").display().to_string();
    let resumed = from("one/two", &["resume", "r1"]);
    assert!(resumed.contains(&format!("begin anew with `runbook run '{there}'`")), "{resumed}");
    let shown = from("one", &["show", "my book.toml", "--curl", "right"]);
    assert!(shown.contains("`runbook show 'my book.toml'` shows what it is"), "{shown}");
}
