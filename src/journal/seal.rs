//! Sealing: how a secret stands in the journal.
//!
//! A sealed text opens only with its key and at its place: the place (`run/step/name`) is
//! authenticated along, so a sealed value that was moved elsewhere is refused. In clear a
//! secret is in no file; the key is in one of its own, for its owner alone.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::value::{Json, hex};
use crate::world::sync_folder;

/// Bytes in a key.
const KEY: usize = 32;
/// Bytes of a key's name: enough to tell a person's keys apart, no help in guessing one.
const ID: usize = 4;
const NONCE: usize = 24;
/// The first byte of what is sealed.
const VERSION: u8 = 1;

/// The most keys of one file: the one in use and retired ones.
const KEYS: usize = 64;

/// A key, and retired ones that still open what they sealed. Wiped from memory when dropped.
pub struct Key {
    bytes: Zeroizing<[u8; KEY]>,
    retired: Vec<Key>,
}

impl Key {
    /// Reads the key from its file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |error: io::Error| KeyError::io(path, &error);
        let mut file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
        let mut bytes = Zeroizing::new([0; KEY * KEYS + 1]);
        let length = read_up_to(&mut file, &mut *bytes).map_err(failed)?;
        let (keys, rest) = bytes.get(..length).unwrap_or_default().as_chunks::<KEY>();
        let mut keys = keys.iter().map(Self::one);
        match keys.next() {
            Some(key) if rest.is_empty() => Ok(Self { retired: keys.collect(), ..key }),
            _ => Err(KeyError::Length { path: path.to_owned() }),
        }
    }

    fn one(bytes: &[u8; KEY]) -> Self {
        Self { bytes: Zeroizing::new(*bytes), retired: Vec::new() }
    }

    /// Puts a new key into use; the one that was stays in the file, after it, to open what it
    /// sealed. The file is replaced in one move: it holds all keys at every moment.
    pub fn rotate(path: &Path) -> Result<Self, KeyError> {
        let _alone = alone(path)?;
        let old = Self::load(path)?;
        let new = Self::random()?;
        if old.retired.len() + 2 > KEYS {
            return Err(KeyError::Full { path: path.to_owned() });
        }
        let keys = std::iter::once(&new).chain(std::iter::once(&old)).chain(&old.retired);
        replace(path, keys)?;
        Self::load(path)
    }

    /// Takes those retired keys out of the file that are not among the ones needed, by name;
    /// how many that were. Which are needed is asked while no key can be retired.
    pub fn prune<E: From<KeyError>>(
        path: &Path,
        needed: impl FnOnce() -> Result<Vec<String>, E>,
    ) -> Result<usize, E> {
        let _alone = alone(path)?;
        let key = Self::load(path)?;
        let needed = needed()?;
        let kept: Vec<&Self> =
            key.retired.iter().filter(|old| needed.contains(&old.name())).collect();
        let gone = key.retired.len() - kept.len();
        if gone > 0 {
            replace(path, std::iter::once(&key).chain(kept))?;
        }
        Ok(gone)
    }

    /// The names of the retired keys, newest first.
    pub fn retired(&self) -> Vec<String> {
        self.retired.iter().map(Self::name).collect()
    }

    /// Reads the key from its file; makes a new one if there is no file.
    ///
    /// The file appears whole and synced or not at all, and of several processes that do
    /// this at once all get the same key.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::Missing { .. }) => {}
            found => return found,
        }
        create(path)?;
        Self::load(path)
    }

    /// A new key that is written nowhere, for runs that leave no trace.
    pub fn random() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; KEY]);
        getrandom::fill(&mut *bytes).map_err(|_| KeyError::NoChance)?;
        Ok(Self { bytes, retired: Vec::new() })
    }

    /// The key's name, as errors say it: 8 hexadecimal digits of a digest.
    pub fn name(&self) -> String {
        hex(&self.id())
    }

    /// Seals a value for one place, such as `run/step/name`.
    pub fn seal(&self, place: &str, value: &Json) -> Result<String, SealError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoChance)?;
        let clear = Zeroizing::new(value.to_string());
        let mut out = vec![VERSION];
        out.extend(self.id());
        out.extend(nonce);
        let bound = self.bound(place);
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: clear.as_bytes(), aad: &bound })
            .map_err(|_| SealError::TooLong)?;
        out.extend(sealed);
        Ok(STANDARD.encode(out))
    }

    /// Opens what was sealed with this key for this place.
    pub fn open(&self, place: &str, sealed: &str) -> Result<Json, SealError> {
        let damaged = || SealError::Damaged { place: place.to_owned() };
        let bytes = STANDARD.decode(sealed).map_err(|_| damaged())?;
        let (version, rest) = bytes.split_first().ok_or_else(damaged)?;
        if *version != VERSION {
            return Err(SealError::Version { version: *version });
        }
        let (id, rest) = rest.split_first_chunk::<ID>().ok_or_else(damaged)?;
        if *id != self.id() {
            let fits = |old: &&Self| *id == old.id();
            return match self.retired.iter().find(fits) {
                Some(old) => old.open(place, sealed),
                None => Err(SealError::OtherKey { wanted: hex(id), given: self.name() }),
            };
        }
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
        let bound = self.bound(place);
        let clear = self
            .cipher()
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &bound })
            .map_err(|_| damaged())?;
        serde_json::from_slice(&Zeroizing::new(clear)).map_err(|_| damaged())
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.bytes).into())
    }

    fn id(&self) -> [u8; ID] {
        let digest =
            Sha256::new().chain_update("runbook key\0").chain_update(*self.bytes).finalize();
        let mut id = [0; ID];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        id
    }

    /// What is authenticated along: nothing of it can be changed either.
    fn bound(&self, place: &str) -> Vec<u8> {
        [&[VERSION][..], &self.id(), place.as_bytes()].concat()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.name())
    }
}

