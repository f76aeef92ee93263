//! Strict reading of the IPv4 header (RFC 791) of a packet to a VIP.

use ebpf_abi::{Address, Reason};

use crate::flow::{Flow, Transport};
use crate::packet::{Header, Packet};

const ICMP: u8 = 1;
const FRAGMENTED: u16 = 0x3fff;

/// Reads the header, and ICMP as far as it matters; the transport header is left to the caller.
#[inline(always)]
pub(crate) fn read<H: Header<20>, P: Packet>(packet: &P, header: H, flow: &mut Flow) -> Result<(), Reason> {
    let offset = flow.network_offset as usize;
    let first = header.byte::<0>();
    let header_bytes = ((first & 0x0f) as usize) * 4;
    let total_bytes = header.be16::<2>() as usize;
    flow.protocol = header.byte::<9>();
    if first >> 4 != 4 || header_bytes < 20 || total_bytes < header_bytes {
        return Err(Reason::BadHeader);
    }
    if offset + total_bytes > packet.frame_bytes() {
        return Err(Reason::Truncated);
    }
    if header.be16::<6>() & FRAGMENTED != 0 {
        return Err(Reason::Fragment);
    }
    flow.transport_offset = (offset + header_bytes) as u16;
    flow.transport_bytes = (total_bytes - header_bytes) as u16;
    if flow.protocol == ICMP {
        flow.transport = icmp(packet, flow)?;
    }
    Ok(())
}

#[inline(always)]
fn icmp<P: Packet>(packet: &P, flow: &Flow) -> Result<Transport, Reason> {
    if flow.transport_bytes < 8 {
        return Err(Reason::Truncated);
    }
    let Some(header) = packet.header::<4>(flow.transport_offset as usize) else {
        return Err(Reason::Truncated);
    };
    Ok(match (header.byte::<0>(), header.byte::<1>()) {
        (3, 4) => Transport::TooBig,
        (3 | 11 | 12, _) => Transport::IcmpError,
        (8, 0) => Transport::Echo,
        _ => Transport::Other,
    })
}

/// Sources that no host on the Internet has: "this network", loopback, multicast, reserved and broadcast (RFC 6890).
#[inline(always)]
pub(crate) fn is_impossible(source: Address) -> bool {
    let first = source.v4_bits() >> 24;
    first == 0 || first == 127 || first >= 224
}
