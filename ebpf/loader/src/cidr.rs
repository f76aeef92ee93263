//! A network as people write it: `192.0.2.0/24`, `2001:db8::/32`, or a single address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ebpf_abi::{Address, Prefix};
use thiserror::Error;

/// An address and how many of its bits count; the others are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CidrError {
    /// The address cannot be read.
    #[error("`{0}` is no address")]
    Address(String),
    /// The prefix length cannot be read or is too large.
    #[error("`/{0}` is no prefix length of this family (at most {1})")]
    Length(String, u8),
    /// Bits behind the prefix length are set.
    #[error("bits behind the prefix length are set; did you mean {0}?")]
    HostBits(Cidr),
}

impl Cidr {
    /// A network; bits behind `length` (at most 32 or 128) are cleared.
    pub fn new(address: IpAddr, length: u8) -> Self {
        let address = address.to_canonical();
        match address {
            IpAddr::V4(v4) => {
                let length = length.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Self { address: IpAddr::V4((v4.to_bits() & mask).into()), length }
            }
            IpAddr::V6(v6) => {
                let length = length.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Self { address: IpAddr::V6((v6.to_bits() & mask).into()), length }
            }
        }
    }

    /// A network of one address.
    pub fn host(address: IpAddr) -> Self {
        Self::new(address, 128)
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Bits that count.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// The network as the kernel compares it.
    pub fn prefix(&self) -> Prefix {
        let length = u32::from(self.length) + if self.address.is_ipv4() { 96 } else { 0 };
        Prefix::new(to_abi(self.address), length)
    }

    /// Whether the other network lies inside.
    pub fn covers(&self, other: &Self) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.length <= other.length
            && Self::new(other.address, self.length) == *self
    }
}

/// An address as the kernel compares it.
pub(crate) fn to_abi(address: IpAddr) -> Address {
    match address.to_canonical() {
        IpAddr::V4(v4) => Address::from_v4(v4.to_bits()),
        IpAddr::V6(v6) => Address::from_v6(v6.octets()),
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address(address.to_owned()))?;
        let length_max = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => length_max,
            Some(length) => length
                .parse()
                .ok()
                .filter(|value| *value <= length_max && !length.starts_with('+'))
                .ok_or_else(|| CidrError::Length(length.to_owned(), length_max))?,
        };
        let cidr = Self::new(address, length);
        if cidr.address == address { Ok(cidr) } else { Err(CidrError::HostBits(cidr)) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_as_it_is_written_or_refused_with_the_reason() {
        for (text, expected) in [
            ("192.0.2.0/24", Ok("192.0.2.0/24")),
            ("192.0.2.1", Ok("192.0.2.1/32")),
            ("0.0.0.0/0", Ok("0.0.0.0/0")),
            ("::/0", Ok("::/0")),
            ("2001:db8::1", Ok("2001:db8::1/128")),
            ("2001:db8::/32", Ok("2001:db8::/32")),
            ("192.0.2.1/24", Err("bits behind the prefix length are set; did you mean 192.0.2.0/24?")),
            ("192.0.2.0/33", Err("`/33` is no prefix length of this family (at most 32)")),
            ("192.0.2.0/+4", Err("`/+4` is no prefix length of this family (at most 32)")),
            ("192.0.2", Err("`192.0.2` is no address")),
            ("", Err("`` is no address")),
        ] {
            let read = text.parse::<Cidr>().map(|cidr| cidr.to_string()).map_err(|error| error.to_string());
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn a_network_covers_what_lies_inside() {
        let net: Cidr = "10.0.0.0/8".parse().unwrap();
        assert!(net.covers(&"10.1.0.0/16".parse().unwrap()) && net.covers(&net));
        assert!(!net.covers(&"11.0.0.0/16".parse().unwrap()) && !net.covers(&"::/0".parse().unwrap()));
    }
}
