//! Indexes written from front to back: entries come sorted by hash, so buckets are filled in order.

use crate::index::{Bucket, INDEX_HEADER_BYTES, IndexShape};
use crate::limits::PROBE_BUCKETS_MAX;
use crate::spill::Entry;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use xxhash_rust::xxh3::Xxh3Default;

/// Bytes that are collected before they are written.
const CHUNK_BYTES: usize = 1 << 20;

/// Buckets in the order of the section, made from entries in the order of hashes.
#[derive(Debug)]
struct BucketFiller {
    shape: IndexShape,
    current: Bucket,
    number: u64,
    probe_buckets: u32,
    too_crowded: bool,
}

impl BucketFiller {
    fn new(shape: IndexShape) -> Self {
        Self { shape, current: Bucket::EMPTY, number: 0, probe_buckets: 1, too_crowded: false }
    }

    /// Places an entry; buckets that are complete are appended to `output`.
    fn push(&mut self, entry: &Entry, output: &mut Vec<u8>) {
        let home = self.shape.home(entry.hash);
        while !self.too_crowded && (self.number < home || self.current.is_full()) {
            self.advance(output);
        }
        let distance = self.number - home.min(self.number);
        if distance >= u64::from(PROBE_BUCKETS_MAX) {
            self.too_crowded = true;
        }
        if self.too_crowded {
            return;
        }
        self.probe_buckets = self.probe_buckets.max(distance as u32 + 1);
        self.current.push(entry.hash, entry.position);
    }

    fn advance(&mut self, output: &mut Vec<u8>) {
        if self.number + 1 == self.shape.buckets() {
            self.too_crowded = true;
            return;
        }
        output.extend_from_slice(self.current.bytes());
        self.current = Bucket::EMPTY;
        self.number += 1;
    }

    /// Appends the last buckets; `None` if some key would have lain too far from home.
    fn finish(mut self, output: &mut Vec<u8>) -> Option<u32> {
        while !self.too_crowded && self.number + 1 < self.shape.buckets() {
            self.advance(output);
        }
        output.extend_from_slice(self.current.bytes());
        (!self.too_crowded).then_some(self.probe_buckets)
    }
}

/// A whole index in memory, for the few entries of domains; `None` if it would be too crowded.
pub(crate) fn render_index(mut entries: Vec<Entry>) -> Option<Vec<u8>> {
    entries.sort_unstable();
    let mut shape = IndexShape::for_entries(entries.len() as u64);
    let mut filler = BucketFiller::new(shape);
    let mut buckets = Vec::new();
    for entry in &entries {
        filler.push(entry, &mut buckets);
    }
    shape.probe_buckets = filler.finish(&mut buckets)?;
    let mut section = shape.render().to_vec();
    section.append(&mut buckets);
    Some(section)
}

/// An index that goes to its place in a file while it is made.
#[derive(Debug)]
pub(crate) struct BucketStream<'f> {
    file: &'f File,
    start: u64,
    offset: u64,
    filler: BucketFiller,
    chunk: Vec<u8>,
}

impl<'f> BucketStream<'f> {
    pub(crate) fn new(file: &'f File, start: u64, shape: IndexShape) -> Self {
        let offset = start + INDEX_HEADER_BYTES as u64;
        Self { file, start, offset, filler: BucketFiller::new(shape), chunk: Vec::with_capacity(CHUNK_BYTES) }
    }

    pub(crate) fn push(&mut self, entry: &Entry) -> io::Result<()> {
        self.filler.push(entry, &mut self.chunk);
        if self.chunk.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what is left and the header, completes `shape`, and returns the checksum of the section.
    pub(crate) fn finish(mut self, shape: &mut IndexShape) -> io::Result<Option<u64>> {
        let filler = std::mem::replace(&mut self.filler, BucketFiller::new(*shape));
        let Some(probe_buckets) = filler.finish(&mut self.chunk) else { return Ok(None) };
        shape.probe_buckets = probe_buckets;
        self.flush()?;
        self.file.write_all_at(&shape.render(), self.start)?;
        // The header, which counts entries, comes first but is known last: the section is summed up from the file.
        checksum_of_file(self.file, self.start, shape.section_bytes()).map(Some)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.chunk, self.offset)?;
        self.offset += self.chunk.len() as u64;
        self.chunk.clear();
        Ok(())
    }
}

/// XXH3-64 of a range of a file.
pub(crate) fn checksum_of_file(file: &File, start: u64, bytes: u64) -> io::Result<u64> {
    let mut checksum = Xxh3Default::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    while offset < bytes {
        let chunk = (buffer.len() as u64).min(bytes - offset) as usize;
        file.read_exact_at(&mut buffer[..chunk], start + offset)?;
        checksum.update(&buffer[..chunk]);
        offset += chunk as u64;
    }
    Ok(checksum.digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: u64) -> Vec<Entry> {
        let hash = |n: u64| crate::hash::xxh64(5, &n.to_le_bytes());
        (0..count).map(|n| Entry { hash: hash(n), position: n, place: 0 }).collect()
    }

    #[test]
    fn every_key_is_found_in_an_index_of_any_size() {
        for count in [0, 1, 2, 6, 7, 8, 9, 100, 5_000] {
            let section = render_index(entries(count)).unwrap();
            let shape = IndexShape::parse(&section).unwrap();
            for entry in entries(count) {
                assert!(shape.candidates(&section, entry.hash).any(|position| position == entry.position));
            }
        }
    }

    #[test]
    fn keys_made_against_the_hash_are_too_crowded_rather_than_lost() {
        let same_home = |n: u64| Entry { hash: n, position: n, place: 0 };
        assert!(render_index((0..64).map(same_home).collect()).is_some());
        assert!(render_index((0..65).map(same_home).collect()).is_none());
    }

    #[test]
    fn keys_whose_home_is_the_last_bucket_run_into_the_spare_ones() {
        let last_home = |n: u64| Entry { hash: u64::MAX - n, position: n, place: 0 };
        let section = render_index((0..64).map(last_home).collect()).unwrap();
        let shape = IndexShape::parse(&section).unwrap();
        for n in 0..64 {
            assert!(shape.candidates(&section, u64::MAX - n).any(|position| position == n));
        }
    }
}
