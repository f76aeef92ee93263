//! The guard judges any bytes, never makes a frame longer, and passes everything while it only monitors.
#![no_main]

use std::cell::RefCell;

use ebpf_abi::{Action, Address, Mode, Policy, STAGES, Vip};
use ebpf_logic::judge;
use ebpf_logic::twin::{Frame, MemoryTables};
use libfuzzer_sys::fuzz_target;

thread_local! {
    // The sketch is 2 MiB: made once, and what earlier inputs left in it is part of the game.
    static TABLES: RefCell<MemoryTables> = RefCell::default();
}

fuzz_target!(|input: (u8, u32, &[u8])| {
    let (settings, now_ms, bytes) = input;
    let mode = [Mode::Off, Mode::Monitor, Mode::Enforce, Mode::Enforce][usize::from(settings & 3)];
    let flood = if settings & 4 == 0 { u32::MAX } else { 0 };
    TABLES.with_borrow_mut(|tables| {
        let policy = Policy {
            modes: [mode as u8; STAGES],
            cpu_soft_level: flood,
            stray_soft_level: flood,
            source_soft_level: 6400,
            source_hard_level: 64_000,
            ..Policy::default()
        };
        (tables.policy, tables.alive_until_ns) = (Some(policy), u64::MAX);
        (tables.connected, tables.cookie_valid) = (settings & 8 != 0, settings & 16 != 0);
        tables.cookie = (settings & 32 == 0).then_some(now_ms);
        if tables.vips.is_empty() {
            let vip = Vip { tcp_ports: [80, 443, 0, 0, 0, 0, 0, 0], udp_ports: [443, 0, 0, 0, 0, 0, 0, 0] };
            let six = Address { high: 0x2001_0db8_0000_0000, low: 0x80 };
            tables.vips = [(Address::from_v4(0xc000_0250), vip), (six, vip)].into();
        }
        let mut frame = Frame(bytes.to_vec());
        let verdict = judge(&mut frame, tables, u64::from(now_ms) * 1_000_000);
        assert_eq!(frame.0.len(), bytes.len());
        match verdict.action() {
            Action::Transmit => assert!(usize::from(verdict.answer_bytes) <= bytes.len()),
            Action::Drop | Action::Pass => assert_eq!(frame.0, bytes),
        }
        assert!(mode == Mode::Enforce || verdict.action() == Action::Pass);
    });
});
