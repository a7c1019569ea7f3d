//! Services and commands behind another host, through a real `sshd` on loopback.
//!
//! Where there is no `sshd` each test says so and passes.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use runbook::fake::{Fake, serve};
use runbook::source::Source;
use serde_json::Value;

use crate::support::env::{Env, Output, Running};
use crate::support::free_port;
use crate::support::server::{Fault, Server};
use crate::support::sshd::{Sshd, say};

/// Runs a file of these steps; `{ssh}` and `{url}` stand for the ways there.
fn run(env: &Env, steps: &str, ssh: &str, url: &str) -> Output {
    let book = format!(
        "format = 1\nname = \"book\"\ntitle = \"Book\"\n[connections.api]\nbase = \"{url}\"\nssh = '{ssh}'\n{}",
        steps.replace("{ssh}", ssh)
    );
    fs::write(env.path("book.toml"), book).unwrap();
    env.run(&["run", "--trust", "book.toml", "--output", "jsonl"])
}

fn events(output: &Output) -> Vec<Value> {
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The values a run saved, and how it ended.
fn saved(output: &Output) -> String {
    let done = events(output).into_iter().filter(|event| !event["saved"].is_null());
    let saved: String = done.map(|event| event["saved"].to_string()).collect();
    format!("{saved} {:?}", output.code)
}

/// What a run failed with, everything in one text.
fn failure(output: &Output) -> String {
    let failed = events(output).into_iter().find(|event| event["event"] == "failed");
    let failed = failed.unwrap_or_else(|| panic!("nothing failed: {output:?}"));
    assert!(!output.stdout.contains("\"event\":\"doubt\""), "there is doubt: {output:?}");
    failed.to_string()
}

const GET: &str = "[[steps]]\nid = 'get'\nhttp = { on = 'api', url = 'thing' }\nsave.got = '.n'\n";
const POST: &str = "[[steps]]\nid = 'post'\nhttp = { on = 'api', method = 'POST', url = 'thing', json = { a = 1 } }\n";
const ROUTES: &str = "[[routes]]\npath = '/thing'\nbody = { n = 7 }\n\
     [[routes]]\nmethod = 'POST'\npath = '/thing'\nbody = { n = 8 }\n";

#[test]
fn calls_through_a_host_are_the_same_calls() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let server = Server::start_at("127.0.0.2", ROUTES);
    let steps = format!("{GET}{POST}");
    let direct = run(&env, &steps, "", &server.url());
    let through = run(&env, &steps, &sshd.destination(), &server.url());
    assert_eq!(saved(&through), saved(&direct));
    assert_eq!(through.code, Some(0), "{through:?}");
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[..2], requests[2..], "the host header among them");
    assert_eq!(sshd.sessions(), 1);
}

#[test]
fn one_session_serves_all_calls_and_commands_and_is_gone_afterwards() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let (one, two) = (Server::start(ROUTES), Server::start(ROUTES));
    let mut steps = format!("[connections.two]\nbase = '{}'\nssh = '{{ssh}}'\n", two.url());
    for n in 0..20 {
        let on = if n % 2 == 0 { "api" } else { "two" };
        let _ = write!(steps, "[[steps]]\nid = 's{n}'\nhttp = {{ on = '{on}', url = 'thing' }}\n");
    }
    steps.push_str("[[steps]]\nid = 'c'\ncommand = { run = ['true'], ssh = '{ssh}' }\n");
    let output = run(&env, &steps, &sshd.destination(), &one.url());
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(one.requests().len() + two.requests().len(), 20);
    assert_eq!(sshd.sessions(), 1);
    sshd.wait_for_end();
}

#[test]
fn nothing_stays_behind_when_the_program_is_killed() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let folder = env.path("tmp");
    fs::create_dir(&folder).unwrap();
    env.set("TMPDIR", folder.to_str().unwrap());
    let server = Server::start(ROUTES);
    server.fault_at(1, Fault::Hold);
    let book = format!(
        "format = 1\nname = \"book\"\ntitle = \"Book\"\n[connections.api]\nbase = \"{}\"\nssh = '{}'\n{GET}",
        server.url(),
        sshd.destination()
    );
    fs::write(env.path("book.toml"), book).unwrap();
    let running = env.start(&["run", "--trust", "book.toml"]);
    server.wait_for(1);
    let kept: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let mode = |path: &std::path::Path| {
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
    };
    assert_eq!(mode(&kept[0]), 0o700);
    assert_eq!(mode(&kept[0].join("f0")), 0o600);
    let _ = running.kill();
    sshd.wait_for_end();
    // The folder goes last, once the `ssh` that used it has ended.
    let mut gone = env.any("sh");
    gone.args(["-c", "while [ -e \"$0\" ]; do sleep 0.05; done"]).arg(&kept[0]);
    assert_eq!(Running::start(gone, "").finish().code, Some(0));
}

