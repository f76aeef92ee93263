//! What is measured: the guard with full tables, programs that do nothing, xdp-filter and nftables with the same entries.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuHashMap, PerCpuValues};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::util::nr_cpus;
use ebpf_loader::abi::{BanKind, Mode};
use ebpf_loader::{
    Cidr, Guard, GuardOptions, Limit, List, ListKind, Lists, Modes, Pins, Settings, VipSettings,
};

use super::place::{NEAR, VIP, run};
use crate::bench::machine::thread_cpu_time;
use crate::bench::report::{Better, Metric, Report};

/// The IPv6 service address.
pub(super) const VIP_V6: &str = "2001:db8::80";

/// Entries of the full tables: half of the bans are of IPv6.
pub(super) const NETWORKS: u32 = 100_000;
pub(super) const BANS: u32 = 65_536;
/// What xdp-filter's tables hold at most, per family.
const FILTERED: u32 = 10_000;

const RELOAD: Metric = Metric { name: "time to read, swap and test", unit: "ms", better: Better::Less };

/// Longer than a run.
const LEASE: Duration = Duration::from_secs(3600);

/// Loads the guard with pins of its own; nothing is attached yet.
pub(super) fn guard(object: &Path) -> Result<Guard> {
    let options = GuardOptions { pins: Pins::at("/sys/fs/bpf/carom"), object: Some(object.to_owned()) };
    let mut guard = Guard::load(&options)?;
    guard.tables_mut().beat(LEASE)?;
    Ok(guard)
}

/// One VIP per family, the limits that a node has by default but for those of a single source, which the one client is.
pub(super) fn settings(mode: Mode) -> Settings {
    let vip = |address: &str| {
        Ok::<_, anyhow::Error>(VipSettings {
            address: address.parse()?,
            tcp_ports: vec![80],
            udp_ports: Vec::new(),
        })
    };
    Settings {
        modes: Modes::all(mode),
        vips: [VIP, VIP_V6].into_iter().filter_map(|address| vip(address).ok()).collect(),
        node: Limit { challenge_per_s: Some(50_000), drop_per_s: None },
        stray_check_per_s: Some(500_000),
        ..Settings::default()
    }
}

/// A listed network by its number: scattered, and apart from where floods pretend to come from.
pub(super) fn listed_v4(n: u32) -> Cidr {
    Cidr::new(Ipv4Addr::from_bits(0x2000_0000 + n * 41 * 256).into(), 24)
}

pub(super) fn listed_v6(n: u32) -> Cidr {
    Cidr::new(Ipv6Addr::from_bits(u128::from(0x2600_0000_0000u64 + u64::from(n) * 41) << 80).into(), 48)
}

/// A banned source by its number.
pub(super) fn banned_v4(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x6500_0000 + n * 251)
}

pub(super) fn banned_v6(n: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(u128::from(0x2a00_0000_0000_0000u64 + u64::from(n) * 251) << 64 | 7)
}

/// Fills lists and bans to their bounds, and measures how long lists take from their text to being in force, tested.
pub(super) fn fill(guard: &mut Guard, rounds: usize, report: &mut Report) -> Result<()> {
    let text = |listed: &dyn Fn(u32) -> Cidr| {
        (0..NETWORKS).map(|n| format!("{} # {n}\n", listed(n))).collect::<String>()
    };
    let (v4, v6) = (text(&listed_v4), text(&listed_v6));
    // The last one stays.
    let files = [("IPv4", v4.clone()), ("IPv6", v6.clone()), ("IPv4 and as many of IPv6", v4 + &v6)];
    for (what, text) in &files {
        for _ in 0..rounds {
            let began = Instant::now();
            let (list, bad) = List::parse(ListKind::Deny, 1, text);
            ensure!(bad.is_empty(), "bad lines: {bad:?}");
            guard.swap(None, Some(&Lists::merge(&[list])))?;
            let took = began.elapsed();
            report.add(
                &format!("deny list of {NETWORKS} lines of {what}"),
                RELOAD,
                "carom's guard",
                took.as_secs_f64() * 1e3,
            );
        }
    }
    for n in 0..BANS / 2 {
        for source in [Cidr::host(banned_v4(n).into()), Cidr::host(banned_v6(n).into())] {
            guard.tables_mut().ban(source, BanKind::Drop, LEASE, 1)?;
        }
    }
    Ok(())
}

/// A program of the object that benchmarks stand on, loaded.
pub(super) fn load<'p>(programs: &'p mut Ebpf, name: &str) -> Result<&'p mut Xdp> {
    let program = programs.program_mut(name).with_context(|| format!("no program {name}"))?;
    let program: &mut Xdp = program.try_into()?;
    if program.fd().is_err() {
        program.load().with_context(|| format!("the kernel refuses {name}"))?;
    }
    Ok(program)
}

