//! What a domain does by default: the values behind a domain file and a domain table.

use crate::domain_name::DomainName;
use crate::hsts_text;
use serde_json::Value;
use snapshot_format::{
    Cache, CacheVisibility, CaseMode, Document, DocumentsBuffer, Domain, Hsts, HttpsMode, QueryMode,
    RedirectTo, Site, Status, TrailingSlash,
};
use xxhash_rust::xxh3::xxh3_64;

/// Settings of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Status of links that name none.
    pub status: Status,
    /// Whether codes are folded.
    pub case: CaseMode,
    /// Whether slashes at the end of a path count.
    pub trailing_slash: TrailingSlash,
    /// What happens to the query, for links that do not say.
    pub query: QueryMode,
    /// How long redirects may be kept, and by whom.
    pub cache: Cache,
    /// Where misses go.
    pub not_found: Target,
    /// Where `/` goes.
    pub root: Target,
    /// What a request in clear text gets.
    pub https: HttpsMode,
    /// What is said about HTTPS in answers over HTTPS.
    pub hsts: Option<Hsts>,
    /// The documents that clients look for by fixed names.
    pub documents: DocumentsBuffer,
}

/// Where a domain itself redirects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Status of the redirect.
    pub status: Status,
    /// Checked destination; `None`: there is no redirect.
    pub destination: Option<String>,
}

impl Target {
    const NONE: Self = Self { status: Status::Found, destination: None };

    fn redirect(&self) -> Option<RedirectTo<'_>> {
        let destination = self.destination.as_ref()?;
        Some(RedirectTo { status: self.status, destination: destination.as_bytes() })
    }

    fn of(redirect: Option<RedirectTo<'_>>) -> Self {
        redirect.map_or(Self::NONE, |RedirectTo { status, destination }| Self {
            status,
            destination: Some(String::from_utf8_lossy(destination).into_owned()),
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            status: Status::Found,
            case: CaseMode::Sensitive,
            trailing_slash: TrailingSlash::Ignore,
            query: QueryMode::Drop,
            cache: Cache { visibility: CacheVisibility::Private, max_age_s: 90 },
            not_found: Target::NONE,
            root: Target::NONE,
            https: HttpsMode::AsAsked,
            hsts: None,
            documents: DocumentsBuffer::default(),
        }
    }
}

impl Settings {
    /// These settings as an entry of a domain table; the writer gives out the id and counts the links.
    pub fn as_domain<'s>(&'s self, name: &'s DomainName) -> Domain<'s> {
        let Self { status, case, trailing_slash, query, cache, not_found, root, https, hsts, documents } =
            self;
        Domain {
            id: 0,
            name: name.host.as_bytes(),
            wildcard: name.wildcard,
            status: *status,
            case: *case,
            trailing_slash: *trailing_slash,
            query: *query,
            cache: *cache,
            not_found: not_found.redirect(),
            root: root.redirect(),
            site: Site { https: *https, hsts: *hsts, documents: documents.as_documents() },
            links: 0,
        }
    }
}

impl Settings {
    /// Every key of the domain file with its value, in the order of the file; an empty text is nothing. Documents are told
    /// by their size and hash.
    pub fn values(&self) -> Vec<(&'static str, String)> {
        let Self { status, case, trailing_slash, query, cache, not_found, root, https, hsts, documents } =
            self;
        let destination = |target: &Target| target.destination.clone().unwrap_or_default();
        let document = |document: Document| match documents.as_documents().get(document) {
            None => String::new(),
            Some(content) => format!("{} bytes, {:016x}", content.len(), xxh3_64(content)),
        };
        let mut values = vec![
            ("status", status.to_string()),
            ("case", case.to_string()),
            ("trailing_slash", trailing_slash.to_string()),
            ("query", query.to_string()),
            ("cache", cache.visibility.to_string()),
            ("cache_max_age_s", cache.max_age_s.to_string()),
            ("not_found", destination(not_found)),
            ("not_found_status", not_found.status.to_string()),
            ("root", destination(root)),
            ("root_status", root.status.to_string()),
            ("https", https.to_string()),
            ("hsts", hsts.map(|hsts| hsts_text::render(&hsts)).unwrap_or_default()),
        ];
        values.extend(Document::ALL.map(|one| (one.key(), document(one))));
        values
    }

    /// Every key of the domain file with its value, numbers as such.
    pub fn to_json(&self) -> Value {
        let typed = |text: String| text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from);
        self.values().into_iter().map(|(key, value)| (key, typed(value))).collect()
    }
}

/// Name and settings of an entry of a domain table.
pub fn of_domain(domain: &Domain<'_>) -> (DomainName, Settings) {
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
    let name = DomainName { host: String::from_utf8_lossy(name).into_owned(), wildcard };
    let (not_found, root) = (Target::of(not_found), Target::of(root));
    let documents = DocumentsBuffer::of(documents);
    (name, Settings { status, case, trailing_slash, query, cache, not_found, root, https, hsts, documents })
}

/// Every domain that rows may belong to: those of the domain file, and settings for the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainPlan {
    /// Settings of domains that are not listed.
    pub defaults: Settings,
    /// Listed domains in the order of the file, each once.
    pub listed: Vec<(DomainName, Settings)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_the_domain_table() {
        let name = DomainName::parse("*.brand.example").unwrap();
        let mut documents = DocumentsBuffer::default();
        documents.set(Document::Robots, b"User-agent: *\n");
        let settings = Settings {
            status: Status::SeeOther,
            root: Target {
                status: Status::MovedPermanently,
                destination: Some("https://a.example/".to_owned()),
            },
            https: HttpsMode::Upgrade,
            hsts: Some(Hsts { max_age_s: 300, subdomains: true, preload: false }),
            documents,
            ..Settings::default()
        };
        let domain = settings.as_domain(&name);
        assert_eq!(of_domain(&domain), (name.clone(), settings.clone()));
    }
}
