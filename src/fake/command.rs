//! A command and a state → what the program would have said and the next state. No I/O.

use serde_json::json;

use super::answer::{Answer, one_object};
use super::beside::inside;
use super::{Command, Fake, Word};
use crate::jq::{self, Val};
use crate::value::Json;

impl Fake {
    /// Answers one command, told as JSON: `argv`, `stdin`, `env`, `cwd`, `ssh`.
    pub(super) fn command(&self, told: &[u8], state: &mut Val) -> Answer {
        let Ok(told) = serde_json::from_slice::<Json>(told) else {
            return Answer::text(400, "a command is told as JSON\n");
        };
        let argv = told["argv"].as_array().map_or(&[][..], Vec::as_slice);
        let fitting = |fake: &'_ Self| fake.commands.iter().position(|one| one.fits(argv));
        if let Some(place) = fitting(self) {
            return self.say(&self.commands[place], &told, state);
        }
        let other = self.beside.iter().find_map(|(name, fake)| Some((name, fake, fitting(fake)?)));
        match other {
            Some((name, fake, place)) => {
                inside(state, name, |state| fake.say(&fake.commands[place], &told, state))
            }
            None => Answer::text(404, "the fake has no such command\n"),
        }
    }

    /// What one of its commands would have said.
    fn say(&self, found: &Command, told: &Json, state: &mut Val) -> Answer {
        let input = [("command", jq::from_json(told)), ("state", state.clone())];
        let input = input.map(|(key, value)| (Val::from(key.to_owned()), value));
        let input = Val::obj(input.into_iter().collect());
        let outputs = self.programs.run(found.program, &|_| None, input);
        let said =
            outputs.map_err(|error| error.to_string()).and_then(|outputs| said(&outputs, state));
        match said {
            Ok(said) => Answer {
                status: 200,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body: said.to_string().into_bytes(),
            },
            Err(error) => {
                Answer::text(500, &format!("the fake's command `{}` failed: {error}\n", found.on))
            }
        }
    }
}

impl Command {
    /// Whether the command line begins with these words.
    fn fits(&self, argv: &[Json]) -> bool {
        argv.len() >= self.words.len()
            && self.words.iter().zip(argv).all(|(word, given)| match word {
                Word::Any => true,
                Word::Text(text) => given == text,
            })
    }
}

/// Takes a program's one output apart.
fn said(outputs: &[Val], state: &mut Val) -> Result<Json, String> {
    let (mut status, mut streams) = (0, [String::new(), String::new()]);
    one_object(outputs, |key, value| {
        match key {
            "state" => *state = value.clone(),
            "status" => {
                let number = jq::to_json(value).ok().and_then(|status| status.as_u64());
                status = number
                    .filter(|status| *status <= 255)
                    .ok_or_else(|| "`status` is no exit status".to_owned())?;
            }
            "stdout" | "stderr" => {
                let Ok(Json::String(text)) = jq::to_json(value) else {
                    return Err(format!("`{key}` is no text"));
                };
                streams[usize::from(key == "stderr")] = text;
            }
            key => return Err(format!("unknown key `{key}` in the output")),
        }
        Ok(())
    })?;
    let [stdout, stderr] = streams;
    Ok(json!({ "status": status, "stdout": stdout, "stderr": stderr }))
}
