//! An edge's client and an engine on the two ends of a real socket.

mod encrypted;
mod handover;
mod proxy;
mod stage;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use onrush_engine::command::{BlockSeats, Caller, ChangeTerms, Command, HoldSeats, Wish};
use onrush_engine::id::{HoldId, PerformanceId, ShowId};
use onrush_engine::inventory::Answer;
use onrush_engine::mailbox::{Ask, Failure};
use onrush_engine::owner::RegistryFailure;
use onrush_engine::performance::Terms;
use onrush_engine::refusal::Refusal;
use onrush_engine::registry::{RegistryCommand, RegistryRefusal};
use onrush_engine::seat_map::{SeatIndex, SectionIndex};
use onrush_engine::wire::{Key, VERSION};

use crate::proxy::Proxy;
use crate::stage::{
    Running, SEATS, add_performance, add_show, block, buyer, client_of, hold, key, on_runtime, seller, until,
};

#[test]
fn what_an_answer_shows_is_known_before_it() {
    on_runtime(async {
        let engine = Running::start();
        let edge = client_of(&[&engine.address]);
        let (show, performance) = add_performance(&edge, 1).await;
        assert_eq!(edge.shows().get(show).unwrap().performances, [performance]);
        let known = edge.performance(performance).unwrap();
        for number in 0..20 {
            let held = edge.ask(&known, hold(number, Some(number))).await.unwrap();
            // The published version is the next record's sequence.
            assert_eq!(known.publication.version(), held.sequence.unwrap() + 1);
            assert_eq!(known.publication.tally().held, number as u32 + 1);
        }
        assert_eq!(known.publication.seats(), engine.client.performance(performance).unwrap().publication.seats());
    });
}

#[test]
fn a_refusal_comes_with_all_that_it_says() {
    on_runtime(async {
        let engine = Running::start();
        let edge = client_of(&[&engine.address]);
        let (_, performance) = add_performance(&edge, 1).await;
        let known = edge.performance(performance).unwrap();
        edge.ask(&known, hold(3, None)).await.unwrap();
        let seats = vec![SeatIndex(3)];
        let refused = edge.ask(&known, hold(3, None)).await.unwrap_err();
        assert_eq!(refused, Failure::Refused(Refusal::SeatsTaken { seats }));
    });
}

#[test]
fn what_changes_without_an_answer_is_told_by_and_by() {
    on_runtime(async {
        let engine = Running::start();
        let edge = client_of(&[&engine.address]);
        let (_, performance) = add_performance(&engine.client, 1).await;
        until(|| edge.performance(performance).is_some()).await;
        let (here, there) = (engine.client.performance(performance).unwrap(), edge.performance(performance).unwrap());
        engine.client.ask(&here, hold(1, None)).await.unwrap();
        engine.client.ask(&here, block(&[4, 5])).await.unwrap();
        until(|| there.publication.version() == here.publication.version()).await;
        assert_eq!(there.publication.seats(), here.publication.seats());
        assert_eq!(there.publication.tally().blocked, 2);
    });
}

#[test]
fn rules_and_shows_that_change_are_told() {
    on_runtime(async {
        let engine = Running::start();
        let edge = client_of(&[&engine.address]);
        let (show, performance) = add_performance(&edge, 1).await;
        let known = edge.performance(performance).unwrap();
        let rules = known.publication.rules();
        let terms = Terms { seats_per_buyer_max: 3, ..(*rules.terms).clone() };
        let change = ChangeTerms { caller: seller(), based_on: None, terms, prices: None };
        edge.ask(&known, Ask::Command(Command::ChangeTerms(change))).await.unwrap();
        assert_eq!(known.publication.rules().terms.seats_per_buyer_max, 3);
        let mut details = edge.shows().get(show).unwrap().details.clone();
        details.title = "Another".into();
        edge.register(RegistryCommand::ChangeShow { show, caller: seller(), based_on: None, details }, None)
            .await
            .unwrap();
        assert_eq!(&*edge.shows().get(show).unwrap().details.title, "Another");
    });
}

