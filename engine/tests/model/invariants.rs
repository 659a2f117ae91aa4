//! What must be so in every state, by the names of the design's list of invariants, and what must be seen in some state,
//! or the run has tested less than it says.

use std::collections::BTreeMap;

use onrush_engine::command::{BookHold, Caller, CancelSeats, Command, HoldSeats, RequestKey, Wish};
use onrush_engine::event::{Advance, Event, Fate, Standing};
use onrush_engine::id::{BookingId, HoldId};
use onrush_engine::inventory::{Answer, Decision, Image, Inventory, PlaceImage, SeatState, Stage, Tally};
use onrush_engine::refusal::Refusal;
use onrush_engine::seat_map::{SeatIndex, SeatList};

use crate::sale::{BUYERS, SEATS, Sale, caller};
use crate::state::{State, happen, open, replay};

type Condition = fn(&Sale, &State) -> bool;

pub(crate) const RULES: &[(&str, Condition)] = &[
    ("A1 and A3: a seat is in one place, and links lead both ways", each_seat_is_in_one_place),
    ("A2: no seat is lost or made", no_seat_is_lost),
    ("A4: a sold seat is given up before it is sold again", no_seat_is_sold_twice),
    ("A6: a seat goes only where an event of its kind leads", seats_go_only_where_events_lead),
    ("A7: what is counted agrees with a count from scratch", counts_agree),
    ("B2: nothing is held beyond its time", nothing_is_held_beyond_its_time),
    ("C1 and C2: nobody is beyond a limit", nobody_is_beyond_a_limit),
    ("D2: a request is remembered where its effect is there, and only there", effects_and_keys_go_together),
    ("D3 and D4: the same request has the same answer, another under its key none", requests_are_answered_once),
    ("E1, E2 and E10: money that came is a ticket, has gone back, or is on its way", money_is_in_balance),
    ("H5: a state as of what is durable and the rest lead to the same", states_and_records_agree),
    ("J1: strangers neither see nor change anything", strangers_change_nothing),
];

pub(crate) const SIGHTS: &[(&str, Condition)] = &[
    ("a seat is taken again that was sold and given up", is_taken_again),
    ("a hold runs out", |_, state| happened(state, |event| matches!(event, Event::HoldsExpired { .. }))),
    ("a start gives time back", |_, state| happened(state, |event| matches!(event, Event::HoldsExtended { .. }))),
    ("everything is sold", |sale, state| tally(&state.inventory(sale)).booked == SEATS),
    ("the disk is behind after a crash", |_, state| state.crashes > 0 && state.durable < state.entries.len()),
];

pub(crate) const SIGHTS_OF_MONEY: &[(&str, Condition)] = &[
    ("late money takes its seats again", |_, state| happened(state, |event| fate_of(event) == Some(Fate::Retaken))),
    ("late money finds its seats gone", |_, state| happened(state, |event| fate_of(event) == Some(Fate::Lost))),
    ("a booking runs out", |_, state| happened(state, |event| matches!(event, Event::BookingsLapsed { .. }))),
    ("money has gone back", |_, state| {
        happened(state, |event| matches!(advance(event), Some(Advance::Refunded { .. })))
    }),
    ("the disk is behind after a crash", |_, state| state.crashes > 0 && state.durable < state.entries.len()),
];

fn advance(event: &Event) -> Option<Advance> {
    if let Event::PaymentAdvanced(advanced) = event { Some(advanced.advance) } else { None }
}

/// What becomes of the seats that money comes for.
fn fate_of(event: &Event) -> Option<Fate> {
    match advance(event)? {
        Advance::Authorised(fate) | Advance::Captured { fate, .. } => Some(fate),
        _ => None,
    }
}

fn is_taken_again(sale: &Sale, state: &State) -> bool {
    let inventory = state.inventory(sale);
    let mut given_up = inventory.bookings().iter().flat_map(|booking| booking.cancelled());
    given_up.any(|seat| inventory.seat(*seat) != SeatState::Free)
}

