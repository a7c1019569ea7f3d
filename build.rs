//! Embeds everything below `runbooks/` into the binary, as a list of paths, texts, and their
//! tables in a form that is quick to read; and the library of jq, taken apart.

#[path = "src/source/packed.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is a module of the program, which unpacks")]
mod packed;

#[path = "src/jq/calls.rs"]
mod calls;

#[path = "src/jq/unparse.rs"]
mod unparse;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use jaq_core::load::parse::Def;

/// The functions that a run goes through, by the names the linker knows them by.
const ORDER: &str = "link/order.txt";

/// The variable that leaves the names of functions in a release build: `ORDER` is made with it.
const NAMES: &str = "RUNBOOK_NAMES";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=runbooks");
    println!("cargo::rerun-if-changed=src/source/packed.rs");
    for file in ["calls.rs", "unparse.rs"] {
        println!("cargo::rerun-if-changed=src/jq/{file}");
    }
    println!("cargo::rerun-if-changed={ORDER}");
    println!("cargo::rerun-if-env-changed={NAMES}");
    if is_released() {
        side_by_side()?;
    }
    linked();
    let mut files = Vec::new();
    collect(Path::new("runbooks"), &mut files)?;
    files.sort();
    let root = env::current_dir()?;
    let mut list = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix("runbooks").unwrap_or(file).display().to_string();
        let path = root.join(file).display().to_string();
        let tables = tables(&fs::read_to_string(file)?, &name)?;
        writeln!(list, "    ({name:?}, include_str!({path:?}), &{tables:?}),")
            .map_err(io::Error::other)?;
    }
    list.push_str("]\n");
    fs::write(out()?.join("bundled.rs"), list)?;
    fs::write(out()?.join("library.rs"), jq_library()?)
}

fn parsed(defs: &str) -> Option<Vec<Def<&str>>> {
    jaq_core::load::parse(defs, |parser| parser.defs())
}

/// The definitions of jq's library as tables for `src/jq/library.rs`: a program reads the few of
/// them that it calls.
fn jq_library() -> io::Result<String> {
    let wrong = |what: &str| io::Error::other(format!("jq's library: {what}"));
    let more = parsed(include_str!("src/jq/more.jq")).ok_or_else(|| wrong("more.jq"))?;
    let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).chain(more);
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut list = String::from("pub(super) const PARTS: &[Part] = &[\n");
    for (place, def) in all.enumerate() {
        by_name.entry(def.name).or_default().push(place);
        let text = unparse::definition(&def);
        let again = parsed(&text).filter(|again| format!("{again:?}") == format!("{:?}", [&def]));
        again.ok_or_else(|| wrong(&text))?;
        let mut called = Vec::new();
        calls::calls(&def.body, &mut |name| called.push(name));
        called.sort_unstable();
        called.dedup();
        writeln!(list, "    Part {{ name: {:?}, text: {text:?}, calls: &{called:?} }},", def.name)
            .map_err(io::Error::other)?;
    }
    list.push_str("];\n\npub(super) const BY_NAME: &[(&str, &[usize])] = &[\n");
    for (name, places) in by_name {
        writeln!(list, "    ({name:?}, &{places:?}),").map_err(io::Error::other)?;
    }
    list.push_str("];\n");
    Ok(list)
}

/// Whether this is for people to use.
fn is_released() -> bool {
    told("PROFILE").is_some_and(|profile| profile == "release")
}

/// What cargo tells a build script.
#[expect(clippy::disallowed_methods, reason = "cargo tells a build script all this way")]
fn told(name: &str) -> Option<OsString> {
    env::var_os(name)
}

/// Where a build script may write.
fn out() -> io::Result<PathBuf> {
    told("OUT_DIR").map(PathBuf::from).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Has the linker put side by side what a run goes through. It is a third of the program and lies
/// all over it, and the system brings in the pages around each that is touched: nearly all of the
/// program was in memory. A name that is not there is passed over; `docs/speed.md` says how the
/// list is made anew. Only one linker has this, and not in every version of the compiler: it is asked.
fn side_by_side() -> io::Result<()> {
    if told("HOST") != told("TARGET") {
        return Ok(());
    }
    let order = env::current_dir()?.join(ORDER);
    let words = format!("-Wl,--symbol-ordering-file={},--no-warn-symbol-ordering", order.display());
    let (program, source) = (out()?.join("asked"), out()?.join("asked.rs"));
    fs::write(&source, "fn main() {}")?;
    let mut asked = Command::new(told("RUSTC").ok_or(io::ErrorKind::NotFound)?);
    let flags = told("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    asked.args(flags.to_string_lossy().split('\u{1f}').filter(|flag| !flag.is_empty()));
    if let Some(linker) = told("RUSTC_LINKER") {
        asked.arg("-C").arg(format!("linker={}", linker.display()));
    }
    asked.arg("-C").arg(format!("link-arg={words}")).arg("-o").arg(program).arg(source);
    if asked.output()?.status.success() {
        println!("cargo::rustc-link-arg-bins={words}");
    }
    Ok(())
}

/// The tables of a file that comes with the program, packed.
fn tables(text: &str, name: &str) -> io::Result<Vec<u8>> {
    let tables = toml::de::DeTable::parse(text)
        .map_err(|error| io::Error::other(format!("runbooks/{name}: {error}")))?;
    Ok(packed::pack(&tables, text))
}

/// Links the program to be loaded at one place. As much of it is read at each start as must be
/// adjusted to where it was put, and that took a third of the time of `--version`. What goes with
/// it is that the program's own code stands at known addresses; libraries, heap and stack do not.
/// And leaves out the names of functions, which the profile would do as well; but then they would
/// be other ones in a build that keeps them.
fn linked() {
    let on_linux = told("CARGO_CFG_TARGET_OS").is_some_and(|system| system == "linux");
    if !on_linux {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-no-pie");
    let kept = told(NAMES).is_some() || told("DEBUG").is_some_and(|debug| debug != "false");
    if is_released() && !kept {
        println!("cargo::rustc-link-arg-bins=-Wl,--strip-all");
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path);
        }
    }
    Ok(())
}
