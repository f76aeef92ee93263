//! The thread that empties the rings: applies the policy, tells bots from people, fills blocks, keeps the books.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clicks::Click;
use clicks::agents::Agents;
use clicks::countries::{Countries, UNKNOWN};
use clicks::ledger::Tally;
use clicks::record::RECORD_BYTES_MAX;
use clicks::spool::segment::BlockBuilder;
use clicks::spool::{AppendError, Shared, Spool};
use rtrb::Consumer;

use super::country::CountryFile;
use super::privacy::Privacy;
use super::recorder::Pressure;
use crate::limits::{
    CLICK_BLOCK_AGE, CLICK_RING_SHARE, CLICK_TURN, CLICK_TURN_MIN, LEDGER_INTERVAL, TALLY_INTERVAL,
};
use crate::metrics::ShardCells;

/// What the writer knows, for metrics.
pub struct ClickFacts {
    state: Mutex<Facts>,
    began: Instant,
    /// When the writer came by last, in milliseconds since `began`.
    seen_ms: AtomicU64,
    torn_bytes: u64,
    countries: Option<Arc<CountryFile>>,
}

/// What [`ClickFacts`] guards.
#[derive(Debug, Default)]
pub struct Facts {
    /// The books.
    pub tally: Tally,
    /// Bytes of the spool.
    pub spool_bytes: u64,
    /// How often shards halve what they record.
    pub doublings: u32,
    /// Clicks of people and of others by domain; the empty name stands for all domains that found no room.
    pub domains: BTreeMap<String, [u64; 2]>,
}

impl ClickFacts {
    /// Facts of a start that cut off so many bytes.
    pub(super) fn new(torn_bytes: u64, countries: Option<Arc<CountryFile>>) -> Self {
        Self {
            state: Mutex::default(),
            began: Instant::now(),
            seen_ms: AtomicU64::new(0),
            torn_bytes,
            countries,
        }
    }

    /// The facts, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, Facts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long ago the writer came by.
    pub fn silence(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.seen_ms.load(Ordering::Relaxed)))
    }

    fn seen(&self, now: Instant) {
        let since = now.saturating_duration_since(self.began);
        self.seen_ms.store(since.as_millis() as u64, Ordering::Relaxed);
    }

    /// Bytes of unfinished blocks that the start cut off.
    pub const fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// The database of countries, if one is configured.
    pub fn countries(&self) -> Option<&CountryFile> {
        self.countries.as_deref()
    }
}

/// The state of the thread.
pub(super) struct Writer {
    pub(super) spool: Spool,
    pub(super) directory: std::path::PathBuf,
    pub(super) rings: Vec<Consumer<u8>>,
    pub(super) cells: Vec<Arc<ShardCells>>,
    pub(super) pressure: Arc<Pressure>,
    pub(super) privacy: Arc<Privacy>,
    pub(super) countries: Option<Arc<CountryFile>>,
    pub(super) facts: Arc<ClickFacts>,
    pub(super) shared: Arc<Shared>,
    pub(super) domains_max: usize,
    /// The books up to this start.
    pub(super) base: Tally,
    pub(super) agents: Agents,
    pub(super) builder: BlockBuilder,
    /// When the first record of the block came.
    pub(super) block_began: Option<Instant>,
    /// What this run did.
    pub(super) ran: Ran,
    /// What shards left in their rings at the last turn.
    pub(super) batch: Vec<u8>,
    /// The disk fails, and the log says so already.
    pub(super) failing: bool,
}

/// Records of this run by their fate.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ran {
    /// Taken out of the rings.
    drained: u64,
    undecodable: u64,
    disk: u64,
    spool_full: u64,
}

