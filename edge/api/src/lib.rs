//! The types of the HTTP contract: what the edge, the control plane and the load generator share.
//!
//! Bodies are plain structs that serde reads and writes; unknown fields are refused. They hold no rules: a body that
//! parses is well-formed, and the edge turns it into the engine's own types. Nothing here opens a socket or a file but
//! [`key_file::KeyFile`] and [`ticket_code::TicketKeys`], which keep the signing keys.

pub mod body;
pub mod headers;
pub mod key_file;
pub mod page;
pub mod peer;
pub mod policies;
pub mod problem;
pub mod session;
pub mod text;
pub mod ticket_code;
pub mod token;

pub mod accounts;
pub mod availability;
pub mod blocks;
pub mod bookings;
pub mod deployments;
pub mod guests;
pub mod holds;
pub mod images;
pub mod incidents;
pub mod performances;
pub mod seat_map;
pub mod selling;
pub mod shows;
pub mod templates;
pub mod tickets;
pub mod usage;
pub mod wishes;
