//! How a request that could be read was answered, one variant per reason.

use crate::metrics::reason::reasons;

reasons! {
    /// How a request ended; `Decision::status` holds the status code that was sent.
    pub enum Outcome {
        /// The link was found and active: 301, 302, 303, 307 or 308 to its destination.
        Redirected => "redirected",
        /// The root of a domain was asked for, and the domain redirects it.
        RootRedirected => "root_redirected",
        /// The domain has no such link and redirects its misses.
        MissRedirected => "miss_redirected",
        /// A known link that every snapshot holds was asked for, to learn whether the node is well: nobody clicked.
        Canary => "canary",
        /// The request came in clear text, and the domain wants HTTPS: 301 or 308 to itself. Nobody clicked yet.
        Upgraded => "upgraded",
        /// The same, and there is no such link: it counts for the scanners like `not_found`.
        UpgradedMiss => "upgraded_miss",
        /// A challenge of ACME was answered or sent to the issuer.
        Challenge => "challenge",
        /// A document of the domain was asked for, such as `robots.txt`: 200. Nobody clicked.
        Document => "document",
        /// A document was asked for that the domain does not have: 404. Nobody clicked.
        NoDocument => "no_document",
        /// The domain has no such link: 404.
        NotFound => "not_found",
        /// The path can be no code, because of its length or an escape: 404.
        ImpossibleCode => "impossible_code",
        /// The path holds a NUL, which only scanners send: 400.
        NulInPath => "nul_in_path",
        /// The link becomes active later: 404.
        NotYetActive => "not_yet_active",
        /// The link is disabled: 403.
        Disabled => "disabled",
        /// The link has expired: 410.
        Expired => "expired",
        /// The link was deleted: 410.
        Deleted => "deleted",
        /// The snapshot has no such domain, or an HTTP/1.0 request named none: 421.
        UnknownHost => "unknown_host",
        /// The certificate of the connection does not cover the host of the request: 421, and the client asks again on a
        /// connection of its own (RFC 9110, 15.5.20).
        Misdirected => "misdirected",
        /// OPTIONS was answered: 204.
        Options => "options",
        /// The method is not one that a redirect answers: 405.
        MethodNotAllowed => "method_not_allowed",
        /// The record holds a destination that must not be sent: 500. The snapshot is corrupt; replace it.
        CorruptRecord => "corrupt_record",
        /// The node has no snapshot: 503.
        NoSnapshot => "no_snapshot",
    }
}

impl Outcome {
    /// The status code that the outcome alone decides; `None` where the snapshot or the configuration decides: redirects,
    /// canaries and challenges.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Redirected
            | Self::RootRedirected
            | Self::MissRedirected
            | Self::Canary
            | Self::Upgraded
            | Self::UpgradedMiss
            | Self::Challenge => None,
            Self::Document => Some(200),
            Self::Options => Some(204),
            Self::NulInPath => Some(400),
            Self::Disabled => Some(403),
            Self::NotFound | Self::ImpossibleCode | Self::NotYetActive | Self::NoDocument => Some(404),
            Self::MethodNotAllowed => Some(405),
            Self::Expired | Self::Deleted => Some(410),
            Self::UnknownHost | Self::Misdirected => Some(421),
            Self::CorruptRecord => Some(500),
            Self::NoSnapshot => Some(503),
        }
    }

    /// The text that tells a person what happened; empty where there is nothing to tell.
    pub const fn body(self) -> &'static str {
        match self {
            Self::Redirected
            | Self::RootRedirected
            | Self::MissRedirected
            | Self::Canary
            | Self::Upgraded
            | Self::UpgradedMiss
            | Self::Challenge
            | Self::Document
            | Self::Options => "",
            Self::NoDocument => "no such document\n",
            Self::NotFound | Self::ImpossibleCode => "link not found\n",
            Self::NulInPath => "bad request\n",
            Self::NotYetActive => "link is not active yet\n",
            Self::Disabled => "link is disabled\n",
            Self::Expired => "link has expired\n",
            Self::Deleted => "link was deleted\n",
            Self::UnknownHost => "unknown host\n",
            Self::Misdirected => "this connection is for other hosts\n",
            Self::MethodNotAllowed => "method not allowed\n",
            Self::CorruptRecord => "internal error\n",
            Self::NoSnapshot => "not ready\n",
        }
    }
}
