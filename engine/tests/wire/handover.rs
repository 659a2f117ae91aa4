//! Performances that go from one engine to another while somebody buys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use onrush_engine::client::Client;
use onrush_engine::handover::HandOverFailure;
use onrush_engine::id::{EngineId, PerformanceId};
use onrush_engine::inventory::Answer;
use onrush_engine::journal::frame::Record;
use onrush_engine::mailbox::{Ask, Failure};
use onrush_engine::owner::RegistryFailure;
use onrush_engine::refusal::Refusal;
use onrush_engine::registry::{RegistryCommand, RegistryRefusal};

use crate::stage::{
    Running, SEATS, add_costly_performance, add_performance, book, buyer, client_of, hold, key, on_runtime, soon, until,
};

/// An edge of two engines, with a performance at the first.
async fn edge_of(engines: [&Running; 2]) -> (Client, PerformanceId) {
    let edge = client_of(&engines.map(|engine| engine.address.as_str()));
    until(|| edge.knows_all()).await;
    let (_, performance) = add_performance(&engines[0].client, 1).await;
    until(|| edge.performance(performance).is_some()).await;
    (edge, performance)
}

async fn name(edge: &Client, engine: &Running) -> EngineId {
    until(|| edge.engine_at(&engine.address).is_some()).await;
    edge.engine_at(&engine.address).expect("it has told")
}

#[test]
fn all_that_was_held_and_sold_goes_along() {
    on_runtime(async {
        let (one, other) = (Running::start(), Running::start());
        let (edge, performance) = edge_of([&one, &other]).await;
        let known = edge.performance(performance).unwrap();
        let Answer::Hold(first) = edge.ask(&known, hold(1, Some(1))).await.unwrap().answer else {
            panic!("it is held")
        };
        let Answer::Hold(second) = edge.ask(&known, hold(2, None)).await.unwrap().answer else { panic!("it is held") };
        edge.ask(&known, book(first.id)).await.unwrap();
        let before = edge.history(&buyer().account, 10).await.unwrap();

        edge.hand_over(performance, &other.address).await.unwrap();
        edge.hand_over(performance, &other.address).await.expect("twice is once");
        assert_eq!(edge.whereabouts(performance), Ok(Some(other.address.clone())));
        assert!(one.client.performance(performance).is_none() && edge.unfinished().is_empty());
        assert_eq!(edge.history(&buyer().account, 10).await.unwrap(), before);
        assert_eq!(one.client.history(&buyer().account, 10).await.unwrap().total, 0);

        let again = edge.ask(&known, hold(1, Some(1))).await.expect("who asked before asks in the new place");
        assert!(again.replayed, "request keys go along");
        let refused = edge.ask(&known, hold(2, None)).await.unwrap_err();
        assert!(matches!(refused, Failure::Refused(Refusal::SeatsTaken { .. })), "{refused:?}");
        edge.ask(&known, book(second.id)).await.unwrap();
        assert_eq!(known.publication.tally().booked, 2, "who looks at it sees it change");
        assert_eq!(known.publication.seats(), other.client.performance(performance).unwrap().publication.seats());

        // And back, and once more, with a start of each in between.
        edge.hand_over(performance, &one.address).await.unwrap();
        let (one, other) = (one.stop().await.start_again(), other.stop().await.start_again());
        until(|| edge.knows_all()).await;
        assert!(one.client.performance(performance).is_some() && other.client.performance(performance).is_none());
        edge.hand_over(performance, &other.address).await.unwrap();
        let other = other.stop().await.start_again();
        until(|| edge.knows_all()).await;
        assert_eq!(other.client.performance(performance).unwrap().publication.tally().booked, 2);
        edge.ask(&known, hold(3, None)).await.unwrap();
    });
}

#[test]
fn who_buys_meanwhile_notices_a_pause_and_no_error() {
    on_runtime(async {
        let (one, other) = (Running::start(), Running::start());
        let (edge, performance) = edge_of([&one, &other]).await;
        let known = edge.performance(performance).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let buyers = (0..u64::from(SEATS)).map(|seat| {
            let (edge, known, over) = (edge.clone(), known.clone(), Arc::clone(&over));
            actix_rt::spawn(async move {
                let mut rounds = 0;
                while !over.load(Ordering::Relaxed) {
                    let held = edge.ask(&known, hold(seat, None)).await.expect("no error").answer;
                    let Answer::Hold(held) = held else { panic!("it is held") };
                    let release = onrush_engine::command::Command::ReleaseHold { caller: buyer(), hold: held.id };
                    edge.ask(&known, Ask::Command(release)).await.expect("no error");
                    rounds += 1;
                }
                rounds
            })
        });
        let buyers = buyers.collect::<Vec<_>>();
        for round in 0..20 {
            let to = if round % 2 == 0 { &other.address } else { &one.address };
            edge.hand_over(performance, to).await.unwrap();
        }
        over.store(true, Ordering::Relaxed);
        for buyer in buyers {
            assert!(soon(buyer).await.expect("no panic") > 0);
        }
        until(|| known.publication.tally().free == SEATS).await;
    });
}

