//! Each stage, one packet at a time.

mod world;

use ebpf_abi::{Action, Mode, Reason, Stage};
use ebpf_logic::twin::frames::{self, flags};
use world::{NOW_NS, amended, judged, limited, tables};

const V4: &str = "192.0.2.80";
const V6: &str = "2001:db8::80";

fn socket(ip: &str, port: u16) -> std::net::SocketAddr {
    (ip.parse::<std::net::IpAddr>().unwrap(), port).into()
}

fn segment(from: &str, to: &str, port: u16, flags: u8) -> Vec<u8> {
    let options: &[u8] = if flags == flags::SYN { &frames::SYN_OPTIONS } else { &[] };
    frames::tcp(socket(from, 4000), socket(to, port), flags, options, &[])
}

fn message(from: &str, to: &str, kind: u8, code: u8) -> Vec<u8> {
    frames::icmp(from.parse().unwrap(), to.parse().unwrap(), kind, code)
}

fn check(name: &str, frame: &[u8], expected: Reason) {
    let (verdict, _) = judged(&tables(Mode::Enforce), frame, NOW_NS);
    assert_eq!(verdict.reason, expected, "{name}");
    for tags in [&[0x8100u16][..], &[0x8100, 0x88a8]] {
        let tagged = tags.iter().fold(frame.to_vec(), |frame, tag| frames::tagged(frame, *tag, 5));
        assert_eq!(
            judged(&tables(Mode::Enforce), &tagged, NOW_NS).0.reason,
            expected,
            "{name} behind {tags:x?}"
        );
    }
}

#[test]
fn what_is_not_ours_passes() {
    check("ARP", &frames::arp(), Reason::Arp);
    check("another address", &segment("192.0.2.1", "192.0.2.81", 80, flags::SYN), Reason::NotVip);
    check("another address", &segment("2001:db8:1::1", "2001:db8::81", 80, flags::SYN), Reason::NotVip);
    check(
        "an IPv4 VIP in IPv6",
        &frames::ip("2001:db8:1::1".parse().unwrap(), "::ffff:192.0.2.80".parse().unwrap(), 6, &[0; 20]),
        Reason::NotVip,
    );
    let thrice =
        (0..3).fold(segment("192.0.2.1", V4, 80, flags::SYN), |frame, _| frames::tagged(frame, 0x8100, 1));
    assert_eq!(judged(&tables(Mode::Enforce), &thrice, NOW_NS).0.reason, Reason::NotIp);
    assert_eq!(judged(&Default::default(), &frames::arp(), NOW_NS).0.reason, Reason::NoPolicy);
}

#[test]
fn what_must_never_be_dropped_passes_whatever_the_tables_say() {
    for (from, to, peer, router) in [
        ("10.9.1.1", V4, "10.8.0.1", "198.51.100.1"),
        ("2001:db8:9::1", V6, "2001:db8:8::1", "2001:db8:d::1"),
    ] {
        check("management, unserved port", &segment(from, to, 9, flags::SYN), Reason::Management);
        check("management, nonsense", &segment(from, to, 9, 0), Reason::Management);
        check("BGP", &segment(peer, to, 179, flags::SYN), Reason::Routing);
        check("BFD", &frames::udp(socket(peer, 49152), socket(to, 3784), &[0; 24]), Reason::Routing);
        check("BGP of nobody", &segment("192.0.2.7", V4, 179, flags::SYN), Reason::UnservedPort);
        check("admin port of a denied source", &segment(router, to, 2222, flags::SYN), Reason::AdminPort);
        let (kind, code) = if to == V4 { (3, 4) } else { (2, 0) };
        check("too big of a denied router", &message(router, to, kind, code), Reason::TooBig);
    }
    check("neighbour solicitation", &message("fe80::1", V6, 135, 0), Reason::NeighbourDiscovery);
    let mut routed = message("fe80::1", V6, 135, 0);
    routed[21] = 64;
    check("neighbour solicitation through a router", &routed, Reason::UnservedProtocol);
}

