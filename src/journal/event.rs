//! Events: the only thing the engine says, to the journal and to every report.
//!
//! Each variant says what it means on resume. A secret is in an event only sealed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::value::Json;

/// A value as an event carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// Anyone may see it.
    Plain(Json),
    /// Sealed with the journal's key; only the engine opens it.
    Sealed(String),
}

/// Names and values, as an event carries them.
pub type StoredMap = BTreeMap<String, Stored>;

/// What a step may do to the world, and so what a crash in it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// No input, no output: computed from values already held.
    Pure,
    /// Reads the world; may be done again at will.
    Read,
    /// Changes the world, but doing it twice is the same as doing it once.
    Repeatable,
    /// Changes the world; doing it twice is not the same.
    Once,
}

/// How a step came to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The engine performed it.
    Performed,
    /// Its effect was found to be there already and was taken over.
    Adopted,
    /// The person said they had done it by hand.
    ByHand,
    /// It was there already, exactly as wanted: nothing was changed.
    Unchanged,
    /// It failed, which its author allows: what it would have saved is null.
    Tolerated,
}

impl How {
    /// Whether what is there was made by this run, so that it is for this run to take back.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Performed | Self::Adopted)
    }
}

/// Why a step was not performed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// Its `when` is false.
    When,
    /// The person skipped it, and said why.
    Person(String),
}

/// Why a step stopped the run. Texts are masked; values of secrets never stand here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What failed, one line: lower case, no full stop.
    pub message: String,
    /// More lines: the body's own message, what was compared, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// The author's hints, and ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Whether the effect may have happened all the same.
    #[serde(default)]
    pub doubt: bool,
    /// Whether the details compare what is there with what is wanted: names and values, which say nothing
    /// of the cause.
    #[serde(skip)]
    pub compared: bool,
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every step is done or skipped.
    Done,
    /// A step or a gate failed.
    Failed,
    /// A person's answer is needed.
    Waiting,
    /// A step may or may not have happened.
    InDoubt,
    /// The person interrupted it.
    Interrupted,
    /// It stopped where the person said it should.
    Stopped,
    /// What the run did was taken back.
    Undone,
    /// It was only shown what a run would do.
    Planned,
}

impl Outcome {
    /// The word the journal has for it, as its JSON does.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::InDoubt => "in_doubt",
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
            Self::Undone => "undone",
            Self::Planned => "planned",
        }
    }

    /// The word people read and write for it.
    pub fn state(self) -> &'static str {
        if self == Self::InDoubt { "doubt" } else { self.word() }
    }
}

/// The name of a run that is only shown, and never in a journal.
pub const PLAN: &str = "plan";

/// The name of a run against a fake, and never in a journal.
pub const REHEARSAL: &str = "rehearsal";

/// Where a value came from that a person gave when asked.
pub const ASKED: &str = "asked";

/// Where a value came from that the run had before it took another.
pub const FORMER: &str = "what the run had before";

/// What a person decided about one step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Do it again although it may have happened.
    Redo,
    /// Do it again because its definition changed.
    Rerun,
    /// Leave it as done although its definition changed.
    Keep,
    /// Take over what was found.
    Adopt,
}

/// A runbook that a definition uses. A name means a file only together with who writes it: beside
/// another file it may be another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedRef {
    /// The path of the file that names it.
    pub from: String,
    /// The name, as written there.
    pub name: String,
    /// The path of the file that was found.
    pub path: String,
    /// The digest of its text.
    pub text: String,
}

/// What a run began together with: all runs of one `run --each`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The first of them. No other run of the journal has its name, so no other batch.
    pub first: String,
    /// How many they were.
    pub runs: usize,
}

/// One step as the definition of a run has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRef {
    /// The step's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// A digest of its definition.
    pub digest: String,
}