#[test]
fn what_a_change_is_based_on_has_to_be_in_force() {
    on_runtime(async {
        let engine = Running::start();
        let (one, other) = (client_of(&[&engine.address]), client_of(&[&engine.address]));
        let (show, performance) = add_performance(&one, 1).await;
        until(|| other.performance(performance).is_some()).await;
        let rules = one.performance(performance).unwrap().publication.rules();
        let change = |seats_per_buyer_max| {
            let terms = Terms { seats_per_buyer_max, ..(*rules.terms).clone() };
            let based_on = Some(Box::new(((*rules.terms).clone(), rules.prices.clone())));
            Ask::Command(Command::ChangeTerms(ChangeTerms { caller: seller(), based_on, terms, prices: None }))
        };
        one.ask(&one.performance(performance).unwrap(), change(3)).await.unwrap();
        let known = other.performance(performance).unwrap();
        assert_eq!(other.ask(&known, change(4)).await, Err(Failure::Refused(Refusal::Outdated)));
        assert_eq!(known.publication.rules().terms.seats_per_buyer_max, 3, "the answer comes with what is in force");
        other.ask(&known, change(3)).await.expect("it is so already");

        let based_on = Some(Box::new(one.shows().get(show).unwrap().details.clone()));
        let say = |description: &str| RegistryCommand::ChangeShow {
            show,
            caller: seller(),
            based_on: based_on.clone(),
            details: stage::details(description),
        };
        one.register(say("Rain."), None).await.unwrap();
        let outdated = Err(RegistryFailure::Refused(RegistryRefusal::Outdated));
        assert_eq!(other.register(say("Sun."), None).await, outdated);
        assert_eq!(&*other.shows().get(show).unwrap().details.description, "Rain.");
        other.register(say("Rain."), None).await.expect("it is so already");
    });
}

#[test]
fn two_engines_are_one_to_whoever_asks() {
    on_runtime(async {
        let (one, other) = (Running::start(), Running::start());
        let (_, first) = add_performance(&one.client, 1).await;
        let (_, second) = add_performance(&other.client, 2).await;
        let edge = client_of(&[&one.address, &other.address]);
        until(|| edge.shows().all().len() == 2).await;
        for performance in [second, first] {
            let known = edge.performance(performance).unwrap();
            let held = edge.ask(&known, hold(0, None)).await.unwrap();
            let Answer::Hold(held) = held.answer else { panic!("{held:?}") };
            edge.ask(&known, stage::book(held.id)).await.unwrap();
            // Two engines have two clocks, whose milliseconds do not begin together.
            let later = edge.now() + Duration::from_millis(5);
            until(|| edge.now() > later).await;
        }
        let history = edge.history(&buyer().account, 10).await.unwrap();
        let of: Vec<_> = history.booked.iter().map(|(_, booking)| booking.performance).collect();
        assert_eq!((of, history.total), (vec![first, second], 2), "newest first");
        let newest = edge.history(&buyer().account, 1).await.unwrap();
        assert_eq!((newest.booked.len(), newest.total), (1, 2));
    });
}

#[test]
fn a_show_moves_to_an_engine_of_its_own() {
    on_runtime(async {
        let (home, own) = (Running::start(), Running::start());
        let (staying, first) = add_performance(&home.client, 1).await;
        let show = add_show(&home.client, 2).await;
        home.client.connect(&own.address, &key());
        until(|| home.client.is_connected(&own.address)).await;
        // Somebody else who looks at both.
        let edge = client_of(&[&home.address, &own.address]);
        until(|| edge.shows().get(show).is_some()).await;
        home.client.move_show(show, None, &own.address).await.unwrap();
        home.client.move_show(show, None, &own.address).await.expect("twice is once");
        until(|| own.client.shows().get(show).is_some()).await;
        let second = stage::add_performance_to(&home.client, show, 3).await;
        assert!(own.client.performance(second).is_some(), "the engine of the show has its performances");
        for performance in [first, second] {
            until(|| edge.performance(performance).is_some()).await;
            let known = edge.performance(performance).unwrap();
            edge.ask(&known, hold(1, None)).await.unwrap();
            let known = home.client.performance(performance).unwrap();
            until(|| known.publication.tally().held == 1).await;
        }
        assert!(home.client.shows().get(staying).is_some());
        let unknown = RegistryFailure::Refused(RegistryRefusal::UnknownShow);
        assert_eq!(home.client.move_show(ShowId(99), None, &own.address).await, Err(unknown));

        let data = home.stop().await;
        let home = data.start_again();
        assert!(home.client.shows().get(show).is_none(), "what was given away is not there after a start");
        home.client.connect(&own.address, &key());
        until(|| home.client.is_connected(&own.address)).await;
        home.client.move_show(show, None, &own.address).await.expect("and can be given once more, as it was");
        until(|| edge.is_ready()).await;
        assert_eq!(edge.shows().get(show).unwrap().performances, [second]);
    });
}

