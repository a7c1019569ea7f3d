//! What a call sends.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::super::{Cx, Touch, Trouble};
use super::pairs;
use crate::diag::Diag;
use crate::reader::{Field, Reader, Rules, Shape, Sink, Tree};
use crate::template::Template;
use crate::transport::{Payload, Piece};
use crate::value::Json;

/// The keys that give a body; at most one stands in a call.
pub(super) const KEYS: &[&str] = &["json", "form", "text", "multipart", "upload"];

/// What a file is sent as when nobody says.
const BINARY: &str = "application/octet-stream";

/// The keys of a part of `multipart`.
pub(super) const PART: &[Field] = &[
    Field { name: "name", shape: Shape::Text, about: "The part's name." },
    Field { name: "text", shape: Shape::Template, about: "Its content: a text." },
    Field { name: "file", shape: Shape::Template, about: "Its content: a file of this machine." },
    Field {
        name: "filename",
        shape: Shape::Template,
        about: "What the file is called there; its own name if not said.",
    },
    Field {
        name: "type",
        shape: Shape::Template,
        about: "Its content type; of a file `application/octet-stream` if not said.",
    },
];

/// Which of them go together.
pub const RULES: Rules = Rules {
    needs: &["name"],
    apart: &["text", "file"],
    any: &["text", "file"],
    with: &[("filename", "file")],
};

#[derive(Debug)]
pub(super) enum Body {
    Json(Tree),
    Form(Vec<(String, Tree)>),
    Text(Template),
    Multipart(Vec<Part>),
    Upload(Template),
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) content: Content,
    pub(super) filename: Option<Template>,
    pub(super) kind: Option<Template>,
}

#[derive(Debug)]
pub(super) enum Content {
    Text(Template),
    File(Template),
}

/// A body with its values, and what kind of content it is.
pub(super) struct Sent {
    pub(super) kind: String,
    pub(super) what: What,
}

pub(super) enum What {
    Json(Json),
    Bytes(Vec<u8>),
    Pieces(Vec<Piece>),
}

impl Sent {
    pub(super) fn payload(self) -> Payload {
        match self.what {
            What::Json(json) => Payload::Bytes(json.to_string().into_bytes()),
            What::Bytes(bytes) => Payload::Bytes(bytes),
            What::Pieces(pieces) => Payload::Pieces(pieces),
        }
    }
}

pub(super) fn parse(reader: &Reader<'_>) -> Option<Body> {
    let given: Vec<&str> = KEYS.iter().copied().filter(|key| reader.has(key)).collect();
    if let [first, second, ..] = given.as_slice() {
        let span = |key: &str| reader.get(key).map_or(reader.span(), toml::Spanned::span);
        let title = format!("a call has one body, not `{first}` and `{second}`");
        let diag = Diag::error(title, span(second)).related(span(first), "the other one");
        reader.gather.report(diag);
    }
    match given.first().copied()? {
        "json" => reader.tree("json", Sink::Closed).map(Body::Json),
        "form" => Some(Body::Form(reader.map("form", Sink::Closed))),
        "text" => reader.template("text", Sink::Closed).map(Body::Text),
        "upload" => reader.template("upload", reader.open("a path")).map(Body::Upload),
        _ => {
            let tables = reader.tables("multipart");
            Some(Body::Multipart(tables.iter().filter_map(|table| part(reader, table)).collect()))
        }
    }
}

fn part(call: &Reader<'_>, reader: &Reader<'_>) -> Option<Part> {
    reader.only(PART);
    if !reader.obeys(&RULES) {
        return None;
    }
    let path = call.open("a path");
    let text = reader.template("text", Sink::Closed).map(Content::Text);
    let file = reader.template("file", path).map(Content::File);
    let filename = reader.template("filename", Sink::Closed);
    let kind = reader.template("type", Sink::Closed);
    Some(Part { name: reader.string("name")?, content: text.or(file)?, filename, kind })
}

