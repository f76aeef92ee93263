#![no_std]
#![forbid(unsafe_code)]
//! What the kernel side and the user side of the guard share: names, sizes, keys, values and reasons, defined once.
//!
//! Everything is plain data in native byte order; both sides run on the same machine. A change of any layout or number
//! in this crate raises [`ABI_VERSION`].

#[cfg(test)]
extern crate std;

mod address;
mod ban;
mod control;
mod counters;
mod event;
mod filter;
mod layout;
pub mod maps;
mod policy;
mod probe;
mod reason;
mod vip;

pub use address::{Address, Family, Prefix};
pub use ban::{Ban, BanKey, BanKind};
pub use control::Control;
pub use counters::{CpuState, Protocol, REASON_SLOTS};
pub use event::Event;
pub use filter::{filter_bits, filter_lengths};
pub use policy::{
    ADMIN_PORTS_MAX, EVENTS_PER_S_MAX, Mode, PROTECTED_MAX, Policy, Protected, ROLE_MANAGEMENT, ROLE_ROUTING,
    STAGES, Stage,
};
pub use probe::{PROBE_MAGIC, Probe};
pub use reason::{Action, Reason};
pub use vip::{PORTS_PER_VIP_MAX, Vip, VipSlot, vip_slots};

/// Raised with every change of a layout, a number or a meaning; a program that finds another one lets all packets pass.
pub const ABI_VERSION: u32 = 3;
