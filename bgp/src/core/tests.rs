//! Tests of the deciding part as a whole: facts and commands in, rungs and events out, by a clock of the test.

use std::path::Path;

use super::command::{Change, Scope};
use super::*;
use crate::announcement::Family;
use crate::config;
use crate::limits::ROUTERS_CHOOSE;

const TEXT: &str = r#"version = 1
[bird]
local_as = 65001
[vitals]
snapshot_age_s_max = 100
guard_required = true
[damper]
prepended_ms = 0
[drain]
settle_ms = 1000
deadline_ms = 10000
[[service]]
name = "web"
vips = ["192.0.2.1", "2001:db8::1"]
[[service]]
name = "api"
vips = ["192.0.2.2"]
"#;

/// web/v4, web/v6 and api/v4 with one canary each, and a clock.
struct Bench {
    core: Core,
    ms: u64,
}

fn at(ms: u64) -> Moment {
    Moment::after_boot(Duration::from_millis(1_000_000 + ms))
}

impl Bench {
    fn new() -> Self {
        Self::of(TEXT, Vec::new())
    }

    fn of(text: &str, kept: Vec<Kept>) -> Self {
        let settings = config::parse(Path::new("test"), text, "n1").unwrap();
        Self { core: Core::new(Arc::new(settings), &[Rung::Normal; 3], kept, at(0)), ms: 0 }
    }

    /// Well on all checks, and decided.
    fn well() -> Self {
        let mut bench = Self::new();
        bench.rounds(3);
        assert_eq!(bench.core.wanted(), [Rung::Normal; 3]);
        bench.core.take_events();
        bench
    }

    fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            (0..3).for_each(|check| self.see(check, Outcome::Right(Duration::from_millis(1))));
            self.vitals(|_| {});
        }
        self.pass(1);
    }

    fn see(&mut self, check: usize, outcome: Outcome) {
        self.core.take_result(check, Seen { outcome, generation: Some(7) }, at(self.ms));
    }

    fn vitals(&mut self, change: impl FnOnce(&mut Vitals)) {
        let mut vitals: Vitals = serde_json::from_value(serde_json::json!({
            "version": 1, "node": "n1", "program": "0", "pid": 1, "up_s": 9, "live": true, "ready": true, "draining": false,
            "reasons": [], "swaps": { "succeeded": 1, "failed": 0, "last_error": null },
            "snapshot": { "generation": 7, "built_at_unix_s": 0, "age_s": 50, "served_for_s": 60, "links": 1, "domains": 1,
                "bytes": 1, "content_checksum": "0", "locked": true },
            "shards": [{ "index": 0, "cpu": 0, "last_turn_ms_ago": 10, "connections": 0, "requests": 0 }],
            "guard": { "mode": "enforce", "scanners": "off", "failures": 0, "last_failure": null, "kernel": {
                "attached": [{ "interface": "eth0", "path": "native" }], "self_test_failure": null, "self_test_packets": 9,
                "networks_allowed": 0, "networks_denied": 0, "bad_lines": 0, "lists_failure": null, "bans": 0,
                "challenged": 0, "lease_ms": 1000, "challenges_rest": null } },
        }))
        .unwrap();
        change(&mut vitals);
        self.core.take_vitals(Ok(vitals), at(self.ms));
    }

    fn pass(&mut self, ms: u64) {
        self.ms += ms;
        self.core.decide(at(self.ms));
    }

    fn others(&mut self, others: Others) {
        (0..3).for_each(|track| self.core.take_others(track, others, at(self.ms)));
    }

    /// Routers have chosen anew, and lead to another node.
    fn see_another_node(&mut self) {
        self.pass(ROUTERS_CHOOSE.as_millis() as u64);
        self.others(Others::Seen);
        self.pass(1);
    }

    fn fail(&mut self, check: usize) {
        (0..2).for_each(|_| self.see(check, Outcome::Failed("refused".into())));
        self.pass(1);
    }

    fn order(&mut self, change: &Change) -> Result<Vec<String>, String> {
        let done = self.core.command(change, "uid 0", "a test", at(self.ms));
        self.pass(1);
        done
    }

    fn causes(&mut self) -> Vec<String> {
        self.core
            .take_events()
            .into_iter()
            .map(|event| format!("{} {}", event.announcement, event.cause))
            .collect()
    }
}

