//! From the spool to a receiver: at least once, in order, one block at a time, on a thread of its own.
//!
//! A block that fails is tried again with growing pauses; after a few failures the connection is given up and made anew. A
//! block that the receiver refuses for good is counted and passed over, so that one bad block cannot hold up all others.

mod nats;

mod kafka;

mod http;

mod file;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver as Channel, TryRecvError};
use std::time::{Duration, Instant};

use clicks::spool::{self, Fate, Piece, Position, SegmentReader, Shared};
use clicks::wire::Batch;

use crate::config::settings::Ship;
use crate::limits::{
    CLICKS_PATIENCE, SHIP_FAILURES_MAX, SHIP_PAUSE_MAX, SHIP_PAUSE_MIN, SHIP_REFUSALS_MAX, SHIP_TURN,
};

/// Kinds of receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// Nobody: the spool is the end.
    None,
    /// NATS JetStream: a block is one message whose id makes it exactly once.
    Nats,
    /// The Kafka protocol: a record is one message, a block one batch.
    Kafka,
    /// POST of JSON lines.
    Http,
    /// Lines appended to a file.
    File,
}

/// Why a block was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Perhaps the next time.
    #[error("{0}")]
    Later(String),
    /// Not this block.
    #[error("refused: {0}")]
    Refused(String),
}

impl Failure {
    fn later(error: impl std::fmt::Display) -> Self {
        Self::Later(error.to_string())
    }
}

/// What the shipper counts for metrics; what became of records is in the cursor.
#[derive(Debug, Default)]
pub struct ShipCounts {
    failures: AtomicU64,
    open: AtomicU64,
}

impl ShipCounts {
    /// Attempts that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether the receiver has failed so often that its connection was given up: 1, or 0.
    pub fn circuit_open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }
}

/// A connection to a receiver.
enum Connection {
    Nats(Box<nats::Nats>),
    Kafka(kafka::Kafka),
    Http(http::Http),
    File(file::File),
}

impl Connection {
    async fn open(ship: &Ship, node: &str) -> Result<Self, Failure> {
        Ok(match ship.to {
            Receiver::None => return Err(Failure::Later("there is no receiver".into())),
            Receiver::Nats => Self::Nats(Box::new(nats::Nats::connect(ship, node).await?)),
            Receiver::Kafka => Self::Kafka(kafka::Kafka::connect(ship).await?),
            Receiver::Http => Self::Http(http::Http::new(ship)?),
            Receiver::File => Self::File(file::File::new(ship)),
        })
    }

    async fn send(&mut self, batch: &Batch) -> Result<(), Failure> {
        match self {
            Self::Nats(nats) => nats.send(batch).await,
            Self::Kafka(kafka) => kafka.send(batch).await,
            Self::Http(http) => http.send(batch),
            Self::File(file) => file.send(batch),
        }
    }
}

/// The shipper. Runs on its own thread.
pub(super) struct Shipper {
    ship: Ship,
    node: String,
    directory: std::path::PathBuf,
    shared: Arc<Shared>,
    counts: Arc<ShipCounts>,
    connection: Option<Connection>,
    segment: Option<(u64, SegmentReader)>,
    failures: u32,
    refusals: u32,
    /// The log says already that the receiver fails.
    complained: bool,
}

/// What there is to do.
enum Work {
    Send(Batch, Position),
    /// Records that cannot be read any more lie before this place.
    Skip(Position, u64),
    /// The segment is done.
    Next(Position),
    Nothing,
}

impl Shipper {
    pub(super) fn new(ship: Ship, node: &str, spool: &spool::Settings, shared: Arc<Shared>) -> Self {
        Self {
            ship,
            node: node.into(),
            directory: spool.directory.clone(),
            shared,
            counts: Arc::default(),
            connection: None,
            segment: None,
            failures: 0,
            refusals: 0,
            complained: false,
        }
    }

    pub(super) fn counts(&self) -> Arc<ShipCounts> {
        Arc::clone(&self.counts)
    }

    /// Ships until `stopped` is closed, and then what is left, for a while.
    pub(super) fn run(&mut self, stopped: &Channel<()>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut pause = Duration::ZERO;
        let mut ends_at = None;
        loop {
            let wake = Instant::now() + pause;
            loop {
                if ends_at.is_none() && stopped.try_recv() == Err(TryRecvError::Disconnected) {
                    ends_at = Some(Instant::now() + CLICKS_PATIENCE);
                    break;
                }
                let left = wake.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                // Connections answer the pings of their servers meanwhile.
                runtime.block_on(async { tokio::time::sleep(left.min(SHIP_TURN)).await });
            }
            let done = match self.work() {
                Ok(Work::Nothing) => {
                    pause = SHIP_TURN;
                    ends_at.is_some()
                }
                Ok(work) => {
                    pause = runtime.block_on(self.step(work));
                    // A receiver that fails while the node ends gets no second chance from this process.
                    ends_at.is_some() && pause > Duration::ZERO
                }
                Err(error) => {
                    self.complain("the spool cannot be read", &error);
                    pause = SHIP_PAUSE_MAX;
                    ends_at.is_some()
                }
            };
            if done || ends_at.is_some_and(|end| Instant::now() >= end) {
                // Connections have tasks on the runtime.
                runtime.block_on(async { self.connection = None });
                return Ok(());
            }
        }
    }

