//! The engine's own network face: edges in other processes ask over it, and learn what everybody may see.
//!
//! There is one task a connection, and it has no queue: what is under way is bounded, and behind that the socket fills.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{Client, Performance};
use crate::feed::{Publication, Rules};
use crate::id::PerformanceId;
use crate::journal::Durability;
use crate::mailbox::Failure;
use crate::wire::message::{Delta, Introduction, Notice, Request};
use crate::wire::{Key, PATIENCE, PULSE, WireError, frame, hello};

/// Requests of one connection under way.
const UNDER_WAY_MAX: usize = 16_384;
/// Connections, however many edges there are.
const CONNECTIONS_MAX: usize = 1_024;
/// Between two looks at what there is to tell that no answer has told.
const LOOK: Duration = Duration::from_millis(25);
/// So many looks are a pulse.
const LOOKS_PER_PULSE: u32 = (PULSE.as_millis() / LOOK.as_millis()) as u32;

/// Serves edges until `shutdown`; then what is under way is answered first. On a thread that runs actix, best the owner's.
pub async fn run(listener: TcpListener, client: Client, key: Key, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) if connections.len() < CONNECTIONS_MAX => {
                let (client, key, shutdown) = (client.clone(), key.clone(), shutdown.clone());
                connections.spawn_local(async move {
                    if let Err(error) = serve(stream, client, &key, shutdown).await {
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

async fn serve(mut stream: TcpStream, client: Client, key: &Key, shutdown: CancellationToken) -> Result<(), WireError> {
    stream.set_nodelay(true)?;
    hello::as_engine(&mut stream, key).await?;
    let (reader, mut writer) = stream.into_split();
    let mut frames = frame::frames(reader);
    let mut line = Line::new(client);
    line.catch_up();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = false;
    loop {
        if !line.out.is_empty() {
            timeout(PATIENCE, writer.write_all(&line.out)).await.map_err(|_| WireError::Silent)??;
            line.out.clear();
        }
        if stopping && line.under_way.is_empty() {
            return Ok(());
        }
        tokio::select! {
            archive = frame::next(&mut frames), if !stopping && line.under_way.len() < UNDER_WAY_MAX => {
                let mut archive = Some(archive);
                while let Some(next) = archive.take() {
                    match next {
                        // An edge that goes away in good order is no failure.
                        Err(WireError::Closed) => return Ok(()),
                        next => line.take(frame::read(&next?)?)?,
                    }
                    archive = frame::next(&mut frames).now_or_never();
                }
            }
            Some(answer) = line.under_way.next() => line.answer(answer),
            _ = looks.tick() => line.look(),
            () = shutdown.cancelled(), if !stopping => stopping = true,
        }
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
    looks: u32,
    /// Frames to be written.
    out: Vec<u8>,
}

/// What an edge has been told of a performance.
struct Told {
    publication: Arc<Publication>,
    rules: Arc<Rules>,
    version: u64,
    packed: Vec<u8>,
}

impl Line {
    fn new(client: Client) -> Self {
        let (under_way, performances) = (FuturesUnordered::new(), BTreeMap::new());
        Self { client, under_way, shows: 0, performances, looks: 0, out: Vec::new() }
    }

    fn tell(&mut self, notice: &Notice) {
        if !frame::append(&mut self.out, notice) {
            tracing::error!("a notice is longer than a frame and was left out");
        }
    }

    fn catch_up(&mut self) {
        self.tell_shows();
        let relaxed = self.client.durability() == Durability::Relaxed;
        self.tell(&Notice::CaughtUp { relaxed });
    }

    fn take(&mut self, request: Request) -> Result<(), WireError> {
        let client = self.client.clone();
        let answer = match request {
            Request::Ask { number, performance: id, ask } => match client.performance(id) {
                Some(known) if !ask.fits(&known.publication.map) => {
                    return Err(WireError::Nonsense("a seat that is not there"));
                }
                Some(known) => {
                    async move { (Some(id), Notice::Answered(number, client.ask(&known, ask).await)) }.boxed_local()
                }
                // The edge learns in a moment where it is.
                None => async move { (None, Notice::Answered(number, Err(Failure::Overloaded))) }.boxed_local(),
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
        };
        self.under_way.push(answer);
        Ok(())
    }

    /// Sends an answer and all others that have come; what they show is told first.
    fn answer(&mut self, first: Answer) {
        let mut answers = vec![first];
        while let Some(Some(next)) = self.under_way.next().now_or_never() {
            answers.push(next);
        }
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
        let known: Vec<_> = self.performances.keys().copied().collect();
        known.into_iter().for_each(|performance| self.tell_performance(performance));
        self.tell_shows();
        self.looks += 1;
        if self.looks.is_multiple_of(LOOKS_PER_PULSE) {
            self.tell(&Notice::Pulse);
        }
    }

    /// A show's performances are told before it, so that it never names one that is not known.
    fn tell_shows(&mut self) {
        let (shows, changes) = self.client.shows().since(self.shows);
        self.shows = changes;
        for show in shows {
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
        let Some(Performance { publication, .. }) = self.client.performance(id) else { return };
        let (rules, seats) = (publication.rules(), publication.seats());
        self.tell(&Notice::Performance(Box::new(Introduction::of(&publication, &rules, &seats))));
        let (version, packed) = (seats.version, seats.packed);
        self.performances.insert(id, Told { publication, rules, version, packed });
    }
}
