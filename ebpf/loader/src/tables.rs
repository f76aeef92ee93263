//! Typed handles to the pinned tables; every process that may open the pins can have them.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use aya::maps::lpm_trie::LpmTrie;
use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use ebpf_abi::{ABI_VERSION, Address, Ban, Control, CpuState, Event, Policy, Vip, VipSlot, maps};

use crate::plain::Plain;
use crate::{Counters, GuardError, Pins, now_ns};

/// One list of one family.
pub(crate) type Trie<K> = LpmTrie<MapData, K, u32>;

/// The tables of a guard, whether its program is attached or not.
///
/// Policies and lists have one writer at a time: the node. Bans may be written by anybody.
pub struct Tables {
    control: Array<MapData, Plain<Control>>,
    pub(crate) policy: Array<MapData, Plain<Policy>>,
    pub(crate) vips: Array<MapData, Plain<VipSlot>>,
    pub(crate) lists_v4: ArrayOfMaps<MapData, Trie<[u8; 4]>>,
    pub(crate) lists_v6: ArrayOfMaps<MapData, Trie<[u8; 16]>>,
    pub(crate) filter: Array<MapData, u64>,
    /// By [`BanKey::packed`](ebpf_abi::BanKey::packed).
    pub(crate) bans: HashMap<MapData, u64, Plain<Ban>>,
    state: PerCpuArray<MapData, Plain<CpuState>>,
}

impl Tables {
    /// Opens what a guard has pinned.
    ///
    /// # Errors
    /// Nothing is pinned, or by another version, or this process may not open it.
    pub fn open(pins: &Pins) -> Result<Self, GuardError> {
        Ok(Self {
            control: open(pins, maps::CONTROL)?,
            policy: open(pins, maps::POLICY)?,
            vips: open(pins, maps::VIPS)?,
            lists_v4: open(pins, maps::LISTS_V4)?,
            lists_v6: open(pins, maps::LISTS_V6)?,
            filter: open(pins, maps::FILTER)?,
            bans: open(pins, maps::BANS)?,
            state: open(pins, maps::STATE)?,
        })
    }

    /// The valid policy; none until one of this version has been applied.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn policy(&self) -> Result<Option<Policy>, GuardError> {
        let control = self.control()?;
        if control.abi_version != ABI_VERSION {
            return Ok(None);
        }
        let Plain(policy) = self.policy.get(&(control.policy_slot & 1), 0).map_err(table(maps::POLICY))?;
        Ok(Some(policy))
    }

    /// Writes the policy into the slot that is not valid, then makes that slot valid.
    pub(crate) fn write_policy(&mut self, policy: &Policy) -> Result<(), GuardError> {
        let control = self.control()?;
        let slot = (control.policy_slot & 1) ^ 1;
        self.policy.set(slot, Plain(*policy), 0).map_err(table(maps::POLICY))?;
        self.write_control(Control { abi_version: ABI_VERSION, policy_slot: slot, ..control })
    }

    /// Changes the valid policy.
    pub(crate) fn amend_policy(&mut self, amend: impl FnOnce(&mut Policy)) -> Result<(), GuardError> {
        let mut policy = self.policy()?.unwrap_or_default();
        let before = policy;
        amend(&mut policy);
        if policy == before { Ok(()) } else { self.write_policy(&policy) }
    }

    /// Says that somebody supervises for `lease` more; stages that need supervision stop dropping when it runs out, within
    /// the few milliseconds of the kernel's coarse clock. A lease of zero ends at once.
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn beat(&mut self, lease: Duration) -> Result<(), GuardError> {
        let lease_ns = u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX);
        let alive_until_ns = if lease_ns == 0 { 0 } else { now_ns().saturating_add(lease_ns) };
        let control = self.control()?;
        self.write_control(Control { alive_until_ns, ..control })
    }

    /// Time left of the lease; zero when it has run out.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn lease(&self) -> Result<Duration, GuardError> {
        Ok(Duration::from_nanos(self.control()?.alive_until_ns.saturating_sub(now_ns())))
    }

    /// Everything counted since the tables were made, all CPUs together.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn counters(&self) -> Result<Counters, GuardError> {
        let cpus = self.state.get(&0, 0).map_err(table(maps::STATE))?;
        Ok(Counters::sum(cpus.iter().map(|Plain(state)| state)))
    }

    /// The addresses that are served, in no order.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn vips(&self) -> Result<Vec<(IpAddr, Vip)>, GuardError> {
        self.vips_of(&self.policy()?.unwrap_or_default())
    }

    /// The addresses that are served where this policy is valid.
    pub(crate) fn vips_of(&self, policy: &Policy) -> Result<Vec<(IpAddr, Vip)>, GuardError> {
        let base = (policy.vips_slot & 1) * maps::VIPS_SLOTS as u32;
        let slots = (base..).take(maps::VIPS_SLOTS).map(|slot| self.vips.get(&slot, 0).map(|slot| slot.0));
        let slots: Vec<_> = slots.collect::<Result<_, _>>().map_err(table(maps::VIPS))?;
        let used = slots.into_iter().filter(|slot| slot.used != 0);
        Ok(used.map(|slot| (from_abi(slot.address), slot.vip)).collect())
    }

    pub(crate) fn control(&self) -> Result<Control, GuardError> {
        Ok(self.control.get(&0, 0).map_err(table(maps::CONTROL))?.0)
    }

    fn write_control(&mut self, control: Control) -> Result<(), GuardError> {
        self.control.set(0, Plain(control), 0).map_err(table(maps::CONTROL))
    }
}

