//! A lease as two files of a data directory: `lease` changes with each renewal, `successor` ends it for good.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, statat};
use rustix::io::Errno;

const LEASE: &str = "lease";
const SUCCESSOR: &str = "successor";

/// See the module. For the one that has the directory's lock.
pub(super) struct LeaseFile {
    /// The directory itself, wherever somebody moves it to.
    data: File,
    file: File,
    renewals: u64,
    length: Duration,
}

impl LeaseFile {
    pub(super) fn open(data: &Path, length: Duration) -> io::Result<Self> {
        let (path, directory) = (data.join(LEASE), File::open(data)?);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        // One more than whoever was here before, so that it is seen to change.
        let renewals = Seen::of(data)?.map_or(0, |seen| seen.renewals);
        Ok(Self { data: directory, file, renewals, length })
    }

    /// Shows whoever watches that the engine is there; then, as a successor may have been named before that was seen, says
    /// whether there is none.
    pub(super) fn renew(&mut self) -> io::Result<bool> {
        self.renewals += 1;
        let line = format!("{:020} {:010}\n", self.renewals, self.length.as_millis());
        self.file.write_all_at(line.as_bytes(), 0)?;
        match statat(&self.data, SUCCESSOR, AtFlags::empty()) {
            Ok(_) => Ok(false),
            Err(Errno::NOENT) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// What somebody who watches sees of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    renewals: u64,
    pub(super) length: Duration,
}

impl Seen {
    /// Nothing where there is no lease, or none that can be read.
    pub(super) fn of(data: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(data.join(LEASE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let parse = |number: &str| number.parse().ok();
        let numbers = text.trim_end().split_once(' ').and_then(|(one, two)| parse(one).zip(parse(two)));
        Ok(numbers.map(|(renewals, millis)| Self { renewals, length: Duration::from_millis(millis) }))
    }
}

/// Where the engine is that has taken over from the one of a data directory.
///
/// # Errors
/// What the operating system says.
pub(crate) fn successor(data: &Path) -> io::Result<Option<PathBuf>> {
    match fs::read(data.join(SUCCESSOR)) {
        Ok(path) => Ok(Some(PathBuf::from(std::ffi::OsString::from_vec(path)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ends the lease of `data`, durably, in favour of `heir`; says who has it, as only the first one counts.
pub(super) fn name_successor(data: &Path, heir: &Path) -> io::Result<PathBuf> {
    let draft = data.join(format!("{SUCCESSOR}.{}", std::process::id()));
    let mut file = File::create(&draft)?;
    file.write_all(heir.as_os_str().as_bytes())?;
    file.sync_all()?;
    // A name that there is already is not given again, and what it names is whole.
    let named = fs::hard_link(&draft, data.join(SUCCESSOR));
    fs::remove_file(&draft)?;
    match named {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => File::open(data)?.sync_all()?,
    }
    successor(data)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_renewal_is_seen_and_a_new_owner_goes_on_counting() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Seen::of(data.path()).unwrap(), None);
        let mut file = LeaseFile::open(data.path(), Duration::from_secs(6)).unwrap();
        assert!(file.renew().unwrap());
        let first = Seen::of(data.path()).unwrap().unwrap();
        let mut file = LeaseFile::open(data.path(), Duration::from_secs(2)).unwrap();
        assert!(file.renew().unwrap());
        let second = Seen::of(data.path()).unwrap().unwrap();
        assert_ne!(first, second);
        assert_eq!((first.length, second.length), (Duration::from_secs(6), Duration::from_secs(2)));
    }

    #[test]
    fn there_is_one_successor() {
        let data = tempfile::tempdir().unwrap();
        let mut file = LeaseFile::open(data.path(), Duration::from_secs(6)).unwrap();
        assert_eq!(name_successor(data.path(), Path::new("/one")).unwrap(), Path::new("/one"));
        assert_eq!(name_successor(data.path(), Path::new("/other")).unwrap(), Path::new("/one"));
        assert!(!file.renew().unwrap());
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 2, "the lease and its successor");
    }
}
