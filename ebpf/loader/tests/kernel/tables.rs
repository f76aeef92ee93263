//! Tables as other processes see them: bans, lists, heartbeat, counters, pins.

use std::time::{Duration, Instant};

use ebpf_loader::abi::{BanKind, Reason};
use ebpf_loader::{Cidr, Events, GuardError, List, ListKind, Lists, Pins, Question, Tables};

use crate::lab;

fn reason(guard: &ebpf_loader::Guard, source: &str) -> Reason {
    let frame = Question::syn(format!("{source}:4000").parse().unwrap(), "192.0.2.80:80".parse().unwrap());
    guard.explain(&Question::about(&frame)).unwrap().reason
}

#[test]
fn a_ban_written_by_another_process_holds_until_it_expires() {
    let Some((mut guard, bpffs)) = lab::guard("bans") else { return };
    guard.tables_mut().apply(&lab::settings()).unwrap();
    guard.tables_mut().beat(lab::LEASE).unwrap();
    let mut other = Tables::open(&bpffs.pins()).unwrap();
    let source: Cidr = "203.0.113.5".parse().unwrap();
    other.ban(source, BanKind::Drop, Duration::from_millis(300), 9).unwrap();
    assert_eq!(reason(&guard, "203.0.113.5"), Reason::Banned);
    assert_eq!(guard.tables().bans().unwrap()[0].source, source);
    let deadline = Instant::now() + Duration::from_secs(5);
    while reason(&guard, "203.0.113.5") == Reason::Banned {
        assert!(Instant::now() < deadline, "the ban never expires");
        std::thread::yield_now();
    }
    assert_eq!(other.sweep().unwrap(), 1);
    other.ban("203.0.113.0/24".parse().unwrap(), BanKind::Drop, lab::LEASE, 9).unwrap();
    assert_eq!(reason(&guard, "203.0.113.6"), Reason::Banned);
    assert!(other.unban("203.0.113.0/24".parse().unwrap()).unwrap());
    assert_eq!(reason(&guard, "203.0.113.6"), Reason::Accepted);
}

#[test]
fn without_a_heartbeat_bans_stop_dropping_and_the_deny_list_does_not() {
    let Some((mut guard, _bpffs)) = lab::guard("heartbeat") else { return };
    let tables = guard.tables_mut();
    tables.apply(&lab::settings()).unwrap();
    tables.ban("203.0.113.5".parse().unwrap(), BanKind::Drop, lab::LEASE, 9).unwrap();
    let (deny, _) = List::parse(ListKind::Deny, 1, "203.0.113.6");
    tables.replace_lists(&Lists::merge(&[deny])).unwrap();
    tables.beat(Duration::ZERO).unwrap();
    assert_eq!(reason(&guard, "203.0.113.5"), Reason::Accepted);
    assert_eq!(reason(&guard, "203.0.113.6"), Reason::Denied);
    guard.tables_mut().beat(lab::LEASE).unwrap();
    assert_eq!(reason(&guard, "203.0.113.5"), Reason::Banned);
}

#[test]
fn full_lists_are_swapped_within_a_second_and_forgotten_when_emptied() {
    let Some((mut guard, _bpffs)) = lab::guard("lists") else { return };
    guard.tables_mut().apply(&lab::settings()).unwrap();
    let networks: Vec<Cidr> =
        (0..100_000u32).map(|n| Cidr::new((0x2000_0000 + n * 256).to_be_bytes().into(), 24)).collect();
    let lists = Lists::merge(&[List { kind: ListKind::Deny, number: 2, networks: networks.clone() }]);
    let start = Instant::now();
    guard.tables_mut().replace_lists(&lists).unwrap();
    let took = start.elapsed();
    println!("100,000 networks swapped in {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(reason(&guard, "32.0.5.9"), Reason::Denied);
    guard.tables_mut().replace_lists(&Lists::default()).unwrap();
    assert_eq!(reason(&guard, "32.0.5.9"), Reason::Accepted);
    let more = networks.iter().copied().chain(["1.2.3.4".parse().unwrap()]).collect();
    let lists = Lists::merge(&[List { kind: ListKind::Deny, number: 2, networks: more }]);
    let error = guard.tables_mut().replace_lists(&lists).unwrap_err();
    assert_eq!(error.to_string(), "100001 IPv4 networks are more than the 100000 that fit");
}

#[test]
fn real_packets_are_counted_and_sampled_and_probes_are_not() {
    let Some((mut guard, bpffs)) = lab::guard("counters") else { return };
    guard.tables_mut().apply(&lab::settings()).unwrap();
    let mut events = Events::open(&bpffs.pins()).unwrap();
    let frame = Question::syn("203.0.113.5:4000".parse().unwrap(), "192.0.2.80:81".parse().unwrap());
    guard.explain(&Question::about(&frame)).unwrap();
    assert_eq!(guard.tables().counters().unwrap().packets(), 0);
    guard.time(&frame, 1000).unwrap();
    let counters = guard.tables().counters().unwrap();
    assert_eq!((counters.of(Reason::UnservedPort), counters.packets()), (1000, 1000));
    let event = events.next_event().unwrap();
    assert_eq!((event.reason, event.destination_port), (Reason::UnservedPort as u8, 81));
    let sent = 1 + std::iter::from_fn(|| events.next_event()).count() as u64;
    assert_eq!(sent + counters.events_skipped + counters.events_lost, 1000);
    assert!(sent <= 200, "{sent} events are over the budget");
}

#[test]
fn pins_that_nobody_made_and_places_that_cannot_hold_pins_are_explained() {
    let Some((_guard, bpffs)) = lab::guard("pins") else { return };
    let nowhere = Pins::at(bpffs.path().join("other"));
    assert!(matches!(Tables::open(&nowhere), Err(GuardError::NotPinned(_))));
    let ordinary = tempfile::tempdir().unwrap();
    let options = ebpf_loader::GuardOptions { pins: Pins::at(ordinary.path().join("carom")), object: None };
    let error = ebpf_loader::Guard::load(&options).err().unwrap();
    assert!(error.to_string().contains("mount -t bpf bpffs"), "{error}");
}
