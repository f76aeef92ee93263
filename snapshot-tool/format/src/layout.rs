//! Header and section table: the first page of a file, and what every other byte belongs to.

use crate::limits::SECTIONS_MAX;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// First bytes of every snapshot. The high bit, the CR LF and the missing NUL show what a text transfer would break.
pub const MAGIC: [u8; 8] = *b"\x89CAROM\r\n";

/// The version that this crate reads and writes. A change that an old reader must not ignore raises it.
pub const FORMAT_VERSION: u32 = 1;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 128;

/// Bytes of one entry of the section table.
pub const SECTION_ENTRY_BYTES: usize = 32;

/// Sections begin at multiples of this.
pub const SECTION_ALIGNMENT: u64 = 4096;

const _: () = assert!(HEADER_BYTES + SECTIONS_MAX * SECTION_ENTRY_BYTES <= SECTION_ALIGNMENT as usize);

/// Offsets of the header's fields.
mod field {
    pub(super) const MAGIC: usize = 0;
    pub(super) const FORMAT_VERSION: usize = 8;
    pub(super) const HEADER_BYTES: usize = 12;
    pub(super) const GENERATION: usize = 16;
    pub(super) const BUILT_AT_UNIX_S: usize = 24;
    pub(super) const FILE_BYTES: usize = 32;
    pub(super) const LINKS: usize = 40;
    pub(super) const DOMAINS: usize = 48;
    pub(super) const SECTIONS: usize = 52;
    pub(super) const HASH_SEED: usize = 56;
    pub(super) const CONTENT_CHECKSUM: usize = 64;
    pub(super) const CANARIES: usize = 72;
    pub(super) const RESERVED: usize = 76;
    pub(super) const HEADER_CHECKSUM: usize = 120;
    const _: () = assert!(HEADER_CHECKSUM + 8 == super::HEADER_BYTES);
    const _: () = assert!(RESERVED < HEADER_CHECKSUM);
}

/// Little-endian integer at `offset`; 0 beyond the end, so that reading is total.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    bytes.get(offset..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u16::from_le_bytes(*chunk))
}

/// Little-endian integer at `offset`; 0 beyond the end.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// Little-endian integer at `offset`; 0 beyond the end.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SectionKind {
    /// Table of domains, then their texts.
    Domains,
    /// Index from domain name to domain id.
    DomainIndex,
    /// Records of links, in the order in which they were added.
    Records,
    /// Index from key to record.
    LinkIndex,
    /// JSON for people: who built this, from what.
    Metadata,
}

impl SectionKind {
    /// Every kind that this version knows.
    pub const ALL: [Self; 5] =
        [Self::Domains, Self::DomainIndex, Self::Records, Self::LinkIndex, Self::Metadata];

    /// The number that stands for this kind.
    pub const fn number(self) -> u32 {
        match self {
            Self::Domains => 1,
            Self::DomainIndex => 2,
            Self::Records => 3,
            Self::LinkIndex => 4,
            Self::Metadata => 5,
        }
    }

    /// The kind that a number stands for, if this version knows it.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Domains),
            2 => Some(Self::DomainIndex),
            3 => Some(Self::Records),
            4 => Some(Self::LinkIndex),
            5 => Some(Self::Metadata),
            _ => None,
        }
    }

    /// Whether a reader must understand this kind to answer rightly.
    pub const fn required(self) -> bool {
        !matches!(self, Self::Metadata)
    }

    /// The word for reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Domains => "domains",
            Self::DomainIndex => "domain index",
            Self::Records => "records",
            Self::LinkIndex => "link index",
            Self::Metadata => "metadata",
        }
    }
}

/// The fixed part of the first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Monotonic per source of truth; a node never goes back to an older one by itself.
    pub generation: u64,
    /// How old the truth in this file is, in seconds since 1970.
    pub built_at_unix_s: u64,
    /// Length of the whole file.
    pub file_bytes: u64,
    /// Links that can be found, canaries apart: the file itself counts them in.
    pub links: u64,
    /// Domains, that of the canaries apart: the file itself counts it in.
    pub domains: u32,
    /// Canaries; they are the links of the last domain of the table. 0: the file has none, and no such domain.
    pub canaries: u32,
    /// Entries of the section table.
    pub sections: u32,
    /// Seed of every key hash in this file.
    pub hash_seed: u64,
    /// XXH3-64 over the checksums of the required sections in table order: equal when the content is equal.
    pub content_checksum: u64,
}

/// One entry of the section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// Number of the kind; see [`SectionKind`].
    pub kind: u32,
    /// A reader that does not know a required kind refuses the file.
    pub required: bool,
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// XXH3-64 of the section.
    pub checksum: u64,
}

impl Header {
    /// Entries of the domain table.
    pub const fn domains_in_table(&self) -> u32 {
        self.domains + (self.canaries > 0) as u32
    }

