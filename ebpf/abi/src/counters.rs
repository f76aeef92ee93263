//! What each CPU counts and remembers between packets.

/// Slots for reasons; a power of two, so that masking an index proves it to the verifier.
pub const REASON_SLOTS: usize = 64;

/// What a counter is kept for, beside its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// Neither IPv4 nor IPv6, or not read that far.
    None = 0,
    /// TCP over IPv4.
    Tcp4 = 1,
    /// UDP over IPv4.
    Udp4 = 2,
    /// Anything else over IPv4, ICMP included.
    Other4 = 3,
    /// TCP over IPv6.
    Tcp6 = 5,
    /// UDP over IPv6.
    Udp6 = 6,
    /// Anything else over IPv6, ICMP included.
    Other6 = 7,
}

impl Protocol {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::None, Self::Tcp4, Self::Udp4, Self::Other4, Self::Tcp6, Self::Udp6, Self::Other6];
    /// Slots for protocols; a power of two like [`REASON_SLOTS`].
    pub const SLOTS: usize = 8;

    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tcp4 => "tcp4",
            Self::Udp4 => "udp4",
            Self::Other4 => "other4",
            Self::Tcp6 => "tcp6",
            Self::Udp6 => "udp6",
            Self::Other6 => "other6",
        }
    }
}

/// Per-CPU state: one look-up per packet reaches all of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuState {
    /// Packets by final reason and protocol, index `reason * Protocol::SLOTS + protocol`.
    pub decided: [u64; REASON_SLOTS * Protocol::SLOTS],
    /// Packets that a monitoring stage would have acted on, by reason.
    pub monitored: [u64; REASON_SLOTS],
    /// Events that found the ring full.
    pub events_lost: u64,
    /// Events that were over the budget of their second.
    pub events_skipped: u64,
    /// Start of the second that `events_sent` belongs to, ns.
    pub events_since_ns: u64,
    /// Events sent in that second.
    pub events_sent: u64,
    /// Decaying level of new connections on this CPU.
    pub new_connections: u64,
    /// Decaying level of TCP segments that open no connection.
    pub segments: u64,
    /// The tick at which this CPU last read the clock.
    pub clock_tick: u64,
    /// What it read, ns.
    pub clock_ns: u64,
}

impl CpuState {
    /// A state in which nothing has happened.
    pub const fn zeroed() -> Self {
        Self {
            decided: [0; REASON_SLOTS * Protocol::SLOTS],
            monitored: [0; REASON_SLOTS],
            events_lost: 0,
            events_skipped: 0,
            events_since_ns: 0,
            events_sent: 0,
            new_connections: 0,
            segments: 0,
            clock_tick: 0,
            clock_ns: 0,
        }
    }
}