    /// Looks for the next block behind the cursor.
    fn work(&mut self) -> io::Result<Work> {
        let state = *self.shared.lock();
        let position = state.cursor.position;
        let Some((number, path)) =
            spool::list(&self.directory)?.into_iter().find(|(number, _)| *number >= position.segment)
        else {
            return Ok(Work::Nothing);
        };
        if number > position.segment {
            self.segment = None;
            return Ok(Work::Next(Position { segment: number, offset: 0, records: 0 }));
        }
        if self.segment.as_ref().is_none_or(|(open, _)| *open != number) {
            let mut reader = SegmentReader::open(&path)?;
            reader.skip_to(position.offset)?;
            self.segment = Some((number, reader));
        }
        let (_, reader) = self.segment.as_mut().expect("it was just opened");
        let last = number >= state.last_segment;
        if last && reader.offset() >= state.last_bytes {
            return Ok(Work::Nothing);
        }
        let piece = reader.next_piece()?;
        let behind = |records| Position {
            segment: number,
            offset: reader.offset(),
            records: position.records + records,
        };
        Ok(match piece {
            Piece::Block(block, records) => {
                Work::Send(Batch::new(reader.header(), &block, &records), behind(u64::from(block.records)))
            }
            Piece::Damaged(records) => Work::Skip(behind(records), records),
            Piece::End { .. } if last => Work::Nothing,
            Piece::End { .. } => Work::Next(Position { segment: number + 1, offset: 0, records: 0 }),
        })
    }

    /// Does one thing, and says how long to wait for the next.
    async fn step(&mut self, work: Work) -> Duration {
        match work {
            Work::Nothing => SHIP_TURN,
            Work::Next(position) => {
                self.segment = None;
                self.advance(position, Fate::Damaged(0));
                Duration::ZERO
            }
            Work::Skip(position, records) => {
                tracing::error!(
                    segment = position.segment,
                    records,
                    "records in the spool cannot be read any more"
                );
                self.advance(position, Fate::Damaged(records));
                Duration::ZERO
            }
            Work::Send(batch, position) => match self.send(&batch).await {
                Ok(()) => {
                    if std::mem::take(&mut self.complained) {
                        tracing::info!(to = ?self.ship.to, "the receiver of clicks takes them again");
                    }
                    (self.failures, self.refusals) = (0, 0);
                    self.counts.open.store(0, Ordering::Relaxed);
                    self.advance(position, Fate::Shipped(batch.records));
                    Duration::ZERO
                }
                Err(failure) => self.failed(&failure, &batch, position),
            },
        }
    }

    async fn send(&mut self, batch: &Batch) -> Result<(), Failure> {
        let (ship, node) = (&self.ship, &self.node);
        let connection = &mut self.connection;
        let attempt = async {
            let open = match connection {
                Some(open) => open,
                None => connection.insert(Connection::open(ship, node).await?),
            };
            open.send(batch).await
        };
        match tokio::time::timeout(ship.timeout, attempt).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Later(format!("no answer within {} ms", ship.timeout.as_millis()))),
        }
    }

    /// Counts a failure, and says how long to wait.
    fn failed(&mut self, failure: &Failure, batch: &Batch, position: Position) -> Duration {
        // The block is read again from where it begins.
        self.segment = None;
        self.failures += 1;
        self.counts.failures.fetch_add(1, Ordering::Relaxed);
        self.complain("the receiver of clicks fails: they wait in the spool", failure);
        match failure {
            Failure::Refused(_) => self.refusals += 1,
            Failure::Later(_) => self.refusals = 0,
        }
        if self.refusals >= SHIP_REFUSALS_MAX {
            tracing::error!(id = batch.id, records = batch.records, %failure, "the receiver refuses a block: it is passed over");
            (self.failures, self.refusals) = (0, 0);
            self.advance(position, Fate::Rejected(batch.records));
            return Duration::ZERO;
        }
        if self.failures >= SHIP_FAILURES_MAX {
            self.connection = None;
            self.counts.open.store(1, Ordering::Relaxed);
        }
        pause(self.failures, batch.first_sequence)
    }

    fn advance(&self, position: Position, fate: Fate) {
        let mut state = self.shared.lock();
        if position > state.cursor.position {
            if let Fate::Shipped(records) | Fate::Rejected(records) | Fate::Damaged(records) = fate {
                state.waiting = state.waiting.saturating_sub(records);
            }
            state.cursor.advance(position, fate);
        } else if let Fate::Shipped(records) = fate {
            // The writer has dropped the segment meanwhile, and counted these as dropped.
            state.cursor.arrived(records);
        } else {
            return;
        }
        if let Err(error) = state.cursor.write(&self.directory) {
            tracing::warn!(%error, "the cursor of the spool cannot be written: after a crash blocks are sent again");
        }
    }

    fn complain(&mut self, what: &str, error: &dyn std::fmt::Display) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!(to = ?self.ship.to, address = self.ship.address, %error, "{what}");
        }
    }
}

/// The pause after so many failures in a row: doubled each time, and up to a quarter longer, so that a fleet does not come
/// back as one.
fn pause(failures: u32, salt: u64) -> Duration {
    let doubled = SHIP_PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(SHIP_PAUSE_MAX);
    let jitter = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(failures) >> 56;
    doubled + doubled.mul_f64(jitter as f64 / 1_024.0)
}

/// Reads a file of credentials.
fn credentials(ship: &Ship) -> Result<Option<String>, Failure> {
    use std::io::Read as _;
    let Some(path) = &ship.credentials_file else { return Ok(None) };
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(crate::limits::CREDENTIALS_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| {
            Failure::Later(format!("cannot read {} (ship.credentials_file): {error}", path.display()))
        })?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_differ_between_nodes() {
        assert!(pause(1, 7) >= SHIP_PAUSE_MIN && pause(1, 7) <= SHIP_PAUSE_MIN.mul_f64(1.25));
        assert!(pause(4, 7) > pause(2, 7));
        assert!(pause(u32::MAX, 7) <= SHIP_PAUSE_MAX.mul_f64(1.25));
        assert_ne!(pause(3, 1_000), pause(3, 2_000));
    }
}