fn happened(state: &State, is_it: fn(&Event) -> bool) -> bool {
    state.entries.iter().any(|entry| is_it(&entry.event))
}

fn image(sale: &Sale, state: &State) -> Image {
    state.inventory(sale).image()
}

fn tally(inventory: &Inventory) -> Tally {
    inventory.tallies().iter().copied().fold(Tally::default(), Tally::plus)
}

fn seats(inventory: &Inventory) -> Vec<SeatState> {
    (0..SEATS).map(|seat| inventory.seat(SeatIndex(seat))).collect()
}

/// Active holds by number.
fn held(image: &Image) -> impl Iterator<Item = (u32, &onrush_engine::inventory::Hold)> {
    (image.holds_base..).zip(&image.places).filter_map(|(number, place)| match place {
        PlaceImage::Active(hold) => Some((number, hold)),
        PlaceImage::Booked(_) | PlaceImage::Ended => None,
    })
}

fn each_seat_is_in_one_place(sale: &Sale, state: &State) -> bool {
    let inventory = state.inventory(sale);
    let image = inventory.image();
    let mut owners: BTreeMap<SeatIndex, Vec<SeatState>> = BTreeMap::new();
    for (number, hold) in held(&image) {
        hold.seats.iter().for_each(|seat| owners.entry(*seat).or_default().push(SeatState::Held(number)));
    }
    for (number, booking) in (0..).zip(&image.bookings) {
        booking.remaining().iter().for_each(|seat| owners.entry(*seat).or_default().push(SeatState::Booked(number)));
    }
    let owner = |seat| match owners.get(&SeatIndex(seat)).map(Vec::as_slice) {
        None => Some(SeatState::Free),
        Some([one]) => Some(*one),
        Some(_) => None,
    };
    (0..SEATS).all(|seat| owner(seat) == Some(inventory.seat(SeatIndex(seat))))
}

fn no_seat_is_lost(sale: &Sale, state: &State) -> bool {
    let inventory = state.inventory(sale);
    let Tally { free, held, booked, blocked } = tally(&inventory);
    let count = |is_it: fn(&SeatState) -> bool| seats(&inventory).iter().filter(|seat| is_it(seat)).count() as u32;
    free == count(|seat| *seat == SeatState::Free)
        && held == count(|seat| matches!(seat, SeatState::Held(_)))
        && booked == count(|seat| matches!(seat, SeatState::Booked(_)))
        && free + held + booked + blocked == SEATS
}

/// By the events alone, without the inventory.
fn no_seat_is_sold_twice(_: &Sale, state: &State) -> bool {
    let (mut holds, mut bookings) = (BTreeMap::<u32, SeatList>::new(), BTreeMap::<u32, SeatList>::new());
    let mut sold = BTreeMap::<SeatIndex, u32>::new();
    let sell = |sold: &mut BTreeMap<_, _>, seats: &SeatList, booking| {
        seats.iter().all(|seat| sold.insert(*seat, booking).is_none())
    };
    state.entries.iter().all(|entry| match &entry.event {
        Event::SeatsHeld(held) => holds.insert(held.hold, held.seats.clone()).is_none(),
        Event::HoldBooked(booked) => {
            let seats = holds[&booked.hold].clone();
            bookings.insert(booked.booking, seats.clone());
            sell(&mut sold, &seats, booked.booking)
        }
        Event::SeatsCancelled(cancelled) => {
            bookings.entry(cancelled.booking).and_modify(|seats| seats.retain(|seat| !cancelled.seats.contains(seat)));
            cancelled.seats.iter().all(|seat| sold.remove(seat) == Some(cancelled.booking))
        }
        Event::BookingsLapsed { bookings: lapsed } => {
            sold.retain(|_, booking| !lapsed.contains(booking));
            true
        }
        Event::PaymentAdvanced(advanced) if matches!(advanced.advance, Advance::Failed | Advance::Voided) => {
            sold.retain(|_, booking| *booking != advanced.booking);
            true
        }
        event @ Event::PaymentAdvanced(advanced) if fate_of(event) == Some(Fate::Retaken) => {
            sell(&mut sold, &bookings[&advanced.booking], advanced.booking)
        }
        _ => true,
    })
}

