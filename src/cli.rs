//! The command line: one file a command, each from its arguments to an exit code.

mod check;
mod completions;
mod explain;
mod fake;
mod forget;
mod inputs;
mod key;
mod kinds;
mod list;
mod load;
mod log;
mod many;
mod new;
mod out;
mod plan;
mod plugins;
mod rehearse;
mod resume;
mod run;
mod runs;
mod schema;
mod session;
mod show;
mod state;
mod test;
mod trust;
mod undo;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::crash::How;
use crate::exit::Exit;
use crate::terminal::echo;
use crate::world::World;

/// Run procedures written as TOML runbooks, step by step, with durable state
#[derive(Debug, Parser)]
#[command(name = "runbook", version, max_term_width = 100, after_help = EXITS)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "Exit codes: 0 done, 1 a step or gate failed, 2 usage, 3 the runbook is invalid, \
4 waiting for a person, 5 in doubt, 130 interrupted, 70 a bug of ours.";

/// What `--version` says, as clap says it: for this alone the whole command line need not be made.
const VERSION: &str = concat!("runbook ", env!("CARGO_PKG_VERSION"), "\n");

/// What every command understands.
#[derive(Debug, Clone, clap::Args)]
struct Global {
    /// How progress is shown: `human` and `plain` on stderr, `jsonl` as events on stdout
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    output: Option<Output>,
    /// Show each request and the head of its answer, masked
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For a person at a terminal
    Human,
    /// One line a step
    Plain,
    /// One event a line, on stdout; of `list`, `runs` and `test` one thing a line; refused where there is neither
    Jsonl,
    /// One document on stdout, for `check`
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Resume(resume::Args),
    Undo(undo::Args),
    Plan(plan::Args),
    Rehearse(rehearse::Args),
    New(new::Args),
    List(list::Args),
    Show(show::Args),
    Check(check::Args),
    Explain(explain::Args),
    Test(test::Args),
    Runs(runs::Args),
    Log(log::Args),
    Forget(forget::Args),
    Key(key::Args),
    Fake(fake::Args),
    Kinds(kinds::Args),
    Schema(schema::Args),
    Completions(completions::Args),
}

/// The whole program: reads the arguments, runs the command, says how it ended.
pub fn main() -> Exit {
    crate::world::keep_to_itself();
    install_panic_hook();
    if std::env::args_os().skip(1).eq(["--version"]) {
        out::print(VERSION);
        return out::ended(Exit::Done, false);
    }
    session::large_files();
    clap_complete::CompleteEnv::with_factory(Cli::command)
        .var(completions::VARIABLE)
        .shells(completions::SHELLS)
        .complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return out::ended(usage(&error), false),
    };
    let world = World::real();
    if let Some(columns) = world.screen() {
        out::screen(columns);
    }
    let crash_at = world.var(crate::crash::VARIABLE).and_then(|at| at.parse().ok());
    crate::crash::arm(crash_at.unwrap_or(0));
    if let Some(ms) = world.var(crate::patience::VARIABLE).and_then(|ms| ms.parse().ok()) {
        crate::patience::shorten(ms);
    }
    if let Some(how) = crash_how(&world) {
        crate::crash::by(how);
    }
    let global = &cli.global;
    if global.output == Some(Output::Json) && !matches!(cli.command, Command::Check(_)) {
        out::error("`--output json` is for `check`; a run's events come with `--output jsonl`");
        return Exit::Usage;
    }
    if global.output == Some(Output::Jsonl) && !has_lines(&cli.command) {
        out::error("`--output jsonl` is for events, and this command has none");
        if matches!(cli.command, Command::Check(_)) {
            out::hint("`check --output json` puts what is found on stdout");
        }
        return Exit::Usage;
    }
    let journalled = matches!(cli.command, Command::Run(_) | Command::Resume(_) | Command::Undo(_));
    let exit = match cli.command {
        Command::Run(args) => run::run(&args, global, world),
        Command::Resume(args) => resume::run(&args, global, world),
        Command::Undo(args) => undo::run(&args, global, world),
        Command::Plan(args) => plan::run(&args, global, world),
        Command::Rehearse(args) => rehearse::run(&args, global, world),
        Command::New(args) => new::run(&args, global, world),
        Command::List(args) => list::run(&args, global, &world),
        Command::Show(args) => show::run(&args, &world),
        Command::Check(args) => check::run(&args, global, &world),
        Command::Explain(args) => explain::run(&args, &world),
        Command::Test(args) => test::run(&args, global, &world),
        Command::Runs(args) => runs::run(&args, global, &world),
        Command::Log(args) => log::run(&args, global, &world),
        Command::Forget(args) => forget::run(&args, &world),
        Command::Key(args) => key::run(&args, &world),
        Command::Fake(args) => fake::run(&args, global.verbose, &world),
        Command::Kinds(args) => kinds::run(&args, &world),
        Command::Schema(args) => schema::run(&args, &world),
        Command::Completions(args) => completions::run(&args),
    };
    out::ended(exit, journalled)
}

/// Whether a command has events, or other data of which one stands on a line.
fn has_lines(command: &Command) -> bool {
    match command {
        Command::Run(_)
        | Command::Resume(_)
        | Command::Undo(_)
        | Command::Plan(_)
        | Command::Rehearse(_)
        | Command::New(_)
        | Command::List(_)
        | Command::Test(_)
        | Command::Runs(_)
        | Command::Log(_) => true,
        Command::Show(_)
        | Command::Check(_)
        | Command::Explain(_)
        | Command::Forget(_)
        | Command::Key(_)
        | Command::Fake(_)
        | Command::Kinds(_)
        | Command::Schema(_)
        | Command::Completions(_) => false,
    }
}

fn usage(error: &clap::Error) -> Exit {
    // what was typed is said again: not where it would steer the terminal or make lines of its own
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    if let Some(word) = words.find(|word| word.chars().any(char::is_control)) {
        let word = word.escape_debug();
        out::error(&format!("not understood, and `{word}` holds control characters"));
        out::hint("`runbook --help` shows what is understood");
    } else {
        let shown = error.print().and_then(|()| std::io::Write::flush(&mut std::io::stdout()));
        let _noted = shown.inspect_err(out::unwritten);
    }
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

/// How tests want the process to end, where not by SIGKILL.
fn crash_how(world: &World) -> Option<How> {
    let panic = world.var(crate::crash::PANIC).map(|text| How::Panic(text.to_owned()));
    panic.or_else(|| world.var(crate::crash::ABORT).map(|_| How::Abort))
}

/// A panic is a bug of ours: it says so, without values that might be secret.
fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        echo::on();
        let place = panic
            .location()
            .map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        // its message may quote a value nobody has named secret yet: it is never shown
        out::bare(&format!(
            "error: internal error{place}: this is a bug of `runbook`, not of yours"
        ));
        out::bare(
            "hint: what was done so far is in the journal; `runbook resume` goes on from there",
        );
        #[expect(clippy::exit, reason = "the documented exit code of a bug")]
        std::process::exit(i32::from(Exit::Bug.code()));
    }));
}
