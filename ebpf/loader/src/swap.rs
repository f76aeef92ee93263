//! Rules are exchanged in two steps: written beside the valid ones, where the program can be asked about them, and then named.

use std::thread;

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, IterableMap as _, MapData, MapError};
use ebpf_abi::{Policy, maps};

use crate::cidr::to_abi;
use crate::plain::Plain;
use crate::tables::{Tables, Trie, table};
use crate::vips::placed;
use crate::{BanEntry, GuardError, Lists, Settings, SettingsError, batch, filter};

const BPF_F_NO_PREALLOC: u32 = 1;

/// Rules that are written and not valid yet: a probe may ask for them, a packet does not meet them.
#[must_use = "rules become valid by a commit, and free their memory by a discard"]
pub struct Candidate {
    /// With what else will be valid.
    pub(crate) policy: Policy,
    /// The lists of IPv4 that will be valid, if others than now; those of IPv6 go with them.
    lists: Option<Trie<[u8; 4]>>,
}

impl Tables {
    /// Makes the settings valid in one step, untested: [`Guard::swap`](crate::Guard::swap) asks the program first.
    ///
    /// # Errors
    /// As for [`Self::prepare`].
    pub fn apply(&mut self, settings: &Settings) -> Result<(), GuardError> {
        let candidate = self.prepare(Some(settings), None)?;
        self.commit(candidate)
    }

    /// Makes the lists valid in one step, untested: [`Guard::swap`](crate::Guard::swap) asks the program first.
    ///
    /// # Errors
    /// As for [`Self::prepare`].
    pub fn replace_lists(&mut self, lists: &Lists) -> Result<(), GuardError> {
        let candidate = self.prepare(None, Some(lists))?;
        self.commit(candidate)
    }

    /// Writes settings, lists or both beside the valid ones; what is not given will be as it is. One candidate at a time.
    ///
    /// # Errors
    /// A setting is out of bounds, more networks than fit, or a table cannot be written. What is valid has not changed then.
    pub fn prepare(
        &mut self,
        settings: Option<&Settings>,
        lists: Option<&Lists>,
    ) -> Result<Candidate, GuardError> {
        if let Some((what, count)) = lists.and_then(Lists::overflow) {
            return Err(SettingsError::TooMany { what, count, max: maps::LISTS_ENTRIES }.into());
        }
        let current = self.policy()?;
        let mut policy = match settings {
            Some(settings) => self.settled(settings, current)?,
            None => current.unwrap_or_default(),
        };
        let tries = match lists {
            Some(lists) => {
                policy.lists_slot = (policy.lists_slot & 1) ^ 1;
                policy.lists_used = u32::from(!lists.v4.is_empty()) | u32::from(!lists.v6.is_empty()) << 1;
                Some(self.listed(lists, policy.lists_slot)?)
            }
            None => None,
        };
        let slot = (self.control()?.policy_slot & 1) ^ 1;
        self.policy.set(slot, Plain(policy), 0).map_err(table(maps::POLICY))?;
        Ok(Candidate { policy, lists: tries })
    }

    /// Makes what was prepared valid, by one write.
    ///
    /// # Errors
    /// A table cannot be written.
    pub fn commit(&mut self, candidate: Candidate) -> Result<(), GuardError> {
        let Candidate { mut policy, lists } = candidate;
        // Somebody may have banned a network meanwhile.
        policy.network_bans |= self.policy()?.map_or(0, |current| current.network_bans);
        self.write_policy(&policy)?;
        let Some(v4) = lists else { return Ok(()) };
        let after = policy.lists_slot & 1;
        // The kernel returns from this write when no program runs any more that has seen the policy before.
        self.lists_v4.set(after, &v4, 0).map_err(table(maps::LISTS_V4))?;
        self.empty_lists(after ^ 1)
    }

    /// Forgets what was prepared.
    ///
    /// # Errors
    /// A table cannot be written.
    pub fn discard(&mut self, candidate: Candidate) -> Result<(), GuardError> {
        let Candidate { policy, lists } = candidate;
        if lists.is_some() { self.empty_lists(policy.lists_slot & 1) } else { Ok(()) }
    }