/// CPU time in nanoseconds per run on one packet: what other programs do meanwhile does not count.
pub(super) fn time(program: &Xdp, frame: &[u8], repeat: u32) -> Result<f64> {
    let before = thread_cpu_time();
    program.test_run(TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() })?;
    Ok((thread_cpu_time() - before).as_secs_f64() * 1e9 / f64::from(repeat))
}

/// The same for the guard.
pub(super) fn time_guard(guard: &Guard, frame: &[u8], repeat: u32) -> Result<f64> {
    let before = thread_cpu_time();
    guard.time(frame, repeat)?;
    Ok((thread_cpu_time() - before).as_secs_f64() * 1e9 / f64::from(repeat))
}

/// The program of xdp-filter that refuses what is listed, with full tables; none where it is not installed.
pub(super) fn xdp_filter() -> Result<Xdp> {
    const OBJECT: &str = "/usr/lib/x86_64-linux-gnu/bpf/xdpfilt_alw_all.o";
    ensure!(Path::new(OBJECT).exists(), "xdp-tools is not installed");
    run(&format!("bpftool prog loadall {OBJECT} /sys/fs/bpf/filter"))?;
    let map = |name: &str| MapData::from_pin(format!("/sys/fs/bpf/{name}"));
    // One more than it needs for each CPU: a flag that means "drop if it is the source".
    let cpus = nr_cpus().map_err(|(_, error)| error)?;
    let refused = || PerCpuValues::try_from(vec![1u64; cpus]);
    let mut v4: PerCpuHashMap<_, [u8; 4], u64> =
        PerCpuHashMap::try_from(aya::maps::Map::PerCpuHashMap(map("filter_ipv4")?))?;
    let mut v6: PerCpuHashMap<_, [u8; 16], u64> =
        PerCpuHashMap::try_from(aya::maps::Map::PerCpuHashMap(map("filter_ipv6")?))?;
    for n in 0..FILTERED {
        v4.insert(banned_v4(n).octets(), refused()?, 0)?;
        v6.insert(banned_v6(n).octets(), refused()?, 0)?;
    }
    let program = fs::read_dir("/sys/fs/bpf/filter")?.flatten().next().context("bpftool pinned nothing")?;
    Ok(Xdp::from_pin(program.path(), aya_obj::programs::XdpAttachType::Interface)?)
}

/// Where nftables looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// Of the interface, before the stack: the earliest that nftables has.
    Ingress,
    /// Of the stack, before connections are tracked.
    Raw,
}

/// Rules that refuse what the guard refuses and nftables can know without connection tracking: the same networks, the same
/// sources, ports that are not served, flags that make no sense, and sources with many new connections.
pub(super) struct Nftables;

impl Nftables {
    pub(super) fn apply(hook: Hook) -> Result<Self> {
        let (family, chain) = match hook {
            Hook::Ingress => ("netdev", format!("type filter hook ingress device {NEAR} priority 0;")),
            Hook::Raw => ("inet", "type filter hook prerouting priority raw;".to_owned()),
        };
        let networks: Vec<String> = (0..NETWORKS).map(|n| listed_v4(n).to_string()).collect();
        let sources: Vec<String> = (0..BANS / 2).map(|n| banned_v4(n).to_string()).collect();
        let rules = format!(
            "table {family} bench {{\n\
             set listed {{ type ipv4_addr; flags interval; elements = {{ {} }} }}\n\
             set banned {{ type ipv4_addr; size {BANS}; elements = {{ {} }} }}\n\
             set busy {{ type ipv4_addr; size {BANS}; flags dynamic,timeout; timeout 10s; }}\n\
             chain gate {{ {chain}\n\
             ip daddr != {VIP} accept\n\
             meta l4proto != tcp drop\n\
             tcp dport != 80 drop\n\
             tcp flags & (fin|syn) == fin|syn drop\n\
             ip saddr @listed drop\n\
             ip saddr @banned drop\n\
             tcp flags & (syn|ack) == syn update @busy {{ ip saddr limit rate over 2000/second }} drop\n\
             }}\n}}\n",
            networks.join(", "),
            sources.join(", "),
        );
        let mut nft =
            Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        {
            use std::io::Write as _;
            nft.stdin.take().context("nft has no input")?.write_all(rules.as_bytes())?;
        }
        let output = nft.wait_with_output()?;
        ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(Self)
    }
}

impl Drop for Nftables {
    fn drop(&mut self) {
        let _ = run("nft flush ruleset");
    }
}
