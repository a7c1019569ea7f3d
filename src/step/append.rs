//! `append`: a guarded block in a file: there once, exactly, or not at all.
//!
//! A block that is there already is left alone. Taking it back removes that block and nothing
//! else. What is done to the file is in `block`; here is what a run must remember of it, and that
//! no value adds a line that its author did not write.

use std::path::{Path, PathBuf};

use crate::journal::event::Effect;
use crate::reader::{Field, REVEAL, Reader, Rules, Shape};
use crate::scope::Scope;
use crate::template::{Lookup, from_json};
use crate::value::{Json, Labeled};

use super::block::{self, How, Ours};
use super::lines::{FOLLOW_LINKS, Lines, ended, shown};
use super::{
    Answer, Cx, Failure, Hand, Kind, Local, Manual, Services, Step, Touch, Trouble, manual,
};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "append",
    about: "Adds a block of lines to a file, once and exactly; a new file is readable by its owner only.",
    fields: FIELDS,
    rules: Rules::needs(&["file", "text"]),
    without: &[],
    plain: None,
    example: r#"[[steps]]
id = "store"
[steps.append]
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
        about: "The file; created with mode 0600 if it is not there.",
    },
    Field {
        name: "text",
        shape: Shape::Template,
        about: "The block; ends with a line end in any case.",
    },
    FOLLOW_LINKS,
    REVEAL,
];

#[derive(Debug)]
struct Append(Lines);

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    Some(Box::new(Append(Lines::parse(reader, FIELDS, "an `append`")?)))
}

impl Step for Append {
    fn effect(&self) -> Effect {
        Effect::Repeatable
    }

    fn touches(&self) -> Vec<Touch<'_>> {
        self.0.touches("adds")
    }

    fn what(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        Ok(cx.mask(&format!(
            "append {} to {}",
            block::lines(&self.block(cx)?),
            self.path(cx)?.display()
        )))
    }

    fn preview(&self, cx: &Cx<'_>) -> Result<Vec<String>, Trouble> {
        Ok(shown(cx, &self.block(cx)?))
    }

    fn foresee(
        &self,
        known: &Scope,
        secret: &dyn Fn(&str) -> bool,
        services: &Services,
    ) -> Option<Failure> {
        let file = &self.0.file;
        if services.folder.is_some() || !file.reads().iter().all(|read| known.has(&read.name)) {
            return None;
        }
        let path = services.place(&file.render_text(known).ok()?);
        let secret = self.0.text.reads().iter().any(|read| secret(&read.name));
        block::foresee(&path, self.0.follow_links, secret)
    }

    fn before(&self, cx: &Cx<'_>) -> Vec<(&'static str, Labeled)> {
        let (Ok(path), Ok(block)) = (self.path(cx), self.block(cx)) else { return Vec::new() };
        let Ok(found) = block::look(&path, &block, self.0.follow_links) else { return Vec::new() };
        vec![
            ("created", Labeled::plain(found.created)),
            ("newline", Labeled::plain(found.newline)),
            ("unchanged", Labeled::plain(found.unchanged)),
        ]
    }

    fn manual(&self, hand: &Hand<'_>) -> Manual {
        // a new file is for its owner's eyes
        let shell = format!("(umask 077; cat >> {})", manual::quoted(&hand.path(&self.0.file)));
        let stdin = Some(hand.shell(&self.0.text));
        Manual { shell: Some(shell), stdin, ..Manual::default() }
    }

    fn manual_back(&self) -> Option<Manual> {
        let file = manual::words(&self.0.file);
        Some(Manual::text(format!("Remove the lines that were added to `{file}`, and only them.")))
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            let (path, block) = (self.path(cx)?, self.block(cx)?);
            let secret = self.0.secret(cx);
            let mut how = How::of(cx, self.0.follow_links);
            how.doubt &= !cx.kept_flag("unchanged");
            let mut written = block::add(&path, &block, how, secret)
                .await
                .map_err(|error| block::explain(&path, &error))?;
            if cx.in_doubt && cx.private.contains_key("created") {
                // What is there now may be this run's own work of before the crash.
                written.created = cx.kept_flag("created");
                written.newline = cx.kept_flag("newline");
                written.unchanged &= cx.kept_flag("unchanged");
            }
            let summary = if written.unchanged {
                format!("already in {}", path.display())
            } else {
                format!("{} added to {}", block::lines(&block), path.display())
            };
            let private = vec![
                ("path", Labeled::plain(path.display().to_string())),
                ("block", self.0.labeled(cx, block)),
                ("created", Labeled::plain(written.created)),
                ("newline", Labeled::plain(written.newline)),
                ("unchanged", Labeled::plain(written.unchanged)),
            ];
            Ok(Answer { summary, private, unchanged: written.unchanged, ..Answer::default() })
        })
    }

    fn take_back<'a>(&'a self, cx: &'a Cx<'a>) -> Option<Local<'a, Result<String, Trouble>>> {
        Some(Box::pin(async move {
            if cx.kept_flag("unchanged") {
                return Ok("was there before this run; left alone".to_owned());
            }
            // Only a finished step has said where and what; in doubt it is what it would have been.
            let path = cx
                .kept_text("path")
                .map_or_else(|| self.path(cx), |path| Ok(PathBuf::from(path)))?;
            let block = cx
                .kept_text("block")
                .map_or_else(|| self.block(cx), |block| Ok(block.to_owned()))?;
            let (created, newline) = (cx.kept_flag("created"), cx.kept_flag("newline"));
            let ours = Ours { created, newline, doubt: cx.kept_text("block").is_none() };
            let failed = |error| block::explain(&path, &error);
            match block::left(&path, &block, ours.doubt, self.0.follow_links).map_err(failed)? {
                0 => {
                    let how = How::of(cx, self.0.follow_links);
                    block::remove(&path, &block, &ours, how).await.map_err(failed)
                }
                left => Err(changed(&path, left)),
            }
        }))
    }
}

