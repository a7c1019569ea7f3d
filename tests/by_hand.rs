//! What `show` types is what the program sends: both are run against one server, and their calls
//! compared. Where there is no `curl` or no `jq` each test says so and passes.

use std::os::unix::fs::PermissionsExt as _;

use url::form_urlencoded::parse;

use crate::support::env::{Env, Output};
use crate::support::program;
use crate::support::server::{Request, Server};
use crate::support::stand::say;

const ROUTES: &str = "[[routes]]\nmethod = 'POST'\npath = '/from'\nstatus = 303\nheaders = { location = '/to' }\n\
     [[routes]]\npath = '/file'\nbody = 'kept'\n\
     [[routes]]\npath = '/data'\nbody = '''{\"d\": {\"a\": [1, 2]}, \"t\": \"it's \\\"so\\\"\", \"n\": 5, \"no\": null, \"ok\": false}'''\n\
     headers = { content-type = 'application/json' }\n\
     [[routes]]\npath = '/*'\n[[routes]]\nmethod = 'POST'\npath = '/*'\n[[routes]]\nmethod = 'PUT'\npath = '/*'\n";

/// Holds what means something in a URL, in JSON and to a shell.
const WHO: &str = "a b&c=d\"e'$f+g";

fn missing() -> bool {
    let missing = ["bash", "curl", "jq"].into_iter().find(|name| program(name).is_none());
    if let Some(name) = missing {
        say(&format!("skipped: no {name}"));
    }
    missing.is_some()
}

fn book(env: &Env, server: &Server, step: &str) {
    let text = format!(
        "format = 1\nname = 'book'\n[inputs.who]\n[inputs.names]\ntype = 'list'\n[connections.api]\nbase = '{}'\n\
         [[steps]]\nid = 'call'\n{step}\n",
        server.url()
    );
    std::fs::write(env.path("book.toml"), text).unwrap();
}

fn run(env: &Env) -> Output {
    let who = format!("who={WHO}");
    env.run(&["run", "book.toml", "--trust", "--input", &who, "--input", "names=[\"x y\",\"z\"]"])
}

