//! Snapshots: whatever their bytes, a start reads them to a sound state or refuses them by name.

use onrush_engine::inventory::{Image, Made, OfferIndex, PlaceImage};
use onrush_engine::journal::codec::{decode_image, encode_image};
use onrush_engine::journal::frame::{Body, Digest, Frame};
use onrush_engine::journal::recovery::RecoveryError;
use onrush_engine::journal::snapshot::Snapshot;
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::{CancellationRules, Offer, PriceList, RefundStep};
use onrush_engine::seat_map::{SeatIndex, TierIndex};
use onrush_engine::time::Timestamp;

use crate::hall::{PERFORMANCE, SEATS_MAX, size};
use crate::input::Input;
use crate::journal::{Records, STREAM};
use crate::sale::{Sale, exercise};

/// Bytes as a file, as its body, and as a sale's state with other numbers.
pub fn run(bytes: &[u8]) {
    let mut input = Input::of(bytes);
    match input.byte() % 4 {
        0 => file(input.rest()),
        1 => body(1, input.rest()),
        3 => body(2, input.rest()),
        _ => image(input),
    }
}

fn body(format: u16, bytes: &[u8]) {
    let body = Body { format, bytes: bytes.to_vec() };
    file(&Frame::encode(1, STREAM, 5, Digest::GENESIS, &body).bytes);
}

fn file(bytes: &[u8]) {
    let Ok(snapshot) = Snapshot::decode(bytes) else { return };
    if size(&snapshot.image.opening.plan) > SEATS_MAX {
        return;
    }
    let image = snapshot.image.clone();
    let written = encode_image(&image);
    assert_eq!(decode_image(written.format, &written).as_ref(), Ok(&image), "what was read can be written");
    // What is refused is told by its name.
    restore(snapshot).map_err(|error| error.to_string()).ok();
}

/// Whether a start restores a snapshot; the state it comes to is the one that the file holds.
fn restore(snapshot: Snapshot) -> Result<(), RecoveryError> {
    let image = snapshot.image.clone();
    let mut found = Records::listed().recovered(vec![snapshot])?;
    let inventory = found.inventories.remove(&PERFORMANCE).expect("it is listed");
    assert_eq!(inventory.image(), image);
    exercise(inventory);
    Ok(())
}

/// The state of a sale by the rules, and then some of its numbers changed.
fn image(mut input: Input<'_>) {
    let mut sale = Sale::open();
    for _ in 0..input.byte() % 32 {
        sale.step(&mut input);
    }
    let sound = sale.inventory.image();
    let mut image = sound.clone();
    while !input.is_empty() {
        change(&mut image, &mut input);
    }
    let sequence = sale.entries.len() as u64;
    let written = Snapshot { epoch: 1, stream: STREAM, sequence, tip: Digest::GENESIS, image }.encode();
    let Ok(snapshot) = Snapshot::decode(&written) else { panic!("every image can be written") };
    let same = snapshot.image == sound;
    let outcome = restore(snapshot);
    assert!(outcome.is_ok() || !same, "a sale's own state was refused: {outcome:?}");
}

fn change(image: &mut Image, input: &mut Input<'_>) {
    match input.byte() % 8 {
        0 => opening(image, input),
        1 => offers(image, input),
        2 => image.holds_base = input.number(),
        3 => place(image, input),
        4 => booking(image, input),
        5 => block(image, input),
        6 => buyers(image, input),
        _ => replay(image, input),
    }
}

fn opening(image: &mut Image, input: &mut Input<'_>) {
    match input.byte() % 4 {
        0 => image.opening.performance.0 = input.word(),
        1 => image.opening.plan.sections[usize::from(input.byte()) % 4].tier = TierIndex(input.number() as u16),
        2 => drop(image.opening.tiers.pop()),
        _ => drop(image.opening.prices.pop()),
    }
}

