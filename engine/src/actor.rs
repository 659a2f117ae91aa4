//! A performance's actor: empties its mailbox, decides, applies, and stages what has to be durable.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler, Message};
use tokio::sync::oneshot;

use crate::command::Command;
use crate::committer::Committer;
use crate::event::{Entry, Event};
use crate::feed::{Publication, Rules};
use crate::id::{AccountId, BookingId};
use crate::inventory::{Answer, Decision, Inventory, SeatState, Tally};
use crate::journal::Stream;
use crate::journal::snapshot::Snapshot;
use crate::mailbox::{Answered, Ask, Envelope, Failure, Mailbox, Outcome, Wake};
use crate::metrics::CommandResult;
use crate::refusal::Refusal;
use crate::seat_map::SeatIndex;
use crate::time::Timestamp;

/// Commands of one turn; then the other actors of the thread have theirs.
const COMMANDS_PER_TURN_MAX: usize = 1024;

/// One performance on its owner's thread.
pub(crate) struct SeatActor {
    inventory: Inventory,
    mailbox: Arc<Mailbox>,
    staging: Rc<RefCell<Staging>>,
    committer: Rc<RefCell<Committer>>,
}

/// What one performance has for the next commit. Nothing of it leaves before that (H1).
#[derive(Debug)]
pub(crate) struct Staging {
    pub(crate) publication: Arc<Publication>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) waiting: Vec<(oneshot::Sender<Outcome>, Outcome)>,
    pub(crate) touched: Vec<(SeatIndex, SeatState)>,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) booked: Vec<(AccountId, BookingId)>,
    pub(crate) rules: Option<Rules>,
    /// Whether the committer has it on its list.
    pub(crate) listed: bool,
    pub(crate) events_since_snapshot: u64,
    /// Whether a snapshot is being written: one at a time, so that an older one never takes a newer one's place.
    pub(crate) snapshotting: bool,
    /// When the next hold runs out.
    pub(crate) next_end: Option<Timestamp>,
}

impl Staging {
    pub(crate) fn new(publication: Arc<Publication>, inventory: &Inventory) -> Self {
        Self {
            publication,
            entries: Vec::new(),
            waiting: Vec::new(),
            touched: Vec::new(),
            tallies: inventory.tallies().to_vec(),
            booked: Vec::new(),
            rules: None,
            listed: false,
            events_since_snapshot: 0,
            snapshotting: false,
            next_end: inventory.next_end(),
        }
    }

    pub(crate) fn stream(&self) -> Stream {
        Stream(self.publication.performance.0)
    }
}

impl SeatActor {
    pub(crate) fn new(
        inventory: Inventory,
        mailbox: Arc<Mailbox>,
        staging: Rc<RefCell<Staging>>,
        committer: Rc<RefCell<Committer>>,
    ) -> Self {
        Self { inventory, mailbox, staging, committer }
    }

    /// Empties the mailbox, within a turn's bound.
    fn turn(&mut self) {
        self.mailbox.disarm();
        if self.committer.borrow().has_failed() {
            return self.refuse_all();
        }
        let now = self.committer.borrow().now();
        self.expire(now);
        for _ in 0..COMMANDS_PER_TURN_MAX {
            let Some(envelope) = self.mailbox.pop() else { break };
            self.answer(*envelope, now);
        }
        if self.mailbox.len() > 0 {
            self.mailbox.wake();
        }
        self.stage();
    }

    /// The journal has failed: the state here may be ahead of what the disk holds, so nothing may rest on it.
    fn refuse_all(&self) {
        while let Some(envelope) = self.mailbox.pop() {
            // A receiver that has gone away needs no answer.
            drop(envelope.reply.send(Err(Failure::Unknown)));
        }
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some(event) = self.inventory.pulse(now) {
            self.apply(now, event);
        }
    }

    fn apply(&mut self, now: Timestamp, event: Event) {
        self.inventory.apply(now, &event);
        self.staging.borrow_mut().entries.push(Entry { at: self.inventory.now(), event });
    }

    fn answer(&mut self, envelope: Envelope, now: Timestamp) {
        let Envelope { ask, deadline, reply } = envelope;
        if now > deadline {
            if let Ask::Command(command) = &ask {
                self.committer.borrow().count(command, CommandResult::Dropped);
            }
            return self.reply(reply, Err(Failure::Overloaded));
        }
        let outcome = match ask {
            Ask::Command(command) => self.command(&command, now),
            Ask::Hold(caller, hold) => read(self.inventory.read_hold(&caller, hold).map(Answer::Hold)),
            Ask::Booking(caller, booking) => read(self.inventory.read_booking(&caller, booking).map(Answer::Booking)),
            Ask::Bookings(caller, numbers) => read(self.inventory.list_bookings(&caller, numbers)),
        };
        self.reply(reply, outcome);
    }

