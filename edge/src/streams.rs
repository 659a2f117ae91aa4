//! Availability as it changes, for everybody who listens: server-sent events, each encoded once.
//!
//! Four times a second at most a performance's changes are gathered into one event, by whichever listener looks first; the
//! others find it there. So what has to be encoded does not grow with those who listen, nor with the rush; looking and
//! sending does. Nothing waits in memory for anybody: a listener asks for what came after its last event, one event after
//! the other, and gets everything anew where that is too long ago.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use hyper::body::{Body, Frame};
use onrush_api::availability::AvailabilityDelta;
use onrush_api::text::Time;
use onrush_engine::feed::{Publication, Published};
use onrush_engine::id::PerformanceId;
use serde::Serialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::availability::{describe, remaining};
use crate::connections::{Connection, Connections};

/// Changes are gathered for so long.
const GATHERED: Duration = Duration::from_millis(250);
/// Something is said so often at least, so that whoever stands between does not take the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Deltas that are remembered, for who comes back: a minute of a rush,
const DELTAS_MAX: usize = 240;
/// and so many bytes: whoever has missed more is told everything anew in less.
const DELTAS_BYTES_MAX: usize = 256 * 1024;
/// A client that lost its connection comes back after so many milliseconds, each at another time.
const RETRY_MILLIS: Range<u32> = 1_000..4_000;

/// All performances' streams.
pub(crate) struct Streams {
    rooms: DashMap<PerformanceId, Arc<Mutex<Room>>>,
    /// Who listens, in all and from one place.
    listeners: Arc<Connections>,
    /// Of this process: versions of another one may stand for other states.
    epoch: u32,
    closing: Closing,
}

/// When all streams end, and how often one says something at least. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Closing {
    closed: Arc<AtomicBool>,
    keep_alive: Duration,
}

impl Closing {
    /// Whether the server stops.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// A stream that was silent for so long says something.
    pub(crate) fn keep_alive(&self) -> Duration {
        self.keep_alive
    }
}

/// What there is to hear of one performance.
struct Room {
    known: Published,
    since: Instant,
    /// Everything, as it is known.
    snapshot: Option<Bytes>,
    /// Each leads to the version that the next one comes from, and the last to the one that is known.
    deltas: VecDeque<Delta>,
    deltas_bytes: usize,
}

struct Delta {
    from: u64,
    to: u64,
    event: Bytes,
}

impl Streams {
    /// For so many listeners, on connections that are cut when they were silent for so long.
    pub(crate) fn new(listeners_max: usize, per_prefix_max: usize, silence_max: Duration) -> Self {
        Self {
            rooms: DashMap::new(),
            listeners: Arc::new(Connections::new(listeners_max, per_prefix_max)),
            epoch: rand::random(),
            closing: Closing { closed: Arc::default(), keep_alive: KEEP_ALIVE.min(silence_max / 3) },
        }
    }

    /// One more who listens, from behind the event with id `last` on; nothing where there are too many already.
    pub(crate) fn listen(
        self: &Arc<Self>,
        publication: Arc<Publication>,
        last: Option<&str>,
        peer: IpAddr,
    ) -> Option<Listener> {
        let (streams, performance) = (Arc::clone(self), publication.performance);
        let place = Place { _counted: self.listeners.open(peer)?, streams, performance };
        let room = Arc::clone(&self.rooms.entry(publication.performance).or_insert_with(|| Room::of(&publication)));
        let mut ticks = interval(GATHERED);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let heard = last.and_then(|id| self.version_of(id));
        Some(Listener { publication, room, heard, ticks, spoke: Instant::now(), begun: false, behind: false, place })
    }

    /// One more who listens to something else; nothing where there are too many already.
    pub(crate) fn place(&self, peer: IpAddr) -> Option<(Connection, Closing)> {
        Some((self.listeners.open(peer)?, self.closing.clone()))
    }

    fn version_of(&self, id: &str) -> Option<u64> {
        let (epoch, version) = id.split_once('-')?;
        let same = u32::from_str_radix(epoch, 16) == Ok(self.epoch);
        same.then(|| version.parse().ok()).flatten()
    }

    /// How many listen.
    pub(crate) fn count(&self) -> usize {
        self.listeners.count()
    }

    /// Ends all streams: the server stops.
    pub(crate) fn close(&self) {
        self.closing.closed.store(true, Ordering::Relaxed);
    }
}

impl Room {
    fn of(publication: &Publication) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            known: publication.seats(),
            since: Instant::now(),
            snapshot: None,
            deltas: VecDeque::new(),
            deltas_bytes: 0,
        }))
    }

    /// Gathers what has changed, where that was not done just now.
    fn gather(&mut self, publication: &Publication, epoch: u32) {
        if publication.version() == self.known.version || self.since.elapsed() < GATHERED {
            return;
        }
        let now = publication.seats();
        self.since = Instant::now();
        if now.packed == self.known.packed {
            // A payment, a ticket, a rule: nobody here has to hear of that.
            return;
        }
        let delta = AvailabilityDelta {
            version: now.version,
            as_of: Time(now.as_of),
            remaining: remaining(publication, &now),
            seats: changes(&self.known.packed, &now.packed).collect(),
        };
        let event = event(epoch, now.version, "delta", &delta);
        self.remember(Delta { from: self.known.version, to: now.version, event });
        (self.known, self.snapshot) = (now, None);
    }

    fn remember(&mut self, delta: Delta) {
        self.deltas_bytes += delta.event.len();
        self.deltas.push_back(delta);
        while self.deltas.len() > DELTAS_MAX || self.deltas_bytes > DELTAS_BYTES_MAX {
            let Some(oldest) = self.deltas.pop_front() else { break };
            self.deltas_bytes -= oldest.event.len();
        }
    }

    /// What somebody has to hear next who has heard up to `version`, and which version that leads to.
    fn after(&mut self, version: Option<u64>, publication: &Publication, epoch: u32) -> Option<(Bytes, u64)> {
        if version == Some(self.known.version) {
            return None;
        }
        // A hole before it, from one delta to the next, there is none; so the versions grow.
        let next = version.and_then(|version| self.deltas.binary_search_by_key(&version, |delta| delta.from).ok());
        let delta = next.map(|next| &self.deltas[next]);
        Some(match delta {
            Some(delta) => (delta.event.clone(), delta.to),
            None => (self.snapshot(publication, epoch), self.known.version),
        })
    }

    fn snapshot(&mut self, publication: &Publication, epoch: u32) -> Bytes {
        let known = &self.known;
        let encode = || event(epoch, known.version, "snapshot", &describe(publication, known));
        self.snapshot.get_or_insert_with(encode).clone()
    }
}