#[test]
fn packets_that_make_no_sense_are_dropped_by_reason() {
    for (from, to) in [("192.0.2.1", V4), ("2001:db8:1::1", V6)] {
        let syn = segment(from, to, 80, flags::SYN);
        check("cut", &syn[..syn.len() - 1], Reason::Truncated);
        let mut version = syn.clone();
        version[14] ^= 0x20;
        check("version", &version, Reason::BadHeader);
        for flags in
            [0, flags::FIN, flags::SYN | flags::FIN, flags::SYN | flags::ACK, flags::SYN | flags::RST, 0x29]
        {
            check("flags", &segment(from, to, 80, flags), Reason::BadFlags);
        }
        let mut offset = syn.clone();
        let at = if to == V4 { 46 } else { 66 };
        offset[at] = 0x40;
        check("header length", &offset, Reason::BadTransport);
        offset[at] = 0xf0;
        check("header length", &offset, Reason::BadTransport);
        check("own address", &segment(to, to, 80, flags::SYN), Reason::BadSource);
        check(
            "port zero",
            &frames::tcp(socket(from, 0), socket(to, 80), flags::SYN, &[], &[]),
            Reason::BadTransport,
        );
    }
    for source in ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"] {
        check(source, &segment(source, V4, 80, flags::SYN), Reason::BadSource);
    }
    for source in ["::1", "::", "ff02::1", "::ffff:10.9.0.1"] {
        let frame = frames::ip(
            source.parse().unwrap(),
            V6.parse().unwrap(),
            6,
            &segment("2001:db8::1", V6, 80, 2)[54..],
        );
        check(source, &frame, Reason::BadSource);
    }
    let mut fragment = segment("192.0.2.1", V4, 80, flags::SYN);
    fragment[20] = 0x20;
    check("first fragment", &fragment, Reason::Fragment);
    fragment[20..22].copy_from_slice(&[0, 9]);
    check("later fragment", &fragment, Reason::Fragment);
    let syn = segment("2001:db8:1::1", V6, 80, flags::SYN);
    check("fragment header", &frames::extended(syn.clone(), 44, 8), Reason::Fragment);
    check("routing header", &frames::extended(syn.clone(), 43, 8), Reason::ExtensionHeaders);
    check("long options", &frames::extended(syn.clone(), 60, 136), Reason::ExtensionHeaders);
    let three = (0..3).fold(syn.clone(), |frame, _| frames::extended(frame, 60, 8));
    check("three headers", &three, Reason::Accepted);
    check("four headers", &frames::extended(three, 60, 8), Reason::ExtensionHeaders);
}

#[test]
fn only_what_is_served_reaches_the_server() {
    for (from, to, echo, error) in [("192.0.2.1", V4, 8, 3), ("2001:db8:1::1", V6, 128, 1)] {
        check("HTTP", &segment(from, to, 80, flags::SYN), Reason::Accepted);
        check("HTTPS", &segment(from, to, 443, flags::ACK), Reason::Accepted);
        check("QUIC", &frames::udp(socket(from, 9), socket(to, 443), b"x"), Reason::Accepted);
        check("echo", &message(from, to, echo, 0), Reason::Accepted);
        check("unreachable", &message(from, to, error, 1), Reason::IcmpError);
        check("SSH", &segment(from, to, 22, flags::SYN), Reason::UnservedPort);
        check("port zero", &segment(from, to, 0, flags::SYN), Reason::UnservedPort);
        check("DNS", &frames::udp(socket(from, 9), socket(to, 53), b"x"), Reason::UnservedPort);
        check(
            "redirect",
            &message(from, to, if echo == 8 { 5 } else { 137 + 1 }, 0),
            Reason::UnservedProtocol,
        );
        check(
            "GRE",
            &frames::ip(from.parse().unwrap(), to.parse().unwrap(), 47, &[0; 8]),
            Reason::UnservedProtocol,
        );
    }
}

