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
            let (name, title) = head(&source.text);
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

/// Name and title, even of a file that has mistakes.
fn head(text: &str) -> (String, String) {
    // both stand before the first table: the rest need not be read
    let top = text.find("\n[").and_then(|end| text.get(..end)).and_then(|top| {
        let table = toml::de::DeTable::parse(top).ok()?;
        Some((string(table.get_ref(), "name")?, string(table.get_ref(), "title")?))
    });
    top.unwrap_or_else(|| {
        let (table, _) = toml::de::DeTable::parse_recoverable(text);
        let or_unknown = |key| string(table.get_ref(), key).unwrap_or_else(|| "?".to_owned());
        (or_unknown("name"), or_unknown("title"))
    })
}

fn string(table: &toml::de::DeTable<'_>, key: &str) -> Option<String> {
    table.get(key)?.get_ref().as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_found_before_behind_and_among_mistakes() {
        let said = |name: &str, title: &str| (name.to_owned(), title.to_owned());
        assert_eq!(head("name = \"a\"\ntitle = \"A\"\n[vars]\nx = {\n"), said("a", "A"));
        let text = "about = \"\"\"\n[no table]\n\"\"\"\nname = \"a\"\ntitle = \"A\"\n[vars]\n";
        assert_eq!(head(text), said("a", "A"));
        assert_eq!(head("name = \"a\"\n[vars]\n"), said("a", "?"));
        assert_eq!(head("name = 1\n= \n"), said("?", "?"));
    }
}
