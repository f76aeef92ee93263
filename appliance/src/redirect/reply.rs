//! HOT: the bytes of a reply.

use crate::http::{Head, Method, Refusal, Version};

use super::{CacheControl, Decision, Location, Outcome};

/// What every reply of a shard carries.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The time in IMF-fixdate (RFC 9110, 5.6.7), refreshed once a second by the shard.
    pub date: &'a [u8; 29],
    /// The Server field; empty for none. The configuration guarantees that it is a valid field value.
    pub server: &'a [u8],
}

/// Room for everything in a reply but the Location and Server values: the longest reply takes fewer than 300 bytes.
const FRAME_BYTES_MAX: usize = 320;

/// Appends the reply to `head` that `decision` calls for. Allocates only if `output` has to grow.
pub fn render(
    decision: &Decision<'_>,
    head: &Head<'_>,
    closing: bool,
    stamp: &Stamp<'_>,
    output: &mut Vec<u8>,
) {
    let Decision { outcome, status, location, cache, asked: _ } = *decision;
    let location_bytes_max = location.map_or(0, Location::bytes_max);
    output.reserve(FRAME_BYTES_MAX + location_bytes_max + stamp.server.len());

    append_start(status, stamp, output);
    if let Some(location) = location {
        output.extend_from_slice(b"Location: ");
        location.append_to(output);
        output.extend_from_slice(b"\r\n");
    }
    append_cache_control(cache, output);
    match outcome {
        Outcome::Options | Outcome::MethodNotAllowed => {
            output.extend_from_slice(b"Allow: GET, HEAD, OPTIONS\r\n");
        }
        Outcome::NoSnapshot => output.extend_from_slice(b"Retry-After: 1\r\n"),
        Outcome::Redirected
        | Outcome::RootRedirected
        | Outcome::MissRedirected
        | Outcome::Canary
        | Outcome::NotFound
        | Outcome::ImpossibleCode
        | Outcome::NulInPath
        | Outcome::NotYetActive
        | Outcome::Disabled
        | Outcome::Expired
        | Outcome::Deleted
        | Outcome::UnknownHost
        | Outcome::Misdirected
        | Outcome::CorruptRecord => {}
    }
    match (closing, head.version) {
        (true, _) => output.extend_from_slice(b"Connection: close\r\n"),
        (false, Version::Http10) => output.extend_from_slice(b"Connection: keep-alive\r\n"),
        (false, Version::Http11) => {}
    }
    let body = outcome.body().as_bytes();
    match (status, body) {
        // RFC 9110, 8.6: a 204 has no Content-Length.
        (204, _) => output.extend_from_slice(b"\r\n"),
        (_, b"") => output.extend_from_slice(b"Content-Length: 0\r\n\r\n"),
        (_, body) => {
            output.extend_from_slice(b"Content-Type: text/plain\r\nContent-Length: ");
            append_decimal(body.len() as u32, output);
            output.extend_from_slice(b"\r\n\r\n");
            if head.method != Method::Head {
                output.extend_from_slice(body);
            }
        }
    }
}

/// Appends the reply to a refused request, with `Connection: close`; nothing if the refusal has no reply.
///
/// It has no body: the refused request may have been a HEAD.
#[cold]
pub fn render_refusal(reason: Refusal, stamp: &Stamp<'_>, output: &mut Vec<u8>) {
    if let Some(status) = reason.status() {
        append_start(status, stamp, output);
        append_cache_control(CacheControl::NoStore, output);
        output.extend_from_slice(b"Connection: close\r\nContent-Length: 0\r\n\r\n");
    }
}

/// Appends the reply to plain HTTP on a port of HTTPS: 400 with a text for people, and `Connection: close`.
#[cold]
pub fn render_plain_on_secure(stamp: &Stamp<'_>, output: &mut Vec<u8>) {
    const TEXT: &[u8] = b"this port speaks HTTPS: write https:// before the address\n";
    append_start(400, stamp, output);
    append_cache_control(CacheControl::NoStore, output);
    output.extend_from_slice(b"Connection: close\r\nContent-Type: text/plain\r\nContent-Length: ");
    append_decimal(TEXT.len() as u32, output);
    output.extend_from_slice(b"\r\n\r\n");
    output.extend_from_slice(TEXT);
}

/// Appends the reply to a connection that is one too many: 503 with Retry-After and `Connection: close`. It is sent
/// without reading a request.
#[cold]
pub fn render_shed(stamp: &Stamp<'_>, output: &mut Vec<u8>) {
    append_start(503, stamp, output);
    append_cache_control(CacheControl::NoStore, output);
    output.extend_from_slice(b"Retry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}

/// Status line, Date and Server.
#[inline]
fn append_start(status: u16, stamp: &Stamp<'_>, output: &mut Vec<u8>) {
    output.extend_from_slice(status_line_and_date(status));
    output.extend_from_slice(stamp.date);
    output.extend_from_slice(b"\r\n");
    if !stamp.server.is_empty() {
        output.extend_from_slice(b"Server: ");
        output.extend_from_slice(stamp.server);
        output.extend_from_slice(b"\r\n");
    }
}

/// The status line up to where the date starts. An HTTP/1.0 client gets HTTP/1.1 too (RFC 9110, 2.5).
fn status_line_and_date(status: u16) -> &'static [u8] {
    macro_rules! lines {
        ($($code:literal $phrase:literal,)*) => {
            match status {
                $($code => concat!("HTTP/1.1 ", $code, " ", $phrase, "\r\nDate: ").as_bytes(),)*
                other => unreachable!("no outcome and no refusal has the status {other}"),
            }
        };
    }
    lines! {
        204 "No Content",
        301 "Moved Permanently",
        302 "Found",
        303 "See Other",
        307 "Temporary Redirect",
        308 "Permanent Redirect",
        400 "Bad Request",
        403 "Forbidden",
        404 "Not Found",
        405 "Method Not Allowed",
        408 "Request Timeout",
        410 "Gone",
        414 "URI Too Long",
        421 "Misdirected Request",
        431 "Request Header Fields Too Large",
        500 "Internal Server Error",
        503 "Service Unavailable",
        505 "HTTP Version Not Supported",
    }
}

#[inline]
fn append_cache_control(cache: CacheControl, output: &mut Vec<u8>) {
    match cache {
        CacheControl::NoStore => output.extend_from_slice(b"Cache-Control: no-store\r\n"),
        CacheControl::Private(max_age_s) => {
            output.extend_from_slice(b"Cache-Control: private, max-age=");
            append_decimal(max_age_s, output);
            output.extend_from_slice(b"\r\n");
        }
        CacheControl::Public(max_age_s) => {
            output.extend_from_slice(b"Cache-Control: public, max-age=");
            append_decimal(max_age_s, output);
            output.extend_from_slice(b"\r\n");
        }
    }
}

fn append_decimal(mut number: u32, output: &mut Vec<u8>) {
    // Ten digits hold every u32.
    let mut digits = [b'0'; 10];
    let mut start = digits.len() - 1;
    loop {
        digits[start] += (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
        start -= 1;
    }
    output.extend_from_slice(&digits[start..]);
}