impl Append {
    fn path(&self, cx: &Cx<'_>) -> Result<PathBuf, Trouble> {
        Ok(cx.services.place_to_write(&self.0.file.render_text(cx.scope)?))
    }

    /// The block. Its lines are the author's: a value that would add one is refused, as a name
    /// from elsewhere could otherwise set any key of the file.
    fn block(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        let text = self.0.text.render_text(cx.scope)?;
        self.refuse_forged(cx, &text)?;
        Ok(ended(text))
    }

    /// Compares with the same text made of values without control characters.
    fn refuse_forged(&self, cx: &Cx<'_>, text: &str) -> Result<(), Trouble> {
        let wild = |name: &&str| cx.scope.get(name).is_some_and(|value| breaks(&value.json));
        let names = self.0.text.reads().iter().map(|read| read.name.as_str());
        let Some(name) = { names }.find(wild) else { return Ok(()) };
        let controls = |text: &str| text.chars().filter(|c| control(*c)).count();
        if controls(text) <= controls(&self.0.text.render_text(&Tame(cx.scope))?) {
            return Ok(());
        }
        let message = format!(
            "`{name}` holds a line end or another control character: it would forge a line in the file"
        );
        Err(Trouble::failed(message).hint(
            "give it in one line, or encode it: `{{ value | b64encode }}`, `{{ value | tojson }}`",
        ))
    }
}

/// Of a block that is not as it was written only a person can say what is to go.
fn changed(path: &Path, left: usize) -> Trouble {
    let lines = if left == 1 { "line" } else { "lines" };
    let message =
        format!("the block in {} was changed since: {left} {lines} of it stay", path.display());
    Trouble::failed(message).hint(
        "take out by hand what is left of it; if none of it is this run's, `--done` counts it as taken back",
    )
}

/// Whether a character breaks lines or steers a terminal.
fn control(c: char) -> bool {
    c.is_control() && c != '\t' || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether there is such a character in a value's texts.
fn breaks(json: &Json) -> bool {
    match json {
        Json::String(text) => text.chars().any(control),
        Json::Array(items) => items.iter().any(breaks),
        Json::Object(map) => {
            map.iter().any(|(key, value)| key.chars().any(control) || breaks(value))
        }
        _ => false,
    }
}

/// The values of a scope without any such character.
struct Tame<'a>(&'a Scope);

impl Lookup for Tame<'_> {
    fn value(&self, name: &str) -> Option<minijinja::Value> {
        self.0.get(name).map(|value| from_json(&tame(&value.json)))
    }
}

fn tame(json: &Json) -> Json {
    let text = |text: &str| text.replace(control, "\u{fffd}");
    match json {
        Json::String(wild) => Json::String(text(wild)),
        Json::Array(items) => items.iter().map(tame).collect(),
        Json::Object(map) => map.iter().map(|(key, value)| (text(key), tame(value))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;

    #[test]
    fn a_value_cannot_forge_a_line_but_an_encoded_one_may_hold_any() {
        for (value, template, forged) in [
            ("a", "N={{ v }}\nM=1\n", false),
            ("a\nADMIN=1", "N={{ v }}\n", true),
            ("a\rADMIN=1", "N={{ v }}\n", true),
            ("a\u{2028}b", "N={{ v }}\n", true),
            ("a\x1b[2J", "N={{ v }}\n", true),
            ("a\nb", "N={{ v | b64encode }}\n", false),
            ("a\nb", "N={{ v | tojson }}\n", false),
            ("a\nb", "N={{ v | length }}\n", false),
        ] {
            let (scope, text) = (Scope::default(), Template::parse(template).unwrap());
            scope.set("v", Labeled::plain(value));
            let plain = text.render_text(&scope).unwrap();
            let tame = text.render_text(&Tame(&scope)).unwrap();
            let count = |text: &str| text.chars().filter(|c| control(*c)).count();
            assert_eq!(count(&plain) > count(&tame), forged, "{value:?} in {template:?}");
        }
    }
}
