//! HOT: a log-linear histogram of latencies: eight buckets per octave, so a bucket is at most 1/8 wider than its lower end.
//!
//! Bucket `i` holds the values in `(upper_ns(i - 1), upper_ns(i)]`: the upper end is included, as prometheus' `le` is.
//! A quantile read from the upper end is at most 12.5 % too high and never too low.

use super::cells::Cell;

/// Buckets per octave, as a power of two.
const SUB_BITS: u32 = 3;
/// Buckets per octave.
pub const SUB_BUCKETS: usize = 1 << SUB_BITS;
/// The last octave ends at 2 to this power nanoseconds: 34 s, more than every timeout of a served request.
const OCTAVES_END: u32 = 35;
/// Buckets of a histogram; the last one takes everything above its lower end.
pub const BUCKETS: usize = ((OCTAVES_END - SUB_BITS) as usize + 1) * SUB_BUCKETS;

/// The bucket that counts `value_ns`.
#[inline]
pub const fn bucket(value_ns: u64) -> usize {
    // Buckets are closed above: count the value before this one in buckets that are closed below.
    let below = value_ns.saturating_sub(1);
    if below < SUB_BUCKETS as u64 {
        return below as usize;
    }
    let exponent = u64::BITS - 1 - below.leading_zeros();
    let shift = exponent - SUB_BITS;
    let index = ((shift as usize) << SUB_BITS) + (below >> shift) as usize;
    if index < BUCKETS { index } else { BUCKETS - 1 }
}

/// Greatest value of a bucket, in nanoseconds; the last bucket has none and answers where it would end.
pub const fn upper_ns(bucket: usize) -> u64 {
    if bucket < SUB_BUCKETS {
        return bucket as u64 + 1;
    }
    let shift = bucket / SUB_BUCKETS - 1;
    ((SUB_BUCKETS + bucket % SUB_BUCKETS + 1) as u64) << shift
}

/// The cells of one shard.
pub(super) struct Histogram {
    buckets: [Cell; BUCKETS],
    sum_ns: Cell,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { buckets: [const { Cell::new() }; BUCKETS], sum_ns: Cell::new() }
    }

    /// Counts `times` events that took `value_ns` each. One writer only.
    #[inline]
    pub(super) fn record(&self, value_ns: u64, times: u64) {
        self.buckets[bucket(value_ns)].add(times);
        self.sum_ns.add(value_ns.saturating_mul(times));
    }

    /// Adds what the shard counted so far to `merged`.
    pub(super) fn merge_into(&self, merged: &mut Distribution) {
        for (cell, count) in self.buckets.iter().zip(&mut merged.counts) {
            *count += cell.get();
        }
        merged.sum_ns += self.sum_ns.get();
    }
}

/// Histograms of all shards added up, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Events per bucket.
    pub counts: [u64; BUCKETS],
    /// All values added up, in nanoseconds.
    pub sum_ns: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum_ns: 0 }
    }
}

impl Distribution {
    /// How many events there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The value in nanoseconds that a share of `quantile` (0 to 1) of the events does not exceed: the upper end of the
    /// bucket that holds it. `None` without events.
    pub fn quantile_ns(&self, quantile: f64) -> Option<u64> {
        let count = self.count();
        let rank = ((quantile.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        self.counts.iter().enumerate().find_map(|(bucket, events)| {
            seen += events;
            (seen >= rank).then(|| upper_ns(bucket))
        })
    }

    /// Events at or below each bucket's upper end, for every bucket whose upper end is in `from_ns..=to_ns` and falls on
    /// one of `per_octave` equal parts of its octave.
    pub fn cumulative(&self, from_ns: u64, to_ns: u64, per_octave: usize) -> Vec<(u64, u64)> {
        let step = SUB_BUCKETS / per_octave;
        let mut seen = 0;
        let mut ends = Vec::new();
        for (bucket, events) in self.counts.iter().enumerate() {
            seen += events;
            let upper = upper_ns(bucket);
            if (bucket + 1).is_multiple_of(step) && (from_ns..=to_ns).contains(&upper) {
                ends.push((upper, seen));
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every value as it was recorded: what the histogram must agree with.
    fn naive_bucket(value_ns: u64) -> usize {
        (0..BUCKETS - 1).find(|&bucket| value_ns <= upper_ns(bucket)).unwrap_or(BUCKETS - 1)
    }

    fn distribution(values: &[u64]) -> Distribution {
        let histogram = Histogram::new();
        for &value in values {
            histogram.record(value, 1);
        }
        let mut merged = Distribution::default();
        histogram.merge_into(&mut merged);
        merged
    }

    #[test]
    fn buckets_grow_without_gap_and_are_at_most_an_eighth_wider_than_their_lower_end() {
        for bucket in 1..BUCKETS {
            let (lower, upper) = (upper_ns(bucket - 1), upper_ns(bucket));
            assert!(lower < upper);
            assert!(
                bucket < SUB_BUCKETS || (upper - lower) * 8 <= lower,
                "bucket {bucket}: {lower}..={upper}"
            );
        }
    }

    #[test]
    fn a_value_on_an_edge_belongs_to_the_bucket_that_ends_there() {
        for index in 0..BUCKETS - 1 {
            assert_eq!(bucket(upper_ns(index)), index);
            assert_eq!(bucket(upper_ns(index) + 1), index + 1);
        }
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn an_empty_distribution_has_no_quantile() {
        assert_eq!(Distribution::default().quantile_ns(0.5), None);
    }

    proptest! {
        #[test]
        fn the_bucket_of_a_value_is_the_first_that_reaches_it(value in any::<u64>(), shift in 0u32..64) {
            let value = value >> shift;
            prop_assert_eq!(bucket(value), naive_bucket(value));
        }

        #[test]
        fn a_quantile_is_never_too_low_and_at_most_an_eighth_too_high(
            mut values in proptest::collection::vec(1u64..30_000_000_000, 1..200), quantile in 0.0..=1.0f64,
        ) {
            let answered = distribution(&values).quantile_ns(quantile).unwrap();
            values.sort_unstable();
            let rank = ((quantile * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1];
            prop_assert!(exact <= answered && answered <= exact + exact / 8 + 1, "{answered} for {exact}");
        }

        #[test]
        fn cumulative_counts_agree_with_counting(values in proptest::collection::vec(0u64..40_000_000_000, 0..200)) {
            let merged = distribution(&values);
            for (upper, seen) in merged.cumulative(1 << 10, 1 << 34, 4) {
                prop_assert_eq!(seen, values.iter().filter(|&&value| value <= upper).count() as u64);
            }
            prop_assert_eq!(merged.count(), values.len() as u64);
            prop_assert_eq!(merged.sum_ns, values.iter().sum::<u64>());
        }
    }
}
