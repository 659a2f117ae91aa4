//! The HTTP contract, tested over a real socket against a real engine.
//!
//! Each test starts a server of its own on a free port with a data directory of its own, and talks to it in plain
//! bytes. [`client`] is what it talks with, [`fixture`] what it talks to.

mod client;
mod fixture;

mod buying;
mod drafts;
mod limits;
mod replays;
mod seats;
mod selling;
mod wishes;

mod callers;
mod connections;
mod heads;
mod http2;
mod malformed;
mod operating;

mod corpus;
mod frames;
mod heard;
mod honest;

mod floods;
mod hostile;
mod members;
mod mutations;
mod sales;
mod slowloris;
mod streams;
mod tickets;