#[test]
fn a_command_gets_its_arguments_input_and_variables_exactly() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let steps = r#"[[steps]]
id = "c"
[steps.command]
run = ["sh", "-c", '''printf '%s\n' "$#" "$@" "$V" "$(pwd)"; cat; echo oops >&2; exit 3''', "x", "a b", "", "it's \"q\"", "$(id) `id` $HOME", "l1\nl2", '\n \\', "*", "-n", "ü"]
env = { V = "a 'b'\n\\c $d" }
stdin = "in\nput"
cwd = "/"
accept = [3]
ssh = "{ssh}"
[steps.save]
out = "."
status = "$response.status"
err = "$response.stderr"
"#;
    let here = run(&env, steps, "", "http://x");
    let there = run(&env, steps, &sshd.destination(), "http://x");
    assert_eq!(there.code, Some(0), "{there:?}");
    assert_eq!(saved(&there), saved(&here));
    assert!(saved(&there).contains(r#""status":3"#), "{there:?}");
    let calls = sshd.calls().join("\n");
    assert!(
        calls.contains("exec sh -c") && !calls.contains("$d"),
        "variables are not arguments: {calls}"
    );
}

#[test]
fn a_command_that_fails_there_fails_here() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let fails = |run_: &str| {
        let steps = format!(
            "[[steps]]\nid = 'c'\neffect = 'repeatable'\ncommand = {{ run = {run_}, ssh = '{{ssh}}' }}\n"
        );
        failure(&run(&env, &steps, &sshd.destination(), "http://x"))
    };
    assert!(fails("['sh', '-c', 'echo why >&2; exit 4']").contains("ended with exit status 4"));
    assert!(fails("['no-such-program']").contains("exit status 127"));
    let killed = fails("['sh', '-c', 'kill -9 $$']");
    assert!(killed.contains("255, or a signal ended it"), "{killed}");
}

#[test]
fn more_commands_at_once_than_a_host_takes_wait_or_were_certainly_not_run() {
    let steps = "[[steps]]\nid = 'c'\nfor_each = 'range(16)'\nat_once = 16\n\
         command = { run = ['sleep', '0.3'], ssh = '{ssh}' }\n";
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let output = run(&env, steps, &sshd.destination(), "http://x");
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(sshd.sessions(), 1);
    let mut env = Env::new();
    let Some(sshd) = Sshd::with(&mut env, "MaxSessions 2") else { return };
    // also where a program may end with ssh's own status
    for steps in [steps, &steps.replace("ssh =", "accept = [0, 255], ssh =")] {
        let output = run(&env, steps, &sshd.destination(), "http://x");
        assert_eq!(output.code, Some(1), "{output:?}");
        let failed = failure(&output);
        assert!(failed.contains("takes no more commands at once: nothing was run"), "{failed}");
        assert!(failed.contains("MaxSessions"), "{failed}");
    }
}

