//! Where a simulated disk can fail, and how.

use std::io;

/// One operation of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Site {
    /// A batch of records goes into the store.
    Append,
    /// All that is in the store becomes durable.
    Sync,
    /// The number of durable records is noted.
    Mark,
    /// Some records are dropped.
    Trim,
    /// The time is noted.
    Heartbeat,
    /// A start reads all records.
    Scan,
    /// A start looks for snapshots.
    Names,
    /// A start reads a snapshot.
    Read,
    /// A snapshot's bytes are written.
    Write,
    /// A snapshot's bytes become durable.
    SyncFile,
    /// A snapshot takes its place.
    Rename,
    /// Names become durable.
    SyncNames,
    /// What is left of a snapshot is dropped.
    Remove,
}

impl Site {
    pub(crate) const ALL: [Self; 13] = [
        Self::Append,
        Self::Sync,
        Self::Mark,
        Self::Trim,
        Self::Heartbeat,
        Self::Scan,
        Self::Names,
        Self::Read,
        Self::Write,
        Self::SyncFile,
        Self::Rename,
        Self::SyncNames,
        Self::Remove,
    ];

    /// Whether the operation puts bytes somewhere, so that a part of them may get there.
    pub(crate) fn writes(self) -> bool {
        matches!(self, Self::Append | Self::Write)
    }

    /// Whether an engine can go on after a failure here: what is written is a snapshot, and the journal has everything.
    /// A start that has not begun to write goes on after none.
    pub(crate) fn is_optional(self) -> bool {
        matches!(self, Self::Write | Self::SyncFile | Self::Rename | Self::SyncNames | Self::Remove)
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The machine stops before the operation.
    Stop,
    /// The operation fails once, and the disk goes on: what a sync that failed was to save is lost all the same, as the
    /// system takes it for written (Rebello et al., ATC 2020).
    Error,
    /// There is no room left: where bytes go somewhere, a part of them has got there.
    NoRoom,
    /// A part is written, then the operation fails.
    Short,
}

impl Fault {
    /// Those that can happen somewhere.
    pub(crate) fn at(site: Site) -> &'static [Self] {
        if site.writes() {
            &[Self::Stop, Self::Error, Self::NoRoom, Self::Short]
        } else {
            &[Self::Stop, Self::Error, Self::NoRoom]
        }
    }

    pub(crate) fn error(self) -> io::Error {
        match self {
            Self::Stop => io::Error::other("the machine has stopped"),
            Self::Error => io::Error::other("an input or output error"),
            Self::NoRoom => io::ErrorKind::StorageFull.into(),
            Self::Short => io::ErrorKind::WriteZero.into(),
        }
    }
}

/// What is to go wrong next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// At an operation of this kind, so many later.
    Site(Site, u64, Fault),
    /// At the operation with this number, counted from the disk's first.
    Number(u64, Fault),
}

impl Plan {
    /// Whether it is the turn of the operation with this number; counts down.
    pub(crate) fn is_due(&mut self, site: Site, number: u64) -> Option<Fault> {
        match self {
            Self::Number(at, fault) => (*at == number).then_some(*fault),
            Self::Site(at, 0, fault) => (*at == site).then_some(*fault),
            Self::Site(at, left, _) => {
                *left -= u64::from(*at == site);
                None
            }
        }
    }
}
