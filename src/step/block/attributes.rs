//! What a file has besides owner, group and mode: access lists, labels, what people note there.

use std::fs::File;
use std::io;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
use rustix::io::Errno;

use super::Refused;

/// The longest list of names, and the longest value, that Linux knows.
const LONGEST: usize = 64 * 1024;

/// Gives a new file the extended attributes of the one it stands for; refused if one may not be
/// given, as it may say who reads the file.
pub(super) fn copy(old: &File, new: &File) -> io::Result<()> {
    let mut names = vec![0; LONGEST];
    let length = match flistxattr(old, &mut names[..]) {
        Err(Errno::NOTSUP) => return Ok(()),
        other => other?,
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let value = value(old, name)?;
        if value == self::value(new, name)? {
            continue;
        }
        fsetxattr(new, name, &value.unwrap_or_default(), XattrFlags::empty()).map_err(|error| {
            let name = String::from_utf8_lossy(name);
            let why = format!("the new file cannot be given its attribute `{name}`: {error}");
            io::Error::other(Refused(why))
        })?;
    }
    Ok(())
}

fn value(file: &File, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; LONGEST];
    match fgetxattr(file, name, &mut value[..]) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(Errno::NODATA) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
