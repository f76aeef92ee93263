//! What the node runs on: every value parsed, bounded, and checked against the others.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use ebpf_loader::abi::Mode;
use ebpf_loader::{Cidr, Limit, Modes};

use crate::clicks::ship::Receiver;
use crate::limits::{ConnectionLimits, HttpLimits};
use crate::proxies::Proxies;
use crate::redirect::Acme;

/// A settled configuration. [`super::load`] and [`super::parse`] make it; its default is that of an
/// empty file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who this node is.
    pub node: Node,
    /// Where traffic arrives.
    pub listen: Listen,
    /// Certificates, versions and tickets of HTTPS.
    pub tls: Tls,
    /// How challenges of ACME are answered; `None`: like any other path.
    pub acme: Option<Acme>,
    /// Which links are served.
    pub snapshot: Snapshot,
    /// What one connection may cost.
    pub http: HttpLimits,
    /// Value of the `Server` field; `None`: no such field.
    pub server: Option<String>,
    /// Who speaks for others.
    pub proxies: Proxies,
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// Where health and metrics are served.
    pub admin: AdminAddress,
    /// Which requests are logged; `None`: none.
    pub access_log: Option<AccessLog>,
    /// How clicks are recorded; `None`: not at all.
    pub clicks: Option<Clicks>,
    /// What is kept of people.
    pub privacy: Privacy,
    /// How the node's own log looks.
    pub log: Log,
    /// How the node ends.
    pub drain: Drain,
    /// What is dropped at the network interface.
    pub guard: Guard,
    /// Who counts as a scanner.
    pub scanners: Scanners,
}

impl Default for Settings {
    /// What a file that sets nothing settles to, on a host called `localhost`.
    fn default() -> Self {
        let nothing = format!("version = {}", super::VERSION);
        super::parse("defaults".as_ref(), &nothing, "localhost").expect("a test reads the defaults")
    }
}

/// Section `[node]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Name in vitals and metrics; the host name unless the file sets one.
    pub name: String,
    /// Directory of the node's own files: its private copy of the snapshot. Absolute.
    pub state_dir: PathBuf,
}

/// Section `[listen]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Addresses of plain HTTP: at least one, none twice. IPv6 sockets are V6ONLY.
    pub http: Vec<SocketAddr>,
    /// Whether HTTP/2 is understood there, without TLS.
    pub http2_prior_knowledge: bool,
    /// Addresses of HTTPS: none twice, none among those of plain HTTP; often none at all.
    pub https: Vec<SocketAddr>,
    /// Length of each listener's accept queue.
    pub backlog: u32,
    /// How many shards; `None`: one per CPU that the process may use.
    pub shards: Option<NonZeroU32>,
}

impl Listen {
    /// Every address of traffic: plain HTTP, then HTTPS.
    pub fn all(&self) -> Vec<SocketAddr> {
        self.http.iter().chain(&self.https).copied().collect()
    }
}

/// Section `[tls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Directory of certificates. Absolute.
    pub certificates: PathBuf,
    /// How often it is looked at; `None`: on SIGHUP only.
    pub poll_interval: Option<Duration>,
    /// The pair for clients that name no host, or an unknown one; `None`: they are refused.
    pub default_certificate: Option<String>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// How long a client may take to complete its handshake.
    pub handshake_timeout: Duration,
    /// File of the fleet's secret for tickets; `None`: the node makes its own.
    pub ticket_secret: Option<PathBuf>,
    /// How long one key seals tickets.
    pub ticket_epoch: Duration,
    /// The port at which clients reach HTTPS; `None`: that of the first listener.
    pub public_port: Option<NonZeroU16>,
    /// Days before its end from which a certificate is complained about.
    pub expiry_warning_days: u32,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2, for clients from before 2018.
    Tls12,
    /// 1.3.
    Tls13,
}

/// Section `[snapshot]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The name under which new snapshots appear. Absolute.
    pub path: PathBuf,
    /// How often the name is looked at; `None`: on SIGHUP only.
    pub poll_interval: Option<Duration>,
    /// Whether the snapshot is locked in memory.
    pub lock_memory: bool,
    /// Private copies that stay on disk, the served one included; at least 1.
    pub keep: u32,
}

/// Section `[admin]`: an address that only this machine reaches, unless the file allows more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// A TCP listener.
    Tcp(SocketAddr),
    /// A Unix socket with mode 0660.
    Unix(PathBuf),
}

