//! Where a destination leads, as a browser takes it: at once for ordinary URLs, by the WHATWG parser for odd ones.

use std::borrow::Cow;
use url::Url;

/// Longest host of an ordinary URL.
const HOST_MAX: usize = 253;

/// The host of a destination, and what comes behind the authority.
#[derive(Debug)]
pub enum Leads<'d> {
    /// Written in the plainest way: lower-case host in the buffer, and the rest.
    Plainly(&'d [u8], &'d [u8]),
    /// Escapes, numbers or brackets in the host: only a whole parser knows.
    Oddly,
    /// No host at all, as in `mailto:`.
    Nowhere,
}

/// Where `destination` leads. Copies the host into `buffer`; allocates nothing, and looks at the authority alone.
pub fn leads<'d>(destination: &'d [u8], buffer: &'d mut [u8; HOST_MAX]) -> Leads<'d> {
    let Some(colon) = destination.iter().position(|&byte| byte == b':') else { return Leads::Nowhere };
    let Some(rest) = destination[colon + 1..].strip_prefix(b"//") else {
        // `https:host` leads to the host in a browser; a builder refuses it, a hand-made record may hold it.
        let opaque = !matches!(destination[colon + 1..].first(), Some(b'/' | b'\\'))
            && !destination[..colon].to_ascii_lowercase().starts_with(b"http");
        return if opaque { Leads::Nowhere } else { Leads::Oddly };
    };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\')).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    if behind.first() == Some(&b'\\') {
        return Leads::Oddly;
    }
    let host = authority.iter().rposition(|&byte| byte == b'@').map_or(authority, |at| &authority[at + 1..]);
    let host = host.iter().position(|&byte| byte == b':').map_or(host, |colon| &host[..colon]);
    let host = host.strip_suffix(b".").unwrap_or(host);
    if host.is_empty() || host.len() > HOST_MAX {
        return Leads::Oddly;
    }
    let buffer = &mut buffer[..host.len()];
    for (to, from) in buffer.iter_mut().zip(host) {
        let plain = from.is_ascii_alphanumeric() || matches!(from, b'-' | b'_' | b'.');
        if !plain {
            return Leads::Oddly;
        }
        *to = from.to_ascii_lowercase();
    }
    // A last label that begins with a digit may be an IPv4 address in one of its many spellings.
    let last = buffer.iter().rposition(|&byte| byte == b'.').map_or(0, |dot| dot + 1);
    if buffer.get(last).is_none_or(u8::is_ascii_digit) {
        return Leads::Oddly;
    }
    Leads::Plainly(buffer, behind)
}

/// The host of any URL by the WHATWG parser, without the dot of the root.
pub fn odd_host(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Path and query of any URL by the WHATWG parser: dot segments resolved, escapes decoded.
pub fn decoded_path(url: &str) -> Option<Vec<u8>> {
    let url = Url::parse(url).ok()?;
    let mut written = url.path().to_owned();
    if let Some(query) = url.query() {
        written.push('?');
        written.push_str(query);
    }
    Some(decoded(written.as_bytes()))
}

/// What comes behind the authority, in the form of [`decoded_path`]; borrowed where that is how it is written.
pub fn path_of<'d>(destination: &'d [u8], behind: &'d [u8]) -> Option<Cow<'d, [u8]>> {
    let end = behind.iter().position(|&byte| byte == b'#').unwrap_or(behind.len());
    let path = &behind[..end];
    let odd = path.iter().any(|byte| {
        matches!(
            byte,
            b'%' | b'\\' | b'\t' | b'\r' | b'\n' | b'"' | b'<' | b'>' | b'{' | b'}' | b'`' | b'^' | b' '
        )
    }) || path.windows(2).any(|pair| pair == b"/.")
        || !path.is_ascii();
    match path.first() {
        None => Some(Cow::Borrowed(b"/")),
        Some(b'/') if !odd => Some(Cow::Borrowed(path)),
        Some(_) => decoded_path(str::from_utf8(destination).ok()?).map(Cow::Owned),
    }
}

fn decoded(written: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written;
    while let Some((&byte, behind)) = rest.split_first() {
        let escape = (byte == b'%').then(|| behind.get(..2)).flatten();
        let value = escape.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        match value.filter(|_| !behind.starts_with(b"+")) {
            Some(value) => {
                bytes.push(value);
                rest = &behind[2..];
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    bytes
}
