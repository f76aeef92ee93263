//! How far the spool has been shipped, with the totals that belong to that place: one small file, replaced whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A place in the spool: everything before it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Bytes of it that are done; 0: its header is not read yet.
    pub offset: u64,
    /// Records of it that are done.
    pub records: u64,
}

/// What became of the records before the position, since the spool was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Acknowledged by the receiver.
    pub shipped: u64,
    /// Refused by the receiver for good.
    pub rejected: u64,
    /// Dropped unshipped because the spool was full.
    pub dropped: u64,
    /// On disk, and no longer readable.
    pub damaged: u64,
}

impl Totals {
    /// All of them.
    pub const fn sum(&self) -> u64 {
        self.shipped + self.rejected + self.dropped + self.damaged
    }
}

/// What became of the records of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Acknowledged.
    Shipped(u64),
    /// Refused for good.
    Rejected(u64),
    /// Unreadable.
    Damaged(u64),
    /// Dropped to make room.
    Dropped(u64),
}

/// The cursor, as it lies on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Where shipping goes on.
    pub position: Position,
    /// What became of everything before.
    pub totals: Totals,
}

/// Name of the cursor's file in the directory of a spool.
pub const FILE: &str = "cursor.json";

impl Cursor {
    /// Reads the cursor of the spool in `directory`; a new spool has one at its beginning.
    ///
    /// # Errors
    ///
    /// The file is there and cannot be read, or is no cursor.
    pub fn read(directory: &Path) -> io::Result<Self> {
        match fs::read(directory.join(FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let path = directory.join(FILE);
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} is no cursor: {error}", path.display()),
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Moves on to `position`; `fate` says what became of the records up to there.
    pub fn advance(&mut self, position: Position, fate: Fate) {
        debug_assert!(position >= self.position, "a cursor moves forward");
        self.position = position;
        let Totals { shipped, rejected, dropped, damaged } = &mut self.totals;
        match fate {
            Fate::Shipped(records) => *shipped += records,
            Fate::Rejected(records) => *rejected += records,
            Fate::Dropped(records) => *dropped += records,
            Fate::Damaged(records) => *damaged += records,
        }
    }

    /// Of the records that were dropped so many have arrived all the same: they were under way when their segment went.
    pub fn arrived(&mut self, records: u64) {
        debug_assert!(records <= self.totals.dropped, "what arrives late was dropped before");
        self.totals.dropped = self.totals.dropped.saturating_sub(records);
        self.totals.shipped += records;
    }

    /// Replaces the file.
    ///
    /// # Errors
    ///
    /// The directory cannot be written. What is shipped again then has the same ids.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        replace(&directory.join(FILE), &serde_json::to_vec(self).expect("numbers are JSON"))
    }
}

/// Replaces the file at `path`: whoever reads it finds the old content or the new.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut fresh = PathBuf::from(path);
    fresh.set_extension("fresh");
    fs::write(&fresh, content)?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_after_it_was_dropped_is_shipped_and_not_lost() {
        let mut cursor = Cursor::default();
        cursor.advance(Position { segment: 2, offset: 0, records: 0 }, Fate::Dropped(1_000));
        cursor.arrived(400);
        assert_eq!(cursor.totals, Totals { shipped: 400, dropped: 600, ..Totals::default() });
        assert_eq!(cursor.totals.sum(), 1_000);
    }
}
