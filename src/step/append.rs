//! `append`: a guarded block in a file: there once, exactly, or not at all.
//!
//! A block that is there already is left alone. A block cut off by a crash in the middle
//! of a write is completed. Taking it back removes that block and nothing else.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::crash;
use crate::journal::event::Effect;
use crate::reader::{Field, REVEAL, Reader, Rules, Shape, Sink};
use crate::scope::Scope;
use crate::template::{Lookup, Template, from_json};
use crate::value::{Json, Labeled};

use super::{Answer, Cx, Hand, Kind, Local, Manual, Step, Touch, Trouble, manual};

/// The kind.
pub(super) const KIND: Kind = Kind {
    name: "append",
    about: "Adds a block of lines to a file, once and exactly; a new file is readable by its owner only.",
    fields: FIELDS,
    rules: Rules::needs(&["file", "text"]),
    plain: None,
    example: r#"[[steps]]
id = "store"
[steps.append]
file = "{{ credentials_file }}"
text = """
# {{ app }}
APP_KEY={{ key }}
"""
"#,
    parse,
};

const FIELDS: &[Field] = &[
    Field {
        name: "file",
        shape: Shape::Template,
        about: "The file; created with mode 0600 if it is not there.",
    },
    Field {
        name: "text",
        shape: Shape::Template,
        about: "The block; ends with a line end in any case.",
    },
    Field {
        name: "follow_links",
        shape: Shape::Boolean,
        about: "Whether `file` may be a symbolic link; if not said, one is refused.",
    },
    REVEAL,
];

/// The largest file taken, in bytes.
const FILE_LIMIT: u64 = 64 * 1024 * 1024;

#[derive(Debug)]
struct Append {
    file: Template,
    text: Template,
    follow_links: bool,
}

fn parse(reader: &Reader<'_>) -> Option<Box<dyn Step>> {
    reader.only(FIELDS);
    let file = reader.template("file", reader.open("a path"));
    let text = reader.template("text", Sink::Closed);
    let follow_links = reader.boolean("follow_links").unwrap_or(false);
    for key in ["file", "text"] {
        if !reader.has(key) {
            return reader.missing(key, "an `append` needs `file` and `text`");
        }
    }
    Some(Box::new(Append { file: file?, text: text?, follow_links }))
}

/// `1 line`, `4 lines`.
pub(super) fn lines(block: &str) -> String {
    match block.lines().count() {
        1 => "1 line".to_owned(),
        count => format!("{count} lines"),
    }
}

/// What an append found and did.
struct Written {
    created: bool,
    newline: bool,
    unchanged: bool,
}

/// What of a file is this run's own, besides the block.
pub(super) struct Ours {
    /// The file itself.
    pub(super) created: bool,
    /// The line end before the block.
    pub(super) newline: bool,
    /// Whether the block may have been written in part only, or not at all.
    pub(super) doubt: bool,
}

impl Step for Append {
    fn effect(&self) -> Effect {
        Effect::Repeatable
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Writes(self.file.source().to_owned())]
    }

    fn what(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        Ok(cx.mask(&format!("append {} to {}", lines(&self.block(cx)?), self.path(cx)?.display())))
    }

    fn preview(&self, cx: &Cx<'_>) -> Result<Vec<String>, Trouble> {
        Ok(self.block(cx)?.lines().map(|line| cx.mask(line)).collect())
    }

    fn before(&self, cx: &Cx<'_>) -> Vec<(&'static str, Labeled)> {
        let (Ok(path), Ok(block)) = (self.path(cx), self.block(cx)) else { return Vec::new() };
        let Ok(found) = look(&path, &block, self.follow_links) else { return Vec::new() };
        vec![
            ("created", Labeled::plain(found.created)),
            ("newline", Labeled::plain(found.newline)),
            ("unchanged", Labeled::plain(found.unchanged)),
        ]
    }

    fn manual(&self, _hand: &Hand<'_>) -> Manual {
        let shell = format!("cat >> {}", manual::quoted(&manual::words(&self.file)));
        let stdin = Some(manual::words(&self.text));
        Manual { shell: Some(shell), stdin, ..Manual::default() }
    }

    fn manual_back(&self) -> Option<Manual> {
        let file = manual::words(&self.file);
        Some(Manual::text(format!("Remove the lines that were added to `{file}`, and only them.")))
    }

    fn run<'a>(&'a self, cx: &'a Cx<'a>) -> Local<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            let (path, block) = (self.path(cx)?, self.block(cx)?);
            let secret = self.secret(cx);
            let mut written = add(&path, &block, self.follow_links, secret)
                .map_err(|error| explain(&path, &error))?;
            if cx.in_doubt && cx.private.contains_key("created") {
                // What is there now may be this run's own work of before the crash.
                written.created = flag(cx, "created");
                written.newline = flag(cx, "newline");
                written.unchanged &= flag(cx, "unchanged");
            }
            let summary = if written.unchanged {
                format!("already in {}", path.display())
            } else {
                format!("{} added to {}", lines(&block), path.display())
            };
            let block = Labeled { json: Json::from(block), secret };
            let private = vec![
                ("path", Labeled::plain(path.display().to_string())),
                ("block", block),
                ("created", Labeled::plain(written.created)),
                ("newline", Labeled::plain(written.newline)),
                ("unchanged", Labeled::plain(written.unchanged)),
            ];
            Ok(Answer { summary, private, unchanged: written.unchanged, ..Answer::default() })
        })
    }

    fn take_back<'a>(&'a self, cx: &'a Cx<'a>) -> Option<Local<'a, Result<String, Trouble>>> {
        Some(Box::pin(async move {
            if flag(cx, "unchanged") {
                return Ok("was there before this run; left alone".to_owned());
            }
            // Only a finished step has said where and what; in doubt it is what it would have been.
            let kept = |name: &str| cx.private.get(name).and_then(|value| value.json.as_str());
            let path =
                kept("path").map_or_else(|| self.path(cx), |path| Ok(PathBuf::from(path)))?;
            let block =
                kept("block").map_or_else(|| self.block(cx), |block| Ok(block.to_owned()))?;
            let (created, newline) = (flag(cx, "created"), flag(cx, "newline"));
            let ours = Ours { created, newline, doubt: kept("block").is_none() };
            remove(&path, &block, &ours, self.follow_links).map_err(|error| explain(&path, &error))
        }))
    }
}

