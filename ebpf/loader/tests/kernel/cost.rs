//! What each verdict costs, printed: the numbers of a debug run on a busy machine are no benchmark, but tell a trend.

use std::time::Duration;

use ebpf_loader::abi::{BanKind, Reason};
use ebpf_loader::frames::{self, flags};
use ebpf_loader::{Limit, List, ListKind, Lists, Question, Settings};

use crate::lab;

const REPEAT: u32 = 300_000;

#[test]
fn every_verdict_has_a_cost_that_is_told() {
    let Some((mut guard, _bpffs)) = lab::guard("cost") else { return };
    let calm =
        Settings { source: Limit::default(), network: Limit::default(), events_per_s: 0, ..lab::settings() };
    let tables = guard.tables_mut();
    tables.apply(&calm).unwrap();
    tables.beat(lab::LEASE).unwrap();
    tables.ban("203.0.113.5".parse().unwrap(), BanKind::Drop, lab::LEASE, 1).unwrap();
    tables.ban("2001:db8:b::5".parse().unwrap(), BanKind::Drop, lab::LEASE, 1).unwrap();
    for (family, vip, client, banned, foreign) in [
        ("v4", "192.0.2.80:80", "198.51.100.7:4000", "203.0.113.5:4000", "192.0.2.99:80"),
        ("v6", "[2001:db8::80]:80", "[2001:db8:1::7]:4000", "[2001:db8:b::5]:4000", "[2001:db8::99]:80"),
    ] {
        let [vip, client, banned, foreign] = [vip, client, banned, foreign].map(|text| text.parse().unwrap());
        let mut unserved: std::net::SocketAddr = vip;
        unserved.set_port(81);
        for (name, frame, reason) in [
            ("not a VIP", Question::syn(client, foreign), Reason::NotVip),
            ("segment", frames::tcp(client, vip, flags::ACK, &[], b"GET"), Reason::Accepted),
            ("SYN", Question::syn(client, vip), Reason::Accepted),
            ("banned", Question::syn(banned, vip), Reason::Banned),
            ("unserved port", Question::syn(client, unserved), Reason::UnservedPort),
        ] {
            assert_eq!(guard.explain(&Question::about(&frame)).unwrap().reason, reason, "{family} {name}");
            println!("{family} {name:<14} {:>4} ns", best(&guard, &frame).as_nanos());
        }
    }
    let networks =
        (0..100_000u32).map(|n| ebpf_loader::Cidr::new((0x2000_0000 + n * 256).to_be_bytes().into(), 24));
    let lists = Lists::merge(&[List { kind: ListKind::Deny, number: 2, networks: networks.collect() }]);
    guard.tables_mut().replace_lists(&lists).unwrap();
    let vip = "192.0.2.80:80".parse().unwrap();
    for (name, source) in
        [("listed", "32.0.5.9:4000"), ("not listed", "198.51.100.7:4000"), ("banned", "203.0.113.5:4000")]
    {
        let frame = Question::syn(source.parse().unwrap(), vip);
        println!("v4 full lists, {name:<10} {:>4} ns", best(&guard, &frame).as_nanos());
    }
    let zero = Limit { challenge_per_s: Some(0), drop_per_s: None };
    guard.tables_mut().apply(&Settings { node: zero, ..calm }).unwrap();
    let frame = Question::syn("198.51.100.7:4000".parse().unwrap(), vip);
    println!(
        "v4 challenged      {:>4} ns (the first of a run; later ones judge the answer)",
        best(&guard, &frame).as_nanos()
    );
}

/// The least of a few runs: what disturbs only adds.
fn best(guard: &ebpf_loader::Guard, frame: &[u8]) -> Duration {
    (0..5).map(|_| guard.time(frame, REPEAT).unwrap()).min().unwrap_or_default()
}
