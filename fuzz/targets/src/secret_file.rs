//! Keys that everybody knows, from a file, as in earnest.

use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Reads keys whose file has this text.
pub(crate) fn read<T, E: Debug>(text: &str, path_in: fn(&Path) -> PathBuf, open: fn(&Path) -> Result<T, E>) -> T {
    let dir = tempfile::tempdir().expect("a directory");
    let path = path_in(dir.path());
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our file");
    open(&path).expect("the keys are sound")
}
