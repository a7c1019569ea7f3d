//! Connections: what every call to one service shares.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::diag::Diag;
use crate::reader::{Field, REVEAL, Reader, Rules, Shape, Sink, Text, Tree};
use crate::scope::Scope;
use crate::template::Template;
use crate::transport::Tls;
use crate::transport::ssh::Destination;
use crate::value::text;

use super::retry::{RETRY, Retry};
use super::{Cx, Hand, Trouble, manual};

/// How long a call may take when nobody says.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The keys of a connection.
pub const FIELDS: &[Field] = &[
    Field {
        name: "base",
        shape: Shape::Template,
        about: "The URL every call's `url` is relative to.",
    },
    Field { name: "headers", shape: Shape::Map, about: "Headers every call sends." },
    Field {
        name: "ssh",
        shape: Shape::Template,
        about: "The host to reach it through, `user@host` or `user@host:port`; directly if empty.",
    },
    Field {
        name: "socket",
        shape: Shape::Template,
        about: "The unix socket to reach it through; none if empty.",
    },
    Field {
        name: "basic",
        shape: Shape::Table(BASIC),
        about: "The user and password that every call sends (basic authentication).",
    },
    Field {
        name: "cookies",
        shape: Shape::Boolean,
        about: "Whether cookies that the service sets are sent back to it, for the whole run.",
    },
    Field {
        name: "timeout",
        shape: Shape::Duration,
        about: "How long one call may take; 30 s if not said.",
    },
    Field {
        name: "retry",
        shape: Shape::Table(RETRY),
        about: "On what and how often what is safe to repeat is tried again.",
    },
    Field {
        name: "renew",
        shape: Shape::Table(RENEW),
        about: "What an answer looks like that says that a token's time is over, and the input that holds it.",
    },
    Field {
        name: "ca",
        shape: Shape::Template,
        about: "A PEM file with the only authorities trusted; the platform's if not said or empty.",
    },
    Field {
        name: "client_cert",
        shape: Shape::Template,
        about: "A PEM file with the certificate this side shows; none if empty.",
    },
    Field {
        name: "client_key",
        shape: Shape::Template,
        about: "A PEM file with that certificate's key; `client_cert` holds it if not said.",
    },
    Field {
        name: "insecure",
        shape: Shape::Boolean,
        about: "Certificates are not checked; every run says so.",
    },
    REVEAL,
];

/// The keys of `basic`.
pub const BASIC: &[Field] = &[
    Field { name: "user", shape: Shape::Template, about: "The user's name, without a colon." },
    Field { name: "password", shape: Shape::Template, about: "The password; never shown." },
];

/// Which of them go together.
pub const BASIC_RULES: Rules = Rules::needs(&["user", "password"]);

/// Which keys of a connection go together.
pub const RULES: Rules = Rules {
    needs: &["base"],
    apart: &["ssh", "socket"],
    with: &[("client_key", "client_cert")],
    ..Rules::NONE
};

/// How a connection's service is reached.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// What it says about certificates.
    pub tls: Tls,
    /// The host to go through.
    pub through: Option<Destination>,
    /// The unix socket to go through.
    pub socket: Option<PathBuf>,
}

/// The keys of `renew`.
pub const RENEW: &[Field] = &[
    Field {
        name: "input",
        shape: Shape::Text,
        about: "The input that is looked for again where it came from, or asked for again.",
    },
    Field {
        name: "status",
        shape: Shape::Integers,
        about: "The statuses, of 400 to 499, of such an answer; 401 if not said.",
    },
    Field {
        name: "says",
        shape: Shape::Text,
        about: "What such an answer's body says, upper and lower case alike.",
    },
    Field { name: "hint", shape: Shape::Text, about: "How to get another, if none is found." },
];

/// How a service says that it takes an input's value no longer.
#[derive(Debug)]
pub struct Renew {
    /// The input.
    pub input: Text,
    /// The statuses of such an answer.
    statuses: Vec<u64>,
    /// What its body says, in lower case.
    says: Option<String>,
    /// How to get another value.
    pub hint: Option<String>,
}

