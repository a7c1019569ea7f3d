//! The terminal: finished lines above, a spinner for each step that runs below.
//!
//! Lines are written while the spinners are out of the way, never through them: a hidden
//! spinner drops what is printed through it.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::journal::event::{Entry, Event};
use crate::terminal::echo;

use super::teller::{Teller, View};
use super::text::Line;
use super::{Options, Report, put};

/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(100);

/// Writes lines and keeps spinners.
pub(super) struct Terminal {
    out: Box<dyn Write + Send>,
    teller: Teller,
    bars: MultiProgress,
    /// How a spinner looks: made once, as that takes longer than to draw it.
    style: ProgressStyle,
    /// The steps that run, in the order in which they began.
    running: Running,
    /// While it is there the spinners move.
    moving: Option<SyncSender<()>>,
}

type Running = Arc<Mutex<Vec<(String, ProgressBar)>>>;

fn locked(running: &Running) -> MutexGuard<'_, Vec<(String, ProgressBar)>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Moves all spinners from now on, until what is given is dropped. One thread for all: one for each,
/// as they come with, takes longer to begin and to wait for than most steps do.
fn moved(running: &Running) -> Option<SyncSender<()>> {
    let (moving, stopped) = sync_channel(0);
    let running = Arc::clone(running);
    let work = move || {
        while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            locked(&running).iter().for_each(|(_, bar)| bar.tick());
        }
    };
    // without a thread they stand still
    Builder::new().spawn(work).ok().map(|_| moving)
}

/// Does something while the spinners are out of the way. As the library does it, but that panics if
/// the screen is gone; nothing moves meanwhile, as whoever moves them must have them all.
fn aside(bars: &MultiProgress, running: &Running, act: impl FnOnce()) {
    let running = locked(running);
    if bars.clear().is_err() {
        bars.set_draw_target(ProgressDrawTarget::hidden());
    }
    act();
    running.iter().for_each(|(_, bar)| bar.force_draw());
}

impl Terminal {
    pub(super) fn new(out: Box<dyn Write + Send>, options: Options) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let style = style(&options);
        let teller = Teller::new(options, View::Terminal);
        Self { out, teller, bars, style, running: Running::default(), moving: None }
    }

    fn spin(&mut self, step: &str, title: &str) {
        self.still(step);
        let bar = self.bars.add(ProgressBar::new_spinner());
        bar.set_style(self.style.clone());
        locked(&self.running).push((step.to_owned(), bar.clone()));
        self.echo();
        bar.set_message(Line::bare(title).draw(false));
        if self.moving.is_none() {
            self.moving = moved(&self.running);
        }
    }

    /// Takes a step's spinner away.
    fn still(&mut self, step: &str) {
        locked(&self.running).retain(|(running, bar)| {
            if running == step {
                bar.finish_and_clear();
                self.bars.remove(bar);
            }
            running != step
        });
        self.echo();
    }

    fn still_all(&mut self) {
        for (_, bar) in locked(&self.running).drain(..) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        self.echo();
    }

    /// While something moves, what is typed is not shown: it would be written into that.
    fn echo(&self) {
        if locked(&self.running).is_empty() || self.bars.is_hidden() {
            echo::on();
        } else {
            echo::off();
        }
    }

    fn write(&mut self, lines: Vec<Line>) {
        if !lines.is_empty() {
            let text = self.teller.draw(lines);
            aside(&self.bars, &self.running, || put(&mut self.out, &text));
        }
    }
}

impl Report for Terminal {
    fn past(&mut self, entries: &[Entry]) {
        self.teller.past(entries);
    }

    fn event(&mut self, entry: &Entry) {
        let lines = self.teller.tell(entry);
        match &entry.event {
            Event::Ended { .. } => self.still_all(),
            event if ends(event) => self.still(event.step().unwrap_or_default()),
            _ => {}
        }
        self.write(lines);
        match &entry.event {
            Event::Began { step, title } => self.spin(step, title),
            Event::UndoIntent { step, .. } => {
                let title = format!("undo: {}", self.teller.label(step));
                self.spin(step, &title);
            }
            _ => {}
        }
    }

    fn finish(&mut self) {
        self.still_all();
        let lines = self.teller.finish();
        self.write(lines);
    }

    fn suspend(&mut self, f: &mut dyn FnMut()) {
        echo::on();
        aside(&self.bars, &self.running, f);
        self.echo();
    }

    fn still(&mut self, still: bool) {
        if still {
            // What cannot be cleared is not there.
            let _ = self.bars.clear();
            self.bars.set_draw_target(ProgressDrawTarget::hidden());
        } else {
            self.bars.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.echo();
    }
}

/// Whether a step no longer runs after this.
fn ends(event: &Event) -> bool {
    matches!(
        event,
        Event::Done { .. }
            | Event::Skipped { .. }
            | Event::Failed { .. }
            | Event::Asked { .. }
            | Event::Doubt { .. }
            | Event::Undone { .. }
            | Event::UndoFailed { .. }
    )
}

fn style(options: &Options) -> ProgressStyle {
    let spinner = if options.color { "{spinner:.cyan}" } else { "{spinner}" };
    let elapsed = if options.times { " {elapsed}" } else { "" };
    ProgressStyle::with_template(&format!("{spinner}     {{wide_msg}}{elapsed}"))
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::journal::event::{How, Outcome};
    use crate::report::terminal;

    const STEPS: &[(&str, &str)] =
        &[("provider", "Create the {{ kind }} provider"), ("scopes", "Look up the scopes")];

    fn events() -> Vec<Event> {
        vec![
            started(STEPS, false),
            began("provider", "Create the OAuth2 provider"),
            began("scopes", "Look up the scopes"),
            done("provider", How::Performed, "201 Created", &[]),
            done("scopes", How::Performed, "200 OK", &[("n", plain_value(3))]),
            ended(Outcome::Done),
        ]
    }

    #[test]
    fn titles_stand_for_ids_and_no_line_is_lost_without_a_screen() {
        let want = "\
run   r7  rotate
ok    Create the OAuth2 provider  201 Created · 210 ms
ok    Look up the scopes          200 OK · 210 ms
done  2 steps, 3.2 s
      n = 3
";
        assert_eq!(told(terminal, Options::default(), vec![], events()), want);
    }

    #[test]
    fn colours_only_add_to_the_text() {
        let options = || Options { color: true, ..Options::default() };
        let colored = told(terminal, options(), vec![], events());
        assert!(colored.contains("\u{1b}[32mok\u{1b}[0m    Create"), "{colored:?}");
    }

    #[test]
    fn each_running_step_has_a_spinner_until_it_ends() {
        let mut terminal = Terminal::new(Box::new(Paper::default()), Options::default());
        let mut running = Vec::new();
        for entry in entries(events()) {
            terminal.event(&entry);
            let steps = locked(&terminal.running);
            let steps: Vec<&str> = steps.iter().map(|(step, _)| step.as_str()).collect();
            running.push(steps.join(" "));
        }
        assert_eq!(running, ["", "provider", "provider scopes", "scopes", "", ""]);
    }

    #[test]
    fn a_prompt_runs_while_the_spinners_wait() {
        let mut terminal = Terminal::new(Box::new(Paper::default()), Options::default());
        for entry in entries(events()).iter().take(2) {
            terminal.event(entry);
        }
        let mut asked = false;
        terminal.suspend(&mut || asked = true);
        assert!(asked);
    }
}
