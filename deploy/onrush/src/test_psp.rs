//! `onrush test-psp`: the test provider as a process of its own, and that process as a server's child.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use onrush_payments::test_psp::{Book, Config, WebhookUrl, serve};

use crate::logging;
use crate::settings::LogFormat;

const KEY: &str = "ONRUSH_TEST_PSP_KEY";
const SECRET: &str = "ONRUSH_TEST_PSP_WEBHOOK_SECRET";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "`onrush serve` starts one by itself. What goes wrong with a payment is said by the last two digits of \
    its amount, or by a header of whoever pays (Test-PSP-Mood):\n  \
    01  declined                the bank says no\n  \
    02  again=2                 every notice comes three times\n  \
    03  silent                  no notice ever comes\n  \
    04  delay=10000             the bank takes ten seconds\n  \
    05  capture-fails           the reserved money cannot be collected\n  \
    06  loses-answers           every step is taken, and its first answer lost\n  \
    07  reordered               notices come in the wrong order\n\nWho pays says outcome=pay, or outcome=decline where the \
    bank is to say no. Example:\n  \
    curl -X POST http://127.0.0.1:8090/pay/tpay_… -d outcome=pay -H 'Test-PSP-Mood: delay=5000,again=1'"
)]
pub(crate) struct Arguments {
    /// Address of its API and its page
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Directory of its book
    #[arg(long, value_name = "DIR", default_value = "./onrush-data/test-psp")]
    data: PathBuf,
    /// Where signed notices go, such as http://127.0.0.1:8080/v1/payments/webhook [default: nowhere]
    #[arg(long, value_name = "URL")]
    webhook: Option<WebhookUrl>,
    /// What the merchant signs in with [default: drawn and printed]
    #[arg(long, env = KEY, hide_env_values = true, value_name = "KEY")]
    key: Option<String>,
    /// What notices are signed with: whsec_ and base64 of 24 to 64 bytes [default: drawn and printed]
    #[arg(long, env = SECRET, hide_env_values = true, value_name = "SECRET")]
    webhook_secret: Option<String>,
    /// End when standard input does: with whoever started it
    #[arg(long, hide = true)]
    as_child: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    logging::start("warn", LogFormat::Text)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(provide(arguments))?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "what a person who started it, or a server, reads")]
async fn provide(arguments: &Arguments) -> anyhow::Result<()> {
    let drawn = arguments.key.is_none() || arguments.webhook_secret.is_none();
    let api_key = arguments.key.clone().map_or_else(draw_key, Ok)?;
    let webhook_secret = arguments.webhook_secret.clone().map_or_else(draw_secret, Ok)?;
    let config = Config { api_key, webhook_secret, webhook_url: arguments.webhook.clone() };
    config.check().map_err(|error| anyhow!("--webhook-secret: {error}; it is whsec_ and base64 of 24 to 64 bytes"))?;
    let book = Book::open(&arguments.data).with_context(|| format!("the book in {}", arguments.data.display()))?;
    let listener = tokio::net::TcpListener::bind(arguments.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    println!("http://{}", listener.local_addr()?);
    if drawn {
        println!("key: {}\nwebhook secret: {}", config.api_key, config.webhook_secret);
    }
    let serving = serve(listener, book, config);
    tokio::select! {
        served = serving => served.map_err(|error| anyhow!("the test provider: {error}")),
        () = parent_ends(arguments.as_child) => Ok(()),
        stopped = tokio::signal::ctrl_c() => stopped.context("the SIGINT handler"),
    }
}

/// Returns when whoever holds the other end of standard input has ended, in whatever way.
async fn parent_ends(as_child: bool) {
    if !as_child {
        return std::future::pending().await;
    }
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    // Not on the runtime's pool: that would wait for the read when the process ends.
    std::thread::spawn(move || {
        let read = std::io::stdin().lock().read_to_end(&mut Vec::new());
        tracing::debug!(?read, "the parent has ended");
        drop(ended);
    });
    // It is never sent: the sender goes away with the parent.
    end.await.ok();
}

fn draw_key() -> anyhow::Result<String> {
    Ok(format!("tkey_{}", draw()?.replace(['+', '/'], "_")))
}

fn draw_secret() -> anyhow::Result<String> {
    Ok(format!("whsec_{}", draw()?))
}

fn draw() -> anyhow::Result<String> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system has no random numbers: {error}"))?;
    Ok(BASE64_STANDARD.encode(bytes))
}

/// The test provider as a child of a server: it ends with the server, however that ends.
pub(crate) struct Child {
    process: std::process::Child,
    pub(crate) url: String,
    pub(crate) api_key: String,
    pub(crate) webhook_secret: String,
}

impl Child {
    /// Starts it, and waits until it serves.
    ///
    /// # Errors
    /// Where it does not start.
    pub(crate) async fn start(data: &Path, listen: SocketAddr, webhook: &str) -> anyhow::Result<Self> {
        let (api_key, webhook_secret) = (draw_key()?, draw_secret()?);
        let program = std::env::current_exe().context("the program's own file")?;
        let mut command = Command::new(program);
        command.args(["test-psp", "--as-child", "--listen", &listen.to_string(), "--webhook", webhook, "--data"]);
        command.arg(data.join("test-psp")).env(KEY, &api_key).env(SECRET, &webhook_secret);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("the test provider")?;
        let stdout = process.stdout.take().context("the test provider's output")?;
        let greeting = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line.trim().to_owned())
        });
        let url = greeting.await.context("the test provider's greeting")??;
        if url.is_empty() {
            let status = process.wait().context("the test provider")?;
            bail!("the test provider ended with {status}: see its message above; payment_provider = none does without");
        }
        Ok(Self { process, url, api_key, webhook_secret })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
