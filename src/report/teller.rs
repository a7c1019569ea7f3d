//! Events to lines: what plain lines, the terminal and the history have in common.
//!
//! One event gives some lines, the same ones for the same events. The end of a walk is told in
//! `closing`.

use crate::journal::event::{
    ASKED, Decision, Entry, Event, FORMER, Failure, How, Skip, Stored, StoredMap,
};
use crate::journal::names::above;

use super::labels::Labels;
use super::story::{Settled, Story};
use super::text::{Line, MARGIN};
use super::words::{self, BAD, QUIET, Word};
use super::{Options, text};
use super::{closing, markdown};

/// Labels are aligned up to this share of the screen; longer ones stand out.
const LABEL_SHARE: usize = 2;
/// Columns for one saved value in a step's line.
const VALUE_WIDTH: usize = 60;

/// For whom the lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// A log or a pipe: ids.
    Plain,
    /// A person at a terminal: titles.
    Terminal,
    /// A look back: ids, and what is otherwise only told at the end of a walk.
    History,
}

/// Tells events as lines.
pub(super) struct Teller {
    pub(super) options: Options,
    pub(super) view: View,
    pub(super) story: Story,
    /// Whether the walk's end has been told.
    pub(super) closed: bool,
    /// Whether the last line was empty.
    gap: bool,
    labels: Labels,
    /// What was decided before a walk goes on, until it does; none while it is under way.
    decided: Option<Decided>,
}

/// What is decided about single steps before a walk goes on.
#[derive(Default)]
struct Decided {
    /// The steps, as the file has them.
    steps: Vec<String>,
    /// What there is to tell of it.
    lines: Vec<Line>,
}

impl Teller {
    pub(super) fn new(options: Options, view: View) -> Self {
        let (story, labels) = (Story::default(), Labels::new(view == View::Terminal));
        Self { options, view, story, closed: false, gap: true, labels, decided: None }
    }

