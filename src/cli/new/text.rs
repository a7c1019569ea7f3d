//! The texts of a new runbook, its fake and its tests: each comment teaches a part of the format.

/// What is known of the service.
#[derive(Debug)]
pub(super) struct Service {
    /// The runbook's name.
    pub(super) name: String,
    /// Base address, without a slash at its end.
    pub(super) base: url::Url,
    /// How a call proves who makes it.
    pub(super) auth: Auth,
    /// The first call's method.
    pub(super) method: &'static str,
    /// Its path below the base, without a slash in front.
    pub(super) path: String,
}

/// How a call proves who makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Auth {
    /// Not at all.
    None,
    /// A token in the header `authorization`.
    Bearer,
    /// A name and a password.
    Basic,
    /// A token in a header of this name.
    Header(String),
}

const TOKEN: &str = "token-of-the-rehearsal";
const WRONG: &str = "token-that-is-wrong";

impl Service {
    fn variable(&self, what: &str) -> String {
        format!("{}_{what}", self.name.to_uppercase().replace('-', "_"))
    }

    fn inputs(&self) -> String {
        let secret = |name: &str, what: &str| {
            format!(
                "\n# A secret is never shown, and on disk only ever encrypted. It is looked for in `from` first.\n\
                 [inputs.{name}]\nsecret = true\nabout  = \"{what}\"\nfrom   = [{{ env = \"{}\" }}]\n",
                self.variable(&name.to_uppercase())
            )
        };
        match self.auth {
            Auth::None => String::new(),
            Auth::Bearer | Auth::Header(_) => secret("token", "API token"),
            Auth::Basic => format!(
                "\n[inputs.user]\nabout = \"Whose account is used\"\n{}",
                secret("password", "The account's password")
            ),
        }
    }

    fn header(&self) -> String {
        match &self.auth {
            Auth::None => String::new(),
            Auth::Bearer => r#"authorization = "Bearer {{ token }}", "#.to_owned(),
            Auth::Basic => {
                r#"authorization = "Basic {{ (user ~ ':' ~ password) | b64encode }}", "#.to_owned()
            }
            Auth::Header(name) => format!(r#"{name} = "{{{{ token }}}}", "#),
        }
    }

    /// The path as the fake sees it, without a query.
    fn asked(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{}/{path}", self.base.path().trim_end_matches('/'))
    }

    /// What an item's path ends with, where the list's does.
    fn slash(&self) -> &'static str {
        let path = self.path.split('?').next().unwrap_or_default();
        if path.ends_with('/') { "/" } else { "" }
    }

    fn step(&self) -> String {
        let text = match self.method {
            "GET" => READ,
            "POST" => MAKE,
            "PATCH" => PATCH,
            _ => SET,
        };
        let (title, more) = match self.method {
            "DELETE" => ("Take it away", "accept = [200, 204, 404]"),
            _ => ("Change {{ item }}", r#"json = { name = "{{ item }}" }"#),
        };
        let text = text.replace("@TITLE@", title).replace("@MORE@", more);
        let item = self.path.split('?').next().unwrap_or_default().trim_end_matches('/');
        let text = text.replace("@METHOD@", self.method).replace("@PATH@", &self.path);
        text.replace("@ITEM@", item).replace("@SLASH@", self.slash())
    }

    fn named(&self) -> &'static str {
        if matches!(self.method, "GET" | "DELETE") { "" } else { NAME }
    }

    /// `NAME.toml`.
    pub(super) fn runbook(&self) -> String {
        let base = self.base.as_str().trim_end_matches('/');
        format!(
            "{}{}{}{}{}",
            HEAD.replace("@NAME@", &self.name).replace("@BASE@", base),
            self.inputs(),
            self.named(),
            CONNECTION.replace("@HEADER@", &self.header()),
            self.step()
        )
    }

