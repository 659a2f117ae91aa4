//! The key that engines share with the edges that may speak to them, and its file.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::VERSION;

pub(super) const NONCE_LEN: usize = 32;

pub(super) type Nonce = [u8; NONCE_LEN];

/// What engines and the edges that may speak to them share: 256 bits. Written nowhere but in its file.
#[derive(Clone)]
pub struct Key([u8; blake3::KEY_LEN]);

/// Why a key cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The operating system refused.
    #[error("cannot use the engine key {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others may read it.
    #[error("others on this machine may read {0}, so it is no secret: chmod 600, or make a new one")]
    Exposed(PathBuf),
    /// The file holds something else.
    #[error("{0} holds no engine key: 64 hexadecimal digits, as `onrush engine` writes them")]
    Malformed(PathBuf),
}

/// Whether others may read a file that is to be secret. A file of root's that this process's group may read is not, where this is
/// not root: so clusters give secrets to a pod, and nobody else there is of its group.
pub fn is_exposed(file: &Metadata) -> bool {
    is_exposed_to_others(file.mode(), file.uid(), rustix::process::geteuid().as_raw())
}

fn is_exposed_to_others(mode: u32, owner: u32, user: u32) -> bool {
    let is_given = owner == 0 && user != 0;
    let others = if is_given { 0o027 } else { 0o077 };
    mode & others != 0
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// A key of these bits.
    pub fn from_bytes(bytes: [u8; blake3::KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// The key of a file.
    ///
    /// # Errors
    /// [`KeyError`], where there is none.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let mut text = String::new();
        let mut file = File::open(path).map_err(io)?;
        if is_exposed(&file.metadata().map_err(io)?) {
            return Err(KeyError::Exposed(path.to_owned()));
        }
        file.read_to_string(&mut text).map_err(io)?;
        let hash = blake3::Hash::from_hex(text.trim()).map_err(|_| KeyError::Malformed(path.to_owned()))?;
        Ok(Self(*hash.as_bytes()))
    }

    /// The key of a file; where there is none, a new one, for nobody else on the machine to read.
    ///
    /// # Errors
    /// [`KeyError`], where it can be neither read nor written.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyError> {
        if path.exists() {
            return Self::open(path);
        }
        Self::create(path).map_err(|source| KeyError::Io { path: path.to_owned(), source })?;
        Self::open(path)
    }

    /// Whole or not at all, so that nobody reads a part of it; where somebody else is faster, theirs stays.
    fn create(path: &Path) -> io::Result<()> {
        let unfinished = path.with_extension(format!("key.{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        writeln!(file, "{}", blake3::Hash::from_bytes(random()?).to_hex())?;
        file.sync_all()?;
        let linked = std::fs::hard_link(&unfinished, path);
        std::fs::remove_file(&unfinished)?;
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    }

    /// What only who has the key can say to `nonce`. `who` keeps an end from being answered with its own words.
    pub(super) fn proof(&self, who: &[u8; 6], asked: &Nonce, own: &Nonce) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(who).update(&VERSION.to_le_bytes()).update(asked).update(own);
        hasher.finalize()
    }
}

/// Bits that nobody can guess.
pub(super) fn random() -> io::Result<Nonce> {
    let mut bits = [0; NONCE_LEN];
    getrandom::fill(&mut bits)?;
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_its_owners_or_given_to_a_group() {
        for (mode, owner, user, exposed) in [
            (0o600, 1, 1, false),
            (0o400, 0, 0, false),
            (0o640, 1, 1, true),
            (0o604, 1, 1, true),
            (0o440, 0, 0, true),
            (0o440, 0, 65_532, false),
            (0o444, 0, 65_532, true),
            (0o460, 0, 65_532, true),
            (0o440, 7, 65_532, true),
        ] {
            assert_eq!(is_exposed_to_others(mode, owner, user), exposed, "{mode:o} of {owner} for {user}");
        }
    }
}
