//! `retry`: on what, how often and how patiently something is done again.
//!
//! What may be done again at all is not the author's to say: a *once* step is repeated only
//! after a definite refusal, when nothing can have happened. `on` and `jq` choose among what
//! is left.

use std::time::Duration;

use super::jq::one;
use super::{Again, Cx, Effect, Trouble};
use crate::jq::{ProgramId, Val};
use crate::reader::{Field, Reader, Shape};

/// How many attempts more when nobody says.
const TIMES: u32 = 3;

/// The wait before the second attempt when nobody says.
const BACKOFF: Duration = Duration::from_secs(1);

/// The longest wait that doubling comes to.
const DOUBLED: Duration = Duration::from_mins(1);

/// The longest wait a server may ask for when nobody says.
const LONGEST: Duration = Duration::from_mins(5);

/// What `on` may name.
pub const CAUSES: &[&str] = &[
    "connection",
    "timeout",
    "4xx",
    "5xx",
    "400",
    "401",
    "403",
    "404",
    "405",
    "406",
    "408",
    "409",
    "410",
    "412",
    "413",
    "421",
    "422",
    "423",
    "424",
    "425",
    "428",
    "429",
    "500",
    "501",
    "502",
    "503",
    "504",
    "507",
    "508",
];

/// The keys of `retry`.
pub const RETRY: &[Field] = &[
    Field {
        name: "times",
        shape: Shape::Integer,
        about: "How many attempts more after the first; 3 if not said.",
    },
    Field {
        name: "backoff",
        shape: Shape::Duration,
        about: "The wait before the second attempt, doubled each time up to a minute; 1 s if not said.",
    },
    Field {
        name: "on",
        shape: Shape::Words(CAUSES),
        about: "The failures to try again after; `connection`, `timeout`, `429` and `5xx` if neither this nor `jq` is said.",
    },
    Field {
        name: "jq",
        shape: Shape::Jq,
        about: "Over an answer that was refused: true if another attempt may help.",
    },
    Field {
        name: "longest",
        shape: Shape::Duration,
        about: "The longest wait a server may ask for with `Retry-After`; 5 minutes if not said.",
    },
];

/// On what, how often and how patiently something is done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    times: u32,
    backoff: Duration,
    on: Vec<&'static str>,
    jq: Option<ProgramId>,
    longest: Duration,
}

/// What a call to a service came to, for the choice whether to make it again.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Whether the service surely did nothing.
    pub definite: bool,
    /// What went wrong.
    pub cause: Cause,
    /// How long the service asks to wait.
    pub after: Option<Duration>,
    /// Its answer as `jq` programs read it, and the names they have besides.
    pub answer: Option<(Val, Vec<(&'static str, Val)>)>,
}

/// What went wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It was answered with this status.
    Status(u16),
    /// It was not answered in time.
    Timeout,
    /// There was no connection, or it was lost.
    Connection,
}

impl Cause {
    /// Whether a word of `on` means it.
    fn is(self, word: &str) -> bool {
        match self {
            Self::Timeout => word == "timeout",
            Self::Connection => word == "connection",
            Self::Status(status) => match word.strip_suffix("xx") {
                Some(class) => class == (status / 100).to_string(),
                None => word == status.to_string(),
            },
        }
    }

    /// Whether the service says that it is what was asked that cannot be.
    pub fn blames_request(self) -> bool {
        matches!(self, Self::Status(400 | 404 | 409 | 410 | 422))
    }

    /// Whether the service does not know who calls (RFC 9110, section 15.5.2).
    pub fn blames_caller(self) -> bool {
        self == Self::Status(401)
    }

    /// Whether it is tried again when the author does not say after what.
    fn passing(self) -> bool {
        !matches!(self, Self::Status(status) if status != 429 && status < 500)
    }
}

impl Retry {
    /// Nothing is done again.
    pub const NEVER: Self =
        Self { times: 0, backoff: BACKOFF, on: Vec::new(), jq: None, longest: LONGEST };

    /// Reads a `retry` table.
    pub fn parse(reader: &Reader<'_>, key: &str) -> Option<Self> {
        let table = reader.table(key)?;
        table.only(RETRY);
        let times = table.integer("times");
        Some(Self {
            times: times.map_or(TIMES, |times| u32::try_from(times).unwrap_or(u32::MAX)),
            backoff: table.duration("backoff").unwrap_or(BACKOFF),
            on: table.words("on", CAUSES),
            jq: table.jq("jq", &["response"]),
            longest: table.duration("longest").unwrap_or(LONGEST),
        })
    }

    /// What it says, for a person; nothing if it forbids another attempt.
    pub fn told(&self) -> Option<String> {
        let on = match (self.on.as_slice(), self.jq) {
            ([], None) => String::new(),
            ([], Some(_)) => " and the answer says that another attempt may help".to_owned(),
            (on, _) => format!(" with {}", on.join(", ")),
        };
        let times = match self.times {
            0 => return None,
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        Some(format!("If it fails{on}, try it again after {:?}, at most {times}.", self.backoff))
    }

    /// The wait before the next attempt, and what to say meanwhile; or the failure, if this
    /// attempt (from 1) was the last.
    pub fn next(
        &self,
        cx: &Cx<'_>,
        effect: Effect,
        attempt: u32,
        trouble: Trouble,
    ) -> Result<(Duration, String), Trouble> {
        let Trouble::Failed(failure, again) = &trouble else { return Err(trouble) };
        let after = again.refusal().and_then(|refusal| refusal.after);
        let goes_on = again.is_safe(effect) && self.wants(cx, again) && attempt <= self.times;
        match after {
            None if goes_on => Ok((self.wait(attempt), failure.message.clone())),
            Some(after) if goes_on && after <= self.longest => {
                let asked = format!(", which asks to wait {after:?}");
                let asked = if after.is_zero() { "" } else { &asked };
                Ok((after.max(self.wait(attempt)), format!("{}{asked}", failure.message)))
            }
            Some(after) => {
                let bound = format!("; `retry.longest` allows {:?}", self.longest);
                let bound = if goes_on { bound } else { String::new() };
                Err(trouble.hint(format!("the service asks to wait {after:?}{bound}")))
            }
            None => Err(trouble),
        }
    }

    /// Whether the author wants another attempt after this.
    fn wants(&self, cx: &Cx<'_>, again: &Again) -> bool {
        let Some(refusal) = again.refusal() else { return self.on.is_empty() && self.jq.is_none() };
        if self.on.is_empty() && self.jq.is_none() {
            return refusal.cause.passing();
        }
        let says = |(input, locals): &(Val, Vec<_>)| {
            // an answer that the program cannot read is none that it means
            let said = self.jq.map(|program| one(cx, program, locals, input.clone()));
            said.is_some_and(|said| said.is_ok_and(|said| said == Val::from(true)))
        };
        self.on.iter().any(|word| refusal.cause.is(word))
            || refusal.answer.as_ref().is_some_and(says)
    }

    fn wait(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(factor).min(DOUBLED.max(self.backoff))
    }
}
