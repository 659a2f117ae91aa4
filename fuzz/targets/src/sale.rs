//! A sale that goes on by the rules, steered by bytes; and what must hold of any inventory, wherever it comes from.

use onrush_edge::fuzzing;
use onrush_engine::command::{
    BestAvailable, BlockSeats, BookHold, Caller, CancelPerformance, CancelSeats, ChangeTerms, Command, DecideBooking,
    Fallback, HoldSeats, PaymentNotice, PaymentStatus, Preferred, RequestKey, Wish,
};
use onrush_engine::event::{Entry, Event};
use onrush_engine::feed::Publication;
use onrush_engine::id::{BlockId, BookingId, HoldId, TicketId};
use onrush_engine::inventory::{Answer, Decision, Inventory};
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::Approval;
use onrush_engine::seat_map::{SeatIndex, SeatList, SectionIndex, TierIndex};
use onrush_engine::time::Timestamp;

use crate::hall::{after, caller, opening, seller};
use crate::input::Input;

/// See the module.
pub(crate) struct Sale {
    pub(crate) inventory: Inventory,
    /// Everything that happened, the opening first.
    pub(crate) entries: Vec<Entry>,
    seconds: i64,
    nonce: u64,
    holds: Vec<HoldId>,
    bookings: Vec<BookingId>,
    blocks: Vec<BlockId>,
}

impl Sale {
    pub(crate) fn open() -> Self {
        let opening = opening();
        let inventory = Inventory::open(&opening, after(0)).expect("the hall is sound");
        let entries = vec![Entry { at: after(0), event: Event::PerformanceOpened(Box::new(opening)) }];
        let (holds, bookings, blocks) = Default::default();
        Self { inventory, entries, seconds: 0, nonce: 0, holds, bookings, blocks }
    }

    pub(crate) fn now(&self) -> Timestamp {
        after(self.seconds)
    }

    /// One thing that somebody asks for, or time that passes.
    pub(crate) fn step(&mut self, input: &mut Input<'_>) {
        let command = match input.byte() % 17 {
            0 => self.hold(input, |input| Wish::Seats(seats(input))),
            1 => self.hold(input, |input| Wish::BestAvailable(best(input))),
            2 => self.hold(input, |input| Wish::GeneralAdmission {
                section: SectionIndex(2),
                quantity: u32::from(input.byte() % 5) + 1,
            }),
            3 => {
                let (caller, hold) = (caller(input.byte()), pick(&self.holds, input));
                hold.map(|hold| Command::ReleaseHold { caller, hold })
            }
            4 => self.book(input),
            5 => self.cancel(input),
            6 => self.block(input),
            7 => pick(&self.blocks, input).map(|block| Command::LiftBlock { caller: seller(), block }),
            8 => Some(self.change(input)),
            10 => self.hold(input, |input| Wish::SeatsOrNearest(seats(input))),
            14 => self.ticket(input).map(|(caller, ticket)| {
                let to = self::caller(input.byte()).account;
                Command::TransferTicket { caller, ticket, to, key: key(input) }
            }),
            15 => self.ticket(input).map(|(_, ticket)| {
                let issue = input.coin().then(|| u16::from(input.byte() % 3));
                Command::CheckIn { caller: seller(), ticket, issue, key: key(input) }
            }),
            16 => self.hold(input, |input| Wish::Preferred(Box::new(preferred(input)))),
            11 => self.decide(input),
            12 => self.note(input),
            13 if input.byte() == 0 => {
                Some(Command::CancelPerformance(CancelPerformance { caller: seller(), reason: None }))
            }
            _ => {
                self.seconds += i64::from(input.byte()) * 4;
                if input.coin() {
                    self.happen(Event::HoldsExtended { by_millis: 1_000 });
                }
                None
            }
        };
        while let Some(event) = self.inventory.pulse(self.now()) {
            self.happen(event);
        }
        if let Some(command) = command {
            self.give(&command);
        }
    }

    fn give(&mut self, command: &Command) {
        match self.inventory.decide(command, self.now()) {
            Ok(Decision::Event(event)) => {
                self.happen(event.clone());
                match self.inventory.answer(&event) {
                    Answer::Hold(hold) => self.holds.push(hold.id),
                    Answer::Booking(booking) if self.bookings.contains(&booking.id) => {}
                    Answer::Booking(booking) => self.bookings.push(booking.id),
                    Answer::Block(block) => self.blocks.push(block.id),
                    _ => {}
                }
            }
            Ok(Decision::Replayed(_) | Decision::Nothing) => {}
            Err(refusal) => drop(fuzzing::refused(refusal, self.inventory.map())),
        }
    }

