//! Availability as it changes, for everybody who listens: server-sent events, each encoded once.
//!
//! Four times a second at most a performance's changes are gathered into one event, by whichever listener looks first; the
//! others find it there. So what a listener costs does not grow with the hall or with the rush, and what a rush costs does
//! not grow with those who listen. Nobody waits in memory either: a listener asks for what came since its last event, and
//! gets everything anew where that is too long ago.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use hyper::body::{Body, Frame};
use onrush_api::availability::{Availability, AvailabilityDelta};
use onrush_api::text::Time;
use onrush_engine::feed::{Publication, Published};
use onrush_engine::id::PerformanceId;
use serde::Serialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::availability::{remaining, seats_text};

/// Changes are gathered for so long.
const GATHERED: Duration = Duration::from_millis(250);
/// Something is said so often at least, so that whoever stands between does not take the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Deltas that are remembered, for who comes back: a minute of a rush.
const DELTAS_MAX: usize = 240;
/// A client that lost its connection comes back after so many milliseconds.
const RETRY_MILLIS: u32 = 1_000;

/// All performances' streams.
pub(crate) struct Streams {
    rooms: DashMap<PerformanceId, Arc<Mutex<Room>>>,
    listeners: AtomicUsize,
    listeners_max: usize,
    keep_alive: Duration,
    /// Of this process: versions of another one may stand for other states.
    epoch: u32,
    closed: AtomicBool,
}

/// What there is to hear of one performance.
struct Room {
    known: Published,
    since: Instant,
    /// Everything, as it is known.
    snapshot: Option<Bytes>,
    deltas: VecDeque<Delta>,
}

/// Leads from one version to that of the next delta, or to the one that is known.
struct Delta {
    from: u64,
    event: Bytes,
}

impl Streams {
    /// For so many listeners, on connections that are cut when they were silent for so long.
    pub(crate) fn new(listeners_max: usize, silence_max: Duration) -> Self {
        Self {
            rooms: DashMap::new(),
            listeners: AtomicUsize::new(0),
            listeners_max,
            keep_alive: KEEP_ALIVE.min(silence_max / 3),
            epoch: rand::random(),
            closed: AtomicBool::new(false),
        }
    }

    /// One more who listens, from behind the event with id `last` on; nothing where there are too many already.
    pub(crate) fn listen(self: &Arc<Self>, publication: Arc<Publication>, last: Option<&str>) -> Option<Listener> {
        let place = Place::take(self, publication.performance)?;
        let room = Arc::clone(&self.rooms.entry(publication.performance).or_insert_with(|| Room::of(&publication)));
        let mut ticks = interval(GATHERED);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let heard = last.and_then(|id| self.version_of(id));
        Some(Listener { publication, room, heard, ticks, spoke: Instant::now(), begun: false, place })
    }

    fn version_of(&self, id: &str) -> Option<u64> {
        let (epoch, version) = id.split_once('-')?;
        let same = u32::from_str_radix(epoch, 16) == Ok(self.epoch);
        same.then(|| version.parse().ok()).flatten()
    }

    /// How many listen.
    pub(crate) fn count(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    /// Ends all streams: the server stops.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl Room {
    fn of(publication: &Publication) -> Arc<Mutex<Self>> {
        let room = Self { known: publication.seats(), since: Instant::now(), snapshot: None, deltas: VecDeque::new() };
        Arc::new(Mutex::new(room))
    }

    /// Gathers what has changed, where that was not done just now.
    fn gather(&mut self, publication: &Publication, epoch: u32) {
        if publication.version() == self.known.version || self.since.elapsed() < GATHERED {
            return;
        }
        let now = publication.seats();
        let delta = AvailabilityDelta {
            version: now.version,
            as_of: Time(now.as_of),
            remaining: remaining(publication, &now),
            seats: changes(&self.known.packed, &now.packed).collect(),
        };
        let event = event(epoch, now.version, "delta", &delta);
        self.deltas.push_back(Delta { from: self.known.version, event });
        let surplus = self.deltas.len().saturating_sub(DELTAS_MAX);
        self.deltas.drain(..surplus);
        (self.known, self.since, self.snapshot) = (now, Instant::now(), None);
    }

    /// What somebody has still to hear who has heard up to `version`.
    fn after(&mut self, version: Option<u64>, publication: &Publication, epoch: u32) -> Option<Bytes> {
        if version == Some(self.known.version) {
            return None;
        }
        let next = self.deltas.iter().position(|delta| Some(delta.from) == version);
        let Some(next) = next else { return Some(self.snapshot(publication, epoch)) };
        let mut events = self.deltas.iter().skip(next).map(|delta| &delta.event);
        let first = events.next()?.clone();
        Some(events.fold(first, |all, event| [all, event.clone()].concat().into()))
    }

    fn snapshot(&mut self, publication: &Publication, epoch: u32) -> Bytes {
        let known = &self.known;
        let encode = || {
            let all = Availability {
                version: known.version,
                as_of: Time(known.as_of),
                remaining: remaining(publication, known),
                seats: Some(seats_text(known)),
            };
            event(epoch, known.version, "snapshot", &all)
        };
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
    place: Place,
}

impl Listener {
    fn next(&mut self) -> Option<Bytes> {
        let epoch = self.place.streams.epoch;
        let mut room = lock(&self.room);
        room.gather(&self.publication, epoch);
        let event = room.after(self.heard, &self.publication, epoch);
        self.heard = Some(room.known.version);
        event
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
            return self.say(format!("retry: {RETRY_MILLIS}\n\n").into());
        }
        loop {
            ready!(self.ticks.poll_tick(cx));
            if self.place.streams.closed.load(Ordering::Relaxed) {
                return Poll::Ready(None);
            }
            if let Some(event) = self.next() {
                return self.say(event);
            }
            if self.spoke.elapsed() >= self.place.streams.keep_alive {
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
}

impl Place {
    fn take(streams: &Arc<Streams>, performance: PerformanceId) -> Option<Self> {
        let place = Self { streams: Arc::clone(streams), performance };
        (streams.listeners.fetch_add(1, Ordering::Relaxed) < streams.listeners_max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.listeners.fetch_sub(1, Ordering::Relaxed);
        // The last one out; where somebody comes in just then, there are two rooms for a while, which is no harm.
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
    fn an_id_of_another_process_is_nobodys() {
        let streams = Streams { epoch: 0xAB, ..Streams::new(1, KEEP_ALIVE) };
        assert_eq!(streams.version_of("000000ab-7"), Some(7));
        for id in ["000000ac-7", "7", "000000ab-", "000000ab-x", "-7", ""] {
            assert_eq!(streams.version_of(id), None, "{id}");
        }
    }
}
