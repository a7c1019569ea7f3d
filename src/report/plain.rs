//! Plain lines: one a step, for logs and pipes. Never a colour, never a cursor movement.

use std::io::Write;

use crate::journal::event::Entry;

use super::teller::{Teller, View};
use super::{Options, Report, put};

/// Writes each event's lines as it comes.
pub(super) struct Plain {
    out: Box<dyn Write + Send>,
    teller: Teller,
}

impl Plain {
    pub(super) fn new(out: Box<dyn Write + Send>, options: Options) -> Self {
        Self {
            out,
            teller: Teller::new(Options { color: false, screen: None, ..options }, View::Plain),
        }
    }
}

impl Report for Plain {
    fn past(&mut self, entries: &[Entry]) {
        self.teller.past(entries);
    }

    fn event(&mut self, entry: &Entry) {
        let lines = self.teller.tell(entry);
        put(&mut self.out, &self.teller.draw(lines));
    }

    fn finish(&mut self) {
        let lines = self.teller.finish();
        put(&mut self.out, &self.teller.draw(lines));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::journal::event::{Decision, Effect, Event, How, Outcome, Skip};
    use crate::report::plain;
    use crate::value::Json;

    const STEPS: &[(&str, &str)] =
        &[("login", "Log in"), ("extract", "Read the token"), ("notify", "Tell the others")];

    fn say(past: Vec<Event>, events: Vec<Event>) -> String {
        told(plain, Options::default(), past, events)
    }

    #[test]
    fn a_run_that_is_done() {
        let text = say(
            vec![],
            vec![
                started(STEPS, false),
                began("login", "Log in"),
                intent("login", "POST https://h/login"),
                done("login", How::Performed, "201 Created", &[("token", sealed())]),
                done(
                    "extract",
                    How::Performed,
                    "",
                    &[("id", plain_value(7)), ("token2", sealed())],
                ),
                Event::Retrying {
                    step: "notify".into(),
                    attempt: 1,
                    message: "503 from http://h/notify".into(),
                    wait_ms: 2000,
                    polling: false,
                },
                Event::Skipped { step: "notify".into(), why: Skip::When },
                ended(Outcome::Done),
            ],
        );
        let want = "\
run   r7  rotate
ok    login    201 Created, 210 ms
ok    extract  id = 7, token2 = ***, 210 ms
retry notify   attempt 1 failed: 503 from http://h/notify, again in 2.0 s
skip  notify   its `when` is false
done  2 steps, 1 skipped, 3.2 s
      token  = ***
      id     = 7
      token2 = ***
";
        assert_eq!(text, want);
    }

    #[test]
    fn a_failure_says_what_why_and_how_to_go_on() {
        let details = ["the server said: out of cheese\nand of wine"];
        let hints = ["is the server up?\nask the host"];
        let text = say(
            vec![],
            vec![
                started(STEPS, false),
                done("login", How::Unchanged, "unchanged", &[]),
                failed("notify", "503 from http://h/notify", &details, &hints),
                ended(Outcome::Failed),
            ],
        );
        let want = "\
run   r7  rotate
same  login    unchanged, 210 ms
fail  notify   12 ms
fail  1 of 3 steps done, 3.2 s

error: step `notify` failed: 503 from http://h/notify
  the server said: out of cheese
  and of wine
hint: is the server up?
      ask the host
hint: fix the cause, then `runbook resume r7`
";
        assert_eq!(text, want);
    }

    #[test]
    fn a_resumed_run_knows_what_was_done_and_saved() {
        let past = vec![
            started(STEPS, false),
            done("login", How::Performed, "201 Created", &[("token", sealed())]),
            failed("extract", "no answer", &[], &[]),
            ended(Outcome::Failed),
        ];
        let text = say(
            past,
            vec![
                Event::resumed(false, std::collections::BTreeMap::new()),
                began("extract", "Read the token"),
                done("extract", How::Adopted, "found and taken over", &[]),
                done("notify", How::ByHand, "", &[]),
                ended(Outcome::Done),
            ],
        );
        let want = "\
run   r7  rotate  (resumed)
skip  login    done earlier
adopt extract  found and taken over, 210 ms
ok    notify   done by hand, 210 ms
done  3 steps, 1 of them taken over, 1 of them done by hand, 3.2 s
      token = ***
";
        assert_eq!(text, want);
    }

    #[test]
    fn an_edited_finished_step_is_not_called_done() {
        let past = vec![started(STEPS, false), done("login", How::Performed, "", &[])];
        let steps = vec![step_ref("login", "Log in", "changed"), step_ref("new", "New", "d1")];
        let decided = Event::decided("login", Decision::Keep);
        let resumed = Event::Resumed {
            undo: false,
            uses: std::collections::BTreeMap::new(),
            runbooks: Vec::new(),
            text: Some("d2".into()),
            steps: steps.into(),
            inputs: std::collections::BTreeMap::new(),
        };
        let text = say(past, vec![resumed, decided, ended(Outcome::Stopped)]);
        let want = "\
run   r7  rotate  (resumed, updated)
keep  login  changed, left as it was done, as decided
stop  stopped as asked, 1 of 2 steps done, 3.2 s
hint: to go on, `runbook resume r7`
";
        assert_eq!(text, want);
    }

    #[test]
    fn waiting_names_the_answer() {
        let asked = |step: &str, ask: &str| Event::Asked {
            step: step.into(),
            ask: ask.into(),
            secret: step == "pin",
        };
        let text = say(
            vec![],
            vec![
                started(&[("approve", "Approve")], false),
                asked("approve", "Did the login work? (yes/no)"),
                ended(Outcome::Waiting),
            ],
        );
        let want = "\
run   r7  rotate
wait  needs an answer, 0 of 1 step done, 3.2 s
wait  approve  Did the login work? (yes/no)
hint: `runbook resume r7 --answer approve=yes`
";
        assert_eq!(text, want);
    }

    #[test]
    fn doubt_shows_what_differs_and_both_ways_on() {
        let differs = vec![("client_type".into(), "public".into(), "confidential".into())];
        let (what, saves) = ("POST https://h/login".into(), vec!["id".into(), "key".into()]);
        let secret = vec!["key".into()];
        let doubt = Event::Doubt { step: "login".into(), what, differs, saves, secret };
        let text = say(vec![], vec![started(STEPS, false), doubt, ended(Outcome::InDoubt)]);
        let want = "\
run   r7  rotate
doubt login    may or may not have happened
doubt needs a decision, 0 of 3 steps done, 3.2 s

doubt: step `login` may or may not have happened
  POST https://h/login
  something is there, but not as this run would have made it:
  field        found   wanted
  client_type  public  confidential
hint: if it happened, `runbook resume r7 --done login --save id=VALUE --save key`
hint: if it did not, `runbook resume r7 --redo login`
";
        assert_eq!(text, want);
    }

    #[test]
    fn a_failure_in_doubt_names_the_intent() {
        let mut failure = failure("no answer within 30 s", &[], &[]);
        failure.doubt = true;
        let failed = Event::Failed { step: "login".into(), failure, took_ms: 30_000 };
        let events = vec![
            started(STEPS, false),
            intent("login", "POST https://h/login"),
            failed,
            ended(Outcome::InDoubt),
        ];
        let want = "\
run   r7  rotate
fail  login    30.0 s
doubt needs a decision, 0 of 3 steps done, 3.2 s

error: step `login` failed: no answer within 30 s
  it may have happened all the same

doubt: step `login` may or may not have happened
  POST https://h/login
hint: if it happened, `runbook resume r7 --done login`
hint: if it did not, `runbook resume r7 --redo login`
";
        assert_eq!(say(vec![], events), want);
    }

    #[test]
    fn undo_is_told_as_undo() {
        let past = vec![
            started(STEPS, false),
            done("login", How::Performed, "", &[]),
            done("extract", How::Performed, "", &[]),
            ended(Outcome::Done),
        ];
        let undo = |step: &str| Event::UndoIntent {
            step: step.into(),
            effect: Effect::Repeatable,
            what: format!("DELETE https://h/{step}"),
        };
        let undone =
            Event::Undone { step: "extract".into(), summary: "204 No Content".into(), took_ms: 8 };
        let failed =
            Event::UndoFailed { step: "login".into(), failure: failure("403 Forbidden", &[], &[]) };
        let resumed = Event::resumed(false, std::collections::BTreeMap::new());
        let events =
            vec![resumed, undo("extract"), undone, undo("login"), failed, ended(Outcome::Failed)];
        let want = "\
run   r7  rotate  (resumed)
undo  extract  204 No Content, 8 ms
fail  login    could not be undone
fail  1 step taken back so far, 3.2 s

error: undo of step `login` failed: 403 Forbidden
hint: fix the cause, then `runbook undo r7`
";
        assert_eq!(say(past, events), want);
    }

    #[test]
    fn a_rehearsal_says_that_nothing_was_changed_and_offers_no_resume() {
        let failed = failed("login", "401 Unauthorized", &[], &[]);
        let text = say(vec![], vec![started(STEPS, true), failed, ended(Outcome::Failed)]);
        let want = "\
run   r7  rotate  (a rehearsal: nothing real is changed)
fail  login    12 ms
fail  0 of 3 steps done, 3.2 s

error: step `login` failed: 401 Unauthorized
hint: fix the cause, then rehearse again
note: this was a rehearsal, nothing real was changed
";
        assert_eq!(text, want);
    }

    #[test]
    fn a_note_stands_apart_and_needs_no_other_line() {
        let markdown = "Set **this**:\n\n```sh\nexport A=1\n```\n".into();
        let events = vec![
            started(&[("env", "Environment"), ("last", "Last")], false),
            Event::Note { step: "env".into(), markdown },
            done("env", How::Performed, "", &[]),
            done("last", How::Performed, "ready", &[]),
        ];
        let options = Options { times: false, color: true, ..Options::default() };
        let want = "\
run   r7  rotate
note  env

  Set this:

      export A=1

ok    last  ready
";
        assert_eq!(told(plain, options, vec![], events), want);
    }

    #[test]
    fn verbose_shows_inputs_and_requests() {
        let trace = Event::Trace { step: "login".into(), line: "POST https://h/login 201".into() };
        let options = Options { verbose: true, ..Options::default() };
        let text = told(plain, options, vec![], vec![started(STEPS, false), trace.clone()]);
        let want = "\
run   r7  rotate
      host     = db1
      password = ***
      POST https://h/login 201
";
        assert_eq!(text, want);
        assert_eq!(say(vec![], vec![trace]), "");
    }

    #[test]
    fn a_hostile_text_cannot_forge_output() {
        let evil = "x\u{1b}[2K\rok\nok    notify";
        let events = vec![
            started(STEPS, false),
            done("login", How::Performed, evil, &[("a", plain_value(Json::from(evil)))]),
            ended(Outcome::Interrupted),
        ];
        let text = say(vec![], events);
        assert!(!text.contains(['\u{1b}', '\r']), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn a_walk_cut_off_still_tells_its_failure() {
        let text =
            say(vec![], vec![started(STEPS, false), failed("login", "journal is full", &[], &[])]);
        assert!(text.ends_with("\n\nerror: step `login` failed: journal is full\n"), "{text}");
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let mut report = plain(Box::new(Closed), Options::default());
        for entry in entries(vec![started(STEPS, false)]) {
            report.event(&entry);
        }
        report.finish();
    }
}
