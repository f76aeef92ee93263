//! HOT: the bytes of a reply: its fields are composed in one place, and written as HTTP/1 or HTTP/2.

use std::borrow::Cow;

use snapshot_format::Hsts;

use crate::http::{Head, Method, Refusal, Version};
use crate::http2::hpack::{self, Name};

use super::{CacheControl, Content, Decision, Location, Outcome};

/// What every reply of a shard carries.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The time in IMF-fixdate (RFC 9110, 5.6.7), refreshed once a second by the shard.
    pub date: &'a [u8; 29],
    /// The Server field; empty for none. The configuration guarantees that it is a valid field value.
    pub server: &'a [u8],
}

/// Room for everything in a reply but the Location and Server values: the longest reply takes fewer than 380 bytes.
const FRAME_BYTES_MAX: usize = 400;

/// Appends the HTTP/1 reply to `head` that `decision` calls for. Allocates only if `output` has to grow.
pub fn render(
    decision: &Decision<'_>,
    head: &Head<'_>,
    closing: bool,
    stamp: &Stamp<'_>,
    output: &mut Vec<u8>,
) {
    reserve(decision, stamp, output);
    let mut form = Http1 { output, persistence: persistence(head.version, closing) };
    let body = compose(decision, stamp, &mut form);
    output.extend_from_slice(b"\r\n");
    if head.method != Method::Head {
        for piece in body.pieces {
            output.extend_from_slice(piece);
        }
    }
}

/// Appends the header block of the HTTP/2 reply to `head` that `decision` calls for, and returns the body that goes with it.
/// Allocates only if `block` has to grow, and for a document, which a closed window may hold back.
pub fn render_block(
    decision: &Decision<'_>,
    head: &Head<'_>,
    stamp: &Stamp<'_>,
    block: &mut Vec<u8>,
) -> Cow<'static, [u8]> {
    reserve(decision, stamp, block);
    let body = compose(decision, stamp, &mut Http2 { block });
    match decision.content {
        _ if head.method == Method::Head => Cow::Borrowed(b""),
        None => Cow::Borrowed(decision.outcome.body().as_bytes()),
        Some(_) => Cow::Owned(body.pieces.concat()),
    }
}

/// Appends the header block of the HTTP/2 reply to a request that was refused with `status`. It has no body.
#[cold]
pub fn render_refusal_block(status: u16, stamp: &Stamp<'_>, block: &mut Vec<u8>) {
    let mut form = Http2 { block };
    start(status, stamp, &mut form);
    cache_control(CacheControl::NoStore, &mut form);
    form.field(Field::ContentLength, &[b"0"]);
}

fn reserve(decision: &Decision<'_>, stamp: &Stamp<'_>, output: &mut Vec<u8>) {
    let location_bytes_max = decision.location.map_or(0, Location::bytes_max);
    let content_bytes = decision.content.map_or(0, |content| content.len());
    output.reserve(FRAME_BYTES_MAX + location_bytes_max + content_bytes + stamp.server.len());
}

/// What a reply is written in.
trait Form {
    /// The status and the Date field.
    fn start(&mut self, status: u16, date: &[u8; 29]);
    /// A field, its value in pieces.
    fn field(&mut self, field: Field, value: &[&[u8]]);
    /// What is said about the connection; it stands before the fields of the body.
    fn persistence(&mut self);
}

/// A field of a reply.
#[derive(Clone, Copy)]
enum Field {
    Server,
    Location,
    CacheControl,
    StrictTransportSecurity,
    Allow,
    RetryAfter,
    ContentType,
    ContentLength,
}

