//! What one performance has under way to the disk: a batch that gathers while the one before it is written.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::dues::Dues;
use crate::event::{Entry, Event};
use crate::feed::{Histories, Publication, Rules};
use crate::id::{AccountId, BookingId};
use crate::inventory::{Answer, Image, Inventory, SeatState, Tally};
use crate::journal::Stream;
use crate::journal::codec::encode_entries;
use crate::journal::frame::{Body, Chain};
use crate::journal::snapshot::Snapshot;
use crate::mailbox::{Answered, Failure, Mailbox, Outcome};
use crate::seat_map::SeatIndex;
use crate::seeded::Bug;
use crate::time::Timestamp;

/// Of one performance, what one commit makes durable, and what waits for that. Nothing of it leaves before (H1).
#[derive(Debug, Default)]
struct Batch {
    entries: Vec<Entry>,
    waiting: Vec<(oneshot::Sender<Outcome>, Outcome)>,
    touched: Vec<(SeatIndex, SeatState)>,
    tallies: Vec<Tally>,
    /// Who made which bookings, and when.
    booked: Vec<(AccountId, Timestamp, BookingId)>,
    /// Whom tickets of which bookings were given to.
    received: Vec<(AccountId, BookingId)>,
    /// Bookings whose payment somebody has to see to.
    due: Vec<BookingId>,
    rules: Option<Rules>,
    /// A state to be written down, and how many of the entries are in it.
    image: Option<(usize, Image)>,
}

/// See the module. Shared by the performance's actor and the committer of its thread.
#[derive(Debug)]
pub(crate) struct Staging {
    pub(crate) publication: Arc<Publication>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// Where the stream ends on the disk.
    chain: Chain,
    gathering: Batch,
    writing: Batch,
    /// Whether the committer has `gathering` on its list.
    listed: bool,
    /// Of the bodies that are written, how many the image of `writing` holds.
    image_bodies: usize,
    pub(crate) events_since_snapshot: u64,
    /// Whether a snapshot is asked for or being written: one at a time, so that an older one never takes a newer one's
    /// place.
    pub(crate) snapshotting: bool,
    /// When the next hold runs out.
    pub(crate) next_end: Option<Timestamp>,
}

/// A state that is durable as records, and the end of the stream that it stands for.
pub(crate) struct Captured {
    pub(crate) chain: Chain,
    pub(crate) image: Image,
}

impl Staging {
    pub(crate) fn new(inventory: &Inventory, chain: Chain, mailbox: Arc<Mailbox>) -> Self {
        Self {
            publication: Arc::new(Publication::new(inventory, chain.next_sequence)),
            mailbox,
            chain,
            gathering: Batch { tallies: inventory.tallies().to_vec(), ..Batch::default() },
            writing: Batch::default(),
            listed: false,
            image_bodies: 0,
            events_since_snapshot: 0,
            snapshotting: false,
            next_end: inventory.next_end(),
        }
    }

    pub(crate) fn stream(&self) -> Stream {
        Stream(self.publication.performance.0)
    }

    /// How many more commands may be decided before the disk has to catch up.
    pub(crate) fn room(&self) -> usize {
        self.mailbox.capacity().saturating_sub(self.gathering.waiting.len() + self.writing.waiting.len())
    }

    /// Its state, which is durable as it is, and the end of the stream that it stands for.
    pub(crate) fn snapshot(&self, epoch: u64, image: Image) -> Snapshot {
        let Chain { next_sequence, tip } = self.chain;
        Snapshot { epoch, stream: self.stream(), sequence: next_sequence - 1, tip, image }
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.chain.next_sequence
    }

    /// Adds a performance's first event; the committer has to hear of it.
    pub(crate) fn open(&mut self, entry: Entry) {
        self.gathering.entries.push(entry);
        self.listed = true;
    }

    /// Adds an event that was applied, with what its answer lets others see.
    pub(crate) fn push(&mut self, entry: Entry, answer: Option<&Answer>, inventory: &Inventory) {
        match (&entry.event, answer) {
            (Event::HoldBooked(_), Some(Answer::Booking(booking))) => {
                self.gathering.booked.push((booking.buyer, booking.created_at, booking.id));
            }
            (Event::TicketTransferred(given), Some(Answer::Ticket(ticket))) => {
                self.gathering.received.push((given.to, ticket.booking));
            }
            (Event::TermsChanged { .. } | Event::PerformanceCancelled(_), _) => {
                self.gathering.rules = Some(Rules::of(inventory));
            }
            _ => {}
        }
        self.gathering.due.extend(inventory.due_after(&entry.event));
        self.gathering.entries.push(entry);
    }

