//! A call as `curl` makes it.

use super::super::connection::{Connection, named};
use super::super::manual::Pairs;
use super::super::{Hand, Manual, manual};
use super::Http;
use super::body::{Body, Content, Part};
use super::into::Into;
use crate::reader::Tree;
use crate::scope::Scope;
use crate::template::Template;
use crate::value::text;

/// What a body is said to be where nobody says.
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

impl Http {
    /// The command, and what it reads on standard input.
    pub(super) fn by_hand(&self, hand: &Hand<'_>) -> Manual {
        let connection = named(hand.connections, &self.on);
        let mut parts = vec![self.curl(hand, connection.map(|connection| &**connection))];
        let headers = connection.map(|connection| connection.manual_headers()).unwrap_or_default();
        let own = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let shared = headers.iter().filter(|(name, _)| !own(name));
        parts.extend(shared.chain(&self.headers).map(|(name, tree)| {
            format!(
                "-H {}",
                manual::quoted(&format!(
                    "{}: {}",
                    manual::literal(&manual::header(name)),
                    hand.tree_shell(tree)
                ))
            )
        }));
        let stdin = self.manual_body(hand, &mut parts);
        if self.wanders() && self.no_data() {
            parts.push("--data-binary '' -H 'Content-Type:'".to_owned());
        }
        if hand.head {
            let form = r#"-w '{"status": %{http_code}, "headers": %{header_json}}'"#;
            let file = self.into.as_ref().map(|into| manual::quoted(&hand.path(&into.file)));
            parts.push(format!("-o {} {form}", file.as_deref().unwrap_or("answer")));
            parts.push(r#"| jq '.headers |= map_values(join(", "))'"#.to_owned());
        }
        if let Some(paginate) = self.paginate.as_ref().filter(|_| !hand.head) {
            parts.push(format!("| {}", hand.list(paginate.items)));
        }
        if let Some(into) = &self.into {
            kept(&mut parts, into, hand);
        }
        let way = connection.and_then(|connection| connection.manual_way(hand));
        let way = way
            .map(|host| format!("# on {}, where it is set\n", host.replace('\n', " ")))
            .unwrap_or_default();
        let pages = self.paginate.as_ref().map(|paginate| paginate.by_hand(hand));
        let text = match self.accept.as_slice() {
            [] | [200] => String::new(),
            all => {
                let all: Vec<String> = all.iter().map(|status| format!("`{status}`")).collect();
                let words = if all.len() > 3 { ", " } else { " or " };
                format!("Right answers: status {}.", all.join(words))
            }
        };
        let text = [Some(text).filter(|text| !text.is_empty()), pages];
        let text = text.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let shell = Some(way + &parts.join(" \\\n  "));
        let newer = shell.as_ref().is_some_and(|shell| shell.contains(" --url-query "));
        let newer = newer.then(|| "`--url-query` needs curl 7.87 or newer".to_owned());
        let remarks = self.redirected().into_iter().chain(newer).collect();
        Manual { text, shell, stdin, remarks, ..Manual::default() }
    }

    /// Whether it is a `POST` that may be answered with a redirect to something to ask for.
    fn wanders(&self) -> bool {
        self.redirects > 0 && self.method == "POST"
    }

    /// Whether it sends nothing that `curl` takes for a `POST`'s data.
    fn no_data(&self) -> bool {
        match &self.body {
            None => true,
            Some(Body::Multipart(parts)) => parts.is_empty(),
            Some(_) => false,
        }
    }

    /// Whether `curl` is given data, be it none.
    fn has_data(&self) -> bool {
        self.body.is_some() || self.wanders()
    }

    /// What of its redirects `curl` cannot be told.
    fn redirected(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.redirects > 0 {
            remarks.push("a redirect to another host or scheme is not to be followed".to_owned());
        }
        if self.redirects > 0 && matches!(self.method, "PUT" | "PATCH" | "DELETE") {
            remarks
                .push("where a 303 leads is asked for with GET, by a call of its own".to_owned());
        }
        remarks
    }

    /// `curl` with its method and address.
    fn curl(&self, hand: &Hand<'_>, connection: Option<&Connection>) -> String {
        let base = connection.map(|connection| connection.manual_base(hand)).unwrap_or_default();
        let path = hand.shell(&self.url);
        let mut url = if path.starts_with("http://") || path.starts_with("https://") {
            path
        } else {
            manual::folder(&base) + path.trim_start_matches('/')
        };
        let mut query = Vec::new();
        if self.query.iter().all(|(_, tree)| tree.reads().is_empty()) {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, tree) in &self.query {
                let items = match tree {
                    Tree::List(items) => items.as_slice(),
                    one => std::slice::from_ref(one),
                };
                let said = items.iter().filter_map(|item| item.render(&Scope::default()).ok());
                form.extend_pairs(said.map(|json| (name, text(&json))));
            }
            let encoded = form.finish();
            if !encoded.is_empty() {
                url.push('?');
                url.push_str(&encoded);
            }
        } else {
            // the data of a call that has a body is that body
            let how = if self.has_data() { Pairs::Beside } else { Pairs::Data };
            query.extend(hand.pairs(&self.query, how));
        }
        let mut words = vec!["curl -sS".to_owned()];
        match self.method {
            "GET" if self.body.is_none() => {}
            "HEAD" => words.push("-I".to_owned()),
            // said of itself `curl` keeps it after a redirect that asks for something with GET
            "POST" if self.wanders() => {}
            method => words.push(format!("-X {method}")),
        }
        if self.redirects > 0 {
            words.push(format!("-L --max-redirs {}", self.redirects));
        }
        words.extend(
            connection.map(|connection| connection.manual_options(hand)).unwrap_or_default(),
        );
        if !query.is_empty() && !self.has_data() {
            words.push("-G".to_owned());
        }
        words.push(manual::quoted(&url));
        std::iter::once(words.join(" ")).chain(query).collect::<Vec<_>>().join(" \\\n  ")
    }

