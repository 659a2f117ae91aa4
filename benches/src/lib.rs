//! The same work on Onrush and on what one would pick instead, side by side on one machine.
//!
//! `versus` starts every server itself, sends all of them the same requests from the same client in turns, and prints
//! one table. `cargo bench -p benches` measures the engine's parts. Onrush runs with the defaults it is shipped with;
//! the others with the best simple settings that are known for this work, each with its reason, in the file of the server.
//! Figures are printed, never asserted: a busy machine is no bug.
//!
//! The modules, in the order in which a measurement passes through them:

pub mod rounds;
pub mod row;
pub mod run;

pub mod contender;
pub mod hold;
pub mod key;
pub mod requests;

pub mod front;
pub mod hyper_server;
pub mod onrush_server;
pub mod postgresql_server;
pub mod process;
pub mod redis_server;

pub mod answer;
pub mod client;
pub mod open_loop;
pub mod postgresql_wire;
pub mod redis_wire;
pub mod wire;

pub mod generator;
pub mod mailbox;
pub mod queue;
pub mod rabbitmq;

pub mod machine;
pub mod table;
pub mod verdict;

pub mod curve;
pub mod disk;
pub mod goal;
pub mod hall;
pub mod platform;
