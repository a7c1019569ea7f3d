//! A page for each code: what it means, an example that triggers it, and one that does not.

/// What a warning means.
#[derive(Debug)]
pub struct Page {
    /// Its stable name.
    pub code: &'static str,
    /// One line.
    pub title: &'static str,
    /// Markdown: why it matters, and what to do.
    pub why: &'static str,
    /// A runbook that triggers it, and it alone; or a fake.
    pub bad: &'static str,
    /// The same, mended.
    pub good: &'static str,
    /// The other file, where a runbook and its fake are looked at together.
    pub beside: Option<&'static str>,
}

/// The page of a code.
pub fn page(code: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.code == code)
}

impl Page {
    /// The whole page, in Markdown.
    pub fn markdown(&self) -> String {
        let Self { code, title, why, bad, good, beside } = self;
        let beside = beside.map_or(String::new(), |beside| {
            let what = if is_fake(beside) { "fake" } else { "runbook" };
            format!("\nBoth beside this {what}:\n\n```toml\n{beside}```\n")
        });
        format!(
            "# {code}\n\n{title}\n\n{why}\n\nThis is warned of:\n\n```toml\n{bad}```\n\n\
             This is not:\n\n```toml\n{good}```\n{beside}"
        )
    }
}

/// Whether an example is a fake, not a runbook.
fn is_fake(text: &str) -> bool {
    text.contains("[[routes]]") || text.contains("[[commands]]")
}

