//! The SYN cookie challenge: a SYN becomes its own SYN-ACK, in place, without any state.

use ebpf_abi::maps::TRICKLE_ENTRIES;
use ebpf_abi::{Policy, Reason};

use crate::checksum::Sum;
use crate::flow::{Flow, flag};
use crate::packet::{Header, HeaderMut, Packet};
use crate::tables::Tables;

/// How often a SYN of each listener goes to the kernel: it honours cookies only for two minutes after it made one itself.
const TRICKLE_NS: u64 = 1_000_000_000;
/// Options of a SYN that are looked at; every common stack sends the MSS first.
const OPTIONS_MAX: usize = 4;
/// What a SYN without the option means (RFC 9293, 3.7.1), per IP version.
const MSS_DEFAULT_V4: u16 = 536;
const MSS_DEFAULT_V6: u16 = 1220;
/// No scaling is offered, so the window is what a segment of a request needs.
const WINDOW: u16 = 64_240;
const HOPS: u8 = 64;

/// Answers a SYN in place and returns the bytes of the answer, or says why the SYN goes another way.
#[inline(always)]
pub(crate) fn challenge<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    policy: &Policy,
    flow: &Flow,
    now_ns: u64,
) -> Result<u16, Reason> {
    if tables.connected(flow) {
        return Err(Reason::Owned);
    }
    let listener = listener(flow);
    if now_ns.wrapping_sub(tables.trickled_at_ns(listener)) >= TRICKLE_NS {
        tables.set_trickled_at_ns(listener, now_ns);
        return Err(Reason::Trickle);
    }
    let network_bytes = flow.transport_offset - flow.network_offset;
    let plain = if flow.version == 4 { network_bytes == 20 } else { network_bytes == 40 };
    if !plain {
        return Err(Reason::Unchallengeable);
    }
    let Some(cookie) = tables.cookie(flow, mss(packet, flow)) else { return Err(Reason::Unchallengeable) };
    let written = if flow.version == 4 {
        answer_v4(packet, flow, cookie, policy.mss_v4)
    } else {
        answer_v6(packet, flow, cookie, policy.mss_v6)
    };
    written.ok_or(Reason::Unchallengeable)
}

/// Which slot of the trickle table a listener has: by port and IP version, as listeners are.
#[inline(always)]
fn listener(flow: &Flow) -> u32 {
    (flow.destination_port as u32 ^ (flow.version as u32) << 3) & (TRICKLE_ENTRIES as u32 - 1)
}

/// The MSS that the SYN offers.
#[inline(always)]
fn mss<P: Packet>(packet: &P, flow: &Flow) -> u16 {
    let default = if flow.version == 4 { MSS_DEFAULT_V4 } else { MSS_DEFAULT_V6 };
    let mut position = 20;
    for _ in 0..OPTIONS_MAX {
        if position + 4 > flow.tcp_header_bytes {
            return default;
        }
        let Some(option) = packet.header::<4>(flow.transport_offset as usize + position as usize) else {
            return default;
        };
        match (option.byte::<0>(), option.byte::<1>()) {
            (0, _) => return default,
            (1, _) => position += 1,
            (2, 4) => return option.be16::<2>(),
            (_, bytes) if (2..=40).contains(&bytes) => position += bytes as u16,
            _ => return default,
        }
    }
    default
}

/// Bytes of the answer's TCP header: without options where the SYN had none, so that a frame never grows.
#[inline(always)]
fn tcp_bytes(flow: &Flow) -> u16 {
    if flow.tcp_header_bytes >= 24 { 24 } else { 20 }
}

#[inline(always)]
fn answer_v4<P: Packet>(packet: &mut P, flow: &Flow, cookie: u32, mss: u16) -> Option<u16> {
    let tcp_bytes = tcp_bytes(flow);
    let (source, destination) = (flow.source.v4_bits(), flow.destination.v4_bits());
    let length = 20 + tcp_bytes;
    let checksum = Sum::default()
        .add(0x4500_0000 | length as u32)
        .add(0x4000)
        .add((HOPS as u32) << 8 | 6)
        .add(source)
        .add(destination)
        .finish();
    let pseudo = Sum::default().add(source).add(destination).add(6).add(tcp_bytes as u32);
    answer_tcp(packet, flow, cookie, mss, pseudo)?;
    swap_ethernet(packet)?;
    let mut header = packet.header_mut::<20>(flow.network_offset as usize)?;
    header.put_be32::<0>(0x4500_0000 | length as u32);
    header.put_be32::<4>(0x4000);
    header.put_be32::<8>(((HOPS as u32) << 8 | 6) << 16 | checksum as u32);
    header.put_be32::<12>(destination);
    header.put_be32::<16>(source);
    Some(flow.transport_offset + tcp_bytes)
}

#[inline(always)]
fn answer_v6<P: Packet>(packet: &mut P, flow: &Flow, cookie: u32, mss: u16) -> Option<u16> {
    let tcp_bytes = tcp_bytes(flow);
    let (source, destination) = (flow.source, flow.destination);
    let pseudo = Sum::default()
        .add_long(source.high)
        .add_long(source.low)
        .add_long(destination.high)
        .add_long(destination.low)
        .add(6)
        .add(tcp_bytes as u32);
    answer_tcp(packet, flow, cookie, mss, pseudo)?;
    swap_ethernet(packet)?;
    let mut header = packet.header_mut::<40>(flow.network_offset as usize)?;
    header.put_be32::<0>(0x6000_0000);
    header.put_be32::<4>((tcp_bytes as u32) << 16 | 6 << 8 | HOPS as u32);
    header.put_be64::<8>(destination.high);
    header.put_be64::<16>(destination.low);
    header.put_be64::<24>(source.high);
    header.put_be64::<32>(source.low);
    Some(flow.transport_offset + tcp_bytes)
}

#[inline(always)]
fn answer_tcp<P: Packet>(packet: &mut P, flow: &Flow, cookie: u32, mss: u16, pseudo: Sum) -> Option<()> {
    let ports = (flow.destination_port as u32) << 16 | flow.source_port as u32;
    let acknowledgement = flow.sequence.wrapping_add(1);
    let option = 0x0204_0000 | mss as u32;
    let tcp_bytes = tcp_bytes(flow) as u32;
    let flags = ((tcp_bytes / 4) << 28) | ((flag::SYN | flag::ACK) as u32) << 16 | WINDOW as u32;
    let mut sum = pseudo.add(ports).add(cookie).add(acknowledgement).add(flags);
    if tcp_bytes == 24 {
        sum = sum.add(option);
        packet.header_mut::<4>(flow.transport_offset as usize + 20)?.put_be32::<0>(option);
    }
    let mut header = packet.header_mut::<20>(flow.transport_offset as usize)?;
    header.put_be32::<0>(ports);
    header.put_be32::<4>(cookie);
    header.put_be32::<8>(acknowledgement);
    header.put_be32::<12>(flags);
    header.put_be32::<16>((sum.finish() as u32) << 16);
    Some(())
}

/// Exchanges the Ethernet addresses; VLAN tags stay where they are.
#[inline(always)]
fn swap_ethernet<P: Packet>(packet: &mut P) -> Option<()> {
    let header = packet.header::<12>(0)?;
    let (to, to_end, from, from_end) =
        (header.be32::<0>(), header.be16::<4>(), header.be32::<6>(), header.be16::<10>());
    let mut header = packet.header_mut::<12>(0)?;
    header.put_be32::<0>(from);
    header.put_be16::<4>(from_end);
    header.put_be32::<6>(to);
    header.put_be16::<10>(to_end);
    Some(())
}
