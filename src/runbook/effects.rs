//! What a runbook touches, told from its text alone: hosts, commands, files, secrets.
//!
//! Places are as their author wrote them, templates and all, as it can be shown before anything
//! is asked; behind what is known by then.

use super::{From, Runbook, StepDef};
use crate::journal::event::Effect;
use crate::scope::Scope;
use crate::step::connection::named;
use crate::step::{Connection, Step, Touch};
use crate::template::Template;

/// What a runbook touches. Each thing stands once, in the order of the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Base addresses of the services it calls.
    pub hosts: Vec<String>,
    /// Programs with their arguments.
    pub commands: Vec<String>,
    /// Files it writes.
    pub files: Vec<String>,
    /// Files of this machine that it sends to a service.
    pub sent: Vec<String>,
    /// Where it reads secrets and other inputs from.
    pub reads: Vec<String>,
    /// Whether it calls what listens on sockets of this machine, which may be mighty there.
    pub sockets: bool,
    /// Whether a command runs, or a file is sent or written, even when a run is only planned.
    pub acts_when_planned: bool,
    /// Whether an input's value may come out of a file of this machine.
    pub from_files: bool,
}

impl Effects {
    /// Whether it can do more to this machine than call services.
    pub fn needs_trust(&self) -> bool {
        let lists = [&self.commands, &self.files, &self.sent];
        self.sockets || self.may_tell() || lists.iter().any(|list| !list.is_empty())
    }

    /// The same of what is done when a run is only planned.
    pub fn needs_trust_to_plan(&self) -> bool {
        self.acts_when_planned || self.may_tell()
    }

    /// Whether a service may be told what is in a file of this machine: any call can hold an input.
    fn may_tell(&self) -> bool {
        self.from_files && !self.hosts.is_empty()
    }

    /// The list, for a person.
    pub fn listing(&self) -> String {
        let parts = [
            ("calls", &self.hosts),
            ("runs", &self.commands),
            ("writes", &self.files),
            ("sends", &self.sent),
            ("reads", &self.reads),
        ];
        let lines = parts.iter().flat_map(|(word, all)| {
            all.iter().map(move |one| format!("{word:6}  {}\n", one.replace('\n', "\\n")))
        });
        lines.collect()
    }

    fn all(&mut self, runbook: &Runbook, known: Option<&Scope>) {
        for step in &runbook.steps {
            self.step(runbook, step, known);
            let actions = [Some(&step.action), step.undo.as_ref()].into_iter().flatten();
            for nested in actions.filter_map(|action| action.nested()) {
                if let Some(used) = nested.runbook.downcast_ref::<Runbook>() {
                    // its names are its own
                    self.all(used, None);
                }
            }
        }
        for input in &runbook.inputs {
            let what = if input.secret { "the secret" } else { "the input" };
            for from in &input.from {
                self.from_files |= !matches!(from, From::Env(_));
                let place = match from {
                    From::Env(name) => format!("environment variable {name}"),
                    From::Dotenv { file, key } => format!("{key} in {}", file.source()),
                    From::File(file) => file.source().to_owned(),
                };
                once(&mut self.reads, format!("{what} `{}` from {place}", input.name));
            }
        }
    }

    fn step(&mut self, runbook: &Runbook, step: &StepDef, known: Option<&Scope>) {
        let probe = step.already.as_ref().map(|already| &*already.probe);
        let undo = step.undo.as_deref();
        for action in [Some(&*step.action), probe, undo].into_iter().flatten() {
            self.action(runbook, action, known);
        }
        let socket = |action: &dyn Step| {
            let used = action.connection().and_then(|name| named(&runbook.connections, name));
            used.is_some_and(|used| used.socket_source().is_some())
        };
        let acts = |action: &dyn Step| !action.touches().is_empty() || socket(action);
        let reads = step.effect <= Effect::Read && acts(&*step.action);
        self.acts_when_planned |= reads || probe.is_some_and(acts);
    }

    fn action(&mut self, runbook: &Runbook, action: &dyn Step, known: Option<&Scope>) {
        if let Some(name) = action.connection()
            && let Some(found) = named(&runbook.connections, name)
        {
            once(&mut self.hosts, told(called(found), known));
            self.sockets |= found.socket_source().is_some();
        }
        for touch in action.touches() {
            match touch {
                Touch::Runs(command) => once(&mut self.commands, told(command, known)),
                Touch::Writes(file) => once(&mut self.files, told(file, known)),
                Touch::Sends(file) => once(&mut self.sent, told(file, known)),
            }
        }
    }
}

