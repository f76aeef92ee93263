//! What the logic needs from the tables: reads that cannot fail, and writes that may be lost.

use ebpf_abi::{Address, Ban, BanKey, Policy, Vip};

use crate::Flow;

/// A level that each CPU keeps for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// New connections, and whatever else is charged like one.
    NewConnections,
    /// TCP segments that open no connection.
    Segments,
}

/// The maps of the kernel, or their twin. Writes need no exclusivity: a lost update is a lost grain of a statistic.
pub trait Tables {
    /// The valid policy; none until user space has written one of this version.
    fn policy(&self) -> Option<&Policy>;
    /// Until when (ns) somebody supervises.
    fn alive_until_ns(&self) -> u64;
    /// What is served on an address.
    fn vip(&self, address: &Address) -> Option<&Vip>;
    /// The bits of the longest listed prefix around a source: `LISTED_*` below, the number of its file above bit 8.
    fn listed(&self, source: Address) -> u32;
    /// The ban of exactly this prefix, expired or not.
    fn ban(&self, key: &BanKey) -> Option<Ban>;
    /// A cell of the rate sketch; `index` is below `SKETCH_ENTRIES`.
    fn cell(&self, index: u32) -> u64;
    /// Overwrites a cell of the rate sketch.
    fn set_cell(&self, index: u32, value: u64);
    /// A level of this CPU.
    fn level(&self, level: Level) -> u64;
    /// Overwrites a level of this CPU.
    fn set_level(&self, level: Level, value: u64);
    /// When a SYN of this listener last went to the kernel despite a challenge, ns.
    fn trickled_at_ns(&self, listener: u32) -> u64;
    /// Notes that one goes now.
    fn set_trickled_at_ns(&self, listener: u32, now_ns: u64);
    /// The same value. The kernel's verifier walks each path apart as long as it knows a value; where the paths have become
    /// alike, the kernel's tables make it forget.
    #[inline(always)]
    fn forget(&self, value: u64) -> u64 {
        value
    }
    /// Whether a socket other than a listener owns the flow.
    fn connected(&self, flow: &Flow) -> bool;
    /// A sequence number that the kernel will recognise; none where it makes no cookies.
    fn cookie(&self, flow: &Flow, mss: u16) -> Option<u32>;
    /// Whether the acknowledgement number of the flow's segment carries a cookie of the kernel.
    fn cookie_valid(&self, flow: &Flow) -> bool;
}
