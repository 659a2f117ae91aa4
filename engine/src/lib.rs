//! The booking engine. Modules in the order in which to read them.
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
