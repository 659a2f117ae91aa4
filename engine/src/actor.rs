//! A performance's actor: empties its mailbox, decides, applies, and stages what has to be durable.

use std::cell::RefCell;
use std::rc::Rc;

use actix::{Actor, ActorContext as _, Context, Handler, Message};
use tokio::sync::oneshot;

use crate::command::Command;
use crate::committer::Committer;
use crate::event::{Entry, Event};
use crate::handover::HandOverFailure;
use crate::id::EngineId;
use crate::inventory::{Answer, Decision, Inventory};
use crate::mailbox::{Answered, Ask, Envelope, Failure, Outcome, Wake};
use crate::metrics::CommandResult;
use crate::refusal::Refusal;
use crate::staging::Staging;
use crate::time::Timestamp;

/// Commands of one turn; then the other actors of the thread have theirs.
const COMMANDS_PER_TURN_MAX: usize = 1024;

/// One performance on its owner's thread.
pub(crate) struct SeatActor {
    inventory: Inventory,
    staging: Rc<RefCell<Staging>>,
    committer: Rc<RefCell<Committer>>,
}

impl SeatActor {
    pub(crate) fn new(inventory: Inventory, staging: Rc<RefCell<Staging>>, committer: Rc<RefCell<Committer>>) -> Self {
        Self { inventory, staging, committer }
    }

    /// Empties the mailbox, within a turn's bound and as far as there is room behind it.
    fn turn(&mut self) {
        let mailbox = self.staging.borrow().mailbox.clone();
        mailbox.disarm();
        if self.committer.borrow().has_failed() {
            return self.refuse_all();
        }
        let now = self.committer.borrow().now();
        self.expire(now);
        let room = self.staging.borrow().room();
        for _ in 0..room.min(COMMANDS_PER_TURN_MAX) {
            let Some(envelope) = mailbox.pop() else { break };
            self.answer(*envelope, now);
        }
        if room > COMMANDS_PER_TURN_MAX && mailbox.len() > 0 {
            mailbox.wake();
        }
        self.stage();
    }

    /// The journal has failed: the state here may be ahead of what the disk holds, so nothing may rest on it.
    fn refuse_all(&self) {
        while let Some(envelope) = self.staging.borrow().mailbox.pop() {
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
        let entry = Entry { at: self.inventory.now(), event };
        self.staging.borrow_mut().push(entry, None, &self.inventory);
    }

    fn answer(&mut self, envelope: Envelope, now: Timestamp) {
        let Envelope { ask, deadline, reply } = envelope;
        if self.inventory.handed_over().is_some() {
            return self.reply(reply, Err(Refusal::HandedOver.into()));
        }
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
            Ask::Ticket(caller, ticket) => read(self.inventory.read_ticket(&caller, ticket).map(Answer::Ticket)),
            Ask::Tickets(caller, booking) => read(self.inventory.list_tickets(&caller, booking).map(Answer::Tickets)),
            Ask::Payment(booking) => read(self.inventory.read_payment(booking).map(Answer::Payment)),
        };
        self.reply(reply, outcome);
    }

    fn command(&mut self, command: &Command, now: Timestamp) -> Outcome {
        let decision = self.inventory.decide(command, now);
        // A refusal, or the answer to a request that came before, takes no room.
        let takes_room = command.begins() && matches!(decision, Ok(Decision::Event(_)));
        if takes_room && self.committer.borrow().disk_low() {
            self.committer.borrow().count(command, CommandResult::Dropped);
            return Err(Failure::DiskLow);
        }
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
        let entry = Entry { at: self.inventory.now(), event };
        self.staging.borrow_mut().push(entry, Some(&answer), &self.inventory);
        // The commit fills in the sequence of the record it writes.
        Answered { answer, sequence: Some(0), replayed: false }
    }

    fn reply(&self, reply: oneshot::Sender<Outcome>, outcome: Outcome) {
        self.staging.borrow_mut().reply(reply, outcome);
    }

    fn stage(&mut self) {
        let news = self.staging.borrow_mut().stage(&mut self.inventory);
        if news {
            Committer::enlist(&self.committer, &self.staging);
        }
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
        let (failed, disk_low) = (self.committer.borrow().has_failed(), self.committer.borrow().disk_low());
        // The room that is left on a full disk is the journal's.
        if failed || disk_low || self.staging.borrow().snapshotting || self.inventory.handed_over().is_some() {
            return;
        }
        let captured = self.staging.borrow_mut().capture(self.inventory.image());
        if let Some(captured) = captured {
            let stream = self.staging.borrow().stream();
            self.committer.borrow().write_snapshot(&self.committer, &self.staging, stream, captured);
        }
    }
}

/// Give the performance to another engine: from now on nothing is decided about it here. Twice is once.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), HandOverFailure>")]
pub(crate) struct GiveAway {
    pub(crate) to: EngineId,
}

impl Handler<GiveAway> for SeatActor {
    type Result = Result<(), HandOverFailure>;
    fn handle(&mut self, GiveAway { to }: GiveAway, _: &mut Context<Self>) -> Self::Result {
        if self.committer.borrow().has_failed() {
            return Err(Failure::Unknown.into());
        }
        match self.inventory.handed_over() {
            Some(before) if before == to => return Ok(()),
            Some(before) => return Err(HandOverFailure::GoesTo(before)),
            None => {}
        }
        let now = self.committer.borrow().now();
        self.expire(now);
        self.apply(now, Event::HandedOver { to });
        self.stage();
        Ok(())
    }
}

/// Go on with a performance that was given to this engine, and give those who hold the time back that it took.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TakeUp {
    pub(crate) by_millis: u32,
}

impl Handler<TakeUp> for SeatActor {
    type Result = ();
    fn handle(&mut self, TakeUp { by_millis }: TakeUp, _: &mut Context<Self>) {
        let now = self.committer.borrow().now();
        self.apply(now, Event::TakenOver);
        if by_millis > 0 {
            self.apply(now, Event::HoldsExtended { by_millis });
        }
        self.stage();
    }
}

/// Write down what was given away, once that is durable.
#[derive(Debug, Message)]
#[rtype(result = "Vec<u8>")]
pub(crate) struct Pack;

impl Handler<Pack> for SeatActor {
    type Result = Vec<u8>;
    fn handle(&mut self, _: Pack, _: &mut Context<Self>) -> Vec<u8> {
        let (staging, epoch) = (self.staging.borrow(), self.committer.borrow().epoch());
        staging.snapshot(epoch, self.inventory.image()).encode()
    }
}

/// The performance is another engine's: who still asks is told so, and the actor ends.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Leave;

impl Handler<Leave> for SeatActor {
    type Result = ();
    fn handle(&mut self, _: Leave, context: &mut Context<Self>) {
        self.staging.borrow().mailbox.refuse_all();
        self.committer.borrow().histories().forget(&self.inventory);
        context.stop();
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
