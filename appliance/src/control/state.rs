//! What the node knows about itself: filled by boot, control thread and shards, read by the admin listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;

use crate::limits::SHARD_STALL;
use crate::metrics::{Reason as _, ShardCells, Swap};

/// Where a node is in its life. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Shards and listeners come up.
    Starting,
    /// Requests are answered.
    Serving,
    /// No new traffic is wanted; requests are still answered.
    Draining,
}

/// Facts about the snapshot that is served, copied when it was swapped in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// Number that the builder gave it.
    pub generation: u64,
    /// When it was built, by the builder's clock.
    pub built_at_unix_s: u64,
    /// Links in it.
    pub links: u64,
    /// Domains in it.
    pub domains: u32,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Checksum of its content.
    pub content_checksum: u64,
    /// Whether it is locked in memory.
    pub locked: bool,
    /// When this node began to serve it.
    pub served_since: Instant,
}

/// The state of one node, shared by `Arc`.
pub struct NodeState {
    name: String,
    epoch: Instant,
    started_at: SystemTime,
    http: Vec<SocketAddr>,
    shards: Vec<Arc<ShardCells>>,
    phase: AtomicU8,
    snapshot: ArcSwapOption<SnapshotFacts>,
    swaps: [AtomicU64; Swap::COUNT],
    last_swap_error: ArcSwapOption<String>,
}

impl NodeState {
    /// The state of a node that starts: `epoch` is the one that the shards' cells were made with, `http` the addresses that
    /// the listeners got.
    pub fn new(
        name: String,
        epoch: Instant,
        http: Vec<SocketAddr>,
        shards: Vec<Arc<ShardCells>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            epoch,
            started_at: SystemTime::now(),
            http,
            shards,
            phase: AtomicU8::new(Phase::Starting as u8),
            snapshot: ArcSwapOption::empty(),
            swaps: [const { AtomicU64::new(0) }; Swap::COUNT],
            last_swap_error: ArcSwapOption::empty(),
        })
    }

    /// Name of the node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long the node has been up.
    pub fn up(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    /// When the process started, in seconds since the Unix epoch.
    pub fn started_at_unix_s(&self) -> f64 {
        self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }

    /// Addresses of the traffic listeners.
    pub fn http(&self) -> &[SocketAddr] {
        &self.http
    }

    /// The cells of every shard, in order of their index.
    pub fn shards(&self) -> &[Arc<ShardCells>] {
        &self.shards
    }

    /// Where the node is in its life.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            phase if phase == Phase::Starting as u8 => Phase::Starting,
            phase if phase == Phase::Serving as u8 => Phase::Serving,
            _ => Phase::Draining,
        }
    }

    /// Moves the node forward to `phase`; a phase that lies behind changes nothing.
    pub fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// The snapshot that is served.
    pub fn snapshot(&self) -> Option<Arc<SnapshotFacts>> {
        self.snapshot.load_full()
    }

    /// Counts an attempt that ended with a new snapshot in service.
    pub fn swapped(&self, facts: SnapshotFacts) {
        self.snapshot.store(Some(Arc::new(facts)));
        self.last_swap_error.store(None);
        self.swaps[Swap::Swapped.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an attempt that left the old snapshot in service. `error` says why in words; `None` for an attempt that
    /// found nothing to do.
    pub fn not_swapped(&self, result: Swap, error: Option<String>) {
        debug_assert!(result != Swap::Swapped, "a success has facts");
        if let Some(error) = error {
            self.last_swap_error.store(Some(Arc::new(error)));
        }
        self.swaps[result.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Attempts that ended so.
    pub fn swaps(&self, result: Swap) -> u64 {
        self.swaps[result.index()].load(Ordering::Relaxed)
    }

    /// What the last failed attempt said, unless one succeeded since.
    pub fn last_swap_error(&self) -> Option<Arc<String>> {
        self.last_swap_error.load_full()
    }

    /// Every reason why the node should get no new traffic at `now`; none means ready.
    pub fn unready(&self, now: Instant) -> Vec<Unready> {
        let phase = match self.phase() {
            Phase::Starting => Some(Unready::Starting),
            Phase::Serving => None,
            Phase::Draining => Some(Unready::Draining),
        };
        let snapshot = self.snapshot.load().is_none().then_some(Unready::NoSnapshot);
        let shards = self.shards.iter().filter_map(|cells| match cells.last_turn_ago(now) {
            None => Some(Unready::ShardNotStarted { index: cells.index() }),
            Some(ago) if ago > SHARD_STALL => Some(Unready::ShardStalled { index: cells.index(), ago }),
            Some(_) => None,
        });
        phase.into_iter().chain(snapshot).chain(shards).collect()
    }
}

/// One reason why a node should get no new traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unready {
    /// Boot has not finished.
    Starting,
    /// There is nothing to answer from.
    NoSnapshot,
    /// An operator or the service manager asked the node to end.
    Draining,
    /// A shard has not turned yet.
    ShardNotStarted {
        /// Which one.
        index: u32,
    },
    /// A shard has not turned for longer than [`SHARD_STALL`].
    ShardStalled {
        /// Which one.
        index: u32,
        /// Time since its last turn.
        ago: Duration,
    },
}

impl Unready {
    /// Stable name, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::NoSnapshot => "no_snapshot",
            Self::Draining => "draining",
            Self::ShardNotStarted { .. } => "shard_not_started",
            Self::ShardStalled { .. } => "shard_stalled",
        }
    }

    /// One sentence, for people.
    pub fn detail(self) -> String {
        match self {
            Self::Starting => "the node is starting".into(),
            Self::NoSnapshot => "no snapshot is served".into(),
            Self::Draining => "the node is draining".into(),
            Self::ShardNotStarted { index } => format!("shard {index} has not started"),
            Self::ShardStalled { index, ago } => {
                format!("shard {index} has not turned for {} ms", ago.as_millis())
            }
        }
    }
}
