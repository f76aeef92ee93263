//! HOT: from a key hash to the few positions where the key may be: one cache line per bucket, eight slots compared at
//! once.
//!
//! A section is a 64-byte header and then buckets. A bucket holds eight 16-bit fingerprints, then eight 48-bit
//! positions. The high half of the hash chooses the home bucket, the low 16 bits are the fingerprint; fingerprint 0
//! means an empty slot. A key whose home bucket is full lies in the next one that is not, so the first empty slot ends
//! a search. Eight fingerprints are compared with a few 64-bit operations, which a kernel program can do as well.

use crate::layout::{u32_at, u64_at};
use crate::limits::PROBE_BUCKETS_MAX;

/// Bytes of a bucket: one cache line.
pub const BUCKET_BYTES: usize = 64;

/// Slots of a bucket.
pub const BUCKET_SLOTS: usize = 8;

/// Bytes before the first bucket.
pub const INDEX_HEADER_BYTES: usize = 64;

/// Slots that the writer fills per home bucket on average: five of eight, 12.8 bytes per key. One search in eight for a
/// key that is not there then sees a full bucket and must look at a second one; with six it is one in three.
pub const SLOTS_FILLED: u64 = 5;

/// Largest position that fits a slot.
pub const POSITION_MAX: u64 = (1 << 48) - 1;

/// Each of four 16-bit lanes holds this bit when the lane of the word compared was zero.
const LANE_TOP: u64 = 0x8000_8000_8000_8000;
const LANE_ONE: u64 = 0x0001_0001_0001_0001;

/// Shape of one index, checked when the file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexShape {
    /// Buckets that a hash can choose; 0 only in an index without entries.
    pub home_buckets: u64,
    /// Keys in it.
    pub entries: u64,
    /// Buckets that the longest search touches, 1 to [`PROBE_BUCKETS_MAX`].
    pub probe_buckets: u32,
}

impl IndexShape {
    /// The shape for a number of keys, before the longest search is known.
    pub const fn for_entries(entries: u64) -> Self {
        Self { home_buckets: entries.div_ceil(SLOTS_FILLED), entries, probe_buckets: 1 }
    }

    /// Bytes of the whole section: home buckets and the few behind the last one that a search may run into.
    pub const fn section_bytes(&self) -> u64 {
        INDEX_HEADER_BYTES as u64 + self.buckets() * BUCKET_BYTES as u64
    }

    /// Buckets in the section.
    pub const fn buckets(&self) -> u64 {
        self.home_buckets + PROBE_BUCKETS_MAX as u64 - 1
    }

    /// Home bucket of a hash: the high half scaled to the number of buckets.
    #[inline]
    pub const fn home(&self, hash: u64) -> u64 {
        ((hash >> 32) * self.home_buckets) >> 32
    }

    /// Renders the index header.
    pub fn render(&self) -> [u8; INDEX_HEADER_BYTES] {
        let mut header = [0; INDEX_HEADER_BYTES];
        header[..8].copy_from_slice(&self.home_buckets.to_le_bytes());
        header[8..16].copy_from_slice(&self.entries.to_le_bytes());
        header[16..20].copy_from_slice(&self.probe_buckets.to_le_bytes());
        header
    }

    /// Reads the header of an index section; `None` if it does not fit the section.
    pub fn parse(section: &[u8]) -> Option<Self> {
        let header = section.first_chunk::<INDEX_HEADER_BYTES>()?;
        let shape = Self {
            home_buckets: u64_at(header, 0),
            entries: u64_at(header, 8),
            probe_buckets: u32_at(header, 16),
        };
        let fits = shape.home_buckets <= u64::from(u32::MAX)
            && shape.section_bytes() == section.len() as u64
            && (1..=PROBE_BUCKETS_MAX).contains(&shape.probe_buckets);
        fits.then_some(shape)
    }

    /// Positions in `section` where a key of this hash may be, bucket by bucket.
    #[inline]
    pub fn candidates<'s>(&self, section: &'s [u8], hash: u64) -> Candidates<'s> {
        let first = INDEX_HEADER_BYTES + self.home(hash) as usize * BUCKET_BYTES;
        Candidates {
            buckets: section.get(first..).unwrap_or(&[]),
            buckets_left: self.probe_buckets,
            fingerprint: u64::from(fingerprint(hash)) * LANE_ONE,
            current: &[0; BUCKET_BYTES],
            matches: 0,
            last: false,
        }
    }
}

/// Fingerprint of a hash: its low 16 bits, never 0.
#[inline]
pub const fn fingerprint(hash: u64) -> u16 {
    let low = hash as u16;
    if low == 0 { 1 } else { low }
}

