//! Exit codes: part of the command line's contract, listed in the README.

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for is done.
    Done,
    /// A step or a gate failed, or the work could not be done.
    Failed,
    /// The command line or the inputs are not right; nothing was started.
    Usage,
    /// The runbook has mistakes; nothing was started.
    Invalid,
    /// The run waits for a person's answer.
    Waiting,
    /// A step may or may not have happened; a person must say.
    InDoubt,
    /// Interrupted by the person.
    Interrupted,
    /// A bug of ours.
    Bug,
}

impl Exit {
    /// The process's exit status.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::Waiting => 4,
            Self::InDoubt => 5,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }
}
