//! What a runbook touches, told from its text alone: hosts, commands, files, secrets.
//!
//! Places are as their author wrote them, templates and all, as it can be shown before anything
//! is asked; behind what is known by then.

use super::{From, Runbook, StepDef};
use crate::journal::event::Effect;
use crate::printable::argument;
use crate::scope::Scope;
use crate::step::connection::named;
use crate::step::{Step, Touch};
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
            used.is_some_and(|used| used.socket_template().is_some())
        };
        let acts = |action: &dyn Step| !action.touches().is_empty() || socket(action);
        let reads = step.effect <= Effect::Read && acts(&*step.action);
        self.acts_when_planned |= reads || probe.is_some_and(acts);
    }

    fn action(&mut self, runbook: &Runbook, action: &dyn Step, known: Option<&Scope>) {
        if let Some(name) = action.connection()
            && let Some(found) = named(&runbook.connections, name)
        {
            let way = found.ssh_template().or_else(|| found.socket_template());
            let parts = [Some(found.base_template()), way];
            let address = |parts: &[&str]| parts.join(" through ");
            once(&mut self.hosts, told(parts.into_iter().flatten(), &address, known));
            self.sockets |= found.socket_template().is_some();
        }
        for touch in action.touches() {
            let path = |file| told([file], &|parts: &[&str]| parts.concat(), known);
            match touch {
                Touch::Runs(argv, on) => {
                    let line = |parts: &[&str]| command_line(argv.len(), parts);
                    once(&mut self.commands, told(argv.iter().chain(on), &line, known));
                }
                Touch::Plugin(program) => once(&mut self.commands, program.display().to_string()),
                Touch::Writes(file) => once(&mut self.files, path(file)),
                Touch::Sends(file) => once(&mut self.sent, path(file)),
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

/// A program with so many words, itself among them, and the host it runs on, if any is named.
fn command_line(words: usize, parts: &[&str]) -> String {
    let (words, on) = parts.split_at(words);
    let words: Vec<_> = words.iter().map(|word| argument(word)).collect();
    let on = on.iter().filter(|host| !host.is_empty()).map(|host| format!(" on {host}"));
    words.join(" ") + &on.collect::<String>()
}

/// A place with its values, if all of them are known and none is secret. Each part is rendered by
/// itself, as it is when it is used, and put together after that.
fn told<'t>(
    parts: impl IntoIterator<Item = &'t Template>,
    together: &dyn Fn(&[&str]) -> String,
    known: Option<&Scope>,
) -> String {
    let parts: Vec<&Template> = parts.into_iter().collect();
    let sources: Vec<&str> = parts.iter().map(|part| part.source()).collect();
    let place = together(&sources);
    let value = known.filter(|_| !parts.iter().all(|part| part.is_literal())).and_then(|scope| {
        let names = || parts.iter().flat_map(|part| part.reads()).map(|read| read.name.as_str());
        if !names().all(|name| scope.has(name)) || scope.any_secret(names()) {
            return None;
        }
        let values = parts.iter().map(|part| part.render_text(scope));
        let values: Vec<String> = values.collect::<Result<_, _>>().ok()?;
        Some(together(&values.iter().map(String::as_str).collect::<Vec<_>>()))
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
