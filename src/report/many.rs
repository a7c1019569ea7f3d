//! Many runs at once: one line for each that ends. What went wrong is told when all have ended,
//! each with its cause and the command that goes on, so that it does not scroll away.

use std::collections::BTreeMap;
use std::io::Write;

use crate::journal::event::{Entry, Event, Outcome};
use crate::printable::flag;

use super::closing::hint;
use super::teller::{Teller, View, status, warning};
use super::text::{Line, draw, folded};
use super::words::{self, count};
use super::{Options, Report, put};

/// Tells of runs as they end.
pub(super) struct Many {
    out: Box<dyn Write + Send>,
    options: Options,
    /// Where the inputs of each run stand, or what tells it from the others.
    places: BTreeMap<String, String>,
    /// Whether they were begun before.
    taken_up: bool,
    /// The first of all runs.
    first: String,
    /// The runs under way.
    open: BTreeMap<String, Teller>,
    /// How many came out how, in the order in which that was first seen.
    ended: Vec<(Outcome, usize)>,
    /// What there is to tell of those that did not come to their end, by run.
    left: Vec<(String, Vec<Line>)>,
    /// What those under way were warned of.
    warned: BTreeMap<String, Vec<String>>,
    /// The same of those that are done: what, the first of them, and how many more.
    warned_done: Vec<(String, String, usize)>,
}

impl Many {
    pub(super) fn new(
        out: Box<dyn Write + Send>,
        options: Options,
        places: BTreeMap<String, String>,
        taken_up: bool,
    ) -> Self {
        let (open, ended, left) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (warned, warned_done) = (BTreeMap::new(), Vec::new());
        let first = places.keys().min_by_key(|run| order(run));
        let first = first.cloned().unwrap_or_default();
        Self { out, options, places, taken_up, first, open, ended, left, warned, warned_done }
    }

    /// The line of a run that ended, and what is told of it later.
    fn end(&mut self, run: &str, outcome: Outcome, mut told: Vec<Line>) {
        match self.ended.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, times)) => *times += 1,
            None => self.ended.push((outcome, 1)),
        }
        let place = self.places.remove(run).unwrap_or_default();
        let summary = if told.is_empty() { Line::default() } else { told.remove(0) };
        let line = summary.add(format!("  {run}  {place}").trim_end());
        self.write(vec![line.clone()]);
        let warned = self.warned.remove(run).unwrap_or_default();
        if outcome == Outcome::Done {
            for message in warned {
                self.warn_done(run, message);
            }
        } else {
            let warned = warned.iter().map(|message| warning(message));
            let told = told.into_iter().filter(|line| !line.is_empty());
            let all = [Line::default(), line].into_iter().chain(warned).chain(told);
            self.left.push((run.to_owned(), all.collect()));
        }
    }

    /// What many are warned of is said once for those that are done.
    fn warn_done(&mut self, run: &str, message: String) {
        match self.warned_done.iter_mut().find(|(known, ..)| *known == message) {
            Some((.., more)) => *more += 1,
            None => self.warned_done.push((message, run.to_owned(), 0)),
        }
    }

    /// What those that are done were warned of.
    fn warnings(&mut self) -> Vec<Line> {
        let warned = std::mem::take(&mut self.warned_done).into_iter();
        let told = warned.map(|(message, run, more)| {
            let others =
                if more > 0 { format!(" and {}", count(more, "other run")) } else { String::new() };
            warning(&format!("{message} (`{run}`{others})"))
        });
        let told: Vec<Line> = told.collect();
        if told.is_empty() { told } else { std::iter::once(Line::default()).chain(told).collect() }
    }

    fn write(&mut self, lines: Vec<Line>) {
        let lines = folded(lines, self.options.screen);
        put(&mut self.out, &draw(&lines, self.options.color));
    }

    /// How all of them came out, in one line.
    fn total(&self) -> Line {
        let all: usize = self.ended.iter().map(|(_, times)| times).sum();
        let done = self.ended.iter().find(|(outcome, _)| *outcome == Outcome::Done);
        let done = done.map_or(0, |(_, times)| *times);
        let (untouched, broken) = (self.places.len(), self.open.len());
        let all = all + untouched + broken;
        let mut parts = vec![format!("{done} of {} done", count(all, "run"))];
        let others = self.ended.iter().filter(|(outcome, _)| *outcome != Outcome::Done);
        parts.extend(others.map(|(outcome, times)| format!("{times} {}", said(*outcome))));
        parts.extend((broken > 0).then(|| format!("{broken} cut short")));
        parts.extend((untouched > 0).then(|| format!("{untouched} not begun")));
        let word = if done == all { words::DONE } else { words::FAIL };
        status(word).add(&parts.join(", "))
    }

    /// The runs that nothing was done for.
    fn untouched(&self) -> Vec<Line> {
        let mut runs: Vec<(&String, &String)> = self.places.iter().collect();
        runs.sort_by_key(|(run, _)| order(run));
        let [(first, place), ..] = runs[..] else { return Vec::new() };
        let last = runs.last().map_or("", |(run, _)| run.as_str());
        let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
        let begun = if self.taken_up { "taken up" } else { "begun" };
        let said = if runs.len() == 1 {
            let until = flag("until", self.options.until.as_deref());
            let command = format!("{} resume {first}{until}", self.options.command);
            format!("`{first}`{place} was not {begun}: `{command}`")
        } else {
            let number = count(runs.len(), "run");
            format!("{number} from `{first}`{place} to `{last}` were not {begun}")
        };
        vec![Line::default(), hint(&said)]
    }

    /// The one command that goes on with all that is not done, if that is more than one and it leads
    /// any of them further: what is in doubt or waits needs more than to be gone on with.
    fn all_left(&self) -> Option<Line> {
        let unfinished = |(outcome, _): &&(Outcome, usize)| *outcome != Outcome::Done;
        let ended = || self.ended.iter().filter(unfinished);
        let others = self.places.len() + self.open.len();
        let left = ended().map(|(_, times)| times).sum::<usize>() + others;
        // what stopped there goes on to the end
        let there = others == 0 && ended().all(|(outcome, _)| *outcome == Outcome::Stopped);
        let stuck = others == 0
            && ended().all(|(outcome, _)| matches!(outcome, Outcome::InDoubt | Outcome::Waiting));
        let until = flag("until", self.options.until.as_deref().filter(|_| !there));
        let command = format!("{} resume --each {}{until}", self.options.command, self.first);
        (left > 1 && !stuck)
            .then(|| hint(&format!("all that is not done goes on with `{command}`")))
    }
}

