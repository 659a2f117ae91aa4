//! One engine as a process of its own: started, adopted from an earlier control plane, waited for, stopped.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use onrush_api::usage::Node;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use tokio::process::{Child, Command};

use super::cgroup::Cgroups;
use super::template::Size;
use crate::catalogue::parts::Parts;

/// Between two looks whether an adopted engine is still there.
const LOOK: Duration = Duration::from_millis(20);
/// Where an engine says at which address it listens.
const ADDRESS: &str = "engine-address";

/// How engines are started as processes.
#[derive(Debug, Clone)]
pub struct Local {
    /// The program, which has a subcommand `engine`.
    pub program: PathBuf,
    /// Each engine has a directory below this one.
    pub directory: PathBuf,
    /// The key that engines and their edges share.
    pub key_file: PathBuf,
    /// Where engines listen, each on a port that is free.
    pub listen: IpAddr,
    /// What each is held to, where it is held to anything.
    pub cgroups: Option<Cgroups>,
    /// Variables that all engines get.
    pub environment: Vec<(String, String)>,
}

/// An engine's place on the disk.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

/// An engine that runs, or did a moment ago.
pub(super) enum Running {
    /// This process started it.
    Child(Child),
    /// An earlier one did, and has ended.
    Adopted(OwnedFd),
}

impl Local {
    /// The program of engines that are made of these.
    pub(super) fn program(&self, parts: &Parts) -> PathBuf {
        parts
            .program()
            .map_or_else(|| self.program.clone(), |name| self.directory.with_file_name("programs").join(name))
    }

    /// Where what engines leave behind is put.
    pub(super) fn exports(&self) -> PathBuf {
        self.directory.with_file_name("exports")
    }
}

impl Place {
    /// That of a deployment's engine with a number; the first has the deployment's name alone.
    pub(super) fn of(local: &Local, deployment: &str, engine: u32) -> Self {
        let name = if engine == 0 { deployment.to_owned() } else { format!("{deployment}.{engine}") };
        Self(local.directory.join(name))
    }

    /// Makes it, for nobody else on the machine to read.
    pub(super) fn make(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }

    /// Where the engine listens, once it has said so.
    pub(super) fn address(&self) -> Option<String> {
        let text = fs::read_to_string(self.0.join(ADDRESS)).ok()?;
        text.strip_suffix('\n').map(str::to_owned)
    }

    /// The engine that runs here, whoever has started it: it writes its number down once it has the directory's lock.
    pub(super) fn adopt(&self) -> Option<Running> {
        let pid = self.pid()?;
        let process = pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?;
        // Numbers are used again, so that it is ours is looked at once nobody else can get it.
        self.is_of(pid).then_some(Running::Adopted(process))
    }

    /// The number that an engine has written down here.
    fn pid(&self) -> Option<Pid> {
        fs::read_to_string(self.0.join("pid")).ok()?.trim().parse().ok().and_then(Pid::from_raw)
    }

    /// Whether a process was told this directory.
    fn is_of(&self, pid: Pid) -> bool {
        let command = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        command.split(|byte| *byte == 0).any(|word| word == self.0.as_os_str().as_encoded_bytes())
    }

    /// What the engine that runs here uses; nothing where none runs.
    pub(super) fn measure(&self) -> Option<Measured> {
        let pid = self.pid().filter(|pid| self.is_of(*pid))?;
        let stat = procfs::process::Process::new(pid.as_raw_nonzero().get()).ok()?.stat().ok()?;
        Some(Measured {
            cpu: Cpu::Since {
                pid: stat.pid,
                core_millis: (stat.utime + stat.stime) * 1_000 / procfs::ticks_per_second(),
            },
            memory_bytes: stat.rss * procfs::page_size(),
            disk_bytes: size_of_tree(&self.0),
        })
    }