#[test]
fn what_is_wrong_with_the_way_is_told_apart() {
    let mut env = Env::new();
    let Some(mut sshd) = Sshd::start(&mut env) else { return };
    let server = Server::start(ROUTES);
    let fails = |env: &Env, ssh: &str, url: &str| {
        // A change: none of these may leave it in doubt.
        let output = run(env, POST, ssh, url);
        assert_eq!(output.code, Some(1), "{output:?}");
        failure(&output)
    };
    let says = |text: &str, parts: &[&str]| {
        for part in parts {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
    };
    let (there, url) = (sshd.destination(), server.url());
    says(
        &fails(&env, "me@no-such-host.invalid", &url),
        &["there is no ssh host of the name `no-such-host.invalid`", "check the name"],
    );
    says(
        &fails(&env, &format!("me@127.0.0.1:{}", free_port()), &url),
        &["cannot be reached", "see whether the host is up"],
    );
    let closed = format!("http://127.0.0.1:{}", free_port());
    says(
        &fails(&env, &there, &closed),
        &[&closed["http://".len()..], "connection refused", "see whether the service listens"],
    );
    says(
        &fails(&env, &there, "http://no-such-host.invalid:1"),
        &["cannot be reached from", "not known"],
    );
    sshd.write("known", "");
    says(&fails(&env, &there, &url), &["is not known", "once", "compare the fingerprint"]);
    sshd.key("other");
    sshd.know(&sshd.path("other.pub"));
    says(&fails(&env, &there, &url), &["has changed", "ssh-keygen -R '[127.0.0.1]:"]);
    sshd.know(&sshd.path("host.pub"));
    sshd.write("authorized", "");
    says(&fails(&env, &there, &url), &["does not let us in", "ssh-add"]);
    sshd.stop();
    says(&fails(&env, &there, &url), &["cannot be reached"]);
    // one that is written out is refused by `check`
    says(&fails(&env, "{{ \"-oProxyCommand=x\" }}", &url), &["is no ssh host"]);
    // Everything but ssh.
    fs::create_dir(env.path("empty")).unwrap();
    std::os::unix::fs::symlink("/bin/sh", env.path("empty/sh")).unwrap();
    let path = env.path("empty").to_str().unwrap().to_owned();
    env.set("PATH", &path);
    says(&fails(&env, &there, &url), &["there is no `ssh` on this machine", "install"]);
    assert_eq!(server.requests(), []);
}

/// A run keeps its inputs: to mend the file, or to resume, would fail the same way.
#[test]
fn a_host_that_an_input_gave_names_the_input() {
    let mut env = Env::new();
    let Some(_sshd) = Sshd::start(&mut env) else { return };
    let head = "format = 1\nname = \"book\"\n[inputs.user]\n[inputs.host]\n[inputs.other]\n\
        default = \"a\"\n[vars]\nto = \"{{ user }}@{{ host }}\"\n";
    let connection = format!(
        "[connections.api]\nbase = \"http://127.0.0.1:{}/\"\nssh = \"{{{{ to }}}}\"\n",
        free_port()
    );
    let command = "[[steps]]\nid = \"a\"\ncommand = { run = [\"true\"], ssh = \"{{ to }}\" }\n";
    let call = "[[steps]]\nid = \"a\"\nhttp = { on = \"api\", url = \"{{ other }}\" }\n";
    for text in [format!("{head}{command}"), format!("{head}{connection}{call}")] {
        fs::write(env.path("book.toml"), text).unwrap();
        let host = "host=no-such-host.invalid";
        let out = env.run(&["run", "--trust", "book.toml", "-i", "user=me", "-i", host]);
        assert_eq!(out.code, Some(1), "{}", out.stderr);
        let hint = "if one of `user`, `host` is wrong, begin anew with `runbook run book.toml`";
        assert!(out.stderr.contains(hint), "{}", out.stderr);
    }
}

#[test]
fn a_host_that_allows_no_forwarding_says_so() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::with(&mut env, "AllowTcpForwarding no") else { return };
    let server = Server::start(ROUTES);
    let failed = failure(&run(&env, POST, &sshd.destination(), &server.url()));
    assert!(failed.contains("prohibited") && failed.contains("AllowTcpForwarding"), "{failed}");
}

#[test]
fn a_session_that_breaks_after_the_request_leaves_it_in_doubt() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let server = Server::start(ROUTES);
    server.fault_at(1, Fault::Hold);
    let book = format!(
        "format = 1\nname = \"book\"\ntitle = \"Book\"\n[connections.api]\nbase = \"{}\"\nssh = '{}'\n{POST}",
        server.url(),
        sshd.destination()
    );
    fs::write(env.path("book.toml"), book).unwrap();
    let running = env.start(&["run", "--trust", "book.toml"]);
    server.wait_for(1);
    sshd.cut();
    let output = running.finish();
    assert_eq!(output.code, Some(5), "{output:?}");
}

#[test]
fn a_session_that_breaks_between_calls_is_opened_again() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let server = Server::start(ROUTES);
    server.fault_at(1, Fault::Hold);
    let book = format!(
        "format = 1\nname = \"book\"\ntitle = \"Book\"\n[connections.api]\nbase = \"{}\"\nssh = '{}'\n\
         retry = {{ times = 3, backoff = '10ms' }}\n{GET}{POST}",
        server.url(),
        sshd.destination()
    );
    fs::write(env.path("book.toml"), book).unwrap();
    let running = env.start(&["run", "--trust", "book.toml"]);
    server.wait_for(1);
    sshd.cut();
    let output = running.finish();
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(sshd.sessions(), 2);
}

