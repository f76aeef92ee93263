//! HOT: the record of one link: 16 fixed bytes, the code, the destination, and what few links have.

use crate::layout::{u16_at, u32_at, u64_at};
use crate::limits::{CODE_BYTES_MAX, DESTINATION_BYTES_MAX};
use crate::values::{QueryMode, Status};

/// Bytes before the code.
pub const FIXED_BYTES: usize = 16;

/// Records begin at multiples of this, counted from the start of their section.
pub const RECORD_ALIGNMENT: usize = 8;

const _: () = assert!(DESTINATION_BYTES_MAX <= u16::MAX as usize && CODE_BYTES_MAX <= u8::MAX as usize);

/// Offsets of the fixed fields.
mod field {
    pub(super) const DOMAIN: usize = 0;
    pub(super) const DESTINATION_BYTES: usize = 4;
    pub(super) const CODE_BYTES: usize = 6;
    /// Bits 0 to 2: status, 0 for the domain's. Bits 3 and 4: query mode, 0 for the domain's.
    pub(super) const CHOICES: usize = 7;
    pub(super) const FLAGS: usize = 8;
    /// Zero.
    pub(super) const RESERVED: usize = 10;
    pub(super) const VERSION: usize = 12;
    const _: () = assert!(VERSION + 4 == super::FIXED_BYTES);
}

const DISABLED: u16 = 1;
const DELETED: u16 = 1 << 1;
/// A second, equal row of the input: present in the file, never found, never listed.
pub(crate) const SUPERSEDED: u16 = 1 << 2;
const HAS_NOT_BEFORE: u16 = 1 << 3;
const HAS_EXPIRY: u16 = 1 << 4;
const HAS_POLICY: u16 = 1 << 5;
const KNOWN_FLAGS: u16 = DISABLED | DELETED | SUPERSEDED | HAS_NOT_BEFORE | HAS_EXPIRY | HAS_POLICY;

/// Where the flags of a record lie, from its start.
pub(crate) const FLAGS_OFFSET: u64 = field::FLAGS as u64;

/// One link: its key (domain, code) and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link<'s> {
    /// Id of the domain: its place in the domain table.
    pub domain: u32,
    /// Canonical code, 1 to 255 bytes.
    pub code: &'s [u8],
    /// Destination as it is put into `Location`, at most 32,768 bytes.
    pub destination: &'s [u8],
    /// Status of the redirect; `None`: the domain's default.
    pub status: Option<Status>,
    /// What happens to the query; `None`: the domain's default.
    pub query: Option<QueryMode>,
    /// Switched off; may come back.
    pub disabled: bool,
    /// Gone for good; the key stays so that the answer is 410.
    pub deleted: bool,
    /// First second at which the link works, since 1970.
    pub not_before_unix_s: Option<u64>,
    /// First second at which it no longer works, since 1970.
    pub expires_unix_s: Option<u64>,
    /// Version of this link in the source of truth; 0 where that keeps none.
    pub version: u32,
    /// Reference to a policy (rules), for sections that later versions define.
    pub policy: Option<u32>,
}

/// A record found at some place of the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<'s> {
    /// The link that it holds.
    pub link: Link<'s>,
    /// Whether it is a repeated row that must not be listed.
    pub superseded: bool,
    /// Its length without padding.
    pub bytes: usize,
}

/// Reads the record at the start of `bytes`; `None` if these bytes are none.
#[inline]
pub fn decode(bytes: &[u8]) -> Option<Decoded<'_>> {
    let fixed = bytes.first_chunk::<FIXED_BYTES>()?;
    let code_bytes = usize::from(fixed[field::CODE_BYTES]);
    let destination_bytes = usize::from(u16_at(fixed, field::DESTINATION_BYTES));
    let flags = u16_at(fixed, field::FLAGS);
    let choices = fixed[field::CHOICES];
    let reserved = u16_at(fixed, field::RESERVED);
    if code_bytes == 0 || flags & !KNOWN_FLAGS != 0 || choices & !0b1_1111 != 0 || reserved != 0 {
        return None;
    }
    let (code, rest) = bytes.get(FIXED_BYTES..)?.split_at_checked(code_bytes)?;
    let (destination, mut rest) = rest.split_at_checked(destination_bytes)?;
    if destination_bytes > DESTINATION_BYTES_MAX {
        return None;
    }
    let mut length = FIXED_BYTES + code_bytes + destination_bytes;
    let mut not_before_unix_s = None;
    let mut expires_unix_s = None;
    let mut policy = None;
    if flags & HAS_NOT_BEFORE != 0 {
        not_before_unix_s = Some(u64_at(rest.get(..8)?, 0));
        rest = &rest[8..];
        length += 8;
    }
    if flags & HAS_EXPIRY != 0 {
        expires_unix_s = Some(u64_at(rest.get(..8)?, 0));
        rest = &rest[8..];
        length += 8;
    }
    if flags & HAS_POLICY != 0 {
        policy = Some(u32_at(rest.get(..4)?, 0));
        length += 4;
    }
    let link = Link {
        domain: u32_at(fixed, field::DOMAIN),
        code,
        destination,
        status: optional(choices & 0b111, Status::from_byte)?,
        query: optional(choices >> 3, QueryMode::from_byte)?,
        disabled: flags & DISABLED != 0,
        deleted: flags & DELETED != 0,
        not_before_unix_s,
        expires_unix_s,
        version: u32_at(fixed, field::VERSION),
        policy,
    };
    Some(Decoded { link, superseded: flags & SUPERSEDED != 0, bytes: length })
}

