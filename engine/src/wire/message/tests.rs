//! One of each kind of message: that it reads back, and that its bytes are those of this version.

use super::*;
use crate::command::{
    BestAvailable, Caller, CancelPerformance, ChangeTerms, DecideBooking, Fallback, PaymentNotice, PaymentStatus,
    Preferred, RequestKey,
};
use crate::event::Standing;
use crate::id::{BlockId, BookingId, HoldId, TicketId};
use crate::inventory::{
    Answer, BlockView, BookingView, CalledOff, HoldView, Payment, PaymentView, Refund, Stage, Step, TicketView, Verdict,
};
use crate::mailbox::{Answered, Failure};
use crate::money::{Currency, Money};
use crate::owner::{RegistryAnswered, RegistryFailure};
use crate::performance::{Approval, CancellationRules, PriceList, PricesError, RefundStep, Terms, TermsError};
use crate::refusal::Refusal;
use crate::registry::{Duty, Field, MadeBefore, RegistryMade, RegistryRefusal, ShowDetails};
use crate::seat_map::{RowPlan, SeatList, SeatNames, Seating, SectionPlan, Slot, TierIndex};
use crate::wire::{VERSION, frame};

const PERFORMANCE: PerformanceId = PerformanceId(7);

fn caller() -> Caller {
    Caller { account: "acc_kim".parse().unwrap(), admin: true }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn won(amount: i64) -> Money {
    Money { amount, currency: Currency::KRW }
}

fn booking() -> BookingId {
    BookingId { performance: PERFORMANCE, number: 1, nonce: 2 }
}

fn prices() -> PriceList {
    PriceList([won(165_000), won(0)].into())
}

fn terms() -> Terms {
    Terms {
        starts_at: at(1),
        ends_at: at(2),
        opens_at: at(3),
        closes_at: at(4),
        hold_ttl_seconds: 5,
        seats_per_buyer_max: 6,
        holds_per_buyer_max: 7,
        approval: Approval::Manual,
        cancel_until: at(8),
        refund: vec![RefundStep { until: at(9), percent: 10 }],
    }
}

fn plan() -> SeatMapPlan {
    let named = SeatNames::Named(vec!["1a".into(), "1b".into()]);
    let rows =
        vec![RowPlan { name: "1".into(), seats: SeatNames::Count(3) }, RowPlan { name: "2".into(), seats: named }];
    let slots = vec![Slot { starts_at: at(1), ends_at: at(2) }];
    let section = |name: &str, tier, seating| SectionPlan { name: name.into(), tier: TierIndex(tier), seating };
    SeatMapPlan {
        sections: vec![
            section("A", 0, Seating::Reserved(rows)),
            section("Floor", 1, Seating::GeneralAdmission(4)),
            section("Room", 1, Seating::Slots { resource: "Room".into(), slots }),
        ],
    }
}

fn opening() -> Opening {
    let (performance, show, seller) = (PERFORMANCE, ShowId(8), caller().account);
    let tiers = vec!["VIP".into(), "R".into()];
    Opening { performance, show, seller, plan: plan(), tiers, prices: prices().0.to_vec(), terms: terms() }
}

fn seats() -> Published {
    let tallies = vec![Tally { free: 1, held: 2, booked: 3, blocked: 4 }; 3];
    Published { version: 9, as_of: at(10), packed: vec![0, 1, 2], tallies }
}

fn rules() -> Rules {
    let called_off = CalledOff { at: at(3), by: caller().account, reason: Some("rain".into()) };
    Rules { terms: Arc::new(terms()), prices: prices(), called_off: Some(called_off) }
}

fn show() -> Show {
    let details = ShowDetails {
        title: "폭풍우".into(),
        field: Field::Theatre,
        cast: vec!["Kim".into()],
        venue: "Grand".into(),
        description: String::new().into(),
        poster_url: None,
    };
    let (performances, members) = (vec![PERFORMANCE], [(caller().account, Duty::Door)].into());
    Show { id: ShowId(8), seller: caller().account, details, created_at: at(5), performances, members }
}

/// One of each kind of command, and of wish.
fn commands(key: Option<RequestKey>) -> Vec<Command> {
    let (caller, booking) = (caller(), booking());
    let (hold, block) = (
        HoldId { performance: PERFORMANCE, number: 1, nonce: 2 },
        BlockId { performance: PERFORMANCE, number: 1, nonce: 2 },
    );
    let ticket = TicketId::of(booking, 1);
    let seats = || [SeatIndex(1), SeatIndex(2)].into_iter().collect::<SeatList>();
    let wish = |wish| Command::HoldSeats(HoldSeats { caller, wish, nonce: 4, key });
    let (quantity, tier, section) = (2, Some(TierIndex(1)), Some(SectionIndex(0)));
    let preferred =
        Preferred { quantity, sections: vec![SectionIndex(1)], price_max: Some(5), fallback: Fallback::Elsewhere };
    let reason = || Some(Box::from("full"));
    let status = PaymentStatus::Refunded(2);
    let (reference, amount) = (Some(Box::from("pi_1")), Some(won(7)));
    vec![
        wish(Wish::Seats(seats())),
        wish(Wish::SeatsOrNearest(seats())),
        wish(Wish::BestAvailable(BestAvailable { quantity, tier, section, adjacent: true })),
        wish(Wish::GeneralAdmission { section: SectionIndex(1), quantity }),
        wish(Wish::Preferred(Box::new(preferred))),
        Command::ReleaseHold { caller, hold },
        Command::BookHold(BookHold { caller, hold, purpose: reason(), nonce: 3, key }),
        Command::CancelSeats(CancelSeats { caller, booking, seats: Some(seats()), key }),
        Command::BlockSeats(BlockSeats { caller, seats: seats().to_vec(), reason: reason(), nonce: 3, key }),
        Command::LiftBlock { caller, block },
        Command::ChangeTerms(ChangeTerms {
            caller,
            based_on: key.map(|_| Box::new((terms(), prices()))),
            terms: terms(),
            prices: Some(prices().0.to_vec()),
        }),
        Command::DecideBooking(DecideBooking { caller, booking, approve: false, reason: reason() }),
        Command::NotePayment(PaymentNotice { booking, reference, amount, status }),
        Command::CancelPerformance(CancelPerformance { caller, reason: reason() }),
        Command::TransferTicket { caller, ticket, to: caller.account, key },
        Command::CheckIn { caller, ticket, issue: Some(3), key },
    ]
}

/// Whether a command comes to the same when it is asked twice: without a key, and with one.
fn is_repeatable(command: &Command) -> (bool, bool) {
    match command {
        Command::HoldSeats(_)
        | Command::BookHold(_)
        | Command::CancelSeats(_)
        | Command::BlockSeats(_)
        | Command::TransferTicket { .. }
        | Command::CheckIn { .. }
        // Not a key, but what it is based on.
        | Command::ChangeTerms(_) => (false, true),
        Command::ReleaseHold { .. }
        | Command::LiftBlock { .. }
        | Command::DecideBooking(_)
        | Command::NotePayment(_)
        | Command::CancelPerformance(_) => (true, true),
    }
}

#[test]
fn what_may_be_asked_twice() {
    let key = Some(RequestKey { key: [1, 2], fingerprint: 3 });
    for (without, with) in commands(None).into_iter().zip(commands(key)) {
        let expected = is_repeatable(&with);
        let said = (Ask::Command(without).is_repeatable(), Ask::Command(with.clone()).is_repeatable());
        assert_eq!(said, expected, "{with:?}");
    }
    let create = |key| RegistryCommand::CreateShow { show: ShowId(8), caller: caller(), details: show().details, key };
    assert_eq!((create(None).is_repeatable(), create(key).is_repeatable()), (false, true));
    let change =
        RegistryCommand::ChangeShow { show: ShowId(8), caller: caller(), based_on: None, details: show().details };
    assert!(!change.is_repeatable());
    assert!(Ask::Booking(caller(), booking()).is_repeatable());
}

fn requests() -> Vec<Request> {
    let key = Some(RequestKey { key: [1, 2], fingerprint: 3 });
    let ask = |ask| Request::Ask { number: 1, performance: PERFORMANCE, ask };
    let member = RegistryCommand::SetMember {
        show: ShowId(8),
        caller: caller(),
        member: caller().account,
        duty: Some(Duty::View),
    };
    let add = RegistryCommand::AddPerformance { show: ShowId(8), performance: PERFORMANCE, caller: caller(), key };
    let create = RegistryCommand::CreateShow { show: ShowId(8), caller: caller(), details: show().details, key };
    let change =
        RegistryCommand::ChangeShow { show: ShowId(8), caller: caller(), based_on: None, details: show().details };
    let release = RegistryCommand::ReleaseShow { show: ShowId(8) };
    let register = |command| Request::Register { number: 6, command, opening: None };
    let others = [
        register(create),
        register(change),
        register(release),
        ask(Ask::Hold(caller(), HoldId { performance: PERFORMANCE, number: 1, nonce: 2 })),
        ask(Ask::Booking(caller(), booking())),
        ask(Ask::Ticket(caller(), TicketId::of(booking(), 1))),
        ask(Ask::Tickets(caller(), booking())),
        ask(Ask::Payment(booking())),
        ask(Ask::Bookings(caller(), 3..9)),
        Request::Register { number: 2, command: member, opening: None },
        register(RegistryCommand::AdoptShow { show: Box::new(show()), made: made() }),
        register(RegistryCommand::ReleasePerformance { performance: PERFORMANCE, last: 8 }),
        Request::HandOver { number: 5, performance: PERFORMANCE, to: EngineId(6), from: 7 },
        Request::TakeOver { number: 5, performance: PERFORMANCE, from: 0, part: vec![1, 2], is_last: true },
        Request::Leaving { number: 5, show: ShowId(8) },
        Request::Register { number: 3, command: add, opening: Some(Box::new(opening())) },
        Request::History { number: 4, account: caller().account, newest: 5 },
    ];
    commands(key).into_iter().map(Ask::Command).map(ask).chain(others).collect()
}

fn made() -> Vec<MadeBefore> {
    let key = RequestKey { key: [1, 2], fingerprint: 3 };
    vec![MadeBefore { by: caller().account, key, made: RegistryMade::Show(ShowId(8)) }]
}

fn answers() -> Vec<Answer> {
    let seats = [SeatIndex(1)].into_iter().collect();
    let refunds = vec![Refund { amount: 3, paid: true }];
    let payment = Payment { amount: 5, stage: Stage::Captured, reference: Some("pi_1".into()), refunds };
    let refund = [RefundStep { until: at(1), percent: 50 }].into();
    let view = BookingView {
        id: booking(),
        buyer: caller().account,
        standing: Standing::PendingApproval,
        seats,
        cancelled: vec![SeatIndex(2)],
        prices: prices(),
        cancellation: CancellationRules { starts_at: at(1), until: at(2), refund },
        free_until: Some(at(3)),
        purpose: Some("a birthday".into()),
        created_at: at(4),
        until: Some(at(5)),
        verdict: Some(Box::new(Verdict { approved: true, by: caller().account, at: at(6), reason: None })),
        payment: Some(Box::new(payment)),
    };
    let hold = HoldView {
        id: HoldId { performance: PERFORMANCE, number: 1, nonce: 2 },
        seats: [SeatIndex(4), SeatIndex(5)].into_iter().collect(),
        prices: prices(),
        created_at: at(1),
        expires_at: at(2),
    };
    let payment = PaymentView {
        booking: booking(),
        step: Some(Step::Refund { number: 1, amount: 2 }),
        amount: won(3),
        stage: Stage::Authorised,
        reference: None,
        until: None,
    };
    let ticket = TicketView {
        id: TicketId::of(booking(), 1),
        booking: booking(),
        seat: SeatIndex(1),
        holder: caller().account,
        issue: 2,
        used_at: Some(at(3)),
    };
    let block = BlockView {
        id: BlockId { performance: PERFORMANCE, number: 1, nonce: 2 },
        seats: vec![SeatIndex(1)],
        reason: None,
    };
    vec![
        Answer::Hold(hold),
        Answer::Booking(view.clone()),
        Answer::Block(block),
        Answer::Bookings(vec![view], 17),
        Answer::Payment(payment),
        Answer::Ticket(ticket.clone()),
        Answer::Tickets(vec![ticket]),
        Answer::Done,
    ]
}

fn introduction() -> Introduction {
    Introduction {
        performance: PERFORMANCE,
        show: ShowId(8),
        seller: caller().account,
        plan: plan(),
        tiers: vec!["VIP".into(), "R".into()],
        rules: rules(),
        seats: seats(),
        handed_over: Some(EngineId(6)),
    }
}

fn notices() -> Vec<Notice> {
    let delta = Delta::between(PERFORMANCE, &[0, 1, 9], &seats());
    let answered = |answer| Ok(Answered { answer, sequence: Some(8), replayed: true });
    let failures = [
        Failure::Refused(Refusal::NotAdjacent { split: vec![[SeatIndex(1)].into_iter().collect()] }),
        Failure::Refused(Refusal::NotOnSale { opens_at: at(1), closes_at: at(2) }),
        Failure::Refused(Refusal::SeatsTaken { seats: vec![SeatIndex(1)] }),
        Failure::Refused(Refusal::SeatLimit { limit: 1, in_use: 2 }),
        Failure::Refused(Refusal::HoldBooked { booking: booking() }),
        Failure::Refused(Refusal::Prices(PricesError::Count { prices: 1, tiers: 2 })),
        Failure::Refused(Refusal::Terms(TermsError::Refund(101))),
        Failure::Refused(Refusal::TicketUsed { at: at(3) }),
        Failure::Refused(Refusal::NoNumberLeft),
        Failure::Refused(Refusal::Outdated),
        Failure::Refused(Refusal::HandedOver),
        Failure::Unknown,
        Failure::Overloaded,
        Failure::Nonsense,
        Failure::DiskLow,
    ];
    let history = AccountHistory { booked: vec![(at(1), booking())], total: 2, received: vec![booking()] };
    let made = RegistryMade::Performance(PERFORMANCE);
    let outcomes = answers().into_iter().map(answered).chain(failures.map(Err));
    let notices = [
        Notice::Pulse,
        Notice::CaughtUp { engine: EngineId(6), relaxed: true },
        Notice::Performance(Box::new(introduction())),
        Notice::Rules(PERFORMANCE, rules()),
        Notice::Seats(Box::new(delta)),
        Notice::Show(show()),
        Notice::Withdrawn(ShowId(8)),
        Notice::Due(booking()),
        Notice::Stopping,
        Notice::NotTaken(5),
        Notice::Registered(1, Ok(RegistryAnswered { made, sequence: Some(1), replayed: false })),
        Notice::Registered(2, Err(RegistryFailure::Refused(RegistryRefusal::TooManyMembers))),
        Notice::Registered(3, Err(RegistryFailure::TooLarge { bytes: 5 })),
        Notice::Registered(5, Err(RegistryFailure::Refused(RegistryRefusal::NotHandedOver))),
        Notice::History(4, history),
        Notice::Parcel(5, Ok(Parcel { len: 9, part: vec![1, 2] })),
        Notice::Parcel(5, Err(HandOverFailure::GoesTo(EngineId(6)))),
        Notice::TakenOver(5, Ok(())),
        Notice::TakenOver(5, Err(HandOverFailure::Registry(RegistryFailure::TooLarge { bytes: 5 }))),
        Notice::TakenOver(5, Err(HandOverFailure::NotForThis)),
        Notice::Leaving(5, Some(Box::new(Leaving { show: show(), made: self::made() }))),
    ];
    notices.into_iter().chain(outcomes.map(|outcome| Notice::Answered(9, outcome))).collect()
}

/// The archives of everything above. Where this fails, what is said between two releases has changed: raise
/// [`VERSION`], and pin the new bytes with it.
#[test]
fn pinned() {
    let mut bytes = Vec::new();
    requests().iter().for_each(|request| assert!(frame::append(&mut bytes, request)));
    notices().iter().for_each(|notice| assert!(frame::append(&mut bytes, notice)));
    let digest = blake3::hash(&bytes).to_hex();
    assert_eq!((VERSION, &digest[..16]), (2, "b0f6c4503ccc1299"));
}

fn archive<T>(message: &T) -> Vec<u8>
where
    T: for<'v, 'a> Serialize<
        rkyv::api::high::HighSerializer<&'v mut Vec<u8>, rkyv::ser::allocator::ArenaHandle<'a>, rkyv::rancor::Error>,
    >,
{
    let mut frame = Vec::new();
    assert!(frame::append(&mut frame, message));
    frame.split_off(4)
}

#[test]
fn everything_reads_back() {
    for request in requests() {
        assert_eq!(frame::read::<Request>(&archive(&request)).unwrap(), request);
    }
    for notice in notices() {
        assert_eq!(frame::read::<Notice>(&archive(&notice)).unwrap(), notice);
    }
}

#[test]
fn no_bit_that_flips_makes_a_reader_panic() {
    let requests = requests().into_iter().map(|request| archive(&request));
    for (mut archive, is_request) in
        requests.map(|bytes| (bytes, true)).chain(notices().into_iter().map(|notice| (archive(&notice), false)))
    {
        for bit in 0..archive.len() * 8 {
            archive[bit / 8] ^= 1 << (bit % 8);
            // Whatever it says then.
            if is_request {
                drop(frame::read::<Request>(&archive));
            } else if let Ok(Notice::Performance(introduction)) = frame::read::<Notice>(&archive) {
                drop(introduction.publication(None));
            }
            archive[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn parts_that_do_not_go_together_are_refused() {
    let sound = introduction;
    assert!(sound().publication(None).is_ok());
    let prices = PriceList([won(1)].into());
    let broken = [
        Introduction { tiers: vec!["VIP".into()], ..sound() },
        Introduction { rules: Rules { prices, ..rules() }, ..sound() },
        Introduction { seats: Published { packed: vec![0; 2], ..seats() }, ..sound() },
        Introduction { seats: Published { tallies: Vec::new(), ..seats() }, ..sound() },
    ];
    broken.into_iter().for_each(|broken| assert!(broken.publication(None).is_err()));
}

#[test]
fn only_what_is_there_fits() {
    let map = SeatMap::new(plan(), 2).unwrap();
    let hold = |wish| Ask::Command(Command::HoldSeats(HoldSeats { caller: caller(), wish, nonce: 1, key: None }));
    let seat = |seat| Wish::Seats([SeatIndex(seat)].into_iter().collect());
    assert!(hold(seat(map.capacity() - 1)).fits(&map));
    assert!(!hold(seat(map.capacity())).fits(&map));
    assert!(hold(Wish::GeneralAdmission { section: SectionIndex(2), quantity: 1 }).fits(&map));
    assert!(!hold(Wish::GeneralAdmission { section: SectionIndex(3), quantity: 1 }).fits(&map));
}
