//! The types of `ebpf-abi` as values that may cross the border to the kernel.

use aya::Pod;
use ebpf_abi::{Address, Ban, Control, CpuState, Policy, VipSlot};

/// A value whose bytes are all of it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<T: Copy>(pub(crate) T);

macro_rules! plain {
    ($($type:ty)*) => {
        // SAFETY: `#[repr(C)]`, only integers, and no padding: `ebpf_abi` asserts each size as the sum of its fields.
        $(unsafe impl Pod for Plain<$type> {})*
    };
}

plain! { Address Ban Control CpuState Policy VipSlot }
