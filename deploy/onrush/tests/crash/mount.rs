//! Disks of our own to be broken: an ext4 image on a loop device, a small tmpfs. Both need root.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Runs a program; what it printed, or why it failed.
pub(crate) fn run(words: &[&str]) -> Result<String, String> {
    let output = Command::new(words[0]).args(&words[1..]).output().map_err(|error| format!("{}: {error}", words[0]))?;
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| format!("{}: {}", words.join(" "), said.trim()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// A mounted file system; unmounted and detached when dropped, in a panic too.
pub(crate) struct Disk {
    dir: TempDir,
    device: Option<String>,
    mounted: bool,
}

impl Disk {
    fn new() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("it needs root, to mount".to_owned());
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("mount")).expect("a mount point");
        Ok(Self { dir, device: None, mounted: false })
    }

    /// A tmpfs of some mebibytes.
    pub(crate) fn tmpfs(mebibytes: u32) -> Result<Self, String> {
        let mut disk = Self::new()?;
        let size = format!("size={mebibytes}m");
        run(&["mount", "-t", "tmpfs", "-o", &size, "tmpfs", text(&disk.path())])?;
        disk.mounted = true;
        Ok(disk)
    }

    /// An ext4 in an image of some mebibytes.
    pub(crate) fn ext4(mebibytes: u64) -> Result<Self, String> {
        let mut disk = Self::new()?;
        let image = disk.dir.path().join("image");
        let file = File::create(&image).expect("an image file");
        file.set_len(mebibytes << 20).expect("a sparse image");
        run(&["mkfs.ext4", "-q", "-F", text(&image)])?;
        disk.device = Some(run(&["losetup", "--find", "--show", text(&image)])?);
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("mount")
    }

    fn mount(&mut self) -> Result<(), String> {
        let device = self.device.as_deref().expect("an image has a device");
        run(&["mount", "-t", "ext4", device, text(&self.path())])?;
        self.mounted = true;
        Ok(())
    }

    /// Cuts the power: from now on nothing reaches the disk, and what was not synced never has.
    pub(crate) fn cut(&self) {
        /// `EXT4_IOC_SHUTDOWN`: `_IOR('X', 125, __u32)`.
        const SHUTDOWN: rustix::ioctl::Opcode = 0x8004_587d;
        /// `EXT4_GOING_FLAGS_NOLOGFLUSH`: the file system's own log is not flushed either.
        const NOLOGFLUSH: u32 = 2;
        let point = File::open(self.path()).expect("the mount point opens");
        #[expect(unsafe_code, reason = "an ioctl without a safe wrapper: it reads one u32, which the setter holds")]
        let done = unsafe { rustix::ioctl::ioctl(&point, rustix::ioctl::Setter::<SHUTDOWN, u32>::new(NOLOGFLUSH)) };
        done.expect("ext4 can be shut down");
    }

    /// Power is back: the file system replays its own log.
    pub(crate) fn remount(&mut self) {
        run(&["umount", text(&self.path())]).expect("the dead file system can be unmounted");
        self.mounted = false;
        self.mount().expect("the file system can be mounted again");
    }

    /// Bytes that are free.
    pub(crate) fn free_bytes(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path()).expect("a mounted file system has room or not");
        stat.f_bavail * stat.f_frsize
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // In a panic the server may still be there: a lazy unmount ends with it.
        let unmounted = if self.mounted { run(&["umount", "-l", text(&self.path())]) } else { Ok(String::new()) };
        let detached = self.device.as_deref().map_or(Ok(String::new()), |device| run(&["losetup", "--detach", device]));
        for left in [unmounted, detached].into_iter().filter_map(Result::err) {
            crate::say(&format!("left behind: {left}"));
        }
    }
}