impl Body {
    /// The files of this machine that it sends.
    pub(super) fn touches(&self) -> Vec<Touch<'_>> {
        self.files().map(Touch::Sends).collect()
    }

    fn files(&self) -> impl Iterator<Item = &Template> {
        let (one, parts): (_, &[Part]) = match self {
            Self::Upload(file) => (Some(file), &[]),
            Self::Multipart(parts) => (None, parts),
            _ => (None, &[]),
        };
        one.into_iter().chain(parts.iter().filter_map(|part| match &part.content {
            Content::File(file) => Some(file),
            Content::Text(_) => None,
        }))
    }

    /// The body with its values.
    pub(super) fn sent(&self, cx: &Cx<'_>) -> Result<Sent, Trouble> {
        let (kind, what) = match self {
            Self::Json(tree) => ("application/json", What::Json(tree.render(cx.scope)?)),
            Self::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(pairs(fields, cx)?);
                let bytes = form.finish().into_bytes();
                ("application/x-www-form-urlencoded", What::Bytes(bytes))
            }
            Self::Text(template) => {
                let bytes = template.render_text(cx.scope)?.into_bytes();
                ("text/plain; charset=utf-8", What::Bytes(bytes))
            }
            Self::Upload(file) => (BINARY, What::Pieces(vec![Piece::File(path(cx, file)?)])),
            Self::Multipart(parts) => return multipart(cx, parts),
        };
        Ok(Sent { kind: kind.to_owned(), what })
    }

    /// What is sent, in lines for a person.
    pub(super) fn lines(&self, cx: &Cx<'_>) -> Result<Vec<String>, Trouble> {
        let parts = match self {
            Self::Multipart(parts) => parts,
            Self::Upload(file) => {
                return Ok(vec![BINARY.to_owned(), cx.mask(&told(&path(cx, file)?))]);
            }
            _ => return self.sent(cx).map(|sent| sent.lines(cx)),
        };
        let line = |part: &Part| {
            let content = match &part.content {
                Content::Text(text) => text.render_text(cx.scope)?,
                Content::File(file) => told(&path(cx, file)?),
            };
            Ok(cx.mask(&format!("{}: {content}", part.name)))
        };
        let lines: Result<Vec<String>, Trouble> = parts.iter().map(line).collect();
        Ok(std::iter::once("multipart/form-data".to_owned()).chain(lines?).collect())
    }
}

impl Sent {
    fn lines(self, cx: &Cx<'_>) -> Vec<String> {
        let content = match self.what {
            What::Json(json) => serde_json::to_string_pretty(&json).unwrap_or_default(),
            What::Bytes(bytes) => {
                return vec![self.kind, cx.mask(&String::from_utf8_lossy(&bytes))];
            }
            What::Pieces(_) => String::new(),
        };
        let lines = content.lines().map(|line| cx.mask(line));
        std::iter::once(self.kind).chain(lines).collect()
    }
}

/// A file, as a person is told of it.
fn told(path: &Path) -> String {
    let size = std::fs::metadata(path).map(|about| format!(", {} bytes", about.len()));
    format!("the file {}{}", path.display(), size.unwrap_or_default())
}

/// The file to send. In a rehearsal it may be one that the rehearsal wrote.
fn path(cx: &Cx<'_>, file: &Template) -> Result<PathBuf, Trouble> {
    let (text, world) = (file.render_text(cx.scope)?, &cx.services.world);
    let placed = cx.services.place(&text);
    let real = || world.cwd.join(world.expand_home(&text));
    Ok(if placed.exists() { placed } else { real() })
}

/// RFC 7578: each part between boundaries that no content has.
fn multipart(cx: &Cx<'_>, parts: &[Part]) -> Result<Sent, Trouble> {
    let chance = || getrandom::u64().map_err(|_| Trouble::failed("the system gives no randomness"));
    let boundary = format!("runbook-{:016x}{:016x}", chance()?, chance()?);
    let mut pieces = Vec::new();
    for part in parts {
        let kind = part.kind.as_ref().map(|kind| kind.render_text(cx.scope)).transpose()?;
        let mut head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
            escaped(&part.name)
        );
        let (kind, content) = match &part.content {
            Content::Text(text) => (kind, Piece::Bytes(text.render_text(cx.scope)?.into_bytes())),
            Content::File(file) => {
                let path = path(cx, file)?;
                let own = || path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let named = part.filename.as_ref().map(|name| name.render_text(cx.scope));
                let name = named.transpose()?.unwrap_or_else(own);
                let _ = write!(head, "; filename=\"{}\"", escaped(&name));
                (kind.or_else(|| Some(BINARY.to_owned())), Piece::File(path))
            }
        };
        if let Some(kind) = kind {
            if kind.contains(|c: char| c.is_control()) {
                let name = &part.name;
                let message = format!("the type of part `{name}` holds a control character");
                return Err(Trouble::failed(message));
            }
            let _ = write!(head, "\r\nContent-Type: {kind}");
        }
        pieces.push(Piece::Bytes((head + "\r\n\r\n").into_bytes()));
        pieces.push(content);
        pieces.push(Piece::Bytes(b"\r\n".to_vec()));
    }
    pieces.push(Piece::Bytes(format!("--{boundary}--\r\n").into_bytes()));
    let kind = format!("multipart/form-data; boundary={boundary}");
    Ok(Sent { kind, what: What::Pieces(pieces) })
}

/// A name inside quotes, as browsers write it.
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
