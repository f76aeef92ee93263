//! The one cell that user space writes often: which policy is valid, and for how long somebody is at home.

/// Switches policies atomically and carries the heartbeat.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// `CLOCK_MONOTONIC` in ns until which the stages that need supervision may drop.
    pub alive_until_ns: u64,
    /// [`crate::ABI_VERSION`] of the writer; zero until a policy has been written.
    pub abi_version: u32,
    /// Which of the policy slots is valid: 0 or 1.
    pub policy_slot: u32,
}
