//! Another index over the same records: open addressing with 16-byte slots, the whole hash and the position.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use snapshot_format::hash::key_hash;
use snapshot_format::layout::SectionKind;
use snapshot_format::record::{self, RECORD_ALIGNMENT};
use snapshot_format::{Mapping, Snapshot};

use super::Table;
use crate::bench::links::TemporaryFile;

pub(super) const NAME: &str = "16-byte slots, mapped";

const SLOT_BYTES: usize = 16;

/// Mapped from a file like the snapshot itself, so that both have the same pages.
pub(super) struct OpenAddressing<'s> {
    records: &'s [u8],
    slots: Mapping,
    slot_count: u64,
    seed: u64,
}

impl<'s> OpenAddressing<'s> {
    /// Fills 72 % of the slots, which was the best load of several.
    pub(super) fn build(snapshot: &'s Snapshot, directory: &Path) -> Result<Self> {
        let section =
            snapshot.sections().iter().find(|section| section.kind == SectionKind::Records.number());
        let range = section.and_then(|section| section.range(snapshot.bytes_len()));
        let records = &snapshot.backing().as_ref()[range.context("the snapshot lacks its records")?];
        let seed = snapshot.header().hash_seed;
        let slot_count = snapshot.links() * 100 / 72 + 1;
        let mut slots = vec![[0_u8; SLOT_BYTES]; slot_count as usize];
        let mut offset = 0;
        while offset + RECORD_ALIGNMENT <= records.len() {
            if records[offset..offset + RECORD_ALIGNMENT] == [0; RECORD_ALIGNMENT] {
                offset += RECORD_ALIGNMENT;
                continue;
            }
            let decoded = record::decode(&records[offset..]).context("a record cannot be read")?;
            let hash = key_hash(seed, decoded.link.domain, decoded.link.code);
            let mut slot = home(hash, slot_count);
            while slots[slot] != [0; SLOT_BYTES] {
                slot = (slot + 1) % slots.len();
            }
            // Position 0 is a record too: one is added, so that an empty slot is all zeros.
            slots[slot][..8].copy_from_slice(&hash.to_le_bytes());
            slots[slot][8..].copy_from_slice(&(offset as u64 + 1).to_le_bytes());
            offset = (offset + decoded.bytes).next_multiple_of(RECORD_ALIGNMENT);
        }
        let file = TemporaryFile::new(directory.join("lookup.slots"));
        // In one piece, which lies in huge pages like the snapshot.
        fs::write(&file.0, slots.as_flattened()).context("cannot write the slots")?;
        drop(slots);
        let slots = Mapping::new(&File::open(&file.0)?)?;
        slots.populate()?;
        Ok(Self { records, slots, slot_count, seed })
    }
}

impl Table for OpenAddressing<'_> {
    #[inline]
    fn find(&self, code: &[u8]) -> Option<&[u8]> {
        let hash = key_hash(self.seed, 0, code);
        let (slots, _) = self.slots.as_ref().as_chunks::<SLOT_BYTES>();
        let mut place = home(hash, self.slot_count);
        loop {
            let slot = slots.get(place)?;
            let (found, position) = slot.split_at(8);
            let position = u64::from_le_bytes(position.try_into().ok()?);
            if position == 0 {
                return None;
            }
            if found == hash.to_le_bytes() {
                let record = self.records.get(position as usize - 1..)?;
                if record::has_key(record, 0, code) {
                    return record::decode(record).map(|decoded| decoded.link.destination);
                }
            }
            place = if place + 1 == slots.len() { 0 } else { place + 1 };
        }
    }
}

fn home(hash: u64, slots: u64) -> usize {
    ((u128::from(hash) * u128::from(slots)) >> 64) as usize
}
