//! Rules are tried before they are valid, a failure leaves the valid ones alone, and bans outlive a change of versions.

use std::fs;

use aya::maps::{Array, Map, MapData};
use ebpf_loader::abi::maps::FILTER_WORDS;
use ebpf_loader::abi::{ABI_VERSION, BanKind, Reason};
use ebpf_loader::{
    Guard, GuardOptions, Limit, List, ListKind, Lists, Question, SelfTestFailure, Settings, Tables,
};

use crate::lab;

fn lists(allow: &str, deny: &str) -> Lists {
    Lists::merge(&[List::parse(ListKind::Allow, 1, allow).0, List::parse(ListKind::Deny, 2, deny).0])
}

fn asked(guard: &Guard, source: &str, candidate: bool) -> Reason {
    let vip = if source.contains(':') { "[2001:db8::80]:80" } else { "192.0.2.80:80" };
    let source = if source.contains(':') { format!("[{source}]:4000") } else { format!("{source}:4000") };
    let frame = Question::syn(source.parse().unwrap(), vip.parse().unwrap());
    guard.explain(&Question { candidate, ..Question::about(&frame) }).unwrap().reason
}

fn settings() -> Settings {
    Settings { source: Limit::default(), network: Limit::default(), ..lab::settings() }
}

#[test]
fn the_program_is_asked_about_rules_before_any_packet_meets_them() {
    let Some((mut guard, _bpffs)) = lab::guard("candidates") else { return };
    let first = lists("", "203.0.113.0/24\n2001:db8:113::/48");
    // The first rules of all are tried before they are valid, too.
    let packets = guard.swap(Some(&settings()), Some(&first)).unwrap().packets;
    assert!(packets > guard.self_test().unwrap().packets, "the lists are part of the test");
    let second = lists("203.0.113.7", "203.0.113.0/24\n198.51.100.0/24");
    let candidate = guard.tables_mut().prepare(None, Some(&second)).unwrap();
    for (source, valid, prepared) in [
        ("203.0.113.7", Reason::Denied, Reason::Allowed),
        ("203.0.113.8", Reason::Denied, Reason::Denied),
        ("198.51.100.9", Reason::Accepted, Reason::Denied),
        ("2001:db8:113::9", Reason::Denied, Reason::Accepted),
    ] {
        assert_eq!(asked(&guard, source, false), valid, "{source} by the valid rules");
        assert_eq!(asked(&guard, source, true), prepared, "{source} by the prepared rules");
    }
    guard.test(&candidate, Some(&second)).unwrap();
    guard.tables_mut().commit(candidate).unwrap();
    assert_eq!(asked(&guard, "203.0.113.7", false), Reason::Allowed);
    assert_eq!(asked(&guard, "2001:db8:113::9", false), Reason::Accepted);
    // What is discarded was never valid, and the next candidate is not disturbed by it.
    let third = guard.tables_mut().prepare(None, Some(&first)).unwrap();
    guard.tables_mut().discard(third).unwrap();
    assert_eq!(asked(&guard, "203.0.113.7", false), Reason::Allowed);
    guard.swap(None, Some(&first)).unwrap();
    assert_eq!(asked(&guard, "203.0.113.7", false), Reason::Denied);
}

#[test]
fn rules_that_the_program_would_treat_wrongly_do_not_become_valid() {
    let Some((mut guard, bpffs)) = lab::guard("wrong rules") else { return };
    guard.swap(Some(&settings()), Some(&lists("", "203.0.113.0/24"))).unwrap();
    let second = lists("", "198.51.100.0/24");
    let candidate = guard.tables_mut().prepare(None, Some(&second)).unwrap();
    // Something breaks the bitmap in front of the prepared lists: it hides all of them.
    let path = bpffs.path().join(format!("carom/v{ABI_VERSION}/FILTER"));
    let map = Map::from_map_data(MapData::from_pin(path).unwrap()).unwrap();
    let mut filter: Array<_, u64> = map.try_into().unwrap();
    let slot = guard.tables().policy().unwrap().unwrap().lists_slot ^ 1;
    for word in (slot * FILTER_WORDS as u32..).take(FILTER_WORDS) {
        filter.set(word, 0, 0).unwrap();
    }
    let failure = guard.test(&candidate, Some(&second)).unwrap_err();
    assert!(
        matches!(&failure, SelfTestFailure::Wrong { got, .. } if got.reason == Reason::Accepted),
        "{failure}"
    );
    assert!(
        failure
            .to_string()
            .contains("a SYN from 198.51.100.0, which is denied, to 192.0.2.80:80 must be dropped"),
        "{failure}"
    );
    guard.tables_mut().discard(candidate).unwrap();
    assert_eq!(asked(&guard, "203.0.113.9", false), Reason::Denied);
    assert_eq!(asked(&guard, "198.51.100.9", false), Reason::Accepted);
}

#[test]
fn bans_outlive_an_upgrade_to_a_version_with_other_tables() {
    let Some((mut guard, bpffs)) = lab::guard("inherited bans") else { return };
    guard.swap(Some(&settings()), None).unwrap();
    guard.tables_mut().beat(lab::LEASE).unwrap();
    let sources = ["203.0.113.5/32", "198.51.100.0/24", "2001:db8:b:1::/64", "2001:db8:c::/48"];
    for source in sources {
        guard.tables_mut().ban(source.parse().unwrap(), BanKind::Drop, lab::LEASE, 3).unwrap();
    }
    drop(guard);
    let root = bpffs.path().join("carom");
    let earlier = root.join(format!("v{}", ABI_VERSION - 1));
    fs::rename(root.join(format!("v{ABI_VERSION}")), &earlier).unwrap();
    let mut next = Guard::load(&GuardOptions { pins: bpffs.pins(), object: lab::object() }).unwrap();
    next.swap(Some(&settings()), None).unwrap();
    next.tables_mut().beat(lab::LEASE).unwrap();
    let mut kept: Vec<_> = Tables::open(&bpffs.pins())
        .unwrap()
        .bans()
        .unwrap()
        .iter()
        .map(|ban| ban.source.to_string())
        .collect();
    kept.sort();
    let mut sources = sources.map(str::to_owned);
    sources.sort();
    assert_eq!(kept, sources);
    for source in ["203.0.113.5", "198.51.100.77", "2001:db8:b:1::7", "2001:db8:c:9::7"] {
        assert_eq!(asked(&next, source, false), Reason::Banned, "{source}");
    }
    crate::attaching::in_namespace(move || {
        next.attach("near", false).unwrap();
        assert!(!earlier.exists(), "nobody uses the earlier tables any more");
    });
}
