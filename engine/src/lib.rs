//! The booking engine: sells the seats of performances, durably, when everybody arrives at once.
//!
//! A command travels one way. A [`client::Client`] puts it into its performance's mailbox, a bounded ring, and wakes
//! the performance's actor. The actor asks the pure [`inventory::Inventory`] what the command comes to, applies the
//! event, and stages it. Once all woken actors of the owner's thread are through, one commit writes what they staged to
//! the [`journal`], and waits for the disk. Only then the feed shows the change and the replies leave.
//!
//! The modules, in the order in which to read them:

pub mod id;
pub mod time;
pub mod money;

pub mod seat_map;
pub mod performance;
pub mod venues;

pub mod command;
pub mod event;
pub mod refusal;
pub mod inventory;
pub mod registry;

pub mod mailbox;
mod actor;
mod committer;
pub mod owner;
pub mod journal;
pub mod feed;

pub mod config;
mod metrics;
pub mod engine;
pub mod client;

pub use committer::Health;
