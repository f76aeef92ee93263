//! From single results to a verdict: rise and fall, latency over a window, and the difference between down and unknown. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Moment;
use crate::config::settings::Judge;

/// What one probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The right answer, after so long.
    Right(Duration),
    /// No answer, or one that says that the node cannot serve.
    Failed(String),
    /// An answer that must never be given: integrity.
    Wrong(String),
    /// Nothing can be said about the node: the prober was starved, or could not ask.
    Unknown(String),
}

/// How one check stands. The order is that of gravity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Well.
    Good,
    /// Nothing was found out yet.
    #[default]
    Unknown,
    /// Right, but late too often.
    Slow,
    /// No right answer.
    Dead,
    /// A wrong answer.
    Wrong,
}

impl Standing {
    /// All, from the mildest to the gravest.
    pub const ALL: [Self; 5] = [Self::Good, Self::Unknown, Self::Slow, Self::Dead, Self::Wrong];

    /// Its name in metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Slow => "slow",
            Self::Dead => "dead",
            Self::Wrong => "wrong",
        }
    }

    /// Whether it calls for a change downwards.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Slow | Self::Dead | Self::Wrong)
    }
}

/// One check: what was found so far, and what that means.
#[derive(Clone, Debug, Default)]
pub struct Check {
    standing: Standing,
    since: Moment,
    right_run: u32,
    failed_run: u32,
    late: VecDeque<bool>,
    evidence: String,
}

impl Check {
    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Since when it stands so.
    pub fn since(&self) -> Moment {
        self.since
    }

    /// What was found last that was not right; kept until it is good again.
    pub fn evidence(&self) -> &str {
        &self.evidence
    }

    /// Whether the next result may change it, so that it should be asked for soon.
    pub fn in_doubt(&self) -> bool {
        match self.standing {
            Standing::Unknown => true,
            Standing::Good | Standing::Slow => self.failed_run > 0,
            Standing::Dead | Standing::Wrong => self.right_run > 0,
        }
    }

    /// Takes a result; true if it stands differently now.
    pub fn take(&mut self, outcome: Outcome, latency_max: Duration, rules: &Judge, now: Moment) -> bool {
        let before = self.standing;
        match outcome {
            // Unknown is not down, and it is no success in a row either: it counts nothing.
            Outcome::Unknown(_) => return false,
            Outcome::Wrong(evidence) => {
                self.right_run = 0;
                self.failed_run = self.failed_run.saturating_add(1);
                self.standing = Standing::Wrong;
                self.evidence = evidence;
            }
            Outcome::Failed(evidence) => {
                self.right_run = 0;
                self.failed_run = self.failed_run.saturating_add(1);
                if self.standing != Standing::Wrong {
                    self.evidence = evidence;
                    if self.failed_run >= rules.fall {
                        self.standing = Standing::Dead;
                    }
                }
            }
            Outcome::Right(latency) => {
                self.failed_run = 0;
                self.right_run = self.right_run.saturating_add(1);
                self.take_latency(latency, latency_max, rules);
            }
        }
        if self.standing != before {
            self.since = now;
        }
        self.standing != before
    }

    fn take_latency(&mut self, latency: Duration, latency_max: Duration, rules: &Judge) {
        self.late.push_back(latency > latency_max);
        while self.late.len() > rules.latency_window {
            self.late.pop_front();
        }
        let late = self.late.iter().filter(|late| **late).count();
        match self.standing {
            Standing::Unknown | Standing::Dead | Standing::Wrong if self.right_run < rules.rise => {}
            Standing::Unknown | Standing::Dead | Standing::Wrong | Standing::Good => {
                let slow = late >= rules.latency_bad_min;
                self.standing = if slow { Standing::Slow } else { Standing::Good };
                if slow {
                    self.evidence =
                        format!("{late} of {} answers later than {latency_max:?}", self.late.len());
                }
            }
            // Back only when clearly better, or a node at the bound would flap.
            Standing::Slow if late * 2 <= rules.latency_bad_min => self.standing = Standing::Good,
            Standing::Slow => {}
        }
        if self.standing == Standing::Good {
            self.evidence.clear();
        }
    }
}

