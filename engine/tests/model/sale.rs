//! The sale as a model: who can do what next, and what comes of it.

use onrush_engine::command::{
    BookHold, Caller, CancelSeats, Command, HoldSeats, PaymentNotice, PaymentStatus, RequestKey, Wish,
};
use onrush_engine::event::{Entry, Event};
use onrush_engine::id::{BookingId, HoldId, PerformanceId, ShowId};
use onrush_engine::inventory::{Booking, Decision, Inventory, PlaceImage};
use onrush_engine::journal::codec::{decode_entries, encode_entries};
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::{Approval, Opening, RefundStep, Terms};
use onrush_engine::seat_map::{RowPlan, SeatIndex, SeatList, SeatMapPlan, SeatNames, Seating, SectionPlan, TierIndex};
use onrush_engine::time::Timestamp;
use stateright::{Model, Property};

use crate::invariants::{RULES, SIGHTS, SIGHTS_OF_MONEY};
use crate::state::{State, after, happen, replay};

pub(crate) const BUYERS: u8 = 3;
pub(crate) const SEATS: u32 = 2;
/// What can be wished for of the two seats.
const WISHES: [&[u32]; 3] = [&[0], &[1], &[0, 1]];
/// A hold lasts one tick; an engine that was away gives one tick back.
pub(crate) const TICK_MILLIS: i64 = 60_000;
/// Events that may wait for the disk.
const PENDING_MAX: usize = 2;

/// The sale's rules, and the bounds within which all states are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sale {
    /// Who buys; others only look.
    pub(crate) buyers: u8,
    /// Of each seat.
    pub(crate) price: i64,
    pub(crate) seats_per_buyer_max: u32,
    pub(crate) holds_per_buyer_max: u32,
    /// Events behind the opening.
    pub(crate) events: usize,
    pub(crate) ticks: u8,
    pub(crate) crashes: u8,
}

/// A step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Somebody asks for a change.
    Ask(Command),
    /// Time passes.
    Tick,
    /// The engine looks for holds that have run out; it does so before each change, too.
    Expire,
    /// The disk has everything.
    Sync,
    /// A start finds so many of the events; it was away for no time, or for a tick.
    Crash { kept: usize, away: bool },
}

pub(crate) fn caller(buyer: u8) -> Caller {
    Caller { account: format!("acc_{buyer}").parse().unwrap(), admin: false }
}

impl Sale {
    pub(crate) fn opening(&self) -> Opening {
        let row = RowPlan { name: "1".into(), seats: SeatNames::Count(SEATS) };
        let section = SectionPlan { name: "A".into(), tier: TierIndex(0), seating: Seating::Reserved(vec![row]) };
        Opening {
            performance: PerformanceId(7),
            show: ShowId(1),
            seller: "acc_seller".parse().unwrap(),
            plan: SeatMapPlan { sections: vec![section] },
            tiers: vec!["Gold".into()],
            prices: vec![Money { amount: self.price, currency: Currency::KRW }],
            terms: Terms {
                starts_at: Timestamp::MAX,
                ends_at: Timestamp::MAX,
                opens_at: Timestamp::MIN,
                closes_at: Timestamp::MAX,
                hold_ttl_seconds: (TICK_MILLIS / 1000) as u32,
                seats_per_buyer_max: self.seats_per_buyer_max,
                holds_per_buyer_max: self.holds_per_buyer_max,
                approval: Approval::Automatic,
                cancel_until: Timestamp::MAX,
                refund: vec![RefundStep { until: Timestamp::MAX, percent: 100 }],
            },
        }
    }

    /// What the holds that have run out make of a state, and then a command, where it is not refused.
    fn changed(&self, state: &State, command: Option<&Command>) -> Option<State> {
        let (mut inventory, mut entries) = (state.inventory(self), state.entries.clone());
        while let Some(expired) = inventory.pulse(state.now()) {
            entries.push(happen(&mut inventory, state.now(), expired));
        }
        if let Some(Ok(Decision::Event(event))) = command.map(|command| inventory.decide(command, state.now())) {
            entries.push(happen(&mut inventory, state.now(), event));
        }
        let news = entries.len() > state.entries.len();
        news.then(|| State::new(self, entries, state.durable, state.ticks, state.crashes))
    }

    /// The disk gives back what it has as records, with what was being written or without.
    fn crashed(&self, state: &State, kept: usize, away: bool) -> State {
        let bodies = encode_entries(&state.entries[..kept]);
        let mut entries: Vec<Entry> = bodies.iter().flat_map(|body| decode_entries(body).unwrap()).collect();
        let mut inventory = replay(self, &entries);
        let ticks = state.ticks + u8::from(away);
        if away && inventory.active_holds() > 0 {
            let extended = Event::HoldsExtended { by_millis: TICK_MILLIS as u32 };
            entries.push(happen(&mut inventory, after(ticks), extended));
        }
        State::new(self, entries, kept, ticks, state.crashes + 1)
    }
}

