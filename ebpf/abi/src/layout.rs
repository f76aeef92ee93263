//! Layouts that both sides rely on, asserted at compile time.

use crate::{
    Address, Ban, BanKey, Control, CpuState, Event, Policy, Prefix, Probe, Protected, Vip, VipSlot, maps,
};

const _: () = {
    assert!(size_of::<Address>() == 16 && align_of::<Address>() == 8);
    assert!(size_of::<Prefix>() == 32);
    assert!(size_of::<BanKey>() == 16 && size_of::<Ban>() == 16);
    assert!(size_of::<Control>() == 16);
    assert!(size_of::<Vip>() == 32 && size_of::<VipSlot>() == 64);
    assert!(size_of::<Protected>() == 40);
    assert!(size_of::<Policy>() == 16 + 8 + 8 * 4 + 4 + 3 * 4 + 8 + 16 + 16 * 40);
    assert!(size_of::<Event>() == 56);
    // Older kernels give metadata at most 32 bytes; newer ones want a multiple of four.
    assert!(size_of::<Probe>() <= 32 && size_of::<Probe>().is_multiple_of(4));
    // A per-CPU value may not exceed 32 KiB.
    assert!(size_of::<CpuState>() <= 32 << 10 && size_of::<CpuState>().is_multiple_of(8));
    assert!(maps::VIPS_SLOTS.is_power_of_two() && maps::FILTER_BITS.is_power_of_two());
    assert!(maps::SKETCH_WIDTH.is_power_of_two() && maps::TRICKLE_ENTRIES.is_power_of_two());
};
