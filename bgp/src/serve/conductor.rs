//! The task that decides: it feeds facts and commands to the core, hands what is wanted to the speaker, and writes down what happened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use vitals::Vitals;

use super::records::Records;
use super::{Options, Tasks, report, stamped};
use crate::announcement::Rung;
use crate::audit::Entry;
use crate::clock::Moment;
use crate::control::{Action, Answer, Asked};
use crate::core::health::Seen;
use crate::core::{Core, Event};
use crate::intent;
use crate::lease::Heartbeat;
use crate::limits::HEARTBEAT;
use crate::metrics::Metrics;
use crate::speaker::task::Order;
use crate::speaker::{Report, Session};
use crate::status::Status;

/// What a probing task found.
#[derive(Debug)]
pub(super) enum Fact {
    Seen {
        check: usize,
        seen: Seen,
    },
    Vitals(Result<Box<Vitals>, String>),
    /// The connection to the node's admin listener ended: it died, or was started anew.
    NodeGone,
}

/// What is known of BIRD.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) reached: bool,
    pub(crate) info: String,
    pub(crate) rungs: Vec<Option<Rung>>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) state_file: String,
    /// Why the last order is not carried out.
    pub(crate) failure: String,
    pub(crate) foreign: u64,
}

/// An operator who waits for BIRD.
struct Waiting {
    announcements: Vec<String>,
    reply: oneshot::Sender<Answer>,
}

pub(super) struct Conductor {
    pub(super) core: Core,
    tasks: Tasks,
    pub(super) records: Records,
    heartbeat: Heartbeat,
    pub(super) metrics: Rc<Metrics>,
    pub(super) known: Known,
    pub(super) started: Moment,
    pub(super) dry_run: bool,
    ready_file: Option<PathBuf>,
    /// What BIRD was last told to announce, and the number of that order.
    commanded: Vec<Rung>,
    order: u64,
    /// Entries that wait to hear how long BIRD took, by the number of their order.
    pending: BTreeMap<u64, Vec<Entry>>,
    /// Operators who wait for BIRD, by the number of the order.
    replies: BTreeMap<u64, Vec<Waiting>>,
    intents_unwritten: Option<Vec<intent::Kept>>,
    pub(super) intents_failure: Option<String>,
    last_beat: Option<Instant>,
    last_asked_others: Option<Instant>,
    was_ready: bool,
}

/// How often time alone may change a decision.
const TICK: Duration = Duration::from_millis(25);
/// How often BIRD is asked for other nodes while something waits for them.
const ASK_OTHERS: Duration = Duration::from_millis(2);
/// Longest wait for a first verdict before the sidecar calls itself started.
const FIRST_VERDICT_MAX: Duration = Duration::from_secs(3);

impl Conductor {
    pub(super) fn new(
        core: Core,
        tasks: Tasks,
        records: Records,
        heartbeat: Heartbeat,
        metrics: Rc<Metrics>,
        options: &Options<'_>,
    ) -> Self {
        Self {
            commanded: core.wanted(),
            core,
            tasks,
            records,
            heartbeat,
            metrics,
            known: Known::default(),
            started: Moment::now(),
            dry_run: options.dry_run,
            ready_file: options.ready_file.map(Path::to_owned),
            order: 0,
            pending: BTreeMap::new(),
            replies: BTreeMap::new(),
            intents_unwritten: None,
            intents_failure: None,
            last_beat: None,
            last_asked_others: None,
            was_ready: false,
        }
    }

    /// Decides until the tasks end.
    pub(super) async fn run(mut self) {
        // What is announced already is what is wanted, until there is a verdict: the first order changes nothing on the wire, but
        // puts right what differs between the file and BIRD.
        self.give_order().await;
        loop {
            let pause = if self.core.waits_for_others(Moment::now()) { ASK_OTHERS } else { TICK };
            tokio::select! {
                fact = self.tasks.facts.recv() => match fact {
                    Some(fact) => self.take_fact(fact),
                    None => return,
                },
                Some(asked) = self.tasks.asked.recv() => {
                    self.take_command(asked).await;
                    continue;
                }
                Some(report) = self.tasks.reports.recv() => self.take_report(report),
                () = sleep(pause) => {}
            }
            self.decide().await;
        }
    }

    fn take_fact(&mut self, fact: Fact) {
        let now = Moment::now();
        match fact {
            Fact::Seen { check, seen } => {
                self.metrics.count_probe(check, &seen.outcome);
                if self.core.take_result(check, seen, now) {
                    self.tasks.paces[check].soon.notify_one();
                }
            }
            Fact::Vitals(stated) => self.core.take_vitals(stated.map(|vitals| *vitals), now),
            Fact::NodeGone => self.tasks.paces.iter().for_each(|pace| pace.now.notify_one()),
        }
    }

