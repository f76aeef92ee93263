//! The domain table: 64 bytes per domain, then the texts that they point at.

use crate::layout::{u16_at, u32_at, u64_at};
use std::collections::HashMap;

use crate::limits::{DESTINATION_BYTES_MAX, HOST_BYTES_MAX};
use crate::site::{Documents, Hsts, Site};
use crate::values::{Cache, CacheVisibility, CaseMode, HttpsMode, QueryMode, Status, TrailingSlash};

/// Bytes of one entry of the table.
pub const ENTRY_BYTES: usize = 64;

/// Offsets within an entry.
mod field {
    pub(super) const NAME_OFFSET: usize = 0;
    pub(super) const NAME_BYTES: usize = 4;
    pub(super) const WILDCARD: usize = 5;
    pub(super) const STATUS: usize = 6;
    pub(super) const CASE: usize = 7;
    pub(super) const TRAILING_SLASH: usize = 8;
    pub(super) const QUERY: usize = 9;
    pub(super) const CACHE_VISIBILITY: usize = 10;
    /// 0: misses are answered 404.
    pub(super) const NOT_FOUND_STATUS: usize = 11;
    /// 0: the root is a miss.
    pub(super) const ROOT_STATUS: usize = 12;
    pub(super) const CACHE_MAX_AGE_S: usize = 16;
    pub(super) const NOT_FOUND_OFFSET: usize = 20;
    pub(super) const NOT_FOUND_BYTES: usize = 24;
    pub(super) const ROOT_BYTES: usize = 26;
    pub(super) const ROOT_OFFSET: usize = 28;
    pub(super) const LINKS: usize = 32;
    pub(super) const HTTPS: usize = 40;
    pub(super) const HSTS_FLAGS: usize = 41;
    pub(super) const HSTS_MAX_AGE_S: usize = 44;
    pub(super) const DOCUMENTS_OFFSET: usize = 48;
    /// 0: there are none.
    pub(super) const DOCUMENTS_BYTES: usize = 52;
    const _: () = assert!(DOCUMENTS_BYTES + 4 <= super::ENTRY_BYTES);
}

/// A redirect that a domain itself makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectTo<'s> {
    /// Its status.
    pub status: Status,
    /// Its destination, at most 32,768 bytes.
    pub destination: &'s [u8],
}

/// One domain: its name and what its links and misses do by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain<'s> {
    /// Place in the domain table; the writer gives it out.
    pub id: u32,
    /// Canonical host name, without the `*.` of a wildcard.
    pub name: &'s [u8],
    /// Whether it stands for all names below `name` (at any depth) rather than for `name` itself.
    pub wildcard: bool,
    /// Status of links that name none.
    pub status: Status,
    /// Whether codes are folded.
    pub case: CaseMode,
    /// Whether slashes at the end of a path count.
    pub trailing_slash: TrailingSlash,
    /// What happens to the query, for links that do not say.
    pub query: QueryMode,
    /// How long redirects may be kept.
    pub cache: Cache,
    /// Where misses go; `None`: they are answered 404.
    pub not_found: Option<RedirectTo<'s>>,
    /// Where `/` goes; `None`: it is a miss.
    pub root: Option<RedirectTo<'s>>,
    /// What it says besides its links.
    pub site: Site<'s>,
    /// Links of this domain; the writer counts them.
    pub links: u64,
}

impl Domain<'_> {
    /// The name as people write it: with `*.` in front of a wildcard.
    pub fn display_name(&self) -> String {
        let prefix = if self.wildcard { "*." } else { "" };
        format!("{prefix}{}", String::from_utf8_lossy(self.name))
    }
}

