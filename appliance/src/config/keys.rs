//! The one table of sections and keys: from it come the parsed file, its defaults, the commented default file and the
//! reference.
//!
//! One entry: the doc comment that operators read, `key: type = default, rule`. The default is TOML.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::file::configuration;
use super::settings::{AdminAddress, LogFormat, LogLevel, LogTarget};
use super::value::TextRule;
use crate::limits::{
    BACKLOG, BODY_DISCARD_BYTES, CONNECTIONS_PER_SHARD, CONNECTIONS_PER_SOURCE, DRAIN_ANNOUNCE_MS,
    DRAIN_DEADLINE_MS, FIELDS, HEAD_BYTES, HEADER_TIMEOUT_MS, IDLE_TIMEOUT_MS, NODE_NAME_BYTES_MAX,
    POLL_INTERVAL_MS, REQUESTS_PER_CONNECTION, SAMPLE_EVERY, SERVER_BYTES_MAX, SHARDS, SNAPSHOTS_KEPT,
    TARGET_BYTES, WRITE_TIMEOUT_MS,
};

/// A name without control characters.
const NODE_NAME: TextRule = TextRule {
    bytes_max: NODE_NAME_BYTES_MAX,
    alphabet: " without control characters",
    allows: |text| !text.chars().any(char::is_control),
};

/// The value of a field (RFC 9110, 5.5), limited to ASCII.
const FIELD_VALUE: TextRule = TextRule {
    bytes_max: SERVER_BYTES_MAX,
    alphabet: " of visible ASCII and inner spaces",
    allows: |text| text.trim() == text && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()),
};

configuration! {
    /// Who this node is.
    node: NodeKeys {
        /// Name in vitals, metrics and logs. Empty: the host name.
        name: String = "", NODE_NAME;
        /// Directory of the node's own files, above all its private copy of the snapshot. Only the node writes there.
        state_dir: PathBuf = "/var/lib/carom", ();
    }

    /// Where traffic arrives, and how many shards serve it.
    listen: ListenKeys {
        /// Addresses of plain HTTP. Sockets for IPv6 take no IPv4 traffic: name both families. Port 0: any free port.
        http: Vec<SocketAddr> = ["0.0.0.0:80", "[::]:80"], ();
        /// Connections that wait to be accepted, per address and shard. The kernel cuts it to net.core.somaxconn.
        backlog: u64 = 4096, BACKLOG;
        /// How many shards serve, each on a CPU of its own. 0: one per CPU that the process may use.
        shards: u64 = 0, SHARDS;
    }

    /// Which links are served.
    snapshot: SnapshotKeys {
        /// The name under which new snapshots appear. Publish by rename: a file that is rewritten in place may be read half.
        path: PathBuf = "/var/lib/carom/links.snapshot", ();
        /// How often the name is looked at for a new file, in milliseconds. 0: on SIGHUP only.
        poll_interval_ms: u64 = 1000, POLL_INTERVAL_MS;
        /// Lock the snapshot in memory, so that no request waits for a disk. Needs a memlock limit (LimitMEMLOCK=) of twice
        /// the size of the snapshot, because two are locked during a swap; without it the node serves and says so.
        lock_memory: bool = true, ();
        /// Private copies that stay in state_dir, the served one included.
        keep: u64 = 2, SNAPSHOTS_KEPT;
    }

    /// What one connection may cost.
    http: HttpKeys {
        /// From the first byte of a request to the end of its head, in milliseconds. Also the time a body may take.
        header_timeout_ms: u64 = 5000, HEADER_TIMEOUT_MS;
        /// How long a connection may stay open between two requests, in milliseconds.
        idle_timeout_ms: u64 = 15000, IDLE_TIMEOUT_MS;
        /// How long a client may take to accept its replies, in milliseconds.
        write_timeout_ms: u64 = 5000, WRITE_TIMEOUT_MS;
        /// Request line and fields together, in bytes. More is answered with 431.
        head_bytes_max: u64 = 16384, HEAD_BYTES;
        /// The request target alone, in bytes; at most head_bytes_max. More is answered with 414.
        target_bytes_max: u64 = 8192, TARGET_BYTES;
        /// Fields of one request. More is answered with 431.
        fields_max: u64 = 64, FIELDS;
        /// Requests on one connection. The last reply carries `Connection: close`.
        requests_per_connection_max: u64 = 10000, REQUESTS_PER_CONNECTION;
        /// Bytes of a request body that are read and thrown away to keep the connection. A longer body ends it.
        body_discard_bytes_max: u64 = 65536, BODY_DISCARD_BYTES;
        /// Value of the Server field. Empty: no such field.
        server: String = "", FIELD_VALUE;
    }

    /// How many connections there may be. What is over is answered with 503 and closed.
    limits: LimitKeys {
        /// Open connections of one shard. Each takes a file descriptor (LimitNOFILE=) and a few KiB.
        connections_per_shard_max: u64 = 16384, CONNECTIONS_PER_SHARD;
        /// Open connections of one source on one shard: an IPv4 address, or an IPv6 /64.
        connections_per_source_max: u64 = 1024, CONNECTIONS_PER_SOURCE;
    }

    /// Health and metrics: /healthz, /readyz, /vitals, /metrics. Never on the addresses of traffic.
    admin: AdminKeys {
        /// A loopback address with a port, or `unix:` and the path of a socket, which gets mode 0660.
        listen: AdminAddress = "127.0.0.1:9180", ();
        /// Allow an address that other machines reach. There is no authentication: a firewall must stand before it.
        allow_public: bool = false, ();
    }

    /// A sampled log of requests. It never slows a shard down: records that find no room are lost and counted.
    access_log: AccessLogKeys {
        /// Log one request in so many. 0: none. 1: all, which costs.
        sample_every: u64 = 0, SAMPLE_EVERY;
        /// Where the JSON lines go. SIGHUP opens the file again, so that it can be rotated.
        path: LogTarget = "-", ();
    }

    /// The node's own log: lifecycle and errors, on standard error.
    log: LogKeys {
        /// Form of a line.
        format: LogFormat = "text", ();
        /// Least severity that is written.
        level: LogLevel = "info", ();
    }

    /// What SIGTERM does: unready at once, then the listeners close, then the connections.
    drain: DrainKeys {
        /// Wait between unready and the closing of the listeners, in milliseconds: time for routers to look away.
        announce_ms: u64 = 0, DRAIN_ANNOUNCE_MS;
        /// Wait for open connections after that, in milliseconds. What is open then is cut.
        deadline_ms: u64 = 10000, DRAIN_DEADLINE_MS;
    }
}
