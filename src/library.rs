//! Finding runbooks by name.
//!
//! In this order: the path given; `./runbooks`; the person's own; `RUNBOOK_PATH`; the
//! bundled ones. In each folder `NAME.toml` and `SERVICE/NAME.toml`; where there is none, the first
//! file that calls itself so. And finding the programs of
//! plug-ins, which are never run here.

use std::path::{Component, Path, PathBuf};

use crate::runbook::Runbook;
use crate::source::{EMBEDDED, Known, Source};
use crate::world::World;

/// What is embedded in the binary: paths below `runbooks/`, texts, and their tables, packed.
const BUNDLED: &[(&str, &str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// Why a runbook was not found.
#[derive(Debug)]
pub enum NotFound {
    /// No place has it; names that are there.
    Nowhere(Vec<String>),
    /// Its file cannot be read.
    Unreadable(PathBuf, std::io::Error),
}

/// Finds a runbook by its name or path.
pub fn find(name: &str, world: &World) -> Result<Source, NotFound> {
    match file(name, world) {
        Some((shown, path)) => read(&shown, &path),
        None => inside_or_named(name).or_else(|| calls_itself(name, world)).ok_or_else(|| {
            let itself = all(world).into_iter().map(|source| head(&source.text).0);
            NotFound::Nowhere(names(world).into_iter().chain(itself).collect())
        }),
    }
}

/// The same, if it can be read at once: a pipe would be waited for.
pub fn glance(name: &str, world: &World) -> Option<Source> {
    match file(name, world) {
        Some((shown, path)) => read_regular(&shown, &path),
        None => inside_or_named(name).or_else(|| calls_itself(name, world)),
    }
}

/// The file that a name or path means, as it is shown and where it is; none if what came with the
/// program may have it.
fn file(name: &str, world: &World) -> Option<(PathBuf, PathBuf)> {
    if name.contains('/') || has_ending(name) {
        return (!name.starts_with(EMBEDDED)).then(|| (name.into(), world.cwd.join(name)));
    }
    let mut folders = folders(world).into_iter();
    let path =
        folders.find_map(|folder| files(&folder).into_iter().find(|path| stem(path) == name))?;
    Some((shown(&path, world), path))
}

/// What came with the program, by its path or its name.
fn inside_or_named(name: &str) -> Option<Source> {
    name.strip_prefix(EMBEDDED).map_or_else(|| named(name), bundled)
}

/// The first file that calls itself so, where none is called so.
fn calls_itself(name: &str, world: &World) -> Option<Source> {
    let paths = folders(world).into_iter().flat_map(|folder| files(&folder));
    let mut own = paths.filter_map(|path| read_regular(&shown(&path, world), &path));
    own.find(|source| head(&source.text).0 == name)
}

/// The name by which a runbook is found that calls itself so: another file may be called that.
pub fn found_by<'n>(runbook: &'n Source, itself: &'n str, world: &World) -> &'n str {
    let called = stem(Path::new(&*runbook.path));
    let leads = || glance(itself, world).is_some_and(|found| found.path == runbook.path);
    if called == itself || leads() { itself } else { called }
}

/// What a runbook's file is called and what it calls itself, if these differ and it lies where
/// runbooks are looked for.
pub fn called_otherwise<'s>(runbook: &'s Source, world: &World) -> Option<(&'s str, String)> {
    let path = Path::new(&*runbook.path);
    // a fake and tests have no name, and their whole text would be read to find that out
    let called = Some(stem(path)).filter(|_| is_runbook(path))?;
    let itself = head(&runbook.text).0;
    let found = || file(called, world).is_some_and(|(shown, _)| shown == path);
    (itself != called && itself != UNKNOWN && found()).then_some((called, itself))
}

/// The paths of the bundled runbooks, below `runbooks/`.
fn inside() -> impl Iterator<Item = &'static str> {
    BUNDLED.iter().map(|(path, ..)| *path).filter(|path| is_runbook(Path::new(path)))
}

/// The bundled runbook of this name.
fn named(name: &str) -> Option<Source> {
    inside().find(|path| stem(Path::new(path)) == name).and_then(bundled)
}

/// Whether a text is, to the letter, a runbook that came with the program.
pub fn came_with(text: &str) -> bool {
    BUNDLED.iter().any(|(path, known, _)| is_runbook(Path::new(path)) && *known == text)
}

/// The fake of a runbook's service, if there is one beside it.
pub fn fake(runbook: &Source, world: &World) -> Option<Source> {
    file_beside(runbook, "fake.toml", world)
}

/// A runbook's tests, if there are some beside it.
pub fn tests(runbook: &Source, world: &World) -> Option<Source> {
    file_beside(runbook, &format!("{}.test.toml", stem(Path::new(&*runbook.path))), world)
}

fn file_beside(runbook: &Source, name: &str, world: &World) -> Option<Source> {
    let path = Path::new(&*runbook.path).with_file_name(name);
    match path.to_str().and_then(|path| path.strip_prefix(EMBEDDED)) {
        Some(inside) => bundled(inside),
        None => read_regular(&path, &world.cwd.join(&path)),
    }
}

