//! The booking engine.
pub mod id;
pub mod money;
pub mod time;
