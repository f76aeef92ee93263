//! Every bound of the node, with its reason.

use std::time::Duration;

mod clicks;

pub use clicks::*;

/// What one HTTP connection may cost, built from the section `[http]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// From the first byte of a request head to its last; also the time a body may take to be discarded.
    pub header_timeout: Duration,
    /// How long a connection may stay open between two requests.
    pub idle_timeout: Duration,
    /// How long the client may take to accept one batch of replies.
    pub write_timeout: Duration,
    /// Request line and fields together, in bytes.
    pub head_bytes_max: usize,
    /// The request target alone, in bytes; never more than `head_bytes_max`.
    pub target_bytes_max: usize,
    /// Header fields of one request.
    pub fields_max: usize,
    /// Requests on one connection, after which it is closed.
    pub requests_per_connection_max: u32,
    /// Bytes of one request body that are read and thrown away before the connection is closed instead.
    pub body_discard_bytes_max: u64,
}

/// How many connections a shard holds, built from the section `[limits]` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Open connections of one shard.
    pub per_shard_max: usize,
    /// Open connections of one source on one shard: an IPv4 address, or an IPv6 /64.
    pub per_source_max: u32,
}

/// The inclusive range of a number that an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Least value.
    pub min: u64,
    /// Greatest value.
    pub max: u64,
    /// Why the range ends where it ends; a clause that completes "because".
    pub reason: &'static str,
}

impl Bounds {
    const fn new(min: u64, max: u64, reason: &'static str) -> Self {
        assert!(min <= max, "bounds are in order");
        Self { min, max, reason }
    }

    /// True for a value that the range holds.
    pub const fn contain(&self, value: u64) -> bool {
        self.min <= value && value <= self.max
    }
}

// What the operator may set. ------------------------------------------------------------------------------------------

/// Longest PROXY header in bytes: what its specification lets a receiver ask for, with room for the parts that balancers add.
pub const PROXY_HEADER_BYTES_MAX: usize = 536;

/// Most hops of a request that are looked at: more proxies in a row are a loop.
pub const FORWARDED_HOPS_MAX: usize = 16;

/// Most networks of balancers and of proxies: each accept looks at all of them.
pub const PROXY_NETWORKS_MAX: usize = 64;

/// Longest token of an ACME challenge in bytes; those in use have 43.
pub const ACME_TOKEN_BYTES_MAX: usize = 128;

/// How long a document of a domain may be kept, in seconds: who publishes a new one expects it to be seen within the hour.
pub const DOCUMENT_MAX_AGE_S: u32 = 3600;

/// Bytes of documents that closed windows of one HTTP/2 connection may hold back: a browser that asks for all of a domain at
/// once gets them, and a client that never reads costs no more.
pub const HELD_BODIES_BYTES_MAX: usize = 131_072;

/// `tls.public_port`; 0 leaves it to the node.
pub const PORT: Bounds = Bounds::new(0, 65_535, "TCP has no others");

/// `listen.backlog`: handshakes that wait for `accept`.
pub const BACKLOG: Bounds = Bounds::new(
    1,
    65_535,
    "the kernel cuts it to net.core.somaxconn, and a longer queue only hides a shard that is late",
);
/// `listen.shards`: threads that serve; 0 means one per CPU that the process may use.
pub const SHARDS: Bounds =
    Bounds::new(0, 1_024, "each shard takes one CPU of its own, and no supported machine has more");
