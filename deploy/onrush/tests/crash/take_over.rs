//! An engine that hangs is replaced, and wakes up: it answers nobody any more, and whoever was answered loses nothing.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use actix_rt::System;
use onrush_engine::client::Client;
use onrush_engine::command::{BlockSeats, Caller, Command};
use onrush_engine::id::PerformanceId;
use onrush_engine::mailbox::{Ask, Failure, Outcome};
use onrush_engine::seat_map::SeatIndex;
use onrush_engine::time::SystemClock;
use onrush_engine::wire::Key;
use rustix::process::{Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::apart::wait_for;
use crate::audit;
use crate::hall::{self, CAPACITY, Tokens};
use crate::http::Call;
use crate::load::{BUYERS, Load};
use crate::random::{Random, seed};
use crate::server::{Process, Server};
use crate::{number, say};

/// What takes longer never comes.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);
/// Cycles, where nothing else is asked for.
const CYCLES: u64 = 20;

/// Where engines are that replace each other, at two addresses in turns.
struct Places {
    dir: tempfile::TempDir,
    addresses: [SocketAddr; 2],
}

impl Places {
    fn new() -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").expect("a port");
        // Both at once, so that they differ.
        let listeners = [free(), free()];
        let addresses = listeners.map(|listener| listener.local_addr().expect("bound"));
        Self { dir: tempfile::tempdir().expect("a temporary directory"), addresses }
    }

    fn engine(&self, number: u64) -> PathBuf {
        self.dir.path().join(format!("engine-{number}"))
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("engine.key")
    }

    fn address(&self, number: u64) -> SocketAddr {
        self.addresses[(number % 2) as usize]
    }

    /// The engine with a number, which takes over from the one before it.
    fn spawn(&self, number: u64) -> Process {
        let former = number.checked_sub(1).map(|former| self.engine(former));
        Process::heir(&self.engine(number), &self.address(number).to_string(), former.as_deref(), &self.key())
    }

    fn start(&self, number: u64) -> Server {
        let started = self.spawn(number).listens(&self.engine(number));
        started.unwrap_or_else(|reason| panic!("engine {number} does not start: {reason}"))
    }

    fn start_edge(&self) -> Server {
        self.start_edge_for(&self.addresses)
    }

    fn start_edge_for(&self, engines: &[SocketAddr]) -> Server {
        let started = Process::edge(&self.edge(), engines, &self.key()).serves(&self.edge());
        started.unwrap_or_else(|reason| panic!("the edge does not start: {reason}"))
    }

    fn edge(&self) -> PathBuf {
        self.dir.path().join("edge")
    }

    /// Puts a hall on sale at the first engine; its performance's id.
    fn open_hall(&self) -> String {
        // One that knows of no other engine, which it would have to wait for.
        let edge = self.start_edge_for(&self.addresses[..1]);
        wait_for(&edge, &Call::get("/readyz"), "ready");
        let performance = hall::open(&mut edge.connect(), &Tokens::of(&self.edge()));
        edge.kill();
        performance
    }
}

fn wait_for_performance(edge: &Server, performance: &str) {
    wait_for(edge, &Call::get(format!("/v1/performances/{performance}")), "starts_at");
}

fn pause(engine: &Server) {
    kill_process(engine.pid(), Signal::STOP).expect("a child can be stopped");
    // It may go on for a moment on another core.
    waitid(WaitId::Pid(engine.pid()), WaitIdOptions::STOPPED).expect("a child can be waited for");
}

fn go_on(engine: &Server) {
    kill_process(engine.pid(), Signal::CONT).expect("a child can go on");
}

/// Something that is asked of one engine alone, and of no other one again.
struct Asking {
    /// Told to ask; answers that the engine has it by then, or will.
    ask: std::sync::mpsc::Sender<()>,
    outcome: JoinHandle<Outcome>,
}