/// All runbooks in the folder of one, itself among them: they share its fake.
pub fn beside(runbook: &Source, world: &World) -> Vec<Source> {
    let path = Path::new(&*runbook.path);
    let folder = path.parent().unwrap_or(Path::new(""));
    if runbook.known.is_so() {
        let all = inside().filter_map(bundled);
        return all.filter(|source| Path::new(&*source.path).parent() == Some(folder)).collect();
    }
    let entries = std::fs::read_dir(world.cwd.join(folder)).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_unstable();
    let all = paths.iter().filter(|path| is_runbook(path));
    all.filter_map(|path| read(&shown(path, world), path).ok()).collect()
}

/// The text of a runbook that another one uses: beside it, or anywhere by its name.
pub fn used(name: &str, from: &Source, world: &World) -> Result<Source, String> {
    // What came with the program goes with what came with it, whatever else has that name.
    if from.path.starts_with(EMBEDDED)
        && let Some(with) = named(name)
    {
        return Ok(with);
    }
    let beside =
        Path::new(&*from.path).with_file_name(format!("{}.toml", name.trim_end_matches(".toml")));
    let beside = shortest(&beside, world);
    let found = find(&beside.display().to_string(), world).or_else(|_| find(name, world));
    found.map_err(|missing| match missing {
        NotFound::Nowhere(names) => {
            match crate::diag::closest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("there is no runbook `{name}`; did you mean `{near}`?"),
                None => format!("there is no runbook `{name}`"),
            }
        }
        NotFound::Unreadable(path, error) => format!("cannot read {}: {error}", path.display()),
    })
}

/// A path without `.` and `x/..`, by which a file is known again; as it is where that would be
/// another file, because `x` is a link.
fn shortest(path: &Path, world: &World) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(short.components().next_back(), Some(Component::Normal(_))) =>
            {
                short.pop();
            }
            part => short.push(part),
        }
    }
    let real = |path: &Path| std::fs::canonicalize(world.cwd.join(path)).ok();
    if real(path) == real(&short) { short } else { path.to_owned() }
}

/// Where a plug-in's program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Beside the runbook that names it: it came from where that came from.
    Beside(PathBuf),
    /// In a folder of `PATH`: somebody installed it.
    Installed(PathBuf),
}

/// A plug-in's program by its file's name: beside the runbook that names it, else installed.
/// What came with this program uses none.
pub fn program(name: &str, from: &Source, world: &World) -> Option<Place> {
    if came_with(&from.text) || from.path.starts_with(EMBEDDED) {
        return None;
    }
    let beside = world.cwd.join(Path::new(&*from.path).with_file_name(name));
    // without the `.` of `./file.toml`
    let beside: PathBuf = beside.components().collect();
    if beside.is_file() {
        return Some(Place::Beside(beside));
    }
    let mut folders = path_folders(world);
    folders.find_map(|folder| runs(&folder.join(name))).map(Place::Installed)
}

/// The names of all programs that begin so, beside a file and installed, sorted.
pub fn programs(prefix: &str, from: &Source, world: &World) -> Vec<String> {
    if came_with(&from.text) || from.path.starts_with(EMBEDDED) {
        return Vec::new();
    }
    let beside = world.cwd.join(Path::new(&*from.path).with_file_name(""));
    named_so(prefix, std::iter::once(beside).chain(path_folders(world)))
}

/// The names of all installed programs that begin so, sorted.
pub fn installed(prefix: &str, world: &World) -> Vec<String> {
    named_so(prefix, path_folders(world))
}

