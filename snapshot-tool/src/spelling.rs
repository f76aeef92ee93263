//! A link in words: values that an input would have for it, for exports, differences and answers to people.

use crate::column::Column;
use crate::moment;
use snapshot_format::{Domain, Link, TrailingSlash};
use std::borrow::Cow;
use std::fmt::Write as _;

/// The value of each column, in the order of [`Column::ALL`]; `None`: the column would be empty.
pub type Values<'s> = [Option<Cow<'s, str>>; Column::COUNT];

/// What a row must say to become this link again.
pub fn values<'s>(domain: &Domain<'s>, link: &Link<'s>) -> Values<'s> {
    let Link {
        domain: _,
        code,
        destination,
        status,
        query,
        disabled,
        deleted,
        not_before_unix_s,
        expires_unix_s,
        version,
        policy: _,
    } = *link;
    let flag = |set: bool| set.then_some(Cow::Borrowed("true"));
    let moment = |unix_s: Option<u64>| unix_s.map(|unix_s| Cow::Owned(moment::render(unix_s)));
    Column::ALL.map(|column| match column {
        Column::Domain => Some(domain_name(domain)),
        Column::Code => Some(code_as_written(code, domain.trailing_slash)),
        Column::Destination => Some(String::from_utf8_lossy(destination)),
        Column::Status => status.map(|status| Cow::Borrowed(status.name())),
        Column::Disabled => flag(disabled),
        Column::Deleted => flag(deleted),
        Column::Query => query.map(|query| Cow::Borrowed(query.name())),
        Column::NotBefore => moment(not_before_unix_s),
        Column::Expires => moment(expires_unix_s),
        Column::Version => (version != 0).then(|| Cow::Owned(version.to_string())),
    })
}

fn domain_name<'s>(domain: &Domain<'s>) -> Cow<'s, str> {
    if domain.wildcard { Cow::Owned(domain.display_name()) } else { String::from_utf8_lossy(domain.name) }
}

/// A text whose canonical form is `code`: bytes that are no UTF-8 are percent-encoded, and where one slash at the end
/// is taken off, one is put on.
pub fn code_as_written(code: &[u8], trailing_slash: TrailingSlash) -> Cow<'_, str> {
    let mut text = match str::from_utf8(code) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(with_escapes(code)),
    };
    if trailing_slash == TrailingSlash::Ignore && code.ends_with(b"/") {
        text.to_mut().push('/');
    }
    text
}

fn with_escapes(code: &[u8]) -> String {
    let mut text = String::with_capacity(code.len() * 3);
    for chunk in code.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use snapshot_format::{CODE_BYTES_MAX, CaseMode, canonical_code};

    proptest! {
        #[test]
        fn a_canonical_code_is_the_canonical_form_of_how_it_is_written(
            raw in proptest::collection::vec(any::<u8>(), 1..60), strict: bool, fold: bool
        ) {
            let slash = if strict { TrailingSlash::Strict } else { TrailingSlash::Ignore };
            let case = if fold { CaseMode::Insensitive } else { CaseMode::Sensitive };
            let (mut once, mut twice) = ([0; CODE_BYTES_MAX], [0; CODE_BYTES_MAX]);
            if let Ok(code) = canonical_code(&raw, case, slash, &mut once) {
                let written = code_as_written(code, slash);
                prop_assert_eq!(canonical_code(written.as_bytes(), case, slash, &mut twice), Ok(code));
            }
        }
    }
}