    /// Takes in events without telling them.
    pub(super) fn past(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.learn(entry);
        }
    }

    /// Takes in an event and tells it.
    pub(super) fn tell(&mut self, entry: &Entry) -> Vec<Line> {
        self.learn(entry);
        if self.decides(&entry.event) {
            return Vec::new();
        }
        let mut lines = self.before(&entry.event);
        lines.extend(self.event(&entry.event));
        self.spaced(lines)
    }

    /// Whether it is a decision that leads to this walk: all of them are known before what was done
    /// earlier is told, as what is decided about is not among that.
    fn decides(&mut self, event: &Event) -> bool {
        if matches!(event, Event::Resumed { .. }) && self.view != View::History {
            self.decided = Some(Decided::default());
            return false;
        }
        let decision =
            matches!(event, Event::Decided { .. } | Event::Done { .. } | Event::Skipped { .. });
        let Some(mut decided) = self.decided.take_if(|_| decision) else { return false };
        decided.steps.extend(event.step().map(own));
        decided.lines.extend(self.event(event));
        self.decided = Some(decided);
        true
    }

    /// What stood before this walk and what was decided then, told with the first event after that.
    pub(super) fn before(&mut self, event: &Event) -> Vec<Line> {
        if matches!(event, Event::Resumed { .. }) {
            return Vec::new();
        }
        let Decided { mut steps, lines: decided } = self.decided.take().unwrap_or_default();
        steps.extend(event.step().map(own));
        let mut lines = self.earlier(&steps);
        lines.extend(decided);
        lines
    }

    fn learn(&mut self, entry: &Entry) {
        self.story.learn(entry);
        match &entry.event {
            Event::Started { .. } | Event::Resumed { .. } => self.labels.define(&self.story.steps),
            Event::Began { step, title } => self.labels.begin(step, title),
            _ => {}
        }
    }

    /// What a walk that stopped without an end leaves to say.
    pub(super) fn finish(&mut self) -> Vec<Line> {
        if std::mem::replace(&mut self.closed, true) {
            return Vec::new();
        }
        let mut lines = self.decided.take().unwrap_or_default().lines;
        lines.extend(self.troubles());
        self.spaced(lines)
    }

    /// Lines as the view draws them.
    pub(super) fn draw(&self, lines: Vec<Line>) -> String {
        text::draw(&text::folded(lines, self.options.screen), self.options.color)
    }

    fn event(&mut self, event: &Event) -> Vec<Line> {
        let history = self.view == View::History;
        match event {
            Event::Started { inputs, .. } => self.started(inputs),
            Event::Resumed { undo, text, .. } => self.resumed(*undo, text.is_some()),
            Event::Began { step, .. } if history && self.options.verbose => {
                vec![self.line(words::BEGAN, step, &[])]
            }
            Event::Intent { step, what, .. } if history => {
                vec![self.line(words::ACT, step, std::slice::from_ref(what))]
            }
            Event::UndoIntent { step, what, .. } if history => {
                vec![self.line(words::ACT, step, &[format!("undo: {what}")])]
            }
            Event::Retrying { step, attempt, message, wait_ms, polling } => {
                let failed = format!("attempt {attempt} failed: {message}");
                vec![self.retrying(step, if *polling { message } else { &failed }, *wait_ms)]
            }
            Event::Renewed { step, input, origin, .. } => {
                let new = match origin.as_str() {
                    ASKED => "typed in".to_owned(),
                    from => format!("from {from}"),
                };
                let said = match origin.as_str() {
                    FORMER => format!("`{input}` was refused: {FORMER} is used again"),
                    _ => format!("`{input}` was refused, there is a new one {new}"),
                };
                vec![self.line(words::RENEW, step, &[said])]
            }
            Event::Done { step, how, saved, summary, took_ms, .. } => {
                self.done(step, *how, saved, summary, *took_ms)
            }
            Event::Skipped { step, why } => vec![self.line(words::SKIP, step, &[skipped(why)])],
            Event::Note { step, markdown } => self.note(step, markdown),
            Event::Decided { step, decision, .. } => {
                let (word, said) = self.decided(step, *decision);
                vec![self.line(word, step, &[said.to_owned()])]
            }
            Event::Undone { step, summary, took_ms } => {
                vec![self.line(words::UNDO, step, &self.with_time(summary, *took_ms))]
            }
            Event::Planned { step, what, lines, remarks } => {
                self.planned(step, what, lines, remarks)
            }
            Event::Warned { message } => vec![warning(message)],
            Event::Trace { line, .. } if self.options.verbose => {
                line.lines().map(|line| Line::styled(QUIET, line).indent(MARGIN)).collect()
            }
            Event::Ended { outcome, took_ms } => self.ended(*outcome, *took_ms),
            other => self.stopper(other),
        }
    }

    /// Events that stop a walk: live they are told in full at its end.
    fn stopper(&self, event: &Event) -> Vec<Line> {
        let history = self.view == View::History;
        match event {
            Event::Failed { step, failure, took_ms } => {
                let message = if history { failure.message.as_str() } else { "" };
                let mut lines =
                    vec![self.line(words::FAIL, step, &self.with_time(message, *took_ms))];
                lines.extend(history.then(|| said_of(failure)).into_iter().flatten());
                lines
            }
            Event::UndoFailed { step, failure } => {
                let message =
                    if history { failure.message.as_str() } else { "could not be undone" };
                let mut lines = vec![self.line(words::FAIL, step, &[message.to_owned()])];
                lines.extend(history.then(|| said_of(failure)).into_iter().flatten());
                lines
            }
            Event::Asked { step, ask, .. } if history => {
                vec![self.line(words::WAIT, step, std::slice::from_ref(ask))]
            }
            Event::Doubt { step, what, .. } => {
                let told = if history { what.as_str() } else { "may or may not have happened" };
                vec![self.line(words::DOUBT, step, &[told.to_owned()])]
            }
            _ => Vec::new(),
        }
    }

    fn started(&self, inputs: &StoredMap) -> Vec<Line> {
        let mut lines = vec![self.heading(if self.story.rehearsal {
            "  (a rehearsal: nothing real is changed)"
        } else {
            ""
        })];
        if self.options.verbose {
            lines.extend(self.values(inputs.iter()));
        }
        lines
    }

    fn resumed(&self, undo: bool, updated: bool) -> Vec<Line> {
        vec![self.heading(match (undo, updated) {
            (true, _) => "  (undo)",
            (false, true) => "  (resumed, updated)",
            (false, false) => "  (resumed)",
        })]
    }

    fn heading(&self, remark: &str) -> Line {
        let Story { run, runbook, .. } = &self.story;
        let name = if runbook.is_empty() { String::new() } else { format!("  {runbook}") };
        status(words::RUN).add(run).add(&name).and(QUIET, remark)
    }

    /// What was settled before this walk, told once it is clear that the walk goes forward; but for
    /// what it is about now.
    fn earlier(&mut self, now: &[String]) -> Vec<Line> {
        let earlier = std::mem::take(&mut self.story.earlier);
        if self.story.undoing || self.view == View::History {
            return Vec::new();
        }
        let told = |step: &String| {
            let how = match self.story.settled.get(step) {
                Some(Settled::Undone) => "taken back earlier",
                Some(Settled::Skipped) => "skipped earlier",
                _ => "done earlier",
            };
            self.line(words::SKIP, step, &[how.to_owned()])
        };
        let mut lines = Vec::new();
        let again =
            |step: &str| now.iter().any(|now| now == step || above(now).any(|above| above == step));
        for (at, step) in earlier.iter().enumerate().filter(|(_, step)| !again(step)) {
            // what the person was told last is what they need to go on
            let last = !self.story.told && earlier[at..].iter().all(|step| self.story.tells(step));
            match self.story.notes.get(step).filter(|_| last) {
                Some(note) => lines.extend(self.note(step, note)),
                None => lines.push(told(step)),
            }
        }
        lines
    }

    fn retrying(&self, step: &str, message: &str, wait_ms: u64) -> Line {
        let mut parts = vec![message.to_owned()];
        if self.options.times {
            parts.push(format!("again in {}", words::duration(wait_ms)));
        }
        self.line(words::RETRY, step, &parts)
    }

    fn done(&self, step: &str, how: How, saved: &StoredMap, said: &str, ms: u64) -> Vec<Line> {
        let bare = said.is_empty() && saved.is_empty();
        if bare && self.view != View::History && self.story.noted.contains(step) {
            // the note was the step, and it stands right above
            return Vec::new();
        }
        let (word, how) = match how {
            How::Performed => (words::OK, ""),
            How::Adopted => (words::ADOPT, "found and taken over"),
            How::ByHand => (words::OK, "done by hand"),
            How::Unchanged => (words::SAME, "unchanged"),
            How::Tolerated => (words::MISS, "failed, which is allowed"),
        };
        let mut parts: Vec<String> = Vec::new();
        parts.extend((!how.is_empty()).then(|| how.to_owned()));
        parts.extend((!said.is_empty() && said != how).then(|| said.to_owned()));
        if parts.is_empty() {
            parts.extend(
                saved
                    .iter()
                    .map(|(name, value)| format!("{name} = {}", words::shown(value, VALUE_WIDTH))),
            );
        }
        parts.extend(self.options.times.then(|| words::duration(ms)));
        vec![self.line(word, step, &parts)]
    }

    fn planned(&self, step: &str, what: &str, body: &[String], remarks: &[String]) -> Vec<Line> {
        let mut lines = vec![self.line(words::WOULD, step, &[what.to_owned()])];
        lines.extend(body.iter().map(|line| Line::bare(line).indent(MARGIN + 2).whole()));
        lines.extend(remarks.iter().map(|remark| Line::styled(QUIET, remark).indent(MARGIN)));
        lines
    }

    fn note(&self, step: &str, note: &str) -> Vec<Line> {
        let width = self.options.width.saturating_sub(2);
        let body = markdown::render(note, width, self.options.color);
        let body = body.into_iter().map(|line| line.indent(2).whole());
        let head = [self.line(words::NOTE, step, &[]), Line::default()];
        head.into_iter().chain(body).chain([Line::default()]).collect()
    }

    /// Names and values, aligned.
    pub(super) fn values<'a>(
        &self,
        values: impl Iterator<Item = (&'a String, &'a Stored)>,
    ) -> Vec<Line> {
        let values: Vec<(Line, &Stored)> =
            values.map(|(name, value)| (Line::bare(name), value)).collect();
        let widest = values.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
        let room = self.options.width.saturating_sub(MARGIN + widest + 3);
        let room = room.max(if self.options.screen.is_some() { 0 } else { VALUE_WIDTH });
        let line = |(name, value): (Line, &Stored)| {
            name.pad(widest)
                .add(" = ")
                .add(&words::shown(value, room))
                .indent(MARGIN)
                .hang(MARGIN + 2)
        };
        values.into_iter().map(line).collect()
    }

    /// What a person decided, told by how the step stood until then.
    fn decided(&self, step: &str, decision: Decision) -> (Word, &'static str) {
        let was = self.story.settled.get(step);
        let was_done = was.is_some();
        let in_file = self.story.steps.iter().any(|known| known.id == step);
        let part = step.contains(['[', '/', '@']);
        match decision {
            Decision::Redo => (words::REDO, "to be done again, as decided"),
            Decision::Rerun if was == Some(&Settled::Wanted) => {
                (words::RERUN, "was skipped, to be done now, as decided")
            }
            Decision::Rerun if was_done => (words::RERUN, "to be done again, as decided"),
            Decision::Rerun => (words::RERUN, "new, to be done, as decided"),
            Decision::Keep if was == Some(&Settled::Skipped) => {
                (words::KEEP, "changed, stays skipped, as decided")
            }
            // whether it is in the file is not known of an item, nor of a step inside
            Decision::Keep if part => (words::KEEP, "left as it was done, as decided"),
            Decision::Keep if in_file && !was_done => {
                (words::KEEP, "changed, what it did so far stays, as decided")
            }
            Decision::Keep if in_file => (words::KEEP, "changed, left as it was done, as decided"),
            Decision::Keep => (words::KEEP, "gone from the file, what it did stays, as decided"),
            Decision::Adopt => (words::ADOPT, "what was found is to be taken over, as decided"),
        }
    }

    /// A step's line: status word, label, and what there is to say.
    pub(super) fn line(&self, word: Word, step: &str, parts: &[String]) -> Line {
        let said = parts.iter().filter(|part| !part.is_empty()).map(String::as_str);
        let separator = if self.view == View::Terminal { " · " } else { ", " };
        let said = said.collect::<Vec<_>>().join(separator);
        let label = status(word).add(self.label(step));
        if said.is_empty() {
            return label;
        }
        label.pad(MARGIN + self.label_width()).add("  ").add(&said).hang(MARGIN + 2)
    }

    /// What a step is called in this view.
    pub(super) fn label<'a>(&'a self, step: &'a str) -> &'a str {
        self.labels.of(step)
    }

    fn label_width(&self) -> usize {
        self.labels.widest(self.options.width / LABEL_SHARE)
    }

    fn with_time(&self, said: &str, ms: u64) -> Vec<String> {
        let time = self.options.times.then(|| words::duration(ms));
        std::iter::once(said.to_owned()).chain(time).collect()
    }

    /// Never two empty lines in a row, and none at the top.
    fn spaced(&mut self, mut lines: Vec<Line>) -> Vec<Line> {
        if self.gap && lines.first().is_some_and(Line::is_empty) {
            lines.remove(0);
        }
        if let Some(last) = lines.last() {
            self.gap = last.is_empty();
        }
        lines
    }
}

/// What the person should know.
pub(super) fn warning(message: &str) -> Line {
    Line::styled(BAD, &format!("warning: {message}"))
}

/// The step as the file has it: of one that is to be done anew, what it did so far is put down first.
fn own(step: &str) -> String {
    step.split('@').next().unwrap_or(step).to_owned()
}

/// The status word, aligned.
pub(super) fn status(Word(word, style): Word) -> Line {
    Line::styled(style, word).pad(MARGIN)
}

fn skipped(why: &Skip) -> String {
    match why {
        Skip::When => "its `when` is false".to_owned(),
        Skip::Person(reason) if reason.is_empty() => "skipped by hand".to_owned(),
        Skip::Person(reason) => format!("skipped by hand: {reason}"),
    }
}

/// What a failure said besides its message: details, and what to do.
fn said_of(failure: &Failure) -> Vec<Line> {
    let details = failure.details.iter().map(|line| Line::bare(line).indent(MARGIN));
    let hints = failure.hints.iter().map(|text| closing::hint(text).indent(MARGIN));
    details.chain(hints).collect()
}