    /// An answer rests on the state it saw, so it waits until that is durable: with the batch that gathers, with the one
    /// that is written, or not at all.
    pub(crate) fn reply(&mut self, reply: oneshot::Sender<Outcome>, outcome: Outcome) {
        if Bug::AnsweredBeforeFlush.is_on() {
            drop(reply.send(outcome));
        } else if !self.gathering.entries.is_empty() {
            self.gathering.waiting.push((reply, outcome));
        } else if self.is_under_way() {
            self.writing.waiting.push((reply, outcome));
        } else {
            // A receiver that has gone away needs no answer.
            drop(reply.send(outcome));
        }
    }

    /// Notes what the batch has come to; says whether the committer has to hear of it: it does not know of it yet.
    pub(crate) fn stage(&mut self, inventory: &mut Inventory) -> bool {
        self.next_end = inventory.next_end();
        if self.gathering.entries.is_empty() {
            return false;
        }
        self.gathering.touched.extend(inventory.touched());
        self.gathering.tallies.clear();
        self.gathering.tallies.extend_from_slice(inventory.tallies());
        if Bug::VisibleBeforeFlush.is_on() {
            let (touched, tallies) = (&self.gathering.touched, &self.gathering.tallies);
            self.publication.publish(self.chain.next_sequence, inventory.now(), touched, tallies);
        }
        !std::mem::replace(&mut self.listed, true)
    }

    /// Asks for the state to be written down as it is now: with the batch whose end it is, or at once.
    pub(crate) fn capture(&mut self, image: Image) -> Option<Captured> {
        self.snapshotting = true;
        self.events_since_snapshot = 0;
        if !self.gathering.entries.is_empty() {
            self.gathering.image = Some((self.gathering.entries.len(), image));
        } else if self.is_under_way() {
            self.writing.image = Some((self.writing.entries.len(), image));
            self.image_bodies = usize::MAX;
        } else {
            return Some(Captured { chain: self.chain, image });
        }
        None
    }

    /// Whether `writing` is on its way: it has entries from its departure to its arrival.
    fn is_under_way(&self) -> bool {
        !self.writing.entries.is_empty()
    }

    /// How many events are on their way.
    pub(crate) fn events_under_way(&self) -> usize {
        self.writing.entries.len()
    }

    /// Sends the batch on its way: its bodies, in order. The next one begins to gather.
    pub(crate) fn depart(&mut self) -> Vec<Body> {
        std::mem::swap(&mut self.gathering, &mut self.writing);
        self.listed = false;
        let entries = &self.writing.entries;
        let Some((count, _)) = &self.writing.image else { return encode_entries(entries) };
        // The image stands for whole records.
        let (before, after) = entries.split_at(*count);
        let mut bodies = encode_entries(before);
        self.image_bodies = bodies.len();
        if !after.is_empty() {
            bodies.extend(encode_entries(after));
        }
        bodies
    }

    /// The batch is durable, and `chains` are the ends of its records. Lets go what has waited: first what can be seen,
    /// then the answers, so that who has an answer sees what it says.
    pub(crate) fn arrive(&mut self, chains: &[Chain], histories: &Histories, dues: &Dues) -> Option<Captured> {
        self.chain = *chains.last().expect("a batch has entries, and so a record");
        let version = self.chain.next_sequence;
        let batch = &mut self.writing;
        let as_of = batch.entries.last().expect("a batch has entries").at;
        self.publication.publish(version, as_of, &batch.touched, &batch.tallies);
        if let Some(rules) = batch.rules.take() {
            self.publication.publish_rules(rules);
        }
        batch.booked.drain(..).for_each(|(account, at, booking)| histories.push(account, at, booking));
        batch.received.drain(..).for_each(|(account, booking)| histories.receive(account, booking));
        batch.due.drain(..).for_each(|booking| dues.push(booking));
        for (reply, outcome) in batch.waiting.drain(..) {
            // A receiver that has gone away needs no answer.
            drop(reply.send(outcome.map(|answered| answered.standing_in(version - 1))));
        }
        self.events_since_snapshot += batch.entries.len() as u64;
        batch.entries.clear();
        batch.touched.clear();
        let image = batch.image.take();
        self.wake_if_waiting();
        let (_, image) = image?;
        let last = self.image_bodies.min(chains.len()) - 1;
        Some(Captured { chain: chains[last], image })
    }

    /// The journal failed: whether what is on its way is durable is known at the next start only. The state here may be
    /// ahead of the disk, so nothing of it is ever answered again.
    pub(crate) fn abandon(&mut self) {
        let waiting = self.writing.waiting.drain(..).chain(self.gathering.waiting.drain(..));
        waiting.for_each(|(reply, _)| drop(reply.send(Err(Failure::Unknown))));
        // What is left in the mailbox for want of room is told the same.
        self.wake_if_waiting();
    }

    /// Wakes the actor for what it left in its mailbox when there was no room.
    fn wake_if_waiting(&self) {
        if self.mailbox.len() > 0 {
            self.mailbox.wake();
        }
    }
}

impl Answered {
    /// With the record that it stands in, if it stands in one.
    fn standing_in(self, sequence: u64) -> Self {
        Self { sequence: self.sequence.map(|_| sequence), ..self }
    }
}
