//! HOT: a bounded memory of what sources did lately, in points that halve with time.
//!
//! A source has two levels: points against it and points for it. What counts is the difference, so that an office or a
//! carrier's gateway with many good requests survives the one scanner behind it; and the share of the second tells whether
//! people sit behind the address as well.
//!
//! The table has sets of [`WAYS`] places. A deed against its sender takes the place with the fewest points against; a deed for its
//! sender takes an empty or faded place only, so that crowds of people push nobody out. Who is pushed out loses points,
//! never a ban: bans live in the guard's table. Sets are chosen by a seeded hash: nobody can aim at a set.
//!
//! Cost: one hash, and a set of 128 bytes, which is two cache lines; `appliance/examples/cost_of_a_deed.rs` measures it.

use std::time::Instant;

use ahash::RandomState;

use super::{Deed, Source};
use crate::config::settings::Scoring;

/// Places of a set.
const WAYS: usize = 4;
/// A place that is worth less is as good as empty, in points.
const FADED: f32 = 0.5;
/// More points than this are not remembered: a float counts in ones up to sixteen million.
const POINTS_MAX: f32 = 10_000_000.0;
/// A good share of this much makes an address a shared one: a quarter of the points against it.
const SHARED_PER_BAD: f32 = 0.25;

/// What is known about one source. The default is an empty place.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    source: Option<Source>,
    against: f32,
    good: f32,
    /// When both were right, in milliseconds since the epoch of the table. It wraps after 49 days: who was silent for exactly
    /// that long has its points back, once.
    at_ms: u32,
}

const _: () = assert!(size_of::<[Entry; WAYS]>() == 128, "a set is two cache lines");

impl Entry {
    /// Fades both levels to `now_ms`.
    #[inline]
    fn fade(&mut self, now_ms: u32, per_ms: f32) {
        let factor = (-(now_ms.wrapping_sub(self.at_ms) as f32) * per_ms).exp2();
        self.against *= factor;
        self.good *= factor;
        self.at_ms = now_ms;
    }

    /// What is lost with the place: points against a source before points for it. Otherwise addresses with many good
    /// requests could shield a scanner by filling its set.
    fn worth(&self) -> (f32, f32) {
        (if self.against < FADED { 0.0 } else { self.against }, self.good)
    }
}

/// A source went over the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offence {
    /// Points against it.
    pub against: f32,
    /// Points for it.
    pub good: f32,
    /// Whether so many good requests came from it that people must be behind it as well.
    pub shared: bool,
}

/// The scores of one shard.
pub struct Scores {
    scoring: Scoring,
    per_ms: f32,
    epoch: Instant,
    hasher: RandomState,
    sets: Box<[[Entry; WAYS]]>,
}

impl Scores {
    /// An empty memory for about `sources` sources, rounded up to a power of two; `seed` must be secret.
    pub fn new(scoring: Scoring, sources: usize, seed: [u64; 4], epoch: Instant) -> Self {
        let sets = sources.div_ceil(WAYS).next_power_of_two();
        let [a, b, c, d] = seed;
        Self {
            per_ms: 1.0 / (scoring.half_life.as_millis().max(1) as f32),
            scoring,
            epoch,
            hasher: RandomState::with_seeds(a, b, c, d),
            sets: vec![[Entry::default(); WAYS]; sets].into_boxed_slice(),
        }
    }

    /// Remembers a deed. Some if it takes its sender over the threshold: the points against it then start from zero again,
    /// so that each further offence needs as many requests as the first.
    #[inline]
    pub fn record(&mut self, source: Source, deed: Deed, now: Instant) -> Option<Offence> {
        let points = deed.points(&self.scoring) as f32;
        let now_ms = now.saturating_duration_since(self.epoch).as_millis() as u32;
        let set = self.hasher.hash_one(source) as usize & (self.sets.len() - 1);
        let set = &mut self.sets[set];
        let place = match set.iter().position(|entry| entry.source == Some(source)) {
            Some(place) => place,
            None => Self::place_in(set, source, deed, now_ms, self.per_ms)?,
        };
        let entry = &mut set[place];
        entry.fade(now_ms, self.per_ms);
        if deed == Deed::Good {
            entry.good = (entry.good + points).min(POINTS_MAX);
            return None;
        }
        entry.against = (entry.against + points).min(POINTS_MAX);
        if entry.against - entry.good <= self.scoring.threshold as f32 {
            return None;
        }
        let Entry { against, good, .. } = *entry;
        entry.against = 0.0;
        Some(Offence { against, good, shared: good >= against * SHARED_PER_BAD })
    }

