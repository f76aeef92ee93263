//! What the node knows about itself: filled by boot, control thread and shards, read by the admin listener.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;

use vitals::{ShardVitals, SnapshotVitals, SwapVitals, Vitals};

use crate::access_log::writer::AccessCounts;
use crate::clicks::{ClickFacts, ShipCounts};
use crate::guard::GuardFacts;
use crate::limits::SHARD_STALL;
use crate::metrics::reason::reasons;
use crate::metrics::{Reason as _, ShardCells, Swap};
use crate::redirect::Outcome;
use crate::tls::keeper::TlsFacts;

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

impl Phase {
    /// The word of vitals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
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
    access_log: OnceLock<Arc<AccessCounts>>,
    clicks: OnceLock<(Arc<ClickFacts>, Arc<ShipCounts>)>,
    guard: ArcSwapOption<GuardFacts>,
    tls: OnceLock<Arc<ArcSwapOption<TlsFacts>>>,
    sockets: OnceLock<Sockets>,
    handovers_failed: AtomicU64,
}

/// Who bound the listening sockets of traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// This process.
    pub own: usize,
    /// The process before, or the service manager.
    pub inherited: usize,
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
            access_log: OnceLock::new(),
            clicks: OnceLock::new(),
            guard: ArcSwapOption::empty(),
            tls: OnceLock::new(),
            sockets: OnceLock::new(),
            handovers_failed: AtomicU64::new(0),
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
        match (result, error) {
            // What lies under the name is what is served: whatever was wrong with it is over.
            (Swap::Unchanged, _) => self.last_swap_error.store(None),
            (_, Some(error)) => self.last_swap_error.store(Some(Arc::new(error))),
            (_, None) => {}
        }
        self.swaps[result.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Attempts that ended so.
    pub fn swaps(&self, result: Swap) -> u64 {
        self.swaps[result.index()].load(Ordering::Relaxed)
    }

    /// What the last failed attempt said, unless one since found what is served, or something new to serve.
    pub fn last_swap_error(&self) -> Option<Arc<String>> {
        self.last_swap_error.load_full()
    }

    /// Makes the counts of the access log visible in metrics. The first call counts.
    pub fn logs_access(&self, counts: Arc<AccessCounts>) {
        let _ = self.access_log.set(counts);
    }

    /// What the access log counts; `None` without one.
    pub fn access_log(&self) -> Option<&AccessCounts> {
        self.access_log.get().map(Arc::as_ref)
    }

    /// Makes what is known about clicks visible in metrics. The first call counts.
    pub fn records_clicks(&self, facts: Arc<ClickFacts>, ship: Arc<ShipCounts>) {
        let _ = self.clicks.set((facts, ship));
    }

    /// What is known about clicks; `None` where none are recorded.
    pub fn clicks(&self) -> Option<(&ClickFacts, &ShipCounts)> {
        self.clicks.get().map(|(facts, ship)| (facts.as_ref(), ship.as_ref()))
    }

    /// Makes what is known about certificates visible. The first call counts.
    pub fn keeps_certificates(&self, facts: Arc<ArcSwapOption<TlsFacts>>) {
        let _ = self.tls.set(facts);
    }

    /// What is known about certificates and tickets; `None` where HTTPS is not served.
    pub fn tls(&self) -> Option<Arc<TlsFacts>> {
        self.tls.get().and_then(|facts| facts.load_full())
    }

    /// Says who bound the listening sockets. The first call counts.
    pub fn listens(&self, sockets: Sockets) {
        let _ = self.sockets.set(sockets);
    }

    /// Who bound the listening sockets; none before the node listens.
    pub fn sockets(&self) -> Sockets {
        self.sockets.get().copied().unwrap_or_default()
    }

    /// Counts a successor that did not come to serve.
    pub fn handover_failed(&self) {
        self.handovers_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Successors that did not come to serve.
    pub fn handovers_failed(&self) -> u64 {
        self.handovers_failed.load(Ordering::Relaxed)
    }

    /// Says what is known about the guard now.
    pub fn guards(&self, facts: GuardFacts) {
        self.guard.store(Some(Arc::new(facts)));
    }

    /// What is known about the guard, a second old at most while its thread turns; `None` before the first word.
    pub fn guard(&self) -> Option<Arc<GuardFacts>> {
        self.guard.load_full()
    }

    /// Every reason why the node should get no new traffic at `now`; none means ready.
    pub fn unready(&self, now: Instant) -> Vec<Unready> {
        let phase = match self.phase() {
            Phase::Starting => Some(Unready::new(UnreadyReason::Starting, "the node is starting")),
            Phase::Serving => None,
            Phase::Draining => Some(Unready::new(UnreadyReason::Draining, "the node is draining")),
        };
        let no_snapshot = self.snapshot.load().is_none();
        let snapshot = no_snapshot.then(|| Unready::new(UnreadyReason::NoSnapshot, "no snapshot is served"));
        let shards = self.shards.iter().filter_map(|cells| {
            let index = cells.index();
            match cells.last_turn_ago(now) {
                None => Some(Unready::new(
                    UnreadyReason::ShardNotStarted,
                    format!("shard {index} has not started"),
                )),
                Some(ago) if ago > SHARD_STALL => {
                    let detail = format!("shard {index} has not turned for {} ms", ago.as_millis());
                    Some(Unready::new(UnreadyReason::ShardStalled, detail))
                }
                Some(_) => None,
            }
        });
        let guard = self.guard();
        let guard = guard.as_ref().and_then(|facts| facts.self_test_failure()).map(|failure| {
            let detail = format!("the guard fails its own test: {failure}");
            Unready::new(UnreadyReason::GuardSelfTest, detail)
        });
        phase.into_iter().chain(snapshot).chain(shards).chain(guard).collect()
    }

    /// Everything above as a document; `unix_s` is the time of the same moment as `now`.
    pub fn vitals(&self, now: Instant, unix_s: u64) -> Vitals {
        let reasons = self.unready(now);
        Vitals {
            version: vitals::VERSION,
            node: self.name.clone(),
            program: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            up_s: self.up(now).as_secs(),
            live: true,
            ready: reasons.is_empty(),
            stage: self.phase().name().into(),
            draining: self.phase() == Phase::Draining,
            reasons: reasons.into_iter().map(vitals::Reason::from).collect(),
            snapshot: self.snapshot().map(|facts| facts.vitals(now, unix_s)),
            swaps: SwapVitals {
                succeeded: self.swaps(Swap::Swapped),
                failed: Swap::ALL
                    .iter()
                    .filter(|result| result.failed())
                    .map(|&result| self.swaps(result))
                    .sum(),
                last_error: self.last_swap_error().map(|error| error.as_ref().clone()),
            },
            shards: self.shards.iter().map(|cells| shard_vitals(cells, now)).collect(),
            guard: self.guard().map(|facts| facts.vitals(now)),
            tls: self.tls().map(|facts| facts.vitals(unix_s as i64)),
        }
    }
}

impl SnapshotFacts {
    /// Seconds since the snapshot was built; 0 when the builder's clock is ahead of `unix_s`.
    pub fn age_s(&self, unix_s: u64) -> u64 {
        unix_s.saturating_sub(self.built_at_unix_s)
    }

    fn vitals(&self, now: Instant, unix_s: u64) -> SnapshotVitals {
        let Self {
            generation,
            built_at_unix_s,
            links,
            domains,
            bytes,
            content_checksum,
            locked,
            served_since,
        } = *self;
        SnapshotVitals {
            generation,
            built_at_unix_s,
            age_s: self.age_s(unix_s),
            served_for_s: now.saturating_duration_since(served_since).as_secs(),
            links,
            domains,
            bytes,
            content_checksum: format!("{content_checksum:016x}"),
            locked,
        }
    }
}

fn shard_vitals(cells: &ShardCells, now: Instant) -> ShardVitals {
    ShardVitals {
        index: cells.index(),
        cpu: cells.cpu(),
        last_turn_ms_ago: cells
            .last_turn_ago(now)
            .map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
        connections: cells.open(),
        requests: cells.requests_answered(),
        canaries: cells.requests_of(Outcome::Canary),
    }
}

reasons! {
    /// A kind of reason for a node to get no new traffic.
    pub enum UnreadyReason {
        /// Boot has not finished.
        Starting => "starting",
        /// No snapshot is served, so there is nothing to answer from.
        NoSnapshot => "no_snapshot",
        /// An operator or the service manager asked the node to end.
        Draining => "draining",
        /// A shard has not turned yet.
        ShardNotStarted => "shard_not_started",
        /// A shard has not turned for a second: it hangs, or its CPU is taken.
        ShardStalled => "shard_stalled",
        /// The guard decided otherwise than it must about a packet of its self-test; rules were not swapped.
        GuardSelfTest => "guard_self_test",
    }
}

/// One reason why a node should get no new traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unready {
    /// Its kind, for programs.
    pub reason: UnreadyReason,
    /// One sentence, for people.
    pub detail: String,
}

