//! What a link may lead to: absolute URLs of allowed schemes that no client reads in two ways.

use crate::column::Column;
use crate::refusal::{Reason, Refusal};
use snapshot_format::DESTINATION_BYTES_MAX;
use std::borrow::Cow;
use std::collections::BTreeSet;
use url::Url;

/// Schemes that are allowed unless somebody adds others.
pub const DEFAULT_SCHEMES: [&str; 2] = ["http", "https"];

/// The schemes that destinations may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schemes(BTreeSet<String>);

impl Default for Schemes {
    fn default() -> Self {
        Self(DEFAULT_SCHEMES.map(str::to_owned).into())
    }
}

impl Schemes {
    /// The default schemes and `added`, in any case.
    ///
    /// # Errors
    /// Returns the first text that is no scheme (RFC 3986, 3.1).
    pub fn with_added<'a>(added: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let mut schemes = Self::default();
        for scheme in added {
            if !is_scheme(scheme) {
                return Err(scheme);
            }
            schemes.0.insert(scheme.to_ascii_lowercase());
        }
        Ok(schemes)
    }

    fn allows(&self, scheme: &str) -> bool {
        self.0.contains(scheme)
    }

    fn list(&self) -> String {
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// A destination as it is stored: visible ASCII only.
///
/// One that is written in visible ASCII is kept byte for byte; any other is owned: its WHATWG serialisation.
///
/// # Errors
/// Says why `written` can be no destination.
pub fn check<'w>(written: &'w str, schemes: &Schemes) -> Result<Cow<'w, str>, Refusal> {
    let refuse = |reason, explanation: Cow<'static, str>| {
        Err(Refusal::of_value(reason, Column::Destination, written, explanation))
    };
    if written.len() > DESTINATION_BYTES_MAX {
        let explanation = format!("{} bytes, at most {DESTINATION_BYTES_MAX} are possible", written.len());
        return refuse(Reason::DestinationTooLong, explanation.into());
    }
    let mut is_ascii = true;
    for &byte in written.as_bytes() {
        match byte {
            b'!'..=b'~' => {}
            b' ' => return refuse(Reason::DestinationSpace, "holds a space (write %20)".into()),
            0..=0x1f | 0x7f => {
                let explanation = format!("holds the control byte {byte:#04x}");
                return refuse(Reason::DestinationControlByte, explanation.into());
            }
            0x80.. => is_ascii = false,
        }
    }
    let Some((scheme, rest)) = written.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return refuse(Reason::DestinationNotAbsolute, "begins with no scheme such as https:".into());
    };
    let scheme = ascii_lowercase(scheme);
    if !schemes.allows(&scheme) {
        let explanation = format!("scheme {scheme} is not allowed (allowed are {})", schemes.list());
        return refuse(Reason::DestinationScheme, explanation.into());
    }
    // For these schemes `https:host` and `https:/host` are absolute to one parser and relative to the next.
    let needs_host = matches!(&*scheme, "http" | "https" | "ftp" | "ws" | "wss");
    match rest.strip_prefix("//") {
        None if needs_host => {
            let explanation = format!("no // after {scheme}:");
            return refuse(Reason::DestinationNotAbsolute, explanation.into());
        }
        None => {}
        Some(after) => {
            let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
            if authority.contains('\\') {
                return refuse(Reason::DestinationBackslash, "a backslash before the path".into());
            }
            if needs_host && authority.is_empty() {
                return refuse(Reason::DestinationHostMissing, format!("no host after {scheme}://").into());
            }
        }
    }
    let url = match Url::parse(written) {
        Ok(url) => url,
        Err(url::ParseError::EmptyHost) => {
            return refuse(Reason::DestinationHostMissing, "the host is empty".into());
        }
        Err(error) => return refuse(Reason::DestinationInvalid, error.to_string().into()),
    };
    if needs_host && url.host_str().is_none_or(str::is_empty) {
        return refuse(Reason::DestinationHostMissing, "the host is empty".into());
    }
    if is_ascii {
        return Ok(Cow::Borrowed(written));
    }
    let serialised = String::from(url);
    if serialised.len() > DESTINATION_BYTES_MAX {
        let explanation = format!(
            "{} bytes once percent-encoded, at most {DESTINATION_BYTES_MAX} are possible",
            serialised.len()
        );
        return refuse(Reason::DestinationTooLong, explanation.into());
    }
    if !serialised.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(Reason::DestinationInvalid, "cannot be written in visible ASCII".into());
    }
    Ok(Cow::Owned(serialised))
}

