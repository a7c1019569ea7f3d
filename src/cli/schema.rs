//! `schema`: the format, for editors.

use super::out;
use crate::exit::Exit;
use crate::schema;

/// Print the JSON Schema of a file's format, for editors
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which file's
    #[arg(value_enum, default_value = "runbook")]
    of: Of,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Of {
    /// A runbook
    Runbook,
    /// The `fake.toml` beside it
    Fake,
    /// Its `NAME.test.toml`
    Test,
}

pub(super) fn run(args: &Args) -> Exit {
    let schema = match args.of {
        Of::Runbook => schema::runbook(),
        Of::Fake => schema::fake(),
        Of::Test => schema::test(),
    };
    out::print(&format!("{schema:#}\n"));
    Exit::Done
}
