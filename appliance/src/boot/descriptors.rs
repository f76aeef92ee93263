//! How many connections the descriptors of this process allow, so that clients are told 503 before `accept` fails.

use crate::limits::{ConnectionLimits, DESCRIPTORS_PER_SHARD, DESCRIPTORS_RESERVED, SHED_FAREWELLS_MAX};

/// What each shard may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    /// The configured limits, or less.
    pub(super) connections: ConnectionLimits,
    /// Shed connections that wait for their close.
    pub(super) shed_farewells_max: usize,
}

/// A shard that may hold fewer connections than this is of no use to anybody.
const CONNECTIONS_MIN: usize = 4;

impl Allowance {
    /// Divides what is left of `descriptors_max`, of which `in_use` are open, between `shards` that are about to start.
    pub(super) fn within(
        descriptors_max: u64,
        in_use: u64,
        shards: usize,
        configured: ConnectionLimits,
    ) -> Self {
        let reserved = DESCRIPTORS_RESERVED.min(descriptors_max / 8);
        let own = DESCRIPTORS_PER_SHARD.saturating_mul(shards as u64);
        let left = descriptors_max.saturating_sub(in_use.saturating_add(own).saturating_add(reserved));
        let per_shard = usize::try_from(left / shards.max(1) as u64).unwrap_or(usize::MAX);
        let shed_farewells_max = SHED_FAREWELLS_MAX.min(per_shard / 8);
        let per_shard_max =
            configured.per_shard_max.min((per_shard - shed_farewells_max).max(CONNECTIONS_MIN));
        Self { connections: ConnectionLimits { per_shard_max, ..configured }, shed_farewells_max }
    }

    /// Tells the operator that the configured limit is out of reach.
    pub(super) fn warn_if_less_than(&self, configured: ConnectionLimits, descriptors_max: u64) {
        if self.connections.per_shard_max < configured.per_shard_max {
            tracing::warn!(
                descriptors_max,
                connections_per_shard_max = self.connections.per_shard_max,
                configured = configured.per_shard_max,
                "too few descriptors for limits.connections_per_shard_max: raise LimitNOFILE= or `ulimit -n`"
            );
        }
    }
}

/// Open descriptors of this process.
pub(super) fn in_use() -> u64 {
    // The listing itself is one of them. Without /proc a guess will do.
    std::fs::read_dir("/proc/self/fd").map_or(16, |entries| entries.count() as u64 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(descriptors_max: u64, in_use: u64, shards: usize, expected: (usize, usize)) {
        let configured = ConnectionLimits { per_shard_max: 16_384, per_source_max: 1_024 };
        let allowance = Allowance::within(descriptors_max, in_use, shards, configured);
        let got = (allowance.connections.per_shard_max, allowance.shed_farewells_max);
        assert_eq!(got, expected, "{descriptors_max} descriptors, {in_use} in use, {shards} shards");
    }

    #[test]
    fn enough_descriptors_leave_the_configured_limit() {
        check(1_048_576, 20, 2, (16_384, SHED_FAREWELLS_MAX));
        check(u64::MAX, 20, 1, (16_384, SHED_FAREWELLS_MAX));
    }

    #[test]
    fn few_descriptors_are_divided_between_the_shards() {
        check(1_024, 20, 2, (415, 59));
        check(64, 12, 2, (9, 1));
    }

    #[test]
    fn a_hopeless_limit_still_lets_a_few_in() {
        check(40, 30, 4, (CONNECTIONS_MIN, 0));
        check(0, 30, 4, (CONNECTIONS_MIN, 0));
    }

    #[test]
    fn descriptors_in_use_are_counted() {
        let before = in_use();
        let _open: Vec<_> = (0..5).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        assert!(in_use() >= 5 && before >= 3);
    }
}
