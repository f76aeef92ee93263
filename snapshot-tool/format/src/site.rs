//! What a domain says besides its links: whether it insists on HTTPS, and the documents that clients look for by fixed names.

use crate::layout::u32_at;
use crate::limits::DOCUMENT_BYTES_MAX;
use crate::values::HttpsMode;

/// The site of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site<'s> {
    /// What a request in clear text gets.
    pub https: HttpsMode,
    /// What is said about HTTPS in answers over HTTPS; `None`: nothing.
    pub hsts: Option<Hsts>,
    /// The documents.
    pub documents: Documents<'s>,
}

impl Site<'_> {
    /// A domain that has links and nothing else.
    pub const NONE: Self = Self { https: HttpsMode::AsAsked, hsts: None, documents: Documents(b"") };
}

/// The Strict-Transport-Security field (RFC 6797, 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// For how many seconds browsers use HTTPS only; 0 takes back what was said before.
    pub max_age_s: u32,
    /// Whether it holds for all names below, too.
    pub subdomains: bool,
    /// Whether makers of browsers may build it in.
    pub preload: bool,
}

const HSTS_IS_SAID: u8 = 1;
const HSTS_SUBDOMAINS: u8 = 2;
const HSTS_PRELOAD: u8 = 4;

impl Hsts {
    /// The byte of flags in a domain entry.
    pub(crate) const fn flags(self) -> u8 {
        HSTS_IS_SAID
            | if self.subdomains { HSTS_SUBDOMAINS } else { 0 }
            | if self.preload { HSTS_PRELOAD } else { 0 }
    }

    /// What flags and age of a domain entry mean; `None` for flags that nobody writes.
    pub(crate) const fn read(flags: u8, max_age_s: u32) -> Option<Option<Self>> {
        match flags {
            0 => Some(None),
            _ if flags & HSTS_IS_SAID == 0 || flags > 7 => None,
            _ => {
                let (subdomains, preload) = (flags & HSTS_SUBDOMAINS != 0, flags & HSTS_PRELOAD != 0);
                Some(Some(Self { max_age_s, subdomains, preload }))
            }
        }
    }
}

/// A document that clients look for at a fixed place of every site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Document {
    /// `/robots.txt` (RFC 9309).
    Robots,
    /// `/.well-known/security.txt` and `/security.txt` (RFC 9116).
    Security,
    /// `/.well-known/assetlinks.json`: which Android apps open links of the domain.
    AssetLinks,
    /// `/.well-known/apple-app-site-association` and `/apple-app-site-association`: the same for iOS.
    AppleAppSiteAssociation,
    /// `/favicon.ico`.
    Favicon,
}

impl Document {
    /// Every document, in the order of its byte.
    pub const ALL: [Self; 5] =
        [Self::Robots, Self::Security, Self::AssetLinks, Self::AppleAppSiteAssociation, Self::Favicon];

    /// The key of the domain file.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Robots => "robots_txt",
            Self::Security => "security_txt",
            Self::AssetLinks => "assetlinks_json",
            Self::AppleAppSiteAssociation => "apple_app_site_association",
            Self::Favicon => "favicon_ico",
        }
    }

    /// The document that clients mean by `path`, which has no leading slash.
    #[inline]
    pub fn of_path(path: &[u8]) -> Option<Self> {
        // Most paths are codes, whose length is that of none.
        match (path.len(), path) {
            (10, b"robots.txt") => Some(Self::Robots),
            (11, b"favicon.ico") => Some(Self::Favicon),
            (12, b"security.txt") | (24, b".well-known/security.txt") => Some(Self::Security),
            (27, b".well-known/assetlinks.json") => Some(Self::AssetLinks),
            (26, b"apple-app-site-association") | (38, b".well-known/apple-app-site-association") => {
                Some(Self::AppleAppSiteAssociation)
            }
            _ => None,
        }
    }

    /// The Content-Type of `content`.
    pub fn content_type(self, content: &[u8]) -> &'static str {
        match self {
            Self::Robots | Self::Security => "text/plain; charset=utf-8",
            Self::AssetLinks | Self::AppleAppSiteAssociation => "application/json",
            Self::Favicon if content.starts_with(PNG) => "image/png",
            Self::Favicon => "image/x-icon",
        }
    }

    const fn byte(self) -> u8 {
        self as u8 + 1
    }
}

/// The first bytes of a PNG image.
pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The documents of a domain: for each a byte for its kind, a u32 for its length, its bytes; in the order of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Documents<'s>(&'s [u8]);