#[test]
fn what_was_given_away_goes_to_that_engine_and_to_no_other() {
    on_runtime(async {
        let (one, other, third) = (Running::start(), Running::start(), Running::start());
        let (edge, performance) = edge_of([&one, &other]).await;
        let to = name(&edge, &other).await;
        let parcel = one.client.hand_over_here(performance, to).await.unwrap();
        assert_eq!(one.client.hand_over_here(performance, to).await.as_ref(), Ok(&parcel), "twice is once");
        assert_eq!(one.client.hand_over_here(performance, EngineId(9)).await, Err(HandOverFailure::GoesTo(to)));
        assert_eq!(third.client.take_over_here(parcel.to_vec()).await, Err(HandOverFailure::NotForThis));
        let mut damaged = parcel.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(other.client.take_over_here(damaged).await, Err(HandOverFailure::Unreadable));
        let foreign = third.client.hand_over_here(performance, to).await;
        assert_eq!(foreign, Err(HandOverFailure::NotHere));

        other.client.take_over_here(parcel.to_vec()).await.unwrap();
        other.client.take_over_here(parcel.to_vec()).await.expect("twice is once");
        edge.connect(&third.address, &key());
        let last = Record::decode(&parcel).unwrap().sequence;
        let release = RegistryCommand::ReleasePerformance { performance, last };
        let here = other.client.register(release.clone(), None).await;
        assert_eq!(here, Err(RegistryFailure::Refused(RegistryRefusal::NotHandedOver)), "it is its own");
        let early = RegistryCommand::ReleasePerformance { performance, last: last - 1 };
        let earlier = one.client.register(early, None).await;
        assert_eq!(earlier, Err(RegistryFailure::Refused(RegistryRefusal::NotHandedOver)), "of an earlier stay");
        one.client.register(release, None).await.unwrap();
        until(|| edge.knows_all() && edge.whereabouts(performance) == Ok(Some(other.address.clone()))).await;

        // It goes on, and what was written down before is no state that comes back.
        edge.hand_over(performance, &third.address).await.unwrap();
        other.client.take_over_here(parcel.to_vec()).await.expect("it was here, and has gone on");
        assert!(other.client.performance(performance).is_none());
        let known = edge.performance(performance).unwrap();
        edge.ask(&known, hold(1, None)).await.unwrap();
        assert_eq!(third.client.performance(performance).unwrap().publication.tally().held, 1);
    });
}

#[test]
fn what_broke_off_is_brought_to_its_end() {
    on_runtime(async {
        // The engine that gives goes down after the first step, and after the second.
        for taken in [false, true] {
            let (one, other) = (Running::start(), Running::start());
            let (edge, performance) = edge_of([&one, &other]).await;
            let to = name(&edge, &other).await;
            let known = edge.performance(performance).unwrap();
            edge.ask(&known, hold(1, None)).await.unwrap();
            let parcel = one.client.hand_over_here(performance, to).await.unwrap();
            if taken {
                other.client.take_over_here(parcel.to_vec()).await.unwrap();
            }
            let one = one.stop().await.start_again();
            until(|| edge.knows_all() && !edge.unfinished().is_empty()).await;
            assert_eq!(edge.unfinished(), [(performance, Some(one.address.clone()), to)]);
            let at = if taken { &other.address } else { &one.address };
            assert_eq!(edge.whereabouts(performance), Ok(Some(at.clone())));
            let waits = edge.clone();
            let asks = actix_rt::spawn(async move { waits.ask(&known, hold(2, None)).await });
            edge.hand_over(performance, &other.address).await.unwrap();
            soon(asks).await.expect("no panic").expect("it has waited");
            assert!(edge.unfinished().is_empty());
            assert_eq!(other.client.performance(performance).unwrap().publication.tally().held, 2);
            let (one, other) = (one.stop().await.start_again(), other.stop().await.start_again());
            assert!(one.client.performance(performance).is_none());
            assert_eq!(other.client.performance(performance).unwrap().publication.tally().held, 2);
        }
    });
}

#[test]
fn a_payment_that_is_under_way_is_seen_to_by_the_new_engine() {
    on_runtime(async {
        let (one, other) = (Running::start(), Running::start());
        let performance = add_costly_performance(&one.client, 1).await;
        let here = one.client.performance(performance).unwrap();
        let Answer::Hold(held) = one.client.ask(&here, hold(0, None)).await.unwrap().answer else {
            panic!("it is held")
        };
        let Answer::Booking(booking) = one.client.ask(&here, book(held.id)).await.unwrap().answer else {
            panic!("it is booked")
        };
        one.client.connect(&other.address, &key());
        until(|| one.client.knows_all()).await;
        one.client.hand_over(performance, &other.address).await.unwrap();
        let late = client_of(&[&other.address]);
        assert_eq!(soon(late.dues().take()).await, [booking.id].into());
        let known = one.client.performance(performance).expect("it is known where it has gone");
        let asked = one.client.ask(&known, Ask::Payment(booking.id)).await;
        assert!(asked.is_ok(), "{asked:?}");
    });
}

#[test]
fn a_show_and_its_performances_go_to_another_engine_one_by_one() {
    on_runtime(async {
        let (one, other) = (Running::start(), Running::start());
        let (edge, first) = edge_of([&one, &other]).await;
        let show = edge.shows().all()[0].id;
        let second = crate::stage::add_performance_to(&edge, show, 2).await;
        edge.move_show(show, Some(&one.address), &other.address).await.unwrap();
        edge.move_show(show, Some(&one.address), &other.address).await.expect("twice is once");
        assert_eq!(edge.shows().get(show).unwrap().performances, [first, second]);
        let third = crate::stage::add_performance_to(&edge, show, 3).await;
        assert!(other.client.performance(third).is_some(), "the engine of the show has its new performances");
        for performance in [first, second] {
            assert_eq!(edge.whereabouts(performance), Ok(Some(one.address.clone())));
            edge.hand_over(performance, &other.address).await.unwrap();
        }
        let (left, other) = (one.stop().await, other.stop().await.start_again());
        assert_eq!(other.client.shows().get(show).unwrap().performances, [first, second, third]);
        [first, second, third].iter().for_each(|id| assert!(other.client.performance(*id).is_some()));
        drop(left);
    });
}