    /// The body is what another command prints.
    fn piped_body(
        &self,
        (kind, command): (&str, String),
        parts: &mut Vec<String>,
    ) -> Option<String> {
        if !self.says_type() {
            parts.push(format!("-H 'Content-Type: {kind}'"));
        }
        parts.push("--data-binary @-".to_owned());
        parts[0] = format!("| {}", parts[0]);
        parts.insert(0, command);
        None
    }

    fn says_type(&self) -> bool {
        self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    }

    /// Adds the options of the body; what goes to standard input is given back.
    fn manual_body(&self, hand: &Hand<'_>, parts: &mut Vec<String>) -> Option<String> {
        let (kind, text) = match self.body.as_ref()? {
            Body::Form(fields) if fields.is_empty() => {
                parts.push("-d ''".to_owned());
                return None;
            }
            Body::Form(fields) => {
                parts.extend(hand.pairs(fields, Pairs::Data));
                return None;
            }
            Body::Json(tree) => match hand.filled(tree) {
                Some(command) => return self.piped_body((JSON, command), parts),
                None => (JSON, hand.body(tree)),
            },
            Body::Text(template) => {
                let text = hand.shell(template);
                if !text.ends_with('\n') {
                    // a here document would end the line
                    let command = format!("printf %s {}", manual::quoted(&text));
                    return self.piped_body((TEXT, command), parts);
                }
                (TEXT, text)
            }
            Body::Upload(file) => {
                parts.push(format!("--data-binary {}", manual::quoted(&at(hand, file))));
                if !self.says_type() {
                    parts.push("-H 'Content-Type: application/octet-stream'".to_owned());
                }
                return None;
            }
            Body::Multipart(all) => {
                parts.extend(all.iter().map(|part| form(hand, part)));
                return None;
            }
        };
        if !self.says_type() {
            parts.push(format!("-H 'Content-Type: {kind}'"));
        }
        if hand.head {
            parts.push(format!("--data-binary {}", manual::quoted(&text)));
            return None;
        }
        parts.push("--data-binary @-".to_owned());
        Some(text)
    }
}

/// Keeps the answer in a file, with the permissions it is to have from the beginning.
fn kept(parts: &mut Vec<String>, into: &Into, hand: &Hand<'_>) {
    let file = manual::quoted(&hand.path(&into.file));
    let mode = into.mode.filter(|mode| *mode != "0600");
    let mode = mode.map(|mode| format!(" && chmod {mode} {file}")).unwrap_or_default();
    parts[0] = format!("(umask 077; {}", parts[0]);
    let out = if hand.head { String::new() } else { format!("-o {file}") };
    parts.push(format!("{out}{mode})"));
}

/// A file, as `curl` is told to read it.
fn at(hand: &Hand<'_>, file: &Template) -> String {
    format!("@{}", hand.path(file))
}

/// A part of a form.
fn form(hand: &Hand<'_>, part: &Part) -> String {
    let kind = part.kind.as_ref().map(|kind| format!(";type={}", hand.shell(kind)));
    let kind = kind.unwrap_or_default();
    let name = manual::literal(&part.name);
    match &part.content {
        Content::Text(text) if kind.is_empty() => {
            let pair = format!("{name}={}", hand.shell(text));
            format!("--form-string {}", manual::quoted(&pair))
        }
        // between quotes nothing means anything but what `\` stands before
        Content::Text(text) if text.is_literal() => {
            let text = text.source().replace('\\', r"\\").replace('"', "\\\"");
            let pair = format!("{name}=\"{}\"{kind}", manual::literal(&text));
            format!("-F {}", manual::quoted(&pair))
        }
        Content::Text(text) => {
            // a dot at the end keeps the line ends before it
            let text = manual::quoted(&format!("{}.", hand.shell(text)));
            let made = hand.made(&format!(r#"printf %s {text} | sed 's/[\\"]/\\&/g'"#));
            let made = made.replace('}', "%.}");
            format!("-F {}", manual::quoted(&format!("{name}=\"{made}\"{kind}")))
        }
        Content::File(file) => {
            let called = part.filename.as_ref().map(|text| hand.shell(text));
            let called = called.map(|name| format!(";filename={name}")).unwrap_or_default();
            let pair = format!("{name}={}{kind}{called}", at(hand, file));
            format!("-F {}", manual::quoted(&pair))
        }
    }
}