    /// What was decided has to fit: else a start would refuse what was acknowledged.
    fn happen(&mut self, event: Event) {
        let mut entry = Entry { at: self.now(), event };
        self.inventory.check(&entry).expect("what was decided fits");
        self.inventory.apply(entry.at, &entry.event);
        entry.at = self.inventory.now();
        self.entries.push(entry);
    }

    fn nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce
    }

    fn hold(&mut self, input: &mut Input<'_>, wish: impl FnOnce(&mut Input<'_>) -> Wish) -> Option<Command> {
        let (caller, key, nonce) = (caller(input.byte()), key(input), self.nonce());
        Some(Command::HoldSeats(HoldSeats { caller, wish: wish(input), nonce, key }))
    }

    fn book(&mut self, input: &mut Input<'_>) -> Option<Command> {
        let (caller, key, nonce) = (caller(input.byte()), key(input), self.nonce());
        let purpose = input.coin().then(|| "a birthday".into());
        pick(&self.holds, input).map(|hold| Command::BookHold(BookHold { caller, hold, purpose, nonce, key }))
    }

    fn cancel(&self, input: &mut Input<'_>) -> Option<Command> {
        let (caller, key, booking) = (caller(input.byte()), key(input), pick(&self.bookings, input)?);
        let seats = input.coin().then(|| seats(input));
        Some(Command::CancelSeats(CancelSeats { caller, booking, seats, key }))
    }

    fn decide(&self, input: &mut Input<'_>) -> Option<Command> {
        let (approve, booking) = (input.coin(), pick(&self.bookings, input)?);
        Some(Command::DecideBooking(DecideBooking { caller: seller(), booking, approve, reason: None }))
    }

    fn ticket(&self, input: &mut Input<'_>) -> Option<(Caller, TicketId)> {
        let (caller, booking) = (caller(input.byte()), pick(&self.bookings, input)?);
        Some((caller, TicketId::of(booking, u32::from(input.byte() % 20))))
    }

    /// What a provider says that has lost its mind.
    fn note(&self, input: &mut Input<'_>) -> Option<Command> {
        let status = match input.byte() % 7 {
            0 => PaymentStatus::Opened,
            1 => PaymentStatus::Charging,
            2 => PaymentStatus::Authorised,
            3 => PaymentStatus::Captured,
            4 => PaymentStatus::Failed,
            5 => PaymentStatus::Voided,
            _ => PaymentStatus::Refunded(u32::from(input.byte() % 3)),
        };
        let reference = input.coin().then(|| "pay_1".into());
        let booking = pick(&self.bookings, input)?;
        Some(Command::NotePayment(PaymentNotice { booking, reference, amount: None, status }))
    }

    fn block(&mut self, input: &mut Input<'_>) -> Option<Command> {
        let (key, nonce, reason) = (key(input), self.nonce(), input.coin().then(|| "press".into()));
        let seats = seats(input).to_vec();
        Some(Command::BlockSeats(BlockSeats { caller: seller(), seats, reason, nonce, key }))
    }

    fn change(&self, input: &mut Input<'_>) -> Command {
        let mut terms = self.inventory.terms().as_ref().clone();
        terms.hold_ttl_seconds = u32::from(input.byte()) + 10;
        let money = |amount: u8| Money { amount: i64::from(amount), currency: Currency::KRW };
        terms.approval = if input.coin() { Approval::Manual } else { Approval::Automatic };
        let prices = input.coin().then(|| (0..self.inventory.tiers().len()).map(|_| money(input.byte())).collect());
        Command::ChangeTerms(ChangeTerms { caller: seller(), based_on: None, terms, prices })
    }
}

fn pick<T: Copy>(things: &[T], input: &mut Input<'_>) -> Option<T> {
    let place = usize::from(input.byte());
    (!things.is_empty()).then(|| things[place % things.len()])
}

/// Seats of the hall, one perhaps more than once.
fn seats(input: &mut Input<'_>) -> SeatList {
    (0..input.byte() % 6 + 1).map(|_| SeatIndex(u32::from(input.byte() % 20))).collect()
}