fn all() -> Scope {
    Scope::default()
}

#[test]
fn services_and_families_fall_apart_from_each_other() {
    let mut bench = Bench::well();
    bench.fail(1);
    assert_eq!(bench.core.wanted(), [Rung::Normal, Rung::Graceful, Rung::Normal]);
    bench.others(Others::Seen);
    bench.pass(1);
    assert_eq!(
        bench.core.wanted(),
        [Rung::Normal, Rung::Graceful, Rung::Normal],
        "routers had no time to choose"
    );
    bench.pass(ROUTERS_CHOOSE.as_millis() as u64);
    bench.others(Others::Seen);
    bench.pass(1);
    assert_eq!(bench.core.wanted(), [Rung::Normal, Rung::Withdrawn, Rung::Normal]);
}

#[test]
fn coupled_families_fall_together_and_leave_other_services_alone() {
    let text = TEXT.replace("\"2001:db8::1\"]", "\"2001:db8::1\"]\ncouple_families = true");
    let mut bench = Bench::of(&text, Vec::new());
    bench.rounds(3);
    bench.fail(1);
    assert_eq!(bench.core.wanted(), [Rung::Graceful, Rung::Graceful, Rung::Normal]);
}

/// Something that a node says of itself.
type Harm = fn(&mut Vitals);

#[test]
fn what_the_node_says_of_itself_counts_for_all_and_its_silence_for_none() {
    let cases: [(&str, Harm); 6] = [
        ("not ready", |vitals| vitals.ready = false),
        ("shard 0 has not turned for 1500 ms", |vitals| vitals.shards[0].last_turn_ms_ago = Some(1500)),
        ("no snapshot", |vitals| vitals.snapshot = None),
        ("snapshot 7 is 101 s old", |vitals| vitals.snapshot.as_mut().unwrap().age_s = 101),
        ("attached to no interface", |vitals| {
            vitals.guard.as_mut().unwrap().kernel.as_mut().unwrap().attached.clear();
        }),
        ("self-test of the guard failed", |vitals| {
            vitals.guard.as_mut().unwrap().kernel.as_mut().unwrap().self_test_failure =
                Some("dropped".into());
        }),
    ];
    for (evidence, change) in cases {
        let mut bench = Bench::well();
        bench.vitals(change);
        bench.vitals(change);
        bench.pass(1);
        assert_eq!(bench.core.wanted(), [Rung::Graceful; 3], "{evidence}");
        assert!(
            bench.core.tracks()[0].evidence().contains(evidence),
            "{}",
            bench.core.tracks()[0].evidence()
        );
    }
    let mut bench = Bench::well();
    for _ in 0..100 {
        bench.core.take_vitals(Err("no vitals within 500 ms".into()), at(bench.ms));
        bench.pass(100);
    }
    assert_eq!(bench.core.wanted(), [Rung::Normal; 3]);
}

#[test]
fn an_answer_from_another_generation_than_the_node_states_is_a_failure() {
    let mut bench = Bench::well();
    for _ in 0..2 {
        let outcome = Outcome::Right(Duration::from_millis(1));
        bench.core.take_result(0, Seen { outcome, generation: Some(6) }, at(bench.ms));
    }
    bench.pass(1);
    assert_eq!(bench.core.wanted()[0], Rung::Graceful);
}

#[test]
fn a_withdrawal_waits_on_the_graceful_rung_for_another_node() {
    let mut bench = Bench::well();
    bench.order(&Change::Withdraw { scope: all(), force: false, for_s: None }).unwrap();
    assert_eq!(bench.core.wanted(), [Rung::Graceful; 3]);
    assert!(bench.core.waits_for_others(at(bench.ms)));
    bench.others(Others::Unseen);
    bench.pass(10_000);
    assert_eq!(bench.core.wanted(), [Rung::Graceful; 3]);
    bench.others(Others::Seen);
    bench.pass(1);
    assert_eq!(bench.core.wanted(), [Rung::Withdrawn; 3]);
    // It stays withdrawn, also when the other node goes: the operator knows why.
    bench.others(Others::Unseen);
    bench.pass(60_000);
    assert_eq!(bench.core.wanted(), [Rung::Withdrawn; 3]);
    bench.order(&Change::Undrain { scope: all() }).unwrap();
    assert_eq!(bench.core.wanted(), [Rung::Normal; 3]);
}

