//! The end of a walk: where the run stands, what went wrong, why, and the command that goes on.

use crate::journal::event::{How, Outcome, PLAN};
use crate::printable::{argument, flag, quoted};

use super::story::{Doubtful, Question, Settled, Trouble};
use super::table::Table;
use super::teller::{Teller, View, status};
use super::text::{Line, MARGIN, lines};
use super::words::{self, BAD, HINT, Word, count};

/// Columns for a value that differs.
const CELL: usize = 40;

impl Teller {
    /// Tells how a walk ended.
    pub(super) fn ended(&mut self, outcome: Outcome, took_ms: u64) -> Vec<Line> {
        self.closed = true;
        let mut told = vec![self.summary(outcome, took_ms)];
        if self.view == View::History {
            return told;
        }
        match outcome {
            Outcome::Done => told.extend(self.saved()),
            Outcome::Failed => {
                told.extend(self.troubles());
                told.push(self.go_on("fix the cause, then "));
            }
            Outcome::Waiting => told.extend(self.questions()),
            Outcome::InDoubt => told.extend(self.doubts()),
            Outcome::Interrupted if !self.story.under_way.is_empty() => told.extend(self.cut_off()),
            Outcome::Interrupted | Outcome::Stopped => told.push(self.go_on("to go on, ")),
            Outcome::Undone | Outcome::Planned => {}
        }
        told.extend(self.rehearsed());
        told
    }

    /// What failed and why, without the command that goes on.
    pub(super) fn troubles(&self) -> Vec<Line> {
        self.story.troubles.iter().flat_map(trouble).collect()
    }

    fn summary(&self, outcome: Outcome, took_ms: u64) -> Line {
        let done = self.story.number(|settled| matches!(settled, Settled::Done(_)));
        let skipped = self.story.number(|settled| settled == Settled::Skipped);
        let undone = self.story.number(|settled| settled == Settled::Undone);
        let of_all = format!("{done} of {} done", count(self.story.total(), "step"));
        let (word, said) = match outcome {
            Outcome::Done => (words::DONE, count(done, "step")),
            Outcome::Undone => (words::UNDO, format!("{} taken back", count(undone, "step"))),
            _ if self.story.undoing => {
                (stopped(outcome).0, format!("{} taken back so far", count(undone, "step")))
            }
            _ => (stopped(outcome).0, of_all),
        };
        // What a plan did not do is not worth counting.
        let mut parts = if outcome == Outcome::Planned { Vec::new() } else { vec![said] };
        if outcome == Outcome::Done {
            parts.extend(self.hows());
        } else if !self.story.undoing && outcome != Outcome::Planned {
            parts.extend(self.story.partly());
        }
        parts.extend((skipped > 0).then(|| format!("{skipped} skipped")));
        parts.extend(self.options.times.then(|| words::duration(took_ms)));
        parts.splice(..0, stopped(outcome).1.map(str::to_owned));
        status(word).add(&parts.join(", "))
    }

