//! How edges in other processes ask a control plane, and what it tells them: which engines there are, and whose tokens are void
//! before their time.
//!
//! It is HTTP/2 over a connection on which both ends have proved that they have the engines' key. What a client asks goes as it
//! came. One call of each edge goes on for good: the control plane tells on it what is new, a line each, and the edge says back
//! how far it has heard. So whoever signs out is answered once every edge that is connected knows.

pub(crate) mod open;
pub(crate) mod remote;
pub(crate) mod serving;

use std::time::Duration;

use bytes::Bytes;
use onrush_api::session::SessionId;
use onrush_api::text::{Text, Time};
use onrush_engine::id::AccountId;
use serde::{Deserialize, Serialize};

/// What a control plane says at least so often; an edge that hears nothing for [`SILENCE_MAX`] connects anew.
const PULSE: Duration = Duration::from_secs(1);
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// What the other end may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is passed on.
const ANSWER_LEN_MAX: usize = 16 << 20;

/// Where a request came from, as its edge saw it.
const PEER: &str = "onrush-peer";
/// What edges ask on their own behalf; no edge has a route to these for anybody else.
const NEWS: &str = "/internal/news";
const NOTICES: &str = "/internal/notices";
const CHECKOUTS: &str = "/internal/checkouts/";

/// What an edge is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum News {
    /// There is an engine at this address; whether new shows may be for it.
    Engine { address: String, takes_shows: bool },
    /// There is none any more.
    NoEngine { address: String },
    /// All tokens of a session are void; they expire before that time.
    Session { id: Text<SessionId>, until: Time },
    /// So are all of an account.
    Account { id: Text<AccountId> },
    /// Whether somebody takes payments.
    Payments { open: bool },
    /// That is all that there is for now; whether all engines are among it that have something.
    Told { mark: u64, names_all: bool },
}

impl News {
    fn session(id: SessionId, until: onrush_engine::time::Timestamp) -> Self {
        Self::Session { id: Text(id), until: Time(until) }
    }

    fn line(&self) -> Bytes {
        let mut line = serde_json::to_vec(self).expect("plain fields always make JSON");
        line.push(b'\n');
        line.into()
    }
}

/// How somebody is to pay.
#[derive(Debug, Serialize, Deserialize)]
struct CheckoutBody {
    url: Option<String>,
    client_secret: Option<String>,
}
