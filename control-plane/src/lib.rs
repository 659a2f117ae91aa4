//! What spans shows: who has an account, and who is signed in.
//!
//! A call comes in at [`ControlPlane::respond`], whose `match` is the route table. [`accounts`] decides; it asks
//! [`accounts::password`] for hashes, [`accounts::throttle`] whether somebody has tried too often, and keeps what it
//! knows in a [`store`] of its own. Edges check access tokens by themselves, so a sale goes on without any of this.

pub mod accounts;
pub mod config;
mod reply;
pub mod router;
pub mod store;

pub use router::ControlPlane;
