//! Frames as clients, routers and attackers send them, with correct lengths and checksums.

use std::net::{IpAddr, SocketAddr};
use std::vec::Vec;

/// TCP flags, for readability of tests.
pub mod flags {
    /// FIN.
    pub const FIN: u8 = 0x01;
    /// SYN.
    pub const SYN: u8 = 0x02;
    /// RST.
    pub const RST: u8 = 0x04;
    /// PSH.
    pub const PSH: u8 = 0x08;
    /// ACK.
    pub const ACK: u8 = 0x10;
}

const TO: [u8; 6] = [2, 0, 0, 0, 0, 1];
const FROM: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A TCP segment; `options` are padded with zeroes to a multiple of four bytes.
pub fn tcp(
    source: SocketAddr,
    destination: SocketAddr,
    flags: u8,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let header_bytes = 20 + options.len().div_ceil(4) * 4;
    let mut segment = Vec::with_capacity(header_bytes + payload.len());
    segment.extend(source.port().to_be_bytes());
    segment.extend(destination.port().to_be_bytes());
    segment.extend(0x1122_3344u32.to_be_bytes());
    segment.extend(0x5566_7788u32.to_be_bytes());
    segment.extend([((header_bytes / 4) << 4) as u8, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
    segment.extend(options);
    segment.resize(header_bytes, 0);
    segment.extend(payload);
    ip(source.ip(), destination.ip(), 6, &summed(source.ip(), destination.ip(), 6, segment, 16))
}

/// The options of a SYN as Linux sends them: MSS, SACK permitted, timestamps, no-operation, window scale.
pub const SYN_OPTIONS: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];

/// A UDP datagram.
pub fn udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(8 + payload.len());
    datagram.extend(source.port().to_be_bytes());
    datagram.extend(destination.port().to_be_bytes());
    datagram.extend(((8 + payload.len()) as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    ip(source.ip(), destination.ip(), 17, &summed(source.ip(), destination.ip(), 17, datagram, 6))
}

/// An ICMP or ICMPv6 message.
pub fn icmp(source: IpAddr, destination: IpAddr, kind: u8, code: u8) -> Vec<u8> {
    let protocol = if source.is_ipv4() { 1 } else { 58 };
    let mut message = std::vec![kind, code, 0, 0];
    message.resize(64, 0);
    let message = if source.is_ipv4() {
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        message
    } else {
        summed(source, destination, protocol, message, 2)
    };
    ip(source, destination, protocol, &message)
}

/// An IP packet with any payload.
pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(54 + payload.len());
    frame.extend(TO);
    frame.extend(FROM);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([0x08, 0x00]);
            let mut header = std::vec![0x45, 0];
            header.extend(((20 + payload.len()) as u16).to_be_bytes());
            header.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            frame.extend(header);
        }
        (source, destination) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend((payload.len() as u16).to_be_bytes());
            frame.extend([protocol, if protocol == 58 { 255 } else { 64 }]);
            frame.extend(six(source));
            frame.extend(six(destination));
        }
    }
    frame.extend(payload);
    frame
}

/// The same frame with a VLAN tag in front of the others.
pub fn tagged(mut frame: Vec<u8>, ethertype: u16, vlan: u16) -> Vec<u8> {
    let [high, low] = ethertype.to_be_bytes();
    let [vlan_high, vlan_low] = vlan.to_be_bytes();
    frame.splice(12..12, [high, low, vlan_high, vlan_low]);
    frame
}

/// The same IPv6 frame with an extension header of `bytes` (a multiple of eight) in front of the payload.
pub fn extended(mut frame: Vec<u8>, kind: u8, bytes: usize) -> Vec<u8> {
    let next = std::mem::replace(&mut frame[20], kind);
    let mut extension = std::vec![0; bytes];
    extension[0] = next;
    extension[1] = (bytes / 8 - 1) as u8;
    let length = u16::from_be_bytes([frame[18], frame[19]]) + bytes as u16;
    frame[18..20].copy_from_slice(&length.to_be_bytes());
    frame.splice(54..54, extension);
    frame
}

/// An ARP request.
pub fn arp() -> Vec<u8> {
    let mut frame = Vec::from([0xff; 6]);
    frame.extend(FROM);
    frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.resize(60, 0);
    frame
}

/// Whether the checksum of the IPv4 header, if any, and of the TCP segment in a frame without tags are right.
pub fn checksums_are_right(frame: &[u8]) -> bool {
    if frame[12..14] == [0x08, 0x00] {
        let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        let header = 14 + usize::from(frame[14] & 15) * 4;
        let mut pseudo = Vec::from(&frame[26..34]);
        pseudo.extend([0, frame[23]]);
        pseudo.extend(((14 + total - header) as u16).to_be_bytes());
        pseudo.extend(&frame[header..14 + total]);
        checksum(&frame[14..header]) == 0 && checksum(&pseudo) == 0
    } else {
        let mut pseudo = Vec::from(&frame[22..54]);
        pseudo.extend([0, 0, frame[18], frame[19], 0, 0, 0, frame[20]]);
        pseudo.extend(&frame[54..54 + usize::from(u16::from_be_bytes([frame[18], frame[19]]))]);
        checksum(&pseudo) == 0
    }
}

fn summed(source: IpAddr, destination: IpAddr, protocol: u8, mut transport: Vec<u8>, at: usize) -> Vec<u8> {
    let mut pseudo = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            pseudo.extend(source.octets());
            pseudo.extend(destination.octets());
        }
        (source, destination) => {
            pseudo.extend(six(source));
            pseudo.extend(six(destination));
        }
    }
    pseudo.extend([0, protocol]);
    pseudo.extend((transport.len() as u16).to_be_bytes());
    pseudo.extend(&transport);
    let sum = checksum(&pseudo);
    transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    transport
}

fn six(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
