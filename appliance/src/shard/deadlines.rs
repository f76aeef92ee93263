//! HOT: when each connection's patience ends: one number per slot, and a sweep that looks at all of them.
//!
//! Setting a deadline is one store, which happens with every request; a timer wheel would pay there. Looking at the
//! numbers of 16,384 connections takes some 10 µs, and happens ten times a second.

use std::time::Instant;

/// No deadline.
const NEVER: u64 = u64::MAX;

/// The deadlines of all slots, in milliseconds since the start of the shard.
pub(super) struct Deadlines {
    epoch: Instant,
    at_ms: Vec<u64>,
    /// The slot that the next sweep looks at first.
    cursor: usize,
}

/// How far a sweep came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swept {
    /// It looked at as much as it may, or at everything.
    Enough,
    /// It found as many expired slots as it may return, and there may be more.
    More,
}

impl Deadlines {
    /// A table without slots.
    pub(super) fn new(epoch: Instant) -> Self {
        Self { epoch, at_ms: Vec::new(), cursor: 0 }
    }

    /// Sets the deadline of `slot`, which replaces an older one.
    #[inline]
    pub(super) fn set(&mut self, slot: u32, deadline: Instant) {
        let since_epoch = deadline.saturating_duration_since(self.epoch);
        // Rounded up: a deadline is never early.
        let at_ms = since_epoch.as_millis() as u64 + 1;
        match self.at_ms.get_mut(slot as usize) {
            Some(place) => *place = at_ms,
            None => self.grow(slot, at_ms),
        }
    }

    /// Forgets the deadline of `slot`.
    #[inline]
    pub(super) fn clear(&mut self, slot: u32) {
        if let Some(place) = self.at_ms.get_mut(slot as usize) {
            *place = NEVER;
        }
    }

    /// Appends the slots whose deadline has passed at `now` to `expired`, at most `expired_max` of them, and forgets their
    /// deadlines. Looks at `looked_at_max` slots at most; the next sweep goes on where this one ended.
    pub(super) fn sweep(
        &mut self,
        now: Instant,
        looked_at_max: usize,
        expired_max: usize,
        expired: &mut Vec<u32>,
    ) -> Swept {
        let now_ms = now.saturating_duration_since(self.epoch).as_millis() as u64;
        let found_max = expired.len() + expired_max;
        for _ in 0..looked_at_max.min(self.at_ms.len()) {
            if expired.len() == found_max {
                return Swept::More;
            }
            if self.cursor >= self.at_ms.len() {
                self.cursor = 0;
            }
            let at_ms = &mut self.at_ms[self.cursor];
            if *at_ms <= now_ms {
                *at_ms = NEVER;
                expired.push(self.cursor as u32);
            }
            self.cursor += 1;
        }
        Swept::Enough
    }

    #[cold]
    fn grow(&mut self, slot: u32, at_ms: u64) {
        self.at_ms.resize(slot as usize + 1, NEVER);
        self.at_ms[slot as usize] = at_ms;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set { slot: u32, in_ms: u64 },
        Clear { slot: u32 },
        Pass { ms: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..40_u32, 0..500_u64).prop_map(|(slot, in_ms)| Step::Set { slot, in_ms }),
            (0..40_u32).prop_map(|slot| Step::Clear { slot }),
            (1..300_u64).prop_map(|ms| Step::Pass { ms }),
        ]
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map_that_is_searched(steps in prop::collection::vec(step(), 0..200)) {
            let epoch = Instant::now();
            let mut now = epoch;
            let mut deadlines = Deadlines::new(epoch);
            let mut oracle = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Set { slot, in_ms } => {
                        deadlines.set(slot, now + Duration::from_millis(in_ms));
                        oracle.insert(slot, now + Duration::from_millis(in_ms));
                    }
                    Step::Clear { slot } => {
                        deadlines.clear(slot);
                        oracle.remove(&slot);
                    }
                    Step::Pass { ms } => {
                        now += Duration::from_millis(ms);
                        let mut expired = Vec::new();
                        let swept = deadlines.sweep(now, usize::MAX, usize::MAX, &mut expired);
                        prop_assert_eq!(swept, Swept::Enough);
                        expired.sort_unstable();
                        let due: Vec<u32> =
                            oracle.iter().filter(|(_, at)| **at < now).map(|(slot, _)| *slot).collect();
                        oracle.retain(|_, at| *at >= now);
                        prop_assert_eq!(expired, due);
                    }
                }
            }
        }
    }

    #[test]
    fn bounded_sweeps_reach_every_slot_in_turn() {
        let epoch = Instant::now();
        let mut deadlines = Deadlines::new(epoch);
        for slot in 0..100 {
            deadlines.set(slot, epoch);
        }
        let later = epoch + Duration::from_secs(1);
        let mut expired = Vec::new();
        assert_eq!(deadlines.sweep(later, 30, usize::MAX, &mut expired), Swept::Enough);
        assert_eq!(expired, (0..30).collect::<Vec<_>>());
        assert_eq!(deadlines.sweep(later, usize::MAX, 50, &mut expired), Swept::More);
        assert_eq!(expired, (0..80).collect::<Vec<_>>());
        deadlines.set(5, epoch);
        assert_eq!(deadlines.sweep(later, usize::MAX, 50, &mut expired), Swept::Enough);
        assert_eq!(expired, (0..100).chain([5]).collect::<Vec<_>>());
    }

    #[test]
    fn a_deadline_is_never_early() {
        let epoch = Instant::now();
        let mut deadlines = Deadlines::new(epoch);
        deadlines.set(0, epoch + Duration::from_micros(1_500));
        let mut expired = Vec::new();
        deadlines.sweep(epoch + Duration::from_micros(1_499), usize::MAX, usize::MAX, &mut expired);
        assert!(expired.is_empty());
        deadlines.sweep(epoch + Duration::from_millis(2), usize::MAX, usize::MAX, &mut expired);
        assert_eq!(expired, [0]);
    }
}