impl Writer {
    /// Writes until `stopped` is closed, and then everything that is left.
    pub(super) fn run(&mut self, stopped: &Receiver<()>) {
        let (mut tallied, mut noted) = (Instant::now(), Instant::now());
        let mut turn = CLICK_TURN;
        loop {
            let stop = matches!(stopped.recv_timeout(turn), Err(RecvTimeoutError::Disconnected));
            let (now, unix_ms) = (Instant::now(), unix_ms());
            self.facts.seen(now);
            let fullest = self.drain(unix_ms, now);
            turn = next_turn(turn, fullest);
            if self.block_began.is_some_and(|began| stop || now.duration_since(began) >= CLICK_BLOCK_AGE) {
                self.flush(unix_ms, now);
            }
            if let Err(error) = self.spool.maintain(unix_ms, now) {
                self.complain(&error);
            }
            let doublings = doublings(self.pressure.doublings(), fullest, self.spool.fullness());
            self.pressure.set(doublings);
            if stop || now.duration_since(tallied) >= TALLY_INTERVAL {
                tallied = now;
                let tally = self.tally(unix_ms);
                let mut result = tally.write(&self.directory);
                if stop || now.duration_since(noted) >= LEDGER_INTERVAL {
                    noted = now;
                    result = result.and(tally.append(&self.directory));
                }
                if let Err(error) = result {
                    self.complain(&error);
                }
                let mut facts = self.facts.lock();
                (facts.tally, facts.spool_bytes, facts.doublings) = (tally, self.spool.bytes(), doublings);
            }
            if stop {
                if let Err(error) = self.spool.close() {
                    self.complain(&error);
                }
                return;
            }
        }
    }

    /// The books of now.
    pub(super) fn tally(&self, unix_ms: u64) -> Tally {
        let sum = |read: fn(&ShardCells) -> u64| self.cells.iter().map(|cells| read(cells)).sum::<u64>();
        let Ran { drained, undecodable, disk, spool_full } = self.ran;
        let (sampled_out, ring_full) = (sum(ShardCells::clicks_sampled_out), sum(ShardCells::clicks_lost));
        // A shard counts a record after it has handed it over: the writer may know of it first.
        let recorded = sum(ShardCells::clicks_recorded).max(drained);
        let written = self.spool.written();
        let state = *self.shared.lock();
        Tally {
            unix_ms,
            run: self.base.run,
            run_written: written,
            clicks: self.base.clicks + recorded + sampled_out + ring_full,
            sampled_out: self.base.sampled_out + sampled_out,
            ring_full: self.base.ring_full + ring_full,
            undecodable: self.base.undecodable + undecodable,
            disk: self.base.disk + disk,
            spool_full: self.base.spool_full + spool_full,
            crashed: self.base.crashed,
            in_flight: recorded - undecodable - disk - spool_full - written,
            written: self.base.written + written,
            totals: state.cursor.totals,
            waiting: state.waiting,
        }
    }

    /// Takes what is in the rings now; returns how full the fullest was, from 0 to 1.
    fn drain(&mut self, unix_ms: u64, now: Instant) -> f64 {
        let mut fullest = 0.0_f64;
        let mut batch = std::mem::take(&mut self.batch);
        let countries = self.countries.as_ref().and_then(|file| file.current());
        for shard in 0..self.rings.len() {
            let ring = &mut self.rings[shard];
            let bytes = ring.slots();
            fullest = fullest.max(bytes as f64 / ring.buffer().capacity() as f64);
            batch.resize(bytes, 0);
            ring.pop_entire_slice(&mut batch)
                .expect("so many bytes were there, and only this thread takes any");
            self.take(&batch, countries.as_deref(), unix_ms, now);
        }
        self.batch = batch;
        fullest
    }

    fn take(&mut self, mut records: &[u8], countries: Option<&Countries>, unix_ms: u64, now: Instant) {
        while !records.is_empty() {
            let Some((mut click, length)) = Click::decode(records) else {
                // Shards write whole records only, so this would be a defect; nothing tells how many these bytes were.
                debug_assert!(false, "a shard wrote what is no record");
                self.ran.drained += 1;
                self.ran.undecodable += 1;
                return;
            };
            records = &records[length..];
            self.ran.drained += 1;
            // Before the policy takes the address away.
            click.country = countries.map_or(UNKNOWN, |countries| countries.of(click.address));
            self.keep(click, unix_ms, now);
        }
    }