/// Types what is shown.
fn typed(env: &Env) -> String {
    let shown = env.run(&["show", "book.toml", "--curl", "call"]);
    assert_eq!(shown.code, Some(0), "{shown:#?}");
    let mut bash = env.any("bash");
    bash.args(["-c", &shown.stdout]).env("WHO", WHO).env("NAMES", r#"["x y","z"]"#);
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{}\n{output:?}", shown.stdout);
    shown.stdout
}

/// What of a call counts: how often a blank is a plus does not.
fn meant(request: &Request) -> (String, String, Vec<(String, String)>, Vec<String>, String) {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let query = parse(query.as_bytes()).into_owned().collect();
    let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
    // `curl` says it again where a redirect leads, though nothing is sent there
    let kind = if request.body.is_empty() { String::new() } else { header("content-type") };
    if let Some((kind, boundary)) = kind.split_once("; boundary=") {
        let parts = request.body.split(&format!("--{boundary}")).map(part).collect::<String>();
        return (request.method.clone(), path.to_owned(), query, vec![kind.to_owned()], parts);
    }
    let body = match serde_json::from_str::<serde_json::Value>(&request.body) {
        Ok(json) if kind == "application/json" => json.to_string(),
        _ if kind.contains("urlencoded") => {
            format!("{:?}", parse(request.body.as_bytes()).collect::<Vec<_>>())
        }
        _ => request.body.clone(),
    };
    (request.method.clone(), path.to_owned(), query, vec![kind, header("x-list")], body)
}

/// The program runs a runbook's text, and a shell what is shown of its steps, both with the same
/// inputs and with the server's address for `URL`. What they called is compared; what is shown is
/// given back.
fn same(text: &str, given: &[(&str, &str)]) -> String {
    let (env, server) = (Env::new(), Server::start(ROUTES));
    let placed = |text: &str| text.replace("URL", server.url().trim_end_matches('/'));
    let text = placed(text);
    std::fs::write(env.path("book.toml"), format!("format = 1\nname = 'book'\n{text}")).unwrap();
    let given: Vec<_> = given.iter().map(|(name, value)| (name, placed(value))).collect();
    let pairs: Vec<String> = given.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut args = vec!["run", "book.toml", "--trust"];
    args.extend(pairs.iter().flat_map(|pair| ["--input", pair]));
    let output = env.run(&args);
    assert_eq!(output.code, Some(0), "{text}\n{output:#?}");
    let sent = server.requests().len();
    let ids = text.lines().filter_map(|line| line.strip_prefix("id = '"));
    let mut all = String::new();
    for id in ids.map(|id| id.trim_end_matches('\'')) {
        let shown = env.run(&["show", "book.toml", "--curl", id]);
        assert_eq!(shown.code, Some(0), "{shown:#?}");
        all += &shown.stdout;
    }
    let mut bash = env.any("bash");
    bash.args(["-ec", &all]);
    bash.envs(given.iter().map(|(name, value)| (name.to_uppercase(), value)));
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{all}\n{output:?}");
    let calls: Vec<_> = server.requests().iter().map(meant).collect();
    assert!(sent > 0, "{text}");
    assert_eq!(calls[sent..], calls[..sent], "{text}\n{all}");
    all
}

/// A part of a form: in which order its headers stand and how they are spelled means nothing.
fn part(part: &str) -> String {
    let (head, content) = part.split_once("\r\n\r\n").unwrap_or(("", part));
    let mut head: Vec<String> = head.lines().map(str::to_lowercase).collect();
    head.sort();
    format!("{head:?} {content:?}\n")
}

#[test]
fn a_base_may_end_with_a_slash_or_not() {
    if missing() {
        return;
    }
    for end in ["", "/"] {
        for base in ["{{ zone }}", "{{ zone }}/", "{{ zone }}v1/", "URL/{{ part }}"] {
            let text = format!(
                "[inputs.zone]\n[inputs.part]\n[connections.api]\nbase = '{base}'\n\
                 [[steps]]\nid = 'call'\nhttp = {{ on = 'api', url = '/x/' }}\n"
            );
            same(&text, &[("zone", &format!("URL/api{end}")), ("part", &format!("a/b{end}"))]);
        }
    }
}

#[test]
fn what_is_kept_is_read_again_as_it_was() {
    if missing() {
        return;
    }
    let text = "[inputs.file]\n[connections.api]\nbase = 'URL'\n\
                [[steps]]\nid = 'a'\njq = '$file | ascii_upcase'\n\
                [[steps]]\nid = 'get'\nhttp = { on = 'api', url = 'data' }\n\
                save.d = '.d'\nsave.t = '.t'\nsave.n = '.n'\nsave.no = '.no'\nsave.ok = '.ok'\n\
                [[steps]]\nid = 'parts'\njq = '{x: $file, y: \"z\"}'\nsave.x = '.x'\nsave.y = '.y'\nsave.both = '.'\n\
                [[steps]]\nid = 'count'\njq = '$d.a | length'\n\
                [[steps]]\nid = 'all'\njq = '[$t, $n + 1, $no, $ok, $d, $both]'\n\
                [[steps]]\nid = 'send'\nhttp = { on = 'api', method = 'POST', url = 'x/{{ count }}', \
                headers = { x-list = '{{ x }}{{ t }}{{ n }}' }, json = { a = '{{ a }}', d = '{{ d }}', \
                da = '{{ d.a }}', count = '{{ count }}', all = '{{ all }}', y = 'y {{ y }} {{ n }}' } }\n";
    same(text, &[("file", "it's \"here\"")]);
}

#[test]
fn what_is_typed_is_what_is_sent() {
    if missing() {
        return;
    }
    for step in [
        // pairs with a body beside them, and lists
        "http = { on = 'api', method = 'POST', url = 'form', query = { q = '{{ who }}' }, form = { name = '{{ who }}' } }",
        "http = { on = 'api', method = 'POST', url = 'form', query = { q = ['{{ who }}', 'x&y'], n = '{{ names }}' }, form = { name = '{{ names }}', 'a@b[]' = ['1', '{{ who }}'] } }",
        "http = { on = 'api', method = 'PUT', url = 'json', query = { q = '{{ who }}' }, json = { a = '{{ who }}', n = '{{ names }}' } }",
        "http = { on = 'api', method = 'POST', url = 'text', query = { q = '{{ who }}' }, text = 'says {{ who }}' }",
        "http = { on = 'api', url = 'list', query = { t = ['a', 'b c', 3], 'f[x]' = true } }",
        "http = { on = 'api', url = 'list', query = { n = '{{ names }}', q = '{{ who }}' } }",
        "http = { on = 'api', url = 'get', json = { a = 1 } }",
        // a list in a header is its JSON
        "http = { on = 'api', url = 'head', headers = { x-list = ['a', '{{ names }}', { b = 1 }] } }",
        "http = { on = 'api', url = 'head', headers = { x-list = { 'a' = ['{{ who }}', 1], b = 'so {{ who }}', n = '{{ names }}' } } }",
        // texts in tables are filled in as JSON
        "http = { on = 'api', method = 'POST', url = 'form', query = { q = { k = '{{ who }}' } }, form = { m = { k = '{{ who }}' }, l = [['x{{ who }}']] } }",
        // no pairs are a form too
        "http = { on = 'api', method = 'POST', url = 'form', form = {} }",
        "http = { on = 'api', method = 'POST', url = 'from', redirects = 3, form = {} }",
        // a redirect that asks for what was made
        "http = { on = 'api', method = 'POST', url = 'from', redirects = 3, json = { a = 1 } }",
        "http = { on = 'api', method = 'POST', url = 'from', redirects = 3 }",
        "http = { on = 'api', method = 'POST', url = 'from', redirects = 3, query = { q = '{{ who }}' } }",
        "http = { on = 'api', method = 'POST', url = 'from', redirects = 3, form = { q = '{{ names }}' } }",
    ] {
        let (env, server) = (Env::new(), Server::start(ROUTES));
        book(&env, &server, step);
        let output = run(&env);
        assert_eq!(output.code, Some(0), "{step}\n{output:#?}");
        let sent = server.requests().len();
        let shown = typed(&env);
        let all: Vec<_> = server.requests().iter().map(meant).collect();
        assert!(sent > 0, "{step}");
        assert_eq!(all[sent..], all[..sent], "{step}\n{shown}");
    }
}

#[test]
fn a_part_with_a_type_is_sent_as_it_is() {
    if missing() {
        return;
    }
    for value in ["@/etc/hostname", "<x", "a;type=text/html", "\"a\\\\\"b\\n", "$x `y` 'z'", ""] {
        let text = format!(
            "[inputs.text]\ndefault = ''\n[connections.api]\nbase = 'URL'\n[[steps]]\nid = 'call'\n[steps.http]\non = 'api'\n\
             method = 'POST'\nurl = 'x'\nmultipart = [{{ name = 'a', text = '{{{{ text }}}}', type = 'text/x' }}, \
             {{ name = 'b', text = {}, type = 'text/y' }}, {{ name = 'c', text = '{{{{ text }}}}' }}, \
             {{ name = 'd', text = \"{{{{ text }}}}\\n\\n\", type = 'text/x' }}]\n",
            serde_json::json!(value),
        );
        same(&text, &[("text", value)]);
    }
}

/// What `ssh` is given as a command a shell reads there, as one does here.
#[test]
fn a_secret_of_several_lines_arrives_on_another_host() {
    if missing() {
        return;
    }
    let env = Env::new();
    let text = "format = 1\nname = 'book'\n[inputs.key]\nsecret = true\n[inputs.to]\n[[steps]]\nid = 'a'\n\
                command = { run = ['sh', '-c', 'printf %s \"$1[$KEY]\"', 'sh', '{{ to }}'], ssh = '{{ to }}', \
                env = { KEY = '{{ key }}' } }\nsave.said = '.'\n";
    std::fs::write(env.path("book.toml"), text).unwrap();
    let shown = env.run(&["show", "book.toml", "--curl", "a"]);
    assert_eq!(shown.code, Some(0), "{shown:#?}");
    let there = format!("ssh() {{ sh -c \"$2\"; }}\n{}printf %s \"$SAID\"", shown.stdout);
    // and what is said of no host at all holds
    let here = there.replace("ssh \"ssh://$TO\"", "sh -c");
    assert_ne!(there, here);
    for typed in [there, here] {
        let mut bash = env.any("bash");
        bash.args(["-ec", &typed])
            .envs([("KEY", "-- a '$b' `c`\n\"two\"\n\nfour"), ("TO", "me@box")]);
        let output = bash.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, "me@box[-- a '$b' `c`\n\"two\"\n\nfour]", "{typed}\n{output:?}");
    }
}

#[test]
fn a_file_that_is_fetched_is_readable_by_nobody_else_from_the_beginning() {
    if missing() {
        return;
    }
    for (mode, save) in [
        ("", ""),
        ("", "save.s = '$response.status'"),
        ("mode = '0640', ", ""),
        ("mode = '0755', ", ""),
    ] {
        let (env, server) = (Env::new(), Server::start(ROUTES));
        let step =
            format!("http = {{ on = 'api', url = 'file', {mode}into = 'kept file' }}\n{save}");
        book(&env, &server, &step);
        let file = env.path("kept file");
        let looks = || {
            let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            (mode, std::fs::read_to_string(&file).unwrap())
        };
        let output = run(&env);
        assert_eq!(output.code, Some(0), "{output:#?}");
        let wanted = looks();
        std::fs::remove_file(&file).unwrap();
        let shown = typed(&env);
        assert_eq!(looks(), wanted, "{shown}");
        assert!(shown.contains("(umask 077; "), "{shown}");
    }
}
