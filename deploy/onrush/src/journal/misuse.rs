//! What only whoever called can put right. The journal is sound then, or was not looked at.

use std::path::PathBuf;

use onrush_api::text::Time;
use onrush_engine::id::PerformanceId;
use onrush_engine::journal::history::seat::AskError;
use onrush_engine::time::Timestamp;
use thiserror::Error;

/// Each says what to do instead.
#[derive(Debug, Error)]
pub(crate) enum Misuse {
    #[error("there is no directory {0}; name a server's data directory, such as ./onrush-data")]
    NoDirectory(PathBuf),
    #[error("{0} holds no journal; name the data directory itself, such as ./onrush-data")]
    NoJournal(PathBuf),
    #[error("a server runs in {0}; stop it first")]
    InUse(PathBuf),
    #[error("there is no performance yet in this journal")]
    NoPerformances,
    #[error("name one performance with --performance; there are:\n{known}")]
    WhichPerformance { known: String },
    #[error("there is no performance {asked}; there are:\n{known}")]
    UnknownPerformance { asked: PerformanceId, known: String },
    #[error("there is no seat '{asked}'; {hint}")]
    UnknownSeat { asked: String, hint: String },
    #[error("record {asked} is not there yet: the last one is {last}")]
    BeyondEnd { asked: u64, last: u64 },
    #[error("the performance did not exist yet: it came into being at {}, with record 0", Time(*.0))]
    BeforeOpening(Timestamp),
    #[error(
        "that is not in the journal any more: a snapshot stands for what was before the end of record {snapshot}, at \
         {}; ask for that record or a later one",
        Time(*.at)
    )]
    BeforeHistory { snapshot: u64, at: Timestamp },
}

/// What of a question's failure is the asker's own.
pub(super) fn of_question(error: AskError) -> anyhow::Error {
    match error {
        AskError::BeforeOpening { opened_at } => Misuse::BeforeOpening(opened_at).into(),
        AskError::BeforeHistory { snapshot, at } => Misuse::BeforeHistory { snapshot, at }.into(),
        AskError::BeyondEnd { asked, last } => Misuse::BeyondEnd { asked, last }.into(),
        AskError::Recovery(error) => error.into(),
        AskError::State(error) => error.into(),
    }
}
