//! The kernel's maps behind the trait that the logic asks.

use core::arch::asm;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::btf_maps::lpm_trie::Key;
use ebpf_abi::maps::{FILTER_WORDS, SKETCH_ENTRIES, TRICKLE_ENTRIES, VIPS_SLOTS};
use ebpf_abi::{Address, Ban, BanKey, CpuState, Family, Policy, Vip, filter_bits, vip_slots};
use ebpf_logic::{Flow, Level, Tables};

use crate::{maps, sockets};

/// The tables as one packet sees them.
pub struct KernelTables {
    /// For helpers that want it.
    pub context: *mut xdp_md,
    /// The valid policy.
    pub policy: Option<&'static Policy>,
    /// The heartbeat.
    pub alive_until_ns: u64,
    /// The state of this CPU.
    pub state: *mut CpuState,
    /// The instant; to the verifier, a number that it knows nothing about.
    pub now_ns: u64,
    /// Whether this packet leaves traces in the rate tables.
    pub charges: bool,
}

impl KernelTables {
    /// One bit of the filter: zero or one.
    #[inline(always)]
    fn filtered(&self, slot: u32, bit: u32) -> u64 {
        let word = maps::FILTER.get(slot * FILTER_WORDS as u32 + bit / 64);
        // A filter that cannot be read hides nothing.
        self.forget(word.map_or(1, |word| word >> (bit % 64) & 1))
    }
}

impl Tables for KernelTables {
    #[inline(always)]
    fn policy(&self) -> Option<&Policy> {
        self.policy
    }

    #[inline(always)]
    fn alive_until_ns(&self) -> u64 {
        self.alive_until_ns
    }

    #[inline(always)]
    fn vip(&self, address: &Address) -> Option<&Vip> {
        let policy = self.policy?;
        let base = (policy.vips_slot & 1) * VIPS_SLOTS as u32;
        let [first, second] = vip_slots(*address, policy.vips_salt);
        let found = vip_at(base + first, address);
        if found.is_some() { found } else { vip_at(base + second, address) }
    }

    #[inline(always)]
    fn listed(&self, source: Address) -> u32 {
        let slot = self.policy.map_or(0, |policy| policy.lists_slot & 1);
        let [wide, narrow] = filter_bits(source);
        if self.filtered(slot, wide) | self.filtered(slot, narrow) == 0 {
            return 0;
        }
        let bits = match source.family() {
            Family::V4 => {
                let key = Key::new(32, source.v4_bits().to_be_bytes());
                maps::LISTS_V4.get(slot).and_then(|lists| lists.get(&key))
            }
            Family::V6 => {
                let key = Key::new(128, source.octets());
                maps::LISTS_V6.get(slot).and_then(|lists| lists.get(&key))
            }
        };
        bits.copied().unwrap_or(0)
    }

    #[inline(always)]
    fn ban(&self, key: &BanKey) -> Option<Ban> {
        // SAFETY: user space replaces values whole; a torn read could only mix two bans of the same source.
        unsafe { maps::BANS.get(&key.packed()) }.copied()
    }

    #[inline(always)]
    fn cell(&self, index: u32) -> u64 {
        maps::SKETCH.get(index & (SKETCH_ENTRIES as u32 - 1)).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn set_cell(&self, index: u32, value: u64) {
        if !self.charges {
            return;
        }
        if let Some(cell) = maps::SKETCH.get_ptr_mut(index & (SKETCH_ENTRIES as u32 - 1)) {
            // SAFETY: an aligned word of the map; CPUs race for it, and a lost update is a lost grain of a statistic.
            unsafe { cell.write_volatile(value) };
        }
    }

    #[inline(always)]
    fn level(&self, level: Level) -> u64 {
        // SAFETY: `state` points to this CPU's value.
        unsafe {
            match level {
                Level::NewConnections => (*self.state).new_connections,
                Level::Segments => (*self.state).segments,
            }
        }
    }

    #[inline(always)]
    fn set_level(&self, level: Level, value: u64) {
        if !self.charges {
            return;
        }
        // SAFETY: as above.
        unsafe {
            match level {
                Level::NewConnections => (*self.state).new_connections = value,
                Level::Segments => (*self.state).segments = value,
            }
        }
    }

    #[inline(always)]
    fn trickled_at_ns(&self, listener: u32) -> u64 {
        maps::TRICKLE.get(listener & (TRICKLE_ENTRIES as u32 - 1)).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn set_trickled_at_ns(&self, listener: u32, now_ns: u64) {
        if !self.charges {
            return;
        }
        if let Some(cell) = maps::TRICKLE.get_ptr_mut(listener & (TRICKLE_ENTRIES as u32 - 1)) {
            // SAFETY: an aligned word of the map; two CPUs that race let one SYN more through.
            unsafe { cell.write_volatile(now_ns) };
        }
    }

    #[inline(always)]
    fn forget(&self, value: u64) -> u64 {
        let mut value = value;
        // SAFETY: adds the difference of an unknown number to itself: zero, which the verifier does not notice.
        unsafe {
            asm!(
                "{zero} = {unknown}", "{zero} -= {unknown}", "{value} += {zero}",
                unknown = in(reg) self.now_ns, zero = out(reg) _, value = inout(reg) value,
                options(pure, nomem, nostack)
            );
        }
        value
    }

    #[inline(always)]
    fn connected(&self, flow: &Flow) -> bool {
        sockets::connected(self.context, flow)
    }

    #[inline(always)]
    fn cookie(&self, flow: &Flow, mss: u16) -> Option<u32> {
        sockets::cookie(flow, mss)
    }

    #[inline(always)]
    fn cookie_valid(&self, flow: &Flow) -> bool {
        sockets::cookie_valid(flow)
    }
}

/// What is served on the address, if that is where it stands.
#[inline(always)]
fn vip_at(slot: u32, address: &Address) -> Option<&'static Vip> {
    let slot = maps::VIPS.get(slot)?;
    let differs = (slot.address.high ^ address.high) | (slot.address.low ^ address.low) | (slot.used ^ 1);
    if differs == 0 { Some(&slot.vip) } else { None }
}