    /// Starts the engine; at `address`, where it was before, if it was.
    pub(super) fn start(&self, local: &Local, parts: &Parts, size: Size, address: Option<&str>) -> io::Result<Running> {
        let mut command = std::process::Command::new(local.program(parts));
        command.arg("engine").arg("--data").arg(&self.0).arg("--engine-key-file").arg(&local.key_file);
        let anywhere = SocketAddr::new(local.listen, 0).to_string();
        command.args(["--engine-listen", address.unwrap_or(&anywhere)]);
        // What the server was told for itself is not for its engines.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"ONRUSH_")) {
            command.env_remove(name);
        }
        command.envs(local.environment.iter().cloned());
        command.envs(parts.engine.iter().flat_map(|image| &image.spec.env));
        command.env("ONRUSH_MAILBOX_CAPACITY", size.mailbox_capacity.to_string());
        command.env("ONRUSH_SNAPSHOT_EVERY_EVENTS", size.snapshot_every_events.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.log()?);
        // What is typed at the terminal of the server is for the server, which stops its engines itself.
        command.process_group(0);
        // That it is there again, it says itself.
        match fs::remove_file(self.0.join(ADDRESS)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let unable = |error: io::Error| {
            io::Error::new(error.kind(), format!("{} cannot be run: {error}", local.program(parts).display()))
        };
        let mut child = Command::from(command).spawn().map_err(unable)?;
        if let (Some(cgroups), Some(pid)) = (&local.cgroups, child.id())
            && let Err(error) = cgroups.hold(&self.name().to_string_lossy(), pid, size)
        {
            child.start_kill()?;
            return Err(io::Error::other(format!("it cannot be held to its limits: {error}")));
        }
        Ok(Running::Child(child))
    }

    fn name(&self) -> &OsStr {
        self.0.file_name().unwrap_or_default()
    }

    fn log(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(self.0.join("engine.log"))
    }

    /// Moves it out of the way, with all that was sold. Twice is once.
    pub(super) fn export(&self, local: &Local) -> io::Result<PathBuf> {
        let (name, to) = (self.name(), local.exports());
        local.cgroups.iter().for_each(|cgroups| cgroups.forget(name.as_ref()));
        fs::create_dir_all(&to)?;
        let free = |place: &PathBuf| !place.exists();
        // Where an engine was started once more after it was put aside, both are kept.
        let again = (1..).map(|time| to.join(format!("{}~{time}", name.to_string_lossy())));
        let exported = std::iter::once(to.join(name)).chain(again).find(free).ok_or(io::ErrorKind::AlreadyExists)?;
        match fs::rename(&self.0, &exported) {
            // Also where it was never made.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(exported),
            renamed => {
                renamed?;
                // Room for a start that does not come.
                fs::remove_file(exported.join("ballast")).ok();
                Ok(exported)
            }
        }
    }
}

impl Running {
    /// Returns when it has ended, with how.
    pub(super) async fn ended(&mut self) -> String {
        match self {
            Self::Child(child) => match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            Self::Adopted(process) => {
                while !has_ended(process) {
                    tokio::time::sleep(LOOK).await;
                }
                "a status that only its parent was told".to_owned()
            }
        }
    }

    /// Asks it to end in good order.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // It may have ended by itself.
        match self {
            Self::Child(child) => {
                // A number of a child that was not waited for is nobody else's.
                if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                    kill_process(pid, signal).ok();
                }
            }
            Self::Adopted(process) => {
                pidfd_send_signal(process, signal).ok();
            }
        }
    }
}

/// A process that has ended can be read from, also where nobody has waited for it yet.
fn has_ended(process: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(process, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// How much of the CPU an engine takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cpu {
    /// So many thousandths of a core's second since a process was started.
    Since { pid: i32, core_millis: u64 },
    /// So many cores, lately.
    Now { cores: f64 },
}

/// What an engine uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    pub(super) cpu: Cpu,
    /// Resident.
    pub(super) memory_bytes: u64,
    /// Its directory, as much as it takes on the disk.
    pub(super) disk_bytes: u64,
}

/// What a directory's files take on the disk. What goes away meanwhile is not counted.
fn size_of_tree(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of_tree(&entry.path()),
        // Blocks of 512 bytes, whatever the file system's are.
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// This machine.
///
/// # Errors
/// What the system says.
pub(super) fn node(name: &str, local: &Local, engines: u32) -> Result<Node, procfs::ProcError> {
    use procfs::Current as _;
    let (load, memory) = (procfs::LoadAverage::current()?, procfs::Meminfo::current()?);
    fs::create_dir_all(&local.directory)?;
    let disk = rustix::fs::statvfs(&local.directory).map_err(io::Error::from)?;
    Ok(Node {
        name: name.to_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from) as u32,
        load_1m: Some(load.one),
        load_5m: Some(load.five),
        memory_bytes: memory.mem_total,
        memory_available_bytes: Some(memory.mem_available.unwrap_or(memory.mem_free)),
        disk_bytes: disk.f_blocks * disk.f_frsize,
        disk_free_bytes: Some(disk.f_bavail * disk.f_frsize),
        engines,
    })
}