#[test]
fn the_persons_own_forwards_are_not_made() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let taken = Server::start(ROUTES);
    let config = fs::read_to_string(sshd.path("config")).unwrap();
    let port = taken.address().rsplit_once(':').unwrap().1.to_owned();
    let more = format!(
        "LocalForward {port} 127.0.0.1:1\nExitOnForwardFailure yes\nRequestTTY force\nRemoteCommand false\n\
         StrictHostKeyChecking no\nControlMaster auto\nControlPath {}/own\n",
        env.root().display()
    );
    sshd.write("config", &(config + &more));
    let output = run(&env, GET, &sshd.destination(), &taken.url());
    assert_eq!(output.code, Some(0), "{output:?}");
    sshd.write("known", "");
    let failed = failure(&run(&env, GET, &sshd.destination(), &taken.url()));
    assert!(
        failed.contains("is not known"),
        "host keys are checked whatever the file says: {failed}"
    );
}

#[test]
fn a_rehearsal_runs_no_command_anywhere() {
    let env = Env::new();
    let rehearse = |run_: &str| {
        let book = format!(
            "format = 1\nname = \"book\"\ntitle = \"Book\"\n\
             [[steps]]\nid = 'here'\ncommand = {{ run = ['touch', 'made'], stdin = 'in', env = {{ A = 'b' }} }}\nsave.said = '.'\n\
             [[steps]]\nid = 'there'\ncommand = {{ run = {run_}, ssh = 'me@no-such-host.invalid' }}\nsave.where = '.'\n"
        );
        fs::write(env.path("book.toml"), book).unwrap();
        let fake = "format = 1\n[[commands]]\non = 'touch'\njq = '.command | {stdout: \"\\(.stdin) \\(.env.A)\"}'\n\
             [[commands]]\non = 'hostname'\njq = '{stdout: .command.ssh}'\n";
        fs::write(env.path("fake.toml"), fake).unwrap();
        env.run(&["rehearse", "book.toml", "--trust", "--output", "jsonl"])
    };
    let output = rehearse("['hostname']");
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(saved(&output).contains("in b"), "{output:?}");
    assert!(saved(&output).contains("me@no-such-host.invalid"), "{output:?}");
    let failed = failure(&rehearse("['reboot']"));
    assert!(
        failed.contains("the fake has no such command") && failed.contains("[[commands]]"),
        "{failed}"
    );
    assert!(!env.path("made").exists());
}

const CALLS: u32 = 100;

#[test]
fn what_many_calls_cost() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let text = "format = 1\n[[routes]]\non = 'PUT /thing'\njq = '{}'\n";
    let served =
        serve(Fake::parse(&Source::new("fake.toml", text)).unwrap(), &Value::Null, 0).unwrap();
    let mut steps = String::new();
    for n in 0..CALLS {
        let _ = write!(
            steps,
            "[[steps]]\nid = 's{n}'\nhttp = {{ on = 'api', method = 'PUT', url = 'thing' }}\n"
        );
    }
    let took = |ssh: &str| {
        let output = run(&env, &steps, ssh, &served.url());
        assert_eq!(output.code, Some(0), "{output:?}");
        let events = events(&output);
        let of = |kind: &str| {
            let event = events.iter().find(|event| event["event"] == kind).unwrap();
            event["took_ms"].as_u64().unwrap()
        };
        // The first call opens the session and the connection.
        say(&format!(
            "the first call{}: {} ms",
            if ssh.is_empty() { "" } else { " through ssh" },
            of("done")
        ));
        of("ended") - of("done")
    };
    let (direct, through) = (took(""), took(&sshd.destination()));
    let each = |total: u64| Duration::from_millis(total) / (CALLS - 1);
    say(&format!("a call takes {:?} directly, {:?} through ssh", each(direct), each(through)));
    assert_eq!(sshd.sessions(), 1);
}

/// The fake's own token.
const TOKEN: &str = "rehearsal-1Jc8VbSeyR0Q4tGm";