/// All of it goes back where a seat is cancelled, so that nothing is the seller's to keep.
fn money_is_in_balance(sale: &Sale, state: &State) -> bool {
    let image = image(sale, state);
    image.bookings.iter().all(|booking| {
        let Some(payment) = booking.payment() else { return sale.price == 0 };
        let tickets =
            if booking.standing == Standing::Confirmed { booking.remaining().len() as i64 * sale.price } else { 0 };
        let back = payment.refunded() + payment.refund_due();
        match payment.stage {
            Stage::Captured => tickets + back == payment.amount && back <= payment.amount,
            // It is let go, or collected; whatever then has to go back is no more than that.
            Stage::Authorised => back <= payment.amount,
            Stage::Open | Stage::Charging | Stage::Failed | Stage::Voided => tickets == 0 && back == 0,
        }
    })
}

fn seats_go_only_where_events_lead(sale: &Sale, state: &State) -> bool {
    let mut inventory = open(sale);
    state.entries.iter().all(|entry| {
        let before = seats(&inventory);
        inventory.apply(entry.at, &entry.event);
        before.iter().zip(seats(&inventory)).all(|(before, after)| leads(&entry.event, *before, after))
    })
}

fn leads(event: &Event, before: SeatState, after: SeatState) -> bool {
    match (before, after) {
        _ if before == after => true,
        (SeatState::Free, SeatState::Held(_)) => matches!(event, Event::SeatsHeld(_)),
        (SeatState::Held(_), SeatState::Booked(_)) => matches!(event, Event::HoldBooked(_)),
        (SeatState::Held(_), SeatState::Free) => {
            matches!(event, Event::HoldReleased { .. } | Event::HoldsExpired { .. })
        }
        (SeatState::Booked(_), SeatState::Free) => {
            matches!(event, Event::SeatsCancelled(_) | Event::BookingsLapsed { .. })
                || matches!(advance(event), Some(Advance::Failed | Advance::Voided))
        }
        (SeatState::Free, SeatState::Booked(_)) => fate_of(event) == Some(Fate::Retaken),
        _ => false,
    }
}

fn counts_agree(sale: &Sale, state: &State) -> bool {
    state.inventory(sale).verify().is_ok()
}

fn nothing_is_held_beyond_its_time(sale: &Sale, state: &State) -> bool {
    let mut inventory = state.inventory(sale);
    while let Some(expired) = inventory.pulse(state.now()) {
        happen(&mut inventory, state.now(), expired);
    }
    let image = inventory.image();
    held(&image).all(|(_, hold)| hold.expires_at > state.now())
        && image.bookings.iter().all(|booking| booking.until().is_none_or(|until| until > state.now()))
}

fn nobody_is_beyond_a_limit(sale: &Sale, state: &State) -> bool {
    let image = image(sale, state);
    (0..image.buyers.len() as u32).all(|buyer| {
        let holds: Vec<_> = held(&image).filter(|(_, hold)| hold.buyer == buyer).collect();
        let held: usize = holds.iter().map(|(_, hold)| hold.seats.len()).sum();
        let booked = image.bookings.iter().filter(|booking| booking.buyer == buyer);
        let booked: usize = booked.map(|booking| booking.remaining().len()).sum();
        held + booked <= sale.seats_per_buyer_max as usize && holds.len() <= sale.holds_per_buyer_max as usize
    })
}

fn effects_and_keys_go_together(sale: &Sale, state: &State) -> bool {
    image(sale, state).replays.len() == requests(sale, state).len()
}

fn requests_are_answered_once(sale: &Sale, state: &State) -> bool {
    let inventory = state.inventory(sale);
    requests(sale, state).into_iter().all(|(request, answer)| {
        let again = Ok(Decision::Replayed(Box::new(answer)));
        let other = with_other_body(request.clone());
        inventory.decide(&request, state.now()) == again
            && inventory.decide(&other, state.now()) == Err(Refusal::KeyReused)
    })
}

