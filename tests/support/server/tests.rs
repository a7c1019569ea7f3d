//! The server itself, spoken to over bare sockets.

use std::io::Read;

use super::*;

const ROUTES: &str = r#"
    [[routes]]
    path = "/a"
    times = 1
    body = "first"
    [[routes]]
    path = "/a"
    body = { n = 2 }
    [[routes]]
    method = "POST"
    path = "/b?x=1"
    status = 201
    headers = { location = "/b/1" }
"#;

struct Client(BufReader<TcpStream>);

impl Client {
    fn to(server: &Server) -> Self {
        Self(BufReader::new(TcpStream::connect(server.address()).unwrap()))
    }

    fn ask(&mut self, method: &str, target: &str, body: &str) -> Option<(String, String)> {
        self.send(method, target, body);
        let head = self.head()?;
        Some((head.0, self.body(head.1)?))
    }

    fn send(&mut self, method: &str, target: &str, body: &str) {
        let length = body.len();
        let text = format!("{method} {target} HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}");
        // What a closed connection means is seen when the answer is read.
        let _ = self.0.get_mut().write_all(text.as_bytes());
    }

    fn head(&mut self) -> Option<(String, usize)> {
        let mut head = read_line(&mut self.0)?;
        let mut length = 0;
        loop {
            let line = read_line(&mut self.0)?;
            if line.is_empty() {
                return Some((head, length));
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().ok()?;
            } else {
                head += " | ";
                head += &line;
            }
        }
    }

    fn body(&mut self, length: usize) -> Option<String> {
        let mut body = Vec::new();
        read_exactly(&mut self.0, length, &mut body)?;
        String::from_utf8(body).ok()
    }
}

fn down(server: &Server) -> bool {
    TcpStream::connect(server.address()).is_err()
}

#[test]
fn routes_answer_in_order_on_one_connection_and_requests_are_logged() {
    let server = Server::start(ROUTES);
    assert_eq!(server.url(), format!("http://{}", server.address()));
    let mut client = Client::to(&server);
    let mut ask = |method, target, body| client.ask(method, target, body).unwrap();
    let text = "HTTP/1.1 200 Canned | content-type: text/plain".to_owned();
    assert_eq!(ask("GET", "/a", ""), (text, "first".into()));
    let json = "HTTP/1.1 200 Canned | content-type: application/json".to_owned();
    assert_eq!(ask("GET", "/a?page=1", ""), (json, r#"{"n":2}"#.into()));
    let made = "HTTP/1.1 201 Canned | location: /b/1".to_owned();
    assert_eq!(ask("POST", "/b?x=1", "hello"), (made, String::new()));
    assert!(ask("POST", "/b", "").0.contains("404"));
    let log = server.requests();
    assert_eq!(log.len(), 4);
    assert_eq!((&*log[2].target, &*log[2].body), ("/b?x=1", "hello"));
    assert_eq!(log[2].headers["content-length"], "5");
}

#[test]
fn refuse_takes_the_server_down_before_that_request_until_it_is_resumed() {
    let server = Server::start(ROUTES);
    server.fault_at(2, Fault::Refuse);
    let mut client = Client::to(&server);
    assert!(client.ask("GET", "/a", "").unwrap().0.contains("connection: close"));
    assert_eq!(client.ask("GET", "/a", ""), None);
    assert!(down(&server));
    server.resume();
    assert!(Client::to(&server).ask("GET", "/a", "").is_some());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn refuse_at_the_first_request_and_stop_close_at_once() {
    let server = Server::start(ROUTES);
    server.fault_at(1, Fault::Refuse);
    assert!(down(&server));
    server.resume();
    let mut client = Client::to(&server);
    assert!(client.ask("GET", "/a", "").is_some());
    server.stop();
    assert!(down(&server));
    assert_eq!(client.ask("GET", "/a", ""), None);
}

#[test]
fn close_receives_and_says_nothing_and_cut_says_half() {
    let server = Server::start(ROUTES);
    server.fault_at(1, Fault::Close);
    server.fault_at(2, Fault::Cut);
    assert_eq!(Client::to(&server).ask("GET", "/b", ""), None);
    let mut client = Client::to(&server);
    client.send("GET", "/a", "");
    let (_, length) = client.head().unwrap();
    assert_eq!(length, 5);
    let mut rest = String::new();
    client.0.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "fi");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn held_and_stalled_answers_come_when_released() {
    let server = Server::start(ROUTES);
    server.fault_at(1, Fault::Hold);
    server.fault_at(2, Fault::Stall);
    let mut client = Client::to(&server);
    client.send("GET", "/a", "");
    server.wait_for(1);
    server.release();
    let (_, length) = client.head().unwrap();
    assert_eq!(client.body(length).unwrap(), "first");
    client.send("GET", "/a", "");
    let (_, length) = client.head().unwrap();
    server.release();
    assert_eq!(client.body(length).unwrap(), r#"{"n":2}"#);
}
