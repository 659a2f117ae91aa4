//! The naive model: the rules once more, as plainly as they can be said, with no index, no bitset and no hurry.

use std::collections::BTreeMap;

use onrush_engine::command::{BestAvailable, BookHold, CancelSeats, Command, HoldSeats, RequestKey, Wish};
use onrush_engine::inventory::{Answer, Image, PlaceImage};
use onrush_engine::mailbox::{Ask, Failure, Outcome};
use onrush_engine::seat_map::{SeatIndex, SeatMap};

use crate::hall::seller;

/// What a model and an engine must agree on: an answer or a refusal, as text.
pub(crate) type Said = String;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    Nobody,
    Hold(u32),
    Booking(u32),
    Block(u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Hold {
    buyer: String,
    seats: Vec<u32>,
    ends: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Booking {
    buyer: String,
    seats: Vec<u32>,
    cancelled: Vec<u32>,
}

impl Booking {
    fn left(&self) -> Vec<u32> {
        self.seats.iter().copied().filter(|seat| !self.cancelled.contains(seat)).collect()
    }

    fn said(&self, number: u32) -> Said {
        said_booking(number, &self.left(), &self.cancelled)
    }
}

/// How long a request key is remembered: 25 hours.
const KEYS_REMEMBERED_MILLIS: i64 = 25 * 3_600_000;
/// Holds that are known of when they are over, where none before them is active.
const HOLDS_REMEMBERED: u32 = 1024;

/// One performance.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    seats: Vec<Owner>,
    holds: BTreeMap<u32, Hold>,
    next_hold: u32,
    /// Ended holds, with the booking they became.
    ended: BTreeMap<u32, Option<u32>>,
    bookings: Vec<Booking>,
    blocks: BTreeMap<u32, Vec<u32>>,
    next_block: u32,
    /// With when it was first used.
    keys: BTreeMap<(String, [u64; 2]), (u64, Said, i64)>,
    /// Of holds with a smaller number nothing is known any more.
    remembered: u32,
    ttl: i64,
    seats_max: usize,
    holds_max: usize,
    /// Rows by rank: tier, then distance, then section; first seat and length.
    rows: Vec<(u32, u32)>,
    /// Time of the last event.
    now: i64,
}

fn numbers(seats: &[SeatIndex]) -> Vec<u32> {
    seats.iter().map(|seat| seat.0).collect()
}

fn said_hold(number: u32, seats: &[u32], ends: i64) -> Said {
    format!("hold {number} {seats:?} until {ends}")
}

fn said_booking(number: u32, seats: &[u32], cancelled: &[u32]) -> Said {
    format!("booking {number} {seats:?} without {cancelled:?}")
}

fn said_bookings(page: Vec<Said>, total: usize) -> Said {
    format!("{total} bookings: {}", page.join(", "))
}

/// What an engine said, in the model's words.
pub(crate) fn said(outcome: &Outcome) -> Said {
    match outcome {
        Ok(answered) => match &answered.answer {
            Answer::Hold(hold) => said_hold(hold.id.number, &numbers(&hold.seats), hold.expires_at.as_millis()),
            Answer::Booking(booking) => {
                said_booking(booking.id.number, &numbers(&booking.seats), &numbers(&booking.cancelled))
            }
            Answer::Block(block) => format!("block {} {:?}", block.id.number, numbers(&block.seats)),
            Answer::Bookings(bookings, total) => {
                let said = bookings.iter().map(|booking| {
                    said_booking(booking.id.number, &numbers(&booking.seats), &numbers(&booking.cancelled))
                });
                said_bookings(said.collect(), *total as usize)
            }
            Answer::Payment(_) | Answer::Ticket(_) | Answer::Tickets(_) => unreachable!("nobody asks for that"),
            Answer::Done => "done".to_owned(),
        },
        Err(failure) => said_failure(failure),
    }
}

/// That an engine did nothing, and why, in the model's words.
pub(crate) fn said_failure(failure: &Failure) -> Said {
    match failure {
        Failure::Refused(refusal) => {
            let text = format!("{refusal:?}");
            format!("refused {}", text.split([' ', '{', '(']).next().unwrap())
        }
        failure => format!("failed {failure:?}"),
    }
}

impl Model {
    pub(crate) fn new(map: &SeatMap, ttl_seconds: u32, seats_max: u32, holds_max: u32, now: i64) -> Self {
        let mut rows: Vec<_> = (0..map.rows().len() as u32)
            .map(|row| {
                let place = &map.rows()[row as usize];
                let section = &map.sections()[usize::from(place.section.0)];
                ((section.tier, row - section.rows.start, place.section), section.standing, (place.first.0, place.len))
            })
            .filter(|(_, standing, _)| !standing)
            .collect();
        rows.sort_by_key(|(rank, _, _)| *rank);
        Self {
            seats: vec![Owner::Nobody; map.capacity() as usize],
            holds: BTreeMap::new(),
            next_hold: 0,
            ended: BTreeMap::new(),
            bookings: Vec::new(),
            blocks: BTreeMap::new(),
            next_block: 0,
            keys: BTreeMap::new(),
            remembered: 0,
            ttl: i64::from(ttl_seconds) * 1000,
            seats_max: seats_max as usize,
            holds_max: holds_max as usize,
            rows: rows.into_iter().map(|(_, _, row)| row).collect(),
            now,
        }
    }

    /// Ends the holds whose time is up; says how many.
    pub(crate) fn pulse(&mut self, now: i64) -> usize {
        let now = now.max(self.now);
        let due: Vec<u32> = self.holds.iter().filter(|(_, hold)| hold.ends <= now).map(|(number, _)| *number).collect();
        due.iter().for_each(|number| self.end(*number, None));
        if !due.is_empty() {
            self.now = self.now.max(now);
        }
        due.len()
    }

    pub(crate) fn is_due(&self, now: i64) -> bool {
        self.holds.values().any(|hold| hold.ends <= now)
    }

    fn end(&mut self, number: u32, booking: Option<u32>) {
        let hold = self.holds.remove(&number).unwrap();
        let owner = booking.map_or(Owner::Nobody, Owner::Booking);
        hold.seats.iter().for_each(|seat| self.seats[*seat as usize] = owner.clone());
        self.ended.insert(number, booking);
        while self.next_hold - self.remembered > HOLDS_REMEMBERED && !self.holds.contains_key(&self.remembered) {
            self.ended.remove(&self.remembered);
            self.remembered += 1;
        }
    }

    /// Gives every active hold more time.
    pub(crate) fn extend(&mut self, by: i64, now: i64) {
        self.holds.values_mut().for_each(|hold| hold.ends += by);
        self.now = self.now.max(now);
    }

    pub(crate) fn active_holds(&self) -> usize {
        self.holds.len()
    }

    /// What an engine must say at a time.
    pub(crate) fn ask(&mut self, ask: &Ask, now: i64) -> Said {
        let read = match ask {
            Ask::Command(command) => return self.run(command, now),
            Ask::Payment(_) | Ask::Ticket(..) | Ask::Tickets(..) => unreachable!("nobody asks for that"),
            Ask::Hold(caller, id) => self.read_hold(id.number, id.nonce, &caller.account.to_string()),
            Ask::Booking(caller, id) => self.read_booking(id.number, &caller.account.to_string()),
            Ask::Bookings(caller, numbers) if *caller == seller() => {
                let page = self.bookings.iter().enumerate().skip(numbers.start as usize).take(numbers.len());
                Ok(said_bookings(
                    page.map(|(number, booking)| booking.said(number as u32)).collect(),
                    self.bookings.len(),
                ))
            }
            Ask::Bookings(..) => Err("NotSeller"),
        };
        read.unwrap_or_else(|refusal| format!("refused {refusal}"))
    }

    fn read_hold(&self, number: u32, nonce: u64, account: &str) -> Result<Said, &'static str> {
        self.own(number, nonce, account)?;
        let hold = &self.holds[&number];
        Ok(said_hold(number, &hold.seats, hold.ends))
    }

    fn read_booking(&self, number: u32, account: &str) -> Result<Said, &'static str> {
        let booking = self.bookings.get(number as usize).filter(|booking| booking.buyer == account);
        Ok(booking.ok_or("UnknownBooking")?.said(number))
    }

    fn run(&mut self, command: &Command, now: i64) -> Said {
        let now = now.max(self.now);
        let (account, key) = match command {
            Command::HoldSeats(HoldSeats { caller, key, .. })
            | Command::BookHold(BookHold { caller, key, .. })
            | Command::CancelSeats(CancelSeats { caller, key, .. }) => (caller.account.to_string(), *key),
            Command::BlockSeats(block) => (block.caller.account.to_string(), block.key),
            Command::ReleaseHold { caller, .. } | Command::LiftBlock { caller, .. } => {
                (caller.account.to_string(), None)
            }
            Command::ChangeTerms(_)
            | Command::DecideBooking(_)
            | Command::NotePayment(_)
            | Command::CancelPerformance(_)
            | Command::TransferTicket { .. }
            | Command::CheckIn { .. } => unreachable!("no round does that"),
        };
        if let Some(RequestKey { key, fingerprint }) = key
            && let Some((first, said, _)) = self.keys.get(&(account.clone(), key))
        {
            return if *first == fingerprint { said.clone() } else { "refused KeyReused".to_owned() };
        }
        let said = match self.change(command, &account, now) {
            Ok(said) => said,
            Err(refusal) => return format!("refused {refusal}"),
        };
        if said != "nothing" {
            self.now = now;
            if let Some(RequestKey { key, fingerprint }) = key {
                self.keys.retain(|_, (_, _, at)| *at + KEYS_REMEMBERED_MILLIS > now);
                self.keys.insert((account, key), (fingerprint, said.clone(), now));
            }
        }
        if said == "nothing" { "done".to_owned() } else { said }
    }

    fn change(&mut self, command: &Command, account: &str, now: i64) -> Result<Said, &'static str> {
        match command {
            Command::HoldSeats(hold) => self.hold(&hold.wish, account, now),
            Command::ReleaseHold { hold, .. } => match self.own(hold.number, hold.nonce, account) {
                Ok(()) => {
                    self.end(hold.number, None);
                    Ok("done".to_owned())
                }
                Err("HoldEnded") => Ok("nothing".to_owned()),
                Err(refusal) => Err(refusal),
            },
            Command::BookHold(book) => {
                self.own(book.hold.number, book.hold.nonce, account)?;
                let (number, seats) = (self.bookings.len() as u32, self.holds[&book.hold.number].seats.clone());
                self.end(book.hold.number, Some(number));
                let said = said_booking(number, &seats, &[]);
                self.bookings.push(Booking { buyer: account.to_owned(), seats, cancelled: Vec::new() });
                Ok(said)
            }
            Command::CancelSeats(cancel) => self.cancel(cancel, account),
            Command::DecideBooking(_)
            | Command::NotePayment(_)
            | Command::CancelPerformance(_)
            | Command::TransferTicket { .. }
            | Command::CheckIn { .. } => {
                unreachable!("no round does that")
            }
            Command::BlockSeats(block) => {
                let seats = numbers(&block.seats);
                self.check_free(&seats)?;
                let number = self.next_block;
                seats.iter().for_each(|seat| self.seats[*seat as usize] = Owner::Block(number));
                self.next_block += 1;
                let said = format!("block {number} {seats:?}");
                self.blocks.insert(number, seats);
                Ok(said)
            }
            Command::LiftBlock { block, .. } => match self.blocks.remove(&block.number) {
                Some(seats) => {
                    seats.iter().for_each(|seat| self.seats[*seat as usize] = Owner::Nobody);
                    Ok("done".to_owned())
                }
                None if block.number < self.next_block => Ok("nothing".to_owned()),
                None => Err("UnknownBlock"),
            },
            Command::ChangeTerms(_) => unreachable!("no round changes terms"),
        }
    }

    fn hold(&mut self, wish: &Wish, account: &str, now: i64) -> Result<Said, &'static str> {
        let of_account = |hold: &&Hold| hold.buyer == account;
        let held: usize = self.holds.values().filter(of_account).map(|hold| hold.seats.len()).sum();
        let booked = self.bookings.iter().filter(|booking| booking.buyer == account);
        let booked: usize = booked.map(|booking| booking.seats.len() - booking.cancelled.len()).sum();
        if held + booked + wish.quantity() as usize > self.seats_max {
            return Err("SeatLimit");
        }
        if self.holds.values().filter(of_account).count() >= self.holds_max {
            return Err("HoldLimit");
        }
        let seats = match wish {
            Wish::Seats(seats) => {
                self.check_free(&numbers(seats))?;
                numbers(seats)
            }
            Wish::BestAvailable(wish) => self.best(wish)?,
            Wish::SeatsOrNearest(_) | Wish::Preferred(_) => unreachable!("nobody asks for that"),
            Wish::GeneralAdmission { .. } => unreachable!("the hall has no standing area"),
        };
        let (number, ends) = (self.next_hold, now + self.ttl);
        seats.iter().for_each(|seat| self.seats[*seat as usize] = Owner::Hold(number));
        self.next_hold += 1;
        let said = said_hold(number, &seats, ends);
        self.holds.insert(number, Hold { buyer: account.to_owned(), seats, ends });
        Ok(said)
    }

    fn check_free(&self, seats: &[u32]) -> Result<(), &'static str> {
        let free = seats.iter().all(|seat| self.seats[*seat as usize] == Owner::Nobody);
        if free { Ok(()) } else { Err("SeatsTaken") }
    }

    /// The first row in order that has such a run, and there the place nearest the middle, the left one of two.
    fn best(&self, wish: &BestAvailable) -> Result<Vec<u32>, &'static str> {
        let free = |seat: u32| self.seats[seat as usize] == Owner::Nobody;
        for &(first, len) in &self.rows {
            let ideal = (len - wish.quantity.min(len)) / 2;
            let places = (0..(len + 1).saturating_sub(wish.quantity))
                .filter(|place| (0..wish.quantity).all(|seat| free(first + place + seat)));
            if let Some(place) = places.min_by_key(|place| place.abs_diff(ideal)) {
                return Ok((first + place..first + place + wish.quantity).collect());
            }
        }
        let left = self.rows.iter().flat_map(|(first, len)| *first..first + len).filter(|seat| free(*seat)).count();
        Err(if left < wish.quantity as usize { "TooFewSeats" } else { "NotAdjacent" })
    }

    fn own(&self, number: u32, nonce: u64, account: &str) -> Result<(), &'static str> {
        match (self.holds.get(&number), self.ended.get(&number)) {
            // The world gives a hold the nonce 0 where it means one that is not the caller's to know.
            (Some(hold), _) if hold.buyer != account || nonce == 0 => Err("UnknownHold"),
            (Some(_), _) => Ok(()),
            (None, Some(Some(booking))) if self.bookings[*booking as usize].buyer == account => Err("HoldBooked"),
            (None, Some(Some(_))) => Err("UnknownHold"),
            (None, Some(None)) => Err("HoldEnded"),
            (None, None) if number < self.remembered => Err("HoldEnded"),
            (None, None) => Err("UnknownHold"),
        }
    }

    fn cancel(&mut self, cancel: &CancelSeats, account: &str) -> Result<Said, &'static str> {
        let number = cancel.booking.number;
        let booking = self.bookings.get_mut(number as usize).filter(|booking| booking.buyer == account);
        let booking = booking.ok_or("UnknownBooking")?;
        let left = booking.left();
        if left.is_empty() {
            return Err("BookingClosed");
        }
        let gone = cancel.seats.as_ref().map_or(left.clone(), |seats| numbers(seats));
        if gone.iter().any(|seat| !left.contains(seat)) {
            return Err("NotInBooking");
        }
        booking.cancelled.extend(&gone);
        let said = booking.said(number);
        gone.iter().for_each(|seat| self.seats[*seat as usize] = Owner::Nobody);
        Ok(said)
    }

    /// Everything the model knows, as text.
    pub(crate) fn describe(&self) -> String {
        format!("{:?} {:?} {:?} {:?}", self.seats, self.holds, self.bookings, self.blocks)
    }

    /// 0 free, 1 held, 2 booked, 3 blocked.
    pub(crate) fn states(&self) -> Vec<u8> {
        let state = |owner: &Owner| match owner {
            Owner::Nobody => 0,
            Owner::Hold(_) => 1,
            Owner::Booking(_) => 2,
            Owner::Block(_) => 3,
        };
        self.seats.iter().map(state).collect()
    }
}