impl<'s> Documents<'s> {
    /// What these bytes of a snapshot say; [`Documents::are_sound`] tells whether they make sense.
    pub(crate) const fn read(bytes: &'s [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(self) -> &'s [u8] {
        self.0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The content of `wanted`, if there is such a document.
    pub fn get(self, wanted: Document) -> Option<&'s [u8]> {
        self.iter().find(|(document, _)| *document == wanted).map(|(_, content)| content)
    }

    /// Every document with its content.
    pub fn iter(self) -> impl Iterator<Item = (Document, &'s [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (document, content, behind) = split(rest)?;
            rest = behind;
            Some((document, content))
        })
    }

    /// Whether every byte belongs to a document, each stands there once, in order, and none is too long.
    pub fn are_sound(self) -> bool {
        let mut rest = self.0;
        let mut last = None;
        while !rest.is_empty() {
            let Some((document, content, behind)) = split(rest) else { return false };
            if last >= Some(document) || content.is_empty() || content.len() > DOCUMENT_BYTES_MAX {
                return false;
            }
            (last, rest) = (Some(document), behind);
        }
        true
    }
}

fn split(bytes: &[u8]) -> Option<(Document, &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<5>()?;
    let document = Document::ALL.into_iter().find(|document| document.byte() == head[0])?;
    let (content, rest) = rest.split_at_checked(u32_at(head, 1) as usize)?;
    Some((document, content, rest))
}

/// Documents under construction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DocumentsBuffer(Vec<u8>);

impl DocumentsBuffer {
    /// A copy of `documents`.
    pub fn of(documents: Documents<'_>) -> Self {
        Self(documents.0.to_vec())
    }

    /// The documents.
    pub fn as_documents(&self) -> Documents<'_> {
        Documents(&self.0)
    }

    /// Sets the content of a document; an empty content takes it out.
    pub fn set(&mut self, document: Document, content: &[u8]) {
        let mut all: Vec<(Document, &[u8])> =
            self.as_documents().iter().filter(|(other, _)| *other != document).collect();
        if !content.is_empty() {
            all.push((document, content));
        }
        all.sort_by_key(|(document, _)| *document);
        let mut bytes = Vec::new();
        for (document, content) in all {
            bytes.push(document.byte());
            bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
            bytes.extend_from_slice(content);
        }
        self.0 = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documents_are_found_by_the_paths_that_clients_ask_for() {
        let check = |path: &str, expected| assert_eq!(Document::of_path(path.as_bytes()), expected, "{path}");
        check("robots.txt", Some(Document::Robots));
        check("favicon.ico", Some(Document::Favicon));
        check("security.txt", Some(Document::Security));
        check(".well-known/security.txt", Some(Document::Security));
        check(".well-known/assetlinks.json", Some(Document::AssetLinks));
        check("apple-app-site-association", Some(Document::AppleAppSiteAssociation));
        check(".well-known/apple-app-site-association", Some(Document::AppleAppSiteAssociation));
        for other in ["", "Robots.txt", "robots.txt/", "a/robots.txt", "assetlinks.json", ".well-known/x"] {
            check(other, None);
        }
    }

    #[test]
    fn documents_are_kept_in_order_and_taken_out_by_nothing() {
        let mut buffer = DocumentsBuffer::default();
        buffer.set(Document::Favicon, b"\x00\x00\x01\x00");
        buffer.set(Document::Robots, b"User-agent: *\n");
        buffer.set(Document::Robots, b"User-agent: *\nDisallow:\n");
        let documents = buffer.as_documents();
        assert!(documents.are_sound());
        assert_eq!(documents.get(Document::Robots), Some(&b"User-agent: *\nDisallow:\n"[..]));
        assert_eq!(documents.get(Document::Security), None);
        assert_eq!(
            documents.iter().map(|(one, _)| one).collect::<Vec<_>>(),
            [Document::Robots, Document::Favicon]
        );
        buffer.set(Document::Robots, b"");
        buffer.set(Document::Favicon, b"");
        assert!(buffer.as_documents().is_empty());
    }

    #[test]
    fn hsts_survives_its_byte() {
        for (subdomains, preload) in [(false, false), (true, false), (true, true), (false, true)] {
            let hsts = Hsts { max_age_s: 7, subdomains, preload };
            assert_eq!(Hsts::read(hsts.flags(), 7), Some(Some(hsts)));
        }
        assert_eq!(Hsts::read(0, 7), Some(None));
        assert_eq!((Hsts::read(2, 7), Hsts::read(9, 7)), (None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_documents_or_unsound(bytes in proptest::collection::vec(0..8_u8, 0..40)) {
            let documents = Documents::read(&bytes);
            let listed: usize = documents.iter().map(|(_, content)| 5 + content.len()).sum();
            prop_assert!(!documents.are_sound() || listed == bytes.len());
        }
    }
}
