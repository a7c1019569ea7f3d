//! Questions in a real terminal: what is seen, what the keys do, what Enter takes. And how long a
//! person thinks, on a clock of its own.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use runbook::engine::{Engine, Options, Recorder};
use runbook::journal::Memory;
use runbook::journal::event::{Entry, Event, Outcome};
use runbook::journal::seal::Key;
use runbook::plan::History;
use runbook::redact;
use runbook::report::Report;
use runbook::runbook::Runbook;
use runbook::source::Source;
use runbook::step::Services;
use runbook::terminal::{NoAnswer, Question, Validator};
use runbook::world::{Clock, Skipping, World};

use crate::support::env::Env;
use crate::support::server::Server;
use crate::support::terminal::Terminal;

fn write(env: &Env, book: &str) {
    let book = format!("format = 1\nname = \"book\"\ntitle = \"A book\"\n{book}");
    std::fs::write(env.path("book.toml"), book).unwrap();
}

/// The program in an ordinary terminal, about to run that book.
fn asked(env: &Env, book: &str) -> Terminal {
    write(env, book);
    Terminal::start(env, &["run", "./book.toml"])
}

/// A step that notes values as JSON.
fn told(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().map(|name| format!("{{{{ {name} | tojson }}}}")).collect();
    format!("[[steps]]\nid = \"told\"\nnote = '''`{}`'''\n", shown.join(" then "))
}

#[track_caller]
fn ends(terminal: Terminal, code: i32, last: &str) {
    let (screen, ended) = terminal.finish();
    assert!(screen.contains(last), "{screen}");
    assert_eq!(ended, Some(code), "{screen}");
}

