//! The same work on Onrush and on what one would pick instead, side by side on one machine.
//!
//! `versus` starts every server itself, sends all of them the same requests from the same client in turns, and prints
//! one table. `cargo bench -p benches` measures the engine's parts. Nothing here tunes a server: each runs with the
//! defaults it is shipped with. Figures are printed, never asserted: a busy machine is no bug.
//!
//! The modules, in the order in which a measurement passes through them:

pub mod rounds;
pub mod row;

pub mod hold;
pub mod key;
pub mod requests;

pub mod hyper_server;
pub mod onrush_server;
pub mod process;

pub mod answer;
pub mod client;

pub mod machine;
pub mod table;

pub mod goal;
pub mod hall;
pub mod platform;
