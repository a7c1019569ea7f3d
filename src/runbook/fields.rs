//! The keys of a runbook file: the parser refuses others, the docs and the schema list them.

use crate::reader::{Field, RuleSet, Rules, Shape};
use crate::step::connection;
use crate::step::gate;
use crate::step::retry::RETRY;
use crate::step::{PAGE_RULES, PART_RULES};
use crate::typed;

/// The keys of the whole file.
pub const TOP: &[Field] = &[
    Field { name: "format", shape: Shape::Integer, about: "The version of this format: 1." },
    Field {
        name: "name",
        shape: Shape::Text,
        about: "The name, as in `runbook run NAME`: lower case, digits, dashes.",
    },
    Field { name: "title", shape: Shape::Text, about: "One line for people." },
    Field {
        name: "about",
        shape: Shape::Text,
        about: "Markdown: what it does and when to use it.",
    },
    Field { name: "needs", shape: Shape::Texts, about: "What must be there before it is run." },
    Field {
        name: "inputs",
        shape: Shape::Named(INPUT),
        about: "What it asks for: `[inputs.NAME]`, in the order of asking.",
    },
    Field { name: "presets", shape: Shape::Maps, about: "Named sets of inputs: `[presets.NAME]`." },
    Field {
        name: "vars",
        shape: Shape::Map,
        about: "Values computed from inputs and earlier vars.",
    },
    Field {
        name: "connections",
        shape: Shape::Named(crate::step::connection::FIELDS),
        about: "What calls to one service share: `[connections.NAME]`.",
    },
    Field { name: "steps", shape: Shape::Tables(STEP), about: "The steps, in order." },
];

/// Which keys go together, table by table.
pub const RULES: RuleSet = &[
    ("", Rules::needs(&["format", "name", "steps"])),
    (
        "from",
        Rules {
            apart: &["env", "dotenv", "file"],
            any: &["env", "dotenv", "file"],
            with: &[("dotenv", "key"), ("key", "dotenv")],
            ..Rules::NONE
        },
    ),
    ("connections", connection::RULES),
    ("basic", connection::BASIC_RULES),
    ("renew", Rules::needs(&["input"])),
    (
        "steps",
        Rules {
            needs: &["id"],
            with: &[("as", "for_each"), ("at_once", "for_each")],
            ..Rules::NONE
        },
    ),
    ("save", Rules::needs(&["jq"])),
    ("gates", Rules::needs(&["that"])),
    ("hints", Rules::needs(&["hint"])),
    ("until", Rules::needs(&["that"])),
    ("paginate", PAGE_RULES),
    ("multipart", PART_RULES),
    ("already", Rules { needs: &["find"], any: &["same", "fields"], ..Rules::NONE }),
    ("fields", Rules::needs(&["found", "wanted"])),
];

/// The keys whose tables hold a kind besides.
pub const ACTS: &[&str] = &["steps", "already", "undo"];

/// The keys of an input.
pub const INPUT: &[Field] = &[
    Field { name: "about", shape: Shape::Text, about: "What it is, for the person who is asked." },
    Field { name: "example", shape: Shape::Value, about: "An example, shown when asking." },
    Field {
        name: "default",
        shape: Shape::Value,
        about: "The value when nothing else gives one; may use earlier inputs.",
    },
    Field { name: "secret", shape: Shape::Boolean, about: "Whether it must never be shown." },
    Field {
        name: "from",
        shape: Shape::Tables(FROM),
        about: "Where to look before asking, in order.",
    },
    typed::FIELDS[0],
    typed::FIELDS[1],
    typed::FIELDS[2],
    typed::FIELDS[3],
    typed::FIELDS[4],
];

/// The keys of a source of an input.
pub const FROM: &[Field] = &[
    Field { name: "env", shape: Shape::Text, about: "An environment variable." },
    Field {
        name: "dotenv",
        shape: Shape::Template,
        about: "A file of `KEY=value` lines; needs `key`.",
    },
    Field { name: "key", shape: Shape::Text, about: "The key in that file." },
    Field { name: "file", shape: Shape::Template, about: "A file whose whole text is the value." },
];

