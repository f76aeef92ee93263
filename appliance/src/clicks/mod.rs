//! Every click recorded, no click slowed: what a shard hands over, the thread that keeps it, and the one that ships it.
//!
//! Modules in reading order: what is a click, a shard's end, what may be kept, countries, the writer, the shipper. Records and spool are the crate `clicks`.

pub mod rules;

pub mod recorder;

pub mod privacy;

pub mod country;

pub mod writer;

pub mod ship;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clicks::agents::Agents;
use clicks::ledger::Tally;
use clicks::spool::segment::BlockBuilder;
use clicks::spool::{Shared, Spool};
use rtrb::{Consumer, RingBuffer};

use crate::config::settings;
use crate::metrics::ShardCells;

pub use country::CountryFile;
pub use privacy::Privacy;
pub use recorder::{Handed, Recorder};
pub use rules::Rules;
pub use ship::ShipCounts;
pub use writer::ClickFacts;

use recorder::Pressure;
use ship::Shipper;
use writer::{Ran, Writer};

/// The rings of the shards, before the spool is open.
pub struct Rings {
    rings: Vec<Consumer<u8>>,
    pressure: Arc<Pressure>,
}

impl Rings {
    /// Makes one recorder per shard, each with a ring of `ring_bytes`.
    pub fn new(
        settings: &settings::Clicks,
        ring_bytes: usize,
        rules: &Arc<Rules>,
        shards: usize,
    ) -> (Self, Vec<Recorder>) {
        let pressure = Arc::new(Pressure::default());
        let (producers, rings): (Vec<_>, Vec<_>) = (0..shards).map(|_| RingBuffer::new(ring_bytes)).unzip();
        let recorders = producers
            .into_iter()
            .map(|ring| Recorder::new(ring, settings.sample_every, Arc::clone(rules), Arc::clone(&pressure)))
            .collect();
        (Self { rings, pressure }, recorders)
    }
}

/// An open spool and the rings that lead to it, before the shards run.
pub struct Prepared {
    settings: settings::Clicks,
    node: String,
    spool: Spool,
    base: Tally,
    torn_bytes: u64,
    rings: Vec<Consumer<u8>>,
    pressure: Arc<Pressure>,
    privacy: Arc<Privacy>,
    countries: Option<Arc<CountryFile>>,
}

/// The running threads. Dropping it lets them end by themselves.
pub struct ClickLog {
    stop_writer: Sender<()>,
    writer_ended: Receiver<()>,
    stop_shipper: Option<(Sender<()>, Receiver<()>)>,
    /// Closed when this is dropped, which ends the thread.
    stop_countries: Option<Sender<()>>,
    facts: Arc<ClickFacts>,
    ship_counts: Arc<ShipCounts>,
}

impl Prepared {
    /// Opens the spool and counts what the last end left unfinished. If it cannot, the rings come back with the error.
    ///
    /// # Errors
    ///
    /// The spool cannot be opened: the message names the directory.
    pub fn open(
        settings: settings::Clicks,
        privacy: Arc<Privacy>,
        node: &str,
        rings: Rings,
    ) -> Result<Self, (io::Error, Rings)> {
        match Self::open_spool(&settings, node) {
            Ok((spool, base, torn_bytes)) => {
                let Rings { rings, pressure } = rings;
                let countries =
                    settings.country_database.clone().map(|path| Arc::new(CountryFile::new(path)));
                let node = node.into();
                Ok(Self { settings, node, spool, base, torn_bytes, rings, pressure, privacy, countries })
            }
            Err(error) => Err((error, rings)),
        }
    }

    fn open_spool(settings: &settings::Clicks, node: &str) -> io::Result<(Spool, Tally, u64)> {
        let directory: PathBuf = settings.spool.directory.clone();
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", directory.display()));
        let random = privacy::random::<4>().map_err(named)?;
        let run = (writer::unix_ms() / 1_000) << 32 | u64::from(u32::from_le_bytes(random));
        let (spool, found) = Spool::open(settings.spool.clone(), node, run).map_err(named)?;
        let left = Tally::read(&directory).map_err(named)?;
        let base = left.after_crash(found.sequence_ends.get(&left.run).copied());
        if base.crashed > left.crashed || found.torn_bytes > 0 || found.damaged_segments > 0 {
            tracing::warn!(
                records = base.crashed - left.crashed,
                torn_bytes = found.torn_bytes,
                damaged_segments = found.damaged_segments,
                "the last run did not end in order: these records of clicks are lost and counted"
            );
        }
        base.append(&directory).map_err(named)?;
        let base = Tally { run, run_written: 0, ..base };
        Ok((spool, base, found.torn_bytes))
    }

