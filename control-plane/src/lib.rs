//! What spans shows: who has an account, who is signed in, and which show has an engine of its own.
//!
//! A call comes in at [`ControlPlane::respond`], whose `match` is the route table. [`deployments`] start engines and watch
//! over them. [`accounts`] decides who is who; it asks
//! [`accounts::password`] for hashes, [`accounts::throttle`] whether somebody has tried too often, and keeps what it
//! knows in a [`store`] of its own. Edges check access tokens by themselves, so a sale goes on without any of this.

pub mod accounts;
mod callers;
pub mod catalogue;
pub mod config;
mod costs;
pub mod deployments;
pub mod incidents;
pub mod kubernetes;
mod policies;
mod reply;
pub mod router;
pub mod store;

pub use router::ControlPlane;
