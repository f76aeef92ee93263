//! HOT: what a connection speaks: the one place that knows every protocol of a shard.
//!
//! Each protocol is a state machine without sockets: bytes in, bytes and a deadline out. The transport, and TLS below it,
//! treat them alike.

use std::time::Instant;

use crate::http::{Advance, Connection, Next};
use crate::limits::HttpLimits;
use crate::tls::Application;

use super::replier::Replier;

/// A protocol and its state.
pub(super) enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    Http1(Connection),
}

impl Protocol {
    /// The protocol of a connection that begins at `now`.
    pub(super) fn new(application: Application, limits: &HttpLimits, now: Instant) -> Self {
        match application {
            // Nobody agrees to HTTP/2 while it is not offered (tls/acceptor.rs, APPLICATIONS).
            Application::Http1 | Application::Http2 => Self::Http1(Connection::new(limits, now)),
        }
    }

    /// Answers what `input` holds into `output`; see [`Connection::advance`].
    #[inline]
    pub(super) fn advance(
        &mut self,
        limits: &HttpLimits,
        input: &[u8],
        output: &mut Vec<u8>,
        replier: &mut Replier<'_>,
        now: Instant,
    ) -> Advance {
        match self {
            Self::Http1(connection) => connection.advance(limits, input, output, replier, now),
        }
    }

    /// When [`Protocol::expire`] is due if nothing else happens.
    #[inline]
    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::Http1(connection) => connection.deadline(),
        }
    }

    /// Ends the connection because its deadline has passed. Always says [`Next::Close`].
    pub(super) fn expire(&mut self, output: &mut Vec<u8>, replier: &mut Replier<'_>) -> Next {
        match self {
            Self::Http1(connection) => connection.expire(output, replier),
        }
    }

    /// From now on, the next reply ends the connection.
    #[inline]
    pub(super) fn drain(&mut self) {
        match self {
            Self::Http1(connection) => connection.drain(),
        }
    }

    /// True if everything asked was answered, and nothing of another request has come.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_idle(),
        }
    }
}
