//! The loaded program and the logic on the host give the same verdict, reason and bytes for the same packet.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ebpf_loader::abi::{Action, BanKind, Mode, Stage};
use ebpf_loader::frames::{self, flags};
use ebpf_loader::{
    Cidr, Explanation, Guard, Limit, List, ListKind, Lists, Modes, Question, Settings, Tables, now_ns,
};
use ebpf_logic::judge;
use ebpf_logic::twin::{Frame, MemoryTables};

use crate::lab;

/// Fuzzed packets per configuration.
const FUZZED: usize = 20_000;

#[test]
fn kernel_and_host_agree_on_every_packet() {
    let Some((mut guard, _bpffs)) = lab::guard("differential") else { return };
    let base = lab::settings();
    let calm = Settings { source: Limit::default(), network: Limit::default(), ..base.clone() };
    let monitored = Settings { modes: Modes::all(Mode::Monitor), ..base.clone() };
    let off = Settings { modes: Modes::all(Mode::Off), ..base.clone() };
    let node = Limit { challenge_per_s: Some(0), drop_per_s: Some(1_000_000) };
    let flooded = Settings { node, stray_check_per_s: Some(0), ..base.clone() };
    let drowned = Settings { node: Limit { challenge_per_s: Some(0), drop_per_s: Some(0) }, ..base.clone() };
    let partly =
        Settings { modes: Modes::all(Mode::Enforce).with(Stage::Parse, Mode::Monitor), ..base.clone() };
    let mut asked = 0;
    for (name, settings, alive) in [
        ("enforce", &base, true),
        ("calm", &calm, true),
        ("monitor", &monitored, true),
        ("off", &off, true),
        ("flooded", &flooded, true),
        ("drowned", &drowned, true),
        ("parse monitored", &partly, true),
        ("nobody at home", &base, false),
    ] {
        asked += compare(&mut guard, name, settings, alive);
    }
    println!("{asked} packets judged alike");
}

fn compare(guard: &mut Guard, name: &str, settings: &Settings, alive: bool) -> usize {
    let (tables, mut twin) = (guard.tables_mut(), MemoryTables::default());
    tables.apply(settings).unwrap();
    tables.beat(if alive { lab::LEASE } else { Duration::ZERO }).unwrap();
    fill_both(tables, &mut twin);
    // Judged at instants that both are told, far enough apart for nothing to matter between two configurations.
    let mut now = now_ns() + 1_000_000_000_000;
    twin.alive_until_ns = if alive { u64::MAX } else { 0 };
    if alive {
        tables.beat(Duration::from_secs(1 << 30)).unwrap();
    }
    let mut packets = corpus();
    let mut random = Random(0x5eed ^ name.len() as u64);
    let seeds = packets.clone();
    packets.extend((0..FUZZED).map(|_| mutated(&seeds, &mut random)));
    for (index, packet) in packets.iter().enumerate() {
        now += random.below(20_000_000);
        let question = Question { frame: packet, now_ns: Some(now), charges: true, candidate: false };
        let kernel = guard.explain(&question).unwrap();
        let host = on_host(&mut twin, packet, now, &kernel);
        assert_eq!(kernel, host, "{name}, packet {index}: {packet:02x?}");
        if kernel.action == Action::Transmit
            && packet[12..14] != [0x81, 0x00]
            && packet[12..14] != [0x88, 0xa8]
        {
            assert!(frames::checksums_are_right(&kernel.answer.unwrap()), "{name}, packet {index}");
        }
    }
    packets.len()
}