fn named_so(prefix: &str, folders: impl Iterator<Item = PathBuf>) -> Vec<String> {
    let entries = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let paths = entries.filter_map(|entry| runs(&entry.ok()?.path()));
    let names = paths.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
    let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether there is a program of this name: below a folder, or installed.
pub fn is_program(name: &str, world: &World) -> bool {
    if name.contains('/') {
        return executable(&world.cwd.join(name));
    }
    path_folders(world).any(|folder| executable(&folder.join(name)))
}

/// The folders of `PATH`. One that depends on where one stands is no place for what is installed.
fn path_folders(world: &World) -> impl Iterator<Item = PathBuf> {
    let path = world.var("PATH").unwrap_or("");
    path.split(':').map(PathBuf::from).filter(|folder| folder.is_absolute())
}

/// The path, if it is a file that may be run.
fn runs(path: &Path) -> Option<PathBuf> {
    executable(path).then(|| path.to_owned())
}

/// Whether a path is a file that somebody may run.
pub fn executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The fakes for rehearsing a runbook: its own service's, then those of the runbooks it uses.
pub fn fakes(runbook: &Runbook, world: &World) -> Vec<Source> {
    let used = runbook.used.iter().map(|used| &used.source);
    let mut all: Vec<Source> = Vec::new();
    for fake in std::iter::once(&runbook.source).chain(used).filter_map(|file| fake(file, world)) {
        if !all.iter().any(|known| known.path == fake.path) {
            all.push(fake);
        }
    }
    all
}

/// Every runbook there is: those found first hide later ones of the same name.
pub fn all(world: &World) -> Vec<Source> {
    let mut found: Vec<(String, Source)> = Vec::new();
    let own = folders(world).into_iter().flat_map(|folder| files(&folder)).filter_map(|path| {
        Some((stem(&path).to_owned(), read_regular(&shown(&path, world), &path)?))
    });
    let inside =
        inside().filter_map(|path| Some((stem(Path::new(path)).to_owned(), bundled(path)?)));
    for (name, one) in own.chain(inside) {
        if !found.iter().any(|(known, _)| *known == name) {
            found.push((name, one));
        }
    }
    found.into_iter().map(|(_, one)| one).collect()
}

/// In the place of a name or a title that cannot be read.
const UNKNOWN: &str = "?";

/// Name and title, even of a file that has mistakes.
pub fn head(text: &str) -> (String, String) {
    // both stand before the first table: the rest need not be read
    let top = text.find("\n[").and_then(|end| text.get(..end)).and_then(|top| {
        let table = toml::de::DeTable::parse(top).ok()?;
        Some((string(table.get_ref(), "name")?, string(table.get_ref(), "title")?))
    });
    top.unwrap_or_else(|| {
        let (table, _) = toml::de::DeTable::parse_recoverable(text);
        let or_unknown = |key| string(table.get_ref(), key).unwrap_or_else(|| UNKNOWN.to_owned());
        (or_unknown("name"), or_unknown("title"))
    })
}

fn string(table: &toml::de::DeTable<'_>, key: &str) -> Option<String> {
    table.get(key)?.get_ref().as_str().map(str::to_owned)
}

/// The names of all runbooks, sorted.
pub fn names(world: &World) -> Vec<String> {
    let own = folders(world).into_iter().flat_map(|folder| files(&folder));
    let inside = inside().map(PathBuf::from);
    let mut names: Vec<String> = own.chain(inside).map(|path| stem(&path).to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn folders(world: &World) -> Vec<PathBuf> {
    let own = [world.cwd.join("runbooks"), world.config_dir().join("runbooks")];
    let more = world.var("RUNBOOK_PATH").unwrap_or("").split(':').filter(|part| !part.is_empty());
    own.into_iter().chain(more.map(|part| world.cwd.join(world.expand_home(part)))).collect()
}

/// The runbooks in a folder and in the folders in it, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let mut paths: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort_unstable();
        paths
    };
    let (folders, mut paths): (Vec<PathBuf>, Vec<PathBuf>) =
        list(folder).into_iter().partition(|path| path.is_dir());
    paths.extend(folders.iter().flat_map(|folder| list(folder)));
    paths.retain(|path| is_runbook(path));
    paths
}

/// Whether a file's name says that it is a runbook, not the fake or the test beside one.
fn is_runbook(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    has_ending(name) && name != "fake.toml" && !name.ends_with(".test.toml")
}

fn has_ending(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "toml")
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("")
}

fn shown(path: &Path, world: &World) -> PathBuf {
    path.strip_prefix(&world.cwd).unwrap_or(path).to_path_buf()
}

fn read(shown: &Path, path: &Path) -> Result<Source, NotFound> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| NotFound::Unreadable(shown.to_path_buf(), error))?;
    Ok(Source::new(shown.display().to_string(), text))
}

/// What nobody asked for by name is no reason to wait.
fn read_regular(shown: &Path, path: &Path) -> Option<Source> {
    path.is_file().then(|| read(shown, path).ok()).flatten()
}

/// What is embedded under a path below `runbooks/`.
fn bundled(path: &str) -> Option<Source> {
    let (path, text, tables) = BUNDLED.iter().find(|(known, ..)| *known == path)?;
    Some(Source { known: Known::by(tables), ..Source::new(format!("{EMBEDDED}{path}"), *text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known is looked at less closely, and must be understood the same.
    #[test]
    fn what_came_with_the_program_is_read_as_any_other_file() {
        let other = |source: Source| Source { known: Known::default(), ..source };
        for path in inside() {
            let source = bundled(path).unwrap();
            let beside = |name: &str, _: &Source| Ok(named(name).unwrap());
            let (known, _) = Runbook::parse(&source, &beside).unwrap();
            let beside = |name: &str, _: &Source| Ok(other(named(name).unwrap()));
            let (full, _) = Runbook::parse(&other(source), &beside).unwrap();
            let known = format!("{known:#?}").replace("known: true", "known: false");
            let full = format!("{full:#?}");
            let mut lines = known.lines().zip(full.lines());
            assert_eq!(lines.find(|(known, full)| known != full), None, "{path}");
            assert_eq!(known.len(), full.len(), "{path}");
        }
    }

    #[test]
    fn no_two_bundled_runbooks_have_one_name() {
        let mut names: Vec<&str> = inside().map(|path| stem(Path::new(path))).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "a name is found in one place only: {names:?}");
    }

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
