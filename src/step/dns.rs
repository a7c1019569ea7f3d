//! `dns`: does a name resolve, and to what.

use std::net::IpAddr;
use std::time::Duration;

use crate::journal::event::Effect;
use crate::jq;
use crate::reader::{Field, REVEAL, Reader, Rules, Shape};
use crate::template::Template;
use crate::value::Json;

use super::{Again, Answer, Cx, Hand, Kind, Local, Manual, Step, Trouble, failure, manual};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "dns",
    about: "Looks a name up, as the machine itself would; `.` is the list of its addresses.",
    fields: FIELDS,
    rules: Rules::needs(&["name"]),
    without: &[],
    plain: Some("name"),
    example: r#"[[steps]]
id    = "resolves"
dns   = "{{ service_url | host }}"
save.addresses = "."
"#,
    parse,
};

const FIELDS: &[Field] =
    &[Field { name: "name", shape: Shape::Template, about: "The name to look up." }, REVEAL];

#[derive(Debug)]
struct Dns {
    name: Template,
}

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    reader.only(FIELDS);
    if !reader.has("name") {
        return reader
            .missing("name", "write the name to look up, as in `dns = \"{{ url | host }}\"`");
    }
    let name = reader.template("name", reader.open("a name that is looked up"))?;
    if name.is_literal() && name.source().trim().is_empty() {
        let span = reader.get("name").map_or(reader.span(), toml::Spanned::span);
        reader.gather.report_since(crate::diag::Diag::error("there is no name to look up", span));
    }
    Some(Box::new(Dns { name }))
}

impl Step for Dns {
    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn what(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        Ok(cx.mask(&format!("look up {}", self.name.render_text(cx.scope)?)))
    }

    fn manual(&self, hand: &Hand<'_>) -> Manual {
        let name = manual::quoted(&hand.shell(&self.name));
        // As the step's answer: a JSON list of addresses.
        Manual::shell(format!(
            "getent ahosts {name} | cut -d ' ' -f 1 | sort -u | jq -R . | jq -s ."
        ))
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            let name = self.name.render_text(cx.scope)?;
            let addresses = match &cx.services.hosts {
                // In a rehearsal the fake answers for every name.
                Some(address) => vec![address.clone()],
                None => in_time(&name, cx.timeout, look_up(&name)).await?,
            };
            let list: Json =
                addresses.iter().map(|address| Json::String(address.clone())).collect();
            Ok(Answer {
                input: jq::from_json(&list),
                summary: addresses.join(", "),
                ..Answer::default()
            })
        })
    }
}

/// The same, within the step's `timeout`.
async fn in_time<T>(
    name: &str,
    limit: Option<Duration>,
    look: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let Some(limit) = limit else { return look.await };
    tokio::time::timeout(limit, look).await.map_err(|_| {
        let message = format!("`{name}` was not looked up within {limit:?}");
        Trouble::Failed(failure(message), Again::MaybeDone)
    })?
}

async fn look_up(name: &str) -> Result<Vec<String>, Trouble> {
    let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| {
        Trouble::Failed(failure(format!("`{name}` does not resolve: {error}")), Again::MaybeDone)
    })?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(Trouble::Failed(failure(format!("`{name}` has no address")), Again::MaybeDone));
    }
    Ok(addresses.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_looked_up_within_the_time_there_is() {
        let limit = Duration::from_millis(1);
        let never = std::future::pending::<Result<(), Trouble>>();
        let Err(Trouble::Failed(failure, _)) = in_time("h", Some(limit), never).await else {
            panic!("it never ends")
        };
        assert_eq!(failure.message, "`h` was not looked up within 1ms");
        assert!(in_time("h", None, std::future::ready(Ok(()))).await.is_ok());
    }
}
