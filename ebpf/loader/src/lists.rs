//! Allow and deny lists: files of networks, merged so that one look-up in the kernel answers both.

use std::net::IpAddr;

use ebpf_abi::maps::{LISTED_ALLOW, LISTED_DENY, LISTS_ENTRIES};

use crate::{Cidr, CidrError};

/// What a list says about its networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// Sources that skip deny list, bans and limits.
    Allow,
    /// Sources that are dropped.
    Deny,
}

/// One file: networks and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Allow or deny.
    pub kind: ListKind,
    /// Number of the file, repeated in events; at most 65,535.
    pub number: u16,
    /// The networks, in the order of the file.
    pub networks: Vec<Cidr>,
}

/// A line that is no network; the others still count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub error: CidrError,
}

impl List {
    /// Reads a file: one network per line, `#` and `;` start comments, empty lines are nothing.
    ///
    /// Bad lines are returned beside the list; whether they are fatal is for the caller to say.
    pub fn parse(kind: ListKind, number: u16, text: &str) -> (Self, Vec<BadLine>) {
        let (mut networks, mut bad) = (Vec::new(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            let line = line.split(['#', ';']).next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            match line.parse() {
                Ok(network) => networks.push(network),
                Err(error) => bad.push(BadLine { line: index + 1, error }),
            }
        }
        (Self { kind, number, networks }, bad)
    }
}

/// All lists, merged: for each network, everything that it and the networks around it are listed as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    pub(crate) v4: Vec<(u8, [u8; 4], u32)>,
    pub(crate) v6: Vec<(u8, [u8; 16], u32)>,
}

impl Lists {
    /// Merges the files. A network inherits what the networks around it say, so that the longest match tells all.
    pub fn merge(files: &[List]) -> Self {
        let mut entries: Vec<(Cidr, u32)> = files
            .iter()
            .flat_map(|list| {
                let bit = match list.kind {
                    ListKind::Allow => LISTED_ALLOW,
                    ListKind::Deny => LISTED_DENY,
                };
                list.networks.iter().map(move |network| (*network, bit | u32::from(list.number) << 8))
            })
            .collect();
        // By address, then the wider one first: what is around a network comes before it.
        entries.sort_by_key(|(network, _)| *network);
        let mut merged: Vec<(Cidr, u32)> = Vec::with_capacity(entries.len());
        let mut around: Vec<(Cidr, u32)> = Vec::new();
        for (network, bits) in entries {
            while around.last().is_some_and(|(outer, _)| !outer.covers(&network)) {
                around.pop();
            }
            let inherited = around.last().map_or(0, |(_, bits)| *bits & (LISTED_ALLOW | LISTED_DENY));
            let bits = bits | inherited;
            match merged.last_mut() {
                Some((last, last_bits)) if *last == network => {
                    *last_bits |= bits & (LISTED_ALLOW | LISTED_DENY);
                }
                _ => merged.push((network, bits)),
            }
            around.push((network, merged.last().map_or(bits, |(_, bits)| *bits)));
        }
        let mut lists = Self::default();
        for (network, bits) in merged {
            match network.address() {
                IpAddr::V4(v4) => lists.v4.push((network.length(), v4.octets(), bits)),
                IpAddr::V6(v6) => lists.v6.push((network.length(), v6.octets(), bits)),
            }
        }
        lists
    }

    /// Networks in all.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The networks with their bits, IPv4 first.
    pub fn entries(&self) -> impl Iterator<Item = (Cidr, u32)> {
        let v4 = self.v4.iter().map(|(length, octets, bits)| (Cidr::new((*octets).into(), *length), *bits));
        let v6 = self.v6.iter().map(|(length, octets, bits)| (Cidr::new((*octets).into(), *length), *bits));
        v4.chain(v6)
    }

    /// The family that has more networks than fit, with their number.
    pub fn overflow(&self) -> Option<(&'static str, usize)> {
        [("IPv4 networks", self.v4.len()), ("IPv6 networks", self.v6.len())]
            .into_iter()
            .find(|(_, count)| *count > LISTS_ENTRIES)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(kind: ListKind, text: &str) -> List {
        let (list, bad) = List::parse(kind, 7, text);
        assert_eq!(bad, []);
        list
    }

    #[test]
    fn comments_and_empty_lines_are_nothing_and_bad_lines_keep_their_number() {
        let (list, bad) =
            List::parse(ListKind::Deny, 1, "# all\n\n10.0.0.0/8 # ten\n ; old\n10.0.0.1/8\n::1\r\n");
        assert_eq!(list.networks, ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn a_network_inherits_what_the_networks_around_it_say() {
        let files = [
            list(ListKind::Allow, "10.0.0.0/8"),
            list(ListKind::Deny, "10.1.0.0/16\n10.1.0.0/16\n11.0.0.0/8"),
        ];
        let lists = Lists::merge(&files);
        let bits: Vec<_> = lists.v4.iter().map(|(_, _, bits)| bits & 0xff).collect();
        assert_eq!(bits, [LISTED_ALLOW, LISTED_ALLOW | LISTED_DENY, LISTED_DENY]);
    }

    proptest! {
        #[test]
        fn the_longest_match_of_merged_lists_knows_all_matches(
            networks in proptest::collection::vec((any::<[u8; 2]>(), 0u8..=16, any::<bool>()), 0..40),
            probe: [u8; 2],
        ) {
            let networks: Vec<(Cidr, bool)> = networks.into_iter()
                .map(|([a, b], length, allow)| (Cidr::new([a, b, 0, 0].into(), length), allow)).collect();
            let of = |allow: bool| networks.iter().filter(|(_, a)| *a == allow).map(|(n, _)| *n).collect();
            let files = [
                List { kind: ListKind::Allow, number: 1, networks: of(true) },
                List { kind: ListKind::Deny, number: 2, networks: of(false) },
            ];
            let probe = Cidr::host([probe[0], probe[1], 9, 9].into());
            let expected = networks.iter().filter(|(n, _)| n.covers(&probe))
                .fold(0, |bits, (_, allow)| bits | if *allow { LISTED_ALLOW } else { LISTED_DENY });
            let found = Lists::merge(&files).v4.into_iter()
                .filter(|(length, octets, _)| Cidr::new((*octets).into(), *length).covers(&probe))
                .max_by_key(|(length, _, _)| *length).map_or(0, |(_, _, bits)| bits & 0xff);
            prop_assert_eq!(found, expected);
        }
    }
}
