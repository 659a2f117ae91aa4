//! The handlers: each reads its request, asks the engine once, and answers.

pub(crate) mod accounts;
pub(crate) mod availability;
pub(crate) mod blocks;
pub(crate) mod bookings;
pub(crate) mod catalogue;
pub(crate) mod deployments;
pub(crate) mod document;
pub(crate) mod guests;
pub(crate) mod holds;
pub(crate) mod incidents;
pub(crate) mod members;
pub(crate) mod operating;
pub(crate) mod payments;
pub(crate) mod performances;
pub(crate) mod selling;
pub(crate) mod shows;
pub(crate) mod tickets;
pub(crate) mod watching;
pub(crate) mod wishes;
