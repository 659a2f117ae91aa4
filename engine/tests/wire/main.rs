//! An edge's client and an engine on the two ends of a real socket.

mod proxy;
mod stage;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use onrush_engine::command::{BlockSeats, Caller, Command};
use onrush_engine::id::PerformanceId;
use onrush_engine::inventory::Answer;
use onrush_engine::mailbox::{Ask, Failure};
use onrush_engine::refusal::Refusal;
use onrush_engine::registry::RegistryCommand;
use onrush_engine::seat_map::SeatIndex;
use onrush_engine::wire::{Key, VERSION};

use crate::proxy::Proxy;
use crate::stage::{Running, SEATS, add_performance, block, buyer, client_of, hold, key, on_runtime, seller, until};

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
        let terms = onrush_engine::performance::Terms { seats_per_buyer_max: 3, ..(*rules.terms).clone() };
        let change = onrush_engine::command::ChangeTerms { caller: seller(), terms, prices: None };
        edge.ask(&known, Ask::Command(Command::ChangeTerms(change))).await.unwrap();
        assert_eq!(known.publication.rules().terms.seats_per_buyer_max, 3);
        let mut details = edge.shows().get(show).unwrap().details.clone();
        details.title = "Another".into();
        edge.register(RegistryCommand::ChangeShow { show, caller: seller(), details }, None).await.unwrap();
        assert_eq!(&*edge.shows().get(show).unwrap().details.title, "Another");
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
        }
        let history = edge.history(&buyer().account, 10).await.unwrap();
        let of: Vec<_> = history.booked.iter().map(|(_, booking)| booking.performance).collect();
        assert_eq!((of, history.total), (vec![first, second], 2), "newest first");
        let newest = edge.history(&buyer().account, 1).await.unwrap();
        assert_eq!((newest.booked.len(), newest.total), (1, 2));
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
        let other = Key::from_bytes([9; 32]);
        let clock = std::sync::Arc::new(onrush_engine::time::SystemClock::start());
        let stranger = onrush_engine::client::Client::of_engines(std::slice::from_ref(&engine.address), &other, clock);
        let friend = client_of(&[&engine.address]);
        until(|| friend.is_ready()).await;
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
    // A reset is a close, too.
    drop(stream.read_to_end(&mut said));
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
fn a_seat_that_is_not_there_ends_the_connection_and_nothing_else() {
    on_runtime(async {
        let engine = Running::start();
        let (broken, sound) = (client_of(&[&engine.address]), client_of(&[&engine.address]));
        let (_, performance) = add_performance(&broken, 1).await;
        let known = broken.performance(performance).unwrap();
        for seats in [vec![SeatIndex(SEATS)], vec![SeatIndex(0), SeatIndex(u32::MAX)]] {
            let command = BlockSeats { caller: seller(), seats, reason: None, nonce: 1, key: None };
            let asked = broken.ask(&known, Ask::Command(Command::BlockSeats(command))).await;
            assert_eq!(asked, Err(Failure::Unknown));
        }
        until(|| sound.performance(performance).is_some()).await;
        let known = sound.performance(performance).unwrap();
        sound.ask(&known, hold(0, None)).await.unwrap();
        assert_eq!(known.publication.tally().blocked, 0);
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
        let unknown = RegistryCommand::SetMember {
            show: onrush_engine::id::ShowId(77),
            caller,
            member: buyer().account,
            duty: None,
        };
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
    std::fs::write(&path, "secret").unwrap();
    let malformed = Key::open(&path).unwrap_err().to_string();
    assert!(malformed.contains("64 hexadecimal digits") && !malformed.contains("secret"), "{malformed}");
    assert_eq!(format!("{:?}", key()), "Key(…)");
}
