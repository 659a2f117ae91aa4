//! The edge's end of a connection to one engine. It connects anew as often as it has to; what was asked meanwhile waits,
//! and what was asked before and not answered is asked again, where that comes to the same.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use super::elsewhere::Known;
use crate::feed::{AccountHistory, Leaving};
use crate::handover::{HandOverFailure, PARCEL_LEN_MAX};
use crate::id::{AccountId, EngineId, PerformanceId, ShowId};
use crate::mailbox::{Ask, Failure, Outcome};
use crate::owner::{RegistryFailure, RegistryOutcome};
use crate::performance::Opening;
use crate::refusal::Refusal;
use crate::registry::RegistryCommand;
use crate::wire::message::{Notice, Parcel, Request};
use crate::wire::{Credentials, PATIENCE, SILENCE_MAX, Stream, WireError, frame};

/// Requests of one edge that wait for one engine.
const WAITING_MAX: usize = 16_384;
/// The same while there is no connection: an engine that is gone must not take the room of those that are there.
const WAITING_APART_MAX: usize = 2_048;
/// Between two tries to connect, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// The log says again why there is no connection after so long.
const TOLD_FOR: Duration = Duration::from_mins(1);
/// The same, where somebody has to do something about it first.
const PAUSE_LASTING: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Link {
    address: String,
    credentials: Credentials,
    outgoing: Mutex<Outgoing>,
    /// There are frames to be written.
    news: Notify,
    caught_up: AtomicBool,
    leaving: AtomicBool,
    /// It has nothing, and was not heard yet.
    vacant: AtomicBool,
    relaxed: AtomicBool,
    /// Which engine it is, once it has said so.
    engine: Mutex<Option<EngineId>>,
    /// Bytes that went either way.
    traffic: AtomicU64,
    connected: Gauge,
    failures: Counter,
}

#[derive(Default)]
struct Outgoing {
    connected: bool,
    ended: bool,
    /// To be written to the connection that there is, in this order.
    queue: VecDeque<u64>,
    /// The number of the next request.
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    frame: Vec<u8>,
    repeatable: bool,
    sent: Sent,
    reply: Reply,
}

/// Whether a request may have got to an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// It has not.
    Never,
    /// On the connection that there is, or was.
    Once,
    /// On an earlier connection, too: the engine may have done it then, whatever it says now.
    Again,
}

enum Reply {
    Outcome(oneshot::Sender<Outcome>),
    Registry(oneshot::Sender<RegistryOutcome>),
    History(oneshot::Sender<AccountHistory>),
    Parcel(oneshot::Sender<Result<Parcel, HandOverFailure>>),
    TakenOver(oneshot::Sender<Result<(), HandOverFailure>>),
    Leaving(oneshot::Sender<Option<Box<Leaving>>>),
}

impl Reply {
    /// Whether nobody waits for it any more.
    fn is_closed(&self) -> bool {
        match self {
            Self::Outcome(reply) => reply.is_closed(),
            Self::Registry(reply) => reply.is_closed(),
            Self::History(reply) => reply.is_closed(),
            Self::Parcel(reply) => reply.is_closed(),
            Self::TakenOver(reply) => reply.is_closed(),
            Self::Leaving(reply) => reply.is_closed(),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.address)
    }
}

