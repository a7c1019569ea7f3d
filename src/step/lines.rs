//! What `append` and `remove` have in common: a block of lines, and the file that it belongs in.

use std::path::PathBuf;

use crate::reader::{Field, Reader, Shape, Sink};
use crate::template::Template;
use crate::value::{Json, Labeled};

use super::{Cx, Touch, Trouble, Writes};

/// Both kinds' field of that name.
pub(super) const FOLLOW_LINKS: Field = Field {
    name: "follow_links",
    shape: Shape::Boolean,
    about: "Whether `file` may be a symbolic link, and the way there another user's to bend; both are refused if not said.",
};

/// The fields of such a step.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) file: Template,
    pub(super) text: Template,
    pub(super) follow_links: bool,
}

impl Lines {
    /// Reads them; `what` names the step in what is said.
    pub(super) fn parse(reader: &Reader<'_>, fields: &[Field], what: &str) -> Option<Self> {
        reader.only(fields);
        let file = reader.template("file", reader.open("a path"));
        let text = reader.template("text", Sink::Closed);
        let follow_links = reader.boolean("follow_links").unwrap_or(false);
        for key in ["file", "text"] {
            if !reader.has(key) {
                return reader.missing(key, &format!("{what} needs `file` and `text`"));
            }
        }
        Some(Self { file: file?, text: text?, follow_links })
    }

    /// What is touched; `word` says what becomes of the lines.
    pub(super) fn touches(&self, word: &'static str) -> Vec<Touch<'_>> {
        vec![Touch::Writes(Writes { file: &self.file, lines: Some((word, &self.text)) })]
    }

    /// The block as it is in the file.
    pub(super) fn block(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        Ok(ended(self.text.render_text(cx.scope)?))
    }

    /// The same with the label of all that is in it.
    pub(super) fn labeled(&self, cx: &Cx<'_>, block: String) -> Labeled {
        Labeled { json: Json::from(block), secret: self.secret(cx) }
    }

    pub(super) fn secret(&self, cx: &Cx<'_>) -> bool {
        cx.scope.any_secret(self.text.reads().iter().map(|read| &*read.name))
    }

    /// The file, which is not written.
    pub(super) fn path(&self, cx: &Cx<'_>) -> Result<PathBuf, Trouble> {
        Ok(cx.services.place(&self.file.render_text(cx.scope)?))
    }
}

/// A block's lines as anybody may see them.
pub(super) fn shown(cx: &Cx<'_>, block: &str) -> Vec<String> {
    block.lines().map(|line| cx.mask(line)).collect()
}

/// A text as a block: it ends with a line end in any case.
pub(super) fn ended(text: String) -> String {
    if text.ends_with('\n') { text } else { text + "\n" }
}
