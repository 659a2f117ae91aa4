//! A server in a process of its own, and what it costs.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::requests::Requests;

/// A server that answers, and what to ask it.
pub struct Stage {
    /// Invariant: dropped before the directory that it writes to.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// What to send.
    pub requests: Requests,
    /// Its data, removed with it.
    pub data: Option<TempDir>,
}

/// A child process; killed when dropped.
pub struct Process(pub Child);

impl Process {
    /// Starts a program. What it has to say goes to standard error.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_owned();
        command.spawn().map(Self).with_context(|| format!("cannot start {}", program.display()))
    }

    /// User and system time that it has used so far.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        cpu_time(self.0.id())
    }
}

/// User and system time that a process has used so far.
///
/// # Errors
/// Where it has ended.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
    let ticks = ticks(&stat).context("cannot read the CPU time of a process")?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What all processes and the kernel have used of all cores so far, idle time and the disk's aside.
///
/// # Errors
/// Where there is no /proc.
pub fn machine_cpu_time() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("no /proc/stat")?;
    let ticks = busy_ticks(&stat).context("cannot read the machine's CPU time")?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Of user, nice, system, idle, iowait, irq, softirq and steal all but idle and iowait.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<u64> =
        stat.lines().next()?.split_ascii_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
    let (busy, waiting) = (fields.get(..8)?.iter().sum::<u64>(), fields.get(3..5)?.iter().sum::<u64>());
    Some(busy - waiting)
}

/// Fields 14 and 15 of /proc/<pid>/stat. The second field is the program's name in brackets, and may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_stand_behind_the_name_whatever_it_is() {
        assert_eq!(ticks("17 (a ) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20"), Some(300));
        assert_eq!(ticks("17 (short) S 1"), None);
    }

    #[test]
    fn idle_and_waiting_are_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 3 1000 2000 4 5 6 0 0\ncpu0 9"), Some(21));
        assert_eq!(busy_ticks("cpu  1 2 3"), None);
    }
}
