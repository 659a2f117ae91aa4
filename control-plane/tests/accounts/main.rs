//! Accounts and sessions as an edge sees them: requests in, answers out, time in the test's hands.

mod fixture;

mod catalogue;
mod closing;
mod guessing;
mod guests;
mod machines;
mod people;
mod sessions;
mod stuffing;
