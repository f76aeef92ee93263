//! HOT: a strict one-pass parser of request heads (RFC 9112, 2 to 6) that copies and allocates nothing.

use memchr::memchr;

use crate::limits::{HttpLimits, METHOD_BYTES_MAX};
use crate::proxies::forwarded::Via;

use super::Refusal;
use super::bytes::{PATH, QUERY, TOKEN, find_control, is, skip};
use super::fields::Fields;
use super::target::Target;

/// A whole request head; every slice lies in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// What the client wants.
    pub method: Method<'a>,
    /// The request target as it was sent.
    pub target: &'a [u8],
    /// The path without its leading slash and without the query. Empty for the root, `*` and CONNECT.
    pub path: &'a [u8],
    /// What follows the first `?` of the target, perhaps nothing; `None` without a `?`.
    pub query: Option<&'a [u8]>,
    /// The authority of an absolute target or of HTTP/2, or else the Host field: `host` or `host:port` by its syntax, perhaps
    /// empty, not in canonical form. `None` for HTTP/1.0 without Host.
    pub host: Option<&'a [u8]>,
    /// The version that the request was sent with.
    pub version: Version,
    /// Whether the client is ready to send another request on this connection.
    pub keep_alive: bool,
    /// What follows the head.
    pub body: Body,
    /// Whether the client waits for `100 Continue` before it sends the body. Never set for HTTP/1.0.
    pub expects_continue: bool,
    /// The first User-Agent field.
    pub user_agent: Option<&'a [u8]>,
    /// The first Referer field.
    pub referer: Option<&'a [u8]>,
    /// What the client asks about the use of its visit.
    pub wishes: Wishes,
    /// Who sent it, if proxies are to be believed.
    pub via: Via<'a>,
}

/// What a client says about the use of its visit. Nothing of it changes an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `Sec-GPC: 1` (Global Privacy Control): do not sell or share.
    pub gpc: bool,
    /// `DNT: 1`: do not track.
    pub dnt: bool,
    /// Nobody looks at the answer yet: `Sec-Purpose`, `Purpose`, `X-Purpose` or `X-Moz` begin with `prefetch` or `preview`.
    pub prefetch: bool,
}

/// The request method, which is case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method<'a> {
    /// GET
    Get,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
    /// TRACE
    Trace,
    /// CONNECT
    Connect,
    /// Any other token of at most 32 bytes.
    Other(&'a [u8]),
}

/// The protocol version; a minor version above 1 is read as 1.1 (RFC 9110, 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// What follows the head, as far as the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing, or `Content-Length: 0`.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks (RFC 9112, 7.1).
    Chunked,
}

/// What the parser found at the start of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// No verdict yet: more bytes are needed.
    Partial,
    /// A head, and how many bytes of the input it takes.
    Whole(Head<'a>, usize),
    /// No head that may be answered.
    Refused(Refusal),
}

/// Parses the head at the start of `input`.
///
/// The verdict depends on the bytes alone, never on how they were cut into reads: the first byte is judged when it
/// comes, every line when its line feed comes, a bound when it is reached. So a prefix of the input either gets the
/// verdict of the whole or [`Parsed::Partial`], and a caller may wait with the next attempt for [`is_worth_parsing`].
/// Empty lines in front are not part of a head; the connection skips them.
pub fn parse<'a>(input: &'a [u8], limits: &HttpLimits) -> Parsed<'a> {
    let window = &input[..input.len().min(limits.head_bytes_max)];
    match window.first() {
        None => return Parsed::Partial,
        Some(b'\r' | b'\n') => return Parsed::Refused(Refusal::LineEnd),
        // TLS and other binary protocols get their answer at once: they may never send a line feed.
        Some(&first) if !is(first, TOKEN) => return Parsed::Refused(Refusal::Method),
        Some(_) => {}
    }
    let line_bytes_max = request_line_bytes_max(limits);
    let line_window = &window[..window.len().min(line_bytes_max)];
    let line = match request_line(line_window, limits) {
        Ok(line) => line,
        Err(stop) => return judge(stop, line_window, line_bytes_max, Refusal::TargetTooLong),
    };
    match fields_and_end(window, line, limits) {
        Ok((head, bytes)) => Parsed::Whole(head, bytes),
        Err(stop) => judge(stop, window, limits.head_bytes_max, Refusal::HeadTooLarge),
    }
}

