//! A service address and the ports that are served on it.

/// Ports per protocol and address.
pub const PORTS_PER_VIP_MAX: usize = 8;

/// What the node serves on one address; unused ports are zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vip {
    /// Served TCP ports.
    pub tcp_ports: [u16; PORTS_PER_VIP_MAX],
    /// Served UDP ports.
    pub udp_ports: [u16; PORTS_PER_VIP_MAX],
}
