//! HOT: the host of a Referer field, which is all of it that a record keeps.

use memchr::memchr;

use crate::limits::REFERER_BYTES_SEEN;

/// The host in `referer`, without user, port, path and query; empty where there is none.
///
/// A path may hold what only the referring site should know, so that it never enters a record.
#[inline]
pub fn host(referer: &[u8]) -> &[u8] {
    let seen = &referer[..referer.len().min(REFERER_BYTES_SEEN)];
    let Some(colon) = memchr(b':', seen) else { return b"" };
    let Some(rest) = seen[colon..].strip_prefix(b"://") else { return b"" };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\')).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = match authority.iter().rposition(|&byte| byte == b'@') {
        Some(at) => &authority[at + 1..],
        None => authority,
    };
    if host.first() == Some(&b'[') {
        return memchr(b']', host).map_or(b"", |end| &host[..=end]);
    }
    memchr(b':', host).map_or(host, |colon| &host[..colon])
}

#[cfg(test)]
mod tests {
    fn check(referer: &str, expected: &str) {
        assert_eq!(super::host(referer.as_bytes()), expected.as_bytes(), "{referer:?}");
    }

    #[test]
    fn the_host_is_kept_and_nothing_else() {
        check("https://news.example/story?id=7#top", "news.example");
        check("http://user:secret@news.example:8080/", "news.example");
        check("android-app://com.example.reader", "com.example.reader");
        check("https://[2001:db8::1]:80/x", "[2001:db8::1]");
        check("https://news.example", "news.example");
        check("https:///path", "");
        check("about:blank", "");
        check("mail/of?somebody", "");
        check("", "");
    }
}
