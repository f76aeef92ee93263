//! Packets in memory and tables in collections: the logic without a kernel.

pub mod fixtures;
pub mod frames;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::vec::Vec;

use ebpf_abi::maps::{SKETCH_ENTRIES, TRICKLE_ENTRIES};
use ebpf_abi::{Address, Ban, BanKey, Policy, Prefix, Vip};

use crate::{Flow, Header, HeaderMut, Level, Packet, Tables};

/// A frame in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(pub Vec<u8>);

impl Packet for Frame {
    type Header<'p, const N: usize> = &'p [u8; N];
    type HeaderMut<'p, const N: usize> = &'p mut [u8; N];

    fn frame_bytes(&self) -> usize {
        self.0.len()
    }

    fn header<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        self.0.get(offset..)?.first_chunk()
    }

    fn header_mut<const N: usize>(&mut self, offset: usize) -> Option<&mut [u8; N]> {
        self.0.get_mut(offset..)?.first_chunk_mut()
    }
}

impl<const N: usize> Header<N> for &[u8; N] {
    fn byte<const AT: usize>(&self) -> u8 {
        self[AT]
    }

    fn be16<const AT: usize>(&self) -> u16 {
        u16::from_be_bytes(piece(&self[AT..]))
    }

    fn be32<const AT: usize>(&self) -> u32 {
        u32::from_be_bytes(piece(&self[AT..]))
    }

    fn be64<const AT: usize>(&self) -> u64 {
        u64::from_be_bytes(piece(&self[AT..]))
    }
}

impl<const N: usize> HeaderMut<N> for &mut [u8; N] {
    fn put_be16<const AT: usize>(&mut self, value: u16) {
        self[AT..AT + 2].copy_from_slice(&value.to_be_bytes());
    }

    fn put_be32<const AT: usize>(&mut self, value: u32) {
        self[AT..AT + 4].copy_from_slice(&value.to_be_bytes());
    }

    fn put_be64<const AT: usize>(&mut self, value: u64) {
        self[AT..AT + 8].copy_from_slice(&value.to_be_bytes());
    }
}

/// The first bytes of a window that is long enough by construction.
fn piece<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("a window is only read inside its bounds")
}

/// The kernel's tables, in collections; what the kernel would know of sockets and cookies is a setting.
#[derive(Debug)]
pub struct MemoryTables {
    /// The valid policy.
    pub policy: Option<Policy>,
    /// Until when somebody supervises, ns.
    pub alive_until_ns: u64,
    /// What is served.
    pub vips: HashMap<Address, Vip>,
    /// Listed prefixes with their bits, in any order.
    pub lists: Vec<(Prefix, u32)>,
    /// Bans.
    pub bans: HashMap<BanKey, Ban>,
    /// Whether some socket owns every flow.
    pub connected: bool,
    /// The cookie that is given out.
    pub cookie: Option<u32>,
    /// Whether every acknowledged cookie is valid.
    pub cookie_valid: bool,
    cells: RefCell<Vec<u64>>,
    levels: [Cell<u64>; 2],
    trickled_at_ns: RefCell<Vec<u64>>,
}

impl Default for MemoryTables {
    fn default() -> Self {
        Self {
            policy: None,
            alive_until_ns: 0,
            vips: HashMap::new(),
            lists: Vec::new(),
            bans: HashMap::new(),
            connected: false,
            cookie: Some(0x0102_0304),
            cookie_valid: false,
            cells: RefCell::new(std::vec![0; SKETCH_ENTRIES]),
            levels: [Cell::new(0), Cell::new(0)],
            trickled_at_ns: RefCell::new(std::vec![0; TRICKLE_ENTRIES]),
        }
    }
}

impl Tables for MemoryTables {
    fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    fn alive_until_ns(&self) -> u64 {
        self.alive_until_ns
    }

    fn vip(&self, address: &Address) -> Option<&Vip> {
        self.vips.get(address)
    }

    fn listed(&self, source: Address) -> u32 {
        let length = |prefix: &Prefix| prefix.mask.high.count_ones() + prefix.mask.low.count_ones();
        let matching = self.lists.iter().filter(|(prefix, _)| prefix.contains(source));
        matching.max_by_key(|(prefix, _)| length(prefix)).map_or(0, |(_, bits)| *bits)
    }

    fn ban(&self, key: &BanKey) -> Option<Ban> {
        self.bans.get(key).copied()
    }

    fn cell(&self, index: u32) -> u64 {
        self.cells.borrow()[index as usize]
    }

    fn set_cell(&self, index: u32, value: u64) {
        self.cells.borrow_mut()[index as usize] = value;
    }

    fn level(&self, level: Level) -> u64 {
        self.levels[level as usize].get()
    }

    fn set_level(&self, level: Level, value: u64) {
        self.levels[level as usize].set(value);
    }

    fn trickled_at_ns(&self, listener: u32) -> u64 {
        self.trickled_at_ns.borrow()[listener as usize]
    }

    fn set_trickled_at_ns(&self, listener: u32, now_ns: u64) {
        self.trickled_at_ns.borrow_mut()[listener as usize] = now_ns;
    }

    fn connected(&self, _flow: &Flow) -> bool {
        self.connected
    }

    fn cookie(&self, _flow: &Flow, _mss: u16) -> Option<u32> {
        self.cookie
    }

    fn cookie_valid(&self, _flow: &Flow) -> bool {
        self.cookie_valid
    }
}
