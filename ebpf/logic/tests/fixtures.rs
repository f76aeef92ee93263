//! The logic is held to the golden packets.

mod world;

use std::collections::BTreeSet;

use ebpf_abi::{Action, Mode, Reason};
use ebpf_logic::rate::level_of_rate;
use ebpf_logic::twin::MemoryTables;
use ebpf_logic::twin::fixtures::{self, Fixture};
use world::{NOW_NS, amended, judged, tables};

/// What the names of settings mean.
fn settled(fixture: &Fixture) -> MemoryTables {
    let enforce = |amend: fn(&mut ebpf_abi::Policy)| amended(Mode::Enforce, amend);
    let mut tables = match fixture.settings.as_str() {
        "enforce" => tables(Mode::Enforce),
        "monitor" => tables(Mode::Monitor),
        "off" => tables(Mode::Off),
        "flooded" => enforce(|policy| (policy.cpu_soft_level, policy.stray_soft_level) = (0, 0)),
        "drowned" => enforce(|policy| (policy.cpu_soft_level, policy.cpu_hard_level) = (0, 0)),
        "busy source" => enforce(|policy| {
            (policy.source_soft_level, policy.source_hard_level) = (level_of_rate(20), level_of_rate(100));
        }),
        "busy network" => enforce(|policy| {
            (policy.network_soft_level, policy.network_hard_level) = (level_of_rate(20), level_of_rate(100));
        }),
        "nobody" => {
            let mut tables = tables(Mode::Enforce);
            tables.alive_until_ns = 0;
            tables
        }
        "blind" => MemoryTables::default(),
        other => panic!("{}: nobody knows the settings `{other}`", fixture.place),
    };
    tables.connected = fixture.needs.as_deref() == Some("socket");
    tables.cookie_valid = fixture.needs.as_deref() == Some("cookie");
    tables
}

#[test]
fn every_golden_packet_is_judged_as_it_is_written() {
    for fixture in fixtures::all() {
        let tables = settled(&fixture);
        // A second after the last trickle, except where packets came before.
        let now_ns = NOW_NS + if fixture.reason == Reason::Trickle { 1_000_000_000 } else { 0 };
        for _ in 0..fixture.before {
            judged(&tables, &fixture.frame, now_ns);
        }
        let (verdict, answer) = judged(&tables, &fixture.frame, now_ns);
        let Fixture { place, what, .. } = &fixture;
        assert_eq!(verdict.reason, fixture.reason, "{place}: {what}");
        assert_eq!(verdict.action(), fixture.action, "{place}: {what}");
        assert_eq!(verdict.protocol(), fixture.protocol, "{place}: {what}");
        assert_eq!(verdict.monitored(), fixture.monitored, "{place}: {what}");
        assert_eq!(verdict.rule, fixture.rule, "{place}: {what}");
        let answer = (verdict.action() == Action::Transmit).then_some(&answer[..]);
        assert!(fixture.is_answered_by(answer), "{place}: {what}: {answer:02x?}");
    }
}

#[test]
fn every_reason_has_a_golden_packet_in_both_families() {
    let fixtures = fixtures::all();
    for &reason in Reason::ALL {
        let versions: BTreeSet<char> = fixtures
            .iter()
            .filter(|fixture| fixture.reason == reason)
            .map(|fixture| fixture.protocol.name().chars().last().unwrap_or('e'))
            .collect();
        let expected: &[char] = match reason {
            Reason::NoPolicy | Reason::NotIp | Reason::Arp => &['e'],
            // IPv6 alone has them; a SYN with IPv4 options cannot be challenged either.
            Reason::NeighbourDiscovery | Reason::ExtensionHeaders => &['6'],
            _ => &['4', '6'],
        };
        assert!(expected.iter().all(|version| versions.contains(version)), "{reason:?}: {versions:?}");
    }
}
