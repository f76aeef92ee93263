//! The only writer: records go straight to the file, the index is sorted on disk, memory stays bounded.
//!
//! Rows are added in one pass. [`Writer::finish`] sorts what the index needs, finds rows with the same key, writes the
//! remaining sections and at last the header, so that a file without a header is one that was never finished.

use crate::canary::{CANARIES, canary_domain};
use crate::canonical::canonical_host;
use crate::domain::{Domain, DomainTable};
use crate::hash::{SPACE_EXACT_DOMAIN, SPACE_WILDCARD_DOMAIN, key_hash};
use crate::index::{IndexShape, POSITION_MAX};
use crate::index_writer::{BucketStream, checksum_of_file, render_index};
use crate::layout::{Header, SECTION_ALIGNMENT, Section, SectionKind, content_checksum, render_first_page};
use crate::limits::{
    CODE_BYTES_MAX, DESTINATION_BYTES_MAX, DOCUMENT_BYTES_MAX, DOMAINS_MAX, HOST_BYTES_MAX,
    METADATA_BYTES_MAX,
};
use crate::place::record_start;
use crate::record::{self, FIXED_BYTES, FLAGS_OFFSET, Link, RECORD_ALIGNMENT, RecordError, SUPERSEDED};
use crate::spill::{Entry, Spill};
use crate::write_error::{Conflict, SEEDS_MAX, WriteError};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// Entries kept in memory before partition files take over: 96 MiB.
const ENTRIES_IN_MEMORY_MAX: usize = 4 << 20;

/// Conflicts that are reported; more are only counted.
const CONFLICTS_REPORTED_MAX: usize = 1_000;

/// What a file says of itself, and where its making may spill.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Generation number.
    pub generation: u64,
    /// How old the truth is, in seconds since 1970.
    pub built_at_unix_s: u64,
    /// First seed to try for key hashes.
    pub hash_seed: u64,
    /// Directory for temporary data: about 24 bytes per link beyond the first four million.
    pub temp_dir: PathBuf,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Links that can be found, canaries apart.
    pub links: u64,
    /// Rows that said what an earlier row had said.
    pub repeated: u64,
    /// Domains, that of the canaries apart.
    pub domains: u32,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Checksum of the content.
    pub content_checksum: u64,
    /// Buckets that the longest search touches.
    pub probe_buckets: u32,
    /// Seed that was used.
    pub hash_seed: u64,
}

/// A snapshot file under construction.
pub struct Writer {
    path: PathBuf,
    options: WriterOptions,
    output: BufWriter<File>,
    /// A second handle, to read and patch records that were written.
    records: File,
    end: u64,
    checksum: Xxh3Default,
    domains: DomainTable,
    /// Ids by key space and name.
    names: HashMap<(u32, Vec<u8>), u32>,
    links_per_domain: Vec<u64>,
    spill: Spill,
    rows: u64,
    canaries: u32,
    scratch: Vec<u8>,
}