/// Section `[access_log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// One request in so many is logged.
    pub sample_every: NonZeroU32,
    /// Where the lines go.
    pub target: LogTarget,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output, written `-`.
    Stdout,
    /// A file that is appended to; opened again on SIGHUP, so that it can be rotated.
    File(PathBuf),
}

/// Sections `[clicks]` and `[ship]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clicks {
    /// One click in so many is recorded.
    pub sample_every: NonZeroU32,
    /// Bytes of a shard's ring.
    pub ring_bytes: usize,
    /// How the spool is kept.
    pub spool: clicks::spool::Settings,
    /// Paths that are no clicks.
    pub ignored_paths: Vec<String>,
    /// Domains whose requests are no clicks.
    pub ignored_domains: Vec<String>,
    /// Domains that metrics name.
    pub domains_in_metrics_max: usize,
    /// Database of countries; `None`: countries stay unknown.
    pub country_database: Option<PathBuf>,
    /// Where records go.
    pub ship: Ship,
}

/// Section `[ship]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ship {
    /// What kind of receiver.
    pub to: Receiver,
    /// Where it is.
    pub address: String,
    /// Subject or topic.
    pub subject: String,
    /// Its credentials.
    pub credentials_file: Option<PathBuf>,
    /// How long it may take.
    pub timeout: Duration,
}

/// Section `[privacy]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privacy {
    /// What is kept, by domain.
    pub policy: clicks::policy::Policy,
    /// The parameter that asks for less; empty: none.
    pub no_track_parameter: String,
}

/// A path without its leading slash, perhaps with `*` at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(pub String);

/// A host name in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(pub String);

/// Section `[log]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Form of a line.
    pub format: LogFormat,
    /// Least severity that is written.
    pub level: LogLevel,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Least severity that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What needs an operator.
    Error,
    /// What may soon need one.
    Warn,
    /// Lifecycle: starts, swaps, drains.
    Info,
    /// Decisions of the control thread.
    Debug,
    /// Everything.
    Trace,
}

/// Section `[drain]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Wait between unready and the closing of listeners.
    pub announce: Duration,
    /// Wait for open connections after that.
    pub deadline: Duration,
}

/// Section `[guard]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Off, counting only, or dropping.
    pub mode: Mode,
    /// Where traffic arrives.
    pub interfaces: Vec<String>,
    /// Where programs and tables outlive the process. Absolute.
    pub pins: PathBuf,
    /// Whether the slow path will do.
    pub allow_generic: bool,
    /// Service addresses; empty: those of the listeners.
    pub vips: Vec<IpAddr>,
    /// Networks of which nothing is dropped.
    pub management: Vec<Cidr>,
    /// Routers whose BGP and BFD are not dropped.
    pub routing_peers: Vec<Cidr>,
    /// Files of allowed networks.
    pub allow_files: Vec<PathBuf>,
    /// Files of denied networks.
    pub deny_files: Vec<PathBuf>,
    /// For how long supervised stages drop without a heartbeat.
    pub lease: Duration,
    /// The mode of each stage; none is stricter than `mode`.
    pub modes: Modes,
    /// New connections of an IPv4 address or IPv6 /64.
    pub source: Limit,
    /// New connections of an IPv4 /24 or IPv6 /48.
    pub network: Limit,
    /// New connections of all.
    pub node: Limit,
    /// Segments per second above which each must belong to a connection; `None`: never.
    pub stray_check_per_s: Option<u32>,
    /// Sampled drops per second and CPU.
    pub events_per_s: u32,
}

/// Section `[scanners]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanners {
    /// Off, counting only, or banning.
    pub mode: Mode,
    /// What requests weigh.
    pub scoring: Scoring,
    /// What happens to those over the threshold.
    pub penalties: Penalties,
    /// Networks that are never scanners.
    pub exempt: Vec<Cidr>,
    /// Files of such networks.
    pub exempt_files: Vec<PathBuf>,
}

/// What requests weigh, in points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scoring {
    /// More than this is an offence.
    pub threshold: u32,
    /// The time in which points are halved.
    pub half_life: Duration,
    /// For a code that no link has.
    pub unknown_code: u32,
    /// For a host that no domain has.
    pub unknown_host: u32,
    /// For a request that is malformed or of another protocol.
    pub junk: u32,
    /// What a good redirect takes off.
    pub good: u32,
}

/// What happens to scanners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Penalties {
    /// How long the first offence means proving one's address.
    pub challenge: Duration,
    /// The first ban.
    pub ban_first: Duration,
    /// The longest ban.
    pub ban_max: Duration,
    /// Bans per minute, beyond which offences are only counted.
    pub bans_per_minute_max: u32,
}
