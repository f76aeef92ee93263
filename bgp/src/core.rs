//! All that is decided on a node: facts and commands in, wanted rungs and events out. Pure: it takes `now`.
//!
//! Modules in reading order: what is checked, what vitals mean, one announcement, and what operators may ask for.

pub mod checks;

pub mod health;

pub mod track;

pub mod command;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use vitals::Vitals;

use crate::announcement::Rung;
use crate::clock::Moment;
use crate::config::Settings;
use crate::damper::Budget;
use crate::intent::Kept;
use crate::judge::{Check, Outcome, Standing, gravest};
use crate::ladder::Others;

use checks::CheckPlan;
use health::{Seen, VITAL_CHECKS};
use track::Track;

/// Something that an operator may want to read in a year.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is: `rung`, `phase`, `intent`, `foreign`, …
    pub kind: &'static str,
    /// Which announcement; empty: the node.
    pub announcement: String,
    /// Rung before and after, where it is one of `rung`.
    pub rungs: Option<(Rung, Rung)>,
    /// Why.
    pub cause: String,
    /// What was found.
    pub evidence: String,
    /// Who: `health`, or an operator.
    pub actor: String,
}

/// The deciding part of a node.
#[derive(Debug)]
pub struct Core {
    settings: Arc<Settings>,
    plans: Vec<CheckPlan>,
    checks: Vec<Check>,
    tracks: Vec<Track>,
    budget: Budget,
    events: Vec<Event>,
    /// (when, all requests, our own) of the last seconds.
    requests: VecDeque<(Moment, u64, u64)>,
    probes_sent: u64,
    vitals: Option<(Moment, Vitals)>,
    intents_changed: bool,
}

/// How far back the rate of requests is taken.
const RATE_WINDOW: Duration = Duration::from_secs(1);

impl Core {
    /// The core of a node on which `rungs` were found announced, with what operators asked for earlier.
    pub fn new(settings: Arc<Settings>, rungs: &[Rung], kept: Vec<Kept>, now: Moment) -> Self {
        let announcements = settings.announcements();
        assert_eq!(announcements.len(), rungs.len(), "one rung for each announcement");
        let plans = checks::plan(&settings);
        let mut tracks: Vec<Track> = announcements
            .into_iter()
            .zip(rungs)
            .map(|(announcement, rung)| Track::new(announcement, *rung, now))
            .collect();
        for Kept { announcement, intent, freeze } in kept {
            if let Some(track) = tracks.iter_mut().find(|track| track.announcement.name() == announcement) {
                track.intent = intent;
                track.freeze = freeze;
            }
        }
        Self {
            checks: vec![Check::default(); plans.len()],
            plans,
            tracks,
            settings,
            budget: Budget::default(),
            events: Vec::new(),
            requests: VecDeque::new(),
            probes_sent: 0,
            vitals: None,
            intents_changed: false,
        }
    }

    /// What is checked, in the order of their numbers.
    pub fn plans(&self) -> &[CheckPlan] {
        &self.plans
    }

    /// How each check stands.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Each announcement.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The last vitals and when they came.
    pub fn vitals(&self) -> Option<&(Moment, Vitals)> {
        self.vitals.as_ref()
    }

    /// Takes the result of a canary; true if it should be asked for again soon.
    pub fn take_result(&mut self, check: usize, seen: Seen, now: Moment) -> bool {
        self.probes_sent += 1;
        let outcome = health::against_generation(seen, self.vitals.as_ref().map(|(_, vitals)| vitals));
        self.take_outcome(check, outcome, now);
        self.checks[check].in_doubt()
    }

