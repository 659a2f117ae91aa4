//! The types of the HTTP contract: what the edge, the control plane and the load generator share.
//!
//! Bodies are plain structs that serde reads and writes; unknown fields are refused. They hold no rules: a body that
//! parses is well-formed, and the edge turns it into the engine's own types. Nothing here opens a socket or a file but
//! [`token::KeyFile`], which keeps the signing key.

pub mod body;
pub mod page;
pub mod problem;
pub mod text;
pub mod token;

pub mod availability;
pub mod blocks;
pub mod bookings;
pub mod holds;
pub mod performances;
pub mod seat_map;
pub mod shows;
