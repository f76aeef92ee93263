//! What privacy leaves of a click: the address cut, hashed or left out, by domain; less of everything for who asks for less.

use std::collections::HashMap;
use std::hash::Hasher as _;
use std::net::{IpAddr, Ipv6Addr};

use siphasher::sip::SipHasher24;

use crate::kinds::AddressKind;
use crate::record::{Address, Click};

/// What is kept of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPolicy {
    /// The first 24 bits of IPv4, the first 48 of IPv6.
    Truncate,
    /// A hash with today's key.
    Hash,
    /// Nothing.
    Omit,
}

/// What a wish of the client (GPC, DNT, a parameter) changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WishPolicy {
    /// The click is counted: no address, no country, no user agent, no referrer are kept; bot and device class are.
    Reduce,
    /// Nothing; the wish is recorded.
    Ignore,
}

/// A secret that lives for a day. Who has it can find addresses by trying them all, so it is never stored with records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DayKey(pub [u8; 16]);

impl std::fmt::Debug for DayKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("DayKey(secret)")
    }
}

/// The day of a moment, in days since 1970 (UTC).
pub const fn day(unix_ms: u64) -> u64 {
    unix_ms / 86_400_000
}

/// The policy of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For domains that nothing else is said about.
    pub address: AddressPolicy,
    /// By canonical domain name; each holds for the names below, too, and the longest name wins.
    pub by_domain: HashMap<Vec<u8>, AddressPolicy>,
    /// What `Sec-GPC: 1` changes.
    pub gpc: WishPolicy,
    /// What `DNT: 1` changes.
    pub dnt: WishPolicy,
}

impl Policy {
    /// What is kept of the addresses of clients of `domain`.
    pub fn address_of(&self, domain: &[u8]) -> AddressPolicy {
        if self.by_domain.is_empty() {
            return self.address;
        }
        let mut name = domain;
        loop {
            if let Some(policy) = self.by_domain.get(name) {
                return *policy;
            }
            match name.iter().position(|&byte| byte == b'.') {
                Some(dot) => name = &name[dot + 1..],
                None => return self.address,
            }
        }
    }

    /// Whether what the client asks for leaves only the count.
    pub fn reduces(&self, gpc: bool, dnt: bool, no_track: bool) -> bool {
        no_track || (gpc && self.gpc == WishPolicy::Reduce) || (dnt && self.dnt == WishPolicy::Reduce)
    }

    /// Takes from `click` what may not be kept. Afterwards its address is not whole.
    pub fn apply(&self, click: &mut Click<'_>, key: &DayKey) {
        if self.reduces(click.gpc, click.dnt, click.no_track) {
            (click.address, click.country) = (Address::NONE, [0; 2]);
            (click.referrer, click.user_agent) = (b"", b"");
            (click.referrer_cut, click.user_agent_cut) = (false, false);
            return;
        }
        click.address = kept(click.address, self.address_of(click.domain), key);
    }
}

/// What `policy` leaves of `address`; only a whole one changes.
pub fn kept(address: Address, policy: AddressPolicy, key: &DayKey) -> Address {
    if address.kind != AddressKind::Whole {
        return address;
    }
    let v6 = Ipv6Addr::from(address.bytes);
    match policy {
        AddressPolicy::Omit => Address::NONE,
        AddressPolicy::Truncate => {
            let kept_bytes = if v6.to_ipv4_mapped().is_some() { 15 } else { 6 };
            let mut bytes = [0; 16];
            bytes[..kept_bytes].copy_from_slice(&address.bytes[..kept_bytes]);
            Address { kind: AddressKind::Truncated, bytes }
        }
        AddressPolicy::Hash => {
            let mut hasher = SipHasher24::new_with_key(&key.0);
            hasher.write(&address.bytes);
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&hasher.finish().to_be_bytes());
            Address { kind: AddressKind::Hashed, bytes }
        }
    }
}

/// An address as people and receivers read it: `192.0.2.0/24`, `2001:db8::/48`, sixteen hexadecimal digits, or nothing.
pub fn shown(address: Address) -> String {
    match address.kind {
        AddressKind::None => String::new(),
        AddressKind::Hashed => address.bytes[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
        AddressKind::Truncated | AddressKind::Whole => {
            let ip = Ipv6Addr::from(address.bytes).to_canonical();
            match (address.kind, ip) {
                (AddressKind::Truncated, IpAddr::V4(_)) => format!("{ip}/24"),
                (AddressKind::Truncated, IpAddr::V6(_)) => format!("{ip}/48"),
                _ => ip.to_string(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: DayKey = DayKey(*b"0123456789abcdef");

    fn check(address: &str, policy: AddressPolicy, expected: &str) {
        let whole = Address::whole(address.parse().unwrap());
        assert_eq!(shown(kept(whole, policy, &KEY)), expected);
    }

    #[test]
    fn an_address_is_cut_hashed_or_left_out() {
        check("192.0.2.77", AddressPolicy::Truncate, "192.0.2.0/24");
        check("2001:db8:1:2:3:4:5:6", AddressPolicy::Truncate, "2001:db8:1::/48");
        check("192.0.2.77", AddressPolicy::Omit, "");
        let one = kept(Address::whole("192.0.2.77".parse().unwrap()), AddressPolicy::Hash, &KEY);
        let tomorrow = DayKey(*b"fedcba9876543210");
        assert_ne!(one, kept(Address::whole("192.0.2.77".parse().unwrap()), AddressPolicy::Hash, &tomorrow));
        assert_ne!(one, kept(Address::whole("192.0.2.78".parse().unwrap()), AddressPolicy::Hash, &KEY));
        assert_eq!(shown(one).len(), 16);
    }

    #[test]
    fn the_longest_name_decides_for_the_names_below_it() {
        let policy = Policy {
            address: AddressPolicy::Truncate,
            by_domain: [
                (b"example".to_vec(), AddressPolicy::Hash),
                (b"private.example".to_vec(), AddressPolicy::Omit),
            ]
            .into(),
            gpc: WishPolicy::Reduce,
            dnt: WishPolicy::Ignore,
        };
        assert_eq!(policy.address_of(b"go.example"), AddressPolicy::Hash);
        assert_eq!(policy.address_of(b"a.b.private.example"), AddressPolicy::Omit);
        assert_eq!(policy.address_of(b"go.test"), AddressPolicy::Truncate);
        assert_eq!(policy.address_of(b""), AddressPolicy::Truncate);
    }

    #[test]
    fn who_asks_for_less_is_counted_and_nothing_more() {
        let policy = Policy {
            address: AddressPolicy::Truncate,
            by_domain: HashMap::new(),
            gpc: WishPolicy::Reduce,
            dnt: WishPolicy::Ignore,
        };
        let click = Click {
            address: Address::whole("192.0.2.77".parse().unwrap()),
            referrer: b"news.example",
            user_agent: b"Firefox",
            domain: b"go.example",
            ..Click::default()
        };
        let mut asks = Click { gpc: true, ..click };
        policy.apply(&mut asks, &KEY);
        assert_eq!(
            (asks.address, asks.referrer, asks.user_agent),
            (Address::NONE, b"".as_slice(), b"".as_slice())
        );
        assert_eq!((asks.domain, asks.gpc), (click.domain, true));
        let mut ignored = Click { dnt: true, ..click };
        policy.apply(&mut ignored, &KEY);
        assert_eq!((ignored.address.kind, ignored.user_agent), (AddressKind::Truncated, click.user_agent));
        let mut tagged = Click { no_track: true, ..click };
        policy.apply(&mut tagged, &KEY);
        assert_eq!(tagged.address, Address::NONE);
    }
}
