//! Values in one line, as a header or a variable has them, and the pairs of a form or a query.

use super::{Filled, Hand, literal, quoted, single, variable};
use crate::reader::Tree;
use crate::value::{Json, text};

/// How `curl` is given pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// As its data: the body, or with `-G` the query.
    Data,
    /// As the query, beside a body.
    Beside,
}

impl Hand<'_> {
    /// A value as a shell text: of a list or table, its JSON, which `jq` makes first where a text is to
    /// be filled in.
    pub fn tree_shell(&self, tree: &Tree) -> String {
        match tree {
            Tree::Literal(json) => literal(&text(json)),
            Tree::Template(template) => self.shell(template),
            Tree::List(_) | Tree::Map(_) if self.fills_text(tree) => self.made(&self.compact(tree)),
            Tree::List(_) | Tree::Map(_) => self.flat(tree),
        }
    }

    /// The command that prints a value as JSON in one line.
    pub fn compact(&self, tree: &Tree) -> String {
        let mut filled = Filled::new(self);
        let program = filled.value(tree, 0);
        filled.command("-nc", &program)
    }

    /// A value in which no text is to be filled in as JSON in one line, a shell text.
    fn flat(&self, tree: &Tree) -> String {
        match tree {
            Tree::Literal(json) => literal(&json.to_string()),
            Tree::Template(template) => self.shell(template),
            Tree::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.flat(item)).collect();
                format!("[{}]", items.join(","))
            }
            Tree::Map(entries) => {
                let entry = |(key, tree): &(String, Tree)| {
                    let key = literal(&Json::from(key.as_str()).to_string());
                    format!("{key}:{}", self.flat(tree))
                };
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
            }
        }
    }

    /// Options of `curl` that give each pair, of a list one for each item.
    pub fn pairs(&self, fields: &[(String, Tree)], how: Pairs) -> Vec<String> {
        let option = match how {
            Pairs::Data => "--data-urlencode",
            Pairs::Beside => "--url-query",
        };
        let mut options = Vec::new();
        for (name, tree) in fields {
            // what `curl` takes for more than a name is encoded in it
            let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
            let one =
                |tree| format!("{option} {}", quoted(&format!("{name}={}", self.tree_shell(tree))));
            match tree {
                Tree::List(items) => options.extend(items.iter().map(one)),
                Tree::Template(template) => {
                    let list = template.sole_name().filter(|name| self.names.lists.contains(*name));
                    options.push(list.map_or_else(|| one(tree), |list| each(&name, list, how)));
                }
                Tree::Literal(_) | Tree::Map(_) => options.push(one(tree)),
            }
        }
        options
    }
}

/// The option that gives a pair for each item of a list, which only `jq` can take apart.
fn each(name: &str, list: &str, how: Pairs) -> String {
    let value = variable(list);
    let read = value.trim_start_matches('$');
    let pair = format!(r#"[$ENV.{read} | fromjson[] | "{name}=\(tostring | @uri)"] | join("&")"#);
    let option = match how {
        Pairs::Data => "-d \"",
        Pairs::Beside => "--url-query \"+",
    };
    format!("{option}$({read}=\"{value}\" jq -rn {})\"", single(&pair))
}