/// The sampled events; only one process should drain them.
pub struct Events {
    ring: RingBuf<MapData>,
}

impl Events {
    /// Opens the ring that a guard has pinned.
    ///
    /// # Errors
    /// As for [`Tables::open`].
    pub fn open(pins: &Pins) -> Result<Self, GuardError> {
        Ok(Self { ring: open(pins, maps::EVENTS)? })
    }

    /// The next event; none when the ring is empty.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let item = self.ring.next()?;
            if let Some(event) = decode(&item) {
                return Some(event);
            }
        }
    }
}

impl AsFd for Events {
    /// Becomes readable when events arrive.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor belongs to the ring, which lives as long as the borrow.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

/// An event by its bytes; field by field, so that no reference to unaligned memory is made.
fn decode(bytes: &[u8]) -> Option<Event> {
    let bytes: &[u8; size_of::<Event>()] = bytes.first_chunk()?;
    let long = |at: usize| bytes[at..].first_chunk().map_or(0, |chunk| u64::from_ne_bytes(*chunk));
    let short = |at: usize| bytes[at..].first_chunk().map_or(0, |chunk| u16::from_ne_bytes(*chunk));
    Some(Event {
        at_ns: long(0),
        source: Address { high: long(8), low: long(16) },
        destination: Address { high: long(24), low: long(32) },
        source_port: short(40),
        destination_port: short(42),
        frame_bytes: short(44),
        reason: bytes[46],
        action: bytes[47],
        protocol: bytes[48],
        tcp_flags: bytes[49],
        monitored: bytes[50],
        padding: bytes[51],
        rule: bytes[52..].first_chunk().map_or(0, |chunk| u32::from_ne_bytes(*chunk)),
    })
}

/// An address of an event or a table, as the rest of the program knows it.
pub(crate) fn from_abi(address: Address) -> IpAddr {
    IpAddr::from(address.octets()).to_canonical()
}

/// An error of one table.
pub(crate) fn table(table: &'static str) -> impl FnOnce(MapError) -> GuardError {
    move |error| GuardError::Table { table, error }
}

/// Removing what is gone already is no error.
pub(crate) fn remove(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

fn open<T>(pins: &Pins, name: &'static str) -> Result<T, GuardError>
where
    T: TryFrom<Map, Error = MapError>,
{
    let path = pins.map(name);
    if matches!(fs::exists(&path), Ok(false)) {
        return Err(GuardError::NotPinned(pins.root().to_owned()));
    }
    MapData::from_pin(&path).and_then(Map::from_map_data).and_then(T::try_from).map_err(|error| {
        let denied = matches!(&error, MapError::SyscallError(error) if error.io_error.kind() == io::ErrorKind::PermissionDenied);
        if denied { GuardError::Capability("CAP_BPF") } else { table(name)(error) }
    })
}
