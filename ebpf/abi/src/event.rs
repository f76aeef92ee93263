//! One sampled drop, as it leaves the kernel.

use crate::Address;

/// A sample of what the guard did; it leaves through a bounded ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `CLOCK_MONOTONIC` (coarse) in ns.
    pub at_ns: u64,
    /// Who sent the packet.
    pub source: Address,
    /// The address it was sent to.
    pub destination: Address,
    /// Port of the sender, or zero.
    pub source_port: u16,
    /// Port of the VIP, or zero.
    pub destination_port: u16,
    /// Bytes of the whole frame.
    pub frame_bytes: u16,
    /// [`crate::Reason`] as a number.
    pub reason: u8,
    /// [`crate::Action`] as a number.
    pub action: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// Flags of the TCP header, or zero.
    pub tcp_flags: u8,
    /// One if the stage only counted.
    pub monitored: u8,
    /// Always zero.
    pub padding: u8,
    /// Cause of the ban or number of the list entry's file.
    pub rule: u32,
}
