//! Each stage drops what it is there for and passes the rest, over IPv4 and IPv6.

use std::net::{IpAddr, SocketAddr};

use ebpf_loader::frames::{self, flags};
use lab::{SOON, eventually};

use super::bench::{Bench, FAR, HUMANS, NODE, SCANNERS, end, list_of};

const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;

fn syn(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    frames::tcp(from, to, flags::SYN, &frames::SYN_OPTIONS, &[])
}

/// The frames of a family, made from a client's end and the service address.
fn both(make: impl Fn(SocketAddr, IpAddr) -> Vec<u8>) -> Vec<Vec<u8>> {
    HUMANS.iter().zip(NODE).map(|(human, node)| make(end(human, 40_000), node.parse().unwrap())).collect()
}

#[test]
fn what_makes_no_sense_or_is_not_served_is_dropped_for_its_own_reason_over_both_families() {
    let Some(bench) = Bench::new() else { return };
    let node = bench.start();
    bench.serves(HUMANS);
    let at = |node: IpAddr, port| SocketAddr::new(node, port);
    let fragments = both(|from, node| {
        let mut frame = syn(from, at(node, 80));
        if node.is_ipv4() {
            // More fragments follow.
            frame[20] = 0x20;
            frame
        } else {
            frames::extended(frame, 44, 8)
        }
    });
    let without = |count: usize| {
        both(move |from, node| {
            let frame = syn(from, at(node, 80));
            frame[..frame.len() - count].to_vec()
        })
    };
    let spoofed = vec![
        syn(end("127.0.0.1", 40_000), end(NODE[0], 80)),
        syn(end("224.0.0.1", 40_000), end(NODE[0], 80)),
        syn(end(NODE[0], 40_000), end(NODE[0], 80)),
        syn(end("::1", 40_000), end(NODE[1], 80)),
        syn(end("ff02::1", 40_000), end(NODE[1], 80)),
    ];
    let flagged = |bits: u8| both(move |from, node| frames::tcp(from, at(node, 80), bits, &[], &[]));
    let udp = |port| both(move |from, node| frames::udp(from, at(node, port), b"junk of an amplifier"));
    let cases = [
        ("a SYN to a port that nobody serves", "unserved_port", both(|from, node| syn(from, at(node, 22)))),
        ("UDP junk to the served port", "unserved_port", udp(80)),
        ("UDP junk to another port", "unserved_port", udp(5_353)),
        (
            "a packet of a protocol that is not served",
            "unserved_protocol",
            both(|from, node| frames::ip(from.ip(), node, 47, &[0; 32])),
        ),
        ("a fragment", "fragment", fragments),
        ("a segment that is cut off", "truncated", without(30)),
        ("a segment without flags", "bad_flags", flagged(0)),
        ("SYN with FIN", "bad_flags", flagged(flags::SYN | flags::FIN)),
        ("SYN-ACK to a server", "bad_flags", flagged(flags::SYN | flags::ACK)),
        ("an impossible source", "bad_source", spoofed),
        (
            "extension headers without end",
            "extension_headers",
            vec![(0..9).fold(syn(end(HUMANS[1], 40_000), end(NODE[1], 80)), |frame, _| {
                frames::extended(frame, 60, 8)
            })],
        ),
    ];
    for (what, reason, frames) in &cases {
        bench.judged(what, reason, frames);
    }
    // What comes behind one or two tags is judged like what comes without.
    for (what, reason, frames) in &cases[..1] {
        let tagged: Vec<_> = frames.iter().map(|frame| frames::tagged(frame.clone(), VLAN, 7)).collect();
        bench.judged(&format!("{what}, in a VLAN"), reason, &tagged);
        let twice: Vec<_> = tagged.iter().map(|frame| frames::tagged(frame.clone(), QINQ, 8)).collect();
        bench.judged(&format!("{what}, in two VLANs"), reason, &twice);
    }
    for protocol in ["tcp4", "tcp6", "udp4", "udp6"] {
        let labels = [("reason", "unserved_port"), ("protocol", protocol)];
        node.until_metric("carom_guard_packets_total", &labels, 1.0);
    }
    bench.serves(HUMANS);
}

