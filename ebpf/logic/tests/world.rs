//! The world that the tests of the logic share: two VIPs, one of each kind of neighbour.
#![allow(dead_code, reason = "every test file uses another part of it")]

use std::net::IpAddr;

use ebpf_abi::maps::{LISTED_ALLOW, LISTED_DENY};
use ebpf_abi::{
    Address, Ban, BanKey, BanKind, Mode, Policy, Prefix, Protected, ROLE_MANAGEMENT, ROLE_ROUTING, STAGES,
    Vip,
};
use ebpf_logic::rate::level_of_rate;
use ebpf_logic::twin::{Frame, MemoryTables};
use ebpf_logic::{Verdict, judge};

/// An instant long after the start, so that no trickle is due by accident.
pub(crate) const NOW_NS: u64 = 1_000_000_000_000;

pub(crate) fn address(text: &str) -> Address {
    match text.parse().unwrap() {
        IpAddr::V4(v4) => Address::from_v4(v4.to_bits()),
        IpAddr::V6(v6) => Address::from_v6(v6.octets()),
    }
}

/// VIPs 192.0.2.80 and 2001:db8::80 with ports 80 and 443, everything in one mode, no limit in reach.
pub(crate) fn tables(mode: Mode) -> MemoryTables {
    let mut policy = Policy {
        seed: [7, 9],
        modes: [mode as u8; STAGES],
        lists_used: 3,
        network_bans: 1,
        admin_ports: [2222, 0, 0, 0],
        protected_count: 4,
        ..Policy::default()
    };
    for (slot, (text, length, roles)) in policy.protected.iter_mut().zip([
        ("10.9.0.0", 96 + 16, ROLE_MANAGEMENT),
        ("10.8.0.1", 128, ROLE_ROUTING),
        ("2001:db8:9::", 48, ROLE_MANAGEMENT),
        ("2001:db8:8::1", 128, ROLE_ROUTING),
    ]) {
        *slot = Protected { prefix: Prefix::new(address(text), length), roles };
    }
    let mut tables = MemoryTables::default();
    (tables.policy, tables.alive_until_ns) = (Some(policy), u64::MAX);
    let vip = Vip { tcp_ports: [80, 443, 0, 0, 0, 0, 0, 0], udp_ports: [443, 0, 0, 0, 0, 0, 0, 0] };
    tables.vips = [(address("192.0.2.80"), vip), (address("2001:db8::80"), vip)].into();
    tables.lists = vec![
        (Prefix::new(address("198.51.100.0"), 96 + 24), LISTED_DENY | 4 << 8),
        (Prefix::new(address("198.51.100.64"), 96 + 26), LISTED_DENY | LISTED_ALLOW | 3 << 8),
        (Prefix::new(address("2001:db8:d::"), 48), LISTED_DENY | 4 << 8),
        (Prefix::new(address("2001:db8:a::"), 48), LISTED_ALLOW | 3 << 8),
    ];
    let ban = |kind: BanKind| Ban { expires_at_ns: NOW_NS + 1_000_000_000, kind: kind.number(), cause: 77 };
    tables.bans = [
        (BanKey::source(address("203.0.113.66")), ban(BanKind::Drop)),
        (BanKey::source(address("203.0.113.67")), ban(BanKind::Challenge)),
        (BanKey::network(address("172.16.5.0")), ban(BanKind::Drop)),
        (BanKey::source(address("2001:db8:b:1::")), ban(BanKind::Drop)),
        (BanKey::network(address("2001:db8:c::")), ban(BanKind::Challenge)),
    ]
    .into();
    trickled(&tables);
    tables
}

/// Marks every listener's trickle as done just now, so that the next challenge is one.
pub(crate) fn trickled(tables: &MemoryTables) {
    use ebpf_logic::Tables;
    for listener in 0..ebpf_abi::maps::TRICKLE_ENTRIES as u32 {
        tables.set_trickled_at_ns(listener, NOW_NS);
    }
}

pub(crate) fn amended(mode: Mode, amend: impl FnOnce(&mut Policy)) -> MemoryTables {
    let mut tables = tables(mode);
    if let Some(policy) = &mut tables.policy {
        amend(policy);
    }
    tables
}

/// Challenges above `soft`, drops above `hard` connections per second of one source.
pub(crate) fn limited(soft: u32, hard: u32) -> MemoryTables {
    amended(Mode::Enforce, |policy| {
        policy.source_soft_level = level_of_rate(soft);
        policy.source_hard_level = level_of_rate(hard);
    })
}

/// The verdict, and the answer if there is one.
pub(crate) fn judged(tables: &MemoryTables, frame: &[u8], now_ns: u64) -> (Verdict, Vec<u8>) {
    let mut frame = Frame(frame.to_vec());
    let verdict = judge(&mut frame, tables, now_ns);
    frame.0.truncate(verdict.answer_bytes.into());
    (verdict, frame.0)
}
