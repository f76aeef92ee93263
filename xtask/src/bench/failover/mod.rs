//! Failover: from a fault or a command to the route that a neighbour's kernel no longer has, and what clicks feel of it.
//!
//! Modules in reading order: what is kept between runs, then one per part.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lab::topology::{Click, Lab, Plan, VIP4, VIP6};
use lab::wait::{SOON, eventually};
use lab::{Domains, Row};

use super::report::Report;

mod ledger;

mod command;

mod faults;

mod planned;

mod restarts;

mod peers;

use ledger::{Entry, Ledger, Measure, Rounds};

/// The contestant that this repository is.
const OURS: &str = "carom-bgp";

/// The domain of every link here.
const HOST: &str = "go.example";

/// What may be measured alone; what was measured earlier stays in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Command to route gone: BIRD and FRR as neighbours
    Command,
    /// Faults of carom: killed, hanging, wrong, missing canaries
    Health,
    /// Faults below carom: BIRD killed, a path that falls silent
    Paths,
    /// What clicks feel of drains, upgrades and swaps
    Planned,
    /// Restarts of sidecar and BIRD: routes that go or move
    Restarts,
    /// anycast-healthchecker and exabgp's healthcheck in the same lab, which takes half an hour
    Peers,
}

impl Part {
    const ALL: [Self; 6] =
        [Self::Command, Self::Health, Self::Paths, Self::Planned, Self::Restarts, Self::Peers];

    fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Health => "health",
            Self::Paths => "paths",
            Self::Planned => "planned",
            Self::Restarts => "restarts",
            Self::Peers => "peers",
        }
    }
}

/// What must hold: case, what is measured, the greatest median, the greatest of all rounds.
const AIMS: [(&str, Measure, f64, f64); 14] = [
    ("command, neighbour BIRD, v4", Measure::Gone, 1.0, 10.0),
    ("command, neighbour BIRD, v6", Measure::Gone, 1.0, 10.0),
    ("command, neighbour FRR, v4", Measure::Gone, 75.0, 75.0),
    ("command, neighbour FRR, v6", Measure::Gone, 75.0, 75.0),
    ("carom hangs", Measure::SinceCanary, 250.0, 250.0),
    ("canaries missing", Measure::SinceCanary, 250.0, 250.0),
    ("wrong Location", Measure::SinceCanary, 250.0, 250.0),
    ("carom killed", Measure::Gone, 150.0, 150.0),
    ("path silent, BFD", Measure::Gone, 350.0, 350.0),
    ("planned drain", Measure::Failed, 0.0, 0.0),
    ("upgrade of carom", Measure::Failed, 0.0, 0.0),
    ("carom drained and restarted", Measure::Failed, 0.0, 0.0),
    ("snapshot swap", Measure::Failed, 0.0, 0.0),
    ("sidecar restarted", Measure::Moved, 0.0, 0.0),
];

/// Measures `parts`, or all, so many times each, and returns what is known of all parts.
///
/// `tool` gives the path of anycast-healthchecker.
pub(crate) fn run(
    runs: usize,
    parts: &[Part],
    binaries: &Path,
    directory: &Path,
    tool: &dyn Fn() -> Result<std::path::PathBuf>,
) -> Result<Report> {
    lab::binaries::look_in(binaries);
    let parts = if parts.is_empty() { &Part::ALL[..] } else { parts };
    for part in parts {
        println!("== {} ==", part.name());
        let mut rounds = Rounds::of(directory, part.name());
        match part {
            Part::Command => command::run(&mut rounds, runs)?,
            Part::Health => faults::health(&mut rounds, runs)?,
            Part::Paths => faults::paths(&mut rounds, runs)?,
            Part::Planned => planned::run(&mut rounds, runs)?,
            Part::Restarts => restarts::run(&mut rounds, runs)?,
            Part::Peers => peers::run(&mut rounds, runs, &tool()?)?,
        }
    }
    Ok(report(&Ledger::read(directory, &Part::ALL.map(Part::name))))
}

fn report(ledger: &Ledger) -> Report {
    let mut report =
        Report::new("failover", "From a fault to the route that is gone in the neighbour's kernel", None);
    for Entry { case, measure, contestant, rounds } in ledger.entries() {
        for &value in rounds {
            report.add(case, measure.metric(), contestant, value);
        }
    }
    for (case, measure, median_max, worst_max) in AIMS {
        let Some(summary) = ledger.summary(case, measure, OURS) else { continue };
        let verdict =
            if summary.median <= median_max && summary.max <= worst_max { "reached" } else { "MISSED" };
        report.note(format!(
            "aim {verdict}: {case}, {}: median {:.2} (at most {median_max}), worst {:.2} (at most {worst_max}) {}",
            measure.metric().name,
            summary.median,
            summary.max,
            measure.metric().unit,
        ));
    }
    report.note("one machine: nodes, routers and clients share its cores, and cables are virtual");
    report.note(
        "100 ms between probes; fall 2; BFD 100 ms, three times; an FRR neighbour itself waits 50 ms before it works",
    );
    report.note(format!("clicks: {} per second, half of them over IPv6", planned::CLICKS_PER_S));
    report
}

/// A lab in which everything runs, with dampers that let rounds follow each other.
fn start(plan: &Plan, configure: impl Fn(&mut lab::topology::AnycastNode)) -> Result<Lab> {
    let Some(mut lab) = Lab::build(plan) else {
        bail!("the lab does not run here: it needs root, namespaces, bird2 and frr")
    };
    for node in &mut lab.nodes {
        publish(node);
        // Rounds follow each other faster than any real node falls.
        node.set("damper", "suppress", 20_000);
        node.set("damper", "half_life_s", 1);
        node.set("damper", "withdrawals_per_minute_max", 1_000);
        configure(node);
        node.start();
    }
    until_all(&lab);
    Ok(lab)
}

fn publish(node: &mut lab::topology::AnycastNode) {
    node.publish(&Domains::default(), &[Row::new(HOST, "a", "https://a.test/")]);
}

fn until_all(lab: &Lab) {
    for vip in [VIP4, VIP6] {
        eventually(SOON, "every node is announced", || lab.paths(0, vip).len() == lab.nodes.len());
    }
}

fn clicks() -> [Click; 2] {
    [VIP4, VIP6].map(|vip| Click {
        vip: vip.parse().expect("an address"),
        host: HOST.to_owned(),
        path: "/a".to_owned(),
        location: "https://a.test/".to_owned(),
    })
}

/// Waits a different part of `interval` before each round, so that no prober is always met in the same phase.
fn stagger(round: usize, runs: usize, interval: Duration) {
    lab::wait::throughout(interval.mul_f64(round as f64 / runs as f64), || {});
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

fn since(began: Instant, at: Instant) -> f64 {
    milliseconds(at.saturating_duration_since(began))
}