/// False if [`parse`] said [`Parsed::Partial`] for the first `seen` bytes of `input` and must say so again: no line
/// feed and no bound lies in the bytes that are new.
///
/// A client that sends its head byte by byte costs one search of one byte each time, and one parse per *line*: a few
/// more than `fields_max` parses of at most `head_bytes_max` bytes in all.
pub fn is_worth_parsing(input: &[u8], seen: usize, limits: &HttpLimits) -> bool {
    let line_bytes_max = request_line_bytes_max(limits);
    // The connection has held back a first CR, which may begin an empty line.
    seen <= 1
        || input.len() >= limits.head_bytes_max
        || (seen < line_bytes_max && input.len() >= line_bytes_max)
        || input.get(seen..).is_some_and(|new| memchr(b'\n', new).is_some())
}

/// The longest request line that can hold a target within its bound: method, two spaces, `HTTP/1.1` and the line end.
fn request_line_bytes_max(limits: &HttpLimits) -> usize {
    (METHOD_BYTES_MAX + limits.target_bytes_max + 12).min(limits.head_bytes_max)
}

/// Why the parser cannot go on.
#[derive(Clone, Copy)]
enum Stop {
    /// The window ends here.
    Short,
    /// The byte at this place, or what it belongs to, is wrong.
    Fault(usize, Refusal),
}

/// A fault counts once its line is complete, so that it is the same fault however the bytes arrive.
#[cold]
fn judge(stop: Stop, window: &[u8], bytes_max: usize, too_long: Refusal) -> Parsed<'static> {
    match stop {
        Stop::Fault(at, reason) if memchr(b'\n', &window[at..]).is_some() => Parsed::Refused(reason),
        Stop::Fault(..) | Stop::Short if window.len() < bytes_max => Parsed::Partial,
        Stop::Fault(..) | Stop::Short => Parsed::Refused(too_long),
    }
}

/// The first line, with the place of the second.
struct RequestLine<'a> {
    method: Method<'a>,
    target: &'a [u8],
    split: Target<'a>,
    version: Version,
    end: usize,
}

fn request_line<'a>(window: &'a [u8], limits: &HttpLimits) -> Result<RequestLine<'a>, Stop> {
    let method_end = if window.starts_with(b"GET ") { 3 } else { skip(window, TOKEN, 0) };
    match window.get(method_end) {
        None => return Err(Stop::Short),
        Some(b' ') if method_end <= METHOD_BYTES_MAX => {}
        Some(b'\r' | b'\n') => return Err(Stop::Fault(method_end, Refusal::Version)),
        Some(_) => return Err(Stop::Fault(method_end, Refusal::Method)),
    }
    let method = Method::from_token(&window[..method_end]);

    let start = method_end + 1;
    let path_end = skip(window, PATH, start);
    let has_query = window.get(path_end) == Some(&b'?');
    let end = if has_query { skip(window, QUERY, path_end + 1) } else { path_end };
    match window.get(end) {
        None => return Err(Stop::Short),
        Some(b' ') if end > start => {}
        // A request line of two words is HTTP/0.9, which has no head that could be answered safely.
        Some(b'\r' | b'\n') => return Err(Stop::Fault(end, Refusal::Version)),
        Some(_) => return Err(Stop::Fault(end, Refusal::Target)),
    }
    let target = &window[start..end];
    if target.len() > limits.target_bytes_max {
        return Err(Stop::Fault(end, Refusal::TargetTooLong));
    }
    let query = has_query.then(|| &window[path_end + 1..end]);

    let version = match window[end + 1..].first_chunk::<10>() {
        Some(b"HTTP/1.1\r\n") => Version::Http11,
        Some(b"HTTP/1.0\r\n") => Version::Http10,
        _ => uncommon_version(window, end + 1)?,
    };
    // Judged last, so that `PRI * HTTP/2.0` learns that it is the version that is wrong.
    let split =
        Target::split(method, &window[start..path_end], query).map_err(|reason| Stop::Fault(end, reason))?;
    Ok(RequestLine { method, target, split, version, end: end + 11 })
}

