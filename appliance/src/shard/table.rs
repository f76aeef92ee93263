//! HOT: the connections of a shard by number; numbers are used again, and a stale one is recognised.

/// Names one value of a table, also after the value is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Place in the table.
    pub(super) slot: u32,
    /// How often the place was used before.
    pub(super) generation: u32,
}

impl Key {
    /// The key as the number that comes back with an event.
    pub(super) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// The key of such a number.
    pub(super) fn from_bits(bits: u64) -> Self {
        Self { slot: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// Values in slots. It never shrinks: its size is that of the busiest moment.
pub(super) struct Table<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Table<T> {
    /// An empty table that takes `capacity` values without moving any of them. Memory is used as slots are.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { slots: Vec::with_capacity(capacity), free: Vec::with_capacity(capacity) }
    }

    /// How many values there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many slots were ever in use at once.
    pub(super) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Puts `value` into a free slot.
    pub(super) fn insert(&mut self, value: T) -> Key {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, value: None });
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        debug_assert!(place.value.is_none(), "a free slot is empty");
        place.value = Some(value);
        Key { slot, generation: place.generation }
    }

    /// The value that `key` names, if it is still there.
    #[inline]
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.slots.get_mut(key.slot as usize)?;
        place.value.as_mut().filter(|_| place.generation == key.generation)
    }

    /// The key of the value in `slot`, if there is one.
    pub(super) fn key_at(&self, slot: u32) -> Option<Key> {
        let place = self.slots.get(slot as usize)?;
        place.value.is_some().then_some(Key { slot, generation: place.generation })
    }

    /// Takes the value out that `key` names.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.slots.get_mut(key.slot as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let value = place.value.take()?;
        // The last generation is left out: numbers that begin with it name listeners.
        place.generation = (place.generation + 1) % u32::MAX;
        self.free.push(key.slot);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_finds_its_value_until_it_is_removed() {
        let mut table = Table::with_capacity(4);
        let (first, second) = (table.insert("first"), table.insert("second"));
        assert_eq!(table.get_mut(second), Some(&mut "second"));
        assert_eq!(table.remove(first), Some("first"));
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_stale_key_does_not_find_the_next_value_of_its_slot() {
        let mut table = Table::with_capacity(4);
        let stale = table.insert("before");
        table.remove(stale);
        let fresh = table.insert("after");
        assert_eq!(fresh.slot, stale.slot);
        assert_eq!(table.get_mut(stale), None);
        assert_eq!(table.get_mut(fresh), Some(&mut "after"));
        assert_eq!(table.key_at(stale.slot), Some(fresh));
    }

    #[test]
    fn a_key_survives_the_way_through_the_kernel() {
        for key in [Key { slot: 0, generation: 0 }, Key { slot: u32::MAX, generation: 7 }] {
            assert_eq!(Key::from_bits(key.to_bits()), key);
        }
    }

    #[test]
    fn generations_wrap_below_those_of_listeners() {
        let mut table = Table::with_capacity(1);
        let key = table.insert(());
        table.slots[0].generation = u32::MAX - 1;
        let last = Key { generation: u32::MAX - 1, ..key };
        table.remove(last);
        assert_eq!(table.insert(()).generation, 0);
    }
}
