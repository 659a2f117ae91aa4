//! RabbitMQ as the queue between an HTTP front and whoever owns the seats: RPC over direct reply-to.
//!
//! Its settings, and why:
//! - transient messages, no acknowledgements by hand: the queue is a way, not a store; durability would be the owner's.
//! - `amq.rabbitmq.reply-to`: answers go straight to the caller's channel, without a queue of their own.
//! - no plugins; one connection for the callers and one for the consumer, which sends back what it got.

use std::cell::RefCell;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

use crate::client::{Load, Measured};
use crate::process::{Process, free_port};
use crate::{hold, queue};

/// Debian's script, which starts the server with the caller's rights.
pub const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const QUEUE: &str = "holds";
const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Measures RPC through a RabbitMQ of its own, with its data below `dir`.
///
/// # Errors
/// Where it does not start, or loses an answer.
pub fn measure(dir: &Path, load: Load) -> anyhow::Result<Measured> {
    let server = Server::start(dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let owner = Owner::start(server.address).await?;
        let callers = Rc::new(Callers::connect(server.address, load.connections).await?);
        let others = || server.broker.cpu_time();
        let measured = queue::measure(load, others, move |caller| Rc::clone(&callers).ask(caller)).await?;
        drop(owner);
        Ok(measured)
    })
}

struct Server {
    /// Invariant: dropped before the port mapper, which it signs off from.
    broker: Process,
    _port_mapper: Process,
    address: SocketAddr,
    _data: TempDir,
}

impl Server {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        let data = tempfile::tempdir_in(dir).context("cannot make a directory for RabbitMQ's data")?;
        let (port, mapper_port, distribution_port) = (free_port()?, free_port()?, free_port()?);
        // Erlang would start one that stays behind.
        let mut mapper = Command::new("epmd");
        mapper.args(["-address", "127.0.0.1", "-port", &mapper_port.to_string()]).stdin(Stdio::null());
        let port_mapper = Process::start(mapper.stdout(Stdio::null()).stderr(Stdio::null()))?;
        let mut command = Command::new(PROGRAM);
        let setting = |name: &str, value: &str| (format!("RABBITMQ_{name}"), value.to_owned());
        let place = |name: &str| data.path().join(name).display().to_string();
        command.envs([
            setting("NODENAME", &format!("versus-{port}@localhost")),
            setting("NODE_IP_ADDRESS", "127.0.0.1"),
            setting("NODE_PORT", &port.to_string()),
            setting("DIST_PORT", &distribution_port.to_string()),
            setting("MNESIA_BASE", &place("data")),
            setting("LOG_BASE", &place("log")),
            setting("CONF_ENV_FILE", &place("none")),
            setting("CONFIG_FILE", &place("none")),
            setting("ENABLED_PLUGINS_FILE", &place("plugins")),
            ("ERL_EPMD_PORT".to_owned(), mapper_port.to_string()),
            ("ERL_EPMD_ADDRESS".to_owned(), "127.0.0.1".to_owned()),
            ("HOME".to_owned(), data.path().display().to_string()),
        ]);
        command.current_dir(data.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut broker = Process::start_with_farewell(&mut command, Signal::TERM)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        broker.wait_for("a RabbitMQ that answers", || TcpStream::connect(address).ok()).context("rabbitmq-server")?;
        Ok(Self { broker, _port_mapper: port_mapper, address, _data: data })
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<(Connection, Channel)> {
    let uri = format!("amqp://guest:guest@{address}/%2f");
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await.context("RabbitMQ refuses")?;
    let channel = connection.create_channel().await.context("RabbitMQ gives no channel")?;
    Ok((connection, channel))
}

async fn consume(channel: &Channel, queue: &str) -> anyhow::Result<Consumer> {
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let consumer = channel.basic_consume(queue.into(), queue.into(), options, FieldTable::default());
    consumer.await.with_context(|| format!("nobody may consume {queue}"))
}

async fn publish(channel: &Channel, to: &str, body: &[u8], properties: BasicProperties) -> anyhow::Result<()> {
    let options = BasicPublishOptions::default();
    channel.basic_publish("".into(), to.into(), options, body, properties).await.context("RabbitMQ takes nothing")?;
    Ok(())
}

/// Whoever would own the seats: sends back what it gets.
struct Owner {
    _connection: Connection,
}

impl Owner {
    async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let (connection, channel) = connect(address).await?;
        channel.queue_declare(QUEUE.into(), QueueDeclareOptions::default(), FieldTable::default()).await?;
        let mut questions = consume(&channel, QUEUE).await?;
        spawn_local(async move {
            while let Some(Ok(question)) = questions.next().await {
                let to = question.properties.reply_to().clone();
                let number = question.properties.correlation_id().clone();
                let (Some(to), Some(number)) = (to, number) else { continue };
                let properties = BasicProperties::default().with_correlation_id(number);
                publish(&channel, to.as_str(), hold::ANSWER.as_bytes(), properties).await?;
            }
            anyhow::Ok(())
        });
        Ok(Self { _connection: connection })
    }
}

/// Those who ask, by the number that their answers carry.
struct Callers {
    channel: Channel,
    waiting: Rc<RefCell<Vec<Option<oneshot::Sender<()>>>>>,
    _connection: Connection,
}

impl Callers {
    async fn connect(address: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let (connection, channel) = connect(address).await?;
        let waiting = Rc::new(RefCell::new((0..count).map(|_| None).collect::<Vec<_>>()));
        let mut answers = consume(&channel, REPLY_TO).await?;
        let callers = Rc::clone(&waiting);
        spawn_local(async move {
            while let Some(Ok(answer)) = answers.next().await {
                let number = answer.properties.correlation_id().as_ref().and_then(|id| id.as_str().parse().ok());
                let caller: Option<oneshot::Sender<()>> =
                    number.and_then(|number: usize| callers.borrow_mut().get_mut(number)?.take());
                if let Some(caller) = caller {
                    // Whoever asked may have ended.
                    caller.send(()).ok();
                }
            }
        });
        Ok(Self { channel, waiting, _connection: connection })
    }

    async fn ask(self: Rc<Self>, caller: usize) -> anyhow::Result<()> {
        const SILENCE_MAX: Duration = Duration::from_secs(10);
        let (sender, answer) = oneshot::channel();
        self.waiting.borrow_mut()[caller] = Some(sender);
        let properties =
            BasicProperties::default().with_reply_to(REPLY_TO.into()).with_correlation_id(caller.to_string().into());
        publish(&self.channel, QUEUE, hold::body("122-14-17").as_bytes(), properties).await?;
        let answered = tokio::time::timeout(SILENCE_MAX, answer).await;
        ensure!(matches!(answered, Ok(Ok(()))), "RabbitMQ lost an answer");
        Ok(())
    }
}
