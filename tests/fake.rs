//! The bundled fake against what a real server was recorded to answer.
//!
//! `tests/data/exchanges.json` holds recorded requests and answers. They were not recorded in
//! one go, so this test replays them in an order of its own and sends, in between, what each
//! presupposes.

use std::io::{Read, Write};
use std::net::TcpStream;

use runbook::diag;
use runbook::fake::{COMMANDS, Fake, Served, serve};
use runbook::source::Source;
use serde_json::{Value, json};

const FLOW: &str = "7542a7d1-432b-4160-8406-70f4c10785a4";
const END_FLOW: &str = "ff7d4912-b8b1-4249-a3f0-e5504d2efcd8";
const PROVIDERS: &str = "/api/v3/providers/oauth2/";
const APPLICATIONS: &str = "/api/v3/core/applications/";

/// What is made up by either side, by the key it stands under.
const MADE_UP: &[&str] = &["client_id", "client_secret", "key", "avatar"];

struct Replay {
    served: Served,
    exchanges: Vec<Value>,
    left: Vec<String>,
    /// Texts of the recording and what they are here.
    renamed: Vec<(String, String)>,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

fn started(variants: &[&str]) -> Replay {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/authentik/fake.toml");
    let source = Source::new("fake.toml", std::fs::read_to_string(path).unwrap());
    let fake = Fake::parse(&source)
        .unwrap_or_else(|diags| panic!("{}", diag::render(&source, &diags, false, None)));
    let variants: Vec<String> = variants.iter().map(ToString::to_string).collect();
    let state = fake.state(&variants).unwrap();
    let exchanges: Vec<Value> = serde_json::from_str(include_str!("data/exchanges.json")).unwrap();
    let left = exchanges.iter().map(|exchange| name(exchange).to_owned()).collect();
    Replay { served: serve(fake, &state, 0).unwrap(), exchanges, left, renamed: Vec::new() }
}

fn name(exchange: &Value) -> &str {
    exchange["name"].as_str().unwrap()
}

impl Replay {
    fn ask(&self, method: &str, target: &str, headers: &[&str], body: &Value) -> Answer {
        let mut stream = TcpStream::connect(self.served.address()).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = headers.iter().flat_map(|header| [header, "\r\n"]).collect::<String>();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: auth.example.test\r\nX-Forwarded-Proto: https\r\n\
             Connection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers =
            headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Answer { status, headers, body: body.to_owned() }
    }

    /// A request of the test's own, as the administrator.
    fn send(&self, method: &str, target: &str, body: &Value) -> Value {
        let headers = ["Authorization: Bearer TOKEN", "Content-Type: application/json"];
        let answer = self.ask(method, target, &headers, body);
        assert!((200..300).contains(&answer.status), "{method} {target}: {}", answer.body);
        answer.json()
    }

    fn provider(&self, name: &str, changes: &Value) -> Value {
        let mut body = json!({ "name": name, "authorization_flow": FLOW, "invalidation_flow": END_FLOW,
            "client_type": "confidential", "signing_key": "5152b00c-68c9-4246-903f-ea2d6c868eb9",
            "redirect_uris": [{ "matching_mode": "strict", "url": "https://demo.example.com/oauth2/callback" }],
            "property_mappings": [
                "50483a13-afbf-43a9-949c-449a6e9e81c5", "570017c2-f356-4489-ad76-41c6befa0d5b",
                "59c5b58a-c664-4450-a86e-d917d4fc810f", "c67c346a-c0cc-4b8e-9474-bd5f4a1d97bb",
            ] });
        for (key, change) in changes.as_object().unwrap() {
            body[key] = change.clone();
        }
        self.send("POST", PROVIDERS, &body)
    }

    /// Replays a recorded exchange and compares. `generated` names what else differs.
    fn replay(&mut self, wanted: &str, generated: &[&str]) {
        let place = self.left.iter().position(|left| left == wanted);
        self.left.remove(place.unwrap_or_else(|| panic!("{wanted} is not left")));
        let exchange = self.exchanges.iter().find(|exchange| name(exchange) == wanted).unwrap();
        let (request, expected) = (&exchange["request"], &exchange["response"]);
        let url = self.here(request["url"].as_str().unwrap());
        let target = url.strip_prefix("https://auth.example.test").unwrap();
        let headers = request["headers"].as_array().unwrap();
        let headers: Vec<&str> = headers.iter().map(|header| header.as_str().unwrap()).collect();
        let answer =
            self.ask(request["method"].as_str().unwrap(), target, &headers, &request["body"]);
        assert_eq!(json!(answer.status), expected["status"], "{wanted}: {}", answer.body);
        for name in ["content-type", "location"] {
            let expected = expected["headers"][name].as_str().map(|value| self.here(value));
            assert_eq!(answer.header(name), expected.as_deref(), "{wanted}: {name}");
        }
        match &expected["body"] {
            Value::String(text) if text.contains("<!DOCTYPE html>") => {
                assert!(answer.body.trim_start().starts_with("<!DOCTYPE html>"), "{wanted}");
            }
            Value::String(text) => assert_eq!(&answer.body, text, "{wanted}"),
            body => same(wanted, body, &answer.json(), generated),
        }
    }