impl Renew {
    fn parse(reader: &Reader<'_>) -> Option<Self> {
        let table = reader.table("renew")?;
        table.only(RENEW);
        let statuses = match table.integers("status") {
            none if none.is_empty() => vec![401],
            statuses => statuses,
        };
        if let Some(status) = statuses.iter().find(|status| !(400..500).contains(*status)) {
            let span = table.get("status").map_or(table.span(), toml::Spanned::span);
            let diag = Diag::error(format!("status {status} is no refusal"), span);
            reader.gather.report(diag.help("only a 4xx is sure to mean that nothing was done"));
        }
        let says = table.string("says").map(|says| says.to_lowercase());
        if !table.has("input") {
            return table.missing("input", "name the input that holds the token");
        }
        let hint = table.string("hint");
        Some(Self { input: table.text("input")?, statuses, says, hint })
    }

    /// Whether an answer says so. Only a 4xx is sure to mean that nothing was done.
    pub(super) fn fits(&self, status: u16, body: &[u8]) -> bool {
        let said = |says: &String| String::from_utf8_lossy(body).to_lowercase().contains(says);
        (400..500).contains(&status)
            && self.statuses.contains(&u64::from(status))
            && self.says.as_ref().is_none_or(said)
    }
}

/// What every call to one service shares.
#[derive(Debug)]
pub struct Connection {
    /// Its name in the file.
    pub name: String,
    base: Template,
    reveal: bool,
    headers: Vec<(String, Tree)>,
    ssh: Option<Template>,
    socket: Option<Template>,
    basic: Option<(Template, Template)>,
    /// Whether cookies are kept.
    pub cookies: bool,
    ca: Option<Template>,
    client_cert: Option<Template>,
    client_key: Option<Template>,
    /// Whether certificates are not checked.
    pub insecure: bool,
    /// How long one call may take.
    pub timeout: Duration,
    /// What is safe to repeat is repeated so.
    pub retry: Option<Retry>,
    /// How it says that a token's time is over.
    pub renew: Option<Renew>,
}

/// The connection of this name.
pub fn named<'a>(all: &'a [Rc<Connection>], name: &str) -> Option<&'a Rc<Connection>> {
    all.iter().find(|known| known.name == name)
}

impl Connection {
    /// Reads a connection's table.
    pub fn parse(name: &str, reader: &Reader<'_>) -> Option<Self> {
        reader.only(FIELDS);
        let headers = headers(reader);
        let file = |key| reader.template(key, reader.open("a path"));
        let (ca, client_cert, client_key) = (file("ca"), file("client_cert"), file("client_key"));
        if reader.has("client_key") && !reader.has("client_cert") {
            return reader.missing("client_cert", "name the certificate that `client_key` is for");
        }
        let insecure = reader.boolean("insecure").unwrap_or(false);
        let ssh = ssh_host(reader);
        let socket = file("socket");
        if reader.has("ssh") && reader.has("socket") {
            reader.obeys(&Rules { apart: RULES.apart, ..Rules::NONE });
        }
        let basic = basic(reader, &headers);
        let cookies = reader.boolean("cookies").unwrap_or(false);
        let timeout = reader.time("timeout").unwrap_or(TIMEOUT);
        let retry = Retry::parse(reader, "retry");
        let renew = Renew::parse(reader);
        if !reader.has("base") {
            return reader.missing(
                "base",
                "write the service's base address, as in `base = \"https://api.example.com/v1/\"`",
            );
        }
        let base = reader.template("base", reader.open("a URL"))?;
        check_base(reader, &base);
        let reveal = reader.boolean(REVEAL.name).unwrap_or(false);
        let name = name.to_owned();
        Some(Self {
            name,
            base,
            reveal,
            headers,
            ssh,
            socket,
            basic,
            cookies,
            ca,
            client_cert,
            client_key,
            insecure,
            timeout,
            retry,
            renew,
        })
    }

