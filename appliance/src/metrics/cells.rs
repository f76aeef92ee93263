//! HOT: the cells of one shard: written by its thread alone, read by whoever scrapes.
//!
//! One writer means that an increment is a relaxed load and a relaxed store (0.6 ns measured), not a locked instruction,
//! and that no other core ever writes the shard's cache lines. [`ShardCounters`] is that writer: it can be sent to the
//! shard's thread, but neither cloned nor shared between threads.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::clicks::Handed;
use crate::http::Refusal;
use crate::http2::Offence;
use crate::redirect::Outcome;
use crate::scanners::scout::Noted;
use crate::tls::{Handshake, HandshakeFailure};

use super::counters::{Closed, Shed, StatusClass};
use super::histogram::{Distribution, Histogram};
use super::reason::Reason;

/// A number that one thread writes and others may read at any time; it wraps after 2^64.
pub(super) struct Cell(AtomicU64);

impl Cell {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(super) fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    #[inline]
    fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// No CPU is known yet.
const CPU_UNKNOWN: u32 = u32::MAX;

/// What one shard counted, for readers. Aligned to two cache lines, because processors prefetch them in pairs.
#[repr(align(128))]
pub struct ShardCells {
    index: u32,
    epoch: Instant,
    cpu: AtomicU32,
    turned_at_ms: Cell,
    accepted: Cell,
    closed: [Cell; Closed::COUNT],
    shed: [Cell; Shed::COUNT],
    requests: [[Cell; StatusClass::COUNT]; Outcome::COUNT],
    refusals: [Cell; Refusal::COUNT],
    handshakes: [Cell; Handshake::COUNT],
    handshakes_post_quantum: Cell,
    handshake_failures: [Cell; HandshakeFailure::COUNT],
    handshakes_waiting: Cell,
    offences: [Cell; Offence::COUNT],
    bytes_in: Cell,
    bytes_out: Cell,
    access_records: Cell,
    access_records_lost: Cell,
    offenders: Cell,
    offenders_lost: Cell,
    clicks_recorded: Cell,
    clicks_sampled_out: Cell,
    clicks_lost: Cell,
    latency: Histogram,
}

impl ShardCells {
    /// The cells of the shard `index` and the one handle that writes them. Every shard of a node shares one `epoch`.
    pub fn new(index: u32, epoch: Instant) -> (ShardCounters, Arc<Self>) {
        let cells = Arc::new(Self {
            index,
            epoch,
            cpu: AtomicU32::new(CPU_UNKNOWN),
            turned_at_ms: Cell::new(),
            accepted: Cell::new(),
            closed: [const { Cell::new() }; Closed::COUNT],
            shed: [const { Cell::new() }; Shed::COUNT],
            requests: [const { [const { Cell::new() }; StatusClass::COUNT] }; Outcome::COUNT],
            refusals: [const { Cell::new() }; Refusal::COUNT],
            handshakes: [const { Cell::new() }; Handshake::COUNT],
            handshakes_post_quantum: Cell::new(),
            handshake_failures: [const { Cell::new() }; HandshakeFailure::COUNT],
            handshakes_waiting: Cell::new(),
            offences: [const { Cell::new() }; Offence::COUNT],
            bytes_in: Cell::new(),
            bytes_out: Cell::new(),
            access_records: Cell::new(),
            access_records_lost: Cell::new(),
            offenders: Cell::new(),
            offenders_lost: Cell::new(),
            clicks_recorded: Cell::new(),
            clicks_sampled_out: Cell::new(),
            clicks_lost: Cell::new(),
            latency: Histogram::new(),
        });
        (ShardCounters { cells: Arc::clone(&cells), not_shared: PhantomData }, cells)
    }

    /// Which shard it is, counted from 0.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The CPU that the shard is bound to; `None` until it runs.
    pub fn cpu(&self) -> Option<u32> {
        Some(self.cpu.load(Relaxed)).filter(|&cpu| cpu != CPU_UNKNOWN)
    }

    /// How long ago the shard finished a turn of its loop; `None` until the first.
    pub fn last_turn_ago(&self, now: Instant) -> Option<Duration> {
        let turned_at = self.turned_at_ms.get().checked_sub(1)?;
        Some(now.saturating_duration_since(self.epoch + Duration::from_millis(turned_at)))
    }

    /// Connections that `accept` returned, shed ones included.
    pub fn accepted(&self) -> u64 {
        self.accepted.get()
    }

    /// Connections that ended for this reason.
    pub fn closed(&self, reason: Closed) -> u64 {
        self.closed[reason.index()].get()
    }

    /// Connections that were shed for this reason.
    pub fn shed(&self, reason: Shed) -> u64 {
        self.shed[reason.index()].get()
    }

