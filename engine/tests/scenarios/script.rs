//! The words of the scenarios, in the contract's nouns.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use onrush_engine::command::{
    BestAvailable, BlockSeats, BookHold, Caller, CancelPerformance, CancelSeats, ChangeTerms, Command, DecideBooking,
    Fallback, HoldSeats, PaymentNotice, PaymentStatus, Preferred, RequestKey, Wish,
};
use onrush_engine::event::{Entry, Event};
use onrush_engine::id::{BlockId, BookingId, EngineId, HoldId, PerformanceId, ShowId, TicketId};
use onrush_engine::inventory::{Answer, BookingView, Decision, HoldView, Image, Inventory, Tally, TicketView};
use onrush_engine::journal::codec::{decode_image, encode_image};
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::{Approval, Opening, RefundStep, Terms};
use onrush_engine::refusal::Refusal;
use onrush_engine::seat_map::{RowPlan, SeatIndex, SeatMapPlan, SeatNames, Seating, SectionPlan, Slot, TierIndex};
use onrush_engine::time::Timestamp;

/// The names of all refusals, in the order of the enum.
pub(crate) const REFUSALS: &[&str] = &[
    "NotOnSale",
    "SeatsTaken",
    "TooFewSeats",
    "NotAdjacent",
    "SeatLimit",
    "HoldLimit",
    "UnknownHold",
    "HoldEnded",
    "HoldBooked",
    "UnknownBooking",
    "CancellationClosed",
    "BookingClosed",
    "NotInBooking",
    "UnknownBlock",
    "NotSeller",
    "Prices",
    "Terms",
    "KeyReused",
    "PaymentPending",
    "NotWaiting",
    "UnknownPayment",
    "PerformanceCancelled",
    "UnknownTicket",
    "TicketReissued",
    "TicketUsed",
    "TicketsGone",
    "NoNumberLeft",
    "TooManyOffers",
    "Outdated",
    "HandedOver",
];

/// A match without a rest: a new refusal does not compile until it has a name here, and a line in [`REFUSALS`].
fn name(refusal: &Refusal) -> &'static str {
    let place = match refusal {
        Refusal::NotOnSale { .. } => 0,
        Refusal::SeatsTaken { .. } => 1,
        Refusal::TooFewSeats { .. } => 2,
        Refusal::NotAdjacent { .. } => 3,
        Refusal::SeatLimit { .. } => 4,
        Refusal::HoldLimit { .. } => 5,
        Refusal::UnknownHold => 6,
        Refusal::HoldEnded => 7,
        Refusal::HoldBooked { .. } => 8,
        Refusal::UnknownBooking => 9,
        Refusal::CancellationClosed { .. } => 10,
        Refusal::BookingClosed => 11,
        Refusal::NotInBooking { .. } => 12,
        Refusal::UnknownBlock => 13,
        Refusal::NotSeller => 14,
        Refusal::Prices(_) => 15,
        Refusal::Terms(_) => 16,
        Refusal::KeyReused => 17,
        Refusal::PaymentPending => 18,
        Refusal::NotWaiting => 19,
        Refusal::UnknownPayment => 20,
        Refusal::PerformanceCancelled => 21,
        Refusal::UnknownTicket => 22,
        Refusal::TicketReissued => 23,
        Refusal::TicketUsed { .. } => 24,
        Refusal::TicketsGone { .. } => 25,
        Refusal::NoNumberLeft => 26,
        Refusal::TooManyOffers { .. } => 27,
        Refusal::Outdated => 28,
        Refusal::HandedOver => 29,
    };
    REFUSALS[place]
}

/// Noon of a day that all scenarios share; times in the text are seconds from then on.
const NOON: i64 = 1_800_000_000_000;

/// A performance under a script.
#[derive(Default)]
pub(crate) struct Script {
    inventory: Option<Inventory>,
    /// As it was when it opened.
    opened: Option<Image>,
    entries: Vec<Entry>,
    seconds: i64,
    /// What the text calls h0, b0, k0.
    holds: Vec<HoldId>,
    bookings: Vec<BookingId>,
    blocks: Vec<BlockId>,
    nonce: u64,
    pub(crate) refusals: BTreeSet<&'static str>,
}