/// RFC 3986, 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn ascii_lowercase(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_one(written: &str, expected: Result<&str, Reason>) {
        let schemes = Schemes::with_added(["FTP", "mailto"]).unwrap();
        let found = check(written, &schemes);
        assert_eq!(found.as_deref().map_err(|refusal| refusal.reason), expected, "{written:?}");
    }

    #[test]
    fn visible_ascii_is_kept_byte_for_byte() {
        for written in [
            "https://a.example",
            "HTTP://A.example:80/../x?q=%2b|{}\"<>#f",
            "https://user:password@a.example/\\path",
            "http://0x7f.1/",
            "http://[::1]:8080/",
            "ftp://a.example/file",
            "mailto:a@b.example",
            "https://a.example/a=%zz",
        ] {
            check_one(written, Ok(written));
        }
    }

    #[test]
    fn other_text_is_stored_as_a_browser_would_send_it() {
        check_one(
            "https://bücher.example/straße?ü#é",
            Ok("https://xn--bcher-kva.example/stra%C3%9Fe?%C3%BC#%C3%A9"),
        );
        check_one("https://例え.jp", Ok("https://xn--r8jz45g.jp/"));
    }

    #[test]
    fn what_clients_read_in_two_ways_is_refused() {
        check_one("", Err(Reason::DestinationNotAbsolute));
        check_one("/relative", Err(Reason::DestinationNotAbsolute));
        check_one("//a.example/", Err(Reason::DestinationNotAbsolute));
        check_one("a.example/x", Err(Reason::DestinationNotAbsolute));
        check_one("1http://a.example/", Err(Reason::DestinationNotAbsolute));
        check_one("https:a.example/", Err(Reason::DestinationNotAbsolute));
        check_one("https:/a.example/", Err(Reason::DestinationNotAbsolute));
        check_one("https:\\\\a.example/", Err(Reason::DestinationNotAbsolute));
        check_one("https:///a.example/", Err(Reason::DestinationHostMissing));
        check_one("https://?", Err(Reason::DestinationHostMissing));
        check_one("https://user@/", Err(Reason::DestinationHostMissing));
        check_one("https://a.example\\@b.example/", Err(Reason::DestinationBackslash));
        check_one("https://a.example/\tb", Err(Reason::DestinationControlByte));
        check_one("https://a.example/\r\nSet-Cookie: x", Err(Reason::DestinationControlByte));
        check_one("https://a.example/\u{7f}", Err(Reason::DestinationControlByte));
        check_one("https://a.example/a b", Err(Reason::DestinationSpace));
        check_one(" https://a.example/", Err(Reason::DestinationSpace));
        check_one("https://a.example:99999/", Err(Reason::DestinationInvalid));
        check_one("https://a.example:x/", Err(Reason::DestinationInvalid));
        check_one("https://a<b/", Err(Reason::DestinationInvalid));
        check_one("javascript:alert(1)", Err(Reason::DestinationScheme));
        check_one("gopher://a.example/", Err(Reason::DestinationScheme));
        check_one("file:///etc/passwd", Err(Reason::DestinationScheme));
    }

    #[test]
    fn the_longest_destination_fits_and_one_byte_more_does_not() {
        let start = "https://a.example/";
        let longest = format!("{start}{}", "x".repeat(DESTINATION_BYTES_MAX - start.len()));
        check_one(&longest, Ok(&longest));
        check_one(&format!("{longest}x"), Err(Reason::DestinationTooLong));
        check_one(&format!("{start}{}", "é".repeat(8_000)), Err(Reason::DestinationTooLong));
    }

    #[test]
    fn what_is_no_scheme_cannot_be_allowed() {
        assert_eq!(Schemes::with_added(["ftp", "no scheme"]), Err("no scheme"));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_visible_ascii_and_accepted_again(written in "(https?://)?\\PC{0,60}") {
            if let Ok(stored) = check(&written, &Schemes::default()) {
                prop_assert!(stored.bytes().all(|byte| byte.is_ascii_graphic()));
                let again = check(&stored, &Schemes::default());
                prop_assert_eq!(again.as_deref(), Ok(&*stored));
            }
        }
    }
}
