//! The name of a domain as people write it, and its canonical form.

use snapshot_format::canary::RESERVED_HOST;
use snapshot_format::{HOST_BYTES_MAX, canonical_host, is_reserved};
use std::fmt;
use url::Host;

/// A canonical host name, or all names below one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName {
    /// Canonical host name, without the `*.` of a wildcard.
    pub host: String,
    /// Whether it stands for all names below `host` rather than for `host` itself.
    pub wildcard: bool,
}

impl DomainName {
    /// Reads a name such as `go.example`, `*.brand.example` or `bücher.example`.
    ///
    /// # Errors
    /// Says why `written` is no host name.
    pub fn parse(written: &str) -> Result<Self, String> {
        let (wildcard, host) = match written.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, written),
        };
        if written.is_empty() {
            return Err("the domain is empty".to_owned());
        }
        if host.contains('*') {
            return Err("a star stands only in front, as in *.brand.example".to_owned());
        }
        if host.contains([':', '/']) && !host.starts_with('[') {
            return Err("a host name alone is expected, without scheme, port or path".to_owned());
        }
        let text = match Host::parse(host) {
            Ok(Host::Domain(name)) => name,
            Ok(Host::Ipv4(address)) if !wildcard => address.to_string(),
            Ok(Host::Ipv4(_)) => return Err("an address has no names below it".to_owned()),
            Ok(Host::Ipv6(_)) => return Err("an IPv6 address can be no domain".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        let mut buffer = [0; HOST_BYTES_MAX];
        let canonical = canonical_host(text.as_bytes(), &mut buffer).map_err(|error| error.to_string())?;
        let host = str::from_utf8(canonical).expect("a canonical host is ASCII").to_owned();
        Ok(Self { host, wildcard })
    }
}

impl DomainName {
    /// Why no row and no domain file may use this name; `None`: they may.
    pub fn reserved(&self) -> Option<String> {
        let reserved = is_reserved(&self.host);
        reserved.then(|| {
            format!("{RESERVED_HOST} and all names below it belong to the canaries of snapshots: use another domain")
        })
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.wildcard { "*." } else { "" };
        write!(formatter, "{prefix}{}", self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(written: &str, expected: Option<&str>) {
        let found = DomainName::parse(written).map(|name| name.to_string());
        assert_eq!(found.as_deref().ok(), expected, "{written:?}: {found:?}");
    }

    #[test]
    fn one_name_has_one_form() {
        check("go.example", Some("go.example"));
        check("GO.Example.", Some("go.example"));
        check("bücher.example", Some("xn--bcher-kva.example"));
        check("XN--bcher-kva.example", Some("xn--bcher-kva.example"));
        check("*.Brand.example", Some("*.brand.example"));
        check("127.0.0.1", Some("127.0.0.1"));
        check("under_score.example", Some("under_score.example"));
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        let labels = "a.".repeat(130);
        for written in [
            "",
            "*",
            "*.",
            ".",
            "a..b",
            "go.example:80",
            "https://go.example",
            "go.example/x",
            "a b",
            "a@b",
            "[::1]",
            "*.127.0.0.1",
            "a.*.b",
            "*.*.b",
            "xn--a",
            "300.1.1.1",
            "a%00b",
            &labels,
        ] {
            check(written, None);
        }
    }

    proptest! {
        #[test]
        fn canonical_names_are_fixed_points(written in "(\\*\\.)?\\PC{1,30}") {
            if let Ok(name) = DomainName::parse(&written) {
                prop_assert_eq!(DomainName::parse(&name.to_string()), Ok(name));
            }
        }
    }
}
