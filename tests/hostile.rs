//! Hostile servers and hostile authors: every attack ends soon, small, and with a clear error.
//!
//! Each runs in a process of its own, whose peak memory (`VmHWM`) and time are printed:
//! `cargo test hostile -- --nocapture`.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::env::Env;
use crate::support::stand::each;

/// What no attack may pass, in MiB.
const MEMORY: u64 = 800;

/// When an attack has won: far beyond every limit, so that a busy machine does not decide.
const TIME: Duration = Duration::from_mins(3);

/// How long an author's program may take here, in milliseconds. What counts lets through ends
/// much sooner; what only time ends, ends here.
const PATIENCE: &str = "1500";

/// How a limit on an author's program is told, which one stops it first depends on the machine.
const LIMITS: &[&str] = &[
    "it took longer than",
    "more than",
    "more steps than",
    "ran out of fuel",
    "too large",
    "too many elements",
    "at most 65536 bytes",
    "recursion limit",
    "calls itself",
    "is not available",
    "unknown name",
    "unknown statement",
    "invalid operation",
    "cannot use",
    "at most 500 operators and filters",
];

/// What came of one attack.
struct Ended {
    name: String,
    code: Option<i32>,
    text: String,
    peak: u64,
    took: Duration,
}

/// Runs the program and watches it.
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn watch(env: &Env, name: &str, args: &[&str]) -> Ended {
    let began = Instant::now();
    let mut command = env.command(args);
    command.env(runbook::patience::VARIABLE, PATIENCE);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (err, out) = (drain(child.stderr.take().unwrap()), drain(child.stdout.take().unwrap()));
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(high_water(&child));
        if began.elapsed() > TIME {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let code = child.wait().unwrap().code();
    let text = format!("{}{}", err.recv().unwrap(), out.recv().unwrap());
    Ended { name: name.to_owned(), code, text, peak, took: began.elapsed() }
}

fn drain(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receive
}

/// The most memory a process had so far, in MiB.
fn high_water(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Tries all of these, several at once; what came of each, in their order.
fn all<T: Sync>(
    attacks: &[T],
    attempt: impl Fn(&T) -> (Ended, &'static str) + Sync,
) -> Vec<(Ended, &'static str)> {
    let ended = Mutex::new(Vec::new());
    let places: Vec<usize> = (0..attacks.len()).collect();
    each(&places, |place| {
        let one = attempt(&attacks[*place]);
        ended.lock().unwrap().push((*place, one));
    });
    let mut ended = ended.into_inner().unwrap();
    ended.sort_by_key(|(place, _)| *place);
    ended.into_iter().map(|(_, one)| one).collect()
}

/// Prints the figures and demands that they are in bounds.
fn judge(all: &[(Ended, &str)]) {
    let mut wrong = Vec::new();
    for (ended, says) in all {
        let told = |line: &&str| match *says {
            "" if ended.code == Some(0) => line.starts_with("done "),
            "" => LIMITS.iter().any(|limit| line.contains(limit)),
            says => line.contains(says),
        };
        let line = ended.text.lines().find(told).unwrap_or("-");
        println!(
            "{:28} {:4} MiB {:6} ms  {}",
            ended.name,
            ended.peak,
            ended.took.as_millis(),
            line.trim().chars().take(110).collect::<String>()
        );
        let bounded = ended.peak < MEMORY && ended.took < TIME;
        if !bounded || ended.code.is_none() || line == "-" || ended.text.contains('\x1b') {
            wrong.push(format!(
                "{}: {:?}, wanted `{says}`:\n{}",
                ended.name, ended.code, ended.text
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a server does to whoever asks it.
type Attack = Arc<dyn Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync>;

/// A server that reads a request's head and then does its worst.
fn server(attack: Attack) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            // the program closes when it has had enough: that is an error here, and right
            let _ = attack(&mut stream);
        }
    });
    format!("http://{address}/")
}

fn book(url: &str) -> String {
    format!(
        r#"
        format = 1
        name = "hostile"
        [inputs.token]
        secret = true
        from = [{{ env = "TOKEN" }}]
        [connections.api]
        base = "{url}"
        timeout = "3s"
        headers = {{ authorization = "Bearer {{{{ token }}}}" }}
        [[steps]]
        id = "call"
        http = {{ on = "api", url = "x", redirects = 5 }}
        save.size = "tostring | length"
        "#
    )
}

const JSON: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

fn run(name: &str, attack: Attack) -> Ended {
    let mut env = Env::new();
    env.set("TOKEN", "tok-0123456789");
    std::fs::write(env.path("b.toml"), book(&server(attack))).unwrap();
    watch(&env, name, &["run", "./b.toml", "-v"])
}

/// An attack, its name, and what is said when its limit is hit.
fn attack(
    name: &'static str,
    attack: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    says: &'static str,
) -> (&'static str, Attack, &'static str) {
    (name, Arc::new(attack), says)
}

/// Sends a head, then the same piece until nobody listens any more.
fn endless(head: String, piece: Vec<u8>) -> impl Fn(&mut TcpStream) -> std::io::Result<()> {
    move |stream| {
        stream.write_all(head.as_bytes())?;
        loop {
            stream.write_all(&piece)?;
        }
    }
}

fn whole(head: String, body: Vec<u8>) -> impl Fn(&mut TcpStream) -> std::io::Result<()> {
    move |stream| {
        // the server hangs up after it: a client that kept the connection would meet that
        let length = format!("Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{length}").as_bytes())?;
        stream.write_all(&body)
    }
}

fn bomb() -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..512 {
        packer.write_all(&zeros).unwrap();
    }
    packer.finish().unwrap()
}

/// So many members of an object.
fn keys(count: usize) -> String {
    (0..count).fold(String::new(), |all, n| all + "\"" + &n.to_string() + "\":0,")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a slow server must wait")]
#[expect(clippy::too_many_lines, reason = "a list")]
fn every_hostile_answer_ends_soon_and_small() {
    let chunked = format!("{JSON}Transfer-Encoding: chunked\r\n\r\n");
    let chunk = [b"10000\r\n".to_vec(), vec![b'1'; 0x10000], b"\r\n".to_vec()].concat();
    let drip = |stream: &mut TcpStream| {
        stream.write_all(format!("{JSON}Content-Length: 1000000\r\n\r\n").as_bytes())?;
        loop {
            stream.write_all(b"1")?;
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let slow_head = |stream: &mut TcpStream| loop {
        stream.write_all(b"H")?;
        std::thread::sleep(Duration::from_millis(300));
    };
    let silent = |stream: &mut TcpStream| stream.read(&mut [0; 1]).map(drop);
    let large = "larger than 10 MiB";
    let gzip = format!("{JSON}Content-Encoding: gzip\r\n");
    let mut ansi = b"{\"error\": \"".to_vec();
    ansi.extend(b"\\u001b[2J\\u001b]0;owned\\u0007\\u202eevil\\r\\nok    call  forged\"}");
    let to = |location: &str| format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n");
    let attacks = [
        attack(
            "a body without an end",
            endless(format!("{JSON}Content-Length: 1000000000000\r\n\r\n"), vec![b'1'; 65536]),
            large,
        ),
        attack("chunks without an end", endless(chunked.clone(), chunk), large),
        attack(
            "a chunk size of all memory",
            endless(chunked, b"ffffffffffffffff\r\n1".to_vec()),
            "call",
        ),
        attack("a gzip bomb of 512 MiB", whole(gzip.clone(), bomb()), large),
        attack("gzip that is none", whole(gzip, b"\x1f\x8b\x08garbage".to_vec()), "broke off"),
        attack("a byte now and then", drip, "no answer within 3s"),
        attack("a head, byte by byte", slow_head, "no answer within 3s"),
        attack("silence", silent, "no answer within 3s"),
        attack(
            "headers without an end",
            endless("HTTP/1.1 200 OK\r\n".to_owned(), b"x-a: b\r\n".to_vec()),
            "failed: ",
        ),
        attack(
            "one header without an end",
            endless("HTTP/1.1 200 OK\r\nx: ".to_owned(), vec![b'a'; 65536]),
            "failed: ",
        ),
        attack(
            "10 000 headers",
            whole(format!("{JSON}{}", "x: y\r\n".repeat(10_000)), b"1".to_vec()),
            "failed: ",
        ),
        attack(
            "1xx without an end",
            endless(String::new(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
            "no answer within 3s",
        ),
        attack("no status line", whole("\x1b[31mhello\r\n".to_owned(), Vec::new()), "failed: "),
        attack(
            "JSON ten million deep",
            whole(JSON.to_owned(), vec![b'['; 10_000_000]),
            "recursion limit",
        ),
        attack(
            "JSON of 3 million lists",
            whole(JSON.to_owned(), format!("[{}0]", "[],".repeat(3_300_000)).into_bytes()),
            "call",
        ),
        attack(
            "JSON of a million keys",
            whole(JSON.to_owned(), format!("{{{}\"z\":0}}", keys(700_000)).into_bytes()),
            "call",
        ),
        attack(
            "invalid UTF-8",
            whole(JSON.to_owned(), b"\"\xff\xfe\xc0\x80\"".to_vec()),
            "not the JSON it says",
        ),
        attack(
            "half a surrogate",
            whole(JSON.to_owned(), b"\"\\ud800\"".to_vec()),
            "not the JSON it says",
        ),
        attack("two JSON values", whole(JSON.to_owned(), b"1 2".to_vec()), "not the JSON it says"),
        attack(
            "numbers beyond all",
            whole(JSON.to_owned(), format!("[1e999999999, {}]", "9".repeat(100_000)).into_bytes()),
            "call",
        ),
        attack(
            "escapes for the terminal",
            whole("HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\n".to_owned(), ansi),
            "400",
        ),
        attack("a redirect to itself", whole(to("/x"), Vec::new()), "too many redirects"),
        attack(
            "a redirect elsewhere",
            whole(to("http://127.0.0.2:1/"), Vec::new()),
            "another host or scheme",
        ),
        attack("a redirect to a scheme", whole(to("file:///etc/passwd"), Vec::new()), "failed: "),
    ];
    let ended = all(&attacks, |(name, attack, says)| (run(name, attack.clone()), *says));
    judge(&ended);
}

#[test]
fn the_authorization_never_reaches_another_host() {
    let (send, receive) = channel();
    let thief = server(Arc::new(move |stream| {
        let _ = send.send(());
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    }));
    let answer = format!("HTTP/1.1 307 T\r\nLocation: {thief}\r\nContent-Length: 0\r\n\r\n");
    let ended = run("stolen", Arc::new(move |stream| stream.write_all(answer.as_bytes())));
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    assert!(receive.try_recv().is_err(), "the other host was called");
    assert!(!ended.text.contains("tok-0123456789"));
}

fn author(name: &str, step: &str) -> Ended {
    let env = Env::new();
    let book = format!("format = 1\nname = \"hostile\"\n[[steps]]\nid = \"it\"\n{step}\n");
    std::fs::write(env.path("b.toml"), book).unwrap();
    watch(&env, name, &["run", "./b.toml"])
}

fn template(text: &str) -> Ended {
    let name = text.chars().take(28).collect::<String>();
    author(&name, &format!("note = {}", serde_json::to_string(text).unwrap()))
}

fn jq(code: &str) -> Ended {
    let name = code.chars().take(28).collect::<String>();
    author(&name, &format!("jq = {}", serde_json::to_string(code).unwrap()))
}

#[test]
fn every_hostile_template_ends_soon_and_small() {
    let doubled = |name: &str| {
        let twice = format!("{{% set {name} = [{name}, {name}] %}}").repeat(60);
        format!("{{% set {name} = ['ha', 'ha'] %}}{twice}")
    };
    let (laughs, again) = (doubled("a"), doubled("b"));
    let deep = format!("{{% set a = [] %}}{}", "{% set a = [a] %}".repeat(3_500));
    let cubes = "([([([([0]*999)]*999)]*999)]*999)";
    let texts: Vec<String> = vec![
        "{{ 'x' * 2000000000 }}".into(),
        "{{ [0] * 2000000000 | length }}!".into(),
        "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}".into(),
        "{% set n = namespace(a='xx') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}{{ n.a }}".into(),
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".into(),
        "{% for i in range(1000000000) %}x{% endfor %}".into(),
        "{{ range(99999) | map('string') | join('x' * 10000) | length }}!".into(),
        "{{ 'x' | indent(1000000000) }}!".into(),
        "{{ '%1000000000s' | format('x') }}!".into(),
        "{{ '%.1000000000f' | format(1.5) }}!".into(),
        "{% set n = namespace(a=1) %}{{ n.a }}".into(),
        format!("{laughs}{{{{ a }}}}"),
        format!("{laughs}{{{{ a | tojson }}}}"),
        format!("{laughs}{{{{ a | string | length }}}}!"),
        format!("{laughs}{{{{ a ~ '' }}}}!"),
        format!("{laughs}{{{{ a == a }}}}!"),
        format!("{laughs}{again}{{{{ a == b }}}}!"),
        format!("{laughs}{again}{{{{ [a, b] | sort | length }}}}!"),
        format!("{laughs}{{{{ [a] | unique | length }}}}!"),
        format!("{{{{ {cubes} }}}}"),
        format!("{{{{ {cubes} | tojson | length }}}}!"),
        format!("{{{{ {cubes} == {cubes} }}}}!"),
        format!("{deep}{{{{ a }}}}"),
        format!("{deep}{{{{ a | tojson }}}}"),
        format!("{deep}{{% set b = a %}}{deep}{{{{ a == b }}}}!"),
        format!("{deep}done"),
        format!("{{{{ {}1{} }}}}", "[".repeat(5000), "]".repeat(5000)),
        format!("{{{{ {}1{} }}}}", "[".repeat(400), "]".repeat(400)),
        format!("{{{{ 'x'{} }}}}", " | lower".repeat(6000)),
        format!("{{{{ 'x'{} | length }}}}", " | sh_quote".repeat(400)),
        format!("{{{{ 'xxxx'{} | length }}}}", " | replace('', 'xxxx')".repeat(60)),
        "{% include 'x' %}".into(),
        "{% import '/etc/passwd' as x %}{{ x }}".into(),
    ];
    judge(&all(&texts, |text| (template(text), "")));
}

#[test]
fn every_hostile_program_ends_soon_and_small() {
    let laughs = "reduce range(60) as $i ([1]; [., .])";
    let codes: Vec<String> = vec![
        "last(repeat(1))".into(),
        format!("(1{0}) == (1{0})", " | [., .]".repeat(60)),
        "[\"x\" * 999 * 999 * 32 | (., .) | (., .) | (., .) | ascii_downcase] | length".into(),
        "1 # \"\n| \"x\" * 31000000 | [(., .) | (., .) | explode] | length # \"".into(),
        "def f: f; f".into(),
        "reduce range(60) as $i (\"x\"; . + .)".into(),
        "\"x\" * 1e12".into(),
        "[range(1e12)]".into(),
        "[limit(1e12; repeat(1))] | length".into(),
        "[range(100)] | [combinations(20)] | length".into(),
        "reduce range(1e6) as $i (0; [.])".into(),
        "(\"a\" * 100000) | test(\"(a+)+$\")".into(),
        "(\"a\" * 3000) | [match(\"(a*)*b\"; \"g\")] | length".into(),
        "(\"ab\" * 1000000) | [splits(\"b\")] | length".into(),
        "[range(2e6)] | map(tostring) | add | length".into(),
        "(\"x\" * 30000000) | [., ., ., .] | map(. + \"y\") | length".into(),
        "(\"x\" * 10000000) as $x | [range(1000) | $x + tostring] | length".into(),
        "(\"x\" * 10000000) as $x | [range(100) | $x | ascii_upcase] | length".into(),
        "[range(1e6)] as $x | [range(100) | $x | reverse] | length".into(),
        "[range(1e6)] as $x | [range(50) | [$x[]]] | length".into(),
        format!("{laughs} | tojson | length"),
        format!("{laughs} | tostring | length"),
        format!("{laughs} | @json \"\\(.)\" | length"),
        laughs.to_owned(),
        format!("{laughs} as $a | {laughs} as $b | $a == $b"),
        format!("{laughs} as $a | {laughs} as $b | [$a, $b] | sort | length"),
        format!("{laughs} | [paths] | length"),
        format!("{laughs} | flatten | length"),
        format!("{laughs} | getpath([range(50) | 0])"),
        "[splits(\"a\"; null)]".into(),
        "[range(100000)] | implode | length".into(),
        "[limit(5; inputs)]".into(),
    ];
    judge(&all(&codes, |code| (jq(code), "")));
}

/// Whether a process is still at work: one that nobody has taken the status of is not.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !["", "Z", "X"].contains(&stat.rsplit(") ").next().unwrap_or("").get(..1).unwrap_or(""))
}

#[test]
fn a_command_that_leaves_something_running_is_not_waited_for() {
    let env = Env::new();
    let book = "format = 1\nname = \"b\"\n[[steps]]\nid = \"daemon\"\n\
                command = [\"sh\", \"-c\", \"sleep 600 & echo $! > pid; echo started\"]\n\
                gates = [{ that = \"daemon == 'started'\" }]\nsave.daemon = \".\"\n";
    std::fs::write(env.path("b.toml"), book).unwrap();
    let out = env.run(&["run", "b.toml", "--trust"]);
    assert_eq!(out.code, Some(0), "{out:?}");
    let pid = std::fs::read_to_string(env.path("pid")).unwrap();
    assert!(lives(pid.trim()), "a service that a command starts is meant to stay");
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it is waited for before the test fails")]
fn a_command_that_takes_too_long_is_killed_with_all_it_started() {
    let env = Env::new();
    let book = "format = 1\nname = \"b\"\n[[steps]]\nid = \"long\"\ntimeout = \"500ms\"\n\
                command = [\"sh\", \"-c\", \"sleep 600 & echo $! > pid; wait\"]\n";
    std::fs::write(env.path("b.toml"), book).unwrap();
    let out = env.run(&["run", "b.toml", "--trust"]);
    assert_eq!(out.code, Some(5), "{out:?}");
    let pid = std::fs::read_to_string(env.path("pid")).unwrap();
    let patience = std::time::Instant::now() + crate::support::env::PATIENCE;
    while lives(pid.trim()) {
        assert!(std::time::Instant::now() < patience, "it was left alive");
        std::thread::yield_now();
    }
}
