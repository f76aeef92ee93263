//! Heavy hitters in bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi 2005), where a new key takes the place of the rarest.

use std::collections::HashMap;

/// Counts the most frequent keys; each count is too high by at most `error`, never too low.
#[derive(Clone, Debug)]
pub struct Top {
    keys_max: usize,
    counts: HashMap<Vec<u8>, Count>,
    total: u64,
}

/// How often a key was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// At most so often.
    pub clicks: u64,
    /// And at least this much less often.
    pub error: u64,
}

impl Top {
    /// Remembers `keys_max` keys, at least 1. Whatever is more frequent than one in `keys_max` is among them.
    pub fn new(keys_max: usize) -> Self {
        Self { keys_max: keys_max.max(1), counts: HashMap::new(), total: 0 }
    }

    /// Counts `clicks` clicks on `key`.
    pub fn add(&mut self, key: &[u8], clicks: u64) {
        self.total += clicks;
        if let Some(count) = self.counts.get_mut(key) {
            count.clicks += clicks;
            return;
        }
        let mut error = 0;
        if self.counts.len() >= self.keys_max {
            let rarest = self
                .counts
                .iter()
                .min_by_key(|(key, count)| (count.clicks, *key))
                .map(|(key, _)| key.clone());
            let removed = rarest.and_then(|rarest| self.counts.remove(&rarest)).unwrap_or_default();
            error = removed.clicks;
        }
        self.counts.insert(key.to_vec(), Count { clicks: clicks + error, error });
    }

    /// Clicks on all keys.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The `n` most frequent keys, the most frequent first.
    pub fn most(&self, n: usize) -> Vec<(Vec<u8>, Count)> {
        let mut all: Vec<_> = self.counts.iter().map(|(key, count)| (key.clone(), *count)).collect();
        all.sort_by(|(left_key, left), (right_key, right)| {
            right.clicks.cmp(&left.clicks).then(left_key.cmp(right_key))
        });
        all.truncate(n);
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_are_never_too_low_and_too_high_by_their_error_at_most(keys in proptest::collection::vec(0_u8..40, 0..600)) {
            let mut top = Top::new(8);
            let mut exact = HashMap::<u8, u64>::new();
            for key in &keys {
                top.add(&[*key], 1);
                *exact.entry(*key).or_default() += 1;
            }
            prop_assert_eq!(top.total(), keys.len() as u64);
            prop_assert!(top.counts.len() <= 8);
            for (key, count) in top.most(8) {
                let truth = exact[&key[0]];
                prop_assert!(count.clicks >= truth && count.clicks - count.error <= truth);
            }
            for (key, truth) in exact {
                prop_assert!(truth <= keys.len() as u64 / 8 || top.counts.contains_key([key].as_slice()));
            }
        }
    }
}
