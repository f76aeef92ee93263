//! Segments of compressed records in one directory, bounded in bytes: what waits for a receiver, and what lately left.
//!
//! One process writes. Readers (the shipper in the same process, `carom clicks tail` in another) go by what is on disk.

pub mod segment;

pub mod reader;

pub mod cursor;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub use cursor::{Cursor, Fate, Position};
pub use reader::{Piece, SegmentReader};
use segment::{BlockBuilder, Header};

/// What goes when the spool is full of records that nobody has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest segment.
    DropOldest,
    /// What comes.
    DropNewest,
}

/// How a spool is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its directory, which nobody else uses.
    pub directory: PathBuf,
    /// Bytes of all segments; at least two segments.
    pub bytes_max: u64,
    /// Bytes after which a new segment is begun.
    pub segment_bytes: u64,
    /// Age after which a new segment is begun.
    pub segment_age: Duration,
    /// What goes when it is full.
    pub when_full: WhenFull,
    /// How much time may lie between a write and the sync to disk; zero: none.
    pub sync_every: Duration,
    /// How long shipped segments stay for `tail` and `top`.
    pub keep_shipped: Duration,
}

/// One segment on disk.
#[derive(Clone, Debug)]
struct Segment {
    number: u64,
    path: PathBuf,
    bytes: u64,
    records: u64,
    created_unix_ms: u64,
}

/// What a start found in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Segments.
    pub segments: u64,
    /// Records that can be read or at least counted.
    pub records: u64,
    /// Records in blocks whose headers are damaged.
    pub damaged_records: u64,
    /// Bytes of unfinished blocks at the ends of segments, cut off.
    pub torn_bytes: u64,
    /// Files that were no segments any more, renamed to `*.damaged`.
    pub damaged_segments: u64,
    /// For each run: one more than the greatest sequence number.
    pub sequence_ends: BTreeMap<u64, u64>,
}

/// Where reader and writer of one process agree: the cursor, and how much of the last segment is whole.
#[derive(Debug, Default)]
pub struct Shared {
    state: Mutex<SharedState>,
}

/// What [`Shared`] guards.
#[derive(Clone, Copy, Debug, Default)]
pub struct SharedState {
    /// How far everything is shipped.
    pub cursor: Cursor,
    /// Number of the last segment.
    pub last_segment: u64,
    /// Whole bytes of it.
    pub last_bytes: u64,
    /// Records that wait behind the cursor.
    pub waiting: u64,
}

impl Shared {
    /// The state, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Why records were not written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The bound in bytes, with `drop newest`.
    #[error("the spool is full")]
    Full,
    /// The disk, or what is around it.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// The writer's side.
pub struct Spool {
    settings: Settings,
    node: String,
    run: u64,
    segments: VecDeque<Segment>,
    file: Option<File>,
    next_number: u64,
    next_sequence: u64,
    shared: Arc<Shared>,
    unsynced_since: Option<Instant>,
    began_at: Instant,
}

impl Spool {
    /// Opens the spool for the run `run` of `node`, cuts off what a crash left unfinished, and says what it found.
    ///
    /// # Errors
    ///
    /// The directory cannot be made, read or written.
    pub fn open(settings: Settings, node: &str, run: u64) -> io::Result<(Self, Found)> {
        DirBuilder::new().recursive(true).mode(0o700).create(&settings.directory)?;
        let cursor = Cursor::read(&settings.directory)?;
        let mut found = Found::default();
        let mut segments = VecDeque::new();
        for (number, path) in list(&settings.directory)? {
            match recover(number, &path, &mut found) {
                Ok(segment) => segments.push_back(segment),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    fs::rename(&path, path.with_extension("damaged"))?;
                    found.damaged_segments += 1;
                }
                Err(error) => return Err(error),
            }
        }
        found.segments = segments.len() as u64;
        let last = segments.back().map_or(cursor.position.segment, |last| last.number);
        let shared = Arc::new(Shared::default());
        {
            let mut state = shared.lock();
            state.cursor = cursor;
            (state.last_segment, state.last_bytes) =
                segments.back().map_or((last, 0), |last| (last.number, last.bytes));
        }
        let spool = Self {
            settings,
            node: node.into(),
            run,
            segments,
            file: None,
            next_number: last + 1,
            next_sequence: 0,
            shared,
            unsynced_since: None,
            began_at: Instant::now(),
        };
        spool.recount();
        Ok((spool, found))
    }

