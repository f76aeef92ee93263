//! Strict reading of the IPv6 header (RFC 8200) of a packet to a VIP, extension headers up to a bound.

use ebpf_abi::{Address, Reason};

use crate::flow::{Flow, Transport};
use crate::packet::{Header, Packet};

/// Extension headers per packet. Clients of a redirect send none; some middle boxes add one.
pub(crate) const EXTENSIONS_MAX: usize = 3;
/// Bytes of all extension headers together.
pub(crate) const EXTENSION_BYTES_MAX: usize = 128;

const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;
const ICMP: u8 = 58;
const DESTINATION_OPTIONS: u8 = 60;
const ROUTING: u8 = 43;
const AUTHENTICATION: u8 = 51;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

/// Reads the header, its extensions, and ICMPv6 as far as it matters; the transport header is left to the caller.
#[inline(always)]
pub(crate) fn read<H: Header<40>, P: Packet>(packet: &P, header: H, flow: &mut Flow) -> Result<(), Reason> {
    let offset = flow.network_offset as usize;
    let payload_bytes = header.be16::<4>() as usize;
    let mut next = header.byte::<6>();
    flow.protocol = next;
    if header.byte::<0>() >> 4 != 6 {
        return Err(Reason::BadHeader);
    }
    if offset + 40 + payload_bytes > packet.frame_bytes() {
        return Err(Reason::Truncated);
    }
    let mut extension_bytes = 0;
    for _ in 0..EXTENSIONS_MAX {
        if next != HOP_BY_HOP && next != DESTINATION_OPTIONS {
            break;
        }
        let Some(extension) = packet.header::<2>(offset + 40 + extension_bytes) else {
            return Err(Reason::Truncated);
        };
        next = extension.byte::<0>();
        extension_bytes += (extension.byte::<1>() as usize + 1) * 8;
        if extension_bytes > EXTENSION_BYTES_MAX {
            return Err(Reason::ExtensionHeaders);
        }
        if extension_bytes > payload_bytes {
            return Err(Reason::Truncated);
        }
    }
    flow.protocol = next;
    match next {
        FRAGMENT => return Err(Reason::Fragment),
        HOP_BY_HOP | DESTINATION_OPTIONS | ROUTING | AUTHENTICATION | MOBILITY | HOST_IDENTITY | SHIM6 => {
            return Err(Reason::ExtensionHeaders);
        }
        _ => {}
    }
    flow.transport_offset = (offset + 40 + extension_bytes) as u16;
    flow.transport_bytes = (payload_bytes - extension_bytes) as u16;
    if next == ICMP {
        flow.transport = icmp(packet, flow, header.byte::<7>())?;
    }
    Ok(())
}

#[inline(always)]
fn icmp<P: Packet>(packet: &P, flow: &Flow, hop_limit: u8) -> Result<Transport, Reason> {
    if flow.transport_bytes < 8 {
        return Err(Reason::Truncated);
    }
    let Some(header) = packet.header::<4>(flow.transport_offset as usize) else {
        return Err(Reason::Truncated);
    };
    Ok(match header.byte::<0>() {
        2 => Transport::TooBig,
        1 | 3 | 4 => Transport::IcmpError,
        128 => Transport::Echo,
        // RFC 4861, 6.1 and 7.1: a hop limit below 255 proves that the message came through a router.
        133..=137 if hop_limit == 255 => Transport::NeighbourDiscovery,
        _ => Transport::Other,
    })
}

/// Sources that no host has: multicast, unspecified, loopback, and IPv4 in disguise (RFC 4291, 2.5 to 2.7).
#[inline(always)]
pub(crate) fn is_impossible(source: Address) -> bool {
    source.high >> 56 == 0xff || (source.high == 0 && (source.low <= 1 || source.low >> 32 == 0xffff))
}
