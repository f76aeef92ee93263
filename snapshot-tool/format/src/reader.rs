//! HOT: the production reader: everything is checked once at opening, and after that every call is total.

use crate::canary::CANARY_HOST;
use crate::domain::{self, Domain};
use crate::hash::{SPACE_EXACT_DOMAIN, SPACE_WILDCARD_DOMAIN, key_hash};
use crate::index::IndexShape;
use crate::layout::{self, FirstPageError, Header, Section, SectionKind};
use crate::limits::{DOMAINS_MAX, METADATA_BYTES_MAX};
use crate::mapping::Mapping;
use crate::record::{self, Decoded, Link, RECORD_ALIGNMENT};
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// Why bytes are no good snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Header or section table are no good.
    #[error(transparent)]
    FirstPage(#[from] FirstPageError),
    /// The file has another length than its header says.
    #[error("the file has {found} bytes and its header says {expected}: it was cut off or written to")]
    FileBytes {
        /// As the header says.
        expected: u64,
        /// As it is.
        found: u64,
    },
    /// A section that must be understood is unknown.
    #[error("the file needs section kind {0}, which this program does not know: use a newer program")]
    UnknownRequiredSection(u32),
    /// A section is missing.
    #[error("the section of {0} is missing")]
    MissingSection(&'static str),
    /// A kind occurs twice.
    #[error("the section of {0} occurs twice")]
    RepeatedSection(&'static str),
    /// A section lies outside the file.
    #[error("section kind {0} lies outside the file")]
    SectionRange(u32),
    /// Two sections overlap.
    #[error("section kinds {0} and {1} overlap")]
    SectionOverlap(u32, u32),
    /// The bytes of a section are not those that were written.
    #[error("section kind {0} is damaged: its checksum does not match")]
    SectionChecksum(u32),
    /// The checksum over the section checksums does not match.
    #[error("the content checksum does not match the sections")]
    ContentChecksum,
    /// The head of an index does not fit its section.
    #[error("the {0} has an impossible shape")]
    IndexShape(&'static str),
    /// The last domain is not that of the canaries, although the header counts some.
    #[error("the canaries that the header counts are not where they belong")]
    Canaries,
    /// A domain cannot be read, or cannot be found by its name.
    #[error("domain {0} of the table is damaged or cannot be found by its name")]
    Domain(u32),
}

/// An open snapshot over mapped or owned bytes.
#[derive(Debug)]
pub struct Snapshot<B = Mapping> {
    bytes: B,
    header: Header,
    sections: Vec<Section>,
    domains: Range<usize>,
    domain_index: Range<usize>,
    domain_shape: IndexShape,
    records: Range<usize>,
    link_index: Range<usize>,
    link_shape: IndexShape,
    metadata: Option<Range<usize>>,
    has_wildcards: bool,
}

impl<B: AsRef<[u8]>> Snapshot<B> {
    /// Opens a snapshot and checks it: header, section table, every checksum, index shapes, every domain.
    ///
    /// Every byte of the file is read, so on a mapping this also brings it into memory.
    ///
    /// # Errors
    /// Says what is wrong; never panics, whatever the bytes are.
    pub fn open(bytes: B) -> Result<Self, OpenError> {
        let file = bytes.as_ref();
        let (header, sections) = layout::parse_first_page(file)?;
        if header.file_bytes != file.len() as u64 {
            return Err(OpenError::FileBytes { expected: header.file_bytes, found: file.len() as u64 });
        }
        let ranges = section_ranges(&sections, header.file_bytes)?;
        for (section, range) in sections.iter().zip(&ranges) {
            if xxh3_64(&file[range.clone()]) != section.checksum {
                return Err(OpenError::SectionChecksum(section.kind));
            }
        }
        if layout::content_checksum(&sections) != header.content_checksum {
            return Err(OpenError::ContentChecksum);
        }
        let find = |kind: SectionKind| {
            let place = sections.iter().position(|section| section.kind == kind.number());
            place.map(|place| ranges[place].clone())
        };
        let need = |kind: SectionKind| find(kind).ok_or(OpenError::MissingSection(kind.name()));
        let (domain_index, link_index) = (need(SectionKind::DomainIndex)?, need(SectionKind::LinkIndex)?);
        let shape = |range: &Range<usize>, kind: SectionKind| {
            IndexShape::parse(&file[range.clone()]).ok_or(OpenError::IndexShape(kind.name()))
        };
        let snapshot = Self {
            header,
            domains: need(SectionKind::Domains)?,
            domain_shape: shape(&domain_index, SectionKind::DomainIndex)?,
            domain_index,
            records: need(SectionKind::Records)?,
            link_shape: shape(&link_index, SectionKind::LinkIndex)?,
            link_index,
            metadata: find(SectionKind::Metadata),
            has_wildcards: true,
            sections,
            bytes,
        };
        snapshot.checked()
    }

    /// Checks what needs lookups: counts, and that every domain is found by its name.
    fn checked(mut self) -> Result<Self, OpenError> {
        let domains = self.header.domains_in_table();
        let table_bytes = u64::from(domains) * domain::ENTRY_BYTES as u64;
        if domains > DOMAINS_MAX || table_bytes > self.domains.len() as u64 {
            return Err(FirstPageError::Impossible("number of domains").into());
        }
        if self.link_shape.entries != self.header.links_in_index()
            || self.domain_shape.entries != u64::from(domains)
        {
            return Err(FirstPageError::Impossible("number of links or domains").into());
        }
        if self.metadata.as_ref().is_some_and(|range| range.len() as u64 > METADATA_BYTES_MAX) {
            return Err(OpenError::SectionRange(SectionKind::Metadata.number()));
        }
        let mut has_wildcards = false;
        for id in 0..domains {
            let domain = domain::decode(self.slice(&self.domains), id).ok_or(OpenError::Domain(id))?;
            has_wildcards |= domain.wildcard;
            let space = if domain.wildcard { SPACE_WILDCARD_DOMAIN } else { SPACE_EXACT_DOMAIN };
            let is_found = self.domain_in(space, domain.name).map(|found| found.id) == Some(id);
            if !is_found || !domain.site.documents.are_sound() {
                return Err(OpenError::Domain(id));
            }
        }
        self.has_wildcards = has_wildcards;
        if self.header.canaries > 0 {
            let last = self.domain_by_id(self.header.domains).ok_or(OpenError::Canaries)?;
            if last.name != CANARY_HOST.as_bytes() || last.links != u64::from(self.header.canaries) {
                return Err(OpenError::Canaries);
            }
        }
        Ok(self)
    }

    /// Generation number: monotonic per source of truth.
    pub const fn generation(&self) -> u64 {
        self.header.generation
    }

    /// How old the truth in this file is, in seconds since 1970.
    pub const fn built_at_unix_s(&self) -> u64 {
        self.header.built_at_unix_s
    }

    /// Links that can be found, canaries apart.
    pub const fn links(&self) -> u64 {
        self.header.links
    }

    /// Domains, that of the canaries apart; their ids are the numbers below this.
    pub const fn domains(&self) -> u32 {
        self.header.domains
    }

    /// Canaries: known links that no row asked for; 0 in files of builders that did not know them.
    pub const fn canaries(&self) -> u32 {
        self.header.canaries
    }

    /// Whether a domain of this snapshot is the one that holds the canaries.
    #[inline]
    pub const fn holds_canaries(&self, domain: &Domain<'_>) -> bool {
        self.header.canaries > 0 && domain.id == self.header.domains
    }

    /// Length of the file.
    pub const fn bytes_len(&self) -> u64 {
        self.header.file_bytes
    }

    /// Checksum of the content: equal for equal content, whatever generation and build time are.
    pub const fn content_checksum(&self) -> u64 {
        self.header.content_checksum
    }

    /// The header as it stands in the file.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The section table.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Shape of the index of links.
    pub const fn link_shape(&self) -> &IndexShape {
        &self.link_shape
    }

    /// The bytes below the snapshot, to populate or lock a mapping.
    pub const fn backing(&self) -> &B {
        &self.bytes
    }

    /// The domain that answers for `host` (canonical): the exact name, else the longest wildcard above it.
    ///
    /// At most 127 wildcard look-ups, one per label; none in a snapshot without wildcards.
    #[inline]
    pub fn domain(&self, host: &[u8]) -> Option<Domain<'_>> {
        if let Some(domain) = self.domain_in(SPACE_EXACT_DOMAIN, host) {
            return Some(domain);
        }
        if !self.has_wildcards {
            return None;
        }
        let mut rest = host;
        while let Some(dot) = rest.iter().position(|&byte| byte == b'.') {
            rest = &rest[dot + 1..];
            if let Some(domain) = self.domain_in(SPACE_WILDCARD_DOMAIN, rest) {
                return Some(domain);
            }
        }
        None
    }

    /// The link with exactly this key. `code` is canonical for the domain.
    #[inline]
    pub fn link(&self, domain: &Domain<'_>, code: &[u8]) -> Option<Link<'_>> {
        let records = self.slice(&self.records);
        let hash = key_hash(self.header.hash_seed, domain.id, code);
        for position in self.link_shape.candidates(self.slice(&self.link_index), hash) {
            let Some(record) = records.get(position as usize * RECORD_ALIGNMENT..) else { continue };
            if record::has_key(record, domain.id, code)
                && let Some(decoded) = record::decode(record)
            {
                return Some(decoded.link);
            }
        }
        None
    }

    /// Domain `id` of the table; that of the canaries has the first id after those of all others.
    pub fn domain_by_id(&self, id: u32) -> Option<Domain<'_>> {
        if id >= self.header.domains_in_table() {
            return None;
        }
        domain::decode(self.slice(&self.domains), id)
    }

    /// Every domain but that of the canaries, in the order of ids.
    pub fn iter_domains(&self) -> impl Iterator<Item = Domain<'_>> {
        (0..self.header.domains).filter_map(|id| self.domain_by_id(id))
    }

    /// Every link that can be found but the canaries, in the order in which they were added.
    pub fn iter_links(&self) -> impl Iterator<Item = Link<'_>> {
        let listed = |decoded: &Decoded<'_>| !decoded.superseded && !self.is_canary(&decoded.link);
        self.iter_records().filter(listed).map(|decoded| decoded.link)
    }

    /// Every record, superseded ones too; ends early at bytes that are none.
    pub(crate) fn iter_records(&self) -> Records<'_> {
        Records { rest: self.slice(&self.records) }
    }

    pub(crate) const fn is_canary(&self, link: &Link<'_>) -> bool {
        self.header.canaries > 0 && link.domain == self.header.domains
    }

    /// What the builder wrote for people, as JSON.
    pub fn metadata(&self) -> Option<&[u8]> {
        self.metadata.as_ref().map(|range| self.slice(range))
    }

    #[inline]
    fn domain_in(&self, space: u32, name: &[u8]) -> Option<Domain<'_>> {
        let hash = key_hash(self.header.hash_seed, space, name);
        let table = self.slice(&self.domains);
        self.domain_shape.candidates(self.slice(&self.domain_index), hash).find_map(|position| {
            let domain = domain::decode(table, u32::try_from(position).ok()?)?;
            let matches = domain.id < self.header.domains_in_table()
                && domain.name == name
                && domain.wildcard == (space == SPACE_WILDCARD_DOMAIN);
            matches.then_some(domain)
        })
    }

    /// Ranges were checked against the length at opening; bytes that shrink all the same read as empty.
    #[inline]
    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.as_ref().get(range.clone()).unwrap_or(&[])
    }
}

