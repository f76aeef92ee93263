//! What a node answers before it looks for a link: challenges of ACME, the documents of a domain, and clear text where the
//! domain wants HTTPS.

use std::net::SocketAddr;
use std::num::NonZeroU16;

use snapshot_format::{Document, Domain, HttpsMode};

use crate::http::{Head, Method};
use crate::limits::{ACME_TOKEN_BYTES_MAX, DOCUMENT_MAX_AGE_S};

use super::{CacheControl, Decision, Location, Outcome};

/// What a node knows beside its snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What stands between host and path in a URL over HTTPS: `/`, or `:8443/`. `None`: clients cannot reach HTTPS.
    pub authority_end: Option<String>,
    /// Who answers challenges of ACME; `None`: whoever has a link with their path.
    pub acme: Option<Acme>,
}

impl Surroundings {
    /// `https` are the listeners; clients reach them at `public_port`, or else at the port of the first.
    pub fn new(public_port: Option<NonZeroU16>, https: &[SocketAddr], acme: Option<Acme>) -> Self {
        let port = public_port.map(NonZeroU16::get).or(https.first().map(SocketAddr::port));
        let authority_end = port.map(|port| match port {
            443 => "/".to_owned(),
            port => format!(":{port}/"),
        });
        Self { authority_end, acme }
    }
}

/// How challenges of ACME are answered (RFC 8555, 8.3) by nodes that know nothing of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acme {
    /// By a redirect to the issuer: its URL, with the path up to the token.
    Redirect(String),
    /// By the token and this thumbprint of the account's key: who may ask is decided by the account, not by the node.
    Thumbprint(String),
}

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Whether the client used HTTPS, to us or to a proxy that we trust.
    pub secure: bool,
    /// What the node knows beside its snapshot.
    pub surroundings: &'a Surroundings,
}

/// A body that is not made of words of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    /// Its Content-Type.
    pub content_type: &'static str,
    /// Its bytes, in pieces.
    pub pieces: [&'a [u8]; 3],
}

impl Content<'_> {
    /// Bytes of all pieces.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where ACME looks for the answer to a challenge, without the leading slash.
pub const ACME_PATH: &[u8] = b".well-known/acme-challenge/";

/// What is answered whether there is such a link or not: challenges, and documents that the domain has.
#[inline]
pub(super) fn reserved<'a>(
    head: &Head<'a>,
    domain: &Domain<'a>,
    arrival: &Arrival<'a>,
) -> Option<Decision<'a>> {
    let is_well_known = head.path.first() == Some(&b'.');
    if is_well_known && let Some(token) = head.path.strip_prefix(ACME_PATH) {
        return challenge(token, head, arrival.surroundings.acme.as_ref()?);
    }
    let document = Document::of_path(head.path)?;
    if !matches!(head.method, Method::Get | Method::Head) {
        return None;
    }
    let content = domain.site.documents.get(document)?;
    let content = Content { content_type: document.content_type(content), pieces: [content, b"", b""] };
    let decision = Decision::of(Outcome::Document, 200);
    Some(Decision { content: Some(content), cache: CacheControl::Public(DOCUMENT_MAX_AGE_S), ..decision })
}

#[cold]
fn challenge<'a>(token: &'a [u8], head: &Head<'a>, acme: &'a Acme) -> Option<Decision<'a>> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = (1..=ACME_TOKEN_BYTES_MAX).contains(&token.len()) && token.iter().all(is_token);
    if !fits || !matches!(head.method, Method::Get | Method::Head) {
        return None;
    }
    Some(match acme {
        Acme::Redirect(issuer) => Decision {
            location: Location::joined([issuer.as_bytes(), token, b"", b""]),
            ..Decision::of(Outcome::Challenge, 302)
        },
        Acme::Thumbprint(thumbprint) => {
            let pieces = [token, b".", thumbprint.as_bytes()];
            let content = Content { content_type: "text/plain", pieces };
            Decision { content: Some(content), ..Decision::of(Outcome::Challenge, 200) }
        }
    })
}

/// What becomes of a request that has its decision by the links, if it comes in clear text and its domain wants HTTPS: a redirect
/// to itself. What no client should repeat stays what it is.
///
/// A miss is told apart, so that a scanner does not hide behind redirects.
#[inline]
pub(super) fn upgraded<'a>(
    decision: &Decision<'a>,
    head: &Head<'a>,
    domain: &Domain<'a>,
    arrival: &Arrival<'a>,
) -> Option<Decision<'a>> {
    if arrival.secure || domain.site.https == HttpsMode::AsAsked {
        return None;
    }
    let outcome = match decision.outcome {
        Outcome::Redirected
        | Outcome::RootRedirected
        | Outcome::NotYetActive
        | Outcome::Disabled
        | Outcome::Expired
        | Outcome::Deleted
        | Outcome::NoDocument => Outcome::Upgraded,
        Outcome::NotFound | Outcome::MissRedirected => Outcome::UpgradedMiss,
        Outcome::ImpossibleCode
        | Outcome::NulInPath
        | Outcome::UnknownHost
        | Outcome::Misdirected
        | Outcome::Options
        | Outcome::MethodNotAllowed
        | Outcome::CorruptRecord
        | Outcome::NoSnapshot
        | Outcome::Canary
        | Outcome::Challenge
        | Outcome::Document
        | Outcome::Upgraded
        | Outcome::UpgradedMiss => return None,
    };
    let authority_end = arrival.surroundings.authority_end.as_deref()?;
    let tail_bytes = head.path.len() + head.query.map_or(0, |query| query.len() + 1);
    let tail = &head.target[head.target.len().checked_sub(tail_bytes)?..];
    let location = Location::joined([b"https://", host(head)?, authority_end.as_bytes(), tail])?;
    // A client that is told 301 repeats a POST as a GET.
    let status = if matches!(head.method, Method::Get | Method::Head) { 301 } else { 308 };
    let cache = super::decide::cache_until(domain.cache, None);
    Some(Decision { location: Some(location), cache, ..Decision::of(outcome, status) })
}

/// What a request for a document that is not there gets: neither a miss of a link, nor the redirect of misses, which would tell
/// clients that some other page is the document.
#[inline]
pub(super) fn without_document<'a>(decision: Decision<'a>, head: &Head<'a>) -> Decision<'a> {
    let is_miss = matches!(decision.outcome, Outcome::NotFound | Outcome::MissRedirected);
    if is_miss && Document::of_path(head.path).is_some() {
        return Decision::of(Outcome::NoDocument, 404);
    }
    decision
}

/// The host as it was asked for, without port and without the dot at the end.
fn host<'a>(head: &Head<'a>) -> Option<&'a [u8]> {
    let host = head.host?;
    let host = host.iter().position(|&byte| byte == b':').map_or(host, |at| &host[..at]);
    Some(host.strip_suffix(b".").unwrap_or(host))
}