/// The version at `at`, if it is neither of the two usual ones or its line is not complete.
#[cold]
fn uncommon_version(window: &[u8], at: usize) -> Result<Version, Stop> {
    let rest = &window[at..];
    let line = &rest[..memchr(b'\n', rest).ok_or(Stop::Short)?];
    let (text, line_end) = match line {
        [text @ .., b'\r'] => (text, Ok(())),
        text => (text, Err(Stop::Fault(at, Refusal::LineEnd))),
    };
    match text {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => line_end.map(|()| Version::Http11),
        [b'H', b'T', b'T', b'P', b'/', b'2'..=b'9', b'.', b'0'..=b'9'] => {
            Err(Stop::Fault(at, Refusal::VersionUnsupported))
        }
        _ => Err(Stop::Fault(at, Refusal::Version)),
    }
}

fn fields_and_end<'a>(
    window: &'a [u8],
    line: RequestLine<'a>,
    limits: &HttpLimits,
) -> Result<(Head<'a>, usize), Stop> {
    let mut fields = Fields::default();
    let mut count = 0;
    let mut at = line.end;
    loop {
        let name_end = skip(window, TOKEN, at);
        match window.get(name_end) {
            Some(b':') if name_end > at => {}
            Some(b'\r') if name_end == at => break,
            Some(b' ' | b'\t') if name_end == at => return Err(Stop::Fault(at, Refusal::FoldedField)),
            Some(b'\n') => return Err(Stop::Fault(name_end, Refusal::LineEnd)),
            Some(_) => return Err(Stop::Fault(name_end, Refusal::FieldName)),
            None => return Err(Stop::Short),
        }
        let (value_end, next) = value_end(window, name_end + 1)?;
        count += 1;
        if count > limits.fields_max {
            return Err(Stop::Fault(at, Refusal::FieldsTooMany));
        }
        fields
            .add(&window[at..name_end], window[name_end + 1..value_end].trim_ascii())
            .map_err(|reason| Stop::Fault(at, reason))?;
        at = next;
    }
    let end = line_end(window, at)?;
    let RequestLine { method, target, split, version, end: _ } = line;
    let framing = fields.framing(version).map_err(|reason| Stop::Fault(at, reason))?;
    let head = Head {
        method,
        target,
        path: split.path,
        query: split.query,
        host: split.authority.or(fields.host),
        version,
        // What a client sends behind CONNECT is meant for somebody else, whatever the answer was.
        keep_alive: framing.keep_alive && method != Method::Connect,
        body: framing.body,
        expects_continue: fields.expects_continue && version == Version::Http11,
        user_agent: fields.user_agent,
        referer: fields.referer,
        wishes: fields.wishes,
        via: fields.via,
    };
    Ok((head, end))
}

/// Where the field value that starts at `at` ends, and where the next line starts. Tabs may stand within a value.
#[inline(always)]
fn value_end(window: &[u8], mut at: usize) -> Result<(usize, usize), Stop> {
    loop {
        at = find_control(window, at);
        match window.get(at) {
            Some(b'\t') => at += 1,
            _ => return Ok((at, line_end(window, at)?)),
        }
    }
}

/// The place behind the line end at `at`, which is CR LF and nothing else.
#[inline(always)]
fn line_end(window: &[u8], at: usize) -> Result<usize, Stop> {
    match window.get(at..) {
        Some([b'\r', b'\n', ..]) => Ok(at + 2),
        None | Some([] | [b'\r']) => Err(Stop::Short),
        Some([b'\r' | b'\n', ..]) => Err(Stop::Fault(at, Refusal::LineEnd)),
        Some(_) => Err(Stop::Fault(at, Refusal::FieldValue)),
    }
}

impl<'a> Method<'a> {
    /// The method that a token names.
    pub(crate) fn from_token(token: &'a [u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"PATCH" => Self::Patch,
            b"DELETE" => Self::Delete,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            other => Self::Other(other),
        }
    }

    /// The method as it stands in a request line.
    pub fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Get => b"GET",
            Self::Head => b"HEAD",
            Self::Options => b"OPTIONS",
            Self::Post => b"POST",
            Self::Put => b"PUT",
            Self::Patch => b"PATCH",
            Self::Delete => b"DELETE",
            Self::Trace => b"TRACE",
            Self::Connect => b"CONNECT",
            Self::Other(token) => token,
        }
    }
}
