//! The signed document: one line that says what it is, a line per signature, an empty line, a body.

use crate::content::fixed_hex;
use crate::key::{PublicKey, SecretKey};
use crate::limits::{DENY_BYTES_MAX, DOCUMENT_BYTES_MAX, SIGNATURES_MAX};
use crate::refusal::Refusal;

/// What a document is. It is signed together with the body, so that no document passes for one of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Who may sign what.
    Root,
    /// What a content consists of.
    Manifest,
    /// Which content is served now.
    Pointer,
    /// Which links and destinations are blocked.
    Deny,
    /// Who published what.
    Record,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Root, Self::Manifest, Self::Pointer, Self::Deny, Self::Record];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Manifest => "manifest",
            Self::Pointer => "pointer",
            Self::Deny => "deny",
            Self::Record => "record",
        }
    }

    /// Bytes that such a document may have.
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Root | Self::Manifest | Self::Pointer | Self::Record => DOCUMENT_BYTES_MAX,
            Self::Deny => DENY_BYTES_MAX,
        }
    }

    fn first_line(self) -> String {
        format!("carom-channel 1 {}\n", self.name())
    }
}

const SIGNED_BY: &str = "signed-by ";

/// A document whose signatures have been read, and not yet believed.
#[derive(Clone, Debug)]
pub struct Document<'b> {
    kind: Kind,
    signatures: Vec<(PublicKey, [u8; 64])>,
    body: &'b [u8],
}

impl<'b> Document<'b> {
    /// Reads the envelope of a document of this kind.
    ///
    /// # Errors
    /// Anything that is not exactly such a document.
    pub fn parse(kind: Kind, bytes: &'b [u8]) -> Result<Self, Refusal> {
        if bytes.len() > kind.bytes_max() {
            return Err(Refusal::TooLarge { bytes_max: kind.bytes_max() as u64 });
        }
        let malformed = |what: &str| Refusal::Malformed { kind, what: what.to_owned() };
        let rest = bytes
            .strip_prefix(kind.first_line().as_bytes())
            .ok_or_else(|| malformed("it does not begin with the line of its kind and version"))?;
        let mut document = Self { kind, signatures: Vec::new(), body: rest };
        loop {
            let end = document.body.iter().position(|&byte| byte == b'\n');
            let end = end.ok_or_else(|| malformed("no empty line ends its signatures"))?;
            let (line, rest) = (&document.body[..end], &document.body[end + 1..]);
            document.body = rest;
            if line.is_empty() {
                return Ok(document);
            }
            if document.signatures.len() == SIGNATURES_MAX {
                return Err(malformed("it has more signatures than any threshold needs"));
            }
            let signature = signature(line).ok_or_else(|| malformed("a line is no signature"))?;
            if document.signatures.iter().any(|(key, _)| *key == signature.0) {
                return Err(malformed("one key has signed it twice"));
            }
            document.signatures.push(signature);
        }
    }

    /// The body, if at least `threshold` of `keys` have signed it.
    ///
    /// # Errors
    /// Too few signatures of these keys.
    pub fn body_signed_by(&self, keys: &[PublicKey], threshold: usize) -> Result<&'b [u8], Refusal> {
        let message = message(self.kind, self.body);
        let good = |(key, signature): &&(PublicKey, [u8; 64])| {
            keys.contains(key) && key.verifies(&message, signature)
        };
        // Parsing has made sure that keys are distinct: one key cannot meet a threshold of two.
        let found = self.signatures.iter().filter(good).count();
        if threshold == 0 || found < threshold {
            return Err(Refusal::NotSigned { kind: self.kind, found, threshold });
        }
        Ok(self.body)
    }

    /// Who claims to have signed.
    pub fn signers(&self) -> impl Iterator<Item = PublicKey> {
        self.signatures.iter().map(|(key, _)| *key)
    }
}

/// A signed document as bytes; a key that is given twice signs once.
pub fn seal(kind: Kind, body: &[u8], keys: &[&SecretKey]) -> Vec<u8> {
    let message = message(kind, body);
    let mut bytes = kind.first_line().into_bytes();
    let mut signers = Vec::new();
    for key in keys {
        if signers.contains(&key.public()) {
            continue;
        }
        signers.push(key.public());
        let signature = hex::encode(key.sign(&message));
        bytes.extend_from_slice(format!("{SIGNED_BY}{} {signature}\n", key.public()).as_bytes());
    }
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    assert!(Document::parse(kind, &bytes).is_ok(), "what is written can be read");
    bytes
}

fn signature(line: &[u8]) -> Option<(PublicKey, [u8; 64])> {
    let (key, signature) = str::from_utf8(line).ok()?.strip_prefix(SIGNED_BY)?.split_once(' ')?;
    Some((key.parse().ok()?, fixed_hex(signature)?))
}

fn message(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut message = kind.first_line().into_bytes();
    message.extend_from_slice(body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: u8) -> SecretKey {
        SecretKey::from_seed(&[number; 32])
    }

    #[test]
    fn a_threshold_is_met_by_distinct_known_keys_only() {
        let (one, two, stranger) = (key(1), key(2), key(3));
        let known = [one.public(), two.public()];
        let check = |keys: &[&SecretKey], threshold, expected: bool| {
            let bytes = seal(Kind::Pointer, b"{}", keys);
            let document = Document::parse(Kind::Pointer, &bytes).unwrap();
            assert_eq!(document.body_signed_by(&known, threshold).is_ok(), expected, "{keys:?} {threshold}");
        };
        check(&[&one], 1, true);
        check(&[&one], 2, false);
        check(&[&one, &two], 2, true);
        check(&[&one, &stranger], 2, false);
        check(&[&stranger], 1, false);
        check(&[], 1, false);
        check(&[&one], 0, false);
        // The same signature line twice.
        let bytes = seal(Kind::Pointer, b"{}", &[&one]);
        let text = String::from_utf8(bytes).unwrap();
        let line = text.lines().nth(1).unwrap().to_owned() + "\n";
        let twice = text.replace(&line, &line.repeat(2));
        assert!(Document::parse(Kind::Pointer, twice.as_bytes()).is_err());
    }

    #[test]
    fn a_document_passes_for_no_other_kind() {
        let one = key(1);
        for kind in Kind::ALL {
            let bytes = seal(kind, b"body", &[&one]);
            for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
                assert!(Document::parse(other, &bytes).is_err());
                let text = String::from_utf8(bytes.clone()).unwrap();
                let renamed = text.replacen(kind.name(), other.name(), 1);
                let document = Document::parse(other, renamed.as_bytes()).unwrap();
                assert!(document.body_signed_by(&[one.public()], 1).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read(bytes: Vec<u8>, signatures in "(signed-by [ -~]{0,20}\n){0,3}") {
            let mut forged = Kind::Deny.first_line().into_bytes();
            forged.extend_from_slice(signatures.as_bytes());
            forged.extend_from_slice(&bytes);
            for bytes in [&bytes, &forged] {
                if let Ok(document) = Document::parse(Kind::Deny, bytes) {
                    prop_assert!(document.body_signed_by(&[key(1).public()], 1).is_err());
                }
            }
        }

        #[test]
        fn one_changed_byte_is_noticed(body: Vec<u8>, at: prop::sample::Index, flip in 1_u8..) {
            let one = key(1);
            let mut bytes = seal(Kind::Manifest, &body, &[&one]);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let believed = Document::parse(Kind::Manifest, &bytes)
                .and_then(|document| document.body_signed_by(&[one.public()], 1).map(<[u8]>::to_vec));
            prop_assert!(believed.is_err());
        }
    }
}
