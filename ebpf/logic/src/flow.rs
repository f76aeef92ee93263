//! What is known about a packet's way: addresses, ports and where its headers start.

use ebpf_abi::{Address, Protocol};

/// What the packet carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Not read yet, or nothing that the guard reads.
    #[default]
    Other,
    /// A TCP segment.
    Tcp,
    /// A UDP datagram.
    Udp,
    /// An echo request of either ICMP.
    Echo,
    /// An ICMP message about a packet of ours.
    IcmpError,
    /// "Packet too big", "fragmentation needed".
    TooBig,
    /// A neighbour discovery message with a hop limit of 255.
    NeighbourDiscovery,
}

/// The packet as far as it has been read; zero where it has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Who sent it.
    pub source: Address,
    /// Whom it is for.
    pub destination: Address,
    /// Offset of the IP header.
    pub network_offset: u16,
    /// Offset of the transport header.
    pub transport_offset: u16,
    /// Bytes of transport header and payload, by the IP header.
    pub transport_bytes: u16,
    /// Bytes of the TCP header with its options.
    pub tcp_header_bytes: u16,
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the VIP.
    pub destination_port: u16,
    /// Sequence number of a segment.
    pub sequence: u32,
    /// Acknowledgement number of a segment.
    pub acknowledgement: u32,
    /// Flags of a segment.
    pub tcp_flags: u8,
    /// IP version: 4, 6 or zero.
    pub version: u8,
    /// IP protocol number behind all extension headers.
    pub protocol: u8,
    /// The same, understood.
    pub transport: Transport,
}

/// Flags of the TCP header (RFC 9293, 3.1).
pub(crate) mod flag {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const ACK: u8 = 0x10;
}

impl Flow {
    /// Whether the segment asks for a new connection.
    #[inline(always)]
    pub const fn opens(&self) -> bool {
        matches!(self.transport, Transport::Tcp) && self.tcp_flags & (flag::SYN | flag::ACK) == flag::SYN
    }

    /// What the packet is counted as.
    #[inline(always)]
    pub const fn counted_as(&self) -> Protocol {
        match (self.version, self.protocol) {
            (4, 6) => Protocol::Tcp4,
            (4, 17) => Protocol::Udp4,
            (4, _) => Protocol::Other4,
            (6, 6) => Protocol::Tcp6,
            (6, 17) => Protocol::Udp6,
            (6, _) => Protocol::Other6,
            _ => Protocol::None,
        }
    }
}