#[test]
fn every_edge_hears_which_payment_somebody_has_to_see_to() {
    on_runtime(async {
        let engine = Running::start();
        let edge = client_of(&[&engine.address]);
        let performance = stage::add_costly_performance(&edge, 1).await;
        let known = edge.performance(performance).unwrap();
        let Answer::Hold(held) = edge.ask(&known, hold(0, None)).await.unwrap().answer else { panic!("it is held") };
        let booked = edge.ask(&known, stage::book(held.id)).await.unwrap().answer;
        let Answer::Booking(booking) = booked else { panic!("it is booked") };
        assert_eq!(stage::soon(edge.dues().take()).await, [booking.id].into());
        let late = client_of(&[&engine.address]);
        assert_eq!(
            stage::soon(late.dues().take()).await,
            [booking.id].into(),
            "who comes later hears of what is outstanding"
        );
        assert!(late.performance(performance).is_some(), "and knows it by then");
    });
}

#[test]
fn an_engine_that_is_gone_for_good_is_forgotten() {
    on_runtime(async {
        let (home, own) = (Running::start(), Running::start());
        let (show, performance) = add_performance(&own.client, 2).await;
        home.client.connect(&own.address, &key());
        until(|| home.client.shows().get(show).is_some()).await;
        let known = home.client.performance(performance).unwrap();
        home.client.disconnect(&own.address);
        assert!(home.client.performance(performance).is_none());
        assert!(home.client.shows().get(show).is_none());
        assert_eq!(home.client.ask(&known, hold(1, None)).await, Err(Failure::Overloaded));
        assert!(!home.client.is_connected(&own.address));
        assert_eq!(home.client.history(&buyer().account, 5).await.unwrap().total, 0);
    });
}

#[test]
fn a_request_waits_for_an_engine_that_starts_again() {
    on_runtime(async {
        let engine = Running::start();
        let edge = client_of(&[&engine.address]);
        let (_, performance) = add_performance(&edge, 1).await;
        let known = edge.performance(performance).unwrap();
        edge.ask(&known, hold(0, None)).await.unwrap();
        let data = engine.stop().await;
        until(|| !edge.is_ready()).await;
        let asked = tokio::spawn({
            let (edge, known) = (edge.clone(), known.clone());
            async move { edge.ask(&known, hold(1, None)).await }
        });
        let _engine = data.start_again();
        asked.await.unwrap().expect("it was not asked before, so it is asked now");
        assert_eq!(known.publication.tally().held, 2, "whoever looked before goes on seeing");
    });
}

#[test]
fn a_lost_answer_is_asked_for_again_and_nothing_is_done_twice() {
    on_runtime(async {
        let engine = Running::start();
        let proxy = Proxy::before(&engine.address);
        let edge = client_of(&[&proxy.address]);
        let (_, performance) = add_performance(&edge, 1).await;
        let (known, here) = (edge.performance(performance).unwrap(), engine.client.performance(performance).unwrap());

        let ask = |seat, key| {
            let (edge, known) = (edge.clone(), known.clone());
            tokio::spawn(async move { edge.ask(&known, hold(seat, key)).await })
        };
        proxy.swallow(true);
        let (keyed, keyless) = (ask(0, Some(7)), ask(1, None));
        until(|| here.publication.tally().held == 2).await;
        proxy.swallow(false);
        proxy.cut();

        let answered = keyed.await.unwrap().unwrap();
        assert!(answered.replayed, "the engine had done it");
        assert_eq!(keyless.await.unwrap(), Err(Failure::Unknown), "who has no key has to be told");
        assert_eq!(here.publication.tally().held, 2);
    });
}