/// Reads entry `id` of a domain section; `None` if there is none or it is no domain.
pub fn decode(section: &[u8], id: u32) -> Option<Domain<'_>> {
    let start = usize::try_from(id).ok()?.checked_mul(ENTRY_BYTES)?;
    let entry = section.get(start..)?.first_chunk::<ENTRY_BYTES>()?;
    let text = |offset: usize, bytes: usize| {
        let start = u32_at(entry, offset) as usize;
        section.get(start..start.checked_add(bytes)?)
    };
    let redirect = |status: usize, offset: usize, bytes: usize| -> Option<Option<RedirectTo<'_>>> {
        if entry[status] == 0 {
            return Some(None);
        }
        let bytes = usize::from(u16_at(entry, bytes));
        if bytes == 0 || bytes > DESTINATION_BYTES_MAX {
            return None;
        }
        Some(Some(RedirectTo {
            status: Status::from_byte(entry[status])?,
            destination: text(offset, bytes)?,
        }))
    };
    let name = text(field::NAME_OFFSET, usize::from(entry[field::NAME_BYTES]))?;
    if name.is_empty() || name.len() > HOST_BYTES_MAX || entry[field::WILDCARD] > 1 {
        return None;
    }
    let documents = match u32_at(entry, field::DOCUMENTS_BYTES) as usize {
        0 => &[][..],
        bytes => text(field::DOCUMENTS_OFFSET, bytes)?,
    };
    let site = Site {
        https: HttpsMode::from_byte(entry[field::HTTPS])?,
        hsts: Hsts::read(entry[field::HSTS_FLAGS], u32_at(entry, field::HSTS_MAX_AGE_S))?,
        documents: Documents::read(documents),
    };
    Some(Domain {
        id,
        name,
        wildcard: entry[field::WILDCARD] == 1,
        status: Status::from_byte(entry[field::STATUS])?,
        case: CaseMode::from_byte(entry[field::CASE])?,
        trailing_slash: TrailingSlash::from_byte(entry[field::TRAILING_SLASH])?,
        query: QueryMode::from_byte(entry[field::QUERY])?,
        cache: Cache {
            visibility: CacheVisibility::from_byte(entry[field::CACHE_VISIBILITY])?,
            max_age_s: u32_at(entry, field::CACHE_MAX_AGE_S),
        },
        not_found: redirect(field::NOT_FOUND_STATUS, field::NOT_FOUND_OFFSET, field::NOT_FOUND_BYTES)?,
        root: redirect(field::ROOT_STATUS, field::ROOT_OFFSET, field::ROOT_BYTES)?,
        site,
        links: u64_at(entry, field::LINKS),
    })
}

/// The table under construction: entries and texts apart, joined at the end.
#[derive(Debug, Default)]
pub(crate) struct DomainTable {
    entries: Vec<[u8; ENTRY_BYTES]>,
    texts: Vec<u8>,
    /// Where documents stand that some domain has: most domains have those of the defaults.
    documents: HashMap<Vec<u8>, u32>,
}

