//! Bounds of the writer and the shipper of clicks, with their reasons.

use std::time::Duration;

/// How often the writer empties the rings of clicks: one of 4 MiB takes 20,000 records of 200 bytes meanwhile.
pub const CLICK_TURN: Duration = Duration::from_millis(20);
/// How often it does so when rings fill: more often it would do nothing else than wake up.
pub const CLICK_TURN_MIN: Duration = Duration::from_millis(1);
/// How full a ring is to be when it is emptied. Less would wake the writer more often for shorter bursts; much more is the
/// beginning of pressure.
pub const CLICK_RING_SHARE: f64 = 0.125;
/// How long records wait for a full block before it is written all the same.
pub const CLICK_BLOCK_AGE: Duration = Duration::from_millis(500);
/// How often the books are written down, so that the next start knows what was in memory when a node dies.
pub const TALLY_INTERVAL: Duration = Duration::from_millis(200);
/// How often the books are written into the ledger.
pub const LEDGER_INTERVAL: Duration = Duration::from_secs(10);
/// Bytes of a segment of the spool, unless the spool is small: what is dropped at once when it is full.
pub const SEGMENT_BYTES: u64 = 8 << 20;
/// Age after which a segment ends.
pub const SEGMENT_AGE: Duration = Duration::from_secs(600);
/// How long the shipper waits before it looks for new blocks.
pub const SHIP_TURN: Duration = Duration::from_millis(50);
/// The first pause after a failure to ship; each further one is twice as long.
pub const SHIP_PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest pause between two attempts to ship.
pub const SHIP_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Failures after which the connection to the receiver is given up and made anew: the circuit is open meanwhile.
pub const SHIP_FAILURES_MAX: u32 = 5;
/// How often a receiver may refuse the same block before it is given up and counted.
pub const SHIP_REFUSALS_MAX: u32 = 3;
/// How long the end waits for what is in the rings to be written, and then for the receiver to take it.
pub const CLICKS_PATIENCE: Duration = Duration::from_secs(5);
/// How often the file of countries is looked at: it changes once a week or a day.
pub const COUNTRIES_POLL: Duration = Duration::from_secs(2);
/// Bytes of the file of countries: those with cities have 60 to 130 MB.
pub const COUNTRIES_BYTES_MAX: u64 = 256 << 20;
/// Bytes of a credentials file.
pub const CREDENTIALS_BYTES_MAX: u64 = 65_536;
/// How often shards halve what they record of clicks under pressure: one in 1,024 of the usual is left.
pub const CLICK_RATE_DOUBLINGS_MAX: u32 = 10;
/// Bytes of a shard's ring of clicks in a process that took over: it holds what comes until its predecessor has ended and left the spool.
pub const CLICK_RING_BYTES_TAKEN_OVER: usize = 32 << 20;
/// How often a spool that cannot be opened after a hand-over is tried again.
pub const CLICK_SPOOL_RETRY: Duration = Duration::from_secs(1);