    fn here(&self, text: &str) -> String {
        self.renamed.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }
}

/// Same keys, same types, same scalars but for what is made up.
fn same(place: &str, expected: &Value, found: &Value, generated: &[&str]) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let keys = |object: &serde_json::Map<String, Value>| {
                object.keys().cloned().collect::<std::collections::BTreeSet<_>>()
            };
            assert_eq!(keys(expected), keys(found), "{place}");
            for (key, expected) in expected {
                let place = format!("{place}.{key}");
                if MADE_UP.contains(&key.as_str()) || generated.contains(&key.as_str()) {
                    assert_eq!(expected.is_string(), found[key].is_string(), "{place}");
                } else {
                    same(&place, expected, &found[key], generated);
                }
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            assert_eq!(expected.len(), found.len(), "{place}: {found:?}");
            for (number, (expected, found)) in expected.iter().zip(found).enumerate() {
                same(&format!("{place}[{number}]"), expected, found, generated);
            }
        }
        _ => assert_eq!(expected, found, "{place}"),
    }
}

#[test]
fn the_fake_answers_as_the_recorded_server_did() {
    let mut fresh = started(&["recorded", "no_defaults"]);
    fresh.replay("00-before-blueprints-flow", &[]);

    let mut replay = started(&["recorded"]);
    replay.left.retain(|left| left != "00-before-blueprints-flow");
    for name in [
        "00-version",
        "02-flow-authorization",
        "02b-flow-invalidation",
        "03-scopes",
        "04-cert",
        "05a-provider-seed-body-missing-invalidation_flow",
        "05b-provider-create",
    ] {
        replay.replay(name, &[]);
    }
    // an application's `pk` is made up, a provider's is counted
    replay.replay("06-application-create", &["pk"]);
    for name in ["07-discovery", "08-jwks", "09a-provider-search"] {
        replay.replay(name, &[]);
    }
    replay.replay("09b-application-get", &["pk"]);
    replay.replay("09c-provider-name-filter", &[]);
    // recorded between two changes of the provider
    let validity = |hours| json!({ "access_token_validity": hours });
    replay.send("PATCH", "/api/v3/providers/oauth2/1/", &validity("hours=2"));
    replay.replay("09d-provider-get", &[]);
    replay.send("PATCH", "/api/v3/providers/oauth2/1/", &validity("hours=1"));
    refusals(&mut replay);
    lists(&mut replay);
    logins(&mut replay);
    no_key(&mut replay);
    let asked = json!({ "user": "akadmin", "identifier": "runbook-api" }).to_string();
    let argv = ["docker", "exec", "-i", "authentik-server", "ak", "shell"];
    replay.send("POST", COMMANDS, &json!({ "argv": argv, "stdin": asked }));
    replay.replay("40-token-view_key", &[]);
    replay.replay("41-limited-provider-create", &[]);
    replay.replay("44-health-ready", &[]);
    for name in [
        "10a-app-delete",
        "10c-provider-delete",
        "10d-provider-delete-again",
        "10e-discovery-after",
    ] {
        replay.replay(name, &[]);
    }
    assert_eq!(replay.left, Vec::<String>::new(), "not replayed");
}

fn refusals(replay: &mut Replay) {
    for name in [
        "20-provider-bad-cert-unknown",
        "20-provider-bad-client-type",
        "20-provider-bad-flow-not-uuid",
        "20-provider-bad-flow-unknown-uuid",
        "20-provider-bad-scope-unknown-uuid",
        "20-provider-bad-validity",
        "20-provider-duplicate-name",
        "20-provider-missing-many",
        "22-app-bad-slug",
        "22-app-duplicate-slug",
        "22-app-provider-in-use",
        "22-app-reserved-slug",
        "22-app-unknown-slug",
        "23-auth-missing",
        "23-auth-wrong-token",
        "24-discovery-unknown-slug",
        "25-filter-name-none",
        "25-flow-slug-none",
        "25-page-beyond",
    ] {
        replay.replay(name, &[]);
    }
}

/// The lists were recorded when nine providers were there.
fn lists(replay: &mut Replay) {
    replay.provider("err-redirect-uris-empty", &json!({ "redirect_uris": [] }));
    let bad = json!({ "redirect_uris": [{ "matching_mode": "strict", "url": "no url at all" }] });
    replay.provider("err-redirect-uris-not-a-url", &bad);
    replay.replay("20-provider-public", &[]);
    replay.provider(
        "err-own-secret",
        &json!({ "client_id": "own-id", "client_secret": "own-secret" }),
    );
    replay.replay("20-provider-grant-types", &[]);
    replay.provider("err-unknown-field", &json!({ "nosuchfield": 1 }));
    replay
        .provider("err-no-scopes-no-key", &json!({ "property_mappings": [], "signing_key": null }));
    replay.provider("err-flow-wrong-designation", &json!({ "authorization_flow": END_FLOW }));
    replay.send(
        "POST",
        APPLICATIONS,
        &json!({ "name": "Demo App 4s", "slug": "demo-app-4s", "provider": 2 }),
    );
    replay.replay("25-filter-unknown-param", &[]);
    replay.replay("25-page-size-1", &[]);
}