#[test]
fn too_big_messages_neighbours_and_other_addresses_pass_also_for_the_denied_and_banned() {
    let Some(bench) = Bench::new() else { return };
    let deny = bench.file("deny", "192.0.2.66\n2001:db8:66::/48\n");
    let bench = bench.set("guard", "deny_files", list_of(&deny));
    let _node = bench.start();
    bench.drops(SCANNERS);
    for scanner in SCANNERS {
        bench.told(&["ban", scanner]);
    }
    let too_big: Vec<_> = SCANNERS
        .iter()
        .zip([(NODE[0], 3, 4), (NODE[1], 2, 0)])
        .map(|(from, (to, kind, code))| frames::icmp(from.parse().unwrap(), to.parse().unwrap(), kind, code))
        .collect();
    bench.judged("a packet-too-big message", "too_big", &too_big);
    let solicitation = frames::icmp(SCANNERS[1].parse().unwrap(), NODE[1].parse().unwrap(), 135, 0);
    bench.judged("a neighbour solicitation", "neighbour_discovery", &[solicitation]);
    bench.judged("an ARP request", "arp", &[frames::arp()]);
    let elsewhere = [
        syn(end(SCANNERS[0], 40_000), end("192.0.2.9", 22)),
        syn(end(SCANNERS[1], 40_000), end("2001:db8:9::1", 22)),
    ];
    bench.judged("a packet to another address", "not_vip", &elsewhere);
}

#[test]
fn a_denied_network_is_dropped_and_an_allowed_one_within_it_is_served() {
    let Some(bench) = Bench::new() else { return };
    let deny = bench.file("deny", "192.0.2.0/24 # everybody\n2001:db8::/32\n");
    let allow = bench.file("allow", "192.0.2.100\n2001:db8:100::/48\n");
    let bench = bench.set("guard", "deny_files", list_of(&deny)).set("guard", "allow_files", list_of(&allow));
    let node = bench.start();
    bench.serves(HUMANS);
    bench.drops(SCANNERS);
    // An allowed source is spared bans as well.
    for human in HUMANS {
        bench.told(&["ban", human]);
    }
    bench.serves(HUMANS);
    for protocol in ["tcp4", "tcp6"] {
        for reason in ["denied", "allowed"] {
            let labels = [("reason", reason), ("protocol", protocol)];
            node.until_metric("carom_guard_packets_total", &labels, 1.0);
        }
    }
}

#[test]
fn a_ban_by_command_drops_its_source_alone_and_ends_by_itself() {
    let Some(bench) = Bench::new() else { return };
    let _node = bench.start();
    for scanner in SCANNERS {
        bench.told(&["ban", scanner, "--for", "1h"]);
    }
    bench.drops(SCANNERS);
    bench.serves(HUMANS);
    for (scanner, to) in SCANNERS.iter().zip(NODE) {
        bench.told(&["ban", scanner, "--for", "1s"]);
        eventually(SOON, "the ban ends", || bench.asked(scanner, to));
    }
    // A whole network, and one of it let in again is told that the network still is.
    bench.told(&["ban", "192.0.2.0/24"]);
    bench.told(&["ban", "2001:db8:66::/48"]);
    bench.drops(SCANNERS);
    let refused = bench.guard(&["unban", SCANNERS[0]]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.output.contains("carom guard unban 192.0.2.0/24"), "{refused:?}");
    bench.told(&["unban", "192.0.2.0/24"]);
    bench.told(&["unban", "2001:db8:66::/48"]);
    bench.serves(SCANNERS);
}