#[test]
fn an_old_sight_of_another_node_lets_no_operator_withdraw() {
    // Seen just before the command, and 20 ms too early after it: routers may still lead to whoever leaves at the same time.
    let mut bench = Bench::well();
    bench.others(Others::Seen);
    bench.order(&Change::Withdraw { scope: all(), force: false, for_s: None }).unwrap();
    bench.others(Others::Seen);
    bench.pass(10_000);
    assert_eq!(bench.core.wanted(), [Rung::Graceful; 3]);
    bench.others(Others::Seen);
    bench.pass(1);
    assert_eq!(bench.core.wanted(), [Rung::Withdrawn; 3]);

    // A drain has been low for long, and what was seen while it waited for quiet is too old when it is quiet.
    let mut bench = Bench::well();
    bench.order(&Change::Drain { scope: all(), force: false, for_s: None }).unwrap();
    bench.see_another_node();
    for _ in 0..200 {
        bench.vitals(|_| {});
        bench.pass(100);
    }
    assert_eq!(bench.core.wanted(), [Rung::Graceful; 3]);
    bench.others(Others::Seen);
    bench.pass(1);
    assert_eq!(bench.core.wanted(), [Rung::Withdrawn; 3]);
}

#[test]
fn a_forced_withdrawal_of_one_family_is_one_step() {
    let mut bench = Bench::well();
    let scope = Scope { services: vec!["web".into()], family: Some(Family::V6) };
    assert_eq!(bench.order(&Change::Withdraw { scope, force: true, for_s: None }).unwrap(), ["web/v6"]);
    assert_eq!(bench.core.wanted(), [Rung::Normal, Rung::Withdrawn, Rung::Normal]);
}

#[test]
fn a_drain_waits_for_quiet_or_its_deadline() {
    for (busy, expected_ms) in [(false, 2000), (true, 10_000)] {
        let mut bench = Bench::well();
        bench.others(Others::Seen);
        bench.order(&Change::Drain { scope: all(), force: false, for_s: None }).unwrap();
        assert_eq!(bench.core.wanted(), [Rung::Graceful; 3]);
        let began = bench.ms;
        let mut requests = 0;
        while bench.core.wanted()[0] != Rung::Withdrawn {
            requests += if busy { 10 } else { 0 };
            bench.vitals(|vitals| vitals.shards[0].requests = requests);
            bench.others(Others::Seen);
            bench.pass(100);
            assert!(bench.ms - began < 20_000, "never drained");
        }
        assert!(
            bench.ms - began <= expected_ms + 200 && bench.ms - began >= 900,
            "{busy}: {}",
            bench.ms - began
        );
    }
}

#[test]
fn our_own_probes_do_not_keep_a_node_from_being_quiet() {
    let mut bench = Bench::well();
    let mut requests = 0;
    for _ in 0..20 {
        (0..3).for_each(|check| bench.see(check, Outcome::Right(Duration::from_millis(1))));
        requests += 3;
        bench.vitals(|vitals| vitals.shards[0].requests = requests);
        bench.pass(100);
    }
    assert_eq!(bench.core.requests_per_s(), Some(0));
}

#[test]
fn a_drill_returns_by_itself_also_after_a_restart_of_the_sidecar() {
    let mut bench = Bench::well();
    bench.order(&Change::Drill { scope: all(), for_s: 600, force: false }).unwrap();
    bench.see_another_node();
    assert_eq!(bench.core.wanted(), [Rung::Withdrawn; 3]);
    let kept = bench.core.take_changed_intents().unwrap();
    let mut again = Bench::of(TEXT, kept);
    again.ms = bench.ms;
    again.rounds(3);
    again.others(Others::Seen);
    again.pass(1);
    assert_eq!(again.core.wanted(), [Rung::Withdrawn; 3]);
    again.pass(600_000);
    assert_eq!(again.core.wanted(), [Rung::Normal; 3]);
    assert!(again.causes().iter().any(|cause| cause.contains("has ended by itself")));
}

