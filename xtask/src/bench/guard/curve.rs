//! The curve of the XDP paper: redirects per second of one real client while others attack, behind each kind of gate.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use ebpf_loader::Guard;
use ebpf_loader::abi::Mode;

use super::client::{self, Counts, WANTED_PER_S};
use super::flood::{self, Attack, Sent};
use super::place::{NEAR, NODE_CPU, Place, VIP, syncookies};
use super::subjects::{self, Hook, Nftables};
use crate::bench::curves::{Axes, Point};
use crate::bench::links::Links;
use crate::bench::node;
use crate::bench::process::{Process, cpu_time};
use crate::bench::report::{Better, Metric, Report};
use crate::bench::{Effort, rows::spoken};

/// What the picture shows.
pub(super) const AXES: Axes = Axes { x: "attack packets per second", y: "redirects per second" };

const REDIRECTS: Metric = Metric { name: "redirects per second", unit: "1/s", better: Better::More };
const ATTACK: Metric = Metric { name: "attack packets per second", unit: "1/s", better: Better::Neither };
const RECEIVING: Metric = Metric { name: "CPU of receiving", unit: "%", better: Better::Neither };
const SERVING: Metric = Metric { name: "CPU of the node's process", unit: "%", better: Better::Neither };

/// The client warms up, or recovers from the last cell, for so long before anything counts.
const SETTLING: Duration = Duration::from_millis(300);

/// What stands between the attack and the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    On,
    Monitor,
    Off,
    Nftables,
}

impl Gate {
    const ALL: [Self; 4] = [Self::On, Self::Monitor, Self::Off, Self::Nftables];

    fn name(self) -> &'static str {
        match self {
            Self::On => "carom, guard on",
            Self::Monitor => "carom, guard monitors",
            Self::Off => "no guard",
            Self::Nftables => "no guard, nftables",
        }
    }
}

/// Everything that a cell of the table needs.
pub(super) struct Stage<'s> {
    pub(super) place: &'s Place,
    pub(super) guard: &'s mut Guard,
    pub(super) programs: &'s mut Ebpf,
    pub(super) node: Process,
    pub(super) address: SocketAddr,
    pub(super) links: &'s Links,
}

/// Starts a node on the service address, on the CPU where packets arrive.
pub(super) fn node(directory: &Path, carom: &Path, links: &Links) -> Result<(Process, SocketAddr)> {
    let snapshot = directory.join("links.snapshot");
    links.write_snapshot(&snapshot, 1)?;
    node::start_on(carom, directory, &snapshot, NODE_CPU, &format!("{VIP}:80"), "")
        .context("cannot start carom")
}

