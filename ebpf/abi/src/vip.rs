//! Service addresses, the ports that are served on them, and where each stands in its table.

use crate::Address;
use crate::maps::VIPS_SLOTS;

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

/// One place of the table of service addresses; a cache line.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VipSlot {
    /// Whose place it is.
    pub address: Address,
    /// What is served there.
    pub vip: Vip,
    /// One where somebody stands, else zero.
    pub used: u64,
    /// Always zero.
    pub padding: u64,
}

/// The two places at which an address may stand. A plain array is read without a call into the kernel, which costs more
/// than both reads.
#[inline(always)]
pub const fn vip_slots(address: Address, salt: u64) -> [u32; 2] {
    let mut mixed = (address.high ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ address.low ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let bits = VIPS_SLOTS.trailing_zeros();
    [(mixed >> (64 - bits)) as u32, (mixed >> (64 - 2 * bits)) as u32 & (VIPS_SLOTS as u32 - 1)]
}
