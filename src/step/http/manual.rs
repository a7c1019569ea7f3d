//! A call as `curl` makes it.

use super::super::connection::{Connection, named};
use super::super::{Hand, Manual, manual};
use super::Http;
use super::body::{Body, Content, Part};
use crate::template::Template;

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
        if hand.head {
            let form = r#"-o answer -w '{"status": %{http_code}, "headers": %{header_json}}'"#;
            parts.push(form.to_owned());
            parts.push(r#"| jq '.headers |= map_values(join(", "))'"#.to_owned());
        }
        if let Some(paginate) = self.paginate.as_ref().filter(|_| !hand.head) {
            parts.push(format!("| {}", hand.list(paginate.items)));
        }
        if let Some(into) = &self.into {
            parts.push(format!("-o {}", manual::quoted(&hand.path(&into.file))));
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
        Manual { text, shell: Some(way + &parts.join(" \\\n  ")), stdin, ..Manual::default() }
    }

    /// `curl` with its method and address.
    fn curl(&self, hand: &Hand<'_>, connection: Option<&Connection>) -> String {
        let base = connection.map(|connection| connection.manual_base(hand)).unwrap_or_default();
        let path = hand.shell(&self.url);
        let mut url = if path.starts_with("http://") || path.starts_with("https://") {
            path
        } else {
            format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'))
        };
        let mut query = Vec::new();
        if self.query.iter().all(|(_, tree)| tree.reads().is_empty()) {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(
                self.query.iter().map(|(name, tree)| (name, manual::tree_words(tree))),
            );
            let encoded = form.finish();
            if !encoded.is_empty() {
                url.push('?');
                url.push_str(&encoded);
            }
        } else {
            query.extend(self.query.iter().map(|(name, tree)| {
                let pair = format!("{}={}", manual::literal(name), hand.tree_shell(tree));
                format!("--data-urlencode {}", manual::quoted(&pair))
            }));
        }
        let mut words = vec!["curl -sS".to_owned()];
        match self.method {
            "GET" => {}
            "HEAD" => words.push("-I".to_owned()),
            method => words.push(format!("-X {method}")),
        }
        if self.redirects > 0 {
            words.push(format!("-L --max-redirs {}", self.redirects));
        }
        words.extend(
            connection.map(|connection| connection.manual_options(hand)).unwrap_or_default(),
        );
        if !query.is_empty() {
            words.push("-G".to_owned());
        }
        words.push(manual::quoted(&url));
        std::iter::once(words.join(" ")).chain(query).collect::<Vec<_>>().join(" \\\n  ")
    }

    /// The body is what another command prints.
    fn piped_body(&self, command: String, parts: &mut Vec<String>) -> Option<String> {
        if !self.says_type() {
            parts.push("-H 'Content-Type: application/json'".to_owned());
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
            Body::Form(fields) => {
                parts.extend(fields.iter().map(|(name, tree)| {
                    let pair = format!("{}={}", manual::literal(name), hand.tree_shell(tree));
                    format!("--data-urlencode {}", manual::quoted(&pair))
                }));
                return None;
            }
            Body::Json(tree) => match hand.filled(tree) {
                Some(command) => return self.piped_body(command, parts),
                None => ("application/json", hand.body(tree)),
            },
            Body::Text(template) => ("text/plain; charset=utf-8", hand.shell(template)),
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
        Content::Text(text) => {
            let pair = format!("{name}={}{kind}", hand.shell(text));
            format!("-F {}", manual::quoted(&pair))
        }
        Content::File(file) => {
            let called = part.filename.as_ref().map(|text| hand.shell(text));
            let called = called.map(|name| format!(";filename={name}")).unwrap_or_default();
            let pair = format!("{name}={}{kind}{called}", at(hand, file));
            format!("-F {}", manual::quoted(&pair))
        }
    }
}