    /// Connections that are open now. The cells are read one after the other, so a busy shard's number is near, not exact.
    pub fn open(&self) -> u64 {
        let ended = Closed::ALL.iter().map(|&reason| self.closed(reason)).sum::<u64>();
        let shed = Shed::ALL
            .iter()
            .filter(|reason| reason.was_accepted())
            .map(|&reason| self.shed(reason))
            .sum::<u64>();
        self.accepted().saturating_sub(ended + shed)
    }

    /// Requests that ended so, with a status of this class.
    pub fn requests(&self, outcome: Outcome, class: StatusClass) -> u64 {
        self.requests[outcome.index()][class.index()].get()
    }

    /// Requests that ended so, whatever their status.
    pub fn requests_of(&self, outcome: Outcome) -> u64 {
        self.requests[outcome.index()].iter().map(Cell::get).sum()
    }

    /// Requests that were answered, whatever the answer; refused ones are not among them.
    pub fn requests_answered(&self) -> u64 {
        self.requests.as_flattened().iter().map(Cell::get).sum()
    }

    /// Requests that were refused for this reason.
    pub fn refusals(&self, reason: Refusal) -> u64 {
        self.refusals[reason.index()].get()
    }

    /// TLS handshakes that were completed so.
    pub fn handshakes(&self, handshake: Handshake) -> u64 {
        self.handshakes[handshake.index()].get()
    }

    /// Completed TLS handshakes whose key exchange withstands quantum computers.
    pub fn handshakes_post_quantum(&self) -> u64 {
        self.handshakes_post_quantum.get()
    }

    /// TLS handshakes that failed so.
    pub fn handshake_failures(&self, failure: HandshakeFailure) -> u64 {
        self.handshake_failures[failure.index()].get()
    }

    /// TLS handshakes that waited for the next turn when the last one ended.
    pub fn handshakes_waiting(&self) -> u64 {
        self.handshakes_waiting.get()
    }

    /// Offences of HTTP/2 clients of this kind.
    pub fn offences(&self, offence: Offence) -> u64 {
        self.offences[offence.index()].get()
    }

    /// Bytes read from clients.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.get()
    }

    /// Bytes written to clients.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.get()
    }

    /// Access records that were handed to the log.
    pub fn access_records(&self) -> u64 {
        self.access_records.get()
    }

    /// Access records that found the ring full.
    pub fn access_records_lost(&self) -> u64 {
        self.access_records_lost.get()
    }

    /// Sources that went over the threshold and were reported.
    pub fn offenders(&self) -> u64 {
        self.offenders.get()
    }

    /// Sources that went over the threshold and found the ring full.
    pub fn offenders_lost(&self) -> u64 {
        self.offenders_lost.get()
    }

    /// Clicks whose record went into the ring.
    pub fn clicks_recorded(&self) -> u64 {
        self.clicks_recorded.get()
    }

    /// Clicks for which another record stands.
    pub fn clicks_sampled_out(&self) -> u64 {
        self.clicks_sampled_out.get()
    }

    /// Clicks whose record found the ring full.
    pub fn clicks_lost(&self) -> u64 {
        self.clicks_lost.get()
    }

    /// Adds the shard's latencies to `merged`.
    pub fn merge_latency_into(&self, merged: &mut Distribution) {
        self.latency.merge_into(merged);
    }
}

/// The one writer of a shard's cells: `Send`, so that it can move to its thread, but not `Sync` and not `Clone`.
pub struct ShardCounters {
    cells: Arc<ShardCells>,
    not_shared: PhantomData<std::cell::Cell<()>>,
}

impl ShardCounters {
    /// The shard runs on this CPU.
    pub fn started(&self, cpu: u32) {
        self.cells.cpu.store(cpu, Relaxed);
    }

    /// A turn of the shard's loop ended at `now`. To be called at least every 100 ms, idle or not: the node is unready when
    /// it is not called for [`crate::limits::SHARD_STALL`].
    #[inline]
    pub fn turned(&self, now: Instant) {
        let since_epoch = now.saturating_duration_since(self.cells.epoch);
        // Zero means "never".
        self.cells.turned_at_ms.set(since_epoch.as_millis() as u64 + 1);
    }

    /// `accept` returned a connection.
    #[inline]
    pub fn accepted(&self) {
        self.cells.accepted.add(1);
    }

    /// A connection ended.
    #[inline]
    pub fn closed(&self, reason: Closed) {
        self.cells.closed[reason.index()].add(1);
    }

    /// A connection was shed. One that `accept` returned counts as [`ShardCounters::accepted`] too, but never as
    /// [`ShardCounters::closed`].
    #[inline]
    pub fn shed(&self, reason: Shed) {
        self.cells.shed[reason.index()].add(1);
    }

