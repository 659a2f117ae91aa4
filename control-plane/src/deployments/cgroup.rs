//! Limits of engines that are processes: a cgroup for each, below one that this server may divide
//! (<https://docs.kernel.org/admin-guide/cgroup-v2.html>).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::template::Size;

/// The controllers that it takes.
const CONTROLLERS: [&str; 2] = ["cpu", "memory"];
/// What quotas are of, in microseconds.
const PERIOD: u64 = 100_000;

/// See the module.
#[derive(Debug, Clone)]
pub struct Cgroups(PathBuf);

impl Cgroups {
    /// Those below a directory of the cgroup file system, version 2, that was delegated to this server, and that no process is in.
    ///
    /// # Errors
    /// Where it is none, or has no limits of CPU and memory to give.
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        let controllers = fs::read_to_string(directory.join("cgroup.controllers"))?;
        let has = |wanted: &str| controllers.split_whitespace().any(|controller| controller == wanted);
        if let Some(missing) = CONTROLLERS.into_iter().find(|controller| !has(controller)) {
            return Err(io::Error::other(format!("it has no controller {missing}")));
        }
        fs::write(directory.join("cgroup.subtree_control"), CONTROLLERS.map(|name| format!("+{name}")).join(" "))?;
        Ok(Self(directory))
    }

    /// Gives a process, and all that it starts, so much and no more.
    pub(super) fn hold(&self, name: &str, pid: u32, size: Size) -> io::Result<()> {
        let own = self.0.join(name);
        match fs::create_dir(&own) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        fs::write(own.join("cpu.max"), format!("{} {PERIOD}", size.cpu_limit_millis * PERIOD / 1_000))?;
        fs::write(own.join("memory.max"), (size.memory_mib << 20).to_string())?;
        fs::write(own.join("cgroup.procs"), pid.to_string())
    }

    /// Forgets one whose process has ended.
    pub(super) fn forget(&self, name: &Path) {
        // One that has a process still stays, and is used again by the next of its name.
        fs::remove_dir(self.0.join(name)).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployments::size_of;

    #[test]
    fn an_engine_gets_what_its_size_says() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
        assert!(Cgroups::open(place.path().to_owned()).is_err(), "no cgroup");
        fs::write(place.path().join("cgroup.controllers"), "cpuset cpu io\n").unwrap();
        assert!(Cgroups::open(place.path().to_owned()).unwrap_err().to_string().contains("no controller memory"));
        fs::write(place.path().join("cgroup.controllers"), "cpuset cpu io memory\n").unwrap();
        let cgroups = Cgroups::open(place.path().to_owned()).unwrap();
        assert_eq!(file("cgroup.subtree_control"), "+cpu +memory");
        let size = Size { cpu_limit_millis: 1_500, memory_mib: 512, ..size_of(&[].into()) };
        for _ in 0..2 {
            cgroups.hold("dep_1.2", 4_711, size).unwrap();
        }
        assert_eq!(
            (file("dep_1.2/cpu.max"), file("dep_1.2/memory.max"), file("dep_1.2/cgroup.procs")),
            ("150000 100000".to_owned(), "536870912".to_owned(), "4711".to_owned())
        );
    }
}
