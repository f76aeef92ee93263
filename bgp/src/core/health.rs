//! What the facts that a node states about itself mean for its announcements. Pure.

use std::time::Duration;

use vitals::{GuardVitals, Vitals};

use crate::config::settings::Vitals as Rules;
use crate::judge::Outcome;

/// The checks that come from vitals, in their order.
pub const VITAL_CHECKS: [&str; 5] = ["answering", "ready", "shards", "snapshot", "guard"];

/// Time since its last turn after which a shard is not answering. Idle ones turn ten times a second.
const TURN_MAX: Duration = Duration::from_secs(1);

/// Time that a new snapshot may take to reach every shard.
const SWAP_MAX_S: u64 = 5;

/// What each vital check found.
pub fn outcomes(stated: Result<&Vitals, &String>, rules: &Rules) -> [Outcome; VITAL_CHECKS.len()] {
    let right = || Outcome::Right(Duration::ZERO);
    match stated {
        Ok(vitals) if vitals.version != vitals::VERSION => {
            let text =
                format!("vitals of version {}, this program reads {}", vitals.version, vitals::VERSION);
            unsaid(&text).map(Outcome::Unknown)
        }
        Ok(vitals) => [right(), ready(vitals), shards(vitals), snapshot(vitals, rules), guard(vitals, rules)],
        // Canaries tell whether clicks are answered. An admin listener that is silent while they are must not take the node out.
        Err(error) => unsaid(error).map(Outcome::Unknown),
    }
}

fn unsaid(text: &str) -> [String; VITAL_CHECKS.len()] {
    std::array::from_fn(|_| text.to_owned())
}

fn right_or(problem: Option<String>) -> Outcome {
    problem.map_or(Outcome::Right(Duration::ZERO), Outcome::Failed)
}

fn ready(vitals: &Vitals) -> Outcome {
    let reasons: Vec<_> =
        vitals.reasons.iter().map(|reason| format!("{} ({})", reason.code, reason.detail)).collect();
    right_or((!vitals.ready).then(|| format!("not ready: {}", reasons.join(", "))))
}

fn shards(vitals: &Vitals) -> Outcome {
    let stalled = vitals
        .shards
        .iter()
        .find(|shard| shard.last_turn_ms_ago.is_none_or(|turned| Duration::from_millis(turned) > TURN_MAX));
    right_or(stalled.map(|shard| match shard.last_turn_ms_ago {
        Some(turned) => format!("shard {} has not turned for {turned} ms", shard.index),
        None => format!("shard {} has not started", shard.index),
    }))
}

fn snapshot(vitals: &Vitals, rules: &Rules) -> Outcome {
    let Some(snapshot) = &vitals.snapshot else { return Outcome::Failed("no snapshot is served".into()) };
    let too_old = rules.snapshot_age_max.filter(|max| snapshot.age_s > max.as_secs());
    right_or(too_old.map(|max| {
        format!(
            "snapshot {} is {} s old, vitals.snapshot_age_s_max is {}",
            snapshot.generation,
            snapshot.age_s,
            max.as_secs()
        )
    }))
}

fn guard(vitals: &Vitals, rules: &Rules) -> Outcome {
    if !rules.guard {
        return Outcome::Right(Duration::ZERO);
    }
    let problem = match &vitals.guard {
        None => Some("the node says nothing about its guard".to_owned()),
        Some(GuardVitals { kernel: None, mode, .. }) => {
            Some(format!("the guard is not loaded, its mode is {mode}"))
        }
        Some(GuardVitals { kernel: Some(kernel), .. }) => match &kernel.self_test_failure {
            Some(failure) => Some(format!("the self-test of the guard failed: {failure}")),
            None => kernel.attached.is_empty().then(|| "the guard is attached to no interface".into()),
        },
    };
    right_or(problem)
}

/// A right answer that names another generation than the node states is a failure, once the node had time to swap.
pub fn against_generation(outcome: Seen, vitals: Option<&Vitals>) -> Outcome {
    let Seen { outcome, generation } = outcome;
    let stated = vitals.and_then(|vitals| vitals.snapshot.as_ref());
    match (&outcome, generation, stated) {
        (Outcome::Right(_), Some(seen), Some(stated))
            if seen != stated.generation && stated.served_for_s >= SWAP_MAX_S =>
        {
            Outcome::Failed(format!("answered from generation {seen}, the node states {}", stated.generation))
        }
        _ => outcome,
    }
}

/// What a canary's answer was, and which generation it named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What was found.
    pub outcome: Outcome,
    /// The generation that the Location named.
    pub generation: Option<u64>,
}