/// An event as it goes over the wire (WHATWG HTML, section 9.2).
fn event(epoch: u32, version: u64, name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("the API's types are plain and always make JSON");
    format!("id: {epoch:08x}-{version}\nevent: {name}\ndata: {data}\n\n").into()
}

/// Which seats are in another state, by their place in the seat map, and in which.
fn changes<'a>(before: &'a [u8], after: &'a [u8]) -> impl Iterator<Item = (u32, u8)> + 'a {
    let state = |packed: u8, place: u32| packed >> (place * 2) & 3;
    let bytes = (0u32..).zip(before.iter().zip(after)).filter(|(_, (before, after))| before != after);
    bytes.flat_map(move |(byte, (before, after))| {
        let changed = (0..4).filter(move |place| state(*before, *place) != state(*after, *place));
        changed.map(move |place| (byte * 4 + place, state(*after, place)))
    })
}

/// One who listens: the body of an answer that goes on.
pub(crate) struct Listener {
    publication: Arc<Publication>,
    room: Arc<Mutex<Room>>,
    /// Up to which version; nothing where everything has to be told.
    heard: Option<u64>,
    ticks: Interval,
    /// When something was said last.
    spoke: Instant,
    begun: bool,
    /// There is more to hear than was said last.
    behind: bool,
    place: Place,
}

impl Listener {
    fn next(&mut self) -> Option<Bytes> {
        let epoch = self.place.streams.epoch;
        let mut room = lock(&self.room);
        room.gather(&self.publication, epoch);
        let (event, version) = room.after(self.heard, &self.publication, epoch)?;
        (self.heard, self.behind) = (Some(version), version != room.known.version);
        Some(event)
    }

    fn say(&mut self, event: Bytes) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.spoke = Instant::now();
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

impl Body for Listener {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !std::mem::replace(&mut self.begun, true) {
            return self.say(format!("retry: {}\n\n", rand::random_range(RETRY_MILLIS)).into());
        }
        loop {
            if !std::mem::take(&mut self.behind) {
                ready!(self.ticks.poll_tick(cx));
            }
            if self.place.streams.closing.is_closed() {
                return Poll::Ready(None);
            }
            if let Some(event) = self.next() {
                return self.say(event);
            }
            if self.spoke.elapsed() >= self.place.streams.closing.keep_alive {
                return self.say(Bytes::from_static(b":\n\n"));
            }
        }
    }
}

fn lock(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of those that there may be, until dropped.
struct Place {
    streams: Arc<Streams>,
    performance: PerformanceId,
    _counted: Connection,
}

impl Drop for Place {
    fn drop(&mut self) {
        // The last one out.
        self.streams.rooms.remove_if(&self.performance, |_, room| Arc::strong_count(room) == 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_place_and_state() {
        let before = [0b00_00_00_00, 0b11_00_10_01, 0b01_00_00_00];
        let after = [0b00_00_00_00, 0b11_01_10_00, 0b10_00_00_00];
        assert_eq!(changes(&before, &after).collect::<Vec<_>>(), [(4, 0), (6, 1), (11, 2)]);
        assert_eq!(changes(&after, &after).count(), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let known =
            Published { version: 0, as_of: onrush_engine::time::Timestamp::MIN, packed: vec![], tallies: vec![] };
        let (snapshot, deltas) = (None, VecDeque::new());
        let mut room = Room { known, since: Instant::now(), snapshot, deltas, deltas_bytes: 0 };
        let delta = |from: u64, length: usize| Delta { from, to: from + 1, event: vec![0; length].into() };
        (0..1_000).for_each(|from| room.remember(delta(from, 10)));
        assert_eq!((room.deltas.len(), room.deltas[0].from), (DELTAS_MAX, 760));
        room.remember(delta(1_000, DELTAS_BYTES_MAX));
        assert_eq!((room.deltas.len(), room.deltas_bytes), (1, DELTAS_BYTES_MAX));
        room.remember(delta(1_001, DELTAS_BYTES_MAX + 1));
        assert_eq!((room.deltas.len(), room.deltas_bytes), (0, 0), "too much to be remembered at all");
    }

    #[test]
    fn an_id_of_another_process_is_nobodys() {
        let streams = Streams { epoch: 0xAB, ..Streams::new(1, 1, KEEP_ALIVE) };
        assert_eq!(streams.version_of("000000ab-7"), Some(7));
        for id in ["000000ac-7", "7", "000000ab-", "000000ab-x", "-7", ""] {
            assert_eq!(streams.version_of(id), None, "{id}");
        }
    }
}
