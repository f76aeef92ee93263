//! The one table of sections and keys: from it come the parsed file, its defaults, the commented default file and the
//! reference.
//!
//! One entry: the doc comment that operators read, `key: type = default, rule`. The default is TOML.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ebpf_loader::Cidr;
use ebpf_loader::abi::Mode;

use super::file::configuration;
use super::settings::{AdminAddress, HostName, LogFormat, LogLevel, LogTarget, PathPattern, TlsVersion};
use super::value::{AddressRule, TextRule};
use clicks::policy::AddressPolicy;
use clicks::spool::WhenFull;

use crate::clicks::ship::Receiver;
use crate::limits::{
    BACKLOG, BAN_S, BANS_PER_MINUTE, BODY_DISCARD_BYTES, CERTIFICATE_LABEL_BYTES_MAX, CERTIFICATE_POLL_MS,
    CLICK_RING_BYTES, CLICK_SYNC_MS, CLICKS_EVERY, CONNECTIONS_PER_SHARD, CONNECTIONS_PER_SOURCE,
    DOMAINS_IN_METRICS, DRAIN_ANNOUNCE_MS, DRAIN_DEADLINE_MS, EVENTS_PER_S, EXEMPT_NETWORKS_MAX,
    EXPIRY_WARNING_DAYS, FIELDS, HANDSHAKE_TIMEOUT_MS, HEAD_BYTES, HEADER_TIMEOUT_MS, IDLE_TIMEOUT_MS,
    IGNORED_MAX, INTERFACES_MAX, KEEP_SHIPPED_S, LEASE_MS, LIST_FILES_MAX, NODE_CONNECTIONS_PER_S,
    NODE_NAME_BYTES_MAX, PARAMETER_BYTES_MAX, POINTS, POLICY_DOMAINS_MAX, POLL_INTERVAL_MS, PORT,
    PROTECTED_NETWORKS_MAX, PROXY_NETWORKS_MAX, REQUESTS_PER_CONNECTION, SAMPLE_EVERY, SCANNER_HALF_LIFE_S,
    SCANNER_THRESHOLD, SEGMENTS_PER_S, SERVER_BYTES_MAX, SHARDS, SHIP_TIMEOUT_MS, SNAPSHOTS_KEPT,
    SOURCE_CONNECTIONS_PER_S, SPOOL_BYTES, TARGET_BYTES, TEXT_BYTES_MAX, TICKET_EPOCH_S, VIPS_MAX,
    WRITE_TIMEOUT_MS,
};
use crate::proxies::ForwardedField;

/// A name without control characters.
const NODE_NAME: TextRule = TextRule {
    bytes_max: NODE_NAME_BYTES_MAX,
    alphabet: " without control characters",
    allows: |text| !text.chars().any(char::is_control),
};

/// A text without control characters.
const TEXT: TextRule = TextRule {
    bytes_max: TEXT_BYTES_MAX,
    alphabet: " without control characters",
    allows: |text| !text.chars().any(char::is_control),
};

/// The name of a parameter in a query.
const PARAMETER: TextRule = TextRule {
    bytes_max: PARAMETER_BYTES_MAX,
    alphabet: " of letters, digits, `-` and `_`",
    allows: |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'),
};