/// One run of the bundled runbook against its fake: what was asked, the state, the file written.
fn add_oidc(env: &Env, ssh: &str, token: &str) -> (Vec<String>, Value, String, u64) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/authentik/");
    let text = fs::read_to_string(format!("{folder}fake.toml")).unwrap();
    let fake = Fake::parse(&Source::new("fake.toml", text)).unwrap();
    let state = fake.state(&[]).unwrap();
    let served = serve(fake, &state, 0).unwrap();
    let mut book = fs::read_to_string(format!("{folder}add-oidc.toml")).unwrap();
    // The API has an input for it; what users see is asked from here unless a test says otherwise.
    let header = "[connections.public]\n";
    assert!(book.contains(header));
    book = book.replace(header, &format!("{header}ssh = '{ssh}'\n"));
    fs::write(env.path("add-oidc.toml"), book).unwrap();
    let _ = fs::remove_file(env.path("credentials"));
    fs::write(
        env.path("inputs.json"),
        serde_json::json!({
            "authentik_url": served.url(),
            "authentik_ssh": ssh,
            "check_dns": false,
            "authentik_token": token,
            "credentials_file": env.path("credentials"),
        })
        .to_string(),
    )
    .unwrap();
    let output = env.run(&[
        "run",
        "--trust",
        "add-oidc.toml",
        "--preset",
        "vaultwarden",
        "--inputs",
        "inputs.json",
        "--yes",
        "--answer",
        "test_login=yes",
        "--output",
        "jsonl",
    ]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let ended = events(&output).into_iter().find(|event| event["event"] == "ended").unwrap();
    let port = served.address().port().to_string();
    let plain = |text: String| text.replace(&port, "PORT");
    let mut asked: Vec<String> =
        served.asked().iter().map(|asked| plain(format!("{asked:?}"))).collect();
    // Reads that run at once come in any order.
    asked.sort();
    let state = serde_json::from_str(&plain(served.state().to_string())).unwrap();
    let file = plain(fs::read_to_string(env.path("credentials")).unwrap());
    (asked, state, file, ended["took_ms"].as_u64().unwrap())
}

#[test]
fn a_bundled_runbook_does_the_same_through_a_host() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let direct = add_oidc(&env, "", TOKEN);
    let through = add_oidc(&env, &sshd.destination(), TOKEN);
    assert_eq!(through.0, direct.0);
    assert_eq!(through.1, direct.1);
    assert_eq!(
        through.2.lines().skip(1).collect::<Vec<_>>(),
        direct.2.lines().skip(1).collect::<Vec<_>>()
    );
    assert_eq!(sshd.sessions(), 1);
    let calls = u64::try_from(direct.0.len()).unwrap();
    say(&format!(
        "add-oidc, {calls} calls: {} ms directly, {} ms through ssh: {} ms more a call, the session's start among them",
        direct.3,
        through.3,
        through.3.saturating_sub(direct.3) / calls
    ));
}

/// `docker` is a script that notes what it was given and says what `ak shell` says.
#[test]
fn a_bundled_runbook_without_a_token_makes_one_on_the_host() {
    let mut env = Env::new();
    let bin = env.path("bin-there");
    let path = format!("SetEnv PATH={}:/usr/bin:/bin\n", bin.display());
    let Some(sshd) = Sshd::with(&mut env, &path) else { return };
    fs::create_dir(&bin).unwrap();
    let given = env.path("given");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > {0}\ncat >> {0}\necho '### authentik shell'\necho 'RUNBOOK_TOKEN {TOKEN}'\n",
        given.display()
    );
    fs::write(bin.join("docker"), script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(bin.join("docker"), executable).unwrap();
    let with = add_oidc(&env, &sshd.destination(), TOKEN);
    assert!(!given.exists(), "a token was made although there is one");
    let without = add_oidc(&env, &sshd.destination(), "");
    let given = fs::read_to_string(given).unwrap();
    assert!(given.starts_with("exec\n-i\nauthentik-server\nak\nshell\n-c\n"), "{given}");
    let wanted = r#"{"user":"akadmin","identifier":"oidc-automation","days":365}"#;
    assert_eq!(given.lines().last(), Some(wanted));
    assert_eq!(without.1, with.1, "the state is another");
    assert_eq!(without.2, format!("AUTHENTIK_API_TOKEN={TOKEN}\n{}", with.2));
    // The new token is looked at once more than one that is given; nothing else is added.
    assert_eq!(without.0.len(), with.0.len() + 1, "{:#?}", without.0);
}
