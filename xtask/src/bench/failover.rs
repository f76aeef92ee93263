//! Failover: from a fault or a command to the route that a neighbour's kernel no longer has, and what clicks feel of it.

use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::topology::{Bfd, Click, Clicks, Daemon, Lab, Plan, RouteWatch, Shape, VIP4, VIP6};
use lab::wait::{SOON, eventually};
use lab::{Domains, Row};
use rustix::process::Signal;

use super::report::{Better, Metric, Report};

const GONE: Metric = Metric { name: "until the route is gone", unit: "ms", better: Better::Less };
const WORST: Metric = Metric { name: "worst of all rounds", unit: "ms", better: Better::Less };
const EVENTS: Metric = Metric { name: "routes lost or moved", unit: "of a restart", better: Better::Less };
const REFUSED: Metric =
    Metric { name: "failed new connections", unit: "of all clicks", better: Better::Less };
const CUT: Metric = Metric { name: "connections cut", unit: "of all clicks", better: Better::Less };

const OURS: &str = "carom-bgp";

/// Clicks per second while something planned happens.
const CLICKS_PER_S: u32 = 200;

/// Measures all of it and returns what was found.
pub(crate) fn run(full: bool, binaries: &Path) -> Result<Report> {
    lab::binaries::look_in(binaries);
    let mut report =
        Report::new("failover", "From a fault to the route that is gone in the neighbour's kernel", None);
    let rounds = if full { 20 } else { 5 };
    for (daemon, name) in [(Daemon::Bird, "BIRD"), (Daemon::Frr, "FRR")] {
        let bfd = if daemon == Daemon::Bird { Bfd::Hard } else { Bfd::Off };
        let mut lab = start(&Plan { daemon, bfd, ..Plan::of(Shape::Single) })?;
        for (family, vip) in [("v4", VIP4), ("v6", VIP6)] {
            command(
                &mut report,
                &mut lab,
                &format!("command, neighbour {name}, {family}"),
                family,
                vip,
                rounds,
            )?;
        }
    }
    let mut lab = start(&Plan::of(Shape::Pair))?;
    faults(&mut report, &mut lab, rounds);
    planned(&mut report, &mut lab)?;
    drop(lab);
    restarts(&mut report, rounds.min(5))?;
    report.note("one machine: nodes, routers and clients share its cores, and cables are virtual");
    report.note("100 ms between probes; fall 2; BFD 100 ms, three times; an FRR neighbour itself waits 50 ms before it works");
    Ok(report)
}

fn start(plan: &Plan) -> Result<Lab> {
    let Some(mut lab) = Lab::build(plan) else {
        bail!("the lab does not run here: it needs root, namespaces, bird2 and frr")
    };
    for node in &mut lab.nodes {
        node.publish(&Domains::default(), &[Row::new("go.example", "a", "https://a.test/")]);
        // Rounds follow each other faster than any real node falls.
        node.set("damper", "suppress", 20_000);
        node.set("damper", "half_life_s", 1);
        node.set("damper", "withdrawals_per_minute_max", 1_000);
        node.start();
    }
    until_all(&lab);
    Ok(lab)
}

fn until_all(lab: &Lab) {
    for vip in [VIP4, VIP6] {
        eventually(SOON, "every node is announced", || lab.paths(0, vip).len() == lab.nodes.len());
    }
}

/// From the bytes of a command to the sidecar until the kernel of the neighbour has let the route go.
fn command(
    report: &mut Report,
    lab: &mut Lab,
    case: &str,
    family: &str,
    vip: &str,
    rounds: usize,
) -> Result<()> {
    let watch = RouteWatch::open(&lab.routers[0].space);
    let mut worst: f64 = 0.0;
    for _ in 0..rounds {
        until_all(lab);
        watch.clear();
        let mut stream = UnixStream::connect(lab.nodes[0].directory().join("control.sock"))?;
        let asked = Instant::now();
        writeln!(
            stream,
            r#"{{"action":{{"change":{{"command":"withdraw","scope":{{"services":["web"],"family":"{family}"}},"force":true}}}}}}"#
        )?;
        let gone = watch.first(vip, asked, SOON, "the route goes", |event| event.gone);
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        ensure!(answer.contains("done"), "{answer}");
        let ms = milliseconds(gone.at - asked);
        report.add(case, GONE, OURS, ms);
        worst = worst.max(ms);
        let said = lab.nodes[0].command(&["undrain"]);
        ensure!(said.code == Some(0), "{}", said.errors);
    }
    report.add(case, WORST, OURS, worst);
    Ok(())
}

