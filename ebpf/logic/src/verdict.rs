//! What the guard decided about one packet.

use ebpf_abi::{Action, Protocol, Reason};

use crate::Flow;

/// What `monitored` holds when no monitoring stage would have acted.
pub const NOT_MONITORED: u8 = u8::MAX;

/// A decision, with what is worth telling about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why; it implies action and stage.
    pub reason: Reason,
    /// Number of the first reason for which a monitoring stage would have acted, or [`NOT_MONITORED`].
    pub monitored: u8,
    /// Cause of the ban or number of the list's file, if the reason has one.
    pub rule: u32,
    /// What was read of the packet before the decision.
    pub flow: Flow,
    /// Bytes that the answer has; meaningful only if the action is to transmit.
    pub answer_bytes: u16,
}

impl Verdict {
    /// What happens to the packet.
    #[inline(always)]
    pub const fn action(&self) -> Action {
        self.reason.action()
    }

    /// The first reason for which a monitoring stage would have acted.
    pub const fn monitored(&self) -> Option<Reason> {
        Reason::from_number(self.monitored)
    }

    /// What the packet is counted as.
    #[inline(always)]
    pub const fn protocol(&self) -> Protocol {
        self.flow.counted_as()
    }
}
