//! HOT: how many connections each client has open on this shard.

use ahash::AHashMap;
use std::collections::hash_map::Entry;

pub(super) use crate::scanners::Source;

/// Open connections by source. It holds as many entries as there are connections at most.
pub(super) struct Sources {
    open: AHashMap<Source, u32>,
    per_source_max: u32,
}

impl Sources {
    /// No connections; no source may have more than `per_source_max`. Up to `capacity` sources are counted without a
    /// pause for growing.
    pub(super) fn new(per_source_max: u32, capacity: usize) -> Self {
        Self { open: AHashMap::with_capacity(capacity), per_source_max }
    }

    /// Counts one more connection of `source`; false, and nothing counted, if it has as many as it may.
    pub(super) fn enter(&mut self, source: Source) -> bool {
        let open = self.open.entry(source).or_insert(0);
        if *open >= self.per_source_max {
            return false;
        }
        *open += 1;
        true
    }

    /// Counts one more connection of a proxy, whose clients are many.
    pub(super) fn enter_without_bound(&mut self, source: Source) {
        *self.open.entry(source).or_insert(0) += 1;
    }

    /// A connection that was counted has ended.
    pub(super) fn leave(&mut self, source: Source) {
        if let Entry::Occupied(mut open) = self.open.entry(source) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    fn source(address: &str) -> Source {
        Source::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_source() {
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
    }

    #[test]
    fn an_ipv4_address_is_the_same_source_in_both_notations() {
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_ne!(source("0.0.0.1"), source("::1"));
    }

    #[test]
    fn a_source_that_is_full_does_not_fill_another() {
        let mut sources = Sources::new(2, 4);
        let (first, second) = (source("192.0.2.1"), source("192.0.2.2"));
        assert!(sources.enter(first) && sources.enter(first));
        assert!(!sources.enter(first));
        assert!(sources.enter(second));
        sources.leave(first);
        assert!(sources.enter(first));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list_of_connections(steps in prop::collection::vec((any::<bool>(), 0..6_u32), 0..300)) {
            let mut sources = Sources::new(3, 0);
            let mut oracle = Vec::new();
            for (enters, number) in steps {
                let source = Source::V4(number);
                if enters {
                    let fits = oracle.iter().filter(|other| **other == number).count() < 3;
                    prop_assert_eq!(sources.enter(source), fits);
                    if fits {
                        oracle.push(number);
                    }
                } else if let Some(place) = oracle.iter().position(|other| *other == number) {
                    oracle.swap_remove(place);
                    sources.leave(source);
                }
            }
            let mut counts = BTreeMap::new();
            for number in oracle {
                *counts.entry(number).or_insert(0_u32) += 1;
            }
            // A source without connections leaves nothing behind.
            prop_assert_eq!(sources.open.len(), counts.len());
        }
    }
}