#[test]
fn enter_takes_the_default_even_an_empty_one() {
    let env = Env::new();
    let book = "[inputs.host]\ndefault = \"\"\n[inputs.urls]\ntype = \"list\"\ndefault = []\n\
                [inputs.slug]\ndefault = \"wiki\"\n[inputs.last]\n";
    let mut terminal = asked(&env, &(book.to_owned() + &told(&["host", "urls", "slug", "last"])));
    terminal.expect("? host [none]: ");
    terminal.line("");
    terminal.expect("? urls (as a, b or as JSON) [none]: ");
    terminal.line("");
    terminal.expect("? slug [wiki]: ");
    terminal.line("");
    terminal.expect("? last: ");
    terminal.line("");
    terminal.expect("error: a value is needed");
    terminal.expect("? last: ");
    terminal.line("x");
    ends(terminal, 0, r#""" then [] then "wiki" then "x""#);
}

#[test]
fn the_keys_of_a_shell_edit_an_answer() {
    let env = Env::new();
    let book = "[inputs.a]\n[inputs.b]\n[inputs.c]\n";
    let mut terminal = asked(&env, &(book.to_owned() + &told(&["a", "b", "c"])));
    terminal.expect("? a: ");
    terminal.line("abc\x15x"); // Ctrl-U
    terminal.expect("? b: ");
    terminal.line("one two\x17three"); // Ctrl-W
    terminal.expect("? c: ");
    terminal.line("mid end\x01a\x05b\x02\x0b\x1b[Dq"); // Ctrl-A, E, B, K, arrow left
    ends(terminal, 0, r#""x" then "one three" then "amid enqd""#);
}

#[test]
fn a_hidden_answer_is_edited_unseen() {
    let env = Env::new();
    let book = "[inputs.token]\nsecret = true\npattern = \"sesame\"\n\
                [[steps]]\nid = \"right\"\ngate = \"token == 'sesame'\"\n";
    let mut terminal = asked(&env, book);
    terminal.expect("? token: ");
    terminal.line("abracadabra");
    terminal.expect("error: must match sesame");
    terminal.expect("? token: ");
    // typed and wiped, then pasted with the line's end
    terminal.keys("hocus\x15\x1b[200~sesame\n\x1b[201~\r");
    terminal.expect("right");
    let written = terminal.written().replace("must match sesame", "");
    for word in ["ab", "hoc", "us\x1b", "sesame"] {
        assert!(!written.contains(word), "{written:?}");
    }
    ends(terminal, 0, "done");
}

/// As docs/format.md says: pasted, or with Ctrl-V Ctrl-J between them.
#[test]
fn several_lines_are_pasted_or_typed() {
    let env = Env::new();
    let book = "[inputs.motto]\nmultiline = true\n[inputs.more]\nmultiline = true\n\
                [[steps]]\nid = \"right\"\n\
                gate = '''motto == \"one\\ntwo\" and more == \"a\\nb\" '''\n";
    let mut terminal = asked(&env, book);
    terminal.expect("? motto: ");
    terminal.keys("\x1b[200~one\rtwo\x1b[201~\r");
    terminal.expect("? more: ");
    terminal.keys("a\x16\nb\r");
    ends(terminal, 0, "done");
}

#[test]
fn a_wrong_answer_is_told_and_stands_there_to_be_mended() {
    let env = Env::new();
    let book = "[inputs.port]\ntype = \"integer\"\n[inputs.names]\ntype = \"list\"\n\
                [inputs.sure]\ntype = \"boolean\"\n";
    let mut terminal = asked(&env, &(book.to_owned() + &told(&["port", "names", "sure"])));
    terminal.expect("? port: ");
    terminal.line("8x");
    terminal.expect("error: must be a whole number");
    terminal.expect("? port: 8x");
    terminal.line("\x7f0");
    terminal.expect("? names (as a, b or as JSON): ");
    terminal.line("[\"a\"");
    terminal.expect("error: must be a list: write `a, b`, or as JSON `[\"a\", \"b\"]`");
    terminal.expect("? names (as a, b or as JSON): ");
    terminal.line("]");
    terminal.expect("? sure (yes/no): ");
    terminal.line("x");
    terminal.expect("error: must be yes or no");
    terminal.expect("? sure (yes/no): ");
    terminal.line("y");
    ends(terminal, 0, r#"80 then ["a"] then true"#);
}

#[test]
fn a_choice_is_completed_begun_or_taken_by_enter() {
    let env = Env::new();
    let all = "one_of = [\"confidential\", \"public\", \"pure\"]\n";
    let book = format!("[inputs.a]\n{all}[inputs.b]\n{all}[inputs.c]\n{all}default = \"public\"\n");
    let mut terminal = asked(&env, &(book + &told(&["a", "b", "c"])));
    terminal.expect("? a (confidential/public/pure): ");
    terminal.line("");
    terminal.expect("error: choose one");
    terminal.expect("? a (confidential/public/pure): ");
    terminal.line("pu");
    terminal.expect("error: `pu` is the beginning of 2 of them");
    terminal.expect("? a (confidential/public/pure): ");
    terminal.line("\x15con\t"); // Ctrl-U, Tab
    terminal.expect("? b (confidential/public/pure): ");
    terminal.keys("p\t");
    terminal.expect("public  pure");
    terminal.line("b");
    terminal.expect("? c (confidential/public/pure) [public]: ");
    terminal.line("");
    ends(terminal, 0, r#""confidential" then "public" then "public""#);
}

#[test]
fn whoever_leaves_a_question_has_run_nothing() {
    for key in ['c', 'd'] {
        let env = Env::new();
        let mut terminal = asked(&env, &("[inputs.name]\n".to_owned() + &told(&["name"])));
        terminal.expect("? name: ");
        terminal.control(key);
        let (screen, code) = terminal.finish();
        assert_eq!(screen, "? name:\ninterrupted: nothing was run");
        assert_eq!(code, Some(130));
    }
}

#[test]
fn a_long_question_on_a_narrow_screen_is_left_whole() {
    let env = Env::new();
    let ask = "Does the login of the application work with the account of an ordinary person?";
    let step = format!("id = \"sure\"\nprompt = {{ ask = \"{ask}\", type = \"boolean\" }}\n");
    write(&env, &format!("[[steps]]\n{step}"));
    let mut terminal = Terminal::narrow(&env, 40, &["run", "./book.toml"]);
    terminal.expect("> ");
    terminal.keys("perhaps so, but I should like to look once more");
    terminal.expect("ore");
    terminal.control('c');
    let (screen, code) = terminal.finish();
    assert_eq!(code, Some(130));
    let (asked, stopped) = screen.split_once("\nstop  ").expect("the run says that it stops");
    insta::assert_snapshot!(asked, @r"
    run   r1  book
    ? Does the login of the application
      work with the account of an ordinary
      person? (yes/no):
    > perhaps so, but I should like to look
    once more
    ");
    assert!(stopped.starts_with("interrupted, 0 of 1 step done"), "{stopped}");
}

/// A thing that may be there before it is made, and can be taken back.
fn made(server: &Server) -> String {
    format!(
        r#"
[connections.api]
base = "{}/"
[[steps]]
id = "make"
http = {{ on = "api", method = "POST", url = "things" }}
already = {{ http = {{ on = "api", url = "things" }}, find = ".[]", same = "true" }}
save.thing = ".id"
undo = {{ http = {{ on = "api", method = "DELETE", url = "things" }} }}
"#,
        server.url()
    )
}

#[test]
fn what_is_there_already_is_used_on_enter_and_left_on_control_c() {
    let server = Server::start("[[routes]]\npath = \"/things\"\nbody = [{ id = 1 }]\n");
    let env = Env::new();
    let mut terminal = asked(&env, &made(&server));
    terminal.expect("1-2 [1]: ");
    insta::assert_snapshot!(terminal.screen(), @r"
    run   r1  book
    ? What step `make` makes is there already, exactly as wanted. What now?
      1  use it
      2  stop, to change the name or look first
    1-2 [1]:
    ");
    terminal.control('c');
    ends(terminal, 130, "interrupted");
    let mut terminal = Terminal::start(&env, &["resume"]);
    terminal.expect("1-2 [1]: ");
    terminal.line("2");
    ends(terminal, 1, "what it makes is there already, exactly as wanted");
    let mut terminal = Terminal::start(&env, &["resume"]);
    terminal.expect("1-2 [1]: ");
    terminal.line("");
    ends(terminal, 0, "done");
}

#[test]
fn nothing_is_taken_back_on_enter() {
    let made_once = "[[routes]]\npath = \"/things\"\nbody = []\n\
                     [[routes]]\nmethod = \"POST\"\npath = \"/things\"\nbody = { id = 1 }\n";
    let server = Server::start(made_once);
    let env = Env::new();
    write(&env, &made(&server));
    assert_eq!(env.run(&["run", "./book.toml"]).code, Some(0));
    let mut terminal = Terminal::start(&env, &["undo", "r1"]);
    terminal.expect("? Take these back? (yes/no) [no]: ");
    terminal.line("");
    ends(terminal, 130, "nothing was taken back");
    assert!(server.requests().iter().all(|request| request.method != "DELETE"));
}

#[test]
fn a_question_is_seen_where_data_goes_elsewhere() {
    let env = Env::new();
    write(&env, &("[inputs.name]\n".to_owned() + &told(&["name"])));
    let script = r#""$0" run ./book.toml --output jsonl > events"#;
    let mut terminal = Terminal::spawn(&env, "sh", &["-c", script, env!("CARGO_BIN_EXE_runbook")]);
    terminal.expect("? name: ");
    terminal.line("Ada");
    assert_eq!(terminal.finish().1, Some(0));
    let events = std::fs::read_to_string(env.path("events")).unwrap();
    assert!(events.contains("Ada") && events.lines().all(|line| line.starts_with('{')), "{events}");
}

#[test]
fn nobody_is_asked_where_lines_cannot_be_edited_nor_for_an_explanation() {
    let env = Env::new();
    write(&env, &("[inputs.name]\n".to_owned() + &told(&["name"])));
    let program = env!("CARGO_BIN_EXE_runbook");
    let crude = Terminal::spawn(&env, "env", &["TERM=dumb", program, "run", "./book.toml"]);
    ends(crude, 2, "nobody is asked where `TERM` is `dumb`: no line can be edited there");
    let explained = Terminal::start(&env, &["run", "./book.toml", "--explain"]);
    ends(explained, 2, "name  missing\nerror: `book` needs one input more:");
}

#[test]
fn a_step_is_shown_then_skipped_for_a_reason() {
    let server = Server::start("[[routes]]\npath = \"/things\"\nbody = []\n");
    let env = Env::new();
    write(&env, &made(&server));
    let mut terminal = Terminal::start(&env, &["run", "--step", "./book.toml"]);
    terminal.expect("  4  stop");
    terminal.expect("1-4 [1]: ");
    terminal.line("show");
    terminal.expect("1-4 [1]: ");
    terminal.line("3");
    terminal.expect("? Why is it skipped? ");
    terminal.line("");
    terminal.expect("error: a word or two, please");
    terminal.line("not today");
    ends(terminal, 0, "not today");
    assert!(server.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn what_was_skipped_by_hand_is_done_once_it_is_named() {
    let env = Env::new();
    let book = "[[steps]]\nid = \"make\"\ncommand = [\"echo\", \"7\"]\nsave.box = \".\"\n\
                [[steps]]\nid = \"use\"\ntitle = \"Use it\"\n\
                command = [\"touch\", \"box-{{ box }}\"]\n";
    write(&env, book);
    let mut terminal = Terminal::start(&env, &["run", "--step", "--trust", "./book.toml"]);
    terminal.expect("1-4 [1]: ");
    terminal.line("3");
    terminal.expect("? Why is it skipped? ");
    terminal.line("not today");
    terminal.expect("? use: Use it, command (cannot be shown)");
    terminal.expect("1-4 [1]: ");
    terminal.line("1");
    let hint =
        "hint: `box` comes from `make`, which was skipped: `runbook resume r1 --redo make` does it";
    ends(terminal, 1, hint);
    let again = Terminal::start(&env, &["resume", "r1", "--redo", "make", "--output", "plain"]);
    ends(again, 0, "rerun make  was skipped, to be done now, as decided");
    assert!(env.path("box-7").exists());
}

#[test]
fn what_was_done_with_what_was_skipped_is_named_and_taken_back_with_nothing() {
    let env = Env::new();
    let label = |to: &str| {
        format!(
            "[\"sh\", \"-c\", \"echo {to} $1 >> log\", \"-\", \"{{{{ box | default('none') }}}}\"]"
        )
    };
    let book = format!(
        "[[steps]]\nid = \"make\"\ncommand = [\"echo\", \"7\"]\nsave.box = \".\"\n\
         [[steps]]\nid = \"label\"\ncommand = {}\nundo.command = {}\n",
        label("label"),
        label("unlabel")
    );
    write(&env, &book);
    let mut terminal = Terminal::start(&env, &["run", "--step", "--trust", "./book.toml"]);
    terminal.expect("1-4 [1]: ");
    terminal.line("3");
    terminal.expect("? Why is it skipped? ");
    terminal.line("not today");
    terminal.expect("? label: run ");
    terminal.expect("1-4 [1]: ");
    terminal.line("1");
    ends(terminal, 0, "not today");
    let again = Terminal::start(&env, &["resume", "r1", "--redo", "make", "--output", "plain"]);
    ends(again, 0, "note: `label` stays as done with what `make` gave before");
    let undo = Terminal::start(&env, &["undo", "r1", "--yes"]);
    ends(undo, 0, "- none");
    let log = std::fs::read_to_string(env.path("log")).unwrap();
    assert_eq!(log, "label none\nunlabel none\n");
}

#[test]
fn what_is_given_wrong_is_told_before_anything_is_asked() {
    let env = Env::new();
    let book = "[inputs.name]\n[inputs.count]\ntype = \"integer\"\n\
                [[steps]]\nid = \"go\"\ncommand = [\"touch\", \"gone\"]\n";
    write(&env, book);
    let given = ["--input", "nmae=x", "--input", "count=many"];
    for command in ["run", "plan"] {
        let (screen, code) =
            Terminal::start(&env, &[&[command, "./book.toml"][..], &given].concat()).finish();
        let wanted = "error: `book` has no input `nmae` (--input); did you mean `name`?\n\
                      error: input `count` `many` (--input): must be a whole number\n\
                      hint: nothing was run";
        assert_eq!((screen.as_str(), code), (wanted, Some(2)));
    }
}

#[test]
fn with_yes_nobody_is_asked_even_in_a_terminal() {
    let env = Env::new();
    let book = "[inputs.name]\n[inputs.kind]\ndefault = \"guest\"\n\
                [[steps]]\nid = \"go\"\ncommand = [\"touch\", \"gone\"]\n\
                [[steps]]\nid = \"sure\"\nprompt = { ask = \"Sure?\", type = \"boolean\" }\n\
                [[steps]]\nid = \"why\"\nprompt = \"Why?\"\n";
    write(&env, book);
    let yes = |more: &[&str]| {
        Terminal::start(&env, &[&["run", "./book.toml", "--yes"][..], more].concat()).finish()
    };
    let (screen, code) = yes(&["--input", "name=x"]);
    let hint = "hint: read it, then add `--trust`; it is remembered until the file changes";
    assert_eq!((screen.lines().last(), code), (Some(hint), Some(2)), "{screen}");
    let (screen, code) = yes(&["--trust"]);
    assert!(screen.starts_with("error: `book` needs one input more:\n  name"), "{screen}");
    assert_eq!(code, Some(2));
    assert!(!env.path("gone").exists());
    let (screen, code) = yes(&["--input", "name=x"]);
    assert!(screen.contains("yes (by --yes, nobody was asked)"), "{screen}");
    let hint = "hint: `runbook resume r1 --answer why=VALUE`";
    assert_eq!((screen.lines().last(), code), (Some(hint), Some(4)), "{screen}");
    let (screen, code) = yes(&["--input", "name=x", "--step"]);
    assert!(screen.contains("cannot be used with"), "{screen}");
    assert_eq!(code, Some(2));
}

#[test]
fn a_runbook_from_elsewhere_is_not_trusted_on_enter() {
    let env = Env::new();
    let mut terminal = asked(&env, "[[steps]]\nid = \"go\"\ncommand = [\"touch\", \"gone\"]\n");
    terminal.expect("? Trust this file, as it is now? (yes/no) [no]: ");
    terminal.line("");
    // a "no" is an answer: what is not trusted ends as it does where nobody is asked
    ends(terminal, 2, "nothing was run");
    let mut terminal = Terminal::start(&env, &["run", "./book.toml"]);
    terminal.expect("[no]: ");
    terminal.control('c');
    ends(terminal, 130, "nothing was run");
    let mut terminal = Terminal::start(&env, &["run", "./book.toml"]);
    terminal.expect("[no]: ");
    terminal.line("y");
    ends(terminal, 0, "done");
    assert!(env.path("gone").exists());
}

/// A person who thinks for so long, before each answer.
struct Slow(Arc<Skipping>, Duration);

impl runbook::terminal::Terminal for Slow {
    fn ask(&self, _: &Question, _: Validator) -> Result<String, NoAnswer> {
        self.0.skip(self.1);
        Ok("yes".to_owned())
    }

    fn present(&self) -> bool {
        true
    }
}

/// A clock on which no time passes.
struct Still;

impl Clock for Still {
    fn now_ms(&self) -> i64 {
        0
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(900)
    }
}

/// How long each step took.
struct Took(Rc<RefCell<Vec<u64>>>);

impl Report for Took {
    fn event(&mut self, entry: &Entry) {
        if let Event::Done { took_ms, .. } = &entry.event {
            self.0.borrow_mut().push(*took_ms);
        }
    }
}

#[test]
fn what_a_person_thinks_is_no_time_of_a_step() {
    for thinking in [Duration::from_hours(1), Duration::from_micros(1600)] {
        let prompts = (0..9).map(|at| format!("[[steps]]\nid = \"s{at}\"\nprompt = \"Sure?\"\n"));
        let text = format!("format = 1\nname = \"book\"\n{}", prompts.collect::<String>());
        let book = Runbook::parse(&Source::new("book.toml", text), &|_, _| Err(String::new()));
        let (book, _) = book.unwrap_or_else(|diags| panic!("{diags:?}"));
        let clock = Arc::new(Skipping::over(Arc::new(Still)));
        let world = World { clock: clock.clone(), ..World::real() };
        let redactor = redact::Shared::default();
        let slow = Box::new(Slow(clock.clone(), thinking));
        let services = Services::new(world, slow, redactor.clone());
        let took = Rc::new(RefCell::new(Vec::new()));
        let report: Box<dyn Report> = Box::new(Took(Rc::clone(&took)));
        let (report, memory) = (Rc::new(RefCell::new(report)), Box::new(Memory));
        let recorder = Recorder::new("r1".into(), 0, clock, memory, report, redactor);
        let key = Key::random().unwrap();
        let options = Options::default();
        let engine = Engine::new(&book, &services, &recorder, &key, History::default(), options);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert!(matches!(runtime.block_on(engine.walk()), Ok(Outcome::Done)));
        assert_eq!(u128::from(recorder.walk_ms()), (9 * thinking).as_millis());
        assert_eq!(took.take(), [0; 9]);
    }
}

#[test]
fn a_person_says_which_run_goes_on_if_another_was_begun_since() {
    let env = Env::new();
    write(&env, "[[steps]]\nid = \"there\"\ncommand = [\"test\", \"-e\", \"there\"]\n");
    std::fs::write(
        env.path("other.toml"),
        "format = 1\nname = \"other\"\n[[steps]]\nid = \"say\"\nnote = \"hello\"\n",
    )
    .unwrap();
    for (run, code) in [("book.toml", 1), ("other.toml", 0)] {
        assert_eq!(env.run(&["run", "--trust", run]).code, Some(code));
    }
    std::fs::write(env.path("there"), "").unwrap();
    let mut terminal = Terminal::start(&env, &["resume"]);
    terminal.expect("note: `r2` was begun since `r1` stopped, and is done; unfinished:");
    terminal.expect("r1  book  failed at `there`");
    terminal.expect("? Go on with which run? (r1) [r1]: ");
    terminal.line("");
    ends(terminal, 0, "1 step");
}

#[test]
fn a_default_that_is_asked_for_next_is_not_shown_as_what_will_run() {
    let env = Env::new();
    let book = "[inputs.folder]\ndefault = \"/harmless\"\n[inputs.name]\n\
                [[steps]]\nid = \"it\"\ncommand = [\"true\", \"{{ folder }}\", \"{{ name }}\"]\n";
    write(&env, book);
    let args = ["run", "./book.toml", "-i", "name=it"];
    let mut terminal = Terminal::start(&env, &args);
    terminal.expect("runs    true '{{ folder }}' it  from `true '{{ folder }}' '{{ name }}'`");
    terminal.expect("Trust this file, as it is now?");
    terminal.line("yes");
    terminal.expect("? folder [/harmless]: ");
    terminal.line("/other");
    ends(terminal, 0, "done");
    write(&env, &book.replace("\"it\"", "\"that\""));
    let args = [&args[..], &["-i", "folder=/srv"]].concat();
    let mut terminal = Terminal::start(&env, &args);
    terminal.expect("runs    true /srv it  from `true '{{ folder }}' '{{ name }}'`");
    terminal.line("no");
    ends(terminal, 2, "nothing was run");
}

#[test]
fn a_value_that_no_command_line_shows_is_asked_for_unseen() {
    let env = Env::new();
    let book = "[[steps]]\nid = \"pin\"\nprompt = { ask = \"Pin?\", secret = true }\n";
    write(&env, book);
    let mut terminal = Terminal::start(&env, &["run", "./book.toml", "--answer", "pin"]);
    terminal.expect("? pin (it is not shown): ");
    terminal.line("tick-5f3a91c2");
    let (screen, code) = terminal.finish();
    assert!(screen.contains("*** (by --answer)"), "{screen}");
    assert!(!screen.contains("tick-5f3a91c2"), "{screen}");
    assert_eq!(code, Some(0), "{screen}");
}