impl Stage<'_> {
    /// Every attack at every rate against every gate.
    pub(super) fn run(&mut self, effort: &Effort, report: &mut Report) -> Result<()> {
        let (rates, span): (&[u64], _) = match (effort.quick, effort.full) {
            (true, _) => (&[0, 200_000, 600_000, 2_000_000], Duration::from_millis(1000)),
            (_, true) => (
                &[0, 50_000, 100_000, 200_000, 400_000, 700_000, 1_000_000, 1_500_000, 2_500_000],
                Duration::from_secs(3),
            ),
            _ => (&[0, 100_000, 250_000, 500_000, 1_000_000, 2_000_000], Duration::from_millis(1000)),
        };
        for gate in Gate::ALL {
            let shut = self.shut(gate)?;
            let receiver = self.place.receiver()?;
            for attack in Attack::ALL {
                for &per_s in rates {
                    let cell = self.cell(attack, per_s, span, receiver)?;
                    let case = format!("{}, {} wanted", attack.name(), spoken(per_s));
                    let name = gate.name();
                    report.add(&case, REDIRECTS, name, cell.redirects_per_s);
                    report.add(&case, ATTACK, name, cell.attack_per_s);
                    report.add(&case, RECEIVING, name, cell.receiving * 100.0);
                    report.add(&case, SERVING, name, cell.serving * 100.0);
                    report.points.push(Point {
                        panel: attack.name().to_owned(),
                        line: name.to_owned(),
                        x: cell.attack_per_s,
                        y: cell.redirects_per_s,
                    });
                    println!(
                        "  {name}, {}: {:.0} attack/s, {:.0} redirects/s, receiving {:.0} %, process {:.0} %",
                        attack.name(),
                        cell.attack_per_s,
                        cell.redirects_per_s,
                        cell.receiving * 100.0,
                        cell.serving * 100.0
                    );
                    ensure!(cell.wrong == 0, "{} wrong answers under {}", cell.wrong, attack.name());
                }
            }
            drop(shut);
            self.open()?;
        }
        Ok(())
    }

    fn shut(&mut self, gate: Gate) -> Result<Option<Nftables>> {
        // What a machine without a guard has by default, and what the guard asks for.
        syncookies(if matches!(gate, Gate::On | Gate::Monitor) { "2" } else { "1" })?;
        let mode = match gate {
            Gate::On => Mode::Enforce,
            Gate::Monitor => Mode::Monitor,
            Gate::Off => return Ok(None),
            Gate::Nftables => return Ok(Some(Nftables::apply(Hook::Ingress)?)),
        };
        self.guard.tables_mut().apply(&subjects::settings(mode))?;
        self.guard.attach(NEAR, false)?;
        Ok(None)
    }

    fn open(&mut self) -> Result<()> {
        if self.guard.detach(NEAR)? {
            // The kernel lets go of a link some time after its last user.
            let deadline = Instant::now() + Duration::from_secs(10);
            while super::place::run(&format!("ip link show dev {NEAR}"))?.contains("prog/xdp") {
                ensure!(Instant::now() < deadline, "the guard stays attached");
                thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    fn cell(&mut self, attack: Attack, per_s: u64, span: Duration, receiver: u32) -> Result<Cell> {
        let Self { place, programs, node, address, links, guard: _ } = self;
        let (place, address, links) = (*place, *address, *links);
        let (stop, counts) = (AtomicBool::new(false), Counts::default());
        let (stop, counts) = (&stop, &counts);
        thread::scope(|scope| {
            let client = scope.spawn(move || client::ask(place, address, links, counts, stop));
            let attacker = scope.spawn(move || -> Result<Sent> {
                place.enter_world()?;
                flood::send(programs, attack, per_s, SETTLING + span * 3, stop)
            });
            thread::sleep(SETTLING);
            let look = || {
                (counts.answered.load(Ordering::Relaxed), cpu_time(receiver), node.cpu_time(), Instant::now())
            };
            let before = look();
            thread::sleep(span);
            let after = look();
            stop.store(true, Ordering::Relaxed);
            client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            let sent = attacker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            let seconds = (after.3 - before.3).as_secs_f64();
            Ok(Cell {
                redirects_per_s: (after.0 - before.0) as f64 / seconds,
                attack_per_s: sent.packets as f64 / sent.took.as_secs_f64(),
                receiving: (after.1 - before.1).as_secs_f64() / seconds,
                serving: (after.2 - before.2).as_secs_f64() / seconds,
                wrong: counts.wrong.load(Ordering::Relaxed),
            })
        })
    }
}

/// What one cell found.
struct Cell {
    redirects_per_s: f64,
    attack_per_s: f64,
    receiving: f64,
    serving: f64,
    wrong: u64,
}

/// CPU time of receiving and refusing one packet of a banned source, in nanoseconds, over the cable.
pub(super) fn cost_of_refusing(
    place: &Place,
    programs: &mut Ebpf,
    per_s: u64,
    span: Duration,
) -> Result<f64> {
    let receiver = place.receiver()?;
    let stop = AtomicBool::new(false);
    let before = cpu_time(receiver);
    let sent = thread::scope(|scope| {
        let attacker = scope.spawn(|| -> Result<Sent> {
            place.enter_world()?;
            flood::send(programs, Attack::Banned, per_s, span, &stop)
        });
        attacker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    Ok((cpu_time(receiver) - before).as_secs_f64() * 1e9 / sent.packets as f64)
}

/// Redirects that the client wants, for a reader of the table.
pub(super) fn wanted() -> String {
    format!(
        "the client wants {} redirects per second, each on a new connection, and checks each answer",
        spoken(WANTED_PER_S)
    )
}
