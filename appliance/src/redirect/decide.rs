//! HOT: the one place that knows what a request deserves: head, snapshot and time in, decision out.

use snapshot_format::{
    CODE_BYTES_MAX, Cache, CacheVisibility, CodeError, Domain, HOST_BYTES_MAX, Hsts, Link, QueryMode,
    Snapshot, Status, canonical_code, canonical_host,
};

use crate::http::{Head, Method};

use super::{Arrival, Content, Location, Outcome, site};

/// What a request gets. Plain values and borrowed bytes: nothing is rendered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Why.
    pub outcome: Outcome,
    /// The status code of the reply.
    pub status: u16,
    /// Where to; `Some` exactly if the status is one of the five redirects.
    pub location: Option<Location<'a>>,
    /// The body; `None` for the words of the outcome.
    pub content: Option<Content<'a>>,
    /// What browsers are told about HTTPS.
    pub hsts: Option<Hsts>,
    /// Who may keep the reply, and for how long.
    pub cache: CacheControl,
    /// Whose request it was; `None` where no domain of the snapshot was asked.
    pub asked: Option<Asked<'a>>,
}

/// The domain that was asked, and the link if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Canonical name of the domain, without the `*.` of a wildcard.
    pub domain: &'a [u8],
    /// Whether the domain stands for all names below.
    pub wildcard: bool,
    /// Canonical code of the link; `None` for the root and for what no link has.
    pub code: Option<&'a [u8]>,
}

/// The Cache-Control field of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheControl {
    /// Nobody keeps it.
    NoStore,
    /// The client alone keeps it, for so many seconds.
    Private(u32),
    /// Shared caches keep it too, for so many seconds.
    Public(u32),
}

impl<'a> Decision<'a> {
    /// The decision while a node has no snapshot.
    pub fn no_snapshot() -> Self {
        Self::without_location(Outcome::NoSnapshot)
    }

    /// The decision for a host that the certificate of the connection does not cover.
    pub fn misdirected() -> Self {
        Self::without_location(Outcome::Misdirected)
    }

    fn without_location(outcome: Outcome) -> Self {
        let status =
            outcome.status().expect("the outcomes without a status of their own are made by `redirect`");
        Self::of(outcome, status)
    }

    /// An outcome with its status and nothing else, which nobody keeps.
    pub const fn of(outcome: Outcome, status: u16) -> Self {
        let (location, content, hsts, asked) = (None, None, None, None);
        Self { outcome, status, location, content, hsts, cache: CacheControl::NoStore, asked }
    }
}

/// Decides what the request `head`, which came as `arrival` says, gets from `snapshot` at `unix_s` seconds since 1970.
pub fn decide<'a, B: AsRef<[u8]>>(
    head: &Head<'a>,
    snapshot: &'a Snapshot<B>,
    unix_s: u64,
    arrival: &Arrival<'a>,
) -> Decision<'a> {
    match head.method {
        Method::Get | Method::Head | Method::Post | Method::Put | Method::Patch | Method::Delete => {}
        Method::Options => return Decision::without_location(Outcome::Options),
        Method::Trace | Method::Connect | Method::Other(_) => {
            return Decision::without_location(Outcome::MethodNotAllowed);
        }
    }
    let mut host_buffer = [0; HOST_BYTES_MAX];
    let host = head.host.and_then(|raw| canonical_host(raw, &mut host_buffer).ok());
    let Some(domain) = host.and_then(|host| snapshot.domain(host)) else {
        return Decision::without_location(Outcome::UnknownHost);
    };
    if snapshot.holds_canaries(&domain) {
        return as_canary(decide_in(head, snapshot, domain, unix_s), snapshot.generation());
    }
    let decision = match site::reserved(head, &domain, arrival) {
        Some(decision) => decision,
        None => {
            let decision = decide_in(head, snapshot, domain, unix_s);
            match site::upgraded(&decision, head, &domain, arrival) {
                Some(upgrade) => return upgrade,
                None => decision,
            }
        }
    };
    // Only what comes over HTTPS may speak about HTTPS (RFC 6797, 7.2).
    Decision { hsts: domain.site.hsts.filter(|_| arrival.secure), ..decision }
}

#[inline]
fn decide_in<'a, B: AsRef<[u8]>>(
    head: &Head<'a>,
    snapshot: &'a Snapshot<B>,
    domain: Domain<'a>,
    unix_s: u64,
) -> Decision<'a> {
    let mut code_buffer = [0; CODE_BYTES_MAX];
    let mut code_found = None;
    let decision = match canonical_code(head.path, domain.case, domain.trailing_slash, &mut code_buffer) {
        Ok(code) => match snapshot.link(&domain, code) {
            Some(link) => {
                code_found = Some(link.code);
                decide_link(head, &domain, &link, unix_s)
            }
            None => decide_miss(head, &domain),
        },
        Err(CodeError::Empty) => decide_root(head, &domain),
        Err(CodeError::Nul) => Decision::without_location(Outcome::NulInPath),
        Err(CodeError::TooLong | CodeError::BadEscape | CodeError::ControlByte(_)) => {
            Decision::without_location(Outcome::ImpossibleCode)
        }
    };
    let decision = if code_found.is_none() { site::without_document(decision, head) } else { decision };
    let asked = Asked { domain: domain.name, wildcard: domain.wildcard, code: code_found };
    Decision { asked: Some(asked), ..decision }
}