impl Link {
    pub(super) fn new(address: String, credentials: Credentials, vacant: bool) -> Self {
        let connected = gauge!("onrush_engine_connected", "engine" => address.clone());
        let failures = counter!("onrush_engine_connection_failures_total", "engine" => address.clone());
        connected.set(0.0);
        failures.increment(0);
        Self {
            address,
            credentials,
            outgoing: Mutex::default(),
            news: Notify::new(),
            caught_up: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            vacant: AtomicBool::new(vacant),
            relaxed: AtomicBool::new(false),
            engine: Mutex::default(),
            traffic: AtomicU64::new(0),
            connected,
            failures,
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Nothing more is asked: for an engine that is gone for good.
    pub(super) fn end(&self) {
        let waiting = {
            let mut outgoing = self.outgoing();
            outgoing.ended = true;
            outgoing.queue.clear();
            std::mem::take(&mut outgoing.waiting)
        };
        // What it had may be elsewhere by now: what was never done, or comes to the same when it is done twice, is asked there.
        for waiting in waiting.into_values().filter(|waiting| waiting.repeatable || waiting.sent == Sent::Never) {
            if let Reply::Outcome(reply) = waiting.reply {
                // Who does not wait any more needs no answer.
                reply.send(Err(Refusal::HandedOver.into())).ok();
            }
        }
    }

    /// It is to go once what it had is known elsewhere.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    pub(super) fn is_vacant(&self) -> bool {
        self.vacant.load(Ordering::Acquire)
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Whether the engine is there, and has told all that it has.
    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
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

    /// Gives a performance away, to that engine; its state.
    pub(super) async fn hand_over(&self, performance: PerformanceId, to: EngineId) -> Result<Vec<u8>, HandOverFailure> {
        let mut whole = Vec::new();
        loop {
            let from = whole.len() as u64;
            let request = |number| Request::HandOver { number, performance, to, from };
            let Parcel { len, part } = self.call(request, true, Reply::Parcel).await??;
            if len > PARCEL_LEN_MAX as u64 || part.is_empty() {
                return Err(HandOverFailure::Unreadable);
            }
            whole.extend(part);
            if whole.len() as u64 >= len {
                return Ok(whole);
            }
        }
    }

    /// Takes one over.
    pub(super) async fn take_over(&self, performance: PerformanceId, parcel: &[u8]) -> Result<(), HandOverFailure> {
        let mut from = 0;
        for part in parcel.chunks(Parcel::PART_LEN_MAX) {
            let begins = from;
            from += part.len();
            let (part, is_last, from) = (part.to_vec(), from == parcel.len(), begins as u64);
            let request = |number| Request::TakeOver { number, performance, from, part, is_last };
            // The parts before it are with this connection.
            self.call(request, false, Reply::TakenOver).await??;
        }
        Ok(())
    }

    /// A show that the engine has given away, as it was.
    pub(super) async fn leaving(&self, show: ShowId) -> Result<Option<Box<Leaving>>, Failure> {
        self.call(|number| Request::Leaving { number, show }, true, Reply::Leaving).await
    }

    /// Bytes that went either way since this was made.
    pub(super) fn traffic(&self) -> u64 {
        self.traffic.load(Ordering::Relaxed)
    }

    /// Which engine this is, once it has said so.
    pub(super) fn engine(&self) -> Option<EngineId> {
        // Nothing that is done under the lock panics.
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<T>(
        &self,
        request: impl FnOnce(u64) -> Request,
        repeatable: bool,
        reply: impl FnOnce(oneshot::Sender<T>) -> Reply,
    ) -> Result<T, Failure> {
        let (sender, answer) = oneshot::channel();
        let number = self.post(request, repeatable, reply(sender))?;
        match timeout(PATIENCE, answer).await {
            Ok(answered) => answered.map_err(|_| Failure::Unknown),
            Err(_) => Err(self.give_up(number)),
        }
    }

    /// The request's number.
    ///
    /// # Errors
    /// [`Failure`], where too much waits, or the request is too long for a frame.
    fn post(&self, request: impl FnOnce(u64) -> Request, repeatable: bool, reply: Reply) -> Result<u64, Failure> {
        let mut outgoing = self.outgoing();
        let room = if outgoing.connected { WAITING_MAX } else { WAITING_APART_MAX };
        if outgoing.waiting.len() >= room {
            outgoing.waiting.retain(|_, waiting| !waiting.reply.is_closed());
        }
        if outgoing.ended || outgoing.waiting.len() >= room {
            return Err(Failure::Overloaded);
        }
        let (number, mut frame) = (outgoing.next, Vec::new());
        if !frame::append(&mut frame, &request(number)) {
            return Err(Failure::Nonsense);
        }
        outgoing.next += 1;
        outgoing.waiting.insert(number, Waiting { frame, repeatable, sent: Sent::Never, reply });
        if outgoing.connected {
            outgoing.queue.push_back(number);
            self.news.notify_one();
        }
        Ok(number)
    }

    /// Nobody waits for the answer any more; says what is known of the request.
    fn give_up(&self, number: u64) -> Failure {
        match self.outgoing().waiting.remove(&number) {
            Some(Waiting { sent: Sent::Never, .. }) => Failure::Overloaded,
            _ => Failure::Unknown,
        }
    }

    /// Keeps a connection to the engine, for good.
    pub(super) async fn keep(self: Arc<Self>, known: Arc<Known>) {
        let (mut pause, mut told) = (PAUSE_MIN, (String::new(), Instant::now()));
        loop {
            let connected = self.connect().await;
            let error = match connected {
                Ok(stream) => self.serve(stream, &known).await,
                Err(error) => error,
            };
            if self.has_caught_up() {
                (pause, told.0) = (PAUSE_MIN, String::new());
            }
            self.disconnect();
            // The same again and again says nothing new.
            let reason = error.to_string();
            if (reason != told.0 || told.1.elapsed() > TOLD_FOR) && !self.is_leaving() {
                tracing::warn!(
                    engine = self.address,
                    error = &error as &dyn std::error::Error,
                    "no connection to an engine"
                );
                told = (reason, Instant::now());
            }
            tokio::time::sleep(pause).await;
            pause = if error.is_lasting() { PAUSE_LASTING } else { (pause * 2).min(PAUSE_MAX) };
        }
    }

    async fn connect(&self) -> Result<Stream, WireError> {
        let connecting = TcpStream::connect(&self.address);
        let stream = timeout(PATIENCE, connecting).await.map_err(|_| WireError::Silent)??;
        stream.set_nodelay(true)?;
        self.credentials.as_edge(stream).await
    }

    /// Asks and listens, until that fails.
    async fn serve(self: &Arc<Self>, stream: Stream, known: &Known) -> WireError {
        match stream {
            Stream::Plain(stream) => {
                let (reader, writer) = stream.into_split();
                self.converse(reader, writer, known).await
            }
            Stream::Tls(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                self.converse(reader, writer, known).await
            }
        }
    }

    async fn converse<R, W>(self: &Arc<Self>, reader: R, writer: W, known: &Known) -> WireError
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
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
        outgoing.connected = true;
        outgoing.waiting.retain(|_, waiting| !waiting.reply.is_closed());
        outgoing.queue = outgoing.waiting.keys().copied().collect();
        self.news.notify_one();
    }

    /// What may not be asked twice is not known from now on: nobody has to wait for that.
    fn disconnect(&self) {
        self.caught_up.store(false, Ordering::Release);
        self.connected.set(0.0);
        self.failures.increment(1);
        let mut outgoing = self.outgoing();
        outgoing.connected = false;
        outgoing.queue.clear();
        outgoing.waiting.retain(|_, waiting| waiting.repeatable || waiting.sent == Sent::Never);
    }

    /// The engine stops: what is asked from now on waits for the next one.
    fn take_leave(&self) {
        let mut outgoing = self.outgoing();
        outgoing.connected = false;
        outgoing.queue.clear();
        self.news.notify_one();
    }

    async fn speak<W: AsyncWrite + Unpin>(&self, mut writer: W) -> Result<(), WireError> {
        loop {
            self.news.notified().await;
            if !self.outgoing().connected {
                writer.shutdown().await?;
                // What was said before is still answered.
                return std::future::pending().await;
            }
            let frames = self.outgoing().hand_over();
            self.traffic.fetch_add(frames.len() as u64, Ordering::Relaxed);
            frame::write(&mut writer, &frames).await?;
        }
    }

    async fn listen<R: AsyncRead + Unpin>(self: &Arc<Self>, reader: R, known: &Known) -> Result<(), WireError> {
        let mut frames = frame::frames(reader);
        loop {
            let archive = timeout(SILENCE_MAX, frame::next(&mut frames)).await.map_err(|_| WireError::Silent)??;
            self.traffic.fetch_add(archive.len() as u64, Ordering::Relaxed);
            self.hear(frame::read(&archive)?, known)?;
            // Much that is there already must not keep everybody else on this thread from being served.
            tokio::task::coop::consume_budget().await;
        }
    }

    fn hear(self: &Arc<Self>, notice: Notice, known: &Known) -> Result<(), WireError> {
        match notice {
            Notice::Pulse => {}
            Notice::CaughtUp { engine, relaxed } => {
                *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine);
                self.relaxed.store(relaxed, Ordering::Relaxed);
                self.caught_up.store(true, Ordering::Release);
                if self.vacant.swap(false, Ordering::AcqRel) {
                    known.note_change();
                }
                self.connected.set(1.0);
                tracing::info!(engine = self.address, "connected to an engine");
            }
            Notice::Performance(introduction) => known.introduce(self, *introduction)?,
            Notice::Rules(performance, rules) => known.change_rules(self, performance, rules)?,
            Notice::Seats(delta) => known.change_seats(self, &delta)?,
            Notice::Show(show) => known.change_show(self, show),
            Notice::Withdrawn(show) => known.withdraw(self, show),
            Notice::Due(booking) => known.due(booking),
            Notice::Answered(number, outcome) => {
                let failure = outcome.as_ref().err().cloned();
                let Some((Reply::Outcome(reply), sent)) = self.answered(number, failure.as_ref()) else {
                    return Ok(());
                };
                // Whoever asked may have gone away, here and below.
                drop(reply.send(outcome.map_err(|failure| sent.doubt(failure))));
            }
            Notice::Registered(number, outcome) => {
                let failure = match &outcome {
                    Err(RegistryFailure::Failed(failure)) => Some(failure),
                    _ => None,
                };
                let Some((Reply::Registry(reply), sent)) = self.answered(number, failure) else { return Ok(()) };
                let doubt = |failure| match failure {
                    RegistryFailure::Failed(failure) => RegistryFailure::Failed(sent.doubt(failure)),
                    failure => failure,
                };
                drop(reply.send(outcome.map_err(doubt)));
            }
            Notice::History(number, history) => {
                if let Some((Reply::History(reply), _)) = self.answered(number, None) {
                    drop(reply.send(history));
                }
            }
            Notice::Parcel(number, parcel) => {
                if let Some((Reply::Parcel(reply), _)) = self.answered(number, None) {
                    drop(reply.send(parcel));
                }
            }
            Notice::TakenOver(number, taken) => {
                if let Some((Reply::TakenOver(reply), _)) = self.answered(number, None) {
                    drop(reply.send(taken));
                }
            }
            Notice::Leaving(number, leaving) => {
                if let Some((Reply::Leaving(reply), _)) = self.answered(number, None) {
                    drop(reply.send(leaving));
                }
            }
            Notice::Stopping => self.take_leave(),
            Notice::NotTaken(number) => self.outgoing().take_back(number),
        }
        Ok(())
    }

    /// Who waits for this answer; nobody where the engine has failed under a request that the next one can be asked.
    fn answered(&self, number: u64, failure: Option<&Failure>) -> Option<(Reply, Sent)> {
        let mut outgoing = self.outgoing();
        if failure == Some(&Failure::Unknown) && outgoing.waiting.get(&number)?.repeatable {
            return None;
        }
        outgoing.waiting.remove(&number).map(|waiting| (waiting.reply, waiting.sent))
    }
}

impl Outgoing {
    /// The frames that are to be written. From now on they may have got to the engine.
    fn hand_over(&mut self) -> Vec<u8> {
        let mut frames = Vec::new();
        for number in self.queue.drain(..) {
            // Who waited for one may have given up.
            let Some(waiting) = self.waiting.get_mut(&number) else { continue };
            frames.extend_from_slice(&waiting.frame);
            waiting.sent = if waiting.sent == Sent::Never { Sent::Once } else { Sent::Again };
        }
        frames
    }