/// Where a run stands among others: `r10` after `r9`.
fn order(run: &str) -> (usize, &str) {
    (run.len(), run)
}

fn said(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Undone => "taken back",
        Outcome::InDoubt => "in doubt",
        Outcome::Stopped => "stopped as asked",
        other => other.word(),
    }
}

impl Report for Many {
    fn event(&mut self, entry: &Entry) {
        let options = &self.options;
        let open = self.open.entry(entry.run.clone());
        let teller = open.or_insert_with(|| Teller::new(options.clone(), View::Plain));
        if matches!(entry.event, Event::Ended { .. }) {
            // how it ended comes first, whatever stood before
            drop(teller.before(&entry.event));
        }
        let told = teller.tell(entry);
        match &entry.event {
            Event::Warned { message } => {
                self.warned.entry(entry.run.clone()).or_default().push(message.clone());
            }
            Event::Ended { outcome, .. } => {
                self.open.remove(&entry.run);
                self.end(&entry.run, *outcome, told);
            }
            _ => {}
        }
    }

    fn past(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        let options = &self.options;
        let open = self.open.entry(first.run.clone());
        open.or_insert_with(|| Teller::new(options.clone(), View::Plain)).past(entries);
    }

    fn finish(&mut self) {
        let all_left = self.all_left();
        // their journal could not be written: that is said elsewhere
        for run in self.open.keys() {
            self.places.remove(run);
        }
        // whichever ended first: as their inputs stand in the file
        self.left.sort_by(|(one, _), (other, _)| order(one).cmp(&order(other)));
        let left = std::mem::take(&mut self.left).into_iter();
        let mut lines: Vec<Line> = left.flat_map(|(_, told)| told).collect();
        lines.extend(self.warnings());
        lines.extend(self.untouched());
        if let Some(hint) = all_left {
            if self.places.is_empty() {
                lines.push(Line::default());
            }
            lines.push(hint);
        }
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(self.total());
        self.write(lines);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    /// What is said of runs from `r1` on, each with its events.
    fn said_of(runs: &[&[Event]]) -> String {
        let names: Vec<String> = (1..=runs.len()).map(|number| format!("r{number}")).collect();
        let places = names.iter().map(|run| (run.clone(), String::new()));
        let paper = Paper::default();
        let options = Options { times: false, ..Options::default() };
        let mut report = Many::new(Box::new(paper.clone()), options, places.collect(), false);
        for (run, events) in names.iter().zip(runs) {
            events.iter().for_each(|event| report.event(&of(run, event.clone())));
        }
        report.finish();
        paper.text()
    }

    fn warned(message: &str) -> Event {
        Event::Warned { message: message.to_owned() }
    }

    #[test]
    fn a_run_that_ends_as_soon_as_it_is_taken_up_is_told_by_its_end() {
        let paper = Paper::default();
        let options = Options { times: false, ..Options::default() };
        let places = BTreeMap::from([("r1".to_owned(), String::new())]);
        let mut report = Many::new(Box::new(paper.clone()), options, places, true);
        let first = done("make", crate::journal::event::How::Performed, "", &[]);
        let steps = [("make", "Make it"), ("put", "Put it")];
        let past = [started(&steps, false), first, ended(Outcome::Interrupted)];
        report.past(&past.map(|event| of("r1", event)));
        report.event(&of("r1", Event::resumed(false, BTreeMap::new())));
        report.event(&of("r1", ended(Outcome::Interrupted)));
        report.finish();
        let text = paper.text();
        assert!(text.starts_with("stop  interrupted, 1 of 2 steps done  r1\n"), "{text}");
        assert!(!text.contains("done earlier"), "{text}");
    }

    #[test]
    fn warnings_are_told_with_what_is_left() {
        let begun = || started(&[("make", "Make it")], false);
        let text = said_of(&[
            &[begun(), warned("open door"), ended(Outcome::Done)],
            &[begun(), warned("open door"), warned("2 is at work"), ended(Outcome::Stopped)],
            &[begun(), warned("open door"), ended(Outcome::Done)],
        ]);
        insta::assert_snapshot!(text, @r"
        done  0 steps  r1
        stop  stopped as asked, 0 of 1 step done  r2
        done  0 steps  r3

        stop  stopped as asked, 0 of 1 step done  r2
        warning: open door
        warning: 2 is at work
        hint: to go on, `runbook resume r2`

        warning: open door (`r1` and 1 other run)

        fail  2 of 3 runs done, 1 stopped as asked
        ");
    }

    #[test]
    fn what_needs_a_decision_does_not_go_on_by_itself() {
        let doubt = Event::Doubt {
            step: "make".into(),
            what: "POST http://h/".into(),
            differs: Vec::new(),
            saves: Vec::new(),
            secret: Vec::new(),
        };
        let begun = || started(&[("make", "Make it")], false);
        let doubtful = [begun(), doubt, ended(Outcome::InDoubt)];
        let asked =
            Event::Asked { step: "make".into(), ask: "ready? [yes/no]".into(), secret: false };
        let waiting = [begun(), asked, ended(Outcome::Waiting)];
        let failed = [begun(), failed("make", "no", &[], &[]), ended(Outcome::Failed)];
        let hint = "all that is not done goes on with";
        assert!(!said_of(&[&doubtful, &doubtful]).contains(hint));
        assert!(!said_of(&[&waiting, &doubtful]).contains(hint));
        assert!(said_of(&[&waiting, &failed]).contains(hint));
        assert!(said_of(&[&doubtful, &[begun(), ended(Outcome::Interrupted)]]).contains(hint));
        assert!(said_of(&[&doubtful, &[]]).contains(hint), "one that was not begun");
    }

    fn of(run: &str, event: Event) -> Entry {
        Entry { run: run.into(), seq: 1, at_ms: 0, event }
    }

    #[test]
    fn failures_are_told_in_the_order_of_their_runs() {
        let names = ["r9", "r10", "r11"];
        let places = names.map(|run| (run.to_owned(), String::new()));
        let paper = Paper::default();
        let options = Options { times: false, ..Options::default() };
        let mut report = Many::new(Box::new(paper.clone()), options, BTreeMap::from(places), false);
        for run in ["r11", "r9", "r10"] {
            report.event(&of(run, started(&[("make", "Make it")], false)));
            report.event(&of(run, failed("make", "no", &[], &[])));
            report.event(&of(run, ended(Outcome::Failed)));
        }
        report.finish();
        let text = paper.text();
        let (_, last) = text.split_once("\n\n").unwrap();
        let told = last.lines().filter(|line| line.starts_with("fail  0 of 1"));
        let runs: Vec<&str> = told.filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(runs, names, "{text}");
    }

    #[test]
    fn failures_come_last_with_the_command_that_goes_on() {
        let places = [("r1", "in.jsonl:1"), ("r2", "in.jsonl:2"), ("r3", "in.jsonl:3")];
        let places = places.map(|(run, place)| (run.to_owned(), place.to_owned()));
        let paper = Paper::default();
        let options = Options { times: false, ..Options::default() };
        let mut report = Many::new(Box::new(paper.clone()), options, BTreeMap::from(places), false);
        let steps = &[("make", "Make it")];
        report.event(&of("r1", started(steps, false)));
        report.event(&of("r2", started(steps, false)));
        report.event(&of("r2", failed("make", "POST http://h/ answered 400", &["no"], &["why"])));
        report.event(&of("r1", done("make", crate::journal::event::How::Performed, "", &[])));
        report.event(&of("r2", ended(Outcome::Failed)));
        report.event(&of("r1", ended(Outcome::Done)));
        report.finish();
        insta::assert_snapshot!(paper.text(), @r"
        fail  0 of 1 step done  r2  in.jsonl:2
        done  1 step  r1  in.jsonl:1

        fail  0 of 1 step done  r2  in.jsonl:2
        error: step `make` failed: POST http://h/ answered 400
          no
        hint: why
        hint: fix the cause, then `runbook resume r2`

        hint: `r3` (in.jsonl:3) was not begun: `runbook resume r3`
        hint: all that is not done goes on with `runbook resume --each r1`

        fail  1 of 3 runs done, 1 failed, 1 not begun
        ");
    }
}