/// `tls.poll_interval_ms`; 0 means only on SIGHUP.
pub const CERTIFICATE_POLL_MS: Bounds = Bounds::new(
    0,
    3_600_000,
    "a renewed certificate that waits for more than an hour is a surprise, not a policy",
);
/// `tls.handshake_timeout_ms`.
pub const HANDSHAKE_TIMEOUT_MS: Bounds = Bounds::new(
    100,
    60_000,
    "a handshake takes two round trips: less loses phones on bad networks, more lets floods hold connections",
);
/// `tls.ticket_epoch_s`.
pub const TICKET_EPOCH_S: Bounds = Bounds::new(
    1,
    302_400,
    "nodes whose clocks differ by more than an epoch do not open each other's tickets, and no ticket may live for more \
     than a week (RFC 8446, 4.6.1)",
);
/// `tls.expiry_warning_days`.
pub const EXPIRY_WARNING_DAYS: Bounds = Bounds::new(
    0,
    365,
    "0 complains when it is too late, and no public certificate lives longer than a year",
);
/// `snapshot.poll_interval_ms`: how often the snapshot's name is looked at; 0 means only on SIGHUP.
pub const POLL_INTERVAL_MS: Bounds =
    Bounds::new(0, 3_600_000, "a new snapshot that waits for more than an hour is a surprise, not a policy");
/// `snapshot.keep`: private copies that stay on disk, the served one included.
pub const SNAPSHOTS_KEPT: Bounds =
    Bounds::new(1, 16, "the served copy must stay, and each copy costs the size of a whole snapshot on disk");
/// `http.header_timeout_ms`.
pub const HEADER_TIMEOUT_MS: Bounds =
    Bounds::new(100, 60_000, "less loses phones on bad networks, more lets slow clients hold connections");
/// `http.idle_timeout_ms`.
pub const IDLE_TIMEOUT_MS: Bounds =
    Bounds::new(100, 600_000, "less defeats keep-alive, more fills the connection table with silence");
/// `http.write_timeout_ms`.
pub const WRITE_TIMEOUT_MS: Bounds = Bounds::new(
    100,
    60_000,
    "a reply fits into one packet: a client that has not taken it in a minute is gone",
);
/// `http.head_bytes_max`.
pub const HEAD_BYTES: Bounds = Bounds::new(
    1_024,
    65_536,
    "browsers send up to 8 KiB of cookies, and every connection may hold this much memory",
);
/// `http.target_bytes_max`.
pub const TARGET_BYTES: Bounds =
    Bounds::new(256, 65_536, "RFC 9112, 3 recommends 8000 at least, and the target is a part of the head");
/// `http.fields_max`.
pub const FIELDS: Bounds = Bounds::new(8, 256, "browsers send about 20, and each costs time in the parser");
/// `http.requests_per_connection_max`.
pub const REQUESTS_PER_CONNECTION: Bounds =
    Bounds::new(1, 1_000_000_000, "1 turns keep-alive off, and the counter has 32 bits");
/// `http.body_discard_bytes_max`.
pub const BODY_DISCARD_BYTES: Bounds = Bounds::new(
    0,
    16_777_216,
    "a redirect needs no body: 0 closes at once, and more than 16 MiB is an upload",
);
/// `limits.connections_per_shard_max`.
pub const CONNECTIONS_PER_SHARD: Bounds = Bounds::new(
    16,
    1_048_576,
    "each takes a descriptor and a few KiB, and the kernel allows about a million descriptors",
);
/// `limits.connections_per_source_max`.
pub const CONNECTIONS_PER_SOURCE: Bounds =
    Bounds::new(1, 1_048_576, "a carrier's gateway puts thousands of people behind one address");
/// `access_log.sample_every`: one request in so many is logged; 0 means none.
pub const SAMPLE_EVERY: Bounds = Bounds::new(0, 1_000_000_000, "the counter has 32 bits");
/// `clicks.sample_every`.
pub const CLICKS_EVERY: Bounds =
    Bounds::new(1, 1_000_000, "0 would be no clicks, which is `record = false`, and pressure multiplies it");
/// `clicks.ring_bytes`.
pub const CLICK_RING_BYTES: Bounds = Bounds::new(
    65_536,
    1 << 30,
    "less is full after a few milliseconds at full load, and each shard takes it from memory",
);
/// `clicks.spool_bytes_max`.
pub const SPOOL_BYTES: Bounds =
    Bounds::new(2 << 20, 1 << 50, "two segments must fit, and files have an end somewhere");
