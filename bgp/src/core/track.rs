//! One announcement: its health, what operators want of it, and the rung that follows. Pure.

use crate::announcement::{Announcement, Rung};
use crate::clock::Moment;
use crate::config::Settings;
use crate::config::settings::Damper as Rules;
use crate::damper::Budget;
use crate::intent::{Freeze, Intent, Kept, Wish};
use crate::judge::Standing;
use crate::ladder::{Ladder, Others, Phase};
use crate::limits::{ROUTERS_CHOOSE, SIGHTING_AGE_MAX};

use super::Event;

/// One announcement.
#[derive(Clone, Debug)]
pub struct Track {
    /// What is announced.
    pub announcement: Announcement,
    /// What operators want.
    pub(super) intent: Option<Intent>,
    /// Whether health has no say.
    pub(super) freeze: Option<Freeze>,
    pub(super) ladder: Ladder,
    verdict: Standing,
    evidence: String,
    wanted: Rung,
    since: Moment,
    why: String,
    others: Others,
    /// When `others` was learned, and since when it has been the same.
    others_at: Moment,
    others_since: Moment,
}

/// Steps of one decision: each phase is left at most once.
const STEPS_MAX: usize = 8;

impl Track {
    pub(super) fn new(announcement: Announcement, rung: Rung, now: Moment) -> Self {
        Self {
            announcement,
            intent: None,
            freeze: None,
            ladder: Ladder::found_on(rung, now),
            verdict: Standing::Unknown,
            evidence: String::new(),
            wanted: rung,
            since: now,
            why: "found so at the start".into(),
            others: Others::Unknown,
            others_at: now,
            others_since: now,
        }
    }

    /// What operators want.
    pub fn intent(&self) -> Option<&Intent> {
        self.intent.as_ref()
    }

    /// Whether health has no say.
    pub fn freeze(&self) -> Option<&Freeze> {
        self.freeze.as_ref()
    }

    /// Health over time.
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// The verdict of now.
    pub fn verdict(&self) -> Standing {
        self.verdict
    }

    /// What the verdict comes from.
    pub fn evidence(&self) -> &str {
        &self.evidence
    }

    /// The rung that is wanted.
    pub fn wanted(&self) -> Rung {
        self.wanted
    }

    /// Since when.
    pub fn since(&self) -> Moment {
        self.since
    }

    /// Why.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Whether another node announces.
    pub fn others(&self) -> Others {
        self.others
    }

    pub(super) fn take_others(&mut self, others: Others, now: Moment) {
        if others != self.others {
            self.others_since = now;
        }
        self.others = others;
        self.others_at = now;
    }

    /// What must survive a restart; nothing where there is nothing.
    pub(super) fn kept(&self) -> Option<Kept> {
        let Self { announcement, intent, freeze, .. } = self;
        (intent.is_some() || freeze.is_some()).then(|| Kept {
            announcement: announcement.name(),
            intent: intent.clone(),
            freeze: freeze.clone(),
        })
    }

    pub(super) fn waits_for_others(&self, rules: &Rules, now: Moment) -> bool {
        let asks = match self.ladder.phase() {
            Phase::Soft => true,
            Phase::Last | Phase::Railed | Phase::Down { .. } | Phase::Suppressed { .. } => false,
            Phase::Holding { .. } | Phase::Well | Phase::Recovering => {
                self.intent.as_ref().is_some_and(|intent| intent.waiting_for == WAITING_FOR_OTHERS)
            }
        };
        // Whoever did not show up by then is looked for at the pace of every other reading.
        asks && now.since(self.since) <= rules.soft.max(std::time::Duration::from_secs(1))
    }

    /// Decides on a rung; true if what operators want has changed, so that it must be kept.
    #[expect(clippy::too_many_arguments, reason = "the facts of one decision")]
    pub(super) fn decide(
        &mut self,
        verdict: Standing,
        evidence: &str,
        quiet: Option<bool>,
        budget: &mut Budget,
        settings: &Settings,
        events: &mut Vec<Event>,
        now: Moment,
    ) -> bool {
        self.verdict = verdict;
        evidence.clone_into(&mut self.evidence);
        for _ in 0..STEPS_MAX {
            let before = self.ladder.phase();
            // An announcement that is down by an operator's wish needs no budget and no second opinion.
            if !self.ladder.step(verdict, self.others_after_lowering(), budget, &settings.damper, now) {
                break;
            }
            events.push(self.event(
                "phase",
                None,
                format!(
                    "{}, it was {}: {}",
                    self.ladder.phase().name(),
                    before.name(),
                    self.ladder.phase().meaning()
                ),
            ));
        }
        let kept_before = self.kept();
        self.end_what_has_ended(settings, events, now);
        let ceiling = self.ceiling(quiet, settings, now);
        let health = self.ladder.phase().rung();
        let (wanted, why) = match (&self.freeze, &self.intent) {
            (Some(freeze), _) => (freeze.rung, format!("frozen by {}", freeze.actor)),
            (None, Some(intent)) if ceiling < health => {
                let waiting = if intent.waiting_for.is_empty() {
                    String::new()
                } else {
                    format!(", waiting for {}", intent.waiting_for)
                };
                (ceiling, format!("{} by {}{waiting}", intent.wish.name(), intent.actor))
            }
            _ => (health, format!("{}: {}", self.ladder.phase().name(), self.ladder.phase().meaning())),
        };
        self.why = why;
        if wanted != self.wanted {
            let rungs = Some((self.wanted, wanted));
            (self.wanted, self.since) = (wanted, now);
            events.push(self.event("rung", rungs, self.why.clone()));
        }
        if wanted == Rung::Withdrawn
            && let Some(intent) = &mut self.intent
            && intent.wish != (Wish::Weight { rung: Rung::Prepended })
            && ceiling == Rung::Withdrawn
        {
            intent.down_since.get_or_insert(now);
        }
        self.kept() != kept_before
    }