impl Model for Sale {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self, Vec::new(), 0, 0, 0)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let pending = state.durable..state.entries.len();
        if state.entries.len() < self.events && pending.len() < PENDING_MAX {
            actions.extend(self.commands(&state.inventory(self)).into_iter().map(Action::Ask));
            actions.push(Action::Expire);
        }
        if !pending.is_empty() {
            actions.push(Action::Sync);
        }
        if state.ticks < self.ticks {
            actions.push(Action::Tick);
        }
        if state.crashes < self.crashes {
            let kept = state.durable..=state.entries.len();
            let away = if state.ticks < self.ticks { &[false, true][..] } else { &[false] };
            actions.extend(kept.flat_map(|kept| away.iter().map(move |&away| Action::Crash { kept, away })));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let State { entries, durable, ticks, crashes, .. } = state;
        match action {
            Action::Ask(command) => self.changed(state, Some(&command)),
            Action::Expire => self.changed(state, None),
            Action::Tick => Some(State::new(self, entries.clone(), *durable, ticks + 1, *crashes)),
            Action::Sync => Some(State::new(self, entries.clone(), entries.len(), *ticks, *crashes)),
            Action::Crash { kept, away } => Some(self.crashed(state, kept, away)),
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let rules = RULES.iter().map(|(name, holds)| Property::always(name, *holds));
        let sights = if self.price > 0 { SIGHTS_OF_MONEY } else { SIGHTS };
        rules.chain(sights.iter().map(|(name, is_so)| Property::sometimes(name, *is_so))).collect()
    }
}

impl Sale {
    /// Everything that can be asked for and is not pointless: what is refused to strangers is looked at in each state.
    fn commands(&self, inventory: &Inventory) -> Vec<Command> {
        let holds = (0..self.buyers).flat_map(|buyer| WISHES.map(|wish| hold(inventory, buyer, wish)));
        holds.chain(of_holds(inventory)).chain(of_bookings(inventory)).collect()
    }
}

fn of_holds(inventory: &Inventory) -> Vec<Command> {
    let image = inventory.image();
    let mut commands = Vec::new();
    for (number, place) in (image.holds_base..).zip(&image.places) {
        let PlaceImage::Active(held) = place else { continue };
        let caller = Caller { account: image.buyers[held.buyer as usize], admin: false };
        let hold = HoldId { performance: inventory.performance(), number, nonce: held.nonce };
        let key = Some(RequestKey { key: [2, u64::from(number)], fingerprint: 1 });
        commands.push(Command::ReleaseHold { caller, hold });
        commands.push(Command::BookHold(BookHold { caller, hold, purpose: None, nonce: 1, key }));
    }
    commands
}

fn of_bookings(inventory: &Inventory) -> Vec<Command> {
    let image = inventory.image();
    let mut commands = Vec::new();
    for (number, booking) in (0..).zip(&image.bookings) {
        commands
            .extend(notices(BookingId { performance: inventory.performance(), number, nonce: booking.nonce }, booking));
        if booking.is_over() {
            continue;
        }
        let caller = Caller { account: image.buyers[booking.buyer as usize], admin: false };
        let id = BookingId { performance: inventory.performance(), number, nonce: booking.nonce };
        let cancel = |seats: Option<SeatList>| {
            let gone = booking.cancelled().len() as u64;
            let key = Some(RequestKey { key: [3, u64::from(number) << 8 | gone], fingerprint: 1 });
            Command::CancelSeats(CancelSeats { caller, booking: id, seats, key })
        };
        commands.push(cancel(None));
        commands.push(cancel(booking.remaining().first().map(|seat| [*seat].into_iter().collect())));
    }
    commands
}

/// Whatever a payment provider says, in any order and as often as it likes.
fn notices(id: BookingId, booking: &Booking) -> Vec<Command> {
    let Some(payment) = booking.payment() else { return Vec::new() };
    let refunds = (0..payment.refunds.len() as u32).map(PaymentStatus::Refunded);
    let statuses = [PaymentStatus::Charging, PaymentStatus::Authorised, PaymentStatus::Captured, PaymentStatus::Failed];
    let notice = |status| Command::NotePayment(PaymentNotice { booking: id, reference: None, amount: None, status });
    statuses.into_iter().chain(refunds).map(notice).collect()
}

/// A hold under a key of its own, unless the hold that it once stood for was lost in a crash: then it is asked for again.
fn hold(inventory: &Inventory, buyer: u8, wish: &[u32]) -> Command {
    let seats = wish.iter().copied().map(SeatIndex).collect();
    let account = caller(buyer).account;
    let image = inventory.image();
    let made = image.replays.iter().filter(|replay| image.buyers[replay.caller as usize] == account).count() as u64;
    let key = Some(RequestKey { key: [1, made], fingerprint: u64::from(wish.iter().sum::<u32>()) + wish.len() as u64 });
    Command::HoldSeats(HoldSeats { caller: caller(buyer), wish: Wish::Seats(seats), nonce: u64::from(buyer), key })
}