    /// Steps that were not simply performed.
    fn hows(&self) -> impl Iterator<Item = String> {
        let hows = [
            (How::Unchanged, "unchanged"),
            (How::Adopted, "taken over"),
            (How::ByHand, "done by hand"),
            (How::Tolerated, "failed, which is allowed"),
        ];
        let number = |how| self.story.number(|settled| settled == Settled::Done(how));
        hows.map(|(how, said)| (number(how), said))
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, said)| format!("{number} of them {said}"))
    }

    fn saved(&self) -> Vec<Line> {
        self.values(self.story.saved.iter().map(|(name, value)| (name, value)))
    }

    fn questions(&self) -> Vec<Line> {
        let asked = &self.story.asked;
        let question =
            |of: &Question| self.line(words::WAIT, &of.step, std::slice::from_ref(&of.ask));
        let mut told: Vec<Line> = asked.iter().map(question).collect();
        let answers: Vec<String> = asked
            .iter()
            .map(|of| format!("--answer {}{}", argument(&of.step), answer(of)))
            .collect();
        let answers = answers.join(" ");
        told.push(if self.story.rehearsal {
            hint(&format!("rehearse again with `{answers}`"))
        } else {
            hint(&format!("`{} {answers}`", self.command()))
        });
        told
    }

    fn doubts(&self) -> Vec<Line> {
        let doubts = self.story.doubtful();
        let troubles = self.story.troubles.iter().flat_map(trouble);
        troubles.chain(doubts.iter().flat_map(|doubt| self.doubt(doubt))).collect()
    }

    fn doubt(&self, doubt: &Doubtful) -> Vec<Line> {
        let Doubtful { step, what, differs, saves, secret } = doubt;
        let said = format!("step `{step}` may or may not have happened");
        let mut told =
            vec![Line::default(), Line::styled(words::DOUBT.1, "doubt").add(": ").add(&said)];
        told.extend(lines(what).map(|line| line.indent(2)));
        if !differs.is_empty() {
            let found = "something is there, but not as this run would have made it:";
            told.push(Line::bare(found).indent(2));
        }
        told.extend(self.differing(differs).into_iter().map(|line| line.indent(2)));
        if self.story.rehearsal {
            return told;
        }
        let (command, id) = (self.command(), argument(step));
        if self.story.in_doubt_itself(step) {
            told.push(hint(&format!(
                "once nothing of it is there any more, `{command} --done {id}` goes on without it"
            )));
        } else {
            let value = |name| if secret.contains(name) { "" } else { "=VALUE" };
            let saves = saves.iter().map(|name| format!(" --save {name}{}", value(name)));
            let saves = saves.collect::<Vec<_>>().concat();
            told.push(hint(&format!("if it happened, `{command} --done {id}{saves}`")));
            told.push(hint(&format!("if it did not, `{command} --redo {id}`")));
        }
        told
    }

    /// What was under way when the person interrupted it.
    fn cut_off(&self) -> Vec<Line> {
        let said = |(step, what): (&String, &String)| {
            Line::bare(&format!("`{step}` may have happened: {what}")).indent(MARGIN)
        };
        let mut told: Vec<Line> = self.story.under_way.iter().map(said).collect();
        told.push(if self.story.rehearsal {
            self.go_on("")
        } else {
            hint(&format!(
                "`{}` looks whether it happened, or says how you tell it",
                self.command()
            ))
        });
        told
    }

    /// What was found against what was wanted, as a small table.
    fn differing(&self, differs: &[(String, String, String)]) -> Vec<Line> {
        if differs.is_empty() {
            return Vec::new();
        }
        // three columns, their gaps and the margin
        let room =
            self.options.screen.map_or(CELL, |width| (width.saturating_sub(6) / 3).min(CELL));
        let cells = |of: fn(&(String, String, String)) -> &String| {
            differs.iter().map(move |row| words::clip(&quoted(of(row)), room))
        };
        let table = Table::default()
            .column("field", cells(|row| &row.0))
            .column("found", cells(|row| &row.1))
            .column("wanted", cells(|row| &row.2));
        table.lines(true)
    }

    /// The one command that goes on.
    fn go_on(&self, before: &str) -> Line {
        if self.story.rehearsal {
            return hint(&format!("{before}rehearse again"));
        }
        if self.story.run == PLAN {
            return hint(&format!("{before}plan again; nothing was changed"));
        }
        hint(&format!("{before}`{}`", self.command()))
    }

    fn command(&self) -> String {
        let verb = if self.story.undoing { "undo" } else { "resume" };
        let there = self.story.undoing || self.story.ended == Some(Outcome::Stopped);
        let until = flag("until", self.options.until.as_deref().filter(|_| !there));
        format!("{} {verb} {}{until}", self.options.command, self.story.run)
    }

    fn rehearsed(&self) -> Option<Line> {
        let said = ": this was a rehearsal, nothing real was changed";
        self.story.rehearsal.then(|| Line::styled(words::NOTE.1, "note").add(said))
    }
}

/// The status word of a walk that did not reach the end, and what it says first.
fn stopped(outcome: Outcome) -> (Word, Option<&'static str>) {
    match outcome {
        Outcome::Done => (words::DONE, None),
        Outcome::Undone => (words::UNDO, None),
        Outcome::Failed => (words::FAIL, None),
        Outcome::Waiting => (words::WAIT, Some("needs an answer")),
        Outcome::InDoubt => (words::DOUBT, Some("needs a decision")),
        Outcome::Interrupted => (words::STOP, Some("interrupted")),
        Outcome::Stopped => (words::STOP, Some("stopped as asked")),
        Outcome::Planned => (words::DONE, Some("nothing was changed")),
    }
}

/// What failed and why.
fn trouble(trouble: &Trouble) -> Vec<Line> {
    let Trouble { step, failure, undoing } = trouble;
    let subject = if *undoing { "undo of step" } else { "step" };
    let said = format!(": {subject} `{step}` failed: {}", failure.message);
    let mut told = vec![Line::default(), Line::styled(BAD, "error").add(&said)];
    let details = failure.details.iter().flat_map(|detail| lines(detail));
    told.extend(details.map(|line| line.indent(2)));
    if failure.doubt {
        told.push(Line::bare("it may have happened all the same").indent(2));
    }
    told.extend(failure.hints.iter().flat_map(|text| hints(text)));
    told
}

/// A hint of several lines, the later ones below the first.
fn hints(text: &str) -> impl Iterator<Item = Line> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    std::iter::once(hint(first)).chain(lines(rest).map(|line| line.indent(MARGIN)))
}

pub(super) fn hint(text: &str) -> Line {
    Line::styled(HINT, "hint").add(": ").add(text)
}

/// An answer to show in a command; a secret is asked for unseen. The event does not say the answer's
/// type, but the question of a confirmation ends so.
fn answer(of: &Question) -> &'static str {
    match of.ask.ends_with("(yes/no)") {
        _ if of.secret => "",
        true => "=yes",
        false => "=VALUE",
    }
}
