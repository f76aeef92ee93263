//! Which rung the health of one announcement allows: soft before hard, proof of another node before the last step, slow up. Pure.

use serde::Serialize;

use crate::announcement::Rung;
use crate::clock::Moment;
use crate::config::settings::{Damper as Rules, LastNode};
use crate::damper::{Budget, Penalty};
use crate::judge::Standing;

/// Whether another node announces the same addresses, as far as our own BIRD has learned it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Others {
    /// Nobody could say.
    #[default]
    Unknown,
    /// No path without the graceful-shutdown community was learned. While our own path is the best one this says nothing.
    Unseen,
    /// Every address was learned from a router, by a path that is not being shut down.
    Seen,
}

/// What health makes of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum Phase {
    /// The sidecar just started and has no verdict: what was announced stays announced.
    Holding {
        /// What was announced.
        rung: Rung,
    },
    /// Well and announced.
    Well,
    /// Well again, on the prepended rung.
    Recovering,
    /// Well again, but went down too often.
    Suppressed {
        /// Where it stays meanwhile.
        rung: Rung,
    },
    /// Ill, on the graceful rung, looking for another node.
    Soft,
    /// Ill, on the graceful rung, because nobody else announces.
    Last,
    /// Ill, on the graceful rung, because too much was withdrawn in the last minute.
    Railed,
    /// Ill and withdrawn.
    Down {
        /// Whether a wrong answer was the reason.
        integrity: bool,
    },
}

impl Phase {
    /// Its name in metrics and status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holding { .. } => "holding",
            Self::Well => "well",
            Self::Recovering => "recovering",
            Self::Suppressed { .. } => "suppressed",
            Self::Soft => "soft",
            Self::Last => "last",
            Self::Railed => "railed",
            Self::Down { .. } => "down",
        }
    }

    /// What it says in one sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Holding { .. } => "no verdict yet: what was announced stays",
            Self::Well => "all checks are good",
            Self::Recovering => "well again, slow start on the prepended rung",
            Self::Suppressed { .. } => "well again, but it went down too often: it waits",
            Self::Soft => "ill: lowered, looking for another node before it withdraws",
            Self::Last => "ILL AND THE LAST NODE: stays on the graceful rung",
            Self::Railed => "ILL, BUT TOO MANY WITHDRAWALS IN THIS MINUTE: stays on the graceful rung",
            Self::Down { integrity: true } => "withdrawn: a wrong answer",
            Self::Down { integrity: false } => "withdrawn: ill, and another node announces",
        }
    }

    /// The rung that it allows.
    pub const fn rung(self) -> Rung {
        match self {
            Self::Holding { rung } | Self::Suppressed { rung } => rung,
            Self::Well => Rung::Normal,
            Self::Recovering => Rung::Prepended,
            Self::Soft | Self::Last | Self::Railed => Rung::Graceful,
            Self::Down { .. } => Rung::Withdrawn,
        }
    }

    /// Whether a person should look.
    pub const fn is_alarm(self) -> bool {
        matches!(self, Self::Last | Self::Railed)
    }
}

/// The health of one announcement over time.
#[derive(Clone, Debug)]
pub struct Ladder {
    phase: Phase,
    since: Moment,
    /// Since when its rung is what it is: phases of one rung share it.
    rung_since: Moment,
    penalty: Penalty,
    falls: u64,
}

