//! A payment provider to try everything with: a process of its own, with an API, a page where buyers pay, notices that
//! are signed as Standard Webhooks (<https://www.standardwebhooks.com>), and every mood that a real one has on a bad day.
//!
//! No money moves. What it knows is in one file, so that it still knows after a restart.

mod adapter;
mod book;
mod mood;
mod notices;
mod page;
mod server;
mod wire;

pub use adapter::TestPsp;
pub use book::Book;
pub use notices::WebhookUrl;
pub use server::{Config, serve};