/// What a runbook touches, said with the values that are known.
pub fn effects(runbook: &Runbook, known: Option<&Scope>) -> Effects {
    let mut found = Effects::default();
    found.all(runbook, known);
    found
}

/// The address of a service, and the host it is reached through.
fn called(connection: &Connection) -> String {
    match connection.ssh_source().or_else(|| connection.socket_source()) {
        Some(way) => format!("{} through {way}", connection.base_source()),
        None => connection.base_source().to_owned(),
    }
}

/// A place with its values, if all of them are known and none is secret.
fn told(place: String, known: Option<&Scope>) -> String {
    let value = known.and_then(|scope| {
        let template = Template::parse(&place).ok().filter(|template| !template.is_literal())?;
        let names = || template.reads().iter().map(|read| read.name.as_str());
        let shown = names().all(|name| scope.has(name)) && !scope.any_secret(names());
        shown.then(|| template.render_text(scope).ok()).flatten()
    });
    match value {
        Some(value) => format!("{value}  from `{place}`"),
        None => place,
    }
}

fn once(all: &mut Vec<String>, one: String) {
    if !all.contains(&one) {
        all.push(one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    #[test]
    fn everything_a_file_touches_is_listed_undo_and_look_ups_too() {
        let text = r#"
            format = 1
            name = "x"
            [inputs.token]
            secret = true
            from = [{ env = "TOKEN" }, { dotenv = "~/c", key = "T" }]
            [inputs.host]
            [connections.api]
            base = "https://{{ host }}/"
            headers = { authorization = "{{ token }}" }
            [[steps]]
            id = "make"
            http = { on = "api", method = "POST", url = "x" }
            undo.command = ["rm", "-r", "{{ host }} x"]
            [[steps]]
            id = "look"
            command = ["ls"]
            effect = "read"
            [[steps]]
            id = "keep"
            append = { file = "~/{{ host }}", text = "A" }
            [[steps]]
            id = "send"
            http = { on = "api", method = "PUT", url = "x", upload = "~/key" }
            [[steps]]
            id = "part"
            http = { on = "api", method = "POST", url = "x", multipart = [{ name = "f", file = "{{ host }}" }] }
            [[steps]]
            id = "fetch"
            http = { on = "api", url = "x", into = "~/file" }
        "#;
        let (runbook, _) =
            Runbook::parse(&Source::new("x.toml", text), &|_, _| Err(String::new())).unwrap();
        let found = effects(&runbook, None);
        assert_eq!(
            found.listing(),
            "calls   https://{{ host }}/\nruns    rm -r '{{ host }} x'\nruns    ls\n\
             writes  ~/{{ host }}\nwrites  ~/file\nsends   ~/key\nsends   {{ host }}\nreads   the secret `token` from environment variable TOKEN\n\
             reads   the secret `token` from T in ~/c\n"
        );
        assert!(found.needs_trust() && found.acts_when_planned);
    }

    #[test]
    fn what_could_send_a_file_by_way_of_an_input_needs_trust() {
        let book = |from: &str, step: &str| {
            let text = format!(
                "format = 1\nname = \"x\"\n[inputs.key]\nsecret = true\nfrom = [{{ {from} }}]\n\
                 [connections.api]\nbase = \"https://elsewhere/\"\nheaders = {{ a = \"{{{{ key }}}}\" }}\n\
                 [[steps]]\nid = \"one\"\n{step}\n"
            );
            let source = Source::new("x.toml", text);
            effects(&Runbook::parse(&source, &|_, _| Err(String::new())).unwrap().0, None)
        };
        let call = "http = { on = \"api\", url = \"x\" }";
        for (from, step, needs) in [
            ("file = \"~/.ssh/id_ed25519\"", call, true),
            ("dotenv = \"~/.config/service\", key = \"KEY\"", call, true),
            ("env = \"KEY\"", call, false),
            ("file = \"~/.ssh/id_ed25519\"", "gate = \"key != ''\"", false),
        ] {
            let found = book(from, step);
            assert_eq!(found.needs_trust(), needs, "{from} {step}");
            assert_eq!(found.needs_trust_to_plan(), needs, "{from} {step}");
        }
    }
}
