//! HOT: the one definition of what a host and a code mean, for the builder and the node alike.
//!
//! Two spellings that reach the same link have one canonical form. Both functions are idempotent, write into a buffer
//! of the caller, and refuse what could never be a key.

use crate::limits::{CODE_BYTES_MAX, HOST_BYTES_MAX};
use crate::values::{CaseMode, TrailingSlash};

/// Why a text cannot be a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing is left once port and trailing dot are gone.
    #[error("the host is empty")]
    Empty,
    /// More than [`HOST_BYTES_MAX`] bytes.
    #[error("the host is longer than {HOST_BYTES_MAX} bytes")]
    TooLong,
    /// A byte other than an ASCII letter, digit, `-`, `_` or `.`.
    #[error("the host holds the byte {0:#04x}, which no host name has")]
    BadByte(u8),
    /// Two dots in a row, or a dot in front.
    #[error("the host has an empty label")]
    EmptyLabel,
    /// What follows the colon is no port.
    #[error("the port is not a number of at most five digits")]
    BadPort,
    /// An IPv6 address in brackets, which no domain of a snapshot can be.
    #[error("the host is an address in brackets")]
    AddressLiteral,
}

/// Why a path cannot be a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Nothing is left: this is the root of the domain.
    #[error("the code is empty")]
    Empty,
    /// More than [`CODE_BYTES_MAX`] bytes in canonical form.
    #[error("the code is longer than {CODE_BYTES_MAX} bytes")]
    TooLong,
    /// A NUL, raw or as `%00`.
    #[error("the code holds a NUL")]
    Nul,
    /// A control byte, raw or percent-encoded.
    #[error("the code holds the control byte {0:#04x}")]
    ControlByte(u8),
    /// A `%` without two hexadecimal digits behind it.
    #[error("a percent sign is not followed by two hexadecimal digits (write %25 for a percent sign)")]
    BadEscape,
}

/// Canonical form of a `Host` field or of a domain name: no port, no trailing dot, ASCII letters in lower case.
///
/// International names are expected in their ASCII form (`xn--`): the builder converts them, clients already do.
///
/// # Errors
/// Says why `raw` can be no host of a snapshot.
pub fn canonical_host<'b>(raw: &[u8], buffer: &'b mut [u8; HOST_BYTES_MAX]) -> Result<&'b [u8], HostError> {
    if raw.first() == Some(&b'[') {
        return Err(HostError::AddressLiteral);
    }
    let mut length = 0;
    let mut previous = b'.';
    let mut bytes = raw.iter();
    for &byte in bytes.by_ref() {
        let byte = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => byte,
            b'A'..=b'Z' => byte | 0x20,
            b'.' if previous == b'.' => {
                return Err(if raw == b"." { HostError::Empty } else { HostError::EmptyLabel });
            }
            b'.' => byte,
            b':' => {
                check_port(bytes.as_slice())?;
                break;
            }
            _ => return Err(HostError::BadByte(byte)),
        };
        // One place beyond the bound is given to a trailing dot, which does not count.
        if let Some(place) = buffer.get_mut(length) {
            *place = byte;
        } else if byte != b'.' || length > HOST_BYTES_MAX {
            return Err(HostError::TooLong);
        }
        length += 1;
        previous = byte;
    }
    if length > 0 && previous == b'.' {
        length -= 1;
    }
    match buffer.get(..length) {
        Some([]) => Err(HostError::Empty),
        Some(host) => Ok(host),
        None => Err(HostError::TooLong),
    }
}

fn check_port(port: &[u8]) -> Result<(), HostError> {
    // An empty port is allowed by RFC 3986, 3.2.3.
    if port.len() <= 5 && port.iter().all(u8::is_ascii_digit) { Ok(()) } else { Err(HostError::BadPort) }
}

