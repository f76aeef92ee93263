//! Which answers are no clicks, and by which parameter a link asks not to be tracked.

/// What is no click, and who does not want to be one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Paths, without the leading slash, that browsers and crawlers ask for by themselves; `*` at the end stands for any rest.
    pub ignored_paths: Vec<String>,
    /// Domains by their canonical names that only probes ask for.
    pub ignored_domains: Vec<String>,
    /// Name of the query parameter by which a link asks not to be tracked; empty: none.
    pub no_track_parameter: String,
}

impl Rules {
    #[inline]
    pub(super) fn ignores(&self, domain: &[u8], path: &[u8]) -> bool {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => path.starts_with(start.as_bytes()),
            None => path == pattern.as_bytes(),
        };
        self.ignored_paths.iter().any(matches)
            || self.ignored_domains.iter().any(|ignored| domain == ignored.as_bytes())
    }

    /// Whether `query` holds the parameter with another value than `0`.
    #[inline]
    pub fn asks_not_to_be_tracked(&self, query: Option<&[u8]>) -> bool {
        let (Some(query), false) = (query, self.no_track_parameter.is_empty()) else { return false };
        let asks = |pair: &[u8]| match pair.strip_prefix(self.no_track_parameter.as_bytes()) {
            Some(b"" | b"=") => true,
            Some([b'=', value @ ..]) => value != b"0",
            Some(_) | None => false,
        };
        query.split(|&byte| byte == b'&').any(asks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_asks_not_to_be_tracked_unless_its_value_is_0() {
        let rules = Rules { no_track_parameter: "nt".into(), ..Rules::default() };
        let check = |query: Option<&str>, expected| {
            assert_eq!(rules.asks_not_to_be_tracked(query.map(str::as_bytes)), expected, "{query:?}");
        };
        check(None, false);
        check(Some("nt"), true);
        check(Some("a=b&nt=1"), true);
        check(Some("nt=&c"), true);
        check(Some("nt=0"), false);
        check(Some("ntx=1&xnt=1"), false);
    }
}