/// The name of a pair of files, without directory and ending; or nothing.
const CERTIFICATE_LABEL: TextRule = TextRule {
    bytes_max: CERTIFICATE_LABEL_BYTES_MAX,
    alphabet: " without a slash or control characters",
    allows: |text| !text.chars().any(|char| char == '/' || char.is_control()),
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
        http: Vec<SocketAddr> = ["0.0.0.0:80", "[::]:80"], AddressRule { count_min: 1 };
        /// Understand HTTP/2 on those addresses, too, from clients that begin with it (prior knowledge; no browser does).
        http2_prior_knowledge: bool = false, ();
        /// Addresses of HTTPS; certificates come from section tls. Empty: no HTTPS.
        https: Vec<SocketAddr> = [], AddressRule { count_min: 0 };
        /// Connections that wait to be accepted, per address and shard. The kernel cuts it to net.core.somaxconn.
        backlog: u64 = 4096, BACKLOG;
        /// How many shards serve, each on a CPU of its own. 0: one per CPU that the process may use.
        shards: u64 = 0, SHARDS;
    }

    /// HTTPS on the addresses of listen.https. Nothing of this section matters without them.
    tls: TlsKeys {
        /// Directory of certificates: NAME.crt or NAME.pem (the chain) with NAME.key beside it, or NAME/fullchain.pem with
        /// NAME/privkey.pem. A file that is no good is named in the log, and takes no other down.
        certificates: PathBuf = "/etc/carom/certificates", ();
        /// How often the directory is looked at for changes, in milliseconds. 0: on SIGHUP only.
        poll_interval_ms: u64 = 5000, CERTIFICATE_POLL_MS;
        /// The NAME of the certificate for clients that ask for an unknown host, or for none. Empty: they are refused.
        default_certificate: String = "", CERTIFICATE_LABEL;
        /// The oldest version of TLS that is spoken.
        min_version: TlsVersion = "1.2", ();
        /// How long a client may take to complete its handshake, in milliseconds.
        handshake_timeout_ms: u64 = 5000, HANDSHAKE_TIMEOUT_MS;
        /// File with the secret from which all nodes derive the keys of session tickets: 32 bytes or more, the same on every
        /// node. SIGHUP reads it again. Empty: the node makes its own, and sessions are resumed on this node only.
        ticket_secret: Option<PathBuf> = "", ();
        /// How long one key seals tickets, in seconds; the same on every node. Tickets are opened for one more.
        ticket_epoch_s: u64 = 3600, TICKET_EPOCH_S;
        /// The port at which clients reach HTTPS, which stands in redirects from HTTP to HTTPS. 0: that of the first address of
        /// listen.https; without one there are no such redirects.
        public_port: u64 = 0, PORT;
        /// Days before its end from which a certificate is complained about in the log, in metrics and in vitals.
        expiry_warning_days: u64 = 14, EXPIRY_WARNING_DAYS;
    }

    /// Challenges of ACME (`/.well-known/acme-challenge/`) on the domains of the snapshot. Any node may be asked, none knows the
    /// answers: they come from the issuer, or from the thumbprint alone. One key at most.
    acme: AcmeKeys {
        /// URL of the issuer, without a path: challenges are redirected to the same path there. Empty: they are not.
        issuer: String = "", TEXT;
        /// Thumbprint of the account's key (RFC 7638, 43 characters): challenges are answered with it. Empty: they are not.
        thumbprint: String = "", TEXT;
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

    /// Balancers and proxies before this node, and whom to believe about who their clients are.
    proxies: ProxyKeys {
        /// Networks of TCP balancers whose connections begin with a PROXY header, version 1 or 2. Those without one are closed.
        announcing: Vec<Cidr> = [], PROXY_NETWORKS_MAX;
        /// Networks of HTTP proxies that say in a field of each request who sent it.
        forwarding: Vec<Cidr> = [], PROXY_NETWORKS_MAX;
        /// That field: `x-forwarded-for` (and `x-forwarded-proto`) or `forwarded` (RFC 7239). The other one is never looked at.
        field: ForwardedField = "x-forwarded-for", ();
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

    /// A record of every click, for statistics. Recording never slows a redirect down, nor makes it fail; what is lost is counted.
    /// What is kept of people is decided by [privacy].
    clicks: ClickKeys {
        /// Record clicks. HEAD, paths and domains that are ignored, and what is asked of no domain of ours are no clicks.
        record: bool = false, ();
        /// Record one click in so many, and say so in the record. Under pressure it becomes one in 2, 4, … 1,024 of those.
        sample_every: u64 = 1, CLICKS_EVERY;
        /// Memory per shard for records that the writer has not taken yet, in bytes; a record has 100 to 500.
        ring_bytes: u64 = 4194304, CLICK_RING_BYTES;
        /// Directory of the spool. Empty: `clicks` in node.state_dir.
        directory: String = "", TEXT;
        /// Bytes of the spool on disk: what waits for the receiver, and what lately left.
        spool_bytes_max: u64 = 1073741824, SPOOL_BYTES;
        /// What goes when the spool is full of records that nobody has taken: `drop_oldest` or `drop_newest`.
        when_full: WhenFull = "drop_oldest", ();
        /// How much may be lost when the power fails, in milliseconds: a written record is on disk after this time. 0: at once,
        /// which costs a sync for every block.
        sync_ms: u64 = 1000, CLICK_SYNC_MS;
        /// How long shipped records stay for `carom clicks`, in seconds, if there is room.
        keep_shipped_s: u64 = 86400, KEEP_SHIPPED_S;
        /// Paths without the leading slash that are no clicks, because programs ask for them; `*` at the end stands for any rest.
        ignored_paths: Vec<PathPattern> = ["favicon.ico", "robots.txt", "apple-touch-icon*", ".well-known/*"], IGNORED_MAX;
        /// Domains whose requests are no clicks, because only probes ask for them.
        ignored_domains: Vec<HostName> = [], IGNORED_MAX;
        /// Domains that metrics name; the clicks on all others are one number.
        domains_in_metrics_max: u64 = 100, DOMAINS_IN_METRICS;
        /// A file in the MaxMind DB format that knows the countries of addresses, such as GeoLite2-Country or DB-IP Lite. A new
        /// file is noticed within seconds. Empty: countries stay empty.
        country_database: String = "", TEXT;
    }

    /// Where records of clicks are sent from the spool: at least once, in order, each block under the same id whenever it is sent.
    ship: ShipKeys {
        /// `none`, `nats` (JetStream), `kafka`, `http` (ClickHouse, Vector, and what else takes JSON lines) or `file`.
        to: Receiver = "none", ();
        /// Servers of NATS or brokers of Kafka, by commas; the URL of HTTP, in which `{id}` stands for the id of the block; an
        /// absolute path for `file`, which is appended to and may be renamed at any time.
        address: String = "", TEXT;
        /// Subject of NATS, or topic of Kafka.
        subject: String = "carom.clicks", TEXT;
        /// File that holds the credentials: a `.creds` file for NATS, the value of Authorization for HTTP. Empty: none.
        credentials_file: String = "", TEXT;
        /// How long the receiver may take to acknowledge a block, in milliseconds.
        timeout_ms: u64 = 10000, SHIP_TIMEOUT_MS;
    }

    /// What is kept of people in records of clicks and in the access log.
    privacy: PrivacyKeys {
        /// What is kept of a client's address: `truncate` (24 bits of IPv4, 48 of IPv6), `hash` (with a key that changes every day
        /// and is never stored beside the records) or `omit`.
        address: AddressPolicy = "truncate", ();
        /// Domains, with all names below them, where addresses are truncated all the same; the longest name decides.
        truncate_domains: Vec<HostName> = [], POLICY_DOMAINS_MAX;
        /// Domains where addresses are hashed.
        hash_domains: Vec<HostName> = [], POLICY_DOMAINS_MAX;
        /// Domains where addresses are left out.
        omit_domains: Vec<HostName> = [], POLICY_DOMAINS_MAX;
        /// Keep neither address, country, user agent nor referrer of who sends `Sec-GPC: 1`. The click is counted.
        honour_gpc: bool = true, ();
        /// The same for who sends `DNT: 1`.
        honour_dnt: bool = true, ();
        /// The same for links that are followed with this parameter in their query, unless its value is 0. Empty: no such parameter.
        no_track_parameter: String = "", PARAMETER;
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

    /// The guard at the network interface: XDP programs that drop scanners, floods and nonsense before the kernel sees them.
    /// It stays in place when the node ends or crashes; `carom guard detach` removes it.
    guard: GuardKeys {
        /// `enforce` drops, `monitor` only counts, `off` runs without XDP. Except with `off` the node does not start unless
        /// the guard is attached to every interface below.
        mode: Mode = "enforce", ();
        /// Interfaces where traffic arrives. Required unless mode is `off`.
        interfaces: Vec<String> = [], INTERFACES_MAX;
        /// Directory on a BPF file system where programs and tables outlive the process.
        pins: PathBuf = "/sys/fs/bpf/carom", ();
        /// Use the generic path where a driver has no native one. It is correct and several times slower.
        allow_generic: bool = false, ();
        /// Service addresses. Empty: those of listen.http, which then may not be wildcards. What is sent to other addresses
        /// is not judged. Served ports are those of listen.http.
        vips: Vec<IpAddr> = [], VIPS_MAX;
        /// Networks that operators come from: nothing from them is ever dropped.
        management: Vec<Cidr> = [], PROTECTED_NETWORKS_MAX;
        /// Routers whose BGP and BFD are never dropped.
        routing_peers: Vec<Cidr> = [], PROTECTED_NETWORKS_MAX;
        /// Files of networks that skip deny lists, bans and limits: one per line, `#` starts a comment. SIGHUP reads them
        /// again.
        allow_files: Vec<PathBuf> = [], LIST_FILES_MAX;
        /// Files of networks that are dropped; at most 100,000 networks per family in all files. SIGHUP reads them again.
        deny_files: Vec<PathBuf> = [], LIST_FILES_MAX;
        /// For how long bans, limits and challenges go on when the node is gone, in milliseconds. Then these stages only
        /// count; lists, ports and parsing still drop.
        lease_ms: u64 = 10000, LEASE_MS;
        /// Packets that make no sense, fragments, impossible sources. No stage is stricter than mode.
        parse_mode: Mode = "enforce", ();
        /// Ports and protocols that are not served.
        port_mode: Mode = "enforce", ();
        /// The deny lists.
        deny_mode: Mode = "enforce", ();
        /// Bans with an expiry, from `[scanners]` and `carom guard ban`.
        ban_mode: Mode = "enforce", ();
        /// The hard limits below.
        rate_mode: Mode = "enforce", ();
        /// The soft limits below: SYN cookies. Needs net.ipv4.tcp_syncookies = 2, and only counts without.
        challenge_mode: Mode = "enforce", ();
        /// Segments that belong to no connection, above stray_check_per_s.
        stray_mode: Mode = "enforce", ();
        /// New connections per second of an IPv4 address or IPv6 /64 above which it has to prove its address. 0: never.
        source_soft_per_s: u64 = 200, SOURCE_CONNECTIONS_PER_S;
        /// The same above which they are dropped. 0: never.
        source_hard_per_s: u64 = 2000, SOURCE_CONNECTIONS_PER_S;
        /// New connections per second of an IPv4 /24 or IPv6 /48 above which its sources have to prove their address. 0: never.
        network_soft_per_s: u64 = 1000, SOURCE_CONNECTIONS_PER_S;
        /// The same above which they are dropped. 0: never.
        network_hard_per_s: u64 = 10000, SOURCE_CONNECTIONS_PER_S;
        /// New connections per second of the node above which everybody has to prove their address. 0: never.
        node_soft_per_s: u64 = 50000, NODE_CONNECTIONS_PER_S;
        /// The same above which they are dropped, whoever they come from. 0: never.
        node_hard_per_s: u64 = 0, NODE_CONNECTIONS_PER_S;
        /// Segments per second of the node, other than new connections, above which each must belong to a connection. 0:
        /// never.
        stray_check_per_s: u64 = 500000, SEGMENTS_PER_S;
        /// Samples of drops per second and CPU for `carom guard watch`.
        events_per_s: u64 = 100, EVENTS_PER_S;
    }

    /// Who counts as a scanner: clients that keep asking for links and hosts that do not exist, or send junk. The first time
    /// they have to prove their address, then they are banned for a growing time; a shared address that also makes good
    /// requests is never banned.
    scanners: ScannerKeys {
        /// `enforce` bans through the guard, `monitor` only counts, `off` does not even count. Without the guard it counts.
        mode: Mode = "enforce", ();
        /// Points above which a source is a scanner. Each good request takes points off.
        threshold: u64 = 100, SCANNER_THRESHOLD;
        /// The time in which points are halved, in seconds.
        half_life_s: u64 = 60, SCANNER_HALF_LIFE_S;
        /// Points for a code that no link has.
        unknown_code_points: u64 = 1, POINTS;
        /// Points for a host that no domain has.
        unknown_host_points: u64 = 3, POINTS;
        /// Points for a request that is malformed or of another protocol.
        junk_points: u64 = 5, POINTS;
        /// Points that a good redirect takes off.
        good_points: u64 = 2, POINTS;
        /// How long a scanner has to prove its address with each new connection, in seconds. Going over the threshold once more
        /// meanwhile is answered with a ban.
        challenge_s: u64 = 60, BAN_S;
        /// The first ban, in seconds. Each further one is four times as long.
        ban_first_s: u64 = 300, BAN_S;
        /// The longest ban, in seconds.
        ban_max_s: u64 = 86400, BAN_S;
        /// Bans per minute; more are only counted, because so many scanners at once are likelier a mistake of ours, such as a
        /// snapshot without its links.
        bans_per_minute_max: u64 = 600, BANS_PER_MINUTE;
        /// Networks that are never scanners, such as those of crawlers that publish theirs.
        exempt: Vec<Cidr> = [], EXEMPT_NETWORKS_MAX;
        /// Files of such networks, in the form of guard.allow_files. SIGHUP reads them again.
        exempt_files: Vec<PathBuf> = [], LIST_FILES_MAX;
    }
}
