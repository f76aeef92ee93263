//! Tests of the ladder: single stories, and a router that must never be left without a path while any node is well.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::damper::tests::RULES;

fn at(ms: u64) -> Moment {
    Moment::after_boot(Duration::from_millis(ms))
}

/// One node's ladder with its budget.
#[derive(Clone)]
struct Node {
    ladder: Ladder,
    budget: Budget,
}

impl Node {
    fn on(rung: Rung) -> Self {
        Self { ladder: Ladder::found_on(rung, at(0)), budget: Budget::default() }
    }

    fn step(&mut self, verdict: Standing, others: Others, ms: u64) -> Phase {
        for _ in 0..8 {
            if !self.ladder.step(verdict, others, &mut self.budget, &RULES, at(ms)) {
                return self.ladder.phase();
            }
        }
        panic!("no end of steps in {:?}", self.ladder.phase());
    }
}

#[test]
fn without_a_verdict_everything_stays_as_it_was_found() {
    for rung in Rung::ALL {
        let mut node = Node::on(rung);
        assert_eq!(node.step(Standing::Unknown, Others::Seen, 100_000), Phase::Holding { rung });
        assert_eq!(node.ladder.phase().rung(), rung);
    }
}

#[test]
fn a_restart_of_the_sidecar_changes_nothing_on_a_node_that_is_well() {
    let mut node = Node::on(Rung::Normal);
    assert_eq!(node.step(Standing::Good, Others::Unknown, 1), Phase::Well);
}

#[test]
fn recovery_goes_over_the_prepended_rung() {
    let mut node = Node::on(Rung::Withdrawn);
    assert_eq!(node.step(Standing::Good, Others::Unknown, 1), Phase::Recovering);
    assert_eq!(node.step(Standing::Good, Others::Unknown, 5000), Phase::Recovering);
    assert_eq!(node.step(Standing::Good, Others::Unknown, 5001), Phase::Well);
}

#[test]
fn a_dead_node_is_lowered_first_and_withdrawn_once_another_is_seen() {
    let mut node = Node::on(Rung::Normal);
    node.step(Standing::Good, Others::Unknown, 0);
    assert_eq!(node.step(Standing::Dead, Others::Unseen, 10), Phase::Soft);
    assert_eq!(node.step(Standing::Dead, Others::Unknown, 12), Phase::Soft);
    assert_eq!(node.step(Standing::Dead, Others::Seen, 14), Phase::Down { integrity: false });
}

#[test]
fn the_last_node_stays_and_leaves_when_another_comes_and_returns_when_that_goes() {
    let mut node = Node::on(Rung::Normal);
    node.step(Standing::Good, Others::Unknown, 0);
    node.step(Standing::Dead, Others::Unseen, 10);
    assert_eq!(node.step(Standing::Dead, Others::Unseen, 600), Phase::Last);
    assert_eq!(node.step(Standing::Dead, Others::Seen, 700), Phase::Down { integrity: false });
    assert_eq!(node.step(Standing::Dead, Others::Unseen, 800), Phase::Down { integrity: false });
    assert_eq!(node.step(Standing::Dead, Others::Unseen, 1700), Phase::Last);
}

#[test]
fn a_slow_node_is_lowered_and_never_withdrawn() {
    let mut node = Node::on(Rung::Normal);
    node.step(Standing::Good, Others::Unknown, 0);
    for ms in [10, 1000, 100_000] {
        assert_eq!(node.step(Standing::Slow, Others::Seen, ms).rung(), Rung::Graceful);
    }
}

#[test]
fn a_wrong_answer_withdraws_at_once_whoever_else_announces() {
    for others in [Others::Seen, Others::Unseen, Others::Unknown] {
        let mut node = Node::on(Rung::Normal);
        node.step(Standing::Good, Others::Unknown, 0);
        assert_eq!(node.step(Standing::Wrong, others, 1), Phase::Down { integrity: true });
        assert_eq!(node.step(Standing::Wrong, others, 100_000), Phase::Down { integrity: true });
    }
}

#[test]
fn a_flapping_node_is_suppressed_unless_it_is_the_only_one() {
    let mut node = Node::on(Rung::Normal);
    node.step(Standing::Good, Others::Unknown, 0);
    for round in 0..3 {
        let ms = 1000 * round;
        node.step(Standing::Good, Others::Seen, ms);
        node.step(Standing::Dead, Others::Seen, ms + 100);
    }
    assert!(matches!(
        node.step(Standing::Good, Others::Seen, 3000),
        Phase::Suppressed { rung: Rung::Withdrawn }
    ));
    assert!(matches!(node.step(Standing::Good, Others::Seen, 60_000), Phase::Suppressed { .. }));
    assert_eq!(node.clone().step(Standing::Good, Others::Unseen, 60_000), Phase::Recovering);
    assert_eq!(node.step(Standing::Good, Others::Seen, 180_000), Phase::Recovering);
}

