//! What became of every click, added up: written down often, carried over starts, and checked by `carom clicks audit`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::spool::cursor::{Totals, replace};

/// Totals since the spool was made, at one moment. Every click is in exactly one of the fields that [`Tally::explained`] adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// When, by the node's clock.
    pub unix_ms: u64,
    /// Which start of the node.
    pub run: u64,
    /// Records that this run has written: the next sequence number.
    pub run_written: u64,
    /// Answers that were clicks.
    pub clicks: u64,
    /// Another record stands for them.
    pub sampled_out: u64,
    /// A shard's ring was full.
    pub ring_full: u64,
    /// Records that the writer could not read: a defect.
    pub undecodable: u64,
    /// Records that the disk did not take.
    pub disk: u64,
    /// Records that were refused because the spool was full (`drop_newest`).
    pub spool_full: u64,
    /// Records in memory when a node ended without a farewell.
    pub crashed: u64,
    /// Records in rings and in the block that is being filled.
    pub in_flight: u64,
    /// Records that were written into the spool.
    pub written: u64,
    /// What became of those.
    #[serde(flatten)]
    pub totals: Totals,
    /// Of those, what still waits.
    pub waiting: u64,
}

/// Names of the ledger's files in the directory of a spool.
const NOW: &str = "tally.json";
const LEDGER: &str = "ledger.jsonl";
const LEDGER_BEFORE: &str = "ledger.1.jsonl";
/// Bytes of a ledger before another one is begun: a line of 400 bytes every ten seconds fills it in five days.
const LEDGER_BYTES_MAX: u64 = 16 << 20;

impl Tally {
    /// Where all clicks went on their way to the spool.
    pub const fn explained(&self) -> u64 {
        self.sampled_out
            + self.ring_full
            + self.undecodable
            + self.disk
            + self.spool_full
            + self.crashed
            + self.in_flight
            + self.written
    }

    /// The tally that the spool in `directory` was left with; a new spool has an empty one.
    ///
    /// # Errors
    ///
    /// It is there and cannot be read.
    pub fn read(directory: &Path) -> io::Result<Self> {
        match fs::read(directory.join(NOW)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{NOW} is no tally: {error}"))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes it down as the state of now.
    ///
    /// # Errors
    ///
    /// The directory cannot be written.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        replace(&directory.join(NOW), &self.line())
    }

    /// Appends it to the ledger, which begins anew when it is too long; the one before stays.
    ///
    /// # Errors
    ///
    /// The directory cannot be written.
    pub fn append(&self, directory: &Path) -> io::Result<()> {
        let path = directory.join(LEDGER);
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LEDGER_BYTES_MAX) {
            fs::rename(&path, directory.join(LEDGER_BEFORE))?;
        }
        let mut line = self.line();
        line.push(b'\n');
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)?.write_all(&line)
    }

    /// What is left of the last run after its end: `sequence_end` records of it were written, which may be more than it had
    /// time to tell, or fewer. What it counted and did not write is lost.
    pub fn after_crash(mut self, sequence_end: Option<u64>) -> Self {
        let told = self.run_written;
        // Without a segment of that run everything that it told is gone from here, shipped or dropped.
        let found = sequence_end.unwrap_or(told);
        if found >= told {
            let late = found - told;
            self.written += late;
            // Clicks that were answered after the last word are known by their records alone.
            self.clicks += late.saturating_sub(self.in_flight);
            self.crashed += self.in_flight.saturating_sub(late);
        } else {
            self.written -= told - found;
            self.crashed += self.in_flight + (told - found);
        }
        (self.in_flight, self.run_written) = (0, found);
        self
    }

    fn line(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers are JSON")
    }
}

