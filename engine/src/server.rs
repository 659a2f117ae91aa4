//! The engine's own network face: edges in other processes ask over it, and learn what everybody may see.
//!
//! There is one task a connection, and it has no queue: what is under way is bounded, and behind that the socket fills.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::Client;
use crate::feed::{Leaving, Publication, Rules};
use crate::handover::{HandOverFailure, PARCEL_LEN_MAX};
use crate::id::{BookingId, EngineId, PerformanceId};
use crate::journal::Durability;
use crate::lease::Replaced;
use crate::mailbox::Failure;
use crate::refusal::Refusal;
use crate::wire::message::{Delta, Introduction, Notice, Parcel, Request};
use crate::wire::{Credentials, PATIENCE, PULSE, Stream, WireError, frame};

/// Requests of one connection under way.
const UNDER_WAY_MAX: usize = 16_384;
/// Connections, however many edges there are.
const CONNECTIONS_MAX: usize = 1_024;
/// Between two looks at what there is to tell that no answer has told.
const LOOK: Duration = Duration::from_millis(25);

/// Those of them that have not said yet who they are.
const STRANGERS_MAX: usize = 64;

/// Serves edges until `shutdown`; then what is under way is answered first. On a thread that runs actix, best the owner's.
pub async fn run(listener: TcpListener, client: Client, credentials: Credentials, shutdown: CancellationToken) {
    let outstanding = Rc::<RefCell<Outstanding>>::default();
    let gather = Outstanding::gather(Rc::clone(&outstanding), client.clone());
    tokio::pin!(gather);
    let (connections, strangers) = (TaskTracker::new(), Arc::new(Semaphore::new(STRANGERS_MAX)));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
            () = &mut gather => continue,
        };
        match accepted {
            Ok((stream, peer)) if connections.len() < CONNECTIONS_MAX + STRANGERS_MAX => {
                let Ok(place) = Arc::clone(&strangers).try_acquire_owned() else {
                    tracing::warn!(%peer, "too many connections of which nobody says who they are");
                    continue;
                };
                let (credentials, shutdown) = (credentials.clone(), shutdown.clone());
                let line = Line::new(client.clone(), Rc::clone(&outstanding));
                connections.spawn_local(async move {
                    if let Err(error) = serve(stream, line, &credentials, shutdown, place).await {
                        tracing::warn!(%peer, error = &error as &dyn std::error::Error, "an edge's connection ended");
                    }
                });
            }
            Ok((_, peer)) => tracing::warn!(%peer, "too many connections"),
            Err(error) => {
                // Of too many open files, say: no reason to spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

async fn serve(
    stream: TcpStream,
    line: Line,
    credentials: &Credentials,
    shutdown: CancellationToken,
    place: OwnedSemaphorePermit,
) -> Result<(), WireError> {
    stream.set_nodelay(true)?;
    let stream = credentials.as_engine(stream).await?;
    drop(place);
    match stream {
        Stream::Plain(stream) => {
            let (reader, writer) = stream.into_split();
            converse(reader, writer, line, shutdown).await
        }
        Stream::Tls(stream) => {
            let (reader, writer) = tokio::io::split(stream);
            converse(reader, writer, line, shutdown).await
        }
    }
}

async fn converse<R, W>(reader: R, mut writer: W, mut line: Line, shutdown: CancellationToken) -> Result<(), WireError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut frames = frame::frames(reader);
    let Some(engine) = line.client.name().await else { return Ok(()) };
    line.catch_up(engine);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pulses = interval(PULSE);
    let (mut stops_by, mut edge_is_gone) = (None, false);
    loop {
        if !line.out.is_empty() {
            line.client.may_answer().await.map_err(|Replaced| WireError::Replaced)?;
            say(&mut writer, &line).await?;
            line.out.clear();
        }
        if edge_is_gone && (stops_by.is_none() || line.under_way.is_empty()) {
            return Ok(());
        }
        tokio::select! {
            archive = frame::next(&mut frames), if !edge_is_gone && line.under_way.len() < UNDER_WAY_MAX => {
                let mut archive = Some(archive);
                while let Some(next) = archive.take() {
                    match next {
                        // An edge that goes away in good order is no failure.
                        Err(WireError::Closed) => edge_is_gone = true,
                        next if stops_by.is_some() => line.leave(&frame::read(&next?)?),
                        next => line.take(frame::read(&next?)?),
                    }
                    archive = frame::next(&mut frames).now_or_never().filter(|_| !edge_is_gone);
                }
            }
            Some(answer) = line.under_way.next() => line.answer(answer),
            _ = looks.tick() => line.look(),
            _ = pulses.tick() => line.tell(&Notice::Pulse),
            // The edge says nothing more once it knows, and closes its half: then all that it has said is answered.
            () = shutdown.cancelled(), if stops_by.is_none() => {
                stops_by = Some(Instant::now() + PATIENCE);
                line.tell(&Notice::Stopping);
            }
            () = sleep_until(stops_by.unwrap_or_else(Instant::now)), if stops_by.is_some() => return Err(WireError::Silent),
        }
    }
}

/// Says what there is to say, as long as it may be said. Most is taken at once, and needs no watch over the time.
async fn say<W: AsyncWrite + Unpin>(writer: &mut W, line: &Line) -> Result<(), WireError> {
    let mut said = pin!(frame::write(writer, &line.out));
    if let Some(said) = said.as_mut().now_or_never() {
        return said;
    }
    tokio::select! {
        biased;
        () = line.client.may_answer_no_more() => Err(WireError::Replaced),
        said = said => said,
    }
}

/// An answer that has come, and of which performance.
type Answer = (Option<PerformanceId>, Notice);

/// One connection: what is under way on it, and what its edge has been told.
struct Line {
    client: Client,
    under_way: FuturesUnordered<LocalBoxFuture<'static, Answer>>,
    /// How many changes of shows have been told.
    shows: u64,
    performances: BTreeMap<PerformanceId, Told>,
    /// How often performances had come and gone at the last look.
    moves: u64,
    /// States that are being taken over, as far as they have come.
    parcels: BTreeMap<PerformanceId, Vec<u8>>,
    outstanding: Rc<RefCell<Outstanding>>,
    /// How many dues have been told.
    dues: u64,
    /// Frames to be written.
    out: Vec<u8>,
}

/// The bookings whose payment somebody has to see to. Every edge is told of each, as often as it is named: who sees to
/// payments is with one of them, and finds out what has to be done. Grows with the bookings that cost something.
#[derive(Default)]
struct Outstanding {
    /// By when they were named last, counted in namings.
    order: BTreeMap<u64, BookingId>,
    last: BTreeMap<BookingId, u64>,
    named: u64,
}

impl Outstanding {
    /// Takes what the engine names, without end.
    async fn gather(outstanding: Rc<RefCell<Self>>, client: Client) {
        loop {
            let due = client.dues().take().await;
            due.into_iter().for_each(|booking| outstanding.borrow_mut().name(booking));
        }
    }

    fn name(&mut self, booking: BookingId) {
        self.named += 1;
        if let Some(before) = self.last.insert(booking, self.named) {
            self.order.remove(&before);
        }
        self.order.insert(self.named, booking);
    }

    /// What was named since there had been so many namings; and how many there are now.
    fn since(&self, named: u64) -> (Vec<BookingId>, u64) {
        (self.order.range(named + 1..).map(|(_, booking)| *booking).collect(), self.named)
    }
}

/// What an edge has been told of a performance.
struct Told {
    publication: Arc<Publication>,
    rules: Arc<Rules>,
    version: u64,
    packed: Vec<u8>,
}

impl Line {
    fn new(client: Client, outstanding: Rc<RefCell<Outstanding>>) -> Self {
        let (under_way, performances) = (FuturesUnordered::new(), BTreeMap::new());
        Self {
            client,
            under_way,
            shows: 0,
            performances,
            moves: 0,
            parcels: BTreeMap::new(),
            outstanding,
            dues: 0,
            out: Vec::new(),
        }
    }

    fn tell(&mut self, notice: &Notice) {
        if !frame::append(&mut self.out, notice) {
            tracing::error!("a notice is longer than a frame and was left out");
        }
    }

    fn catch_up(&mut self, engine: EngineId) {
        self.tell_moves();
        self.tell_shows();
        let relaxed = self.client.durability() == Durability::Relaxed;
        self.tell(&Notice::CaughtUp { engine, relaxed });
    }

    /// Performances that have come, and of those that have gone nothing more.
    fn tell_moves(&mut self) {
        let moves = self.client.moves();
        if std::mem::replace(&mut self.moves, moves) == moves {
            return;
        }
        let here = self.client.performances_here();
        self.performances
            .retain(|id, told| here.get(id).is_some_and(|known| Arc::ptr_eq(&known.publication, &told.publication)));
        here.into_keys().for_each(|performance| self.tell_performance(performance));
    }

    /// Nothing more is begun: the edge may ask the next engine.
    fn leave(&mut self, request: &Request) {
        self.tell(&Notice::NotTaken(request.number()));
    }

    fn take(&mut self, request: Request) {
        let client = self.client.clone();
        let answer = match request {
            Request::Ask { number, performance: id, ask } => match client.performance(id) {
                Some(known) if !ask.fits(&known.publication.map) => {
                    tracing::error!(%id, "an edge asks for what cannot be");
                    async move { (None, Notice::Answered(number, Err(Failure::Nonsense))) }.boxed_local()
                }
                Some(known) => async move { (Some(id), Notice::Answered(number, client.ask_once(&known, ask).await)) }
                    .boxed_local(),
                // The edge learns in a moment where it is.
                None => async move { (None, Notice::Answered(number, Err(Refusal::HandedOver.into()))) }.boxed_local(),
            },
            Request::Register { number, command, opening } => {
                async move { (None, Notice::Registered(number, client.register(command, opening).await)) }.boxed_local()
            }
            Request::History { number, account, newest } => async move {
                let history = client.history(&account, newest as usize).await;
                // An engine knows its own.
                (None, Notice::History(number, history.unwrap_or_default()))
            }
            .boxed_local(),
            Request::HandOver { number, performance, to, from } => async move {
                let whole = client.hand_over_here(performance, to).await;
                (None, Notice::Parcel(number, whole.map(|whole| Parcel::of(&whole, from))))
            }
            .boxed_local(),
            Request::TakeOver { number, performance, from, part, is_last } => {
                let gathered = self.gather(performance, from, part, is_last);
                async move {
                    let taken = match gathered {
                        Ok(Some(parcel)) => client.take_over_here(parcel).await,
                        other => other.map(drop),
                    };
                    (None, Notice::TakenOver(number, taken))
                }
                .boxed_local()
            }
            Request::Leaving { number, show } => {
                let leaving = client.shows().released(show).map(|leaving| Box::new(Leaving::clone(&leaving)));
                async move { (None, Notice::Leaving(number, leaving)) }.boxed_local()
            }
        };
        self.under_way.push(answer);
    }

    /// The whole of a state, once its last part has come.
    fn gather(
        &mut self,
        performance: PerformanceId,
        from: u64,
        part: Vec<u8>,
        is_last: bool,
    ) -> Result<Option<Vec<u8>>, HandOverFailure> {
        let parcel = self.parcels.entry(performance).or_default();
        // An earlier try may have broken off.
        parcel.truncate(usize::try_from(from).unwrap_or(usize::MAX));
        if parcel.len() as u64 != from {
            return Err(HandOverFailure::Unreadable);
        }
        parcel.extend(part);
        if self.parcels.values().map(Vec::len).sum::<usize>() > PARCEL_LEN_MAX {
            self.parcels.clear();
            return Err(HandOverFailure::Unreadable);
        }
        Ok(if is_last { self.parcels.remove(&performance) } else { None })
    }

    /// Sends an answer and all others that have come; what they show is told first.
    fn answer(&mut self, first: Answer) {
        let mut answers = vec![first];
        while let Some(Some(next)) = self.under_way.next().now_or_never() {
            answers.push(next);
        }
        self.tell_moves();
        let touched: BTreeSet<_> = answers.iter().filter_map(|(performance, _)| *performance).collect();
        touched.into_iter().for_each(|performance| self.tell_performance(performance));
        self.tell_shows();
        for (_, notice) in answers {
            self.tell_answer(&notice);
        }
    }

    fn tell_answer(&mut self, notice: &Notice) {
        if frame::append(&mut self.out, notice) {
            return;
        }
        // What cannot be told is not known to whoever asked; it may ask for less.
        if let Notice::Answered(number, _) = notice {
            tracing::error!("an answer is longer than a frame");
            self.tell(&Notice::Answered(*number, Err(Failure::Unknown)));
        }
    }

    fn look(&mut self) {
        self.tell_moves();
        let known: Vec<_> = self.performances.keys().copied().collect();
        known.into_iter().for_each(|performance| self.tell_performance(performance));
        self.tell_shows();
        self.tell_dues();
    }

    fn tell_dues(&mut self) {
        let (news, named) = self.outstanding.borrow().since(self.dues);
        self.dues = named;
        news.into_iter().for_each(|booking| self.tell(&Notice::Due(booking)));
    }

    /// A show's performances are told before it, so that it never names one that is not known.
    fn tell_shows(&mut self) {
        let news = self.client.shows().since(self.shows);
        self.shows = news.changes;
        news.withdrawn.into_iter().for_each(|show| self.tell(&Notice::Withdrawn(show)));
        for show in news.shows {
            show.performances.iter().for_each(|performance| self.tell_performance(*performance));
            self.tell(&Notice::Show(show.as_ref().clone()));
        }
    }

    fn tell_performance(&mut self, id: PerformanceId) {
        let Some(told) = self.performances.get_mut(&id) else { return self.introduce(id) };
        let (rules, mut news) = (told.publication.rules(), Vec::new());
        if !Arc::ptr_eq(&rules, &told.rules) {
            news.push(Notice::Rules(id, Rules::clone(&rules)));
            told.rules = rules;
        }
        if told.publication.version() != told.version {
            let now = told.publication.seats();
            news.push(Notice::Seats(Box::new(Delta::between(id, &told.packed, &now))));
            (told.version, told.packed) = (now.version, now.packed);
        }
        news.iter().for_each(|notice| self.tell(notice));
    }

    fn introduce(&mut self, id: PerformanceId) {
        let Some(known) = self.client.performance(id) else { return };
        let (handed_over, publication) = (known.handed_over(), known.publication);
        let (rules, seats) = (publication.rules(), publication.seats());
        self.tell(&Notice::Performance(Box::new(Introduction::of(&publication, &rules, &seats, handed_over))));
        let (version, packed) = (seats.version, seats.packed);
        self.performances.insert(id, Told { publication, rules, version, packed });
    }
}
