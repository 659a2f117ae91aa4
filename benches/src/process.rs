//! A server in a process of its own, and what it costs.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::requests::Requests;
use crate::wire::Wire;

/// Servers that answer, and what to ask the foremost.
pub struct Stage {
    /// All that work for an answer, whose CPU time counts.
    /// Invariant: dropped, first to last, before the directory that they write to.
    pub processes: Vec<Process>,
    /// Where the foremost listens.
    pub address: SocketAddr,
    /// What it is spoken to in.
    pub wire: Wire,
    /// What to send.
    pub requests: Requests,
    /// Its data, removed with it.
    pub data: Option<TempDir>,
}

impl Stage {
    /// User and system time that all its processes have used so far, with their children's.
    ///
    /// # Errors
    /// Where one has ended.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        self.processes.iter().map(Process::cpu_time).sum()
    }
}

/// A child process; ended when dropped, with all that it started.
pub struct Process {
    /// The child.
    pub child: Child,
    /// What tells it to end in peace; killed at once where there is none, and after a while where it does not listen.
    farewell: Option<Signal>,
}

/// How long a server may take over its farewell.
const FAREWELL_MAX: Duration = Duration::from_secs(10);

impl Process {
    /// Starts a program that may be killed. What it has to say goes to standard error.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        Self::spawn(command, None)
    }

    /// Starts a program that leaves something behind unless it is asked to end.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start_with_farewell(command: &mut Command, farewell: Signal) -> anyhow::Result<Self> {
        Self::spawn(command, Some(farewell))
    }

    fn spawn(command: &mut Command, farewell: Option<Signal>) -> anyhow::Result<Self> {
        let program = command.get_program().to_owned();
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, farewell })
    }

    /// User and system time that it and its living children have used so far.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        family(self.child.id()).into_iter().map(cpu_time).sum()
    }

    /// Waits until something is there that the server makes, such as its port.
    ///
    /// # Errors
    /// Where it ends before, or takes too long.
    pub fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait().context("the server's state")? {
                bail!("it ended with {status} before there was {what}");
            }
            ensure!(begun.elapsed() < START_TIMEOUT, "there was no {what} within {START_TIMEOUT:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn say_farewell(&mut self) {
        let Some(signal) = self.farewell else { return };
        // It may have ended by itself.
        kill_process(Pid::from_child(&self.child), signal).ok();
        let end = Instant::now() + FAREWELL_MAX;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Servers take some milliseconds to start; RabbitMQ takes seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);

impl Drop for Process {
    fn drop(&mut self) {
        let family = family(self.child.id());
        self.say_farewell();
        // It may have ended by itself, and so may its children.
        self.child.kill().ok();
        self.child.wait().ok();
        for pid in family.into_iter().skip(1).filter_map(|pid| Pid::from_raw(pid as i32)) {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// A port on loopback that nobody listens on.
///
/// # Errors
/// Where there is none.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port")?;
    Ok(listener.local_addr().context("no address")?.port())
}

/// A process and all that descend from it, itself first.
fn family(pid: u32) -> Vec<u32> {
    let parents = parents();
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| child));
        at += 1;
    }
    family
}

/// Each process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // One that ended meanwhile is nobody's child.
    let parent = |pid| Some((pid, parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?));
    pids.filter_map(parent).collect()
}

/// Field 4 of /proc/<pid>/stat.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
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

/// User and system time of all children of this process that have ended and were waited for.
///
/// # Errors
/// Where there is no /proc.
pub fn children_cpu_time() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("no /proc/self/stat")?;
    let ticks = ended_children_ticks(&stat).context("cannot read the CPU time of this process's children")?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
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

/// Fields 14 and 15 of /proc/<pid>/stat.
fn ticks(stat: &str) -> Option<u64> {
    sum_of_two(stat, 14)
}

/// Fields 16 and 17 of /proc/<pid>/stat.
fn ended_children_ticks(stat: &str) -> Option<u64> {
    sum_of_two(stat, 16)
}

/// The second field is the program's name in brackets, and may hold anything.
fn sum_of_two(stat: &str, first_field: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(first_field - 3);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_stand_behind_the_name_whatever_it_is() {
        assert_eq!(ticks("17 (a ) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20"), Some(300));
        assert_eq!(ended_children_ticks("17 (a) S 1 2 3 4 5 6 7 8 9 10 250 50 7 8 20"), Some(15));
        assert_eq!(ticks("17 (short) S 1"), None);
        assert_eq!(parent("17 (a ) b (c) S 4 2 3"), Some(4));
    }

    #[test]
    fn idle_and_waiting_are_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 3 1000 2000 4 5 6 0 0\ncpu0 9"), Some(21));
        assert_eq!(busy_ticks("cpu  1 2 3"), None);
    }
}
