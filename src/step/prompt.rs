//! `prompt`: a value or a confirmation from a person.

use crate::diag::Diag;
use crate::journal::event::Effect;
use crate::jq;
use crate::reader::{Field, REVEAL, Reader, Rules, Shape};
use crate::template::Template;
use crate::terminal::{NoAnswer, Question, Terminal as _};
use crate::typed::{self, Typed};
use crate::value::{Json, Labeled};

use super::{Answer, Cx, Hand, Kind, Local, Manual, Step, Trouble, manual};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "prompt",
    about: "Asks a person; the answer is saved under the step's id unless `save` says more.",
    fields: FIELDS,
    rules: Rules::needs(&["ask"]),
    without: &[],
    plain: Some("ask"),
    example: r#"[[steps]]
id     = "login_works"
prompt = { ask = "Did the login work?", type = "boolean" }
"#,
    parse,
};

const FIELDS: &[Field] = &[
    Field { name: "ask", shape: Shape::Template, about: "The question." },
    Field {
        name: "default",
        shape: Shape::Template,
        about: "The answer when the person just presses Enter.",
    },
    Field {
        name: "secret",
        shape: Shape::Boolean,
        about: "Whether the answer is secret: not echoed, never shown.",
    },
    REVEAL,
    typed::FIELDS[0],
    typed::FIELDS[1],
    typed::FIELDS[2],
    typed::FIELDS[3],
    typed::FIELDS[4],
];

#[derive(Debug)]
struct Prompt {
    ask: Template,
    default: Option<Template>,
    secret: bool,
    reveal: bool,
    typed: Typed,
}

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    reader.only(FIELDS);
    if !reader.has("ask") {
        return reader
            .missing("ask", "write the question, as in `prompt = \"Did the login work?\"`");
    }
    let ask = reader.template("ask", reader.open("a question"));
    let default = reader.template("default", reader.open("a question's default"));
    let secret = reader.boolean("secret").unwrap_or(false);
    let reveal = reader.boolean(REVEAL.name).unwrap_or(false);
    let typed = Typed::parse(reader);
    if let Some(written) = default.as_ref().filter(|default| default.is_literal())
        && let Err(wrong) = typed.accept(&Json::from(written.source()))
    {
        let span = reader.get("default").map_or(reader.span(), toml::Spanned::span);
        reader.gather.report_since(Diag::error(format!("`default` {wrong}"), span));
    }
    Some(Box::new(Prompt { ask: ask?, default, secret, reveal, typed }))
}

impl Step for Prompt {
    fn effect(&self) -> Effect {
        // What a person said is not asked twice.
        Effect::Read
    }

    fn saves_itself(&self) -> bool {
        true
    }

    fn secret(&self) -> bool {
        self.secret
    }

    fn asks(&self) -> bool {
        true
    }

    fn takes(&self, answer: &str) -> Option<Result<(), String>> {
        Some(self.accept(answer).map(drop))
    }

    fn what(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        Ok(format!("ask: {}", cx.mask(&self.ask.render_text(cx.scope)?)))
    }

    fn manual(&self, _hand: &Hand<'_>) -> Manual {
        let choices = if self.typed.one_of.is_empty() {
            crate::typed::described(self.typed.name).to_owned()
        } else {
            self.typed.one_of.join(", ")
        };
        Manual::text(format!("**Answer** ({choices}): {}", manual::words(&self.ask)))
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            let (value, by) = self.answer(cx)?;
            let shown = if self.secret {
                Labeled::secret(value.clone()).shown()
            } else {
                self.typed.typed(&value)
            };
            let summary = if by.is_empty() { shown } else { format!("{shown} ({by})") };
            Ok(Answer {
                input: jq::from_json(&value),
                secret: self.secret,
                summary,
                ..Answer::default()
            })
        })
    }
}

impl Prompt {
    fn answer(&self, cx: &Cx<'_>) -> Result<(Json, &'static str), Trouble> {
        if let Some(given) = cx.services.answers.get(cx.step) {
            cx.services.answered.borrow_mut().insert(cx.step.to_owned());
            let value = self.accept(given).map_err(|wrong| {
                Trouble::failed(format!("the answer given for `{}` {wrong}", cx.step))
            })?;
            return Ok((value, "by --answer"));
        }
        let default =
            self.default.as_ref().map(|default| default.render_text(cx.scope)).transpose()?;
        if cx.services.yes {
            if self.typed.name == "boolean" && default.is_none() {
                return Ok((Json::Bool(true), "by --yes, nobody was asked"));
            }
            if let Some(value) = default.as_deref().and_then(|default| self.accept(default).ok()) {
                return Ok((value, "the default, by --yes"));
            }
        }
        let ask = cx.shown(&self.ask, self.reveal)?;
        Ok((self.ask_person(cx, &ask, default)?, ""))
    }

    fn ask_person(&self, cx: &Cx<'_>, ask: &str, default: Option<String>) -> Result<Json, Trouble> {
        let written = self.typed.written();
        let ask = written.map_or_else(|| ask.to_owned(), |how| format!("{ask} ({how})"));
        let question = Question {
            ask: ask.clone(),
            default,
            secret: self.secret,
            choices: self.typed.one_of.clone(),
            unlisted: None,
            help: cx.about.to_owned(),
            brief: self.typed.is_word(),
        };
        let typed = self.typed.clone();
        let valid =
            std::rc::Rc::new(move |answer: &str| typed.accept(&Json::from(answer)).map(drop));
        let answer = cx.services.person().ask(&question, valid).map_err(|none| match none {
            NoAnswer::NoTerminal if question.choices.is_empty() => Trouble::Waiting(ask.clone()),
            NoAnswer::NoTerminal => {
                Trouble::Waiting(format!("{ask} ({})", question.choices.join(", ")))
            }
            NoAnswer::Interrupted => Trouble::Interrupted,
            NoAnswer::Broken(why) => Trouble::failed(format!("the terminal failed: {why}")),
        })?;
        self.accept(&answer).map_err(|wrong| Trouble::failed(format!("the answer {wrong}")))
    }

    fn accept(&self, answer: &str) -> Result<Json, String> {
        self.typed.accept(&Json::from(answer))
    }
}
