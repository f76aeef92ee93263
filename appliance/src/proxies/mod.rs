//! HOT: who is behind a proxy: the PROXY header before a connection, the Forwarded fields of a request, and whom to believe.
//!
//! Modules in reading order: the header of a connection, the fields of a request.
#![forbid(unsafe_code)]

pub mod header;

pub mod forwarded;

use std::net::IpAddr;

use ebpf_loader::Cidr;

pub use forwarded::ForwardedField;
pub use header::{Announced, Header, HeaderFault};

/// Which neighbours speak for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// They begin each connection with a PROXY header.
    pub announcing: Vec<Cidr>,
    /// They say in a field of each request who sent it.
    pub forwarding: Vec<Cidr>,
    /// In which field.
    pub field: ForwardedField,
}

impl Proxies {
    /// Whether a connection from `address` begins with a PROXY header.
    #[inline]
    pub fn announce(&self, address: IpAddr) -> bool {
        is_among(&self.announcing, address)
    }

    /// Whether `address` is believed about whose requests it sends.
    #[inline]
    pub fn forward(&self, address: IpAddr) -> bool {
        is_among(&self.forwarding, address)
    }
}

#[inline]
fn is_among(networks: &[Cidr], address: IpAddr) -> bool {
    // Nearly every node has none.
    !networks.is_empty() && {
        let host = Cidr::host(address.to_canonical());
        networks.iter().any(|network| network.covers(&host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_among_the_networks_that_cover_it_in_both_notations() {
        let proxies = Proxies {
            announcing: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            ..Proxies::default()
        };
        for (address, expected) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.3.7", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(proxies.announce(address.parse().unwrap()), expected, "{address}");
        }
        assert!(!proxies.forward("192.0.2.7".parse().unwrap()));
    }
}
