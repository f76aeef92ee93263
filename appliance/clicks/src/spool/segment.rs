//! The bytes of a segment: a header that names node and run, then blocks of compressed records with two checksums each.
//!
//! The header of a block has its own checksum, so that a damaged payload costs one block and its records are still counted;
//! sequence numbers have no gaps within a run, so that blocks whose headers are damaged are counted as well.

use std::io;

use xxhash_rust::xxh3::xxh3_64;

use crate::limits::{BLOCK_BYTES_MAX, BLOCK_COMPRESSED_BYTES_MAX, BLOCK_RECORDS_MAX, NODE_BYTES_MAX};

/// Version of the format.
pub const VERSION: u32 = 1;
/// The first bytes of a segment.
const MAGIC: &[u8; 8] = b"CAROMCLK";
/// The first bytes of a block.
pub(super) const BLOCK_MAGIC: &[u8; 4] = b"CBLK";
/// Bytes of a segment's header before the node's name.
const HEADER_FIXED_BYTES: usize = 8 + 4 + 8 + 8 + 8 + 2;
/// The longest header of a segment.
pub const HEADER_BYTES_MAX: usize = HEADER_FIXED_BYTES + NODE_BYTES_MAX + 8;
/// Bytes of a block's header.
pub const BLOCK_HEADER_BYTES: usize = 72;
/// What zstd calls its fastest regular level.
const LEVEL: i32 = 1;

/// Who wrote a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The start of the node that wrote it; differs between two starts.
    pub run: u64,
    /// Its number; the next segment has the next one.
    pub number: u64,
    /// When it was begun, by the node's clock.
    pub created_unix_ms: u64,
    /// The node's name.
    pub node: String,
}

impl Header {
    /// The header as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let Self { run, number, created_unix_ms, node } = self;
        let node = &node.as_bytes()[..node.len().min(NODE_BYTES_MAX)];
        let mut bytes = Vec::with_capacity(HEADER_BYTES_MAX);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        for value in [run, number, created_unix_ms] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(&(node.len() as u16).to_le_bytes());
        bytes.extend_from_slice(node);
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `bytes`, and says how long it is; `None` if there is none.
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let fixed = bytes.first_chunk::<HEADER_FIXED_BYTES>()?;
        if &fixed[..8] != MAGIC || u32_at(fixed, 8) != VERSION {
            return None;
        }
        let node_bytes = usize::from(u16::from_le_bytes([fixed[36], fixed[37]]));
        let end = HEADER_FIXED_BYTES + node_bytes;
        let checksum = bytes.get(end..end + 8)?;
        if xxh3_64(&bytes[..end]).to_le_bytes() != *checksum {
            return None;
        }
        let node = String::from_utf8_lossy(&bytes[HEADER_FIXED_BYTES..end]).into_owned();
        let header = Self {
            run: u64_at(fixed, 12),
            number: u64_at(fixed, 20),
            created_unix_ms: u64_at(fixed, 28),
            node,
        };
        Some((header, end + 8))
    }
}

/// What a block's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Bytes of the compressed records behind the header.
    pub compressed_bytes: u32,
    /// Bytes of the records.
    pub bytes: u32,
    /// How many records.
    pub records: u32,
    /// Sequence number of the first one within the run; counts from 0.
    pub first_sequence: u64,
    /// For how many clicks they stand: the sum of their sample rates.
    pub clicks: u64,
    /// Time of the earliest record.
    pub unix_ms_min: u64,
    /// Time of the latest record.
    pub unix_ms_max: u64,
    /// XXH3 of the compressed records.
    pub payload_checksum: u64,
}