/// Faults of one of two nodes: until the neighbour's kernel sends nothing more to it.
fn faults(report: &mut Report, lab: &mut Lab, rounds: usize) {
    type Act = fn(&mut Lab);
    let cases: [(&str, Act, Act); 4] = [
        ("carom killed", |lab| lab.nodes[0].kill_carom(), |lab| lab.nodes[0].start_carom()),
        (
            "carom hangs",
            |lab| lab.nodes[0].signal_carom(Signal::STOP),
            |lab| lab.nodes[0].signal_carom(Signal::CONT),
        ),
        ("BIRD killed", |lab| lab.nodes[0].bird.kill(), |lab| lab.nodes[0].start_bird(false)),
        (
            "path dead, BFD",
            |lab| lab.nodes[0].blackhole(&lab.routers[0]),
            |lab| lab.nodes[0].heal_cable(&lab.routers[0]),
        ),
    ];
    let watch = RouteWatch::open(&lab.routers[0].space);
    for (case, fail, mend) in cases {
        let mut worst: f64 = 0.0;
        for _ in 0..rounds {
            until_all(lab);
            watch.clear();
            let failed = Instant::now();
            fail(lab);
            let node = &lab.nodes[0];
            let left =
                |gateways: &[IpAddr]| !gateways.iter().any(|gateway| node.has_address(&gateway.to_string()));
            let event = watch
                .first(VIP4, failed, SOON, "the node is left", |event| !event.gone && left(&event.gateways));
            let ms = milliseconds(event.at - failed);
            report.add(case, GONE, OURS, ms);
            worst = worst.max(ms);
            mend(lab);
        }
        report.add(case, WORST, OURS, worst);
    }
    until_all(lab);
}

/// What clicks feel of a drain, of its end, and of a swap.
fn planned(report: &mut Report, lab: &mut Lab) -> Result<()> {
    let clicks = [VIP4, VIP6].map(|vip| Click {
        vip: vip.parse().expect("an address"),
        host: "go.example".to_owned(),
        path: "/a".to_owned(),
        location: "https://a.test/".to_owned(),
    });
    for case in ["planned drain", "snapshot swap"] {
        let running = Clicks::start(&lab.clients[0].space, &clicks, CLICKS_PER_S);
        eventually(SOON, "both nodes answer", || running.so_far().answered.len() == 2);
        if case == "planned drain" {
            let said = lab.nodes[0].command(&["drain", "--wait"]);
            ensure!(said.code == Some(0), "{}", said.errors);
        } else {
            let node = &mut lab.nodes[0];
            node.publish(
                &Domains::default(),
                &[
                    Row::new("go.example", "a", "https://a.test/"),
                    Row::new("go.example", "b", "https://b.test/"),
                ],
            );
            let generation = node.generation();
            node.carom.as_ref().context("carom runs")?.until_generation(generation);
        }
        let sent = running.so_far().sent();
        eventually(SOON, "clicks go on", || running.so_far().sent() > sent + u64::from(CLICKS_PER_S));
        let tally = running.stop();
        let refused = tally.failed_but_cut().len();
        report.add(case, REFUSED, OURS, refused as f64);
        report.add(case, CUT, OURS, (tally.failed.len() - refused) as f64);
        report.note(format!("{case}: {} clicks", tally.sent()));
        if case == "planned drain" {
            let said = lab.nodes[0].command(&["undrain"]);
            ensure!(said.code == Some(0), "{}", said.errors);
            until_all(lab);
        }
    }
    Ok(())
}

/// Restarts of sidecar and BIRD where routers wait: routes that go, or lead elsewhere.
fn restarts(report: &mut Report, rounds: usize) -> Result<()> {
    let mut lab = start(&Plan { bfd: Bfd::Off, graceful_restart_s: Some(20), ..Plan::of(Shape::Single) })?;
    for case in ["sidecar restarted", "BIRD restarted, routers wait"] {
        for _ in 0..rounds {
            let watch = RouteWatch::open(&lab.routers[0].space);
            let node = &mut lab.nodes[0];
            if case.starts_with("sidecar") {
                node.kill_sidecar();
                node.start_sidecar();
            } else {
                node.bird.kill();
                node.start_bird(true);
                node.until_sessions_are_up();
            }
            lab::wait::throughout(Duration::from_secs(4), || {});
            let moved = |vip| {
                watch.events(vip).iter().filter(|event| event.gone || event.gateways.len() != 1).count()
            };
            report.add(case, EVENTS, OURS, (moved(VIP4) + moved(VIP6)) as f64);
        }
    }
    Ok(())
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}
