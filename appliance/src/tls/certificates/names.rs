//! The host names that one certificate covers.

use snapshot_format::{HOST_BYTES_MAX, canonical_host};

/// Names in canonical form: lower case, no final dot. A wildcard stands for exactly one label (RFC 9525, 6.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Sorted.
    exact: Vec<Box<[u8]>>,
    /// What follows `*.`, sorted.
    wildcards: Vec<Box<[u8]>>,
}

impl Names {
    /// The names as a certificate gives them; what is no host name is left out.
    pub fn new<'n>(written: impl Iterator<Item = &'n str>) -> Self {
        let mut names = Self::default();
        for name in written {
            let mut buffer = [0; HOST_BYTES_MAX];
            let (list, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut names.wildcards, parent),
                None => (&mut names.exact, name),
            };
            if let Ok(host) = canonical_host(name.as_bytes(), &mut buffer) {
                list.push(host.into());
            }
        }
        for list in [&mut names.exact, &mut names.wildcards] {
            list.sort();
            list.dedup();
        }
        names
    }

    /// Whether no client can ask for any of them.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty()
    }

    /// Whether the canonical `host` is covered.
    #[inline]
    pub fn cover(&self, host: &[u8]) -> bool {
        let is_in = |list: &[Box<[u8]>], name: &[u8]| list.binary_search_by(|own| (**own).cmp(name)).is_ok();
        is_in(&self.exact, host) || parent(host).is_some_and(|parent| is_in(&self.wildcards, parent))
    }

    /// Names without a wildcard.
    pub fn exact(&self) -> impl Iterator<Item = &[u8]> {
        self.exact.iter().map(AsRef::as_ref)
    }

    /// What follows `*.` in the names with a wildcard.
    pub fn wildcards(&self) -> impl Iterator<Item = &[u8]> {
        self.wildcards.iter().map(AsRef::as_ref)
    }

    /// All of them as people write them.
    pub fn written(&self) -> Vec<String> {
        let exact = self.exact().map(|name| String::from_utf8_lossy(name).into_owned());
        let wildcards = self.wildcards().map(|name| format!("*.{}", String::from_utf8_lossy(name)));
        exact.chain(wildcards).collect()
    }
}

/// What follows the first label.
#[inline]
pub(super) fn parent(host: &[u8]) -> Option<&[u8]> {
    let dot = memchr::memchr(b'.', host)?;
    Some(&host[dot + 1..]).filter(|parent| dot > 0 && !parent.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_covers_itself_and_a_wildcard_one_label() {
        let names = Names::new(["Go.Example", "*.link.example", "b.example."].into_iter());
        let cases: [(&str, bool); 9] = [
            ("go.example", true),
            ("b.example", true),
            ("a.link.example", true),
            ("link.example", false),
            ("a.b.link.example", false),
            (".link.example", false),
            ("example", false),
            ("xgo.example", false),
            ("", false),
        ];
        for (host, covered) in cases {
            assert_eq!(names.cover(host.as_bytes()), covered, "{host}");
        }
        assert_eq!(names.written(), ["b.example", "go.example", "*.link.example"]);
    }
}