/// `clicks.sync_ms`.
pub const CLICK_SYNC_MS: Bounds =
    Bounds::new(0, 60_000, "0 syncs every block, and the kernel writes back by itself within a minute");
/// `clicks.keep_shipped_s`.
pub const KEEP_SHIPPED_S: Bounds =
    Bounds::new(0, 2_592_000, "a node is no archive: what must stay longer belongs to the receiver");
/// `clicks.domains_in_metrics_max`.
pub const DOMAINS_IN_METRICS: Bounds =
    Bounds::new(0, 10_000, "each is a time series of every scraper, and tens of thousands make one slow");
/// `ship.timeout_ms`.
pub const SHIP_TIMEOUT_MS: Bounds =
    Bounds::new(100, 600_000, "less gives up on a healthy receiver, more hides a dead one");
/// `drain.announce_ms`.
pub const DRAIN_ANNOUNCE_MS: Bounds = Bounds::new(
    0,
    300_000,
    "routers and balancers notice within seconds, and service managers kill after minutes",
);
/// `drain.deadline_ms`.
pub const DRAIN_DEADLINE_MS: Bounds = Bounds::new(
    0,
    600_000,
    "0 closes at once, and an open connection that is idle ends by its own timeout long before",
);

/// `guard.lease_ms`.
pub const LEASE_MS: Bounds = Bounds::new(
    1_000,
    3_600_000,
    "the heartbeat comes four times per lease, and what nobody watches should not drop for hours",
);
/// Soft and hard limits of sources and networks, connections per second; 0 means none.
pub const SOURCE_CONNECTIONS_PER_S: Bounds =
    Bounds::new(0, 1_000_000, "no client opens a million connections per second");
/// Soft and hard limits of the node, connections per second; 0 means none.
pub const NODE_CONNECTIONS_PER_S: Bounds =
    Bounds::new(0, 30_000_000, "more SYNs per second do not fit through a network interface");
/// `guard.stray_check_per_s`; 0 means never.
pub const SEGMENTS_PER_S: Bounds =
    Bounds::new(0, 30_000_000, "more segments per second do not fit through a network interface");
/// `guard.events_per_s`.
pub const EVENTS_PER_S: Bounds =
    Bounds::new(0, 10_000, "samples are for people, and each costs the CPU that drops the flood");
/// `scanners.threshold`, points.
pub const SCANNER_THRESHOLD: Bounds =
    Bounds::new(1, 1_000_000, "no point is no offence, and a million is reached by no scanner");
/// Points for a source last so many times longer than points against it: the people behind an address are as good as they were
/// minutes ago, and nobody should have to click while somebody else scans.
pub const GOOD_LASTS_LONGER: u32 = 8;
/// `scanners.half_life_s`.
pub const SCANNER_HALF_LIFE_S: Bounds = Bounds::new(
    1,
    86_400,
    "less forgets between two requests, more punishes today's owner of an address for yesterday's",
);
/// Points for one request.
pub const POINTS: Bounds =
    Bounds::new(0, 1_000, "0 ignores the kind, and a thousand is far above the usual threshold");
/// Durations of challenges and bans, seconds.
pub const BAN_S: Bounds =
    Bounds::new(1, 2_592_000, "addresses change their owners within a month; lists are for what must last");
/// `scanners.bans_per_minute_max`.
pub const BANS_PER_MINUTE: Bounds =
    Bounds::new(0, 60_000, "0 only challenges, and the table of bans would fill within a minute");