    /// Whether another node announces, as far as it proves that this one may go: two nodes that fall at once have each seen the
    /// other announce, so a path counts only if it is there when routers have chosen anew.
    fn others_after_lowering(&self) -> Others {
        let is_proof = self.others_at >= self.ladder.rung_since() + ROUTERS_CHOOSE;
        match self.others {
            Others::Seen if self.ladder.phase().rung() == Rung::Graceful && !is_proof => Others::Unknown,
            others => others,
        }
    }

    /// Whether another node announces, as far as an operator's withdrawal may count on it: learned when this announcement was low
    /// for long enough that routers have chosen anew, and just now. Two nodes that are drained at once have each seen the other.
    fn others_are_proven(&self, now: Moment) -> bool {
        self.others == Others::Seen
            && self.wanted <= Rung::Graceful
            && self.others_at >= self.since + ROUTERS_CHOOSE
            && now.since(self.others_at) <= SIGHTING_AGE_MAX
    }

    /// The highest rung that operators allow.
    fn ceiling(&mut self, quiet: Option<bool>, settings: &Settings, now: Moment) -> Rung {
        let proven = self.others_are_proven(now);
        let Some(intent) = &mut self.intent else { return Rung::Normal };
        let Intent { wish, began, until: _, force, actor: _, reason: _, down_since, waiting_for } = intent;
        waiting_for.clear();
        let reached = down_since.is_some();
        match *wish {
            Wish::Weight { rung } => return rung,
            Wish::Drain if reached => {}
            Wish::Drain => {
                let age = now.since(*began);
                let settled = age >= settings.drain.settle;
                let rested = settled && quiet == Some(true);
                if !rested && age < settings.drain.deadline {
                    (if settled { "quiet" } else { "routers to settle" }).clone_into(waiting_for);
                    return Rung::Graceful;
                }
            }
            Wish::Withdraw | Wish::Drill => {}
        }
        if reached || *force || proven {
            return Rung::Withdrawn;
        }
        WAITING_FOR_OTHERS.clone_into(waiting_for);
        Rung::Graceful
    }

    fn end_what_has_ended(&mut self, settings: &Settings, events: &mut Vec<Event>, now: Moment) {
        if self.freeze.as_ref().is_some_and(|freeze| now >= freeze.until) {
            let freeze = self.freeze.take();
            let actor = freeze.map(|freeze| freeze.actor).unwrap_or_default();
            events.push(self.event("freeze", None, format!("the freeze by {actor} has ended by itself")));
        }
        let Some(intent) = &self.intent else { return };
        let name = intent.wish.name();
        if intent.until.is_some_and(|until| now >= until) {
            let cause = format!("the {name} by {} has ended by itself", intent.actor);
            self.end_intent(settings, now);
            events.push(self.event("intent", None, cause));
        } else if intent.wish == Wish::Drill && !intent.force {
            let alone = |down: Moment| {
                self.others == Others::Unseen
                    && now.since(self.others_since.max(down)) >= std::time::Duration::from_secs(2)
            };
            if intent.down_since.is_some_and(alone) {
                let cause = format!("the {name} by {} is broken off: nobody else announces", intent.actor);
                self.end_intent(settings, now);
                events.push(self.event("intent", None, cause));
            }
        }
    }

    /// Back to what health allows, by the slow start: attracting traffic breaks as many flows as sending it away.
    pub(super) fn end_intent(&mut self, settings: &Settings, now: Moment) {
        let was_low = self.wanted <= Rung::Graceful;
        self.intent = None;
        if was_low {
            self.ladder.start_slowly(&settings.damper, now);
        }
    }

    pub(super) fn event(&self, kind: &'static str, rungs: Option<(Rung, Rung)>, cause: String) -> Event {
        let actor = match (&self.freeze, &self.intent) {
            (Some(freeze), _) => freeze.actor.clone(),
            (None, Some(intent)) => intent.actor.clone(),
            (None, None) => "health".into(),
        };
        let evidence = self.evidence.clone();
        Event { kind, announcement: self.announcement.name(), rungs, cause, evidence, actor }
    }
}

/// What a withdrawal waits for; see [`Track::waits_for_others`].
const WAITING_FOR_OTHERS: &str = "another node to announce";
