//! One engine as a process of its own: started, adopted from an earlier control plane, waited for, stopped.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::{Child, Command};

use super::template::Plan;

/// Between two looks whether an adopted process is still there.
const LOOK: Duration = Duration::from_millis(50);

/// How engines are started.
#[derive(Debug, Clone)]
pub struct Driver {
    /// The program, which has a subcommand `engine`.
    pub program: PathBuf,
    /// Each engine has a directory below this one.
    pub directory: PathBuf,
    /// The key that engines and their edges share.
    pub key_file: PathBuf,
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
    Adopted(Pid),
}

impl Place {
    pub(super) fn of(driver: &Driver, id: &str) -> Self {
        Self(driver.directory.join(id))
    }

    /// Makes it, for nobody else on the machine to read.
    pub(super) fn make(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }

    /// Where the engine listens, once it has said so.
    pub(super) fn address(&self) -> Option<String> {
        let text = fs::read_to_string(self.0.join("engine-address")).ok()?;
        text.strip_suffix('\n').map(str::to_owned)
    }

    fn pid_file(&self) -> PathBuf {
        self.0.join("pid")
    }

    /// The engine that an earlier control plane has left here, if it still runs.
    pub(super) fn adopt(&self) -> Option<Running> {
        let pid = fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok().and_then(Pid::from_raw)?;
        // Numbers are used again: it has to be ours.
        let command = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
        let ours = command
            .split(|byte| *byte == 0)
            .any(|word| Path::new(std::ffi::OsStr::new(&*String::from_utf8_lossy(word))) == self.0);
        ours.then_some(Running::Adopted(pid))
    }

    /// Starts the engine; at `address`, where it was before, if it was.
    pub(super) fn start(&self, driver: &Driver, plan: Plan, address: Option<&str>) -> io::Result<Running> {
        let mut command = std::process::Command::new(&driver.program);
        command.arg("engine").arg("--data").arg(&self.0).arg("--engine-key-file").arg(&driver.key_file);
        command.args(["--engine-listen", address.unwrap_or("127.0.0.1:0")]);
        command.envs(driver.environment.iter().cloned());
        command.env("ONRUSH_MAILBOX_CAPACITY", plan.mailbox_capacity.to_string());
        command.env("ONRUSH_SNAPSHOT_EVERY_EVENTS", plan.snapshot_every_events.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.log()?);
        // What is typed at the terminal of the server is for the server, which stops its engines itself.
        command.process_group(0);
        let child = Command::from(command).spawn()?;
        if let Some(pid) = child.id() {
            fs::write(self.pid_file(), pid.to_string())?;
        }
        Ok(Running::Child(child))
    }

    fn log(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(self.0.join("engine.log"))
    }

    /// Moves it out of the way, with all that was sold.
    pub(super) fn export(&self, to: &Path) -> io::Result<PathBuf> {
        let name = self.0.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        fs::create_dir_all(to)?;
        let exported = to.join(name);
        fs::rename(&self.0, &exported)?;
        Ok(exported)
    }
}

impl Running {
    fn pid(&self) -> Option<Pid> {
        match self {
            Self::Child(child) => child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
            Self::Adopted(pid) => Some(*pid),
        }
    }

    /// Returns when it has ended, with how.
    pub(super) async fn ended(&mut self) -> String {
        match self {
            Self::Child(child) => match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            Self::Adopted(pid) => {
                while test_kill_process(*pid).is_ok() {
                    tokio::time::sleep(LOOK).await;
                }
                "an unknown status".to_owned()
            }
        }
    }

    /// Asks it to end in good order.
    pub(super) fn terminate(&self) {
        if let Some(pid) = self.pid() {
            // It may have ended by itself.
            kill_process(pid, Signal::TERM).ok();
        }
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        if let Some(pid) = self.pid() {
            // It may have ended by itself.
            kill_process(pid, Signal::KILL).ok();
        }
    }
}