    /// The base URL; always ends with a slash, so that a call's `url` goes below it.
    pub fn base(&self, scope: &Scope) -> Result<url::Url, Trouble> {
        let reads = || self.base.reads().iter().map(|read| read.name.as_str());
        if !self.reveal && scope.any_secret(reads()) {
            let message = format!("a secret would show in the base of connection `{}`", self.name);
            return Err(Trouble::failed(message)
                .hint("where it is meant to show, write `reveal = true` in the same table"));
        }
        refuse_odd(&self.base, scope)?;
        let base = self.base.render_text(scope)?;
        let slashed = if base.ends_with('/') { base.clone() } else { format!("{base}/") };
        url::Url::parse(&slashed).map_err(|error| {
            Trouble::failed(format!(
                "the base of connection `{}` is not a URL: {error}: `{base}`",
                self.name
            ))
        })
    }

    /// Why an address cannot be called, if it and the base are written out.
    pub fn cannot_reach(&self, url: &Template) -> Option<Trouble> {
        if !self.base.is_literal() || !url.is_literal() {
            return None;
        }
        let base = self.base(&Scope::default()).ok()?;
        join(&base, url.source()).err()
    }

    /// Its base, as its author wrote it.
    pub fn base_template(&self) -> &Template {
        &self.base
    }

    /// Every name it reads.
    pub fn reads(&self) -> Vec<&str> {
        let files = [&self.ssh, &self.socket, &self.ca, &self.client_cert, &self.client_key];
        let basic = self.basic.iter().flat_map(|(user, password)| [user, password]);
        let templates = files.into_iter().flatten().chain([&self.base]).chain(basic);
        let reads = templates.flat_map(Template::reads).map(|read| read.name.as_str());
        reads.chain(self.headers.iter().flat_map(|(_, tree)| tree.reads())).collect()
    }

    /// The base, as a shell text.
    pub(super) fn manual_base(&self, hand: &Hand<'_>) -> String {
        hand.shell(&self.base)
    }

    /// The headers, for a person.
    pub(super) fn manual_headers(&self) -> &[(String, Tree)] {
        &self.headers
    }

    /// The host its calls go through, for a person.
    pub(super) fn manual_way(&self, hand: &Hand<'_>) -> Option<String> {
        self.ssh.as_ref().map(|text| hand.shell(text))
    }

    /// What `curl` is told about the way there, the user and certificates.
    pub(super) fn manual_options(&self, hand: &Hand<'_>) -> Vec<String> {
        let socket = self.socket.as_ref().map(|socket| hand.option("--unix-socket", socket));
        let basic = self.basic.as_ref().map(|(user, password)| {
            let both = format!("{}:{}", hand.shell(user), hand.shell(password));
            format!("-u {}", manual::quoted(&both))
        });
        let cookies = self.cookies.then(|| "-b cookies -c cookies".to_owned());
        socket.into_iter().chain(basic).chain(cookies).chain(self.manual_tls(hand)).collect()
    }

    fn manual_tls(&self, hand: &Hand<'_>) -> Vec<String> {
        let files =
            [("--cacert", &self.ca), ("--cert", &self.client_cert), ("--key", &self.client_key)];
        let files = files
            .into_iter()
            .filter_map(|(option, file)| Some(hand.option(option, file.as_ref()?)));
        files.chain(self.insecure.then(|| "--insecure".to_owned())).collect()
    }

