//! HOT: the bytes of a reply.

use crate::http::{Head, Refusal};

use super::Decision;

/// What every reply of a shard carries.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The time in IMF-fixdate (RFC 9110, 5.6.7), refreshed once a second by the shard.
    pub date: &'a [u8; 29],
    /// The Server field; empty for none. The configuration guarantees that it is a valid field value.
    pub server: &'a [u8],
}

/// Appends the reply to `head` that `decision` calls for. Allocates only if `output` has to grow.
pub fn render(_decision: &Decision<'_>, _head: &Head<'_>, _closing: bool, _stamp: &Stamp<'_>, _output: &mut Vec<u8>) {}

/// Appends the reply to a refused request, with `Connection: close`; nothing if the refusal has no reply.
pub fn render_refusal(_reason: Refusal, _stamp: &Stamp<'_>, _output: &mut Vec<u8>) {}

/// Appends the reply to a connection that is one too many: 503 with Retry-After and `Connection: close`. It is sent
/// without reading a request.
pub fn render_shed(_stamp: &Stamp<'_>, _output: &mut Vec<u8>) {}