    /// The policy of these settings, with their service addresses written where it looks for them.
    fn settled(&mut self, settings: &Settings, current: Option<Policy>) -> Result<Policy, GuardError> {
        let vips = settings.vips()?;
        let vips: Vec<_> = vips.iter().map(|(address, vip)| (to_abi(*address), *vip)).collect();
        let (salt, slots) = placed(&vips).ok_or(SettingsError::NoPlace(vips.len()))?;
        let seed = current.map_or_else(seed, |policy| policy.seed);
        let mut policy = settings.policy(seed, receiving_cpus())?;
        policy.vips_salt = salt;
        // Bans of an earlier version may be there already.
        policy.network_bans = u32::from(self.bans()?.iter().any(BanEntry::is_network));
        if let Some(current) = current {
            policy.vips_slot = (current.vips_slot & 1) ^ 1;
            policy.lists_used = current.lists_used;
            policy.lists_slot = current.lists_slot;
            policy.network_bans |= current.network_bans;
        }
        let keys: Vec<u32> = (policy.vips_slot * maps::VIPS_SLOTS as u32..).take(slots.len()).collect();
        let slots: Vec<_> = slots.into_iter().map(Plain).collect();
        written(&mut self.vips, &keys, &slots).map_err(table(maps::VIPS))?;
        Ok(policy)
    }

    /// Fills tries and their filter, and puts them where a policy with this slot looks for them; the trie of IPv4.
    fn listed(&mut self, lists: &Lists, slot: u32) -> Result<Trie<[u8; 4]>, GuardError> {
        // Both families at a time: what costs is the kernel's own work, one insertion after the other.
        let (v4, v6, words) = thread::scope(|scope| {
            let v4 = scope.spawn(|| filled(maps::LISTS_V4, &lists.v4));
            let v6 = filled(maps::LISTS_V6, &lists.v6);
            let words = filter::filter(lists);
            (v4.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), v6, words)
        });
        let (v4, v6) = (v4?, v6?);
        self.lists_v4.set(slot, &v4, 0).map_err(table(maps::LISTS_V4))?;
        self.lists_v6.set(slot, &v6, 0).map_err(table(maps::LISTS_V6))?;
        let keys: Vec<u32> = (slot * maps::FILTER_WORDS as u32..).take(words.len()).collect();
        written(&mut self.filter, &keys, &words).map_err(table(maps::FILTER))?;
        Ok(v4)
    }

    fn empty_lists(&mut self, slot: u32) -> Result<(), GuardError> {
        let (no_v4, no_v6) = (filled(maps::LISTS_V4, &[])?, filled(maps::LISTS_V6, &[])?);
        self.lists_v4.set(slot, &no_v4, 0).map_err(table(maps::LISTS_V4))?;
        self.lists_v6.set(slot, &no_v6, 0).map_err(table(maps::LISTS_V6))
    }
}

/// What a kernel says that knows no batches for a kind of map (ENOTSUPP, which has no name outside the kernel), or none at
/// all.
const NO_BATCHES: [i32; 3] = [524, libc::EINVAL, libc::EOPNOTSUPP];

fn filled<K: aya::Pod>(name: &'static str, entries: &[(u8, K, u32)]) -> Result<Trie<K>, GuardError> {
    let count = u32::try_from(entries.len().max(1)).unwrap_or(u32::MAX);
    let mut trie = Trie::create(count, BPF_F_NO_PREALLOC).map_err(table(name))?;
    let keys: Vec<_> =
        entries.iter().map(|(length, octets, _)| Key::new(u32::from(*length), *octets)).collect();
    let values: Vec<_> = entries.iter().map(|(_, _, bits)| *bits).collect();
    match batch::update(trie.map(), &keys, &values) {
        Ok(()) => Ok(trie),
        Err(error) if error.raw_os_error().is_some_and(|code| NO_BATCHES.contains(&code)) => {
            for (key, value) in keys.iter().zip(values) {
                trie.insert(key, value, 0).map_err(table(name))?;
            }
            Ok(trie)
        }
        Err(error) => Err(table(name)(MapError::IoError(error))),
    }
}

/// Writes entries of an array, at once where the kernel can.
fn written<V: aya::Pod>(array: &mut Array<MapData, V>, keys: &[u32], values: &[V]) -> Result<(), MapError> {
    match batch::update(array.map(), keys, values) {
        Err(error) if error.raw_os_error().is_some_and(|code| NO_BATCHES.contains(&code)) => {
            keys.iter().zip(values).try_for_each(|(key, value)| array.set(*key, *value, 0))
        }
        result => result.map_err(MapError::IoError),
    }
}

/// CPUs that may receive packets: all that are online.
fn receiving_cpus() -> u32 {
    aya::util::online_cpus().map_or(1, |cpus| u32::try_from(cpus.len()).unwrap_or(1)).max(1)
}

/// A seed that nobody outside can guess.
fn seed() -> [u64; 2] {
    use std::hash::{BuildHasher, RandomState};
    // The standard library keys its hash tables from the kernel's random numbers; its hash of nothing is as secret.
    [RandomState::new().hash_one(0u8), RandomState::new().hash_one(1u8)]
}
