//! Addresses and prefixes of both families in one form that the kernel compares with two instructions.

/// An address in network order read as two integers; IPv4 is mapped (`::ffff:a.b.c.d`, RFC 4291, 2.5.5.2).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The first 64 bits.
    pub high: u64,
    /// The last 64 bits.
    pub low: u64,
}

/// Which of the two protocols a packet came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Internet Protocol, version 4.
    V4,
    /// Internet Protocol, version 6.
    V6,
}

const MAPPED: u64 = 0xffff << 32;

impl Address {
    /// An IPv4 address, given as the big-endian value of its four bytes.
    #[inline(always)]
    pub const fn from_v4(bits: u32) -> Self {
        Self { high: 0, low: MAPPED | bits as u64 }
    }

    /// An IPv6 address, given as its sixteen bytes.
    pub const fn from_v6(bytes: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(bytes);
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }

    /// The sixteen bytes in network order, IPv4 mapped.
    pub const fn octets(self) -> [u8; 16] {
        ((self.high as u128) << 64 | self.low as u128).to_be_bytes()
    }

    /// The four bytes of a mapped IPv4 address as a big-endian value.
    #[inline(always)]
    pub const fn v4_bits(self) -> u32 {
        self.low as u32
    }

    /// Mapped addresses belong to IPv4, all others to IPv6.
    #[inline(always)]
    pub const fn family(self) -> Family {
        if self.high == 0 && self.low >> 32 == 0xffff { Family::V4 } else { Family::V6 }
    }
}

/// A set of addresses that share their first bits: `address & mask == bits`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The shared bits; all others are zero.
    pub bits: Address,
    /// Ones where bits are shared.
    pub mask: Address,
}

impl Prefix {
    /// The prefix of `length` bits (of 128; for IPv4 add 96) around `address`; its host bits are cleared.
    pub const fn new(address: Address, length: u32) -> Self {
        let mask = match length {
            0 => 0,
            1..=128 => u128::MAX << (128 - length),
            _ => u128::MAX,
        };
        let mask = Address { high: (mask >> 64) as u64, low: mask as u64 };
        Self { bits: Address { high: address.high & mask.high, low: address.low & mask.low }, mask }
    }

    /// Whether `address` shares the bits.
    #[inline(always)]
    pub const fn contains(&self, address: Address) -> bool {
        ((address.high & self.mask.high) ^ self.bits.high) | ((address.low & self.mask.low) ^ self.bits.low)
            == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_keeps_its_bits_and_family() {
        let address = Address::from_v4(0xc000_0201);
        assert_eq!(address.v4_bits(), 0xc000_0201);
        assert_eq!(address.family(), Family::V4);
        assert_eq!(Address::from_v6(address.octets()), address);
        assert_eq!(Address { high: 1, low: address.low }.family(), Family::V6);
    }

    #[test]
    fn a_prefix_contains_what_shares_its_bits() {
        let net = Prefix::new(Address::from_v4(0xc000_02ff), 96 + 24);
        assert!(net.contains(Address::from_v4(0xc000_0201)));
        assert!(!net.contains(Address::from_v4(0xc000_0301)));
        assert!(Prefix::new(Address::default(), 0).contains(Address { high: u64::MAX, low: 7 }));
        let host = Prefix::new(Address { high: 1, low: 2 }, 128);
        assert!(host.contains(Address { high: 1, low: 2 }) && !host.contains(Address { high: 1, low: 3 }));
    }
}
