//! `onrush rush` and `onrush replay`: a server of their own, the bots against it, the report, and everything cleaned up.

use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use onrush_api::key_file::KeyFile;
use onrush_loadgen::options::{OutputOptions, ReplayOptions, RushOptions, SceneOptions};
use onrush_loadgen::report::Report;
use onrush_loadgen::target::Target;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  onrush rush                                   the grand theatre\n  \
    onrush rush --venue stadium --bots 100000 --html rush.html\n  \
    onrush rush --venue arena --rate 5000         bots arrive on their own time",
    mut_arg("performance", |argument| argument.hide(true)), mut_arg("seller", |argument| argument.hide(true)))]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: RushOptions,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  onrush replay --profile emf-camp --html replay.html",
    mut_arg("performance", |argument| argument.hide(true)), mut_arg("seller", |argument| argument.hide(true)))]
pub(crate) struct ReplayArguments {
    #[command(flatten)]
    options: ReplayOptions,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let RushOptions { output, scene, .. } = &arguments.options;
    against_own_server(output, scene, |target| onrush_loadgen::rush::rush(target, &arguments.options))
}

pub(crate) fn replay(arguments: &ReplayArguments) -> anyhow::Result<ExitCode> {
    let ReplayOptions { output, scene, .. } = &arguments.options;
    against_own_server(output, scene, |target| onrush_loadgen::rush::replay(target, &arguments.options))
}

fn against_own_server(
    output: &OutputOptions,
    scene: &SceneOptions,
    work: impl FnOnce(&Target) -> anyhow::Result<Report>,
) -> anyhow::Result<ExitCode> {
    ensure!(
        scene.performance.is_none(),
        "this starts a server of its own, which has no performance yet; for one that sells at another server: \
         onrush-loadgen rush --performance …"
    );
    let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut server = Server::start(dir.path())?;
    let report = work(&server.target)?;
    report.deliver(output)?;
    server.stop()?;
    Ok(if report.audit.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A server in a child process; killed when dropped.
struct Server {
    child: Child,
    target: Target,
}

/// A start on an empty directory takes some milliseconds.
const START_TIMEOUT: Duration = Duration::from_secs(30);

impl Server {
    fn start(data: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("ONRUSH_DEMO", "false")
            .env("ONRUSH_PAYMENT_PROVIDER", "none")
            .env("ONRUSH_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start the server")?;
        let address = match wait_for_address(&mut child, data) {
            Ok(address) => address,
            Err(error) => {
                // It may have ended by itself.
                child.kill().ok();
                child.wait().ok();
                return Err(error);
            }
        };
        let mut target = Target::new(&format!("http://{address}"), KeyFile::open(&KeyFile::path_in(data))?)?;
        target.server_pid = Some(child.id());
        Ok(Self { child, target })
    }

    /// Asks the server to end as an operator would, and sees that it does so in order.
    fn stop(&mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("cannot stop the server")?;
        let status = self.child.wait().context("the server's end")?;
        anyhow::ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended where all went well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The server writes its address once it answers.
fn wait_for_address(child: &mut Child, data: &Path) -> anyhow::Result<String> {
    let begun = Instant::now();
    loop {
        if let Ok(address) = std::fs::read_to_string(data.join("address"))
            && address.ends_with('\n')
        {
            return Ok(address.trim().to_owned());
        }
        if let Some(status) = child.try_wait().context("the server's state")? {
            bail!("the server ended with {status} before it answered");
        }
        if begun.elapsed() > START_TIMEOUT {
            bail!("the server did not answer within {START_TIMEOUT:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
