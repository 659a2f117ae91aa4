//! What the server's process costs: its user and system time, from /proc of this machine.
//!
//! A server elsewhere, or one of another user, has no reading; the report then says that it is not known.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// The CPU time that a process has used so far, user and system together; `None` where it cannot be read.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    let ticks = ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// The process that listens at `address`, where that is on this machine.
pub(crate) fn listener(address: SocketAddr) -> Option<u32> {
    if !address.ip().is_loopback() {
        return None;
    }
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().find_map(|table| inode(&fs::read_to_string(table).ok()?, address))?;
    owner(&format!("socket:[{inode}]"))
}

/// Fields 14 and 15 of /proc/<pid>/stat. The second field is the program's name in brackets, and may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// The inode of the socket that listens at `address`, or at its port on all addresses.
fn inode(table: &str, address: SocketAddr) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (host, port) = fields.get(1)?.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let host = host_address(host)?;
        let listens = port == address.port() && (host == address.ip() || host.is_unspecified());
        (listens && *fields.get(3)? == LISTEN).then(|| fields.get(9)?.parse().ok()).flatten()
    })
}

/// The kernel prints addresses as 32-bit words in the machine's byte order.
fn host_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    if text.len() == 8 {
        return Some(IpAddr::V4(Ipv4Addr::from(word(0)?)));
    }
    let mut bytes = [0; 16];
    for (place, chunk) in bytes.chunks_mut(4).enumerate() {
        chunk.copy_from_slice(&word(8 * place)?);
    }
    let address = Ipv6Addr::from(bytes);
    Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
}

fn owner(socket: &str) -> Option<u32> {
    let pids = fs::read_dir("/proc").ok()?.flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|pid| has_open(*pid, socket))
}

fn has_open(pid: u32, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|link| link == Path::new(socket)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_times_stand_behind_the_name_whatever_it_is() {
        let stat = "17 (a ) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("17 (short) S 1"), None);
    }

    #[test]
    fn a_listener_is_found_by_its_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1\n\
            1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 4343 1\n";
        assert_eq!(inode(table, "127.0.0.1:8080".parse().unwrap()), Some(4242));
        assert_eq!(inode(table, "127.0.0.1:8081".parse().unwrap()), None, "it is connected, it does not listen");
        let all = table.replace("0100007F:1F90 0000", "00000000:1F90 0000");
        assert_eq!(inode(&all, "127.0.0.1:8080".parse().unwrap()), Some(4242));
    }

    #[test]
    fn we_find_ourselves() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listener(socket.local_addr().unwrap()), Some(std::process::id()));
        assert!(cpu_time(std::process::id()).is_some());
        assert_eq!(listener("192.0.2.1:80".parse().unwrap()), None);
    }
}
