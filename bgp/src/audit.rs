//! The audit log: one line of JSON per change of state, each naming the hash of the line before, so that nothing can be taken out unseen.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::announcement::Rung;
use crate::limits::{AUDIT_LINE_BYTES_MAX, AUDIT_WAITING_MAX};

/// One change of state, as whoever caused it describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Wall clock, RFC 3339, for people.
    pub at: String,
    /// Seconds since the boot of the machine: never jumps.
    pub boot_s: String,
    /// Name of the node.
    pub node: String,
    /// What it is: `rung`, `phase`, `command`, `check`, `foreign`, `bird`, `start`, `stop`, …
    pub kind: String,
    /// Which announcement; empty: the node.
    pub announcement: String,
    /// Rung before.
    pub before: Option<Rung>,
    /// Rung after.
    pub after: Option<Rung>,
    /// Why.
    pub cause: String,
    /// What was found.
    pub evidence: String,
    /// Who.
    pub actor: String,
    /// From the decision to BIRD's last reply, in microseconds.
    pub bird_us: Option<u64>,
    /// Why BIRD did not do it; empty: it did, or was not asked.
    #[serde(default)]
    pub error: String,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counted from 1.
    pub number: u64,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
    /// Hash of the line before; 64 zeros in the first.
    pub previous: String,
    /// SHA-256 of this line with an empty hash, in hexadecimal digits.
    pub hash: String,
}

impl Record {
    fn new(number: u64, entry: Entry, previous: String) -> Self {
        let mut record = Self { number, entry, previous, hash: String::new() };
        record.hash = record.computed();
        record
    }

    fn computed(&self) -> String {
        let text =
            serde_json::to_string(&Self { hash: String::new(), ..self.clone() }).expect("strings are JSON");
        Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What stands before the first line.
fn genesis() -> String {
    "0".repeat(64)
}

/// The log of a running process.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    waiting: VecDeque<Entry>,
    lost: u64,
    failure: Option<String>,
}

impl Audit {
    /// The log at `path`; nothing is opened yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), waiting: VecDeque::new(), lost: 0, failure: None }
    }

    /// Why the last line could not be written; `None`: it could.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Entries that wait for a disk that takes none.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Entries that found no room even here.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds an entry. It waits in memory while the disk is full; nothing else waits for it.
    pub fn add(&mut self, entry: Entry) {
        if self.waiting.len() == AUDIT_WAITING_MAX {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(entry);
    }

    /// Writes what waits, as far as the disk takes it.
    pub fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.failure =
            self.try_write().err().map(|error| format!("cannot write {}: {error}", self.path.display()));
    }

    fn try_write(&mut self) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
        // The lease watcher of the same node writes to the same file when the sidecar is gone or hangs.
        flock(&file, FlockOperation::LockExclusive)?;
        let (mut number, mut previous) = mend(&mut file)?;
        while let Some(entry) = self.waiting.front() {
            let mut entry = entry.clone();
            if self.lost > 0 {
                entry.cause =
                    format!("{} ({} entries before it were lost to a full disk)", entry.cause, self.lost);
            }
            let end = file.seek(SeekFrom::End(0))?;
            let record = Record::new(number + 1, entry, previous.clone());
            let mut line = serde_json::to_string(&record).expect("strings are JSON");
            line.push('\n');
            if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.sync_data()) {
                // Half a line is no line.
                let _ = file.set_len(end);
                return Err(error);
            }
            (number, previous) = (record.number, record.hash);
            self.waiting.pop_front();
            self.lost = 0;
        }
        Ok(())
    }
}

/// Cuts off a last line that a power failure tore, and returns number and hash of the last whole one.
fn mend(file: &mut File) -> io::Result<(u64, String)> {
    let length = file.seek(SeekFrom::End(0))?;
    let tail_length = length.min(2 * AUDIT_LINE_BYTES_MAX as u64);
    file.seek(SeekFrom::Start(length - tail_length))?;
    let mut tail = Vec::new();
    file.take(tail_length).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < tail.len() {
        file.set_len(length - (tail.len() - whole) as u64)?;
    }
    let last = tail[..whole]
        .strip_suffix(b"\n")
        .map(|lines| lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default());
    match last.map(serde_json::from_slice::<Record>) {
        None => Ok((0, genesis())),
        Some(Ok(record)) => Ok((record.number, record.hash)),
        // Somebody wrote into it. The chain goes on from what is there; `history` shows the break.
        Some(Err(_)) => Ok((0, genesis())),
    }
}

