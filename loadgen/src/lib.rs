//! Booking bots: load, measurement, audit. Speaks only HTTP, and knows of the server only what its contract says.
//!
//! A rush in five sentences. The seller makes a performance, and a schedule says when each bot is meant to start.
//! Workers run the bots over keep-alive connections; each bot is a small state machine that turns the last answer into
//! the next request. What the bots see goes into histograms and tallies, what the server acknowledges is remembered.
//! At the end the server's own lists are compared with that memory: the [`audit`]. The [`report`] is a table, a JSON
//! document and an HTML page.
//!
//! Reading order: [`rush`] (the whole on one screen), [`schedule`], [`scenario`], `buyer.rs`, `visit.rs`, `crowd.rs`,
//! `client.rs`, [`audit`], [`report`].
//!
//! It is no general HTTP benchmark: it measures buyers, from the moment they meant to start.

pub mod options;
pub mod target;

// The plan: who comes, when.
mod random;
pub mod scenario;
pub mod schedule;

// One bot: what it sees, what it does, how it says it.
mod answer;
mod buyer;
mod client;
mod seats;
mod visit;

// All bots, and what came of it.
mod arrivals;
pub mod audit;
mod crowd;
mod progress;
pub mod report;
pub mod rush;
mod sample;
mod seller;
mod server_cpu;

pub mod bare;
