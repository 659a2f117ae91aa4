//! The edge's end of a connection to one engine. It connects anew as often as it has to; what was asked meanwhile waits,
//! and what was asked before and not answered is asked again, where that comes to the same.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::elsewhere::Known;
use crate::feed::AccountHistory;
use crate::id::{AccountId, PerformanceId};
use crate::mailbox::{Ask, Failure, Outcome};
use crate::owner::{RegistryFailure, RegistryOutcome};
use crate::performance::Opening;
use crate::registry::RegistryCommand;
use crate::wire::message::{Notice, Request};
use crate::wire::{Key, PATIENCE, SILENCE_MAX, WireError, frame, hello};

/// Requests of one edge that wait for one engine.
const WAITING_MAX: usize = 16_384;
/// Between two tries to connect, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// See the module.
pub(crate) struct Link {
    address: String,
    key: Key,
    outgoing: Mutex<Outgoing>,
    /// There are frames to be written.
    news: Notify,
    caught_up: AtomicBool,
    /// Whether that was ever so.
    known: AtomicBool,
    relaxed: AtomicBool,
    connected: Gauge,
    failures: Counter,
}

#[derive(Default)]
struct Outgoing {
    connected: bool,
    /// To be written to the connection that there is.
    frames: Vec<u8>,
    /// The number of the next request.
    next: u64,
    /// Requests with a lower number may have got to the engine.
    handed_over: u64,
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    frame: Vec<u8>,
    repeatable: bool,
    reply: Reply,
}

enum Reply {
    Outcome(oneshot::Sender<Outcome>),
    Registry(oneshot::Sender<RegistryOutcome>),
    History(oneshot::Sender<AccountHistory>),
}

impl Reply {
    /// Whether nobody waits for it any more.
    fn is_closed(&self) -> bool {
        match self {
            Self::Outcome(reply) => reply.is_closed(),
            Self::Registry(reply) => reply.is_closed(),
            Self::History(reply) => reply.is_closed(),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.address)
    }
}

impl Link {
    pub(super) fn new(address: String, key: Key) -> Self {
        let connected = gauge!("onrush_engine_connected", "engine" => address.clone());
        let failures = counter!("onrush_engine_connection_failures_total", "engine" => address.clone());
        connected.set(0.0);
        failures.increment(0);
        Self {
            address,
            key,
            outgoing: Mutex::default(),
            news: Notify::new(),
            caught_up: AtomicBool::new(false),
            known: AtomicBool::new(false),
            relaxed: AtomicBool::new(false),
            connected,
            failures,
        }
    }