#[test]
fn who_waits_in_vain_is_told_that_nothing_was_done() {
    on_runtime(async {
        let engine = Running::start();
        let edge = client_of(&[&engine.address]);
        let (_, performance) = add_performance(&edge, 1).await;
        let known = edge.performance(performance).unwrap();
        let _data = engine.stop().await;
        until(|| !edge.is_ready()).await;
        let asked = tokio::spawn({
            let edge = edge.clone();
            async move { edge.ask(&known, hold(1, None)).await }
        });
        assert_eq!(asked.await.unwrap(), Err(Failure::Overloaded));
    });
}

#[test]
fn who_has_another_key_learns_nothing() {
    on_runtime(async {
        let engine = Running::start();
        add_performance(&engine.client, 1).await;
        let other = Key::from_bytes([9; 32]).into();
        let clock = std::sync::Arc::new(onrush_engine::time::SystemClock::start());
        let stranger = onrush_engine::client::Client::of_engines(std::slice::from_ref(&engine.address), &other, clock);
        let friend = client_of(&[&engine.address]);
        until(|| friend.is_ready()).await;
        // The stranger has begun to try before the friend did, and goes on doing so.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!stranger.is_ready());
        assert!(stranger.shows().all().is_empty());
    });
}

/// What an engine says before it closes, to whoever begins like this.
fn said_to(address: &str, hello: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("an engine listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket has options");
    stream.write_all(hello).expect("there is room for a greeting");
    let mut said = Vec::new();
    // A reset is a close, too; and an engine that goes on talks without end.
    drop(stream.take(200).read_to_end(&mut said));
    said
}