/// Every field of a reply, in one order for every version of HTTP. Returns the body.
#[inline(always)]
fn compose<'a>(decision: &Decision<'a>, stamp: &Stamp<'_>, form: &mut impl Form) -> Content<'a> {
    let Decision { outcome, status, location, content, hsts, cache, asked: _ } = *decision;
    start(status, stamp, form);
    if let Some(location) = location {
        form.field(Field::Location, &location.pieces());
    }
    cache_control(cache, form);
    if let Some(hsts) = hsts {
        strict_transport_security(hsts, form);
    }
    match outcome {
        Outcome::Options | Outcome::MethodNotAllowed => form.field(Field::Allow, &[b"GET, HEAD, OPTIONS"]),
        Outcome::NoSnapshot => form.field(Field::RetryAfter, &[b"1"]),
        Outcome::Redirected
        | Outcome::RootRedirected
        | Outcome::MissRedirected
        | Outcome::Canary
        | Outcome::Upgraded
        | Outcome::UpgradedMiss
        | Outcome::Challenge
        | Outcome::Document
        | Outcome::NoDocument
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
    form.persistence();
    let words = Content { content_type: "text/plain", pieces: [outcome.body().as_bytes(), b"", b""] };
    let body = content.unwrap_or(words);
    match (status, body.len()) {
        // RFC 9110, 8.6: a 204 has no Content-Length.
        (204, _) => {}
        (_, 0) => form.field(Field::ContentLength, &[b"0"]),
        (_, bytes) => {
            form.field(Field::ContentType, &[body.content_type.as_bytes()]);
            form.field(Field::ContentLength, &[Decimal::new(bytes as u32).as_bytes()]);
        }
    }
    body
}

#[inline(always)]
fn strict_transport_security(hsts: Hsts, form: &mut impl Form) {
    let Hsts { max_age_s, subdomains, preload } = hsts;
    let subdomains: &[u8] = if subdomains { b"; includeSubDomains" } else { b"" };
    let preload: &[u8] = if preload { b"; preload" } else { b"" };
    let seconds = Decimal::new(max_age_s);
    form.field(Field::StrictTransportSecurity, &[b"max-age=", seconds.as_bytes(), subdomains, preload]);
}

#[inline(always)]
fn start(status: u16, stamp: &Stamp<'_>, form: &mut impl Form) {
    form.start(status, stamp.date);
    if !stamp.server.is_empty() {
        form.field(Field::Server, &[stamp.server]);
    }
}

#[inline(always)]
fn cache_control(cache: CacheControl, form: &mut impl Form) {
    match cache {
        CacheControl::NoStore => form.field(Field::CacheControl, &[b"no-store"]),
        CacheControl::Private(max_age_s) => {
            form.field(Field::CacheControl, &[b"private, max-age=", Decimal::new(max_age_s).as_bytes()]);
        }
        CacheControl::Public(max_age_s) => {
            form.field(Field::CacheControl, &[b"public, max-age=", Decimal::new(max_age_s).as_bytes()]);
        }
    }
}

/// HTTP/1: lines of text.
struct Http1<'o> {
    output: &'o mut Vec<u8>,
    persistence: &'static [u8],
}

impl Form for Http1<'_> {
    #[inline(always)]
    fn start(&mut self, status: u16, date: &[u8; 29]) {
        self.output.extend_from_slice(status_line_and_date(status));
        self.output.extend_from_slice(date);
        self.output.extend_from_slice(b"\r\n");
    }

    #[inline(always)]
    fn field(&mut self, field: Field, value: &[&[u8]]) {
        let name: &[u8] = match field {
            Field::Server => b"Server: ",
            Field::Location => b"Location: ",
            Field::CacheControl => b"Cache-Control: ",
            Field::StrictTransportSecurity => b"Strict-Transport-Security: ",
            Field::Allow => b"Allow: ",
            Field::RetryAfter => b"Retry-After: ",
            Field::ContentType => b"Content-Type: ",
            Field::ContentLength => b"Content-Length: ",
        };
        self.output.extend_from_slice(name);
        for piece in value {
            self.output.extend_from_slice(piece);
        }
        self.output.extend_from_slice(b"\r\n");
    }

    #[inline(always)]
    fn persistence(&mut self) {
        self.output.extend_from_slice(self.persistence);
    }
}

