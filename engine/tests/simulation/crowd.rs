//! What buyers and the seller ask for next, some of it foolish: it depends on the seed and on what they were told.

use onrush_engine::command::{
    BestAvailable, BlockSeats, BookHold, Caller, CancelPerformance, CancelSeats, Command, DecideBooking, HoldSeats,
    PaymentNotice, PaymentStatus, RequestKey, Wish,
};
use onrush_engine::id::{BlockId, BookingId, HoldId, TicketId};
use onrush_engine::inventory::Answer;
use onrush_engine::mailbox::Ask;
use onrush_engine::money::{Currency, Money};
use onrush_engine::seat_map::{SeatIndex, SeatList};

use crate::hall::{BUYERS, FREE, PERFORMANCES, SEATS, account, seller};
use crate::random::Random;

/// What is asked and of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Which of the performances.
    pub(crate) place: usize,
    pub(crate) ask: Ask,
}

impl Request {
    /// Whether it is to change something.
    pub(crate) fn is_command(&self) -> bool {
        matches!(self.ask, Ask::Command(_))
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Crowd {
    /// Of which performances it wants something: so many of the first ones.
    performances: usize,
    /// Ids that buyers were told, with the performance and whose they are.
    holds: Vec<(usize, Caller, HoldId)>,
    /// With the seats that they had at first.
    bookings: Vec<(usize, Caller, BookingId, SeatList)>,
    blocks: Vec<(usize, BlockId)>,
    /// What was answered, to be sent again, and in which life of the engine it was.
    sent: Vec<(Request, u64)>,
    nonce: u64,
}

impl Default for Crowd {
    fn default() -> Self {
        let (holds, bookings, blocks, sent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { performances: PERFORMANCES.len(), holds, bookings, blocks, sent, nonce: 0 }
    }
}

impl Crowd {
    /// A crowd that has no money.
    pub(crate) fn of_what_is_free() -> Self {
        Self { performances: FREE, ..Self::default() }
    }

    /// Anything that can be asked.
    pub(crate) fn ask(&mut self, random: &mut Random) -> Request {
        if random.one_in(8) { self.read(random) } else { self.command(random) }
    }

    /// Something that is to change.
    pub(crate) fn command(&mut self, random: &mut Random) -> Request {
        if !self.sent.is_empty() && random.one_in(6) {
            return self.again(random);
        }
        let (place, caller) = (self.somewhere(random), account(random.below(BUYERS)));
        let command = match random.below(12) {
            _ if place >= FREE && random.one_in(2) => self.see_to_orders(random, place, caller),
            0..=4 => self.hold(random, caller),
            5..=6 => self.release(random, place, caller),
            7..=8 => self.book(random, place, caller),
            9..=10 => self.cancel(random, place, caller),
            _ => self.block(random, place),
        };
        Request { place, ask: Ask::Command(command) }
    }

    fn read(&mut self, random: &mut Random) -> Request {
        let (place, caller) = (self.somewhere(random), account(random.below(BUYERS)));
        let ask = match random.below(3) {
            _ if place >= FREE && random.one_in(2) => self.read_order(random, place, caller),
            0 => {
                let (caller, hold) = self.known_hold(random, place, caller);
                Ask::Hold(caller, hold)
            }
            1 => {
                let (caller, booking) = self.known_booking(random, place, caller);
                Ask::Booking(caller, booking)
            }
            _ => {
                let (reader, first) = (*random.pick(&[caller, seller()]), random.below(20) as u32);
                Ask::Bookings(reader, first..first + 5)
            }
        };
        Request { place, ask }
    }

    /// Remembers what was told.
    pub(crate) fn learn(&mut self, request: &Request, answer: &Answer, life: u64) {
        let Ask::Command(command) = &request.ask else { return };
        let place = request.place;
        match (command, answer) {
            (Command::HoldSeats(asked), Answer::Hold(hold)) => self.holds.push((place, asked.caller, hold.id)),
            (Command::BookHold(asked), Answer::Booking(booking)) => {
                self.bookings.push((place, asked.caller, booking.id, booking.seats.clone()));
            }
            (_, Answer::Block(block)) => self.blocks.push((place, block.id)),
            _ => {}
        }
        self.sent.push((request.clone(), life));
    }

    /// Whether the same was answered in an earlier life.
    pub(crate) fn sent_before(&self, request: &Request, life: u64) -> bool {
        self.sent.iter().any(|(sent, then)| sent.ask == request.ask && *then < life)
    }

    /// A request that was sent before, perhaps with another body under its key.
    fn again(&mut self, random: &mut Random) -> Request {
        let (mut request, _) = random.pick(&self.sent).clone();
        let other = random.one_in(4);
        if let Ask::Command(Command::HoldSeats(HoldSeats { key: Some(key), .. })) = &mut request.ask
            && other
        {
            key.fingerprint ^= 1;
        }
        request
    }

    /// Most often where nothing costs anything.
    fn somewhere(&self, random: &mut Random) -> usize {
        let place = random.below(self.performances as u64) as usize;
        if place >= FREE && random.one_in(3) { random.below(FREE as u64) as usize } else { place }
    }

    fn nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce
    }

    fn key(&mut self, random: &mut Random) -> Option<RequestKey> {
        let key = [self.nonce(), 0];
        (!random.one_in(3)).then_some(RequestKey { key, fingerprint: 8 })
    }

    fn hold(&mut self, random: &mut Random, caller: Caller) -> Command {
        let wish = if random.one_in(2) {
            Wish::Seats(seats(random, 4).into())
        } else {
            let quantity = random.below(5) as u32 + 1;
            Wish::BestAvailable(BestAvailable { quantity, tier: None, section: None, adjacent: true })
        };
        let (nonce, key) = (self.nonce(), self.key(random));
        Command::HoldSeats(HoldSeats { caller, wish, nonce, key })
    }

    /// A hold that somebody was told of, and who asks about it: most often whose it is.
    fn known_hold(&self, random: &mut Random, place: usize, caller: Caller) -> (Caller, HoldId) {
        let here: Vec<_> = self.holds.iter().filter(|(at, _, _)| *at == place).copied().collect();
        let nobody = HoldId { performance: PERFORMANCES[place], number: 100_000, nonce: 1 };
        if here.is_empty() {
            return (caller, nobody);
        }
        let recent = &here[here.len().saturating_sub(6)..];
        let (_, owner, hold) = *random.pick(recent);
        (if random.one_in(8) { caller } else { owner }, hold)
    }

    fn release(&mut self, random: &mut Random, place: usize, caller: Caller) -> Command {
        let (caller, hold) = self.known_hold(random, place, caller);
        Command::ReleaseHold { caller, hold }
    }

    fn book(&mut self, random: &mut Random, place: usize, caller: Caller) -> Command {
        let (caller, hold) = self.known_hold(random, place, caller);
        let (nonce, key) = (self.nonce(), self.key(random));
        Command::BookHold(BookHold { caller, hold, purpose: None, nonce, key })
    }

    /// A booking that somebody was told of, and whose it is.
    fn known_booking(&self, random: &mut Random, place: usize, caller: Caller) -> (Caller, BookingId) {
        let (owner, booking, _) = self.known_order(random, place, caller);
        (owner, booking)
    }

    /// The same with one of its seats.
    fn known_order(&self, random: &mut Random, place: usize, caller: Caller) -> (Caller, BookingId, SeatIndex) {
        let here: Vec<_> = self.bookings.iter().filter(|(at, ..)| *at == place).collect();
        if here.is_empty() {
            let nobodys = BookingId { performance: PERFORMANCES[place], number: 100_000, nonce: 1 };
            return (caller, nobodys, SeatIndex(0));
        }
        let (_, owner, booking, seats) = *random.pick(&here);
        (*owner, *booking, seats.first().copied().unwrap_or(SeatIndex(0)))
    }

    fn cancel(&mut self, random: &mut Random, place: usize, caller: Caller) -> Command {
        let (caller, booking) = self.known_booking(random, place, caller);
        let seats = random.one_in(2).then(|| seats(random, 2).into());
        let key = self.key(random);
        Command::CancelSeats(CancelSeats { caller, booking, seats, key })
    }

    fn block(&mut self, random: &mut Random, place: usize) -> Command {
        let here: Vec<_> = self.blocks.iter().filter(|(at, _)| *at == place).copied().collect();
        if !here.is_empty() && random.one_in(2) {
            let (_, block) = *random.pick(&here);
            return Command::LiftBlock { caller: seller(), block };
        }
        let (seats, nonce, key) = (seats(random, 2), self.nonce(), self.key(random));
        Command::BlockSeats(BlockSeats { caller: seller(), seats, reason: None, nonce, key })
    }
}

impl Crowd {
    /// What sellers, payment providers, doors, and those who have tickets want.
    fn see_to_orders(&mut self, random: &mut Random, place: usize, caller: Caller) -> Command {
        let (owner, booking, seat) = self.known_order(random, place, caller);
        let ticket = TicketId::of(booking, seat.0);
        match random.below(20) {
            0..12 => Command::NotePayment(notice(random, booking)),
            12..15 => {
                let approve = !random.one_in(4);
                Command::DecideBooking(DecideBooking { caller: seller(), booking, approve, reason: None })
            }
            15..17 => Command::TransferTicket { caller: owner, ticket, to: caller.account, key: self.key(random) },
            17..19 => {
                let issue = random.one_in(2).then(|| random.below(2) as u16);
                Command::CheckIn { caller: seller(), ticket, issue, key: self.key(random) }
            }
            // Once, and nothing is on sale there any more.
            _ if random.one_in(12) => Command::CancelPerformance(CancelPerformance { caller: seller(), reason: None }),
            _ => Command::NotePayment(notice(random, booking)),
        }
    }

    fn read_order(&self, random: &mut Random, place: usize, caller: Caller) -> Ask {
        let (owner, booking, seat) = self.known_order(random, place, caller);
        match random.below(3) {
            0 => Ask::Payment(booking),
            1 => Ask::Tickets(owner, booking),
            _ => Ask::Ticket(owner, TicketId::of(booking, seat.0)),
        }
    }
}

/// A provider that says anything, in any order, as often as it likes; at times of another sum, or another payment.
fn notice(random: &mut Random, booking: BookingId) -> PaymentNotice {
    const STATUSES: [PaymentStatus; 12] = [
        PaymentStatus::Opened,
        PaymentStatus::Charging,
        PaymentStatus::Charging,
        PaymentStatus::Authorised,
        PaymentStatus::Authorised,
        PaymentStatus::Captured,
        PaymentStatus::Captured,
        PaymentStatus::Captured,
        PaymentStatus::Failed,
        PaymentStatus::Voided,
        PaymentStatus::Refunded(0),
        PaymentStatus::Refunded(1),
    ];
    let own = format!("pay_{}", booking.number).into();
    let reference = match random.below(20) {
        0 => Some("pay_other".into()),
        1..10 => None,
        _ => Some(own),
    };
    let amount = random.one_in(20).then_some(Money { amount: 1, currency: Currency::KRW });
    PaymentNotice { booking, reference, amount, status: *random.pick(&STATUSES) }
}

fn seats(random: &mut Random, most: u64) -> Vec<SeatIndex> {
    let first = random.below(u64::from(SEATS)) as u32;
    let count = random.below(most) as u32 + 1;
    (first..(first + count).min(SEATS)).map(SeatIndex).collect()
}
