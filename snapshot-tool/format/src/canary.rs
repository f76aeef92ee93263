//! Known links inside every snapshot: who asks for them learns whether a node answers, and from which generation.
//!
//! They are ordinary records under the ordinary index, in a domain that nobody can own (`.invalid`, RFC 2606), so that
//! asking for one takes the way of a click. Only the Location differs: the node appends the generation that it serves,
//! for a generation inside the content would make every build a new content.

use crate::domain::Domain;
use crate::record::Link;
use crate::site::Site;
use crate::values::{Cache, CacheVisibility, CaseMode, QueryMode, Status, TrailingSlash};

/// The name that is reserved, with every name below it: rows must not use it.
pub const RESERVED_HOST: &str = "carom.invalid";

/// The domain of the canaries; the last one of the table.
pub const CANARY_HOST: &str = "canary.carom.invalid";

/// The stored destination; a node sends it with the generation, in decimal, behind it.
pub const CANARY_DESTINATION: &str = "https://canary.carom.invalid/at/";

/// One known link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Its code.
    pub code: &'static str,
    /// The status of its redirect.
    pub status: Status,
    /// Whether it is deleted, so that the answer is 410.
    pub deleted: bool,
}

/// Every canary. `missing` is none of them and never will be: asking for it must bring 404.
pub const CANARIES: [Canary; 4] = [
    Canary { code: "ok", status: Status::Found, deleted: false },
    Canary { code: "moved", status: Status::MovedPermanently, deleted: false },
    Canary { code: "temporary", status: Status::TemporaryRedirect, deleted: false },
    Canary { code: "gone", status: Status::Found, deleted: true },
];

/// Whether rows must not use the canonical host name `host`.
pub fn is_reserved(host: &str) -> bool {
    host.strip_suffix(RESERVED_HOST).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The domain of the canaries. Its links are counted by the writer.
pub(crate) const fn canary_domain() -> Domain<'static> {
    Domain {
        id: 0,
        name: CANARY_HOST.as_bytes(),
        wildcard: false,
        status: Status::Found,
        case: CaseMode::Sensitive,
        trailing_slash: TrailingSlash::Strict,
        query: QueryMode::Drop,
        cache: Cache { visibility: CacheVisibility::NoStore, max_age_s: 0 },
        not_found: None,
        root: None,
        site: Site::NONE,
        links: 0,
    }
}

impl Canary {
    /// The canary as a link of the domain with this id.
    pub const fn link(&self, domain: u32) -> Link<'static> {
        Link {
            domain,
            code: self.code.as_bytes(),
            destination: CANARY_DESTINATION.as_bytes(),
            status: Some(self.status),
            query: None,
            disabled: false,
            deleted: self.deleted,
            not_before_unix_s: None,
            expires_unix_s: None,
            version: 0,
            policy: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_name_and_all_below_it_are_reserved_and_no_other() {
        for host in [RESERVED_HOST, CANARY_HOST, "a.b.carom.invalid"] {
            assert!(is_reserved(host), "{host}");
        }
        for host in ["", "invalid", "xcarom.invalid", "carom.invalid.example", "carom.example"] {
            assert!(!is_reserved(host), "{host}");
        }
    }
}
