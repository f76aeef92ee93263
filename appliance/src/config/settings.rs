//! What the node runs on: every value parsed, bounded, and checked against the others.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::limits::{ConnectionLimits, HttpLimits};

/// A settled configuration. [`super::load`] and [`super::parse`] make it; its default is that of an
/// empty file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who this node is.
    pub node: Node,
    /// Where traffic arrives.
    pub listen: Listen,
    /// Which links are served.
    pub snapshot: Snapshot,
    /// What one connection may cost.
    pub http: HttpLimits,
    /// Value of the `Server` field; `None`: no such field.
    pub server: Option<String>,
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// Where health and metrics are served.
    pub admin: AdminAddress,
    /// Which requests are logged; `None`: none.
    pub access_log: Option<AccessLog>,
    /// How the node's own log looks.
    pub log: Log,
    /// How the node ends.
    pub drain: Drain,
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
    /// Length of each listener's accept queue.
    pub backlog: u32,
    /// How many shards; `None`: one per CPU that the process may use.
    pub shards: Option<NonZeroU32>,
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