/// Canonical form of a code: the path of a request without its leading slash, or a code as people write it.
///
/// Percent-encoded bytes are decoded, except `%2F` (a slash within a code is not a path separator), `%25` and `%20`,
/// which stay, with upper-case digits. A raw space becomes `%20`. Dot segments are not touched. ASCII letters are
/// folded for [`CaseMode::Insensitive`]; slashes at the end are taken off for [`TrailingSlash::Ignore`].
///
/// # Errors
/// Says why `raw` can be no code; [`CodeError::Empty`] is the root of the domain.
pub fn canonical_code<'b>(
    raw: &[u8],
    case: CaseMode,
    trailing_slash: TrailingSlash,
    buffer: &'b mut [u8; CODE_BYTES_MAX],
) -> Result<&'b [u8], CodeError> {
    let mut length = 0;
    let mut rest = raw;
    if trailing_slash == TrailingSlash::Ignore {
        while let [before @ .., b'/'] = rest {
            rest = before;
        }
    }
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) else {
                    return Err(CodeError::BadEscape);
                };
                (high << 4 | low, after)
            }
            (b'%', _) => return Err(CodeError::BadEscape),
            (&byte, after) => (byte, after),
        };
        let kept_escape: &[u8] = match byte {
            0 => return Err(CodeError::Nul),
            1..=0x1f | 0x7f => return Err(CodeError::ControlByte(byte)),
            b' ' => b"%20",
            b'%' => b"%25",
            b'/' if *first == b'%' => b"%2F",
            _ => b"",
        };
        if kept_escape.is_empty() {
            let byte = match case {
                CaseMode::Sensitive => byte,
                CaseMode::Insensitive => byte.to_ascii_lowercase(),
            };
            *buffer.get_mut(length).ok_or(CodeError::TooLong)? = byte;
            length += 1;
        } else {
            let places = buffer.get_mut(length..length + kept_escape.len()).ok_or(CodeError::TooLong)?;
            places.copy_from_slice(kept_escape);
            length += kept_escape.len();
        }
        rest = after;
    }
    match buffer.get(..length) {
        Some([]) | None => Err(CodeError::Empty),
        Some(code) => Ok(code),
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_host(raw: &str, expected: Result<&str, HostError>) {
        let mut buffer = [0; HOST_BYTES_MAX];
        assert_eq!(canonical_host(raw.as_bytes(), &mut buffer), expected.map(str::as_bytes), "{raw:?}");
    }

    #[test]
    fn a_host_loses_its_port_its_trailing_dot_and_its_case() {
        check_host("Go.Example", Ok("go.example"));
        check_host("go.example:8080", Ok("go.example"));
        check_host("go.example.:80", Ok("go.example"));
        check_host("go.example:", Ok("go.example"));
        check_host("xn--bcher-kva.example", Ok("xn--bcher-kva.example"));
        check_host("under_score.example", Ok("under_score.example"));
        check_host("127.0.0.1:80", Ok("127.0.0.1"));
        check_host(&"a.".repeat(126), Ok(&"a.".repeat(126)[..251]));
        check_host(&format!("{}b", "a.".repeat(126)), Ok(&format!("{}b", "a.".repeat(126))));
        check_host(&format!("{}b.", "a.".repeat(126)), Ok(&format!("{}b", "a.".repeat(126))));
    }

    #[test]
    fn what_can_be_no_host_is_refused() {
        check_host("", Err(HostError::Empty));
        check_host(".", Err(HostError::Empty));
        check_host(":80", Err(HostError::Empty));
        check_host("a..b", Err(HostError::EmptyLabel));
        check_host(".a", Err(HostError::EmptyLabel));
        check_host("a:b", Err(HostError::BadPort));
        check_host("a:123456", Err(HostError::BadPort));
        check_host("a:80:80", Err(HostError::BadPort));
        check_host("user@a", Err(HostError::BadByte(b'@')));
        check_host("bücher.example", Err(HostError::BadByte(0xc3)));
        check_host("[::1]", Err(HostError::AddressLiteral));
        check_host(&format!("{}bc", "a.".repeat(126)), Err(HostError::TooLong));
        check_host(&format!("{}bc.", "a.".repeat(126)), Err(HostError::TooLong));
    }

    fn check_code(raw: &str, expected: Result<&str, CodeError>) {
        let mut buffer = [0; CODE_BYTES_MAX];
        let code = canonical_code(raw.as_bytes(), CaseMode::Insensitive, TrailingSlash::Ignore, &mut buffer);
        assert_eq!(code, expected.map(str::as_bytes), "{raw:?}");
    }

    #[test]
    fn a_code_has_one_form_however_it_was_encoded() {
        check_code("Abc", Ok("abc"));
        check_code("%41bc", Ok("abc"));
        check_code("abc/", Ok("abc"));
        check_code("abc//", Ok("abc"));
        check_code("a%2fb", Ok("a%2Fb"));
        check_code("a/b", Ok("a/b"));
        check_code("100%25", Ok("100%25"));
        check_code("two words", Ok("two%20words"));
        check_code("two%20words", Ok("two%20words"));
        check_code("%ED%95%9C", Ok("한"));
        check_code("한", Ok("한"));
        check_code("a%3Fb", Ok("a?b"));
        check_code("a/../b", Ok("a/../b"));
    }

    #[test]
    fn what_can_be_no_code_is_refused() {
        check_code("", Err(CodeError::Empty));
        check_code("/", Err(CodeError::Empty));
        check_code("a%00", Err(CodeError::Nul));
        check_code("a\0", Err(CodeError::Nul));
        check_code("a%0d%0a", Err(CodeError::ControlByte(b'\r')));
        check_code("a%7f", Err(CodeError::ControlByte(0x7f)));
        check_code("50%", Err(CodeError::BadEscape));
        check_code("50%zz", Err(CodeError::BadEscape));
        check_code(&"a".repeat(256), Err(CodeError::TooLong));
        check_code(&" ".repeat(86), Err(CodeError::TooLong));
    }

    #[test]
    fn strict_domains_keep_case_and_slash() {
        let mut buffer = [0; CODE_BYTES_MAX];
        let code = canonical_code(b"Abc/", CaseMode::Sensitive, TrailingSlash::Strict, &mut buffer);
        assert_eq!(code, Ok(&b"Abc/"[..]));
    }

    proptest! {
        #[test]
        fn canonical_forms_are_fixed_points(
            raw in proptest::collection::vec(any::<u8>(), 0..300),
            fold: bool,
            ignore: bool,
        ) {
            let case = if fold { CaseMode::Insensitive } else { CaseMode::Sensitive };
            let slash = if ignore { TrailingSlash::Ignore } else { TrailingSlash::Strict };
            let (mut once, mut twice) = ([0; CODE_BYTES_MAX], [0; CODE_BYTES_MAX]);
            if let Ok(code) = canonical_code(&raw, case, slash, &mut once) {
                prop_assert_eq!(canonical_code(code, case, slash, &mut twice), Ok(code));
            }
            let (mut once, mut twice) = ([0; HOST_BYTES_MAX], [0; HOST_BYTES_MAX]);
            if let Ok(host) = canonical_host(&raw, &mut once) {
                prop_assert_eq!(canonical_host(host, &mut twice), Ok(host));
            }
        }
    }
}
