//! `note`: Markdown for the person.

use crate::journal::event::Effect;
use crate::reader::{Field, REVEAL, Reader, Rules, Shape};
use crate::template::Template;

use super::{Answer, Cx, Hand, Kind, Local, Manual, Step, Trouble, manual};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "note",
    about: "Shows Markdown to the person, rendered readably.",
    fields: FIELDS,
    rules: Rules::needs(&["markdown"]),
    without: &[],
    plain: Some("markdown"),
    example: r#"[[steps]]
id   = "what_next"
note = """
# Configure {{ app }}

Set `OIDC_ISSUER` to `{{ issuer }}`.
"""
"#,
    parse,
};

const FIELDS: &[Field] =
    &[Field { name: "markdown", shape: Shape::Template, about: "The text." }, REVEAL];

#[derive(Debug)]
struct Note {
    markdown: Template,
    reveal: bool,
}

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    reader.only(FIELDS);
    if !reader.has("markdown") {
        return reader.missing("markdown", "write the text, as in `note = \"Now open {{ url }}\"`");
    }
    let markdown = reader.template("markdown", reader.open("a note"))?;
    let reveal = reader.boolean(REVEAL.name).unwrap_or(false);
    Some(Box::new(Note { markdown, reveal }))
}

impl Step for Note {
    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn alone(&self) -> bool {
        // It speaks to the person: what it says belongs after what was done before it.
        true
    }

    fn what(&self, _cx: &Cx<'_>) -> Result<String, Trouble> {
        Ok("show a note".to_owned())
    }

    fn manual(&self, _hand: &Hand<'_>) -> Manual {
        Manual::text(manual::words(&self.markdown))
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            let note = cx.shown(&self.markdown, self.reveal)?;
            Ok(Answer { note: Some(note), revealed: self.reveal, ..Answer::default() })
        })
    }
}