impl DomainTable {
    /// Adds a domain and returns its id. Names have been checked by the caller.
    pub(crate) fn push(&mut self, domain: &Domain<'_>) -> u32 {
        let Domain {
            id: _,
            name,
            wildcard,
            status,
            case,
            trailing_slash,
            query,
            cache,
            not_found,
            root,
            site: Site { https, hsts, documents },
            links: _,
        } = *domain;
        let mut entry = [0_u8; ENTRY_BYTES];
        let name_offset = self.push_text(name);
        let mut put =
            |offset: usize, bytes: &[u8]| entry[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(field::NAME_OFFSET, &name_offset.to_le_bytes());
        put(field::NAME_BYTES, &[name.len() as u8]);
        put(field::WILDCARD, &[u8::from(wildcard)]);
        put(field::STATUS, &[status.byte()]);
        put(field::CASE, &[case.byte()]);
        put(field::TRAILING_SLASH, &[trailing_slash.byte()]);
        put(field::QUERY, &[query.byte()]);
        put(field::CACHE_VISIBILITY, &[cache.visibility.byte()]);
        put(field::CACHE_MAX_AGE_S, &cache.max_age_s.to_le_bytes());
        put(field::HTTPS, &[https.byte()]);
        if let Some(hsts) = hsts {
            put(field::HSTS_FLAGS, &[hsts.flags()]);
            put(field::HSTS_MAX_AGE_S, &hsts.max_age_s.to_le_bytes());
        }
        if !documents.is_empty() {
            let bytes = documents.as_bytes();
            let known = self.documents.get(bytes).copied();
            let offset = known.unwrap_or_else(|| {
                let offset = self.push_text(bytes);
                self.documents.insert(bytes.to_vec(), offset);
                offset
            });
            put(field::DOCUMENTS_OFFSET, &offset.to_le_bytes());
            put(field::DOCUMENTS_BYTES, &(bytes.len() as u32).to_le_bytes());
        }
        let places = [
            (not_found, field::NOT_FOUND_STATUS, field::NOT_FOUND_OFFSET, field::NOT_FOUND_BYTES),
            (root, field::ROOT_STATUS, field::ROOT_OFFSET, field::ROOT_BYTES),
        ];
        for (redirect, status, offset, bytes) in places {
            if let Some(redirect) = redirect {
                put(status, &[redirect.status.byte()]);
                put(offset, &self.push_text(redirect.destination).to_le_bytes());
                put(bytes, &(redirect.destination.len() as u16).to_le_bytes());
            }
        }
        self.entries.push(entry);
        (self.entries.len() - 1) as u32
    }

    /// How many domains there are.
    pub(crate) fn len(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Bytes that the section will have.
    pub(crate) fn section_bytes(&self) -> u64 {
        (self.entries.len() * ENTRY_BYTES + self.texts.len()) as u64
    }

    /// Renders the section, with the number of links of each domain.
    pub(crate) fn render(mut self, links: &[u64]) -> Vec<u8> {
        let table_bytes = (self.entries.len() * ENTRY_BYTES) as u32;
        let mut section = Vec::with_capacity(self.section_bytes() as usize);
        for (entry, links) in self.entries.iter_mut().zip(links) {
            entry[field::LINKS..field::LINKS + 8].copy_from_slice(&links.to_le_bytes());
            // An entry without documents is the one of older writers.
            let has_documents = u32_at(entry, field::DOCUMENTS_BYTES) > 0;
            let documents = has_documents.then_some(field::DOCUMENTS_OFFSET);
            let offsets = [field::NAME_OFFSET, field::NOT_FOUND_OFFSET, field::ROOT_OFFSET];
            for offset in offsets.into_iter().chain(documents) {
                let absolute = u32_at(entry, offset) + table_bytes;
                entry[offset..offset + 4].copy_from_slice(&absolute.to_le_bytes());
            }
            section.extend_from_slice(entry);
        }
        section.extend_from_slice(&self.texts);
        section
    }

    fn push_text(&mut self, text: &[u8]) -> u32 {
        let offset = self.texts.len() as u32;
        self.texts.extend_from_slice(text);
        offset
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::site::{Document, DocumentsBuffer};
    use proptest::prelude::*;

    /// A plain domain, to vary from.
    pub(crate) fn plain_domain(name: &[u8]) -> Domain<'_> {
        Domain {
            id: 0,
            name,
            wildcard: false,
            status: Status::Found,
            case: CaseMode::Sensitive,
            trailing_slash: TrailingSlash::Ignore,
            query: QueryMode::Drop,
            cache: Cache { visibility: CacheVisibility::Private, max_age_s: 90 },
            not_found: None,
            root: None,
            site: Site::NONE,
            links: 0,
        }
    }

    #[test]
    fn domains_read_back_as_they_were_added() {
        let root = RedirectTo { status: Status::SeeOther, destination: b"https://root.example/" };
        let mut documents = DocumentsBuffer::default();
        documents.set(Document::Robots, b"User-agent: *\nDisallow:\n");
        let second = Domain {
            id: 1,
            wildcard: true,
            root: Some(root),
            not_found: Some(RedirectTo { destination: b"https://lost.example/", ..root }),
            site: Site {
                https: HttpsMode::Upgrade,
                hsts: Some(Hsts { max_age_s: 86_400, subdomains: true, preload: false }),
                documents: documents.as_documents(),
            },
            links: 12,
            ..plain_domain(b"b.example")
        };
        let third = Domain { id: 2, name: b"c.example", wildcard: false, ..second };
        let mut table = DomainTable::default();
        assert_eq!(table.push(&plain_domain(b"a.example")), 0);
        assert_eq!(table.push(&second), 1);
        let before = table.section_bytes();
        assert_eq!(table.push(&third), 2);
        let own = ENTRY_BYTES + b"c.examplehttps://lost.example/https://root.example/".len();
        assert_eq!(table.section_bytes() - before, own as u64, "the same documents are stored once");
        let section = table.render(&[0, 12, 12]);
        assert_eq!(decode(&section, 0), Some(plain_domain(b"a.example")));
        assert_eq!(decode(&section, 1), Some(second));
        assert_eq!(decode(&section, 2), Some(third));
        assert_eq!(decode(&section, 3).map(|domain| domain.id), None);
        assert_eq!(second.display_name(), "*.b.example");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_domain_or_none(section in proptest::collection::vec(any::<u8>(), 0..200), id: u32) {
            let _ = decode(&section, id);
            let _ = decode(&section, id % 4);
        }
    }
}