    fn command(&mut self, command: &Command, now: Timestamp) -> Outcome {
        let disk_low = self.committer.borrow().disk_low();
        if disk_low && matches!(command, Command::HoldSeats(_) | Command::BlockSeats(_)) {
            self.committer.borrow().count(command, CommandResult::Dropped);
            return Err(Failure::DiskLow);
        }
        let decision = self.inventory.decide(command, now);
        let result = match &decision {
            Ok(Decision::Event(_) | Decision::Nothing) => CommandResult::Done,
            Ok(Decision::Replayed(_)) => CommandResult::Replayed,
            Err(_) => CommandResult::Refused,
        };
        self.committer.borrow().count(command, result);
        match decision? {
            Decision::Event(event) => Ok(self.done(now, event)),
            Decision::Replayed(answer) => Ok(Answered { answer: *answer, sequence: None, replayed: true }),
            Decision::Nothing => read(Ok(Answer::Done)),
        }
    }

    fn done(&mut self, now: Timestamp, event: Event) -> Answered {
        self.inventory.apply(now, &event);
        let answer = self.inventory.answer(&event);
        let mut staging = self.staging.borrow_mut();
        match (&event, &answer) {
            (Event::HoldBooked(_), Answer::Booking(booking)) => {
                staging.booked.push((booking.buyer, booking.id));
            }
            (Event::TermsChanged { .. }, _) => staging.rules = Some(Rules::of(&self.inventory)),
            _ => {}
        }
        staging.entries.push(Entry { at: self.inventory.now(), event });
        // The commit fills in the sequence of the record it writes.
        Answered { answer, sequence: Some(0), replayed: false }
    }

    /// An answer rests on the state it saw, so it waits for the group that makes that state durable, if there is one.
    fn reply(&mut self, reply: oneshot::Sender<Outcome>, outcome: Outcome) {
        let mut staging = self.staging.borrow_mut();
        if staging.entries.is_empty() {
            // A receiver that has gone away needs no answer.
            drop(reply.send(outcome));
        } else {
            staging.waiting.push((reply, outcome));
        }
    }

    fn stage(&mut self) {
        let mut staging = self.staging.borrow_mut();
        staging.next_end = self.inventory.next_end();
        if staging.entries.is_empty() {
            return;
        }
        staging.touched.extend(self.inventory.touched());
        staging.tallies.copy_from_slice(self.inventory.tallies());
        let first = !std::mem::replace(&mut staging.listed, true);
        drop(staging);
        Committer::enlist(&self.committer, first.then_some(&self.staging));
    }
}

fn read(answer: Result<Answer, Refusal>) -> Outcome {
    Ok(Answered { answer: answer?, sequence: None, replayed: false })
}

impl Drop for SeatActor {
    /// A panic is a bug, and the state it leaves behind is not to be trusted: the engine stops and recovers.
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(mut committer) = self.committer.try_borrow_mut()
        {
            committer.fail("an actor panicked");
        }
    }
}

impl Actor for SeatActor {
    type Context = Context<Self>;
}

impl Handler<Wake> for SeatActor {
    type Result = ();
    fn handle(&mut self, _: Wake, _: &mut Context<Self>) {
        self.turn();
    }
}

/// Write the state down.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TakeSnapshot;

impl Handler<TakeSnapshot> for SeatActor {
    type Result = ();
    fn handle(&mut self, _: TakeSnapshot, _: &mut Context<Self>) {
        if self.staging.borrow().listed {
            // A busy performance always has something staged: make it durable first.
            self.committer.borrow_mut().commit();
        }
        if self.committer.borrow().disk_low() {
            // The room that is left is the journal's.
            return;
        }
        if self.committer.borrow().has_failed() || std::mem::replace(&mut self.staging.borrow_mut().snapshotting, true)
        {
            return;
        }
        let stream = self.staging.borrow().stream();
        let Some((epoch, sequence, tip)) = self.committer.borrow().last_record(stream) else { return };
        self.staging.borrow_mut().events_since_snapshot = 0;
        let snapshot = Snapshot { epoch, stream, sequence, tip, image: self.inventory.image() };
        Committer::write_snapshot(&self.committer, &self.staging, snapshot);
    }
}

/// The engine was away: give those who hold the time back.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Extend {
    pub(crate) by_millis: u32,
}

impl Handler<Extend> for SeatActor {
    type Result = ();
    fn handle(&mut self, extend: Extend, _: &mut Context<Self>) {
        let now = self.committer.borrow().now();
        self.apply(now, Event::HoldsExtended { by_millis: extend.by_millis });
        self.stage();
    }
}
