//! The real binary as a child process.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::http::Connection;

/// A process that was started and may or may not serve yet. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    log: Option<JoinHandle<String>>,
}

/// A server that answers.
pub(crate) struct Server {
    process: Process,
    pub(crate) address: SocketAddr,
}

/// Where it leaves its address.
const SERVER: &str = "address";
const ENGINE: &str = "engine-address";
pub(crate) const PLANE: &str = "plane-address";

fn forget(data: &Path, file: &str) {
    let address = data.join(file);
    if address.exists() {
        std::fs::remove_file(&address).expect("the former address can be deleted");
    }
}

/// A lease that a test can wait for.
const LEASE_MS: &str = "600";

/// What is wrong when it takes so long is not the machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The binary, with a small disk's settings and snapshots as often as they may be; what else is needed is added.
pub(crate) fn command(wrapper: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_onrush");
    let mut words = wrapper.iter().copied().chain([program]);
    let mut command = Command::new(words.next().expect("the program"));
    command.args(words);
    for (name, value) in [
        ("ONRUSH_DEMO", "false"),
        ("ONRUSH_PAYMENT_PROVIDER", "none"),
        ("ONRUSH_LOG", "warn"),
        ("ONRUSH_BALLAST_MIB", "0"),
        ("ONRUSH_LOW_WATER_MIB", "1"),
        ("ONRUSH_SNAPSHOT_EVERY_EVENTS", "1000"),
        ("ONRUSH_REQUESTS_PER_SECOND_PER_ACCOUNT", "1000000"),
    ] {
        command.env(name, value);
    }
    command
}

impl Process {
    /// Starts `onrush serve` on a data directory, perhaps under another program.
    pub(crate) fn spawn(data: &Path, wrapper: &[&str]) -> Self {
        forget(data, SERVER);
        let mut command = command(wrapper);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        Self::of(command)
    }

    /// Starts `onrush engine` on a data directory, at an address.
    pub(crate) fn engine(data: &Path, address: &str) -> Self {
        forget(data, ENGINE);
        let mut command = command(&[]);
        command.args(["engine", "--engine-listen", address, "--data"]).arg(data);
        Self::of(command)
    }

    /// Starts `onrush engine` that takes over from the one of another directory, and may be replaced itself soon.
    pub(crate) fn heir(data: &Path, address: &str, former: Option<&Path>, key: &Path) -> Self {
        forget(data, ENGINE);
        let mut command = command(&[]);
        command.args(["engine", "--engine-listen", address, "--data"]).arg(data).arg("--engine-key-file").arg(key);
        if let Some(former) = former {
            command.arg("--take-over").arg(former);
        }
        command.env("ONRUSH_LEASE_MS", LEASE_MS);
        Self::of(command)
    }

    /// Starts `onrush edge` for engines, with the keys of a directory.
    pub(crate) fn edge(data: &Path, engines: &[SocketAddr], key: &Path) -> Self {
        forget(data, SERVER);
        let engines: Vec<_> = engines.iter().map(SocketAddr::to_string).collect();
        let mut command = command(&[]);
        command.args(["edge", "--listen", "127.0.0.1:0", "--engines", &engines.join(","), "--data"]).arg(data);
        command.arg("--engine-key-file").arg(key);
        Self::of(command)
    }

    /// Starts `onrush edge` that asks a server, with the keys of its data directory.
    pub(crate) fn edge_of(data: &Path, plane: &Path, environment: &[String]) -> Self {
        forget(data, SERVER);
        let address = std::fs::read_to_string(plane.join(PLANE)).expect("the server listens for edges");
        let mut command = command(&[]);
        command.envs(environment.iter().filter_map(|variable| variable.split_once('=')));
        command.args(["edge", "--listen", "127.0.0.1:0", "--control-plane", address.trim(), "--data"]).arg(data);
        for key in ["engine", "token", "ticket"] {
            command.arg(format!("--{key}-key-file")).arg(plane.join(key).with_extension("key"));
        }
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
        let (sender, lines) = channel();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut stderr = child.stderr.take().expect("a pipe");
        std::thread::spawn(move || {
            let mut line = String::new();
            while stdout.read_line(&mut line).is_ok_and(|length| length > 0) {
                // Nobody reads on after the first line.
                sender.send(std::mem::take(&mut line)).ok();
            }
        });
        let log = std::thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).expect("the log can be read");
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, lines, log: Some(log) }
    }

    /// Waits until it serves; else says why not.
    pub(crate) fn serves(self, data: &Path) -> Result<Server, String> {
        self.serves_at(data, SERVER)
    }

    /// The same, of an engine.
    pub(crate) fn listens(self, data: &Path) -> Result<Server, String> {
        self.serves_at(data, ENGINE)
    }

    fn serves_at(self, data: &Path, file: &str) -> Result<Server, String> {
        match self.lines.recv_timeout(START_TIMEOUT) {
            // It greets once its address is written and it answers.
            Ok(_) => {
                let text = std::fs::read_to_string(data.join(file)).expect("the server writes its address");
                let address = text.trim().parse().unwrap_or_else(|_| panic!("'{text}' is no address"));
                Ok(Server { process: self, address })
            }
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("it did not answer within {START_TIMEOUT:?}: {}", self.kill()))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let (status, log) = self.wait();
                Err(format!("it ended with {status}: {log}"))
            }
        }
    }

    /// SIGKILL, to this process alone; its log.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().expect("a child can be killed");
        self.wait().1
    }

    /// Waits for it to end by itself; how it did, and its log.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("a child can be waited for");
        let log = self.log.take().expect("taken once").join().expect("the log's reader does not panic");
        (status, log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended where the test went well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Server {
    /// Starts a server that must serve.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_under(data, &[])
    }

    /// Starts a server under another program that leaves it our own child: `env`, `strace -D`.
    pub(crate) fn start_under(data: &Path, wrapper: &[&str]) -> Self {
        let served = Process::spawn(data, wrapper).serves(data);
        served.unwrap_or_else(|reason| panic!("the server on {} does not start: {reason}", data.display()))
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address).unwrap_or_else(|error| panic!("{}: {error}", self.address))
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.process.child)
    }

    /// Asks it to stop, as an operator does.
    pub(crate) fn terminate(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).expect("a child can be signalled");
    }

    pub(crate) fn kill(self) -> String {
        self.process.kill()
    }

    pub(crate) fn wait(self) -> (ExitStatus, String) {
        self.process.wait()
    }
}