/// The same decision under the name of the canaries, so that a question about health is no click, no miss and no scan; its
/// location says which generation answered. What is wrong with the request or the record stays what it is.
#[cold]
fn as_canary(decision: Decision<'_>, generation: u64) -> Decision<'_> {
    match decision.outcome {
        Outcome::Redirected | Outcome::NotFound | Outcome::Deleted => Decision {
            outcome: Outcome::Canary,
            location: decision.location.map(|location| location.of_canary(generation)),
            ..decision
        },
        _ => decision,
    }
}

/// What was done on purpose outweighs what time did: deleted, disabled, expired, not yet active.
#[inline]
fn decide_link<'a>(head: &Head<'a>, domain: &Domain<'a>, link: &Link<'a>, unix_s: u64) -> Decision<'a> {
    if link.deleted {
        return Decision::without_location(Outcome::Deleted);
    }
    if link.disabled {
        return Decision::without_location(Outcome::Disabled);
    }
    if link.expires_unix_s.is_some_and(|expires| expires <= unix_s) {
        return Decision::without_location(Outcome::Expired);
    }
    if link.not_before_unix_s.is_some_and(|begins| unix_s < begins) {
        return Decision::without_location(Outcome::NotYetActive);
    }
    let status = link.status.unwrap_or(domain.status);
    if !may_follow(head.method, status) {
        return Decision::without_location(Outcome::MethodNotAllowed);
    }
    let query = match link.query.unwrap_or(domain.query) {
        QueryMode::Drop => b"",
        QueryMode::Append => head.query.unwrap_or(b""),
    };
    let cache = cache_until(domain.cache, link.expires_unix_s.map(|expires| expires - unix_s));
    redirect(Outcome::Redirected, status, link.destination, query, cache)
}

#[inline]
fn decide_root<'a>(head: &Head<'a>, domain: &Domain<'a>) -> Decision<'a> {
    match domain.root {
        Some(root) if may_follow(head.method, root.status) => redirect(
            Outcome::RootRedirected,
            root.status,
            root.destination,
            b"",
            cache_until(domain.cache, None),
        ),
        Some(_) => Decision::without_location(Outcome::MethodNotAllowed),
        None => Decision::without_location(Outcome::NotFound),
    }
}

/// A miss may become a link tomorrow, so that no client is told that its redirect is permanent.
#[inline]
fn decide_miss<'a>(head: &Head<'a>, domain: &Domain<'a>) -> Decision<'a> {
    let Some(target) = domain.not_found else {
        return Decision::without_location(Outcome::NotFound);
    };
    let status = match target.status {
        Status::MovedPermanently | Status::Found => Status::Found,
        Status::PermanentRedirect | Status::TemporaryRedirect => Status::TemporaryRedirect,
        Status::SeeOther => Status::SeeOther,
    };
    if !may_follow(head.method, status) {
        return Decision::without_location(Outcome::NotFound);
    }
    redirect(Outcome::MissRedirected, status, target.destination, b"", CacheControl::NoStore)
}

/// Clients turn a POST into a GET at 301, 302 and 303, and so lose what was posted: only 307 and 308 keep it.
#[inline]
fn may_follow(method: Method<'_>, status: Status) -> bool {
    match status {
        Status::TemporaryRedirect | Status::PermanentRedirect => true,
        Status::MovedPermanently | Status::Found | Status::SeeOther => {
            matches!(method, Method::Get | Method::Head)
        }
    }
}

#[inline]
fn redirect<'a>(
    outcome: Outcome,
    status: Status,
    destination: &'a [u8],
    query: &'a [u8],
    cache: CacheControl,
) -> Decision<'a> {
    match Location::new(destination, query) {
        Some(location) => {
            Decision { location: Some(location), cache, ..Decision::of(outcome, status.code()) }
        }
        None => Decision::without_location(Outcome::CorruptRecord),
    }
}

/// Nobody keeps a redirect longer than its link lives.
#[inline]
pub(super) fn cache_until(cache: Cache, left_s: Option<u64>) -> CacheControl {
    let left_s = left_s.map_or(u32::MAX, |left| u32::try_from(left).unwrap_or(u32::MAX));
    let max_age_s = cache.max_age_s.min(left_s);
    match cache.visibility {
        CacheVisibility::NoStore => CacheControl::NoStore,
        CacheVisibility::Private => CacheControl::Private(max_age_s),
        CacheVisibility::Public => CacheControl::Public(max_age_s),
    }
}
