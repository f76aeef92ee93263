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
    #[inline(always)]
    pub const fn is_network(self) -> bool {
        matches!(self.length, 120 | 48)
    }

    /// The key in one word, as the kernel's table has it: hashing half the bytes saves some nanoseconds per packet.
    ///
    /// Wide prefixes are told apart by a bit that no source in use has: an IPv4 address begins with `0:ffff`, and of IPv6 only
    /// `::/2` and `c000::/2` are assigned. A spoofed source from elsewhere can meet a ban that is not its own, and nothing else.
    #[inline(always)]
    pub const fn packed(self) -> u64 {
        if self.is_network() { self.bits ^ NETWORK_BIT } else { self.bits }
    }

    /// The key of a word, if it is one that [`Self::packed`] makes of a [packable](Self::is_packable) key.
    pub const fn unpacked(word: u64) -> Self {
        let network = word >> 63 != word >> 62 & 1;
        let bits = if network { word ^ NETWORK_BIT } else { word };
        let v4 = bits >> 32 == V4_BITS;
        let length = match (v4, network) {
            (true, false) => 128,
            (true, true) => 120,
            (false, false) => 64,
            (false, true) => 48,
        };
        Self { bits, length, padding: 0 }
    }

    /// Whether the key can be had back from its word; all sources that are in use on the Internet can.
    pub const fn is_packable(self) -> bool {
        let Self { bits, length, padding: _ } = Self::unpacked(self.packed());
        bits == self.bits && length == self.length
    }
}

/// What tells a wide prefix from a narrow one.
const NETWORK_BIT: u64 = 1 << 62;
/// The upper half of an IPv4 address in its mapped form.
const V4_BITS: u64 = 0xffff;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(high: u64) -> Address {
        Address { high, low: 1 }
    }

    #[test]
    fn every_key_of_a_source_in_use_has_a_word_of_its_own_and_comes_back_from_it() {
        let sources = [
            Address::from_v4(0xc000_0207),
            Address::from_v4(0xc000_0200),
            Address::from_v4(0),
            v6(0x2001_0db8_0001_0002),
            v6(0x2001_0db8_0001_0000),
            v6(0xfe80_0000_0000_0000),
            v6(0xfd00_0001_0002_0000),
            v6(0x0064_ff9b_0000_0000),
        ];
        let mut words = std::collections::BTreeSet::new();
        for source in sources {
            for key in [BanKey::source(source), BanKey::network(source)] {
                assert!(key.is_packable(), "{key:x?}");
                assert_eq!(BanKey::unpacked(key.packed()), key);
                words.insert((key.packed(), key));
            }
        }
        let distinct: std::collections::BTreeSet<_> = words.iter().map(|(word, _)| word).collect();
        // Two of the sources of each family lie in the same network.
        assert_eq!((distinct.len(), words.len()), (14, 14));
    }

    #[test]
    fn what_nobody_has_been_given_cannot_be_told_apart() {
        for high in [0x4000_0000_0000_0000, 0x8000_0000_0000_0000, 0x0000_ffff_c000_0207] {
            assert!(!BanKey::source(v6(high)).is_packable(), "{high:x}");
        }
    }
}
