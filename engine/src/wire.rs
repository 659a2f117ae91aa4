//! What an edge and an engine in another process say to each other, over one TCP connection.
//!
//! First each proves that it has the same key ([`hello`]). Then the edge sends requests, each with a number, and the
//! engine answers in whatever order they become durable. Between answers the engine tells the edge what everybody may see: shows,
//! performances, rules, seats. What an answer shows is told before the answer.
//!
//! A frame ([`frame`]) is its length and an rkyv archive of the very types of this crate, so both ends have to be of one
//! [`VERSION`]; what has to be read for years, the journal, has a codec of its own.

mod credentials;
pub(crate) mod frame;
pub(crate) mod hello;
mod key;
pub(crate) mod message;

use std::io;
use std::time::Duration;

use thiserror::Error;

pub use credentials::{Credentials, NAME, Stream, Tls, TlsError};
pub use key::{Key, KeyError, is_exposed};

/// Both ends have to speak the same. Raised with every change of what an archive of a message is: the test `pinned`
/// notices.
pub const VERSION: u16 = 2;

/// The longest frame, in bytes: a page of bookings, or a performance with every seat named.
pub(crate) const FRAME_LEN_MAX: usize = 16 << 20;

/// An engine says something at least this often; an edge that hears nothing for [`SILENCE_MAX`] connects anew.
pub(crate) const PULSE: Duration = Duration::from_secs(1);
/// See [`PULSE`].
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(4);
/// What a peer may take to say who it is, or to take what is written to it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Why a connection ended.
#[derive(Debug, Error)]
pub enum WireError {
    /// The network says so.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The other end went away.
    #[error("the other end closed the connection")]
    Closed,
    /// It said nothing, or took nothing, for too long.
    #[error("the other end was silent for too long")]
    Silent,
    /// It speaks something else.
    #[error("the other end is no Onrush")]
    Stranger,
    /// It speaks another version.
    #[error(
        "the other end speaks version {theirs} of the wire, and this one {VERSION}: use the same release of Onrush for both"
    )]
    Version {
        /// Theirs.
        theirs: u16,
    },
    /// Its key is another one.
    #[error(
        "the other end has another engine key (both need the same file, see --engine-key-file), or is something else than was asked \
         for: --engines names engines, --control-plane a server's address for edges"
    )]
    Key,
    /// One of the two has no certificate that the other believes, or none at all.
    #[error(
        "no encrypted connection: both ends need a certificate of the same authority for the name onrush, see wire_cert_file"
    )]
    Tls(#[source] io::Error),
    /// A frame is longer than there may be.
    #[error("a frame is longer than {} MiB", FRAME_LEN_MAX >> 20)]
    TooLong,
    /// A frame is no message.
    #[error("a frame is no message")]
    Frame(#[source] rkyv::rancor::Error),
    /// A message makes no sense.
    #[error("a message cannot be: {0}")]
    Nonsense(&'static str),
    /// This engine answers nothing more.
    #[error("the lease has run out, or another engine has taken over")]
    Replaced,
}

impl WireError {
    /// Whether it stays so until somebody does something about it.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, Self::Stranger | Self::Version { .. } | Self::Key | Self::Tls(_))
    }
}
