//! `jq`: computes a value from values already held.

use crate::journal::event::Effect;
use crate::jq::{ProgramId, RunCause, Val};
use crate::reader::{Field, Reader, Rules, Shape};

use super::{Answer, Cx, Hand, Kind, Local, Manual, Step, Trouble};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "jq",
    about: "Computes a value from values already held; saved under the step's id unless `save` says more.",
    fields: FIELDS,
    rules: Rules::needs(&["program"]),
    without: &[],
    plain: Some("program"),
    example: r#"[[steps]]
id = "scope_count"
jq = "$scope_pks | length"
"#,
    parse,
};

const FIELDS: &[Field] = &[Field {
    name: "program",
    shape: Shape::Jq,
    about: "The program; inputs, vars and saved values are `$name`.",
}];

#[derive(Debug)]
struct Jq {
    program: ProgramId,
}

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    reader.only(FIELDS);
    if !reader.has("program") {
        return reader.missing("program", "write the jq program, as in `jq = \"$names | length\"`");
    }
    Some(Box::new(Jq { program: reader.jq("program", &[])? }))
}

impl Step for Jq {
    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn saves_itself(&self) -> bool {
        true
    }

    fn what(&self, _cx: &Cx<'_>) -> Result<String, Trouble> {
        Ok("compute a value".to_owned())
    }

    fn manual(&self, hand: &Hand<'_>) -> Manual {
        let unquoted = Some(hand.jq(self.program, "-nr"));
        let computed = Some(self.program);
        Manual { unquoted, computed, ..Manual::shell(hand.jq(self.program, "-n")) }
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            let input = one(cx, self.program, &[], Val::default())?;
            Ok(Answer { input, secret: reads_secret(cx, self.program), ..Answer::default() })
        })
    }
}

/// Runs a program that must give exactly one value.
pub fn one(
    cx: &Cx<'_>,
    program: ProgramId,
    locals: &[(&'static str, Val)],
    input: Val,
) -> Result<Val, Trouble> {
    let mut outputs = all(cx, program, locals, input)?;
    match outputs.len() {
        1 => Ok(outputs.remove(0)),
        0 => Err(Trouble::failed("the jq program gives nothing")
            .hint("`first(…) // null` gives null instead")),
        n => Err(Trouble::failed(format!("the jq program gives {n} values where one is wanted"))
            .hint("put `[…]` around it for a list, or `first(…)` for the first")),
    }
}

/// Runs a program and takes all it gives.
pub fn all(
    cx: &Cx<'_>,
    program: ProgramId,
    locals: &[(&'static str, Val)],
    input: Val,
) -> Result<Vec<Val>, Trouble> {
    let lookup = |name: &str| {
        let local = locals.iter().find(|(local, _)| *local == name).map(|(_, value)| value.clone());
        local.or_else(|| cx.scope.jq(name))
    };
    cx.programs.run(program, &lookup, input).map_err(|error| {
        // an author's own words are shown; words made of values may be made of the secret
        let quotes = match error.cause {
            RunCause::Language => true,
            RunCause::Author => !literal(cx.programs.code(program), &error.message),
            RunCause::Bound | RunCause::Bug => false,
        };
        if quotes && (cx.guarded || reads_secret(cx, program)) {
            let what = error.outline.as_deref().unwrap_or("the program failed");
            return Trouble::failed(format!("jq: {what}, in what counts as secret"))
                .hint("the error's own text would quote it; try the program on another value");
        }
        Trouble::failed(cx.services.redactor.mask_cut(&format!("jq: {error}")))
    })
}

/// Whether a message stands in a program as a text of its own.
fn literal(code: &str, message: &str) -> bool {
    code.contains(&crate::value::Json::from(message).to_string())
}

/// Whether a program reads a secret: then what it gives is one.
pub fn reads_secret(cx: &Cx<'_>, program: ProgramId) -> bool {
    cx.scope.any_secret(cx.programs.reads(program))
}
