//! HOT: the four forms of a request target (RFC 9112, 3.2), told apart.

use super::bytes::{HOST, skip};
use super::{Method, Refusal};

/// A request target in pieces.
pub(super) struct Target<'a> {
    /// The authority of the absolute form; it overrules the Host field (RFC 9112, 3.2.2).
    pub(super) authority: Option<&'a [u8]>,
    /// The path without its leading slash.
    pub(super) path: &'a [u8],
    /// What follows the first `?`.
    pub(super) query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Splits a target that is cut at its first `?` already.
    #[inline]
    pub(super) fn split(
        method: Method<'_>,
        path: &'a [u8],
        query: Option<&'a [u8]>,
    ) -> Result<Self, Refusal> {
        match (method, path) {
            (_, [b'/', path @ ..]) => Ok(Self { authority: None, path, query }),
            (Method::Options, b"*") if query.is_none() => Ok(Self { authority: None, path: b"", query }),
            // CONNECT names a host and a port, and is answered 405 whichever they are.
            (Method::Connect, _) => Ok(Self { authority: None, path: b"", query }),
            _ => Self::split_absolute(path, query),
        }
    }

    fn split_absolute(path: &'a [u8], query: Option<&'a [u8]>) -> Result<Self, Refusal> {
        let rest = strip_prefix_ignoring_case(path, b"http://")
            .or_else(|| strip_prefix_ignoring_case(path, b"https://"))
            .ok_or(Refusal::Target)?;
        let slash = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        // A Host field may be empty; the host of an http URI may not (RFC 9110, 4.2.1).
        if authority.is_empty() || authority[0] == b':' || !is_authority(authority) {
            return Err(Refusal::HostInvalid);
        }
        Ok(Self { authority: Some(authority), path: path.strip_prefix(b"/").unwrap_or(path), query })
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// True for `host`, `host:` and `host:port` by their syntax (RFC 3986, 3.2.2), where `host` may be empty or an address
/// in brackets. Userinfo is refused: its only use in a request is to deceive (RFC 9110, 4.2.4).
#[inline]
pub(crate) fn is_authority(text: &[u8]) -> bool {
    let host_end = match text {
        [b'[', rest @ ..] => match rest.iter().position(|&byte| !is_address_byte(byte)) {
            Some(close) if close > 0 && rest[close] == b']' => close + 2,
            _ => return false,
        },
        _ => skip(text, HOST, 0),
    };
    match &text[host_end..] {
        [] => true,
        [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn is_address_byte(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b':' || byte == b'.'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        method: Method<'_>,
        target: &str,
        expected: Result<(Option<&str>, &str, Option<&str>), Refusal>,
    ) {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let found = Target::split(method, path.as_bytes(), query.map(str::as_bytes))
            .map(|split| (split.authority.map(text), text(split.path), split.query.map(text)));
        let expected = expected
            .map(|(host, path, query)| (host.map(String::from), path.into(), query.map(String::from)));
        assert_eq!(found, expected, "{method:?} {target}");
    }

    #[test]
    fn the_origin_form_is_a_path_and_perhaps_a_query() {
        check(Method::Get, "/", Ok((None, "", None)));
        check(Method::Get, "/?", Ok((None, "", Some(""))));
        check(Method::Get, "/a/b?c?d", Ok((None, "a/b", Some("c?d"))));
        check(Method::Get, "//a", Ok((None, "/a", None)));
        check(Method::Get, "/http://b/c", Ok((None, "http://b/c", None)));
        check(Method::Get, "a", Err(Refusal::Target));
        check(Method::Get, "?a", Err(Refusal::Target));
    }

    #[test]
    fn the_absolute_form_brings_its_own_authority() {
        check(Method::Get, "http://a.example/b?c", Ok((Some("a.example"), "b", Some("c"))));
        check(Method::Get, "HTTPS://A.example:443", Ok((Some("A.example:443"), "", None)));
        check(Method::Post, "hTTp://a?b", Ok((Some("a"), "", Some("b"))));
        check(Method::Get, "http://[::1]:80//", Ok((Some("[::1]:80"), "/", None)));
        check(Method::Options, "http://a", Ok((Some("a"), "", None)));
        for target in
            ["http:///a", "http://", "http://:80/", "http://u@a/", "http://a:b/", "http://[a/", "http://?b"]
        {
            check(Method::Get, target, Err(Refusal::HostInvalid));
        }
        for target in ["ftp://a/", "http:/a", "http:a", "://a", "http//a", "httpx://a"] {
            check(Method::Get, target, Err(Refusal::Target));
        }
    }

    #[test]
    fn only_options_may_ask_for_an_asterisk_and_only_connect_for_an_authority() {
        check(Method::Options, "*", Ok((None, "", None)));
        check(Method::Options, "*?a", Err(Refusal::Target));
        check(Method::Options, "**", Err(Refusal::Target));
        check(Method::Get, "*", Err(Refusal::Target));
        check(Method::Connect, "a.example:443", Ok((None, "", None)));
        check(Method::Get, "a.example:443", Err(Refusal::Target));
    }

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for text in [
            "",
            "a",
            "a.",
            "A-b_c.example:80",
            "a:",
            "a:65535",
            ":80",
            "1.2.3.4",
            "[::1]",
            "[::ffff:1.2.3.4]:80",
        ] {
            assert!(is_authority(text.as_bytes()), "{text}");
        }
        for text in [
            "a:b",
            "a:80:80",
            "a:123456",
            "a b",
            "a,b",
            "u@a",
            "a/b",
            "[::1",
            "::1]",
            "[]",
            "[::1]a",
            "[::1%25lo]",
            "ü",
            "a:-1",
        ] {
            assert!(!is_authority(text.as_bytes()), "{text}");
        }
    }
}