impl Ladder {
    /// One that was found on `rung`.
    pub fn found_on(rung: Rung, now: Moment) -> Self {
        Self {
            phase: Phase::Holding { rung },
            since: now,
            rung_since: now,
            penalty: Penalty::default(),
            falls: 0,
        }
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Since when.
    pub fn since(&self) -> Moment {
        self.since
    }

    /// The penalty.
    pub fn penalty(&self) -> &Penalty {
        &self.penalty
    }

    /// How often it fell since the start.
    pub fn falls(&self) -> u64 {
        self.falls
    }

    /// An operator has looked: no suppression, no slow start.
    pub fn forgive(&mut self, now: Moment) {
        self.penalty.forgive();
        if matches!(self.phase, Phase::Suppressed { .. } | Phase::Recovering) {
            self.enter(Phase::Well, now);
        }
    }

    /// Begins the slow start anew, where it is announced plainly.
    pub fn start_slowly(&mut self, rules: &Rules, now: Moment) {
        if self.phase == Phase::Well && !rules.prepended.is_zero() {
            self.enter(Phase::Recovering, now);
        }
    }

    /// Takes the verdict of now; true if the phase is another one. Call until it is not.
    pub fn step(
        &mut self,
        verdict: Standing,
        others: Others,
        budget: &mut Budget,
        rules: &Rules,
        now: Moment,
    ) -> bool {
        let before = self.phase;
        match verdict {
            Standing::Unknown => self.step_blind(others, rules, now),
            Standing::Good => self.step_well(others, rules, now),
            Standing::Wrong => self.step_wrong(others, budget, rules, now),
            Standing::Dead => self.step_ill(true, others, budget, rules, now),
            Standing::Slow => self.step_ill(false, others, budget, rules, now),
        }
        self.phase != before
    }

    /// Unknown is not down: nothing is lowered. But what was withdrawn for another node's sake returns when that is gone.
    fn step_blind(&mut self, others: Others, rules: &Rules, now: Moment) {
        let gave_way = matches!(
            self.phase,
            Phase::Down { integrity: false } | Phase::Suppressed { rung: Rung::Withdrawn }
        );
        if gave_way && self.is_missed(others, rules, now) {
            self.enter(Phase::Last, now);
        }
    }

    /// Whether nobody serves the addresses now that this node does not.
    fn is_missed(&self, others: Others, rules: &Rules, now: Moment) -> bool {
        others == Others::Unseen
            && now.since(self.since) >= alone_after(rules)
            && rules.last_node == LastNode::Keep
    }

    fn step_well(&mut self, others: Others, rules: &Rules, now: Moment) {
        let first = if rules.prepended.is_zero() { Phase::Well } else { Phase::Recovering };
        match self.phase {
            Phase::Well => {}
            Phase::Holding { rung: Rung::Normal } => self.enter(Phase::Well, now),
            Phase::Holding { .. } => self.enter(first, now),
            Phase::Recovering if now.since(self.since) >= rules.prepended => self.enter(Phase::Well, now),
            Phase::Recovering => {}
            Phase::Soft | Phase::Last | Phase::Railed | Phase::Down { .. } => {
                if self.penalty.suppresses(rules, now) {
                    self.enter(Phase::Suppressed { rung: self.phase.rung() }, now);
                } else {
                    self.enter(first, now);
                }
            }
            // Nobody else serves the address, so a flapping node is better than none.
            Phase::Suppressed { .. }
                if others == Others::Unseen && now.since(self.rung_since) >= alone_after(rules) =>
            {
                self.enter(first, now);
            }
            Phase::Suppressed { .. } if !self.penalty.suppresses(rules, now) => self.enter(first, now),
            Phase::Suppressed { .. } => {}
        }
    }

    fn step_wrong(&mut self, others: Others, budget: &mut Budget, rules: &Rules, now: Moment) {
        match (self.phase, rules.last_node_integrity) {
            (Phase::Down { integrity: true }, _) => {}
            (_, LastNode::Withdraw) => self.fall(Phase::Down { integrity: true }, rules, now),
            (_, LastNode::Keep) => self.step_ill(true, others, budget, rules, now),
        }
    }

    /// `hard`: it may withdraw. A slow node stays on the graceful rung: late answers are better than none.
    fn step_ill(&mut self, hard: bool, others: Others, budget: &mut Budget, rules: &Rules, now: Moment) {
        let waited = now.since(self.since) >= rules.soft;
        match self.phase {
            Phase::Holding { rung: Rung::Withdrawn } | Phase::Suppressed { rung: Rung::Withdrawn } => {
                self.enter(Phase::Down { integrity: false }, now);
            }
            Phase::Holding { rung: Rung::Graceful } | Phase::Suppressed { .. } => {
                self.enter(Phase::Soft, now);
            }
            Phase::Holding { .. } | Phase::Well | Phase::Recovering => self.fall(Phase::Soft, rules, now),
            Phase::Soft | Phase::Last | Phase::Railed if hard && others == Others::Seen => {
                if budget.take(rules, now) {
                    self.enter(Phase::Down { integrity: false }, now);
                } else if self.phase != Phase::Railed {
                    self.enter(Phase::Railed, now);
                }
            }
            Phase::Soft if waited && hard && rules.last_node == LastNode::Withdraw => {
                if budget.take(rules, now) {
                    self.enter(Phase::Down { integrity: false }, now);
                }
            }
            Phase::Soft if waited && others != Others::Seen => self.enter(Phase::Last, now),
            Phase::Soft | Phase::Last | Phase::Railed => {}
            // Whoever announced when we withdrew is gone: an ill node is better than none.
            Phase::Down { integrity: false } if self.is_missed(others, rules, now) => {
                self.enter(Phase::Last, now);
            }
            // The wrong answers ended, but it is not well: from here on it is ill like any other.
            Phase::Down { integrity: true } => self.enter(Phase::Down { integrity: false }, now),
            Phase::Down { .. } => {}
        }
    }

    fn fall(&mut self, phase: Phase, rules: &Rules, now: Moment) {
        if self.phase.rung() > Rung::Graceful {
            self.penalty.add(rules, now);
            self.falls += 1;
        }
        self.enter(phase, now);
    }

    fn enter(&mut self, phase: Phase, now: Moment) {
        if phase.rung() != self.phase.rung() {
            self.rung_since = now;
        }
        self.phase = phase;
        self.since = now;
    }
}

/// Time after which an unseen neighbour is gone, and not merely on its way through the routers.
fn alone_after(rules: &Rules) -> std::time::Duration {
    rules.soft.max(std::time::Duration::from_secs(1))
}

#[cfg(test)]
mod tests;
