//! An engine that listens, clients of it, and what is asked.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::{Arbiter, System};
use onrush_engine::client::Client;
use onrush_engine::command::{BlockSeats, BookHold, Caller, Command, HoldSeats, RequestKey, Wish};
use onrush_engine::config::Config;
use onrush_engine::engine::Engine;
use onrush_engine::id::{HoldId, PerformanceId, ShowId};
use onrush_engine::mailbox::Ask;
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::{Approval, Opening, Terms};
use onrush_engine::registry::{Field, RegistryCommand, ShowDetails};
use onrush_engine::seat_map::{SeatIndex, SeatMapPlan, Seating, SectionPlan, TierIndex};
use onrush_engine::server;
use onrush_engine::time::SystemClock;
use onrush_engine::wire::{Credentials, Key};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Seats of each performance.
pub(crate) const SEATS: u32 = 40;

pub(crate) fn on_runtime(test: impl Future<Output = ()>) {
    System::new().block_on(test);
}

/// What does not come within a minute never does.
pub(crate) async fn soon<T>(coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), coming).await.expect("it comes")
}

/// Waits for what is to come true.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub(crate) fn key() -> Credentials {
    Key::from_bytes([7; 32]).into()
}

/// An engine on a thread of its own.
pub(crate) struct Running {
    pub(crate) client: Client,
    pub(crate) address: String,
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
    owner: Arbiter,
    data: TempDir,
    credentials: Credentials,
}

/// What an engine that was stopped leaves behind.
pub(crate) struct Left {
    data: TempDir,
    address: String,
    credentials: Credentials,
}

impl Running {
    pub(crate) fn start() -> Self {
        Self::start_with(key())
    }

    pub(crate) fn start_with(credentials: Credentials) -> Self {
        Self::on(tempfile::tempdir().expect("a directory"), "127.0.0.1:0", credentials)
    }

    fn on(data: TempDir, address: &str, credentials: Credentials) -> Self {
        let (owner, stop) = (Arbiter::new(), CancellationToken::new());
        let engine = open(data.path());
        let listener = std::net::TcpListener::bind(address).expect("a port");
        listener.set_nonblocking(true).expect("a socket has options");
        let address = listener.local_addr().expect("bound").to_string();
        let (started, client) = std::sync::mpsc::channel();
        let (ending, ended) = oneshot::channel();
        let (stopped, known_by) = (stop.clone(), credentials.clone());
        owner.spawn_fn(move || {
            let client = engine.start_here();
            started.send(client.clone()).expect("the test waits");
            actix_rt::spawn(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                server::run(listener, client, known_by, stopped).await;
                ending.send(()).ok();
            });
        });
        let client = client.recv().expect("the engine starts");
        Self { client, address, stop, ended, owner, data, credentials }
    }

    /// Stops it in good order.
    pub(crate) async fn stop(self) -> Left {
        let Self { client, address, stop, ended, owner, data, credentials } = self;
        stop.cancel();
        ended.await.expect("the server ends");
        client.settle().await;
        owner.stop();
        tokio::task::spawn_blocking(move || owner.join()).await.expect("it ends").expect("the owner does not panic");
        drop(client);
        Left { data, address, credentials }
    }
}

impl Left {
    pub(crate) fn start_again(self) -> Running {
        Running::on(self.data, &self.address, self.credentials)
    }
}

fn open(data: &Path) -> Engine {
    let config = Config { ballast_bytes: 0, ..Config::new(data.to_owned()) };
    Engine::open(&config).expect("the engine opens")
}

pub(crate) fn client_of(addresses: &[&str]) -> Client {
    let addresses: Vec<_> = addresses.iter().map(|address| (*address).to_owned()).collect();
    Client::of_engines(&addresses, &key(), Arc::new(SystemClock::start()))
}

pub(crate) fn seller() -> Caller {
    Caller { account: "acc_seller".parse().expect("an account"), admin: false }
}

pub(crate) fn buyer() -> Caller {
    Caller { account: "acc_buyer".parse().expect("an account"), admin: false }
}

/// A show and a performance of [`SEATS`] places that cost nothing.
pub(crate) async fn add_performance(client: &Client, number: u64) -> (ShowId, PerformanceId) {
    let show = add_show(client, number).await;
    (show, add_performance_to(client, show, number).await)
}

pub(crate) async fn add_show(client: &Client, number: u64) -> ShowId {
    until(|| client.is_ready()).await;
    let show = ShowId(number);
    let create = RegistryCommand::CreateShow { show, caller: seller(), details: details("A storm."), key: None };
    client.register(create, None).await.expect("a show");
    show
}

pub(crate) async fn add_performance_to(client: &Client, show: ShowId, number: u64) -> PerformanceId {
    let performance = PerformanceId(number);
    add_opening(client, opening(client, show, performance)).await;
    performance
}

/// The same, where a seat costs something.
pub(crate) async fn add_costly_performance(client: &Client, number: u64) -> PerformanceId {
    let (show, performance) = (add_show(client, number).await, PerformanceId(number));
    let prices = vec![Money { amount: 50_000, currency: Currency::KRW }];
    add_opening(client, Opening { prices, ..opening(client, show, performance) }).await;
    performance
}

async fn add_opening(client: &Client, opening: Opening) {
    let Opening { show, performance, .. } = opening;
    let add = RegistryCommand::AddPerformance { show, performance, caller: seller(), key: None };
    client.register(add, Some(Box::new(opening))).await.expect("a performance");
}

pub(crate) fn details(description: &str) -> ShowDetails {
    ShowDetails {
        title: "The Tempest".into(),
        field: Field::Theatre,
        cast: vec!["Kim".into()],
        venue: "Grand Theatre".into(),
        description: description.into(),
        poster_url: None,
    }
}

pub(crate) fn opening(client: &Client, show: ShowId, performance: PerformanceId) -> Opening {
    let now = client.now();
    let starts_at = now + Duration::from_hours(24);
    let seating = Seating::GeneralAdmission(SEATS);
    let plan = SeatMapPlan { sections: vec![SectionPlan { name: "Floor".into(), tier: TierIndex(0), seating }] };
    Opening {
        performance,
        show,
        seller: seller().account,
        plan,
        tiers: vec!["R".into()],
        prices: vec![Money::zero(Currency::KRW)],
        terms: Terms {
            starts_at,
            ends_at: starts_at + Duration::from_hours(3),
            // Before now by either clock: this process's may be a little ahead of the engine's.
            opens_at: onrush_engine::time::Timestamp::MIN,
            closes_at: starts_at,
            hold_ttl_seconds: 300,
            seats_per_buyer_max: SEATS,
            holds_per_buyer_max: SEATS,
            approval: Approval::Automatic,
            cancel_until: starts_at,
            refund: Vec::new(),
        },
    }
}

/// Asks for one seat.
pub(crate) fn hold(seat: u64, key: Option<u64>) -> Ask {
    let key = key.map(|key| RequestKey { key: [key, 1], fingerprint: seat });
    let wish = Wish::Seats([SeatIndex(seat as u32)].into_iter().collect());
    Ask::Command(Command::HoldSeats(HoldSeats { caller: buyer(), wish, nonce: seat, key }))
}

pub(crate) fn book(hold: HoldId) -> Ask {
    Ask::Command(Command::BookHold(BookHold { caller: buyer(), hold, purpose: None, nonce: 5, key: None }))
}

pub(crate) fn block(seats: &[u32]) -> Ask {
    let seats = seats.iter().copied().map(SeatIndex).collect();
    Ask::Command(Command::BlockSeats(BlockSeats { caller: seller(), seats, reason: None, nonce: 5, key: None }))
}
