//! The guard judges any bytes in a world of lists and bans, never makes a frame longer, passes everything while it only monitors,
//! and drops nothing for a ban or a rate while nobody supervises.
#![no_main]

use std::cell::RefCell;

use ebpf_abi::maps::{LISTED_ALLOW, LISTED_DENY};
use ebpf_abi::{
    Action, Address, Ban, BanKey, BanKind, Mode, Policy, Prefix, Protected, ROLE_MANAGEMENT, ROLE_ROUTING,
    STAGES, Stage, Vip,
};
use ebpf_logic::judge;
use ebpf_logic::twin::{Frame, MemoryTables};
use libfuzzer_sys::fuzz_target;

thread_local! {
    // The sketch is 2 MiB: made once, and what earlier inputs left in it is part of the game.
    static TABLES: RefCell<MemoryTables> = RefCell::default();
}

/// Until when bans of the world last, ns: in the middle of the times that inputs say.
const EXPIRES_AT_NS: u64 = 1 << 51;

/// 198.51.100.0/24 is denied but for an allowed half of it, 203.0.113.0/24 holds a banned and a challenged source and a banned
/// network lies beside it; the same under 2001:db8.
fn settle(tables: &mut MemoryTables) {
    let vip = Vip { tcp_ports: [80, 443, 0, 0, 0, 0, 0, 0], udp_ports: [443, 0, 0, 0, 0, 0, 0, 0] };
    let v4 = |bits| Address::from_v4(bits);
    let v6 = |high| Address { high, low: 0x80 };
    tables.vips = [(v4(0xc000_0250), vip), (v6(0x2001_0db8_0000_0000), vip)].into();
    tables.lists = vec![
        (Prefix::new(v4(0xc633_6400), 120), LISTED_DENY | 2 << 8),
        (Prefix::new(v4(0xc633_6480), 121), LISTED_DENY | LISTED_ALLOW | 1 << 8),
        (Prefix::new(v6(0x2001_0db8_0098_0000), 48), LISTED_DENY | 2 << 8),
        (Prefix::new(v6(0x2001_0db8_0098_0001), 64), LISTED_DENY | LISTED_ALLOW | 1 << 8),
    ];
    let bans = [
        (BanKey::source(v4(0xcb00_7105)), BanKind::Drop),
        (BanKey::source(v4(0xcb00_7106)), BanKind::Challenge),
        (BanKey::network(v4(0xcb00_7200)), BanKind::Drop),
        (BanKey::source(v6(0x2001_0db8_0066_0001)), BanKind::Drop),
        (BanKey::source(v6(0x2001_0db8_0066_0002)), BanKind::Challenge),
        (BanKey::network(v6(0x2001_0db8_0067_0000)), BanKind::Drop),
    ];
    let ban = |kind: BanKind| Ban { expires_at_ns: EXPIRES_AT_NS, kind: kind.number(), cause: 7 };
    tables.bans = bans.into_iter().map(|(key, kind)| (key, ban(kind))).collect();
}

/// Management and a routing peer of each family.
fn protected() -> [Protected; 4] {
    [
        (Address::from_v4(0x0a09_0000), 112, ROLE_MANAGEMENT),
        (Address::from_v4(0x0a08_0001), 128, ROLE_ROUTING),
        (Address { high: 0x2001_0db8_0009_0000, low: 0 }, 48, ROLE_MANAGEMENT),
        (Address { high: 0x2001_0db8_0008_0000, low: 1 }, 128, ROLE_ROUTING),
    ]
    .map(|(address, length, roles)| Protected { prefix: Prefix::new(address, length), roles })
}

fuzz_target!(|input: (u8, u32, &[u8])| {
    let (settings, now_ms, bytes) = input;
    let mode = [Mode::Off, Mode::Monitor, Mode::Enforce, Mode::Enforce][usize::from(settings & 3)];
    let flood = if settings & 4 == 0 { u32::MAX } else { 0 };
    let supervised = settings & 64 == 0;
    TABLES.with_borrow_mut(|tables| {
        let mut policy = Policy {
            modes: [mode as u8; STAGES],
            cpu_soft_level: flood,
            stray_soft_level: flood,
            source_soft_level: 6400,
            source_hard_level: 64_000,
            lists_used: 3,
            network_bans: u32::from(settings & 128 == 0),
            protected_count: 4,
            ..Policy::default()
        };
        policy.protected[..4].copy_from_slice(&protected());
        tables.policy = Some(policy);
        tables.alive_until_ns = if supervised { u64::MAX } else { 0 };
        (tables.connected, tables.cookie_valid) = (settings & 8 != 0, settings & 16 != 0);
        tables.cookie = (settings & 32 == 0).then_some(now_ms);
        if tables.vips.is_empty() {
            settle(tables);
        }
        let now_ns = u64::from(now_ms) * 1_000_000;
        let mut frame = Frame(bytes.to_vec());
        let verdict = judge(&mut frame, tables, now_ns);
        assert_eq!(frame.0.len(), bytes.len());
        match verdict.action() {
            Action::Transmit => assert!(usize::from(verdict.answer_bytes) <= bytes.len()),
            Action::Drop | Action::Pass => assert_eq!(frame.0, bytes),
        }
        assert!(mode == Mode::Enforce || verdict.action() == Action::Pass);
        if let Some(stage) = verdict.reason.stage() {
            assert!(supervised || verdict.action() == Action::Pass || !stage.needs_heartbeat());
            assert!(now_ns < EXPIRES_AT_NS || stage != Stage::Ban, "a ban outlived its end");
        }
    });
});