impl Writer {
    /// Begins a file at `path`, which must not exist: give it a temporary name and rename it when it is proven.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(path: &Path, options: WriterOptions) -> Result<Self, WriteError> {
        let failed = |source| WriteError::Io { path: path.to_owned(), source };
        let file = File::options().read(true).write(true).create_new(true).open(path).map_err(failed)?;
        let records = file.try_clone().map_err(failed)?;
        let mut output = BufWriter::with_capacity(1 << 20, file);
        output.write_all(&[0; SECTION_ALIGNMENT as usize]).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            spill: Spill::new(&options.temp_dir, ENTRIES_IN_MEMORY_MAX),
            options,
            output,
            records,
            end: SECTION_ALIGNMENT,
            checksum: Xxh3Default::new(),
            domains: DomainTable::default(),
            names: HashMap::new(),
            links_per_domain: Vec::new(),
            rows: 0,
            canaries: 0,
            scratch: Vec::new(),
        })
    }

    /// Adds a domain and returns its id; `domain.id` and `domain.links` are not looked at.
    ///
    /// # Errors
    /// If the name is not canonical or was added before, or a bound is passed.
    pub fn add_domain(&mut self, domain: &Domain<'_>) -> Result<u32, WriteError> {
        let mut buffer = [0; HOST_BYTES_MAX];
        if canonical_host(domain.name, &mut buffer) != Ok(domain.name) {
            return Err(WriteError::DomainName(domain.display_name()));
        }
        let space = if domain.wildcard { SPACE_WILDCARD_DOMAIN } else { SPACE_EXACT_DOMAIN };
        if self.names.contains_key(&(space, domain.name.to_vec())) {
            return Err(WriteError::RepeatedDomain(domain.display_name()));
        }
        for redirect in [domain.not_found, domain.root].into_iter().flatten() {
            let bytes = redirect.destination.len();
            if bytes == 0 || bytes > DESTINATION_BYTES_MAX {
                return Err(RecordError::DestinationBytes(bytes).into());
            }
        }
        for (_, content) in domain.site.documents.iter() {
            bound("a document of a domain", content.len() as u64, DOCUMENT_BYTES_MAX as u64)?;
        }
        bound("the number of domains", u64::from(self.domains.len()) + 1, u64::from(DOMAINS_MAX))?;
        let id = self.domains.push(domain);
        bound("the domain section", self.domains.section_bytes(), u64::from(u32::MAX))?;
        self.names.insert((space, domain.name.to_vec()), id);
        self.links_per_domain.push(0);
        Ok(id)
    }

    /// Adds a row. `link.code` is canonical for its domain; `place` comes back if the row turns out to be in conflict.
    ///
    /// # Errors
    /// If the domain is unknown, a length is impossible, or the disk is full.
    pub fn add_link(&mut self, link: &Link<'_>, place: u64) -> Result<(), WriteError> {
        let Some(count) = self.links_per_domain.get_mut(link.domain as usize) else {
            return Err(WriteError::UnknownDomain(link.domain));
        };
        *count += 1;
        self.scratch.clear();
        record::encode(link, &mut self.scratch)?;
        let section_end = self.end - SECTION_ALIGNMENT;
        let start = record_start(section_end, self.scratch.len());
        let position = start / RECORD_ALIGNMENT as u64;
        bound("the section of records", position, POSITION_MAX)?;
        let padding = [0_u8; 64];
        let padding = &padding[..(start - section_end) as usize];
        self.checksum.update(padding);
        self.checksum.update(&self.scratch);
        let written = self.output.write_all(padding).and_then(|()| self.output.write_all(&self.scratch));
        written.map_err(|source| failed(&self.path, source))?;
        self.end = SECTION_ALIGNMENT + start + self.scratch.len() as u64;
        self.rows += 1;
        let hash = key_hash(self.options.hash_seed, link.domain, link.code);
        let spilled = self.spill.push(Entry { hash, position, place });
        spilled.map_err(|source| failed(&self.options.temp_dir, source))
    }

    /// Adds the domain of the canaries and its links: the last thing before [`Writer::finish`].
    ///
    /// # Errors
    /// If rows or domains use the reserved name, or the disk is full.
    pub fn add_canaries(&mut self) -> Result<(), WriteError> {
        let domain = self.add_domain(&canary_domain())?;
        for canary in &CANARIES {
            self.add_link(&canary.link(domain), u64::MAX)?;
        }
        self.canaries = CANARIES.len() as u32;
        Ok(())
    }

    /// Writes index, domains, metadata (JSON, for people) and header, and syncs the file to disk.
    ///
    /// `progress` is told how many of how many links are in the index.
    ///
    /// # Errors
    /// If rows are in conflict, a bound is passed, or the disk is full. The file is then no snapshot: remove it.
    pub fn finish(
        mut self,
        metadata: Option<&[u8]>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Summary, WriteError> {
        let records_bytes = self.end - SECTION_ALIGNMENT;
        self.flush()?;
        for attempt in 0..SEEDS_MAX {
            if attempt > 0 {
                self.reseed()?;
            }
            let Some(domain_index) = self.render_domain_index() else { continue };
            let index_start = self.end.next_multiple_of(SECTION_ALIGNMENT);
            let spill =
                std::mem::replace(&mut self.spill, Spill::new(&self.options.temp_dir, ENTRIES_IN_MEMORY_MAX));
            match self.write_link_index(index_start, spill, &mut progress)? {
                Some(index) => {
                    let records = self.records_section(records_bytes, &index.superseded)?;
                    return self.write_rest(records, &index, &domain_index, metadata);
                }
                None => continue,
            }
        }
        Err(WriteError::NoSeed)
    }

    /// Writes the index of links from front to back, and finds rows that share a key; nothing if it is too crowded.
    fn write_link_index(
        &mut self,
        start: u64,
        spill: Spill,
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<Option<LinkIndex>, WriteError> {
        // Repeated rows are found while the index is written; its size counts them, which only leaves slots empty.
        let mut shape = IndexShape::for_entries(self.rows);
        let mut buckets = BucketStream::new(&self.records, start, shape);
        let mut superseded = Vec::new();
        let mut conflicts = Vec::new();
        let mut conflict_count = 0_u64;
        let mut done = 0_u64;
        let rows = self.rows;
        let drained = spill.drain_sorted(|entries| -> Result<(), WriteError> {
            for group in entries.chunk_by(|a, b| a.hash == b.hash) {
                let mut kept: Vec<&Entry> = Vec::new();
                for entry in group {
                    match self.same_key(entry, &kept)? {
                        SameKey::None => {
                            kept.push(entry);
                            buckets.push(entry).map_err(|source| failed(&self.path, source))?;
                        }
                        SameKey::EqualRow => superseded.push(entry.position),
                        SameKey::OtherValue(conflict) => {
                            conflict_count += 1;
                            if conflicts.len() < CONFLICTS_REPORTED_MAX {
                                conflicts.push(conflict);
                            }
                        }
                    }
                }
            }
            done += entries.len() as u64;
            progress(done, rows);
            Ok(())
        });
        drained.map_err(|error| match error {
            WriteError::Io { path, source } if path.as_os_str().is_empty() => {
                failed(&self.options.temp_dir, source)
            }
            other => other,
        })?;
        if conflict_count > 0 {
            conflicts.sort_by_key(|conflict| (conflict.second_place, conflict.first_place));
            return Err(WriteError::Conflicts { count: conflict_count, conflicts });
        }
        shape.entries = self.rows - superseded.len() as u64;
        let finished = buckets.finish(&mut shape).map_err(|source| failed(&self.path, source))?;
        let Some(checksum) = finished else { return Ok(None) };
        let section = Section {
            kind: SectionKind::LinkIndex.number(),
            required: true,
            offset: start,
            bytes: shape.section_bytes(),
            checksum,
        };
        superseded.sort_unstable();
        Ok(Some(LinkIndex { section, shape, superseded }))
    }

    /// Compares the record of `entry` with earlier ones of the same hash.
    fn same_key(&self, entry: &Entry, earlier: &[&Entry]) -> Result<SameKey, WriteError> {
        if earlier.is_empty() {
            return Ok(SameKey::None);
        }
        let second = self.read_record(entry.position)?;
        for first_entry in earlier {
            let first = self.read_record(first_entry.position)?;
            let (first, second) = (decoded(&first), decoded(&second));
            if (first.domain, first.code) != (second.domain, second.code) {
                continue;
            }
            return Ok(if first == second {
                SameKey::EqualRow
            } else {
                SameKey::OtherValue(Conflict {
                    domain: first.domain,
                    code: first.code.to_vec(),
                    first_place: first_entry.place,
                    second_place: entry.place,
                })
            });
        }
        Ok(SameKey::None)
    }

    fn read_record(&self, position: u64) -> Result<Vec<u8>, WriteError> {
        let start = SECTION_ALIGNMENT + position * RECORD_ALIGNMENT as u64;
        let longest = FIXED_BYTES + CODE_BYTES_MAX + DESTINATION_BYTES_MAX + 20;
        let mut bytes = vec![0; longest.min((self.end - start) as usize)];
        self.records.read_exact_at(&mut bytes, start).map_err(|source| failed(&self.path, source))?;
        Ok(bytes)
    }

    /// The section of records; repeated rows are marked in it first.
    fn records_section(&mut self, bytes: u64, superseded: &[u64]) -> Result<Section, WriteError> {
        let path = self.path.clone();
        let failed = |source| failed(&path, source);
        for &position in superseded {
            let record = self.read_record(position)?;
            self.links_per_domain[decoded(&record).domain as usize] -= 1;
            let flags = SECTION_ALIGNMENT + position * RECORD_ALIGNMENT as u64 + FLAGS_OFFSET;
            let mut old = [0; 2];
            self.records.read_exact_at(&mut old, flags).map_err(failed)?;
            let new = u16::from_le_bytes(old) | SUPERSEDED;
            self.records.write_all_at(&new.to_le_bytes(), flags).map_err(failed)?;
        }
        let checksum = if superseded.is_empty() {
            self.checksum.digest()
        } else {
            checksum_of_file(&self.records, SECTION_ALIGNMENT, bytes).map_err(failed)?
        };
        Ok(Section {
            kind: SectionKind::Records.number(),
            required: true,
            offset: SECTION_ALIGNMENT,
            bytes,
            checksum,
        })
    }

    /// Domains, their index, metadata and header.
    fn write_rest(
        mut self,
        records: Section,
        link_index: &LinkIndex,
        domain_index: &[u8],
        metadata: Option<&[u8]>,
    ) -> Result<Summary, WriteError> {
        let LinkIndex { section, shape, superseded } = link_index;
        let domains = self.domains.len();
        let table = std::mem::take(&mut self.domains).render(&self.links_per_domain);
        let mut sections = vec![records, *section];
        let mut end = section.offset + section.bytes;
        let mut parts =
            vec![(SectionKind::Domains, table.as_slice()), (SectionKind::DomainIndex, domain_index)];
        if let Some(metadata) = metadata {
            bound("the metadata", metadata.len() as u64, METADATA_BYTES_MAX)?;
            parts.push((SectionKind::Metadata, metadata));
        }
        for (kind, bytes) in parts {
            let offset = end.next_multiple_of(SECTION_ALIGNMENT);
            self.records.write_all_at(bytes, offset).map_err(|source| failed(&self.path, source))?;
            sections.push(Section {
                kind: kind.number(),
                required: kind.required(),
                offset,
                bytes: bytes.len() as u64,
                checksum: xxh3_64(bytes),
            });
            end = offset + bytes.len() as u64;
        }
        let header = Header {
            generation: self.options.generation,
            built_at_unix_s: self.options.built_at_unix_s,
            file_bytes: end,
            links: shape.entries - u64::from(self.canaries),
            domains: domains - u32::from(self.canaries > 0),
            canaries: self.canaries,
            sections: sections.len() as u32,
            hash_seed: self.options.hash_seed,
            content_checksum: content_checksum(&sections),
        };
        let page = render_first_page(&header, &sections);
        let finished = self
            .records
            .set_len(end)
            .and_then(|()| self.records.sync_data())
            .and_then(|()| self.records.write_all_at(&page, 0))
            .and_then(|()| self.records.sync_all());
        finished.map_err(|source| failed(&self.path, source))?;
        Ok(Summary {
            links: header.links,
            repeated: superseded.len() as u64,
            domains: header.domains,
            file_bytes: end,
            content_checksum: header.content_checksum,
            probe_buckets: shape.probe_buckets,
            hash_seed: self.options.hash_seed,
        })
    }

    /// Takes the next seed and hashes every key again, from the records.
    ///
    /// Places are lost on this way; conflicts were ruled out before a crowded index was seen.
    fn reseed(&mut self) -> Result<(), WriteError> {
        self.options.hash_seed = self.options.hash_seed.wrapping_add(1);
        let seed = self.options.hash_seed;
        let mut start = 0;
        while SECTION_ALIGNMENT + start < self.end {
            let bytes = self.read_record(start / RECORD_ALIGNMENT as u64)?;
            if bytes.first_chunk() == Some(&[0; RECORD_ALIGNMENT]) {
                start += RECORD_ALIGNMENT as u64;
                continue;
            }
            let record = record::decode(&bytes).expect("the writer wrote this record");
            let hash = key_hash(seed, record.link.domain, record.link.code);
            let position = start / RECORD_ALIGNMENT as u64;
            let spilled = self.spill.push(Entry { hash, position, place: 0 });
            spilled.map_err(|source| failed(&self.options.temp_dir, source))?;
            start += record.bytes.next_multiple_of(RECORD_ALIGNMENT) as u64;
        }
        Ok(())
    }

    /// The index of domains, if this seed spreads them well enough.
    fn render_domain_index(&self) -> Option<Vec<u8>> {
        let entries = self.names.iter().map(|((space, name), &id)| Entry {
            hash: key_hash(self.options.hash_seed, *space, name),
            position: u64::from(id),
            place: 0,
        });
        render_index(entries.collect())
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.output.flush().map_err(|source| failed(&self.path, source))
    }
}

enum SameKey {
    None,
    EqualRow,
    OtherValue(Conflict),
}

/// An index of links that is in the file.
struct LinkIndex {
    section: Section,
    shape: IndexShape,
    /// Positions of rows that repeat an earlier one.
    superseded: Vec<u64>,
}

fn failed(path: &Path, source: io::Error) -> WriteError {
    WriteError::Io { path: path.to_owned(), source }
}

fn bound(what: &'static str, found: u64, max: u64) -> Result<(), WriteError> {
    if found > max { Err(WriteError::Bound { what, found, max }) } else { Ok(()) }
}

fn decoded(record: &[u8]) -> Link<'_> {
    record::decode(record).expect("the writer wrote this record").link
}
