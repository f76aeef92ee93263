//! HOT: who is counted as one client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ebpf_loader::Cidr;

/// Who is counted as one client: an IPv4 address, or the /64 that an IPv6 network hands to one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An IPv4 address.
    V4(u32),
    /// The first 64 bits of an IPv6 address.
    V6(u64),
}

impl From<IpAddr> for Source {
    #[inline]
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl From<Source> for Cidr {
    fn from(source: Source) -> Self {
        match source {
            Source::V4(bits) => Self::new(Ipv4Addr::from_bits(bits).into(), 32),
            Source::V6(bits) => Self::new(Ipv6Addr::from_bits(u128::from(bits) << 64).into(), 64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_banned_by_the_network_that_it_stands_for() {
        for (address, network) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("2001:db8:1:2::3", "2001:db8:1:2::/64"),
        ] {
            let source = Source::from(address.parse::<IpAddr>().unwrap());
            assert_eq!(Cidr::from(source).to_string(), network);
        }
    }
}