    async fn decide(&mut self) {
        let now = Moment::now();
        self.core.decide(now);
        if self.core.wanted() != self.commanded {
            self.give_order().await;
        }
        self.record_events();
        if self.core.waits_for_others(now)
            && self.last_asked_others.is_none_or(|last| last.elapsed() >= ASK_OTHERS)
        {
            self.last_asked_others = Some(Instant::now());
            self.tasks.wakes.others.notify_one();
        }
        self.keep_intents();
        self.housekeep(now);
    }

    async fn give_order(&mut self) {
        self.commanded = self.core.wanted();
        self.order += 1;
        let order = Order { number: self.order, rungs: self.commanded.clone(), at: Instant::now() };
        // The channel holds more orders than decisions can be taken while BIRD is silent for its time-out.
        let _ = self.tasks.orders.send(order).await;
    }

    /// Writes down what the core did. Changes of rungs wait for BIRD, to say how long it took.
    fn record_events(&mut self) {
        for event in self.core.take_events() {
            let entry = entry(&self.core.settings().node, event);
            if entry.kind == "rung" {
                self.pending.entry(self.order).or_default().push(entry);
            } else {
                self.records.add(entry);
            }
        }
    }

    fn keep_intents(&mut self) {
        let changed = self.core.take_changed_intents();
        let retry = self.intents_failure.is_some();
        if changed.is_none() && !retry {
            return;
        }
        if changed.is_some() {
            self.intents_unwritten = changed;
        }
        let Some(kept) = self.intents_unwritten.clone() else { return };
        if self.dry_run {
            return;
        }
        let path = self.core.settings().state_dir.join("intents.json");
        let written = intent::write(&path, kept);
        self.intents_failure = written.err().map(|error| format!("cannot write {}: {error}", path.display()));
        if self.intents_failure.is_none() {
            self.intents_unwritten = None;
        }
    }

    fn housekeep(&mut self, now: Moment) {
        if self.last_beat.is_some_and(|last| last.elapsed() < HEARTBEAT) {
            return;
        }
        self.last_beat = Some(Instant::now());
        if !self.dry_run {
            self.heartbeat.beat();
        }
        // This loop is what must not hang, so it is what tells systemd that it does not.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        let status = self.status();
        self.metrics.update(&status, &self.records.writing(), &self.known, &self.core, now);
        if !self.was_ready {
            let judged =
                self.core.tracks().iter().all(|track| track.verdict() != crate::judge::Standing::Unknown);
            if judged || now.since(self.started) >= FIRST_VERDICT_MAX {
                self.was_ready = true;
                self.announce_ready();
            }
        }
    }

    fn announce_ready(&self) {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        let Some(path) = &self.ready_file else { return };
        let content =
            serde_json::json!({ "pid": std::process::id(), "control": self.core.settings().control });
        if let Err(error) = intent::replace(path, format!("{content}\n").as_bytes()) {
            tracing::error!(path = %path.display(), %error, "cannot write the ready file");
        }
    }

    pub(super) fn status(&self) -> Status {
        report::status(self, &self.commanded)
    }

    async fn take_command(&mut self, Asked { request, actor, reply }: Asked) {
        let change = match request.action {
            Action::Status => {
                self.decide().await;
                let _ = reply.send(Answer::Status(Box::new(self.status())));
                return;
            }
            Action::Change(change) => change,
        };
        self.metrics.count_command(change.name());
        match self.core.command(&change, &actor, &request.reason, Moment::now()) {
            Err(refusal) => {
                self.records.add(Entry {
                    kind: "refused".into(),
                    cause: format!("{}: {refusal}", change.name()),
                    actor,
                    ..stamped(&self.core.settings().node)
                });
                let _ = reply.send(Answer::Refused(refusal));
            }
            Ok(announcements) => {
                let before = self.order;
                self.decide().await;
                if self.order == before {
                    let status = Box::new(self.status());
                    let _ = reply.send(Answer::Done { announcements, bird_us: None, status });
                } else {
                    self.replies.entry(self.order).or_default().push(Waiting { announcements, reply });
                }
            }
        }
    }

