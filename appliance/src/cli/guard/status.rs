//! What the guard does now, by what is pinned.

use std::fmt::Write as _;
use std::process::ExitCode;

use ebpf_loader::abi::{BanKind, Mode, Reason, Stage};
use ebpf_loader::{Pins, Tables};
use serde::Serialize;

use crate::guard::facts::mode_name;
use crate::guard::gate::left_behind;

#[derive(Serialize)]
struct Status {
    interfaces: Vec<String>,
    /// Milliseconds; 0: bans, limits and challenges only count.
    lease_ms: u64,
    modes: Vec<StageMode>,
    vips: Vec<Vip>,
    bans: usize,
    challenged: usize,
    packets: Vec<Packets>,
    events_lost: u64,
    events_skipped: u64,
}

#[derive(Serialize)]
struct StageMode {
    stage: &'static str,
    mode: &'static str,
}

#[derive(Serialize)]
struct Vip {
    address: String,
    tcp_ports: Vec<u16>,
}

#[derive(Serialize)]
struct Packets {
    reason: &'static str,
    action: &'static str,
    packets: u64,
    /// How many a monitoring stage would have acted on.
    monitored: u64,
    meaning: &'static str,
}

pub(super) fn run(pins: &Pins, json: bool) -> anyhow::Result<ExitCode> {
    let status = Status::read(pins)?;
    let text = if json { serde_json::to_string_pretty(&status)? + "\n" } else { status.text() };
    super::super::print(&text)
}

impl Status {
    fn read(pins: &Pins) -> anyhow::Result<Self> {
        let tables = Tables::open(pins)?;
        let counters = tables.counters()?;
        let policy = tables.policy()?;
        let bans = tables.bans()?;
        let challenged = bans.iter().filter(|ban| ban.kind == BanKind::Challenge).count();
        let mode = |stage| policy.as_ref().map_or(Mode::Off, |policy| policy.mode(stage));
        let mut vips: Vec<Vip> = tables
            .vips()?
            .into_iter()
            .map(|(address, vip)| Vip {
                address: address.to_string(),
                tcp_ports: vip.tcp_ports.iter().copied().filter(|&port| port != 0).collect(),
            })
            .collect();
        vips.sort_by(|one, other| one.address.cmp(&other.address));
        Ok(Self {
            interfaces: left_behind(pins.root()),
            lease_ms: u64::try_from(tables.lease()?.as_millis()).unwrap_or(u64::MAX),
            modes: Stage::ALL
                .iter()
                .filter(|stage| **stage != Stage::Answer)
                .map(|&stage| StageMode { stage: stage.name(), mode: mode_name(mode(stage)) })
                .collect(),
            vips,
            bans: bans.len() - challenged,
            challenged,
            packets: Reason::ALL
                .iter()
                .map(|&reason| Packets {
                    reason: reason.name(),
                    action: reason.action().name(),
                    packets: counters.of(reason),
                    monitored: counters.monitored(reason),
                    meaning: reason.help(),
                })
                .filter(|packets| packets.packets > 0 || packets.monitored > 0)
                .collect(),
            events_lost: counters.events_lost,
            events_skipped: counters.events_skipped,
        })
    }

    fn text(&self) -> String {
        let Self {
            interfaces,
            lease_ms,
            modes,
            vips,
            bans,
            challenged,
            packets,
            events_lost,
            events_skipped,
        } = self;
        let grow = "writing to a String cannot fail";
        let mut text = String::new();
        let attached = if interfaces.is_empty() {
            "no interface: the gate is open".into()
        } else {
            interfaces.join(", ")
        };
        writeln!(text, "attached to  {attached}").expect(grow);
        let supervised = match lease_ms {
            0 => "no node supervises: bans, limits and challenges only count".into(),
            ms => format!("a node supervises; lease {} ms", ms),
        };
        writeln!(text, "lease        {supervised}").expect(grow);
        let modes: Vec<_> = modes.iter().map(|StageMode { stage, mode }| format!("{stage} {mode}")).collect();
        writeln!(text, "stages       {}", modes.join(", ")).expect(grow);
        for Vip { address, tcp_ports } in vips {
            let ports: Vec<_> = tcp_ports.iter().map(u16::to_string).collect();
            writeln!(text, "serves       {address} port {}", ports.join(", ")).expect(grow);
        }
        writeln!(text, "bans         {bans} dropped, {challenged} challenged (`carom guard bans`)")
            .expect(grow);
        writeln!(text, "samples      {events_lost} lost, {events_skipped} over the budget\n").expect(grow);
        writeln!(text, "{:>14} {:>14}  {:<8} {:<20} meaning", "packets", "monitored", "action", "reason")
            .expect(grow);
        for Packets { reason, action, packets, monitored, meaning } in packets {
            writeln!(text, "{packets:>14} {monitored:>14}  {action:<8} {reason:<20} {meaning}").expect(grow);
        }
        text
    }
}