    /// How its service is reached.
    pub(super) fn route(&self, cx: &Cx<'_>) -> Result<Route, Trouble> {
        let file = |template: &Option<Template>| -> Result<Option<PathBuf>, Trouble> {
            let Some(template) = template else { return Ok(None) };
            let (path, world) = (template.render_text(cx.scope)?, &cx.services.world);
            let full = || world.cwd.join(world.expand_home(&path));
            Ok((!path.is_empty()).then(full))
        };
        let (certificate, key) = (file(&self.client_cert)?, file(&self.client_key)?);
        let client = certificate.map(|path| (path.clone(), key.unwrap_or(path)));
        let tls = Tls { ca: file(&self.ca)?, client, insecure: self.insecure };
        Ok(Route { tls, through: self.through(cx.scope)?, socket: file(&self.socket)? })
    }

    /// The unix socket its calls go through, as the author wrote it.
    pub fn socket_template(&self) -> Option<&Template> {
        self.socket.as_ref()
    }

    /// Where its base is in a rehearsal, if a socket leads there otherwise: the fake.
    pub(super) fn placed(&self, mut base: url::Url, cx: &Cx<'_>) -> url::Url {
        let fake = self.socket.as_ref().and(cx.services.fake.as_ref());
        if let Some(fake) = fake.and_then(|fake| url::Url::parse(fake).ok()) {
            // a base that is no address of a host keeps what it is
            let _ = base.set_scheme(fake.scheme());
            let _ = base.set_host(fake.host_str());
            let _ = base.set_port(fake.port());
        }
        base
    }

    /// The host its calls go through, as the author wrote it.
    pub fn ssh_template(&self) -> Option<&Template> {
        self.ssh.as_ref()
    }

    /// The host its calls go through; none if they go directly.
    pub fn through(&self, scope: &Scope) -> Result<Option<Destination>, Trouble> {
        through(self.ssh.as_ref(), scope)
    }

    /// The headers every call sends, rendered.
    pub fn headers(&self, cx: &Cx<'_>) -> Result<Vec<(String, String)>, Trouble> {
        let mut headers = render_headers(&self.headers, cx.scope)?;
        if let Some((user, password)) = &self.basic {
            let (user, password) = (user.render_text(cx.scope)?, password.render_text(cx.scope)?);
            if user.contains(':') {
                let name = &self.name;
                let message = format!("the user of connection `{name}` holds a colon");
                return Err(Trouble::failed(message)
                    .hint("what follows it would be taken for the password"));
            }
            let both = BASE64_STANDARD.encode(format!("{user}:{password}"));
            // also a password that is no secret of the file's is none of anybody's business
            let _ = cx.services.redactor.add_json(&password.into());
            headers.push(("authorization".to_owned(), format!("Basic {both}")));
        }
        Ok(headers)
    }
}

/// A base that is written out must be an address.
fn check_base(reader: &Reader<'_>, base: &Template) {
    let source = base.source();
    let web = ["http://", "https://"].iter().any(|scheme| source.starts_with(scheme));
    if !base.is_literal() || web && url::Url::parse(source).is_ok() {
        return;
    }
    let span = reader.get("base").map_or(reader.span(), toml::Spanned::span);
    let diag = Diag::error("`base` is not a URL", span);
    let meant = format!("http://{source}");
    reader.gather.report_since(if !source.contains("://") && url::Url::parse(&meant).is_ok() {
        diag.help(format!("write how it is reached too, as in `{meant}`"))
    } else {
        diag.help("it is an address such as `https://api.example.com/v1/`")
    });
}

/// The headers of a table; their names must be ones that can be sent.
pub(super) fn headers(reader: &Reader<'_>) -> Vec<(String, Tree)> {
    // RFC 9110, 5.6.2
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let table = reader.get("headers").and_then(|value| reader.as_table(value));
    for (name, span) in table.iter().flat_map(Reader::keys) {
        if name.is_empty() || !name.chars().all(fits) {
            let diag = Diag::error(format!("`{name}` cannot be the name of a header"), span);
            reader.gather.report_since(diag.help("use letters, digits and dashes"));
        }
    }
    let headers = reader.map("headers", Sink::Beside);
    for (name, value) in &headers {
        // as the HTTP client has it: text without line ends (RFC 9110, 5.5)
        let odd = |c: char| c.is_control() && c != '\t';
        if matches!(value, Tree::Literal(json) if text(json).contains(odd)) {
            let span =
                table.and_then(|table| table.get(name)).map_or(reader.span(), toml::Spanned::span);
            let title =
                format!("the value of header `{name}` holds a line end or a control character");
            reader
                .gather
                .report_since(Diag::error(title, span).help("a header is one line of text"));
        }
    }
    headers
}