/// Iterator over the positions of slots whose fingerprint matches.
#[derive(Debug)]
pub struct Candidates<'s> {
    buckets: &'s [u8],
    buckets_left: u32,
    fingerprint: u64,
    current: &'s [u8; BUCKET_BYTES],
    /// One bit for every slot of the current bucket that matches and has not been returned: bit 15 of lane *n* is slot
    /// *n* + 4, bit 14 is slot *n*. One word rather than two, so that the usual single match costs one branch.
    matches: u64,
    last: bool,
}

impl Iterator for Candidates<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        while self.matches == 0 {
            if self.last || self.buckets_left == 0 {
                return None;
            }
            let (bucket, rest) = self.buckets.split_first_chunk::<BUCKET_BYTES>()?;
            self.buckets = rest;
            self.buckets_left -= 1;
            self.current = bucket;
            let [low, high] = [u64_at(bucket, 0), u64_at(bucket, 8)];
            self.matches = zero_lanes(low ^ self.fingerprint) >> 1 | zero_lanes(high ^ self.fingerprint);
            // Slots fill from the front: a bucket has an empty slot exactly if its last one is empty.
            self.last = high >> 48 == 0;
        }
        let bit = self.matches.trailing_zeros() as usize;
        self.matches &= self.matches - 1;
        let slot = bit / 16 + (bit & 1) * 4;
        // The two bytes in front of a position belong to a fingerprint or another position, and are shifted out.
        Some(u64_at(self.current, 14 + slot * 6) >> 16)
    }
}

/// The top bit of every 16-bit lane that is zero, exactly (no carry crosses a lane).
#[inline]
const fn zero_lanes(word: u64) -> u64 {
    !(((word & !LANE_TOP) + !LANE_TOP) | word | !LANE_TOP)
}

/// One bucket under construction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    bytes: [u8; BUCKET_BYTES],
    filled: usize,
}

impl Bucket {
    pub(crate) const EMPTY: Self = Self { bytes: [0; BUCKET_BYTES], filled: 0 };

    pub(crate) const fn is_full(&self) -> bool {
        self.filled == BUCKET_SLOTS
    }

    /// Fills the next slot.
    pub(crate) fn push(&mut self, hash: u64, position: u64) {
        assert!(
            position <= POSITION_MAX && !self.is_full(),
            "the caller keeps positions and slots in bounds"
        );
        let slot = self.filled;
        self.bytes[slot * 2..slot * 2 + 2].copy_from_slice(&fingerprint(hash).to_le_bytes());
        self.bytes[16 + slot * 6..16 + slot * 6 + 6].copy_from_slice(&position.to_le_bytes()[..6]);
        self.filled += 1;
    }

    pub(crate) const fn bytes(&self) -> &[u8; BUCKET_BYTES] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn zero_lanes_agrees_with_a_loop_over_lanes(lanes: [u16; 4], clear in 0_u8..16) {
            let lanes: Vec<u16> =
                lanes.iter().enumerate().map(|(i, &lane)| if clear & 1 << i != 0 { 0 } else { lane }).collect();
            let word = lanes.iter().rev().fold(0, |word, &lane| word << 16 | u64::from(lane));
            for (lane, &value) in lanes.iter().enumerate() {
                prop_assert_eq!(zero_lanes(word) >> (lane * 16 + 15) & 1 == 1, value == 0);
            }
            prop_assert_eq!(zero_lanes(word) & !LANE_TOP, 0);
        }

        #[test]
        fn any_bytes_can_be_searched(section in proptest::collection::vec(any::<u8>(), 0..1024), hash: u64) {
            let mut shape = IndexShape::for_entries(9);
            shape.probe_buckets = PROBE_BUCKETS_MAX;
            prop_assert!(shape.candidates(&section, hash).count() <= PROBE_BUCKETS_MAX as usize * BUCKET_SLOTS);
            if let Some(shape) = IndexShape::parse(&section) {
                prop_assert!(shape.candidates(&section, hash).count() <= PROBE_BUCKETS_MAX as usize * BUCKET_SLOTS);
            }
        }
    }

    #[test]
    fn every_slot_of_a_bucket_gives_its_position_back() {
        let mut bucket = Bucket::EMPTY;
        let positions: Vec<u64> = (0..8).map(|slot| POSITION_MAX - slot * 1_000_003).collect();
        for &position in &positions {
            bucket.push(0xabcd, position);
        }
        let shape = IndexShape { home_buckets: 1, entries: 8, probe_buckets: 1 };
        let mut section = shape.render().to_vec();
        section.extend_from_slice(bucket.bytes());
        section.resize(shape.section_bytes() as usize, 0);
        assert_eq!(IndexShape::parse(&section), Some(shape));
        let mut found: Vec<u64> = shape.candidates(&section, 0xabcd).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(found, positions);
        assert_eq!(shape.candidates(&section, 0xabce).count(), 0);
    }
}
