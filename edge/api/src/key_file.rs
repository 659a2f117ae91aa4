//! The file that keeps the signing keys: a line each, readable by its owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onrush_engine::time::Timestamp;
use onrush_engine::wire::is_exposed;
use thiserror::Error;

use crate::token::{TokenKey, TokenKeys};

/// See the module. A line is `<kid>:<base64url of 32 random bytes>`, the newest key last; a key that was added later has
/// `:<seconds since 1970>` behind it, from which on it signs.
pub struct KeyFile;

/// What is wrong with a key file.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// It cannot be read or made.
    #[error("cannot use the key file {path}; a server makes it at its first start, in its data directory")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others may read it.
    #[error("the key file {path} may be read by others; run: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("the key file {path} does not hold keys; move it away and a new one is made at the next start")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl KeyFile {
    /// Keys that a file has: a token outlives as many rotations less one.
    pub const KEYS_MAX: usize = 3;
    /// A new key is known everywhere before anything is signed with it.
    pub const SIGNS_AFTER: Duration = Duration::from_secs(10);

    /// Where the keys of a data directory live.
    pub fn path_in(data: &Path) -> PathBuf {
        data.join("token.key")
    }

    /// Reads the keys, and makes the file with one first if it is not there.
    ///
    /// # Errors
    /// [`KeyFileError`], with what to do.
    pub fn open_or_create(path: &Path) -> Result<TokenKeys, KeyFileError> {
        if !path.exists() {
            let first = line(None).and_then(|line| write(path, &line));
            first.map_err(|source| KeyFileError::Io { path: path.to_owned(), source })?;
        }
        Self::open(path)
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// [`KeyFileError`], with what to do.
    pub fn open(path: &Path) -> Result<TokenKeys, KeyFileError> {
        parse_all(path, &read(path)?)
    }

    /// Adds a key, which signs from a little later on, and drops the oldest if there are too many. Servers see it by
    /// themselves.
    ///
    /// # Errors
    /// [`KeyFileError`], with what to do; then the file is as it was.
    pub fn rotate(path: &Path, now: Timestamp) -> Result<(), KeyFileError> {
        let text = read(path)?;
        parse_all(path, &text)?;
        let kept: Vec<&str> = text.lines().collect();
        let kept = &kept[kept.len().saturating_sub(Self::KEYS_MAX - 1)..];
        let rotated = line(Some(now + Self::SIGNS_AFTER)).and_then(|new| write(path, &(kept.join("\n") + "\n" + &new)));
        rotated.map_err(|source| KeyFileError::Io { path: path.to_owned(), source })
    }
}

/// A key file that a running server follows.
pub struct FollowedKeyFile {
    path: PathBuf,
    /// What it held when it was looked at last; nothing before the first time.
    text: Option<String>,
    /// Whether that could not be used.
    failed: bool,
}

impl FollowedKeyFile {
    /// Follows a file. The first look takes up what it holds then, whatever was read before.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), text: None, failed: false }
    }

    /// Where the file has changed: goes on with its keys. Says whether it has.
    ///
    /// # Errors
    /// [`KeyFileError`], once until the file can be used again; the keys stay as they are.
    pub fn look(&mut self, keys: &TokenKeys) -> Result<bool, KeyFileError> {
        let taken_up = self.take_up(keys);
        let told = std::mem::replace(&mut self.failed, taken_up.is_err());
        if told && self.failed { Ok(false) } else { taken_up }
    }

    fn take_up(&mut self, keys: &TokenKeys) -> Result<bool, KeyFileError> {
        let text = read(&self.path)?;
        if self.text.as_ref() == Some(&text) && !self.failed {
            return Ok(false);
        }
        keys.exchange(&parse_all(&self.path, &text)?);
        self.text = Some(text);
        Ok(true)
    }
}

