//! `schema`: the format, for editors.

use std::rc::Rc;

use super::{out, plugins};
use crate::exit::Exit;
use crate::schema;
use crate::step::plugin::{PREFIX, Plugin, Sought};
use crate::world::World;

/// Print the JSON Schema of a file's format, for editors
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which file's
    #[arg(value_enum, default_value = "runbook")]
    of: Of,
    /// Let a runbook use this plug-in too, with the fields it describes
    #[arg(long, value_name = "NAME")]
    kind: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Of {
    /// A runbook
    Runbook,
    /// The `fake.toml` beside it
    Fake,
    /// Its `NAME.test.toml`
    Test,
}

pub(super) fn run(args: &Args, world: &World) -> Exit {
    if args.of != Of::Runbook && !args.kind.is_empty() {
        out::error("only runbooks have kinds: `--kind` goes with `runbook schema runbook`");
        return Exit::Usage;
    }
    let plugins = args.kind.iter().map(|name| plugin(name, world)).collect::<Result<Vec<_>, _>>();
    let schema = match (args.of, plugins) {
        (_, Err(exit)) => return exit,
        (Of::Runbook, Ok(plugins)) => schema::runbook_with(&plugins),
        (Of::Fake, _) => schema::fake(),
        (Of::Test, _) => schema::test(),
    };
    out::print(&format!("{schema:#}\n"));
    Exit::Done
}

fn plugin(name: &str, world: &World) -> Result<Rc<Plugin>, Exit> {
    let near = match plugins::named(name, world)? {
        Sought::There(plugin) => return Ok(plugin),
        Sought::Nowhere(near) => near,
    };
    out::error(&format!("there is no plug-in `{name}`"));
    out::hint(&match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it would be a program `{PREFIX}{name}`, here or in a folder of `PATH`"),
    });
    Err(Exit::Usage)
}