impl Unready {
    fn new(reason: UnreadyReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<Unready> for vitals::Reason {
    fn from(Unready { reason, detail }: Unready) -> Self {
        Self { code: reason.label().into(), detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::ShardCounters;

    fn node(shards: u32) -> (Arc<NodeState>, Vec<ShardCounters>, Instant) {
        let epoch = Instant::now();
        let (counters, cells) = (0..shards).map(|index| ShardCells::new(index, epoch)).unzip();
        (NodeState::new("edge-1".into(), epoch, Vec::new(), cells), counters, epoch)
    }

    fn facts(served_since: Instant) -> SnapshotFacts {
        SnapshotFacts {
            generation: 7,
            built_at_unix_s: 1_000,
            links: 3,
            domains: 2,
            bytes: 4_096,
            content_checksum: 0xab,
            locked: true,
            served_since,
        }
    }

    fn check_reasons(state: &NodeState, now: Instant, reasons: &[&str]) {
        let found = state.vitals(now, 0).reasons;
        assert_eq!(found.iter().map(|reason| reason.code.as_str()).collect::<Vec<_>>(), reasons);
        assert_eq!(state.vitals(now, 0).ready, reasons.is_empty());
    }

    #[test]
    fn a_node_is_ready_only_when_it_serves_a_snapshot_and_every_shard_turns() {
        let (state, counters, epoch) = node(2);
        check_reasons(&state, epoch, &["starting", "no_snapshot", "shard_not_started", "shard_not_started"]);
        state.enter(Phase::Serving);
        state.swapped(facts(epoch));
        counters[0].turned(epoch);
        check_reasons(&state, epoch, &["shard_not_started"]);
        counters[1].turned(epoch);
        check_reasons(&state, epoch, &[]);
        let late = epoch + SHARD_STALL + Duration::from_millis(1);
        counters[0].turned(late);
        check_reasons(&state, late, &["shard_stalled"]);
        assert_eq!(state.unready(late)[0].detail, "shard 1 has not turned for 1001 ms");
    }

    #[test]
    fn a_node_that_drains_never_becomes_ready_again() {
        let (state, _, epoch) = node(0);
        state.swapped(facts(epoch));
        state.enter(Phase::Draining);
        state.enter(Phase::Serving);
        check_reasons(&state, epoch, &["draining"]);
        assert!(state.vitals(epoch, 0).draining);
    }

    #[test]
    fn the_last_error_of_a_swap_goes_when_one_succeeds() {
        let (state, _, epoch) = node(0);
        state.not_swapped(Swap::Invalid, Some("checksum of section 3".into()));
        let swaps = state.vitals(epoch, 0).swaps;
        assert_eq!((swaps.failed, swaps.last_error.as_deref()), (1, Some("checksum of section 3")));
        state.swapped(facts(epoch));
        let swaps = state.vitals(epoch, 0).swaps;
        assert_eq!((swaps.succeeded, swaps.failed, swaps.last_error), (1, 1, None));
    }

    #[test]
    fn the_last_error_of_a_swap_goes_when_the_name_has_what_is_served() {
        let (state, _, epoch) = node(0);
        state.not_swapped(Swap::Missing, Some("no such file".into()));
        state.not_swapped(Swap::Unchanged, None);
        let swaps = state.vitals(epoch, 0).swaps;
        assert_eq!((swaps.failed, swaps.last_error), (1, None));
    }

    #[test]
    fn the_age_of_a_snapshot_from_the_future_is_zero() {
        let (state, _, epoch) = node(0);
        state.swapped(facts(epoch));
        let snapshot = |unix_s| state.vitals(epoch, unix_s).snapshot.unwrap();
        assert_eq!((snapshot(999).age_s, snapshot(1_060).age_s), (0, 60));
        assert_eq!(snapshot(0).content_checksum, "00000000000000ab");
    }
}