    /// The engine stops, and has not done what came after that.
    fn take_back(&mut self, number: u64) {
        if let Some(waiting) = self.waiting.get_mut(&number).filter(|waiting| waiting.sent == Sent::Once) {
            waiting.sent = Sent::Never;
        }
    }
}

impl Sent {
    /// That nothing was done is true of the request that was refused; an earlier one may have been done.
    fn doubt(self, failure: Failure) -> Failure {
        match failure {
            Failure::Overloaded | Failure::DiskLow if self == Self::Again => Failure::Unknown,
            failure => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Caller, CancelSeats, Command, RequestKey};
    use crate::id::{BookingId, HoldId};
    use crate::refusal::Refusal;

    const PERFORMANCE: PerformanceId = PerformanceId(7);

    fn link() -> Link {
        Link::new("here:1".to_owned(), crate::wire::Key::from_bytes([7; 32]).into(), false)
    }

    fn cancel(key: Option<u64>) -> Ask {
        let caller = Caller { account: "acc_kim".parse().unwrap(), admin: false };
        let booking = BookingId { performance: PERFORMANCE, number: 0, nonce: 0 };
        let key = key.map(|key| RequestKey { key: [key, 0], fingerprint: 0 });
        Ask::Command(Command::CancelSeats(CancelSeats { caller, booking, seats: None, key }))
    }

    /// Asks over the link, which somebody else plays the connection of.
    fn post(link: &Link, ask: Ask) -> (u64, oneshot::Receiver<Outcome>) {
        let (reply, answer) = oneshot::channel();
        let repeatable = ask.is_repeatable();
        let request = |number| Request::Ask { number, performance: PERFORMANCE, ask };
        (link.post(request, repeatable, Reply::Outcome(reply)).unwrap(), answer)
    }

    fn hear(link: &Arc<Link>, notice: Notice) {
        let elsewhere = crate::client::elsewhere::Elsewhere::new(&Arc::default(), &Arc::default());
        link.hear(notice, elsewhere.known()).unwrap();
    }

    fn sent(link: &Link) -> bool {
        !link.outgoing().hand_over().is_empty()
    }

    #[test]
    fn what_was_given_up_is_never_sent() {
        let link = link();
        link.resume();
        let (number, _answer) = post(&link, cancel(None));
        assert_eq!(link.give_up(number), Failure::Overloaded);
        assert!(!sent(&link));
        let (number, _answer) = post(&link, cancel(None));
        assert!(sent(&link));
        assert_eq!(link.give_up(number), Failure::Unknown);
    }

    #[test]
    fn only_what_comes_to_the_same_is_sent_again() {
        let link = link();
        link.resume();
        let (_, mut keyed) = post(&link, cancel(Some(1)));
        let (_, mut keyless) = post(&link, cancel(None));
        assert!(sent(&link));
        let (_, mut unsent) = post(&link, cancel(None));
        link.disconnect();
        assert_eq!(keyless.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        link.resume();
        assert_eq!(link.outgoing().queue, [0, 2]);
        assert!(keyed.try_recv().is_err() && unsent.try_recv().is_err());
    }

    #[test]
    fn nothing_was_done_is_believed_of_what_was_sent_once() {
        let link = Arc::new(link());
        link.resume();
        let (number, mut answer) = post(&link, cancel(Some(1)));
        assert!(sent(&link));
        hear(&link, Notice::Answered(number, Err(Failure::Overloaded)));
        assert_eq!(answer.try_recv(), Ok(Err(Failure::Overloaded)));

        let (number, mut answer) = post(&link, cancel(Some(1)));
        assert!(sent(&link));
        link.disconnect();
        link.resume();
        assert!(sent(&link));
        hear(&link, Notice::Answered(number, Err(Failure::Overloaded)));
        assert_eq!(answer.try_recv(), Ok(Err(Failure::Unknown)), "the engine before may have done it");
        let refused = Failure::Refused(Refusal::BookingClosed);
        assert_eq!(Sent::Again.doubt(refused.clone()), refused);
    }

    #[test]
    fn an_engine_that_failed_is_not_the_last_to_be_asked() {
        let link = Arc::new(link());
        link.resume();
        let (keyed, mut answer) = post(&link, cancel(Some(1)));
        let (keyless, mut other) = post(&link, cancel(None));
        assert!(sent(&link));
        hear(&link, Notice::Answered(keyed, Err(Failure::Unknown)));
        hear(&link, Notice::Answered(keyless, Err(Failure::Unknown)));
        assert_eq!(other.try_recv(), Ok(Err(Failure::Unknown)));
        link.disconnect();
        link.resume();
        assert_eq!((link.outgoing().queue.len(), answer.try_recv().is_err()), (1, true));
    }

    #[test]
    fn what_a_stopping_engine_left_is_asked_again_though_it_has_no_key() {
        let link = Arc::new(link());
        link.resume();
        let (number, mut answer) = post(&link, cancel(None));
        assert!(sent(&link));
        hear(&link, Notice::NotTaken(number));
        link.disconnect();
        link.resume();
        assert_eq!((link.outgoing().queue.len(), answer.try_recv().is_err()), (1, true));
    }

    #[test]
    fn a_link_without_an_engine_takes_little() {
        let link = link();
        let (_, answers): (Vec<_>, Vec<_>) = (0..WAITING_APART_MAX).map(|_| post(&link, cancel(None))).unzip();
        let (reply, _answer) = oneshot::channel();
        let hold = Ask::Hold(
            Caller { account: "acc_kim".parse().unwrap(), admin: false },
            HoldId { performance: PERFORMANCE, number: 0, nonce: 0 },
        );
        let request = |number| Request::Ask { number, performance: PERFORMANCE, ask: hold.clone() };
        let full = link.post(request, true, Reply::Outcome(reply));
        assert_eq!(full, Err(Failure::Overloaded));
        drop(answers);
        let (reply, _answer) = oneshot::channel();
        link.post(request, true, Reply::Outcome(reply)).expect("who went away makes room");
    }
}