impl Append {
    fn path(&self, cx: &Cx<'_>) -> Result<PathBuf, Trouble> {
        let path = cx.services.place(&self.file.render_text(cx.scope)?);
        if cx.services.folder.is_some()
            && let Some(folder) = path.parent()
        {
            // The folders of the real place are there too; what is missing is no test of them.
            let _ = std::fs::create_dir_all(folder);
        }
        Ok(path)
    }

    /// The block. Its lines are the author's: a value that would add one is refused, as a name
    /// from elsewhere could otherwise set any key of the file.
    fn block(&self, cx: &Cx<'_>) -> Result<String, Trouble> {
        let text = self.text.render_text(cx.scope)?;
        self.refuse_forged(cx, &text)?;
        Ok(if text.ends_with('\n') { text } else { text + "\n" })
    }

    /// Compares with the same text made of values without control characters.
    fn refuse_forged(&self, cx: &Cx<'_>, text: &str) -> Result<(), Trouble> {
        let wild = |name: &&str| cx.scope.get(name).is_some_and(|value| breaks(&value.json));
        let names = self.text.reads().iter().map(|read| read.name.as_str());
        let Some(name) = { names }.find(wild) else { return Ok(()) };
        let controls = |text: &str| text.chars().filter(|c| control(*c)).count();
        if controls(text) <= controls(&self.text.render_text(&Tame(cx.scope))?) {
            return Ok(());
        }
        let message = format!(
            "`{name}` holds a line end or another control character: it would forge a line in the file"
        );
        Err(Trouble::failed(message).hint(
            "give it in one line, or encode it: `{{ value | b64encode }}`, `{{ value | tojson }}`",
        ))
    }

    fn secret(&self, cx: &Cx<'_>) -> bool {
        cx.scope.any_secret(self.text.reads().iter().map(|read| &*read.name))
    }
}

fn flag(cx: &Cx<'_>, name: &str) -> bool {
    cx.private.get(name).and_then(|value| value.json.as_bool()).unwrap_or(false)
}

/// What [`add`] would do.
fn look(path: &Path, block: &str, follow: bool) -> io::Result<Written> {
    refuse_link(path, follow)?;
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Written { created: true, newline: false, unchanged: false });
        }
        Err(error) => return Err(error),
    };
    let text = read(&mut file)?;
    let unchanged = find(&text, block).is_some();
    let newline = !unchanged && needs_newline(&text, block);
    Ok(Written { created: false, newline, unchanged })
}

fn needs_newline(text: &str, block: &str) -> bool {
    cut_off(text, block) == 0 && !text.is_empty() && !text.ends_with('\n')
}

/// Whether a character breaks lines or steers a terminal.
fn control(c: char) -> bool {
    c.is_control() && c != '\t' || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether there is such a character in a value's texts.
fn breaks(json: &Json) -> bool {
    match json {
        Json::String(text) => text.chars().any(control),
        Json::Array(items) => items.iter().any(breaks),
        Json::Object(map) => {
            map.iter().any(|(key, value)| key.chars().any(control) || breaks(value))
        }
        _ => false,
    }
}

/// The values of a scope without any such character.
struct Tame<'a>(&'a Scope);