/// The same text of an engine's state.
pub(crate) fn describe(image: &Image, capacity: u32) -> String {
    let mut seats = vec![Owner::Nobody; capacity as usize];
    let mut holds = BTreeMap::new();
    for (number, place) in (image.holds_base..).zip(&image.places) {
        if let PlaceImage::Active(hold) = place {
            hold.seats.iter().for_each(|seat| seats[seat.0 as usize] = Owner::Hold(number));
            let buyer = image.buyers[hold.buyer as usize].to_string();
            holds.insert(number, Hold { buyer, seats: numbers(&hold.seats), ends: hold.expires_at.as_millis() });
        }
    }
    let mut bookings = Vec::new();
    for (number, booking) in (0..).zip(&image.bookings) {
        booking.remaining().iter().for_each(|seat| seats[seat.0 as usize] = Owner::Booking(number));
        bookings.push(Booking {
            buyer: image.buyers[booking.buyer as usize].to_string(),
            seats: numbers(&booking.seats),
            cancelled: numbers(booking.cancelled()),
        });
    }
    let mut blocks = BTreeMap::new();
    for (number, block) in &image.blocks {
        block.seats.iter().for_each(|seat| seats[seat.0 as usize] = Owner::Block(*number));
        blocks.insert(*number, numbers(&block.seats));
    }
    format!("{seats:?} {holds:?} {bookings:?} {blocks:?}")
}