fn best(input: &mut Input<'_>) -> BestAvailable {
    BestAvailable {
        quantity: u32::from(input.byte() % 20) + 1,
        tier: input.coin().then(|| TierIndex(u16::from(input.byte() % 4))),
        section: input.coin().then(|| SectionIndex(u16::from(input.byte() % 4))),
        adjacent: input.coin(),
    }
}

fn preferred(input: &mut Input<'_>) -> Preferred {
    let sections = (0..input.byte() % 4).map(|_| SectionIndex(u16::from(input.byte() % 4))).collect();
    let fallback = match input.byte() % 3 {
        0 => Fallback::Nothing,
        1 => Fallback::Apart,
        _ => Fallback::Elsewhere,
    };
    let price_max = input.coin().then(|| i64::from(input.byte()) * 100);
    Preferred { quantity: u32::from(input.byte() % 20) + 1, sections, price_max, fallback }
}

fn key(input: &mut Input<'_>) -> Option<RequestKey> {
    let key = u64::from(input.byte() % 8);
    (key > 0).then(|| RequestKey { key: [key, 0], fingerprint: u64::from(input.byte() % 2) })
}

/// Works with an inventory as buyers, its seller and the pages would, and counts everything anew after that.
pub(crate) fn exercise(mut inventory: Inventory) {
    inventory.verify().expect("what was read agrees with itself");
    show(&inventory);
    let now = inventory.now();
    while let Some(event) = inventory.pulse(now) {
        happen(&mut inventory, now, event);
    }
    let buyer = Caller { account: "acc_new".parse().expect("an account"), admin: false };
    let tiers = (0..inventory.tiers().len()).map(|tier| Some(TierIndex(tier as u16)));
    for (nonce, tier) in (0..).zip(tiers.chain([None])) {
        let wish = Wish::BestAvailable(BestAvailable { quantity: 2, tier, section: None, adjacent: false });
        let hold = Command::HoldSeats(HoldSeats { caller: buyer, wish, nonce, key: None });
        if let Some(Answer::Hold(view)) = ask(&mut inventory, now, &hold) {
            let book = BookHold { caller: buyer, hold: view.id, purpose: None, nonce, key: None };
            ask(&mut inventory, now, &Command::BookHold(book));
        }
    }
    inventory.verify().expect("what was done to what was read agrees with itself");
    show(&inventory);
}

fn ask(inventory: &mut Inventory, now: Timestamp, command: &Command) -> Option<Answer> {
    match inventory.decide(command, now) {
        Ok(Decision::Event(event)) => {
            happen(inventory, now, event.clone());
            Some(inventory.answer(&event))
        }
        Ok(Decision::Replayed(answer)) => Some(*answer),
        Ok(Decision::Nothing) => None,
        Err(refusal) => {
            drop(fuzzing::refused(refusal, inventory.map()));
            None
        }
    }
}

fn happen(inventory: &mut Inventory, at: Timestamp, event: Event) {
    inventory.replay(&Entry { at, event }).expect("what was decided fits");
}

/// Looks at everything that can be looked at.
fn show(inventory: &Inventory) {
    let publication = Publication::new(inventory, 1);
    let owner = Caller { account: inventory.seller(), admin: true };
    let Ok(Answer::Bookings(bookings, _)) = inventory.list_bookings(&owner, 0..u32::MAX) else {
        panic!("an admin may see who booked");
    };
    for booking in &bookings {
        let own = Caller { account: booking.buyer, admin: false };
        assert_eq!(inventory.read_booking(&own, booking.id).as_ref(), Ok(booking));
        fuzzing::booking(booking, &publication);
    }
    let image = inventory.image();
    for replay in &image.replays {
        // The same request again, whatever it made.
        let caller = Caller { account: image.buyers[replay.caller as usize], admin: true };
        let seats: Vec<SeatIndex> = vec![SeatIndex(0)];
        let (reason, nonce, key) = (None, 0, Some(replay.request));
        let again = Command::BlockSeats(BlockSeats { caller, seats, reason, nonce, key });
        match inventory.decide(&again, inventory.now()) {
            Ok(Decision::Replayed(answer)) => show_answer(&answer, &publication),
            other => panic!("a known request has its answer: {other:?}"),
        }
    }
}

fn show_answer(answer: &Answer, publication: &Publication) {
    match answer {
        Answer::Hold(view) => drop(fuzzing::hold(view, publication)),
        Answer::Booking(view) => drop(fuzzing::booking(view, publication)),
        _ => {}
    }
}