impl Lookup for Tame<'_> {
    fn value(&self, name: &str) -> Option<minijinja::Value> {
        self.0.get(name).map(|value| from_json(&tame(&value.json)))
    }
}

fn tame(json: &Json) -> Json {
    let text = |text: &str| text.replace(control, "\u{fffd}");
    match json {
        Json::String(wild) => Json::String(text(wild)),
        Json::Array(items) => items.iter().map(tame).collect(),
        Json::Object(map) => map.iter().map(|(key, value)| (text(key), tame(value))).collect(),
        other => other.clone(),
    }
}

/// Adds the block unless it is there.
fn add(path: &Path, block: &str, follow: bool, secret: bool) -> io::Result<Written> {
    refuse_link(path, follow)?;
    let (mut file, created) = open(path, follow)?;
    file.lock()?;
    if secret && file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other(Refused(format!(
            "others can read it, and the block holds a secret; `chmod 600 {}` first",
            path.display()
        ))));
    }
    let text = read(&mut file)?;
    if find(&text, block).is_some() {
        return Ok(Written { created: false, newline: false, unchanged: true });
    }
    let cut = cut_off(&text, block);
    let newline = needs_newline(&text, block);
    let rest = format!("{}{}", if newline { "\n" } else { "" }, &block[cut..]);
    file.seek(SeekFrom::End(0))?;
    crash::point();
    file.write_all(rest.as_bytes())?;
    crash::point();
    file.sync_all()?;
    if created {
        sync_folder(path)?;
    }
    Ok(Written { created, newline, unchanged: false })
}

/// How much of the block the file ends with: what a crash in the middle of a write left.
fn cut_off(text: &str, block: &str) -> usize {
    let starts = |len: &usize| {
        let head = &block[..*len];
        text.ends_with(head) && (text.len() == *len || text[..text.len() - len].ends_with('\n'))
    };
    // Less than a whole first line could be anybody's.
    let first_line = block.find('\n').map_or(block.len(), |at| at + 1);
    (first_line..block.len())
        .rev()
        .filter(|len| block.is_char_boundary(*len))
        .find(starts)
        .unwrap_or(0)
}

/// Where the block stands, from the start of a line.
fn find(text: &str, block: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find(block).map(|at| at + from) {
        if at == 0 || text[..at].ends_with('\n') {
            return Some(at);
        }
        from = at + 1;
        while !text.is_char_boundary(from) {
            from += 1;
        }
    }
    None
}

/// Takes the last such block out, by a new file in the old one's place.
pub(super) fn remove(path: &Path, block: &str, ours: &Ours, follow: bool) -> io::Result<String> {
    refuse_link(path, follow)?;
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok("the file is gone".to_owned());
        }
        other => other?,
    };
    file.lock()?;
    let text = read(&mut file)?;
    let whole = text.rfind(block).filter(|at| *at == 0 || text[..*at].ends_with('\n'));
    let (at, end) = match whole {
        Some(at) => (at, at + block.len()),
        None if ours.doubt => (text.len() - cut_off(&text, block), text.len()),
        None => return Ok("the block is not there any more".to_owned()),
    };
    // The line end added before the block goes with it, if nothing was added after.
    let start =
        if ours.newline && at < end && end == text.len() { at.saturating_sub(1) } else { at };
    let rest = format!("{}{}", &text[..start], &text[end..]);
    if rest.is_empty() && ours.created {
        std::fs::remove_file(path)?;
        sync_folder(path)?;
        return Ok(format!("{} removed: only the block was in it", path.display()));
    }
    if rest == text {
        return Ok("the block is not there".to_owned());
    }
    replace(path, &file, &rest)?;
    Ok(format!("{} removed from {}", lines(block), path.display()))
}

fn replace(path: &Path, old: &File, text: &str) -> io::Result<()> {
    let real = std::fs::canonicalize(path)?;
    let name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = real.with_file_name(format!(".{name}.runbook"));
    // What a crash left here: removing a link removes the link, never what it points to.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mode = old.metadata()?.mode() & 0o7777;
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    new.write_all(text.as_bytes())?;
    new.set_permissions(std::fs::Permissions::from_mode(mode))?;
    new.sync_all()?;
    crash::point();
    std::fs::rename(&temporary, &real)?;
    sync_folder(&real)
}

fn open(path: &Path, follow: bool) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    if !follow {
        // one that was put there since it was looked at is refused too
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    match options.clone().create_new(true).mode(0o600).open(path) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok((options.open(path)?, false))
        }
        Err(error) => Err(error),
    }
}