    fn take_report(&mut self, report: Report) {
        let node = self.core.settings().node.clone();
        let bird =
            |cause: String| Entry { kind: "bird".into(), cause, actor: "bird".into(), ..stamped(&node) };
        match report {
            Report::Done { order, took } => self.settle(order, &Ok(took)),
            Report::Failed { order, error } => self.settle(order, &Err(error)),
            Report::Read { rungs, sessions } => {
                (self.known.rungs, self.known.sessions) = (rungs, sessions);
            }
            Report::Others(others) => {
                let now = Moment::now();
                for (track, others) in others.into_iter().enumerate() {
                    self.core.take_others(track, others, now);
                }
            }
            Report::Lost(error) => {
                if self.known.reached || self.known.info.is_empty() {
                    self.records.add(bird(format!("BIRD does not answer: {error}")));
                }
                self.known.reached = false;
                self.known.info = error;
                self.known.rungs.clear();
                let now = Moment::now();
                for track in 0..self.core.tracks().len() {
                    self.core.take_others(track, crate::ladder::Others::Unknown, now);
                }
            }
            Report::Reached { version, restarted } => {
                let how = if restarted { "BIRD was started anew" } else { "BIRD answers" };
                self.records.add(bird(format!("{how}: {version}")));
                (self.known.reached, self.known.info) = (true, version);
            }
            Report::Reconfigured(at) => self
                .records
                .add(bird(format!("somebody made BIRD read its configuration again, {at} by its clock"))),
            Report::Foreign { announcement, found, repaired } => {
                self.known.foreign += 1;
                self.metrics.count_foreign(repaired);
                let outcome = if repaired {
                    "put right"
                } else {
                    "left so: too many repairs in this minute; `carom-bgp freeze` lets it be"
                };
                self.records.add(Entry {
                    kind: "foreign".into(),
                    announcement: self.core.tracks()[announcement].announcement.name(),
                    before: Some(found),
                    after: Some(self.commanded[announcement]),
                    cause: format!("somebody else changed what is announced: {outcome}"),
                    actor: "unknown".into(),
                    ..stamped(&node)
                });
            }
            Report::StateFile(failure) => {
                if !failure.is_empty() {
                    self.records.add(bird(failure.clone()));
                }
                self.known.state_file = failure;
            }
        }
    }

    /// BIRD has done its part of every order up to this one, or has not.
    fn settle(&mut self, order: u64, outcome: &Result<Duration, String>) {
        let later = self.pending.split_off(&(order + 1));
        for mut entry in std::mem::replace(&mut self.pending, later).into_values().flatten() {
            match outcome {
                Ok(took) => entry.bird_us = u64::try_from(took.as_micros()).ok(),
                Err(error) => entry.error.clone_from(error),
            }
            if let (Some(before), Some(after)) = (entry.before, entry.after) {
                self.metrics.count_change(before, after, entry.bird_us);
            }
            self.records.add(entry);
        }
        let recovered = outcome.is_ok() && !self.known.failure.is_empty();
        if recovered {
            self.records.add(Entry {
                kind: "bird".into(),
                cause: "what was ordered is carried out after all".into(),
                actor: "bird".into(),
                ..stamped(&self.core.settings().node)
            });
        }
        self.known.failure = outcome.as_ref().err().cloned().unwrap_or_default();
        if order == self.order && outcome.is_ok() {
            // BIRD confirmed each command; the next reading says it again in its own words.
            self.known.rungs = self.commanded.iter().copied().map(Some).collect();
        }
        let later = self.replies.split_off(&(order + 1));
        for Waiting { announcements, reply } in
            std::mem::replace(&mut self.replies, later).into_values().flatten()
        {
            let answer = match outcome {
                Ok(took) => Answer::Done {
                    announcements,
                    bird_us: u64::try_from(took.as_micros()).ok(),
                    status: Box::new(self.status()),
                },
                Err(error) => Answer::Refused(format!(
                    "taken, but BIRD has not done it yet, and will be told again: {error}"
                )),
            };
            let _ = reply.send(answer);
        }
    }
}

impl Drop for Conductor {
    fn drop(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for entry in pending.into_values().flatten() {
            self.records.add(Entry { error: "the sidecar ended before BIRD answered".into(), ..entry });
        }
        self.records.add(Entry {
            kind: "stop".into(),
            cause: "carom-bgp ended; what is announced stays until the lease ends".into(),
            actor: "sidecar".into(),
            ..stamped(&self.core.settings().node)
        });
    }
}

fn entry(node: &str, event: Event) -> Entry {
    let Event { kind, announcement, rungs, cause, evidence, actor } = event;
    Entry {
        kind: kind.into(),
        announcement,
        before: rungs.map(|(before, _)| before),
        after: rungs.map(|(_, after)| after),
        cause,
        evidence,
        actor,
        ..stamped(node)
    }
}