    /// `fake.toml`.
    pub(super) fn fake(&self) -> String {
        let (inputs, known) = match &self.auth {
            Auth::None => (String::new(), "true".to_owned()),
            Auth::Bearer => (
                format!("token    = \"{TOKEN}\"\n"),
                format!(".request.headers.authorization == \"Bearer {TOKEN}\""),
            ),
            Auth::Basic => (
                format!("user     = \"ada\"\npassword = \"{TOKEN}\"\n"),
                format!(
                    ".request.headers.authorization == \"Basic \" + (\"ada:{TOKEN}\" | @base64)"
                ),
            ),
            Auth::Header(name) => (
                format!("token    = \"{TOKEN}\"\n"),
                format!(".request.headers[\"{name}\"] == \"{TOKEN}\""),
            ),
        };
        let named = if self.named().is_empty() { "" } else { "item     = \"example\"\n" };
        let routes = match self.method {
            "GET" => FAKE_READ,
            "POST" => FAKE_MAKE,
            "PATCH" => FAKE_PATCH,
            _ => FAKE_SET,
        };
        let routes = routes
            .replace("@METHOD@", self.method)
            .replace("@ASKED@", &self.asked())
            .replace("@ITEM@", self.asked().trim_end_matches('/'))
            .replace("@SLASH@", self.slash());
        FAKE.replace("@INPUTS@", &format!("{inputs}{named}"))
            .replace("@KNOWN@", &known)
            .replace("@BASE@", self.base.path().trim_end_matches('/'))
            + &routes
    }

    /// `NAME.test.toml`.
    pub(super) fn tests(&self) -> String {
        let asked = self.asked();
        // What may be repeated is, after a crash: then not the requests count but what is there.
        let came_out = match self.method {
            "GET" => "changes = []".to_owned(),
            "POST" => format!("changes = [\"POST {asked}\"]"),
            _ => "state   = \"(.items | length) == 1\"".to_owned(),
        };
        let mut text = TESTS.replace("@CAME_OUT@", &came_out);
        let wrong = match self.auth {
            Auth::None => return text,
            Auth::Basic => "password",
            Auth::Bearer | Auth::Header(_) => "token",
        };
        text.push_str(&TEST_TOKEN.replace("@INPUT@", wrong).replace("@WRONG@", WRONG));
        text
    }
}

const HEAD: &str = r#"# A runbook: what to ask for, whom to call, and the steps in order.
# `runbook kinds` lists what a step can do, `runbook kinds http` explains one kind,
# `runbook check FILE` finds mistakes, `runbook schema` is for the editor's completion.
format = 1
name   = "@NAME@"
title  = "Say in one line what it does"
about  = '''
Markdown: what it does, and when to use it.
'''
needs  = ["What must be there before"]

# Asked for in this order, unless `--input`, `--inputs FILE`, a preset or the environment gives it.
[inputs.base_url]
type    = "url"
about   = "Base address of the service"
default = "@BASE@"
"#;

const NAME: &str = r#"
[inputs.item]
about   = "Name of what is made"
example = "example"
pattern = '[A-Za-z0-9._-]+'
"#;

const CONNECTION: &str = r#"
# What every call to the service shares. `{{ }}` reads inputs, vars and saved values by their names.
[connections.api]
base    = "{{ base_url }}"
headers = { @HEADER@accept = "application/json" }
timeout = "30s"
retry   = { times = 3, backoff = "1s" }   # only what is safe to repeat is repeated
"#;

const READ: &str = r#"
# One step does one thing. `save` takes values out of the answer, with jq; `gates` say what must hold then.
[[steps]]
id    = "first_call"
title = "Ask the service"
http  = { on = "api", url = "@PATH@" }
# A value of the answer is taken like this: save.user_id = ".id"
save.answer = "type"
gates = [{ that = "answer == 'object' or answer == 'array'", hint = "The answer is no JSON: is `base_url` the address of the API?" }]
hints = [{ says = "401", hint = "The service does not accept who calls: check the token" }]
"#;

const MAKE: &str = r#"
# What is made must not be made twice. `already` looks whether it is there: before it is made,
# and after a crash between the request and its answer. `undo` is for `runbook undo`.
[[steps]]
id    = "make"
title = "Make {{ item }}"
http  = { on = "api", method = "@METHOD@", url = "@PATH@", json = { name = "{{ item }}" } }
save.item_id = ".id"
gates = [{ that = "item_id is not none", hint = "The answer names no id" }]
hints = [{ says = "401", hint = "The service does not accept who calls: check the token" }]

