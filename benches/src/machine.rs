//! The machine it was measured on: without it, figures compare with nothing.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// See the module. What cannot be read is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Megabytes of memory.
    pub memory_megabytes: u64,
    /// The operating system and its version.
    pub kernel: String,
    /// The file system that Onrush's data were on: on tmpfs durability costs nothing, and means nothing.
    pub file_system: String,
}

impl Machine {
    /// This machine, with data below `dir`.
    pub fn with_data_in(dir: &Path) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let kilobytes = field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            memory_megabytes: kilobytes / 1024,
            kernel: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
            file_system: file_system(&read("/proc/mounts"), dir),
        }
    }
}

/// The value of the first `name: value` line.
fn field(text: &str, name: &str) -> String {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.trim() == name).map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

/// The type of what is mounted nearest above `dir`.
fn file_system(mounts: &str, dir: &Path) -> String {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounts.filter(|(point, _)| dir.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map_or_else(String::new, |(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let text = "processor\t: 0\nmodel name\t: A CPU: fast\nMemTotal:  2048 kB\n";
        assert_eq!(field(text, "model name"), "A CPU: fast");
        assert_eq!(field(text, "flags"), "");
    }

    #[test]
    fn the_nearest_mount_counts() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/x")), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/srv")), "ext4");
    }
}