/// Every tally of the ledger in `directory`, the oldest first, the one of now last. A torn last line is left out.
///
/// # Errors
///
/// The files cannot be read.
pub fn read_all(directory: &Path) -> io::Result<Vec<Tally>> {
    let mut tallies = Vec::new();
    for name in [LEDGER_BEFORE, LEDGER] {
        match fs::read_to_string(directory.join(name)) {
            Ok(text) => {
                tallies.extend(text.lines().filter_map(|line| serde_json::from_str::<Tally>(line).ok()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let now = Tally::read(directory)?;
    if now != Tally::default() && tallies.last() != Some(&now) {
        tallies.push(now);
    }
    Ok(tallies)
}

/// The books between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// The tally at the beginning: the last one not after `from`, or an empty one.
    pub from: Tally,
    /// The tally at the end: the last one not after `to`.
    pub to: Tally,
    /// Clicks that nothing explains; 0 if the books are right.
    pub clicks_unexplained: i128,
    /// Records in the spool that nothing explains; 0 if the books are right.
    pub records_unexplained: i128,
}

impl Audit {
    /// Checks the books between two moments; `None` if there is no tally up to `to`.
    pub fn new(tallies: &[Tally], from_unix_ms: u64, to_unix_ms: u64) -> Option<Self> {
        // In the order in which they were written: the clock may have been set back meanwhile.
        let to = *tallies.iter().rev().find(|tally| tally.unix_ms <= to_unix_ms)?;
        let from =
            tallies.iter().rev().find(|tally| tally.unix_ms <= from_unix_ms).copied().unwrap_or_default();
        let unexplained = |tally: &Tally| i128::from(tally.clicks) - i128::from(tally.explained());
        let unaccounted = |tally: &Tally| {
            i128::from(tally.written) - i128::from(tally.totals.sum()) - i128::from(tally.waiting)
        };
        Some(Self {
            from,
            to,
            clicks_unexplained: unexplained(&to) - unexplained(&from),
            records_unexplained: unaccounted(&to) - unaccounted(&from),
        })
    }

    /// Whether every click and every record is explained.
    pub const fn is_right(&self) -> bool {
        self.clicks_unexplained == 0 && self.records_unexplained == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        Tally {
            unix_ms: 10,
            run: 1,
            clicks: 100,
            sampled_out: 10,
            ring_full: 5,
            written: 80,
            run_written: 80,
            in_flight: 5,
            waiting: 80,
            ..Tally::default()
        }
    }

    fn check_after_crash(found: Option<u64>, crashed: u64, clicks: u64, written: u64) {
        let after = tally().after_crash(found);
        assert_eq!((after.crashed, after.clicks, after.written), (crashed, clicks, written), "{found:?}");
        assert_eq!(after.clicks, after.explained(), "{found:?}");
    }

    #[test]
    fn what_was_in_memory_when_a_node_died_is_lost_and_counted() {
        check_after_crash(Some(80), 5, 100, 80);
        check_after_crash(None, 5, 100, 80);
        // A block was written after the last word: of what was in flight, or of clicks that nobody told of.
        check_after_crash(Some(83), 2, 100, 83);
        check_after_crash(Some(90), 0, 105, 90);
        // The disk lost what was not synced.
        check_after_crash(Some(60), 25, 100, 60);
    }

    #[test]
    fn books_are_right_if_every_click_is_somewhere() {
        let right = tally();
        assert!(Audit::new(&[right], 0, 20).unwrap().is_right());
        let wrong = Tally { ring_full: 4, ..right };
        assert_eq!(Audit::new(&[wrong], 0, 20).unwrap().clicks_unexplained, 1);
        let lost = Tally { waiting: 79, ..right };
        assert_eq!(Audit::new(&[lost], 0, 20).unwrap().records_unexplained, 1);
        // A mistake before the range is not one of the range.
        let later = Tally { unix_ms: 30, ..wrong };
        assert!(Audit::new(&[wrong, later], 15, 40).unwrap().is_right());
        assert_eq!(Audit::new(&[right], 0, 5), None);
    }

    #[test]
    fn a_ledger_is_read_back_in_its_order_and_survives_a_torn_line() {
        let directory = tempfile::tempdir().unwrap();
        for unix_ms in [1, 2, 3] {
            Tally { unix_ms, ..tally() }.append(directory.path()).unwrap();
        }
        let path = directory.path().join(LEDGER);
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"unix_ms\":4,\"cli");
        fs::write(&path, text).unwrap();
        Tally { unix_ms: 5, ..tally() }.write(directory.path()).unwrap();
        let times: Vec<u64> = read_all(directory.path()).unwrap().iter().map(|tally| tally.unix_ms).collect();
        assert_eq!(times, [1, 2, 3, 5]);
    }
}