    /// Entries of the link index.
    pub const fn links_in_index(&self) -> u64 {
        self.links + self.canaries as u64
    }
}

impl Section {
    /// Where the section lies, if that is within a file of `file_bytes` and behind the first page.
    pub fn range(&self, file_bytes: u64) -> Option<Range<usize>> {
        let end = self.offset.checked_add(self.bytes)?;
        if self.offset < SECTION_ALIGNMENT
            || !self.offset.is_multiple_of(SECTION_ALIGNMENT)
            || end > file_bytes
        {
            return None;
        }
        Some(usize::try_from(self.offset).ok()?..usize::try_from(end).ok()?)
    }
}

/// Checksum of the content: the checksums of the required sections, in table order.
pub fn content_checksum(sections: &[Section]) -> u64 {
    let checksums: Vec<u8> = sections
        .iter()
        .filter(|section| section.required)
        .flat_map(|section| section.checksum.to_le_bytes())
        .collect();
    xxh3_64(&checksums)
}

/// Renders the first page: header, section table, zeros up to [`SECTION_ALIGNMENT`].
///
/// # Panics
/// With more than [`SECTIONS_MAX`] sections, which only a fault of the writer could bring about.
pub fn render_first_page(header: &Header, sections: &[Section]) -> Vec<u8> {
    assert!(sections.len() <= SECTIONS_MAX, "the writer makes at most {SECTIONS_MAX} sections");
    let mut page = vec![0_u8; SECTION_ALIGNMENT as usize];
    let mut put = |offset: usize, bytes: &[u8]| page[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(field::MAGIC, &MAGIC);
    put(field::FORMAT_VERSION, &FORMAT_VERSION.to_le_bytes());
    put(field::HEADER_BYTES, &(HEADER_BYTES as u32).to_le_bytes());
    put(field::GENERATION, &header.generation.to_le_bytes());
    put(field::BUILT_AT_UNIX_S, &header.built_at_unix_s.to_le_bytes());
    put(field::FILE_BYTES, &header.file_bytes.to_le_bytes());
    put(field::LINKS, &header.links_in_index().to_le_bytes());
    put(field::DOMAINS, &header.domains_in_table().to_le_bytes());
    put(field::SECTIONS, &(sections.len() as u32).to_le_bytes());
    put(field::CANARIES, &header.canaries.to_le_bytes());
    put(field::HASH_SEED, &header.hash_seed.to_le_bytes());
    put(field::CONTENT_CHECKSUM, &header.content_checksum.to_le_bytes());
    for (index, section) in sections.iter().enumerate() {
        let entry = HEADER_BYTES + index * SECTION_ENTRY_BYTES;
        put(entry, &section.kind.to_le_bytes());
        put(entry + 4, &u32::from(section.required).to_le_bytes());
        put(entry + 8, &section.offset.to_le_bytes());
        put(entry + 16, &section.bytes.to_le_bytes());
        put(entry + 24, &section.checksum.to_le_bytes());
    }
    let checksum = header_checksum(&page, sections.len());
    page[field::HEADER_CHECKSUM..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    page
}

/// Why a first page cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FirstPageError {
    /// Fewer bytes than a first page.
    #[error("the file has {0} bytes, too few for a snapshot: it is empty or was cut off")]
    TooShort(u64),
    /// Not our magic.
    #[error("the file is not a snapshot: its first bytes differ")]
    NotASnapshot,
    /// A format version that this reader does not know.
    #[error("the file has format version {0}; this program reads version {FORMAT_VERSION}")]
    FormatVersion(u32),
    /// The checksum over header and section table does not match.
    #[error("the header is damaged: its checksum does not match")]
    HeaderChecksum,
    /// A field holds what no writer writes.
    #[error("the header holds an impossible {0}")]
    Impossible(&'static str),
}

/// Reads header and section table from the start of a file.
///
/// # Errors
/// Says what is wrong; never panics, whatever the bytes are.
pub fn parse_first_page(bytes: &[u8]) -> Result<(Header, Vec<Section>), FirstPageError> {
    // Magic and version come first, so that an empty, foreign or newer file is named for what it is.
    let page = bytes.get(..SECTION_ALIGNMENT as usize).ok_or(FirstPageError::TooShort(bytes.len() as u64))?;
    if page[..8] != MAGIC {
        return Err(FirstPageError::NotASnapshot);
    }
    let version = u32_at(page, field::FORMAT_VERSION);
    if version != FORMAT_VERSION {
        return Err(FirstPageError::FormatVersion(version));
    }
    let section_count = u32_at(page, field::SECTIONS) as usize;
    if section_count > SECTIONS_MAX {
        return Err(FirstPageError::Impossible("number of sections"));
    }
    if header_checksum(page, section_count) != u64_at(page, field::HEADER_CHECKSUM) {
        return Err(FirstPageError::HeaderChecksum);
    }
    if u32_at(page, field::HEADER_BYTES) as usize != HEADER_BYTES {
        return Err(FirstPageError::Impossible("header length"));
    }
    let canaries = u32_at(page, field::CANARIES);
    let beside = |count: u64, apart: u64| {
        count.checked_sub(apart).ok_or(FirstPageError::Impossible("number of canaries"))
    };
    let header = Header {
        generation: u64_at(page, field::GENERATION),
        built_at_unix_s: u64_at(page, field::BUILT_AT_UNIX_S),
        file_bytes: u64_at(page, field::FILE_BYTES),
        links: beside(u64_at(page, field::LINKS), canaries.into())?,
        domains: beside(u32_at(page, field::DOMAINS).into(), u64::from(canaries > 0))? as u32,
        canaries,
        sections: section_count as u32,
        hash_seed: u64_at(page, field::HASH_SEED),
        content_checksum: u64_at(page, field::CONTENT_CHECKSUM),
    };
    let sections = (0..section_count)
        .map(|index| {
            let entry = HEADER_BYTES + index * SECTION_ENTRY_BYTES;
            Section {
                kind: u32_at(page, entry),
                required: u32_at(page, entry + 4) & 1 == 1,
                offset: u64_at(page, entry + 8),
                bytes: u64_at(page, entry + 16),
                checksum: u64_at(page, entry + 24),
            }
        })
        .collect();
    Ok((header, sections))
}

/// XXH3-64 over the header up to its checksum field, followed by the section table.
fn header_checksum(page: &[u8], section_count: usize) -> u64 {
    let table_end = HEADER_BYTES + section_count * SECTION_ENTRY_BYTES;
    let mut covered = page[..field::HEADER_CHECKSUM].to_vec();
    covered.extend_from_slice(&page[HEADER_BYTES..table_end]);
    xxh3_64(&covered)
}

/// Recomputes every checksum of a file whose first page can be made sense of: for tests and fuzzing, which must get
/// past checksums to the code behind them.
#[doc(hidden)]
pub fn repair_checksums(bytes: &mut [u8]) {
    if bytes.len() < SECTION_ALIGNMENT as usize {
        return;
    }
    let file_bytes = bytes.len() as u64;
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[field::FORMAT_VERSION..field::FORMAT_VERSION + 4].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[field::FILE_BYTES..field::FILE_BYTES + 8].copy_from_slice(&file_bytes.to_le_bytes());
    let section_count = (u32_at(bytes, field::SECTIONS) as usize).min(SECTIONS_MAX);
    let mut required_checksums = Vec::new();
    for index in 0..section_count {
        let entry = HEADER_BYTES + index * SECTION_ENTRY_BYTES;
        let (start, length) = (u64_at(bytes, entry + 8), u64_at(bytes, entry + 16));
        let end = start.saturating_add(length).min(file_bytes) as usize;
        let checksum = xxh3_64(bytes.get(start as usize..end).unwrap_or(&[]));
        bytes[entry + 24..entry + 32].copy_from_slice(&checksum.to_le_bytes());
        if u32_at(bytes, entry + 4) & 1 == 1 {
            required_checksums.extend_from_slice(&checksum.to_le_bytes());
        }
    }
    let content = xxh3_64(&required_checksums);
    bytes[field::CONTENT_CHECKSUM..field::CONTENT_CHECKSUM + 8].copy_from_slice(&content.to_le_bytes());
    let header = header_checksum(bytes, section_count);
    bytes[field::HEADER_CHECKSUM..HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (Header, Section) {
        let section = Section { kind: 3, required: true, offset: 4096, bytes: 64, checksum: 9 };
        let header = Header {
            generation: 1,
            built_at_unix_s: 2,
            file_bytes: 8192,
            links: 4,
            domains: 5,
            canaries: 0,
            sections: 1,
            hash_seed: 7,
            content_checksum: 8,
        };
        (header, section)
    }

    #[test]
    fn a_first_page_reads_back_as_it_was_rendered() {
        let (header, section) = example();
        let page = render_first_page(&header, &[section]);
        assert_eq!(parse_first_page(&page), Ok((header, vec![section])));
        assert_eq!(section.range(8192), Some(4096..4160));
        assert_eq!(section.range(4159), None);
    }

    #[test]
    fn every_flipped_bit_of_header_and_table_is_noticed() {
        let (header, section) = example();
        let page = render_first_page(&header, &[section]);
        for bit in 0..(HEADER_BYTES + SECTION_ENTRY_BYTES) * 8 {
            let mut damaged = page.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(parse_first_page(&damaged).is_err(), "bit {bit}");
        }
    }
}
