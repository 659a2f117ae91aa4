//! The booking engine: sells the seats of performances, durably, when everybody arrives at once.
//!
//! A command travels one way. A [`client::Client`] puts it into its performance's mailbox, a bounded ring, and wakes
//! the performance's actor. The actor asks the pure [`inventory::Inventory`] what the command comes to, applies the
//! event, and stages it. One commit after the other writes what was staged to the [`journal`], on a thread of its own
//! that waits for the disk, while the actors go on. Only then the feed shows the change and the replies leave.
//!
//! The modules, in the order in which to read them:

pub mod id;
pub mod money;
pub mod time;

pub mod performance;
pub mod seat_map;
pub mod venues;

pub mod command;
pub mod event;
pub mod inventory;
pub mod refusal;
pub mod registry;

mod actor;
mod committer;
pub mod dues;
pub mod feed;
pub mod handover;
pub mod journal;
pub mod lease;
pub mod mailbox;
pub mod owner;
mod staging;

pub mod wire;

pub mod client;
pub mod server;

pub mod config;
pub mod engine;
mod metrics;
pub mod seeded;

pub use committer::Health;
