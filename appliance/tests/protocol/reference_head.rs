//! A second parser of request heads, written to be obviously right: the slow twin of `carom::http::head`.
//!
//! It cuts the input into lines and words with the means of the standard library, looks at everything as often as it
//! likes, and knows a refusal by its status alone.

use carom::http::{Body, Head, Version, Wishes};
use carom::limits::HttpLimits;

/// What the twin says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Partial,
    Whole(Box<Pieces>),
    Refused(u16),
}

/// A head in owned pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pieces {
    pub(crate) bytes: usize,
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) path: Vec<u8>,
    pub(crate) query: Option<Vec<u8>>,
    pub(crate) host: Option<Vec<u8>>,
    pub(crate) http11: bool,
    pub(crate) keep_alive: bool,
    pub(crate) body: Body,
    pub(crate) expects_continue: bool,
    pub(crate) user_agent: Option<Vec<u8>>,
    pub(crate) referer: Option<Vec<u8>>,
    pub(crate) wishes: Wishes,
}

impl Pieces {
    /// The same pieces of a head that the fast parser found.
    pub(crate) fn of(head: &Head<'_>, bytes: usize) -> Self {
        let Head {
            method,
            target,
            path,
            query,
            host,
            version,
            keep_alive,
            body,
            expects_continue,
            user_agent,
            referer,
            wishes,
            // Other tests read these fields through `proxies::forwarded`.
            via: _,
        } = *head;
        Self {
            bytes,
            method: method.as_bytes().to_vec(),
            target: target.to_vec(),
            path: path.to_vec(),
            query: query.map(<[u8]>::to_vec),
            host: host.map(<[u8]>::to_vec),
            http11: version == Version::Http11,
            keep_alive,
            body,
            expects_continue,
            user_agent: user_agent.map(<[u8]>::to_vec),
            referer: referer.map(<[u8]>::to_vec),
            wishes,
        }
    }
}

/// Parses the head at the start of `input`.
pub(crate) fn parse(input: &[u8], limits: &HttpLimits) -> Verdict {
    match Lines::new(input, limits).and_then(|mut lines| parse_lines(&mut lines, limits)) {
        Ok(pieces) => Verdict::Whole(Box::new(pieces)),
        Err(verdict) => verdict,
    }
}

/// Hands out one complete line after the other, each with its line feed.
struct Lines<'a> {
    window: &'a [u8],
    full: bool,
    at: usize,
}

impl<'a> Lines<'a> {
    fn new(input: &'a [u8], limits: &HttpLimits) -> Result<Self, Verdict> {
        match input.first() {
            None => Err(Verdict::Partial),
            Some(&byte) if !is_token(&[byte]) => Err(Verdict::Refused(400)),
            Some(_) => {
                let window = &input[..input.len().min(limits.head_bytes_max)];
                Ok(Self { window, full: window.len() == limits.head_bytes_max, at: 0 })
            }
        }
    }

    fn next(&mut self) -> Result<&'a [u8], Verdict> {
        let rest = &self.window[self.at..];
        match rest.iter().position(|&byte| byte == b'\n') {
            Some(place) => {
                self.at += place + 1;
                Ok(&rest[..=place])
            }
            None if self.full => Err(Verdict::Refused(431)),
            None => Err(Verdict::Partial),
        }
    }
}

