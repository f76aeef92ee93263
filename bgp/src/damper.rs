//! How often is too often: a penalty that decays (after RFC 2439), and a bound on withdrawals per minute. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;
use crate::config::settings::Damper as Rules;

/// What one fall costs.
pub const PENALTY_PER_FALL: f64 = 1000.0;

/// The penalty of one announcement.
#[derive(Clone, Debug, Default)]
pub struct Penalty {
    value: f64,
    at: Moment,
    suppressed_since: Option<Moment>,
}

impl Penalty {
    /// Adds one fall.
    pub fn add(&mut self, rules: &Rules, now: Moment) {
        self.value = self.value(rules, now) + PENALTY_PER_FALL;
        // Above this it would not have decayed when the longest suppression ends.
        self.value = self.value.min(20.0 * PENALTY_PER_FALL);
        self.at = now;
        if self.value > f64::from(rules.suppress) && self.suppressed_since.is_none() {
            self.suppressed_since = Some(now);
        }
    }

    /// What is left of it.
    pub fn value(&self, rules: &Rules, now: Moment) -> f64 {
        let halvings = now.since(self.at).as_secs_f64() / rules.half_life.as_secs_f64();
        self.value * 0.5_f64.powf(halvings)
    }

    /// Whether the announcement has to stay down.
    pub fn suppresses(&mut self, rules: &Rules, now: Moment) -> bool {
        let Some(since) = self.suppressed_since else { return false };
        if self.value(rules, now) < f64::from(rules.reuse) || now.since(since) >= rules.suppress_max {
            self.suppressed_since = None;
        }
        self.suppressed_since.is_some()
    }

    /// Time until it would no longer suppress; zero where it does not.
    pub fn remaining(&self, rules: &Rules, now: Moment) -> Duration {
        let Some(since) = self.suppressed_since else { return Duration::ZERO };
        let ratio = self.value(rules, now) / f64::from(rules.reuse);
        let decay = Duration::from_secs_f64(rules.half_life.as_secs_f64() * ratio.max(1.0).log2());
        decay.min(rules.suppress_max.saturating_sub(now.since(since)))
    }

    /// Forgets everything: an operator has looked.
    pub fn forgive(&mut self) {
        *self = Self::default();
    }
}

/// The minute that withdrawals by ill health are counted in.
const WINDOW: Duration = Duration::from_secs(60);

/// How many withdrawals by ill health are left, for all announcements of the node together.
#[derive(Clone, Debug, Default)]
pub struct Budget(VecDeque<Moment>);

impl Budget {
    /// Takes one; false where the minute has had enough.
    pub fn take(&mut self, rules: &Rules, now: Moment) -> bool {
        while self.0.front().is_some_and(|first| now.since(*first) >= WINDOW) {
            self.0.pop_front();
        }
        let left = self.0.len() < rules.withdrawals_per_minute_max as usize;
        if left {
            self.0.push_back(now);
        }
        left
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::settings::LastNode;

    pub(crate) const RULES: Rules = Rules {
        half_life: Duration::from_secs(60),
        suppress: 2000,
        reuse: 750,
        suppress_max: Duration::from_secs(900),
        withdrawals_per_minute_max: 6,
        prepended: Duration::from_secs(5),
        soft: Duration::from_millis(500),
        last_node: LastNode::Keep,
        last_node_integrity: LastNode::Withdraw,
    };

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn two_falls_are_forgiven_and_the_third_suppresses_until_the_penalty_is_gone() {
        let mut penalty = Penalty::default();
        penalty.add(&RULES, at(0));
        penalty.add(&RULES, at(1));
        assert!(!penalty.suppresses(&RULES, at(1)));
        penalty.add(&RULES, at(2));
        assert!(penalty.suppresses(&RULES, at(2)));
        // From just under 3000 to 750: two half-lives.
        assert!(penalty.suppresses(&RULES, at(100)));
        let remaining = penalty.remaining(&RULES, at(2)).as_secs();
        assert!((115..=120).contains(&remaining), "{remaining}");
        assert!(!penalty.suppresses(&RULES, at(122)));
    }

    #[test]
    fn suppression_has_an_end_whatever_happened() {
        let mut penalty = Penalty::default();
        for second in 0..1000 {
            penalty.add(&RULES, at(second));
        }
        assert!(penalty.suppresses(&RULES, at(899)));
        assert!(!penalty.suppresses(&RULES, at(1900)));
    }

    proptest! {
        #[test]
        fn no_minute_has_more_withdrawals_than_the_guard_rail_allows(gaps in prop::collection::vec(0u64..20_000, 0..200)) {
            let (mut budget, mut now, mut taken) = (Budget::default(), Moment::default(), Vec::new());
            for gap in gaps {
                now = now + Duration::from_millis(gap);
                if budget.take(&RULES, now) { taken.push(now); }
            }
            for (index, first) in taken.iter().enumerate() {
                let within = taken[index..].iter().take_while(|later| later.since(*first) < WINDOW).count();
                prop_assert!(within <= 6);
            }
        }
    }
}