/// The cookie is the one thing that only the kernel can make: the host is told it.
fn on_host(twin: &mut MemoryTables, packet: &[u8], now: u64, kernel: &Explanation) -> Explanation {
    if let Some(answer) = &kernel.answer {
        let mut offset = 14;
        while matches!(answer[offset - 2..offset], [0x81, 0x00] | [0x88, 0xa8]) {
            offset += 4;
        }
        offset += if answer[offset - 2..offset] == [0x08, 0x00] { 20 } else { 40 };
        twin.cookie = answer[offset + 4..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    }
    let mut frame = Frame(packet.to_vec());
    let verdict = judge(&mut frame, twin, now);
    frame.0.truncate(usize::from(verdict.answer_bytes));
    Explanation {
        reason: verdict.reason,
        monitored: verdict.monitored(),
        action: verdict.action(),
        rule: verdict.rule,
        answer: (verdict.action() == Action::Transmit).then_some(frame.0),
    }
}

/// The lists and bans of the small world that the tests judge in.
pub(crate) fn fill(tables: &mut Tables) -> Lists {
    let (allow, _) = List::parse(ListKind::Allow, 3, "198.51.100.64/26\n2001:db8:a::/48\n");
    let (deny, _) =
        List::parse(ListKind::Deny, 4, "198.51.100.0/24\n203.0.113.9\n2001:db8:d::/48\n2001:db8:a:1::/64\n");
    let lists = Lists::merge(&[allow, deny]);
    tables.replace_lists(&lists).unwrap();
    for (source, kind) in [
        ("203.0.113.66", BanKind::Drop),
        ("203.0.113.67", BanKind::Challenge),
        ("172.16.5.0/24", BanKind::Drop),
        ("2001:db8:b:1::", BanKind::Drop),
        ("2001:db8:c::/48", BanKind::Challenge),
    ] {
        let source: Cidr = source.parse().unwrap();
        tables.ban(source, kind, Duration::from_secs(1 << 30), 77).unwrap();
    }
    lists
}

/// The same on both sides, and the kernel's own policy for the host.
fn fill_both(tables: &mut Tables, twin: &mut MemoryTables) {
    let lists = fill(tables);
    twin.policy = tables.policy().unwrap();
    for (address, vip) in tables.vips().unwrap() {
        twin.vips.insert(address_of(address), vip);
    }
    twin.lists = lists.entries().map(|(cidr, bits)| (cidr.prefix(), bits)).collect();
    for entry in tables.bans().unwrap() {
        let key = ebpf_loader::ban_key(entry.source).unwrap();
        let ban =
            ebpf_loader::abi::Ban { expires_at_ns: u64::MAX, kind: entry.kind.number(), cause: entry.cause };
        twin.bans.insert(key, ban);
    }
}

fn address_of(address: IpAddr) -> ebpf_loader::abi::Address {
    Cidr::host(address).prefix().bits
}

/// Packets that reach every branch, one by one.
fn corpus() -> Vec<Vec<u8>> {
    let mut packets = vec![vec![0; 14], frames::arp(), frames::tagged(frames::arp(), 0x8100, 7)];
    let v4 = [
        "192.0.2.1",
        "203.0.113.9",
        "198.51.100.5",
        "198.51.100.70",
        "203.0.113.66",
        "203.0.113.67",
        "172.16.5.9",
        "10.9.1.1",
        "10.8.0.1",
        "127.0.0.1",
        "224.0.0.1",
        "0.0.0.0",
        "192.0.2.80",
    ];
    let v6 = [
        "2001:db8:1::1",
        "2001:db8:d::1",
        "2001:db8:a:1::1",
        "2001:db8:b:1::5",
        "2001:db8:c:7::1",
        "2001:db8:9::1",
        "2001:db8:8::1",
        "::1",
        "::",
        "ff02::1",
        "::ffff:10.9.1.1",
        "2001:db8::80",
    ];
    for (sources, vips) in
        [(&v4[..], ["192.0.2.80", "192.0.2.81"]), (&v6[..], ["2001:db8::80", "2001:db8::81"])]
    {
        for vip in vips {
            for source in sources {
                for_pair(&mut packets, source.parse().unwrap(), vip.parse().unwrap());
            }
        }
    }
    let tagged: Vec<_> = packets.iter().step_by(7).cloned().collect();
    for packet in tagged.into_iter().filter(|packet| packet.len() > 20) {
        packets.push(frames::tagged(packet.clone(), 0x8100, 100));
        packets.push(frames::tagged(frames::tagged(packet.clone(), 0x8100, 100), 0x88a8, 200));
        packets.push(frames::tagged(frames::tagged(frames::tagged(packet, 0x8100, 1), 0x8100, 2), 0x88a8, 3));
    }
    packets
}

fn for_pair(packets: &mut Vec<Vec<u8>>, source: IpAddr, vip: IpAddr) {
    let from = SocketAddr::new(source, 40_000);
    let at = |port| SocketAddr::new(vip, port);
    for options in [
        &frames::SYN_OPTIONS[..],
        &[2, 4, 1, 2],
        &[1, 1, 2, 4, 5, 0xa0],
        &[4, 2, 2, 4, 5, 0, 0],
        &[8, 0],
        &[],
    ] {
        packets.push(frames::tcp(from, at(80), flags::SYN, options, &[]));
    }
    for port in [443, 179, 22, 2222, 0] {
        packets.push(frames::tcp(from, at(port), flags::SYN, &frames::SYN_OPTIONS, &[]));
    }
    for flags in [0, 1, 3, 4, 5, 6, 8, 16, 17, 18, 20, 24, 41, 63] {
        packets.push(frames::tcp(from, at(80), flags, &[], b"GET / HTTP/1.1\r\n\r\n"));
    }
    packets.push(frames::tcp(SocketAddr::new(source, 0), at(80), flags::SYN, &[], &[]));
    for port in [443, 3784, 4784, 53, 0] {
        packets.push(frames::udp(from, at(port), b"hello"));
    }
    for (kind, code) in
        [(8, 0), (3, 4), (3, 1), (11, 0), (5, 0), (128, 0), (2, 0), (1, 0), (4, 0), (135, 0), (133, 0)]
    {
        packets.push(frames::icmp(source, vip, kind, code));
    }
    for protocol in [0, 43, 44, 47, 50, 51, 59, 60, 132] {
        packets.push(frames::ip(source, vip, protocol, &[0; 24]));
    }
    let syn = frames::tcp(from, at(80), flags::SYN, &frames::SYN_OPTIONS, &[]);
    if source.is_ipv6() {
        for (kind, bytes) in [(0, 8), (60, 16), (60, 64), (44, 8), (43, 8), (60, 136), (60, 256)] {
            packets.push(frames::extended(syn.clone(), kind, bytes));
        }
        let deep = (0..4).fold(syn, |frame, _| frames::extended(frame, 60, 8));
        packets.push(deep);
    } else {
        let mut with_options = syn;
        with_options[14] = 0x46;
        with_options[17] += 4;
        with_options.splice(34..34, [1, 1, 1, 1]);
        packets.push(with_options);
    }
}

/// A packet of the corpus with a few bytes changed, cut or appended.
fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut packet = seeds[random.below(seeds.len() as u64) as usize].clone();
    for _ in 0..random.below(4) {
        let at = random.below(packet.len().min(80) as u64) as usize;
        packet[at] = match random.below(3) {
            0 => random.below(256) as u8,
            1 => packet[at] ^ 1 << random.below(8),
            _ => [0, 1, 4, 5, 6, 0x3f, 0x40, 0x7f, 0x80, 0xff][random.below(10) as usize],
        };
    }
    match random.below(8) {
        0 => packet.truncate(14.max(random.below(packet.len() as u64 + 1) as usize)),
        1 => packet.extend(vec![0; random.below(64) as usize]),
        _ => {}
    }
    packet
}

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }
}
