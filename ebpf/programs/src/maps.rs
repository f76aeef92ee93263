//! The maps, as `ebpf_abi::maps` describes them; a map's name is the name of its static.

use aya_ebpf::btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use ebpf_abi::maps::{
    BANS_ENTRIES, EVENTS_BYTES, FILTER_WORDS, LISTS_ENTRIES, POLICY_ENTRIES, SKETCH_ENTRIES, TRICKLE_ENTRIES,
    VIPS_SLOTS,
};
use ebpf_abi::{Ban, Control, CpuState, Event, Policy, VipSlot};

#[btf_map]
pub static CONTROL: Array<Control, 1> = Array::new();
#[btf_map]
pub static POLICY: Array<Policy, POLICY_ENTRIES> = Array::new();
#[btf_map]
pub static VIPS: Array<VipSlot, { 2 * VIPS_SLOTS }> = Array::new();
#[btf_map]
pub static LISTS_V4: ArrayOfMaps<LpmTrie<[u8; 4], u32, LISTS_ENTRIES>, 2> = ArrayOfMaps::new();
#[btf_map]
pub static LISTS_V6: ArrayOfMaps<LpmTrie<[u8; 16], u32, LISTS_ENTRIES>, 2> = ArrayOfMaps::new();
#[btf_map]
pub static FILTER: Array<u64, { 2 * FILTER_WORDS }> = Array::new();
#[btf_map]
pub static BANS: HashMap<u64, Ban, BANS_ENTRIES> = HashMap::new();
#[btf_map]
pub static SKETCH: Array<u64, SKETCH_ENTRIES> = Array::new();
#[btf_map]
pub static TRICKLE: Array<u64, TRICKLE_ENTRIES> = Array::new();
#[btf_map]
pub static STATE: PerCpuArray<CpuState, 1> = PerCpuArray::new();
#[btf_map]
pub static EVENTS: RingBuf<Event, EVENTS_BYTES> = RingBuf::new();
