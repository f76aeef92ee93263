//! Restarts of sidecar and BIRD where routers wait: routes that go, or lead elsewhere.

use std::time::Duration;

use anyhow::Result;
use lab::topology::{Bfd, Plan, RouteWatch, Shape, VIP4, VIP6};
use lab::wait::throughout;

use super::ledger::{Measure, Rounds};
use super::{OURS, start};

/// Longer than the end of BIRD's recovery, at which a route that did not come back would go.
const RECOVERY: Duration = Duration::from_secs(4);

/// Longer than the first verdict of a sidecar.
const VERDICT: Duration = Duration::from_secs(1);

/// Runs each case so many times.
pub(super) fn run(rounds: &mut Rounds, runs: usize) -> Result<()> {
    let plan = Plan { bfd: Bfd::Off, graceful_restart_s: Some(20), ..Plan::of(Shape::Single) };
    let mut lab = start(&plan, |_| {})?;
    for case in ["sidecar restarted", "BIRD restarted, routers wait"] {
        for _ in 0..runs {
            let watch = RouteWatch::open(&lab.routers[0].space);
            let node = &mut lab.nodes[0];
            let wait = if case.starts_with("sidecar") {
                node.kill_sidecar();
                node.start_sidecar();
                VERDICT
            } else {
                node.bird.kill();
                node.start_bird(true);
                node.until_sessions_are_up();
                RECOVERY
            };
            throughout(wait, || {});
            let moved = |vip| {
                watch.events(vip).iter().filter(|event| event.gone || event.gateways.len() != 1).count()
            };
            rounds.add(case, Measure::Moved, OURS, (moved(VIP4) + moved(VIP6)) as f64)?;
        }
    }
    Ok(())
}