impl BlockHeader {
    fn encode(&self) -> [u8; BLOCK_HEADER_BYTES] {
        let Self {
            compressed_bytes,
            bytes,
            records,
            first_sequence,
            clicks,
            unix_ms_min,
            unix_ms_max,
            payload_checksum,
        } = *self;
        let mut header = [0; BLOCK_HEADER_BYTES];
        header[..4].copy_from_slice(BLOCK_MAGIC);
        for (place, value) in [compressed_bytes, bytes, records].into_iter().enumerate() {
            header[4 + 4 * place..][..4].copy_from_slice(&value.to_le_bytes());
        }
        let wide = [first_sequence, clicks, unix_ms_min, unix_ms_max, payload_checksum];
        for (place, value) in wide.into_iter().enumerate() {
            header[16 + 8 * place..][..8].copy_from_slice(&value.to_le_bytes());
        }
        let checksum = xxh3_64(&header[..64]);
        header[64..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// Reads a header; `None` if these bytes are none, or damaged.
    pub fn decode(header: &[u8]) -> Option<Self> {
        let header = header.first_chunk::<BLOCK_HEADER_BYTES>()?;
        if &header[..4] != BLOCK_MAGIC || xxh3_64(&header[..64]) != u64_at(header, 64) {
            return None;
        }
        let read = Self {
            compressed_bytes: u32_at(header, 4),
            bytes: u32_at(header, 8),
            records: u32_at(header, 12),
            first_sequence: u64_at(header, 16),
            clicks: u64_at(header, 24),
            unix_ms_min: u64_at(header, 32),
            unix_ms_max: u64_at(header, 40),
            payload_checksum: u64_at(header, 48),
        };
        let bounded = read.compressed_bytes as usize <= BLOCK_COMPRESSED_BYTES_MAX
            && read.bytes as usize <= BLOCK_BYTES_MAX
            && read.records as usize <= BLOCK_RECORDS_MAX;
        bounded.then_some(read)
    }

    /// Bytes of the whole block.
    pub const fn total_bytes(&self) -> u64 {
        BLOCK_HEADER_BYTES as u64 + self.compressed_bytes as u64
    }

    /// The records behind the header; `None` if they are damaged.
    pub fn open(&self, payload: &[u8]) -> Option<Vec<u8>> {
        if payload.len() != self.compressed_bytes as usize || xxh3_64(payload) != self.payload_checksum {
            return None;
        }
        let records = zstd::bulk::decompress(payload, self.bytes as usize).ok()?;
        (records.len() == self.bytes as usize).then_some(records)
    }
}

/// Records that wait to become a block.
pub struct BlockBuilder {
    compressor: zstd::bulk::Compressor<'static>,
    records: Vec<u8>,
    count: u32,
    clicks: u64,
    unix_ms_min: u64,
    unix_ms_max: u64,
}

impl BlockBuilder {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// zstd cannot get its memory.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            compressor: zstd::bulk::Compressor::new(LEVEL)?,
            records: Vec::with_capacity(BLOCK_BYTES_MAX),
            count: 0,
            clicks: 0,
            unix_ms_min: u64::MAX,
            unix_ms_max: 0,
        })
    }

    /// Adds a record if it fits; `false`: the block is to be finished first.
    pub fn push(&mut self, record: &[u8], unix_ms: u64, sample_rate: u32) -> bool {
        if self.records.len() + record.len() > BLOCK_BYTES_MAX || self.count as usize >= BLOCK_RECORDS_MAX {
            return false;
        }
        self.records.extend_from_slice(record);
        self.count += 1;
        self.clicks += u64::from(sample_rate);
        self.unix_ms_min = self.unix_ms_min.min(unix_ms);
        self.unix_ms_max = self.unix_ms_max.max(unix_ms);
        true
    }

    /// How many records wait.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Makes the block, whose first record gets this sequence number, and begins anew. Returns its header and all its bytes.
    ///
    /// # Errors
    ///
    /// zstd fails, which it does for want of memory only; the records are gone then.
    pub fn finish(&mut self, first_sequence: u64) -> io::Result<(BlockHeader, Vec<u8>)> {
        let compressed = self.compressor.compress(&self.records);
        let (bytes, records) = (self.records.len() as u32, self.count);
        let (clicks, unix_ms_min, unix_ms_max) = (self.clicks, self.unix_ms_min, self.unix_ms_max);
        self.records.clear();
        (self.count, self.clicks, self.unix_ms_min, self.unix_ms_max) = (0, 0, u64::MAX, 0);
        let compressed = compressed?;
        let header = BlockHeader {
            compressed_bytes: compressed.len() as u32,
            bytes,
            records,
            first_sequence,
            clicks,
            unix_ms_min,
            unix_ms_max,
            payload_checksum: xxh3_64(&compressed),
        };
        let mut block = Vec::with_capacity(BLOCK_HEADER_BYTES + compressed.len());
        block.extend_from_slice(&header.encode());
        block.extend_from_slice(&compressed);
        Ok((header, block))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("within the fixed bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("within the fixed bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_node_and_run_and_notices_a_flipped_bit() {
        let header = Header { run: 7, number: 3, created_unix_ms: 1_700_000_000_000, node: "node-a".into() };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Some((header, bytes.len())));
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert_eq!(Header::decode(&damaged), None, "byte {place}");
        }
    }

    #[test]
    fn a_block_gives_its_records_back_and_notices_a_flipped_bit() {
        let mut builder = BlockBuilder::new().unwrap();
        for number in 0..100_u64 {
            assert!(builder.push(b"a record like any other", number, 2));
        }
        let (header, bytes) = builder.finish(1_000).unwrap();
        assert_eq!((header.records, header.clicks, header.first_sequence), (100, 200, 1_000));
        assert_eq!((header.unix_ms_min, header.unix_ms_max), (0, 99));
        assert_eq!(BlockHeader::decode(&bytes), Some(header));
        let records = header.open(&bytes[BLOCK_HEADER_BYTES..]).unwrap();
        assert_eq!(records, b"a record like any other".repeat(100));
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            let read = BlockHeader::decode(&damaged);
            let opened = read.and_then(|header| header.open(&damaged[BLOCK_HEADER_BYTES..]));
            assert_eq!((opened, read.is_some()), (None, place >= BLOCK_HEADER_BYTES), "byte {place}");
        }
        assert_eq!(builder.count(), 0);
    }

    #[test]
    fn a_full_block_takes_no_more() {
        let mut builder = BlockBuilder::new().unwrap();
        let record = [7; 1_000];
        let taken = (0..1_000).take_while(|_| builder.push(&record, 1, 1)).count();
        assert_eq!(taken, BLOCK_BYTES_MAX / 1_000);
    }
}