/// Why a key could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// There is no such file.
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others may read it.
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It does not hold 32 bytes.
    Length {
        /// The file.
        path: PathBuf,
    },
    /// It holds as many keys as one file may.
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        what: String,
    },
    /// The system has no random numbers.
    NoChance,
}

impl KeyError {
    /// What can be done about it: one line.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { path } => format!(
                "put the key back to `{}`: without it the secrets of earlier runs are lost",
                path.display()
            ),
            Self::Open { path, .. } => format!("`chmod 600 '{}'`", path.display()),
            Self::Length { path } => format!(
                "put the right key back, or move `{}` away: a new key is made then, but the \
                 secrets of earlier runs cannot be opened with it",
                path.display()
            ),
            Self::Full { .. } => {
                "`runbook key prune` takes out those that no run needs any more".to_owned()
            }
            Self::Io { path, .. } => format!("see that `{}` is yours", path.display()),
            Self::NoChance => "look at the system's random numbers, then try again".to_owned(),
        }
    }

    fn io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        if error.kind() == io::ErrorKind::NotFound {
            return Self::Missing { path };
        }
        Self::Io { path, what: error.to_string() }
    }
}

impl std::error::Error for KeyError {}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(f, "there is no key `{}`", path.display()),
            Self::Open { path, mode } => write!(
                f,
                "others may read the key `{0}` (mode {mode:o}): run `chmod 600 '{0}'`",
                path.display()
            ),
            Self::Length { path } => {
                write!(f, "`{}` is not a key: a key has {KEY} bytes", path.display())
            }
            Self::Full { path } => write!(f, "`{}` holds {KEYS} keys already", path.display()),
            Self::Io { path, what } => write!(f, "cannot use the key `{}`: {what}", path.display()),
            Self::NoChance => f.write_str("the system gives no random numbers"),
        }
    }
}

/// Why a value could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealError {
    /// Another key sealed it.
    OtherKey {
        /// That key's name.
        wanted: String,
        /// The name of the key that was tried.
        given: String,
    },
    /// It was changed, or stood at another place.
    Damaged {
        /// The place it was opened for.
        place: String,
    },
    /// A later version of this program sealed it.
    Version {
        /// The version.
        version: u8,
    },
    /// It is too long to be sealed.
    TooLong,
    /// The system has no random numbers.
    NoChance,
}

impl SealError {
    /// What can be done about it: one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::OtherKey { .. } => "name the right key's file in `RUNBOOK_KEY_FILE`",
            Self::Damaged { .. } => {
                "put back a copy of the state folder, or do the step again to get a new secret"
            }
            Self::Version { .. } => "use the newer `runbook`",
            Self::TooLong => "save less of the answer",
            Self::NoChance => "look at the system's random numbers, then try again",
        }
    }
}