fn read(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    io::Read::by_ref(file).take(FILE_LIMIT).read_to_end(&mut bytes)?;
    String::from_utf8(bytes)
        .map_err(|_| io::Error::other(Refused("the file is not UTF-8 text".to_owned())))
}

pub(super) fn refuse_link(path: &Path, follow: bool) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() && !follow => Err(io::Error::other(Refused(
            "it is a symbolic link; name the file itself, or allow it with `follow_links = true`"
                .to_owned(),
        ))),
        Ok(found) if found.is_dir() => Err(io::Error::other(Refused("it is a folder".to_owned()))),
        _ => Ok(()),
    }
}

pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// A reason of ours, not the system's.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// A failure of the system, with what to do about it.
pub(super) fn explain(path: &Path, error: &io::Error) -> Trouble {
    let trouble = Trouble::failed(format!("cannot write {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            trouble.hint(format!(
                "its folder does not exist: `mkdir -p {}`, then resume",
                folder.display()
            ))
        }
        io::ErrorKind::PermissionDenied => {
            trouble.hint(format!("you may not write it: see `ls -l {}`", path.display()))
        }
        _ => trouble,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "# app\nA=1\nB=2\n";

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_new_file_is_private_and_holds_the_block() {
        let folder = folder();
        let path = folder.path().join("credentials");
        let written = add(&path, BLOCK, false, true).unwrap();
        assert!(written.created);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), BLOCK);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn adding_and_removing_leaves_every_file_as_it_was() {
        for before in ["x=1", "x=1\n", "", "# app\nA=1\n"] {
            let folder = folder();
            let path = folder.path().join("f");
            std::fs::write(&path, before).unwrap();
            let written = add(&path, "# other\nC=3\n", false, false).unwrap();
            let Written { created, newline, .. } = written;
            remove(&path, "# other\nC=3\n", &Ours { created, newline, doubt: false }, false)
                .unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
        }
    }

    #[test]
    fn a_block_that_is_there_is_left_alone() {
        let folder = folder();
        let path = folder.path().join("f");
        std::fs::write(&path, format!("x\n{BLOCK}y\n")).unwrap();
        assert!(add(&path, BLOCK, false, false).unwrap().unchanged);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("x\n{BLOCK}y\n"));
    }

    #[test]
    fn a_block_inside_a_longer_line_is_not_the_block() {
        assert_eq!(find("x# app\nA=1\nB=2\n", BLOCK), None);
    }

    #[test]
    fn a_block_cut_off_by_a_crash_is_completed() {
        for cut in BLOCK.find('\n').unwrap() + 1..BLOCK.len() {
            let folder = folder();
            let path = folder.path().join("f");
            std::fs::write(&path, format!("x\n{}", &BLOCK[..cut])).unwrap();
            add(&path, BLOCK, false, false).unwrap();
            assert_eq!(
                std::fs::read_to_string(&path).unwrap(),
                format!("x\n{BLOCK}"),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_value_cannot_forge_a_line_but_an_encoded_one_may_hold_any() {
        for (value, template, forged) in [
            ("a", "N={{ v }}\nM=1\n", false),
            ("a\nADMIN=1", "N={{ v }}\n", true),
            ("a\rADMIN=1", "N={{ v }}\n", true),
            ("a\u{2028}b", "N={{ v }}\n", true),
            ("a\x1b[2J", "N={{ v }}\n", true),
            ("a\nb", "N={{ v | b64encode }}\n", false),
            ("a\nb", "N={{ v | tojson }}\n", false),
            ("a\nb", "N={{ v | length }}\n", false),
        ] {
            let (scope, text) = (Scope::default(), Template::parse(template).unwrap());
            scope.set("v", Labeled::plain(value));
            let plain = text.render_text(&scope).unwrap();
            let tame = text.render_text(&Tame(&scope)).unwrap();
            let count = |text: &str| text.chars().filter(|c| control(*c)).count();
            assert_eq!(count(&plain) > count(&tame), forged, "{value:?} in {template:?}");
        }
    }

    #[test]
    fn what_lies_where_the_new_file_is_written_is_not_followed() {
        let folder = folder();
        let (path, victim) = (folder.path().join("f"), folder.path().join("victim"));
        std::fs::write(&path, format!("x\n{BLOCK}")).unwrap();
        std::fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join(".f.runbook")).unwrap();
        remove(&path, BLOCK, &Ours { created: false, newline: false, doubt: false }, false)
            .unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "x\n");
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
    }

    #[test]
    fn links_and_readable_files_are_refused() {
        let folder = folder();
        let (path, link) = (folder.path().join("f"), folder.path().join("l"));
        std::fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(add(&link, BLOCK, false, false).is_err());
        assert!(add(&link, BLOCK, true, false).is_ok());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(add(&path, "S=1\n", false, true).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), BLOCK);
    }
}