    /// Finds a place for a source that has none; `None` if it gets none.
    #[cold]
    fn place_in(
        set: &mut [Entry; WAYS],
        source: Source,
        deed: Deed,
        now_ms: u32,
        per_ms: f32,
    ) -> Option<usize> {
        let mut least = 0;
        for place in 0..WAYS {
            set[place].fade(now_ms, per_ms);
            if set[place].worth() < set[least].worth() {
                least = place;
            }
        }
        let (against, good) = set[least].worth();
        if deed == Deed::Good && against + good >= FADED {
            return None;
        }
        set[least] = Entry { source: Some(source), against: 0.0, good: 0.0, at_ms: now_ms };
        Some(least)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const SCORING: Scoring = Scoring {
        threshold: 20,
        half_life: Duration::from_secs(10),
        unknown_code: 1,
        unknown_host: 3,
        junk: 5,
        good: 2,
    };

    fn scores(sources: usize) -> (Scores, Instant) {
        let epoch = Instant::now();
        (Scores::new(SCORING, sources, [1, 2, 3, 4], epoch), epoch)
    }

    /// Sends `count` deeds at `now`; how many of them were offences.
    fn send(scores: &mut Scores, source: Source, deed: Deed, count: usize, now: Instant) -> usize {
        (0..count).filter(|_| scores.record(source, deed, now).is_some()).count()
    }

    #[test]
    fn a_scanner_goes_over_the_threshold_and_needs_as_many_requests_for_the_next_offence() {
        let (mut scores, now) = scores(64);
        assert_eq!(send(&mut scores, Source::V4(1), Deed::UnknownCode, 20, now), 0);
        let offence = scores.record(Source::V4(1), Deed::UnknownCode, now).unwrap();
        assert!(!offence.shared && offence.against > 20.0);
        assert_eq!(send(&mut scores, Source::V4(1), Deed::UnknownCode, 20, now), 0);
    }

    #[test]
    fn an_office_with_many_good_requests_survives_the_scanner_behind_it() {
        let (mut scores, epoch) = scores(64);
        let office = Source::V4(7);
        // Nine people click while one of them scans, for a minute.
        for second in 0..60 {
            let now = epoch + Duration::from_secs(second);
            assert_eq!(send(&mut scores, office, Deed::Good, 9, now), 0);
            assert_eq!(send(&mut scores, office, Deed::UnknownCode, 10, now), 0);
        }
    }

    #[test]
    fn a_scanner_among_fewer_good_requests_offends_as_a_shared_address() {
        let (mut scores, now) = scores(64);
        send(&mut scores, Source::V4(7), Deed::Good, 10, now);
        let offence = (0..100).find_map(|_| scores.record(Source::V4(7), Deed::UnknownCode, now)).unwrap();
        assert!(offence.shared, "{offence:?}");
    }

    #[test]
    fn people_who_mistype_now_and_then_never_offend() {
        let (mut scores, epoch) = scores(64);
        for second in 0..600 {
            let now = epoch + Duration::from_secs(second);
            assert_eq!(send(&mut scores, Source::V6(3), Deed::UnknownCode, 1, now), 0);
        }
    }

    #[test]
    fn crowds_of_people_push_out_nobody_and_crowds_of_strangers_push_out_no_heavy_offender() {
        let (mut scores, now) = scores(64);
        send(&mut scores, Source::V4(0), Deed::UnknownCode, 15, now);
        for stranger in 1..10_000 {
            send(&mut scores, Source::V4(stranger), Deed::Good, 20, now);
        }
        for stranger in 10_000..20_000 {
            send(&mut scores, Source::V4(stranger), Deed::UnknownCode, 3, now);
        }
        assert_eq!(
            send(&mut scores, Source::V4(0), Deed::UnknownCode, 6, now),
            1,
            "15 + 6 points are over 20"
        );
    }

    #[test]
    fn a_level_of_weeks_ago_is_nothing() {
        let (mut scores, epoch) = scores(64);
        send(&mut scores, Source::V4(1), Deed::UnknownCode, 20, epoch);
        let later = epoch + Duration::from_secs(40 * 86_400);
        assert_eq!(send(&mut scores, Source::V4(1), Deed::UnknownCode, 20, later), 0);
    }

    /// Remembers every deed of everybody and adds them up anew each time.
    #[derive(Default)]
    struct Oracle(BTreeMap<Source, Vec<(Deed, u64)>>);

    impl Oracle {
        fn record(&mut self, source: Source, deed: Deed, at_ms: u64) -> (f64, f64, bool) {
            let deeds = self.0.entry(source).or_default();
            deeds.push((deed, at_ms));
            let level = |good: bool| -> f64 {
                deeds
                    .iter()
                    .filter(|(deed, _)| (*deed == Deed::Good) == good)
                    .map(|(deed, then)| {
                        f64::from(deed.points(&SCORING)) * (-((at_ms - then) as f64) / 10_000.0).exp2()
                    })
                    .sum()
            };
            let (against, good) = (level(false), level(true));
            let over = deed != Deed::Good && against - good > f64::from(SCORING.threshold);
            if over {
                deeds.retain(|(deed, _)| *deed == Deed::Good);
            }
            (against, good, over)
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_adding_up_everything(
            steps in prop::collection::vec((0..6_u32, 0..4_u8, 0..3_000_u64), 0..400),
        ) {
            // So many places that nobody is pushed out.
            let (mut scores, epoch) = scores(4_096);
            let mut oracle = Oracle::default();
            let mut at_ms = 0;
            for (number, deed, pause_ms) in steps {
                at_ms += pause_ms;
                let deed = [Deed::Good, Deed::UnknownCode, Deed::UnknownHost, Deed::Junk][usize::from(deed)];
                let source = if number % 2 == 0 { Source::V4(number) } else { Source::V6(number.into()) };
                let (against, good, over) = oracle.record(source, deed, at_ms);
                let offence = scores.record(source, deed, epoch + Duration::from_millis(at_ms));
                // Within a hundredth of a point, either answer is right; they cannot be compared after a difference.
                if (against - good - f64::from(SCORING.threshold)).abs() < 0.01 {
                    return Ok(());
                }
                prop_assert_eq!(offence.is_some(), over, "{} - {}", against, good);
                if let Some(offence) = offence {
                    prop_assert!((f64::from(offence.against) - against).abs() < 0.01);
                    prop_assert!((f64::from(offence.good) - good).abs() < 0.01);
                }
            }
        }
    }
}
