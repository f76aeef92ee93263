//! Strict reading of TCP (RFC 9293) and UDP (RFC 768) headers.

use ebpf_abi::Reason;

use crate::flow::{Flow, Transport, flag};
use crate::packet::{Header, Packet};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Reads ports, and for TCP what a cookie needs. What it reads before it refuses stays in `flow`.
#[inline(always)]
pub(crate) fn read<P: Packet>(packet: &P, flow: &mut Flow) -> Result<(), Reason> {
    match flow.protocol {
        TCP => tcp(packet, flow),
        UDP => udp(packet, flow),
        _ => Ok(()),
    }
}

#[inline(always)]
fn tcp<P: Packet>(packet: &P, flow: &mut Flow) -> Result<(), Reason> {
    if flow.transport_bytes < 20 {
        return Err(Reason::Truncated);
    }
    let Some(header) = packet.header::<20>(flow.transport_offset as usize) else {
        return Err(Reason::Truncated);
    };
    flow.transport = Transport::Tcp;
    flow.source_port = header.be16::<0>();
    flow.destination_port = header.be16::<2>();
    flow.sequence = header.be32::<4>();
    flow.acknowledgement = header.be32::<8>();
    flow.tcp_header_bytes = (header.byte::<12>() >> 4) as u16 * 4;
    flow.tcp_flags = header.byte::<13>();
    let fits = flow.tcp_header_bytes >= 20 && flow.tcp_header_bytes <= flow.transport_bytes;
    if fits && flow.source_port != 0 { Ok(()) } else { Err(Reason::BadTransport) }
}

#[inline(always)]
fn udp<P: Packet>(packet: &P, flow: &mut Flow) -> Result<(), Reason> {
    if flow.transport_bytes < 8 {
        return Err(Reason::Truncated);
    }
    let Some(header) = packet.header::<8>(flow.transport_offset as usize) else {
        return Err(Reason::Truncated);
    };
    flow.transport = Transport::Udp;
    flow.source_port = header.be16::<0>();
    flow.destination_port = header.be16::<2>();
    let bytes = header.be16::<4>();
    if bytes >= 8 && bytes <= flow.transport_bytes { Ok(()) } else { Err(Reason::BadTransport) }
}

/// Flags that no stack sends to a server: nothing but FIN, PSH or URG; SYN or RST mixed with what contradicts them; and
/// SYN-ACK, because a VIP never opens connections.
#[inline(always)]
pub(crate) fn has_bad_flags(flags: u8) -> bool {
    let syn = flags & flag::SYN != 0;
    let reset = flags & flag::RST != 0;
    if syn {
        return flags & (flag::FIN | flag::RST | flag::ACK) != 0;
    }
    if reset {
        return flags & flag::FIN != 0;
    }
    flags & flag::ACK == 0
}
