//! Ten thousand items, each done once, however often the run is killed on the way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use crate::support::env::{Env, PATIENCE, Running};
use crate::support::stand::say;

const ITEMS: usize = 10_000;

/// How many requests it has taken before it answers no more, and the run is killed.
const KILLS: [usize; 3] = [1_000, 5_000, 9_990];

/// A service that counts what is asked of it: as little work as can be.
#[derive(Default)]
struct Counter {
    state: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    items: Vec<usize>,
    total: usize,
    /// From this total on nothing is answered.
    deaf_from: usize,
    /// Connections that are not read to their end.
    open: usize,
}

impl Counter {
    fn serve() -> (Arc<Self>, String) {
        let counter = Arc::new(Self::default());
        counter.state.lock().unwrap().items = vec![0; ITEMS];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::clone(&counter);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = Arc::clone(&shared);
                counter.state.lock().unwrap().open += 1;
                std::thread::spawn(move || {
                    counter.talk(&stream);
                    counter.state.lock().unwrap().open -= 1;
                    counter.changed.notify_all();
                });
            }
        });
        (counter, address)
    }

    fn talk(&self, mut stream: &TcpStream) {
        let mut lines = BufReader::new(stream).lines();
        while let Some(Ok(line)) = lines.next() {
            if line == "HELLO" {
                stream.write_all(b"!").unwrap();
            }
            if let Some(item) = line.strip_prefix("POST /items/") {
                let item = item.split(' ').next().unwrap().parse().unwrap();
                // the rest of the head; there is no body
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                if self.count(item) && stream.write_all(b"HTTP/1.1 204 Done\r\n\r\n").is_err() {
                    return;
                }
            }
        }
    }

    /// Counts it; whether it is answered.
    fn count(&self, item: usize) -> bool {
        let mut state = self.state.lock().unwrap();
        state.items[item] += 1;
        state.total += 1;
        self.changed.notify_all();
        state.total < state.deaf_from
    }

    fn deaf_from(&self, total: usize) {
        self.state.lock().unwrap().deaf_from = total;
    }

    fn wait_until_deaf(&self) {
        let state = self.state.lock().unwrap();
        let wait = self
            .changed
            .wait_timeout_while(state, 2 * PATIENCE, |state| state.total < state.deaf_from);
        let (state, late) = wait.unwrap();
        assert!(!late.timed_out(), "{} requests came, not {}", state.total, state.deaf_from);
    }

    /// Waits until all that dead programs had sent is counted.
    fn settle(&self, address: &str) {
        // When this one is answered, all before it are accepted.
        let mut own = TcpStream::connect(address).unwrap();
        own.write_all(b"HELLO\r\n").unwrap();
        own.read_exact(&mut [0]).unwrap();
        drop(own);
        let state = self.state.lock().unwrap();
        let wait = self.changed.wait_timeout_while(state, PATIENCE, |state| state.open > 0);
        assert!(!wait.unwrap().1.timed_out(), "connections stay open");
    }

    fn has(&self, item: usize) -> bool {
        self.state.lock().unwrap().items[item] > 0
    }
}

/// The items a resume names as being in doubt.
fn doubts(stderr: &str) -> Vec<usize> {
    let named = stderr.lines().filter_map(|line| line.strip_prefix("doubt: step `create["));
    named.map(|rest| rest.split(']').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn ten_thousand_items_killed_three_times_are_each_done_once() {
    let mut env = Env::new();
    // Only kills are tried here, no power cuts: syncs may as well cost nothing.
    let memory = Path::new("/dev/shm");
    let state = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let state = state.unwrap();
    env.set("XDG_STATE_HOME", state.path().to_str().unwrap());
    let (counter, address) = Counter::serve();
    let book = format!(
        "format = 1\nname = \"b\"\n[connections.api]\nbase = \"http://{address}/\"\n[[steps]]\n\
         id = \"create\"\nfor_each = \"range({ITEMS}) | list\"\nat_once = 8\n\
         http = {{ on = \"api\", method = \"POST\", url = \"items/{{{{ item }}}}\" }}\n"
    );
    std::fs::write(env.path("b.toml"), book).unwrap();
    let (mut done, mut redone) = (0, 0);
    let mut args = vec!["run".to_owned(), "b.toml".to_owned()];
    let start = |args: &[String]| -> Running {
        env.start(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for at in KILLS {
        counter.deaf_from(at);
        let run = start(&args);
        counter.wait_until_deaf();
        assert_eq!(run.kill().code, None);
        counter.settle(&address);
        counter.deaf_from(usize::MAX);
        let stopped = env.run(&["resume"]);
        assert_eq!(stopped.code, Some(5), "{}", stopped.stderr);
        let doubts = doubts(&stopped.stderr);
        assert!((1..=8).contains(&doubts.len()), "{doubts:?}");
        args = vec!["resume".to_owned()];
        for item in doubts {
            let there = counter.has(item);
            let decision = if there { "--done" } else { "--redo" };
            *if there { &mut done } else { &mut redone } += 1;
            args.extend([decision, &format!("create[{item}]")].map(str::to_owned));
        }
    }
    let last = start(&args).finish();
    assert_eq!(last.code, Some(0), "{}", &last.stderr[last.stderr.len().saturating_sub(1000)..]);
    let items = &counter.state.lock().unwrap().items;
    let wrong: Vec<_> = items.iter().enumerate().filter(|(_, count)| **count != 1).collect();
    assert!(wrong.is_empty(), "not done once: {wrong:?}");
    say(&format!("{ITEMS} items, {} kills: {done} had happened, {redone} had not", KILLS.len()));
}