/// One thing that happened in a run. `step` is a step's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run began. On resume: gives the definition and all inputs.
    Started {
        /// The runbook's name.
        runbook: String,
        /// Its title.
        title: String,
        /// Where the file was, as seen from the folder the run began in.
        path: String,
        /// That folder; empty in runs that are older than it. Relative paths start there on resume.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        folder: String,
        /// The digest under which the store keeps the definition's text.
        text: String,
        /// What its plug-ins say of themselves, by name, as digests; in older runs the runbooks it
        /// uses too.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        uses: BTreeMap<String, String>,
        /// The runbooks it uses, and those they use.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        runbooks: Vec<UsedRef>,
        /// The steps, in the order of the file.
        steps: Arc<[StepRef]>,
        /// All inputs, settled.
        inputs: StoredMap,
        /// Secret inputs that were given in place of what their own sources say: those sources may
        /// hold what is meant for another service.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        given: Vec<String>,
        /// Whether the run talks to a fake: nothing real is changed.
        rehearsal: bool,
        /// The runs it began together with; none if it was begun by itself, or before this was
        /// written down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch: Option<Batch>,
    },
    /// A walk over an existing run began. On resume: a new definition if `text` is there.
    Resumed {
        /// Whether it goes backwards and takes the run back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        undo: bool,
        /// The digest of the definition taken over by `--updated`.
        text: Option<String>,
        /// What the plug-ins of that definition say of themselves, as in `Started`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        uses: BTreeMap<String, String>,
        /// The runbooks that definition uses.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        runbooks: Vec<UsedRef>,
        /// That definition's steps; empty when the definition is the run's own.
        steps: Arc<[StepRef]>,
        /// Tokens whose sources give another value by now, and inputs that the new definition added.
        #[serde(default, skip_serializing_if = "StoredMap::is_empty")]
        inputs: StoredMap,
    },
    /// A step began. Means nothing on resume; reports show it.
    Began {
        /// The step.
        step: String,
        /// Its title, rendered.
        title: String,
    },
    /// A step is about to change the world. On resume, without an outcome: in doubt.
    Intent {
        /// The step.
        step: String,
        /// What a crash after this means.
        effect: Effect,
        /// What is about to be done, masked: `POST https://…`.
        what: String,
        /// How things stood before, where only that can tell later what this run changed.
        #[serde(default, skip_serializing_if = "StoredMap::is_empty")]
        private: StoredMap,
    },
    /// An attempt failed, or what is waited for is not there yet: tried again. Means nothing on
    /// resume.
    Retrying {
        /// The step.
        step: String,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// What failed, or what is waited for.
        message: String,
        /// Milliseconds until the next attempt.
        wait_ms: u64,
        /// Whether nothing failed: it is waited for something.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        polling: bool,
    },
    /// A service took an input's value no longer, and there is another. On resume: that one.
    Renewed {
        /// The step whose call was refused.
        step: String,
        /// The input; below a step that uses another runbook: `outer/token`.
        input: String,
        /// Its value from here on.
        value: Stored,
        /// Where that came from, in words.
        origin: String,
    },
    /// A service refused a change, or its taking back, since it takes an input's value no
    /// longer: nothing was done. On resume: tried again, without doubt.
    Refused {
        /// The step.
        step: String,
        /// The input, as in `Renewed`.
        input: String,
    },
    /// A step is done. On resume: read, not performed.
    Done {
        /// The step.
        step: String,
        /// How.
        how: How,
        /// What it saved.
        saved: StoredMap,
        /// A few words for the person: `201 Created`, `2 lines added`.
        summary: String,
        /// Milliseconds it took.
        took_ms: u64,
        /// What `undo` needs to know and nobody else: a block's text, say.
        #[serde(default, skip_serializing_if = "StoredMap::is_empty")]
        private: StoredMap,
        /// The name it was done under, before an edit gave it this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<String>,
    },
    /// A step was skipped. On resume: stays skipped.
    Skipped {
        /// The step.
        step: String,
        /// Why.
        why: Skip,
    },
    /// A note for the person. On resume: shown already.
    Note {
        /// The step.
        step: String,
        /// The note, Markdown, secrets masked.
        markdown: String,
    },
    /// A step failed. On resume: tried again; in doubt if the failure says so.
    Failed {
        /// The step.
        step: String,
        /// Why.
        failure: Failure,
        /// Milliseconds it took.
        took_ms: u64,
    },
    /// A step needs a person's answer. On resume: asked again, unless answered.
    Asked {
        /// The step.
        step: String,
        /// The question.
        ask: String,
        /// Whether the answer is a secret: no command line should show it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        secret: bool,
    },
    /// A step may or may not have happened and nothing can tell. On resume: still so.
    Doubt {
        /// The step.
        step: String,
        /// What was about to be done, and what is known.
        what: String,
        /// Fields that differ from what this run would have made: name, found, wanted.
        differs: Vec<(String, String, String)>,
        /// What it would have saved and other steps need: whoever says that it happened gives it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        saves: Vec<String>,
        /// Those of them that are secrets.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secret: Vec<String>,
    },
    /// A person decided about a step. On resume: applies once, to that step.
    Decided {
        /// The step.
        step: String,
        /// What.
        decision: Decision,
        /// What it did, with its parts and what it did before, that the file it goes on with would
        /// take back wrongly: that says another thing of it by now.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        outdated: Vec<String>,
    },
    /// Taking a step back begins. On resume of the undo, without an outcome: in doubt.
    UndoIntent {
        /// The step.
        step: String,
        /// What a crash after this means.
        effect: Effect,
        /// What is about to be done, masked.
        what: String,
    },
    /// A step was taken back. On resume of the undo: read, not performed.
    Undone {
        /// The step.
        step: String,
        /// A few words for the person.
        summary: String,
        /// Milliseconds it took.
        took_ms: u64,
    },
    /// Taking a step back failed. On resume of the undo: tried again.
    UndoFailed {
        /// The step.
        step: String,
        /// Why.
        failure: Failure,
    },
    /// What a step would do, for `plan`. Never in the journal.
    Planned {
        /// The step.
        step: String,
        /// What it would do, masked: `POST https://…`.
        what: String,
        /// What it would send or write, masked.
        lines: Vec<String>,
        /// Remarks: what is not known yet, what is there already.
        remarks: Vec<String>,
    },
    /// Something the person should know, masked. Means nothing on resume.
    Warned {
        /// What, and what to do about it.
        message: String,
    },
    /// One HTTP request or command, for `-v`. Never in the journal.
    Trace {
        /// The step.
        step: String,
        /// One line, masked.
        line: String,
    },
    /// The walk ended. On resume: the run's state, until a new walk begins.
    Ended {
        /// How.
        outcome: Outcome,
        /// Milliseconds the walk took.
        took_ms: u64,
    },
}

