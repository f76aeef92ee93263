//! A digest of a multiset of links, to prove that a file holds what was read, whatever the order.

use snapshot_format::Link;
use xxhash_rust::xxh3::xxh3_128;

/// Sum of 128-bit hashes, one per link. Equal multisets have equal digests; others differ but for chance (2^-128).
///
/// It guards against faults of software and hardware, not against somebody who looks for collisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u128);

impl Digest {
    /// Adds a link; `link.domain` is not looked at, the name stands for it. `scratch` is overwritten.
    pub fn add(&mut self, host: &[u8], wildcard: bool, link: &Link<'_>, scratch: &mut Vec<u8>) {
        encode(host, wildcard, link, scratch);
        self.0 = self.0.wrapping_add(xxh3_128(scratch));
    }

    /// Adds all links of another digest.
    pub const fn add_all(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

/// Writes everything a link says, so that two links never share a text: texts behind their lengths, options tagged.
fn encode(host: &[u8], wildcard: bool, link: &Link<'_>, output: &mut Vec<u8>) {
    let Link {
        domain: _,
        code,
        destination,
        status,
        query,
        disabled,
        deleted,
        not_before_unix_s,
        expires_unix_s,
        version,
        policy,
    } = *link;
    output.clear();
    for text in [host, code, destination] {
        output.extend_from_slice(&(text.len() as u64).to_le_bytes());
        output.extend_from_slice(text);
    }
    let status = status.map_or(0, snapshot_format::Status::byte);
    let query = query.map_or(0, snapshot_format::QueryMode::byte);
    output.extend_from_slice(&[u8::from(wildcard), status, query, u8::from(disabled), u8::from(deleted)]);
    output.extend_from_slice(&version.to_le_bytes());
    for number in [not_before_unix_s, expires_unix_s, policy.map(u64::from)] {
        output.push(u8::from(number.is_some()));
        output.extend_from_slice(&number.unwrap_or(0).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapshot_format::{QueryMode, Status};

    const LINK: Link<'static> = Link {
        domain: 0,
        code: b"code",
        destination: b"https://a.example/",
        status: None,
        query: None,
        disabled: false,
        deleted: false,
        not_before_unix_s: None,
        expires_unix_s: None,
        version: 0,
        policy: None,
    };

    fn digest(links: &[(&[u8], bool, Link<'_>)]) -> Digest {
        let mut digest = Digest::default();
        for (host, wildcard, link) in links {
            digest.add(host, *wildcard, link, &mut Vec::new());
        }
        digest
    }

    #[test]
    fn every_part_of_a_link_counts() {
        let plain: (&[u8], bool, Link<'_>) = (b"a.example", false, LINK);
        let variants = [
            (b"b.example".as_slice(), false, LINK),
            (plain.0, true, LINK),
            (plain.0, false, Link { code: b"codeh", destination: b"ttps://a.example/", ..LINK }),
            (plain.0, false, Link { status: Some(Status::Found), ..LINK }),
            (plain.0, false, Link { query: Some(QueryMode::Drop), ..LINK }),
            (plain.0, false, Link { disabled: true, ..LINK }),
            (plain.0, false, Link { deleted: true, ..LINK }),
            (plain.0, false, Link { not_before_unix_s: Some(0), ..LINK }),
            (plain.0, false, Link { expires_unix_s: Some(0), ..LINK }),
            (plain.0, false, Link { version: 1, ..LINK }),
            (plain.0, false, Link { policy: Some(0), ..LINK }),
        ];
        for variant in variants {
            assert_ne!(digest(&[variant]), digest(&[plain]), "{variant:?}");
        }
    }

    #[test]
    fn order_does_not_count_and_number_does() {
        let (one, two) = ((b"a".as_slice(), false, LINK), (b"b".as_slice(), false, LINK));
        assert_eq!(digest(&[one, two]), digest(&[two, one]));
        assert_ne!(digest(&[one, one]), digest(&[one]));
        assert_ne!(digest(&[one, one]), digest(&[two, two]));
        let mut sum = digest(&[one]);
        sum.add_all(digest(&[two]));
        assert_eq!(sum, digest(&[one, two]));
    }
}
