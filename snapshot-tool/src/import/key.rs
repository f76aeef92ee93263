//! From what origins call a key (a path, a host with a path, a whole short URL) to domain and code.

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    /// Host that the key names.
    pub(super) host: Option<&'a str>,
    /// Code without the slash in front; empty for the root of the domain.
    pub(super) code: &'a str,
    /// What follows a question mark.
    pub(super) query: Option<&'a str>,
    /// `http` or `https`, where the key says one.
    pub(super) scheme: Option<&'a str>,
}

/// Reads a short URL: `https://go.example/a`, `go.example/a`, `//go.example/a`.
pub(super) fn of_url(text: &str) -> Key<'_> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text.strip_prefix("//").unwrap_or(text)),
    };
    let (host, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
    Key { host: Some(host), scheme, ..of_path(path) }
}

/// Reads a path: `/a`, `a`.
pub(super) fn of_path(text: &str) -> Key<'_> {
    let path = text.split_once('#').map_or(text, |(path, _)| path);
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    Key { host: None, code: path.strip_prefix('/').unwrap_or(path), query, scheme: None }
}

/// Reads what a redirect map has for a key: a path where it begins with a slash, a URL where something before its first
/// slash looks like a host, else a bare code.
pub(super) fn of_map(text: &str) -> Key<'_> {
    if text.starts_with('/') && !text.starts_with("//") {
        return of_path(text);
    }
    let before_slash = text.split('/').next().unwrap_or_default();
    let host = before_slash.split(':').next().unwrap_or_default();
    let looks_like_host = host.contains('.') || host == "localhost";
    if text.contains("://") || text.starts_with("//") || (looks_like_host && text.contains('/')) {
        of_url(text)
    } else {
        of_path(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: Key<'_>, host: Option<&str>, code: &str, query: Option<&str>) {
        assert_eq!((key.host, key.code, key.query), (host, code, query));
    }

    #[test]
    fn short_urls_paths_and_bare_codes_are_told_apart() {
        check(of_url("https://go.example/a/b"), Some("go.example"), "a/b", None);
        check(of_url("go.example/a?x=1#top"), Some("go.example"), "a", Some("x=1"));
        check(of_url("go.example"), Some("go.example"), "", None);
        check(of_url("https://go.example?x"), Some("go.example"), "", Some("x"));
        check(of_path("/a"), None, "a", None);
        check(of_path("/"), None, "", None);
        check(of_map("/a.b/c"), None, "a.b/c", None);
        check(of_map("go.example/a"), Some("go.example"), "a", None);
        check(of_map("go.example:8080/a"), Some("go.example:8080"), "a", None);
        check(of_map("report.pdf"), None, "report.pdf", None);
        check(of_map("a/b"), None, "a/b", None);
        check(of_map("//go.example/a"), Some("go.example"), "a", None);
    }
}