/// Bytes of `tls.default_certificate`: what a file name may have.
pub const CERTIFICATE_LABEL_BYTES_MAX: usize = 255;
/// Pairs in `tls.certificates`: 3 KB each in memory, and an issuer would need a week for more.
pub const CERTIFICATES_MAX: usize = 200_000;
/// Bytes of one file with a chain or a key: the longest chains have 20 KB.
pub const PEM_FILE_BYTES_MAX: u64 = 262_144;
/// Certificates in one chain: public issuers have one or two intermediates.
pub const CHAIN_CERTIFICATES_MAX: usize = 10;
/// Bytes of a record, or of a handshake message, that is not whole: a record has 16 KiB and its seal, and no client's
/// hello is longer than that.
pub const TLS_REST_BYTES_MAX: usize = 16_384 + 256 + 5;
/// Bytes of the file with the secret of session tickets.
pub const TICKET_SECRET_BYTES_MAX: u64 = 4_096;
/// How often the keys of session tickets are looked at, whether their epoch is over.
pub const TICKET_TURN: Duration = Duration::from_millis(1_000);
/// Names whose expiry a scrape shows, those that end first: more would be a burden for whoever stores them.
pub const EXPIRIES_SHOWN_MAX: usize = 200;
/// Unusable certificates that are logged one by one; the rest are counted.
pub const FLAWS_LOGGED_MAX: usize = 20;
/// How long one turn of a shard may go on with handshakes that need public-key operations while others wait. Requests on
/// open connections wait for no more than this and one handshake.
pub const HANDSHAKES_PER_TURN: Duration = Duration::from_micros(1_000);
/// Interfaces in `guard.interfaces`.
pub const INTERFACES_MAX: usize = 16;
/// Bytes of an interface's name: IFNAMSIZ less its final zero.
pub const INTERFACE_NAME_BYTES_MAX: usize = 15;
/// Addresses in `guard.vips`: as many as `listen.http` may have.
pub const VIPS_MAX: usize = LISTEN_ADDRESSES_MAX;
/// Networks in `guard.management` and in `guard.routing_peers`; the kernel holds as many of both together, and looks at each
/// for every packet.
pub const PROTECTED_NETWORKS_MAX: usize = 16;
/// Files in each of `guard.allow_files`, `guard.deny_files` and `scanners.exempt_files`.
pub const LIST_FILES_MAX: usize = 64;
/// Networks in `scanners.exempt`: more belong into files.
pub const EXEMPT_NETWORKS_MAX: usize = 1_024;
/// Bytes of a file of networks: 100,000 of the longest lines with a comment each.
pub const LIST_FILE_BYTES_MAX: u64 = 16 << 20;
/// Bad lines of lists that are logged one by one; the rest are counted.
pub const BAD_LINES_LOGGED_MAX: usize = 20;
/// Entries of `clicks.ignored_paths` and `clicks.ignored_domains`: each is compared with every click.
pub const IGNORED_MAX: usize = 16;
/// Domains in each list of `[privacy]`.
pub const POLICY_DOMAINS_MAX: usize = 10_000;
/// Bytes of `privacy.no_track_parameter`.
pub const PARAMETER_BYTES_MAX: usize = 32;
/// Addresses in `listen.http`: each one costs a socket per shard and a look at every turn.
pub const LISTEN_ADDRESSES_MAX: usize = 64;
/// Bytes of a name or path in the configuration: what PATH_MAX allows.
pub const TEXT_BYTES_MAX: usize = 4_095;
/// Bytes of `node.name`: what a DNS name may have, and it goes into every metric scrape and log line.
pub const NODE_NAME_BYTES_MAX: usize = 253;
/// Bytes of `http.server`: it is sent with every reply.
pub const SERVER_BYTES_MAX: usize = 64;
/// Bytes of a Unix socket's path: `sun_path` has 108 with its final zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Bytes of a configuration file: the commented default has about 8 KiB.
pub const CONFIGURATION_BYTES_MAX: u64 = 1_048_576;
/// Complaints about one configuration file that are printed; the rest are counted.
pub const PROBLEMS_MAX: usize = 100;

// What is fixed. ------------------------------------------------------------------------------------------------------