#[test]
fn who_does_not_speak_the_wire_is_closed() {
    on_runtime(async {
        let engine = Running::start();
        let address = engine.address.clone();
        let hello = |version: u16| [&b"onrush"[..], &version.to_le_bytes(), &[0; 32]].concat();
        let own = hello(VERSION);
        let asked = move || {
            let http = said_to(&address, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
            let other_version = said_to(&address, &hello(VERSION + 1));
            // With a proof that is none; the engine's own goes out first, and is worth nothing to anybody else.
            let without_key = said_to(&address, &[&own[..], &[1; 32]].concat());
            (http.len(), other_version.len(), without_key.len())
        };
        let lengths = tokio::task::spawn_blocking(asked).await.unwrap();
        assert_eq!(lengths, (40, 40, 40 + 32), "a greeting, and nothing that is known");
        let edge = client_of(&[&engine.address]);
        until(|| edge.is_ready()).await;
    });
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    on_runtime(async {
        let engine = Running::start();
        let edge = client_of(&[&engine.address]);
        let (show, performance) = add_performance(&edge, 1).await;
        let known = edge.performance(performance).unwrap();
        let block = |seats: Vec<u32>, reason: Option<&str>| {
            let (seats, reason) = (seats.into_iter().map(SeatIndex).collect(), reason.map(Box::from));
            Ask::Command(Command::BlockSeats(BlockSeats { caller: seller(), seats, reason, nonce: 1, key: None }))
        };
        let none = Wish::GeneralAdmission { section: SectionIndex(0), quantity: 0 };
        let none = Command::HoldSeats(HoldSeats { caller: buyer(), wish: none, nonce: 1, key: None });
        let long = "x".repeat(200_000);
        let asks = [
            block(vec![SEATS], None),
            block(vec![0, u32::MAX], None),
            block(vec![0; 30_000], None),
            block(vec![0], Some(&long)),
            Ask::Command(none),
        ];
        for ask in asks {
            assert_eq!(edge.ask(&known, ask.clone()).await, Err(Failure::Nonsense), "{ask:?}");
        }

        let add = |performance| RegistryCommand::AddPerformance { show, performance, caller: seller(), key: None };
        let nonsense = Err(RegistryFailure::Failed(Failure::Nonsense));
        let others = Some(Box::new(stage::opening(&edge, show, PerformanceId(9))));
        assert_eq!(edge.register(add(PerformanceId(2)), None).await, nonsense);
        assert_eq!(edge.register(add(PerformanceId(2)), others.clone()).await, nonsense);
        assert_eq!(edge.register(add(PerformanceId(0)), others.clone()).await, nonsense);
        let taken = Err(RegistryFailure::Refused(RegistryRefusal::IdTaken));
        let own = Some(Box::new(stage::opening(&edge, show, performance)));
        assert_eq!(edge.register(add(performance), own).await, taken);
        let create = |description: &str| RegistryCommand::CreateShow {
            show,
            caller: seller(),
            details: stage::details(description),
            key: None,
        };
        assert_eq!(edge.register(create("again"), None).await, taken);
        let change =
            RegistryCommand::ChangeShow { show, caller: seller(), based_on: None, details: stage::details(&long) };
        assert_eq!(edge.register(change, None).await, nonsense);

        edge.ask(&known, hold(0, None)).await.expect("all goes on");
        assert_eq!(known.publication.tally().blocked, 0);
        engine.stop().await.start_again();
    });
}

#[test]
fn an_engine_that_stops_answers_what_it_has_begun_and_leaves_the_rest_to_the_next() {
    on_runtime(async {
        let engine = Running::start();
        let edge = client_of(&[&engine.address]);
        let (_, performance) = add_performance(&edge, 1).await;
        let known = edge.performance(performance).unwrap();
        // None has a key: each is done once, or its buyer has to be told.
        let asked: Vec<_> = (0..u64::from(SEATS))
            .map(|seat| {
                let (edge, known) = (edge.clone(), known.clone());
                tokio::spawn(async move { edge.ask(&known, hold(seat, None)).await })
            })
            .collect();
        let _engine = engine.stop().await.start_again();
        for asked in asked {
            asked.await.unwrap().expect("nobody is told to try again");
        }
        assert_eq!(known.publication.tally().held, SEATS);
    });
}

#[test]
fn a_frame_that_is_too_long_ends_the_connection_before_it_is_read() {
    on_runtime(async {
        let engine = Running::start();
        let edge = client_of(&[&engine.address]);
        let (_, performance) = add_performance(&edge, 1).await;
        let known = edge.performance(performance).unwrap();
        let long = onrush_engine::command::BookHold {
            caller: buyer(),
            hold: HoldId { performance, number: 0, nonce: 0 },
            purpose: Some("x".repeat(17 << 20).into()),
            nonce: 1,
            key: None,
        };
        let asked = edge.ask(&known, Ask::Command(Command::BookHold(long))).await;
        assert_eq!(asked, Err(Failure::Nonsense), "it is not sent at all");
        edge.ask(&known, hold(0, None)).await.unwrap();
    });
}

#[test]
fn a_performance_that_an_engine_does_not_have_is_nothing_done() {
    on_runtime(async {
        let engine = Running::start();
        let edge = client_of(&[&engine.address]);
        until(|| edge.is_ready()).await;
        assert!(edge.performance(PerformanceId(77)).is_none());
        let caller = Caller { admin: true, ..seller() };
        let unknown = RegistryCommand::SetMember { show: ShowId(77), caller, member: buyer().account, duty: None };
        assert!(edge.register(unknown, None).await.is_err());
    });
}

#[test]
fn a_key_is_made_once_and_for_nobody_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.key");
    assert!(Key::open(&path).unwrap_err().to_string().contains("engine.key"));
    Key::open_or_create(&path).unwrap();
    let written = std::fs::read(&path).unwrap();
    assert_eq!(written.len(), 65);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    Key::open_or_create(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), written);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(Key::open(&path).unwrap_err().to_string().contains("chmod 600"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "secret").unwrap();
    let malformed = Key::open(&path).unwrap_err().to_string();
    assert!(malformed.contains("64 hexadecimal digits") && !malformed.contains("secret"), "{malformed}");
    assert_eq!(format!("{:?}", key()), "Credentials(key)");
}
