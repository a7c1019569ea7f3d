//! Embeds everything below `runbooks/` into the binary, as a list of paths, texts, and their
//! tables in a form that is quick to read.

#[path = "src/source/packed.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is a module of the program, which unpacks")]
mod packed;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=runbooks");
    println!("cargo::rerun-if-changed=src/source/packed.rs");
    fixed_place();
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
    #[expect(clippy::disallowed_methods, reason = "cargo tells a build script its folder this way")]
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or(io::ErrorKind::NotFound)?;
    fs::write(out.join("bundled.rs"), list)
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
fn fixed_place() {
    #[expect(clippy::disallowed_methods, reason = "cargo tells a build script its target this way")]
    let on_linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if on_linux {
        println!("cargo::rustc-link-arg-bins=-no-pie");
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