fn after(seconds: i64) -> Timestamp {
    Timestamp::from_millis(NOON + seconds * 1000)
}

fn caller(name: &str) -> Caller {
    Caller { account: format!("acc_{name}").parse().unwrap(), admin: name == "admin" }
}

/// `key=value` among the words.
fn option<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn key(words: &[&str]) -> Option<RequestKey> {
    let (key, fingerprint) = option(words, "key")?.split_once('/')?;
    Some(RequestKey { key: [key.parse().unwrap(), 0], fingerprint: fingerprint.parse().unwrap() })
}

/// The words that are no options.
fn plain<'a>(words: &[&'a str]) -> Vec<&'a str> {
    words.iter().copied().filter(|word| !word.contains('=')).collect()
}

impl Script {
    /// Runs one line, and says what came of it.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, words) = words.split_first().unwrap();
        match *verb {
            "open" => self.open(words),
            "at" => self.at(words),
            "restart" => self.restart(words),
            "hand-over" => self.hand_over(),
            "take-over" => self.take_over(),
            "read" => self.read(words),
            "sold" => self.sold(words),
            "count" => self.count(),
            "due" => self.due(),
            "tickets" => self.tickets(words),
            // Prices that were never asked for before, so many; what comes of the last.
            "reprice" => (1..=words[1].parse().unwrap())
                .fold(String::new(), |_, number| self.run(&format!("terms {} price={}", words[0], 1_000 + number))),
            "hold" | "best" | "stand" | "prefer" | "release" | "book" | "cancel" | "block" | "lift" | "terms"
            | "approve" | "reject" | "note" | "call-off" | "give" | "enter" => {
                let command = self.command(verb, words);
                self.give(&command)
            }
            _ => panic!("no such word: {verb}"),
        }
    }

    /// Counts everything anew, and replays everything that happened.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(inventory) = &self.inventory else { return Ok(()) };
        inventory.verify()?;
        let mut replayed = Inventory::from_image(self.opened.clone().unwrap()).unwrap();
        for entry in &self.entries {
            replayed.replay(entry).map_err(|misfit| format!("what was decided does not fit: {misfit}"))?;
        }
        let same = replayed.image() == inventory.image();
        if same { Ok(()) } else { Err("a replay comes to another state".to_owned()) }
    }

    fn inventory(&self) -> &Inventory {
        self.inventory.as_ref().expect("a script opens first")
    }

    fn now(&self) -> Timestamp {
        after(self.seconds)
    }

    fn open(&mut self, words: &[&str]) -> String {
        let row = |name: &str, seats| RowPlan { name: name.into(), seats: SeatNames::Count(seats) };
        let section = |name: &str, tier, seating| SectionPlan { name: name.into(), tier: TierIndex(tier), seating };
        let slot = |hour: i64| Slot { starts_at: after(hour * 3600), ends_at: after((hour + 1) * 3600) };
        let price: i64 = option(words, "price").map_or(0, |price| price.parse().unwrap());
        let prices = [price, 0, 0].map(|amount| Money { amount, currency: Currency::KRW });
        let opening = Opening {
            performance: PerformanceId(7),
            show: ShowId(1),
            seller: caller("seller").account,
            plan: SeatMapPlan {
                sections: vec![
                    section("A", 0, Seating::Reserved(vec![row("1", 5), row("2", 6)])),
                    section("Floor", 1, Seating::GeneralAdmission(4)),
                    section("Room", 2, Seating::Slots { resource: "Room".into(), slots: vec![slot(9), slot(10)] }),
                ],
            },
            tiers: ["Gold", "Standing", "Hour"].map(Box::from).to_vec(),
            prices: prices.to_vec(),
            terms: terms(
                Terms {
                    starts_at: after(86_400),
                    ends_at: after(90_000),
                    opens_at: after(0),
                    closes_at: after(86_400),
                    hold_ttl_seconds: 300,
                    seats_per_buyer_max: 6,
                    holds_per_buyer_max: 2,
                    approval: Approval::Automatic,
                    cancel_until: after(86_400),
                    refund: Vec::new(),
                },
                words,
            ),
        };
        (self.holds, self.bookings, self.blocks) = Default::default();
        let mut opened = Inventory::open(&opening, self.now()).unwrap().image();
        if let Some(next) = option(words, "next").map(|next| next.parse().unwrap()) {
            // As if so many holds and blocks had been there and were forgotten.
            (opened.holds_base, opened.next_block) = (next, next);
        }
        self.inventory = Some(Inventory::from_image(opened.clone()).unwrap());
        self.opened = Some(opened);
        self.entries.clear();
        format!("open with {} seats", self.inventory().map().capacity())
    }

    /// Lets time pass, and holds run out.
    fn at(&mut self, words: &[&str]) -> String {
        self.seconds = words[0].parse().unwrap();
        let expired = self.pulse();
        if expired.is_empty() { "nothing ends".to_owned() } else { format!("expired {}", expired.join(" ")) }
    }

    fn pulse(&mut self) -> Vec<String> {
        let mut expired = Vec::new();
        while let Some(event) = self.inventory().pulse(self.now()) {
            match &event {
                Event::HoldsExpired { holds } => expired.extend(holds.iter().map(|number| format!("h{number}"))),
                Event::BookingsLapsed { bookings } => {
                    expired.extend(bookings.iter().map(|number| format!("b{number}")));
                }
                _ => panic!("a pulse ends what has run out"),
            }
            self.apply(event);
        }
        expired
    }

    /// The engine is away for some seconds, and gives them back.
    fn restart(&mut self, words: &[&str]) -> String {
        let away: i64 = words[0].parse().unwrap();
        let image = self.inventory().image();
        self.inventory = Some(Inventory::from_image(image).unwrap());
        self.seconds += away;
        self.apply(Event::HoldsExtended { by_millis: u32::try_from(away * 1000).unwrap() });
        format!("{} holds extended by {away} s", self.inventory().active_holds())
    }

    /// The performance is given to another engine, which reads what was written down.
    fn hand_over(&mut self) -> String {
        self.apply(Event::HandedOver { to: EngineId(2) });
        let body = encode_image(&self.inventory().image());
        self.inventory = Some(Inventory::from_image(decode_image(body.format, &body).unwrap()).unwrap());
        format!("to {}", self.inventory().handed_over().unwrap())
    }

    fn take_over(&mut self) -> String {
        self.apply(Event::TakenOver);
        "it goes on".to_owned()
    }

    fn apply(&mut self, event: Event) {
        let at = self.now();
        self.inventory.as_mut().unwrap().apply(at, &event);
        self.entries.push(Entry { at: self.inventory().now(), event });
    }

    fn seats(&self, labels: &[&str]) -> Vec<SeatIndex> {
        labels.iter().map(|label| self.inventory().map().seat_labelled(label).expect("a seat of the hall")).collect()
    }

    fn labels(&self, seats: &[SeatIndex]) -> String {
        let labels: Vec<String> = seats.iter().map(|seat| self.inventory().map().label(*seat).to_string()).collect();
        labels.join(" ")
    }

    fn hold(&self, name: &str) -> HoldId {
        let number: u32 = name.strip_prefix('h').unwrap().parse().unwrap();
        let unknown = HoldId { performance: PerformanceId(7), number, nonce: 0 };
        self.holds.iter().copied().find(|id| id.number == number).unwrap_or(unknown)
    }

    fn booking(&self, name: &str) -> BookingId {
        let number: u32 = name.strip_prefix('b').unwrap().parse().unwrap();
        let unknown = BookingId { performance: PerformanceId(7), number, nonce: 0 };
        self.bookings.iter().copied().find(|id| id.number == number).unwrap_or(unknown)
    }

    fn command(&mut self, verb: &str, words: &[&str]) -> Command {
        self.nonce += 1;
        let nonce = self.nonce;
        let key = key(words);
        let given = plain(words);
        if verb == "note" {
            return Command::NotePayment(self.notice(&given, words));
        }
        let who = caller(given[0]);
        match verb {
            "hold" => {
                let seats = self.seats(&given[1..]).into();
                let nearest = option(words, "or") == Some("nearest");
                let wish = if nearest { Wish::SeatsOrNearest(seats) } else { Wish::Seats(seats) };
                Command::HoldSeats(HoldSeats { caller: who, wish, nonce, key })
            }
            "best" => Command::HoldSeats(HoldSeats { caller: who, wish: self.best(&given, words), nonce, key }),
            "prefer" => Command::HoldSeats(HoldSeats { caller: who, wish: self.preferred(&given, words), nonce, key }),
            "stand" => {
                let section = self.inventory().map().section_named(given[1]).unwrap();
                let wish = Wish::GeneralAdmission { section, quantity: given[2].parse().unwrap() };
                Command::HoldSeats(HoldSeats { caller: who, wish, nonce, key })
            }
            "release" => Command::ReleaseHold { caller: who, hold: self.hold(given[1]) },
            "book" => {
                let purpose = option(words, "purpose").map(Box::from);
                Command::BookHold(BookHold { caller: who, hold: self.hold(given[1]), purpose, nonce, key })
            }
            "cancel" => {
                let seats = Some(self.seats(&given[2..])).filter(|seats| !seats.is_empty());
                let seats = seats.map(Into::into);
                Command::CancelSeats(CancelSeats { caller: who, booking: self.booking(given[1]), seats, key })
            }
            "block" => {
                let seats = self.seats(&given[1..]);
                Command::BlockSeats(BlockSeats { caller: who, seats, reason: None, nonce, key })
            }
            "approve" | "reject" => {
                let (booking, reason) = (self.booking(given[1]), option(words, "reason").map(Box::from));
                Command::DecideBooking(DecideBooking { caller: who, booking, approve: verb == "approve", reason })
            }
            "give" => {
                let (ticket, to) = (self.ticket(given[1], given[2]), caller(given[3]).account);
                Command::TransferTicket { caller: who, ticket, to, key }
            }
            "enter" => {
                let issue = option(words, "issue").map(|issue| issue.parse().unwrap());
                Command::CheckIn { caller: who, ticket: self.ticket(given[1], given[2]), issue, key }
            }
            "call-off" => Command::CancelPerformance(CancelPerformance { caller: who, reason: None }),
            "lift" => {
                let number: u32 = given[1].strip_prefix('k').unwrap().parse().unwrap();
                let unknown = BlockId { performance: PerformanceId(7), number, nonce: 0 };
                let block = self.blocks.iter().copied().find(|id| id.number == number).unwrap_or(unknown);
                Command::LiftBlock { caller: who, block }
            }
            _ => {
                let terms = terms(Terms::clone(self.inventory().terms()), words);
                let price = option(words, "price").map(|price| price.parse().unwrap());
                let prices = price
                    .map(|price: i64| [price, 0, 0].map(|amount| Money { amount, currency: Currency::KRW }).to_vec());
                // `from=`: what somebody else saw the time to hold at.
                let based_on = option(words, "from").map(|seconds| {
                    let seen =
                        Terms { hold_ttl_seconds: seconds.parse().unwrap(), ..Terms::clone(self.inventory().terms()) };
                    Box::new((seen, self.inventory().prices().clone()))
                });
                Command::ChangeTerms(ChangeTerms { caller: who, based_on, terms, prices })
            }
        }
    }

    /// What a provider says of a booking's payment.
    fn notice(&self, given: &[&str], words: &[&str]) -> PaymentNotice {
        let status = match given[1] {
            "opened" => PaymentStatus::Opened,
            "charging" => PaymentStatus::Charging,
            "authorised" => PaymentStatus::Authorised,
            "captured" => PaymentStatus::Captured,
            "failed" => PaymentStatus::Failed,
            "voided" => PaymentStatus::Voided,
            "refunded" => PaymentStatus::Refunded(given[2].parse().unwrap()),
            other => panic!("no such status: {other}"),
        };
        let won = |amount: &str| Money { amount: amount.parse().unwrap(), currency: Currency::KRW };
        let amount = option(words, "amount").map(won);
        PaymentNotice { booking: self.booking(given[0]), reference: option(words, "id").map(Box::from), amount, status }
    }

    /// A booking's ticket for a seat.
    fn ticket(&self, booking: &str, seat: &str) -> TicketId {
        TicketId::of(self.booking(booking), self.seats(&[seat])[0].0)
    }

    fn tickets(&mut self, words: &[&str]) -> String {
        let listed = self.inventory().list_tickets(&caller(words[0]), self.booking(words[1]));
        self.told(listed.map(Answer::Tickets))
    }

    fn tell_ticket(&self, ticket: &TicketView) -> String {
        let used = ticket.used_at.map_or(String::new(), |at| format!(" used {}", (at.as_millis() - NOON) / 1000));
        format!("{} of {} issue {}{used}", self.labels(&[ticket.seat]), ticket.holder, ticket.issue)
    }

    /// What has to be done about money.
    fn due(&self) -> String {
        let step = |id: BookingId| {
            let view = self.inventory().read_payment(id).unwrap();
            format!("b{} {:?}", id.number, view.step.unwrap())
        };
        let due: Vec<String> = self.inventory().due().map(step).collect();
        if due.is_empty() { "nothing".to_owned() } else { due.join("; ") }
    }

    fn best(&self, given: &[&str], words: &[&str]) -> Wish {
        let map = self.inventory().map();
        let tier = option(words, "tier").map(|name| self.inventory().tiers().iter().position(|tier| **tier == *name));
        Wish::BestAvailable(BestAvailable {
            quantity: given[1].parse().unwrap(),
            tier: tier.map(|place| TierIndex(place.unwrap() as u16)),
            section: option(words, "section").map(|name| map.section_named(name).unwrap()),
            adjacent: !given.contains(&"apart"),
        })
    }

    fn preferred(&self, given: &[&str], words: &[&str]) -> Wish {
        let section = |name: &str| self.inventory().map().section_named(name).unwrap();
        Wish::Preferred(Box::new(Preferred {
            quantity: given[1].parse().unwrap(),
            sections: option(words, "in").map_or_else(Vec::new, |names| names.split(',').map(section).collect()),
            price_max: option(words, "max").map(|price| price.parse().unwrap()),
            fallback: match option(words, "fallback") {
                None => Fallback::Nothing,
                Some("apart") => Fallback::Apart,
                Some(_) => Fallback::Elsewhere,
            },
        }))
    }

    fn give(&mut self, command: &Command) -> String {
        self.pulse();
        match self.inventory().decide(command, self.now()) {
            Ok(Decision::Event(event)) => {
                self.apply(event.clone());
                let answer = self.inventory().answer(&event);
                self.keep(&answer);
                self.tell(&answer)
            }
            Ok(Decision::Replayed(answer)) => format!("again: {}", self.tell(&answer)),
            Ok(Decision::Nothing) => "nothing to do".to_owned(),
            Err(refusal) => self.refused(&refusal),
        }
    }

    fn keep(&mut self, answer: &Answer) {
        match answer {
            Answer::Hold(hold) => self.holds.push(hold.id),
            Answer::Booking(booking) if !self.bookings.contains(&booking.id) => self.bookings.push(booking.id),
            Answer::Block(block) => self.blocks.push(block.id),
            _ => {}
        }
    }

    fn tell(&self, answer: &Answer) -> String {
        match answer {
            Answer::Hold(hold) => self.tell_hold(hold),
            Answer::Booking(booking) => self.tell_booking(booking),
            Answer::Block(block) => format!("blocked k{}: {}", block.id.number, self.labels(&block.seats)),
            Answer::Bookings(bookings, total) => {
                let told: Vec<String> = bookings.iter().map(|booking| self.tell_booking(booking)).collect();
                format!("{total} in all; {}", told.join("; "))
            }
            Answer::Payment(_) => panic!("no line asks for that"),
            Answer::Ticket(ticket) => self.tell_ticket(ticket),
            Answer::Tickets(tickets) => {
                let told: Vec<String> = tickets.iter().map(|ticket| self.tell_ticket(ticket)).collect();
                if told.is_empty() { "none".to_owned() } else { told.join("; ") }
            }
            Answer::Done => "done".to_owned(),
        }
    }

    fn tell_hold(&self, hold: &HoldView) -> String {
        let until = (hold.expires_at.as_millis() - NOON) / 1000;
        let price = hold.seats.iter().map(|seat| hold.prices.of(self.inventory().map().tier_of(*seat)).amount);
        let total: i64 = price.sum();
        format!("held h{}: {} for {total} until {until}", hold.id.number, self.labels(&hold.seats))
    }

    fn tell_booking(&self, booking: &BookingView) -> String {
        let mut text = format!("{:?} b{} of {}:", booking.standing, booking.id.number, booking.buyer);
        if !booking.seats.is_empty() {
            write!(text, " {}", self.labels(&booking.seats)).unwrap();
        }
        if !booking.cancelled.is_empty() {
            write!(text, " without {}", self.labels(&booking.cancelled)).unwrap();
        }
        if let Some(until) = booking.until {
            write!(text, " until {}", (until.as_millis() - NOON) / 1000).unwrap();
        }
        if let Some(payment) = &booking.payment {
            let (amount, stage) = (payment.amount, payment.stage);
            write!(text, ", {stage:?} {amount} back {} due {}", payment.refunded(), payment.refund_due()).unwrap();
        }
        text
    }

    fn refused(&mut self, refusal: &Refusal) -> String {
        self.refusals.insert(name(refusal));
        let detail = match refusal {
            Refusal::SeatsTaken { seats } | Refusal::NotInBooking { seats } | Refusal::TicketsGone { seats } => {
                self.labels(seats)
            }
            Refusal::TicketUsed { at } => ((at.as_millis() - NOON) / 1000).to_string(),
            Refusal::NotAdjacent { split } => {
                let groups: Vec<String> = split.iter().map(|group| self.labels(group)).collect();
                groups.join(" + ")
            }
            Refusal::TooFewSeats { remaining } => format!("{remaining} left"),
            Refusal::SeatLimit { limit, in_use } | Refusal::HoldLimit { limit, in_use } => {
                format!("{in_use} of {limit}")
            }
            Refusal::HoldBooked { booking } => format!("b{}", booking.number),
            _ => String::new(),
        };
        format!("refused {} {detail}", name(refusal)).trim_end().to_owned()
    }

    fn read(&mut self, words: &[&str]) -> String {
        let who = caller(words[0]);
        self.pulse();
        let read = match words[1].as_bytes()[0] {
            b'h' => self.inventory().read_hold(&who, self.hold(words[1])).map(Answer::Hold),
            _ => self.inventory().read_booking(&who, self.booking(words[1])).map(Answer::Booking),
        };
        self.told(read)
    }

    fn sold(&mut self, words: &[&str]) -> String {
        let listed = self.inventory().list_bookings(&caller(words[0]), 0..10);
        self.told(listed)
    }

    fn told(&mut self, outcome: Result<Answer, Refusal>) -> String {
        match outcome {
            Ok(answer) => self.tell(&answer),
            Err(refusal) => self.refused(&refusal),
        }
    }

    fn count(&self) -> String {
        let Tally { free, held, booked, blocked } =
            self.inventory().tallies().iter().copied().fold(Tally::default(), Tally::plus);
        format!("{free} free {held} held {booked} booked {blocked} blocked")
    }
}

/// Terms with what the words change.
fn terms(mut terms: Terms, words: &[&str]) -> Terms {
    let number = |key| option(words, key).map(|text| text.parse::<i64>().unwrap());
    terms.starts_at = number("starts").map_or(terms.starts_at, after);
    terms.ends_at = number("ends").map_or(terms.ends_at, after);
    terms.opens_at = number("opens").map_or(terms.opens_at, after);
    terms.closes_at = number("closes").map_or(terms.closes_at, after);
    terms.cancel_until = number("cancel_until").map_or(terms.cancel_until, after);
    terms.hold_ttl_seconds = number("ttl").map_or(terms.hold_ttl_seconds, |seconds| seconds as u32);
    terms.seats_per_buyer_max = number("seats").map_or(terms.seats_per_buyer_max, |seats| seats as u32);
    terms.holds_per_buyer_max = number("holds").map_or(terms.holds_per_buyer_max, |holds| holds as u32);
    if let Some(percent) = number("refund") {
        terms.refund = vec![RefundStep { until: terms.starts_at, percent: percent as u8 }];
    }
    if option(words, "approval") == Some("manual") {
        terms.approval = Approval::Manual;
    }
    terms
}
