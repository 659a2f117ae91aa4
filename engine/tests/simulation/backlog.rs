//! More commands than there is room for behind a commit: they wait in the mailbox, and each gets its answer, also from
//! an engine that fails meanwhile.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::System;
use onrush_engine::client::Client;
use onrush_engine::command::{Command, HoldSeats, Wish};
use onrush_engine::config::Config;
use onrush_engine::engine::Engine;
use onrush_engine::id::{EngineId, PerformanceId};
use onrush_engine::mailbox::{Ask, Failure, Outcome};
use onrush_engine::registry::RegistryCommand;
use onrush_engine::seat_map::SeatIndex;

use crate::disk::Disk;
use crate::fault::{Fault, Plan, Site};
use crate::hall::{account, opening, seller, show};
use crate::world::SimulatedClock;

const PERFORMANCE: PerformanceId = PerformanceId(11);
const CAPACITY: usize = 16;

/// What became of many holds.
struct Overfilled {
    outcomes: Vec<Outcome>,
    /// Seats that everybody saw held, when all were answered.
    seen_held: u32,
}

/// More holds than a mailbox takes, its size pushed whenever that many have been taken out.
async fn overfill(disk: &Disk, plan: Option<Plan>) -> Overfilled {
    let config = Config { mailbox_capacity: CAPACITY, ..Config::new("nowhere".into()) };
    let (store, directory) = (Box::new(disk.clone()), Arc::new(disk.clone()));
    let engine =
        Engine::simulated(&config, EngineId(1), store, directory, Arc::new(SimulatedClock::at_start())).unwrap();
    let client = engine.start_here();
    client.register(show(), None).await.unwrap();
    let add = RegistryCommand::AddPerformance {
        show: opening(PERFORMANCE).show,
        performance: PERFORMANCE,
        caller: seller(),
        key: None,
    };
    client.register(add, Some(Box::new(opening(PERFORMANCE)))).await.unwrap();
    disk.plan(plan);
    let mut asked = Vec::new();
    for seat in 0..22 {
        let (client, command) = (client.clone(), hold(seat));
        asked.push(actix_rt::spawn(ask(client, command)));
        if seat as usize % CAPACITY == CAPACITY - 1 {
            tokio::task::yield_now().await;
        }
    }
    let mut outcomes = Vec::new();
    for asked in asked {
        outcomes.push(tokio::time::timeout(Duration::from_secs(5), asked).await.expect("it is answered").unwrap());
    }
    let seen_held = client.performance(PERFORMANCE).expect("it is open").publication.tally().held;
    Overfilled { outcomes, seen_held }
}

async fn ask(client: Client, command: Command) -> Outcome {
    let performance = client.performance(PERFORMANCE).expect("it is open");
    client.ask(&performance, Ask::Command(command)).await
}

fn hold(seat: u32) -> Command {
    let caller = account(u64::from(seat));
    Command::HoldSeats(HoldSeats { caller, wish: Wish::Seats(vec![SeatIndex(seat)].into()), nonce: 1, key: None })
}

#[test]
fn what_has_no_room_behind_a_commit_is_answered_after_it() {
    let Overfilled { outcomes, seen_held } = System::new().block_on(overfill(&Disk::default(), None));
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(seen_held, outcomes.len() as u32);
}

#[test]
fn what_has_no_room_behind_a_commit_that_fails_is_told_that_nobody_knows() {
    let plan = Plan::Site(Site::Sync, 0, Fault::Stop);
    let Overfilled { outcomes, .. } = System::new().block_on(overfill(&Disk::default(), Some(plan)));
    assert!(outcomes.iter().all(|outcome| *outcome == Err(Failure::Unknown)), "{outcomes:?}");
}

#[test]
fn nobody_sees_what_a_commit_that_fails_would_have_changed() {
    for site in [Site::Append, Site::Sync, Site::Mark] {
        for fault in Fault::at(site) {
            let plan = Plan::Site(site, 0, *fault);
            let Overfilled { seen_held, .. } = System::new().block_on(overfill(&Disk::default(), Some(plan)));
            assert_eq!(seen_held, 0, "{plan:?}");
        }
    }
}