    /// Takes what the node says about itself, or why it says nothing.
    pub fn take_vitals(&mut self, stated: Result<Vitals, String>, now: Moment) {
        let Some(rules) = self.settings.vitals.clone() else { return };
        let outcomes = health::outcomes(stated.as_ref(), &rules);
        let first = self.plans.len() - VITAL_CHECKS.len();
        for (offset, outcome) in outcomes.into_iter().enumerate() {
            self.take_outcome(first + offset, outcome, now);
        }
        match stated {
            Ok(vitals) => {
                let requests = vitals.shards.iter().map(|shard| shard.requests).sum();
                self.requests.push_back((now, requests, self.probes_sent));
                while self.requests.len() > 2 && now.since(self.requests[1].0) >= RATE_WINDOW {
                    self.requests.pop_front();
                }
                self.vitals = Some((now, vitals));
            }
            Err(_) => self.requests.clear(),
        }
    }

    fn take_outcome(&mut self, index: usize, outcome: Outcome, now: Moment) {
        let check = &mut self.checks[index];
        let before = check.standing();
        if check.take(outcome, self.settings.probe.latency_max, &self.settings.judge, now) {
            self.events.push(Event {
                kind: "check",
                announcement: self.plans[index].announcement_name(&self.tracks),
                rungs: None,
                cause: format!(
                    "{} is {}, it was {}",
                    self.plans[index].name,
                    check.standing().name(),
                    before.name()
                ),
                evidence: check.evidence().to_owned(),
                actor: "health".into(),
            });
        }
    }

    /// Takes whether other nodes announce.
    pub fn take_others(&mut self, track: usize, others: Others, now: Moment) {
        self.tracks[track].take_others(others, now);
    }

    /// Requests per second of the last second, without our own probes; `None`: not known.
    pub fn requests_per_s(&self) -> Option<u64> {
        let (first, last) = (self.requests.front()?, self.requests.back()?);
        let span = last.0.since(first.0);
        if span < RATE_WINDOW / 2 {
            return None;
        }
        let all = last.1.checked_sub(first.1)?;
        let own = last.2 - first.2;
        Some((all.saturating_sub(own) as f64 / span.as_secs_f64()).round() as u64)
    }

    /// Decides; what is wanted is then in the tracks, and what happened in the events.
    pub fn decide(&mut self, now: Moment) {
        let quiet = self.requests_per_s().map(|rate| rate <= self.settings.drain.quiet_requests_per_s);
        let verdicts: Vec<_> = (0..self.tracks.len()).map(|index| self.verdict(index)).collect();
        for (track, (verdict, worst)) in self.tracks.iter_mut().zip(verdicts) {
            let evidence = worst.map_or(String::new(), |index| match self.checks[index].evidence() {
                "" => self.plans[index].name.clone(),
                evidence => format!("{}: {evidence}", self.plans[index].name),
            });
            let intents_changed = track.decide(
                verdict,
                &evidence,
                quiet,
                &mut self.budget,
                &self.settings,
                &mut self.events,
                now,
            );
            self.intents_changed |= intents_changed;
        }
    }

    /// The verdict on one announcement and the check that it comes from.
    fn verdict(&self, index: usize) -> (Standing, Option<usize>) {
        let own = &self.tracks[index].announcement;
        let coupled = self
            .settings
            .services
            .iter()
            .any(|service| service.name == own.service && service.couple_families);
        let counts = |plan: &CheckPlan| match plan.announcement {
            None => true,
            Some(other) if other == index => true,
            Some(other) => coupled && self.tracks[other].announcement.service == own.service,
        };
        gravest(
            self.plans
                .iter()
                .enumerate()
                .filter(|(_, plan)| counts(plan))
                .map(|(at, _)| (at, &self.checks[at])),
        )
    }

    /// The rungs that are wanted now.
    pub fn wanted(&self) -> Vec<Rung> {
        self.tracks.iter().map(Track::wanted).collect()
    }

    /// Whether somebody waits to hear that another node announces, so that BIRD should be asked at once and often.
    pub fn waits_for_others(&self, now: Moment) -> bool {
        self.tracks.iter().any(|track| track.waits_for_others(&self.settings.damper, now))
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The intents, if they changed since the last call.
    pub fn take_changed_intents(&mut self) -> Option<Vec<Kept>> {
        std::mem::take(&mut self.intents_changed)
            .then(|| self.tracks.iter().filter_map(Track::kept).collect())
    }
}

#[cfg(test)]
mod tests;
