//! Bugs on purpose, so that it can be shown that the tests would notice them.
//!
//! They exist only with the feature `seeded-bugs`, which nothing that is shipped is built with: without it,
//! [`Bug::is_on`] is the constant `false`, and the compiler removes what depends on it. With it, the environment's
//! `SEEDED_BUG` names the one that is in force. `.ci/seeded-bugs` runs the tests against each, and writes the table of
//! what caught it.

use std::sync::LazyLock;

macro_rules! bugs {
    ($($bug:ident $name:literal $about:literal)*) => {
        /// See the module.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug {
            $(#[doc = $about] $bug,)*
        }

        impl Bug {
            /// Every bug with its name and what it does.
            pub const ALL: &[(Self, &str, &str)] = &[$((Self::$bug, $name, $about),)*];
        }
    };
}

bugs! {
    AnsweredBeforeFlush   "answered-before-flush"    "An answer leaves before its record is durable."
    VisibleBeforeFlush    "visible-before-flush"     "Availability shows a change before its record is durable."
    FlushWithoutSync      "flush-without-sync"       "A flush ends without fdatasync."
    FlushErrorSwallowed   "flush-error-swallowed"    "A flush that fails counts as one that did not."
    GoesOnAfterError      "goes-on-after-error"      "The journal takes more after its first error."
    DigestUnchecked       "digest-unchecked"         "A record's digest is not compared with its bytes."
    ChainUnchecked        "chain-unchecked"          "A record may follow another than the one it names."
    FenceSkipped          "fence-skipped"            "A record of an owner that was replaced is taken."
    EndLostUnnoticed      "end-lost-unnoticed"       "Acknowledged records that are missing at the end are not missed."
    SnapshotRepeats       "snapshot-repeats"         "A snapshot says that it ends one record earlier than it does."
    HoldersNotExtended    "holders-not-extended"     "Who holds seats does not get the time back that the engine was away."
    ExpiryOffByOne        "expiry-off-by-one"        "A hold is still held at the very time of its end."
    ClockGoesBack         "clock-goes-back"          "Journal time follows a clock that goes back."
    HashOrder             "hash-order"               "Holds that end together end in the order of a hash map."
    LimitUnchecked        "limit-unchecked"          "The limit of seats a buyer is not part of the command's decision."
    LimitNotGivenBack     "limit-not-given-back"     "A hold that ends leaves its share of the limit used."
    HeldSeatSold          "held-seat-sold"           "A seat that somebody holds counts as free."
    NotAllOrNothing       "not-all-or-nothing"       "Who wants a seat that is taken gets the others."
    OthersHold            "others-hold"              "Anybody may use a hold whose id they know."
    KeyForgotten          "key-forgotten"            "A request key of a booking is not remembered."
    FingerprintIgnored    "fingerprint-ignored"      "A key that comes with another body gets the first one's answer."
    PriceOfToday          "price-of-today"           "A booking costs what its seats cost now, not when they were held."
    RefundOfToday         "refund-of-today"          "What was bought goes back by today's rules, however much worse they are."
    TallyDrifts           "tally-drifts"             "Blocked seats are not counted as blocked."
    StaleAvailability     "stale-availability"       "Availability is encoded once and never anew."
    ExpiredTokenAccepted  "expired-token-accepted"   "An access token is good for longer than it says."
    LateMoneyKept         "late-money-kept"          "Money that comes when the seats are gone stays."
    RefundForgotten       "refund-forgotten"         "What a cancelled seat cost does not go back."
    TicketUsedTwice       "ticket-used-twice"        "A ticket lets in whoever shows it, as often as it is shown."
}

/// The bug that is in force; nothing without the feature.
static CHOSEN: LazyLock<Option<Bug>> = LazyLock::new(|| {
    let name = std::env::var("SEEDED_BUG").ok().filter(|name| !name.is_empty())?;
    let bug = Bug::ALL.iter().find(|(_, known, _)| *known == name);
    Some(bug.unwrap_or_else(|| panic!("there is no seeded bug '{name}'")).0)
});

impl Bug {
    /// Whether it is in force.
    #[inline]
    pub fn is_on(self) -> bool {
        cfg!(feature = "seeded-bugs") && *CHOSEN == Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_in_the_table() {
        // While the table is being written it is not complete.
        if cfg!(feature = "seeded-bugs") {
            return;
        }
        let table = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/seeded-bugs.md");
        let table = std::fs::read_to_string(table).unwrap();
        let missing = Bug::ALL.iter().find(|(_, name, about)| !table.contains(&format!("| `{name}` | {about} |")));
        assert_eq!(missing, None, "`just bugs` writes the table anew");
    }

    #[test]
    fn none_is_in_force_by_itself() {
        if std::env::var_os("SEEDED_BUG").is_none() {
            assert!(Bug::ALL.iter().all(|(bug, ..)| !bug.is_on()));
        }
    }
}