pub(crate) fn read(path: &Path) -> Result<String, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    if is_exposed(&fs::metadata(path).map_err(io)?) {
        return Err(KeyFileError::Exposed { path: path.to_owned() });
    }
    fs::read_to_string(path).map_err(io)
}

fn parse_all(path: &Path, text: &str) -> Result<TokenKeys, KeyFileError> {
    let keys: Option<Vec<TokenKey>> = text.lines().map(parse).collect();
    let malformed = || KeyFileError::Malformed { path: path.to_owned() };
    keys.filter(|keys| !keys.is_empty()).map(TokenKeys::new).ok_or_else(malformed)
}

fn parse(line: &str) -> Option<TokenKey> {
    let mut fields = line.trim().splitn(3, ':');
    let (kid, secret) = (fields.next()?, URL_SAFE_NO_PAD.decode(fields.next()?).ok()?);
    let seconds: i64 = fields.next().map_or(Some(0), |seconds| seconds.parse().ok())?;
    let signs_from = Timestamp::from_millis(seconds.saturating_mul(1000));
    (!kid.is_empty() && secret.len() >= 32).then(|| TokenKey::new(kid.to_owned(), &secret, signs_from))
}

fn line(signs_from: Option<Timestamp>) -> io::Result<String> {
    let mut random = [0u8; 40];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let (kid, secret) = random.split_at(8);
    let signs_from = signs_from.map(|from| format!(":{}", from.as_millis() / 1000)).unwrap_or_default();
    Ok(format!("{}:{}{signs_from}\n", URL_SAFE_NO_PAD.encode(kid), URL_SAFE_NO_PAD.encode(secret)))
}

/// Puts a whole file in the old one's place, if there is one: a reader sees the one or the other.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    // Of two at once each has its own; the later rename decides.
    let beside = path.with_extension(format!("new.{}", std::process::id()));
    // One that was left behind may have another mode.
    fs::remove_file(&beside)
        .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Role;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    fn now() -> Timestamp {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::MIN + wall
    }

    fn mint(keys: &TokenKeys) -> String {
        keys.mint("acc_kim".parse().unwrap(), Role::Buyer, now(), Duration::from_secs(60))
    }

    #[test]
    fn the_key_file_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = KeyFile::path_in(dir.path());
        let token = mint(&KeyFile::open_or_create(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(KeyFile::open_or_create(&path).unwrap().check(&token, now()).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(KeyFile::open(&path), Err(KeyFileError::Exposed { .. })));
    }

    #[test]
    fn a_token_outlives_two_rotations_which_a_server_sees_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = KeyFile::path_in(dir.path());
        let keys = KeyFile::open_or_create(&path).unwrap();
        let mut followed = FollowedKeyFile::new(&path);
        let token = mint(&keys);
        assert!(followed.look(&keys).unwrap() && !followed.look(&keys).unwrap());
        for accepted in [true, true, false] {
            KeyFile::rotate(&path, now()).unwrap();
            assert!(followed.look(&keys).unwrap());
            assert_eq!(keys.check(&token, now()).is_ok(), accepted);
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(keys.check(&mint(&keys), now()).is_ok());
    }

    #[test]
    fn what_holds_no_keys_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = KeyFile::path_in(dir.path());
        let keys = KeyFile::open_or_create(&path).unwrap();
        let mut followed = FollowedKeyFile::new(&path);
        let token = mint(&keys);
        let sound = fs::read_to_string(&path).unwrap();
        for text in ["", "no key\n", "k1:c2hvcnQ\n", "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA:soon\n"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(followed.look(&keys), Err(KeyFileError::Malformed { .. })), "{text}");
            assert!(matches!(followed.look(&keys), Ok(false)), "it is told once");
            assert!(matches!(KeyFile::rotate(&path, now()), Err(KeyFileError::Malformed { .. })), "{text}");
            fs::write(&path, &sound).unwrap();
            assert!(followed.look(&keys).unwrap());
        }
        assert!(keys.check(&token, now()).is_ok());
    }
}