#[inline]
fn persistence(version: Version, closing: bool) -> &'static [u8] {
    match (closing, version) {
        (true, _) => b"Connection: close\r\n",
        (false, Version::Http10) => b"Connection: keep-alive\r\n",
        (false, Version::Http11 | Version::Http2) => b"",
    }
}

/// HTTP/2: a header block, which nobody has to remember anything of.
struct Http2<'o> {
    block: &'o mut Vec<u8>,
}

impl Form for Http2<'_> {
    #[inline(always)]
    fn start(&mut self, status: u16, date: &[u8; 29]) {
        hpack::append_status(status, self.block);
        hpack::append_field(Name::Date, &[date], self.block);
    }

    #[inline(always)]
    fn field(&mut self, field: Field, value: &[&[u8]]) {
        let name = match field {
            Field::Server => Name::Server,
            Field::Location => Name::Location,
            Field::CacheControl => Name::CacheControl,
            Field::StrictTransportSecurity => Name::StrictTransportSecurity,
            Field::Allow => Name::Allow,
            Field::RetryAfter => Name::RetryAfter,
            Field::ContentType => Name::ContentType,
            Field::ContentLength => Name::ContentLength,
        };
        hpack::append_field(name, value, self.block);
    }

    /// A GOAWAY frame says it, never a field (RFC 9113, 8.2.2).
    #[inline(always)]
    fn persistence(&mut self) {}
}

/// Appends the reply to a refused request, with `Connection: close`; nothing if the refusal has no reply.
///
/// It has no body: the refused request may have been a HEAD.
#[cold]
pub fn render_refusal(reason: Refusal, stamp: &Stamp<'_>, output: &mut Vec<u8>) {
    if let Some(status) = reason.status() {
        let mut form = Http1 { output, persistence: persistence(Version::Http11, true) };
        start(status, stamp, &mut form);
        cache_control(CacheControl::NoStore, &mut form);
        form.persistence();
        form.field(Field::ContentLength, &[b"0"]);
        output.extend_from_slice(b"\r\n");
    }
}

/// Appends the reply to plain HTTP on a port of HTTPS: 400 with a text for people, and `Connection: close`.
#[cold]
pub fn render_plain_on_secure(stamp: &Stamp<'_>, output: &mut Vec<u8>) {
    const TEXT: &[u8] = b"this port speaks HTTPS: write https:// before the address\n";
    let mut form = Http1 { output, persistence: persistence(Version::Http11, true) };
    start(400, stamp, &mut form);
    cache_control(CacheControl::NoStore, &mut form);
    form.persistence();
    form.field(Field::ContentType, &[b"text/plain"]);
    form.field(Field::ContentLength, &[Decimal::new(TEXT.len() as u32).as_bytes()]);
    output.extend_from_slice(b"\r\n");
    output.extend_from_slice(TEXT);
}

/// Appends the reply to a connection that is one too many: 503 with Retry-After and `Connection: close`. It is sent
/// without reading a request.
#[cold]
pub fn render_shed(stamp: &Stamp<'_>, output: &mut Vec<u8>) {
    let mut form = Http1 { output, persistence: persistence(Version::Http11, true) };
    start(503, stamp, &mut form);
    cache_control(CacheControl::NoStore, &mut form);
    form.field(Field::RetryAfter, &[b"1"]);
    form.persistence();
    form.field(Field::ContentLength, &[b"0"]);
    output.extend_from_slice(b"\r\n");
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
        200 "OK",
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

/// A number as text.
struct Decimal {
    /// Ten digits hold every u32.
    digits: [u8; 10],
    start: usize,
}

impl Decimal {
    #[inline]
    fn new(mut number: u32) -> Self {
        let mut decimal = Self { digits: [b'0'; 10], start: 9 };
        loop {
            decimal.digits[decimal.start] += (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return decimal;
            }
            decimal.start -= 1;
        }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}
