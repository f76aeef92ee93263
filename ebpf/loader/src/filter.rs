//! The bitmap in front of the lists, as the kernel reads it.

use ebpf_abi::maps::FILTER_WORDS;
use ebpf_abi::{Address, Family, filter_bits, filter_lengths};

use crate::cidr::to_abi;
use crate::{Cidr, Lists};

/// Every bit that a source on a list may have.
pub(crate) fn filter(lists: &Lists) -> Vec<u64> {
    let mut words = vec![0; FILTER_WORDS];
    for (network, _) in lists.entries() {
        mark(&mut words, network);
    }
    words
}

fn mark(words: &mut [u64], network: Cidr) {
    let address = to_abi(network.address());
    let (wide, narrow) = filter_lengths(address.family());
    let mut set = |bit: u32| words[bit as usize / 64] |= 1 << (bit % 64);
    if network.length() >= narrow {
        set(filter_bits(address)[1]);
        return;
    }
    let prefixes = 1u64.checked_shl(u32::from(wide.saturating_sub(network.length()))).unwrap_or(u64::MAX);
    // More prefixes than bits: everything is marked, and the trie decides alone.
    if prefixes >= (FILTER_WORDS * 64) as u64 {
        words.fill(u64::MAX);
        return;
    }
    for n in 0..prefixes {
        let within = match address.family() {
            Family::V4 => Address { low: address.low + (n << 16), ..address },
            Family::V6 => Address { high: address.high + (n << 32), ..address },
        };
        set(filter_bits(within)[0]);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::{List, ListKind};

    fn hides(words: &[u64], source: Address) -> bool {
        filter_bits(source).iter().all(|bit| words[*bit as usize / 64] >> (bit % 64) & 1 == 0)
    }

    fn lists(networks: Vec<Cidr>) -> Lists {
        Lists::merge(&[List { kind: ListKind::Deny, number: 1, networks }])
    }

    proptest! {
        #[test]
        fn no_source_on_a_list_is_ever_hidden(
            v4 in proptest::collection::vec((any::<[u8; 4]>(), 0u8..=32), 0..20),
            v6 in proptest::collection::vec((any::<[u8; 16]>(), 8u8..=128), 0..20),
            within: u128,
        ) {
            let v4 = v4.into_iter().map(|(octets, length)| Cidr::new(octets.into(), length));
            let v6 = v6.into_iter().map(|(octets, length)| Cidr::new(octets.into(), length));
            let networks: Vec<_> = v4.chain(v6).collect();
            let words = filter(&lists(networks.clone()));
            for network in networks {
                let source: IpAddr = match network.address() {
                    IpAddr::V4(v4) => {
                        let host = (within as u32).checked_shr(u32::from(network.length())).unwrap_or(0);
                        (v4.to_bits() | host).to_be_bytes().into()
                    }
                    IpAddr::V6(v6) => {
                        let host = within.checked_shr(u32::from(network.length())).unwrap_or(0);
                        (v6.to_bits() | host).to_be_bytes().into()
                    }
                };
                prop_assert!(!hides(&words, to_abi(source)), "{source} of {network}");
            }
        }
    }

    #[test]
    fn nearly_everybody_is_hidden_behind_full_lists() {
        let networks =
            (0..100_000u32).map(|n| Cidr::new((0x2000_0000 + n * 41 * 256).to_be_bytes().into(), 24));
        let words = filter(&lists(networks.collect()));
        let strangers = (0..10_000u32).map(|n| Address::from_v4(0x6000_0000 + n * 65_537));
        let walking = strangers.filter(|source| !hides(&words, *source)).count();
        assert!(walking < 1_500, "{walking} of 10,000 strangers walk through the trie");
    }
}