/// The recorded `client_id` is the one that the recorded server made up.
fn logins(replay: &mut Replay) {
    let provider = replay.send("GET", "/api/v3/providers/oauth2/1/", &Value::Null);
    let id = provider["client_id"].as_str().unwrap();
    assert!(
        id.chars().collect::<std::collections::BTreeSet<_>>().len() > 15,
        "like a random one: {id}"
    );
    replay.renamed.push(("AFHEutQTh1OU8IjTmIAmmtTtHBdnssug1aa8N7sI".to_owned(), id.to_owned()));
    replay.replay("30-authorize-empty-grant_types", &[]);
    replay.send(
        "PATCH",
        "/api/v3/providers/oauth2/1/",
        &json!({ "grant_types": ["authorization_code"] }),
    );
    replay.replay("31-authorize-with-grant_types", &[]);
    replay.replay("31-authorize-bad-redirect", &[]);
}

/// An application whose provider has no key, and then no provider.
fn no_key(replay: &mut Replay) {
    let openid = json!({ "signing_key": null, "property_mappings": ["50483a13-afbf-43a9-949c-449a6e9e81c5"] });
    let pk = replay.provider("nokey", &openid)["pk"].clone();
    replay.send("POST", APPLICATIONS, &json!({ "name": "nokey", "slug": "nokey", "provider": pk }));
    replay.replay("32-jwks-no-signing-key", &[]);
    replay.replay("32-discovery-no-signing-key", &[]);
    replay.send("DELETE", &format!("{PROVIDERS}{pk}/"), &Value::Null);
    replay.replay("10g-app-after-provider-delete", &["pk"]);
}

#[test]
fn what_was_not_recorded_follows_the_facts() {
    let replay = started(&["recorded"]);
    let get =
        |target: &str| replay.ask("GET", target, &["Authorization: Bearer TOKEN"], &Value::Null);
    assert_eq!(get("/api/v3/flows/instances/?slug=").json()["pagination"]["count"], json!(5));
    assert_eq!(get("/api/v3/policies/bindings/?target=x").json()["results"], json!([]));
    assert_eq!(get("/api/v3/core/users/me/").json()["user"]["username"], json!("akadmin"));
    let scopes =
        |query: &str| get(&format!("/api/v3/propertymappings/provider/scope/?{query}")).json();
    assert_eq!(
        scopes("ordering=-scope_name&page_size=2&page=2")["results"][0]["scope_name"],
        json!("offline_access")
    );
    assert_eq!(
        scopes("page_size=2&page=2")["pagination"],
        json!({ "next": 3, "previous": 1, "count": 7,
        "current": 2, "total_pages": 4, "start_index": 3, "end_index": 4 })
    );
    for (target, status) in [
        ("/nothing/", 404),
        ("/api/v3/core/users/me", 404),
        ("/api/v3/flows/instances/?page=x", 404),
    ] {
        assert_eq!(get(target).status, status, "{target}");
    }
    assert!(get("/api/v3/providers/oauth2").body.contains("<!DOCTYPE html>"));
    let slashless = replay.ask(
        "POST",
        "/api/v3/providers/oauth2",
        &["Authorization: Bearer TOKEN"],
        &json!({}),
    );
    assert_eq!((slashless.status, slashless.body.as_str()), (405, ""));
}

#[test]
fn a_clients_credentials_can_be_tried() {
    let replay = started(&["recorded", "broken_login"]);
    let provider = replay.provider("own", &json!({ "client_id": "id", "client_secret": "s+1", "grant_types": ["authorization_code"] }));
    assert_eq!(provider["grant_types"], json!([]), "a broken login is what was asked for");
    let form = |id: &str| {
        let mut stream = TcpStream::connect(replay.served.address()).unwrap();
        let body =
            format!("grant_type=authorization_code&code=x&client_id={id}&client_secret=s%2B1");
        let head = "POST /application/o/token/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded";
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    assert!(form("id").contains(r#""error":"invalid_grant""#), "{}", form("id"));
    assert!(form("no").contains(r#""error":"invalid_client""#));
    let body = json!({ "name": "n", "authorization_flow": FLOW, "invalidation_flow": END_FLOW, "redirect_uris": [], "grant_types": [] });
    let refused = replay.ask("POST", PROVIDERS, &["Authorization: Bearer TOKEN"], &body);
    assert_eq!(refused.json(), json!({ "grant_types": ["This list may not be empty."] }));
}
