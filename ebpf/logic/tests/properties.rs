//! What holds for every packet and every rate: no panic, no growth, estimates near the truth.

mod world;

use std::collections::HashMap;

use ebpf_abi::{Action, BanKey, Mode, Policy};
use ebpf_logic::rate::{self, Kind, LEVEL_PER_CONNECTION};
use ebpf_logic::twin::MemoryTables;
use ebpf_logic::twin::frames::{self, flags};
use proptest::prelude::*;
use world::{NOW_NS, amended, judged, tables};

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let valid = (any::<[u8; 4]>(), any::<u16>(), any::<u8>(), any::<bool>()).prop_map(
        |(source, port, flags, six)| {
            if six {
                let mut octets = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                octets[4..8].copy_from_slice(&source);
                frames::tcp(
                    (octets, port).into(),
                    "[2001:db8::80]:80".parse().unwrap(),
                    flags,
                    &frames::SYN_OPTIONS,
                    b"x",
                )
            } else {
                frames::tcp(
                    (source, port).into(),
                    "192.0.2.80:80".parse().unwrap(),
                    flags,
                    &frames::SYN_OPTIONS,
                    b"x",
                )
            }
        },
    );
    let changed = (
        valid,
        proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(|(mut frame, changes, cut, cuts)| {
            for (index, byte) in changes {
                let at = index.index(frame.len());
                frame[at] = byte;
            }
            if cuts {
                frame.truncate(cut.index(frame.len() + 1));
            }
            frame
        });
    prop_oneof![4 => changed, 1 => proptest::collection::vec(any::<u8>(), 0..128)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_packet_has_a_verdict_and_an_answer_never_grows(frame in frame(), flood: bool, mode in 0u8..3) {
        let mode = [Mode::Off, Mode::Monitor, Mode::Enforce][usize::from(mode)];
        let tables = amended(mode, |policy| if flood { (policy.cpu_soft_level, policy.stray_soft_level) = (0, 0) });
        let (verdict, answer) = judged(&tables, &frame, NOW_NS);
        if verdict.action() == Action::Transmit {
            prop_assert!(answer.len() <= frame.len() && usize::from(verdict.answer_bytes) == answer.len());
        }
        if mode != Mode::Enforce {
            prop_assert_eq!(verdict.action(), Action::Pass);
        }
    }

    #[test]
    fn management_is_never_dropped(bytes in frame()) {
        let mut frame = bytes;
        if frame.len() >= 34 && frame[12..14] == [8, 0] {
            frame[26..30].copy_from_slice(&[10, 9, 1, 2]);
            prop_assert_eq!(judged(&tables(Mode::Enforce), &frame, NOW_NS).0.action(), Action::Pass);
        }
    }

    #[test]
    fn estimates_are_close_to_a_slow_oracle(
        events in proptest::collection::vec((0u8..40, 0u64..20_000_000), 1..600),
    ) {
        let (tables, policy) = (MemoryTables::default(), Policy { seed: [3, 5], ..Policy::default() });
        let mut oracle: HashMap<u8, (f64, u64)> = HashMap::new();
        let mut now_ns = NOW_NS;
        for (source, passed_ns) in events {
            now_ns += passed_ns;
            let key = BanKey { bits: source.into(), length: 128, padding: 0 };
            let estimate = f64::from(rate::charge(&tables, &policy, key, Kind::Source, now_ns));
            let (level, at_ns) = oracle.entry(source).or_insert((0.0, now_ns));
            let halvings = (now_ns - *at_ns) as f64 / (1024.0 * 1_048_576.0);
            (*level, *at_ns) = (*level * (-halvings).exp2() + f64::from(LEVEL_PER_CONNECTION), now_ns);
            // One tick of 1 ms is lost to rounding per event, and a unit of level to truncation.
            prop_assert!((estimate - *level).abs() <= *level * 0.05 + 8.0, "{estimate} is not {level}");
        }
    }
}

#[test]
fn spoofed_sources_neither_flush_a_heavy_one_nor_make_strangers_heavy() {
    let policy = Policy { seed: [11, 13], ..Policy::default() };
    let tables = MemoryTables::default();
    let charge = |bits: u64, now_ns| {
        rate::charge(&tables, &policy, BanKey { bits, length: 128, padding: 0 }, Kind::Source, now_ns)
    };
    let mut heavy = 0;
    // Per millisecond: one connection of the heavy source, twenty of sources that are never seen again.
    for tick in 0..2000u64 {
        let now_ns = NOW_NS + tick * 1_048_576;
        heavy = charge(1, now_ns);
        for stranger in 0..20 {
            charge(1000 + tick * 20 + stranger, now_ns);
        }
    }
    assert!(heavy > rate::level_of_rate(600), "{heavy}");
    let later = NOW_NS + 2000 * 1_048_576;
    let strangers: Vec<u32> = (0..1000).map(|n| charge(9_000_000 + n, later)).collect();
    let raised = strangers.iter().filter(|level| **level > rate::level_of_rate(5)).count();
    assert!(raised < 20, "{raised} of 1000 strangers look heavy");
}

#[test]
fn a_steady_rate_settles_at_the_level_of_that_rate() {
    for per_s in [1u64, 10, 100, 1000, 10_000] {
        let mut cell = 0;
        for event in 0..per_s * 20 {
            cell = rate::charged(cell, NOW_NS + event * 1_000_000_000 / per_s, LEVEL_PER_CONNECTION);
        }
        let (level, expected) = (f64::from(rate::level(cell)), f64::from(rate::level_of_rate(per_s as u32)));
        assert!(
            (level / expected - 1.0).abs() < 0.35 + 1.0 / per_s as f64,
            "{per_s} per second: {level}, not {expected}"
        );
    }
}

#[test]
fn a_syn_of_every_size_is_answered_within_its_size() {
    let flooded = amended(Mode::Enforce, |policy| policy.cpu_soft_level = 0);
    for options in 0..=40 {
        for payload in [0, 1, 500] {
            let frame = frames::tcp(
                "192.0.2.1:9".parse().unwrap(),
                "192.0.2.80:80".parse().unwrap(),
                flags::SYN,
                &vec![1; options],
                &vec![0; payload],
            );
            let (verdict, answer) = judged(&flooded, &frame, NOW_NS);
            assert!(verdict.action() == Action::Transmit && answer.len() <= frame.len());
            assert!(frames::checksums_are_right(&answer));
        }
    }
}
