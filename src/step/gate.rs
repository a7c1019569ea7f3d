//! `gate`: stops the run unless something holds.
//!
//! The same check stands in every step's `gates`.

use crate::journal::event::Effect;
use crate::jq::Val;
use crate::reader::{Field, Reader, Rules, Shape};
use crate::redact::Shared;
use crate::scope::Scope;
use crate::source::Span;
use crate::template::Expr;
use crate::value::{Labeled, text};

use super::{Again, Answer, Cx, Failure, Hand, Kind, Local, Manual, Step, Trouble, failure};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "gate",
    about: "Stops the run unless something holds.",
    fields: FIELDS,
    rules: Rules::needs(&["that"]),
    without: &[],
    plain: Some("that"),
    example: r#"[[steps]]
id   = "enough_scopes"
gate = { that = "scope_pks | length >= 3", hint = "The server's default objects may not exist yet" }
"#,
    parse,
};

/// The keys of a gate.
pub const FIELDS: &[Field] = &[
    Field { name: "that", shape: Shape::Expression, about: "What must hold." },
    Field {
        name: "hint",
        shape: Shape::Text,
        about: "What the person should look at if it does not.",
    },
];

/// Something that must hold, and what to say when it does not.
#[derive(Debug)]
pub struct Gate {
    that: Expr,
    hint: Option<String>,
    span: Span,
}

impl Gate {
    /// Reads a gate's table.
    pub fn parse(reader: &Reader<'_>) -> Option<Self> {
        reader.only(FIELDS);
        if !reader.has("that") {
            return reader
                .missing("that", "write what must hold, as in `that = \"user_id is integer\"`");
        }
        let that = reader.expression("that");
        let hint = reader.string("hint");
        let span = reader.get("that").map_or(reader.span(), toml::Spanned::span);
        Some(Self { that: that?, hint, span })
    }

    /// It as a person judges it, in Markdown.
    pub fn told(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("  \n{}", hint.trim()));
        format!("**Gate:** `{}`{}", self.that.source().trim(), hint.unwrap_or_default())
    }

    /// Where the expression stands.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The expression.
    pub fn that(&self) -> &Expr {
        &self.that
    }

    /// The author's hint.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Judges gates in order; the first that does not hold is the failure.
pub fn judge<'g>(
    gates: impl IntoIterator<Item = &'g Gate>,
    scope: &Scope,
    redactor: &Shared,
) -> Result<(), Failure> {
    gates.into_iter().try_for_each(|gate| judge_one(gate, scope, redactor))
}

fn judge_one(gate: &Gate, scope: &Scope, redactor: &Shared) -> Result<(), Failure> {
    let values = |that: &Expr| values(that, scope, redactor);
    let source = gate.that.source().trim();
    let (message, details) = match gate.that.holds(scope) {
        Ok(true) => return Ok(()),
        Ok(false) => (format!("gate does not hold: {source}"), values(&gate.that)),
        Err(error) => (format!("gate cannot be judged: {source}: {}", error.0), values(&gate.that)),
    };
    Err(Failure { details, hints: gate.hint.iter().cloned().collect(), ..failure(message) })
}

/// The values an expression compared, secrets masked, long ones cut.
pub fn values(expr: &Expr, scope: &Scope, redactor: &Shared) -> Vec<String> {
    const SHOWN: usize = 200;
    let shown = |value: Labeled| {
        let full = if value.secret { value.shown() } else { text(&value.json) };
        let full = if value.json.is_string() && !value.secret { format!("{full:?}") } else { full };
        // before it is cut: a part of a secret is not found
        redactor.mask(&full).chars().take(SHOWN).collect::<String>()
    };
    expr.reads()
        .iter()
        .filter_map(|read| Some(format!("{} = {}", read.name, shown(scope.get(&read.name)?))))
        .collect()
}

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    Gate::parse(reader).map(|gate| Box::new(gate) as Box<dyn Step>)
}

impl Step for Gate {
    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn what(&self, _cx: &Cx<'_>) -> Result<String, Trouble> {
        Ok(format!("check {}", self.that.source().trim()))
    }

    fn gate(&self) -> Option<&Gate> {
        Some(self)
    }

    fn manual(&self, _hand: &Hand<'_>) -> Manual {
        Manual::text(self.told())
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            judge_one(self, cx.scope, &cx.services.redactor)
                .map_err(|failure| Trouble::Failed(failure, Again::No))?;
            Ok(Answer { input: Val::from(true), summary: "holds".to_owned(), ..Answer::default() })
        })
    }
}