    /// A request was answered.
    #[inline]
    pub fn answered(&self, outcome: Outcome, status: u16) {
        self.cells.requests[outcome.index()][StatusClass::of(status).index()].add(1);
    }

    /// A request was refused.
    #[inline]
    pub fn refused(&self, reason: Refusal) {
        self.cells.refusals[reason.index()].add(1);
    }

    /// A TLS handshake was completed.
    #[inline]
    pub fn handshake_done(&self, handshake: Handshake, is_post_quantum: bool) {
        self.cells.handshakes[handshake.index()].add(1);
        self.cells.handshakes_post_quantum.add(u64::from(is_post_quantum));
    }

    /// A TLS handshake failed; its connection is counted as closed besides.
    #[inline]
    pub fn handshake_failed(&self, failure: HandshakeFailure) {
        self.cells.handshake_failures[failure.index()].add(1);
    }

    /// So many TLS handshakes wait for the next turn.
    #[inline]
    pub fn handshakes_waiting(&self, handshakes: u64) {
        self.cells.handshakes_waiting.set(handshakes);
    }

    /// An HTTP/2 client broke a rule.
    #[inline]
    pub fn offended(&self, offence: Offence) {
        self.cells.offences[offence.index()].add(1);
    }

    /// A read from a client's socket returned so many bytes.
    #[inline]
    pub fn bytes_in(&self, bytes: u64) {
        self.cells.bytes_in.add(bytes);
    }

    /// A write to a client's socket took so many bytes.
    #[inline]
    pub fn bytes_out(&self, bytes: u64) {
        self.cells.bytes_out.add(bytes);
    }

    /// A batch of `requests` was answered: `latency` lies between the read that completed it and the end of the write of its
    /// replies. One clock read per batch is enough.
    #[inline]
    pub fn served(&self, latency: Duration, requests: u64) {
        self.cells.latency.record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX), requests);
    }

    /// A deed was noted.
    #[inline]
    pub fn noted(&self, noted: Noted) {
        match noted {
            Noted::Kept => {}
            Noted::Reported => self.cells.offenders.add(1),
            Noted::Lost => self.cells.offenders_lost.add(1),
        }
    }

    /// An answer was offered to the recorder.
    #[inline]
    pub fn clicked(&self, handed: Handed) {
        match handed {
            Handed::NoClick => {}
            Handed::Recorded => self.cells.clicks_recorded.add(1),
            Handed::SampledOut => self.cells.clicks_sampled_out.add(1),
            Handed::Lost => self.cells.clicks_lost.add(1),
        }
    }

    /// An access record went into the ring (`kept`), or found it full.
    #[inline]
    pub fn access_record(&self, kept: bool) {
        if kept { self.cells.access_records.add(1) } else { self.cells.access_records_lost.add(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_was_accepted_is_open_until_it_is_closed_or_shed() {
        let (counters, cells) = ShardCells::new(0, Instant::now());
        for _ in 0..5 {
            counters.accepted();
        }
        counters.closed(Closed::ByClient);
        counters.shed(Shed::SourceFull);
        counters.shed(Shed::DescriptorsSpent);
        assert_eq!((cells.accepted(), cells.open()), (5, 3));
    }

    #[test]
    fn a_request_is_counted_by_outcome_and_status_class() {
        let (counters, cells) = ShardCells::new(0, Instant::now());
        counters.answered(Outcome::Redirected, 302);
        counters.answered(Outcome::Redirected, 307);
        counters.answered(Outcome::NotFound, 404);
        counters.refused(Refusal::ALL[0]);
        assert_eq!(cells.requests(Outcome::Redirected, StatusClass::Redirect), 2);
        assert_eq!(cells.requests(Outcome::NotFound, StatusClass::ClientError), 1);
        assert_eq!((cells.requests_answered(), cells.refusals(Refusal::ALL[0])), (3, 1));
    }

    #[test]
    fn a_shard_that_never_turned_has_no_last_turn() {
        let epoch = Instant::now();
        let (counters, cells) = ShardCells::new(0, epoch);
        assert_eq!(cells.last_turn_ago(epoch), None);
        counters.turned(epoch);
        assert_eq!(cells.last_turn_ago(epoch + Duration::from_millis(7)), Some(Duration::from_millis(7)));
    }

    #[test]
    fn shards_do_not_share_cache_lines() {
        assert_eq!(align_of::<ShardCells>(), 128);
    }

    #[test]
    fn a_batch_counts_each_of_its_requests() {
        let (counters, cells) = ShardCells::new(0, Instant::now());
        counters.served(Duration::from_micros(3), 16);
        let mut merged = Distribution::default();
        cells.merge_latency_into(&mut merged);
        assert_eq!((merged.count(), merged.sum_ns), (16, 48_000));
    }
}
