//! Every bound of the sidecar in one place, each with its reason.

use std::time::Duration;

/// What an integer of the configuration may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Smallest.
    pub min: u64,
    /// Largest.
    pub max: u64,
    /// Completes "because".
    pub reason: &'static str,
}

const fn bounds(min: u64, max: u64, reason: &'static str) -> Bounds {
    Bounds { min, max, reason }
}

/// Bytes of a configuration file.
pub const CONFIGURATION_BYTES_MAX: u64 = 1 << 20;
/// Mistakes of one file that are shown: a person reads no more.
pub const PROBLEMS_MAX: usize = 20;
/// Bytes of any text in the configuration that is no name.
pub const TEXT_BYTES_MAX: usize = 2048;
/// Bytes of a name that becomes part of a BIRD symbol: those have at most 64, prefix, family and rung included.
pub const NAME_BYTES_MAX: usize = 32;
/// Bytes of a Unix socket's path (unix(7): 108 with the final NUL).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Services of one node: status fits on one screen, and BIRD's list of protocols stays short.
pub const SERVICES_MAX: usize = 64;
/// Addresses of one service.
pub const VIPS_MAX: usize = 16;
/// Ports of one service.
pub const PORTS_MAX: usize = 8;
/// Canaries of one service: each is asked for on each address and port.
pub const CANARIES_MAX: usize = 8;
/// Checks of one node: all of them are made ten times a second.
pub const CHECKS_MAX: usize = 512;
/// BGP protocols that are looked at.
pub const PEERS_MAX: usize = 16;

/// Autonomous system numbers (RFC 6793); 0 is reserved (RFC 7607).
pub const AS_NUMBER: Bounds = bounds(1, 4_294_967_294, "those are the numbers of autonomous systems");
/// Time that BIRD may take for one reply.
pub const BIRD_TIMEOUT_MS: Bounds =
    bounds(50, 10_000, "less cuts a busy BIRD off, and more leaves a hung one unnoticed");
/// Between two looks at what BIRD says.
pub const RECONCILE_MS: Bounds = bounds(
    100,
    60_000,
    "each look costs BIRD a tenth of a millisecond, and a foreign change waits this long at most",
);
/// Snapshot age.
pub const SNAPSHOT_AGE_S: Bounds =
    bounds(0, 31_536_000, "a year is older than any snapshot that is meant to serve");
/// Between two rounds of probes.
pub const INTERVAL_MS: Bounds = bounds(20, 60_000, "less costs the node more than it tells");
/// Between two probes in doubt.
pub const SUSPECT_INTERVAL_MS: Bounds = bounds(5, 10_000, "less asks the same moment twice");
/// Time that one probe may take.
pub const PROBE_TIMEOUT_MS: Bounds = bounds(10, 10_000, "less fails a healthy node on a busy machine");
/// Latency bound.
pub const LATENCY_MS: Bounds = bounds(1, 10_000, "it must lie below any client's patience");
/// Lateness of the sidecar's own timer.
pub const LATE_MS: Bounds = bounds(5, 10_000, "timers are late by a few milliseconds on any machine");
/// Consecutive results.
pub const RUN: Bounds = bounds(1, 100, "a longer run decides too late to be of use");
/// Samples of latency.
pub const WINDOW: Bounds = bounds(1, 64, "the window is kept for every check");
/// Half-life of the penalty for flaps.
pub const HALF_LIFE_S: Bounds = bounds(1, 3600, "RFC 2439 speaks of minutes");
/// Penalty, where one withdrawal is 1000.
pub const PENALTY: Bounds = bounds(100, 20_000, "one withdrawal counts 1000");
/// Longest suppression.
pub const SUPPRESS_MAX_S: Bounds = bounds(1, 86_400, "a node that is well must come back on its own");
/// Withdrawals per minute.
pub const WITHDRAWALS_PER_MINUTE: Bounds = bounds(1, 1000, "the guard rail must be somewhere");
/// Time on the prepended rung.
pub const PREPENDED_MS: Bounds = bounds(0, 3_600_000, "slow start ends within the hour");
/// Wait for another node.
pub const SOFT_MS: Bounds = bounds(0, 60_000, "a sick node must not stay unnoticed");
/// Requests per second that count as quiet.
pub const QUIET_REQUESTS_PER_S: Bounds =
    bounds(0, 1_000_000, "above the requests of a whole node there is no quiet");
