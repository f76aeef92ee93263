//! A bitmap in front of the lists: most sources are on none, and two reads are cheaper than a walk through a trie.
//!
//! A listed network sets the bit of its narrow prefix (IPv4 /24, IPv6 /48) if it lies in one, else the bits of all wide
//! prefixes (/16, /32) that it touches. A source whose two bits are both zero is on no list.

use crate::maps::FILTER_BITS;
use crate::{Address, Family};

/// Lengths of the wide and of the narrow prefix.
pub const fn filter_lengths(family: Family) -> (u8, u8) {
    match family {
        Family::V4 => (16, 24),
        Family::V6 => (32, 48),
    }
}

/// The bits of a source: that of its wide prefix, and that of its narrow one.
#[inline(always)]
pub const fn filter_bits(source: Address) -> [u32; 2] {
    match source.family() {
        Family::V4 => [filter_bit(source.low >> 16, 1), filter_bit(source.low >> 8, 2)],
        Family::V6 => [filter_bit(source.high >> 32, 3), filter_bit(source.high >> 16, 4)],
    }
}

#[inline(always)]
const fn filter_bit(prefix: u64, kind: u64) -> u32 {
    let mixed = (prefix << 3 | kind).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - FILTER_BITS.trailing_zeros())) as u32
}