/// Bytes of a request method: the longest registered one (UPDATEREDIRECTREF) has 17.
pub const METHOD_BYTES_MAX: usize = 32;
/// Empty lines in front of a request that are skipped: RFC 9112, 2.2 asks for one, which old clients send behind a body.
pub const BLANK_LINES_MAX: u8 = 4;
/// Replies to one batch of pipelined requests, in bytes: enough for 150 redirects, and little enough that a client that
/// never reads cannot make a shard remember much.
pub const OUTPUT_BYTES_MAX: usize = 65_536;
/// Bytes of the dynamic table that a client may make us keep until it has heard that it gets none: what every HTTP/2
/// connection starts with (RFC 7541, 4.2).
pub const HPACK_TABLE_BYTES: usize = 4_096;
/// Updates of the table's size at the start of one header block: RFC 7541, 4.2 has encoders send two at most.
pub const HPACK_UPDATES_PER_BLOCK_MAX: usize = 2;
/// Streams of one HTTP/2 connection that are open at once: what RFC 9113, 6.5.2 recommends at least. Requests without a body
/// are answered where they end, so that only bodies and closed windows keep streams open.
pub const STREAMS_MAX: usize = 100;
/// Bytes that a client may send on one stream before it hears from us: bodies are thrown away, and rarely come.
pub const STREAM_WINDOW_BYTES: u32 = 16_384;
/// Frames of one header block behind its first: a block of the greatest size fits into three.
pub const CONTINUATIONS_MAX: u8 = 8;
/// How much larger a header list may be unpacked than `http.head_bytes_max` before the connection ends: up to there a
/// request is answered 431, which a person can read.
pub const HEADER_BOMB_FACTOR: usize = 4;
/// Bytes of DATA below which a frame that does not end its stream counts as empty.
pub const SMALL_DATA_BYTES: usize = 64;
/// Streams that were reset by us and whose late frames are known as such.
pub const RESETS_REMEMBERED: usize = 8;
/// Bytes that one read takes from a client at most: two hundred pipelined requests.
pub const READ_BYTES_MAX: usize = 32_768;
/// Reads from one connection before the shard turns to the others: a client that never stops sending gets 64 KiB per turn.
pub const READS_PER_TURN_MAX: usize = 2;
/// Ready sockets that a shard serves before it looks at its timers again: at 10 µs each, 2.5 ms.
pub const EVENTS_PER_TURN_MAX: usize = 256;
/// Connections that a shard takes from one listener before it serves those it has.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;
/// Kernel memory for replies that one client has not acknowledged; the kernel doubles it. Left alone it grows to 4 MiB.
pub const SEND_BUFFER_BYTES: usize = 131_072;
/// Kernel memory for requests that the shard has not read; the kernel doubles it. Left alone it grows to 6 MiB.
pub const RECEIVE_BUFFER_BYTES: usize = 65_536;
/// How often a shard looks at deadlines, at its stage of draining, and at the wall clock.
pub const TICK: Duration = Duration::from_millis(100);
/// Deadlines that one tick looks at: 65 µs of work; a shard with a million connections needs eight ticks.
pub const DEADLINES_PER_TICK_MAX: usize = 131_072;
/// Connections that one tick ends: each costs up to 10 µs, and nobody should wait longer than 3 ms for it.
pub const ENDS_PER_TICK_MAX: usize = 256;
/// The pause before a tick goes on that had more to end than it may.
pub const TICK_BACKLOG_PAUSE: Duration = Duration::from_millis(2);
/// How long a connection that got its last reply may stay open, so that what the client still sends does not destroy that
/// reply by a reset (RFC 9112, 9.6).
pub const FAREWELL: Duration = Duration::from_millis(1_000);
/// Bytes that are thrown away during a farewell.
pub const FAREWELL_BYTES_MAX: usize = 262_144;
/// Shed connections that get a farewell at the same time; those beyond are closed at once, reply or not.
pub const SHED_FAREWELLS_MAX: usize = 256;
/// Panics that are logged with their place; later ones are only counted, because whoever can cause one can cause many.
pub const PANICS_LOGGED_MAX: u64 = 16;
/// Entries of a shard's ring: it waits for one descriptor and a few timers.
pub const RING_ENTRIES: usize = 128;
/// glommio's registered memory per shard, the least it takes: shards do no file I/O.
pub const RING_MEMORY_BYTES: usize = 65_536;
/// How long a drain lets handshakes complete that began before the listeners went deaf: a round trip around the world.
pub const DRAIN_SETTLE: Duration = Duration::from_millis(300);
/// How long a drain waits for another request on a connection that is idle.
pub const DRAIN_IDLE_GRACE: Duration = Duration::from_millis(1_000);
/// How long a drain waits for shards to end after they closed everything; a shard that hangs ends with the process.
pub const DRAIN_ABORT: Duration = Duration::from_millis(2_000);
/// Bytes of one message between a node and its successor: a thousand listeners fit.
pub const HANDOVER_MESSAGE_BYTES_MAX: usize = 131_072;
/// Descriptors in one message of a hand-over; the kernel takes 253.
pub const HANDOVER_DESCRIPTORS_PER_MESSAGE: usize = 64;
/// Successors and operators that wait for the one that is being served.
pub const HANDOVER_BACKLOG: i32 = 8;
/// How long either side of a hand-over waits for what should come at once; a snapshot that is just being copied may be in the way.
pub const HANDOVER_ANSWER: Duration = Duration::from_secs(40);
/// How long the node waits for its thread of snapshots to come to rest before a hand-over.
pub const HANDOVER_HOLD: Duration = Duration::from_secs(30);
/// How long a successor may take to be ready: it proves a snapshot of many gigabytes.
pub const HANDOVER_PATIENCE: Duration = Duration::from_secs(600);
/// How often a node that waits for a successor looks whether that one lives, and whether it is to end itself.
pub const HANDOVER_GLANCE: Duration = Duration::from_millis(200);
/// How long a node that keeps serving after a failed hand-over waits for its guard.
pub const RECLAIM_PATIENCE: Duration = Duration::from_secs(10);
/// How long a successor that failed may take to end before it is killed.
pub const CHILD_END: Duration = Duration::from_secs(5);
/// How long `carom upgrade` waits for the end of an upgrade.
pub const UPGRADE_ANSWER: Duration = Duration::from_secs(700);
/// Descriptors that stay free of connections: for snapshots, the admin listener, logs.
pub const DESCRIPTORS_RESERVED: u64 = 32;
/// Descriptors that a shard needs for itself: rings, event counters, its ready set, glommio's threads.
pub const DESCRIPTORS_PER_SHARD: u64 = 12;
/// How long the end waits for an answer of the admin listener that is under way.
pub const ADMIN_END: Duration = Duration::from_millis(500);
/// How long the start waits for shards to turn for the first time.
pub const START_PATIENCE: Duration = Duration::from_secs(10);
/// How long the end waits for the access log to be written.
pub const LOG_PATIENCE: Duration = Duration::from_secs(2);
/// When a snapshot that could not be read or copied is tried again: the disk may have been emptied meanwhile.
pub const SNAPSHOT_RETRY: Duration = Duration::from_secs(30);
/// How often old snapshots are looked at, whether every shard let go of them.
pub const SNAPSHOT_REAP: Duration = Duration::from_millis(500);
/// Memory that must stay available beside a snapshot that is to be locked.
pub const MEMORY_SPARE_BYTES: u64 = 67_108_864;
/// Bytes that must be lockable for a ring: glommio refuses to start with less.
pub const RING_LOCKED_BYTES_MIN: u64 = 512 << 10;
/// A shard whose last turn is longer ago does not serve: `/readyz` says so. Shards turn at least every 100 ms.
pub const SHARD_STALL: Duration = Duration::from_millis(1_000);
/// Records that wait in a shard's ring of the access log: a second at 4,096 samples per second, about 1 MiB.
pub const ACCESS_RECORDS_MAX: usize = 4_096;
/// Bytes of the path in an access record; longer ones are cut and marked.
pub const ACCESS_PATH_BYTES_MAX: usize = 160;
/// Bytes of the host in an access record; longer ones are cut and marked.
pub const ACCESS_HOST_BYTES_MAX: usize = 64;
/// Bytes of lines that the access log's thread hands to one write.
pub const ACCESS_BATCH_BYTES: usize = 65_536;
/// How often the access log's thread empties the rings: a full ring takes four of these at a million samples per minute.
pub const ACCESS_FLUSH_INTERVAL: Duration = Duration::from_millis(50);
/// Descriptors that a scrape counts one by one, on kernels that do not say how many there are: some 50 ms.
pub const DESCRIPTORS_COUNTED_MAX: usize = 100_000;
/// Accept queue of the admin listener: a burst of scrapers while the control thread is busy.
pub const ADMIN_BACKLOG: i32 = 128;
/// Connections of the admin listener: a few scrapers and a few humans.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// How long a connection of the admin listener may live: more than a scrape interval, so that keep-alive works.
pub const ADMIN_CONNECTION_LIFETIME: Duration = Duration::from_secs(120);
/// How long a connection of the admin listener may stay silent: longer than the usual 15 s between two scrapes.
pub const ADMIN_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one admin request may take: prometheus gives up after 10 s.
pub const ADMIN_REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an admin request's body: no request has one.
pub const ADMIN_BODY_BYTES_MAX: u64 = 1_024;