impl std::error::Error for SealError {}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherKey { wanted, given } => {
                write!(f, "sealed with another key: `{wanted}`, the one at hand is `{given}`")
            }
            Self::Damaged { place } => {
                write!(f, "the sealed value `{place}` was changed or moved from another place")
            }
            Self::Version { version } => {
                write!(f, "sealed in a way that is not known here (version {version})")
            }
            Self::TooLong => f.write_str("the value is too long to be sealed"),
            Self::NoChance => f.write_str("the system gives no random numbers"),
        }
    }
}

/// The name of the key that sealed a text, if it is a sealed text.
pub fn sealed_by(sealed: &str) -> Option<String> {
    let bytes = STANDARD.decode(sealed).ok()?;
    bytes.get(1..=ID).map(hex)
}

/// Keeps others from changing the keys of a file, until it is dropped. What is locked is the folder
/// of the file, as the file itself is replaced.
fn alone(path: &Path) -> Result<File, KeyError> {
    let failed = |error: io::Error| KeyError::io(path, &error);
    let real = fs::canonicalize(path).map_err(failed)?;
    let folder = File::open(real.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    folder.lock().map_err(failed)?;
    Ok(folder)
}

/// Puts a new file with these keys in the place of one.
fn replace<'k>(path: &Path, keys: impl Iterator<Item = &'k Key>) -> Result<(), KeyError> {
    let failed = |error: io::Error| KeyError::Io { path: path.to_owned(), what: error.to_string() };
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY * KEYS));
    keys.for_each(|key| bytes.extend_from_slice(&*key.bytes));
    // a link to a key elsewhere stays one
    let real = fs::canonicalize(path).map_err(failed)?;
    let draft = draft_name(&real)?;
    let moved = write_new(&draft, &bytes).and_then(|()| fs::rename(&draft, &real));
    if moved.is_err() {
        let _ = fs::remove_file(&draft);
    }
    let folder = real.parent().unwrap_or(Path::new("."));
    moved.and_then(|()| sync_folder(folder)).map_err(failed)
}

/// Makes a key file, unless another process was quicker.
fn create(path: &Path) -> Result<(), KeyError> {
    let mut bytes = Zeroizing::new([0; KEY]);
    getrandom::fill(&mut *bytes).map_err(|_| KeyError::NoChance)?;
    let failed = |error: io::Error| KeyError::Io { path: path.to_owned(), what: error.to_string() };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let draft = draft_name(path)?;
    let made = write_new(&draft, &*bytes).and_then(|()| {
        // unlike a rename, a link never replaces a key that is there
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    });
    // whether or not it worked: a second copy of the key is not to stay
    let removed = fs::remove_file(&draft);
    made.and(removed).and_then(|()| sync_folder(folder)).map_err(failed)
}

