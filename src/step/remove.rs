//! `remove`: takes a block of lines out of a file: exactly that block, or nothing.
//!
//! The counterpart of `append`, for a block that an earlier run or a person wrote. What is
//! gone already is no failure; the file itself stays, even when nothing is left in it. Taking it
//! back puts the block where it stood.

use std::path::{Path, PathBuf};

use crate::journal::event::Effect;
use crate::reader::{Field, REVEAL, Reader, Rules, Shape};
use crate::value::{Json, Labeled};

use super::block::{self, How, Ours, Place};
use super::lines::{FOLLOW_LINKS, Lines, shown};
use super::{Answer, Cx, Hand, Kind, Local, Manual, Step, Touch, Trouble, manual};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "remove",
    about: "Takes a block of lines out of a file, if exactly that block is there.",
    fields: FIELDS,
    rules: Rules::needs(&["file", "text"]),
    without: &[],
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
    FOLLOW_LINKS,
    REVEAL,
];

#[derive(Debug)]
struct Remove(Lines);

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    Some(Box::new(Remove(Lines::parse(reader, FIELDS, "a `remove`")?)))
}

impl Step for Remove {
    fn effect(&self) -> Effect {
        Effect::Repeatable
    }

    fn touches(&self) -> Vec<Touch<'_>> {
        self.0.touches("takes")
    }

    fn what(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        let (lines, path) = (block::lines(&self.0.block(cx)?), self.0.path(cx)?);
        Ok(cx.mask(&format!("take {lines} out of {}", path.display())))
    }

    fn preview(&self, cx: &Cx<'_>) -> Result<Vec<String>, Trouble> {
        Ok(shown(cx, &self.0.block(cx)?))
    }

    fn manual(&self, _hand: &Hand<'_>) -> Manual {
        let (file, text) = (manual::words(&self.0.file), manual::words(&self.0.text));
        let text = text.trim_end();
        Manual::text(format!(
            "Take these lines out of `{file}`, if they are there:\n\n```\n{text}\n```"
        ))
    }

    fn before(&self, cx: &Cx<'_>) -> Vec<(&'static str, Labeled)> {
        let (Ok(path), Ok(block)) = (self.0.path(cx), self.0.block(cx)) else { return Vec::new() };
        let Ok(Some(place)) = block::place(&path, &block, self.0.follow_links) else {
            return Vec::new();
        };
        self.remember(cx, &path, block, place)
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            let (path, block) = (self.0.path(cx)?, self.0.block(cx)?);
            if block.trim().is_empty() {
                return Err(Trouble::failed("the block to take out is empty"));
            }
            let failed = |error| block::explain(&path, &error);
            let place = block::place(&path, &block, self.0.follow_links).map_err(failed)?;
            // The file is not this step's own, and every byte but the block's is somebody else's.
            let ours = Ours { created: false, newline: false, doubt: false };
            let how = How::of(cx, self.0.follow_links);
            let summary = block::remove(&path, &block, &ours, how).await.map_err(failed)?;
            let private = match place {
                Some(place) => self.remember(cx, &path, block, place),
                // Taken out before the crash: how it stood then is what counts.
                None => kept(cx).map_or_else(Vec::new, |(path, block, place)| {
                    self.remember(cx, &path, block, place)
                }),
            };
            let unchanged = private.is_empty();
            Ok(Answer { summary, private, unchanged, ..Answer::default() })
        })
    }

    fn take_back<'a>(&'a self, cx: &'a Cx<'a>) -> Option<Local<'a, Result<String, Trouble>>> {
        Some(Box::pin(async move {
            let Some((path, block, place)) = kept(cx) else {
                return Ok("was not there before this run; left alone".to_owned());
            };
            block::put_back(&path, &block, &place, How::of(cx, self.0.follow_links))
                .await
                .map_err(|error| block::explain(&path, &error))
        }))
    }

    fn manual_back(&self) -> Option<Manual> {
        let file = manual::words(&self.0.file);
        Some(Manual::text(format!("Put the lines back into `{file}` where they stood.")))
    }
}

/// What a run remembers of the block it took out: the file, the block, its place.
fn kept(cx: &Cx<'_>) -> Option<(PathBuf, String, Place)> {
    let text = |name: &str| cx.kept_text(name).map(str::to_owned);
    let number = |name: &str| {
        let number = cx.private.get(name)?.json.as_u64()?;
        usize::try_from(number).ok()
    };
    let place = Place {
        offset: number("offset")?,
        before: text("before")?,
        times: number("times")?,
        unended: cx.kept_flag("unended"),
    };
    Some((PathBuf::from(text("path")?), text("block")?, place))
}

impl Remove {
    fn remember(
        &self,
        cx: &Cx<'_>,
        path: &Path,
        block: String,
        place: Place,
    ) -> Vec<(&'static str, Labeled)> {
        vec![
            ("path", Labeled::plain(path.display().to_string())),
            ("block", self.0.labeled(cx, block)),
            ("offset", Labeled::plain(place.offset)),
            // It tells what stands before the block to who can guess it.
            ("before", Labeled { json: Json::from(place.before), secret: true }),
            ("times", Labeled::plain(place.times)),
            ("unended", Labeled::plain(place.unended)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_block_goes_once_and_nothing_else() {
        let patience = std::time::Duration::from_mins(5);
        let how = How { follow: false, doubt: false, patience };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let ours = Ours { created: false, newline: false, doubt: false };
        for (before, after) in [
            ("x=1\n# a\nA=1\ny=2\n", "x=1\ny=2\n"),
            ("# a\nA=1\n", ""),
            ("x=1\n# a\nA=1", "x=1\n"),
            ("# a\nA=2\n", "# a\nA=2\n"),
            ("z# a\nA=1\n", "z# a\nA=1\n"),
        ] {
            std::fs::write(&path, before).unwrap();
            block::remove(&path, "# a\nA=1\n", &ours, how).await.unwrap();
            block::remove(&path, "# a\nA=1\n", &ours, how).await.unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
        std::fs::remove_file(&path).unwrap();
        assert!(block::remove(&path, "# a\nA=1\n", &ours, how).await.is_ok());
    }
}