#[test]
fn lists_and_bans_hold_for_both_families() {
    for (from, to, reason, rule) in [
        ("198.51.100.5", V4, Reason::Denied, 4),
        ("198.51.100.70", V4, Reason::Allowed, 3),
        ("203.0.113.66", V4, Reason::Banned, 77),
        ("203.0.113.67", V4, Reason::ChallengedBan, 77),
        ("203.0.113.68", V4, Reason::Accepted, 0),
        ("172.16.5.200", V4, Reason::Banned, 77),
        ("2001:db8:d::5", V6, Reason::Denied, 4),
        ("2001:db8:a::5", V6, Reason::Allowed, 3),
        ("2001:db8:b:1::9", V6, Reason::Banned, 77),
        ("2001:db8:b:2::9", V6, Reason::Accepted, 0),
        ("2001:db8:c:9::9", V6, Reason::ChallengedBan, 77),
    ] {
        let (verdict, _) = judged(&tables(Mode::Enforce), &segment(from, to, 80, flags::SYN), NOW_NS);
        assert_eq!((verdict.reason, verdict.rule), (reason, rule), "{from}");
        let later =
            judged(&tables(Mode::Enforce), &segment(from, to, 80, flags::SYN), NOW_NS + 2_000_000_000)
                .0
                .reason;
        let expired = matches!(reason, Reason::Banned | Reason::ChallengedBan);
        assert_eq!(later, if expired { Reason::Accepted } else { reason }, "{from}, when bans have expired");
    }
}

#[test]
fn monitoring_notes_the_first_reason_and_lets_pass_and_off_does_not_even_note() {
    for (frame, reason) in [
        (segment("198.51.100.5", V4, 22, flags::SYN | flags::FIN), Reason::BadFlags),
        (segment("198.51.100.5", V4, 22, flags::SYN), Reason::UnservedPort),
        (segment("198.51.100.5", V4, 80, flags::SYN), Reason::Denied),
        (segment("203.0.113.66", V4, 80, flags::SYN), Reason::Banned),
    ] {
        let (monitored, _) = judged(&tables(Mode::Monitor), &frame, NOW_NS);
        assert_eq!((monitored.action(), monitored.monitored()), (Action::Pass, Some(reason)));
        let (off, _) = judged(&tables(Mode::Off), &frame, NOW_NS);
        assert_eq!((off.action(), off.monitored()), (Action::Pass, None));
    }
}

#[test]
fn without_a_heartbeat_what_needs_supervision_only_notes() {
    let mut tables = tables(Mode::Enforce);
    tables.alive_until_ns = NOW_NS;
    let (verdict, _) = judged(&tables, &segment("203.0.113.66", V4, 80, flags::SYN), NOW_NS);
    assert_eq!((verdict.action(), verdict.monitored()), (Action::Pass, Some(Reason::Banned)));
    let (verdict, _) = judged(&tables, &segment("198.51.100.5", V4, 80, flags::SYN), NOW_NS);
    assert_eq!(verdict.reason, Reason::Denied);
    assert!(!Stage::Deny.needs_heartbeat() && Stage::Ban.needs_heartbeat());
}

#[test]
fn a_busy_source_is_challenged_then_dropped_and_its_neighbour_is_not() {
    for (from, neighbour, to) in [("192.0.2.1", "192.0.2.2", V4), ("2001:db8:1::1", "2001:db8:1:1::1", V6)] {
        let tables = limited(10, 50);
        let mut reasons = Vec::new();
        // A thousand connections within a second.
        for index in 0..1000 {
            let now_ns = NOW_NS + index * 1_000_000 % 1_000_000_000;
            let (verdict, answer) =
                judged(&tables, &segment(from, to, 80, flags::SYN), now_ns.min(NOW_NS + 999_000_000));
            if verdict.action() == Action::Transmit {
                assert!(frames::checksums_are_right(&answer));
            }
            if reasons.last() != Some(&verdict.reason) {
                reasons.push(verdict.reason);
            }
        }
        assert_eq!(reasons, [Reason::Accepted, Reason::ChallengedSource, Reason::RateSource], "{from}");
        let (verdict, _) = judged(&tables, &segment(neighbour, to, 80, flags::SYN), NOW_NS + 999_000_000);
        assert_eq!(verdict.reason, Reason::Accepted, "{neighbour}");
        // Half a minute later the source is forgiven.
        let (verdict, _) = judged(&tables, &segment(from, to, 80, flags::SYN), NOW_NS + 30_000_000_000);
        assert_eq!(verdict.reason, Reason::Accepted, "{from}, later");
    }
}