fn parse_lines(lines: &mut Lines<'_>, limits: &HttpLimits) -> Result<Pieces, Verdict> {
    let refused = |status| Err(Verdict::Refused(status));

    // The request line has a bound of its own: the longest method, the longest target, and 12 bytes between them.
    let first_bytes_max = (32 + limits.target_bytes_max + 12).min(limits.head_bytes_max);
    let line = match lines.next() {
        Ok(line) if line.len() > first_bytes_max => return refused(414),
        Err(Verdict::Refused(_)) => return refused(414),
        Err(_) if lines.window.len() >= first_bytes_max => return refused(414),
        other => other?,
    };
    let words: Vec<&[u8]> = line.splitn(3, |&byte| byte == b' ').collect();
    let &[method, target, version] = &words[..] else { return refused(400) };
    if !is_token(method) || method.len() > 32 {
        return refused(400);
    }
    if target.is_empty() || !target.iter().all(|&byte| byte > b' ' && byte != 0x7f && byte != b'#') {
        return refused(400);
    }
    if target.len() > limits.target_bytes_max {
        return refused(414);
    }
    let http11 = match std::str::from_utf8(version) {
        Ok("HTTP/1.0\r\n") => false,
        Ok(text) => match text
            .trim_end_matches('\n')
            .strip_suffix('\r')
            .unwrap_or(text.trim_end_matches('\n'))
            .as_bytes()
        {
            [b'H', b'T', b'T', b'P', b'/', b'2'..=b'9', b'.', b'0'..=b'9'] => return refused(505),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] if text.ends_with("\r\n") => true,
            _ => return refused(400),
        },
        Err(_) => return refused(400),
    };
    let (authority, path, query) = split_target(method, target).ok_or(Verdict::Refused(400))?;

    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    loop {
        let line = lines.next()?;
        let Some(line) = line.strip_suffix(b"\r\n") else { return refused(400) };
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return refused(400) };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if !is_token(name) || value.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
            return refused(400);
        }
        if fields.len() == limits.fields_max {
            return refused(431);
        }
        let (name, value) =
            (String::from_utf8(name.to_ascii_lowercase()).unwrap(), value.trim_ascii().to_vec());
        let repeated = fields.iter().any(|(other, _)| *other == name);
        let fine = match &name[..] {
            "host" => !repeated && is_authority(&value),
            "content-length" => !repeated && parse_length(&value).is_some(),
            "transfer-encoding" => !repeated && value.eq_ignore_ascii_case(b"chunked"),
            _ => true,
        };
        if !fine {
            return refused(400);
        }
        fields.push((name, value));
    }

    let first = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    let has_option = |wanted: &str| {
        fields.iter().filter(|(name, _)| name == "connection").any(|(_, value)| {
            String::from_utf8_lossy(value).split(',').any(|option| option.trim().eq_ignore_ascii_case(wanted))
        })
    };
    let chunked = first("transfer-encoding").is_some();
    let length = first("content-length").map(|value| parse_length(&value).unwrap());
    let host = first("host");
    if (http11 && host.is_none()) || (chunked && !http11) || (chunked && length.is_some()) {
        return refused(400);
    }
    let is_expectation =
        |(name, value): &(String, Vec<u8>)| name == "expect" && value.eq_ignore_ascii_case(b"100-continue");
    Ok(Pieces {
        bytes: lines.at,
        method: method.to_vec(),
        target: target.to_vec(),
        path,
        query,
        host: authority.or(host),
        http11,
        keep_alive: method != b"CONNECT" && !has_option("close") && (http11 || has_option("keep-alive")),
        body: match length {
            _ if chunked => Body::Chunked,
            None | Some(0) => Body::None,
            Some(bytes) => Body::Length(bytes),
        },
        expects_continue: http11 && fields.iter().any(is_expectation),
        user_agent: first("user-agent"),
        referer: first("referer"),
        wishes: wishes(&fields),
    })
}

fn wishes(fields: &[(String, Vec<u8>)]) -> Wishes {
    let is_one = |wanted: &str| fields.iter().any(|(name, value)| name == wanted && value == b"1");
    let is_ahead = |(name, value): &(String, Vec<u8>)| {
        let value = String::from_utf8_lossy(value).to_lowercase();
        let begins = value.starts_with("prefetch") || value.starts_with("preview");
        begins && ["sec-purpose", "purpose", "x-purpose", "x-moz"].contains(&name.as_str())
    };
    Wishes { gpc: is_one("sec-gpc"), dnt: is_one("dnt"), prefetch: fields.iter().any(is_ahead) }
}

/// Authority, path without its first slash, and query.
type Target = (Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>);

fn split_target(method: &[u8], target: &[u8]) -> Option<Target> {
    let mut parts = target.splitn(2, |&byte| byte == b'?');
    let (path, query) = (parts.next()?, parts.next().map(<[u8]>::to_vec));
    if path.first() == Some(&b'/') {
        return Some((None, path[1..].to_vec(), query));
    }
    if (method == b"OPTIONS" && target == b"*") || method == b"CONNECT" {
        return Some((None, Vec::new(), query));
    }
    let scheme_end = path.windows(3).position(|three| three == b"://")?;
    if !path[..scheme_end].eq_ignore_ascii_case(b"http") && !path[..scheme_end].eq_ignore_ascii_case(b"https")
    {
        return None;
    }
    let mut parts = path[scheme_end + 3..].splitn(2, |&byte| byte == b'/');
    let (authority, path) = (parts.next()?, parts.next().unwrap_or(b""));
    let fine = !authority.is_empty() && !authority.starts_with(b":") && is_authority(authority);
    fine.then(|| (Some(authority.to_vec()), path.to_vec(), query))
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn is_authority(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let (host, behind) = match text.strip_prefix('[') {
        Some(address) => match address.split_once(']') {
            Some((address, behind)) => {
                let fine = |byte: char| byte.is_ascii_hexdigit() || byte == ':' || byte == '.';
                if address.is_empty() || !address.chars().all(fine) {
                    return false;
                }
                ("", behind)
            }
            None => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let host_is_fine =
        host.chars().all(|byte| byte.is_ascii_alphanumeric() || "-._~%!$&'()*+;=".contains(byte));
    let port_is_fine = match behind.strip_prefix(':') {
        Some(port) => port.len() <= 5 && port.chars().all(|digit| digit.is_ascii_digit()),
        None => behind.is_empty(),
    };
    host_is_fine && port_is_fine
}

fn parse_length(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    // `u64::from_str` takes a plus sign.
    if text.starts_with('+') { None } else { text.parse().ok() }
}