/// What reading the whole log found.
#[derive(Debug, Default)]
pub struct History {
    /// Every line that is a record.
    pub records: Vec<Record>,
    /// What is wrong with the chain, with line numbers counted from 1.
    pub breaks: Vec<String>,
}

/// Reads and verifies a log.
///
/// # Errors
///
/// What the file system says.
pub fn read(path: &Path) -> io::Result<History> {
    let mut history = History::default();
    let mut expected = (1, genesis());
    for (index, line) in BufReader::new(File::open(path)?).split(b'\n').enumerate() {
        let (line, number) = (line?, index + 1);
        let record: Record = match serde_json::from_slice(&line) {
            Ok(record) => record,
            Err(error) => {
                history.breaks.push(format!("line {number} is no record: {error}"));
                continue;
            }
        };
        if record.computed() != record.hash {
            history.breaks.push(format!("line {number} was changed: its hash does not fit"));
        }
        if (record.number, &record.previous) != (expected.0, &expected.1) {
            let what = format!(
                "line {number} is number {}, expected {} behind {}",
                record.number,
                expected.0,
                short(&expected.1)
            );
            history.breaks.push(format!("{what}: something is missing or was put in"));
        }
        expected = (record.number + 1, record.hash.clone());
        history.records.push(record);
    }
    Ok(history)
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entry(cause: &str) -> Entry {
        Entry { kind: "rung".into(), cause: cause.into(), after: Some(Rung::Graceful), ..Entry::default() }
    }

    fn written(count: usize) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let mut audit = Audit::new(&path);
        for number in 0..count {
            audit.add(entry(&format!("cause {number}")));
            audit.write();
        }
        assert_eq!(audit.failure(), None);
        (directory, path)
    }

    #[test]
    fn what_is_written_reads_back_and_the_chain_holds() {
        let (_directory, path) = written(3);
        let history = read(&path).unwrap();
        assert!(history.breaks.is_empty(), "{:?}", history.breaks);
        assert_eq!(history.records.len(), 3);
        assert_eq!(history.records[2].entry.cause, "cause 2");
    }

    #[test]
    fn a_line_that_is_changed_removed_or_put_in_is_found() {
        let (_directory, path) = written(4);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for (name, tampered) in [
            ("changed", text.replace("cause 1", "cause X")),
            ("removed", [lines[0], lines[2], lines[3]].join("\n")),
            ("first removed", lines[1..].join("\n")),
            ("doubled", [lines[0], lines[0], lines[1]].join("\n")),
            ("swapped", [lines[1], lines[0]].join("\n")),
            ("junk", text.replace(lines[2], "junk")),
        ] {
            fs::write(&path, tampered).unwrap();
            assert!(!read(&path).unwrap().breaks.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_chain_goes_on() {
        let (_directory, path) = written(3);
        let whole = fs::read(&path).unwrap();
        let second_end = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0 + 1;
        for length in [second_end + 1, second_end + 40, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            let mut audit = Audit::new(&path);
            audit.add(entry("after the failure"));
            audit.write();
            let history = read(&path).unwrap();
            assert!(history.breaks.is_empty(), "{length}: {:?}", history.breaks);
            assert_eq!(history.records.len(), 3);
        }
    }

    #[test]
    fn entries_wait_for_a_full_disk_and_are_written_when_there_is_room() {
        let mut audit = Audit::new(Path::new("/dev/full/audit.log"));
        audit.add(entry("first"));
        audit.write();
        assert!(audit.failure().is_some());
        assert_eq!(audit.waiting(), 1);
        let directory = tempfile::tempdir().unwrap();
        audit.path = directory.path().join("audit.log");
        audit.write();
        assert_eq!((audit.failure(), audit.waiting()), (None, 0));
        assert_eq!(read(&audit.path).unwrap().records.len(), 1);
    }

    #[test]
    fn two_processes_share_one_chain() {
        let (_directory, path) = written(1);
        let (mut one, mut other) = (Audit::new(&path), Audit::new(&path));
        for _ in 0..3 {
            for audit in [&mut one, &mut other] {
                audit.add(entry("turn"));
                audit.write();
            }
        }
        let history = read(&path).unwrap();
        assert_eq!((history.records.len(), history.breaks.len()), (7, 0));
    }
}
