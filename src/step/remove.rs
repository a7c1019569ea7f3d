//! `remove`: takes a block of lines out of a file: exactly that block, or nothing.
//!
//! The counterpart of `append`, for a block that an earlier run or a person wrote. What is
//! gone already is no failure; the file itself stays, even when nothing is left in it.

use std::path::PathBuf;

use crate::journal::event::Effect;
use crate::reader::{Field, REVEAL, Reader, Rules, Shape, Sink};
use crate::template::Template;

use super::append::{self, Ours};
use super::{Answer, Cx, Hand, Kind, Local, Manual, Step, Touch, Trouble, manual};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "remove",
    about: "Takes a block of lines out of a file, if exactly that block is there.",
    fields: FIELDS,
    rules: Rules::needs(&["file", "text"]),
    plain: None,
    example: r#"[[steps]]
id = "forget"
[steps.remove]
file = "{{ credentials_file }}"
text = """
# {{ app }}
APP_KEY={{ key }}
"""
"#,
    parse,
};

const FIELDS: &[Field] = &[
    Field {
        name: "file",
        shape: Shape::Template,
        about: "The file; nothing is done if it is not there.",
    },
    Field {
        name: "text",
        shape: Shape::Template,
        about: "The block; ends with a line end in any case. The last one is taken out.",
    },
    Field {
        name: "follow_links",
        shape: Shape::Boolean,
        about: "Whether `file` may be a symbolic link; if not said, one is refused.",
    },
    REVEAL,
];

#[derive(Debug)]
struct Remove {
    file: Template,
    text: Template,
    follow_links: bool,
}

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    reader.only(FIELDS);
    let file = reader.template("file", reader.open("a path"));
    let text = reader.template("text", Sink::Closed);
    let follow_links = reader.boolean("follow_links").unwrap_or(false);
    for key in ["file", "text"] {
        if !reader.has(key) {
            return reader.missing(key, "a `remove` needs `file` and `text`");
        }
    }
    Some(Box::new(Remove { file: file?, text: text?, follow_links }))
}

impl Step for Remove {
    fn effect(&self) -> Effect {
        Effect::Repeatable
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Writes(self.file.source().to_owned())]
    }

    fn what(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        let (lines, path) = (append::lines(&self.block(cx)?), self.path(cx)?);
        Ok(cx.mask(&format!("take {lines} out of {}", path.display())))
    }

    fn preview(&self, cx: &Cx<'_>) -> Result<Vec<String>, Trouble> {
        Ok(self.block(cx)?.lines().map(|line| cx.mask(line)).collect())
    }

    fn manual(&self, _hand: &Hand<'_>) -> Manual {
        let (file, text) = (manual::words(&self.file), manual::words(&self.text));
        let text = text.trim_end();
        Manual::text(format!(
            "Take these lines out of `{file}`, if they are there:\n\n```\n{text}\n```"
        ))
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            let (path, block) = (self.path(cx)?, self.block(cx)?);
            if block.trim().is_empty() {
                return Err(Trouble::failed("the block to take out is empty"));
            }
            // The file is not this step's own, and every byte but the block's is somebody else's.
            let ours = Ours { created: false, newline: false, doubt: false };
            let summary = append::remove(&path, &block, &ours, self.follow_links)
                .map_err(|error| append::explain(&path, &error))?;
            Ok(Answer { summary, ..Answer::default() })
        })
    }
}

impl Remove {
    fn path(&self, cx: &Cx<'_>) -> Result<PathBuf, Trouble> {
        Ok(cx.services.place(&self.file.render_text(cx.scope)?))
    }

    fn block(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        let text = self.text.render_text(cx.scope)?;
        Ok(if text.ends_with('\n') { text } else { text + "\n" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_goes_once_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let ours = Ours { created: false, newline: false, doubt: false };
        for (before, after) in [
            ("x=1\n# a\nA=1\ny=2\n", "x=1\ny=2\n"),
            ("# a\nA=1\n", ""),
            ("# a\nA=2\n", "# a\nA=2\n"),
            ("z# a\nA=1\n", "z# a\nA=1\n"),
        ] {
            std::fs::write(&path, before).unwrap();
            append::remove(&path, "# a\nA=1\n", &ours, false).unwrap();
            append::remove(&path, "# a\nA=1\n", &ours, false).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
        std::fs::remove_file(&path).unwrap();
        assert!(append::remove(&path, "# a\nA=1\n", &ours, false).is_ok());
    }
}