/// The keys of a step, besides its kind.
pub const STEP: &[Field] = &[
    Field {
        name: "id",
        shape: Shape::Text,
        about: "Its id: letters, digits, `_`, `-`; unique in the file.",
    },
    Field { name: "title", shape: Shape::Template, about: "One line for people." },
    Field { name: "about", shape: Shape::Text, about: "Markdown: why, and what to know." },
    Field { name: "when", shape: Shape::Expression, about: "Performed only if this holds." },
    Field {
        name: "effect",
        shape: Shape::Word(EFFECTS),
        about: "What doing it twice means, where the kind cannot know.",
    },
    Field {
        name: "save",
        shape: Shape::NamedOrJq(SAVE),
        about: "Values to keep: `save.NAME = \"jq program\"`, or a table.",
    },
    Field {
        name: "gates",
        shape: Shape::Tables(gate::FIELDS),
        about: "What must hold afterwards.",
    },
    Field {
        name: "for_each",
        shape: Shape::Expression,
        about: "A list; the step is performed once for each item. What it saves become lists.",
    },
    Field { name: "as", shape: Shape::Text, about: "The name each item has; `item` if not said." },
    Field {
        name: "at_once",
        shape: Shape::Integer,
        about: "How many items are performed at once; 1 if not said.",
    },
    Field {
        name: "always",
        shape: Shape::Boolean,
        about: "Whether it is also done at the end of a run that failed.",
    },
    Field {
        name: "optional",
        shape: Shape::Boolean,
        about: "Whether the run goes on when it fails; what it saves is null then.",
    },
    Field {
        name: "hints",
        shape: Shape::TextsOrTables(HINT),
        about: "What to look at when it fails: texts, or tables with `says`.",
    },
    Field {
        name: "retry",
        shape: Shape::Table(RETRY),
        about: "On what and how often it is tried again, where that is safe; over the connection's.",
    },
    Field {
        name: "until",
        shape: Shape::Table(UNTIL),
        about: "Repeats a read until something holds.",
    },
    Field { name: "timeout", shape: Shape::Duration, about: "How long one attempt may take." },
    Field {
        name: "already",
        shape: Shape::Table(ALREADY),
        about: "How to tell that the effect is there: asked before acting, and after a crash.",
    },
    Field { name: "undo", shape: Shape::Step, about: "How to take it back: one kind." },
    Field {
        name: "reveal",
        shape: Shape::Boolean,
        about: "Whether a secret may show in the title; without it one is refused.",
    },
];

/// The keys of a hint that is a table.
pub const HINT: &[Field] = &[
    Field {
        name: "says",
        shape: Shape::Text,
        about: "Shown only if the failure says this, upper and lower case alike.",
    },
    Field { name: "hint", shape: Shape::Text, about: "The hint." },
];

/// The keys of `undo`, besides the kind that takes back.
pub const UNDO: &[Field] = &[Field {
    name: "effect",
    shape: Shape::Word(EFFECTS),
    about: "What doing it twice means, where the kind cannot know.",
}];

/// The words for `effect`.
pub const EFFECTS: &[&str] = &["read", "repeatable", "once"];

/// The keys of a save's table.
pub const SAVE: &[Field] = &[
    Field { name: "jq", shape: Shape::Jq, about: "The program over the step's answer." },
    Field {
        name: "secret",
        shape: Shape::Boolean,
        about: "Whether the value must never be shown.",
    },
    Field {
        name: "reveal",
        shape: Shape::Boolean,
        about: "Whether a value made from a secret is not secret itself.",
    },
];

/// The keys of `until`.
pub const UNTIL: &[Field] = &[
    Field {
        name: "that",
        shape: Shape::Expression,
        about: "What must hold; sees the values saved.",
    },
    Field {
        name: "every",
        shape: Shape::Duration,
        about: "The wait between two attempts; 2 s if not said.",
    },
    Field {
        name: "limit",
        shape: Shape::Duration,
        about: "How long in all; a minute if not said.",
    },
    Field {
        name: "for",
        shape: Shape::Text,
        about: "What is waited for, told meanwhile: `the default flows`; the expression if not said.",
    },
];

/// The keys of `already`, besides the kind that looks.
pub const ALREADY: &[Field] = &[
    Field {
        name: "find",
        shape: Shape::Jq,
        about: "Over the answer: gives the object found, or nothing.",
    },
    Field {
        name: "same",
        shape: Shape::Jq,
        about: "Over that object: true if it is what this run would have made.",
    },
    Field {
        name: "fields",
        shape: Shape::Named(COMPARE),
        about: "Named comparisons; those that differ are shown.",
    },
];

/// The keys of one comparison.
pub const COMPARE: &[Field] = &[
    Field { name: "found", shape: Shape::Jq, about: "What was found: over the object found." },
    Field { name: "wanted", shape: Shape::Jq, about: "What this run would have made." },
];
