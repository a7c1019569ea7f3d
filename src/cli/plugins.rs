//! The plug-ins around a file: found, trusted, asked what they are.
//!
//! `--describe` runs a program. One that is installed (in `PATH`) was put there to be run. One that
//! lies beside a runbook came with that, from anywhere: until a person trusts it, as it is, it is
//! not run, not even to be described.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::session::block_on;
use super::{load, trust};
use crate::exit::Exit;
use crate::library::{self, Place};
use crate::source::Source;
use crate::step::plugin::program::Program;
use crate::step::plugin::{PREFIX, Plugin, Refused, Sought};
use crate::world::World;

type Result<T> = std::result::Result<T, Refused>;

/// The plug-ins of one call of the program; each is asked once.
pub(super) struct Plugins<'a> {
    world: &'a World,
    /// Whether the person trusts, from now on, what lies beside the files.
    trusted: bool,
    asked: RefCell<HashMap<PathBuf, Result<Rc<Plugin>>>>,
}

impl<'a> Plugins<'a> {
    pub(super) fn new(world: &'a World, trusted: bool) -> Self {
        Self { world, trusted, asked: RefCell::default() }
    }

    /// The plug-in of a name for the file that names it.
    pub(super) fn find(&self, name: &str, from: &Source) -> Result<Sought> {
        let program = format!("{PREFIX}{name}");
        let Some(place) = library::program(&program, from, self.world) else {
            let near = library::programs(PREFIX, from, self.world);
            let near = crate::diag::closest(name, near.iter().map(|name| &name[PREFIX.len()..]));
            return Ok(Sought::Nowhere(near.map(str::to_owned)));
        };
        let (Place::Beside(path) | Place::Installed(path)) = &place;
        if let Some(known) = self.asked.borrow().get(path) {
            return known.clone().map(Sought::There);
        }
        let found = self.ask(name, &place, from);
        self.asked.borrow_mut().insert(path.clone(), found.clone());
        found.map(Sought::There)
    }

    fn ask(&self, name: &str, place: &Place, from: &Source) -> Result<Rc<Plugin>> {
        let program = match place {
            Place::Installed(path) => Program { path: path.clone(), pinned: None },
            Place::Beside(path) => self.beside(name, path.clone(), from)?,
        };
        let interrupted = || {
            let title = format!("the kind `{name}` was not asked: interrupted");
            Err(Refused { title, help: Vec::new() })
        };
        let described = block_on(Plugin::ask(name, program, &self.world.cwd));
        described.unwrap_or_else(interrupted).map(Rc::new)
    }

    /// A program beside the file, if it is trusted as it is now.
    fn beside(&self, name: &str, path: PathBuf, from: &Source) -> Result<Program> {
        let shown = path.strip_prefix(&self.world.cwd).unwrap_or(&path).display().to_string();
        let refused = |title: String, help: Vec<String>| Refused { title, help };
        if !library::executable(&path) {
            let title = format!("the kind `{name}` would be {shown}, which cannot be run");
            return Err(refused(title, vec![format!("`chmod +x {shown}` makes it a program")]));
        }
        let unreadable = |error: std::io::Error| {
            refused(format!("the kind `{name}` cannot be known: {shown}: {error}"), Vec::new())
        };
        let digest = Program::digest(&path).map_err(unreadable)?;
        let trusted = trust::program(&path, &digest, self.trusted, self.world);
        if trusted.map_err(unreadable)? {
            return Ok(Program { path, pinned: Some(digest) });
        }
        let title = format!("the kind `{name}` is a program that is not trusted: {shown}");
        let help = vec![
            "it came with this file, so it was not run, not even to ask what it takes".to_owned(),
            format!(
                "read it, then `runbook check --trust {}`: remembered until it changes",
                from.path
            ),
        ];
        Err(refused(title, help))
    }
}

/// A plug-in as a run has kept it. What lies at its place now may have been edited, and trusted again
/// since: then that is what runs.
pub(super) fn kept(name: &str, text: &str, world: &World) -> Option<Rc<Plugin>> {
    let mut plugin = Plugin::from_kept(name, text)?;
    let program = &mut plugin.program;
    if let (Some(pinned), Ok(now)) = (&mut program.pinned, Program::digest(&program.path))
        && trust::program(&program.path, &now, false, world).unwrap_or(false)
    {
        *pinned = now;
    }
    Some(Rc::new(plugin))
}

/// The plug-in of a name as seen from the working folder, for the commands that explain it.
pub(super) fn named(name: &str, world: &World) -> std::result::Result<Sought, Exit> {
    if !crate::step::plugin::is_name(name) {
        return Ok(Sought::Nowhere(None));
    }
    let here = Source::new("FILE", "");
    Plugins::new(world, false).find(name, &here).map_err(|refused| load::refuse(&refused))
}
