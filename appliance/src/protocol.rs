//! HOT: one connection, whichever version of HTTP it speaks.
#![forbid(unsafe_code)]

use std::time::Instant;

use crate::http::{self, Advance, Answer, Ending, Next};
use crate::http2::{self, AnswerStream, Offence, PREFACE, Scratch};
use crate::limits::HttpLimits;

/// What a client may speak on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// HTTP/1.0 and 1.1: a plain port, or TLS without `h2`.
    Http1,
    /// HTTP/2: TLS has agreed on `h2`.
    Http2,
    /// The first bytes tell: a plain port with `listen.http2_prior_knowledge` (RFC 9113, 3.3).
    Either,
}

/// One connection; of HTTP/2 only the pointer is here, because most connections of a plain port never need it.
#[derive(Debug)]
pub enum Protocol {
    /// Nothing is decided: perhaps some of the preface has come.
    Undecided {
        /// The connection that it is if it is none of HTTP/2.
        http1: http::Connection,
        /// Whether anything has come.
        has_begun: bool,
    },
    /// HTTP/1.
    Http1(http::Connection),
    /// HTTP/2.
    Http2(Box<http2::Connection>),
}

const _: () = assert!(size_of::<Protocol>() <= 72, "a connection of HTTP/1 costs little more than itself");

impl Protocol {
    /// A connection that was accepted at `now`, or whose handshake ended then. One of HTTP/2 has something to say at once:
    /// advance it without input.
    pub fn new(speech: Speech, limits: &HttpLimits, now: Instant) -> Self {
        match speech {
            Speech::Http1 => Self::Http1(http::Connection::new(limits, now)),
            Speech::Http2 => Self::Http2(Box::new(http2::Connection::new(limits, now))),
            Speech::Either => Self::Undecided { http1: http::Connection::new(limits, now), has_begun: false },
        }
    }

    /// Answers every whole request in `input` into `output`: [`http::Connection::advance`] and
    /// [`http2::Connection::advance`] say how.
    #[inline]
    pub fn advance<A: Answer + AnswerStream>(
        &mut self,
        limits: &HttpLimits,
        input: &[u8],
        output: &mut Vec<u8>,
        scratch: &mut Scratch,
        answer: &mut A,
        now: Instant,
    ) -> Advance {
        if let Self::Undecided { .. } = self {
            self.decide(limits, input, now);
        }
        match self {
            Self::Undecided { .. } => Advance { consumed: 0, next: Next::Read },
            Self::Http1(connection) => connection.advance(limits, input, output, answer, now),
            Self::Http2(connection) => connection.advance(limits, input, output, scratch, answer, now),
        }
    }

    /// When [`Protocol::expire`] is due if nothing else happens.
    #[inline]
    pub fn deadline(&self) -> Instant {
        match self {
            Self::Undecided { http1, .. } | Self::Http1(http1) => http1.deadline(),
            Self::Http2(connection) => connection.deadline(),
        }
    }

    /// The deadline has passed at `now`: ends the connection, or of HTTP/2 perhaps only some streams. Then it says
    /// [`Next::Read`], and there is another deadline.
    pub fn expire<A: Answer + AnswerStream>(
        &mut self,
        limits: &HttpLimits,
        output: &mut Vec<u8>,
        answer: &mut A,
        now: Instant,
    ) -> Next {
        match self {
            Self::Undecided { has_begun: true, .. } => {
                answer.offended(Offence::PrefaceSlow);
                Next::Close(Ending::Offended(Offence::PrefaceSlow))
            }
            Self::Undecided { http1, .. } | Self::Http1(http1) => http1.expire(output, answer),
            Self::Http2(connection) => connection.expire(limits, output, answer, now),
        }
    }

    /// From now on, the connection comes to its end: with the next reply of HTTP/1, in two steps with HTTP/2.
    pub fn drain(&mut self) {
        match self {
            Self::Undecided { http1, .. } | Self::Http1(http1) => http1.drain(),
            Self::Http2(connection) => connection.drain(),
        }
    }

    /// Whether the connection has something to say although nothing came: advance it without input.
    pub fn has_news(&self) -> bool {
        match self {
            Self::Undecided { .. } | Self::Http1(_) => false,
            Self::Http2(connection) => connection.has_news(),
        }
    }

    /// Appends the last words of a connection that is closed while it is idle; HTTP/1 has none.
    pub fn dismiss(&mut self, output: &mut Vec<u8>) {
        match self {
            Self::Undecided { .. } | Self::Http1(_) => {}
            Self::Http2(connection) => connection.dismiss(output),
        }
    }

    /// True between two requests: everything asked was answered, and nothing of another request has come.
    pub fn is_idle(&self) -> bool {
        match self {
            Self::Undecided { http1, .. } | Self::Http1(http1) => http1.is_idle(),
            Self::Http2(connection) => connection.is_idle(),
        }
    }

    /// No request begins as the preface does, so that the first byte that differs decides.
    #[cold]
    fn decide(&mut self, limits: &HttpLimits, input: &[u8], now: Instant) {
        let Self::Undecided { http1, has_begun } = self else { return };
        let bytes = input.len().min(PREFACE.len());
        if input[..bytes] != PREFACE[..bytes] {
            let http1 = std::mem::replace(http1, http::Connection::new(limits, now));
            *self = Self::Http1(http1);
        } else if bytes == PREFACE.len() {
            *self = Self::new(Speech::Http2, limits, now);
        } else {
            *has_begun |= bytes > 0;
        }
    }
}