/// 0 is nothing, any other byte must mean something.
#[inline]
fn optional<T>(byte: u8, meaning: fn(u8) -> Option<T>) -> Option<Option<T>> {
    if byte == 0 { Some(None) } else { meaning(byte).map(Some) }
}

/// Whether the record at the start of `bytes` has this key. Reads nothing behind the code.
#[inline]
pub fn has_key(bytes: &[u8], domain: u32, code: &[u8]) -> bool {
    bytes.len() >= FIXED_BYTES
        && u32_at(bytes, field::DOMAIN) == domain
        && usize::from(bytes[field::CODE_BYTES]) == code.len()
        && bytes.get(FIXED_BYTES..FIXED_BYTES + code.len()) == Some(code)
}

/// Why a link cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// No code, or one longer than [`CODE_BYTES_MAX`].
    #[error("a code of {0} bytes: 1 to {CODE_BYTES_MAX} are possible")]
    CodeBytes(usize),
    /// A destination longer than [`DESTINATION_BYTES_MAX`].
    #[error("a destination of {0} bytes: at most {DESTINATION_BYTES_MAX} are possible")]
    DestinationBytes(usize),
}

/// Appends the record of `link` to `output`, without padding.
///
/// # Errors
/// If code or destination have an impossible length; `output` is then unchanged.
pub fn encode(link: &Link<'_>, output: &mut Vec<u8>) -> Result<(), RecordError> {
    let Link {
        domain,
        code,
        destination,
        status,
        query,
        disabled,
        deleted,
        not_before_unix_s,
        expires_unix_s,
        version,
        policy,
    } = *link;
    if code.is_empty() || code.len() > CODE_BYTES_MAX {
        return Err(RecordError::CodeBytes(code.len()));
    }
    if destination.len() > DESTINATION_BYTES_MAX {
        return Err(RecordError::DestinationBytes(destination.len()));
    }
    let flag = |set: bool, bit: u16| if set { bit } else { 0 };
    let flags = flag(disabled, DISABLED)
        | flag(deleted, DELETED)
        | flag(not_before_unix_s.is_some(), HAS_NOT_BEFORE)
        | flag(expires_unix_s.is_some(), HAS_EXPIRY)
        | flag(policy.is_some(), HAS_POLICY);
    output.extend_from_slice(&domain.to_le_bytes());
    output.extend_from_slice(&(destination.len() as u16).to_le_bytes());
    output.push(code.len() as u8);
    output.push(status.map_or(0, Status::byte) | query.map_or(0, QueryMode::byte) << 3);
    output.extend_from_slice(&flags.to_le_bytes());
    output.extend_from_slice(&[0, 0]);
    output.extend_from_slice(&version.to_le_bytes());
    output.extend_from_slice(code);
    output.extend_from_slice(destination);
    for time in [not_before_unix_s, expires_unix_s].into_iter().flatten() {
        output.extend_from_slice(&time.to_le_bytes());
    }
    if let Some(policy) = policy {
        output.extend_from_slice(&policy.to_le_bytes());
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A link with every optional part, to vary from.
    pub(crate) fn full_link() -> Link<'static> {
        Link {
            domain: 3,
            code: b"code",
            destination: b"https://destination.example/",
            status: Some(Status::PermanentRedirect),
            query: Some(QueryMode::Append),
            disabled: true,
            deleted: true,
            not_before_unix_s: Some(1),
            expires_unix_s: Some(u64::MAX),
            version: 9,
            policy: Some(77),
        }
    }

    fn check_round_trip(link: &Link<'_>) {
        let mut bytes = Vec::new();
        encode(link, &mut bytes).unwrap();
        let decoded = decode(&bytes).unwrap();
        assert_eq!((decoded.link, decoded.superseded, decoded.bytes), (*link, false, bytes.len()));
        assert!(has_key(&bytes, link.domain, link.code));
        assert!(!has_key(&bytes, link.domain + 1, link.code));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn every_combination_of_optional_parts_reads_back() {
        for bits in 0..64_u8 {
            let full = full_link();
            let kept = |bit: u8| bits & 1 << bit != 0;
            check_round_trip(&Link {
                status: full.status.filter(|_| kept(0)),
                query: full.query.filter(|_| kept(1)),
                not_before_unix_s: full.not_before_unix_s.filter(|_| kept(2)),
                expires_unix_s: full.expires_unix_s.filter(|_| kept(3)),
                policy: full.policy.filter(|_| kept(4)),
                disabled: kept(5),
                ..full
            });
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Some(decoded) = decode(&bytes) {
                prop_assert!(decoded.bytes <= bytes.len());
                let mut again = Vec::new();
                encode(&decoded.link, &mut again).unwrap();
                prop_assert_eq!(again.len(), decoded.bytes);
            }
        }
    }
}