    /// What a shipper of this process needs.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Records that this run has written.
    pub fn written(&self) -> u64 {
        self.next_sequence
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The share of the bound that waits for a receiver, from 0 to 1.
    pub fn fullness(&self) -> f64 {
        let shipped_to = self.shared.lock().cursor.position.segment;
        let waiting = self.segments.iter().filter(|segment| segment.number >= shipped_to);
        waiting.map(|segment| segment.bytes).sum::<u64>() as f64 / self.settings.bytes_max as f64
    }

    /// Writes what `builder` holds as one block, and returns how many records that were.
    ///
    /// # Errors
    ///
    /// They could not be written; `builder` is empty all the same.
    pub fn append(
        &mut self,
        builder: &mut BlockBuilder,
        unix_ms: u64,
        now: Instant,
    ) -> Result<u64, AppendError> {
        let (header, block) = builder.finish(self.next_sequence)?;
        self.make_room(block.len() as u64)?;
        let old = self.segments.back().is_some_and(|segment| segment.bytes >= self.settings.segment_bytes);
        if self.file.is_none() || old || now.duration_since(self.began_at) >= self.settings.segment_age {
            self.begin_segment(unix_ms, now)?;
        }
        let (Some(file), Some(segment)) = (&mut self.file, self.segments.back_mut()) else {
            return Err(io::Error::other("a segment was just begun").into());
        };
        if let Err(error) = file.write_all(&block) {
            // Half a block must not stand before the next one; if even that fails, a new segment is begun.
            if file.set_len(segment.bytes).is_err() || seek_end(file).is_err() {
                self.file = None;
            }
            return Err(error.into());
        }
        segment.bytes += block.len() as u64;
        segment.records += u64::from(header.records);
        self.next_sequence += u64::from(header.records);
        self.unsynced_since.get_or_insert(now);
        self.recount();
        self.sync_if_due(now)?;
        Ok(u64::from(header.records))
    }

    /// Syncs what is due and removes shipped segments that have been kept for long enough.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn maintain(&mut self, unix_ms: u64, now: Instant) -> io::Result<()> {
        self.sync_if_due(now)?;
        let shipped_to = self.shared.lock().cursor.position.segment;
        let keep_ms = u64::try_from(self.settings.keep_shipped.as_millis()).unwrap_or(u64::MAX);
        while let Some(oldest) = self.segments.front()
            && oldest.number < shipped_to
            && oldest.created_unix_ms.saturating_add(keep_ms) <= unix_ms
        {
            self.remove_oldest()?;
        }
        self.recount();
        Ok(())
    }

