//! `list`: the runbooks there are.

use super::{Global, Output, out};
use crate::exit::Exit;
use crate::library;
use crate::report::Table;
use crate::world::World;

/// List the runbooks there are
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, global: &Global, world: &World) -> Exit {
    let all = library::all(world);
    let rows: Vec<(String, String, String)> = all
        .iter()
        .map(|source| {
            let (itself, title) = library::head(&source.text);
            let name = library::found_by(source, &itself, world).to_owned();
            (name, title, source.path.to_string())
        })
        .collect();
    if global.output == Some(Output::Jsonl) {
        for (name, title, path) in &rows {
            out::print(&format!(
                "{}\n",
                serde_json::json!({ "name": name, "title": title, "path": path })
            ));
        }
        return Exit::Done;
    }
    let cells = |of: fn(&(String, String, String)) -> &String| rows.iter().map(of).cloned();
    let table = Table::default()
        .column("name", cells(|row| &row.0))
        .column("title", cells(|row| &row.1))
        .column("path", cells(|row| &row.2));
    let screen = world.data_screen();
    out::print(&table.spare(&["path"], screen).rows(screen));
    Exit::Done
}
