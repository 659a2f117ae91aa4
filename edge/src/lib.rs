//! The front door: HTTP in, commands to seat actors, answers out.
//!
//! A connection is served by [`server`], which hands each request to [`router`]. The route says which handler in
//! `routes/` reads it, asks the engine once, and answers. [`directory`] is the only file that knows where a performance
//! lives; [`problems`] is the only one that turns a refusal into HTTP.

mod answer;
mod apart;
mod auth;
mod availability;
pub mod config;
mod connections;
pub mod context;
pub mod control_plane;
pub mod directory;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod labels;
mod metrics;
mod obligations;
pub mod openapi;
mod pages;
pub mod payments;
mod problems;
mod request;
mod router;
mod routes;
pub mod server;
mod shed;
mod socket;
mod streams;
mod watching;

pub use problems::of_registry as problem_of_registry;