impl Asking {
    /// Connects to an engine; asks when it is told to.
    fn of(engine: SocketAddr, key: &Path, performance: &str, ask_for: Ask) -> Self {
        let key = Key::open_or_create(key).expect("the engine has made it").into();
        let performance: PerformanceId = performance.parse().expect("an id");
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel::<()>();
        let outcome = std::thread::spawn(move || {
            System::new().block_on(async move {
                let clock = Arc::new(SystemClock::start());
                let client = Client::of_engines(&[engine.to_string()], &key, clock);
                let begun = Instant::now();
                while client.performance(performance).is_none() {
                    assert!(begun.elapsed() < PATIENCE, "the engine never says what it has");
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
                ready.send(()).expect("the test waits");
                asked.recv().expect("the test goes on");
                let known = client.performance(performance).expect("it is known");
                client.ask(&known, ask_for).await
            })
        });
        is_ready.recv().expect("it connects");
        Self { ask, outcome }
    }

    fn outcome(self) -> Outcome {
        self.outcome.join().expect("whoever asks does not panic")
    }
}

/// In turns what changes something and what is refused without a look at the disk. Without a key: it is not asked again.
fn something(cycle: u64) -> Ask {
    // From the back, where the best seats are not.
    let seat = CAPACITY - 1 - cycle as usize;
    block(seat, if cycle.is_multiple_of(2) { "acc_crash-seller" } else { "acc_crash-stranger" })
}

fn block(seat: usize, account: &str) -> Ask {
    let caller = Caller { account: account.parse().expect("an account"), admin: false };
    let seats = std::iter::once(SeatIndex(seat as u32)).collect();
    Ask::Command(Command::BlockSeats(BlockSeats { caller, seats, reason: None, nonce: 1, key: None }))
}

#[test]
fn an_engine_that_was_replaced_answers_nobody_any_more() {
    let (seed, cycles) = (seed(), number("ONRUSH_TAKEOVER_CYCLES", CYCLES));
    say(&format!("an_engine_that_was_replaced_answers_nobody_any_more: ONRUSH_SEED={seed}, {cycles} cycles"));
    let (places, mut random) = (Places::new(), Random::new(seed));
    let mut engine = places.start(0);
    let performance = places.open_hall();
    let (edge, tokens) = (places.start_edge(), Tokens::of(&places.edge()));
    wait_for_performance(&edge, &performance);
    let load = Load::start(edge.address, &tokens, &performance, &format!("{seed:x}"), &mut random);
    let mut answered_late = Vec::new();
    for cycle in 0..cycles {
        load.wait_for(20 + random.below(100) as usize);
        let asking = Asking::of(places.address(cycle), &places.key(), &performance, something(cycle));
        pause(&engine);
        asking.ask.send(()).expect("it waits for that");
        let heir = places.spawn(cycle + 1);
        if cycle % 3 == 2 {
            // It wakes up while what it had is copied.
            while !places.engine(cycle).join("successor").exists() {
                std::thread::yield_now();
            }
            go_on(&engine);
        }
        let heir = heir.listens(&places.engine(cycle + 1));
        let heir = heir.unwrap_or_else(|reason| panic!("engine {} does not start: {reason}", cycle + 1));
        if cycle % 3 != 2 {
            go_on(&engine);
        }
        let (status, log) = engine.wait();
        assert!(!status.success() && log.contains("another engine has taken over"), "{status}: {log}");
        let outcome = asking.outcome();
        if outcome != Err(Failure::Unknown) {
            answered_late.push(outcome);
        }
        engine = heir;
    }
    assert_eq!(answered_late, [], "answered by who was replaced");
    load.wait_for(20);
    edge.kill();
    let mut outcome = load.join();
    assert_eq!(outcome.broken, Vec::<String>::new());
    let open = outcome.visits.iter().filter(|visit| visit.open.is_some()).count();
    assert!(open <= BUYERS * (cycles as usize + 1), "{open} requests were not answered");

    let edge = places.start_edge();
    wait_for_performance(&edge, &performance);
    let mut connection = edge.connect();
    let mut findings = audit::resolve(&mut connection, &tokens, &mut outcome.visits);
    findings.add(audit::audit(&mut connection, &tokens, &performance, &outcome.visits));
    assert!(findings.is_clean(), "{findings:#?}");
    let booked = outcome.visits.iter().filter(|visit| visit.booking.is_some()).count();
    say(&format!(
        "an_engine_that_was_replaced_answers_nobody_any_more: {cycles} cycles, {booked} acknowledged bookings: 0 lost, 0 twice, \
         0 answers of an engine that was replaced"
    ));
}

#[test]
fn an_engine_that_hung_and_was_not_replaced_goes_on() {
    let places = Places::new();
    let engine = places.start(0);
    let performance = places.open_hall();
    let asking = Asking::of(engine.address, &places.key(), &performance, block(7, "acc_crash-seller"));
    let lease = || std::fs::read_to_string(places.engine(0).join("lease")).expect("an engine has a lease");
    pause(&engine);
    asking.ask.send(()).expect("it waits for that");
    // Longer than the lease holds.
    std::thread::sleep(std::time::Duration::from_millis(900));
    let before = lease();
    go_on(&engine);
    assert!(asking.outcome().is_ok());
    assert_ne!(lease(), before);
    engine.terminate();
    assert!(engine.wait().0.success());
}

/// Why the engine with this number does not start.
fn refused(places: &Places, process: Process, number: u64) -> String {
    process.listens(&places.engine(number)).err().expect("it is refused")
}

#[test]
fn what_cannot_be_taken_over_is_left_as_it_is() {
    let places = Places::new();
    assert!(refused(&places, places.spawn(1), 1).contains("no journal in"));
    let first = places.start(0);
    let alive = refused(&places, places.spawn(1), 1);
    assert!(alive.contains("is alive") && alive.contains("stop it first"), "{alive}");
    assert!(!places.engine(0).join("successor").exists());
    // One that has ended has no lease to wait for; and what broke off is brought to its end.
    first.kill();
    places.start(1).kill();
    places.start(1).kill();
    let replaced = refused(&places, places.spawn(0), 0);
    assert!(replaced.contains("has taken over") && replaced.contains("engine-1"), "{replaced}");
    let address = places.address(0).to_string();
    let third = Process::heir(&places.engine(2), &address, Some(&places.engine(0)), &places.key());
    let late = refused(&places, third, 2);
    assert!(late.contains("take over from that one"), "{late}");
    places.start(2).kill();
    let occupied = Process::heir(&places.engine(2), &address, Some(&places.engine(1)), &places.key());
    occupied.listens(&places.engine(2)).expect("twice is once").kill();
    let strange = places.dir.path().join("strange.key");
    Key::open_or_create(&strange).expect("a key");
    std::fs::copy(places.key(), places.engine(2).join("engine.key")).expect("a key");
    let keyless = Process::heir(&places.engine(5), &address, Some(&places.engine(2)), &strange);
    assert!(refused(&places, keyless, 5).contains("is another key than"));
    assert!(!places.engine(2).join("successor").exists());
    let other = tempfile::tempdir().expect("a directory");
    let own = Process::heir(other.path(), &address, None, &places.key());
    own.listens(other.path()).expect("it starts").kill();
    let taken = Process::heir(other.path(), &address, Some(&places.engine(2)), &places.key()).listens(other.path());
    assert!(taken.err().expect("it is refused").contains("a journal of its own"));
    assert!(!places.engine(2).join("successor").exists());
    let served = Process::spawn(&places.engine(3), &[]).serves(&places.engine(3)).expect("it starts");
    let (key, before) = (places.engine(6).join("engine.key"), places.engine(2).join("engine.key"));
    let keyed = Process::heir(&places.engine(6), &address, Some(&places.engine(2)), &key);
    keyed.listens(&places.engine(6)).expect("it goes on").kill();
    assert_eq!(std::fs::read(&key).expect("a key"), std::fs::read(&before).expect("a key"), "edges know it, too");
    let key = places.engine(3).join("engine.key");
    let heir = Process::heir(&places.engine(4), &address, Some(&places.engine(3)), &key);
    let shared = refused(&places, heir, 4);
    assert!(shared.contains("holds no lease"), "{shared}");
    drop(served);
}

#[test]
fn of_two_that_take_over_into_one_place_one_does() {
    let places = Places::new();
    let first = places.start(0);
    let performance = places.open_hall();
    pause(&first);
    let heir = || Process::heir(&places.engine(1), "127.0.0.1:0", Some(&places.engine(0)), &places.key());
    let both = [heir(), heir()].map(|process| process.listens(&places.engine(1)));
    go_on(&first);
    assert!(!first.wait().0.success());
    let (served, refused): (Vec<_>, Vec<_>) = both.into_iter().partition(Result::is_ok);
    let why = refused.into_iter().next().and_then(Result::err).expect("one is refused");
    assert!(why.contains("or takes over there"), "{why}");
    let engine = served.into_iter().next().and_then(Result::ok).expect("one serves");
    let outcome = Asking::of(engine.address, &places.key(), &performance, block(7, "acc_crash-seller"));
    outcome.ask.send(()).expect("it waits for that");
    assert!(outcome.outcome().is_ok());
}
