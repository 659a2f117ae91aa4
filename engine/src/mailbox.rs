//! A performance's mailbox: a bounded ring, and one wake-up for all that came since the last.
//!
//! actix's own mailbox is no bound (every clone of an address gets one message through), and costs an allocation and a
//! wake-up a message. The ring carries the commands; actix carries one [`Wake`] whenever the ring was empty.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::{Message, Recipient};
use crossbeam::queue::ArrayQueue;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::command::{Caller, Command};
use crate::id::{BookingId, EngineId, HoldId, TicketId};
use crate::inventory::Answer;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

/// What can be asked of a performance.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Ask {
    /// A change.
    Command(Command),
    /// A hold as it is.
    Hold(Caller, HoldId),
    /// A booking as it is.
    Booking(Caller, BookingId),
    /// The bookings with these numbers.
    Bookings(Caller, std::ops::Range<u32>),
    /// A ticket as it is.
    Ticket(Caller, TicketId),
    /// A booking's tickets.
    Tickets(Caller, BookingId),
    /// A booking's payment: for whoever sees to it, and for nobody who comes from outside.
    Payment(BookingId),
}

/// What became of it.
pub type Outcome = Result<Answered, Failure>;

/// What was asked is done, durably.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Answered {
    /// What there is to tell.
    pub answer: Answer,
    /// The record that it stands in; nothing where nothing was changed.
    pub sequence: Option<u64>,
    /// Whether this answers a request that came before.
    pub replayed: bool,
}

/// What was asked is not done, or it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Error, Archive, Serialize, Deserialize)]
pub enum Failure {
    /// The rules do not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The journal failed under it, or the engine stopped: it may be done or not.
    #[error("the outcome is not known")]
    Unknown,
    /// Too much is waiting, or it waited too long. Nothing was done.
    #[error("too much is waiting")]
    Overloaded,
    /// The request makes no sense, and no honest edge sends it. Nothing was done.
    #[error("the request makes no sense")]
    Nonsense,
    /// The disk is nearly full: nothing new is taken, and what was begun can be ended.
    #[error("the disk is nearly full")]
    DiskLow,
}

/// What waits in a mailbox.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) ask: Ask,
    /// Past this it is dropped.
    pub(crate) deadline: Timestamp,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

/// Something waits in the mailbox, or a hold's time is up.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// See the module.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// Boxed, so that a mailbox of thousands of places is small.
    ring: ArrayQueue<Box<Envelope>>,
    /// Whether a [`Wake`] is on its way.
    armed: AtomicBool,
    actor: OnceLock<Recipient<Wake>>,
    /// Whom the performance was given to, once that is durable: then nobody has to be woken.
    handed_over: OnceLock<EngineId>,
}

impl Mailbox {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            ring: ArrayQueue::new(capacity),
            armed: AtomicBool::new(false),
            actor: OnceLock::new(),
            handed_over: OnceLock::new(),
        }
    }

    /// Tells the mailbox whom to wake; once, before anybody knows of it.
    pub(crate) fn belongs_to(&self, actor: Recipient<Wake>) {
        let first = self.actor.set(actor).is_ok();
        assert!(first, "a mailbox has one owner");
    }

    /// Puts an envelope in; gives the refusal of a full mailbox to whoever waits for the reply.
    pub(crate) fn push(&self, envelope: Envelope) {
        match self.ring.push(Box::new(envelope)) {
            // The actor may have ended before it came.
            Ok(()) if self.handed_over().is_some() => self.refuse_all(),
            Ok(()) => self.wake(),
            // A receiver that has gone away needs no answer.
            Err(envelope) => drop(envelope.reply.send(Err(Failure::Overloaded))),
        }
    }

    /// Notes that the performance was given away, durably.
    pub(crate) fn give_away(&self, to: EngineId) {
        // Twice is once: it goes to one engine.
        self.handed_over.set(to).ok();
    }

    /// Whom the performance was given to, if it was.
    pub(crate) fn handed_over(&self) -> Option<EngineId> {
        self.handed_over.get().copied()
    }

    /// Tells whoever waits that the performance was given away.
    pub(crate) fn refuse_all(&self) {
        while let Some(envelope) = self.pop() {
            // A receiver that has gone away needs no answer.
            drop(envelope.reply.send(Err(Refusal::HandedOver.into())));
        }
    }

    pub(crate) fn wake(&self) {
        if !self.armed.swap(true, Ordering::SeqCst)
            && let Some(actor) = self.actor.get()
        {
            actor.do_send(Wake);
        }
    }

    /// To be called before the ring is emptied: what comes later than that sends a wake-up of its own.
    pub(crate) fn disarm(&self) {
        self.armed.store(false, Ordering::SeqCst);
    }

    pub(crate) fn pop(&self) -> Option<Box<Envelope>> {
        self.ring.pop()
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.ring.capacity()
    }
}