fn basic(reader: &Reader<'_>, headers: &[(String, Tree)]) -> Option<(Template, Template)> {
    let table = reader.table("basic")?;
    table.only(BASIC);
    if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
        let title = "`basic` is an authorization, and `headers` have one already";
        reader.gather.report(Diag::error(title, table.span()));
    }
    if !table.obeys(&BASIC_RULES) {
        return None;
    }
    Some((table.template("user", Sink::Closed)?, table.template("password", Sink::Closed)?))
}

/// Where an ssh host shows.
const SSH: Sink = Sink::Open("a program's arguments, which everybody on the machine can see");

/// The `ssh` of a table; a host that is written out must be one.
pub(super) fn ssh_host(reader: &Reader<'_>) -> Option<Template> {
    let host = reader.template("ssh", SSH)?;
    let written = host.is_literal() && !host.source().is_empty();
    if written && let Err(wrong) = Destination::parse(host.source()) {
        let span = reader.get("ssh").map_or(reader.span(), toml::Spanned::span);
        reader.gather.report_since(Diag::error(wrong, span));
    }
    Some(host)
}

/// The host of an `ssh`; none if there is no such key, or nothing in it.
pub(super) fn through(
    ssh: Option<&Template>,
    scope: &Scope,
) -> Result<Option<Destination>, Trouble> {
    let Some(ssh) = ssh else { return Ok(None) };
    if scope.any_secret(ssh.reads().iter().map(|read| read.name.as_str())) {
        return Err(Trouble::failed("a secret would show in the arguments of `ssh`"));
    }
    match ssh.render(scope)? {
        crate::value::Json::Null => Ok(None),
        json if text(&json).is_empty() => Ok(None),
        json => Destination::parse(&text(&json)).map(Some).map_err(Trouble::failed),
    }
}

/// Headers, rendered; names in lower case.
pub(super) fn render_headers(
    headers: &[(String, Tree)],
    scope: &Scope,
) -> Result<Vec<(String, String)>, Trouble> {
    headers
        .iter()
        .map(|(name, tree)| Ok((name.to_lowercase(), text(&tree.render(scope)?))))
        .collect()
}

/// Refuses a URL with what is no text in it: `users/null` is another address than the one meant.
pub(super) fn refuse_odd(url: &Template, scope: &Scope) -> Result<(), Trouble> {
    let Some((code, what)) = url.odd(scope) else { return Ok(()) };
    let hint = match what {
        "null" => format!("if it may be so, leave the step out: `when = \"{code} is not none\"`"),
        _ => "a URL takes texts and numbers: name what of it is meant".to_owned(),
    };
    Err(Trouble::failed(format!("`{code}` in the URL is {what}")).hint(hint))
}

/// A call's URL below a base: `x/`, `/x/` and `x/?y` alike go below it; a full URL must have the same origin.
pub(super) fn join(base: &url::Url, path: &str) -> Result<url::Url, Trouble> {
    let wrong = |error| Trouble::failed(format!("not a URL: {error}: `{path}`"));
    if path.starts_with("http://") || path.starts_with("https://") {
        let url = url::Url::parse(path).map_err(wrong)?;
        if url.origin() != base.origin() {
            return Err(Trouble::failed(format!(
                "`{url}` is on another host than the connection's base {base}"
            ))
            .hint("give that host a connection of its own: the headers of this one are not sent there"));
        }
        return Ok(url);
    }
    base.join(&format!("./{}", path.trim_start_matches('/'))).map_err(wrong)
}