/// The gravest of several standings, and which one it is. Without any, nothing is known.
pub fn gravest<'c>(checks: impl Iterator<Item = (usize, &'c Check)>) -> (Standing, Option<usize>) {
    let worst = checks
        .map(|(index, check)| (check.standing, index))
        .max_by_key(|(standing, index)| (*standing, usize::MAX - index));
    worst.map_or((Standing::Unknown, None), |(standing, index)| (standing, Some(index)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Judge = Judge { fall: 2, rise: 3, latency_window: 10, latency_bad_min: 6 };
    const LATENCY_MAX: Duration = Duration::from_millis(50);

    fn after(outcomes: &str) -> Check {
        let mut check = Check::default();
        for letter in outcomes.chars() {
            let outcome = match letter {
                'r' => Outcome::Right(Duration::from_millis(1)),
                's' => Outcome::Right(Duration::from_millis(60)),
                'f' => Outcome::Failed("refused".into()),
                'w' => Outcome::Wrong("other".into()),
                _ => Outcome::Unknown("late".into()),
            };
            check.take(outcome, LATENCY_MAX, &RULES, Moment::default());
        }
        check
    }

    #[test]
    fn results_become_a_standing_by_rise_and_fall() {
        for (outcomes, standing) in [
            ("", Standing::Unknown),
            ("rr", Standing::Unknown),
            ("rrr", Standing::Good),
            ("f", Standing::Unknown),
            ("ff", Standing::Dead),
            ("rrrf", Standing::Good),
            ("rrrfrfrf", Standing::Good),
            ("rrrff", Standing::Dead),
            ("rrrfuf", Standing::Dead),
            ("rrrfuuuuuuuu", Standing::Good),
            ("rrruuuuuuuu", Standing::Good),
            ("rrrffrr", Standing::Dead),
            ("rrrffrrr", Standing::Good),
            ("rrrw", Standing::Wrong),
            ("rrrwffff", Standing::Wrong),
            ("rrrwrr", Standing::Wrong),
            ("rrrwrrr", Standing::Good),
            ("rrrsssss", Standing::Good),
            ("rrrssssss", Standing::Slow),
            ("rrrssssssrrrrrrrr", Standing::Good),
            ("ssssss", Standing::Slow),
        ] {
            assert_eq!(after(outcomes).standing(), standing, "{outcomes}");
        }
    }

    #[test]
    fn a_check_is_in_doubt_while_the_next_result_may_change_it() {
        for (outcomes, doubt) in
            [("", true), ("rrr", false), ("rrrf", true), ("rrrff", false), ("rrrffr", true)]
        {
            assert_eq!(after(outcomes).in_doubt(), doubt, "{outcomes}");
        }
    }

    #[test]
    fn evidence_stays_until_all_is_well() {
        assert_eq!(after("rrrff").evidence(), "refused");
        assert_eq!(after("rrrffrr").evidence(), "refused");
        assert_eq!(after("rrrwff").evidence(), "other");
        assert_eq!(after("rrrffrrr").evidence(), "");
    }

    proptest! {
        /// A naive reading of the same rules over the whole history.
        #[test]
        fn unknown_results_never_change_what_others_add_up_to(outcomes in "[rfwu]{0,60}") {
            let without: String = outcomes.chars().filter(|letter| *letter != 'u').collect();
            prop_assert_eq!(after(&outcomes).standing(), after(&without).standing());
        }

        #[test]
        fn dead_needs_a_run_of_failures_and_good_a_run_of_successes(outcomes in "[rfw]{0,60}") {
            let standing = after(&outcomes).standing();
            let last_run = |letter: char| outcomes.chars().rev().take_while(|other| *other == letter).count();
            if last_run('r') >= 3 { prop_assert_eq!(standing, Standing::Good); }
            if outcomes.ends_with('w') { prop_assert_eq!(standing, Standing::Wrong); }
            if last_run('f') >= 2 { prop_assert!(matches!(standing, Standing::Dead | Standing::Wrong)); }
            if standing == Standing::Dead { prop_assert!(outcomes.contains("ff") || outcomes.contains("wf")); }
        }
    }
}