    /// Starts the threads. `cells` are those of the shards that got the recorders.
    ///
    /// # Errors
    ///
    /// A thread cannot start.
    pub fn start(self, cells: Vec<Arc<ShardCells>>) -> io::Result<ClickLog> {
        let Self { settings, node, spool, base, torn_bytes, rings, pressure, privacy, countries } = self;
        let facts = Arc::new(ClickFacts::new(torn_bytes, countries.clone()));
        let shared: Arc<Shared> = spool.shared();
        let mut writer = Writer {
            spool,
            directory: settings.spool.directory.clone(),
            rings,
            cells,
            pressure,
            privacy,
            countries: countries.clone(),
            facts: Arc::clone(&facts),
            shared: Arc::clone(&shared),
            domains_max: settings.domains_in_metrics_max,
            base,
            agents: Agents::default(),
            builder: BlockBuilder::new()?,
            block_began: None,
            ran: Ran::default(),
            batch: Vec::new(),
            failing: false,
        };
        // A scrape that comes before the first turn finds the books of the last run, not zeros.
        facts.lock().tally = writer.tally(writer::unix_ms());
        let mut shipper = Shipper::new(settings.ship.clone(), &node, &settings.spool, shared);
        let ship_counts = shipper.counts();
        let stop_countries = match &countries {
            Some(file) => {
                let file = Arc::clone(file);
                Some(spawn("countries", move |stopped| file.watch(stopped))?.0)
            }
            None => None,
        };
        let (stop_writer, writer_ended) = spawn("clicks", move |stopped| writer.run(stopped))?;
        let stop_shipper = match settings.ship.to {
            ship::Receiver::None => None,
            _ => Some(spawn("clicks-ship", move |stopped| {
                if let Err(error) = shipper.run(stopped) {
                    tracing::error!(%error, "clicks cannot be shipped");
                }
            })?),
        };
        Ok(ClickLog { stop_writer, writer_ended, stop_shipper, stop_countries, facts, ship_counts })
    }
}

impl ClickLog {
    /// What the writer knows.
    pub fn facts(&self) -> Arc<ClickFacts> {
        Arc::clone(&self.facts)
    }

    /// What the shipper counts.
    pub fn ship_counts(&self) -> Arc<ShipCounts> {
        Arc::clone(&self.ship_counts)
    }

    /// Waits until everything that shards handed over is in the spool, and for the receiver to take it, each no longer than
    /// `patience`; says whether all is written. Shards must have ended before.
    pub fn finish(self, patience: Duration) -> bool {
        let Self { stop_writer, writer_ended, stop_shipper, stop_countries, facts: _, ship_counts: _ } = self;
        drop(stop_countries);
        drop(stop_writer);
        let written = writer_ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected);
        if let Some((stop, ended)) = stop_shipper {
            drop(stop);
            let began = Instant::now();
            if ended.recv_timeout(patience) != Err(RecvTimeoutError::Disconnected) {
                tracing::warn!(
                    waited_ms = began.elapsed().as_millis() as u64,
                    "clicks are left in the spool for the next start"
                );
            }
        }
        written
    }
}

/// Starts a thread that runs until the returned sender is dropped, and closes the returned receiver when it ends.
fn spawn(
    name: &str,
    run: impl FnOnce(&Receiver<()>) + Send + 'static,
) -> io::Result<(Sender<()>, Receiver<()>)> {
    let (stop, stopped) = mpsc::channel();
    let (ending, ended) = mpsc::channel();
    thread::Builder::new().name(name.into()).spawn(move || {
        run(&stopped);
        drop(ending);
    })?;
    Ok((stop, ended))
}
