//! A fake of a service that a test starts, stops and breaks from outside.
//!
//! It keeps its port, its state and the log of its requests while it is down, as a real service
//! would.

use std::sync::{Arc, Mutex};

use runbook::diag;
use runbook::fake::{Asked, Fake, Fault, Served, serve};
use runbook::source::Source;
use serde_json::Value;

use super::server::{Awaited, strike};

/// A fake, up or down.
pub(crate) struct Faked {
    text: String,
    address: String,
    up: Option<Served>,
    state: Value,
    /// What was asked before the last start.
    before: Vec<Asked>,
    awaited: Arc<Mutex<Vec<Awaited<Fault>>>>,
}

impl Faked {
    /// Serves the text of a `fake.toml`, in these states, on a free port.
    pub(crate) fn start(text: &str, states: &[&str]) -> Result<Self, String> {
        let states: Vec<String> = states.iter().map(ToString::to_string).collect();
        let state = parse(text)?.state(&states).map_err(|state| format!("no state `{state}`"))?;
        let mut faked = Self {
            text: text.to_owned(),
            address: String::new(),
            up: None,
            state,
            before: Vec::new(),
            awaited: Arc::default(),
        };
        faked.serve(0)?;
        Ok(faked)
    }

    fn serve(&mut self, port: u16) -> Result<(), String> {
        let fake = parse(&self.text)?;
        let served = serve(fake, &self.state, port).map_err(|error| error.to_string())?;
        let awaited = Arc::clone(&self.awaited);
        served.set_faults(Box::new(move |_, method, target| {
            strike(&mut awaited.lock().expect("faults"), method, target)
        }));
        self.address = served.address().to_string();
        self.up = Some(served);
        Ok(())
    }

    /// `127.0.0.1:PORT`, the same over its whole life.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Goes down, and keeps its state.
    pub(crate) fn stop(&mut self) {
        if let Some(served) = self.up.take() {
            self.state = served.state();
            self.before.extend(served.asked());
        }
    }

    /// Comes back where it was.
    pub(crate) fn resume(&mut self) -> Result<(), String> {
        let port = self.address.rsplit(':').next().and_then(|port| port.parse().ok());
        if self.up.is_some() { Ok(()) } else { self.serve(port.unwrap_or(0)) }
    }

    /// Sets what goes wrong at a request yet to come.
    pub(crate) fn fault_on(&self, request: &str, nth: usize, name: &str) -> Result<(), String> {
        let fault = match name {
            "close" => Fault::Close,
            "do-and-close" => Fault::DoAndClose,
            "cut" => Fault::Cut,
            status => Fault::Status(status.parse().map_err(|_| format!("no fault `{name}`"))?),
        };
        let request = request.to_owned();
        self.awaited.lock().expect("faults").push(Awaited { request, nth, fault });
        Ok(())
    }

    /// The requests that were to go wrong and never came.
    pub(crate) fn unmet(&self) -> Vec<String> {
        let awaited = self.awaited.lock().expect("faults");
        awaited.iter().map(|awaited| awaited.request.clone()).collect()
    }

    /// Every request so far: method, target and status. Reads may come at once, in any order:
    /// those between two changes are sorted. `read` is a `METHOD PATH` that reads too, whatever
    /// its method says.
    pub(crate) fn requests(&self, read: Option<&str>) -> String {
        let mut lines = self.lines();
        let reads = |line: &String| reads(line) || read.is_some_and(|read| line_is(line, read));
        lines.chunk_by_mut(|a, b| reads(a) && reads(b)).for_each(<[String]>::sort);
        lines.concat()
    }

    /// The requests that are no reads. Where one of several reads at once fails, the others may
    /// have been sent or not.
    pub(crate) fn changes(&self) -> String {
        let mut lines = self.lines();
        lines.retain(|line| !reads(line));
        lines.concat()
    }

    fn lines(&self) -> Vec<String> {
        let now = self.up.as_ref().map(Served::asked).unwrap_or_default();
        self.before.iter().chain(&now).map(line).collect()
    }
}

fn reads(line: &str) -> bool {
    line.starts_with("GET ") || line.starts_with("OPTIONS ")
}

fn line_is(line: &str, request: &str) -> bool {
    line.strip_prefix(request).is_some_and(|rest| rest.starts_with([' ', '?']))
}

fn line(asked: &Asked) -> String {
    let status = asked.status.map_or("no answer".to_owned(), |code| code.to_string());
    format!("{} {}  {status}\n", asked.method, asked.target)
}

fn parse(text: &str) -> Result<Fake, String> {
    let source = Source::new("fake.toml", text.to_owned());
    Fake::parse(&source).map_err(|diags| diag::render(&source, &diags, false, None))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    const COUNTER: &str = r#"
format = 1
about = "A counter."
[inputs]
[state]
count = 0
[states.busy]
count = 7
[[routes]]
on = "POST /"
jq = '(.state.count + 1) as $n | {status: 200, body: "\($n)", state: {count: $n}}'
"#;

    fn post(faked: &Faked) -> Option<String> {
        let mut stream = TcpStream::connect(faked.address()).ok()?;
        stream
            .write_all(
                b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            )
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text.split_once("\r\n\r\n")?.1.to_owned())
    }

    #[test]
    fn it_keeps_its_state_its_log_and_its_port_while_it_is_down() {
        let mut faked = Faked::start(COUNTER, &["busy"]).unwrap();
        assert_eq!(post(&faked).as_deref(), Some("8"));
        faked.fault_on("GET /", 1, "close").unwrap();
        faked.fault_on("POST /", 1, "do-and-close").unwrap();
        faked.stop();
        assert_eq!(post(&faked), None);
        faked.resume().unwrap();
        assert_eq!(post(&faked), None);
        assert_eq!(post(&faked).as_deref(), Some("10"));
        assert_eq!(faked.requests(None), "POST /  200\nPOST /  no answer\nPOST /  200\n");
        assert_eq!(faked.changes(), faked.requests(None));
        assert_eq!(faked.requests(Some("POST /")), "POST /  200\nPOST /  200\nPOST /  no answer\n");
        assert_eq!(faked.unmet(), ["GET /"]);
    }

    #[test]
    fn what_is_not_there_is_said() {
        assert!(Faked::start(COUNTER, &["idle"]).is_err());
        assert!(Faked::start("x", &[]).is_err());
        assert!(Faked::start(COUNTER, &[]).unwrap().fault_on("GET /", 1, "flood").is_err());
    }
}