impl Event {
    /// A run is taken up with the definition that it has: to go on, or to be taken back.
    pub fn resumed(undo: bool, inputs: StoredMap) -> Self {
        let (uses, runbooks, steps) = (BTreeMap::new(), Vec::new(), Arc::default());
        Self::Resumed { undo, text: None, uses, runbooks, steps, inputs }
    }

    /// A person decided about a step, and undo goes on as it would.
    pub fn decided(step: &str, decision: Decision) -> Self {
        Self::Decided { step: step.to_owned(), decision, outdated: Vec::new() }
    }

    /// The same as a run's first event, of one that began together with others.
    #[must_use]
    pub fn with(mut self, others: &Batch) -> Self {
        if let Self::Started { batch, .. } = &mut self {
            *batch = Some(others.clone());
        }
        self
    }

    /// The step it is about, if it is about one.
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::Started { .. }
            | Self::Resumed { .. }
            | Self::Warned { .. }
            | Self::Ended { .. } => None,
            Self::Began { step, .. }
            | Self::Intent { step, .. }
            | Self::Retrying { step, .. }
            | Self::Renewed { step, .. }
            | Self::Refused { step, .. }
            | Self::Done { step, .. }
            | Self::Skipped { step, .. }
            | Self::Note { step, .. }
            | Self::Failed { step, .. }
            | Self::Asked { step, .. }
            | Self::Doubt { step, .. }
            | Self::Decided { step, .. }
            | Self::UndoIntent { step, .. }
            | Self::Undone { step, .. }
            | Self::UndoFailed { step, .. }
            | Self::Planned { step, .. }
            | Self::Trace { step, .. } => Some(step),
        }
    }
}

/// A value in an event that only the journal's key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// What it is bound to, besides its name: `input`, a step's id, or that with `.private`.
    pub place: String,
    /// Its name.
    pub name: &'a str,
    /// The sealed text.
    pub text: &'a str,
}

impl Event {
    /// Every sealed value in it.
    pub fn sealed(&self) -> Vec<Sealed<'_>> {
        let kept = |step: &str| format!("{step}.private");
        let maps: Vec<(String, &StoredMap)> = match self {
            Self::Renewed { input, value: Stored::Sealed(text), .. } => {
                return vec![Sealed { place: "input".to_owned(), name: input, text }];
            }
            Self::Started { inputs, .. } | Self::Resumed { inputs, .. } => {
                vec![("input".to_owned(), inputs)]
            }
            Self::Intent { step, private, .. } => vec![(kept(step), private)],
            Self::Done { step, saved, private, .. } => {
                vec![(step.clone(), saved), (kept(step), private)]
            }
            _ => Vec::new(),
        };
        let mut all = Vec::new();
        for (place, map) in maps {
            for (name, value) in map {
                if let Stored::Sealed(text) = value {
                    all.push(Sealed { place: place.clone(), name, text });
                }
            }
        }
        all
    }

    /// The same with every text about what happened masked. Titles and notes are not among
    /// them: an author may let a secret show there, so they are masked where they are made.
    #[must_use]
    pub fn masked(mut self, mask: &dyn Fn(&str) -> String) -> Self {
        let each = |texts: &mut Vec<String>| texts.iter_mut().for_each(|text| *text = mask(text));
        match &mut self {
            Self::Failed { failure, .. } | Self::UndoFailed { failure, .. } => {
                failure.message = mask(&failure.message);
                each(&mut failure.details);
                each(&mut failure.hints);
            }
            Self::Intent { what: text, .. }
            | Self::UndoIntent { what: text, .. }
            | Self::Retrying { message: text, .. }
            | Self::Done { summary: text, .. }
            | Self::Undone { summary: text, .. }
            | Self::Asked { ask: text, .. }
            | Self::Skipped { why: Skip::Person(text), .. }
            | Self::Warned { message: text }
            | Self::Renewed { origin: text, .. }
            | Self::Trace { line: text, .. } => *text = mask(text),
            Self::Doubt { what, differs, .. } => {
                *what = mask(what);
                for (_, found, wanted) in differs {
                    (*found, *wanted) = (mask(found), mask(wanted));
                }
            }
            Self::Planned { what, lines, remarks, .. } => {
                *what = mask(what);
                each(lines);
                each(remarks);
            }
            Self::Started { .. }
            | Self::Resumed { .. }
            | Self::Began { .. }
            | Self::Skipped { .. }
            | Self::Note { .. }
            | Self::Refused { .. }
            | Self::Decided { .. }
            | Self::Ended { .. } => {}
        }
        self
    }
}

/// An event with its place in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The run.
    pub run: String,
    /// Its number within the run, from 1.
    pub seq: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What.
    pub event: Event,
}
