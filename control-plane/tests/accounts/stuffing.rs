//! Credential stuffing: a botnet with lists of addresses and passwords, and honest people among them.

use std::time::Duration;

use crate::fixture::Plane;

/// Accounts that the bots know of.
const VICTIMS: usize = 10;
/// Between two rounds of the bots; within the hour that the test lasts.
const ROUND: Duration = Duration::from_mins(1);
const ROUNDS: usize = 60;

/// How many tries the bots have: each comes from one of ten thousand places.
fn tries() -> usize {
    let given = std::env::var("ONRUSH_STUFFING_TRIES").ok();
    given.map_or(3_000, |tries| tries.parse().expect("ONRUSH_STUFFING_TRIES is a number"))
}

/// Where an owner is at home: no bot is there.
fn home(victim: usize) -> std::net::IpAddr {
    [203, 0, 113, victim as u8].into()
}

/// `ONRUSH_STUFFING_TRIES=100000` is the size that is promised; a password is looked at only where a bucket has a try left,
/// so the bots' refused ones cost nothing.
#[test]
#[expect(clippy::print_stdout, reason = "the figures say what was tried")]
fn a_botnet_gets_a_few_tries_an_account_and_keeps_no_owner_out() {
    let mut plane = Plane::open();
    for victim in 0..VICTIMS {
        plane.from = home(victim);
        assert_eq!(plane.sign_up(&address(victim), "buyer").status, 201);
        plane.sign_in(&address(victim));
    }
    // At which minutes a password was looked at, for each account.
    let mut looked_at = [const { Vec::new() }; VICTIMS];
    let (each, mut number) = (tries() / ROUNDS, 0);
    for round in 0..ROUNDS {
        for _ in 0..each {
            number += 1;
            let place = number % 10_000;
            plane.from = [198, 18 + (place >> 13) as u8, (place >> 5) as u8, (place & 31) as u8].into();
            let victim = number % VICTIMS;
            if plane.try_password(&address(victim), "hunter2, hunter2").status == 401 {
                looked_at[victim].push(round);
            }
        }
        plane.from = home(round % VICTIMS);
        plane.sign_in(&address(round % VICTIMS));
        plane.pass(ROUND);
    }
    assert!(looked_at.iter().all(|minutes| minutes.len() >= 5), "the bots were not there: {looked_at:?}");
    let most = looked_at.iter().map(Vec::len).max().expect("there are victims");
    println!("{number} tries at {VICTIMS} accounts within an hour: at most {most} passwords looked at for one");
    for minutes in looked_at {
        assert!(minutes.windows(6).all(|six| six[5] - six[0] >= 15), "six in a quarter of an hour: {minutes:?}");
    }
}

fn address(victim: usize) -> String {
    format!("victim-{victim}@example.org")
}