[steps.already]
http = { on = "api", url = "@PATH@" }
find = '.[] | select(.name == $item)'      # gives what is there, or nothing
same = '.name == $item'                    # whether it is what this run would have made

[steps.undo]
http = { on = "api", method = "DELETE", url = "@ITEM@/{{ item_id }}@SLASH@", accept = [200, 204, 404] }
"#;

const SET: &str = r#"
# Doing this twice does no harm (`effect`), so it is simply done again after a crash.
[[steps]]
id     = "change"
title  = "@TITLE@"
http   = { on = "api", method = "@METHOD@", url = "@PATH@", @MORE@ }
effect = "repeatable"
hints  = [{ says = "401", hint = "The service does not accept who calls: check the token" }]
"#;

const PATCH: &str = r#"
# What is changed must not be changed twice. `already` looks whether it is as wanted: before it is
# changed, and after a crash between the request and its answer.
[[steps]]
id    = "change"
title = "Change {{ item }}"
http  = { on = "api", method = "PATCH", url = "@PATH@", json = { name = "{{ item }}" } }
hints = [{ says = "401", hint = "The service does not accept who calls: check the token" }]

[steps.already]
http = { on = "api", url = "@PATH@" }
find = 'select(.name == $item)'            # gives what is there, or nothing
same = '.name == $item'                    # whether it is what this run would have made
"#;

const FAKE: &str = r#"# The service for rehearsal: `runbook rehearse` and `runbook test` call it instead of the real one.
format = 1
about  = "As much of the service as the runbook calls."

defs = '''
def known: @KNOWN@;
def guarded(answer): if known then answer else {status: 401, body: {error: "who calls is not known"}} end;
'''

# Answers to the runbook's inputs. $URL is the fake's address.
[inputs]
base_url = "$URL@BASE@"
@INPUTS@
# Where every rehearsal starts.
[state]
items = []
"#;

const FAKE_READ: &str = r#"
# A route: from {request, state} to {status, headers, body, state}, in jq.
[[routes]]
on = "GET @ASKED@"
jq = 'guarded({body: {id: 1, name: "example"}})'
"#;

const FAKE_MAKE: &str = r#"
# A route: from {request, state} to {status, headers, body, state}, in jq.
[[routes]]
on = "GET @ASKED@"
jq = 'guarded({body: .state.items})'

[[routes]]
on = "POST @ASKED@"
jq = '''
guarded(
  {id: ((.state.items | length) + 1), name: .request.body.name} as $item
  | {status: 201, body: $item, state: (.state | .items += [$item])})
'''

[[routes]]
on = "DELETE @ITEM@/{id}@SLASH@"
jq = '''
guarded(
  (.request.params.id | tonumber) as $id
  | {status: 204, state: (.state | .items |= map(select(.id != $id)))})
'''
"#;

const FAKE_SET: &str = r#"
# A route: from {request, state} to {status, headers, body, state}, in jq.
[[routes]]
on = "@METHOD@ @ASKED@"
jq = '.request.body.name? as $name | guarded({body: {id: 1}, state: (.state | .items = [$name])})'
"#;

const FAKE_PATCH: &str = r#"
# A route: from {request, state} to {status, headers, body, state}, in jq.
[[routes]]
on = "GET @ASKED@"
jq = 'guarded({body: {id: 1, name: (.state.items[0] // "another")}})'

[[routes]]
on = "PATCH @ASKED@"
jq = '.request.body.name as $name | guarded({body: {id: 1, name: $name}, state: (.state | .items = [$name])})'
"#;

const TESTS: &str = r#"# Tests: rehearsals with what must come out. `runbook test`, and `runbook test --crash`.
format = 1

[[cases]]
name = "all is well"
[cases.expect]
outcome = "done"
@CAME_OUT@
"#;

const TEST_TOKEN: &str = r#"
[[cases]]
name   = "who calls is not known"
inputs = { @INPUT@ = "@WRONG@" }
[cases.expect]
outcome = "failed"
says    = ["401"]
changes = []
"#;