#[test]
fn a_drill_is_broken_off_when_nobody_else_announces_any_more() {
    let mut bench = Bench::well();
    bench.order(&Change::Drill { scope: all(), for_s: 600, force: false }).unwrap();
    bench.see_another_node();
    bench.others(Others::Unseen);
    bench.pass(1000);
    assert_eq!(bench.core.wanted(), [Rung::Withdrawn; 3]);
    bench.pass(1500);
    assert_eq!(bench.core.wanted(), [Rung::Normal; 3]);
}

#[test]
fn operators_lower_and_never_raise_above_what_health_allows() {
    let mut bench = Bench::well();
    bench.order(&Change::Announce { scope: all(), rung: Rung::Prepended, for_s: None }).unwrap();
    assert_eq!(bench.core.wanted(), [Rung::Prepended; 3]);
    bench.fail(0);
    assert_eq!(bench.core.wanted(), [Rung::Graceful, Rung::Prepended, Rung::Prepended]);
    bench.order(&Change::Announce { scope: all(), rung: Rung::Normal, for_s: None }).unwrap();
    assert_eq!(bench.core.wanted(), [Rung::Graceful, Rung::Normal, Rung::Normal]);
}

#[test]
fn a_freeze_holds_against_health_and_operators_and_ends_by_itself() {
    let mut bench = Bench::well();
    bench.order(&Change::Freeze { scope: all(), for_s: 60 }).unwrap();
    bench.see(0, Outcome::Wrong("elsewhere".into()));
    bench.pass(1);
    assert_eq!(bench.core.wanted(), [Rung::Normal; 3]);
    let refused = bench.order(&Change::Withdraw { scope: all(), force: true, for_s: None }).unwrap_err();
    assert!(refused.contains("unfreeze"), "{refused}");
    bench.pass(60_000);
    assert_eq!(bench.core.wanted()[0], Rung::Withdrawn);
}

#[test]
fn what_is_not_there_or_has_no_end_is_refused_and_changes_nothing() {
    let mut bench = Bench::well();
    let unknown = Scope { services: vec!["wep".into()], family: None };
    let refused = bench.order(&Change::Undrain { scope: unknown }).unwrap_err();
    assert!(refused.contains("this node has web, api"), "{refused}");
    let api_v6 = Scope { services: vec!["api".into()], family: Some(Family::V6) };
    assert!(bench.order(&Change::Undrain { scope: api_v6 }).is_err());
    for for_s in [0, crate::limits::FOR_S_MAX + 1, u64::MAX] {
        assert!(bench.order(&Change::Freeze { scope: all(), for_s }).is_err());
    }
    assert_eq!(bench.core.wanted(), [Rung::Normal; 3]);
    assert!(bench.core.take_changed_intents().is_none());
}

#[test]
fn every_change_of_rung_is_an_event_with_cause_evidence_and_actor() {
    let mut bench = Bench::well();
    bench.fail(2);
    bench.order(&Change::Withdraw { scope: all(), force: true, for_s: None }).unwrap();
    let events: Vec<_> = bench.core.take_events().into_iter().filter(|event| event.kind == "rung").collect();
    assert_eq!(events.len(), 4);
    assert_eq!(events[0].rungs, Some((Rung::Normal, Rung::Graceful)));
    assert_eq!((events[0].actor.as_str(), events[0].announcement.as_str()), ("health", "api/v4"));
    assert!(
        events[0].evidence.contains("refused") && events[0].evidence.contains("192.0.2.2:80"),
        "{}",
        events[0].evidence
    );
    assert!(
        events[1..].iter().all(|event| event.actor == "uid 0" && event.rungs.unwrap().1 == Rung::Withdrawn)
    );
}