    fn keep(&mut self, mut click: Click<'_>, unix_ms: u64, now: Instant) {
        let agent = self.agents.class(click.user_agent);
        (click.bot, click.device) = (agent.bot, agent.device);
        self.count_domain(&click);
        self.privacy.apply(&mut click);
        let mut buffer = [0; RECORD_BYTES_MAX];
        let record = click.encode(&mut buffer);
        if !self.builder.push(record, click.unix_ms, click.sample_rate) {
            self.flush(unix_ms, now);
            let fits = self.builder.push(record, click.unix_ms, click.sample_rate);
            debug_assert!(fits, "an empty block takes every record");
        }
        self.block_began.get_or_insert(now);
    }

    fn flush(&mut self, unix_ms: u64, now: Instant) {
        self.block_began = None;
        let records = u64::from(self.builder.count());
        if records == 0 {
            return;
        }
        match self.spool.append(&mut self.builder, unix_ms, now) {
            Ok(_) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("clicks can be written again");
                }
            }
            Err(AppendError::Full) => self.ran.spool_full += records,
            Err(AppendError::Disk(error)) => {
                self.ran.disk += records;
                self.complain(&error);
            }
        }
    }

    fn count_domain(&mut self, click: &Click<'_>) {
        let mut facts = self.facts.lock();
        let name = std::str::from_utf8(click.domain).unwrap_or_default();
        let who = usize::from(!click.bot.is_person() || click.prefetch);
        let clicks = u64::from(click.sample_rate);
        if let Some(count) = facts.domains.get_mut(name) {
            count[who] += clicks;
            return;
        }
        let named = facts.domains.len() - usize::from(facts.domains.contains_key(""));
        let name = if named < self.domains_max { name } else { "" };
        facts.domains.entry(name.to_owned()).or_default()[who] += clicks;
    }

    fn complain(&mut self, error: &dyn std::fmt::Display) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(directory = %self.directory.display(), %error, "clicks cannot be written: they are lost and counted");
        }
    }
}

/// How long to wait for the next turn, so that the fullest ring will be as full as it should be.
fn next_turn(turn: Duration, fullest_ring: f64) -> Duration {
    turn.mul_f64(CLICK_RING_SHARE / fullest_ring.max(0.001)).clamp(CLICK_TURN_MIN, CLICK_TURN)
}

/// How often shards should halve what they record: more while a ring is half full, less when all are nearly empty; and never
/// less than a spool asks for that has no end of its outage in sight.
fn doublings(before: u32, fullest_ring: f64, spool: f64) -> u32 {
    let by_ring = match fullest_ring {
        full if full >= 0.5 => before + 1,
        full if full >= 0.25 => before,
        _ => before.saturating_sub(1),
    };
    let by_spool = match spool {
        full if full >= 0.95 => 3,
        full if full >= 0.85 => 2,
        full if full >= 0.7 => 1,
        _ => 0,
    };
    by_ring.max(by_spool).min(crate::limits::CLICK_RATE_DOUBLINGS_MAX)
}

/// Now, by the wall clock.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_comes_more_often_when_rings_fill_and_less_when_they_do_not() {
        assert_eq!(next_turn(CLICK_TURN, 0.0), CLICK_TURN);
        assert_eq!(next_turn(CLICK_TURN, 0.1), CLICK_TURN);
        assert_eq!(next_turn(CLICK_TURN, 1.0), CLICK_TURN / 8);
        assert_eq!(next_turn(CLICK_TURN_MIN, 1.0), CLICK_TURN_MIN);
        assert_eq!(next_turn(CLICK_TURN / 8, 0.0), CLICK_TURN);
    }

    #[test]
    fn pressure_follows_the_fullest_ring_and_the_spool() {
        assert_eq!(doublings(0, 0.1, 0.0), 0);
        assert_eq!(doublings(0, 0.6, 0.0), 1);
        assert_eq!(doublings(3, 0.3, 0.0), 3);
        assert_eq!(doublings(3, 0.1, 0.0), 2);
        assert_eq!(doublings(0, 0.1, 0.9), 2);
        assert_eq!(doublings(10, 1.0, 1.0), 10);
    }
}
