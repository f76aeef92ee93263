//! All certificates by name: what a handshake looks into, immutable, replaced as a whole.

use std::sync::Arc;

use ahash::AHashMap;
use rustls::SignatureScheme;
use snapshot_format::{HOST_BYTES_MAX, canonical_host};

use super::Pair;
use super::names::parent;

/// The pairs for one name, the preferred first.
type Candidates = Vec<Arc<Pair>>;

/// A look-up by name.
#[derive(Debug, Default)]
pub struct Store {
    exact: AHashMap<Box<[u8]>, Candidates>,
    wildcards: AHashMap<Box<[u8]>, Candidates>,
    default: Option<Arc<Pair>>,
    pairs: Vec<Arc<Pair>>,
    expiries: Vec<Expiry>,
}

/// When the first certificate of a name ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    /// In seconds since 1970.
    pub not_after_unix_s: i64,
    /// As people write it.
    pub name: Box<str>,
}

impl Expiry {
    /// Whole days until then; negative when it is over.
    pub fn days_left(&self, unix_s: i64) -> i64 {
        (self.not_after_unix_s - unix_s).div_euclid(86_400)
    }
}

impl Store {
    /// A store over `pairs`. Clients that name no host, or one that no pair covers, get the pair that is labelled
    /// `default`, if there is one; otherwise they are refused.
    pub fn new(mut pairs: Vec<Arc<Pair>>, default: Option<&str>) -> Self {
        // ECDSA before RSA, then the one that lives longer; the label makes it the same on every node.
        pairs.sort_by(|one, other| {
            (one.algorithm, other.not_after_unix_s, &one.label).cmp(&(
                other.algorithm,
                one.not_after_unix_s,
                &other.label,
            ))
        });
        let mut store = Self {
            exact: AHashMap::with_capacity(pairs.len()),
            default: default.and_then(|label| pairs.iter().find(|pair| pair.label == label).cloned()),
            ..Self::default()
        };
        for pair in &pairs {
            for name in pair.names.exact() {
                store.exact.entry(name.into()).or_default().push(Arc::clone(pair));
            }
            for name in pair.names.wildcards() {
                store.wildcards.entry(name.into()).or_default().push(Arc::clone(pair));
            }
        }
        store.pairs = pairs;
        store.expiries = store.expiries();
        store
    }

    /// The certificate for a client that names `host` and understands `schemes`. An exact name goes before a wildcard.
    pub fn choose(&self, host: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<Pair>> {
        let mut buffer = [0; HOST_BYTES_MAX];
        let host = host.and_then(|host| canonical_host(host.as_bytes(), &mut buffer).ok());
        let found = host.and_then(|host| {
            let wildcard = || self.wildcards.get(parent(host)?);
            self.exact.get(host).or_else(wildcard)
        });
        match found {
            // Without a common scheme the handshake fails later, and says why.
            Some(candidates) => {
                candidates.iter().find(|pair| pair.suits(schemes)).or_else(|| candidates.first())
            }
            None => self.default.as_ref(),
        }
    }

    /// Every name, the one that expires first at the front.
    pub fn by_expiry(&self) -> &[Expiry] {
        &self.expiries
    }

    fn expiries(&self) -> Vec<Expiry> {
        let expiry = |prefix: &str, name: &[u8], candidates: &Candidates| Expiry {
            not_after_unix_s: candidates.iter().map(|pair| pair.not_after_unix_s).min().unwrap_or(i64::MAX),
            name: format!("{prefix}{}", String::from_utf8_lossy(name)).into(),
        };
        let exact = self.exact.iter().map(|(name, candidates)| expiry("", name, candidates));
        let wildcards = self.wildcards.iter().map(|(name, candidates)| expiry("*.", name, candidates));
        let mut all: Vec<_> = exact.chain(wildcards).collect();
        all.sort();
        all
    }

    /// Every pair.
    pub fn pairs(&self) -> &[Arc<Pair>] {
        &self.pairs
    }

    /// Whether unknown names get a certificate.
    pub fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// How many names can be asked for, wildcards included.
    pub fn names(&self) -> usize {
        self.exact.len() + self.wildcards.len()
    }
}