#[test]
fn the_guard_rail_keeps_an_ill_node_announced_when_too_much_was_withdrawn() {
    let mut node = Node::on(Rung::Normal);
    for ms in 0..6 {
        assert!(node.budget.take(&RULES, at(ms)));
    }
    node.step(Standing::Good, Others::Unknown, 10);
    assert_eq!(node.step(Standing::Dead, Others::Seen, 20), Phase::Railed);
    assert_eq!(node.step(Standing::Dead, Others::Seen, 60_001), Phase::Down { integrity: false });
}

/// What may happen to a node in one turn.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Dies(usize),
    Slows(usize),
    Heals(usize),
    Blind(usize),
    AllDie,
}

fn faults(nodes: usize) -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        3 => (0..nodes).prop_map(Fault::Dies),
        1 => (0..nodes).prop_map(Fault::Slows),
        4 => (0..nodes).prop_map(Fault::Heals),
        1 => (0..nodes).prop_map(Fault::Blind),
        1 => Just(Fault::AllDie),
    ]
}

/// A router with nodes around it, in turns of 100 ms. News of routes arrives one turn late, as on a real network.
struct Model {
    nodes: Vec<Node>,
    verdicts: Vec<Standing>,
    rungs: Vec<Rung>,
    before: Vec<Rung>,
}

impl Model {
    fn new(count: usize) -> Self {
        Self {
            nodes: vec![Node::on(Rung::Normal); count],
            verdicts: vec![Standing::Good; count],
            rungs: vec![Rung::Normal; count],
            before: vec![Rung::Normal; count],
        }
    }

    fn turn(&mut self, fault: Fault, ms: u64) {
        match fault {
            Fault::None => {}
            Fault::Dies(node) => self.verdicts[node] = Standing::Dead,
            Fault::Slows(node) => self.verdicts[node] = Standing::Slow,
            Fault::Heals(node) => self.verdicts[node] = Standing::Good,
            Fault::Blind(node) => self.verdicts[node] = Standing::Unknown,
            Fault::AllDie => self.verdicts.fill(Standing::Dead),
        }
        for index in 0..self.nodes.len() {
            // The router's best path, as it was a turn ago; a node hears of it only if it is another node's, and plain.
            let best =
                self.before.iter().enumerate().max_by_key(|(at, rung)| (**rung, usize::MAX - at)).unwrap();
            let others = match best {
                (at, rung) if at != index && *rung > Rung::Graceful => Others::Seen,
                _ => Others::Unseen,
            };
            self.nodes[index].step(self.verdicts[index], others, ms);
        }
        self.before.clone_from(&self.rungs);
        self.rungs = self.nodes.iter().map(|node| node.ladder.phase().rung()).collect();
    }

    fn reachable(&self) -> bool {
        self.rungs.iter().any(|rung| *rung > Rung::Withdrawn)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever fails, and however stale the news: a path is missing for at most the time that stale news needs to be noticed.
    #[test]
    fn the_router_always_gets_a_path_back(count in 1usize..5, story in prop::collection::vec(faults(4), 1..300)) {
        let mut model = Model::new(count);
        let mut missing = 0;
        for (turn, fault) in story.into_iter().enumerate() {
            let fault = match fault {
                Fault::Dies(node) => Fault::Dies(node % count),
                Fault::Slows(node) => Fault::Slows(node % count),
                Fault::Heals(node) => Fault::Heals(node % count),
                Fault::Blind(node) => Fault::Blind(node % count),
                other => other,
            };
            model.turn(fault, turn as u64 * 100);
            missing = if model.reachable() { 0 } else { missing + 1 };
            prop_assert!(missing <= 13, "turn {turn}: {:?} {:?}", model.verdicts, model.rungs);
        }
    }

    /// A node that is well and not suppressed announces; a suppressed one waits only while another announces.
    #[test]
    fn a_node_that_is_well_alone_announces_within_two_seconds(story in prop::collection::vec(faults(2), 0..200)) {
        let mut model = Model::new(2);
        let mut ms = 0;
        for fault in story {
            model.turn(fault, ms);
            ms += 100;
        }
        model.verdicts = vec![Standing::Good, Standing::Dead];
        for _ in 0..25 {
            model.turn(Fault::None, ms);
            ms += 100;
        }
        prop_assert!(model.rungs[0] > Rung::Graceful, "{:?} {:?}", model.rungs, model.nodes[0].ladder);
    }

    /// However a node flaps, and as long as others announce, it comes up no more often than the penalty allows.
    #[test]
    fn no_flapping_faster_than_the_damper_allows(story in prop::collection::vec((any::<bool>(), 1u64..2000), 1..400)) {
        let mut node = Node::on(Rung::Normal);
        let (mut ms, mut rises, mut was_up) = (0, Vec::new(), true);
        for (well, gap) in story {
            ms += gap;
            let verdict = if well { Standing::Good } else { Standing::Dead };
            let up = node.step(verdict, Others::Seen, ms).rung() > Rung::Graceful;
            if up && !was_up {
                rises.push(ms);
            }
            was_up = up;
        }
        // Three falls within a half-life suppress until the penalty has decayed from more than 2000 to 750.
        for window in rises.windows(4) {
            prop_assert!(window[3] - window[0] >= 60_000, "{rises:?}");
        }
    }
}
