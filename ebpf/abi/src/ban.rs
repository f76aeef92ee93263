//! Bans: which source, until when, how hard.

use crate::{Address, Family};

/// A banned source prefix. IPv4 is banned by /32 or /24, IPv6 by /64 or /48.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BanKey {
    /// The first 64 bits of an IPv6 prefix, or the mapped low half of an IPv4 one; host bits are zero.
    pub bits: u64,
    /// Prefix length in the mapped form: 128 and 120 for IPv4, 64 and 48 for IPv6.
    pub length: u32,
    /// Always zero: keys are compared byte by byte.
    pub padding: u32,
}

impl BanKey {
    /// The narrow prefix of a source: IPv4 /32, IPv6 /64.
    #[inline(always)]
    pub const fn source(address: Address) -> Self {
        match address.family() {
            Family::V4 => Self { bits: address.low, length: 128, padding: 0 },
            Family::V6 => Self { bits: address.high, length: 64, padding: 0 },
        }
    }

    /// The wide prefix around a source: IPv4 /24, IPv6 /48.
    #[inline(always)]
    pub const fn network(address: Address) -> Self {
        match address.family() {
            Family::V4 => Self { bits: address.low & !0xff, length: 120, padding: 0 },
            Family::V6 => Self { bits: address.high & !0xffff, length: 48, padding: 0 },
        }
    }

    /// Whether the key is one of the wide prefixes.
    pub const fn is_network(self) -> bool {
        matches!(self.length, 120 | 48)
    }
}

/// What happens to a banned source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BanKind {
    /// New connections get a SYN cookie; everything else passes.
    Challenge,
    /// Everything is dropped.
    Drop,
}

impl BanKind {
    /// The number that a [`Ban`] carries.
    pub const fn number(self) -> u32 {
        match self {
            Self::Challenge => 1,
            Self::Drop => 2,
        }
    }

    /// The kind with this number; an unknown number is the milder one.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        if number == 2 { Self::Drop } else { Self::Challenge }
    }
}

/// A ban in the kernel's table; it ends by itself.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ban {
    /// First instant (`CLOCK_MONOTONIC`, ns) at which the ban no longer counts.
    pub expires_at_ns: u64,
    /// [`BanKind::number`].
    pub kind: u32,
    /// Why, in the numbers of whoever banned; the kernel only repeats it in events.
    pub cause: u32,
}
