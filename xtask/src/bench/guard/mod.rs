//! What the guard costs per packet, and what it is worth: redirects that a real client gets while others attack.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::XdpMode;
use ebpf_loader::Guard;
use ebpf_loader::abi::Mode;

use super::links::{Links, TemporaryFile};
use super::report::{Better, Metric, Report};
use super::{Effort, stats};

mod client;
mod curve;
mod flood;
mod place;
mod subjects;
mod verdicts;

use place::{NEAR, Place};
use subjects::{Hook, Nftables};

/// The objects that were built for the kernel, and the node.
pub(crate) struct Objects<'o> {
    pub(crate) guard: &'o Path,
    pub(crate) bench: &'o Path,
    pub(crate) carom: &'o Path,
}

const REFUSING: Metric =
    Metric { name: "CPU time of receiving and dropping, over a veth", unit: "ns", better: Better::Less };

/// Few enough that nobody loses any.
const GENTLE_PER_S: u64 = 100_000;

/// Measures verdicts and floods in namespaces that vanish with this run.
pub(crate) fn run(
    effort: &Effort,
    directory: &Path,
    objects: &Objects<'_>,
    real_links: &Path,
) -> Result<Vec<Report>> {
    let links = Links::real(real_links)?;
    let files = TemporaryFile::new(directory.join("guard"));
    std::fs::create_dir_all(&files.0).with_context(|| format!("cannot make {}", files.0.display()))?;
    place::apart(|place| {
        let mut guard = subjects::guard(objects.guard)?;
        let mut programs = Ebpf::load_file(objects.bench)
            .with_context(|| format!("cannot load {}", objects.bench.display()))?;
        let mut costs = Report::new("guard", "What the guard costs per packet", Some(verdicts::NOOP));
        guard.tables_mut().apply(&subjects::settings(Mode::Enforce))?;
        subjects::fill(&mut guard, stats::ROUNDS_MIN, &mut costs)?;
        costs.note(format!(
            "lists hold {} networks per family, {} sources are banned",
            subjects::NETWORKS,
            subjects::BANS
        ));
        verdicts::measure(&mut guard, &mut programs, effort, &mut costs)?;
        flood::guard_far_end(place, &mut programs)?;
        refusing(place, &mut guard, &mut programs, effort, &mut costs)?;

        // Floods may fail where verdicts did not.
        costs.publish(directory)?;
        let mut floods = Report::new("guard-floods", "Redirects of one real client under attack", None);
        floods.axes = Some(curve::AXES);
        floods.note(curve::wanted());
        let (node, address) = curve::node(&files.0, objects.carom, &links)?;
        let mut stage =
            curve::Stage { place, guard: &mut guard, programs: &mut programs, node, address, links: &links };
        stage.run(effort, &mut floods)?;
        floods.publish(directory)?;
        Ok(vec![costs, floods])
    })
}

/// What it costs to receive a packet and drop it, by everything that the kernel does for it.
fn refusing(
    place: &Place,
    guard: &mut Guard,
    programs: &mut Ebpf,
    effort: &Effort,
    report: &mut Report,
) -> Result<()> {
    let case = "IPv4, banned source, received over a veth and dropped";
    report.note(
        "over a veth: CPU time of the thread that receives (driver, program or rules, and what the kernel makes for them) per packet; \
         nftables holds the same networks and IPv4 sources in sets",
    );
    println!("{case}");
    let span = Duration::from_millis(if effort.quick { 100 } else { 250 });
    for _ in 0..effort.rounds.min(stats::ROUNDS_MIN) {
        {
            let gone = subjects::load(programs, "gone")?;
            let link = gone.attach(NEAR, XdpMode::Driver)?;
            let cost = curve::cost_of_refusing(place, programs, GENTLE_PER_S, span)?;
            report.add(case, REFUSING, verdicts::NOOP, cost);
            subjects::load(programs, "gone")?.detach(link)?;
            settle()?;
        }
        {
            guard.attach(NEAR, false)?;
            report.add(
                case,
                REFUSING,
                "carom's guard",
                curve::cost_of_refusing(place, programs, GENTLE_PER_S, span)?,
            );
            guard.detach(NEAR)?;
            settle()?;
        }
        for (name, hook) in
            [("nftables, ingress hook", Hook::Ingress), ("nftables, raw prerouting", Hook::Raw)]
        {
            let _rules = Nftables::apply(hook)?;
            report.add(case, REFUSING, name, curve::cost_of_refusing(place, programs, GENTLE_PER_S, span)?);
        }
    }
    Ok(())
}

/// Waits until nothing is attached: the kernel lets go of a link some time after its last user.
fn settle() -> Result<()> {
    for _ in 0..1000 {
        if !place::run(&format!("ip link show dev {NEAR}"))?.contains("prog/xdp") {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    anyhow::bail!("a program stays attached to {NEAR}")
}