#[test]
fn new_connections_above_the_hard_limit_are_dropped_and_others_are_served() {
    let Some(bench) = Bench::new() else { return };
    let bench = bench
        .set("guard", "source_soft_per_s", 20)
        .set("guard", "source_hard_per_s", 20)
        .set("guard", "network_soft_per_s", 0)
        .set("guard", "network_hard_per_s", 0);
    let _node = bench.start();
    for (scanner, to) in SCANNERS.iter().zip(NODE) {
        let flood: Vec<_> = (0..200).map(|port| syn(end(scanner, 20_000 + port), end(to, 80))).collect();
        let before = bench.counted("rate_source");
        bench.clients.inject(FAR, &flood);
        eventually(SOON, "most of a burst is over the limit", || {
            let dropped = bench.counted("rate_source") - before;
            if dropped > 100 { Ok(()) } else { Err(dropped) }
        });
    }
    bench.serves(HUMANS);
    // The level halves each second: who stops is let in again.
    for (scanner, to) in SCANNERS.iter().zip(NODE) {
        eventually(SOON, "the source is let in again", || bench.asked(scanner, to));
    }
}

#[test]
fn a_network_of_many_quiet_sources_is_limited_as_one_and_others_are_served() {
    let Some(bench) = Bench::new() else { return };
    // No source is near a limit of its own: each opens one connection.
    let bench = bench
        .set("guard", "source_soft_per_s", 0)
        .set("guard", "source_hard_per_s", 0)
        .set("guard", "network_soft_per_s", 20)
        .set("guard", "network_hard_per_s", 20);
    let _node = bench.start();
    let sources: [fn(u16) -> String; 2] =
        [|number| format!("198.51.100.{number}"), |number| format!("2001:db8:77:{number}::1")];
    for (source, to) in sources.iter().zip(NODE) {
        let flood: Vec<_> =
            (1..=200).map(|number| syn(end(&source(number), 20_000 + number), end(to, 80))).collect();
        let before = bench.counted("rate_network");
        bench.clients.inject(FAR, &flood);
        eventually(SOON, "most of a burst is over the network's limit", || {
            let dropped = bench.counted("rate_network") - before;
            if dropped > 100 { Ok(()) } else { Err(dropped) }
        });
    }
    assert_eq!(bench.counted("rate_source"), 0);
    bench.serves(HUMANS);
}

#[test]
fn segments_without_a_connection_are_dropped_in_a_flood_and_connections_live_on() {
    let Some(bench) = Bench::new() else { return };
    let bench = bench.set("guard", "stray_check_per_s", 100);
    let _node = bench.start();
    let flood: Vec<_> = (0..1_000)
        .flat_map(|port| {
            both(|from, node| {
                let from = SocketAddr::new(from.ip(), 10_000 + port);
                frames::tcp(from, SocketAddr::new(node, 80), flags::ACK, &[], &[])
            })
        })
        .collect();
    let before = bench.counted("stray");
    let mut volley = bench.clients.volley(FAR, &flood, 50, 0.05);
    eventually(SOON, "stray segments are dropped", || bench.counted("stray") > before + 1_000);
    for (human, to) in HUMANS.iter().zip(NODE) {
        assert_eq!(bench.ask(human, to, &["plain"; 20]), Ok(vec![302; 20]), "{human}");
    }
    assert!(volley.goes_on(), "the flood was too short to tell anything");
}

#[test]
fn a_stage_that_monitors_counts_what_it_would_have_done_and_drops_nothing() {
    let Some(bench) = Bench::new() else { return };
    let deny = bench.file("deny", "192.0.2.66\n2001:db8:66::/48\n");
    let bench = bench.set("guard", "deny_files", list_of(&deny)).set("guard", "mode", r#""monitor""#);
    let _node = bench.start();
    bench.serves(SCANNERS);
    bench.clients.inject(FAR, &both(|from, node| syn(from, SocketAddr::new(node, 22))));
    for reason in ["denied", "unserved_port"] {
        eventually(SOON, "it is counted", || bench.monitored(reason) >= 2);
        assert_eq!(bench.counted(reason), 0, "{reason}");
    }
}
