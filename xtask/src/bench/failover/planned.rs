//! What clicks feel of what operators plan: a drain, an upgrade of carom, a swap of snapshots.

use anyhow::{Context as _, Result, ensure};
use lab::process::Process;
use lab::topology::{Clicks, Lab, Plan, Shape};
use lab::wait::{SOON, eventually};
use lab::{Domains, Row, Site};
use rustix::process::Signal;

use super::ledger::{Measure, Rounds};
use super::{HOST, OURS, clicks, start, until_all};

/// Clicks per second while something planned happens.
pub(super) const CLICKS_PER_S: u32 = 200;

/// Something that an operator does to the first node.
type Act = fn(&mut Lab) -> Result<()>;

/// Runs each case so many times.
pub(super) fn run(rounds: &mut Rounds, runs: usize) -> Result<()> {
    Process::inherit_orphans();
    let mut lab = start(&Plan::of(Shape::Pair), |node| {
        node.set("drain", "settle_ms", 500);
        node.configure(Site::with_program);
    })?;
    let cases: [(&str, Act, bool); 4] = [
        ("planned drain", drain, true),
        ("upgrade of carom", upgrade, false),
        ("carom drained and restarted", restart, false),
        ("snapshot swap", swap, false),
    ];
    for (case, act, drained) in cases {
        for _ in 0..runs {
            let running = Clicks::start(&lab.clients[0].space, &clicks(), CLICKS_PER_S);
            eventually(SOON, "both nodes answer", || running.so_far().answered.len() == 2);
            act(&mut lab)?;
            let sent = running.so_far().sent();
            eventually(SOON, "clicks go on", || running.so_far().sent() > sent + u64::from(CLICKS_PER_S / 2));
            let tally = running.stop();
            for (_, reason) in &tally.failed {
                println!("  {case}: {reason}");
            }
            rounds.add(case, Measure::Failed, OURS, tally.failed.len() as f64)?;
            rounds.add(case, Measure::Sent, OURS, tally.sent() as f64)?;
            if drained {
                command(&lab, &["undrain"])?;
                until_all(&lab);
            }
        }
    }
    Ok(())
}

fn command(lab: &Lab, arguments: &[&str]) -> Result<()> {
    let said = lab.nodes[0].command(arguments);
    ensure!(said.code == Some(0), "{arguments:?}: {}", said.errors);
    Ok(())
}

fn drain(lab: &mut Lab) -> Result<()> {
    command(lab, &["drain", "--wait"])
}

/// In place: the successor takes the sockets, and no route moves.
#[expect(clippy::unnecessary_wraps, reason = "one of several acts")]
fn upgrade(lab: &mut Lab) -> Result<()> {
    lab.nodes[0].upgrade_carom();
    Ok(())
}

/// Drained, ended in good order, started anew, and announced again.
fn restart(lab: &mut Lab) -> Result<()> {
    command(lab, &["drain", "--wait"])?;
    let mut carom = lab.nodes[0].carom.take().context("carom runs")?;
    carom.signal(Signal::TERM);
    carom.process().end(SOON);
    lab.nodes[0].start_carom();
    command(lab, &["undrain"])?;
    until_all(lab);
    Ok(())
}

fn swap(lab: &mut Lab) -> Result<()> {
    let node = &mut lab.nodes[0];
    let rows = [Row::new(HOST, "a", "https://a.test/"), Row::new(HOST, "b", "https://b.test/")];
    node.publish(&Domains::default(), &rows);
    let generation = node.generation();
    node.carom.as_ref().context("carom runs")?.until_generation(generation);
    Ok(())
}