fn offers(image: &mut Image, input: &mut Input<'_>) {
    if input.coin() {
        image.offers.pop();
        return;
    }
    let currencies = [Currency::KRW, "USD".parse().expect("a currency")];
    let money = |input: &mut Input<'_>| Money { amount: input.signed(), currency: input.one_of(&currencies) };
    let list: Vec<Money> = (0..input.byte() % 6).map(|_| money(input)).collect();
    let step =
        |input: &mut Input<'_>| RefundStep { until: Timestamp::from_millis(input.signed()), percent: input.byte() };
    let refund = (0..input.byte() % 3).map(|_| step(input)).collect();
    let [starts_at, until] = [(); 2].map(|()| Timestamp::from_millis(input.signed()));
    let cancellation = CancellationRules { starts_at, until, refund };
    image.offers.push(Offer { prices: PriceList(list.into()), cancellation });
}

fn place(image: &mut Image, input: &mut Input<'_>) {
    let count = image.places.len();
    if count == 0 || input.byte() < 16 {
        let place = if input.coin() { PlaceImage::Booked(input.number()) } else { PlaceImage::Ended };
        return image.places.push(place);
    }
    let place = &mut image.places[usize::from(input.byte()) % count];
    let PlaceImage::Active(hold) = place else {
        *place = PlaceImage::Booked(input.number());
        return;
    };
    match input.byte() % 4 {
        0 => hold.buyer = input.number(),
        1 => hold.offer = OfferIndex(input.number()),
        2 => hold.seats.push(SeatIndex(input.number())),
        _ => hold.expires_at = Timestamp::from_millis(input.signed()),
    }
}

fn booking(image: &mut Image, input: &mut Input<'_>) {
    let count = image.bookings.len();
    if count == 0 {
        return;
    }
    let booking = &mut image.bookings[usize::from(input.byte()) % count];
    match input.byte() % 5 {
        0 => booking.buyer = input.number(),
        1 => booking.offer = OfferIndex(input.number()),
        2 => booking.seats.push(SeatIndex(input.number())),
        3 => booking.details.iter_mut().for_each(|details| details.cancelled.push(SeatIndex(input.number()))),
        _ => drop(image.bookings.pop()),
    }
}

fn block(image: &mut Image, input: &mut Input<'_>) {
    match input.byte() % 3 {
        0 => image.next_block = input.number(),
        1 => image.blocks.values_mut().for_each(|block| block.seats.push(SeatIndex(input.number()))),
        _ => {
            if let Some((_, block)) = image.blocks.pop_first() {
                image.blocks.insert(input.number(), block);
            }
        }
    }
}

fn buyers(image: &mut Image, input: &mut Input<'_>) {
    match image.buyers.first().copied() {
        Some(first) if input.coin() => image.buyers.push(first),
        _ => drop(image.buyers.pop()),
    }
}

fn replay(image: &mut Image, input: &mut Input<'_>) {
    let count = image.replays.len();
    if count == 0 {
        return;
    }
    let place = usize::from(input.byte()) % count;
    if input.byte() < 32 {
        let again = image.replays[place].clone();
        return image.replays.push(again);
    }
    let replay = &mut image.replays[place];
    if input.coin() {
        replay.caller = input.number();
    }
    if input.coin() {
        replay.at = Timestamp::from_millis(input.signed());
    }
    match &mut replay.made {
        Made::Hold { number, seats, offer, .. } => {
            (*number, *offer) = (input.number(), OfferIndex(input.number()));
            seats.push(SeatIndex(input.number()));
        }
        Made::Booking { number } => *number = input.number(),
        Made::Cancellation { booking, cancelled, .. } => (*booking, *cancelled) = (input.number(), input.number()),
        Made::Ticket { booking, seat, .. } => (*booking, *seat) = (input.number(), SeatIndex(input.number())),
        Made::Block { number, seats, .. } => {
            *number = input.number();
            seats.push(SeatIndex(input.number()));
        }
    }
}