/// Shortest time of a drain.
pub const SETTLE_MS: Bounds = bounds(0, 600_000, "BGP converges within minutes");
/// Longest time of a drain.
pub const DRAIN_DEADLINE_MS: Bounds = bounds(1000, 86_400_000, "a drain ends within a day");
/// Lease.
pub const LEASE_S: Bounds = bounds(
    2,
    86_400,
    "less than a restart of the sidecar takes would cost routes, and more than a day is none",
);
/// Prepended copies of the own AS.
pub const PREPENDS: Bounds = bounds(1, 10, "routers refuse long paths");
/// HTTP status.
pub const STATUS: Bounds = bounds(100, 599, "those are the codes of HTTP");
/// TCP ports.
pub const PORT: Bounds = bounds(1, 65_535, "those are the ports of TCP");

/// Bytes of the head of an answer to a canary: a redirect fits many times.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the answer of `/vitals`: 1000 shards fit.
pub const VITALS_BYTES_MAX: usize = 1 << 20;
/// Fields of an answer's head.
pub const FIELDS_MAX: usize = 64;
/// Bytes of one line from BIRD; it cuts its own lines at 512.
pub const BIRD_LINE_BYTES_MAX: usize = 4096;
/// Lines of one reply from BIRD: three rungs of every announcement and headings fit.
pub const BIRD_LINES_MAX: usize = 16_384;
/// Asynchronous lines that are kept until somebody looks; older ones are dropped and counted.
pub const BIRD_ASIDES_MAX: usize = 256;
/// Bytes of one command to BIRD (`CLI_RX_BUF_SIZE`).
pub const BIRD_COMMAND_BYTES_MAX: usize = 4096;
/// First and longest wait before BIRD's socket is tried again.
pub const BIRD_RETRY_FIRST: Duration = Duration::from_millis(20);
/// See [`BIRD_RETRY_FIRST`].
pub const BIRD_RETRY_MAX: Duration = Duration::from_secs(1);
/// Repairs of foreign changes per minute: an operator who fights the sidecar must win time to freeze it.
pub const REPAIRS_PER_MINUTE_MAX: u32 = 6;

/// Bytes of one command on the control socket.
pub const COMMAND_BYTES_MAX: usize = 16 * 1024;
/// Time that a client of the control socket has for its command.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// Clients of the control socket and of the metrics at the same time.
pub const CLIENTS_MAX: usize = 32;
/// Events that wait for the deciding task; a probe that finds no room waits.
pub const EVENTS_MAX: usize = 1024;
/// Bytes of one line of the audit log.
pub const AUDIT_LINE_BYTES_MAX: usize = 16 * 1024;
/// Lines of the audit log that wait for a disk that is full; beyond them the oldest is lost and counted.
pub const AUDIT_WAITING_MAX: usize = 1000;
/// Time that routers get to choose anew after an announcement was lowered, before another node's path proves that it is there:
/// 0.6 ms were measured, and a loaded router takes longer. Two nodes that fall at once would else each count on the other.
pub const ROUTERS_CHOOSE: Duration = Duration::from_millis(20);
/// Age at which the sight of another node's path proves nothing any more: BIRD is asked every 2 ms while somebody waits for it, and
/// every reading leads to a decision at once, so that only a sighting from before something happened is older.
pub const SIGHTING_AGE_MAX: Duration = Duration::from_millis(250);
/// How often the heartbeat of the lease is written.
pub const HEARTBEAT: Duration = Duration::from_millis(500);
/// Longest drill and freeze, in seconds.
pub const FOR_S_MAX: u64 = 7 * 86_400;