/// Sources that a shard scores: 512 KiB, which stays in the second-level cache.
pub const SCORED_SOURCES_PER_SHARD: usize = 16_384;
/// Offenders of a shard that wait for the control side, which looks ten times a second.
pub const OFFENDERS_WAITING_MAX: usize = 256;
/// Offenders whose past is remembered: as many as the guard can ban.
pub const RECORDS_MAX: usize = 65_536;
/// How much longer than the last one a ban is.
pub const BAN_GROWTH: u32 = 4;
/// Bytes of a capture that `carom guard explain` reads.
pub const PCAP_FILE_BYTES_MAX: u64 = 64 << 20;
/// Frames of a capture that are explained: a thousand lines are more than anybody reads.
pub const PCAP_FRAMES_MAX: usize = 1_000;
/// Bytes of one frame: tcpdump's own bound.
pub const PCAP_FRAME_BYTES_MAX: usize = 262_144;
/// How often the guard's thread looks for offenders.
pub const GUARD_TURN: Duration = Duration::from_millis(100);
/// How often the guard's thread copies the kernel's counters for metrics and vitals.
pub const GUARD_FACTS: Duration = Duration::from_secs(1);
/// How often the node calls its own listeners, so that the kernel goes on to accept cookies: it does for two minutes after it
/// has made one (`TCP_SYNCOOKIE_VALID`, Linux 6.18).
pub const STAMP_EVERY: Duration = Duration::from_secs(20);
/// How long such a call may take. Over loopback it is a matter of microseconds, unless the listener is deaf.
pub const STAMP_TIMEOUT: Duration = Duration::from_millis(100);
/// How often the guard's thread makes room by removing bans that have expired.
pub const BAN_SWEEP: Duration = Duration::from_secs(30);

const _: () = assert!(TLS_REST_BYTES_MAX * 3 / 2 < READ_BYTES_MAX, "a read brings more than what is kept");
const _: () = assert!(HEAD_BYTES.max >= TARGET_BYTES.max, "a target fits into a head");

impl Default for HttpLimits {
    /// What a configuration that sets nothing settles to.
    fn default() -> Self {
        crate::config::Settings::default().http
    }
}
