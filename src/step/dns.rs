//! `dns`: does a name resolve, and to what.

use std::net::IpAddr;

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
    Some(Box::new(Dns { name }))
}

impl Step for Dns {
    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn what(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        Ok(cx.mask(&format!("look up {}", self.name.render_text(cx.scope)?)))
    }

    fn manual(&self, _hand: &Hand<'_>) -> Manual {
        let name = manual::quoted(&manual::words(&self.name));
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
                None => look_up(&name).await?,
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