    /// Syncs everything and closes the segment.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn close(&mut self) -> io::Result<()> {
        match self.file.take() {
            Some(file) => file.sync_data(),
            None => Ok(()),
        }
    }

    fn sync_if_due(&mut self, now: Instant) -> io::Result<()> {
        let due =
            self.unsynced_since.is_some_and(|since| now.duration_since(since) >= self.settings.sync_every);
        if due && let Some(file) = &self.file {
            file.sync_data()?;
            self.unsynced_since = None;
        }
        Ok(())
    }

    fn begin_segment(&mut self, unix_ms: u64, now: Instant) -> io::Result<()> {
        self.close()?;
        let number = self.next_number;
        let path = self.settings.directory.join(name(number));
        let header =
            Header { run: self.run, number, created_unix_ms: unix_ms, node: self.node.clone() }.encode();
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        if let Err(error) = file.write_all(&header) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        self.next_number += 1;
        self.began_at = now;
        self.file = Some(file);
        self.segments.push_back(Segment {
            number,
            path,
            bytes: header.len() as u64,
            records: 0,
            created_unix_ms: unix_ms,
        });
        Ok(())
    }

    /// Makes room for `bytes`: shipped segments go first, then what the policy says.
    fn make_room(&mut self, bytes: u64) -> Result<(), AppendError> {
        while self.bytes() + bytes > self.settings.bytes_max && self.segments.len() > 1 {
            let oldest = self.segments.front().expect("there are two").clone();
            let mut state = self.shared.lock();
            if oldest.number >= state.cursor.position.segment {
                if self.settings.when_full == WhenFull::DropNewest {
                    return Err(AppendError::Full);
                }
                let done = if state.cursor.position.segment == oldest.number {
                    state.cursor.position.records
                } else {
                    0
                };
                let next = Position { segment: oldest.number + 1, offset: 0, records: 0 };
                state.cursor.advance(next, Fate::Dropped(oldest.records.saturating_sub(done)));
                state.cursor.write(&self.settings.directory)?;
            }
            drop(state);
            self.remove_oldest()?;
        }
        if self.bytes() + bytes > self.settings.bytes_max { Err(AppendError::Full) } else { Ok(()) }
    }

    fn remove_oldest(&mut self) -> io::Result<()> {
        let Some(oldest) = self.segments.front() else { return Ok(()) };
        if self.segments.len() == 1 {
            self.file = None;
        }
        match fs::remove_file(&oldest.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.segments.pop_front();
        Ok(())
    }

    /// Tells the reader what there is.
    fn recount(&self) {
        let mut state = self.shared.lock();
        if let Some(last) = self.segments.back() {
            (state.last_segment, state.last_bytes) = (last.number, last.bytes);
        }
        let position = state.cursor.position;
        let behind = self.segments.iter().filter(|segment| segment.number >= position.segment);
        let done = if self.segments.iter().any(|segment| segment.number == position.segment) {
            position.records
        } else {
            0
        };
        state.waiting = behind.map(|segment| segment.records).sum::<u64>().saturating_sub(done);
    }
}

/// The segments in `directory` and their numbers, oldest first.
///
/// # Errors
///
/// The directory cannot be read.
pub fn list(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if path.extension().is_some_and(|extension| extension == EXTENSION)
            && let Some(number) = stem.and_then(|stem| u64::from_str_radix(stem, 16).ok())
        {
            segments.push((number, path));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Name of segment `number`.
pub fn name(number: u64) -> String {
    format!("{number:016x}.{EXTENSION}")
}

const EXTENSION: &str = "clicks";

/// The id of a record: the same whenever it is sent.
pub fn record_id(run: u64, sequence: u64) -> String {
    format!("{run:016x}{sequence:016x}")
}

fn seek_end(file: &mut File) -> io::Result<u64> {
    io::Seek::seek(file, io::SeekFrom::End(0))
}

/// Counts the records of the segment at `path`, and cuts off an unfinished block.
fn recover(number: u64, path: &Path, found: &mut Found) -> io::Result<Segment> {
    let mut reader = SegmentReader::open(path)?;
    let Header { run, created_unix_ms, .. } = reader.header().clone();
    let mut records = 0;
    loop {
        if let Some(header) = reader.next_header()? {
            records += u64::from(header.records);
            let end = header.first_sequence + u64::from(header.records);
            let known = found.sequence_ends.entry(run).or_default();
            *known = (*known).max(end);
            continue;
        }
        let before = reader.offset();
        match reader.next_piece()? {
            Piece::Damaged(missing) => {
                // Records that went with a damaged header are in the file, if in no readable form.
                records += missing;
                found.damaged_records += missing;
            }
            Piece::Block(header, _) => records += u64::from(header.records),
            Piece::End { torn_bytes } => {
                if torn_bytes > 0 {
                    OpenOptions::new().write(true).open(path)?.set_len(before)?;
                    found.torn_bytes += torn_bytes;
                }
                break;
            }
        }
    }
    found.records += records;
    Ok(Segment { number, path: path.into(), bytes: reader.offset(), records, created_unix_ms })
}

#[cfg(test)]
mod tests;
