//! HOT: the one place that knows what a request deserves: head, snapshot and time in, decision out.

use snapshot_format::Snapshot;

use crate::http::Head;

use super::{Location, Outcome};

/// What a request gets. Plain values and borrowed bytes: nothing is rendered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Why.
    pub outcome: Outcome,
    /// The status code of the reply.
    pub status: u16,
    /// Where to; `Some` exactly if the status is one of the five redirects.
    pub location: Option<Location<'a>>,
    /// Who may keep the reply, and for how long.
    pub cache: CacheControl,
}

/// The Cache-Control field of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheControl {
    /// Nobody keeps it.
    NoStore,
    /// The client alone keeps it, for so many seconds.
    Private(u32),
    /// Shared caches keep it too, for so many seconds.
    Public(u32),
}

impl<'a> Decision<'a> {
    /// The decision while a node has no snapshot.
    pub fn no_snapshot() -> Self {
        Self { outcome: Outcome::NoSnapshot, status: 503, location: None, cache: CacheControl::NoStore }
    }
}

/// Decides what the request `head` gets from `snapshot` at `unix_s` seconds since 1970.
pub fn decide<'a, B: AsRef<[u8]>>(_head: &Head<'a>, _snapshot: &'a Snapshot<B>, _unix_s: u64) -> Decision<'a> {
    Decision::no_snapshot()
}