/// A name beside the file that no other process or thread has.
fn draft_name(path: &Path) -> Result<PathBuf, KeyError> {
    let chance = getrandom::u64().map_err(|_| KeyError::NoChance)?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{chance:016x}.new"));
    Ok(name.into())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Fills a buffer as far as the file goes; how far that was.
fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    fn key(dir: &TempDir, name: &str) -> Key {
        Key::load_or_create(&dir.path().join(name)).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_with_its_key_at_its_place() {
        let dir = TempDir::new().unwrap();
        let value = json!({ "secret": "p@ss%rd+1\n\"é\"", "list": [1, null] });
        let sealed = key(&dir, "key").seal("r1/provider/secret", &value).unwrap();
        assert!(!sealed.contains("p@ss"));
        let again = key(&dir, "key");
        assert_eq!(again.open("r1/provider/secret", &sealed).unwrap(), value);
        let moved = again.open("r1/provider/other", &sealed).unwrap_err();
        assert_eq!(moved, SealError::Damaged { place: "r1/provider/other".into() });
        assert_ne!(again.seal("r1/provider/secret", &value).unwrap(), sealed, "nonces differ");
    }

    #[test]
    fn rotations_at_once_lose_no_key() {
        let dir = TempDir::new().unwrap();
        let first = key(&dir, "key").name();
        let path = dir.path().join("key");
        let mut made: Vec<String> = std::thread::scope(|scope| {
            let rotate = || scope.spawn(|| Key::rotate(&path).unwrap().name());
            let all: Vec<_> = (0..8).map(|_| rotate()).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        made.push(first);
        let now = Key::load(&path).unwrap();
        let kept: Vec<String> = std::iter::once(now.name()).chain(now.retired()).collect();
        assert_eq!(kept.len(), 9);
        assert!(made.iter().all(|name| kept.contains(name)));
    }

    #[test]
    fn another_key_is_told_from_damage() {
        let dir = TempDir::new().unwrap();
        let (one, two) = (key(&dir, "one"), key(&dir, "two"));
        let sealed = one.seal("a", &json!("x")).unwrap();
        let error = two.open("a", &sealed).unwrap_err();
        assert_eq!(error, SealError::OtherKey { wanted: one.name(), given: two.name() });
        assert!(error.to_string().starts_with("sealed with another key"));
    }

    #[test]
    fn any_changed_byte_is_refused() {
        let dir = TempDir::new().unwrap();
        let key = key(&dir, "key");
        let bytes = STANDARD.decode(key.seal("a", &json!("secret")).unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(key.open("a", &STANDARD.encode(&other)).is_err(), "byte {at}");
            assert!(key.open("a", &STANDARD.encode(&bytes[..at])).is_err(), "{at} bytes");
        }
        assert!(key.open("a", "no base64!").is_err());
    }

    #[test]
    fn the_key_file_is_for_its_owner_alone() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("new").join("key");
        let made = Key::load_or_create(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(path.metadata().unwrap().len(), 32);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft stays");
        assert_eq!(Key::load(&path).unwrap().name(), made.name());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Key::load_or_create(&path).unwrap_err();
        assert_eq!(error, KeyError::Open { path: path.clone(), mode: 0o640 });
        assert!(error.to_string().contains("chmod 600"));
    }

    #[test]
    fn a_file_of_another_length_is_no_key() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        for length in [0, 31, 33, 65] {
            let _ = fs::remove_file(&path);
            write_new(&path, &vec![1; length]).unwrap();
            let error = Key::load_or_create(&path).unwrap_err();
            assert_eq!(error, KeyError::Length { path: path.clone() });
            assert_eq!(fs::read(&path).unwrap().len(), length, "it is left alone");
        }
    }

    #[test]
    fn a_key_that_must_be_there_is_not_made() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        assert_eq!(Key::load(&path).unwrap_err(), KeyError::Missing { path: path.clone() });
        assert!(!path.exists());
    }

    #[test]
    fn makers_at_once_get_one_key() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        let names: Vec<String> = std::thread::scope(|scope| {
            let make = || Key::load_or_create(&path).unwrap().name();
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(names.iter().all(|name| *name == names[0]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_rotated_key_seals_anew_and_still_opens_what_was() {
        let dir = TempDir::new().unwrap();
        let (path, old) = (dir.path().join("key"), key(&dir, "key"));
        let sealed = old.seal("p", &json!("s")).unwrap();
        let new = Key::rotate(&path).unwrap();
        assert_ne!(new.name(), old.name());
        assert_eq!(new.retired(), [old.name()]);
        assert_eq!(new.open("p", &sealed).unwrap(), json!("s"));
        let again = new.seal("p", &json!("s")).unwrap();
        assert!(matches!(old.open("p", &again), Err(SealError::OtherKey { .. })));
        assert_eq!(sealed_by(&sealed), Some(old.name()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Key::prune(&path, || Ok::<_, KeyError>(vec![old.name()])).unwrap(), 0);
        assert_eq!(Key::prune(&path, || Ok::<_, KeyError>(Vec::new())).unwrap(), 1);
        let wanted = old.name();
        let error = Key::load(&path).unwrap().open("p", &sealed).unwrap_err();
        assert_eq!(error, SealError::OtherKey { wanted, given: new.name() });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft stays");
    }

    #[test]
    fn a_key_is_not_shown() {
        let dir = TempDir::new().unwrap();
        let key = key(&dir, "key");
        assert_eq!(format!("{key:?}"), format!("Key({})", key.name()));
    }
}
