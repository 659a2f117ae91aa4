//! What is fed nonsense, and what must hold whatever is fed: functions of some bytes that panic where it does not.
//!
//! libFuzzer calls them with bytes of its own making (`fuzz/fuzz_targets`), and `tests/corpus.rs` with those that are
//! kept in `fuzz/corpus`, so that what was found once is found again by a plain `cargo test`. The first byte mostly says
//! which way in is taken. Where a digest or a signature stands in the way of chance, a target makes it itself.

pub mod addresses;
pub mod bodies;
pub mod idempotency_keys;
pub mod notices;
pub mod records;
pub mod seeds;
pub mod snapshots;
pub mod ticket_codes;
pub mod tokens;

mod hall;
mod input;
mod journal;
mod sale;
mod secret_file;

/// A target: its name, which is that of its folder in the corpus, and what takes the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const ALL: &[Target] = &[
    ("addresses", addresses::run),
    ("bodies", bodies::run),
    ("idempotency_keys", idempotency_keys::run),
    ("notices", notices::run),
    ("records", records::run),
    ("snapshots", snapshots::run),
    ("ticket_codes", ticket_codes::run),
    ("tokens", tokens::run),
];