/// Every request with a key that came to something, and what was answered then.
fn requests(sale: &Sale, state: &State) -> Vec<(Command, Answer)> {
    let mut inventory = open(sale);
    let mut requests = Vec::new();
    for entry in &state.entries {
        inventory.apply(entry.at, &entry.event);
        if let Some(request) = request(&inventory.image(), &entry.event) {
            requests.push((request, inventory.answer(&entry.event)));
        }
    }
    requests
}

fn request(image: &Image, event: &Event) -> Option<Command> {
    let performance = image.opening.performance;
    let of = |buyer: u32| Caller { account: image.buyers[buyer as usize], admin: false };
    match event {
        Event::SeatsHeld(held) => {
            let (caller, wish) = (Caller { account: held.buyer, admin: false }, Wish::Seats(held.seats.clone()));
            Some(Command::HoldSeats(HoldSeats { caller, wish, nonce: held.nonce, key: held.key }))
        }
        Event::HoldBooked(booked) => {
            let caller = of(image.bookings[booked.booking as usize].buyer);
            let (hold, nonce) = (HoldId { performance, number: booked.hold, nonce: 0 }, booked.nonce);
            Some(Command::BookHold(BookHold { caller, hold, purpose: None, nonce, key: booked.key }))
        }
        Event::SeatsCancelled(cancelled) => {
            let (caller, number) = (Caller { account: cancelled.by, admin: false }, cancelled.booking);
            let booking = BookingId { performance, number, nonce: image.bookings[number as usize].nonce };
            let (seats, key) = (Some(cancelled.seats.clone()), cancelled.key);
            Some(Command::CancelSeats(CancelSeats { caller, booking, seats, key }))
        }
        _ => None,
    }
}

fn with_other_body(mut request: Command) -> Command {
    match &mut request {
        Command::HoldSeats(HoldSeats { key: Some(key), .. })
        | Command::BookHold(BookHold { key: Some(key), .. })
        | Command::CancelSeats(CancelSeats { key: Some(key), .. }) => {
            *key = RequestKey { fingerprint: key.fingerprint ^ 1, ..*key };
        }
        other => unreachable!("{other:?} has no key"),
    }
    request
}

fn states_and_records_agree(sale: &Sale, state: &State) -> bool {
    let (durable, rest) = state.entries.split_at(state.durable);
    let mut inventory = Inventory::from_image(replay(sale, durable).image()).unwrap();
    rest.iter().for_each(|entry| inventory.apply(entry.at, &entry.event));
    inventory.image() == image(sale, state)
}

fn strangers_change_nothing(sale: &Sale, state: &State) -> bool {
    let inventory = state.inventory(sale);
    let image = inventory.image();
    let performance = inventory.performance();
    let strangers = |buyer: u32| {
        let own = image.buyers[buyer as usize];
        (0..BUYERS).map(caller).filter(move |caller| caller.account != own)
    };
    let refused = |command, refusal| inventory.decide(&command, state.now()) == Err(refusal);
    let holds = held(&image).all(|(number, hold)| {
        let hold_id = HoldId { performance, number, nonce: hold.nonce };
        strangers(hold.buyer).all(|caller| {
            let book = BookHold { caller, hold: hold_id, purpose: None, nonce: 1, key: None };
            refused(Command::ReleaseHold { caller, hold: hold_id }, Refusal::UnknownHold)
                && refused(Command::BookHold(book), Refusal::UnknownHold)
        })
    });
    holds
        && (0..).zip(&image.bookings).filter(|(_, booking)| !booking.is_over()).all(|(number, booking)| {
            let id = BookingId { performance, number, nonce: booking.nonce };
            strangers(booking.buyer).all(|caller| {
                let cancel = CancelSeats { caller, booking: id, seats: None, key: None };
                refused(Command::CancelSeats(cancel), Refusal::UnknownBooking)
            })
        })
}
