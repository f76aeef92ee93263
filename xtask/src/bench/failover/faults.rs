//! Faults of one of two nodes: until the neighbour's kernel sends nothing more to it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use lab::links::{plain_domain, plain_link, write_without_canaries};
use lab::topology::{AnycastNode, Lab, Openings, Plan, RouteWatch, Shape, VIP4};
use lab::wait::SOON;
use rustix::process::Signal;

use super::ledger::{Measure, Rounds};
use super::{OURS, publish, since, stagger, start, until_all};

/// Between two probes, as the sidecar does it unless told.
const PROBES: Duration = Duration::from_millis(100);

/// One fault: its name, how it is made and mended, and whether a canary tells of it first.
struct Fault {
    case: &'static str,
    fail: fn(&mut Lab),
    mend: fn(&mut Lab),
    by_canary: bool,
}

/// Faults of carom.
pub(super) fn health(rounds: &mut Rounds, runs: usize) -> Result<()> {
    let mut lab = start(&Plan::of(Shape::Pair), |_| {})?;
    let faults = [
        Fault {
            case: "carom killed",
            fail: |lab| lab.nodes[0].kill_carom(),
            mend: |lab| lab.nodes[0].start_carom(),
            by_canary: false,
        },
        Fault {
            case: "carom hangs",
            fail: |lab| lab.nodes[0].signal_carom(Signal::STOP),
            mend: |lab| lab.nodes[0].signal_carom(Signal::CONT),
            by_canary: true,
        },
        Fault {
            case: "canaries missing",
            fail: |lab| without_canaries(&mut lab.nodes[0]),
            mend: |lab| publish(&mut lab.nodes[0]),
            by_canary: true,
        },
        Fault {
            case: "wrong Location",
            fail: |lab| publish_canary(&mut lab.nodes[0], "canary.carom.invalid", b"https://b.test/"),
            mend: |lab| publish(&mut lab.nodes[0]),
            by_canary: true,
        },
    ];
    faults.iter().try_for_each(|fault| play(rounds, &mut lab, fault, runs))
}

/// Faults below carom.
pub(super) fn paths(rounds: &mut Rounds, runs: usize) -> Result<()> {
    let mut lab = start(&Plan::of(Shape::Pair), |_| {})?;
    let faults = [
        Fault {
            case: "BIRD killed",
            fail: |lab| lab.nodes[0].bird.kill(),
            mend: |lab| lab.nodes[0].start_bird(false),
            by_canary: false,
        },
        Fault {
            case: "path silent, BFD",
            fail: |lab| lab.nodes[0].blackhole(&lab.routers[0]),
            mend: |lab| lab.nodes[0].heal_cable(&lab.routers[0]),
            by_canary: false,
        },
    ];
    faults.iter().try_for_each(|fault| play(rounds, &mut lab, fault, runs))
}

fn play(rounds: &mut Rounds, lab: &mut Lab, fault: &Fault, runs: usize) -> Result<()> {
    let Fault { case, fail, mend, by_canary } = fault;
    for round in 0..runs {
        until_all(lab);
        stagger(round, runs, PROBES);
        let watch = RouteWatch::open(&lab.routers[0].space);
        let openings = by_canary.then(|| Openings::watch(&lab.nodes[0].space));
        let failed = Instant::now();
        fail(lab);
        // A snapshot is right until it is swapped: only canaries after that can fail.
        let done = Instant::now();
        let node = &lab.nodes[0];
        let left = |gateways: &[IpAddr]| !gateways.iter().any(|hop| node.has_address(&hop.to_string()));
        let event =
            watch.first(VIP4, failed, SOON, "the node is left", |event| !event.gone && left(&event.gateways));
        rounds.add(case, Measure::Gone, OURS, since(failed, event.at))?;
        if let Some(openings) = openings {
            // The first one that began after the fault was there: it cannot have been answered rightly.
            let first = openings.first(VIP4, if *case == "carom hangs" { failed } else { done }, SOON);
            rounds.add(case, Measure::SinceCanary, OURS, since(first.at, event.at))?;
        }
        mend(lab);
    }
    until_all(lab);
    Ok(())
}

/// Publishes a snapshot that has no canaries: carom lives, and answers 421 where a redirect should be.
pub(super) fn without_canaries(node: &mut AnycastNode) {
    publish_canary(node, "elsewhere.invalid", b"https://a.test/");
}

/// Publishes a snapshot of one link `ok` at `host`.
fn publish_canary(node: &mut AnycastNode, host: &str, location: &[u8]) {
    let generation = node.count_generation();
    let path = node.site.stage();
    write_without_canaries(&path, generation, &plain_domain(host), [plain_link(b"ok", location)]);
    node.publish_file(&path);
}