/// All pages.
pub const PAGES: &[Page] = &[
    Page {
        code: "unused-input",
        title: "Nothing reads an input.",
        why: "People are asked for a value, or look it up for a preset, and it changes nothing. Either a place that \
              should read it has the value written out, or it is left over. A preset that sets it does not count.",
        bad: r#"format = 1
name   = "greet"

[inputs.user]

[inputs.city]

[[steps]]
id   = "hello"
note = "Hello {{ user }}"
"#,
        good: r#"format = 1
name   = "greet"

[inputs.user]

[[steps]]
id   = "hello"
note = "Hello {{ user }}"
"#,
        beside: None,
    },
    Page {
        code: "unused-var",
        title: "Nothing reads a var.",
        why: "It is left over, or the place that should read it has the value written out.",
        bad: r#"format = 1
name   = "greet"

[vars]
greeting = "Hello"

[[steps]]
id   = "hello"
note = "Hello there"
"#,
        good: r#"format = 1
name   = "greet"

[vars]
greeting = "Hello"

[[steps]]
id   = "hello"
note = "{{ greeting }} there"
"#,
        beside: None,
    },
    Page {
        code: "unused-save",
        title: "Nothing reads a secret or a computed value that is saved.",
        why: "A secret that nothing needs is kept, sealed, for nothing, and a computed value that nothing reads is left \
              over, or its name is misspelt where it is read in another way. What a service or a person answers may be \
              saved for the record alone, and is not warned of.",
        bad: r#"format = 1
name   = "look"

[connections.api]
base = "https://api.example.com/"

[[steps]]
id   = "find"
http = { on = "api", url = "users/me" }
save.user_id = ".id"
save.token   = { jq = ".token", secret = true }
gates = [{ that = "user_id is integer" }]
"#,
        good: r#"format = 1
name   = "look"

[connections.api]
base = "https://api.example.com/"

[[steps]]
id   = "find"
http = { on = "api", url = "users/me" }
save.user_id = ".id"
save.email   = ".email"
gates = [{ that = "user_id is integer" }]
"#,
        beside: None,
    },
    Page {
        code: "once-without-already",
        title: "A step that must not be done twice cannot tell whether it was done.",
        why: "A POST or a command is done once: if the process dies between the request and its answer, nobody knows \
              whether it happened. With `already` the step looks for its effect, before acting and after a crash, and \
              goes on by itself. Without it the run stops and a person must find out (`--redo`, `--done`). If doing \
              it twice does no harm, say so with `effect = \"repeatable\"`.",
        bad: r#"format = 1
name   = "add"

[connections.api]
base = "https://api.example.com/"

[[steps]]
id   = "make"
http = { on = "api", method = "POST", url = "users/", json = { name = "ada" } }
"#,
        good: r#"format = 1
name   = "add"

[connections.api]
base = "https://api.example.com/"

[[steps]]
id   = "make"
http = { on = "api", method = "POST", url = "users/", json = { name = "ada" } }

[steps.already]
http = { on = "api", url = "users/", query = { name = "ada" } }
find = '.[] | select(.name == "ada")'
same = '.name == "ada"'
"#,
        beside: None,
    },
    Page {
        code: "constant-gate",
        title: "A gate reads no value.",
        why: "It says the same in every run, so it proves nothing. Often quotes are wrong: `'user_id' is string` judges \
              the text, `user_id is string` the value.",
        bad: r#"format = 1
name   = "look"

[connections.api]
base = "https://api.example.com/"

[[steps]]
id    = "find"
http  = { on = "api", url = "users/me" }
gates = [{ that = "'user_id' is string" }]
"#,
        good: r#"format = 1
name   = "look"

[connections.api]
base = "https://api.example.com/"

[[steps]]
id    = "find"
http  = { on = "api", url = "users/me" }
save.user_id = ".id"
gates = [{ that = "user_id is string" }]
"#,
        beside: None,
    },
    Page {
        code: "may-be-skipped",
        title: "A step reads a value that is only there if another step was done.",
        why: "A step whose `when` does not hold saves nothing. Reading its values then fails the run, in a template and \
              in an expression; jq takes them for null. Give both steps the same `when`, or say what holds without \
              the value: `{{ team_id | default('none') }}`, in jq `$team_id // \"none\"`. What an `optional` step \
              that failed would have saved is null: `when = \"team_id is not none\"`, or `{{ team_id or 'none' }}`.",
        bad: r#"format = 1
name   = "add"

[inputs.with_team]
type = "boolean"

[[steps]]
id   = "team_id"
when = "with_team"
jq   = "7"

[[steps]]
id   = "tell"
note = "The team is {{ team_id }}"
"#,
        good: r#"format = 1
name   = "add"

[inputs.with_team]
type = "boolean"

[[steps]]
id   = "team_id"
when = "with_team"
jq   = "7"

[[steps]]
id   = "tell"
when = "with_team"
note = "The team is {{ team_id }}"
"#,
        beside: None,
    },
    Page {
        code: "secret-in-clear",
        title: "A secret stands in the file.",
        why: "A runbook is passed on, kept in a repository and shown: whoever has it has the secret. Leave it out, and it \
              is asked for, or say with `from` where to look for it. An empty default is none. A preset counts too.",
        bad: r#"format = 1
name   = "greet"

[inputs.password]
secret  = true
default = "hunter2"

[[steps]]
id      = "login"
effect  = "read"
command = { run = ["login"], stdin = "{{ password }}" }
"#,
        good: r#"format = 1
name   = "greet"

[inputs.password]
secret  = true
from    = [{ env = "PASSWORD" }]

[[steps]]
id      = "login"
effect  = "read"
command = { run = ["login"], stdin = "{{ password }}" }
"#,
        beside: None,
    },
    Page {
        code: "without-effect",
        title: "Something is said in vain.",
        why: "What stands there changes nothing: the query of a connection's `base`, which no call sends; a status that \
              nothing ends with; an `until` whose `every` is longer than its `limit`, so that it looks once; `at_once` of 0; \
              keys of `generate` that mean nothing for what is made. It was meant otherwise, or it is left over.",
        bad: r#"format = 1
name   = "look"

[connections.api]
base = "https://api.example.com/v1?key=7"

[[steps]]
id   = "find"
http = { on = "api", url = "users/me" }
"#,
        good: r#"format = 1
name   = "look"

[connections.api]
base = "https://api.example.com/v1"

[[steps]]
id   = "find"
http = { on = "api", url = "users/me", query = { key = 7 } }
"#,
        beside: None,
    },
    Page {
        code: "literal-braces",
        title: "A text has `{{ }}` in it, and nothing is filled in there.",
        why: "The runbook's own title, hints and what `until` says it waits `for` are shown as they stand, braces and all. Say it without the \
              value. When a gate does not hold, the values that it reads are shown beside its hint.",
        bad: r#"format = 1
name   = "look"

[inputs.user]

[[steps]]
id   = "known"
gate = { that = "user != 'root'", hint = "The user {{ user }} is nobody's" }
"#,
        good: r#"format = 1
name   = "look"

[inputs.user]

[[steps]]
id   = "known"
gate = { that = "user != 'root'", hint = "That user is nobody's" }
"#,
        beside: None,
    },
    Page {
        code: "undo-may-miss",
        title: "An `undo` reads a value that is only there if another step was done.",
        why: "A step whose `when` does not hold saves nothing, and an `undo` that reads one of its values cannot be \
              done: what this step made stays. Let `undo` read what its own step saves, or what is always there.",
        bad: r#"format = 1
name   = "add"

[inputs.with_team]
type = "boolean"

[connections.api]
base = "https://api.example.com/"

[[steps]]
id   = "team_id"
when = "with_team"
jq   = "7"

[[steps]]
id   = "make"
http = { on = "api", method = "PUT", url = "users/ada" }
undo.http = { on = "api", method = "DELETE", url = "teams/{{ team_id }}/ada" }
"#,
        good: r#"format = 1
name   = "add"

[connections.api]
base = "https://api.example.com/"

[[steps]]
id   = "make"
http = { on = "api", method = "PUT", url = "users/ada" }
undo.http = { on = "api", method = "DELETE", url = "users/ada" }
"#,
        beside: None,
    },
    Page {
        code: "not-in-answer",
        title: "jq looks for a key that no answer of the fake has.",
        why: "Either the key is misspelt, or it is somewhere else in the answer; jq takes it for null and goes on. Or \
              the fake is not as the service is. The answers are those of a rehearsal as it begins and of all cases. \
              A key that the service may leave out is read with `?` or `//`, and is not warned of.",
        bad: r#"format = 1
name   = "look"

[inputs.url]

[connections.api]
base = "{{ url }}/api/"

[[steps]]
id   = "find"
http = { on = "api", url = "users/" }
save.user_id = ".results[0].pk"
"#,
        good: r#"format = 1
name   = "look"

[inputs.url]

[connections.api]
base = "{{ url }}/api/"

[[steps]]
id   = "find"
http = { on = "api", url = "users/" }
save.user_id = ".results[0].id"
"#,
        beside: Some(USERS),
    },
    Page {
        code: "uncalled-route",
        title: "No runbook beside a fake calls one of its routes.",
        why: "Either a call goes elsewhere than its author thinks (method, path and final slash count), or the route is \
              left over. All runbooks of the folder are looked at, with those they use.",
        bad: r#"format = 1

[inputs]
url = "$URL"

[[routes]]
on = "GET /api/users/"
jq = "{body: []}"

[[routes]]
on = "GET /api/users/{id}/"
jq = "{body: {id: 7}}"
"#,
        good: r#"format = 1

[inputs]
url = "$URL"

[[routes]]
on = "GET /api/users/"
jq = "{body: []}"
"#,
        beside: Some(
            r#"format = 1
name   = "look"

[inputs.url]

[connections.api]
base = "{{ url }}/api/"

[[steps]]
id   = "find"
http = { on = "api", url = "users/" }
save.users = "length"
"#,
        ),
    },
    Page {
        code: "unsplit-command",
        title: "A whole command line stands where a program's name should.",
        why: "No shell takes a command apart: `\"systemctl restart app\"`, or a list of this one string, is the name of a \
              program with spaces in it, which is not there. Write a list of words, so that each argument arrives as it is, \
              whatever is in a value. What needs a shell, a pipe say, is `[\"sh\", \"-c\", \"…\"]`, with values as further \
              arguments (`$1`). If there is a program of this name nothing is said.",
        bad: r#"format = 1
name   = "restart"

[[steps]]
id      = "restart"
command = "systemctl restart app"
effect  = "repeatable"
"#,
        good: r#"format = 1
name   = "restart"

[[steps]]
id      = "restart"
command = ["systemctl", "restart", "app"]
effect  = "repeatable"
"#,
        beside: None,
    },
    Page {
        code: "set-in-condition",
        title: "A jq condition sets a value where it should compare one.",
        why: "`.name = $user` is the input with another name: an object, which counts as true. So `select(.name = $user)` \
              lets everything through, and the first thing there is is taken for the one that is looked for. Compare with \
              `==`. Conditions are what `select`, `any` and `all` are given, and what stands behind `if`.",
        bad: r#"format = 1
name   = "look"

[inputs.user]

[connections.api]
base = "https://api.example.com/"

[[steps]]
id   = "look"
http = { on = "api", url = "users/" }
save.user_id = "first(.results[] | select(.name = $user)) | .id"
"#,
        good: r#"format = 1
name   = "look"

[inputs.user]

[connections.api]
base = "https://api.example.com/"

[[steps]]
id   = "look"
http = { on = "api", url = "users/" }
save.user_id = "first(.results[] | select(.name == $user)) | .id"
"#,
        beside: None,
    },
    Page {
        code: "unrun-command",
        title: "No runbook beside a fake runs one of its commands.",
        why: "Either a step's command has other words than its author thinks, or the command is left over. All runbooks of \
              the folder are looked at, with those they use.",
        bad: r#"format = 1

[[commands]]
on = "docker ps"
jq = "{stdout: \"wiki\"}"

[[commands]]
on = "docker exec * id"
jq = "{stdout: \"root\"}"
"#,
        good: r#"format = 1

[[commands]]
on = "docker ps"
jq = "{stdout: \"wiki\"}"
"#,
        beside: Some(
            r#"format = 1
name   = "look"

[[steps]]
id      = "find"
command = ["docker", "ps"]
effect  = "read"
save.names = "."
"#,
        ),
    },
];

/// A fake with one user.
const USERS: &str = r#"format = 1

[inputs]
url = "$URL"

[[routes]]
on = "GET /api/users/"
jq = "{body: {results: [{id: 7, name: \"ada\"}]}}"
"#;