    /// Whether the engine is there, and has told all that it has.
    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    /// Whether the engine has ever told all that it has.
    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    pub(super) fn is_relaxed(&self) -> bool {
        self.relaxed.load(Ordering::Relaxed)
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        // Nothing that is done under the lock panics.
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn ask(&self, performance: PerformanceId, ask: Ask) -> Outcome {
        let repeatable = ask.is_repeatable();
        self.call(|number| Request::Ask { number, performance, ask }, repeatable, Reply::Outcome).await?
    }

    pub(super) async fn register(&self, command: RegistryCommand, opening: Option<Box<Opening>>) -> RegistryOutcome {
        let repeatable = command.is_repeatable();
        let called = self.call(|number| Request::Register { number, command, opening }, repeatable, Reply::Registry);
        called.await.map_err(RegistryFailure::Failed)?
    }

    pub(super) async fn history(&self, account: AccountId, newest: u32) -> Result<AccountHistory, Failure> {
        self.call(|number| Request::History { number, account, newest }, true, Reply::History).await
    }

    async fn call<T>(
        &self,
        request: impl FnOnce(u64) -> Request,
        repeatable: bool,
        reply: impl FnOnce(oneshot::Sender<T>) -> Reply,
    ) -> Result<T, Failure> {
        let (sender, answer) = oneshot::channel();
        let number = self.post(request, repeatable, reply(sender)).ok_or(Failure::Overloaded)?;
        match timeout(PATIENCE, answer).await {
            Ok(answered) => answered.map_err(|_| Failure::Unknown),
            Err(_) => Err(self.give_up(number)),
        }
    }

    /// The request's number; nothing where too much waits, or the request is too long for a frame.
    fn post(&self, request: impl FnOnce(u64) -> Request, repeatable: bool, reply: Reply) -> Option<u64> {
        let mut outgoing = self.outgoing();
        if outgoing.waiting.len() >= WAITING_MAX {
            outgoing.waiting.retain(|_, waiting| !waiting.reply.is_closed());
        }
        let (number, mut frame) = (outgoing.next, Vec::new());
        let taken = outgoing.waiting.len() < WAITING_MAX && frame::append(&mut frame, &request(number));
        if !taken {
            return None;
        }
        outgoing.next += 1;
        if outgoing.connected {
            outgoing.frames.extend_from_slice(&frame);
            self.news.notify_one();
        }
        outgoing.waiting.insert(number, Waiting { frame, repeatable, reply });
        Some(number)
    }

    /// Nobody waits for the answer any more; says what is known of the request.
    fn give_up(&self, number: u64) -> Failure {
        let mut outgoing = self.outgoing();
        outgoing.waiting.remove(&number);
        if number < outgoing.handed_over { Failure::Unknown } else { Failure::Overloaded }
    }

    /// Keeps a connection to the engine, for good.
    pub(super) async fn keep(self: Arc<Self>, known: Arc<Known>) {
        let mut pause = PAUSE_MIN;
        loop {
            let connected = self.connect().await;
            if connected.is_ok() {
                pause = PAUSE_MIN;
                tracing::info!(engine = self.address, "connected to an engine");
            }
            let error = match connected {
                Ok(stream) => self.serve(stream, &known).await,
                Err(error) => error,
            };
            self.disconnect();
            tracing::warn!(
                engine = self.address,
                error = &error as &dyn std::error::Error,
                "no connection to an engine"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn connect(&self) -> Result<TcpStream, WireError> {
        let connecting = TcpStream::connect(&self.address);
        let mut stream = timeout(PATIENCE, connecting).await.map_err(|_| WireError::Silent)??;
        stream.set_nodelay(true)?;
        hello::as_edge(&mut stream, &self.key).await?;
        Ok(stream)
    }

    /// Asks and listens, until that fails.
    async fn serve(self: &Arc<Self>, stream: TcpStream, known: &Known) -> WireError {
        let (reader, writer) = stream.into_split();
        self.resume();
        let ended = tokio::select! {
            ended = self.listen(reader, known) => ended,
            ended = self.speak(writer) => ended,
        };
        ended.err().unwrap_or(WireError::Closed)
    }

    /// What was asked and not answered goes first; what may not be asked twice is answered as not known.
    fn resume(&self) {
        let mut outgoing = self.outgoing();
        let handed_over = outgoing.handed_over;
        outgoing.connected = true;
        outgoing
            .waiting
            .retain(|number, waiting| !waiting.reply.is_closed() && (waiting.repeatable || *number >= handed_over));
        outgoing.frames.clear();
        let again = outgoing.waiting.values().flat_map(|waiting| waiting.frame.iter().copied()).collect();
        outgoing.frames = again;
        self.news.notify_one();
    }

    /// What may not be asked twice is not known from now on: nobody has to wait for that.
    fn disconnect(&self) {
        self.caught_up.store(false, Ordering::Release);
        self.connected.set(0.0);
        self.failures.increment(1);
        let mut outgoing = self.outgoing();
        let handed_over = outgoing.handed_over;
        outgoing.connected = false;
        outgoing.frames.clear();
        outgoing.waiting.retain(|number, waiting| waiting.repeatable || *number >= handed_over);
    }

    async fn speak(&self, mut writer: OwnedWriteHalf) -> Result<(), WireError> {
        loop {
            self.news.notified().await;
            let frames = {
                let mut outgoing = self.outgoing();
                outgoing.handed_over = outgoing.next;
                std::mem::take(&mut outgoing.frames)
            };
            timeout(PATIENCE, writer.write_all(&frames)).await.map_err(|_| WireError::Silent)??;
        }
    }

    async fn listen(self: &Arc<Self>, reader: OwnedReadHalf, known: &Known) -> Result<(), WireError> {
        let mut frames = frame::frames(reader);
        loop {
            let archive = timeout(SILENCE_MAX, frame::next(&mut frames)).await.map_err(|_| WireError::Silent)??;
            self.hear(frame::read(&archive)?, known)?;
        }
    }

    fn hear(self: &Arc<Self>, notice: Notice, known: &Known) -> Result<(), WireError> {
        match notice {
            Notice::Pulse => {}
            Notice::CaughtUp { relaxed } => {
                self.relaxed.store(relaxed, Ordering::Relaxed);
                self.known.store(true, Ordering::Release);
                self.caught_up.store(true, Ordering::Release);
                self.connected.set(1.0);
            }
            Notice::Performance(introduction) => known.introduce(self, *introduction)?,
            Notice::Rules(performance, rules) => known.change_rules(self, performance, rules)?,
            Notice::Seats(delta) => known.change_seats(self, &delta)?,
            Notice::Show(show) => known.change_show(self, show),
            Notice::Answered(number, outcome) => {
                if let Some(Reply::Outcome(reply)) = self.answered(number) {
                    // Whoever asked may have gone away, here and below.
                    drop(reply.send(outcome));
                }
            }
            Notice::Registered(number, outcome) => {
                if let Some(Reply::Registry(reply)) = self.answered(number) {
                    drop(reply.send(outcome));
                }
            }
            Notice::History(number, history) => {
                if let Some(Reply::History(reply)) = self.answered(number) {
                    drop(reply.send(history));
                }
            }
        }
        Ok(())
    }

    fn answered(&self, number: u64) -> Option<Reply> {
        self.outgoing().waiting.remove(&number).map(|waiting| waiting.reply)
    }
}
