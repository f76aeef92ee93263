//! Documents of a domain as people write them: texts as they are, images in Base64; checked, so that clients can use them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use snapshot_format::site::PNG;
use snapshot_format::{DOCUMENT_BYTES_MAX, Document};

/// The first bytes of an icon: its reserved field, and type 1.
const ICO: &[u8] = b"\0\0\x01\0";

/// Where ACME looks for the answers to its challenges (RFC 8555, 8.3), without the leading slash.
const ACME: &[u8] = b".well-known/acme-challenge/";

/// The content that `text` stands for; an empty text is no document.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn parse(document: Document, text: &str) -> Result<Vec<u8>, String> {
    let content = match document {
        _ if text.is_empty() => return Ok(Vec::new()),
        Document::Favicon => {
            let packed: String = text.split_ascii_whitespace().collect();
            STANDARD.decode(packed).map_err(|error| format!("favicon_ico is an image in Base64: {error}"))?
        }
        Document::Robots | Document::Security | Document::AssetLinks | Document::AppleAppSiteAssociation => {
            text.as_bytes().to_vec()
        }
    };
    if content.len() > DOCUMENT_BYTES_MAX {
        return Err(format!(
            "{} bytes are too many: a document has at most {DOCUMENT_BYTES_MAX}",
            content.len()
        ));
    }
    match document {
        Document::Favicon if !content.starts_with(ICO) && !content.starts_with(PNG) => {
            Err("favicon_ico is neither an icon (ICO) nor a PNG image".to_owned())
        }
        Document::AssetLinks | Document::AppleAppSiteAssociation => {
            match serde_json::from_slice::<serde_json::Value>(&content) {
                Ok(_) => Ok(content),
                Err(error) => Err(format!("{} is no JSON: {error}", document.key())),
            }
        }
        Document::Security if ["Contact:", "Expires:"].iter().any(|field| !has_field(text, field)) => {
            Err("security_txt needs the fields Contact and Expires (RFC 9116, 2.5)".to_owned())
        }
        Document::Robots | Document::Security | Document::Favicon => Ok(content),
    }
}

/// The text that [`parse`] makes `content` of.
pub fn render(document: Document, content: &[u8]) -> String {
    match document {
        Document::Favicon => STANDARD.encode(content),
        Document::Robots | Document::Security | Document::AssetLinks | Document::AppleAppSiteAssociation => {
            String::from_utf8_lossy(content).into_owned()
        }
    }
}

/// Whether a node answers this code by itself instead of with its link: always for ACME, else where the domain has such a
/// document.
pub fn shadows(code: &[u8], has: impl Fn(Document) -> bool) -> Option<bool> {
    if code.starts_with(ACME) {
        return Some(true);
    }
    Document::of_path(code).map(has)
}

fn has_field(text: &str, field: &str) -> bool {
    text.lines().any(|line| line.get(..field.len()).is_some_and(|start| start.eq_ignore_ascii_case(field)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_read_back_as_they_were_written() {
        let check = |document, text: &str| {
            let content = parse(document, text).unwrap();
            assert_eq!(render(document, &content), text);
        };
        check(Document::Robots, "User-agent: *\nDisallow:\n");
        check(Document::Security, "contact: mailto:a@b.example\nExpires: 2030-01-01T00:00:00Z\n");
        check(Document::AssetLinks, "[]");
        check(Document::Favicon, "AAABAAEA");
        check(Document::Favicon, "iVBORw0KGgo=");
        check(Document::AppleAppSiteAssociation, "");
    }

    #[test]
    fn what_clients_could_not_use_is_refused() {
        let check = |document, text: &str, start: &str| {
            let message = parse(document, text).unwrap_err();
            assert!(message.starts_with(start), "{message}");
        };
        check(Document::Favicon, "R0lGODlh", "favicon_ico is neither");
        check(Document::Favicon, "?", "favicon_ico is an image in Base64");
        check(Document::AssetLinks, "{", "assetlinks_json is no JSON");
        check(Document::Security, "Contact: mailto:a@b.example\n", "security_txt needs");
        check(Document::Robots, &"#".repeat(16_385), "16385 bytes are too many");
    }

    #[test]
    fn codes_that_a_node_answers_by_itself_are_known() {
        let check = |code: &str, expected| {
            assert_eq!(shadows(code.as_bytes(), |one| one == Document::Robots), expected);
        };
        check("abc", None);
        check("robots.txt", Some(true));
        check("favicon.ico", Some(false));
        check(".well-known/acme-challenge/a", Some(true));
    }
}
