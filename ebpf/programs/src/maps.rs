//! The maps, as `ebpf_abi::maps` describes them; a map's name is the name of its static.

use aya_ebpf::btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use ebpf_abi::maps::{
    BANS_ENTRIES, EVENTS_BYTES, LISTS_ENTRIES, POLICY_ENTRIES, SKETCH_ENTRIES, TRICKLE_ENTRIES, VIPS_ENTRIES,
};
use ebpf_abi::{Address, Ban, BanKey, Control, CpuState, Event, Policy, Vip};

#[btf_map]
pub static CONTROL: Array<Control, 1> = Array::new();
#[btf_map]
pub static POLICY: Array<Policy, POLICY_ENTRIES> = Array::new();
#[btf_map]
pub static VIPS: HashMap<Address, Vip, VIPS_ENTRIES> = HashMap::new();
#[btf_map]
pub static LISTS_V4: ArrayOfMaps<LpmTrie<[u8; 4], u32, LISTS_ENTRIES>, 1> = ArrayOfMaps::new();
#[btf_map]
pub static LISTS_V6: ArrayOfMaps<LpmTrie<[u8; 16], u32, LISTS_ENTRIES>, 1> = ArrayOfMaps::new();
#[btf_map]
pub static BANS: HashMap<BanKey, Ban, BANS_ENTRIES> = HashMap::new();
#[btf_map]
pub static SKETCH: Array<u64, SKETCH_ENTRIES> = Array::new();
#[btf_map]
pub static TRICKLE: Array<u64, TRICKLE_ENTRIES> = Array::new();
#[btf_map]
pub static STATE: PerCpuArray<CpuState, 1> = PerCpuArray::new();
#[btf_map]
pub static EVENTS: RingBuf<Event, EVENTS_BYTES> = RingBuf::new();
