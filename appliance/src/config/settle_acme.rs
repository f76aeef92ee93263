//! The section about ACME: from keys to settings, and what contradicts.

use super::file::Lines;
use super::keys::AcmeKeys;
use super::problem::Problem;
use crate::redirect::Acme;
use crate::redirect::site::ACME_PATH;

/// Characters of a thumbprint: a SHA-256 hash in base64url (RFC 7638, 3).
const THUMBPRINT_BYTES: usize = 43;

pub(super) fn settle_acme(keys: AcmeKeys) -> Option<Acme> {
    let AcmeKeys { issuer, thumbprint } = keys;
    match (issuer.as_str(), thumbprint.as_str()) {
        ("", "") => None,
        ("", _) => Some(Acme::Thumbprint(thumbprint)),
        (issuer, _) => {
            let path = str::from_utf8(ACME_PATH).expect("the path is a text");
            Some(Acme::Redirect(format!("{}/{path}", issuer.trim_end_matches('/'))))
        }
    }
}

/// What nobody could mean.
pub(super) fn contradictions(keys: &AcmeKeys, lines: &Lines) -> Option<Problem> {
    let AcmeKeys { issuer, thumbprint } = keys;
    let problem = |key: &'static str, found: &str, expected: &str, fix: &str| {
        Some(Problem {
            line: lines.of("acme", key),
            key: format!("acme.{key}"),
            found: format!("{found:?}"),
            expected: expected.to_owned(),
            fix: fix.to_owned(),
        })
    };
    if !issuer.is_empty() && !thumbprint.is_empty() {
        let expected = "acme.issuer is set, too, and a challenge has one answer";
        return problem("thumbprint", thumbprint, expected, "remove one of them");
    }
    if !issuer.is_empty() && !is_origin(issuer) {
        let fix = "write something like issuer = \"http://acme.example\"";
        return problem("issuer", issuer, "expected a URL of http or https without a path", fix);
    }
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !thumbprint.is_empty()
        && (thumbprint.len() != THUMBPRINT_BYTES || !thumbprint.bytes().all(is_base64url))
    {
        let expected = "expected 43 characters of A-Z, a-z, 0-9, - and _";
        return problem(
            "thumbprint",
            thumbprint,
            expected,
            "ask your ACME client for the account's thumbprint",
        );
    }
    None
}

/// Whether a URL names a server and nothing else; issuers answer HTTP, because a challenge proves a name that may not have a
/// certificate yet.
fn is_origin(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).unwrap_or_default();
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let is_of_authority = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    !authority.is_empty() && authority.bytes().all(is_of_authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THUMBPRINT: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

    fn parse(section: &str) -> Result<Option<Acme>, Vec<String>> {
        let text = format!("version = 1\n[acme]\n{section}\n");
        let settings = super::super::parse("test.toml".as_ref(), &text, "edge-1");
        let keys =
            |problems: super::super::Problems| problems.problems.into_iter().map(|one| one.key).collect();
        settings.map(|settings| settings.acme).map_err(keys)
    }

    #[test]
    fn challenges_go_to_the_issuer_or_are_answered_by_the_thumbprint() {
        assert_eq!(parse(""), Ok(None));
        for issuer in ["http://acme.example:8080", "http://acme.example:8080/"] {
            let url = "http://acme.example:8080/.well-known/acme-challenge/";
            assert_eq!(parse(&format!("issuer = \"{issuer}\"")), Ok(Some(Acme::Redirect(url.to_owned()))));
        }
        let thumbprint = parse(&format!("thumbprint = \"{THUMBPRINT}\""));
        assert_eq!(thumbprint, Ok(Some(Acme::Thumbprint(THUMBPRINT.to_owned()))));
    }

    #[test]
    fn what_nobody_could_mean_is_named() {
        let check =
            |section: &str, key: &str| assert_eq!(parse(section), Err(vec![key.to_owned()]), "{section}");
        check(&format!("issuer = \"http://a\"\nthumbprint = \"{THUMBPRINT}\""), "acme.thumbprint");
        check("issuer = \"acme.example\"", "acme.issuer");
        check("issuer = \"http://acme.example/path\"", "acme.issuer");
        check("thumbprint = \"short\"", "acme.thumbprint");
    }
}
