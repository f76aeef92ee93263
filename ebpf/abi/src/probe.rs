//! The question and answer of a test run, carried in the packet's metadata area, which nothing on the wire can reach.

/// Marks metadata as a [`Probe`].
pub const PROBE_MAGIC: u64 = 0x6361_726f_6d3f_3031;

/// Asks the loaded program to judge without counting, and to say why.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// [`PROBE_MAGIC`].
    pub magic: u64,
    /// The instant to judge at, ns; zero for the clock's.
    pub now_ns: u64,
    /// Answer: [`crate::Reason`] as a number.
    pub reason: u8,
    /// Answer: number of the reason that a monitoring stage would have acted for, or 255.
    pub monitored: u8,
    /// Answer: [`crate::Action`] as a number.
    pub action: u8,
    /// Answer: one when the program filled this in.
    pub answered: u8,
    /// Answer: cause of the ban or number of the list entry's file.
    pub rule: u32,
    /// Question: one lets the probe charge the rate tables like a real packet.
    pub charges: u32,
    /// Question: the asker's [`crate::ABI_VERSION`] to judge by the policy that is written and not valid yet, zero for the valid one.
    pub candidate: u32,
}