#[test]
fn a_challenge_spares_owned_flows_lets_a_trickle_through_and_drops_what_it_cannot_answer() {
    let flooded = || amended(Mode::Enforce, |policy| policy.cpu_soft_level = 0);
    let syn = segment("192.0.2.1", V4, 80, flags::SYN);
    assert_eq!(judged(&flooded(), &syn, NOW_NS).0.reason, Reason::ChallengedNode);
    let mut owned = flooded();
    owned.connected = true;
    assert_eq!(judged(&owned, &syn, NOW_NS).0.reason, Reason::Owned);
    let tables = flooded();
    assert_eq!(judged(&tables, &syn, NOW_NS + 1_000_000_000).0.reason, Reason::Trickle);
    assert_eq!(judged(&tables, &syn, NOW_NS + 1_500_000_000).0.reason, Reason::ChallengedNode);
    assert_eq!(judged(&tables, &syn, NOW_NS + 2_000_000_000).0.reason, Reason::Trickle);
    let mut without = flooded();
    without.cookie = None;
    assert_eq!(judged(&without, &syn, NOW_NS).0.reason, Reason::Unchallengeable);
    let extended = frames::extended(segment("2001:db8:1::1", V6, 80, flags::SYN), 60, 8);
    assert_eq!(judged(&flooded(), &extended, NOW_NS).0.reason, Reason::Unchallengeable);
    let drowned = amended(Mode::Enforce, |policy| (policy.cpu_soft_level, policy.cpu_hard_level) = (0, 0));
    assert_eq!(judged(&drowned, &syn, NOW_NS).0.reason, Reason::RateNode);
}

#[test]
fn the_answer_to_a_challenge_offers_nothing_but_an_mss_and_never_grows() {
    let flooded = amended(Mode::Enforce, |policy| policy.cpu_soft_level = 0);
    for (from, to, mss, ip) in [("192.0.2.1", V4, 1460u16, 20), ("2001:db8:1::1", V6, 1440, 40)] {
        let syn = segment(from, to, 80, flags::SYN);
        let (_, answer) = judged(&flooded, &syn, NOW_NS);
        assert_eq!(answer.len(), 14 + ip + 24);
        assert_eq!(
            (&answer[..6], &answer[6..12]),
            (&syn[6..12], &syn[..6]),
            "Ethernet addresses change places"
        );
        let tcp = &answer[14 + ip..];
        assert_eq!(tcp[..4], [0, 80, 0x0f, 0xa0], "ports change places");
        assert_eq!(tcp[4..8], [1, 2, 3, 4], "the sequence number is the cookie");
        assert_eq!(tcp[8..12], [0x11, 0x22, 0x33, 0x45], "the client's number is acknowledged");
        assert_eq!(tcp[12..14], [0x60, 0x12]);
        assert_eq!(tcp[20..24], [2, 4, (mss >> 8) as u8, mss as u8]);
        assert!(frames::checksums_are_right(&answer));
        let bare = frames::tcp(socket(from, 4000), socket(to, 80), flags::SYN, &[], &[]);
        let (_, answer) = judged(&flooded, &bare, NOW_NS);
        assert_eq!(answer.len(), bare.len());
        assert!(frames::checksums_are_right(&answer));
    }
}

#[test]
fn during_a_flood_of_segments_each_must_belong_somewhere() {
    let flooded = || amended(Mode::Enforce, |policy| policy.stray_soft_level = 0);
    let ack = segment("192.0.2.1", V4, 80, flags::ACK);
    assert_eq!(judged(&flooded(), &ack, NOW_NS).0.reason, Reason::Stray);
    let (mut owned, mut cookie) = (flooded(), flooded());
    owned.connected = true;
    cookie.cookie_valid = true;
    assert_eq!(judged(&owned, &ack, NOW_NS).0.reason, Reason::Accepted);
    assert_eq!(judged(&cookie, &ack, NOW_NS).0.reason, Reason::CookieAccepted);
    let reset = segment("192.0.2.1", V4, 80, flags::RST | flags::ACK);
    assert_eq!(judged(&cookie, &reset, NOW_NS).0.reason, Reason::Stray, "a reset proves nothing");
}