/// Ranges of all sections: within the file, none unknown but required, none twice, none overlapping.
fn section_ranges(sections: &[Section], file_bytes: u64) -> Result<Vec<Range<usize>>, OpenError> {
    let mut ranges: Vec<Range<usize>> = Vec::with_capacity(sections.len());
    for (place, section) in sections.iter().enumerate() {
        let range = section.range(file_bytes).ok_or(OpenError::SectionRange(section.kind))?;
        match SectionKind::from_number(section.kind) {
            None if section.required => return Err(OpenError::UnknownRequiredSection(section.kind)),
            Some(kind) if sections[..place].iter().any(|other| other.kind == section.kind) => {
                return Err(OpenError::RepeatedSection(kind.name()));
            }
            Some(_) | None => {}
        }
        let overlaps = |other: &Range<usize>| other.start < range.end && range.start < other.end;
        if let Some(other) = ranges.iter().position(overlaps) {
            return Err(OpenError::SectionOverlap(sections[other].kind, section.kind));
        }
        ranges.push(range);
    }
    Ok(ranges)
}

/// Iterator over the records of a section, in file order.
#[derive(Debug)]
pub(crate) struct Records<'s> {
    rest: &'s [u8],
}

impl<'s> Records<'s> {
    /// What is left: empty when every byte was a record or padding.
    pub(crate) const fn rest(&self) -> &'s [u8] {
        self.rest
    }
}

impl<'s> Iterator for Records<'s> {
    type Item = Decoded<'s>;

    fn next(&mut self) -> Option<Decoded<'s>> {
        // Padding is whole words of zeros; no record begins with one, for its code length lies within.
        while let Some((word, rest)) = self.rest.split_first_chunk::<RECORD_ALIGNMENT>()
            && *word == [0; RECORD_ALIGNMENT]
        {
            self.rest = rest;
        }
        let decoded = record::decode(self.rest)?;
        self.rest = self.rest.get(decoded.bytes.next_multiple_of(RECORD_ALIGNMENT)..).unwrap_or(&[]);
        Some(decoded)
    }
}
